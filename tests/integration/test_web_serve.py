"""`consentry serve` with a web side: one process beside the other, and what is left when one is killed."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import asyncpg
import httpx
import psutil
import pytest

from proxy.web.tokens import add
from tests.gateways import COMMAND, GatewayProcess, environment, set_up_consent, write_settings
from tests.servers import PgServer

RULES = """
version: 1
attributes: {email: {label: Email}}
tables: {public.customers: {subject: id, columns: {id: open, email: email}}}
apps: {mailco: {logins: [served_mailco], kind: partner}}
policies: [{name: agreed, attributes: [email], action: show, consent: opt_in}]
"""
LISTENS = re.compile(r"the web side listens on \('127\.0\.0\.1', (\d+)\)")


@pytest.fixture
def gateway(pg_server: PgServer, tmp_path: Path) -> Iterator[GatewayProcess]:
    pg_server.create_database("web_serve", "CREATE TABLE customers (id bigint PRIMARY KEY, email text)")
    pg_server.create_login("served_mailco", group="auth_trust")
    settings = {"web": {"listen": "127.0.0.1:0", "login": {"secret_file": "web.key"}}}
    write_settings(pg_server, tmp_path, RULES, {"shop": "web_serve"}, settings)
    set_up_consent(tmp_path, "shop")
    running = GatewayProcess(tmp_path)
    yield running
    running.kill()


def wait_until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def ports(gateway: GatewayProcess) -> list[int]:
    """Where the web side has listened, in the order of its starts."""
    return [int(found[1]) for line in list(gateway.lines) if (found := LISTENS.search(line))]


def web_port(gateway: GatewayProcess, starts: int = 1) -> int:
    wait_until(lambda: len(ports(gateway)) >= starts, f"no start {starts} of the web side:\n{gateway.log}")
    port = ports(gateway)[starts - 1]

    def answers() -> bool:
        with suppress(httpx.TransportError):
            return httpx.get(f"http://127.0.0.1:{port}/readyz").status_code == 200
        return False

    wait_until(answers, f"the web side does not answer:\n{gateway.log}")
    return port


def web_process(gateway: GatewayProcess) -> psutil.Process:
    children = psutil.Process(gateway.pid).children()
    (found,) = (child for child in children if "web" in child.cmdline())
    return found


def test_it_is_started_and_ended_with_the_gateway(gateway: GatewayProcess) -> None:
    port = web_port(gateway)
    web = web_process(gateway)
    assert gateway.stop() == 0
    assert not web.is_running()
    with pytest.raises(httpx.TransportError):
        httpx.get(f"http://127.0.0.1:{port}/healthz")


def test_it_ends_with_a_gateway_that_is_killed(gateway: GatewayProcess) -> None:
    web_port(gateway)
    web = web_process(gateway)
    os.kill(gateway.pid, signal.SIGKILL)
    web.wait(30)


def test_rules_that_change_are_taken(gateway: GatewayProcess, pg_server: PgServer) -> None:
    port = web_port(gateway)
    secret = asyncio.run(make_token(pg_server))

    def label() -> str:
        answer = httpx.get(
            f"http://127.0.0.1:{port}/api/subjects/1/access", headers={"Authorization": f"Bearer {secret}"}
        )
        return str(answer.json()["apps"][0]["label"])

    assert label() == "mailco"
    assert gateway.reload(RULES.replace("kind: partner", "kind: partner, label: Mail and Co"))
    wait_until(lambda: label() == "Mail and Co", "the new rules are not taken")


def test_that_it_cannot_start_is_said_in_a_line(gateway: GatewayProcess) -> None:
    gateway.kill()
    (rules,) = gateway.folder.glob("rules*")
    for file in rules.iterdir():
        file.unlink()
    command = [*COMMAND, "web", "--config", str(gateway.folder / "consentry.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment())
    assert done.returncode == 3
    assert re.fullmatch(r"consentry: .*rules.*\n", done.stderr), done.stderr


async def make_token(server: PgServer) -> str:
    connection = await asyncpg.connect(server.dsn("web_serve"))
    try:
        return (await add(connection, f"token {time.monotonic_ns()}", ["read", "write"]))[1]
    finally:
        await connection.close()


async def test_what_was_acknowledged_is_there_when_it_was_killed(gateway: GatewayProcess, pg_server: PgServer) -> None:
    secret = await make_token(pg_server)
    acknowledged: dict[str, int] = {}
    sent: set[str] = set()
    for start in range(1, 4):
        port = await asyncio.to_thread(web_port, gateway, start)
        process = web_process(gateway)

        async def write(worker: int, port: int = port, start: int = start) -> None:
            headers = {"Authorization": f"Bearer {secret}"}
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers) as client:
                with suppress(httpx.TransportError):
                    for number in range(10_000):
                        subject = str(start * 1_000_000 + worker * 100_000 + number)
                        sent.add(subject)
                        address = f"/api/subjects/{subject}/consents/mailco/email"
                        answer = await client.put(address, json={"decision": "granted"})
                        assert answer.status_code == 200, answer.text
                        acknowledged[subject] = answer.json()["records"][0]["id"]

        writers = [asyncio.ensure_future(write(worker)) for worker in range(4)]
        before = len(acknowledged)
        async with asyncio.timeout(30):
            while len(acknowledged) < before + 100:
                await asyncio.sleep(0.005)
        process.kill()
        await asyncio.gather(*writers)
    connection = await asyncpg.connect(pg_server.dsn("web_serve"))
    try:
        events = {
            str(r["subject"]): r["id"] for r in await connection.fetch("SELECT subject, id FROM consentry.events")
        }
        state = {str(r["subject"]) for r in await connection.fetch("SELECT subject FROM consentry.state_mailco")}
    finally:
        await connection.close()
    assert acknowledged.items() <= events.items()
    assert set(events) == state  # none is half there
    assert set(events) <= sent
