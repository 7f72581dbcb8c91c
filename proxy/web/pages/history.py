"""What a customer decided, newest first, and the receipt of each decision: to print, and as a file."""

from __future__ import annotations

import re
from typing import Final

from starlette.responses import JSONResponse, Response

from proxy.consent import service
from proxy.consent.receipt import receipt
from proxy.consent.service import Event
from proxy.web.pages.visit import Visit
from proxy.web.problems import Problem

PAGE: Final = 20


async def history(visit: Visit) -> Response:
    """The customer's decisions, newest first."""
    before = visit.request.query_params.get("before", "")
    if before and not re.fullmatch(r"\d{1,18}", before):
        raise Problem(404, "there is no such page")
    async with visit.site.connection() as connection:
        events = await service.history(
            connection, visit.subject, before=int(before) if before else None, limit=PAGE + 1
        )
    shown = events[:PAGE]
    lines = [
        {
            "id": e.id,
            "label": visit.attribute_label(e.attribute),
            "app": visit.app_label(e.app),
            "decision": e.decision,
            "actor": e.actor,
            "at": e.at,
        }
        for e in shown
    ]
    return visit.page("history.html", here="history", events=lines, next=shown[-1].id if len(events) > PAGE else None)


async def show_receipt(visit: Visit) -> Response:
    """One decision, to print."""
    event = await _event(visit)
    app = visit.site.in_force.compiled.apps.get(event.app)
    return visit.page(
        "receipt.html",
        event=event,
        app=visit.app_label(event.app),
        attribute=visit.attribute_label(event.attribute),
        purpose=app.purpose if app else "",
        words=(event.evidence or {}).get("shown", ""),
    )


async def save_receipt(visit: Visit) -> Response:
    """One decision, as a file."""
    event = await _event(visit)
    current = visit.site.in_force
    made = receipt(
        event,
        current.compiled.apps.get(event.app),
        current.rules.attributes.get(event.attribute),
        visit.site.organisation,
    )
    headers = {"Content-Disposition": f'attachment; filename="receipt-{event.id}.json"', "Cache-Control": "no-store"}
    return JSONResponse(made, headers=headers)


async def _event(visit: Visit) -> Event:
    number = visit.request.path_params["number"]
    async with visit.site.connection() as connection:
        found = await service.event(connection, visit.subject, number) if number < 2**63 else None
    if found is None:
        raise Problem(404, "there is no such record")
    return found
