"""One record of the audit log as a JSON line. Pure.

The parts of a record that do not change (of a session, of a statement) are made once; a record joins them with its
numbers. Field names as on the page audit.md.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from itertools import chain, repeat
from typing import Any

from proxy.audit.trace import session_trace
from proxy.errors import PgError
from proxy.rewrite.lex import extent, parse
from proxy.rewrite.result import Disclosure, Plan, StatementInfo

_MARKS = '["\\u00ab\\u00bb\\u201e\\u201c\\u201d]'
_QUOTED = re.compile(f"{_MARKS}.*{_MARKS}", re.DOTALL)
_dumps = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def fragment(fields: Mapping[str, object]) -> str:
    """Fields as the inside of a JSON object, with a comma behind each; those that are None are left out."""
    return "".join(f"{_dumps(name)}:{_dumps(value)}," for name, value in fields.items() if value is not None)


def session_fragment(
    session: str,
    app: str | None,
    login: str | None,
    client: str,
    application_name: str | None,
    database: str | None,
    tls: str | None,
) -> str:
    """What all records of a session share. `tls` is the protocol's version, or None."""
    return fragment(
        {
            "session": session,
            "app": app,
            "login": login,
            "client": client,
            "application_name": application_name or None,
            "session_trace_id": session_trace(application_name or ""),
            "database": database,
            "tls": tls or False,
        }
    )


def statement_fragment(
    info: StatementInfo,
    rewritten: bool,
    rules_version: str,
    text: str | None = None,
    would_refuse: PgError | None = None,
) -> str:
    """What all executions of a statement share.

    `text` replaces the text without constants (`text: full`). `would_refuse`: what an app in `mode: monitor` would get.
    """
    return fragment(
        {
            "statement": info.text if text is None else text,
            "fingerprint": info.fingerprint,
            "rewritten": rewritten,
            "disclosed": disclosed_columns(info.disclosed),
            "unknown": info.unknown,
            "would_disclose": None if info.would is None else disclosed_columns(info.would),
            "policies": list(info.policies),
            "consent": info.consent,
            "rules_version": rules_version,
            "would_refuse": would_refuse and {"sqlstate": would_refuse.sqlstate, "message": would_refuse.message},
        }
    )


def consent_fragment(database: str, event: Mapping[str, Any]) -> str:
    """What the record of a change of consent says of the ledger's event: not whose it is, which its id tells there."""
    expires = event["expires_at"]
    return fragment(
        {
            "app": event["app"],
            "database": database,
            "attribute": event["attribute"],
            "decision": event["decision"],
            "actor": event["actor"],
            "decided_at": _iso(event["at"]),
            "expires_at": None if expires is None else _iso(expires),
            "ledger_id": event["id"],
        }
    )[:-1]


def _iso(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def disclosed_columns(columns: Iterable[Disclosure]) -> list[dict[str, str | None]]:
    """As records have them."""
    return [
        {"relation": d.relation, "column": d.column, "attribute": d.attribute, "treatment": d.treatment}
        for d in columns
    ]


def statement_fragments(
    infos: Iterable[StatementInfo],
    rewritten: Iterable[bool],
    rules_version: str,
    texts: Iterable[str | None] = (),
    would_refuse: PgError | None = None,
) -> list[str]:
    """One fragment a statement of a text; at least one (an empty text is a statement too).

    `rewritten`: which of them were (see `rewritten_ones`). `texts`: the statements that are recorded as sent
    (`text: full`, see audit.secrets); of others the constants are out.
    """
    made = [
        statement_fragment(info, changed, rules_version, text, would_refuse)
        for info, changed, text in zip(infos, rewritten, chain(texts, repeat(None)), strict=False)
    ]
    return made or [statement_fragment(StatementInfo("", "", ""), False, rules_version)]


def rewritten_ones(plan: Plan, text: str) -> list[bool]:
    """Of each statement of a plan, whether something of it was replaced. `text`: what the app sent."""
    if len(plan.statements) < 2 or not plan.rewritten:
        return [plan.rewritten] * len(plan.statements)
    raw = text.encode()
    begins = [len(raw[: extent(one, raw)[0]].decode()) for one in parse(text)]
    changed = {bisect_right(begins, start) - 1 for _, _, start, _ in plan.splices}
    return [number in changed for number in range(len(plan.statements))]


class Clock:
    """The time as records have it (UTC, microseconds); the second's text is made once a second."""

    __slots__ = ("_prefix", "_second")

    def __init__(self) -> None:
        self._second = -1
        self._prefix = ""

    def text(self, now: float) -> str:
        """`now`: seconds since 1970."""
        second = int(now)
        if second != self._second:
            self._prefix = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S.")
            self._second = second
        return f"{self._prefix}{str(int(now * 1_000_000))[-6:]}Z"  # no format with leading zeros: hot


def statement_tail(rows: int | None, duration_us: int) -> str:
    """The end of the record of a statement that ended well, without the closing brace; what it measured of any."""
    if rows is None:
        return f'"duration_us":{duration_us}'
    return f'"rows":{rows},"duration_us":{duration_us}'


def error_tail(sqlstate: str, message: str, duration_us: int | None = None, rows: int | None = None) -> str:
    """The end of the record of a statement that failed or was refused. `message` as `wire.scrub` leaves it; `rows`:
    those that went out before, where its duration is known too.
    """
    if sqlstate == "42601":
        message = _QUOTED.sub('"?"', message)  # what it quotes may be a constant, or a password
    measured = "" if duration_us is None else statement_tail(rows, duration_us) + ","
    return f'{measured}"sqlstate":{_dumps(sqlstate)},"message":{_dumps(message)}'
