"""`consentry subject erase`, `rectify`, `restrict`, `readmit`, `verify-receipt`: acts, and what tells of them."""

from __future__ import annotations

import getpass
from collections.abc import Mapping
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

SUBJECT = typer.Argument(metavar="SUBJECT", help="The customer's key.")
DSN = typer.Option(None, "--dsn", help="Connect by this URI instead of Consentry's own login.")
DRY_RUN = typer.Option(False, "--dry-run", help="Only say what would be done.")
RECEIPT: Any = typer.Argument(help="A receipt, as `subject erase` printed it.")
KEY: Any = typer.Option(None, "--key", help="The public key; without it audit.key.pub of the settings.")
COLUMN: Any = typer.Option(
    None, "--column", help="Only this one: schema.table.column, or a source whose data lives here; may be repeated."
)
ALSO: Any = typer.Option(
    [], "--also", help="An address or number that sources have of this customer too; may be repeated."
)
YES = typer.Option(False, "--yes", help="Do not ask.")
_OTHERS = "; an address or number that only other sources have is let in by `--also ADDRESS`"


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

        desk = await desk_of(connection, opened)
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


def rectify(
    name: str = SUBJECT,
    attribute: str = typer.Argument(help="The attribute, as the rules name it."),
    value: str = typer.Argument(help="What is right, as PostgreSQL reads it: 1985-03-14 for a date."),
    column: list[str] | None = COLUMN,
    every_row: bool = typer.Option(False, "--every-row", help="Where the customer has several rows: all of them."),
    dry_run: bool = DRY_RUN,
    config: Path = CONFIG,
    database: str | None = DATABASE,
    dsn: str | None = DSN,
    as_json: bool = JSON,
) -> None:
    """Corrects an attribute of a customer's, in every column that has it.

    Example: consentry subject rectify 42 email ann@example.net
    """

    async def work(connection: asyncpg.Connection, opened: Opened) -> None:
        from proxy.rights import rectifying

        desk = await desk_of(connection, opened)
        asked = rectifying.Correction(attribute, value, column or (), every_row)
        done = await (rectifying.survey if dry_run else rectifying.rectify)(desk, name, asked)
        if as_json:
            columns = [{"column": one.name, "rows": one.rows} for one in done.columns]
            records = [{"source": one.source, "rows": one.rows} for one in done.records]
            print_json(done.receipt or {"columns": columns, "records": records, "elsewhere": done.elsewhere})
        for one in () if as_json else done.columns:
            typer.echo(f"{one.name}: {one.rows} of {one.held} row(s) {'would change' if dry_run else 'changed'}")
        for told in () if as_json else done.records:
            typer.echo(
                f"{told.source}: {told.rows} of {told.held} record(s) {'would change' if dry_run else 'changed'}"
            )
        for source in () if as_json else done.elsewhere:
            typer.echo(f"{source} has it too: correct it there, or the profile keeps what it says", err=True)
        if not done.held:
            typer.echo(f"nothing of {name} is there", err=True)
            raise typer.Exit(1)

    run(work, config, database, dsn)


def restrict(
    name: str = SUBJECT,
    lift: bool = typer.Option(False, "--lift", help="It is restricted no longer."),
    config: Path = CONFIG,
    database: str | None = DATABASE,
    dsn: str | None = DSN,
    as_json: bool = JSON,
) -> None:
    """From every app's next statement on the customer does not exist for it, unless the law obliges it; until --lift.

    Example: consentry subject restrict 42
    """

    async def work(connection: asyncpg.Connection, opened: Opened) -> None:
        from proxy.errors import ConsentryError
        from proxy.rights import holding, restricting

        desk = await desk_of(connection, opened)
        done: Mapping[str, Any] | None = await (restricting.lift if lift else restricting.restrict)(desk, name)
        if as_json:
            print_json(done or {"changed": False})
        elif done is None:
            typer.echo(f"{name} is {'not restricted' if lift else 'restricted already'}")
        else:
            typer.echo(f"{name} is restricted{' no longer' if lift else ''}")
        if not lift:
            try:
                if not await holding.holds(desk, name):
                    typer.echo(f"nothing of customer {name} is in the database: is the key right?", err=True)
            except ConsentryError as error:
                typer.echo(str(error), err=True)

    run(work, config, database, dsn)


def readmit(
    name: str = SUBJECT,
    also: list[str] = ALSO,
    dry_run: bool = DRY_RUN,
    config: Path = CONFIG,
    database: str | None = DATABASE,
    dsn: str | None = DSN,
    as_json: bool = JSON,
) -> None:
    """Lets other sources' records of a customer in again who has the key, an address or a number of an erased one.

    The next `profile sync --full` brings them.

    Example: consentry subject readmit 42 --also office@example.org
    """

    async def work(connection: asyncpg.Connection, opened: Opened) -> None:
        from proxy.rights import readmitting

        desk = await desk_of(connection, opened)
        if dry_run:
            found = await readmitting.survey(desk, name, also)
            if as_json:
                print_json({"tombstones": found})
            else:
                typer.echo(f"{found} tombstone(s) would be lifted")
            return
        done = await readmitting.readmit(desk, name, also)
        if as_json:
            print_json(done or {"tombstones": 0})
        elif done is None:
            typer.echo(f"no tombstone is in the way of {name}{_OTHERS}")
        else:
            typer.echo(f"{done['tombstones']} tombstone(s) lifted: `consentry profile sync --full` brings the records")
            typer.echo(f"that is for the key and for what the database has of {name} today{_OTHERS}")

    run(work, config, database, dsn)


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


async def desk_of(connection: asyncpg.Connection, opened: Opened) -> Desk:
    """What acts need, for who types a command."""
    from proxy.audit.acts import options_of
    from proxy.catalog.connect import connected
    from proxy.catalog.introspect import take_snapshot
    from proxy.consent.mapped import mapping_of
    from proxy.consent.service import Vocabulary
    from proxy.rights.desk import Desk

    snapshot = await take_snapshot(connection)
    rules = opened.compiled(snapshot)
    apps = [app for app, one in opened.rules.apps.items() if not one.trusted]
    return Desk(
        connection,
        rules,
        snapshot,
        Vocabulary(apps, list(opened.rules.attributes), mapping_of(rules)),
        opened.database,
        opened.rules,
        options_of(opened.configuration),
        f"command, {getpass.getuser()}",
        lambda: connected(opened.control_dsn),
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
