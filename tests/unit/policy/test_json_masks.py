"""Masks of what stands inside of documents, in a real PostgreSQL."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import sql

from proxy.policy.json_masks import check_json_mask, json_mask_sql
from proxy.policy.table import Mask
from tests.servers import PgServer
from tests.unit.policy.test_masks import OPTIONS, SETUP, TEXTS, mask

NUMBERS = ["0", "-0", "7", "-7", "12.345", "1e-200", "1e300", "9" * 400, "1e1001", "149", "150"]
OTHERS = ["null", "true", "false", "[]", "{}", '{"a": {"b": [1, "x", null]}}', '["x", ["y"]]']
CASES = [(kind, options) for kind in OPTIONS for options in OPTIONS[kind]] + [("redact", {"with": "-"}), ("null", {})]


@pytest.fixture(scope="module", params=["pg_server", "pg15_server"])
def connection(request: pytest.FixtureRequest) -> Iterator[psycopg.Connection[Any]]:
    server: PgServer = request.getfixturevalue(request.param)
    server.create_database("unit_json_masks", SETUP)
    with server.connect("unit_json_masks") as made:
        yield made


def masked(connection: psycopg.Connection[Any], rule: Mask, values: list[str]) -> list[Any]:
    """The values as the governed document has them; ... for SQL's NULL."""
    stored = sql.Literal(values).as_string(connection)
    text = f"SELECT {json_mask_sql(rule, 't.v')}::text FROM unnest({stored}::jsonb[]) WITH ORDINALITY AS t (v, n) ORDER BY n"
    return [... if row[0] is None else json.loads(row[0]) for row in connection.execute(text.encode())]


@pytest.mark.parametrize(("kind", "options"), CASES, ids=str)
def test_a_mask_fails_for_no_value_and_keeps_null(
    connection: psycopg.Connection[Any], kind: str, options: dict[str, str | int]
) -> None:
    rule = mask(kind, **options)
    strings = [json.dumps(text) for text in TEXTS]
    found = masked(connection, rule, [*strings, *NUMBERS, *OTHERS])
    assert ... not in found
    texts, numbers, others = found[: len(TEXTS)], found[len(TEXTS) : -len(OTHERS)], found[-len(OTHERS) :]
    assert all(isinstance(value, str) or value is None for value in texts)
    assert all(isinstance(value, int | float) or value is None for value in numbers)
    assert others[0] is None
    if kind != "keys":
        assert others == [None] * len(OTHERS)
    (nothing,) = connection.execute(f"SELECT {json_mask_sql(rule, 'NULL::jsonb')}".encode()).fetchone() or ()
    assert nothing is None, "what is not there stays so"


@pytest.mark.parametrize(
    ("rule", "given", "expected"),
    [
        (mask("null"), '"x"', None),
        (mask("redact"), '"x"', ""),
        (mask("redact", with_="-"), '"x"', "-"),
        (mask("redact", with_="-"), "7", 0),
        (mask("redact", with_=99), "7", 99),
        (mask("redact", with_="01"), "7", 0),
        (mask("partial", keep_last=2), '"12345"', "***45"),
        (mask("email"), '"ann@example.org"', "a***@e***.org"),
        (mask("first", characters=2), '"Berlin"', "Be"),
        (mask("first", characters=2), "12345", None),
        (mask("round", to=100), "149", 100),
        (mask("round", to=100), '"149"', None),
        (mask("range", step=10), "27", 20),
        (mask("range", step=10), '"27"', "20-29"),
        (mask("ip"), '"10.1.2.3"', "10.1.2.0/24"),
        (mask("keys"), '{"a": [1, {"b": "x"}]}', {"a": [None, {"b": None}]}),
        (mask("expression", sql="pg_catalog.upper({value})"), '"x"', "X"),
        (mask("expression", sql="pg_catalog.upper({value})"), "1", None),
        (mask("truncate", to="year"), '"1951-04-17"', "1951-01-01"),
        (mask("truncate", to="month"), '"1951-04-17"', "1951-04-01"),
        (mask("truncate", to="day"), '"1951-04-17T10:11:12.5Z"', "1951-04-17T00:00:00Z"),
        (mask("truncate", to="hour"), '"1951-04-17 10:11:12+02:00"', "1951-04-17 10:00:00+02:00"),
        (mask("truncate", to="year"), '"1951-04-17T10:11"', "1951-01-01T00:00:00"),
        (mask("truncate", to="hour"), '"1951-04-17"', "1951-04-17"),
        (mask("truncate", to="year"), '"in 1951-04-17"', None),
        (mask("truncate", to="year"), '"1951-04-17 and more"', None),
        (mask("truncate", to="year"), '"1951-04-17\\n"', None),
    ],
    ids=str,
)
def test_what_masks_give(connection: psycopg.Connection[Any], rule: Mask, given: str, expected: Any) -> None:
    assert masked(connection, rule, [given]) == [expected]


def test_equal_texts_have_equal_codes_in_columns_and_documents(connection: psycopg.Connection[Any]) -> None:
    (found,) = masked(connection, mask("hash"), ['"ann@example.org"'])
    row = connection.execute("SELECT encode(consentry.keyed_hash('default', 'ann@example.org'), 'hex')").fetchone()
    assert row == (found,)


def test_what_cannot_be_a_mask_there() -> None:
    assert check_json_mask(mask("no such")) == "there is no mask of kind no such"
    assert "cannot" in str(check_json_mask(mask("redact", with_="\0")))
    with pytest.raises(ValueError, match="no mask of kind"):
        json_mask_sql(mask("no such"), "x")
