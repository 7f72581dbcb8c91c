"""Logins with GRANTs on single columns: `check` names what a governed read needs, no less and no more."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import asyncpg
import psycopg
import pytest
from psycopg import sql

from proxy.consent import needs
from proxy.rewrite import column_rights
from proxy.rewrite.plan import Planner
from tests.integration.governed import Governed, governed
from tests.servers import PgServer

SCHEMA = """
CREATE TABLE customers (id int PRIMARY KEY, email text, region text);
CREATE TABLE notes (n int PRIMARY KEY, customer int REFERENCES customers, body text, gone text, nothing text, tail text,
                    kind text, "Odd ""name" text);
INSERT INTO customers VALUES (1, 'ann@x.org', 'north');
INSERT INTO notes VALUES (1, 1, 'body', 'gone', 'nothing', 'tail', 'call', 'odd');
"""
RULES = """
version: 1
attributes: {said: {label: S}, gone: {label: G}, nothing: {label: N}, tail: {label: T}}
defaults: {unlisted_columns: drop}
tables:
  public.customers: {subject: id, columns: {id: open, email: gone, region: open}}
  public.notes:
    subject: {column: customer, references: public.customers.id}
    columns: {n: open, body: said, gone: gone, nothing: nothing, tail: tail, 'Odd "name': open}
apps:
  reader: {kind: internal, purpose: t, logins: [reader]}
policies:
  - {name: a, apps: all, attributes: [said], action: show, consent: opt_in}
  - {name: b, apps: all, attributes: [gone], action: drop}
  - {name: c, apps: all, attributes: [nothing], action: mask, mask: "null"}
  - {name: d, apps: all, attributes: [tail], action: mask, mask: tail}
  - {name: e, apps: [reader], tables: [public.notes], rows: {where: "kind = 'call'"}}
masks: {tail: {kind: partial, keep_last: 2}}
"""
NEEDED = {"n", "customer", "body", "tail", "kind", 'Odd "name'}


@pytest.fixture(scope="module")
def gateway(pg_server: PgServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Governed]:
    folder = tmp_path_factory.mktemp("rights")
    with governed(pg_server, folder, "rights", SCHEMA, RULES, ["reader"]) as gateway:
        gateway.give("grant", 1, "reader", "said")
        yield gateway


def grant(server: PgServer, table: str, columns: set[str]) -> None:
    names = sql.SQL(", ").join(map(sql.Identifier, sorted(columns)))
    with server.connect("rights") as admin:
        admin.execute(sql.SQL("REVOKE ALL ON {} FROM reader").format(sql.Identifier(table)))
        admin.execute(sql.SQL("GRANT SELECT ({}) ON {} TO reader").format(names, sql.Identifier(table)))


def warned(gateway: Governed) -> list[str]:
    """What `check` says."""

    async def ask() -> list[str]:
        generation = gateway.databases[0].generation
        app = generation.rules.apps["reader"]
        forms = Planner(app, generation.rules, generation.snapshot).forms()
        columns = column_rights.columns_read(forms, needs.key_columns(app))
        connection = await asyncpg.connect(gateway.database)
        try:
            rows = await connection.fetch(column_rights.MISSING_COLUMNS, app.logins, *columns)
        finally:
            await connection.close()
        return list(column_rights.missing(app, map(tuple, rows), forms))

    return asyncio.run(ask())


def test_nothing_is_said_where_reads_work(gateway: Governed, pg_server: PgServer) -> None:
    """`consent setup` has granted the key of customers, with which the login may not read that table: no warning."""
    grant(pg_server, "notes", NEEDED)
    assert warned(gateway) == []
    with gateway.connect("reader") as connection:
        assert connection.execute("SELECT * FROM notes").fetchall() == [(1, "body", None, "**il", "odd")]


@pytest.mark.parametrize("column", sorted(NEEDED))
def test_each_column_that_is_needed_is_named(gateway: Governed, pg_server: PgServer, column: str) -> None:
    grant(pg_server, "notes", NEEDED - {column})
    with gateway.connect("reader") as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("SELECT count(*) FROM notes")
    (warning,) = warned(gateway)
    assert warning.startswith(
        f"login reader of app reader may read some columns of public.notes, but not {column}, which every read"
    )
    assert ("let the rules drop" in warning) is (column not in ("customer", "kind"))


def test_who_may_read_nothing_of_a_table_is_not_named(gateway: Governed, pg_server: PgServer) -> None:
    pg_server.run("rights", "REVOKE ALL ON notes FROM reader")
    assert warned(gateway) == []
    grant(pg_server, "customers", {"id", "region"})
    assert warned(gateway) == []
    grant(pg_server, "customers", {"region"})
    assert [warning.split(", which")[0] for warning in warned(gateway)] == [
        "login reader of app reader may read some columns of public.customers, but not id"
    ]
