"""What customers are told that an app sees is what the app gets: for every example, app, attribute and some customers."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from pathlib import Path

import asyncpg
import psycopg
import pytest

from proxy.catalog.introspect import take_snapshot
from proxy.consent import access, service
from proxy.consent.standing import Decision
from proxy.policy.compile import compile_rules
from proxy.policy.load import load_rules
from proxy.policy.names import quote_identifier
from proxy.policy.table import AppPolicy, CompiledRules, SubjectTable
from proxy.profile import held
from tests.integration.test_example_rules import EXAMPLES, RULES, Example, running_example
from tests.servers import PgServer

Column = tuple[str, str, str]  # schema, table, column
ENOUGH = 20  # comparisons of either outcome an example, or the test has looked at nothing


async def theirs(connection: asyncpg.Connection, table: SubjectTable, subject: str, column: str) -> set[str]:
    """The subject's values in a column that are nobody else's."""
    name = quote_identifier(column)
    own = held.query(table).replace("pg_catalog.row_to_json(held)::text", f"held.{name}::text")
    relation = f"{quote_identifier(table.schema)}.{quote_identifier(table.name)}"
    mine = Counter(row[0] for row in await connection.fetch(own, subject))
    every = Counter(row[0] for row in await connection.fetch(f"SELECT {name}::text FROM {relation}"))
    return {value for value, count in mine.items() if value is not None and count == every[value]}


def gets(example: Example, policy: AppPolicy) -> dict[Column, set[str]]:
    """All values that the app gets of each column."""
    found: dict[Column, set[str]] = {}
    with example.connect(policy.logins[0]) as connection:
        for table in policy.tables.values():
            for column in table.columns:
                relation = f"{quote_identifier(table.schema)}.{quote_identifier(table.name)}"
                try:
                    rows = connection.execute(
                        f"SELECT {quote_identifier(column.name)}::text FROM {relation}".encode()
                    ).fetchall()
                except psycopg.Error as error:
                    if error.sqlstate not in ("42501", "42703", "42P01"):
                        raise
                    rows = []
                found[table.schema, table.name, column.name] = {row[0] for row in rows}
    return found


async def decide_at_random(
    connection: asyncpg.Connection, rules: CompiledRules, words: service.Vocabulary, subjects: list[str]
) -> None:
    chosen = random.Random(20261126)
    for subject in subjects:
        for policy in rules.apps.values():
            for attribute in access.asked(policy):
                decision: Decision | None = chosen.choice(("granted", "withdrawn", None))
                if decision is not None:
                    await service.decide(connection, words, subject, policy.name, [attribute], decision)


@pytest.mark.parametrize("name", EXAMPLES)
def test_customers_are_told_what_apps_get(name: str, pg_server: PgServer, tmp_path: Path) -> None:
    with running_example(name, pg_server, tmp_path) as example:
        asyncio.run(compare(example))


async def compare(example: Example) -> None:
    connection = await asyncpg.connect(example.server.dsn(example.name))
    try:
        rules = load_rules([(f"{example.name}.yaml", (RULES / example.name / f"{example.name}.yaml").read_text())])
        compiled = compile_rules(rules, await take_snapshot(connection))
        first = next(table for table in compiled.subject_tables if not table.subject.steps)
        relation = f"{quote_identifier(first.schema)}.{quote_identifier(first.name)}"
        key = quote_identifier(first.subject.column)
        subjects = [row[0] for row in await connection.fetch(f"SELECT DISTINCT {key}::text FROM {relation} ORDER BY 1")]
        words = service.Vocabulary(list(compiled.apps), list(rules.attributes))
        await decide_at_random(connection, compiled, words, subjects)
        outcomes: Counter[bool] = Counter()
        for policy in compiled.apps.values():
            if policy.trusted:
                continue  # gets everything, and customers are told so
            got = await asyncio.to_thread(gets, example, policy)
            for subject in subjects:
                standings = await service.show(connection, subject)
                told = next(
                    one for one in access.access(compiled, rules.attributes, standings) if one.app == policy.name
                )
                for attribute in rules.attributes:
                    seen = await is_seen(connection, compiled, got, subject, attribute)
                    if seen is None:
                        continue
                    says = told.attribute(attribute).sees == "value"
                    where = f"{policy.name}, {attribute}, customer {subject}"
                    assert says or not seen, f"gets it, and the customer is told otherwise: {where}"
                    if not depends_on_more(policy, compiled, attribute):
                        assert seen or not says, f"is said to see it, and does not: {where}"
                        outcomes[seen] += 1
        assert min(outcomes[True], outcomes[False]) >= ENOUGH, outcomes
    finally:
        await connection.close()


async def is_seen(
    connection: asyncpg.Connection, rules: CompiledRules, got: dict[Column, set[str]], subject: str, attribute: str
) -> bool | None:
    """Whether the app gets a value that only this customer has; None where the customer has none."""
    known = False
    for table in rules.subject_tables:
        for column, attributes in table.columns:
            if attributes != (attribute,):
                continue
            values = await theirs(connection, table, subject, column)
            known = known or bool(values)
            if values & got.get((table.schema, table.name, column), set()):
                return True
    return False if known else None


def depends_on_more(policy: AppPolicy, rules: CompiledRules, attribute: str) -> bool:
    """Rows that a condition on other columns hides, views, documents: what pages say of these is the most that can be."""
    whole = {
        (t.schema, t.name, c) for t in rules.subject_tables for c, attributes in t.columns if attributes == (attribute,)
    }
    for table in policy.tables.values():
        for column in table.columns:
            if any(part.attribute == attribute for part in column.parts) and (
                (table.schema, table.name, column.name) not in whole or any(row.where for row in table.rows)
            ):
                return True
    return False
