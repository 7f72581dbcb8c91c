"""How a customer comes in: by a signed link, or by the organisation's own login (OpenID Connect)."""

from __future__ import annotations

import logging
from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from proxy.web.callers import COOKIE, address_of, is_secure
from proxy.web.links import SESSION_SECONDS, BadLinkError
from proxy.web.oidc import SECONDS, OidcError
from proxy.web.pages.render import LANGUAGE_COOKIE, base, render
from proxy.web.pages.texts import choose
from proxy.web.problems import Problem
from proxy.web.rates import Rates
from proxy.web.site import Site

log = logging.getLogger(__name__)
LOGIN_COOKIE: Final = "consentry_login"
_BACK: Final = "/me/back"


def enter_by_link(site: Site, rates: Rates, request: Request) -> Response:
    """A signed link: opens a session, and takes the link's token out of the address."""
    address = address_of(request)
    try:
        rates.refuse_guesser(address)
    except Problem:
        return _message(site, request, "slow", 429)
    try:
        if site.keys is None:
            raise BadLinkError("no links are made here")
        subject = site.keys.read_link_token(request.query_params["token"])
    except BadLinkError as error:
        rates.note_guess(address)
        return _message(site, request, "expired" if error.expired else "bad_link", 401)
    return _session(site, request, subject)


def login_routes(site: Site, rates: Rates) -> list[BaseRoute]:
    """To the provider and back; none where the settings name no provider."""
    provider, keys = site.provider, site.keys
    if provider is None or keys is None:
        return []

    async def login(request: Request) -> Response:
        try:
            begun = await provider.begin(_address(site, request) + _BACK)
        except OidcError as error:
            return _failed(site, request, error)
        answer = RedirectResponse(begun.address, 303, {"Cache-Control": "no-store"})
        answer.set_cookie(
            LOGIN_COOKIE,
            keys.remember(begun.remembered),
            SECONDS,
            path=_BACK,
            httponly=True,
            samesite="lax",
            secure=is_secure(request, site),
        )
        return answer

    async def back(request: Request) -> Response:
        address = address_of(request)
        try:
            rates.refuse_guesser(address)
        except Problem:
            return _message(site, request, "slow", 429)
        remembered = keys.recall(request.cookies.get(LOGIN_COOKIE, ""), SECONDS)
        if remembered is None:
            return _message(site, request, "login_failed", 401)
        try:
            subject = await provider.finish(_address(site, request) + _BACK, str(request.url), remembered)
        except OidcError as error:
            rates.note_guess(address)
            return _failed(site, request, error)
        answer = _session(site, request, subject)
        answer.delete_cookie(LOGIN_COOKIE, path=_BACK, httponly=True, samesite="lax")
        return answer

    return [Route("/me/login", login), Route(_BACK, back)]


def _session(site: Site, request: Request, subject: str) -> Response:
    assert site.keys is not None
    answer = RedirectResponse(f"{base(request)}/me", 303, {"Cache-Control": "no-store"})
    answer.set_cookie(
        COOKIE,
        site.keys.make_session(subject),
        SESSION_SECONDS,
        path="/",
        httponly=True,
        samesite="lax",
        secure=is_secure(request, site),
    )
    return answer


def _address(site: Site, request: Request) -> str:
    return (site.settings.base_url or str(request.base_url)).rstrip("/")


def _failed(site: Site, request: Request, error: OidcError) -> Response:
    log.warning("a customer's login: %s", error)
    return _message(site, request, "busy" if error.temporary else "login_failed", 503 if error.temporary else 401)


def _message(site: Site, request: Request, key: str, status: int) -> Response:
    texts = choose(request, site.texts, LANGUAGE_COOKIE)
    return render(site, request, texts, "message.html", "", status, key=key)
