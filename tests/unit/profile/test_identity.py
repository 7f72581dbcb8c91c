"""One address, however it was written, is one."""

from __future__ import annotations

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
