"""What the backend's messages answer: bytes in, calls of a sink and bytes out. No sockets.

Rows are hopped over by their headers, never read; a chunk in which nothing changes is given back as the same object.
Which of the frontend's messages is being answered is kept as a queue (`pending`), so that each error is known by the
statement that it belongs to, and answers to what Consentry itself sent are taken out.
"""

from __future__ import annotations

from collections import deque
from typing import Final, Protocol

from proxy.errors import protocol_violation
from proxy.wire import messages, whole
from proxy.wire.messages import COMMAND_COMPLETE, COPY_DATA, DATA_ROW, HEADER, READY
from proxy.wire.states import COPY_END, ENDED_BY, Awaiting, Expected, Pending, Whole

WHOLE_BYTES: Final = 64 * 1024 * 1024  # how long a message may be that must be held until it is whole (an error, say)

# These may be longer than what is held; their content is of no interest.
_STREAMED: Final = frozenset(
    (
        messages.ROW_DESCRIPTION,
        messages.PARAMETER_DESCRIPTION,
        messages.FUNCTION_RESULT,
    )
)
_QUERY: Final = Awaiting.QUERY
_EXECUTE: Final = Awaiting.EXECUTE
_SYNC: Final = Awaiting.SYNC
_BATCH: Final = Awaiting.BATCH
_ENDED_BY_READY: Final = frozenset((_QUERY, _SYNC, _BATCH))
_RUNS_NOTHING: Final = frozenset((Awaiting.PARSE, Awaiting.BIND, Awaiting.DESCRIBE, Awaiting.CLOSE))
# What ends an item of the extended protocol, and asks for nothing more (a ParseComplete is told).
_ENDED_PLAINLY_BY: Final = {
    messages.PARSE_COMPLETE: Awaiting.PARSE,
    messages.BIND_COMPLETE: Awaiting.BIND,
    messages.ROW_DESCRIPTION: Awaiting.DESCRIBE,
    messages.NO_DATA: Awaiting.DESCRIBE,
}

_header = HEADER.unpack_from


class Sink(Protocol):
    """What hears of answers. None from `failed`, `notice` and `notification` passes the message as it is."""

    def completed(self, item: Expected, tag: bytes) -> None:
        """A statement ended well; the tag is empty for an empty query, `SUSPENDED` where rows are left."""

    def parsed(self, item: Expected) -> None:
        """A statement was prepared, by the frontend or anew by Consentry."""

    def closed(self, item: Expected) -> None:
        """A statement was closed, or a simple query ended that dropped the unnamed one."""

    def failed(self, item: Expected | None, body: bytes, dropped: list[Expected], skipping: bool) -> bytes | None:
        """An error; `dropped` are the items that the backend will not answer now, `item` among them.

        `skipping`: the backend discards all until a Sync that has not been sent yet.
        """

    def notice(self, item: Expected | None, body: bytes) -> bytes | None: ...

    def notification(self, body: bytes) -> bytes | None:
        """What a session has sent by NOTIFY: its process, the channel and the payload."""

    def ready(self, status: int, item: Expected | None) -> None: ...

    def parameter(self, name: bytes, value: bytes) -> None: ...

    def copy_in(self, item: Expected) -> None:
        """The backend waits for rows."""

    def row(self, values: list[bytes | None]) -> None:
        """A row of an answer to what Consentry asked."""

    def injection_failed(self, body: bytes) -> None:
        """What Consentry asked failed; nothing of it reaches the frontend."""


SUSPENDED: Final = b"SUSPENDED"


class BackendFraming:
    """Finds messages from the backend, after start-up."""

    __slots__ = (
        "_dropping",
        "_need",
        "_partial",
        "_ready",
        "attention",
        "injected",
        "inside",
        "pending",
        "rows",
        "sink",
        "status",
        "stream",
        "told",
    )

    def __init__(self, sink: Sink, status: int = messages.IDLE) -> None:
        self.sink = sink
        self.pending: Pending = deque()
        self.injected = 0  # how many of `pending` Consentry sent itself
        self.status = status  # of the transaction, by the last ReadyForQuery
        self._ready = messages.ready(status)  # what ends an answer that does not change it
        self.rows = 0  # of the answer that is under way: how many were begun to be sent
        self.told = False  # the Query at the head of `pending` has ended, or failed; its ReadyForQuery is to come
        self.inside = False  # what was given last ends within an answer
        self.attention = False  # the sink hears every ReadyForQuery, not only those that change the status
        self.stream = 0  # how many bytes of a message are still to come and pass by
        self._partial = bytearray()
        self._need = 0
        self._dropping = False

    def feed(self, data: bytes) -> bytes:
        """Takes what came from the backend; gives what goes to the frontend.

        Raises PgError (FATAL) where the backend answers what nobody asked.
        """
        pending = self.pending
        if pending and not (self.stream or self._partial or self.told or self.attention or self.injected):
            item = pending[0]
            if item.__class__ is Whole:
                tag = whole.tag(item, data, self._ready)
                if tag is not None:
                    pending.popleft()
                    if item.name is not None:
                        self.sink.parsed(item)
                    self.sink.completed(item, tag)
                    self.inside = False
                    return data
        for item in pending:
            if item.awaiting is _BATCH:
                self._take_apart()
                break
        if self._partial:
            self._partial += data
            if len(self._partial) < self._need:
                return b""
            data = bytes(self._partial)
            self._partial.clear()
        size = len(data)
        start = 0
        sent = 0
        ended = 0  # where the last answer ended
        rows = self.rows
        if self.stream:
            start = min(self.stream, size)
            self.stream -= start
            if self._dropping:
                sent = start
                self._dropping = self.stream > 0
        out: list[bytes] = []
        while size - start >= 5:
            kind, length = _header(data, start)
            end = start + 1 + length
            swallow = self.injected > 0 and self._swallowing()
            if (kind == DATA_ROW or kind == COPY_DATA) and not swallow:  # noqa: PLR1714, SIM109  # no tuple: hot
                rows += 1
                if end > size:
                    self.stream = end - size
                    start = size
                    break
                start = end
                continue
            if length < 4:
                raise protocol_violation("the database sent an invalid message length")
            if end > size:
                if kind not in _STREAMED:
                    if length > WHOLE_BYTES:
                        raise protocol_violation("the database sent a message that is too long")
                    break
                self.stream = end - size
                self._dropping = swallow
            replacement: bytes | None = None
            if kind == COMMAND_COMPLETE:
                ended = end
                rows = 0
                item = pending[0] if pending else self._nobody(kind)
                if item is COPY_END:
                    item = self._head()
                if item.awaiting is _EXECUTE:
                    pending.popleft()
                elif item.awaiting is not _QUERY:
                    self._nobody(kind)
                else:
                    self.told = True
                if not swallow:
                    self.sink.completed(item, data[start + 5 : end - 1])
                else:
                    self.injected -= 1
                    if item.name is not None:
                        self.sink.parsed(item)
            elif kind == READY:
                ended = end
                answered = self._pop_ready()
                self.told = False
                status = data[start + 5]
                if answered is not None and answered.name is not None:
                    self.sink.closed(answered)
                if status != self.status or self.attention or swallow:
                    self.status = status
                    self._ready = messages.ready(status)
                    self.sink.ready(status, answered)
            elif swallow or not pending or pending[0].awaiting is not _ENDED_PLAINLY_BY.get(kind):
                if kind != messages.ROW_DESCRIPTION or not pending or pending[0].awaiting is not _QUERY:
                    self.rows = rows
                    replacement = self._other(kind, data, start, end, swallow)
                    if kind in _ENDING:
                        ended = end
                        rows = 0
            else:
                ended = end
                item = pending.popleft()
                if kind == messages.PARSE_COMPLETE and item.name is not None:
                    self.sink.parsed(item)
            if swallow and kind not in _UNASKED:
                replacement = b"" if replacement is None else replacement
            if replacement is not None:
                if sent != start:
                    out.append(data[sent:start])
                out.append(replacement)
                sent = min(end, size)
            start = end if end <= size else size  # noqa: FURB136  # no call: hot
        self.rows = rows
        self.inside = start != ended
        if start < size:
            self._keep(data, start)
        if not out and sent == 0 and start == size:
            return data
        out.append(data[sent:start])
        return b"".join(out)

    @property
    def between(self) -> bool:
        """The next byte to the frontend begins a message."""
        return not self.stream

    @property
    def unanswered(self) -> bool:
        """A ReadyForQuery is still to come: an earlier batch may yet fail."""
        return any(item.awaiting in _ENDED_BY_READY for item in self.pending)

    @property
    def failed(self) -> bool:
        """The transaction has failed, and nothing that was sent could end it or take it back."""
        return self.status == messages.IN_FAILED_TRANSACTION and all(
            item.awaiting in _RUNS_NOTHING for item in self.pending
        )

    def _take_apart(self) -> None:
        """Answers come message by message: what batches await stands one by one from here on."""
        pending = self.pending
        for _ in range(len(pending)):
            item = pending.popleft()
            pending.extend(item.parts if isinstance(item, Whole) and item.parts else (item,))

    def _swallowing(self) -> bool:
        item = self._head_or_none()
        return item is not None and item.swallow

    def _keep(self, data: bytes, start: int) -> None:
        self._partial += data[start:]
        self._need = 5
        if len(self._partial) >= 5:
            self._need = _header(self._partial, 0)[1] + 1

    def _nobody(self, kind: int) -> Expected:
        raise protocol_violation(f"the database sent message {chr(kind)!r} out of turn")

    def _head(self) -> Expected:
        """The item being answered, marks of a COPY's end left out."""
        while self.pending and self.pending[0] is COPY_END:
            self.pending.popleft()
        if not self.pending:
            raise protocol_violation("the database answered what was not asked")
        return self.pending[0]

    def _head_or_none(self) -> Expected | None:
        while self.pending and self.pending[0] is COPY_END:
            self.pending.popleft()
        return self.pending[0] if self.pending else None

    def _pop_ready(self) -> Expected | None:
        pending = self.pending
        item = pending[0] if pending else None
        if item is COPY_END:
            item = self._head_or_none()
        if item is None:
            return None
        if item.awaiting is not _SYNC and item.awaiting is not _QUERY:
            self._nobody(READY)
        pending.popleft()
        if item.swallow:
            self.injected -= 1
        return item

    def _other(self, kind: int, data: bytes, start: int, end: int, swallow: bool) -> bytes | None:
        """All that is not a row, CommandComplete or ReadyForQuery. Gives what is sent in its place, or None."""
        sink = self.sink
        ending = ENDED_BY.get(kind)
        if ending is not None:
            item = self._head()
            if item.awaiting is ending:
                self.pending.popleft()
                if item.swallow:
                    self.injected -= 1
            elif item.awaiting is not _QUERY and not (kind == messages.ROW_DESCRIPTION and item.awaiting is _EXECUTE):
                self._nobody(kind)
            if kind == messages.PARSE_COMPLETE:
                if item.name is not None:
                    sink.parsed(item)
            elif kind == messages.CLOSE_COMPLETE:
                if item.name is not None:
                    sink.closed(item)
            elif kind == messages.EMPTY_QUERY and not item.swallow:
                self.told = True
                sink.completed(item, b"")
            elif kind == messages.PORTAL_SUSPENDED and not item.swallow:
                sink.completed(item, SUSPENDED)
            return None
        if kind == messages.ERROR:
            return self._error(data[start + 5 : end])
        if kind == messages.NOTICE:
            return sink.notice(self._head_or_none(), data[start + 5 : end])
        if kind == messages.NOTIFICATION:
            return sink.notification(data[start + 5 : end])
        if kind == messages.PARAMETER_STATUS:
            name, _, value = data[start + 5 : end - 1].partition(b"\0")
            sink.parameter(name, value)
            return None
        if kind == DATA_ROW and swallow:
            sink.row(messages.data_row(data[start + 5 : end]))
            return None
        if kind == messages.COPY_IN:
            self._copy_in()
            return None
        if kind == messages.FUNCTION_RESULT:
            sink.completed(self._head(), b"")
            return None
        if kind in _RELAYED:
            return None
        return self._nobody(kind)  # type: ignore[return-value]  # it raises

    def _copy_in(self) -> None:
        """The backend takes rows now: it ignores the Syncs that the frontend sent before the rows' end."""
        item = self._head()
        pending = self.pending
        pending.popleft()
        ended = False
        while pending:
            following = pending.popleft()
            if following is COPY_END:
                ended = True
                break
            if following.awaiting is not _SYNC:
                raise protocol_violation("unexpected message type during COPY from stdin")
            if following.swallow:
                self.injected -= 1
        pending.appendleft(item)
        if not ended:
            self.sink.copy_in(item)

    def _error(self, body: bytes) -> bytes | None:
        pending = self.pending
        item = self._head_or_none()
        dropped: list[Expected] = []
        if item is None or item.awaiting is _SYNC:
            return self.sink.failed(item, body, dropped, False)
        if item.awaiting is _QUERY:
            self.told = True
            return self.sink.failed(item, body, [item], False)
        while pending and pending[0].awaiting is not _SYNC:
            dropped.append(pending.popleft())
        for gone in dropped:
            if gone.swallow:
                self.injected -= 1
        if item.swallow and pending and pending[0].swallow:
            self.sink.injection_failed(body)
            return b""
        return self.sink.failed(item, body, dropped, not pending)


_ENDING: Final = frozenset((*ENDED_BY, messages.ERROR))
# Messages that come at any moment: not an answer to what was injected.
_UNASKED: Final = frozenset((messages.NOTICE, messages.NOTIFICATION, messages.PARAMETER_STATUS, messages.ERROR))
_RELAYED: Final = frozenset(
    (
        messages.PARAMETER_DESCRIPTION,
        messages.COPY_OUT,
        messages.COPY_DONE,
    )
)
