"""Whose a record is: by an agent's decision, or by an address or number that one customer alone has; where nobody has
it, by all that it says (`suggest` finds that), if that is as sure as the rules want it.

Candidates are customers of the database and those whom a source names by key, an agent decided on, or that were made
from a record nobody knew: never one who was found by matching only, so that no chain of likenesses joins two people.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import uuid4

import asyncpg

from proxy.profile import identity

_CANDIDATES = """
    SELECT t.source, t.key, array_agg(DISTINCT c.subject ORDER BY c.subject) AS subjects,
           string_agg(DISTINCT c.kind, '+' ORDER BY c.kind) AS how,
           array_agg(c.subject) FILTER (WHERE c.kind <> 'before') AS said
    FROM pg_temp.profile_touched t
    JOIN LATERAL (
        SELECT own.kind, own.key::{type} AS subject FROM consentry.profile_keys k
        JOIN consentry.profile_keys own ON own.source = '' AND own.kind = k.kind AND own.value = k.value
        WHERE k.source = t.source AND k.key = t.key
        UNION ALL
        SELECT other.kind, r.subject FROM consentry.profile_keys k
        JOIN consentry.profile_keys other ON other.kind = k.kind AND other.value = k.value
        JOIN consentry.profile_records r ON r.source = other.source AND r.key = other.key
        WHERE k.source = t.source AND k.key = t.key AND (other.source, other.key) <> (t.source, t.key)
          AND r.how IN ('key', 'agent', 'new')
        UNION ALL
        SELECT 'before', r.formerly FROM consentry.profile_records r
        WHERE r.source = t.source AND r.key = t.key AND r.formerly IS NOT NULL) AS c ON true
    WHERE NOT EXISTS (SELECT FROM consentry.profile_decisions d
                      WHERE d.source = t.source AND d.key = t.key AND d.subject = c.subject
                        AND d.decision = 'other' AND d.undone_at IS NULL)
    GROUP BY t.source, t.key"""

_LIKELY = """
    SELECT l.source, l.key, array_agg(l.subject ORDER BY l.probability DESC, l.subject) AS subjects,
           (array_agg(l.subject) FILTER (WHERE l.sure))[1] AS sure
    FROM pg_temp.profile_touched t JOIN consentry.profile_likely l ON l.source = t.source AND l.key = t.key
    WHERE NOT EXISTS (SELECT FROM consentry.profile_decisions d
                      WHERE d.source = t.source AND d.key = t.key AND d.subject = l.subject
                        AND d.decision = 'other' AND d.undone_at IS NULL)
    GROUP BY l.source, l.key"""


# Whose the touched records are.
_AFFECTED = """
    INSERT INTO pg_temp.profile_affected SELECT r.subject::text FROM pg_temp.profile_touched t
    JOIN consentry.profile_records r ON r.source = t.source AND r.key = t.key WHERE r.subject IS NOT NULL"""
# A decision ends where the record says something new, and is somebody else's by what it says and not the decided one's.
_ENDED = """
    d.subject <> ALL (c.said) AND EXISTS (
        SELECT FROM consentry.profile_keys k WHERE k.source = t.source AND k.key = t.key AND k.value IS NOT NULL
        AND consentry.profile_tombstone(k.kind, '', k.value) <> ALL (d.keys))"""


async def match(connection: asyncpg.Connection, subject_type: str, making: Sequence[str]) -> None:
    """Finds the customer of each record in profile_touched; whom it concerns is added to profile_affected.

    A record that was somebody's stays theirs while what it says now fits them, or nobody. Where it fits several, or
    another one than before, it waits for review, also where somebody decided whose it was: that is taken back then.
    Records that wait for the sake of an erased customer (`erased`) get candidates, and wait on.
    `making`: the sources that make a customer of whom nobody knows.
    """
    if not await connection.fetchval("SELECT EXISTS (SELECT FROM pg_temp.profile_touched)"):
        return
    await connection.execute("ANALYZE pg_temp.profile_touched")
    await connection.execute(_AFFECTED)
    await connection.execute(f"""
        CREATE TEMP TABLE profile_found ON COMMIT DROP AS
        SELECT r.source, r.key, CASE WHEN e.ended THEN d.subject ELSE r.subject END AS old, r.how AS old_how,
               CASE WHEN NOT e.ended THEN d.subject END AS decided, e.ended,
               r.erased,
               coalesce(c.subjects, l.subjects, '{{}}') AS subjects, c.subjects AS exact, c.how,
               CASE WHEN c.subjects IS NULL THEN l.sure END AS sure
        FROM pg_temp.profile_touched t JOIN consentry.profile_records r ON r.source = t.source AND r.key = t.key
        LEFT JOIN ({_CANDIDATES.format(type=subject_type)}) AS c ON c.source = t.source AND c.key = t.key
        LEFT JOIN ({_LIKELY}) AS l ON l.source = t.source AND l.key = t.key
        LEFT JOIN LATERAL (
            SELECT subject, keys FROM consentry.profile_decisions d
            WHERE d.source = t.source AND d.key = t.key AND d.decision IN ('same', 'new') AND d.undone_at IS NULL
            ORDER BY id DESC LIMIT 1) AS d ON true
        CROSS JOIN LATERAL (SELECT coalesce({_ENDED}, false) AS ended) AS e;
        UPDATE consentry.profile_decisions d SET undone_at = clock_timestamp() FROM pg_temp.profile_found f
        WHERE f.ended AND d.source = f.source AND d.key = f.key AND d.decision <> 'other' AND d.undone_at IS NULL;
        UPDATE consentry.profile_records r SET
            subject = f.subject, candidates = f.candidates,
            formerly = CASE WHEN f.subject IS NULL THEN coalesce(f.old, r.formerly) END,
            how = CASE WHEN f.subject IS NULL THEN NULL WHEN f.decided IS NOT NULL THEN 'agent'
                       WHEN f.subject = f.old THEN f.old_how ELSE coalesce(f.how, 'likely') END
        FROM (SELECT *, CASE WHEN subject IS NOT NULL THEN '{{}}'
                             WHEN old IS NOT NULL THEN ARRAY(SELECT unnest(array_append(exact, old)) ORDER BY 1)
                             ELSE subjects END AS candidates
              FROM (SELECT *, CASE
                        WHEN decided IS NOT NULL THEN decided
                        WHEN old IS NOT NULL AND (exact IS NULL OR old = ANY (exact)) THEN old
                        WHEN erased THEN NULL
                        WHEN old IS NULL AND cardinality(exact) = 1 THEN exact[1]
                        WHEN old IS NULL THEN sure
                    END AS subject FROM pg_temp.profile_found) AS found) AS f
        WHERE r.source = f.source AND r.key = f.key
          AND ((r.subject, r.candidates) IS DISTINCT FROM (f.subject, f.candidates) OR f.decided IS NOT NULL);
        DROP TABLE pg_temp.profile_found""")
    if making:
        await _make_customers(connection, subject_type, making)
    await connection.execute(_AFFECTED)


async def touch_waiting(connection: asyncpg.Connection) -> None:
    """All records whose customer nobody knows: customers may have come meanwhile."""
    await connection.execute("""
        INSERT INTO pg_temp.profile_touched SELECT source, key FROM consentry.profile_records WHERE subject IS NULL""")


async def _make_customers(connection: asyncpg.Connection, subject_type: str, making: Sequence[str]) -> None:
    """A customer for each record that fits nobody; records with an address or number in common are one's.

    None for a record with an address that cannot be read, or with several in one field: nobody knows whose these are,
    and an erased customer's may be among them.
    """
    rows = await connection.fetch(
        """
        SELECT r.source, r.key, array_agg(k.kind || ':' || k.value ORDER BY k.kind)
                                    FILTER (WHERE k.value IS NOT NULL) AS names,
               array_agg(k.raw) FILTER (WHERE k.kind = 'email' AND k.value IS NULL) AS unread
        FROM pg_temp.profile_touched t JOIN consentry.profile_records r ON r.source = t.source AND r.key = t.key
        JOIN consentry.profile_keys k ON k.source = r.source AND k.key = r.key
        WHERE r.subject IS NULL AND NOT r.erased AND r.candidates = '{}' AND r.source = ANY ($1)
        GROUP BY r.source, r.key HAVING count(k.value) > 0 ORDER BY r.source, r.key""",
        list(making),
    )
    people: dict[str, str] = {}
    made: list[tuple[str, str, str]] = []
    for row in rows:
        if any(map(identity.may_hold_email, row["unread"] or ())):
            continue
        known = {people[name] for name in row["names"] if name in people}
        if len(known) > 1:
            continue  # it joins two: the next sync finds both, and it waits for review
        person = known.pop() if known else await new_subject(connection, subject_type)
        people.update(dict.fromkeys(row["names"], person))
        made.append((row["source"], row["key"], person))
    await connection.executemany(
        f"UPDATE consentry.profile_records SET subject = $3::text::{subject_type}, how = 'new' "
        "WHERE source = $1 AND key = $2",
        made,
    )


async def new_subject(connection: asyncpg.Connection, subject_type: str) -> str:
    """A key for a customer whom only other sources know: no number of the database's own is below zero."""
    if subject_type == "bigint":
        return str(-(await connection.fetchval("SELECT nextval('consentry.profile_people')")))
    return str(uuid4()) if subject_type == "uuid" else f"person-{uuid4()}"
