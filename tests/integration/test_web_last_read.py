"""When an app last read something: by the API and on the customer's page, from a gateway's log as it grows."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest

from tests.gateways import consentry, running_gateway
from tests.integration.test_web_pages import RULES, SCHEMA, enter
from tests.servers import PgServer
from tests.websites import SETTINGS, Website, prepare, website


@pytest.fixture(scope="module")
def folder(pg_server: PgServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("last_read")
    prepare(pg_server, folder, "last_read", SCHEMA, RULES, ["pages_crm", "pages_mailco", "pages_ads"])
    return folder


@pytest.fixture
async def web(folder: Path, pg_server: PgServer) -> AsyncIterator[Website]:
    async with website(folder, pg_server.dsn("last_read")) as running:
        yield running


async def last_read(web: Website, token: str) -> dict[tuple[str, str], str | None]:
    await web.site.audit.refresh()
    async with web.client(token) as client:
        found = (await client.get("/api/subjects/7/access")).json()
    return {(app["app"], one["attribute"]): one["last_read"] for app in found["apps"] for one in app["attributes"]}


async def test_last_time_that_the_app_read_it(web: Website, folder: Path, pg_server: PgServer) -> None:
    token = await web.token("reader", "read")
    assert set((await last_read(web, token)).values()) == {None}  # there is no log yet
    with running_gateway(pg_server, folder, RULES, {"shop": "last_read"}, SETTINGS) as gateway:
        with psycopg.connect(gateway.dsn("pages_crm", "shop"), autocommit=True) as connection:
            connection.execute("SELECT email FROM customers")
            connection.execute("SELECT full_name FROM customers WHERE false")
        with psycopg.connect(gateway.dsn("pages_mailco", "shop"), autocommit=True) as connection:
            connection.execute("SELECT email FROM customers")
    records = [record for record in gateway.records() if record.get("disclosed")]
    read = await last_read(web, token)
    assert read[("crm", "email")] == records[0]["time"]
    assert read[("crm", "full_name")] is None  # no rows
    assert read[("mailco", "email")] is None  # this customer had not agreed
    consentry(folder, "consent", "grant", "7", "mailco", "email")
    assert (await last_read(web, token))[("mailco", "email")] is None
    with (
        running_gateway(pg_server, folder, RULES, {"shop": "last_read"}, SETTINGS) as gateway,
        psycopg.connect(gateway.dsn("pages_mailco", "shop"), autocommit=True) as connection,
    ):
        connection.execute("SELECT email FROM customers")
    records = [record for record in gateway.records() if record.get("disclosed")]
    assert (await last_read(web, token))[("mailco", "email")] == records[-1]["time"]
    async with web.client(token) as client:
        answered = (await client.get("/api/subjects/7/export")).json()["access"]
    assert [one["last_read"] for app in answered for one in app["attributes"] if one["last_read"]]
    for options in ((), ("--no-disclosures",)):
        assert json.loads(consentry(folder, "subject", "export", "7", *options))["access"] == answered
    async with enter(web, "7") as client:
        page = (await client.get("/me")).text
    assert page.count("The app last read it") == 2
