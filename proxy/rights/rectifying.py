"""Corrects what is held of one customer (GDPR 16): an attribute, in every column that has it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import asyncpg

from proxy.catalog.model import Column, Snapshot
from proxy.errors import ConsentryError
from proxy.policy import mapped_sources
from proxy.policy.names import join_dotted, quote_identifier, split_column
from proxy.policy.rights_table import ErasedTable
from proxy.policy.rules import Rules
from proxy.policy.table import CompiledRules
from proxy.profile import correcting
from proxy.rights import conditions
from proxy.rights.desk import Desk, act
from proxy.rights.erasing import careful
from proxy.rights.plan import rights_of

_ELSEWHERE = """
SELECT DISTINCT source FROM consentry.profile_values WHERE subject = $1::text::{kind} AND attribute = $2 ORDER BY 1"""


@dataclass(frozen=True, slots=True)
class Corrected:
    """One column. `rows`: how many have another value; `held`: how many rows the customer has there."""

    table: ErasedTable
    column: Column
    rows: int = 0
    held: int = 0

    @property
    def name(self) -> str:
        return join_dotted(*self.table.key, self.column.name)


@dataclass(frozen=True, slots=True)
class Rectification:
    """What was, or would be, done. `records`: of sources whose data lives here; `elsewhere`: other sources that have
    the attribute, and keep what they have.
    """

    columns: tuple[Corrected, ...]
    records: tuple[correcting.Corrected, ...]
    elsewhere: tuple[str, ...]
    receipt: Mapping[str, Any] | None = None

    @property
    def rows(self) -> int:
        return sum(one.rows for one in self.columns) + sum(one.rows for one in self.records)

    @property
    def held(self) -> bool:
        """Whether the customer has anything of the attribute here."""
        return any(one.held for one in self.columns) or bool(self.records)


async def rectify(
    desk: Desk, subject: str, attribute: str, value: str, *, column: str | None, every_row: bool, dry_run: bool
) -> Rectification:
    """Writes the value, as text, into all columns of the attribute, or into `column` (schema.table.column) only.

    Where a table has several columns of the attribute, or several rows of the customer's, it must be said that they all
    become the same: by `column`, by `every_row`. Raises ConsentryError: nothing was changed then; also where only
    sources have it that are read again and again.
    """
    chosen = columns_of(desk.written, desk.rules, desk.snapshot, attribute, column)
    everywhere = column is None
    kind = await desk.check(subject)
    if dry_run:
        async with careful(desk.connection, writes=False):
            return await _survey(desk, subject, kind, attribute, value, chosen, every_row, everywhere)
    async with act(desk, "rectify") as under_way:
        await desk.lock(subject)
        found = await _survey(desk, subject, kind, attribute, value, chosen, every_row, everywhere)
        if not found.rows:
            return found
        for one in found.columns:
            if one.rows:
                await desk.connection.execute(_update(one), subject, value)
        changed = [{"column": one.name, "rows": one.rows} for one in found.columns]
        if found.records:
            await correcting.correct(desk.connection, desk.written, kind, subject, attribute, value)
            changed += [{"source": one.source, "rows": one.rows} for one in found.records]
        told = {"attribute": attribute, "tables": changed}
        return replace(found, receipt=await under_way.finish(told))


def columns_of(
    written: Rules, rules: CompiledRules, snapshot: Snapshot, attribute: str, column: str | None = None
) -> list[Corrected]:
    """Where the attribute is; nowhere, if only sources have it. Raises ConsentryError: nobody has it, or it is not in
    that column, or it is not plain where.
    """
    tables = [table for table in rights_of(rules).tables.values() if _has_rows(table, snapshot)]
    found = [one for table in tables for one in _columns(table, attribute)]
    if column is not None:
        try:
            wanted = split_column(column)
        except ValueError as error:
            raise ConsentryError(str(error)) from error
        found = [one for one in found if (*one.table.key, one.column.name) == wanted]
    if not found and (column is not None or attribute not in mapped_sources.kept(written)):
        where = f" in {column}" if column is not None else " in a column of a customer's"
        raise ConsentryError(f"attribute {attribute} is not{where}")
    for table in {one.table.key for one in found}:
        names = [one.name for one in found if one.table.key == table]
        if len(names) > 1:
            raise ConsentryError(f"attribute {attribute} has several columns: choose with --column: {', '.join(names)}")
    return found


def _has_rows(table: ErasedTable, snapshot: Snapshot) -> bool:
    return table.subject is not None and snapshot.relations[table.key].kind in "rpf"


def _columns(table: ErasedTable, attribute: str) -> Iterator[Corrected]:
    for column, attributes in table.columns:
        if attribute in attributes and not column.generated:
            yield Corrected(table, column)


async def _survey(
    desk: Desk,
    subject: str,
    kind: str,
    attribute: str,
    value: str,
    chosen: list[Corrected],
    every_row: bool,
    everywhere: bool,
) -> Rectification:
    found = []
    for one in chosen:
        if len(dict(one.table.columns)[one.column]) > 1:
            raise ConsentryError(f"{one.name} is a document with several attributes: an app of yours is to change it")
        try:
            row = await desk.connection.fetchrow(_count(one), subject, value)
        except (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError) as error:
            said = f"{one.name} ({one.column.type_name}) does not take this value"
            raise ConsentryError(f"nothing was changed: {said}") from error
        assert row is not None  # it counts
        if row["held"] > 1 and not every_row:
            raise ConsentryError(f"{one.name} has {row['held']} rows of this customer: --every-row changes them all")
        found.append(replace(one, rows=row["rows"], held=row["held"]))
    records: list[correcting.Corrected] = []
    if everywhere:
        records = await correcting.survey(desk.connection, desk.written, kind, subject, attribute, value)
    told = await desk.connection.fetch(_ELSEWHERE.format(kind=kind), subject, attribute)
    elsewhere = [row["source"] for row in told if row["source"] not in {one.source for one in records}]
    made = Rectification(tuple(found), tuple(records), tuple(elsewhere))
    if elsewhere and not made.held:
        raise ConsentryError(f"{attribute} of {subject} is in {', '.join(elsewhere)} only: correct it there")
    return made


def _other(one: Corrected) -> str:
    """Rows of the customer's with another value than $2. As text: not every type has an equality."""
    column = conditions.column(one.table.key, one.column.name)
    return f"{column}::pg_catalog.text IS DISTINCT FROM ({_value(one)})::pg_catalog.text"


def _value(one: Corrected) -> str:
    """$2 in the column's type, without its length: an explicit cast would cut what is too long, and say nothing."""
    shown = re.sub(r"\(.*?\)", "", one.column.type_name)
    return f"$2::pg_catalog.text::{'pg_catalog.bpchar' if shown == 'character' else shown}"


def _own(one: Corrected) -> str:
    assert one.table.subject is not None
    return conditions.of_subject(one.table.key, one.table.subject, one.table.family)


def _count(one: Corrected) -> str:
    relation = conditions.relation(one.table.key)
    return f"SELECT count(*) AS held, count(*) FILTER (WHERE {_other(one)}) AS rows FROM {relation} WHERE {_own(one)}"


def _update(one: Corrected) -> str:
    relation, name = conditions.relation(one.table.key), quote_identifier(one.column.name)
    return f"UPDATE {relation} SET {name} = {_value(one)} WHERE {_own(one)} AND {_other(one)}"


def rights(rules: CompiledRules, snapshot: Snapshot) -> tuple[str, ...]:
    """What rectifying needs, as GRANT takes it."""
    found: dict[str, None] = {}
    for table in rights_of(rules).tables.values():
        names = [column.name for column, attributes in table.columns if attributes and not column.generated]
        if names and _has_rows(table, snapshot):
            listed = ", ".join(quote_identifier(name) for name in names)
            found[f"UPDATE ({listed}) ON {conditions.relation(table.key)}"] = None
    return tuple(found)
