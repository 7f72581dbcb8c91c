"""Walks the shop and the dashboard by their links, as four visitors. `python -m tests.integration.oscar.pages`."""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Callable, Iterable
from urllib.parse import parse_qs, urlsplit

from django.urls import Resolver404, resolve

from tests.integration.oscar.browser import Page, Visitor, inside

STARTS = (
    "/ /catalogue/ /search/?q=product /offers/ /basket/ /accounts/ /about/ /dashboard/ "
    "/dashboard/orders/?order_number=&name=O%27Hara /dashboard/users/?email=customer0&name= "
    "/dashboard/catalogue/?upc=&title=50%25 /dashboard/orders/statistics/ /accounts/notifications/archive/ "
    "/dashboard/shipping/weight-based/ /dashboard/catalogue/products/create/shirt/ /checkout/ "
    "/dashboard/catalogue/product-lookup/?q=Product /nothing/ /search/?q=50%25+off&sort_by=price-desc"
).split()
VISITORS = {
    "anybody": "",
    "customer": "customer05@example.org",
    "staff": "staff@example.org",
    "clerk": "customer25@example.org",
}
# What would end the walk, what is no page of the database, and the admin's pages over again.
SKIPPED = re.compile(r"/\w+/logout|/admin/jsi18n|/media/|/static/|.*_changelist_filters|/admin/.*/(history|delete)/")
MOST = 3  # pages of one kind for one visitor; of those that are asked in a certain order, filter or the like: one


def kind(url: str) -> str:
    """Pages of one view, asked in one way, are of one kind."""
    parts = urlsplit(url)
    try:
        found = resolve(parts.path)
    except Resolver404:
        return "none"
    asked: object = sorted(parse_qs(parts.query, keep_blank_values=True))
    if found.app_name == "admin":  # its filters combine without end
        asked = bool(asked)
    return f"{found.view_name or parts.path} {asked}"


def walk(
    visitor: Visitor,
    starts: Iterable[str] = STARTS,
    most: int = MOST,
    look: Callable[[str, Page], None] = lambda *_: None,
) -> None:
    """Breadth first; `look` gets each page, and may send what it finds there."""
    waiting, known = deque(starts), set(starts)
    seen: Counter[str] = Counter()
    while waiting:
        url = waiting.popleft()
        name = kind(url)
        if seen[name] >= (1 if "?" in url or url.startswith("/admin/") else most) or SKIPPED.match(url):
            continue
        seen[name] += 1
        page = visitor.get(url)
        for link in inside(page, url):
            if link not in known:
                known.add(link)
                waiting.append(link)
        look(url, page)


if __name__ == "__main__":
    for name, email in VISITORS.items():
        visitor = Visitor(name)
        if email:
            visitor.log_in(email)
        walk(visitor)
