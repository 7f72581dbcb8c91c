"""Customers who are new in the database, or have other addresses and numbers than before: records that wait for review
may be theirs, or records of others; and people whom a sync made, since nobody had their address, are them.

A made person whose address or number customers of the database have gives way: their records are matched as if they
were read now, so that it does not matter who was there first. One whose key somebody uses already (an agent decided on
it, a source names it, there are consents, a restriction or a request) is merged with nobody: their records wait, with
that key and the customers as candidates.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import asyncpg

from proxy.consent import locks
from proxy.consent.mapped import mapping_of
from proxy.policy.names import quote_identifier
from proxy.policy.rules import Rules
from proxy.policy.table import CompiledRules
from proxy.profile import matching, merging, own, staging, tombstones

_AT_A_TIME: Final = 20_000  # addresses and numbers

_OWN: Final = "SELECT key, kind, value FROM consentry.profile_keys WHERE source = '' AND value IS NOT NULL"
_GIVEN: Final = "SELECT * FROM unnest($1::text[], $2::text[], $3::text[]) AS given (key, kind, value)"
_THEIRS: Final = """
    FROM ({known}) AS n
    JOIN consentry.profile_keys k ON k.kind = n.kind AND k.value = n.value AND k.source <> ''
    JOIN consentry.profile_records r ON r.source = k.source AND r.key = k.key"""
_WAITING: Final = "INSERT INTO pg_temp.profile_touched SELECT DISTINCT r.source, r.key {theirs} WHERE r.subject IS NULL"
# Records by whose addresses and numbers customers of the database are found, and not the one whose they are.
_MOVED: Final = """
    INSERT INTO pg_temp.profile_touched SELECT r.source, r.key FROM consentry.profile_records r
    JOIN consentry.profile_keys k ON k.source = r.source AND k.key = r.key
    JOIN consentry.profile_keys o ON o.source = '' AND o.kind = k.kind AND o.value = k.value
    WHERE r.how NOT IN ('key', 'agent', 'new') AND {which}
    GROUP BY r.source, r.key HAVING bool_and(o.key <> r.subject::text)"""
_YIELDING: Final = "CREATE TEMP TABLE profile_yielding (subject {type} PRIMARY KEY, used boolean) ON COMMIT DROP"
_MADE: Final = """
    INSERT INTO pg_temp.profile_yielding SELECT DISTINCT r.subject {theirs}
    WHERE r.how = 'new' AND NOT EXISTS (
        SELECT FROM consentry.profile_decisions d WHERE d.source = r.source AND d.key = r.key
        AND d.subject::text = n.key AND d.decision = 'other' AND d.undone_at IS NULL)"""
_USED: Final = """
    UPDATE pg_temp.profile_yielding y SET used =
        EXISTS (SELECT FROM consentry.profile_records r WHERE r.subject = y.subject AND r.how IN ('key', 'agent'))
        OR EXISTS (SELECT FROM consentry.events e WHERE e.subject = y.subject)
        OR EXISTS (SELECT FROM consentry.restrictions s WHERE s.subject = y.subject)
        OR EXISTS (SELECT FROM consentry.requests q WHERE q.subject = y.subject)"""
_GIVE_WAY: Final = """
    WITH freed AS (
        UPDATE consentry.profile_records r SET subject = NULL, how = NULL,
               formerly = CASE WHEN y.used THEN y.subject END
        FROM pg_temp.profile_yielding y WHERE r.subject = y.subject AND r.how NOT IN ('key', 'agent')
        RETURNING r.source, r.key)
    INSERT INTO pg_temp.profile_touched SELECT * FROM freed"""
# Whoever else may be them is asked anew, and nobody is likely to be them any more.
_ASKED_ANEW: Final = """
    INSERT INTO pg_temp.profile_touched SELECT r.source, r.key FROM consentry.profile_records r
    JOIN pg_temp.profile_yielding y ON r.candidates @> ARRAY[y.subject] WHERE r.subject IS NULL"""
_UNLIKELY: Final = """
    DELETE FROM consentry.profile_likely l USING pg_temp.profile_yielding y
    WHERE l.subject = y.subject AND NOT y.used"""


async def match(
    connection: asyncpg.Connection, rules: Rules, compiled: CompiledRules, kind: str, making: Sequence[str]
) -> int:
    """Finds the records of customers who came since the last sync: how many are with them now.

    In transactions of its own, each with what it noted of the customers and what came of that. Only addresses and
    numbers that Consentry does not know yet are read out of the tables, and only records that have one of them touched.
    """
    matched, full = 0, True
    while full:
        if not await own.unknown(connection, rules, compiled, 1):
            break
        async with connection.transaction():
            await connection.execute(locks.WRITING)
            found = await own.unknown(connection, rules, compiled, _AT_A_TIME)  # those of today: some may be erased
            full = len(found) == _AT_A_TIME
            await staging.begin(connection)
            await touch(connection, compiled, kind, await own.add(connection, rules, found))
            await matching.match(connection, kind, making)
            await merging.merge(connection, rules, kind)
            matched += await connection.fetchval(
                "SELECT count(DISTINCT (r.source, r.key)) FROM pg_temp.profile_touched t "
                "JOIN consentry.profile_records r ON r.source = t.source AND r.key = t.key WHERE r.how <> 'new'"
            )
    return matched


async def touch(
    connection: asyncpg.Connection, compiled: CompiledRules, kind: str, known: Sequence[own.Known] | None = None
) -> None:
    """Adds to profile_touched the records that may be customers' of the database: those that wait, those of another one
    than has their addresses and numbers now, and those of people who give way, who are in profile_affected then.

    `known`: only records with one of these addresses and numbers; None: all.
    """
    await connection.execute(_YIELDING.format(type=kind))
    if known is None:
        await tombstones.sweep(connection)
        await matching.touch_waiting(connection)
        await connection.execute(_MOVED.format(which="true"))
        await connection.execute(_MADE.format(theirs=_THEIRS.format(known=_OWN)))
    else:
        given = [[one[place] for one in known] for place in range(3)]
        theirs = _THEIRS.format(known=_GIVEN)
        await connection.execute(_WAITING.format(theirs=theirs), *given)
        which = f"(r.source, r.key) IN (SELECT k.source, k.key {theirs})"
        await connection.execute(_MOVED.format(which=which), *given)
        await connection.execute(_MADE.format(theirs=theirs), *given)
    await connection.execute(_USED + _consented(compiled))
    await connection.execute("INSERT INTO pg_temp.profile_affected SELECT subject::text FROM pg_temp.profile_yielding")
    await connection.execute(_ASKED_ANEW)
    await connection.execute(_GIVE_WAY)
    await connection.execute(_UNLIKELY)
    await connection.execute("DROP TABLE pg_temp.profile_yielding")


def _consented(compiled: CompiledRules) -> str:
    """More of `_USED`: where the rules keep consent in a table of the database's own."""
    mapping = mapping_of(compiled)
    if mapping is None:
        return ""
    return (
        f" OR EXISTS (SELECT FROM {mapping.relation} c WHERE c.{quote_identifier(mapping.store.subject)} = y.subject)"
    )
