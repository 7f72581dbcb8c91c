"""`sources:` and `conflicts:`: what is taken, what it becomes, and what is said of each slip, with its line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from proxy.config import load_settings
from proxy.policy.load import load_rules
from proxy.policy.mapped_sources import fields_of, kept, precedence
from proxy.policy.rules import RulesError
from proxy.profile.sources.opening import misfits

RULES = """version: 1
attributes: {full_name: {}, email: {}, phone: {}, born: {}, tickets: {group: unstructured}}
tables:
  public.customers: {subject: id, columns: {id: open, email: email}}
sources:
  crm:
    subject: customer
    fields: {name: full_name, mail: email, tel: phone, birth: {attribute: born, type: date}}
    cursor: changed
    deletes: {flag: gone}
  news:
    records: subscribers
    key: id
    match: {email: address, region: DE}
    fields: {address: email, name: full_name}
  support:
    key: id
    match: {email: from}
    fields: {from: email}
    lists:
      tickets: {fields: [opened, body], order_by: opened, search: english}
conflicts:
  default: [news]
  full_name: newest
"""


def test_what_the_rules_become() -> None:
    rules = load_rules([("rules.yaml", RULES)])
    columns = kept(rules)
    assert [(c.attribute, c.type, c.listed) for c in columns.values()] == [
        ("born", "date", False), ("email", "text", False), ("full_name", "text", False), ("phone", "text", False),
        ("tickets", "jsonb", True),
    ]  # fmt: skip
    assert columns["tickets"].search == "english"
    assert precedence(rules, "email") == ("news", "crm", "support")
    assert precedence(rules, "full_name") is None
    assert fields_of(rules.sources["crm"]) == ("customer", "changed", "name", "mail", "tel", "birth", "gone")
    assert fields_of(rules.sources["support"]) == ("id", "from", "opened", "body")


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("    subject: customer\n", "", 6, "crm: a record names its customer by .* this has neither"),
        ("    subject: customer\n", "    subject: c\n    match: {email: mail}\n", 6, "crm: .* this has both"),
        (", mail: email", ", mail: emial", 8, 'attribute "emial" is not defined .*"email"'),
        (", mail: email", ", mail: full_name", 8, "full_name is name already"),
        ("    key: id\n    match: {email: address", "    match: {email: address", 11, "news: `key` is missing"),
        ("{email: address, region", "{email: adress, region", 14, "email: adress is not in `fields`.*address"),
        ("{email: address, region: DE}", "{region: DE}", 14, "match: `email` or `phone` is missing"),
        ("region: DE", "region: Germany", 14, 'region: "Germany" is no country of two letters such as DE'),
        ("address: email,", "address: {attribute: email, type: json},", 15, "email is a json here and a text at"),
        ("type: date", "type: dates", 8, 'type: "dates" is not one of text, .*"date"'),
        ("type: date", "type: date, search: english", 8, "search: a date has no words"),
        ("order_by: opened", "order_by: open", 21, 'order_by: open is not one of `fields`.*"opened"'),
        ("    fields: {from: email}\n    lists:", "    field: {from: email}\n    lists:", 19, 'unknown key "field"'),
        ("default: [news]", "default: [new]", 23, 'default: "new" is not a source.*"news"'),
        ("full_name: newest", "fullname: newest", 24, 'conflicts: "fullname" comes from no source.*"full_name"'),
        ("full_name: newest", "full_name: newer", 24, "full_name: "),
        ("search: english", "search: 'english; drop'", 21, "search: .* is no text search configuration"),
    ],
)
def test_slips(old: str, new: str, line: int, said: str) -> None:
    assert old in RULES
    with pytest.raises(RulesError) as caught:
        load_rules([("rules.yaml", RULES.replace(old, new, 1))])
    found = [(problem.line, problem.message) for problem in caught.value.problems]
    assert any(at == line and re.search(said, message) for at, message in found), found


def test_sources_of_rules_and_of_settings_fit_each_other(tmp_path: Path) -> None:
    (tmp_path / "consentry.yaml").write_text(
        "databases:\n  shop:\n    upstream: postgresql://h/shop\n    rules: rules.yaml\n    sources:\n"
        "      crm: {kind: csv, path: crm.csv}\n      support: {kind: sqlite, path: s.db}\n"
        "      old: {kind: jsonl, path: old.jsonl}\n"
    )
    errors, warnings = misfits(load_settings(tmp_path / "consentry.yaml"), "shop", load_rules([("rules.yaml", RULES)]))
    assert errors == [
        "rules.yaml:11: news: the settings do not say where it is, in databases.shop.sources",
        "rules.yaml:16: support: `records` is missing: the relation to read of a source of kind sqlite",
    ]
    assert warnings == [
        "rules.yaml:6: crm: `cursor` means nothing to a source of kind csv: a file is read whole",
        'databases.shop.sources: "old" is not among the sources of the rules',
    ]
