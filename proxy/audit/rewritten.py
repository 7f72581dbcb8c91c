"""A statement of the log as it was sent to the database, made again: the log has only what the app sent.

That is possible while the rules and the catalog facts that the record names are in force; of others it says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from proxy.catalog.model import SearchPath, Snapshot
from proxy.policy.table import CompiledRules
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
        self._made: dict[tuple[str, str], Rewritten] = {}

    def of(self, record: Mapping[str, Any]) -> Rewritten:
        """Of a statement's record."""
        statement, app = record.get("statement"), self._rules.apps.get(record.get("app") or "")
        if statement is None:
            return Rewritten(None, "this record is of no statement")
        if record.get("event") == "refused":
            return Rewritten(None, "it was refused: nothing was sent to the database")
        if not record.get("rewritten"):
            return Rewritten(statement, "it was sent to the database as it is", (("same", statement),))
        if record.get("rules_version") != self._rules.version or app is None:
            version = str(record.get("rules_version"))[:12]
            now = self._rules.version[:12]
            return Rewritten(None, f"rules {version} were in force, which are not those of now ({now})")
        key = (app.name, statement)
        if key not in self._made:
            planner = self._planners.setdefault(app.name, Planner(app, self._rules, self._snapshot))
            self._made[key] = _rewritten(planner.plan(statement.encode(), SearchPath()))
        return self._made[key]


def _rewritten(plan: Plan) -> Rewritten:
    if plan.refusal is not None:
        return Rewritten(None, f"it cannot be made again without its session: {plan.refusal.message}")
    return Rewritten(plan.text.decode(), "made again by the rules in force", pieces(plan))


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
