"""The first of the customer pages: who has access to what, and what was just changed."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from proxy.consent import service
from proxy.consent.access import AppAccess
from proxy.consent.service import Event
from proxy.consent.standing import Standing
from proxy.web.pages.switching import version_of
from proxy.web.pages.texts import Texts
from proxy.web.pages.visit import Visit
from proxy.web.pages.why import why


async def overview(visit: Visit) -> Response:
    """Who has access, and what was just changed."""
    done = visit.request.query_params.get("done", "")
    async with visit.site.connection() as connection:
        standings = await visit.standings(connection)
        restricted = await visit.site.is_restricted(connection, visit.subject)
        events = await service.decision(connection, visit.subject, done) if done else []
    seen = visit.apps(standings, restricted=restricted)
    apps = sorted(seen, key=lambda app: not any(one.consent for one in app.attributes))
    mapping = visit.site.in_force.words.mapping
    return visit.page(
        "me.html",
        here="access",
        apps=[_shown(app, visit.texts) for app in apps],
        done=_done(visit, events, standings, done),
        changeable=mapping is None or bool(mapping.store.write),
        restricted=restricted,
    )


def _shown(app: AppAccess, texts: Texts) -> dict[str, Any]:
    """An app as the template takes it: what it sees or asks for, then the names of what it does not see."""
    lines = [
        {
            "attribute": one.attribute,
            "label": one.label,
            "sees": one.sees,
            "consent": one.consent,
            "granted": one.granted,
            "last_read": one.last_read,
            "why": why(one, texts),
        }
        for one in app.attributes
        if one.sees != "nothing" or one.consent is not None
    ]
    switches = [one for one in app.attributes if one.consent is not None]
    return {
        "app": app.app,
        "label": app.label,
        "kind": app.kind,
        "purpose": app.purpose,
        "shown": lines,
        "hidden": [one.label for one in app.attributes if one.sees == "nothing" and one.consent is None],
        "whole": all(one.granted for one in switches) if len(switches) > 1 else None,
    }


def _done(visit: Visit, events: list[Event], standings: list[Standing], request: str) -> dict[str, Any] | None:
    """What was just decided, for the notice above the page."""
    if not events:
        return None
    attributes = [e.attribute for e in events]
    place = {name: n for n, name in enumerate(visit.site.in_force.rules.attributes)}
    in_order = sorted(attributes, key=lambda attribute: place.get(attribute, len(place)))
    labels = ", ".join(visit.attribute_label(attribute) for attribute in in_order)
    key = "done_grant" if events[0].decision == "granted" else "done_withdraw"
    return {
        "words": visit.texts(key, what=labels, app=visit.app_label(events[0].app)),
        "request": request,
        "expected": version_of(standings, events[0].app, attributes),
        "event": events[-1].id,
    }
