"""What a step of the tour has: the console, the database, the gateway, the demo's files."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg
from rich.console import Console

from proxy.catalog.connect import connected
from proxy.demo import screens, shop
from proxy.demo.postgres import Postgres
from proxy.demo.running import Running
from proxy.demo.stores import Truth


@dataclass(frozen=True, slots=True)
class Stage:
    """What a step of the tour has. `truth`: whose each record of the other stores is."""

    console: Console
    server: Postgres
    gateway: Running
    files: shop.Files
    truth: Truth

    @asynccontextmanager
    async def as_app(self, app: str) -> AsyncIterator[asyncpg.Connection]:
        """A connection through the gateway."""
        dsn = f"postgresql://{shop.APPS[app]}:{shop.PASSWORD}@127.0.0.1:{self.gateway.port}/{shop.DATABASE}"
        async with connected(dsn) as connection:
            yield connection

    @asynccontextmanager
    async def as_owner(self) -> AsyncIterator[asyncpg.Connection]:
        """A connection to the database itself."""
        async with connected(self.server.dsn(shop.DATABASE)) as connection:
            yield connection

    async def side_by_side(self, sql: str, key: str) -> None:
        """Shows what each app gets of the query, beside the truth."""
        answers, columns = {}, {}
        for app in shop.APPS:
            async with self.as_app(app) as connection:
                prepared = await connection.prepare(sql)
                columns[app] = [attribute.name for attribute in prepared.get_attributes()]
                answers[app] = _rows(await prepared.fetch())
        async with self.as_owner() as owner:
            truth = _rows(await owner.fetch(sql))
        self.console.print(screens.columns_side_by_side(key, truth, answers, columns))


def _rows(records: Sequence[asyncpg.Record]) -> list[screens.Row]:
    return [screens.brief(dict(record)) for record in records]
