"""Corrects what a source said of a customer, where its data lives here since a cutover: nobody else can."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg

from proxy.consent import locks
from proxy.errors import ConsentryError
from proxy.policy.mapped_sources import entry_of
from proxy.policy.rules import Rules
from proxy.profile import identity, merging, staging, values

_THEIRS = """
    FROM consentry.profile_records WHERE source = $1 AND subject = $2::text::{kind} AND "values" ? $3"""
_OTHER = '"values" -> $3 IS DISTINCT FROM $4::jsonb'
_CHANGE = f"""
    UPDATE consentry.profile_records SET "values" = jsonb_set("values", ARRAY[$3], $4::jsonb), read_at = now()
    WHERE source = $1 AND subject = $2::text::{{kind}} AND "values" ? $3 AND {_OTHER} RETURNING key"""


@dataclass(frozen=True, slots=True)
class Corrected:
    """Records of one source. `rows`: how many have another value; `held`: how many the customer has with one; `now`:
    some of those values, as far as they go into a line.
    """

    source: str
    rows: int
    held: int
    now: tuple[str, ...] = ()


def some(value: str, condition: str) -> str:
    """SQL, an aggregate: at most three of the texts `value` where `condition` holds, cut where they are long."""
    cut = f"pg_catalog.substr({value}, 1, 200)"
    listed = f"pg_catalog.array_agg(DISTINCT {cut}) FILTER (WHERE {condition} AND {value} IS NOT NULL)"
    return f"coalesce(({listed})[1:3], '{{}}')"


async def survey(
    connection: asyncpg.Connection, rules: Rules, kind: str, subject: str, attribute: str, value: str
) -> list[Corrected]:
    """What `correct` would do in all sources. Raises ConsentryError: a source's type of the attribute does not take
    the value.
    """
    found = []
    for source in await _cut_over(connection, rules, attribute):
        now = some('"values" ->> $3', _OTHER)
        counts = f"count(*) AS held, count(*) FILTER (WHERE {_OTHER}) AS rows, {now} AS now"
        query = f"SELECT {counts} {_THEIRS.format(kind=kind)}"
        row = await connection.fetchrow(query, source, subject, attribute, _json(rules, source, attribute, value))
        assert row is not None  # it counts
        if row["held"]:
            found.append(Corrected(source, row["rows"], row["held"], tuple(row["now"])))
    return found


async def correct(
    connection: asyncpg.Connection,
    rules: Rules,
    kind: str,
    subject: str,
    attribute: str,
    value: str,
    sources: Sequence[str],
) -> None:
    """Writes the value into the customer's records of these sources, as `survey` gave them; in the caller's
    transaction.
    """
    await connection.execute(locks.WRITING)
    await staging.begin(connection)
    for source in sources:
        made = _json(rules, source, attribute, value)
        rows = await connection.fetch(_CHANGE.format(kind=kind), source, subject, attribute, made)
        match = rules.sources[source].match
        for matched, field in (("email", match.email), ("phone", match.phone)) if match is not None else ():
            if field is not None and entry_of(rules.sources[source].fields[field]).attribute == attribute:
                region = match.region if match is not None else None
                await _rekey(connection, source, [row["key"] for row in rows], matched, value, region)
    await connection.execute("INSERT INTO pg_temp.profile_affected VALUES ($1)", subject)
    await merging.merge(connection, rules, kind)


async def _rekey(
    connection: asyncpg.Connection, source: str, keys: list[str], kind: str, raw: str, region: str | None
) -> None:
    """The records are found by the value that is right."""
    await connection.execute(
        "DELETE FROM consentry.profile_keys WHERE source = $1 AND key = ANY ($2) AND kind = $3", source, keys, kind
    )
    if len(raw) <= identity.LONGEST:
        await connection.execute(
            "INSERT INTO consentry.profile_keys (source, key, kind, raw, value) "
            "SELECT $1, unnest($2::text[]), $3, $4, $5",
            source,
            keys,
            kind,
            raw,
            identity.normalised(kind, raw, region),
        )


async def _cut_over(connection: asyncpg.Connection, rules: Rules, attribute: str) -> list[str]:
    """The sources that say the attribute, one value a record, and are not read any more."""
    if await connection.fetchval("SELECT pg_catalog.to_regclass('consentry.profile_sources')") is None:
        return []
    rows = await connection.fetch(
        "SELECT name FROM consentry.profile_sources WHERE cut_over_at IS NOT NULL AND name = ANY ($1) ORDER BY 1",
        [
            name
            for name, one in rules.sources.items()
            if attribute in {entry_of(f).attribute for f in one.fields.values()}
        ],
    )
    return [row["name"] for row in rows]


def _json(rules: Rules, source: str, attribute: str, value: str) -> str:
    """The value as records keep it."""
    entries = [entry_of(rule) for rule in rules.sources[source].fields.values()]
    kind = next(entry.type for entry in entries if entry.attribute == attribute)
    try:
        return values.dumps(values.KINDS[kind](value))
    except ValueError as error:
        raise ConsentryError(
            f"nothing was changed: source {source} ({kind}) does not take this value: it {error}"
        ) from error
