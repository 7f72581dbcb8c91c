"""One worker's log on disk: linked lines in files that follow each other, signed now and then. Nothing here waits.

A process begins a file of its own. A file begins with an `open` record, which names the file before, and ends, unless
the process was killed, with a `checkpoint`.
"""

from __future__ import annotations

import fcntl
import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from secrets import token_hex
from time import time
from typing import Final

from proxy.audit.chain import GENESIS, Body, Checkpoint, Link, digest, file_name, seal
from proxy.audit.ending import find_ending, first_line, own_files
from proxy.audit.files import LogFile, compress, sync_folder
from proxy.audit.keys import Signer, load_or_make, version_of
from proxy.audit.record import Clock, fragment
from proxy.errors import ConsentryError, UnreachableError

log = logging.getLogger(__name__)

WRITE_BYTES: Final = 1024 * 1024  # what is given to the system at a time
# How long the file is believed to be there still. A look at it costs as much as a write, and makes the next write cost
# more (its time must differ then); who deletes a file takes the records of this time along with all others.
LOOK_SECONDS: Final = 0.0005
DAY: Final = 86_400.0
_STARTED: Final = '"event":"started"'
_ANSWER: Final = re.compile(r'"worker":\d+,"event":"(started|statement)","session":"(\w+)"')
# What a `started` record does not share with the one that ends its statement.
_NOT_SHARED: Final = frozenset(("time", "seq", "worker", "event", "prev", "duration_us"))


@dataclass(frozen=True, slots=True)
class LogOptions:
    """Where and how the log is kept. Sizes in bytes, times in seconds; `keep` 0: for ever."""

    directory: Path
    key: Path
    required: bool = True
    full_text: bool = False
    rotate_size: int = 256 * 1024 * 1024
    rotate_every: float = DAY
    keep: float = 0.0
    fsync: bool = False


class Log:
    """Lines that are linked and written. Every method but `open` and `close` may raise OSError.

    `finished` are files that were ended and may be compressed. `unsigned`: no checkpoint covers the last line.
    """

    def __init__(
        self, options: LogOptions, worker: int, on_checkpoint: Callable[[Checkpoint], None] | None = None
    ) -> None:
        self.options = options
        self.on_checkpoint = on_checkpoint
        self.worker = worker
        self.finished: list[Path] = []
        self.unsigned = False
        self.consents: dict[str, int] = {}  # database -> the last event of its ledger that a written record tells
        self.rules: str | None = None  # in force
        self.rules_before: str | None = None  # when the log ended the last time
        self._begun: dict[str, Body] = {}  # by session: `started` records of which none says that they ended
        self.file = -1
        self._clock = Clock()
        self._id = ""
        self._number = 0
        self._name = ""
        self._sequence = 0
        self._head = GENESIS
        self._size = 0
        self._period = 0
        self._looked = 0.0
        self._to_cut = False  # what follows `_size` in the file is half a line
        self._spoilt = False  # the system could not say whether the file is on the disk
        self._signer: Signer
        self._key_version: tuple[int, int] | None = None
        self._lock = -1

    def open(self, consents: Mapping[str, int] | None = None, rules: str | None = None) -> None:
        """Goes on where the last process ended, in a new file. Raises OSError and ConsentryError.

        `consents`: where `self.consents` begins of databases that the log does not know yet. `rules`: those in
        force, by their hash.
        """
        self._signer = load_or_make(self.options.key)
        self._key_version = version_of(self.options.key)
        directory = self.options.directory
        directory.mkdir(parents=True, exist_ok=True, mode=0o750)
        self._take_lock()
        ending = find_ending(directory, self.worker)
        if ending is not None:
            self._id, self._number, self._name = ending.log or token_hex(8), ending.number, ending.file
            self._sequence, self._head = ending.sequence, ending.head
        else:
            self._id = token_hex(8)
        self.consents = {**(consents or {}), **(ending.consents if ending is not None else {})}
        self.rules_before = ending.rules if ending is not None else None
        self.rules = rules or self.rules_before
        self.finished += [file.path for file in own_files(directory, self.worker) if not file.compressed]
        self._begin_file(time())
        for torn in ending.torn if ending is not None else ():
            self.record("torn", **asdict(torn))
        for begun in ending.unfinished if ending is not None else ():
            shared = {name: value for name, value in begun.items() if name not in _NOT_SHARED}
            self.record("statement", **shared, sqlstate="08006", message="the gateway ended before the answer did")

    def body(self, event: str, inside: str) -> Body:
        """A record of now; `inside` follows the fields that all records have."""
        return self._clock.text(time()), f'"worker":{self.worker},"event":"{event}",', inside, ""

    def record(self, event: str, **fields: object) -> None:
        """Writes a record of the log's own."""
        self._put([self.body(event, fragment(fields)[:-1])])

    def write(self, bodies: list[Body]) -> None:
        """Writes records, and takes from the list those that are written: all, unless it raises."""
        self._make_ready()
        while bodies:
            self._put(bodies)

    def checkpoint(self) -> None:
        """Signs what is written, in a record of its own."""
        self._cut()
        self._take_new_key()
        now, begin, _, _ = self.body("checkpoint", "")
        claim = Checkpoint(self._id, self.worker, self._sequence, self._head, now)
        made = self._signer.checkpoint(claim)
        inside = {"log": made.log, "count": made.count, "head": made.head, "key": made.key, "signature": made.signature}
        bodies: list[Body] = [(now, begin, fragment(inside)[:-1], "")]
        while bodies:
            self._put(bodies)
        self.unsigned = False
        if self.on_checkpoint is not None:
            self.on_checkpoint(made)

    def spoil(self) -> None:
        """The system could not bring the file to the disk: nothing more is written into it."""
        self._spoilt = True

    def expire(self) -> None:
        """Takes files away that ended longer ago than `keep`; a record says how far the chain was whole."""
        for file, following in past(self.options, self.worker):
            self.record("expire", file=file.name, through=following.sequence - 1, head=following.prev)
            self._sync()
            file.path.unlink()
            self.finished = [path for path in self.finished if path != file.path]
            log.info("audit: %s is older than audit.keep and was deleted", file.path)

    def end(self, *, left: bool = False) -> None:
        """Closes it: what is too old goes, what is left is signed, files that were ended are compressed.

        `left`: it ends for good, its last file too.
        """
        self.expire()
        if self.unsigned:
            self.checkpoint()
        last = [self.options.directory / f"{self._name}.jsonl"] if left else []
        for path in self.finished + last:
            compress(path)
        self.close()

    def close(self) -> None:
        """Gives the file back."""
        for held in (self.file, self._lock):
            if held >= 0:
                os.close(held)
        self.file = self._lock = -1

    # Files.

    def _make_ready(self) -> None:
        now = time()
        look = not 0 <= now - self._looked < LOOK_SECONDS
        gone = look and (self.file < 0 or not os.fstat(self.file).st_nlink)  # no name: it was deleted
        full = self._size >= self.options.rotate_size or now // self.options.rotate_every != self._period
        if gone or full or self._spoilt:
            self._next_file(now, lost=gone or self._spoilt)
        if self._to_cut:
            self._cut()
        if look:
            self._looked = now

    def _next_file(self, now: float, *, lost: bool) -> None:
        if not lost:
            if self.unsigned:
                self.checkpoint()
            self._sync()
        self.options.directory.mkdir(parents=True, exist_ok=True, mode=0o750)
        before = self.options.directory / f"{self._name}.jsonl"
        self._begin_file(now)
        if not lost:
            self.finished.append(before)
        self.expire()

    def _begin_file(self, now: float) -> None:
        number = self._number + 1
        name = file_name(self.worker, number, datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%d"))
        path = self.options.directory / f"{name}.jsonl"
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        file = os.open(path, flags, 0o640)
        before = self.file, self._size, self._to_cut, self._sequence, self._head
        self.file, self._size, self._to_cut = file, 0, False
        try:
            self.record(
                "open",
                log=self._id,
                file=name,
                number=number,
                after=self._name or None,
                public=self._signer.public,
                consents=self.consents or None,
                rules=self.rules,
                handovers=[asdict(given) for given in self._signer.handovers] or None,
            )
            begun: list[Body] = [(self._clock.text(now), *body[1:]) for body in self._begun.values()]
            while begun:
                self._put(begun)
        except OSError:
            self.file, self._size, self._to_cut, self._sequence, self._head = before
            os.close(file)
            path.unlink()
            raise
        if before[0] >= 0:
            os.close(before[0])
        self._number, self._name, self._spoilt = number, name, False
        self._period = int(now // self.options.rotate_every)
        if self.options.fsync:
            sync_folder(self.options.directory)

    def _take_lock(self) -> None:
        path = self.options.directory / f".{self.worker}.lock"
        self._lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UnreachableError(f"audit: another gateway writes to {self.options.directory}") from None

    def _take_new_key(self) -> None:
        version = version_of(self.options.key)
        if version == self._key_version or version is None:
            return
        try:
            signer = load_or_make(self.options.key)
        except ConsentryError as error:
            log.warning("audit: the key in force stays: %s", error)
            self._key_version = version
            return
        if signer.public != self._signer.public:
            given = next((one for one in reversed(signer.handovers) if one.new == signer.public), None)
            self.record("key", public=signer.public, handover=asdict(given) if given else None)
            log.info("audit: checkpoints are signed by key %s from now on", signer.id)
        self._signer, self._key_version = signer, version

    # Lines.

    def _put(self, bodies: list[Body]) -> None:
        """Links, writes and takes away as many as go at a time. What the file took of another one is cut off."""
        sequence, head, size = self._sequence, self._head, 0
        lines = []
        for body in bodies:
            sequence += 1
            line = seal(body, sequence, head)
            head = digest(line)
            size += len(line) + 1
            lines.append(line)
            if size > WRITE_BYTES:
                break
        lines.append(b"")
        data = b"\n".join(lines)
        written = os.write(self.file, data)
        trouble: OSError | None = None
        while written < size and trouble is None:
            try:
                written += os.write(self.file, data[written:])
            except OSError as error:  # a full disk takes what fits, and says no only then
                trouble = error
        count = len(lines) - 1
        if trouble is not None:
            self._to_cut = True
            count = data.count(b"\n", 0, written)
            size = data.rfind(b"\n", 0, written) + 1
            head = digest(lines[count - 1]) if count else self._head
        if count:
            self._sequence += count
            self._head = head
            self._size += size
            self.unsigned = True
            self._note_answers(bodies[:count])
            del bodies[:count]
        if trouble is not None:
            self._cut()
            raise trouble

    def _note_answers(self, bodies: list[Body]) -> None:
        """So that each file tells at its begin which answers last on: after a crash the last one is looked through."""
        for body in bodies:
            if (self._begun or _STARTED in body[1]) and (found := _ANSWER.match(body[1])):
                if found[1] == "started":
                    self._begun[found[2]] = body
                else:
                    self._begun.pop(found[2], None)

    def _cut(self) -> None:
        if self._to_cut:
            os.ftruncate(self.file, self._size)
            self._to_cut = False

    def _sync(self) -> None:
        if self.options.fsync:
            os.fdatasync(self.file)


def unwritable(options: LogOptions, error: OSError) -> UnreachableError:
    """What to say where nothing can be written into the log's folder."""
    return UnreachableError(f"audit: {options.directory} cannot be written: {error.strerror}")


def past(options: LogOptions, worker: int) -> Iterator[tuple[LogFile, Link]]:
    """A worker's files that ended longer ago than `keep`, each with the first record of the next one."""
    if not options.keep:
        return
    limit = Clock().text(time() - options.keep)
    try:
        files = own_files(options.directory, worker)
        ends = [(file, first_line(following)) for file, following in pairwise(files)]
    except UnreachableError as error:
        log.warning("audit: no file is deleted by its age: %s", error)
        return
    for file, found in ends:
        if found is None or found[0].time > limit:
            return
        yield file, found[0]
