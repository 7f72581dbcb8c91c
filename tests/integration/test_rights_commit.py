"""Acts whose connection ends with their COMMIT: the audit log says what the database did, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from proxy.rights import committed
from tests.cutting import Cutting
from tests.gateways import audit_records
from tests.integration.test_cli import Ended, run
from tests.servers import PgServer
from tests.websites import prepare

SCHEMA = """
CREATE TABLE customers (id int PRIMARY KEY, email text);
INSERT INTO customers SELECT n, 'x' || n FROM generate_series(1, 9) n;
"""
RULES = """
version: 1
attributes: {email: {}}
tables:
  public.customers: {subject: id, columns: {id: open, email: email}, erase: delete}
apps: {crm: {logins: [commit_crm]}}
rights: {restriction: enforced}
policies: [{name: all of it, attributes: all, action: show, basis: contract}]
"""


class Office:
    def __init__(self, server: PgServer, folder: Path) -> None:
        self.server, self.folder = server, folder
        prepare(server, folder, "commits", SCHEMA, RULES, ["commit_crm"], {})

    def command(self, *arguments: str) -> Ended:
        return run(*arguments, "--config", str(self.folder / "consentry.yaml"))

    def through(self, how: str, *arguments: str) -> Ended:
        way = Cutting(self.server, b"INSERT INTO consentry.receipts", how)
        try:
            return self.command(*arguments, "--dsn", way.dsn("commits"))
        finally:
            assert way.cut == 1
            way.close()

    def facts(self) -> tuple[int, ...]:
        """Customers, those who are restricted, receipts."""
        counted = ", ".join(
            f"(SELECT count(*) FROM {name})" for name in ("customers", "consentry.restrictions", "consentry.receipts")
        )
        with self.server.connect("commits") as connection:
            found: Any = connection.execute(f"SELECT {counted}".encode()).fetchone()
        return tuple(found)

    def records(self) -> list[tuple[str, bool, bool]]:
        return [
            (one["act"], "undone" in one, "in_doubt" in one)
            for one in audit_records(self.folder / "audit")
            if one["event"] == "subject"
        ]


@pytest.fixture
def office(pg_server: PgServer, tmp_path: Path) -> Office:
    return Office(pg_server, tmp_path)


ACTS = [(("subject", "restrict", "3"), "restrict", (9, 1, 1)), (("subject", "erase", "3", "--yes"), "erase", (8, 0, 1))]


@pytest.mark.parametrize(("command", "act", "done"), ACTS)
def test_what_was_committed_is_done(office: Office, command: tuple[str, ...], act: str, done: tuple[int, ...]) -> None:
    ended = office.through("after", *command)
    assert office.facts() == done
    assert office.records() == [(act, False, False)], ended.err


@pytest.mark.parametrize(("command", "act", "done"), ACTS)
def test_what_was_not_committed_is_undone(
    office: Office, command: tuple[str, ...], act: str, done: tuple[int, ...]
) -> None:
    assert office.through("before", *command).code == 3
    assert office.facts() == (9, 0, 0)
    assert office.records() == [(act, False, False), (act, True, False)]
    assert office.command(*command).code == 0
    assert office.facts() == done


def test_what_nobody_can_tell_is_in_doubt(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(committed, "PATIENCE_SECONDS", 0.3)
    ended = office.through("away", "subject", "restrict", "3")
    assert ended.code == 3
    assert "not known; do it again" in ended.err
    assert office.records() == [("restrict", False, False), ("restrict", False, True)]
    assert office.facts() == (9, 1, 1)
