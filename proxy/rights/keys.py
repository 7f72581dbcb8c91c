"""The foreign keys of a database, from its catalog: which rows cannot go before others."""

from __future__ import annotations

from dataclasses import dataclass

import asyncpg

Key = tuple[str, str]

_QUERY = """
SELECT k.conname::text AS name, n.nspname::text AS schema, c.relname::text AS relation,
       rn.nspname::text AS to_schema, r.relname::text AS to_relation, k.confdeltype::text AS on_delete, k.condeferrable,
       ARRAY(SELECT a.attname::text FROM pg_catalog.unnest(k.conkey) WITH ORDINALITY u(number, place)
             JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.number ORDER BY u.place)
           AS columns,
       ARRAY(SELECT a.attname::text FROM pg_catalog.unnest(k.confkey) WITH ORDINALITY u(number, place)
             JOIN pg_catalog.pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.number ORDER BY u.place)
           AS to_columns
FROM pg_catalog.pg_constraint k
JOIN pg_catalog.pg_class c ON c.oid = k.conrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_class r ON r.oid = k.confrelid JOIN pg_catalog.pg_namespace rn ON rn.oid = r.relnamespace
WHERE k.contype = 'f' AND k.conparentid = 0
ORDER BY n.nspname, c.relname, k.conname
"""


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """`relation.columns` refer to `to.to_columns`. `clears`: a row that refers loses its reference, and stays."""

    name: str
    relation: Key
    columns: tuple[str, ...]
    to: Key
    to_columns: tuple[str, ...]
    clears: bool = False  # ON DELETE SET NULL or SET DEFAULT
    deferrable: bool = False


async def foreign_keys(connection: asyncpg.Connection) -> list[ForeignKey]:
    """Those of partitions that their whole has are left out."""
    return [
        ForeignKey(
            row["name"],
            (row["schema"], row["relation"]),
            tuple(row["columns"]),
            (row["to_schema"], row["to_relation"]),
            tuple(row["to_columns"]),
            row["on_delete"] in ("n", "d"),
            row["condeferrable"],
        )
        for row in await connection.fetch(_QUERY)
    ]
