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
CREATE TABLE made (
    id int PRIMARY KEY, secret text, loud text GENERATED ALWAYS AS (upper(secret) || 'told') VIRTUAL,
    stored text GENERATED ALWAYS AS (upper(secret) || 'told') STORED,
    hush text GENERATED ALWAYS AS (upper(secret) || 'told') VIRTUAL
);
CREATE TABLE above (id int, loud text GENERATED ALWAYS AS (id::text) VIRTUAL);
CREATE TABLE below (gone text, loud text GENERATED ALWAYS AS (gone || 'told') VIRTUAL) INHERITS (above);
CREATE TABLE guarded (id int PRIMARY KEY, secret text);
ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON guarded USING (secret <> 'told');
CREATE TABLE guarded_open (id int PRIMARY KEY);
ALTER TABLE guarded_open ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON guarded_open USING (EXISTS (SELECT FROM staff WHERE grade > id));
CREATE VIEW guarded_view AS SELECT id FROM guarded_open;
CREATE VIEW masked_view AS SELECT id, mail FROM people;
CREATE VIEW told_view AS SELECT id FROM people WHERE card <> 'told';
CREATE FUNCTION inlined(int) RETURNS bool LANGUAGE sql STABLE AS $$ SELECT $1::text <> 'told' $$;
CREATE FUNCTION reader() RETURNS SETOF int LANGUAGE sql STABLE AS $$ SELECT grade FROM staff $$;
CREATE FUNCTION of_row(open) RETURNS text LANGUAGE sql STABLE AS $$ SELECT $1.title || 'told' $$;
CREATE FUNCTION closed(int) RETURNS bool LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN $1::text <> 'told'; END $$;
CREATE FUNCTION kept(int) RETURNS bool LANGUAGE sql STABLE SECURITY DEFINER AS $$ SELECT $1::text <> 'told' $$;
CREATE FUNCTION beside(int, int) RETURNS bool LANGUAGE sql STABLE AS $$ SELECT $1 + 7 < $2 AND 'told' <> '' $$;
CREATE OPERATOR <|> (FUNCTION = beside, LEFTARG = int, RIGHTARG = int);
CREATE EXTENSION file_fdw;
CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;
CREATE FOREIGN TABLE filed (id int, line text) SERVER files OPTIONS (filename '/told', format 'csv');
CREATE VIEW filed_view AS SELECT id FROM filed;
CREATE TABLE of_files (id int, line text);
CREATE FOREIGN TABLE filed_child () INHERITS (of_files) SERVER files OPTIONS (filename '/told', format 'csv');
CREATE TABLE defaulted (id int PRIMARY KEY, good bool DEFAULT inlined(7));
CREATE VIEW inlining AS SELECT id, title FROM open WHERE inlined(id);
CREATE VIEW over_inlining AS SELECT id FROM inlining;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO PUBLIC;
"""
RULES = """version: 1
attributes: {mail: {}, born: {}, card: {}, doc: {}, pin: {}}
tables:
  public.people: {subject: id, columns: {id: open, name: open, mail: mail, born: born, card: card, doc: {attribute: doc, paths: {$.told: pin}}}}
  public.staff: {columns: {id: open, name: open, grade: card}}
  public.open: open
  public.parent: open
  public.made: {columns: {id: open, secret: card, loud: open, stored: open}}
  public.guarded: {columns: {id: open, secret: card}}
  public.guarded_open: open
  public.told_view: open
  public.defaulted: open
  public.above: {columns: {id: open, loud: open}}
  public.below: {columns: {id: open, gone: card, loud: open}}
  public.filed: open
  public.of_files: open
  public.narrow: {columns: {id: open, name: open}}
  public.narrow_child: {columns: {id: open, name: open, gone: card}}
apps:
  plans:
    logins: [plans]
    functions:
      allow: [public.inlined, public.reader, public.of_row, public.closed, public.kept, public.beside]
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
    "SELECT id FROM told_view",
    "SELECT id FROM open WHERE inlined(id)",
    "SELECT id FROM open WHERE public.inlined(id)",
    "SELECT * FROM reader()",
    "SELECT id FROM open o ORDER BY o.of_row",
    "SELECT id FROM open o ORDER BY (o).of_row",
    "SELECT id FROM open WHERE id <|> 7",
    "SELECT id FROM open WHERE id OPERATOR(public.<|>) 7",
    "SELECT id FROM inlining",
    "SELECT id FROM over_inlining",
    "SELECT id FROM filed",
    "SELECT id FROM filed_view",
    "SELECT count(*) FROM of_files",
]
VIRTUAL = [
    "SELECT id FROM made WHERE loud = 'x'",
    "SELECT loud FROM made ORDER BY loud",
    "UPDATE made SET id = 1 WHERE loud = 'x'",
    "SELECT id FROM above WHERE loud = 'x'",
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
    "SELECT id FROM made WHERE stored = 'x' AND id = 1": "Filter: (stored",
    "SELECT id FROM open WHERE closed(id)": "Filter: closed(id)",
    "SELECT id FROM open WHERE kept(id)": "Filter: kept(id)",
    "SELECT o.title FROM open o WHERE o.mail LIKE 'x%' AND o.id BETWEEN 1 AND 2": "open_pkey",
}
# Names in the place of {}: one that is hidden, and one that is not there.
ALIKE = [
    ("SELECT id FROM made WHERE {} = 'x'", "hush", "gone"),
    ("SELECT {} FROM made", "hush", "gone"),
    ("SELECT id FROM made m ORDER BY m.{}", "hush", "gone"),
    ("SELECT id FROM made m ORDER BY m.{}", "secret", "secreq"),
    ("SELECT id FROM people p ORDER BY p.{}", "card", "gone"),
    ("SELECT id FROM people p WHERE (p).{} = 'x'", "card", "gone"),
    ("SELECT p.id FROM people p, staff s WHERE s.{} = 1", "grade", "gone"),
    ("SELECT p.id FROM people p, masked_view s WHERE s.{} = 1", "card", "gone"),
    ("UPDATE made SET id = 1 WHERE {} = 'x'", "hush", "gone"),
]


def schema_of(server: PgServer) -> str:
    """Without virtual columns where there are none, nor a child's own way to make one."""
    if server.version >= 180000:
        return SCHEMA
    return SCHEMA.replace(", loud text GENERATED ALWAYS AS (gone || 'told') VIRTUAL", "").replace("VIRTUAL", "STORED")


@pytest.fixture(scope="module")
def gateway(pg_server: PgServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Governed]:
    folder = tmp_path_factory.mktemp("plans")
    with governed(pg_server, folder, "plans", schema_of(pg_server), RULES, ["plans", "planner"]) as running:
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


@pytest.mark.parametrize(("text", "hidden", "missing"), ALIKE)
def test_an_explain_does_not_tell_hidden_columns_from_missing_ones(
    gateway: Governed, text: str, hidden: str, missing: str
) -> None:
    answers = []
    for name in (hidden, missing):
        with pytest.raises(psycopg.Error) as caught:
            plan(gateway, "plans", text.format(name))
        diag = caught.value.diag
        parts = (diag.sqlstate, diag.message_primary, diag.message_detail, diag.message_hint)
        answers.append([str(part).replace(name, "{}") for part in parts])
    assert answers[0] == answers[1]


def test_a_child_in_a_plan_is_in_the_catalogs_too(gateway: Governed) -> None:
    assert "open_child" in plan(gateway, "plans", "SELECT count(*) FROM parent")
    with gateway.connect("plans") as connection:
        assert connection.execute("SELECT FROM pg_class WHERE relname = 'open_child'").rowcount == 1


@pytest.mark.parametrize(
    "text",
    ["INSERT INTO defaulted (id) VALUES (1), (2)", "UPDATE defaulted SET good = DEFAULT WHERE id = 1"],
)
def test_what_a_default_is_made_of_is_not_shown(gateway: Governed, text: str) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="function is made of"):
        print(plan(gateway, "plans", text, "VERBOSE"))
    assert "defaulted" in plan(gateway, "plans", text)
    assert "defaulted_pkey" in plan(gateway, "plans", "DELETE FROM defaulted WHERE id = 1", "VERBOSE")


def test_triggers_of_writes_are_not_named(gateway: Governed) -> None:
    text = "DELETE FROM open WHERE id = 1"
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        plan(gateway, "plans", text, "ANALYZE")


def test_auto_explain_is_not_set(gateway: Governed) -> None:
    with gateway.connect("plans") as connection:
        for text in (
            "SET auto_explain.log_level = notice",
            "SELECT set_config('Auto_Explain.log_level', 'notice', false)",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="permission denied to set"):
                connection.execute(text.encode())
        connection.execute("SET myapp.auto_explain = on")


def test_where_the_rules_let_it_a_plan_tells(gateway: Governed) -> None:
    assert "told_staff" in plan(gateway, "planner", "SELECT count(*) FROM staff")
    assert "left" in plan(gateway, "planner", "SELECT id FROM people ORDER BY mail").lower()


CAST = """
CREATE TYPE level AS ENUM ('low', 'high');
CREATE FUNCTION level_text(level) RETURNS text LANGUAGE sql STABLE AS $$ SELECT CASE $1 WHEN 'low' THEN 'told' ELSE '' END $$;
CREATE CAST (level AS text) WITH FUNCTION level_text(level);
CREATE TABLE leveled (id int PRIMARY KEY, level level);
GRANT SELECT ON leveled TO PUBLIC;
"""
PLAIN_RULES = """version: 1
tables: {public.open: open, public.guarded_open: open, public.leveled: open}
apps: {plains: {logins: [plains]}}
"""


@pytest.fixture(scope="module")
def plain_gateway(pg_server: PgServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Governed]:
    """All that the rules list is shown as it is."""
    folder = tmp_path_factory.mktemp("plain_plans")
    with governed(pg_server, folder, "plain_plans", schema_of(pg_server) + CAST, PLAIN_RULES, ["plains"]) as running:
        yield running


@pytest.mark.parametrize(
    "text", ["SELECT id FROM guarded_open", "SELECT id FROM guarded_view", "DELETE FROM guarded_open"]
)
def test_row_security_is_not_shown_where_all_listed_relations_are_plain(plain_gateway: Governed, text: str) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row security"):
        print(plan(plain_gateway, "plains", text))


@pytest.mark.parametrize(
    "text",
    [
        "SELECT id FROM leveled WHERE level::text = 'x'",
        "SELECT id FROM open WHERE (CASE WHEN id > 1 THEN 'low' END)::level::text = 'x'",
    ],
)
def test_what_a_cast_is_made_of_is_not_shown(plain_gateway: Governed, text: str) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="function is made of"):
        print(plan(plain_gateway, "plains", text))
    assert "open_pkey" in plan(plain_gateway, "plains", "SELECT id FROM open WHERE id::text = 'x' ORDER BY id")


def test_triggers_of_relations_that_are_not_listed_are_not_named(plain_gateway: Governed) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="triggers"):
        print(plan(plain_gateway, "plains", "DELETE FROM open WHERE id = 1", "ANALYZE"))
    assert "open_pkey" in plan(plain_gateway, "plains", "DELETE FROM open WHERE id = 1")


@pytest.mark.parametrize(
    "text", ["SELECT id FROM guarded_open", "SELECT tablename FROM pg_tables", "SELECT id FROM open"]
)
def test_plans_of_what_was_prepared_are_not_shown(plain_gateway: Governed, text: str) -> None:
    with plain_gateway.connect("plains") as connection:
        connection.execute(f"PREPARE p AS {text}".encode())
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="EXPLAIN EXECUTE"):
            print(connection.execute("EXPLAIN EXECUTE p").fetchall())


def test_what_the_server_logs_is_not_told(plain_gateway: Governed, pg_server: PgServer) -> None:
    with pg_server.connect() as admin:
        admin.execute("ALTER DATABASE plain_plans SET log_statement = 'all'")
    heard: list[str | None] = []
    try:
        with plain_gateway.connect("plains") as connection:
            connection.add_notice_handler(lambda notice: heard.append(notice.severity_nonlocalized))
            connection.execute("SET client_min_messages = log")
            connection.execute("SELECT FROM pg_tables")
            connection.execute("SET client_min_messages = debug5")
            connection.execute("SELECT FROM pg_tables")
            connection.execute("DROP TABLE IF EXISTS pg_temp.nothing")
    finally:
        with pg_server.connect() as admin:
            admin.execute("ALTER DATABASE plain_plans RESET log_statement")
    assert heard == ["NOTICE"]
