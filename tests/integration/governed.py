"""A gateway in a thread over a database of a test's own, with rules of the test's own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import psycopg

from proxy.catalog.introspect import take_snapshot
from proxy.consent import ledger, needs, service, spans
from proxy.policy.compile import compile_rules
from proxy.policy.load import load_rules
from proxy.policy.table import CompiledRules
from proxy.profile import relation, shape
from proxy.server.generation import Generation
from tests.servers import PgServer, snapshot_of
from tests.wire.gateway import Running


class Governed(Running):
    """`text`, the rules, may be replaced before a reload."""

    def __init__(self, server: PgServer, directory: Path, dbname: str, rules: str) -> None:
        self.text = rules
        self.database = server.dsn(dbname)
        super().__init__(server, directory, dbname)

    async def _load(self) -> Generation:
        snapshot = await snapshot_of(self.database)
        return Generation("db", compile_rules(load_rules([("rules.yaml", self.text)]), snapshot), snapshot)

    async def _fingerprint(self) -> str:
        return self.databases[0].generation.snapshot.version

    @property
    def rules(self) -> CompiledRules:
        return self.databases[0].generation.rules

    def connect(self, app: str, **options: Any) -> psycopg.Connection[Any]:
        return psycopg.connect(self.dsn(app), autocommit=True, **options)

    def give(self, decision: str, subject: object, app: str, attribute: str) -> None:
        """A consent record: `grant` or `withdraw`."""

        async def run() -> None:
            connection = await asyncpg.connect(self.database)
            rules = load_rules([("rules.yaml", self.text)])
            words = service.Vocabulary(list(self.rules.apps), list(rules.attributes))
            change = service.grant if decision == "grant" else service.withdraw
            try:
                await change(connection, words, str(subject), app, attribute)
            finally:
                await connection.close()

        asyncio.run(run())


@contextmanager
def governed(
    server: PgServer, directory: Path, dbname: str, schema: str, rules: str, apps: Sequence[str], key: str = "bigint"
) -> Iterator[Governed]:
    """Makes the database and a login for each app; `key`: the type of the subjects in the ledger."""
    dsn = server.create_database(dbname, schema)
    for app in apps:
        server.create_login(app, group="auth_trust")

    async def prepare() -> None:
        connection = await asyncpg.connect(dsn)
        try:
            source = load_rules([("rules.yaml", rules)])
            snapshot = await take_snapshot(connection)
            compiled = compile_rules(source, snapshot)
            await ledger.setup(connection, key, apps, views=needs.own_views(compiled, snapshot))
            await spans.follow(connection, compiled)
            await shape.follow(connection, source)
            snapshot = await take_snapshot(connection)
            compiled = compile_rules(source, snapshot)
            await relation.follow(connection, compiled, snapshot)
            missing = await needs.missing_roles(connection, compiled)
            await needs.apply_grants(connection, needs.grants(compiled), missing)
        finally:
            await connection.close()

    asyncio.run(prepare())
    gateway = Governed(server, directory, dbname, rules)
    try:
        yield gateway
    finally:
        gateway.close()
