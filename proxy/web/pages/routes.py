"""The customer pages: who has access to my data, and the switches. Server-rendered; scripts only make them smoother.

A change is asked (GET /me/change), made (POST /me/change) and told (GET /me?done=...), so that nothing is sent twice
by going back.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Awaitable, Callable
from pathlib import Path

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from proxy.errors import ConsentryError, UnreachableError
from proxy.web.callers import COOKIE, Caller, session_of
from proxy.web.pages.asking import ask_for, show_requests
from proxy.web.pages.collect import collect_routes
from proxy.web.pages.download import download
from proxy.web.pages.entrance import enter_by_link, login_routes
from proxy.web.pages.history import history, save_receipt, show_receipt
from proxy.web.pages.overview import overview
from proxy.web.pages.render import LANGUAGE_COOKIE, base, render
from proxy.web.pages.switching import ask, decide, undo
from proxy.web.pages.texts import choose
from proxy.web.pages.visit import Visit
from proxy.web.problems import Problem
from proxy.web.rates import Rates
from proxy.web.site import Site


def page_routes(site: Site, rates: Rates) -> list[BaseRoute]:
    """All routes of the pages."""

    def page(path: str, handle: Callable[[Visit], Awaitable[Response]], method: str = "GET") -> Route:
        async def endpoint(request: Request) -> Response:
            return await _visit(site, rates, request, handle)

        return Route(path, endpoint, methods=[method])

    async def theme(_: Request) -> Response:
        return Response(site.theme, media_type="text/css", headers={"Cache-Control": "max-age=300"})

    async def logo(_: Request) -> Response:
        if site.logo is None:
            raise Problem(404, "there is no logo")
        return _logo(site.logo)

    async def enter(request: Request) -> Response:
        if "token" in request.query_params:
            return enter_by_link(site, rates, request)
        return await _visit(site, rates, request, overview)

    return [
        Route("/me", enter),
        page("/me/change", ask),
        page("/me/change", decide, "POST"),
        page("/me/undo", undo, "POST"),
        page("/me/history", history),
        page("/me/receipt/{number:int}", show_receipt),
        page("/me/receipt/{number:int}.json", save_receipt),
        page("/me/data", download),
        page("/me/requests", show_requests),
        page("/me/requests", ask_for, "POST"),
        page("/me/out", leave, "POST"),
        *login_routes(site, rates),
        *collect_routes(site, rates),
        Route("/me/theme.css", theme),
        Route("/me/logo", logo),
        Mount("/me/static", StaticFiles(packages=[("proxy.web.pages", "static")])),
    ]


async def leave(visit: Visit) -> Response:
    """Ends the session in this browser."""
    await visit.form()
    answer = render(visit.site, visit.request, visit.texts, "message.html", "", 200, key="out")
    answer.delete_cookie(COOKIE, path="/", httponly=True, samesite="lax")
    return answer


async def _visit(
    site: Site, rates: Rates, request: Request, handle: Callable[[Visit], Awaitable[Response]]
) -> Response:
    """The handler's answer; what goes wrong is said in the visitor's words."""
    texts = choose(request, site.texts, LANGUAGE_COOKIE)
    session = session_of(request, site)
    if session is None:
        if site.provider is not None and request.method == "GET":
            return RedirectResponse(f"{base(request)}/me/login", 303, {"Cache-Control": "no-store"})
        return render(site, request, texts, "message.html", "", 401, key="expired")
    visit = Visit(site, request, texts, session)
    try:
        rates.take(Caller("customer", frozenset(), session.subject, session))
        answer = await handle(visit)
    except Problem as problem:
        said = {403: "forged", 429: "slow", 404: "missing"}.get(problem.status, "forged")
        return visit.message(said, problem.status)
    except UnreachableError:
        return visit.message("busy", 503)
    except ConsentryError:
        return visit.message("missing", 404)
    if "lang" in request.query_params:
        answer.set_cookie(LANGUAGE_COOKIE, texts.language, max_age=365 * 86_400, path="/", samesite="lax")
    return answer


def _logo(file: Path) -> Response:
    kind = mimetypes.guess_type(file.name)[0] or ""
    if not kind.startswith("image/"):
        raise Problem(404, "the logo is no image")
    # An SVG may hold scripts: the policy that comes with it lets none run, also where it is opened by itself.
    headers = {
        "Cache-Control": "max-age=300",
        "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    }
    return Response(file.read_bytes(), media_type=kind, headers=headers)
