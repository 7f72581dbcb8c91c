"""Serves the web side until SIGTERM; SIGHUP takes the rules anew."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from pathlib import Path

import uvicorn

from proxy.errors import ConsentryError
from proxy.web.app import make_app
from proxy.web.site import Site, open_site

log = logging.getLogger(__name__)

BACKLOG = 512


def serve(file: Path, *, beside: bool = False) -> None:
    """Serves the web side of a settings file; `beside`: for as long as standard input is open.

    Raises ConsentryError where it cannot start.
    """
    site = open_site(file)
    opened = _listen(site.settings.listen)
    configuration = uvicorn.Config(
        make_app(site),
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="on",
        timeout_graceful_shutdown=10,
    )
    server = uvicorn.Server(configuration)
    asyncio.run(_run(server, site, opened, beside))
    if not server.started:
        raise ConsentryError("the web side could not start; the log above says why")


def _listen(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    try:
        return socket.create_server(
            (host.strip("[]"), int(port)),
            family=socket.AF_INET6 if ":" in host else socket.AF_INET,
            backlog=BACKLOG,
        )
    except (OSError, ValueError) as error:
        raise ConsentryError(f"the web side cannot listen on {address}: {error}") from error


async def _run(server: uvicorn.Server, site: Site, opened: socket.socket, beside: bool) -> None:
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, site.look_now)

    def watch() -> None:
        if not os.read(sys.stdin.fileno(), 1024):
            loop.remove_reader(sys.stdin.fileno())
            server.should_exit = True

    if beside:
        loop.add_reader(sys.stdin.fileno(), watch)
    await site.start()
    log.info("the web side listens on %s", opened.getsockname())
    await server.serve(sockets=[opened])
