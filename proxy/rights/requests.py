"""The queue of customers' requests: asked by the customer, decided by an agent, due within a month (GDPR 12(3))."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, get_args

import asyncpg

from proxy.consent import locks
from proxy.consent.service import said_of, subject_type
from proxy.errors import ConsentryError
from proxy.rights import erasure, rectifying, restricting
from proxy.rights.desk import Act, Desk, act

Kind = Literal["erase", "rectify", "restrict", "lift"]
Status = Literal["open", "done", "refused"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
MOST_OPEN: Final = 20  # of one customer's

_COLUMNS: Final = (
    "id, subject::text AS subject, kind, attribute, value, status, source, asked_at, due_at, decided_at, decided_by, "
    "reason, receipt::text AS receipt"
)


class NoRequestError(ConsentryError):
    """There is no such request."""


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


class DecidedError(ConsentryError):
    """Somebody decided about the request meanwhile, or the customer was erased; `request`: as it is now."""

    def __init__(self, request: Request) -> None:
        self.request = request
        by = f" by {request.decided_by}" if request.decided_by else ""
        at = f", {request.decided_at:%Y-%m-%d %H:%M} UTC" if request.decided_at else ""
        super().__init__(f"the request was decided already: {request.status}{by}{at}")


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
    given = (attribute is not None, value is not None)
    if given != (kind == "rectify", kind == "rectify"):
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


async def one(connection: asyncpg.Connection, number: int, *, lock: bool = False) -> Request | None:
    """By its number. `lock`: until the transaction's end nobody else decides about it."""
    locking = " FOR UPDATE" if lock else ""
    row = await connection.fetchrow(f"SELECT {_COLUMNS} FROM consentry.requests WHERE id = $1{locking}", number)
    return None if row is None else Request(**dict(row))


async def confirm(desk: Desk, number: int, *, columns: Sequence[str] = (), every_row: bool = False) -> Request:
    """Does what was asked, and notes that it was, both or nothing. `columns`, `every_row`: as of a `Correction`.

    Raises NoRequestError; DecidedError; ConsentryError: the request stays open.
    """
    asked = await _open(desk.connection, number)
    if asked.kind != "rectify" and (columns or every_row):
        raise ConsentryError("columns and rows are chosen of what is to be rectified; this request is another one")
    subject = await desk.key(_subject(asked))
    async with act(desk, asked.kind, subject=subject) as under_way:
        # What was decided meanwhile is seen now: whoever decides about the customer has waited for their lock first.
        asked = await _open(desk.connection, number, lock=True)
        receipt = await _do(under_way, asked, columns, every_row)
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


async def refuse(desk: Desk, number: int, reason: str) -> Request:
    """`reason`: for the customer to read; no record or receipt has it. Raises NoRequestError; DecidedError;
    ConsentryError, UnreachableError: the request stays open.
    """
    connection = desk.connection
    asked = await _open(connection, number)
    async with act(desk, "refuse", subject=await desk.key(_subject(asked))) as under_way:
        await _open(connection, number, lock=True)
        receipt = await under_way.finish({"request": number, "asked": asked.kind})
        row = await connection.fetchrow(
            "UPDATE consentry.requests SET status = 'refused', value = NULL, decided_at = now(), decided_by = $3, "
            f"reason = $2, receipt = $4::text::uuid WHERE id = $1 RETURNING {_COLUMNS}",
            number,
            reason,
            desk.actor,
            receipt["receipt"],
        )
    assert row is not None
    return Request(**dict(row))


async def _do(under_way: Act, asked: Request, columns: Sequence[str], every_row: bool) -> Mapping[str, Any] | None:
    """What was asked; its receipt, None where nothing was to do."""
    subject = _subject(asked)
    if asked.kind == "erase":
        return (await erasure.erase_in(under_way, subject, requested=True)).receipt
    if asked.kind == "restrict":
        return await restricting.restrict_in(under_way, subject)
    if asked.kind == "lift":
        return await restricting.lift_in(under_way, subject)
    assert asked.attribute is not None
    assert asked.value is not None
    correction = rectifying.Correction(asked.attribute, asked.value, columns, every_row)
    done = await rectifying.rectify_in(under_way, subject, correction)
    if not done.held:
        raise ConsentryError(f"nothing was changed: nothing of {asked.attribute} of customer {subject} is there")
    return done.receipt


async def _open(connection: asyncpg.Connection, number: int, *, lock: bool = False) -> Request:
    found = await one(connection, number, lock=lock)
    if found is None:
        raise NoRequestError("there is no such request")
    if found.status != "open":
        raise DecidedError(found)
    return found


def _subject(asked: Request) -> str:
    assert asked.subject is not None  # it is open
    return asked.subject
