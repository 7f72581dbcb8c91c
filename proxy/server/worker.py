"""One of several workers, in its process: its connections are given to it by the process that listens (`workers`).

The link between the two is a socket. Down it comes a byte with each connection; up it goes once that the worker is
ready, or why it ends instead. It ends with either process: a worker without the one that listens stops at once.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from typing import Final

from proxy.errors import ConsentryError
from proxy.server.gateway import Gateway
from proxy.server.listener import ACCEPTS

log = logging.getLogger(__name__)

READY: Final = b"ready\n"


class Worker:
    """A gateway that gets its connections by a link."""

    def __init__(self, gateway: Gateway, link: socket.socket) -> None:
        self._gateway = gateway
        self._link = link

    async def start(self) -> None:
        """As the gateway's, then says so."""
        self._link.setblocking(False)
        asyncio.get_running_loop().add_reader(self._link, self._receive)
        await self._gateway.start()
        self._link.send(READY)

    async def reload(self) -> bool:
        """As the gateway's."""
        return await self._gateway.reload()

    async def stop(self, grace: float | None = None) -> None:
        """As the gateway's."""
        self._gateway.roster.retire()
        await self._gateway.stop(grace)

    def _receive(self) -> None:
        for _ in range(ACCEPTS):
            try:
                data, files, _, _ = socket.recv_fds(self._link, 1, 1)
            except BlockingIOError:
                return
            except OSError:
                data, files = b"", []
            if not data:
                asyncio.get_running_loop().remove_reader(self._link)
                log.warning("the process that listens wants an end at once, or is gone")
                for _ in range(2):  # as an operator in a hurry would
                    signal.raise_signal(signal.SIGTERM)
                return
            if not files:  # the system had none for it
                log.warning("a connection was lost: too many open files")
                self._gateway.roster.leave()
            for file in files:
                sock = socket.socket(fileno=file)
                sock.setblocking(False)
                self._gateway.take(sock)


def tell_failure(link: socket.socket, error: ConsentryError) -> None:
    """Says why the worker cannot start; it ends then."""
    link.send(f"{error.exit_code} {error}".encode())


def failure(told: str) -> ConsentryError:
    """What a worker told that ended without being ready."""
    code, _, text = told.partition(" ")
    error = ConsentryError(text or "a worker ended while it started; the log says why")
    error.exit_code = int(code or 1)
    return error
