"""How a gateway runs as a process: until SIGTERM or SIGINT, taking its rules anew on SIGHUP."""

from __future__ import annotations

import asyncio
import signal
from typing import Protocol


class Runs(Protocol):
    """What can be started, told to take its rules anew, and stopped."""

    async def start(self) -> None: ...
    async def reload(self) -> object: ...
    async def stop(self, grace: float | None = None) -> None: ...


async def run(gateway: Runs) -> None:
    """Starts, waits for a signal to end, stops; a second signal does not wait for transactions.

    Raises what `start` raises.
    """
    loop = asyncio.get_running_loop()
    ended, hurried = asyncio.Event(), asyncio.Event()
    reloads: set[asyncio.Task[None]] = set()
    starting = loop.create_task(gateway.start())

    async def take_anew() -> None:
        await asyncio.wait((starting,))  # it may have read the rules before they were changed
        if not (ended.is_set() or starting.cancelled() or starting.exception()):
            await gateway.reload()

    def reload() -> None:
        task = loop.create_task(take_anew())
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    def end() -> None:
        (hurried if ended.is_set() else ended).set()

    # The handlers stay until the end: without them the signals would kill the process at once.
    loop.add_signal_handler(signal.SIGHUP, reload)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    if not await _first(starting, ended):
        starting.cancel()
        return
    await ended.wait()
    stopping = loop.create_task(gateway.stop())
    if not await _first(stopping, hurried):
        await gateway.stop(0)
        await stopping


async def _first(task: asyncio.Task[None], event: asyncio.Event) -> bool:
    """Whether the task is done (it raises what the task raised) before the event is set."""
    waiting = asyncio.create_task(event.wait())
    await asyncio.wait((task, waiting), return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if task.done():
        task.result()
    return task.done()
