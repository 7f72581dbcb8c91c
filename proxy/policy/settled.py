"""Which columns say whose a row is, where that decides what an app sees: an UPDATE must not give rows to customers who
have agreed to more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from proxy.catalog.model import Snapshot
from proxy.policy.table import GovernedTable
from proxy.policy.targets import Key


def with_settled(tables: Mapping[Key, GovernedTable], snapshot: Snapshot) -> dict[Key, GovernedTable]:
    """One app's tables, those columns settled: the table's own by which it finds the customer whose consent decides
    about values, those of tables on the way there, and keys of customers.

    Of rows that consent decides about, an app sees the whole or nothing: they need no more of their own table.
    """
    found: set[tuple[Key, str]] = set()
    followed: set[tuple[Key, str]] = set()
    for key, table in tables.items():
        subject = table.subject
        if subject is None or not table.asks:
            continue
        names = [*(step.from_column for step in subject.steps), subject.column]
        places = [key, *((step.schema, step.table) for step in subject.steps)]
        if any(column.asks_consent for column in table.columns):
            found.add((key, names[0]))
        found |= {*zip(places[1:], names[1:], strict=True)}
        followed |= {(place, step.to_column) for place, step in zip(places[1:], subject.steps, strict=True)}
    found |= followed
    if found:
        found |= {
            (key, table.subject.column) for key, table in tables.items() if table.subject and _is_key(table, snapshot)
        }
    settled = {key for key, _ in found}
    return {key: _settled(table, found, followed) if key in settled else table for key, table in tables.items()}


def _is_key(table: GovernedTable, snapshot: Snapshot) -> bool:
    """Whether the customer is named by what is the table's primary key: other tables' rows may follow it."""
    relation, subject = snapshot.relations.get(table.key), table.subject
    return relation is not None and subject is not None and relation.primary_key == (subject.column,)


def _settled(table: GovernedTable, found: set[tuple[Key, str]], followed: set[tuple[Key, str]]) -> GovernedTable:
    columns = (
        replace(column, settled=(table.key, column.name) in found, followed=(table.key, column.name) in followed)
        for column in table.columns
    )
    return replace(table, columns=tuple(columns))
