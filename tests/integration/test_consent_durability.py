"""kill -9 of the database in the middle of decisions: none that was acknowledged is lost, and none is half there."""

from __future__ import annotations

import asyncio
import io
import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
import pytest

from proxy.consent import ledger, service
from proxy.consent.import_export import import_records
from proxy.consent.names import Names
from proxy.consent.service import Decision, Origin, Vocabulary
from proxy.demo.postgres import embedded_binaries, local_binaries
from proxy.policy.table import CompiledRules
from tests.integration.test_consent import verify_chain
from tests.servers import PgServer, start_server

WORDS = Vocabulary(["mailco"], ["email", "phone"])
NAMES = Names(WORDS, CompiledRules("v", {}, {}), {})
GONE = (OSError, asyncpg.PostgresConnectionError, asyncpg.InterfaceError, asyncpg.CannotConnectNowError)
DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}
WRITERS, FILE = 6, 1500


@pytest.fixture(scope="module")
def own_server() -> Iterator[PgServer]:
    """A server that writes as one in production does."""
    binaries = embedded_binaries() or local_binaries()
    if binaries is None:
        pytest.skip("no PostgreSQL that a test may kill")
    server = start_server(binaries, settings=DURABLE)
    yield server
    server.close()


def kill(server: PgServer) -> None:
    """kill -9 of the postmaster and of every process of it; returns when none is left."""
    assert server.process is not None
    lock = server.process.data / "postmaster.pid"
    postmaster = int(lock.read_text().split()[0])
    os.kill(postmaster, signal.SIGSTOP)  # so that it tells nobody
    children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
    pids = [*map(int, children), postmaster]
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    while any(_runs(pid) for pid in pids):
        os.sched_yield()
    lock.unlink()  # where nobody waits for the dead postmaster, its number is still taken


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except FileNotFoundError:
        return False


@dataclass
class Told:
    """What the writers know: what was acknowledged, and what they had sent when the database was gone."""

    decided: dict[tuple[str, str], Decision] = field(default_factory=dict)  # (subject, request)
    sent: dict[tuple[str, str], Decision] = field(default_factory=dict)
    imported: set[str] = field(default_factory=set)
    importing: set[str] = field(default_factory=set)
    enough: asyncio.Event = field(default_factory=asyncio.Event)
    wanted: int = 0


async def decide(dsn: str, told: Told, writer: int) -> None:
    """Decisions about two attributes at once, for a subject of the writer's own and for one that all share."""
    number = 0
    with suppress(*GONE):
        connection = await asyncpg.connect(dsn)
        while True:
            number += 1
            subject = str(writer if number % 3 else 99)
            key = (subject, f"{told.wanted} {writer} {number}")
            decision: Decision = "granted" if number % 2 else "withdrawn"
            told.sent[key] = decision
            await service.decide(
                connection, WORDS, subject, "mailco", ["email", "phone"], decision, scope="all", request=key[1]
            )
            told.decided[key] = told.sent.pop(key)
            if len(told.decided) >= told.wanted:
                told.enough.set()


async def take_files(dsn: str, told: Told) -> None:
    number = 0
    with suppress(*GONE):
        connection = await asyncpg.connect(dsn)
        while True:
            number += 1
            key = f"file {told.wanted} {number}"
            lines = "".join(f"{1000 + n},mailco,email,granted\n" for n in range(FILE))
            file = io.BytesIO(f"subject,app,attribute,decision\n{lines}".encode())
            told.importing.add(key)
            await import_records(connection, NAMES, file, "csv", origin=Origin("import", key), key=key)
            told.importing.remove(key)
            told.imported.add(key)


@pytest.mark.parametrize("wanted", [40, 150, 333])
async def test_what_was_acknowledged_is_there_and_nothing_is_half_there(own_server: PgServer, wanted: int) -> None:
    dsn = own_server.create_database("killed")
    connection = await asyncpg.connect(dsn)
    await ledger.setup(connection, "bigint", WORDS.apps)
    await connection.close()
    told = Told(wanted=wanted)
    work = [decide(dsn, told, writer) for writer in range(1, WRITERS + 1)]
    running = asyncio.gather(*work, take_files(dsn, told))
    async with asyncio.timeout(60):
        await told.enough.wait()
        await asyncio.to_thread(kill, own_server)
        await running
    assert own_server.process is not None
    await asyncio.to_thread(own_server.process.start)

    connection = await asyncpg.connect(dsn)
    try:
        assert len(told.decided) >= wanted
        assert told.sent
        for (subject, request), decision in told.decided.items():
            events = await service.decision(connection, subject, request)
            assert [(e.attribute, e.decision) for e in events] == [("email", decision), ("phone", decision)]
        for (subject, request), decision in told.sent.items():
            before = await service.decision(connection, subject, request)
            assert len(before) in (0, 2)
            again = await service.decide(
                connection, WORDS, subject, "mailco", ["email", "phone"], decision, scope="all", request=request
            )
            assert len(again) == 2
            assert before in ([], again)
        for key in told.imported | told.importing:
            query = "SELECT count(*) FROM consentry.events WHERE source LIKE '%, ' || $1::text"
            found = await connection.fetchval(query, key)
            kept = await connection.fetchval("SELECT events FROM consentry.imports WHERE key = $1", key)
            assert (found, kept) in ([(FILE, FILE)] if key in told.imported else [(FILE, FILE), (0, None)])
        for row in await connection.fetch("SELECT subject, count(*) AS events FROM consentry.events GROUP BY 1"):
            assert await verify_chain(connection, row["subject"]) == row["events"]
        await state_is_what_the_events_say(connection)
    finally:
        await connection.close()


async def state_is_what_the_events_say(connection: asyncpg.Connection) -> None:
    wrong = await connection.fetch(
        """WITH last AS (SELECT DISTINCT ON (subject, attribute) subject, attribute, decision FROM consentry.events
                         ORDER BY subject, attribute, at DESC, id DESC)
           SELECT l.* FROM last l LEFT JOIN consentry.state s ON s.subject = l.subject AND s.app = 'mailco'
           WHERE (l.attribute = ANY (s.granted)) IS DISTINCT FROM (l.decision = 'granted')
              OR coalesce(l.attribute = ANY (s.withdrawn), false) <> (l.decision = 'withdrawn')"""
    )
    assert wrong == []
