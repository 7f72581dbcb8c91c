"""PostgreSQL sorts by the app's expression before it has asked whose rows there are: in parallel plans, for what is of
use later. Whatever the plan, nothing of the app's runs on a row that it must not know of.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import asyncpg
import psycopg
import pytest

from proxy.catalog.model import SearchPath
from proxy.consent import ledger
from proxy.policy.compile import compile_rules
from proxy.policy.load import load_rules
from proxy.rewrite.plan import Planner
from tests.servers import PgServer, snapshot_of

RULES = """version: 1
attributes: {name: {}, salary: {}}
tables:
  public.people: {subject: id, columns: {id: open, name: name, salary: salary}}
apps: {payroll: {logins: [payroll]}}
policies:
  - {name: all of it, attributes: all, action: show}
  - {name: those who agreed, tables: [public.people], rows: {consent: [name]}}
rights: {restriction: enforced}
"""
FILL = """
CREATE TABLE people (id bigint PRIMARY KEY, name text, salary int);
INSERT INTO people SELECT n, 'name-' || n, CASE WHEN n = 7777 THEN 0 ELSE n END FROM generate_series(1, 20000) n;
INSERT INTO consentry.state (subject, app, granted) SELECT n, 'payroll', '{name}' FROM generate_series(1, 20000) n
    WHERE n <> 7777;
"""
SETTINGS = """
SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0;
SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_hashagg = off
"""


@pytest.fixture(scope="module")
def planned(pg_server: PgServer) -> Iterator[tuple[psycopg.Connection[tuple[object, ...]], Planner]]:
    dsn = pg_server.create_database("early_sorting")

    async def prepare() -> None:
        connection = await asyncpg.connect(dsn)
        await ledger.setup(connection, "bigint", ["payroll"])
        await connection.execute(FILL)
        await connection.execute("VACUUM ANALYZE")
        await connection.close()

    asyncio.run(prepare())
    snapshot = asyncio.run(snapshot_of(dsn))
    rules = compile_rules(load_rules([("rules.yaml", RULES)]), snapshot)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(SETTINGS)
        yield connection, Planner(rules.apps["payroll"], rules, snapshot)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT id FROM people ORDER BY 1 / salary LIMIT 10",
        "SELECT id, 1 / salary FROM people ORDER BY 2, id LIMIT 10",
        "SELECT id, 1 / salary AS part FROM people ORDER BY part LIMIT 10",
        "SELECT id, abs(1 / salary) FROM people ORDER BY abs LIMIT 10",
        "SELECT id, (1 / salary)::text FROM people ORDER BY text LIMIT 10",
        'SELECT id, 1 / salary FROM people ORDER BY "?column?" LIMIT 10',
        'SELECT id, CASE WHEN 1 / salary > 0 THEN 1 END FROM people ORDER BY "case" LIMIT 10',
        "SELECT 1 / salary, count(*) FROM people GROUP BY 1 LIMIT 10",
        "SELECT 1 / salary AS part, count(*) FROM people GROUP BY part LIMIT 10",
        "SELECT count(*) FROM people GROUP BY 1 / salary LIMIT 10",
        "SELECT id, 1 / salary, count(*) FROM people GROUP BY ROLLUP (id, 2) LIMIT 10",
        "SELECT DISTINCT 1 / salary, id FROM people LIMIT 10",
        "SELECT DISTINCT ON (1 / salary) id FROM people LIMIT 10",
        "SELECT id, rank() OVER (ORDER BY 1 / salary) FROM people LIMIT 10",
        "SELECT id, count(*) OVER (PARTITION BY 1 / salary) FROM people LIMIT 10",
        "SELECT id, count(*) OVER w FROM people WINDOW w AS (ORDER BY 1 / salary) LIMIT 10",
        "SELECT count(DISTINCT 1 / salary) FROM people",
        "SELECT string_agg(name, '' ORDER BY 1 / salary) IS NULL FROM people",
        "SELECT 1 FROM people GROUP BY salary > 0 HAVING count(DISTINCT 1 / salary) > 5",
        "SELECT (SELECT id FROM people ORDER BY 1 / salary LIMIT 1)",
        "SELECT (SELECT count(DISTINCT 1 / salary) FROM people)",
        "SELECT n FROM (SELECT count(DISTINCT 1 / salary) AS n FROM people) x",
    ],
)
def test_no_sort_runs_on_hidden_rows(
    planned: tuple[psycopg.Connection[tuple[object, ...]], Planner], statement: str
) -> None:
    connection, planner = planned
    plan = planner.plan(statement.encode(), SearchPath(("pg_catalog", "public")))
    assert plan.refusal is None, plan.refusal
    connection.execute(plan.text)


def test_the_plans_are_of_the_kind_that_sorts_early(
    planned: tuple[psycopg.Connection[tuple[object, ...]], Planner],
) -> None:
    """The same of the table itself with the row policy beside it: else the tests above would prove nothing."""
    connection, _ = planned
    condition = "EXISTS (SELECT FROM consentry.state s WHERE s.subject = id AND s.app = 'payroll')"
    with pytest.raises(psycopg.errors.DivisionByZero):
        connection.execute(f"SELECT id FROM people WHERE {condition} ORDER BY 1 / salary LIMIT 10")
