"""What happened to the first line of the audit log that is not linked to the one before. Pure.

A line is linked when its `prev` is the hash of the line before and its `seq` the next number. Where one is not, the
rest of the log is read for the lines that would be: they tell a record that was moved from one that is gone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from proxy.audit.chain import Link, digest, with_prev

Kind = Literal[
    "changed",
    "removed",
    "inserted",
    "reordered",
    "cut off",
    "file missing",
    "forged checkpoint",
    "rewritten",
    "unsigned",
    "unreadable",
]


@dataclass(frozen=True, slots=True)
class Entry:
    """One line: its file's name, its number there from 1, and what it says of its place (None: it is no record)."""

    file: str
    line: int
    data: bytes
    link: Link | None


@dataclass(frozen=True, slots=True)
class Finding:
    """The first bad record, and what happened. `sequence` is its `seq`; of one that is gone, or of a line that is no
    record, the one that should be here.
    """

    kind: Kind
    file: str | None
    line: int | None
    sequence: int | None
    message: str


def found_at(kind: Kind, entry: Entry, message: str, sequence: int | None = None) -> Finding:
    """A finding about a line."""
    if sequence is None and entry.link is not None:
        sequence = entry.link.sequence
    return Finding(kind, entry.file, entry.line, sequence, message)


def diagnose(last: Entry | None, entry: Entry, rest: Iterator[Entry], head: str, sequence: int) -> Finding:
    """`last` is the line before, whose hash and number are `head` and `sequence`; `rest` follows `entry`."""
    following = next(rest, None)
    moved = _displaced(entry, following, rest, head, sequence + 1)
    if moved is not None:
        return moved
    link, expected = entry.link, sequence + 1
    if link is None:
        return found_at("changed", entry, "it is no record any more", expected)
    if link.prev == head and link.sequence == expected and (entry.line == 1) != (link.event == "open"):
        return found_at("reordered", entry, "a file begins with an `open` record, and no other record is one")
    if link.prev == head:
        return found_at("changed", entry, "it does not follow the record before", expected)
    if link.sequence > expected:
        return _removed(entry, link, expected)
    if link.sequence < expected:
        back = expected - link.sequence  # as many lines before it fit, and are not what it follows
        line = entry.line - back if entry.line > back else None
        what = f"record {link.sequence} follows in line {entry.line} of {entry.file}"
        return Finding("inserted", entry.file, line, link.sequence, what)
    follows = following.link.prev if following is not None and following.link is not None else None
    if last is None or follows == digest(with_prev(entry.data, head)):
        return found_at("changed", entry, "its `prev` is not the hash of the record before")
    return found_at("changed", last, "its hash is not the one that the next record has")


def _removed(entry: Entry, link: Link, expected: int) -> Finding:
    count = link.sequence - expected
    what = f"{count} record{'s' if count != 1 else ''} before record {link.sequence}"
    return found_at("removed", entry, what, expected)


def _displaced(
    entry: Entry, following: Entry | None, rest: Iterator[Entry], head: str, expected: int
) -> Finding | None:
    """Where the line that should be here comes later: what stands before it was inserted, or moved here.

    It was moved when the record that should follow it is there too, but behind another one.
    """
    before, returned, moved, highest = entry, None, False, 0
    end: Entry = entry
    current = following
    while current is not None:
        link = current.link
        if link is not None:
            if returned is None:
                moved = moved or (
                    entry.link is not None and before.link is not None and entry.link.prev == before.link.hash
                )
                if link.prev == head:
                    returned, end = current, before
                    if moved:
                        break
            elif end.link is not None and link.prev == end.link.hash:
                moved = before.link is None or before.link.hash != end.link.hash
                break
            highest = max(highest, link.sequence)
        before = current
        current = next(rest, None)
    if returned is None:
        return None
    at_the_end = current is None and end.link is not None and end.link.sequence >= highest
    if moved or at_the_end:
        what = f"record {expected} should be here, and is in line {returned.line} of {returned.file}"
        return found_at("reordered", entry, what)
    what = f"record {expected} should be here, and follows in line {returned.line}"
    return found_at("inserted", entry, what, None if entry.link is not None else expected)
