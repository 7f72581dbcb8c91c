"""The audit log against the truth, which is what the database itself has logged: each statement that reached it has
exactly one record, and no record is without one.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from threading import Thread
from typing import Any

import psycopg
import pytest

from proxy.wire import messages
from tests import truth
from tests.gateways import GatewayProcess, running_gateway
from tests.servers import PgServer
from tests.shops import RULES, prepare_shop
from tests.wire.client import RawClient

ROOT = Path(__file__).parents[2]
LOGINS = ("crm_app", "mailco_app", "deploy", "analytics_app")
CLIENTS = 8
PG_BACKEND_PID = (2026).to_bytes(4, "big") + b"\0\0\0\0\0\0"  # a function call without arguments


@pytest.fixture(scope="module")
def server() -> Iterator[PgServer]:
    server = truth.start_logging_server()
    yield server
    server.close()


def log_of(server: PgServer) -> str:
    assert server.process is not None
    return server.process.log()


def by_psycopg(gateway: GatewayProcess, login: str, rounds: int) -> None:
    with psycopg.connect(gateway.dsn(login, "shop"), autocommit=True, prepare_threshold=2) as connection:
        for number in range(rounds):
            with suppress(psycopg.Error):
                connection.execute("SELECT email FROM customers WHERE id = %s", [number % 7])
            for text in (
                f"SELECT {number} / (id - 3) FROM customers",  # fails in some rows
                "SELEKT 1",
                "SELECT nothing FROM customers",
                "UPDATE customers SET email = 'x' WHERE id = 1",  # refused for mailco
                "SELECT 1; SELECT full_name FROM customers; SELECT 1/0; SELECT 2",
                "SELECT 3; SELEKT 4",
                "",
                " ; ",
                "DO $$ BEGIN PERFORM 1; END $$",
                "PREPARE p AS SELECT phone FROM customers\nWHERE id = $1",
                "EXECUTE p (1)",
                "DEALLOCATE p",
            ):
                with suppress(psycopg.Error):
                    connection.execute(text.encode())
            with suppress(psycopg.Error), connection.transaction():
                connection.execute("DECLARE c CURSOR FOR SELECT email FROM customers")
                connection.execute("FETCH 2 FROM c")
                connection.execute("SELECT broken")
            with suppress(psycopg.Error), connection.pipeline() as pipeline:
                for wanted in (1, 2, "none"):
                    connection.execute("SELECT full_name FROM customers WHERE id = %s", [wanted])
                pipeline.sync()
                connection.execute("SELECT 5")
            with (
                suppress(psycopg.Error),
                connection.cursor().copy("COPY (SELECT email FROM customers) TO STDOUT") as out,
            ):
                for _ in out:
                    pass
            with suppress(psycopg.Error), connection.cursor().copy("COPY products (sku, title) FROM STDIN") as into:
                into.write("too\tmany\tcolumns\n")
            with suppress(psycopg.Error), connection.cursor(name="named") as cursor:
                cursor.execute("SELECT email FROM customers")
            with suppress(psycopg.Error):
                connection.cursor().executemany("SELECT title FROM products WHERE sku = %s", [("a",), ("b",)])


def by_hand(gateway: GatewayProcess, login: str, rounds: int) -> None:
    """Messages that drivers do not send: portals in parts, batches that fail in the middle, many in one packet."""
    with RawClient(gateway.port, 60) as client:
        client.start(login, "shop")

        def step(text: bytes, limit: int = 0) -> bytes:
            execute = messages.message(messages.EXECUTE, b"\0" + limit.to_bytes(4, "big"))
            return messages.parse(b"", messages.parse_rest(text)) + messages.bind(b"", b"") + execute

        part = messages.message(messages.EXECUTE, b"\0" + (2).to_bytes(4, "big"))
        for _ in range(rounds):
            client.send(step(b"SELECT email FROM customers", 2), part, part, messages.SYNC_MESSAGE)
            client.until_ready()
            client.send(step(b"SELECT 1"), step(b"SELECT 1/0"), step(b"SELECT 2"), messages.SYNC_MESSAGE)
            client.until_ready()
            client.send(step(b"SELECT 3"), step(b"SELEKT 4"), step(b"SELECT 5"), messages.SYNC_MESSAGE)
            client.until_ready()
            client.send(step(b"SELECT card_no FROM customers"), step(b"SELECT 6"), messages.SYNC_MESSAGE)
            client.until_ready()
            client.send(step(b""), messages.SYNC_MESSAGE)
            client.until_ready()
            client.send(messages.bind(b"", b"missing"), messages.SYNC_MESSAGE)
            client.until_ready()
            client.send(messages.message(messages.FUNCTION_CALL, PG_BACKEND_PID))
            client.until_ready()
            client.send(*[messages.query(b"SELECT %d" % n) for n in range(20)])
            for _ in range(20):
                client.until_ready()
        client.send(b"X\0\0\0\4")
        client.until_closed()


def run_all(gateway: GatewayProcess, rounds: int) -> None:
    """Several clients at once, of governed, trusted and monitored apps."""
    works: list[Any] = [by_psycopg, by_hand]
    threads = [
        Thread(target=works[number % 2], args=(gateway, LOGINS[number // 2 % len(LOGINS)], rounds))
        for number in range(CLIENTS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
        assert not thread.is_alive()


@pytest.mark.parametrize(("workers", "fsync"), [(8, False), (1, True)])
def test_each_statement_has_a_record_and_each_record_a_statement(
    server: PgServer, tmp_path: Path, workers: int, fsync: bool
) -> None:
    prepare_shop(server, tmp_path, "truth")
    rules = RULES.replace("  analytics:\n", "  analytics:\n    mode: monitor\n")
    assert rules != RULES
    settings = {"workers": workers, "audit": {"text": "full", "fsync": fsync, "rotate": {"size": "100kB"}}}
    before = len(log_of(server))
    with running_gateway(server, tmp_path, rules, {"shop": "truth"}, settings) as gateway:
        run_all(gateway, 1 if fsync else 3)
        assert {one["worker"] for one in gateway.records("statement")} == set(range(workers))
    assert truth.compare(log_of(server)[before:], [tmp_path / "audit"], LOGINS) > CLIENTS * 25


@pytest.mark.nightly
@pytest.mark.timeout(1200)
def test_under_eight_gateways_at_once(server: PgServer, tmp_path: Path) -> None:
    prepare_shop(server, tmp_path, "truth")
    before = len(log_of(server))
    folders = [tmp_path / str(number) for number in range(8)]
    with ExitStack() as running:
        gateways = []
        for folder in folders:
            folder.mkdir()
            settings = {"audit": {"text": "full", "rotate": {"size": "100kB"}}}
            gateways.append(running.enter_context(running_gateway(server, folder, RULES, {"shop": "truth"}, settings)))
        with ThreadPoolExecutor(len(gateways)) as pool:
            list(pool.map(run_all, gateways, [3] * len(gateways)))
    found = truth.compare(log_of(server)[before:], [folder / "audit" for folder in folders], LOGINS)
    assert found > len(folders) * CLIENTS * 25


@pytest.mark.nightly
@pytest.mark.timeout(3000)
def test_the_drivers_own_tests(server: PgServer, tmp_path: Path) -> None:
    """All that psycopg, asyncpg, SQLAlchemy, Django, psql and node-postgres send in their tests."""
    before = len(log_of(server))
    modules = sorted(str(path) for path in Path(__file__).parent.glob("test_drivers_*.py"))
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--basetemp",
        str(tmp_path / "all"),
        *modules,
    ]
    environment = {**os.environ, "CONSENTRY_TEST_DSN": server.dsn(), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-5000:]
    folders = [path for path in (tmp_path / "all").rglob("audit") if path.is_dir()]
    log = log_of(server)[before:]
    # The same statements are sent to a twin directly.
    assert truth.compare(log, folders, truth.logins_of(log), alone=False) > 1000
