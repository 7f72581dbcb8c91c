"""ErrorResponse and NoticeResponse: encode, decode, and take out what an app may not see. Pure.

Source: PostgreSQL documentation, "Error and Notice Message Fields".
"""

from __future__ import annotations

import re
from collections.abc import Callable

from proxy.errors import PgError
from proxy.wire import messages

Fields = list[tuple[str, bytes]]  # (field type, value) in the order of the message

# Fields that may quote rows, inner queries or values: detail, context, internal query and its position.
_REVEALING = frozenset("DWqp")
# Messages of class 22 (data exceptions) quote values, and do not double the quotes inside: all from the first quote to
# the last goes. Translated servers quote in other ways. Bytes that cannot be converted are named in hexadecimal.
_QUOTED = re.compile(
    '["\u00ab\u00bb\u201e\u201c\u201d\u2039\u203a].*["\u00ab\u00bb\u201e\u201c\u201d\u2039\u203a]', re.DOTALL
)
_BYTES = re.compile("0x[0-9a-f]{2}(?: 0x[0-9a-f]{2})*")


# Drivers know some errors by the server's routine, not by SQLSTATE alone (asyncpg, pgjdbc: prepare again).
_ROUTINES = {("0A000", "cached plan must not change result type"): "RevalidateCachedQuery"}


def encode(error: PgError, kind: int = messages.ERROR) -> bytes:
    """The error as a whole ErrorResponse (or, by `kind`, NoticeResponse) message."""
    fields: Fields = [
        ("S", error.severity.encode()),
        ("V", error.severity.encode()),
        ("C", error.sqlstate.encode()),
        ("M", error.message.encode()),
    ]
    if error.detail:
        fields.append(("D", error.detail.encode()))
    if error.hint:
        fields.append(("H", error.hint.encode()))
    if error.position:
        fields.append(("P", str(error.position).encode()))
    routine = _ROUTINES.get((error.sqlstate, error.message))
    if routine is not None:
        fields.append(("R", routine.encode()))
    return join(fields, kind)


def join(fields: Fields, kind: int = messages.ERROR) -> bytes:
    """A whole message of these fields. A zero byte inside of a value would end it: it is left out."""
    body = b"".join(code.encode() + value.replace(b"\0", b"") + b"\0" for code, value in fields)
    return messages.message(kind, body + b"\0")


def split(body: bytes) -> Fields:
    """The fields of an ErrorResponse's or NoticeResponse's body, in order."""
    fields: Fields = []
    for part in body.split(b"\0"):
        if not part:
            break
        fields.append((chr(part[0]), part[1:]))
    return fields


def field(fields: Fields, code: str) -> bytes:
    """The value of the first field of this type; empty where there is none."""
    for found, value in fields:
        if found == code:
            return value
    return b""


def decode(body: bytes) -> PgError:
    """The error that a body means."""
    values = {code: value.decode("utf-8", "replace") for code, value in split(body)}
    position = values.get("P", "")
    return PgError(
        values.get("M", ""),
        values.get("C", "XX000"),
        detail=values.get("D"),
        hint=values.get("H"),
        position=int(position) if position.isdigit() else None,
        severity=values.get("V") or values.get("S", "ERROR"),
    )


def ends_connection(fields: Fields) -> bool:
    """FATAL or PANIC: the server closes the connection after it."""
    return (field(fields, "V") or field(fields, "S")) in (b"FATAL", b"PANIC")


def without_values(message: bytes, sqlstate: bytes) -> bytes:
    """The message with the values of data exceptions (class 22) replaced by `?`; other messages as they are.

    `invalid input syntax for type integer: "ann@x.org"`, `value "99999" is out of range for type integer`,
    `character with byte sequence 0xe2 0x82 0xac in encoding "UTF8" has no equivalent in encoding "LATIN1"`.
    """
    if not sqlstate.startswith(b"22"):
        return message
    text = message.decode("utf-8", "surrogateescape")
    text = _BYTES.sub("0x?", _QUOTED.sub('"?"', text))
    return text.encode("utf-8", "surrogateescape")


def rewrite(
    fields: Fields, scrub: bool, original_position: Callable[[int], int] | None = None, kind: int = messages.ERROR
) -> bytes:
    """The message as the app may have it.

    `original_position` maps a position in the text that was sent to one in the text of the app. With `scrub`, the
    fields that may quote what the app did not send are dropped, and values in messages become `?`.
    """
    sqlstate = field(fields, "C")
    result: Fields = []
    for code, value in fields:
        if scrub and code in _REVEALING:
            continue
        if code == "P" and original_position is not None and value.isdigit():
            result.append((code, str(original_position(int(value))).encode()))
        elif code == "M" and scrub:
            result.append((code, without_values(value, sqlstate)))
        else:
            result.append((code, value))
    return join(result, kind)
