"""What the rules need of the database: the type of the ledger's subjects, the masks' keys, the roles' rights."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

import asyncpg

from proxy.catalog.model import Snapshot
from proxy.consent import preferences
from proxy.consent.ledger import DEFAULT_KEY
from proxy.consent.own_view import OwnView
from proxy.errors import ConsentryError
from proxy.policy.expressions import named_relations
from proxy.policy.names import quote_identifier, quote_relation
from proxy.policy.others import KEYS, table_of
from proxy.policy.preferences import OWN_SCHEMA
from proxy.policy.spans import PREFIX
from proxy.policy.table import AppPolicy, CompiledRules, ConsentStore, GovernedTable, Mask, ProfileMap
from proxy.profile import relation

CONTROL_ROLE = "consentry"

# The ledger's subject column: one type for each family of keys. Equality across a family needs no cast.
_SUBJECT_TYPES = {
    **dict.fromkeys(("int2", "int4", "int8"), "bigint"),
    **dict.fromkeys(("text", "varchar", "bpchar", "citext", "name"), "text"),
    "uuid": "uuid",
}

_PROFILE_TABLES = tuple(
    f"consentry.profile_{name}"
    for name in ("sources", "records", "keys", "decisions", "likely", "precedence", "data", "others", "tombstones")
)
_EVENT_COLUMNS = (
    "subject, app, attribute, decision, at, expires_at, actor, source, policy_version, text_version, evidence, "
    "scope, request"
)

_REQUEST_COLUMNS = "subject, value, status, decided_at, decided_by, reason, receipt"


def subject_type(rules: CompiledRules, snapshot: Snapshot) -> str:
    """The type of the ledger's subject column, from the columns that the rules call subjects: bigint, uuid or text.

    Raises ConsentryError where they are of several families, or of none of these.
    """
    seen: dict[str, str] = {}
    for table in _tables(rules):
        column = _subject_column(table, snapshot) if table.schema != OWN_SCHEMA else None
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


def own_views(rules: CompiledRules, snapshot: Snapshot) -> tuple[OwnView, ...]:
    """The views of Consentry's own that the rules need."""
    profile = relation.view(rules, snapshot)
    return (preferences.view(rules), *([profile] if profile is not None else []))


def key_names(rules: CompiledRules) -> tuple[str, ...]:
    """The keys that the rules' hash and pseudonym masks name, and the default one."""
    named = {str(mask.option("key", DEFAULT_KEY)) for mask in _masks(_tables(rules)) if _keyed(mask)}
    return tuple(sorted(named | {DEFAULT_KEY}))


def grants(rules: CompiledRules, also: Sequence[str] = ()) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The rights that the rules need: (role, statements without a final semicolon), the control role first.

    An app's logins get no more than its own governed forms use: its own consent state, or the columns of a mapped
    consent table that are asked, the functions of its masks, the key columns of tables that a subject is reached
    through, the tables that a row policy's `where` reads. Rights on the governed tables are the DBA's own affair, but
    for those that the control role is to have: `also`, as GRANT takes them.
    """
    control = quote_identifier(CONTROL_ROLE)
    own = [
        f"GRANT USAGE ON SCHEMA consentry TO {control}",
        f"GRANT SELECT ON consentry.migrations, consentry.events, consentry.state TO {control}",
        f"GRANT SELECT (name) ON consentry.keys TO {control}",
        f"GRANT INSERT ({_EVENT_COLUMNS}) ON consentry.events TO {control}",
        f"GRANT SELECT ON consentry.imports TO {control}",
        f"GRANT INSERT (key, sha256, records, events, source, policy_version) ON consentry.imports TO {control}",
        f"GRANT EXECUTE ON FUNCTION consentry.begin_bulk(), consentry.lock_key(text) TO {control}",
        f"GRANT SELECT, INSERT ON consentry.checkpoints TO {control}",
        f"GRANT SELECT ON consentry.tokens TO {control}",
        f"GRANT INSERT (name, scopes, sha256, expires_at, login) ON consentry.tokens TO {control}",
        f"GRANT UPDATE (revoked_at) ON consentry.tokens TO {control}",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON {', '.join(_PROFILE_TABLES)} TO {control}",
        f"GRANT SELECT ON consentry.profile_values TO {control}",
        f"GRANT USAGE ON SEQUENCE consentry.profile_people TO {control}",
        f"GRANT EXECUTE ON FUNCTION consentry.profile_tombstone(text, text, text) TO {control}",
        f"GRANT SELECT ON consentry.receipts, consentry.restrictions, consentry.requests TO {control}",
        f"GRANT INSERT (id, receipt) ON consentry.receipts TO {control}",
        f"GRANT INSERT (subject), DELETE ON consentry.restrictions TO {control}",
        f"GRANT INSERT (subject, kind, attribute, value, source) ON consentry.requests TO {control}",
        f"GRANT UPDATE ({_REQUEST_COLUMNS}) ON consentry.requests TO {control}",
    ]
    if rules.store is not None:
        own += [f"GRANT {right} TO {control}" for right in _store_rights(rules.store)]
    profile = rules.profile
    if profile is not None and profile.others:  # a sync looks which customers the table does not have
        own.append(f"GRANT SELECT ({quote_identifier(profile.key)}) ON {quote_relation(profile.start)} TO {control}")
    own += [f"GRANT {right} TO {control}" for right in also]
    given: list[tuple[str, tuple[str, ...]]] = [(CONTROL_ROLE, tuple(own))]
    for app in rules.apps.values():
        if app.trusted:
            continue
        needed = tuple(dict.fromkeys((*_app_rights(app), *_profile_rights(rules.profile, app))))
        for login in app.logins if needed else ():
            role = quote_identifier(login)
            given.append((login, tuple(f"GRANT {right} TO {role}" for right in needed)))
    return tuple(given)


async def missing_roles(connection: asyncpg.Connection, rules: CompiledRules) -> tuple[str, ...]:
    """The roles of `grants` that the server does not have."""
    wanted = [role for role, _ in grants(rules)]
    there = await connection.fetch("SELECT rolname::text AS name FROM pg_catalog.pg_roles")
    return tuple(sorted(set(wanted) - {row["name"] for row in there}))


def grant_script(given: Sequence[tuple[str, Sequence[str]]], missing: Collection[str]) -> Iterator[str]:
    """What a DBA would run, a line each. The control role is made; grants to other missing roles are comments."""
    for role, statements in given:
        absent = role in missing and role != CONTROL_ROLE
        if role == CONTROL_ROLE and role in missing:
            yield f"CREATE ROLE {quote_identifier(CONTROL_ROLE)} LOGIN;"
        for statement in statements:
            yield f"{'-- no such role yet: ' if absent else ''}{statement};"


async def apply_grants(
    connection: asyncpg.Connection, given: Sequence[tuple[str, Sequence[str]]], missing: Collection[str]
) -> None:
    """Runs `grant_script` in one transaction. Raises ConsentryError where the connection's role may not."""
    try:
        async with connection.transaction():
            for line in grant_script(given, missing):
                if not line.startswith("--"):
                    await connection.execute(line)
    except asyncpg.InsufficientPrivilegeError as error:
        raise ConsentryError(f"the grants cannot be made by this login: {error}; use --dsn with an owner's") from error


def _store_rights(store: ConsentStore) -> Iterator[str]:
    """What the control role reads and writes of a mapped consent table."""
    table = f"{quote_identifier(store.schema)}.{quote_identifier(store.table)}"
    yield f"SELECT ({_listed({*store.columns, *store.shown})}) ON {table}"
    if store.write is not None:
        written = {column for pairs in (store.write.granted, store.write.withdrawn) for column, _ in pairs}
        keys = {column for column in (store.subject, store.app, store.attribute) if column is not None}
        yield f"INSERT ({_listed(keys | written)}), UPDATE ({_listed(written)}) ON {table}"


def _listed(columns: Iterable[str]) -> str:
    return ", ".join(quote_identifier(column) for column in sorted(columns))


def _app_rights(app: AppPolicy) -> Iterator[str]:
    tables = [table for table in app.tables.values() if not table.plain]
    kinds = {mask.kind for mask in _masks(tables)}
    asking = app.store is None and bool(app.asked)
    keyed, emptied = any(_keyed(mask) for mask in _masks(tables)), "keys" in kinds
    restricted = any(row.restricts for table in tables for row in table.rows)
    if app.asked or keyed or emptied or app.inner or restricted:
        yield "USAGE ON SCHEMA consentry"
    if restricted:
        yield "SELECT (subject) ON consentry.restrictions"
    if app.asked:
        yield "SELECT ON consentry.preferences"
    if asking:
        yield f"SELECT ON consentry.{quote_identifier(f'state_{app.name}')}"
    if asking and app.spans:
        yield f"SELECT ON consentry.{quote_identifier(PREFIX + app.name)}"
    if keyed:
        yield "EXECUTE ON FUNCTION consentry.keyed_hash(text, text)"
    if emptied:
        yield "EXECUTE ON FUNCTION consentry.json_keys(jsonb, integer)"
    for key in sorted(app.inner):
        used = {column.name for column in app.tables[key].columns if column.treatment.visible}
        yield f"SELECT ({_listed({*used, _subject_name(app.tables[key])})}) ON {quote_relation(key)}"
    for (schema, name), used in sorted(key_columns(app).items()):
        yield f"SELECT ({_listed(used)}) ON {quote_identifier(schema)}.{quote_identifier(name)}"
    every = (row for table in tables for row in table.rows)
    conditions = [row.where for row in every if row.where is not None and not row.restricts]
    for schema, name in sorted({key for where in conditions for key in named_relations(where)}):
        yield f"SELECT ON {quote_identifier(schema)}.{quote_identifier(name)}"


def _profile_rights(profile: ProfileMap | None, app: AppPolicy) -> Iterator[str]:
    """The keys of customers whom only other sources know; and, so that tools which look at rights list the profile, the
    view: no more than the tables is read by it (security_invoker).
    """
    if profile is not None and profile.others and (app.monitor or table_of(profile, app) is not None):
        yield f"SELECT (subject) ON {quote_relation(KEYS)}"
    if profile is not None and profile.invoker:
        schema, name = map(quote_identifier, profile.relation)
        yield f"USAGE ON SCHEMA {schema}" if schema != '"consentry"' else "USAGE ON SCHEMA consentry"
        yield f"SELECT ON {schema}.{name}"


def key_columns(app: AppPolicy) -> dict[tuple[str, str], set[str]]:
    """The columns that the app's forms read on the way to the subject and in a mapped consent table, by table."""
    columns: dict[tuple[str, str], set[str]] = {}
    if app.store is not None and app.asked:
        columns[app.store.schema, app.store.table] = set(app.store.columns)
    for table in app.tables.values():
        asked = bool(table.asked) or any(row.restricts for row in table.rows)
        steps = table.subject.steps if table.subject and asked else ()
        for number, step in enumerate(steps):
            after = steps[number + 1].from_column if number + 1 < len(steps) else _subject_name(table)
            columns.setdefault((step.schema, step.table), set()).update((step.to_column, after))
    return columns


def _keyed(mask: Mask) -> bool:
    return mask.kind in ("hash", "pseudonym")


def _masks(tables: Iterable[GovernedTable]) -> Iterator[Mask]:
    for table in tables:
        for column in table.columns:
            yield from column.masks


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
    found = snapshot.relations.get(key)
    column = found.column(table.subject.column) if found else None
    return (f"{key[0]}.{key[1]}.{table.subject.column}", column.base_type) if column else None
