"""Erased customers stay erased: what is kept of them is a hash that a later sync finds again, and nothing else.

A record that a sync reads is left out where there is a tombstone of its subject, of its own key in its source, or of an
address or number that it is matched by (`consentry.profile_tombstone` makes the hash). Who erases a customer calls
`forget` in the transaction of the erasure. It takes the lock under which syncs write: what a sync wrote before is
removed, and what it writes afterwards sees the tombstones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import asyncpg

from proxy.consent import locks
from proxy.profile import own

_KEYS: Final = """
    SELECT DISTINCT k.kind, k.value FROM consentry.profile_keys k
    LEFT JOIN consentry.profile_records r ON (r.source, r.key) = (k.source, k.key)
    WHERE k.value IS NOT NULL AND (r.subject::text = $1 OR (k.source, k.key) = ('', $1))
    UNION SELECT * FROM unnest($2::text[], $3::text[])"""


async def forget(connection: asyncpg.Connection, subject: str, known: Sequence[own.Known] = ()) -> Mapping[str, int]:
    """Removes all that sources said of the customer, and leaves tombstones; in the caller's transaction.

    `subject`: the customer's key as text. How many rows went, by table: roll back, and it was a dry run. Records that
    wait for review with the customer's address or number go too. `known`: those that the database's own tables had, of
    which no sync may know yet.
    """
    told = [kind for _, kind, _ in known], [value for _, _, value in known]
    await connection.execute(locks.WRITING)
    kind = await connection.fetchval(
        "SELECT format_type(atttypid, NULL) FROM pg_catalog.pg_attribute "
        "WHERE attrelid = 'consentry.profile_records'::regclass AND attname = 'subject'"
    )
    await connection.execute(
        f"""
        INSERT INTO consentry.profile_tombstones (hash)
        SELECT consentry.profile_tombstone('subject', '', $1)
        UNION SELECT consentry.profile_tombstone('record', source, key)
              FROM consentry.profile_records WHERE subject = $1::text::{kind}
        UNION SELECT consentry.profile_tombstone(kind, '', value) FROM ({_KEYS}) AS known
        ON CONFLICT DO NOTHING""",
        subject,
        *told,
    )
    gone = await connection.fetch(
        f"""
        SELECT source, key FROM consentry.profile_records WHERE subject = $1::text::{kind}
        UNION SELECT w.source, w.key FROM consentry.profile_records w
              JOIN consentry.profile_keys k ON (k.source, k.key) = (w.source, w.key)
              JOIN ({_KEYS}) AS known ON (known.kind, known.value) = (k.kind, k.value) WHERE w.subject IS NULL
        UNION SELECT '', $1""",
        subject,
        *told,
    )
    pairs = [row["source"] for row in gone], [row["key"] for row in gone]
    counts: dict[str, int] = {}
    for table in ("profile_keys", "profile_decisions", "profile_likely", "profile_records"):
        done = await connection.execute(
            f"DELETE FROM consentry.{table} WHERE (source, key) IN (SELECT * FROM unnest($1::text[], $2::text[]))",
            *pairs,
        )
        counts[f"consentry.{table}"] = int(done.split()[-1])
    done = await connection.execute(
        f"DELETE FROM consentry.profile_decisions WHERE subject = $1::text::{kind}", subject
    )
    counts["consentry.profile_decisions"] += int(done.split()[-1])
    await connection.execute(f"DELETE FROM consentry.profile_likely WHERE subject = $1::text::{kind}", subject)
    for table in ("profile_data", "profile_others"):
        done = await connection.execute(f"DELETE FROM consentry.{table} WHERE subject = $1::text::{kind}", subject)
        counts[f"consentry.{table}"] = int(done.split()[-1])
    await connection.execute(
        f"UPDATE consentry.profile_records SET candidates = array_remove(candidates, $1::text::{kind}), "
        f"formerly = nullif(formerly, $1::text::{kind}) "
        f"WHERE subject IS NULL AND candidates @> ARRAY[$1::text::{kind}]",
        subject,
    )
    return counts
