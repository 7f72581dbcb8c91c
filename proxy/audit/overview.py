"""What the log's index says of some days, for charts: how many statements read something, by app, attribute and day.

Quick, and no proof: a report reads the log itself.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from proxy.audit.index import Index
from proxy.audit.question import REFUSALS


@dataclass(slots=True)
class Overview:
    """Counts of statements that read an attribute; `refused` are statements and connections."""

    apps: Counter[str] = field(default_factory=Counter)
    attributes: Counter[str] = field(default_factory=Counter)
    pairs: Counter[tuple[str, str]] = field(default_factory=Counter)  # (app, attribute)
    days: dict[str, Counter[str]] = field(default_factory=dict)  # day -> app
    refused: int = 0
    records: int = 0


def overview(index: Index, since: str, until: str) -> Overview:
    """Of the days from `since` to `until` (2026-11-26, UTC), both included."""
    found = Overview()
    for day in index.days(since, until):
        app = day.traits.app or ""
        found.records += day.records
        if day.traits.event in REFUSALS:
            found.refused += day.records
        attributes = day.traits.attributes
        if not day.reads or not attributes:
            continue
        found.apps[app] += day.reads
        found.days.setdefault(day.day, Counter())[app] += day.reads
        for attribute in attributes:
            found.attributes[attribute] += day.reads
            found.pairs[(app, attribute)] += day.reads
    return found
