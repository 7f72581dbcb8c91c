"""docs/reference/api.md says what the code answers to."""

from __future__ import annotations

from pathlib import Path

from proxy.web.api import OPERATIONS
from proxy.web.app import API
from proxy.web.rates import CUSTOMER, GUESSES, SERVICE

PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "api.md").read_text("utf-8")


def test_every_call_is_on_the_page() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| `")]
    assert sorted(rows) == sorted(f"| `{o.method} {API}{o.path}` | {o.scope} | {o.summary} |" for o in OPERATIONS)


def test_the_limits_are_those_of_the_page() -> None:
    said = f"Limits: {SERVICE.amount} requests a minute for a token, {CUSTOMER.amount} for a customer; {GUESSES.amount} wrong"
    assert said in PAGE
