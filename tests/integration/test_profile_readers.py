"""Readers of the other kinds of sources: pages of JSON, Parquet, MySQL's protocol; each also where it is not as expected."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sqlite3
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, suppress
from datetime import UTC, date, datetime
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, unquote, urlsplit

import pyarrow
import pymysql
import pytest
from mysql_mimic import MysqlServer, ResultColumn, ResultSet, Session
from mysql_mimic.types import ColumnType
from pyarrow import parquet

from proxy.errors import UnreachableError
from proxy.profile.sources import http
from proxy.profile.sources import mysql as mysql_source
from proxy.profile.sources.csv_file import CsvReader
from proxy.profile.sources.http import HttpReader
from proxy.profile.sources.json_lines import JsonLinesReader
from proxy.profile.sources.mysql import MysqlReader
from proxy.profile.sources.parquet import ParquetReader
from proxy.profile.sources.postgresql import PostgresReader
from proxy.profile.sources.reading import Reader, SourceError, Wanted
from proxy.profile.sources.sqlite import SqliteReader
from tests.servers import PgServer

WANTED = Wanted("other", ("id", "email"), "id")


async def read(reader: Reader, wanted: Wanted = WANTED) -> list[dict[str, Any]]:
    return [dict(record.values) async for record in reader.records(wanted)]


# -- HTTP -------------------------------------------------------------------------------------------------------------


class Pages(BaseHTTPRequestHandler):
    """Two records a page; `/plain` is a bare list; what else a test asks for by its path."""

    records: ClassVar[list[dict[str, Any]]] = [
        {"id": number, "person": {"email": f"{number}@x.org"}} for number in range(5)
    ]

    paths: ClassVar[list[str]] = []  # what was asked for
    wrong: ClassVar[dict[str, bytes]] = {
        "/html": b"<html>",
        "/twice": b'{"data": {"items": [{"id": 1, "id": 2}]}, "links": {"next": null}}',
    }

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        self.paths.append(unquote(self.path))
        asked = {name: int(values[0]) for name, values in parse_qs(parts.query).items() if name != "key"}
        status, document = 200, self._page(asked.get("page", 0), asked.get("since", 0), parts.path)
        if parts.path == "/token" and self.headers["authorization"] != "Bearer s3cret":
            status, document = 401, {}
        if parts.path == "/broken":
            status = 500
        body = self.wrong.get(parts.path) or json.dumps(document).encode()
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body)

    def _page(self, page: int, since: int, path: str) -> Any:
        if path == "/plain":
            return self.records
        chosen = [record for record in self.records if record["id"] >= since]
        following = f"{path}?page={page + 1}&since={since}" if 2 * page + 2 < len(chosen) else None
        if path == "/lost" and page == 1:
            return {"data": {"items": []}, "links": {}}
        if path == "/bare":
            return {"data": {"items": self.records}}
        if path == "/endless":
            return {"data": {"items": []}, "links": {"next": f"{path}?page={page + 1}"}}
        if path == "/circle":
            following = f"{path}?page={page}"
        if path == "/elsewhere":
            following = "http://127.0.0.2/next"
        return {"data": {"items": chosen[2 * page : 2 * page + 2]}, "links": {"next": following}}

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


NESTED = Wanted("other", ("id", "person.email"), "id")
ALL = [{"id": number, "person.email": f"{number}@x.org"} for number in range(5)]


async def test_pages(site: str) -> None:
    assert await read(HttpReader("other", f"{site}/paged", None, "data.items", "links.next"), NESTED) == ALL
    assert await read(HttpReader("other", f"{site}/plain"), NESTED) == ALL
    assert await read(HttpReader("other", f"{site}/token", "s3cret", "data.items", "links.next"), NESTED) == ALL
    assert await read(HttpReader("other", f"{site}/bare", None, "data.items"), NESTED) == ALL
    assert (
        len(await read(HttpReader("other", f"{site}/lost", None, "data.items", "links.next", ends="absent"), NESTED))
        == 2
    )
    later = Wanted("other", ("id", "person.email"), "id", cursor="id", after="3")
    assert await read(HttpReader("other", f"{site}/paged", None, "data.items", "links.next", "since"), later) == ALL[3:]
    late = Wanted("other", ("id",), "id", cursor="at", after="2026-01-01T12:00:00Z")
    await read(HttpReader("other", f"{site}/plain", since="key"), late)  # what was committed late is read again
    assert Pages.paths[-1] == "/plain?key=2026-01-01T11:55:00Z"
    assert [key async for key in HttpReader("other", f"{site}/plain").keys(NESTED)] == [0, 1, 2, 3, 4]
    some = Wanted("other", ("id", "person.email"), "id", only=(4, 2, 9))
    assert await read(HttpReader("other", f"{site}/paged", None, "data.items", "links.next"), some) == [ALL[2], ALL[4]]


@pytest.mark.parametrize(
    ("path", "at", "error", "said"),
    [
        ("circle", "data.items", SourceError, "comes after itself"),
        ("endless", "data.items", SourceError, "/endless: more than 100 pages in a row have no record"),
        ("elsewhere", "data.items", SourceError, "is on another server: 127.0.0.2"),
        ("lost", "data.items", SourceError, r"/lost, page 2, has no links\.next: null there is the end"),
        ("bare", "data.items", SourceError, r"/bare, page 1, has no links\.next: "),
        ("paged", "data.rows", SourceError, "no list of records is at data.rows"),
        ("html", "data.items", SourceError, "/html: not JSON: "),
        ("twice", "data.items", SourceError, '/twice: an object has the name "id" twice$'),
        ("broken", "data.items", UnreachableError, "/broken answered 500"),
        ("token", "data.items", UnreachableError, "/token answered 401"),
    ],
)
async def test_pages_that_are_not_as_expected(site: str, path: str, at: str, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said) as caught:
        await read(HttpReader("other", f"{site}/{path}?key=s3cret", None, at, "links.next"), NESTED)
    assert str(caught.value).startswith('source "other": ')
    assert "s3cret" not in str(caught.value)


async def test_nobody_answers() -> None:
    with pytest.raises(UnreachableError, match=r'source "other": http://127\.0\.0\.1:1/'):
        await read(HttpReader("other", "http://127.0.0.1:1/"))


async def test_a_server_that_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "_SECONDS", 0.2)
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        pytest.raises(UnreachableError, match=r"/items did not answer within 0\.2 s$"),
    ):
        await read(HttpReader("other", f"http://127.0.0.1:{silent.getsockname()[1]}/items"))


async def test_a_server_that_drips(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each piece comes in time, and the page never."""
    monkeypatch.setattr(http, "PAGE_SECONDS", 0.5)
    ended = threading.Event()

    def drip(server: socket.socket) -> None:
        client, _ = server.accept()
        with client, suppress(OSError):
            client.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n[")
            while not ended.wait(0.05):
                client.sendall(b" ")

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=drip, args=(server,))
        thread.start()
        with pytest.raises(UnreachableError, match=r"/items did not come within 0\.5 s$"):
            await read(HttpReader("other", f"http://127.0.0.1:{server.getsockname()[1]}/items"))
        ended.set()
        thread.join()


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (pymysql.err.OperationalError(1292, "Truncated incorrect DOUBLE value: 'a@x.org'"), "(error 1292)"),
        (pymysql.err.DataError(1366, "Incorrect integer value: 'a@x.org' for column 'id'"), "(error 1366)"),
        (pymysql.err.ProgrammingError(1064, "You have an error in your SQL syntax near 'a@x.org'"), "(error 1064)"),
        (pymysql.err.OperationalError(3140, 'Invalid JSON text: "a@x.org"'), "(error 3140)"),
        (pymysql.err.OperationalError(5001, "a@x.org is none"), "(error 5001)"),  # a SIGNAL's own
        (pymysql.err.OperationalError(1105, "XPATH syntax error: 'a@x.org'"), "(error 1105)"),
        (pymysql.err.ProgrammingError(1146, "Table 'shop.people' doesn't exist"), "Table 'shop.people' doesn't exist"),
        (pymysql.err.OperationalError(2003, "Can't connect to MySQL server"), "Can't connect to MySQL server"),
    ],
)
def test_what_mysql_says_of_values_is_in_no_error(error: pymysql.err.MySQLError, said: str) -> None:
    assert said in mysql_source._said(error)
    assert "a@x.org" not in mysql_source._said(error)


async def test_a_token_that_is_none_is_in_no_error() -> None:
    for token in ("s3c\nret", "s3crét"):
        with pytest.raises(SourceError, match="its token has a character") as caught:
            await read(HttpReader("other", "http://127.0.0.1:1/", token))
        assert "s3c" not in str(caught.value)


async def test_an_error_of_a_postgresql_source_has_no_value(pg_server: PgServer) -> None:
    pg_server.create_database(
        "valued", "CREATE VIEW people AS SELECT 1 AS id, email::int FROM (VALUES ('a@x.org')) t (email)"
    )
    with pytest.raises(SourceError, match="its database cannot read a value") as caught:
        await read(PostgresReader("other", pg_server.dsn("valued")), Wanted("other", ("id", "email"), "id", "people"))
    assert "a@x.org" not in str(caught.value)


def test_a_name_that_no_file_can_have(tmp_path: Path) -> None:
    with pytest.raises(UnreachableError, match="cannot be read: File name too long"):
        CsvReader("other", tmp_path / ("x" * 300)).content()


def test_a_pipe_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "people.csv")
    for kind in (CsvReader, JsonLinesReader, ParquetReader):
        with pytest.raises(UnreachableError, match=r"people\.csv is no file"):
            kind("other", tmp_path / "people.csv").content()


async def test_a_pipe_is_no_database(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "people.db")
    with pytest.raises(UnreachableError, match=r"people\.db is no file"):
        await read(SqliteReader("other", tmp_path / "people.db"), Wanted("other", ("id",), "id", "people"))


# -- Parquet ----------------------------------------------------------------------------------------------------------


async def test_parquet(tmp_path: Path) -> None:
    file = tmp_path / "people.parquet"
    born = date(1990, 12, 31)
    parquet.write_table(pyarrow.table({"id": [1, 2], "email": ["a@x.org", None], "born": [born, None]}), file)
    wanted = Wanted("other", ("id", "email", "born"), "id")
    reader = ParquetReader("other", file)
    assert await read(reader, wanted) == [
        {"id": 1, "email": "a@x.org", "born": born},
        {"id": 2, "email": None, "born": None},
    ]
    before = reader.content()
    with pytest.raises(SourceError, match=r'no field "mail".*"email"'):
        await read(reader, Wanted("other", ("id", "mail"), "id"))
    file.write_bytes(file.read_bytes()[:-20])
    assert reader.content() != before
    with pytest.raises(SourceError, match=r"people\.parquet"):
        await read(reader, wanted)


# -- PostgreSQL: types that have a form of their own -----------------------------------------------------------------


async def test_postgresql(pg_server: PgServer) -> None:
    dsn = pg_server.create_database("reader_types", """
        CREATE TYPE mood AS ENUM ('good');
        CREATE TABLE "odd ""one" (id uuid PRIMARY KEY, email text, n numeric, at timestamptz, doc jsonb, list int[], mood mood);
        INSERT INTO "odd ""one" VALUES ('00000000-0000-0000-0000-000000000001', 'a@x.org', 1.50, '2026-01-01T00:00Z',
            '{"a": [1]}', '{1,2}', 'good')""")  # fmt: skip
    fields = ("id", "email", "n", "at", "doc", "list", "mood")
    wanted = Wanted("other", fields, "id", 'public."odd ""one"', "at", "2026-01-01T00:04:00+00:00")
    (row,) = await read(PostgresReader("other", dsn), wanted)  # five minutes before the cursor are read again
    assert str(row.pop("id")).endswith("1")
    assert row == {
        "email": "a@x.org", "n": Decimal("1.50"), "at": datetime(2026, 1, 1, tzinfo=UTC), "doc": '{"a": [1]}', "list": "[1, 2]",
        "mood": "good",
    }  # fmt: skip
    later = Wanted("other", fields, "id", 'public."odd ""one"', "at", "2026-01-01T00:06:00+00:00")
    assert await read(PostgresReader("other", dsn), later) == []


async def test_json_of_postgresql_that_is_no_object(pg_server: PgServer) -> None:
    dsn = pg_server.create_database("reader_json", """
        CREATE TABLE docs (id int, a jsonb, b json);
        INSERT INTO docs VALUES (1, 'null', ' null '), (2, '"it''s"', '"\\u00e9"'), (3, '{"a": null}', '[1]'), (4, NULL, '5')""")  # fmt: skip
    found = await read(PostgresReader("other", dsn), Wanted("other", ("id", "a", "b"), "id", "docs"))
    assert [(row["a"], row["b"]) for row in found] == [
        (None, None), ("it's", "é"), ('{"a": null}', "[1]"), (None, "5")
    ]  # fmt: skip


# -- MySQL ------------------------------------------------------------------------------------------------------------


class Shop(Session):
    """Answers as a server with one table would; `asked` are the texts."""

    asked: ClassVar[list[str]] = []

    async def query(self, expression: Any, sql: str, attrs: Any) -> Any:
        Shop.asked.append(sql)
        if "LIMIT 0" in sql:
            kinds = {"id": ColumnType.LONG, "email": ColumnType.VARCHAR, "changed": ColumnType.DATETIME}
            return ResultSet(rows=[], columns=[ResultColumn(name, kind) for name, kind in kinds.items()])
        if sql.startswith("SELECT"):
            return [(1, "a@x.org"), (2, None)], ["id", "email"]
        return [], []

    async def schema(self) -> Any:
        return {"shop": {"people": {"id": "INT", "email": "TEXT", "changed": "DATETIME"}}}


@pytest.fixture
async def mysql() -> AsyncIterator[str]:
    server = MysqlServer(session_factory=Shop)
    await server.start_server(host="127.0.0.1", port=0)
    port = server._server.sockets[0].getsockname()[1]
    running = asyncio.create_task(server.serve_forever())
    yield f"mysql://reader@127.0.0.1:{port}/shop"
    running.cancel()
    server.close()


async def in_thread(reader: MysqlReader, wanted: Wanted) -> list[dict[str, Any]]:
    """The driver waits for the server, which is in this thread's loop: so it has a loop of its own."""
    return await asyncio.to_thread(lambda: asyncio.run(read(reader, wanted)))


async def test_mysql(mysql: str) -> None:
    Shop.asked.clear()
    reader = MysqlReader("other", mysql)
    wanted = Wanted("other", ("id", "email"), "id", "people", "changed", "2026-01-01 00:00:00")
    assert await in_thread(reader, wanted) == [{"id": 1, "email": "a@x.org"}, {"id": 2, "email": None}]
    assert Shop.asked[-1] == (
        "SELECT `id`, `email` FROM `people` WHERE `changed` >= '2026-01-01 00:00:00' - INTERVAL 5 MINUTE OR `changed` IS NULL ORDER BY `changed`"
    )
    with pytest.raises(SourceError, match=r'no field "mail".*did you mean "email"'):
        await in_thread(reader, Wanted("other", ("id", "mail"), "id", "people"))
    with pytest.raises(SourceError, match="`records` is missing"):
        await in_thread(reader, WANTED)
    with pytest.raises(UnreachableError, match=r'source "other": 127\.0\.0\.1:1: '):
        await in_thread(MysqlReader("other", "mysql://reader:s3cret@127.0.0.1:1/shop"), wanted)


# -- SQLite -----------------------------------------------------------------------------------------------------------

LITE = Wanted("other", ("id", "email"), "id", "people")


def lite(path: Path, count: int, mode: str = "DELETE") -> sqlite3.Connection:
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA journal_mode = {mode}")
    connection.execute("CREATE TABLE people (id INTEGER PRIMARY KEY, email TEXT, filler TEXT)")
    rows = ((number, f"{number}@x.org", "t" * 40) for number in range(count))
    connection.executemany("INSERT INTO people VALUES (?, ?, ?)", rows)
    connection.commit()
    return connection


@pytest.mark.parametrize("part", [0.3, 0.5, 0.61, 0.7, 0.9, 0.99])
@pytest.mark.parametrize("count", [6, 2000])
async def test_sqlite_that_was_cut(tmp_path: Path, count: int, part: float) -> None:
    file = tmp_path / "cut.db"
    lite(file, count).close()
    assert len(await read(SqliteReader("other", file), LITE)) == count
    os.truncate(file, int(file.stat().st_size * part))
    for reading in (SqliteReader("other", file).records(LITE), SqliteReader("other", file).keys(LITE)):
        with pytest.raises(SourceError, match=r"was it cut|malformed|not a database|no such table|damaged"):
            [one async for one in reading]


async def test_sqlite_with_a_damaged_page(tmp_path: Path) -> None:
    file = tmp_path / "damaged.db"
    lite(file, 2000).close()
    content = bytearray(file.read_bytes())
    content[9 * 4096 : 9 * 4096 + 200] = b"\xff" * 200
    file.write_bytes(content)
    with pytest.raises(SourceError, match=r"is damaged: |malformed"):
        await read(SqliteReader("other", file), LITE)


async def test_sqlite_whose_rows_are_in_its_log(tmp_path: Path) -> None:
    file = tmp_path / "log.db"
    with closing(lite(file, 2000, "WAL")):
        assert file.stat().st_size < 2000 * 40
        assert len(await read(SqliteReader("other", file), LITE)) == 2000


async def test_sqlite_with_a_text_that_is_none(tmp_path: Path) -> None:
    file = tmp_path / "text.db"
    with closing(lite(file, 1)) as connection, connection:
        connection.execute("UPDATE people SET email = CAST(x'73336372657441ff' AS TEXT)")
    with pytest.raises(SourceError) as caught:
        await read(SqliteReader("other", file), LITE)
    assert str(caught.value) == 'source "other": a text in it is not UTF-8'
