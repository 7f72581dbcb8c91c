"""Brings what other sources know of customers into the profile, and can run again after any failure.

A source whose records come in the order of a cursor is read in batches: each is one transaction, with its cursor. Any
other is read whole, in one transaction. What is read is compared with what is kept: the same again changes nothing, so
a sync that was killed is simply run again. Where a source is not as the rules say, nothing of that transaction is kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import asyncpg

from proxy.catalog.connect import connected
from proxy.catalog.introspect import take_snapshot
from proxy.config import Configuration
from proxy.consent.service import subject_type
from proxy.errors import ConsentryError
from proxy.policy.compile import compile_rules
from proxy.policy.rules import Rules
from proxy.policy.sources import Source
from proxy.policy.table import CompiledRules
from proxy.profile import matching, merging, own, relation, shape, staging, values
from proxy.profile.records import Mapping, Row
from proxy.profile.sources.opening import open_reader, wanted
from proxy.profile.sources.reading import Reader, SourceError
from proxy.profile.staging import Compared, Counts
from proxy.profile.tombstones import WRITING

BATCH: Final = 5000
_SYNCING: Final = 0x636F6E7373796E63  # one sync of a database at a time

Progress = Callable[[str, int], None]  # source, records read so far


@dataclass(slots=True)
class Synced:
    """What became of one source. `unchanged`: its file is the one of the last sync, and was not read.

    `cut_over`: since when its data lives here, and it is not read. `compared`: of a plan with `once`.
    """

    source: str
    counts: Counts = field(default_factory=Counts)
    unchanged: bool = False
    cut_over: datetime | None = None
    compared: tuple[Compared, ...] = ()
    error: ConsentryError | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """A sync: of one database by its rules.

    `full`: read from the start; `accept`: let many records go; `once`: read each source whole, and compare what is
    kept with what was read.
    """

    configuration: Configuration
    database: str
    rules: Rules
    compiled: CompiledRules
    full: bool = False
    accept: bool = False
    once: bool = False


async def sync(
    connection: asyncpg.Connection,
    plan: Plan,
    dsn: str,
    chosen: Collection[str] = (),
    progress: Progress | None = None,
) -> list[Synced]:
    """Syncs the chosen sources, or all: those that name customers by key first, for others are matched with them.

    `dsn` is the connection's own: a second one holds the lock. A source with an error leaves what is kept of it, and
    the others go on. Raises ConsentryError where nothing can be done: another sync runs, columns are missing.
    """
    sources = plan.rules.sources
    for name in chosen:
        if name not in sources:
            raise ConsentryError(f'the rules have no source "{name}"; they have: {", ".join(sources)}')
    names = sorted(chosen or sources, key=lambda name: sources[name].match is not None)
    async with _alone(dsn):
        kind = await subject_type(connection)
        await _prepare(connection, plan, kind)
        done = []
        for name in names:
            synced = Synced(name)
            done.append(synced)
            try:
                await _One(connection, plan, name, kind, progress).run(synced)
            except ConsentryError as error:
                synced.error = error
                await _note(connection, name, error)
        await _rematch(connection, plan, kind)
    return done


@asynccontextmanager
async def _alone(dsn: str) -> AsyncIterator[None]:
    """Holds the lock in a transaction of its own, which a pooler leaves on one connection."""
    async with connected(dsn) as holding, holding.transaction():
        await holding.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        if not await holding.fetchval("SELECT pg_try_advisory_xact_lock($1)", _SYNCING):
            raise ConsentryError("another sync of this database is running: wait for its end")
        yield


async def _prepare(connection: asyncpg.Connection, plan: Plan, kind: str) -> None:
    """Columns, precedence and the database's own customers, as they are now."""
    made = await shape.follow(connection, plan.rules)
    if made:
        snapshot = await take_snapshot(connection)
        await relation.follow(connection, compile_rules(plan.rules, snapshot), snapshot)
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", WRITING)
        await staging.begin(connection)
        await own.read(connection, plan.rules, plan.compiled)
        if await merging.follow_precedence(connection, plan.rules) or made:
            await merging.affect_all(connection)
            await merging.merge(connection, plan.rules, kind)


async def _rematch(connection: asyncpg.Connection, plan: Plan, kind: str) -> None:
    """Records that wait may be somebody's now."""
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", WRITING)
        await staging.begin(connection)
        await matching.touch_waiting(connection)
        await matching.match(connection, kind, making(plan.rules))
        await merging.merge(connection, plan.rules, kind)


async def cut_over(connection: asyncpg.Connection, done: Collection[Synced]) -> None:
    """From now on the data of these sources lives here. Raises ConsentryError where one is not wholly here."""
    for one in done:
        differing = [compared.attribute for compared in one.compared if not compared.same]
        if one.error is not None or differing:
            why = str(one.error or f"{', '.join(differing)} differ")
            raise ConsentryError(f"nothing is cut over: {one.source}: {why}")
    await connection.execute(
        "UPDATE consentry.profile_sources SET cut_over_at = now() WHERE cut_over_at IS NULL AND name = ANY ($1)",
        [one.source for one in done],
    )


def making(rules: Rules) -> list[str]:
    """The sources that make customers of whom nobody knows."""
    return [name for name, one in rules.sources.items() if one.match is not None and one.match.unmatched == "new"]


async def _note(connection: asyncpg.Connection, name: str, error: ConsentryError) -> None:
    await connection.execute(
        "INSERT INTO consentry.profile_sources (name, tried_at, error) VALUES ($1, now(), $2) "
        "ON CONFLICT (name) DO UPDATE SET tried_at = excluded.tried_at, error = excluded.error",
        name,
        str(error),
    )


class _One:
    """The sync of one source."""

    def __init__(
        self, connection: asyncpg.Connection, plan: Plan, name: str, kind: str, progress: Progress | None
    ) -> None:
        self._connection = connection
        self._plan = plan
        self._name = name
        self._source: Source = plan.rules.sources[name]
        self._kind = kind
        self._tell = progress or (lambda _name, _count: None)
        self._mapping_hash = hashlib.sha256(repr(self._source).encode()).hexdigest()

    async def run(self, synced: Synced) -> None:
        """Raises ConsentryError; what is kept is then as it was, or as a batch before left it."""
        state = await self._connection.fetchrow("SELECT * FROM consentry.profile_sources WHERE name = $1", self._name)
        if state is not None and state["cut_over_at"] is not None:
            synced.cut_over = state["cut_over_at"]
            return
        reader = open_reader(self._plan.configuration, self._plan.database, self._name)
        anew = self._plan.full or self._plan.once or state is None or state["mapping"] != self._mapping_hash
        content = reader.content()
        if not anew and content is not None and state is not None and state["content"] == content:
            synced.unchanged = True
            await self._finish(None, content)
            return
        mapping = Mapping(self._name, self._source, reader.unit, self._kind)
        if self._source.cursor is not None and reader.follows_cursor and not self._plan.once:
            stored = state["cursor"] if state is not None else None
            await self._by_cursor(reader, mapping, None if anew else stored, stored, synced.counts)
        else:
            await self._whole(reader, mapping, content, synced)

    async def _whole(self, reader: Reader, mapping: Mapping, content: str | None, synced: Synced) -> None:
        last = None
        async with self._connection.transaction():
            await staging.begin(self._connection)
            async for rows, cursor in self._read(reader, mapping, None, synced.counts):
                await staging.add(self._connection, rows)
                last = cursor if reader.follows_cursor else None
            await self._write(reader, synced.counts)
            if self._source.deletes == "missing":
                await staging.delete_missing(self._connection, self._name, synced.counts, accept=self._plan.accept)
            if self._plan.once:
                synced.compared = await staging.compare(self._connection, self._name)
            await self._merge()
            await self._finish(last, content)

    async def _by_cursor(
        self, reader: Reader, mapping: Mapping, after: str | None, stored: str | None, counts: Counts
    ) -> None:
        seen: set[str] = set()
        async with aclosing(self._read(reader, mapping, after, counts)) as batches:
            async for rows, cursor in batches:
                for row in rows:
                    if row[1] in seen:
                        raise SourceError(self._name, f"{reader.unit} {row[0]}: an earlier one has the same key")
                    seen.add(row[1])
                async with self._connection.transaction():
                    await staging.begin(self._connection)
                    await staging.add(self._connection, rows)
                    await self._write(reader, counts)
                    await self._merge()
                    await self._advance(stored, cursor)
                stored = cursor
        async with self._connection.transaction():
            if self._source.deletes == "missing":
                await staging.begin(self._connection)
                await self._stage_keys(reader, seen if after is None else None)
                await self._lock()
                await staging.delete_missing(self._connection, self._name, counts, accept=self._plan.accept)
                await self._merge()
            await self._finish(stored, None)

    async def _read(
        self, reader: Reader, mapping: Mapping, after: str | None, counts: Counts
    ) -> AsyncGenerator[tuple[list[Row], str | None]]:
        """Batches of rows, each with the cursor after it."""
        rows: list[Row] = []
        cursor = after
        found: set[str] = set()
        asked = wanted(self._name, self._source, after)
        async with aclosing(reader.records(asked)) as records:
            async for record in records:
                found.update(record.values)
                rows.append(mapping.row(record))
                cursor = mapping.cursor(record) or cursor
                counts.read += 1
                if len(rows) == BATCH:
                    self._tell(self._name, counts.read)
                    yield rows, cursor
                    rows = []
        absent = [name for name in asked.fields if name not in found]
        if absent and counts.read and after is None and not reader.complete_fields:
            raise SourceError(self._name, f'no record has the field "{absent[0]}"')
        self._tell(self._name, counts.read)
        if rows:
            yield rows, cursor

    async def _stage_keys(self, reader: Reader, read: Collection[str] | None) -> None:
        """All keys that the source has: those that were just read, where that was all; else they are asked for."""
        keys = read
        if keys is None:
            keys = [values.text(key) async for key in reader.keys(wanted(self._name, self._source))]
        rows: list[Row] = [(0, key, None, "{}", "[]", b"", False) for key in keys]
        await staging.add(self._connection, rows)
        await staging.index(self._connection)

    async def _lock(self) -> None:
        await self._connection.execute("SELECT pg_advisory_xact_lock($1)", WRITING)

    async def _write(self, reader: Reader, counts: Counts) -> None:
        await staging.check_keys(self._connection, self._name, reader.unit)
        await self._lock()
        await staging.write(self._connection, self._name, self._kind, counts)
        await matching.match(self._connection, self._kind, making(self._plan.rules))

    async def _merge(self) -> None:
        await merging.merge(self._connection, self._plan.rules, self._kind)

    async def _advance(self, stored: str | None, cursor: str | None) -> None:
        """Notes how far the source is read, in the transaction of what was read; `stored` is what was noted before."""
        found = await self._connection.fetchval(
            "INSERT INTO consentry.profile_sources AS s (name, mapping, cursor) VALUES ($1, $2, $3) "
            "ON CONFLICT (name) DO UPDATE SET mapping = excluded.mapping, cursor = excluded.cursor "
            "WHERE s.cursor IS NOT DISTINCT FROM $4 RETURNING true",
            self._name,
            self._mapping_hash,
            cursor,
            stored,
        )
        if found is None:
            raise SourceError(self._name, "another sync went on with it meanwhile")

    async def _finish(self, cursor: str | None, content: str | None) -> None:
        await self._connection.execute(
            "INSERT INTO consentry.profile_sources AS s (name, mapping, cursor, content, tried_at, synced_at) "
            "VALUES ($1, $2, $3, $4, now(), now()) ON CONFLICT (name) DO UPDATE SET mapping = excluded.mapping, "
            "cursor = excluded.cursor, content = excluded.content, tried_at = excluded.tried_at, "
            "synced_at = excluded.synced_at, error = NULL",
            self._name,
            self._mapping_hash,
            cursor,
            content,
        )
