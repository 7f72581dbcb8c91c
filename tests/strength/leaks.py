"""Finds markers in bytes that a frontend received: as they are, and in the encodings that are easy to ask for."""

from __future__ import annotations

import base64
import re
import struct
from collections.abc import Iterator
from datetime import date

from tests.strength import world
from tests.strength.client import Answer, row

_MARKER = re.compile(rb"zqx7[0-9a-z]{3,10}")
_HEX = re.compile(rb"(?:7a717837|5a515837)((?:[0-9a-f]{2}){3,10})")
_NUMBER = re.compile(rb"(?=(471[123][0-9]{11}|17[0-9]{7}))")
_DATE = re.compile(rb"(?=(1[45][0-9]{2}-[0-9]{2}-[0-9]{2}))")
_UUID = re.compile(rb"deadc0de-[0-9a-f]{4}-4[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}")
_COMMAS = re.compile(rb"(?<=[0-9]),(?=[0-9]{3})")


def _base64_cores() -> list[tuple[int, bytes]]:
    cores = []
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + b"zqx7aaa")
        first = -(-shift * 8 // 6)
        last = (shift + 4) * 8 // 6
        cores.append((shift, encoded[first:last]))
    return cores


_BASE64 = _base64_cores()
_EPOCH = date(2000, 1, 1).toordinal()


class Detector:
    """Knows what one app may see in one database."""

    def __init__(self, app: str) -> None:
        self.shown = world.shown_text(app)
        self.secret_bytes = dict(_binary_values(app))
        self.secret_numbers = set(_numbers(app))

    def leaks(self, answer: Answer, sent: str) -> list[str]:
        """The markers in the answer that are neither the app's to see nor in what it sent."""
        raw = answer.raw
        found = set(find(raw))
        for kind, body in answer.messages:
            if kind == b"D":
                for value in row(body):
                    if value is not None and len(value) in (4, 8, 16) and value in self.secret_bytes:
                        found.add(self.secret_bytes[value])
        known = self.shown + " " + " ".join(_spellings(sent.lower()))
        return sorted(
            marker
            for marker in found
            if marker not in known
            and not (len(marker) == 36 and marker.replace("-", "") in known)
            and (marker in self.secret_numbers or not _is_number(marker))
        )


def _spellings(sent: str) -> Iterator[str]:
    """What the app sent, also as PostgreSQL reads it: without escapes and hyphens (of UUIDs), integers as decimals."""
    yield sent
    yield sent.replace("\\", "")
    yield sent.replace("-", "")
    for prefix, base in (("x", 16), ("o", 8), ("b", 2)):
        digits = "[0-9a-f]" if base == 16 else f"[0-{base - 1}]"
        for text in re.findall(f"0{prefix}((?:_?{digits})+)", sent):
            yield str(int(text.replace("_", ""), base))


def _is_number(marker: str) -> bool:
    return marker[:2] in ("47", "17", "14", "15")


def _numbers(app: str) -> Iterator[str]:
    """The hidden numbers and dates: others that look like them are masks' or computed, and the twins tell of those."""
    yield from (str(world.COUNTER + step) for step in range(1000))
    for table, columns in world.CELLS.items():
        for column, kind in columns.items():
            for number in range(1, world.ROWS[table] + 1):
                if world.treatment(app, table, column, number) == "show":
                    continue
                content = str(world.value(table, column, number))
                if kind in ("number", "small") or (kind.startswith("date") and not content.endswith("-01-01")):
                    yield content
                elif kind in ("rating", "json"):
                    yield from (found.decode() for found in _NUMBER.findall(content.encode()))


def _binary_values(app: str) -> Iterator[tuple[bytes, str]]:
    for table, columns in world.CELLS.items():
        for column, kind in columns.items():
            for number in range(1, world.ROWS[table] + 1):
                if world.treatment(app, table, column, number) == "show":
                    continue
                value = world.value(table, column, number)
                if kind == "number":
                    yield struct.pack("!q", value), f"binary {value}"
                elif kind == "small":
                    yield struct.pack("!i", value), f"binary {value}"
                elif kind.startswith("date"):
                    yield struct.pack("!i", date.fromisoformat(value).toordinal() - _EPOCH), f"binary {value}"
                elif kind == "uuid":
                    yield bytes.fromhex(value.replace("-", "")), f"binary {value}"


def find(raw: bytes) -> Iterator[str]:
    """What looks like a marker: texts, UUIDs, numbers, dates; also backwards, in hex and in base64."""
    lower = raw.lower()
    for pattern in (_MARKER, _UUID):
        for text in pattern.findall(lower):
            yield text.decode()
    plain = _COMMAS.sub(b"", lower)
    for pattern in (_NUMBER, _DATE):
        for text in pattern.findall(plain):
            yield text.decode()
    backwards = lower[::-1]
    if b"7xqz" in lower:
        for text in _MARKER.findall(backwards):
            yield text.decode()
    for rest in _HEX.findall(lower):
        text = bytes.fromhex(rest.decode()).lower()
        if text.isalnum():
            yield "zqx7" + text.decode()
    for shift, core in _BASE64:
        at = raw.find(core)
        while at >= 0:
            start = at - -(-shift * 8 // 6)
            piece = raw[max(start, 0) : start + 24]
            piece = piece[: len(piece) // 4 * 4]
            try:
                decoded = base64.b64decode(piece)[shift : shift + 14].lower()
            except ValueError:
                decoded = b""
            match = _MARKER.match(decoded)
            if match:
                yield match[0].decode()
            at = raw.find(core, at + 1)
