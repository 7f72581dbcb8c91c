"""kill -9 at random moments of erasing and of retention: each transaction is done wholly or not at all, and told of."""

from __future__ import annotations

import random
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from proxy.audit.keys import read_public
from proxy.rights.receipts import holds
from tests.gateways import COMMAND, audit_records, environment
from tests.integration.test_cli import run
from tests.servers import PgServer
from tests.websites import prepare

SCHEMA = """
CREATE TABLE customers (id int PRIMARY KEY, full_name text NOT NULL);
CREATE TABLE orders (id int PRIMARY KEY, customer_id int REFERENCES customers, placed timestamptz NOT NULL, note text, held boolean NOT NULL);
CREATE TABLE items (order_id int NOT NULL REFERENCES orders, what text);
CREATE TABLE calls (customer_id int REFERENCES customers, words text, place text);
INSERT INTO customers SELECT n, 'Name ' || n FROM generate_series(1, 150) n;
"""
ORDERS = """
INSERT INTO orders SELECT {first} + n, 1 + n % 150, now() - interval '9 years', 'note ' || n, n % 50 = 0 FROM generate_series(0, 599) n;
INSERT INTO items SELECT {first} + n % 600, 'thing ' || n FROM generate_series(0, 1199) n;
"""
RULES = """
version: 1
attributes: {full_name: {}, orders: {}, words: {}, place: {}}
tables:
  public.customers: {subject: id, columns: {id: open, full_name: full_name}, erase: anonymise}
  public.orders:
    subject: customer_id
    columns: {id: open, customer_id: open, placed: open, note: orders, held: open}
    erase: {action: delete, keep: [{reason: a dispute, where: held}]}
  public.items:
    subject: {column: order_id, references: public.orders.id}
    columns: {order_id: open, what: orders}
    erase: delete
  public.calls: {subject: customer_id, columns: {customer_id: open, words: words, place: place}, erase: delete}
apps:
  crm: {logins: [kills_crm]}
  mailco: {logins: [kills_mailco], kind: partner}
policies:
  - {name: service, apps: [crm], attributes: all, action: show, basis: contract}
  - {name: until they object, apps: [mailco], attributes: [words], action: show, consent: opt_out}
retention:
  public.orders: {for: 3y, by: placed}
"""


class Shop:
    """A database of its own, and a log."""

    def __init__(self, server: PgServer, folder: Path) -> None:
        self.server, self.folder = server, folder
        self.dsn = prepare(server, folder, "killed_rights", SCHEMA, RULES, ["kills_crm", "kills_mailco"])
        self.connection = psycopg.connect(self.dsn, autocommit=True, application_name="test")
        self.chosen = random.Random()
        self.kills = 0
        self.taken: float | None = None  # seconds that the last whole command took from there on

    def rows(self, query: str) -> list[Any]:
        return self.connection.execute(query.encode()).fetchall()

    def killed(self, *arguments: str) -> bool:
        """Runs a command and kills it at some moment after it began to write: whether it was killed. The first is not."""
        process = subprocess.Popen(
            [*COMMAND, *arguments], cwd=self.folder, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        others = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        while process.poll() is None and not self.rows(f"{others} AND backend_xid IS NOT NULL"):
            time.sleep(0.001)
        begun = time.monotonic()
        try:
            process.wait(self.taken and self.chosen.uniform(0, 1.2 * self.taken))
            self.taken = time.monotonic() - begun
        except subprocess.TimeoutExpired:
            process.kill()
        _, said = process.communicate()
        assert process.returncode in (0, -9), said.decode()
        self.kills += process.returncode == -9
        while self.rows(others):  # the server has noticed
            time.sleep(0.002)
        return process.returncode == -9

    def done(self, *arguments: str) -> Any:
        """A command that comes to its end."""
        ended = run(*arguments, "--json", "--config", str(self.folder / "consentry.yaml"))
        assert ended.code == 0, ended.err
        return ended.json

    def receipts(self) -> list[dict[str, Any]]:
        """Those of the database, each signed and told of in the log."""
        found = [row[0] for row in self.rows("SELECT receipt FROM consentry.receipts")]
        told = {one["receipt"]: one for one in audit_records(self.folder / "audit") if one["event"] == "subject"}
        for one in found:
            assert holds(read_public(self.folder / "audit.key.pub"), one)
            assert (told[one["receipt"]]["act"], told[one["receipt"]]["tables"]) == (one["act"], one["tables"])
        assert len(told) - len(found) <= self.kills, "what was not committed before a kill is told of once"
        return found


@pytest.fixture
def shop(pg_server: PgServer, tmp_path: Path) -> Shop:
    return Shop(pg_server, tmp_path)


def again_and_again(shop: Shop, times: int, once: Callable[[], None]) -> None:
    """Until so many were killed; then the log is whole."""
    while shop.kills < times:
        once()
    assert "whole: " in run("audit", "verify", "--config", str(shop.folder / "consentry.yaml")).out


def erased_again_and_again(shop: Shop, times: int) -> None:
    shop.connection.execute(ORDERS.format(first=0).encode())
    shop.server.run("killed_rights", """
        INSERT INTO calls SELECT n, 'words ' || n, 'place' FROM generate_series(1, 150) n, generate_series(1, 3);
        INSERT INTO consentry.profile_records (source, key, subject, how, "values", digest, read_at)
            SELECT 'crm', 'k-' || n, n, 'key', '{"words": "some"}', '', now() FROM generate_series(1, 150) n;
        INSERT INTO consentry.profile_keys SELECT 'crm', 'k-' || n, 'email', n || '@x.org', n || '@x.org' FROM generate_series(1, 150) n""")  # fmt: skip
    held = """
        SELECT (SELECT full_name FROM customers WHERE id = {0}), (SELECT count(*) FROM orders WHERE customer_id = {0} AND NOT held),
            (SELECT count(*) FROM orders WHERE customer_id = {0} AND held),
            (SELECT count(*) FROM items JOIN orders ON id = order_id WHERE customer_id = {0}), (SELECT count(*) FROM calls WHERE customer_id = {0}),
            (SELECT count(*) FROM consentry.profile_records WHERE subject = {0}), (SELECT count(*) FROM consentry.profile_keys WHERE key = 'k-{0}'),
            (SELECT count(*) FROM consentry.events WHERE subject = {0} AND decision = 'withdrawn'),
            (SELECT count(*) FROM consentry.profile_tombstones WHERE hash = consentry.profile_tombstone('subject', '', '{0}'))"""
    before = {number: shop.rows(held.format(number))[0] for number in range(1, 151)}
    erased = 0
    customers = iter(before)

    def once() -> None:
        nonlocal erased
        number = next(customers)
        killed = shop.killed("subject", "erase", str(number), "--yes", "--json")
        name, _, kept, *_ = before[number]
        after = ("", 0, kept, 0, 0, 0, 0, 1, 1)
        (now,) = shop.rows(held.format(number))
        assert now in (before[number], after), name
        assert killed or now == after
        assert len(shop.receipts()) == erased + (now == after)
        again = shop.done("subject", "erase", str(number), "--yes")
        assert ("receipt" in again) == (now != after)
        assert shop.rows(held.format(number)) == [after]
        erased += 1
        assert len(shop.receipts()) == erased

    again_and_again(shop, times, once)
    rest = {number: shop.rows(held.format(number))[0] for number in customers}
    assert rest == {number: before[number] for number in rest}


def kept_again_and_again(shop: Shop, times: int) -> None:
    put, held = 0, 0

    def once() -> None:
        nonlocal put, held
        if not shop.rows("SELECT FROM orders WHERE NOT held"):
            shop.server.run("killed_rights", ORDERS.format(first=1000 * put))
            put, held = put + 1, held + 12
        killed = shop.killed("retention", "run", "--batch", "20", "--json")
        ((orders, kept, items, kept_items),) = shop.rows(
            "SELECT count(*) FILTER (WHERE NOT held), count(*) FILTER (WHERE held), (SELECT count(*) FROM items), "
            "(SELECT count(*) FROM items JOIN orders ON id = order_id WHERE held) FROM orders"
        )
        assert (kept, kept_items, items) == (held, 2 * held, 2 * orders + 2 * held)
        assert killed or orders == 0
        tables = [table for one in shop.receipts() for table in one["tables"]]
        went = {
            relation: sum(table["rows"] for table in tables if table["relation"] == relation)
            for relation in ("public.orders", "public.items")
        }
        assert went == {"public.orders": 588 * put - orders, "public.items": 2 * (588 * put - orders)}

    again_and_again(shop, times, once)
    shop.done("retention", "run")
    assert shop.rows("SELECT FROM orders WHERE NOT held") == []


def test_killed_erasures_are_done_wholly_or_not_at_all(shop: Shop) -> None:
    erased_again_and_again(shop, 2)


def test_killed_retention_tells_of_each_batch_that_went(shop: Shop) -> None:
    kept_again_and_again(shop, 2)


@pytest.mark.nightly
@pytest.mark.timeout(3600)
def test_erasures_killed_a_hundred_times(shop: Shop) -> None:
    erased_again_and_again(shop, 100)


@pytest.mark.nightly
@pytest.mark.timeout(3600)
def test_retention_killed_a_hundred_times(shop: Shop) -> None:
    kept_again_and_again(shop, 100)
