"""The unified profile through the gateway: what each app sees in it is what it sees in the tables."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from random import Random
from typing import Any

import asyncpg
import psycopg
import pytest
import sqlalchemy

from proxy.catalog.introspect import take_snapshot
from proxy.catalog.model import SearchPath
from proxy.consent import ledger
from proxy.policy.compile import compile_rules
from proxy.policy.load import load_rules
from proxy.profile import relation, shape
from proxy.rewrite.plan import Planner
from tests.integration.governed import Governed, governed
from tests.servers import PgServer

SCHEMA = """
CREATE TABLE customers (id bigint PRIMARY KEY, name text, email varchar(80) UNIQUE, phone text, note text);
CREATE TABLE details (customer_id bigint PRIMARY KEY REFERENCES customers, nick text UNIQUE, email text, street text,
                      city text);
CREATE TABLE cards (customer_id bigint NOT NULL REFERENCES customers, number text, bank text, seen date NOT NULL);
CREATE INDEX ON cards (customer_id, seen);
CREATE TABLE orders (id int PRIMARY KEY, customer_id bigint REFERENCES customers, placed date NOT NULL, secret text);
CREATE INDEX ON orders (customer_id);
CREATE TABLE items (order_id int REFERENCES orders, sku text, price numeric);
CREATE INDEX ON items (order_id);
INSERT INTO customers SELECT n, 'name-' || n, 'mail-' || n, 'phone-' || n, 'note-' || n FROM generate_series(1, 2000) n;
UPDATE customers SET email = NULL WHERE id = 3;
INSERT INTO details SELECT n, 'nick-' || n, 'other-' || n, 'street-' || n, 'city-' || n
    FROM generate_series(1, 2000) n WHERE n <> 2;
INSERT INTO cards SELECT n, 'card-' || n || '-' || k, 'bank-' || k, date '2020-01-01' + k
    FROM generate_series(1, 2000) n, generate_series(1, 3) k WHERE n <> 2;
INSERT INTO orders SELECT n * 10 + k, n, date '2021-01-01' + k, 'secret-' || n
    FROM generate_series(1, 2000) n, generate_series(1, 2) k;
CREATE TABLE calls (customer_id bigint REFERENCES customers, at timestamptz NOT NULL, what text);
CREATE INDEX ON calls (customer_id);
INSERT INTO calls SELECT n, '2026-01-01 00:00+00'::timestamptz + k * interval '1 day', 'call-' || k
    FROM generate_series(1, 2000) n, generate_series(1, 3) k;
INSERT INTO items SELECT id, 'sku-' || id, 9.5 FROM orders;
ANALYZE;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO PUBLIC;
"""
RULES = """version: 1
attributes: {name: {}, email: {}, phone: {}, note: {}, nick: {}, address: {}, card: {}, visits: {}, goods: {}, key: {},
             topic: {}, letters: {}, talks: {}}
tables:
  public.customers: {subject: id, columns: {id: key, name: name, email: email, phone: phone, note: note}}
  public.details:
    subject: customer_id
    columns: {customer_id: key, nick: nick, email: email, street: address, city: address}
  public.cards: {subject: customer_id, columns: {customer_id: key, number: card, bank: card, seen: open}}
  public.orders: {subject: customer_id, columns: {id: open, customer_id: key, placed: visits, secret: visits}}
  public.items: {subject: {column: order_id, references: public.orders.id}, columns: {order_id: open, sku: goods, price: goods}}
  public.calls: {subject: customer_id, columns: {customer_id: key, at: open, what: talks}}
apps:
  prall: {logins: [prall]}
  prmail: {logins: [prmail], kind: partner}
  prcode: {logins: [prcode]}
  prrows: {logins: [prrows], explain: allow}
  prblind: {logins: [prblind]}
  prnone: {logins: [prnone]}
policies:
  - {name: notes are not touched, attributes: [note], except_apps: [prall], action: deny}
  - {name: everything, apps: [prall], attributes: all, action: show, write: allow}
  - {name: secrets, columns: [public.orders.secret], action: drop}
  - {name: calls are not, apps: [prrows], columns: [public.calls.what], action: drop}
  - {name: talks by consent, apps: [prmail], attributes: [talks], action: show, consent: opt_in}
  - {name: cards, apps: [prmail], columns: [public.cards.number], action: mask, mask: {kind: first, characters: 4}}
  - {name: by consent, apps: [prmail], attributes: [email], action: show, consent: opt_in}
  - {name: the key, apps: [prmail, prrows], attributes: [key], action: show}
  - {name: a code, apps: [prcode], attributes: [key], action: mask, mask: {kind: pseudonym}}
  - {name: all zeros, apps: [prblind], attributes: [key], action: mask, mask: redact}
  - {name: the rest, apps: [prmail, prcode, prrows, prblind], attributes: [name, card, visits, goods, nick, address, topic, talks],
     action: show}
  - {name: those who agreed, apps: [prrows], tables: [public.customers], rows: {consent: [email]}}
  - {name: recent, apps: [prrows], tables: [public.orders], rows: {where: "placed > '2021-01-02'::date"}}
sources:
  letters:
    subject: customer
    key: number
    fields: {mail: email, topic: topic}
    lists:
      letters: {fields: [title, sent], order_by: sent}
      talks: {fields: [day, text], order_by: day}
profile:
  subject: public.customers.id
  columns:
    email: [public.customers.email, public.details.email, sources]
    address: {from: public.details, columns: [street, city]}
  lists:
    card: {from: public.cards, columns: [number, bank, seen], order_by: seen, limit: 2}
    visits: {from: public.orders, columns: [placed, secret], order_by: placed}
    goods: {from: public.items, columns: [sku, price], order_by: sku, limit: 5}
    talks: {from: public.calls, columns: [at, what], order_by: at, limit: 4}
"""
DATA = """
CREATE VIEW own_view AS SELECT subject, topic FROM consentry.profile_data;
GRANT ALL ON own_view TO PUBLIC;
CREATE VIEW parts AS SELECT subject, email, card, upper(topic) AS topic, name, phone, talks FROM consentry.profile p;
CREATE VIEW reached AS SELECT subject, name FROM consentry.profile WHERE phone IS NOT NULL;
GRANT SELECT ON parts, reached TO PUBLIC;
INSERT INTO consentry.profile_data (subject, email, topic, letters)
SELECT n, 'letter-' || n, 'topic-' || n, '[{"title": "first"}]' FROM generate_series(2, 2000, 2) n;
INSERT INTO consentry.profile_data (subject, talks) VALUES
    (1, '[{"day": "2026-01-03T12:00:00+00:00", "text": "a"}, {"day": "2026-01-02", "text": "b"}, {"day": null, "text": "c"}]'),
    (3, '{"day": "none"}'), (5, '[1, "x", null]'), (7, '[{"day": "2026-02-01", "text": "d"}]')
"""
APPS = ["prall", "prmail", "prcode", "prrows", "prblind", "prnone"]
GIVEN = [
    ("prmail", "email", 1),
    ("prmail", "email", 3),
    ("prrows", "email", 1),
    ("prrows", "email", 7),
    ("prmail", "talks", 1),
]


@pytest.fixture(scope="module", params=["pg_server", "pg15_server"])
def gateway(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Governed]:
    server: PgServer = request.getfixturevalue(request.param)
    folder = tmp_path_factory.mktemp("profile")
    with governed(server, folder, "profile", SCHEMA, RULES, APPS) as running:
        with psycopg.connect(running.database, autocommit=True) as connection:
            connection.execute(DATA)
        assert running.call(running.gateway.reload)
        for app, attribute, subject in GIVEN:
            running.give("grant", subject, app, attribute)
        yield running


def ask(gateway: Governed, login: str, query: str, *values: Any) -> list[tuple[Any, ...]]:
    with gateway.connect(login) as connection:
        return connection.execute(query, values or None).fetchall()


def columns(gateway: Governed, login: str) -> list[str]:
    with gateway.connect(login) as connection:
        described = connection.execute("SELECT * FROM consentry.profile LIMIT 0").description
        return [column.name for column in described or ()]


def test_one_row_a_customer_one_column_an_attribute(gateway: Governed) -> None:
    query = "SELECT * FROM consentry.profile WHERE subject = 1"
    ((subject, name, email, phone, note, nick, address, card, visits, goods, topic, letters, _),) = ask(
        gateway, "prall", query
    )
    assert (subject, name, email, phone, note, nick) == (1, "name-1", "mail-1", "phone-1", "note-1", "nick-1")
    assert address == {"street": "street-1", "city": "city-1"}
    assert [one["number"] for one in card] == ["card-1-3", "card-1-2"]
    assert card[0] == {"number": "card-1-3", "bank": "bank-3", "seen": "2020-01-04"}
    assert [one["placed"] for one in visits] == ["2021-01-03", "2021-01-02"]
    assert goods == [{"sku": "sku-12", "price": 9.5}, {"sku": "sku-11", "price": 9.5}]
    assert (topic, letters) == (None, None)
    assert ask(gateway, "prall", "SELECT count(*), count(DISTINCT subject) FROM consentry.profile") == [(2000, 2000)]


def test_precedence_and_what_is_not_there(gateway: Governed) -> None:
    query = "SELECT email, nick, address, card FROM consentry.profile WHERE subject IN (2, 3) ORDER BY subject"
    second, third = ask(gateway, "prall", query)
    assert second == ("mail-2", None, None, [])
    assert third[0] == "other-3"


@pytest.mark.parametrize("login", ["prall", "prmail"])
def test_who_is_found_by_a_value_is_who_has_it(gateway: Governed, login: str) -> None:
    """Of an attribute that two tables and sources give, each app among the values that it has."""
    query = "SELECT name, email, card FROM consentry.profile"
    tried = [f"{word}-{n}" for word in ("mail", "other", "letter") for n in range(1, 12)] + ["", "nobody"]
    with gateway.connect(login) as connection:
        everybody = sorted(connection.execute(query).fetchall(), key=repr)
        for mail in tried:
            found = connection.execute(f"{query} WHERE email = %s", [mail]).fetchall()
            assert sorted(found, key=repr) == [row for row in everybody if row[1] == mail], mail
        found = connection.execute(f"{query} WHERE email = ANY (%s)", [tried]).fetchall()
        assert sorted(found, key=repr) == [row for row in everybody if row[1] in tried]
    assert found


def test_what_other_sources_say(gateway: Governed) -> None:
    query = "SELECT email, topic, letters FROM consentry.profile WHERE subject = 4"
    assert ask(gateway, "prall", query) == [("mail-4", "topic-4", [{"title": "first"}])]
    query = "SELECT subject, email, topic FROM consentry.profile WHERE topic = 'topic-4'"
    assert ask(gateway, "prmail", query) == [(4, None, "topic-4")]
    query = "SELECT subject, topic FROM consentry.profile WHERE topic IS NOT NULL"
    assert ask(gateway, "prrows", query) == []  # of 1 and 7, whom it knows, the source has nothing


def test_a_list_of_a_table_and_of_sources_is_one(gateway: Governed) -> None:
    """Newest first, as many as the limit says; an app has the part that its rules give it."""
    calls = [{"at": f"2026-01-0{day}T00:00:00+00:00", "what": f"call-{day - 1}"} for day in (4, 3, 2)]
    a, b = {"day": "2026-01-03T12:00:00+00:00", "text": "a"}, {"day": "2026-01-02", "text": "b"}
    query = "SELECT talks FROM consentry.profile WHERE subject = "
    with gateway.connect("prall") as connection:
        for zone in ("UTC", "Asia/Tokyo"):  # the order is that of the moments, wherever somebody is
            connection.execute(f"SET timezone = '{zone}'")
            found = [one.get("what") or one["text"] for one in connection.execute(query + "1").fetchall()[0][0]]
            assert found == ["call-3", "a", "call-2", "call-1"]
    with gateway.connect("prmail") as connection:
        connection.execute("SET timezone = 'UTC'")
        assert connection.execute(query + "1").fetchall() == [([calls[0], a, *calls[1:]],)]
        assert [one[0][0]["what"] for one in connection.execute(query + "5").fetchall()] == [None]
    assert ask(gateway, "prrows", query + "1") == [([a, b, {"day": None, "text": "c"}],)]
    assert ask(gateway, "prrows", query + "7") == [([{"day": "2026-02-01", "text": "d"}],)]
    assert [one.get("what") for one in ask(gateway, "prall", query + "3")[0][0]] == ["call-3", "call-2", "call-1"]
    assert ask(gateway, "prall", query + "5")[0][0][3:] == [1]
    with gateway.connect("prmail") as connection:
        connection.execute("SET timezone = 'UTC'")
        assert connection.execute(query + "4").fetchall()[0][0] == [{**one, "what": None} for one in calls]


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM consentry.profile_data",
        "SELECT topic FROM consentry.profile p, consentry.profile_data",
        "SELECT (SELECT max(topic) FROM consentry.profile_data)",
        "TABLE consentry.profile_data",
        "COPY consentry.profile_data TO STDOUT",
        "COPY (SELECT 1 FROM consentry.profile_data) TO STDOUT",
        "UPDATE consentry.profile_data SET topic = 'x'",
        "DELETE FROM consentry.profile_data",
        "INSERT INTO consentry.profile_data (subject) VALUES (9999)",
        "SELECT * FROM consentry.profile_values",
        "SELECT * FROM consentry.profile_records",
        "CREATE TEMP TABLE mine (LIKE consentry.profile_data)",
        "SELECT d.topic FROM own_view d",
        "UPDATE own_view SET topic = 'x'",
    ],
)
@pytest.mark.parametrize("login", ["prall", "prrows"])
def test_what_other_sources_say_is_in_the_profile_alone(gateway: Governed, login: str, statement: str) -> None:
    """Beside it there would be those who do not exist for the app."""
    with gateway.connect(login) as connection, pytest.raises(psycopg.Error) as caught:
        connection.execute(statement)
    assert caught.value.sqlstate in ("42501", "42P01", "0A000"), caught.value
    assert ask(gateway, login, "SELECT count(*) FROM pg_class WHERE relname ~ '^profile_'") == [(0,)]


def test_each_app_has_the_columns_of_its_rules(gateway: Governed) -> None:
    every = [
        *(
            "subject",
            "name",
            "email",
            "phone",
            "note",
            "nick",
            "address",
            "card",
            "visits",
            "goods",
            "topic",
            "letters",
            "talks",
        )
    ]
    assert columns(gateway, "prall") == every
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="note"):
        columns(gateway, "prmail")
    query = """SELECT attname::text FROM pg_attribute WHERE attrelid = 'consentry.profile'::regclass AND attnum > 0
               ORDER BY attnum"""
    hidden = {
        "prmail": {"phone", "letters"},
        "prrows": {"phone", "email", "letters"},
        "prcode": {"phone", "email", "letters"},
    }
    for app, gone in hidden.items():
        assert [name for (name,) in ask(gateway, app, query)] == [name for name in every if name not in gone]
        for name in gone:
            with pytest.raises(psycopg.errors.UndefinedColumn):
                ask(gateway, app, f"SELECT {name} FROM consentry.profile")


def test_what_is_dropped_masked_or_under_consent_is_so_in_the_profile(gateway: Governed) -> None:
    query = "SELECT email, card -> 0, visits -> 0 FROM consentry.profile WHERE subject <= 3 ORDER BY subject"
    first, second, third = ask(gateway, "prmail", query)
    assert first == (
        "mail-1",
        {"number": "card", "bank": "bank-3", "seen": "2020-01-04"},
        {"placed": "2021-01-03"},
    )
    assert second[0] is None
    assert third[0] == "other-3"
    assert "secret" not in repr(ask(gateway, "prmail", "SELECT visits FROM consentry.profile"))


def test_rows_that_do_not_exist_are_not_in_it(gateway: Governed) -> None:
    query = "SELECT subject, visits FROM consentry.profile ORDER BY 1"
    assert ask(gateway, "prrows", query) == [(n, [{"placed": "2021-01-03"}]) for n in (1, 7)]
    assert ask(gateway, "prrows", "SELECT name FROM consentry.profile WHERE subject = 7") == [("name-7",)]
    assert ask(gateway, "prrows", "SELECT name FROM consentry.profile WHERE subject = 8") == []
    assert ask(gateway, "prrows", "SELECT count(*) FROM consentry.profile WHERE name ~ 'name'") == [(2,)]


def test_keys_that_are_codes_lead_to_the_rows_those_that_are_not_do_not(gateway: Governed) -> None:
    query = "SELECT subject, name, card -> 0 ->> 'number', nick FROM consentry.profile WHERE name = 'name-5'"
    ((subject, *rest),) = ask(gateway, "prcode", query)
    assert subject == ask(gateway, "prcode", "SELECT id FROM customers WHERE name = 'name-5'")[0][0]
    assert rest == ["name-5", "card-5-3", "nick-5"]
    # every key is 0 for it: there is no telling whose card it is
    with pytest.raises(psycopg.errors.UndefinedColumn):
        ask(gateway, "prblind", "SELECT card FROM consentry.profile")
    assert ask(gateway, "prblind", "SELECT count(name), max(subject) FROM consentry.profile") == [(2000, 0)]


def test_an_app_without_any_attribute_does_not_have_it(gateway: Governed) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege) as caught:
        ask(gateway, "prnone", "SELECT 1 FROM consentry.profile")
    assert "nothing" in (caught.value.diag.message_hint or "")
    assert ask(gateway, "prnone", "SELECT count(*) FROM pg_class WHERE relname = 'profile'") == [(0,)]


def test_it_joins_pages_and_is_prepared(gateway: Governed) -> None:
    query = "SELECT p.name, o.id FROM consentry.profile p JOIN orders o ON o.customer_id = p.subject WHERE o.id = 52"
    assert ask(gateway, "prmail", query) == [("name-5", 52)]
    with gateway.connect("prmail") as connection:
        for page in range(4):
            query = "SELECT subject FROM consentry.profile ORDER BY name, subject LIMIT %s OFFSET %s"
            found = connection.execute(query, (3, page * 3), prepare=True).fetchall()
            expected = connection.execute("SELECT id FROM customers ORDER BY name, id LIMIT 3 OFFSET %s", (page * 3,))
            assert found == expected.fetchall()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE consentry.profile SET name = 'x' WHERE subject = 1",
        "DELETE FROM consentry.profile",
        "INSERT INTO consentry.profile (subject) VALUES (1)",
        "MERGE INTO consentry.profile p USING customers c ON c.id = p.subject WHEN MATCHED THEN DELETE",
        "COPY consentry.profile (subject) FROM STDIN",
        "TRUNCATE consentry.profile",
        "CREATE OR REPLACE VIEW consentry.profile AS SELECT 1",
        "DROP VIEW consentry.profile",
        "ALTER VIEW consentry.profile SET (security_barrier)",
    ],
)
@pytest.mark.parametrize("login", ["prall", "prmail"])
def test_it_is_not_written(gateway: Governed, login: str, statement: str) -> None:
    with (
        pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.FeatureNotSupported)),
        gateway.connect(login) as connection,
    ):
        connection.execute(statement)


SCANNED = r"Seq Scan on (?!state_|spans_)"  # these are the ledger's, and small here: to read all of one is right


def plan(gateway: Governed, login: str, query: str) -> str:
    """The plan of what the gateway sends, or of the query itself on the bare view (login `postgres`)."""
    text = query
    if login != "postgres":
        generation = gateway.databases[0].generation
        planned = Planner(generation.rules.apps[login], generation.rules, generation.snapshot).plan(
            query.encode(), SearchPath(("pg_catalog", "public"))
        )
        assert planned.refusal is None, planned.refusal
        text = planned.text.decode()
    with psycopg.connect(gateway.database, autocommit=True) as connection:
        connection.execute("SET search_path = pg_catalog, public")
        return "\n".join(line for (line,) in connection.execute("EXPLAIN " + text).fetchall())


@pytest.mark.parametrize("login", ["postgres", "prall", "prmail"])
def test_only_what_is_asked_for_is_computed(gateway: Governed, login: str) -> None:
    found = plan(gateway, login, "SELECT name FROM consentry.profile")
    assert "customers" in found
    assert not any(
        name in found for name in ("details", "cards", "orders", "items", "calls", "_data", "state_", "spans_")
    ), found
    found = plan(gateway, login, "SELECT name, nick FROM consentry.profile")
    assert "details" in found
    assert not any(name in found for name in ("cards", "orders", "items")), found


@pytest.mark.parametrize("login", ["postgres", "prall", "prmail"])
def test_a_look_up_by_the_key_is_one_in_each_table(gateway: Governed, login: str) -> None:
    names = "name, email, nick, address, card, visits, goods, topic, talks"
    found = plan(gateway, login, f"SELECT {names} FROM consentry.profile WHERE subject = 7")
    assert not re.search(SCANNED, found), found


@pytest.mark.parametrize("login", ["postgres", "prall", "prmail"])
def test_a_look_up_by_an_attribute_with_an_index_uses_it(gateway: Governed, login: str) -> None:
    found = plan(gateway, login, "SELECT name, card FROM consentry.profile WHERE nick = 'nick-7'")
    assert "details_nick_key" in found
    assert not re.search(SCANNED, found), found


def test_psql_describes_it(gateway: Governed) -> None:
    run = subprocess.run(
        ["psql", gateway.dsn("prmail"), "-X", "-c", "\\d consentry.profile"], capture_output=True, text=True, check=True
    )
    assert 'View "consentry.profile"' in run.stdout
    assert "goods" in run.stdout
    assert "phone" not in run.stdout


def test_sqlalchemy_reflects_it(gateway: Governed) -> None:
    engine = sqlalchemy.create_engine(
        "postgresql+psycopg://", creator=lambda: gateway.connect("prmail"), poolclass=sqlalchemy.pool.NullPool
    )
    table = sqlalchemy.Table("profile", sqlalchemy.MetaData(), schema="consentry", autoload_with=engine)
    assert "phone" not in table.c
    with engine.connect() as connection:
        query = sqlalchemy.select(table.c.name, table.c.visits).where(table.c.subject == 4)
        assert connection.execute(query).one() == ("name-4", [{"placed": "2021-01-03"}, {"placed": "2021-01-02"}])


def test_rules_that_ask_for_other_columns_are_taken_when_the_view_is_made_anew(gateway: Governed) -> None:
    """Until then it is read by its own definition, governed as any view."""
    before, text = columns(gateway, "prall"), gateway.text
    gateway.text = text.replace("    address: {from: public.details, columns: [street, city]}\n", "").replace(
        "  columns:\n    email", "  except_attributes: [address]\n  columns:\n    email"
    )
    try:
        assert gateway.call(gateway.gateway.reload)
        assert columns(gateway, "prall") == before
        assert ask(gateway, "prmail", "SELECT name FROM consentry.profile WHERE subject = 1") == [("name-1",)]
        with pytest.raises(psycopg.errors.UndefinedColumn):
            ask(gateway, "prmail", "SELECT phone FROM consentry.profile")
    finally:
        gateway.text = text
        assert gateway.call(gateway.gateway.reload)


async def test_a_source_whose_type_changes_takes_the_view_along(pg_server: PgServer) -> None:
    dsn = pg_server.create_database("profile_shape", "CREATE TABLE public.people (id int PRIMARY KEY, name text)")
    text = """version: 1
attributes: {name: {}, age: {}}
tables: {public.people: {subject: id, columns: {id: open, name: name}}}
sources: {club: {subject: id, fields: {years: {attribute: age, type: TYPE}}}}
profile: {subject: public.people.id}
"""
    connection = await asyncpg.connect(dsn)
    try:
        await ledger.setup(connection, "bigint", [])
        for kind, expected in (("integer", "bigint"), ("text", "text")):
            source = load_rules([("rules.yaml", text.replace("TYPE", kind))])
            for _ in range(2):  # the second finds nothing to do
                made = await shape.follow(connection, source)
                snapshot = await take_snapshot(connection)
                made += await relation.follow(connection, compile_rules(source, snapshot), snapshot)
            assert made == ()
            assert await connection.fetchval("SELECT pg_typeof(max(age))::text FROM consentry.profile") == expected
    finally:
        await connection.close()


_COLUMNS = "SELECT attname FROM pg_attribute WHERE attrelid = '{}'::regclass AND attnum > 0 ORDER BY attnum"


@pytest.mark.parametrize("app", ["prall", "prmail", "prcode", "prrows"])
def test_a_view_over_the_profile_has_what_the_app_has_of_it(gateway: Governed, app: str) -> None:
    def names(relation: str) -> list[str]:
        return [name for (name,) in ask(gateway, app, _COLUMNS.format(relation))]

    made = ["subject", "email", "card", "topic", "name", "phone", "talks"]
    kept = [name for name in made if name in names("consentry.profile")]
    assert names("parts") == kept
    assert ("phone" in kept) == (app == "prall")
    listed = ", ".join("upper(topic) AS topic" if name == "topic" else name for name in kept)
    order = ("subject" if "subject" in kept else "name") + (" LIMIT 5" if app == "prcode" else " LIMIT 50")  # hashes
    rows = ask(gateway, app, f"SELECT * FROM parts ORDER BY {order}")
    assert rows
    assert rows == ask(gateway, app, f"SELECT {listed} FROM consentry.profile ORDER BY {order}")
    if app != "prall":
        with gateway.connect(app) as connection:
            with pytest.raises(psycopg.errors.UndefinedColumn):
                connection.execute("SELECT phone FROM parts")
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute("SELECT name FROM reached")


@pytest.mark.parametrize("app", ["prall", "prmail", "prrows"])
def test_what_is_named_is_what_the_star_has(gateway: Governed, app: str) -> None:
    """Only what is named is read: by whatever names, the values are those of the whole row."""
    rng = Random(app)
    with gateway.connect(app) as connection:
        there = [name for (name,) in connection.execute(_COLUMNS.format("consentry.profile").encode()).fetchall()]
        there = [name for name in there if name != "note"]  # which may not be touched
        whole = dict.fromkeys(there, "")
        rows = connection.execute(
            f"SELECT {', '.join(there)} FROM consentry.profile WHERE name ~ '^name-[0-9]{{1,2}}$'".encode()
        ).fetchall()
        known = sorted((dict(zip(whole, row, strict=True)) for row in rows), key=str)
        assert known
        for _ in range(25):
            names = rng.sample(there, rng.randint(1, 4))
            asked = rng.choice(
                ("name ~ '^name-[0-9]{1,2}$'", "p.name IN (SELECT 'name-' || n FROM generate_series(1, 99) n)")
            )
            query = f"SELECT {', '.join(f'p.{name}' for name in names)} FROM consentry.profile AS p WHERE {asked}"
            found = connection.execute(query.encode()).fetchall()
            assert sorted(map(str, found)) == sorted(str(tuple(one[name] for name in names)) for one in known)
