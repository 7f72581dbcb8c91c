"""Whether a transaction was committed whose connection ended before the database had answered its COMMIT.

The database knows it by the transaction's number (`pg_xact_status`, PostgreSQL's documentation, "Transaction ID and
Snapshot Information Functions").
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from time import monotonic
from typing import Final

import asyncpg

from proxy.catalog.connect import ended
from proxy.errors import UnreachableError

PATIENCE_SECONDS: Final = 10.0  # for a server that starts again, or waits for its standby
_PAUSE: Final = 0.2

Connecting = Callable[[], AbstractAsyncContextManager[asyncpg.Connection]]


async def number_of(connection: asyncpg.Connection) -> str:
    """The number of the transaction that is under way."""
    number: str = await connection.fetchval("SELECT pg_catalog.pg_current_xact_id()::text")
    return number


def answered(error: BaseException) -> bool:
    """Whether it is the database's own word, which says that nothing was committed."""
    cause = error.__cause__ or error
    return isinstance(cause, asyncpg.PostgresError) and not ended(cause)


async def outcome(again: Connecting, number: str) -> bool | None:
    """Whether the transaction was committed; None where the database does not say so in time.

    `again`: connects once more.
    """
    until = monotonic() + PATIENCE_SECONDS
    while True:
        status = await _status(again, number)
        if status in ("committed", "aborted"):
            return status == "committed"
        if monotonic() > until:
            return None
        await asyncio.sleep(_PAUSE)


async def _status(again: Connecting, number: str) -> str | None:
    try:
        async with again() as connection:
            status: str | None = await connection.fetchval(
                "SELECT pg_catalog.pg_xact_status($1::pg_catalog.text::pg_catalog.xid8)", number
            )
            return status
    except (UnreachableError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
        return None  # not there yet, or, of a standby that took over, no such number
