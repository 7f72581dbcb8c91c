"""Restricts what is held of one customer (GDPR 18), and lifts it: in force from every app's next statement on."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import asyncpg

from proxy.errors import ConsentryError
from proxy.rights.desk import Act, Desk, act
from proxy.rights.plan import rights_of


async def restrict(desk: Desk, subject: str) -> Mapping[str, Any] | None:
    """The receipt; None where it was restricted already. Raises ConsentryError: the rules do not enforce it."""
    subject = await desk.key(subject)
    async with act(desk, "restrict", subject=subject) as under_way:
        return await restrict_in(under_way, subject)


async def restrict_in(under_way: Act, subject: str) -> Mapping[str, Any] | None:
    """The same, in an act about this customer."""
    desk = under_way.desk
    kind = await desk.check(subject)
    if not rights_of(desk.rules).restriction:
        raise ConsentryError("the rules do not enforce restrictions: write `rights: {restriction: enforced}`")
    query = f"INSERT INTO consentry.restrictions (subject) VALUES ($1::text::{kind}) ON CONFLICT DO NOTHING"
    if await desk.connection.execute(query, subject) == "INSERT 0 0":
        return None
    return await under_way.finish({})


async def lift(desk: Desk, subject: str) -> Mapping[str, Any] | None:
    """The receipt; None where nothing was restricted."""
    subject = await desk.key(subject)
    async with act(desk, "lift", subject=subject) as under_way:
        return await lift_in(under_way, subject)


async def lift_in(under_way: Act, subject: str) -> Mapping[str, Any] | None:
    """The same, in an act about this customer."""
    desk = under_way.desk
    kind = await desk.check(subject)
    query = f"DELETE FROM consentry.restrictions WHERE subject = $1::text::{kind}"
    if await desk.connection.execute(query, subject) == "DELETE 0":
        return None
    return await under_way.finish({})


async def restricted_since(connection: asyncpg.Connection, subject: str, kind: str) -> datetime | None:
    """Since when the customer's data is restricted; None: it is not. `kind`: the type of the customers' keys."""
    if await connection.fetchval("SELECT pg_catalog.to_regclass('consentry.restrictions')") is None:
        return None
    query = f"SELECT since FROM consentry.restrictions WHERE subject = $1::text::{kind}"
    found: datetime | None = await connection.fetchval(query, subject)
    return found
