"""Every index that a leakproof comparison reaches is used under row policies and under consent.

The yardstick is PostgreSQL's own: a view with `security_barrier` over the governed form, into which it moves by itself
what is leakproof. A statement that the gateway rewrites must read no more than the app's own text over such views.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import asyncpg
import psycopg
import pytest

from proxy.catalog.introspect import take_snapshot
from proxy.catalog.model import SearchPath
from proxy.consent import ledger, spans
from proxy.policy.compile import compile_rules
from proxy.policy.load import load_rules
from proxy.policy.table import CompiledRules
from proxy.rewrite.forms import Form
from proxy.rewrite.plan import Planner
from tests.servers import PgServer, snapshot_of

SCHEMA = """
CREATE TABLE customers (id int PRIMARY KEY, ref uuid NOT NULL, email text, name text, code varchar(20), active bool NOT NULL,
    region text, created_at timestamptz NOT NULL);
CREATE TABLE orders (id bigint PRIMARY KEY, customer_id int NOT NULL, created_at timestamptz NOT NULL, day date NOT NULL,
    state text, total numeric(10, 2), note text);
CREATE TABLE items (id bigint PRIMARY KEY, order_id bigint NOT NULL, sku text, qty int);
CREATE TABLE products (sku text PRIMARY KEY, title text);
INSERT INTO customers SELECT i, md5(i::text)::uuid, 'c' || i || '@example.org', 'Name ' || i, 'K' || i, i % 50 <> 0,
    'r' || i % 20, timestamptz '2020-01-01' + i * interval '1 hour' FROM generate_series(1, 4000) i;
INSERT INTO orders SELECT i, 1 + i * 7919 % 4000, timestamptz '2019-01-01' + i * interval '10 min', date '2019-01-01' + i / 144,
    (ARRAY['new', 'paid', 'sent'])[1 + i % 3], i % 500, 'note ' || i FROM generate_series(1, 20000) i;
INSERT INTO items SELECT i, 1 + i / 2, 'sku' || i % 1000, i % 5 FROM generate_series(1, 30000) i;
INSERT INTO products SELECT 'sku' || i, 'title ' || i FROM generate_series(0, 999) i;
CREATE INDEX ON customers (email);
CREATE INDEX ON customers (ref);
CREATE INDEX ON customers (code);
CREATE INDEX ON customers (id) WHERE NOT active;
CREATE INDEX ON orders (customer_id);
CREATE INDEX ON orders (created_at, id);
CREATE INDEX ON orders (day);
CREATE INDEX ON items (order_id);
CREATE INDEX ON items (sku);
"""
TABLES = {
    "customers": "subject: id, columns: {id: open, ref: open, email: email, name: open, code: open, active: open, region: open, "
    "created_at: open}",
    "orders": "subject: customer_id, columns: {id: open, customer_id: open, created_at: open, day: open, state: open, total: open, "
    "note: open}",
    "items": "subject: {column: order_id, references: public.orders.id}, columns: {id: open, order_id: open, sku: open, qty: open}",
}
RULES = f"""
version: 1
attributes: {{email: {{label: Email}}}}
tables:
{chr(10).join(f"  public.{name}: {{{columns}}}" for name, columns in TABLES.items())}
  public.products: open
apps:
  where: {{kind: internal, purpose: tests, logins: [a]}}
  consent: {{kind: internal, purpose: tests, logins: [b]}}
  value: {{kind: internal, purpose: tests, logins: [c]}}
policies:
  - {{name: value, apps: [value], attributes: [email], action: show, consent: opt_in}}
  - {{name: all, apps: all, attributes: all, action: show}}
  - {{name: customers, apps: [where], tables: [public.customers], rows: {{where: "region <> 'r3'"}}}}
  - {{name: orders, apps: [where], tables: [public.orders], rows: {{where: "created_at > '2019-01-15'"}}}}
  - {{name: items, apps: [where], tables: [public.items], rows: {{where: "qty > 0"}}}}
  - {{name: agreed, apps: [consent], tables: [public.customers, public.orders, public.items], rows: {{consent: [email]}}}}
"""


@dataclass
class World:
    """The database, and planners for it. `connection` is the superuser's."""

    rules: CompiledRules
    planners: dict[str, Planner]
    connection: psycopg.Connection[Any]

    def text(self, app: str, statement: str, types: tuple[int, ...] = ()) -> str:
        plan = self.planners[app].plan(statement.encode(), SearchPath(), types)
        assert plan.refusal is None, plan.refusal
        return plan.text.decode()

    def rows(self, statement: str, path: str = "public") -> list[str]:
        self.connection.execute(f"SET search_path = {path}".encode())
        return sorted(map(str, self.connection.execute(statement.encode()).fetchall()))

    def rows_read(self, statement: str, path: str = "public") -> tuple[int, str]:
        """How many rows its scans look at, those that they filter out too, and the plan."""
        self.connection.execute(f"SET search_path = {path}".encode())
        with self.connection.transaction(force_rollback=True):
            explained = self.connection.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}".encode()).fetchone()
        assert explained is not None
        plan = explained[0][0]["Plan"]
        return _rows_of_scans(plan), str(plan)


def _rows_of_scans(plan: dict[str, Any]) -> int:
    inner = sum(_rows_of_scans(child) for child in plan.get("Plans", ()))
    if plan.get("Relation Name", "spans_").startswith("spans_"):  # consents of 4000 customers are one page, read whole
        return inner
    removed = plan.get("Rows Removed by Filter", 0) + plan.get("Rows Removed by Index Recheck", 0)
    return inner + int((plan["Actual Rows"] + removed) * plan["Actual Loops"])


@pytest.fixture(scope="module")
def world(pg_server: PgServer) -> Iterator[World]:
    dsn = pg_server.create_database("indexes", SCHEMA)
    for app in ("where", "consent", "value"):
        pg_server.create_login(app, group="auth_trust")

    async def prepare() -> None:
        connection = await asyncpg.connect(dsn)
        try:
            await ledger.setup(connection, "bigint", ["where", "consent", "value"])
            await connection.execute(
                "INSERT INTO consentry.state (app, subject, granted) SELECT a, i, ARRAY['email'] "
                "FROM generate_series(1, 4000, 2) i, unnest(ARRAY['consent', 'value']) a"
            )
            rules = compile_rules(load_rules([("rules.yaml", RULES)]), await take_snapshot(connection))
            await spans.follow(connection, rules)
        finally:
            await connection.close()

    asyncio.run(prepare())
    snapshot = asyncio.run(snapshot_of(dsn))
    rules = compile_rules(load_rules([("rules.yaml", RULES)]), snapshot)
    planners = {name: Planner(app, rules, snapshot) for name, app in rules.apps.items()}
    with pg_server.connect("indexes") as connection:
        for app in ("where", "consent"):
            connection.execute(f'CREATE SCHEMA "barrier_{app}"'.encode())
            for name in TABLES:
                table = rules.apps[app].tables["public", name]
                form = Form(rules.apps[app], table, snapshot.relations["public", name], snapshot).read()[1:-1]
                view = f'CREATE VIEW "barrier_{app}".{name} WITH (security_barrier) AS {form}'
                connection.execute(view.encode())
        connection.execute("VACUUM ANALYZE")
        connection.execute("SET max_parallel_workers_per_gather = 0")
        connection.execute("SET jit = off")
        yield World(rules, planners, connection)


# Statements, the types that the driver gives their parameters, and values for these.
FENCED = "note ILIKE '%1%'"  # not leakproof
STATEMENTS: list[tuple[str, tuple[int, ...], tuple[str, ...]]] = [
    ("SELECT * FROM orders WHERE id = 5000", (), ()),
    (f"SELECT * FROM orders WHERE id = 5000 AND {FENCED}", (), ()),
    ("SELECT * FROM orders WHERE id = $1::INTEGER", (), ("'5000'",)),
    (f"SELECT * FROM orders WHERE id = $1::BIGINT AND {FENCED}", (0,), ("'5000'",)),
    (f"SELECT * FROM orders WHERE id = $1 AND {FENCED}", (23,), ("5000",)),
    ("SELECT * FROM orders WHERE id = ANY($1)", (0,), ("'{5000,5001}'",)),
    (f"SELECT * FROM orders WHERE id = ANY($1) AND {FENCED}", (1016,), ("'{5000,5001}'::bigint[]",)),
    (f"SELECT * FROM orders WHERE id = ANY($1::bigint[]) AND {FENCED}", (0,), ("'{5000,5001}'",)),
    (f"SELECT * FROM orders WHERE id IN (5000, 5001) AND {FENCED}", (), ()),
    (f"SELECT * FROM orders WHERE id IN ($1, $2) AND {FENCED}", (20, 20), ("5000::bigint", "5001::bigint")),
    (f"SELECT * FROM orders WHERE id BETWEEN 5000 AND 5010 AND {FENCED}", (), ()),
    ("SELECT * FROM orders WHERE (id, customer_id) = (5000, 1)", (), ()),
    (f"SELECT * FROM orders WHERE (id, customer_id) = ($1, 1) AND {FENCED}", (0,), ("5000",)),
    (f"SELECT id FROM orders WHERE (created_at, id) < ($1, $2) AND {FENCED} ORDER BY created_at DESC, id DESC LIMIT 20",
     (0, 0), ("'2019-01-16'", "2000")),
    ("SELECT id FROM orders WHERE (created_at, id) > ($1::timestamptz, $2::bigint) ORDER BY created_at, id LIMIT 20",
     (0, 0), ("'2019-05-05'", "'5000'")),
    ("SELECT count(*) FROM orders WHERE created_at > now() - interval '30 days'", (), ()),
    (f"SELECT * FROM orders WHERE created_at >= CURRENT_TIMESTAMP AND {FENCED}", (), ()),
    (f"SELECT count(*) FROM orders WHERE day = '2019-02-05'::date AND {FENCED}", (), ()),
    (f"SELECT count(*) FROM orders WHERE day >= current_date AND {FENCED}", (), ()),
    ("SELECT * FROM customers WHERE code = $1::VARCHAR", (0,), ("'K77'",)),
    ("SELECT * FROM customers WHERE code = $1 AND lower(name) <> ''", (25,), ("'K77'::text",)),
    ("SELECT * FROM customers WHERE ref = '28dd2c79-55ce-926f-4562-40b2ff0100bd'::uuid AND lower(name) <> ''", (), ()),
    ("SELECT count(*) FROM customers WHERE NOT active AND lower(name) <> ''", (), ()),
    ("SELECT o.id, c.name FROM customers c JOIN orders o ON o.customer_id = c.id WHERE c.id = 77", (), ()),
    ("SELECT o.id FROM customers c JOIN orders o ON o.customer_id = c.id WHERE c.id = 77 AND c.name ILIKE '%7%'", (), ()),
    (f"SELECT o.id FROM customers c JOIN orders o ON o.customer_id = c.id WHERE c.id = $1::int AND {FENCED}", (0,), ("'77'",)),
    (f"SELECT o.id FROM orders o JOIN customers c ON c.id = o.customer_id WHERE o.customer_id IN (77, 78) AND {FENCED}", (), ()),
    (f"SELECT c.id, o.id FROM customers c LEFT JOIN orders o ON o.customer_id = c.id AND o.{FENCED} WHERE c.id = 77", (), ()),
    ("SELECT o.id, i.sku FROM orders o JOIN items i ON i.order_id = o.id WHERE o.id = 5001 AND i.sku LIKE 'sku%'", (), ()),
    ("SELECT i.id FROM items i JOIN products p ON p.sku = i.sku WHERE p.title = 'title 7'", (), ()),
    ("SELECT id FROM orders ORDER BY created_at DESC, id DESC LIMIT 10", (), ()),
    ("SELECT min(created_at), max(created_at) FROM orders WHERE customer_id = 77", (), ()),
    ("SELECT max(created_at) FROM orders", (), ()),
    ("SELECT customer_id, sum(total) FROM orders WHERE customer_id IN (77, 79) GROUP BY customer_id HAVING count(*) > 1", (), ()),
    ("SELECT id FROM customers c WHERE c.id < 40 AND EXISTS (SELECT FROM orders o WHERE o.customer_id = c.id AND o.state = 'new')", (), ()),
    (f"SELECT id FROM customers c WHERE c.id = 77 AND EXISTS (SELECT FROM orders o WHERE o.customer_id = c.id AND o.{FENCED})", (), ()),
    ("SELECT * FROM customers WHERE id IN (SELECT customer_id FROM orders WHERE id = 5000)", (), ()),
    ("SELECT c.id, (SELECT count(*) FROM orders o WHERE o.customer_id = c.id) FROM customers c WHERE c.id = 77", (), ()),
    (f"SELECT c.id, (SELECT max(total) FROM orders o WHERE o.customer_id = c.id AND {FENCED}) FROM customers c WHERE c.id = 77", (), ()),
    ("SELECT s.n FROM customers c JOIN (SELECT customer_id, count(*) AS n FROM orders GROUP BY customer_id) s "
     "ON s.customer_id = c.id WHERE c.id = 77", (), ()),
    (f"SELECT l.id FROM customers c, LATERAL (SELECT o.id FROM orders o WHERE o.customer_id = c.id AND {FENCED} "
     "ORDER BY created_at LIMIT 1) l WHERE c.id IN (77, 79)", (), ()),
]  # fmt: skip


def filled(text: str, values: tuple[str, ...]) -> str:
    return re.sub(r"\$(\d+)", lambda match: values[int(match[1]) - 1], text)


@pytest.mark.parametrize(("statement", "types", "values"), STATEMENTS, ids=[s[:70] for s, _, _ in STATEMENTS])
@pytest.mark.parametrize("app", ["where", "consent"])
def test_no_more_is_read_than_through_barrier_views(
    world: World, app: str, statement: str, types: tuple[int, ...], values: tuple[str, ...]
) -> None:
    ours, plan = world.rows_read(filled(world.text(app, statement, types), values))
    theirs, yardstick = world.rows_read(filled(statement, values), f"barrier_{app}, public")
    assert ours <= theirs + 50, f"{ours} rows instead of {theirs}\n{plan}\n{yardstick}"
    assert world.rows(filled(statement, values), f"barrier_{app}, public") == world.rows(
        filled(world.text(app, statement, types), values)
    )


@pytest.mark.parametrize(
    ("statement", "types", "values"),
    [
        ("UPDATE orders SET state = 'x' WHERE id = $1::BIGINT", (0,), ("'5000'",)),
        (f"UPDATE orders SET state = 'x' WHERE id = ANY($1) AND {FENCED}", (0,), ("'{5000,5001}'",)),
        (f"DELETE FROM orders WHERE customer_id = 77 AND total > 50 AND {FENCED}", (), ()),
        (
            f"UPDATE orders o SET state = 'x' FROM customers c WHERE c.id = o.customer_id AND c.id = 77 AND o.{FENCED}",
            (),
            (),
        ),
    ],
)
@pytest.mark.parametrize("app", ["where", "consent"])
def test_writes_find_their_rows_by_index(
    world: World, app: str, statement: str, types: tuple[int, ...], values: tuple[str, ...]
) -> None:
    ours, plan = world.rows_read(filled(world.text(app, statement, types), values))
    assert ours < 100, plan


@pytest.mark.parametrize(
    ("where", "types", "values"),
    [
        ("email = 'c77@example.org'", (), ()),
        ("email = $1", (25,), ("'c77@example.org'::text",)),
        ("email IN ('c77@example.org', 'c78@example.org') AND active", (), ()),
        ("email = ANY($1::text[])", (0,), ("'{c77@example.org}'",)),
    ],
)
def test_a_value_under_consent_is_found_by_its_index(
    world: World, where: str, types: tuple[int, ...], values: tuple[str, ...]
) -> None:
    statement = f"SELECT id FROM customers WHERE {where}"
    ours, plan = world.rows_read(filled(world.text("value", statement, types), values))
    assert "customers_email_idx" in plan
    assert ours < 10
    world.connection.execute("SET search_path = public")
    assert world.connection.execute(filled(world.text("value", statement, types), values).encode()).fetchall() == [
        (77,)
    ]


def test_what_could_tell_which_rows_a_hidden_value_has_goes_without_the_index(world: World) -> None:
    for more in ("AND 1 / (id - 78) > 0", "AND lower(name) <> ''", "AND id::text <> ''"):
        text = world.text("value", f"SELECT id FROM customers WHERE email = 'c78@example.org' {more}")
        assert '_t."email" OPERATOR' not in text
