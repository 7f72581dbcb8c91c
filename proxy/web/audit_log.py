"""The audit log as the web side has it: its index, kept fresh, and what the pages show of it."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Final, TypeVar

from proxy.audit.index import Index, open_index
from proxy.audit.last_read import last_reads
from proxy.errors import ConsentryError

log = logging.getLogger(__name__)

REFRESH_SECONDS: Final = 5.0
_T = TypeVar("_T")


class AuditLog:
    """`start` before use, `stop` after. Works in threads of its own, so that a long log holds up nobody.

    A folder that is not there, or cannot be read, is tried again: then nothing is known of it, and `problem` says why.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.last_read: Mapping[tuple[str, str], datetime] = {}
        self.problem: str | None = "the audit log was not looked at yet"
        self._index: Index | None = None
        self._using = threading.Lock()  # an index is one connection
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._task = asyncio.create_task(self._keep_fresh())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        await asyncio.to_thread(self._close)

    async def refresh(self) -> None:
        """Takes in what the log has by now."""
        try:
            self.last_read = await self.ask(last_reads)
        except ConsentryError as error:
            if str(error) != self.problem:
                log.warning("%s", error)
            self.problem = str(error)
        else:
            self.problem = None

    async def ask(self, question: Callable[[Index], _T]) -> _T:
        """The answer of a function that reads the index, in a thread. Raises ConsentryError."""
        return await asyncio.to_thread(self._ask, question)

    def _ask(self, question: Callable[[Index], _T]) -> _T:
        with self._using:
            if self._index is None:
                if not self.directory.is_dir():
                    raise ConsentryError(f"audit: there is no folder {self.directory}")
                self._index = open_index(self.directory)
            return question(self._index)

    def _close(self) -> None:
        with self._using:
            if self._index is not None:
                self._index.close()
                self._index = None

    async def _keep_fresh(self) -> None:
        while True:
            await self.refresh()
            await asyncio.sleep(REFRESH_SECONDS)
