"""The database's own customers, as far as records are matched with them: addresses and numbers, normalised; and what
else the rules compare them by."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import asyncpg

from proxy.errors import ConsentryError
from proxy.policy.mapped_sources import entry_of
from proxy.policy.names import quote_identifier, split_column
from proxy.policy.rules import Rules
from proxy.policy.table import CompiledRules
from proxy.profile.identity import LONGEST, normalised, several
from proxy.rewrite.lex import quote_literal

Known = tuple[str, str, str]  # a customer's key; email or phone; that, normalised
Raw = tuple[str, str, str]  # the same, as the table has it

_HINT: Final = "the grants that matching needs are printed by `consentry consent setup`"

_UNKNOWN: Final = """
    SELECT o.key, o.kind, o.raw FROM {own} AS o WHERE NOT EXISTS (
        SELECT FROM consentry.profile_keys k WHERE k.source = '' AND (k.key, k.kind, k.raw) = (o.key, o.kind, o.raw))"""


@dataclass(frozen=True, slots=True)
class _Column:
    """A column that says something of customers, in a table that names them by a column of its own.

    `kind`: email or phone; the attribute, where records are compared by it.
    """

    schema: str
    table: str
    subject: str
    column: str
    kind: str


async def read(connection: asyncpg.Connection, rules: Rules, compiled: CompiledRules, *, anew: bool = False) -> None:
    """Brings consentry.profile_keys up to date with the database's own tables; in the caller's transaction. `anew`:
    whatever it has of them.
    """
    try:
        async with connection.transaction():
            await connection.execute(f"CREATE TEMP TABLE profile_own ON COMMIT DROP AS {_query(rules, compiled)}")
    except asyncpg.InsufficientPrivilegeError as error:
        raise ConsentryError(f"customers cannot be matched: {error}; {_HINT}") from error
    await connection.execute("CREATE INDEX ON pg_temp.profile_own (key); ANALYZE pg_temp.profile_own")
    still = """EXISTS (
            SELECT FROM pg_temp.profile_own o WHERE (o.key, o.kind, o.raw) = (k.key, k.kind, k.raw))"""
    kept = "false" if anew else still
    await connection.execute(f"DELETE FROM consentry.profile_keys k WHERE source = '' AND NOT {kept}")
    unknown = await connection.fetch(_UNKNOWN.format(own="pg_temp.profile_own"))
    await add(connection, rules, [tuple(row) for row in unknown])


async def unknown(connection: asyncpg.Connection, rules: Rules, compiled: CompiledRules, at_most: int) -> list[Raw]:
    """What the database's own tables say of customers and consentry.profile_keys does not have. Raises as `read`."""
    query = _UNKNOWN.format(own=f"({_query(rules, compiled)})")
    try:
        return [tuple(row) for row in await connection.fetch(f"{query} LIMIT {at_most}")]
    except asyncpg.InsufficientPrivilegeError as error:
        raise ConsentryError(f"customers cannot be matched: {error}; {_HINT}") from error


async def of_customer(
    connection: asyncpg.Connection, rules: Rules, compiled: CompiledRules, subject: str, kind: str
) -> list[Known]:
    """The addresses and numbers that the database's own tables have of one customer, as they are now; each of a field
    with several.

    `kind`: the type of the customers' keys. Raises as `read`.
    """
    query = _query(rules, compiled, f"$1::text::{kind}")
    try:
        rows = await connection.fetch(f"SELECT * FROM ({query}) AS o WHERE key = $1::text::{kind}::text", subject)
    except asyncpg.InsufficientPrivilegeError as error:
        raise ConsentryError(f"{error}; {_HINT}") from error
    return [
        (key, kind, value)
        for key, kind, _, found, several in _normalised(rules, [tuple(row) for row in rows])
        for value in (found, *several)
        if value is not None
    ]


def there(rules: Rules, compiled: CompiledRules, subject: str) -> str:
    """SQL: whether the database has the customer whose key `subject`, SQL too, is: in the table whose key the profile
    has, or in one that is matched.
    """
    tables = {
        (one.schema, one.table, one.subject) for one in _columns({**_matched(rules), **_compared(rules)}, compiled)
    }
    if rules.profile is not None:
        tables.add(split_column(rules.profile.subject))
    found = " OR ".join(
        f"EXISTS (SELECT FROM {quote_identifier(schema)}.{quote_identifier(table)} AS own "
        f"WHERE own.{quote_identifier(column)} = {subject})"
        for schema, table, column in sorted(tables)
    )
    return f"({found or 'false'})"


async def is_there(
    connection: asyncpg.Connection, rules: Rules, compiled: CompiledRules, subject: str, kind: str
) -> bool:
    """The same of one customer, asked. `kind`: the type of the customers' keys. Raises as `read`."""
    try:
        query = f"SELECT {there(rules, compiled, f'$1::text::{kind}')}, $1::text"
        return bool(await connection.fetchval(query, subject))
    except asyncpg.InsufficientPrivilegeError as error:
        raise ConsentryError(f"{error}; {_HINT}") from error


async def add(connection: asyncpg.Connection, rules: Rules, rows: Iterable[Raw]) -> list[Known]:
    """Takes into consentry.profile_keys what it does not have; in the caller's transaction, and with the lock of those
    who write. What it comes to, but for what is no address or number.
    """
    records = _normalised(rules, rows)
    if not records:
        return []
    await connection.execute(
        "INSERT INTO consentry.profile_keys (source, key, kind, raw, value, several) "
        "SELECT '', key, kind, raw, value, ARRAY(SELECT jsonb_array_elements_text(several)) "
        "FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::jsonb[]) "
        "AS found (key, kind, raw, value, several) "
        "ON CONFLICT DO NOTHING",
        *([one[place] for one in records] for place in range(4)),
        [json.dumps(one[4]) for one in records],
    )
    return [(key, kind, value) for key, kind, _, value, _ in records if value is not None]


def rights(rules: Rules, compiled: CompiledRules) -> tuple[str, ...]:
    """What `read` needs, as GRANT takes it."""
    return tuple(
        f"SELECT ({quote_identifier(one.subject)}, {quote_identifier(one.column)}) "
        f"ON {quote_identifier(one.schema)}.{quote_identifier(one.table)}"
        for one in dict.fromkeys(_columns({**_matched(rules), **_compared(rules)}, compiled))
    )


async def values(
    connection: asyncpg.Connection, compiled: CompiledRules, attributes: Collection[str]
) -> dict[str, dict[str, str | None]]:
    """What the database's own tables say of each customer of these attributes; one of several values."""
    found: dict[str, dict[str, str | None]] = {}
    for one in _columns({name: {name} for name in attributes}, compiled):
        subject, column = quote_identifier(one.subject), quote_identifier(one.column)
        relation = f"{quote_identifier(one.schema)}.{quote_identifier(one.table)}"
        try:
            where = f"{relation} WHERE {subject} IS NOT NULL"
            rows = await connection.fetch(f"SELECT {subject}::text, {column}::text FROM {where}")
        except asyncpg.InsufficientPrivilegeError as error:
            raise ConsentryError(f"customers cannot be compared: {error}; {_HINT}") from error
        for key, value in rows:
            known = found.setdefault(key, {})
            known[one.kind] = known.get(one.kind) or value
    return found


def _normalised(rules: Rules, rows: Iterable[Raw]) -> list[tuple[str, str, str, str | None, list[str]]]:
    """(key, kind, raw, normalised, and others that are in it). The country of numbers without a + is that of the
    sources', if these have one.
    """
    regions = {source.match.region for source in rules.sources.values() if source.match and source.match.region}
    region = next(iter(regions), None) if len(regions) == 1 else None
    return [(key, kind, raw, normalised(kind, raw, region), several(kind, raw, region)) for key, kind, raw in rows]


def _query(rules: Rules, compiled: CompiledRules, subject: str | None = None) -> str:
    """What the tables say of all customers, or of the one whose key this SQL is."""
    selects = [
        f"SELECT {quote_identifier(one.subject)}::text AS key, {quote_literal(one.kind)}::text AS kind, "
        f"{quote_identifier(one.column)}::text AS raw "
        f"FROM {quote_identifier(one.schema)}.{quote_identifier(one.table)}"
        + (f" WHERE {quote_identifier(one.subject)} = {subject}" if subject is not None else "")
        for one in _columns(_matched(rules), compiled)
    ] or ["SELECT NULL::text AS key, NULL::text AS kind, NULL::text AS raw"]
    return f"""
        SELECT DISTINCT key, kind, raw FROM ({" UNION ALL ".join(selects)}) AS own
        WHERE key IS NOT NULL AND raw <> '' AND length(raw) <= {LONGEST}"""


def _compared(rules: Rules) -> dict[str, set[str]]:
    chosen = [one.match.likely.by for one in rules.sources.values() if one.match and one.match.likely]
    return {name: {name} for names in chosen for name in names}


def _matched(rules: Rules) -> dict[str, set[str]]:
    wanted: dict[str, set[str]] = {"email": set(), "phone": set()}
    for source in rules.sources.values():
        for kind, attributes in wanted.items():
            field = getattr(source.match, kind, None)
            if field is not None:
                attributes.add(entry_of(source.fields[field]).attribute)
    return wanted


def _columns(wanted: Mapping[str, set[str]], compiled: CompiledRules) -> Iterator[_Column]:
    for table in compiled.subject_tables:
        if table.subject.steps:
            continue
        for name, called in table.columns:
            for kind, attributes in wanted.items():
                if attributes & set(called):
                    yield _Column(table.schema, table.name, table.subject.column, name, kind)
