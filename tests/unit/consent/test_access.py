"""What an app sees of a customer, told from the compiled rules and the customer's decisions."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from proxy.consent import access
from proxy.consent.service import Standing
from proxy.errors import ConsentryError
from proxy.policy.model import Attribute
from proxy.policy.table import (
    AppPolicy,
    CompiledRules,
    GovernedColumn,
    GovernedTable,
    Mask,
    PolicyRef,
    RowPolicy,
    Subject,
    Treatment,
)

NOW = datetime(2026, 11, 26, tzinfo=UTC)
ATTRIBUTES = {
    "name": Attribute(label="Name"),
    "email": Attribute(label="Email address"),
    "phone": Attribute(),
    "card": Attribute(label="Card", group="sensitive"),
}
AGREED = Treatment("show", Mask("null"), "opt_in", PolicyRef("those who agreed", "rules.yaml", 3))
HINT = Treatment("show", Mask("email"), "opt_in")
UNLESS = Treatment("show", Mask("null"), "opt_out")
CONTRACT = Treatment("show", basis="contract")
DROP = Treatment("drop", policy=PolicyRef("never", "rules.yaml", 9))


def app(
    columns: list[tuple[str, str | None, Treatment]],
    rows: tuple[str, ...] = (),
    trusted: bool = False,
    monitor: bool = False,
) -> AppPolicy:
    table = GovernedTable(
        "public",
        "customers",
        Subject("id"),
        tuple(GovernedColumn(*column) for column in columns),
        (RowPolicy(PolicyRef("rows", "rules.yaml", 1), rows),) if rows else (),
    )
    return AppPolicy(
        "mailco", "MailCo", "partner", "news", ("m",), trusted, monitor, tables={table.key: table} if columns else {}
    )


def seen(policy: AppPolicy, *decisions: tuple[str, str]) -> access.AppAccess:
    rules = CompiledRules("v", {"mailco": policy}, {})
    made = [Standing("mailco", a, d, d == "granted", NOW, None, "customer", n) for n, (a, d) in enumerate(decisions, 1)]  # type: ignore[arg-type]
    (one,) = access.access(
        rules, ATTRIBUTES, [*made, Standing("crm", "email", "granted", True, NOW, None, "agent", 99)]
    )
    return one


def told(one: access.AppAccess, attribute: str) -> tuple[object, ...]:
    found = one.attribute(attribute)
    return found.sees, found.why, found.consent, found.granted


def test_consent_that_is_asked() -> None:
    policy = app([("mail", "email", AGREED), ("card", "card", DROP)])
    assert told(seen(policy), "email") == ("nothing", "consent", "opt_in", False)
    given = seen(policy, ("email", "granted"))
    assert told(given, "email") == ("value", "consent", "opt_in", True)
    standing = given.attribute("email").standing
    assert standing is not None
    assert standing.event == 1
    assert given.attribute("email").policy == AGREED.policy
    assert told(seen(policy, ("email", "withdrawn")), "email") == ("nothing", "consent", "opt_in", False)
    assert told(given, "card") == ("nothing", "never", None, False)
    assert told(given, "phone") == ("nothing", "never", None, False)  # no column has it
    assert (given.attribute("phone").label, given.attribute("card").group) == ("phone", "sensitive")
    assert told(seen(app([("mail", "email", HINT)])), "email") == ("masked", "consent", "opt_in", False)


def test_silence_where_it_is_opt_out() -> None:
    policy = app([("mail", "email", UNLESS)])
    assert told(seen(policy), "email") == ("value", "consent", "opt_out", True)
    assert told(seen(policy, ("email", "withdrawn")), "email") == ("nothing", "consent", "opt_out", False)
    both = app([("mail", "email", UNLESS), ("second", "email", AGREED)])
    assert told(seen(both), "email") == ("value", "consent", "opt_in", False)  # what is seen, is said


def test_a_basis_goes_before_consent_that_shows_no_more() -> None:
    policy = app([("mail", "email", AGREED), ("login", "email", CONTRACT)])
    for decision in ("granted", "withdrawn"):
        one = seen(policy, ("email", decision))
        assert told(one, "email") == ("value", "basis", "opt_in", decision == "granted")
        assert one.attribute("email").basis == "contract"


def test_rows_that_exist_by_consent() -> None:
    policy = app([("mail", "email", CONTRACT), ("name", "name", CONTRACT)], rows=("email",))
    before, after = seen(policy), seen(policy, ("email", "granted"))
    assert told(before, "email") == ("nothing", "consent", "opt_in", False)
    assert told(before, "name") == ("nothing", "consent", None, False)  # the one to email
    assert told(after, "name") == ("value", "basis", None, False)
    assert [(c.attribute, c.before, c.after) for c in access.changes(before, after)] == [
        ("name", "nothing", "value"),
        ("email", "nothing", "value"),
    ]


@pytest.mark.parametrize("policy", [app([], trusted=True), app([("mail", "email", DROP)], monitor=True)])
def test_who_is_not_restricted_sees_all(policy: AppPolicy) -> None:
    one = seen(policy, ("email", "withdrawn"))
    assert {(a.sees, a.why, a.consent) for a in one.attributes} == {("value", "unrestricted", None)}
    assert access.asked(policy) == {}


def test_what_a_group_and_all_mean() -> None:
    policy = app([("mail", "email", AGREED), ("card", "card", AGREED), ("name", "name", CONTRACT)], rows=("phone",))
    assert access.named(policy, ATTRIBUTES, "email") == (["email"], None)
    assert access.named(policy, ATTRIBUTES, "all") == (["card", "email", "phone"], "all")
    assert access.named(policy, ATTRIBUTES, "group:sensitive") == (["card"], "group:sensitive")
    with pytest.raises(ConsentryError, match="asks no consent for an attribute of group unstructured"):
        access.named(policy, ATTRIBUTES, "group:unstructured")


def test_a_change_is_told_before_it_is_made() -> None:
    policy = app([("mail", "email", AGREED)])
    rules = CompiledRules("v", {"mailco": policy}, {})
    later = access.after([], "mailco", ["email"], "granted", NOW)
    (one,) = access.access(rules, ATTRIBUTES, later)
    assert access.changes(seen(policy), one) == (access.Change("email", "Email address", "nothing", "value"),)


def last_read(policy: AppPolicy, at: datetime, *decisions: tuple[str, str, datetime]) -> dict[str, datetime | None]:
    rules = CompiledRules("v", {"mailco": policy}, {})
    made = [Standing("mailco", a, d, d == "granted", since, None, "customer", 1) for a, d, since in decisions]  # type: ignore[arg-type]
    (one,) = access.access(rules, ATTRIBUTES, made, {("mailco", name): at for name in ATTRIBUTES})
    return {line.attribute: line.last_read for line in one.attributes}


def test_the_last_read_is_told_where_it_can_have_been_of_this_customer() -> None:
    policy = app([("n", "name", CONTRACT), ("e", "email", AGREED), ("p", "phone", HINT), ("c", "card", DROP)])
    read, before, later = NOW, datetime(2026, 11, 25, tzinfo=UTC), datetime(2026, 11, 27, tzinfo=UTC)
    assert last_read(policy, read) == {"name": read, "email": None, "phone": read, "card": None}
    assert last_read(policy, read, ("email", "granted", before))["email"] == read
    assert last_read(policy, read, ("email", "granted", later))["email"] is None
    assert last_read(policy, read, ("email", "withdrawn", later))["email"] is None
