"""The form that collects consent at sign-up: unticked, for one customer, with the words that were shown."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import httpx
import pytest

from proxy.consent import service
from tests.integration.test_web_pages import RULES, SCHEMA, Forms
from tests.servers import PgServer
from tests.websites import Website, prepare, website


@pytest.fixture(scope="module")
def folder(pg_server: PgServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("collect")
    prepare(pg_server, folder, "web_collect", SCHEMA, RULES, ["pages_crm", "pages_mailco", "pages_ads"])
    return folder


@pytest.fixture
async def web(folder: Path, pg_server: PgServer) -> AsyncIterator[Website]:
    async with website(folder, pg_server.dsn("web_collect")) as running:
        yield running


def token(web: Website, subject: str, seconds: float = 600) -> str:
    assert web.site.keys is not None
    return web.site.keys.make_link_token(subject, seconds, "collect")


async def form(client: httpx.AsyncClient, web: Website, subject: str, **asked: str) -> tuple[httpx.Response, Forms]:
    page = await client.get("/collect", params={"token": token(web, subject), **asked})
    assert page.status_code == 200, page.text
    return page, Forms(page.text)


def fields_of(forms: Forms) -> dict[str, str]:
    (found,) = (fields for _, action, fields in forms.forms if action.startswith("/collect"))
    return found


async def events(web: Website, subject: str) -> list[service.Event]:
    connection = await asyncpg.connect(web.dsn)
    try:
        return await service.history(connection, subject)
    finally:
        await connection.close()


async def test_what_is_ticked_is_granted_with_its_words(web: Website) -> None:
    async with web.client() as client:
        page, forms = await form(client, web, "1")
        assert "checked" not in page.text
        assert page.text.count('type="checkbox"') == 2  # what is asked before it is used; Ads only heeds a no
        assert "&lt;script&gt;alert(1)" in page.text
        assert "<script>alert" not in page.text
        fields = fields_of(forms)
        saved = await client.post("/collect", data={**fields, "consent": "mailco email"})
        assert saved.status_code == 200
        assert "Your choice is saved" in saved.text
        (event,) = await events(web, "1")
        assert (event.app, event.attribute, event.decision, event.actor) == ("mailco", "email", "granted", "customer")
        assert event.text_version == web.site.texts["en"].version
        assert event.evidence == {
            "shown": "Mail & Co <script>alert(1)</script> may use my Email <b>address</b> for: newsletters"
        }
        # The same form again, by the back button, changes nothing; nor does a second box with what is shared.
        again = await client.post("/collect", data={**fields, "consent": "mailco email"})
        assert again.status_code == 200
        assert len(await events(web, "1")) == 1
        page, _ = await form(client, web, "1")
        assert page.text.count('type="checkbox"') == 1


async def test_nothing_ticked_is_no_decision(web: Website) -> None:
    async with web.client() as client:
        _, forms = await form(client, web, "2")
        fields = {name: value for name, value in fields_of(forms).items() if name != "consent"}
        assert (await client.post("/collect", data=fields)).status_code == 200
        assert await events(web, "2") == []


async def test_a_box_a_purpose(web: Website) -> None:
    async with web.client() as client:
        page, forms = await form(client, web, "3", by="purpose", lang="de")
        assert page.text.count('type="checkbox"') == 1
        assert "Name, Email" in page.text
        fields = {**fields_of(forms), "consent": "mailco all"}
        assert (await client.post("/collect?lang=de", data=fields)).status_code == 200
        made = await events(web, "3")
        assert {(e.attribute, e.scope, e.text_version) for e in made} == {
            ("full_name", "all", web.site.texts["de"].version),
            ("email", "all", web.site.texts["de"].version),
        }
        # Of a choice of attributes it is not the whole app.
        _, forms = await form(client, web, "4", by="purpose", attribute="email")
        assert (await client.post("/collect", data={**fields_of(forms), "consent": "mailco all"})).status_code == 200
        assert [(e.attribute, e.scope) for e in await events(web, "4")] == [("email", None)]


@pytest.mark.parametrize(
    ("value", "status"),
    [("crm email", 404), ("mailco card", 404), ("mailco nothing", 404), ("nobody all", 404), ("mailco", 404)],
)
async def test_what_is_not_asked_cannot_be_given(web: Website, value: str, status: int) -> None:
    async with web.client() as client:
        _, forms = await form(client, web, "5")
        fields = {**fields_of(forms), "consent": ["mailco email", value]}
        assert (await client.post("/collect", data=fields)).status_code == status
        assert await events(web, "5") == []  # all or nothing


async def test_the_link_opens_nothing_else(web: Website) -> None:
    async with web.client() as client:
        collecting = token(web, "6")
        assert (await client.get("/me", params={"token": collecting})).status_code == 401
        answer = await client.get("/api/subjects/6/access", headers={"Authorization": f"Bearer {collecting}"})
        assert answer.status_code == 401
        # And a link to the pages does not open the form, nor an old one, nor one that was changed.
        for bad in (web.link("6"), f"{collecting}x", "", token(web, "6", 0.5)[:-1]):
            assert (await client.get("/collect", params={"token": bad})).status_code == 401
        _, forms = await form(client, web, "6")
        forged = {**fields_of(forms), "token": web.link("6"), "consent": "mailco email"}
        assert (await client.post("/collect", data=forged)).status_code == 401
        assert (await client.post("/collect", content=b"x" * 30_000)).status_code == 413
        assert await events(web, "6") == []


async def test_who_may_embed_it(web: Website) -> None:
    web.site.settings.organisation.embed_from[:] = ["https://www.example.org"]
    try:
        async with web.client(follow_redirects=True) as client:
            page, _ = await form(client, web, "7")
            assert "frame-ancestors https://www.example.org" in page.headers["content-security-policy"]
            me = await client.get("/me", params={"token": web.link("7")})
            assert "frame-ancestors 'none'" in me.headers["content-security-policy"]
    finally:
        web.site.settings.organisation.embed_from.clear()


async def test_the_language_keeps_the_link(web: Website) -> None:
    async with web.client() as client:
        page, _ = await form(client, web, "8", app="mailco")
        assert f'href="?token={token_of(page.text)}&amp;app=mailco&amp;lang=de"' in page.text


def token_of(text: str) -> str:
    return fields_of(Forms(text))["token"]
