"""What the API answers where it cannot do what was asked: problem documents (RFC 9457)."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

MEDIA_TYPE = "application/problem+json"


class Problem(Exception):
    """An answer of status 4xx or 5xx. `detail` says what to do; `more` are members of the document of its own."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        more: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.more = dict(more or {})
        self.headers = dict(headers or {})


def document(problem: Problem) -> dict[str, Any]:
    """The problem as JSON. `type` is about:blank: the status says which kind it is."""
    title = HTTPStatus(problem.status).phrase
    return {"type": "about:blank", "title": title, "status": problem.status, "detail": problem.detail, **problem.more}


async def answer(_request: Request, problem: Exception) -> Response:
    """The handler of `Problem` for an application."""
    assert isinstance(problem, Problem)
    return JSONResponse(document(problem), problem.status, problem.headers, MEDIA_TYPE)
