"""Corrects what is held of one customer (GDPR 16): an attribute, in every column that has it."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import asyncpg

from proxy.catalog.model import Snapshot
from proxy.errors import ConsentryError
from proxy.policy.names import quote_identifier, quote_relation
from proxy.policy.rights_table import Key
from proxy.policy.table import CompiledRules
from proxy.profile import correcting, tombstones
from proxy.rights import conditions
from proxy.rights.desk import Act, Desk, act
from proxy.rights.erasing import careful
from proxy.rights.places import Place, chosen, places, places_of

_ELSEWHERE = """
SELECT DISTINCT source FROM consentry.profile_values WHERE subject = $1::text::{kind} AND attribute = $2 ORDER BY 1"""


@dataclass(frozen=True, slots=True)
class Corrected:
    """One column. `rows`: how many have another value; `held`: how many rows the customer has there; `problem`: why it
    cannot be corrected; `now`: some of those values, as far as they go into a line.
    """

    place: Place
    rows: int = 0
    held: int = 0
    problem: str = ""
    now: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.place.name


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

    @property
    def to_choose(self) -> bool:
        """Whether it must be said which columns are meant: a table has several, or one cannot be corrected."""
        tables = [one.place.table.key for one in self.columns]
        return len(set(tables)) < len(tables) or any(one.problem for one in self.columns)

    @property
    def several_rows(self) -> bool:
        """Whether it must be said that all rows are meant."""
        return any(one.held > 1 for one in self.columns)


@dataclass(frozen=True, slots=True)
class Correction:
    """What is to be done: the attribute, and the value that is right, as text.

    `columns`: only there (schema.table.column, or the name of a source whose data lives here); none: wherever it is.
    `every_row`: where the customer has several rows in a table, all become the same.
    """

    attribute: str
    value: str
    columns: Sequence[str] = ()
    every_row: bool = False


async def survey(desk: Desk, subject: str, asked: Correction) -> Rectification:
    """What `rectify` would do. Errors as `rectify`."""
    subject, kind = await desk.key(subject), await desk.check(subject)
    async with careful(desk.connection, writes=False):
        return await _survey(desk, subject, kind, asked)


async def prospect(desk: Desk, subject: str, attribute: str, value: str) -> Rectification:
    """All that there is to choose from, with what is wrong with each; `held` of columns may be more than one.

    Raises ConsentryError where the attribute cannot be corrected at all.
    """
    subject, kind = await desk.key(subject), await desk.check(subject)
    found = places_of(desk.written, desk.rules, desk.snapshot, attribute)
    async with careful(desk.connection, writes=False):
        await _refuse_erased(desk, subject, kind)
        columns = []
        for place in found:
            try:
                async with desk.connection.transaction():
                    columns.append(await _look(desk, place, subject, value))
            except ConsentryError as error:
                columns.append(Corrected(place, problem=str(error)))
        return await _with_sources(desk, subject, kind, attribute, value, columns, None)


async def rectify(desk: Desk, subject: str, asked: Correction) -> Rectification:
    """Writes the value into all columns of the attribute, or into those that are chosen.

    Where a table has several columns of the attribute, or several rows of the customer's, it must be said that they all
    become the same. Raises ConsentryError: nothing was changed then; also where only sources have it that are read
    again and again, where a column says which customer it is, and where the customer was erased.
    """
    subject = await desk.key(subject)
    async with act(desk, "rectify", subject=subject) as under_way:
        return await rectify_in(under_way, subject, asked)


async def rectify_in(under_way: Act, subject: str, asked: Correction) -> Rectification:
    """The same, in an act about this customer."""
    desk = under_way.desk
    kind = await desk.check(subject)
    found = await _survey(desk, subject, kind, asked)
    if not found.rows:
        return found
    for one in found.columns:
        if one.rows:
            await desk.connection.execute(_update(one.place), subject, asked.value)
    changed = [{"column": one.name, "rows": one.rows} for one in found.columns]
    if found.records:
        sources = [one.source for one in found.records]
        await correcting.correct(
            desk.connection, desk.written, kind, subject, asked.attribute, asked.value, sources
        )  # fmt: skip
        changed += [{"source": one.source, "rows": one.rows} for one in found.records]
    told = {"attribute": asked.attribute, "tables": changed}
    return replace(found, receipt=await under_way.finish(told))


async def _survey(desk: Desk, subject: str, kind: str, asked: Correction) -> Rectification:
    columns, sources = chosen(desk.written, desk.rules, desk.snapshot, asked.attribute, asked.columns)
    await _refuse_erased(desk, subject, kind)
    found = []
    for place in columns:
        one = await _look(desk, place, subject, asked.value)
        if one.held > 1 and not asked.every_row:
            said = "--every-row, over HTTP `every_row`, changes them all"
            raise ConsentryError(f"{one.name} has {one.held} rows of this customer: {said}")
        found.append(one)
    made = await _with_sources(desk, subject, kind, asked.attribute, asked.value, found, sources)
    if made.elsewhere and not made.held:
        raise ConsentryError(f"{asked.attribute} of {subject} is in {', '.join(made.elsewhere)} only: correct it there")
    return made


async def _refuse_erased(desk: Desk, subject: str, kind: str) -> None:
    if await tombstones.of_subject(desk.connection, subject, kind):
        why = "what is kept of them stays as it is; who registered again is let in by `subject readmit`"
        raise ConsentryError(f"nothing was changed: customer {subject} was erased: {why}")


async def _look(desk: Desk, place: Place, subject: str, value: str) -> Corrected:
    """What the customer has in one column. Raises ConsentryError: it cannot be corrected."""
    if place.several:
        raise ConsentryError(f"{place.name} is a document with several attributes: an app of yours is to change it")
    try:
        row = await desk.connection.fetchrow(_count(place), subject, value)
    except (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError) as error:
        said = f"{place.name} ({place.column.type_name}) does not take this value"
        raise ConsentryError(f"nothing was changed: {said}") from error
    assert row is not None  # it counts
    return Corrected(place, row["rows"], row["held"], now=tuple(row["now"]))


async def _with_sources(
    desk: Desk,
    subject: str,
    kind: str,
    attribute: str,
    value: str,
    columns: Sequence[Corrected],
    sources: Collection[str] | None,
) -> Rectification:
    """With what sources have of it. `sources`: those of which it is to be corrected; None: all that it can be."""
    records = await correcting.survey(desk.connection, desk.written, kind, subject, attribute, value)
    if sources is not None:
        records = [one for one in records if one.source in sources]
        missing = sorted(set(sources) - {one.source for one in records})
        if missing:
            said = f"{attribute} of {subject} is not to be corrected here for {', '.join(missing)}"
            raise ConsentryError(f"{said}: a source that is still read is corrected where it is")
    told = await desk.connection.fetch(_ELSEWHERE.format(kind=kind), subject, attribute)
    elsewhere = [row["source"] for row in told if row["source"] not in {one.source for one in records}]
    return Rectification(tuple(columns), tuple(records), tuple(elsewhere))


def _other(one: Place) -> str:
    """Rows of the customer's with another value than $2. As text: not every type has an equality."""
    column = conditions.column(one.table.key, one.column.name)
    return f"{column}::pg_catalog.text IS DISTINCT FROM ({_value(one)})::pg_catalog.text"


def _value(one: Place) -> str:
    """$2 in the column's type, without its length: an explicit cast would cut what is too long, and say nothing."""
    shown = re.sub(r"\(.*?\)", "", one.column.type_name)
    return f"$2::pg_catalog.text::{'pg_catalog.bpchar' if shown == 'character' else shown}"


def _own(one: Place) -> str:
    assert one.table.subject is not None
    return conditions.of_subject(one.table.key, one.table.subject, one.table.family)


def _count(one: Place) -> str:
    relation, column = quote_relation(one.table.key), conditions.column(one.table.key, one.column.name)
    now = correcting.some(f"{column}::pg_catalog.text", _other(one))
    counts = f"count(*) AS held, count(*) FILTER (WHERE {_other(one)}) AS rows, {now} AS now"
    return f"SELECT {counts} FROM {relation} WHERE {_own(one)}"


def _update(one: Place) -> str:
    relation, name = quote_relation(one.table.key), quote_identifier(one.column.name)
    return f"UPDATE {relation} SET {name} = {_value(one)} WHERE {_own(one)} AND {_other(one)}"


def rights(rules: CompiledRules, snapshot: Snapshot) -> tuple[str, ...]:
    """What rectifying needs, as GRANT takes it."""
    found: dict[Key, dict[str, None]] = {}
    for _, place in places(rules, snapshot):
        if not place.leads:
            found.setdefault(place.table.key, {})[place.column.name] = None
    return tuple(
        f"UPDATE ({', '.join(map(quote_identifier, names))}) ON {quote_relation(key)}" for key, names in found.items()
    )
