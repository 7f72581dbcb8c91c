"""Consent in a table that the database had already: enforced through a real gateway."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from proxy.consent import needs
from tests.integration.governed import Governed, governed
from tests.servers import PgServer

SCHEMA = """
CREATE TABLE customers (id bigint PRIMARY KEY, name text, email varchar(80), phone text, seen int DEFAULT 0);
CREATE TABLE orders (id int PRIMARY KEY, customer_id bigint REFERENCES customers, placed date, note text);
CREATE TABLE items (order_id int, sku text, detail jsonb);
CREATE TABLE user_consents (user_id bigint, partner_code text, field_name text, status text, valid_until timestamptz,
                            memo text DEFAULT 'memo-9174');
CREATE INDEX ON user_consents (user_id, partner_code, field_name);
CREATE TABLE mailings (user_id int, app text, agreed boolean);
GRANT SELECT, INSERT, UPDATE, DELETE ON customers, orders, items TO auth_trust;
GRANT SELECT (user_id, status) ON user_consents TO auth_trust;
-- Plans must not change by themselves: EXPLAIN is among the statements.
ALTER TABLE customers SET (autovacuum_enabled = off);
ALTER TABLE orders SET (autovacuum_enabled = off);
ALTER TABLE items SET (autovacuum_enabled = off);
ALTER TABLE user_consents SET (autovacuum_enabled = off);
ALTER TABLE mailings SET (autovacuum_enabled = off);
"""
DATA = """
TRUNCATE customers, orders, items, user_consents, mailings;
INSERT INTO customers SELECT n, 'name-' || n, 'mail-' || n || '@x.org', 'phone-' || n FROM generate_series(1, 40) n;
INSERT INTO orders SELECT n, n % 40 + 1, '2024-01-01', 'note-' || n FROM generate_series(1, 80) n;
INSERT INTO orders VALUES (99, NULL, '2024-01-01', 'note-99');
INSERT INTO items SELECT n, 'sku-' || n, jsonb_build_object('to', 'mail-' || n || '@x.org', 'n', n)
FROM generate_series(1, 80) n;
INSERT INTO items VALUES (99, 'sku-99', '{"to": "mail-99@x.org"}');
INSERT INTO user_consents (user_id, partner_code, field_name, status) VALUES
    (1, 'mc-7', 'mail_optin', 'yes'), (2, 'mc-7', 'mail_optin', 'no'), (3, 'mailco', 'mail_optin', 'yes'),
    (4, 'mc-7', 'email', 'yes'), (5, 'other', 'mail_optin', 'yes'), (1, 'mc-7', 'name', 'yes'),
    (6, 'mc-7', 'mail_optin', NULL), (7, 'mc-7', 'mail_optin', 'no'), (7, 'mc-7', 'mail_optin', 'yes'),
    (1, 'rowco', 'mail_optin', 'yes'), (3, 'rowco', 'mail_optin', 'yes'), (4, 'rowco', 'mail_optin', 'no'),
    (2, 'rowco', 'name', 'yes'),
    (1, 'shipco', 'phone', 'no'), (2, 'shipco', 'phone', 'yes'), (3, 'shipco', 'phone', NULL),
    (4, 'shipco', 'phone', 'yes'), (4, 'shipco', 'phone', 'no'), (5, 'shipco', 'name', 'no');
INSERT INTO mailings VALUES (1, 'mc-7', true), (2, 'mc-7', false), (3, 'mc-7', NULL), (4, 'rowco', true);
"""
RULES = """
version: 1
attributes:
  name: {label: Name}
  email: {label: Email}
  phone: {label: Phone}
  goods: {label: Goods}
tables:
  public.customers: {subject: id, columns: {id: open, name: name, email: email, phone: phone, seen: open}}
  public.orders:
    subject: {column: customer_id, references: public.customers.id}
    columns: {id: open, customer_id: open, placed: open, note: goods}
  public.items:
    subject: {column: order_id, references: public.orders.id}
    columns: {order_id: open, sku: phone, detail: {attribute: open, paths: {$.to: email}}}
apps:
  mailco: {label: M, kind: partner, purpose: p, logins: [mapped_mailco], consent_id: mc-7}
  rowco: {label: R, kind: partner, purpose: p, logins: [mapped_rowco]}
  shipco: {label: S, kind: partner, purpose: p, logins: [mapped_shipco]}
policies:
  - {name: opt in, apps: [mailco], attributes: [name, email], action: show, consent: opt_in}
  - {name: opt out, apps: [shipco], attributes: [phone], action: show, consent: opt_out, otherwise: {mask: redact}}
  - {name: the rest, attributes: all, action: show, basis: contract, write: allow}
  - {name: rows, apps: [rowco], tables: [public.customers, public.orders], rows: {consent: [email]}}
consent:
  store:
    table: public.user_consents
    subject: user_id
    app: partner_code
    attribute: field_name
    attributes: {email: mail_optin}
    granted: "status = 'yes' and (valid_until is null or valid_until > now())"
"""
ONE_FOR_ALL = (
    RULES[: RULES.index("consent:\n")]
    + """consent:
  store: {table: public.mailings, subject: user_id, app: app, granted: agreed}
"""
)
APPS = ["mapped_mailco", "mapped_rowco", "mapped_shipco"]


@pytest.fixture(scope="module", params=["pg_server", "pg15_server"])
def server(request: pytest.FixtureRequest) -> PgServer:
    server: PgServer = request.getfixturevalue(request.param)
    return server


@pytest.fixture(scope="module")
def gateway(server: PgServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Governed]:
    server.create_login(APPS[0], group="auth_trust")
    folder = tmp_path_factory.mktemp("mapped")
    with governed(server, folder, "consent_mapped", SCHEMA, RULES, APPS) as gateway:
        yield gateway


@pytest.fixture(autouse=True)
def data(gateway: Governed, server: PgServer) -> None:
    server.run("consent_mapped", DATA)


def rows(gateway: Governed, app: str, query: str, *values: object) -> list[tuple[Any, ...]]:
    with gateway.connect(f"mapped_{app}") as connection:
        return connection.execute(query.encode(), values or None).fetchall()


def shown(gateway: Governed, app: str, query: str) -> list[Any]:
    """The first column where the second is not hidden."""
    return [row[0] for row in rows(gateway, app, query) if row[1]]


def test_opt_in_is_by_the_names_that_the_table_has(gateway: Governed) -> None:
    # 4 has the attribute's own name, 3 the app's, 6 no answer; 7 has two rows, of which one says yes.
    assert shown(gateway, "mailco", "select id, email from customers order by id") == [1, 7]
    assert shown(gateway, "mailco", "select id, name from customers order by id") == [1]


def test_opt_out_is_hidden_by_each_row_that_is_not_granted(gateway: Governed) -> None:
    hidden = [1, 3, 4]
    expected = [n for n in range(1, 41) if n not in hidden]
    assert shown(gateway, "shipco", "select id, phone from customers order by id") == expected


def test_a_row_without_subject_has_no_consent(gateway: Governed) -> None:
    assert rows(gateway, "shipco", "select sku from items where order_id = 99") == [("",)]
    (found,) = rows(gateway, "mailco", "select detail from items where order_id = 99")
    assert "mail-99" not in str(found)
    assert rows(gateway, "rowco", "select id from orders where id = 99") == []


def test_the_subject_stands_two_tables_away(gateway: Governed) -> None:
    found = rows(gateway, "mailco", "select order_id, detail ->> 'to' from items where detail ->> 'to' is not null")
    assert sorted(n for n, _ in found) == [6, 40, 46, 80]  # orders of customers 7 and 1
    hidden = rows(gateway, "shipco", "select order_id from items where sku = '' and order_id < 41 order by 1")
    assert [n for (n,) in hidden] == [2, 3, 40]


def test_a_prepared_statement_sees_each_change_that_is_committed(gateway: Governed, server: PgServer) -> None:
    query = b"select email from customers where id = %s"
    change = "UPDATE user_consents SET status = '{}' WHERE user_id = 1 AND field_name = 'mail_optin'"
    with gateway.connect("mapped_mailco", prepare_threshold=0) as connection:
        for status in ("no", "yes", "no", "yes", "maybe"):
            server.run("consent_mapped", change.format(status))
            expected = "mail-1@x.org" if status == "yes" else None
            assert connection.execute(query, [1]).fetchone() == (expected,)
        server.run("consent_mapped", "DELETE FROM user_consents")
        assert connection.execute(query, [7]).fetchone() == (None,)


def test_a_change_is_seen_from_its_commit(gateway: Governed, server: PgServer) -> None:
    query = b"select email from customers where id = 1"
    with (
        gateway.connect("mapped_mailco") as app,
        psycopg.connect(server.dsn("consent_mapped")) as office,
    ):
        office.execute("UPDATE user_consents SET status = 'no'")
        assert app.execute(query).fetchone() == ("mail-1@x.org",)
        office.commit()
        assert app.execute(query).fetchone() == (None,)


def test_a_consent_ends_while_a_transaction_is_open(gateway: Governed, server: PgServer) -> None:
    """The mapping says now(), which is the transaction's beginning: the form means the statement's."""
    with gateway.connect("mapped_mailco") as connection:
        connection.execute("begin")
        assert connection.execute("select email from customers where id = 1").fetchone() == ("mail-1@x.org",)
        server.run("consent_mapped", "UPDATE user_consents SET valid_until = clock_timestamp()")
        assert connection.execute("select email from customers where id = 1").fetchone() == (None,)
        server.run("consent_mapped", "UPDATE user_consents SET valid_until = now() + interval '1 h'")
        assert connection.execute("select email from customers where id = 1").fetchone() == ("mail-1@x.org",)
        connection.execute("rollback")


def test_rows_exist_by_consent(gateway: Governed) -> None:
    assert rows(gateway, "rowco", "select id from customers order by id") == [(1,), (3,)]
    assert rows(gateway, "rowco", "select count(*) from orders") == [(4,)]
    assert rows(gateway, "rowco", "select id from customers where id = 2") == []
    joined = "select c.id, o.id from customers c left join orders o on o.customer_id = c.id where o.id > 10 order by 2"
    assert rows(gateway, "rowco", joined) == [(1, 40), (3, 42), (1, 80)]


def test_an_error_tells_nothing_of_hidden_rows(gateway: Governed) -> None:
    query = "select id from customers where (email || '!')::int = 1"
    with pytest.raises(psycopg.errors.InvalidTextRepresentation) as caught:
        rows(gateway, "rowco", query)
    assert all(f"mail-{n}@" not in str(caught.value) for n in range(1, 41) if n not in (1, 3))
    hidden = "select id from customers where 1 / (id - 2) > 5"
    assert rows(gateway, "rowco", hidden) == []


def test_targets_of_writes(gateway: Governed, server: PgServer) -> None:
    query = "update customers set seen = 1 where email like 'mail-%' returning id, email"
    assert sorted(rows(gateway, "mailco", query)) == [(1, "mail-1@x.org"), (7, "mail-7@x.org")]
    assert sorted(rows(gateway, "rowco", "update customers set seen = 2 returning id")) == [(1,), (3,)]
    assert rows(gateway, "rowco", "update customers set seen = 3 where id = 2 returning id") == []
    assert rows(
        gateway, "rowco", "delete from orders where customer_id in (2, 3) and lower(note) > '' returning id"
    ) == [
        (2,),
        (42,),
    ]
    merge = "merge into customers c using (values (1), (2)) v (id) on v.id = c.id when matched then update set seen = 9"
    with gateway.connect("mapped_rowco") as connection:
        assert connection.execute(merge.encode()).rowcount == 1
    with server.connect("consent_mapped") as connection:
        assert connection.execute("SELECT id FROM customers WHERE seen = 9").fetchall() == [(1,)]


def test_locks_are_on_the_rows_and_not_on_the_consents(gateway: Governed, server: PgServer) -> None:
    with gateway.connect("mapped_rowco") as app, server.connect("consent_mapped") as office:
        app.execute("begin")
        assert app.execute("select id from customers order by id for update").fetchall() == [(1,), (3,)]
        office.execute("SET lock_timeout = '5s'")
        office.execute("UPDATE user_consents SET status = status")
        free = office.execute("SELECT count(*) FROM (SELECT 1 FROM customers FOR UPDATE SKIP LOCKED) c").fetchone()
        assert free == (38,)
        app.execute("rollback")


def test_the_consents_are_hidden_as_all_that_is_not_listed(gateway: Governed) -> None:
    for query in (
        "select * from user_consents",
        "update user_consents set status = 'yes'",
        "table public.user_consents",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            rows(gateway, "mailco", query)
    for query in (
        "select relname from pg_class where relname = 'user_consents'",
        "select column_name from information_schema.columns where table_name = 'user_consents'",
        "select attname from pg_attribute where attname = 'partner_code'",
        "select tablename from pg_stats where tablename = 'user_consents'",
    ):
        assert rows(gateway, "mailco", query) == []


# Statements of all kinds of places; what the app must not see is marked, and never comes.
STATEMENTS = [
    "select * from {t}",
    "select {t}.* from {t} where {c} is not null",
    "select count(*), max({c}), min({c}::text) from {t}",
    "select {c}, count(*) from {t} group by 1 order by 1",
    "select row_to_json(x) from {t} x",
    "with x as materialized (select * from {t}) select * from x order by 1",
    "select * from {t} a join {t} b on a.{c} = b.{c} order by 1",
    "select (select max({c}::text) from {t} b where b.ctid = a.ctid) from {t} a",
    "select {c} from {t} union select {c} from {t} order by 1",
    "select {c} from {t} for share",
    "select ({c} || '!')::int from {t}",
    "select {c} from {t} where ({c} || '!')::int = 1",
    "copy {t} to stdout",
    "update {t} set {c} = {c} returning {c}",
    "delete from {t} returning *",
    "explain (costs off) select * from {t}",
]


@pytest.mark.parametrize("statement", STATEMENTS)
def test_no_hidden_value_comes_out(gateway: Governed, server: PgServer, statement: str) -> None:
    """Two databases' states that differ in hidden values alone: the same answers, errors included."""
    for app, table, column in TARGETS:
        answers = []
        for mark in ("cat", "dog"):
            server.run("consent_mapped", DATA + HIDDEN[app].replace("MARK", mark) + REFUSED)
            answers.append(answer(gateway, app, statement.format(t=table, c=column)))
            assert mark not in str(answers[-1])
        assert answers[0] == answers[1]


TARGETS = [
    ("mailco", "customers", "email"),
    ("mailco", "customers", "name"),
    ("mailco", "items", "detail"),
    ("shipco", "customers", "phone"),
    ("shipco", "items", "sku"),
    ("rowco", "customers", "email"),
    ("rowco", "orders", "note"),
]
# Of customers 31 to 40, who have refused: what each app does not see.
HIDDEN = {
    "mailco": """
        UPDATE customers SET name = 'MARK-' || id, email = 'MARK-' || id WHERE id > 30;
        UPDATE items SET detail = jsonb_set(detail, '{to}', to_jsonb('MARK-' || order_id))
        FROM orders WHERE orders.id = order_id AND customer_id > 30""",
    "shipco": """
        UPDATE customers SET phone = 'MARK-' || id WHERE id > 30;
        UPDATE items SET sku = 'MARK-' || order_id FROM orders WHERE orders.id = order_id AND customer_id > 30""",
    "rowco": """
        UPDATE customers SET name = 'MARK-' || id, email = 'MARK-' || id, phone = 'MARK-' || id WHERE id > 30;
        UPDATE orders SET note = 'MARK-' || id WHERE customer_id > 30""",
}
REFUSED = """;
DELETE FROM user_consents WHERE user_id > 30;
INSERT INTO user_consents (user_id, partner_code, field_name, status)
SELECT n, a, f, 'no' FROM generate_series(31, 40) n, unnest('{mc-7,rowco,shipco}'::text[]) a,
     unnest('{mail_optin,name,phone}'::text[]) f
"""


def answer(gateway: Governed, app: str, query: str) -> object:
    with gateway.connect(f"mapped_{app}") as connection:
        connection.execute("begin")
        try:
            if query.startswith("copy"):
                with connection.cursor().copy(query.encode()) as copy:
                    return [bytes(block) for block in copy]
            cursor = connection.execute(query.encode())
            return (cursor.statusmessage, sorted(map(str, cursor.fetchall())) if cursor.description else None)
        except psycopg.Error as error:
            d = error.diag
            return (error.sqlstate, d.message_primary, d.message_detail, d.message_hint, d.context)
        finally:
            connection.rollback()


def test_one_consent_for_all_attributes(gateway: Governed, server: PgServer) -> None:
    before = gateway.text
    try:
        gateway.text = ONE_FOR_ALL
        server.run("consent_mapped", "GRANT SELECT ON mailings TO auth_trust")
        assert gateway.call(gateway.gateway.reload)
        assert shown(gateway, "mailco", "select id, email from customers order by id") == [1]
        assert shown(gateway, "mailco", "select id, name from customers order by id") == [1]
        assert rows(gateway, "rowco", "select id from customers") == [(4,)]
    finally:
        gateway.text = before
        assert gateway.call(gateway.gateway.reload)


def test_the_logins_get_the_columns_that_are_asked_and_no_more(gateway: Governed) -> None:
    given = dict(needs.grants(gateway.rules))
    wanted = 'SELECT ("field_name", "partner_code", "status", "user_id", "valid_until") ON "public"."user_consents"'
    assert f'GRANT {wanted} TO "mapped_rowco"' in given["mapped_rowco"]
    assert [right for right in given["mapped_rowco"] if "consentry" in right] == [
        'GRANT USAGE ON SCHEMA consentry TO "mapped_rowco"',
        'GRANT SELECT ON consentry.preferences TO "mapped_rowco"',
    ]
    assert f'GRANT {wanted} TO "consentry"' in given["consentry"]
    assert not any("INSERT" in right and "user_consents" in right for right in given["consentry"])
