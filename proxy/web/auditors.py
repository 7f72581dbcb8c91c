"""How auditors and agents come in: a token with the scope of their pages, shown once, opens a signed session."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from proxy.web import tokens
from proxy.web.callers import Caller, address_of, is_secure, refuse_foreign
from proxy.web.links import AUDIT_SECONDS, Session
from proxy.web.problems import Problem
from proxy.web.rates import Rates
from proxy.web.site import Site
from proxy.web.tokens import Scope, Token

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Door:
    """Pages that a token opens: its scope, the cookie of their sessions, and the path that they are under."""

    scope: Scope
    cookie: str
    path: str


AUDIT = Door("audit", "consentry_audit", "/audit")
REQUESTS = Door("rights", "consentry_requests", "/requests")


@dataclass(frozen=True, slots=True)
class Auditor:
    """Who is logged in: by which token, in which session."""

    token: Token
    session: Session


async def auditor_of(request: Request, site: Site, rates: Rates, door: Door) -> Auditor | None:
    """Who came in by the door; None where nobody is logged in, or the token is not in force. Raises Problem: 429."""
    cookie = request.cookies.get(door.cookie)
    session = None if cookie is None or site.keys is None else site.keys.read_audit_session(cookie)
    if session is None:
        return None
    async with site.connection() as connection:
        token = await tokens.in_force(connection, int(session.subject))
    if token is None or door.scope not in token.scopes:
        return None
    rates.take(Caller(f"{door.scope} {token.name}", frozenset({door.scope})))
    return Auditor(token, session)


async def log_in(request: Request, site: Site, rates: Rates, given: str, to: str, door: Door) -> Response:
    """A session for whoever has a token with the door's scope. Raises Problem: 403, 429."""
    if site.keys is None:
        raise Problem(403, "sessions need a secret to sign with: set web.login.secret_file")
    refuse_foreign(request, site)
    address = address_of(request)
    rates.refuse_guesser(address)
    async with site.connection() as connection:
        token = await tokens.recognise(connection, given)
    if token is None or door.scope not in token.scopes:
        rates.note_guess(address)
        raise Problem(403, f"this is no token with the scope {door.scope}, or it is revoked or expired")
    log.info("%s logged in from %s, scope %s", token.name, address, door.scope)
    answer = RedirectResponse(to, 303)
    answer.set_cookie(
        door.cookie,
        site.keys.make_audit_session(token.id),
        max_age=AUDIT_SECONDS,
        path=door.path,
        secure=is_secure(request, site),
        httponly=True,
        samesite="strict",
    )
    return answer
