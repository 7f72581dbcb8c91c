"""What a sync has read, before it counts: a temp table that is compared with what is kept, and then written.

All in one transaction of the caller's, and from `write` on under the lock of those who write (locks.WRITING).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import asyncpg

from proxy.errors import ConsentryError
from proxy.profile import drift, tombstones
from proxy.profile.records import COLUMNS, Row
from proxy.profile.sources.reading import SourceError
from proxy.rewrite.lex import quote_literal

# Whether what is kept, the record `r`, is not what was read, `i`.
_DAMAGED: Final = """
    r."values" IS DISTINCT FROM i."values" OR r.subject IS DISTINCT FROM coalesce(i.subject::{type}, r.subject)
    OR (SELECT array_agg(k ORDER BY k) FROM (SELECT * FROM {keys}) AS k)
       IS DISTINCT FROM (
        SELECT array_agg(k ORDER BY k) FROM (
            SELECT kind, raw, value, several FROM consentry.profile_keys WHERE source = r.source AND key = r.key) AS k)
    OR (i.subject IS NOT NULL AND (
        r.how <> 'key' OR r.formerly IS NOT NULL OR r.erased OR cardinality(r.candidates) > 0))"""
# What a record is matched by, as `Mapping` makes it.
_KEYS: Final = """(
    SELECT kind, raw, value, coalesce(several, '{{}}') AS several
    FROM jsonb_to_recordset({of}.keys) AS k (kind text, raw text, value text, several text[])) AS k"""
WHOSE: Final = "(customer)"  # beside attributes, none of which can be called that
_SEVERAL: Final = 5  # records that are gone before it matters how many of all they are


@dataclass(slots=True)
class Counts:
    """What a sync did with a source's records. `erased`: those of customers who were erased, which are left out;
    `shared`: of these, those of which only an address or number says so.
    """

    read: int = 0
    added: int = 0
    changed: int = 0
    deleted: int = 0
    erased: int = 0
    shared: int = 0

    @property
    def warning(self) -> str | None:
        """What is to be said of records that may be left out wrongly."""
        if not self.shared:
            return None
        why = f"{self.shared} records are left out for nothing but an address or number that an erased customer had"
        return f"{why}: if a customer has it today, `consentry subject readmit CUSTOMER --also ADDRESS` lets them in"


async def begin(connection: asyncpg.Connection) -> None:
    """Makes the temp tables; they go at the end of the transaction."""
    try:
        await connection.execute("""
            SET LOCAL client_min_messages = warning;
            CREATE TEMP TABLE profile_incoming (number bigint, key text, subject text, "values" jsonb, keys jsonb,
                                                digest bytea, deleted boolean) ON COMMIT DROP;
            CREATE TEMP TABLE profile_touched (source text, key text) ON COMMIT DROP;
            CREATE TEMP TABLE profile_affected (subject text) ON COMMIT DROP""")
    except asyncpg.InsufficientPrivilegeError as error:
        raise ConsentryError(f"{error}; a sync needs GRANT TEMPORARY ON DATABASE") from error


async def add(connection: asyncpg.Connection, rows: Sequence[Row]) -> None:
    """Takes records in."""
    await connection.copy_records_to_table("profile_incoming", records=rows, columns=COLUMNS, schema_name="pg_temp")


async def check_keys(connection: asyncpg.Connection, source: str, unit: str, field: str) -> None:
    """Raises SourceError for two different records of one key, which is in `field`; the same record twice is one."""
    await index(connection)
    twice = await connection.fetchrow("""
        SELECT key, min(number) AS first, max(number) AS last FROM pg_temp.profile_incoming
        GROUP BY key HAVING count(DISTINCT (digest, deleted)) > 1 ORDER BY first LIMIT 1""")
    if twice is not None:
        places = f"{unit} {twice['first']} and {unit} {twice['last']}"
        what = f'{places} have the same key, {twice["key"]} (field "{field}"), and differ'
        raise SourceError(source, f"{what}: `key` must name one record")


async def index(connection: asyncpg.Connection) -> None:
    """Whatever the planner expects of tables that were empty a moment ago, no join runs through all keys for each."""
    await connection.execute(
        "CREATE INDEX ON pg_temp.profile_incoming (key, deleted); ANALYZE pg_temp.profile_incoming"
    )


async def write(
    connection: asyncpg.Connection, source: str, subject_type: str, counts: Counts, there: str, *, mend: bool = False
) -> None:
    """Writes what is new or other than before, and removes what its source flags as deleted.

    Whom it concerns is added to profile_affected; records whose customer is to be found, to profile_touched. `there`:
    SQL, whether the database has the customer `c.subject`. `mend`: what is kept of a record is compared too, not its
    digest alone, so that what somebody damaged there is written anew; and the customers of all records are found anew.
    """
    name = quote_literal(source)
    damaged = f" OR {_DAMAGED.format(type=subject_type, keys=_KEYS.format(of='i'))}" if mend else ""
    await connection.execute(f"""
        CREATE TEMP TABLE profile_changed ON COMMIT DROP AS
        SELECT DISTINCT ON (i.key) i.*, r.key IS NOT NULL AS known, false AS erased FROM pg_temp.profile_incoming i
        LEFT JOIN consentry.profile_records r ON r.source = {name} AND r.key = i.key
        WHERE (r.digest IS DISTINCT FROM i.digest{damaged}) AND NOT i.deleted""")
    left_out, shared = await tombstones.leave_out(connection, source, there)
    counts.erased += left_out
    counts.shared += shared
    await connection.execute(f"""
        INSERT INTO pg_temp.profile_affected
        SELECT r.subject::text FROM pg_temp.profile_changed c
        JOIN consentry.profile_records r ON r.source = {name} AND r.key = c.key WHERE r.subject IS NOT NULL""")
    await connection.execute(f"""
        INSERT INTO consentry.profile_records AS r (source, key, subject, how, "values", digest, read_at, erased)
        SELECT {name}, key, subject::{subject_type}, CASE WHEN subject IS NOT NULL THEN 'key' END, "values", digest,
               now(), erased
        FROM pg_temp.profile_changed
        ON CONFLICT (source, key) DO UPDATE SET "values" = excluded."values", digest = excluded.digest,
            read_at = excluded.read_at, subject = coalesce(excluded.subject, r.subject),
            erased = excluded.erased OR (r.erased AND r.subject IS NOT NULL AND excluded.subject IS NULL),
            formerly = CASE WHEN excluded.subject IS NULL THEN r.formerly END,
            candidates = CASE WHEN excluded.subject IS NULL THEN r.candidates ELSE '{{}}' END,
            how = coalesce(excluded.how, r.how)""")
    await connection.execute(f"""
        DELETE FROM consentry.profile_keys k USING pg_temp.profile_changed c
        WHERE k.source = {name} AND k.key = c.key""")
    await connection.execute(f"""
        INSERT INTO consentry.profile_keys (source, key, kind, raw, value, several)
        SELECT {name}, c.key, k.* FROM pg_temp.profile_changed c CROSS JOIN LATERAL {_KEYS.format(of="c")}""")
    await connection.execute(f"""
        INSERT INTO pg_temp.profile_affected SELECT subject FROM pg_temp.profile_changed WHERE subject IS NOT NULL;
        INSERT INTO pg_temp.profile_touched SELECT DISTINCT {name}, key
        FROM pg_temp.{"profile_incoming" if mend else "profile_changed"} WHERE subject IS NULL AND NOT deleted""")
    for known, count in await connection.fetch("SELECT known, count(*) FROM pg_temp.profile_changed GROUP BY known"):
        if known:
            counts.changed += count
        else:
            counts.added += count
    counts.deleted += await _delete(
        connection, source, "SELECT key FROM pg_temp.profile_incoming WHERE deleted"
    )  # fmt: skip


async def lacking(connection: asyncpg.Connection, source: str) -> list[int]:
    """The numbers of the incoming keys of which there is no record; but for records of customers who were erased."""
    name = quote_literal(source)
    rows = await connection.fetch(f"""
        SELECT number FROM pg_temp.profile_incoming i
        WHERE NOT EXISTS (SELECT FROM consentry.profile_records r WHERE r.source = {name} AND r.key = i.key)
          AND NOT EXISTS (SELECT FROM consentry.profile_tombstones
                          WHERE hash = consentry.profile_tombstone('record', {name}, i.key)) ORDER BY number""")
    return [row["number"] for row in rows]


async def delete_missing(
    connection: asyncpg.Connection, source: str, counts: Counts, *, accept: bool, may_be_cut: bool = False
) -> None:
    """Removes the records that were not among the incoming ones, which are all of the source's. As `check_missing`.

    `may_be_cut`: where the last record of the last time is gone too, and none is new, that is an error as well: what
    was cut has nothing new behind what it lost.
    """
    await check_missing(connection, source, counts.added, accept=accept)
    if may_be_cut and not accept and not counts.added and await drift.lost_end(connection, source):
        gone = await connection.fetchval("SELECT count(*) FROM pg_temp.profile_missing")
        said = f"the last record of the file as it was is gone, with {gone - 1} others, and none is new"
        raise SourceError(source, f"{said}: was it cut? If not, say --accept-deletes")
    counts.deleted += await _delete(connection, source, "SELECT key FROM pg_temp.profile_missing")


async def check_missing(connection: asyncpg.Connection, source: str, added: int = 0, *, accept: bool) -> None:
    """Notes in profile_missing the records that are not among the incoming ones; `added`: how many are new.

    Raises SourceError where none is left, or several are gone that are more than half of those that there were before
    this sync, and nobody said to `accept` it.
    """
    await connection.execute(f"""
        CREATE TEMP TABLE profile_missing ON COMMIT DROP AS
        SELECT key FROM consentry.profile_records r WHERE source = {quote_literal(source)}
        AND NOT EXISTS (SELECT FROM pg_temp.profile_incoming i WHERE i.key = r.key)""")
    kept = await connection.fetchval("SELECT count(*) FROM consentry.profile_records WHERE source = $1", source)
    gone = await connection.fetchval("SELECT count(*) FROM pg_temp.profile_missing")
    before = kept - added
    left = await connection.fetchval("SELECT EXISTS (SELECT FROM pg_temp.profile_incoming)")
    if gone and not accept and (not left or (gone >= _SEVERAL and gone > before / 2)):
        raise SourceError(
            source, f"{gone} of {before} records are not there any more: if that is right, say --accept-deletes"
        )


@dataclass(frozen=True, slots=True)
class Compared:
    """An attribute as the source has it and as it is kept: how many values, and a sum over all of them.

    Of `WHOSE`: the records' customers.
    """

    attribute: str
    read: int
    kept: int
    read_sum: str
    kept_sum: str

    @property
    def same(self) -> bool:
        return (self.read, self.read_sum) == (self.kept, self.kept_sum)


async def compare(connection: asyncpg.Connection, source: str) -> tuple[Compared, ...]:
    """What was read of the whole source beside what is kept of it, attribute by attribute; after all records were
    matched anew. One that waits since it says that it is another customer's than before differs by its customer.
    """
    name = quote_literal(source)
    summed = f"""
        SELECT v.key AS attribute, count(DISTINCT r.key) AS count,
               sum(hashtextextended(r.key || ' ' || v.value::text, 0)::numeric) AS sum
        FROM {{records}} AS r CROSS JOIN LATERAL jsonb_each(
            r."values" || jsonb_strip_nulls(jsonb_build_object('{WHOSE}', r.whose))) AS v GROUP BY v.key"""
    before = "CASE WHEN r.formerly = ANY (r.candidates) THEN r.formerly::text END"
    read = summed.format(
        records=f"""(
            SELECT DISTINCT ON (i.key) i.key, i."values", coalesce(i.subject, r.subject::text, {before}) AS whose
            FROM pg_temp.profile_incoming i
            LEFT JOIN consentry.profile_records r ON r.source = {name} AND r.key = i.key WHERE NOT i.deleted)"""
    )
    kept = summed.format(
        records=f"""(
            SELECT key, "values", subject::text AS whose FROM consentry.profile_records WHERE source = {name})"""
    )
    rows = await connection.fetch(f"""
        SELECT attribute, coalesce(r.count, 0) AS read, coalesce(k.count, 0) AS kept,
               coalesce(r.sum, 0)::text AS read_sum, coalesce(k.sum, 0)::text AS kept_sum
        FROM ({read}) AS r FULL JOIN ({kept}) AS k USING (attribute) ORDER BY attribute""")
    return tuple(Compared(*row) for row in rows)


async def _delete(connection: asyncpg.Connection, source: str, keys: str) -> int:
    """Removes records by a query of their keys: how many."""
    name = quote_literal(source)
    done = await connection.execute(f"""
        WITH gone AS (
            DELETE FROM consentry.profile_records WHERE source = {name} AND key IN ({keys}) RETURNING subject, key),
        unkeyed AS (
            DELETE FROM consentry.profile_keys k USING gone WHERE k.source = {name} AND k.key = gone.key)
        INSERT INTO pg_temp.profile_affected SELECT subject::text FROM gone""")
    return _number(done)


def _number(status: str) -> int:
    return int(status.rsplit(maxsplit=1)[-1])
