"""What tools ask to learn a schema: through the gateway the same as with a database in which what the app has not is
not there (the twin: a copy in which the columns and relations are really dropped).

A copy has the same oids, and a dropped column leaves the same gap in the numbers of columns as a hidden one: the twin
is fair where it says anything of either. What differs is listed here, with the reason.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from tests.gateways import running_gateway, set_up_consent, write_settings
from tests.integration.drivers.world import copy_database
from tests.servers import PgServer

FOLDER = Path(__file__).parent / "introspection"
RULES = (FOLDER / "rules.yaml").read_text()
FILES = ("psql", "pgjdbc", "node", "pgadmin", "tools")

# By a piece of the statement's text: why its answer is not the twin's. Any other difference fails.
DIFFERENT = {
    r"pg_(table|total_relation|relation|indexes)_size\(": "sizes of relations with hidden columns or rows are NULL",
    r"pg_(database|tablespace)_size\(": "sizes of all data are NULL",
    r"rel(tuples|pages)|\bc\.\*": "estimates of rows are those of a table that was never analysed",
    r"pg_stat(io)?_(\w+_)?(tables|indexes|sequences|database|activity|replication)\b": "nothing is counted",
    r"pg_locks|pg_prepared_xacts": "of the app's own sessions only",
    r"prosrc|pg_get_functiondef": "bodies of functions are not shown: they may name what is hidden",
    r"subconninfo|sub\.\*": "PostgreSQL refuses the column, the gateway shows NULL",
    r"get_all_columns|column_indexes": "of a dropped column the twin has remains, `........pg.dropped.3........`",
    r"^pgintrospection": "the database's oid; the remains of dropped columns",
    r"FROM pg_catalog\.pg_sequences|last_value": "how far a sequence of hidden rows has counted is not shown",
}


@dataclass(frozen=True)
class Question:
    file: str
    line: int
    title: str
    text: str


def questions() -> Iterator[Question]:
    """The statements of the recorded files, each after a line `-- # title`."""
    for name in FILES:
        line = 1
        for part in re.split(r"(?m)^(?=-- #)", (FOLDER / f"{name}.sql").read_text()):
            title, _, text = part.partition("\n")
            if title.startswith("-- #"):
                yield Question(name, line, title[4:].strip(), text.strip().rstrip(";"))
            line += part.count("\n")


QUESTIONS = list(questions())
_LOOK_UPS = {
    "oid": "SELECT %s::regclass::oid",
    "constraint": "SELECT oid FROM pg_constraint WHERE conname = %s AND conrelid = 'customers'::regclass",
    "type": "SELECT %s::regtype::oid",
    "trigger": "SELECT oid FROM pg_trigger WHERE tgname = %s",
    "function": "SELECT oid FROM pg_proc WHERE proname = %s AND pronamespace = 'public'::regnamespace",
    "publication": "SELECT oid FROM pg_publication WHERE pubname = %s",
    "statistics": "SELECT oid FROM pg_statistic_ext WHERE stxname = %s",
    "extension": "SELECT oid FROM pg_extension WHERE extname = %s",
}

_HIDDEN = re.compile(r"hidden|secret|salary|payroll(?!_id)", re.IGNORECASE)  # badges have a payroll_id
pytestmark = pytest.mark.timeout(600)
Answer = tuple[object, Counter[tuple[object, ...]]]


@dataclass(frozen=True)
class World:
    direct: psycopg.Connection[tuple[object, ...]]
    through: psycopg.Connection[tuple[object, ...]]
    past: psycopg.Connection[tuple[object, ...]]  # the database behind the gateway, past it
    oids: psycopg.Connection[tuple[object, ...]]

    def filled(self, text: str, database: str) -> str:
        """`text` with oids and the database's name in their places."""

        def found(match: re.Match[str]) -> str:
            row = self.oids.execute(_LOOK_UPS[match[1]].encode(), [match[2]]).fetchone()
            assert row is not None, match[0]
            return str(row[0])

        text = text.replace("{database}", database)
        text = text.replace("{database_oid}", f"(SELECT oid FROM pg_database WHERE datname = '{database}')")
        return re.sub(r"\{(\w+):([^}]*)\}", found, text)


@pytest.fixture(scope="module")
def world(pg_server: PgServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    for login in ("intro_tool", "intro_owner"):
        pg_server.create_login(login, group="auth_trust")
    pg_server.create_database("intro_real", (FOLDER / "schema.sql").read_text())
    folder = tmp_path_factory.mktemp("introspection")
    write_settings(pg_server, folder, RULES, {"base": "intro_real"})
    set_up_consent(folder, "base")
    pg_server.run("intro_real", "ANALYZE")
    copy_database(pg_server, "intro_twin", "intro_real")
    pg_server.run("intro_twin", (FOLDER / "twin.sql").read_text())
    with (
        running_gateway(pg_server, folder, RULES, {"tool": "intro_real"}) as gateway,
        psycopg.connect(pg_server.dsn("intro_twin", "intro_tool"), autocommit=True) as direct,
        psycopg.connect(gateway.dsn("intro_tool", "tool"), autocommit=True) as through,
        psycopg.connect(pg_server.dsn("intro_real", "intro_tool"), autocommit=True) as past,
        pg_server.connect("intro_twin") as oids,
    ):
        yield World(direct, through, past, oids)


def ask(connection: psycopg.Connection[tuple[object, ...]], text: str) -> Answer:
    """(columns, rows in any order); of an error (SQLSTATE, no rows). Arrays that are aggregated have no order either."""
    cursor = psycopg.RawCursor(connection)
    try:
        cursor.execute(text.encode())
    except psycopg.Error as error:
        return f"{error.sqlstate} {error}", Counter()
    result = cursor.pgresult
    assert result is not None
    columns = [(result.fname(i), result.ftype(i), result.fmod(i)) for i in range(result.nfields)]
    rows: Counter[tuple[object, ...]] = Counter()
    for row in range(result.ntuples):
        values = [result.get_value(row, i) for i in range(result.nfields)]
        rows[tuple(_comparable(value.decode()) if value is not None else None for value in values)] += 1
    return columns, rows


def _comparable(value: str) -> str:
    value = re.sub("intro_(real|twin)", "{database}", value)
    if re.fullmatch(r"\{\w(,\w)+\}", value):  # array_agg of privileges
        value = "".join(sorted(value))
    return value


def difference(direct: Answer, through: Answer) -> str:
    if direct[0] != through[0]:
        return f"direct: {direct[0]}\nthrough: {through[0]}"
    missing, more = list((direct[1] - through[1]).elements()), list((through[1] - direct[1]).elements())
    return "\n".join([*(f"- {row}" for row in missing[:3]), *(f"+ {row}" for row in more[:3])])


@pytest.mark.parametrize("file", FILES)
def test_tools_learn_what_the_twin_tells(world: World, file: str) -> None:
    failed, asked = [], 0
    for question in (q for q in QUESTIONS if q.file == file):
        direct = ask(world.direct, world.filled(question.text, "intro_twin"))
        if isinstance(direct[0], str) and not direct[0].startswith("42501"):
            continue  # what another version of the server is asked
        through = ask(world.through, world.filled(question.text, "intro_real"))
        asked += 1
        found = difference(direct, through)
        known = [pattern for pattern in DIFFERENT if re.search(pattern, f"{question.title}\n{question.text}")]
        refused = isinstance(through[0], str) and not isinstance(direct[0], str)
        if found and (refused or not known):
            failed.append(f"{file}.sql:{question.line} {question.title}\n{question.text[:300]}\n{found}")
    assert not failed, "\n\n".join([f"{len(failed)} of {asked}", *failed])
    assert asked > len([q for q in QUESTIONS if q.file == file]) * 0.8


def test_a_session_sees_its_locks_that_are_of_no_relation(world: World) -> None:
    with world.through.transaction():
        world.through.execute("SELECT pg_advisory_xact_lock(7)")
        rows = world.through.execute(
            "SELECT locktype, objid, granted FROM pg_locks WHERE pid = pg_backend_pid() AND locktype <> 'relation'"
        ).fetchall()
    assert {("advisory", 7, True), ("virtualxid", None, True)} <= set(rows)


def test_nothing_of_what_is_hidden_is_told(world: World) -> None:
    """No name, comment, default or definition of a hidden column or relation is in any answer."""

    def told(connection: psycopg.Connection[tuple[object, ...]], question: Question) -> list[object]:
        _, rows = ask(connection, world.filled(question.text, "intro_real"))
        return [value for row in rows for value in row if _HIDDEN.search(str(value))]

    for question in QUESTIONS:
        found = told(world.through, question)
        assert not found, f"{question.file}.sql:{question.line} {question.title}: {found[0]}"
    assert sum(bool(told(world.past, question)) for question in QUESTIONS) > 50


def test_statistics_of_the_server_count_nothing(world: World) -> None:
    """They are there for monitoring: how much is read and written tells of hidden rows and values."""
    world.through.execute("CREATE TEMP TABLE written AS SELECT generate_series(1, 1000) AS n")
    for name in ("bgwriter", "checkpointer", "wal", "io", "slru", "database"):
        cursor = world.through.execute(f"SELECT * FROM pg_stat_{name}")
        named = {"backend_type", "object", "context", "name", "datid", "datname", "numbackends"}
        assert cursor.description is not None
        columns = [column.name for column in cursor.description]
        rows = [dict(zip(columns, row, strict=True)) for row in cursor]
        assert rows
        assert {value for row in rows for key, value in row.items() if key not in named} <= {0, None}
    world.through.execute("DROP TABLE written")


# Counters, times and numbers of transactions: not oids, though one may look like it.
_NUMBERS = frozenset(
    {"int2", "int4", "int8", "float4", "float8", "numeric", "xid", "xid8", "timestamptz", "interval", "pg_lsn"}
)
_WITH_OIDS = (
    "attrdef cast class constraint operator policy proc publication_rel rewrite statistic_ext trigger type".split()
)


def test_no_catalog_has_a_row_of_what_is_hidden(world: World) -> None:
    """No relation of the catalogs has an oid of what the twin has not (relations, types, indexes, constraints, functions
    ...), nor its name: a row that names it by another catalog tells that it is there.
    """

    def values(connection: psycopg.Connection[tuple[object, ...]], text: str) -> set[str]:
        return {str(row[0]) for row in connection.execute(text.encode()).fetchall()}

    def gone(text: str) -> set[str]:
        return values(world.past, text) - values(world.direct, text)

    hidden = set().union(*(gone(f"SELECT oid FROM pg_catalog.pg_{name}") for name in _WITH_OIDS))
    names = gone("SELECT relname FROM pg_class") | gone("SELECT proname FROM pg_proc")
    names -= values(world.direct, "SELECT attname FROM pg_attribute")  # words that name other things too
    types = {row[0]: row[1] for row in world.past.execute("SELECT oid, typname::text FROM pg_type").fetchall()}
    catalogs = world.past.execute(
        "SELECT c.oid::regclass::text FROM pg_class c WHERE relkind IN ('r', 'v') "
        "AND relnamespace IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace) ORDER BY 1"
    ).fetchall()

    def told(connection: psycopg.Connection[tuple[object, ...]], catalog: object) -> list[str]:
        columns, rows = ask(connection, f"SELECT * FROM {catalog}")
        if isinstance(columns, str):
            assert columns.startswith("42501"), f"{catalog}: {columns}"
            return []
        assert isinstance(columns, list)
        return [
            f"{catalog}.{column.decode()}: {value}"
            for row in rows
            for (column, type_oid, _), value in zip(columns, row, strict=True)
            if types[type_oid] not in _NUMBERS and value is not None
            if value in names or _HIDDEN.search(str(value)) or hidden.intersection(re.findall(r"\d+", str(value)))
        ]

    found = []
    for (catalog,) in catalogs:
        unhidden = set(told(world.direct, catalog))  # descriptions of settings tell of secrets too
        found += [one for one in told(world.through, catalog) if one not in unhidden]
    assert not found, "\n".join([str(len(found)), *found[:40]])
    assert sum(bool(told(world.past, catalog)) for (catalog,) in catalogs) > 50


def test_hidden_columns_are_asked_for_like_columns_that_do_not_exist(world: World) -> None:
    def may(column: str) -> list[tuple[object, ...]]:
        text = f"SELECT has_column_privilege('customers', '{column}', 'SELECT'), has_column_privilege('customers', 'id', 'SELECT')"
        return world.through.execute(text.encode()).fetchall()

    assert may("id") == [(True, True)]
    assert may("secret") == may("no_such_column") == [(None, True)]

    def counted_by(column: str) -> list[tuple[object, ...]]:
        return world.through.execute(f"SELECT pg_get_serial_sequence('customers', '{column}')".encode()).fetchall()

    assert counted_by("id") == [("public.customers_id_seq",)]
    assert counted_by("secret_id") == counted_by("no_such_column") == [(None,)]
