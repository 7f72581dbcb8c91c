"""Framing of the frontend's messages: any split of a stream means the same, and no stream does harm."""

from __future__ import annotations

import struct
from contextlib import suppress
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.errors import PgError
from proxy.wire import messages
from proxy.wire.framing import HOLD, Before, FrontendFraming, Outcome
from proxy.wire.states import TABLE, State

KNOWN = TABLE[State.READY]


class Recorder:
    """Notes each message; answers as `answers` says by type."""

    def __init__(self, answers: dict[int, Any] | None = None) -> None:
        self.seen: list[tuple[str, int]] = []
        self.whole: list[bytes] = []
        self.answers = answers or {}

    def handle(self, data: bytes, start: int, end: int) -> Outcome:
        self.seen.append((chr(data[start]), end - start))
        self.whole.append(data[start:end])
        return self.answers.get(data[start])


def framing(answers: dict[int, Any] | None = None, **more: Any) -> tuple[FrontendFraming, Recorder]:
    recorder = Recorder(answers)
    handlers: list[Any] = [None] * 256
    for kind in KNOWN:
        handlers[kind] = Recorder.handle
    return FrontendFraming(recorder, handlers, **more), recorder


def feed_in_chunks(stream: bytes, cuts: list[int], answers: dict[int, Any] | None = None) -> tuple[bytes, Recorder]:
    machine, recorder = framing(answers)
    out = b""
    edges = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    for start, end in pairwise(edges):
        out += machine.feed(stream[start:end])
    return out, recorder


BIND = messages.message(messages.BIND, b"p\0s\0" + struct.pack("!hhihhh", 1, 1, 300, 0, 0, 0) + b"\0" * 300)
FUNCTION = messages.message(messages.FUNCTION_CALL, b"\0" * 40)

any_message = st.one_of(
    st.binary(max_size=40).map(lambda text: messages.query(text.replace(b"\0", b""))),
    st.binary(max_size=40).map(lambda text: messages.parse(b"s", messages.parse_rest(text.replace(b"\0", b"")))),
    st.just(BIND),
    st.just(FUNCTION),
    st.just(messages.describe(b"S", b"s")),
    st.just(messages.execute(b"")),
    st.just(messages.close(b"P", b"p")),
    st.just(messages.SYNC_MESSAGE),
    st.just(messages.FLUSH_MESSAGE),
    st.binary(max_size=300).map(lambda row: messages.message(messages.COPY_DATA, row)),
    st.just(messages.message(messages.COPY_DONE, b"")),
)
streams = st.lists(any_message, max_size=8).map(b"".join)
cuts = st.lists(st.integers(0, 2000), max_size=12)


@given(streams, cuts)
def test_any_split_passes_the_same_bytes_and_sees_the_same_messages(stream: bytes, where: list[int]) -> None:
    whole, expected = feed_in_chunks(stream, [])
    split, seen = feed_in_chunks(stream, where)
    assert whole == split == stream
    assert seen.seen == expected.seen


@given(streams, cuts)
def test_any_split_replaces_the_same_messages(stream: bytes, where: list[int]) -> None:
    answers = {
        messages.QUERY: b"<query>",
        messages.BIND: b"<bind>",
        messages.FUNCTION_CALL: b"<function>",
        messages.EXECUTE: Before(b"<before>"),
        messages.COPY_DONE: b"",
    }
    whole, _ = feed_in_chunks(stream, [], answers)
    split, _ = feed_in_chunks(stream, where, answers)
    assert whole == split
    assert BIND[-300:] not in whole


@settings(max_examples=400)
@given(st.binary(max_size=400), streams, st.data())
def test_broken_streams_end_in_an_error_and_hold_no_more_than_they_brought(
    junk: bytes, stream: bytes, data: st.DataObject
) -> None:
    broken = bytearray(stream)
    for _ in range(data.draw(st.integers(0, 5))):
        if broken:
            broken[data.draw(st.integers(0, len(broken) - 1))] = data.draw(st.integers(0, 255))
    machine, _ = framing()
    brought = 0
    with suppress(PgError):
        for chunk in (bytes(broken), junk):
            brought += len(chunk)
            machine.feed(chunk)
            assert machine.buffered <= brought


def test_a_chunk_that_passes_whole_is_not_copied() -> None:
    machine, _ = framing()
    chunk = messages.query(b"SELECT 1") + BIND + messages.SYNC_MESSAGE
    assert machine.feed(chunk) is chunk


def test_text_is_held_until_it_is_whole_and_rows_are_not() -> None:
    machine, recorder = framing()
    query = messages.query(b"SELECT 1")
    assert machine.feed(query[:-1]) == b""
    assert recorder.seen == []
    assert machine.feed(query[-1:]) == query
    row = messages.message(messages.COPY_DATA, b"x" * 100_000)
    assert machine.feed(row[:50]) == row[:50]
    assert machine.buffered == 0
    assert machine.feed(row[50:]) == row[50:]
    assert machine.between


def test_a_bind_passes_as_soon_as_its_names_are_seen() -> None:
    machine, recorder = framing()
    assert machine.feed(BIND[:6]) == b""
    assert machine.feed(BIND[6:9]) == BIND[:9]
    assert recorder.seen == [("B", len(BIND))]
    assert machine.feed(BIND[9:]) == BIND[9:]


def test_what_is_replaced_before_it_is_whole_loses_its_rest_too() -> None:
    machine, _ = framing({messages.FUNCTION_CALL: b"<no>"})
    assert machine.feed(FUNCTION[:20]) == b"<no>"
    assert machine.feed(FUNCTION[20:30]) == b""
    assert machine.feed(FUNCTION[30:] + messages.SYNC_MESSAGE) == messages.SYNC_MESSAGE


def test_hold_keeps_the_message_and_all_behind_it_until_resume() -> None:
    answers: dict[int, Any] = {messages.EXECUTE: HOLD}
    machine, recorder = framing(answers)
    execute = messages.execute(b"")
    assert machine.feed(BIND + execute) == BIND
    assert machine.feed(messages.SYNC_MESSAGE) == b""
    assert machine.held
    answers.clear()
    recorder.answers = {}
    assert machine.resume() == execute + messages.SYNC_MESSAGE
    assert machine.between


@pytest.mark.parametrize("length", [0, 3, 0x7FFFFFFF, 0xFFFFFFFF, 1024 * 1024 * 1024])
def test_a_wrong_length_is_an_error_before_memory_is_taken(length: int) -> None:
    for kind in KNOWN:
        machine, _ = framing()
        with pytest.raises(PgError) as caught:
            machine.feed(bytes((kind,)) + struct.pack("!I", length) + b"xxxx")
        assert caught.value.severity == "FATAL"
        assert machine.buffered == 0


def test_a_statement_longer_than_the_limit_says_so_by_its_length_alone() -> None:
    machine, _ = framing(statement_bytes=1000)
    with pytest.raises(PgError) as caught:
        machine.feed(b"Q" + struct.pack("!I", 20_000) + b"SELECT")
    assert caught.value.sqlstate == "54000"
    assert "1000 bytes" in str(caught.value.detail)


@pytest.mark.parametrize("first", [b"z", b"\0", b"\xff", b"G"])
def test_an_unknown_type_is_named_as_postgresql_does(first: bytes) -> None:
    machine, _ = framing()
    with pytest.raises(PgError) as caught:
        machine.feed(first)
    assert caught.value.message == f"invalid frontend message type {first[0]}"
    assert caught.value.sqlstate == "08P01"


def test_a_text_that_comes_in_a_million_chunks_is_not_copied_each_time() -> None:
    machine, recorder = framing()
    query = messages.query(b"x" * 1_000_000)
    for at in range(0, len(query), 10):
        machine.feed(query[at : at + 10])
    assert recorder.seen == [("Q", len(query))]
