"""`consentry profile review`: records whose customer somebody has to say."""

from __future__ import annotations

import getpass
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import typer

from proxy.cli.connecting import run
from proxy.cli.options import CONFIG, DATABASE, JSON
from proxy.cli.printing import print_json, print_table, shown_time
from proxy.cli.subject_acts import desk_of

if TYPE_CHECKING:
    import asyncpg

    from proxy.cli.opening import Opened

review = typer.Typer(help="Records whose customer somebody has to say.", invoke_without_command=True)
_SOURCE = typer.Argument(help="The source, as the rules name it.")
_KEY = typer.Argument(help="The record's key in its source.")
_SEEN: str | None = typer.Option(None, "--seen", help="As `show` printed it: refused where the record changed since.")


@review.callback()
def waiting(
    context: typer.Context,
    source: str | None = typer.Option(None, "--source", help="Only this source's."),
    limit: int = typer.Option(100, "--limit", min=1, help="How many."),
    config: Path = CONFIG,
    database: str | None = DATABASE,
    as_json: bool = JSON,
) -> None:
    """Lists records that fit no customer, or several.

    Example: consentry profile review --source newsletter
    """
    if context.invoked_subcommand is not None:
        return

    async def work(connection: asyncpg.Connection, opened: Opened) -> None:
        from proxy.errors import ConsentryError
        from proxy.profile.review import waiting as found
        from proxy.yaml_lines import nearest

        rows = await found(connection, source, limit)
        sources = opened.rules.sources
        if source is not None and not rows and source not in sources:  # what waits of one that left the rules is there
            known = nearest(source, sources) or f"; they have: {', '.join(sources) or 'none'}"
            raise ConsentryError(f'the rules have no source "{source}"{known}')
        if as_json:
            print_json([asdict(row) for row in rows])
            return
        shown = [(row.source, row.key, ", ".join(row.candidates) or "nobody", shown_time(row.read_at)) for row in rows]
        print_table(("source", "record", "may be", "read"), shown)

    run(work, config, database)


@review.command()
def show(
    source: str = _SOURCE,
    key: str = _KEY,
    config: Path = CONFIG,
    database: str | None = DATABASE,
    as_json: bool = JSON,
) -> None:
    """Shows a record beside the customers whose it may be.

    Example: consentry profile review show newsletter 4711
    """

    async def work(connection: asyncpg.Connection, opened: Opened) -> None:
        from proxy.catalog.introspect import take_snapshot
        from proxy.profile.review import attributes_of, pair, told
        from proxy.rights.desk import note

        found = await pair(connection, opened.compiled(await take_snapshot(connection)), source, key)
        await note(await desk_of(connection, opened), "show")
        if as_json:
            print_json(asdict(found))
            return
        head = ("", f"{source} {key}", *(f"customer {person.subject}" for person in found.people))
        rows: list[tuple[Any, ...]] = [
            (name, told(found.values.get(name, "")), *(" / ".join(p.values.get(name, ())) for p in found.people))
            for name in attributes_of(found)
        ]
        rows.append(("in common", "", *(", ".join(person.why) for person in found.people)))
        print_table(head, rows)
        if found.formerly is not None:
            typer.echo(f"it was customer {found.formerly}'s, and says now that it is somebody else's")
        if found.erased:
            typer.echo("an erased customer had its key, its address or its number")
        typer.echo(f"decide on just this with --seen {found.seen}")
        for name in sorted({name for person in found.people for name in person.unread}):
            typer.echo(f"{name} may not be read: `consentry consent setup --exports` prints the grant", err=True)

    run(work, config, database)


@review.command()
def decide(
    source: str = _SOURCE,
    key: str = _KEY,
    choice: Literal["same", "other", "new"] = typer.Argument(
        help="same: it is the customer's; other: it is not; new: of a customer whom nobody had."
    ),
    subject: str | None = typer.Option(None, "--subject", help="The customer; without it the only candidate."),
    seen: str | None = _SEEN,
    actor: str = typer.Option(getpass.getuser(), "--by", help="Who decides."),
    config: Path = CONFIG,
    database: str | None = DATABASE,
) -> None:
    """Says whose a record is. It counts in later syncs too.

    Example: consentry profile review decide newsletter 4711 same --subject 42
    """

    async def work(connection: asyncpg.Connection, opened: Opened) -> None:
        from proxy.rights.reviewing import decide as record

        desk = replace(await desk_of(connection, opened), actor=actor)
        _say(await record(desk, source, key, choice, subject=subject, seen=seen))

    run(work, config, database)


@review.command()
def undo(
    source: str = _SOURCE,
    key: str = _KEY,
    seen: str | None = _SEEN,
    config: Path = CONFIG,
    database: str | None = DATABASE,
) -> None:
    """Takes the last decision about a record back.

    Example: consentry profile review undo newsletter 4711
    """

    async def work(connection: asyncpg.Connection, opened: Opened) -> None:
        from proxy.rights.reviewing import undo as take_back

        _say(await take_back(await desk_of(connection, opened), source, key, seen))

    run(work, config, database)


def _say(subject: str | None) -> None:
    typer.echo("it waits for review" if subject is None else f"it is customer {subject}'s")
