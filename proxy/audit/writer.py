"""Takes records of the audit log: batched, in order, never lost silently, and told of when they are written."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import time
from typing import Any, Final, Protocol

from proxy.audit.chain import Body, Checkpoint
from proxy.audit.expiry import expire_left
from proxy.audit.files import compress
from proxy.audit.log import Log, LogOptions, unwritable
from proxy.audit.record import Clock, consent_fragment, fragment
from proxy.errors import ConsentryError

log = logging.getLogger(__name__)

BATCH_SECONDS: Final = 0.01
RETRY_SECONDS: Final = 1.0
CHECKPOINT_SECONDS: Final = 1.0
# How much is kept in memory while the file cannot be written; what comes later is given up. Where records are required
# that is no more than connections and refusals: nothing is let in then but what was under way.
KEPT_BYTES: Final = 64 * 1024 * 1024


class Waiting(Protocol):
    """Somebody whose answer must not go out before what was appended so far is written."""

    def release(self) -> None: ...
    def withhold(self) -> None: ...


class AuditWriter:
    """One worker's log, from the event loop.

    `append` costs no system call: lines are written together within 10 ms, and at the end of the loop's turn where
    somebody waits for them. `failing` is true from a write that failed to the next that succeeds; `on_change` is called
    whenever it changes, `on_checkpoint` with every checkpoint.
    """

    def __init__(
        self,
        options: LogOptions,
        worker: int = 0,
        *,
        on_change: Callable[[bool], None] | None = None,
        on_checkpoint: Callable[[Checkpoint], None] | None = None,
    ) -> None:
        self.options = options
        self.worker = worker
        self.required = options.required
        self.full_text = options.full_text  # statements with their constants
        self.failing = False
        self.lost = 0  # records that were given up
        self.on_change = on_change
        self._log = Log(options, worker, on_checkpoint)
        self._bodies: list[Body] = []
        self._clock = Clock()
        self._waiting: list[Waiting] = []
        self._loop: asyncio.AbstractEventLoop  # set by `open`
        self._timer: asyncio.TimerHandle | None = None
        self._signing: asyncio.TimerHandle | None = None
        self._pool: ThreadPoolExecutor | None = None
        self._syncing = False
        self._told = 0  # lost records of which a record tells
        self._closed = False

    def open(self, consents: Mapping[str, int] | None = None, rules: str | None = None) -> bool:
        """Opens the log and signs where it begins; whether it ended under other rules. Raises UnreachableError.

        `consents` and `rules`: see `Log.open`.
        """
        try:
            self._log.open(consents, rules)
            self._log.expire()
        except OSError as error:
            raise unwritable(self.options, error) from error
        self._loop = asyncio.get_running_loop()
        self._sign()
        self._put_away(_compress_all)
        return self._log.rules_before not in (None, self._log.rules)

    def rules(self, rules: str, version: str, problem: str | None) -> None:
        """A record of the rules that are in force from now on, by their hash. `problem`: why they are not others."""
        self._log.rules = rules
        self.event("reload", rules=rules, rules_version=version, message=problem)

    def begin(self, event: str, session: str = "") -> str:
        """What all records of a session share that tell of the same event."""
        return f'"worker":{self.worker},"event":"{event}",{session}'

    def append(self, begin: str, statement: str, tail: str) -> None:
        """One record of these parts (see `begin` and audit.record); `statement` ends in a comma or is empty."""
        self._bodies.append((self._clock.text(time()), begin, statement, tail))
        if self._timer is None and not self._closed:
            self._timer = asyncio.get_running_loop().call_later(BATCH_SECONDS, self._due)

    def event(self, event: str, session: str = "", **fields: object) -> None:
        """A record of something that is no statement."""
        self.append(self.begin(event), "", (session + fragment(fields))[:-1])

    @property
    def consents(self) -> Mapping[str, int]:
        """Of each database the last event of its ledger that is recorded."""
        return self._log.consents

    def record_consents(self, database: str, changes: Sequence[Mapping[str, Any]]) -> bool:
        """Writes a record of each event of the ledger, at once. False where the file cannot be written: those that are
        not in `consents` then must come again.
        """
        bodies = [self._log.body("consent", consent_fragment(database, one)) for one in changes]
        try:
            self._log.write(bodies)
        except OSError as error:
            self._failed(error)
        written = len(changes) - len(bodies)
        if written:
            self._log.consents[database] = changes[written - 1]["id"]
            self._sign_soon()
        return not bodies

    def wait(self, waiting: Waiting) -> None:
        """Releases it when all that was appended so far is written, or withholds it when that fails."""
        self._waiting.append(waiting)
        if len(self._waiting) == 1 and not self._syncing:
            self._loop.call_soon(self.flush)

    def flush(self) -> None:
        """Writes what has been gathered. Tries again later where the file cannot be written."""
        if self._syncing:
            return  # what is on its way first; then this comes by itself
        if self._bodies:
            try:
                self._write()
                if self._closed and self.options.fsync:
                    os.fdatasync(self._log.file)
            except OSError as error:
                self._failed(error)
                return
            if self._signing is None:
                self._sign_soon()
            if self._log.finished:
                self._put_away(self._rotated)
            if self.options.fsync and not self._closed:
                self._sync()
                return
        self._written()

    def _due(self) -> None:
        # A timer runs to its end, whoever flushes before: setting one anew for each batch would cost more than it.
        self._timer = None
        self.flush()

    def close(self) -> None:
        """Writes what is left, signs it and closes the file."""
        self._closed = True
        if self._pool is not None:
            self._pool.shutdown()
            self._syncing = False
        self.flush()
        for timer in (self._timer, self._signing):
            if timer is not None:
                timer.cancel()
        self._timer = self._signing = None
        if self._bodies:
            self.lost += len(self._bodies)
            log.error("audit: %d records could not be written before the stop", len(self._bodies))
        elif self._log.unsigned:
            self._sign()
        try:
            if self.options.fsync and self._log.file >= 0:
                os.fdatasync(self._log.file)
        except OSError as error:
            log.warning("audit: the last records may not be on the disk: %s", error.strerror)
        self._log.close()

    def _write(self) -> None:
        if self.lost > self._told:
            self._log.write([self._log.body("lost", f'"records":{self.lost - self._told}')])
            self._told = self.lost
        self._log.write(self._bodies)

    def _written(self) -> None:
        if self.failing:
            self._change(False)
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            one.release()

    def _failed(self, error: OSError) -> None:
        if not self.failing:
            log.error("audit: %s cannot be written: %s", self.options.directory, error.strerror)
        if self._timer is not None:
            self._timer.cancel()
        if not self._closed:
            self._timer = asyncio.get_running_loop().call_later(RETRY_SECONDS, self._due)
        self._give_up()
        self._change(True)
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            one.withhold()

    def _give_up(self) -> None:
        size = 0
        for number, body in enumerate(self._bodies):
            size += sum(map(len, body))
            if size > KEPT_BYTES:
                given_up = len(self._bodies) - number
                del self._bodies[number:]
                self.lost += given_up
                log.error("audit: gave up %d records (%d so far): too many are unwritten", given_up, self.lost)
                return

    def _change(self, failing: bool) -> None:
        if failing == self.failing:
            return
        self.failing = failing
        if not failing:
            log.warning("audit: %s can be written again", self.options.directory)
        if self.on_change is not None:
            self.on_change(failing)

    # To the disk itself.

    def _sync(self) -> None:
        """Waits in a thread; what is appended meanwhile comes with the next one."""
        self._syncing = True
        if self._pool is None:
            self._pool = ThreadPoolExecutor(1, "audit")
        waiting, self._waiting = self._waiting, []
        loop = asyncio.get_running_loop()
        done = loop.run_in_executor(self._pool, os.fdatasync, self._log.file)
        done.add_done_callback(lambda future: self._synced(future, waiting))

    def _synced(self, future: asyncio.Future[None], waiting: list[Waiting]) -> None:
        self._syncing = False
        later, self._waiting = self._waiting, waiting
        error = None if future.cancelled() else future.exception()
        if isinstance(error, OSError):
            self._log.spoil()
            self._waiting += later
            self._failed(error)
            return
        self._written()
        self._waiting += later
        if self._bodies or self._waiting:
            self.flush()

    # Checkpoints and finished files.

    def _sign_soon(self) -> None:
        if self._log.unsigned and self._signing is None and not self._closed:
            self._signing = asyncio.get_running_loop().call_later(CHECKPOINT_SECONDS, self._sign)

    def _sign(self) -> None:
        if self._signing is not None:
            self._signing.cancel()
            self._signing = None
        try:
            self._log.checkpoint()
        except OSError as error:
            self._failed(error)  # the next write will be followed by one

    def _put_away(self, work: Callable[[list[Path]], None]) -> None:
        """In a thread, with the files that were ended."""
        finished, self._log.finished = self._log.finished, []
        if finished and not self._closed:
            asyncio.get_running_loop().run_in_executor(None, work, finished)

    def _rotated(self, finished: list[Path]) -> None:
        _compress_all(finished)
        if self.worker == 0:  # not at the start: the other workers do not have their logs yet
            try:
                expire_left(self.options, self.worker)
            except (OSError, ConsentryError) as error:
                log.warning("audit: logs that nobody writes keep what is older than audit.keep: %s", error)


def _compress_all(paths: list[Path]) -> None:
    for path in paths:
        try:
            compress(path)
        except OSError as error:
            log.warning("audit: %s stays as it is: it could not be compressed: %s", path, error.strerror or error)
