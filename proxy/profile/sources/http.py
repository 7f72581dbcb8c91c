"""Pages of JSON by HTTP, each with the address of the next."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Literal

import httpx2

from proxy.profile.cursors import earlier
from proxy.profile.sources.json_lines import inside
from proxy.profile.sources.reading import Record, SourceError, SourceUnreachableError, Wanted
from proxy.profile.values import loads

_SECONDS: Final = 30.0
PAGE_SECONDS: Final = 300.0  # for all of one page
EMPTY_PAGES: Final = 100  # in a row, of servers that filter after they have cut pages; more are pages without end
_NEXT: Final = "next"
_ABSENT: Final = object()


@dataclass(frozen=True, slots=True)
class HttpReader:
    """`at`: where a page has its records; `next`: where it has the address of the next page, and `ends`: what is there
    on the last one (see HttpPlace).
    """

    source: str
    url: str
    token: str | None = None
    at: str = ""
    next: str | None = None
    since: str | None = None
    ends: Literal["null", "absent"] = "null"

    unit: ClassVar[str] = "record"
    in_order: ClassVar[bool] = False
    complete_fields: ClassVar[bool] = False
    may_be_cut: ClassVar[bool] = False

    @property
    def follows_cursor(self) -> bool:
        return self.since is not None

    def content(self) -> str | None:
        return None

    async def records(self, wanted: Wanted) -> AsyncGenerator[Record]:
        paths = [(field, field.split(".")) for field in wanted.fields]
        if self.token is not None and not (self.token.isascii() and self.token.isprintable()):
            raise SourceError(self.source, "its token has a character that no token has: look into the file")
        headers = {"accept": "application/json"} | ({"authorization": f"Bearer {self.token}"} if self.token else {})
        first = httpx2.URL(self.url)
        if self.since is not None and wanted.after is not None:
            first = first.copy_merge_params({self.since: earlier(wanted.after)})
        only = None if wanted.only is None else set(wanted.only)
        key = [(wanted.key, wanted.key.split("."))]
        number = 0
        async with httpx2.AsyncClient(headers=headers, timeout=_SECONDS) as client:
            page: httpx2.URL | None = first
            seen: set[str] = set()
            empty = 0  # pages in a row
            while page is not None:
                if str(page) in seen:
                    raise SourceError(self.source, f"{self._named(page)} comes after itself: the pages have no end")
                seen.add(str(page))
                document = await self._get(client, page)
                found = self._records(document, page)
                empty = 0 if found else empty + 1
                if empty > EMPTY_PAGES:
                    what = f"more than {EMPTY_PAGES} pages in a row have no record, and each a next one"
                    raise SourceError(self.source, f"{self._named(page)}: {what}")
                for values in found:
                    number += 1
                    if only is not None and inside(values, key).get(wanted.key) not in only:
                        continue
                    yield Record(number, inside(values, paths))
                page = self._after(document, page, len(seen))

    async def keys(self, wanted: Wanted) -> AsyncGenerator[Any]:
        async for record in self.records(wanted):
            yield record.values.get(wanted.key)

    async def _get(self, client: httpx2.AsyncClient, page: httpx2.URL) -> Any:
        try:
            async with asyncio.timeout(PAGE_SECONDS):  # the client's own is for each piece that comes
                answer = await client.get(page)
        except TimeoutError as error:
            what = f"{self._named(page)} did not come within {PAGE_SECONDS:g} s"
            raise SourceUnreachableError(self.source, what) from error
        except httpx2.TimeoutException as error:
            what = f"{self._named(page)} did not answer within {_SECONDS:g} s"
            raise SourceUnreachableError(self.source, what) from error
        except httpx2.HTTPError as error:
            what = f"{self._named(page)}: {str(error) or type(error).__name__}"
            raise SourceUnreachableError(self.source, what) from error
        if answer.status_code != 200:
            raise SourceUnreachableError(self.source, f"{self._named(page)} answered {answer.status_code}")
        try:
            return loads(answer.content, unique=True)
        except ValueError as error:
            raise SourceError(self.source, f"{self._named(page)}: {error}") from error

    def _records(self, document: Any, page: httpx2.URL) -> list[dict[str, Any]]:
        found = document
        for step in self.at.split(".") if self.at else ():
            found = found.get(step) if isinstance(found, dict) else None
        if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
            where = f"at {self.at} of" if self.at else "in"
            raise SourceError(self.source, f"no list of records is {where} {self._named(page)}")
        return found

    def _after(self, document: Any, page: httpx2.URL, number: int) -> httpx2.URL | None:
        """A page that lost the address of the next one is not taken for the last: all that comes after it would go."""
        path, found = self.next or _NEXT, document
        for step in path.split("."):
            found = found.get(step, _ABSENT) if isinstance(found, dict) else _ABSENT
        if found is _ABSENT and self.ends != "absent" and (self.next is not None or number > 1):
            hint = "null there is the end; if the last page does not have it, set `ends: absent` in the settings"
            raise SourceError(self.source, f"{self._named(page)}, page {number}, has no {path}: {hint}")
        if found is _ABSENT or not found:
            return None
        if not isinstance(found, str):
            raise SourceError(self.source, f"{path} of {self._named(page)} is no address")
        following = page.join(found)
        if (following.scheme, following.host, following.port) != (page.scheme, page.host, page.port):
            raise SourceError(self.source, f"the page after {self._named(page)} is on another server: {following.host}")
        return following

    @staticmethod
    def _named(page: httpx2.URL) -> str:
        """Without what may be a secret."""
        return str(page.copy_with(query=None, userinfo=b""))
