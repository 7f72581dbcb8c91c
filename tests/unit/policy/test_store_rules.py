"""`consent.store`: what is wrong with a mapping is said, with its line, and all at once."""

from __future__ import annotations

import pytest

from proxy.catalog.model import Column, FunctionName, Relation, Snapshot
from proxy.policy.compile import compile_rules
from proxy.policy.expressions import ExpressionError, replaced, store_expression, written_expression
from proxy.policy.load import load_rules
from proxy.policy.rules import RulesError
from proxy.policy.table import CompiledRules

STORE = """
  store:
    table: public.consents
    subject: user_id
    app: partner
    attribute: field
    granted: "status = 'yes' and (until is null or until > now())"
    since: given_at
    expires: until
    attributes: {email: mail_optin}
    write:
      granted: {status: "'yes'", until: ":expires_at"}
      withdrawn: {status: "'no'", until: "null"}
"""
RULES = """version: 1
attributes: {email: {}, phone: {}}
tables:
  public.customers: {subject: id, columns: {id: open, email: email, phone: phone}}
apps:
  mailco: {logins: [mailco], consent_id: mc-7}
  crm: {logins: [crm]}
policies:
  - {name: opt in, attributes: [email], action: show, consent: opt_in}
consent:"""


def columns(text: str) -> tuple[Column, ...]:
    found = []
    for number, part in enumerate(text.split(), 1):
        name, base = part.split(":")
        found.append(Column(name, number, 1, base, base, "S"))
    return tuple(found)


def snapshot(key: str = "int8", kind: str = "r", customer: str = "int4") -> Snapshot:
    relations = (
        Relation(1, "public", "customers", "r", columns(f"id:{customer} email:text phone:text"), primary_key=("id",)),
        Relation(
            2,
            "public",
            "consents",
            kind,
            columns(f"user_id:{key} partner:text field:text status:text until:timestamptz given_at:timestamptz"),
        ),
    )
    functions = {
        name: (FunctionName("pg_catalog", None, takes_row=False),) for name in ("statement_timestamp", "lower")
    }
    return Snapshot(
        "shop",
        180000,
        {relation.key: relation for relation in relations},
        functions,
        by_oid={r.oid: r for r in relations},
    )


def compiled(text: str = RULES + STORE, catalog: Snapshot | None = None) -> CompiledRules:
    return compile_rules(load_rules([("r.yaml", text)]), catalog or snapshot())


def problems(old: str, new: str, catalog: Snapshot | None = None) -> list[str]:
    text = RULES + STORE
    assert old in text
    with pytest.raises(RulesError) as caught:
        compiled(text.replace(old, new), catalog)
    return [str(problem) for problem in caught.value.problems]


def test_what_is_compiled() -> None:
    rules = compiled()
    store = rules.store
    assert store is not None
    assert rules.apps["mailco"].store == store
    assert (rules.apps["mailco"].consent_id, rules.apps["crm"].consent_id) == ("mc-7", "crm")
    assert "statement_timestamp" in store.granted
    assert "now" not in store.granted
    assert store.columns == ("field", "partner", "status", "until", "user_id")
    assert store.shown == ("given_at",)
    assert (store.called("email"), store.called("phone")) == ("mail_optin", "phone")
    assert store.write is not None
    assert store.write.granted == (("status", "'yes'"), ("until", ":expires_at"))
    assert rules.apps["mailco"].asked == {"email": "opt_in"}
    assert store.place == ("r.yaml", 11)
    assert compiled(RULES.replace(", consent_id: mc-7", "") + " {store: builtin}").store is None


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("subject: user_id", "subjct: user_id", 13, 'unknown key "subjct" (did you mean "subject"?)'),
        ("    app: partner\n", "", 11, "`app` is missing in store"),
        ("{email: mail_optin}", "{emial: mail_optin}", 19, 'attributes: "emial" is not defined (did you mean "email"?)'),
        ("    attribute: field\n", "", 18, "attributes: `attribute` is missing, the column that has them"),
        ("app: partner", "app: user_id", 14, "app: user_id is the subject's column already"),
        ('"status = \'yes\' and (until', '"status = \'yes\' and ((until', 16, "granted: not one SQL expression"),
        ("since: given_at", 'since: "(select 1)"', 17, "since: a sub-query cannot stand here"),
        ("status: \"'yes'\"", 'status: "yes"', 21, "status: a value has no columns: yes (text goes in single quotes)"),
        ("status: \"'yes'\"", "field: \"'yes'\"", 21, "write: field says whose consent it is, and is written so"),
        ("consent_id: mc-7", "consent_id: crm", 6, 'consent_id: apps mailco and crm would both be "crm"'),
        (STORE, " {store: bultin}", 10, "store: write `builtin`, or a mapping with table, subject, app and granted"),
        (STORE, " {store: builtin}", 6, "consent_id: it names the app in a consent table of your own"),
    ],
)  # fmt: skip
def test_what_the_rules_alone_tell(old: str, new: str, line: int, message: str) -> None:
    found = problems(old, new)
    assert any(p.startswith(f"r.yaml:{line}: ") and message in p for p in found), found


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("public.consents", "public.consent", 12, 'relation "public.consent" is not in database shop'),
        ("subject: user_id", "subject: user", 13, 'subject: column "user" is not in public.consents (did you mean "user_id"?)'),
        ("status = 'yes'", "statis = 'yes'", 16, 'granted: column "statis" is not in public.consents (did you mean "status"?)'),
        ("status = 'yes'", "x.status = 'yes'", 16, "granted: write the column x.status by its name alone"),
        ("status = 'yes'", "lowr(status) = 'yes'", 16, "granted: function pg_catalog.lowr is not in the database"),
        ("expires: until", "expires: untill", 18, 'expires: column "untill" is not in public.consents'),
        ("status: \"'no'\"", "state: \"'no'\"", 22, 'write: column "state" is not in public.consents'),
    ],
)  # fmt: skip
def test_what_the_database_tells(old: str, new: str, line: int, message: str) -> None:
    found = problems(old, new)
    assert any(p.startswith(f"r.yaml:{line}: ") and message in p for p in found), found


def test_a_key_of_another_kind_and_a_copy_that_is_late() -> None:
    (text,) = problems("app: partner", "app: partner", snapshot(key="text"))
    assert "public.consents.user_id (text) cannot be compared with public.customers.id (int4) without a cast" in text
    (text,) = problems("app: partner", "app: partner", snapshot(kind="m"))
    assert "is a materialised view" in text


@pytest.mark.parametrize(("key", "customer"), [("bpchar", "text"), ("citext", "text"), ("text", "citext")])
def test_a_comparison_without_index_is_a_warning(key: str, customer: str) -> None:
    warnings = compiled(catalog=snapshot(key, customer=customer)).warnings
    assert any("are compared without an index" in warning for warning in warnings)
    assert not any("without an index" in w for w in compiled(catalog=snapshot("varchar", customer="text")).warnings)


def test_a_consent_table_that_is_open_is_a_warning() -> None:
    text = (RULES + STORE).replace("phone: phone}}", "phone: phone}}\n  public.consents: open")
    assert any("is open: an app whose login may write it" in warning for warning in compiled(text).warnings)


def test_the_transactions_time_is_the_statements() -> None:
    for clock in ("now()", "current_timestamp", "transaction_timestamp()", "pg_catalog.now()", "CURRENT_DATE"):
        made = store_expression(f"until > {clock}")
        assert "pg_catalog.statement_timestamp()" in made, made
    assert store_expression("until > 'now()'") == "until OPERATOR(pg_catalog.>) 'now()'"


def test_values_that_are_written() -> None:
    made = written_expression("coalesce(:expires_at::date, ':now')")
    assert replaced(made, {"expires_at": "$1"}) == "COALESCE($1::pg_catalog.date, ':now')"
    with pytest.raises(ExpressionError):
        written_expression(":expire_at")
