"""Consent in a table that exists already (`consent.store`): how it stands, and how a decision is written there.

The ledger keeps what was decided through Consentry all the same, for history and receipts; the table is what counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import asyncpg

from proxy.consent.standing import Actor, Decision, Standing, hashed
from proxy.errors import ConsentryError
from proxy.policy.expressions import replaced
from proxy.policy.names import join_dotted, quote_identifier
from proxy.policy.table import CompiledRules, ConsentMode, ConsentStore
from proxy.rewrite.lex import quote_literal


class ReadOnlyError(ConsentryError):
    """The rules do not say how a decision is written into the consent table."""


@dataclass(frozen=True, slots=True)
class ConsentMapping:
    """The mapping, with what it calls the apps. `asked`: what each app asks consent for, and how."""

    store: ConsentStore
    ids: Mapping[str, str]
    asked: Mapping[str, Mapping[str, ConsentMode]]

    @property
    def name(self) -> str:
        return join_dotted(self.store.schema, self.store.table)

    @property
    def relation(self) -> str:
        """The table's name in SQL."""
        return f"{quote_identifier(self.store.schema)}.{quote_identifier(self.store.table)}"

    @property
    def place(self) -> str:
        return f"consent.store ({self.store.place[0]}:{self.store.place[1]})"


def mapping_of(rules: CompiledRules) -> ConsentMapping | None:
    """None where consent is in Consentry's own ledger."""
    if rules.store is None:
        return None
    apps = {name: app for name, app in rules.apps.items() if not app.trusted}
    return ConsentMapping(
        rules.store,
        {name: app.consent_id for name, app in apps.items()},
        {name: app.asked for name, app in apps.items()},
    )


async def standings(connection: asyncpg.Connection, mapping: ConsentMapping, subject: str, kind: str) -> list[Standing]:
    """How the subject's consents stand now, by app and attribute; nothing of those that have no row.

    `kind`: the type of the subject's key. Of several rows for one consent the strictest counts where the app asks
    opt_out, else one that grants is enough, as in the governed form.
    """
    rows = await connection.fetch(_query(mapping.store, kind), subject)
    apps = {called: name for name, called in mapping.ids.items()}
    found = []
    for row in rows:
        app = apps.get(row["app"])
        if app is None:
            continue
        for attribute in _attributes(mapping, app, row["attribute"]):
            opt_out = mapping.asked[app].get(attribute) == "opt_out"
            granted = bool(row["every"] if opt_out else row["any"])
            expired = row["expires"] is not None and row["expires"] <= datetime.now(UTC)
            decision: Decision = "granted" if granted or expired else "withdrawn"
            number = hashed(row["content"])
            found.append(Standing(app, attribute, decision, granted, row["since"], row["expires"], None, number))
    return sorted(found, key=lambda standing: (standing.app, standing.attribute))


async def write(
    connection: asyncpg.Connection,
    mapping: ConsentMapping,
    subject: str,
    kind: str,
    app: str,
    attributes: Sequence[str],
    decision: Decision,
    expires_at: datetime | None,
    actor: Actor,
) -> None:
    """Writes a decision as the mapping says, into all rows that the consent has, or into a new one.

    In the transaction that it finds, which holds the subject's lock. Raises ReadOnlyError; ConsentryError where the
    mapping cannot say an expiry, where the table refuses, and where the decision does not hold afterwards.
    """
    store = mapping.store
    if store.write is None:
        raise ReadOnlyError(
            f"consent is kept in {mapping.name}, and the rules do not say how to write it: change it where it is kept, "
            f"or add `write` to {mapping.place}"
        )
    pairs = store.write.granted if decision == "granted" else store.write.withdrawn
    if expires_at is not None and not any(":expires_at" in sql for _, sql in pairs):
        raise ConsentryError(f"{mapping.name} keeps no expiry: add :expires_at to `write` of {mapping.place}")
    values = {
        "expires_at": f"({_moment(expires_at)}::pg_catalog.timestamptz)",
        "now": "(pg_catalog.statement_timestamp())",
        "actor": f"({quote_literal(actor)}::pg_catalog.text)",
    }
    written = [(quote_identifier(column), replaced(sql, values)) for column, sql in pairs]
    called = {store.called(attribute) for attribute in attributes} if store.attribute is not None else {None}
    for name in sorted(called, key=str):
        keys = _keys(mapping, kind, app, name)
        sets = ", ".join(f"{column} = ({value})" for column, value in written)
        match = " AND ".join(f"{column} OPERATOR(pg_catalog.=) {value}" for column, value in keys)
        done = await _run(connection, mapping, f"UPDATE {mapping.relation} SET {sets} WHERE {match}", subject)
        if done == "UPDATE 0":
            columns = ", ".join(column for column, _ in (*keys, *written))
            row = ", ".join([*(value for _, value in keys), *(f"({value})" for _, value in written)])
            await _run(connection, mapping, f"INSERT INTO {mapping.relation} ({columns}) VALUES ({row})", subject)
    after = {(s.app, s.attribute): s.granted for s in await standings(connection, mapping, subject, kind)}
    for attribute in attributes:
        if after.get((app, attribute), decision == "withdrawn") != (decision == "granted"):
            raise ConsentryError(
                f"{mapping.name} does not say {decision} after it was written: `write` and `granted` of "
                f"{mapping.place} contradict each other; nothing was changed"
            )


def _query(store: ConsentStore, kind: str) -> str:
    """What the subject $1's rows say of each app and attribute, by the names that the table has for them."""

    def moment(sql: str | None) -> str:
        return f"nullif(({sql})::pg_catalog.timestamptz, 'infinity')" if sql else "NULL::pg_catalog.timestamptz"

    attribute = f"{quote_identifier(store.attribute)}::pg_catalog.text" if store.attribute else "NULL::pg_catalog.text"
    content = ", ".join(map(quote_identifier, sorted({*store.columns, *store.shown})))
    subject = f"$1::pg_catalog.text::{kind}"
    return f"""
        SELECT app, attribute, pg_catalog.bool_or(granted) AS any, pg_catalog.bool_and(granted) AS every,
               pg_catalog.max(since) AS since, pg_catalog.max(expires) AS expires,
               pg_catalog.string_agg(content, ',' ORDER BY content) AS content
        FROM (SELECT {quote_identifier(store.app)}::pg_catalog.text AS app, {attribute} AS attribute,
                     ({store.granted}) IS TRUE AS granted,
                     {moment(store.since)} AS since, {moment(store.expires)} AS expires,
                     pg_catalog.jsonb_build_array({content})::pg_catalog.text AS content
              FROM {quote_identifier(store.schema)}.{quote_identifier(store.table)}
              WHERE {quote_identifier(store.subject)} OPERATOR(pg_catalog.=) {subject}) AS r
        GROUP BY app, attribute"""


def _attributes(mapping: ConsentMapping, app: str, called: str | None) -> Sequence[str]:
    """The attributes that a row of this name is about."""
    if mapping.store.attribute is None:
        return tuple(mapping.asked[app])
    if called is None:
        return ()
    named = tuple(attribute for attribute, name in mapping.store.attributes if name == called)
    its_own = called not in dict(mapping.store.attributes) and (not named or called in mapping.asked[app])
    return (*named, called) if its_own else named


def _keys(mapping: ConsentMapping, kind: str, app: str, attribute: str | None) -> list[tuple[str, str]]:
    """(column, SQL) of the columns that say whose consent it is."""
    store = mapping.store
    keys = [
        (quote_identifier(store.subject), f"$1::pg_catalog.text::{kind}"),
        (quote_identifier(store.app), quote_literal(mapping.ids[app])),
    ]
    if store.attribute is not None and attribute is not None:
        keys.append((quote_identifier(store.attribute), quote_literal(attribute)))
    return keys


def _moment(moment: datetime | None) -> str:
    return "NULL" if moment is None else quote_literal(moment.isoformat())


async def _run(connection: asyncpg.Connection, mapping: ConsentMapping, query: str, subject: str) -> str:
    try:
        return str(await connection.execute(query, subject))
    except asyncpg.InsufficientPrivilegeError as error:
        raise ConsentryError(f'{error}; run "consentry consent setup", which prints the grants') from error
    except asyncpg.DataError as error:
        raise ConsentryError(f"{mapping.name} cannot keep this decision: {error}") from error
    except (asyncpg.IntegrityConstraintViolationError, asyncpg.RaiseError) as error:
        where = f"`write` of {mapping.place}"
        raise ConsentryError(f"{mapping.name} refuses this decision: {error}; see {where}") from error
