"""Lets a customer come back who has what an erased one had: who registered again, or shares an address or number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from proxy.errors import ConsentryError
from proxy.profile import own, tombstones
from proxy.profile.identity import normalised
from proxy.rights.desk import Desk, act
from proxy.rights.erasing import careful


async def survey(desk: Desk, subject: str, also: Sequence[str] = ()) -> int:
    """How many tombstones `readmit` would take away. Errors as `readmit`."""
    subject = await desk.key(subject)
    async with careful(desk.connection, writes=False):
        return await tombstones.in_the_way(desk.connection, subject, await _known(desk, subject, also))


async def readmit(desk: Desk, subject: str, also: Sequence[str] = ()) -> Mapping[str, Any] | None:
    """The receipt; None where no tombstone was in the way. The next sync of all brings the customer's records.

    `also`: addresses and numbers that other sources have of the customer, and an erased one had too. Raises
    ConsentryError: the database has no such customer, or one of these is neither; UnreachableError where no record can
    be written.
    """
    subject = await desk.key(subject)
    async with act(desk, "readmit", subject=subject) as under_way:
        lifted, freed = await tombstones.readmit(desk.connection, subject, await _known(desk, subject, also))
        return await under_way.finish({"tombstones": lifted, "records": freed}) if lifted else None


async def _known(desk: Desk, subject: str, also: Sequence[str]) -> list[own.Known]:
    """The customer's addresses and numbers of today, and these."""
    connection, kind = desk.connection, await desk.check(subject)
    if not await own.is_there(connection, desk.written, desk.rules, subject, kind):
        raise ConsentryError(f'the database has no customer "{subject}": there is nobody to be readmitted')
    known = await own.of_customer(connection, desk.written, desk.rules, subject, kind)
    for number, raw in enumerate(also, 1):
        what = "email" if "@" in raw else "phone"
        value = normalised(what, raw, None)
        if value is None:
            what = "is no address, and no number with its country (+49...)"
            raise ConsentryError(f"what else is to be let in: the {number}. of these {what}")
        known.append((subject, what, value))
    return known
