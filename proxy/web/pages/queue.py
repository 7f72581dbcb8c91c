"""The agents' pages: customers' requests that wait, what confirming one would do, and the decision."""

from __future__ import annotations

import logging
from typing import Final

from starlette.responses import Response
from starlette.routing import BaseRoute

from proxy.errors import ConsentryError
from proxy.rights import erasure, rectifying, requests
from proxy.rights.erasure import Erasure
from proxy.rights.rectifying import Rectification
from proxy.web.auditors import REQUESTS
from proxy.web.pages.review import REVIEW, actor_of
from proxy.web.pages.staff import Pages, Visit, staff_routes
from proxy.web.problems import Problem
from proxy.web.rates import Rates
from proxy.web.site import Site

log = logging.getLogger(__name__)


_PAGES: Final = Pages(REQUESTS, "queue", refused=409)


def queue_routes(site: Site, rates: Rates) -> list[BaseRoute]:
    """All routes of the agents' pages."""
    return staff_routes(
        _PAGES,
        site,
        rates,
        [
            ("/requests", show_queue, "GET"),
            ("/requests/{number:int}", show_request, "GET"),
            ("/requests/{number:int}", decide, "POST"),
            *REVIEW,
        ],
    )


async def show_queue(visit: Visit) -> Response:
    """Those that wait, the next due first."""
    async with visit.site.connection() as connection:
        found = await requests.waiting(connection)
    return visit.page("queue", requests=found, labels=_labels(visit.site))


async def show_request(visit: Visit) -> Response:
    """One of them, and what confirming it would do."""
    found = await _request(visit)
    erased: Erasure | None = None
    corrected: Rectification | None = None
    problem = ""
    if found.status == "open" and found.subject is not None:
        try:
            async with visit.site.patient_connection() as connection:
                desk = visit.site.desk(connection, actor_of(visit))
                if found.kind == "erase":
                    erased = await erasure.survey(desk, found.subject)
                elif found.attribute is not None and found.value is not None:
                    corrected = await rectifying.prospect(desk, found.subject, found.attribute, found.value)
        except ConsentryError as error:
            problem = str(error)
    return visit.page(
        "queue_request",
        one=found,
        would=erased,
        corrected=corrected,
        problem=problem,
        labels=_labels(visit.site),
        ledger=erasure.LEDGER,
    )


async def decide(visit: Visit) -> Response:
    """Confirms or refuses it."""
    form = await visit.form()
    number = visit.request.path_params["number"]
    async with visit.site.patient_connection() as connection:
        if form.get("decision") == "confirmed":
            columns = form.getlist("column")
            if form.get("choose") and not columns:
                raise Problem(422, "choose what is to be corrected")
            await visit.site.take()
            desk = visit.site.desk(connection, actor_of(visit))
            await requests.confirm(desk, number, columns=columns, every_row=form.get("every_row") == "yes")
        elif form.get("decision") == "refused" and form.get("reason", "").strip():
            desk = visit.site.desk(connection, actor_of(visit))
            await requests.refuse(desk, number, form["reason"].strip()[:200])
        else:
            raise Problem(422, "a refusal needs a reason, for the customer to read")
    log.info("request %d was %s by %s", number, form["decision"], visit.name)
    return visit.redirect(f"/requests/{number}")


async def _request(visit: Visit) -> requests.Request:
    number = visit.request.path_params["number"]
    async with visit.site.connection() as connection:
        found = await requests.one(connection, number) if number < 2**63 else None
    if found is None:
        raise Problem(404, "there is no such request")
    return found


def _labels(site: Site) -> dict[str, str]:
    return {name: one.label or name for name, one in site.in_force.rules.attributes.items()}
