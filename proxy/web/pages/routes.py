"""The customer pages: who has access to my data, and the switches. Server-rendered; scripts only make them smoother.

A change is asked (GET /me/change), made (POST /me/change) and told (GET /me?done=...), so that nothing is sent twice
by going back. Each form carries the session's token, and a key of its own by which the decision is found again.
"""

from __future__ import annotations

import logging
import mimetypes
import re
import secrets
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import asyncpg
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from proxy.consent import access, service
from proxy.consent.access import AppAccess
from proxy.consent.receipt import receipt
from proxy.consent.service import Event, Origin
from proxy.consent.standing import Decision, Standing, version
from proxy.errors import ConsentryError, UnreachableError
from proxy.profile.held import NotReadableError
from proxy.web.callers import COOKIE, Caller, refuse_forged, session_of
from proxy.web.exports import export
from proxy.web.links import Session
from proxy.web.pages.asking import ask_for, show_requests
from proxy.web.pages.collect import collect_routes
from proxy.web.pages.entrance import enter_by_link, login_routes
from proxy.web.pages.forms import read_form
from proxy.web.pages.render import LANGUAGE_COOKIE, base, render
from proxy.web.pages.texts import Texts, choose
from proxy.web.pages.why import change, why
from proxy.web.problems import Problem
from proxy.web.rates import Rates
from proxy.web.site import Site

PAGE: Final = 20
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Visit:
    """One request of a customer who is logged in."""

    site: Site
    request: Request
    texts: Texts
    session: Session

    @property
    def subject(self) -> str:
        return self.session.subject

    def page(self, template: str, *, here: str = "", status: int = 200, **values: Any) -> Response:
        assert self.site.keys is not None
        token = self.site.keys.form_token(self.session)
        return render(self.site, self.request, self.texts, template, token, status, here=here, **values)

    def message(self, key: str, status: int) -> Response:
        return self.page("message.html", status=status, key=key)

    async def standings(self, connection: asyncpg.Connection) -> list[Standing]:
        """How the customer's consents stand."""
        return await service.show(connection, self.subject, self.site.in_force.words.mapping)

    def apps(self, standings: list[Standing], *, restricted: bool = False) -> tuple[AppAccess, ...]:
        return self.site.access(standings, restricted=restricted)


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


async def overview(visit: Visit) -> Response:
    """Who has access, and what was just changed."""
    done = visit.request.query_params.get("done", "")
    async with visit.site.connection() as connection:
        standings = await visit.standings(connection)
        restricted = await visit.site.is_restricted(connection, visit.subject)
        events = await service.decision(connection, visit.subject, done) if done else []
    seen = visit.apps(standings, restricted=restricted)
    apps = sorted(seen, key=lambda app: not any(one.consent for one in app.attributes))
    mapping = visit.site.in_force.words.mapping
    return visit.page(
        "me.html",
        here="access",
        apps=[_shown(app, visit.texts) for app in apps],
        done=_done(visit, events, standings, done),
        changeable=mapping is None or bool(mapping.store.write),
        restricted=restricted,
    )


async def ask(visit: Visit) -> Response:
    """What a change would do, before it is made."""
    given = visit.request.query_params
    app, attributes, _ = _what(visit, given.get("app", ""), given.get("attribute", ""))
    decision = _decision(given.get("decision", ""))
    async with visit.site.connection() as connection:
        standings = await visit.standings(connection)
        restricted = await visit.site.is_restricted(connection, visit.subject)
    before = _of(visit.apps(standings, restricted=restricted), app)
    after = access.after(standings, app, attributes, decision, datetime.now(UTC))
    later = _of(visit.apps(after, restricted=restricted), app)
    return visit.page(
        "change.html",
        question=_question(visit.texts, before, given["attribute"], decision),
        changes=[change(one, before, visit.texts) for one in access.changes(before, later)],
        app=before.label,
        app_name=app,
        what_name=given["attribute"],
        decision=decision,
        expected=_version(standings, app, attributes),
        request_key=secrets.token_urlsafe(16),
    )


async def decide(visit: Visit) -> Response:
    """Makes a change, where nothing was changed since it was asked."""
    form = await _form(visit)
    app, attributes, scope = _what(visit, form.get("app", ""), form.get("attribute", ""))
    decision, expected, key = _decision(form.get("decision", "")), _expected(form), form.get("request", "")
    if not re.fullmatch(r"[\w-]{16,64}", key):
        raise Problem(400, "the form is not ours")
    words = _question(visit.texts, _of(visit.apps([]), app), form.get("attribute", ""), decision)
    try:
        async with visit.site.connection() as connection, connection.transaction():
            standings = await visit.standings(connection)
            await service.decide(
                connection,
                visit.site.in_force.words,
                visit.subject,
                app,
                attributes,
                decision,
                scope=scope,
                origin=_origin(visit, words, standings, app, attributes),
                expected=expected,
                request=key,
            )
    except (service.StaleError, service.RequestReusedError):
        return visit.message("stale", 409)
    return RedirectResponse(f"{base(visit.request)}/me?done={key}", 303)


async def undo(visit: Visit) -> Response:
    """Puts back what stood before a decision, where nothing was changed since."""
    form = await _form(visit)
    made = form.get("request", "")
    key = secrets.token_urlsafe(16)
    try:
        async with visit.site.connection() as connection, connection.transaction():
            events = await service.decision(connection, visit.subject, made)
            if not events:
                return visit.message("missing", 404)
            await _put_back(visit, connection, events, _expected(form), key)
    except service.StaleError:
        return visit.message("stale", 409)
    return RedirectResponse(f"{base(visit.request)}/me?done={key}", 303)


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
            "label": _attribute_label(visit, e.attribute),
            "app": _app_label(visit, e.app),
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
        app=_app_label(visit, event.app),
        attribute=_attribute_label(visit, event.attribute),
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


async def download(visit: Visit) -> Response:
    """Everything that is held on the customer, and who has access now, as one JSON document."""
    async with visit.site.connection() as connection:
        standings = await visit.standings(connection)
        restricted = await visit.site.is_restricted(connection, visit.subject)
    apps = [_told(app, visit.texts) for app in visit.apps(standings, restricted=restricted)]
    try:
        return await export(
            visit.site, visit.subject, apps, {"Content-Disposition": 'attachment; filename="my-data.json"'}
        )
    except NotReadableError as error:
        log.warning("a customer's download: %s", error)
        return visit.message("unready", 503)


async def leave(visit: Visit) -> Response:
    """Ends the session in this browser."""
    await _form(visit)
    answer = render(visit.site, visit.request, visit.texts, "message.html", "", 200, key="out")
    answer.delete_cookie(COOKIE, path="/", httponly=True, samesite="lax")
    return answer


# -- inside ------------------------------------------------------------------------------------------------------------


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


async def _form(visit: Visit) -> QueryParams:
    """The form that was sent. Raises Problem where it is not of this session."""
    form = await read_form(visit.request)
    refuse_forged(visit.request, visit.site, visit.session, form.get("form", ""))
    return form


def _what(visit: Visit, app: str, what: str) -> tuple[str, list[str], str | None]:
    """(app, attributes, scope) of a switch. Raises Problem, ConsentryError where there is none."""
    current = visit.site.in_force
    compiled = current.compiled.apps.get(app)
    if compiled is None:
        raise Problem(404, "there is no such app")
    attributes, scope = access.named(compiled, current.rules.attributes, what)
    if not current.asked[app].issuperset(attributes):
        raise Problem(404, "there is no such switch")
    return app, attributes, scope


def _decision(given: str) -> Decision:
    if given == "granted":
        return "granted"
    if given == "withdrawn":
        return "withdrawn"
    raise Problem(404, "there is no such decision")


def _of(apps: tuple[AppAccess, ...], name: str) -> AppAccess:
    return next(app for app in apps if app.app == name)


def _version(standings: list[Standing], app: str, attributes: Collection[str]) -> int:
    return version([s for s in standings if s.app == app and s.attribute in attributes])


def _expected(form: QueryParams) -> int:
    given = form.get("expected", "")
    if not re.fullmatch(r"\d{1,19}", given):
        raise Problem(400, "the form is not ours")
    return int(given)


def _question(texts: Texts, app: AppAccess, what: str, decision: Decision) -> str:
    label = texts("everything") if what == access.ALL else _what_label(app, what)
    return texts("confirm_grant" if decision == "granted" else "confirm_withdraw", what=label, app=app.label)


def _what_label(app: AppAccess, what: str) -> str:
    if what.startswith(access.GROUP):
        group = what.removeprefix(access.GROUP)
        return ", ".join(one.label for one in app.attributes if one.group == group and one.consent)
    return app.attribute(what).label


def _origin(visit: Visit, words: str, standings: list[Standing], app: str, attributes: Collection[str]) -> Origin:
    """Who decided, before which words; and what stood before, for undo."""
    stood = {
        s.attribute: [s.decision, s.expires_at.isoformat() if s.expires_at else None]
        for s in standings
        if s.app == app and s.attribute in attributes
    }
    evidence = {"shown": words, "before": stood}
    return Origin("customer", "customer pages", visit.site.in_force.rules.digest, visit.texts.version, evidence)


async def _put_back(visit: Visit, connection: asyncpg.Connection, events: list[Event], expected: int, key: str) -> None:
    """Each consent of a decision as it was before it. Raises StaleError where one was changed since."""
    app = events[0].app
    standings = await visit.standings(connection)
    if _version(standings, app, {e.attribute for e in events}) != expected:
        raise service.StaleError(standings)
    asked = access.asked(visit.site.in_force.compiled.apps[app])
    changes: dict[tuple[Decision, datetime | None], list[str]] = {}
    for event in events:
        silence = "granted" if asked.get(event.attribute) == "opt_out" else "withdrawn"
        stood, until = (event.evidence or {}).get("before", {}).get(event.attribute, [silence, None])
        decision, ends = _decision(stood), datetime.fromisoformat(until) if until else None
        if ends is not None and ends <= datetime.now(UTC):
            decision, ends = "withdrawn", None
        if (decision, ends) != (event.decision, event.expires_at):
            changes.setdefault((decision, ends if decision == "granted" else None), []).append(event.attribute)
    for number, ((decision, ends), attributes) in enumerate(changes.items()):
        await service.decide(
            connection,
            visit.site.in_force.words,
            visit.subject,
            app,
            attributes,
            decision,
            expires_at=ends,
            scope=events[0].scope,
            origin=_origin(visit, visit.texts("undo"), standings, app, attributes),
            request=f"{key}-{number}" if number else key,
        )


async def _event(visit: Visit) -> Event:
    number = visit.request.path_params["number"]
    async with visit.site.connection() as connection:
        found = await service.event(connection, visit.subject, number) if number < 2**63 else None
    if found is None:
        raise Problem(404, "there is no such record")
    return found


def _shown(app: AppAccess, texts: Texts) -> dict[str, Any]:
    """An app as the template takes it: what it sees or asks for, then the names of what it does not see."""
    lines = [
        {
            "attribute": one.attribute,
            "label": one.label,
            "sees": one.sees,
            "consent": one.consent,
            "granted": one.granted,
            "last_read": one.last_read,
            "why": why(one, texts),
        }
        for one in app.attributes
        if one.sees != "nothing" or one.consent is not None
    ]
    switches = [one for one in app.attributes if one.consent is not None]
    return {
        "app": app.app,
        "label": app.label,
        "kind": app.kind,
        "purpose": app.purpose,
        "shown": lines,
        "hidden": [one.label for one in app.attributes if one.sees == "nothing" and one.consent is None],
        "whole": all(one.granted for one in switches) if len(switches) > 1 else None,
    }


def _told(app: AppAccess, texts: Texts) -> dict[str, Any]:
    """An app in a customer's download: what it sees, and why, in words."""
    return {
        "app": app.app,
        "label": app.label,
        "purpose": app.purpose,
        "sees": [
            {"attribute": one.attribute, "label": one.label, "sees": one.sees, "why": why(one, texts)}
            for one in app.attributes
            if one.sees != "nothing"
        ],
    }


def _done(visit: Visit, events: list[Event], standings: list[Standing], request: str) -> dict[str, Any] | None:
    """What was just decided, for the notice above the page."""
    if not events:
        return None
    attributes = [e.attribute for e in events]
    place = {name: n for n, name in enumerate(visit.site.in_force.rules.attributes)}
    in_order = sorted(attributes, key=lambda attribute: place.get(attribute, len(place)))
    labels = ", ".join(_attribute_label(visit, attribute) for attribute in in_order)
    key = "done_grant" if events[0].decision == "granted" else "done_withdraw"
    return {
        "words": visit.texts(key, what=labels, app=_app_label(visit, events[0].app)),
        "request": request,
        "expected": _version(standings, events[0].app, attributes),
        "event": events[-1].id,
    }


def _app_label(visit: Visit, app: str) -> str:
    found = visit.site.in_force.compiled.apps.get(app)
    return (found.label or app) if found else app


def _attribute_label(visit: Visit, attribute: str) -> str:
    found = visit.site.in_force.rules.attributes.get(attribute)
    return (found.label or attribute) if found else attribute
