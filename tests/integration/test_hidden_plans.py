"""A plan names no index that an app does not have, and shows no mask and no consent; harmless ones are shown."""

from __future__ import annotations

import re
from collections.abc import Iterator

import psycopg
import pytest

from tests.integration.governed import Governed, governed
from tests.servers import PgServer

SCHEMA = """
CREATE TABLE people (id int PRIMARY KEY, name text, mail text, born date, card text, doc jsonb);
INSERT INTO people SELECT i, 'n' || i, i || '@x', '2000-01-01', 'c' || i FROM generate_series(1, 100) i;
CREATE INDEX people_name ON people (name);
CREATE TABLE staff (id int PRIMARY KEY, name text, grade int);
CREATE INDEX told_staff ON staff (grade);
CREATE TABLE open (id int PRIMARY KEY, title text, mail text);
CREATE INDEX open_title ON open (title);
CREATE TABLE parent (id int, name text);
CREATE TABLE open_child (more int) INHERITS (parent);
CREATE TABLE narrow (id int, name text);
CREATE TABLE narrow_child (gone int) INHERITS (narrow);
CREATE INDEX told_narrow ON narrow_child (gone);
CREATE TABLE told_link (id int CONSTRAINT told_link_open REFERENCES open);
CREATE TABLE made (id int PRIMARY KEY, secret text, loud text GENERATED ALWAYS AS (upper(secret) || 'told') VIRTUAL);
CREATE TABLE guarded (id int PRIMARY KEY, secret text);
ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON guarded USING (secret <> 'told');
CREATE TABLE guarded_open (id int PRIMARY KEY);
ALTER TABLE guarded_open ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON guarded_open USING (EXISTS (SELECT FROM staff WHERE grade > id));
CREATE VIEW guarded_view AS SELECT id FROM guarded_open;
CREATE VIEW masked_view AS SELECT id, mail FROM people;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO PUBLIC;
"""
RULES = """version: 1
attributes: {mail: {}, born: {}, card: {}, doc: {}, pin: {}}
tables:
  public.people: {subject: id, columns: {id: open, name: open, mail: mail, born: born, card: card, doc: {attribute: doc, paths: {$.told: pin}}}}
  public.staff: {columns: {id: open, name: open, grade: card}}
  public.open: open
  public.parent: open
  public.made: {columns: {id: open, secret: card, loud: open}}
  public.guarded: {columns: {id: open, secret: card}}
  public.guarded_open: open
  public.narrow: {columns: {id: open, name: open}}
  public.narrow_child: {columns: {id: open, name: open, gone: card}}
apps:
  plans: {logins: [plans]}
  planner: {logins: [planner], explain: allow}
policies:
  - {name: mails, attributes: [mail], action: mask, mask: half}
  - {name: births, attributes: [born], action: show, consent: opt_in}
  - {name: docs, attributes: [doc], action: show}
masks: {half: {kind: expression, sql: "left({value}, 1 + 1)"}}
"""
TELLING = [
    "SELECT count(*) FROM staff",
    "SELECT id FROM staff",
    "WITH s AS (SELECT id FROM staff) SELECT * FROM s",
    "DELETE FROM staff",
    "SELECT count(*) FROM narrow",
    "SELECT id FROM people ORDER BY mail",
    "SELECT id FROM people WHERE mail = 'x'",
    "SELECT id FROM people p WHERE p.mail LIKE 'x'",
    "SELECT id FROM people GROUP BY id, mail",
    "SELECT mail FROM people ORDER BY 1",
    "SELECT mail AS name FROM people ORDER BY name",
    "SELECT DISTINCT mail FROM people",
    "SELECT mail FROM people UNION SELECT title FROM open",
    "SELECT * FROM people ORDER BY people",
    "SELECT id FROM people p ORDER BY p",
    "SELECT id FROM people p ORDER BY p.row_to_json::text",
    "SELECT 1 AS row_to_json, id FROM people p ORDER BY p.row_to_json::text",
    "SELECT id FROM people p ORDER BY (p).mail",
    "SELECT id FROM people p ORDER BY row_to_json(p)::text",
    "SELECT id FROM people p (a, b, c) ORDER BY c",
    "SELECT id FROM people NATURAL JOIN open",
    "SELECT title FROM people JOIN open USING (mail)",
    "SELECT count(DISTINCT mail) FROM people",
    "SELECT string_agg(name, '' ORDER BY mail) FROM people",
    "SELECT sum(id) OVER (PARTITION BY mail) FROM people",
    "SELECT (SELECT 1 FROM open WHERE title = people.mail) FROM people",
    "SELECT x FROM (SELECT mail AS x FROM people) q ORDER BY x",
    "SELECT mail FROM (SELECT * FROM people) q ORDER BY mail",
    "WITH q AS (SELECT * FROM people) SELECT name FROM q ORDER BY name",
    "WITH q (name) AS (SELECT mail FROM people) SELECT id FROM q, open ORDER BY name",
    "TABLE people",
    "SELECT * FROM people",
    "SELECT born FROM people",
    "SELECT doc FROM people",
    "SELECT people FROM people",
    "UPDATE people SET name = mail",
    "UPDATE people SET name = 'x' WHERE mail = 'x'",
    "DELETE FROM people WHERE born IS NULL",
    "DELETE FROM people RETURNING *",
    "INSERT INTO open SELECT id, mail FROM people ORDER BY 2",
    "MERGE INTO open USING people ON open.title = people.mail WHEN MATCHED THEN DELETE",
    "SELECT id FROM guarded WHERE id = 1",
    "UPDATE guarded SET id = 1",
    "SELECT id FROM guarded_open",
    "SELECT id FROM guarded_view",
    "DELETE FROM guarded_open",
    "UPDATE masked_view SET id = id WHERE mail = 'x'",
]
VIRTUAL = [
    "SELECT id FROM made WHERE loud = 'x'",
    "SELECT loud FROM made ORDER BY loud",
    "UPDATE made SET id = 1 WHERE loud = 'x'",
]
HARMLESS = {
    "SELECT id, loud FROM made WHERE id = 1": "made_pkey",
    "SELECT id, name, mail FROM people WHERE id = 1": "people_pkey",
    "SELECT mail, name FROM people ORDER BY name LIMIT 3": "people_name",
    "SELECT p.mail || '!', p.mail::text FROM people p JOIN open o ON o.id = p.id WHERE o.title = 'x'": "open_title",
    "SELECT count(*) FROM people WHERE name = 'n1'": "people_name",
    "SELECT q.n FROM (SELECT id AS n FROM people) q ORDER BY q.n": "people_pkey",
    "UPDATE people SET name = 'x' WHERE id = 1": "people_pkey",
    "SELECT * FROM open ORDER BY mail": "Sort Key: mail",
    "DELETE FROM open WHERE id = 1": "open_pkey",
}


@pytest.fixture(scope="module")
def gateway(pg_server: PgServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Governed]:
    folder = tmp_path_factory.mktemp("plans")
    schema = SCHEMA if pg_server.version >= 180000 else SCHEMA.replace("VIRTUAL", "STORED")
    with governed(pg_server, folder, "plans", schema, RULES, ["plans", "planner"]) as running:
        yield running


def plan(gateway: Governed, app: str, text: str, options: str = "") -> str:
    with gateway.connect(app) as connection:
        connection.execute("SET enable_seqscan = off")
        connection.execute("BEGIN")
        return "\n".join(str(row[0]) for row in connection.execute(f"EXPLAIN {options} {text}".encode()).fetchall())


@pytest.mark.parametrize("text", TELLING)
def test_a_plan_that_would_tell_is_refused(gateway: Governed, text: str) -> None:
    for options in ("", "(FORMAT json)", "(FORMAT xml, COSTS off)", "ANALYZE"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege) as caught:
            print(plan(gateway, "plans", text, options))
        assert "explain: allow" in str(caught.value.diag.message_hint) or "permission denied" in str(caught.value)


@pytest.mark.parametrize("text", VIRTUAL)
def test_a_plan_that_prints_a_virtual_column_is_refused(gateway: Governed, pg_server: PgServer, text: str) -> None:
    if pg_server.version < 180000:
        pytest.skip("virtual generated columns are of PostgreSQL 18")
    test_a_plan_that_would_tell_is_refused(gateway, text)


@pytest.mark.parametrize("text", HARMLESS)
def test_a_harmless_plan_is_shown(gateway: Governed, text: str) -> None:
    for options in ("", "(FORMAT json)"):
        found = plan(gateway, "plans", text, options)
        assert not re.search(r"told|left|consentry|grade", found), found
    assert HARMLESS[text] in plan(gateway, "plans", text)


def test_a_child_in_a_plan_is_in_the_catalogs_too(gateway: Governed) -> None:
    assert "open_child" in plan(gateway, "plans", "SELECT count(*) FROM parent")
    with gateway.connect("plans") as connection:
        assert connection.execute("SELECT FROM pg_class WHERE relname = 'open_child'").rowcount == 1


def test_triggers_of_writes_are_not_named(gateway: Governed) -> None:
    text = "DELETE FROM open WHERE id = 1"
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        plan(gateway, "plans", text, "ANALYZE")


def test_where_the_rules_let_it_a_plan_tells(gateway: Governed) -> None:
    assert "told_staff" in plan(gateway, "planner", "SELECT count(*) FROM staff")
    assert "left" in plan(gateway, "planner", "SELECT id FROM people ORDER BY mail").lower()
