"""The web side beside a gateway, in a process of its own: no page slows a statement down. It is kept running.

It ends with the gateway, also with one that is killed: it watches its standard input, which the gateway holds open.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from contextlib import suppress
from pathlib import Path
from typing import Final

from proxy.ops.backoff import Backoff
from proxy.ops.command import CONSENTRY
from proxy.ops.lifecycle import Runs

log = logging.getLogger(__name__)

GRACE: Final = 12.0  # seconds to end requests that are under way


class WithWeb:
    """A gateway and its web side, run as one."""

    def __init__(self, gateway: Runs, settings: Path) -> None:
        self._gateway = gateway
        self._settings = settings
        self._web: asyncio.subprocess.Process | None = None
        self._keeping: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Starts both. Raises what the gateway's start raises; what ails the web side is in the log."""
        await self._gateway.start()
        self._keeping = asyncio.create_task(self._keep())

    async def reload(self) -> None:
        """Both take the rules anew."""
        self._signal(signal.SIGHUP)
        await self._gateway.reload()

    async def stop(self, grace: float | None = None) -> None:
        """Ends both."""
        if self._keeping is not None:
            self._keeping.cancel()
            with suppress(asyncio.CancelledError):
                await self._keeping
        await asyncio.gather(self._stop_web(), self._gateway.stop(grace))

    async def _keep(self) -> None:
        backoff = Backoff()
        while True:
            backoff.begin()
            try:
                self._web = await asyncio.create_subprocess_exec(
                    *CONSENTRY, "web", "--beside", "--config", str(self._settings), stdin=asyncio.subprocess.PIPE
                )
            except OSError as error:
                log.warning("the web side cannot be started: %s", error)
                await asyncio.sleep(backoff.pause())
            else:
                code = await self._web.wait()
                pause = backoff.pause()
                log.warning("the web side ended with status %d; it is started again in %g s", code, pause)
                await asyncio.sleep(pause)

    async def _stop_web(self) -> None:
        if self._web is None:
            return
        self._signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self._web.wait(), GRACE)
        except TimeoutError:
            self._signal(signal.SIGKILL)
            await self._web.wait()

    def _signal(self, number: signal.Signals) -> None:
        if self._web is not None and self._web.returncode is None:
            with suppress(ProcessLookupError):
                self._web.send_signal(number)
