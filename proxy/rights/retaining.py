"""Erases or anonymises what is past (`retention` in the rules), some rows a transaction, each with a record."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from proxy.audit.acts import Acts, acting
from proxy.consent import locks
from proxy.consent.service import subject_type
from proxy.policy.names import join_dotted, quote_relation
from proxy.policy.rights_table import ErasedTable, Replacement, RetainedTable
from proxy.profile import expiry, merging, staging
from proxy.rights import conditions, erasing, erasure, plan
from proxy.rights.desk import Desk, act
from proxy.rights.erasing import TableOutcome, careful
from proxy.rights.keys import ForeignKey, foreign_keys
from proxy.rights.plan import CannotEraseError, Plan, Step

BATCH: Final = 1000
_RECORDS: Final = "consentry.profile_records"
_EQ: Final = "OPERATOR(pg_catalog.=)"
# Rows of a batch: $1 their tables' oids, $2 their places as texts.
_PLACES: Final = "$2::pg_catalog.text[]::pg_catalog.tid[]"
_BATCH: Final = f"SELECT * FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.oid[]), pg_catalog.unnest({_PLACES}))"

Place = tuple[int, str]
Select = Callable[[ErasedTable], str | None]  # SQL that is true of the rows in question; None where there are none


@dataclass(frozen=True, slots=True)
class Passed:
    """What one entry of `retention` came to. `rows`: by table; `left`: why some rows stayed, and how many; of a dry run
    what is in the way of some, and how much.
    """

    entry: str
    rows: Mapping[str, int]
    left: Mapping[str, int]


async def run(desk: Desk, *, dry_run: bool, batch: int = BATCH) -> AsyncIterator[Passed]:
    """Entry by entry: whole rows, then attributes. What cannot go stays, and is told; the rest goes.

    `dry_run`: each as it would come out after those before it, were nothing in the way of any row.
    A table whose primary key names the customer: the customer is erased, as `erasure.erase` does.
    Raises CannotEraseError where the rules do not say it all.
    """
    rights = plan.rights_of(desk.rules)
    wrong = [f"{join_dotted(*one.table)}: {reason}" for one in rights.retained for reason in one.wrong]
    if wrong:
        raise CannotEraseError(wrong)
    keys = await foreign_keys(desk.connection)
    before: list[Step] = []
    for entry in rights.retained:
        name = join_dotted(*entry.table) + (f": {entry.attribute}" if entry.attribute else "")
        table = _with_attribute(rights.tables[entry.table], entry)
        customers = _names_customers(desk, table, entry)
        left: Mapping[str, int] = {}
        if dry_run:
            select = _of_customers(table, entry) if customers else None
            made = _plan(desk, table, entry, keys, _step(table, _past(table, entry)).goes, select)
            rows, left = await _would(desk, made, before)
            before += made.steps
        elif customers:
            rows, left = await _customers(desk, table, entry)
        else:
            rows, left = await _batches(desk, table, entry, keys, batch)
        yield Passed(name, rows, left)
    for one in expiry.kept(desk.written):
        yield Passed(f"{one.source}: {one.attribute}", {_RECORDS: await _entries(desk, one, dry_run=dry_run)}, {})


async def _entries(desk: Desk, one: expiry.Kept, *, dry_run: bool) -> int:
    """Entries of what a source says that are past; all of them in one transaction."""
    if dry_run:
        async with careful(desk.connection, writes=False):
            return await expiry.count(desk.connection, one)
    async with act(desk, "retention") as under_way:
        await desk.connection.execute(locks.WRITING)
        await staging.begin(desk.connection)
        count = await expiry.remove(desk.connection, one)
        if count:
            await merging.merge(desk.connection, desk.written, await subject_type(desk.connection))
            facts = {"relation": _RECORDS, "action": "anonymise", "rows": count}
            await under_way.finish({"period": one.period, "attribute": one.attribute, "tables": [facts]})
        return count


def _with_attribute(table: ErasedTable, entry: RetainedTable) -> ErasedTable:
    """The table as the entry has it: of an attribute its columns only."""
    if entry.attribute is None:
        return table
    return replace(table, action="anonymise", replacements=entry.replacements)


def _names_customers(desk: Desk, table: ErasedTable, entry: RetainedTable) -> bool:
    key = desk.snapshot.relations[table.key].primary_key
    return entry.attribute is None and table.subject is not None and key == (table.subject.column,)


def _plan(
    desk: Desk,
    table: ErasedTable,
    entry: RetainedTable,
    keys: Sequence[ForeignKey],
    chosen: str,
    of: Select | None = None,
) -> Plan:
    """`chosen`: SQL that is true of the rows of the table; those of others go with it that are reached through it, or
    that `of` says.
    """
    if entry.attribute is not None:
        return Plan((_step(table, chosen),))

    def select(one: ErasedTable) -> str | None:
        way = [(step.schema, step.table) for step in one.subject.steps] if one.subject else []
        if one.key != table.key and table.key not in way:
            return None
        return conditions.reach(one.key, one.subject, table.key, chosen)

    return plan.make_plan(desk.rules, desk.snapshot, keys, of or select)


def _step(table: ErasedTable, rows: str) -> Step:
    return Step(table, rows, tuple((one.reason, conditions.kept(table.key, table.subject, one)) for one in table.kept))


def _of_customers(table: ErasedTable, entry: RetainedTable) -> Select:
    """Every row of the customers who are past."""
    assert table.subject is not None
    step = _step(table, _past(table, entry))
    key = conditions.column(table.key, table.subject.column)
    subjects = f"SELECT {key}::pg_catalog.text FROM {step.relation} WHERE {step.goes}"

    def select(one: ErasedTable) -> str | None:
        return None if one.subject is None else f"{conditions.subject_of(one.key, one.subject)} {_EQ} ANY ({subjects})"

    return select


async def _would(desk: Desk, made: Plan, before: Sequence[Step]) -> tuple[dict[str, int], dict[str, int]]:
    """How many rows, and what is in the way; not those with which nothing is to be done any more after `before`."""
    async with careful(desk.connection, writes=False):
        counts = [await erasing.count(desk.connection, _after(before, step), (), lock=False) for step in made.steps]
        in_the_way = [(one.said, await desk.connection.fetchval(one.query)) for one in made.obstacles]
    rows = {one.relation: one.rows for one in counts}
    return rows, {said.format(count): count for said, count in in_the_way if count}


def _after(before: Sequence[Step], step: Step) -> Step:
    """The step with the rows that those leave it."""
    rows, earlier = [f"({step.rows})"], [one for one in before if one.table.key == step.table.key]
    rows += [f"(({one.goes}) IS NOT TRUE)" for one in earlier if one.table.action == "delete"]
    if step.table.action == "anonymise":
        rows.append(f"({' OR '.join(_left(earlier, one, step) for one in step.table.replacements) or 'false'})")
    return replace(step, rows=" AND ".join(rows))


def _left(earlier: Sequence[Step], column: Replacement, step: Step) -> str:
    """Rows of which those leave the column to be changed."""
    changed = [f"({conditions.changed(step.table.key, (column,))})"]
    changed += [
        f"(({one.goes}) IS NOT TRUE)"
        for one in earlier
        if one.table.action == "anonymise" and column.column in [other.column for other in one.table.replacements]
    ]
    return f"({' AND '.join(changed)})"


async def _batches(
    desk: Desk, table: ErasedTable, entry: RetainedTable, keys: Sequence[ForeignKey], batch: int
) -> tuple[dict[str, int], dict[str, int]]:
    name = quote_relation(table.key)
    chosen = f"({name}.ctid {_EQ} ANY ({_PLACES}) AND ({name}.tableoid, {name}.ctid) IN ({_BATCH}))"
    made = _plan(desk, table, entry, keys, chosen)
    goes = replace(next(step for step in made.steps if step.table.key == table.key), rows=_past(table, entry)).goes
    query = (
        f"SELECT {name}.tableoid::pg_catalog.int8, {name}.ctid::pg_catalog.text FROM {name} WHERE {goes} "
        f"AND ({name}.tableoid, {name}.ctid) NOT IN ({_BATCH}) "
        f"LIMIT {batch} FOR UPDATE SKIP LOCKED"
    )
    total = {step.name: 0 for step in made.steps}
    left: dict[str, int] = {}
    stuck: list[Place] = []
    with acting(desk.audit) as acts:
        size = 1  # until a first batch has shown that something is there
        while size:
            size = await _batch(desk, made, entry, query, stuck, left, total, acts)
    return total, left


async def _batch(
    desk: Desk,
    made: Plan,
    entry: RetainedTable,
    query: str,
    stuck: list[Place],
    left: dict[str, int],
    total: dict[str, int],
    acts: Acts,
) -> int:
    """One transaction; how many rows it looked at. Rows that cannot go are added to `stuck` and told in `left`."""
    async with act(desk, "retention", opened=acts) as under_way:
        rows = await desk.connection.fetch(query, *_places(stuck))
        done: list[TableOutcome] = []
        waiting = [[(row[0], row[1]) for row in rows]] if rows else []
        while waiting:
            places = waiting.pop()
            try:
                async with desk.connection.transaction():
                    found = await erasing.survey(desk.connection, made, _places(places), lock=True)
                    done += await erasing.carry_out(desk.connection, made, _places(places), found)
            except CannotEraseError as error:
                half = len(places) // 2
                if half:
                    waiting += [places[:half], places[half:]]
                else:
                    stuck += places
                    for reason in error.reasons:
                        left[reason] = left.get(reason, 0) + 1
        counts: dict[str, int] = {}
        for one in done:
            counts[one.relation] = counts.get(one.relation, 0) + one.rows
            total[one.relation] = total.get(one.relation, 0) + one.rows
        if any(counts.values()):
            tables = [
                {"relation": step.name, "action": step.table.action, "rows": counts[step.name]}
                for step in made.steps
                if counts.get(step.name)
            ]
            await under_way.finish({"period": entry.period, "attribute": entry.attribute, "tables": tables})
    return len(rows)


async def _customers(desk: Desk, table: ErasedTable, entry: RetainedTable) -> tuple[dict[str, int], dict[str, int]]:
    """Customers who are past, one after another."""
    assert table.subject is not None
    step = _step(table, _past(table, entry))
    key = conditions.column(table.key, table.subject.column)
    async with careful(desk.connection, writes=False):
        query = f"SELECT {key}::pg_catalog.text FROM {step.relation} WHERE {step.goes} ORDER BY {key}"
        subjects = [row[0] for row in await desk.connection.fetch(query)]
    theirs = conditions.of_subject(table.key, table.subject, table.family)
    still = f"SELECT EXISTS (SELECT FROM {step.relation} WHERE {step.goes} AND {theirs})"
    total = {step.name: 0}
    left: dict[str, int] = {}
    with acting(desk.audit) as acts:
        for subject in subjects:
            async with careful(desk.connection, writes=False):
                if not await desk.connection.fetchval(still, subject):
                    continue  # they came back meanwhile
            try:
                done = await erasure.erase(desk, subject, acts)
            except CannotEraseError as error:
                for reason in error.reasons:
                    left[reason] = left.get(reason, 0) + 1
                continue
            for one in done.tables:
                total[one.relation] = total.get(one.relation, 0) + one.rows
    return total, left


def _past(table: ErasedTable, entry: RetainedTable) -> str:
    return conditions.past(table.key, table.subject, entry.by, entry.period)


def _places(places: Sequence[Place]) -> tuple[list[int], list[str]]:
    return [oid for oid, _ in places], [place for _, place in places]
