"""Checkpoints of the audit log, copied to the governed database: whoever cuts the log's end off must cut there too.

The table only grows (migration 007). The log does not wait for it: while the database is away, copies wait in memory.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

import asyncpg

from proxy.audit.chain import Checkpoint
from proxy.errors import ConsentryError, UnreachableError

log = logging.getLogger(__name__)

KEPT: Final = 100_000  # checkpoints that wait; the oldest are given up first, because a later one vouches for more
RETRY_SECONDS: Final = 5.0
LAST_SECONDS: Final = 3.0

_INSERT = (
    "INSERT INTO consentry.checkpoints (log, worker, count, head, at, key, signature) "
    "VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING"
)
_SELECT = (
    "SELECT log, worker, count, head, at, key, signature FROM consentry.checkpoints "
    "WHERE log = $1 AND worker = $2 AND count > $3 ORDER BY count LIMIT $4"
)
_LOGS = (
    "SELECT log, worker, max(count) AS count FROM consentry.checkpoints WHERE $1::text[] IS NULL OR key = ANY ($1) "
    "GROUP BY log, worker ORDER BY log, worker"
)

Ask = Callable[[Callable[[asyncpg.Connection], Awaitable[None]]], Awaitable[None]]


class Copies:
    """`ask` runs what it is given on the control connection."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._queue: deque[Checkpoint] = deque(maxlen=KEPT)
        self._there = asyncio.Event()
        self._trouble = ""

    def add(self, checkpoint: Checkpoint) -> None:
        """Copies it as soon as that can be."""
        self._queue.append(checkpoint)
        self._there.set()

    async def run(self) -> None:
        """Copies until it is cancelled."""
        while True:
            await self._there.wait()
            if not await self._copy():
                await asyncio.sleep(RETRY_SECONDS)

    async def finish(self) -> None:
        """Copies what is left, if the database takes it soon."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_SECONDS):
                await self._copy()

    async def _copy(self) -> bool:
        self._there.clear()
        waiting = list(self._queue)
        if not waiting:
            return True
        try:
            await self._ask(lambda connection: connection.executemany(_INSERT, [_row(one) for one in waiting]))
        except (ConsentryError, asyncpg.PostgresError) as error:
            self._say(error)
            self._there.set()
            return False
        if self._trouble:
            log.info("audit: checkpoints are copied to the database again")
            self._trouble = ""
        for one in waiting:
            if self._queue and self._queue[0] is one:
                self._queue.popleft()
        return True

    def _say(self, error: Exception) -> None:
        missing = isinstance(error, asyncpg.UndefinedTableError | asyncpg.InvalidSchemaNameError)
        hint = "; run `consentry consent setup`" if missing else ""
        if str(error) != self._trouble:
            log.warning("audit: checkpoints are not copied to the database: %s%s", error, hint)
            self._trouble = str(error)


async def copy(connection: asyncpg.Connection, checkpoints: Sequence[Checkpoint]) -> None:
    """Copies them at once, in the transaction that it finds."""
    await connection.executemany(_INSERT, [_row(one) for one in checkpoints])


async def copies_after(
    connection: asyncpg.Connection, name: str, worker: int, count: int, limit: int
) -> list[Checkpoint]:
    """The first `limit` checkpoints of a log that vouch for more than `count` lines, by what they vouch for."""
    rows = await connection.fetch(_SELECT, name, worker, count, limit)
    return [
        Checkpoint(r["log"], r["worker"], r["count"], r["head"], _text(r["at"]), r["key"], r["signature"]) for r in rows
    ]


async def known_logs(connection: asyncpg.Connection, keys: list[str] | None = None) -> list[tuple[str, int, int]]:
    """(log, worker, how many lines are vouched for) of all logs, or of those that one of these keys has signed.

    No log where the database has no such table. Raises UnreachableError: the login may not read it.
    """
    try:
        rows = await connection.fetch(_LOGS, keys)
    except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError):
        return []
    except asyncpg.InsufficientPrivilegeError as error:
        raise UnreachableError(f"the database's checkpoints of the audit log cannot be read: {error}") from error
    return [(row["log"], row["worker"], row["count"]) for row in rows]


def _row(one: Checkpoint) -> tuple[object, ...]:
    return one.log, one.worker, one.count, one.head, datetime.fromisoformat(one.time), one.key, one.signature


def _text(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
