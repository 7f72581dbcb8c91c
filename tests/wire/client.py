"""A frontend that sends exactly the bytes that a test says."""

from __future__ import annotations

import socket
from types import TracebackType

from proxy.wire import messages
from proxy.wire.startup import StartupMessage

Message = tuple[str, bytes]  # type and body


class RawClient:
    """One connection. `start` logs in (a login with trust)."""

    def __init__(self, port: int, timeout: float = 10) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self.buffer = b""

    def __enter__(self) -> RawClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.sock.close()

    def start(self, user: str = "app", database: str = "db", **parameters: str) -> list[Message]:
        packet = StartupMessage(3 << 16, (("user", user), ("database", database), *parameters.items()))
        self.sock.sendall(packet.encode())
        return self.until_ready()

    def send(self, *parts: bytes) -> None:
        self.sock.sendall(b"".join(parts))

    def message(self) -> Message | None:
        """The next message, or None where the connection has ended."""
        while len(self.buffer) < 5 or len(self.buffer) < 1 + int.from_bytes(self.buffer[1:5], "big"):
            try:
                more = self.sock.recv(65536)
            except ConnectionResetError:
                more = b""
            if not more:
                assert not self.buffer, "half a message"
                return None
            self.buffer += more
        length = int.from_bytes(self.buffer[1:5], "big")
        kind, body = chr(self.buffer[0]), self.buffer[5 : length + 1]
        self.buffer = self.buffer[length + 1 :]
        return kind, body

    def until(self, kind: str) -> list[Message]:
        """All messages up to one of this type."""
        found: list[Message] = []
        while not found or found[-1][0] != kind:
            message = self.message()
            assert message is not None, found
            found.append(message)
        return found

    def until_ready(self) -> list[Message]:
        return self.until("Z")

    def until_closed(self) -> list[Message]:
        found: list[Message] = []
        while (message := self.message()) is not None:
            found.append(message)
        return found

    def query(self, text: bytes) -> list[Message]:
        self.send(messages.query(text))
        return self.until_ready()


def kinds(found: list[Message]) -> str:
    """The types, in order."""
    return "".join(kind for kind, _ in found)


def rows(found: list[Message]) -> list[list[bytes | None]]:
    """The rows among the messages."""
    return [messages.data_row(body) for kind, body in found if kind == "D"]
