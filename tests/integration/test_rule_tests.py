"""`consentry test`: rule tests on a database with data, on one without, and on a catalog's file."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import psycopg
import pytest

from proxy.catalog.introspect import take_snapshot
from proxy.catalog.model import SearchPath
from proxy.ruletests.outputs import UntoldError, lacks_column, output_names
from tests.gateways import COMMAND, consentry, environment, set_up_consent, write_settings
from tests.servers import PgServer

RULES = Path(__file__).parent.parent.parent / "rules" / "shop"
DATABASE = "shop_rule_tests"


@pytest.fixture(scope="module")
def folder(pg_server: PgServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Settings and rules of the shop, before a database with its rows and logins."""
    made = tmp_path_factory.mktemp("rule_tests")
    pg_server.create_database(DATABASE, (RULES / "schema.sql").read_text())
    for login in ("crm_app", "analytics_app", "mailco_app", "mailco_batch", "deploy"):
        pg_server.create_login(login)
    pg_server.run(
        DATABASE, "GRANT SELECT ON ALL TABLES IN SCHEMA public TO PUBLIC; REVOKE ALL ON addresses FROM PUBLIC"
    )
    write_settings(pg_server, made, (RULES / "shop.yaml").read_text(), {DATABASE: DATABASE})
    set_up_consent(made, DATABASE)
    return made


def run(folder: Path, *arguments: str) -> tuple[int, str]:
    """Exit code, and what was printed."""
    command = [*COMMAND, "test", *arguments, "--config", str(folder / "consentry.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment())
    return done.returncode, done.stdout + done.stderr


def results(folder: Path, tests: str, *arguments: str) -> dict[str, dict[str, Any]]:
    """By name, how the tests of the text ended."""
    (folder / "some.test.yaml").write_text(tests)
    _, said = run(folder, str(folder / "some.test.yaml"), "--json", *arguments)
    return {one["name"]: one for one in json.loads(said)["tests"]}


TESTS = """
tests:
  - {name: right, app: crm, sql: select full_name as who from customers, columns: [who], treatments: {full_name: show}}
  - {name: wrong columns, app: mailco, sql: select * from customers, columns: [id, card_no]}
  - {name: wrong treatment, app: crm, sql: select card_no from customers, treatments: {customers.card_no: show}}
  - {name: not read, app: crm, sql: select card_no from customers, treatments: {born: show}}
  - {name: refused by the rules, app: mailco, sql: select card_no from customers, error: "42703"}
  - {name: not refused, app: crm, sql: select card_no from customers, error: "42501"}
  - {name: refused by the database, app: crm, sql: select nothing(id) from customers, error: "42883"}
  - {name: unexpected, app: mailco, sql: select card_no from customers, columns: [card_no]}
  - {name: rows, app: crm, sql: "select id, born, card_no from customers where id < 3 order by id",
     rows: [[1, "1985-03-14", "************1111"], [2, "1992-11-02", "wrong"]]}
  - name: decided
    app: mailco
    given: {consent: [{subject: 2, attribute: email, decision: granted, expires_at: "2999-01-01T00:00:00Z"}]}
    sql: select id, email from customers
    rows: [[2, "ben@example.net"]]
  - {name: refused as data is, app: crm, sql: select 'x'::int, error: "22P02"}
  - {name: by its rights, app: crm, sql: select street from addresses, error: "42501", login: crm_app}
  - {name: written, app: crm, sql: "update customers set phone = null where id = 1 returning phone", rows: [[null]]}
"""


def test_on_a_database_with_data_statements_run_and_leave_nothing(folder: Path, pg_server: PgServer) -> None:
    pg_server.run(DATABASE, "GRANT UPDATE ON customers TO crm_app")
    found = results(folder, TESTS, "--dsn", pg_server.dsn(DATABASE))
    assert {name: one["result"] for name, one in found.items()} == {
        "right": "passed",
        "wrong columns": "failed",
        "wrong treatment": "failed",
        "not read": "failed",
        "refused by the rules": "passed",
        "not refused": "failed",
        "refused by the database": "passed",
        "unexpected": "failed",
        "rows": "failed",
        "decided": "passed",
        "refused as data is": "passed",
        "by its rights": "passed",
        "written": "passed",
    }
    assert found["wrong columns"]["differences"] == [
        "columns: expected [id, card_no], found [id, full_name, email, phone, created_at]"
    ]
    assert "expected 'show'; public.customers.card_no has: mask partial" in found["wrong treatment"]["differences"][0]
    assert found["rows"]["differences"] == [
        "row 2: expected [2, 1992-11-02, wrong], found [2, 1992-11-02, ************5559]"
    ]
    assert "42703" in found["unexpected"]["differences"][0]
    with psycopg.connect(pg_server.dsn(DATABASE)) as connection:
        assert connection.execute("SELECT count(*) FROM consentry.events").fetchone() == (0,)
        assert connection.execute("SELECT count(*) FROM customers WHERE phone IS NOT NULL AND id = 1").fetchone() == (
            1,
        )


def test_on_the_settings_database_nothing_runs(folder: Path) -> None:
    found = results(folder, TESTS)
    assert {name for name, one in found.items() if one["result"] == "skipped"} == {"rows", "decided", "written"}
    assert "--dsn" in found["rows"]["differences"][0]
    assert found["refused by the database"]["result"] == "passed"
    assert found["by its rights"]["result"] == "failed"  # rights are looked at when it runs


def test_without_a_database_a_catalog_says_the_same(folder: Path) -> None:
    kept = folder / "catalog.json"
    with_database = results(folder, TESTS, "--save-catalog", str(kept))
    (folder / "off").mkdir(exist_ok=True)
    settings = (folder / "consentry.yaml").read_text().replace("127.0.0.1", "192.0.2.1")
    (folder / "off" / "consentry.yaml").write_text(settings)
    (folder / "off" / "rules").mkdir(exist_ok=True)
    (folder / "off" / "rules" / "rules.yaml").write_text((folder / "rules" / "rules.yaml").read_text())
    without = results(folder / "off", TESTS, "--catalog", str(kept))
    assert {name for name, one in without.items() if one["result"] == "skipped"} == {
        "rows",
        "decided",
        "written",
        "refused as data is",
    }
    assert "does not have" in without["unexpected"]["differences"][0]
    for name in with_database.keys() - {"unexpected", "refused as data is"}:
        assert (without[name]["result"], without[name]["differences"]) == (
            with_database[name]["result"],
            with_database[name]["differences"],
        ), name


def test_the_exit_code_and_what_is_printed(folder: Path) -> None:
    file = folder / "exit.test.yaml"
    file.write_text("tests:\n  - {name: fine, app: crm, sql: select 1, columns: ['?column?']}\n")
    assert run(folder, str(file)) == (0, "1 passed\n")
    file.write_text("tests:\n  - {name: bad, app: crm, sql: select 1, columns: [x]}\n")
    code, said = run(folder, str(file))
    assert code == 1
    assert said.startswith("failed: ")
    assert said.endswith("exit.test.yaml:2: bad\n  columns: expected [x], found [?column?]\n1 failed\n")
    assert run(folder, str(folder / "rules"))[0] == 3  # there is no test
    assert run(folder, str(file), "--catalog", str(file))[0] == 1
    (folder / "spelt.test.yaml").write_text("tests:\n  - {name: x, app: crn, sqk: select 1, error: '42703'}\n")
    code, said = run(folder, str(folder / "spelt.test.yaml"))
    assert code == 1
    assert 'unknown key "sqk" (did you mean "sql"?)' in said


def test_the_schema_of_files_of_tests(folder: Path) -> None:
    done = subprocess.run([*COMMAND, "schema", "--tests"], capture_output=True, text=True, timeout=60, check=True)
    assert set(json.loads(done.stdout)["properties"]) == {"tests"}


def test_the_shops_own_tests_pass(folder: Path, pg_server: PgServer) -> None:
    said = consentry(folder, "test", str(RULES), "--dsn", pg_server.dsn(DATABASE))
    assert said.endswith("5 passed\n")


STATEMENTS = """
SELECT * FROM customers
SELECT c.*, o.id AS number FROM customers c JOIN orders o ON o.customer_id = c.id
SELECT * FROM customers JOIN orders USING (id)
SELECT * FROM customers NATURAL JOIN products
SELECT * FROM (customers c LEFT JOIN orders o USING (id)) JOIN addresses a USING (id)
SELECT * FROM (SELECT id, upper(email), count(*) OVER (), 1, now()::date, '{}'::int[] FROM customers) AS x (a)
SELECT * FROM (VALUES (1, 2), (3, 4)) v
WITH x (a) AS (SELECT id, email FROM customers) SELECT *, a + 1, CASE WHEN a > 1 THEN a END FROM x
WITH RECURSIVE t (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 3) SELECT * FROM t
SELECT id, email FROM customers UNION SELECT 1, 'x'
TABLE products
VALUES (1, 'x')
SELECT (SELECT max(id) FROM orders), EXISTS (SELECT 1), ARRAY[1], ROW(1, 2), coalesce(1, 2), current_date
UPDATE products SET price = 1 RETURNING *, old.price
DELETE FROM products p USING orders o WHERE o.id = 1 RETURNING *
INSERT INTO products (sku, title, price) VALUES ('x', 'y', 1) RETURNING *
SELECT x.* FROM customers x, LATERAL (SELECT * FROM orders o WHERE o.customer_id = x.id) y
SELECT * FROM customers TABLESAMPLE SYSTEM (10)
""".strip().splitlines()


def test_names_of_columns_are_told_as_the_database_tells_them(folder: Path, pg_server: PgServer) -> None:
    async def both() -> None:
        connection = await asyncpg.connect(pg_server.dsn(DATABASE))
        snapshot = await take_snapshot(connection)
        for text in STATEMENTS:
            if "old." in text and snapshot.server_version < 180000:
                continue
            prepared = await connection.prepare(text)
            names = tuple(attribute.name for attribute in prepared.get_attributes())
            assert output_names(text, snapshot, SearchPath()) == names, text
            assert not lacks_column(text, snapshot, SearchPath()), text
        await connection.close()
        for text in (
            "SELECT * FROM generate_series(1, 2)",
            "SHOW work_mem",
            "SELECT 1; SELECT 2",
            "SELECT * FROM nothing",
        ):
            with pytest.raises(UntoldError):
                output_names(text, snapshot, SearchPath())

    asyncio.run(both())
