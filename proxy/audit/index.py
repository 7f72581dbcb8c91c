"""An index of the log, by which questions are answered without reading all of it. Made from the log, never trusted.

A kind is what many records share (`Traits`): which kinds a question means is decided on the kinds alone, which are
thousands where records are millions. Per segment of a file and kind the index has the places of the records, and per
block of some lines where it begins and of which times it is. What is found is read from the log and asked again.

A file that is not the one that was indexed (shorter, or with another beginning or end) is indexed anew, and an index
that SQLite cannot read is made anew.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from proxy.audit.files import LogFile, LogReader, log_files
from proxy.audit.question import Question, micros
from proxy.audit.reader import UNREADABLE, Outliner, Traits, traits
from proxy.errors import ConsentryError, UnreachableError

SEGMENT: Final = 1 << 16  # records; places in a segment are two bytes
BLOCK: Final = 64  # records that are read together
READ: Final = 1 << 23  # bytes of the log at a time
_ENDS: Final = 4096  # bytes by which a file is known again
_VERSION: Final = 3
_SCHEMA: Final = """
CREATE TABLE files (id integer PRIMARY KEY, name text UNIQUE NOT NULL, size integer NOT NULL, ends blob NOT NULL,
    first integer, last integer);
CREATE TABLE kinds (id integer PRIMARY KEY, traits text UNIQUE NOT NULL);
CREATE TABLE segments (file integer, number integer, start integer NOT NULL, records integer NOT NULL,
    first integer NOT NULL, last integer NOT NULL, blocks blob NOT NULL, PRIMARY KEY (file, number)) WITHOUT ROWID;
CREATE TABLE places (file integer, number integer, kind integer, places blob NOT NULL,
    PRIMARY KEY (file, number, kind)) WITHOUT ROWID;
CREATE TABLE days (file integer, kind integer, day text, records integer NOT NULL, reads integer NOT NULL,
    rows integer NOT NULL, last_read integer, PRIMARY KEY (file, kind, day)) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Block:
    """Some lines of a file that follow each other. `record` is the first one's number in its segment."""

    record: int
    start: int
    first: int  # the earliest time in it, microseconds since 1970
    last: int


@dataclass(frozen=True, slots=True)
class Segment:
    """`end` is the place in the file behind its last line."""

    file: int
    number: int
    records: int
    end: int
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Day:
    """How often records of a kind came on a day (UTC), how many read something, and how many rows those had.

    `last_read`: when the newest of them came that had a row.
    """

    traits: Traits
    day: str
    records: int
    reads: int
    rows: int
    last_read: int | None


class Index:
    """The index of a log's directory. `close` at the end."""

    def __init__(self, directory: Path, database: Path) -> None:
        self.directory = directory
        self._path = database
        self._database = _open(database)
        self._kinds: dict[int, tuple[Traits, int]] = {}  # id() of traits -> the traits (so that it stays), the kind
        self._outliner = Outliner()

    def close(self) -> None:
        self._database.close()

    def refresh(self) -> None:
        """Takes in what the log has that the index has not. Raises UnreachableError, ConsentryError."""
        present = log_files(self.directory)
        known = dict(self._rows("SELECT name, id FROM files"))
        with self._transaction():
            for name in known.keys() - {file.name for file in present}:
                self._forget(known[name])
        for file in present:
            try:
                with LogReader(file) as reader, self._transaction():
                    self._take(file, reader)
            except UnreachableError:
                if file.path.exists():
                    raise
                # else it was compressed just now; the next refresh finds it under its other name

    def kinds(self, question: Question) -> list[int]:
        """The kinds that a question means."""
        rows = self._rows("SELECT id, traits FROM kinds")
        return [number for number, fields in rows if question.meets(json.loads(fields))]

    def files(self, question: Question) -> list[tuple[int, LogFile, int]]:
        """(id, file, latest time) of files with records of the question's time, latest first."""
        present = {file.name: file for file in log_files(self.directory)}
        rows = self._rows(
            "SELECT id, name, last FROM files WHERE last >= ? AND first <= ? ORDER BY last DESC", *_times(question)
        )
        return [(number, present[name], last) for number, name, last in rows if name in present]

    def segments(self, file: int, question: Question) -> Iterator[Segment]:
        """The segments with records of the question's time, the last one first."""
        rows = self._rows(
            "SELECT number, records, coalesce((SELECT start FROM segments n WHERE n.file = s.file AND "
            "n.number = s.number + 1), (SELECT size FROM files WHERE id = s.file)), blocks FROM segments s "
            "WHERE file = ? AND last >= ? AND first <= ? ORDER BY number DESC",
            file,
            *_times(question),
        )
        for number, records, end, blocks in rows:
            made = _blocks(blocks) if len(blocks) % 32 == 0 else ()
            if not made or made[0].record != 0:
                raise self._misfit()
            yield Segment(file, number, records, end, made)

    def places(self, segment: Segment, kinds: list[int]) -> list[int]:
        """The records of these kinds in a segment, by their numbers, ascending."""
        chosen = set(kinds)
        if len(chosen) <= 500:
            marks = ",".join("?" * len(chosen))
            query = f"SELECT kind, places FROM places WHERE file = ? AND number = ? AND kind IN ({marks})"
            rows = self._rows(query, segment.file, segment.number, *chosen)
        else:
            rows = self._rows(
                "SELECT kind, places FROM places WHERE file = ? AND number = ?", segment.file, segment.number
            )
        found: list[int] = []
        for kind, blob in rows:
            if kind in chosen:
                found += array("H", blob[: len(blob) // 2 * 2])
        found.sort()
        if found and found[-1] >= segment.records:
            raise self._misfit()
        return found

    def days(self, since: str = "", until: str = "9999") -> Iterator[Day]:
        """What came on days from `since` to `until` (2026-11-26), over all files."""
        rows = self._rows(
            "SELECT k.traits, d.day, sum(d.records), sum(d.reads), sum(d.rows), max(d.last_read) FROM days d "
            "JOIN kinds k ON k.id = d.kind WHERE d.day BETWEEN ? AND ? GROUP BY d.kind, d.day ORDER BY d.day",
            since,
            until,
        )
        known: dict[str, Traits] = {}
        for fields, *rest in rows:
            found = known.get(fields)
            if found is None:
                found = known[fields] = traits(json.loads(fields))
            yield Day(found, *rest)

    def last_reads(self) -> Iterator[tuple[Traits, int]]:
        """Of each kind that read something, when it last did (microseconds since 1970)."""
        rows = self._rows(
            "SELECT k.traits, max(d.last_read) FROM days d JOIN kinds k ON k.id = d.kind "
            "WHERE d.last_read IS NOT NULL GROUP BY d.kind"
        )
        for fields, last in rows:
            yield traits(json.loads(fields)), last

    def unreadable(self) -> int:
        """How many lines are no records."""
        text = json.dumps(UNREADABLE.record(), sort_keys=True)
        rows = self._rows("SELECT sum(records) FROM days JOIN kinds ON kinds.id = kind WHERE traits = ?", text)
        return rows[0][0] or 0

    def _misfit(self) -> ConsentryError:
        return ConsentryError(f"audit: the index does not fit the log; delete {self._path}, and it is made anew")

    # -- inside --------------------------------------------------------------------------------------------------------

    def _take(self, file: LogFile, reader: LogReader) -> None:
        row = self._rows("SELECT id, size, ends FROM files WHERE name = ?", file.name)
        number, size, ends = row[0] if row else (0, 0, b"")
        if row and ends != _fingerprint(reader, size):
            self._forget(number)
            row, size = [], 0
        if not row:
            cursor = self._database.execute("INSERT INTO files (name, size, ends) VALUES (?, 0, '')", (file.name,))
            number = cursor.lastrowid or 0
        rest, start = b"", size
        while piece := reader.read(start + len(rest), READ):
            lines = (rest + piece).split(b"\n")
            rest = lines.pop()
            if lines:
                start = self._add(number, start, lines)
        if start > size:
            self._database.execute(
                "UPDATE files SET size = ?, ends = ? WHERE id = ?", (start, _fingerprint(reader, start), number)
            )

    def _add(self, file: int, start: int, lines: list[bytes]) -> int:
        """Takes in lines that begin at `start`; gives where they end."""
        row = self._rows("SELECT number, records FROM segments WHERE file = ? ORDER BY number DESC LIMIT 1", file)
        number, filled = row[0] if row else (0, 0)
        at = 0
        while at < len(lines):
            if filled == SEGMENT:
                number, filled = number + 1, 0
            part = lines[at : at + SEGMENT - filled]
            start = self._add_to_segment(file, number, filled, start, part)
            at, filled = at + len(part), filled + len(part)
        return start

    def _add_to_segment(self, file: int, number: int, filled: int, start: int, lines: list[bytes]) -> int:
        places: dict[int, array[int]] = {}
        days: dict[tuple[int, bytes], list[int]] = {}
        blocks = array("q")
        time = b"1970-01-01T00:00:00.000000Z"  # of a line that is no record: that of the one before
        outline, kinds = self._outliner.outline, self._kinds
        for begin in range(0, len(lines), BLOCK):
            block = lines[begin : begin + BLOCK]
            earliest, latest = b"\xff", b""
            record = filled + begin
            blocks.extend((record, start))
            for line in block:
                found = outline(line)
                start += len(line) + 1
                known = kinds.get(id(found.traits))
                kind = known[1] if known is not None else self._kind(found.traits)
                if kind not in places:
                    places[kind] = array("H")
                places[kind].append(record)
                record += 1
                time = found.time or time
                earliest, latest = min(earliest, time), max(latest, time)
                day = days.get((kind, time[:10]))
                if day is None:
                    day = days[(kind, time[:10])] = [0, 0, 0, 0]
                day[0] += 1
                if found.read:
                    day[1] += 1
                    day[2] += found.rows or 0
                    if found.rows != 0:  # customers are told when somebody was answered with a row
                        day[3] = max(day[3], micros(time.decode()))
            blocks.extend((micros(earliest.decode()), micros(latest.decode())))
        first, last = min(blocks[2::4]), max(blocks[3::4])
        self._write(file, number, len(lines), first, last, blocks, places, days)
        return start

    def _write(
        self,
        file: int,
        number: int,
        records: int,
        first: int,
        last: int,
        blocks: array[int],
        places: dict[int, array[int]],
        days: dict[tuple[int, bytes], list[int]],
    ) -> None:
        """Adds to a segment; blobs that were there go on."""
        run = self._database
        run.execute(
            "INSERT INTO segments VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
            "records = records + excluded.records, first = min(first, excluded.first), "
            "last = max(last, excluded.last), blocks = CAST(blocks || excluded.blocks AS blob)",
            (file, number, blocks[1], records, first, last, blocks.tobytes()),
        )
        run.executemany(
            "INSERT INTO places VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
            "places = CAST(places || excluded.places AS blob)",
            ((file, number, kind, found.tobytes()) for kind, found in places.items()),
        )
        run.executemany(
            "INSERT INTO days VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
            "records = records + excluded.records, reads = reads + excluded.reads, rows = rows + excluded.rows, "
            "last_read = max(coalesce(last_read, 0), coalesce(excluded.last_read, 0))",
            ((file, kind, day.decode(), *sums[:3], sums[3] or None) for (kind, day), sums in days.items()),
        )
        run.execute(
            "UPDATE files SET first = min(coalesce(first, ?1), ?1), last = max(coalesce(last, ?2), ?2) WHERE id = ?3",
            (first, last, file),
        )

    def _kind(self, found: Traits) -> int:
        text = json.dumps(found.record(), sort_keys=True)
        self._database.execute("INSERT INTO kinds (traits) VALUES (?) ON CONFLICT DO NOTHING", (text,))
        number: int = self._rows("SELECT id FROM kinds WHERE traits = ?", text)[0][0]
        self._kinds[id(found)] = (found, number)
        return number

    def _forget(self, file: int) -> None:
        for table in ("segments", "places", "days"):
            self._database.execute(f"DELETE FROM {table} WHERE file = ?", (file,))
        self._database.execute("DELETE FROM files WHERE id = ?", (file,))

    def _rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        return self._database.execute(query, values).fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """So that two processes that take in the same lines do so one after the other."""
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._database.execute("ROLLBACK")
            self._kinds.clear()  # some of them may be rolled back
            raise
        self._database.execute("COMMIT")


def index_file(directory: Path) -> Path:
    """Where the index of a log lies: in the user's own cache, not beside the log. Who can write into the log's folder
    could make an index there that leaves records out, and of a log that is whole nobody would notice.

    Raises UnreachableError: this user has no home.
    """
    name = hashlib.sha256(str(directory.resolve()).encode()).hexdigest()[:16]
    try:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError as error:
        raise UnreachableError(f"audit: {error}; set XDG_CACHE_HOME to a folder for the log's index") from error
    return cache / "consentry" / f"audit-{name}.sqlite"


def open_index(directory: Path) -> Index:
    """The index of the log in a folder. Raises UnreachableError where it cannot be kept as this user's alone."""
    path = index_file(directory)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder = path.parent.stat()
        if folder.st_uid != os.geteuid() or folder.st_mode & 0o022:
            raise UnreachableError(
                f"audit: others can write to {path.parent}, and an index there could leave records out; set "
                "XDG_CACHE_HOME to a folder that only you can write, or chmod go-w"
            )
        return Index(directory, _made(path))
    except OSError as error:
        raise UnreachableError(
            f"audit: no index can be written at {path}: {error}; set XDG_CACHE_HOME to a folder that you can write"
        ) from error


def _made(path: Path) -> Path:
    """The file, closed to others. Raises OSError where it cannot be written."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    return path


def _open(path: Path) -> sqlite3.Connection:
    """The database, made anew where it is broken or of another version."""
    for again in (True, False):
        database = sqlite3.connect(path, isolation_level=None, timeout=60, check_same_thread=False)
        try:
            for setting in ("journal_mode = WAL", "synchronous = OFF", "cache_size = -65536"):
                database.execute(f"PRAGMA {setting}")
            (version,) = database.execute("PRAGMA user_version").fetchone()
            if version == 0:
                database.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = {_VERSION}; COMMIT")
                version = _VERSION
            if version == _VERSION and database.execute("PRAGMA quick_check(1)").fetchone() == ("ok",):
                return database
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError) or not again:
                database.close()
                raise UnreachableError(f"audit: the index {path} cannot be used: {error}") from error
        database.close()
        for suffix in ("", "-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        _made(path)
    raise UnreachableError(f"audit: the index {path} cannot be made")


def _fingerprint(reader: LogReader, size: int) -> bytes:
    """By which the first `size` bytes of a file are known again."""
    ends = reader.read(0, min(_ENDS, size)) + reader.read(max(size - _ENDS, 0), min(_ENDS, size))
    return hashlib.sha256(ends).digest()


def _blocks(blob: bytes) -> tuple[Block, ...]:
    numbers = array("q", blob)
    return tuple(Block(*numbers[at : at + 4]) for at in range(0, len(numbers), 4))


def _times(question: Question) -> tuple[int, int]:
    return (
        -_LONG if question.since is None else question.since,
        _LONG if question.until is None else question.until,
    )


_LONG: Final = 1 << 62
