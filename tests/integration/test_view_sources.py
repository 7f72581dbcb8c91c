"""Views with a condition of their own, over a table of which rows are hidden, as sources of whatever reads them."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from tests.integration.governed import Governed, governed
from tests.servers import PgServer

SCHEMA = """
CREATE TABLE customers (id int PRIMARY KEY, score int, email text);
CREATE TABLE products (sku int PRIMARY KEY, title text, stock int);
INSERT INTO customers SELECT n, n, 'e' || n FROM generate_series(1, 50) n;
INSERT INTO products SELECT n, 't', n FROM generate_series(1, 50) n;
CREATE VIEW chosen AS SELECT id, score, email FROM customers WHERE score >= 0;
CREATE VIEW guarded WITH (security_barrier) AS SELECT id, score, email FROM customers WHERE score >= 0;
GRANT ALL ON ALL TABLES IN SCHEMA public TO PUBLIC;
"""
RULES = """version: 1
attributes: {known: {}}
tables:
  public.customers: {columns: {id: open, score: known, email: known}}
  public.products: open
apps: {shop: {logins: [view_sources]}}
policies:
  - {name: all of it, attributes: all, action: show}
  - {name: the first, tables: [public.customers], rows: {where: id <= 20}}
"""
# With {} in the place of a number that is shown, and of one that is not: how many rows.
STATEMENTS = [
    ("UPDATE products p SET title = 'x' FROM VIEW v WHERE v.score = {} AND p.stock = v.id", 1, 0),
    ("UPDATE products p SET title = 'x' FROM VIEW v WHERE v.id = {} AND p.sku = v.id AND 1 / v.id < 2", 1, 0),
    ("DELETE FROM products p USING VIEW v WHERE v.score = {} AND p.stock = v.id", 1, 0),
    ("MERGE INTO products p USING VIEW v ON p.sku = v.id AND v.score = {} WHEN MATCHED THEN DELETE", 1, 0),
    ("SELECT v.id FROM products RIGHT JOIN (SELECT * FROM VIEW WHERE score = {} AND NOT (id = 70)) v ON v.score < 1", 1, 0),
    ("SELECT v.score, count(*) FROM (SELECT * FROM VIEW WHERE id = {}) v WHERE v.score < 80 GROUP BY 1 HAVING count(*) > 0", 1, 0),
    ("SELECT p.sku FROM products p, VIEW v WHERE v.score = {} AND p.stock = v.id AND 1 / v.id < 2", 1, 0),
    ("INSERT INTO products SELECT id + 100, email, score FROM VIEW WHERE id <= {}", 7, 20),
]  # fmt: skip


@pytest.fixture(scope="module")
def gateway(pg_server: PgServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Governed]:
    folder = tmp_path_factory.mktemp("view_sources")
    with governed(pg_server, folder, "view_sources", SCHEMA, RULES, ["view_sources"]) as running:
        yield running


@pytest.mark.parametrize("view", ["chosen", "guarded"])
@pytest.mark.parametrize(("statement", "shown", "hidden"), STATEMENTS)
def test_rows(gateway: Governed, view: str, statement: str, shown: int, hidden: int) -> None:
    with gateway.connect("view_sources") as connection:
        for number, expected in ((7, shown), (30, hidden)):
            text = statement.replace("VIEW", view).replace("{}", str(number))
            with connection.transaction(force_rollback=True):
                assert connection.execute(text.encode()).rowcount == expected, text


def test_a_condition_of_the_apps_does_not_come_before_the_views(gateway: Governed) -> None:
    with gateway.connect("view_sources") as connection:
        assert connection.execute("SELECT id FROM chosen WHERE 1 / (id - 30) < 9 AND id > 19").fetchall() == [(20,)]
    with psycopg.connect(gateway.database) as direct, pytest.raises(psycopg.errors.DivisionByZero):
        direct.execute("SELECT id FROM chosen WHERE 1 / (id - 30) < 9 AND id > 19")
