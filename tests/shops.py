"""The shop of the example rules, behind a gateway, for tests of what is written down of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg

from tests.gateways import GatewayProcess, set_up_consent, write_settings
from tests.servers import PgServer

SHOP = Path(__file__).parents[1] / "rules" / "shop"
RULES = (SHOP / "shop.yaml").read_text()
LOGINS = ("crm_app", "analytics_app", "mailco_app", "mailco_batch", "deploy")


def prepare_shop(server: PgServer, folder: Path, dbname: str, logins: tuple[str, ...] = LOGINS) -> None:
    """Makes the database with its ledger, the logins, and the settings in the folder (database `shop`)."""
    server.create_database(dbname, (SHOP / "schema.sql").read_text())
    for login in logins:
        server.create_login(login, group="auth_trust")
    server.run(dbname, "GRANT ALL ON ALL TABLES IN SCHEMA public TO PUBLIC")
    write_settings(server, folder, RULES, {"shop": dbname})
    set_up_consent(folder, "shop")


def connect(gateway: GatewayProcess, user: str = "crm_app", **options: Any) -> psycopg.Connection[Any]:
    """A connection to the shop, through the gateway."""
    return psycopg.connect(gateway.dsn(user, "shop"), autocommit=True, connect_timeout=20, **options)
