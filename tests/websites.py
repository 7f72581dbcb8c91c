"""The web side for tests: in this process, asked without sockets, before a database of the test's own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import httpx

from proxy.web.app import make_app
from proxy.web.rates import Rates
from proxy.web.site import Site, open_site
from proxy.web.tokens import add
from tests.gateways import set_up_consent, write_settings
from tests.servers import PgServer

SETTINGS: Mapping[str, Any] = {"web": {"login": {"secret_file": "web.key"}}}


class Website:
    """A web side that runs, and clients of it."""

    def __init__(self, site: Site, app: Any, dsn: str) -> None:
        self.site = site
        self.dsn = dsn
        self._app = app

    def client(self, token: str | None = None, **options: Any) -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        # A fault is an answer of status 500 here as well, not an exception of the test's.
        transport = httpx.ASGITransport(self._app, raise_app_exceptions=False, client=("192.0.2.1", 1))
        return httpx.AsyncClient(transport=transport, base_url="http://consentry.test", headers=headers, **options)

    async def token(self, name: str, *scopes: str) -> str:
        connection = await asyncpg.connect(self.dsn)
        try:
            return (await add(connection, name, scopes))[1]
        finally:
            await connection.close()

    def link(self, subject: str, seconds: float = 600) -> str:
        """The token of a customer's link."""
        assert self.site.keys is not None
        return self.site.keys.make_link_token(subject, seconds)


def prepare(
    server: PgServer,
    folder: Path,
    dbname: str,
    schema: str,
    rules: str,
    logins: list[str],
    settings: Mapping[str, Any] = SETTINGS,
) -> str:
    """Makes the database, the logins, the settings and the ledger; gives the superuser's DSN."""
    dsn = server.create_database(dbname, schema)
    for login in logins:
        server.create_login(login, group="auth_trust")
    write_settings(server, folder, rules, {"shop": dbname}, settings)
    set_up_consent(folder, "shop")
    return dsn


@asynccontextmanager
async def website(folder: Path, dsn: str, rates: Rates | None = None) -> AsyncIterator[Website]:
    """The web side of the settings that `prepare` wrote."""
    site = await asyncio.to_thread(open_site, folder / "consentry.yaml")
    app = make_app(site, rates)
    await site.start()
    try:
        yield Website(site, app, dsn)
    finally:
        await site.stop()
