"""The trace that a statement or a session belongs to, as applications note it: in a comment (sqlcommenter), or in
`application_name`.

https://google.github.io/sqlcommenter/spec/, https://www.w3.org/TR/trace-context/#traceparent-header. Pure.
"""

from __future__ import annotations

import re
from typing import Final

# Only at the very begin or end of a text: there it is a comment, and no part of a constant, which no record may hold.
_ID: Final = rb"[^*/]*\btraceparent='?[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}[^*/]*"
_FIRST: Final = re.compile(rb"\s*/\*" + _ID + rb"\*/")
_LAST: Final = re.compile(rb"/\*" + _ID + rb"\*/[\s;]*\Z")
_NAMED: Final = re.compile(r"(?<![0-9a-f])[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(?![0-9a-f])")
_LONGEST: Final = 4096  # bytes of such a comment


def trace_fragment(text: bytes) -> str:
    """`trace_id` and `span_id` as the inside of a JSON object with a comma behind each; empty where there is none."""
    if b"traceparent=" not in text:
        return ""
    found = _FIRST.match(text, 0, _LONGEST) or _LAST.search(text, max(0, len(text) - _LONGEST))
    if found is None:
        return ""
    return f'"trace_id":"{found[1].decode()}","span_id":"{found[2].decode()}",'


def session_trace(application_name: str) -> str | None:
    """The trace id of a session whose `application_name` has a traceparent."""
    found = _NAMED.search(application_name)
    return found[1] if found is not None else None
