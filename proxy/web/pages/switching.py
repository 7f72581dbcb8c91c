"""The customers' switches: a change is asked (GET), made (POST), and can be put back as long as nothing else changed.

Each form carries the session's token, and a key of its own by which the decision is found again.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Collection
from datetime import UTC, datetime

import asyncpg
from starlette.datastructures import QueryParams
from starlette.responses import RedirectResponse, Response

from proxy.consent import access, service
from proxy.consent.access import AppAccess
from proxy.consent.service import Event, Origin
from proxy.consent.standing import Decision, Standing, version
from proxy.web.pages.render import base
from proxy.web.pages.texts import Texts
from proxy.web.pages.visit import Visit
from proxy.web.pages.why import change
from proxy.web.problems import Problem


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
        expected=version_of(standings, app, attributes),
        request_key=secrets.token_urlsafe(16),
    )


async def decide(visit: Visit) -> Response:
    """Makes a change, where nothing was changed since it was asked."""
    form = await visit.form()
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
    form = await visit.form()
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


def version_of(standings: list[Standing], app: str, attributes: Collection[str]) -> int:
    """What a change of these consents must name, so that it changes nothing that was decided meanwhile."""
    return version([s for s in standings if s.app == app and s.attribute in attributes])


async def _put_back(visit: Visit, connection: asyncpg.Connection, events: list[Event], expected: int, key: str) -> None:
    """Each consent of a decision as it was before it. Raises StaleError where one was changed since."""
    app = events[0].app
    standings = await visit.standings(connection)
    if version_of(standings, app, {e.attribute for e in events}) != expected:
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
