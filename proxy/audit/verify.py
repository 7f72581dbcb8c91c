"""Whether the audit log is whole: streams its lines, and says of the first bad one what happened to it. Pure.

What is proved, and what is not, stands in docs/reference/audit.md.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from proxy.audit.chain import GENESIS, Checkpoint, Handover, Link, key_id, place_of
from proxy.audit.diagnosis import Entry, Finding, diagnose, found_at
from proxy.audit.keys import holds

UNSIGNED_SECONDS: Final = 10.0  # between the last checkpoint and the last record; a gateway signs every second
Copies = Callable[
    [str, int, int], list[Checkpoint]
]  # (log, worker, count) -> the next ones that vouch for more, or none


@dataclass(slots=True)
class Report:
    """What was found of one worker's log. `signed`: as many lines are vouched for by a key that is trusted."""

    worker: int
    log: str = ""
    records: int = 0
    files: int = 0
    first: str = ""  # times
    last: str = ""
    begins_at: int = 1  # seq of the first record; more than 1 where files were deleted by age
    sequence: int = 0
    signed: int = 0
    signed_at: str = ""
    copied: int = 0  # lines that the database's last checkpoint vouches for
    torn: int = 0  # half lines that crashes left
    finding: Finding | None = None
    keys: tuple[str, ...] = ()  # short names of the keys that are trusted
    former_keys: dict[str, str] = field(default_factory=dict)  # keys that those vouch to have followed, by short names

    @property
    def unsigned(self) -> int:
        """Records after the last checkpoint."""
        return self.sequence - self.signed


@dataclass(slots=True)
class Verifier:
    """Of one worker's log. `public` is the raw public key in hex that is trusted; `copies` are the database's.

    `former`: keys by their short names that are trusted as well, since `public` was put in their place: another log
    says so that it has signed. Without them, a log that nobody wrote to since would be nobody's.
    """

    worker: int
    public: str
    copies: Copies | None = None
    former: Mapping[str, str] = field(default_factory=dict)
    report: Report = field(init=False)
    _trusted: dict[str, str] = field(init=False)  # public keys by id
    _head: str = GENESIS
    _begins_after: str = GENESIS  # `prev` of the first record
    _last: Entry | None = None
    _number: int = 0  # of the file
    _pending: Entry | None = None  # the first checkpoint by a key that nobody has vouched for yet
    _next_signed: Entry | None = None  # the first record after the last checkpoint that holds
    _expired: dict[int, str] = field(default_factory=dict)
    _page: list[Checkpoint] = field(default_factory=list)
    _given: list[Handover] = field(default_factory=list)  # all that records tell of

    def __post_init__(self) -> None:
        self.report = Report(self.worker)
        self._trusted = {**self.former, key_id(self.public): self.public}
        self.report.keys = tuple(self._trusted)

    def run(self, entries: Iterable[Entry]) -> Report:
        """Takes the whole log."""
        stream = iter(entries)
        for entry in stream:
            finding = self.take(entry, stream)
            if finding is not None:
                self.report.finding = finding
                return self.report
        self.report.finding = self.finish()
        return self.report

    def take(self, entry: Entry, rest: Iterator[Entry]) -> Finding | None:
        """The next line; reads on in `rest` only where it is wrong."""
        report, link = self.report, entry.link
        if entry.line == 1:
            finding = self._begin_file(entry)
            if finding is not None:
                return finding
        if self._last is None and link is not None and link.event == "open":
            self._head, report.sequence, report.begins_at = link.prev, link.sequence - 1, link.sequence
            report.first, self._begins_after = link.time, link.prev
            if self._number == 1 and (link.sequence, link.prev) != (1, GENESIS):
                return _renamed(entry) or found_at("changed", entry, "the log's first record has none before", 1)
        if (
            link is None
            or link.prev != self._head
            or link.sequence != report.sequence + 1
            or link.worker != self.worker
            or (entry.line == 1) != (link.event == "open")
        ):
            return diagnose(self._last, entry, rest, self._head, report.sequence)
        self._head, self._last = link.hash, entry
        report.sequence, report.last = link.sequence, link.time
        report.records += 1
        if self._next_signed is None:
            self._next_signed = entry
        if link.event in _OWN:
            finding = self._own(entry, link)
            if finding is not None:
                return finding
        return self._compare() if self.copies is not None else None

    def finish(self) -> Finding | None:
        """The log has ended."""
        report = self.report
        if self._last is None:
            return None
        if self._page:
            missing = self._page[0]
            what = f"the database has a checkpoint of {missing.time} that vouches for {missing.count} records"
            return found_at("cut off", self._last, what, report.sequence + 1)
        if 0 < report.copied == report.sequence:
            what = "the database has the checkpoint that vouches for all that is here, and it is in no line"
            return found_at("cut off", self._last, what, report.sequence + 1)
        begins = report.begins_at
        if begins > 1 and begins - 1 not in self._expired:
            what = f"all before record {begins}, and no record says that they were deleted by age"
            return Finding("file missing", None, None, begins - 1, what)
        if self._pending is not None:
            return found_at("forged checkpoint", self._pending, "no key that is trusted has vouched for its key")
        first = self._next_signed
        if first is not None and (not report.signed or _seconds(first, report.last) > UNSIGNED_SECONDS):
            what = "no checkpoint vouches for what follows, and the gateway signs every second"
            return found_at("unsigned", first, what)
        return None

    def _begin_file(self, entry: Entry) -> Finding | None:
        place = place_of(entry.file)
        number = place[1] if place else 0
        before, self._number = self._number, number
        self.report.files += 1
        if before and number != before + 1:
            link, renamed = entry.link, _renamed(entry)
            if link is not None and renamed is not None and link.sequence <= self.report.sequence:
                return found_at("inserted", entry, "a copy of a file that stands before it")
            if link is not None and renamed is not None and link.sequence == self.report.sequence + 1:
                return renamed
            count = number - before - 1
            what = f"{count} file{'s' if count != 1 else ''} before {entry.file}"
            return Finding("file missing", entry.file, None, self.report.sequence + 1, what)
        return None

    # Records of the log's own.

    def _own(self, entry: Entry, link: Link) -> Finding | None:
        try:
            record = json.loads(entry.data)
            return _OWN[link.event](self, entry, link, record)
        except (ValueError, KeyError, TypeError):
            return found_at("changed", entry, "it lacks what such a record has")

    def _open(self, entry: Entry, link: Link, record: dict[str, Any]) -> Finding | None:
        renamed = _renamed(entry)
        if renamed is not None:
            return renamed
        if self.report.log and record["log"] != self.report.log:
            return found_at("changed", entry, "another log begins here")
        if not self.report.log:
            self.report.log = record["log"]
            self._page = self._more_copies()
        for given in record.get("handovers") or ():
            self._hand_over(Handover(**given))
        return None

    def _key(self, entry: Entry, link: Link, record: dict[str, Any]) -> Finding | None:
        if record.get("handover"):
            self._hand_over(Handover(**record["handover"]))
        return None

    def _hand_over(self, given: Handover) -> None:
        self._given.append(given)
        if self._trusted.get(key_id(given.old)) == given.old and holds(given.old, given):
            self._trusted[key_id(given.new)] = given.new
            self.report.keys = tuple(self._trusted)

    def _expire(self, entry: Entry, link: Link, record: dict[str, Any]) -> Finding | None:
        begins = self.report.begins_at
        through, head = record["through"], record["head"]
        if through == begins - 1 and head != self._begins_after:
            return found_at("changed", entry, "what it says of deleted files does not fit the first one that is there")
        self._expired[through] = head
        return None

    def _torn(self, entry: Entry, link: Link, record: dict[str, Any]) -> Finding | None:
        self.report.torn += 1
        return None

    def _checkpoint(self, entry: Entry, link: Link, record: dict[str, Any]) -> Finding | None:
        names = ("log", "worker", "count", "head", "time", "key", "signature")
        made = Checkpoint(**{name: record[name] for name in names})
        public = self._trusted.get(made.key)
        if public is not None and not holds(public, made):
            return found_at("forged checkpoint", entry, "its signature does not hold")
        if (made.count, made.head) != (link.sequence - 1, link.prev) or made.log != self.report.log:
            first = self._next_signed or entry
            what = f"records up to {link.sequence - 1} are not those that were signed, though their hashes fit"
            return found_at("rewritten", first, what)
        if public is None:
            self._pending = self._pending or entry
            return None
        self._pending = self._next_signed = None
        self.report.signed, self.report.signed_at = link.sequence, link.time
        self._follow_back()
        return None

    def _follow_back(self) -> None:
        """What a trusted key has signed of whose place keys took."""
        known = self._trusted | self.report.former_keys
        for given in reversed(self._given):
            if known.get(key_id(given.new)) == given.new and holds(given.old, given):
                known[key_id(given.old)] = given.old
        self.report.former_keys = {key: public for key, public in known.items() if key not in self._trusted}
        self._given.clear()

    # The database's copies.

    def _more_copies(self) -> list[Checkpoint]:
        if self.copies is None:
            return []
        return self.copies(self.report.log, self.worker, self.report.sequence)

    def _compare(self) -> Finding | None:
        while self._page and self._page[0].count == self.report.sequence:
            copy = self._page.pop(0)
            assert self._last is not None
            public = self._trusted.get(copy.key)
            if public is not None:
                if not holds(public, copy):
                    what = f"the one in the database that vouches for {copy.count} records: its signature does not hold"
                    return found_at("forged checkpoint", self._last, what)
                if copy.head != self._head:
                    first = self._next_signed or self._last
                    what = f"records up to {copy.count} are not those that the database's checkpoint signed"
                    return found_at("rewritten", first, what)
                self.report.copied = copy.count
            if not self._page:
                self._page = self._more_copies()
        return None


_OWN: Final[dict[str, Callable[[Verifier, Entry, Link, dict[str, Any]], Finding | None]]] = {
    "open": Verifier._open,
    "key": Verifier._key,
    "expire": Verifier._expire,
    "torn": Verifier._torn,
    "checkpoint": Verifier._checkpoint,
}


def _renamed(entry: Entry) -> Finding | None:
    """Of a file whose first record names another: it stands in that one's place."""
    try:
        name = json.loads(entry.data)["file"]
    except (ValueError, KeyError, TypeError):
        return None
    return None if name == entry.file else found_at("reordered", entry, f"the file was {name} when it was written")


def _seconds(entry: Entry, until: str) -> float:
    since = entry.link.time if entry.link else until
    return (datetime.fromisoformat(until) - datetime.fromisoformat(since)).total_seconds()
