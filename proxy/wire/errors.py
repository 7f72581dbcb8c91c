"""ErrorResponse and NoticeResponse: encode, decode, and rewrite for the app. Pure.

Source: PostgreSQL documentation, "Error and Notice Message Fields".
"""

from __future__ import annotations

from collections.abc import Callable

from proxy.errors import PgError
from proxy.wire import messages
from proxy.wire.scrub import Fields, Scrubber, field

# Drivers know some errors by the server's routine, not by SQLSTATE alone (asyncpg, pgjdbc: prepare again).
_ROUTINES = {("0A000", "cached plan must not change result type"): "RevalidateCachedQuery"}


def encode(error: PgError, kind: int = messages.ERROR, encoding: str = "utf-8") -> bytes:
    """The error as a whole ErrorResponse (or, by `kind`, NoticeResponse) message, in the client's encoding."""
    texts = [("S", error.severity), ("V", error.severity), ("C", error.sqlstate), ("M", error.message)]
    if error.detail:
        texts.append(("D", error.detail))
    if error.hint:
        texts.append(("H", error.hint))
    if error.position:
        texts.append(("P", str(error.position)))
    routine = _ROUTINES.get((error.sqlstate, error.message))
    if routine is not None:
        texts.append(("R", routine))
    return join([(code, text.encode(encoding, "replace")) for code, text in texts], kind)


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


def rewrite(
    fields: Fields,
    scrub: Scrubber | None,
    original_position: Callable[[int], int] | None = None,
    kind: int = messages.ERROR,
    own: bool = False,
) -> bytes:
    """The message as the app may have it.

    `original_position` maps a position in the text that was sent to one in the text of the app. `scrub` takes out what
    may hold values or names that the app must not see; `own`: the position is in what the app itself wrote.
    """
    if scrub is not None:
        fields = scrub.scrubbed(fields, own)
    if original_position is not None:
        fields = [
            (code, str(original_position(int(value))).encode() if code == "P" and value.isdigit() else value)
            for code, value in fields
        ]
    return join(fields, kind)
