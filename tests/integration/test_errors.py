"""No error and no notice tells what the app may not see, and what it sent itself is still told.

Every hidden value holds the word `hidden`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from proxy.wire.scrub import NOT_SHOWN
from tests.integration.governed import Governed, governed
from tests.servers import PgServer

SCHEMA = """
CREATE TABLE people (id int PRIMARY KEY, name text NOT NULL, card text NOT NULL DEFAULT 'hidden-default', n int,
    span int4range, UNIQUE (card), CHECK (n < 1000), EXCLUDE USING gist (span WITH &&));
INSERT INTO people SELECT i, 'n' || i, 'hidden-' || i, i, int4range(i * 10, i * 10 + 5) FROM generate_series(1, 5) i;
CREATE TABLE payments (id int PRIMARY KEY, card text REFERENCES people (card));
INSERT INTO payments VALUES (1, 'hidden-1');
CREATE TABLE late (id int PRIMARY KEY,
    card text DEFAULT 'hidden-nowhere' REFERENCES people (card) DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE parts (id int, card text DEFAULT 'hidden-part', v text) PARTITION BY LIST (card);
CREATE TABLE parts_one PARTITION OF parts FOR VALUES IN ('hidden-one');
CREATE TABLE needing (id int PRIMARY KEY, card text NOT NULL);
CREATE TABLE loud (id int PRIMARY KEY, card text, v int);
INSERT INTO loud VALUES (1, 'hidden-1', 0);
CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    CASE new.v
        WHEN 1 THEN RAISE EXCEPTION 'saw %', old.card USING DETAIL = old.card, HINT = old.card, CONSTRAINT = 'open_only',
            COLUMN = old.card, TABLE = old.card, DATATYPE = old.card;
        WHEN 2 THEN RAISE EXCEPTION USING MESSAGE = old.card, ERRCODE = '23514';
        WHEN 3 THEN RAISE NOTICE 'noticed %', old.card USING HINT = old.card; RAISE INFO 'fyi';
        WHEN 4 THEN PERFORM old.card::int;
        WHEN 5 THEN EXECUTE format('SELECT %I', old.card);
        WHEN 6 THEN ASSERT false, old.card;
        WHEN 7 THEN RAISE EXCEPTION 'the order is closed';
        WHEN 8 THEN PERFORM ('{"' || old.card || '}')::json;
        ELSE NULL;
    END CASE;
    RETURN new;
END $$;
CREATE TRIGGER shouts BEFORE UPDATE ON loud FOR EACH ROW EXECUTE FUNCTION shout();
CREATE FUNCTION shout_later() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'later %', new.card; END $$;
CREATE CONSTRAINT TRIGGER shouts_later AFTER UPDATE ON loud DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (new.v = 9)
    EXECUTE FUNCTION shout_later();
CREATE TABLE lone (id int PRIMARY KEY, note text, CHECK (id < 1000));
CREATE FUNCTION from_lone() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF new.id = 1 THEN
        RAISE EXCEPTION 'one is %', (SELECT max(card) FROM people) USING SCHEMA = 'public', TABLE = 'lone';
    END IF;
    RETURN new;
END $$;
CREATE TRIGGER tells BEFORE INSERT ON lone FOR EACH ROW EXECUTE FUNCTION from_lone();
GRANT ALL ON ALL TABLES IN SCHEMA public TO PUBLIC;
"""
TABLES = ("people", "payments", "late", "parts", "needing", "loud", "lone")
COLUMNS = {
    "people": "id: open, name: open, card: card, n: open, span: open",
    "parts": "id: open, card: card, v: open",
    "loud": "id: open, card: card, v: open",
    "lone": "id: open, note: open",
}
RULES = f"""
version: 1
attributes: {{card: {{label: Card}}}}
tables:
{chr(10).join(f"  public.{t}: {{columns: {{{COLUMNS.get(t, 'id: open, card: card')}}}}}" for t in TABLES)}
apps:
  dropper: {{kind: internal, purpose: tests, logins: [dropper]}}
  masker: {{kind: internal, purpose: tests, logins: [masker]}}
  rower: {{kind: internal, purpose: tests, logins: [rower]}}
policies:
  - {{name: dropped, apps: [dropper], attributes: [card], action: drop}}
  - {{name: masked, apps: [masker], attributes: [card], action: mask, mask: "null", write: allow}}
  - {{name: shown, attributes: all, action: show, write: allow}}
  - {{name: rows, apps: [rower], tables: [public.people, public.payments], rows: {{where: "id > 100"}}}}
"""


@pytest.fixture(scope="module", params=["pg_server", "pg15_server"])
def gateway(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Governed]:
    server: PgServer = request.getfixturevalue(request.param)
    with governed(
        server, tmp_path_factory.mktemp("errors"), "errors", SCHEMA, RULES, ["dropper", "masker", "rower"]
    ) as running:
        yield running


def told(diagnostic: Any) -> dict[str, str]:
    """All that an error or notice says, by the names of psycopg."""
    names = """sqlstate message_primary message_detail message_hint context internal_query schema_name table_name
        column_name datatype_name constraint_name""".split()
    return {name: value for name in names if (value := getattr(diagnostic, name)) is not None}


def fails(gateway: Governed, app: str, *texts: str, lines: str | None = None) -> dict[str, str]:
    """Runs the texts in one transaction; what the error of the last one tells."""
    with gateway.connect(app, prepare_threshold=None) as connection:
        connection.execute("BEGIN")
        for text in texts[:-1]:
            connection.execute(text.encode())
        with pytest.raises(psycopg.Error) as raised:
            _run(connection, texts[-1], lines)
    return told(raised.value.diag)


def _run(connection: psycopg.Connection[Any], text: str, lines: str | None) -> None:
    if lines is None:
        connection.execute(text.encode())
        return
    with connection.cursor().copy(text.encode()) as copy:
        copy.write(lines)


ATTACKS: list[tuple[str, tuple[str, ...], str]] = [
    ("23514", ("INSERT INTO people (id, name, n) VALUES (9, 'x', 1000)",), "violates check constraint"),
    ("23502", ("INSERT INTO people (id) VALUES (9)",), 'null value in column "name"'),
    ("23505", ("UPDATE people SET id = 5 WHERE id = 1",), 'unique constraint "people_pkey"'),
    ("23P01", ("UPDATE people SET span = '[20,22)' WHERE id = 1",), 'exclusion constraint "people_span_excl"'),
    ("23503", ("DELETE FROM people WHERE id = 1",), 'foreign key constraint "payments_card_fkey"'),
    ("23514", ("INSERT INTO parts (id) VALUES (1)",), "no partition of relation"),
    ("23502", ("INSERT INTO needing (id) VALUES (1)",), "null value in column"),
    ("P0001", ("UPDATE loud SET v = 1",), "saw ?"),
    ("23514", ("UPDATE loud SET v = 2",), NOT_SHOWN),
    ("22P02", ("UPDATE loud SET v = 4",), 'invalid input syntax for type integer: "?"'),
    ("42703", ("UPDATE loud SET v = 5",), 'column "?" does not exist'),
    ("P0004", ("UPDATE loud SET v = 6",), NOT_SHOWN),
    ("P0001", ("UPDATE loud SET v = 7",), "the order is closed"),
    ("22P02", ("UPDATE loud SET v = 8",), "invalid input syntax for type json"),
    ("P0001", ("INSERT INTO lone VALUES (1)",), "one is ?"),
    # a statement that runs another one, or what waits for the transaction's end
    ("23514", ("PREPARE p AS INSERT INTO people (id, name, n) VALUES (9, 'x', $1)", "EXECUTE p (1000)"), "check"),
    ("P0001", ("PREPARE p AS UPDATE loud SET v = $1", "EXECUTE p (1)"), "saw ?"),
    ("23503", ("INSERT INTO late (id) VALUES (1)", "COMMIT"), "late_card_fkey"),
    ("23503", ("INSERT INTO late (id) VALUES (1)", "SET CONSTRAINTS ALL IMMEDIATE"), "late_card_fkey"),
    ("P0001", ("UPDATE loud SET v = 9", "COMMIT"), "later ?"),
    ("P0001", ("UPDATE loud SET v = 9", "SAVEPOINT s", "SET CONSTRAINTS ALL IMMEDIATE"), "later ?"),
]  # fmt: skip


@pytest.mark.parametrize(("sqlstate", "texts", "says"), ATTACKS, ids=lambda value: str(value)[:60])
@pytest.mark.parametrize("app", ["dropper", "masker"])
def test_errors_tell_nothing_hidden(
    gateway: Governed, app: str, sqlstate: str, texts: tuple[str, ...], says: str
) -> None:
    error = fails(gateway, app, *texts)
    assert "hidden" not in str(error)
    assert error["sqlstate"] == sqlstate
    if app == "dropper" and sqlstate == "23503":  # the key does not exist for it, and has no name
        says = 'foreign key constraint "?"'
    assert says in error["message_primary"]
    if app == "dropper":
        assert "card" not in str({**error, "message_primary": "", "constraint_name": ""})


def test_a_constraint_that_a_trigger_names_stays(gateway: Governed) -> None:
    assert fails(gateway, "masker", "UPDATE loud SET v = 1")["constraint_name"] == "open_only"


def test_notices_of_triggers_tell_nothing_hidden(gateway: Governed) -> None:
    notices: list[dict[str, str]] = []
    with gateway.connect("dropper") as connection:
        connection.add_notice_handler(lambda diagnostic: notices.append(told(diagnostic)))
        connection.execute("UPDATE loud SET v = 3")
    assert [notice["message_primary"] for notice in notices] == ["noticed ?", "fyi"]
    assert "hidden" not in str(notices)


@pytest.mark.parametrize(
    "text",
    [
        "UPDATE people SET name = car",
        "DELETE FROM people WHERE cards = 'x'",
        "INSERT INTO people (id, name) VALUES (9, 'x') RETURNING car",
        "SELECT p.car FROM people p",
    ],
)
def test_hints_do_not_name_what_does_not_exist(gateway: Governed, text: str) -> None:
    assert "people.card" not in str(fails(gateway, "dropper", text))


def test_rows_that_are_hidden_are_not_told_of(gateway: Governed) -> None:
    for text in (
        "INSERT INTO people (id, name) VALUES (1, 'x')",
        "INSERT INTO people (id, name, n) VALUES (9, 'x', 1000)",
    ):
        assert "hidden" not in str(fails(gateway, "rower", text))


def test_what_the_app_sent_is_told(gateway: Governed) -> None:
    wrong = fails(gateway, "masker", "SELECT id FROM people WHERE n = 'seven'")
    assert wrong["message_primary"] == 'invalid input syntax for type integer: "seven"'
    json = fails(gateway, "masker", """SELECT '{"a": wrong'::json, card FROM people""")
    assert "wrong" in json["message_detail"]
    line = fails(gateway, "dropper", "COPY people (id, name) FROM STDIN", lines="8\tx\nnine\ty\n")
    assert line["message_primary"] == 'invalid input syntax for type integer: "nine"'
    assert line["context"] == 'COPY people, line 2, column id: "nine"'
    null = fails(gateway, "dropper", "COPY people (id, name) FROM STDIN", lines="8\t\\N\n")
    assert null["context"] == 'COPY people, line 1: "8\t\\N"'
    assert "message_detail" not in null
    lone = fails(gateway, "dropper", "INSERT INTO lone VALUES (1000, 'n')")
    assert lone["message_detail"] == "Failing row contains (1000, n)."


def test_the_audit_log_holds_no_value_that_a_trigger_raised(gateway: Governed) -> None:
    fails(gateway, "masker", "UPDATE loud SET v = 1")
    fails(gateway, "masker", "UPDATE loud SET v = 2")
    messages = [record["message"] for record in gateway.records() if "message" in record]
    assert "saw ?" in messages, set(messages)
    assert not [message for message in messages if "hidden" in message]
