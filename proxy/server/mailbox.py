"""A connection before its session begins: messages are awaited one by one. Not used once a session has begun."""

from __future__ import annotations

import asyncio
from typing import Final, cast

from proxy.errors import protocol_violation
from proxy.wire.messages import HEADER

UNREAD_BYTES: Final = 64 * 1024
MESSAGE_BYTES: Final = 1024 * 1024


class Mailbox(asyncio.Protocol):
    """Holds what came until it is asked for; beyond 64 KB the peer must wait."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._waiter: asyncio.Future[None] | None = None
        self.ended = False
        self._paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's are not of this class

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if len(self._buffer) > UNREAD_BYTES and not self._paused:
            self._paused = True
            self.transport.pause_reading()
        self._wake()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended = True
        self._wake()

    def pause_writing(self) -> None:
        """Few and small messages are written here: nothing to do."""

    def resume_writing(self) -> None: ...

    async def exactly(self, size: int) -> bytes:
        """The next `size` bytes. Raises ConnectionError where the peer is gone."""
        while len(self._buffer) < size:
            await self._more()
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data

    async def message(self, limit: int = MESSAGE_BYTES) -> tuple[int, bytes]:
        """The next message: its type and body."""
        kind, length = HEADER.unpack(await self.exactly(5))
        if not 4 <= length <= limit:
            raise protocol_violation("invalid message length")
        return kind, await self.exactly(length - 4)

    def rest(self) -> bytes:
        """All that came and was not asked for; from here on another protocol has the connection."""
        if self._paused:
            self._paused = False
            self.transport.resume_reading()
        data = bytes(self._buffer)
        self._buffer.clear()
        return data

    async def _more(self) -> None:
        if self.ended:
            raise ConnectionResetError("connection closed")
        if self._paused:
            self._paused = False
            self.transport.resume_reading()
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
