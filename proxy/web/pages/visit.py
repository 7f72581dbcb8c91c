"""One request of a customer who is logged in, as each of the customer pages takes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import asyncpg
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response

from proxy.consent import service
from proxy.consent.access import AppAccess
from proxy.consent.standing import Standing
from proxy.web.callers import refuse_forged
from proxy.web.links import Session
from proxy.web.pages.forms import read_form
from proxy.web.pages.render import render
from proxy.web.pages.texts import Texts
from proxy.web.site import Site


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

    async def form(self) -> QueryParams:
        """The form that was sent. Raises Problem where it is not of this session."""
        form = await read_form(self.request)
        refuse_forged(self.request, self.site, self.session, form.get("form", ""))
        return form

    def app_label(self, app: str) -> str:
        found = self.site.in_force.compiled.apps.get(app)
        return (found.label or app) if found else app

    def attribute_label(self, attribute: str) -> str:
        found = self.site.in_force.rules.attributes.get(attribute)
        return (found.label or attribute) if found else attribute
