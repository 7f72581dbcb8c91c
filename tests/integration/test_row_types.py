"""The type of a relation's rows has the columns that an app does not have: no value of it is made, however it is named."""

from __future__ import annotations

import re
from collections.abc import Iterator

import psycopg
import pytest

from tests.integration.governed import Governed, governed
from tests.servers import PgServer

SCHEMA = """
CREATE TABLE people (id int PRIMARY KEY, name text, card text);
CREATE TABLE payroll (id int PRIMARY KEY, pay int);
CREATE TABLE open (id int PRIMARY KEY, word text);
CREATE TYPE point3 AS (x int, y int, z int);
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO PUBLIC;
"""
RULES = """version: 1
attributes: {name: {}, card: {}}
tables:
  public.people: {columns: {id: open, name: name, card: card}}
  public.open: {columns: {id: open, word: open}}
apps: {shop: {logins: [row_types]}}
policies: [{name: names, attributes: [name], action: show}]
"""
TEXTS = (
    "select ($1).*",
    "select row_to_json($1)",
    "select to_json($1)",
    "select $1::text",
    "select $1 is null",
    "select ($1).pay",
)


@pytest.fixture(scope="module")
def gateway(pg_server: PgServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Governed]:
    folder = tmp_path_factory.mktemp("row_types")
    with governed(pg_server, folder, "row_types", SCHEMA, RULES, ["row_types"]) as running:
        yield running


def oid_of(gateway: Governed, name: str) -> int:
    with psycopg.connect(gateway.database) as connection:
        row = connection.execute("SELECT %s::regtype::oid", [name]).fetchone()
        assert row is not None
        return int(row[0])


def answer(connection: psycopg.Connection[object], text: str, oid: int) -> str:
    """What becomes of the text with a parameter of this type: the error, or the columns."""
    done = connection.pgconn.exec_params(text.encode(), [None], [oid])
    if done.error_message:
        return done.error_message.decode()
    return " ".join((done.fname(number) or b"").decode() for number in range(done.nfields))


@pytest.mark.parametrize("name", ["people", "people[]", "payroll", "payroll[]"])
def test_a_parameter_is_no_row(gateway: Governed, name: str) -> None:
    oid = oid_of(gateway, name)
    with gateway.connect("row_types") as connection:
        for text in (*TEXTS, "select * from unnest($1)", "select name from people where $1 is not null"):
            assert f"permission denied for type {name.removesuffix('[]')}" in answer(connection, text, oid), text


def test_of_what_the_app_has_whole_it_is(gateway: Governed) -> None:
    with gateway.connect("row_types") as connection:
        assert answer(connection, "select ($1).*", oid_of(gateway, "open")) == "id word"
        assert answer(connection, "select ($1).*", oid_of(gateway, "point3")) == "x y z"
        assert answer(connection, "select name from people where id = $1", 23) == "name"


@pytest.mark.parametrize(
    "call",
    [
        "pg_input_is_valid('(,,)', 'payroll')",
        "pg_input_is_valid('(,,)', 'people')",
        "pg_input_is_valid('{}', 'public.people[]')",
        "pg_input_is_valid('{}', '_people')",
        "pg_input_is_valid('{}', ' \"people\" ')",
        "pg_input_is_valid('{}', 'people'::text)",
        "pg_input_is_valid('{}', 'peo' || 'ple')",
        "pg_input_is_valid('{}', (SELECT 'people'))",
        "(SELECT message FROM pg_input_error_info('(,,a)', 'people'))",
        "(SELECT message FROM pg_input_error_info('(,,a)', $1))",
    ],
)
def test_nor_is_a_text_tried_as_one(gateway: Governed, call: str) -> None:
    with gateway.connect("row_types") as connection:
        assert re.search("permission denied for type|as a constant", answer(connection, f"select {call}", 25))


@pytest.mark.parametrize(
    ("text", "type_name", "valid"),
    [("1", "integer", True), ("x", "integer", False), ("1.5", "numeric(4,2)", True), ("(1,2,3)", "point3", True),
     ("(1,x)", "open", True), ("{1}", "int[]", True), ("x", "no such type", None)],
)  # fmt: skip
def test_other_types_are(gateway: Governed, text: str, type_name: str, valid: bool | None) -> None:
    with gateway.connect("row_types") as connection:
        query = f"SELECT pg_input_is_valid('{text}', '{type_name}')"
        if valid is None:
            with pytest.raises(psycopg.Error, match=r"syntax error|does not exist"):
                connection.execute(query.encode())
        else:
            assert connection.execute(query.encode()).fetchone() == (valid,)
