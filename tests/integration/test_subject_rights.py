"""`subject rectify` and `restrict`: every column of an attribute; nothing of a restricted customer for whom no law obliges."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.gateways import GatewayProcess, audit_records, running_gateway
from tests.integration.test_cli import Ended, run
from tests.servers import PgServer
from tests.websites import prepare

SCHEMA = """
CREATE TABLE customers (id text PRIMARY KEY, full_name text NOT NULL, email varchar(40), born date);
CREATE TABLE orders (id int PRIMARY KEY, customer_id text REFERENCES customers, note text);
CREATE TABLE items (order_id int REFERENCES orders, what text);
CREATE TABLE letters (customer_id text, street text, city text, email text);
CREATE TABLE reports (customer_id text, finding text);
CREATE TABLE cards (code text PRIMARY KEY, owner text REFERENCES customers, colour text);
CREATE TABLE punches (card text REFERENCES cards, place text);
INSERT INTO customers VALUES ('a', 'Ann', 'ann@example.org', '1985-03-14'), ('b', 'Ben', 'ben@example.org', NULL);
INSERT INTO orders VALUES (1, 'a', 'first'), (2, 'b', 'bens'), (3, NULL, 'nobodys');
INSERT INTO items VALUES (1, 'book'), (2, 'pen'), (3, 'cup');
INSERT INTO letters VALUES ('a', 'Old street', 'Rome', 'ann@example.org'), ('b', 'B street', 'Bonn', 'ben@example.org');
INSERT INTO cards VALUES ('C1', 'a', 'red');
INSERT INTO punches VALUES ('C1', 'door');
INSERT INTO reports VALUES ('a', 'found'), ('b', 'nothing');
GRANT SELECT, UPDATE, DELETE, INSERT ON ALL TABLES IN SCHEMA public TO PUBLIC;
"""
RULES = """
version: 1
attributes: {full_name: {}, email: {}, born: {}, address: {}, orders: {}, finding: {}, customer: {}, card: {}}
tables:
  public.customers: {subject: id, columns: {id: open, full_name: full_name, email: email, born: born}}
  public.orders: {subject: customer_id, columns: {id: open, customer_id: open, note: orders}}
  public.items: {subject: {column: order_id, references: public.orders.id}, columns: {order_id: open, what: orders}}
  public.letters: {subject: customer_id, columns: {customer_id: open, street: address, city: address, email: email}}
  public.cards: {subject: owner, columns: {code: card, owner: customer, colour: open}}
  public.punches: {subject: {column: card, references: public.cards.code}, columns: {card: card, place: open}}
  public.reports: {subject: customer_id, columns: {customer_id: open, finding: finding}}
apps:
  crm: {logins: [rights_crm]}
  mail: {logins: [rights_mail], kind: partner}
  court: {logins: [rights_court]}
  deploy: {logins: [rights_deploy], trusted: true}
policies:
  - {name: by law, apps: [court], attributes: [finding], action: show, basis: legal_obligation}
  - {name: those who agreed, apps: [mail], attributes: [email], action: show, consent: opt_in}
  - {name: the others, apps: [crm, court], attributes: all, action: show, basis: contract, write: allow}
profile: {subject: public.customers.id}
rights: {restriction: enforced}
"""
LOGINS = ["rights_crm", "rights_mail", "rights_court", "rights_deploy"]


@pytest.fixture(scope="module")
def folder(pg_server: PgServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rights")
    prepare(pg_server, folder, "rights", SCHEMA, RULES, LOGINS, {})
    return folder


@pytest.fixture(scope="module")
def gateway(folder: Path, pg_server: PgServer) -> Iterator[GatewayProcess]:
    with running_gateway(pg_server, folder, RULES, {"shop": "rights"}) as running:
        yield running


def ended(folder: Path, *arguments: str) -> Ended:
    return run("subject", *arguments, "--config", str(folder / "consentry.yaml"))


def rows(pg_server: PgServer, query: str) -> list[Any]:
    with pg_server.connect("rights") as connection:
        return connection.execute(query.encode()).fetchall()


# rectify


def test_every_column_of_the_attribute_is_corrected(folder: Path, pg_server: PgServer) -> None:
    dry = ended(folder, "rectify", "a", "email", "anna@example.org", "--dry-run", "--json")
    expected = [{"column": "public.customers.email", "rows": 1}, {"column": "public.letters.email", "rows": 1}]
    assert dry.json == {"columns": expected, "records": [], "elsewhere": []}
    assert rows(pg_server, "SELECT email FROM customers WHERE id = 'a'") == [("ann@example.org",)]
    done = ended(folder, "rectify", "a", "email", "anna@example.org", "--json").json
    assert (done["act"], done["attribute"], done["tables"]) == ("rectify", "email", expected)
    query = "SELECT email FROM customers UNION ALL SELECT email FROM letters ORDER BY 1"
    assert [email for (email,) in rows(pg_server, query)] == ["anna@example.org"] * 2 + ["ben@example.org"] * 2
    records = [one for one in audit_records(folder / "audit") if one.get("act") == "rectify"]
    assert [(one["attribute"], one["receipt"]) for one in records] == [("email", done["receipt"])]
    assert "anna@example.org" not in json.dumps(records)
    again = ended(folder, "rectify", "a", "email", "anna@example.org", "--json").json
    assert [one["rows"] for one in again["columns"]] == [0, 0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("a", "born", "14.3.85x"), "public.customers.born (date) does not take this value"),
        (("a", "full_nam", "x"), "attribute full_nam is not in a column of a customer's"),
        (("a", "address", "x"), "attribute address has several columns: choose with --column, over HTTP with `columns`: public.letters.street, public.letters.city"),
        (("a", "email", "x", "--column", "public.letters.street"), "attribute email is not in public.letters.street"),
        (("a", "customer", "b"), "attribute customer is not rectified: public.cards.owner says which customer it is"),
        (("a", "customer", "b", "--column", "public.cards.owner"), "public.cards.owner says which customer it is"),
        (("a", "card", "C2", "--column", "public.punches.card"), "public.punches.card says which customer it is"),
        (("a", "card", "C2"), "public.cards.code, public.punches.card says which customer it is"),
        (("a", "card", "C2", "--dry-run"), "together with the ledger; or erase the customer"),
        (("a", "email", "x@" + "y" * 50), "the database refuses it: value too long for type character varying(40)"),
    ],
)  # fmt: skip
def test_what_cannot_be_corrected(folder: Path, pg_server: PgServer, arguments: tuple[str, ...], message: str) -> None:
    before = rows(pg_server, "SELECT * FROM customers ORDER BY id"), rows(pg_server, "SELECT * FROM letters ORDER BY 1")
    done = ended(folder, "rectify", *arguments)
    assert (done.code, message in done.err) == (1, True), done.err
    assert before == (
        rows(pg_server, "SELECT * FROM customers ORDER BY id"),
        rows(pg_server, "SELECT * FROM letters ORDER BY 1"),
    )


def test_one_column_and_every_row(folder: Path, pg_server: PgServer) -> None:
    assert ended(folder, "rectify", "a", "address", "New street", "--column", "public.letters.street").code == 0
    assert rows(pg_server, "SELECT street, city FROM letters WHERE customer_id = 'a'") == [("New street", "Rome")]
    pg_server.run("rights", "INSERT INTO orders VALUES (7, 'b', 'second')")
    refused = ended(folder, "rectify", "b", "orders", "x", "--column", "public.orders.note")
    assert "public.orders.note has 2 rows of this customer: --every-row" in refused.err
    both = ("--column", "public.letters.street", "--column", "public.letters.city")
    assert ended(folder, "rectify", "b", "address", "Moved", *both).code == 0
    assert rows(pg_server, "SELECT street, city FROM letters WHERE customer_id = 'b'") == [("Moved", "Moved")]
    pg_server.run("rights", "UPDATE letters SET street = 'B street', city = 'Bonn' WHERE customer_id = 'b'")
    assert ended(folder, "rectify", "b", "orders", "x", "--column", "public.orders.note", "--every-row").code == 0
    assert rows(pg_server, "SELECT note FROM orders WHERE customer_id = 'b'") == [("x",), ("x",)]
    pg_server.run("rights", "DELETE FROM orders WHERE id = 7; UPDATE orders SET note = 'bens' WHERE id = 2")
    assert ended(folder, "rectify", "nobody", "email", "x").code == 1


# restrict

SEEN = {
    "rights_crm": {"customers": "ab", "orders": "123", "items": "123", "letters": "ab", "reports": "ab"},
    "rights_mail": {"customers": "ab", "orders": "123", "items": "123", "letters": "ab", "reports": "ab"},
    "rights_court": {"customers": "ab", "orders": "123", "items": "123", "letters": "ab", "reports": "ab"},
    "rights_deploy": {"customers": "ab", "orders": "123", "items": "123", "letters": "ab", "reports": "ab"},
}
HIDDEN = {"customers": "b", "orders": "23", "items": "23", "letters": "b", "reports": "b"}
KEYS = {"customers": "id", "orders": "id", "items": "order_id", "letters": "customer_id", "reports": "customer_id"}

FAILS = "1 / (ascii({}) - 97) > 100"  # on the rows of customer a; on the others it is not true
UNSEEN = [
    f"SELECT * FROM customers WHERE {FAILS.format('id')}",
    f"SELECT * FROM consentry.profile WHERE {FAILS.format('subject')}",
    f"UPDATE orders SET note = 'x' WHERE {FAILS.format('customer_id')}",
    f"DELETE FROM items USING orders o WHERE {FAILS.format('o.customer_id')}",
    f"MERGE INTO orders o USING (VALUES (1)) v (k) ON o.id = v.k WHEN MATCHED AND {FAILS.format('o.customer_id')} THEN DELETE",
    f"INSERT INTO customers VALUES ('a', 'X') ON CONFLICT (id) DO UPDATE SET born = NULL WHERE {FAILS.format('customers.id')}",
]


def seen(gateway: GatewayProcess) -> dict[str, dict[str, str]]:
    found = {}
    for login in LOGINS:
        with psycopg.connect(gateway.dsn(login, "shop"), autocommit=True) as connection:
            found[login] = {
                table: "".join(
                    str(key) for (key,) in connection.execute(f"SELECT {key} FROM {table} ORDER BY 1").fetchall()
                )
                for table, key in KEYS.items()
            }
    return found


def test_a_restricted_customer_does_not_exist_until_it_is_lifted(
    folder: Path, gateway: GatewayProcess, pg_server: PgServer
) -> None:
    assert seen(gateway) == SEEN
    with psycopg.connect(gateway.dsn("rights_crm", "shop"), autocommit=True, prepare_threshold=0) as open_already:
        query = "SELECT full_name FROM customers WHERE id = %s"
        prepared = lambda: open_already.execute(query, ["a"], prepare=True).fetchall()  # noqa: E731
        assert prepared() == [("Ann",)]
        assert ended(folder, "restrict", "a").out == "a is restricted\n"
        assert prepared() == [], "the statement was prepared before"
        assert open_already.execute("UPDATE customers SET full_name = 'X' WHERE id = 'a'").rowcount == 0
        assert open_already.execute("DELETE FROM items WHERE what = 'book'").rowcount == 0
        assert open_already.execute("SELECT count(*) FROM customers WHERE lower(email) LIKE 'ann%'").fetchall() == [
            (0,)
        ]
        assert open_already.execute("SELECT full_name FROM customers WHERE id = 'b' FOR UPDATE").fetchall() == [
            ("Ben",)
        ]
        assert seen(gateway) == {
            **SEEN, "rights_crm": HIDDEN, "rights_mail": HIDDEN,
            "rights_court": {**HIDDEN, "reports": "ab"},  # by law
        }  # fmt: skip
        profiles = "SELECT subject FROM consentry.profile ORDER BY 1"
        assert open_already.execute(profiles).fetchall() == [("b",)], "the unified profile is read by the same forms"
        for text in UNSEEN:  # an error would tell of the row on which it happens
            assert open_already.execute(text.encode()).rowcount == 0, text
        for text in ("SELECT * FROM consentry.restrictions", "SELECT subject FROM consentry.restrictions"):
            with pytest.raises(psycopg.Error):
                open_already.execute(text)
        assert ended(folder, "restrict", "a").out == "a is restricted already\n"
        assert ended(folder, "restrict", "a", "--lift").out == "a is restricted no longer\n"
        assert prepared() == [("Ann",)]
        assert open_already.execute(profiles).fetchall() == [("a",), ("b",)]
    assert seen(gateway) == SEEN
    assert rows(pg_server, "SELECT full_name FROM customers WHERE id = 'a'") == [("Ann",)]
    acts = [one["act"] for one in audit_records(folder / "audit") if one["event"] == "subject"]
    assert acts[-2:] == ["restrict", "lift"]


def test_who_restricts_a_customer_of_whom_nothing_is_there_is_told(folder: Path) -> None:
    done = ended(folder, "restrict", "nobody")
    assert (done.code, done.out) == (0, "nobody is restricted\n")
    assert "nothing of customer nobody is in the database" in done.err
    assert ended(folder, "restrict", "nobody", "--lift").err == ""
    assert ended(folder, "restrict", "b").err == ""
    assert ended(folder, "restrict", "b", "--lift").code == 0


def test_an_index_is_still_used(folder: Path, pg_server: PgServer) -> None:
    """A look-up by key is one in each table, for customers and for restrictions."""
    form = (
        "SELECT full_name FROM (SELECT _t.* FROM customers AS _t WHERE (NOT EXISTS (SELECT 1 FROM consentry.restrictions r "
        "WHERE r.subject OPERATOR(pg_catalog.=) _t.id))) AS customers WHERE id = 'a'"
    )
    with pg_server.connect("rights") as connection:
        connection.execute("SET enable_seqscan = off")
        plan = "\n".join(line for (line,) in connection.execute(b"EXPLAIN " + form.encode()).fetchall())
    assert "customers_pkey" in plan
    assert "restrictions_pkey" in plan


def test_rules_that_do_not_enforce_it_refuse_it_and_have_the_forms_of_before(folder: Path) -> None:
    rules = folder / "rules" / "rules.yaml"
    text = rules.read_text()
    rules.write_text(text.replace("rights: {restriction: enforced}", ""))
    try:
        refused = ended(folder, "restrict", "a")
        assert (refused.code, "the rules do not enforce restrictions" in refused.err) == (1, True)
        explained = run(
            "explain", "--app", "crm", "select * from customers", "--config", str(folder / "consentry.yaml")
        )
        assert "restrictions" not in explained.out
    finally:
        rules.write_text(text)


def test_with_consentrys_own_login_and_the_printed_grants(folder: Path, pg_server: PgServer) -> None:
    pg_server.create_login("consentry", group="auth_trust")
    own = ("--dsn", pg_server.dsn("rights", "consentry"))
    settings = ("--config", str(folder / "consentry.yaml"))
    grant = 'GRANT UPDATE ("full_name", "email", "born") ON "public"."customers" TO "consentry"'
    assert grant not in run("consent", "setup", "--exports", *settings).out
    assert grant in run("consent", "setup", "--rectification", *settings).out
    assert run("consent", "setup", "--apply", "--exports", "--rectification", *settings).code == 0
    assert ended(folder, "rectify", "b", "full_name", "Benno", *own).code == 0
    assert ended(folder, "rectify", "b", "full_name", "Ben", *own).code == 0
    assert ended(folder, "restrict", "b", *own).code == 0
    assert ended(folder, "restrict", "b", "--lift", *own).code == 0
    assert ended(folder, "find", "ben@example.org", *own).code == 0
    export = json.loads(ended(folder, "export", "b", *own).out)
    assert [app["app"] for app in export["access"]] == ["crm", "mail", "court", "deploy"]
