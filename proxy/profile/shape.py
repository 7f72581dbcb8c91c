"""The columns of consentry.profile_data: those that the rules' sources map, of the types that they say; and the type of
the keys in consentry.profile_others."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping

import asyncpg

from proxy.errors import ConsentryError
from proxy.policy.mapped_sources import Kept, kept
from proxy.policy.names import quote_identifier
from proxy.policy.rules import Rules
from proxy.profile import others
from proxy.rewrite.lex import quote_literal

_COLUMNS = """
    SELECT attname::text AS name, format_type(atttypid, NULL) AS type FROM pg_catalog.pg_attribute
    WHERE attrelid = pg_catalog.to_regclass('consentry.profile_data') AND attnum > 0 AND NOT attisdropped
      AND attname <> 'subject'"""
_INDEXES = """
    SELECT c.relname::text AS name FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
    WHERE i.indrelid = pg_catalog.to_regclass('consentry.profile_data') AND NOT i.indisprimary"""
_SEARCHED, _LOOKED_UP = "profile_search_", "profile_value_"  # what the names of our indexes begin with
_NEVER_LOOKED_UP = ("boolean", "jsonb")
_SPELT = {"timestamptz": "timestamp with time zone"}  # as format_type has it


async def follow(connection: asyncpg.Connection, rules: Rules) -> tuple[str, ...]:
    """Gives the table the columns and indexes of the rules, in a transaction of the caller's: what was done.

    Columns that are made, or made anew with another type, are empty until the next sync.
    Raises ConsentryError where this login is not the table's owner.
    """
    wanted = kept(rules)
    there = {row["name"]: row["type"] for row in await connection.fetch(_COLUMNS)}
    indexes = {row["name"] for row in await connection.fetch(_INDEXES)}
    steps = [*_columns(wanted, there), *_indexes(wanted, indexes)]
    key = await others.fitted(connection, rules) if wanted else None
    if key is not None:  # the profile's view reads it, and is made anew
        fit = "DROP COLUMN subject CASCADE, ADD COLUMN subject"
        done = f"made the keys of consentry.profile_others {key}"
        steps.append((f"ALTER TABLE consentry.profile_others {fit} {key} PRIMARY KEY", done))
    if steps:
        try:
            async with connection.transaction():
                await connection.execute("SET LOCAL client_min_messages = warning")
                for statement, _ in steps:
                    await connection.execute(statement)
        except asyncpg.InsufficientPrivilegeError as error:
            raise ConsentryError(
                "consentry.profile_data does not have the columns that the rules' sources need: "
                "run `consentry consent setup` with an owner's --dsn"
            ) from error
        except asyncpg.UndefinedObjectError as error:
            raise ConsentryError(f"search: {error}") from error
    return tuple(said for _, said in steps)


def _columns(wanted: Mapping[str, Kept], there: Mapping[str, str]) -> list[tuple[str, str]]:
    """(statement, what it does), for all that differs."""
    steps = []
    for name, kind in there.items():
        if name not in wanted or _SPELT.get(wanted[name].type, wanted[name].type) != kind:
            gone = f"DROP COLUMN {quote_identifier(name)} CASCADE"  # the profile's view with it: it is made anew
            steps.append((f"ALTER TABLE consentry.profile_data {gone}", f"dropped {name}"))
    for name, column in wanted.items():
        if _SPELT.get(column.type, column.type) != there.get(name):
            added = f"{quote_identifier(name)} {column.type}"
            steps.append((f"ALTER TABLE consentry.profile_data ADD COLUMN {added}", f"made {name} ({column.type})"))
    return steps


def _indexes(wanted: Mapping[str, Kept], there: Collection[str]) -> list[tuple[str, str]]:
    """As `_columns`. An index goes by itself with its column; its name says what it was made of. Of others than our own
    nothing is known.
    """
    named = {name: made for column in wanted.values() for name, made in _index_of(column)}
    steps = [
        (f"DROP INDEX IF EXISTS consentry.{quote_identifier(name)}", f"dropped index {name}")
        for name in there
        if name.startswith((_SEARCHED, _LOOKED_UP)) and name not in named
    ]
    for name, made in named.items():
        if name not in there:
            statement = f"CREATE INDEX IF NOT EXISTS {quote_identifier(name)} ON consentry.profile_data USING {made}"
            steps.append((statement, f"made index {name}"))
    return steps


def _index_of(column: Kept) -> Iterator[tuple[str, str]]:
    """(name, method and what is indexed): the words of what is searched, and values by which customers are looked up,
    which may be of any length.
    """
    digest = hashlib.sha256(f"{column.attribute} {column.type} {column.search}".encode()).hexdigest()[:8]
    name, column_name = f"{column.attribute[:30]}_{digest}", quote_identifier(column.attribute)
    if column.search:
        yield f"{_SEARCHED}{name}", f"gin (to_tsvector({quote_literal(column.search)}, {column_name}))"
    elif column.type not in _NEVER_LOOKED_UP:
        yield f"{_LOOKED_UP}{name}", f"hash ({column_name})"
