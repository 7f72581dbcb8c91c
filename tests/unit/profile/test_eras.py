"""Dates and times that Python does not have, as PostgreSQL writes them."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from proxy.profile import cursors, eras, values


@pytest.mark.parametrize(
    ("days", "text"),
    [
        (-730119, date(1, 1, 1)),
        (-730120, "0001-12-31 BC"),
        (2921939, date(9999, 12, 31)),
        (2921940, "10000-01-01"),
        (-2451545, "4714-11-24 BC"),
        (2145031948, "5874897-12-31"),
        (-(2**31), "-infinity"),
        (2**31 - 1, "infinity"),
    ],
)
def test_days_as_the_protocol_has_them(days: int, text: date | str) -> None:
    assert eras.day_at(days) == text
    if isinstance(text, str):
        assert eras.day(text) == text


@pytest.mark.parametrize(
    ("microseconds", "text"),
    [
        (0, datetime(2000, 1, 1, tzinfo=UTC)),
        (-730119 * 86_400_000_000 - 500_000, "0001-12-31 23:59:59.5+00 BC"),
        (2921940 * 86_400_000_000, "10000-01-01 00:00:00+00"),
        (-(2**63), "-infinity"),
        (2**63 - 1, "infinity"),
    ],
)
def test_times_as_the_protocol_has_them(microseconds: int, text: datetime | str) -> None:
    assert eras.time_at(microseconds) == text
    if isinstance(text, str):
        assert eras.time(text) == (text, text.endswith(("+00", "BC")))


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("0044-03-15 00:00:00 BC", "0044-03-15 00:00:00+00 BC"),
        ("20000-01-01", "20000-01-01 00:00:00+00"),
        ("20000-01-01T00:30:00+02:00", "19999-12-31 22:30:00+00"),
        ("0001-01-01 00:00:00.25+00 BC", "0001-01-01 00:00:00.25+00 BC"),
        ("infinity", "infinity"),
    ],
)
def test_times_are_kept_in_utc(given: str, kept: str) -> None:
    assert values.moment(given) == kept


@pytest.mark.parametrize(
    "given",
    ["0000-03-15 BC", "20001-02-29", "0002-02-29 BC", "4714-11-23 BC", "5874898-01-01", "20000-13-01", "02026-01-01",
     "20000-01-01 00:00 BC BC", "infinit", "Infinity", "0044-03-15 00:00:00 BC"],
)  # fmt: skip
def test_what_is_no_such_day(given: str) -> None:
    with pytest.raises(ValueError, match="is no date such as 1990-12-31"):
        values.day(given)


def test_leap_years_of_other_eras() -> None:
    assert [values.day(one) for one in ("20000-02-29", "0001-02-29 BC")] == ["20000-02-29", "0001-02-29 BC"]


def test_a_list_is_ordered_by_what_orders_as_text() -> None:
    assert [values.ordering(one) for one in ("infinity", "-infinity")] == ["infinity", "-infinity"]
    for given in ("0044-03-15 BC", "20000-01-01 00:00:00+00"):
        with pytest.raises(ValueError, match="years are 1 to 9999"):
            values.ordering(given)


def test_places_of_cursors() -> None:
    ordered = ["-infinity", "2026-01-01T00:00:00+00:00", "infinity"]
    assert [one.text for one in sorted(map(cursors.place, ordered), key=lambda one: one.at)] == ordered
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert cursors.place("20000-01-01 00:00:00+00").ahead(now, surely=True)
    assert not cursors.place("0044-03-15 BC").ahead(now)
