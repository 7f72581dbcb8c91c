"""How long entries of sources' lists are kept (`retention` of their attribute): what is past is not taken in, and goes.

An entry's time is the field that its list is ordered by; one without such a time is never past. A record whose entry is
past stays without it, and with the digest of all that was read, so that the same record again changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import asyncpg

from proxy.policy.model_rights import period
from proxy.policy.rules import Rules
from proxy.rewrite.lex import quote_literal


@dataclass(frozen=True, slots=True)
class Kept:
    """Entries of one source's list: `period`, an interval, after the time in field `by` they are past."""

    source: str
    attribute: str
    by: str
    period: str


def kept(rules: Rules) -> list[Kept]:
    """What the rules say, in their order."""
    return [
        Kept(name, attribute, listed.order_by, period(retention.period))
        for attribute, retention in rules.retention.items()
        for name, source in rules.sources.items()
        if (listed := source.lists.get(attribute)) is not None and listed.order_by is not None
    ]


async def leave_out(connection: asyncpg.Connection, rules: Rules, source: str) -> None:
    """Takes what is past out of the records in profile_incoming."""
    for one in kept(rules):
        if one.source == source:
            await connection.execute(
                f'UPDATE pg_temp.profile_incoming SET "values" = "values" - {quote_literal(one.attribute)} '
                f"WHERE {_past(one)}"
            )


async def count(connection: asyncpg.Connection, one: Kept) -> int:
    """How many entries `remove` would take away."""
    query = f"SELECT count(*) FROM consentry.profile_records WHERE source = $1 AND {_past(one)}"
    return int(await connection.fetchval(query, one.source))


async def remove(connection: asyncpg.Connection, one: Kept) -> int:
    """Takes away what is past, in the caller's transaction: how many. Whom it concerns is added to profile_affected."""
    return int(
        await connection.fetchval(
            f"""
            WITH past AS (
                UPDATE consentry.profile_records SET "values" = "values" - {quote_literal(one.attribute)}
                WHERE source = $1 AND {_past(one)} RETURNING subject),
            told AS (
                INSERT INTO pg_temp.profile_affected SELECT subject::text FROM past WHERE subject IS NOT NULL)
            SELECT count(*) FROM past""",
            one.source,
        )
    )


def _past(one: Kept) -> str:
    """Of a record. Times are kept so that they order as texts do; to cast what is none would fail."""
    time = f'("values" -> {quote_literal(one.attribute)} ->> {quote_literal(one.by)})'
    ago = f"(now() AT TIME ZONE 'UTC') - {quote_literal(one.period)}::interval"
    return (
        f"{time} ~ '^[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}' "
        f"""AND {time} COLLATE "C" <= to_char({ago}, 'YYYY-MM-DD"T"HH24:MI:SS')"""
    )
