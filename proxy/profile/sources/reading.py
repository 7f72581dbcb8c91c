"""What readers of sources have in common: an iterator of records, and errors that name source and place."""

from __future__ import annotations

import asyncio
import hashlib
import stat
from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from proxy.errors import ConsentryError, UnreachableError
from proxy.policy.names import quote_identifier, split_dotted
from proxy.profile.cursors import place
from proxy.yaml_lines import nearest

_AT_A_TIME: Final = 5000  # rows


@dataclass(frozen=True, slots=True)
class Record:
    """One record as its source has it. `number`: its line, or which one it is in the order of reading, from 1.

    `gone`: there is none of this key any more; it has no other value.
    """

    number: int
    values: Mapping[str, Any]
    gone: bool = False


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be read. `relation`: where the source is a database; `cursor`: the field that records are ordered by.

    `after`: the cursor's last value as text; records before it are left out where the source can do so. `only`: the
    keys, as `Reader.keys` has them, of the only records that are wanted; of a source that is read by a cursor.
    """

    source: str
    fields: tuple[str, ...]
    key: str
    relation: str | None = None
    cursor: str | None = None
    after: str | None = None
    only: tuple[Any, ...] | None = None


class Reader(Protocol):
    """A source that can be read."""

    @property
    def unit(self) -> str:
        """What `number` of a record counts: line or record."""

    @property
    def follows_cursor(self) -> bool:
        """Whether records come from `after` on."""

    @property
    def in_order(self) -> bool:
        """Whether they come in the order of the cursor: all that is before a record's place was read before it."""

    @property
    def complete_fields(self) -> bool:
        """Whether each record has all fields; else it is an error that none has one of them."""

    @property
    def may_be_cut(self) -> bool:
        """Whether it looks whole where it was cut between two records. They are in the order of the file then."""

    def content(self) -> str | None:
        """A hash of all that would be read: the same again needs no reading. None where only reading tells."""

    def records(self, wanted: Wanted) -> AsyncGenerator[Record]:
        """The records. Raises SourceError, SourceUnreachableError."""

    def keys(self, wanted: Wanted) -> AsyncGenerator[Any]:
        """All records' keys, and nothing else of them. Raises as `records`."""


class SourceError(ConsentryError):
    """What a source has is not what the rules say of it. Nothing of this reading is kept."""

    def __init__(self, source: str, message: str) -> None:
        super().__init__(f'source "{source}": {message}')


class SourceUnreachableError(UnreachableError):
    """A source cannot be reached or read."""

    def __init__(self, source: str, message: str) -> None:
        super().__init__(f'source "{source}": {message}')


def check_fields(wanted: Wanted, there: Collection[str]) -> None:
    """Raises SourceError that names the field that the source does not have, and the nearest that it has."""
    for field in wanted.fields:
        if field not in there:
            known = nearest(field, there) or f"; it has: {', '.join(list(there)[:30])}"
            raise SourceError(wanted.source, f'there is no field "{field}"{known}')


def check_cursor(wanted: Wanted, *, times: bool, numbers: bool, kind: str) -> None:
    """Raises SourceError where the cursor's column can be none, or is of another kind than it was."""
    if not (times or numbers):
        what = f'field "{wanted.cursor}" is of type {kind}, and its order is not that of times or numbers'
        instead = "name a view in `records` that casts it, or leave `cursor` out"
        raise SourceError(wanted.source, f"cursor: {what}: {instead}")
    if wanted.after is not None and place(wanted.after).is_time != times:
        raise SourceError(wanted.source, f'cursor: field "{wanted.cursor}" has become {kind}: read all with --full')


def relation(wanted: Wanted, quote: Callable[[str], str] = quote_identifier) -> str:
    """The relation with the records, quoted as its database does. Raises SourceError where the rules name none."""
    if wanted.relation is None:
        raise SourceError(wanted.source, "`records` is missing in the rules: the relation to read")
    try:
        return ".".join(map(quote, split_dotted(wanted.relation)))
    except ValueError as error:
        raise SourceError(wanted.source, f"records: {error}") from error


async def fetched(cursor: Any) -> AsyncGenerator[tuple[Any, ...]]:
    """The rows that a cursor of a driver that blocks (DB-API) has ready, read beside the event loop."""
    while rows := await asyncio.to_thread(cursor.fetchmany, _AT_A_TIME):
        for row in rows:
            yield row


def places(values: Iterable[str]) -> dict[str, int]:
    """Name -> position of columns, by the last where a name is there twice."""
    return {name: number for number, name in enumerate(values)}


def digest_of(source: str, path: Path) -> str:
    """The SHA-256 of a file. Raises SourceUnreachableError."""
    check_file(source, path)
    with file_errors(source, path), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_file(source: str, path: Path) -> None:
    """Raises SourceUnreachableError where it is no file that can be read; of a pipe the end may never come."""
    with file_errors(source, path):
        if not stat.S_ISREG(path.stat().st_mode):
            raise SourceUnreachableError(source, f"{path} is no file")
        path.open("rb").close()


@contextmanager
def file_errors(source: str, path: Path) -> Iterator[None]:
    """Says which file of which source cannot be read, and why."""
    try:
        yield
    except OSError as error:
        raise SourceUnreachableError(source, f"{path} cannot be read: {error.strerror or error}") from error


@contextmanager
def unchanged(source: str, path: Path) -> Iterator[None]:
    """Raises SourceError where somebody writes the file while it is read."""
    with file_errors(source, path):
        before = path.stat()
        yield
        after = path.stat()
    if (before.st_size, before.st_mtime_ns, before.st_ino) != (after.st_size, after.st_mtime_ns, after.st_ino):
        raise SourceError(source, f"{path} was changed while it was read: run the sync again when it is complete")
