"""The batch that drivers send for one statement of the extended protocol, where it comes whole and alone. Hot.

(Parse,) Bind, (Describe,) Execute, Sync: about the unnamed portal, and of a statement that is known. It means what
`frontend` makes of its messages one by one, which takes all other ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxy.server.generation import DESCRIBED, PARSED
from proxy.wire import messages
from proxy.wire.framing import LEAST

if TYPE_CHECKING:
    from proxy.server.session import Session

_header = messages.HEADER.unpack_from
_PARSE: Final = messages.PARSE
_BIND: Final = messages.BIND
_LEAST_BIND: Final = LEAST[messages.BIND]
# What follows a Bind.
_RUN: Final = messages.execute(b"") + messages.SYNC_MESSAGE
_SHORTEST: Final = 1 + _LEAST_BIND + len(_RUN)
_TAILS: Final = {_RUN: 0, messages.describe(b"P", b"") + _RUN: DESCRIBED}


def take(session: Session, data: bytes) -> bytes | None:
    """Gives what goes to the server. None: this is another batch, and nothing is done.

    Nothing concerns the session, and no batch is open.
    """
    if len(data) < _SHORTEST:
        return None
    start = 0
    kind, length = _header(data, 0)
    if kind == _PARSE and len(data) - length > 6:
        start = 1 + length
        kind, length = _header(data, start)
    also = _TAILS.get(data[start + 1 + length :])
    if also is None or kind != _BIND or length < _LEAST_BIND or data[start + 5] != 0:
        return None
    end = data.find(b"\0", start + 6, start + 1 + length)  # where there is none, the name is one that nothing has
    name = data[start + 6 : end]
    statements = session.statements
    if start:
        entry = session.context.known_parse(data[6:start])
        if entry is None or not entry.plain or name or data[5] != 0:
            return None
        statements.current[b""] = entry
        also |= PARSED
        if entry.plan.rewritten:
            data = entry.parse_unnamed + data[start:]
    else:
        entry = statements.current.get(name)
        if (
            entry is None
            or entry is not statements.confirmed.get(name)
            or entry.context is not session.context
            or not entry.plain
            or not name.isascii()  # what it names depends on client_encoding
        ):
            return None
    statements.portals[b""] = entry
    session.pending.append(entry.on_batch.get(also) or entry.batch(also))
    return data
