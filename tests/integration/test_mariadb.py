"""A source in a real MariaDB: every type in its one form, changes and deletes, and what can go wrong on the way."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import yaml

from proxy.catalog.introspect import take_snapshot
from proxy.cli.opening import open_database
from proxy.errors import ConsentryError, UnreachableError
from proxy.profile import one_source
from proxy.profile import sync as syncing
from proxy.profile.one_source import Plan, Synced
from proxy.profile.sources import reading
from proxy.profile.sources.mysql import MysqlReader
from proxy.profile.sources.reading import Wanted
from tests.gateways import consentry
from tests.mariadb import PROGRAM, MariaDb
from tests.servers import PgServer

PASSWORD = "p%40ss%2Fw%C3%B6rd"  # as a URI has it
RULES = """
version: 1
attributes: {name: {label: Name}, spent: {label: Spent}, at: {label: Last seen}, vip: {label: VIP}, born: {label: Born},
             hits: {label: Hits}, doc: {label: Wishes}, note: {label: Note}}
tables: {public.customers: {subject: id, columns: {id: open}}}
apps: {crm: {logins: [mariadb_crm]}}
policies: [{name: all of it, attributes: all, action: show, basis: contract}]
sources:
  other:
    records: people
    key: number
    subject: customer
    cursor: changed
    fields:
      name: name
      spent: {attribute: spent, type: number}
      at: {attribute: at, type: timestamp}
      vip: {attribute: vip, type: boolean}
      born: {attribute: born, type: date}
      "hits%": {attribute: hits, type: number}
      doc: {attribute: doc, type: json}
      note: note
"""
PEOPLE = """CREATE TABLE people (
    number BIGINT UNSIGNED PRIMARY KEY, customer INT NOT NULL, name VARCHAR(50), spent DECIMAL(20,4), at DATETIME(6), vip BIT(1),
    born DATE, `hits%` BIGINT UNSIGNED, doc JSON, note LONGTEXT, `when` TIME, `changed` TIMESTAMP(3) NOT NULL, KEY (changed))
    CHARACTER SET utf8mb4"""
BIG = 18446744073709551615
ROWS = f"""INSERT INTO people VALUES
    ({BIG}, 1, 'Zoë 🦊 O''Neil', 12345678901234.5600, '2026-01-31 23:59:59.123456', b'1', '1990-12-31', {BIG},
     '{{"wants": ["tea", 1.5, null, "🍵"]}}', 'long', '25:00:01', '2026-01-01 03:00:00'),
    (2, 2, '', NULL, NULL, b'0', NULL, 0, NULL, NULL, NULL, '2026-01-01 03:10:00'),
    (3, 3, NULL, -0.5, '1970-01-01 00:00:00', NULL, '0001-01-01', NULL, '[]', '', NULL, '2026-01-01 03:20:00')"""


@pytest.fixture(scope="module")
def mariadb() -> Iterator[MariaDb]:
    if not PROGRAM.exists():
        pytest.skip("MariaDB is not installed (apt-get install mariadb-server-core)")
    server = MariaDb()
    server.run("CREATE USER reader@'127.0.0.1' IDENTIFIED BY 'p@ss/wörd'", "CREATE DATABASE shop CHARACTER SET utf8mb4")
    server.run("GRANT SELECT ON shop.* TO reader@'127.0.0.1'")
    yield server
    server.close()


@pytest.fixture
def people(mariadb: MariaDb) -> MariaDb:
    mariadb.run("DROP TABLE IF EXISTS people", PEOPLE, ROWS, database="shop")
    return mariadb


@pytest.fixture(scope="module")
def prepared(pg_server: PgServer, mariadb: MariaDb, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A database whose customers are 1 to 2000, for tests to copy."""
    schema = "CREATE TABLE customers AS SELECT * FROM generate_series(1, 2000) AS id; ALTER TABLE customers ADD PRIMARY KEY (id)"
    pg_server.create_database("mariadb_first", schema)
    folder = tmp_path_factory.mktemp("prepared")
    write(pg_server, folder, mariadb.dsn("shop", f"reader:{PASSWORD}"), database="mariadb_first")
    consentry(folder, "consent", "setup")


@pytest.fixture
def folder(pg_server: PgServer, prepared: None, people: MariaDb, tmp_path: Path) -> Path:
    """Settings and rules of a copy of it, with the source `other`."""
    with pg_server.connect() as connection:
        connection.execute("DROP DATABASE IF EXISTS mariadb_shop WITH (FORCE)")
        connection.execute("CREATE DATABASE mariadb_shop TEMPLATE mariadb_first")
    write(pg_server, tmp_path, people.dsn("shop", f"reader:{PASSWORD}"))
    return tmp_path


def write(server: PgServer, folder: Path, dsn: str, rules: str = RULES, database: str = "mariadb_shop") -> None:
    (folder / "rules.yaml").write_text(rules)
    upstream = f"postgresql://{server.host}:{server.port}/{database}"
    shop = {"upstream": upstream, "rules": "rules.yaml", "sources": {"other": {"kind": "mysql", "dsn": dsn}}}
    settings = {"databases": {"shop": shop}, "control": {"dsn": server.admin_dsn}}
    (folder / "consentry.yaml").write_text(yaml.safe_dump(settings))


async def sync(folder: Path, progress: syncing.Progress | None = None, **options: Any) -> Synced:
    opened = open_database(folder / "consentry.yaml")
    connection = await asyncpg.connect(opened.control_dsn, statement_cache_size=0)
    try:
        compiled = opened.compiled(await take_snapshot(connection))
        plan = Plan(opened.configuration, opened.database, opened.rules, compiled, **options)
        (done,) = await syncing.sync(connection, plan, opened.control_dsn, progress=progress)
        return done
    finally:
        await connection.close()


def counts(done: Synced) -> tuple[int, int, int, int]:
    assert done.error is None, done.error
    return done.counts.read, done.counts.added, done.counts.changed, done.counts.deleted


def kept(server: PgServer, text: str = "SELECT * FROM consentry.profile_data ORDER BY subject") -> list[Any]:
    with server.connect("mariadb_shop") as connection:
        return connection.execute(text.encode()).fetchall()


async def test_every_type_arrives_as_it_is(pg_server: PgServer, people: MariaDb, folder: Path) -> None:
    assert counts(await sync(folder)) == (3, 3, 0, 0)
    columns = "subject, name, spent, at, vip, born::text, hits, doc, note"
    assert kept(pg_server, f"SELECT {columns} FROM consentry.profile_data ORDER BY subject") == [
        (1, "Zoë 🦊 O'Neil", Decimal("12345678901234.5600"), datetime(2026, 1, 31, 23, 59, 59, 123456, tzinfo=UTC), True, "1990-12-31",
         Decimal(BIG), {"wants": ["tea", 1.5, None, "🍵"]}, "long"),
        (2, None, None, None, False, None, Decimal(0), None, None),
        (3, None, Decimal("-0.5000"), datetime(1970, 1, 1, tzinfo=UTC), None, "0001-01-01", None, [], None),
    ]  # fmt: skip
    keys = kept(pg_server, "SELECT key FROM consentry.profile_records ORDER BY subject")
    assert keys == [(str(BIG),), ("2",), ("3",)]
    compared = {one.attribute: (one.read, one.kept, one.same) for one in (await sync(folder, once=True)).compared}
    assert compared == {
        "name": (1, 1, True), "spent": (2, 2, True), "at": (2, 2, True), "vip": (2, 2, True), "born": (2, 2, True),
        "hits": (2, 2, True), "doc": (2, 2, True), "note": (1, 1, True), "(customer)": (3, 3, True),
    }  # fmt: skip


async def test_changes_and_deletes_follow(pg_server: PgServer, people: MariaDb, folder: Path) -> None:
    await sync(folder)
    assert counts(await sync(folder)) == (1, 0, 0, 0)  # the last five minutes are read again
    people.run("UPDATE people SET name = 'Bo', changed = '2026-01-01 03:20:00.001' WHERE number = 2",
               f"DELETE FROM people WHERE number = {BIG}",
               "INSERT INTO people (number, customer, name, changed) VALUES (4, 4, 'Di', '2026-01-01 03:30:00')",
               database="shop")  # fmt: skip
    assert counts(await sync(folder)) == (3, 1, 1, 1)
    assert kept(pg_server, "SELECT subject, name FROM consentry.profile_data ORDER BY 1") == [
        (2, "Bo"),
        (3, None),
        (4, "Di"),
    ]
    assert counts(await sync(folder, full=True)) == (3, 0, 0, 0)


async def test_what_comes_in_late_and_what_is_of_the_future(pg_server: PgServer, people: MariaDb, folder: Path) -> None:
    await sync(folder)
    people.run("INSERT INTO people (number, customer, name, changed) VALUES (4, 4, 'late', '2020-01-01 00:00:00')",
               "UPDATE people SET name = 'ahead', changed = '2037-01-01' WHERE number = 2", database="shop")  # fmt: skip
    done = await sync(folder)
    assert counts(done) == (3, 1, 1, 0)
    assert "the first has key 2" in str(done.warning)
    people.run("UPDATE people SET name = 'after', changed = '2026-01-01 03:30:00' WHERE number = 3", database="shop")
    assert counts(await sync(folder)) == (2, 0, 1, 0)
    names = dict(kept(pg_server, "SELECT subject, name FROM consentry.profile_data"))
    assert names | {2: "ahead", 3: "after", 4: "late"} == names
    people.run("ALTER TABLE people MODIFY changed VARCHAR(50) NOT NULL", database="shop")
    assert "its order is not that of times or numbers" in str((await sync(folder)).error)


async def test_a_number_as_cursor(pg_server: PgServer, people: MariaDb, folder: Path) -> None:
    """Beyond 2^53, where a float would take neighbours for equal."""
    write(
        pg_server, folder, people.dsn("shop", f"reader:{PASSWORD}"), RULES.replace("cursor: changed", "cursor: number")
    )
    await sync(folder)
    people.run("DELETE FROM people", "INSERT INTO people (number, customer, name, changed) VALUES "
               f"({BIG}, 1, 'A', now()), ({BIG - 1}, 2, 'B', now())", database="shop")  # fmt: skip
    done = await sync(folder, accept=True)
    assert done.error is None
    assert kept(pg_server, "SELECT subject, name FROM consentry.profile_data ORDER BY 1")[0] == (1, "A")


def many(people: MariaDb) -> None:
    """More than what is under way in buffers of the connection."""
    people.run("DELETE FROM people", "INSERT INTO people (number, customer, name, note, changed) "
               "SELECT seq, seq, seq, repeat('x', 16000), '2026-01-01' + INTERVAL seq SECOND FROM seq_1_to_2000",
               database="shop")  # fmt: skip


@pytest.mark.parametrize("cursor", [True, False], ids=["by cursor", "whole"])
async def test_a_connection_that_is_lost_in_the_middle(
    pg_server: PgServer, people: MariaDb, folder: Path, monkeypatch: pytest.MonkeyPatch, cursor: bool
) -> None:
    monkeypatch.setattr(one_source, "BATCH", 100)
    monkeypatch.setattr(reading, "_AT_A_TIME", 50)
    many(people)
    if not cursor:
        rules = RULES.replace("    cursor: changed\n", "")
        write(pg_server, folder, people.dsn("shop", f"reader:{PASSWORD}"), rules)
    killed: list[int] = []

    def kill(_: str, count: int) -> None:
        if not killed:
            for (number,) in people.run("SELECT id FROM information_schema.processlist WHERE user = 'reader'"):
                people.run(f"KILL {number}")
            killed.append(count)

    done = await sync(folder, kill)
    assert killed == [100]
    assert isinstance(done.error, UnreachableError)
    assert f'source "other": 127.0.0.1:{people.port}: Lost connection to MySQL server during query' in str(done.error)
    (before,) = kept(pg_server, "SELECT count(*) FROM consentry.profile_records")[0]
    assert (100 <= before < 2000) if cursor else before == 0
    assert counts(await sync(folder))[1] == 2000 - before
    found = kept(pg_server, "SELECT count(*), count(DISTINCT key), sum(length(note)) FROM consentry.profile_records "
                            "JOIN consentry.profile_data USING (subject)")  # fmt: skip
    assert found == [(2000, 2000, 2000 * 16000)]


async def test_a_bad_record_is_told_at_once(
    pg_server: PgServer, people: MariaDb, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What comes after it is not read to its end first; and the server is left."""
    monkeypatch.setattr(reading, "_AT_A_TIME", 50)
    many(people)
    people.run("UPDATE people SET at = NULL", "SET sql_mode = ''", "UPDATE people SET at = '0000-00-00' WHERE number = 1",
               database="shop")  # fmt: skip
    reader = MysqlReader("other", people.dsn("shop", f"reader:{PASSWORD}"))
    before = sent(people)
    done = await sync(folder)
    assert str(done.error) == (
        'source "other": record 1 with key 1: field "at" is no time such as 2026-01-31T12:00:00Z'
    )
    assert sent(people) - before < 20_000_000, "all of the table was read"
    records = reader.records(Wanted("other", ("number", "note"), "number", "people"))
    assert (await anext(records)).values["number"]
    await records.aclose()
    deadline = asyncio.get_running_loop().time() + 10
    while people.run("SELECT id FROM information_schema.processlist WHERE user = 'reader'"):
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.01)


def sent(people: MariaDb) -> int:
    return int(people.run("SHOW GLOBAL STATUS LIKE 'Bytes_sent'")[0][1])


@pytest.mark.parametrize(
    ("login", "database", "said"),
    [
        ("reader:wrong", "shop", "Access denied for user 'reader'@"),
        (f"reader:{PASSWORD}", "other", "Access denied for user 'reader'@'127.0.0.1' to database 'other'"),
    ],
)
async def test_who_is_not_let_in(people: MariaDb, folder: Path, login: str, database: str, said: str) -> None:
    reader = MysqlReader("other", people.dsn(database, login))
    with pytest.raises(UnreachableError) as caught:
        await anext(reader.records(Wanted("other", ("number",), "number", "people")))
    assert f'source "other": 127.0.0.1:{people.port}: {said}' in str(caught.value)
    assert "wrong" not in str(caught.value)


async def test_a_source_that_is_not_as_the_rules_say(pg_server: PgServer, people: MariaDb, folder: Path) -> None:
    await sync(folder)
    before = kept(pg_server)
    for statement, said in (
        ("ALTER TABLE people RENAME COLUMN note TO notes", 'there is no field "note" (did you mean "notes"?)'),
        ("ALTER TABLE people CHANGE notes note INT NULL DEFAULT 1, MODIFY vip INT", None),
        ("UPDATE people SET vip = 7", 'field "vip" is neither true nor false'),
        ("RENAME TABLE people TO persons", "Table 'shop.people' doesn't exist"),
    ):
        people.run("SET sql_mode = ''", statement, database="shop")
        done = await sync(folder, full=True)
        if said is None:
            assert done.error is None
            before = kept(pg_server)
        else:
            assert isinstance(done.error, ConsentryError)
            assert said in str(done.error)
            assert kept(pg_server) == before
    people.run("RENAME TABLE persons TO people", database="shop")
    people.stop()
    try:
        done = await sync(folder)
        assert isinstance(done.error, UnreachableError)
        assert f"127.0.0.1:{people.port}: Can't connect to MySQL server" in str(done.error)
        assert kept(pg_server) == before
    finally:
        people.start()


async def test_types_of_mysql_that_are_no_text_of_their_own(people: MariaDb) -> None:
    people.run("DROP TABLE IF EXISTS odd",
               "CREATE TABLE odd (id INT, t TIME(3), y YEAR, s SET('a','b'), e ENUM('x'), b VARBINARY(9), f FLOAT)",
               "INSERT INTO odd VALUES (1, '-25:00:01.5', 2026, 'a,b', 'x', 'caf\xe9', 1.5)",
               database="shop")  # fmt: skip
    reader = MysqlReader("other", people.dsn("shop", f"reader:{PASSWORD}"))
    wanted = Wanted("other", ("id", "t", "y", "s", "e", "f"), "id", "odd")
    (row,) = [json.loads(json.dumps(dict(one.values), default=str)) async for one in reader.records(wanted)]
    assert row == {"id": 1, "t": "-25:00:01.500", "y": 2026, "s": "a,b", "e": "x", "f": 1.5}
