"""The customer pages of somebody whom only other sources know: the same as everybody's, under a key that a sync made."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tests.integration.test_cli import run
from tests.integration.test_web_pages import Forms, decide, enter, last
from tests.servers import PgServer
from tests.websites import SETTINGS, Website, prepare, website

SCHEMA = """
CREATE TABLE customers (id int PRIMARY KEY, name text, email text);
INSERT INTO customers VALUES (1, 'Ann', 'ann@example.org');
GRANT SELECT ON customers TO PUBLIC;
"""
RULES = """
version: 1
attributes: {name: {label: Name}, email: {label: Email address}, city: {label: City}}
tables: {public.customers: {subject: id, columns: {id: open, name: name, email: email}, erase: delete}}
apps:
  crm: {label: Customer service, logins: [made_crm], purpose: helping you}
  mailco: {label: MailCo, logins: [made_mailco], kind: partner, purpose: newsletters}
policies:
  - {name: service, apps: [crm], attributes: all, action: show, basis: contract}
  - {name: those who agreed, apps: [mailco], attributes: [email, city], action: show, consent: opt_in}
sources:
  leads: {key: number, match: {email: mail, unmatched: new}, fields: {mail: email, name: name, town: city}}
profile: {subject: public.customers.id, columns: {name: [public.customers.name, sources], email: [public.customers.email, sources]}}
"""
LEADS = [
    {"number": 1, "mail": "nora@example.org", "name": "Nora", "town": "Ulm"},
    {"number": 2, "mail": "olga@example.org", "name": "Olga", "town": "Bonn"},
]


@pytest.fixture(scope="module")
def folder(pg_server: PgServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    (folder / "leads.jsonl").write_text("".join(json.dumps(one) + "\n" for one in LEADS))
    upstream = f"postgresql://{pg_server.host}:{pg_server.port}/web_made"
    shop = {"upstream": upstream, "rules": "rules/", "sources": {"leads": {"kind": "jsonl", "path": "leads.jsonl"}}}
    settings: Mapping[str, Any] = {**SETTINGS, "databases": {"shop": shop}}
    prepare(pg_server, folder, "web_made", SCHEMA, RULES, ["made_crm", "made_mailco"], settings)
    assert run("profile", "sync", "--config", str(folder / "consentry.yaml")).code == 0
    return folder


@pytest.fixture
async def web(folder: Path, pg_server: PgServer) -> AsyncIterator[Website]:
    async with website(folder, pg_server.dsn("web_made")) as running:
        yield running


async def key_of(web: Website, name: str) -> int:
    connection = await asyncpg.connect(web.dsn)
    try:
        query = """SELECT subject FROM consentry.profile_records WHERE how = 'new' AND "values" ->> 'name' = $1"""
        found: int = await connection.fetchval(query, name)
        return found
    finally:
        await connection.close()


async def test_who_has_access_the_switch_and_the_history(web: Website) -> None:
    nora = await key_of(web, "Nora")
    assert nora < 0
    async with enter(web, str(nora)) as client:
        page = (await client.get("/me")).text
        for said in ("Customer service", "It is needed for what you ordered", "MailCo", "City", "Does not see: Name"):
            assert said in page
        done = await decide(client, "mailco", "city")
        assert 'role="status"' in done.text
        assert (await last(web, nora) or ())[:3] == ("city", "granted", "customer")
        assert "City" in (await client.get("/me/history")).text
        access = (await client.get(f"/api/subjects/{nora}/access")).json()
        (mailco,) = [app for app in access["apps"] if app["app"] == "mailco"]
        assert {one["attribute"]: one["sees"] for one in mailco["attributes"]} == {
            "name": "nothing", "email": "nothing", "city": "value",
        }  # fmt: skip
        assert (await client.get("/api/subjects/1/access")).status_code == 403
        await client.post("/me/undo", data=Forms(done.text).of("/me/undo"))
        assert (await last(web, nora) or ())[1] == "withdrawn"


async def test_the_download_has_what_sources_say(web: Website) -> None:
    nora = await key_of(web, "Nora")
    async with enter(web, str(nora)) as client:
        data = await client.get("/me/data")
    assert data.status_code == 200
    document = data.json()
    assert document["subject"] == str(nora)
    for said in ("nora@example.org", "Nora", "Ulm", "leads"):
        assert said in data.text
    assert "olga@example.org" not in data.text
    assert "ann@example.org" not in data.text


async def test_who_asks_to_be_erased_is(web: Website, folder: Path) -> None:
    olga = await key_of(web, "Olga")
    async with enter(web, str(olga)) as client, web.client(await web.token("agent", "rights")) as agent:
        form = Forms((await client.get("/me/requests")).text).of("/me/requests", kind="erase")
        assert "We have your request" in (await client.post("/me/requests", data={**form, "sure": "yes"})).text
        (request,) = (await agent.get("/api/requests")).json()["requests"]
        assert request["subject"] == str(olga)
        answer = await agent.post(f"/api/requests/{request['id']}/decision", json={"decision": "confirmed"})
        assert (answer.status_code, answer.json()["status"]) == (200, "done")
        assert "olga@example.org" not in (await client.get("/me/data")).text
    done = await asyncio.to_thread(
        run, "profile", "sync", "--full", "--json", "--config", str(folder / "consentry.yaml")
    )
    assert json.loads(done.out)[0]["counts"]["erased"] == 1
    assert await key_of(web, "Olga") is None
