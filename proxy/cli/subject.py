"""`consentry subject`: what is held on one customer."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from proxy.cli.connecting import run
from proxy.cli.options import CONFIG, DATABASE

if TYPE_CHECKING:
    import asyncpg

    from proxy.cli.opening import Opened

subject = typer.Typer(help="Requests of customers about their data.", no_args_is_help=True)


@subject.command()
def export(
    name: str = typer.Argument(metavar="SUBJECT", help="The customer's key."),
    config: Path = CONFIG,
    database: str | None = DATABASE,
    dsn: str | None = typer.Option(None, "--dsn", help="Connect by this URI instead of Consentry's own login."),
) -> None:
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
