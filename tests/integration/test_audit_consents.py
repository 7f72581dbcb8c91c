"""Changes of consent in the audit log: each once, by whatever way it was made, and over restarts of the gateway."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.gateways import GatewayProcess, audit_records, consentry, eventually, running_gateway, write_settings
from tests.integration.test_audit_verify import verify
from tests.servers import PgServer
from tests.shops import RULES, prepare_shop

SETTINGS = {"audit": {"rotate": {"size": "20kB"}}}


@pytest.fixture
def server(pg_server: PgServer, tmp_path: Path) -> PgServer:
    """The shop in a database that has seen no decision yet, and settings in `tmp_path`."""
    prepare_shop(pg_server, tmp_path, "consents")
    return pg_server


def told(folder: Path) -> list[dict[str, Any]]:
    return [record for record in audit_records(folder / "audit") if record["event"] == "consent"]


def in_ledger(server: PgServer) -> list[int]:
    with psycopg.connect(server.dsn("consents")) as connection:
        return [row[0] for row in connection.execute("SELECT id FROM consentry.events ORDER BY id")]


def decide(connection: psycopg.Connection[Any], subject: int, decision: str = "granted") -> None:
    connection.execute(
        "INSERT INTO consentry.events (subject, app, attribute, decision, actor) "
        "VALUES (%s, 'mailco', 'email', %s, 'customer')",
        [subject, decision],
    )


def test_each_way_to_decide_leaves_a_record(server: PgServer, tmp_path: Path) -> None:
    consentry(tmp_path, "consent", "grant", "4", "mailco", "phone")  # before the log begins
    with running_gateway(server, tmp_path, RULES, {"shop": "consents"}) as gateway:
        consentry(tmp_path, "consent", "grant", "1", "mailco", "email", "--expires", "2099-01-01T00:00:00Z")
        consentry(tmp_path, "consent", "withdraw", "1", "mailco", "email")
        file = tmp_path / "some.csv"
        file.write_text("subject,app,attribute,decision\n2,mailco,email,granted\n3,mailco,phone,withdrawn\n")
        consentry(tmp_path, "consent", "import", str(file))
        eventually(lambda: len(told(tmp_path)) == 4)
        gateway.stop()
    found = told(tmp_path)
    assert [(one["app"], one["attribute"], one["decision"], one["actor"]) for one in found] == [
        ("mailco", "email", "granted", "agent"),
        ("mailco", "email", "withdrawn", "agent"),
        ("mailco", "email", "granted", "import"),
        ("mailco", "phone", "withdrawn", "import"),
    ]
    assert [one["ledger_id"] for one in found] == in_ledger(server)[1:]
    assert [one.get("expires_at") for one in found] == ["2099-01-01T00:00:00.000000Z", None, None, None]
    assert {one["database"] for one in found} == {"shop"}
    assert not any({"subject", "login", "session"} & one.keys() for one in found)
    code, facts = verify(tmp_path)
    assert code == 0, facts
    asked = ("audit", "search", "--event", "consent", "--attribute", "phone", "--json")
    (line,) = consentry(tmp_path, *asked).splitlines()
    assert json.loads(line) == found[-1]


def test_a_decision_that_commits_late_is_recorded_in_its_place(server: PgServer, tmp_path: Path) -> None:
    """Its id was taken before that of one which committed at once. (Customers of one span of keys would wait.)"""
    with running_gateway(server, tmp_path, RULES, {"shop": "consents"}):
        with (
            psycopg.connect(server.dsn("consents"), autocommit=True) as early,
            psycopg.connect(server.dsn("consents")) as late,
            psycopg.connect(server.dsn("consents")) as undone,
        ):
            decide(late, 1000)
            decide(undone, 2000)
            decide(early, 3000)
            undone.rollback()
            with psycopg.connect(server.dsn("consents"), autocommit=True) as other:  # a look at the ledger is over
                consentry(tmp_path, "consent", "grant", "4000", "mailco", "phone")
                eventually(lambda: _looked(other))
            assert told(tmp_path) == []
            late.commit()
        eventually(lambda: len(told(tmp_path)) == 3)
    assert [one["ledger_id"] for one in told(tmp_path)] == in_ledger(server) == [1, 3, 4]


def _looked(connection: psycopg.Connection[Any]) -> bool:
    """Whether the gateway has asked who is writing."""
    row = connection.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE '%pg_locks%'"
        " AND pid <> pg_backend_pid() AND state = 'idle'"
    ).fetchone()
    return row is not None and row[0] > 0


def restarted_under_load(server: PgServer, folder: Path, times: int) -> None:
    chance = random.Random(times)
    write_settings(server, folder, RULES, {"shop": "consents"}, SETTINGS)
    GatewayProcess(folder).stop()  # the log begins
    with psycopg.connect(server.dsn("consents"), autocommit=True) as connection:
        for _ in range(times):
            gateway = GatewayProcess(folder)
            before = len(told(folder))
            try:
                for number in range(chance.randrange(5, 60)):
                    decide(connection, chance.randrange(1, 5), chance.choice(("granted", "withdrawn")))
                    if number == 4:
                        eventually(lambda before=before: len(told(folder)) > before)  # type: ignore[misc]
            finally:
                gateway.kill()
            decide(connection, 5)  # while there is no gateway
    gateway = GatewayProcess(folder)
    ids = in_ledger(server)
    eventually(lambda: len(told(folder)) >= len(ids))
    gateway.stop()
    assert [one["ledger_id"] for one in told(folder)] == ids
    code, facts = verify(folder)
    assert code == 0, facts


def test_each_is_recorded_once_though_the_gateway_is_killed(server: PgServer, tmp_path: Path) -> None:
    restarted_under_load(server, tmp_path, 4)


@pytest.mark.nightly
@pytest.mark.timeout(1200)
def test_each_is_recorded_once_though_the_gateway_is_killed_often(server: PgServer, tmp_path: Path) -> None:
    restarted_under_load(server, tmp_path, 60)
