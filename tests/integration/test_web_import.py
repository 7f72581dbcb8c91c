"""POST /api/consents/import: a file of decisions over HTTP, all of it or nothing."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import httpx
import pytest

from proxy.consent import import_export
from proxy.web import site
from tests.integration.test_web_api import RULES, SCHEMA, attribute, path
from tests.servers import PgServer
from tests.websites import Website, prepare, website

IMPORT = "/api/consents/import"
CSV = {"Content-Type": "text/csv; charset=utf-8"}
JSONL = {"Content-Type": "application/x-ndjson"}
HEADER = "subject,app,attribute,decision\n"
LOGINS = ["web_crm", "web_mailco", "web_deploy"]


@pytest.fixture(scope="module")
def folder(pg_server: PgServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("web_import")
    prepare(pg_server, folder, "web_import", SCHEMA, RULES, LOGINS)
    return folder


@pytest.fixture
async def web(folder: Path, pg_server: PgServer) -> AsyncIterator[Website]:
    async with website(folder, pg_server.dsn("web_import")) as running:
        yield running


@pytest.fixture
async def service(web: Website) -> AsyncIterator[httpx.AsyncClient]:
    async with web.client(await web.token(f"all {time.monotonic_ns()}", "read", "write")) as client:
        yield client


async def count(web: Website) -> tuple[int, int]:
    connection = await asyncpg.connect(web.dsn)
    try:
        query = "SELECT (SELECT count(*) FROM consentry.events), (SELECT count(*) FROM consentry.imports)"
        row = await connection.fetchrow(query)
        assert row is not None
        return row[0], row[1]
    finally:
        await connection.close()


async def test_csv_and_json_lines(service: httpx.AsyncClient) -> None:
    text = HEADER + "a,mailco,email,granted\nb/1,mailco,all,granted\n"
    done = await service.post(IMPORT, content=text.encode(), headers=CSV)
    assert (done.status_code, done.headers["cache-control"]) == (200, "no-store")
    assert {**done.json(), "id": 0} == {"id": 0, "records": 2, "events": 3, "repeated": False}
    seen = attribute((await service.get(path("b/1", "access"))).json(), "mailco", "full_name")
    assert (seen["shared"], seen["granted"]) == (True, True)
    line = {"subject": "a", "app": "mailco", "attribute": "email", "decision": "withdrawn", "text_version": "t9"}
    done = await service.post(IMPORT, content=json.dumps(line).encode(), headers=JSONL)
    assert done.status_code == 200
    (newest, *_) = (await service.get(path("a", "consents", "history"))).json()["records"]
    assert (newest["decision"], newest["actor"], newest["text_version"]) == ("withdrawn", "import", "t9")
    assert newest["source"].startswith(f"import {done.json()['id']}, api, token all")


@pytest.mark.parametrize("few", [0, 1000])
async def test_one_bad_line_and_nothing_is_written(
    web: Website, service: httpx.AsyncClient, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_export, "FEW", few)
    before = await count(web)
    lines = [f"n{n},mailco,email,granted\n" for n in range(30_000)]
    lines[29_000] = "n,mailco,email,yes\n"
    refused = await service.post(IMPORT, content=(HEADER + "".join(lines)).encode(), headers=CSV)
    assert (refused.status_code, refused.headers["content-type"]) == (422, "application/problem+json")
    problem = refused.json()
    assert problem["lines"] == [{"line": 29_002, "reason": 'the decision is granted or withdrawn, not "yes"'}]
    assert (problem["records"], problem["wrong"]) == (30_000, 1)
    assert problem["detail"] == "nothing was imported: 1 of 30000 records cannot be taken"
    assert await count(web) == before


async def test_a_key_makes_it_once(web: Website, service: httpx.AsyncClient) -> None:
    key = {"Idempotency-Key": "signup 7"}
    text = (HEADER + "k,mailco,email,granted\n").encode()
    first = await service.post(IMPORT, content=text, headers={**CSV, **key})
    before = await count(web)
    again = await service.post(IMPORT, content=text, headers={**CSV, **key})
    assert again.json() == {**first.json(), "repeated": True}
    other = await service.post(IMPORT, content=text + b"l,mailco,email,granted\n", headers={**CSV, **key})
    assert other.status_code == 409
    assert "used before, for another file" in other.json()["detail"]
    wrong = await service.post(IMPORT, content=text, headers={**CSV, "Idempotency-Key": "x" * 101})
    assert wrong.status_code == 400
    assert await count(web) == before


async def test_who_may_not(web: Website) -> None:
    before = await count(web)
    text = (HEADER + "1,mailco,email,granted\n").encode()
    async with web.client(await web.token(f"reads {time.monotonic_ns()}", "read")) as reader:
        assert (await reader.post(IMPORT, content=text, headers=CSV)).status_code == 403
    async with web.client(web.link("1")) as customer:
        assert (await customer.post(IMPORT, content=text, headers=CSV)).status_code == 403
    async with web.client() as nobody:
        assert (await nobody.post(IMPORT, content=text, headers=CSV)).status_code == 401
    assert await count(web) == before


async def test_bodies_that_are_not_taken(web: Website, service: httpx.AsyncClient) -> None:
    before = await count(web)
    text = (HEADER + "1,mailco,email,granted\n").encode()
    refused = await service.post(IMPORT, content=text, headers={"Content-Type": "application/json"})
    assert refused.status_code == 415
    assert "Content-Type: text/csv" in refused.json()["detail"]
    refused = await service.post(IMPORT, content=b"1,mailco,email,granted\n", headers=CSV)
    assert (refused.status_code, refused.json()["detail"][:32]) == (422, "the header lacks subject, app, a")
    for garbage in (b"\xff\x00" * 999, b'"', b"x" * 100_000, (HEADER + '"').encode()):
        assert (await service.post(IMPORT, content=garbage, headers=CSV)).status_code == 422
        assert (await service.post(IMPORT, content=garbage, headers=JSONL)).status_code == 422
    web.site.settings = web.site.settings.model_copy(update={"import_bytes": 100})
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 50
            yield b"x" * 50

    refused = await service.post(IMPORT, content=endless(), headers=CSV)
    assert (refused.status_code, refused.json()["detail"]) == (413, "the body is larger than 100 bytes")
    assert sent < 1000
    assert await count(web) == before


async def test_its_description_is_true(service: httpx.AsyncClient) -> None:
    described = (await service.get("/openapi.json")).json()["paths"][IMPORT]["post"]
    assert set(described["requestBody"]["content"]) == {"text/csv", "application/x-ndjson", "application/jsonl"}
    assert set(described["responses"]) == {
        "200",
        "400",
        "401",
        "403",
        "404",
        "409",
        "413",
        "415",
        "422",
        "429",
        "503",
        "504",
    }
    assert [p["name"] for p in described["parameters"]] == ["Idempotency-Key"]


async def test_while_a_large_import_is_written_others_wait_and_are_told(
    folder: Path, pg_server: PgServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site, "ANSWER_SECONDS", 0.3)
    where = path("late", "consents", "mailco", "email")
    async with website(folder, pg_server.dsn("web_import")) as web:
        token = await web.token("late", "read", "write")
        async with web.client(token) as client:
            importing = await asyncpg.connect(web.dsn)
            try:
                async with importing.transaction():
                    await importing.execute("LOCK TABLE consentry.events IN SHARE ROW EXCLUSIVE MODE")
                    refused = await client.put(where, json={"decision": "granted"})
                    assert (refused.status_code, refused.headers["retry-after"]) == (504, "5"), refused.text
                    assert (await client.get(path("late", "access"))).status_code == 200
            finally:
                await importing.close()
            assert (await client.get(path("late", "consents", "history"))).json()["records"] == []
            assert (await client.put(where, json={"decision": "granted"})).status_code == 200
            assert len((await client.get(path("late", "consents", "history"))).json()["records"]) == 1
