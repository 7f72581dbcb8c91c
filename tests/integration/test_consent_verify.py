"""`consentry consent verify`: what is not as the events say is found and named."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.gateways import COMMAND, consentry, environment, set_up_consent, write_settings
from tests.servers import PgServer

DATABASE = "verified_ledger"
RULES = """version: 1
attributes: {email: {}, full_name: {}}
tables: {public.people: {subject: id, columns: {id: open, email: email, name: full_name}}}
apps: {mailco: {logins: [mailco_app]}, adco: {logins: [adco_app]}}
policies:
  - {name: in, apps: [mailco], attributes: all, action: show, consent: opt_in}
  - {name: out, apps: [adco], attributes: [email], action: show, consent: opt_out}
"""
DECISIONS = """subject,app,attribute,decision,at,expires_at
1,mailco,email,granted,2024-01-01T00:00:00Z,
1,mailco,email,withdrawn,2024-02-01T00:00:00Z,
1,mailco,full_name,granted,2024-02-01T00:00:00Z,2099-01-01T00:00:00Z
-5,mailco,email,granted,2024-01-01T00:00:00Z,
127,adco,email,withdrawn,2024-01-01T00:00:00Z,
128,adco,email,withdrawn,2024-01-01T00:00:00Z,
128,adco,email,granted,2023-01-01T00:00:00Z,
9000000000,mailco,email,granted,2024-01-01T00:00:00Z,
"""


@pytest.fixture(scope="module")
def made(pg_server: PgServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Settings, and a whole ledger in a database that others are made of."""
    folder = tmp_path_factory.mktemp("verified")
    pg_server.create_database(DATABASE, "CREATE TABLE people (id bigint PRIMARY KEY, email text, name text)")
    for login in ("mailco_app", "adco_app"):
        pg_server.create_login(login)
    write_settings(pg_server, folder, RULES, {DATABASE: DATABASE})
    set_up_consent(folder, DATABASE)
    (folder / "decisions.csv").write_text(DECISIONS)
    consentry(folder, "consent", "import", str(folder / "decisions.csv"))
    consentry(folder, "consent", "withdraw", "1", "mailco", "full_name")
    consentry(folder, "consent", "grant", "1", "mailco", "all", "--expires", "2098-01-01T00:00:00Z")
    pg_server.run("postgres", f"ALTER DATABASE {DATABASE} RENAME TO {DATABASE}_whole")
    pg_server._databases.append(f"{DATABASE}_whole")
    return folder


@pytest.fixture
def folder(made: Path, pg_server: PgServer) -> Path:
    """The settings, with a database to damage."""
    pg_server.run("postgres", f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
    pg_server.run("postgres", f"CREATE DATABASE {DATABASE} TEMPLATE {DATABASE}_whole")
    return made


def run(folder: Path, *arguments: str) -> tuple[int, str]:
    command = [*COMMAND, "consent", "verify", *arguments, "--config", str(folder / "consentry.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment())
    return done.returncode, done.stdout


def damage(server: PgServer, statement: str) -> None:
    """As somebody does who may do anything."""
    with psycopg.connect(server.dsn(DATABASE)) as connection:
        for change in ("DISABLE", statement, "ENABLE ALWAYS"):
            if change == statement:
                connection.execute(statement.encode())
            else:
                connection.execute(f"ALTER TABLE consentry.events {change} TRIGGER never_changed".encode())


def findings(folder: Path) -> list[dict[str, Any]]:
    code, said = run(folder, "--json")
    found = json.loads(said)
    assert code == (1 if found["findings"] else 0)
    assert sum(found["counts"].values()) == len(found["findings"])
    return list(found["findings"])


def test_a_whole_ledger_is_whole(folder: Path) -> None:
    assert run(folder) == (0, "the ledger is whole: 11 events\n")


CHANGED = "UPDATE consentry.events SET decision = 'granted' WHERE subject = 127"
TAKEN = "DELETE FROM consentry.events WHERE subject = 1 AND id = (SELECT min(id) + 1 FROM consentry.events WHERE subject = 1)"
LAST = "DELETE FROM consentry.events WHERE subject = -5"
GIVEN = "UPDATE consentry.state SET granted = '{email}' WHERE subject = 128"
LONGER = """UPDATE consentry.state SET expiring = '{"email": "2199-01-01T00:00:00.000000Z"}' WHERE subject = 1"""
LEFT = "UPDATE consentry.spans_mailco SET granted_email = NULL WHERE span = -5 >> 7"
STRANGE = (
    "UPDATE consentry.spans_mailco SET withdrawn_email = set_bit(decode(repeat('00', 16), 'hex'), 3, 1) WHERE span = 0"
)


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        (CHANGED, {("chain", "127"), ("state", "127")}),
        (TAKEN, {("chain", "1")}),
        (LAST, {("state", "-5")}),
        (GIVEN, {("state", "128"), ("spans", "128")}),
        (LONGER, {("state", "1"), ("spans", "1")}),
        (LEFT, {("spans", "-5")}),
        (STRANGE, {("spans", "3")}),
    ],
)
def test_what_was_changed_is_named(
    folder: Path, pg_server: PgServer, statement: str, told: set[tuple[str, str]]
) -> None:
    damage(pg_server, statement)
    assert {(one["part"], one["subject"]) for one in findings(folder)} == told


def test_the_spans_are_made_anew_from_the_state(folder: Path, pg_server: PgServer) -> None:
    for statement in (LEFT, STRANGE, "DELETE FROM consentry.spans_adco"):
        damage(pg_server, statement)
    assert {one["subject"] for one in findings(folder)} == {"-5", "3", "127", "128"}
    assert run(folder, "--rebuild") == (0, "the ledger is whole: 11 events\n")
