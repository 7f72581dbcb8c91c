"""Everything held on one customer: the right rows of every table, by API, page and command, or an error that says why."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tests.gateways import audit_records, consentry
from tests.integration.test_cli import run_process
from tests.servers import PgServer
from tests.websites import Website, prepare, website

SCHEMA = """
CREATE TABLE customers (id text PRIMARY KEY, full_name text, email text, secret text);
INSERT INTO customers VALUES ('1', 'Ada', 'ada@example.org', 's1'), ('2', 'Bob', 'bob@example.org', 's2'),
    ($$o'b "x" \\ /$$, 'Odd', 'odd@example.org', 's3');
CREATE TABLE orders (id bigint PRIMARY KEY, customer_id text, note text, made timestamptz) PARTITION BY RANGE (id);
CREATE TABLE orders_a PARTITION OF orders FOR VALUES FROM (0) TO (100);
CREATE TABLE orders_b PARTITION OF orders FOR VALUES FROM (100) TO (10000000);
INSERT INTO orders VALUES (1, '1', 'first', '2026-01-01 10:00+00'), (101, '1', NULL, NULL), (2, '2', 'bobs', NULL);
CREATE TABLE items (order_id bigint, title text, price numeric, tags text[], extra jsonb);
INSERT INTO items VALUES (1, 'Book', 9.90, '{a,"b c"}', '{"k": [1, 2.50]}'), (101, 'Pen', 1e3, NULL, NULL),
    (2, 'Bobs book', 1, NULL, NULL);
CREATE VIEW seen AS SELECT * FROM customers;
"""
RULES = """
version: 1
attributes: {full_name: {label: Name}, email: {label: Email}, orders: {label: Orders}}
tables:
  public.customers: {subject: id, columns: {id: open, full_name: full_name, email: email}}
  public.orders: {subject: customer_id, columns: {id: open, customer_id: open, note: orders, made: orders}}
  public.items:
    subject: {column: order_id, references: public.orders.id}
    columns: {order_id: open, title: orders, price: orders, tags: orders, extra: orders}
  public.seen: {subject: id, columns: {id: open, full_name: full_name, email: email}}
apps:
  crm: {label: "Customer service", logins: [export_crm]}
  mailco: {label: MailCo, logins: [export_mailco], kind: partner}
policies:
  - {name: service, apps: [crm], attributes: all, action: show, basis: contract}
  - {name: those who agreed, apps: [mailco], attributes: [email], action: show, consent: opt_in}
"""


@pytest.fixture(scope="module")
def folder(pg_server: PgServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export")
    prepare(pg_server, folder, "exports", SCHEMA, RULES, ["export_crm", "export_mailco"])
    return folder


@pytest.fixture
async def web(folder: Path, pg_server: PgServer) -> AsyncIterator[Website]:
    async with website(folder, pg_server.dsn("exports")) as running:
        yield running


def held(document: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    return {table["relation"]: table["rows"] for table in document["tables"]}


ADA = {
    "public.customers": [{"id": "1", "full_name": "Ada", "email": "ada@example.org"}],
    "public.orders": [
        {"id": 1, "customer_id": "1", "note": "first", "made": "2026-01-01T10:00:00+00:00"},
        {"id": 101, "customer_id": "1", "note": None, "made": None},
    ],
    "public.items": [
        {"order_id": 1, "title": "Book", "price": 9.90, "tags": ["a", "b c"], "extra": {"k": [1, 2.50]}},
        {"order_id": 101, "title": "Pen", "price": 1000, "tags": None, "extra": None},
    ],
}


async def test_the_api_gives_the_customer_and_nobody_else(web: Website, folder: Path) -> None:
    token = await web.token("exporter", "read")
    async with web.client(token) as client:
        answer = await client.get("/api/subjects/1/export")
        assert answer.status_code == 200, answer.text
        document = answer.json()
        assert held(document) == ADA
        assert document["tables"][0]["attributes"] == {"full_name": ["full_name"], "email": ["email"]}
        assert [app["app"] for app in document["access"]] == ["crm", "mailco"]
        odd = await client.get("/api/subjects/o%27b%20%22x%22%20%5C%20%2F/export")
        assert held(odd.json())["public.customers"][0]["full_name"] == "Odd"
        assert held((await client.get("/api/subjects/nobody/export")).json())["public.customers"] == []
        assert (await client.get("/api/subjects/%00/export")).status_code == 422
    async with web.client(web.link("2")) as customer:
        assert held((await customer.get("/api/subjects/2/export")).json())["public.items"][0]["title"] == "Bobs book"
        assert (await customer.get("/api/subjects/1/export")).status_code == 403
    given = [one["actor"] for one in audit_records(folder / "audit") if one.get("act") == "export"]
    assert given == ["api, token exporter"] * 3 + ["api, customer"]


async def test_who_read_what_and_what_other_sources_say(web: Website, folder: Path) -> None:
    """Disclosures where they are asked for; values of other sources with where they are from; since when restricted."""
    (folder / "audit").mkdir(exist_ok=True)  # exports that others asked for are in it
    admin = await asyncpg.connect(web.dsn)
    try:
        await admin.execute(
            "INSERT INTO consentry.profile_precedence VALUES ('email', 'crm', 1) ON CONFLICT DO NOTHING;"
            'INSERT INTO consentry.profile_records (source, key, subject, how, "values", digest, read_at) '
            "VALUES ('crm', 'k-1', '1', 'key', '{\"email\": \"ada@work.example\"}', '', '2026-02-01 10:00+00');"
            "INSERT INTO consentry.restrictions (subject) VALUES ('1')"
        )
        token = await web.token("teller", "read")
        async with web.client(token) as client:
            plain = (await client.get("/api/subjects/1/export")).json()
            full = (await client.get("/api/subjects/1/export", params={"disclosures": "true"})).json()
            assert (await client.get("/api/subjects/1/export", params={"disclosure": "true"})).status_code == 422
        assert "disclosures" not in plain
        assert full["disclosures"] == []
        assert plain["sources"] == [
            {"attribute": "email", "value": "ada@work.example", "source": "crm", "key": "k-1",
             "read_at": "2026-02-01T10:00:00+00:00", "chosen": True}
        ]  # fmt: skip
        assert plain["restricted_since"].startswith("20")
        assert json.loads(consentry(folder, "subject", "export", "1"))["disclosures"] == []
        assert "disclosures" not in json.loads(consentry(folder, "subject", "export", "1", "--no-disclosures"))
    finally:
        await admin.execute("DELETE FROM consentry.profile_records; DELETE FROM consentry.restrictions")
        await admin.close()


async def test_what_the_customer_asked_for(web: Website, folder: Path) -> None:
    token = await web.token("asker", "read", "write")
    async with web.client(token) as client:
        asked = {"kind": "rectify", "attribute": "email", "value": "right@example.org"}
        assert (await client.post("/api/subjects/1/requests", json=asked)).status_code == 200
        assert (await client.post("/api/subjects/2/requests", json={"kind": "erase"})).status_code == 200
        document = (await client.get("/api/subjects/1/export")).json()
    (one,) = document["requests"]
    assert {**one, **asked, "status": "open", "source": "api, token asker"} == one
    assert "decided_by" not in one
    assert json.loads(consentry(folder, "subject", "export", "1"))["requests"] == [one]


async def test_the_command_and_the_page_give_the_same(web: Website, folder: Path) -> None:
    printed = json.loads(consentry(folder, "subject", "export", "1"))
    assert held(printed) == ADA
    async with web.client(follow_redirects=True) as client:
        await client.get("/me", params={"token": web.link("1")})
        answer = await client.get("/me/data")
        assert held(answer.json()) == ADA
        assert "attachment" in answer.headers["content-disposition"]


async def test_many_rows(web: Website) -> None:
    connection = await asyncpg.connect(web.dsn)
    try:
        await connection.execute(
            "INSERT INTO orders SELECT n, 'many', repeat('x', 50), now() FROM generate_series(1000, 60999) n"
        )
    finally:
        await connection.close()
    token = await web.token("many", "read")
    async with web.client(token, timeout=60) as client:
        answer = await client.get("/api/subjects/many/export")
        assert len(held(answer.json())["public.orders"]) == 60_000


async def test_what_cannot_be_read_as_a_whole_is_an_error(
    pg_server: PgServer, folder: Path, tmp_path: Path, web: Website
) -> None:
    """By Consentry's own login, first without the grants, then with them, then with row security in the way."""
    admin = await asyncpg.connect(web.dsn)
    try:
        own = pg_server.dsn("exports", "consentry")
        pg_server.create_login("consentry", group="auth_trust")
        ended = run_process(folder, "subject", "export", "1", "--dsn", own)
        assert ended.code == 1
        assert "permission denied for table customers" in ended.err
        assert "consentry consent setup --exports" in ended.err
        consentry(folder, "consent", "setup", "--apply", "--exports")
        assert held(json.loads(consentry(folder, "subject", "export", "1", "--dsn", own))) == ADA
        given = [one["actor"] for one in audit_records(folder / "audit") if one.get("act") == "export"]
        assert given[-1].startswith("command, ")
        assert not await admin.fetchval("SELECT has_column_privilege('consentry', 'customers', 'secret', 'SELECT')")
        await admin.execute("ALTER TABLE orders ENABLE ROW LEVEL SECURITY")
        ended = run_process(folder, "subject", "export", "1", "--dsn", own)
        assert ended.code == 1
        assert "row-level security" in ended.err
    finally:
        await admin.execute("ALTER TABLE orders DISABLE ROW LEVEL SECURITY")
        await admin.close()
