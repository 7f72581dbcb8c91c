"""Values of sources in their one form."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from proxy.profile import values


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00+00:00"),
        ("2026-01-31 12:00:00", "2026-01-31T12:00:00+00:00"),
        ("2026-01-31T23:30:00.5-02:00", "2026-02-01T01:30:00.500000+00:00"),
        (datetime(2026, 1, 31, 12, tzinfo=timezone(timedelta(hours=9))), "2026-01-31T03:00:00+00:00"),
        (datetime(2026, 1, 31, 12, tzinfo=UTC).replace(tzinfo=None), "2026-01-31T12:00:00+00:00"),
        ("2026-01-31", "2026-01-31"),
        (date(2026, 1, 31), "2026-01-31"),
        ("2024-05-05 10:00", "2024-05-05T10:00:00+00:00"),
        (" 20260131 ", "2026-01-31"),
        ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59+00:00"),
    ],
)
def test_what_lists_are_ordered_by_is_a_time_in_utc(given: Any, kept: Any) -> None:
    assert values.ordering(given) == kept


@pytest.mark.parametrize(
    "given", ["[URGENT] where is my parcel?", "[/] hello", "{name}", "[1, 2", "{}x", '["\\u0000"]']
)
def test_text_in_a_list_s_entry_may_begin_as_json_does(given: str) -> None:
    assert values.entry(given) == given


def test_what_no_entry_of_a_list_can_be_is_an_error() -> None:
    assert values.entry('{"a": [1]}') == {"a": [1]}
    for wrong in (float("inf"), "a\0b"):
        with pytest.raises(ValueError):
            values.entry(wrong)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("9999-12-31T23:59:59-14:00", "10000-01-01 13:59:59+00"),
        ("0001-01-01T00:00:00+14:00", "0001-12-31 10:00:00+00 BC"),
    ],
)
def test_a_time_that_is_in_no_year_of_utc_that_python_has(given: str, kept: str) -> None:
    assert values.moment(given) == kept
    with pytest.raises(ValueError, match="out of range"):
        values.ordering(given)


@pytest.mark.parametrize(
    "given",
    ["2025-13-45T00:00:00Z", "01.02.2026", "2025-06-01T10:00:00 Europe/Berlin", "infinit", "note: 7", "1700000000",
     1700000000, 1.5, True, {"a": 1}, ["2026-01-31"]],
)  # fmt: skip
def test_a_list_is_ordered_by_times_only(given: Any) -> None:
    with pytest.raises(ValueError, match="is no time such as 2026-01-31T12:00:00Z"):
        values.ordering(given)


def test_json_that_is_nested_too_deeply() -> None:
    for depth in (102, 900, 10**6):
        with pytest.raises(ValueError, match=r"nested too deeply|no JSON"):
            values.document("[" * depth + "]" * depth)
    assert values.document("[" * 100 + "]" * 100) is not None


def test_json_in_a_text_whose_objects_have_a_name_twice() -> None:
    with pytest.raises(ValueError, match=r'^is JSON in which an object has the name "a" twice$'):
        values.document('[{"a": 1, "a": 2}]')


def test_one_number_is_one_key() -> None:
    assert [values.key(one) for one in (30, 30.0, "30", -0.0)] == ["30", "30", "30", "0"]
    assert [values.key(one) for one in (30.5, "30.0", 2.0**60)] == ["30.5", "30.0", "1.152921504606847e+18"]
    assert values.subject(7.0, "text") == values.subject(7.0, "bigint") == "7"
    for kind in ("text", "bigint"):
        with pytest.raises(ValueError, match=r"true or false|no whole number"):
            values.subject(True, kind)
    with pytest.raises(ValueError, match="is true or false, which names nothing"):
        values.key(True)


def test_numbers_of_json_are_exact() -> None:
    def one(written: str) -> Any:
        return values.loads(f'{{"n": {written}}}', unique=True)["n"]

    assert values.subject(one("9007199254740993.0"), "bigint") == "9007199254740993"
    for wrong in ("450.0000000000000000001", "0.99999999999999999999", "9223372036854775808.0", "1e30"):
        with pytest.raises(ValueError, match="no whole number"):
            values.integer(one(wrong))
    keys = ["30", "30.0", "3e1", "30.50", "30.5", "-0.0", "9007199254740993.0", "9007199254740993", "1e22"]
    assert [values.key(one(key)) for key in keys] == [
        "30", "30", "30", "30.5", "30.5", "0", "9007199254740993", "9007199254740993", "1" + "0" * 22,
    ]  # fmt: skip
    assert values.key(one("12345678901234567.25")) != values.key(one("12345678901234567.75"))
    assert values.number(one("123456789012345678901234567890.123")) == "123456789012345678901234567890.123"
    assert values.text(one("1e-7")) == "0.0000001"


def test_numbers_of_json_are_written_as_they_were() -> None:
    written = '{"a": [1, 123456789012345678901234567890.123, 1.50], "b": {"c": "é", "d": null, "e": true}}'
    assert values.dumps(values.document(written)) == written
    assert values.dumps({"a": ["é", None, 1]}) == '{"a": ["é", null, 1]}'


@pytest.mark.parametrize("written", ["1e999999999", "1e99999999999999999999", "1e-1001", "1" * 1001, "0." + "1" * 1001])
def test_a_number_of_too_many_digits(written: str) -> None:
    with pytest.raises(ValueError, match=r"^a number has more than 1000 digits$"):
        values.loads(f"[{written}]")
    with pytest.raises(ValueError, match=r"^is JSON in which a number has more than 1000 digits$"):
        values.document(f"[{written}]")


@pytest.mark.parametrize("written", ["NaN", "Infinity", "-Infinity"])
def test_what_is_no_number_of_json(written: str) -> None:
    with pytest.raises(ValueError, match=f"^not JSON: {written} is none of its numbers$"):
        values.loads(f'{{"a": {written}}}')


@pytest.mark.parametrize("given", ["1e30", "1e-30", "1.5", "inf", "nan", "1e9999999"])
def test_what_is_no_whole_number_of_a_database(given: str) -> None:
    with pytest.raises(ValueError, match="no whole number"):
        values.integer(Decimal(given))
