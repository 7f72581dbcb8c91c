"""asyncpg through `consentry serve`: each session sees what it sees with the twin (drivers/world.py) directly."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from tests.integration.drivers.statements import FAILURES, READS, WRITES
from tests.integration.drivers.world import Pair

pytest_plugins = ["tests.integration.drivers.fixtures"]

_FIELDS = (
    "severity sqlstate message detail hint context position schema_name table_name column_name constraint_name".split()
)


def failure(error: asyncpg.PostgresError) -> dict[str, Any]:
    return {"type": type(error), **{name: getattr(error, name, None) for name in _FIELDS}, "text": error.args[0]}


@asynccontextmanager
async def connect(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        await connection.close()


async def attempt(work: Awaitable[Any]) -> Any:
    try:
        return await work
    except asyncpg.PostgresError as error:
        return failure(error) | {"text": None}


async def seen(connection: asyncpg.Connection, text: str, *arguments: Any) -> dict[str, Any]:
    """What a prepared statement tells of itself and gives. asyncpg asks the catalogs for the types that it meets."""
    statement = await connection.prepare(text)
    rows = await statement.fetch(*arguments)
    return {
        "parameters": list(statement.get_parameters()),
        "attributes": list(statement.get_attributes()),
        "keys": [list(row.keys()) for row in rows[:1]],
        "rows": [list(row.values()) for row in rows],
        "status": statement.get_statusmsg(),
    }


async def test_reads(pair: Pair) -> None:
    async def session(dsn: str) -> list[Any]:
        async with connect(dsn) as connection:
            found = [await seen(connection, text) for text in READS]
            assert [len(await connection.fetch(text)) for text in READS] == [len(one["rows"]) for one in found]
            return found

    await pair.same_async(session)


async def test_writes_and_simple_queries(pair: Pair) -> None:
    async def session(dsn: str) -> list[Any]:
        async with connect(dsn) as connection:
            transaction = connection.transaction()
            await transaction.start()
            found: list[Any] = [await seen(connection, text) for text in WRITES]
            await transaction.rollback()
            found.append(
                await connection.execute("BEGIN; DELETE FROM orders; UPDATE customers SET mood = 'ok'; ROLLBACK")
            )
            return [*found, await connection.fetchval("SELECT count(*) FROM orders")]

    await pair.same_async(session)


@pytest.mark.parametrize("simple", [False, True])
async def test_errors(pair: Pair, simple: bool) -> None:
    async def session(dsn: str) -> list[Any]:
        async with connect(dsn) as connection:
            return [await attempt(connection.execute(t) if simple else connection.fetch(t)) for t in FAILURES]

    assert all("sqlstate" in found for found in await pair.same_async(session))


async def test_parameters_and_types(pair: Pair) -> None:
    row: dict[str, Any] = {
        "id": 60, "i2": 7, "i4": -1, "i8": 2**40, "num": Decimal("1.50"), "f4": 1.5, "f8": 0.1, "t": "it's", "vc": "é",
        "b": b"\0\xff", "ok": True, "d": date(2024, 2, 29), "tz": datetime(2024, 1, 2, 3, tzinfo=UTC), "u": UUID(int=5),
        "span": timedelta(days=3, seconds=5), "jb": '{"a": [1, null]}', "ints": [[1, 2], [3, 4]], "texts": ["a", None],
        "moods": ["sad", "ok"], "m": "happy", "a": ("s", None, "12345"), "addresses": [("a", "b", "c")], "net": "10.0.0.1",
        "span4": asyncpg.Range(1, 4), "spans": [asyncpg.Range(Decimal(1), Decimal(2))], "bits": asyncpg.BitString("101"),
        "spot": asyncpg.Point(1, 2), "amount": 4,
    }  # fmt: skip

    async def session(dsn: str) -> list[Any]:
        async with connect(dsn) as connection:
            marks = ", ".join(f"${n}" for n in range(1, len(row) + 1))
            text = f"INSERT INTO kinds ({', '.join(row)}) VALUES ({marks}) RETURNING *"
            async with connection.transaction():
                found: list[Any] = [await seen(connection, text, *row.values())]
                found.append(
                    await seen(
                        connection,
                        "SELECT id, card_no FROM customers WHERE mood = $1 AND home IS DISTINCT FROM $2::address",
                        "sad",
                        ("a", "b", "c"),
                    )
                )
                found.append(
                    await seen(
                        connection, "SELECT m_vc, m_num FROM kinds WHERE id = ANY($1) AND moods && $2", [1, 60], ["sad"]
                    )
                )
                await connection.set_type_codec("mood", schema="public", encoder=str, decoder=str.upper)
                await connection.set_type_codec("jsonb", schema="pg_catalog", encoder=str, decoder=len)
                found.append([tuple(r) for r in await connection.fetch("SELECT m, jb FROM kinds ORDER BY id")])
                await connection.execute("DELETE FROM kinds WHERE id = 60")
            return found

    await pair.same_async(session)


async def test_cursors_executemany_copy_and_transactions(pair: Pair, tmp_path: Any) -> None:
    async def session(dsn: str) -> list[Any]:
        found: list[Any] = []
        async with connect(dsn) as connection:
            outer = connection.transaction(isolation="repeatable_read")
            await outer.start()  # closing the connection ends it
            text = "SELECT n, c.card_no, c.home FROM numbers, customers c WHERE n > $1 ORDER BY n, c.id"
            async for record in connection.cursor(text, 990, prefetch=5):
                found.append(tuple(record))
            cursor = await connection.cursor(text, 3)
            found += [await cursor.fetch(3), await cursor.forward(700), await cursor.fetchrow()]
            await connection.executemany("INSERT INTO numbers VALUES ($1)", [(n,) for n in range(3000, 3100)])
            found.append(await connection.fetchval("SELECT sum(n) FROM numbers"))
            for work in ("INSERT INTO numbers VALUES (3000)", "SELECT nothing FROM customers"):
                with pytest.raises(asyncpg.PostgresError):
                    async with connection.transaction():
                        await connection.execute(work)
            rows = [(1, Decimal(n), date(2024, 1, 1)) for n in range(200)]
            found.append(
                await connection.copy_records_to_table(
                    "orders", records=rows, columns=["customer_id", "total", "placed"]
                )
            )
            for source in (
                "SELECT * FROM customers WHERE id < $1 ORDER BY id",
                "SELECT count(*), sum(total) FROM orders WHERE id > $1",
            ):
                found.append(
                    await connection.copy_from_query(source, 50, output=tmp_path / "out", format="csv", header=True)
                )
                found.append((tmp_path / "out").read_text())
            for options in ({"columns": ["id", "card_no"]}, {"format": "binary"}):
                found.append(await connection.copy_from_table("customers", output=tmp_path / "out", **options))
                found.append((tmp_path / "out").read_bytes())
            (tmp_path / "in").write_text("Z9,Zither,3.5,\n")
            found.append(await connection.copy_to_table("products", source=tmp_path / "in", format="csv"))
            found.append([tuple(r) for r in await connection.fetch("SELECT * FROM products ORDER BY sku")])
            found.append(await attempt(connection.copy_records_to_table("numbers", records=[(1,)])))
            found.append(await attempt(connection.fetch("SELECT 1")))
        return found

    await pair.same_async(session)


async def test_listeners_notices_and_cancel(pair: Pair) -> None:
    async def session(dsn: str) -> list[Any]:
        heard: asyncio.Queue[Any] = asyncio.Queue()
        async with connect(dsn) as one, connect(dsn) as two:
            one.add_log_listener(
                lambda _, message: heard.put_nowait((message.severity, message.sqlstate, message.message))
            )
            await one.add_listener("news", lambda _, __, channel, payload: heard.put_nowait((channel, payload)))
            await two.execute("NOTIFY news, 'first'")
            found: list[Any] = [await asyncio.wait_for(heard.get(), 10)]
            await one.execute("ROLLBACK")
            found.append(await asyncio.wait_for(heard.get(), 10))
            with pytest.raises(asyncio.TimeoutError):
                await one.fetch("SELECT pg_sleep(20), card_no FROM customers", timeout=0.1)
            await one.execute("SET statement_timeout = 50")
            found.append(await attempt(one.fetch("SELECT pg_sleep(20), card_no FROM customers")))
            await one.execute("RESET statement_timeout")
            return [*found, await one.fetchval("SELECT count(*) FROM orders"), one.get_settings().server_version]

    await pair.same_async(session)


async def test_statements_in_the_cache_outlive_ddl(pair: Pair) -> None:
    """Another session adds a column that everybody sees, changes a type, and takes both back."""
    changes = (
        "ALTER TABLE products ADD COLUMN extra int DEFAULT 5",
        "ALTER TABLE products ALTER COLUMN extra TYPE numeric(5,1)",
        "ALTER TABLE products DROP COLUMN extra; ALTER TYPE mood ADD VALUE IF NOT EXISTS 'new'",
        "CREATE INDEX later ON customers (mood)",
    )
    texts = (
        "SELECT * FROM products ORDER BY sku",
        "SELECT * FROM customers ORDER BY id",
        "SELECT mood, card_no FROM customers ORDER BY id",
    )
    async with connect(pair.direct) as one, connect(pair.through) as two:
        for change in (None, *changes):
            if change is not None:
                pair.admin(change)
            for text in texts:
                direct, through = [[list(r.items()) for r in await c.fetch(text)] for c in (one, two)]
                assert through == direct, change


async def test_pool(pair: Pair) -> None:
    async def session(dsn: str) -> list[Any]:
        async with asyncpg.create_pool(dsn, min_size=1, max_size=1) as pool:
            found = []
            for _ in range(2):
                async with pool.acquire() as connection:
                    found.append(await connection.fetchval("SHOW intervalstyle"))
                    await connection.execute("SET intervalstyle = iso_8601")
            return found

    await pair.same_async(session)
