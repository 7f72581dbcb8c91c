"""The demo's gateway, in the process and event loop of the tour; its web side, in a process of its own."""

from __future__ import annotations

import asyncio
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from proxy.config import load_settings
from proxy.errors import ConsentryError
from proxy.ops.beside import GRACE
from proxy.ops.command import CONSENTRY
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


@asynccontextmanager
async def web_side(settings: Path) -> AsyncIterator[None]:
    """The pages and the API of the settings file, ended afterwards; what they log is in web.log beside it.

    In a session of its own: Ctrl-C is the tour's to handle. It ends with its standard input, however the tour ends.
    """
    with (settings.parent / "web.log").open("wb") as log:
        command = (*CONSENTRY, "web", "--beside", "--config", str(settings))
        process = await asyncio.create_subprocess_exec(
            *command, stdin=PIPE, stdout=log, stderr=STDOUT, start_new_session=True
        )
        try:
            yield
        finally:
            assert process.stdin is not None
            process.stdin.close()
            try:
                await asyncio.wait_for(process.wait(), GRACE)
            except TimeoutError:
                process.kill()
                await process.wait()
