"""Which profiles have rows of customers whom only other sources know, and which apps have these."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from proxy.catalog.model import Column, Relation, Snapshot
from proxy.policy.compile import compile_rules
from proxy.policy.load import load_rules
from proxy.policy.others import keys_of, mark_of, nothing, own_columns, table_of
from proxy.policy.table import CompiledRules
from proxy.rewrite.profile import profile_query
from tests.unit.policy.test_profile_rules import relation, snapshot

RULES = """version: 1
attributes: {key: {}, name: {}, flag: {}, topic: {}}
tables:
  public.customers: {subject: id, columns: {id: key, name: name, own: flag}}
apps: {some: {logins: [some]}}
policies:
  - {name: all, attributes: all, action: show}
sources: {letters: {subject: number, fields: {topic: topic}}}
profile: {subject: public.customers.id}
rights: {restriction: enforced}
"""
POLICIES = "policies:\n"
DATA = relation(20, "consentry.profile_data", "subject topic", ["subject"])
KEYS = relation(21, "consentry.profile_others", "subject", ["subject"])
RESTRICTIONS = relation(22, "consentry.restrictions", "subject", ["subject"])


def world(change: Callable[[Relation], Relation] = lambda one: one, keys: Relation = KEYS) -> Snapshot:
    customers = change(relation(1, "customers", "id name own", ["id"]))
    return snapshot(DATA, keys, RESTRICTIONS, customers)


def compiled(policy: str = "", where: Snapshot | None = None) -> CompiledRules:
    rules = RULES.replace(POLICIES, f"{POLICIES}  - {policy}\n") if policy else RULES
    return compile_rules(load_rules([("r.yaml", rules)]), where or world())


def has_others(rules: CompiledRules) -> bool:
    assert rules.profile is not None
    return rules.profile.others


def test_the_profile_has_them_where_the_keys_are_alike() -> None:
    made = compiled()
    assert made.profile is not None
    assert has_others(made)
    assert own_columns(made.profile) == ("id", "name", "own")
    assert mark_of(made.profile) == "own_"
    assert '"consentry"."profile_others"' in profile_query(made.profile, world())


def _typed(one: Relation, name: str, **changed: object) -> Relation:
    columns = tuple(replace(c, **changed) if c.name == name else c for c in one.columns)  # type: ignore[arg-type]
    return replace(one, columns=columns)


@pytest.mark.parametrize(
    "where",
    [
        world(lambda one: replace(one, row_security=True)),
        world(lambda one: _typed(one, "id", type_oid=23)),  # before `consent setup`
        world(lambda one: _typed(one, "name", type_oid=20_000, compared=20_001)),  # a domain over a type of one's own
    ],
)
def test_no_profile_has_them_where_it_cannot_be_known(where: Snapshot) -> None:
    made = compiled(where=where)
    assert made.profile is not None
    assert not has_others(made)
    assert table_of(made.profile, made.apps["some"]) is None
    assert "profile_others" not in profile_query(made.profile, where)


@pytest.mark.parametrize(
    ("policy", "has"),
    [
        ("", True),
        ("{name: p, attributes: [name], action: drop}", True),
        ("{name: p, attributes: [name], action: mask, mask: redact}", True),
        ("{name: p, tables: [public.customers], rows: {consent: [name]}}", True),
        ("{name: p, tables: [public.customers], rows: {where: 'id > name'}}", False),
        ("{name: p, attributes: [topic], action: drop}", False),
        ("{name: p, attributes: [topic], action: deny}", False),
        ("{name: p, attributes: [key], action: drop}", False),
        ("{name: p, attributes: [key], action: deny}", False),
        ("{name: p, attributes: [key], action: show, consent: opt_in}", False),
        ("{name: p, attributes: [key], action: mask, mask: {kind: hash}}", False),
        (
            "{name: p, attributes: [name], action: show, basis: legal_obligation}",
            False,
        ),  # what sources say is restricted
        ("{name: p, attributes: all, action: show, basis: legal_obligation}", True),
    ],
)
def test_apps_that_may_know_of_them(policy: str, has: bool) -> None:
    made = compiled(policy)
    assert made.profile is not None
    app = made.apps["some"]
    found, keys = table_of(made.profile, app), keys_of(made.profile, app)
    assert (found is not None) == has
    assert keys is not None
    start = app.tables[made.profile.start]
    if found is None:
        assert [row.where for row in keys.rows] == ["false"]
    else:
        assert [(row.consent, row.restricts) for row in found.rows] == [(r.consent, r.restricts) for r in start.rows]
        assert [(row.consent, row.restricts) for row in keys.rows] == [(r.consent, r.restricts) for r in start.rows]
        assert not found.plain


@pytest.mark.parametrize(
    ("column", "text"),
    [
        (Column("a", 1, 1043, "character varying(80)", "varchar", "S", compared=25), "NULL::character varying(80)"),
        (Column("a", 1, 25, "text", "text", "S", 'pg_catalog."C"', compared=25), 'NULL::text COLLATE pg_catalog."C"'),
        (Column("a", 1, 20_000, "public.mood", "mood", "E", compared=3500), "NULL::public.mood"),
        (Column("a", 1, 20_000, "public.mail", "text", "S", compared=25), 'NULL::pg_catalog."text"'),
        (Column("a", 1, 20_000, "public.odd", "mine", "U", compared=20_001), None),
    ],
)
def test_nothing_of_a_type(column: Column, text: str | None) -> None:
    assert nothing(column) == text
