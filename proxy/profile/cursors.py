"""The cursor of a source: times, or numbers, of which the highest says how far the source was read. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import product
from typing import Any, Final

from proxy.profile import eras, values

# A transaction stamps its rows when it begins, and they are seen when it commits: that much is read again.
LATE: Final = timedelta(minutes=5)
_ZONES: Final = timedelta(hours=14)  # so far a clock is ahead of UTC at most
_NUMBER: Final = re.compile(r"[+-]?\d{1,40}(\.\d{1,40})?([eE][+-]?\d{1,3})?")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MOST: Final = 2**63
_LAST: Final = datetime.max.replace(tzinfo=UTC)
_FIRST: Final = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Place:
    """A cursor's value. `text`: as its source takes it again; `zoned`: a time that says of which zone it is."""

    at: datetime | Decimal
    text: str
    zoned: bool = False

    @property
    def is_time(self) -> bool:
        return isinstance(self.at, datetime)

    def ahead(self, now: datetime, *, surely: bool = False) -> bool:
        """Whether it is a time in the future; `surely`: whatever zone it is of, and if clocks differ a little."""
        if not isinstance(self.at, datetime):
            return False
        margin = (LATE if self.zoned else _ZONES) if surely else timedelta()
        return self.at - now > margin


def place(value: Any) -> Place:
    """Raises ValueError for what is neither a time nor a number."""
    number: Decimal | None = None
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        number = Decimal(str(value))
    elif isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        number = Decimal(value.strip())
    if number is not None and number.is_finite():
        return Place(number, values.text(value))
    beyond = eras.time(value.strip()) if isinstance(value, str) else None
    if beyond is not None:  # they are one place: what was read of it is read again
        return Place(_FIRST if eras.is_early(beyond[0]) else _LAST, value, beyond[1])
    try:
        at, zoned = values.instant(value)
    except ValueError:
        raise ValueError("is neither a time such as 2026-01-31T12:00:00Z nor a number") from None
    return Place(at, values.text(value), zoned)


def usable(stored: str | None, now: datetime) -> Place | None:
    """Where the last sync was. None: from the start, also where that is no place, or one in the future."""
    try:
        found = place(stored) if stored is not None else None
    except ValueError:
        return None
    return None if found is None or found.ahead(now, surely=True) else found


def earlier(text: str) -> str:
    """The time by `LATE` earlier, in the form that the text has; the text itself where that is none, or of another form
    than ISO 8601's with date and time.
    """
    try:
        at = datetime.fromisoformat(text)
        before = at - LATE
    except (ValueError, OverflowError):
        return text
    for separator, precision, utc in product(
        "T ", ("minutes", "seconds", "milliseconds", "microseconds"), ("+00:00", "Z")
    ):
        if at.isoformat(separator, precision).replace("+00:00", utc) == text:
            return before.isoformat(separator, precision).replace("+00:00", utc)
    return text


def sortable(value: Any, times: bool | None = None) -> int | float | None:
    """A number that orders as the places do, of times in microseconds, for a database that has them as text.

    None for what is no place, or not of the kind that is asked for.
    """
    try:
        found = place(value)
    except ValueError:
        return None
    if times is not None and found.is_time != times:
        return None
    if isinstance(found.at, datetime):
        return (found.at - _EPOCH) // timedelta(microseconds=1)
    whole = found.at == found.at.to_integral_value() and abs(found.at) < _MOST
    return int(found.at) if whole else float(found.at)


class Reach:
    """How far a source is read, while it is."""

    def __init__(self, last: Place | None, now: datetime) -> None:
        self._highest = last
        self._now = now
        self.ahead = 0  # records of the future, which do not move it: what comes until then would be passed over
        self.first_ahead = ""  # the key of the first one

    @property
    def text(self) -> str | None:
        return self._highest.text if self._highest is not None else None

    def warning(self, field: str | None) -> str | None:
        """What is to be said of records whose time, in this field, is still to come."""
        if not self.ahead:
            return None
        first = f"{self.ahead} records (the first has key {self.first_ahead}) are of the future by field"
        return f'{first} "{field}": they are here, and the next sync goes on before them; is a clock wrong?'

    def take(self, found: Place, key: str) -> None:
        """Takes a record's place in. Raises ValueError where it is not of the kind of those before."""
        if self._highest is not None and self._highest.is_time != found.is_time:
            kinds = ("a time", "a number") if found.is_time else ("a number", "a time")
            raise ValueError(f"is {kinds[0]}, and {kinds[1]} in others: read all again with --full if that is right")
        if found.ahead(self._now, surely=True):
            self.ahead += 1
            self.first_ahead = self.first_ahead or key
        if not found.ahead(self._now) and (self._highest is None or found.at > self._highest.at):  # type: ignore[operator]
            self._highest = found
