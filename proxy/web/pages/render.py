"""A page from its template, with the headers that all pages have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from proxy.web.auditors import Door
from proxy.web.pages.texts import Texts
from proxy.web.site import Site

LANGUAGE_COOKIE: Final = "consentry_language"
_POLICY: Final = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors "
)
_STAFF_POLICY: Final = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
TEMPLATES: Final = Environment(
    loader=PackageLoader("proxy.web.pages"),
    autoescape=select_autoescape(default=True),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def render(
    site: Site,
    request: Request,
    texts: Texts,
    template: str,
    form_token: str,
    status: int,
    here: str = "",
    embed_from: Sequence[str] = (),
    **values: Any,
) -> Response:
    """`form_token`: the session's own for its forms, empty where nobody is in. `embed_from`: who may frame it."""
    text = TEMPLATES.get_template(template).render(
        t=texts,
        organisation=site.organisation,
        logo=site.logo is not None,
        languages=list(site.texts.values()) if request.method == "GET" else [],
        kept=urlencode([(name, value) for name, value in request.query_params.multi_items() if name != "lang"]),
        base=base(request),
        form_token=form_token,
        here=here,
        login=site.provider is not None and not form_token,
        **values,
    )
    policy = _POLICY + (" ".join(embed_from) or "'none'")
    headers = {"Content-Security-Policy": policy, "Cache-Control": "no-store", "Vary": "Accept-Language, Cookie"}
    return HTMLResponse(text, status, headers)


def staff_page(site: Site, request: Request, template: str, status: int, door: Door, **values: Any) -> Response:
    """A page for auditors or agents, in English, without scripts. `door` is what it is behind."""
    shared = {
        "form_token": "",
        "here": "",
        "staff": None,
        "door": door,
        "area": door.path.lstrip("/"),
        "organisation": site.organisation,
        "base": base(request),
        "logo": site.logo is not None,
    }
    text = TEMPLATES.get_template(template).render(**{**shared, **values})
    return HTMLResponse(text, status, {"Content-Security-Policy": _STAFF_POLICY, "Cache-Control": "no-store"})


def base(request: Request) -> str:
    """What stands before each path, where a proxy in front serves the pages under one."""
    return str(request.scope.get("root_path", ""))
