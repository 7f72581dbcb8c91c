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

Part = tuple[bool, bytes]  # whether it begins with a message, and its bytes


class Held:
    """What a session's client has not got yet, in order. Each part is released by the record that it waits for."""

    __slots__ = ("_audit", "_backend", "_bytes", "_client", "_close", "_session", "parts", "paused")

    def __init__(self, session: Session, backend: asyncio.Transport) -> None:
        self._session = session
        self._audit = session.audit
        self._client = session.transport
        self._backend = backend
        self._bytes = 0
        self._close = False
        self.parts: deque[Part] = deque()
        self.paused = False

    def add(self, data: bytes, clean: bool) -> None:
        """Holds it until all records that were appended are written. `clean`: a message begins with it."""
        self.parts.append((clean, data))
        self._audit.wait(self)
        self._bytes += len(data)
        if self._bytes > HELD_BYTES:
            self._pause()

    def follow(self, data: bytes) -> None:
        """Holds it behind what is held."""
        clean, before = self.parts[-1]
        self.parts[-1] = clean, before + data
        self._bytes += len(data)
        if self._bytes > HELD_BYTES:
            self._pause()

    def close(self) -> None:
        """Closes the client's connection behind what is held."""
        if self.parts:
            self._close = True
        elif not self._client.is_closing():
            self._client.close()

    def release(self) -> None:
        """The records of the first part are written."""
        if not self.parts:
            return
        data = self.parts.popleft()[1]
        if not self._client.is_closing():
            self._client.write(data)
        if not self.parts:
            self._bytes = 0
            if self._close or self.paused:
                self._emptied()

    def withhold(self) -> None:
        """The records cannot be written: the session ends, because it cannot be said what became of the statement."""
        if not self.parts:
            return
        clean = self.parts[0][0]
        self.parts.clear()
        if clean and not self._client.is_closing():
            self._client.write(errors.encode(_withheld()))
        self._session.end("the audit log cannot be written", "58030")
        self._emptied()

    def _pause(self) -> None:
        if not self.paused and not self._backend.is_closing():
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
