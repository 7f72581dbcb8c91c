"""`consentry consent verify`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from proxy.cli.connecting import run
from proxy.cli.options import CONFIG, DATABASE, JSON
from proxy.cli.printing import print_json

if TYPE_CHECKING:
    import asyncpg

    from proxy.cli.opening import Opened
    from proxy.consent.verify import Verified


def verify(
    config: Path = CONFIG,
    database: str | None = DATABASE,
    dsn: str | None = typer.Option(None, "--dsn", help="Connect by this URI: an owner of the ledger."),
    rebuild: bool = typer.Option(False, "--rebuild", help="Make the spans anew from the state, before anything else."),
    as_json: bool = JSON,
) -> None:
    """Whether the ledger is whole: chains of events, the state, the spans that statements read. Exits 1 if not.

    Example: consentry consent verify --dsn postgresql://postgres@db.internal/shop
    """

    async def work(connection: asyncpg.Connection, opened: Opened) -> None:
        from proxy.catalog.introspect import take_snapshot
        from proxy.consent import spans
        from proxy.consent import verify as ledger

        rules = opened.compiled(await take_snapshot(connection))
        kept = {name: sorted(app.spans) for name, app in rules.apps.items() if app.spans}
        if rebuild:
            await spans.rebuild(connection, kept)
        found = await ledger.verify(connection, kept)
        if as_json:
            print_json(asdict(found))
        else:
            _tell(found)
        if found.findings:
            raise typer.Exit(1)

    run(work, config, database, dsn)


def _tell(found: Verified) -> None:
    for one in found.findings:
        typer.echo(f"{one.part}: customer {one.subject}, {one.app}, {one.attribute}: {one.what}")
    for part, count in found.counts.items():
        more = count - sum(one.part == part for one in found.findings)
        if more:
            typer.echo(f"{part}: and {more} more")
    if found.counts.get("spans"):
        typer.echo("the spans can be made anew from the state: --rebuild, with an owner's --dsn", err=True)
    if not found.findings:
        typer.echo(f"the ledger is whole: {found.events:,} events")
