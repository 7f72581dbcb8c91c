"""The agents' pages for records that fit no customer, or several: side by side, decided, taken back."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, get_args
from urllib.parse import urlencode

from starlette.responses import RedirectResponse, Response

from proxy.profile import review
from proxy.profile.review import Choice
from proxy.web.callers import refuse_forged
from proxy.web.pages.forms import read_form
from proxy.web.pages.render import base
from proxy.web.problems import Problem

if TYPE_CHECKING:
    from proxy.web.pages.queue import Visit

log = logging.getLogger(__name__)

PAGE: Final = 100


async def show_records(visit: Visit) -> Response:
    """Those that wait, the ones with candidates first."""
    async with visit.site.connection() as connection:
        found = await review.waiting(connection, limit=PAGE + 1)
    return visit.page("review.html", records=found[:PAGE], more=len(found) > PAGE, address=_address)


async def show_record(visit: Visit) -> Response:
    """One of them beside the customers whose it may be, or beside the one whose it is."""
    source, key = _named(visit.request.query_params.get("source"), visit.request.query_params.get("key"))
    async with visit.site.connection() as connection:
        found = await review.pair(connection, visit.site.in_force.compiled, source, key)
        decided = await review.decided(connection, source, key)
    attributes = visit.site.in_force.rules.attributes
    labels = {name: (attributes[name].label if name in attributes else "") or name for name in _attributes(found)}
    return visit.page("review_record.html", found=found, decided=decided, labels=labels)


async def decide_record(visit: Visit) -> Response:
    """Records what the agent decided, or takes the last decision back."""
    form = await read_form(visit.request)
    refuse_forged(visit.request, visit.site, visit.agent.session, form.get("form", ""))
    source, key = _named(form.get("source"), form.get("key"))
    choice = form.get("choice", "")
    rules = visit.site.in_force.rules
    async with visit.site.connection() as connection:
        if choice == "undo":
            await review.undo(connection, rules, source, key)
        elif choice in get_args(Choice):
            chosen: Choice = choice  # type: ignore[assignment]
            subject = form.get("subject") or None
            await review.decide(connection, rules, source, key, chosen, actor=visit.actor, subject=subject)
        else:
            raise Problem(422, "a decision is same, other, new or undo")
    log.info("record %s of %s: %s by %s", key, source, choice, visit.agent.token.name)
    return RedirectResponse(f"{base(visit.request)}{_address(source, key)}", 303)


REVIEW: Final[tuple[tuple[str, Callable[[Visit], Awaitable[Response]], str], ...]] = (
    ("/requests/records", show_records, "GET"),
    ("/requests/record", show_record, "GET"),
    ("/requests/record", decide_record, "POST"),
)


def _named(source: str | None, key: str | None) -> tuple[str, str]:
    if not source or not key:
        raise Problem(400, "the address names no record: source and key")
    return source, key


def _address(source: str, key: str) -> str:
    return f"/requests/record?{urlencode({'source': source, 'key': key})}"


def _attributes(found: review.Pair) -> list[str]:
    return list(review.attributes_of(found))
