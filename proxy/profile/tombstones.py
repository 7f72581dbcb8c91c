"""Erased customers stay erased: what is kept of them is a hash that a later sync finds again, and nothing else.

A record that a sync reads is left out where there is a tombstone of its subject, of its own key in its source, or of an
address or number that it is matched by (`consentry.profile_tombstone` makes the hash), or would be if its field had no
other. Others may have that today:

- A record whose source says that it is a customer's who is there, and was not erased, is theirs, whose key it ever was.
- One that is matched waits for review (`erased`) where customers of the database, who were not erased, have every
  address and number of it of which there is a tombstone, and one at least. Nobody gets it by itself.

Who erases a customer calls `forget` in the transaction of the erasure. It takes the lock under which syncs write: what
a sync wrote before is removed, and what it writes afterwards sees the tombstones. `readmit` takes tombstones away.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import asyncpg

from proxy.consent import locks
from proxy.profile import own
from proxy.rewrite.lex import quote_literal

# Each address and number of a record, or of a customer of the database: of a field with several, each.
_EACH: Final = """(
    SELECT source, key, kind, value FROM consentry.profile_keys WHERE value IS NOT NULL
    UNION ALL SELECT source, key, kind, unnest(several) FROM consentry.profile_keys WHERE several <> '{}')"""
_KEYS: Final = f"""
    SELECT DISTINCT k.kind, k.value FROM {_EACH} AS k
    LEFT JOIN consentry.profile_records r ON (r.source, r.key) = (k.source, k.key)
    WHERE (r.subject::text = $1 OR (k.source, k.key) = ('', $1))
    UNION SELECT * FROM unnest($2::text[], $3::text[])"""
_TOMB: Final = "consentry.profile_tombstone({}) IN (SELECT hash FROM consentry.profile_tombstones)"
_OF_RECORD: Final = _TOMB.format("'record', {source}, {key}")
_OF_SUBJECT: Final = _TOMB.format("'subject', '', {}")
_OF_KEY: Final = _TOMB.format("k.kind, '', k.value")
_THEIRS: Final = f"""
    SELECT consentry.profile_tombstone('subject', '', $1)
    UNION SELECT consentry.profile_tombstone(kind, '', value) FROM {_EACH} AS k WHERE source = '' AND key = $1
    UNION SELECT consentry.profile_tombstone(kind, '', value) FROM unnest($2::text[], $3::text[]) AS k (kind, value)"""
# Of `k`, an address or number: whether a customer of the database has it, who was not erased.
_HAD: Final = f"""EXISTS (SELECT FROM consentry.profile_keys l WHERE l.source = '' AND l.kind = k.kind
                        AND l.value = k.value AND NOT {_OF_SUBJECT.format("l.key")})"""
_MAY_WAIT: Final = f"""coalesce((
    SELECT bool_or(k.had) AND bool_and(k.had OR NOT {_OF_KEY})
    FROM (SELECT k.kind, k.value, {_HAD} AS had FROM {{keys}}) AS k), false)"""
_OF_KEPT: Final = f"(SELECT * FROM {_EACH} AS k WHERE k.source = r.source AND k.key = r.key) AS k"
_MAY_STAY: Final = _MAY_WAIT.format(keys=_OF_KEPT)
_OF_READ: Final = """(
    SELECT k.kind, each.value
    FROM jsonb_to_recordset(c.keys) AS k (kind text, value text, several text[])
    CROSS JOIN LATERAL (SELECT k.value UNION ALL SELECT unnest(k.several)) AS each (value)
    WHERE each.value IS NOT NULL) AS k"""


async def leave_out(connection: asyncpg.Connection, source: str, there: str) -> tuple[int, int]:
    """Takes erased customers' records out of profile_changed and profile_incoming, in a sync's transaction: how many,
    and how many of these for nothing but an address or number.

    Those that are to wait are marked `erased`. `there`: SQL, whether the database has the customer `c.subject`.
    """
    if not await connection.fetchval("SELECT EXISTS (SELECT FROM consentry.profile_tombstones)"):
        return 0, 0
    of_record = _OF_RECORD.format(source=quote_literal(source), key="c.key")
    # Of a record that is somebody's already nothing is asked.
    await connection.execute(f"""
        CREATE TEMP TABLE profile_buried ON COMMIT DROP AS
        SELECT c.key, c.known, c.subject IS NULL AND {_MAY_WAIT.format(keys=_OF_READ)} AS waits,
               c.subject IS NULL AND NOT {of_record} AS shared
        FROM pg_temp.profile_changed c
        WHERE NOT EXISTS (SELECT FROM consentry.profile_records r
                          WHERE r.source = {quote_literal(source)} AND r.key = c.key
                            AND (r.subject::text = c.subject OR (r.subject IS NOT NULL AND c.subject IS NULL)))
          AND CASE WHEN c.subject IS NULL THEN {of_record} OR EXISTS (SELECT FROM {_OF_READ} WHERE {_OF_KEY})
                   ELSE {_OF_SUBJECT.format("c.subject")} OR ({of_record} AND NOT {there}) END""")
    await connection.execute("""
        UPDATE pg_temp.profile_changed c SET erased = true FROM pg_temp.profile_buried b
        WHERE b.key = c.key AND b.waits;
        DELETE FROM pg_temp.profile_changed c USING pg_temp.profile_buried b WHERE b.key = c.key AND NOT b.waits;
        DELETE FROM pg_temp.profile_incoming i USING pg_temp.profile_buried b
        WHERE b.key = i.key AND NOT b.waits AND NOT b.known;
        UPDATE pg_temp.profile_incoming i SET deleted = true FROM pg_temp.profile_buried b
        WHERE b.key = i.key AND NOT b.waits AND b.known""")
    row = await connection.fetchrow("""
        SELECT count(*) AS left_out, count(*) FILTER (WHERE shared) AS shared
        FROM pg_temp.profile_buried WHERE NOT waits""")
    assert row is not None  # it counts
    return row["left_out"], row["shared"]


async def sweep(connection: asyncpg.Connection) -> None:
    """Removes records that wait for the sake of a customer who does not have the address or number any more."""
    await connection.execute(f"""
        WITH gone AS (
            DELETE FROM consentry.profile_records r
            WHERE r.erased AND r.subject IS NULL AND r.formerly IS NULL AND NOT {_MAY_STAY} RETURNING r.source, r.key)
        DELETE FROM consentry.profile_keys k USING gone WHERE k.source = gone.source AND k.key = gone.key""")


async def forget_likely(connection: asyncpg.Connection, source: str) -> None:
    """Of a source's records, those are nobody's likely records who were erased."""
    await connection.execute(
        f"DELETE FROM consentry.profile_likely l WHERE source = $1 AND {_OF_SUBJECT.format('l.subject::text')}", source
    )


async def of_record(connection: asyncpg.Connection, source: str, key: str) -> bool:
    """Whether a customer who was erased had this record."""
    return bool(
        await connection.fetchval("SELECT " + _OF_RECORD.format(source="$1::text", key="$2::text"), source, key)
    )


async def of_subject(connection: asyncpg.Connection, subject: str, kind: str) -> bool:
    """Whether this customer was erased. `kind`: the type of the customers' keys."""
    return bool(await connection.fetchval("SELECT " + _OF_SUBJECT.format(f"$1::text::{kind}::text"), subject))


async def in_the_way(connection: asyncpg.Connection, subject: str, known: Sequence[own.Known] = ()) -> int:
    """How many tombstones keep records from a customer: of the key, of the addresses and numbers that the last sync
    saw, and of those in `known`.
    """
    query = f"SELECT count(*) FROM consentry.profile_tombstones WHERE hash IN ({_THEIRS})"
    return int(await connection.fetchval(query, subject, *_columns(known)))


async def readmit(connection: asyncpg.Connection, subject: str, known: Sequence[own.Known]) -> tuple[int, int]:
    """Takes these tombstones away, in the caller's transaction: how many, and of how many records that wait nothing is
    left in the way.
    """
    await connection.execute(locks.WRITING)
    query = f"DELETE FROM consentry.profile_tombstones WHERE hash IN ({_THEIRS})"
    lifted = await connection.execute(query, subject, *_columns(known))
    return int(lifted.split()[-1]), await free(connection)


async def free(connection: asyncpg.Connection) -> int:
    """Records that wait for the sake of erased customers do so no more where there is no tombstone: how many."""
    freed = await connection.execute(f"""
        UPDATE consentry.profile_records r SET erased = false
        WHERE r.erased AND NOT {_OF_RECORD.format(source="r.source", key="r.key")}
          AND NOT EXISTS (SELECT FROM {_OF_KEPT} WHERE {_OF_KEY})""")
    return int(freed.split()[-1])


async def forget(connection: asyncpg.Connection, subject: str, known: Sequence[own.Known] = ()) -> Mapping[str, int]:
    """Removes all that sources said of the customer, and leaves tombstones; in the caller's transaction.

    `subject`: the customer's key as text. How many rows went, by table: roll back, and it was a dry run. Records that
    wait for review with the customer's address or number go too, or that were theirs, but for those that a sync would
    let wait. `known`: those that the database's own tables had, of which no sync may know yet.
    """
    told = _columns(known)
    await connection.execute(locks.WRITING)
    kind = await connection.fetchval(
        "SELECT format_type(atttypid, NULL) FROM pg_catalog.pg_attribute "
        "WHERE attrelid = 'consentry.profile_records'::regclass AND attname = 'subject'"
    )
    subject = await connection.fetchval(f"SELECT $1::text::{kind}::text", subject)  # as sources and tables have it
    was_theirs = f"(r.subject IS NULL AND r.formerly = $1::text::{kind})"
    await connection.execute(
        f"""
        INSERT INTO consentry.profile_tombstones (hash)
        SELECT consentry.profile_tombstone('subject', '', $1)
        UNION SELECT consentry.profile_tombstone('record', source, key)
              FROM consentry.profile_records r WHERE subject = $1::text::{kind} OR {was_theirs}
        UNION SELECT consentry.profile_tombstone(kind, '', value) FROM ({_KEYS}) AS known
        ON CONFLICT DO NOTHING""",
        subject,
        *told,
    )
    gone = await connection.fetch(
        f"""
        SELECT source, key FROM consentry.profile_records WHERE subject = $1::text::{kind}
        UNION SELECT r.source, r.key FROM consentry.profile_records r WHERE {was_theirs} AND NOT {_MAY_STAY}
        UNION SELECT r.source, r.key FROM consentry.profile_records r
              JOIN {_EACH} AS k ON (k.source, k.key) = (r.source, r.key)
              JOIN ({_KEYS}) AS known ON (known.kind, known.value) = (k.kind, k.value)
              WHERE r.subject IS NULL AND NOT {_MAY_STAY}
        UNION SELECT '', $1""",
        subject,
        *told,
    )
    await connection.execute(
        f"""
        UPDATE consentry.profile_records r SET erased = true FROM {_EACH} AS k, ({_KEYS}) AS known
        WHERE r.subject IS NULL AND k.source = r.source AND k.key = r.key
          AND k.kind = known.kind AND k.value = known.value""",
        subject,
        *told,
    )
    await connection.execute(f"UPDATE consentry.profile_records r SET erased = true WHERE {was_theirs}", subject)
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
        f"WHERE subject IS NULL AND (candidates @> ARRAY[$1::text::{kind}] OR formerly = $1::text::{kind})",
        subject,
    )
    return counts


def _columns(known: Sequence[own.Known]) -> tuple[list[str], list[str]]:
    return [kind for _, kind, _ in known], [value for _, _, value in known]
