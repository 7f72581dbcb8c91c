"""A table or view of an SQLite database."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from proxy.policy.names import quote_identifier
from proxy.profile.sources.reading import (
    Record,
    SourceError,
    SourceUnreachableError,
    Wanted,
    check_fields,
    fetched,
    file_errors,
    relation,
)


@dataclass(frozen=True, slots=True)
class SqliteReader:
    source: str
    path: Path

    unit: ClassVar[str] = "record"
    follows_cursor: ClassVar[bool] = True
    complete_fields: ClassVar[bool] = True

    def content(self) -> str | None:
        return None  # what was committed may stand beside the file, in its write-ahead log

    async def records(self, wanted: Wanted) -> AsyncGenerator[Record]:
        with self._opened() as connection:
            table = connection.execute(f"SELECT * FROM {relation(wanted)} LIMIT 0")
            check_fields(wanted, [column[0] for column in table.description])
            query = f"SELECT {', '.join(map(quote_identifier, wanted.fields))} FROM {relation(wanted)}"
            values: list[Any] = []
            if wanted.cursor is not None:
                cursor = quote_identifier(wanted.cursor)
                if wanted.after is not None:
                    kind = connection.execute(f"SELECT typeof(max({cursor})) FROM {relation(wanted)}").fetchone()[0]
                    after = f"CAST(? AS {'NUMERIC' if kind in ('integer', 'real') else 'TEXT'})"
                    query += f" WHERE {cursor} >= {after} OR {cursor} IS NULL"
                    values = [wanted.after]
                query += f" ORDER BY {cursor} NULLS FIRST"
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
    def _opened(self) -> Iterator[sqlite3.Connection]:
        with file_errors(self.source, self.path):
            self.path.open("rb").close()
        try:
            address = f"{self.path.resolve().as_uri()}?mode=ro"
            with closing(sqlite3.connect(address, uri=True, check_same_thread=False)) as connection:
                connection.execute("BEGIN")
                yield connection
        except sqlite3.OperationalError as error:
            if "no such" in str(error) or "decode" in str(error).lower():
                raise SourceError(self.source, str(error)) from error
            raise SourceUnreachableError(self.source, f"{self.path}: {error}") from error
        except sqlite3.DatabaseError as error:
            raise SourceError(self.source, f"{self.path}: {error}") from error
