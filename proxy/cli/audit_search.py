"""`consentry audit search` and `audit tail`."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from proxy.cli.options import CONFIG

if TYPE_CHECKING:
    from proxy.audit.question import Question
    from proxy.audit.rewritten import Rewriter
    from proxy.audit.search import Hit

DIRECTORY: Any = typer.Option(None, "--directory", help="The log's folder, instead of the settings' audit.directory.")
_COLUMNS = (
    "time event app login client database statement rows duration_us disclosed policies consent rewritten sqlstate "
    "message fingerprint session rules_version worker seq attribute decision decided_at expires_at actor act receipt "
    "rules"
).split()
_LOOK_SECONDS = 0.2

_APP = typer.Option(None, "--app", help="Of this app; several: any of them, as with the others below.")
_LOGIN = typer.Option(None, "--login", help="Of this login.")
_ATTRIBUTE = typer.Option(None, "--attribute", help="That read this attribute.")
_RELATION = typer.Option(None, "--relation", help="That read a column of this relation, with or without its schema.")
_POLICY = typer.Option(None, "--policy", help="That this policy decided.")
_FINGERPRINT = typer.Option(None, "--fingerprint", help="Of statements that differ in constants only.")
_SESSION = typer.Option(None, "--session", help="Of this session.")
_EVENT = typer.Option(
    None, "--event", help="connect, connect_refused, statement, refused, disconnect, reload, consent, subject ..."
)
_TEXT = typer.Option("", "--text", help="With this in the statement, the message or the application's name.")
_REFUSED = typer.Option(False, "--refused", help="Statements and connections that were refused.")
_DATABASE = typer.Option(None, "--database", help="With --rewritten: which of the settings' databases.")


def search(
    app: list[str] = _APP,
    login: list[str] = _LOGIN,
    attribute: list[str] = _ATTRIBUTE,
    relation: list[str] = _RELATION,
    policy: list[str] = _POLICY,
    fingerprint: list[str] = _FINGERPRINT,
    session: list[str] = _SESSION,
    event: list[str] = _EVENT,
    text: str = _TEXT,
    refused: bool = _REFUSED,
    since: str = typer.Option("", "--from", help="From this time on: 2026-11-01, 2026-11-01T08:00+01:00, 7d, 12h."),
    until: str = typer.Option("", "--to", help="Until this time; a date is until its end (UTC)."),
    limit: int = typer.Option(100, "--limit", min=0, help="The newest so many; 0: all."),
    rewritten: bool = typer.Option(False, "--rewritten", help="Show each statement as sent and as rewritten."),
    as_json: bool = typer.Option(False, "--json", help="JSON lines: the records as they are."),
    as_csv: bool = typer.Option(False, "--csv", help="CSV with a head."),
    no_index: bool = typer.Option(False, "--no-index", help="Read all of the log, and ask no index where to look."),
    directory: Path | None = DIRECTORY,
    config: Path = CONFIG,
    database: str | None = _DATABASE,
) -> None:
    """Records of the log, newest first. Of several values of one filter any holds, of several filters all.

    Example: consentry audit search --app mailco --attribute email --from 2026-11-01 --to 2026-11-30
    """
    if as_json and as_csv:
        raise typer.BadParameter("choose one of --json and --csv")
    question = _question(
        since,
        until,
        apps=app,
        logins=login,
        attributes=attribute,
        relations=relation,
        policies=policy,
        fingerprints=fingerprint,
        sessions=session,
        events=event,
        text=text,
        refused=refused,
    )
    rewriter = _rewriter(config, database) if rewritten else None
    found = _with_limit(_found(log_directory(config, directory), question, limit, no_index), limit)
    if as_json and rewriter is None:
        for hit in found:
            sys.stdout.buffer.write(hit.line + b"\n")
        return
    shown = (_told(hit.record, rewriter) for hit in found)
    if as_json:
        _write_lines(shown)
    elif as_csv:
        _write_csv(shown, rewritten)
    elif rewritten:
        _print_stories(shown)
    else:
        _print_table(shown)


def tail(
    follow: bool = typer.Option(False, "--follow", "-f", help="Go on with what is written, until Ctrl-C."),
    lines: int = typer.Option(10, "--lines", "-n", min=0, help="How many to begin with."),
    app: list[str] = _APP,
    attribute: list[str] = _ATTRIBUTE,
    event: list[str] = _EVENT,
    refused: bool = _REFUSED,
    as_json: bool = typer.Option(False, "--json", help="JSON lines: the records as they are."),
    directory: Path | None = DIRECTORY,
    config: Path = CONFIG,
) -> None:
    """The last records of the files that are being written, oldest first; with -f also those to come.

    Example: consentry audit tail -f --app mailco
    """
    import time

    from proxy.audit.tail import Tail

    question = _question("", "", apps=app, attributes=attribute, events=event, refused=refused)
    follower = Tail(log_directory(config, directory))

    def show(records: Iterable[dict[str, Any]]) -> None:
        for record in records:
            if question.holds(record):
                typer.echo(json.dumps(record, ensure_ascii=False) if as_json else _line(record))
        sys.stdout.flush()

    try:
        show(follower.last(lines))
        while follow:
            time.sleep(_LOOK_SECONDS)
            show(follower.more())
    except KeyboardInterrupt:
        pass
    finally:
        follower.close()


def log_directory(config: Path, directory: Path | None) -> Path:
    """Where the log is: as the command says, else as the settings say."""
    if directory is not None:
        return directory
    from proxy.config import load_settings

    configuration = load_settings(config)
    return configuration.path(configuration.settings.audit.directory)


def times(since: str, until: str) -> tuple[int | None, int | None]:
    """--from and --to as microseconds since 1970; None where they are not given."""
    from proxy.audit.question import bound

    found: list[int | None] = []
    for name, given in (("--from", since), ("--to", until)):
        try:
            found.append(bound(given, end=name == "--to") if given else None)
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint=name) from error
    first, last = found
    if first is not None and last is not None and first > last:
        raise typer.BadParameter("is after --to", param_hint="--from")
    return first, last


# -- inside ------------------------------------------------------------------------------------------------------------


def _question(since: str, until: str, *, text: str = "", refused: bool = False, **values: list[str]) -> Question:
    from proxy.audit.question import EVENTS, Question

    unknown = set(values.get("events") or ()) - EVENTS
    if unknown:
        raise typer.BadParameter(f"no {min(unknown)}; there are {', '.join(sorted(EVENTS))}", param_hint="--event")
    first, last = times(since, until)
    sets: dict[str, Any] = {name: frozenset(given or ()) for name, given in values.items()}
    return Question(**sets, text=text, refused=refused, since=first, until=last)


def _found(directory: Path, question: Question, limit: int, no_index: bool) -> Iterator[Hit]:
    from proxy.audit.index import open_index
    from proxy.audit.search import newest, scan
    from proxy.audit.search import search as by_index

    if no_index:
        yield from newest(scan(directory, question), limit + 1 if limit else None)
        return
    index = open_index(directory)
    try:
        index.refresh()
        yield from by_index(index, question)
        damaged = index.unreadable()
        if damaged:
            say = f"{damaged} lines of the log are no records; consentry audit verify says where"
            typer.echo(f"consentry: {say}", err=True)
    finally:
        index.close()


def _with_limit(hits: Iterator[Hit], limit: int) -> Iterator[Hit]:
    if not limit:
        yield from hits
        return
    yield from islice(hits, limit)
    if next(hits, None) is not None:
        typer.echo(f"these are the newest {limit}; there are more: --limit 0 gives all", err=True)


def _rewriter(config: Path, database: str | None) -> Rewriter:
    import asyncio

    from proxy.audit.rewritten import Rewriter
    from proxy.catalog.connect import connected
    from proxy.catalog.introspect import take_snapshot
    from proxy.cli.opening import open_database

    async def work() -> Rewriter:
        opened = open_database(config, database)
        async with connected(opened.control_dsn) as connection:
            snapshot = await take_snapshot(connection)
        return Rewriter(opened.compiled(snapshot), snapshot)

    return asyncio.run(work())


def _told(record: dict[str, Any], rewriter: Rewriter | None) -> dict[str, Any]:
    """The record, with the statement as it was sent on where that is asked."""
    if rewriter is None:
        return record
    from proxy.audit.rewritten import as_diff

    made = rewriter.of(record)
    return {**record, "rewritten_text": made.text, "rewritten_diff": as_diff(made.pieces), "rewritten_note": made.note}


def _write_lines(records: Iterable[dict[str, Any]]) -> None:
    for record in records:
        sys.stdout.write(json.dumps(record, ensure_ascii=False) + "\n")


def _write_csv(records: Iterable[dict[str, Any]], rewritten: bool) -> None:
    columns = [*_COLUMNS, *(["rewritten_text", "rewritten_note"] if rewritten else [])]
    from proxy.audit.report_forms import harmless

    writer = csv.DictWriter(sys.stdout, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for record in records:
        row = {**record, "disclosed": _columns(record), "policies": "; ".join(record.get("policies") or ())}
        writer.writerow({name: harmless(value) for name, value in row.items()})


def _columns(record: dict[str, Any]) -> str:
    return "; ".join(
        f"{one['relation']}.{one['column']} ({one['attribute'] or 'open'}): {one['treatment']}"
        for one in record.get("disclosed") or ()
    )


def _print_table(records: Iterable[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table()
    for heading in ("Time (UTC)", "Event", "App", "Login", "Rows", "Attributes", "Statement or message"):
        table.add_column(heading, overflow="fold")
    for record in records:
        said = str(record.get("message") or record.get("statement") or record.get("application_name") or "")
        if record["event"] == "reload":
            said = f"rules {record.get('rules_version')}: {record.get('message') or 'taken'}"
        elif record["event"] == "consent":
            said = _decision(record)
        cells = (
            _time(record),
            record["event"],
            record.get("app") or "",
            record.get("login") or "",
            str(record.get("rows", "")),
            ", ".join(_attributes(record)),
            said,
        )
        style = "red" if record["event"] in ("refused", "connect_refused") else ""
        table.add_row(*(Text(_clean(cell)) for cell in cells), style=style)
    console = Console() if sys.stdout.isatty() else Console(width=240)
    console.print(table)


def _print_stories(records: Iterable[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(soft_wrap=True)
    for record in records:
        console.print(Text(_clean(_head(record)), style="bold"))
        if record.get("statement"):
            diff = record["rewritten_diff"] or record["statement"]
            console.print(_coloured(diff) if console.is_terminal else Text(_clean(diff)))
        console.print(Text(f"({record['rewritten_note']})\n", style="dim"))


def _coloured(diff: str) -> Any:
    import re

    from rich.text import Text

    text = Text(_clean(diff))
    text.highlight_regex(re.compile(r"\[-.*?-\]", re.DOTALL), "red")
    text.highlight_regex(re.compile(r"\{\+.*?\+\}", re.DOTALL), "green")
    return text


def _line(record: dict[str, Any]) -> str:
    said = record.get("statement") or ""
    return _clean(f"{_head(record)}  {said}".rstrip())


def _head(record: dict[str, Any]) -> str:
    """A record in some words."""
    parts = [_time(record), record["event"], record.get("app") or "-", record.get("login") or "-"]
    if "rows" in record:
        parts.append(f"{record['rows']} rows")
    if _attributes(record):
        parts.append(f"[{', '.join(_attributes(record))}]")
    if record.get("sqlstate"):
        parts.append(f"{record['sqlstate']}: {record.get('message', '')}")
    elif record.get("message"):
        parts.append(str(record["message"]))
    elif record["event"] == "consent":
        parts.append(_decision(record))
    return "  ".join(parts)


def _decision(record: dict[str, Any]) -> str:
    return f"{record['decision']} by {record['actor']}: event {record['ledger_id']} of the ledger"


def _attributes(record: dict[str, Any]) -> list[str]:
    if record["event"] == "consent":
        return [record["attribute"]]
    return sorted({one["attribute"] for one in record.get("disclosed") or () if one["attribute"]})


def _time(record: dict[str, Any]) -> str:
    return str(record["time"])[:23].replace("T", " ")


def _clean(text: str) -> str:
    """On one line, and without what a terminal would obey: an app chose these texts."""
    return "".join(c if c.isprintable() else " " for c in text)
