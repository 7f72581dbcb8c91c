"""The consent API: what it does, and what it refuses; nothing is written by what is refused."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import asyncpg
import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import OctKey
from limits import RateLimitItemPerMinute

from proxy.web import tokens
from proxy.web.callers import COOKIE
from proxy.web.rates import Rates
from tests.servers import PgServer
from tests.websites import Website, prepare, website

SCHEMA = """
CREATE TABLE customers (key text PRIMARY KEY, full_name text, email text, card text);
INSERT INTO customers VALUES ('1', 'Ann', 'ann@example.org', '4111'), ('2', 'Bob', 'bob@example.org', '4222');
GRANT SELECT ON customers TO PUBLIC;
"""
RULES = """
version: 1
attributes:
  full_name: {label: "Name"}
  email: {label: "Email address"}
  card: {label: "Card", group: sensitive}
tables: {public.customers: {subject: key, columns: {key: open, full_name: full_name, email: email, card: card}}}
apps:
  crm: {label: "Customer service", logins: [web_crm], purpose: service}
  mailco: {label: "MailCo", logins: [web_mailco], kind: partner, purpose: newsletters}
  deploy: {logins: [web_deploy], trusted: true}
policies:
  - {name: service, apps: [crm], attributes: all, action: show, basis: contract}
  - {name: agreed, apps: [mailco], attributes: [full_name, email], action: show, consent: opt_in}
"""


@pytest.fixture(scope="module")
def folder(pg_server: PgServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("web")
    prepare(pg_server, folder, "web_api", SCHEMA, RULES, ["web_crm", "web_mailco", "web_deploy"])
    return folder


@pytest.fixture
async def web(folder: Path, pg_server: PgServer) -> AsyncIterator[Website]:
    async with website(folder, pg_server.dsn("web_api")) as running:
        yield running


@pytest.fixture
async def service(web: Website) -> AsyncIterator[httpx.AsyncClient]:
    async with web.client(await web.token(f"all {time.monotonic_ns()}", "read", "write")) as client:
        yield client


async def events(web: Website) -> int:
    connection = await asyncpg.connect(web.dsn)
    try:
        return int(await connection.fetchval("SELECT count(*) FROM consentry.events"))
    finally:
        await connection.close()


GRANT = {"decision": "granted"}
WITHDRAW = {"decision": "withdrawn"}


def path(subject: str, *rest: str) -> str:
    return f"/api/subjects/{quote(subject, safe='')}/{'/'.join(rest)}"


def attribute(access: Any, app: str, name: str) -> dict[str, Any]:
    (one,) = (a for a in access["apps"] if a["app"] == app)
    (found,) = (a for a in one["attributes"] if a["attribute"] == name)
    return dict(found)


# What it does


async def test_a_decision_is_seen_at_once(service: httpx.AsyncClient) -> None:
    before = (await service.get(path("1", "access"))).json()
    assert [app["app"] for app in before["apps"]] == ["crm", "mailco", "deploy"]
    email = attribute(before, "mailco", "email")
    assert (email["shared"], email["why"], email["consent"], email["granted"]) == (False, "consent", "opt_in", False)
    assert attribute(before, "crm", "card")["basis"] == "contract"
    assert attribute(before, "deploy", "card")["why"] == "unrestricted"

    until = datetime.now(UTC) + timedelta(days=30)
    done = await service.put(
        path("1", "consents", "mailco", "email"),
        json={**GRANT, "expires_at": until.isoformat(), "text_version": "t1", "evidence": {"form": "signup"}},
    )
    assert done.status_code == 200, done.text
    (record,) = done.json()["records"]
    assert (record["decision"], record["actor"], record["text_version"]) == ("granted", "agent", "t1")
    assert record["evidence"] == {"form": "signup"}

    after = await service.get(path("1", "access"))
    email = attribute(after.json(), "mailco", "email")
    assert (email["shared"], email["sees"], email["granted"]) == (True, "value", True)
    assert datetime.fromisoformat(email["expires"]) == until
    assert email["etag"] == done.headers["etag"] == after.headers["etag"]
    one = await service.get(path("1", "consents", "mailco", "email"))
    assert (one.json()["granted"], one.headers["etag"]) == (True, done.headers["etag"])


async def test_a_group_and_all(service: httpx.AsyncClient) -> None:
    done = await service.put(path("all", "consents", "mailco", "all"), json=GRANT)
    assert {(r["attribute"], r["scope"]) for r in done.json()["records"]} == {("email", "all"), ("full_name", "all")}
    done = await service.put(path("all", "consents", "mailco", "group:basic"), json=WITHDRAW)
    assert {r["scope"] for r in done.json()["records"]} == {"group:basic"}
    refused = await service.put(path("all", "consents", "mailco", "group:sensitive"), json=GRANT)
    assert refused.status_code == 422
    assert "asks no consent for an attribute of group sensitive" in refused.json()["detail"]


async def test_history_in_pages(service: httpx.AsyncClient) -> None:
    for number in range(5):
        await service.put(path("hist", "consents", "mailco", "email"), json=GRANT if number % 2 else WITHDRAW)
    seen, before = [], None
    while True:
        asked = {"limit": 2} | ({"before": before} if before else {})
        page = (await service.get(path("hist", "consents", "history"), params=asked)).json()
        seen += page["records"]
        before = page["next"]
        if before is None:
            break
    ids = [record["id"] for record in seen]
    assert len(ids) == 5
    assert ids == sorted(ids, reverse=True)
    assert [seen[n]["prev_hash"] for n in range(4)] == [seen[n + 1]["hash"] for n in range(4)]


@pytest.mark.parametrize("subject", ["o'hara", "a/b", "new\nline", "ä€ %2F", '"', "x" * 2000, "a;b?c#d", "\\x00"])
async def test_any_text_is_a_subject(service: httpx.AsyncClient, subject: str) -> None:
    done = await service.put(path(subject, "consents", "mailco", "email"), json=GRANT)
    assert done.status_code == 200, done.text
    assert done.json()["records"][0]["subject"] == subject
    assert attribute((await service.get(path(subject, "access"))).json(), "mailco", "email")["granted"]


async def test_a_stale_etag_changes_nothing(web: Website, service: httpx.AsyncClient) -> None:
    here = path("etag", "consents", "mailco", "email")
    first = await service.put(here, json=GRANT, headers={"If-Match": '"0"'})
    assert first.status_code == 200
    count = await events(web)
    stale = await service.put(here, json=WITHDRAW, headers={"If-Match": '"0"'})
    assert (stale.status_code, stale.headers["etag"]) == (412, first.headers["etag"])
    assert stale.headers["content-type"] == "application/problem+json"
    assert (await service.put(here, json=WITHDRAW, headers={"If-Match": "x"})).status_code == 400
    assert await events(web) == count
    assert (await service.put(here, json=WITHDRAW, headers={"If-Match": stale.headers["etag"]})).status_code == 200


async def test_a_request_sent_twice_is_one_decision(web: Website, service: httpx.AsyncClient) -> None:
    here, key = path("idem", "consents", "mailco", "email"), {"Idempotency-Key": "k1"}
    first, second = await asyncio.gather(*(service.put(here, json=GRANT, headers=key) for _ in range(2)))
    assert first.json() == second.json()
    count = await events(web)
    other = await service.put(here, json=WITHDRAW, headers=key)
    assert other.status_code == 409
    assert (await service.put(here, json=GRANT, headers={"Idempotency-Key": "ä".encode()})).status_code == 400
    assert await events(web) == count


# Who may


async def test_customers_reach_their_own_only(web: Website) -> None:
    count = await events(web)
    async with web.client(web.link("1")) as ann:
        assert (await ann.get(path("1", "access"))).status_code == 200
        for refused in (
            await ann.get(path("2", "access")),
            await ann.put(path("2", "consents", "mailco", "email"), json=GRANT),
            await ann.get(path("2", "consents", "history")),
        ):
            assert (refused.status_code, refused.json()["detail"]) == (403, "this is another customer's")
        refused = await ann.put(path("1", "consents", "crm", "card"), json=WITHDRAW)
        assert refused.status_code == 422
        assert "does not ask consent" in refused.json()["detail"]
        refused = await ann.put(path("1", "consents", "mailco", "email"), json={**GRANT, "evidence": {"a": 1}})
        assert refused.status_code == 422
        assert await events(web) == count
        done = await ann.put(path("1", "consents", "mailco", "email"), json=WITHDRAW)
        assert done.json()["records"][0]["actor"] == "customer"


def forged(web: Website, folder: Path) -> dict[str, str]:
    key = OctKey.import_key((folder / "web.key").read_bytes().strip())
    now = int(time.time())
    right = {"sub": "1", "aud": "consentry", "exp": now + 60}

    def signed(claims: dict[str, Any], by: OctKey = key, algorithm: str = "HS256") -> str:
        return jwt.encode({"alg": algorithm}, claims, by, algorithms=["HS256", "HS512", "none"])

    def part(value: Any) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    head, body, signature = signed(right).split(".")
    return {
        "expired": signed({**right, "exp": now - 1}),
        "without end": signed({"sub": "1", "aud": "consentry"}),
        "end of another type": signed({**right, "exp": True}),
        "too long": signed({**right, "exp": now + 8 * 86_400}),
        "another audience": signed({**right, "aud": "other"}),
        "another purpose": signed({**right, "scope": "collect"}),
        "another key": signed(right, OctKey.import_key(b"x" * 48)),
        "another algorithm": signed(right, key, "HS512"),
        "no algorithm": f"{part({'alg': 'none'})}.{body}.",
        "changed": f"{head}.{part({**right, 'sub': '2'})}.{signature}",
        "a number": signed({**right, "sub": 1}),
        "cut": f"{head}.{body}",
        "nonsense": "x.y.z",
        "ä": "ä",
    }


async def test_links_that_are_not_ours(web: Website, folder: Path) -> None:
    async with web.client() as nobody:
        for what, token in forged(web, folder).items():
            for subject in ("1", "2"):
                answer = await nobody.get(
                    path(subject, "access"), headers={"Authorization": f"Bearer {token}".encode()}
                )
                assert answer.status_code == 401, f"{what}: {answer.text}"
                assert answer.headers["www-authenticate"] == "Bearer"


async def test_scopes(web: Website) -> None:
    count = await events(web)
    async with web.client(await web.token("reader", "read")) as reader:
        assert (await reader.get(path("1", "access"))).status_code == 200
        refused = await reader.put(path("1", "consents", "mailco", "email"), json=GRANT)
        assert (refused.status_code, refused.json()["detail"]) == (403, "this needs a token with the scope write")
    async with web.client(await web.token("writer", "write")) as writer:
        assert (await writer.get(path("1", "access"))).status_code == 403
    async with web.client(await web.token("auditor", "audit")) as auditor:
        assert (await auditor.get(path("1", "access"))).status_code == 403
    async with web.client() as nobody:
        assert (await nobody.get(path("1", "access"))).status_code == 401
        for header in ("Basic YTpi", "Bearer", "Bearer ", "Bearer cst_unknown"):
            assert (await nobody.get(path("1", "access"), headers={"Authorization": header})).status_code == 401
    assert await events(web) == count


async def test_a_revoked_token_ends_at_once(web: Website) -> None:
    secret = await web.token("leaving", "read")
    connection = await asyncpg.connect(web.dsn)
    try:
        async with web.client(secret) as client:
            assert (await client.get(path("1", "access"))).status_code == 200
            await tokens.revoke(connection, "leaving")
            assert (await client.get(path("1", "access"))).status_code == 401
        _, short = await tokens.add(connection, "short", ["read"], datetime.now(UTC) + timedelta(seconds=0.2))
        async with web.client(short) as client, asyncio.timeout(10):
            while (await client.get(path("1", "access"))).status_code != 401:
                await asyncio.sleep(0.02)
        kept = await connection.fetch("SELECT * FROM consentry.tokens")
        assert not any(secret in str(value) or short in str(value) for row in kept for value in row.values())
    finally:
        await connection.close()


async def test_requests_that_our_pages_did_not_send(web: Website) -> None:
    keys = web.site.keys
    assert keys is not None
    cookie = keys.make_session("1")
    session, other = keys.read_session(cookie), keys.read_session(keys.make_session("1"))
    assert session is not None
    assert other is not None
    right = {"X-CSRF-Token": keys.form_token(session)}
    here = path("1", "consents", "mailco", "email")
    count = await events(web)
    async with web.client(cookies={COOKIE: cookie}) as browser:
        assert (await browser.get(path("1", "access"))).status_code == 200
        for headers in (
            {},
            {"X-CSRF-Token": ""},
            {"X-CSRF-Token": keys.form_token(other)},
            {**right, "Sec-Fetch-Site": "cross-site"},
            {**right, "Origin": "https://evil.example"},
            {**right, "Origin": "null"},
        ):
            refused = await browser.put(here, json=GRANT, headers=headers)
            assert refused.status_code == 403, headers
        assert await events(web) == count
        own = {**right, "Origin": "http://consentry.test", "Sec-Fetch-Site": "same-origin"}
        assert (await browser.put(here, json=GRANT, headers=own)).status_code == 200
    async with web.client(cookies={COOKIE: cookie[:-2] + "xx"}) as browser:
        assert (await browser.get(path("1", "access"))).status_code == 401


# What is no request


async def test_slips_are_named_and_nothing_is_written(web: Website, service: httpx.AsyncClient) -> None:
    count = await events(web)
    here = path("1", "consents", "mailco", "email")
    long = "x" * 70_000
    for status, answer in (
        (404, await service.put(path("1", "consents", "mailc", "email"), json=GRANT)),
        (404, await service.put(path("1", "consents", "mailco", "emial"), json=GRANT)),
        (404, await service.put(path("1", "consents", "deploy", "email"), json=GRANT)),
        (404, await service.get("/api/nothing")),
        (405, await service.delete(here)),
        (400, await service.put(here, content=b"{", headers={"Content-Type": "application/json"})),
        (400, await service.put(here, content=b"\xff", headers={"Content-Type": "application/json"})),
        (400, await service.put(here, content=b'{"decision": NaN}', headers={"Content-Type": "application/json"})),
        (400, await service.put(here, content=b"[" * 60_000, headers={"Content-Type": "application/json"})),
        (400, await service.get("/api/subjects/%ff/access")),
        (413, await service.put(here, json={**GRANT, "text_version": long})),
        (415, await service.put(here, content=b"decision=granted")),
        (422, await service.put(here, json=[])),
        (422, await service.put(here, json={"decision": "maybe"})),
        (422, await service.put(here, json={**GRANT, "who": "me"})),
        (422, await service.put(here, json={**GRANT, "expires_at": "2100-01-01T00:00:00"})),
        (422, await service.put(here, json={**GRANT, "expires_at": "2001-01-01T00:00:00Z"})),
        (422, await service.put(here, json={**GRANT, "text_version": "\0"})),
        (422, await service.put(here, content=b'{"decision": "granted", "text_version": "\\ud800"}', headers={"Content-Type": "application/json"})),
        (422, await service.put(here, json={**GRANT, "evidence": {"a": "\0"}})),
        (422, await service.put(path("\0", "consents", "mailco", "email"), json=GRANT)),
        (422, await service.get(path("1", "consents", "history"), params={"limit": "0"})),
        (422, await service.get(path("1", "consents", "history"), params={"befor": "1"})),
        (422, await service.get(path("1", "consents", "history"), params={"before": str(2**63)})),
    ):  # fmt: skip
        said = f"{answer.request.method} {answer.request.url}: {answer.text[:300]}"
        assert answer.status_code == status, said
        assert answer.headers["content-type"] == "application/problem+json", said
        assert answer.json()["status"] == status
    assert await events(web) == count


async def test_the_nearest_spelling(service: httpx.AsyncClient) -> None:
    answer = await service.put(path("1", "consents", "mailc", "email"), json=GRANT)
    assert 'did you mean "mailco"' in answer.json()["detail"]


async def test_who_asks_too_often_waits(folder: Path, pg_server: PgServer) -> None:
    three = RateLimitItemPerMinute(3)
    async with website(folder, pg_server.dsn("web_api"), Rates(three, three, three)) as web:
        async with web.client(web.link("1")) as ann, web.client(web.link("2")) as bob:
            assert [(await ann.get(path("1", "access"))).status_code for _ in range(4)] == [200, 200, 200, 429]
            answer = await ann.get(path("1", "access"))
            assert answer.headers["retry-after"] == "60"
            assert (await bob.get(path("2", "access"))).status_code == 200
        async with web.client("cst_guess") as guesser:
            assert [(await guesser.get(path("1", "access"))).status_code for _ in range(4)] == [401, 401, 401, 429]


async def test_health(web: Website) -> None:
    async with web.client() as nobody:
        assert (await nobody.get("/healthz")).status_code == 200
        assert (await nobody.get("/readyz")).status_code == 200
        answer = await nobody.get("/openapi.json")
        assert answer.json()["openapi"] == "3.1.0"
        assert answer.headers["x-content-type-options"] == "nosniff"
