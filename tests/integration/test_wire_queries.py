"""Ordinary work of drivers through the gateway: the same answers as from the server itself."""

from __future__ import annotations

import asyncio
import subprocess
import threading
import time
from pathlib import Path

import asyncpg
import psycopg
import pytest
from psycopg import sql

from proxy.wire.messages import (
    COPY_DATA,
    COPY_DONE,
    FUNCTION_CALL,
    SYNC_MESSAGE,
    bind,
    close,
    describe,
    execute,
    message,
    parse,
    parse_rest,
    query,
)
from tests.servers import PgServer
from tests.wire.client import RawClient, kinds, rows
from tests.wire.gateway import Running, StubPlanner

pytest_plugins = ["tests.wire.fixtures"]


def test_simple_and_extended_queries_are_rewritten(running: Running) -> None:
    with psycopg.connect(running.dsn(), autocommit=True) as connection:
        assert connection.execute("SELECT * FROM secret").fetchall() == [("masked 1",)]
        assert connection.execute("SELECT %s, value FROM secret", [7]).fetchall() == [(7, "masked 1")]
        cursor = connection.execute("SELECT 1; SELECT 2, * FROM secret; SELECT 3")
        results = [cursor.fetchall()]
        while cursor.nextset():
            results.append(cursor.fetchall())
        assert results == [[(1,)], [(2, "masked 1")], [(3,)]]
        assert connection.execute("").statusmessage is None


def test_prepared_statements_and_server_side_cursors(running: Running) -> None:
    with psycopg.connect(running.dsn()) as connection:
        for number in range(5):
            row = connection.execute("SELECT n + %s, value FROM numbers, secret ORDER BY n", [number], prepare=True)
            assert row.fetchone() == (1 + number, "masked 1")
        with connection.cursor("c") as cursor:
            cursor.execute("SELECT n FROM numbers ORDER BY n")
            assert cursor.fetchmany(3) == [(1,), (2,), (3,)]
            assert cursor.fetchone() == (4,)


def test_the_same_unnamed_statement_serves_both_protocols(running: Running) -> None:
    with psycopg.connect(running.dsn(), autocommit=True) as connection:
        pg = connection.pgconn
        pg.prepare(b"", b"SELECT 1, value FROM secret", None)
        assert pg.exec_prepared(b"", None).get_value(0, 1) == b"masked 1"
        pg.exec_(b"SELECT 2")  # it drops the unnamed statement
        result = pg.exec_prepared(b"", None)
        assert result.error_field(psycopg.pq.DiagnosticField.SQLSTATE) == b"26000"


def test_errors_are_those_of_the_server(running: Running, wire_server: PgServer) -> None:
    texts = [
        "SELECT 1/0",
        "SELECT nothing FROM numbers",
        "SELEC 1",
        "SELECT 'a'::int",
        "INSERT INTO numbers SELECT 'x'",
        "SELECT * FROM no_such_table",
        "DO $$ BEGIN RAISE EXCEPTION 'x' USING DETAIL = 'd', HINT = 'h'; END $$",
    ]
    with psycopg.connect(running.dsn(), autocommit=True) as through, wire_server.connect("wire") as direct:
        for text in texts:
            seen = []
            for connection in (through, direct):
                with pytest.raises(psycopg.Error) as caught:
                    connection.execute(text)
                diagnostic = caught.value.diag
                names = ("severity", "sqlstate", "message_primary", "message_detail", "message_hint", "context")
                names += ("statement_position", "source_function")
                seen.append([getattr(diagnostic, name) for name in names])
            assert seen[0] == seen[1], text


def test_a_refusal_is_an_error_with_its_hint_and_position_and_fails_the_transaction(running: Running) -> None:
    with psycopg.connect(running.dsn()) as connection:
        for parameters in (None, [1]):
            query = "SELECT forbidden" if parameters is None else "SELECT %s::int AS forbidden"
            connection.execute("SELECT 1")
            with pytest.raises(psycopg.errors.InsufficientPrivilege) as caught:
                connection.execute(query, parameters)
            assert caught.value.diag.message_primary == "permission denied for the test"
            assert caught.value.diag.message_hint == 'policy "p" (r.yaml:1)'
            assert caught.value.diag.statement_position == str(query.replace("%s", "$1").index("forbidden") + 1)
            assert connection.info.transaction_status == psycopg.pq.TransactionStatus.INERROR
            with pytest.raises(psycopg.errors.InFailedSqlTransaction):
                connection.execute("SELECT 1")
            with pytest.raises(psycopg.errors.InFailedSqlTransaction):  # not run, and not looked at, as PostgreSQL does
                connection.execute(query, parameters)
            connection.rollback()
            assert connection.execute("SELECT 2").fetchone() == (2,)
            connection.rollback()


def test_positions_point_into_the_text_of_the_app_and_values_are_out(running: Running) -> None:
    with psycopg.connect(running.dsn(), autocommit=True) as connection:
        text = "SELECT 1 FROM secret WHERE nothing = 1"
        with pytest.raises(psycopg.errors.UndefinedColumn) as caught:
            connection.execute(text)
        assert caught.value.diag.statement_position == str(text.index("nothing") + 1)
        with pytest.raises(psycopg.errors.InvalidTextRepresentation) as caught_value:
            connection.execute("SELECT value::int FROM secret")
        assert caught_value.value.diag.message_primary == 'invalid input syntax for type integer: "?"'
        with pytest.raises(psycopg.errors.RaiseException) as caught_raise:
            connection.execute("DO $$ BEGIN /* secret */ RAISE EXCEPTION 'x' USING DETAIL = 'ann@x.org'; END $$")
        assert caught_raise.value.diag.message_detail is None
        assert caught_raise.value.diag.context is None


def test_errors_in_a_pipeline_skip_to_sync(running: Running) -> None:
    with psycopg.connect(running.dsn(), autocommit=True) as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege), connection.pipeline():  # noqa: PT012
            first = connection.execute("SELECT %s, value FROM secret", [1])
            connection.execute("SELECT forbidden WHERE %s", [True])
            third = connection.execute("SELECT %s", [3])
        assert first.fetchone() == (1, "masked 1")
        assert third.statusmessage is None
        with connection.pipeline() as pipeline:
            cursors = []
            for number in range(300):
                cursors.append(connection.execute("SELECT %s, value FROM secret", [number]))
                if number % 100 == 0:
                    pipeline.sync()
        assert [cursor.fetchone() for cursor in cursors] == [(number, "masked 1") for number in range(300)]


def test_statements_after_a_batch_that_failed_are_what_the_server_has(running: Running) -> None:
    """A Close and Parse that the server skipped must not be taken for done by a later batch."""
    with RawClient(running.port) as client:
        client.start()
        client.send(parse(b"s", parse_rest(b"SELECT 'first', value FROM secret")), SYNC_MESSAGE)
        client.until_ready()
        client.send(
            parse(b"", parse_rest(b"SELECT forbidden")),
            close(b"S", b"s"),
            parse(b"s", parse_rest(b"SELECT 'second'")),
            SYNC_MESSAGE,
            bind(b"", b"s"),
            execute(b""),
            SYNC_MESSAGE,
        )
        assert kinds(client.until_ready()) == "EZ"
        assert rows(client.until_ready()) == [[b"first", b"masked 1"]]
    assert running.records("statement")[-1]["statement"] == "SELECT $1, value FROM secret"


def test_names_of_batches_that_fail_are_free_or_taken_as_on_the_server(running: Running) -> None:
    """All sent at once: what the first batch does to a name is not known when the second one uses it."""
    run = bind(b"", b"s") + execute(b"")
    good = parse(b"s", parse_rest(b"SELECT value FROM secret")) + run + run + SYNC_MESSAGE
    with RawClient(running.port) as client:
        client.start()
        client.send(parse(b"s", parse_rest(b"SELECT nothing_has_it")), SYNC_MESSAGE, good)
        assert kinds(client.until_ready()) == "EZ"
        assert rows(client.until_ready()) == [[b"masked 1"], [b"masked 1"]]
        client.send(close(b"S", b"s"), parse(b"t", parse_rest(b"SELECT 1/$1::int")), SYNC_MESSAGE)
        client.until_ready()
        client.send(
            parse(b"s", parse_rest(b"SELECT 3")),
            parse(b"t", parse_rest(b"SELECT 4")),
            close(b"S", b"s"),
            SYNC_MESSAGE,
            run,
            SYNC_MESSAGE,
        )
        assert kinds(client.until_ready()) == "1EZ"  # the name t is taken
        assert rows(client.until_ready()) == [[b"3"]]


def test_sql_prepare_and_execute(running: Running) -> None:
    with psycopg.connect(running.dsn(), autocommit=True) as connection:
        connection.execute("PREPARE p AS SELECT value FROM secret")
        assert connection.execute("EXECUTE p").fetchall() == [("masked 1",)]
        assert connection.pgconn.exec_prepared(b"p", None).get_value(0, 0) == b"masked 1"
        connection.execute("DEALLOCATE p")
        with pytest.raises(psycopg.errors.InvalidSqlStatementName):
            connection.execute("EXECUTE p")


@pytest.mark.parametrize("synced", [False, True])
def test_a_prepare_of_the_extended_protocol_is_planned_again(running: Running, synced: bool) -> None:

    def step(text: bytes) -> bytes:
        return parse(b"", parse_rest(text)) + bind(b"", b"") + execute(b"") + (SYNC_MESSAGE if synced else b"")

    with RawClient(running.port) as client:
        client.start()
        prepare = step(b"PREPARE p AS SELECT value FROM secret")
        client.send(prepare, step(b"SET search_path = one"), step(b"EXECUTE p"), SYNC_MESSAGE)
        answers = [message for _ in range(1 + 3 * synced) for message in client.until_ready()]
        assert rows(answers) == [[b"masked 1"]]
        running.reload(StubPlanner(2))
        client.send(step(b"EXECUTE p"), SYNC_MESSAGE)
        assert rows([message for _ in range(1 + synced) for message in client.until_ready()]) == [[b"masked 2"]]


def test_copy_both_ways(running: Running, wire_server: PgServer) -> None:
    with psycopg.connect(running.dsn("trusted")) as connection:
        connection.execute("CREATE TABLE copied (n int, t text)")
        with connection.cursor() as cursor:
            with cursor.copy("COPY copied FROM STDIN") as copy:
                for number in range(20_000):
                    copy.write_row((number, "x" * 50))
            with cursor.copy("COPY copied TO STDOUT") as copy:
                assert sum(1 for _ in copy.rows()) == 20_000
            with pytest.raises(psycopg.errors.BadCopyFileFormat), cursor.copy("COPY copied FROM STDIN") as copy:
                copy.write(b"1\tx\ty\n" * 100_000)
        connection.rollback()
    assert [r.get("rows") for r in running.records("statement") if r["statement"].startswith("COPY")][:2] == [
        20_000,
        20_000,
    ]


@pytest.mark.parametrize("pipelined", [False, True])
@pytest.mark.parametrize("extended", [False, True])
def test_copy_by_both_protocols(running: Running, extended: bool, pipelined: bool) -> None:
    """libpq sends Sync together with the COPY; the server ignores it while rows come in."""
    text = b"COPY c FROM STDIN"
    start = query(text)
    if extended:
        start = parse(b"", parse_rest(text)) + bind(b"", b"") + describe(b"P", b"") + execute(b"") + SYNC_MESSAGE
    with RawClient(running.port) as client:
        client.start()
        client.query(b"CREATE TEMP TABLE c (n int)")
        for data, tag in ((b"1\n2\n", b"COPY 2\0"), (b"x\n" * 10_000, None), (b"3\n", b"COPY 1\0")):
            end = message(COPY_DATA, data) + message(COPY_DONE, b"") + (SYNC_MESSAGE if extended else b"")
            client.send(start, end if pipelined else b"")
            if not pipelined:
                client.until("G")
                client.send(end)
            found = client.until_ready()
            assert found[-2][0] == ("C" if tag else "E")
            assert tag is None or found[-2][1] == tag
            assert rows(client.query(b"SELECT 'between', value FROM secret")) == [[b"between", b"masked 1"]]
        assert rows(client.query(b"SELECT count(*) FROM c")) == [[b"3"]]


def test_a_query_while_rows_are_awaited_ends_the_session(running: Running) -> None:
    with RawClient(running.port) as client:
        client.start()
        client.query(b"CREATE TEMP TABLE c (n int)")
        client.send(query(b"COPY c FROM STDIN"))
        client.until("G")
        client.send(query(b"SELECT 1"))
        assert b"unexpected message type 0x51 during COPY from stdin" in client.until_closed()[-1][1]


async def test_asyncpg(running: Running) -> None:
    connection = await asyncpg.connect(host="127.0.0.1", port=running.port, user="app", database="db")
    assert await connection.fetchval("SELECT value FROM secret") == "masked 1"
    statement = await connection.prepare("SELECT $1::int + n FROM numbers ORDER BY n LIMIT 2")
    assert [r[0] for r in await statement.fetch(10)] == [11, 12]
    async with connection.transaction():
        numbers = [r["n"] async for r in connection.cursor("SELECT n FROM numbers ORDER BY n", prefetch=7)]
        assert numbers == list(range(1, 1001))
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.fetch("SELECT forbidden WHERE $1", True)
    await connection.execute("CREATE TEMP TABLE temporary (n int)")
    result = await connection.copy_records_to_table("temporary", records=[(n,) for n in range(1000)])
    assert result == "COPY 1000"
    await connection.reset()
    await connection.close()


async def test_psycopg_async(running: Running) -> None:
    async with await psycopg.AsyncConnection.connect(running.dsn(), autocommit=True) as connection:
        async with connection.pipeline():
            cursors = [await connection.execute("SELECT %s, value FROM secret", [n]) for n in range(50)]
        assert [await c.fetchone() for c in cursors] == [(n, "masked 1") for n in range(50)]


def test_notifications_and_notices_come_at_any_moment(running: Running, wire_server: PgServer) -> None:
    with psycopg.connect(running.dsn(), autocommit=True) as connection:
        connection.execute("LISTEN channel")
        with wire_server.connect("wire") as other:
            other.execute("NOTIFY channel, 'hello'")
        assert next(connection.notifies(timeout=10)).payload == "hello"
        notices: list[str | None] = []
        connection.add_notice_handler(lambda diagnostic: notices.append(diagnostic.message_primary))
        connection.execute("DO $$ BEGIN RAISE NOTICE 'note'; END $$")
        assert notices == ["note"]


def test_cancel_reaches_the_right_statement(running: Running) -> None:
    with psycopg.connect(running.dsn(), autocommit=True) as connection, psycopg.connect(running.dsn()) as other:
        timer = threading.Timer(0.2, connection.cancel_safe)  # cancel() waits with the GIL held
        timer.start()
        with pytest.raises(psycopg.errors.QueryCanceled):
            connection.execute("SELECT pg_sleep(30)")
        timer.join()
        assert other.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.parametrize(("user", "expected"), [("app", "EZ"), ("trusted", "VZ")])
def test_fast_path_function_calls_are_refused_unless_trusted(running: Running, user: str, expected: str) -> None:
    # int4inc(41), OID 766, argument and result as text
    call = (766).to_bytes(4, "big") + b"\0\1\0\0" + b"\0\1" + b"\0\0\0\2" + b"41" + b"\0\0"
    with RawClient(running.port) as client:
        client.start(user)
        client.send(message(FUNCTION_CALL, call))
        found = client.until_ready()
        assert kinds(found) == expected
        assert (b"C42501\0" in found[0][1]) is (user == "app")
        assert rows(client.query(b"SELECT 1")) == [[b"1"]]


def test_psql_of_postgresql_18_with_protocol_3_2(running: Running, wire_server: PgServer) -> None:
    if wire_server.binaries is None or wire_server.version < 180000:
        pytest.skip("psql 18 is needed")
    result = subprocess.run(
        [
            str(Path(wire_server.binaries) / "psql"),
            running.dsn(max_protocol_version="latest"),
            "-XAtc",
            "SELECT value FROM secret",
            "-c",
            r"\conninfo",
        ],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert "masked 1" in result.stdout
    assert "Protocol Version|3.2" in result.stdout


def test_temp_tables_and_search_path_are_asked_for_before_the_next_statement(running: Running) -> None:
    with psycopg.connect(running.dsn(), autocommit=True) as connection:
        with pytest.raises(psycopg.errors.UndefinedTable):
            connection.execute("SELECT * FROM new_one")
        connection.execute("CREATE TEMP TABLE new_one AS SELECT 5 AS n")
        assert connection.execute("SELECT * FROM new_one").fetchall() == [(5,)]
        assert running.planner.texts[-1][1].temporary == {"new_one"}
        connection.execute("DROP TABLE new_one")
        with pytest.raises(psycopg.errors.UndefinedTable):
            connection.execute("SELECT * FROM new_one")
        connection.execute("SET search_path = pg_catalog")
        connection.execute("SELECT 'after set'")
        assert running.planner.texts[-1][1].schemas == ("pg_catalog",)


def test_a_rollback_takes_names_back(running: Running) -> None:
    planner = running.planner

    def path_of(connection: psycopg.Connection[object], marker: str) -> tuple[str, ...]:
        connection.execute(sql.SQL("SELECT {}").format(marker))
        return next(path for text, path, _ in reversed(planner.texts) if marker.encode() in text).schemas

    default = ("pg_catalog", "public")
    with psycopg.connect(running.dsn(), autocommit=True) as connection:
        connection.execute("BEGIN")
        connection.execute("SET LOCAL search_path = one")
        assert path_of(connection, "a") == ("pg_catalog", "one")
        connection.execute("SAVEPOINT s")
        connection.execute("SET LOCAL search_path = two")
        assert path_of(connection, "b") == ("pg_catalog", "two")
        connection.execute("ROLLBACK TO s")
        assert path_of(connection, "c") == ("pg_catalog", "one")
        with pytest.raises(psycopg.errors.DivisionByZero):
            connection.execute("SELECT 1/0")
        with pytest.raises(psycopg.errors.InFailedSqlTransaction):
            connection.execute("SELECT 'failed'")
        connection.execute("ROLLBACK")
        assert path_of(connection, "d") == default
        with pytest.raises(psycopg.errors.DivisionByZero):  # one implicit transaction, rolled back
            connection.execute("SET search_path = two; SELECT 1/0")
        assert path_of(connection, "e") == default


@pytest.mark.parametrize("end", ["ROLLBACK", "COMMIT", "ROLLBACK TO s"])
@pytest.mark.parametrize("named", [False, True])
def test_a_failed_transaction_that_changed_names_ends_in_a_pipeline(running: Running, named: bool, end: str) -> None:
    """Each statement with a Sync of its own, all sent at once, as pipelines with savepoints and JDBC's do."""
    ended = end.encode()
    texts = [
        b"BEGIN",
        b"SAVEPOINT s",
        b"SET LOCAL search_path = one",
        b"SELECT 1/0",
        ended,
        b"SELECT value FROM secret",
    ]
    with RawClient(running.port) as client:
        client.start()
        for number, text in enumerate(texts):
            name = b"s%d" % number if named else b""
            client.send(parse(name, parse_rest(text)), bind(b"", name), describe(b"P", b""), execute(b""), SYNC_MESSAGE)
        answers = [client.until_ready() for _ in texts]
        told = [kinds(answer).replace("S", "") for answer in answers]  # PostgreSQL 18 tells of search_path
        assert told == ["12nCZ", "12nCZ", "12nCZ", "1EZ", "12nCZ", "12TDCZ"]
        assert answers[4][-1][1] == (b"T" if "TO" in end else b"I")
        assert rows(answers[5]) == [[b"masked 1"]]
    path = running.planner.texts[-1][1]
    assert path.schemas == ("pg_catalog", "public")


def test_names_are_asked_for_inside_of_a_pipeline(running: Running) -> None:
    with psycopg.connect(running.dsn(), autocommit=True) as connection:
        with connection.pipeline():
            connection.execute("CREATE TEMP TABLE new_two AS SELECT 6 AS n", [])
            cursor = connection.execute("SELECT n + %s FROM new_two", [1])
            last = connection.execute("SELECT %s", ["last"])
        assert cursor.fetchall() == [(7,)]
        assert last.fetchall() == [("last",)]


def test_a_batch_that_closes_first_is_asked_nothing_inside(running: Running) -> None:
    """JDBC's: within a batch that has executed something PostgreSQL refuses DISCARD ALL, as in a transaction."""
    with RawClient(running.port) as client:
        client.start()
        client.query(b"SET search_path = one")
        discard = parse(b"", parse_rest(b"DISCARD ALL")) + bind(b"", b"") + execute(b"")
        client.send(close(b"S", b"s"), discard, SYNC_MESSAGE)
        assert kinds(client.until_ready()).replace("S", "") == "312CZ"


def test_a_name_shadowed_by_a_temp_table_is_planned_again_when_it_is_gone(running: Running) -> None:
    """The server looks names of prepared statements up again: so must the plan."""
    with psycopg.connect(running.dsn(), autocommit=True) as connection:
        connection.execute("CREATE TEMP TABLE new_three AS SELECT 1 AS n")
        connection.pgconn.prepare(b"s", b"SELECT n FROM new_three", None)
        assert connection.pgconn.exec_prepared(b"s", None).get_value(0, 0) == b"1"
        connection.execute("DROP TABLE new_three")
        result = connection.pgconn.exec_prepared(b"s", None)
        assert result.error_field(psycopg.pq.DiagnosticField.MESSAGE_PRIMARY) == b'relation "new_three" does not exist'
        assert running.records("refused")


def test_a_reload_is_in_force_in_the_next_statement_prepared_ones_too(running: Running) -> None:
    with psycopg.connect(running.dsn(), autocommit=True) as connection:
        connection.execute("PREPARE p AS SELECT value FROM secret")
        for _ in range(3):
            assert connection.execute("SELECT value FROM secret", prepare=True).fetchone() == ("masked 1",)
        running.reload(StubPlanner(2))
        assert connection.execute("SELECT value FROM secret", prepare=True).fetchone() == ("masked 2",)
        assert connection.execute("EXECUTE p").fetchone() == ("masked 2",)
        assert connection.execute("SELECT value FROM secret").fetchone() == ("masked 2",)
        other = StubPlanner(3)
        other.shape = "changed"
        running.reload(other)
        with pytest.raises(psycopg.errors.FeatureNotSupported, match="cached plan must not change result type"):
            connection.execute("SELECT value FROM secret", prepare=True)
        with pytest.raises(psycopg.errors.FeatureNotSupported, match="cached plan must not change result type"):
            connection.execute("EXECUTE p")
        connection.execute("DEALLOCATE ALL")
        connection.execute("PREPARE p AS SELECT value FROM secret")
        assert connection.execute("EXECUTE p").fetchone() == ("masked 3",)


async def test_asyncpg_prepares_again_by_itself(running: Running) -> None:
    connection = await asyncpg.connect(host="127.0.0.1", port=running.port, user="app", database="db")
    assert await connection.fetchval("SELECT value FROM secret") == "masked 1"
    other = StubPlanner(2)
    other.shape = "changed"
    await asyncio.to_thread(running.reload, other)
    assert await connection.fetchval("SELECT value FROM secret") == "masked 2"
    await connection.close()


def test_reloads_under_load_fail_no_statement(running: Running) -> None:
    stop = threading.Event()
    problems: list[BaseException] = []
    counts = [0, 0]

    def work(number: int) -> None:
        try:
            with psycopg.connect(running.dsn(), autocommit=True) as connection:
                while not stop.is_set():
                    connection.execute("SELECT value, %s FROM secret", [1], prepare=bool(number)).fetchall()
                    connection.execute("SELECT value FROM secret").fetchall()
                    counts[number] += 1
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in (0, 1)]
    for thread in threads:
        thread.start()
    for version in range(2, 30):
        running.reload(StubPlanner(version))
        before = list(counts)
        deadline = time.monotonic() + 10
        while any(a <= b for a, b in zip(counts, before, strict=True)) and not problems:
            assert time.monotonic() < deadline
            time.sleep(0.001)
    stop.set()
    for thread in threads:
        thread.join(10)
    assert problems == []


def test_a_relation_that_is_new_in_the_catalog_is_found_at_once(running: Running) -> None:
    with psycopg.connect(running.dsn(), autocommit=True) as connection:
        with pytest.raises(psycopg.errors.UndefinedTable):
            connection.execute("SELECT 1 AS new_relation")
        running.planner = StubPlanner(2)
        running.planner.known.add("new_relation")
        running.snapshot_version = "s2"  # nobody asked for a reload: the statement does
        assert connection.execute("SELECT 1 AS new_relation").fetchone() == (1,)
        assert connection.execute("SELECT 1 AS new_relation WHERE %s", [True]).fetchone() == (1,)


@pytest.mark.parametrize("encoding", ["latin1", "utf8", "win1252"])
def test_client_encodings(running: Running, encoding: str) -> None:
    with psycopg.connect(running.dsn(client_encoding=encoding), autocommit=True) as connection:
        assert connection.execute("SELECT 'é', value FROM secret").fetchone() == ("é", "masked 1")
        text = "SELECT 'éééé' FROM secret WHERE nothing"
        with pytest.raises(psycopg.errors.UndefinedColumn) as caught:
            connection.execute(text)
        assert caught.value.diag.statement_position == str(text.index("nothing") + 1)


@pytest.mark.parametrize("by_sql", [False, True])
def test_a_prepared_statement_outlives_a_change_of_client_encoding(running: Running, by_sql: bool) -> None:
    with psycopg.connect(running.dsn(client_encoding="latin1"), autocommit=True) as connection:

        def fetch() -> object:
            if by_sql:
                return connection.execute("EXECUTE p").fetchone()
            result = connection.pgconn.exec_prepared(b"p", None)
            if result.status != psycopg.pq.ExecStatus.TUPLES_OK:
                raise psycopg.errors.error_from_result(result)
            return tuple((result.get_value(0, at) or b"").decode(connection.info.encoding) for at in range(2))

        if by_sql:
            connection.execute("PREPARE p AS SELECT 'é', value FROM secret")
        else:
            connection.pgconn.prepare(b"p", "SELECT 'é', value FROM secret".encode("latin1"), None)
        assert fetch() == ("é", "masked 1")
        connection.execute("SET client_encoding = 'UTF8'")
        assert fetch() == ("é", "masked 1")
        running.reload(StubPlanner(2))
        assert fetch() == ("é", "masked 2")
        connection.execute("SET client_encoding = 'WIN1251'")
        with pytest.raises(psycopg.errors.UntranslatableCharacter, match="prepared with characters"):
            fetch()
        connection.execute("SET client_encoding = 'LATIN1'")
        assert fetch() == ("é", "masked 2")
