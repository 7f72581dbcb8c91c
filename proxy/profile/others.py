"""The customers whom only other sources know: consentry.profile_others, which the profile's query reads beside the
table that names customers.

A key that is in that table, too, does no harm there: the query leaves it out. So it is enough that syncs keep the keys.
"""

from __future__ import annotations

from typing import Final

import asyncpg

from proxy.errors import ConsentryError
from proxy.policy.names import quote_identifier, split_column
from proxy.policy.rules import Rules

# Types that a subject can become by a cast that changes no key.
_FITTING: Final = ("smallint", "integer", "bigint", "uuid", "text", "character varying")
_RANGES: Final = {"smallint": (-(2**15), 2**15 - 1), "integer": (-(2**31), 2**31 - 1)}
_TYPES: Final = """
    SELECT format_type(k.atttypid, NULL) AS kind, o.atttypid = k.atttypid AS fits, c.relrowsecurity AS secured
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_attribute k ON k.attrelid = c.oid AND k.attname = $2
    JOIN pg_catalog.pg_attribute o
         ON o.attrelid = pg_catalog.to_regclass('consentry.profile_others') AND o.attname = 'subject'
    WHERE c.oid = pg_catalog.to_regclass($1)"""


async def fitted(connection: asyncpg.Connection, rules: Rules) -> str | None:
    """The type that the keys must have, to be like those of the profile's own table; None where they have it, or where
    none will do.
    """
    _, row = await _start(connection, rules)
    return str(row["kind"]) if row is not None and not row["fits"] and row["kind"] in _FITTING else None


async def note(connection: asyncpg.Connection, rules: Rules, concerned: str | None = None) -> None:
    """Brings the keys up to date, in the caller's transaction: all, or those in the column `subject` of a temp table.

    Raises ConsentryError where this login may not read the profile's own keys.
    """
    start, row = await _start(connection, rules)
    if row is None or not row["fits"] or row["secured"]:
        return
    mine = f"EXISTS (SELECT FROM pg_temp.{concerned} c WHERE c.subject = {{}}.subject)" if concerned else "true"
    subject = f"d.subject::{row['kind']}"
    if row["kind"] in _RANGES:
        low, high = _RANGES[row["kind"]]
        subject = f"CASE WHEN d.subject BETWEEN {low} AND {high} THEN {subject} END"
    try:
        await connection.execute(f"""
            DELETE FROM consentry.profile_others o WHERE {mine.format("o")} AND EXISTS (
                SELECT FROM {start} = o.subject);
            DELETE FROM consentry.profile_others o WHERE {mine.format("o")}
                AND NOT EXISTS (SELECT FROM consentry.profile_data d WHERE d.subject = o.subject);
            INSERT INTO consentry.profile_others (subject)
            SELECT key FROM (
                SELECT {subject} AS key FROM consentry.profile_data d
                WHERE {mine.format("d")} AND NOT EXISTS (SELECT FROM {start} = d.subject)) AS found
            WHERE key IS NOT NULL ON CONFLICT DO NOTHING""")
    except asyncpg.InsufficientPrivilegeError as error:
        hint = "the grants that a sync needs are printed by `consentry consent setup`"
        raise ConsentryError(f"it cannot be told which customers only other sources know: {error}; {hint}") from error


async def _start(connection: asyncpg.Connection, rules: Rules) -> tuple[str, asyncpg.Record | None]:
    """The profile's own table up to the comparison with its key, and what is known of both keys."""
    if rules.profile is None:
        return "", None
    schema, table, column = split_column(rules.profile.subject)
    relation = f"{quote_identifier(schema)}.{quote_identifier(table)}"
    row = await connection.fetchrow(_TYPES, relation, column)
    return f"{relation} p WHERE p.{quote_identifier(column)}", row
