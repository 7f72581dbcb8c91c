"""How consents changed in a time, counted: for reports."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import asyncpg

from proxy.errors import ConsentryError


async def changes(
    connection: asyncpg.Connection, since: datetime | None, until: datetime | None
) -> list[dict[str, Any]]:
    """By app, attribute, decision and who made it: `decisions`, and of how many `customers`. Raises ConsentryError."""
    try:
        rows = await connection.fetch(
            "SELECT app, attribute, decision, actor, count(*) AS decisions, count(DISTINCT subject) AS customers "
            "FROM consentry.events WHERE at >= coalesce($1::timestamptz, '-infinity') "
            "AND at <= coalesce($2::timestamptz, 'infinity') "
            "GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4",
            since,
            until,
        )
    except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError) as error:
        raise ConsentryError('the database has no ledger; run "consentry consent setup"') from error
    return [dict(row) for row in rows]
