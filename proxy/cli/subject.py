"""`consentry subject`: what is held on one customer."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import typer

from proxy.cli.options import CONFIG

subject = typer.Typer(help="Requests of customers about their data.", no_args_is_help=True)

_DATABASE = typer.Option(None, "--database", help="Which of the settings' databases; needed where there are several.")


@subject.command()
def export(
    name: str = typer.Argument(metavar="SUBJECT", help="The customer's key."),
    config: Path = CONFIG,
    database: str | None = _DATABASE,
    dsn: str | None = typer.Option(None, "--dsn", help="Connect by this URI instead of Consentry's own login."),
) -> None:
    """Prints everything that is held on one customer as JSON: who has access, rows, consent records.

    Example: consentry subject export 42 > 42.json
    """
    from proxy.catalog.connect import connected
    from proxy.catalog.introspect import take_snapshot
    from proxy.cli.opening import open_database
    from proxy.consent import access, service
    from proxy.consent.mapped import mapping_of
    from proxy.profile.export import document
    from proxy.web.api import told

    async def work() -> None:
        opened = open_database(config, database)
        async with connected(dsn or opened.control_dsn) as connection:
            rules = opened.compiled(await take_snapshot(connection))
            standings = await service.show(connection, name, mapping_of(rules))
            apps = access.access(rules, opened.rules.attributes, standings)
            settings = opened.configuration.settings.web
            organisation = (settings.organisation.name if settings else "") or opened.database
            parts = document(connection, rules, opened.rules.attributes, name, organisation, [told(a) for a in apps])
            async for part in parts:
                sys.stdout.write(part)

    asyncio.run(work())
