"""What a look-up in the profile costs where rows are hidden from the app, against an app from which none are.

`python -m benchmarks.profile_lookups [--customers 100000] [--rounds 5] [--others 1000]`. One customer is looked for by
key or attribute, in two tables and two lists; the texts are what the gateway sends on, on one connection, prepared,
interleaved: what is compared is the server's work. With `--others` another source tells of every customer, and of so
many whom the table does not have.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
from time import perf_counter

import asyncpg
import psycopg

from benchmarks import _report
from proxy.catalog.introspect import take_snapshot
from proxy.catalog.model import SearchPath
from proxy.consent import ledger
from proxy.policy.compile import compile_rules
from proxy.policy.load import load_rules
from proxy.profile import relation, shape
from proxy.rewrite.plan import Planner
from tests.servers import find_server

RULES = """
version: 1
attributes: {name: {}, email: {}, nick: {}, city: {}, orders: {}, goods: {}}
tables:
  public.customers: {subject: id, columns: {id: open, name: name, email: email}}
  public.details: {subject: customer_id, columns: {customer_id: open, nick: nick, city: city}}
  public.orders: {subject: customer_id, columns: {id: open, customer_id: open, placed: orders}}
  public.items: {subject: {column: order_id, references: public.orders.id}, columns: {order_id: open, sku: goods}}
apps: {court: {logins: [court]}, shop: {logins: [shop]}, mailco: {logins: [mailco]}}
policies:
  - {name: the court, apps: [court], attributes: all, action: show, basis: legal_obligation}
  - {name: the rest, attributes: all, action: show}
  - {name: who agreed, apps: [mailco], tables: [public.customers, public.details], rows: {consent: [email]}}
rights: {restriction: enforced}
profile:
  subject: public.customers.id
  lists:
    orders: {from: public.orders, columns: [placed], order_by: placed, limit: 20}
    goods: {from: public.items, columns: [sku], order_by: sku, limit: 20}
"""
SOURCE = (
    RULES.replace("goods: {}}", "goods: {}, topic: {}}", 1)
    + """
sources: {letters: {subject: number, fields: {topic: topic}}}
"""
)
OTHERS = """
INSERT INTO consentry.profile_data (subject, topic) SELECT n, 'topic ' || n FROM generate_series(1, {customers}) n;
INSERT INTO consentry.profile_data (subject, topic) SELECT -n, 'topic ' || n FROM generate_series(1, {others}) n;
INSERT INTO consentry.profile_others SELECT -n FROM generate_series(1, {others}) n;
INSERT INTO consentry.state (subject, app, granted)
    SELECT -n, 'mailco', ARRAY['email'] FROM generate_series(1, {others}) n WHERE n % 3 <> 0;
"""
FILL = """
CREATE TABLE customers (id bigint PRIMARY KEY, name text, email text UNIQUE);
CREATE TABLE details (customer_id bigint PRIMARY KEY, nick text UNIQUE, city text);
CREATE TABLE orders (id bigint PRIMARY KEY, customer_id bigint, placed date NOT NULL);
CREATE TABLE items (order_id bigint, sku text);
CREATE INDEX ON orders (customer_id);
CREATE INDEX ON items (order_id);
INSERT INTO customers SELECT n, 'Customer ' || n, 'c' || n || '@example.org' FROM generate_series(1, {customers}) n;
INSERT INTO details SELECT n, 'nick' || n, 'City ' || n % 100 FROM generate_series(1, {customers}) n;
INSERT INTO orders SELECT n * 3 + k, n, date '2024-01-01' + k
    FROM generate_series(1, {customers}) n, generate_series(0, 2) k;
INSERT INTO items SELECT id, 'sku' || id % 1000 FROM orders;
INSERT INTO consentry.state (subject, app, granted)
    SELECT n, 'mailco', ARRAY['email'] FROM generate_series(1, {customers}) n WHERE n % 3 <> 0;
INSERT INTO consentry.restrictions (subject) SELECT n * 1000 FROM generate_series(1, {customers} / 1000) n;
"""
LOOKUPS = {
    "by key": ("SELECT * FROM consentry.profile WHERE subject = $1", lambda n: n),
    "by email": ("SELECT * FROM consentry.profile WHERE email = $1", lambda n: f"c{n}@example.org"),
    "by nick, in another table": ("SELECT * FROM consentry.profile WHERE nick = $1", lambda n: f"nick{n}"),
    "by key, and a pattern": ("SELECT * FROM consentry.profile WHERE subject = $1 AND name ILIKE '%2'", lambda n: n),
    "key by an order's": (
        "SELECT p.* FROM consentry.profile p JOIN orders o ON o.customer_id = p.subject WHERE o.id = $1",
        lambda n: n * 3,
    ),
}


SCAN = {
    "all but one, counted": ("SELECT count(*), count(topic) FROM consentry.profile WHERE subject <> $1", lambda n: n),
}


async def prepare(dsn: str, customers: int, others: int | None) -> dict[str, Planner]:
    connection = await asyncpg.connect(dsn)
    await ledger.setup(connection, "bigint", ["court", "shop", "mailco"])
    await connection.execute(FILL.format(customers=customers))
    source = load_rules([("rules.yaml", RULES if others is None else SOURCE)])
    await shape.follow(connection, source)
    if others is not None:
        await connection.execute(OTHERS.format(customers=customers, others=others))
    snapshot = await take_snapshot(connection)
    await relation.follow(connection, compile_rules(source, snapshot), snapshot)
    await connection.execute("VACUUM ANALYZE")
    snapshot = await take_snapshot(connection)
    await connection.close()
    rules = compile_rules(source, snapshot)
    return {name: Planner(app, rules, snapshot) for name, app in rules.apps.items()}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profile_lookups")
    parser.add_argument("--customers", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--others", type=int)
    options = parser.parse_args()
    server = find_server()
    lines = ["| look-up, ms | nothing hidden | restricted customers hidden | and by consent |", "|---|---|---|---|"]
    try:
        dsn = server.create_database("profile_lookups")
        planners = asyncio.run(prepare(dsn, options.customers, options.others))
        with psycopg.connect(dsn, autocommit=True) as connection:
            cursor = psycopg.RawCursor(connection)
            cursor.execute("SET search_path = public; SET jit = off")
            for name, (lookup, value) in {**LOOKUPS, **(SCAN if options.others is not None else {})}.items():
                types = (20,) if isinstance(value(1), int) else (25,)
                texts = {
                    app: planner.plan(lookup.encode(), SearchPath(("pg_catalog", "public")), types).text
                    for app, planner in planners.items()
                }
                found: dict[str, list[float]] = {app: [] for app in texts}
                for number in range(options.rounds + 1):  # the first warms the cache, and is not counted
                    keys = [value(1 + (number * 7919 + n * 104729) % options.customers) for n in range(10)]
                    for app, text in texts.items():
                        begin = perf_counter()
                        for key in keys:
                            cursor.execute(text, [key], prepare=True)
                            cursor.fetchall()
                        found[app] += [(perf_counter() - begin) / len(keys) * 1e3] if number else []
                lines.append(
                    f"| {name} | {' | '.join(f'{statistics.median(times):.2f}' for times in found.values())} |"
                )
    finally:
        server.close()
    more, told, title = "", "", "Look-ups in the profile"
    if options.others is not None:
        more, title = f" --others {options.others}", f"{title}, with customers whom only other sources know"
        told = f"another source tells of each customer, and of {options.others} whom the table does not have; "
    head = (
        f"`python -m benchmarks.profile_lookups --customers {options.customers}{more}`: {told}two tables and "
        "two lists behind the profile; one of a thousand customers is restricted, two of three agree; "
        f"{options.rounds} rounds of 10, "
        f"interleaved, medians; PostgreSQL {server.version // 10_000}."
    )
    _report.write(title, "\n".join([head, "", *lines]))


if __name__ == "__main__":
    main()
