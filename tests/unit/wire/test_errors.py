"""Errors: encoded, decoded, and rid of what an app may not see."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import PgError
from proxy.wire import errors
from proxy.wire.scrub import Scrubber

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
    errors.rewrite(errors.split(body), Scrubber(hidden=[("s", "t", "c")]), lambda position: position, own=True)


def test_positions_are_mapped() -> None:
    rewritten = errors.rewrite([("C", b"42703"), ("P", b"40")], None, lambda position: position - 30)
    assert errors.decode(rewritten[5:]).position == 10
