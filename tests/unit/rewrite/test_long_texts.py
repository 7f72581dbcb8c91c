"""Texts with thousands of constants: what each costs, and that each is still looked at."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from itertools import chain
from types import FrameType

import pytest

from proxy.catalog.model import SearchPath
from proxy.errors import PgError
from proxy.rewrite.lex import Tokens, with_strings_joined, without_constants
from proxy.rewrite.plan import LONG, Planner
from proxy.rewrite.verify.tree import every_part, is_constant, parse
from tests.unit.rewrite.test_verify import proved, refused

PATH = SearchPath(("pg_catalog", "public"))


def numbers(count: int) -> str:
    return ", ".join(str(number) for number in range(1000, 1000 + count))


def words(count: int) -> str:
    return ", ".join(f"'word {number}'" for number in range(1000, 1000 + count))


def pairs(count: int) -> str:
    return ", ".join(f"({number}, 'word {number}')" for number in range(1000, 1000 + count))


def rows(count: int) -> str:
    return ", ".join(f"({number}, {-number}, 'word {number}', null, 1.5)" for number in range(1000, 1000 + count))


def calls(work: Callable[[], object]) -> int:
    """Functions of Python's that run."""
    found = 0

    def count(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal found
        found += event == "call"

    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(None)
    return found


@pytest.mark.parametrize(
    ("app", "text", "constants", "most"),
    [
        ("mailer", "select sku from products where id in ({})", numbers, 5),
        ("mailer", "select id from customers where id in ({})", numbers, 10),
        ("mailer", "select id from customers where name in ({})", words, 13),
        ("mailer", "select id from customers where id = any (array[{}])", numbers, 10),
        ("agent", "update orders o set note = v.note from (values {}) as v (id, note) where o.id = v.id", pairs, 66),
        ("full", "insert into orders (id, customer_id, note, placed, total) values {}", rows, 20),
    ],
)
def test_calls_for_each_constant_more(
    planners: dict[str, Planner], app: str, text: str, constants: Callable[[int], str], most: int
) -> None:
    """As many more calls as constants, and not many for each; rows have five, one with a sign."""
    few, many = (text.format(constants(count)).encode() for count in (100, 600))
    assert planners[app].plan(few, PATH).refusal is None
    more = calls(lambda: planners[app].plan(many, PATH)) - calls(lambda: planners[app].plan(few, PATH))
    assert more <= 500 * most


def test_a_long_text_is_planned_without_collections(planners: dict[str, Planner]) -> None:
    phases: list[str] = []
    text = f"select id from customers where id in ({numbers(LONG // 5)})".encode()

    def note(phase: str, _info: dict[str, int]) -> None:
        phases.append(phase)

    gc.collect()
    gc.callbacks.append(note)
    try:
        assert planners["mailer"].plan(text, PATH).refusal is None
    finally:
        gc.callbacks.remove(note)
    assert phases.count("start") <= 2  # before and after, where there would be fifty
    assert gc.isenabled()


def test_collections_go_on_after_a_refusal(planners: dict[str, Planner]) -> None:
    assert planners["mailer"].plan(f"select id from nothing where id in ({numbers(LONG)})".encode(), PATH).refusal
    assert gc.isenabled()


# -- the verifier ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "one", "other"),
    [
        ("select 1 from things where id in (1, {}, 3)", "2", "4"),
        ("select 1 from things where id in (1, {}, 3)", "2", "'2'"),
        ("select 1 from things where id in (1, {}, 3)", "2", "2.0"),
        ("select 1 from things where id in (1, {}, 3)", "2", "null"),
        ("select 1 from things where id in (1, {}, 3)", "2", "true"),
        ("select 1 from things where id in (1, {}, 3)", "2", "b'1'"),
        ("select 1 from things where id in (1, {}, 3)", "2", "label"),
        ("select 1 from things where id in (1, {}, 3)", "2", "2, 2"),
        ("select 1 from things where id = any (array[1, {}])", "2", "3"),
        ("insert into things values (1, 'a'), (2, {})", "'b'", "'c'"),
        ("insert into things values (1, 'a'), (2, {})", "'b'", "default"),
        ("insert into things values (1, 'a'), (2, {})", "'b'", "'b', 3"),
        ("insert into things values (1, 'a'), (2{})", ", 'b'", ""),
        ("select row(1, {}) from things", "2", "3"),
    ],
)
def test_a_constant_is_what_it_was(text: str, one: str, other: str) -> None:
    proved(text.format(one))
    refused(text.format(one), text.format(other))
    refused(text.format(other), text.format(one))


@pytest.mark.parametrize("text", ["1", "0", "1.5", "'a'", "''", "true", "false", "null", "b'1'", "x'a'"])
def test_known_constants(text: str) -> None:
    assert is_constant(parse(f"select {text}")[0]["SelectStmt"]["targetList"][0]["ResTarget"]["val"])


@pytest.mark.parametrize(
    "node",
    [
        {"A_Const": {"ival": {"ival": 1}}, "Other": {}},
        {"A_Const": {"other": {"ival": 1}}},
        {"A_Const": {"ival": {"ival": 1, "other": 2}}},
        {"A_Const": {"ival": [{"ColumnRef": {}}]}},
        {"A_Const": {"isnull": {"isnull": True}}},
        {"Integer": {"ival": 1}},
        {},
    ],
)
def test_what_is_no_known_constant(node: dict[str, object]) -> None:
    assert not is_constant(node)


def test_parts_are_all_but_constants() -> None:
    parts = every_part(parse("select 1, a, lower('b') from t where c in (2, d) limit 3"))
    kinds = set(chain.from_iterable(part.keys() for part in parts))
    assert {"ColumnRef", "FuncCall", "A_Expr", "RangeVar"} <= kinds
    assert not {"A_Const", "ival"} & kinds


# -- the scanner's tokens -------------------------------------------------------------------------------------------


def harmless(text: str) -> str:
    copy = Tokens(text).harmless_copy
    assert len(copy) == len(text)
    return " ".join(copy.split())


@pytest.mark.parametrize(
    ("text", "joined"),
    [
        ("select 'a' -- né\n 'b'", "select 'a'      \n 'b'"),
        ("select E'a'--\n--'\n'b', 1 -- c", "select E'a'  \n   \n'b', 1 -- c"),
        ("select 'a' -- b\n, 'c'", None),
        ("select 'a' -- b\n E'c'", None),
        ("select '-- b\n' 'c'", None),
        ("select 'a' -- b", None),
        ("select 'a' /* b */\n'c'", None),
    ],
)
def test_a_comment_within_a_string_is_blank(text: str, joined: str | None) -> None:
    assert with_strings_joined(text) == (joined or text)


def test_of_a_long_list_the_first_constant_stays() -> None:
    assert harmless(f"select a from t where b in ({numbers(50)}) and c") == "select a from t where b in (1000 ) and c"
    assert harmless(f"insert into t values {rows(50)} returning a") == (
        "insert into t values (1000, -1000, sssssssssss, null, 1.5) returning a"
    )


@pytest.mark.parametrize(
    "text",
    [
        f"select a from t where b in ({numbers(20)})",  # a function may have so many arguments
        "select a from t where b in (" + ", ".join(f"b + {number}" for number in range(50)) + ")",
        "select " + ", ".join(f"{number}, a" for number in range(50)) + " from t",
        "insert into t values " + ", ".join(f"({number}, a)" for number in range(50)),
        "select " + ", ".join(f"(select {number})" for number in range(50)) + " from t",
        "select 1 from " + ", ".join(f"t{number}" for number in range(50)),
    ],
)
def test_what_is_no_list_of_constants_stays(text: str) -> None:
    assert harmless(text) == " ".join(text.split())


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("select a from t where b = $1", "select a from t where b = $1"),
        ("select a from t where b = $1 order by 1", "select a from t where b = $1 order by 1"),
        ("select 'b'", "select ?"),
        ("select $$b$$", "select ?"),
        ("select $x$b$x$", "select ?"),
        ("select a -- b", "select a"),
        ("select /* b */ a", "select   a"),
        ("alter role r set token = abc", "alter role r set token = ?"),
        ("alter role r in database d set a.token to abc, d", "alter role r in database d set a.token to ?, ?"),
        ("set a.token = 5", "set a.token = ?"),
        ("-- select\nset a.token = 5", "set a.token = ?"),
    ],
)
def test_constants_are_left_out(text: str, shown: str) -> None:
    assert without_constants(text) == shown


def test_a_text_that_the_scanner_refuses_is_refused() -> None:
    with pytest.raises(PgError):
        without_constants("select 'a")
