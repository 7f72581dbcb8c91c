"""`consentry retention`: what is past goes."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from proxy.cli.connecting import run as run_connected
from proxy.cli.options import CONFIG, DATABASE, JSON
from proxy.cli.printing import print_json
from proxy.cli.subject_acts import DRY_RUN, DSN, desk_of

if TYPE_CHECKING:
    import asyncpg

    from proxy.cli.opening import Opened

retention = typer.Typer(help="How long data is kept: `retention` in the rules.", no_args_is_help=True)


@retention.callback()
def _group() -> None:
    """How long data is kept."""


@retention.command()
def run(
    dry_run: bool = DRY_RUN,
    batch: int = typer.Option(1000, "--batch", min=1, max=100_000, help="Rows that go in one transaction."),
    config: Path = CONFIG,
    database: str | None = DATABASE,
    dsn: str | None = DSN,
    as_json: bool = JSON,
) -> None:
    """Erases or anonymises what is past, some rows a transaction. To be run each night.

    What cannot go, since something that stays refers to it, stays and is told, by --dry-run too: exit code 1.

    Example: consentry retention run --dry-run
    """

    async def work(connection: asyncpg.Connection, opened: Opened) -> None:
        from proxy.rights import retaining

        desk = await desk_of(connection, opened)
        entries = []
        async for one in retaining.run(desk, dry_run=dry_run, batch=batch):
            entries.append(one)
            for relation, rows in () if as_json else one.rows.items():
                typer.echo(f"{one.entry}: {rows} row(s) of {relation} {'would go' if dry_run else 'went'}")
            for reason, rows in () if as_json else one.left.items():
                typer.echo(f"{one.entry}: {'in the way' if dry_run else f'{rows} row(s) stay'}: {reason}", err=True)
        if as_json:
            print_json([asdict(one) for one in entries])
        elif not entries:
            typer.echo("the rules have no `retention`")
        if any(one.left for one in entries):
            raise typer.Exit(1)

    run_connected(work, config, database, dsn)
