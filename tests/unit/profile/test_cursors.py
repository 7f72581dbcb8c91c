"""The cursor of a source: times and numbers, and how far they say that it was read."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from proxy.profile.cursors import Place, Reach, earlier, place, sortable, usable

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "given",
    ["yesterday", "2026-13-45", "01.02.2026", "", "NaN", "1e5x", "e5", "1e5000", float("nan"), Decimal("inf"), True, b"1", {"a": 1}, "2026-01-01 B.C."],
)  # fmt: skip
def test_what_is_neither_a_time_nor_a_number(given: Any) -> None:
    with pytest.raises(ValueError, match=r"neither a time such as .* nor a number"):
        place(given)
    assert sortable(given) is None


def test_places_order_as_times_whatever_their_form() -> None:
    given = [
        "2026-01-01 10:00:00",
        "2026-01-01T12:30:00+02:00",
        "2026-01-01 11:00:00.5",
        "2026-01-01T11:00:01Z",
        "2026-01-02",
    ]
    assert sorted(set(given), key=lambda one: sortable(one) or 0) == given
    assert sorted(["11", "9", "10.5"], key=lambda one: sortable(one) or 0) == ["9", "10.5", "11"]
    assert [sortable(one, times=True) for one in ("5", 5)] == [None, None]
    assert sortable("2026-01-01", times=False) is None
    assert sortable(2**63 - 1) == 2**63 - 1


@pytest.mark.parametrize("given", [1.7e18, "1.7e+18", Decimal("1.7E+18"), "1700000000000000000", 1.7e-18, 1e300])
def test_large_and_small_numbers(given: Any) -> None:
    """Floating point numbers, as Python and PostgreSQL write them: the next sync goes on there."""
    found = place(given)
    assert found.at == Decimal(str(given))
    assert usable(found.text, NOW) == found
    assert sortable(given) == float(given)
    assert reached(found.text, 5, 2 * float(given), 3)[0] == str(max(5, 2 * float(given)))


@pytest.mark.parametrize(
    ("last", "asked"),
    [
        ("2026-01-01T12:00:00Z", "2026-01-01T11:55:00Z"),
        ("2026-01-01T00:02:00.250+02:00", "2025-12-31T23:57:00.250+02:00"),
        ("2026-01-01 12:00:00.000001", "2026-01-01 11:55:00.000001"),
        ("2026-01-01T12:00+00:00", "2026-01-01T11:55+00:00"),
        ("2026-01-01", "2026-01-01"),  # a day
        ("20260101T120000Z", "20260101T120000Z"),  # a form that nothing here writes
        ("0001-01-01T00:00:00", "0001-01-01T00:00:00"),
        ("1790000000", "1790000000"),  # seconds, or anything else
    ],
)
def test_a_time_before_in_the_same_form(last: str, asked: str) -> None:
    assert earlier(last) == asked


def reached(last: str | None, *given: Any) -> tuple[str | None, int, str]:
    reach = Reach(usable(last, NOW), NOW)
    for number, value in enumerate(given):
        reach.take(place(value), f"key {number}")
    return reach.text, reach.ahead, reach.first_ahead


def test_what_is_of_the_future_does_not_move_it() -> None:
    soon, late = NOW + timedelta(minutes=4), NOW + timedelta(minutes=6)
    assert reached(None, NOW, late, datetime.max.replace(tzinfo=UTC)) == (NOW.isoformat(), 2, "key 1")
    assert reached(None, soon) == (None, 0, "")  # clocks differ a little
    assert reached("2026-05-01", "infinity", "2999-01-01") == ("2026-05-01", 2, "key 0")
    # Without a zone it may be the time of Kiritimati.
    assert reached(None, "2026-06-02 01:30:00", "2026-06-01 12:00:00") == ("2026-06-01 12:00:00", 0, "")
    assert reached(None, "2026-06-02 02:30:00")[1] == 1


def test_it_does_not_go_back() -> None:
    assert reached("2026-05-01T00:00:00Z", "2026-04-30T23:59:00Z") == ("2026-05-01T00:00:00Z", 0, "")
    assert reached("9", 11, 10) == ("11", 0, "")
    assert reached(None, date(2026, 1, 2), datetime(2026, 1, 1, tzinfo=UTC)) == ("2026-01-02", 0, "")


def test_times_and_numbers_are_not_mixed() -> None:
    with pytest.raises(ValueError, match="is a number, and a time in others"):
        reached("2026-05-01", 1790000000)


@pytest.mark.parametrize("stored", [None, "yesterday", "2999-01-01", "infinity"])
def test_a_cursor_that_would_pass_over_everything_is_not_used(stored: str | None) -> None:
    assert usable(stored, NOW) is None
    assert usable("2026-05-01", NOW) == Place(datetime(2026, 5, 1, tzinfo=UTC), "2026-05-01")
