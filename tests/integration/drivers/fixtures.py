"""Fixtures of the sessions of drivers: the databases, and a gateway before them for each module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.gateways import consentry, running_gateway, set_up_consent, write_settings
from tests.integration.drivers.world import FOLDER, RULES, Pair, copy_database
from tests.servers import PgServer

APPS = ("full", "sales")


@pytest.fixture(scope="session")
def driver_templates(pg_server: PgServer, tmp_path_factory: pytest.TempPathFactory) -> PgServer:
    """The databases that the others are copies of, the ledger and the logins' rights included."""
    for app in (*APPS, "owner"):
        pg_server.create_login(f"drv_{app}", group="auth_trust")
    pg_server.create_database("drv_base", (FOLDER / "schema.sql").read_text())
    pg_server.run("drv_base", "GRANT CREATE ON SCHEMA public TO drv_owner")
    folder = tmp_path_factory.mktemp("templates")
    write_settings(pg_server, folder, RULES, {"base": "drv_base"})
    set_up_consent(folder, "base")
    consentry(folder, "consent", "grant", "1", "sales", "email")
    copy_database(pg_server, "drv_masked", "drv_base")
    pg_server.run("drv_masked", (FOLDER / "masked.sql").read_text())
    return pg_server


@pytest.fixture(scope="module")
def pairs(
    driver_templates: PgServer, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[dict[str, Pair]]:
    """By app; databases of this module, and a gateway before them."""
    server = driver_templates
    driver = request.module.__name__.rpartition("_")[2]
    names = {app: (f"drv_{driver}_{app}_twin", f"drv_{driver}_{app}") for app in APPS}
    for app, (twin, real) in names.items():
        copy_database(server, twin, "drv_masked" if app == "sales" else "drv_base")
        copy_database(server, real, "drv_base")
    databases = {app: real for app, (_, real) in names.items()}
    with running_gateway(server, tmp_path_factory.mktemp(driver), RULES, databases) as gateway:
        yield {
            app: Pair(
                app, server.dsn(twin, f"drv_{app}"), gateway.dsn(f"drv_{app}", app), server, gateway, (twin, real)
            )
            for app, (twin, real) in names.items()
        }


@pytest.fixture(params=APPS)
def pair(pairs: dict[str, Pair], request: pytest.FixtureRequest) -> Pair:
    """Each test runs for each app."""
    return pairs[request.param]


@pytest.fixture
def sales(pairs: dict[str, Pair]) -> Pair:
    return pairs["sales"]
