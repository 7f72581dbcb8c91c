"""To whom a customer's data was disclosed, by the audit log: for reports and exports (GDPR 15(1)(c))."""

from __future__ import annotations

import asyncio
from pathlib import Path

import asyncpg

from proxy.audit.question import since_epoch
from proxy.audit.subject import Access, Decided, accesses
from proxy.consent import service


async def disclosures(
    connection: asyncpg.Connection, directory: Path, subject: str, since: int | None = None, until: int | None = None
) -> list[Access]:
    """By app and attribute; the whole log is read, in a thread. Times are microseconds since 1970.

    Raises ConsentryError.
    """
    decided = [
        Decided(
            event.app,
            event.attribute,
            event.decision == "granted",
            since_epoch(event.at),
            since_epoch(event.expires_at) if event.expires_at else None,
        )
        async for event in service.whole_history(connection, subject)
    ]
    return await asyncio.to_thread(accesses, directory, decided, since, until)
