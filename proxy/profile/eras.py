"""Dates and times that PostgreSQL has and Python has not: before the year 1, after 9999, and without end. Pure.

They are texts here, as PostgreSQL writes them in UTC: `0044-03-15 BC`, `20000-01-01 12:00:00+00`, `infinity`.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Final

ENDLESS: Final = ("-infinity", "infinity")
_CYCLE: Final = 400  # years, after which the calendar is the same again
_CYCLE_DAYS: Final = 146_097
_CYCLE_MICROSECONDS: Final = _CYCLE_DAYS * 86_400_000_000
_EPOCH: Final = 2000  # PostgreSQL counts from its first day
_ENDLESS_DAYS: Final = (-(2**31), 2**31 - 1)
_ENDLESS_MICROSECONDS: Final = (-(2**63), 2**63 - 1)
_FIRST: Final = (-4713, 11, 24)  # of PostgreSQL, the year as astronomers count: before 1 was 0
_LAST_YEAR_OF_DAYS: Final = 5_874_897
_LAST_YEAR_OF_TIMES: Final = 294_276
_WRITTEN: Final = re.compile(
    r"(?P<year>\d{4,7})(?P<day>-\d\d-\d\d)"
    r"(?:[ T](?P<time>\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?)(?P<zone>Z|[+-]\d\d(?::\d\d){0,2})?)?(?P<before> BC)?",
    re.ASCII,
)


def day_at(days: int) -> date | str:
    """The day so many days after 2000-01-01, as PostgreSQL's protocol has it."""
    if days in _ENDLESS_DAYS:
        return ENDLESS[days > 0]
    cycles, rest = divmod(days, _CYCLE_DAYS)
    at = date(_EPOCH, 1, 1) + timedelta(days=rest)
    year = at.year + cycles * _CYCLE
    return at.replace(year=year) if _held(year) else _text(year, f"{at:-%m-%d}")


def time_at(microseconds: int) -> datetime | str:
    """The time so many microseconds after 2000-01-01 in UTC, as PostgreSQL's protocol has it."""
    if microseconds in _ENDLESS_MICROSECONDS:
        return ENDLESS[microseconds > 0]
    cycles, rest = divmod(microseconds, _CYCLE_MICROSECONDS)
    at = datetime(_EPOCH, 1, 1, tzinfo=UTC) + timedelta(microseconds=rest)
    year = at.year + cycles * _CYCLE
    return at.replace(year=year) if _held(year) else _text(year, _clock(at))


def day(text: str) -> str | None:
    """The text of such a day; None where it is none."""
    found = _WRITTEN.fullmatch(text)
    if found is None or found["time"] is not None:
        return text if text in ENDLESS else None
    read = _read(found, _LAST_YEAR_OF_DAYS)
    return _text(read[1], f"{read[0]:-%m-%d}") if read is not None else None


def time(text: str) -> tuple[str, bool] | None:
    """Such a time in UTC, and whether it says itself of which zone it is; without one it is taken for UTC. None where
    it is none.
    """
    if text in ENDLESS:
        return text, False
    found = _WRITTEN.fullmatch(text)
    read = _read(found, _LAST_YEAR_OF_TIMES) if found is not None else None
    if found is None or read is None:
        return None
    return _text(read[1], _clock(read[0])), found["zone"] is not None


def is_early(text: str) -> bool:
    """Whether such a day or time is before all that Python has, not after."""
    return text.endswith(" BC") or text == ENDLESS[0]


def _read(found: re.Match[str], last_year: int) -> tuple[datetime, int] | None:
    """In UTC, in a year of the same calendar; and the year that is meant. None for a day that there is not, or that
    PostgreSQL or Python has another way with.
    """
    year = 1 - int(found["year"]) if found["before"] else int(found["year"])
    cycles = (year - _EPOCH) // _CYCLE
    written = f"{year - cycles * _CYCLE:04}{found['day']}T{found['time'] or '00:00'}{found['zone'] or 'Z'}"
    try:
        at = datetime.fromisoformat(written).astimezone(UTC)
    except ValueError:
        return None
    year = at.year + cycles * _CYCLE
    exists = (year, at.month, at.day) >= _FIRST and year <= last_year and int(found["year"]) > 0
    return (at, year) if exists and not _held(year) else None


def _held(year: int) -> bool:
    return 1 <= year <= 9999


def _clock(at: datetime) -> str:
    fraction = f".{at.microsecond:06}".rstrip("0") if at.microsecond else ""
    return f"{at:-%m-%d %H:%M:%S}{fraction}+00"


def _text(year: int, rest: str) -> str:
    return f"{year:04}{rest}" if year > 0 else f"{1 - year:04}{rest} BC"
