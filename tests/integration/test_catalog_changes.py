"""Changes of the catalog under running sessions: noticed by an event trigger, a look, or the error of a stale plan."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from proxy.catalog.introspect import fingerprint
from proxy.server.assemble import Control
from tests.integration import test_enforcement
from tests.integration.test_enforcement import Enforcing
from tests.servers import PgServer

# An app that is shown all of a table sends `*` as it is; a column that the rules do not list must not come with it.
ADD = "ALTER TABLE customers ADD COLUMN secret text DEFAULT 'told'"
DROP = "ALTER TABLE customers DROP COLUMN secret"


class Notified(Enforcing):
    """With a control connection that listens; it looks at the catalog for no other reason."""

    def __init__(self, server: PgServer, directory: Path) -> None:
        self.control = Control(server.dsn("enforced"))
        self.control.catalog_changed = lambda: self.databases[0].catalog_changed()
        self.looks = 0
        self.may_look = threading.Event()
        self.may_look.set()
        self.database = server.dsn("enforced")
        super(Enforcing, self).__init__(server, directory, "enforced", poll=3600)

    async def _fingerprint(self) -> str:
        self.looks += 1
        await asyncio.get_running_loop().run_in_executor(None, self.may_look.wait)
        return await self.control.ask(fingerprint)

    def until_waiting(self, statements: int) -> None:
        """Waits until the gateway has heard of a change, and so many statements wait for its look."""

        async def waiting() -> None:
            database = self.databases[0]
            while not database.looking or len(database._waiting) < statements:
                await asyncio.sleep(0.01)

        self.call(waiting)

    def until_current(self) -> None:
        """Waits until what is in force is of the catalog as it is now."""

        async def current() -> None:
            database = self.databases[0]
            while await self.control.fingerprint() != database.generation.snapshot.version:
                await asyncio.sleep(0.01)

        self.call(current)

    async def change(self) -> None:
        self.databases[0].catalog_changed()

    def until_looked(self, looks: int) -> None:
        """Waits for a look at the catalog beyond so many."""

        async def looked() -> None:
            while self.looks <= looks:
                await asyncio.sleep(0.01)

        self.call(looked)


@pytest.fixture
def gateway(pg_server: PgServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Notified]:
    monkeypatch.setattr(test_enforcement, "Enforcing", Notified)
    for gateway in test_enforcement.gateway.__wrapped__(pg_server, tmp_path):  # type: ignore[attr-defined]
        gateway.call(gateway.control.fingerprint)  # connects and listens
        yield gateway


def columns(connection: psycopg.Connection[Any], text: str = "SELECT * FROM customers") -> list[str]:
    return [column.name for column in connection.execute(text).description or ()]


ALL = ["id", "name", "email", "phone", "card_no", "seen"]


def test_an_event_trigger_tells_of_new_columns(gateway: Notified, pg_server: PgServer) -> None:
    with gateway.connect("full") as connection:
        assert columns(connection) == ALL
        pg_server.run("enforced", ADD)
        gateway.until_current()
        assert columns(connection) == ALL
        pg_server.run("enforced", DROP)
        gateway.until_current()
        assert columns(connection) == ALL


def test_statements_wait_from_the_notice_to_the_end_of_the_look(gateway: Notified, pg_server: PgServer) -> None:
    with gateway.connect("full") as connection, gateway.connect("full") as other:
        assert columns(connection) == columns(other) == ALL
        gateway.may_look.clear()
        pg_server.run("enforced", ADD)
        gateway.until_waiting(0)
        found: list[list[str]] = []
        readers = [threading.Thread(target=lambda c=c: found.append(columns(c))) for c in (connection, other)]
        for reader in readers:
            reader.start()
        gateway.until_waiting(2)
        assert not found
        gateway.may_look.set()
        for reader in readers:
            reader.join(20)
        assert found == [ALL, ALL]


def test_temp_tables_of_apps_are_no_changes(gateway: Notified, pg_server: PgServer) -> None:
    with gateway.connect("partner") as connection:
        connection.execute("SELECT 1")
        looks = gateway.looks
        connection.execute("CREATE TEMP TABLE mine (id serial PRIMARY KEY, a text)")
        connection.execute("CREATE INDEX ON mine (a)")
        connection.execute("SELECT 1 AS b INTO TEMP other")
        connection.execute("DROP TABLE mine")
        connection.execute("DISCARD TEMP")
        pg_server.run("enforced", "NOTIFY consentry_catalog")  # comes after all that was notified before
        gateway.until_looked(looks)
        assert gateway.looks == looks + 1


def test_the_error_of_a_stale_plan_makes_the_gateway_look(gateway: Notified, pg_server: PgServer) -> None:
    pg_server.run("enforced", "DROP EVENT TRIGGER consentry_changes; DROP EVENT TRIGGER consentry_drops")
    with gateway.connect("partner") as connection:
        assert "phone" in columns(connection)
        looks = gateway.looks
        pg_server.run("enforced", "ALTER TABLE customers RENAME phone TO telephone")
        with pytest.raises(psycopg.errors.UndefinedColumn):
            columns(connection)
        gateway.until_looked(looks)


def test_a_login_while_the_catalog_is_looked_at_waits_too(gateway: Notified) -> None:
    gateway.may_look.clear()
    gateway.call(gateway.change)
    found: list[list[str]] = []

    def read() -> None:
        with gateway.connect("full") as connection:
            found.append(columns(connection))

    reader = threading.Thread(target=read)
    reader.start()
    gateway.until_waiting(1)
    assert not found
    gateway.may_look.set()
    reader.join(20)
    assert found == [ALL]
