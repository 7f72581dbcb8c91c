"""What logins of apps in `mode: monitor` lack to read the profile: they read the view itself, with their own rights."""

from __future__ import annotations

from typing import Final

import asyncpg

from proxy.catalog.model import Snapshot
from proxy.policy.names import join_dotted, quote_identifier, quote_relation
from proxy.policy.table import CompiledRules

# Logins that are meant to read it: those that have a token for it, and those that may read the table it begins with.
_LOGINS: Final = """
    SELECT r.rolname::text AS login FROM pg_catalog.pg_roles AS r
    WHERE r.rolname = ANY ($1::text[]) AND (pg_catalog.has_any_column_privilege(r.oid, $2::pg_catalog.oid, 'SELECT')
        OR EXISTS (SELECT FROM consentry.tokens AS t WHERE pg_catalog.to_jsonb(t) ->> 'login' = r.rolname::text
            AND t.revoked_at IS NULL))
    ORDER BY 1"""
# What the view's query reads, by what the database itself noted of it. $1: the view, $2: a login.
_COLUMNS: Final = """
    SELECT n.nspname::text AS schema, c.relname::text AS name,
        pg_catalog.array_agg(a.attname::text ORDER BY a.attnum) AS columns
    FROM (
        SELECT DISTINCT d.refobjid, d.refobjsubid
        FROM pg_catalog.pg_rewrite AS r
        JOIN pg_catalog.pg_depend AS d ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = r.oid
        WHERE r.ev_class = $1::pg_catalog.oid AND d.refobjid <> r.ev_class AND d.refobjsubid > 0
          AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass) AS read
    JOIN pg_catalog.pg_class AS c ON c.oid = read.refobjid
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = read.refobjsubid
    WHERE NOT pg_catalog.has_column_privilege($2::pg_catalog.name, c.oid, a.attnum, 'SELECT')
    GROUP BY n.nspname, c.relname ORDER BY 1, 2"""
_MAY_READ: Final = "SELECT pg_catalog.has_table_privilege($1::pg_catalog.name, $2::pg_catalog.oid, 'SELECT')"
_SCHEMAS: Final = """
    SELECT nspname::text FROM pg_catalog.pg_namespace
    WHERE nspname = ANY ($1::text[]) AND NOT pg_catalog.has_schema_privilege($2::pg_catalog.name, oid, 'USAGE')
    ORDER BY 1"""


async def lacking(connection: asyncpg.Connection, rules: CompiledRules, snapshot: Snapshot) -> list[str]:
    """A warning for each such login, with the GRANTs that it lacks. Before PostgreSQL 15 the view is read with the
    rights of its owner: then a right on it is all.
    """
    profile = rules.profile
    view = snapshot.relations.get(profile.relation) if profile is not None else None
    start = snapshot.relations.get(profile.start) if profile is not None else None
    if profile is None or view is None or start is None:
        return []
    found = []
    for app in rules.apps.values():
        if not app.monitor or app.trusted:
            continue
        for (login,) in await connection.fetch(_LOGINS, list(app.logins), start.oid):
            grants = await _grants(connection, view.oid, view.key, login, invoker=profile.invoker)
            if grants:
                name = join_dotted(*view.key)
                found.append(
                    f"login {login} of app {app.name}, which is in `mode: monitor`, reads {name} itself and may not: "
                    f"{'; '.join(grants)}"
                )
    return found


async def _grants(
    connection: asyncpg.Connection, oid: int, key: tuple[str, str], login: str, *, invoker: bool
) -> list[str]:
    role = quote_identifier(login)
    tables = await connection.fetch(_COLUMNS, oid, login) if invoker else []
    schemas = {key[0], *(table["schema"] for table in tables)}
    used = [row[0] for row in await connection.fetch(_SCHEMAS, sorted(schemas), login)]
    grants = [f"GRANT USAGE ON SCHEMA {quote_identifier(schema)} TO {role}" for schema in used]
    if not await connection.fetchval(_MAY_READ, login, oid):
        grants.append(f"GRANT SELECT ON {quote_relation(key)} TO {role}")
    for table in tables:
        columns = ", ".join(map(quote_identifier, table["columns"]))
        grants.append(f"GRANT SELECT ({columns}) ON {quote_relation((table['schema'], table['name']))} TO {role}")
    return grants
