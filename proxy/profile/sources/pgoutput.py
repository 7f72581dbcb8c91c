"""What PostgreSQL's own plugin `pgoutput` tells of changes: which rows, in which transactions. Pure.

Version 1 of https://www.postgresql.org/docs/current/protocol-logicalrep-message-formats.html. Libraries for that are
bound to psycopg (LGPL) or prototypes; of the messages, which asyncpg fetches, only the keys are needed.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Final

_NULL, _UNCHANGED, _TEXT = b"nut"


@dataclass(slots=True)
class Changes:
    """Whole transactions. `keys`: of the rows that came, changed or went, as PostgreSQL writes them; `truncated`: all
    that there was went; `transactions`: their numbers of 32 bits; `end`: where the log goes on after them; `last`: no
    others were there.
    """

    keys: set[str] = field(default_factory=set)
    truncated: bool = False
    transactions: set[int] = field(default_factory=set)
    end: int = 0
    last: bool = False

    @property
    def any(self) -> bool:
        """Whether a row may be another one than before."""
        return self.truncated or bool(self.keys)


@dataclass(frozen=True, slots=True)
class _Relation:
    wanted: bool
    key: int | None  # which column is the key


class UnfollowableError(ValueError):
    """A change that does not say which row it is about."""


class Decoder:
    """Takes the messages of one reading in their order; `changes` is what they come to."""

    def __init__(self, relation: int, key: str) -> None:
        """`relation`: its oid, for it may have had another name then; `key`: the column that names a row."""
        self.changes = Changes()
        self._relation = relation
        self._key = key
        self._relations: dict[int, _Relation] = {}

    def take(self, message: bytes) -> None:
        """Raises UnfollowableError."""
        reader = _Bytes(message, 1)
        kind = message[:1]
        if kind == b"R":
            self._describe(reader)
        elif kind in (b"I", b"U", b"D"):
            relation = self._relations[reader.number(_OID)]
            if relation.wanted:
                self._change(relation, reader)
        elif kind == b"T":
            count, _options = reader.number(_OID), reader.number(_BYTE)
            if any(self._relations[reader.number(_OID)].wanted for _ in range(count)):
                self.changes.keys.clear()
                self.changes.truncated = True
        elif kind == b"B":
            _end, _at = reader.number(_LONG), reader.number(_LONG)
            self.changes.transactions.add(reader.number(_OID))
        elif kind == b"C":
            _flags, _lsn = reader.number(_BYTE), reader.number(_LONG)
            self.changes.end = reader.number(_LONG)

    def _describe(self, reader: _Bytes) -> None:
        oid = reader.number(_OID)
        _schema, _name = reader.text(), reader.text()
        reader.number(_BYTE)  # the replica identity
        columns = []
        for _ in range(reader.number(_SHORT)):
            reader.number(_BYTE)
            columns.append(reader.text())
            reader.number(_OID)
            reader.number(_OID)
        key = columns.index(self._key) if self._key in columns else None
        self._relations[oid] = _Relation(oid == self._relation, key)

    def _change(self, relation: _Relation, reader: _Bytes) -> None:
        """A row as it was (`K` or `O`, where it tells), and as it is (`N`)."""
        if relation.key is None:
            raise UnfollowableError(f'changes come without the field "{self._key}"')
        while reader.more:
            reader.number(_BYTE)
            key = reader.row()[relation.key]
            if key is None:
                raise UnfollowableError(f'a change does not say which "{self._key}" it is about')
            self.changes.keys.add(key)


def sees(snapshot: str, transaction: int) -> bool:
    """Whether a transaction has ended in a snapshot, as pg_current_snapshot writes it. `transaction`: its 32 bits."""
    _, end, running = snapshot.split(":")
    number = int(end) + (transaction - int(end) + 2**31) % 2**32 - 2**31
    return number < int(end) and str(number) not in running.split(",")


_BYTE: Final = struct.Struct("!B")
_SHORT: Final = struct.Struct("!H")
_OID: Final = struct.Struct("!I")
_LONG: Final = struct.Struct("!Q")


class _Bytes:
    """A message, read from left to right."""

    def __init__(self, data: bytes, at: int) -> None:
        self._data = data
        self._at = at

    @property
    def more(self) -> bool:
        return self._at < len(self._data)

    def number(self, kind: struct.Struct) -> int:
        (value,) = kind.unpack_from(self._data, self._at)
        self._at += kind.size
        return int(value)

    def text(self) -> str:
        end = self._data.index(b"\0", self._at)
        found, self._at = self._data[self._at : end], end + 1
        return found.decode()

    def row(self) -> list[str | None]:
        """The values as text; None for what is null or was not sent."""
        values: list[str | None] = []
        for _ in range(self.number(_SHORT)):
            kind = self.number(_BYTE)
            if kind in (_NULL, _UNCHANGED):
                values.append(None)
                continue
            if kind != _TEXT:
                raise UnfollowableError("a value comes in a form that was not asked for")
            length = self.number(_OID)
            values.append(self._data[self._at : self._at + length].decode())
            self._at += length
        return values
