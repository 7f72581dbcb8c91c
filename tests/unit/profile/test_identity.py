"""One address, however it was written, is one."""

from __future__ import annotations

from time import monotonic

import pytest

from proxy.profile import identity


@pytest.mark.parametrize(
    "raw",
    [
        "ann@example.org",
        " ANN@Example.org\n",
        "mailto:ann@example.org",
        "MAILTO:ann%40example.org?subject=Hello",
        "mailto:%EF%BC%A1nn@example.org",
        "Ann Example <ann@example.org>",
        '"Example, Ann" <Ann@example.org>',
        "ann@example.org <mailto:ann@example.org>",
        "<ann@example.org>",
        "'ann@example.org'",
        "ann@example.org.",
        "ann@example.org;",
        "ａｎｎ＠ｅｘａｍｐｌｅ．ｏｒｇ",
        "\ufeffann@exam\u00adple.org\u200b",
    ],
)
def test_an_address_however_it_was_written(raw: str) -> None:
    assert identity.email(raw) == "ann@example.org"


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "ann",
        "ann@example",
        "@example.org",
        "ann@example.org;bob@example.org",
        "ann@example.org, bob@example.org",
        "ann@example.org bob@example.org",
        "ann@example.org <bob@example.org>",
        "mailto:ann@example.org,bob@example.org",
        "<ann@example.org> <bob@example.org>",
        "ann at example.org",
        "mailto:ann%00@example.org",
    ],
)
def test_none_or_several(raw: str) -> None:
    assert identity.email(raw) is None


@pytest.mark.parametrize(
    ("raw", "held"), [("ann@example.org;bob@example.org", True), ("ann＠example", True), ("n/a", False)]
)
def test_what_may_be_an_address(raw: str, held: bool) -> None:
    assert identity.may_hold_email(raw) == held


def test_domains_as_dns_has_them() -> None:
    assert identity.email("Ann@Bücher.example") == "ann@xn--bcher-kva.example"


@pytest.mark.parametrize(
    ("kind", "raw", "found"),
    [
        ("email", "c300@ex.org, other@x.example", ["c300@ex.org", "other@x.example"]),
        ("email", "Ann <c301@EX.org>, zz@zz.example", ["c301@ex.org", "zz@zz.example"]),
        ("email", "a@x.org/b@y.org|c@z.org", ["a@x.org", "b@y.org", "c@z.org"]),
        ("email", "a@x.org (or b@y.org)", ["a@x.org", "b@y.org"]),
        ("email", "Ann <ann@example.org>", []),
        ("email", "o'hara/team@example.org", []),
        ("email", "(ann@example.org)", []),
        ("email", "nobody", []),
        ("phone", "030 1234567 / 0171 7654321", ["+491717654321", "+49301234567"]),
        ("phone", "+49301234567, +49307654321", ["+49301234567", "+49307654321"]),
        ("phone", "030 1234567 oder 0171 7654321", ["+491717654321", "+49301234567"]),
        ("phone", "030/1234567", []),
        ("phone", "none", []),
    ],
)
def test_each_of_several(kind: str, raw: str, found: list[str]) -> None:
    assert identity.several(kind, raw, "DE") == found


def test_a_long_text_is_looked_through_at_once() -> None:
    for text in ("a" * 20_000, "a@" * 10_000, "1 " * 10_000, "+49" * 6_000):
        begun = monotonic()
        identity.several("email", text, "DE")
        identity.several("phone", text, "DE")
        assert monotonic() - begun < 5
