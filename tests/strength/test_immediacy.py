"""A change of consent counts from its commit: whatever an app asks afterwards is answered by it (consent.md).

Eight apps read by statements that were prepared beforehand while consents flip; the history of both is judged.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from time import perf_counter_ns

import asyncpg
import pytest

from proxy.consent import service
from proxy.consent.service import Vocabulary
from tests.gateways import GatewayProcess, running_gateway, set_up_consent, write_settings
from tests.servers import PgServer
from tests.strength.history import Read, Write, stale_reads

APPS = [f"partner{number}" for number in range(8)]
SUBJECTS = (1, 2)
WRITERS = 4  # each app's consents are changed by one of them
TEXT = "SELECT email FROM customers WHERE id = $1"

RULES = f"""
version: 1
attributes: {{email: {{label: Email}}}}
tables: {{public.customers: {{subject: id, columns: {{id: open, email: email}}}}}}
apps: {{{", ".join(f"{app}: {{logins: [im_{app}], kind: partner}}" for app in APPS)}}}
policies: [{{name: agreed, attributes: [email], action: show, consent: opt_in}}]
"""


@pytest.fixture(scope="module")
def gateway(pg_server: PgServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    pg_server.create_database(
        "immediacy",
        "CREATE TABLE customers (id bigint PRIMARY KEY, email text);"
        "INSERT INTO customers VALUES (1, 'one@example.org'), (2, 'two@example.org');"
        "GRANT SELECT ON customers TO PUBLIC",
    )
    for app in APPS:
        pg_server.create_login(f"im_{app}", group="auth_trust")
    folder = tmp_path_factory.mktemp("immediacy")
    write_settings(pg_server, folder, RULES, {"shop": "immediacy"})
    set_up_consent(folder, "shop")
    with running_gateway(pg_server, folder, RULES, {"shop": "immediacy"}) as running:
        yield running


async def flip(dsn: str, apps: list[str], count: int, writes: list[Write]) -> None:
    """Grants and withdraws in turn, `count` changes in all."""
    connection = await asyncpg.connect(dsn)
    words = Vocabulary(APPS, ["email"])
    try:
        for number in range(count):
            place, turn = divmod(number, len(SUBJECTS))
            turn_of_app, app = divmod(place, len(apps))
            key = (apps[app], SUBJECTS[turn])
            granted = turn_of_app % 2 == 0
            began = perf_counter_ns()
            await (service.grant if granted else service.withdraw)(connection, words, str(key[1]), key[0], "email")
            writes.append(Write(key, granted, began, perf_counter_ns()))
        for app in apps:  # as they were
            for subject in SUBJECTS:
                began = perf_counter_ns()
                await service.withdraw(connection, words, str(subject), app, "email")
                writes.append(Write((app, subject), False, began, None))
    finally:
        await connection.close()


async def ask(
    gateway: GatewayProcess,
    app: str,
    reads: list[Read],
    done: asyncio.Event,
    first: Callable[[asyncpg.Connection], Awaitable[None]] | None = None,
) -> None:
    connection = await asyncpg.connect(gateway.dsn(f"im_{app}", "shop"))
    try:
        if first is not None:
            await first(connection)
        statement = await connection.prepare(TEXT)
        await statement.fetchval(SUBJECTS[0])
        while not done.is_set():
            for subject in SUBJECTS:
                began = perf_counter_ns()
                value = await statement.fetchval(subject)
                reads.append(Read(app, (app, subject), value is not None, began, perf_counter_ns()))
    finally:
        await connection.close(timeout=5)


async def history(
    gateway: GatewayProcess,
    dsn: str,
    count: int,
    first: Callable[[asyncpg.Connection], Awaitable[None]] | None = None,
) -> tuple[list[Write], list[Read]]:
    writes: list[Write] = []
    reads: list[Read] = []
    done = asyncio.Event()
    readers = [asyncio.ensure_future(ask(gateway, app, reads, done, first)) for app in APPS]
    try:
        await asyncio.gather(*(flip(dsn, APPS[n::WRITERS], count // WRITERS, writes) for n in range(WRITERS)))
    finally:
        done.set()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*readers)
    return writes, reads


def judge(writes: list[Write], reads: list[Read], count: int) -> None:
    assert sum(write.ended is not None for write in writes) == count
    assert stale_reads(False, writes, reads) == []
    assert len(reads) > count  # and there was something to judge, of both kinds
    assert len({(read.key, read.value) for read in reads}) == 2 * len(APPS) * len(SUBJECTS)


async def test_no_read_is_stale(gateway: GatewayProcess, pg_server: PgServer) -> None:
    judge(*await history(gateway, pg_server.dsn("immediacy"), 3_000), 3_000)


@pytest.mark.nightly
async def test_no_read_is_stale_at_night(gateway: GatewayProcess, pg_server: PgServer) -> None:
    judge(*await history(gateway, pg_server.dsn("immediacy"), 10_000), 10_000)


async def test_a_snapshot_that_is_kept_is_told(gateway: GatewayProcess, pg_server: PgServer) -> None:
    """The judge sees what is stale: apps that read in one REPEATABLE READ transaction."""

    async def begin(connection: asyncpg.Connection) -> None:
        await connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")

    assert stale_reads(False, *await history(gateway, pg_server.dsn("immediacy"), 80, begin))


def test_the_judge() -> None:
    writes = [Write("k", True, 10, 20), Write("k", False, 30, 40)]

    def stale(*reads: tuple[bool, int, int]) -> int:
        return len(stale_reads(False, writes, [Read("r", "k", *read) for read in reads]))

    assert stale((False, 1, 5), (False, 12, 15), (True, 16, 18), (True, 21, 25), (False, 41, 50)) == 0
    assert stale((False, 21, 25)) == 1  # the grant was acknowledged
    assert stale((True, 1, 9)) == 1  # not begun yet
    assert stale((True, 31, 35), (False, 36, 38), (True, 39, 39)) == 1  # and back again
    assert stale((True, 41, 50)) == 1
    assert stale((True, 15, 35)) == 0
