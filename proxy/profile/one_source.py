"""The sync of one source: what it has is compared with what is kept, and written with how far that is.

A source with a cursor is read in batches; one that is followed by replication, whole once, and then by its changes; any
other whole. Where a source is not as the rules say, nothing of that transaction is kept.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Collection, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import asyncpg

from proxy.catalog.connect import ended
from proxy.config import Configuration
from proxy.consent import locks
from proxy.errors import ConsentryError
from proxy.policy.mapped_sources import key_of
from proxy.policy.rules import Rules
from proxy.policy.sources import Flag, Source
from proxy.policy.table import CompiledRules
from proxy.profile import drift, expiry, matching, merging, own, searched, staging, values
from proxy.profile.cursors import Place, Reach, usable
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

    `cut_over`: since when its data lives here, and it is not read. `compared`: of a plan with `once`. `warning`: what
    somebody should look at, though all went well.
    """

    source: str
    counts: Counts = field(default_factory=Counts)
    unchanged: bool = False
    cut_over: datetime | None = None
    compared: tuple[Compared, ...] = ()
    warning: str | None = None
    error: ConsentryError | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """A sync: of one database by its rules.

    `full`: read from the start, and mend what is kept and what apps read; `accept`: let many records go; `once`: as
    full, each source whole, and compare what is kept with what was read.
    """

    configuration: Configuration
    database: str
    rules: Rules
    compiled: CompiledRules
    full: bool = False
    accept: bool = False
    once: bool = False

    @property
    def anew(self) -> bool:
        """Whether all is read from the start, and what is kept is mended by it."""
        return self.full or self.once


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
        self._key = key_of(self._source)
        self._kind = kind
        self._tell = progress or (lambda _name, _count: None)
        self._mapping_hash = ""
        self._began = datetime.now(UTC)

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
        anew = self._plan.anew or state is None or state["mapping"] != self._mapping_hash
        content = reader.content()
        if not anew and content is not None and state is not None and state["content"] == content:
            synced.unchanged, synced.warning = True, state["warning"]
            await self._finish(None, content, synced)
            return
        mapping = Mapping(self._name, self._source, reader.unit, self._kind)
        stored = state["cursor"] if state is not None else None
        if followed is not None:
            await self._follow(followed, mapping, state if not anew else None, synced)
        elif self._source.cursor is not None and reader.follows_cursor and not self._plan.once:
            last = None if anew else usable(stored, self._began)
            await self._by_cursor(reader, mapping, last, stored, synced)
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
        self,
        reader: Reader,
        mapping: Mapping,
        content: str | None,
        synced: Synced,
        position: str | None = None,
        *,
        accept: bool = False,
    ) -> None:
        """All of the source, in one transaction. `position`: from which on its changes are followed; `accept`: many
        records may go, whatever the plan says.
        """
        last = position
        async with self._connection.transaction():
            await staging.begin(self._connection)
            reach, found = Reach(None, self._began), Counter[str]()
            async for rows in self._read(reader, mapping, synced.counts, reach=reach, found=found):
                await staging.add(self._connection, rows)
            if not reader.complete_fields and not self._plan.accept:
                fields = wanted(self._name, self._source).fields
                await drift.check_fields(self._connection, self._name, fields, found, synced.counts.read)
            if reader.follows_cursor:
                last = reach.text
            await self._write(reader, synced.counts)
            # What went without its flag being set is told by nothing else.
            cleared = self._plan.once and self._plan.accept and isinstance(self._source.deletes, Flag)
            if self._source.deletes == "missing" or cleared:
                await staging.delete_missing(
                    self._connection,
                    self._name,
                    synced.counts,
                    accept=accept or self._plan.accept,
                    may_be_cut=reader.may_be_cut,
                )
            if self._plan.once:
                for one in expiry.kept(self._plan.rules):
                    if one.source == self._name:
                        await expiry.remove(self._connection, one)
                synced.compared = await staging.compare(self._connection, self._name)
            await self._merge()
            synced.warning = self._warning(synced.counts, reach)
            await self._finish(last, content, synced)
            if reader.may_be_cut:
                await drift.note_end(self._connection, self._name)
            if not reader.complete_fields:
                await drift.note_fields(self._connection, self._name, found, synced.counts.read)

    async def _follow(
        self, reader: ReplicatedReader, mapping: Mapping, state: asyncpg.Record | None, synced: Synced
    ) -> None:
        """The changes since the last sync; without one, and where not all of them were told, the whole before."""
        async with reader.following(wanted(self._name, self._source)) as following:
            before = (state["content"] if state is not None else None) or ""
            if state is not None and before == following.published:
                stored = state["cursor"]
            else:
                stored = str(await following.start())
                told = following.rearranged(before)  # somebody did that, as with a TRUNCATE that the log tells
                await self._whole(reader, mapping, following.published, synced, stored, accept=told)
            changes = None
            while changes is None or not changes.last:
                await following.let_go(int(stored))
                changes = await following.changes(BATCH)
                if changes.any or not changes.last:
                    await self._changed(reader, following, changes, mapping, stored, synced.counts)
                stored = str(changes.end)
            synced.warning = self._warning(synced.counts)
            await self._finish(stored, await following.settled(), synced)
            await following.let_go(int(stored))

    async def _changed(
        self, reader: Reader, following: Following, changes: Changes, mapping: Mapping, stored: str, counts: Counts
    ) -> None:
        """Some transactions of the source, in one transaction with the position after them."""
        deletes = self._source.deletes == "missing"
        async with self._connection.transaction():
            await staging.begin(self._connection)
            records = following.records(changes, gone=deletes)
            async with aclosing(self._read(reader, mapping, counts, records)) as batches:
                async for rows in batches:
                    await staging.add(self._connection, rows)
            await self._write(reader, counts)
            if changes.truncated and deletes:
                await staging.delete_missing(self._connection, self._name, counts, accept=True)
            await self._merge()
            await self._advance(stored, str(changes.end))

    async def _by_cursor(
        self, reader: Reader, mapping: Mapping, last: Place | None, stored: str | None, synced: Synced
    ) -> None:
        """From `last` on; `stored` is what is noted of it. Records that came in before it too, where keys tell them."""
        counts = synced.counts
        reach = Reach(last, self._began)
        after = last.text if last is not None else None
        seen: dict[str, tuple[bytes, bool]] = {}
        keys: dict[str, Any] = {}
        if self._source.deletes == "missing":
            keys = await self._keys(reader)
        async with aclosing(self._read(reader, mapping, counts, after=after, reach=reach)) as batches:
            async for rows in batches:
                for row in rows:
                    if seen.setdefault(row[1], row[-2:]) != row[-2:]:
                        what = f'an earlier one has the same key, {row[1]} (field "{self._key}"), and differs'
                        raise SourceError(self._name, f"{reader.unit} {row[0]}: {what}: `key` must name one record")
                cursor = reach.text if reader.in_order else stored
                await self._add(reader, rows, stored, cursor, counts)
                stored = cursor
        if self._source.deletes == "missing":
            lacking = await self._compare_keys(seen, keys, counts)
            for first in range(0, len(lacking), BATCH):
                only = tuple(lacking[first : first + BATCH])
                async with aclosing(self._read(reader, mapping, counts, only=only)) as batches:
                    async for rows in batches:
                        await self._add(reader, rows, stored, stored, counts)
        synced.warning = self._warning(counts, reach)
        await self._finish(reach.text, None, synced)

    async def _add(
        self, reader: Reader, rows: Sequence[Row], stored: str | None, cursor: str | None, counts: Counts
    ) -> None:
        """A batch, in one transaction with the cursor after it."""
        async with self._connection.transaction():
            await staging.begin(self._connection)
            await staging.add(self._connection, rows)
            await self._write(reader, counts)
            await self._merge()
            await self._advance(stored, cursor)

    async def _keys(self, reader: Reader) -> dict[str, Any]:
        """All keys that the source has, by their texts; none where nothing of it is kept that could be gone.

        Raises SourceError where too many records are without one: before anything is taken in, so that the next sync
        finds the same.
        """
        query = "SELECT EXISTS (SELECT FROM consentry.profile_records WHERE source = $1)"
        if not await self._connection.fetchval(query, self._name):
            return {}
        keys: dict[str, Any] = {}
        async for key in reader.keys(wanted(self._name, self._source)):
            try:
                text = values.key(key)
            except ValueError as error:
                raise SourceError(self._name, f'a key (field "{self._key}") {error}') from error
            if text in keys and reader.in_order:  # all of one moment; pages may move while they are read
                what = f'two records have the same key, {text} (field "{self._key}")'
                raise SourceError(self._name, f"{what}: `key` must name one record")
            keys[text] = key
        async with self._connection.transaction():
            await staging.begin(self._connection)
            await staging.add(self._connection, list(map(bare, keys)))
            await staging.index(self._connection)
            await staging.check_missing(self._connection, self._name, accept=self._plan.accept)
        return keys

    async def _compare_keys(self, seen: Collection[str], keys: dict[str, Any], counts: Counts) -> list[Any]:
        """Removes the records of which the source has no key any more: those of its keys of which there is no record.

        `seen`: the keys that were just read; `keys`: those that the source had before that, by their texts.
        """
        every = list(dict.fromkeys([*keys, *seen]))
        async with self._connection.transaction():
            await staging.begin(self._connection)
            await staging.add(self._connection, [bare(key, number=number) for number, key in enumerate(every)])
            await staging.index(self._connection)
            await self._lock()
            lacking = await staging.lacking(self._connection, self._name)
            await staging.delete_missing(self._connection, self._name, counts, accept=True)
            await self._merge()
        return [keys[every[number]] for number in lacking if every[number] not in seen]

    async def _read(
        self,
        reader: Reader,
        mapping: Mapping,
        counts: Counts,
        records: AsyncGenerator[Record] | None = None,
        *,
        after: str | None = None,
        only: tuple[Any, ...] | None = None,
        reach: Reach | None = None,
        found: Counter[str] | None = None,
    ) -> AsyncGenerator[list[Row]]:
        """Batches of rows: of `records`, or of what the source has from `after` on, or of `only` these keys.

        `reach` takes the cursor in, of a source that follows it; `found`, how many records have each field.
        """
        rows: list[Row] = []
        found = Counter() if found is None else found
        asked = wanted(self._name, self._source, after, only)
        async with aclosing(records or reader.records(asked)) as reading:
            async for record in reading:
                found.update(record.values.keys())
                rows.append(mapping.row(record))
                if reach is not None and reader.follows_cursor:
                    mapping.cursor(record, reach)
                counts.read += 1
                if len(rows) == BATCH:
                    self._tell(self._name, counts.read)
                    yield rows
                    rows = []
        absent = [name for name in asked.fields if name not in found]
        if absent and counts.read and after is None and only is None and not reader.complete_fields:
            raise SourceError(self._name, f'no record has the field "{absent[0]}"')
        self._tell(self._name, counts.read)
        if rows:
            yield rows

    def _warning(self, counts: Counts, reach: Reach | None = None) -> str | None:
        told = (reach.warning(self._source.cursor) if reach is not None else None, counts.warning)
        return "; ".join(one for one in told if one is not None) or None

    async def _lock(self) -> None:
        await self._connection.execute(locks.WRITING)

    async def _write(self, reader: Reader, counts: Counts) -> None:
        await staging.check_keys(self._connection, self._name, reader.unit, self._key)
        await self._lock()
        await expiry.leave_out(self._connection, self._plan.rules, self._name)
        there = own.there(self._plan.rules, self._plan.compiled, f"c.subject::{self._kind}")
        await staging.write(self._connection, self._name, self._kind, counts, there, mend=self._plan.anew)
        await matching.match(self._connection, self._kind, making(self._plan.rules))

    async def _merge(self) -> None:
        try:
            async with self._connection.transaction():
                await merging.merge(self._connection, self._plan.rules, self._kind)
        except asyncpg.ProgramLimitExceededError as error:
            if "tsvector" not in str(error):
                raise
            found = await searched.too_long(self._connection, self._plan.rules)
            hint = "shorten it there, or leave `search` out in the rules, or set a lower `limit`"
            raise SourceError(self._name, f"{found}: {hint}") from error

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

    async def _finish(self, cursor: str | None, content: str | None, synced: Synced) -> None:
        await self._connection.execute(
            "INSERT INTO consentry.profile_sources AS s (name, mapping, cursor, content, tried_at, synced_at, warning) "
            "VALUES ($1, $2, $3, $4, now(), now(), $5) ON CONFLICT (name) DO UPDATE SET mapping = excluded.mapping, "
            "cursor = excluded.cursor, content = excluded.content, tried_at = excluded.tried_at, "
            "synced_at = excluded.synced_at, error = NULL, warning = excluded.warning",
            self._name,
            self._mapping_hash,
            cursor,
            content,
            synced.warning,
        )
