"""In which order what is past goes (`retention` of the rules), and which of these rules would keep each other from it.

A rule finds its rows by the time in a column: once another rule has emptied that, it finds none. So whole rows go
first, and of attributes one whose values other rules count by goes after these; where it would be past before they are,
the rules are wrong. So they are where erasing a customer takes the dates by which other rows are kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from proxy.policy.names import join_dotted
from proxy.policy.rights_table import ErasedTable, Kept, Key, Replacement, RetainedTable
from proxy.policy.rules import Rules
from proxy.yaml_lines import Problem

_DAYS: Final = {"days": (1, 1), "weeks": (7, 7), "months": (28, 31), "years": (365, 366)}


def in_order(
    rules: Rules, entries: Sequence[RetainedTable], tables: Mapping[Key, ErasedTable], problems: list[Problem]
) -> tuple[RetainedTable, ...]:
    """The entries in the order in which they are to run. What cannot be goes to `problems`."""
    ordered = sorted((_without_dates(one, entries, tables) for one in entries), key=lambda one: bool(one.attribute))
    waiting = [one for one in ordered if one.attribute is None or one.replacements or one.wrong]
    done: list[RetainedTable] = []
    for one in waiting:
        problems += [
            rules.problem(("retention", one.text), _said(one, other), key=True)
            for other in waiting
            if _empties(one, other, tables) and not _not_longer(other.period, one.period)
        ]
        problems += [
            rules.problem(("retention", one.text), _said_of_kept(one, table), key=True)
            for table in tables.values()
            if one.attribute and table.key != one.table and any(kept.by in _emptied(one, tables) for kept in table.kept)
        ]
    while waiting:
        free = (one for one in waiting if not any(_empties(one, other, tables) for other in waiting))
        first = next(free, None)
        if first is None:
            names = ", ".join(dict.fromkeys(one.text for one in waiting))
            message = f"{names} empty the columns that they count by of each other: count by other columns"
            problems.append(rules.problem(("retention", waiting[0].text), message, key=True))
            break
        waiting.remove(first)
        done.append(first)
    return (*done, *waiting)


def check_dates(rules: Rules, tables: Mapping[Key, ErasedTable], problems: list[Problem]) -> None:
    """Dates that erasing takes from rows of one table, by which rows of another are kept still: these would stay for
    ever. Not so where the first are kept by them too, for no shorter a time.
    """
    for table in tables.values():
        for kept in table.kept:
            of = tables.get(kept.by[:2]) if kept.by is not None and kept.by[:2] != table.key else None
            if of is None or kept.by is None or kept.period is None or of.action != "anonymise":
                continue
            emptied = kept.by[2] in [one.column.name for one in of.replacements]
            if emptied and not any(_covers(other, kept.by, kept.period) for other in of.kept):
                message = (
                    f"erase: it would empty {join_dotted(*kept.by)}, by which {table.text} keeps rows "
                    f'("{kept.reason}"), and those would stay for ever: `masks: {{{kept.by[2]}: keep}}`, or keep these '
                    "rows as long"
                )
                problems.append(rules.problem(("tables", of.text, "erase"), message, key=True))


def _covers(kept: Kept, by: tuple[str, str, str], period: str) -> bool:
    if kept.where is not None:
        return False
    return kept.by is None or (kept.by == by and kept.period is not None and _not_longer(period, kept.period))


def _without_dates(
    entry: RetainedTable, entries: Sequence[RetainedTable], tables: Mapping[Key, ErasedTable]
) -> RetainedTable:
    """The entry without the dates by which rows are deleted that are past before it: they go with these rows, of which
    one that cannot go would not be found again.
    """
    if entry.attribute is None:
        return entry
    dates = {
        other.by
        for other in entries
        if other.attribute is None
        and tables[other.table].action == "delete"
        and other.table == entry.table
        and _not_longer(other.period, entry.period)
    }
    kept = tuple(one for one in entry.replacements if (*entry.table, one.column.name) not in dates)
    return replace(entry, replacements=kept)


def _empties(entry: RetainedTable, other: RetainedTable, tables: Mapping[Key, ErasedTable]) -> bool:
    """Whether the entry takes the dates away by which the other one finds what it has still to do."""
    if entry is other or other.by not in _emptied(entry, tables):
        return False
    if entry.attribute is None and other.attribute is None:
        return False  # the other's rows are the same, or belong to them and go with them
    mine, its = _replaced(entry, tables), {one.column.name for one in other.replacements}
    same = other.table == entry.table and other.attribute is not None
    return not (same and its <= {one.column.name for one in mine})


def _emptied(entry: RetainedTable, tables: Mapping[Key, ErasedTable]) -> set[tuple[str, str, str]]:
    return {(*entry.table, one.column.name) for one in _replaced(entry, tables)}


def _replaced(entry: RetainedTable, tables: Mapping[Key, ErasedTable]) -> tuple[Replacement, ...]:
    if entry.attribute is not None:
        return entry.replacements
    table = tables[entry.table]
    return table.replacements if table.action == "anonymise" else ()


def _not_longer(one: str, other: str) -> bool:
    """Whether a period, as PostgreSQL's interval has it, certainly ends no later than another."""
    (number, unit), (other_number, other_unit) = one.split(), other.split()
    if unit == other_unit:
        return int(number) <= int(other_number)
    if {unit, other_unit} == {"months", "years"}:
        return int(number) * (12 if unit == "years" else 1) <= int(other_number) * (12 if other_unit == "years" else 1)
    return int(number) * _DAYS[unit][1] <= int(other_number) * _DAYS[other_unit][0]


def _said(entry: RetainedTable, other: RetainedTable) -> str:
    column = join_dotted(*other.by)
    return (
        f"it would empty {column} before {other.text}, which counts by that, is past ({other.period}), and then never "
        f"is: give {other.by[2]} an attribute of its own or count by another column"
    )


def _said_of_kept(entry: RetainedTable, table: ErasedTable) -> str:
    return (
        f"it would empty a column of {join_dotted(*entry.table)} by which {table.text} keeps rows, and those would "
        "stay for ever: give that column an attribute of its own or count by another one"
    )
