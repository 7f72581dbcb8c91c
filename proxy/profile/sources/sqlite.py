"""A table or view of an SQLite database."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Final

from proxy.policy.names import quote_identifier
from proxy.profile.cursors import LATE, place, sortable
from proxy.profile.sources.reading import (
    Record,
    SourceError,
    SourceUnreachableError,
    Wanted,
    check_fields,
    check_file,
    fetched,
    file_errors,
    relation,
)

_LATE: Final = LATE // timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class SqliteReader:
    source: str
    path: Path

    unit: ClassVar[str] = "record"
    follows_cursor: ClassVar[bool] = True
    in_order: ClassVar[bool] = True
    complete_fields: ClassVar[bool] = True
    may_be_cut: ClassVar[bool] = False

    def content(self) -> str | None:
        return None  # what was committed may stand beside the file, in its write-ahead log

    async def records(self, wanted: Wanted) -> AsyncGenerator[Record]:
        with self._opened(whole=wanted.only is None) as connection:
            table = connection.execute(f"SELECT * FROM {relation(wanted)} LIMIT 0")
            check_fields(wanted, [column[0] for column in table.description])
            query = f"SELECT {', '.join(map(quote_identifier, wanted.fields))} FROM {relation(wanted)}"
            values: list[Any] = []
            if wanted.only is not None:
                asked = ", ".join("?" * len(wanted.only))
                query += f" WHERE {quote_identifier(wanted.key)} IN ({asked})"
                values = list(wanted.only)
            elif wanted.cursor is not None:
                # SQLite has times as text, in whatever form each row was written, and numbers in columns of texts.
                last = place(wanted.after) if wanted.after is not None else None
                ordered = partial(sortable, times=last.is_time if last is not None else None)
                connection.create_function("consentry_place", 1, ordered, deterministic=True)
                by = f"consentry_place({quote_identifier(wanted.cursor)})"
                if last is not None:
                    query += f" WHERE {by} >= consentry_place(?) - ? OR {by} IS NULL"
                    values = [last.text, _LATE if last.is_time else 0]
                query += f" ORDER BY {by} NULLS FIRST"
            number = 0
            async for row in self._rows(connection, query, values):
                number += 1
                yield Record(number, dict(zip(wanted.fields, row, strict=True)))

    async def keys(self, wanted: Wanted) -> AsyncGenerator[Any]:
        with self._opened() as connection:
            async for row in self._rows(
                connection, f"SELECT {quote_identifier(wanted.key)} FROM {relation(wanted)}", ()
            ):
                yield row[0]

    async def _rows(self, connection: sqlite3.Connection, query: str, values: Any) -> AsyncGenerator[tuple[Any, ...]]:
        cursor = await asyncio.to_thread(connection.execute, query, values)
        async for row in fetched(cursor):
            yield row

    @contextmanager
    def _opened(self, *, whole: bool = False) -> Iterator[sqlite3.Connection]:
        """`whole`: all of the file is checked first; SQLite takes the pages that were cut off for empty ones."""
        check_file(self.source, self.path)
        try:
            address = f"{self.path.resolve().as_uri()}?mode=ro"
            with closing(sqlite3.connect(address, uri=True, check_same_thread=False)) as connection:
                connection.execute("BEGIN")
                self._check_size(connection)
                if whole and (found := connection.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
                    raise SourceError(self.source, f"{self.path} is damaged: {found}")
                yield connection
        except sqlite3.OperationalError as error:
            if "decode" in str(error).lower():
                raise SourceError(self.source, "a text in it is not UTF-8") from None  # the message has it
            if "no such" in str(error):
                raise SourceError(self.source, str(error)) from error
            raise SourceUnreachableError(self.source, f"{self.path}: {error}") from error
        except sqlite3.DatabaseError as error:
            raise SourceError(self.source, f"{self.path}: {error}") from error

    def _check_size(self, connection: sqlite3.Connection) -> None:
        """What is in the write-ahead log only need not be in the file yet."""
        connection.execute("SELECT count(*) FROM sqlite_schema")  # from here on nobody changes the file
        pages, size = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
        log = self.path.with_name(f"{self.path.name}-wal")
        with file_errors(self.source, self.path):
            if self.path.stat().st_size < pages * size and not (log.exists() and log.stat().st_size):
                raise SourceError(self.source, f"{self.path} is shorter than it says itself: was it cut?")
