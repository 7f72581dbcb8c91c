"""Whether the ledger is whole: each customer's chain of events, the state that follows from them, the spans of that.

What nobody can tell from the ledger alone: that a customer's newest events were taken away together with what followed
from them. The audit log has a record of each (`consentry audit search --event consent`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import asyncpg

from proxy.consent.ledger import installed_subject_type
from proxy.errors import ConsentryError
from proxy.policy.names import quote_identifier
from proxy.policy.spans import PREFIX, columns_of
from proxy.rewrite.lex import quote_literal

SHOWN: Final = 20  # findings of a kind that are told; the others are counted

# As the trigger hashes an event (migrations/013_locks.sql).
_CHAINS: Final = """
WITH linked AS (
    SELECT id, subject, app, attribute, prev_hash, hash,
           coalesce(lag(hash) OVER (PARTITION BY subject ORDER BY id), decode(repeat('00', 32), 'hex')) AS before,
           sha256(prev_hash || convert_to((jsonb_build_array(
               id::text, subject::text, app, attribute, decision, consentry.iso(at), consentry.iso(expires_at), actor,
               source, policy_version, text_version, evidence::text)
               || CASE WHEN scope IS NULL AND request IS NULL THEN '[]'::jsonb
                       ELSE jsonb_build_array(scope, request) END)::text, 'UTF8')) AS made
    FROM consentry.events)
SELECT subject::text AS subject, app, attribute,
       CASE WHEN made = hash THEN 'event ' || id || ' does not follow the one before it: one was taken away or put in'
            ELSE 'event ' || id || ' is not as it was written' END AS what,
       count(*) OVER () AS every
FROM linked WHERE made <> hash OR prev_hash <> before ORDER BY id LIMIT $1"""

_KEPT: Final = """
    SELECT subject, app, attribute, 'granted' AS says FROM consentry.state CROSS JOIN unnest(granted) AS attribute
    UNION ALL
    SELECT subject, app, attribute, 'withdrawn' FROM consentry.state CROSS JOIN unnest(withdrawn) AS attribute
    UNION ALL
    SELECT subject, app, key, 'until ' || consentry.iso(value::timestamptz)
    FROM consentry.state CROSS JOIN jsonb_each_text(expiring)"""
_DIFFERENT: Final = """
SELECT subject::text AS subject, app, attribute, count(*) OVER () AS every,
       '{kept} says ' || coalesce(k.says, 'nothing') || ', {told} ' || coalesce(t.says, 'nothing') AS what
FROM told t FULL JOIN kept k USING (subject, app, attribute)
WHERE t.says IS DISTINCT FROM k.says ORDER BY subject, app, attribute LIMIT $1"""

_STATE: Final = f"""
WITH told AS (
    SELECT DISTINCT ON (subject, app, attribute) subject, app, attribute,
           CASE WHEN decision = 'withdrawn' THEN decision
                ELSE coalesce('until ' || consentry.iso(expires_at), 'granted') END AS says
    FROM consentry.events ORDER BY subject, app, attribute, at DESC, id DESC),
kept AS ({_KEPT}){_DIFFERENT.format(kept="the state", told="the events")}"""

_SPANS: Final = f"""
WITH told AS (SELECT * FROM ({_KEPT}) AS every WHERE app = $2 AND attribute = ANY ($3)),
kept AS ({{kept}}){_DIFFERENT.format(kept="the spans", told="the state")}"""
# Of one attribute; bits and places as `get_bit` of a governed form counts them.
_OF_SPANS: Final = """
    SELECT (s.span << 7) + p.place AS subject, $2::text AS app, {name} AS attribute, x.says
    FROM {table} s CROSS JOIN generate_series(0, 127) AS p (place) CROSS JOIN LATERAL (
        SELECT 'granted' AS says WHERE s.{granted} IS NOT NULL AND get_bit(s.{granted}, p.place) = 1
        UNION ALL
        SELECT 'withdrawn' WHERE s.{withdrawn} IS NOT NULL AND get_bit(s.{withdrawn}, p.place) = 1
        UNION ALL
        SELECT 'until ' || consentry.iso(s.{expiring}[p.place + 1]) WHERE s.{expiring}[p.place + 1] IS NOT NULL) AS x"""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it must be. `part`: chain, state or spans."""

    part: str
    subject: str
    app: str
    attribute: str
    what: str


@dataclass(frozen=True, slots=True)
class Verified:
    """`events`: how many there are; `findings`: at most SHOWN of each part; `counts`: how many there are of each."""

    events: int
    findings: tuple[Finding, ...]
    counts: Mapping[str, int]


async def verify(connection: asyncpg.Connection, spans: Mapping[str, Sequence[str]]) -> Verified:
    """Reads all of the ledger, as it is at one moment. `spans`: of each app that has them, the attributes.

    Raises ConsentryError where there is no ledger, or this login may not read it.
    """
    if await installed_subject_type(connection) is None:
        raise ConsentryError("the database has no ledger yet: run `consentry consent setup`")
    findings: list[Finding] = []
    counts: dict[str, int] = {}
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            await connection.execute("SET LOCAL search_path = pg_catalog")
            events = await connection.fetchval("SELECT count(*) FROM consentry.events")
            await _look(connection, "chain", _CHAINS, (), findings, counts)
            await _look(connection, "state", _STATE, (), findings, counts)
            for app, attributes in spans.items():
                query = _SPANS.format(kept=" UNION ALL ".join(_of_spans(app, one) for one in attributes))
                await _look(connection, "spans", query, (app, list(attributes)), findings, counts)
    except asyncpg.InsufficientPrivilegeError as error:
        raise ConsentryError(f"this login may not read all of the ledger: {error}; use an owner's --dsn") from error
    return Verified(events, tuple(findings), counts)


async def _look(
    connection: asyncpg.Connection,
    part: str,
    query: str,
    values: tuple[object, ...],
    findings: list[Finding],
    counts: dict[str, int],
) -> None:
    rows = await connection.fetch(query, SHOWN, *values)
    findings += [Finding(part, row["subject"], row["app"], row["attribute"], row["what"]) for row in rows]
    counts[part] = counts.get(part, 0) + (rows[0]["every"] if rows else 0)


def _of_spans(app: str, attribute: str) -> str:
    granted, withdrawn, expiring = map(quote_identifier, columns_of(attribute))
    return _OF_SPANS.format(
        name=quote_literal(attribute),
        table=f"consentry.{quote_identifier(PREFIX + app)}",
        granted=granted,
        withdrawn=withdrawn,
        expiring=expiring,
    )
