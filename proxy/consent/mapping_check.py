"""What `consentry check` finds of a mapped consent table that only the database can tell."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import asyncpg

from proxy.policy.expressions import called_functions
from proxy.policy.names import join_dotted, quote_identifier
from proxy.policy.table import CompiledRules, ConsentStore

# $1 and $2: schemas and names of functions. Which are volatile in some overload.
_VOLATILE = """
SELECT DISTINCT n.nspname::text AS schema, p.proname::text AS name
FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.text[]), pg_catalog.unnest($2::pg_catalog.text[])) AS f (schema, name)
JOIN pg_catalog.pg_namespace AS n ON n.nspname = f.schema
JOIN pg_catalog.pg_proc AS p ON p.pronamespace = n.oid AND p.proname = f.name
WHERE p.provolatile = 'v'
"""
# The leading key columns of each index of $1 that can find a row by equality: no expression in front, not partial.
_INDEXES = """
SELECT ARRAY(SELECT a.attname::text FROM pg_catalog.generate_series(0, i.indnkeyatts - 1) AS k (n)
             LEFT JOIN pg_catalog.pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[k.n]
             ORDER BY k.n) AS columns
FROM pg_catalog.pg_index AS i
JOIN pg_catalog.pg_class AS x ON x.oid = i.indexrelid JOIN pg_catalog.pg_am AS m ON m.oid = x.relam
WHERE i.indrelid = $1::pg_catalog.text::pg_catalog.regclass AND i.indisvalid AND i.indpred IS NULL
  AND m.amname IN ('btree', 'hash')
"""
_KIND = """
SELECT c.relkind::text AS kind, c.relrowsecurity AS secured FROM pg_catalog.pg_class AS c
WHERE c.oid = $1::pg_catalog.text::pg_catalog.regclass
"""
# Logins of $2 that may not read all of the columns $3, or not enter the schema.
_RIGHTS = """
SELECT r.rolname::text AS login FROM pg_catalog.pg_roles AS r
WHERE r.rolname = ANY ($2::pg_catalog.text[])
  AND NOT (pg_catalog.has_schema_privilege(r.oid, $4::pg_catalog.text, 'USAGE') AND (
      SELECT pg_catalog.bool_and(pg_catalog.has_column_privilege(
                 r.oid, $1::pg_catalog.text::pg_catalog.regclass, c.name, 'SELECT'))
      FROM pg_catalog.unnest($3::pg_catalog.text[]) AS c (name)))
ORDER BY 1
"""


async def check_mapping(connection: asyncpg.Connection, compiled: CompiledRules) -> tuple[list[str], list[str]]:
    """(errors, warnings) about the table of `consent.store`, with file and line; nothing for Consentry's own ledger."""
    store = compiled.store
    if store is None:
        return [], []
    at = f"{store.place[0]}:{store.place[1]}"
    relation = f"{quote_identifier(store.schema)}.{quote_identifier(store.table)}"
    called = sorted(called_functions(store.granted))
    volatile = await connection.fetch(_VOLATILE, [schema for schema, _ in called], [name for _, name in called])
    names = sorted(join_dotted(row["schema"], row["name"]) for row in volatile)
    errors = [
        f"{at}: granted: {name} is volatile: it may say another thing of each row; the time is statement_timestamp()"
        for name in names
    ]
    row = await connection.fetchrow(_KIND, relation)
    assert row is not None
    warnings = []
    if row["secured"]:
        warnings.append(
            f"{at}: {store.schema}.{store.table} has row security: a login sees only the consents that its policies "
            "show it, and what is hidden counts as never decided"
        )
    if row["kind"] in ("r", "p"):
        indexes = [tuple(found["columns"]) for found in await connection.fetch(_INDEXES, relation)]
        warnings += [f"{at}: {text}" for text in _index(store, indexes)]
    for app in compiled.apps.values():
        if not app.trusted and app.asked:
            rows = await connection.fetch(_RIGHTS, relation, app.logins, store.columns, store.schema)
            warnings += [
                f"login {found['login']} of app {app.name} may not read {', '.join(store.columns)} of "
                f"{store.schema}.{store.table}, so that all that asks consent is refused: "
                "run `consentry consent setup`, which prints the grants"
                for found in rows
            ]
    return errors, warnings


def _index(store: ConsentStore, indexes: Sequence[Sequence[str | None]]) -> Iterator[str]:
    """A warning where no index begins with the columns that say whose consent it is, in any order."""
    keys = {column for column in (store.subject, store.app, store.attribute) if column is not None}
    if not any(set(columns[: len(keys)]) == keys for columns in indexes):
        listed = ", ".join(c for c in (store.subject, store.app, store.attribute) if c is not None)
        yield (
            f"no index of {store.schema}.{store.table} begins with ({listed}): each row's consent would be looked for "
            f"in all of the table; CREATE INDEX ON {quote_identifier(store.schema)}.{quote_identifier(store.table)} "
            f"({', '.join(quote_identifier(c) for c in (store.subject, store.app, store.attribute) if c is not None)})"
        )
