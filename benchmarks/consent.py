"""What consent costs: a read of customers by an app that sees values only of those who agreed, against the bare table.

`python -m benchmarks.consent [--customers 1000000] [--rounds 5]`. The peer is what a DBA would write without Consentry:
a row for each consent, and a security_barrier view with one EXISTS a column. Beside them the least that any join could
cost: with a table of the customer's key and one number. All run on one connection, interleaved, the app's text as the
gateway sends it on: what is compared is the server's work.
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
from proxy.consent import ledger, spans
from proxy.policy.compile import compile_rules
from proxy.policy.load import load_rules
from proxy.rewrite.plan import Planner
from tests.servers import PgServer, find_server, snapshot_of

RULES = """
version: 1
attributes: {full_name: {label: Name}, email: {label: Email}, phone: {label: Phone}}
tables:
  public.customers:
    subject: id
    columns: {id: open, full_name: full_name, email: email, phone: phone, created_at: open}
apps: {mailco: {logins: [mailco_app], kind: partner, purpose: newsletters}}
policies:
  - {name: those who agreed, attributes: [full_name, email], action: show, consent: opt_in}
  - {name: nothing else, attributes: all, action: mask, mask: "null"}
"""

# Two of three agree; which ones has nothing to do with the order of the table.
FILL = """
CREATE TABLE customers (id bigint PRIMARY KEY, full_name text, email text, phone text, created_at timestamptz);
INSERT INTO customers SELECT n, 'Customer ' || n, 'c' || n || '@example.org', '+49 ' || n, now()
    FROM generate_series(1, {customers}) n;
INSERT INTO consentry.state (subject, app, granted)
    SELECT n, 'mailco', ARRAY['full_name', 'email'] FROM generate_series(1, {customers}) n WHERE hashint8(n) % 3 <> 0;
CREATE TABLE plain_consents (app text, subject bigint, attribute text, PRIMARY KEY (app, subject, attribute));
INSERT INTO plain_consents SELECT 'mailco', subject, unnest(granted) FROM consentry.state;
CREATE VIEW peer WITH (security_barrier) AS SELECT id,
    CASE WHEN EXISTS (SELECT FROM plain_consents p
        WHERE p.app = 'mailco' AND p.subject = c.id AND p.attribute = 'full_name') THEN full_name END AS full_name,
    CASE WHEN EXISTS (SELECT FROM plain_consents p
        WHERE p.app = 'mailco' AND p.subject = c.id AND p.attribute = 'email') THEN email END AS email
    FROM customers c;
CREATE TABLE flags (subject bigint PRIMARY KEY, granted int);
INSERT INTO flags SELECT subject, 3 FROM consentry.state;
CREATE VIEW least AS SELECT id, CASE WHEN granted & 1 = 1 THEN full_name END AS full_name,
    CASE WHEN granted & 2 = 2 THEN email END AS email FROM customers LEFT JOIN flags ON subject = id;
"""

READS = {
    "point, prepared": ("SELECT id, full_name, email FROM {relation} WHERE id = $1", 2000),
    "range of 1000": ("SELECT count(full_name), count(email) FROM {relation} WHERE id BETWEEN $1 AND $1 + 999", 100),
    "full scan": ("SELECT count(full_name), count(email) FROM {relation}", 1),
}


def make(server: PgServer, customers: int) -> str:
    dsn = server.create_database("consents")

    async def prepare() -> None:
        connection = await asyncpg.connect(dsn)
        await ledger.setup(connection, "bigint", ["mailco"])
        await connection.execute(FILL.format(customers=customers))
        rules = compile_rules(load_rules([("rules.yaml", RULES)]), await take_snapshot(connection))
        await spans.follow(connection, rules)
        await connection.execute("VACUUM ANALYZE")
        await connection.close()

    asyncio.run(prepare())
    return dsn


def seconds(cursor: psycopg.RawCursor, text: bytes, keys: list[int]) -> float:
    """For one execution; prepared at the first of them."""
    parameters = b"$1" in text
    begin = perf_counter()
    for key in keys:
        cursor.execute(text, [key] if parameters else None, prepare=True)
        cursor.fetchall()
    return (perf_counter() - begin) / len(keys)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.consent")
    parser.add_argument("--customers", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    server = find_server()
    try:
        dsn = make(server, options.customers)
        snapshot = asyncio.run(snapshot_of(dsn))
        rules = compile_rules(load_rules([("rules.yaml", RULES)]), snapshot)
        planner = Planner(rules.apps["mailco"], rules, snapshot)
        lines = [
            "| read | bare, ms | Consentry | EXISTS in a barrier view | least join | to bare | view to Consentry |",
            "|---|---|---|---|---|---|---|",
        ]
        with psycopg.connect(dsn, autocommit=True) as connection:
            cursor = psycopg.RawCursor(connection)
            cursor.execute("SET jit = off")  # it would dominate the peer's full scan; the ratios are larger with it
            for name, (read, times) in READS.items():
                bare = read.format(relation="customers").encode()
                peers = (read.format(relation=relation).encode() for relation in ("peer", "least"))
                texts = (bare, planner.plan(bare, SearchPath()).text, *peers)
                found: tuple[list[float], ...] = ([], [], [], [])
                for number in range(options.rounds + 1):  # the first round warms the cache, and is not counted
                    step = max((options.customers - 1000) // times, 1)
                    keys = [1 + (number * 7919 + n * step) % (options.customers - 1000) for n in range(times)]
                    for list_, text in zip(found, texts, strict=True):
                        taken = seconds(cursor, text, keys)
                        if number:
                            list_.append(taken * 1e3)
                plain, ours, view, least = map(statistics.median, found)
                times_ms = " | ".join(f"{time:.3f}" for time in (plain, ours, view, least))
                lines.append(f"| {name} | {times_ms} | {ours / plain:.2f} | {view / ours:.1f} |")
        head = (
            f"`python -m benchmarks.consent --customers {options.customers}`: two columns under consent, two of three "
            f"customers agree; {options.rounds} rounds, interleaved, medians; PostgreSQL {server.version // 10_000}."
        )
    finally:
        server.close()
    _report.write("Consent", "\n".join([head, "", *lines]))


if __name__ == "__main__":
    main()
