"""Compares the records that fit nobody exactly with all customers, and notes whose they may be: `profile match`.

Nothing is merged but where the rules have a threshold, and one customer alone reaches it; the others wait for review.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass

import asyncpg

from proxy.consent import locks
from proxy.consent.service import subject_type
from proxy.errors import ConsentryError
from proxy.policy.names import quote_identifier
from proxy.policy.rules import Rules
from proxy.policy.sources import Likely
from proxy.policy.table import CompiledRules
from proxy.profile import matching, merging, own, staging, tombstones
from proxy.profile.likely import Likeness, NothingToLearnError, likely


@dataclass(frozen=True, slots=True)
class Suggested:
    """What became of one source's waiting records: how many were compared, matched, got candidates.

    `unlearnt`: why nothing came of it; what was found before stands.
    """

    source: str
    compared: int
    matched: int
    candidates: int
    unlearnt: str | None = None


async def suggest(connection: asyncpg.Connection, rules: Rules, compiled: CompiledRules) -> list[Suggested]:
    """Does it for each source with `match.likely`. Raises ConsentryError: no source has it, splink is missing."""
    chosen = {name: one.match.likely for name, one in rules.sources.items() if one.match and one.match.likely}
    if not chosen:
        raise ConsentryError("no source of the rules has `match: {likely: ...}`: records are matched exactly only")
    kind = await subject_type(connection)
    return [await _one(connection, rules, compiled, kind, name, how) for name, how in chosen.items()]


async def _one(
    connection: asyncpg.Connection, rules: Rules, compiled: CompiledRules, kind: str, source: str, how: Likely
) -> Suggested:
    rows = await connection.fetch(
        'SELECT key, "values" FROM consentry.profile_records WHERE source = $1 AND subject IS NULL', source
    )
    records = {row["key"]: {name: _text(value) for name, value in json.loads(row["values"]).items()} for row in rows}
    customers = await own.values(connection, compiled, how.by)
    columns = ", ".join(f"{quote_identifier(name)}::text" for name in how.by)
    for subject, *values in await connection.fetch(f"SELECT subject::text, {columns} FROM consentry.profile_data"):
        known = customers.setdefault(subject, {})
        for name, value in zip(how.by, values, strict=True):
            known[name] = known.get(name) or value
    try:
        pairs = likely(records, customers, how.by)
    except NothingToLearnError as error:
        return Suggested(source, len(records), 0, 0, str(error))
    except ConsentryError as error:
        raise ConsentryError(f'source "{source}": {error}') from error
    async with connection.transaction():
        await connection.execute(locks.WRITING)
        await staging.begin(connection)
        await connection.execute(
            "DELETE FROM consentry.profile_likely WHERE source = $1 AND key = ANY ($2)", source, list(records)
        )
        await connection.executemany(
            f"INSERT INTO consentry.profile_likely VALUES ($1, $2, $3::text::{kind}, $4, $5)",
            [(source, one.record, one.customer, one.probability, sure) for one, sure in _judged(pairs, how.threshold)],
        )
        await tombstones.forget_likely(connection, source)  # who was erased meanwhile
        await matching.touch_waiting(connection)
        await matching.match(connection, kind, ())
        await merging.merge(connection, rules, kind)
        row = await connection.fetchrow(
            "SELECT count(*) FILTER (WHERE subject IS NOT NULL) AS matched, "
            "count(*) FILTER (WHERE subject IS NULL AND candidates <> '{}') AS candidates "
            "FROM consentry.profile_records WHERE source = $1 AND key = ANY ($2)",
            source,
            list(records),
        )
    assert row is not None
    return Suggested(source, len(records), row["matched"], row["candidates"])


def _judged(pairs: list[Likeness], threshold: float | None) -> list[tuple[Likeness, bool]]:
    """Each pair, and whether it alone of its record's reaches the threshold."""
    above: dict[str, int] = defaultdict(int)
    for one in pairs:
        above[one.record] += threshold is not None and one.probability >= threshold
    return [(one, threshold is not None and one.probability >= threshold and above[one.record] == 1) for one in pairs]


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
