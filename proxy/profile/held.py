"""What the database holds on one customer: the rows of each table that the rules call theirs.

The rules' `subject` says which rows these are, in the database as in every form that the rewriter makes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Final

import asyncpg

from proxy.consent.service import said_of
from proxy.errors import ConsentryError
from proxy.policy.names import join_dotted, quote_identifier
from proxy.policy.subjects import KEY_TYPES
from proxy.policy.table import SubjectTable

BATCH: Final = 500  # rows that are in memory at a time


class NotReadableError(ConsentryError):
    """Something that is held on the customer cannot be read by Consentry's own login."""


async def rows(connection: asyncpg.Connection, table: SubjectTable, subject: str) -> AsyncIterator[str]:
    """The customer's rows as JSON objects, a text each; in a transaction of the caller's.

    Raises ConsentryError: a subject that is not of the key's type; NotReadableError.
    """
    with said_of(subject, KEY_TYPES[table.kind]):
        try:
            async for row in connection.cursor(query(table), subject, prefetch=BATCH):
                yield row[0]
        except asyncpg.InsufficientPrivilegeError as error:
            name = join_dotted(table.schema, table.name)
            hint = 'the grants that exports need are printed by "consentry consent setup --exports"'
            raise NotReadableError(f"{name} is not exported: {error}; {hint}") from error


async def holds(connection: asyncpg.Connection, tables: Sequence[SubjectTable], subject: str) -> bool | None:
    """Whether one of the tables has a row of the customer; None where those that can be read have none.

    Raises ConsentryError: a subject that is not of the key's type.
    """
    hidden = False
    for table in tables:
        with said_of(subject, KEY_TYPES[table.kind]):
            try:
                if await connection.fetchval(f"SELECT EXISTS (SELECT {_rows_of(table)})", subject):
                    return True
            except asyncpg.InsufficientPrivilegeError:
                hidden = True
    return None if hidden else False


def query(table: SubjectTable) -> str:
    """SELECT with the subject's key as $1, of type text."""
    shown = ", ".join(f"t.{quote_identifier(name)}" for name, _ in table.columns)
    return f"SELECT pg_catalog.row_to_json(held)::text FROM (SELECT {shown} {_rows_of(table)}) AS held"


def _rows_of(table: SubjectTable) -> str:
    """FROM and WHERE for the customer's rows, as `t`, by the key as $1."""
    joins, last = "", "t"
    for number, step in enumerate(table.subject.steps):
        relation = f"{quote_identifier(step.schema)}.{quote_identifier(step.table)}"
        name = f"s{number}"
        joins += (
            f" JOIN {relation} AS {name} ON {last}.{quote_identifier(step.from_column)}"
            f" OPERATOR(pg_catalog.=) {name}.{quote_identifier(step.to_column)}"
        )
        last = name
    relation = f"{quote_identifier(table.schema)}.{quote_identifier(table.name)}"
    key = f"$1::pg_catalog.text::{KEY_TYPES[table.kind]}"
    where = f"{last}.{quote_identifier(table.subject.column)} OPERATOR(pg_catalog.=) {key}"
    return f"FROM {relation} AS t{joins} WHERE {where}"


def rights(tables: Sequence[SubjectTable]) -> tuple[str, ...]:
    """What `rows` needs, as GRANT takes it: `SELECT (columns) ON relation`."""
    needed: dict[tuple[str, str], dict[str, None]] = {}
    for table in tables:
        here = (table.schema, table.name)
        needed.setdefault(here, {}).update(dict.fromkeys(name for name, _ in table.columns))
        for step in table.subject.steps:
            needed[here][step.from_column] = None
            here = (step.schema, step.table)
            needed.setdefault(here, {})[step.to_column] = None
        needed[here][table.subject.column] = None
    return tuple(
        f"SELECT ({', '.join(map(quote_identifier, columns))}) ON {quote_identifier(schema)}.{quote_identifier(name)}"
        for (schema, name), columns in needed.items()
    )
