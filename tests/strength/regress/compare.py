"""Is what came through the gateway what came straight? Byte for byte, but for what the page README.md excepts."""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence

from tests.strength.client import Message, fields

_ORDERED = re.compile(r"(?i)\border\s+by\b")
# Where in PostgreSQL's source an error was raised; an error that the gateway's grammar finds has none.
_SOURCE = frozenset("FLR")
_TEMPORARY = re.compile(rb"pg_temp_\d+")
_EXPLAIN = re.compile(r"(?is)(\s|--[^\n]*\n|/\*.*?\*/)*explain\b")
# What is taken out of errors and notices where something is hidden: detail, context, inner query and its position; of
# what a function says, also hint and names. Written down here too, so that a change of proxy/wire/scrub.py is seen.
_WITHHELD = frozenset("DWqp")
_FILLED = frozenset("Hstcdn")
_SAID_BY_FUNCTIONS = ("exec_stmt_raise", "exec_stmt_assert")
_NOT_SHOWN = "a function of the database says something that is not shown"
_RECORD = 2249
DESIGNED = ("explain", "scrubbed error", "scrubbed notice", "order", "whole row")


def difference(
    text: str, straight: Sequence[Message], through: Sequence[Message], rewritten: bool, hides: bool
) -> str | None:
    """One of DESIGNED, or what differs, in a word and the two sides; None where nothing does.

    `hides`: the rules hide something, so that what is said of it is scrubbed.
    """
    if list(straight) == list(through):
        return None
    left, right = [_plain(message) for message in straight], [_plain(message) for message in through]
    if rewritten:
        for at, (one, other) in enumerate(zip(left, right, strict=False)):
            left[at], right[at] = _without_origin(one, other)
    if left == right:
        return None
    designed = set[str]()
    if hides and len(left) == len(right):
        for at, (one, other) in enumerate(zip(straight, through, strict=True)):
            if left[at] != right[at] and withheld(one, other):
                designed.add("scrubbed error" if one[0] == b"E" else "scrubbed notice")
                left[at] = right[at]
    if rewritten:
        for at, (one, other) in enumerate(zip(left, right, strict=False)):
            if one != other and _is_whole_row(one, other):
                designed.add("whole row")
                left[at] = other
    if left == right:
        return next(name for name in DESIGNED if name in designed)
    if rewritten or hides:
        if _EXPLAIN.match(text) and left[0] == right[0] and left[-2:] == right[-2:]:
            return "explain"
        if rewritten and not _ORDERED.search(text) and sorted(left) == sorted(right):
            return "order"
    for one, other in zip(left, right, strict=False):
        if one != other:
            return f"{_what(one, other)}: {_show(one)} | {_show(other)}"
    return f"count: {len(left)} messages | {len(right)}"


def _plain(message: Message) -> Message:
    kind, body = message
    body = _TEMPORARY.sub(b"pg_temp_0", body)  # the number is the backend's
    if kind not in (b"E", b"N"):
        return kind, body
    parts = [part for part in body.split(b"\0") if part and part[:1].decode() not in _SOURCE]
    return kind, b"\0".join(parts)


def withheld(straight: Message, through: Message) -> bool:
    """Whether the two are one error or notice, that came through without what a scrubber may take out.

    Severity, SQLSTATE and position are the same; nothing is said that was not; a message differs in values only.
    """
    if straight[0] != through[0] or straight[0] not in (b"E", b"N"):
        return False
    one, other = fields(_TEMPORARY.sub(b"pg_temp_0", straight[1])), fields(_TEMPORARY.sub(b"pg_temp_0", through[1]))
    said = one.get("R") in _SAID_BY_FUNCTIONS
    may_go = _WITHHELD | _FILLED if said else _WITHHELD
    for name in (one.keys() | other.keys()) - _SOURCE - {"M"}:
        if one.get(name) != other.get(name) and (name in other or name not in may_go):
            return False
    message, shown = one.get("M", ""), other.get("M", "")
    if message == shown or (said and shown == _NOT_SHOWN):
        return True
    value = re.escape("?" if said else '"?"')
    pattern = re.escape(shown).replace(value, ".*" if said else '".*"')
    return re.fullmatch(pattern, message, re.DOTALL) is not None


def _is_whole_row(straight: Message, through: Message) -> bool:
    """Whether two RowDescriptions differ only in that whole rows are of type record."""
    if straight[0] != b"T" or through[0] != b"T" or len(straight[1]) != len(through[1]):
        return False
    left, right = bytearray(straight[1]), bytearray(through[1])
    at = 2
    for _ in range(struct.unpack_from("!H", right)[0]):
        kind = right.find(b"\0", at) + 7
        if struct.unpack_from("!I", right, kind)[0] == _RECORD:
            left[kind : kind + 4] = right[kind : kind + 4]
        at = kind + 12
    return left == right


def _without_origin(one: Message, other: Message) -> tuple[Message, Message]:
    """Two RowDescriptions without the tables and numbers of columns that are computed on the other side, or that stand
    for a view's on it.
    """
    if one[0] != b"T" or other[0] != b"T" or len(one[1]) != len(other[1]):
        return one, other
    left, right = bytearray(one[1]), bytearray(other[1])
    at = 2
    for _ in range(struct.unpack_from("!H", left)[0]):
        end = left.find(b"\0", at)
        if left[end + 1 : end + 7] != right[end + 1 : end + 7]:
            left[end + 1 : end + 7] = right[end + 1 : end + 7] = bytes(6)
        at = end + 19
    return (one[0], bytes(left)), (other[0], bytes(right))


def _what(one: Message, other: Message) -> str:
    if one[0] != other[0]:
        return f"{one[0].decode()}/{other[0].decode()}"
    names = {b"T": "description", b"D": "row", b"C": "tag", b"E": "error", b"N": "notice", b"Z": "status"}
    return names.get(one[0], one[0].decode())


def _show(message: Message) -> str:
    kind, body = message
    if kind in (b"E", b"N"):
        shown = fields(body)
        return " ".join(f"{name}={shown[name]}" for name in "CMDHPW" if name in shown)[:400]
    return repr(body[:200])
