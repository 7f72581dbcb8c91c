"""`paths:` from the rules' text to the compiled table: what is wrong with file and line, what each app gets."""

from __future__ import annotations

import pytest

from proxy.catalog.model import Column, Relation, Snapshot
from proxy.consent.needs import grants
from proxy.policy.compile import compile_rules
from proxy.policy.explain import explain_app
from proxy.policy.load import load_rules
from proxy.policy.probe import probes
from proxy.policy.rules import RulesError
from proxy.policy.table import CompiledRules, GovernedColumn

COLUMNS = (
    Column("id", 1, 23, "integer", "int4", "N"),
    Column("payload", 2, 3802, "jsonb", "jsonb", "U"),
    Column("notes", 3, 25, "text", "text", "S"),
)
RELATION = Relation(100, "public", "people", "r", COLUMNS, primary_key=("id",))
SNAPSHOT = Snapshot("shop", 180000, {RELATION.key: RELATION}, {}, by_oid={100: RELATION})

RULES = """\
version: 1
attributes: {rest: {}, email: {}, name: {}, born: {}, mood: {}}
tables:
  public.people:
    subject: id
    columns:
      id: open
      notes: rest
      payload:
        attribute: rest
        paths:
          $.email: email
          "$.names[*]": name
          $.born: born
apps:
  web: {logins: [web]}
  other: {logins: [other]}
policies:
"""
SHOWS = """\
  - {name: mail, apps: [web], attributes: [email], action: mask, mask: {kind: email}}
  - {name: names, apps: [web], attributes: [name], action: show, consent: opt_in, otherwise: {mask: hash}}
  - {name: gone, apps: [web], attributes: [born], action: drop}
  - {name: all, attributes: all, action: show, basis: contract}
"""


def compiled(policies: str = SHOWS, rules: str = RULES) -> CompiledRules:
    return compile_rules(load_rules([("rules.yaml", rules + policies)]), SNAPSHOT)


def payload(rules: CompiledRules, app: str = "web") -> GovernedColumn:
    column = rules.apps[app].tables["public", "people"].column("payload")
    assert column is not None
    return column


def problems(policies: str = SHOWS, rules: str = RULES) -> str:
    with pytest.raises(RulesError) as wrong:
        compiled(policies, rules)
    return "\n".join(map(str, wrong.value.problems))


def test_each_path_has_its_own_attribute_and_treatment() -> None:
    column = payload(compiled())
    assert {path.path: str(path.part.treatment) for path in column.paths} == {
        "$.email": "mask email",
        "$.names[*]": "show if consent, else hash",
        "$.born": "drop",
    }
    assert [part.attribute for part in column.parts] == ["rest", "email", "name", "born"]
    assert str(column.treatment) == "by path"
    assert column.asks_consent
    assert {mask.kind for mask in column.masks} == {"email", "hash"}
    assert not column.treatment.writable


def test_a_column_of_which_all_is_shown_is_plain() -> None:
    rules = compiled()
    assert payload(rules, "other").treatment.plain
    assert payload(rules, "other").treatment.writable
    assert rules.apps["other"].tables["public", "people"].plain


def test_open_stands_for_an_attribute() -> None:
    rules = RULES.replace("attribute: rest", "attribute: open").replace("$.born: born", "$.born: open")
    column = payload(compiled(rules=rules))
    assert [(part.attribute, str(part.treatment)) for part in column.parts][0::3] == [(None, "show"), (None, "show")]


def test_a_policy_for_the_column_means_what_is_in_it_too() -> None:
    first = "  - {name: payload, columns: [public.people.payload], action: mask, mask: keys}\n"
    parts = payload(compiled(first + SHOWS)).parts
    assert {str(part.treatment) for part in parts} == {"mask keys"}


def test_deny_and_drop_of_all() -> None:
    denied = payload(compiled("  - {name: never, apps: [web], attributes: [born], action: deny}\n" + SHOWS)).treatment
    assert (denied.action, denied.policy.name if denied.policy else "") == ("deny", "never")
    assert payload(compiled("  - {name: never, attributes: all, action: drop}\n")).treatment.action == "drop"


def test_explain_says_each_path() -> None:
    lines = [line for line in explain_app(compiled().apps["web"]) if line.column == "payload"]
    assert [(line.path, line.attribute, line.treatment, line.write) for line in lines] == [
        ("", "rest", "show", "no"),
        ("$.email", "email", "mask email", "no"),
        ("$.names[*]", "name", "show if consent, else hash", "no"),
        ("$.born", "born", "drop", "no"),
    ]
    assert lines[1].because == 'policy "mail" (rules.yaml:19)'


def test_an_app_gets_the_rights_that_its_paths_need() -> None:
    given = dict(grants(compiled()))["web"]
    assert any("keyed_hash" in right for right in given)
    assert any("state_web" in right for right in given)


def test_expressions_of_paths_are_probed_as_text() -> None:
    mask = "  - {name: upper, apps: [web], attributes: [email], action: mask, mask: {kind: expression, sql: 'upper({value})'}}\n"
    (probe,) = probes(compiled(mask + SHOWS), SNAPSHOT)
    assert "at $.email" in probe.what
    assert "#>>" in probe.sql


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("$.email: email", "$.email: emial"), 'rules.yaml:12: attribute "emial" is not defined (did you mean "email"?)'),
        (("$.email: email", "$.born.at: emai"), 'rules.yaml:12: attribute "emai" is not defined'),
        (("attribute: rest", "attribute: rst"), 'rules.yaml:10: attribute "rst" is not defined (did you mean "rest"?)'),
        (("$.email: email", "email: email"), 'rules.yaml:12: "email" is no path: it begins with $'),
        (("$.email: email", "$.mails[0]: email"), 'rules.yaml:12: "$.mails[0]": a rule holds for all elements'),
        (("$.email: email", "$.e-mail: email"), "rules.yaml:12: "),
        (("$.email: email", '$."born": email'), "rules.yaml:14: $.born and $.\"born\" are the same places"),
        (("$.born: born", "$.names.x: born\n          $.names[*].x: email"), "rules.yaml:15: $.names[*].x and $.names.x are"),
        (("paths:", "path:"), 'unknown key "path" (did you mean "paths"?)'),
        (('        paths:\n          $.email: email\n          "$.names[*]": name\n          $.born: born\n', "        paths: {}\n"), "rules.yaml:11: paths: at least one entry"),
        (("      notes: rest\n", "      notes: {attribute: rest, paths: {$.x: email}}\n"), "rules.yaml:8: paths: only json and jsonb"),
        (("$.email: email", "$.email: [email]"), "rules.yaml:12: "),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_line(change: tuple[str, str], says: str) -> None:
    assert RULES.count(change[0]) == 1
    assert says in problems(rules=RULES.replace(*change))


@pytest.mark.parametrize(
    ("policy", "says"),
    [
        ("attributes: [rest], columns: [public.people.payload], action: mask, mask: {kind: expression, sql: '{value}'}",
         "mask expression cannot stand for a document of which paths have attributes"),
        ("attributes: [rest], columns: [public.people.payload], action: mask, mask: partial",
         "mask partial cannot give a value of type jsonb"),
        ("attributes: [email], action: mask, mask: {kind: redact, with: \"a\\0b\"}",
         'mask redact: `with` cannot be given for type text (column "value"), at $.email of column "payload"'),
    ],
)  # fmt: skip
def test_a_mask_must_fit(policy: str, says: str) -> None:
    assert says in problems(f"  - {{name: first, {policy}}}\n{SHOWS}")


def test_consent_for_a_path_needs_a_subject() -> None:
    assert "`subject` is missing in public.people" in problems(rules=RULES.replace("    subject: id\n", ""))


def test_attributes_of_paths_are_used_and_policies_for_them_match() -> None:
    warnings = "\n".join(compiled().warnings)
    assert 'no column has attribute "mood"' in warnings
    assert '"email"' not in warnings
    assert "can never match" not in warnings
