"""What `hints: false` keeps back over HTTP, as the hints of SQL."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from proxy.web.problems import Problem
from proxy.web.profiles import get_profiles

REFUSAL = "It reads public.customers, whose column salary the rules hide."


def call(show_hints: bool) -> Any:
    relation = ("consentry", "profile")
    compiled = SimpleNamespace(
        profile=SimpleNamespace(relation=relation), logins={"mail": "mail"}, show_hints=show_hints
    )
    planner = SimpleNamespace(profile=lambda: SimpleNamespace(refusal=REFUSAL))
    current = SimpleNamespace(
        compiled=compiled, snapshot=SimpleNamespace(relations={relation: None}), planner=lambda name: planner
    )
    return SimpleNamespace(site=SimpleNamespace(in_force=current), caller=SimpleNamespace(login="mail"))


@pytest.mark.parametrize("show_hints", [True, False])
async def test_why_an_app_has_nothing_of_the_profile_is_a_hint(show_hints: bool) -> None:
    with pytest.raises(Problem) as caught:
        await get_profiles(call(show_hints))
    assert caught.value.status == 403
    assert (REFUSAL in caught.value.detail) is show_hints
