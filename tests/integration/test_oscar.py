"""A real shop, django-oscar, through the gateway: its migrations, its data, its pages, what its partner gets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.integration.oscar.running import MIGRATIONS, Gateway, run
from tests.servers import PgServer

pytestmark = pytest.mark.timeout(240)

TEMPLATE = "oscar_migrated"
LOGINS = ("deploy", "crm_app", "partner_app")


@dataclass
class Migrated:
    records: list[dict[str, object]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("oscar")


@pytest.fixture(scope="module")
def migrated(pg_server: PgServer, folder: Path) -> Migrated:
    """The shop's tables, made through the gateway from nothing, in a database that others are copied from."""
    for login in LOGINS:
        pg_server.create_login(login, group="auth_trust")
    pg_server.create_database(TEMPLATE, "GRANT ALL ON SCHEMA public TO deploy")
    gateway = Gateway(pg_server, folder / "migrations", {TEMPLATE: MIGRATIONS})
    try:
        run("django", gateway.dsn("deploy", TEMPLATE), folder / "migrate.out", "migrate", "-v", "0")
        # As the shop's makers would: what is asked of a database that is already as it should be.
        run("django", gateway.dsn("deploy", TEMPLATE), folder / "again.out", "migrate", "--check", "-v", "0")
    finally:
        gateway.close()
    return Migrated(gateway.records("migrations"))


def test_migrations_run_through_the_gateway(migrated: Migrated, pg_server: PgServer) -> None:
    with pg_server.connect(TEMPLATE) as connection:
        row = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone()
        done = connection.execute("SELECT count(*) FROM django_migrations").fetchone()
    assert row is not None
    assert row[0] > 80
    assert done is not None
    assert done[0] > 150
    assert not [record for record in migrated.records if record["event"] == "refused"]
    assert len(migrated.records) > 1000
