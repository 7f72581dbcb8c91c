"""The audit log through kill -9 and a full disk: it opens again, verifies, and covers what clients received."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

import psycopg
import pytest
from psycopg import errors

from proxy.wire import messages
from tests.gateways import GatewayProcess, audit_records, consentry, eventually, running_gateway, write_settings
from tests.integration.test_audit_verify import verify
from tests.servers import PgServer
from tests.shops import RULES, prepare_shop
from tests.wire.client import RawClient


@pytest.fixture(scope="module")
def server(pg_server: PgServer, tmp_path_factory: pytest.TempPathFactory) -> PgServer:
    prepare_shop(pg_server, tmp_path_factory.mktemp("crashed"), "crashed", ("crm_app",))
    return pg_server


class Load:
    """Clients that ask until their connection is lost, and keep what they were answered."""

    def __init__(self, gateway: GatewayProcess, numbers: Iterator[int], clients: int = 4) -> None:
        self.received: list[int] = []
        self._numbers = numbers
        self._threads = [threading.Thread(target=self._ask, args=(gateway, one % 2 == 0)) for one in range(clients)]
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        for thread in self._threads:
            thread.join(30)
            assert not thread.is_alive()

    def _ask(self, gateway: GatewayProcess, long: bool) -> None:
        with suppress(psycopg.Error):
            options = {"autocommit": True, "prepare_threshold": None}
            with psycopg.connect(gateway.dsn("crm_app", "shop"), **options) as connection:  # type: ignore[arg-type]
                while True:
                    number = next(self._numbers)
                    if long:  # an answer of many parts
                        text = f"SELECT {number}, email, repeat('x', 500) FROM customers, generate_series(1, 100)"
                        for _ in connection.cursor().stream(text):
                            self.received.append(number)
                            break
                        continue
                    text = f"SELECT email, {number} FROM customers"
                    if len(connection.execute(text).fetchall()) == 5:
                        self.received.append(number)


def killed_at_random(server: PgServer, folder: Path, times: int, fsync: bool = False, workers: int = 1) -> None:
    """`workers`: where there are several, now and then one of them is killed before all are."""
    chance = random.Random(times)
    write_settings(
        server,
        folder,
        RULES,
        {"shop": "crashed"},
        {"workers": workers, "audit": {"text": "full", "fsync": fsync, "rotate": {"size": "200kB"}}},
    )
    numbers = count(1_000_000)
    received: list[int] = []
    for _ in range(times):
        gateway = GatewayProcess(folder)
        load = Load(gateway, numbers)
        try:
            eventually(lambda load=load: len(load.received) > 4)  # type: ignore[misc]
            time.sleep(chance.random() * 0.2)  # the moment is what is random here
            if workers > 1 and chance.random() < 0.5:
                chance.choice(gateway.worker_processes()).kill()
                time.sleep(chance.random())  # it may be replaced by then, or not yet
        finally:
            gateway.kill()
        load.join()
        received += load.received
    gateway = GatewayProcess(folder)
    assert gateway.stop() == 0
    code, facts = verify(folder)
    assert code == 0, facts
    assert {one["unsigned"] for one in facts["logs"]} == {0}
    assert len(facts["logs"]) == workers
    covered = set()
    for record in audit_records(folder / "audit"):
        if record["event"] in ("statement", "started"):
            assert [item["column"] for item in record["disclosed"]] == ["email"]
            covered.update(int(found) for found in re.findall(r"\b1\d{6}\b", record["statement"]))
    assert len(received) > 4 * times
    assert set(received) <= covered


def test_a_log_covers_what_clients_received_before_a_kill(server: PgServer, tmp_path: Path) -> None:
    killed_at_random(server, tmp_path, 6)


def test_a_log_that_is_synced_covers_what_clients_received_before_a_kill(server: PgServer, tmp_path: Path) -> None:
    killed_at_random(server, tmp_path, 2, fsync=True)


def test_logs_of_several_workers_cover_what_clients_received_before_kills(server: PgServer, tmp_path: Path) -> None:
    killed_at_random(server, tmp_path, 3, workers=3)


def test_an_answer_that_a_kill_cut_off_is_read_by_all_who_ask(server: PgServer, tmp_path: Path) -> None:
    write_settings(server, tmp_path, RULES, {"shop": "crashed"})
    gateway = GatewayProcess(tmp_path)
    with RawClient(gateway.port) as client:
        client.start("crm_app", "shop")
        client.send(messages.query(b"SELECT email FROM customers"))
        client.send(messages.query(b"SELECT c.email, repeat('x', 1000) FROM customers c, generate_series(1, 200000)"))
        found = b""
        while found.count(b"ann@example.org") < 3:
            found += client.sock.recv(100_000)
        gateway.kill()
    assert [one["event"] for one in audit_records(tmp_path / "audit") if "disclosed" in one] == ["statement", "started"]
    gateway = GatewayProcess(tmp_path)
    assert gateway.stop() == 0
    begun, ended = [one for one in audit_records(tmp_path / "audit") if "disclosed" in one][1:]
    assert (ended["event"], ended["sqlstate"]) == ("statement", "08006")
    shared = begun.keys() - {"time", "seq", "event", "prev", "duration_us"}
    assert {name: ended[name] for name in shared} == {name: begun[name] for name in shared}
    report = json.loads(consentry(tmp_path, "audit", "report", "--format", "json", "--from", "1d"))
    (app,) = report["apps"]
    assert [(one["attribute"], one["statements"]) for one in app["readings"]] == [("email", 2)]
    gateway = GatewayProcess(tmp_path)
    assert gateway.stop() == 0
    assert len([one for one in audit_records(tmp_path / "audit") if "disclosed" in one]) == 3, "told once"
    assert verify(tmp_path)[0] == 0


@pytest.mark.nightly
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("workers", [1, 4])
def test_two_hundred_kills(server: PgServer, tmp_path: Path, workers: int) -> None:
    killed_at_random(server, tmp_path, 200 // workers, workers=workers)


@contextmanager
def mounted(place: Path, options: str) -> Iterator[Path]:
    """An empty disk at that place."""
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        pytest.skip("only root mounts a disk")
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", place]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 256 kB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    with mounted(disk, "size=256k"):
        yield disk


def ask_until_refused(gateway: GatewayProcess) -> int:
    """How often it was answered before."""
    answered = 0
    connection = psycopg.connect(gateway.dsn("crm_app", "shop"), autocommit=True)
    with pytest.raises(errors.IoError, match="the audit log cannot be written"):  # noqa: PT012
        while True:
            connection.execute("SELECT email FROM customers")
            answered += 1
    return answered


def test_a_folder_that_becomes_read_only(server: PgServer, tmp_path: Path) -> None:
    """The file that is open can still be written; the next one cannot be made."""
    settings = {"audit": {"rotate": {"size": "20kB"}}}
    with running_gateway(server, tmp_path, RULES, {"shop": "crashed"}, settings) as gateway:
        with mounted(tmp_path / "audit", "ro,size=64k"):
            answered = ask_until_refused(gateway)
            gateway.wait_for_line("audit: .* cannot be written: Read-only file system")
            waiting = psycopg.connect(gateway.dsn("crm_app", "shop"), autocommit=True)
            with pytest.raises(errors.IoError, match="the audit log cannot be written"):
                waiting.execute("SELECT email FROM customers")
        gateway.wait_for_line("audit: .* can be written again")
        with waiting:
            waiting.execute("SELECT phone FROM customers")  # its session goes on
    found = [record["event"] for record in audit_records(tmp_path / "audit")]
    assert found.count("statement") == answered + 2  # the one that was withheld, and the last one
    assert found.count("refused") == 1
    code, facts = verify(tmp_path)
    assert code == 0, json.dumps(facts)


def test_a_full_disk(server: PgServer, tmp_path: Path, small_disk: Path) -> None:
    settings = {"audit": {"directory": str(small_disk / "audit")}}
    with running_gateway(server, tmp_path, RULES, {"shop": "crashed"}, settings) as gateway:
        (small_disk / "filler").write_bytes(b"\0" * 100 * 1024)
        answered = ask_until_refused(gateway)
        gateway.wait_for_line("audit: .* cannot be written: No space left on device")
        with psycopg.connect(gateway.dsn("crm_app", "shop"), autocommit=True) as connection:
            with pytest.raises(errors.IoError, match="the audit log cannot be written"):
                connection.execute("SELECT email FROM customers")
            (small_disk / "filler").unlink()
            gateway.wait_for_line("audit: .* can be written again")
            connection.execute("SELECT phone FROM customers")
    found = [record["event"] for record in audit_records(small_disk / "audit")]
    assert found.count("statement") == answered + 2  # the one that was withheld, and the last one
    assert "refused" in found
    code, facts = verify(tmp_path)
    assert code == 0, json.dumps(facts)
