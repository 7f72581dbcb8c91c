"""Customers' requests over the API and the pages: asked, shown to agents, confirmed (which does it) or refused."""

from __future__ import annotations

import asyncio
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
INSERT INTO notes VALUES (1, 'a note'), (2, 'b note'), (10, 'one'), (10, 'two');
CREATE TABLE letters (customer_id int REFERENCES customers, street text, city text);
INSERT INTO letters VALUES (11, 'Old street', 'Rome'), (12, 'Old street', 'Rome');
"""
RULES = """
version: 1
attributes: {full_name: {label: Name}, email: {label: Email}, notes: {label: Notes}, address: {label: Address}, number: {label: Customer number}}
tables:
  public.customers:
    subject: id
    columns: {id: number, full_name: full_name, email: email}
    erase: {action: anonymise, masks: {id: keep}}
  public.notes: {subject: customer_id, columns: {customer_id: number, body: notes}, erase: delete}
  public.letters: {subject: customer_id, columns: {customer_id: open, street: address, city: address}, erase: delete}
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
        again = await agent.post(decision, json={"decision": "confirmed"})
        assert (again.status_code, again.json()["request"]) == (409, done)
        assert (await agent.post("/api/requests/99999/decision", json={"decision": "confirmed"})).status_code == 404
    assert await rows(web, "SELECT full_name, email FROM customers WHERE id = 1") == [("", None)]
    assert await rows(web, "SELECT body FROM notes") == [("b note",), ("one",), ("two",)]
    (record,) = [one for one in audit_records(folder / "audit") if one["event"] == "subject"]
    assert (record["act"], record["receipt"], record["actor"]) == ("erase", done["receipt"], "api, token agent one")
    assert await rows(web, f"SELECT receipt->>'act' FROM consentry.receipts WHERE id = '{done['receipt']}'") == [
        ("erase",)
    ]


async def test_somebody_of_whom_nothing_is_here_is_told_so_and_stays_out(web: Website) -> None:
    async with web.client(await web.token("agent of nobody", "write", "rights")) as agent:
        number = (await agent.post("/api/subjects/777/requests", json={"kind": "erase"})).json()["id"]
        done = (await agent.post(f"/api/requests/{number}/decision", json={"decision": "confirmed"})).json()
    assert (done["status"], done["subject"]) == ("done", None)
    query = (
        "SELECT (SELECT sum((t->>'rows')::int) FROM jsonb_array_elements(receipt->'tables') t) FROM consentry.receipts"
    )
    assert await rows(web, f"{query} WHERE id = '{done['receipt']}'") == [(0,)]
    tomb = "consentry.profile_tombstone('subject', '', '777')"
    assert await rows(web, f"SELECT count(*) FROM consentry.profile_tombstones WHERE hash = {tomb}") == [(1,)]


async def test_rectify_restrict_and_refuse(web: Website, folder: Path) -> None:
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

        everything = ("full_name", "email", "notes", "address", "number")
        assert await sees(service) == dict.fromkeys(everything, "value")

        async def decide(number: int, **body: str) -> dict[str, object]:
            answer = await agent.post(f"/api/requests/{number}/decision", json=body)
            return {"status_code": answer.status_code, **answer.json()}

        assert (
            await decide(await ask(kind="rectify", attribute="email", value="new@example.org"), decision="confirmed")
        )["status"] == "done"
        assert await rows(web, "SELECT email FROM customers WHERE id = 2") == [("new@example.org",)]
        assert (await decide(await ask(kind="restrict"), decision="confirmed"))["status"] == "done"
        assert await rows(web, "SELECT subject FROM consentry.restrictions") == [(2,)]
        assert await sees(service) == dict.fromkeys(everything, "nothing")
        assert (await decide(await ask(kind="lift"), decision="confirmed"))["status"] == "done"
        assert await rows(web, "SELECT subject FROM consentry.restrictions") == []
        number = await ask(kind="erase")
        for reason in ({}, {"reason": ""}, {"reason": " \t\n"}):
            assert (await decide(number, decision="refused", **reason))["status_code"] == 422
        refused = await decide(number, decision="refused", reason="we have a contract with you")
        assert (refused["status"], refused["reason"]) == ("refused", "we have a contract with you")
        record = [one for one in audit_records(folder / "audit") if one["event"] == "subject"][-1]
        assert (record["act"], record["actor"], record["request"]) == ("refuse", "api, token agent two", number)
        assert (record["asked"], record["receipt"]) == ("erase", refused["receipt"])
        assert "contract" not in str(record), "the reason is the customer's to read"
        listed = (await service.get("/api/subjects/2/requests")).json()["requests"]
        assert [(one["kind"], one["status"], one["value"]) for one in listed] == [
            ("erase", "refused", None), ("lift", "done", None), ("restrict", "done", None), ("rectify", "done", None),
        ]  # fmt: skip
        for wrong in (
            {"kind": "rectify"},
            {"kind": "rectify", "attribute": "nothing", "value": "x"},
            {"kind": "rectify", "attribute": "email"},
            {"kind": "rectify", "value": "x"},
            {"kind": "erase", "value": "x", "attribute": "email"},
            {"kind": "erase", "attribute": "email"},
            {"kind": "restrict", "value": "x"},
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
        assert "public.customers.email: 1 of 1 row(s) change; now <q>c4@example.org</q>" in page
        form = page.split('name="form" value="')[1].split('"')[0]
        assert (await agent.post(f"/requests/{number}", data={"decision": "confirmed"})).status_code == 403
        done = await agent.post(f"/requests/{number}", data={"form": form, "decision": "confirmed"})
        assert "Done" in done.text
        assert "by agents&#39; page, agent four" in done.text
        agent.cookies.set("consentry_audit", agent.cookies["consentry_requests"], path="/audit")
        assert "Show a token" in (await agent.get("/audit")).text, "agents are no auditors"
    assert await rows(web, "SELECT email FROM customers WHERE id = 4") == [("<b>x</b>",)]


WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted"


@pytest.mark.parametrize(
    ("subject", "other", "decision"),
    [
        (5, {"kind": "rectify", "attribute": "full_name", "value": "Back again"}, {"decision": "confirmed"}),
        (6, {"kind": "restrict"}, {"decision": "confirmed"}),
        (7, None, {"decision": "confirmed"}),
        (8, None, {"decision": "refused", "reason": "no"}),
    ],
)
async def test_decisions_about_one_customer_come_one_after_another(
    web: Website, subject: int, other: dict[str, str] | None, decision: dict[str, str]
) -> None:
    """An erasure is under way, and somebody decides about the same request, or another one of the customer's."""
    async with web.client(await web.token(f"agent race {subject}", "write", "rights")) as agent:

        async def ask(**body: str) -> int:
            return int((await agent.post(f"/api/subjects/{subject}/requests", json=body)).json()["id"])

        async def decide(number: int, decision: dict[str, str]) -> httpx.Response:
            return await agent.post(f"/api/requests/{number}/decision", json=decision)

        erase = await ask(kind="erase")
        second = erase if other is None else await ask(**other)
        holder = await asyncpg.connect(web.dsn)
        try:
            transaction = holder.transaction()
            await transaction.start()
            await holder.execute("SELECT FROM customers WHERE id = $1 FOR UPDATE", subject)
            tasks: list[asyncio.Task[httpx.Response]] = []
            for number, what in ((erase, {"decision": "confirmed"}), (second, decision)):
                tasks.append(asyncio.create_task(decide(number, what)))
                while await holder.fetchval(WAITING) < len(tasks) and not tasks[-1].done():
                    await asyncio.sleep(0.01)
            await transaction.rollback()
            erased, refused = await asyncio.gather(*tasks)
        finally:
            await holder.close()
        assert (erased.status_code, erased.json()["status"]) == (200, "done")
        assert refused.status_code == 409, refused.text
        closed = refused.json()["request"]
        left = ["done", None] if second == erase else ["refused", "the customer was erased first"]
        assert [closed[name] for name in ("id", "status", "reason")] == [second, *left]
        assert await rows(web, f"SELECT full_name FROM customers WHERE id = {subject}") == [("",)]
        query = "SELECT receipt::text, reason FROM consentry.requests WHERE id = "
        assert await rows(web, f"{query}{erase}") == [(erased.json()["receipt"], None)]
        assert not await rows(web, f"SELECT FROM consentry.restrictions WHERE subject = {subject}")
        late = await ask(kind="rectify", attribute="full_name", value="Back again")
        answer = await decide(late, {"decision": "confirmed"})
        assert (answer.status_code, "was erased" in answer.json()["detail"]) == (422, True)
        assert (await decide(late, {"decision": "refused", "reason": "you are erased"})).status_code == 200


async def test_the_key_is_not_rectified(web: Website) -> None:
    async with web.client(await web.token("key", "write", "rights")) as agent, web.client() as customer:
        await customer.get("/me", params={"token": web.link("9")}, follow_redirects=True)
        page = (await customer.get("/me/requests")).text
        assert [name for name in ("email", "address", "notes", "number") if f'<option value="{name}"' in page] == [
            "email", "address", "notes",
        ]  # fmt: skip
        form = page.split('name="form" value="')[1].split('"')[0]
        body = {"kind": "rectify", "attribute": "number", "value": "77"}
        assert (await customer.post("/me/requests", data={"form": form, **body})).status_code == 404
        answer = await agent.post("/api/subjects/9/requests", json=body)
        assert (answer.status_code, "says which customer it is" in answer.json()["detail"]) == (422, True)
        # One that waits since a time when this was taken.
        ((number,),) = await rows(
            web,
            "INSERT INTO consentry.requests (subject, kind, attribute, value, source) "
            "VALUES (9, 'rectify', 'number', '77', 'before') RETURNING id",
        )
        for chosen in ({}, {"columns": ["public.customers.id"]}, {"columns": ["public.notes.customer_id"]}):
            decision = {"decision": "confirmed", **chosen}
            answer = await agent.post(f"/api/requests/{number}/decision", json=decision)
            assert (answer.status_code, "says which customer it is" in answer.json()["detail"]) == (422, True)
        await agent.post(f"/api/requests/{number}/decision", json={"decision": "refused", "reason": "no"})


async def test_an_agent_chooses_columns_and_rows(web: Website) -> None:
    async with web.client(await web.token("chooser", "write", "rights")) as agent:

        async def ask(subject: int, attribute: str, value: str) -> int:
            body = {"kind": "rectify", "attribute": attribute, "value": value}
            return int((await agent.post(f"/api/subjects/{subject}/requests", json=body)).json()["id"])

        async def confirm(number: int, **choice: object) -> tuple[int, str]:
            answer = await agent.post(
                f"/api/requests/{number}/decision", json={"decision": "confirmed", **choice}
            )  # fmt: skip
            return answer.status_code, answer.json().get("detail") or answer.json()["status"]

        notes, address = await ask(10, "notes", "same"), await ask(11, "address", "Milan")
        assert "public.notes.body has 2 rows of this customer" in (await confirm(notes))[1]
        assert await confirm(notes, every_row=True) == (200, "done")
        assert await rows(web, "SELECT body FROM notes WHERE customer_id = 10") == [("same",), ("same",)]
        status, said = await confirm(address)
        assert (status, "over HTTP with `columns`: public.letters.street, public.letters.city" in said) == (422, True)
        assert (await confirm(address, columns=["public.letters.nothing"]))[0] == 422
        assert await confirm(address, columns=["public.letters.city"]) == (200, "done")
        assert await rows(web, "SELECT street, city FROM letters WHERE customer_id = 11") == [("Old street", "Milan")]
        nothing = await ask(13, "address", "x")
        assert "nothing of address" in (await confirm(nothing, columns=["public.letters.city"]))[1]
        refusal = {"decision": "refused", "reason": "no"}
        answer = await agent.post(f"/api/requests/{nothing}/decision", json={**refusal, "every_row": True})
        assert answer.status_code == 422
        assert (await agent.post(f"/api/requests/{nothing}/decision", json=refusal)).status_code == 200
        number = (await agent.post("/api/subjects/13/requests", json={"kind": "lift"})).json()["id"]
        assert (await confirm(number, every_row=True))[0] == 422


async def test_an_agent_chooses_on_the_page(web: Website) -> None:
    await rows(web, "INSERT INTO consentry.profile_precedence VALUES ('address', 'shop_crm', 1)")
    await rows(
        web,
        'INSERT INTO consentry.profile_records (source, key, subject, how, "values", digest, read_at) '
        "VALUES ('shop_crm', 'k-12', 12, 'key', '{\"address\": \"Old\"}', '', now())",
    )
    async with web.client(follow_redirects=True) as customer, web.client(follow_redirects=True) as agent:
        await customer.get("/me", params={"token": web.link("12")})
        form = (await customer.get("/me/requests")).text.split('name="form" value="')[1].split('"')[0]
        body = {"form": form, "kind": "rectify", "attribute": "address", "value": "x" * 1001}
        long = await customer.post("/me/requests", data=body)
        assert (long.status_code, "This has 1001 characters, and at most 1000 are taken" in long.text) == (422, True)
        assert 'value="' + "x" * 1001 in long.text, "nothing that was written is lost"
        assert 'value="address" selected' in long.text
        assert "We have your request" in (await customer.post("/me/requests", data={**body, "value": "Milan"})).text
        queue = await agent.post("/requests/login", data={"token": await web.token("agent page", "rights")})
        number = queue.text.split("Correct Address")[0].split("/requests/")[-1].split('"')[0]
        page = (await agent.get(f"/requests/{number}")).text
        assert "public.letters.city: 1 of 1 row(s) change" in page
        assert "shop_crm has it too, and keeps its value" in page
        form = page.split('name="form" value="')[1].split('"')[0]
        sent = {"form": form, "decision": "confirmed", "choose": "yes"}
        assert (await agent.post(f"/requests/{number}", data=sent)).status_code == 422
        done = await agent.post(f"/requests/{number}", data={**sent, "column": ["public.letters.city"]})
        assert "Done" in done.text
        again = await agent.post(f"/requests/{number}", data={**sent, "column": ["public.letters.city"]})
        assert (again.status_code, "was decided already: done by agents&#39; page, agent page" in again.text) == (
            409,
            True,
        )
    assert await rows(web, "SELECT street, city FROM letters WHERE customer_id = 12") == [("Old street", "Milan")]
