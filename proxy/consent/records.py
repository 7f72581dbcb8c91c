"""Consent records as files have them: CSV with a header, and JSON lines with the same keys. Read and written; no I/O.

A record is wrong by itself (a time that is none) or by what the rules and the ledger know (an app that is not there);
both are said with the number of the line that it begins on.
"""

from __future__ import annotations

import csv
import io
import json
import re
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, Protocol, cast, get_args

from proxy.consent.standing import Decision
from proxy.errors import ConsentryError

Format = Literal["csv", "jsonl"]
Subject = int | str | uuid.UUID
Meaning = Callable[[str, str], tuple[Sequence[str], str | None]]

REQUIRED: Final = ("subject", "app", "attribute", "decision")
FIELDS: Final = (*REQUIRED, "at", "expires_at", "text_version")
DECISIONS: Final = get_args(Decision)
LINE_BYTES: Final = 64 * 1024
_SUBJECT_BYTES: Final = 1000  # a row of the ledger's indexes holds a third of a page
_TEXT_VERSION: Final = 200
_CLOCKS: Final = timedelta(minutes=5)  # what the ledger takes as the present


class Lines(Protocol):
    """A file of bytes, of which no more than lines are asked."""

    def readline(self, limit: int, /) -> bytes: ...


class WrongRecordError(ConsentryError):
    """A record that cannot be taken: what is wrong, in words for whoever made the file."""


@dataclass(frozen=True, slots=True)
class Wrong:
    """A line of a file that cannot be taken, and why. Lines count from 1."""

    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class Record:
    """One decision as a file has it. `scope`: `group:NAME` or `all` where the file says so in an attribute's place."""

    subject: Subject
    app: str
    attributes: tuple[str, ...]
    scope: str | None
    decision: Decision
    at: datetime | None
    expires_at: datetime | None
    text_version: str | None


def format_of(name: str) -> Format | None:
    """The format that a file's name says; None where it says none."""
    ending = name.lower().rpartition(".")[2]
    found: dict[str, Format] = {"csv": "csv", "jsonl": "jsonl", "ndjson": "jsonl"}
    return found.get(ending)


def read(file: Lines, kind: Format, key: str, now: datetime, meaning: Meaning) -> Iterator[tuple[int, Record | Wrong]]:
    """(line, record or what is wrong with it) for each record of the file.

    `key`: the type of the subject keys. `now`: the ledger's clock. `meaning`: (attributes, scope) of an app and what
    stands in an attribute's place; raises ConsentryError for names that the rules do not have.
    Raises WrongRecordError where the file as a whole is not of the format.
    """
    parse = _Parser(key, now, meaning)
    raw = _csv_records(file) if kind == "csv" else _json_records(file)
    for line, fields in raw:
        if isinstance(fields, Wrong):
            yield line, fields
            continue
        try:
            yield line, parse(fields)
        except ConsentryError as error:
            yield line, Wrong(line, str(error))


def written(rows: Iterable[Mapping[str, Any]], kind: Format, header: bool) -> str:
    """Rows with the keys `FIELDS`, as text of the format. Times are ISO 8601 in UTC."""
    out = io.StringIO()
    if kind == "csv":
        plain = csv.writer(out, lineterminator="\n")
        quoted = csv.writer(out, lineterminator="\n", quoting=csv.QUOTE_ALL)
        if header:
            plain.writerow(FIELDS)
        for row in rows:
            values = [_text(row[name]) for name in FIELDS]
            odd = any(
                value is not None and "\r" in value for value in values
            )  # which csv leaves bare, and then refuses
            (quoted if odd else plain).writerow(values)
    else:
        for row in rows:
            fields = {name: _text(row[name]) for name in FIELDS if row[name] is not None}
            out.write(json.dumps(fields, ensure_ascii=False) + "\n")
    return out.getvalue()


class _Parser:
    def __init__(self, key: str, now: datetime, meaning: Meaning) -> None:
        self._subject: Callable[[str], Subject] = _SUBJECTS[key]
        self._now = now
        self._meaning = meaning
        self._known: dict[tuple[str, str], tuple[tuple[str, ...], str | None]] = {}

    def __call__(self, fields: Mapping[str, Any]) -> Record:
        for name in REQUIRED:
            if fields.get(name) in (None, ""):
                raise WrongRecordError(f"there is no {name}")
        subject = fields["subject"]
        if isinstance(subject, int) and not isinstance(subject, bool):
            subject = str(subject)
        app, attribute = _string(fields, "app"), _string(fields, "attribute")
        decision = _decision(_string(fields, "decision"))
        known = self._known.get((app, attribute))
        if known is None:
            attributes, scope = self._meaning(app, attribute)
            known = self._known[app, attribute] = (tuple(attributes), scope)
        if not isinstance(subject, str):
            raise WrongRecordError("the subject is a text or a whole number")
        at, expires_at = _moment(fields, "at"), _moment(fields, "expires_at")
        self._times(decision, at, expires_at)
        return Record(self._subject(subject), app, *known, decision, at, expires_at, _text_version(fields))

    def _times(self, decision: str, at: datetime | None, expires_at: datetime | None) -> None:
        if at is not None and at > self._now + _CLOCKS:
            raise WrongRecordError(f"at, {at.isoformat()}, is in the future")
        if expires_at is None:
            return
        if decision == "withdrawn":
            raise WrongRecordError("what is withdrawn does not expire")
        if expires_at <= (at or self._now):
            begins = "the decision" if at else "now: give the decision's time in `at`"
            raise WrongRecordError(f"expires_at, {expires_at.isoformat()}, is not after {begins}")


def _csv_records(file: Lines) -> Iterator[tuple[int, Mapping[str, Any] | Wrong]]:
    lines = _lines(file)
    reader = csv.reader((text for _, text in lines), strict=True)
    try:
        header = next(reader, [])
    except csv.Error as error:
        raise WrongRecordError(f"the first line is no CSV header: {error}") from error
    _check_header(header)
    while True:
        line = reader.line_num + 1
        try:
            row = next(reader)
        except StopIteration:
            return
        except (csv.Error, WrongRecordError) as error:
            yield line, Wrong(line, f"the line is not CSV: {error}")
            if isinstance(error, WrongRecordError):
                return
            continue
        if not row:
            continue
        if len(row) != len(header):
            yield line, Wrong(line, f"the line has {len(row)} fields, and the header {len(header)}")
            continue
        yield line, {name: value or None for name, value in zip(header, row, strict=True)}


def _check_header(header: Sequence[str]) -> None:
    missing = [name for name in REQUIRED if name not in header]
    unknown = [name for name in header if name not in FIELDS]
    if missing or unknown or len(set(header)) != len(header):
        said = (
            f"lacks {', '.join(missing)}" if missing else f'has "{_short(unknown[0])}"' if unknown else "repeats a name"
        )
        raise WrongRecordError(
            f"the header {said}; the first line of CSV names the columns: {','.join(REQUIRED)}, "
            f"and where wanted {','.join(FIELDS[len(REQUIRED):])}"
        )  # fmt: skip


def _json_records(file: Lines) -> Iterator[tuple[int, Mapping[str, Any] | Wrong]]:
    line = 0
    try:
        for line, text in _lines(file):
            if not text.strip():
                continue
            try:
                fields = json.loads(text, object_pairs_hook=_pairs)
            except (ValueError, RecursionError) as error:
                yield line, Wrong(line, f"the line is not JSON: {error}")
                continue
            if not isinstance(fields, dict):
                yield line, Wrong(line, "the line is not a JSON object")
            elif unknown := sorted(set(fields) - set(FIELDS)):
                yield line, Wrong(line, f'there is no key "{_short(unknown[0])}"; records have {", ".join(FIELDS)}')
            else:
                yield line, fields
    except WrongRecordError as error:
        yield line + 1, Wrong(line + 1, str(error))


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key comes twice")
    return found


def _lines(file: Lines) -> Iterator[tuple[int, str]]:
    """(number, text) of each line. What is not UTF-8 stays in it as surrogates, to be named with the record."""
    number = 0
    while raw := file.readline(LINE_BYTES + 1):
        number += 1
        if len(raw) > LINE_BYTES:
            raise WrongRecordError(f"the line is longer than {LINE_BYTES} bytes")
        text = raw.decode("utf-8", "surrogateescape")
        yield number, text.removeprefix("\ufeff") if number == 1 else text


def _string(fields: Mapping[str, Any], name: str) -> str:
    value = fields[name]
    if not isinstance(value, str):
        raise WrongRecordError(f"{name} is a text")
    return value


def _decision(text: str) -> Decision:
    if text in DECISIONS:
        return cast(Decision, text)
    raise WrongRecordError(f'the decision is granted or withdrawn, not "{_short(text)}"')


def _integer(text: str) -> int:
    value = int(text) if re.fullmatch(r"[+-]?[0-9]{1,30}", text) else None
    if value is None or not -(2**63) <= value < 2**63:
        raise WrongRecordError(f'"{_short(text)}" is not a subject key of type bigint')
    return value


def _uuid(text: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError as error:
        raise WrongRecordError(f'"{_short(text)}" is not a subject key of type uuid') from error


def _text_key(text: str) -> str:
    if len(_unicode(text, "the subject")) > _SUBJECT_BYTES:
        raise WrongRecordError(f"the subject is longer than {_SUBJECT_BYTES} bytes")
    return text


_SUBJECTS: Final[Mapping[str, Callable[[str], Subject]]] = {"bigint": _integer, "uuid": _uuid, "text": _text_key}


def _text_version(fields: Mapping[str, Any]) -> str | None:
    if fields.get("text_version") is None:
        return None
    text = _string(fields, "text_version")
    _unicode(text, "text_version")
    if len(text) > _TEXT_VERSION:
        raise WrongRecordError(f"text_version is longer than {_TEXT_VERSION} characters")
    return text


def _unicode(text: str, what: str) -> bytes:
    try:
        encoded = text.encode()
    except UnicodeEncodeError as error:
        raise WrongRecordError(f"{what} is not UTF-8") from error
    if b"\0" in encoded:
        raise WrongRecordError(f"{what} holds a zero byte")
    return encoded


def _moment(fields: Mapping[str, Any], name: str) -> datetime | None:
    """A time as ISO 8601 or PostgreSQL writes it; UTC where it names no zone."""
    if fields.get(name) is None:
        return None
    text = _string(fields, name)
    try:
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        said = f'{name}, "{_short(text)}", is no time; write 2027-01-31T12:00:00Z'
        raise WrongRecordError(said) from error


def _text(value: Any) -> str | None:
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else None if value is None else str(value)


def _short(text: str) -> str:
    """For a message: no longer than a line, and printable."""
    shown = text if text.isprintable() else ascii(text)[1:-1]
    return shown if len(shown) <= 80 else shown[:77] + "..."
