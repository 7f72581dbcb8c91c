"""Who read one customer's data: the log's reads, put beside what the customer had decided at the time.

The log names no customers, so this says which reads can have been of this one. Where an app has a value only of those
who agreed, the ledger tells for each read whether that was so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from proxy.audit.question import micros
from proxy.audit.reader import NOTHING, Disclosed
from proxy.audit.report import outlines

Got = Literal["value", "masked", "nothing"]


@dataclass(frozen=True, slots=True)
class Decided:
    """One decision of the customer. Times are microseconds since 1970."""

    app: str
    attribute: str
    granted: bool
    at: int
    expires_at: int | None = None


@dataclass(slots=True)
class Access:
    """What an app can have had of one attribute of the customer: `got` at most, so often."""

    app: str
    attribute: str
    got: Got
    statements: int = 0
    first: str = ""
    last: str = ""


def accesses(
    directory: Path, decided: Sequence[Decided], since: int | None = None, until: int | None = None
) -> list[Access]:
    """By app and attribute. Raises ConsentryError."""
    found: dict[tuple[str, str, Got], Access] = {}
    history: dict[tuple[str, str], list[Decided]] = {}
    for one in sorted(decided, key=lambda one: one.at):
        history.setdefault((one.app, one.attribute), []).append(one)
    for _, outline in outlines(directory, since, until):
        if not outline.read:
            continue
        time, app = outline.time.decode(), outline.traits.app or ""
        at = micros(time)
        best: dict[str, Got] = {}
        for column in outline.traits.disclosed:
            if column.attribute is not None:
                got = _got(column, at, app, history)
                if _RANK[got] >= _RANK[best.get(column.attribute, "nothing")]:
                    best[column.attribute] = got
        for attribute, got in best.items():
            access = found.setdefault((app, attribute, got), Access(app, attribute, got, first=time))
            access.statements += 1
            access.first = min(access.first, time)
            access.last = max(access.last, time)
    return [found[key] for key in sorted(found)]


def _got(one: Disclosed, at: int, app: str, history: Mapping[tuple[str, str], Sequence[Decided]]) -> Got:
    treatment = one.treatment
    condition, comma, other = treatment.partition(", else ")
    if comma:
        shown = _granted(history.get((app, one.attribute or ""), ()), at, default="unless" in condition)
        return "value" if shown else "nothing" if other in NOTHING else "masked"
    if treatment in NOTHING:
        return "nothing"
    return "value" if treatment == "show" else "masked"


def _granted(decisions: Sequence[Decided], at: int, *, default: bool) -> bool:
    state = default
    for one in decisions:
        if one.at > at:
            break
        state = one.granted and (one.expires_at is None or one.expires_at > at)
    return state


_RANK: Final[Mapping[Got, int]] = {"nothing": 0, "masked": 1, "value": 2}
