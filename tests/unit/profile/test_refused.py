"""What is said of what the database refuses, and of records that are wrong."""

from __future__ import annotations

import asyncpg
import pytest

from proxy.policy.sources import Source
from proxy.profile.records import Mapping
from proxy.profile.refused import refusal
from proxy.profile.sources.reading import Record, SourceError


def test_no_detail_is_quoted() -> None:
    error = asyncpg.UniqueViolationError('duplicate key value violates unique constraint "records_pkey"')
    error.detail = "Key (value)=(ann@example.org) already exists."
    assert "ann@example.org" in str(error)
    said = refusal(error)
    assert said is not None
    assert "records_pkey" in said
    assert "example.org" not in said


@pytest.mark.parametrize(
    ("unit", "said"),
    [
        ("record", 'record 7 with key 4711: field "points" is no whole number that a bigint can hold'),
        ("line", 'line 7: field "points" is no whole number that a bigint can hold'),
    ],
)
def test_a_record_is_named_by_its_key_where_its_number_says_nothing(unit: str, said: str) -> None:
    source = Source.model_validate(
        {"key": "number", "subject": "customer", "fields": {"points": {"attribute": "points", "type": "integer"}}}
    )
    mapping = Mapping("members", source, unit, "integer")
    with pytest.raises(SourceError) as caught:
        mapping.row(Record(7, {"number": 4711, "customer": 1, "points": "many"}))
    assert str(caught.value).removeprefix('source "members": ') == said
