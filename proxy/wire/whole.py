"""An answer that is whole in one chunk, as most are: looked at once, by what the last answer to the same began with.

Pure, hot. What is not whole, or not usual, is for `backend`, message by message.
"""

from __future__ import annotations

from typing import Final

from proxy.wire.messages import COMMAND_COMPLETE, DATA_ROW, HEADER
from proxy.wire.states import Whole

HEAD_BYTES: Final = 1024  # longer heads (of some thirty columns) are not kept

_header = HEADER.unpack_from


def tag(item: Whole, data: bytes, ready: bytes) -> bytes | None:
    """The tag of the CommandComplete, where `data` is one whole answer to `item` that ends in the message `ready`.

    None: it is anything else. Rows may hold any bytes: that the chunk ends like an answer is believed only when its
    messages, from the first one, lead there.
    """
    if not data.endswith(ready):
        return None
    head = item.head
    if head is None or not data.startswith(head):
        head = _head(item, data)
        if head is None:
            return None
        item.head = head
    start = len(head)
    end = len(data) - len(ready)
    while start < end:
        kind, length = _header(data, start)
        if kind != DATA_ROW:
            whole = kind == COMMAND_COMPLETE and start + 1 + length == end
            return data[start + 5 : end - 1] if whole else None
        start += length + 1
    return None


def _head(item: Whole, data: bytes) -> bytes | None:
    """What the answer begins with before its rows; None where `item` awaits something else, or it is long."""
    start = 0
    kinds = bytearray()
    while start <= min(HEAD_BYTES, len(data) - 5):
        kind, length = _header(data, start)
        if kind in (DATA_ROW, COMMAND_COMPLETE):
            return data[:start] if bytes(kinds) in item.heads else None
        kinds.append(kind)
        start += length + 1
    return None
