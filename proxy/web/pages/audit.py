"""The auditors' pages: what each app read, every record's story, and whether the log is whole. They change nothing."""

from __future__ import annotations

import asyncio
import logging
import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from typing import Any, Final
from urllib.parse import urlencode

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from proxy.audit import charts, report_forms
from proxy.audit.customers import customer_tables
from proxy.audit.index import Index
from proxy.audit.overview import overview
from proxy.audit.question import EVENTS, Question, bound, micros
from proxy.audit.report import findings
from proxy.audit.rewritten import Rewriter
from proxy.audit.search import Hit, search
from proxy.consent.changes import changes
from proxy.profile.disclosed import disclosures, is_known
from proxy.web.auditors import AUDIT
from proxy.web.pages.staff import Pages, Visit, staff_routes
from proxy.web.problems import Problem
from proxy.web.rates import Rates
from proxy.web.site import Site

log = logging.getLogger(__name__)

PAGE: Final = 50
PATIENCE: Final = 5.0  # seconds that a page waits for a verification to end
DAYS: Final = 30  # that the overview shows by itself
_FILTERS: Final = ("app", "login", "attribute", "relation", "policy", "fingerprint", "session", "event")
_REPORTED: Final = frozenset(("from", "to", "format", "app", "attribute", "kind", "subject"))


_PAGES: Final = Pages(AUDIT, "audit", refused=503)


def audit_routes(site: Site, rates: Rates) -> list[BaseRoute]:
    """All routes of the auditors' pages."""
    return staff_routes(
        _PAGES,
        site,
        rates,
        [
            ("/audit", show_overview, "GET"),
            ("/audit/search", show_search, "GET"),
            ("/audit/record/{worker:int}/{at:int}/{number:int}", show_record, "GET"),
            ("/audit/report", send_report, "GET"),
            ("/audit/verification", show_verification, "GET"),
            ("/audit/verification", verify, "POST"),
        ],
    )


async def show_overview(visit: Visit) -> Response:
    """Charts of some days."""
    until = _day(visit.request.query_params.get("to", "")) or datetime.now(UTC).date()
    since = _day(visit.request.query_params.get("from", "")) or until - timedelta(days=DAYS - 1)
    if not timedelta() <= until - since <= timedelta(days=3660):
        raise Problem(400, "the first day comes before the last, by ten years at most")
    found = await visit.site.audit.ask(lambda index: _refreshed(index, since, until))
    rules = visit.site.in_force.rules
    app_labels = {
        name: (rules.apps[name].label or name) if name in rules.apps else name or "none" for name in found.apps
    }
    labels = {name: (one.label or name) for name, one in rules.attributes.items()}
    days = [(since + timedelta(days=n)).isoformat() for n in range((until - since).days + 1)]
    series = {
        app_labels[app]: {day: counts[app] for day, counts in found.days.items()} for app, _ in found.apps.most_common()
    }
    attributes = [(labels.get(name, name), count) for name, count in found.attributes.most_common(20)]
    by_app = [(app_labels[app], count) for app, count in found.apps.most_common()]
    drawn = {
        "days": charts.columns("Statements that read personal data, by day and app", days, series),
        "apps": charts.bars("Statements that read personal data, by app", by_app),
        "attributes": charts.bars("Statements that read it, by attribute", attributes),
    }
    return visit.page(
        "audit_overview",
        here="overview",
        since=since.isoformat(),
        until=until.isoformat(),
        found=found,
        verified=visit.site.verification.last,
        charts={name: Markup(svg) for name, svg in drawn.items()},  # noqa: S704 - charts escapes what it is given
        rows=[
            (app, app_labels[app], attribute, labels.get(attribute, attribute), count)
            for (app, attribute), count in sorted(found.pairs.items())
        ],
    )


async def show_search(visit: Visit) -> Response:
    """Records, newest first, a page at a time."""
    given = visit.request.query_params
    question = _question(visit.request)
    before = re.fullmatch(r"(\d{1,19})-([\w.-]{1,100})-(\d{1,19})", given.get("before", ""))
    place = (int(before[1]), before[2], int(before[3])) if before else None
    if place is not None:
        question = _until(question, place[0])

    def work(index: Index) -> list[Hit]:
        index.refresh()
        hits = (hit for hit in search(index, question) if place is None or hit.order < place)
        return list(islice(hits, PAGE + 1))

    found = await visit.site.audit.ask(work)
    log.info("auditor %s searched: %s", visit.name, urlencode(list(given.items())))
    shown = found[:PAGE]
    older = None
    if len(found) > PAGE:
        at, name, number = shown[-1].order
        older = urlencode(
            [*((k, v) for k, v in given.multi_items() if k != "before"), ("before", f"{at}-{name}-{number}")]
        )
    rules = visit.site.in_force.rules
    return visit.page(
        "audit_search",
        here="search",
        given=given,
        records=[_row(hit) for hit in shown],
        older=older,
        apps=list(rules.apps),
        attributes=list(rules.attributes),
        events=sorted(EVENTS),
    )


async def show_record(visit: Visit) -> Response:
    """One record's story."""
    worker, at, number = (visit.request.path_params[name] for name in ("worker", "at", "number"))

    def work(index: Index) -> Hit | None:
        index.refresh()
        hits = search(index, Question(since=at, until=at))
        return next((h for h in hits if (h.record.get("worker"), h.record.get("seq")) == (worker, number)), None)

    hit = await visit.site.audit.ask(work)
    if hit is None:
        raise Problem(404, "there is no such record")
    current = visit.site.in_force
    told = await asyncio.to_thread(Rewriter(current.compiled, current.snapshot).of, hit.record)
    log.info("auditor %s looked at record %d of worker %d", visit.name, number, worker)
    return visit.page(
        "audit_record",
        record=hit.record,
        file=hit.file.path.name,
        told=told,
        policies=_policies(visit.site, hit.record),
        same_rules=hit.record.get("rules_version") == current.compiled.version,
        line=hit.line.decode("utf-8", "replace"),
    )


async def send_report(visit: Visit) -> Response:
    """The report of some days, from the log itself, as a file: of all, of some apps or attributes, or of one customer's
    data.
    """
    given = visit.request.query_params
    since, until, form = given.get("from", ""), given.get("to", ""), given.get("format", "html")
    subject, kind = given.get("subject"), given.get("kind") or None
    if form not in ("html", "csv", "json") or not (_day(since) and _day(until)):
        raise Problem(400, "a report is from a day to a day, as html, csv or json")
    if given.keys() - _REPORTED or kind not in (None, "internal", "partner"):
        raise Problem(400, f"a report has {', '.join(sorted(_REPORTED))}; a kind is internal or partner")
    first, last = bound(since), bound(until, end=True)
    if first > last:
        raise Problem(400, "the first day comes before the last")
    if subject:
        return await _send_report_of(visit, subject, first, last, form)
    begin = datetime.fromisoformat(f"{since}T00:00:00+00:00")
    end = datetime.fromisoformat(f"{until}T23:59:59.999999+00:00")
    async with visit.site.connection() as connection:
        changed = [report_forms.ConsentChange(**row) for row in await changes(connection, begin, end)]
    own = customer_tables(visit.site.in_force.rules)
    found = await asyncio.to_thread(findings, visit.site.audit.directory, first, last, None, own)
    facts = report_forms.facts(
        found,
        visit.site.in_force.rules,
        since=since,
        until=until,
        organisation=visit.site.organisation,
        consent_changes=changed,
        rules_version=visit.site.in_force.compiled.version,
    )
    apps, attributes = (list(filter(None, given.getlist(name))) for name in ("app", "attribute"))
    if apps or attributes or kind:
        try:
            facts = report_forms.narrowed(facts, visit.site.in_force.rules, apps, attributes, kind)
        except ValueError as error:
            raise Problem(400, str(error)) from error
    log.info("auditor %s took the report of %s to %s", visit.name, since, until)
    return _as_file(report_forms.written(facts, form), f"access-{since}-{until}.{form}")


async def _send_report_of(visit: Visit, subject: str, first: int, last: int, form: str) -> Response:
    async with visit.site.connection() as connection:
        known = await is_known(connection, visit.site.in_force.compiled, subject)
        found = await disclosures(connection, visit.site.audit.directory, subject, first, last)
    log.info("auditor %s took the report of one customer", visit.name)
    return _as_file(
        report_forms.subject_written(subject, found, visit.site.in_force.rules, form, known=known), f"access.{form}"
    )


def _as_file(written: tuple[str, str], name: str) -> Response:
    text, media_type = written
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return Response(text, media_type=media_type, headers=headers)


async def show_verification(visit: Visit) -> Response:
    """What the last verification found."""
    checked = visit.site.verification
    return visit.page("audit_verification", here="verification", last=checked.last, running=checked.running)


async def verify(visit: Visit) -> Response:
    """Verifies the log now. It reads all of it: a long one goes on while the page says so."""
    await visit.form()
    log.info("auditor %s had the log verified", visit.name)
    await visit.site.verification.begin(PATIENCE)
    return visit.redirect("/audit/verification")


# -- inside ------------------------------------------------------------------------------------------------------------


def _refreshed(index: Index, since: date, until: date) -> Any:
    index.refresh()
    return overview(index, since.isoformat(), until.isoformat())


def _question(request: Request) -> Question:
    given = request.query_params
    values = {name: frozenset(filter(None, given.getlist(name))) for name in _FILTERS}
    times: list[int | None] = []
    for name in ("from", "to"):
        try:
            times.append(bound(given[name], end=name == "to") if given.get(name) else None)
        except ValueError as error:
            raise Problem(400, str(error)) from error
    if times[0] is not None and times[1] is not None and times[0] > times[1]:
        raise Problem(400, "`from` is after `to`")
    for event in values["event"] - EVENTS:
        raise Problem(400, f'there is no event "{event}"')
    return Question(
        apps=values["app"],
        logins=values["login"],
        attributes=values["attribute"],
        relations=values["relation"],
        policies=values["policy"],
        fingerprints=values["fingerprint"],
        sessions=values["session"],
        events=values["event"],
        refused="refused" in given,
        text=given.get("text", ""),
        since=times[0],
        until=times[1],
    )


def _until(question: Question, at: int) -> Question:
    return replace(question, until=at if question.until is None else min(at, question.until))


def _row(hit: Hit) -> dict[str, Any]:
    record = hit.record
    at, worker, number = micros(record["time"]), record.get("worker", 0), record.get("seq", 0)
    return {
        "link": f"{worker}/{at}/{number}",
        "time": record["time"][:19].replace("T", " "),
        "event": record["event"],
        "app": record.get("app") or "",
        "login": record.get("login") or "",
        "rows": record.get("rows"),
        "attributes": sorted(
            {one["attribute"] for one in record.get("disclosed") or () if one["attribute"]}
            | ({record["attribute"]} if "attribute" in record else set())
        ),
        "said": record.get("decision")
        or record.get("message")
        or record.get("statement")
        or record.get("application_name")
        or "",
    }


def _policies(site: Site, record: dict[str, Any]) -> list[tuple[str, str | None]]:
    """(name, where it stands in the rules as they are now; None: they have none of this name)."""
    rules = site.in_force.rules
    places = {policy.name: rules.where(("policies", n, "name")) for n, policy in enumerate(rules.policies)}
    return [
        (name, f"{places[name][0]}:{places[name][1]}" if name in places else None)
        for name in record.get("policies") or ()
    ]


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError as error:
        raise Problem(400, f'"{text}" is no day such as 2026-01-31') from error
