"""Framing of the backend's messages: rows pass unread, answers find their questions, injected ones are taken out."""

from __future__ import annotations

from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.errors import PgError
from proxy.wire import errors, messages
from proxy.wire.backend import SUSPENDED, BackendFraming
from proxy.wire.messages import message
from proxy.wire.states import CLOSE, COPY_END, SYNC, Awaiting, Expected


class Recorder:
    """Notes what it hears."""

    def __init__(self) -> None:
        self.heard: list[tuple[object, ...]] = []
        self.instead: bytes | None = None

    def completed(self, item: Expected, tag: bytes) -> None:
        self.heard.append(("completed", item.owner, tag))

    def parsed(self, item: Expected) -> None:
        self.heard.append(("parsed", item.owner))

    def closed(self, item: Expected) -> None:
        self.heard.append(("closed", item.name))

    def failed(self, item: Expected | None, body: bytes, dropped: list[Expected], skipping: bool) -> bytes | None:
        self.heard.append(("failed", item.owner if item else None, len(dropped), skipping))
        return self.instead

    def notice(self, item: Expected | None, body: bytes) -> bytes | None:
        return None

    def notification(self, body: bytes) -> bytes | None:
        return None

    def ready(self, status: int, item: Expected | None) -> None:
        self.heard.append(("ready", chr(status)))

    def parameter(self, name: bytes, value: bytes) -> None:
        self.heard.append(("parameter", name, value))

    def copy_in(self, item: Expected) -> None:
        self.heard.append(("copy_in", item.owner))

    def row(self, values: list[bytes | None]) -> None:
        self.heard.append(("row", values))

    def injection_failed(self, body: bytes) -> None:
        self.heard.append(("injection failed",))


ONE = b"\0\1\0\0\0\1x"
ROWS = message(messages.DATA_ROW, ONE) * 3
DESCRIPTION = message(messages.ROW_DESCRIPTION, b"\0\0")
COMPLETE = message(messages.COMMAND_COMPLETE, b"SELECT 3\0")
ERROR = errors.encode(PgError("no", "42601"))
READY = messages.ready(messages.IDLE)
PARSED, BOUND, CLOSED = (message(ord(kind), b"") for kind in "123")


def query(owner: object) -> Expected:
    return Expected(Awaiting.QUERY, owner)


def machine(*pending: Expected) -> tuple[BackendFraming, Recorder]:
    recorder = Recorder()
    framing = BackendFraming(recorder)
    framing.pending.extend(pending)
    framing.injected = sum(item.swallow for item in pending)
    return framing, recorder


BATCH = (
    Expected(Awaiting.PARSE, "a", name=b"s"),
    Expected(Awaiting.BIND, "a"),
    Expected(Awaiting.DESCRIBE, "a"),
    Expected(Awaiting.EXECUTE, "a"),
    SYNC,
)
INJECTED = (
    Expected(Awaiting.PARSE, swallow=True),
    Expected(Awaiting.BIND, swallow=True),
    Expected(Awaiting.EXECUTE, swallow=True),
    Expected(Awaiting.CLOSE, swallow=True),
)
INJECTED_SYNC = Expected(Awaiting.SYNC, swallow=True)
OWN = PARSED + BOUND + message(messages.DATA_ROW, ONE) + COMPLETE + CLOSED
PLAIN = PARSED + BOUND + DESCRIPTION + ROWS + COMPLETE + READY


@settings(max_examples=200)
@given(st.lists(st.integers(0, 2000), max_size=10))
def test_any_split_gives_the_same(cuts: list[int]) -> None:
    notice = errors.encode(PgError("note", "00000"), messages.NOTICE)
    stream = PLAIN + notice + OWN + READY + DESCRIPTION + ROWS + COMPLETE + READY + ERROR + READY
    framing, recorder = machine(*BATCH, *INJECTED, INJECTED_SYNC, query("b"), query("c"))
    recorder.instead = b"<error>"
    out = b""
    edges = [0, *sorted(cut % len(stream) for cut in cuts), len(stream)]
    for start, end in pairwise(edges):
        out += framing.feed(stream[start:end])
    assert out == PLAIN + notice + DESCRIPTION + ROWS + COMPLETE + READY + b"<error>" + READY
    assert recorder.heard == [
        ("parsed", "a"),
        ("completed", "a", b"SELECT 3"),
        ("row", [b"x"]),
        ("ready", "I"),
        ("completed", "b", b"SELECT 3"),
        ("failed", "c", 1, False),
    ]
    assert not framing.pending
    assert framing.injected == 0


def test_a_chunk_in_which_nothing_changes_is_not_copied() -> None:
    framing, _ = machine(*BATCH)
    assert framing.feed(PLAIN) is PLAIN


def test_rows_pass_before_they_are_whole_and_nothing_is_held() -> None:
    framing, _ = machine(query("a"))
    row = message(messages.DATA_ROW, b"x" * 1_000_000)
    assert framing.feed(row[:100]) == row[:100]
    for at in range(100, len(row), 100_000):
        chunk = row[at : at + 100_000]
        assert framing.feed(chunk) is chunk
    assert framing.between


def test_an_error_in_a_batch_drops_what_the_server_skips_up_to_sync() -> None:
    framing, recorder = machine(*BATCH[:4], CLOSE, *BATCH[:2], SYNC, query("b"))
    framing.feed(PARSED + ERROR)
    assert recorder.heard[-1] == ("failed", "a", 6, False)
    assert framing.pending[0] is SYNC
    framing.feed(READY + COMPLETE)
    assert recorder.heard[-1] == ("completed", "b", b"SELECT 3")


def test_an_error_before_sync_was_sent_says_that_the_server_skips() -> None:
    framing, recorder = machine(*BATCH[:2])
    framing.feed(ERROR)
    assert recorder.heard == [("failed", "a", 2, True)]


def test_a_question_inside_of_a_batch_fails_with_the_batch() -> None:
    framing, recorder = machine(*INJECTED)
    assert framing.feed(ERROR) == ERROR
    assert recorder.heard == [("failed", None, 4, True)]
    assert framing.injected == 0


def test_a_question_between_batches_fails_unseen() -> None:
    framing, recorder = machine(*INJECTED, INJECTED_SYNC, query("b"))
    assert framing.feed(PARSED + ERROR + READY) == b""
    assert recorder.heard[:2] == [("injection failed",), ("ready", "I")]
    assert framing.feed(COMPLETE + READY) == COMPLETE + READY


def test_what_comes_at_any_moment_reaches_the_client_in_the_middle_of_a_question() -> None:
    note = message(messages.NOTIFICATION, b"\0\0\0\1channel\0payload\0")
    status = message(messages.PARAMETER_STATUS, b"TimeZone\0UTC\0")
    framing, recorder = machine(*INJECTED, INJECTED_SYNC)
    assert framing.feed(PARSED + note + BOUND + status + OWN[len(PARSED + BOUND) :] + READY) == note + status
    assert ("parameter", b"TimeZone", b"UTC") in recorder.heard


def test_syncs_that_the_server_ignores_while_rows_come_in_are_not_awaited() -> None:
    copy_in = message(messages.COPY_IN, b"\0\0\0")
    execute = Expected(Awaiting.EXECUTE, "copy")
    framing, recorder = machine(execute, SYNC, COPY_END, SYNC)  # all sent before the server answered
    framing.feed(copy_in + COMPLETE + READY)
    assert recorder.heard == [("completed", "copy", b"SELECT 3")]
    assert not framing.pending
    framing, recorder = machine(execute, SYNC)  # rows are still to come
    framing.feed(copy_in)
    assert recorder.heard == [("copy_in", "copy")]
    assert list(framing.pending) == [execute]


def test_marks_of_rows_that_nobody_took_do_not_hide_an_answer_to_a_question() -> None:
    framing, _ = machine(COPY_END, *INJECTED, INJECTED_SYNC)
    assert framing.feed(OWN + READY) == b""


def test_a_suspended_portal_ends_its_execute() -> None:
    framing, recorder = machine(*BATCH[3:])
    framing.feed(ROWS + message(messages.PORTAL_SUSPENDED, b"") + READY)
    assert recorder.heard == [("completed", "a", SUSPENDED)]


@pytest.mark.parametrize(
    "stream", [BOUND, COMPLETE, CLOSED, message(messages.COPY_BOTH, b"\0\0\0"), message(ord("?"), b"")]
)
def test_answers_to_what_nobody_asked_end_the_session(stream: bytes) -> None:
    framing, _ = machine(Expected(Awaiting.PARSE, "a", name=b""))
    with pytest.raises(PgError) as caught:
        framing.feed(stream)
    assert caught.value.severity == "FATAL"


@settings(max_examples=300)
@given(st.binary(max_size=300))
def test_junk_from_a_server_is_an_error_or_held_small(junk: bytes) -> None:
    framing, _ = machine(*BATCH, query("b"))
    with suppress(PgError):
        framing.feed(junk)
