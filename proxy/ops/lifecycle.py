"""How a gateway runs as a process: until SIGTERM or SIGINT, taking its rules anew on SIGHUP."""

from __future__ import annotations

import asyncio
import signal
from typing import Protocol


class Runs(Protocol):
    """What can be started, told to take its rules anew, and stopped."""

    async def start(self) -> None: ...
    async def reload(self) -> bool: ...
    async def stop(self, grace: float | None = None) -> None: ...


async def run(gateway: Runs) -> None:
    """Starts, waits for a signal to end, stops. Raises what `start` raises."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    reloads: set[asyncio.Task[bool]] = set()

    def reload() -> None:
        task = loop.create_task(gateway.reload())
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    await gateway.start()
    loop.add_signal_handler(signal.SIGHUP, reload)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    await ended.wait()
    for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
        loop.remove_signal_handler(number)
    await gateway.stop()
