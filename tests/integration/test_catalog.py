"""Snapshots against real servers: the embedded PostgreSQL 18 and Debian's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from proxy.catalog.introspect import fingerprint, take_snapshot
from proxy.catalog.model import ForeignOperator, Relation, SearchPath, Snapshot
from proxy.errors import ConsentryError
from tests.servers import PgServer, snapshot_of

SCHEMA = """
CREATE SCHEMA "Odd Schema";
CREATE EXTENSION citext;
CREATE EXTENSION hstore SCHEMA "Odd Schema";
CREATE DOMAIN short AS varchar(10) CHECK (value <> '');
CREATE DOMAIN shorter AS short;
CREATE TYPE mood AS ENUM ('sad', 'glad');
CREATE TYPE pair AS (a int, b text);
CREATE TABLE customers (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    email varchar(80) NOT NULL UNIQUE,
    nick shorter,
    born date DEFAULT now(),
    gone text,
    "Weird "" name" text COLLATE "C",
    amount numeric(10, 2),
    tags text[],
    mood mood,
    login citext,
    size bpchar,
    shout text GENERATED ALWAYS AS (upper(email)) STORED,
    bits "Odd Schema".hstore,
    at timestamp(3) with time zone
);
ALTER TABLE customers DROP COLUMN gone;
CREATE UNIQUE INDEX partial ON customers (born) WHERE born IS NOT NULL;
CREATE UNIQUE INDEX expression ON customers (lower(nick::text));
CREATE UNIQUE INDEX covering ON customers (born, amount) INCLUDE (tags);
CREATE TABLE deferred (a int UNIQUE DEFERRABLE, b int, PRIMARY KEY (b, a));
CREATE TABLE log (at date, note text) PARTITION BY RANGE (at);
CREATE TABLE log_new PARTITION OF log FOR VALUES FROM ('2020-01-01') TO (MAXVALUE) PARTITION BY LIST (note);
CREATE TABLE log_new_a PARTITION OF log_new FOR VALUES IN ('a');
CREATE VIEW adults AS SELECT id, email FROM customers c WHERE EXISTS (SELECT FROM log WHERE log.at = c.born);
CREATE VIEW adult_emails AS SELECT email FROM adults;
CREATE VIEW sneaky AS SELECT attname FROM pg_stats;
CREATE MATERIALIZED VIEW "Odd Schema".frozen AS SELECT email FROM adult_emails;
CREATE FUNCTION initials(customers) RETURNS text LANGUAGE sql AS 'SELECT left($1.email, 1)';
CREATE FUNCTION of_pair(pair, int DEFAULT 0) RETURNS int LANGUAGE sql AS 'SELECT $1.a';
CREATE FUNCTION twice(int) RETURNS int LANGUAGE sql AS 'SELECT 2 * $1';
CREATE FUNCTION same(text, text) RETURNS bool LANGUAGE sql AS 'SELECT true';
CREATE OPERATOR === (FUNCTION = same, LEFTARG = text, RIGHTARG = text);
CREATE TABLE noted (a int);
CREATE SEQUENCE counter;
"""


@pytest.fixture(scope="module", params=["pg_server", "pg15_server"])
def dsn(request: pytest.FixtureRequest) -> str:
    server: PgServer = request.getfixturevalue(request.param)
    return server.create_database("catalog", SCHEMA)


@pytest.fixture
async def connection(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(dsn)
    yield connection
    await connection.close()


@pytest.fixture(scope="module")
def snapshot(dsn: str) -> Snapshot:
    return asyncio.run(snapshot_of(dsn))


def table(snapshot: Snapshot, name: str, schema: str = "public") -> Relation:
    return snapshot.relations[(schema, name)]


def test_columns(snapshot: Snapshot) -> None:
    customers = table(snapshot, "customers")
    assert [(c.name, c.number) for c in customers.columns[:6]] == [
        ("id", 1), ("email", 2), ("nick", 3), ("born", 4), ('Weird " name', 6), ("amount", 7),
    ]  # fmt: skip
    assert {c.name: (c.type_name, c.base_type, c.type_category) for c in customers.columns} == {
        "id": ("bigint", "int8", "N"),
        "email": ("character varying(80)", "varchar", "S"),
        "nick": ("public.shorter", "varchar", "S"),
        "born": ("date", "date", "D"),
        'Weird " name': ("text", "text", "S"),
        "amount": ("numeric(10,2)", "numeric", "N"),
        "tags": ("text[]", "_text", "A"),
        "mood": ("public.mood", "mood", "E"),
        "login": ("public.citext", "citext", "S"),
        "size": ("bpchar", "bpchar", "S"),
        "shout": ("text", "text", "S"),
        "bits": ('"Odd Schema".hstore', "hstore", "U"),
        "at": ("timestamp(3) with time zone", "timestamptz", "D"),
    }
    assert {c.name for c in customers.columns if c.not_null} == {"id", "email"}
    assert {c.name for c in customers.columns if c.has_default} == {"id", "born"}
    assert {c.name for c in customers.columns if c.generated} == {"shout"}
    assert {c.name: c.collation for c in customers.columns if c.collation} == {'Weird " name': 'pg_catalog."C"'}


async def test_type_names_are_fit_for_a_cast(connection: asyncpg.Connection, snapshot: Snapshot) -> None:
    for relation in snapshot.relations.values():
        if relation.schema == "public":
            for column in relation.columns:
                await connection.execute(f"SELECT NULL::{column.type_name}")


def test_leakproof_types(snapshot: Snapshot) -> None:
    leakproof = {c.name for c in table(snapshot, "customers").columns if c.leakproof}
    assert leakproof == {"id", "email", "nick", "born", 'Weird " name', "size", "shout", "at"}


def test_keys(snapshot: Snapshot) -> None:
    customers = table(snapshot, "customers")
    assert customers.primary_key == ("id",)
    assert set(customers.unique_keys) == {("id",), ("email",), ("born", "amount")}
    deferred = table(snapshot, "deferred")
    assert deferred.primary_key == ("b", "a")
    assert deferred.unique_keys == (("b", "a"),)


def test_ancestors(snapshot: Snapshot) -> None:
    parents = [snapshot.by_oid[oid].name for oid in table(snapshot, "log_new_a").parents]
    assert sorted(parents) == ["log", "log_new"]
    assert table(snapshot, "log").parents == ()


def test_views(snapshot: Snapshot) -> None:
    def reads(name: str, schema: str = "public") -> set[str]:
        return {snapshot.by_oid[oid].name for oid in table(snapshot, name, schema).reads}

    assert reads("adults") == {"customers", "log"}
    assert reads("adult_emails") == {"adults", "customers", "log"}
    assert reads("frozen", "Odd Schema") == {"adult_emails", "adults", "customers", "log"}
    assert "pg_statistic" in reads("sneaky")
    assert "FROM public.adults" in (table(snapshot, "adult_emails").definition or "")
    assert table(snapshot, "customers").definition is None


def test_names_resolve_as_the_server_does(snapshot: Snapshot) -> None:
    path = SearchPath()
    assert snapshot.resolve("customers", None, path) is table(snapshot, "customers")
    assert snapshot.resolve("frozen", None, path) is None
    pg_class = snapshot.resolve("pg_class", None, path)
    assert pg_class is not None
    assert pg_class.column("relname") is not None
    assert table(snapshot, "tables", "information_schema").column("table_name") is not None
    assert table(snapshot, "counter").kind == "S"
    assert table(snapshot, "partial").kind == "i"
    assert {"public", "Odd Schema", "pg_catalog", "information_schema"} <= snapshot.schemas


def test_functions(snapshot: Snapshot) -> None:
    path = SearchPath()
    (initials,) = snapshot.functions_named("initials", None, path)
    assert (initials.schema, initials.extension, initials.takes_row) == ("public", None, True)
    assert snapshot.functions["of_pair"][0].takes_row
    assert not snapshot.functions["twice"][0].takes_row
    assert {f.extension for f in snapshot.functions["akeys"]} == {"hstore"}
    assert snapshot.functions_named("akeys", None, path) == []
    assert snapshot.functions["row_to_json"][0].takes_row
    assert not snapshot.functions["upper"][0].takes_row


def test_foreign_operators(snapshot: Snapshot) -> None:
    assert snapshot.foreign_operators == {"===": (ForeignOperator("public", ("public", "same"), 2, 0),)}


CHANGES = [
    "ALTER TABLE noted ADD COLUMN b int",
    "ALTER TABLE noted RENAME COLUMN b TO c",
    "ALTER TABLE noted ALTER COLUMN c TYPE bigint",
    "ALTER TABLE noted ALTER COLUMN c SET DEFAULT 1",
    "ALTER TABLE noted ENABLE ROW LEVEL SECURITY",
    "ALTER TABLE noted DISABLE ROW LEVEL SECURITY",
    "ALTER TABLE noted ALTER COLUMN c SET NOT NULL",
    "ALTER TABLE noted ADD PRIMARY KEY (c)",
    "ALTER TABLE noted DROP CONSTRAINT noted_pkey",
    "CREATE UNIQUE INDEX noted_key ON noted (c)",
    "DROP INDEX noted_key",
    "ALTER TABLE noted DROP COLUMN c",
    "CREATE TABLE noted_child () INHERITS (noted)",
    "ALTER TABLE noted_child NO INHERIT noted",
    "ALTER TABLE noted_child RENAME TO noted_other",
    'ALTER TABLE noted_other SET SCHEMA "Odd Schema"',
    "CREATE VIEW noted_view AS SELECT a FROM noted",
    "CREATE OR REPLACE VIEW noted_view AS SELECT a + 1 AS a FROM noted",
    "ALTER VIEW noted_view SET (security_barrier)",
    "DROP VIEW noted_view",
    "CREATE FUNCTION noted_function() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "ALTER FUNCTION noted_function() LEAKPROOF",
    "DROP FUNCTION noted_function()",
    "CREATE OPERATOR ==== (FUNCTION = same, LEFTARG = text, RIGHTARG = text)",
    "DROP OPERATOR ==== (text, text)",
    "ALTER TYPE mood RENAME VALUE 'sad' TO 'blue'",
    "ALTER DOMAIN short RENAME TO brief",
    "CREATE SCHEMA noted_schema",
    "ALTER SCHEMA noted_schema RENAME TO noted_schema2",
    "DROP EXTENSION hstore CASCADE",
    "GRANT USAGE ON SCHEMA noted_schema2 TO PUBLIC",
    "REVOKE USAGE ON SCHEMA noted_schema2 FROM PUBLIC",
    "CREATE FUNCTION to_mood(int) RETURNS mood LANGUAGE sql AS $$SELECT 'glad'::mood$$",
    "CREATE CAST (int AS mood) WITH FUNCTION to_mood(int)",
    "DROP CAST (int AS mood)",
    "ALTER DOMAIN brief ADD CONSTRAINT not_x CHECK (value <> 'x')",
]


async def test_fingerprint_sees_ddl(pg_server: PgServer) -> None:
    connection = await asyncpg.connect(pg_server.create_database("fingerprint", SCHEMA))
    try:
        before = await fingerprint(connection)
        assert before == await fingerprint(connection)
        for change in CHANGES:
            await connection.execute(change)
            after = await fingerprint(connection)
            assert after != before, change
            assert (await take_snapshot(connection)).version == after
            before = after
        await connection.execute("BEGIN; ALTER TABLE noted ADD COLUMN never int; ROLLBACK")
        assert await fingerprint(connection) == before
    finally:
        await connection.close()


WORK = [
    "INSERT INTO customers (email, born) SELECT g::text, date '1000-01-01' + g FROM generate_series(1, 5000) g",
    "ANALYZE",
    "UPDATE customers SET amount = 1; DELETE FROM customers WHERE id % 2 = 0",
    "VACUUM ANALYZE customers",
    "VACUUM FULL customers",
    "REINDEX TABLE customers",
    "TRUNCATE customers",
    "CREATE TEMP TABLE scratch (id serial PRIMARY KEY, note text); CREATE TEMP VIEW v AS SELECT * FROM scratch",
    "CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    'REFRESH MATERIALIZED VIEW "Odd Schema".frozen',
    "GRANT SELECT ON customers TO PUBLIC",
    "VACUUM FREEZE pg_class; ",
    "VACUUM FULL pg_attribute",
    "SELECT nextval('counter')",
]


async def test_fingerprint_is_blind_to_ordinary_work(pg_server: PgServer) -> None:
    dsn = pg_server.create_database("traffic", SCHEMA)
    connection, other = await asyncpg.connect(dsn), await asyncpg.connect(dsn)
    try:
        before = await fingerprint(connection)
        for work in WORK:
            await other.execute(work)
            assert await fingerprint(connection) == before, work
        snapshot = await take_snapshot(connection)
        assert not [key for key in snapshot.relations if key[1] == "scratch"]
    finally:
        await other.close()
        await connection.close()


async def test_a_snapshot_leaves_the_session_as_it_was(connection: asyncpg.Connection) -> None:
    before = await connection.fetchval("SHOW search_path")
    async with connection.transaction():
        await take_snapshot(connection)
        assert await connection.fetchval("SHOW search_path") == before
    await take_snapshot(connection)
    assert await connection.fetchval("SHOW search_path") == before


async def test_not_validated_not_null_is_no_promise(pg_server: PgServer) -> None:
    if pg_server.version < 180000:
        pytest.skip("NOT NULL NOT VALID is PostgreSQL 18's")
    dsn = pg_server.create_database("unproved", "CREATE TABLE t (a int); ALTER TABLE t ADD NOT NULL a NOT VALID")
    connection = await asyncpg.connect(dsn)
    try:
        (column,) = (await take_snapshot(connection)).relations[("public", "t")].columns
        assert not column.not_null
        await connection.execute("ALTER TABLE t VALIDATE CONSTRAINT t_a_not_null")
        (column,) = (await take_snapshot(connection)).relations[("public", "t")].columns
        assert column.not_null
    finally:
        await connection.close()


async def test_another_encoding_is_an_error(pg_server: PgServer) -> None:
    with pg_server.connect() as admin:
        admin.execute("DROP DATABASE IF EXISTS latin")
        admin.execute("CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
    connection = await asyncpg.connect(pg_server.dsn("latin"))
    try:
        with pytest.raises(ConsentryError, match='database "latin" has encoding LATIN1'):
            await take_snapshot(connection)
    finally:
        await connection.close()
        with pg_server.connect() as admin:
            admin.execute("DROP DATABASE latin")


async def test_what_is_made_of_row_types(pg_server: PgServer) -> None:
    pg_server.create_database(
        "row_types",
        """
        CREATE TABLE staff (id int);
        CREATE DOMAIN boss AS staff;
        CREATE TYPE office AS (lead staff);
        CREATE FUNCTION bosses() RETURNS boss[] LANGUAGE sql AS 'SELECT NULL::boss[]';
        CREATE FUNCTION paid(a int, b staff DEFAULT NULL) RETURNS int LANGUAGE sql AS 'SELECT 1';
        CREATE FUNCTION other(office) RETURNS int LANGUAGE sql AS 'SELECT 1';
        CREATE RULE kept AS ON DELETE TO staff WHERE OLD.id = 1 DO INSTEAD NOTHING;
        """,
    )
    staff = (await snapshot_of(pg_server.dsn("row_types"))).relations["public", "staff"]
    with pg_server.connect("row_types") as connection:

        def oids(text: str) -> set[object]:
            return {row[0] for row in connection.execute(text.encode()).fetchall()}

        types = "SELECT oid FROM pg_type WHERE oid = ANY ('{staff,staff[],boss,boss[]}'::regtype[])"
        assert set(staff.row_types) == oids(types)
        functions = oids("SELECT oid FROM pg_proc WHERE proname IN ('bosses', 'paid')")
        assert {oid for _, oid in staff.dependents} == functions
        (rule,) = (part for part in staff.parts if part.catalog == "pg_rewrite")
        assert (rule.name, rule.uses) == ("kept", frozenset({(staff.oid, 1)}))
