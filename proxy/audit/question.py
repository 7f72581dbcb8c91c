"""What is asked of the audit log: which records. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final

from proxy.audit.chain import OWN_EVENTS

REFUSALS: Final = frozenset(("refused", "connect_refused"))
EVENTS: Final = (
    OWN_EVENTS
    | REFUSALS
    | {"connect", "disconnect", "statement", "subject", "reload", "consent", "key", "expire", "torn", "lost"}
)


@dataclass(frozen=True, slots=True)
class Question:
    """Records that meet all of these; of several values of one of them, any. The log's own (checkpoints and such) only
    where `events` names them.

    `since` and `until` are microseconds since 1970, both included. `text` is looked for in the statement, the message
    and the application's name, whatever their case.
    """

    events: frozenset[str] = frozenset()
    apps: frozenset[str] = frozenset()
    logins: frozenset[str] = frozenset()
    attributes: frozenset[str] = frozenset()
    relations: frozenset[str] = frozenset()  # with or without their schema
    policies: frozenset[str] = frozenset()
    fingerprints: frozenset[str] = frozenset()
    sessions: frozenset[str] = frozenset()
    refused: bool = False
    text: str = ""
    since: int | None = None
    until: int | None = None

    def meets(self, record: Mapping[str, Any]) -> bool:
        """Whether what many records share is as asked: all but time, text and session."""
        event = record.get("event")
        if event not in self.events if self.events else event in _UNASKED:
            return False
        if self.refused and event not in REFUSALS:
            return False
        if self.apps and record.get("app") not in self.apps:
            return False
        if self.logins and record.get("login") not in self.logins:
            return False
        if self.fingerprints and record.get("fingerprint") not in self.fingerprints:
            return False
        if self.policies and self.policies.isdisjoint(record.get("policies") or ()):
            return False
        disclosed = record.get("disclosed") or ()
        attributes = {record.get("attribute"), *(one["attribute"] for one in disclosed)}
        if self.attributes and self.attributes.isdisjoint(attributes):
            return False
        return not self.relations or any(_names(one["relation"]) & self.relations for one in disclosed)

    def holds(self, record: Mapping[str, Any]) -> bool:
        """Whether the record is one of those asked for."""
        return self.meets(record) and self.holds_besides(record, micros(record["time"]))

    def holds_besides(self, record: Mapping[str, Any], at: int) -> bool:
        """The same of a record that `meets` is known of, and its time."""
        if (self.since is not None and at < self.since) or (self.until is not None and at > self.until):
            return False
        if self.sessions and record.get("session") not in self.sessions:
            return False
        return not self.text or self._said(record)

    def _said(self, record: Mapping[str, Any]) -> bool:
        wanted = self.text.casefold()
        return any(
            wanted in str(record.get(name) or "").casefold() for name in ("statement", "message", "application_name")
        )


def micros(text: str) -> int:
    """The time of a record as microseconds since 1970. Raises ValueError."""
    return since_epoch(datetime.fromisoformat(text))


def moment(at: int) -> datetime:
    """The time of so many microseconds since 1970."""
    return _EPOCH + timedelta(microseconds=at)


def bound(text: str, *, end: bool = False, now: datetime | None = None) -> int:
    """A time that somebody wrote, in microseconds since 1970. Raises ValueError.

    A date is its beginning, and its end where `end`; a date with a time is UTC where it names no zone; `24h`, `7d` and
    so on are that long ago.
    """
    unit = _UNITS.get(text[-1:])
    if unit is not None and text[:-1].isdigit():
        try:
            return since_epoch((now or datetime.now(UTC)) - int(text[:-1]) * unit)
        except OverflowError:
            raise ValueError(f"{text} is too long ago") from None
    try:
        if len(text) <= len("2026-01-31"):
            day = datetime.combine(date.fromisoformat(text), time(), UTC)
            return since_epoch(day + timedelta(days=1)) - 1 if end else since_epoch(day)
        given = datetime.fromisoformat(text)
        return since_epoch(given if given.tzinfo else given.replace(tzinfo=UTC))
    except (ValueError, OverflowError):
        raise ValueError(f'"{text}" is no time; write 2026-01-31, 2026-01-31T12:00+01:00, 7d or 12h') from None


def since_epoch(at: datetime) -> int:
    """A time as microseconds since 1970."""
    return (at - _EPOCH) // _MICROSECOND


def _names(relation: str) -> frozenset[str]:
    return frozenset((relation, relation.rpartition(".")[2]))


_UNASKED: Final = OWN_EVENTS | {"unreadable"}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_UNITS: Final = {
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}
