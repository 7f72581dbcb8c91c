"""Texts that are indexed for search (`search` in the rules), with more words than a tsvector of PostgreSQL holds."""

from __future__ import annotations

from typing import Final

import asyncpg

from proxy.policy.mapped_sources import kept
from proxy.policy.rules import Rules
from proxy.rewrite.lex import quote_literal

_SHORT: Final = 100_000  # bytes: whatever the words of such a text are, there is room for them
_AT_MOST: Final = 200  # records, or customers, that are tried: those with the longest texts


async def too_long(connection: asyncpg.Connection, rules: Rules) -> str:
    """Which record has too many words, or which customer's records together.

    After a merge of profile_affected that failed, and was undone.
    """
    for column in kept(rules).values():
        if column.search is None:
            continue
        name = quote_literal(column.attribute)
        value = f'"values" -> {name}' if column.type == "jsonb" else f'"values" ->> {name}'
        ways = [("source", "key", value, "the record with key {} has")]
        if column.listed:
            ways.append(("''", "subject::text", f"jsonb_agg({value})", "the records of customer {} together have"))
        for source, key, words, who in ways:
            size = f'sum(octet_length(("values" -> {name})::text))'
            longest = await connection.fetch(f"""
                SELECT {source}, {key} FROM consentry.profile_records
                WHERE subject::text IN (SELECT subject FROM pg_temp.profile_affected) AND "values" ? {name}
                GROUP BY 1, 2 HAVING {size} > {_SHORT} ORDER BY {size} DESC LIMIT {_AT_MOST}""")
            text = f"(SELECT {words} FROM consentry.profile_records WHERE {source} = $1 AND {key} = $2)"
            for one in longest:
                try:
                    async with connection.transaction():
                        await connection.fetch(f"SELECT to_tsvector({quote_literal(column.search)}, {text})", *one)
                except asyncpg.ProgramLimitExceededError:
                    return f"{who.format(one[1])} more words in {column.attribute} than a search can have"
    return "somebody's records have more words than a search can have"
