"""What the tour prints: tables that a reader takes in at a glance. No database, no sockets."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

Row = Mapping[str, Any]

_GONE = Text("no such column", style="dim red")
_NO_ROW = Text("no such row", style="dim red")
_AUDIT_FIELDS = (
    "time",
    "event",
    "app",
    "statement",
    "rewritten",
    "disclosed",
    "policies",
    "rows",
    "sqlstate",
    "message",
)


@dataclass(frozen=True, slots=True)
class Attempt:
    """A statement that should not get through, and what came back (`rows` where it was answered)."""

    app: str
    what: str
    sql: str
    sqlstate: str = ""
    message: str = ""
    hint: str | None = None
    rows: int | None = None


def brief(row: Mapping[str, Any]) -> Row:
    """The row, of each list (a JSON array of objects) its first element and how many more there are."""
    return {
        name: _first(value) if isinstance(value, str) and value[:2] == "[{" else value for name, value in row.items()
    }


def _first(text: str) -> str:
    first, *more = json.loads(text, parse_float=str)
    return _listed(first) + (f" (+{len(more)})" if more else "")


def _listed(entry: Mapping[str, Any]) -> str:
    """An entry of a list in one line: its values, of times the day."""
    return ", ".join(
        str(value).partition("T")[0] if name.endswith("_at") else str(value) for name, value in entry.items()
    )


def title(console: Console, number: int, text: str) -> None:
    console.print()
    console.rule(f"[bold]{number}. {text}", align="left")


def statement(console: Console, sql: str) -> None:
    console.print(Text("   " + sql, style="bold cyan"), soft_wrap=True)
    console.print()


def _wide() -> Table:
    """Without lines between columns: nearly everything fits into 80 characters."""
    return Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)


def columns_side_by_side(
    key: str, truth: Sequence[Row], answers: Mapping[str, Sequence[Row]], columns_of: Mapping[str, Sequence[str]]
) -> Table:
    """One line a column of each of the truth's rows, one column an app. `columns_of`: the names that each app's
    answer has.
    """
    table = _wide()
    table.add_column("column", style="dim")
    table.add_column("in the database", overflow="fold")
    for app in answers:
        table.add_column(f"as {app}", overflow="fold")
    for row in truth:
        for name, value in row.items():
            cells = [_cell(_row(rows, key, row[key]), name, value, columns_of[app]) for app, rows in answers.items()]
            table.add_row(name, _plain(value), *cells)
        table.add_section()
    return table


def rows_side_by_side(key: str, truth: Sequence[Row], answers: Mapping[str, Sequence[Row]]) -> Table:
    """One line a row of the truth, one column an app, with all of a row's values in a cell."""
    table = _wide()
    table.add_column(key, style="dim")
    table.add_column("in the database", overflow="fold")
    for app in answers:
        table.add_column(f"as {app}", overflow="fold")
    for row in truth:
        cells = []
        for rows in answers.values():
            seen = _row(rows, key, row[key])
            cells.append(_NO_ROW if seen is None else _together(key, seen, row))
        table.add_row(str(row[key]), _together(key, row, row), *cells)
    return table


def before_and_after(key: str, before: Sequence[Row], after: Sequence[Row], headings: tuple[str, str]) -> Table:
    """Two answers to one statement, by key; a row that is in one only is marked."""
    table = Table(show_edge=False, pad_edge=False)
    for heading in (key, *headings):
        table.add_column(heading, overflow="fold")
    for row in before:
        seen = _row(after, key, row[key])
        table.add_row(str(row[key]), _together(key, row, row), _NO_ROW if seen is None else _together(key, seen, row))
    return table


def synced(stores: Iterable[tuple[str, int, int]]) -> Table:
    """One line a store: what was read of it, and what was new."""
    table = _wide()
    for heading in ("store", "records read", "new"):
        table.add_column(heading, justify="left" if heading == "store" else "right")
    for name, read, new in stores:
        table.add_row(name, f"{read:,}", f"{new:,}")
    return table


def provenance(said: Iterable[tuple[str, Any, str, str, bool]]) -> Table:
    """(attribute, value, store, record, whether it counts), one line each."""
    table = _wide()
    for heading in ("attribute", "value", "store", "record"):
        table.add_column(heading, style="dim" if heading == "attribute" else None, overflow="fold")
    for attribute, value, store, key, chosen in said:
        shown = _listed(value) if isinstance(value, Mapping) else str(value)
        table.add_row(attribute, escape(shown), store, escape(key), style=None if chosen else "dim strike")
    return table


@dataclass(frozen=True, slots=True)
class Beside:
    """A record of a store, and the customers whose it may be: (key, what they have in common with it, their values)."""

    store: str
    key: str
    values: Mapping[str, str]
    people: Sequence[tuple[str, Sequence[str], Mapping[str, Sequence[str]]]]


def pairs(found: Iterable[Beside]) -> Table:
    """One line a record, beside it each customer; of the customers one value of each attribute that the record has."""
    rows = list(found)
    table = _wide()
    table.add_column("record", overflow="fold")
    for _ in range(max((len(row.people) for row in rows), default=0)):
        table.add_column("may be of", overflow="fold")
    for row in rows:
        cells = [Text(f"{row.store} {row.key}\n", style="dim") + Text("\n".join(map(str, row.values.values())))]
        for subject, why, values in row.people:
            theirs = [next(iter(values.get(name, ())), "-") for name in row.values]
            cells.append(Text(f"customer {subject}: {', '.join(why)}\n", style="dim") + Text("\n".join(theirs)))
        table.add_row(*cells)
        table.add_section()
    return table


def attempts(tried: Iterable[Attempt]) -> Table:
    table = Table(show_edge=False, pad_edge=False, show_lines=True)
    table.add_column("as", style="dim")
    table.add_column("what was tried", ratio=5)
    table.add_column("what came back", ratio=4)
    for attempt in tried:
        asked = f"{escape(attempt.what)}\n[cyan]{escape(attempt.sql)}[/]"
        if attempt.rows is not None:
            answer = f"[bold red]{attempt.rows} rows[/]"
        else:
            answer = f"[green]{attempt.sqlstate}[/] {escape(attempt.message)}"
        if attempt.hint:
            answer += f"\n[dim]{escape(attempt.hint)}[/]"
        table.add_row(attempt.app, asked, answer)
    return table


def audit_line(console: Console, line: str) -> None:
    """One record, the fields that a reader looks for first, on as many lines as it needs."""
    record: dict[str, Any] = json.loads(line)
    shown = {name: record[name] for name in _AUDIT_FIELDS if record.get(name) not in (None, [], "")}
    if "disclosed" in shown:
        shown["disclosed"] = [f"{d['relation']}.{d['column']}: {d['treatment']}" for d in shown["disclosed"]]
    console.print_json(json.dumps(shown, ensure_ascii=False), indent=None, highlight=True)


def _row(rows: Sequence[Row], key: str, value: Any) -> Row | None:
    return next((row for row in rows if row.get(key) == value), None)


def _cell(row: Row | None, name: str, truth: Any, columns: Sequence[str]) -> Text:
    if name not in columns:
        return _GONE
    return _NO_ROW if row is None else _compared(row[name], truth)


def _together(key: str, row: Row, truth: Row) -> Text:
    return Text("  ").join(_compared(value, truth[name]) for name, value in row.items() if name != key)


def _compared(value: Any, truth: Any) -> Text:
    """As it is where it is the truth, yellow where it is not."""
    shown = _plain(value)
    if value != truth:
        shown.stylize("yellow")
    return shown


def _plain(value: Any) -> Text:
    if value is None:
        return Text("NULL", style="dim")
    if hasattr(value, "strftime"):
        return Text(value.strftime("%Y-%m-%d"))
    return Text(str(value))
