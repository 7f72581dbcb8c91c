"""Asking the server what unqualified names mean in a session, and pinning what parsing depends on.

One question in one place. It goes by the extended protocol under reserved names, so that the app's unnamed statement
and portal stay, and it fits inside of a batch that the app has not ended.
"""

from __future__ import annotations

import json
from typing import Final

from proxy.catalog.model import SearchPath
from proxy.rewrite.settings import split_identifiers
from proxy.wire import messages
from proxy.wire.states import Awaiting, Expected

RESERVED: Final = b"consentry.gateway"  # the name of Consentry's own statement and portal
# A statement and portal that never exist: a Bind, Describe or Execute of it always fails.
NOWHERE: Final = b"consentry.nowhere"

# Settings that change how a text is parsed have one value for all sessions of governed apps.
PINNED: Final = {
    "standard_conforming_strings": "on",
    "backslash_quote": "safe_encoding",
    "transform_null_equals": "off",
}

_PINS = ", ".join(f"pg_catalog.set_config('{name}', '{value}', false)" for name, value in PINNED.items())
# Everything is qualified: the session's search path may have functions and operators of the same names in front.
_WHAT_NAMES_MEAN = (
    "SELECT pg_catalog.array_to_json(pg_catalog.current_schemas(true))::text, "
    "(SELECT pg_catalog.json_agg(c.relname)::text FROM pg_catalog.pg_class AS c "
    "WHERE c.relnamespace OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema()), "
    "(SELECT pg_catalog.json_agg(c.relname)::text FROM pg_catalog.pg_class AS c "
    "WHERE c.relnamespace OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema() "
    "AND NOT pg_catalog.pg_table_is_visible(c.oid)), pg_catalog.current_setting('search_path'), "
    "(SELECT pg_catalog.json_agg(c.relname)::text FROM pg_catalog.pg_class AS c "
    "WHERE c.relnamespace OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema() "
    "AND EXISTS (SELECT FROM pg_catalog.pg_attribute AS a WHERE a.attrelid OPERATOR(pg_catalog.=) c.oid "
    "AND a.atttypid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid))"  # FirstNormalObjectId
)
QUESTION: Final = f"{_WHAT_NAMES_MEAN}, {_PINS}".encode()


def _asking(question: bytes) -> bytes:
    return (
        messages.close(b"S", RESERVED)  # what a question left that failed half-way
        + messages.close(b"P", RESERVED)
        + messages.parse(RESERVED, messages.parse_rest(question))
        + messages.bind(RESERVED, RESERVED)
        + messages.execute(RESERVED)
        + messages.close(b"P", RESERVED)
        + messages.close(b"S", RESERVED)
    )


_ASK = _asking(QUESTION)
LOOK_AND_SYNC: Final = _asking(_WHAT_NAMES_MEAN.encode()) + messages.SYNC_MESSAGE  # pins nothing
# Between batches (with a Sync of its own), and inside of a batch.
ASK_AND_SYNC: Final = _ASK + messages.SYNC_MESSAGE
ASK_AND_FLUSH: Final = _ASK + messages.FLUSH_MESSAGE

_CLOSED = Expected(Awaiting.CLOSE, swallow=True)
_ANSWERS = (
    _CLOSED,
    _CLOSED,
    Expected(Awaiting.PARSE, swallow=True),
    Expected(Awaiting.BIND, swallow=True),
    Expected(Awaiting.EXECUTE, swallow=True),
    _CLOSED,
)
ANSWERED: Final = Expected(Awaiting.CLOSE, swallow=True, name=RESERVED)  # the last answer inside of a batch
SYNCED: Final = Expected(Awaiting.SYNC, swallow=True)  # the last one between batches
RENEWED: Final = Expected(Awaiting.SYNC, swallow=True)  # the last one of preparing a statement again
EXPECTED_WITH_SYNC: Final = (*_ANSWERS, _CLOSED, SYNCED)
EXPECTED_WITH_FLUSH: Final = (*_ANSWERS, ANSWERED)


def search_path(row: list[bytes | None]) -> SearchPath:
    """The answer's row as a path."""
    schemas, temporary, covered, foreign = (json.loads(row[at] or b"[]") for at in (0, 1, 2, 4))
    setting = split_identifiers((row[3] or b"").decode("utf-8", "replace"))
    return SearchPath(
        tuple(name for name in schemas if not name.startswith("pg_temp_")),
        frozenset(temporary),
        frozenset(foreign),
        temporary_first=not any(name.startswith("pg_temp") for name in setting[1:]),
        covered=frozenset(covered),
    )
