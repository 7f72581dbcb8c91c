"""The consent API (consent.md): what each call does. `OPERATIONS` is the whole of it."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse, Response

from proxy.consent import access, service
from proxy.consent.access import AppAccess, AttributeAccess
from proxy.consent.import_export import WrongLinesError, import_records
from proxy.consent.service import Event, Origin
from proxy.consent.standing import Standing
from proxy.errors import ConsentryError
from proxy.rights import places, requests
from proxy.web import shapes
from proxy.web.exports import export
from proxy.web.operations import Call, Operation, Upload
from proxy.web.problems import Problem
from proxy.web.profiles import Fields, ProfilePage, get_profile, get_profiles

ID_LIMIT: Final = 2**63 - 1


class Page(BaseModel):
    """Which part of a history."""

    model_config = ConfigDict(extra="forbid")

    before: Annotated[int, Field(ge=1, le=ID_LIMIT)] | None = Field(
        default=None, description="Only records with a smaller id: the `next` of the page before."
    )
    limit: Annotated[int, Field(ge=1, le=500)] = 50


async def get_access(call: Call) -> Response:
    """Who has access to the customer's data."""
    standings, seen = await _seen(call)
    given = shapes.Access(subject=call.subject, apps=[_app(one) for one in seen])
    return _answer(given, etag=service.version(standings))


async def get_consent(call: Call) -> Response:
    """One consent as it stands."""
    app, attribute = call.path["app"], call.path["attribute"]
    _known(call, app, attribute)
    _, seen = await _seen(call)
    one = next(a for a in seen if a.app == app)
    found = one.attribute(attribute)
    last = found.standing
    given = shapes.Consent(
        app=app,
        attribute=attribute,
        asked=found.consent,
        granted=found.granted if found.consent else bool(last and last.granted),
        decision=last.decision if last else None,
        since=last.since if last else None,
        expires_at=last.expires_at if last else None,
        actor=last.actor if last else None,
    )
    return _answer(given, etag=last.event if last else 0)


async def put_consent(call: Call) -> Response:
    """Records a decision: about one attribute, about a group of them, or about all that the app asks consent for."""
    current, app, what = call.site.in_force, call.path["app"], call.path["attribute"]
    body: shapes.Decision = call.body
    if access.of_several(what):
        _known(call, app)
    else:
        _known(call, app, what)
    attributes, scope = access.named(current.compiled.apps[app], current.rules.attributes, what)
    if call.caller.subject is not None:
        if not current.asked[app].issuperset(attributes):
            raise Problem(422, f"app {app} does not ask consent for {what}: there is nothing to decide")
        if body.evidence is not None:
            raise Problem(422, "evidence is what the organisation's services add, not the customer")
    origin = Origin(
        "agent" if call.caller.subject is None else "customer",
        f"api, {call.caller.name}",
        current.rules.digest,
        body.text_version,
        body.evidence,
    )
    try:
        async with call.site.connection() as connection, connection.transaction():
            events = await service.decide(
                connection,
                current.words,
                call.subject,
                app,
                attributes,
                body.decision,
                scope=scope,
                expires_at=body.expires_at,
                origin=origin,
                expected=_expected(call),
                request=_request_key(call),
            )
            every = await service.show(connection, call.subject, current.words.mapping)
    except service.StaleError as error:
        newest = service.version(error.standings)
        raise Problem(412, str(error), headers={"ETag": f'"{newest}"'}) from error
    except service.RequestReusedError as error:
        raise Problem(409, str(error)) from error
    now = service.version([s for s in every if s.app == app and s.attribute in attributes])
    return _answer(shapes.Records(records=[_record(one) for one in events]), etag=now)


async def get_history(call: Call) -> Response:
    """The customer's consent records."""
    page: Page = call.query
    async with call.site.connection() as connection:
        events = await service.history(connection, call.subject, before=page.before, limit=page.limit + 1)
    shown = events[: page.limit]
    return _answer(
        shapes.History(records=[_record(e) for e in shown], next=shown[-1].id if len(events) > len(shown) else None)
    )


class Wanted(BaseModel):
    """What an export has beside what is held."""

    model_config = ConfigDict(extra="forbid")

    disclosures: bool = Field(default=False, description="Also who read what, where the log is: all of it is read.")


async def get_export(call: Call) -> Response:
    """Everything that is held on the customer."""
    _, seen = await _seen(call)
    told_access = [told(one) for one in seen]
    actor = f"api, {call.caller.name}"
    return await export(call.site, call.subject, told_access, {}, actor=actor, disclosed=call.query.disclosures)


async def post_request(call: Call) -> Response:
    """Puts a request of the customer's into the queue."""
    body: shapes.Asked = call.body
    current = call.site.in_force
    if body.attribute is not None:
        if body.attribute not in current.rules.attributes:
            raise Problem(422, f"there is no attribute {body.attribute}")
        places.places_of(current.rules, current.compiled, current.snapshot, body.attribute)
    async with call.site.connection() as connection:
        asked = await requests.ask(
            connection,
            call.subject,
            body.kind,
            source=f"api, {call.caller.name}",
            attribute=body.attribute,
            value=body.value,
        )
    return _answer(shapes.Request.model_validate(asked))


async def get_requests(call: Call) -> Response:
    """The customer's requests."""
    async with call.site.connection() as connection:
        found = await requests.of_subject(connection, call.subject)
    return _answer(shapes.Requests(requests=[shapes.Request.model_validate(one) for one in found]))


async def get_queue(call: Call) -> Response:
    """All requests that wait."""
    async with call.site.connection() as connection:
        found = await requests.waiting(connection)
    return _answer(shapes.Requests(requests=[shapes.Request.model_validate(one) for one in found]))


async def post_decision(call: Call) -> Response:
    """Confirms a request, which does what it asks, or refuses it."""
    body: shapes.Decided = call.body
    number = call.path["request"]
    if not re.fullmatch(r"\d{1,18}", number):
        raise Problem(404, "there is no such request")
    if body.decision == "refused" and (body.columns or body.every_row):
        raise Problem(422, "columns and rows are chosen where a request is confirmed")
    actor = f"api, {call.caller.name}"
    try:
        async with call.site.patient_connection() as connection:
            if body.decision == "confirmed":
                await call.site.take()  # what is erased follows from rules and catalog as they are now
                desk = call.site.desk(connection, actor)
                done = await requests.confirm(desk, int(number), columns=body.columns, every_row=body.every_row)
            elif reason := (body.reason or "").strip():
                done = await requests.refuse(call.site.desk(connection, actor), int(number), reason)
            else:
                raise Problem(422, "a refusal needs a reason, for the customer to read")
    except requests.NoRequestError as error:
        raise Problem(404, str(error)) from error
    except requests.DecidedError as error:
        now = shapes.Request.model_validate(error.request).model_dump(mode="json")
        raise Problem(409, str(error), more={"request": now}) from error
    return _answer(shapes.Request.model_validate(done))


async def post_import(call: Call) -> Response:
    """Records all decisions of a file, or none of them."""
    upload: Upload = call.body
    current = call.site.in_force
    origin = Origin("import", f"api, {call.caller.name}", current.rules.digest)
    try:
        async with call.site.patient_connection() as connection:
            done = await import_records(
                connection, current.names, upload.file, upload.kind, origin=origin, key=_request_key(call)
            )
    except WrongLinesError as error:
        lines = [{"line": one.line, "reason": one.reason} for one in error.lines]
        more = {"records": error.records, "wrong": error.count, "lines": lines}
        raise Problem(422, str(error), more=more) from error
    except service.RequestReusedError as error:
        raise Problem(409, str(error)) from error
    return _answer(shapes.Imported.model_validate(done))


_SUBJECT = "/subjects/{subject}"
OPERATIONS: Final = (
    Operation(
        "GET",
        f"{_SUBJECT}/access",
        "getAccess",
        "Who has access to the customer's data, to what, and why",
        "read",
        get_access,
        shapes.Access,
        tagged=True,
    ),
    Operation(
        "GET",
        f"{_SUBJECT}/consents/history",
        "getHistory",
        "The customer's consent records, newest first",
        "read",
        get_history,
        shapes.History,
        query=Page,
    ),
    Operation(
        "GET",
        f"{_SUBJECT}/consents/{{app}}/{{attribute}}",
        "getConsent",
        "One consent as it stands",
        "read",
        get_consent,
        shapes.Consent,
        tagged=True,
    ),
    Operation(
        "PUT",
        f"{_SUBJECT}/consents/{{app}}/{{attribute}}",
        "putConsent",
        "Records a decision; `attribute` may be group:NAME or all: each attribute that the app asks consent for now",
        "write",
        put_consent,
        shapes.Records,
        takes=shapes.Decision,
        conditional=True,
        tagged=True,
    ),
    Operation(
        "GET",
        f"{_SUBJECT}/export",
        "getExport",
        "Everything that is held on the customer: who has access, the rows of each table, the consent records",
        "read",
        get_export,
        shapes.Export,
        query=Wanted,
    ),
    Operation(
        "POST",
        f"{_SUBJECT}/requests",
        "postRequest",
        "Asks for erasure, rectification, restriction or its end: it goes into a queue, and is due within a month",
        "write",
        post_request,
        shapes.Request,
        takes=shapes.Asked,
    ),
    Operation(
        "GET",
        f"{_SUBJECT}/requests",
        "getRequests",
        "The customer's requests, newest first",
        "read",
        get_requests,
        shapes.Requests,
    ),
    Operation(
        "GET",
        "/requests",
        "getQueue",
        "All requests that wait, the next due first",
        "rights",
        get_queue,
        shapes.Requests,
    ),
    Operation(
        "POST",
        "/requests/{request}/decision",
        "postDecision",
        "Confirms a request, which does what it asks, or refuses it with a reason",
        "rights",
        post_decision,
        shapes.Request,
        takes=shapes.Decided,
        contested=True,
    ),
    Operation(
        "GET",
        "/profiles",
        "getProfiles",
        "Profiles of many customers, by their keys, with the attributes that the token's app sees",
        "profile",
        get_profiles,
        shapes.Profiles,
        query=ProfilePage,
        repeated=frozenset({"fields", "filter"}),
    ),
    Operation(
        "GET",
        "/profiles/{subject}",
        "getProfile",
        "One customer's profile, with the attributes that the token's app sees",
        "profile",
        get_profile,
        shapes.Profile,
        query=Fields,
        repeated=frozenset({"fields"}),
    ),
    Operation(
        "POST",
        "/consents/import",
        "importConsents",
        "Records all decisions of a file, or none: CSV with a header, or JSON lines, with the keys subject, app, "
        "attribute (or group:NAME, or all), decision, and where wanted at, expires_at, text_version",
        "write",
        post_import,
        shapes.Imported,
        files={"text/csv": "csv", "application/x-ndjson": "jsonl", "application/jsonl": "jsonl"},
    ),
)


async def _seen(call: Call) -> tuple[list[Standing], tuple[AppAccess, ...]]:
    """How the customer's consents stand, and what each app sees."""
    async with call.site.connection() as connection:
        standings = await service.show(connection, call.subject, call.site.in_force.words.mapping)
        restricted = await call.site.is_restricted(connection, call.subject)
    return standings, call.site.access(standings, restricted=restricted)


def _known(call: Call, app: str, attribute: str | None = None) -> None:
    words = call.site.in_force.words
    try:
        words.check_app(app) if attribute is None else words.check(app, attribute)
    except ConsentryError as error:
        raise Problem(404, str(error)) from error


def _expected(call: Call) -> int | None:
    given = call.request.headers.get("if-match")
    if given is None or given.strip() == "*":
        return None
    found = re.fullmatch(r'\s*"(\d{1,19})"\s*', given)
    if found is None:
        raise Problem(400, 'If-Match takes one ETag of this consent, such as "17"')
    return int(found[1])


def _request_key(call: Call) -> str | None:
    given = call.request.headers.get("idempotency-key")
    if given is not None and not re.fullmatch(r"[\x20-\x7e]{1,100}", given):
        raise Problem(400, "Idempotency-Key has 1 to 100 printable ASCII characters")
    return given


def _answer(given: BaseModel, etag: int | None = None) -> Response:
    headers = {"Cache-Control": "no-store"} | ({} if etag is None else {"ETag": f'"{etag}"'})
    return JSONResponse(given.model_dump(mode="json"), headers=headers)


def _record(one: Event) -> shapes.Record:
    return shapes.Record.model_validate(one)


def _app(one: AppAccess) -> shapes.AppAccess:
    return shapes.AppAccess(
        app=one.app,
        label=one.label,
        purpose=one.purpose,
        kind=one.kind,  # type: ignore[arg-type]
        attributes=[_attribute(a) for a in one.attributes],
    )


def told(app: AppAccess) -> dict[str, Any]:
    """What an app sees, as the API answers it."""
    return _app(app).model_dump(mode="json")


def _attribute(one: AttributeAccess) -> shapes.AttributeAccess:
    last = one.standing
    fields: dict[str, Any] = {
        name: getattr(one, name)
        for name in ("attribute", "label", "group", "sees", "why", "basis", "consent", "granted", "last_read")
    }
    return shapes.AttributeAccess(
        **fields,
        shared=one.sees != "nothing",
        since=last.since if last else None,
        expires=last.expires_at if last else None,
        etag=f'"{last.event if last else 0}"',
        policy=str(one.policy) if one.policy else None,
    )
