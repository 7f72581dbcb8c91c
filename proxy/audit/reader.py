"""Reads records of the audit log: whole, or only what many of them share, which is a tenth of the work.

All executions of a statement have the same words from `fingerprint` to `consent`, all records of a session the same
from `session` to `tls` (see audit.record). These stretches are decoded once and found again by their bytes. An
unescaped quotation mark cannot stand in a string of JSON, so `,"fingerprint":"` can only be the field's name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final, TypeVar

from proxy.audit.question import micros
from proxy.errors import ConsentryError

KEPT: Final = 50_000  # decoded stretches, of each of the two kinds
_HEAD: Final = 200  # bytes, in which a record's event and session begin
_K = TypeVar("_K")
_V = TypeVar("_V")


# Treatments by which nothing is read, and what stands behind `else` in one that depends on consent.
NOTHING: Final = frozenset(("null", "redact", "drop", "deny", "mask null", "mask redact"))


@dataclass(frozen=True, slots=True)
class Disclosed:
    """A column that was read, and what became of it."""

    relation: str
    column: str
    attribute: str | None
    treatment: str


@dataclass(frozen=True, slots=True)
class Traits:
    """What an index can know a record by."""

    event: str
    app: str | None = None
    login: str | None = None
    fingerprint: str | None = None
    disclosed: tuple[Disclosed, ...] = ()
    policies: tuple[str, ...] = ()
    consent: str | None = None
    unknown: str | None = None  # why more may have been read than is told
    attribute: str | None = None  # of a change of consent

    def record(self) -> dict[str, Any]:
        """As fields of a record, to be asked or kept."""
        return asdict(self)

    @property
    def attributes(self) -> set[str]:
        """Those of which columns were read."""
        return {one.attribute for one in self.disclosed if one.attribute is not None}


def traits(record: Mapping[str, Any]) -> Traits:
    """Of a record, or of what `Traits.record` gave. Raises KeyError, TypeError where it is none."""
    return Traits(
        _word(record["event"]),
        _word_or_none(record.get("app")),
        _word_or_none(record.get("login")),
        _word_or_none(record.get("fingerprint")),
        tuple(
            Disclosed(
                _word(one["relation"]),
                _word(one["column"]),
                _word_or_none(one.get("attribute")),
                _word(one["treatment"]),
            )
            for one in record.get("disclosed") or ()
        ),
        tuple(_word(name) for name in record.get("policies") or ()),
        _word_or_none(record.get("consent")),
        _word_or_none(record.get("unknown")),
        _word_or_none(record.get("attribute")),
    )


def _word(value: object) -> str:
    if isinstance(value, str):
        return value
    raise TypeError("a text is expected")


def _word_or_none(value: object) -> str | None:
    return None if value is None else _word(value)


@dataclass(frozen=True, slots=True)
class Outline:
    """A record, read in part. `time` is its text. `rows` is None where there are none to count."""

    time: bytes
    traits: Traits
    rows: int | None
    sqlstate: str | None
    rules_version: bytes

    @property
    def read(self) -> bool:
        """Whether columns were read: that no row is answered tells something too.

        One that failed counts where rows went out before, or may have, unless PostgreSQL did not begin it.
        """
        if self.traits.event != "statement" or not self.traits.disclosed:
            return False
        if self.rows is None:
            return self.sqlstate is not None and not self.sqlstate.startswith("42")
        return self.rows > 0 or self.sqlstate is None


UNREADABLE: Final = Traits("unreadable")  # of a line that is no record


def record(line: bytes) -> dict[str, Any]:
    """A whole record. Raises ConsentryError where the line is none."""
    try:
        found = json.loads(line)
        micros(found["time"])
        traits(found)
        return dict(found)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        shown = line[:80].decode("utf-8", "replace")
        raise ConsentryError(f"audit: this line is no record ({error}): {shown}") from error


class Outliner:
    """Reads outlines, and remembers what it has decoded: records that share it have the same `traits` object."""

    def __init__(self) -> None:
        self._sessions: dict[bytes, tuple[str | None, str | None]] = {}  # -> app, login
        self._traits: dict[tuple[bytes, tuple[str | None, str | None], bytes], Traits] = {}
        self._second = b""  # the last one that was seen to be a time

    def outline(self, line: bytes) -> Outline:
        """Of a line that is no record: `UNREADABLE`, without a time."""
        begin = line.find(b',"fingerprint":"')
        end = line.find(b',"rules_version":"', begin)
        event = line.find(b',"event":"', 0, _HEAD)
        session = line.find(b',"session":"', 0, _HEAD)
        said = line.find(b',"statement":"', session, begin)
        if begin < 0 or not 0 < event < session < said < end or not line.startswith(b'{"time":"'):
            return _outline(line)
        try:
            second = line[9:28]
            if second != self._second:
                datetime.fromisoformat(second.decode())
                self._second = second
            if not (line[28:29] == b"." and line[29:35].isdigit() and line[35:36] == b"Z"):
                return _outline(line)
            found = self._shared(line[event:session], line[session:said], line[begin:end])
            version = line[end + 18 : line.index(b'"', end + 18)]
            at = line.find(b',"rows":', end)
            rows = int(line[at + 8 : line.index(b",", at + 8)]) if at > 0 else None
            state = line.find(b',"sqlstate":"', end)
            code = line[state + 13 : state + 18].decode() if state > 0 else None
            return Outline(line[9:36], found, rows, code, version)
        except (ValueError, KeyError, TypeError, AttributeError):
            return _outline(line)

    def _shared(self, event: bytes, session: bytes, statement: bytes) -> Traits:
        who = self._sessions.get(session)
        if who is None:
            fields = json.loads(b"{" + session[1:] + b"}")
            who = (fields.get("app"), fields.get("login"))
            _remember(self._sessions, session, who)
        key = (event, who, statement)
        found = self._traits.get(key)
        if found is None:
            fields = json.loads(b"{" + event[1:] + statement + b"}")
            found = traits({**fields, "app": who[0], "login": who[1]})
            _remember(self._traits, key, found)
        return found


def _outline(line: bytes) -> Outline:
    try:
        whole = record(line)
    except ConsentryError:
        return Outline(b"", UNREADABLE, None, None, b"")
    version = str(whole.get("rules_version") or "").encode()
    rows = whole.get("rows")
    state = whole.get("sqlstate")
    return Outline(
        whole["time"].encode(),
        traits(whole),
        rows if isinstance(rows, int) else None,
        state if isinstance(state, str) else None,
        version,
    )


def _remember(known: dict[_K, _V], key: _K, value: _V) -> None:
    if len(known) >= KEPT:
        known.clear()
    known[key] = value
