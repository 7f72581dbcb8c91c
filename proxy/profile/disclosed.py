"""To whom a customer's data was disclosed, by the audit log: for reports and exports (GDPR 15(1)(c))."""

from __future__ import annotations

import asyncio
from pathlib import Path

import asyncpg

from proxy.audit.question import since_epoch
from proxy.audit.subject import Access, Decided, accesses
from proxy.consent import service
from proxy.policy.table import CompiledRules
from proxy.profile import held


async def is_known(connection: asyncpg.Connection, rules: CompiledRules, subject: str) -> bool | None:
    """Whether a decision, a record of a source or a row is of the customer; None where not all could be read.

    Raises ConsentryError.
    """
    async for _ in service.whole_history(connection, subject):
        return True
    kind = await service.subject_type(connection)
    told = "SELECT 1 FROM consentry.profile_records WHERE subject = $1::text::" + kind
    if await connection.fetchval("SELECT pg_catalog.to_regclass('consentry.profile_records')") is not None and (
        await connection.fetchval(f"SELECT EXISTS ({told})", subject)
    ):
        return True
    return await held.holds(connection, rules.subject_tables, subject)


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
