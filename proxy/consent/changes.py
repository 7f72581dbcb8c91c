"""How consents changed: counted, for reports; and one after another, for the audit log."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import asyncpg

from proxy.errors import ConsentryError


async def changes(
    connection: asyncpg.Connection, since: datetime | None, until: datetime | None
) -> list[dict[str, Any]]:
    """By app, attribute, decision and who made it: `decisions`, and of how many `customers`. Raises ConsentryError."""
    try:
        rows = await connection.fetch(
            "SELECT app, attribute, decision, actor, count(*) AS decisions, count(DISTINCT subject) AS customers "
            "FROM consentry.events WHERE at >= coalesce($1::timestamptz, '-infinity') "
            "AND at <= coalesce($2::timestamptz, 'infinity') "
            "GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4",
            since,
            until,
        )
    except _NO_LEDGER as error:
        raise ConsentryError('the database has no ledger; run "consentry consent setup"') from error
    return [dict(row) for row in rows]


PAGE: Final = 500
_NO_LEDGER: Final = (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError)
# Whoever writes events holds one of these locks from before the first id is taken until its events are to be seen.
_WRITERS: Final = """
    SELECT virtualtransaction FROM pg_catalog.pg_locks
    WHERE locktype = 'relation' AND relation = pg_catalog.to_regclass('consentry.events')
      AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
      AND mode IN ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock') AND granted
"""
_AFTER: Final = """
    SELECT id, app, attribute, decision, actor, at, expires_at FROM consentry.events
    WHERE id > $1 AND id <= $2 ORDER BY id LIMIT $3
"""


async def newest(connection: asyncpg.Connection) -> int:
    """The id of the last event; 0 where there is none, or no ledger."""
    try:
        return await connection.fetchval("SELECT coalesce(max(id), 0) FROM consentry.events") or 0
    except _NO_LEDGER:
        return 0


class Follower:
    """Reads events in the order of their ids, each once it is sure that none with a lower id is to come.

    Ids are taken in another order than that in which transactions commit. `waits`: for transactions that are under way.
    """

    def __init__(self) -> None:
        self._until = 0  # ids to here were given out before `_writers` were looked at
        self._writers: frozenset[str] = frozenset()

    @property
    def waits(self) -> bool:
        return bool(self._writers)

    async def after(self, connection: asyncpg.Connection, last: int) -> list[dict[str, Any]]:
        """The next events behind `last`, PAGE at most. None: there are none, or it must wait."""
        if self._until <= last:
            self._until = await newest(connection)
            if self._until <= last:
                self._writers = frozenset()
                return []
            self._writers = await _writers(connection)
        elif self._writers:
            self._writers &= await _writers(connection)
        if self._writers:
            return []
        return [dict(row) for row in await connection.fetch(_AFTER, last, self._until, PAGE)]


async def _writers(connection: asyncpg.Connection) -> frozenset[str]:
    return frozenset(row["virtualtransaction"] for row in await connection.fetch(_WRITERS))
