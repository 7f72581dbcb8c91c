"""What `hints: false` keeps back over HTTP, as the hints of SQL."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from proxy.errors import insufficient_privilege
from proxy.rewrite.result import REFUSED_TEXT, Plan
from proxy.web.problems import Problem
from proxy.web.profiles import ProfilePage, get_profiles

REFUSAL = "It reads public.customers, whose column salary the rules hide."


class Records:
    """Of the audit log."""

    full_text = False

    def __init__(self) -> None:
        self.written: list[tuple[str, ...]] = []

    async def write(self, *parts: str) -> None:
        self.written.append(parts)


def call(show_hints: bool) -> Any:
    relation = ("consentry", "profile")
    profile = SimpleNamespace(relation=relation, columns=())
    app = SimpleNamespace(name="mail", trusted=False)
    compiled = SimpleNamespace(
        profile=profile, logins={"mail": "mail"}, apps={"mail": app}, show_hints=show_hints, version="v"
    )
    planner = SimpleNamespace(
        profile=lambda: SimpleNamespace(refusal=REFUSAL),
        plan=lambda sql, path: Plan(REFUSED_TEXT, sql, True, (), insufficient_privilege("permission denied")),
        app=app,
        rules=compiled,
    )
    current = SimpleNamespace(
        compiled=compiled, snapshot=SimpleNamespace(relations={relation: None}), planner=lambda name: planner
    )
    return SimpleNamespace(
        site=SimpleNamespace(in_force=current, records=Records(), database="shop"),
        caller=SimpleNamespace(login="mail", name="token mail"),
        request=SimpleNamespace(client=None),
        query=ProfilePage(),
    )


@pytest.mark.parametrize("show_hints", [True, False])
async def test_why_an_app_has_nothing_of_the_profile_is_a_hint(show_hints: bool) -> None:
    asked = call(show_hints)
    with pytest.raises(Problem) as caught:
        await get_profiles(asked)
    assert caught.value.status == 403
    assert (REFUSAL in caught.value.detail) is show_hints
    ((event, session, _, tail),) = asked.site.records.written
    assert (event, '"app":"mail"' in session, '"sqlstate":"42501"' in tail) == ("refused", True, True)
