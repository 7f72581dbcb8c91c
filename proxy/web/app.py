"""The web side as an ASGI application: the consent API, and whether the whole is well."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route, Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from proxy.errors import ConsentryError
from proxy.web import problems
from proxy.web.api import OPERATIONS
from proxy.web.openapi import describe
from proxy.web.operations import route
from proxy.web.pages.audit import audit_routes
from proxy.web.pages.queue import queue_routes
from proxy.web.pages.routes import page_routes
from proxy.web.problems import Problem
from proxy.web.rates import Rates
from proxy.web.site import Site

API = "/api"
_HEADERS = {
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"same-origin",
    b"content-security-policy": b"default-src 'none'; frame-ancestors 'none'",
}


def make_app(site: Site, rates: Rates | None = None) -> ASGIApp:
    """The application over a site that has started; it stops it at its end."""
    counted = rates or Rates()
    description = describe(OPERATIONS, API)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        await site.stop()

    async def openapi(_: Request) -> Response:
        return JSONResponse(description)

    async def healthz(_: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def readyz(_: Request) -> Response:
        try:
            async with site.connection() as connection:
                await connection.fetchval("SELECT 1")
        except ConsentryError as error:
            return PlainTextResponse(f"{error}\n", 503)
        return PlainTextResponse("ok\n")

    # A slash more or less is another address, whose subject key is another one: nobody is sent elsewhere.
    api = Router([route(operation, site, counted) for operation in OPERATIONS], redirect_slashes=False)
    app = Starlette(
        routes=[
            Route("/openapi.json", openapi),
            Route("/healthz", healthz),
            Route("/readyz", readyz),
            Mount(API, api),
            *page_routes(site, counted),
            *audit_routes(site, counted),
            *queue_routes(site, counted),
        ],
        exception_handlers={Problem: problems.answer, HTTPException: _http_problem, Exception: _fault},
        lifespan=lifespan,
    )
    return _Undecoded(_WithHeaders(app))


async def _http_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    said = {404: "there is nothing at this address", 405: "this address does not take that method"}
    detail = said.get(error.status_code, error.detail)
    return await problems.answer(request, Problem(error.status_code, detail, headers=error.headers))


async def _fault(request: Request, _error: Exception) -> Response:
    return await problems.answer(request, Problem(500, "the web side made a mistake; its log says more"))


class _Undecoded:
    """Routes by the path as it was sent, so that a subject key may hold a slash (%2F)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope = {**scope, "path": scope["raw_path"].decode("ascii", "replace")}
        await self._app(scope, receive, send)


class _WithHeaders:
    """Adds what keeps browsers careful, where an answer does not say it itself."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                there = {name.lower() for name, _ in message["headers"]}
                message["headers"] = [
                    *message["headers"],
                    *((name, value) for name, value in _HEADERS.items() if name not in there),
                ]
            await send(message)

        await self._app(scope, receive, sending)
