"""The ledger's schema in the governed database: made and brought up to date by versioned migrations, idempotent.

Source: the page consent.md; fields follow ISO/IEC TS 27560 (consent records and receipts).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources

import asyncpg

from proxy.catalog.model import Relation, Snapshot
from proxy.errors import ConsentryError
from proxy.policy.table import AppPolicy, CompiledRules, GovernedTable, Mask
from proxy.rewrite.lex import quote_identifier, quote_literal

CONTROL_ROLE = "consentry"
DEFAULT_KEY = "default"

# The ledger's subject column: one type for each family of keys. Equality across a family needs no cast.
_SUBJECT_TYPES = {
    **dict.fromkeys(("int2", "int4", "int8"), "bigint"),
    **dict.fromkeys(("text", "varchar", "bpchar", "citext", "name"), "text"),
    "uuid": "uuid",
}
_LONGEST_NAME = 63 - len("state_")  # NAMEDATALEN, less what a partition's name begins with
_ENTRY = 36  # bytes that one attribute takes in `expiring`, the widest of the three, beside its name
_INDEX_ROW = 2500  # PostgreSQL's limit is 2704 bytes a row of a btree; the subject and headers are in the difference
_SETUP_LOCK = 0x636F6E73656E7472  # "consentr": two setups at once take turns
_EVENT_COLUMNS = (
    "subject, app, attribute, decision, at, expires_at, actor, source, policy_version, text_version, evidence"
)


@dataclass(frozen=True, slots=True)
class Migration:
    version: int
    name: str
    text: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class SetupReport:
    """What `setup` did: migrations applied, partitions (by app) and keys made; nothing when nothing was to do."""

    subject_type: str
    migrations: tuple[str, ...]
    apps: tuple[str, ...]
    keys: tuple[str, ...]


@cache
def migrations() -> tuple[Migration, ...]:
    """All migrations of this version of Consentry, in order."""
    found = []
    for file in resources.files("proxy.consent").joinpath("migrations").iterdir():
        match = re.fullmatch(r"(\d+)_(\w+)\.sql", file.name)
        if match:
            found.append(Migration(int(match[1]), match[2], file.read_text("utf-8")))
    return tuple(sorted(found, key=lambda migration: migration.version))


def subject_type(rules: CompiledRules, snapshot: Snapshot) -> str:
    """The type of the ledger's subject column, from the columns that the rules call subjects: bigint, uuid or text.

    Raises ConsentryError where they are of several families, or of none of these.
    """
    seen: dict[str, str] = {}
    for table in _tables(rules):
        column = _subject_column(table, snapshot)
        if column is None:
            continue
        label, base = column
        if base not in _SUBJECT_TYPES:
            known = "smallint, integer, bigint, uuid and text"
            raise ConsentryError(f"subject key {label} has type {base}; the ledger can hold {known}")
        seen.setdefault(_SUBJECT_TYPES[base], label)
    if len(seen) > 1:
        pairs = " and ".join(f"{kind} ({label})" for kind, label in sorted(seen.items()))
        raise ConsentryError(f"the rules' subject keys are of different types: {pairs}; one ledger holds one type")
    return next(iter(seen), "bigint")


def key_names(rules: CompiledRules) -> tuple[str, ...]:
    """The keys that the rules' hash and pseudonym masks name, and the default one."""
    named = {str(mask.option("key", DEFAULT_KEY)) for mask in _masks(_tables(rules)) if _keyed(mask)}
    return tuple(sorted(named | {DEFAULT_KEY}))


async def installed_subject_type(connection: asyncpg.Connection) -> str | None:
    """The subject column's type in this database's ledger; None where there is no ledger."""
    kind = await connection.fetchval(
        "SELECT format_type(atttypid, NULL) FROM pg_catalog.pg_attribute "
        "WHERE attrelid = pg_catalog.to_regclass('consentry.events') AND attname = 'subject'"
    )
    return None if kind is None else str(kind)


async def setup(
    connection: asyncpg.Connection,
    wanted_type: str,
    apps: Collection[str],
    keys: Collection[str] = (DEFAULT_KEY,),
    attributes: Collection[str] = (),
) -> SetupReport:
    """Makes the ledger or brings it up to date, in one transaction: schema, partitions of `apps`, missing `keys`.

    `wanted_type`: as `subject_type` gives it. A ledger without events takes a new type; one with events refuses it.
    `attributes`: all that the rules have; they decide whether a row of state always fits into its index.
    Needs the right to create a schema in the database.
    Raises ConsentryError for a migration that was changed after it was applied, and for a type that cannot be changed.
    """
    if wanted_type not in set(_SUBJECT_TYPES.values()):
        raise ConsentryError(f"the ledger cannot hold subject keys of type {wanted_type}")
    too_long = [app for app in apps if len(app.encode()) > _LONGEST_NAME]
    if too_long:
        raise ConsentryError(f'the name of app "{too_long[0]}" is longer than {_LONGEST_NAME} bytes')
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _SETUP_LOCK)
        await connection.execute("SET LOCAL search_path = pg_catalog; SET LOCAL client_min_messages = warning")
        applied = await _migrate(connection, wanted_type)
        await _fit_subject_type(connection, wanted_type)
        await _fit_index(connection, apps, attributes)
        made = [app for app in sorted(apps) if await _make_partition(connection, app)]
        new_keys = [key for key in sorted(keys) if await connection.fetchval("SELECT consentry.make_key($1)", key)]
    return SetupReport(wanted_type, tuple(applied), tuple(made), tuple(new_keys))


async def _migrate(connection: asyncpg.Connection, wanted_type: str) -> list[str]:
    await connection.execute("CREATE SCHEMA IF NOT EXISTS consentry")
    done: dict[int, str] = {}
    if await connection.fetchval("SELECT to_regclass('consentry.migrations')"):
        rows = await connection.fetch("SELECT version, sha256 FROM consentry.migrations")
        done = {row["version"]: row["sha256"] for row in rows}
    newest = max((migration.version for migration in migrations()), default=0)
    if done and max(done) > newest:
        raise ConsentryError(
            f"the ledger is at version {max(done)}, made by a newer Consentry; this one knows versions up to {newest}"
        )
    applied = []
    for migration in migrations():
        if migration.version in done:
            if done[migration.version] != migration.sha256:
                raise ConsentryError(f"migration {migration.version} of the ledger is not the one that was applied")
            continue
        await connection.execute(migration.text.replace(":subject_type", wanted_type))
        await connection.execute(
            "INSERT INTO consentry.migrations (version, sha256) VALUES ($1, $2)", migration.version, migration.sha256
        )
        applied.append(f"{migration.version:03d}_{migration.name}")
    return applied


async def _fit_subject_type(connection: asyncpg.Connection, wanted: str) -> None:
    installed = await installed_subject_type(connection)
    if installed == wanted:
        return
    if await connection.fetchval("SELECT EXISTS (SELECT FROM consentry.events)"):
        raise ConsentryError(
            f"the rules' subject keys are {wanted}, and the ledger has events with keys of type {installed}"
        )
    for table in ("events", "state"):
        await connection.execute(
            f"ALTER TABLE consentry.{table} ALTER COLUMN subject TYPE {wanted} USING subject::text::{wanted}"
        )


async def _fit_index(connection: asyncpg.Connection, apps: Collection[str], attributes: Collection[str]) -> None:
    """A covering index makes the join an index-only scan; where a row could outgrow it, no decision may fail on it."""
    most = max((len(app.encode()) for app in apps), default=0) + sum(len(a.encode()) + _ENTRY for a in attributes)
    covering = most <= _INDEX_ROW
    index = "consentry.state_pkey"
    if covering == await connection.fetchval(
        "SELECT indnatts > indnkeyatts FROM pg_index WHERE indexrelid = to_regclass($1)", index
    ):
        return
    included = " INCLUDE (granted, withdrawn, expiring)" if covering else ""
    await connection.execute(
        "ALTER TABLE consentry.state DROP CONSTRAINT state_pkey, "
        f"ADD CONSTRAINT state_pkey PRIMARY KEY (subject, app){included}"
    )


async def _make_partition(connection: asyncpg.Connection, app: str) -> bool:
    name = f"consentry.{quote_identifier(f'state_{app}')}"
    if await connection.fetchval("SELECT to_regclass($1)", name):
        return False
    await connection.execute(f"CREATE TABLE {name} PARTITION OF consentry.state FOR VALUES IN ({quote_literal(app)})")
    await connection.execute(f"REVOKE ALL ON {name} FROM PUBLIC")
    return True


def grants(rules: CompiledRules) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The rights that the rules need: (role, statements without a final semicolon), the control role first.

    An app's logins get no more than its own governed forms use: its own consent state, the functions of its masks,
    the key columns of tables that a subject is reached through. Rights on the governed tables are the DBA's own affair.
    """
    control = quote_identifier(CONTROL_ROLE)
    given: list[tuple[str, tuple[str, ...]]] = [
        (
            CONTROL_ROLE,
            (
                f"GRANT USAGE ON SCHEMA consentry TO {control}",
                f"GRANT SELECT ON consentry.migrations, consentry.events, consentry.state TO {control}",
                f"GRANT INSERT ({_EVENT_COLUMNS}) ON consentry.events TO {control}",
            ),
        )
    ]
    for app in rules.apps.values():
        if app.trusted:
            continue
        needed = tuple(_app_rights(app))
        for login in app.logins if needed else ():
            role = quote_identifier(login)
            given.append((login, tuple(f"GRANT {right} TO {role}" for right in needed)))
    return tuple(given)


def _app_rights(app: AppPolicy) -> Iterator[str]:
    tables = [table for table in app.tables.values() if not table.plain]
    kinds = {mask.kind for mask in _masks(tables)}
    asking = [table for table in tables if _asks_consent(table)]
    keyed, emptied = any(_keyed(mask) for mask in _masks(tables)), "keys" in kinds
    if asking or keyed or emptied:
        yield "USAGE ON SCHEMA consentry"
    if asking:
        yield f"SELECT ON consentry.{quote_identifier(f'state_{app.name}')}"
    if keyed:
        yield "EXECUTE ON FUNCTION consentry.keyed_hash(text, text)"
    if emptied:
        yield "EXECUTE ON FUNCTION consentry.json_keys(jsonb)"
    columns: dict[tuple[str, str], set[str]] = {}
    for table in asking:
        steps = table.subject.steps if table.subject else ()
        for number, step in enumerate(steps):
            after = steps[number + 1].from_column if number + 1 < len(steps) else _subject_name(table)
            columns.setdefault((step.schema, step.table), set()).update((step.to_column, after))
    for (schema, name), used in sorted(columns.items()):
        listed = ", ".join(quote_identifier(column) for column in sorted(used))
        yield f"SELECT ({listed}) ON {quote_identifier(schema)}.{quote_identifier(name)}"


def _asks_consent(table: GovernedTable) -> bool:
    return any(row.consent for row in table.rows) or any(c.treatment.consent for c in table.columns)


def _keyed(mask: Mask) -> bool:
    return mask.kind in ("hash", "pseudonym")


def _masks(tables: Iterable[GovernedTable]) -> Iterator[Mask]:
    for table in tables:
        for column in table.columns:
            if column.treatment.visible and column.treatment.mask is not None:
                yield column.treatment.mask


def _tables(rules: CompiledRules) -> Iterator[GovernedTable]:
    for app in rules.apps.values():
        yield from app.tables.values()


def _subject_name(table: GovernedTable) -> str:
    return table.subject.column if table.subject else ""


def _subject_column(table: GovernedTable, snapshot: Snapshot) -> tuple[str, str] | None:
    """(schema.table.column, base type) of the column that holds the table's subject key."""
    if table.subject is None:
        return None
    last = table.subject.steps[-1] if table.subject.steps else None
    key = (last.schema, last.table) if last else table.key
    relation: Relation | None = snapshot.relations.get(key)
    column = relation.column(table.subject.column) if relation else None
    return (f"{key[0]}.{key[1]}.{table.subject.column}", column.base_type) if column else None
