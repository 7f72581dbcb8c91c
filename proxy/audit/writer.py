"""Appends records to the audit log's file: batched, in order, and never lost silently."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from time import time
from typing import Final

from proxy.audit.record import Clock, fragment
from proxy.errors import UnreachableError

log = logging.getLogger(__name__)

BATCH_SECONDS: Final = 0.01
RETRY_SECONDS: Final = 1.0
# How much is kept in memory while the file cannot be written; what comes later is given up. Where records are required
# that is no more than connections and refusals: nothing is let in then but what was under way.
KEPT_BYTES: Final = 64 * 1024 * 1024


class AuditWriter:
    """One worker's log: `<directory>/<worker>-<date>.jsonl`.

    `append` costs no system call: lines are written together within 10 ms. `failing` is true from a write that failed
    to the next that succeeds; `on_change` is called whenever it changes.
    """

    def __init__(
        self,
        directory: Path,
        worker: int = 0,
        *,
        required: bool = True,
        full_text: bool = False,
        on_change: Callable[[bool], None] | None = None,
    ) -> None:
        self.directory = directory
        self.worker = worker
        self.required = required
        self.full_text = full_text  # statements with their constants
        self.failing = False
        self.lost = 0  # records that were given up
        self.on_change = on_change
        self._lines: list[str] = []
        self._unwritten = b""  # the rest of a batch after a write that failed
        self._sequence = 0
        self._clock = Clock()
        self._file = -1
        self._day = ""
        self._timer: asyncio.TimerHandle | None = None

    def open(self) -> None:
        """Makes the directory and opens the file. Raises UnreachableError."""
        try:
            self.directory.mkdir(parents=True, exist_ok=True, mode=0o750)
            self._open_day(datetime.now(UTC).strftime("%Y-%m-%d"))
        except OSError as error:
            raise UnreachableError(f"audit: {self.directory} cannot be written: {error.strerror}") from error

    def append(self, event: str, session: str, statement: str, tail: str) -> None:
        """One record of these parts (see audit.record); `session` and `statement` end in a comma or are empty."""
        self._sequence = sequence = self._sequence + 1
        self._lines.append(
            f'{{"time":"{self._clock.text(time())}","seq":{sequence},"worker":{self.worker},'
            f'"event":"{event}",{session}{statement}{tail}}}\n'
        )
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(BATCH_SECONDS, self.flush)

    def event(self, event: str, session: str = "", **fields: object) -> None:
        """A record of something that is no statement."""
        self.append(event, "", "", (session + fragment(fields))[:-1])

    def flush(self) -> None:
        """Writes what has been gathered. Tries again later where the file cannot be written."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if len(self._unwritten) > KEPT_BYTES:
            self.lost += len(self._lines)
            log.error("audit: gave up %d records (%d so far): too many are unwritten", len(self._lines), self.lost)
        else:
            self._unwritten += "".join(self._lines).encode("utf-8", "replace")
        self._lines.clear()
        if not self._unwritten:
            return
        try:
            self._write()
        except OSError as error:
            self._failed(error)
        else:
            self._change(False)

    def close(self) -> None:
        """Writes what is left and closes the file."""
        self.flush()
        if self._unwritten:
            self.lost += self._unwritten.count(b"\n")
            log.error("audit: %d records could not be written before the stop", self._unwritten.count(b"\n"))
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _write(self) -> None:
        """Writes `_unwritten`; what the file does not take stays there."""
        day = datetime.now(UTC).strftime("%Y-%m-%d")
        if day != self._day or self._file < 0 or not os.fstat(self._file).st_nlink:  # no name: it was deleted
            self.directory.mkdir(parents=True, exist_ok=True, mode=0o750)
            self._open_day(day)
        while self._unwritten:
            written = os.write(self._file, self._unwritten)
            self._unwritten = self._unwritten[written:]

    def _open_day(self, day: str) -> None:
        path = self.directory / f"{self.worker}-{day}.jsonl"
        file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        if self._file < 0:
            _set_torn_line_aside(path, file)
        if self._file >= 0:
            os.close(self._file)
        self._file = file
        self._day = day

    def _failed(self, error: OSError) -> None:
        if not self.failing:
            log.error("audit: %s cannot be written: %s", self.directory, error.strerror)
        self._timer = asyncio.get_running_loop().call_later(RETRY_SECONDS, self.flush)
        self._change(True)

    def _change(self, failing: bool) -> None:
        if failing == self.failing:
            return
        self.failing = failing
        if not failing:
            log.warning("audit: %s can be written again", self.directory)
        if self.on_change is not None:
            self.on_change(failing)


def _set_torn_line_aside(path: Path, file: int) -> None:
    """Moves half a line at the file's end, which a crash left, into `<path>.torn`."""
    size = os.fstat(file).st_size
    torn = b""
    while size and not torn.startswith(b"\n"):
        start = max(0, size - 65_536)
        block = os.pread(file, size - start, start)
        cut = block.rfind(b"\n")
        torn = block[max(cut, 0) :] + torn
        size = start
    torn = torn.removeprefix(b"\n")
    if not torn:
        return
    with path.with_name(path.name + ".torn").open("ab") as aside:
        aside.write(torn + b"\n")
    os.ftruncate(file, os.fstat(file).st_size - len(torn))
    log.warning("audit: %s ended in half a line, which is now in %s.torn", path, path.name)
