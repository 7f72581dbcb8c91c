"""The customers' page of requests: to correct, restrict or erase what is held of them, and what became of it."""

from __future__ import annotations

from dataclasses import asdict

from starlette.responses import RedirectResponse, Response

from proxy.consent import service
from proxy.rights import places, requests
from proxy.rights.plan import rights_of
from proxy.rights.restricting import restricted_since
from proxy.web.pages.render import base
from proxy.web.pages.visit import Visit
from proxy.web.problems import Problem

_VALUE_LENGTH = 1000  # characters


async def show_requests(visit: Visit) -> Response:
    """What the customer can ask for, and what was asked."""
    return await _page(visit)


async def _page(visit: Visit, *, attribute: str = "", value: str = "") -> Response:
    """`attribute`, `value`: of a request that is not taken, since the value is too long."""
    current = visit.site.in_force
    labels = {name: one.label or name for name, one in current.rules.attributes.items()}
    async with visit.site.connection() as connection:
        found = await requests.of_subject(connection, visit.subject)
        since = await restricted_since(connection, visit.subject, await service.subject_type(connection))
    return visit.page(
        "requests.html",
        here="requests",
        status=422 if value else 200,
        requests=[{**asdict(one), "label": labels.get(one.attribute or "", one.attribute or "")} for one in found],
        asked="asked" in visit.request.query_params,
        attributes=[(name, labels[name]) for name in _correctable(visit)],
        attribute=attribute,
        value=value,
        most=_VALUE_LENGTH,
        restriction=rights_of(current.compiled).restriction,
        restricted=since is not None,
    )


async def ask_for(visit: Visit) -> Response:
    """Puts a request into the queue."""
    form = await visit.form()
    kind = next((one for one in requests.KINDS if one == form.get("kind")), None)
    if kind is None or (kind == "erase" and form.get("sure") != "yes"):
        raise Problem(404, "there is no such request")
    attribute, value = None, None
    if kind == "rectify":
        attribute, value = form.get("attribute", ""), form.get("value", "").strip()
        if attribute not in _correctable(visit):
            raise Problem(404, "there is no such attribute")
        if len(value) > _VALUE_LENGTH:
            return await _page(visit, attribute=attribute, value=value)
    async with visit.site.connection() as connection:
        await requests.ask(connection, visit.subject, kind, source="customer pages", attribute=attribute, value=value)
    return RedirectResponse(f"{base(visit.request)}/me/requests?asked", 303)


def _correctable(visit: Visit) -> list[str]:
    current = visit.site.in_force
    return places.correctable(current.rules, current.compiled, current.snapshot)
