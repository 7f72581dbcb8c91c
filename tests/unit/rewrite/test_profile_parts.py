"""Which columns of the profile a statement can mean; where it may mean them without their names, all."""

from __future__ import annotations

import pytest

from proxy.catalog.model import Relation, Snapshot
from proxy.policy.table import Mask
from proxy.rewrite.lex import parse
from proxy.rewrite.profile import tells_apart
from proxy.rewrite.profile_parts import compared_column, named_columns
from tests.unit.rewrite.world import columns

PROFILE = Relation(200, "consentry", "profile", "v", columns("subject:int4 name:text email:text orders:text"))
OTHER = Relation(201, "public", "short", "v", columns("subject:int4"), reads=(200,))
TABLE = Relation(202, "public", "customers", "r", columns("id:int4 name:text"))
SNAPSHOT = Snapshot(
    "shop", 180000, functions={"row_to_json": (), "name": ()}, relations={r.key: r for r in (PROFILE, OTHER, TABLE)}
)


def named(text: str) -> frozenset[str] | None:
    return named_columns(parse(text), PROFILE, SNAPSHOT)


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("SELECT count(*) FROM consentry.profile", ""),
        ("SELECT subject FROM consentry.profile", "subject"),
        ("SELECT p.email FROM consentry.profile AS p WHERE upper(p.name) = $1", "email name"),
        ('SELECT "email" FROM consentry.profile ORDER BY U&"n\\0061me"', "email name"),
        ("SELECT 1 FROM customers c JOIN consentry.profile USING (name)", "name"),
        ("SELECT (SELECT email FROM consentry.profile WHERE subject = c.id) FROM customers c", "email subject"),
        ("WITH a AS (SELECT name AS n FROM consentry.profile) SELECT n FROM a", "name"),
        ("SELECT 'orders' FROM consentry.profile", ""),  # a constant is no name
        ("SELECT 1; SELECT email FROM consentry.profile", "email"),
    ],
)
def test_columns_that_are_named(text: str, columns: str) -> None:
    assert named(text) == set(columns.split())


@pytest.mark.parametrize(
    "text",
    [
        "SELECT * FROM consentry.profile",
        "SELECT p.* FROM consentry.profile p",
        "TABLE consentry.profile",
        "SELECT p FROM consentry.profile p",
        "SELECT profile FROM consentry.profile",
        "SELECT consentry.profile FROM consentry.profile",
        "SELECT row_to_json(p) FROM consentry.profile p",
        "SELECT (p).email FROM consentry.profile p",
        "SELECT email(p) FROM consentry.profile p",
        "SELECT count(p) FROM consentry.profile p",
        "SELECT p.row_to_json FROM consentry.profile p",
        "SELECT j.row_to_json FROM (consentry.profile p JOIN customers c ON c.id = p.subject) j",
        "SELECT 1 FROM consentry.profile p WHERE p IS NOT NULL",
        "SELECT a FROM consentry.profile AS p(a, b)",
        "SELECT 1 FROM consentry.profile NATURAL JOIN customers",
        "SELECT x FROM (SELECT * FROM consentry.profile) AS s(x)",
        "SELECT subject FROM consentry.profile JOIN short USING (subject)",
        "COPY consentry.profile TO STDOUT",
        "CREATE TEMP TABLE t (LIKE consentry.profile)",
        "CREATE TEMP TABLE t AS TABLE consentry.profile",
        "INSERT INTO customers SELECT * FROM consentry.profile",
        "SELECT id FROM customers",  # nothing to leave out
    ],
)
def test_where_all_may_be_meant(text: str) -> None:
    assert named(text) is None


def test_without_the_key_all_stay() -> None:
    keyless = Relation(200, "consentry", "profile", "v", columns("name:text email:text"))
    assert named_columns(parse("SELECT email FROM consentry.profile"), keyless, SNAPSHOT) is None


@pytest.mark.parametrize(
    ("mask", "base_type", "apart"),
    [
        (Mask("pseudonym"), "int4", False),  # 31 bits: of 100,000 customers two have the same
        (Mask("pseudonym"), "int8", True),
        (Mask("pseudonym"), "uuid", True),
        (Mask("hash"), "text", True),
        (Mask("hash", (("length", 8),)), "text", False),
        (Mask("truncate"), "date", False),
    ],
)
def test_codes_lead_to_rows_where_they_tell_customers_apart(mask: Mask, base_type: str, apart: bool) -> None:
    assert tells_apart(mask, base_type) == apart


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("SELECT 1 FROM consentry.profile WHERE email = $1", "email"),
        ("SELECT 1 FROM consentry.profile p WHERE 'x' = p.email", "email"),
        ("SELECT 1 FROM consentry.profile WHERE email IN ('x', 'y')", "email"),
        ("SELECT 1 FROM consentry.profile WHERE email = ANY ($1)", "email"),
        ("SELECT 1 FROM customers c JOIN consentry.profile p ON p.email = c.name", "email"),
        ("SELECT 1 FROM consentry.profile WHERE email = $1 AND phone = $2", "phone"),  # the first of the rules'
        ("SELECT email FROM consentry.profile WHERE name = $1", None),
        ("SELECT 1 FROM consentry.profile WHERE email = $1 AND subject = 42", None),
        ("SELECT 1 FROM consentry.profile p JOIN customers c ON c.id = p.subject WHERE c.email = $1", None),
        ("SELECT 1 FROM consentry.profile p JOIN customers c ON c.id = p.subject WHERE p.email = $1", "email"),
        ("SELECT 1 FROM consentry.profile JOIN customers c ON c.id = subject WHERE email = $1", "email"),
        ("SELECT 1 FROM consentry.profile p WHERE $2::int = p.subject AND email = $1", None),
        ("SELECT 1 FROM consentry.profile WHERE subject IN (1, 2) AND email = $1", None),
        ("SELECT 1 FROM consentry.profile WHERE email = $1 FOR UPDATE", None),
        ("SELECT 1 FROM consentry.profile WHERE email > $1 OR email LIKE 'x%' OR email BETWEEN $1 AND $2", None),
        ("SELECT 1 FROM consentry.profile ORDER BY email", None),
    ],
)
def test_which_column_is_looked_for(text: str, column: str | None) -> None:
    assert compared_column(parse(text), PROFILE, ("phone", "email")) == column
