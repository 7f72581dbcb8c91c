"""Answers that wait until the records that cover them are written (`audit.required`)."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final

from proxy.errors import PgError
from proxy.wire import errors

if TYPE_CHECKING:
    from proxy.server.session import Session

HELD_BYTES: Final = 1024 * 1024  # beyond it the server is not read


class Held:
    """What a session's client has not got yet, in order. Each part is released by the record that it waits for."""

    __slots__ = ("_backend", "_bytes", "_close", "_parts", "_session", "paused")

    def __init__(self, session: Session, backend: asyncio.Transport) -> None:
        self._session = session
        self._backend = backend
        self._parts: deque[tuple[bool, list[bytes]]] = deque()  # whether it begins with a message, and its bytes
        self._bytes = 0
        self._close = False
        self.paused = False

    def __bool__(self) -> bool:
        return bool(self._parts)

    def add(self, data: bytes, clean: bool) -> None:
        """Holds it until all records that were appended are written. `clean`: a message begins with it."""
        self._parts.append((clean, [data]))
        self._session.audit.wait(self)
        self._grown(len(data))

    def follow(self, data: bytes) -> None:
        """Holds it behind what is held."""
        self._parts[-1][1].append(data)
        self._grown(len(data))

    def close(self) -> None:
        """Closes the client's connection behind what is held."""
        if self._parts:
            self._close = True
        elif not self._session.transport.is_closing():
            self._session.transport.close()

    def release(self) -> None:
        """The records of the first part are written."""
        if not self._parts:
            return
        _, part = self._parts.popleft()
        transport = self._session.transport
        if not transport.is_closing():
            transport.write(part[0] if len(part) == 1 else b"".join(part))
        if not self._parts:
            self._emptied()

    def withhold(self) -> None:
        """The records cannot be written: the session ends, because it cannot be said what became of the statement."""
        if not self._parts:
            return
        clean = self._parts[0][0]
        self._parts.clear()
        transport = self._session.transport
        if clean and not transport.is_closing():
            transport.write(errors.encode(_withheld()))
        self._session.end("the audit log cannot be written", "58030")
        self._emptied()

    def _grown(self, size: int) -> None:
        self._bytes += size
        if self._bytes > HELD_BYTES and not self.paused and not self._backend.is_closing():
            self.paused = True
            self._backend.pause_reading()

    def _emptied(self) -> None:
        self._bytes = 0
        if self._close:
            self.close()
        elif self.paused:
            self.paused = False
            self._session.read_backend()


def _withheld() -> PgError:
    return PgError(
        "the audit log cannot be written",
        "58030",
        detail="The statement may have been done; what it answered is withheld.",
        hint="Statements are refused until the log can be written: see the gateway's log, or its disk.",
        severity="FATAL",
    )
