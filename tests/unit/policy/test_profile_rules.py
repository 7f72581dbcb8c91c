"""`profile:`: what is wrong with it is said, with its line; which column is which attribute; each app's query."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from proxy.catalog.model import Column, Relation, Snapshot
from proxy.policy.compile import compile_rules
from proxy.policy.load import load_rules
from proxy.policy.rules import RulesError
from proxy.policy.table import CompiledRules, ProfileMap
from proxy.rewrite.profile import app_view, column_names, profile_query

RULES = """version: 1
attributes: {key: {}, name: {}, email: {}, nick: {}, address: {}, visits: {}, goods: {}, free: {}}
tables:
  public.customers: {subject: id, columns: {id: key, name: name, email: email}}
  public.details: {subject: customer_id, columns: {customer_id: key, nick: nick, street: address, city: address}}
  public.orders: {subject: customer_id, columns: {id: open, customer_id: key, placed: visits, total: visits}}
  public.items: {subject: {column: order_id, references: public.orders.id}, columns: {order_id: open, sku: goods}}
  public.loose: {columns: {id: open, word: free}}
apps: {none: {logins: [none]}, some: {logins: [some]}}
policies:
  - {name: all, apps: [some], attributes: [key, name, nick, visits], action: show}
profile:
"""
PROFILE = """  subject: public.customers.id
  columns:
    address: {from: public.details, columns: [street, city]}
  lists:
    visits: {from: public.orders, columns: [placed, total], order_by: placed}
    goods: {from: public.items, columns: [sku], order_by: sku, limit: 3}
"""


def relation(oid: int, name: str, columns: str, unique: Sequence[str] = (), kind: str = "r") -> Relation:
    made = tuple(
        Column(column.removesuffix("!"), number, 1, "text", "text", "S", not_null=column.endswith("!"))
        for number, column in enumerate(columns.split(), 1)
    )
    schema, _, bare = name.rpartition(".")
    keys = tuple((column,) for column in unique)
    return Relation(
        oid, schema or "public", bare, kind, made, primary_key=keys[0] if keys else (), unique_keys=keys[1:]
    )


def snapshot(*more: Relation, unique: str = "customer_id") -> Snapshot:
    relations = (
        relation(1, "customers", "id name email", ["id"]),
        relation(2, "details", "customer_id nick street city email", [unique]),
        relation(3, "orders", "id customer_id placed! total", ["id"]),
        relation(4, "items", "order_id sku"),
        relation(5, "loose", "id word"),
        *more,
    )
    by_oid = {one.oid: one for one in relations}
    return Snapshot("db", 180000, {one.key: one for one in relations}, {}, schemas=frozenset({"public"}), by_oid=by_oid)


def compiled(rules: str, *more: Relation, unique: str = "customer_id") -> CompiledRules:
    return compile_rules(load_rules([("r.yaml", rules)]), snapshot(*more, unique=unique))


def profile(rules: str) -> ProfileMap:
    found = compiled(rules).profile
    assert found is not None
    return found


def said(rules: str, more: Sequence[Relation] = ()) -> list[str]:
    with pytest.raises(RulesError) as caught:
        compiled(rules, *more)
    return [str(problem) for problem in caught.value.problems]


def changed(old: str, new: str, text: str = RULES + PROFILE) -> str:
    assert old in text
    return text.replace(old, new)


def test_attributes_of_tables_with_one_row_a_customer_are_columns_in_the_order_of_the_rules() -> None:
    found = profile(RULES + PROFILE)
    assert column_names(found) == ("subject", "name", "email", "nick", "address", "visits", "goods")
    assert [column.kind for column in found.columns] == ["column", "column", "column", "object", "list", "list"]


def test_the_query_of_the_view() -> None:
    text = profile_query(profile(RULES + PROFILE), snapshot())
    assert text == (
        'SELECT p."id" AS "subject", p."name" AS "name", p."email" AS "email", p1."nick" AS "nick", '
        'CASE WHEN p1."customer_id" IS NOT NULL THEN '
        'pg_catalog.jsonb_build_object(\'street\', p1."street", \'city\', p1."city") END AS "address", '
        "COALESCE((SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object('placed', l.\"placed\", 'total', l.\"total\")) "
        'FROM (SELECT t."placed", t."total" FROM "public"."orders" t WHERE t."customer_id" = p."id" '
        'ORDER BY t."placed" DESC LIMIT 100) l), \'[]\'::jsonb) AS "visits", '
        "COALESCE((SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object('sku', l.\"sku\")) "
        'FROM (SELECT t."sku" FROM "public"."orders" t1 '
        'CROSS JOIN LATERAL (SELECT t."sku" FROM "public"."items" t WHERE t."order_id" = t1."id" OFFSET 0) t '
        'WHERE t1."customer_id" = p."id" ORDER BY t."sku" DESC NULLS LAST LIMIT 3) l), \'[]\'::jsonb) AS "goods"\n'
        'FROM "public"."customers" p\nLEFT JOIN "public"."details" p1 ON p1."customer_id" = p."id"'
    )


def view(*names: str) -> Relation:
    return relation(9, "consentry.profile", " ".join(names), kind="v")


def test_an_apps_query_has_what_the_app_has_and_reads_no_other_table() -> None:
    rules = compiled(RULES + PROFILE, every := view("subject", "name", "email", "nick", "address", "visits", "goods"))
    found = app_view(rules.profile, rules.apps["some"], snapshot(every))
    assert found is not None
    assert found.columns == ("subject", "name", "nick", "visits")
    assert "items" not in found.definition
    assert found.reads == (1, 2, 3)
    assert app_view(rules.profile, rules.apps["none"], snapshot(every)) is None  # no policy gives it anything


def test_a_value_that_several_tables_may_have_is_looked_for_in_each() -> None:
    choices = "  columns:\n    name: [public.details.nick, public.customers.name]\n    address"
    text = changed("nick: nick, ", "nick: name, ").replace("  columns:\n    address", choices)
    every = view("subject", "name", "email", "address", "visits", "goods")
    rules = compiled(text, every)
    plain = app_view(rules.profile, rules.apps["some"], snapshot(every), ["name", "visits"])
    found = app_view(rules.profile, rules.apps["some"], snapshot(every), ["name", "visits"], "name")
    assert plain is not None
    assert 'COALESCE(p1."nick"::text, p."name"::text) AS "name"' in plain.definition
    assert found is not None
    assert found.columns == plain.columns
    assert set(found.reads) == set(plain.reads)
    assert found.definition.startswith('SELECT p."id" AS "subject", p."sought" AS "name", COALESCE((')
    assert found.definition.endswith(
        'FROM (SELECT p."id", p1."nick"::text AS "sought"\n'
        'FROM "public"."customers" p\nLEFT JOIN "public"."details" p1 ON p1."customer_id" = p."id"\n'
        'WHERE (p1."nick" IS NOT NULL)\nUNION ALL\n'
        'SELECT p."id", p."name"::text AS "sought"\n'
        'FROM "public"."customers" p\nLEFT JOIN "public"."details" p1 ON p1."customer_id" = p."id"\n'
        'WHERE (p1."nick" IS NULL)) p'
    )
    other = app_view(rules.profile, rules.apps["some"], snapshot(every), ["visits"], "name")
    assert other is not None
    assert "sought" not in other.definition  # it is no column of this one


def test_a_view_of_other_rules_is_read_by_its_own_definition() -> None:
    rules = compiled(RULES + PROFILE, old := view("subject", "name"))
    found = app_view(rules.profile, rules.apps["some"], snapshot(old))
    assert found is not None
    assert (found.columns, found.definition) == (("subject", "name"), "")


def test_a_field_that_the_app_does_not_have_is_none_of_the_objects() -> None:
    rules = changed(
        "policies:\n", "policies:\n  - {name: totals, columns: [public.orders.total], action: drop}\n", RULES + PROFILE
    )
    names = ("subject", "name", "email", "nick", "address", "visits", "goods")
    made = compiled(rules, view(*names))
    found = app_view(made.profile, made.apps["some"], snapshot(view(*names)))
    assert found is not None
    assert "total" not in found.definition
    assert "placed" in found.definition


def test_a_list_of_which_only_open_columns_are_left_is_not_there() -> None:
    rules = changed("columns: [sku], order_by: sku", "columns: [order_id, sku], order_by: order_id")
    names = ("subject", "name", "email", "nick", "address", "visits", "goods")
    for policy, has in (("drop", False), ("show", True)):
        text = rules.replace("policies:\n", f"policies:\n  - {{name: goods, attributes: [goods], action: {policy}}}\n")
        made = compiled(text, view(*names))
        found = app_view(made.profile, made.apps["some"], snapshot(view(*names)))
        assert found is not None
        assert ("goods" in found.columns) == has


@pytest.mark.parametrize(
    ("key", "has"),
    [
        ("action: show", True),
        ("action: mask, mask: {kind: hash}", True),  # equal keys stay equal
        ("action: mask, mask: redact", False),
        ("action: drop", False),
        ("action: deny", False),
        ("action: show, consent: opt_in", True),
        ("action: show, consent: opt_in, otherwise: {mask: redact}", False),
    ],
)
def test_keys_must_lead_to_the_rows(key: str, has: bool) -> None:
    rules = changed("policies:\n", f"policies:\n  - {{name: the key, attributes: [key], {key}}}\n", RULES + PROFILE)
    names = ("subject", "name", "email", "nick", "address", "visits", "goods")
    made = compiled(rules, view(*names))
    found = app_view(made.profile, made.apps["some"], snapshot(view(*names)))
    assert found is not None
    assert ("visits" in found.columns, "nick" in found.columns, "name" in found.columns) == (has, has, True)


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("subject: public.customers.id", "subject: public.customer.id", 13, 'table with columns "public.customer"'),
        ("subject: public.customers.id", "subject: public.customers.nr", 13, "did you mean public.customers.id"),
        ("subject: public.customers.id", "subject: public.items.order_id", 13, "a table's own `subject`"),
        ("  subject: public.customers.id\n", "", 12, "`subject` is missing"),
        ("  subject: public", "  relation: public.orders\n  subject: public", 13, "stands under `tables`"),
        ("  subject: public", "  relation: consentry.preferences\n  subject: public", 13, "another relation"),
        ("  subject: public", "  relation: publik.x\n  subject: public", 13, 'schema "publik" is not in the database'),
        ("visits: {from", "visit: {from", 17, 'attribute "visit" is not defined (did you mean "visits"?)'),
        ("from: public.items", "from: public.itms", 18, 'table with columns "public.itms" is not defined'),
        ("columns: [sku]", "columns: [sku, skew]", 18, 'column "skew" is not listed in public.items'),
        ("columns: [sku]", "columns: [sku, sku]", 18, "stands here twice"),
        ("[placed, total]", "[placed, customer_id]", 17, "public.orders.customer_id is of attribute key, not of visits"),
        ("order_by: placed", "order_by: placd", 17, 'order_by: column "placd" is not listed in public.orders'),
        (", order_by: placed", "", 17, "`order_by` is missing"),
        ("limit: 3", "limit: 0", 18, "limit"),
        ("limit: 3", "limits: 3", 18, 'unknown key "limits" (did you mean "limit"?)'),
        ("    goods: {from", "    nick: {from", 18, "public.items.sku is of attribute goods, not of nick"),
        (
            "  lists:\n",
            "  lists:\n    nick: {from: public.details, columns: [nick], order_by: nick}\n",
            17,
            "at most one row of public.details: name it under `columns`",
        ),
        ("  columns:\n    address: {from", "  columns:\n    goods: public.items.sku\n    address: {from", 19, "goods stand"),
        ("    address: {from: public.details, columns: [street, city]}\n", "    name: public.customers.email\n", 15,
         "public.customers.email is of attribute email, not of name"),
        ("    address: {from: public.details, columns: [street, city]}\n", "    name: public.customers\n", 15,
         "schema.table.column"),
        ("    address: {from: public.details, columns: [street, city]}\n", "    free: public.loose.word\n", 15,
         "public.loose has no `subject`"),
        ("  subject: public", "  relation: consentry.state_some\n  subject: public", 13, "another relation"),
        ("  columns:\n    address: {from: public.details, columns: [street, city]}\n", "", 12,
         "address could be public.details.street or public.details.city"),
        ("free: {}", "free: {}, subject: {}", 2, 'the profile\'s first column is "subject"'),
        ("  lists:\n", "  except_attributes: [visits]\n  lists:\n", 16, "visits stands under `lists` already"),
    ],
)  # fmt: skip
def test_mistakes_are_said_with_their_line(old: str, new: str, line: int, message: str) -> None:
    found = said(changed(old, new))
    assert any(one.startswith(f"r.yaml:{line}: ") and message in one for one in found), found


def test_a_column_is_of_a_table_with_one_row_a_customer() -> None:
    rules = changed("    visits: {from: public.orders, columns: [placed, total], order_by: placed}\n", "")
    found = said(changed("  lists:\n", "    visits: public.orders.placed\n  lists:\n", rules))
    assert found == ["r.yaml:16: visits: a customer can have many rows of public.orders: name it under `lists`"]


def test_a_key_that_is_not_the_tables_own_subject() -> None:
    rules = changed("subject: id, columns: {id: key, ", "subject: other, columns: {id: key, ")
    table = relation(1, "customers", "id name email other", ["id"])
    with pytest.raises(RulesError, match=r"r.yaml:13: subject: id is not the `subject` of public.customers"):
        compiled(rules, table)


def test_a_key_that_is_not_unique_is_none() -> None:
    bare = relation(1, "customers", "id name email")
    with pytest.raises(RulesError, match=r"r.yaml:13: subject: public.customers.id is not unique by itself"):
        compiled(RULES + PROFILE, bare)


def test_attributes_of_which_a_customer_has_many_are_left_out_with_a_warning() -> None:
    rules = changed("    goods: {from: public.items, columns: [sku], order_by: sku, limit: 3}\n", "")
    warnings = compiled(rules).warnings
    assert any("r.yaml:12: profile: attribute goods is left out" in one for one in warnings)
    quiet = changed("  lists:\n", "  except_attributes: [goods]\n  lists:\n", rules)
    assert not any("goods" in one for one in compiled(quiet).warnings)


def test_the_first_that_is_not_null_counts() -> None:
    rules = changed("nick: nick, ", "nick: nick, email: email, ").replace(
        "  columns:\n    address", "  columns:\n    email: [public.details.email, public.customers.email]\n    address"
    )
    found = profile_query(profile(rules), snapshot())
    assert 'COALESCE(p1."email"::text, p."email"::text) AS "email"' in found
    assert "email could be" in " ".join(
        said(changed("    email: [public.details.email, public.customers.email]\n", "", rules))
    )


SOURCES = """sources:
  desk: {subject: who, key: id, lists: {visits: {fields: [at, what], order_by: at}}}
  club: {subject: who, key: id, lists: {visits: {fields: [day, what], order_by: day}}}
"""


def test_a_list_of_a_table_and_of_sources_is_one_in_the_order_of_time() -> None:
    data = relation(9, "consentry.profile_data", "subject visits", ["subject"])
    found = said(RULES + PROFILE + SOURCES, more=(data,))
    assert found == ["r.yaml:17: order_by: placed is no time: this list is one with what sources say, newest first"]
    text = RULES + PROFILE + SOURCES.replace(", order_by: day", "")
    assert said(text) == [
        "r.yaml:21: visits: `order_by` is missing: the entry's time, to be one list with those of public.orders"
    ]
    text = RULES + PROFILE + "sources: {desk: {subject: who, fields: {last: visits}}}\n"
    assert said(text) == [
        "r.yaml:17: visits: a list of public.orders, and sources say one value of it: name it under their `lists` too"
    ]
    before_setup = compiled(RULES + PROFILE + SOURCES)
    assert before_setup.profile is not None
    assert "profile_data" not in profile_query(before_setup.profile, snapshot())
    assert any("run `consentry consent setup`" in one for one in before_setup.warnings)
