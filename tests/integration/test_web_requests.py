"""Customers' requests over the API and the pages: asked, shown to agents, confirmed (which does it) or refused."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import asyncpg
import httpx
import pytest

from tests.gateways import audit_records
from tests.servers import PgServer
from tests.websites import Website, prepare, website

SCHEMA = """
CREATE TABLE customers (id int PRIMARY KEY, full_name text NOT NULL, email text);
INSERT INTO customers SELECT n, 'Name ' || n, 'c' || n || '@example.org' FROM generate_series(1, 20) n;
CREATE TABLE notes (customer_id int REFERENCES customers, body text);
INSERT INTO notes VALUES (1, 'a note'), (2, 'b note');
"""
RULES = """
version: 1
attributes: {full_name: {label: Name}, email: {label: Email}, notes: {}}
tables:
  public.customers: {subject: id, columns: {id: open, full_name: full_name, email: email}, erase: anonymise}
  public.notes: {subject: customer_id, columns: {customer_id: open, body: notes}, erase: delete}
apps: {crm: {logins: [asked_crm]}}
policies: [{name: all of it, attributes: all, action: show, basis: contract}]
rights: {restriction: enforced}
"""


@pytest.fixture(scope="module")
def folder(pg_server: PgServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("requests")
    prepare(pg_server, folder, "requests", SCHEMA, RULES, ["asked_crm"])
    return folder


@pytest.fixture
async def web(folder: Path, pg_server: PgServer) -> AsyncIterator[Website]:
    async with website(folder, pg_server.dsn("requests")) as running:
        yield running


async def rows(web: Website, query: str) -> list[tuple[object, ...]]:
    connection = await asyncpg.connect(web.dsn)
    try:
        return [tuple(row) for row in await connection.fetch(query)]
    finally:
        await connection.close()


async def test_a_request_is_asked_and_an_agent_confirms_it(web: Website, folder: Path) -> None:
    async with web.client(web.link("1")) as customer, web.client(await web.token("agent one", "rights")) as agent:
        asked = (await customer.post("/api/subjects/1/requests", json={"kind": "erase"})).json()
        assert (asked["status"], asked["subject"], asked["kind"]) == ("open", "1", "erase")
        due = datetime.fromisoformat(asked["due_at"]) - datetime.fromisoformat(asked["asked_at"])
        assert timedelta(days=28) <= due <= timedelta(days=31)
        again = (await customer.post("/api/subjects/1/requests", json={"kind": "erase"})).json()
        assert again["id"] == asked["id"], "sent twice, asked once"
        assert [one["id"] for one in (await agent.get("/api/requests")).json()["requests"]] == [asked["id"]]
        assert (await customer.get("/api/requests")).status_code == 403
        decision = f"/api/requests/{asked['id']}/decision"
        assert (await customer.post(decision, json={"decision": "confirmed"})).status_code == 403
        done = (await agent.post(decision, json={"decision": "confirmed"})).json()
        assert (done["status"], done["subject"], done["decided_by"]) == ("done", None, "api, token agent one")
        assert (await agent.post(decision, json={"decision": "confirmed"})).status_code == 404
    assert await rows(web, "SELECT full_name, email FROM customers WHERE id = 1") == [("", None)]
    assert await rows(web, "SELECT body FROM notes") == [("b note",)]
    (record,) = [one for one in audit_records(folder / "audit") if one["event"] == "subject"]
    assert (record["act"], record["receipt"], record["actor"]) == ("erase", done["receipt"], "api, token agent one")
    assert await rows(web, f"SELECT receipt->>'act' FROM consentry.receipts WHERE id = '{done['receipt']}'") == [
        ("erase",)
    ]


async def test_rectify_restrict_and_refuse(web: Website) -> None:
    async with (
        web.client(await web.token("shop two", "read", "write")) as service,
        web.client(await web.token("agent two", "rights")) as agent,
    ):

        async def ask(**body: str) -> int:
            answer = await service.post("/api/subjects/2/requests", json=body)
            assert answer.status_code == 200, answer.text
            return int(answer.json()["id"])

        async def sees(service: httpx.AsyncClient) -> dict[str, str]:
            (app,) = (await service.get("/api/subjects/2/access")).json()["apps"]
            return {one["attribute"]: one["sees"] for one in app["attributes"]}

        assert await sees(service) == {"full_name": "value", "email": "value", "notes": "value"}

        async def decide(number: int, **body: str) -> dict[str, object]:
            answer = await agent.post(f"/api/requests/{number}/decision", json=body)
            return {"status_code": answer.status_code, **answer.json()}

        assert (
            await decide(await ask(kind="rectify", attribute="email", value="new@example.org"), decision="confirmed")
        )["status"] == "done"
        assert await rows(web, "SELECT email FROM customers WHERE id = 2") == [("new@example.org",)]
        assert (await decide(await ask(kind="restrict"), decision="confirmed"))["status"] == "done"
        assert await rows(web, "SELECT subject FROM consentry.restrictions") == [(2,)]
        assert await sees(service) == {"full_name": "nothing", "email": "nothing", "notes": "nothing"}
        assert (await decide(await ask(kind="lift"), decision="confirmed"))["status"] == "done"
        assert await rows(web, "SELECT subject FROM consentry.restrictions") == []
        number = await ask(kind="erase")
        assert (await decide(number, decision="refused"))["status_code"] == 422
        refused = await decide(number, decision="refused", reason="we have a contract with you")
        assert (refused["status"], refused["reason"]) == ("refused", "we have a contract with you")
        listed = (await service.get("/api/subjects/2/requests")).json()["requests"]
        assert [(one["kind"], one["status"], one["value"]) for one in listed] == [
            ("erase", "refused", None), ("lift", "done", None), ("restrict", "done", None), ("rectify", "done", None),
        ]  # fmt: skip
        for wrong in (
            {"kind": "rectify"},
            {"kind": "rectify", "attribute": "nothing", "value": "x"},
            {"kind": "erase", "value": "x", "attribute": "email"},
            {"kind": "burn"},
        ):
            assert (await service.post("/api/subjects/2/requests", json=wrong)).status_code == 422
        assert (await service.get("/api/requests")).status_code == 403


async def test_what_cannot_be_done_stays_in_the_queue(web: Website) -> None:
    """A row of a table that the rules do not list refers to the customer."""
    await rows(web, "CREATE TABLE wishes AS SELECT 3 AS customer_id")
    await rows(web, "ALTER TABLE wishes ADD FOREIGN KEY (customer_id) REFERENCES customers")
    async with web.client(await web.token("three", "write", "rights")) as agent:
        number = (await agent.post("/api/subjects/3/requests", json={"kind": "erase"})).json()["id"]
        answer = await agent.post(f"/api/requests/{number}/decision", json={"decision": "confirmed"})
        assert (answer.status_code, "public.wishes" in answer.json()["detail"]) == (422, True)
        assert [one["id"] for one in (await agent.get("/api/requests")).json()["requests"]] == [number]
        assert await rows(web, "SELECT full_name FROM customers WHERE id = 3") == [("Name 3",)]
        await rows(web, "DROP TABLE wishes")
        answer = await agent.post(f"/api/requests/{number}/decision", json={"decision": "confirmed"})
        assert answer.json()["status"] == "done"


async def test_the_pages(web: Website) -> None:
    async with web.client(follow_redirects=True) as customer, web.client(follow_redirects=True) as agent:
        await customer.get("/me", params={"token": web.link("4")})
        page = (await customer.get("/me/requests")).text
        form = page.split('name="form" value="')[1].split('"')[0]
        assert (await customer.post("/me/requests", data={"kind": "erase", "sure": "yes"})).status_code == 403
        assert (await customer.post("/me/requests", data={"form": form, "kind": "erase"})).status_code == 404
        answer = await customer.post(
            "/me/requests", data={"form": form, "kind": "rectify", "attribute": "email", "value": "<b>x</b>"}
        )
        assert "We have your request" in answer.text
        assert (await agent.get("/requests/1")).status_code == 401
        wrong = await agent.post("/requests/login", data={"token": await web.token("reader", "read", "audit")})
        assert (wrong.status_code, "no token with the scope rights" in wrong.text) == (403, True)
        queue = await agent.post("/requests/login", data={"token": await web.token("agent four", "rights")})
        assert "Correct Email" in queue.text
        number = queue.text.split("/requests/")[-1].split('"')[0]
        page = (await agent.get(f"/requests/{number}")).text
        assert "&lt;b&gt;x&lt;/b&gt;" in page
        form = page.split('name="form" value="')[1].split('"')[0]
        assert (await agent.post(f"/requests/{number}", data={"decision": "confirmed"})).status_code == 403
        done = await agent.post(f"/requests/{number}", data={"form": form, "decision": "confirmed"})
        assert "Done" in done.text
        assert "by agents&#39; page, agent four" in done.text
        agent.cookies.set("consentry_audit", agent.cookies["consentry_requests"], path="/audit")
        assert "Show a token" in (await agent.get("/audit")).text, "agents are no auditors"
    assert await rows(web, "SELECT email FROM customers WHERE id = 4") == [("<b>x</b>",)]
