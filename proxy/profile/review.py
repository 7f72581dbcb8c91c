"""Records that fit no customer, or several: somebody looks at both, decides once, and can take it back."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

import asyncpg

from proxy.consent import locks
from proxy.consent.service import said_of, subject_type
from proxy.errors import ConsentryError
from proxy.policy.rules import Rules
from proxy.policy.table import CompiledRules
from proxy.profile import held, matching, merging, own, staging, tombstones

Choice = Literal["same", "other", "new"]


@dataclass(frozen=True, slots=True)
class Waiting:
    """A record whose customer is to be decided. `candidates`: whose it may be."""

    source: str
    key: str
    candidates: tuple[str, ...]
    read_at: datetime


@dataclass(frozen=True, slots=True)
class Person:
    """A customer beside a record: attribute -> values, of the database and of other sources. `why`: what they share.

    `unread`: relations that Consentry's own login may not read.
    """

    subject: str
    why: tuple[str, ...]
    values: dict[str, tuple[str, ...]]
    unread: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Pair:
    """A record, and those whose it may be, side by side. `subject`: whose it is, where that is known.

    `formerly`: whose it was, before it said that it is somebody else's. `erased`: an erased customer had its key, or an
    address or number of it. `seen`: a hash of the record, of whose it may be and of what was decided; a decision that
    comes with it is refused where it is another one by then.
    """

    source: str
    key: str
    subject: str | None
    values: dict[str, Any]
    people: tuple[Person, ...]
    formerly: str | None
    erased: bool
    seen: str


class ChangedError(ConsentryError):
    """A record is not any more what somebody saw who decided on it."""


async def waiting(connection: asyncpg.Connection, source: str | None = None, limit: int = 100) -> list[Waiting]:
    """Records that wait, those with candidates first."""
    rows = await connection.fetch(
        "SELECT source, key, candidates::text[] AS candidates, read_at FROM consentry.profile_records "
        "WHERE subject IS NULL AND ($1::text IS NULL OR source = $1) "
        "ORDER BY cardinality(candidates) = 0, source, key LIMIT $2",
        source,
        limit,
    )
    return [Waiting(row["source"], row["key"], tuple(row["candidates"]), row["read_at"]) for row in rows]


async def pair(connection: asyncpg.Connection, compiled: CompiledRules, source: str, key: str) -> Pair:
    """The record with its candidates, or with the customer whose it is. Raises ConsentryError: there is none such."""
    row = await _record(connection, source, key)
    record = json.loads(row["values"])
    people = [row["subject"]] if row["subject"] is not None else row["candidates"]
    shown = [await _person(connection, compiled, source, key, subject, set(record)) for subject in people]
    return Pair(source, key, row["subject"], record, tuple(shown), row["formerly"], row["erased"], _seen(row))


@dataclass(frozen=True, slots=True)
class Decided:
    """The last decision about a record that is in force."""

    decision: Choice
    subject: str
    actor: str
    at: datetime
    id: int


async def decided(connection: asyncpg.Connection, source: str, key: str) -> Decided | None:
    """What somebody decided about a record; None where nobody did, or it was taken back."""
    row = await connection.fetchrow(
        "SELECT decision, subject::text AS subject, actor, at, id FROM consentry.profile_decisions "
        "WHERE source = $1 AND key = $2 AND undone_at IS NULL ORDER BY id DESC LIMIT 1",
        source,
        key,
    )
    return None if row is None else Decided(*row)


async def decide(
    connection: asyncpg.Connection,
    rules: Rules,
    compiled: CompiledRules,
    source: str,
    key: str,
    choice: Choice,
    *,
    actor: str,
    subject: str | None = None,
    seen: str | None = None,
) -> str | None:
    """Records what was decided, and does it: whose the record is now, or None where it still waits.

    `same`: it is `subject`'s; `other`: it is not; `new`: it is of a customer whom nobody had. Without `subject` the
    only candidate is meant. `seen`: of the pair that was looked at. Raises ChangedError; ConsentryError: also where
    somebody said already whose it is, and where there is no such customer.
    """
    kind = await subject_type(connection)
    async with _changing(connection, rules, kind, source, key) as row:
        before = await decided(connection, source, key)
        if before is not None and before.decision != "other":
            said = f"{before.actor} said already that record {key} of {source} is of customer {before.subject}"
            raise ConsentryError(f"{said}: take that back first")
        _check_seen(row, seen)
        if choice == "new":
            if subject is not None:
                raise ConsentryError("a new customer gets a key of their own; say `same` where there is one")
            subject = await matching.new_subject(connection, kind)
        elif subject is None:
            if len(row["candidates"]) != 1:
                raise ConsentryError(f"say whose with --subject: it may be {', '.join(row['candidates']) or 'anybody'}")
            subject = row["candidates"][0]
        elif subject not in row["candidates"]:
            await _check_there(connection, rules, compiled, subject, kind)
        elif await tombstones.of_subject(connection, subject, kind):
            raise ConsentryError(f"customer {subject} was erased: nobody's records become theirs again")
        with said_of(subject, kind):
            await connection.execute(
                "INSERT INTO consentry.profile_decisions (source, key, decision, subject, actor, keys) "
                f"VALUES ($1, $2, $3, $4::text::{kind}, $5, ARRAY("
                "SELECT consentry.profile_tombstone(kind, '', value) FROM consentry.profile_keys "
                "WHERE source = $1 AND key = $2 AND value IS NOT NULL))",
                source,
                key,
                choice,
                subject,
                actor,
            )
    return await _subject(connection, source, key)


async def undo(
    connection: asyncpg.Connection, rules: Rules, source: str, key: str, seen: str | None = None
) -> str | None:
    """Takes the last decision about a record back: whose the record is now.

    Raises ChangedError; ConsentryError: there is none.
    """
    kind = await subject_type(connection)
    async with _changing(connection, rules, kind, source, key) as row:
        _check_seen(row, seen)
        undone = await connection.fetchval(
            "UPDATE consentry.profile_decisions SET undone_at = clock_timestamp() WHERE id = ("
            "SELECT max(id) FROM consentry.profile_decisions WHERE source = $1 AND key = $2 AND undone_at IS NULL"
            ") RETURNING id",
            source,
            key,
        )
        if undone is None:
            raise ConsentryError(f"nothing was decided about record {key} of {source}")
    return await _subject(connection, source, key)


@asynccontextmanager
async def _changing(
    connection: asyncpg.Connection, rules: Rules, kind: str, source: str, key: str
) -> AsyncIterator[asyncpg.Record]:
    """The record as it is, to decide on in one transaction; afterwards its customer is found anew."""
    async with connection.transaction():
        await connection.execute(locks.WRITING)
        await staging.begin(connection)
        row = await _record(connection, source, key)
        if row["how"] == "key":
            raise ConsentryError(f"{source} itself says whose its records are: there is nothing to decide")
        yield row
        await connection.execute("INSERT INTO pg_temp.profile_affected VALUES ($1)", row["subject"])
        await connection.execute("INSERT INTO pg_temp.profile_touched VALUES ($1, $2)", source, key)
        await connection.execute(
            "UPDATE consentry.profile_records SET subject = NULL, how = NULL WHERE (source, key) = ($1, $2)",
            source,
            key,
        )
        await matching.match(connection, kind, ())
        await merging.merge(connection, rules, kind)


async def _record(connection: asyncpg.Connection, source: str, key: str) -> asyncpg.Record:
    row = await connection.fetchrow(
        """
        SELECT r.subject::text AS subject, r.how, r.candidates::text[] AS candidates, r.formerly::text AS formerly,
               r.erased, r."values", r.digest, (SELECT max(d.id) FROM consentry.profile_decisions d
                                      WHERE d.source = r.source AND d.key = r.key AND d.undone_at IS NULL) AS decision
        FROM consentry.profile_records r WHERE r.source = $1 AND r.key = $2""",
        source,
        key,
    )
    if row is None:
        erased = await tombstones.of_record(connection, source, key)
        raise ConsentryError(
            f'source {source} has no record "{key}"'
            + (": an erased customer had it, and it is left out" if erased else "")
        )
    return row


def _seen(row: asyncpg.Record) -> str:
    shown = [
        row["subject"],
        sorted(row["candidates"]),
        row["formerly"],
        row["erased"],
        row["values"],
        row["digest"].hex(),
        row["decision"],
    ]
    return hashlib.blake2b(json.dumps(shown).encode(), digest_size=12).hexdigest()


def _check_seen(row: asyncpg.Record, seen: str | None) -> None:
    if seen is not None and seen != _seen(row):
        raise ChangedError("the record was changed meanwhile: look at it again, then decide")


async def _check_there(
    connection: asyncpg.Connection, rules: Rules, compiled: CompiledRules, subject: str, kind: str
) -> None:
    """Raises ConsentryError where nobody has this key, or somebody who was erased."""
    with said_of(subject, kind):
        if await tombstones.of_subject(connection, subject, kind):
            back = f"`consentry subject readmit {subject}` lets a new customer with that key in"
            raise ConsentryError(f'customer "{subject}" was erased: {back}')
        known = await connection.fetchval(
            f"""
            SELECT EXISTS (SELECT FROM consentry.profile_data WHERE subject = $1::text::{kind})
                OR EXISTS (SELECT FROM consentry.profile_records WHERE subject = $1::text::{kind})
                OR EXISTS (SELECT FROM consentry.profile_others WHERE subject::text = $1::text::{kind}::text)
                OR EXISTS (SELECT FROM consentry.profile_keys WHERE source = '' AND key = $1::text::{kind}::text)""",
            subject,
        )
        if not known and not await own.is_there(connection, rules, compiled, subject, kind):
            raise ConsentryError(f'there is no customer "{subject}": say `new` where nobody had the record\'s')


async def _subject(connection: asyncpg.Connection, source: str, key: str) -> str | None:
    subject: str | None = (await _record(connection, source, key))["subject"]
    return subject


async def _person(
    connection: asyncpg.Connection, compiled: CompiledRules, source: str, key: str, subject: str, attributes: set[str]
) -> Person:
    shared = await connection.fetch(
        """
        SELECT DISTINCT k.kind FROM consentry.profile_keys k
        JOIN consentry.profile_keys o ON o.kind = k.kind AND o.value = k.value
        LEFT JOIN consentry.profile_records r ON r.source = o.source AND r.key = o.key
        WHERE k.source = $1 AND k.key = $2 AND (o.source, o.key) <> ($1, $2)
          AND (r.subject::text = $3 OR (o.source = '' AND o.key = $3)) ORDER BY 1""",
        source,
        key,
        subject,
    )
    found: dict[str, dict[str, None]] = {}
    unread: list[str] = []
    for table in compiled.subject_tables:
        columns = tuple((name, called) for name, called in table.columns if attributes & set(called))
        if table.subject.steps or not columns:
            continue
        called_by = dict(columns)
        try:
            async with connection.transaction(readonly=True):
                async for row in held.rows(connection, replace(table, columns=columns), subject):
                    for name, value in json.loads(row).items():
                        for attribute in called_by[name] if value is not None else ():
                            found.setdefault(attribute, {})[str(value)] = None
        except held.NotReadableError:
            unread.append(f"{table.schema}.{table.name}")
    for known in await connection.fetch(
        "SELECT attribute, value FROM consentry.profile_values "
        "WHERE subject::text = $1 AND (source, key) <> ($2, $3) ORDER BY chosen DESC, source, key LIMIT 200",
        subject,
        source,
        key,
    ):
        found.setdefault(known["attribute"], {})[told(json.loads(known["value"]))] = None
    values = {name: tuple(said) for name, said in sorted(found.items())}
    return Person(subject, tuple(row["kind"] for row in shared), values, tuple(unread))


def told(value: Any) -> str:
    """A value in one line, as people read it: of an entry of a list `name: value, ...`."""
    if isinstance(value, dict):
        return ", ".join(f"{name}: {told(one)}" for name, one in value.items())
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def attributes_of(shown: Pair) -> Sequence[str]:
    """All attributes of the record or of a candidate, in order."""
    return sorted({*shown.values, *(name for person in shown.people for name in person.values)})
