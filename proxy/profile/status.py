"""How fresh the profile is, where its sources disagree, what waits for somebody to decide."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import asyncpg

from proxy.config import Configuration
from proxy.errors import ConsentryError
from proxy.policy.rules import Rules
from proxy.profile.sources.opening import open_followed
from proxy.profile.sources.replication import ReplicatedReader

_SOURCES = """
    SELECT n.name, coalesce(r.records, 0) AS records, coalesce(r.waiting, 0) AS waiting,
           s.synced_at, s.tried_at, s.error, s.warning, s.cut_over_at
    FROM (SELECT unnest($1::text[]) AS name UNION SELECT name FROM consentry.profile_sources) AS n
    LEFT JOIN consentry.profile_sources s USING (name)
    LEFT JOIN (SELECT source, count(*) AS records, count(*) FILTER (WHERE subject IS NULL) AS waiting
               FROM consentry.profile_records GROUP BY source) AS r ON r.source = n.name
    ORDER BY n.name"""
_ATTRIBUTES = """
    SELECT attribute, count(*) AS customers, count(*) FILTER (WHERE differing > 1) AS conflicts,
           coalesce(sum(records), 0)::bigint AS "values"
    FROM (SELECT v.attribute, count(*) AS records, count(DISTINCT v.value) FILTER (WHERE NOT p.listed) AS differing
          FROM consentry.profile_values v JOIN consentry.profile_precedence p USING (attribute, source)
          GROUP BY v.subject, v.attribute) AS each
    GROUP BY attribute ORDER BY attribute"""
_CONFLICTS = """
    SELECT v.subject::text AS subject, jsonb_object_agg(v.source || ' ' || v.key, v.value) AS "values"
    FROM consentry.profile_values v JOIN consentry.profile_precedence p USING (attribute, source)
    WHERE v.attribute = $1 AND NOT p.listed
    GROUP BY v.subject HAVING count(DISTINCT v.value) > 1 ORDER BY v.subject LIMIT $2"""


async def status(
    connection: asyncpg.Connection, configuration: Configuration, database: str, rules: Rules
) -> Mapping[str, Any]:
    """How many customers there are, and `others`, whom nothing but sources knew at the last sync; sources: records,
    waiting, last sync, error, warning, `mapped` (whether the rules have it), `replication` (how far it is behind);
    attributes: customers that have one, values of all records, customers for whom sources disagree.
    """
    sources = [dict(row) for row in await connection.fetch(_SOURCES, list(rules.sources))]
    places = configuration.settings.databases[database].sources
    for source in sources:
        name = source["name"]
        source["mapped"] = name in rules.sources
        if source["mapped"] and name in places and source["cut_over_at"] is None:
            followed = open_followed(configuration, database, name)
            if followed is not None:
                source["replication"] = await _lag(followed)
    return {
        "customers": await connection.fetchval("SELECT count(*) FROM consentry.profile_data"),
        "others": await connection.fetchval("SELECT count(*) FROM consentry.profile_others"),
        "sources": sources,
        "attributes": [dict(row) for row in await connection.fetch(_ATTRIBUTES)],
    }


async def _lag(reader: ReplicatedReader) -> dict[str, Any]:
    try:
        return {**asdict(await reader.lag()), "error": None}
    except ConsentryError as error:
        return {"slot": reader.slot, "error": str(error)}


async def conflicts(connection: asyncpg.Connection, attribute: str, limit: int) -> list[dict[str, Any]]:
    """Customers for whom sources disagree about an attribute, with what each record says."""
    return [dict(row) for row in await connection.fetch(_CONFLICTS, attribute, limit)]
