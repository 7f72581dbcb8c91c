"""The agents' page for records that fit nobody or several: shown side by side, decided once, taken back."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from html import unescape
from pathlib import Path

import httpx
import pytest

from tests.gateways import audit_records, write_settings
from tests.servers import PgServer
from tests.websites import SETTINGS, Website, prepare, website

SCHEMA = """
CREATE TABLE customers (id int PRIMARY KEY, full_name text, email text, phone text);
INSERT INTO customers VALUES (1, 'Ann Ander', 'ann@example.org', '+49301000001'), (2, 'Bob Bauer', 'bob@example.org', '+49301000002');
"""
RULES = """
version: 1
attributes: {full_name: {label: Name}, email: {label: Email}, phone: {label: Phone}}
tables: {public.customers: {subject: id, columns: {id: open, full_name: full_name, email: email, phone: phone}}}
apps: {crm: {logins: [reviewed_crm]}}
policies: [{name: all of it, attributes: all, action: show, basis: contract}]
sources:
  leads: {key: key, match: {email: mail, phone: tel}, fields: {mail: email, tel: phone, name: full_name}}
"""
EVIL = "<script>alert(1)</script>"
RECORDS = f"""INSERT INTO consentry.profile_records (source, key, candidates, "values", digest, read_at) VALUES
    ('leads', 'a&b/1', '{{1,2}}', '{{"email": "ann@example.org", "phone": "+49301000002", "full_name": "{EVIL}"}}', '', now()),
    ('leads', 'nobody', '{{}}', '{{"email": "who@example.net", "tickets": {{"subject": "Größe", "n": 2}}}}', '', now());
INSERT INTO consentry.profile_keys VALUES
    ('', '1', 'email', 'ann@example.org', 'ann@example.org'), ('', '2', 'phone', '+49301000002', '+49301000002'),
    ('leads', 'a&b/1', 'email', 'ann@example.org', 'ann@example.org'),
    ('leads', 'a&b/1', 'phone', '+49301000002', '+49301000002')"""


@pytest.fixture
async def web(pg_server: PgServer, tmp_path: Path) -> AsyncIterator[Website]:
    prepare(pg_server, tmp_path, "review", SCHEMA, RULES, ["reviewed_crm"])
    write_settings(pg_server, tmp_path, RULES, {"shop": "review"}, SETTINGS)
    pg_server.run("review", RECORDS)
    async with website(tmp_path, pg_server.dsn("review")) as running:
        yield running


async def enter(client: httpx.AsyncClient, web: Website) -> None:
    page = await client.post("/requests/login", data={"token": await web.token("agent", "rights")})
    assert page.status_code == 200


def forms(page: httpx.Response) -> list[dict[str, str]]:
    """What each button of the page sends."""
    found = []
    for form in re.findall(r"<form method=\"post\" action=\"/requests/record\">(.*?)</form>", page.text, re.DOTALL):
        fields = re.findall(r'name="(\w+)" value="([^"]*)"', form)
        found.append({name: unescape(value) for name, value in fields})
    return found


async def test_records_are_shown_beside_customers_decided_and_taken_back(web: Website) -> None:
    async with web.client(follow_redirects=True) as client:
        assert (await client.get("/requests/records")).status_code == 401
        await enter(client, web)
        listed = await client.get("/requests/records")
        assert "customer 1, 2" in listed.text
        assert "nobody who is known" in listed.text
        stranger = await client.get("/requests/record", params={"source": "leads", "key": "nobody"})
        assert "n: 2, subject: Größe" in stranger.text
        address = unescape(re.search(r'href="(/requests/record\?[^"]*key=a[^"]*)"', listed.text)[1])  # type: ignore[index]
        page = await client.get(address)
        for shown in ("Ann Ander", "Bob Bauer", "ann@example.org", "Whose is it?", unescape("&lt;script&gt;")):
            assert shown in unescape(page.text)
        assert EVIL not in page.text
        buttons = {(one["choice"], one["subject"]): one for one in forms(page)}
        assert set(buttons) == {("new", ""), ("same", "1"), ("other", "1"), ("same", "2"), ("other", "2")}
        page = await client.post("/requests/record", data=buttons["same", "2"])
        assert "It is customer 2’s." in page.text
        assert "same, customer 2" in page.text
        assert "by agents' page, agent" in unescape(page.text)
        assert "a&amp;b/1" not in (await client.get("/requests/records")).text
        (undo,) = forms(page)
        page = await client.post("/requests/record", data=undo)
        assert "Whose is it?" in page.text
        page = await client.post("/requests/record", data=buttons["other", "2"])
        assert "It is customer 1’s." in page.text  # the one who is left


async def test_who_was_shown_a_record_and_decided_is_recorded(web: Website, tmp_path: Path) -> None:
    async with web.client(follow_redirects=True) as client:
        await enter(client, web)
        await client.get("/requests/records")
        page = await client.get("/requests/record", params={"source": "leads", "key": "nobody"})
        await client.post("/requests/record", data=forms(page)[0])
    found = [
        (one["act"], one["actor"], one.get("choice"))
        for one in audit_records(tmp_path / "audit")
        if one.get("act") in ("show", "review")
    ]
    agent = "agents' page, agent"
    # What is decided is shown again.
    assert found == [("show", agent, None), ("review", agent, "new"), ("show", agent, None)]


async def test_what_is_refused(web: Website) -> None:
    async with web.client(follow_redirects=True) as client:
        await enter(client, web)
        given = forms(await client.get("/requests/record", params={"source": "leads", "key": "nobody"}))[0]
        for wrong, status in (
            ({"form": "forged"}, 403),
            ({"choice": "maybe"}, 422),
            ({"key": ""}, 400),
            ({"key": "x"}, 409),
        ):
            assert (await client.post("/requests/record", data={**given, **wrong})).status_code == status, wrong
        assert (await client.get("/requests/record")).status_code == 400
        assert (await client.get("/requests/record", params={"source": "leads", "key": "none"})).status_code == 409
        page = await client.post("/requests/record", data=given)
        assert "It is customer -1’s." in page.text


async def test_a_record_that_changed_since_it_was_shown_is_not_decided(web: Website, pg_server: PgServer) -> None:
    async with web.client(follow_redirects=True) as client:
        await enter(client, web)
        shown = await client.get("/requests/record", params={"source": "leads", "key": "nobody"})
        (given,) = forms(shown)
        pg_server.run(
            "review",
            "UPDATE consentry.profile_records SET values = '{\"email\": \"x@example.net\"}' WHERE key = 'nobody'",
        )
        for stale in (given, {**given, "seen": ""}, {name: one for name, one in given.items() if name != "seen"}):
            page = await client.post("/requests/record", data=stale)
            assert page.status_code == 409
            assert "changed meanwhile" in page.text
        page = await client.get("/requests/record", params={"source": "leads", "key": "nobody"})
        page = await client.post("/requests/record", data=forms(page)[0])
        assert "It is customer -1’s." in page.text
        (undo,) = forms(page)
        pg_server.run("review", "UPDATE consentry.profile_records SET digest = 'other' WHERE key = 'nobody'")
        assert (await client.post("/requests/record", data=undo)).status_code == 409


async def test_a_customer_who_is_not_there(web: Website) -> None:
    async with web.client(follow_redirects=True) as client:
        await enter(client, web)
        page = await client.get("/requests/record", params={"source": "leads", "key": "nobody"})
        given = {**forms(page)[0], "choice": "same"}
        page = await client.post("/requests/record", data={**given, "subject": "424242"})
        assert page.status_code == 409
        assert "there is no customer" in page.text
        page = await client.post("/requests/record", data={**given, "subject": "1"})
        assert "It is customer 1’s." in page.text
