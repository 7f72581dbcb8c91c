"""Consentry's own connection: a question that was given up leaves nothing to the next one."""

from __future__ import annotations

import asyncio

import asyncpg

from proxy.server.assemble import Control
from tests.servers import PgServer


async def test_a_question_that_was_given_up_does_not_spoil_the_next(pg_server: PgServer) -> None:
    """A gateway that stops gives up what it asks, and copies the log's last checkpoints then."""
    control = Control(pg_server.dsn("postgres"))
    asked = asyncio.Event()

    async def wait(connection: asyncpg.Connection) -> None:
        await connection.execute("BEGIN")
        asked.set()
        await connection.execute("SELECT pg_sleep(600)")

    asking = asyncio.create_task(control.ask(wait))
    await asked.wait()
    asking.cancel()
    await asyncio.wait((asking,))
    assert await control.ask(lambda connection: connection.fetchval("SELECT 1")) == 1
