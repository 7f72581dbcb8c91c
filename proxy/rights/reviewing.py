"""Decisions about whose a record of another source is, each with its record in the audit log."""

from __future__ import annotations

from proxy.consent import locks
from proxy.profile import review
from proxy.profile.review import Choice
from proxy.rights.desk import Desk, act


async def decide(
    desk: Desk, source: str, key: str, choice: Choice, *, subject: str | None = None, seen: str | None = None
) -> str | None:
    """As `review.decide`; UnreachableError where no record can be written: nothing is decided then."""
    async with act(desk, "review") as under_way:
        found = await review.decide(
            desk.connection, desk.written, desk.rules, source, key, choice,
            actor=desk.actor, subject=subject, seen=seen,
        )  # fmt: skip
        decision = await review.decided(desk.connection, source, key)
        assert decision is not None
        await under_way.note({"decision": decision.id, "source": source, "choice": choice})
    return found


async def undo(desk: Desk, source: str, key: str, seen: str | None = None) -> str | None:
    """As `review.undo`; UnreachableError as above."""
    async with act(desk, "review") as under_way:
        await desk.connection.execute(locks.WRITING)
        decision = await review.decided(desk.connection, source, key)
        found = await review.undo(desk.connection, desk.written, source, key, seen)
        assert decision is not None
        await under_way.note({"decision": decision.id, "source": source, "choice": "undo"})
    return found
