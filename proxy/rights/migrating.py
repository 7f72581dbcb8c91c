"""Sources whose data lives here from now on: who had it so is in the audit log."""

from __future__ import annotations

from collections.abc import Collection

from proxy.profile import sync
from proxy.profile.one_source import Plan, Synced
from proxy.rights.desk import Desk, act


async def cut_over(desk: Desk, plan: Plan, done: Collection[Synced]) -> None:
    """As `sync.cut_over`, and then no slot holds their logs. UnreachableError where no record can be written: nothing
    is cut over then. ConsentryError, too, where a slot cannot be dropped: all else is done then.
    """
    async with act(desk, "cutover") as under_way:
        names = await sync.cut_over(desk.connection, done)
        if names:
            await under_way.note({"sources": names})
    await sync.drop_slots(plan, done)
