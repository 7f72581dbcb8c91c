"""The agents' pages for records that fit no customer, or several: side by side, decided, taken back."""

from __future__ import annotations

import logging
from typing import Final, get_args
from urllib.parse import urlencode

from starlette.responses import Response

from proxy.profile import review
from proxy.profile.review import Choice
from proxy.rights import reviewing
from proxy.rights.desk import note
from proxy.web.pages.staff import Handled, Visit
from proxy.web.problems import Problem

log = logging.getLogger(__name__)

PAGE: Final = 100


async def show_records(visit: Visit) -> Response:
    """Those that wait, the ones with candidates first."""
    async with visit.site.connection() as connection:
        found = await review.waiting(connection, limit=PAGE + 1)
    return visit.page("review", records=found[:PAGE], more=len(found) > PAGE, address=_address)


async def show_record(visit: Visit) -> Response:
    """One of them beside the customers whose it may be, or beside the one whose it is."""
    source, key = _named(visit.request.query_params.get("source"), visit.request.query_params.get("key"))
    async with visit.site.connection() as connection:
        found = await review.pair(connection, visit.site.in_force.compiled, source, key)
        decided = await review.decided(connection, source, key)
        await note(visit.site.desk(connection, actor_of(visit)), "show")
    attributes = visit.site.in_force.rules.attributes
    labels = {name: (attributes[name].label if name in attributes else "") or name for name in _attributes(found)}
    return visit.page("review_record", found=found, decided=decided, labels=labels, told=review.told)


async def decide_record(visit: Visit) -> Response:
    """Records what the agent decided, or takes the last decision back."""
    form = await visit.form()
    source, key = _named(form.get("source"), form.get("key"))
    choice = form.get("choice", "")
    seen = form.get("seen", "")
    async with visit.site.connection() as connection:
        desk = visit.site.desk(connection, actor_of(visit))
        if choice == "undo":
            await reviewing.undo(desk, source, key, seen)
        elif choice in get_args(Choice):
            chosen: Choice = choice  # type: ignore[assignment]
            await reviewing.decide(desk, source, key, chosen, subject=form.get("subject") or None, seen=seen)
        else:
            raise Problem(422, "a decision is same, other, new or undo")
    log.info("record %s of %s: %s by %s", key, source, choice, visit.name)
    return visit.redirect(_address(source, key))


REVIEW: Final[tuple[Handled, ...]] = (
    ("/requests/records", show_records, "GET"),
    ("/requests/record", show_record, "GET"),
    ("/requests/record", decide_record, "POST"),
)


def actor_of(visit: Visit) -> str:
    """Who decided, as records of decisions call them."""
    return f"agents' page, {visit.name}"


def _named(source: str | None, key: str | None) -> tuple[str, str]:
    if not source or not key:
        raise Problem(400, "the address names no record: source and key")
    return source, key


def _address(source: str, key: str) -> str:
    return f"/requests/record?{urlencode({'source': source, 'key': key})}"


def _attributes(found: review.Pair) -> list[str]:
    return list(review.attributes_of(found))
