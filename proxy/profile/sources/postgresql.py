"""A table or view of another PostgreSQL database."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Final, NoReturn

import asyncpg

from proxy.catalog.connect import connected, ended
from proxy.errors import ConsentryError
from proxy.policy.names import quote_identifier
from proxy.profile import eras, values
from proxy.profile.sources.reading import (
    Record,
    SourceError,
    SourceUnreachableError,
    Wanted,
    check_cursor,
    check_fields,
    relation,
)

PREFETCH: Final = 2000
_LATE: Final = dict.fromkeys(("timestamptz", "timestamp"), " - interval '5 minutes'")  # see cursors.LATE
_TIMES: Final = frozenset({"timestamptz", "timestamp", "date"})
_NUMBERS: Final = frozenset({"int2", "int4", "int8", "numeric", "float4", "float8", "oid", "xid8"})


@dataclass(frozen=True, slots=True)
class PostgresReader:
    source: str
    dsn: str

    unit: ClassVar[str] = "record"
    follows_cursor: ClassVar[bool] = True
    in_order: ClassVar[bool] = True
    complete_fields: ClassVar[bool] = True
    may_be_cut: ClassVar[bool] = False

    def content(self) -> str | None:
        return None

    async def records(self, wanted: Wanted) -> AsyncGenerator[Record]:
        """All of one moment: the whole is read in one transaction."""
        with self.errors():
            async with (
                self.opened() as connection,
                connection.transaction(isolation="repeatable_read", readonly=True),
            ):
                query, arguments = await self._query(connection, wanted)
                number = 0
                async for row in connection.cursor(query, *arguments, prefetch=PREFETCH):
                    number += 1
                    yield Record(number, dict(row))

    async def keys(self, wanted: Wanted) -> AsyncGenerator[Any]:
        with self.errors():
            async with self.opened() as connection, connection.transaction(readonly=True):
                kinds = await self.kinds(connection, wanted)
                query = f"SELECT {shown(wanted.key, kinds)} FROM {relation(wanted)}"
                async for row in connection.cursor(query, prefetch=PREFETCH):
                    yield row[0]

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[asyncpg.Connection]:
        """A connection that reads every date and time that its server has, whatever Python has of them."""
        async with connected(self.dsn) as connection:
            for kind, decoder in (("date", eras.day_at), ("timestamptz", eras.time_at)):
                await connection.set_type_codec(
                    kind, schema="pg_catalog", format="tuple", encoder=_unsent, decoder=partial(_first, decoder)
                )
            yield connection

    async def kinds(self, connection: asyncpg.Connection, wanted: Wanted) -> dict[str, str]:
        """The columns' types. Raises SourceError where one that is wanted is not there."""
        statement = await connection.prepare(f"SELECT * FROM {relation(wanted)} LIMIT 0")
        kinds = {attribute.name: attribute.type.name for attribute in statement.get_attributes()}
        check_fields(wanted, kinds)
        return kinds

    async def _query(self, connection: asyncpg.Connection, wanted: Wanted) -> tuple[str, list[Any]]:
        kinds = await self.kinds(connection, wanted)
        query = f"SELECT {', '.join(shown(name, kinds) for name in wanted.fields)} FROM {relation(wanted)}"
        if wanted.only is not None:
            key, kind = quote_identifier(wanted.key), kinds[wanted.key]
            given = f"$1::text[]::{kind}[]" if kind in _PLAIN else "$1::text[]"
            only = list(map(values.text, wanted.only))
            return f"{query} WHERE {key if kind in _PLAIN else f'{key}::text'} = ANY ({given})", [only]
        if wanted.cursor is None:
            return query, []
        cursor, kind = quote_identifier(wanted.cursor), kinds[wanted.cursor]
        check_cursor(wanted, times=kind in _TIMES, numbers=kind in _NUMBERS, kind=kind)
        if wanted.after is not None:
            query += f" WHERE {cursor} >= $1::text::{quote_identifier(kind)}{_LATE.get(kind, '')} OR {cursor} IS NULL"
        return f"{query} ORDER BY {cursor} NULLS FIRST", [] if wanted.after is None else [wanted.after]

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Whatever the driver raises becomes an error that names the source."""
        try:
            yield
        except (SourceError, SourceUnreachableError):
            raise
        except ConsentryError as error:
            raise SourceUnreachableError(self.source, str(error)) from error
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            if ended(error):
                raise SourceUnreachableError(self.source, f"the connection ended: {error}") from error
            raise SourceError(self.source, _said(error)) from error


def _first(decoder: Callable[[int], Any], given: tuple[int]) -> Any:
    return decoder(given[0])


def _unsent(value: Any) -> NoReturn:
    raise TypeError(f"times are sent as text, not as {type(value).__name__}")


def _said(error: Exception) -> str:
    """Without a value: PostgreSQL quotes one in what it says of values, a view's functions in what they raise, and rows
    in the detail.
    """
    if isinstance(error, asyncpg.DataError | asyncpg.PLPGSQLError):
        return f"its database cannot read a value (SQLSTATE {error.sqlstate}, {type(error).__name__})"
    return str(error.args[0]) if isinstance(error, asyncpg.PostgresError) else str(error)


_PLAIN: Final = frozenset({"text", "varchar", "int2", "int4", "int8", "numeric", "bool", "date", "timestamptz", "uuid"})


def shown(name: str, kinds: Mapping[str, str]) -> str:
    """The column as asyncpg's value of a plain type; an array as JSON, anything else as PostgreSQL writes it.

    Of JSON, a string is its text, and null is none.
    """
    column, kind = quote_identifier(name), kinds[name]
    if kind in _PLAIN:
        return column
    if kind in ("json", "jsonb"):
        return f"({column} #>> '{{}}') AS {column}"
    # asyncpg names an array's type with [] at the end.
    return f"{f'to_jsonb({column})' if kind.endswith('[]') else column}::text AS {column}"
