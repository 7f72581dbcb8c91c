"""A table of another PostgreSQL database, followed by logical replication: its log tells which rows changed.

The log is read by SQL functions (`pg_logical_slot_peek_binary_changes`), for which asyncpg and an ordinary connection
will do. What it tells are keys; the rows themselves are read from the table, as they are by then. So a change that is
read twice does no harm, and who keeps a position together with the rows has each change exactly once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from time import monotonic
from typing import ClassVar, Final, TypeVar

import asyncpg

from proxy.catalog.connect import connected
from proxy.policy.names import quote_identifier
from proxy.profile.sources.pgoutput import Changes, Decoder, UnfollowableError, sees
from proxy.profile.sources.postgresql import PREFETCH, PostgresReader, shown
from proxy.profile.sources.publication import Table, check, storage
from proxy.profile.sources.reading import Record, SourceError, Wanted, relation

_T = TypeVar("_T")
_PATIENCE: Final = 60.0  # seconds, for what others have under way
_PAUSE: Final = 0.1
_AT_A_TIME: Final = 5000  # keys
_OPEN: Final = f"a transaction of its server has been open for more than {_PATIENCE:g} s: sync again when it has ended"

# Positions in the log are told as bytes from its start.
_SLOT: Final = """
    SELECT plugin, database = current_database() AS here, wal_status AS state,
           (restart_lsn - '0/0')::bigint AS restart, (confirmed_flush_lsn - '0/0')::bigint AS confirmed,
           (pg_current_wal_flush_lsn() - '0/0')::bigint AS now
    FROM pg_replication_slots WHERE slot_name = $1"""
_MAKE: Final = "SELECT pg_create_logical_replication_slot($1, 'pgoutput')"
_DROP: Final = "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = $1"
_ADVANCE: Final = "SELECT pg_replication_slot_advance($1, '0/0'::pg_lsn + $2::bigint)"
_PEEK: Final = """
    SELECT data FROM pg_logical_slot_peek_binary_changes(
        $1, '0/0'::pg_lsn + $2::bigint, $3, 'proto_version', '1', 'publication_names', $4)"""


@dataclass(frozen=True, slots=True)
class Lag:
    """Bytes of log: `behind` was not read yet, `held` is kept by the server for the slot. None: the slot is lost.

    `state`: as pg_replication_slots.wal_status has it.
    """

    slot: str
    behind: int | None
    held: int | None
    state: str | None


@dataclass(frozen=True, slots=True)
class ReplicatedReader(PostgresReader):
    """`records` and `keys` read the table; `following` tells what changes."""

    slot: str
    publication: str

    follows_cursor: ClassVar[bool] = False
    in_order: ClassVar[bool] = False

    @asynccontextmanager
    async def following(self, wanted: Wanted) -> AsyncIterator[Following]:
        """Raises SourceError where server, publication or table are not as replication needs them, with the SQL that is
        to be run there; SourceUnreachableError.
        """
        async with AsyncExitStack() as stack:
            with self.errors():
                connection = await stack.enter_async_context(self.opened())
                await self.kinds(connection, wanted)  # says what is missing
                table = await check(connection, wanted, self.publication)
            yield Following(self, connection, wanted, table)

    async def lag(self) -> Lag:
        """Raises SourceError, SourceUnreachableError."""
        with self.errors():
            async with connected(self.dsn) as connection:
                slot = await connection.fetchrow(_SLOT, self.slot)
        if slot is None:
            raise SourceError(self.source, f"there is no slot {self.slot}")
        behind, held = ((slot["now"] - at if at is not None else None) for at in (slot["confirmed"], slot["restart"]))
        return Lag(self.slot, behind, held, slot["state"])

    async def drop(self) -> bool:
        """Drops the slot: whether there was one. Raises SourceError, SourceUnreachableError."""
        with self.errors():
            async with connected(self.dsn) as connection:
                return bool(await connection.fetch(_DROP, self.slot))


class Following:
    """A table that is followed, over an open connection. Methods raise SourceError, SourceUnreachableError."""

    def __init__(self, reader: ReplicatedReader, connection: asyncpg.Connection, wanted: Wanted, table: Table) -> None:
        self._reader = reader
        self._connection = connection
        self._wanted = wanted
        self._table = table

    @property
    def published(self) -> str:
        """Another text than before, where not all changes may have been told: the whole is to be read."""
        return f"{self._table.published}; {self._table.storage}"

    def rearranged(self, before: str) -> bool:
        """Whether `published` is other than it was for nothing but partitions that came or went, or were emptied."""
        return before.partition("; ")[0] == self._table.published and before != self.published

    async def settled(self) -> str:
        """`published` for who has read all; what will be another, where partitions came or went in the meantime."""
        with self._reader.errors():
            same = await storage(self._connection, self._table.oid) == self._table.storage
        return self.published if same else f"{self._table.published}; rearranged while it was read"

    async def start(self) -> int:
        """A position, for who reads the whole afterwards: what is before it is seen, what is after it will be told."""
        with self._reader.errors():
            slot = await self._slot()
            if slot is not None and slot["state"] == "lost":
                await self._on_slot(lambda: self._connection.fetch(_DROP, self._reader.slot))
                slot = None
            if slot is None:
                try:
                    await self._on_slot(lambda: self._connection.fetch(_MAKE, self._reader.slot, timeout=_PATIENCE))
                except TimeoutError as error:
                    raise self._error(_OPEN) from error
            position = int((await self._usable_slot())["now"])
            # What is in the log already may not be seen yet: all that is under way has to end first.
            mine = int(await self._connection.fetchval("SELECT pg_current_xact_id()::text"))
            await self._until_snapshot(lambda snapshot: int(snapshot.split(":")[0]) > mine)
            return position

    async def let_go(self, position: int) -> None:
        """All before the position is kept elsewhere. An error where the slot does not go on from there."""
        with self._reader.errors():
            slot = await self._usable_slot()
            if not slot["confirmed"] <= position <= slot["now"]:
                raise self._lost(f"slot {self._reader.slot} does not go on where the last sync was")
            if slot["confirmed"] < position:
                await self._on_slot(lambda: self._connection.fetch(_ADVANCE, self._reader.slot, position))

    async def changes(self, at_most: int) -> Changes:
        """What comes next, about so many changes in whole transactions."""
        with self._reader.errors():
            slot = await self._usable_slot()
            try:
                count, changes = await self._on_slot(lambda: self._peek(slot["now"], at_most))
            except UnfollowableError as error:
                raise self._lost(str(error)) from error
            if count < at_most:
                changes.end, changes.last = max(changes.end, slot["now"]), True
            return changes

    async def records(self, changes: Changes, *, gone: bool) -> AsyncGenerator[Record]:
        """The rows of these changes as they are now, all after a truncation; `gone`: also which are not there."""
        with self._reader.errors():
            await self._until_snapshot(lambda snapshot: all(sees(snapshot, one) for one in changes.transactions))
            if changes.truncated:
                async for record in self._reader.records(self._wanted):
                    yield record
                return
            keys, number = sorted(changes.keys), 0
            async with self._connection.transaction(isolation="repeatable_read", readonly=True):
                query = await self._by_key("LEFT JOIN" if gone else "JOIN")
                for first in range(0, len(keys), _AT_A_TIME):
                    for there, *values in await self._connection.fetch(query, keys[first : first + _AT_A_TIME]):
                        number += 1
                        found = dict(zip(self._wanted.fields, values, strict=True))
                        yield Record(number, found, gone=not there)

    async def _by_key(self, join: str) -> str:
        """A query of the rows with the keys $1, which are texts: whether there is one, and its fields."""
        kinds = await self._reader.kinds(self._connection, self._wanted)
        columns = ", ".join(shown(name, kinds) for name in self._wanted.fields)
        key = quote_identifier(self._wanted.key)
        asked = f"SELECT DISTINCT {key} FROM unnest($1::text[]::{self._table.key_type}[]) AS asked ({key})"
        joined = f"({asked}) AS asked {join} {relation(self._wanted)} AS t USING ({key})"
        return f"SELECT t.tableoid IS NOT NULL, {columns} FROM {joined}"

    async def _peek(self, upto: int, at_most: int) -> tuple[int, Changes]:
        """How many messages there were, and what they come to."""
        decoder = Decoder(self._table.oid, self._wanted.key)
        publication = quote_identifier(self._reader.publication)
        count = 0
        async with self._connection.transaction():
            arguments = self._reader.slot, upto, at_most, publication
            async for row in self._connection.cursor(_PEEK, *arguments, prefetch=PREFETCH):
                decoder.take(row[0])
                count += 1
        return count, decoder.changes

    async def _slot(self) -> asyncpg.Record | None:
        """The slot, when it is not just being made any more."""
        until = monotonic() + _PATIENCE
        while True:
            slot = await self._connection.fetchrow(_SLOT, self._reader.slot)
            if slot is None or slot["confirmed"] is not None or slot["state"] == "lost":
                return slot
            if monotonic() > until:
                raise self._error(_OPEN)
            await asyncio.sleep(_PAUSE)

    async def _usable_slot(self) -> asyncpg.Record:
        slot, name = await self._slot(), self._reader.slot
        if slot is None:
            raise self._lost(f"there is no slot {name} any more")
        if not slot["here"] or slot["plugin"] != "pgoutput":
            raise self._error(f"slot {name} is not of this database and of pgoutput: name another one in the settings")
        if slot["state"] == "lost":
            raise self._lost(f"the server gave slot {name} up, since it was behind for too long")
        return slot

    async def _on_slot(self, work: Callable[[], Awaitable[_T]]) -> _T:
        """A slot is one connection's at a time: an earlier one, whose sync was killed, may not have noticed yet."""
        until = monotonic() + _PATIENCE
        while True:
            try:
                return await work()
            except asyncpg.ObjectInUseError as error:
                if monotonic() > until:
                    raise self._error(f"{error}: who else reads it?") from error
                await asyncio.sleep(_PAUSE)
            except asyncpg.InsufficientPrivilegeError as error:
                right = "ALTER ROLE ... REPLICATION, or what its service has for that"
                raise self._error(f"its login may not replicate ({error}): run there {right}") from error

    async def _until_snapshot(self, enough: Callable[[str], bool]) -> None:
        until = monotonic() + _PATIENCE
        while not enough(await self._connection.fetchval("SELECT pg_current_snapshot()::text")):
            if monotonic() > until:
                raise self._error(_OPEN)
            await asyncio.sleep(_PAUSE)

    def _lost(self, what: str) -> SourceError:
        again = f"`consentry profile sync --source {self._reader.source} --full` reads it whole and follows from there"
        return self._error(f"{what}: {again}")

    def _error(self, message: str) -> SourceError:
        return SourceError(self._reader.source, message)
