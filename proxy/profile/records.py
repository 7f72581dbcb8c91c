"""A record of a source, as a reader gives it, becomes what is kept of it. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from proxy.policy.mapped_sources import entry_of, key_of
from proxy.policy.sources import Flag, Source
from proxy.profile import identity, values
from proxy.profile.cursors import Reach, place
from proxy.profile.sources.reading import Record, SourceError

_SHOWN: Final = 100  # characters of a key in an error
_LONGEST_KEY: Final = 2000  # bytes: an index has no room for more

Row = tuple[int, str, str | None, str, str, bytes, bool]
COLUMNS = ("number", "key", "subject", "values", "keys", "digest", "deleted")


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    attribute: str
    convert: Callable[[Any], Any]


def bare(key: str, *, number: int = 0, deleted: bool = False) -> Row:
    """A record of which nothing is known but that it is there, or is not there any more."""
    return number, key, None, "{}", "[]", b"", deleted


class Mapping:
    """What the rules say of one source, applied to its records. `unit`: what the number of a record counts."""

    def __init__(self, name: str, source: Source, unit: str, subject_type: str) -> None:
        self._name = name
        self._source = source
        self._unit = unit
        self._subject_type = subject_type
        self._key = key_of(source)
        self._fields = [
            _Field(field, entry.attribute, values.KINDS[entry.type])
            for field, rule in source.fields.items()
            for entry in (entry_of(rule),)
        ]
        by = (("email", source.match.email), ("phone", source.match.phone)) if source.match else ()
        self._match = [(kind, field) for kind, field in by if field is not None]
        self._region = source.match.region if source.match else None
        self._flag = source.deletes.flag if isinstance(source.deletes, Flag) else None

    def row(self, record: Record) -> Row:
        """The record as it is kept: `COLUMNS`. Raises SourceError that names its place and the field."""
        found = record.values
        key = self._read(record, self._key, values.key)
        if key is None:
            raise self._error(record, f'field "{self._key}" is empty: it names the record')
        self._check_length(record, self._key, key)
        if record.gone:
            return bare(key, deleted=True)
        subject = None
        if self._source.subject is not None:
            subject = self._read(record, self._source.subject, self._subject)
            if subject is None:
                raise self._error(record, f'field "{self._source.subject}" is empty: it names the customer')
            self._check_length(record, self._source.subject, subject)
        deleted = self._flag is not None and values.is_set(found.get(self._flag))
        kept: dict[str, Any] = {}
        for field in self._fields:
            value = self._read(record, field.name, field.convert)
            if value is not None:
                kept[field.attribute] = value
        for attribute, listed in self._source.lists.items():
            kept[attribute] = {
                name: self._read(record, name, values.ordering, key)
                if name == listed.order_by
                else self._read(record, name, values.entry)
                for name in listed.fields
            }
        keys = [one for kind, name in self._match for one in self._keys(kind, self._read(record, name, values.text))]
        kept_text, keys_text = values.dumps(kept), values.dumps(keys)
        digest = hashlib.blake2b(f"{subject}\0{kept_text}\0{keys_text}".encode(), digest_size=16).digest()
        return record.number, key, subject, kept_text, keys_text, digest, deleted

    def _keys(self, kind: str, raw: str | None) -> Iterator[dict[str, Any]]:
        """What is kept of a field that the record is matched by: also how it names others than who is found by it."""
        if raw is None:
            return
        also = identity.several(kind, raw, self._region)
        if len(raw) <= identity.LONGEST or also:
            value = identity.normalised(kind, raw, self._region) if len(raw) <= identity.LONGEST else None
            made = {"kind": kind, "raw": raw[: identity.LONGEST], "value": value}
            yield {**made, "several": also} if also else made

    def cursor(self, record: Record, reach: Reach) -> None:
        """Takes the cursor's value in. Raises SourceError that names the record by its key."""
        value = record.values.get(self._source.cursor) if self._source.cursor else None
        if value is None or value == "":
            return
        key = self._read(record, self._key, values.key)
        try:
            reach.take(place(value), key)
        except ValueError as error:
            raise self._error(record, f'field "{self._source.cursor}" {error}', key) from None

    def _subject(self, value: Any) -> str:
        return values.subject(value, self._subject_type)

    def _read(self, record: Record, name: str, convert: Callable[[Any], Any], key: str | None = None) -> Any:
        value = record.values.get(name)
        if value is None or value == "":
            return None
        try:
            return convert(value)
        except ValueError as error:
            raise self._error(record, f'field "{name}" {error}', key) from None

    def _check_length(self, record: Record, name: str, key: str) -> None:
        if len(key.encode()) > _LONGEST_KEY:
            raise self._error(record, f'field "{name}" is longer than {_LONGEST_KEY} bytes, and is to name something')

    def _error(self, record: Record, message: str, key: str | None = None) -> SourceError:
        if key is None and self._unit != "line":  # a number by which nobody finds it
            with suppress(ValueError):
                key = values.key(record.values.get(self._key))
        named = f" with key {key}" if key and len(key) <= _SHOWN else ""
        return SourceError(self._name, f"{self._unit} {record.number}{named}: {message}")
