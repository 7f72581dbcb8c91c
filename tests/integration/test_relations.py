"""Columns of every type, under every treatment, in every form of statement, against what the app may see.

For each app there is a schema that holds what it may see, made by hand: the app's own text, run over that schema by a
superuser, must answer as the gateway does: values, names, types, type modifiers, and for plain columns the table and
attribute number that the real table has.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from psycopg import sql

from tests.integration.governed import Governed, governed
from tests.servers import PgServer


@dataclass(frozen=True)
class Kind:
    """A type as a column has it, two values, and expressions over a column `v` of table `t` that it takes."""

    type: str
    values: tuple[str, str]
    expressions: tuple[str, ...] = ()
    compares: bool = True
    sets: tuple[str, ...] = ()  # SET clauses


MADE = """
CREATE TYPE mood AS ENUM ('sad', 'glad');
CREATE TYPE pair AS (a int, b text COLLATE "C", c numeric(6, 2));
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE DOMAIN word AS varchar(10) COLLATE "C" CHECK (VALUE <> '');
CREATE DOMAIN words AS text[];
CREATE TYPE span AS RANGE (subtype = text);
CREATE EXTENSION IF NOT EXISTS hstore;
CREATE EXTENSION IF NOT EXISTS citext;
CREATE EXTENSION IF NOT EXISTS ltree;
"""
KINDS = [
    Kind("bool", ("true", "false"), ("NOT v", "v IS TRUE")),
    Kind("bytea", (r"'\xdead'", r"'\x00'"), ("length(v)",)),
    Kind('"char"', ("'a'", "'b'")),
    Kind("name", ("'ann'", "'bob'"), ("v || 'x'",)),
    Kind("int8", ("1", "9223372036854775807"), ("v % 2",)),
    Kind("int2", ("1", "2"), ("v + 1",)),
    Kind("int4", ("1", "2"), ("v::text",)),
    Kind("text", ("'ann'", "'bob'"), ("upper(v)", "v LIKE 'a%'")),
    Kind('text COLLATE "C"', ("'a'", "'B'"), ("v < 'b'",)),
    Kind('text COLLATE "POSIX"', ("'a'", "'B'"), ("v < 'b'",)),
    Kind("oid", ("1", "4000000000")),
    Kind("regclass", ("'pg_class'", "'pg_type'"), ("v::oid",)),
    Kind("regtype", ("'int4'", "'text'")),
    Kind("tid", ("'(0,1)'", "'(0,2)'")),
    Kind("xid8", ("'1'", "'2'")),
    Kind("json", ("""'{"a": [1]}'""", "'[]'"), ("v -> 'a'", "v #>> '{a,0}'"), compares=False),
    Kind("jsonb", ("""'{"a": [1]}'""", "'[]'"), ("v -> 'a'", "v @> '{}'", "v['a']")),
    Kind("jsonpath", ("'$.a'", "'$.b'"), compares=False),
    Kind("point", ("'(1,2)'", "'(3,4)'"), ("v[0]",), compares=False),
    Kind("box", ("'(1,1),(0,0)'", "'(2,2),(0,0)'"), ("area(v)",)),
    Kind("path", ("'((1,1),(0,0))'", "'((2,2),(0,0))'"), ("npoints(v)",)),
    Kind("polygon", ("'((1,1),(0,0))'", "'((2,2),(0,0))'"), compares=False),
    Kind("circle", ("'<(1,1),2>'", "'<(2,2),2>'"), ("radius(v)",)),
    Kind("line", ("'{1,2,3}'", "'{2,2,3}'")),
    Kind("lseg", ("'[(1,1),(0,0)]'", "'[(2,2),(0,0)]'")),
    Kind("float4", ("1.5", "'NaN'"), ("v + 1",)),
    Kind("float8", ("1.5", "'-Infinity'"), ("v + 1",)),
    Kind("money", ("'1.50'", "'2'"), ("v::numeric",)),
    Kind("macaddr", ("'08:00:2b:01:02:03'", "'08:00:2b:01:02:04'"), ("trunc(v)",)),
    Kind("macaddr8", ("'08:00:2b:01:02:03:04:05'", "'08:00:2b:01:02:03:04:06'")),
    Kind("inet", ("'10.0.0.1/8'", "'::1'"), ("masklen(v)", "v << '10.0.0.0/8'")),
    Kind("cidr", ("'10.0.0.0/8'", "'::1'"), ("masklen(v)",)),
    Kind("char(5)", ("'ab'", "'cde'"), ("v || 'x'", "length(v)")),
    Kind("varchar(7)", ("'ab'", "'cde'"), ("v || 'x'",)),
    Kind("date", ("'2024-01-01'", "'infinity'"), ("v + 1", "extract(year FROM v)")),
    Kind("time(2)", ("'01:02:03.456'", "'24:00'"), ("v + interval '1 hour'",)),
    Kind("timetz", ("'01:02:03+02'", "'04:05:06-03'")),
    Kind("timestamp(3)", ("'2024-01-01 01:02:03.4567'", "'-infinity'"), ("date_trunc('day', v)",)),
    Kind("timestamptz", ("'2024-01-01 01:02:03+00'", "'2025-01-01 00:00+00'"), ("v AT TIME ZONE 'UTC'",)),
    Kind("interval", ("'1 day'", "'2 hours'"), ("v * 2",)),
    Kind("interval day to second(2)", ("'1 day 02:03:04.567'", "'2 hours'")),
    Kind("interval year to month", ("'1 year'", "'2 mons'")),
    Kind("bit(4)", ("B'1010'", "B'0000'"), ("v & B'1100'",)),
    Kind("varbit(6)", ("B'1010'", "B'1'"), ("v || B'1'",)),
    Kind("numeric", ("1.50", "'NaN'"), ("v * 2",)),
    Kind("numeric(8,3)", ("1.5", "12345.678"), ("round(v)",)),
    Kind("uuid", ("'11111111-1111-1111-1111-111111111111'", "'22222222-2222-2222-2222-222222222222'"), ("v::text",)),
    Kind("pg_lsn", ("'0/1'", "'1/0'"), ("v - '0/0'",)),
    Kind("tsvector", ("'a b'", "'c:1A'"), ("v @@ 'a'",)),
    Kind("tsquery", ("'a & b'", "'c'"), ("numnode(v)",)),
    Kind("txid_snapshot", ("'1:2:'", "'3:4:'"), compares=False),
    Kind("int4range", ("'[1,3)'", "'[5,)'"), ("lower(v)", "v @> 2", "v && '[2,4)'", "upper_inf(v)")),
    Kind("tstzrange", ("'[2024-01-01 00:00+00,)'", "'empty'"), ("isempty(v)",)),
    Kind("int8multirange", ("'{[1,3),[5,6)}'", "'{}'"), ("lower(v)", "v @> 2::bigint")),
    Kind("span", ("'[a,c)'", "'empty'"), ("v @> 'b'::text",)),
    Kind("mood", ("'sad'", "'glad'"), ("v > 'sad'", "v::text")),
    Kind("positive", ("1", "2"), ("v + 1",)),
    Kind("word", ("'ab'", "'C'"), ("v < 'b'",)),
    Kind("pair", ("ROW(1, 'x', 2.5)", "ROW(2, NULL, 3)"), ("(v).a", "(t.v).b", "(v).c", "v::text", "(t.v).*"), sets=("v.b = 'new'",)),
    Kind("int[]", ("'{1,2,3}'", "'[2:3]={4,5}'"), ("v[1]", "v[1:2]", "1 = ANY (v)", "array_length(v, 1)", "unnest(v)"), sets=("v[2] = 9",)),
    Kind("int[][]", ("'{{1,2},{3,4}}'", "'{{4,5},{6,7}}'"), ("v[1][2]", "v[1:1]", "1 = ANY (v)")),
    Kind("varchar(3)[]", ("'{ab,c}'", "'{}'"), ("v[1]", "'c' = ANY (v)", "v || 'x'::varchar"), sets=("v[1] = 'z'",)),
    Kind("text[]", ("'{ab,c}'", "'{}'"), ("v[1]", "'c' = ANY (v)", "v @> '{c}'"), sets=("v[1:2] = '{y,z}'",)),
    Kind("pair[]", ("ARRAY[ROW(1, 'x', 2.5)::pair]", "'{}'"), ("(v[1]).b", "(unnest(v)).a"), sets=("v[1].b = 'new'",)),
    Kind("positive[]", ("'{1,2}'", "'{3}'"), ("v[1]", "2 = ANY (v)")),
    Kind("words", ("'{a,b}'", "'{}'"), ("v[1]", "'b' = ANY (v)")),
    Kind("mood[]", ("'{sad}'", "'{glad,sad}'"), ("v[1]",)),
    Kind("int4range[]", ("ARRAY[int4range(1, 3)]", "'{}'"), ("lower(v[1])",)),
    Kind("hstore", ("'a=>1'", "'b=>2'"), ("v -> 'a'", "v ? 'b'")),
    Kind("citext", ("'Ann'", "'bob'"), ("v = 'ANN'",)),
    Kind("ltree", ("'a.b'", "'c'"), ("v <@ 'a'", "nlevel(v)")),
]  # fmt: skip
# What each app has of `v` in the rows 1, 2 (granted to those who agree) and 3, by SQL over the real table.
APPS = {
    "shower": "SELECT id, v, n FROM public.{t}",
    "nuller": "SELECT id, NULL::{type} AS v, n FROM public.{t}",
    "dropper": "SELECT id, n FROM public.{t}",
    "optin": "SELECT id, CASE WHEN id = 2 THEN v ELSE NULL::{type} END AS v, n FROM public.{t}",
    "optout": "SELECT id, CASE WHEN id = 2 THEN NULL::{type} ELSE v END AS v, n FROM public.{t}",
    "wherer": "SELECT id, v, n FROM public.{t} WHERE id <> 1",
    "agreer": "SELECT id, v, n FROM public.{t} WHERE id = 2",
}
RULES = """
version: 1
attributes: {v: {label: V}}
tables:
%s
apps:
  shower: {kind: internal, purpose: tests, logins: [shower]}
  nuller: {kind: internal, purpose: tests, logins: [nuller]}
  dropper: {kind: internal, purpose: tests, logins: [dropper]}
  optin: {kind: internal, purpose: tests, logins: [optin]}
  optout: {kind: internal, purpose: tests, logins: [optout]}
  wherer: {kind: internal, purpose: tests, logins: [wherer]}
  agreer: {kind: internal, purpose: tests, logins: [agreer]}
policies:
  - {name: nulls, apps: [nuller], attributes: [v], action: mask, mask: "null"}
  - {name: drops, apps: [dropper], attributes: [v], action: drop}
  - {name: in, apps: [optin], attributes: [v], action: show, consent: opt_in}
  - {name: out, apps: [optout], attributes: [v], action: show, consent: opt_out}
  - {name: shows, apps: all, attributes: all, action: show}
  - {name: rows, apps: [wherer], tables: [%s], rows: {where: "id <> 1"}}
  - {name: agreed, apps: [agreer], tables: [%s], rows: {consent: [v]}}
"""


def schema() -> str:
    parts = [MADE]
    for number, kind in enumerate(KINDS):
        base, _, collation = kind.type.partition(" COLLATE ")
        collate = f" COLLATE {collation}" if collation else ""
        parts.append(f"CREATE TABLE t{number} (gone int, id int PRIMARY KEY, v {base}{collate}, n int DEFAULT 7);")
        parts.append(f"ALTER TABLE t{number} DROP COLUMN gone;")
        parts.append(f"INSERT INTO t{number} (id, v) VALUES (1, {kind.values[0]}), (2, {kind.values[1]}), (3, NULL);")
        for app, text in APPS.items():
            made = text.format(t=f"t{number}", type=base)
            parts.append(f"CREATE SCHEMA IF NOT EXISTS may_{app}; CREATE TABLE may_{app}.t{number} AS {made};")
            if app != "dropper":
                parts.append(f"ALTER TABLE may_{app}.t{number} ALTER v TYPE {base}{collate};")
    parts.append("GRANT ALL ON ALL TABLES IN SCHEMA public TO PUBLIC;")
    return "\n".join(parts)


@dataclass
class World:
    gateway: Governed
    admin: psycopg.Connection[Any]
    apps: dict[str, psycopg.Connection[Any]]


@pytest.fixture(scope="module", params=["pg_server", pytest.param("pg15_server", marks=pytest.mark.nightly)])
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    server: PgServer = request.getfixturevalue(request.param)
    names = [f"public.t{number}" for number in range(len(KINDS))]
    tables = "\n".join(f"  {name}: {{subject: id, columns: {{id: open, v: v, n: open}}}}" for name in names)
    rules = RULES % (tables, ", ".join(names), ", ".join(names))
    with governed(server, tmp_path_factory.mktemp("relations"), "relations", schema(), rules, list(APPS)) as gateway:
        gateway.give("grant", 2, "optin", "v")
        gateway.give("withdraw", 2, "optout", "v")
        gateway.give("grant", 2, "agreer", "v")
        with server.connect("relations") as admin:
            apps = {app: gateway.connect(app, prepare_threshold=None) for app in APPS}
            yield World(gateway, admin, apps)
            for connection in apps.values():
                connection.close()


def forms(kind: Kind, number: int) -> list[str]:
    """Statements that read; `t` is the table's alias."""
    t = f"t{number} t"
    texts = [
        f"SELECT * FROM {t} ORDER BY id",
        f"SELECT v FROM {t} ORDER BY id",
        f"SELECT t.v, n, t.v AS again FROM public.{t} ORDER BY t.id",
        f"SELECT id FROM {t} WHERE v IS NULL ORDER BY 1",
        f"SELECT id, v FROM {t} WHERE v IS NOT NULL ORDER BY id",
        f"SELECT t::text, (t).v FROM {t} ORDER BY id",
        f"SELECT pg_typeof(v), v IS NULL FROM {t} ORDER BY id LIMIT 1",
        f"SELECT count(v), count(*) FROM {t}",
        f"SELECT id, v FROM {t} WHERE id = 2 UNION ALL SELECT id, v FROM {t} WHERE id = 1",
        f"SELECT x.b FROM t{number} x(a, b) ORDER BY x.a",
        f"SELECT a.v, b.v FROM {t} JOIN t{number} a USING (id) JOIN t{number} b USING (id) ORDER BY id",
        f"WITH w AS MATERIALIZED (SELECT * FROM {t}) SELECT w.v, w.id FROM w ORDER BY id",
        f"WITH w AS (SELECT * FROM {t} JOIN (SELECT 2 AS id) x USING (id)) SELECT w.v, w.id FROM w ORDER BY w.id",
        f"SELECT (SELECT s.v FROM t{number} s WHERE s.id = t.id) AS v FROM {t} ORDER BY id",
        f"SELECT v FROM ONLY t{number} ORDER BY id",
        f"SELECT id, v FROM {t} ORDER BY id FOR UPDATE",
        f"TABLE t{number} ORDER BY id",
        *(f"SELECT {expression} FROM {t} ORDER BY id" for expression in kind.expressions),
    ]
    if kind.compares:
        texts.append(f"SELECT a.id, b.id FROM t{number} a JOIN t{number} b ON a.v = b.v ORDER BY 1, 2")
        texts.append(f"SELECT id FROM {t} WHERE v = {kind.values[1]} ORDER BY id")
    return texts


def answer(connection: psycopg.Connection[Any], text: str, path: str, binary: bool = False) -> Any:
    """(rows as text, names, types, type modifiers), or the error's SQLSTATE; and where the columns come from."""
    try:
        with connection.transaction(force_rollback=True), connection.cursor(binary=binary) as cursor:
            cursor.execute(sql.SQL("SET LOCAL search_path = {}").format(sql.SQL(path)))  # type: ignore[arg-type]
            cursor.execute(text.encode())
            result = cursor.pgresult
            assert result is not None
            width = range(result.nfields)
            rows = [[result.get_value(row, column) for column in width] for row in range(result.ntuples)]
            shape = [(result.fname(column), result.ftype(column), result.fmod(column)) for column in width]
            return rows, shape, [(result.ftable(column), result.ftablecol(column)) for column in width]
    except psycopg.Error as error:
        return error.sqlstate, None, []


def same(world: World, app: str, text: str) -> list[str]:
    """What differs between the gateway's answer and what the app may see."""
    found: list[str] = []
    for binary in (False, True) if text.startswith(("TABLE", "SELECT v FROM t")) else (False,):
        rows, shape, origins = answer(world.apps[app], text, "public", binary)
        expected, wanted, _ = answer(world.admin, text.replace("public.", f"may_{app}."), f"may_{app}, public", binary)
        if (rows, shape) != (expected, wanted):
            found.append(f"{app}: {text}\n   is {rows} {shape}\n  not {expected} {wanted}")
    if app in ("shower", "wherer", "agreer") and any(table for table, _ in origins):
        real = answer(world.admin, text, "public")[2]
        # Behind a fence a text is an expression, which comes from nowhere (governed-form.md).
        nowhere = (0, 0) if app != "shower" else None
        if any(one not in (there, nowhere) for one, there in zip(origins, real, strict=True)):
            found.append(f"{app}: {text}\n  comes from {origins}\n  not from {real}")
    return found


@pytest.mark.parametrize("number", range(len(KINDS)), ids=[kind.type for kind in KINDS])
def test_reads(world: World, number: int) -> None:
    kind = KINDS[number]
    differences = [
        difference
        for app in APPS
        for text in forms(kind, number)
        if app != "dropper" or "x(a, b)" not in text  # refused: its names would mean other columns
        for difference in same(world, app, text)
    ]
    assert not differences, "\n".join(differences)


@pytest.mark.parametrize(
    "number", [n for n, kind in enumerate(KINDS) if kind.sets], ids=[k.type for k in KINDS if k.sets]
)
def test_parts_of_a_column_are_written(world: World, number: int) -> None:
    for clause in KINDS[number].sets:
        text = f"UPDATE t{number} SET {clause} WHERE id = %s RETURNING id, v"
        for row in (1, 2):
            wanted = answer(world.admin, text % row, "public")
            assert wanted[1] is not None
            assert answer(world.apps["shower"], text % row, "public") == wanted
            hidden = row == 1
            assert answer(world.apps["wherer"], text % row, "public")[0] == ([] if hidden else wanted[0])
            for app in ("nuller", "optin", "optout"):
                assert answer(world.apps[app], text % row, "public")[0] == "42501"
