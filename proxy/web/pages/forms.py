"""Forms that pages send."""

from __future__ import annotations

from starlette.datastructures import QueryParams
from starlette.requests import Request

from proxy.web.problems import Problem


async def read_form(request: Request, *, largest: int = 10_000, fields: int = 20, part: int = 4000) -> QueryParams:
    """The fields that are texts. `largest`: bytes of the form, `part`: of one field. Raises Problem: 413."""
    length = request.headers.get("content-length", "")
    if not length.isdecimal() or int(length) > largest:
        raise Problem(413, "the form is too large")
    form = await request.form(max_files=0, max_fields=fields, max_part_size=part)
    return QueryParams([(name, value) for name, value in form.multi_items() if isinstance(value, str)])
