"""PostgreSQL estimates how many rows an operator finds by running it on values in the statistics, which are of hidden rows
too: an error that depends on the value would tell of them, though no fence lets the operator come to a hidden row.
"""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from tests.integration.governed import Governed, governed
from tests.servers import PgServer

SCHEMA = r"""
CREATE EXTENSION citext;
CREATE DOMAIN name_of AS text;
CREATE TABLE people (id int PRIMARY KEY, name text, short varchar(40), raw bytea, word citext, called name_of, fixed char(12));
CREATE TABLE others (id int PRIMARY KEY, title text);
INSERT INTO people SELECT n, CASE WHEN n < 7 THEN 'seen' ELSE 'QZM' END || n, CASE WHEN n < 7 THEN 'seen' ELSE 'QZM' END || n,
    CASE WHEN n < 7 THEN 'seen' ELSE 'QZM' END::bytea || n::text::bytea, CASE WHEN n < 7 THEN 'seen' ELSE 'QZM' END || n,
    CASE WHEN n < 7 THEN 'seen' ELSE 'QZM' END || n, CASE WHEN n < 7 THEN 'seen' ELSE 'QZM' END || n
    FROM generate_series(1, 3000) n;
INSERT INTO others SELECT n, 'title' FROM generate_series(1, 9) n;
CREATE VIEW calls AS SELECT id, name, lower(name) AS low FROM people WHERE id > 0;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO PUBLIC;
ANALYZE;
"""
RULES = """version: 1
attributes: {name: {}}
tables:
  public.people: {columns: {id: open, name: name, short: name, raw: name, word: name, called: name, fixed: name}}
  public.others: {columns: {id: open, title: open}}
apps: {shop: {logins: [estimating]}}
policies:
  - {name: names, attributes: all, action: show, write: allow}
  - {name: the first, tables: [public.people], rows: {where: id <= 6}}
"""
COLUMNS = ("name", "short", "word", "called", "fixed")
CONDITIONS = [
    f"p.{column} {how}" for column in COLUMNS for how in (r"LIKE '{}%\'", r"ILIKE '{}%\'", r"NOT LIKE '{}%\'")
] + [
    r"p.raw LIKE '{}%\\'",
    r"p.name LIKE '{}%\' AND p.id = 1",
    r"p.name LIKE ANY (ARRAY['{}%\', 'x'])",
    r"p.name LIKE '{}%%' ESCAPE '%'",
    r"p.name SIMILAR TO '{}%\'",
    r"EXISTS (SELECT FROM others o WHERE o.id = p.id AND p.name LIKE '{}%\')",
]
STATEMENTS = [
    *(f"SELECT id FROM people p WHERE {condition}" for condition in CONDITIONS),
    r"SELECT * FROM (SELECT name AS n, id FROM people OFFSET 0) x WHERE n LIKE '{}%\'",
    r"WITH x AS MATERIALIZED (SELECT name FROM people) SELECT * FROM x WHERE name LIKE '{}%\'",
    r"SELECT * FROM (SELECT DISTINCT name FROM people) x WHERE name LIKE '{}%\'",
    r"SELECT * FROM (SELECT name FROM people UNION ALL SELECT name FROM people) x WHERE name LIKE '{}%\'",
    r"SELECT * FROM people WHERE name LIKE '{}%\' FOR UPDATE",
    r"SELECT * FROM calls WHERE name LIKE '{}%\'",
    r"SELECT name FROM people GROUP BY name HAVING name LIKE '{}%\'",
    r"SELECT o.id FROM others o LEFT JOIN people p ON p.name LIKE '{}%\' AND p.id = o.id",
    r"SELECT l.* FROM others o, LATERAL (SELECT name FROM people p WHERE p.id = o.id AND p.name LIKE '{}%\') l",
    r"UPDATE people SET id = id WHERE name LIKE '{}%\'",
    r"UPDATE others SET title = 'x' FROM people p WHERE p.name LIKE '{}%\' AND p.id = 1",
    r"DELETE FROM others USING people p WHERE p.name LIKE '{}%\' AND p.id = 1",
    r"MERGE INTO others o USING people p ON p.id = o.id AND p.name LIKE '{}%\' WHEN MATCHED THEN DELETE",
    r"INSERT INTO others SELECT id, name FROM people WHERE name LIKE '{}%\'",
]  # fmt: skip


@pytest.fixture(scope="module")
def gateway(pg_server: PgServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Governed]:
    folder = tmp_path_factory.mktemp("estimates")
    with governed(pg_server, folder, "estimates", SCHEMA, RULES, ["estimating"]) as running:
        yield running


def answer(connection: psycopg.Connection[object], statement: str, prefix: str) -> object:
    try:
        with connection.transaction(force_rollback=True):
            cursor = connection.execute(statement.replace("{}", prefix).encode())
            return cursor.fetchall() if cursor.description else cursor.statusmessage
    except psycopg.Error as error:
        return error.sqlstate


@pytest.mark.parametrize("statement", STATEMENTS)
def test_what_is_hidden_makes_no_difference(gateway: Governed, statement: str) -> None:
    with gateway.connect("estimating") as connection:
        assert answer(connection, statement, "QZM") == answer(connection, statement, "ZZZ")


def test_by_the_database_itself_it_does(gateway: Governed) -> None:
    """Else the others prove nothing."""
    fenced = r"SELECT * FROM (SELECT name FROM people WHERE id <= 6 OFFSET 0) x WHERE name LIKE '{}%\'"
    with psycopg.connect(gateway.database) as connection:
        assert (answer(connection, fenced, "QZM"), answer(connection, fenced, "ZZZ")) == ("22025", [])


def test_what_is_shown_is_found(gateway: Governed) -> None:
    with gateway.connect("estimating") as connection:
        found = connection.execute(
            "SELECT id, short FROM people WHERE name LIKE 'see_%' AND short ~ '[1-3]$' ORDER BY 1"
        )
        assert found.fetchall() == [(1, "seen1"), (2, "seen2"), (3, "seen3")]
        assert [(column.type_code, column.precision) for column in found.description or ()] == [
            (23, None),
            (1043, None),
        ]
        assert (found.description or [])[1].display_size == 40  # the type's length is kept
