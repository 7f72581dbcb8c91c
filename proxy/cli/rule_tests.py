"""`consentry test`."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from proxy.cli.options import CONFIG, DATABASE, JSON
from proxy.cli.printing import print_json

if TYPE_CHECKING:
    from proxy.catalog.model import Snapshot
    from proxy.cli.opening import Opened
    from proxy.ruletests.format import RuleTest
    from proxy.ruletests.judge import Outcome

_SUFFIX = ".test.yaml"
_PATH: Any = typer.Argument(None, help="A file of tests, or a folder of *.test.yaml; without it: beside the rules.")
_CATALOG: Any = typer.Option(None, "--catalog", help="Without a database: a file that --save-catalog made.")
_SAVE: Any = typer.Option(None, "--save-catalog", help="Write the database's catalog to this file.")


def run_tests(
    path: Path | None = _PATH,
    config: Path = CONFIG,
    database: str | None = DATABASE,
    dsn: str | None = typer.Option(
        None, "--dsn", help="A database with data for tests, by a superuser: statements run there, and are rolled back."
    ),
    catalog: Path | None = _CATALOG,
    save_catalog: Path | None = _SAVE,
    as_json: bool = JSON,
) -> None:
    """Runs the rule tests: what apps must get of statements. Prints what differs; exits 1 where one fails.

    Statements are only prepared on the database of the settings, and run on that of --dsn.

    Example: consentry test --dsn postgresql://postgres@localhost/shop_test
    """
    from proxy.catalog.file import write
    from proxy.cli.opening import open_database
    from proxy.errors import ConsentryError
    from proxy.ruletests.format import load_tests

    if catalog is not None and (dsn is not None or save_catalog is not None):
        raise ConsentryError("--catalog is instead of a database: without --dsn and --save-catalog")
    opened = open_database(config, database)
    tests = load_tests(_files(path, opened), opened.rules)
    if catalog is not None:
        outcomes = _by_catalog(opened, tests, catalog)
    else:
        outcomes, snapshot = asyncio.run(_on_database(opened, tests, dsn))
        if save_catalog is not None:
            save_catalog.write_bytes(write(snapshot))
    _report(outcomes, as_json)
    if any(one.result == "failed" for one in outcomes):
        raise typer.Exit(1)


def _files(path: Path | None, opened: Opened) -> list[tuple[str, str]]:
    from proxy.config import read_text
    from proxy.errors import UnreachableError

    place = path or opened.configuration.path(opened.configuration.settings.databases[opened.database].rules)
    if place.is_dir():
        files = sorted(place.glob(f"*{_SUFFIX}"))
    else:
        files = [place] if path else sorted(place.parent.glob(f"*{_SUFFIX}"))
    if not files:
        raise UnreachableError(f"{place}: no file of rule tests, *{_SUFFIX}, is here")
    return [(opened.configuration.shown(file), read_text(file)) for file in files]


def _by_catalog(opened: Opened, tests: Sequence[RuleTest], file: Path) -> list[Outcome]:
    from proxy.catalog.file import read
    from proxy.errors import UnreachableError
    from proxy.ruletests.trying import Tried, by_catalog

    try:
        snapshot = read(file.read_bytes())
    except OSError as error:
        raise UnreachableError(f"{file}: {error.strerror}") from error
    tried = Tried(opened.compiled(snapshot), snapshot)
    return [by_catalog(test, tried) for test in tests]


async def _on_database(opened: Opened, tests: Sequence[RuleTest], dsn: str | None) -> tuple[list[Outcome], Snapshot]:
    from proxy.catalog.connect import connected
    from proxy.catalog.introspect import take_snapshot
    from proxy.cli.consent import words_of
    from proxy.ruletests.trying import Tried, on_database

    async with connected(dsn or opened.control_dsn) as connection:
        snapshot = await take_snapshot(connection)
        tried = Tried(opened.compiled(snapshot), snapshot)
        words = await words_of(connection, opened)
        outcomes = [await on_database(test, tried, connection, words, run=dsn is not None) for test in tests]
    return outcomes, snapshot


def _report(outcomes: Sequence[Outcome], as_json: bool) -> None:
    counted = Counter(one.result for one in outcomes)
    if as_json:
        facts = [
            {
                "name": one.test.expected.name,
                "app": one.test.expected.app,
                "file": one.test.file,
                "line": one.test.line,
                "result": one.result,
                "differences": one.differences,
            }
            for one in outcomes
        ]
        print_json({"tests": facts, **{what: counted[what] for what in ("passed", "failed", "skipped")}})
        return
    for one in outcomes:
        if one.result == "passed":
            continue
        typer.echo(f"{one.result}: {one.test.file}:{one.test.line}: {one.test.expected.name}")
        for line in one.differences:
            typer.echo(f"  {line}")
    summary = ", ".join(f"{counted[what]} {what}" for what in ("passed", "failed", "skipped") if counted[what])
    typer.echo(summary)
