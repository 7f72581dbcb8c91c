"""The form that the organisation's own site links to or embeds, at sign-up: may this app use that?

No box is ticked beforehand. A ticked one is a grant with the words that stood beside it and the texts' version; one
that is left alone is no decision. Inside another site's frame a browser sends no cookies, so the link's token (scope
"collect": it opens nothing else) says whose consent it is, and is what no forged form has.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from proxy.consent import access, service
from proxy.consent.mapped import ReadOnlyError
from proxy.consent.service import Origin
from proxy.consent.standing import Standing
from proxy.errors import ConsentryError, UnreachableError
from proxy.web.callers import Caller, address_of
from proxy.web.links import BadLinkError
from proxy.web.pages.forms import read_form
from proxy.web.pages.render import LANGUAGE_COOKIE, render
from proxy.web.pages.texts import Texts, choose
from proxy.web.problems import Problem
from proxy.web.rates import Rates
from proxy.web.site import Site

SCOPE: Final = "collect"


@dataclass(frozen=True, slots=True)
class Item:
    """One box: what is asked for one app, in the customer's words. `what` as `access.named` takes it."""

    app: str
    what: str
    attributes: tuple[str, ...]
    scope: str | None
    words: str
    purpose: str

    @property
    def value(self) -> str:
        return f"{self.app} {self.what}"


def collect_routes(site: Site, rates: Rates) -> list[BaseRoute]:
    """`/collect`: the form, and what was ticked."""

    async def endpoint(request: Request) -> Response:
        texts = choose(request, site.texts, LANGUAGE_COOKIE)
        try:
            return await _answer(site, rates, request, texts)
        except BadLinkError as error:
            key, status = ("expired" if error.expired else "bad_link"), 401
        except UnreachableError:
            key, status = "busy", 503
        except ReadOnlyError:
            key, status = "elsewhere", 409
        except Problem as problem:
            key, status = {429: "slow", 409: "stale"}.get(problem.status, "forged"), problem.status
        except ConsentryError:
            key, status = "missing", 404
        embed_from = site.settings.organisation.embed_from
        return render(site, request, texts, "message.html", "", status, embed_from=embed_from, key=key)

    return [Route("/collect", endpoint, methods=["GET", "POST"])]


async def _answer(site: Site, rates: Rates, request: Request, texts: Texts) -> Response:
    saved = request.method == "POST"
    given = await read_form(request, largest=20_000, fields=500, part=8000) if saved else request.query_params
    subject = _subject(site, rates, request, given.get("token", ""))
    async with site.connection() as connection:
        standings = await service.show(connection, subject, site.in_force.words.mapping)
    items = list(_items(site, texts, standings, given))
    if saved:
        await _save(site, subject, texts, items, given)
    return render(
        site,
        request,
        texts,
        "collect.html",
        "",
        200,
        embed_from=site.settings.organisation.embed_from,
        saved=saved,
        items=items,
        token=given.get("token", ""),
        asked=[(name, value) for name in ("app", "attribute") for value in given.getlist(name)],
        by=given.get("by", ""),
        request_key=secrets.token_urlsafe(16),
    )


def _subject(site: Site, rates: Rates, request: Request, token: str) -> str:
    """Whose consent it is. Raises BadLinkError, Problem."""
    address = address_of(request)
    rates.refuse_guesser(address)
    if site.keys is None:
        raise BadLinkError("no links are made here")
    try:
        subject = site.keys.read_link_token(token, SCOPE)
    except BadLinkError:
        rates.note_guess(address)
        raise
    rates.take(Caller("customer", frozenset(), subject))
    return subject


def _items(site: Site, texts: Texts, standings: Sequence[Standing], given: QueryParams) -> Iterable[Item]:
    """The boxes: what apps ask before they use it, and the customer does not share yet.

    `given` narrows them: `app` and `attribute`, each once or more; `by=purpose` makes one box an app of them.
    """
    apps, wanted = given.getlist("app"), given.getlist("attribute")
    for app in site.access(standings):
        if apps and app.app not in apps:
            continue
        asked = [
            one
            for one in app.attributes
            if one.consent == "opt_in" and not one.granted and (not wanted or one.attribute in wanted)
        ]
        if given.get("by") == "purpose" and asked:
            labels = ", ".join(one.label for one in asked)
            names = tuple(one.attribute for one in asked)
            words = texts("collect_item", app=app.label, attribute=labels)
            yield Item(app.app, access.ALL, names, None if wanted else access.ALL, words, app.purpose)
            continue
        for one in asked:
            words = texts("collect_item", app=app.label, attribute=one.label)
            yield Item(app.app, one.attribute, (one.attribute,), None, words, app.purpose)


async def _save(site: Site, subject: str, texts: Texts, items: list[Item], given: QueryParams) -> None:
    """Records what was ticked, all or nothing. Raises ConsentryError, Problem."""
    key = given.get("request", "")
    if not re.fullmatch(r"[\w-]{16,64}", key):
        raise Problem(400, "the form is not ours")
    ticked = dict.fromkeys(given.getlist("consent"))
    async with site.connection() as connection, connection.transaction():
        # By the apps' names, as whoever decides about several does: in two orders they would wait for each other.
        for number, value in sorted(enumerate(ticked), key=lambda one: one[1]):
            item = next((one for one in items if one.value == value), None)
            if item is None:
                # Shared meanwhile, or the form came a second time: then it is so already.
                app, _, what = value.partition(" ")
                compiled = site.in_force.compiled.apps.get(app)
                if compiled is None or not set(access.named(compiled, site.in_force.rules.attributes, what)[0]) <= set(
                    access.asked(compiled)
                ):
                    raise Problem(404, "nothing of that kind is asked")
                continue
            await service.decide(
                connection,
                site.in_force.words,
                subject,
                item.app,
                item.attributes,
                "granted",
                scope=item.scope,
                origin=Origin(
                    "customer",
                    "collection form",
                    site.in_force.rules.digest,
                    texts.version,
                    {"shown": _shown(texts, item)},
                ),
                request=f"{key}-{number}",
            )


def _shown(texts: Texts, item: Item) -> str:
    purpose = texts("collect_purpose", purpose=item.purpose) if item.purpose else ""
    return f"{item.words} {purpose}".strip()
