"""Answers that come whole: what is heard, given and still awaited is the same as when they come byte by byte."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import PgError
from proxy.wire import errors, messages, whole
from proxy.wire.backend import BackendFraming
from proxy.wire.messages import message
from proxy.wire.states import SYNC, Awaiting, Expected, Whole
from tests.unit.wire.test_backend import BOUND, COMPLETE, DESCRIPTION, PARSED, READY, ROWS, Recorder

PARSE, BIND, DESCRIBE, EXECUTE = (
    Expected(awaiting, "a", name=b"" if awaiting is Awaiting.PARSE else None)
    for awaiting in (Awaiting.PARSE, Awaiting.BIND, Awaiting.DESCRIBE, Awaiting.EXECUTE)
)
NO_DATA = message(messages.NO_DATA, b"")
DONE = message(messages.COMMAND_COMPLETE, b"INSERT 0 1\0")
IN_TRANSACTION = messages.ready(messages.IN_TRANSACTION)
NOTICE = errors.encode(PgError("note", "00000"), messages.NOTICE)
ERROR = errors.encode(PgError("no", "42601"))
# A row that holds what an answer ends with.
TRAP = message(messages.DATA_ROW, b"\0\1" + len(DONE + READY).to_bytes(4, "big") + DONE + READY)
OTHER_DESCRIPTION = message(messages.ROW_DESCRIPTION, b"\0\0other")

ASKED = {
    "a query": (),
    "a batch": (BIND, EXECUTE, SYNC),
    "a batch with a text": (PARSE, BIND, EXECUTE, SYNC),
    "a batch with a description": (BIND, DESCRIBE, EXECUTE, SYNC),
    "a batch with both": (PARSE, BIND, DESCRIBE, EXECUTE, SYNC),
}
HEADS = {
    "a query": (DESCRIPTION, b""),
    "a batch": (BOUND,),
    "a batch with a text": (PARSED + BOUND,),
    "a batch with a description": (BOUND + DESCRIPTION, BOUND + NO_DATA),
    "a batch with both": (PARSED + BOUND + DESCRIPTION, PARSED + BOUND + NO_DATA),
}
ENDS = [
    ROWS + COMPLETE + READY,
    COMPLETE + READY,
    TRAP + COMPLETE + READY,
    DONE + IN_TRANSACTION,
    ROWS + NOTICE + COMPLETE + READY,
    COMPLETE + NOTICE + READY,
    ERROR + READY,
]


def machine(item: Whole) -> tuple[BackendFraming, Recorder]:
    recorder = Recorder()
    framing = BackendFraming(recorder)
    framing.pending.extend((item, Expected(Awaiting.QUERY, "next")))
    return framing, recorder


def heard(item: Whole, *chunks: bytes) -> object:
    framing, recorder = machine(item)
    out = b"".join(framing.feed(chunk) for chunk in chunks)
    return out, recorder.heard, [one.owner for one in framing.pending], framing.status, framing.inside


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("asked", ASKED)
def test_it_is_the_same_as_byte_by_byte(asked: str, end: bytes) -> None:
    item = Whole("a", ASKED[asked])
    for head in HEADS[asked] * 2:
        answer = head + end
        assert heard(item, answer) == heard(Whole("a", ASKED[asked]), *(bytes((byte,)) for byte in answer))


@pytest.mark.parametrize("asked", ASKED)
def test_whole_answers_are_seen_once_and_as_they_are(asked: str) -> None:
    for head in HEADS[asked]:
        answer = head + ROWS + COMPLETE + READY
        item = Whole("a", ASKED[asked])
        assert whole.tag(item, answer, READY) == b"SELECT 3"
        assert item.head == head
        assert machine(item)[0].feed(answer) is answer


@given(st.sampled_from(sorted(ASKED)), st.integers(0, 500))
def test_a_part_of_an_answer_is_not_a_whole_one(asked: str, cut: int) -> None:
    answer = HEADS[asked][0] + TRAP * 3 + COMPLETE + READY
    item = Whole("a", ASKED[asked])
    item.head = HEADS[asked][0]
    assert whole.tag(item, answer[: cut % len(answer)], READY) is None
    assert whole.tag(item, answer[: answer.rindex(READY, 0, -20) + len(READY)], READY) is None


@pytest.mark.parametrize("head", [BOUND, PARSED + BOUND + DESCRIPTION, NO_DATA, b"", message(messages.ERROR, b"\0")])
def test_what_was_not_asked_for_is_no_head(head: bytes) -> None:
    item = Whole("a", ASKED["a batch with a description"])
    assert whole.tag(item, head + ROWS + COMPLETE + READY, READY) is None
    assert item.head is None


def test_another_description_is_another_head() -> None:
    item = Whole("a")
    for description in (DESCRIPTION, OTHER_DESCRIPTION, DESCRIPTION):
        assert whole.tag(item, description + ROWS + COMPLETE + READY, READY) == b"SELECT 3"
        assert item.head == description


def test_a_long_head_is_not_kept() -> None:
    long = message(messages.ROW_DESCRIPTION, b"\0" * whole.HEAD_BYTES)
    item = Whole("a")
    assert whole.tag(item, long + COMPLETE + READY, READY) is None
    assert heard(item, long + COMPLETE + READY) == heard(Whole("a"), long, COMPLETE, READY)


def test_batches_that_are_sent_on_are_awaited_one_by_one() -> None:
    framing, recorder = machine(Whole("a", ASKED["a batch with both"]))
    framing.pending.append(Whole("b", ASKED["a batch"]))
    answer = PARSED + BOUND + DESCRIPTION + ERROR + READY + COMPLETE + READY + BOUND + COMPLETE + READY
    assert framing.feed(answer) == answer
    assert recorder.heard == [
        ("parsed", "a"),
        ("failed", "a", 1, False),
        ("completed", "next", b"SELECT 3"),
        ("completed", "a", b"SELECT 3"),  # the parts' owner
    ]
    assert not framing.pending
