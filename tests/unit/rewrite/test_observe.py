"""What statements read that pass as they are: told where it can be, and said where it cannot."""

from __future__ import annotations

from dataclasses import replace

import pytest

from proxy.catalog.model import SearchPath, Snapshot
from proxy.policy.table import AppPolicy, CompiledRules
from proxy.rewrite.observe import Observer
from proxy.rewrite.plan import Planner, describe
from proxy.rewrite.result import StatementInfo

PATH = SearchPath(("pg_catalog", "public"))


@pytest.fixture(scope="module")
def observer(rules: CompiledRules, snapshot: Snapshot) -> Observer:
    return Observer(AppPolicy("deploy", "", "internal", "", ("deploy",), trusted=True), rules, snapshot)


def looked_at(observer: Observer, text: str, path: SearchPath = PATH) -> list[StatementInfo]:
    return list(describe(text.encode(), observer, path))


def columns(info: StatementInfo) -> list[str]:
    assert {one.treatment for one in info.disclosed} <= {"show"}
    return sorted({f"{one.relation}.{one.column}".removeprefix("public.") for one in info.disclosed})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT card_no FROM customers WHERE email = 'x'", ["customers.card_no", "customers.email"]),
        ("SELECT count(*) FROM customers", []),
        ("SELECT x FROM internal", []),
        ("SELECT nick FROM other.customers", []),
        ("WITH customers AS (SELECT 1 AS card_no) SELECT card_no FROM customers", []),
        ("TABLE items", ["items.order_id", "items.quantity", "items.sku"]),
        ("SELECT email FROM contacts", ["customers.email"]),
        ("SELECT number FROM v_nested", ["customers.id", "orders.customer_id", "orders.id"]),
        ("SELECT id FROM v_cards", ["customers.card_no", "customers.id"]),
        ("COPY customers (phone) TO STDOUT", ["customers.phone"]),
        ("COPY items TO STDOUT", ["items.order_id", "items.quantity", "items.sku"]),
        ("COPY (SELECT name FROM customers) TO '/tmp/x'", ["customers.name"]),
        ("UPDATE customers SET card_no = 'x' WHERE id = 1 RETURNING name", ["customers.id", "customers.name"]),
        ("CREATE TABLE copied AS SELECT phone FROM customers", ["customers.phone"]),
        ("CREATE MATERIALIZED VIEW copied AS SELECT phone FROM customers", ["customers.phone"]),
        ("DECLARE c CURSOR FOR SELECT phone FROM customers", ["customers.phone"]),
        ("PREPARE p AS SELECT phone FROM customers", ["customers.phone"]),
        ("SELECT lower('x'), now()", []),
        ("ALTER TABLE customers ADD COLUMN more text", []),
        ("CREATE VIEW w AS SELECT email FROM customers", []),
        ("CREATE TABLE made (id int)", []),
        ("LOCK TABLE customers", []),
        ("VACUUM customers", []),
        ("GRANT SELECT ON customers TO PUBLIC", []),
    ],
)
def test_what_it_reads(observer: Observer, text: str, expected: list[str]) -> None:
    (info,) = looked_at(observer, text)
    assert (columns(info), info.unknown) == (expected, None)


def test_the_attributes_of_a_document_and_of_an_open_column(observer: Observer) -> None:
    (info,) = looked_at(observer, "SELECT payload, id FROM profiles")
    assert {(one.column, one.attribute) for one in info.disclosed} == {
        *(("payload", attribute) for attribute in ("profile", "email", "phone", "card")),
        ("id", None),
    }


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("SELECT peek(1)", "function peek"),
        ("SELECT tax(1)", "function tax"),
        ("SELECT query_to_xml('SELECT 1', true, true, '')", "function query_to_xml"),
        ("SELECT c.whole FROM customers c", "function public.whole"),
        ("SELECT 'x'::carded", "type carded"),
        ("SELECT 1 FROM v_peek", 'view "v_peek"'),
        ("SELECT 1 FROM not_there", '"not_there"'),
        ("SELECT most_common_vals FROM pg_stats", "pg_stats"),
        ("SELECT 1 FROM pg_temp.made", '"made"'),
        ("DELETE FROM inbox", "CREATE RULE"),
        ("DO $$ BEGIN PERFORM 1; END $$", "a DO block"),
        ("CALL anything()", "a procedure"),
        ("EXECUTE p", "what it runs"),
        ("FETCH c", "what it runs"),
        ("SELEKT 1", "what it is"),
    ],
)
def test_what_it_cannot_tell(observer: Observer, text: str, why: str) -> None:
    (info,) = looked_at(observer, text)
    assert info.unknown is not None
    assert why in info.unknown


UNSETTLING = (
    "SET search_path TO other",
    "SET LOCAL search_path TO other",
    "RESET ALL",
    "SET ROLE someone",
    "SET SESSION AUTHORIZATION someone",
    "DISCARD ALL",
    "CREATE SCHEMA more",
    "DROP SCHEMA other",
    "GRANT USAGE ON SCHEMA other TO PUBLIC",
    "CREATE TEMP TABLE customers (id int)",
    "CREATE TEMP TABLE customers AS SELECT 1 AS id",
    "SELECT 1 AS id INTO TEMP customers",
    "SELECT set_config('search_path', 'other', false)",
    "SELECT set_config(current_user, 'other', false)",
    "DO $$ BEGIN PERFORM 1; END $$",
)


@pytest.mark.parametrize("text", UNSETTLING)
def test_what_makes_names_unsure(observer: Observer, text: str) -> None:
    (info,) = looked_at(observer, text)
    assert "search_path" in {effect.kind for effect in info.effects}
    _, unqualified = looked_at(observer, f"{text}; SELECT card_no FROM customers")
    assert "have changed in this session" in (unqualified.unknown or "")
    _, qualified = looked_at(observer, f"{text}; SELECT card_no FROM public.customers")
    assert (columns(qualified), qualified.unknown) == (["customers.card_no"], None)


@pytest.mark.parametrize("text", ["SELECT 1", "CREATE TABLE made (id int)", "SET work_mem = '1MB'", "DROP TABLE x"])
def test_what_leaves_names_as_they_are(observer: Observer, text: str) -> None:
    assert not any(effect.kind == "search_path" for info in looked_at(observer, text) for effect in info.effects)


def test_a_text_that_may_be_read_in_another_way(observer: Observer) -> None:
    (info,) = looked_at(observer, "SELECT 1", SearchPath(unsure="text"))
    assert "standard_conforming_strings" in (info.unknown or "")


def test_monitor_says_what_is_read_and_what_would_be(rules: CompiledRules, snapshot: Snapshot) -> None:
    planner = Planner(replace(rules.apps["partner"], monitor=True), rules, snapshot)
    plan = planner.plan(b"SELECT name, phone FROM customers", PATH)
    (info,) = plan.statements
    assert (plan.text, plan.refused_as) == (b"SELECT name, phone FROM customers", None)
    assert columns(info) == ["customers.name", "customers.phone"]
    assert info.would is not None
    assert {one.column: one.treatment for one in info.would} == {"name": "show", "phone": "mask expression"}
    plan = planner.plan(b"SELECT card_no FROM customers; DO $$ BEGIN END $$", PATH)
    first, second = plan.statements
    assert plan.refused_as is not None
    assert (columns(first), first.would, second.would) == (["customers.card_no"], (), ())
    assert second.unknown == "what a DO block reads"
    assert "search_path" in {effect.kind for effect in plan.effects}
