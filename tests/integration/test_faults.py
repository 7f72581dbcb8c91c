"""What goes wrong, as users of `consentry serve` meet it: slips in rules, lost databases, broken clients, full disks."""

from __future__ import annotations

import re
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, suppress
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
from psycopg import errors

from proxy.demo.postgres import embedded_binaries, local_binaries
from proxy.wire import messages
from tests.gateways import (
    GatewayProcess,
    audit_records,
    eventually,
    fails_to_serve,
    running_gateway,
    write_settings,
)
from tests.servers import PgServer, start_server
from tests.shops import RULES, connect, prepare_shop
from tests.wire.client import RawClient, kinds, rows

WRONG_RULES = RULES.replace("mask: tens", "mask: tenz")
EMAIL = "SELECT email FROM customers WHERE id = 2"  # MailCo has no row of him; analytics has a code
MEGABYTE = 1 << 20

Serve = Callable[..., GatewayProcess]


def prepare(server: PgServer, folder: Path) -> None:
    """The shop with its ledger, in database `faults`."""
    prepare_shop(server, folder, "faults")
    server.run("faults", "GRANT ALL ON SCHEMA public TO PUBLIC")


@pytest.fixture(scope="module")
def server(pg_server: PgServer, tmp_path_factory: pytest.TempPathFactory) -> PgServer:
    prepare(pg_server, tmp_path_factory.mktemp("faults"))
    return pg_server


@pytest.fixture
def serve(server: PgServer, tmp_path: Path) -> Iterator[Serve]:
    """Runs `consentry serve`; it is stopped, and must end with status 0, at the test's end."""
    with ExitStack() as stack:

        def start(on: PgServer = server, rules: str = RULES, **settings: Any) -> GatewayProcess:
            return stack.enter_context(running_gateway(on, tmp_path, rules, {"shop": "faults"}, settings))

        yield start


def backends(server: PgServer, login: str) -> int:
    """How many connections the server has of a login."""
    with server.connect() as connection:
        row = connection.execute("SELECT count(*) FROM pg_stat_activity WHERE usename = %s", [login]).fetchone()
    assert row is not None
    return int(row[0])


def memory(gateway: GatewayProcess) -> int:
    return int(psutil.Process(gateway._process.pid).memory_info().rss)


# Rules.


def test_rules_with_slips_at_the_start(server: PgServer, tmp_path: Path) -> None:
    write_settings(server, tmp_path, WRONG_RULES.replace("action: drop", "acton: drop", 1), {"shop": "faults"})
    code, said = fails_to_serve(tmp_path)
    assert code == 1
    assert 'unknown key "acton" (did you mean "action"?)' in said
    assert 'mask "tenz" is not defined (did you mean "tens"?)' in said
    assert "rules/rules.yaml:" in said


def test_a_slip_in_the_settings_at_the_start(server: PgServer, tmp_path: Path) -> None:
    write_settings(server, tmp_path, RULES, {"shop": "faults"}, {"lissten": "x", "limits": {"connections": "many"}})
    code, said = fails_to_serve(tmp_path)
    assert code == 1
    assert 'unknown key "lissten" (did you mean "listen"?)' in said
    assert 'connections: a whole number is expected, not "many"' in said


def test_rules_with_slips_at_a_reload_change_nothing(serve: Serve) -> None:
    gateway = serve()
    with connect(gateway, "analytics_app", prepare_threshold=0) as connection:
        before = connection.execute(EMAIL).fetchone()
        assert before is not None
        assert "@" not in before[0]
        assert not gateway.reload(WRONG_RULES)
        gateway.wait_for_line(r'database shop: the rules in force stay: .*: mask "tenz" is not defined \(did you mean')
        assert connection.execute(EMAIL).fetchone() == before
        with connect(gateway, "analytics_app") as another:
            assert another.execute(EMAIL).fetchone() == before
        (record,) = gateway.records("reload")
        assert "tenz" in record["message"]

        shown = RULES.replace(
            "  - name: reports tell",
            "  - {name: all, apps: [analytics], attributes: [email], action: show, basis: contract}\n  - name: reports tell",
        )
        assert gateway.reload(shown)
        assert connection.execute(EMAIL).fetchone() == ("ben@example.net",)
        assert gateway.reload(RULES)
        assert connection.execute(EMAIL).fetchone() == before


def test_rules_that_are_no_rules_at_a_reload(serve: Serve) -> None:
    gateway = serve()
    with connect(gateway) as connection:
        for broken in ("", "a: [", "\x00", "{{{", "apps: {}\n"):
            assert not gateway.reload(broken)
            assert connection.execute("SELECT count(*) FROM customers").fetchone() == (5,)


def test_rules_that_are_gone_at_a_reload(serve: Serve) -> None:
    gateway = serve()
    with connect(gateway) as connection:
        gateway.rules.unlink()
        assert not gateway.reload()
        gateway.wait_for_line(r"the rules in force stay: .*no \*\.yaml file of rules")
        assert connection.execute("SELECT count(*) FROM customers").fetchone() == (5,)


def test_reloads_under_load_fail_no_statement(serve: Serve) -> None:
    gateway = serve()
    failures: list[BaseException] = []
    done = threading.Event()
    counts = [0] * 4

    def work(number: int) -> None:
        try:
            with connect(gateway, "analytics_app", prepare_threshold=0 if number % 2 else None) as connection:
                while not done.is_set():
                    (row,) = connection.execute(EMAIL).fetchall()
                    assert "@" not in row[0]
                    with connection.transaction():
                        connection.execute("SELECT count(*) FROM orders WHERE total > %s", [10])
                    counts[number] += 1
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=[number]) for number in range(len(counts))]
    for thread in threads:
        thread.start()
    try:
        for number in range(15):
            before = list(counts)
            assert gateway.reload(f"{RULES}\n# {number}\n")
            eventually(lambda before=before: failures or all(a > b for a, b in zip(counts, before, strict=True)))
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert failures == []
    assert len({record["rules_version"] for record in gateway.records("reload")}) == 15


# The database's tables change.


def test_a_column_that_is_not_there_at_the_start(server: PgServer, tmp_path: Path) -> None:
    write_settings(server, tmp_path, RULES.replace("phone: phone", "phon: phone"), {"shop": "faults"})
    code, said = fails_to_serve(tmp_path)
    assert code == 1
    line = RULES[: RULES.index("phone: phone")].count("\n") + 1
    assert f'rules/rules.yaml:{line}: column "phon" is not in public.customers (did you mean "phone"?)' in said


def test_a_column_that_goes_while_serving(serve: Serve, server: PgServer) -> None:
    gateway = serve()
    with connect(gateway, "mailco_app") as mailco, connect(gateway) as crm:
        assert crm.execute("SELECT phone FROM customers WHERE id = 1").fetchone() == ("+49 89 5550101",)
        server.run("faults", "ALTER TABLE customers RENAME COLUMN phone TO telephone")
        try:
            gateway.wait_for_line(r'the rules in force stay: .*column "phone" is not in public\.customers')
            with pytest.raises(errors.UndefinedColumn):
                crm.execute("SELECT phone FROM customers")
            with pytest.raises(psycopg.Error) as caught:
                mailco.execute("SELECT telephone FROM customers")
            assert "5550101" not in str(caught.value)
            assert crm.execute("SELECT count(*) FROM products").fetchone() == (4,)
        finally:
            server.run("faults", "ALTER TABLE customers RENAME COLUMN telephone TO phone")
        assert crm.execute("SELECT phone FROM customers WHERE id = 1").fetchone() == ("+49 89 5550101",)
    assert gateway.reload()


def test_a_new_column_is_shown_to_nobody(serve: Serve, server: PgServer) -> None:
    gateway = serve()
    with connect(gateway, "analytics_app") as connection:
        server.run("faults", "ALTER TABLE customers ADD COLUMN shoe_size int DEFAULT 43")
        try:
            for again in (False, True):
                with pytest.raises(errors.UndefinedColumn):
                    connection.execute("SELECT shoe_size FROM customers")
                names = [column.name for column in connection.execute("SELECT * FROM customers").description or ()]
                assert "shoe_size" not in names
                if not again:
                    gateway.wait_for_line("rules [0-9a-f]+ in force")
        finally:
            server.run("faults", "ALTER TABLE customers DROP COLUMN shoe_size")


# The database is down.


@pytest.fixture(scope="module")
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PgServer]:
    """A server that tests may stop."""
    binaries = embedded_binaries() or local_binaries()
    assert binaries is not None, "install the extra `demo`"
    server = start_server(binaries)
    prepare(server, tmp_path_factory.mktemp("own"))
    yield server
    server.close()


def test_the_database_is_down_at_the_start(own_server: PgServer, tmp_path: Path) -> None:
    assert own_server.process is not None
    write_settings(own_server, tmp_path, RULES, {"shop": "faults"})
    own_server.process.stop()
    try:
        code, said = fails_to_serve(tmp_path)
    finally:
        own_server.process.start()
    assert code == 3
    assert said.startswith(f"consentry: database faults at 127.0.0.1:{own_server.port} as postgres cannot be reached")
    assert len(said.splitlines()) == 1


def test_a_database_that_is_not_there_at_the_start(server: PgServer, tmp_path: Path) -> None:
    write_settings(server, tmp_path, RULES, {"shop": "no_such"})
    code, said = fails_to_serve(tmp_path)
    assert code == 3
    assert 'database "no_such" does not exist' in said


@pytest.mark.parametrize("how", ["fast", "immediate"])
def test_the_database_goes_down_while_serving_and_comes_back(serve: Serve, own_server: PgServer, how: str) -> None:
    process = own_server.process
    assert process is not None
    gateway = serve(own_server)
    idle, busy = connect(gateway), connect(gateway)
    ended: list[psycopg.Error] = []

    def wait_long() -> None:
        try:
            busy.execute("SELECT pg_sleep(60)")
        except psycopg.Error as error:
            ended.append(error)

    thread = threading.Thread(target=wait_long)
    thread.start()
    with own_server.connect() as administrator:
        sleeping = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'crm_app' AND wait_event = 'PgSleep'"
        eventually(lambda: administrator.execute(sleeping).fetchone() == (1,))
    process.stop(how)
    try:
        thread.join(20)
        reason = errors.AdminShutdown if how == "fast" else errors.ConnectionFailure
        assert [type(error) for error in ended] == [reason]
        with pytest.raises(reason):
            idle.execute("SELECT 1")
        for _ in range(2):
            began = time.monotonic()
            with pytest.raises(psycopg.OperationalError, match='could not connect to database "shop"') as caught:
                connect(gateway)
            assert time.monotonic() - began < 10
            assert str(own_server.port) not in str(caught.value).rpartition("FATAL")[2]
        gateway.wait_for_line(rf"database shop: cannot connect to 127\.0\.0\.1 port {own_server.port}")
        eventually(lambda: len(gateway.records("connect_refused")) == 2)
        assert {record["sqlstate"] for record in gateway.records("connect_refused")} == {"08006"}
        assert not gateway.reload(f"{RULES}\n# while it is down\n")
    finally:
        process.start()
    with connect(gateway) as connection:
        assert connection.execute("SELECT count(*) FROM customers").fetchone() == (5,)
        own_server.run("faults", f"CREATE TABLE new_{how} AS SELECT 1 AS n")  # the catalog is looked at again
        gateway.wait_for_line(r"rules [0-9a-f]+ in force")
    assert gateway.reload(f"{RULES}\n# it is up again\n")
    with connect(gateway, "mailco_app") as connection:
        assert connection.execute("SELECT count(*) FROM customers").fetchone() == (0,)


def test_what_the_server_says_at_a_login_goes_through(serve: Serve, own_server: PgServer) -> None:
    gateway = serve(own_server)
    own_server.run("postgres", "ALTER DATABASE faults ALLOW_CONNECTIONS false")
    try:
        with pytest.raises(psycopg.OperationalError, match="not currently accepting connections"):
            connect(gateway)
    finally:
        own_server.run("postgres", "ALTER DATABASE faults ALLOW_CONNECTIONS true")
    eventually(lambda: gateway.records("connect_refused"))
    assert gateway.records("connect_refused")[0]["sqlstate"] == "55000"
    connect(gateway).close()


def test_a_control_connection_that_does_not_answer_holds_nobody_up(serve: Serve, own_server: PgServer) -> None:
    gateway = serve(own_server)
    with own_server.connect() as administrator:
        text = "SELECT pid FROM pg_stat_activity WHERE datname = 'faults' AND usename = 'postgres'"
        (pid,) = administrator.execute(text).fetchone() or (0,)
    control = psutil.Process(pid)
    with connect(gateway) as connection:
        control.suspend()
        try:
            assert connection.execute("SELECT count(*) FROM customers").fetchone() == (5,)
            with RawClient(gateway.port, timeout=12) as client:
                client.start("crm_app", "shop")
                assert kinds(client.query(b"SELECT * FROM nowhere")) == "EZ"
        finally:
            control.resume()


# Who is not let in.


def test_a_login_that_no_app_lists(serve: Serve, server: PgServer) -> None:
    server.create_login("faults_nobody", group="auth_trust")
    gateway = serve()
    message = 'FATAL:  login "faults_nobody" is not listed in the rules of database "shop"'
    with pytest.raises(psycopg.OperationalError, match=message):
        connect(gateway, "faults_nobody")
    eventually(lambda: gateway.records("connect_refused"))
    (record,) = gateway.records("connect_refused")
    assert (record["sqlstate"], record["login"], record["database"]) == ("28000", "faults_nobody", "shop")
    assert backends(server, "faults_nobody") == 0


def test_a_database_that_the_settings_do_not_list(serve: Serve) -> None:
    gateway = serve()
    for name in ("faults", "postgres", "nowhere"):
        with pytest.raises(psycopg.OperationalError, match=f'FATAL:  database "{name}" does not exist'):
            psycopg.connect(gateway.dsn("crm_app", name))
    eventually(lambda: len(gateway.records("connect_refused")) == 3)
    assert {record["sqlstate"] for record in gateway.records("connect_refused")} == {"3D000"}


# Connections that are cut, and clients that break the protocol.


def in_the_middle_of_a_message(client: RawClient) -> None:
    client.send(messages.query(b"BEGIN"), b"Q\0\0\1\0SELECT")
    client.until_ready()


def in_the_middle_of_a_bind(client: RawClient) -> None:
    client.send(messages.parse(b"", messages.parse_rest(b"SELECT $1::text")))
    client.send(b"B" + (10 * MEGABYTE).to_bytes(4, "big") + b"\0\0\0\0\0\1\0\x90\0\0" + b"x" * 100_000)


def in_the_middle_of_a_result(client: RawClient) -> None:
    client.send(messages.query(b"SELECT repeat('x', 1000) FROM generate_series(1, 1000000)"))
    assert len(client.sock.recv(4096)) > 0


def in_the_middle_of_a_copy_in(client: RawClient) -> None:
    client.send(messages.query(b"COPY products FROM STDIN"))
    assert kinds(client.until("G")) == "G"
    client.send(messages.message(messages.COPY_DATA, b"SKU\tTitle\t1\nSKU"))


def in_the_middle_of_a_copy_out(client: RawClient) -> None:
    client.send(messages.query(b"COPY (SELECT repeat('x', 1000) FROM generate_series(1, 1000000)) TO STDOUT"))
    assert len(client.sock.recv(4096)) > 0


def in_a_transaction(client: RawClient) -> None:
    client.query(b"BEGIN; UPDATE products SET price = 0")


@pytest.mark.parametrize(
    "begin",
    [
        in_the_middle_of_a_message,
        in_the_middle_of_a_bind,
        in_the_middle_of_a_result,
        in_the_middle_of_a_copy_in,
        in_the_middle_of_a_copy_out,
        in_a_transaction,
    ],
)
def test_a_connection_that_is_cut(serve: Serve, server: PgServer, begin: Callable[[RawClient], None]) -> None:
    gateway = serve()
    with connect(gateway, "analytics_app") as other:
        with RawClient(gateway.port) as client:
            client.start("deploy", "shop")
            begin(client)
            assert backends(server, "deploy") == 1
        eventually(lambda: backends(server, "deploy") == 0)
        assert other.execute("SELECT count(*) FROM customers").fetchone() == (5,)
    with server.connect("faults") as administrator:
        text = "SELECT count(*) FROM products WHERE price > 0 AND sku <> 'SKU'"
        assert administrator.execute(text).fetchone() == (4,)
        assert administrator.execute("SELECT count(*) FROM products").fetchone() == (4,)
    eventually(lambda: len(gateway.records("disconnect")) == 2)


def test_a_cut_connection_is_reset_in_the_clients_face(serve: Serve, server: PgServer) -> None:
    """A client that dies without a word (RST) in the middle of a result."""
    gateway = serve()
    client = RawClient(gateway.port)
    client.start("deploy", "shop")
    in_the_middle_of_a_result(client)
    client.sock.setsockopt(1, 13, b"\1\0\0\0\0\0\0\0")  # SOL_SOCKET, SO_LINGER: close sends RST
    client.sock.close()
    eventually(lambda: backends(server, "deploy") == 0)
    connect(gateway).close()


def test_a_message_of_a_gigabyte_is_refused_and_takes_no_memory(serve: Serve) -> None:
    gateway = serve()
    with connect(gateway) as other:
        before = memory(gateway)
        for kind in b"QPBDECFSHXdcf":
            with RawClient(gateway.port) as client:
                client.start("crm_app", "shop")
                client.send(bytes([kind]) + (1 << 30).to_bytes(4, "big"))
                ((answer, body),) = client.until_closed()
                assert answer == "E"
                assert re.search(rb"C(08P01|54000)\0Minvalid message length|is longer than the gateway takes", body)
            assert memory(gateway) - before < 20 * MEGABYTE
            assert other.execute("SELECT 1").fetchone() == (1,)
    gateway.wait_for_line("session .* invalid message length")
    gateway.wait_for_line("session .* is longer than the gateway takes")
    eventually(lambda: len(gateway.records("disconnect")) == 14)


def test_a_parameter_of_hundreds_of_megabytes_passes_by(serve: Serve) -> None:
    """A Bind is not held: what a client may send in the end costs the gateway nothing."""
    gateway = serve()
    size = 200 * MEGABYTE
    with RawClient(gateway.port, timeout=60) as client:
        client.start("crm_app", "shop")
        client.send(messages.parse(b"", messages.parse_rest(b"SELECT length($1::text)")))
        before = memory(gateway)
        most = 0
        body = b"\0\0\0\0\0\1" + size.to_bytes(4, "big")
        client.send(b"B" + (4 + len(body) + size + 2).to_bytes(4, "big") + body)
        for _ in range(size // MEGABYTE):
            client.send(b"x" * MEGABYTE)
            most = max(most, memory(gateway))
        client.send(b"\0\0", messages.execute(b""), messages.SYNC_MESSAGE)
        assert rows(client.until_ready()) == [[str(size).encode()]]
    assert most - before < 30 * MEGABYTE


def test_start_ups_that_never_end_are_in_nobodys_way(serve: Serve) -> None:
    """Their end by time is tested in test_wire_connections.py: it takes a minute with the settings that users have."""
    gateway = serve()
    clients = [RawClient(gateway.port) for _ in range(60)]
    try:
        for number, client in enumerate(clients):
            client.send((b"", b"\0\0", b"\0\0\0\x20\0\3\0\0user")[number % 3])
        with connect(gateway) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        began = time.monotonic()
        assert gateway.stop() == 0
        assert time.monotonic() - began < 10
        for client in clients:
            client.sock.settimeout(5)
            client.buffer = b""
            assert kinds(client.until_closed()) in ("", "E")
    finally:
        for client in clients:
            client.sock.close()


def test_the_limits_of_the_settings_are_kept(serve: Serve) -> None:
    gateway = serve(limits={"connections": 2, "statement_bytes": "1KB", "idle_timeout": "400ms"})
    with connect(gateway) as one, connect(gateway) as two:
        with pytest.raises(psycopg.OperationalError, match="sorry, too many clients already"):
            connect(gateway)
        with pytest.raises(psycopg.OperationalError, match="is longer than the gateway takes"):
            one.execute("SELECT " + "1" * 1100)
        eventually(lambda: len(gateway.records("disconnect")) == 2)
        with pytest.raises(psycopg.OperationalError, match="idle-session timeout"):
            two.execute("SELECT 1")
    connect(gateway).close()


def test_connections_wait_while_there_are_no_files_left(serve: Serve) -> None:
    gateway = serve()
    process = psutil.Process(gateway._process.pid)
    with connect(gateway) as there:
        before = process.rlimit(psutil.RLIMIT_NOFILE)
        process.rlimit(psutil.RLIMIT_NOFILE, (process.num_fds(), before[1]))
        with RawClient(gateway.port) as client:
            gateway.wait_for_line("no connection can be taken: Too many open files")
            assert there.execute("SELECT count(*) FROM customers").fetchone() == (5,)
            process.rlimit(psutil.RLIMIT_NOFILE, before)
            assert kinds(client.start("crm_app", "shop")).endswith("Z")


def test_two_gateways_on_one_port(serve: Serve, server: PgServer, tmp_path: Path) -> None:
    """Else half of the apps would silently get the rules of a gateway that somebody forgot."""
    gateway = serve()
    other = tmp_path / "other"
    write_settings(server, other, RULES, {"shop": "faults"}, {"listen": f"127.0.0.1:{gateway.port}"})
    code, said = fails_to_serve(other, seconds=10)
    assert (code, said) == (1, f"consentry: cannot listen on 127.0.0.1:{gateway.port}: Address already in use\n")


@pytest.mark.nightly
def test_a_start_up_that_never_ends_is_ended_after_a_minute(serve: Serve) -> None:
    gateway = serve()
    with RawClient(gateway.port, timeout=90) as client:
        client.send(b"\0\0")
        began = time.monotonic()
        client.until_closed()
        assert 50 < time.monotonic() - began < 75


# The audit log cannot be written.


def test_an_audit_directory_that_cannot_be_written_at_the_start(server: PgServer, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    write_settings(server, tmp_path, RULES, {"shop": "faults"}, {"audit": {"directory": "file/audit"}})
    code, said = fails_to_serve(tmp_path)
    assert code == 3
    assert said == f"consentry: audit: {tmp_path}/file/audit cannot be written: Not a directory\n"


@pytest.fixture
def disk(serve: Serve) -> Callable[..., AbstractContextManager[GatewayProcess]]:
    """A gateway whose files cannot grow while the context lasts."""
    if not sys.platform.startswith("linux"):
        pytest.skip("only Linux limits another process's files")

    class Full(AbstractContextManager[GatewayProcess]):
        def __init__(self, gateway: GatewayProcess) -> None:
            self.gateway = gateway
            self.process = psutil.Process(gateway._process.pid)
            self.before = self.process.rlimit(psutil.RLIMIT_FSIZE)

        def __enter__(self) -> GatewayProcess:
            size = sum(file.stat().st_size for file in (self.gateway.folder / "audit").glob("*.jsonl"))
            self.process.rlimit(psutil.RLIMIT_FSIZE, (size + 7, self.before[1]))  # the last line is cut
            return self.gateway

        def __exit__(self, *_: object) -> None:
            self.process.rlimit(psutil.RLIMIT_FSIZE, self.before)

    return Full


def test_nothing_is_served_while_the_audit_log_cannot_be_written(serve: Serve, disk: Any) -> None:
    gateway = serve()
    text = "the audit log cannot be written"
    with connect(gateway) as connection, connect(gateway, prepare_threshold=0) as prepared:
        prepared.execute("SELECT 1")
        with disk(gateway):
            with connect(gateway) as first, pytest.raises(psycopg.OperationalError, match=text):
                first.execute("SELECT 1")  # its record finds that nothing can be written
            gateway.wait_for_line(r"audit: .* cannot be written: File too large")
            for _ in range(2):
                with pytest.raises(errors.IoError, match=text):
                    connection.execute("SELECT email FROM customers")
                with pytest.raises(errors.IoError, match=text):
                    prepared.execute("SELECT 1")
            with connect(gateway, "mailco_app") as another, pytest.raises(errors.IoError, match=text):
                another.execute("SELECT 1")
            with connect(gateway, "deploy") as trusted, pytest.raises(errors.IoError, match=text):
                trusted.execute("SELECT 1")
        gateway.wait_for_line(r"audit: .* can be written again")
        assert connection.execute("SELECT 2").fetchone() == (2,)
        assert prepared.execute("SELECT 1").fetchone() == (1,)
    eventually(lambda: len(gateway.records("disconnect")) == 5)
    assert gateway.records("disconnect")[0]["sqlstate"] == "58030"
    sequence = [record["seq"] for record in audit_records(gateway.folder / "audit")]
    assert sequence == list(range(1, len(sequence) + 1)), "records were lost"
    assert len(gateway.records("refused")) == 6


def test_no_answer_goes_out_before_its_record_is_written(serve: Serve, disk: Any) -> None:
    gateway = serve()
    with RawClient(gateway.port) as client:
        client.start("crm_app", "shop")
        with disk(gateway):
            client.send(messages.query(b"SELECT email FROM customers"))
            found = client.until_closed()
    assert kinds(found) == "E"
    assert b"C58030\0" in found[0][1]
    eventually(lambda: gateway.records("disconnect"))
    (record,) = gateway.records("statement")  # it was done, and is written when that can be again
    assert (record["statement"], record["rows"]) == ("SELECT email FROM customers", 5)


def test_no_part_of_a_long_answer_goes_out_before_a_record_is_written(serve: Serve, disk: Any) -> None:
    text = b"SELECT email, repeat('x', 1000), pg_sleep(0.01) FROM customers, generate_series(1, 40)"
    gateway = serve()
    with RawClient(gateway.port) as client:
        client.start("crm_app", "shop")
        with disk(gateway):
            client.send(messages.query(text))
            assert kinds(client.until_closed()) == "E"
    with RawClient(gateway.port) as client:
        eventually(lambda: gateway.records("disconnect"))
        client.start("crm_app", "shop")
        client.send(messages.query(text))
        assert client.sock.recv(100)
        (started,) = [
            one for one in gateway.records("started") if one["session"] != gateway.records("connect")[0]["session"]
        ]
        assert {item["column"] for item in started["disclosed"]} == {"email"}


def test_where_records_are_not_required_statements_are_served(serve: Serve, disk: Any) -> None:
    gateway = serve(audit={"required": False})
    with connect(gateway) as connection:
        with disk(gateway):
            connection.execute("SELECT 1")
            gateway.wait_for_line(r"audit: .* cannot be written: File too large")
            assert connection.execute("SELECT 2").fetchone() == (2,)
        gateway.wait_for_line(r"audit: .* can be written again")
    eventually(lambda: gateway.records("disconnect"))
    assert len(gateway.records("statement")) == 2


def test_an_audit_directory_that_is_deleted_is_made_again(serve: Serve) -> None:
    gateway = serve()
    with connect(gateway) as connection:
        eventually(lambda: gateway.records("connect"))
        shutil.rmtree(gateway.folder / "audit")
        connection.execute("SELECT 1")
        eventually(lambda: gateway.records("statement"))


def test_half_a_line_of_a_crash_is_set_aside(server: PgServer, tmp_path: Path) -> None:
    with running_gateway(server, tmp_path, RULES, {"shop": "faults"}) as gateway:
        connect(gateway).close()
        eventually(lambda: gateway.records("disconnect"))
    (file,) = (tmp_path / "audit").glob("*.jsonl")
    before = audit_records(tmp_path / "audit")
    file.write_text(file.read_text() + '{"time":"2026-01-01T00:0')
    with running_gateway(server, tmp_path, RULES, {"shop": "faults"}) as gateway:
        gateway.wait_for_line(r"audit: .* ended in half a line, which is now in .*\.jsonl\.torn")
        connect(gateway).close()
        eventually(lambda: len(gateway.records("disconnect")) == 2)
        assert [record["bytes"] for record in gateway.records("torn")] == [24]
    after = audit_records(tmp_path / "audit")
    assert after[: len(before)] == before
    assert [record["seq"] for record in after] == list(range(1, len(after) + 1))
    assert file.with_name(file.name + ".torn").read_text() == '{"time":"2026-01-01T00:0\n'


def test_records_are_whole_after_a_kill(server: PgServer, tmp_path: Path) -> None:
    write_settings(server, tmp_path, RULES, {"shop": "faults"})
    gateway = GatewayProcess(tmp_path)
    try:
        with connect(gateway) as connection:
            connection.execute("SELECT 1")
            eventually(lambda: gateway.records("statement"))
            gateway.kill()
            with pytest.raises(psycopg.OperationalError):
                connection.execute("SELECT 2")
    finally:
        gateway.kill()
    with running_gateway(server, tmp_path, RULES, {"shop": "faults"}) as again:
        connect(again).close()
        assert [record["event"] for record in again.records()][:2] == ["connect", "statement"]


# Stopping.


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_lets_a_transaction_finish(serve: Serve, server: PgServer, number: signal.Signals) -> None:
    gateway = serve()
    with connect(gateway) as idle, RawClient(gateway.port) as busy:
        busy.start("deploy", "shop")
        busy.query(b"BEGIN; UPDATE products SET title = title || '!' WHERE sku = 'TEA-01'")
        gateway._process.send_signal(number)
        gateway.wait_for_line("waiting for 1 transactions to end")
        with pytest.raises((errors.AdminShutdown, psycopg.OperationalError)):
            idle.execute("SELECT 1")
        with pytest.raises(psycopg.OperationalError):
            connect(gateway)
        assert rows(busy.query(b"SELECT 1")) == [[b"1"]]
        assert gateway._process.poll() is None
        busy.send(messages.query(b"COMMIT"))
        last = busy.until_closed()
        assert kinds(last) == "CZE"
        assert b"C57P01\0" in last[-1][1]
    assert gateway._process.wait(10) == 0
    with server.connect("faults") as administrator:
        assert administrator.execute("SELECT title FROM products WHERE sku = 'TEA-01'").fetchone() == ("Green tea!",)
        administrator.execute("UPDATE products SET title = 'Green tea'")
    assert [record["sqlstate"] for record in gateway.records("disconnect")] == ["57P01", "57P01"]
    assert "Traceback" not in gateway.log


def test_a_stop_lets_a_statement_finish(serve: Serve) -> None:
    gateway = serve()
    with RawClient(gateway.port) as busy:
        busy.start("deploy", "shop")
        busy.send(messages.query(b"SELECT pg_sleep(0.5), 42"))
        gateway._process.terminate()
        gateway.wait_for_line("waiting for 1 transactions to end")
        found = busy.until_closed()
        assert kinds(found) == "TDCZE"
        assert rows(found) == [[b"", b"42"]]
    assert gateway._process.wait(10) == 0
    assert gateway.records("statement")[0]["rows"] == 1


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM, signal.SIGINT])
def test_further_signals_during_a_stop_do_no_harm(server: PgServer, tmp_path: Path, number: signal.Signals) -> None:
    """A SIGHUP changes nothing; a second SIGTERM or SIGINT may end the stop early, in good order."""
    write_settings(server, tmp_path, RULES, {"shop": "faults"})
    gateway = GatewayProcess(tmp_path)
    try:
        with RawClient(gateway.port) as busy:
            busy.start("deploy", "shop")
            busy.query(b"BEGIN")
            gateway._process.terminate()
            gateway.wait_for_line("waiting for 1 transactions to end")
            gateway._process.send_signal(number)
            if number == signal.SIGHUP:
                assert rows(busy.query(b"SELECT 1")) == [[b"1"]]
                busy.send(messages.query(b"COMMIT"))
            else:
                with suppress(OSError):
                    busy.send(messages.query(b"COMMIT"))
            last = busy.until_closed()
            assert b"C57P01\0" in last[-1][1]
        assert gateway._process.wait(10) == 0
        assert len(gateway.records("disconnect")) == 1
        assert "Traceback" not in gateway.log
    finally:
        gateway.kill()


def test_a_stop_with_nobody_there(serve: Serve) -> None:
    gateway = serve()
    began = time.monotonic()
    assert gateway.stop() == 0
    assert time.monotonic() - began < 10
