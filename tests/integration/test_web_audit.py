"""The auditors' pages without a browser: who comes in, what they show of a real log, and that they change nothing."""

from __future__ import annotations

import html
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import httpx
import pytest

from proxy.web.tokens import revoke
from tests.gateways import consentry, running_gateway
from tests.integration.test_web_pages import RULES, SCHEMA
from tests.servers import PgServer
from tests.websites import SETTINGS, Website, prepare, website

WATCHED = RULES.replace("  ads: {", "  watched: {label: Watched, logins: [pages_watched], mode: monitor}\n  ads: {")
EVIL = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def folder(pg_server: PgServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Settings, rules, and the log of a gateway that has served three apps."""
    folder = tmp_path_factory.mktemp("auditors")
    logins = ["pages_crm", "pages_mailco", "pages_ads", "pages_watched"]
    prepare(pg_server, folder, "web_audit", SCHEMA, WATCHED, logins)
    with running_gateway(pg_server, folder, WATCHED, {"shop": "web_audit"}, SETTINGS) as gateway:
        consentry(folder, "consent", "grant", "1", "mailco", "email")
        for login, texts in {
            "pages_crm": ["SELECT email FROM customers WHERE id < 9"] * 60 + ["SELECT full_name FROM customers"],
            "pages_mailco": ["SELECT email FROM customers", "SELECT card FROM customers"],
            "pages_watched": ["SELECT id FROM customers", "DO $$ BEGIN END $$"],
            "pages_ads": [f'SELECT email AS "{EVIL}" FROM customers WHERE id < 9'],
        }.items():
            gateway.ask(login, texts, application_name=EVIL)
    return folder


@pytest.fixture
async def web(folder: Path, pg_server: PgServer) -> AsyncIterator[Website]:
    async with website(folder, pg_server.dsn("web_audit")) as running:
        yield running


@asynccontextmanager
async def auditor(web: Website, name: str) -> AsyncIterator[httpx.AsyncClient]:
    token = await web.token(name, "audit")
    async with web.client(follow_redirects=True) as client:
        page = await client.post("/audit/login", data={"token": token})
        assert page.status_code == 200
        assert "Who read personal data" in page.text
        yield client


async def test_who_comes_in(web: Website) -> None:
    reader, audit = await web.token("only-read", "read", "write"), await web.token("comes-in", "audit")
    async with web.client(follow_redirects=True) as client:
        page = await client.get("/audit")
        assert "Show a token with the scope" in page.text
        for path in ("/audit/search", "/audit/record/0/1/1", "/audit/report?from=2026-01-01&to=2026-01-02"):
            assert (await client.get(path)).status_code == 401
        for given in (reader, "cst_nothing", "", web.link("7")):
            page = await client.post("/audit/login", data={"token": given})
            assert page.status_code == 403
            assert "no token with the scope audit" in page.text
            assert not client.cookies
        page = await client.post("/audit/login", data={"token": audit}, headers={"origin": "https://evil.example"})
        assert page.status_code == 403
        await client.get("/me", params={"token": web.link("7")})  # a customer's session opens nothing here
        client.cookies.set("consentry_audit", client.cookies["consentry_session"], path="/audit")
        assert (await client.get("/audit/search")).status_code == 401


async def test_a_session_ends_with_its_token_and_by_logging_out(web: Website) -> None:
    async with auditor(web, "ends") as client:
        assert (await client.post("/audit/out", data={"form": "forged"})).status_code == 403
        assert (await client.get("/audit/search")).status_code == 200
        connection = await asyncpg.connect(web.dsn)
        await revoke(connection, "ends")
        await connection.close()
        assert (await client.get("/audit/search")).status_code == 401
    async with auditor(web, "leaves") as client:
        page = await client.get("/audit")
        form = re.search(r'name="form" value="(\w+)"', page.text)
        assert form
        page = await client.post("/audit/out", data={"form": form[1]})
        assert "Show a token with the scope" in page.text


async def test_guessing_is_slowed(web: Website) -> None:
    async with web.client() as client:
        answers = [(await client.post("/audit/login", data={"token": f"cst_{n}"})).status_code for n in range(40)]
    assert answers[0] == 403
    assert answers[-1] == 429


async def test_overview_counts_what_was_read(web: Website) -> None:
    async with auditor(web, "overview") as client:
        page = await client.get("/audit")
    policy = page.headers["content-security-policy"]
    assert "script-src" not in policy
    assert "default-src 'none'" in policy
    assert page.text.count("<svg") == 3
    rows = re.findall(r'aria-label="(\d+) statements of (.+?) that read (.+?)"', page.text)
    assert {(int(n), html.unescape(app), html.unescape(what)) for n, app, what in rows} == {
        (60, "Customer service", "Email <b>address</b>"),
        (1, "Customer service", "Name"),
        (1, "Ads", "Email <b>address</b>"),
        (1, "Mail & Co <script>alert(1)</script>", "Email <b>address</b>"),
    }
    assert EVIL not in page.text


async def test_search_and_a_records_story(web: Website) -> None:
    async with auditor(web, "search") as client:
        seen: list[str] = []
        path = "/audit/search?app=crm&attribute=email"
        while path:
            page = await client.get(path)
            seen += re.findall(r'href="(/audit/record/[\d/]+)"', page.text)
            older = re.search(r'href="([^"]+)">Older records', page.text)
            path = html.unescape(older[1]) if older else ""
        assert len(seen) == len(set(seen)) == 60

        page = await client.get("/audit/search", params={"app": "ads", "event": "statement"})
        assert EVIL not in page.text
        (link,) = re.findall(r'href="(/audit/record/[\d/]+)"', page.text)
        story = (await client.get(link)).text
        assert EVIL not in story
        assert html.escape(EVIL) in story
        assert "<del>customers</del><ins>(SELECT" in story
        assert "Made again by the rules in force." in story
        assert re.search(r"unless <span class=\"soft\">\(\S*rules\.yaml:\d+\)", story)
        assert "public.customers.email" in story
        assert "values of customers who did not object" in story

        page = await client.get("/audit/search?event=statement&text=card")
        assert "column &#34;card&#34; does not exist" in page.text
        page = await client.get("/audit/search")
        links = re.findall(r'href="(/audit/record/[\d/]+)"', page.text)
        assert len(links) == 50
        for link in links[:12]:  # connections, failures, statements
            assert (await client.get(link)).status_code == 200
        for wrong, status in (
            ("/audit/search?from=soon", 400),
            ("/audit/search?event=statment", 400),
            ("/audit/search?from=2026-02-01&to=2026-01-01", 400),
            ("/audit/record/0/5/5", 404),
            ("/audit?from=x", 400),
        ):
            assert (await client.get(wrong)).status_code == status


async def story(client: httpx.AsyncClient, **asked: str) -> str:
    """The page of the newest record that is asked for."""
    page = await client.get("/audit/search", params=asked)
    found = re.search(r'href="(/audit/record/[^"]+)"', page.text)
    assert found
    return (await client.get(found[1])).text


async def test_what_would_have_happened_and_what_is_not_known(web: Website) -> None:
    async with auditor(web, "monitor") as client:
        page = await story(client, app="watched", text="DO", event="statement")
        assert "It may have read more. Not known is what a DO block reads." in page
        assert "It would have been refused: app watched may not use DO (42501)." in page
        page = await story(client, app="watched", text="SELECT id", event="statement")
        assert "The app would have had" in page


async def test_a_change_of_consent(web: Website) -> None:
    async with auditor(web, "consents") as client:
        page = await story(client, event="consent")
    assert "<h1>A change of consent</h1>" in page
    assert "email: granted by agent; event 1 of the ledger of shop" in page


async def test_report_as_a_file(web: Website) -> None:
    async with auditor(web, "report") as client:
        page = await client.get("/audit/report?from=2026-01-01&to=2099-12-31&format=json")
        assert page.headers["content-disposition"].startswith("attachment")
        report = json.loads(page.text)
        counts = {(a["app"], r["attribute"]): r["statements"] for a in report["apps"] for r in a["readings"]}
        assert counts[("crm", "email")] == 60
        assert (await client.get("/audit/report?from=2026-01-01&to=2099-12-31")).text.count("<svg") == 3
        for wrong in (
            "",
            "&to=2025-01-01",
            *(f"&to=2099-12-31&{more}" for more in ("kind=other", "customer=1", "app=no")),
        ):
            assert (await client.get(f"/audit/report?from=2026-01-01{wrong}")).status_code == 400
        days = "/audit/report?from=2026-01-01&to=2099-12-31"
        some = (await client.get(f"{days}&format=json&attribute=email")).json()
        assert {one["attribute"] for app in some["apps"] for one in app["readings"]} == {"email"}
        mine = (await client.get(f"{days}&format=json&subject=1")).json()
        assert (mine["subject"], bool(mine["accesses"])) == ("1", True)
        assert mine["known"] is True
        assert (await client.get(f"{days}&format=json&subject=4711")).json()["known"] is False
        assert "who read" in (await client.get(f"{days}&subject=1")).text.lower()


async def test_the_badge_verifies(web: Website, folder: Path) -> None:
    async with auditor(web, "verifies") as client:
        assert "The log was not verified yet" in (await client.get("/audit")).text

        async def verify() -> str:
            page = await client.get("/audit/verification")
            form = re.search(r'name="form" value="(\w+)"', page.text)
            assert form
            answer = await client.post("/audit/verification", data={"form": form[1]})
            while "is being verified" in answer.text:
                answer = await client.get("/audit/verification")
            return answer.text

        assert (await client.post("/audit/verification", data={"form": "forged"})).status_code == 403
        said = await verify()
        assert "✓ The log is whole" in said
        assert "vouches for" in said
        assert "✓ The log is whole" in (await client.get("/audit")).text
        (file,) = (folder / "audit").glob("*.jsonl*")
        whole = file.read_bytes()
        lines = whole.splitlines(keepends=True)
        try:
            file.write_bytes(b"".join([*lines[:20], *lines[21:]]))
            said = await verify()
            assert "✗ The log is not whole" in said
            assert "<strong>removed</strong>" in said
            assert "line 21, record 21" in said
            assert "✗ The log is not whole" in (await client.get("/audit")).text
        finally:
            file.write_bytes(whole)


async def test_a_log_that_is_not_there(web: Website, tmp_path: Path) -> None:
    async with auditor(web, "no-log") as client:
        web.site.audit.directory = tmp_path / "missing"
        web.site.audit._close()
        page = await client.get("/audit")
        assert page.status_code == 503
        assert "there is no folder" in page.text
