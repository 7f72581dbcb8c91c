"""The ledger's schema in the governed database: made and brought up to date by versioned migrations, idempotent.

Source: the page consent.md; fields follow ISO/IEC TS 27560 (consent records and receipts).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Final

import asyncpg

from proxy.consent import preferences
from proxy.consent.own_view import OwnView
from proxy.errors import ConsentryError
from proxy.policy.names import join_dotted, quote_identifier
from proxy.policy.spans import PREFIX
from proxy.rewrite.lex import quote_literal

DEFAULT_KEY = "default"
_BUILT_IN = (preferences.view_of(preferences.BUILT_IN),)

SUBJECT_TYPES = ("bigint", "text", "uuid")
_WITH_SUBJECT = (
    *("events", "state", "restrictions", "requests"),
    *("profile_records", "profile_decisions", "profile_likely", "profile_data"),
)
_LONGEST_NAME = 63 - len("state_")  # NAMEDATALEN, less what a partition's name begins with
_ENTRY = 36  # bytes that one attribute takes in `expiring`, the widest of the three, beside its name
_INDEX_ROW = 2500  # PostgreSQL's limit is 2704 bytes a row of a btree; the subject and headers are in the difference
_SETUP_LOCK = 0x636F6E73656E7472  # "consentr": two setups at once take turns


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
    """What `setup` did: migrations applied, partitions (by app) and keys made; nothing when nothing was to do.

    `watched`: event triggers tell gateways of changes of the catalog; without them gateways look for themselves.
    `views`: those that were made, or made anew.
    """

    subject_type: str
    migrations: tuple[str, ...]
    apps: tuple[str, ...]
    keys: tuple[str, ...]
    watched: bool = True
    views: tuple[str, ...] = ()


@cache
def migrations() -> tuple[Migration, ...]:
    """All migrations of this version of Consentry, in order."""
    found = []
    for file in resources.files("proxy.consent").joinpath("migrations").iterdir():
        match = re.fullmatch(r"(\d+)_(\w+)\.sql", file.name)
        if match:
            found.append(Migration(int(match[1]), match[2], file.read_text("utf-8")))
    return tuple(sorted(found, key=lambda migration: migration.version))


# What PostgreSQL says where something of the ledger is not there.
LACKING: Final = (
    asyncpg.UndefinedTableError,
    asyncpg.InvalidSchemaNameError,
    asyncpg.UndefinedColumnError,
    asyncpg.UndefinedFunctionError,
)


async def is_behind(connection: asyncpg.Connection) -> bool:
    """Whether migrations of this version have not been applied, or there is no ledger."""
    if not await connection.fetchval("SELECT to_regclass('consentry.migrations')"):
        return True
    applied = await connection.fetchval("SELECT max(version) FROM consentry.migrations")
    return applied is None or applied < max(migration.version for migration in migrations())


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
    views: Sequence[OwnView] = _BUILT_IN,
) -> SetupReport:
    """Makes the ledger or brings it up to date, in one transaction: schema, partitions of `apps`, missing `keys`.

    `wanted_type`: as `subject_type` gives it. A ledger without events takes a new type; one with events refuses it.
    `attributes`: all that the rules have; they decide whether a row of state always fits into its index.
    `views`: those that follow the rules (see `needs.own_views`).
    Needs the right to create a schema in the database.
    Raises ConsentryError for a migration that was changed after it was applied, for a type that cannot be changed, and
    where the login may not do what is to do; where nothing is, Consentry's own role will do.
    """
    if wanted_type not in SUBJECT_TYPES:
        raise ConsentryError(f"the ledger cannot hold subject keys of type {wanted_type}")
    too_long = [app for app in apps if len(app.encode()) > _LONGEST_NAME]
    if too_long:
        raise ConsentryError(f'the name of app "{too_long[0]}" is longer than {_LONGEST_NAME} bytes')
    async with _as_owner(), connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _SETUP_LOCK)
        await connection.execute("SET LOCAL search_path = pg_catalog; SET LOCAL client_min_messages = warning")
        applied = await _migrate(connection, wanted_type)
        await _fit_subject_type(connection, wanted_type, views)
        await _fit_index(connection, apps, attributes)
        made = [app for app in sorted(apps) if await _make_partition(connection, app)]
        viewed = [join_dotted(*view.key) for view in views if await view.make(connection)]
        known = {row["name"] for row in await connection.fetch("SELECT name FROM consentry.keys")}
        new_keys = sorted(set(keys) - known)
        for key in new_keys:
            await connection.execute("SELECT consentry.make_key($1)", key)
        watched = await _watch_catalog(connection)
    return SetupReport(wanted_type, tuple(applied), tuple(made), tuple(new_keys), watched, tuple(viewed))


@asynccontextmanager
async def _as_owner() -> AsyncIterator[None]:
    try:
        yield
    except asyncpg.InsufficientPrivilegeError as error:
        raise ConsentryError(
            f"this login cannot bring the ledger up to date: {error}; use --dsn with an owner's"
        ) from error


async def _migrate(connection: asyncpg.Connection, wanted_type: str) -> list[str]:
    if not await connection.fetchval("SELECT to_regnamespace('consentry')"):
        await connection.execute("CREATE SCHEMA consentry")
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
    if applied:  # a function that is made is everybody's
        for kind in ("TABLES", "SEQUENCES", "FUNCTIONS"):
            await connection.execute(f"REVOKE ALL ON ALL {kind} IN SCHEMA consentry FROM PUBLIC")
    return applied


async def _watch_catalog(connection: asyncpg.Connection) -> bool:
    """Makes the event triggers of consentry.catalog_changed() where the role may; whether they are there."""
    there = {r["evtname"] for r in await connection.fetch("SELECT evtname::text FROM pg_catalog.pg_event_trigger")}
    for name, event in (("consentry_changes", "ddl_command_end"), ("consentry_drops", "sql_drop")):
        if name in there:
            continue
        try:
            async with connection.transaction():
                await connection.execute(
                    f"CREATE EVENT TRIGGER {name} ON {event} EXECUTE FUNCTION consentry.catalog_changed()"
                )
        except asyncpg.InsufficientPrivilegeError:
            return False
    return True


async def _fit_subject_type(connection: asyncpg.Connection, wanted: str, views: Sequence[OwnView]) -> None:
    installed = await installed_subject_type(connection)
    if installed == wanted:
        return
    if await connection.fetchval("SELECT EXISTS (SELECT FROM consentry.events)"):
        raise ConsentryError(
            f"the rules' subject keys are {wanted}, and the ledger has events with keys of type {installed}"
        )
    if await connection.fetchval("SELECT EXISTS (SELECT FROM consentry.profile_records)"):
        records = f"the profile has records of sources with keys of type {installed}"
        raise ConsentryError(f"the rules' subject keys are {wanted}, and {records}")
    await _drop_spans(connection)
    for view in views:
        await view.drop(connection)
    values = await connection.fetchval("SELECT pg_get_viewdef('consentry.profile_values')")
    await connection.execute("DROP VIEW consentry.profile_values")
    for table in _WITH_SUBJECT:
        await connection.execute(
            f"ALTER TABLE consentry.{table} ALTER COLUMN subject TYPE {wanted} USING subject::text::{wanted}"
        )
    await connection.execute(
        f"ALTER TABLE consentry.profile_records ALTER COLUMN formerly TYPE {wanted} USING NULL, "
        "ALTER COLUMN candidates DROP DEFAULT, "
        f"ALTER COLUMN candidates TYPE {wanted}[] USING '{{}}', ALTER COLUMN candidates SET DEFAULT '{{}}'"
    )
    await connection.execute(f"CREATE VIEW consentry.profile_values AS {values}")


async def _drop_spans(connection: asyncpg.Connection) -> None:
    """They are of whole numbers only (proxy/consent/spans.py)."""
    await connection.execute("DROP TRIGGER IF EXISTS after_events ON consentry.events")
    tables = await connection.fetch(
        "SELECT relname::text FROM pg_class WHERE relnamespace = 'consentry'::regnamespace AND relkind = 'r' "
        "AND starts_with(relname::text, $1)",
        PREFIX,
    )
    for row in tables:
        await connection.execute(f"DROP TABLE consentry.{quote_identifier(row['relname'])}")


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
