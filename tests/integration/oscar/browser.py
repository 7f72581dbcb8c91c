"""A visitor of the shop: requests pages, reads links and forms, and notes what came back and what SQL went out."""

from __future__ import annotations

import json
import re
import sys
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urljoin, urlsplit

from django.core import mail
from django.db import connection
from django.test import Client

from tests.integration.oscar import repeatable
from tests.integration.oscar.shop import PASSWORD

HOST = "http://testserver"
OFFERED_EVERYWHERE = ("/i18n/", "/accounts/logout", "/dashboard/logout", "/admin/logout")
_TOKENS = re.compile(r'(name="csrfmiddlewaretoken" value=|data-csrftoken=|csrf_token["\']?\s*[:=]\s*)["\'][^"\']*["\']')


@dataclass
class Form:
    action: str
    method: str
    fields: list[tuple[str, str]] = field(default_factory=list)
    buttons: list[tuple[str, str]] = field(default_factory=list)
    files: list[str] = field(default_factory=list)

    def data(self, changes: dict[str, Any]) -> dict[str, Any]:
        """What a browser would send. A change to None takes the field out."""
        values: dict[str, Any] = {}
        for name, value in self.fields:
            values.setdefault(name, []).append(value)
        for name, value in changes.items():
            values.pop(name, None)
            if value is not None:
                values[name] = value
        return values


class Page(HTMLParser):
    """The links and forms of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.forms: list[Form] = []
        self._form: Form | None = None
        self._select: tuple[str, bool] | None = None
        self._options: list[tuple[str, bool]] = []
        self._area: str | None = None
        self._text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        elif tag == "form":
            self._form = Form(values.get("action", ""), values.get("method", "get").lower())
            self.forms.append(self._form)
        if self._form is None or "disabled" in values:
            return
        name, kind = values.get("name", ""), values.get("type", "text").lower()
        if tag == "input" and name:
            if kind == "file":
                self._form.files.append(name)
            elif kind in ("submit", "image"):
                self._form.buttons.append((name, values.get("value", "")))
            elif kind in ("checkbox", "radio"):
                if "checked" in values:
                    self._form.fields.append((name, values.get("value", "on")))
            else:
                self._form.fields.append((name, values.get("value", "")))
        elif tag == "button" and name:
            self._form.buttons.append((name, values.get("value", "")))
        elif tag == "select" and name:
            self._select, self._options = (name, "multiple" in values), []
        elif tag == "option" and self._select:
            self._options.append((values.get("value", ""), "selected" in values))
        elif tag == "textarea" and name:
            self._area, self._text = name, ""

    def handle_data(self, data: str) -> None:
        if self._area:
            self._text += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._form = None
        elif tag == "select" and self._select and self._form:
            name, many = self._select
            chosen = [value for value, selected in self._options if selected]
            if not chosen and not many:
                chosen = [value for value, _ in self._options[:1]]
            self._form.fields += [(name, value) for value in chosen]
            self._select = None
        elif tag == "textarea" and self._area and self._form:
            self._form.fields.append((self._area, self._text.removeprefix("\n")))
            self._area = None


class Visitor:
    """Requests as one customer or member of staff; each is printed as a JSON line."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.client = Client(raise_request_exception=False)
        self.url = "/"
        self.text = ""
        self.location = ""
        self.status = 0
        self._requests: Counter[tuple[str, str]] = Counter()

    def log_in(self, email: str, password: str = PASSWORD) -> None:
        self.get("/accounts/login/")
        data = {"login-username": email, "login-password": password, "login_submit": "Log In"}
        self.post("/accounts/login/", data)
        assert self.status == 302, self.text[:3000]

    def get(self, url: str) -> Page:
        return self._request("get", url, {})

    def post(self, url: str, data: dict[str, Any] | None = None) -> Page:
        return self._request("post", url, data or {})

    def submit(
        self, page: str, changes: dict[str, Any] | None = None, having: str = "", button: str = "", sent: bool = False
    ) -> Page:
        """Opens the page and sends its form that has the field, button or action `having`, with changes to its fields.

        `sent`: fails unless the answer leads to another page, as after a form without mistakes.
        """
        for form in self.get(page).forms:
            names = [name for name, _ in (*form.fields, *form.buttons)] + form.files
            if form.method != "post" or form.action.startswith(OFFERED_EVERYWHERE):
                continue
            if not having or having in names or ("/" in having and having in form.action):
                break
        else:
            raise AssertionError(f"{self.name}: no form with {having!r} in {page} ({self.status})")
        answer = self.send(page, form, changes, button)
        assert not sent or self.status == 302, f"{self.name}: {page} {self.status} {_mistakes(self.text)}"
        return answer

    def send(self, page: str, form: Form, changes: dict[str, Any] | None = None, button: str = "") -> Page:
        data = form.data(changes or {})
        data.update({name: value for name, value in form.buttons if name == button})
        return self.post(urljoin(HOST + page, form.action), data)

    def _request(self, method: str, url: str, data: dict[str, Any]) -> Page:
        parts = urlsplit(urljoin(HOST + self.url, url))
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        repeatable.begin(0, zlib.crc32(f"{self.name} {method} {path} {sorted(data)}".encode()))
        statements: list[str] = []
        failed: list[str] = []

        def execute(run: Any, statement: Any, params: Any, many: bool, context: Any) -> Any:
            statements.append(str(statement))
            try:
                return run(statement, params, many, context)
            except Exception as error:
                failed.append(f"{type(error).__name__}: {error} <- {statement!s}")
                raise

        self._requests[method, path] += 1
        mail.outbox = []
        with connection.execute_wrapper(execute):
            response = getattr(self.client, method)(path, data)
        body = b"".join(response.streaming_content) if response.streaming else response.content
        self.url, self.status = path, response.status_code
        self.location = response.headers.get("Location", "")
        self.text = _TOKENS.sub(r"\1''", body.decode(errors="replace"))
        line = {
            "visitor": self.name,
            "number": self._requests[method, path],
            "method": method,
            "url": path,
            "status": response.status_code,
            "location": self.location,
            "type": response.headers.get("Content-Type", ""),
            "body": self.text,
            "mail": [f"{message.to} {message.subject}\n{message.body}" for message in mail.outbox],
            "statements": len(statements),
            "failed": failed,
        }
        json.dump(line, sys.stdout)
        sys.stdout.write("\n")
        return Page(self.text) if "html" in line["type"] else Page("")


def inside(page: Page, base: str) -> Iterator[str]:
    """The page's links that stay in the shop, as paths."""
    for link in page.links:
        parts = urlsplit(urljoin(HOST + base, link))
        if parts.netloc == "testserver" and parts.scheme == "http":
            yield parts.path + (f"?{parts.query}" if parts.query else "")


def _mistakes(text: str) -> list[str]:
    return [" ".join(found.split()) for found in re.findall(r"(?s)(?:error|alert-danger)[^>]*>(.{1,200}?)</", text)]
