"""Records of what is read over HTTP, in the audit log as the gateway's are: no answer before its record is written."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import replace
from typing import Any, Final

import asyncpg

from proxy.audit.acts import options_of
from proxy.audit.copies import Copies
from proxy.audit.writer import AuditWriter
from proxy.config import Configuration
from proxy.errors import UnreachableError

log = logging.getLogger(__name__)

FIRST: Final = 900  # its number as a worker: below are the gateway's, from 1000 on those of commands
MOST: Final = 16
Connecting = Callable[[], AbstractAsyncContextManager[asyncpg.Connection]]


class Records:
    """Opened with the first record. `connecting`: gives the control connection, for copies of checkpoints."""

    def __init__(self, configuration: Configuration, connecting: Connecting) -> None:
        self._options = replace(options_of(configuration), required=configuration.settings.audit.required)
        self._connecting = connecting
        self._copies = Copies(self._ask)
        self._writer: AuditWriter | None = None
        self._copying: asyncio.Task[None] | None = None
        self._rules: tuple[str, str, str | None] | None = None

    def rules(self, rules: str, version: str, problem: str | None = None) -> None:
        """These are in force from now on, by their hash and that of what they come to. `problem`: why they stay."""
        before, self._rules = self._rules, (rules, version, problem)
        if self._writer is not None and (problem or before is None or before[0] != rules):
            self._writer.rules(rules, version, problem)

    @property
    def full_text(self) -> bool:
        """Whether statements are recorded with their constants."""
        return self._options.full_text

    async def write(self, event: str, session: str, statement: str, tail: str) -> None:
        """One record of these parts (see audit.record), written when this returns.

        Raises UnreachableError where it cannot be: then what it tells of must not be answered.
        """
        writer = self._writer or self._open()
        waiting = _Waiting()
        writer.append(writer.begin(event, session), statement, tail)
        writer.wait(waiting)
        if not await waiting.written and self._options.required:
            raise UnreachableError(f"audit: {self._options.directory} cannot be written: nothing is disclosed")

    async def close(self) -> None:
        """Ends the file."""
        if self._writer is None:
            return
        self._writer.close()
        if self._copying is not None:
            self._copying.cancel()
            with suppress(asyncio.CancelledError):
                await self._copying
        await self._copies.finish()

    def _open(self) -> AuditWriter:
        for number in range(FIRST, FIRST + MOST):
            writer = AuditWriter(self._options, number, on_checkpoint=self._copies.add)
            try:
                changed = writer.open(rules=self._rules[0] if self._rules else None)
            except UnreachableError:
                if number == FIRST + MOST - 1:
                    raise
            else:
                break
        self._writer = writer
        if changed and self._rules:
            writer.rules(*self._rules)
        self._copying = asyncio.create_task(self._copies.run())
        return writer

    async def _ask(self, question: Callable[[asyncpg.Connection], Awaitable[Any]]) -> Any:
        async with self._connecting() as connection:
            return await question(connection)


class _Waiting:
    """An answer that waits for its record."""

    def __init__(self) -> None:
        self.written: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def release(self) -> None:
        self._settle(True)

    def withhold(self) -> None:
        self._settle(False)

    def _settle(self, written: bool) -> None:
        if not self.written.done():
            self.written.set_result(written)
