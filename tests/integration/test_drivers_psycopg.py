"""psycopg 3 through `consentry serve`: each session sees what it sees with the twin (drivers/world.py) directly."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from ipaddress import ip_interface
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg import errors
from psycopg.types.composite import CompositeInfo, register_composite
from psycopg.types.enum import EnumInfo, register_enum
from psycopg.types.json import Jsonb
from psycopg.types.range import Range

from tests.integration.drivers.statements import FAILURES, READS, WRITES
from tests.integration.drivers.world import Pair

pytest_plugins = ["tests.integration.drivers.fixtures"]

Connection = psycopg.Connection[Any]


def seen(cursor: Any) -> dict[str, Any]:
    """All that a cursor shows of its result."""
    description = cursor.description and [tuple(column) for column in cursor.description]
    rows = cursor.fetchall() if description is not None else None
    return {"status": cursor.statusmessage, "count": cursor.rowcount, "columns": description, "rows": rows}


def failure(error: psycopg.Error) -> dict[str, Any]:
    names = "severity detail hint context statement_position schema_name table_name column_name constraint_name datatype_name"
    diag = error.diag
    shown = {name: getattr(diag, f"message_{name}" if name in ("detail", "hint") else name) for name in names.split()}
    return {"type": type(error), "sqlstate": error.sqlstate, "message": diag.message_primary, **shown}


def attempt(work: Callable[[], Any]) -> Any:
    try:
        return work()
    except psycopg.Error as error:
        return failure(error)


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("prepare", [False, True])
def test_reads(pair: Pair, binary: bool, prepare: bool) -> None:
    def session(dsn: str) -> list[Any]:
        with psycopg.connect(dsn, autocommit=True) as connection:
            found = []
            for text in READS:
                with connection.cursor(binary=binary) as cursor:
                    found.append(seen(cursor.execute(text, prepare=prepare)))
            return found

    assert all(found["columns"] is not None for found in pair.same(session))


def test_writes_in_a_transaction(pair: Pair) -> None:
    def session(dsn: str) -> list[Any]:
        with psycopg.connect(dsn) as connection:
            found = [seen(connection.execute(text)) for text in WRITES]
            connection.rollback()
            return [*found, seen(connection.execute("SELECT count(*) FROM products"))]

    pair.same(session)


@pytest.mark.parametrize("parameters", [None, []])
def test_errors(pair: Pair, parameters: list[Any] | None) -> None:
    def session(dsn: str) -> list[Any]:
        with psycopg.connect(dsn, autocommit=True) as connection:
            return [attempt(lambda t=text: seen(connection.execute(t, parameters))) for text in FAILURES]

    assert all("sqlstate" in found for found in pair.same(session))


def test_parameters_of_all_types_go_and_come_in_both_formats(pair: Pair) -> None:
    row: dict[str, Any] = {
        "id": 50, "i2": 7, "i4": -1, "i8": 2**40, "num": Decimal("1.50"), "f8": 0.1, "t": "it's", "vc": "é", "c5": "x",
        "b": b"\0\xff", "ok": True, "d": date(2024, 2, 29), "tz": datetime(2024, 1, 2, 3, tzinfo=UTC),
        "span": timedelta(days=3, seconds=5), "u": UUID(int=5), "jb": Jsonb({"a": [1, None]}), "ints": [1, 2],
        "texts": ["a", None], "span4": Range(1, 4), "net": ip_interface("10.0.0.1/8"), "spot": None,
    }  # fmt: skip

    def session(dsn: str) -> list[Any]:
        found = []
        with psycopg.connect(dsn) as connection:
            for info, register in ((EnumInfo, register_enum), (CompositeInfo, register_composite)):
                register(info.fetch(connection, "mood" if info is EnumInfo else "address"), connection)  # type: ignore
            for format_ in ("b", "t"):
                marks = ", ".join(f"%({name}){format_}" for name in row)
                insert = (
                    f"INSERT INTO kinds ({', '.join(row)}) VALUES ({marks}) RETURNING {', '.join(row)}, m_num, m_tz"
                )
                with connection.cursor(binary=format_ == "b") as cursor:
                    found.append(seen(cursor.execute(insert, row)))
                    by_type = (
                        "SELECT id FROM kinds WHERE tz = %(tz)s AND jb = %(jb)s AND texts = %(texts)s AND net = %(net)s"
                    )
                    found.append(seen(cursor.execute(by_type, row)))
                    found.append(seen(cursor.execute("SELECT m, moods, a, addresses FROM kinds ORDER BY id")))
                connection.rollback()
        return [str(item) for item in found]  # the enum and composite classes are made anew for each connection

    pair.same(session)


def test_cursors_executemany_savepoints_and_pipelines(pair: Pair) -> None:
    def session(dsn: str) -> list[Any]:
        with psycopg.connect(dsn) as connection:
            with connection.cursor("served", scrollable=True) as cursor:
                cursor.execute("SELECT c.full_name, c.card_no, n FROM numbers, customers c ORDER BY n, c.id")
                cursor.itersize = 100
                found = [cursor.fetchmany(4), cursor.scroll(500), cursor.fetchone(), cursor.description]
                found.append(sum(1 for _ in cursor))
            many = connection.cursor()
            many.executemany("INSERT INTO numbers VALUES (%s) RETURNING n", [(2000,), (2001,)], returning=True)
            found += [[result.fetchall() for result in many.results()], many.rowcount]
            with pytest.raises(errors.UniqueViolation), connection.transaction():
                connection.execute("INSERT INTO numbers VALUES (2000)")
            with connection.transaction(force_rollback=True):
                connection.execute("DELETE FROM numbers WHERE n > 10")
            found.append(attempt(lambda: connection.execute("SELECT nothing FROM customers")))
            found.append(attempt(lambda: connection.execute("SELECT 1")))
            connection.rollback()
            with connection.pipeline():
                text = "SELECT n, card_no FROM numbers, customers WHERE n = %s"
                cursors = [connection.execute(text, [n]) for n in range(40)]
            found += [seen(cursor) for cursor in cursors]
            with pytest.raises(errors.DivisionByZero), connection.pipeline():  # noqa: PT012
                connection.execute("SELECT card_no FROM customers")
                connection.execute("SELECT %s / 0 FROM orders", [1])
                connection.execute("SELECT 1")
            connection.rollback()
            return found

    pair.same(session)


def test_copy(pair: Pair) -> None:
    def session(dsn: str) -> list[Any]:
        found: list[Any] = []
        with psycopg.connect(dsn) as connection, connection.cursor() as cursor:
            for options in ("", " (FORMAT csv, HEADER)", " (FORMAT binary)"):
                for source in (
                    "customers",
                    "kinds",
                    "orders (total, id)",
                    "(SELECT c.*, 1 FROM customers c ORDER BY 1 DESC)",
                ):
                    with cursor.copy(f"COPY {source} TO STDOUT{options}") as copy:
                        found += [b"".join(bytes(part) for part in copy), cursor.statusmessage]
                columns = "(n)" if options else ""
                with cursor.copy(f"COPY numbers {columns} FROM STDIN{options.replace(', HEADER', '')}") as copy:
                    if "binary" in options:
                        copy.set_types(["int4"])
                        for n in range(5000, 8000):
                            copy.write_row((n,))
                    else:
                        copy.write("".join(f"{n}\n" for n in range(5000, 8000)))
                found += [cursor.statusmessage, seen(cursor.execute("SELECT count(*), sum(n) FROM numbers"))]
                connection.rollback()
            with cursor.copy("COPY orders (customer_id, total) FROM STDIN") as copy:
                copy.write_row((1, Decimal("1.5")))
            found.append(seen(cursor.execute("SELECT customer_id, total, placed FROM orders WHERE total = 1.5")))
            for line in ("1\tmany\n", "1\n", "77\t1\n"):
                found.append(attempt(lambda text=line: copy_in(cursor, text)))
                connection.rollback()
        return found

    def copy_in(cursor: Any, text: str) -> None:
        with cursor.copy("COPY orders (customer_id, total) FROM STDIN") as copy:
            copy.write(text)

    pair.same(session)


def test_notifications_notices_and_cancel(pair: Pair) -> None:
    def session(dsn: str) -> list[Any]:
        found: list[Any] = []
        with psycopg.connect(dsn, autocommit=True) as connection, psycopg.connect(dsn, autocommit=True) as other:
            connection.add_notice_handler(
                lambda diag: found.append((diag.severity, diag.sqlstate, diag.message_primary))
            )
            connection.execute("LISTEN news")
            other.execute("NOTIFY news, 'hello'")
            found.append([(n.channel, n.payload) for n in connection.notifies(timeout=10, stop_after=1)])
            connection.execute("ROLLBACK")
            for _ in "twice":
                connection.execute("CREATE TEMP TABLE IF NOT EXISTS mine (n int)")
            timer = threading.Timer(0.1, connection.cancel_safe)
            timer.start()
            found.append(attempt(lambda: connection.execute("SELECT pg_sleep(20), card_no FROM customers")))
            timer.join()
            return [*found, seen(connection.execute("SELECT 1"))]

    pair.same(session)


def test_serialization_failure(pair: Pair) -> None:
    def session(dsn: str) -> Any:
        with psycopg.connect(dsn) as one, psycopg.connect(dsn) as two:
            for connection in (one, two):
                connection.isolation_level = psycopg.IsolationLevel.SERIALIZABLE
                connection.execute("SELECT sum(total) FROM orders o JOIN customers c ON c.id = customer_id")
            for connection in (one, two):
                connection.execute("INSERT INTO orders (customer_id, total, placed) VALUES (1, 0, '2024-07-07')")
            one.commit()
            result = attempt(two.commit)
            two.rollback()
            one.execute("DELETE FROM orders WHERE placed = '2024-07-07'")
            one.commit()
            return result

    assert pair.same(session)["sqlstate"] == "40001"


async def test_async(pair: Pair) -> None:
    async def session(dsn: str) -> list[Any]:
        async with await psycopg.AsyncConnection.connect(dsn) as connection, connection.cursor() as cursor:
            await cursor.execute("SELECT id, card_no FROM customers WHERE id = ANY(%s) ORDER BY id", [[1, 3]])
            found: list[Any] = [await cursor.fetchall(), cursor.description]
            async with cursor.copy("COPY (SELECT email, card_no FROM customers ORDER BY id) TO STDOUT") as copy:
                found.append([row async for row in copy.rows()])
            async with connection.pipeline():
                cursors = [await connection.execute("SELECT %s, count(*) FROM orders", [n]) for n in range(10)]
            return [*found, [await result.fetchall() for result in cursors]]

    await pair.same_async(session)
