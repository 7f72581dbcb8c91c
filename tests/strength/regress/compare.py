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


def difference(text: str, straight: Sequence[Message], through: Sequence[Message], rewritten: bool) -> str | None:
    """What differs, in a word and the two sides; None where nothing does."""
    left, right = list(straight), list(through)
    if left == right:
        return None
    left = [_plain(message, rewritten) for message in left]
    right = [_plain(message, rewritten) for message in right]
    if rewritten:
        for at, (one, other) in enumerate(zip(left, right, strict=False)):
            left[at], right[at] = _without_origin(one, other)
    if left == right:
        return None
    if scrubbed(left) == scrubbed(right):
        return "scrubbed"
    if rewritten:
        if re.match(r"(?i)(\s|--[^\n]*\n)*explain\b", text) and left[0] == right[0] and left[-2:] == right[-2:]:
            return "explain"
        if not _ORDERED.search(text) and sorted(left) == sorted(right):
            return "order"
    for one, other in zip(left, right, strict=False):
        if one != other:
            return f"{_what(one, other)}: {_show(one)} | {_show(other)}"
    return f"count: {len(left)} messages | {len(right)}"


def _plain(message: Message, rewritten: bool) -> Message:
    kind, body = message
    body = _TEMPORARY.sub(b"pg_temp_0", body)  # the number is the backend's
    if kind not in (b"E", b"N"):
        return kind, body
    parts = [part for part in body.split(b"\0") if part and part[:1].decode() not in _SOURCE]
    return kind, b"\0".join(parts)


def scrubbed(messages: Sequence[Message]) -> list[object]:
    """The messages without what an error or notice may not say of what is hidden."""
    return [_scrub(body) if kind in (b"E", b"N") else (kind, body) for kind, body in messages]


def _scrub(body: bytes) -> object:
    parts = {name: value for name, value in fields(body).items() if name not in "DW"}
    parts["M"] = re.sub(r'".*"', '"?"', parts.get("M", ""), flags=re.DOTALL)
    return parts


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
