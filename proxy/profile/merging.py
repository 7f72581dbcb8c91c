"""What all records of a customer come to: one row of consentry.profile_data, by the precedence of the rules."""

from __future__ import annotations

import asyncpg

from proxy.policy.mapped_sources import Kept, entry_of, kept, precedence
from proxy.policy.names import quote_identifier
from proxy.policy.rules import Rules
from proxy.profile import others
from proxy.rewrite.lex import quote_literal


async def follow_precedence(connection: asyncpg.Connection, rules: Rules) -> bool:
    """Writes the rules' precedence down where it is another one than before: whether it was."""
    wanted = set(_ranks(rules))
    rows = await connection.fetch("SELECT attribute, source, rank, listed FROM consentry.profile_precedence")
    if {tuple(row) for row in rows} == wanted:
        return False
    await connection.execute("DELETE FROM consentry.profile_precedence")
    await connection.executemany("INSERT INTO consentry.profile_precedence VALUES ($1, $2, $3, $4)", list(wanted))
    return True


async def merge(connection: asyncpg.Connection, rules: Rules, subject_type: str) -> None:
    """Makes the rows of the customers in profile_affected anew; who has no record any more has no row."""
    await connection.execute("ANALYZE pg_temp.profile_affected")
    columns = kept(rules)
    names = [quote_identifier(name) for name in columns]
    sources = ", ".join(map(quote_literal, rules.sources)) or "''"
    await connection.execute(f"""
        CREATE TEMP TABLE profile_concerned ON COMMIT DROP AS
        SELECT DISTINCT subject::{subject_type} AS subject FROM pg_temp.profile_affected WHERE subject IS NOT NULL;
        ANALYZE pg_temp.profile_concerned""")
    if columns:
        chosen = ",\n".join(_chosen(rules, column) for column in columns.values())
        await connection.execute(f"""
            INSERT INTO consentry.profile_data AS d (subject, {", ".join(names)})
            SELECT r.subject, {chosen}
            FROM consentry.profile_records r JOIN pg_temp.profile_concerned USING (subject)
            WHERE r.source IN ({sources}) GROUP BY r.subject
            ON CONFLICT (subject) DO UPDATE SET {", ".join(f"{name} = excluded.{name}" for name in names)}
            WHERE ({", ".join(f"d.{name}" for name in names)})
                  IS DISTINCT FROM ({", ".join(f"excluded.{name}" for name in names)})""")
    await connection.execute(f"""
        DELETE FROM consentry.profile_data d USING pg_temp.profile_concerned c WHERE d.subject = c.subject
        AND NOT EXISTS (
            SELECT FROM consentry.profile_records r WHERE r.subject = d.subject AND r.source IN ({sources}))""")
    await others.note(connection, rules, "profile_concerned")
    await connection.execute("DROP TABLE pg_temp.profile_concerned")


async def affect_all(connection: asyncpg.Connection) -> None:
    """Everybody: the rules changed."""
    await connection.execute("""
        INSERT INTO pg_temp.profile_affected
        SELECT DISTINCT subject::text FROM consentry.profile_records WHERE subject IS NOT NULL
        UNION SELECT subject::text FROM consentry.profile_data""")


def _ranks(rules: Rules) -> list[tuple[str, str, int | None, bool]]:
    found = []
    for name, source in rules.sources.items():
        for attribute in [*(entry_of(rule).attribute for rule in source.fields.values()), *source.lists]:
            order = precedence(rules, attribute)
            found.append((attribute, name, order.index(name) if order else None, attribute in source.lists))
    return found


def _chosen(rules: Rules, column: Kept) -> str:
    """The value of one column over the customer's records `r`. The view profile_values has the same order."""
    name = quote_literal(column.attribute)
    has = f'FILTER (WHERE r."values" ? {name})'
    if column.listed:
        listed = {
            source: one.lists[column.attribute]
            for source, one in rules.sources.items()
            if column.attribute in one.lists
        }
        limit = max(one.limit for one in listed.values())
        newest = "".join(
            f' WHEN {quote_literal(source)} THEN r."values" -> {name} ->> {quote_literal(one.order_by)}'
            for source, one in listed.items()
            if one.order_by is not None
        )
        order = f'(CASE r.source{newest} END) COLLATE "C" DESC NULLS LAST, ' if newest else ""
        return f'to_jsonb((array_agg(r."values" -> {name} ORDER BY {order}r.source, r.key) {has})[1:{limit}])'
    ranked = precedence(rules, column.attribute)
    order = "r.read_at DESC"
    if ranked is not None:
        ranks = "".join(f" WHEN {quote_literal(source)} THEN {rank}" for rank, source in enumerate(ranked))
        order = f"CASE r.source{ranks} END"
    value = f'r."values" -> {name}' if column.type == "jsonb" else f'r."values" ->> {name}'
    return f"((array_agg({value} ORDER BY {order}, r.source, r.key) {has})[1])::{column.type}"
