"""`consentry consent import` and `export`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal

import typer

from proxy.cli.connecting import run
from proxy.cli.consent import names_of, words_of
from proxy.cli.options import CONFIG, DATABASE, JSON
from proxy.cli.printing import print_json
from proxy.errors import UnreachableError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    import asyncpg

    from proxy.cli.opening import Opened
    from proxy.consent.import_export import Imported, Progress, WrongLinesError

_FORMAT = typer.Option(None, "--format", help="csv or jsonl; without it a file's name says it.")


def import_file(
    file: str = typer.Argument(help="CSV with a header, or JSON lines; - is standard input."),
    kind: Literal["csv", "jsonl"] | None = _FORMAT,
    key: str | None = typer.Option(None, "--key", help="A name for this import: sent again under it, it is done once."),
    config: Path = CONFIG,
    database: str | None = DATABASE,
    as_json: bool = JSON,
) -> None:
    """Records all decisions of a file, or none of them: each line that is wrong is named.

    Columns: subject, app, attribute, decision, and where wanted at, expires_at, text_version.

    Example: consentry consent import consents.csv --key signup-2026
    """
    from proxy.consent.import_export import WrongLinesError, import_records
    from proxy.consent.records import format_of
    from proxy.consent.service import Origin

    chosen = kind or format_of(file)
    if chosen is None:
        raise typer.BadParameter(f"{file}: the name ends neither in .csv nor in .jsonl: say --format")
    if key is not None and not 1 <= len(key) <= 200:
        raise typer.BadParameter("a key has 1 to 200 characters", param_hint="--key")

    async def work(connection: asyncpg.Connection, opened: Opened) -> None:
        names = await names_of(connection, opened)
        origin = Origin("import", f"consentry consent import {Path(file).name}", opened.rules.digest)
        with _opened(file) as source, _shown(file) as progress:
            done = await import_records(connection, names, source, chosen, origin=origin, key=key, progress=progress)
        _print_done(done, as_json)

    try:
        run(work, config, database)
    except WrongLinesError as error:
        _print_wrong(error, as_json)
        raise


def export(
    file: str = typer.Argument("-", help="Where to write; - is standard output."),
    kind: Literal["csv", "jsonl"] | None = _FORMAT,
    app: str | None = typer.Option(None, "--app", help="Only decisions about this app."),
    subject: str | None = typer.Option(None, "--subject", help="Only this customer's decisions."),
    config: Path = CONFIG,
    database: str | None = DATABASE,
) -> None:
    """Writes the ledger's decisions, oldest first, in the form that `import` takes. CSV where nothing says otherwise.

    Example: consentry consent export --app mailco > mailco.csv
    """
    from proxy.consent.records import format_of

    chosen = kind or format_of(file) or "csv"

    async def work(connection: asyncpg.Connection, opened: Opened) -> None:
        from proxy.consent import import_export

        words = await words_of(connection, opened)
        if app is not None:
            words.check_app(app)
        if words.mapping is not None:
            where = f"consent is kept in {words.mapping.name}: this is what was decided through Consentry"
            typer.echo(f"consentry: {where}", err=True)
        pieces = import_export.export(connection, chosen, app=app, subject=subject)
        with _writing(file) as write:
            async for piece in pieces:
                write(piece)

    run(work, config, database)


@contextmanager
def _opened(file: str) -> Iterator[BinaryIO]:
    if file == "-":
        yield sys.stdin.buffer
        return
    try:
        source = Path(file).open("rb")  # noqa: SIM115 - closed below
    except OSError as error:
        raise UnreachableError(f"{file} cannot be read: {error.strerror}") from error
    with source:
        yield source


@contextmanager
def _writing(file: str) -> Iterator[Callable[[str], object]]:
    """What writes a text into the file."""
    try:
        target = sys.stdout.buffer if file == "-" else Path(file).open("wb")  # noqa: SIM115 - closed below
    except OSError as error:
        raise UnreachableError(f"{file} cannot be written: {error.strerror}") from error

    def write(text: str) -> None:
        try:
            target.write(text.encode())
            target.flush()
        except OSError as error:
            raise UnreachableError(f"{file} cannot be written: {error.strerror}") from error

    try:
        yield write
    finally:
        if file != "-":
            target.close()


def _shown(file: str) -> AbstractContextManager[Progress | None]:
    """Progress bars where standard error is a terminal."""
    if not sys.stderr.isatty():
        return nullcontext()
    return _bars(Path(file).stat().st_size if Path(file).is_file() else None)


@contextmanager
def _bars(size: int | None) -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bars:
        tasks = {"read": bars.add_task("reading", total=size), "written": bars.add_task("writing", total=None)}
        yield lambda what, count, whole: bars.update(tasks[what], completed=count, total=whole or size)


def _print_done(done: Imported, as_json: bool) -> None:
    if as_json:
        print_json(asdict(done))
    elif done.repeated:
        typer.echo(f"nothing to do: this is import {done.id}, taken before ({done.records} records)")
    else:
        typer.echo(f"imported {done.records} records, {done.events} decisions (import {done.id})")


def _print_wrong(error: WrongLinesError, as_json: bool) -> None:
    if as_json:
        print_json({"records": error.records, "wrong": error.count, "lines": [asdict(one) for one in error.lines]})
        return
    for one in error.lines:
        typer.echo(f"line {one.line}: {one.reason}", err=True)
    if error.count > len(error.lines):
        typer.echo(f"and {error.count - len(error.lines)} more", err=True)
