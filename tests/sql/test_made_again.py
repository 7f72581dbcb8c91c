"""`audit search --rewritten`: what is made again of a record without constants is what was sent, or it says why not."""

from __future__ import annotations

import re
from typing import Any

import pytest
from postgast.pg_query_pb2 import Token as TokenKind

from proxy.audit.record import disclosed_columns
from proxy.audit.rewritten import Rewriter, Rewritten, as_diff
from proxy.catalog.model import SearchPath, Snapshot
from proxy.policy.table import CompiledRules
from proxy.rewrite.lex import Tokens
from proxy.rewrite.plan import Planner
from proxy.rewrite.result import Plan
from tests.sql.test_pairs import PAIRS, planners, rules, snapshot

__all__ = ["planners", "rules", "snapshot"]  # fixtures

SURE = "made again by the rules in force"
PATH = SearchPath(("pg_catalog", "public"))
CONSTANTS = {
    TokenKind.Value(name) for name in "SCONST USCONST BCONST XCONST ICONST FCONST PARAM TRUE_P FALSE_P".split()
}

FORMS = """
SELECT email FROM customers WHERE seen > date '2020-01-01' AND seen < '2020-02-01'::date
SELECT email FROM customers WHERE seen > now() - interval '1 day' OR seen > now() - INTERVAL '1' YEAR
SELECT email FROM customers WHERE id = '7'::int AND id = CAST('7' AS int) AND id = int4 '7'
SELECT email FROM customers LIMIT 10 OFFSET 3
SELECT email FROM customers FETCH FIRST 5 ROWS ONLY
SELECT email FROM customers WHERE id = ANY('{1,2}') OR id = ANY(ARRAY[1,2,3]) OR id IN (4, 5)
SELECT (ARRAY['a','b'])[1], email, E'ab', $$x$$, B'01', X'ff' FROM customers
SELECT email, 'a' AS "b?c", float8 '1.5', pg_catalog.text 'x' FROM customers ORDER BY 1
SELECT position('a' in email), substring(email from 1 for 2) FROM customers
SELECT email FROM customers WHERE jsonb '{"a":1}' ? 'a' AND email LIKE 'a%' ESCAPE '!'
SELECT email FROM customers TABLESAMPLE SYSTEM (10) REPEATABLE (3)
COPY (SELECT email FROM customers WHERE id > 3) TO STDOUT
COPY (SELECT email FROM customers WHERE name = 'ann') TO STDOUT WITH (FORMAT csv, DELIMITER ';', NULL 'x')
DECLARE c CURSOR WITH HOLD FOR SELECT email FROM customers WHERE email > 'a' AND id = 3 LIMIT 5
EXPLAIN (COSTS off, FORMAT json) SELECT held FROM squares WHERE held = 'x'
PREPARE p (text) AS SELECT email FROM customers WHERE email = $1 AND id = 3 AND name='x'
PREPARE p AS SELECT email, json ? 'a' FROM customers WHERE json->'a' ? 'b' AND email = 'x' || 'y' LIMIT 5
PREPARE p AS SELECT email FROM customers WHERE seen > now() - interval '1 day' AND id = -3 AND id <> - 4 + 5
CREATE TEMP TABLE t AS SELECT email, 'x' AS y, 'z' FROM customers WHERE id IN (1, 2)
CREATE TEMP TABLE t AS SELECT email::varchar(80) FROM customers WHERE id = 3
UPDATE customers SET email = 'x' WHERE id = 1 RETURNING phone, 'y'
INSERT INTO customers (id, email) VALUES (1, 'x') RETURNING phone
WITH x AS (SELECT phone FROM customers WHERE id = 1) SELECT * FROM x LIMIT 1
""".strip().splitlines()


def record_of(plan: Plan, rules: CompiledRules, app: str, **other: Any) -> dict[str, Any]:
    (info,) = plan.statements
    return {
        "event": "statement",
        "app": app,
        "statement": info.text,
        "rewritten": plan.rewritten,
        "disclosed": disclosed_columns(info.disclosed),
        "rules_version": rules.version,
        **other,
    }


def without_constants(text: str) -> str:
    """Its tokens, without constants and what stands for them, and without their signs."""
    words = [token.text.decode() for token in Tokens(text) if token.kind not in CONSTANTS]
    return re.sub("[-+?]", "", "".join(words))


def check(made: Rewritten, plan: Plan, statement: str) -> None:
    assert made.text is not None, made.note
    assert "".join(text for kind, text in made.pieces if kind != "added") == statement
    assert "".join(text for kind, text in made.pieces if kind != "removed") == made.text
    assert "consentry 0" not in made.text
    if made.note == SURE:
        assert without_constants(made.text) == without_constants(plan.text.decode()), as_diff(made.pieces)
    else:
        assert made.note.startswith(SURE + "; where its comparisons stand depends on")


@pytest.mark.parametrize("text", FORMS)
def test_forms_of_statements(text: str, planners: dict[str, Planner], rules: CompiledRules, snapshot: Snapshot) -> None:
    plan = planners["partner"].plan(text.encode(), PATH)
    assert plan.refusal is None, plan.refusal
    assert plan.rewritten
    record = record_of(plan, rules, "partner")
    made = Rewriter(rules, snapshot).of(record)
    check(made, plan, record["statement"])
    assert made.note == SURE


def test_pairs(planners: dict[str, Planner], rules: CompiledRules, snapshot: Snapshot) -> None:
    rewriter = Rewriter(rules, snapshot)
    sure = unsure = 0
    for pair in PAIRS:
        if "'phone'" in pair.sent:  # a constant that is the name of a column of the profile is taken for it
            continue
        plan = planners[pair.app].plan(pair.sent.encode(), SearchPath(("pg_catalog", *pair.path)), pair.parameters)
        if plan.rewritten and len(plan.statements) == 1:
            record = record_of(plan, rules, pair.app)
            made = rewriter.of(record)
            if made.text is None:
                assert made.note.startswith("it cannot be made again without its "), made
                continue
            check(made, plan, record["statement"])
            sure, unsure = sure + (made.note == SURE), unsure + (made.note != SURE)
    assert sure > 40
    assert unsure > 1


def test_what_cannot_be_made_again_says_why(
    planners: dict[str, Planner], rules: CompiledRules, snapshot: Snapshot
) -> None:
    rewriter = Rewriter(rules, snapshot)
    plan = planners["partner"].plan(b"SELECT phone FROM customers WHERE id = 1", PATH)
    record = record_of(plan, rules, "partner")
    for changed, said in (
        ({"statement": "SELECT $1 UESCAPE ?, phone FROM customers"}, "without its constants: syntax error at or near"),
        ({"statement": "SELECT phone FROM nothing"}, 'without its session: relation "nothing" does not exist'),
        ({"statement": "SELECT 'phone"}, "unterminated quoted string"),
        ({"statement": "SELECT 1" + "+1" * 3000 + " FROM customers"}, "it cannot be made again: maximum recursion"),
        ({"statement": "SELECT phone FROM orders"}, "cannot be made again without its session"),
        ({"statement": "SELECT title FROM products"}, "cannot be made again without its session"),
        ({"disclosed": []}, "without its session: names meant something else there"),
        ({"disclosed": "nothing"}, "without its session: names meant something else there"),
        ({"statement": None}, "this record is of no statement"),
        ({"statement": 7}, "this record is of no statement"),
        ({"app": {"name": "partner"}}, "which are not those of now"),
    ):
        made = rewriter.of({**record, **changed})
        assert made.text is None
        assert said in made.note
        assert made.pieces == ()


def test_what_runs_by_name_was_rewritten_before(rules: CompiledRules, snapshot: Snapshot) -> None:
    rewriter = Rewriter(rules, snapshot)
    for text in ("EXECUTE p($1, $2)", "EXECUTE p(?)", "FETCH ? FROM c", "FETCH 3 FROM c"):
        record = {"statement": text, "app": "partner", "rewritten": True, "rules_version": rules.version}
        made = rewriter.of({**record, "event": "statement", "disclosed": []})
        assert (made.text, made.pieces) == (text, (("same", text),))
        assert "runs what was rewritten when it was prepared or declared" in made.note
