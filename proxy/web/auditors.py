"""How auditors come in: a token with the scope `audit`, shown once, opens a signed session that can only read."""

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
from proxy.web.tokens import Token

log = logging.getLogger(__name__)

COOKIE = "consentry_audit"


@dataclass(frozen=True, slots=True)
class Auditor:
    """Who is logged in: by which token, in which session."""

    token: Token
    session: Session


async def auditor_of(request: Request, site: Site, rates: Rates) -> Auditor | None:
    """The request's auditor; None where nobody is logged in, or the token is not in force. Raises Problem: 429."""
    cookie = request.cookies.get(COOKIE)
    session = None if cookie is None or site.keys is None else site.keys.read_audit_session(cookie)
    if session is None:
        return None
    async with site.connection() as connection:
        token = await tokens.in_force(connection, int(session.subject))
    if token is None or "audit" not in token.scopes:
        return None
    rates.take(Caller(f"auditor {token.name}", frozenset({"audit"})))
    return Auditor(token, session)


async def log_in(request: Request, site: Site, rates: Rates, given: str, to: str) -> Response:
    """A session for whoever has a token with the scope `audit`. Raises Problem: 403, 429."""
    if site.keys is None:
        raise Problem(403, "sessions need a secret to sign with: set web.login.secret_file")
    refuse_foreign(request, site)
    address = address_of(request)
    rates.refuse_guesser(address)
    async with site.connection() as connection:
        token = await tokens.recognise(connection, given)
    if token is None or "audit" not in token.scopes:
        rates.note_guess(address)
        raise Problem(403, "this is no token with the scope audit, or it is revoked or expired")
    log.info("auditor %s logged in from %s", token.name, address)
    answer = RedirectResponse(to, 303)
    answer.set_cookie(
        COOKIE,
        site.keys.make_audit_session(token.id),
        max_age=AUDIT_SECONDS,
        path="/audit",
        secure=is_secure(request, site),
        httponly=True,
        samesite="strict",
    )
    return answer
