"""The walk of one query through a real gateway: rules of tests/sql, consent in the ledger, drivers in front."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import psycopg
import pytest
from psycopg import errors

from proxy.catalog.introspect import take_snapshot
from proxy.consent import ledger, needs, service, spans
from proxy.consent.service import Vocabulary
from proxy.policy.compile import compile_rules
from proxy.policy.load import load_rules
from proxy.server.generation import Generation
from tests.servers import PgServer, snapshot_of
from tests.wire.gateway import Running

PAIRS = Path(__file__).parent.parent / "sql"
APPS = ("partner", "mailer", "agent", "full")
ROWS = """
INSERT INTO customers VALUES (1, 'Ann', 'ann@example.org', '5551', '4111', '2024-01-01'),
                             (2, 'Bob', 'bob@example.org', '5552', '4222', '2024-01-02');
INSERT INTO orders VALUES (1, 1, '2024-01-01', '7', 10), (2, 2, '2010-01-01', 'hidden', 20);
INSERT INTO items VALUES (1, 'S1', 1), (2, 'S2', 2);
GRANT ALL ON ALL TABLES IN SCHEMA public, other TO PUBLIC;
GRANT USAGE ON SCHEMA other TO PUBLIC;
"""


class Enforcing(Running):
    """A gateway with the rules of tests/sql; `text` may be replaced before a reload."""

    text = (PAIRS / "rules.yaml").read_text()

    def __init__(self, server: PgServer, directory: Path) -> None:
        self.database = server.dsn("enforced")
        super().__init__(server, directory, "enforced")

    async def _load(self) -> Generation:
        snapshot = await snapshot_of(self.database)
        rules = compile_rules(load_rules([("rules.yaml", self.text)]), snapshot)
        return Generation("db", rules, snapshot)

    async def _fingerprint(self) -> str:
        return self.databases[0].generation.snapshot.version

    def connect(self, app: str, **options: Any) -> psycopg.Connection[Any]:
        return psycopg.connect(self.dsn(app), autocommit=True, **options)


async def change_consent(dsn: str, decision: str, subject: int, app: str, attribute: str) -> None:
    connection = await asyncpg.connect(dsn)
    words = Vocabulary(APPS, ["name", "email", "history"])
    try:
        await (service.grant if decision == "grant" else service.withdraw)(
            connection, words, str(subject), app, attribute
        )
    finally:
        await connection.close()


@pytest.fixture
def gateway(pg_server: PgServer, tmp_path: Path) -> Iterator[Enforcing]:
    dsn = pg_server.create_database("enforced", (PAIRS / "schema.sql").read_text() + ROWS)
    for app in APPS:
        pg_server.create_login(app, group="auth_trust")

    async def prepare() -> None:
        connection = await asyncpg.connect(dsn)
        try:
            await ledger.setup(connection, "bigint", APPS)
            source = load_rules([("rules.yaml", Enforcing.text)])
            await spans.follow(connection, compile_rules(source, await take_snapshot(connection)))
            rules = compile_rules(source, await take_snapshot(connection))
            missing = await needs.missing_roles(connection, rules)
            await needs.apply_grants(connection, needs.grants(rules), missing)
        finally:
            await connection.close()

    asyncio.run(prepare())
    gateway = Enforcing(pg_server, tmp_path)
    yield gateway
    gateway.close()


def consent(gateway: Enforcing, decision: str, subject: int, app: str, attribute: str) -> None:
    asyncio.run(change_consent(gateway.database, decision, subject, app, attribute))


def test_each_app_gets_its_own_view(gateway: Enforcing) -> None:
    consent(gateway, "grant", 1, "mailer", "email")
    consent(gateway, "grant", 1, "agent", "email")
    sql = "SELECT id, name, email, phone FROM customers ORDER BY id"
    expected = {
        "partner": [(1, "Ann", "ann@example.org", "51"), (2, "Bob", "bob@example.org", "52")],
        "mailer": [(1, None, "ann@example.org", "51"), (2, None, None, "52")],
        "agent": [(1, "Ann", "ann@example.org", "51")],
        "full": [(1, "Ann", "ann@example.org", "5551"), (2, "Bob", "bob@example.org", "5552")],
    }
    for app, rows in expected.items():
        with gateway.connect(app) as connection:
            assert connection.execute(sql).fetchall() == rows, app


def test_a_value_under_consent_is_looked_for_in_a_constant_range(gateway: Enforcing) -> None:
    """PostgreSQL 17 and 18 cannot plan it where the value is computed of `x = ANY (column)`."""
    consent(gateway, "withdraw", 2, "mailer", "history")
    asked = "SELECT id, daterange '[2000-01-01,2030-01-01)' @> placed, placed <@ %s::daterange FROM orders ORDER BY id"
    lent = "SELECT count(*) FROM v_counts WHERE '[2000-01-01,2030-01-01)'::daterange @> last"
    with gateway.connect("mailer") as connection:
        for prepare in (False, True):
            rows = connection.execute(asked, ["[2020-01-01,2030-01-01)"], prepare=prepare).fetchall()
            assert rows == [(1, True, True), (2, None, None)]
        assert connection.execute(lent).fetchall() == [(1,)]


def test_a_withdrawal_counts_in_the_very_next_execution_of_a_prepared_statement(gateway: Enforcing) -> None:
    consent(gateway, "grant", 1, "mailer", "email")
    with gateway.connect("mailer", prepare_threshold=0) as connection, gateway.connect("mailer") as second:
        second.execute("PREPARE p AS SELECT email FROM customers WHERE id = 1")
        for decision, value in (("grant", "ann@example.org"), ("withdraw", None), ("grant", "ann@example.org")):
            consent(gateway, decision, 1, "mailer", "email")
            assert connection.execute("SELECT email FROM customers WHERE id = %s", [1]).fetchone() == (value,)
            assert second.execute("EXECUTE p").fetchone() == (value,)


def test_a_filter_cannot_tell_of_hidden_rows(gateway: Enforcing) -> None:
    """rewriting.md, evidence 7: the cast would fail on the hidden row's note."""
    with gateway.connect("agent") as connection:
        assert connection.execute("SELECT id FROM orders WHERE note::int = 7").fetchall() == [(1,)]
        assert connection.execute("DELETE FROM orders WHERE note::int = 8").rowcount == 0


def test_rows_that_are_hidden_are_not_written(gateway: Enforcing) -> None:
    with gateway.connect("agent") as connection:
        assert connection.execute("UPDATE orders SET placed = placed").rowcount == 1
        assert connection.execute("DELETE FROM items WHERE quantity = 2").rowcount == 1
        assert connection.execute("DELETE FROM orders WHERE id = 2").rowcount == 0


def test_upserts_change_rows_that_are_shown_and_read_what_is_governed(gateway: Enforcing) -> None:
    upsert = "INSERT INTO orders (id, customer_id) VALUES (%s, 1) ON CONFLICT (id) DO UPDATE SET customer_id = 2 "
    with gateway.connect("agent") as connection:
        assert connection.execute(upsert + "RETURNING id", [1]).fetchall() == [(1,)]
        assert connection.execute(upsert + "RETURNING id", [2]).fetchall() == []  # hidden: of 2010
        assert connection.execute(upsert + "WHERE orders.id / 0 = 1 RETURNING id", [2]).fetchall() == []
    with gateway.connect("partner") as connection:
        connection.execute(
            "INSERT INTO customers (id, name) VALUES (1, 'x') "
            "ON CONFLICT (id) DO UPDATE SET name = excluded.name || customers.phone"
        )
        assert connection.execute("SELECT name FROM customers WHERE id = 1").fetchone() == ("x51",)
    with gateway.connect("full") as connection:
        assert connection.execute("SELECT id, customer_id FROM orders ORDER BY id").fetchall() == [(1, 2), (2, 2)]


def test_a_refusal_fails_the_transaction_as_an_error_would(gateway: Enforcing) -> None:
    with gateway.connect("partner") as connection, pytest.raises(errors.InFailedSqlTransaction):  # noqa: PT012
        connection.execute("BEGIN")
        with pytest.raises(errors.InsufficientPrivilege):
            connection.execute("SELECT total FROM orders")
        connection.execute("SELECT 1")


def test_in_a_failed_transaction_the_server_looks_at_no_statement(gateway: Enforcing) -> None:
    """What would be refused, or is not there, gets the error that PostgreSQL gives of it then; a slip in the grammar its own."""
    with gateway.connect("partner") as connection, connection.cursor() as cursor:
        for sql, expected in (
            ("SELECT total FROM orders", errors.InFailedSqlTransaction),
            ("SELECT * FROM nowhere", errors.InFailedSqlTransaction),
            ("SELEC 1", errors.SyntaxError),
        ):
            for prepare in (False, True):
                cursor.execute("BEGIN")
                with pytest.raises(errors.DivisionByZero):
                    cursor.execute("SELECT 1 / 0")
                with pytest.raises(expected):
                    cursor.execute(sql, prepare=prepare)
                cursor.execute("ROLLBACK")


def test_errors_point_into_the_text_that_was_sent(gateway: Enforcing) -> None:
    with gateway.connect("partner") as connection, pytest.raises(errors.UndefinedColumn) as raised:
        connection.execute("SELECT name, c.nothing FROM customers c JOIN orders o ON o.id = c.id")
    assert raised.value.diag.statement_position == "14"


def test_a_reload_reaches_open_connections_and_prepared_statements(gateway: Enforcing) -> None:
    with gateway.connect("partner", prepare_threshold=0) as connection:
        sql = "SELECT phone FROM customers WHERE id = 1"
        assert connection.execute(sql).fetchone() == ("51",)
        gateway.text = Enforcing.text.replace("right({value}, 2)", "right({value}, 3)")
        assert gateway.call(gateway.gateway.reload)
        assert connection.execute(sql).fetchone() == ("551",)
        gateway.text = "version: 1\nattributes: [broken"
        assert not gateway.call(gateway.gateway.reload)
        assert connection.execute(sql).fetchone() == ("551",)


def test_temp_tables_shadow_and_leave_again(gateway: Enforcing) -> None:
    with gateway.connect("partner") as connection:
        connection.execute("CREATE TEMP TABLE customers AS SELECT 'mine' AS card_no")
        assert connection.execute("SELECT card_no FROM customers").fetchone() == ("mine",)
        connection.execute("DROP TABLE customers")
        with pytest.raises(errors.UndefinedColumn):
            connection.execute("SELECT card_no FROM customers")
        with pytest.raises(psycopg.errors.UndefinedColumn), connection.transaction():  # noqa: PT012
            connection.execute("CREATE TEMP TABLE customers AS SELECT 'mine' AS card_no")
            assert connection.execute("SELECT card_no FROM customers").fetchone() == ("mine",)
            connection.execute("SELECT nothing FROM customers")
        with pytest.raises(errors.UndefinedColumn):
            connection.execute("SELECT card_no FROM customers")


def test_search_path_decides_what_a_name_means(gateway: Enforcing) -> None:
    with gateway.connect("partner") as connection:
        connection.execute("SET search_path = other, public")
        assert connection.execute("SELECT * FROM customers").fetchall() == []
        with connection.transaction():
            connection.execute("SET LOCAL search_path = public")
            assert connection.execute("SELECT phone FROM customers WHERE id = 1").fetchone() == ("51",)
        with pytest.raises(errors.UndefinedColumn):
            connection.execute("SELECT phone FROM customers")


def test_the_audit_log_says_what_was_disclosed(gateway: Enforcing) -> None:
    with gateway.connect("mailer") as connection:
        connection.execute("SELECT email FROM customers WHERE name = 'Ann'")
    (record,) = [r for r in gateway.records("statement") if "customers" in r["statement"]]
    assert record["app"] == "mailer"
    assert "Ann" not in record["statement"]
    assert {(d["column"], d["treatment"]) for d in record["disclosed"]} == {
        ("email", "show if consent, else null"),
        ("name", "show if consent, else null"),
    }
    assert record["policies"] == ["mailer with consent"]
    assert record["consent"] == "opt_in"
    assert record["rows"] == 0


def test_an_app_does_not_hear_the_payloads_of_others(gateway: Enforcing, pg_server: PgServer) -> None:
    with gateway.connect("mailer") as listener, gateway.connect("mailer") as same, gateway.connect("full") as other:
        listener.execute("LISTEN news")
        same.execute("NOTIFY news, 'of its own'")
        other.execute("NOTIFY news, 'ann@example.org'")
        heard = list(listener.notifies(timeout=20, stop_after=2))
        assert [(n.channel, n.payload) for n in heard] == [("news", "of its own"), ("news", "")]
        with pg_server.connect("enforced") as direct:
            direct.execute("NOTIFY news, 'of no app'")
        assert [n.payload for n in listener.notifies(timeout=20, stop_after=1)] == ["of no app"]
