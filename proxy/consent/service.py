"""Consent decisions: recorded, and read. One place for the command line, the HTTP API and the pages.

Each function takes a connection to the governed database, and works in the transaction that it finds or in its own.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import asyncpg

from proxy.consent import locks, mapped
from proxy.consent.ledger import installed_subject_type
from proxy.consent.standing import Actor, Decision, Standing, version
from proxy.errors import ConsentryError

__all__ = (
    "Actor", "Decision", "Event", "Origin", "RequestReusedError", "StaleError", "Standing", "Vocabulary",
    "decide", "event", "grant", "history", "said", "said_of", "show", "subject_type", "version",
    "whole_history", "withdraw",
)  # fmt: skip
_AT_A_TIME: Final = 500  # events


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The names that the rules know: a decision about anything else is a slip of the pen.

    `mapping`: where the rules keep consent in a table of the database's own.
    """

    apps: Collection[str]
    attributes: Collection[str]
    mapping: mapped.ConsentMapping | None = None

    def check(self, app: str, attribute: str) -> None:
        """Raises ConsentryError that says the nearest spelling."""
        self.check_app(app)
        _known("attribute", attribute, self.attributes)

    def check_app(self, app: str) -> None:
        """Raises ConsentryError that says the nearest spelling."""
        _known("app", app, self.apps)


@dataclass(frozen=True, slots=True)
class Origin:
    """Who decided, by which way, under which rules and before which words. `source` is free text."""

    actor: Actor = "agent"
    source: str | None = None
    policy_version: str | None = None
    text_version: str | None = None
    evidence: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """One consent record as the ledger has it."""

    id: int
    subject: str
    app: str
    attribute: str
    decision: Decision
    at: datetime
    expires_at: datetime | None
    actor: Actor
    source: str | None
    policy_version: str | None
    text_version: str | None
    evidence: Any  # JSON
    scope: str | None  # what the decision was about: a group, all of the app; None: this attribute
    request: str | None  # the caller's idempotency key
    prev_hash: str  # hex
    hash: str  # hex


class StaleError(ConsentryError):
    """A decision was made on what is no longer so. `standings`: how the consents stand now."""

    def __init__(self, standings: Sequence[Standing]) -> None:
        super().__init__("the consent was changed meanwhile; look at it again, then decide")
        self.standings = tuple(standings)


class RequestReusedError(ConsentryError):
    """An idempotency key came again with another decision."""


async def grant(
    connection: asyncpg.Connection,
    vocabulary: Vocabulary,
    subject: str,
    app: str,
    attribute: str,
    *,
    expires_at: datetime | None = None,
    origin: Origin | None = None,
) -> Event:
    """Records that the subject shares the attribute with the app; otherwise as `decide`."""
    (event,) = await decide(
        connection, vocabulary, subject, app, (attribute,), "granted", expires_at=expires_at, origin=origin
    )
    return event


async def withdraw(
    connection: asyncpg.Connection,
    vocabulary: Vocabulary,
    subject: str,
    app: str,
    attribute: str,
    *,
    origin: Origin | None = None,
) -> Event:
    """Records that the subject no longer shares the attribute with the app; otherwise as `decide`."""
    (event,) = await decide(connection, vocabulary, subject, app, (attribute,), "withdrawn", origin=origin)
    return event


async def decide(
    connection: asyncpg.Connection,
    vocabulary: Vocabulary,
    subject: str,
    app: str,
    attributes: Sequence[str],
    decision: Decision,
    *,
    scope: str | None = None,
    expires_at: datetime | None = None,
    origin: Origin | None = None,
    expected: int | None = None,
    request: str | None = None,
) -> list[Event]:
    """Records one decision about `attributes` (an event each) for one subject and app, all or none.

    `subject` is the key's text form. In force for every app's statement that begins after the commit; a grant until
    `expires_at` (with a time zone) where given. `scope`: what the customer was asked, where it was a group
    (`group:NAME`) or the whole app (`all`). `expected`: the `version` of the standings of these attributes when the
    customer looked: the id of their newest event, 0 for none. `request`: an idempotency key: sent again with the same
    decision it gives the first time's events. Where the vocabulary has a mapping, its table is written too.
    Raises StaleError, RequestReusedError; ConsentryError: no ledger, an unknown app or attribute, a subject that is not
    of the key's type, a time past.
    """
    if not attributes:
        raise ConsentryError(f"nothing to decide: app {app} asks no consent for that")
    for attribute in attributes:
        vocabulary.check(app, attribute)
    if expires_at is not None and expires_at.tzinfo is None:
        raise ConsentryError(f"the expiry {expires_at.isoformat()} has no time zone")
    kind = await subject_type(connection)
    async with connection.transaction():
        await _run(connection, locks.of_subject(kind), subject, subject=subject, kind=kind)
        if request is not None:
            before = await _of_request(connection, subject, kind, request)
            if before:
                asked = (app, decision, expires_at, scope, sorted(attributes))
                first = before[0]
                if asked == (
                    first.app,
                    first.decision,
                    first.expires_at,
                    first.scope,
                    sorted(e.attribute for e in before),
                ):
                    return before
                raise RequestReusedError("the idempotency key was used before, for another decision")
        if expected is not None:
            every = await show(connection, subject, vocabulary.mapping)
            now = [s for s in every if s.app == app and s.attribute in attributes]
            if version(now) != expected:
                raise StaleError(now)
        by = origin or Origin()
        if vocabulary.mapping is not None:
            await mapped.write(
                connection, vocabulary.mapping, subject, kind, app, attributes, decision, expires_at, by.actor
            )
        evidence = None if by.evidence is None else json.dumps(by.evidence)
        query = f"""
            INSERT INTO consentry.events (subject, app, attribute, decision, expires_at, actor, source, policy_version,
                                          text_version, evidence, scope, request)
            SELECT $1::text::{kind}, $2, attribute, $4, $5, $6, $7, $8, $9, $10::text::jsonb, $11, $12
            FROM unnest($3::text[]) attribute RETURNING {_EVENT}"""
        values = (subject, app, list(attributes), decision, expires_at, by.actor, by.source, by.policy_version)
        rows = await _run(
            connection, query, *values, by.text_version, evidence, scope, request, subject=subject, kind=kind
        )
    return [_event(row) for row in rows]


async def history(
    connection: asyncpg.Connection, subject: str, *, before: int | None = None, limit: int = 50
) -> list[Event]:
    """The subject's events, newest first: at most `limit`, those with an id below `before`. Errors as `decide`."""
    kind = await subject_type(connection)
    query = f"""
        SELECT {_EVENT} FROM consentry.events
        WHERE subject = $1::text::{kind} AND id < coalesce($2, 9223372036854775807) ORDER BY id DESC LIMIT $3"""
    return [_event(row) for row in await _run(connection, query, subject, before, limit, subject=subject, kind=kind)]


async def whole_history(connection: asyncpg.Connection, subject: str) -> AsyncIterator[Event]:
    """All of the subject's events, newest first; some hundred are in memory at a time. Errors as `decide`."""
    before = None
    while events := await history(connection, subject, before=before, limit=_AT_A_TIME):
        for one in events:
            yield one
        before = events[-1].id


async def decision(connection: asyncpg.Connection, subject: str, request: str) -> list[Event]:
    """The events of one request, by its idempotency key; none where it is not known. Errors as `decide`."""
    return await _of_request(connection, subject, await subject_type(connection), request)


async def event(connection: asyncpg.Connection, subject: str, number: int) -> Event | None:
    """One event of the subject's, by its id. Errors as `decide`."""
    kind = await subject_type(connection)
    query = f"SELECT {_EVENT} FROM consentry.events WHERE subject = $1::text::{kind} AND id = $2"
    rows = await _run(connection, query, subject, number, subject=subject, kind=kind)
    return _event(rows[0]) if rows else None


async def show(
    connection: asyncpg.Connection, subject: str, mapping: mapped.ConsentMapping | None = None
) -> list[Standing]:
    """Where the subject's decisions stand now, by app and attribute: the last event of each. Errors as `grant`.

    `mapping`: of a consent table of the database's own, which is then read in the ledger's place.
    """
    kind = await subject_type(connection)
    if mapping is not None:
        with said_of(subject, kind):
            return await mapped.standings(connection, mapping, subject, kind)
    query = f"""
        SELECT DISTINCT ON (e.app, e.attribute) e.app, e.attribute, e.decision, e.at, e.expires_at, e.actor, e.id,
               coalesce(e.attribute = ANY (s.granted)
                        OR (s.expiring ->> e.attribute)::timestamptz > statement_timestamp(), false) AS in_force
        FROM consentry.events e LEFT JOIN consentry.state s ON s.subject = e.subject AND s.app = e.app
        WHERE e.subject = $1::text::{kind}
        ORDER BY e.app, e.attribute, e.at DESC, e.id DESC"""
    rows = await _run(connection, query, subject, subject=subject, kind=kind)
    return [
        Standing(r["app"], r["attribute"], r["decision"], r["in_force"], r["at"], r["expires_at"], r["actor"], r["id"])
        for r in rows
    ]


_EVENT = (
    "id, subject::text AS subject, app, attribute, decision, at, expires_at, actor, source, policy_version, "
    "text_version, evidence::text AS evidence, scope, request, prev_hash, hash"
)


def _event(row: asyncpg.Record) -> Event:
    evidence = None if row["evidence"] is None else json.loads(row["evidence"])
    hashes = {name: row[name].hex() for name in ("prev_hash", "hash")}
    return Event(**{**dict(row), "evidence": evidence, **hashes})


async def _of_request(connection: asyncpg.Connection, subject: str, kind: str, request: str) -> list[Event]:
    query = f"SELECT {_EVENT} FROM consentry.events WHERE subject = $1::text::{kind} AND request = $2 ORDER BY id"
    return [_event(row) for row in await _run(connection, query, subject, request, subject=subject, kind=kind)]


async def subject_type(connection: asyncpg.Connection) -> str:
    """The type of the ledger's subject keys. Raises ConsentryError where there is no ledger."""
    kind = await installed_subject_type(connection)
    if kind is None:
        raise ConsentryError('the database has no consent ledger; run "consentry consent setup"')
    return kind


async def _run(
    connection: asyncpg.Connection, query: str, *values: Any, subject: str, kind: str
) -> list[asyncpg.Record]:
    """Runs a query of the ledger; what a caller did wrong becomes a ConsentryError that says so."""
    with said_of(subject, kind):
        return list(await connection.fetch(query, *values))


@contextmanager
def said() -> Iterator[None]:
    """What the ledger refuses becomes a ConsentryError that says what to do."""
    try:
        yield
    except asyncpg.CheckViolationError as error:
        if error.constraint_name is None:  # no partition of state takes the app
            raise ConsentryError('the ledger does not know the app yet; run "consentry consent setup"') from error
        raise ConsentryError("a consent must expire after it begins, and before the year 10000") from error
    except asyncpg.ProgramLimitExceededError as error:
        raise ConsentryError("a subject key is too long for the ledger's indexes") from error
    except asyncpg.InsufficientPrivilegeError as error:
        raise ConsentryError(f'{error}; run "consentry consent setup", which prints the grants') from error
    except asyncpg.UndefinedFunctionError as error:
        raise ConsentryError('an older Consentry made the ledger; run "consentry consent setup"') from error


@contextmanager
def said_of(subject: str, kind: str) -> Iterator[None]:
    """The same, and what is wrong with a subject key, or with what comes with it. `kind`: the key's type."""
    try:
        with said():
            yield
    except (asyncpg.InvalidTextRepresentationError, asyncpg.NumericValueOutOfRangeError) as error:
        raise ConsentryError(f'"{subject}" is not a subject key of type {kind}') from error
    except asyncpg.CharacterNotInRepertoireError as error:
        raise ConsentryError("a subject key holds a zero byte") from error
    except asyncpg.UntranslatableCharacterError as error:
        raise ConsentryError("the evidence holds a character that PostgreSQL's jsonb cannot keep") from error


def _known(kind: str, name: str, names: Collection[str]) -> None:
    if name in names:
        return
    near = difflib.get_close_matches(name, sorted(names), n=1)
    end = f'; did you mean "{near[0]}"?' if near else f"; the rules have {', '.join(sorted(names)) or 'none'}"
    raise ConsentryError(f'there is no {kind} "{name}" in the rules{end}')
