"""A look-up in the profile is one in each table behind it, also where rows are hidden: by row policies, consent, or
because a customer's data is restricted. What is looked for goes inside of the fences, or no fence is needed.
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
from proxy.consent import ledger
from proxy.errors import PgError
from proxy.policy.compile import compile_rules
from proxy.policy.load import load_rules
from proxy.profile import relation, shape
from proxy.rewrite.lex import parse
from proxy.rewrite.plan import Planner
from tests.servers import PgServer

FILL = """
CREATE TABLE customers (id bigint PRIMARY KEY, name text, email varchar(80) UNIQUE, vip boolean NOT NULL,
    phone varchar(40));
CREATE INDEX ON customers (phone);
CREATE TABLE details (customer_id bigint PRIMARY KEY, nick text UNIQUE, street text, city text, phone text);
CREATE INDEX ON details (phone);
CREATE TABLE cards (customer_id bigint NOT NULL, number text, seen date NOT NULL);
CREATE INDEX ON cards (customer_id, seen);
CREATE TABLE orders (id int PRIMARY KEY, customer_id bigint, placed date NOT NULL);
CREATE INDEX ON orders (customer_id);
CREATE TABLE items (id int PRIMARY KEY, order_id int REFERENCES orders, sku text);
CREATE INDEX ON items (order_id);
CREATE TABLE parts (item_id int REFERENCES items, code text);
CREATE INDEX ON parts (item_id);
INSERT INTO customers
    SELECT n, CASE n WHEN 13 THEN 'x' ELSE '' END || n, 'mail-' || n, n % 3 > 0, CASE n % 4 WHEN 0 THEN 'phone-' || n END
    FROM generate_series(1, 3000) n;
INSERT INTO details SELECT n, 'nick-' || n, 'street-' || n, 'city-' || n, CASE WHEN n % 4 < 2 THEN 'phone-' || n - n % 4 END
    FROM generate_series(1, 3000) n WHERE n <> 2;
INSERT INTO cards SELECT n, 'card-' || n || '-' || k, date '2020-01-01' + k
    FROM generate_series(1, 3000) n, generate_series(1, 3) k;
INSERT INTO orders SELECT n * 10 + k, n, date '2021-01-01' + k FROM generate_series(1, 3000) n, generate_series(1, 2) k;
INSERT INTO items SELECT id, id, 'sku-' || id FROM orders;
INSERT INTO parts SELECT id, k || '-' || id FROM items, generate_series(1, 2) k;
CREATE VIEW contacts AS SELECT c.id, d.nick, c.email, upper(c.name) AS name
    FROM customers c LEFT JOIN details d ON d.customer_id = c.id;
CREATE VIEW failing AS SELECT c.id, c.vip, COALESCE(1 / (c.id - 13), 0) AS part FROM customers c;
"""
RULES = """version: 1
attributes: {name: {}, email: {}, vip: {}, nick: {}, address: {}, card: {}, visits: {}, goods: {}, parts: {}, topic: {}, phone: {}}
tables:
  public.customers: {subject: id, columns: {id: open, name: name, email: email, vip: vip, phone: phone}}
  public.details: {subject: customer_id, columns: {customer_id: open, nick: nick, street: address, city: address, phone: phone}}
  public.cards: {subject: customer_id, columns: {customer_id: open, number: card, seen: open}}
  public.orders: {subject: customer_id, columns: {id: open, customer_id: open, placed: visits}}
  public.items: {subject: {column: order_id, references: public.orders.id}, columns: {id: open, order_id: open, sku: goods}}
  public.parts: {subject: {column: item_id, references: public.items.id}, columns: {item_id: open, code: parts}}
apps: {every: {logins: [every]}, held: {logins: [held]}, chosen: {logins: [chosen]}, masked: {logins: [masked]}}
masks: {half: {kind: partial, keep_first: 2}}
policies:
  - {name: in part, apps: [masked], attributes: [name, address, card, topic], action: mask, mask: half}
  - {name: everything, attributes: all, action: show}
  - {name: by the law, apps: [every], attributes: all, action: show, basis: legal_obligation}
  - {name: who agreed, apps: [chosen], tables: [public.customers, public.details], rows: {consent: [email]}}
  - {name: of these years, apps: [chosen], tables: [public.cards, public.orders], rows: {where: "CURRENT_DATE > '2020-01-01'"}}
rights: {restriction: enforced}
sources: {letters: {subject: number, fields: {topic: topic, phone: phone}}}
profile:
  subject: public.customers.id
  columns:
    address: {from: public.details, columns: [street, city]}
    phone: [public.customers.phone, public.details.phone, sources]
  lists:
    card: {from: public.cards, columns: [number, seen], order_by: seen, limit: 2}
    visits: {from: public.orders, columns: [placed], order_by: placed}
    goods: {from: public.items, columns: [sku], order_by: sku, limit: 5}
    parts: {from: public.parts, columns: [code], order_by: code, limit: 3}
""".replace("everything, attributes", "everything, apps: [held, chosen, masked], attributes")
HELD = """
INSERT INTO consentry.restrictions (subject) VALUES (7), (13);
INSERT INTO consentry.state (subject, app, granted)
    SELECT n, 'chosen', '{email}' FROM generate_series(1, 3000) n WHERE n NOT IN (8, 13, 23);
INSERT INTO consentry.profile_data (subject, topic, phone)
    SELECT n, 'topic-' || n, 'phone-' || n - n % 4 FROM generate_series(2, 3000, 2) n;
-- Whom only other sources know: -2 came into the table since the last sync.
INSERT INTO consentry.profile_data (subject, topic, phone) SELECT -n, 'other-' || n, 'phone--' || n FROM generate_series(1, 3000) n;
INSERT INTO consentry.profile_others SELECT -n FROM generate_series(1, 3000) n;
INSERT INTO customers VALUES (-2, '-2', 'mail--2', true, NULL);
INSERT INTO cards VALUES (-1, 'card--1', '2020-01-01');
INSERT INTO consentry.restrictions (subject) VALUES (-7), (-13);
INSERT INTO consentry.state (subject, app, granted)
    SELECT -n, 'chosen', '{email}' FROM generate_series(1, 3000) n WHERE n NOT IN (8, 13, 23);
"""


@dataclass
class Planned:
    """One database, and a planner for each app."""

    connection: psycopg.Connection[tuple[Any, ...]]
    planners: dict[str, Planner]

    def text(self, app: str, statement: str, types: tuple[int, ...] = ()) -> str:
        plan = self.planners[app].plan(statement.encode(), SearchPath(("pg_catalog", "public")), types)
        assert plan.refusal is None, f"{plan.refusal} {plan.refusal.hint if plan.refusal else ''}"
        return plan.text.decode()

    def rows(self, app: str, statement: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        cursor = psycopg.RawCursor(self.connection)
        return sorted(cursor.execute(self.text(app, statement), values).fetchall(), key=repr)

    def explained(self, text: str, values: int = 0) -> str:
        """The plan of a text that stands for any values of its parameters (of lists: for short ones)."""
        cursor = psycopg.RawCursor(self.connection)
        cursor.execute(f"SET plan_cache_mode = force_{'custom' if 'ANY ($1)' in text else 'generic'}_plan")
        cursor.execute(f"PREPARE looked AS {text}")
        given = "('{42, 13}')" if "ANY ($1)" in text else "(NULL)" if values else ""
        try:
            return "\n".join(line for (line,) in cursor.execute(f"EXPLAIN EXECUTE looked{given}").fetchall())
        finally:
            cursor.execute("DEALLOCATE looked")


@pytest.fixture(scope="module")
def planned(pg_server: PgServer) -> Iterator[Planned]:
    dsn = pg_server.create_database("profile_lookups")

    async def prepare() -> dict[str, Planner]:
        connection = await asyncpg.connect(dsn)
        try:
            await ledger.setup(connection, "bigint", ["every", "held", "chosen", "masked"])
            await connection.execute(FILL)
            source = load_rules([("rules.yaml", RULES)])
            await shape.follow(connection, source)
            snapshot = await take_snapshot(connection)
            await relation.follow(connection, compile_rules(source, snapshot), snapshot)
            await connection.execute(HELD)
            await connection.execute("VACUUM ANALYZE")
            snapshot = await take_snapshot(connection)
        finally:
            await connection.close()
        rules = compile_rules(source, snapshot)
        return {name: Planner(app, rules, snapshot) for name, app in rules.apps.items()}

    planners = asyncio.run(prepare())
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("SET search_path = pg_catalog, public")
        yield Planned(connection, planners)


ALL = "subject, name, email, nick, address, card, visits, goods, parts, topic"
# How many parameters, and the statement.
LOOKUPS = [
    (0, f"SELECT {ALL} FROM consentry.profile WHERE subject = 42"),
    (1, f"SELECT {ALL} FROM consentry.profile WHERE subject = $1"),
    (1, f"SELECT {ALL} FROM consentry.profile p WHERE p.subject = $1::int"),
    (0, f"SELECT {ALL} FROM consentry.profile WHERE subject IN (42, 43, 13)"),
    (1, f"SELECT {ALL} FROM consentry.profile WHERE subject = ANY ($1)"),
    (0, f"SELECT {ALL} FROM consentry.profile WHERE email = 'mail-42'"),
    (1, f"SELECT {ALL} FROM consentry.profile WHERE email = $1"),
    (0, f"SELECT {ALL} FROM consentry.profile WHERE nick = 'nick-42'"),
    (0, f"SELECT {ALL} FROM consentry.profile WHERE phone = 'phone-40'"),
    (1, f"SELECT {ALL}, phone FROM consentry.profile WHERE phone = $1"),
    (1, "SELECT * FROM consentry.profile WHERE $1 = phone"),
    (1, "SELECT subject FROM consentry.profile WHERE phone = $1 AND name IS NOT NULL"),
    (1, "SELECT p.name, o.id FROM consentry.profile p JOIN orders o ON o.customer_id = p.subject WHERE p.phone = $1"),
    (1, "SELECT subject FROM consentry.profile WHERE phone = ANY ($1::text[])"),
    (0, "SELECT * FROM consentry.profile WHERE phone IN ('phone-40', 'phone-44', 'phone--13')"),
    (1, f"SELECT {ALL} FROM consentry.profile WHERE nick = $1"),
    (1, "SELECT * FROM consentry.profile WHERE subject = $1"),
    (
        0,
        "SELECT p.*, o.id FROM consentry.profile p JOIN orders o ON o.customer_id = p.subject WHERE o.customer_id = 42",
    ),
    (
        0,
        "SELECT p.card, o.id FROM consentry.profile p LEFT JOIN orders o ON o.customer_id = p.subject WHERE subject = 5",
    ),
    (0, "SELECT id, nick, name FROM contacts WHERE id = 42"),
    (1, "SELECT id, nick, name FROM contacts WHERE nick = $1"),
]
# What needs fences, because more than comparisons is asked.
FENCED = [
    (0, f"SELECT {ALL} FROM consentry.profile WHERE subject = 42 AND name ILIKE '%2'"),
    (0, f"SELECT {ALL} FROM consentry.profile WHERE subject = 42 AND phone = 'phone-40' AND name ILIKE '%2'"),
    (1, f"SELECT {ALL} FROM consentry.profile WHERE subject = $1 AND card @> '[{{}}]'"),
    (1, f"SELECT {ALL} FROM consentry.profile p WHERE $1::bigint = p.subject AND length(p.name) > 0"),
    (0, f"SELECT {ALL} FROM consentry.profile WHERE subject IN (42, 43, 13) AND name ILIKE '%2'"),
    (1, f"SELECT {ALL} FROM consentry.profile WHERE subject = ANY ($1) ORDER BY lower(name)"),
    (0, f"SELECT {ALL} FROM consentry.profile WHERE (subject, vip) = (42, false) AND name ILIKE '%2'"),
    (1, "SELECT a, c, f FROM consentry.profile AS p (a, b, c, d, e, f) WHERE a = $1 AND b ILIKE '%2'"),
    (
        0,
        "SELECT p.*, o.id FROM consentry.profile p JOIN orders o ON o.customer_id = p.subject"
        " WHERE o.customer_id = 42 AND p.name ILIKE '%2'",
    ),
    (
        1,
        "SELECT p.*, o.id FROM consentry.profile p JOIN orders o ON o.customer_id = p.subject AND p.subject = $1"
        " WHERE p.name ILIKE '%2'",
    ),
    (1, "SELECT id, nick, name FROM contacts WHERE id = $1 AND name LIKE '%2'"),
    (0, "SELECT (SELECT card FROM consentry.profile WHERE subject = 42)"),
    (1, "SELECT count(*) FROM (SELECT DISTINCT * FROM consentry.profile WHERE subject = $1) x"),
]
# Found by other than the key, customers are looked for in each table as a whole; the last asks from further out.
SLOWER = [
    (0, f"SELECT {ALL} FROM consentry.profile WHERE subject BETWEEN 42 AND 44 AND 50 > subject AND name ILIKE '%2'"),
    (0, "SELECT email, card FROM consentry.profile WHERE email = 'mail-42' AND name ILIKE '%2'"),
    (0, "SELECT count(*), count(topic), count(name), min(subject) FROM consentry.profile"),
    (0, "SELECT subject, topic FROM consentry.profile WHERE topic = 'other-1' OR topic ILIKE '%-13'"),
    (0, "SELECT subject, name FROM consentry.profile ORDER BY subject LIMIT 3"),
    (
        0,
        "SELECT x.* FROM (SELECT subject, card, goods FROM consentry.profile) x JOIN consentry.profile p"
        " ON p.subject = 42 WHERE x.subject = p.subject AND p.name ILIKE '%2'",
    ),
]
# What PostgreSQL does by itself as long as it looks for the best order of so many joins (join_collapse_limit).
JOINED = (1, "SELECT p.*, o.id FROM consentry.profile p JOIN orders o ON o.customer_id = p.subject WHERE o.id = $1")
SMALL = ("Seq Scan on state", "Seq Scan on restrictions")  # all of it may be read


HIDDEN = {"every": [0], "held": [7, 13, -7, -13], "chosen": [7, 8, 13, 23, -7, -8, -13, -23]}


@pytest.mark.parametrize("app", [*HIDDEN, "masked"])
@pytest.mark.parametrize(("values", "statement"), [*LOOKUPS, *FENCED])
def test_a_look_up_is_one_in_each_table(planned: Planned, app: str, values: int, statement: str) -> None:
    check_scans(planned.explained(planned.text(app, statement), values))


def check_scans(plan: str) -> None:
    for words in SMALL:
        plan = plan.replace(words, "")
    assert "Seq Scan" not in plan, plan


@pytest.mark.parametrize(
    "sources",
    [
        "(SELECT customer_id AS id FROM details) s",
        "(SELECT customer_id AS id FROM details UNION ALL SELECT customer_id FROM cards) s",
        "(SELECT customer_id AS id FROM details EXCEPT (SELECT customer_id FROM cards UNION SELECT customer_id FROM orders)) s",
        "(SELECT c.customer_id AS id FROM (SELECT * FROM cards) c) s",
        "(VALUES (1), (2)) s (id)",
        "generate_series(1, 2) s (id)",
    ],
)
def test_what_a_sub_query_around_makes_goes_inside(planned: Planned, sources: str) -> None:
    """It is compared within, where the form needs a fence."""
    inner = "SELECT 1 FROM customers c WHERE c.id = s.id AND length(c.name) > 1"
    deeper = f"SELECT 1 FROM orders o WHERE o.customer_id = s.id AND EXISTS ({inner})"
    for condition in (inner, deeper):
        planned.rows("held", f"SELECT s.id FROM {sources} WHERE EXISTS ({condition})")
    planned.rows("held", f"SELECT (SELECT count(*) FROM ({inner}) x) FROM {sources}")


_S = "(SELECT customer_id AS id FROM details) s"
_T = "(SELECT customer_id AS id FROM cards) t"
_OF = "SELECT c.name FROM customers c WHERE c.id = {}.id AND length(c.name) > 1"
AROUND = [
    f"SELECT s.id, l.* FROM {_S} LEFT JOIN LATERAL ({_OF.format('s')}) l ON true",
    f"SELECT s.id, l.* FROM {_S}, LATERAL ({_OF.format('s')}) l",
    f"SELECT s.id, l.* FROM {_S} JOIN {_T} ON s.id = t.id LEFT JOIN LATERAL ({_OF.format('s')}) l ON true",
    f"SELECT s.id, l.* FROM {_S}, LATERAL (SELECT m.* FROM (SELECT 1) u, LATERAL ({_OF.format('s')}) m) l",
    f"SELECT s.id FROM {_S} LEFT JOIN {_T} ON t.id = s.id AND EXISTS ({_OF.format('s')})",
    f"SELECT s.id FROM {_T} JOIN ({_S} JOIN (SELECT 1) u ON EXISTS ({_OF.format('s')})) ON t.id = s.id",
    f"UPDATE orders SET placed = now() FROM {_S} WHERE s.id = orders.customer_id AND EXISTS ({_OF.format('s')})",
    f"UPDATE orders SET placed = (SELECT min(k.seen) FROM cards k WHERE EXISTS ({_OF.format('s')})) FROM {_S}",
    f"DELETE FROM orders o USING {_S} WHERE s.id = o.customer_id AND EXISTS ({_OF.format('s')})",
    f"MERGE INTO orders o USING {_S} ON s.id = o.customer_id WHEN MATCHED AND EXISTS ({_OF.format('s')}) THEN DELETE",
]


@pytest.mark.parametrize("app", ["held", "chosen"])
@pytest.mark.parametrize("statement", AROUND)
def test_what_stands_beside_a_sub_query_goes_inside(planned: Planned, app: str, statement: str) -> None:
    """Of a LATERAL one, too, and of one in ON, and of a write's."""
    assert '_t."id" OPERATOR(pg_catalog.=) "s"."id"' in planned.text(app, statement)


@pytest.mark.parametrize("statement", AROUND[:6])
def test_they_answer_the_same(planned: Planned, statement: str) -> None:
    bare = statement
    for name, key in (("customers", "id"), ("details", "customer_id"), ("cards", "customer_id")):
        seen = f"(SELECT * FROM {name} WHERE {key} <> ALL (ARRAY{HIDDEN['held']}))"
        bare = re.sub(
            rf"FROM {name}( c)?", lambda found, seen=seen, name=name: f"FROM {seen}{found[1] or ' ' + name}", bare
        )
    expected = sorted(planned.connection.execute(bare).fetchall(), key=repr)
    assert planned.rows("held", statement) == expected
    assert len(expected) > 1000


@pytest.mark.parametrize("statement", [one for one in AROUND if "t.id" in one])
def test_nothing_else_that_stands_beside_it_does(planned: Planned, statement: str) -> None:
    for other in ('"t"."id"', '"s"."ctid"', '"o"."id"', '"c"."id"'):
        check_proof(planned, statement, 'OPERATOR(pg_catalog.=) "s"."id"', f"OPERATOR(pg_catalog.=) {other}")


def test_what_the_proof_does_not_know_is_left_outside(planned: Planned) -> None:
    """Nothing is refused for it: the form is read as a whole."""
    statement = f"DELETE FROM orders o USING {_S} WHERE s.id = o.customer_id RETURNING ({_OF.format('s')})"
    assert "OFFSET 0" in planned.text("held", statement)
    assert '"s"."id"' not in planned.text("held", statement)


@pytest.mark.parametrize("app", HIDDEN)
def test_a_look_up_through_a_join(planned: Planned, app: str) -> None:
    values, statement = JOINED
    with planned.connection.transaction():
        planned.connection.execute("SET LOCAL join_collapse_limit = 20; SET LOCAL from_collapse_limit = 20")
        check_scans(planned.explained(planned.text(app, statement), values))


def bare(statement: str, app: str) -> str:
    """The same question without Consentry, of a profile and a view without those whom the app must not know of."""
    gone = HIDDEN[app]
    for name, key in (("consentry.profile", "subject"), ("contacts", "id")):
        seen = f"(SELECT * FROM {name} WHERE {key} <> ALL (ARRAY{gone}))"
        alias = name.rpartition(".")[2]
        statement = re.sub(rf"FROM {name} (AS p|p|x)\b", rf"FROM {seen} \1", statement)
        statement = re.sub(rf"JOIN {name} (p|x)\b", rf"JOIN {seen} \1", statement)
        statement = re.sub(rf"FROM {name}\b(?! WHERE {key} <> ALL)", f"FROM {seen} AS {alias}", statement)
    return statement


@pytest.mark.parametrize("app", HIDDEN)
@pytest.mark.parametrize(("values", "statement"), [*LOOKUPS, *FENCED, *SLOWER, JOINED])
def test_the_answers_are_the_same(planned: Planned, app: str, values: int, statement: str) -> None:
    keys: list[Any] = [42, 2, 7, 8, 13, 421, 9999, -1, -2, -7, -8, -13, -2999, -9999]
    if "ANY ($1)" in statement:
        keys = [[42, 7, 8, 9999], [2], [], [-1, -2, 3, -7, -8]]
    elif "::text[]" in statement:
        keys = [["phone-40", "phone-12", "phone--13", "phone--1"], ["phone-8"], []]
    elif (compared := re.search(r"(mail|nick|phone) = \$1|\$1 = (phone)", statement)) is not None:
        keys = [f"{compared[1] or compared[2]}-{key}" for key in (*keys, 40)]
    given = [(key,) for key in keys] if values else [()]
    found = 0
    for one in given:
        cursor = psycopg.RawCursor(planned.connection)
        expected = sorted(cursor.execute(bare(statement, app), one).fetchall(), key=repr)
        assert planned.rows(app, statement, one) == expected
        found += len(expected)
    assert found > 0


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"consentry"."profile_others"', '"consentry"."profile_data"'),
        ('"consentry"."profile_others"', '"public"."details"'),
        ('true AS "own"', 'false AS "own"'),
        (" UNION ALL SELECT ", " UNION SELECT "),
        ("NULL::text", "'x'::text"),
        (', "name", ', ', "name" || email, '),
        ('p."own" OR NOT EXISTS', 'NOT p."own" OR NOT EXISTS'),
        ("AS _t WHERE (NOT EXISTS", "AS _t WHERE (EXISTS"),
        ('UNION ALL SELECT "subject", ', 'UNION ALL SELECT "subject" + 1, '),
    ],
)
def test_what_the_verifier_demands(planned: Planned, old: str, new: str) -> None:
    """With whom the profile begins is a part of the proof."""
    check_proof(planned, "SELECT name FROM consentry.profile WHERE name ILIKE '%2'", old, new)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('(p."phone" IS NULL) AND (p1."phone" IS NOT NULL)', '(p1."phone" IS NOT NULL)'),
        ('p1."phone"::text AS "sought"', 'p1."nick"::text AS "sought"'),
        ('p1."phone"::text AS "sought"', 'p1."phone"::name AS "sought"'),
        ('p."sought" AS "phone"', 'p."email" AS "phone"'),
        ('LEFT JOIN "public"."details" p1', 'JOIN "public"."details" p1'),
        ("\nUNION ALL\nSELECT", "\nUNION\nSELECT"),
        ('WHERE (p."own" OR NOT EXISTS', 'WHERE (NOT p."own" OR NOT EXISTS'),
    ],
)
def test_how_a_value_is_looked_up_is_a_part_of_the_proof(planned: Planned, old: str, new: str) -> None:
    check_proof(planned, "SELECT name, email FROM consentry.profile WHERE phone = 'phone-42'", old, new, "every")


def check_proof(planned: Planned, sent: str, old: str, new: str, app: str = "held") -> None:
    path = SearchPath(("pg_catalog", "public"))
    made = planned.text(app, sent)
    _, verifier = planned.planners[app]._over(sent, parse(sent))
    verifier.verify(sent, made, path, ())
    assert old in made
    with pytest.raises(PgError):
        verifier.verify(sent, made.replace(old, new, 1), path, ())


@pytest.mark.parametrize("app", ["held", "chosen"])
@pytest.mark.parametrize(
    "condition",
    [
        "1 / (subject - 13) > -2",
        "1 / (subject + 13) > -2",
        "subject IN (-13, -12) AND 1 / (subject + 13) > -2",
        "topic = 'other-13' AND 1 / (subject + 13) > -2",
        "subject = 13 AND 1 / (subject - 13) > 0",
        "subject IN (13, 42) AND 1 / (subject - 13) > -2",
        "subject BETWEEN 12 AND 14 AND 1 / (subject - 13) > -2",
        "subject < 20 AND name::int > 0",  # that of 13 is no number
        "email = 'mail-13' AND name::int > 0",
        "subject = 13::numeric / (subject - 13)",
        "nick = 'nick-13' AND length(nick) / (subject - 13) > 0",
        "subject = 13 AND (SELECT 1 / (subject - 13)) > 0",
        "CASE WHEN subject = 13 THEN 1 / (subject - 13) > 0 END",
        "subject = 13 AND card @> jsonb_build_array(1 / (subject - 13))",
    ],
)
def test_nothing_else_goes_inside(planned: Planned, app: str, condition: str) -> None:
    """What fails for 13 alone, who does not exist for the app, does not fail."""
    for output in ("count(*)", "subject, card"):
        planned.rows(app, f"SELECT {output} FROM consentry.profile WHERE {condition} AND subject < 20")


@pytest.mark.parametrize("app", ["held", "chosen"])
@pytest.mark.parametrize(
    "statement",
    [
        "SELECT o.id FROM orders o LEFT JOIN failing f ON f.id = o.customer_id WHERE o.id = 131",
        "SELECT count(*), max(f.part) FROM failing f",
        "SELECT part FROM failing ORDER BY part LIMIT 5",
        "SELECT part FROM failing ORDER BY 1 LIMIT 5",
        "SELECT DISTINCT part FROM failing",
        "SELECT DISTINCT part, id FROM failing LIMIT 5",
        "SELECT count(*) OVER (ORDER BY part) FROM failing LIMIT 5",
        "SELECT part, count(*) FROM failing GROUP BY 1 LIMIT 5",
        "SELECT id FROM failing WHERE part > -2",
        "SELECT id FROM failing f WHERE f IS NOT NULL",
        "SELECT * FROM failing WHERE id = 13",
        "SELECT id, part FROM failing GROUP BY ROLLUP (id, part)",
        "SELECT id, max(part) FROM failing GROUP BY ROLLUP (id)",
        "SELECT o.id, f.part FROM failing f LEFT JOIN orders o ON o.customer_id = f.id AND f.part = 5",
        "SELECT o.id, f.part FROM orders o LEFT JOIN failing f ON f.id = o.customer_id AND f.id = 13",
        "SELECT o.id, f FROM orders o FULL JOIN failing f ON f.id = o.customer_id",
    ],
)
def test_what_a_view_computes_is_not_computed_of_hidden_rows(planned: Planned, app: str, statement: str) -> None:
    for settings in (
        "",
        "SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; SET LOCAL enable_hashagg = off;"
        "SET LOCAL parallel_setup_cost = 0; SET LOCAL parallel_tuple_cost = 0;"
        "SET LOCAL min_parallel_table_scan_size = 0",
    ):
        with planned.connection.transaction():
            planned.connection.execute(settings or "SELECT 1")
            planned.rows(app, statement)


@pytest.mark.parametrize("app", ["every", "held", "chosen", "masked"])
@pytest.mark.parametrize("condition", ["true", "subject > 42"])
def test_a_page_by_the_key_reads_no_further_than_it_goes(planned: Planned, app: str, condition: str) -> None:
    statement = f"SELECT {ALL} FROM consentry.profile WHERE {condition} ORDER BY subject LIMIT 3"
    plan = planned.explained(planned.text(app, statement))
    assert "Limit" in plan.splitlines()[0]
    assert not re.search(r"(?m)^ {0,8}->  (Incremental )?Sort|Hash Left Join", plan), plan
