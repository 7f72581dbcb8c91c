"""`consentry subject`: customers' requests about their data (GDPR 15 to 20)."""

from __future__ import annotations

import getpass
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from proxy.cli.connecting import run
from proxy.cli.options import CONFIG, DATABASE, JSON
from proxy.cli.printing import print_json

if TYPE_CHECKING:
    import asyncpg

    from proxy.cli.opening import Opened
    from proxy.rights.desk import Desk
    from proxy.rights.erasure import Erasure

subject = typer.Typer(help="Requests of customers about their data.", no_args_is_help=True)

SUBJECT = typer.Argument(metavar="SUBJECT", help="The customer's key.")
DSN = typer.Option(None, "--dsn", help="Connect by this URI instead of Consentry's own login.")
DRY_RUN = typer.Option(False, "--dry-run", help="Only say what would be done.")
RECEIPT: Any = typer.Argument(help="A receipt, as `subject erase` printed it.")
KEY: Any = typer.Option(None, "--key", help="The public key; without it audit.key.pub of the settings.")
YES = typer.Option(False, "--yes", help="Do not ask.")


@subject.command()
def find(
    text: str = typer.Argument(help="An email address, a name, a telephone number, a key: the whole or its beginning."),
    limit: int = typer.Option(100, "--limit", min=1, max=10_000, help="At most so many of each table."),
    config: Path = CONFIG,
    database: str | None = DATABASE,
    dsn: str | None = DSN,
    as_json: bool = JSON,
) -> None:
    """Finds customers by what is known of them: in every column that the rules give an attribute.

    Example: consentry subject find ann@example.org
    """

    async def work(connection: asyncpg.Connection, opened: Opened) -> None:
        from proxy.catalog.introspect import take_snapshot
        from proxy.rights.finding import find as find_them

        rules = opened.compiled(await take_snapshot(connection))
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            await connection.execute("SET LOCAL row_security = off")
            found = [one async for one in find_them(connection, rules, text, limit)]
        if as_json:
            print_json([asdict(one) for one in found])
        for one in () if as_json else found:
            whose = "no customer's" if one.subject is None else one.subject
            how = {"exact": "", "same": "  (written otherwise)", "begins": "  (begins so)"}[one.how]
            typer.echo(f"{whose}  {one.relation}.{one.column}  {', '.join(one.attributes) or 'key'}{how}")
        if not found:
            typer.echo("nothing was found", err=True)
            raise typer.Exit(1)

    run(work, config, database, dsn)


@subject.command()
def export(name: str = SUBJECT, config: Path = CONFIG, database: str | None = DATABASE, dsn: str | None = DSN) -> None:
    """Prints everything that is held on one customer as JSON: who has access, rows, consent records.

    Example: consentry subject export 42 > 42.json
    """

    async def work(connection: asyncpg.Connection, opened: Opened) -> None:
        from proxy.catalog.introspect import take_snapshot
        from proxy.consent import access, service
        from proxy.consent.mapped import mapping_of
        from proxy.profile.export import document
        from proxy.web.api import told

        rules, attributes = opened.compiled(await take_snapshot(connection)), opened.rules.attributes
        standings = await service.show(connection, name, mapping_of(rules))
        apps = [told(app) for app in access.access(rules, attributes, standings)]
        organisation = opened.configuration.organisation(opened.database)
        async for part in document(connection, rules, attributes, name, organisation, apps):
            sys.stdout.write(part)

    run(work, config, database, dsn)


@subject.command()
def erase(
    name: str = SUBJECT,
    dry_run: bool = DRY_RUN,
    yes: bool = YES,
    config: Path = CONFIG,
    database: str | None = DATABASE,
    dsn: str | None = DSN,
    as_json: bool = JSON,
) -> None:
    """Erases a customer as the rules say, in one transaction, and prints a signed receipt that names nobody.

    Shows first what goes and what stays with its reason, and asks. What cannot be erased whole is an error before
    anything is touched.

    Example: consentry subject erase 42 --dry-run
    """

    async def work(connection: asyncpg.Connection, opened: Opened) -> None:
        from proxy.rights import erasure

        async with _desk(connection, opened) as desk:
            found = await erasure.survey(desk, name)
            if not as_json:
                _print_erasure(found, "would")
            if dry_run and as_json:
                print_json(erasure.told(found))
            if dry_run or (not found.anything and not as_json):
                return
            if not yes and found.anything:
                typer.confirm(f"Erase customer {name}? This cannot be undone.", abort=True, err=True)
            done = await erasure.erase(desk, name)
            print_json(done.receipt if done.receipt is not None else erasure.told(done))

    run(work, config, database, dsn)


@subject.command("verify-receipt")
def verify_receipt(
    file: Path = RECEIPT,
    key: Path | None = KEY,
    config: Path = CONFIG,
) -> None:
    """Says whether a receipt is as it was signed.

    Example: consentry subject verify-receipt 42.receipt.json --key audit.key.pub
    """
    import json

    from proxy.audit.keys import public_file, read_public
    from proxy.config import load_settings
    from proxy.errors import ConsentryError, UnreachableError
    from proxy.rights import receipts

    if key is None:
        configuration = load_settings(config)
        key = public_file(configuration.path(configuration.settings.audit.key))
    try:
        receipt = json.loads(file.read_text("utf-8"))
    except OSError as error:
        raise UnreachableError(f"{file}: {error.strerror or error}") from error
    except ValueError as error:
        raise ConsentryError(f"{file} is no receipt: {error}") from error
    if not isinstance(receipt, dict) or not receipts.holds(read_public(key), receipt):
        raise ConsentryError(f"{file} is not as it was signed, or another key signed it")
    typer.echo(f"the receipt is as it was signed by key {receipt['key']}: {receipt['act']}, {receipt['at']}")


@asynccontextmanager
async def _desk(connection: asyncpg.Connection, opened: Opened) -> AsyncIterator[Desk]:
    from proxy.audit.acts import options_of
    from proxy.catalog.introspect import take_snapshot
    from proxy.consent.mapped import mapping_of
    from proxy.consent.service import Vocabulary
    from proxy.rights.desk import Desk

    snapshot = await take_snapshot(connection)
    rules = opened.compiled(snapshot)
    apps = [app for app, one in opened.rules.apps.items() if not one.trusted]
    yield Desk(
        connection,
        rules,
        snapshot,
        Vocabulary(apps, list(opened.rules.attributes), mapping_of(rules)),
        opened.database,
        opened.rules.digest,
        options_of(opened.configuration),
        f"command, {getpass.getuser()}",
    )


def _print_erasure(found: Erasure, verb: str) -> None:
    from proxy.rights.erasure import LEDGER

    def say(text: str) -> None:
        typer.echo(text, err=True)

    done = {"delete": "be deleted", "anonymise": "be anonymised", "keep": "stay"}
    for table in found.tables:
        if table.action != "keep":
            say(f"{table.relation}: {table.rows} row(s) {verb} {done[table.action]}")
        for why, rows in table.kept.items():
            say(f"{table.relation}: {rows} row(s) stay: {why}")
        if table.stays and table.rows:
            say(f"{table.relation}: anonymised rows keep {', '.join(table.stays)}")
    say(f"consents: {found.consents} {verb} be withdrawn")
    if found.profile:
        say(f"profile store: {found.profile} row(s) {verb} be deleted")
    if found.events:
        say(f"consent ledger: {found.events} decision(s) stay: {LEDGER}")
    for what, why in found.kept:
        say(f"{what} stays: {why}")
    if not found.anything:
        say("nothing is left to erase")
