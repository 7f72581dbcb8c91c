"""Lets a customer come back who has what an erased one had: who registered again, or shares an address or number."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from proxy.errors import ConsentryError
from proxy.profile import own, tombstones
from proxy.rights.desk import Desk, act
from proxy.rights.erasing import careful


async def survey(desk: Desk, subject: str) -> int:
    """How many tombstones `readmit` would take away. Errors as `readmit`."""
    kind = await desk.check(subject)
    async with careful(desk.connection, writes=False):
        key, known = await _known(desk, subject, kind)
        return await tombstones.in_the_way(desk.connection, key, known)


async def readmit(desk: Desk, subject: str) -> Mapping[str, Any] | None:
    """The receipt; None where no tombstone was in the way. The next sync of all brings the customer's records.

    Raises ConsentryError: the database has no such customer; UnreachableError where no record can be written.
    """
    kind = await desk.check(subject)
    async with act(desk, "readmit") as under_way:
        await desk.lock(subject)
        key, known = await _known(desk, subject, kind)
        lifted, freed = await tombstones.readmit(desk.connection, key, known)
        return await under_way.finish({"tombstones": lifted, "records": freed}) if lifted else None


async def _known(desk: Desk, subject: str, kind: str) -> tuple[str, list[own.Known]]:
    """The customer's key as tables have it, and their addresses and numbers of today."""
    connection = desk.connection
    if not await own.is_there(connection, desk.written, desk.rules, subject, kind):
        raise ConsentryError(f'the database has no customer "{subject}": there is nobody to be readmitted')
    key: str = await connection.fetchval(f"SELECT $1::text::{kind}::text", subject)
    return key, await own.of_customer(connection, desk.written, desk.rules, subject, kind)
