"""Who asks: one of the organisation's services, by a token, or a customer, by a signed link or the session after it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from starlette.requests import Request

from proxy.web import tokens
from proxy.web.links import BadLinkError, Session
from proxy.web.problems import Problem
from proxy.web.site import Site
from proxy.web.tokens import Scope

COOKIE: Final = "consentry_session"
FORM_HEADER: Final = "x-csrf-token"
_SAFE = ("GET", "HEAD", "OPTIONS")
_CHALLENGE = {"WWW-Authenticate": "Bearer"}


@dataclass(frozen=True, slots=True)
class Caller:
    """`subject`: the customer who asks, None: a service. `name` is for logs, limits and the ledger's `source`.

    `login`: of the app that a token of the scope `profile` is for.
    """

    name: str
    scopes: frozenset[Scope]
    subject: str | None = None
    session: Session | None = None
    login: str | None = None

    def may(self, scope: Scope, subject: str | None) -> None:
        """Raises Problem where the caller may not do this, or not for this subject."""
        if scope not in self.scopes:
            raise Problem(403, f"this needs a token with the scope {scope}")
        if self.subject is not None and subject != self.subject:
            raise Problem(403, "this is another customer's")


def address_of(request: Request) -> str:
    """Where the request came from: whose guesses are counted together."""
    return request.client.host if request.client else ""


def is_secure(request: Request, site: Site) -> bool:
    """Whether the browser came by https, also where a proxy ends it."""
    return request.url.scheme == "https" or site.settings.base_url.startswith("https:")


async def caller_of(request: Request, site: Site) -> Caller:
    """Who sent the request. Raises Problem: 401 nobody that is known, 403 a forged request."""
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme:
        if scheme.lower() != "bearer" or not given.strip():
            raise Problem(401, "the header is: Authorization: Bearer TOKEN", headers=_CHALLENGE)
        return await _bearer(given.strip(), site)
    session = session_of(request, site)
    if session is None:
        raise Problem(401, "send a token: Authorization: Bearer TOKEN", headers=_CHALLENGE)
    if request.method not in _SAFE:
        refuse_forged(request, site, session, request.headers.get(FORM_HEADER, ""))
    return Caller("customer", frozenset({"read", "write"}), session.subject, session)


def session_of(request: Request, site: Site) -> Session | None:
    """The session of the request's cookie."""
    cookie = request.cookies.get(COOKIE)
    return None if cookie is None or site.keys is None else site.keys.read_session(cookie)


def refuse_forged(request: Request, site: Site, session: Session, token: str) -> None:
    """Raises Problem for a request that changes something and that no page of ours has sent."""
    assert site.keys is not None
    refuse_foreign(request, site)
    if not site.keys.is_form_token(session, token):
        raise Problem(403, "the form is not of this session; load the page again")


def refuse_foreign(request: Request, site: Site) -> None:
    """Raises Problem for a request that a browser says another site has sent."""
    origin = request.headers.get("origin")
    if request.headers.get("sec-fetch-site") == "cross-site" or (
        origin is not None and not _ours(origin, request, site)
    ):
        raise Problem(403, "another site sent this request; nothing was changed")


def _ours(origin: str, request: Request, site: Site) -> bool:
    host = urlsplit(origin).netloc
    return host != "" and host in (request.headers.get("host"), urlsplit(site.settings.base_url).netloc)


async def _bearer(given: str, site: Site) -> Caller:
    if given.startswith(tokens.PREFIX):
        async with site.connection() as connection:
            token = await tokens.recognise(connection, given)
        if token is not None:
            return Caller(f"token {token.name}", frozenset(token.scopes), login=token.login)
    elif site.keys is not None:
        try:
            return Caller("customer", frozenset({"read", "write"}), site.keys.read_link_token(given))
        except BadLinkError as error:
            raise Problem(401, f"{error}", headers=_CHALLENGE) from error
    raise Problem(401, "the token is unknown, revoked or expired", headers=_CHALLENGE)
