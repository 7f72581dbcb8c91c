"""Files of consent records into the ledger, all or nothing, and out of it.

A file is read once, into a temp table, each wrong line noted; only then is the ledger touched. A small one takes its
subjects' locks as any decision does. A large one takes the table's: decisions wait until it is written.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, Final, Literal

import asyncpg

from proxy.consent import records
from proxy.consent.mapped import ReadOnlyError
from proxy.consent.names import Names
from proxy.consent.records import Format, Lines, Record, Wrong, WrongRecordError
from proxy.consent.service import Origin, RequestReusedError, said, subject_type
from proxy.errors import ConsentryError

SHOWN: Final = 100  # wrong lines that an error names; the others it counts
FEW: Final = 1000  # events that are written with a lock for each subject
_BATCH: Final = 5000
_SLICE: Final = 20_000  # lines that one statement writes, so that progress is seen
_COLUMNS: Final = ("line", "subject", "app", "attribute", "decision", "at", "expires_at", "text_version", "scope")

Progress = Callable[[Literal["read", "written"], int, int | None], None]  # bytes read; lines written, of how many


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did. `records`: lines of the file; `events`: what they came to, more where one names a group.

    `repeated`: the same file was taken before under the same key, and nothing was done now.
    """

    id: int
    records: int
    events: int
    repeated: bool = False


class WrongLinesError(ConsentryError):
    """Lines that cannot be taken. `lines`: the first of them; `count`: of all; `records`: of the file."""

    def __init__(self, lines: Sequence[Wrong], count: int, total: int) -> None:
        super().__init__(f"nothing was imported: {count} of {total} records cannot be taken")
        self.lines = tuple(lines)
        self.count = count
        self.records = total


async def import_records(
    connection: asyncpg.Connection,
    names: Names,
    file: Lines,
    kind: Format,
    *,
    origin: Origin,
    key: str | None = None,
    progress: Progress | None = None,
) -> Imported:
    """Records all of a file's decisions, in one transaction, or none of them.

    `file` is read once, from where it stands. A record without a time of its own is of the import's begin: a decision
    that was made meanwhile is later. A record that is older than the ledger's last one is kept, and changes nothing.
    `key`: the same file again under it does nothing. `origin.source` says where the file is from.
    Raises WrongLinesError, RequestReusedError (the key was used for another file), ReadOnlyError (consent is kept in a
    table of the database's own), ConsentryError.
    """
    mapping = names.vocabulary.mapping
    if mapping is not None:
        raise ReadOnlyError(
            f"consent is kept in {mapping.name}, as {mapping.place} says: load the file there; what is decided through "
            "Consentry is written there one by one, with `consentry consent grant` or the API"
        )
    subject = await subject_type(connection)
    tell = progress or (lambda _what, _count, _whole: None)
    async with connection.transaction():
        now: datetime = await connection.fetchval("SELECT pg_catalog.clock_timestamp()")
        await _make_temp(connection, subject)
        hashed = _Hashing(file)
        read = records.read(hashed, kind, subject, now, names.meaning)
        total, events, last = await _stage(connection, read, lambda: tell("read", hashed.count, None))
        with said():
            number = await _claim(connection, key, hashed.digest, total, events, origin)
            if isinstance(number, Imported):
                return number
            await _write(connection, number, now, origin, events, last, tell)
    return Imported(number, total, events)


async def export(
    connection: asyncpg.Connection, kind: Format, *, app: str | None = None, subject: str | None = None
) -> AsyncIterator[str]:
    """The ledger's decisions, oldest first, as pieces of text that `import_records` takes; of one app or subject only.

    Raises ConsentryError: no ledger, a subject that is not of the key's type.
    """
    key = await subject_type(connection)
    if subject is not None:
        await _check_subject(connection, subject, key)
    query = f"""
        SELECT subject::text AS subject, app, attribute, decision, at, expires_at, text_version FROM consentry.events
        WHERE ($1::text IS NULL OR app = $1) AND ($2::text IS NULL OR subject = $2::text::{key}) ORDER BY id"""
    with said():
        async with connection.transaction(readonly=True, isolation="repeatable_read"):
            cursor = await connection.cursor(query, app, subject)
            first = True
            while rows := await cursor.fetch(_BATCH):
                yield records.written([dict(row) for row in rows], kind, header=first)
                first = False
    if first:
        yield records.written([], kind, header=True)


async def _make_temp(connection: asyncpg.Connection, subject: str) -> None:
    try:
        await connection.execute(
            f"CREATE TEMP TABLE consentry_import (line bigint, subject {subject}, app text, attribute text, "
            "decision text, at timestamptz, expires_at timestamptz, text_version text, scope text) ON COMMIT DROP"
        )
    except asyncpg.InsufficientPrivilegeError as error:
        raise ConsentryError(f"{error}; an import needs GRANT TEMPORARY ON DATABASE") from error


class _Hashing:
    """A file that is hashed and counted while it is read."""

    def __init__(self, file: Lines) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self.count = 0

    def readline(self, limit: int) -> bytes:
        line = self._file.readline(limit)
        self._hash.update(line)
        self.count += len(line)
        return line

    @property
    def digest(self) -> bytes:
        return self._hash.digest()


async def _stage(
    connection: asyncpg.Connection, read: Iterator[tuple[int, Record | Wrong]], tell: Callable[[], None]
) -> tuple[int, int, int]:
    """Copies the records into the temp table: (records, events, last line). Raises WrongLinesError."""
    total = events = wrong = last = 0
    shown: list[Wrong] = []
    while batch := await asyncio.to_thread(lambda: list(islice(read, _BATCH))):
        total += len(batch)
        last = batch[-1][0]
        found = [one for _, one in batch if isinstance(one, Wrong)]
        wrong += len(found)
        shown += found[: SHOWN - len(shown)]
        if not wrong:
            rows = [row for line, one in batch if isinstance(one, Record) for row in _rows(line, one)]
            events += len(rows)
            await connection.copy_records_to_table("consentry_import", records=rows, columns=_COLUMNS)
        tell()
    if wrong:
        raise WrongLinesError(shown, wrong, total)
    return total, events, last


def _rows(line: int, one: Record) -> Iterator[tuple[Any, ...]]:
    for attribute in one.attributes:
        yield (
            line, one.subject, one.app, attribute, one.decision, one.at, one.expires_at, one.text_version, one.scope
        )  # fmt: skip


async def _claim(
    connection: asyncpg.Connection, key: str | None, digest: bytes, total: int, events: int, origin: Origin
) -> int | Imported:
    """The import's number; what was done before where its key was used for the same file."""
    number = await connection.fetchval(
        "INSERT INTO consentry.imports (key, sha256, records, events, source, policy_version) "
        "VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (key) DO NOTHING RETURNING id",
        key, digest, total, events, origin.source, origin.policy_version,
    )  # fmt: skip
    if number is not None:
        return int(number)
    before = await connection.fetchrow("SELECT id, sha256, records, events FROM consentry.imports WHERE key = $1", key)
    assert before is not None
    if before["sha256"] != digest:
        raise RequestReusedError(f"the idempotency key was used before, for another file (import {before['id']})")
    return Imported(before["id"], before["records"], before["events"], repeated=True)


async def _write(
    connection: asyncpg.Connection, number: int, now: datetime, origin: Origin, events: int, last: int, tell: Progress
) -> None:
    source = f"import {number}" + (f", {origin.source}" if origin.source else "")
    query = """
        INSERT INTO consentry.events
            (subject, app, attribute, decision, at, expires_at, actor, source, policy_version, text_version, scope)
        SELECT subject, app, attribute, decision, coalesce(at, $1), expires_at, 'import', $2, $3, text_version, scope
        FROM consentry_import WHERE line > $4 AND line <= $5 ORDER BY """
    values = (now, source, origin.policy_version)
    if events <= FEW:
        # In one order, so that two imports never wait for each other.
        await connection.execute(f"{query} subject, line, attribute", *values, 0, last)
        return
    await connection.execute("SELECT consentry.begin_bulk()")
    await connection.execute("CREATE INDEX ON consentry_import (line); ANALYZE consentry_import")
    for before in range(0, last, _SLICE):
        await connection.execute(f"{query} line, attribute", *values, before, before + _SLICE)
        tell("written", min(before + _SLICE, last), last)
    await connection.execute(
        "SELECT pg_catalog.pg_notify('consentry_consent', pg_catalog.json_build_object('import', $1::bigint)::text)",
        number,
    )


async def _check_subject(connection: asyncpg.Connection, subject: str, key: str) -> None:
    try:
        await connection.fetchval(f"SELECT $1::text::{key}", subject)
    except (asyncpg.DataError, asyncpg.CharacterNotInRepertoireError) as error:
        raise WrongRecordError(f'"{subject}" is not a subject key of type {key}') from error
