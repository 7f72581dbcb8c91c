"""Changes of consent, from the ledger into the audit log: each once, in the ledger's order, whoever made it.

The log itself says how far it has come (`Log.consents`, in each file's `open` record and by the records after it), so
that a gateway that was killed goes on behind the last record that was written. The log does not wait for the ledger.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Protocol

import asyncpg

from proxy.consent.changes import Follower, newest
from proxy.errors import ConsentryError

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 30.0  # where nobody says that there is something new
RETRY_SECONDS: Final = 1.0
SETTLE_SECONDS: Final = 0.05  # until a look at transactions that were under way

Ask = Callable[[Callable[[asyncpg.Connection], Awaitable[Any]]], Awaitable[Any]]


class Records(Protocol):
    """What writes records (`audit.writer`)."""

    @property
    def consents(self) -> Mapping[str, int]: ...
    def record_consents(self, database: str, changes: list[dict[str, Any]]) -> bool: ...


class ConsentLog:
    """`ledgers`: for each database what runs a question on its control connection."""

    def __init__(self, ledgers: Mapping[str, Ask]) -> None:
        self._ledgers = ledgers
        self._new = {database: asyncio.Event() for database in ledgers}

    async def newest(self) -> dict[str, int]:
        """The last event of each ledger as it is now: where a log begins. Raises ConsentryError."""
        return {database: await ask(newest) for database, ask in self._ledgers.items()}

    def changed(self, database: str) -> None:
        """The database says that there is something new in its ledger."""
        self._new[database].set()

    async def run(self, records: Records) -> None:
        """Records until it is cancelled."""
        async with asyncio.TaskGroup() as group:
            for database, ask in self._ledgers.items():
                group.create_task(self._follow(database, ask, records))

    async def _follow(self, database: str, ask: Ask, records: Records) -> None:
        follower, said = Follower(), ""
        while True:
            self._new[database].clear()
            pause = LOOK_SECONDS
            try:
                found = await ask(lambda connection: follower.after(connection, records.consents.get(database, 0)))
                said = ""
                if found and not records.record_consents(database, found):
                    pause = RETRY_SECONDS
                elif found:
                    continue  # there may be more
                elif follower.waits:
                    pause = SETTLE_SECONDS
            except (ConsentryError, asyncpg.PostgresError) as error:
                if str(error) != said:
                    log.warning("audit: changes of consent in %s are not recorded yet: %s", database, error)
                said, pause = str(error), RETRY_SECONDS
            await self._pause(self._new[database], pause)

    async def _pause(self, new: asyncio.Event, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await (new.wait() if seconds == LOOK_SECONDS else asyncio.sleep(seconds))
        except TimeoutError:
            pass
