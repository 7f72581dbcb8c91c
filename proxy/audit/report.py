"""What the log says of a time: who read what, how often, of how many customers; refusals; changes of rules. From the
log itself, every line of it, and from no index.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from proxy.audit.customers import counts_rows, rows_are_customers
from proxy.audit.files import lines, log_files
from proxy.audit.question import REFUSALS, micros
from proxy.audit.reader import NOTHING, UNREADABLE, Outline, Outliner, Traits, record


@dataclass(slots=True)
class Reading:
    """An app's reads of one attribute. `customers`: at most so many, as often counted as read; None: any number.
    `at_least`: as many as one statement read.
    """

    app: str
    attribute: str
    columns: set[tuple[str, str]] = field(default_factory=set)  # (relation, column)
    treatments: set[str] = field(default_factory=set)
    statements: int = 0
    rows: int = 0
    customers: int | None = 0
    at_least: int = 0
    first: str = ""
    last: str = ""


@dataclass(slots=True)
class Refusal:
    app: str
    login: str
    message: str
    count: int = 0
    last: str = ""


@dataclass(frozen=True, slots=True)
class RuleChange:
    """`problem`: why the rules stayed as they were, or None."""

    time: str
    rules_version: str
    problem: str | None


@dataclass(slots=True)
class Findings:
    """All that the log says of a time."""

    readings: list[Reading] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    rule_changes: list[RuleChange] = field(default_factory=list)
    rules_versions: set[str] = field(default_factory=set)
    untold: Counter[str] = field(default_factory=Counter)  # app -> statements that may have read more than is told
    events: Counter[str] = field(default_factory=Counter)
    days: Counter[tuple[str, str]] = field(default_factory=Counter)  # (day, app) -> statements that read an attribute
    records: int = 0
    unreadable: int = 0  # lines that are no records, of any time
    first: str = ""
    last: str = ""


def findings(
    directory: Path,
    since: int | None,
    until: int | None,
    progress: Callable[[int], None] | None = None,
    own: Collection[str] = (),
) -> Findings:
    """Reads the log. `since`, `until`: microseconds since 1970, both included. `own`: the tables that have one row a
    customer. Raises ConsentryError.
    """
    found = Findings()
    readings: dict[tuple[str, str], Reading] = {}
    refusals: dict[tuple[str, str, str], Refusal] = {}
    # By id(): the traits (so that they stay), whether there are at most as many customers as rows, and at least.
    reloads: list[tuple[RuleChange, int]] = []
    countable: dict[int, tuple[Traits, bool, bool]] = {}
    for line, outline in outlines(directory, since, until):
        traits, time = outline.traits, outline.time.decode()
        if traits is UNREADABLE:
            found.unreadable += 1
            continue
        found.records += 1
        found.events[traits.event] += 1
        found.first = min(found.first or time, time)
        found.last = max(found.last, time)
        if progress is not None and found.records % 100_000 == 0:
            progress(found.records)
        if traits.event in REFUSALS:
            _add_refusal(refusals, record(line))
        elif traits.event == "reload":
            whole = record(line)
            change = RuleChange(time, whole.get("rules_version", ""), whole.get("message"))
            reloads.append((change, whole.get("worker", 0)))
        elif traits.event == "statement" and traits.unknown:
            found.untold[traits.app or ""] += 1
        if not outline.read:
            continue
        found.rules_versions.add(outline.rules_version.decode())
        known = countable.get(id(traits))
        if known is None:
            text = record(line).get("statement") or ""
            names = {one.relation for one in traits.disclosed}
            most = counts_rows(text, names)
            known = countable[id(traits)] = (traits, most, most and rows_are_customers(text, names, own))
        _add_reading(readings, outline, time, known[1:], found.days)
    found.rule_changes = _of_all_workers(reloads)
    found.readings = sorted(readings.values(), key=lambda one: (one.app, one.attribute))
    found.refusals = sorted(refusals.values(), key=lambda one: (-one.count, one.app, one.message))
    return found


def _of_all_workers(reloads: list[tuple[RuleChange, int]]) -> list[RuleChange]:
    """Each worker records that it took the rules: those that follow each other and say the same are one change."""
    changes: list[RuleChange] = []
    told: set[int] = set()  # the workers that the last change was told by
    for change, worker in sorted(reloads, key=lambda one: one[0].time):
        last = changes[-1] if changes else None
        same = last is not None and (last.rules_version, last.problem) == (change.rules_version, change.problem)
        if not same or worker in told:
            changes.append(change)
            told = set()
        told.add(worker)
    return changes


def outlines(directory: Path, since: int | None, until: int | None) -> Iterator[tuple[bytes, Outline]]:
    """Every line of a time with what it says in short; lines that are no records are of any time."""
    outliner = Outliner()
    for file in log_files(directory):
        for line in lines(file):
            outline = outliner.outline(line)
            if outline.time and (since is not None or until is not None):
                at = micros(outline.time.decode())
                if (since is not None and at < since) or (until is not None and at > until):
                    continue
            yield line, outline


def _add_reading(
    readings: dict[tuple[str, str], Reading],
    outline: Outline,
    time: str,
    countable: tuple[bool, bool],
    days: Counter[tuple[str, str]],
) -> None:
    traits = outline.traits
    app = traits.app or ""
    attributes = traits.attributes
    if attributes:
        days[(time[:10], app)] += 1
    for attribute in attributes:
        reading = readings.get((app, attribute))
        if reading is None:
            reading = readings[(app, attribute)] = Reading(app, attribute, first=time)
        mine = [one for one in traits.disclosed if one.attribute == attribute]
        reading.columns.update((one.relation, one.column) for one in mine)
        reading.treatments.update(one.treatment for one in mine)
        reading.statements += 1
        reading.rows += outline.rows or 0
        if reading.customers is not None:
            most = countable[0] and outline.rows is not None
            reading.customers = reading.customers + (outline.rows or 0) if most else None
        if countable[1] and any(", else " not in one.treatment and one.treatment not in NOTHING for one in mine):
            reading.at_least = max(reading.at_least, outline.rows or 0)
        reading.first = min(reading.first, time)
        reading.last = max(reading.last, time)


def _add_refusal(refusals: dict[tuple[str, str, str], Refusal], whole: dict[str, str]) -> None:
    key = (whole.get("app") or "", whole.get("login") or "", whole.get("message") or "")
    refusal = refusals.setdefault(key, Refusal(*key))
    refusal.count += 1
    refusal.last = max(refusal.last, whole["time"])
