"""Whether a table can be followed by logical replication: its server, its key, its publication."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

import asyncpg

from proxy.policy.names import quote_identifier
from proxy.profile.sources.reading import SourceError, Wanted, relation

# `identified_by`: what deletes tell, by the primary key or the index that was chosen as replica identity; `untold`:
# what is read with the table, though no log tells its changes as those of the table.
_TABLE: Final = """
    SELECT c.oid, n.nspname::text AS schema, c.relname::text AS name, c.relkind::text AS kind,
           ARRAY(SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = c.oid AND c.relkind = 'r'
                 UNION ALL
                 SELECT o.oid::regclass::text FROM pg_partition_tree(c.oid) t JOIN pg_class o ON o.oid = t.relid
                 WHERE o.relkind = 'f' OR o.relpersistence <> 'p'
           ) AS untold,
           c.relreplident::text AS identity,
           ARRAY(SELECT a.attname::text
                 FROM pg_index i JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY (i.indkey)
                 WHERE i.indrelid = c.oid
                   AND CASE c.relreplident::text WHEN 'd' THEN i.indisprimary WHEN 'i' THEN i.indisreplident END
           ) AS identified_by,
           (SELECT format_type(atttypid, -1) FROM pg_attribute WHERE attrelid = c.oid AND attname = $2) AS key_type
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = $1::text::regclass"""
# `identity`: an option that changes gives the publication's row another xmin; that a table or a schema is in it is an
# object of its own, another one where it left and came back. It is found as what depends on both: PostgreSQL 13 and 14
# have no catalog of schemas in publications.
_PUBLICATION: Final = """
    SELECT p.pubinsert AND p.pubupdate AND p.pubdelete AND p.pubtruncate AS tells_all, t.tablename IS NOT NULL AS has,
           to_jsonb(t) ->> 'rowfilter' IS NOT NULL AS filtered,
           concat_ws(' ', p.oid, p.xmin, (
               SELECT string_agg(DISTINCT whole.objid::text, ' ')
               FROM pg_depend whole JOIN pg_depend part USING (classid, objid)
               JOIN pg_class c ON (part.refclassid, part.refobjid) IN (
                   ('pg_class'::regclass, c.oid), ('pg_namespace'::regclass, c.relnamespace))
               WHERE (whole.refclassid, whole.refobjid) = ('pg_publication'::regclass, p.oid)
                 AND c.oid IN (SELECT $4::oid UNION SELECT relid FROM pg_partition_ancestors($4)))) AS identity
    FROM pg_publication p
    LEFT JOIN pg_publication_tables t ON t.pubname = p.pubname AND t.schemaname = $2 AND t.tablename = $3
    WHERE p.pubname = $1"""
# Of the table and each partition: the file with its rows, which is another one after TRUNCATE and where a table was
# written anew; and what says since when it is a partition.
_STORAGE: Final = """
    SELECT t.oid, pg_relation_filenode(t.oid) AS file, i.xmin::text AS since
    FROM (SELECT $1::oid UNION SELECT relid FROM pg_partition_ancestors($1)
          UNION SELECT relid FROM pg_partition_tree($1)) AS t (oid)
    LEFT JOIN pg_inherits i ON i.inhrelid = t.oid
    ORDER BY t.oid, since"""


@dataclass(frozen=True, slots=True)
class Table:
    """The table as its database has it. `key_type`: as SQL names it. Where one of the others is another text than
    before, changes may not have been told: `published`, where the publication, the table's place in it or the table is
    another; `storage`, where partitions came or went, or rows in their entirety.
    """

    oid: int
    key_type: str
    published: str
    storage: str


async def check(connection: asyncpg.Connection, wanted: Wanted, publication: str) -> Table:
    """Makes the publication where there is none and this login may.

    Raises SourceError, with the SQL that has to be run there. The table and its key are known to exist.
    """
    level = await connection.fetchval("SELECT current_setting('wal_level')")
    if level != "logical":
        remedy = "ALTER SYSTEM SET wal_level = logical, and start it anew"
        raise SourceError(wanted.source, f"wal_level of its server is {level}: replication needs {remedy}")
    row = await connection.fetchrow(_TABLE, relation(wanted), wanted.key)
    assert row is not None
    if row["kind"] not in ("r", "p"):
        raise SourceError(wanted.source, f"{wanted.relation} is no table: replication follows nothing else")
    if row["untold"]:
        wrong = f"rows of {wanted.relation} are in {row['untold'][0]}, of which replication does not tell"
        remedy = "take it out of there, or leave `replication` out"
        raise SourceError(wanted.source, f"{wrong} (a child table, a foreign or an unlogged one): {remedy}")
    if row["identity"] != "f" and wanted.key not in row["identified_by"]:
        # With a publication, and no identity at all, its own apps could not delete any more.
        remedy = f"ALTER TABLE {relation(wanted)} REPLICA IDENTITY USING INDEX (a unique one of it), or FULL"
        wrong = f"deletes from {wanted.relation} do not tell {wanted.key}"
        raise SourceError(wanted.source, f"{wrong}: make it the primary key, or run there {remedy}")
    published = await _check_publication(connection, wanted, publication, row)
    return Table(row["oid"], row["key_type"], f"{row['oid']} {published}", await storage(connection, row["oid"]))


async def storage(connection: asyncpg.Connection, table: int) -> str:
    """Where the rows of a table and of its partitions lie: another text, where some came or went that no log tells."""
    return hashlib.sha256(repr(await connection.fetch(_STORAGE, table)).encode()).hexdigest()


async def _check_publication(
    connection: asyncpg.Connection, wanted: Wanted, publication: str, table: asyncpg.Record
) -> str:
    """What tells this publication of this table from another of the same names."""
    name, target, partitioned = quote_identifier(publication), relation(wanted), table["kind"] == "p"
    asked = publication, table["schema"], table["name"], table["oid"]
    found = await connection.fetchrow(_PUBLICATION, *asked)
    if found is None:
        whole = " WITH (publish_via_partition_root)" if partitioned else ""
        statement = f"CREATE PUBLICATION {name} FOR TABLE {target}{whole}"
        try:
            await connection.execute(statement)
        except asyncpg.InsufficientPrivilegeError as error:
            wrong = f"there is no publication {publication}"
            message = f"{wrong}: the owner of {wanted.relation} has to run there {statement}"
            raise SourceError(wanted.source, message) from error
        found = await connection.fetchrow(_PUBLICATION, *asked)
        assert found is not None
    change = f"ALTER PUBLICATION {name}"
    if not found["has"]:
        whole = f"; {change} SET (publish_via_partition_root)" if partitioned else ""
        wrong, remedy = "does not have", f"{change} ADD TABLE {target}{whole}"
    elif not found["tells_all"]:
        wrong, remedy = "does not tell all changes of", f"{change} SET (publish = 'insert, update, delete, truncate')"
    elif found["filtered"]:
        wrong, remedy = "has only some rows of", f"{change} SET TABLE {target}, with its others, and without WHERE"
    else:
        return str(found["identity"])
    raise SourceError(wanted.source, f"publication {publication} {wrong} {wanted.relation}: run there {remedy}")
