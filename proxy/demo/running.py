"""The demo's gateway, in the process and event loop of the tour."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from proxy.config import load_settings
from proxy.errors import ConsentryError
from proxy.server.assemble import make_gateway


@dataclass(frozen=True, slots=True)
class Running:
    """A gateway that listens on 127.0.0.1."""

    port: int


@asynccontextmanager
async def running(settings: Path) -> AsyncIterator[Running]:
    """The gateway of the settings file, stopped afterwards. Raises ConsentryError where the port is taken."""
    gateway = make_gateway(load_settings(settings))
    try:
        await gateway.start()
    except OSError as error:
        raise ConsentryError(f"the gateway cannot listen: {error.strerror or error}; try --port 0") from error
    try:
        yield Running(gateway.addresses[0][1])
    finally:
        await gateway.stop(grace=2)
