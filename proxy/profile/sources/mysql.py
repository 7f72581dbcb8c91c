"""A table or view of a MySQL or MariaDB database, read by PyMySQL (the extra `mysql`)."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final
from urllib.parse import unquote, urlsplit

from proxy.errors import ConsentryError
from proxy.profile.sources.reading import (
    Record,
    SourceError,
    SourceUnreachableError,
    Wanted,
    check_cursor,
    check_fields,
    fetched,
    relation,
)

_TIMEOUT: Final = 10
_LATE: Final = " - INTERVAL 5 MINUTE"  # as in postgresql
# The protocol's numbers of types: TIMESTAMP, DATE, DATETIME; all that are numbers.
_TIMES: Final = frozenset({7, 10, 12})
# Errors of the server that tell of connections, rights and names, and the driver's own; any other may quote a value.
_OF_NAMES: Final = frozenset({1040, 1044, 1045, 1046, 1049, 1054, 1142, 1143, 1146, 1205, 1226, 1227, 1290, 1356, 1698})
_OF_CLIENT: Final = range(2000, 3000)
_NUMBERS: Final = frozenset({0, 1, 2, 3, 4, 5, 8, 9, 13, 246})


@dataclass(frozen=True, slots=True)
class MysqlReader:
    source: str
    dsn: str
    password: str | None = None
    ca: Path | None = None

    unit: ClassVar[str] = "record"
    follows_cursor: ClassVar[bool] = True
    in_order: ClassVar[bool] = True
    complete_fields: ClassVar[bool] = True
    may_be_cut: ClassVar[bool] = False

    def content(self) -> str | None:
        return None

    async def records(self, wanted: Wanted) -> AsyncGenerator[Record]:
        with self._opened() as cursor:
            await asyncio.to_thread(cursor.execute, f"SELECT * FROM {relation(wanted, _quoted)} LIMIT 0")
            kinds = {column[0]: column[1] for column in cursor.description}
            cursor.fetchall()
            check_fields(wanted, list(kinds))
            query = f"SELECT {', '.join(map(_quoted, wanted.fields))} FROM {relation(wanted, _quoted)}"
            values: list[Any] = []
            if wanted.only is not None:
                key = _quoted(wanted.key).replace("%", "%%")
                query, values = f"{query.replace('%', '%%')} WHERE {key} IN %s", [wanted.only]
            elif wanted.cursor is not None:
                kind = kinds[wanted.cursor]
                check_cursor(wanted, times=kind in _TIMES, numbers=kind in _NUMBERS, kind=_named(kind))
                by = _quoted(wanted.cursor)
                if wanted.after is not None:
                    query, by = query.replace("%", "%%"), by.replace("%", "%%")  # for the driver, which fills in values
                    late = _LATE if kind in _TIMES else ""
                    query += f" WHERE {by} >= %s{late} OR {by} IS NULL"
                    values = [wanted.after]
                query += f" ORDER BY {by}"  # NULLs come first
            number = 0
            async for row in self._rows(cursor, query, values):
                number += 1
                yield Record(number, dict(zip(wanted.fields, row, strict=True)))

    async def keys(self, wanted: Wanted) -> AsyncGenerator[Any]:
        with self._opened() as cursor:
            async for row in self._rows(cursor, f"SELECT {_quoted(wanted.key)} FROM {relation(wanted, _quoted)}", []):
                yield row[0]

    async def _rows(self, cursor: Any, query: str, values: list[Any]) -> AsyncGenerator[tuple[Any, ...]]:
        await asyncio.to_thread(cursor.execute, query, values or None)
        async for row in fetched(cursor):
            yield row

    @contextmanager
    def _opened(self) -> Iterator[Any]:
        """A cursor that streams, in a transaction that sees one moment."""
        try:
            import pymysql
            from pymysql.constants import FIELD_TYPE
            from pymysql.converters import conversions
            from pymysql.cursors import SSCursor
        except ImportError as error:
            raise ConsentryError('MySQL and MariaDB need a package more: pip install "consentry[mysql]"') from error
        parts = urlsplit(self.dsn)
        try:
            connection = pymysql.connect(
                host=parts.hostname or "",
                port=parts.port or 3306,
                user=unquote(parts.username or ""),
                password=(self.password or unquote(parts.password or "")).encode(),  # the driver would take Latin 1
                database=unquote(parts.path.lstrip("/")) or None,
                charset="utf8mb4",
                connect_timeout=_TIMEOUT,
                ssl=ssl.create_default_context(cafile=str(self.ca)) if self.ca else None,
                # A time may be more than a day, or less than none: as text. BIT is a number, often of one bit: a flag.
                conv={**conversions, FIELD_TYPE.TIME: str, FIELD_TYPE.BIT: int.from_bytes},
            )
            with _left(connection), _streaming(connection.cursor(SSCursor)) as cursor:
                cursor.execute("SET time_zone = '+00:00'")
                cursor.execute("START TRANSACTION READ ONLY")
                yield cursor
        except (pymysql.err.OperationalError, pymysql.err.InterfaceError, OSError) as error:
            where = f"{parts.hostname}:{parts.port or 3306}"
            raise SourceUnreachableError(self.source, f"{where}: {_said(error)}") from error
        except pymysql.err.MySQLError as error:
            raise SourceError(self.source, _said(error)) from error


def _said(error: Exception) -> str:
    """Without a value: the server quotes some in what it says of them. Of others it is names that stand there."""
    code = error.args[0] if len(error.args) > 1 else None
    if isinstance(code, int) and code not in _OF_NAMES and code not in _OF_CLIENT:
        return f"its database cannot give what is asked for (error {code})"
    return str(error.args[-1]) if error.args else str(error)


@contextmanager
def _left(connection: Any) -> Iterator[None]:
    """Ends the connection, where the server has not."""
    try:
        yield
    finally:
        if connection.open:
            connection.close()


@contextmanager
def _streaming(cursor: Any) -> Iterator[Any]:
    """Leaves what was not fetched: the driver would read it to its end, however much it is, before it closes."""
    try:
        yield cursor
    finally:
        if cursor._result is not None:
            cursor._result.unbuffered_active = False


def _named(kind: int) -> str:
    return "a time" if kind in _TIMES else "a number" if kind in _NUMBERS else f"text or the like (number {kind})"


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"
