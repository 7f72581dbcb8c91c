"""Where each value of a customer is from, and when it was read: of the database's own tables, and of other sources."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

import asyncpg

from proxy.consent.service import said_of, subject_type
from proxy.policy.names import join_dotted
from proxy.policy.profile import DATA
from proxy.policy.table import CompiledRules, ProfileColumn, SubjectTable
from proxy.profile import held


@dataclass(frozen=True, slots=True)
class Value:
    """A value, or an entry of a list.

    `source`: a relation of the database (`kind` table) or a source of the rules; `key`: the columns, or the record's
    key there. `read_at`: when a sync read it; None: a table's, which is as it is now. `chosen`: the profile takes it,
    of several the one that counts; of a list it takes all, and shows the newest.
    """

    attribute: str
    value: Any
    kind: Literal["table", "source"]
    source: str
    key: str
    read_at: datetime | None
    chosen: bool


@dataclass(frozen=True, slots=True)
class Provenance:
    """All values, by attribute; `unread`: relations that Consentry's own login may not read."""

    values: tuple[Value, ...]
    unread: tuple[str, ...]


async def provenance(connection: asyncpg.Connection, compiled: CompiledRules, subject: str) -> Provenance:
    """All of one moment. Raises ConsentryError: there is no ledger, or the subject is not of the key's type."""
    columns = {column.name: column for column in compiled.profile.columns} if compiled.profile is not None else {}
    kind = await subject_type(connection)
    found: list[Value] = []
    unread = []
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        for table in compiled.subject_tables:
            try:
                async with connection.transaction():
                    found += [
                        value
                        async for row in held.rows(connection, table, subject)
                        for value in _of_row(table, columns, json.loads(row))
                    ]
            except held.NotReadableError:
                unread.append(join_dotted(table.schema, table.name))
        with said_of(subject, kind):
            rows = await connection.fetch(
                "SELECT attribute, value, source, key, read_at, chosen FROM consentry.profile_values "
                f"WHERE subject = $1::text::{kind} ORDER BY attribute, chosen DESC, source, key",
                subject,
            )
    for name, value, source, key, read_at, chosen in rows:
        found.append(Value(name, json.loads(value), "source", source, key, read_at, chosen))
    marked = [replace(one, chosen=_chosen(one, columns.get(one.attribute), found)) for one in found]
    return Provenance(tuple(sorted(marked, key=lambda one: (one.attribute, not one.chosen))), tuple(unread))


def _of_row(table: SubjectTable, columns: dict[str, ProfileColumn], row: dict[str, Any]) -> Iterator[Value]:
    """A row's values; what the profile makes one object or entry of is one value."""
    key, relation = (table.schema, table.name), join_dotted(table.schema, table.name)
    together = {
        name: [at for place, at in column.choices if place == key]
        for name, column in columns.items()
        if column.kind != "column" and key in (place for place, _ in column.choices)
    }
    for attribute, names in together.items():
        if any(row[name] is not None for name in names):
            entry = {name: row[name] for name in names}
            yield Value(attribute, entry, "table", relation, ", ".join(names), None, False)
    for name, called in table.columns:
        for attribute in called:
            if row[name] is not None and name not in together.get(attribute, ()):
                yield Value(attribute, row[name], "table", relation, name, None, False)


def _chosen(one: Value, column: ProfileColumn | None, all_of_them: list[Value]) -> bool:
    """Whether the profile takes the value; without a profile, what sources say comes to what it comes to."""
    if column is None:
        return one.chosen
    if column.kind != "column":
        return one.chosen or any(_is_of(one, place, name) for place, name in column.choices)
    for place, name in column.choices:
        there = [other for other in all_of_them if other.attribute == column.name and _is_of(other, place, name)]
        if there:
            return one in there
    return False


def _is_of(one: Value, place: tuple[str, str], column: str) -> bool:
    """Whether it is what the profile's column is made of there."""
    if place == DATA:
        return one.kind == "source" and one.chosen
    return one.kind == "table" and one.source == join_dotted(*place) and column in one.key.split(", ")
