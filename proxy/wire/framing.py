"""Where the frontend's messages begin and end: bytes in, calls of handlers and bytes out. No sockets.

`FrontendFraming.feed` finds the messages of a chunk and calls one handler for each. The handler says what is sent
instead; without its word a message passes as it is, and a chunk that passes whole is given back as the same object.
Text is held until it is whole; rows of a COPY and parameters of a Bind are never held.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from proxy.errors import PgError, protocol_violation
from proxy.wire import messages
from proxy.wire.messages import HEADER

MEGABYTE: Final = 1024 * 1024
SMALL_MESSAGE: Final = 10_000  # PQ_SMALL_MESSAGE_LIMIT
LARGE_MESSAGE: Final = 0x3FFFFFFF - 1  # PQ_LARGE_MESSAGE_LIMIT: MaxAllocSize - 1
STATEMENT_BYTES: Final = 16 * MEGABYTE
NAMES_BYTES: Final = SMALL_MESSAGE  # how far into a Bind its two names may reach


class Before:
    """A handler's answer: send these bytes, then the message as it is."""

    __slots__ = ("prefix",)

    def __init__(self, prefix: bytes) -> None:
        self.prefix = prefix


class NotTakenError(PgError):
    """FATAL: a message with which a statement was to run is longer than allowed, and is not read."""


class Hold:
    """A handler's answer: neither this message nor what follows is taken until `resume`."""


HOLD: Final = Hold()
Outcome = None | bytes | Before | Hold  # None: pass it as it is; bytes: send these in its place
# (sink, chunk, start, end): the message is chunk[start:end]; the end may lie beyond the chunk for Bind, CopyData and
# FunctionCall, which are not held.
Handler = Callable[[Any, bytes, int, int], Outcome]

# By type: how a message that is not whole yet is treated, and its greatest length.
_STREAMED: Final = frozenset((messages.COPY_DATA, messages.FUNCTION_CALL))
_LARGE: Final = _STREAMED | {messages.BIND}
_TEXTS: Final = frozenset((messages.QUERY, messages.PARSE))
_RUNNING: Final = frozenset((messages.BIND, messages.FUNCTION_CALL))
_SHORTER: Final = "A message is at most 1 GB long: send large values by COPY, or in parts."

# The least length of each type, with which its fixed fields can be read; those that have no body have exactly 4.
LEAST: Final = [4] * 256
for _kind, _least in (("Q", 5), ("P", 8), ("B", 12), ("D", 6), ("E", 9), ("C", 6), ("F", 14), ("f", 5)):
    LEAST[ord(_kind)] = _least

_header = HEADER.unpack_from


class FrontendFraming:
    """Finds messages from the frontend, after start-up. `handlers` has 256 places: None where a type is unknown."""

    __slots__ = ("_dropping", "_need", "_partial", "_stream", "handlers", "held", "sink", "statement_bytes")

    def __init__(self, sink: Any, handlers: Sequence[Handler | None], statement_bytes: int = STATEMENT_BYTES) -> None:
        self.sink = sink
        self.handlers = handlers
        self.statement_bytes = statement_bytes
        self.held = False
        self._partial = bytearray()  # the beginning of a message that must be whole, or what came while held
        self._need = 0  # how many bytes `_partial` must have before it is worth looking at again
        self._stream = 0  # how many bytes of a message are still to come and pass by
        self._dropping = False  # those bytes are not sent

    @property
    def between(self) -> bool:
        """Nothing is held, and the next byte begins a message."""
        return not (self._partial or self._stream or self.held)

    @property
    def buffered(self) -> int:
        """How many bytes are held."""
        return len(self._partial)

    def resume(self) -> bytes:
        """Goes on after HOLD; gives what is to be sent."""
        self.held = False
        self._need = 0
        return self.feed(b"")

    def feed(self, data: bytes) -> bytes:
        """Takes what came from the frontend; gives what goes to the backend.

        Raises PgError (FATAL) where the frontend breaks the protocol, before any memory is taken for it.
        """
        if self._partial or self.held:
            self._partial += data
            if self.held or len(self._partial) < self._need:
                return b""
            data = bytes(self._partial)
            self._partial.clear()
        size = len(data)
        start = 0
        sent = 0  # data[:sent] is in `out`, or dropped
        out: list[bytes] = []
        if self._stream:
            start = min(self._stream, size)
            self._stream -= start
            if self._dropping:
                sent = start
                self._dropping = self._stream > 0
        sink = self.sink
        while size - start >= 5:
            kind, length = _header(data, start)
            handler = self.handlers[kind]  # a handler may change the state, and with it the handlers
            end = start + 1 + length
            if handler is None or length < LEAST[kind]:
                raise _violation(kind, length)
            if end > size and not self._may_begin(kind, length, data, start):
                break
            outcome = handler(sink, data, start, end)
            if outcome is None:
                pass
            elif outcome is HOLD:
                self.held = True
                break
            else:
                if sent != start:
                    out.append(data[sent:start])
                if outcome.__class__ is Before:
                    out.append(outcome.prefix)
                    sent = start
                else:
                    out.append(outcome)
                    sent = end
            if end > size:
                self._stream = end - size
                self._dropping = sent == end
                start = size
                sent = min(sent, size)
                break
            start = end
        if start < size:
            self._keep(data, start)
        if not out and sent == 0 and start == size:
            return data
        out.append(data[sent:start])
        return b"".join(out)

    def _keep(self, data: bytes, start: int) -> None:
        self._partial += data[start:]
        if self.held:
            return
        self._need = 5
        if len(self._partial) < 5:
            if self.handlers[self._partial[0]] is None:
                raise protocol_violation(f"invalid frontend message type {self._partial[0]}")
            return
        kind, length = _header(self._partial, 0)
        self._need = len(self._partial) + 1 if kind == messages.BIND else length + 1

    def _may_begin(self, kind: int, length: int, data: bytes, start: int) -> bool:
        """Whether a message that is not whole can be handled already. Raises where it is longer than allowed."""
        limit = LARGE_MESSAGE if kind in _LARGE else SMALL_MESSAGE
        if kind in _TEXTS:
            if length > self.statement_bytes + SMALL_MESSAGE:
                raise statement_too_long(length, self.statement_bytes)
            limit = LARGE_MESSAGE
        if length > limit:
            if kind in _RUNNING:
                raise NotTakenError("invalid message length", "08P01", hint=_SHORTER, severity="FATAL")
            raise protocol_violation("invalid message length")
        if kind in _STREAMED:
            return True
        if kind == messages.BIND:
            portal_end = data.find(b"\0", start + 5)
            if portal_end >= 0 and data.find(b"\0", portal_end + 1) >= 0:
                return True
            if len(data) - start > NAMES_BYTES:
                raise protocol_violation("invalid string in message")
        return False


def _violation(kind: int, length: int) -> PgError:
    if length < LEAST[kind]:
        return protocol_violation("invalid message length")
    return protocol_violation(f"invalid frontend message type {kind}")


def statement_too_long(length: int, limit: int) -> NotTakenError:
    """54000: a text longer than `limits.statement_bytes`; the connection ends, since the rest is not read."""
    return NotTakenError(
        f"statement of {length} bytes is longer than the gateway takes",
        "54000",
        detail=f"The limit is {limit} bytes.",
        hint="Send large values as parameters or by COPY, or raise limits.statement_bytes in the gateway's settings.",
        severity="FATAL",
    )


def zero_terminated(data: bytes, start: int, end: int) -> tuple[bytes, int]:
    """The string at `start` of a message that ends at `end`, and where the next field begins."""
    stop = data.find(b"\0", start, end)
    if stop < 0:
        raise protocol_violation("invalid string in message")
    return data[start:stop], stop + 1
