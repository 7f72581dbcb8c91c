"""Which app sent a notification."""

from __future__ import annotations

from proxy.policy.table import AppPolicy
from proxy.server import senders
from proxy.server.options import Upstream

ONE = Upstream("one", 5432, "shop")
TWO = Upstream("two", 5432, "shop")


def app(name: str) -> AppPolicy:
    return AppPolicy(name, name, "internal", "tests", (name,))


def key(process: int) -> bytes:
    return process.to_bytes(4, "big") + b"secret"


def test_processes_are_told_apart_by_their_server() -> None:
    known = senders.Senders()
    known.begin(ONE, key(7), app("crm"))
    known.begin(TWO, key(7), app("mailco"))
    assert known.app(ONE, key(7)[:4]) == app("crm")
    assert known.app(TWO, key(7)[:4]) == app("mailco")
    assert known.app(ONE, key(8)[:4]) is None


def test_what_a_session_sent_before_its_end_is_its_app_s_until_another_has_its_process() -> None:
    known = senders.Senders()
    known.begin(ONE, key(7), app("crm"))
    known.end(ONE, key(7))
    assert known.app(ONE, key(7)[:4]) == app("crm")
    known.begin(ONE, key(7), app("mailco"))
    assert known.app(ONE, key(7)[:4]) == app("mailco")


def test_only_so_many_are_remembered() -> None:
    known = senders.Senders()
    for process in range(senders.ENDED + 5):
        known.begin(ONE, key(process), app("crm"))
        known.end(ONE, key(process))
    assert known.app(ONE, key(4)[:4]) is None
    assert known.app(ONE, key(5)[:4]) == app("crm")
