"""The sync of one source: what it has is compared with what is kept, and written with how far that is.

A source with a cursor is read in batches; one that is followed by replication, whole once, and then by its changes; any
other whole. Where a source is not as the rules say, nothing of that transaction is kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, Callable, Collection
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import asyncpg

from proxy.catalog.connect import ended
from proxy.config import Configuration
from proxy.consent import locks
from proxy.errors import ConsentryError
from proxy.policy.rules import Rules
from proxy.policy.sources import Source
from proxy.policy.table import CompiledRules
from proxy.profile import expiry, matching, merging, own, staging, values
from proxy.profile.records import Mapping, Row, bare
from proxy.profile.refused import refusal
from proxy.profile.sources.opening import open_followed, open_reader, wanted
from proxy.profile.sources.pgoutput import Changes
from proxy.profile.sources.reading import Reader, Record, SourceError
from proxy.profile.sources.replication import Following, ReplicatedReader
from proxy.profile.staging import Compared, Counts

BATCH: Final = 5000
_QUIET: Final = 16 * 2**20  # bytes of a source's log without a change that matters, which its slot may hold for nothing

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


def making(rules: Rules) -> list[str]:
    """The sources that make customers of whom nobody knows."""
    return [name for name, one in rules.sources.items() if one.match is not None and one.match.unmatched == "new"]


class OneSource:
    """The sync of one source, with others kept from it (`sync`)."""

    def __init__(
        self, connection: asyncpg.Connection, plan: Plan, name: str, kind: str, progress: Progress | None = None
    ) -> None:
        self._connection = connection
        self._plan = plan
        self._name = name
        self._source: Source = plan.rules.sources[name]
        self._kind = kind
        self._tell = progress or (lambda _name, _count: None)
        self._mapping_hash = ""

    async def run(self, synced: Synced) -> None:
        """Raises ConsentryError; what is kept is then as it was, or as a batch before left it."""
        try:
            await self._bring(synced)
        except asyncpg.PostgresError as error:
            why = None if ended(error) else refusal(error)
            if why is None:
                raise
            raise SourceError(self._name, why) from error

    async def _bring(self, synced: Synced) -> None:
        state = await self._state()
        if state is not None and state["cut_over_at"] is not None:
            synced.cut_over = state["cut_over_at"]
            return
        followed = self._followed()
        reader = followed or open_reader(self._plan.configuration, self._plan.database, self._name)
        anew = self._plan.full or self._plan.once or state is None or state["mapping"] != self._mapping_hash
        content = reader.content()
        if not anew and content is not None and state is not None and state["content"] == content:
            synced.unchanged = True
            await self._finish(None, content)
            return
        mapping = Mapping(self._name, self._source, reader.unit, self._kind)
        stored = state["cursor"] if state is not None else None
        if followed is not None:
            await self._follow(followed, mapping, state if not anew else None, synced)
        elif self._source.cursor is not None and reader.follows_cursor and not self._plan.once:
            await self._by_cursor(reader, mapping, None if anew else stored, stored, synced.counts)
        else:
            await self._whole(reader, mapping, content, synced)

    async def pending(self) -> bool:
        """Whether the source is followed by replication, and something changed since its last sync. Raises as `run`."""
        state, followed = await self._state(), self._followed()
        if state is None or state["mapping"] != self._mapping_hash or state["cut_over_at"] is not None:
            return False
        if followed is None:
            return False
        async with followed.following(wanted(self._name, self._source)) as following:
            if following.published != state["content"]:
                return True
            await following.let_go(int(state["cursor"]))
            changes = await following.changes(BATCH)
            return changes.any or not changes.last or changes.end - int(state["cursor"]) > _QUIET

    async def _state(self) -> asyncpg.Record | None:
        return await self._connection.fetchrow("SELECT * FROM consentry.profile_sources WHERE name = $1", self._name)

    def _followed(self) -> ReplicatedReader | None:
        """Its reader, if it is followed by replication. Whatever it is, `_mapping_hash` says by which rules it is read:
        what is kept was read by the same where the hash is the one of last time.
        """
        followed = open_followed(self._plan.configuration, self._plan.database, self._name)
        rules = repr(self._source) + (f" followed by {followed.slot}" if followed is not None else "")
        self._mapping_hash = hashlib.sha256(rules.encode()).hexdigest()
        return followed

    async def _whole(
        self, reader: Reader, mapping: Mapping, content: str | None, synced: Synced, position: str | None = None
    ) -> None:
        """All of the source, in one transaction. `position`: from which on its changes are followed."""
        last = position
        async with self._connection.transaction():
            await staging.begin(self._connection)
            async for rows, cursor in self._read(reader, mapping, None, synced.counts):
                await staging.add(self._connection, rows)
                last = cursor if reader.follows_cursor else position
            await self._write(reader, synced.counts)
            if self._source.deletes == "missing":
                await staging.delete_missing(self._connection, self._name, synced.counts, accept=self._plan.accept)
            if self._plan.once:
                for one in expiry.kept(self._plan.rules):
                    if one.source == self._name:
                        await expiry.remove(self._connection, one)
                synced.compared = await staging.compare(self._connection, self._name)
            await self._merge()
            await self._finish(last, content)

    async def _follow(
        self, reader: ReplicatedReader, mapping: Mapping, state: asyncpg.Record | None, synced: Synced
    ) -> None:
        """The changes since the last sync; without one, and where not all of them were told, the whole before."""
        async with reader.following(wanted(self._name, self._source)) as following:
            if state is not None and state["content"] == following.published:
                stored = state["cursor"]
            else:
                stored = str(await following.start())
                await self._whole(reader, mapping, following.published, synced, stored)
            changes = None
            while changes is None or not changes.last:
                await following.let_go(int(stored))
                changes = await following.changes(BATCH)
                if changes.any or not changes.last:
                    await self._changed(reader, following, changes, mapping, stored, synced.counts)
                stored = str(changes.end)
            await self._finish(stored, following.published)
            await following.let_go(int(stored))

    async def _changed(
        self, reader: Reader, following: Following, changes: Changes, mapping: Mapping, stored: str, counts: Counts
    ) -> None:
        """Some transactions of the source, in one transaction with the position after them."""
        deletes = self._source.deletes == "missing"
        async with self._connection.transaction():
            await staging.begin(self._connection)
            records = following.records(changes, gone=deletes)
            async with aclosing(self._read(reader, mapping, None, counts, records)) as batches:
                async for rows, _ in batches:
                    await staging.add(self._connection, rows)
            await self._write(reader, counts)
            if changes.truncated and deletes:
                await staging.delete_missing(self._connection, self._name, counts, accept=True)
            await self._merge()
            await self._advance(stored, str(changes.end))

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
        self,
        reader: Reader,
        mapping: Mapping,
        after: str | None,
        counts: Counts,
        records: AsyncGenerator[Record] | None = None,
    ) -> AsyncGenerator[tuple[list[Row], str | None]]:
        """Batches of rows, each with the cursor after it: of `records`, or of all that the source has."""
        rows: list[Row] = []
        cursor = after
        found: set[str] = set()
        asked = wanted(self._name, self._source, after)
        async with aclosing(records or reader.records(asked)) as reading:
            async for record in reading:
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
        await staging.add(self._connection, [bare(key) for key in keys])
        await staging.index(self._connection)

    async def _lock(self) -> None:
        await self._connection.execute(locks.WRITING)

    async def _write(self, reader: Reader, counts: Counts) -> None:
        await staging.check_keys(self._connection, self._name, reader.unit)
        await self._lock()
        await expiry.leave_out(self._connection, self._plan.rules, self._name)
        there = own.there(self._plan.rules, self._plan.compiled, f"c.subject::{self._kind}")
        await staging.write(self._connection, self._name, self._kind, counts, there)
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
