"""Who is connected, by all workers: how many there are, and which app sent a notification."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator

import pytest

from proxy.policy.table import AppPolicy
from proxy.server.options import Upstream
from proxy.server.roster import WAYS, Roster

ONE = Upstream("one", 5432, "shop")
TWO = Upstream("two", 5432, "shop")
CONNECTIONS = 1000


def app(name: str, trusted: bool = False) -> AppPolicy:
    return AppPolicy(name, name, "internal", "tests", (name,), trusted=trusted)


CRM, MAILCO, DEPLOY = app("crm"), app("mailco"), app("deploy", trusted=True)


def key(process: int) -> bytes:
    return process.to_bytes(4, "big") + b"secret"


def sent(process: int) -> bytes:
    return process.to_bytes(4, "big") + b"channel\0payload\0"


@pytest.fixture
def three() -> Iterator[list[Roster]]:
    with tempfile.TemporaryFile() as file:
        os.ftruncate(file.fileno(), Roster.size(CONNECTIONS, 3))
        yield [Roster(CONNECTIONS, worker, 3, file.fileno()) for worker in range(3)]


def test_processes_are_told_apart_by_their_server() -> None:
    roster = Roster(CONNECTIONS)
    roster.begin(ONE, key(7), CRM)
    roster.begin(TWO, key(7), MAILCO)
    assert roster.from_another_app(ONE, sent(7), MAILCO)
    assert not roster.from_another_app(TWO, sent(7), MAILCO)
    assert not roster.from_another_app(ONE, sent(8), MAILCO)  # no session of the gateway's


def test_trusted_apps_are_heard_by_all() -> None:
    roster = Roster(CONNECTIONS)
    roster.begin(ONE, key(7), DEPLOY)
    assert not roster.from_another_app(ONE, sent(7), MAILCO)


def test_what_a_session_sent_before_its_end_is_its_app_s_until_another_has_its_process(three: list[Roster]) -> None:
    here, there, _ = three
    here.begin(ONE, key(7), CRM)
    here.end(ONE, key(7))
    assert all(roster.from_another_app(ONE, sent(7), MAILCO) for roster in three)
    there.begin(ONE, key(7), MAILCO)
    assert not any(roster.from_another_app(ONE, sent(7), MAILCO) for roster in three)
    assert all(roster.from_another_app(ONE, sent(7), CRM) for roster in three)
    there.end(ONE, key(7))  # now it may be of either
    assert all(roster.from_another_app(ONE, sent(7), one) for roster in three for one in (CRM, MAILCO))


def test_a_process_is_not_known_by_bytes_that_lie_across_two_entries() -> None:
    roster = Roster(CONNECTIONS)
    sets = CONNECTIONS // 4
    for turn in range(WAYS):
        roster.begin(ONE, key(turn * sets), CRM)
    for process in range(0, 256 * sets, sets):  # all are in the same set
        assert roster.from_another_app(ONE, sent(process), MAILCO) == (process < WAYS * sets)


def test_sessions_of_all_workers_are_counted_and_those_of_one_that_died_are_not(three: list[Roster]) -> None:
    for number, roster in enumerate(three):
        for process in range(number + 1):
            roster.begin(ONE, key(100 * number + process), CRM)
    assert {roster.sessions for roster in three} == {6}
    three[2].end(ONE, key(200))
    three[2].leave()
    assert (three[0].sessions, three[0].left(2), three[0].left(1)) == (5, 1, 0)
    three[0].bury(2)
    assert (three[1].sessions, three[1].left(2)) == (3, 0)
    assert three[1].from_another_app(ONE, sent(201), MAILCO)  # it may be on its way
    three[2].begin(ONE, key(201), MAILCO)
    assert not three[1].from_another_app(ONE, sent(201), MAILCO)
    assert three[1].from_another_app(ONE, sent(101), MAILCO)  # another worker's are as they were


def test_those_that_ended_make_room(three: list[Roster]) -> None:
    sets = CONNECTIONS // 4
    for turn in range(3 * WAYS):
        three[0].begin(ONE, key(7 + turn * sets), CRM)
        three[0].end(ONE, key(7 + turn * sets))
    assert three[1].from_another_app(ONE, sent(7 + (3 * WAYS - 1) * sets), MAILCO)
    assert three[1].sessions == 0


def test_where_there_is_no_place_for_a_session_nobody_hears_those_that_are_not_known(three: list[Roster]) -> None:
    sets = CONNECTIONS // 4
    for turn in range(WAYS):
        three[0].begin(ONE, key(7 + turn * sets), CRM)
    assert not three[1].from_another_app(ONE, sent(8), MAILCO)
    three[0].begin(ONE, key(7 + WAYS * sets), CRM)
    assert three[1].from_another_app(ONE, sent(7 + WAYS * sets), MAILCO)
    assert three[1].from_another_app(ONE, sent(8), MAILCO)
    assert not three[1].from_another_app(ONE, sent(7), CRM)


def test_a_server_without_keys_to_cancel_has_no_processes() -> None:
    roster = Roster(CONNECTIONS)
    roster.begin(ONE, b"", CRM)
    assert roster.sessions == 1
    roster.end(ONE, b"")
    assert roster.sessions == 0
