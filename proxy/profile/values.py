"""Values of a source as the types of the rules have them, in the one form in which they are kept as JSON.

Errors never have the value in them: it is somebody's.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import Any, Final, NoReturn
from uuid import UUID

from proxy.profile import eras

_TRUE: Final = frozenset({"true", "t", "yes", "y", "1", "on"})
_FALSE: Final = frozenset({"false", "f", "no", "n", "0", "off"})
_INTEGER: Final = re.compile(r"[+-]?\d{1,19}")
_UNKEPT: Final = re.compile("[\0\ud800-\udfff]")  # what PostgreSQL keeps in no text
_MOST: Final = 2**63 - 1
_DIGITS: Final = (
    1000  # of a number, written out: what PostgreSQL keeps of more is of no use, and what Python does is slow
)
_EXACT: Final = 2.0**53  # below, a float is the whole number that was written
_DEEPEST: Final = 100  # objects and lists in each other


class JsonNumber(Decimal):
    """A number of JSON that is not written as a whole one, exactly as it is written."""


def text(value: Any) -> str:
    if isinstance(value, str):
        if _UNKEPT.search(value):
            raise ValueError("has a character that no text of PostgreSQL can have")
        return value
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, JsonNumber):
        return f"{value:f}"
    if isinstance(value, int | float | Decimal | UUID):
        return str(value)
    raise ValueError(f"is no text: {type(value).__name__}")


def key(value: Any) -> str:
    """What names a record or a customer: one number is one key, whether JSON has it as 30 or as 30.0."""
    if isinstance(value, bool):
        raise ValueError("is true or false, which names nothing")  # noqa: TRY004 - it is the value that is wrong
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT:
        return str(int(value))
    if isinstance(value, JsonNumber):
        written = f"{value:f}"
        shortest = written.rstrip("0").rstrip(".") if "." in written else written
        return "0" if shortest == "-0" else shortest
    return text(value)


def integer(value: Any) -> int:
    number: int | None = None
    if isinstance(value, int) and not isinstance(value, bool):
        number = value
    elif isinstance(value, float):
        number = int(value) if value.is_integer() else None
    elif isinstance(value, Decimal):
        number = (
            int(value)
            if value.is_finite() and value.copy_abs() <= _MOST and value == value.to_integral_value()
            else None
        )
    elif isinstance(value, str):
        number = int(value) if _INTEGER.fullmatch(value.strip()) else None
    if number is None or abs(number) > _MOST:
        raise ValueError("is no whole number that a bigint can hold")
    return number


def number(value: Any) -> str:
    """As text: JSON's numbers would lose digits."""
    if isinstance(value, str | int | float | Decimal) and not isinstance(value, bool):
        try:
            made = Decimal(str(value).strip())
        except InvalidOperation:
            made = Decimal("nan")
        if made.is_finite() and abs(made.adjusted()) < _DIGITS:
            return str(made)
    raise ValueError("is no number")


def boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower() if isinstance(value, int | str) else ""
    if word in _TRUE or word in _FALSE:
        return word in _TRUE
    raise ValueError("is neither true nor false")


def day(value: Any) -> str:
    if isinstance(value, datetime):
        if value.time() == time():
            return value.date().isoformat()
    elif isinstance(value, date):
        return value.isoformat()
    elif isinstance(value, str):
        try:
            return date.fromisoformat(value.strip()).isoformat()
        except ValueError:
            if (beyond := eras.day(value.strip())) is not None:
                return beyond
    raise ValueError("is no date such as 1990-12-31")


def instant(value: Any) -> tuple[datetime, bool]:
    """A time, in UTC, and whether it says itself of which zone it is; without one it is taken for UTC."""
    made = value
    if isinstance(value, str):
        try:
            made = datetime.fromisoformat(value.strip())
        except ValueError:
            made = None
    elif isinstance(value, date) and not isinstance(value, datetime):
        made = datetime.combine(value, time())
    if not isinstance(made, datetime):
        raise ValueError("is no time such as 2026-01-31T12:00:00Z")  # noqa: TRY004 - it is the value that is wrong
    zoned = made.tzinfo is not None
    try:
        return (made if zoned else made.replace(tzinfo=UTC)).astimezone(UTC), zoned
    except OverflowError:
        raise ValueError("is out of range: years are 1 to 9999") from None


def moment(value: Any) -> str:
    """Without a zone: UTC."""
    beyond = eras.time(value.strip()) if isinstance(value, str) else None
    return beyond[0] if beyond is not None else instant(value)[0].isoformat()


def document(value: Any) -> Any:
    """JSON. Text that begins as an object or list does is read as one."""
    if isinstance(value, str):
        if value[:1] not in ("{", "["):
            return text(value)
        try:
            value = loads(value, unique=True)
        except UnclearError as error:
            raise ValueError(f"is JSON in which {error}") from None
        except ValueError:
            raise ValueError("is no JSON") from None
    return _plain(value)


class UnclearError(ValueError):
    """What JSON has of which readers make this or that: a name twice in an object, a number of very many digits."""


def loads(given: str | bytes, *, unique: bool = False) -> Any:
    """JSON as it is written, with numbers to the last digit. Raises ValueError, also for what is nested so deeply that
    nothing here could read it; UnclearError for a number of more digits than `_DIGITS`, written out.

    `unique`: raises UnclearError where an object has a name twice, of which others read the first, or the last.
    """
    pairs = _unique if unique else None
    try:
        return json.loads(
            given, object_pairs_hook=pairs, parse_float=_exact, parse_int=_whole, parse_constant=_no_constant
        )
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"not JSON: {error}") from error
    except RecursionError:
        raise ValueError("not JSON: it is nested too deeply") from None


def dumps(value: Any) -> str:
    """JSON of what `KINDS` make, with numbers as they were written."""
    try:
        return json.dumps(value, ensure_ascii=False)
    except TypeError:  # a JsonNumber is in it, as in few records: of these alone each part is looked at
        return _written(value)


def _written(value: Any) -> str:
    if isinstance(value, JsonNumber):
        return str(value)
    if isinstance(value, dict):
        return (
            "{"
            + ", ".join(f"{json.dumps(name, ensure_ascii=False)}: {_written(one)}" for name, one in value.items())
            + "}"
        )
    if isinstance(value, list):
        return "[" + ", ".join(map(_written, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def _exact(written: str) -> JsonNumber:
    try:
        number = JsonNumber(written)
    except InvalidOperation:  # an exponent that no Decimal has
        number = None
    if number is None or len(written) > _DIGITS or abs(number.adjusted()) >= _DIGITS:
        raise UnclearError(f"a number has more than {_DIGITS} digits")
    return number


def _whole(written: str) -> int:
    if len(written) > _DIGITS:
        raise UnclearError(f"a number has more than {_DIGITS} digits")
    return int(written)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"not JSON: {name} is none of its numbers")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise UnclearError(f'an object has the name "{twice}" twice')
    return made


def entry(value: Any) -> Any:
    """JSON, of a field of a list's entries, whose type nobody says: text that is no JSON is text."""
    try:
        return document(value)
    except ValueError:
        if not isinstance(value, str):
            raise
        return text(value)


def ordering(value: Any) -> str:
    """A time, in UTC, or a day: such texts order as the times do; and so does infinity."""
    if isinstance(value, date) and not isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, str):
        written = value.strip()
        if written in eras.ENDLESS:
            return written
        if eras.time(written) or eras.day(written):
            raise ValueError("is out of range for what a list is ordered by: years are 1 to 9999")
        with suppress(ValueError):
            return date.fromisoformat(written).isoformat()
    return instant(value)[0].isoformat()


def _plain(value: Any, depth: int = 0) -> Any:
    if depth > _DEEPEST:
        raise ValueError("is nested too deeply")
    if value is None or isinstance(value, bool | int | JsonNumber):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError("has a number that JSON cannot have")
        return value
    if isinstance(value, Mapping):
        return {text(key): _plain(one, depth + 1) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one, depth + 1) for one in value]
    return text(value)


KINDS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "text": text,
    "integer": integer,
    "number": number,
    "boolean": boolean,
    "date": day,
    "timestamp": moment,
    "json": document,
}


def subject(value: Any, kind: str) -> str:
    """A customer's key as text, of the type that the ledger's subjects have."""
    if kind == "bigint":
        return str(integer(value))
    if kind == "uuid":
        try:
            return str(value if isinstance(value, UUID) else UUID(text(value).strip()))
        except ValueError:
            raise ValueError("is no uuid") from None
    return key(value)


def is_set(value: Any) -> bool:
    """Whether a flag is set: not empty, false, no or 0."""
    return value is not None and str(value).strip().lower() not in ("", *_FALSE)
