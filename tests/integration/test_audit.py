"""The audit log of `consentry serve`: complete, right, and without what must not be in it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import errors

from proxy.wire import messages
from tests.gateways import GatewayProcess, audit_records, eventually, running_gateway
from tests.servers import PgServer
from tests.shops import RULES, connect, prepare_shop
from tests.wire.client import RawClient, kinds, rows

SECRET = "marker7391"  # in no name, message or setting of the tests; also as a number
NUMBER = "73917391"

Serve = Callable[..., GatewayProcess]
Record = dict[str, Any]


@pytest.fixture(scope="module")
def server(pg_server: PgServer, tmp_path_factory: pytest.TempPathFactory) -> PgServer:
    """The shop with its ledger, in database `audited`."""
    prepare_shop(pg_server, tmp_path_factory.mktemp("audited"), "audited")
    pg_server.run("audited", "GRANT ALL ON SCHEMA public TO PUBLIC")
    pg_server.run("audited", "GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO PUBLIC")
    return pg_server


@pytest.fixture
def serve(server: PgServer, tmp_path: Path) -> Iterator[Serve]:
    with ExitStack() as stack:

        def start(rules: str = RULES, **settings: Any) -> GatewayProcess:
            return stack.enter_context(running_gateway(server, tmp_path, rules, {"shop": "audited"}, settings))

        yield start


def all_records(gateway: GatewayProcess, sessions: int = 1) -> list[Record]:
    """The whole log, when this many sessions have ended."""
    eventually(lambda: len(gateway.records("disconnect")) >= sessions)
    return gateway.records()


def executed(gateway: GatewayProcess) -> list[Record]:
    """The statements of the only session, which has ended."""
    return [record for record in all_records(gateway) if record["event"] in ("statement", "refused")]


def everything_written(gateway: GatewayProcess) -> str:
    """The audit log and the log, as bytes have them."""
    return gateway.log + "".join(file.read_text() for file in (gateway.folder / "audit").iterdir())


# What a record says.


def test_the_fields_of_a_statement(serve: Serve) -> None:
    gateway = serve()
    began = datetime.now(UTC)
    with connect(gateway, "mailco_batch", application_name="the tests") as connection:
        connection.execute("SELECT id, full_name, phone FROM customers WHERE email <> 'x' ORDER BY 1")
    connected, record, disconnected = all_records(gateway)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", record["time"])
    assert began <= datetime.fromisoformat(record["time"]) <= datetime.now(UTC)
    sequence = [one["seq"] for one in gateway.records()]
    assert sequence == sorted(set(sequence))
    session = {
        "worker": 0,
        "session": record["session"],
        "app": "mailco",
        "login": "mailco_batch",
        "client": record["client"],
        "application_name": "the tests",
        "database": "shop",
        "tls": False,
    }
    assert re.fullmatch(r"[0-9a-f]{16}", record["session"])
    assert re.fullmatch(r"127\.0\.0\.1:\d+", record["client"])
    for one, event in ((connected, "connect"), (record, "statement"), (disconnected, "disconnect")):
        assert {**one, **session, "event": event} == one
    assert disconnected["message"] == "client ended"
    named = {name: record[name] for name in ("statement", "rewritten", "consent", "rows")}
    assert named == {
        "statement": "SELECT id, full_name, phone FROM customers WHERE email <> $1 ORDER BY 1",
        "rewritten": True,
        "consent": "opt_in",
        "rows": 0,
    }
    assert re.fullmatch(r"[0-9a-f]{16}", record["fingerprint"])
    assert re.fullmatch(r"[0-9a-f]{64}", record["rules_version"])
    assert 0 < record["duration_us"] < 10_000_000
    treatments = {item["column"]: item for item in record["disclosed"]}
    assert set(treatments) == {"id", "full_name", "phone", "email"}
    assert treatments["phone"] == {
        "relation": "public.customers",
        "column": "phone",
        "attribute": "phone",
        "treatment": "show if consent, else partial",
    }
    assert treatments["id"]["attribute"] is None
    assert set(record["policies"]) == {
        "partners get contact data from those who agreed",
        "partners get the phone number hidden unless agreed",
        "MailCo sees customers who share their address",
    }
    assert set(record) == {
        *session,
        *named,
        *("time", "seq", "event", "fingerprint", "rules_version", "duration_us", "disclosed", "policies", "prev"),
    }


def test_statements_of_a_trusted_app_and_those_that_read_nothing(serve: Serve) -> None:
    gateway = serve()
    with connect(gateway, "deploy") as connection:
        connection.execute("SELECT email FROM customers")
        connection.execute("CREATE TABLE made (n int)")
        connection.execute("DROP TABLE made")
    read, made, dropped = executed(gateway)
    assert (read["app"], read["rewritten"], read["rows"], read["policies"]) == ("migrations", False, 5, [])
    email = {"relation": "public.customers", "column": "email", "attribute": "email", "treatment": "show"}
    assert read["disclosed"] == [email]
    assert not any("unknown" in one or one["disclosed"] for one in (made, dropped))
    assert [one["statement"] for one in (made, dropped)] == ["CREATE TABLE made (n int)", "DROP TABLE made"]
    assert "rows" not in made


def test_what_a_trusted_app_reads_is_told_or_said_to_be_unknown(serve: Serve) -> None:
    gateway = serve()
    with connect(gateway, "deploy") as connection:
        connection.execute("PREPARE p AS SELECT phone FROM customers")
        connection.execute("SELECT email FROM customers WHERE id = %s", [1], prepare=True)
        connection.execute("CREATE TEMP TABLE copied AS SELECT email FROM customers")
        connection.execute("EXECUTE p")
        connection.execute("SELECT email FROM customers WHERE id = %s", [1], prepare=True)
        connection.execute("SELECT email FROM public.customers")
        connection.execute("SELECT * FROM copied")
        with connection.transaction():
            connection.execute("DECLARE c CURSOR FOR SELECT phone FROM public.customers")
            connection.execute("FETCH ALL FROM c")
        connection.execute(
            "CREATE FUNCTION public.phone_of(int) RETURNS text STABLE RETURN (SELECT phone FROM customers WHERE id = $1)"
        )
        connection.execute("SELECT public.phone_of(1)")
        connection.execute("DROP FUNCTION public.phone_of(int)")
        connection.execute("SET standard_conforming_strings = off")
        connection.execute("SELECT email FROM public.customers")
    told = [
        (record["statement"].split(" ")[0], [item["column"] for item in record["disclosed"]], record.get("unknown"))
        for record in executed(gateway)
    ]
    lost = 'what "{}" means: search_path or temp relations have changed in this session'
    assert told[:8] == [
        ("PREPARE", ["phone"], None),
        ("SELECT", ["email", "id"], None),
        ("CREATE", ["email"], None),
        ("EXECUTE", [], lost.format("customers")),  # the server plans it again, too
        ("SELECT", [], lost.format("customers")),
        ("SELECT", ["email"], None),
        ("SELECT", [], lost.format("copied")),
        ("BEGIN", [], None),
    ]
    assert told[9] == ("FETCH", ["phone"], None)
    created = "what a function reads that was not in the catalog when that was last looked at"
    assert ("SELECT", [], created) in told
    assert told[-1][2] is not None
    assert "standard_conforming_strings" in told[-1][2]


def test_fingerprints_are_the_same_for_statements_that_differ_in_constants(serve: Serve) -> None:
    gateway = serve()
    with connect(gateway) as connection:
        for text in ("= 1", "= 22", "IN (1, 2, 3)", "IN (4, 5)"):
            connection.execute(f"SELECT email FROM customers WHERE id {text}")
        connection.execute("SELECT phone FROM customers WHERE id = 1")
    prints = [record["fingerprint"] for record in executed(gateway)]
    assert prints[0] == prints[1] == prints[2] == prints[3] != prints[4]


def test_rows_durations_and_errors(serve: Serve) -> None:
    gateway = serve()
    with connect(gateway) as connection:
        for text in (
            "SELECT email FROM customers",
            "INSERT INTO products VALUES ('A', 'a', 1), ('B', 'b', 2)",
            "UPDATE products SET price = 3 WHERE sku IN ('A', 'B')",
            "DELETE FROM products WHERE sku IN ('A', 'B')",
            "SELECT pg_sleep(0.25)",
            "SET statement_timeout = '60s'",
            "BEGIN",
            "SELECT 1 WHERE false",
            "COMMIT",
        ):
            connection.execute(text)
        for text, error in (
            ("SELECT 1 / (price - price) FROM products", errors.DivisionByZero),
            ("INSERT INTO products VALUES ('TEA-01', 'again', 1)", errors.UniqueViolation),
            ("SELECT card FROM customers", errors.UndefinedColumn),
        ):
            with pytest.raises(error):
                connection.execute(text)
    found = executed(gateway)
    assert [record.get("rows") for record in found] == [5, 2, 2, 2, 1, None, None, 0, None, 0, 0, 0]
    assert [record.get("sqlstate") for record in found[-4:]] == [None, "22012", "23505", "42703"]
    assert found[-3]["message"] == "division by zero"
    slow = next(record for record in found if "pg_sleep" in record["statement"])
    assert 250_000 <= slow["duration_us"] < 5_000_000
    assert all(record["duration_us"] < 250_000 for record in found if record is not slow)
    assert {record["event"] for record in found} == {"statement"}


def test_rows_that_went_out_before_an_error_are_counted(serve: Serve) -> None:
    """Else an app reads all but the last row, and reports have none."""
    gateway = serve()
    text = b"SELECT c.email, 1 / (n - 500) FROM generate_series(1, 1000) n, customers c"
    with RawClient(gateway.port) as client:
        client.start("crm_app", "shop")
        for _ in range(2):
            sent = kinds(client.query(text)).count("D")
            assert sent > 1000
    assert [(one["sqlstate"], one["rows"]) for one in executed(gateway)] == [("22012", sent)] * 2


def test_a_cancelled_statement(serve: Serve) -> None:
    gateway = serve()
    with connect(gateway) as connection, pytest.raises(errors.QueryCanceled):
        connection.execute("SET statement_timeout = '50ms'; SELECT pg_sleep(30)")
    assert [record.get("sqlstate") for record in executed(gateway)] == [None, "57014"]


# One record for each statement that is executed.


def test_each_execute_has_a_record(serve: Serve) -> None:
    gateway = serve()
    with connect(gateway, prepare_threshold=0) as connection:
        for number in range(3):
            connection.execute("SELECT email FROM customers WHERE id = %s", [number])
        connection.cursor().executemany("SELECT title FROM products WHERE sku = %s", [("TEA-01",), ("x",)])
    found = executed(gateway)
    assert [record["rows"] for record in found] == [0, 1, 1, 1, 0]
    assert found[0]["statement"] == "SELECT email FROM customers WHERE id = $1"
    assert len({record["fingerprint"] for record in found[:3]}) == 1


def test_parse_bind_and_describe_alone_have_none(serve: Serve) -> None:
    gateway = serve()
    with RawClient(gateway.port) as client:
        client.start("crm_app", "shop")
        client.send(
            messages.parse(b"s", messages.parse_rest(b"SELECT email FROM customers")),
            messages.describe(b"S", b"s"),
            messages.bind(b"p", b"s"),
            messages.describe(b"P", b"p"),
            messages.close(b"P", b"p"),
            messages.SYNC_MESSAGE,
        )
        assert kinds(client.until_ready()) == "1tT2T3Z"
    assert executed(gateway) == []


def execute_some(portal: bytes, limit: int) -> bytes:
    return messages.message(messages.EXECUTE, portal + b"\0" + limit.to_bytes(4, "big"))


def test_a_portal_that_is_read_in_parts(serve: Serve) -> None:
    gateway = serve()
    with RawClient(gateway.port) as client:
        client.start("crm_app", "shop")
        client.send(
            messages.parse(b"", messages.parse_rest(b"SELECT email FROM customers")),
            messages.bind(b"", b""),
            execute_some(b"", 2),
            execute_some(b"", 0),
            messages.SYNC_MESSAGE,
        )
        assert kinds(client.until_ready()) == "12DDsDDDCZ"
    assert [record["rows"] for record in executed(gateway)] == [2, 3]


def test_what_an_error_in_a_pipeline_skips_was_not_executed(serve: Serve) -> None:
    gateway = serve()
    with RawClient(gateway.port) as client:
        client.start("crm_app", "shop")

        def step(text: bytes) -> bytes:
            return messages.parse(b"", messages.parse_rest(text)) + messages.bind(b"", b"") + messages.execute(b"")

        client.send(step(b"SELECT 1"), step(b"SELECT 1/0"), step(b"SELECT 2"), messages.SYNC_MESSAGE)
        client.until_ready()
        client.send(step(b"SELECT 3"), messages.SYNC_MESSAGE)
        assert rows(client.until_ready()) == [[b"3"]]
    found = executed(gateway)
    assert [record.get("sqlstate") for record in found] == [None, "22012", None]


def test_each_statement_of_a_text_has_a_record(serve: Serve) -> None:
    gateway = serve()
    with RawClient(gateway.port) as client:
        client.start("crm_app", "shop")
        client.query(
            b"SELECT 1; SELECT email FROM customers; ; SELECT title FROM products WHERE sku = 'x'; SELECT 1/0; SELECT 2"
        )
    found = executed(gateway)
    assert [(record["statement"], record.get("rows"), record.get("sqlstate")) for record in found] == [
        ("SELECT $1", 1, None),
        ("SELECT email FROM customers", 5, None),
        ("SELECT title FROM products WHERE sku = $1", 0, None),
        ("SELECT $1/$2", 0, "22012"),
    ]
    assert [bool(record["disclosed"]) for record in found] == [False, True, False, False]


def test_what_was_rewritten_is_said_of_each_statement_of_a_text(serve: Serve) -> None:
    gateway = serve()
    text = (
        "SELECT 'é€'; SELECT phone FROM customers; SELECT title FROM products; PREPARE plain AS SELECT 1; "
        "PREPARE changed AS SELECT phone FROM customers; BEGIN; DECLARE plain_c CURSOR FOR SELECT 2; "
        "DECLARE changed_c CURSOR FOR SELECT phone FROM customers"
    )
    with connect(gateway, "mailco_app") as connection:
        connection.execute(text.encode())
        for run_by_name in ("EXECUTE plain", "EXECUTE changed", "FETCH plain_c", "FETCH changed_c"):
            connection.execute(run_by_name.encode())
        connection.execute("SELECT 3; EXECUTE changed")
    assert [(record["statement"].split()[-1], record["rewritten"]) for record in executed(gateway)] == [
        ("$1", False),
        ("customers", True),
        ("products", False),
        ("?", False),
        ("customers", True),
        ("BEGIN", False),
        ("$1", False),
        ("customers", True),
        ("plain", False),
        ("changed", True),
        ("plain_c", False),
        ("changed_c", True),
        ("$1", False),
        ("changed", True),
        ("COMMIT", False),
    ]


def test_prepared_in_sql_cursors_and_copies(serve: Serve) -> None:
    gateway = serve()
    with connect(gateway) as connection:
        connection.execute("PREPARE p AS SELECT email FROM customers")
        connection.execute("EXECUTE p")
        connection.execute("EXECUTE p")
        with connection.transaction():
            connection.execute("DECLARE c CURSOR FOR SELECT phone FROM customers")
            connection.execute("FETCH 2 FROM c")
            connection.execute("FETCH ALL FROM c")
        with connection.cursor().copy("COPY (SELECT email FROM customers) TO STDOUT") as copy:
            assert len(list(copy)) == 5
        with connection.cursor().copy("COPY products FROM STDIN") as copy:
            copy.write(f"{SECRET}\t{SECRET}\t1\n")
        connection.execute("DELETE FROM products WHERE sku = %s", [SECRET])
    found = [(record["statement"].split(" ")[0], record.get("rows")) for record in executed(gateway)]
    assert found == [
        ("PREPARE", None),
        ("EXECUTE", 5),
        ("EXECUTE", 5),
        ("BEGIN", None),
        ("DECLARE", None),
        ("FETCH", 2),
        ("FETCH", 3),
        ("COMMIT", None),
        ("COPY", 5),
        ("COPY", 1),
        ("DELETE", 1),
    ]
    assert SECRET not in everything_written(gateway)


def test_what_executions_of_sql_disclose_is_in_their_records(serve: Serve) -> None:
    gateway = serve()
    with connect(gateway) as connection:
        connection.execute("PREPARE p AS SELECT email FROM customers")
        connection.execute("EXECUTE p")
        with connection.transaction():
            connection.execute("DECLARE c CURSOR FOR SELECT phone FROM customers")
            connection.execute("FETCH ALL FROM c")
    columns = {
        record["statement"].split(" ")[0]: [item["column"] for item in record["disclosed"]]
        for record in executed(gateway)
    }
    assert columns["EXECUTE"] == ["email"]
    assert columns["FETCH"] == columns["DECLARE"] == ["phone"]


def columns_of(gateway: GatewayProcess) -> list[tuple[str, list[str]]]:
    """Each statement's first word, and what it discloses."""
    return [
        (record["statement"].split(" ")[0], [item["column"] for item in record["disclosed"]])
        for record in executed(gateway)
    ]


def test_what_names_stand_for_is_followed(serve: Serve) -> None:
    gateway = serve()
    with connect(gateway) as connection:
        connection.execute(
            "PREPARE p AS SELECT email FROM customers; EXECUTE p; PREPARE q AS SELECT phone FROM customers"
        )
        connection.execute("EXECUTE q")
        connection.execute("CREATE TEMP TABLE t AS EXECUTE p")
        connection.execute("DEALLOCATE p; PREPARE p AS SELECT full_name FROM customers")
        connection.execute("EXECUTE p")
        with connection.transaction():
            connection.execute("DECLARE c CURSOR WITH HOLD FOR SELECT email FROM customers")
        connection.execute("MOVE 1 IN c; FETCH ALL FROM c; CLOSE c")
        with pytest.raises(errors.InvalidCursorName):
            connection.execute("FETCH ALL FROM c2")
        with pytest.raises(errors.InvalidSqlStatementName):
            connection.execute("EXECUTE nothing")
    assert columns_of(gateway) == [
        ("PREPARE", ["email"]),
        ("EXECUTE", ["email"]),
        ("PREPARE", ["phone"]),
        ("EXECUTE", ["phone"]),
        ("CREATE", ["email"]),
        ("DEALLOCATE", []),
        ("PREPARE", ["full_name"]),
        ("EXECUTE", ["full_name"]),
        ("BEGIN", []),
        ("DECLARE", ["email"]),
        ("COMMIT", []),
        ("MOVE", ["email"]),
        ("FETCH", ["email"]),
        ("CLOSE", []),
        ("FETCH", []),
        ("EXECUTE", []),
    ]


def test_sql_runs_what_the_protocol_named_and_a_fetch_reads_its_portal(serve: Serve) -> None:
    gateway = serve()
    with RawClient(gateway.port) as client:
        client.start("crm_app", "shop")
        client.send(
            messages.query(b"BEGIN"),
            messages.parse(b"s", messages.parse_rest(b"SELECT phone FROM customers")),
            messages.bind(b"c", b"s"),
            messages.SYNC_MESSAGE,
        )
        client.until_ready()
        client.until_ready()
        client.query(b"EXECUTE s")
        assert len(rows(client.query(b"FETCH ALL FROM c"))) == 5
    assert columns_of(gateway) == [("BEGIN", []), ("EXECUTE", ["phone"]), ("FETCH", ["phone"])]


def test_columns_that_a_filter_or_a_join_reads_are_disclosed(serve: Serve) -> None:
    gateway = serve()
    with connect(gateway) as connection:
        connection.execute("SELECT count(*) FROM customers WHERE email LIKE 'a%'")
        connection.execute("SELECT 1 FROM orders o JOIN customers c ON c.id = o.customer_id ORDER BY c.phone")
        connection.execute("UPDATE customers SET full_name = full_name WHERE email = 'x' RETURNING phone")
    found = [
        {f"{item['relation'].split('.')[1]}.{item['column']}" for item in record["disclosed"]}
        for record in executed(gateway)
    ]
    assert "customers.email" in found[0]
    assert {"customers.id", "customers.phone"} <= found[1]
    assert {"customers.full_name", "customers.email", "customers.phone"} <= found[2]


def test_rows_that_went_out_before_a_client_hung_up_are_recorded(serve: Serve) -> None:
    """Else an app reads all but the end of a result and leaves no trace."""
    gateway = serve()
    with RawClient(gateway.port) as client:
        client.start("crm_app", "shop")
        client.send(messages.query(b"SELECT c.email, repeat('x', 1000) FROM customers c, generate_series(1, 200000)"))
        assert b"ann@example.org" in client.sock.recv(100_000)
    (record,) = executed(gateway)
    assert {item["column"] for item in record["disclosed"]} == {"email"}


def test_a_statement_whose_answer_nobody_waits_for_is_recorded(serve: Serve, server: PgServer) -> None:
    """The server runs it to its end, and commits."""
    gateway = serve()
    with server.connect("audited") as administrator:
        with RawClient(gateway.port) as client:
            client.start("crm_app", "shop")
            text = b"UPDATE products SET title = 'K' FROM (SELECT pg_sleep(0.5)) AS s WHERE sku = 'KET-03'"
            client.send(messages.query(text))
            sleeping = "SELECT 1 FROM pg_stat_activity WHERE usename = 'crm_app' AND wait_event = 'PgSleep'"
            eventually(lambda: administrator.execute(sleeping).fetchone())
        changed = "SELECT 1 FROM products WHERE title = 'K'"
        eventually(lambda: administrator.execute(changed).fetchone())
        administrator.execute("UPDATE products SET title = 'Kettle' WHERE sku = 'KET-03'")
    (record,) = executed(gateway)
    assert record["statement"].startswith("UPDATE products")


def test_statements_that_a_lost_server_cut_off_are_recorded(serve: Serve, server: PgServer) -> None:
    gateway = serve()
    with RawClient(gateway.port) as client, server.connect() as administrator:
        client.start("crm_app", "shop")
        client.send(messages.query(b"SELECT pg_sleep(30)"))
        pid = "SELECT pid FROM pg_stat_activity WHERE usename = 'crm_app' AND wait_event = 'PgSleep'"
        eventually(lambda: administrator.execute(pid).fetchone())
        administrator.execute(f"SELECT pg_terminate_backend(({pid}))")
        client.until_closed()
    (record,) = executed(gateway)
    assert record["sqlstate"] == "57P01"


# What is in no record.

STATEMENTS = (
    f"SELECT '{SECRET}', {NUMBER}, $${SECRET}$$, E'\\x41{SECRET}', interval '1 day', -{NUMBER}.5",
    f"SELECT email FROM customers WHERE email = '{SECRET}' OR id = {NUMBER} LIMIT {NUMBER}",
    f"SELECT * FROM json_to_record('{{\"{SECRET}\": 1}}') AS x(a int)",
    f"INSERT INTO products VALUES ('{SECRET}', '{SECRET}', {NUMBER})",
    f"UPDATE products SET title = '{SECRET}!' WHERE sku = '{SECRET}'",
    f"WITH x AS (SELECT '{SECRET}' AS y) SELECT y FROM x WHERE y LIKE '{SECRET}%'",
    f"DECLARE c CURSOR WITH HOLD FOR SELECT email FROM customers WHERE email > '{SECRET}'",
    f"EXPLAIN SELECT email FROM customers WHERE email > '{SECRET}'",
    f"SET statement_timeout = {NUMBER}",
    f"NOTIFY channel, '{SECRET}'",
    f"COPY (SELECT '{SECRET}') TO STDOUT",
    f"DELETE FROM products WHERE sku = '{SECRET}'",
    f"VALUES ('{SECRET}'), ('{NUMBER}')",
)
FAILING = (
    f"SELECT '{SECRET}'::int",
    f"SELECT {NUMBER}::smallint",
    f"SELECT '{SECRET}'::date, to_date('{SECRET}', 'YYYY')",
    f"INSERT INTO products VALUES ('TEA-01', '{SECRET}', 1)",
    f"INSERT INTO order_items VALUES ({NUMBER}, 1, '{SECRET}', 1, 1)",
    f"SELECT email FROM customers WHERE id = '{SECRET}'",
    f"SELEC '{SECRET}'",
    f"SELECT 1 '{SECRET}'",
    f"SELECT '{SECRET}",
    f"SELECT 1 {NUMBER}",
    f"SET DateStyle = '{SECRET}'",
    f"SELECT * FROM customers WHERE card_number = '{SECRET}'",
    f"GRANT ALL ON customers TO PUBLIC; SELECT '{SECRET}'",
    # The gateway takes them for settings, their values, encodings.
    f"SELECT set_config('{SECRET}', 'x', true)",
    f"SELECT set_config('search_path', '{SECRET}', true)",
    f"SELECT set_config('client_encoding', 'pg_temp_{SECRET}', true)",
    f"SELECT set_config('standard_conforming_strings', '{SECRET}', true)",
    f"SET NAMES '{SECRET}'",
    f"SET LOCAL search_path TO 'pg_temp_{SECRET}'",
    f"SET LOCAL standard_conforming_strings TO '{SECRET}'",
    # Values that are written as names.
    f"ALTER ROLE audit_role SET app.token = {SECRET}",
    f"ALTER DATABASE audited SET app.token TO {SECRET}, {SECRET}",
    f"ALTER ROLE audit_role IN DATABASE audited SET app.token TO '{SECRET}'",
    f"ALTER SYSTEM SET log_line_prefix = {SECRET}",
    f"CREATE FUNCTION audit_f() RETURNS int SET app.token = {SECRET} LANGUAGE sql RETURN 1",
    # The server takes a constant for a name, and quotes it as one.
    f"SELECT nextval('{SECRET}')",
    f"SELECT '{SECRET}.y'::regproc",
    f"SELECT has_table_privilege('{SECRET}', 'select')",
    f"SELECT current_setting('{SECRET}')",
    f"COMMIT PREPARED '{SECRET}'",
    f"SELECT make_date({NUMBER}, 1, 1)",
    f"SELECT chr({NUMBER})",
    f"SELECT get_bit('\\x00'::bytea, {NUMBER})",
    f"SET extra_float_digits = {NUMBER}",
    f"SELECT to_regclass('{SECRET}.a.b.c.d')",
    f"SELECT pg_get_serial_sequence('{SECRET}.a.b.c.d', 'x')",
)


def run(connection: psycopg.Connection[Any], text: str, parameters: list[Any] | None = None) -> None:
    cursor = connection.cursor()
    if text.startswith("COPY"):
        with cursor.copy(text) as copy:
            list(copy)
    else:
        cursor.execute(text, parameters)


def contains_secret(text: str) -> list[str]:
    return [line for line in text.splitlines() if SECRET in line or NUMBER in line]


def test_constants_are_in_no_record(serve: Serve) -> None:
    gateway = serve()
    with connect(gateway) as connection, connect(gateway, "deploy") as trusted:
        for one in (connection, trusted):
            for text in STATEMENTS:
                run(one, text)
            for text in FAILING:
                with suppress(psycopg.Error):
                    run(one, text)
            one.execute(f"SELECT 1; {STATEMENTS[0]}; {STATEMENTS[1]}")
    found = all_records(gateway, 2)
    assert (
        len([record for record in found if "sqlstate" in record]) >= 2 * len(FAILING) - 4
    )  # the trusted app may set a path
    assert contains_secret(everything_written(gateway)) == []


def test_what_a_client_says_of_a_copy_that_it_breaks_off_is_in_no_record(serve: Serve) -> None:
    gateway = serve()
    for login in ("crm_app", "deploy"):
        text = "COPY products (sku, title, price) FROM STDIN"
        with connect(gateway, login) as connection, suppress(ValueError), connection.cursor().copy(text) as copy:
            copy.write_row(("x", "y", 1))
            raise ValueError(f"a bad card, {SECRET}")
    assert [one["message"] for one in executed(gateway)] == ["COPY from stdin failed: ?"] * 2
    assert contains_secret(everything_written(gateway)) == []


def test_names_stay_in_messages(serve: Serve) -> None:
    gateway = serve()
    with connect(gateway, "deploy") as connection:
        for text in (
            "SELECT * FROM public.NoSuchTable",
            "SELECT no_such_column FROM customers",
            "INSERT INTO products VALUES ('TEA-01', 'x', 1)",
            "SELECT * FROM orders JOIN customers ON customers.id = other.id",
        ):
            with suppress(psycopg.Error):
                connection.execute(text.encode())
    assert [one["message"] for one in executed(gateway)] == [
        'relation "public.nosuchtable" does not exist',
        'column "no_such_column" does not exist',
        'duplicate key value violates unique constraint "products_pkey"',
        'missing FROM-clause entry for table "other"',
    ]


def test_parameters_are_in_no_record(serve: Serve) -> None:
    gateway = serve()
    with connect(gateway, prepare_threshold=0) as connection:
        connection.execute("SELECT email FROM customers WHERE email = %s OR id = %s", [SECRET, int(NUMBER)])
        connection.execute("SELECT %s::text, %b::bytea", [SECRET, SECRET.encode()])
        for text in ("SELECT %s::text::int", "SELECT email FROM customers WHERE id = %s::text::date - current_date"):
            with pytest.raises(psycopg.Error):
                connection.execute(text, [SECRET])
        with pytest.raises(errors.UniqueViolation):
            connection.execute("INSERT INTO products VALUES ('TEA-01', %s, 1)", [SECRET])
        with pytest.raises(errors.UndefinedTable):
            connection.execute("SELECT has_table_privilege(%s, 'select')", [SECRET])
    assert len(executed(gateway)) == 6
    assert contains_secret(everything_written(gateway)) == []


UTILITY = (
    f"EXECUTE p('{SECRET}')",
    f"PREPARE q AS SELECT email FROM customers WHERE email = '{SECRET}'",
    f"CREATE TEMP TABLE t AS SELECT '{SECRET}' AS a",
    f"CREATE TEMP TABLE t2 (a text DEFAULT '{SECRET}')",
    f"COPY customers TO PROGRAM 'cat {SECRET}'",
    f"COPY (SELECT email FROM customers) TO STDOUT (NULL '{SECRET}')",
    f"EXPLAIN EXECUTE p('{SECRET}')",
)


@pytest.mark.parametrize("text", UTILITY)
def test_constants_of_utility_statements_are_in_no_record(serve: Serve, text: str) -> None:
    gateway = serve()
    for threshold in (None, 0):
        with connect(gateway, prepare_threshold=threshold) as connection:
            connection.execute("PREPARE p (text) AS SELECT email FROM customers WHERE email = $1")
            with suppress(psycopg.Error):
                run(connection, text)
    assert len(all_records(gateway, 2)) == 8
    assert contains_secret(everything_written(gateway)) == []


PASSWORDS = (
    f"ALTER ROLE audit_role PASSWORD '{SECRET}'",
    f"ALTER ROLE audit_role WITH ENCRYPTED PASSWORD '{SECRET}' VALID UNTIL 'infinity'",
    f"ALTER USER audit_role PASSWORD '{SECRET}'",
    f"CREATE ROLE audit_role2 PASSWORD '{SECRET}'",
    f"CREATE USER audit_role3 PASSWORD '{SECRET}'",
    f"SELECT 1; ALTER ROLE audit_role PASSWORD '{SECRET}'",
    f"ALTER ROLE audit_role PASSWORD '{SECRET}'; SELECT 1",
    f"DO $$ BEGIN ALTER ROLE audit_role PASSWORD '{SECRET}'; END $$",
    f"DO $$ BEGIN EXECUTE 'ALTER ROLE audit_role PassWord ''{SECRET}'''; END $$",
    f"ALTER ROLE audit_no_such_role PASSWORD '{SECRET}'",
    f"ALTER ROLE audit_role PASSWORD {SECRET}",
    f"ALTER ROLE audit_role PASSWORD '{SECRET}' AND MORE",
    f"ALTER ROLE audit_role PASSWORD '{SECRET}",
    f"ALTER ROLE audit_role PASWORD '{SECRET}'",
    f"CREATE SUBSCRIPTION audit_s CONNECTION 'host=127.0.0.1 port=1 password={SECRET}' PUBLICATION p",
    f"SELECT 1 FROM customers WHERE email = 'postgres://crm:{SECRET}@db/shop'",
    f"SET my.password = '{SECRET}'",
    f"DECLARE c CURSOR WITH HOLD FOR SELECT set_config('my.password', '{SECRET}', false)",
    f"SELECT nextval('password={SECRET}')",
    f"CREATE FOREIGN DATA WRAPPER audit_w OPTIONS (anything '{SECRET}')",
    f"-- ALTER ROLE audit_role PASSWORD '{SECRET}'",
)


@pytest.fixture
def administrator_login(server: PgServer) -> Iterator[None]:
    """The trusted app's login may do what it likes."""
    drop = "DROP ROLE IF EXISTS audit_role, audit_role2, audit_role3"
    server.run("postgres", f"{drop}; CREATE ROLE audit_role; ALTER ROLE deploy SUPERUSER")
    yield
    server.run("postgres", f"{drop}; ALTER ROLE deploy NOSUPERUSER")


@pytest.mark.parametrize("text", ["normalised", "full"])
@pytest.mark.usefixtures("administrator_login")
def test_passwords_are_in_no_record(serve: Serve, text: str) -> None:
    gateway = serve(audit={"text": text})
    done = 0
    for threshold in (None, 0):
        with connect(gateway, "deploy", prepare_threshold=threshold) as connection:
            for statement in PASSWORDS:
                try:
                    connection.execute(statement, prepare=threshold == 0)
                except psycopg.Error:
                    pass
                else:
                    done += 1
    assert done >= 9
    found = all_records(gateway, 2)
    assert len(found) >= 2 * len(PASSWORDS)
    assert contains_secret(everything_written(gateway)) == []


def test_a_key_that_is_given_to_what_was_prepared_is_in_no_record(serve: Serve) -> None:
    gateway = serve(audit={"text": "full"})
    with connect(gateway, "deploy") as connection:
        connection.execute("PREPARE keyed(text) AS SELECT md5($1) AS password_hash")
        connection.execute(f"EXECUTE keyed('{SECRET}')")
        connection.execute("PREPARE plain(text) AS SELECT md5($1)")
        connection.execute("EXECUTE plain('shown')")
    assert contains_secret(everything_written(gateway)) == []
    assert executed(gateway)[-1]["statement"] == "EXECUTE plain('shown')"


def test_of_what_a_temp_table_holds_the_record_says_that_it_is_unknown(serve: Serve) -> None:
    gateway = serve()
    with connect(gateway) as connection:
        connection.execute("CREATE TEMP TABLE held AS SELECT email FROM customers")
        connection.execute("SELECT * FROM held")
        connection.execute("SELECT email FROM customers")
    made, read, plain = executed(gateway)
    assert "unknown" not in made
    assert "unknown" not in plain
    assert read["unknown"] == 'what temp relation "held" holds'


def test_passwords_of_logins_are_in_no_record(serve: Serve, server: PgServer) -> None:
    server.create_login("mailco_batch", "right-" + SECRET, options="VALID UNTIL 'infinity'")
    with server.connect() as connection:
        connection.execute("REVOKE auth_trust FROM mailco_batch")
    try:
        gateway = serve(audit={"text": "full"})
        connect(gateway, "mailco_batch", password="right-" + SECRET).close()
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            connect(gateway, "mailco_batch", password="wrong-" + SECRET)
    finally:
        server.create_login("mailco_batch", group="auth_trust")
    eventually(lambda: gateway.records("connect_refused"))
    (record,) = gateway.records("connect_refused")
    assert (record["sqlstate"], record["login"]) == ("28P01", "mailco_batch")
    assert contains_secret(everything_written(gateway)) == []


def test_with_text_full_constants_are_there(serve: Serve) -> None:
    gateway = serve(audit={"text": "full"})
    with connect(gateway, prepare_threshold=0) as connection:
        connection.execute(f"SELECT email FROM customers WHERE email = '{SECRET}'", prepare=False)
        connection.execute("SELECT email FROM customers WHERE email = %s", [SECRET])
    found = [record["statement"] for record in executed(gateway)]
    assert found == [
        f"SELECT email FROM customers WHERE email = '{SECRET}'",
        "SELECT email FROM customers WHERE email = $1",
    ]


def test_with_text_full_each_record_has_its_own_statement(serve: Serve) -> None:
    gateway = serve(audit={"text": "full"})
    text = f"SELECT 1; SET my.password = '{SECRET}'; SELECT phone FROM customers WHERE email = 'ann' /* 2 */"
    with connect(gateway) as connection, connect(gateway, "mailco_app") as refused:
        connection.execute(text.encode())
        with pytest.raises(psycopg.Error):
            refused.execute(b"SELECT 'a'; UPDATE customers SET email = 'x' WHERE id = 1")
    found = [record["statement"] for record in all_records(gateway, 2) if record["event"] in ("statement", "refused")]
    assert found == [
        "SELECT 1",
        "SET my.password = $1",
        "SELECT phone FROM customers WHERE email = 'ann' /* 2 */",
        "SELECT 'a'; UPDATE customers SET email = 'x' WHERE id = 1",
    ]


def test_with_text_full_refused_statements_are_whole_too(serve: Serve) -> None:
    gateway = serve(audit={"text": "full"})
    with connect(gateway, "mailco_app") as connection, pytest.raises(errors.InsufficientPrivilege):
        connection.execute(f"UPDATE customers SET email = '{SECRET}' WHERE id = 1")
    (record,) = executed(gateway)
    assert record["fingerprint"]
    assert SECRET in record["statement"]


# What is no statement.


@pytest.mark.parametrize("text", ["normalised", "full"])
@pytest.mark.parametrize("terms", [1000, 30_000, 250_000])
def test_statements_that_are_nested_too_deeply(serve: Serve, terms: int, text: str) -> None:
    rules = RULES.replace("logins: [mailco_app, mailco_batch]", "logins: [mailco_app, mailco_batch]\n    mode: monitor")
    gateway = serve(rules, audit={"text": text})
    deep = "SELECT 1" + "+1" * terms
    with (
        connect(gateway, "crm_app") as governed,
        connect(gateway, "mailco_app") as monitored,
        connect(gateway, "deploy") as trusted,
    ):
        with pytest.raises(errors.StatementTooComplex, match="stack depth limit exceeded"):
            governed.execute(deep.encode())
        for passing in (monitored, trusted):
            try:
                assert passing.execute(deep.encode()).fetchone() == (terms + 1,)
            except errors.StatementTooComplex:  # says PostgreSQL
                assert terms > 1000
        for connection in (governed, monitored, trusted):
            assert connection.execute("SELECT email FROM customers WHERE id = 1").fetchone() is not None
    found = [one for one in all_records(gateway, 3) if one["event"] in ("statement", "refused")]
    deep_ones = [one for one in found if one["statement"] == "(not understood)"]
    assert [(one["event"], one["app"], one.get("unknown")) for one in deep_ones] == [
        ("refused", "crm", None),
        ("statement", "mailco", "what it is"),
        ("statement", "migrations", "what it is"),
    ]
    assert deep_ones[0]["sqlstate"] == deep_ones[1]["would_refuse"]["sqlstate"] == "54001"
    assert len(found) == 6


def test_refused_statements(serve: Serve) -> None:
    gateway = serve()
    with connect(gateway, "mailco_app", prepare_threshold=0) as connection:
        for prepare in (False, True):
            with pytest.raises(errors.InsufficientPrivilege):
                connection.execute("UPDATE customers SET email = 'x' WHERE id = 1", prepare=prepare)
        with pytest.raises(errors.InsufficientPrivilege):
            connection.execute("GRANT ALL ON customers TO PUBLIC")
    found = executed(gateway)
    assert [record["event"] for record in found] == ["refused"] * 3
    for record in found:
        assert record["sqlstate"] == "42501"
        assert record["message"]
        assert "rows" not in record
    assert found[0]["statement"] == found[1]["statement"] == "UPDATE customers SET email = $1 WHERE id = $2"
    assert found[0]["fingerprint"] == found[1]["fingerprint"]


CONTACT = "partners get contact data from those who agreed"
ROWS = "MailCo sees customers who share their address"
DENIED = """
  - {name: notes are never touched, apps: [mailco], attributes: [notes], action: deny}

  - name: partners get contact"""
ATTEMPTS = {
    "SELECT card_no FROM customers": {"cards are never read", ROWS},
    "SELECT 1 FROM orders o, customers c WHERE c.card_no LIKE '4%'": {"cards are never read", ROWS},
    "SELECT (SELECT card_no) FROM customers": {"cards are never read", ROWS},
    "UPDATE customers SET card_no = 'x'": {"cards are never read"},
    "INSERT INTO customers (email) VALUES ('x') RETURNING card_no": {CONTACT},
    "UPDATE customers SET email = 'x' WHERE id = 1": {CONTACT},
    "SELECT body FROM support_notes": {"notes are never touched"},
    "EXPLAIN SELECT id FROM customers": {ROWS},
    "SELECT card_no FROM (SELECT 1 AS card_no) c": set(),
}


def test_the_policies_that_an_attempt_came_upon(serve: Serve) -> None:
    gateway = serve(RULES.replace("\n  - name: partners get contact", DENIED))
    with connect(gateway, "mailco_app") as connection:
        for text in ATTEMPTS:
            with suppress(errors.InsufficientPrivilege, errors.UndefinedColumn):
                connection.execute(text)
    with connect(gateway) as connection:
        connection.execute("UPDATE customers SET phone = phone WHERE id = 1")
    *found, written = (one for one in all_records(gateway, 2) if one["event"] in ("statement", "refused"))
    assert dict(zip(ATTEMPTS, (set(record["policies"]) for record in found), strict=True)) == ATTEMPTS
    assert written["policies"] == ["service works with customer data"]


def test_monitored_attempts_name_the_policies_too(serve: Serve) -> None:
    gateway = serve(RULES.replace("logins: [mailco_app, mailco_batch]", "logins: [mailco_app]\n    mode: monitor"))
    with connect(gateway, "mailco_app") as connection:
        connection.execute("UPDATE customers SET email = email WHERE id = 1")
    (record,) = executed(gateway)
    assert record["policies"] == [CONTACT]


def test_monitored_statements_say_what_would_be_refused(serve: Serve) -> None:
    rules = RULES.replace("logins: [mailco_app, mailco_batch]", "logins: [mailco_app, mailco_batch]\n    mode: monitor")
    gateway = serve(rules)
    with connect(gateway, "mailco_app") as connection:
        assert connection.execute("SELECT count(*) FROM customers").fetchone() == (5,)
        connection.execute("UPDATE customers SET email = email WHERE id = 1")
        connection.execute("SELECT phone FROM customers")
    read, written, whole = executed(gateway)
    assert (read["event"], read["rewritten"], "would_refuse" in read) == ("statement", False, False)
    assert (read["disclosed"], read["would_disclose"]) == ([], [])
    assert written["would_refuse"]["sqlstate"] == "42501"
    assert [(item["column"], item["treatment"]) for item in written["disclosed"]] == [("id", "show"), ("email", "show")]
    assert written["would_disclose"] == []
    assert [item["treatment"] for item in whole["disclosed"]] == ["show"]
    assert [item["treatment"] for item in whole["would_disclose"]] == ["show if consent, else partial"]


def test_connections_that_are_refused(serve: Serve) -> None:
    gateway = serve()
    for user, database in (("nobody_at_all", "shop"), ("crm_app", "other")):
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(gateway.dsn(user, database), application_name="x")
    eventually(lambda: len(gateway.records()) == 2)
    first, second = gateway.records()
    assert (first["event"], first["login"], first["database"], first["sqlstate"]) == (
        "connect_refused",
        "nobody_at_all",
        "shop",
        "28000",
    )
    assert (second["event"], second["login"], second["database"], second["sqlstate"]) == (
        "connect_refused",
        "crm_app",
        "other",
        "3D000",
    )
    for record in (first, second):
        assert record["client"].startswith("127.0.0.1:")
        assert record["message"]
        assert "app" not in record


def test_no_name_can_forge_a_line(serve: Serve) -> None:
    gateway = serve()
    forged = 'x"}\n{"event":"forged","seq":1}\n\r\u2028\u0085\\ \U0001f600'
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(gateway.dsn("crm_app", "shop"), user=forged, dbname=forged, application_name=forged)
    with connect(gateway, application_name=forged) as connection:
        connection.execute(f'SELECT 1 AS "{forged.replace(chr(34), chr(34) * 2)}"')
        with pytest.raises(errors.UndefinedTable):
            connection.execute('SELECT * FROM "{}"'.format(forged.replace('"', "'")))
    eventually(lambda: b"client ended" in log_bytes(gateway))
    found = [json.loads(line) for line in log_bytes(gateway).split(b"\n")[:-1]]
    found = [record for record in found if record["event"] not in ("open", "checkpoint")]
    assert [record["event"] for record in found] == [
        "connect_refused",
        "connect",
        "statement",
        "refused",
        "disconnect",
    ]
    assert (found[0]["login"], found[0]["database"]) == (forged, forged)
    assert forged.replace('"', '""') in found[2]["statement"]


def log_bytes(gateway: GatewayProcess) -> bytes:
    return b"".join(file.read_bytes() for file in (gateway.folder / "audit").glob("*.jsonl"))


def test_reloads_and_the_rules_in_force(serve: Serve) -> None:
    gateway = serve()
    with connect(gateway) as connection:
        connection.execute("SELECT 1")
        assert gateway.reload(f"{RULES}\n# two\n")
        connection.execute("SELECT 2")
        assert not gateway.reload("nonsense")
        connection.execute("SELECT 3")
    one, two, three = executed(gateway)
    done, failed = gateway.records("reload")
    assert one["rules_version"] != two["rules_version"] == three["rules_version"]
    assert done["rules_version"] == failed["rules_version"] == two["rules_version"]
    assert "message" not in done
    assert "rules" in failed["message"]
    assert [record["event"] for record in gateway.records()] == [
        *("connect", "statement", "reload", "statement", "reload", "statement", "disconnect")
    ]


def test_rules_files_are_watched(serve: Serve) -> None:
    gateway = serve()
    with connect(gateway) as connection:
        gateway.rules.write_text(f"{RULES}\n# two\n")
        eventually(lambda: gateway.records("reload"))
        connection.execute("SELECT 1")
        gateway.rules.write_text("nonsense")
        eventually(lambda: len(gateway.records("reload")) == 2)
        connection.execute("SELECT 2")
        gateway.rules.unlink()
        eventually(lambda: len(gateway.records("reload")) == 3)
    done, wrong, gone = gateway.records("reload")
    assert "message" not in done
    assert "rules" in wrong["message"]
    assert "no *.yaml file" in gone["message"]
    assert {one["rules_version"] for one in executed(gateway)} == {done["rules_version"]}


def _version_now(gateway: GatewayProcess, connection: psycopg.Connection[Any]) -> str:
    before = len(gateway.records("statement"))
    connection.execute("SELECT 1")
    eventually(lambda: len(gateway.records("statement")) > before)
    return str(gateway.records("statement")[-1]["rules_version"])


def test_a_start_with_other_rules_is_recorded(server: PgServer, tmp_path: Path) -> None:
    for rules, told in ((RULES, 0), (RULES, 0), (f"{RULES}\n# two\n", 1), (f"{RULES}\n# two\n", 1), (RULES, 2)):
        with running_gateway(server, tmp_path, rules, {"shop": "audited"}, {"workers": 1}) as gateway:
            with connect(gateway) as connection:
                connection.execute("SELECT 1")
            eventually(lambda gateway=gateway: gateway.records("disconnect"))
            found = gateway.records("reload")
            assert len(found) == told
            if told == 1:
                assert found[0]["rules_version"] == gateway.records("statement")[-1]["rules_version"]


def test_rules_that_are_taken_with_a_change_of_the_catalog_are_recorded(serve: Serve, server: PgServer) -> None:
    gateway = serve()
    gateway.rules.write_text(f"{RULES}\n# two\n")
    server.run("audited", "CREATE TABLE came_first ()")
    eventually(lambda: gateway.records("reload"))
    with connect(gateway) as connection:
        connection.execute("SELECT 1")
        server.run("audited", "DROP TABLE came_first")  # changes no rules
        eventually(lambda: _version_now(gateway, connection) != gateway.records("reload")[0]["rules_version"])
    (told,) = gateway.records("reload")
    assert "message" not in told
    assert executed(gateway)[0]["rules_version"] == told["rules_version"]


def test_why_a_session_ended(serve: Serve, server: PgServer) -> None:
    gateway = serve()
    connect(gateway).close()
    eventually(lambda: len(gateway.records("disconnect")) == 1)
    with RawClient(gateway.port) as client:
        client.start("crm_app", "shop")
    eventually(lambda: len(gateway.records("disconnect")) == 2)
    with RawClient(gateway.port) as client:
        client.start("crm_app", "shop")
        client.send(b"Q\0\0\1\0half")
    eventually(lambda: len(gateway.records("disconnect")) == 3)
    with RawClient(gateway.port) as client:
        client.start("crm_app", "shop")
        client.send(b"!\0\0\0\4")
        client.until_closed()
    eventually(lambda: len(gateway.records("disconnect")) == 4)
    found = gateway.records("disconnect")
    assert [record["message"] for record in found] == [
        "client ended",
        "client gone",
        "client gone in the middle of a message",
        "invalid frontend message type 33",
    ]
    assert [record.get("sqlstate") for record in found] == [None, None, None, "08P01"]


def test_sessions_are_told_apart_and_records_are_numbered(serve: Serve) -> None:
    gateway = serve()
    with connect(gateway) as one, connect(gateway, "mailco_app") as two:
        for number in range(5):
            one.execute(f"SELECT {number}")
            two.execute(f"SELECT {number}, {number}")
    found = all_records(gateway, 2)
    whole = [record["seq"] for record in audit_records(gateway.folder / "audit")]
    assert whole == list(range(1, len(whole) + 1))
    assert [record["time"] for record in found] == sorted(record["time"] for record in found)
    by_session: dict[str, set[str]] = {}
    for record in found:
        by_session.setdefault(record["session"], set()).add(record["app"])
    assert sorted(map(sorted, by_session.values())) == [["crm"], ["mailco"]]


def test_the_trace_that_an_application_notes_is_kept(serve: Serve) -> None:
    """Each record has its own statement's, also where one plan serves both texts."""
    gateway = serve()
    traces = [f"{n:032x}" for n in (7, 8)]
    with connect(gateway) as connection:
        for n, trace in enumerate(traces):
            connection.execute(
                f"SELECT email FROM customers WHERE id = {n} /*traceparent='00-{trace}-{n + 1:016x}-01'*/"
            )
        connection.execute("SELECT 1")
    first, second, none = executed(gateway)
    assert [(r["trace_id"], r["span_id"]) for r in (first, second)] == [
        (traces[0], f"{1:016x}"),
        (traces[1], f"{2:016x}"),
    ]
    assert first["fingerprint"] == second["fingerprint"]
    assert "trace_id" not in none
