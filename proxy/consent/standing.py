"""How a customer's consents stand: what the ledger and a mapped consent table both can say."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

Decision = Literal["granted", "withdrawn"]
Actor = Literal["customer", "agent", "import"]

HASHED: Final = 1 << 62  # numbers from here on are hashes; the ledger's events do not reach them


@dataclass(frozen=True, slots=True)
class Standing:
    """How one attribute stands for one app. `granted`: in force now; `since`: the deciding event's time.

    Of a mapped table `since` and `expires_at` are what the mapping says, if it does, and who decided is not known.
    """

    app: str
    attribute: str
    decision: Decision
    granted: bool
    since: datetime | None
    expires_at: datetime | None
    actor: Actor | None
    event: int  # the deciding event; of a mapped table a hash of the rows


def version(standings: Sequence[Standing]) -> int:
    """A number that is another one when any of these consents changes: the newest event's id, or a hash; 0 for none."""
    if all(s.event < HASHED for s in standings):
        return max((s.event for s in standings), default=0)
    if len(standings) == 1:
        return standings[0].event
    every = sorted((s.app, s.attribute, s.event) for s in standings)
    return hashed(repr(every))


def hashed(text: str) -> int:
    """A number for the text, of 19 digits."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7]) | HASHED
