"""Files of rule tests, and what counts as the same value."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.policy.load import load_rules
from proxy.policy.rules import Rules
from proxy.ruletests.format import RuleTest, TestRule, load_tests
from proxy.ruletests.judge import Found, judge
from proxy.ruletests.trying import _value
from proxy.yaml_lines import ProblemsError

RULES = """
version: 1
attributes: {email: {}}
tables: {public.people: {subject: id, columns: {id: open, email: email}}}
apps: {shop: {logins: [shop_app, shop_batch]}, job: {logins: [job_app]}}
"""


@pytest.fixture(scope="module")
def rules() -> Rules:
    return load_rules([("rules.yaml", RULES)])


def problems(text: str, rules: Rules) -> list[str]:
    with pytest.raises(ProblemsError) as raised:
        load_tests([("a.test.yaml", text)], rules)
    return [str(problem) for problem in raised.value.problems]


@pytest.mark.parametrize(
    ("test", "said"),
    [
        ("{name: x, app: shop, sql: select 1}", "nothing is expected"),
        ("{name: x, app: shp, sql: select 1, columns: [a]}", 'the rules have no app "shp" (did you mean "shop"?)'),
        ("{name: x, app: shop, login: job_app, sql: select 1, columns: [a]}", 'no login "job_app"'),
        ("{name: x, app: shop, sql: select 1, error: 42703}", "error: 42703 written bare is a number"),
        ("{name: x, app: shop, sql: select 1, error: oops}", "is no SQLSTATE"),
        ("{name: x, app: shop, sql: select 1, error: '42703', rows: []}", "a statement that fails has no columns"),
        ("{name: x, app: shop, sql: commit, rows: []}", "it cannot begin or end one"),
        ("{name: x, app: shop, sql: select 1, given: {}, rows: []}", "`consent` is missing in given"),
        (
            "{name: x, app: shop, sql: select 1, rows: [],"
            " given: {consent: [{subject: 1, attribute: mail, decision: granted}]}}",
            'no attribute "mail" (did you mean "email"?)',
        ),
        (
            "{name: x, app: shop, sql: select 1, rows: [],"
            " given: {consent: [{subject: 1, attribute: email, decision: granted, expires_at: '2030-01-01'}]}}",
            "has no time zone",
        ),
    ],
)
def test_what_is_wrong_in_a_file_is_said_with_its_line(test: str, said: str, rules: Rules) -> None:
    found = problems(f"tests:\n  - {test}\n", rules)
    assert len(found) == 1
    assert found[0].startswith("a.test.yaml:2: ")
    assert said in found[0]


def test_a_name_stands_once(rules: Rules) -> None:
    one = "  - {name: x, app: shop, sql: select 1, columns: [a]}\n"
    assert problems(f"tests:\n{one}{one}", rules) == [
        'a.test.yaml:3: "x" is tested twice; the first is at a.test.yaml:2'
    ]


def test_the_login_is_the_first_where_none_is_said(rules: Rules) -> None:
    text = (
        "tests: [{name: x, app: shop, sql: a, columns: [a]}, {name: y, app: shop, login: shop_batch, sql: a, rows: []}]"
    )
    assert [one.login for one in load_tests([("a.test.yaml", text)], rules)] == ["shop_app", "shop_batch"]


@pytest.mark.parametrize(
    ("wanted", "real", "same"),
    [
        (None, None, True),
        (None, "", False),
        ("", None, False),
        (1, "1", True),
        (1.5, "1.50", True),
        (1, "x", False),
        (True, "t", True),
        (True, "1", False),
        ("1", "1", True),
        ({"a": [1]}, '{"a": [1]}', True),
        ([1], "{1}", False),
    ],
)
def test_a_value_is_the_one_that_postgresql_writes(wanted: Any, real: str | None, same: bool) -> None:
    test = RuleTest(TestRule(name="x", app="shop", sql="select 1", rows=[[wanted]]), "a.test.yaml", 1, None)
    assert (judge(test, Found(rows=((real,),))).result == "passed") is same


@pytest.mark.parametrize(
    ("written", "value"),
    [("\\N", None), ("N", "N"), ("a\\tb\\\\n\\n", "a\tb\\n\n"), ("\\\\N", "\\N"), ("\\\\", "\\"), ("", "")],
)
def test_copys_text_format_is_read(written: str, value: str | None) -> None:
    assert _value(written) == value
