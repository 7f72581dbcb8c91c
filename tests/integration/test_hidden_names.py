"""What the rules hide does not exist for an app: its name gives the error that a name gives which nothing has.

Each statement is sent three times: with a hidden name, with one that nothing has, and to the database itself with the
latter. The same comes back: SQLSTATE, words, position and every other field (the database's own answer also says where
in its source the error was raised).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import pq
from psycopg.types.string import TextLoader

from tests.integration.governed import Governed, governed
from tests.servers import PgServer

SCHEMA = """
CREATE TABLE payroll (id int PRIMARY KEY, pay int);
CREATE TABLE people (id int PRIMARY KEY, name text, card text CONSTRAINT card_once UNIQUE, names text, tall int,
    CONSTRAINT card_long CHECK (length(card) > 3),
    CONSTRAINT card_paid FOREIGN KEY (tall) REFERENCES payroll DEFERRABLE);
CREATE TABLE open (id int PRIMARY KEY, title text, CONSTRAINT open_once UNIQUE (title) DEFERRABLE);
CREATE TABLE secret_notes (id int, person int CONSTRAINT secret_notes_person REFERENCES people DEFERRABLE);
CREATE TABLE work (id int, place int CONSTRAINT work_place REFERENCES payroll);
CREATE TABLE tags (id int PRIMARY KEY, person int CONSTRAINT tag_of REFERENCES people);
INSERT INTO payroll VALUES (1, 1);
INSERT INTO people VALUES (1, 'one', 'card1'), (2, 'two', 'card2'), (3, 'three', 'card3');
INSERT INTO secret_notes VALUES (1, 1);
INSERT INTO tags VALUES (1, 2);
CREATE VIEW seen AS SELECT id, name, card, names FROM people;
CREATE VIEW catalogued AS SELECT attrelid, attname, attnum FROM pg_attribute;
CREATE VIEW described AS SELECT table_name, column_name FROM information_schema.columns;
CREATE VIEW twice AS SELECT attname FROM catalogued WHERE attnum > 0;
CREATE VIEW annotated AS SELECT id FROM secret_notes;
CREATE VIEW over_annotated AS SELECT id FROM annotated;
CREATE SEQUENCE card_numbers OWNED BY people.card;
CREATE SEQUENCE open_numbers OWNED BY open.title;
COMMENT ON COLUMN people.card IS 'who pays';
CREATE TABLE labelled (id int PRIMARY KEY, title text, secretly text DEFAULT 'secretly' NOT NULL, CHECK (secretly <> title),
    loud text GENERATED ALWAYS AS (upper(secretly)) STORED, soft text GENERATED ALWAYS AS (lower(secretly)) VIRTUAL,
    plain text DEFAULT 'plainly', twice int GENERATED ALWAYS AS (id * 2) STORED);
CREATE INDEX ON labelled ((secretly || title));
CREATE INDEX ON labelled (title) WHERE secretly = 'x';
CREATE STATISTICS labelled_s ON (secretly || 'a'), title FROM labelled;
CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE FUNCTION of_labelled() RETURNS text BEGIN ATOMIC SELECT secretly FROM labelled; END;
CREATE TRIGGER labelled_w BEFORE UPDATE ON labelled FOR EACH ROW WHEN (NEW.secretly <> OLD.title) EXECUTE FUNCTION noted();
CREATE TRIGGER labelled_c BEFORE UPDATE OF secretly ON labelled FOR EACH ROW EXECUTE FUNCTION noted();
CREATE TRIGGER labelled_a BEFORE UPDATE ON labelled FOR EACH ROW EXECUTE FUNCTION noted('secretly');
CREATE RULE labelled_r AS ON UPDATE TO labelled WHERE NEW.secretly = 'x' DO ALSO NOTHING;
CREATE POLICY labelled_p ON labelled USING (secretly = title);
CREATE VIEW labelled_v AS SELECT id FROM labelled WHERE secretly = 'x';
CREATE MATERIALIZED VIEW labelled_m AS SELECT id FROM labelled WHERE secretly = 'x';
CREATE PUBLICATION labelled_p FOR TABLE labelled (id, secretly) WHERE (secretly = 'x');
CREATE DOMAIN small AS int CHECK (VALUE < 5);
CREATE TABLE odd (nspname aclitem[]);
INSERT INTO odd VALUES ('{=r/pg_monitor}');
CREATE TABLE parted (id int, card text, name text, names text) PARTITION BY LIST (id);
CREATE TABLE parted1 PARTITION OF parted DEFAULT;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO PUBLIC;
"""
RULES = """version: 1
attributes: {name: {}, card: {}}
tables:
  public.people: {columns: {id: open, name: name, card: card, names: card, tall: card}}
  public.parted: {columns: {id: open, name: name, card: card, names: card}}
  public.open: {columns: {id: open, title: open}}
  public.annotated: open
  public.labelled:
    columns: {id: open, title: open, secretly: card, loud: open, soft: open, plain: open, twice: open}
  public.labelled_m: {columns: {id: open}}
  public.odd: {columns: {nspname: open}}
  public.work: {columns: {id: open, place: open}}
  public.tags: {columns: {id: open, person: open}}
apps: {shop: {logins: [guesser]}}
policies: [{name: names, attributes: [name], action: show, write: allow}]
"""
STRICTER = """
  - {name: names, attributes: [name], action: mask, mask: half, write: allow}
  - {name: some, tables: [public.people], rows: {where: id <= 2}}
masks: {half: {kind: expression, sql: "left({value}, 2)"}}
"""
COLUMNS = {"card": "zqxj", "names": "namez"}  # hidden: one that there is not
CONSTRAINTS = {"card_once": "zqxj_oqce", "card_long": "zqxj_lqng", "card_paid": "zqxj_pqid"}

READS = [
    "SELECT {} FROM people",
    "SELECT people.{} FROM people",
    "SELECT public.people.{} FROM people",
    "SELECT (people).{} FROM people",
    "SELECT (people.*).{} FROM people",
    "SELECT p.{} FROM people p",
    "SELECT p.{} FROM people",
    "SELECT name FROM people ORDER BY {}",
    "SELECT name FROM people GROUP BY {}",
    "SELECT name FROM people WHERE {} = '1'",
    "SELECT name FROM people p JOIN open o ON o.title = p.{}",
    "SELECT name FROM people p JOIN open o USING ({})",
    "SELECT name FROM people p JOIN people q USING ({})",
    "SELECT name FROM people p, LATERAL (SELECT p.{}) q",
    "SELECT (SELECT {} FROM open) FROM people",
    "SELECT name FROM people WHERE id IN (SELECT {} FROM open)",
    "SELECT sum(id) OVER (PARTITION BY {}) FROM people",
    "SELECT count(*) FILTER (WHERE {} IS NULL) FROM people",
    "SELECT max({}) FROM people",
    "SELECT {}(people) FROM people",
    "SELECT x.{} FROM (SELECT * FROM people) x",
    "WITH x AS (SELECT * FROM people) SELECT {} FROM x",
    "SELECT {} FROM seen",
    "SELECT seen.{} FROM seen",
    "SELECT {} FROM parted",
    "SELECT name FROM people FOR UPDATE OF {}",
    "SELECT DISTINCT ON ({}) name FROM people",
    "SELECT name FROM people WINDOW w AS (ORDER BY {})",
    "SELECT name FROM people LIMIT {}",
    "SELECT name FROM people TABLESAMPLE system ({})",
    "SELECT name FROM people UNION SELECT name FROM people ORDER BY {}",
    "EXPLAIN SELECT {} FROM people",
    "PREPARE s AS SELECT {} FROM people",
    "DECLARE c CURSOR WITH HOLD FOR SELECT {} FROM people",
    "CREATE TEMP TABLE z AS SELECT {} FROM people",
    "CREATE TEMP TABLE z (a int CHECK (EXISTS (SELECT {} FROM people)))",
    "CREATE TEMP TABLE z (a int DEFAULT (SELECT max({}) FROM people))",
    "CREATE TEMP TABLE z (a int GENERATED ALWAYS AS ((SELECT max({}) FROM people)) STORED)",
    "CREATE TEMP TABLE z (a int DEFAULT 1, b int, CHECK (a IN (SELECT {} FROM people)))",
    "CREATE TEMP TABLE z (a int CHECK (a > 1), b int DEFAULT (SELECT max({}) FROM people))",
    "ALTER TABLE z ADD c int DEFAULT (SELECT max({}) FROM people)",
    "ALTER TABLE z ALTER a SET DEFAULT (SELECT max({}) FROM people)",
    "ALTER TABLE z ALTER a TYPE text USING (SELECT {} FROM people)",
    "ALTER TABLE z ADD CHECK (EXISTS (SELECT {} FROM people))",
    "CREATE INDEX ON z ((a + (SELECT max({}) FROM people)))",
    "CREATE INDEX ON z (a) WHERE EXISTS (SELECT {} FROM people)",
    "SELECT row_to_json(p)->>'a', p.{} FROM people p",
    "SELECT ('x'::people).{}",
    "VALUES ((SELECT {} FROM people))",
    "SELECT name AS é, {} FROM people",
    "/* é */ SELECT {} FROM people",
]
WRITES = [
    "DELETE FROM people WHERE {} = wvwvwv",
    "DELETE FROM people WHERE wvwvwv = {}",
    "DELETE FROM people WHERE {} = 'x' RETURNING wvwvwv",
    "DELETE FROM people RETURNING people.{}, people.wvwvwv",
    "UPDATE people SET name = {} WHERE wvwvwv = 1",
    "UPDATE people p SET name = p.wvwvwv WHERE p.{} = 'x'",
    "INSERT INTO people (id, name) VALUES (9, 'x') ON CONFLICT (id) DO UPDATE SET name = excluded.wvwvwv WHERE {} = 'x'",
    "INSERT INTO people (id, name) VALUES (9, 'x') ON CONFLICT (id) DO UPDATE SET name = excluded.{} WHERE wvwvwv = 'x'",
    "DELETE FROM tags USING people WHERE tags.person = people.id AND {} = wvwvwv",
    "UPDATE people SET {} = '1'",
    "UPDATE people SET name = '1', {} = '1'",
    "UPDATE people SET (name, {}) = ('1', '2')",
    "UPDATE people SET (name, {}) = (SELECT '1', '2')",
    "UPDATE people SET {}[1] = '1'",
    "UPDATE people SET {}.x = '1'",
    "UPDATE people SET {} = DEFAULT",
    "UPDATE people p SET {} = '1'",
    "UPDATE people SET name = {}",
    "UPDATE people SET name = people.{}",
    "UPDATE people SET name = name WHERE {} = '1'",
    "UPDATE people p SET name = name WHERE p.{} = '1'",
    "UPDATE people SET name = name FROM open WHERE {} = '1'",
    "UPDATE people SET name = name FROM open o WHERE o.id = people.{}",
    "UPDATE people SET name = name FROM open o WHERE o.{} = people.id",
    "UPDATE people SET name = name FROM people q WHERE q.{} = people.name",
    "UPDATE people SET {} = '1' FROM open",
    "UPDATE people SET name = {} FROM open",
    "UPDATE people SET name = name FROM (SELECT people.{}) q",
    "UPDATE people SET name = name FROM (SELECT {} FROM open) q",
    "UPDATE people SET name = name FROM LATERAL (SELECT people.{}) q",
    "UPDATE people SET name = name FROM open JOIN people q ON q.{} = title",
    "UPDATE people SET name = name FROM people q (a, b, {}) WHERE q.{} = '1'",
    "UPDATE people SET name = name FROM LATERAL (SELECT {}) q",
    "UPDATE people SET name = name FROM open, LATERAL (SELECT {}, title) q",
    "UPDATE people SET name = name FROM LATERAL (SELECT (SELECT {} FROM open)) q",
    "UPDATE people SET name = name FROM generate_series(1, {}) q",
    "UPDATE people SET name = name FROM generate_series(1, people.{}) q",
    "UPDATE people SET name = name FROM unnest(ARRAY[{}]) q",
    "UPDATE people SET name = name FROM open o JOIN open q ON {} = q.title",
    "UPDATE people SET name = name FROM open o JOIN LATERAL (SELECT {}) q ON true",
    "UPDATE people SET name = name FROM json_table('{{}}', '$' PASSING {} AS a COLUMNS (b int)) q",
    "UPDATE people SET name = name FROM open TABLESAMPLE system (length({}))",
    "UPDATE people SET name = (SELECT title FROM open GROUP BY title, {})",
    "UPDATE people SET name = (SELECT DISTINCT ON ({}) title FROM open)",
    "UPDATE people SET name = (SELECT title FROM open ORDER BY {} LIMIT 1)",
    "UPDATE people SET name = (SELECT title AS a FROM open GROUP BY a HAVING max({}) = '1')",
    "UPDATE people SET name = (WITH x AS (SELECT {}) SELECT 'a' FROM x)",
    "UPDATE people SET name = q.a FROM (WITH x AS (SELECT {}) SELECT 'a' AS a FROM x) q",
    "WITH x AS (SELECT {} FROM open) UPDATE people SET name = name FROM x",
    "UPDATE people SET name = name FROM (VALUES ({})) q",
    "UPDATE people SET name = name FROM people q NATURAL JOIN open o WHERE o.{} = '1'",
    "UPDATE people SET name = name FROM people q JOIN people r USING ({})",
    "UPDATE people SET name = name RETURNING {}",
    "UPDATE people SET name = name RETURNING people.{}",
    "UPDATE people SET name = name RETURNING old.{}",
    "UPDATE people SET name = name RETURNING new.{}",
    "UPDATE people SET name = name RETURNING (people).{}",
    "UPDATE open SET title = q.{} FROM people q",
    "UPDATE open SET title = {} FROM people q",
    "UPDATE open SET title = 'x' FROM people q WHERE q.{} = title",
    "UPDATE seen SET {} = '1'",
    "UPDATE seen SET name = {}",
    "UPDATE seen SET name = '1' WHERE {} = '1'",
    "UPDATE seen SET name = '1' RETURNING {}",
    "UPDATE parted SET {} = '1'",
    "DELETE FROM people WHERE {} = '1'",
    "DELETE FROM people WHERE people.{} IS NULL",
    "DELETE FROM people USING open WHERE people.{} IS NULL",
    "DELETE FROM people USING open WHERE {} IS NULL",
    "DELETE FROM people USING people q WHERE q.{} IS NULL",
    "DELETE FROM people USING open o JOIN people q USING ({})",
    "DELETE FROM people USING LATERAL (SELECT {}) q",
    "DELETE FROM people USING generate_series(1, {}) q",
    "DELETE FROM people RETURNING {}",
    "DELETE FROM open USING people WHERE {} = title",
    "INSERT INTO people ({}) VALUES ('1')",
    "INSERT INTO people (id, name, {}) VALUES (1, '1', '1')",
    "INSERT INTO people (id, {}) SELECT 1, '2'",
    "INSERT INTO people (id, {}.x) VALUES (1, '1')",
    "INSERT INTO people (id, {}[1]) VALUES (1, '1')",
    "INSERT INTO people AS p (id, {}) VALUES (1, '1')",
    "INSERT INTO public.people (id, {}) VALUES (1, '1')",
    "INSERT INTO people (id) VALUES (1) RETURNING {}",
    "INSERT INTO people (id) SELECT {} FROM people",
    "INSERT INTO people (id) VALUES ({})",
    "INSERT INTO seen (id, {}) VALUES (1, '1')",
    "INSERT INTO parted (id, {}) VALUES (1, '1')",
    "INSERT INTO people (id) VALUES (1) ON CONFLICT ({}) DO NOTHING",
    "INSERT INTO people (id) VALUES (1) ON CONFLICT (id, {}) DO NOTHING",
    "INSERT INTO people (id) VALUES (1) ON CONFLICT ((lower({}))) DO NOTHING",
    "INSERT INTO people (id) VALUES (1) ON CONFLICT (id) WHERE {} = '1' DO NOTHING",
    "INSERT INTO people (id) VALUES (1) ON CONFLICT (people.{}) DO NOTHING",
    "INSERT INTO people (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET {} = '1'",
    "INSERT INTO people (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET (name, {}) = ('1', '2')",
    "INSERT INTO people (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET name = {}",
    "INSERT INTO people (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET name = people.{}",
    "INSERT INTO people (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET name = excluded.{}",
    "INSERT INTO people (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET name = '1' WHERE {} = '1'",
    "INSERT INTO people (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET name = '1' WHERE people.{} = '1'",
    "INSERT INTO people (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET name = '1' WHERE excluded.{} = '1'",
    "INSERT INTO people (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET name = (SELECT {} FROM open)",
    "INSERT INTO people (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET name = '1' RETURNING {}",
    "MERGE INTO people p USING open o ON o.id = p.{} WHEN MATCHED THEN DELETE",
    "MERGE INTO people p USING open o ON o.id = {} WHEN MATCHED THEN DELETE",
    "MERGE INTO people p USING open o ON o.id = p.id WHEN MATCHED THEN UPDATE SET {} = '1'",
    "MERGE INTO people p USING open o ON o.id = p.id WHEN MATCHED THEN UPDATE SET name = {}",
    "MERGE INTO people p USING open o ON o.id = p.id WHEN MATCHED AND {} = '1' THEN DELETE",
    "MERGE INTO people p USING open o ON o.id = p.id WHEN NOT MATCHED THEN INSERT (id, {}) VALUES (1, '1')",
    "MERGE INTO people p USING open o ON o.id = p.id WHEN NOT MATCHED THEN INSERT (id) VALUES (p.{})",
    "MERGE INTO people p USING open o ON o.id = p.id WHEN NOT MATCHED THEN INSERT (id) VALUES ({})",
    "MERGE INTO people p USING open o ON o.id = p.id WHEN NOT MATCHED AND p.{} = '1' THEN DO NOTHING",
    "MERGE INTO people p USING open o ON o.id = p.id WHEN NOT MATCHED BY SOURCE AND {} = '1' THEN DELETE",
    "MERGE INTO people p USING open o ON o.id = p.id WHEN MATCHED THEN DELETE RETURNING {}",
    "MERGE INTO people p USING LATERAL (SELECT {}) o ON true WHEN MATCHED THEN DELETE",
    "MERGE INTO people p USING generate_series(1, {}) o ON true WHEN MATCHED THEN DELETE",
    "MERGE INTO people p USING (SELECT {} FROM open) o ON true WHEN MATCHED THEN DELETE",
    "MERGE INTO open o USING people p ON p.{} = o.title WHEN MATCHED THEN DELETE",
    "MERGE INTO open o USING people p ON p.id = o.id WHEN MATCHED THEN UPDATE SET title = {}",
    "UPDATE people SET name = (SELECT 'y' AS {} FROM open ORDER BY {} || 'x' LIMIT 1)",
    "UPDATE people SET name = (SELECT 'y' AS {} FROM open GROUP BY title || {} LIMIT 1)",
    "MERGE INTO seen p USING open o ON o.id = p.id WHEN MATCHED THEN UPDATE SET {} = '1'",
    "WITH x AS (UPDATE people SET {} = '1' RETURNING id) SELECT * FROM x",
    "WITH x AS (INSERT INTO people (id, {}) VALUES (1, '2') RETURNING id) SELECT * FROM x",
    "EXPLAIN UPDATE people SET {} = '1'",
    "PREPARE s AS UPDATE people SET {} = '1'",
    "/* é */ UPDATE people SET name = 'é', {} = '1'",
]
COPIES = [
    "COPY people ({}) TO STDOUT",
    "COPY people (id, {}) TO STDOUT",
    "COPY people (id, {}) FROM STDIN",
    "COPY people (id, id, {}) FROM STDIN",
    "COPY people (id, name) FROM STDIN (FORMAT csv, FORCE_NULL ({}))",
    "COPY people (id, name) FROM STDIN (FORMAT csv, FORCE_NOT_NULL ({}))",
    "COPY people (id, name) TO STDOUT (FORMAT csv, FORCE_QUOTE ({}))",
    "COPY people FROM STDIN (FORMAT csv, FORCE_NULL ({}))",
    "COPY people FROM STDIN (FORMAT csv, FORCE_NOT_NULL ({}))",
    "COPY people FROM STDIN (FORMAT csv, FORCE_NOT_NULL (name, {}))",
    "COPY people TO STDOUT (FORMAT csv, FORCE_QUOTE ({}))",
    "COPY people TO STDOUT CSV FORCE QUOTE {}",
    "COPY people FROM STDIN CSV FORCE NOT NULL {}",
    "COPY people TO STDOUT (FORMAT csv, FORCE_QUOTE (id, {}))",
    "COPY (SELECT * FROM people) TO STDOUT (FORMAT csv, FORCE_QUOTE ({}))",
    "COPY people FROM STDIN (FORMAT text, FORCE_NULL ({}))",
    "COPY people (id) FROM STDIN WHERE {} = '1'",
    "COPY people (id) FROM STDIN WHERE people.{} = '1'",
    "COPY seen ({}) TO STDOUT",
    "COPY seen (id, {}) FROM STDIN",
    "COPY seen (id) TO STDOUT (FORMAT csv, FORCE_QUOTE ({}))",
    "COPY parted (id) TO STDOUT (FORMAT csv, FORCE_QUOTE ({}))",
    "COPY parted ({}) TO STDOUT",
    "COPY parted (id, {}) FROM STDIN",
    "COPY (SELECT {} FROM people) TO STDOUT",
    "COPY (UPDATE people SET name = '1' RETURNING {}) TO STDOUT",
]
NAMED = [
    "INSERT INTO people (id) VALUES (1) ON CONFLICT ON CONSTRAINT {} DO NOTHING",
    "INSERT INTO people (id) VALUES (1) ON CONFLICT ON CONSTRAINT {} DO UPDATE SET name = '1'",
    "SET CONSTRAINTS {} DEFERRED",
    "SET CONSTRAINTS {} IMMEDIATE",
    "SET CONSTRAINTS public.{} IMMEDIATE",
    "SET CONSTRAINTS open_once, {} IMMEDIATE",
    "SELECT * FROM {}",
    "SELECT * FROM public.{}",
    "SELECT * FROM zzz, {}",
    "UPDATE {} SET id = 1",
]
# Beside other errors. The database says these in another order.
AMONG_ERRORS = [
    "INSERT INTO people (id, wvwv) VALUES (1, 2) ON CONFLICT ON CONSTRAINT {} DO NOTHING",
    "INSERT INTO people (id) VALUES (wvwv) ON CONFLICT ON CONSTRAINT {} DO NOTHING",
    "INSERT INTO people (id) VALUES ('x') ON CONFLICT ON CONSTRAINT {} DO NOTHING",
    "INSERT INTO people (id) VALUES (1, 2) ON CONFLICT ON CONSTRAINT {} DO NOTHING",
    "INSERT INTO people (id) SELECT card FROM people ON CONFLICT ON CONSTRAINT {} DO NOTHING",
    "INSERT INTO people (id) VALUES (1) ON CONFLICT ON CONSTRAINT {} DO UPDATE SET name = wvwv",
    "INSERT INTO people (id) VALUES (1) ON CONFLICT ON CONSTRAINT {} DO UPDATE SET card = '1'",
    "INSERT INTO people (id) VALUES (1) ON CONFLICT ON CONSTRAINT {} DO NOTHING RETURNING nothing(id)",
    "WITH x AS (SELECT wvwv FROM open) INSERT INTO people (id) VALUES (1) ON CONFLICT ON CONSTRAINT {} DO NOTHING",
    "WITH x AS (INSERT INTO people (id) VALUES (1) ON CONFLICT ON CONSTRAINT {} DO NOTHING) SELECT wvwv FROM open",
    "EXPLAIN INSERT INTO people (id) VALUES (1) ON CONFLICT ON CONSTRAINT {} DO NOTHING",
    "SELECT 1/0; INSERT INTO people (id) VALUES (1) ON CONFLICT ON CONSTRAINT {} DO NOTHING",
    "SELECT 1/0; SET CONSTRAINTS {} IMMEDIATE",
    "SELECT a/0 FROM z ; SET CONSTRAINTS {} IMMEDIATE",
    "SELECT a FROM z ; SET CONSTRAINTS wvwv, {} IMMEDIATE",
    "SET CONSTRAINTS wvwv.zqxj, {} IMMEDIATE",
]
INDEXES = [  # these have other positions than the database's
    "SELECT nextval('{}')",
    "SELECT setval('public.{}', 1)",
    "CREATE TEMP TABLE w (LIKE {})",
    "CREATE TEMP TABLE w (LIKE public.{} INCLUDING ALL)",
]
# What the gateway says in other words, of names that nothing has too.
DIFFERENT = {
    "SELECT public.people.{} FROM people",  # the position is behind the schema, which a form has not
    "SELECT name FROM people TABLESAMPLE system ({})",  # and that of what moves into a form is the relation's
    "SELECT {}(people) FROM people",  # the argument's type is not known
    "SELECT ('x'::people).{}",  # no value of the type of a relation's rows is made
    "UPDATE people SET name = name FROM people q (a, b, {}) WHERE q.{} = '1'",  # it has so many columns for the app
    "COPY people (id, id, {}) FROM STDIN",  # two errors, of which this is the second
}
FIELDS = list(pq.DiagnosticField)
SOURCE = {pq.DiagnosticField.SOURCE_FILE, pq.DiagnosticField.SOURCE_LINE, pq.DiagnosticField.SOURCE_FUNCTION}


@pytest.fixture(scope="module")
def gateway(pg_server: PgServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Governed]:
    folder = tmp_path_factory.mktemp("guesser")
    with governed(pg_server, folder, "guesser", SCHEMA, RULES, ["guesser"]) as running:
        yield running


def answer(dsn: str, text: str, name: str, *, source: bool = True, extended: bool = False) -> dict[str, str]:
    """Every field of the error, with the name taken out; where there is none, the tag or what came."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        pgconn = connection.pgconn
        pgconn.exec_(b"BEGIN")
        pgconn.exec_(b"CREATE TEMP TABLE z (a int)" if " z " in text and not text.startswith("CREATE TEMP") else b"")
        sent = text.replace("{{}}", "{ }").replace("{}", name).encode()
        done = pgconn.exec_params(sent, []) if extended else pgconn.exec_(sent)
        if done.status in (pq.ExecStatus.COPY_IN, pq.ExecStatus.COPY_OUT):
            pgconn.finish()
            return {"copies": pq.ExecStatus(done.status).name}
        if done.status != pq.ExecStatus.FATAL_ERROR:
            values = [done.get_value(0, i) for i in range(done.nfields)] if done.ntuples else []
            pgconn.exec_(b"ROLLBACK")
            return {"done": f"{done.command_status} {values}"}
        found = {field.name: done.error_field(field) for field in FIELDS if source or field not in SOURCE}
        return {
            field: re.sub(rf"(?<!\w){name}(?!\w)", "x", value.decode())
            for field, value in found.items()
            if value is not None
        }


@pytest.mark.parametrize(
    ("hidden", "extended"), [("card", False), ("names", False), ("card", True)], ids=["simple", "near", "extended"]
)
@pytest.mark.parametrize("text", [*READS, *WRITES, *COPIES])
def test_a_column(gateway: Governed, text: str, hidden: str, extended: bool) -> None:
    dsn = gateway.dsn("guesser")
    there = answer(dsn, text, hidden, extended=extended)
    assert there == answer(dsn, text, COLUMNS[hidden], extended=extended)
    assert "SQLSTATE" in there


@pytest.fixture(scope="module")
def stricter(pg_server: PgServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Governed]:
    """With a mask and with rows hidden, too."""
    folder, rules = tmp_path_factory.mktemp("guesser_too"), RULES.replace("guesser", "guesser_too")
    rules = rules[: rules.index(" [{name: names")] + STRICTER
    with governed(pg_server, folder, "guesser_too", SCHEMA, rules, ["guesser_too"]) as running:
        yield running


@pytest.mark.parametrize("text", [*READS, *WRITES, *COPIES])
def test_a_column_where_more_is_hidden(stricter: Governed, text: str) -> None:
    dsn = stricter.dsn("guesser_too")
    assert answer(dsn, text, "card") == answer(dsn, text, "zqxj")


@pytest.mark.parametrize(
    "text",
    [
        "UPDATE people SET name = (SELECT title AS a FROM open GROUP BY a LIMIT 1)",
        "UPDATE people SET name = (SELECT title AS a FROM open ORDER BY a LIMIT 1)",
        "UPDATE people SET name = (SELECT DISTINCT ON (a) title AS a FROM open LIMIT 1)",
        "UPDATE people SET name = (SELECT a FROM (WITH RECURSIVE x AS (SELECT a FROM y), y AS (SELECT '1' AS a) TABLE x) z)",
        "UPDATE people SET name = (SELECT a FROM (SELECT title FROM open) AS x (a) LIMIT 1)",
        "UPDATE people SET name = (SELECT a FROM json_to_record('{ }') AS x (a text))",
        "UPDATE people SET name = (SELECT max(a)::text FROM generate_series(1, 3) a)",
        "UPDATE people SET name = a::text FROM generate_series(1, 3) a WHERE a = people.id",
        "UPDATE people SET name = a FROM (VALUES (1, 'x')) v (n, a) WHERE n = people.id",
        "UPDATE people SET name = a FROM json_table('[1]', '$[*]' COLUMNS (a text PATH '$')) j",
        "UPDATE people SET name = a FROM open, json_table(to_json(title)::jsonb, '$' COLUMNS (a text PATH '$')) j",
        "WITH x AS (SELECT title AS a FROM open) UPDATE people SET name = a FROM x",
        "DELETE FROM people USING open o JOIN open p USING (id) AS u WHERE u.id = people.id AND people.tableoid IS NULL",
        "INSERT INTO people (id, name) VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET name = (SELECT title FROM open LIMIT 1)",
        "MERGE INTO people p USING (SELECT id AS a FROM open) o ON a = p.id WHEN MATCHED THEN DO NOTHING",
    ],
)  # fmt: skip
def test_names_that_there_are_mean_what_they_meant(gateway: Governed, text: str) -> None:
    assert answer(gateway.dsn("guesser"), text, "") == answer(gateway.database, text, "")
    assert "done" in answer(gateway.dsn("guesser"), text, "")


@pytest.mark.parametrize("extended", [False, True])
@pytest.mark.parametrize(
    "text",
    [
        "SELECT 'a' -- note\n 'b'",
        "SELECT name, U&'a'--it's\n--\n'b' FROM people WHERE name <> 'a' -- é\n 'b' ORDER BY 1",
        "SELECT 'a' -- é\n 'b', {} FROM people",
        "SELECT 1; SELECT 'a' -- note\n 'b'",
    ],
)
def test_a_comment_within_a_string(gateway: Governed, text: str, extended: bool) -> None:
    there = answer(gateway.dsn("guesser"), text, "zqxj", source=False, extended=extended)
    assert there == answer(gateway.database, text, "zqxj", source=False, extended=extended)


# Right though the written relation has a hidden column of the name: an item of FROM, an alias or an output has it.
RIGHT = [
    "UPDATE people SET name = 'x' FROM (SELECT 1 AS {}) j WHERE people.id = {}",
    "UPDATE people SET name = {} FROM (VALUES (1, 'x')) v (n, {}) WHERE n = people.id RETURNING {}",
    "UPDATE people SET name = 'x' FROM open z (n, {}), LATERAL (SELECT {} AS q) y WHERE people.name = q",
    "UPDATE people SET name = 'x' FROM open z (n, {}), LATERAL (SELECT (SELECT {}) AS q) y WHERE people.name = q",
    "UPDATE people SET name = a FROM (SELECT '1' AS {}) z, LATERAL unnest(ARRAY[{}]) r (a)",
    "UPDATE people SET name = {} FROM json_table('[1]', '$[*]' COLUMNS ({} text PATH '$')) j",
    "UPDATE people SET name = {} FROM jsonb_to_recordset('[{\"{}\": 1}]') AS j ({} text)",
    "UPDATE people SET name = 'x' FROM ((SELECT 1 AS q) a JOIN open b ON true) j ({}) WHERE people.id = {}",
    "UPDATE people SET name = 'x' FROM z j ({}) WHERE people.id = {}",
    "UPDATE people SET name = {} FROM json_each_text('{\"a\": 1}') WITH ORDINALITY j (k, {}, o)",
    "UPDATE people SET name = {}::text FROM unnest(ARRAY[1]) r ({}) WHERE {} = people.id",
    "UPDATE people SET name = {}::text FROM unnest(ARRAY[1]) {} WHERE {} = people.id",
    "UPDATE people SET name = {}::text FROM unnest(ARRAY[1]) WITH ORDINALITY {} WHERE {} = people.id RETURNING {}",
    "UPDATE people SET name = {}::text FROM open, LATERAL generate_series(1, 2) {} WHERE {} = people.id",
    "UPDATE people SET name = (SELECT string_agg({}, '') FROM regexp_split_to_table('a,b', ',') {})",
    "UPDATE people SET name = (SELECT string_agg({}, '') FROM regexp_split_to_table('a,b', ',') r ({}))",
    "UPDATE people SET name = (SELECT {} FROM unnest(ARRAY[name]) {})",
    "UPDATE people SET name = (SELECT {} FROM unnest(ARRAY[name]) {} ORDER BY {} LIMIT 1)",
    "UPDATE people SET name = (SELECT {} FROM unnest(ARRAY[name]) {} GROUP BY {} LIMIT 1)",
    "UPDATE people SET name = (SELECT {} #>> '{{}}' FROM jsonb_array_elements('[\"a\"]') {})",
    "UPDATE people SET name = (SELECT ({}).value FROM jsonb_each_text('{\"a\": 1}') {})",
    "UPDATE people SET name = (WITH RECURSIVE r (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 3) SEARCH DEPTH FIRST BY n SET {} SELECT max({}::text) FROM r)",
    "WITH RECURSIVE r (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 3) SEARCH BREADTH FIRST BY n SET {} UPDATE people SET name = {}::text FROM r WHERE n = people.id",
    "WITH RECURSIVE r (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 3) CYCLE n SET {} USING p UPDATE people SET name = 'x' FROM r WHERE n = people.id AND NOT {}",
    "WITH RECURSIVE r (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 3) CYCLE n SET c USING {} UPDATE people SET name = {}::text FROM r WHERE n = people.id",
    "UPDATE people SET name = 'x' FROM ROWS FROM (jsonb_to_recordset('[{\"a\": 1}]') AS (a int, {} text), generate_series(1, 2)) j WHERE a = people.id AND {} IS NULL",
    "UPDATE people SET name = {} FROM ROWS FROM (generate_series(1, 2), unnest(ARRAY['a','b'])) WITH ORDINALITY AS j (n, {}, o) WHERE n = people.id",
    "UPDATE people SET name = {}::text FROM unnest(ARRAY[1,2], ARRAY['a','b']) WITH ORDINALITY AS j (n, m, {}) WHERE {} = people.id",
    "UPDATE people SET name = {}::text FROM (SELECT 1 AS {}) j JOIN (SELECT 1.00 AS {}) k USING ({}) WHERE people.id = {} RETURNING {}, (SELECT {} || 'a')",
    "UPDATE people SET name = {}::text FROM (SELECT 1 AS {}) j LEFT JOIN (SELECT 1.00 AS {}) k USING ({}) WHERE people.id = {} RETURNING {}",
    "UPDATE people SET name = {}::text FROM (SELECT 1.0 AS {}) j RIGHT JOIN (SELECT 1 AS {}) k USING ({}) WHERE people.id = {} RETURNING {}",
    "UPDATE people SET name = {}::text FROM (SELECT 1 AS {}) j FULL JOIN (SELECT 2.00 AS {}) k USING ({}) WHERE people.id = {} RETURNING {}",
    "UPDATE people SET name = 'x' FROM (SELECT 1 AS {}) j JOIN (SELECT 1 AS {}) k USING ({}) AS u WHERE people.id = {} AND u.{} = 1",
    "UPDATE people SET name = 'x' FROM (SELECT 1 AS {}) j JOIN ((SELECT 1 AS {}) k JOIN (SELECT 1 AS {}) l USING ({})) USING ({}) WHERE people.id = {}",
    "UPDATE people SET name = 'x' FROM (SELECT 1 AS {}) j JOIN (SELECT 1 AS {}) k USING ({}) JOIN (SELECT 1 AS {}) l USING ({}) WHERE people.id = {}",
    "UPDATE people SET name = 'x' FROM (SELECT 1 AS {}) j JOIN (SELECT 1 AS {}) k USING ({}) JOIN open ON open.id = {} WHERE people.id = {}",
    "UPDATE people SET name = 'x' FROM (SELECT 1 AS {}) j JOIN (SELECT 1 AS {}) k USING ({}), LATERAL (SELECT {} AS z) l WHERE people.id = z",
    "WITH _u1 AS (SELECT 1 AS a) UPDATE people SET name = 'x' FROM (SELECT 1 AS {}) j JOIN (SELECT 1 AS {}) k USING ({}), _u1 WHERE people.id = {}",
    "DELETE FROM people USING (VALUES (3, 1)) j (id, {}) JOIN (VALUES (3, 1)) k (id, {}) USING (id, {}) WHERE people.id = j.id AND {} = 1",
    "MERGE INTO people t USING (SELECT 9 AS {}) j JOIN (SELECT 9 AS {}) k USING ({}) ON t.id = {} WHEN NOT MATCHED THEN INSERT (id) VALUES ({}) RETURNING {}",
    "WITH x ({}) AS (SELECT 3) DELETE FROM people USING x WHERE people.id = {}",
    "DELETE FROM people USING (SELECT 3 AS {}) j WHERE people.id = {} RETURNING name || {}",
    "DELETE FROM people USING (SELECT 1 AS {}) j WHERE people.id = (SELECT {} FROM open o LIMIT 1)",
    "DELETE FROM people USING (SELECT 3 AS {}) j WHERE people.id = (SELECT {} WHERE j.{} = 3)",
    "DELETE FROM people WHERE id = 3 RETURNING (SELECT max({}) FROM generate_series(1, people.id) {})",
    "MERGE INTO people t USING (SELECT 1 AS {}) s ON t.id = {} WHEN MATCHED THEN UPDATE SET name = {}::text",
    "MERGE INTO people t USING (SELECT 9 AS {}) s ON t.id = {} WHEN NOT MATCHED AND {} > 8 THEN INSERT (id) VALUES ({}) RETURNING {}",
    "MERGE INTO people t USING (SELECT 3 AS {}) s ON t.id = {} WHEN MATCHED AND {} = 3 THEN DELETE RETURNING {}",
    "UPDATE people SET name = (SELECT 'y' AS {} FROM open ORDER BY {} LIMIT 1)",
    "UPDATE people SET name = (SELECT 'y' AS {} FROM open GROUP BY {})",
    "UPDATE people SET name = (SELECT DISTINCT ON ({}) 'y' AS {} FROM open)",
    "UPDATE people SET name = (SELECT 'y' AS {} FROM open GROUP BY GROUPING SETS ((title, {}), ()) LIMIT 1)",
    "UPDATE people SET name = (SELECT name AS {} UNION SELECT name ORDER BY {} LIMIT 1)",
    "UPDATE people SET name = (SELECT {}::text FROM open {} LIMIT 1)",
    "UPDATE people SET name = (SELECT ({}).title FROM open {} LIMIT 1)",
    "UPDATE people SET name = (SELECT row({})::text FROM open {} LIMIT 1)",
    "UPDATE people SET name = (SELECT to_json({})::text FROM (SELECT 1 AS a) {})",
    "UPDATE people SET name = (WITH {} (z) AS (SELECT 'y') SELECT ({}).z FROM {})",
    "UPDATE people SET name = 'x' FROM open {} WHERE {} IS NOT NULL RETURNING {}",
    "UPDATE people {} SET name = 'x' WHERE {}.id = 1 RETURNING {}.id",
    "UPDATE people {} SET name = ({}).name || 'x' WHERE ({}).id = 1 RETURNING ({}).id",
    "MERGE INTO people t USING (SELECT 1 AS a) {} ON t.id = {}.a WHEN MATCHED THEN UPDATE SET name = {}::text RETURNING {}",
    "INSERT INTO open (id, title) SELECT {}, {} FROM generate_series(7, 8) {} RETURNING id",
    "INSERT INTO people (id) SELECT {} FROM generate_series(7, 8) {} RETURNING (SELECT 'x' AS {} ORDER BY {})",
    "INSERT INTO people (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET name = (SELECT {} FROM (SELECT 'y' AS {}) z)",
    "INSERT INTO people (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET name = (SELECT 'y' AS {} FROM open ORDER BY {} LIMIT 1)",
]
# ... whole rows of the written relation: PostgreSQL shows what the app does not have, too.
RIGHT_ROWS = [
    "UPDATE people SET name = 'x' FROM (SELECT 1 AS {}) j JOIN (SELECT 1 AS {}) k USING ({}) WHERE people.id = {} RETURNING *",
    "UPDATE people SET name = 'x' FROM (SELECT 1 AS {}) j JOIN (SELECT 1 AS {}) k USING ({}) AS u WHERE people.id = {} RETURNING *, u.{}",
    "WITH x AS (SELECT 3 AS {}) DELETE FROM people USING x WHERE people.id = {} RETURNING {}, *",
    "UPDATE people {} SET name = 'x' WHERE {}.id = 1 RETURNING {}",
    "UPDATE people {} SET name = 'x' WHERE {} IS DISTINCT FROM NULL",
    "INSERT INTO people AS {} (id) VALUES (300) RETURNING {}",
    "UPDATE people SET name = 'x' WHERE id = 1 RETURNING WITH (OLD AS {}) {}",
]


@pytest.mark.parametrize("hidden", ["card", "names"])
@pytest.mark.parametrize("text", [*RIGHT, *RIGHT_ROWS])
def test_what_is_right_without_the_hidden_column(gateway: Governed, text: str, hidden: str) -> None:
    dsn = gateway.dsn("guesser")
    there = answer(dsn, text, hidden)
    assert there == answer(dsn, text, COLUMNS[hidden])
    assert "done" in there
    if text in RIGHT:
        assert there == answer(gateway.database, text, COLUMNS[hidden])


# z is a temp table: whether it has the column is known to the server only.
OF_TEMP_TABLES = [
    "UPDATE people SET name = 'x' FROM z WHERE id = {} RETURNING {}",
    "UPDATE people SET name = (SELECT max({})::text FROM z)",
    "UPDATE people SET name = (SELECT {}::text FROM z ORDER BY z.{} LIMIT 1)",
    "UPDATE people SET name = 'x' FROM z j, LATERAL (SELECT {} AS b) k WHERE b = people.id",
    "DELETE FROM people USING (SELECT * FROM z) j WHERE people.id = {} + 2",
    "MERGE INTO people t USING z ON t.id = {} WHEN MATCHED AND {} = 1 THEN UPDATE SET name = {}::text",
]


@pytest.mark.parametrize("hidden", ["card", "names"])
@pytest.mark.parametrize("text", OF_TEMP_TABLES)
def test_columns_of_temp_tables(gateway: Governed, text: str, hidden: str) -> None:
    def done(name: str, column: str, dsn: str = gateway.dsn("guesser")) -> str:
        with psycopg.connect(dsn) as connection:
            connection.execute(f"CREATE TEMP TABLE z ({column} int)".encode())
            connection.execute("INSERT INTO z VALUES (1)")
            try:
                return connection.execute(text.replace("{}", name).encode()).statusmessage or ""
            except psycopg.errors.UndefinedColumn as error:
                return str(error).replace(name, "x").replace(" " * len(name), " ")
            finally:
                connection.rollback()

    missing = COLUMNS[hidden]
    assert done(hidden, hidden) == done(missing, missing) == done(missing, missing, gateway.database)
    assert done(hidden, "a") == done(missing, "a")


@pytest.mark.parametrize("hidden", ["card", "names"])
@pytest.mark.parametrize(
    "text",
    [
        "UPDATE people SET name = 'x' FROM open o (id, {}) JOIN open p (id, {}) USING (id) WHERE people.name = {}",
        "UPDATE people SET name = 'x' FROM open o (id, {}), open p (id, {}) WHERE people.name = {}",
        "UPDATE people SET name = 'x' FROM (SELECT 1 AS {}) j JOIN (SELECT 1 AS {}) k USING ({}), (SELECT 1 AS {}) l WHERE people.id = {}",
    ],
)  # fmt: skip
def test_what_is_ambiguous_without_the_hidden_column(gateway: Governed, text: str, hidden: str) -> None:
    there = answer(gateway.dsn("guesser"), text, hidden, source=False)
    assert there == answer(gateway.database, text, COLUMNS[hidden], source=False)
    assert there["SQLSTATE"] == "42702"


FEWER = """
  - {name: names, attributes: [name], action: show, write: allow}
  - {name: some, tables: [public.people], rows: {where: id <= 2}}
"""


@pytest.fixture(scope="module")
def fewer(pg_server: PgServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Governed]:
    """With rows hidden: comparisons are copied."""
    folder, rules = tmp_path_factory.mktemp("guesser_of_rows"), RULES.replace("guesser", "guesser_of_rows")
    rules = rules[: rules.index(" [{name: names")] + FEWER
    with governed(pg_server, folder, "guesser_of_rows", SCHEMA, rules, ["guesser_of_rows"]) as running:
        yield running


@pytest.mark.parametrize("name", ["card", "zqxj"])
@pytest.mark.parametrize(
    "text",
    [
        "DELETE FROM people p USING people q WHERE q.{}=p.name",
        "DELETE FROM people p USING open q WHERE q.{}=p.name",
        "UPDATE people p SET name = 'x' FROM open q WHERE p.name=q.{}",
        "MERGE INTO people p USING open q ON q.{}=p.name WHEN MATCHED THEN DELETE",
    ],
)
def test_the_place_of_a_name_that_is_copied(fewer: Governed, text: str, name: str) -> None:
    there = answer(fewer.dsn("guesser_of_rows"), text, name, source=False)
    assert there == answer(fewer.database, text, "zqxj", source=False)


MASKED = """
  - {name: names, attributes: [name], action: show, write: allow}
  - {name: cards, attributes: [card], action: mask, mask: mail, write: allow}
masks: {mail: {kind: email}}
"""


@pytest.fixture(scope="module")
def masked(pg_server: PgServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Governed]:
    folder, rules = tmp_path_factory.mktemp("guesser_of_masks"), RULES.replace("guesser", "guesser_of_masks")
    rules = rules[: rules.index(" [{name: names")].replace("tall: card", "tall: open") + MASKED
    with governed(pg_server, folder, "guesser_of_masks", SCHEMA, rules, ["guesser_of_masks"]) as running:
        yield running


@pytest.mark.parametrize(
    "text",
    [
        "UPDATE people SET name = (SELECT open.id || people.id::text AS card FROM open ORDER BY card DESC LIMIT 1)",
        "UPDATE people SET name = (SELECT 'q' || people.id AS card FROM open GROUP BY card)",
        "UPDATE people SET name = (SELECT title || card AS card FROM open ORDER BY card LIMIT 1)",
        "UPDATE people SET name = (SELECT card || people.id FROM unnest(ARRAY['q']) r (card))",
        "UPDATE people SET name = (SELECT card || people.id FROM unnest(ARRAY['q']) card)",
        "UPDATE people SET name = (SELECT card || people.id FROM json_table('[1]', '$[*]' COLUMNS (card text PATH '$')) j)",
        "UPDATE people SET name = (SELECT q FROM json_table(to_json(card), '$' COLUMNS (q text PATH '$')) j)",
        "UPDATE people SET name = people.id || card FROM (SELECT 'q'::text card) s",
        "DELETE FROM people USING open s (id, card) WHERE card = 'q'",
        "UPDATE people SET name = 'x' WHERE id = 1 RETURNING (SELECT card FROM (SELECT 'q' card) s)",
    ],
)  # fmt: skip
def test_names_beside_a_masked_column(masked: Governed, text: str) -> None:
    there = answer(masked.dsn("guesser_of_masks"), text, "zqxj", source=False)
    assert there == answer(masked.database, text, "zqxj", source=False)
    assert there.get("SQLSTATE", "42702") == "42702"


@pytest.mark.parametrize(
    "text",
    [
        "UPDATE people SET name = (SELECT b FROM json_table('1', '$' PASSING {} AS a COLUMNS (b text PATH '$a')) q)",
        "DELETE FROM people p WHERE name = (SELECT b FROM json_table('1', '$' PASSING p.{} AS a COLUMNS (b text PATH '$a')) q)",
    ],
)  # fmt: skip
def test_a_masked_column_is_passed_to_json_table_from_a_query(masked: Governed, text: str) -> None:
    there = answer(masked.dsn("guesser_of_masks"), text, "card")
    assert there["SQLSTATE"] == "0A000"  # PostgreSQL's own is an internal error: XX000
    assert "from a sub-query" in there["MESSAGE_HINT"]
    text = text.replace("FROM json_table", "FROM (SELECT {} AS c) s, json_table").replace("PASSING {}", "PASSING s.c")
    text = text.replace("PASSING p.{}", "PASSING s.c")
    assert "done" in answer(masked.dsn("guesser_of_masks"), text, "card")


@pytest.mark.parametrize("hidden", CONSTRAINTS)
@pytest.mark.parametrize("text", [*NAMED, *AMONG_ERRORS, *INDEXES])
def test_a_constraint_or_its_index(gateway: Governed, text: str, hidden: str) -> None:
    dsn = gateway.dsn("guesser")
    there = answer(dsn, text, hidden)
    assert there == answer(dsn, text, CONSTRAINTS[hidden])
    assert there["SQLSTATE"] == ("42704" if "CONSTRAINT" in text else "42P01")


@pytest.mark.parametrize("name", ["nama", "namex"])  # near to a column that is shown, and to a hidden one too
@pytest.mark.parametrize(
    "text",
    [
        "UPDATE people SET name = {}",
        "UPDATE people p SET name = o.title FROM open o WHERE o.{} = 1",
        "INSERT INTO people (id) VALUES ({})",
        "DELETE FROM people WHERE {} = '1'",
    ],
)
def test_nothing_is_guessed_from_hidden_columns(gateway: Governed, text: str, name: str) -> None:
    said = answer(gateway.dsn("guesser"), text, name)
    assert said["SQLSTATE"] == "42703"
    assert "MESSAGE_HINT" not in said


def test_from_others_it_is(gateway: Governed) -> None:
    said = answer(gateway.dsn("guesser"), "SELECT {} FROM people", "namex")
    assert said["MESSAGE_HINT"] == 'Perhaps you meant to reference the column "people.name".'


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 1 FROM people JOIN (SELECT 1 AS {}) g ON true JOIN (SELECT {}) s ON true",
        'SELECT "{}-" FROM people, (SELECT 1 AS {}) g',
        "UPDATE open SET title = s.y FROM people, (SELECT 1 AS {}) g, (SELECT {} AS y) s",
        "UPDATE people SET name = s.y FROM (SELECT 1 AS {}) g, (SELECT {} AS y) s",
        'UPDATE open SET title = "{}-" FROM people, (SELECT 1 AS {}) g',
        "INSERT INTO people (id) SELECT 1 FROM (SELECT 1 AS {}) g, (SELECT {} AS y) s",
    ],
)
def test_no_guess_is_told_by_what_the_app_itself_calls_so(gateway: Governed, text: str) -> None:
    """A hint, or a detail, of a name that is hidden elsewhere: it comes where one of another name does."""
    said = answer(gateway.dsn("guesser"), text, "card")
    assert said == answer(gateway.dsn("guesser"), text, "sort")
    assert said["SQLSTATE"] == "42703"
    if "UPDATE people" not in text and "INSERT INTO people" not in text:
        assert {"MESSAGE_DETAIL", "MESSAGE_HINT"} & said.keys()


def test_no_index_is_looked_into_by_its_number(gateway: Governed) -> None:
    said = answer(gateway.dsn("guesser"), "SELECT information_schema._pg_index_position({}, 3::int2)", "1")
    assert said["SQLSTATE"] == "42501"


def test_a_constraint_that_the_app_has_is_there(gateway: Governed) -> None:
    dsn = gateway.dsn("guesser")
    for text in ("SET CONSTRAINTS {} IMMEDIATE", "INSERT INTO open VALUES (1) ON CONFLICT ON CONSTRAINT {} DO NOTHING"):
        assert answer(dsn, text, "open_once") == answer(gateway.database, text, "open_once")


def test_a_constraint_of_a_temp_table(gateway: Governed) -> None:
    with psycopg.connect(gateway.dsn("guesser"), autocommit=True) as connection:
        connection.execute("CREATE TEMP TABLE t (a int CONSTRAINT once UNIQUE DEFERRABLE)")
        connection.execute("SET CONSTRAINTS pg_temp.once DEFERRED")
        with pytest.raises(psycopg.errors.UndefinedObject) as raised:
            connection.execute("SET CONSTRAINTS once DEFERRED")
        assert raised.value.diag.message_hint == 'Of a temp table it is pg_temp."once".'


@pytest.mark.parametrize(
    ("text", "name"),
    [(text, "zqxj") for text in [*READS, *WRITES, *COPIES] if text not in DIFFERENT and "EXPLAIN" not in text]
    + [(text, "zqxj_oqce") for text in NAMED],
)
def test_the_database_says_the_same(gateway: Governed, text: str, name: str) -> None:
    by_gateway = answer(gateway.dsn("guesser"), text, name, source=False)
    assert by_gateway == answer(gateway.database, text, name, source=False)


def error_of(gateway: Governed, *texts: str) -> dict[str, str]:
    with psycopg.connect(gateway.dsn("guesser"), autocommit=True) as connection:
        connection.execute("BEGIN")
        for text in texts[:-1]:
            connection.execute(text.encode())
        done = connection.pgconn.exec_(texts[-1].encode())
        found = {field.name: done.error_field(field) for field in FIELDS}
        return {field: value.decode() for field, value in found.items() if value is not None}


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["DELETE FROM people WHERE id = 1"], 'update or delete on table "people" violates foreign key constraint "?" on table "?"'),
        (["UPDATE people SET id = 7 WHERE id = 1"], 'update or delete on table "people" violates foreign key constraint "?" on table "?"'),
        (
            ["SET CONSTRAINTS ALL DEFERRED", "DELETE FROM people WHERE id = 1", "COMMIT"],
            'update or delete on table "people" violates foreign key constraint "?" on table "?"',
        ),
        (["INSERT INTO work VALUES (1, 77)"], 'insert or update on table "work" violates foreign key constraint "?"'),
        (["PREPARE p AS INSERT INTO work VALUES (1, 77)", "EXECUTE p"], 'insert or update on table "work" violates foreign key constraint "?"'),
    ],
)  # fmt: skip
def test_a_foreign_key_names_nothing_hidden(gateway: Governed, texts: list[str], message: str) -> None:
    found = error_of(gateway, *texts)
    assert (found["SQLSTATE"], found["MESSAGE_PRIMARY"]) == ("23503", message)
    assert not re.search("payroll|secret_notes|work_place", str(found))
    assert "MESSAGE_DETAIL" not in found


def test_other_foreign_keys_are_named(gateway: Governed) -> None:
    found = error_of(gateway, "INSERT INTO tags VALUES (9, 99)")
    assert found["MESSAGE_PRIMARY"] == 'insert or update on table "tags" violates foreign key constraint "tag_of"'
    assert (found["TABLE_NAME"], found["CONSTRAINT_NAME"]) == ("tags", "tag_of")
    assert found["MESSAGE_DETAIL"] == 'Key (person)=(99) is not present in table "people".'
    deleted = error_of(gateway, "DELETE FROM people WHERE id = 2")
    assert 'constraint "tag_of" on table "tags"' in deleted["MESSAGE_PRIMARY"]


# Errors by the values of rows: PostgreSQL may ask these before the form's own conditions.
CATALOG_ERRORS = [
    "SELECT count(*) FROM pg_attribute WHERE attname = '{}' AND attname::text::int = 1",
    "SELECT count(*) FROM pg_attribute WHERE 1 / (CASE WHEN attname = '{}' THEN 0 ELSE 1 END) = 1",
    "SELECT count(*) FROM pg_attribute WHERE attnum + (CASE WHEN attname = '{}' THEN 32767 ELSE 0 END)::int2 > 0",
    "SELECT count(*) FROM pg_attribute WHERE (SELECT 1 FROM generate_series(1, CASE WHEN attname = '{}' THEN 2 ELSE 1 END)) = 1",
    "SELECT count(*) FROM pg_attribute WHERE (SELECT 1 FROM pg_namespace WHERE attname = '{}') = 1",
    "SELECT count(*) FROM pg_attribute WHERE ARRAY[ARRAY[1], CASE WHEN attname = '{}' THEN '{{}}' ELSE ARRAY[1] END] <> '{{}}'",
    "SELECT count(*) FROM pg_attribute WHERE ARRAY[1] || CASE WHEN attname = '{}' THEN ARRAY[[[1]]] ELSE ARRAY[1] END <> '{{}}'",
    "SELECT count(*) FROM pg_attribute WHERE 'a' ~ (CASE WHEN attname = '{}' THEN '(' ELSE 'a' END)",
    "SELECT count(*) FROM (SELECT attname::text AS attrelid FROM pg_attribute WHERE attname = '{}') x WHERE attrelid::regclass = 1",
    "SELECT count(*) FROM (SELECT attname::text::int AS n FROM pg_attribute WHERE attname = '{}') x WHERE n = 1",
    "WITH x AS (SELECT attname::text::int AS n FROM pg_attribute WHERE attname = '{}') SELECT count(*) FROM x WHERE n = 1",
    "SELECT count(*) FROM pg_attribute, unnest(ARRAY[attname::text]) conrelid WHERE attname = '{}' AND conrelid::regclass = 1",
    "SELECT (SELECT count(*) FROM pg_attribute WHERE attname = '{}' AND attname::text::int = 1)",
    "SELECT 1 UNION ALL SELECT count(*) FROM pg_attribute WHERE attname = '{}' AND attname::text::int = 1",
    "SELECT count(*) FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND attname = '{}' AND attname::text::int = 1",
    "SELECT count(*) FROM pg_attribute GROUP BY attname HAVING attname = '{}' AND attname::text::int = 1",
    "INSERT INTO open (id) SELECT 7 FROM pg_attribute WHERE attname = '{}' AND attname::text::int = 1",
    "SELECT count(*) FROM information_schema.columns WHERE column_name = '{}' AND column_name::text::int = 1",
    "SELECT count(*) FROM pg_attribute WHERE attname = '{}' AND set_config('x.y', 'told', false) = 'x'; SELECT current_setting('x.y', true)",
    "PREPARE s AS SELECT count(*) FROM pg_attribute WHERE attname = '{}' AND attname::text::int = 1",
]  # fmt: skip


@pytest.mark.parametrize("text", CATALOG_ERRORS)
def test_no_error_tells_of_a_row_of_the_catalogs(gateway: Governed, text: str) -> None:
    dsn = gateway.dsn("guesser")
    assert answer(dsn, text, "card") == answer(dsn, text, "zqxj")
    told = answer(gateway.database, text, "card")  # where it is there, there is something to be told
    assert "PREPARE" in text or told != answer(gateway.database, text, "zqxj")


# What raises an error where it is computed: behind a condition on a name it tells whether the name is there.
RAISING = [
    r"attname::text LIKE '%\'",
    r"attname NOT LIKE '%\'",
    r"attname::text NOT ILIKE '%\'",
    r"attname ILIKE '%\'",
    r"attname ~~ '%\'",
    r"attname OPERATOR(pg_catalog.!~~) '%\'",
    r"attname::text ~~* '%\'",
    r"attname::text !~~* '%\\\'",
    r"attname LIKE E'%\\'",
    r"attname LIKE '%\'::text COLLATE @C@",
    r"attname LIKE '%#' ESCAPE '#'",
    r"attname LIKE like_escape('%#', '#')",
    r"attname LIKE ANY (ARRAY['%\'])",
    r"attname LIKE ALL ('{%\\}')",
    r"attname::text COLLATE @C@ LIKE '%\'",
    r"CASE WHEN attnum IS NOT NULL THEN attname LIKE '%\' END",
    r"NOT (attname LIKE '%\' OR attnum IS NULL)",
    r"coalesce(attname LIKE '%\', false)",
    r"EXISTS (SELECT 1 WHERE attname LIKE '%\')",
    "CASE WHEN attnum IS NOT NULL THEN attname ~ '(' END",
    "CASE WHEN attnum IS NOT NULL THEN attname ~ '*' END",
    "CASE WHEN attnum IS NOT NULL THEN attname ~ '^(a|b' END",
    "CASE WHEN attnum IS NOT NULL THEN attname SIMILAR TO '(' END",
    "(CASE WHEN attnum IS NOT NULL THEN ROW(1) ELSE ROW('x'::text) END) = ROW('x'::text)",
    "coalesce(ROW(attnum)) = coalesce(ROW('x'::text))",
    "coalesce(attacl, '{=r/pg_monitor}') < '{=r/pg_monitor}'",
    "'zqwj'::text::regclass IS NULL",
    "current_setting('zq.wj') = 'x'",
    "to_regclass('@') IS NULL",
    "split_part(current_database(), 'x', 0) = 'x'",
    "format_type(1186, 12345) = 'x'",
    "(-1)::information_schema.cardinal_number = 1",
    "'9'::small = 1",
    "(SELECT max(oid) OVER () FROM pg_namespace) > 0",
    "EXISTS (SELECT 1 LIMIT -1)",
    "attname = (SELECT k FROM (SELECT 'x'::text COLLATE @POSIX@ AS k) j)",
    "attname = (SELECT max(k) FROM (SELECT 'x'::text COLLATE @POSIX@ AS k) j)",
    "EXISTS (SELECT 1 FROM (SELECT 'x'::text COLLATE @POSIX@ AS k) j WHERE attname = k)",
    "EXISTS (SELECT 1 FROM odd WHERE nspname < '{=r/pg_monitor}')",
]  # fmt: skip


@pytest.mark.parametrize("condition", RAISING)
def test_no_error_tells_of_a_row_of_the_catalogs_by_what_stands_behind_its_name(
    gateway: Governed, condition: str
) -> None:
    condition = condition.replace("@", '"')
    text = f"SELECT count(*) FROM pg_attribute WHERE CASE WHEN attname = '\0' THEN {condition} END"
    text = text.replace("{", "{{").replace("}", "}}").replace("\0", "{}")
    assert_nothing_told(gateway, text)


PATTERNS = [
    r"SELECT count(*) FROM pg_attribute WHERE attrelid = 'people'::regclass AND attnum = 3 AND attname::text ~ '^{}' AND attname::text LIKE '%\'",
    r"PREPARE s(text) AS SELECT count(*) FROM pg_attribute WHERE CASE WHEN attname = '{}' THEN attname LIKE $1 END; EXECUTE s('%\')",
    "PREPARE s(text) AS SELECT count(*) FROM pg_attribute WHERE CASE WHEN attname = '{}' THEN $1::regclass IS NULL END; EXECUTE s('zqwj')",
    "SELECT count(*) FROM (SELECT attname, attacl AS attacl FROM pg_attribute) a WHERE CASE WHEN attname = '{}' THEN coalesce(attacl, '{{=r/pg_monitor}}') < '{{=r/pg_monitor}}' END",
    r"SELECT count(*) FROM pg_attribute, (SELECT '%\'::text AS adsrc) p WHERE CASE WHEN attname = '{}' THEN attname LIKE adsrc END",
    r"SELECT count(*) FROM information_schema.columns WHERE CASE WHEN column_name = '{}' THEN column_name LIKE '%\' END",
    r"SELECT count(*) FROM pg_class c JOIN pg_attribute a ON attrelid = c.oid AND CASE WHEN attname = '{}' THEN relname LIKE '%\' END",
    r"SELECT count(*) FROM (SELECT attname AS x FROM pg_attribute) a WHERE CASE WHEN x = '{}' THEN x LIKE '%\' END",
    r"WITH a AS (SELECT attname FROM pg_attribute WHERE CASE attname WHEN '{}' THEN attname LIKE '%\' END) SELECT count(*) FROM a",
    r"SELECT count(*) FROM pg_attribute GROUP BY attname HAVING CASE WHEN attname = '{}' THEN attname LIKE '%\' END",
    r"SELECT sum((SELECT count(*) FROM pg_attribute a WHERE a.attrelid = c.oid AND CASE WHEN attname = '{}' THEN attname LIKE '%\' END)) FROM pg_class c",
    "SELECT count(*) FROM pg_sequences, pg_constraint WHERE CASE WHEN conname = '{}_once' THEN conkey[max_value] = 1 END",
    "SELECT count(*) FROM pg_sequences WHERE CASE WHEN sequencename = '{}_numbers' THEN max_value::int4 = 1 END",
]  # fmt: skip


@pytest.mark.parametrize("text", PATTERNS)
def test_no_pattern_tells_of_a_row_of_the_catalogs(gateway: Governed, text: str) -> None:
    assert_nothing_told(gateway, text)


def assert_nothing_told(gateway: Governed, text: str) -> None:
    dsn = gateway.dsn("guesser")
    assert answer(dsn, text, "card") == answer(dsn, text, "zqxj")
    assert answer(gateway.database, text, "card") != answer(gateway.database, text, "zqxj")


def test_no_pattern_tells_of_a_comment(gateway: Governed) -> None:
    text = (
        "SELECT count(*) FROM pg_description WHERE CASE WHEN description = '{}' AND objoid = 'people'::regclass "
        r"THEN description LIKE '%\' END"
    )
    dsn = gateway.dsn("guesser")
    assert answer(dsn, text, "who pays") == answer(dsn, text, "who paid")
    assert answer(gateway.database, text, "who pays") != answer(gateway.database, text, "who paid")


VIEW_ERRORS = [
    "SELECT count(*) FROM catalogued WHERE attname = '{}' AND attname::text::int = 1",
    "SELECT count(*) FROM catalogued WHERE 1 / (CASE WHEN attname = '{}' THEN 0 ELSE 1 END) = 1",
    "SELECT count(*) FROM twice WHERE attname = '{}' AND attname::text::int = 1",
    "SELECT count(*) FROM described WHERE column_name = '{}' AND column_name::text::int = 1",
    "WITH x AS (SELECT attname::text::int AS n FROM twice WHERE attname = '{}') SELECT count(*) FROM x WHERE n = 1",
]


@pytest.mark.parametrize("text", VIEW_ERRORS)
def test_no_error_tells_of_a_row_of_a_view_of_the_catalogs(gateway: Governed, text: str) -> None:
    dsn = gateway.dsn("guesser")
    assert answer(dsn, text, "card") == answer(dsn, text, "zqxj")
    assert answer(gateway.database, text, "card") != answer(gateway.database, text, "zqxj")
    with psycopg.connect(dsn) as connection:  # what the app has is there
        names = connection.execute("SELECT attname FROM catalogued WHERE attrelid = 'people'::regclass AND attnum > 0")
        assert {name for (name,) in names} == {"id", "name"}


@pytest.mark.parametrize(
    "text", ["TABLE annotated", "TABLE over_annotated", "UPDATE annotated SET id = 1", "COPY annotated TO STDOUT"]
)
def test_no_view_names_what_it_reads(gateway: Governed, text: str) -> None:
    said = answer(gateway.dsn("guesser"), text, "zqxj")
    assert said["SQLSTATE"] == "42501"
    assert "secret_notes" not in str(said)
    assert "TABLE" not in text or said["MESSAGE_HINT"].endswith("annotated with its columns in the rules.")


NATURAL = [
    "SELECT 1 FROM people NATURAL JOIN (SELECT 1 AS {}) j",
    "SELECT * FROM people NATURAL JOIN (SELECT 1 AS {}, 1 AS id) j",
    "SELECT people.*, j.{} FROM (SELECT 1 AS {}, 1 AS id) j NATURAL LEFT JOIN people",
    "SELECT {} FROM people NATURAL FULL JOIN (SELECT 'k' AS {}, 9 AS id) j ORDER BY people.id",
    "SELECT count(*) FROM people NATURAL JOIN people q NATURAL JOIN (SELECT 1 AS {}) j",
    "SELECT j FROM (people NATURAL JOIN (SELECT 1 AS {}) k) j",
    "SELECT 1 FROM seen NATURAL JOIN (SELECT 1 AS {}) j",
    "SELECT id FROM people NATURAL JOIN (VALUES (1, '1')) j (id, {}) FOR UPDATE OF people",
    "SELECT people.{} FROM people NATURAL JOIN (SELECT 1 AS {}) j",
    "SELECT 1 FROM people NATURAL JOIN generate_series(1, 2) {}",
    "UPDATE open SET title = j.{} FROM people NATURAL JOIN (SELECT 'k' AS {}) j WHERE people.id = open.id",
    "UPDATE people SET name = q.name FROM people q NATURAL JOIN (SELECT 1 AS {}) j WHERE q.id = people.id RETURNING j.{}",
    "DELETE FROM tags USING people NATURAL JOIN (SELECT 1 AS {}) j WHERE tags.person = people.id",
    "MERGE INTO open o USING (people NATURAL JOIN (SELECT 1 AS {}) j) ON o.id = people.id WHEN MATCHED THEN DELETE",
    "COPY (SELECT * FROM people NATURAL JOIN (SELECT 1 AS {}) j) TO STDOUT",
]


@pytest.mark.parametrize("text", NATURAL)
def test_natural_joins_are_without_hidden_columns(gateway: Governed, text: str) -> None:
    told = answer(gateway.dsn("guesser"), text, "card")
    assert told == answer(gateway.dsn("guesser"), text, "zqxj")
    assert "SQLSTATE" not in told or "people.{}" in text or "SELECT j FROM" in text


def test_no_definition_names_a_hidden_column(gateway: Governed) -> None:
    """Of all relations of the catalogs, in every column: in a database without the column nothing has its name."""

    def told(connection: psycopg.Connection[tuple[object, ...]]) -> set[str]:
        found = set()
        for (catalog,) in catalogs:
            try:
                cursor = connection.execute(f"SELECT * FROM {catalog}")
            except psycopg.errors.InsufficientPrivilege:
                continue
            names = [column.name for column in cursor.description or ()]
            found |= {
                f"{catalog}.{name}"
                for row in cursor.fetchall()
                for name, value in zip(names, row, strict=True)
                if "secretly" in str(value)
            }
        return found

    with (
        psycopg.connect(gateway.dsn("guesser"), autocommit=True) as through,
        psycopg.connect(gateway.database, autocommit=True) as past,
    ):
        for connection in (through, past):  # roles of other tests are valid until infinity
            connection.adapters.register_loader("timestamptz", TextLoader)
        catalogs = past.execute(
            "SELECT c.oid::regclass::text FROM pg_class c WHERE relkind IN ('r', 'v') "
            "AND relnamespace IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace) "
            "AND relname !~ 'numa' ORDER BY 1"  # that needs a machine with it
        ).fetchall()
        assert told(through) == set()
        assert len(told(past)) > 25
        shown = through.execute(
            "SELECT column_name, column_default, generation_expression FROM information_schema.columns "
            "WHERE table_name = 'labelled' AND is_generated || coalesce(column_default, '') <> 'NEVER' ORDER BY 1"
        ).fetchall()
    assert shown == [
        ("loud", None, None),
        ("plain", "'plainly'::text", None),
        ("soft", None, None),
        ("twice", None, "(id * 2)"),
    ]


CONSTRAINT_ERRORS = [
    "SELECT count(*) FROM pg_constraint WHERE conname = '{}' AND conname::text::int = 1",
    "SELECT count(*) FROM pg_constraint WHERE conname = '{}' AND coalesce(conbin::text, 'x')::int = 1",
    "SELECT count(*) FROM pg_constraint WHERE 1 / (CASE WHEN conname = '{}' THEN 0 ELSE 1 END) = 1",
]


@pytest.mark.parametrize("text", CONSTRAINT_ERRORS)
def test_no_error_tells_of_a_constraint(gateway: Governed, text: str) -> None:
    dsn = gateway.dsn("guesser")
    assert answer(dsn, text, "card_once") == answer(dsn, text, "zqxj_oqce")
    assert answer(gateway.database, text, "card_once") != answer(gateway.database, text, "zqxj_oqce")


@pytest.mark.parametrize(
    "relation", ["information_schema.columns", "information_schema.tables", "pg_attribute", "pg_class", "pg_indexes"]
)
@pytest.mark.parametrize("explain", ["EXPLAIN", "EXPLAIN (FORMAT json)", "EXPLAIN ANALYZE"])
def test_no_plan_shows_what_is_kept_out_of_a_catalog(gateway: Governed, relation: str, explain: str) -> None:
    said = answer(gateway.dsn("guesser"), f"{explain} SELECT 1 FROM {relation}", "zqxj")
    assert said["SQLSTATE"] == "42501"
    assert "explain: allow" in said["MESSAGE_HINT"]
