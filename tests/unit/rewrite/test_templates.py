"""A plan that a template fills in is the plan that the planner makes of the same text."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from proxy.catalog.model import SearchPath
from proxy.rewrite.plan import Planner
from proxy.rewrite.result import Plan
from proxy.rewrite.splice import Edit
from proxy.rewrite.templates import Constants, Templates, _movables, take_apart
from tests.sql.test_pairs import PAIRS, Pair

SQL = Path(__file__).parents[2] / "sql"
PATH = SearchPath(("pg_catalog", "public"))
APPS = ("partner", "mailer", "agent", "full")
VALUES = {
    "s": st.sampled_from(["''", "'it''s'", "'ü€'", "'a'", "'consentry constant 0'", "'2020-01-01'", "'$1'", "'--'"]),
    "i": st.sampled_from(["0", "7", "2147483647", "1900000001", "41"]),
    "b": st.sampled_from(["2147483649", "9223372036854775807", "771900000000001"]),
    "n": st.sampled_from(["0.5", "12.34", "0.77190000001"]),
}
MORE = (
    "select id from orders where id = 5",
    "select id from orders where id in (1, 2, 3) and customer_id between 4 and 5 and note = 'x'",
    "select note from orders where id = -7 and placed > '2020-01-01' order by total limit 10 offset 3",
    "select 'ä', id, 1.5 from orders tablesample system (50) where note like 'a%' /* 'b' */",
    "update orders set note = 'new', total = 1.5 where id = 3 and note <> 'old'",
    "delete from orders where id = 3 returning id, 'gone'",
    "insert into orders (id, customer_id, placed) values (1, 2, '2020-01-01'), (3, 4, '2021-01-01')",
    "select c.id, count(*) from customers c join orders o on o.customer_id = c.id and o.total > 5000000000 "
    "where c.id = 3 group by c.id having count(*) > 2",
)
TEXTS = tuple(dict.fromkeys([*(pair.sent for pair in PAIRS if pair.outcome != "refused"), *MORE]))
FIT = tuple(text for text in TEXTS if take_apart(text) is not None)


def same(one: Plan, other: Plan) -> None:
    assert str(one.refusal) == str(other.refusal)
    assert replace(one, edits=(), refusal=None) == replace(other, edits=(), refusal=None)


def filled(templates: Templates, text: str, others: list[str]) -> list[tuple[Plan, bool]]:
    """The plans of `others`, after `text` was planned twice; whether a template made them."""
    templates.plan(text.encode())
    templates.plan(text.encode())
    out = []
    for other in others:
        plan, template = templates.plan(other.encode())
        out.append((plan, template is not None))
    return out


def others_of(text: str, data: st.DataObject) -> tuple[Constants, str]:
    constants = take_apart(text)
    assert constants is not None
    values = tuple(data.draw(VALUES[kind]) for kind in constants.kinds)
    return constants, constants.with_values(values)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.sampled_from(FIT), app=st.sampled_from(APPS), data=st.data())
def test_filled_in_is_as_planned(planners: dict[str, Planner], text: str, app: str, data: st.DataObject) -> None:
    _, other = others_of(text, data)
    templates = Templates(planners[app], PATH, "utf-8")
    ((plan, _),) = filled(templates, text, [other])
    same(plan, planners[app].plan(other.encode(), PATH))


def test_a_number_of_our_own_is_no_constant_of_the_app() -> None:
    """The oid of a hidden relation may look like what stands for a constant."""
    constants = Constants("i", ("select ", ""), ("1900000000",))
    (movable,) = _movables((Edit(0, 0, "oid NOT IN (1912345678, 771900000000003) AND id = 1900000000"),), constants)
    assert movable.text == ("oid NOT IN (1912345678, 771900000000003) AND id = ", 0, "")


@pytest.mark.parametrize("text", MORE)
@pytest.mark.parametrize("app", APPS)
def test_ordinary_statements_have_templates(planners: dict[str, Planner], app: str, text: str) -> None:
    if planners[app].plan(text.encode(), PATH).refusal is not None:
        assert app != "full"
        return
    constants = take_apart(text)
    assert constants is not None
    other = text.replace("3", "8").replace("'x'", "'y'")
    ((_, by_template),) = filled(Templates(planners[app], PATH, "utf-8"), text, [other])
    assert by_template


@pytest.mark.parametrize(
    "text",
    [
        "select id, note from orders order by 1",
        "select note, count(*) from orders group by 1",
        "select set_config('jit', 'off', false)",
        "select nextval('tickets_id_seq')",
        "select 1::float(24), id from orders",
        "begin; select id from orders where id = 1",
        "set datestyle = 'iso'",
        "prepare p as select id from orders where id = 1",
    ],
)
def test_where_a_constant_decides_there_is_none(planners: dict[str, Planner], text: str) -> None:
    ((_, by_template),) = filled(Templates(planners["full"], PATH, "utf-8"), text, [text])
    assert not by_template


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("select 1, 2147483647, 0", "iii"),
        ("select 2147483649, 9223372036854775807", "bb"),
        ("select 0.5, 'a', 'it''s'", "nss"),
        ("select 2147483648", None),  # with a minus it is an integer, without a bigint
        ("select 9223372036854775808", None),
        ("select 007", None),
        ("select 1e3", None),
        ("select E'a'", None),
        ("select 'a\\b'", None),
        ("select 'a'\n'b'", None),
        ("select $$a$$", None),
        ("select $1", None),
        ("select 'open", None),
    ],
)
def test_kinds_of_constants(text: str, kinds: str | None) -> None:
    constants = take_apart(text)
    assert (constants.kinds if constants else None) == kinds
    if constants is not None:
        assert constants.with_values(constants.values) == text


def test_another_kind_is_another_template(planners: dict[str, Planner]) -> None:
    templates = Templates(planners["agent"], PATH, "utf-8")
    ((plan, by_template),) = filled(
        templates, "select id from orders where id = 5", ["select id from orders where id = '5'"]
    )
    assert not by_template
    same(plan, planners["agent"].plan(b"select id from orders where id = '5'", PATH))


def test_parameter_types_are_part_of_it(planners: dict[str, Planner]) -> None:
    templates = Templates(planners["agent"], PATH, "utf-8")
    text = b"select id from orders where id = $1 and customer_id > 5"
    for types in ((23,), (25,), (0,)):
        for _ in range(3):
            plan, _template = templates.plan(text, types)
            same(plan, planners["agent"].plan(text, PATH, types))


def test_other_encodings(planners: dict[str, Planner]) -> None:
    templates = Templates(planners["agent"], PATH, "latin-1")
    for word in ("é", "ñandú", "x", "ü"):
        text = f"select 'ä', id from orders where note = '{word}' and nowhere".encode("latin-1")
        plan, _ = templates.plan(text)
        same(plan, planners["agent"].plan(text, PATH, (), "latin-1"))


@given(st.text())
def test_taking_apart_never_fails(text: str) -> None:
    assume("\0" not in text)
    constants = take_apart(text)
    assert constants is None or constants.with_values(constants.values) == text


def test_pairs_are_used() -> None:
    assert len(FIT) > 30
    assert isinstance(PAIRS[0], Pair)
