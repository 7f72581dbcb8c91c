"""Consent decisions: recorded, and read. One place for the command line, the HTTP API and the pages.

Each function takes a connection to the governed database, and works in the transaction that it finds or in its own.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import asyncpg

from proxy.consent.ledger import installed_subject_type
from proxy.errors import ConsentryError

Decision = Literal["granted", "withdrawn"]
Actor = Literal["customer", "agent", "import"]


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The names that the rules know: a decision about anything else is a slip of the pen."""

    apps: Collection[str]
    attributes: Collection[str]

    def check(self, app: str, attribute: str) -> None:
        """Raises ConsentryError that says the nearest spelling."""
        _known("app", app, self.apps)
        _known("attribute", attribute, self.attributes)


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
    hash: str  # hex


@dataclass(frozen=True, slots=True)
class Standing:
    """How one attribute stands for one app. `granted`: in force now; `since`: the deciding event's time."""

    app: str
    attribute: str
    decision: Decision
    granted: bool
    since: datetime
    expires_at: datetime | None
    actor: Actor


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
    """Records that the subject shares the attribute with the app, until `expires_at` (with a time zone) where given.

    `subject` is the key's text form. In force for every app's statement that begins after the commit.
    Raises ConsentryError: no ledger, an unknown app or attribute, a subject that is not of the key's type, a time past.
    """
    return await _record(connection, vocabulary, subject, app, attribute, "granted", expires_at, origin)


async def withdraw(
    connection: asyncpg.Connection,
    vocabulary: Vocabulary,
    subject: str,
    app: str,
    attribute: str,
    *,
    origin: Origin | None = None,
) -> Event:
    """Records that the subject no longer shares the attribute with the app. Otherwise as `grant`."""
    return await _record(connection, vocabulary, subject, app, attribute, "withdrawn", None, origin)


async def show(connection: asyncpg.Connection, subject: str) -> list[Standing]:
    """Where the subject's decisions stand now, by app and attribute: the last event of each. Errors as `grant`."""
    kind = await _subject_type(connection)
    query = f"""
        SELECT DISTINCT ON (e.app, e.attribute) e.app, e.attribute, e.decision, e.at, e.expires_at, e.actor,
               coalesce(e.attribute = ANY (s.granted)
                        OR (s.expiring ->> e.attribute)::timestamptz > statement_timestamp(), false) AS in_force
        FROM consentry.events e LEFT JOIN consentry.state s ON s.subject = e.subject AND s.app = e.app
        WHERE e.subject = $1::text::{kind}
        ORDER BY e.app, e.attribute, e.at DESC, e.id DESC"""
    rows = await _run(connection, query, subject, subject=subject, kind=kind)
    return [
        Standing(r["app"], r["attribute"], r["decision"], r["in_force"], r["at"], r["expires_at"], r["actor"])
        for r in rows
    ]


async def _record(
    connection: asyncpg.Connection,
    vocabulary: Vocabulary,
    subject: str,
    app: str,
    attribute: str,
    decision: Decision,
    expires_at: datetime | None,
    origin: Origin | None,
) -> Event:
    vocabulary.check(app, attribute)
    kind = await _subject_type(connection)
    if expires_at is not None and expires_at.tzinfo is None:
        raise ConsentryError(f"the expiry {expires_at.isoformat()} has no time zone")
    by = origin or Origin()
    query = f"""
        INSERT INTO consentry.events
            (subject, app, attribute, decision, expires_at, actor, source, policy_version, text_version, evidence)
        VALUES ($1::text::{kind}, $2, $3, $4, $5, $6, $7, $8, $9, $10::text::jsonb)
        RETURNING id, subject::text AS subject, app, attribute, decision, at, expires_at, actor, source, hash"""
    evidence = None if by.evidence is None else json.dumps(by.evidence)
    values = (subject, app, attribute, decision, expires_at, by.actor, by.source)
    (row,) = await _run(
        connection, query, *values, by.policy_version, by.text_version, evidence, subject=subject, kind=kind
    )
    return Event(**{**dict(row), "hash": row["hash"].hex()})


async def _subject_type(connection: asyncpg.Connection) -> str:
    kind = await installed_subject_type(connection)
    if kind is None:
        raise ConsentryError('the database has no consent ledger; run "consentry consent setup"')
    return kind


async def _run(
    connection: asyncpg.Connection, query: str, *values: Any, subject: str, kind: str
) -> list[asyncpg.Record]:
    """Runs a query of the ledger; what a caller did wrong becomes a ConsentryError that says so."""
    try:
        return list(await connection.fetch(query, *values))
    except (asyncpg.InvalidTextRepresentationError, asyncpg.NumericValueOutOfRangeError) as error:
        raise ConsentryError(f'"{subject}" is not a subject key of type {kind}') from error
    except asyncpg.CharacterNotInRepertoireError as error:
        raise ConsentryError("a subject key holds a zero byte") from error
    except asyncpg.CheckViolationError as error:
        if error.constraint_name is None:  # no partition of state takes the app
            raise ConsentryError('the ledger does not know the app yet; run "consentry consent setup"') from error
        raise ConsentryError("a consent must expire after it begins, and before the year 10000") from error
    except asyncpg.InsufficientPrivilegeError as error:
        raise ConsentryError(f'{error}; run "consentry consent setup", which prints the grants') from error


def _known(kind: str, name: str, names: Collection[str]) -> None:
    if name in names:
        return
    near = difflib.get_close_matches(name, sorted(names), n=1)
    end = f'; did you mean "{near[0]}"?' if near else f"; the rules have {', '.join(sorted(names)) or 'none'}"
    raise ConsentryError(f'there is no {kind} "{name}" in the rules{end}')
