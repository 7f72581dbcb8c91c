"""The customer pages without a browser: forms, links, words, and what is refused. tests/pages/ has a browser."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html.parser import HTMLParser
from pathlib import Path

import asyncpg
import httpx
import pytest

from proxy.consent import service
from proxy.consent.service import Vocabulary
from tests.servers import PgServer
from tests.websites import Website, prepare, website

SCHEMA = """
CREATE TABLE customers (id bigint PRIMARY KEY, full_name text, email text, card text);
INSERT INTO customers SELECT n, 'Name ' || n, n || '@example.org', '4111' FROM generate_series(1, 50) n;
GRANT SELECT ON customers TO PUBLIC;
"""
RULES = """
version: 1
attributes:
  full_name: {label: "Name"}
  email: {label: "Email <b>address</b>"}
  card: {label: "Card", group: sensitive}
tables: {public.customers: {subject: id, columns: {id: open, full_name: full_name, email: email, card: card}}}
apps:
  crm: {label: "Customer service", logins: [pages_crm], purpose: "helping you"}
  mailco: {label: "Mail & Co <script>alert(1)</script>", logins: [pages_mailco], kind: partner, purpose: newsletters}
  ads: {label: "Ads", logins: [pages_ads], kind: partner}
policies:
  - {name: service, apps: [crm], attributes: [full_name, email], action: show, basis: contract}
  - {name: "those who agreed", apps: [mailco], attributes: [full_name, email], action: show, consent: opt_in}
  - {name: unless, apps: [ads], attributes: [email], action: show, consent: opt_out, otherwise: {mask: email}}
"""


@pytest.fixture(scope="module")
def folder(pg_server: PgServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pages")
    prepare(pg_server, folder, "web_pages", SCHEMA, RULES, ["pages_crm", "pages_mailco", "pages_ads"])
    return folder


@pytest.fixture
async def web(folder: Path, pg_server: PgServer) -> AsyncIterator[Website]:
    async with website(folder, pg_server.dsn("web_pages")) as running:
        yield running


@asynccontextmanager
async def enter(web: Website, subject: str) -> AsyncIterator[httpx.AsyncClient]:
    async with web.client(follow_redirects=True) as client:
        page = await client.get("/me", params={"token": web.link(subject)})
        assert page.status_code == 200
        assert "token" not in str(page.url)
        yield client


class Forms(HTMLParser):
    """The forms of a page: action, method, fields."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.forms: list[tuple[str, str, dict[str, str]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.forms.append((given.get("method", "get"), given.get("action", ""), {}))
        elif tag == "input":
            self.forms[-1][2][given["name"]] = given.get("value", "")

    def of(self, action: str, **fields: str) -> dict[str, str]:
        return next(f for _, a, f in self.forms if a == action and fields.items() <= f.items())


async def decide(client: httpx.AsyncClient, app: str, attribute: str, **changed: str) -> httpx.Response:
    """As a person without scripts: the switch, then yes."""
    switch = Forms((await client.get("/me")).text).of("/me/change", app=app, attribute=attribute)
    question = await client.get("/me/change", params=switch)
    assert question.status_code == 200, question.text
    return await client.post("/me/change", data={**Forms(question.text).of("/me/change"), **changed})


async def last(web: Website, subject: int) -> tuple[str, str, str, str] | None:
    connection = await asyncpg.connect(web.dsn)
    try:
        row = await connection.fetchrow(
            "SELECT attribute, decision, actor, text_version FROM consentry.events WHERE subject = $1 "
            "ORDER BY id DESC LIMIT 1",
            subject,
        )
        return tuple(row) if row else None  # type: ignore[return-value]
    finally:
        await connection.close()


async def count(web: Website) -> int:
    connection = await asyncpg.connect(web.dsn)
    try:
        return int(await connection.fetchval("SELECT count(*) FROM consentry.events"))
    finally:
        await connection.close()


async def test_a_switch_without_scripts(web: Website) -> None:
    async with enter(web, "1") as client:
        page = (await client.get("/me")).text
        assert "It is needed for what you ordered" in page
        assert "You have not agreed." in page
        assert "It is shared unless you say no" in page
        assert "Does not see: Card" in page
        switch = Forms(page).of("/me/change", app="mailco", attribute="email")
        assert switch["decision"] == "granted"
        question = (await client.get("/me/change", params=switch)).text
        assert "What will change" in question
        assert "will see it" in question
        assert await last(web, 1) is None  # nothing is made by asking
        done = await decide(client, "mailco", "email")
        assert done.status_code == 200
        assert 'role="status"' in done.text
        assert "You agreed on" in done.text
        made = await last(web, 1)
        assert made is not None
        assert made[:3] == ("email", "granted", "customer")
        assert made[3].startswith("en-")

        undone = await client.post("/me/undo", data=Forms(done.text).of("/me/undo"))
        assert "no longer share" in undone.text
        assert (await last(web, 1) or ())[1] == "withdrawn"
        again = await client.post("/me/undo", data=Forms(done.text).of("/me/undo"))
        assert again.status_code == 409
        assert "changed meanwhile" in again.text


async def test_nothing_of_the_rules_is_markup(web: Website) -> None:
    async with enter(web, "2") as client:
        for address in ("/me", "/me/change?app=mailco&attribute=email&decision=granted"):
            page = (await client.get(address)).text
            assert "<script>alert" not in page
            assert "<b>address" not in page
            assert "Mail &amp; Co &lt;script&gt;" in page


async def test_the_whole_app(web: Website) -> None:
    async with enter(web, "3") as client:
        await decide(client, "mailco", "email")
        done = await decide(client, "mailco", "all")
        assert "Name" in done.text
        switch = Forms((await client.get("/me")).text).of("/me/change", app="mailco", attribute="all")
        assert switch["decision"] == "withdrawn"
        await client.post("/me/undo", data=Forms(done.text).of("/me/undo"))
        page = Forms((await client.get("/me")).text)
        assert page.of("/me/change", app="mailco", attribute="email")["decision"] == "withdrawn"  # as it was: shared
        assert page.of("/me/change", app="mailco", attribute="full_name")["decision"] == "granted"


async def test_silence_can_be_put_back(web: Website) -> None:
    async with enter(web, "4") as client:
        question = await client.get("/me/change?app=ads&attribute=email&decision=withdrawn")
        assert "will see a part, the rest hidden" in question.text
        done = await decide(client, "ads", "email")
        assert (await last(web, 4) or ())[1] == "withdrawn"
        await client.post("/me/undo", data=Forms(done.text).of("/me/undo"))
        assert (await last(web, 4) or ())[1] == "granted"


async def test_a_stale_page_changes_nothing(web: Website) -> None:
    async with enter(web, "5") as client, enter(web, "5") as other:
        switch = {"app": "mailco", "attribute": "email", "decision": "granted"}
        question = Forms((await client.get("/me/change", params=switch)).text).of("/me/change")
        await decide(other, "mailco", "email")
        before = await count(web)
        stale = await client.post("/me/change", data=question)
        assert (stale.status_code, await count(web)) == (409, before)
        assert "Look at how it is now" in stale.text


async def test_a_form_sent_twice_is_one_decision(web: Website) -> None:
    async with enter(web, "6") as client:
        question = Forms((await client.get("/me/change?app=mailco&attribute=email&decision=granted")).text).of(
            "/me/change"
        )
        before = await count(web)
        for _ in range(2):
            assert (await client.post("/me/change", data=question)).status_code == 200
        assert await count(web) == before + 1


async def test_what_no_page_of_ours_sent(web: Website) -> None:
    async with enter(web, "7") as client, enter(web, "8") as other, web.client() as nobody:
        question = Forms((await client.get("/me/change?app=mailco&attribute=email&decision=granted")).text).of(
            "/me/change"
        )
        foreign = Forms((await other.get("/me/change?app=mailco&attribute=email&decision=granted")).text).of(
            "/me/change"
        )
        before = await count(web)
        for status, answer in (
            (403, await client.post("/me/change", data={**question, "form": ""})),
            (403, await client.post("/me/change", data={**question, "form": foreign["form"]})),
            (403, await client.post("/me/change", data=question, headers={"Origin": "https://evil.example"})),
            (403, await client.post("/me/change", data=question, headers={"Sec-Fetch-Site": "cross-site"})),
            (400, await client.post("/me/change", data={**question, "expected": "x"})),
            (400, await client.post("/me/change", data={**question, "request": "short"})),
            (404, await client.post("/me/change", data={**question, "attribute": "card"})),
            (404, await client.post("/me/change", data={**question, "app": "crm"})),
            (404, await client.post("/me/change", data={**question, "app": "none"})),
            (404, await client.post("/me/change", data={**question, "decision": "maybe"})),
            (413, await client.post("/me/change", data={**question, "x": "x" * 20_000})),
            (401, await nobody.post("/me/change", data=question)),
            (401, await nobody.get("/me")),
            (404, await client.get("/me/change?app=mailco&attribute=nothing&decision=granted")),
            (404, await client.get("/me/receipt/1000000")),
            (404, await client.get(f"/me/receipt/{2**70}")),
            (404, await client.get("/me/history?before=x")),
            (404, await client.post("/me/undo", data={"form": question["form"], "request": "none"})),
            (403, await client.post("/me/out", data={})),
        ):
            assert answer.status_code == status, f"{answer.request.url} {answer.text[:500]}"
            assert answer.headers["content-type"].startswith("text/html")
            assert "script-src 'self'" in answer.headers["content-security-policy"]
        assert await count(web) == before


async def test_links(web: Website) -> None:
    assert web.site.keys is not None
    async with web.client(follow_redirects=True) as nobody:
        for token, said in (
            ("x.y.z", "does not work"),
            (web.link("1")[:-3], "does not work"),
            (web.link("1", 0.0001), "no longer valid"),
        ):
            page = await nobody.get("/me", params={"token": token})
            assert (page.status_code, said in page.text) == (401, True), token
        assert "consentry_session" not in nobody.cookies
    async with web.client() as client:
        answer = await client.get("/me", params={"token": web.link("1")})
        cookie = answer.headers["set-cookie"]
        assert (answer.status_code, answer.headers["location"]) == (303, "/me")
        assert "HttpOnly" in cookie
        assert "SameSite=lax" in cookie


async def test_history_receipt_and_download(web: Website) -> None:
    async with enter(web, "9") as client:
        assert "not decided anything yet" in (await client.get("/me/history")).text
        for _ in range(21):
            await decide(client, "mailco", "email")
        first = await client.get("/me/history")
        more = re.search(r'href="(/me/history\?before=\d+)"', first.text)
        assert more
        second = await client.get(more[1])
        numbers = [int(n) for page in (first, second) for n in re.findall(r'href="/me/receipt/(\d+)"', page.text)]
        assert len(numbers) == 21
        assert numbers == sorted(numbers, reverse=True)
        page = (await client.get(f"/me/receipt/{numbers[0]}")).text
        assert "Share Email &lt;b&gt;address&lt;/b&gt; with Mail &amp; Co" in page  # the words that were shown
        made = (await client.get(f"/me/receipt/{numbers[0]}.json")).json()
        assert made["record_id"] == numbers[0]
        assert made["pii_principal_id"] == "9"
        assert made["consent_state"]["event_state"] == "given"
        assert made["pii_processing"][0]["purpose"] == "newsletters"
        answer = await client.get("/me/data")
        document = json.loads(answer.text)
        assert [d["record_id"] for d in document["decisions"]] == numbers
        assert "attachment" in answer.headers["content-disposition"]
        async with enter(web, "10") as other:
            assert (await other.get(f"/me/receipt/{numbers[0]}")).status_code == 404
            assert json.loads((await other.get("/me/data")).text)["decisions"] == []


async def test_leaving(web: Website) -> None:
    async with enter(web, "11") as client:
        form = Forms((await client.get("/me")).text).of("/me/out")
        assert "logged out" in (await client.post("/me/out", data=form)).text
        assert (await client.get("/me")).status_code == 401


async def test_languages(web: Website) -> None:
    async with enter(web, "12") as client:
        assert 'lang="en" dir="ltr"' in (await client.get("/me")).text
        german = await client.get("/me", headers={"Accept-Language": "xx, de-AT;q=0.8, en;q=0.5"})
        assert "Wer auf Ihre Daten zugreift" in german.text
        arabic = await client.get("/me?lang=ar")
        assert 'lang="ar" dir="rtl"' in arabic.text
        assert 'dir="rtl"' in (await client.get("/me/history")).text  # remembered


async def test_expiry_and_staff_are_told(web: Website) -> None:
    connection = await asyncpg.connect(web.dsn)
    try:
        words = Vocabulary(["mailco"], ["email"])
        until = await connection.fetchval("SELECT now() + interval '90 days'")
        await service.grant(connection, words, "13", "mailco", "email", expires_at=until)
    finally:
        await connection.close()
    async with enter(web, "13") as client:
        assert "Your consent ends on" in (await client.get("/me")).text
        assert "by our staff" in (await client.get("/me/history")).text
        done = await decide(client, "mailco", "email")
        await client.post("/me/undo", data=Forms(done.text).of("/me/undo"))
        assert "Your consent ends on" in (await client.get("/me")).text  # with its term
