"""Takes syslog messages (RFC 5424) as a SIEM does: over TCP with octet counts (RFC 6587), UDP, and unix datagrams."""

from __future__ import annotations

import re
import socket
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

_FORMAT = re.compile(rb"<(\d{1,3})>1 (\S+) (\S+) (\S+) (\S+) (\S+) - (.*)", re.DOTALL)


@dataclass(frozen=True)
class Received:
    priority: int
    time: str
    host: str
    app: str
    process: str
    kind: str
    message: bytes


def parsed(data: bytes) -> Received:
    match = _FORMAT.fullmatch(data)
    assert match is not None, data[:200]
    priority, *words, message = match.groups()
    return Received(int(priority), *(word.decode() for word in words), message)  # type: ignore[arg-type]


class SyslogServer:
    """`received` grows while it runs. `address`: as the setting `audit.syslog` names it."""

    def __init__(self, kind: str, place: int | Path = 0) -> None:
        """`place`: the port (0: a free one), or the path of a unix socket."""
        self.received: list[Received] = []
        self._ended = False
        family = socket.AF_UNIX if kind == "unix" else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
        if kind == "unix":
            self._socket.bind(str(place))
            self.address = f"unix://{place}"
        else:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.bind(("127.0.0.1", place))
            self.port = int(self._socket.getsockname()[1])
            self.address = f"{kind}://127.0.0.1:{self.port}"
        if kind == "tcp":
            self._socket.listen()
        self._connections: list[socket.socket] = []
        work = self._accept if kind == "tcp" else self._take
        self._threads = [threading.Thread(target=work, daemon=True)]
        self._threads[0].start()

    def __enter__(self) -> SyslogServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended = True
        for one in (self._socket, *self._connections):
            with suppress(OSError):  # it is not connected
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        for thread in self._threads:
            thread.join(5)

    @property
    def messages(self) -> list[bytes]:
        return [one.message for one in self.received]

    def _accept(self) -> None:
        while not self._ended:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self._connections.append(connection)
            thread = threading.Thread(target=self._read, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _read(self, connection: socket.socket) -> None:
        rest = b""
        while True:
            try:
                piece = connection.recv(1 << 16)
            except OSError:
                return
            if not piece:
                return
            rest += piece
            while (space := rest.find(b" ")) > 0 and len(rest) >= space + 1 + int(rest[:space]):
                end = space + 1 + int(rest[:space])
                self.received.append(parsed(rest[space + 1 : end]))
                rest = rest[end:]

    def _take(self) -> None:
        while not self._ended:
            try:
                piece = self._socket.recv(1 << 16)
            except OSError:
                return
            if piece:  # not the end
                self.received.append(parsed(piece))
