"""A source that is followed by logical replication: each change once, whatever goes wrong, and within seconds."""

from __future__ import annotations

import asyncio
import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import psycopg
import pytest

from proxy.catalog.introspect import take_snapshot
from proxy.cli.opening import open_database
from proxy.demo.postgres import embedded_binaries, local_binaries
from proxy.errors import ConsentryError
from proxy.profile import one_source
from proxy.profile import sync as syncing
from proxy.profile.one_source import Plan, Synced
from proxy.profile.records import Mapping
from proxy.profile.sources.reading import Record
from proxy.profile.sources.replication import Following
from tests.gateways import COMMAND, consentry, environment
from tests.integration.test_cli import run
from tests.servers import PgServer, start_server
from tests.stores import source_rules, write_settings

RULES = source_rules(
    "followed_crm",
    "{born: {label: Date of birth}, size: {label: Size}, tags: {label: Tags}}",
    """  members:
    records: public.members
    key: number
    subject: customer
    fields: {born: {attribute: born, type: date}, size: size, tags: {attribute: tags, type: json}}
""",
)
MEMBERS = """
CREATE TABLE members (number bigint PRIMARY KEY, customer bigint NOT NULL, born date, size text, tags text[], big text);
CREATE TABLE noise (id bigint PRIMARY KEY, text text);
INSERT INTO members SELECT n, n % 30, date '1980-01-01' + n::int, 'S', ARRAY['a', 'b'] FROM generate_series(1, 50) n;
"""


class KilledError(BaseException):
    """What no error of a source is."""


@dataclass
class Shop:
    """The governed database `followed` and its source `followed_members`, on one server or on two."""

    server: PgServer
    source: PgServer
    folder: Path
    login: str | None = None

    def write(self, rules: str = RULES, **replication: str) -> None:
        place = {
            "kind": "postgresql",
            "dsn": self.source.dsn("followed_members", self.login),
            "replication": {"slot": "followed", **replication},
        }
        write_settings(self.folder, self.server, "followed", rules, {"members": place})

    def change(self, script: str) -> None:
        """In the source; to be in its log at once."""
        with psycopg.connect(self.source.dsn("followed_members"), options="-c synchronous_commit=on") as connection:
            connection.execute(script.encode())

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        """Of the source."""
        with self.source.connect("followed_members") as connection:
            return connection.execute(query.encode()).fetchall()

    def query(self, text: str) -> list[tuple[Any, ...]]:
        with self.server.connect("followed") as connection:
            return connection.execute(text.encode()).fetchall()

    def kept(self) -> list[tuple[Any, ...]]:
        return self.query(
            "SELECT key::bigint, subject, values ->> 'born', values ->> 'size', values -> 'tags' "
            "FROM consentry.profile_records WHERE source = 'members' ORDER BY 1"
        )

    def truth(self) -> list[tuple[Any, ...]]:
        return self.ask("SELECT number, customer, born::text, size, to_jsonb(tags) FROM members ORDER BY 1")

    def command(self, *arguments: str, code: int = 0) -> str:
        ended = run(*arguments, "--config", str(self.folder / "consentry.yaml"))
        assert ended.code == code, ended.err
        return ended.err if code else ended.out

    async def sync(self, **options: Any) -> Synced:
        opened = open_database(self.folder / "consentry.yaml")
        connection = await asyncpg.connect(opened.control_dsn, statement_cache_size=0)
        try:
            compiled = opened.compiled(await take_snapshot(connection))
            plan = Plan(opened.configuration, opened.database, opened.rules, compiled, **options)
            (done,) = await syncing.sync(connection, plan, opened.control_dsn)
            return done
        finally:
            await connection.close()

    async def catch_up(self) -> list[Synced]:
        opened = open_database(self.folder / "consentry.yaml")
        connection = await asyncpg.connect(opened.control_dsn, statement_cache_size=0)
        try:
            compiled = opened.compiled(await take_snapshot(connection))
            plan = Plan(opened.configuration, opened.database, opened.rules, compiled)
            return await syncing.catch_up(connection, plan, opened.control_dsn, ["members"])
        finally:
            await connection.close()

    async def good(self, **options: Any) -> tuple[int, int, int]:
        """Syncs; what is kept is the source's then. (added, changed, deleted)."""
        done = await self.sync(**options)
        assert done.error is None
        assert self.kept() == self.truth()
        return done.counts.added, done.counts.changed, done.counts.deleted

    async def said(self, **options: Any) -> str:
        """Syncs, which fails and leaves what is kept: the error."""
        before = self.kept()
        done = await self.sync(**options)
        assert done.error is not None
        assert self.kept() == before
        assert str(done.error).startswith('source "members": ')
        return str(done.error)


@pytest.fixture(scope="module")
def logical(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PgServer]:
    binaries = embedded_binaries() or local_binaries()
    assert binaries is not None
    server = start_server(binaries, settings={"wal_level": "logical"})
    shop = Shop(server, server, tmp_path_factory.mktemp("prepared"))
    server.create_database("followed", "CREATE TABLE customers (id bigint PRIMARY KEY)")
    shop.write()
    consentry(shop.folder, "consent", "setup")
    server.run("postgres", "ALTER DATABASE followed RENAME TO prepared")
    yield server
    server.close()


def make_shop(server: PgServer, source: PgServer, folder: Path, script: str = MEMBERS) -> Shop:
    shop = Shop(server, source, folder)
    source.run(
        "postgres",
        "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = 'followed'",
    )
    with server.connect() as connection:
        connection.execute("DROP DATABASE IF EXISTS followed WITH (FORCE)")
        connection.execute("CREATE DATABASE followed TEMPLATE prepared")
    source.create_database("followed_members", script)
    shop.write()
    return shop


@pytest.fixture
def shop(logical: PgServer, tmp_path: Path) -> Shop:
    return make_shop(logical, logical, tmp_path)


# -- what follows -----------------------------------------------------------------------------------------------------


async def test_every_kind_of_change_follows(shop: Shop) -> None:
    assert await shop.good() == (50, 0, 0)
    assert await shop.good() == (0, 0, 0)
    shop.change("UPDATE members SET size = 'XL' WHERE number <= 3; DELETE FROM members WHERE number = 4")
    assert await shop.good() == (0, 3, 1)
    shop.change(
        "UPDATE members SET number = 1000 WHERE number = 5; INSERT INTO members VALUES (6000, 7, NULL, 'M', '{}')"
    )
    assert await shop.good() == (2, 0, 1)
    shop.change("INSERT INTO members VALUES (1, 1) ON CONFLICT (number) DO UPDATE SET size = repeat('long ', 9000)")
    shop.change("UPDATE members SET big = 'seen' WHERE number = 1")  # the log does not tell `size` again
    assert await shop.good() == (0, 1, 0)
    shop.change("DELETE FROM members WHERE number = 2; INSERT INTO members VALUES (2, 2, '1999-09-09')")
    assert await shop.good() == (0, 1, 0)
    shop.change("TRUNCATE members; INSERT INTO members VALUES (7, 7, '1977-07-07'), (8000, 8, NULL)")
    assert await shop.good() == (1, 1, 49)
    shop.change("TRUNCATE members")
    assert await shop.good() == (0, 0, 2)


async def test_dates_that_python_does_not_have(shop: Shop) -> None:
    assert await shop.good() == (50, 0, 0)
    dates = ("0044-03-15 BC", "20000-01-01", "infinity", "-infinity", "4714-11-24 BC")
    for number, born in enumerate(dates, 1):
        shop.change(f"UPDATE members SET born = '{born}' WHERE number = {number}")
    assert await shop.good() == (0, 5, 0)
    assert await shop.good(full=True) == (0, 0, 0)


async def test_what_was_rolled_back_and_what_other_tables_say_does_not_matter(shop: Shop) -> None:
    shop.change("CREATE PUBLICATION consentry FOR ALL TABLES")
    await shop.good()
    with psycopg.connect(shop.source.dsn("followed_members")) as connection:
        connection.execute("UPDATE members SET size = 'never'")
        connection.rollback()
    shop.change(
        "INSERT INTO noise SELECT n, 'x' FROM generate_series(1, 100) n; UPDATE members SET size = 'L' WHERE number = 1"
    )
    done = await shop.sync()
    assert (done.counts.read, done.counts.changed) == (1, 1)
    assert shop.kept() == shop.truth()


async def test_batches_of_transactions(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(one_source, "BATCH", 10)
    await shop.good()
    for number in range(1, 31):
        shop.change(f"UPDATE members SET size = 'step {number}' WHERE number % {number} = 0")
    shop.change("INSERT INTO members SELECT n, n FROM generate_series(100, 199) n")  # more than a batch
    shop.change("DELETE FROM members WHERE number < 10")
    assert await shop.good() == (100, 41, 9)


async def test_changes_while_all_is_read(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is committed after the position and before the whole was read is read twice, and is there once."""
    start = Following.start

    async def started(self: Following) -> int:
        position = await start(self)
        await asyncio.to_thread(
            shop.change, "UPDATE members SET size = 'XL' WHERE number = 1; DELETE FROM members WHERE number = 2"
        )
        return position

    monkeypatch.setattr(Following, "start", started)
    assert await shop.good() == (49, 0, 0)


async def test_rules_that_change_and_full(shop: Shop) -> None:
    await shop.good()
    shop.change("UPDATE members SET size = 'XL' WHERE number = 1")
    shop.write(RULES.replace(", size: size", ""))
    done = await shop.sync()
    assert (done.error, done.counts.changed) == (None, 50)
    shop.write()
    assert await shop.good() == (0, 50, 0)
    assert await shop.good(full=True) == (0, 0, 0)
    done = await shop.sync(once=True)
    assert all(one.same for one in done.compared)
    shop.change("UPDATE members SET size = 'M' WHERE number = 1")
    assert await shop.good() == (0, 1, 0)


async def test_deletes_that_are_not_to_follow(shop: Shop) -> None:
    shop.write(RULES + "    deletes: keep\n")
    await shop.sync()
    shop.change("DELETE FROM members WHERE number = 1; UPDATE members SET size = 'XL' WHERE number = 2")
    done = await shop.sync()
    assert (done.counts.changed, done.counts.deleted) == (1, 0)
    shop.change("TRUNCATE members")
    assert (await shop.sync()).counts.deleted == 0
    assert len(shop.kept()) == 50


async def test_a_partitioned_table_with_a_key_of_its_own_type(logical: PgServer, tmp_path: Path) -> None:
    shop = make_shop(logical, logical, tmp_path, """
        CREATE DOMAIN short AS varchar(9);
        CREATE TABLE members (number short, customer bigint, born date, size text, tags text[], PRIMARY KEY (number, customer))
            PARTITION BY RANGE (customer);
        CREATE TABLE members_a PARTITION OF members FOR VALUES FROM (0) TO (10);
        CREATE TABLE members_b PARTITION OF members FOR VALUES FROM (10) TO (100);
        INSERT INTO members SELECT n::text, n FROM generate_series(1, 20) n""")  # fmt: skip
    done = await shop.sync()
    assert (done.error, done.counts.added) == (None, 20)
    shop.change("UPDATE members SET customer = 50 WHERE number = '3'; DELETE FROM members WHERE number = '15'")
    done = await shop.sync()
    assert (done.error, done.counts.changed, done.counts.deleted) == (None, 1, 1)


async def test_an_older_server(pg15_server: PgServer, logical: PgServer, tmp_path: Path) -> None:
    assert pg15_server.process is not None
    source = start_server(pg15_server.process.binaries, settings={"wal_level": "logical"})
    try:
        shop = make_shop(logical, source, tmp_path)
        assert await shop.good() == (50, 0, 0)
        shop.change("UPDATE members SET size = 'XL' WHERE number = 1; DELETE FROM members WHERE number = 2")
        assert await shop.good() == (0, 1, 1)
        shop.change("ALTER PUBLICATION consentry SET (publish = 'insert')")
        shop.change("UPDATE members SET size = 'L' WHERE number = 1")
        shop.change("ALTER PUBLICATION consentry SET (publish = 'insert, update, delete, truncate')")
        assert await shop.good() == (0, 1, 0)
        shop.change("ALTER PUBLICATION consentry SET TABLE members WHERE (number > 5)")
        assert "has only some rows of public.members" in await shop.said()
    finally:
        source.close()


# -- exactly once -----------------------------------------------------------------------------------------------------


async def test_killed_between_what_is_kept_and_the_slot(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    await shop.good()
    shop.change("UPDATE members SET size = 'XL' WHERE number = 1; DELETE FROM members WHERE number = 2")
    let_go = Following.let_go
    calls = 0

    async def killed(self: Following, position: int) -> None:
        nonlocal calls
        calls += 1
        if calls > 1:
            raise KilledError
        await let_go(self, position)

    monkeypatch.setattr(Following, "let_go", killed)
    with pytest.raises(KilledError):
        await shop.sync()
    monkeypatch.undo()
    assert shop.kept() == shop.truth()
    done = await shop.sync()
    assert (done.error, done.counts.read) == (None, 0), "the changes before the position are let go, not read"
    assert shop.kept() == shop.truth()


async def test_what_is_in_the_log_and_not_seen_yet_is_waited_for(shop: Shop) -> None:
    """A commit that waits for a standby is in the log already, and no snapshot sees its rows."""
    await shop.good()
    reload = "SELECT pg_reload_conf()"
    with shop.source.connect() as admin:
        admin.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
        admin.execute(reload)
        try:
            writer = threading.Thread(target=shop.change, args=("UPDATE members SET size = 'XL' WHERE number = 1",))
            writer.start()
            until(lambda: bool(admin.execute("SELECT FROM pg_stat_activity WHERE wait_event = 'SyncRep'").fetchall()))
            under_way = asyncio.create_task(shop.sync())
            asks = "SELECT FROM pg_stat_activity WHERE query LIKE 'SELECT pg_current_snapshot()%' AND datname = 'followed_members'"
            while not under_way.done() and not admin.execute(asks).fetchall():
                await asyncio.sleep(0.01)
            assert not under_way.done()
        finally:
            admin.execute("ALTER SYSTEM RESET synchronous_standby_names")
            admin.execute(reload)
        writer.join()
    assert (await under_way).counts.changed == 1
    assert shop.kept() == shop.truth()


def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


# -- what is not as it must be ----------------------------------------------------------------------------------------


async def test_a_server_without_logical_decoding(pg_server: PgServer, logical: PgServer, tmp_path: Path) -> None:
    shop = make_shop(logical, pg_server, tmp_path)
    if pg_server.connect().execute("SHOW wal_level").fetchall() == [("replica",)]:
        assert (
            "wal_level of its server is replica: replication needs ALTER SYSTEM SET wal_level = logical"
            in await shop.said()
        )


WRONG: dict[str, tuple[str, str, str]] = {
    "the publication has another table": ("CREATE PUBLICATION consentry FOR TABLE noise",
        'publication consentry does not have public.members: run there ALTER PUBLICATION "consentry" ADD TABLE "public"."members"',
        'ALTER PUBLICATION "consentry" ADD TABLE "public"."members"'),
    "the publication does not tell deletes": ("CREATE PUBLICATION consentry FOR TABLE members WITH (publish = 'insert, update')",
        "publication consentry does not tell all changes of public.members: run there ALTER PUBLICATION",
        "ALTER PUBLICATION \"consentry\" SET (publish = 'insert, update, delete, truncate')"),
    "no primary key": ("ALTER TABLE members DROP CONSTRAINT members_pkey",
        'deletes from public.members do not tell number: make it the primary key, or run there ALTER TABLE "public"."members" REPLICA',
        'ALTER TABLE "public"."members" REPLICA IDENTITY FULL'),
    "another primary key": ("ALTER TABLE members DROP CONSTRAINT members_pkey; ALTER TABLE members ADD PRIMARY KEY (customer, born)"
        .replace("members ADD", "members ADD COLUMN id serial, ADD").replace("(customer, born)", "(id)"),
        "deletes from public.members do not tell number",
        "CREATE UNIQUE INDEX u ON members (number); ALTER TABLE members REPLICA IDENTITY USING INDEX u"),
    "a column is gone": ("ALTER TABLE members RENAME size TO sizes", 'there is no field "size"; did you mean "sizes"',
        "ALTER TABLE members RENAME sizes TO size"),
    "a view": ("ALTER TABLE members RENAME TO people; CREATE VIEW members AS SELECT * FROM people", "public.members is no table",
        "DROP VIEW members; ALTER TABLE people RENAME TO members"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
async def test_what_is_wrong_in_the_source_is_named_with_the_remedy(shop: Shop, case: str) -> None:
    spoil, said, remedy = WRONG[case]
    shop.change(spoil)
    assert said.replace("; did", " (did") in (await shop.said()).replace("; did", " (did")
    shop.change(remedy)
    assert await shop.good() == (50, 0, 0)
    shop.change("DELETE FROM members WHERE number = 1; UPDATE members SET size = 'XL' WHERE number = 2")
    assert await shop.good() == (0, 1, 1)


async def test_what_changes_in_a_source_that_is_followed(shop: Shop) -> None:
    """Nothing of a bad batch is kept, and when it is good again all of it is."""
    await shop.good()
    shop.change(
        "ALTER TABLE members ALTER born TYPE text; UPDATE members SET size = 'XL'; UPDATE members SET born = 'soon' WHERE number = 9"
    )
    assert 'field "born" is no date such as 1990-12-31' in await shop.said()
    shop.change("ALTER TABLE members RENAME born TO birthday")
    assert 'there is no field "born"' in await shop.said()
    shop.change("ALTER TABLE members RENAME birthday TO born; UPDATE members SET born = NULL WHERE number = 9")
    assert await shop.good() == (0, 50, 0)


@pytest.mark.parametrize(
    ("gone", "again"),
    [
        ("DROP PUBLICATION consentry", ""),
        ("ALTER PUBLICATION consentry DROP TABLE members", "ALTER PUBLICATION consentry ADD TABLE members"),
        ("ALTER TABLE members RENAME TO old", "CREATE TABLE members AS TABLE old; ALTER TABLE members ADD PRIMARY KEY (number);"
         "ALTER PUBLICATION consentry ADD TABLE members"),
        ("ALTER PUBLICATION consentry SET (publish = 'insert')",
         "ALTER PUBLICATION consentry SET (publish = 'insert, update, delete, truncate')"),
        ("ALTER TABLE members RENAME TO old", "ALTER TABLE old RENAME TO members"),
    ],
)  # fmt: skip
async def test_what_was_changed_while_nothing_was_published(shop: Shop, gone: str, again: str) -> None:
    await shop.good()
    shop.change(gone)
    shop.change(f"UPDATE {'old' if 'old' in gone else 'members'} SET size = 'XL' WHERE number = 1")
    if again:
        shop.change(again)
    assert await shop.good() == (0, 1, 0)
    shop.change("DELETE FROM members WHERE number = 2")
    assert await shop.good() == (0, 0, 1)


async def test_what_was_changed_while_options_were_others_and_a_sync_said_so(shop: Shop) -> None:
    await shop.good()
    shop.change("ALTER PUBLICATION consentry SET (publish = 'insert')")
    shop.change("UPDATE members SET size = 'XL' WHERE number = 1; DELETE FROM members WHERE number = 2")
    said = await shop.said()
    assert "does not tell all changes" in said
    shop.change(said.split("run there ")[1])
    assert await shop.good() == (0, 1, 1)
    assert (await shop.sync()).counts.read == 0, "once"


@pytest.mark.parametrize(
    ("publication", "gone", "again"),
    [
        ("FOR TABLES IN SCHEMA public", "ALTER PUBLICATION consentry SET TABLES IN SCHEMA other",
         "ALTER PUBLICATION consentry SET TABLES IN SCHEMA public"),
        ("FOR ALL TABLES", "ALTER TABLE members SET UNLOGGED", "ALTER TABLE members SET LOGGED"),
        ("FOR ALL TABLES", "ALTER TABLE members ALTER size TYPE varchar USING 'XL'", ""),
    ],
)  # fmt: skip
async def test_what_no_log_tells(shop: Shop, publication: str, gone: str, again: str) -> None:
    shop.change(f"CREATE SCHEMA other; CREATE PUBLICATION consentry {publication}")
    await shop.good()
    shop.change(gone)
    shop.change("UPDATE members SET size = 'XL' WHERE number = 1")
    shop.change(again)
    await shop.good()
    shop.change("DELETE FROM members WHERE number = 2")
    assert await shop.good() == (0, 0, 1)


PARTITIONED = """
    CREATE TABLE members (number bigint, customer bigint, born date, size text, tags text[], PRIMARY KEY (number))
        PARTITION BY RANGE (number);
    CREATE TABLE members_a PARTITION OF members FOR VALUES FROM (0) TO (10);
    CREATE TABLE members_b PARTITION OF members FOR VALUES FROM (10) TO (100) PARTITION BY RANGE (number);
    CREATE TABLE members_c PARTITION OF members_b FOR VALUES FROM (10) TO (100);
    CREATE TABLE members_d (LIKE members INCLUDING ALL);
    INSERT INTO members SELECT n, n FROM generate_series(1, 50) n;
    INSERT INTO members_d SELECT n, n FROM generate_series(100, 109) n"""
REPARTITIONED: dict[str, tuple[str, tuple[int, int, int]]] = {
    "truncate a partition": ("TRUNCATE members_a", (0, 0, 9)),
    "truncate most of it": ("TRUNCATE members_c", (0, 0, 41)),
    "truncate all": ("TRUNCATE members", (0, 0, 50)),
    "detach": ("ALTER TABLE members DETACH PARTITION members_a", (0, 0, 9)),
    "detach below": ("ALTER TABLE members_b DETACH PARTITION members_c", (0, 0, 41)),
    "drop": ("DROP TABLE members_a", (0, 0, 9)),
    "attach": ("ALTER TABLE members ATTACH PARTITION members_d FOR VALUES FROM (100) TO (200)", (10, 0, 0)),
    "detach, change, attach": ("ALTER TABLE members DETACH PARTITION members_a; UPDATE members_a SET size = 'XL';"
        "ALTER TABLE members ATTACH PARTITION members_a FOR VALUES FROM (0) TO (10)", (0, 9, 0)),
    "not by the root for a while": ("ALTER PUBLICATION consentry SET (publish_via_partition_root = false);"
        "UPDATE members SET size = 'XL' WHERE number < 10; ALTER PUBLICATION consentry SET (publish_via_partition_root)", (0, 9, 0)),
}  # fmt: skip


@pytest.mark.parametrize("case", REPARTITIONED)
async def test_partitions_that_come_and_go(logical: PgServer, tmp_path: Path, case: str) -> None:
    change, counted = REPARTITIONED[case]
    shop = make_shop(logical, logical, tmp_path, PARTITIONED)
    assert await shop.good() == (50, 0, 0)
    for statement in change.split(";"):
        shop.change(statement)
    assert await shop.good() == counted
    assert (await shop.sync()).counts.read == 0, "once"
    shop.change(
        "INSERT INTO members_b VALUES (60, 60)" if "below" not in case else "DELETE FROM members WHERE number = 1"
    )
    assert await shop.good() in ((1, 0, 0), (0, 0, 1))


@pytest.mark.parametrize("point", ["start", "changes", "records"])
async def test_partitions_that_come_and_go_meanwhile(
    logical: PgServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    """Whatever of it this sync sees, with the next one it is right, also where the partitions are by then as before."""
    shop = make_shop(logical, logical, tmp_path, PARTITIONED)
    if point != "start":
        await shop.good()
        shop.change("UPDATE members SET size = 'XL' WHERE number = 1")
    before = getattr(Following, point)

    def attach() -> None:
        shop.change("ALTER TABLE members ATTACH PARTITION members_d FOR VALUES FROM (100) TO (200)")
        shop.change("TRUNCATE members_c; UPDATE members_d SET size = 'XL' WHERE number = 100")

    def meanwhile(self: Following, *arguments: Any, **named: Any) -> Any:
        monkeypatch.undo()
        attach()
        return before(self, *arguments, **named)

    monkeypatch.setattr(Following, point, meanwhile)
    assert (await shop.sync()).error is None
    shop.change("ALTER TABLE members DETACH PARTITION members_d")
    await shop.good()
    assert (await shop.sync()).counts.read == 0


@pytest.mark.parametrize(
    ("script", "spoil", "mend"),
    [
        (MEMBERS, "CREATE TABLE more () INHERITS (members)", "ALTER TABLE more NO INHERIT members"),
        (PARTITIONED, "CREATE UNLOGGED TABLE more PARTITION OF members FOR VALUES FROM (100) TO (200)",
         "ALTER TABLE more SET LOGGED"),
    ],
)  # fmt: skip
async def test_tables_within_that_no_log_tells_of(
    logical: PgServer, tmp_path: Path, script: str, spoil: str, mend: str
) -> None:
    shop = make_shop(logical, logical, tmp_path, script)
    await shop.good()
    shop.change(spoil)
    shop.change("INSERT INTO more VALUES (100, 1)")
    assert "rows of public.members are in more, of which replication does not tell" in await shop.said()
    shop.change(mend)
    await shop.good()


async def test_a_key_that_was_renamed(shop: Shop) -> None:
    await shop.good()
    shop.change(
        "UPDATE members SET size = 'XL' WHERE number = 1; ALTER TABLE members RENAME number TO id; DELETE FROM members WHERE id = 2"
    )
    assert 'there is no field "number"' in await shop.said()
    shop.write(RULES.replace("key: number", "key: id"))
    done = await shop.sync()
    assert (done.error, done.counts.changed, done.counts.deleted) == (None, 1, 1)


async def test_a_slot_that_is_gone_or_lost(shop: Shop) -> None:
    await shop.good()
    assert await asyncio.to_thread(shop.command, "profile", "drop-slot", "members") == "slot followed was dropped\n"
    shop.change("UPDATE members SET size = 'XL' WHERE number = 1")
    said = await shop.said()
    assert said.endswith("there is no slot followed any more: `consentry profile sync --source members --full` reads it whole and "
        "follows from there")  # fmt: skip
    assert await shop.good(full=True) == (0, 1, 0)
    with shop.source.connect("followed_members") as admin:
        try:
            admin.execute("ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'")
            admin.execute("SELECT pg_reload_conf()")
            for _ in range(4):
                admin.execute("SELECT pg_switch_wal(), pg_logical_emit_message(false, 'x', 'x')")
            admin.execute("CHECKPOINT")
            until(lambda: admin.execute("SELECT wal_status FROM pg_replication_slots").fetchall() == [("lost",)])
        finally:
            admin.execute("ALTER SYSTEM RESET max_slot_wal_keep_size")
            admin.execute("SELECT pg_reload_conf()")
    shop.change("DELETE FROM members WHERE number = 1")
    assert "the server gave slot followed up, since it was behind for too long" in await shop.said()
    assert "lost" in await asyncio.to_thread(shop.command, "profile", "status", "--json")
    assert await shop.good(full=True) == (0, 0, 1)


async def test_a_slot_that_somebody_else_moved(shop: Shop) -> None:
    await shop.good()
    shop.change("UPDATE members SET size = 'XL' WHERE number = 1")
    shop.ask("SELECT pg_replication_slot_advance('followed', pg_current_wal_flush_lsn())")
    assert "slot followed does not go on where the last sync was" in await shop.said()
    assert await shop.good(full=True) == (0, 1, 0)


async def test_rights_are_named_with_what_gives_them(shop: Shop) -> None:
    shop.source.create_login("followed_reader", group="auth_trust")
    shop.source.run("followed_members", "GRANT SELECT ON members TO followed_reader")
    shop.login = "followed_reader"
    shop.write()
    said = await shop.said()
    assert (
        'the owner of public.members has to run there CREATE PUBLICATION "consentry" FOR TABLE "public"."members"'
        in said
    )
    shop.source.run("followed_members", said.split("has to run there ")[1])
    said = await shop.said()
    assert "its login may not replicate" in said
    assert "run there ALTER ROLE ... REPLICATION" in said
    shop.source.run("followed_members", "ALTER ROLE followed_reader REPLICATION")
    assert await shop.good() == (50, 0, 0)
    shop.change("DELETE FROM members WHERE number = 1")
    assert await shop.good() == (0, 0, 1)


async def test_a_slot_of_another_plugin(shop: Shop) -> None:
    shop.ask("SELECT pg_create_logical_replication_slot('followed', 'test_decoding')")
    assert "slot followed is not of this database and of pgoutput" in await shop.said()


# -- commands ---------------------------------------------------------------------------------------------------------


async def test_status_tells_the_lag(shop: Shop) -> None:
    assert "there is no slot followed" in await asyncio.to_thread(shop.command, "profile", "status", "--json")
    await shop.good()
    shop.change("UPDATE members SET size = repeat('x', 500)")

    def status() -> dict[str, Any]:
        (source,) = json.loads(shop.command("profile", "status", "--json"))["sources"]
        return dict(source["replication"])

    lag = await asyncio.to_thread(status)
    assert lag["behind"] > 25_000
    assert (lag["held"] >= lag["behind"], lag["slot"], lag["state"], lag["error"]) == (
        True,
        "followed",
        "reserved",
        None,
    )
    assert "behind; slot followed holds" in " ".join(
        (await asyncio.to_thread(shop.command, "profile", "status")).split()
    )
    await shop.good()
    confirmed = f"SELECT confirmed_flush_lsn >= '{shop.ask('SELECT pg_current_wal_flush_lsn()')[0][0]}' FROM pg_replication_slots"
    await shop.good()
    assert shop.ask(confirmed) == [(True,)], "also where nothing changed"


def test_a_source_that_is_cut_over_holds_no_log(shop: Shop) -> None:
    shop.command("profile", "sync", "--once", "--cutover")
    assert shop.ask("SELECT FROM pg_replication_slots") == []
    assert "its data lives here since" in shop.command("profile", "sync")
    assert "behind" not in shop.command("profile", "status")
    assert shop.command("profile", "drop-slot", "members") == "there is no slot followed\n"
    shop.write()
    settings = (shop.folder / "consentry.yaml").read_text()
    (shop.folder / "consentry.yaml").write_text(settings.replace("slot: followed", "slot: Followed"))
    assert "slot: a slot has a name of lower case letters" in shop.command("profile", "sync", code=1)


async def test_watching_follows_within_seconds(shop: Shop) -> None:
    command = [*COMMAND, "profile", "sync", "--watch", "10m", "--config", str(shop.folder / "consentry.yaml")]
    process = await asyncio.create_subprocess_exec(
        *command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment()
    )
    try:
        assert process.stdout is not None
        assert b"50 new" in await process.stdout.readline()
        for number in (1, 2):
            shop.change(f"UPDATE members SET size = 'XL' WHERE number = {number}")
            begun = time.monotonic()
            assert b"1 records read: 0 new, 1 changed" in await process.stdout.readline()
            assert time.monotonic() - begun < 60
            assert shop.kept() == shop.truth()
        shop.change("ALTER TABLE members RENAME size TO sizes; UPDATE members SET sizes = 'S'")
        assert b'there is no field "size"' in await process.stdout.readline()
        shop.change("ALTER TABLE members RENAME sizes TO size")
        assert (
            b"members: 50 records read: 0 new, " in await process.stdout.readline()
        )  # long before the ten minutes are over
        assert shop.kept() == shop.truth()
        shop.change("ALTER TABLE members RENAME size TO sizes; UPDATE members SET sizes = 'S'")
        assert b'there is no field "size"' in await process.stdout.readline()
    finally:
        process.kill()
        await process.wait()
    with pytest.raises(ConsentryError, match="no field"):
        raise (await shop.sync()).error or AssertionError


async def test_a_watch_lives_on_after_what_nobody_thought_of(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same as a watch does between two syncs of all."""
    await shop.good()
    shop.change("UPDATE members SET size = 'secret' WHERE number = 1")
    real = Mapping.row

    def failing(self: Mapping, record: Record) -> Any:
        raise KeyError(record.values["size"])

    monkeypatch.setattr(Mapping, "row", failing)
    (done,) = await shop.catch_up()
    assert done.error is not None
    assert "KeyError in " in str(done.error)
    assert shop.query("SELECT error FROM consentry.profile_sources") == [(str(done.error),)]
    assert "secret" not in str(done.error)
    monkeypatch.setattr(Mapping, "row", real)
    (done,) = await shop.catch_up()
    assert (done.error, done.counts.changed) == (None, 1)
    assert shop.kept() == shop.truth()
