"""Logins, TLS, limits, broken clients, lost servers, and stopping."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from proxy.server.options import Upstream
from proxy.wire import messages, startup
from proxy.wire.startup import StartupMessage
from tests.servers import PgServer, make_certificates
from tests.wire.client import RawClient, kinds, rows
from tests.wire.gateway import Running

pytest_plugins = ["tests.wire.fixtures"]

Start = Callable[..., Running]


@pytest.fixture
def start(wire_server: PgServer, tmp_path: Path) -> Iterator[Start]:
    """Starts gateways with options of the test's own."""
    started: list[Running] = []

    def start_one(server: PgServer = wire_server, dbname: str = "wire", **options: Any) -> Running:
        started.append(Running(server, tmp_path / str(len(started)), dbname, **options))
        return started[-1]

    yield start_one
    for gateway in started:
        gateway.close()


def wait_until(condition: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.01)


# Logins.


@pytest.mark.parametrize("user", ["app_scram", "app_md5"])
def test_passwords_are_checked_by_the_server(start: Start, user: str) -> None:
    gateway = start()
    with psycopg.connect(gateway.dsn(user, password="s3cret")) as connection:
        assert connection.execute("SELECT current_user").fetchone() == (user,)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(gateway.dsn(user, password="wrong"))
    (record,) = gateway.records("connect_refused")
    assert (record["sqlstate"], record["login"], record["database"]) == ("28P01", user, "db")
    assert "s3cret" not in str(gateway.records())


@pytest.mark.parametrize(
    ("parameters", "sqlstate", "message"),
    [
        ({"user": "nobody"}, "28000", 'login "nobody" is not listed in the rules of database "db"'),
        ({"user": "app", "database": "other"}, "3D000", 'database "other" does not exist'),
        ({"user": "app", "replication": "database"}, "0A000", "replication connections are not supported"),
        ({"user": "app", "options": "-c session_replication_role=replica"}, "42501", None),
        ({"user": "app", "standard_conforming_strings": "off"}, "0A000", None),
        ({"user": "app", "client_encoding": "SJIS"}, "0A000", None),
        ({"user": "app", "options": "-c search_path=public,pg_catalog"}, "0A000", None),
    ],
)
def test_who_or_what_is_refused_at_start_up(
    start: Start, parameters: dict[str, str], sqlstate: str, message: str | None
) -> None:
    gateway = start()
    with RawClient(gateway.port) as client:
        packet = StartupMessage(3 << 16, tuple({"database": "db", **parameters}.items()))
        client.send(packet.encode())
        ((kind, body),) = client.until_closed()
    assert kind == "E"
    assert f"C{sqlstate}\0".encode() in body
    assert b"SFATAL\0" in body
    assert message is None or f"M{message}\0".encode() in body
    (record,) = gateway.records("connect_refused")
    assert (record["sqlstate"], record["login"]) == (sqlstate, parameters["user"])


def test_start_up_parameters_reach_the_server_and_names_are_read(start: Start) -> None:
    gateway = start()
    with psycopg.connect(
        gateway.dsn(application_name="tests"), options="-c search_path=one -c statement_timeout=12345"
    ) as connection:
        assert connection.execute("SHOW statement_timeout").fetchone() == ("12345ms",)
        assert connection.execute("SHOW search_path").fetchone() == ("one",)
    assert gateway.planner.texts[-1][1].schemas == ("pg_catalog", "one")
    assert {r["application_name"] for r in gateway.records()} == {"tests"}


def test_settings_that_parsing_depends_on_are_pinned(start: Start, wire_server: PgServer) -> None:
    wire_server.run("postgres", "ALTER ROLE app_other SET standard_conforming_strings = off")
    wire_server.run("postgres", "ALTER ROLE app_other SET backslash_quote = on")
    try:
        with psycopg.connect(start().dsn("app_other"), autocommit=True) as connection:
            for reset in (None, "DISCARD ALL", "RESET ALL"):
                if reset:
                    connection.execute(reset)
                connection.execute("SELECT 1")
                shown = [
                    connection.execute(f"SHOW {n}").fetchone()
                    for n in ("standard_conforming_strings", "backslash_quote")
                ]
                assert shown == [("on",), ("safe_encoding",)]
    finally:
        wire_server.run("postgres", "ALTER ROLE app_other RESET ALL")


def test_protocol_negotiation_is_relayed(start: Start) -> None:
    gateway = start()
    with RawClient(gateway.port) as client:
        version = (3 << 16) + 9999
        parameters = (("user", "app"), ("database", "db"), ("_pq_.unheard_of", "1"))
        client.send(StartupMessage(version, parameters).encode())
        found = client.until_ready()
        assert kinds(found).startswith("v")
        assert b"_pq_.unheard_of" in found[0][1]
        assert rows(client.query(b"SELECT 1")) == [[b"1"]]


# TLS.


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    for name, content in zip(("ca.crt", "server.crt", "server.key"), make_certificates(), strict=True):
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture
def with_tls(start: Start, certificates: Path) -> Callable[..., Running]:
    def start_one(mode: str = "prefer", **options: Any) -> Running:
        files = {"certificate": certificates / "server.crt", "key": certificates / "server.key"}
        return start(tls_mode=mode, **files, **options)

    return start_one


def psql(server: PgServer, dsn: str, *commands: str) -> subprocess.CompletedProcess[str]:
    """psql with OpenSSL: Debian's."""
    words = [part for command in commands for part in ("-c", command)]
    return subprocess.run(["psql", dsn, "-XAt", *words], capture_output=True, text=True, timeout=30, check=False)


def test_tls_to_the_client(with_tls: Callable[..., Running], certificates: Path) -> None:
    gateway = with_tls()
    ca = str(certificates / "ca.crt")
    with psycopg.connect(
        gateway.dsn("app_scram", sslmode="verify-full", sslrootcert=ca, password="s3cret")
    ) as connection:
        assert connection.pgconn.ssl_in_use
        assert connection.execute("SELECT value FROM secret").fetchone() == ("masked 1",)
        big = connection.execute("SELECT repeat('x', 3000000)").fetchone()
        assert big is not None
        assert len(big[0]) == 3_000_000
    assert {record["tls"] for record in gateway.records()} == {"TLSv1.3"}
    with psycopg.connect(gateway.dsn(sslmode="disable")) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_direct_tls(with_tls: Callable[..., Running], certificates: Path) -> None:
    if psycopg.pq.version() < 170000:
        pytest.skip("libpq 17 is needed")
    gateway = with_tls()
    ca = str(certificates / "ca.crt")
    dsn = gateway.dsn(sslmode="verify-full", sslrootcert=ca, sslnegotiation="direct")
    with psycopg.connect(dsn) as connection:
        assert connection.execute("SELECT value FROM secret").fetchone() == ("masked 1",)


def test_tls_required(with_tls: Callable[..., Running]) -> None:
    gateway = with_tls("require")
    with pytest.raises(psycopg.OperationalError, match="the gateway takes connections with TLS only"):
        psycopg.connect(gateway.dsn(sslmode="disable"))
    with psycopg.connect(gateway.dsn(sslmode="require")) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_clear_text_behind_an_ssl_request_never_counts(with_tls: Callable[..., Running]) -> None:
    gateway = with_tls()
    with RawClient(gateway.port) as client:
        client.send(startup.SSL_REQUEST, StartupMessage(3 << 16, (("user", "app"), ("database", "db"))).encode())
        assert client.sock.recv(1) == b"S"
        answer = b""
        while more := _receive(client.sock):
            answer += more
        assert b"R\0\0\0" not in answer
    assert gateway.records("connect") == []


def _receive(sock: socket.socket) -> bytes:
    try:
        return sock.recv(65536)
    except ConnectionResetError:
        return b""


def test_without_tls_requests_for_encryption_are_answered_with_n(start: Start) -> None:
    with RawClient(start().port) as client:
        client.send(struct.pack("!II", 8, startup.GSS_CODE))
        assert client.sock.recv(1) == b"N"
        client.send(startup.SSL_REQUEST)
        assert client.sock.recv(1) == b"N"
        assert kinds(client.start()).endswith("Z")


@pytest.mark.parametrize("sslmode", ["require", "verify-ca", "verify-full"])
def test_tls_to_the_server(start: Start, pg15_server: PgServer, sslmode: Any) -> None:
    pg15_server.create_login("app", group="auth_trust")
    ca = pg15_server.ca_file if sslmode != "require" else None
    upstream = Upstream("localhost", pg15_server.port, "postgres", sslmode=sslmode, sslrootcert=ca)
    gateway = start(pg15_server, "postgres", upstream=upstream)
    with psycopg.connect(gateway.dsn(), autocommit=True) as connection:
        row = connection.execute("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").fetchone()
        assert row == (True,)
        timer = threading.Timer(0.2, connection.cancel_safe)
        timer.start()
        with pytest.raises(psycopg.errors.QueryCanceled):
            connection.execute("SELECT pg_sleep(30)")
        timer.join()


def test_a_server_that_cannot_be_verified_gets_no_login(
    start: Start, pg15_server: PgServer, certificates: Path
) -> None:
    upstream = Upstream("localhost", pg15_server.port, "postgres", None, "verify-full", certificates / "ca.crt")
    gateway = start(pg15_server, "postgres", upstream=upstream)
    with pytest.raises(psycopg.OperationalError, match='could not connect to database "db"'):
        psycopg.connect(gateway.dsn())


def test_channel_binding_says_what_to_do(with_tls: Callable[..., Running], pg15_server: PgServer) -> None:
    pg15_server.create_login("app_scram", "s3cret", group="auth_channel_binding")
    upstream = Upstream("localhost", pg15_server.port, "postgres", sslmode="require")
    gateway = with_tls(server=pg15_server, dbname="postgres", upstream=upstream)
    with pytest.raises(psycopg.OperationalError, match="channel_binding=disable"):
        psycopg.connect(gateway.dsn("app_scram", password="s3cret", sslmode="require"))
    dsn = gateway.dsn("app_scram", password="s3cret", sslmode="require", channel_binding="disable")
    with psycopg.connect(dsn) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


# Broken clients.


@pytest.mark.parametrize(
    "first",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\xff" * 100,
        struct.pack("!II", 0x7FFFFFFF, 3 << 16) + b"x",
        struct.pack("!II", 4, 3 << 16),
        struct.pack("!II", 9, 2 << 16) + b"\0",
        struct.pack("!II", 20, 3 << 16) + b"user\0app\0xxx",
        b"\x16\x03\x01\x00\x05hello",
    ],
)
def test_garbage_at_start_up_ends_that_connection_only(start: Start, first: bytes) -> None:
    gateway = start()
    with psycopg.connect(gateway.dsn()) as other:
        with RawClient(gateway.port) as client:
            client.send(first)
            found = client.until_closed()
            assert kinds(found) in ("E", "")
        assert other.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.parametrize(
    ("junk", "answer"),
    [
        (b"\x01\0\0\0\4", b"invalid frontend message type 1"),
        (b"Q" + struct.pack("!I", 1 << 30), b"is longer than the gateway takes"),
        (b"P" + struct.pack("!I", 0xFFFFFFFF), b"is longer than the gateway takes"),
        (b"d" + struct.pack("!I", 0x7FFFFFFF), b"invalid message length"),
        (b"B" + struct.pack("!I", 0x7FFFFFFF), b"invalid message length"),
        (b"Q\0\0\0\3", b"invalid message length"),
        (b"S\0\0\0\5x", b"invalid message length"),
        (messages.message(messages.QUERY, b"SELECT 1\0SELECT 2\0"), b"invalid message format"),
        (messages.message(messages.QUERY, b"SELECT 1"), b"invalid message format"),
    ],
)
def test_a_broken_message_ends_that_session_only(start: Start, junk: bytes, answer: bytes) -> None:
    gateway = start()
    with psycopg.connect(gateway.dsn()) as other:
        with RawClient(gateway.port) as client:
            client.start()
            client.send(junk)
            ((kind, body),) = client.until_closed()
            assert kind == "E"
            assert answer in body
        assert other.execute("SELECT 1").fetchone() == (1,)
    wait_until(lambda: not gateway.gateway.sessions)
    assert answer.decode() in gateway.records("disconnect")[0]["message"]


def test_a_statement_of_the_greatest_length_passes_and_one_byte_more_does_not(start: Start) -> None:
    gateway = start(statement_bytes=1_000_000)
    with psycopg.connect(gateway.dsn(), autocommit=True) as connection:
        text = "SELECT 1 -- "
        assert connection.execute(text + "x" * (1_000_000 - len(text))).fetchone() == (1,)
        with pytest.raises(psycopg.OperationalError, match="longer than the gateway takes"):
            connection.execute(text + "x" * (1_000_001 - len(text)))


TOO_LONG = b"SELECT '%s'" % (b"marker7391" * 200)
ADVICE = "Send large values as parameters or by COPY, or raise limits.statement_bytes in the gateway's settings."


@pytest.mark.parametrize(
    ("sent", "sqlstate", "message"),
    [
        (messages.query(TOO_LONG), "54000", f"statement of 2009 bytes is longer than the gateway takes. {ADVICE}"),
        (
            messages.parse(b"s", messages.parse_rest(TOO_LONG)),
            "54000",
            f"statement of 2013 bytes is longer than the gateway takes. {ADVICE}",
        ),
        (b"Q" + (99_000).to_bytes(4, "big") + b"SELECT 'marker7391", "54000", None),
        (b"P" + (99_000).to_bytes(4, "big") + b"\0SELECT 'marker7391", "54000", None),
        (b"B" + (1 << 30).to_bytes(4, "big") + b"\0\0marker7391", "08P01", "invalid message length. A message is"),
        (b"F" + (1 << 30).to_bytes(4, "big") + b"marker7391", "08P01", "invalid message length. A message is"),
    ],
    ids=["Query", "Parse", "half a Query", "half a Parse", "Bind", "FunctionCall"],
)
def test_a_statement_that_is_too_long_has_a_record_before_the_client_is_told(
    start: Start, sent: bytes, sqlstate: str, message: str | None
) -> None:
    gateway = start(statement_bytes=1000)
    with RawClient(gateway.port) as client:
        client.start()
        client.query(b"SELECT 1")
        client.send(sent)
        assert client.until("E")[-1][1].startswith(b"SFATAL\0")
        (record,) = gateway.records("refused")  # at once: it is written
        assert client.until_closed() == []
    assert (record["statement"], record["sqlstate"], record["app"]) == ("(not planned)", sqlstate, "app")
    assert message is None or record["message"].startswith(message)
    wait_until(lambda: not gateway.gateway.sessions)
    events = [one["event"] for one in gateway.records()]
    assert events == ["connect", "statement", "refused", "disconnect"]
    assert "marker7391" not in str(gateway.records())


def test_names_that_are_too_long_are_no_statement(start: Start) -> None:
    gateway = start()
    with RawClient(gateway.port) as client:
        client.start()
        client.send(b"D" + (20_000).to_bytes(4, "big") + b"S")
        assert [kind for kind, _ in client.until_closed()] == ["E"]
    wait_until(lambda: not gateway.gateway.sessions)
    assert [one["event"] for one in gateway.records()] == ["connect", "disconnect"]


def test_half_a_message_and_a_hang_up(start: Start, wire_server: PgServer) -> None:
    gateway = start()
    with RawClient(gateway.port) as client:
        client.start()
        client.send(messages.query(b"BEGIN"), b"Q\0\0\1\0SELECT")
        client.until_ready()
    wait_until(lambda: not gateway.gateway.sessions)
    assert "in the middle of a message" in gateway.records("disconnect")[0]["message"]
    with wire_server.connect() as connection:
        text = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app'"
        wait_until(lambda: connection.execute(text).fetchone() == (0,))


def test_a_start_up_that_never_ends_is_ended(start: Start) -> None:
    gateway = start(startup_timeout=0.3)
    clients = [RawClient(gateway.port) for _ in range(3)]
    clients[1].send(b"\0\0")
    clients[2].send(StartupMessage(3 << 16, (("user", "app_scram"), ("database", "db"))).encode())
    for client in clients:
        client.until_closed()
        client.sock.close()
    with psycopg.connect(gateway.dsn()) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_too_many_connections(start: Start) -> None:
    gateway = start(connections=2)
    with psycopg.connect(gateway.dsn()) as one, psycopg.connect(gateway.dsn()) as two:
        with pytest.raises(psycopg.OperationalError, match="sorry, too many clients already"):
            psycopg.connect(gateway.dsn())
        assert one.execute("SELECT 1").fetchone() == two.execute("SELECT 1").fetchone()
    wait_until(lambda: not gateway.gateway.sessions)
    psycopg.connect(gateway.dsn()).close()


def test_idle_sessions_are_ended(start: Start) -> None:
    gateway = start(idle_timeout=0.2)
    with RawClient(gateway.port) as client:
        client.start()
        client.query(b"SELECT 1")
        assert b"C57P05\0" in client.until_closed()[0][1]


# Lost servers.


def test_a_database_that_is_down_is_a_quick_and_clear_error(start: Start) -> None:
    gateway = start(upstream=Upstream("127.0.0.1", 1, "wire", sslmode="disable"))
    before = time.monotonic()
    with pytest.raises(psycopg.OperationalError, match='could not connect to database "db"'):
        psycopg.connect(gateway.dsn())
    assert time.monotonic() - before < 5
    assert gateway.records("connect_refused")[0]["sqlstate"] == "08006"


def test_a_server_that_does_not_answer_is_given_up(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        gateway = start(upstream=Upstream("127.0.0.1", port, "wire", sslmode="require"), connect_timeout=0.3)
        with pytest.raises(psycopg.OperationalError, match="could not connect"):
            psycopg.connect(gateway.dsn())


def test_a_session_that_the_server_ends_gets_the_servers_reason(start: Start, wire_server: PgServer) -> None:
    gateway = start()
    with psycopg.connect(gateway.dsn(), autocommit=True) as connection, wire_server.connect() as administrator:
        administrator.execute("SELECT pg_terminate_backend(%s)", [connection.info.backend_pid])
        with pytest.raises(psycopg.errors.AdminShutdown):
            connection.execute("SELECT 1")
    wait_until(lambda: not gateway.gateway.sessions)
    assert gateway.records("disconnect")[0]["sqlstate"] == "57P01"


# Stopping.


def test_stop_lets_transactions_end(start: Start) -> None:
    gateway = start()
    idle = RawClient(gateway.port)
    idle.start()
    with RawClient(gateway.port) as busy:
        busy.start()
        busy.query(b"BEGIN")
        stopping = asyncio.run_coroutine_threadsafe(gateway.gateway.stop(), gateway.loop)
        assert b"C57P01\0" in idle.until_closed()[0][1]
        with pytest.raises(OSError):
            RawClient(gateway.port)
        assert rows(busy.query(b"SELECT 1")) == [[b"1"]]
        assert not stopping.done()
        busy.send(messages.query(b"COMMIT"))
        assert kinds(busy.until_closed()) == "CZE"
        stopping.result(10)


def test_stop_waits_no_longer_than_it_is_told(start: Start) -> None:
    gateway = start(stop_timeout=0.2)
    with RawClient(gateway.port) as busy:
        busy.start()
        busy.query(b"BEGIN")
        gateway.call(gateway.gateway.stop)
        assert b"C57P01\0" in busy.until_closed()[0][1]


# Memory and flow.


def test_a_large_result_to_a_slow_client_takes_no_memory(start: Start) -> None:
    gateway = start()
    with RawClient(gateway.port, timeout=60) as client, psycopg.connect(gateway.dsn()) as other:
        client.start()
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        before = psutil.Process().memory_info().rss
        client.send(messages.query(b"SELECT repeat('x', 1000000) FROM generate_series(1, 100)"))
        time.sleep(0.5)  # the client does not read: what could pile up does
        assert other.execute("SELECT 1").fetchone() == (1,)
        received = 0
        grown = 0
        while received < 100_000_000:
            received += len(client.sock.recv(1 << 20))
            grown = max(grown, psutil.Process().memory_info().rss - before)
        assert grown < 30_000_000


def test_rows_copied_in_to_a_slow_server_take_no_memory(start: Start, wire_server: PgServer) -> None:
    gateway = start()
    wire_server.run("wire", "CREATE TABLE IF NOT EXISTS locked (t text); GRANT ALL ON locked TO PUBLIC")
    with RawClient(gateway.port, timeout=60) as client, wire_server.connect("wire") as administrator:
        client.start()
        before = psutil.Process().memory_info().rss
        administrator.execute("BEGIN; LOCK TABLE locked")
        client.send(messages.query(b"COPY locked FROM STDIN"))
        row = messages.message(messages.COPY_DATA, b"y" * 65_000 + b"\n")
        sent = 0
        client.sock.settimeout(0.5)
        with pytest.raises(TimeoutError):  # noqa: PT012  # nobody takes them
            while sent < 100_000_000:
                sent += client.sock.send(row)
        assert psutil.Process().memory_info().rss - before < 30_000_000
        administrator.execute("ROLLBACK")


# The audit log.


def test_statements_are_refused_while_the_log_cannot_be_written(start: Start) -> None:
    gateway = start()
    writer = gateway.gateway.audit
    log = writer._log
    file = -1

    async def break_it() -> None:
        nonlocal file
        writer.flush()  # the connections' own records: the first that fails is a statement's
        file, log.file = log.file, os.open("/dev/full", os.O_WRONLY)

    async def mend_it() -> None:
        os.close(log.file)
        log.file = file
        writer.flush()

    with (
        psycopg.connect(gateway.dsn(), autocommit=True) as connection,
        psycopg.connect(gateway.dsn(), autocommit=True) as first,
    ):
        connection.execute("SELECT 1", prepare=True)
        gateway.call(break_it)
        with pytest.raises(psycopg.OperationalError, match="the audit log cannot be written"):
            first.execute("SELECT 2")
        wait_until(lambda: writer.failing)
        for parameters in (None, [1]):
            with pytest.raises(psycopg.errors.IoError, match="the audit log cannot be written"):
                connection.execute("SELECT 3" if parameters is None else "SELECT %s", parameters)
        with pytest.raises(psycopg.errors.IoError):
            connection.execute("SELECT 1", prepare=True)
        gateway.call(mend_it)
        assert connection.execute("SELECT 4").fetchone() == (4,)
    texts = [record["statement"] for record in gateway.records("statement")]
    assert len(texts) == 3  # 1, 2 (written late) and 4
    sequence = [record["seq"] for record in gateway.records()]
    assert sequence == sorted(sequence)


def test_records_have_what_auditors_need_and_no_constants(start: Start) -> None:
    gateway = start()
    with psycopg.connect(gateway.dsn(), autocommit=True) as connection:
        connection.execute("SELECT n FROM numbers WHERE n < 4 AND 'ann@x.org' <> ''")
        connection.execute("SELECT n FROM numbers WHERE n < %s", [6], prepare=True)
        connection.execute("CREATE TEMP TABLE t AS SELECT 1 AS n; INSERT INTO t VALUES (1), (2); SELECT * FROM t")
        with pytest.raises(psycopg.errors.InvalidTextRepresentation):
            connection.execute("SELECT 'ann@x.org'::int")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("SELECT forbidden")
    records = gateway.records()
    assert [r["event"] for r in records] == ["connect", *["statement"] * 6, "refused", "disconnect"]
    assert [r.get("rows") for r in records[1:6]] == [3, 5, 1, 2, 3]
    assert records[6]["sqlstate"] == "22P02"
    assert "ann@x.org" not in str(records)
    for record in records[1:6]:
        assert record["duration_us"] >= 0
        assert (record["app"], record["login"], record["database"], record["rules_version"]) == (
            "app",
            "app",
            "db",
            "v1",
        )
    assert len({record["session"] for record in records}) == 1


def test_full_text_is_logged_only_where_it_is_asked_for(start: Start) -> None:
    gateway = start(audit_full_text=True)
    with psycopg.connect(gateway.dsn(), autocommit=True) as connection:
        connection.execute("SELECT 'ann@x.org'")
    assert gateway.records("statement")[0]["statement"] == "SELECT 'ann@x.org'"
