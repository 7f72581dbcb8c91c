"""An app in `mode: monitor` reads the profile's own view: `check` says what its logins lack, and with that they read it."""

from __future__ import annotations

import re
from pathlib import Path

import psycopg
import pytest

from tests.gateways import consentry
from tests.integration.test_cli import run
from tests.servers import PgServer
from tests.websites import prepare

SCHEMA = """
CREATE SCHEMA "more Things";
CREATE TABLE customers (id int PRIMARY KEY, name text, unused text);
CREATE TABLE "more Things".orders (customer_id int REFERENCES customers, placed date, "what is it" text);
INSERT INTO customers VALUES (1, 'Ann', 'x');
INSERT INTO "more Things".orders VALUES (1, '2026-01-01', 'a pen');
GRANT SELECT (id, name) ON customers TO PUBLIC;
"""
RULES = """
version: 1
attributes: {name: {}, orders: {}, topic: {}}
tables:
  public.customers: {subject: id, columns: {id: open, name: name, unused: open}}
  "more Things.orders": {subject: customer_id, columns: {customer_id: open, placed: orders, what is it: orders}}
apps:
  watched: {logins: [monitored, monitored_too], mode: monitor}
  crm: {logins: [monitored_not]}
policies: [{name: all of it, attributes: all, action: show, basis: contract}]
sources: {letters: {subject: customer, key: number, fields: {topic: topic}}}
profile:
  subject: public.customers.id
  lists: {orders: {from: '"more Things".orders', columns: [placed, what is it], order_by: placed}}
"""
LOGINS = ["monitored", "monitored_too", "monitored_not"]


@pytest.fixture(scope="module")
def folder(pg_server: PgServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("monitored")
    prepare(pg_server, folder, "monitored", SCHEMA, RULES, LOGINS, {})
    pg_server.run("monitored", "REVOKE SELECT ON customers FROM PUBLIC")
    pg_server.run("monitored", "GRANT SELECT (id, name) ON customers TO monitored, monitored_not")
    return folder


def warned(folder: Path) -> dict[str, list[str]]:
    """The GRANTs that `check` says, by login."""
    said = run("check", "--config", str(folder / "consentry.yaml")).err
    found = re.findall(
        r"login (\w+) of app watched, which is in `mode: monitor`, reads consentry.profile .*: (GRANT.*)", said
    )
    return {login: grants.split("; ") for login, grants in found}


def test_check_says_the_grants_and_they_are_enough(folder: Path, pg_server: PgServer) -> None:
    said = warned(folder)
    assert list(said) == ["monitored"]
    assert 'GRANT USAGE ON SCHEMA "more Things" TO "monitored"' in said["monitored"]
    assert (
        'GRANT SELECT ("customer_id", "placed", "what is it") ON "more Things"."orders" TO "monitored"'
        in said["monitored"]
    )
    assert not any("unused" in grant or "customers" in grant for grant in said["monitored"])
    with psycopg.connect(pg_server.dsn("monitored", "monitored"), autocommit=True) as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("SELECT * FROM consentry.profile")
        for grant in said["monitored"]:
            pg_server.run("monitored", grant)
        rows = connection.execute("SELECT name, orders -> 0 ->> 'what is it' FROM consentry.profile").fetchall()
    assert rows == [("Ann", "a pen")]
    assert warned(folder) == {}


def test_a_login_with_a_token_is_meant_to_read_it(folder: Path) -> None:
    consentry(folder, "token", "add", "over http", "--login", "monitored_too")
    said = warned(folder)
    assert list(said) == ["monitored_too"]
    assert 'GRANT SELECT ("id", "name") ON "public"."customers" TO "monitored_too"' in said["monitored_too"]
