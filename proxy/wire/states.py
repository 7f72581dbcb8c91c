"""What each message from the frontend does in each state of a session, as a table to be read aloud.

Source: PostgreSQL documentation, chapter "Frontend/Backend Protocol", "Message Flow".
"""

from __future__ import annotations

from collections import deque
from enum import Enum, IntEnum, auto
from itertools import product
from typing import Any, Final

from proxy.wire import messages


class State(Enum):
    """How the backend reads the frontend's next message."""

    READY = auto()  # simple and extended queries, a batch open or not
    COPY_IN = auto()  # the backend answered CopyInResponse and takes rows until CopyDone or CopyFail
    SKIPPING = auto()  # an error in an extended query: the backend reads and discards until Sync
    CLOSED = auto()


class Action(Enum):
    """What the session does with a message."""

    RELAY = auto()  # pass it, expect nothing
    FLUSH = auto()  # the same; it has no body
    QUERY = auto()  # plan its text, expect results and ReadyForQuery
    PARSE = auto()  # plan its text, note the name
    BIND = auto()  # plan again where the rules, the catalog or the path changed; note the portal
    DESCRIBE = auto()
    EXECUTE = auto()
    CLOSE = auto()
    SYNC = auto()
    FUNCTION = auto()  # refused, unless the app is trusted
    COPY_END = auto()  # rows end
    DISCARD = auto()  # the backend would ignore it: do not even send it
    RESUME = auto()  # Sync that ends the skipping
    TERMINATE = auto()
    VIOLATION = auto()  # a protocol error; the connection ends


_A = Action

#                       READY          COPY_IN        SKIPPING
_ROWS: tuple[tuple[str, tuple[Action, Action, Action]], ...] = (
    ("Q  Query",          (_A.QUERY,      _A.VIOLATION,  _A.DISCARD)),
    ("P  Parse",          (_A.PARSE,      _A.VIOLATION,  _A.DISCARD)),
    ("B  Bind",           (_A.BIND,       _A.VIOLATION,  _A.DISCARD)),
    ("D  Describe",       (_A.DESCRIBE,   _A.VIOLATION,  _A.DISCARD)),
    ("E  Execute",        (_A.EXECUTE,    _A.VIOLATION,  _A.DISCARD)),
    ("C  Close",          (_A.CLOSE,      _A.VIOLATION,  _A.DISCARD)),
    ("S  Sync",           (_A.SYNC,       _A.RELAY,      _A.RESUME)),  # ignored while rows are copied
    ("H  Flush",          (_A.FLUSH,      _A.FLUSH,      _A.DISCARD)),
    ("F  FunctionCall",   (_A.FUNCTION,   _A.VIOLATION,  _A.DISCARD)),
    ("d  CopyData",       (_A.RELAY,      _A.RELAY,      _A.DISCARD)),  # late rows of a COPY that failed are ignored
    ("c  CopyDone",       (_A.COPY_END,   _A.COPY_END,   _A.DISCARD)),
    ("f  CopyFail",       (_A.COPY_END,   _A.COPY_END,   _A.DISCARD)),
    ("X  Terminate",      (_A.TERMINATE,  _A.TERMINATE,  _A.TERMINATE)),
)  # fmt: skip

_COLUMNS = ((State.READY, 0), (State.COPY_IN, 1), (State.SKIPPING, 2))
TABLE: dict[State, dict[int, Action]] = {
    state: {ord(name[0]): actions[column] for name, actions in _ROWS} for state, column in _COLUMNS
}
TABLE[State.CLOSED] = {ord(name[0]): Action.DISCARD for name, _ in _ROWS}


class Awaiting(IntEnum):
    """What of the frontend's has not been answered in full."""

    QUERY = 1  # any number of results, then ReadyForQuery
    PARSE = 2  # ParseComplete
    BIND = 3  # BindComplete
    DESCRIBE = 4  # (ParameterDescription,) RowDescription or NoData
    EXECUTE = 5  # rows, then CommandComplete, EmptyQueryResponse or PortalSuspended
    CLOSE = 6  # CloseComplete
    SYNC = 7  # ReadyForQuery
    COPY_END = 8  # nothing: marks where the rows of a COPY end in the stream
    BATCH = 9  # all that a usual batch awaits: (PARSE,) BIND, (DESCRIBE,) EXECUTE, SYNC


class Expected:
    """One message that the backend will answer. Shared by all sessions where it can be.

    `owner` is what the session wants to have when the answer comes (opaque here). `swallow`: Consentry sent the message
    itself, its answer is not the app's. `name` is that of the statement which a Parse makes, or which a Close, or a
    Query (the unnamed one), drops. `limit`: the rows that an Execute asked for (0: all). `done`: how many statements of
    a Query with several have ended (such an item is not shared).
    """

    __slots__ = ("awaiting", "done", "limit", "name", "owner", "swallow")

    def __init__(
        self, awaiting: Awaiting, owner: Any = None, *, swallow: bool = False, name: bytes | None = None, limit: int = 0
    ) -> None:
        self.done = 0
        self.awaiting = awaiting
        self.owner = owner
        self.swallow = swallow
        self.name = name
        self.limit = limit

    def __repr__(self) -> str:
        return f"<{self.awaiting.name}{' swallowed' if self.swallow else ''} {self.name!r}>"


# The messages that come before rows.
_FIRSTS: Final = {Awaiting.PARSE: (b"1",), Awaiting.BIND: (b"2",), Awaiting.DESCRIBE: (b"T", b"n")}
_QUERY_HEADS: Final = (b"", b"T")


class Whole(Expected):
    """A Query, or a whole batch, whose answer most often comes whole in one chunk (see `whole`).

    `parts`: what a batch awaits, one by one. `heads`: the types of the messages that may come before its rows. `head`:
    what the last answer began with, before its rows.
    """

    __slots__ = ("head", "heads", "parts")

    def __init__(self, owner: Any, parts: tuple[Expected, ...] = ()) -> None:
        super().__init__(Awaiting.BATCH if parts else Awaiting.QUERY, owner)
        self.parts = parts
        self.head: bytes | None = None
        self.heads: tuple[bytes, ...] = _QUERY_HEADS
        if parts:
            self.name = parts[0].name
            firsts = (_FIRSTS[part.awaiting] for part in parts if part.awaiting in _FIRSTS)
            self.heads = tuple(b"".join(first) for first in product(*firsts))


SYNC = Expected(Awaiting.SYNC)
CLOSE = Expected(Awaiting.CLOSE)
COPY_END = Expected(Awaiting.COPY_END)

# What ends an item, where one message does so. CommandComplete and kin end an Execute, but not a Query.
ENDED_BY: dict[int, Awaiting] = {
    messages.PARSE_COMPLETE: Awaiting.PARSE,
    messages.BIND_COMPLETE: Awaiting.BIND,
    messages.CLOSE_COMPLETE: Awaiting.CLOSE,
    messages.NO_DATA: Awaiting.DESCRIBE,
    messages.ROW_DESCRIPTION: Awaiting.DESCRIBE,
    messages.COMMAND_COMPLETE: Awaiting.EXECUTE,
    messages.EMPTY_QUERY: Awaiting.EXECUTE,
    messages.PORTAL_SUSPENDED: Awaiting.EXECUTE,
}

Pending = deque[Expected]
