"""Errors: encoded, decoded, and rid of what an app may not see."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import PgError
from proxy.wire import errors, messages

texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1)


@given(texts, st.none() | texts, st.none() | texts, st.none() | st.integers(1, 10**6))
def test_what_is_encoded_is_decoded(message: str, detail: str | None, hint: str | None, position: int | None) -> None:
    error = PgError(message, "42501", detail, hint, position)
    found = errors.decode(errors.encode(error)[5:])
    assert (found.message, found.sqlstate, found.detail, found.hint, found.position, found.severity) == (
        message,
        "42501",
        detail,
        hint,
        position,
        "ERROR",
    )


def test_a_zero_byte_in_a_value_does_not_make_a_field() -> None:
    body = errors.encode(PgError("a\0Cxxxxx", "42501"))[5:]
    assert errors.decode(body).sqlstate == "42501"


@given(st.binary())
def test_no_body_breaks_the_reader(body: bytes) -> None:
    errors.decode(body)
    errors.rewrite(errors.split(body), True, lambda position: position)


@pytest.mark.parametrize(
    ("sqlstate", "message", "left"),
    [
        ("22P02", 'invalid input syntax for type integer: "ann@x.org"', 'invalid input syntax for type integer: "?"'),
        ("22P02", 'invalid input syntax for type integer: "a"b"c"', 'invalid input syntax for type integer: "?"'),
        ("22P02", 'invalid input syntax for type integer: "a\nb"', 'invalid input syntax for type integer: "?"'),
        ("22003", 'value "99" is out of range for type smallint', 'value "?" is out of range for type smallint'),
        ("22P02", "ungültige Syntax für Typ integer: »ann«", 'ungültige Syntax für Typ integer: "?"'),
        (
            "22P05",
            'character with byte sequence 0xe2 0x82 0xac in encoding "UTF8" has no equivalent in encoding "LATIN1"',
            'character with byte sequence 0x? in encoding "?"',
        ),
        ("22012", "division by zero", "division by zero"),
        ("23505", 'violates unique constraint "k"', 'violates unique constraint "k"'),
        ("42703", 'column "x" does not exist', 'column "x" does not exist'),
    ],
)
def test_values_of_data_exceptions_go_and_names_stay(sqlstate: str, message: str, left: str) -> None:
    assert errors.without_values(message.encode(), sqlstate.encode()).decode() == left


def test_scrubbing_takes_out_what_may_quote_rows_and_keeps_what_says_which_rule() -> None:
    body = (
        b"SERROR\0VERROR\0C23505\0Mduplicate key\0DKey (email)=(ann@x.org) exists\0Hhint\0P12\0p3\0q inner\0Wcontext\0"
        b"spublic\0tcustomers\0nkey_name\0Ffile\0L1\0Rroutine\0\0"
    )
    rewritten = errors.rewrite(errors.split(body), True)
    assert rewritten[0] == messages.ERROR
    kept = dict(errors.split(rewritten[5:]))
    assert set(kept) == set("SVCMHPstnFLR")
    assert kept["n"] == b"key_name"


def test_positions_are_mapped() -> None:
    rewritten = errors.rewrite([("C", b"42703"), ("P", b"40")], False, lambda position: position - 30)
    assert errors.decode(rewritten[5:]).position == 10
