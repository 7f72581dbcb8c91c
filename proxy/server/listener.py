"""The sockets that a gateway listens on."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

log = logging.getLogger(__name__)

BACKLOG: Final = 1024
ACCEPTS: Final = 64  # connections taken at a time, before others have their turn


class Listener:
    """Gives each connection that is made, its socket not blocking, to `take`.

    An address is `host:port`, `[v6]:port`, or a folder for a unix socket named as PostgreSQL's is.
    """

    def __init__(self, addresses: Iterable[str], take: Callable[[socket.socket], None]) -> None:
        self.addresses: list[tuple[str, int]] = []  # the TCP addresses it listens on
        self._wanted = tuple(addresses)
        self._take = take
        self._sockets: list[socket.socket] = []

    def bind(self) -> None:
        """Takes the addresses: from here on they are nobody else's. Raises OSError."""
        for address in self._wanted:
            self._sockets.append(_bind(address))

    def listen(self) -> None:
        """Lets clients in. Raises OSError."""
        loop = asyncio.get_running_loop()
        for sock in self._sockets:
            sock.listen(BACKLOG)
            if sock.family != socket.AF_UNIX:
                self.addresses.append(sock.getsockname()[:2])
            loop.add_reader(sock, self._accept, sock)
            log.info("listening on %s", sock.getsockname())

    def close(self) -> None:
        """Takes no more connections."""
        loop = asyncio.get_running_loop()
        for sock in self._sockets:
            loop.remove_reader(sock)
            name = sock.getsockname()
            sock.close()
            if isinstance(name, str):
                Path(name).unlink(missing_ok=True)
        self._sockets.clear()

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(ACCEPTS):
            try:
                sock, _ = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    raise
                log.warning("no connection can be taken: %s", error.strerror)
                loop = asyncio.get_running_loop()
                loop.remove_reader(listening)
                loop.call_later(1, self._listen_again, listening)
                return
            sock.setblocking(False)
            self._take(sock)

    def _listen_again(self, listening: socket.socket) -> None:
        if listening in self._sockets:
            asyncio.get_running_loop().add_reader(listening, self._accept, listening)


def _bind(address: str) -> socket.socket:
    if address.startswith("/"):
        folder, _, port = address.rpartition(":")
        path = Path(folder or address) / f".s.PGSQL.{port or 6432}" if folder else Path(address) / ".s.PGSQL.6432"
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        if path.exists():
            if sock.connect_ex(str(path)) == 0:
                raise OSError(errno.EADDRINUSE, f"another process listens on {path}")
            path.unlink()  # left by one that died
        sock.bind(str(path))
    else:
        host, _, port = address.rpartition(":")
        host = host.strip("[]")
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # No SO_REUSEPORT: a gateway that was forgotten would get half of the connections.
        sock.bind((socket.gethostbyname(host) if family == socket.AF_INET else host, int(port)))
    sock.setblocking(False)
    return sock
