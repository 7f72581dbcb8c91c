"""Views that the rules do not list, through a real gateway: each app gets of them what it gets of what they read."""

from __future__ import annotations

from datetime import date

import pytest
from psycopg import errors

from tests.integration.test_enforcement import Enforcing, consent, gateway  # noqa: F401 - the fixture
from tests.servers import PgServer

VIEWS = """
CREATE VIEW people AS SELECT id, name, email, phone, card_no FROM customers;
CREATE VIEW agreed AS SELECT c.id, c.name, o.placed, o.note FROM customers c LEFT JOIN orders o ON o.customer_id = c.id;
CREATE VIEW spent AS SELECT customer_id, sum(total) AS total, count(*) AS orders FROM orders GROUP BY customer_id;
CREATE VIEW letters AS WITH RECURSIVE t (n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM t WHERE n < 2)
    SELECT t.n, c.name FROM t JOIN customers c ON c.id = t.n;
CREATE VIEW ranked AS SELECT id, name, rank() OVER (ORDER BY name DESC) AS place FROM customers LIMIT 10;
CREATE VIEW named AS SELECT name FROM customers UNION ALL SELECT name FROM products;
CREATE VIEW documents AS SELECT id, row_to_json(c.*) AS doc FROM customers c;
CREATE VIEW over_people AS SELECT * FROM people WHERE id > 0;
CREATE VIEW inverse AS SELECT id, 1 / (id - 2) AS x FROM orders;
CREATE VIEW guarded WITH (security_barrier) AS SELECT id, name FROM customers WHERE id < 2;
CREATE VIEW small AS SELECT id, name, phone, card_no FROM customers WHERE id < 10 WITH CHECK OPTION;
CREATE VIEW recent AS SELECT id, customer_id, placed, note FROM orders;
CREATE VIEW kinds AS VALUES (1, 'new'), (2, 'old');
CREATE VIEW answer AS SELECT 6 * length('seventh') AS x UNION ALL SELECT 43;
CREATE VIEW kept AS SELECT c.id, k.column2 AS kind FROM customers c JOIN kinds k ON k.column1 = c.id;
GRANT ALL ON ALL TABLES IN SCHEMA public TO PUBLIC;
"""


@pytest.fixture
def views(gateway: Enforcing, pg_server: PgServer) -> Enforcing:  # noqa: F811
    pg_server.run("enforced", VIEWS)
    assert gateway.call(gateway.gateway.reload)
    return gateway


# The columns that an app has of a view, and its rows.
ANSWERS = {
    ("partner", "people"): ("id name email phone", [(1, "Ann", "ann@example.org", "51"), (2, "Bob", "bob@example.org", "52")]),
    ("mailer", "people"): ("id name email phone", [(1, None, "ann@example.org", "51"), (2, None, None, "52")]),
    ("agent", "people"): ("id name email phone", [(1, "Ann", "ann@example.org", "51")]),
    ("full", "people"): ("id name email phone card_no", [(1, "Ann", "ann@example.org", "5551", "4111"), (2, "Bob", "bob@example.org", "5552", "4222")]),
    ("partner", "over_people"): ("id name email phone", [(1, "Ann", "ann@example.org", "51"), (2, "Bob", "bob@example.org", "52")]),
    ("partner", "agreed"): ("id name placed note", [(1, "Ann", date(2024, 1, 1), None), (2, "Bob", date(2010, 1, 1), None)]),
    ("agent", "agreed"): ("id name placed note", [(1, "Ann", date(2024, 1, 1), "7")]),
    ("full", "spent"): ("customer_id total orders", [(1, 10, 1), (2, 20, 1)]),
    ("mailer", "letters"): ("n name", [(1, None), (2, None)]),
    ("agent", "letters"): ("n name", [(1, "Ann")]),
    ("partner", "ranked"): ("id name place", [(1, "Ann", 2), (2, "Bob", 1)]),
    ("agent", "ranked"): ("id name place", [(1, "Ann", 1)]),
    ("agent", "named"): ("name", [("Ann",)]),
    ("partner", "kinds"): ("column1 column2", [(1, "new"), (2, "old")]),
    ("agent", "answer"): ("x", [(42,), (43,)]),
    ("agent", "kept"): ("id kind", [(1, "new")]),
    ("partner", "guarded"): ("id name", [(1, "Ann")]),
}  # fmt: skip


def test_each_app_has_of_a_view_what_it_has_of_what_the_view_reads(views: Enforcing) -> None:
    consent(views, "grant", 1, "mailer", "email")
    consent(views, "grant", 1, "agent", "email")
    for (app, view), (columns, rows) in ANSWERS.items():
        with views.connect(app) as connection:
            answer = connection.execute(f"TABLE {view}")
            assert [c.name for c in answer.description or ()] == columns.split(), (app, view)
            assert sorted(answer.fetchall(), key=repr) == sorted(rows, key=repr), (app, view)
            shown = connection.execute(
                "SELECT column_name FROM information_schema.columns WHERE table_name = %s ORDER BY ordinal_position",
                [view],
            )
            assert [name for (name,) in shown] == columns.split(), (app, view)


def test_documents_of_rows_hold_what_the_app_has(views: Enforcing) -> None:
    with views.connect("partner") as connection:
        (doc,) = connection.execute("SELECT doc FROM documents WHERE id = 1").fetchone() or ()
    assert list(doc) == ["id", "name", "email", "phone", "seen"]
    assert doc["phone"] == "51"


def test_a_denied_column_denies_what_is_made_of_it(views: Enforcing) -> None:
    with views.connect("mailer") as connection:
        assert connection.execute("SELECT customer_id, orders FROM spent ORDER BY 1").fetchall() == [(1, 1), (2, 1)]
        with pytest.raises(errors.InsufficientPrivilege, match='column "total"'):
            connection.execute("SELECT total FROM spent")


def test_a_view_does_not_tell_of_hidden_rows(views: Enforcing) -> None:
    """Neither by the app's expressions nor by the view's own: 1 / (id - 2) fails for the hidden order."""
    consent(views, "grant", 1, "agent", "email")
    with views.connect("agent") as connection:
        assert connection.execute("SELECT * FROM inverse").fetchall() == [(1, -1)]
        assert connection.execute("SELECT id FROM agreed WHERE note::int = 7").fetchall() == [(1,)]
        assert connection.execute("SELECT id FROM guarded WHERE 1 / (id - 2) < 0").fetchall() == [(1,)]


def test_a_withdrawal_counts_in_a_statement_that_was_prepared_before(views: Enforcing) -> None:
    with views.connect("mailer", prepare_threshold=0) as connection:
        for decision, value in (("grant", "ann@example.org"), ("withdraw", None)):
            consent(views, decision, 1, "mailer", "email")
            assert connection.execute("SELECT email FROM over_people WHERE id = %s", [1]).fetchone() == (value,)


def test_a_view_that_is_replaced_is_read_by_its_new_definition(views: Enforcing, pg_server: PgServer) -> None:
    with views.connect("partner", prepare_threshold=0) as connection:
        sql = "SELECT name FROM people WHERE id = 1"
        assert connection.execute(sql).fetchone() == ("Ann",)
        pg_server.run(
            "enforced",
            "CREATE OR REPLACE VIEW people AS SELECT id, lower(name) AS name, email, phone, card_no FROM customers",
        )
        assert views.call(views.gateway.reload)
        assert connection.execute(sql).fetchone() == ("ann",)


def test_definitions_are_not_shown(views: Enforcing) -> None:
    with views.connect("partner") as connection:
        assert connection.execute("SELECT pg_get_viewdef('people'::regclass)").fetchone() == (None,)
        assert connection.execute("SELECT definition FROM pg_views WHERE viewname = 'people'").fetchone() == (None,)
    with views.connect("full") as connection:
        (definition,) = connection.execute("SELECT pg_get_viewdef('people'::regclass)").fetchone() or ()
        assert "card_no" in definition


def test_the_audit_log_names_what_the_view_reads(views: Enforcing) -> None:
    with views.connect("mailer") as connection:
        connection.execute("SELECT email FROM over_people")
    (record,) = [r for r in views.records("statement") if "over_people" in r["statement"]]
    assert {(d["relation"], d["column"]) for d in record["disclosed"]} == {
        ("public.customers", "email"),
        ("public.customers", "id"),
    }
    assert record["consent"] == "opt_in"


def test_names_of_the_session_do_not_get_into_a_definition(views: Enforcing) -> None:
    with views.connect("partner") as connection:
        rows = connection.execute(
            "WITH customers AS (SELECT 9 AS id) SELECT p.id, c.id FROM people p, customers c ORDER BY 1"
        )
        assert rows.fetchall() == [(1, 9), (2, 9)]
        connection.execute("CREATE TEMP TABLE customers AS SELECT 3 AS id")
        assert connection.execute("SELECT count(*) FROM people").fetchone() == (2,)


def test_a_view_that_chooses_rows_and_columns_is_written_as_what_it_shows(views: Enforcing) -> None:
    with views.connect("partner") as connection:
        assert connection.execute("UPDATE small SET name = 'Anne' WHERE phone = '51' RETURNING *").fetchall() == [
            (1, "Anne", "51")
        ]
        assert connection.execute("INSERT INTO small VALUES (3, 'Cleo') RETURNING id, phone").fetchall() == [(3, None)]
        with pytest.raises(errors.WithCheckOptionViolation) as raised:
            connection.execute("INSERT INTO small VALUES (30, 'Zoe')")
        assert raised.value.diag.message_detail is None
        with pytest.raises(errors.InsufficientPrivilege):
            connection.execute("UPDATE small SET phone = '1'")
        with pytest.raises(errors.UndefinedColumn):
            connection.execute("UPDATE small SET name = card_no")
        assert connection.execute("DELETE FROM small WHERE id = 3").rowcount == 1
    with views.connect("full") as connection:
        assert connection.execute("SELECT name, phone FROM small ORDER BY id").fetchall() == [
            ("Anne", "5551"),
            ("Bob", "5552"),
        ]


def test_rows_that_are_hidden_are_not_written_through_a_view(views: Enforcing) -> None:
    with views.connect("agent") as connection:
        assert connection.execute("UPDATE recent SET placed = placed RETURNING id").fetchall() == [(1,)]
        assert connection.execute("DELETE FROM recent WHERE note::int = 8").rowcount == 0
        assert connection.execute("DELETE FROM recent WHERE id = 2").rowcount == 0
