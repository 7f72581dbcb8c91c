"""Several workers, as users of `consentry serve` meet them: one gateway, whichever process has the connection."""

from __future__ import annotations

import re
import signal
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
from psycopg import errors

from tests.gateways import (
    GatewayProcess,
    consentry,
    eventually,
    fails_to_serve,
    running_gateway,
    write_settings,
)
from tests.servers import PgServer
from tests.shops import RULES, connect, prepare_shop

WORKERS = 3

Serve = Callable[..., GatewayProcess]


@pytest.fixture(scope="module")
def server(pg_server: PgServer, tmp_path_factory: pytest.TempPathFactory) -> PgServer:
    prepare_shop(pg_server, tmp_path_factory.mktemp("workers"), "workers")
    return pg_server


@pytest.fixture
def serve(server: PgServer, tmp_path: Path) -> Iterator[Serve]:
    """Runs `consentry serve` with several workers; it is stopped, and must end with status 0, at the test's end."""
    with ExitStack() as stack:

        def start(rules: str = RULES, **settings: Any) -> GatewayProcess:
            settings = {"workers": WORKERS, **settings}
            return stack.enter_context(running_gateway(server, tmp_path, rules, {"shop": "workers"}, settings))

        yield start


def worker_of(gateway: GatewayProcess, connection: psycopg.Connection[Any]) -> int:
    """Which worker has the connection, by the audit log."""
    process = connection.info.backend_pid
    found: list[int] = []

    def look() -> bool:
        found[:] = [one["worker"] for one in gateway.records("connect") if one["backend"] == process]
        return bool(found)

    eventually(look)
    return found[-1]


def one_of_each(gateway: GatewayProcess, stack: ExitStack, user: str = "crm_app") -> list[psycopg.Connection[Any]]:
    """A connection of each worker, by the worker's number."""
    made = {}
    while len(made) < WORKERS:
        connection = stack.enter_context(connect(gateway, user))
        made[worker_of(gateway, connection)] = connection
    return [made[number] for number in sorted(made)]


def test_connections_are_shared_out_evenly_and_the_limit_is_of_all(serve: Serve) -> None:
    gateway = serve(limits={"connections": 3 * WORKERS})
    with ExitStack() as stack:
        connections = [stack.enter_context(connect(gateway)) for _ in range(3 * WORKERS)]
        for connection in connections:
            assert connection.execute("SELECT count(*) FROM customers").fetchone() == (5,)
        assert Counter(worker_of(gateway, one) for one in connections) == dict.fromkeys(range(WORKERS), 3)
        with pytest.raises(psycopg.OperationalError, match="sorry, too many clients already"):
            connect(gateway)
        connections.pop().close()

        def has_room() -> bool:
            with suppress(psycopg.OperationalError):
                stack.enter_context(connect(gateway))
                return True
            return False

        eventually(has_room)


def test_all_workers_take_new_rules(serve: Serve) -> None:
    gateway = serve()
    with ExitStack() as stack:
        connections = one_of_each(gateway, stack)
        ask = "SELECT email FROM customers WHERE id = 1"
        for connection in connections:
            assert connection.execute(ask, prepare=True).fetchone() == ("ann@example.org",)
        assert gateway.reload(RULES.replace("crm_app", "nobody_app"))
        for connection in connections:
            with pytest.raises(psycopg.OperationalError, match="not listed"):
                connection.execute(ask)
    report = consentry(gateway.folder, "audit", "report", "--format", "json")
    assert report.count('"rules_version"') == 1


def test_a_cancel_request_reaches_the_session_whichever_worker_has_it(server: PgServer, serve: Serve) -> None:
    gateway = serve()
    with ExitStack() as stack:
        for connection in one_of_each(gateway, stack):
            asking = threading.Thread(target=_sleep, args=(connection, failures := []))
            asking.start()
            backend = connection.info.backend_pid
            eventually(lambda pid=backend: _active(server, pid))
            for _ in range(WORKERS):  # each cancel request is a connection of its own, on some worker
                connection.cancel_safe()
            asking.join(20)
            assert [type(one) for one in failures] == [errors.QueryCanceled]


def _sleep(connection: psycopg.Connection[Any], failures: list[Exception]) -> None:
    try:
        connection.execute("SELECT pg_sleep(60)")
    except psycopg.Error as error:
        failures.append(error)


def _active(server: PgServer, process: int) -> bool:
    with server.connect() as connection:
        found = connection.execute("SELECT state FROM pg_stat_activity WHERE pid = %s", [process]).fetchone()
    return found == ("active",)


def test_a_payload_is_its_app_s_own_across_workers(serve: Serve) -> None:
    gateway = serve()
    with ExitStack() as stack:
        listening = one_of_each(gateway, stack)
        for connection in listening:
            connection.execute("LISTEN news")
        partners = one_of_each(gateway, stack, "mailco_app")
        for connection in (*listening, *partners):
            connection.execute(f"NOTIFY news, '{connection.info.user}'")
        for number, connection in enumerate(listening):
            heard = [one.payload for one in connection.notifies(timeout=5, stop_after=2 * WORKERS)]
            assert heard == ["crm_app"] * WORKERS + [""] * WORKERS, number


class Asking:
    """A client that asks again and again, each time something else, until it is told to stop or its connection dies."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.connection = connection
        self.process = connection.info.backend_pid
        self.answers = 0
        self.error: Exception | None = None
        self.stopping = False
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self) -> None:
        self.stopping = True
        self._thread.join(20)

    def _run(self) -> None:
        try:
            while not self.stopping:
                self.connection.execute("SELECT email FROM customers WHERE id = 1").fetchone()
                self.answers += 1
        except psycopg.Error as error:
            self.error = error


def test_a_worker_that_is_killed_takes_only_its_own_connections_and_is_replaced(serve: Serve) -> None:
    gateway = serve()
    with ExitStack() as stack:
        clients = [Asking(one) for one in one_of_each(gateway, stack)]
        stack.callback(lambda: [client.stop() for client in clients])
        eventually(lambda: all(client.answers > 50 for client in clients))
        gateway.worker_processes()[1].kill()
        eventually(lambda: clients[1].error is not None)
        so_far = [client.answers for client in clients]
        eventually(lambda: all(clients[n].answers > so_far[n] + 50 for n in (0, 2)))
        gateway.wait_for_line("worker 1 ended with status -9 and took 1 connections along")
        gateway.wait_for_line("worker 1 takes connections again")
        again = one_of_each(gateway, stack)
        assert again[1].execute("SELECT email FROM customers WHERE id = 1").fetchone()
        for client in clients:
            client.stop()
        assert [client.error is None for client in clients] == [True, False, True]
        assert isinstance(clients[1].error, psycopg.OperationalError)
    assert gateway.stop() == 0
    told = Counter(one["session"] for one in gateway.records("statement"))
    sessions = {one["backend"]: one["session"] for one in gateway.records("connect")}
    for client in clients:
        assert told[sessions[client.process]] >= client.answers
    assert "3 whole" not in consentry(gateway.folder, "audit", "verify")  # it fails where a log is not whole


def test_without_the_process_that_listens_no_worker_is_left(server: PgServer, tmp_path: Path) -> None:
    write_settings(server, tmp_path, RULES, {"shop": "workers"}, {"workers": WORKERS})
    gateway = GatewayProcess(tmp_path)
    workers = gateway.worker_processes()
    assert len(workers) == WORKERS
    with connect(gateway) as connection:
        connection.execute("SELECT 1")
        gateway.kill()
        assert psutil.wait_procs(workers, timeout=10)[1] == []
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    with (
        running_gateway(server, tmp_path, RULES, {"shop": "workers"}, {"workers": WORKERS}) as again,
        connect(again) as connection,
    ):
        connection.execute("SELECT 1")
    consentry(tmp_path, "audit", "verify")


def test_transactions_end_before_the_workers_do(serve: Serve) -> None:
    gateway = serve()
    with ExitStack() as stack:
        connections = one_of_each(gateway, stack)
        for connection in connections:
            connection.execute("BEGIN")
        psutil.Process(gateway.pid).send_signal(signal.SIGTERM)
        eventually(lambda: "waiting for 1 transactions" in gateway.log)
        with pytest.raises(psycopg.OperationalError):
            connect(gateway)
        for connection in connections:
            connection.execute("SELECT count(*) FROM customers")
            connection.execute("COMMIT")
    assert gateway.stop() == 0


def test_ctrl_c_twice_ends_all_at_once(serve: Serve) -> None:
    gateway = serve()
    workers = gateway.worker_processes()
    with closing(connect(gateway)) as connection:
        connection.execute("BEGIN")
        psutil.Process(gateway.pid).send_signal(signal.SIGINT)
        eventually(lambda: "waiting for 1 transactions" in gateway.log)
        psutil.Process(gateway.pid).send_signal(signal.SIGINT)
        assert gateway.stop() == 0
        with pytest.raises(errors.AdminShutdown):
            connection.execute("SELECT 1")
    assert psutil.wait_procs(workers, timeout=1)[1] == []


@pytest.mark.parametrize(
    ("change", "settings", "status", "message"),
    [
        ("mask: tenz", {}, 1, 'consentry: rules/rules.yaml:\\d+: .*"tenz"'),
        ("mask: tens", {"databases": {"shop": {"upstream": "postgresql://127.0.0.1:1/x", "rules": "rules/"}}}, 3, "consentry: .*127.0.0.1"),
        ("mask: tens", {"tls": {"mode": "prefer", "certificate": "no.crt", "key": "no.key"}}, 1, "consentry: .*no.crt"),
    ],
)  # fmt: skip
def test_what_keeps_workers_from_starting_is_said_once(
    server: PgServer, tmp_path: Path, change: str, settings: dict[str, Any], status: int, message: str
) -> None:
    rules = RULES.replace("mask: tens", change)
    write_settings(server, tmp_path, rules, {"shop": "workers"}, {"workers": WORKERS, **settings})
    ended, told = fails_to_serve(tmp_path)
    assert ended == status, told
    (said,) = [line for line in told.splitlines() if line.startswith("consentry: ")]
    assert re.match(message, said), told


def test_a_second_gateway_on_the_port_is_an_error(server: PgServer, tmp_path: Path, serve: Serve) -> None:
    gateway = serve()
    other = tmp_path / "other"
    listen = {"workers": WORKERS, "listen": f"127.0.0.1:{gateway.port}"}
    write_settings(server, other, RULES, {"shop": "workers"}, listen)
    said = f"consentry: cannot listen on 127.0.0.1:{gateway.port}: Address already in use\n"
    assert fails_to_serve(other) == (1, said)


def test_changes_of_consent_are_recorded_once(serve: Serve) -> None:
    gateway = serve()
    consentry(gateway.folder, "consent", "grant", "3", "mailco", "email")
    consentry(gateway.folder, "consent", "withdraw", "3", "mailco", "email")
    eventually(lambda: len(gateway.records("consent")) >= 2)
    gateway.worker_processes()[0].kill()  # the one that records them
    gateway.wait_for_line("worker 0 takes connections again")
    consentry(gateway.folder, "consent", "grant", "3", "mailco", "email")
    eventually(lambda: len(gateway.records("consent")) >= 3)
    found = gateway.records("consent")
    assert {one["worker"] for one in found} == {0}
    assert len({one["ledger_id"] for one in found}) == len(found) == 3


def test_a_connection_that_a_worker_has_no_file_for_is_closed(serve: Serve) -> None:
    gateway = serve()
    with connect(gateway) as there:
        workers = gateway.worker_processes()
        before = [worker.rlimit(psutil.RLIMIT_NOFILE) for worker in workers]
        assert {soft for soft, _ in before} == {hard for _, hard in before}
        for worker, (_, most) in zip(workers, before, strict=True):
            worker.rlimit(psutil.RLIMIT_NOFILE, (1, most))
        with pytest.raises(psycopg.OperationalError):
            connect(gateway)
        gateway.wait_for_line("a connection was lost: too many open files")
        assert there.execute("SELECT count(*) FROM customers").fetchone() == (5,)
        for worker, limits in zip(workers, before, strict=True):
            worker.rlimit(psutil.RLIMIT_NOFILE, limits)
        with connect(gateway) as other:
            assert other.execute("SELECT count(*) FROM customers").fetchone() == (5,)


def test_others_take_connections_while_one_that_had_many_is_away(serve: Serve) -> None:
    gateway = serve(limits={"connections": 5})
    for _ in range(600):  # many more than there may be at a time
        with socket.create_connection(("127.0.0.1", gateway.port)) as gone:
            gone.shutdown(socket.SHUT_RDWR)
    gateway.worker_processes()[0].kill()
    gateway.wait_for_line("worker 0 ended with status -9")
    with connect(gateway) as connection:
        assert connection.execute("SELECT count(*) FROM customers").fetchone() == (5,)
    assert "worker 0 takes connections again" not in gateway.log


def test_the_limit_holds_when_all_come_at_once(serve: Serve) -> None:
    gateway = serve(limits={"connections": 10})
    with ExitStack() as stack, ThreadPoolExecutor(40) as pool:

        def come(_: int) -> psycopg.Connection[Any] | str:
            try:
                return connect(gateway)
            except psycopg.OperationalError as error:
                return str(error)

        came = list(pool.map(come, range(40)))
        let_in = [stack.enter_context(one) for one in came if not isinstance(one, str)]
        assert 8 <= len(let_in) <= 10
        assert all("too many clients already" in one for one in came if isinstance(one, str))


def test_new_rules_reach_a_worker_that_is_being_started(serve: Serve) -> None:
    gateway = serve()
    gateway.worker_processes()[1].kill()
    gateway.wait_for_line("worker 1 ended with status -9")
    eventually(lambda: len(gateway.worker_processes()) == WORKERS)
    assert gateway.reload(RULES.replace("crm_app", "nobody_app"))
    eventually(lambda: {one["worker"] for one in gateway.records("reload")} == set(range(WORKERS)))
    assert "ended with status -1;" not in gateway.log


def test_all_workers_have_the_rules_that_one_was_started_anew_with(serve: Serve) -> None:
    gateway = serve()
    with ExitStack() as stack:
        connections = one_of_each(gateway, stack)
        gateway.rules.write_text(RULES.replace("crm_app", "nobody_app"))  # nobody was told
        gateway.worker_processes()[1].kill()
        eventually(lambda: {one["worker"] for one in gateway.records("reload")} == set(range(WORKERS)))
        for number in (0, 2):
            with pytest.raises(psycopg.OperationalError, match="not listed"):
                connections[number].execute("SELECT 1")
        with pytest.raises(psycopg.OperationalError, match="not listed"):
            connect(gateway)


def test_a_worker_that_is_told_to_end_gets_no_more_connections(serve: Serve) -> None:
    gateway = serve()
    with ExitStack() as stack:
        connections = one_of_each(gateway, stack)
        connections[0].execute("BEGIN")
        gateway.worker_processes()[0].send_signal(signal.SIGTERM)
        gateway.wait_for_line("worker 0 .*waiting for 1 transactions")
        for _ in range(4):
            assert worker_of(gateway, stack.enter_context(connect(gateway))) != 0
        connections[0].execute("COMMIT")
        gateway.wait_for_line("worker 0 ended with status 0")
        gateway.wait_for_line("worker 0 takes connections again")
        assert worker_of(gateway, stack.enter_context(connect(gateway))) == 0
