"""The queue of customers' requests: asked by the customer, decided by an agent, due within a month (GDPR 12(3))."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, get_args

import asyncpg

from proxy.consent import locks
from proxy.consent.service import said_of, subject_type
from proxy.errors import ConsentryError
from proxy.rights import erasure, rectifying, restricting
from proxy.rights.desk import Desk

Kind = Literal["erase", "rectify", "restrict", "lift"]
Status = Literal["open", "done", "refused"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
MOST_OPEN: Final = 20  # of one customer's

_COLUMNS: Final = (
    "id, subject::text AS subject, kind, attribute, value, status, source, asked_at, due_at, decided_at, decided_by, "
    "reason, receipt::text AS receipt"
)


class GoneError(ConsentryError):
    """There is no such request, or it was decided already."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request. `subject` None: the customer was erased. `value`: to rectify, until it is decided."""

    id: int
    subject: str | None
    kind: Kind
    attribute: str | None
    value: str | None
    status: Status
    source: str
    asked_at: datetime
    due_at: datetime
    decided_at: datetime | None
    decided_by: str | None
    reason: str | None
    receipt: str | None


async def ask(
    connection: asyncpg.Connection,
    subject: str,
    kind: Kind,
    *,
    source: str,
    attribute: str | None = None,
    value: str | None = None,
) -> Request:
    """Puts it into the queue; the same one that is open already is given again. Raises ConsentryError.

    `attribute` and `value`: to rectify; that the rules have the attribute is the caller's to know.
    """
    if (kind == "rectify") != (attribute is not None and value is not None):
        raise ConsentryError("to rectify takes an attribute and the value that is right; nothing else does")
    key = await subject_type(connection)
    with said_of(subject, key):
        async with connection.transaction():
            await connection.execute(locks.of_subject(key), subject)
            waiting = [one for one in await of_subject(connection, subject) if one.status == "open"]
            for one in waiting:
                if (one.kind, one.attribute, one.value) == (kind, attribute, value):
                    return one
            if len(waiting) >= MOST_OPEN:
                raise ConsentryError(f"{MOST_OPEN} requests wait already")
            row = await connection.fetchrow(
                "INSERT INTO consentry.requests (subject, kind, attribute, value, source) "
                f"VALUES ($1::text::{key}, $2, $3, $4, $5) RETURNING {_COLUMNS}",
                subject,
                kind,
                attribute,
                value,
                source,
            )
    assert row is not None
    return Request(**dict(row))


async def of_subject(connection: asyncpg.Connection, subject: str) -> list[Request]:
    """The customer's, newest first; the last hundred."""
    key = await subject_type(connection)
    query = f"SELECT {_COLUMNS} FROM consentry.requests WHERE subject = $1::text::{key} ORDER BY id DESC LIMIT 100"
    with said_of(subject, key):
        return [Request(**dict(row)) for row in await connection.fetch(query, subject)]


async def waiting(connection: asyncpg.Connection, limit: int = 200) -> list[Request]:
    """Those that are open, the next due first."""
    query = f"SELECT {_COLUMNS} FROM consentry.requests WHERE status = 'open' ORDER BY due_at, id LIMIT $1"
    return [Request(**dict(row)) for row in await connection.fetch(query, limit)]


async def one(connection: asyncpg.Connection, number: int) -> Request | None:
    """By its number."""
    row = await connection.fetchrow(f"SELECT {_COLUMNS} FROM consentry.requests WHERE id = $1", number)
    return None if row is None else Request(**dict(row))


async def confirm(desk: Desk, number: int) -> Request:
    """Does what was asked, and notes that it was. Raises GoneError; ConsentryError: the request stays open."""
    asked = await _open(desk.connection, number)
    assert asked.subject is not None  # it is open
    receipt: Mapping[str, Any] | None
    if asked.kind == "erase":
        receipt = (await erasure.erase(desk, asked.subject)).receipt
    elif asked.kind == "rectify":
        assert asked.attribute is not None
        assert asked.value is not None
        done = await rectifying.rectify(
            desk, asked.subject, asked.attribute, asked.value, column=None, every_row=False, dry_run=False
        )
        receipt = done.receipt
    else:
        act = restricting.restrict if asked.kind == "restrict" else restricting.lift
        receipt = await act(desk, asked.subject)
    # After the act: where the process ends between the two, the request is open still, and doing it again does nothing.
    await desk.connection.execute(
        "UPDATE consentry.requests SET status = 'done', value = NULL, decided_at = now(), decided_by = $2, "
        "receipt = $3::text::uuid WHERE id = $1",
        number,
        desk.actor,
        receipt["receipt"] if receipt is not None else None,
    )
    found = await one(desk.connection, number)
    assert found is not None
    return found


async def refuse(connection: asyncpg.Connection, number: int, reason: str, actor: str) -> Request:
    """`reason`: for the customer to read. Raises GoneError."""
    await _open(connection, number)
    row = await connection.fetchrow(
        "UPDATE consentry.requests SET status = 'refused', value = NULL, decided_at = now(), decided_by = $3, "
        f"reason = $2 WHERE id = $1 AND status = 'open' RETURNING {_COLUMNS}",
        number,
        reason,
        actor,
    )
    if row is None:
        raise GoneError("the request was decided meanwhile")
    return Request(**dict(row))


async def _open(connection: asyncpg.Connection, number: int) -> Request:
    found = await one(connection, number)
    if found is None:
        raise GoneError("there is no such request")
    if found.status != "open":
        raise GoneError("the request was decided already")
    return found
