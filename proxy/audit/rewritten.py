"""A statement of the log as it was sent to the database, made again: the log has only what the app sent.

That is possible while the rules and the catalog facts that the record names are in force; of others it says so. Where
the record has no constants, others are read in their places, of each kind: what comes out must not depend on that.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from proxy.audit.record import disclosed_columns
from proxy.catalog.model import SearchPath, Snapshot
from proxy.errors import PgError
from proxy.policy.table import CompiledRules
from proxy.rewrite.lex import Token, Tokens
from proxy.rewrite.plan import Planner
from proxy.rewrite.result import Plan

Kind = Literal["same", "removed", "added"]


@dataclass(frozen=True, slots=True)
class Rewritten:
    """`text` is None where it cannot be said, and `note` says why. `pieces`: the statement as it was sent, with what
    was taken out and put in.
    """

    text: str | None
    note: str
    pieces: tuple[tuple[Kind, str], ...] = ()


class Rewriter:
    """Makes statements again by these rules on this catalog."""

    def __init__(self, rules: CompiledRules, snapshot: Snapshot) -> None:
        self._rules = rules
        self._snapshot = snapshot
        self._planners: dict[str, Planner] = {}
        self._made: dict[tuple[str, str, str], Rewritten] = {}

    def of(self, record: Mapping[str, Any]) -> Rewritten:
        """Of a statement's record."""
        statement, app = record.get("statement"), self._rules.apps.get(str(record.get("app")))
        if not isinstance(statement, str):
            return Rewritten(None, "this record is of no statement")
        if record.get("event") == "refused":
            return Rewritten(None, "it was refused: nothing was sent to the database")
        if not record.get("rewritten"):
            return _as_it_is(statement, "it was sent to the database as it is")
        if record.get("rules_version") != self._rules.version or app is None:
            version = str(record.get("rules_version"))[:12]
            now = self._rules.version[:12]
            return Rewritten(None, f"rules {version} were in force, which are not those of now ({now})")
        read = _canonical(record.get("disclosed"))
        key = (app.name, statement, read)
        if key not in self._made:
            planner = self._planners.setdefault(app.name, Planner(app, self._rules, self._snapshot))
            self._made[key] = _made(planner, statement, read)
        return self._made[key]


def _made(planner: Planner, statement: str, read: str) -> Rewritten:
    """`read`: what the record says that the statement disclosed."""
    try:
        readings = list(_readings(statement))
        plans = [(reading, planner.plan(reading.text.encode("utf-8", "replace"), SearchPath())) for reading in readings]
    except (PgError, RecursionError) as error:
        return Rewritten(None, f"it cannot be made again: {error}")
    done = [(reading, plan) for reading, plan in plans if plan.refusal is None]
    if not done:
        reading, plan = plans[0]
        missing = "its constants" if len(plans) > 1 else "its session"
        return Rewritten(None, f"it cannot be made again without {missing}: {reading.restored(str(plan.refusal))}")
    reading, plan = done[0]
    if any(info.executes or info.tag == "FetchStmt" for info in plan.statements):
        return _as_it_is(
            statement, "it was sent as it is, and runs what was rewritten when it was prepared or declared"
        )
    if (
        not plan.rewritten
        or _canonical([one for info in plan.statements for one in disclosed_columns(info.disclosed)]) != read
    ):
        return Rewritten(None, "it cannot be made again without its session: names meant something else there")
    found = tuple((kind, reading.restored(text)) for kind, text in pieces(plan))
    note = "made again by the rules in force"
    if len({reading.restored(plan.text.decode()) for reading, plan in done}) > 1:
        note += "; where its comparisons stand depends on the types of its constants, which are not recorded"
    return Rewritten(reading.restored(plan.text.decode()), note, found)


def _as_it_is(statement: str, note: str) -> Rewritten:
    return Rewritten(statement, note, (("same", statement),))


def _canonical(disclosed: object) -> str:
    """What was disclosed, in an order of its own."""
    columns = disclosed if isinstance(disclosed, list) else []
    return json.dumps(sorted({json.dumps(one, sort_keys=True) for one in columns}))


# -- constants that are out --------------------------------------------------------------------------------------------

# What stands for constant number {} in a reading.
_STRING, _INTEGER, _BIGINT, _NUMERIC = _KINDS = ("'consentry {:08}'", "19{:08}", "7719{:08}", "0.19{:08}")
_FOUND: Final = re.compile(r"'consentry (\d{8})'|\b0\.19(\d{8})\b|\b19(\d{8})\b|\b7719(\d{8})\b")


@dataclass(frozen=True, slots=True)
class _Reading:
    """A statement with constants; `places` is what the record has in their places."""

    text: str
    places: tuple[str, ...] = ()

    def restored(self, text: str) -> str:
        """Text that was made of it, as the record would have it."""
        if not self.places:
            return text
        return _FOUND.sub(lambda found: self.places[int(next(filter(None, found.groups())))], text)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a constant is out: bytes of the statement. `kind`: of which it must be, or None."""

    start: int
    end: int
    kind: str | None = None


def _readings(statement: str) -> Iterator[_Reading]:
    """The statement as the record has it, where it may be one, and with constants of each kind.

    Raises PgError where the scanner refuses it.
    """
    raw, places = statement.encode("utf-8", "replace"), list(_places(statement))
    shown = tuple(raw[place.start : place.end].decode() for place in places)
    if "?" not in shown:
        yield _Reading(statement)  # `$1` may be a parameter of the app's own
    for kind in _KINDS if places else ():
        out, at = [], 0
        for number, place in enumerate(places):
            out += [raw[at : place.start], (place.kind or kind).format(number).encode()]
            at = place.end
        yield _Reading(b"".join([*out, raw[at:]]).decode(), shown)


def _places(statement: str) -> Iterator[_Place]:
    """Where constants are out: `$1`, or `?` that is no operator of jsonb, which stands between two operands."""
    before: Token | None = None
    operand = False  # whether one ends with `before`
    tokens = Tokens(statement)
    for token, following in zip(tokens, [*tokens[1:], None], strict=True):
        place = None
        if token.text == b"?":
            if not (following is not None and _is_operator(before, operand, following)):
                place = _Place(token.start, token.end, _kind_behind(before))
        elif _PARAMETER.fullmatch(token.text):
            place = _Place(token.start, token.end, _kind_behind(before))
        elif _GLUED.fullmatch(token.text):  # `a=?`: an operator and a constant
            signed = token.text in _SIGNS and not operand
            place = _Place(token.end - 1, token.end, _INTEGER if signed else None)
        if place is not None:
            yield place
        operand = place is not None or token.text in (b")", b"]") or _is_name(token)
        before = token


def _is_operator(before: Token | None, operand: bool, following: Token) -> bool:
    """Of a `?`; keywords may be names of columns (`data ? $1`)."""
    if following.text in (b"?", b"(") or _PARAMETER.fullmatch(following.text):
        return operand or (before is not None and before.keyword)
    return operand and _is_name(following)


def _kind_behind(before: Token | None) -> str | None:
    """Constants with their type before them are strings (`interval ?`), and those with a sign are none."""
    if before is None:
        return None
    if before.word in _TYPES or _is_name(before):
        return _STRING
    return _INTEGER if before.text in (b"-", b"+") else None


def _is_name(token: Token) -> bool:
    return not token.keyword and _NAME.match(token.text) is not None


_PARAMETER: Final = re.compile(rb"\$\d+")
_NAME: Final = re.compile(rb'["_a-zA-Z\x80-\xff]')
_GLUED: Final = re.compile(rb"(?!@\?$)[^\w\s?]+\?|@\?\?")
_SIGNS: Final = frozenset((b"-?", b"+?"))
# Keywords with which the names of types end.
_TYPES: Final = frozenset(
    """
    bigint bit boolean char character dec decimal float int integer interval json nchar numeric precision real smallint
    time timestamp varchar varying zone
    """.split()
)


def pieces(plan: Plan) -> tuple[tuple[Kind, str], ...]:
    """The text that the app sent with what was replaced in it, in order."""
    text, original = plan.text.decode(), plan.original.decode()
    found: list[tuple[Kind, str]] = []
    at = original_at = 0
    for start, end, original_start, original_end in plan.splices:
        found.append(("same", original[original_at:original_start]))
        found.append(("removed", original[original_start:original_end]))
        found.append(("added", text[start:end]))
        at, original_at = end, original_end
    found.append(("same", text[at:]))
    return tuple(piece for piece in found if piece[1])


def as_diff(parts: tuple[tuple[Kind, str], ...]) -> str:
    """On one line, as `git diff --word-diff` writes it: [-removed-]{+added+}."""
    marks = {"same": ("", ""), "removed": ("[-", "-]"), "added": ("{+", "+}")}
    return "".join(f"{marks[kind][0]}{text}{marks[kind][1]}" for kind, text in parts)
