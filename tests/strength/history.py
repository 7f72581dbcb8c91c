"""Judges a history of writes and reads of registers: was each read answered by a value that was in force meanwhile?

As Jepsen's checkers do (Kingsbury; Herlihy and Wing, "Linearizability", 1990), for the simple case of one writer a
register: its writes are in order, so that a read may be answered by any of them from the last that was acknowledged
before the read began, to the last that began before the read ended; and no reader goes back.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Write:
    """`began` and `ended`: nanoseconds; a write that was never acknowledged has no end."""

    key: Hashable
    value: object
    began: int
    ended: int | None


@dataclass(frozen=True, slots=True)
class Read:
    reader: Hashable
    key: Hashable
    value: object
    began: int
    ended: int


def stale_reads(initial: object, writes: Iterable[Write], reads: Sequence[Read]) -> list[Read]:
    """The reads that no order of the writes explains. `initial` is every register's value before its first write.

    The writes of one key must be in order and must not overlap.
    """
    registers: dict[Hashable, list[Write]] = defaultdict(list)
    for write in writes:
        registers[write.key].append(write)
    begun = {key: [w.began for w in ws] for key, ws in registers.items()}
    ended = {key: [w.ended for w in ws if w.ended is not None] for key, ws in registers.items()}
    seen: dict[tuple[Hashable, Hashable], int] = {}
    stale = []
    for read in sorted(reads, key=lambda read: read.began):
        values = [initial, *(write.value for write in registers.get(read.key, ()))]
        first = bisect_left(ended.get(read.key, []), read.began)  # the number of writes acknowledged before
        last = bisect_right(begun.get(read.key, []), read.ended)
        first = max(first, seen.get((read.reader, read.key), 0))
        version = next((number for number in range(first, last + 1) if values[number] == read.value), None)
        if version is None:
            stale.append(read)
        else:
            seen[read.reader, read.key] = version
    return stale
