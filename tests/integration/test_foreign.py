"""Functions of the database's own that run unseen: what a snapshot knows of them, and what `check` warns of."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from proxy.catalog.connect import connected
from proxy.catalog.introspect import take_snapshot, unnamed_calls
from proxy.catalog.model import ForeignOperator, Snapshot, UnnamedCall
from proxy.policy.compile import compile_rules
from proxy.policy.lint_functions import lint_functions
from proxy.policy.load import load_rules
from tests.servers import PgServer

SCHEMA = """
CREATE TABLE people (id int PRIMARY KEY, card text);
CREATE VIEW cards AS SELECT card FROM people;
CREATE TABLE things (id int, name text);
CREATE TABLE unlisted (id int, name text);
CREATE FUNCTION direct(text) RETURNS boolean LANGUAGE sql AS 'SELECT EXISTS (SELECT FROM people WHERE card = $1)';
CREATE FUNCTION through_view(text) RETURNS boolean LANGUAGE sql AS 'SELECT EXISTS (SELECT FROM "cards")';
CREATE FUNCTION nested(text) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RETURN public.DIRECT($1); END';
CREATE FUNCTION dynamic(text) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN EXECUTE $1; RETURN true; END';
CREATE FUNCTION by_xml(text) RETURNS xml LANGUAGE sql AS 'SELECT query_to_xml($1, true, true, '''')';
CREATE FUNCTION harmless(text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN $1 <> upper($1); END';
CREATE FUNCTION of_things(text) RETURNS boolean LANGUAGE sql AS 'SELECT EXISTS (SELECT FROM things)';
CREATE FUNCTION alias(text) RETURNS text LANGUAGE internal AS 'upper';
CREATE FUNCTION recursive(int) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN recursive($1 - 1); END';
CREATE FUNCTION fires() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.name := (SELECT card FROM people); RETURN NEW; END';
CREATE TRIGGER fires BEFORE INSERT ON things FOR EACH ROW EXECUTE FUNCTION fires();
CREATE TRIGGER fires BEFORE INSERT ON unlisted FOR EACH ROW EXECUTE FUNCTION fires();
CREATE FUNCTION secret() RETURNS text LANGUAGE sql AS 'SELECT max(card) FROM people';
ALTER TABLE things ALTER name SET DEFAULT secret();
CREATE DOMAIN checked AS text CHECK (direct(value));
CREATE DOMAIN fine AS text CHECK (harmless(value));
CREATE DOMAIN listed AS text CHECK (of_things(value));
CREATE TYPE level AS ENUM ('low', 'high');
CREATE FUNCTION to_level(text) RETURNS level LANGUAGE sql AS 'SELECT ''low''::level FROM people';
CREATE CAST (text AS level) WITH FUNCTION to_level(text) AS ASSIGNMENT;
CREATE FUNCTION same(level, level) RETURNS boolean LANGUAGE sql AS 'SELECT EXISTS (SELECT FROM people)';
CREATE OPERATOR === (FUNCTION = same, LEFTARG = level, RIGHTARG = level);
CREATE OPERATOR #== (FUNCTION = same, LEFTARG = level, RIGHTARG = level);
CREATE FUNCTION compares(text, text) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1 FROM people';
CREATE OPERATOR CLASS odd_ops FOR TYPE text USING btree AS FUNCTION 1 compares(text, text);
CREATE FUNCTION gap(float8, float8) RETURNS float8 LANGUAGE sql IMMUTABLE AS 'SELECT 1.0::float8 FROM people';
CREATE TYPE span AS RANGE (subtype = float8, subtype_diff = gap);
CREATE FUNCTION pol(text) RETURNS boolean LANGUAGE sql AS 'SELECT EXISTS (SELECT FROM people)';
CREATE POLICY rls ON things USING (pol(name));
CREATE FUNCTION ex(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT card FROM public.people';
CREATE INDEX things_ex ON things (ex(name));
ALTER TABLE things ADD CONSTRAINT cons CHECK (nested(name));
CREATE FUNCTION adds(text, text) RETURNS text LANGUAGE sql AS 'SELECT card FROM people';
CREATE AGGREGATE sums(text) (SFUNC = adds, STYPE = text);
CREATE FUNCTION on_ddl() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN PERFORM card FROM people; END';
CREATE EVENT TRIGGER watcher ON ddl_command_end EXECUTE FUNCTION on_ddl();
"""
STANDARD = """
CREATE FUNCTION standard(text) RETURNS boolean LANGUAGE sql RETURN EXISTS (SELECT FROM people);
CREATE FUNCTION calls_standard(text) RETURNS boolean LANGUAGE sql RETURN standard($1);
CREATE DOMAIN standard_domain AS text CHECK (calls_standard(value));
"""
RULES = """
version: 1
attributes: {card: {}}
tables:
  public.people: {subject: id, columns: {id: open, card: card}}
  public.things: open
apps:
  one: {logins: [one], functions: {allow: [public.direct, public.harmless, public.sums, public.dynamic]}}
policies: [{name: no cards, attributes: all, action: drop}]
"""


@dataclass(frozen=True)
class Known:
    snapshot: Snapshot
    calls: list[UnnamedCall]


@pytest.fixture(scope="module", params=["pg_server", "pg15_server"])
def known(request: pytest.FixtureRequest) -> Known:
    server: PgServer = request.getfixturevalue(request.param)
    return asyncio.run(_known(server.create_database("foreign", SCHEMA + STANDARD)))


async def _known(dsn: str) -> Known:
    async with connected(dsn) as connection:
        return Known(await take_snapshot(connection), await unnamed_calls(connection))


def test_what_functions_read(known: Known) -> None:
    snapshot = known.snapshot

    def reads(name: str) -> set[str] | None:
        oids = snapshot.function_reads[("public", name)]
        return None if oids is None else {snapshot.by_oid[oid].name for oid in oids}

    assert reads("direct") == reads("nested") == reads("standard") == reads("calls_standard") == {"people"}
    assert reads("through_view") == {"cards"}
    assert reads("sums") == {"people"}
    assert reads("of_things") == {"things"}
    assert reads("dynamic") is None
    assert reads("by_xml") is None
    assert {name for _, name in snapshot.unsettling} == {"dynamic", "by_xml"}
    assert reads("harmless") == reads("alias") == reads("recursive") == set()


def test_what_types_run(known: Known) -> None:
    types = known.snapshot.foreign_types
    assert types[("public", "checked")] == (("public", "direct"),)
    assert types[("public", "_checked")] == (("public", "direct"),)
    assert types[("public", "level")] == (("public", "to_level"),)
    assert ("public", "gap") in types[("public", "span")]
    assert ("public", "gap") in types[("public", "span_multirange")]
    assert types[("public", "things")] == ()
    assert ("pg_catalog", "text") not in types


def test_what_operators_and_functions_take(known: Known) -> None:
    same = ForeignOperator("public", ("public", "same"), 2, 2)
    assert known.snapshot.foreign_operators == {"===": (same,), "#==": (same,)}
    functions = known.snapshot.functions
    (of_level,) = functions["same"]
    assert (of_level.least, of_level.most, of_level.foreign) == (2, 2, True)
    assert not functions["direct"][0].foreign
    assert all(one.makes_range for one in functions["span"])
    assert {(one.least, one.most) for one in functions["concat"]} == {(1, 100)}
    assert any(one.takes_string for one in functions["lower"])


def test_check_warns_of_what_runs_unseen(known: Known) -> None:
    compiled = compile_rules(load_rules([("rules.yaml", RULES)]), known.snapshot)
    warnings = list(lint_functions(compiled, known.snapshot, known.calls))
    for start in (
        "trigger fires of public.things runs function public.fires, which reads public.people:",
        "event trigger watcher runs function public.on_ddl, which reads public.people:",
        "default of column name of public.things runs function public.secret, which reads public.people:",
        "constraint cons of public.things runs function public.nested, which reads public.people:",
        "index things_ex of public.things runs function public.ex, which reads public.people:",
        "row security policy rls of public.things runs function public.pol, which reads public.people:",
        "domain checked runs function public.direct, which reads public.people:",
        "domain standard_domain runs function public.calls_standard, which reads public.people:",
        "cast text to level runs function public.to_level, which reads public.people:",
        "operator ===(level,level) runs function public.same, which reads public.people:",
        "operator class odd_ops runs function public.compares, which reads public.people:",
        "type span runs function public.gap, which reads public.people:",
        "app one may call function public.direct, which reads public.people:",
        "app one may call function public.sums, which reads public.people:",
        "app one may call function public.dynamic, which may read anything",
    ):
        assert [w for w in warnings if _short(w).startswith(_short(start))], (start, warnings)
    text = "\n".join(warnings)
    assert "unlisted" not in text
    assert "harmless" not in text
    assert "of_things" not in text
    assert "fine" not in text


def _short(text: str) -> str:
    """Without schemas: regtype writes them where the path is empty."""
    return text.replace("public.", "")
