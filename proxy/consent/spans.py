"""The tables `consentry.spans_<app>`: what the state says, by spans of 128 subject keys, where keys are whole numbers.

A row says of the keys from `span << 7` on, attribute by attribute, who granted it for good and who withdrew it (a bit
each, the first key's in the first byte's lowest place), and until when others grant it. A trigger makes it from the
state in the transaction that adds the event. The columns that there are decide whether governed forms join spans.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence

import asyncpg

from proxy.consent.ledger import installed_subject_type
from proxy.errors import ConsentryError
from proxy.policy.names import quote_identifier
from proxy.policy.spans import MOST, PREFIX, columns_of, kept_attributes
from proxy.policy.table import CompiledRules

_TYPES = ("bytea", "bytea", "timestamptz[]")  # of `columns_of`

_TRIGGER = """
CREATE TRIGGER after_events AFTER INSERT ON consentry.events REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION consentry.after_events();
ALTER TABLE consentry.events ENABLE ALWAYS TRIGGER after_events"""

_LOCK = "LOCK TABLE consentry.events IN SHARE ROW EXCLUSIVE MODE"

_HAS_TRIGGER = """
SELECT EXISTS (SELECT FROM pg_catalog.pg_trigger
               WHERE tgrelid = 'consentry.events'::regclass AND tgname = 'after_events')"""

_COLUMNS = """
SELECT attname::text FROM pg_catalog.pg_attribute
WHERE attrelid = pg_catalog.to_regclass($1) AND attnum > 0 AND NOT attisdropped"""

_READERS = """
SELECT pg_catalog.pg_get_userbyid(a.grantee)::text
FROM pg_catalog.pg_class c CROSS JOIN pg_catalog.aclexplode(c.relacl) a
WHERE c.oid = pg_catalog.to_regclass($1) AND a.privilege_type = 'SELECT' AND a.grantee NOT IN (0, c.relowner)"""


async def follow(connection: asyncpg.Connection, rules: CompiledRules) -> tuple[str, ...]:
    """Gives each app the spans of what it asks consent for, in one transaction: what was made, in words.

    After `ledger.setup`. Filling takes a second or two for each million customers and attribute, in which decisions
    wait, and reads of an app that had spans before. Nothing is done where keys are no whole numbers.
    Raises ConsentryError where there is something to do, and this login is not the ledger's owner.
    """
    if await installed_subject_type(connection) != "bigint":
        return ()
    try:
        async with connection.transaction():
            return tuple([made async for made in _follow(connection, rules)])
    except asyncpg.InsufficientPrivilegeError as error:
        raise ConsentryError(
            f"this login cannot give apps spans of their consents: {error}; use --dsn with an owner's"
        ) from error


async def missing(connection: asyncpg.Connection, rules: CompiledRules) -> tuple[str, ...]:
    """What `follow` would make, by app: its attributes."""
    if await installed_subject_type(connection) != "bigint":
        return ()
    found = [(name, await _missing(connection, name, kept_attributes(app))) for name, app in rules.apps.items()]
    return tuple(_words(name, attributes) for name, attributes in found if attributes)


async def rebuild(connection: asyncpg.Connection, spans: Mapping[str, Sequence[str]]) -> None:
    """Makes all spans anew from the state: of each app the attributes that it has there. Decisions wait.

    Raises ConsentryError where this login is not the ledger's owner.
    """
    try:
        async with connection.transaction():
            for app, attributes in spans.items():
                await refresh(connection, app, attributes)
    except asyncpg.InsufficientPrivilegeError as error:
        raise ConsentryError(f"this login cannot make spans anew: {error}; use --dsn with an owner's") from error


async def refresh(connection: asyncpg.Connection, app: str, attributes: Sequence[str]) -> None:
    """Makes these attributes of all the app's spans anew from the state."""
    await connection.execute(_LOCK)
    spans = f"consentry.{quote_identifier(PREFIX + app)}"
    numbers = f"SELECT subject >> 7 FROM consentry.state WHERE app = $1 UNION SELECT span FROM {spans}"
    await connection.execute(f"SELECT consentry.refresh_spans($1, $2, ARRAY({numbers}))", app, list(attributes))


async def _follow(connection: asyncpg.Connection, rules: CompiledRules) -> AsyncIterator[str]:
    await connection.execute("SET LOCAL search_path = pg_catalog; SET LOCAL client_min_messages = warning")
    for name, app in rules.apps.items():
        wanted = kept_attributes(app)
        if not await _missing(connection, name, wanted):
            continue
        await connection.execute(_LOCK)
        lacking = await _missing(connection, name, wanted)  # another setup may have been here first
        if lacking:
            if not await connection.fetchval(_HAS_TRIGGER):
                await connection.execute(_TRIGGER)
            await _make(connection, name)
            await _add(connection, name, lacking)
            yield _words(name, lacking)


def _words(app: str, attributes: Sequence[str]) -> str:
    return f"spans of app {app}: {', '.join(attributes)}"


async def _missing(connection: asyncpg.Connection, app: str, wanted: Sequence[str]) -> list[str]:
    there = {row[0] for row in await connection.fetch(_COLUMNS, f"consentry.{quote_identifier(PREFIX + app)}")}
    missing = [attribute for attribute in wanted if not there.issuperset(columns_of(attribute))]
    return missing[: MOST - len(there) // len(_TYPES)]


async def _make(connection: asyncpg.Connection, app: str) -> None:
    """The app's table, where it has none, without attributes; for whoever may read its state."""
    name = f"consentry.{quote_identifier(PREFIX + app)}"
    if await connection.fetchval("SELECT pg_catalog.to_regclass($1) IS NOT NULL", name):
        return
    await connection.execute(
        f"CREATE TABLE {name} (span bigint PRIMARY KEY) WITH (fillfactor = 70, toast_tuple_target = 8160)"
    )
    await connection.execute(f"REVOKE ALL ON {name} FROM PUBLIC")
    for row in await connection.fetch(_READERS, f"consentry.{quote_identifier('state_' + app)}"):
        await connection.execute(f"GRANT SELECT ON {name} TO {quote_identifier(row[0])}")


async def _add(connection: asyncpg.Connection, app: str, attributes: Sequence[str]) -> None:
    added = ", ".join(
        f"ADD COLUMN IF NOT EXISTS {quote_identifier(column)} {kind}"
        for attribute in attributes
        for column, kind in zip(columns_of(attribute), _TYPES, strict=True)
    )
    name = f"consentry.{quote_identifier(PREFIX + app)}"
    await connection.execute(f"ALTER TABLE {name} {added}")
    await refresh(connection, app, attributes)
    await connection.execute(f"ANALYZE {name}")
