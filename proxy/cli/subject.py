"""`consentry subject`: customers' requests about their data (GDPR 15 to 20)."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from proxy.cli.connecting import run
from proxy.cli.options import CONFIG, DATABASE, JSON, KEYED
from proxy.cli.printing import print_json
from proxy.cli.subject_acts import DSN, SUBJECT, desk_of, erase, readmit, rectify, restrict, verify_receipt

if TYPE_CHECKING:
    import asyncpg

    from proxy.cli.opening import Opened

subject = typer.Typer(help="Requests of customers about their data.", no_args_is_help=True)


@subject.command()
def find(
    text: str = typer.Argument(help="An email address, a name, a telephone number, a key: the whole or its beginning."),
    limit: int = typer.Option(100, "--limit", min=1, max=10_000, help="At most so many of each table."),
    config: Path = CONFIG,
    database: str | None = DATABASE,
    dsn: str | None = DSN,
    as_json: bool = JSON,
) -> None:
    """Finds customers by what is known of them: in every column that the rules give an attribute, inside of
    documents too.

    Example: consentry subject find ann@example.org
    """

    async def work(connection: asyncpg.Connection, opened: Opened) -> None:
        from proxy.rights.desk import note
        from proxy.rights.finding import find as find_them

        desk = await desk_of(connection, opened)
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            await connection.execute("SET LOCAL row_security = off")
            found = [one async for one in find_them(connection, desk.rules, text, limit)]
        await note(desk, "find", customers=len({one.subject for one in found if one.subject is not None}))
        if as_json:
            print_json([asdict(one) for one in found])
        for one in () if as_json else found:
            whose = "no customer's" if one.subject is None else one.subject
            how = {"exact": "", "same": "  (written otherwise)", "begins": "  (begins so)"}[one.how]
            place = f"{one.relation}.{one.column}{f' {one.path}' if one.path else ''}"
            typer.echo(f"{whose}  {place}  {', '.join(one.attributes) or 'key'}{how}")
        if not found:
            typer.echo("nothing was found", err=True)
            raise typer.Exit(1)

    run(work, config, database, dsn)


@subject.command(context_settings=KEYED)
def export(
    name: str = SUBJECT,
    no_disclosures: bool = typer.Option(
        False, "--no-disclosures", help="Without who read what, for which the whole audit log is read."
    ),
    config: Path = CONFIG,
    database: str | None = DATABASE,
    dsn: str | None = DSN,
) -> None:
    """Prints everything that is held on one customer as JSON: rows, other sources' values, requests, consents, who read
    what.

    Example: consentry subject export 42 > 42.json
    """

    async def work(connection: asyncpg.Connection, opened: Opened) -> None:
        from proxy.audit.last_read import last_reads_of
        from proxy.catalog.introspect import take_snapshot
        from proxy.consent import access, service
        from proxy.consent.mapped import mapping_of
        from proxy.profile.disclosed import disclosures
        from proxy.profile.export import document
        from proxy.rights.desk import note
        from proxy.rights.plan import rights_of
        from proxy.rights.restricting import restricted_since
        from proxy.web.api import told

        rules, attributes = opened.compiled(await take_snapshot(connection)), opened.rules.attributes
        standings = await service.show(connection, name, mapping_of(rules))
        since = await restricted_since(connection, name, await service.subject_type(connection))
        restricted = since is not None and rights_of(rules).restriction
        directory = opened.configuration.path(opened.configuration.settings.audit.directory)
        logged = directory.is_dir()
        if not logged:
            typer.echo(f"there is no audit log in {directory}: who read what is not in the export", err=True)
        last_read = await asyncio.to_thread(last_reads_of, directory) if logged else {}
        seen = access.access(rules, attributes, standings, last_read, restricted=restricted)
        organisation = opened.configuration.organisation(opened.database)
        read = None
        if logged and not no_disclosures:
            read = [asdict(one) for one in await disclosures(connection, directory, name)]
        apps = [told(app) for app in seen]
        await note(await desk_of(connection, opened), "export")
        async for part in document(connection, rules, attributes, name, organisation, apps, read):
            sys.stdout.write(part)

    run(work, config, database, dsn)


subject.command(context_settings=KEYED)(erase)
subject.command(context_settings=KEYED)(rectify)
subject.command(context_settings=KEYED)(restrict)
subject.command(context_settings=KEYED)(readmit)
subject.command("verify-receipt")(verify_receipt)
