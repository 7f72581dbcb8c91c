"""Connections to a server that end at the worst moment."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress

from tests.servers import PgServer


class Cutting:
    """A way to the server whose first connection that sent `marker` ends with its COMMIT: `before` the server has it,
    `after` it answered, `away` likewise, and nobody comes through any more. `close` at the end.
    """

    def __init__(self, server: PgServer, marker: bytes, how: str) -> None:
        self._server, self._marker, self._how = server, marker, how
        self.cut = 0
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def dsn(self, database: str) -> str:
        return self._server.dsn(database).replace(f":{self._server.port}", f":{self.port}")

    def close(self) -> None:
        self._listening.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                if self._how == "away" and self.cut:
                    client.close()
                    continue
                upstream = socket.create_connection((self._server.host, self._server.port))
                ends = (client, upstream, threading.Event())
                for way in (self._there, self._back):
                    threading.Thread(target=way, args=ends, daemon=True).start()

    def _there(self, client: socket.socket, upstream: socket.socket, committing: threading.Event) -> None:
        marked = False
        with suppress(OSError):
            while data := client.recv(65536):
                marked = marked or self._marker in data
                if marked and b"COMMIT" in data and not self.cut:
                    self.cut += 1
                    if self._how == "before":
                        break
                    committing.set()
                upstream.sendall(data)
        if not committing.is_set():
            _end(client, upstream)

    def _back(self, client: socket.socket, upstream: socket.socket, committing: threading.Event) -> None:
        with suppress(OSError):
            while data := upstream.recv(65536):
                if committing.is_set():
                    break
                client.sendall(data)
        _end(client, upstream)


def _end(*sockets: socket.socket) -> None:
    for one in sockets:
        with suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
        one.close()
