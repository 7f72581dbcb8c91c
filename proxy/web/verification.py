"""Whether the audit log is whole, as `consentry audit verify` says: a process of its own beside the pages."""

from __future__ import annotations

import asyncio
import json
import logging
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from proxy.ops.command import CONSENTRY

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Verified:
    """What the command said: of each worker's log a report, logs that the database knows of and no file has, and files
    that no worker has written.

    `problem`: why it could say nothing.
    """

    at: datetime
    whole: bool
    logs: tuple[dict[str, Any], ...] = ()
    missing: tuple[tuple[str, int], ...] = ()
    foreign: tuple[str, ...] = ()
    problem: str | None = None

    @property
    def records(self) -> int:
        return sum(one["records"] for one in self.logs)


class Verification:
    """The last one, and the one that runs. `settings`: the settings file. `stop` at the end."""

    def __init__(self, settings: Path) -> None:
        self._settings = settings
        self._task: asyncio.Task[None] | None = None
        self.last: Verified | None = None

    @property
    def running(self) -> bool:
        return self._task is not None and not self._task.done()

    async def begin(self, patience: float) -> None:
        """Begins one where none runs, and waits so many seconds for its end."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(self._task), patience)

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        process = await asyncio.create_subprocess_exec(
            *CONSENTRY,
            "audit",
            "verify",
            "--json",
            "--config",
            str(self._settings),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            out, said = await process.communicate()
        except asyncio.CancelledError:
            process.kill()
            await process.wait()
            raise
        self.last = _verified(out, said.decode("utf-8", "replace"))
        if not self.last.whole:
            log.error("the audit log is not whole, or cannot be verified: %s", self.last.problem or out.decode())


def _verified(out: bytes, said: str) -> Verified:
    now = datetime.now(UTC)
    try:
        facts = json.loads(out)
        missing = tuple((str(name), int(worker)) for name, worker in facts["missing"])
        foreign = tuple(map(str, facts["foreign"]))
        return Verified(now, facts["whole"] is True, tuple(facts["logs"]), missing, foreign)
    except (ValueError, KeyError, TypeError):
        return Verified(now, False, problem=said.strip().removeprefix("consentry: ") or "the command said nothing")
