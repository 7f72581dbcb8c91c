"""What the pages of auditors and of agents share: who is in, how they come and go, and how an error is told."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from proxy.errors import ConsentryError, UnreachableError
from proxy.web.auditors import Auditor, Door, auditor_of, log_in
from proxy.web.callers import refuse_forged
from proxy.web.pages.forms import read_form
from proxy.web.pages.render import base, staff_page
from proxy.web.problems import Problem
from proxy.web.rates import Rates
from proxy.web.site import Site


@dataclass(frozen=True, slots=True)
class Pages:
    """The pages behind a door.

    `templates`: what the names of the templates for logging in and for errors begin with. `refused`: the status of an
    error of ours that is not about something out of reach.
    """

    door: Door
    templates: str
    refused: int

    def show(self, site: Site, request: Request, template: str, status: int = 200, **values: Any) -> Response:
        """A page from one of their templates."""
        return staff_page(site, request, f"{template}.html", status, self.door, **values)

    def login(self, site: Site, request: Request, status: int, problem: str = "") -> Response:
        """The page for who is not in."""
        return self.show(site, request, f"{self.templates}_login", status, problem=problem, closed=site.keys is None)

    def say(self, site: Site, request: Request, words: str, status: int) -> Response:
        """The page that tells an error."""
        return self.show(site, request, f"{self.templates}_message", status, words=words)


@dataclass(frozen=True, slots=True)
class Visit:
    """One request of somebody who is logged in."""

    pages: Pages
    site: Site
    request: Request
    staff: Auditor

    @property
    def name(self) -> str:
        """Of the token that opened the session."""
        return self.staff.token.name

    def page(self, template: str, here: str = "", **values: Any) -> Response:
        """A page from its template, with the session's own token for forms."""
        assert self.site.keys is not None
        token = self.site.keys.form_token(self.staff.session)
        return self.pages.show(
            self.site, self.request, template, form_token=token, here=here, staff=self.staff, **values
        )

    async def form(self) -> QueryParams:
        """What was sent by a form of these pages. Raises Problem: it is none of this session's."""
        form = await read_form(self.request)
        refuse_forged(self.request, self.site, self.staff.session, form.get("form", ""))
        return form

    def redirect(self, path: str) -> Response:
        """To another page, after a form."""
        return RedirectResponse(f"{base(self.request)}{path}", 303)


Handled = tuple[str, Callable[[Visit], Awaitable[Response]], str]  # path, what answers, method


def staff_routes(pages: Pages, site: Site, rates: Rates, handled: Sequence[Handled]) -> list[BaseRoute]:
    """All routes behind a door: these, logging in and out."""
    door = pages.door

    def route(path: str, handle: Callable[[Visit], Awaitable[Response]], method: str) -> Route:
        async def endpoint(request: Request) -> Response:
            try:
                staff = await auditor_of(request, site, rates, door)
                if staff is None:
                    return pages.login(site, request, 200 if path == door.path else 401)
                return await handle(Visit(pages, site, request, staff))
            except Problem as problem:
                return pages.say(site, request, problem.detail, problem.status)
            except ConsentryError as error:
                status = 503 if isinstance(error, UnreachableError) else pages.refused
                return pages.say(site, request, str(error), status)

        return Route(path, endpoint, methods=[method])

    async def enter(request: Request) -> Response:
        try:
            form = await read_form(request)
            return await log_in(
                request, site, rates, form.get("token", "").strip(), f"{base(request)}{door.path}", door
            )
        except Problem as problem:
            return pages.login(site, request, problem.status, problem.detail)
        except ConsentryError as error:
            return pages.say(site, request, str(error), 503)

    return [
        *(route(*one) for one in handled),
        route(f"{door.path}/out", leave, "POST"),
        Route(f"{door.path}/login", enter, methods=["POST"]),
    ]


async def leave(visit: Visit) -> Response:
    """Ends the session in this browser."""
    await visit.form()
    door = visit.pages.door
    answer = visit.redirect(door.path)
    answer.delete_cookie(door.cookie, path=door.path, httponly=True, samesite="strict")
    return answer
