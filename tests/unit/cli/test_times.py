"""Times as `consent grant --expires` takes them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
import typer

from proxy.cli.consent import _moment


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2027-01-31", datetime(2027, 1, 31, tzinfo=UTC)),
        ("2027-01-31T12:00", datetime(2027, 1, 31, 12, tzinfo=UTC)),
        ("2027-01-31 12:00:01Z", datetime(2027, 1, 31, 12, 0, 1, tzinfo=UTC)),
        ("2027-01-31T12:00+01:00", datetime(2027, 1, 31, 12, tzinfo=timezone(timedelta(hours=1)))),
    ],
)
def test_moments(text: str, moment: datetime) -> None:
    assert _moment(text) == moment


@pytest.mark.parametrize(("text", "days"), [("12h", 0.5), ("90d", 90), ("2w", 14), ("1y", 365), ("0d", 0)])
def test_times_from_now(text: str, days: float) -> None:
    before = datetime.now(UTC)
    assert before <= _moment(text) - timedelta(days=days) <= datetime.now(UTC)


@pytest.mark.parametrize("text", ["", "soon", "5", "5m", "-5d", "1.5d", "d", "2027-13-01", "99999999y", "9" * 30 + "d"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        _moment(text)
