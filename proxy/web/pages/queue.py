"""The agents' pages: customers' requests that wait, what confirming one would do, and the decision."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from proxy.errors import ConsentryError, UnreachableError
from proxy.rights import erasure, requests
from proxy.rights.erasure import Erasure
from proxy.web.auditors import REQUESTS, Auditor, auditor_of, log_in
from proxy.web.callers import refuse_forged
from proxy.web.pages.forms import read_form
from proxy.web.pages.render import base, staff_page
from proxy.web.pages.review import REVIEW
from proxy.web.problems import Problem
from proxy.web.rates import Rates
from proxy.web.site import Site

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Visit:
    """One request of an agent who is logged in."""

    site: Site
    request: Request
    agent: Auditor

    @property
    def actor(self) -> str:
        return f"agents' page, {self.agent.token.name}"

    def page(self, template: str, status: int = 200, **values: Any) -> Response:
        assert self.site.keys is not None
        token = self.site.keys.form_token(self.agent.session)
        return staff_page(self.site, self.request, template, status, form_token=token, agent=self.agent, **values)


def queue_routes(site: Site, rates: Rates) -> list[BaseRoute]:
    """All routes of the agents' pages."""

    def page(path: str, handle: Callable[[Visit], Awaitable[Response]], method: str = "GET") -> Route:
        async def endpoint(request: Request) -> Response:
            try:
                agent = await auditor_of(request, site, rates, REQUESTS)
                if agent is None:
                    return _login(site, request, 200 if path == REQUESTS.path else 401)
                return await handle(Visit(site, request, agent))
            except Problem as problem:
                return _said(site, request, problem.detail, problem.status)
            except ConsentryError as error:
                return _said(site, request, str(error), 503 if isinstance(error, UnreachableError) else 409)

        return Route(path, endpoint, methods=[method])

    async def enter(request: Request) -> Response:
        try:
            form = await read_form(request)
            given, to = form.get("token", "").strip(), f"{base(request)}{REQUESTS.path}"
            return await log_in(request, site, rates, given, to, REQUESTS)
        except Problem as problem:
            return _login(site, request, problem.status, problem.detail)
        except ConsentryError as error:
            return _said(site, request, str(error), 503)

    return [
        page("/requests", show_queue),
        page("/requests/{number:int}", show_request),
        page("/requests/{number:int}", decide, "POST"),
        page("/requests/out", leave, "POST"),
        *(page(path, handle, method) for path, handle, method in REVIEW),
        Route("/requests/login", enter, methods=["POST"]),
    ]


async def show_queue(visit: Visit) -> Response:
    """Those that wait, the next due first."""
    async with visit.site.connection() as connection:
        found = await requests.waiting(connection)
    return visit.page("queue.html", requests=found, labels=_labels(visit.site))


async def show_request(visit: Visit) -> Response:
    """One of them, and what confirming it would do."""
    found = await _request(visit)
    would: Erasure | None = None
    problem = ""
    if found.kind == "erase" and found.status == "open" and found.subject is not None:
        try:
            async with visit.site.patient_connection() as connection:
                would = await erasure.survey(visit.site.desk(connection, visit.actor), found.subject)
        except ConsentryError as error:
            problem = str(error)
    labels = _labels(visit.site)
    return visit.page(
        "queue_request.html", one=found, would=would, problem=problem, labels=labels, ledger=erasure.LEDGER
    )


async def decide(visit: Visit) -> Response:
    """Confirms or refuses it."""
    form = await read_form(visit.request)
    refuse_forged(visit.request, visit.site, visit.agent.session, form.get("form", ""))
    number = visit.request.path_params["number"]
    async with visit.site.patient_connection() as connection:
        if form.get("decision") == "confirmed":
            await visit.site.take()
            await requests.confirm(visit.site.desk(connection, visit.actor), number)
        elif form.get("decision") == "refused" and form.get("reason", "").strip():
            await requests.refuse(connection, number, form["reason"].strip()[:200], visit.actor)
        else:
            raise Problem(422, "a refusal needs a reason, for the customer to read")
    log.info("request %d was %s by %s", number, form["decision"], visit.agent.token.name)
    return RedirectResponse(f"{base(visit.request)}/requests/{number}", 303)


async def leave(visit: Visit) -> Response:
    """Ends the session in this browser."""
    form = await read_form(visit.request)
    refuse_forged(visit.request, visit.site, visit.agent.session, form.get("form", ""))
    answer = RedirectResponse(f"{base(visit.request)}{REQUESTS.path}", 303)
    answer.delete_cookie(REQUESTS.cookie, path=REQUESTS.path, httponly=True, samesite="strict")
    return answer


async def _request(visit: Visit) -> requests.Request:
    number = visit.request.path_params["number"]
    async with visit.site.connection() as connection:
        found = await requests.one(connection, number) if number < 2**63 else None
    if found is None:
        raise Problem(404, "there is no such request")
    return found


def _labels(site: Site) -> dict[str, str]:
    return {name: one.label or name for name, one in site.in_force.rules.attributes.items()}


def _login(site: Site, request: Request, status: int, problem: str = "") -> Response:
    return staff_page(site, request, "queue_login.html", status, problem=problem, closed=site.keys is None)


def _said(site: Site, request: Request, words: str, status: int) -> Response:
    return staff_page(site, request, "queue_message.html", status, words=words)
