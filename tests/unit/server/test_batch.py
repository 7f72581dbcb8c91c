"""The batch that is taken at once does what its messages do one by one; what is anything else is left alone."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType, SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.catalog.model import SearchPath
from proxy.rewrite.result import Plan, StatementInfo
from proxy.server import batch
from proxy.server.frontend import HANDLERS
from proxy.server.generation import Budget, Context
from proxy.server.statements import Statements
from proxy.wire import messages
from proxy.wire.backend import BackendFraming
from proxy.wire.framing import FrontendFraming
from proxy.wire.messages import SYNC_MESSAGE, describe, execute, message, parse, parse_rest
from proxy.wire.states import Awaiting, State

TEXT = b"SELECT email FROM customers WHERE id = $1"


class Plans:
    hidden_constraints: Mapping[tuple[str, str, str], bool] = MappingProxyType({})

    def plan(
        self, query: bytes, path: SearchPath, parameter_types: tuple[int, ...] = (), encoding: str = "utf-8"
    ) -> Plan:
        return Plan(query.replace(b"email", b"NULL"), query, b"email" in query, (StatementInfo("", "", ""),))


def session() -> SimpleNamespace:
    """What handlers see of a session that is between two batches; it has prepared `s`."""
    app = SimpleNamespace(hides_anything=False, trusted=False, monitor=False, dropped_columns=())
    snapshot = SimpleNamespace(raised=frozenset(), raised_constants=frozenset())
    generation = SimpleNamespace(budget=Budget(), snapshot=snapshot, rules=SimpleNamespace(version="1"))
    context = Context(generation, app, Plans(), SearchPath(()), "utf-8")  # type: ignore[arg-type]
    made = SimpleNamespace(
        context=context,
        statements=Statements(),
        concerns=0,
        encoding="utf-8",
        open=False,
        refreshed=False,
        gate=lambda: None,
    )
    made.answers = BackendFraming(made)  # type: ignore[arg-type]
    made.pending = made.answers.pending
    made.framing = FrontendFraming(made, HANDLERS[State.READY])
    made.state = State.READY
    made.framing.feed(parse(b"s", parse_rest(TEXT)) + parse(b"", parse_rest(TEXT)) + SYNC_MESSAGE)
    while made.pending:
        item = made.pending.popleft()
        if item.name is not None:
            made.statements.parsed(item)
    return made


def bind(statement: bytes, value: bytes = b"1", portal: bytes = b"") -> bytes:
    fields = b"\0\0\0\1" + len(value).to_bytes(4, "big") + value + b"\0\0"
    return message(messages.BIND, portal + b"\0" + statement + b"\0" + fields)


RUN = execute(b"") + SYNC_MESSAGE
SHOWN = describe(b"P", b"") + RUN
USUAL = [
    head + bind(name, value) + tail
    for value in (b"1", b"", b"S\0\0\0\4" * 3)
    for head, name in ((b"", b"s"), (b"", b""), (parse(b"", parse_rest(TEXT)), b""))
    for tail in (RUN, SHOWN)
]


def state(one: SimpleNamespace) -> object:
    names = one.statements
    return (
        [
            (item.awaiting, item.name, item.owner and item.owner.key)
            for found in one.pending
            for item in (found.parts if found.awaiting is Awaiting.BATCH else (found,))
        ],
        {name: made.key for name, made in names.current.items()},
        {name: made.key for name, made in names.portals.items()},
        (one.open, names.fresh, one.concerns),
    )


@pytest.mark.parametrize("data", USUAL)
def test_it_does_what_its_messages_do_one_by_one(data: bytes) -> None:
    whole, single = session(), session()
    assert batch.take(whole, data) == single.framing.feed(data)  # type: ignore[arg-type]
    assert state(whole) == state(single)


UNUSUAL = {
    "a portal": bind(b"s", portal=b"p") + RUN,
    "another portal": bind(b"s") + execute(b"p") + SYNC_MESSAGE,
    "rows in parts": bind(b"s") + message(messages.EXECUTE, b"\0\0\0\0\1") + SYNC_MESSAGE,
    "no sync": bind(b"s") + execute(b""),
    "more behind": bind(b"s") + RUN + bind(b"s"),
    "two": bind(b"s") + RUN + bind(b"s") + RUN,
    "an unknown name": bind(b"t") + RUN,
    "a long name": bind(b"s" * 70) + RUN,
    "a name that does not end": message(messages.BIND, b"\0" + b"s" * 20) + RUN,
    "another name than is prepared": parse(b"", parse_rest(TEXT)) + bind(b"s") + RUN,
    "a name that is prepared": parse(b"t", parse_rest(TEXT)) + bind(b"t") + RUN,
    "a text that is new": parse(b"", parse_rest(b"SELECT 1")) + bind(b"") + RUN,
    "a message that is too short": b"B\0\0\0\7\0s\0" + RUN,
    "half a batch": (bind(b"s") + RUN)[:-1],
    "a text alone": parse(b"", parse_rest(TEXT)),
    "a sync": SYNC_MESSAGE,
    "a byte": b"P",
    "parse where bind is": parse(b"", parse_rest(TEXT)) * 2 + RUN,
}


@pytest.mark.parametrize("data", UNUSUAL.values(), ids=UNUSUAL)
def test_what_is_anything_else_is_left_alone(data: bytes) -> None:
    one, other = session(), session()
    assert batch.take(one, data) is None  # type: ignore[arg-type]
    assert state(one) == state(other)


def test_what_is_not_certain_is_left_alone() -> None:
    one = session()
    one.statements.current[b"s"] = one.statements.current[b"s"].as_prepared()  # not confirmed
    assert batch.take(one, bind(b"s") + RUN) is None  # type: ignore[arg-type]
    one = session()
    one.context = session().context  # other rules are in force
    assert batch.take(one, bind(b"s") + RUN) is None  # type: ignore[arg-type]


@given(st.sampled_from(USUAL), st.integers(0, 60), st.integers(0, 255))
def test_a_byte_that_is_another_one(data: bytes, at: int, value: int) -> None:
    """Whatever comes: it is left alone, or it does the same."""
    at %= len(data)
    data = data[:at] + bytes((value,)) + data[at + 1 :]
    whole = session()
    out = batch.take(whole, data)  # type: ignore[arg-type]
    if out is not None:
        single = session()
        assert out == single.framing.feed(data)
        assert state(whole) == state(single)
