"""What is sent to a syslog server: every record at least once, whatever becomes of the server and of the files."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from proxy.audit.files import compress
from proxy.audit.log import Log, LogOptions
from proxy.audit.syslog import Follower, SyslogSender, message
from tests.syslogs import SyslogServer, parsed

LINE = b'{"time":"2026-11-26T10:00:00.123456Z","seq":7,"worker":2,"event":"%s","prev":"00"}'


@contextmanager
def opened(folder: Path, size: int = 2000) -> Iterator[Log]:
    log = Log(LogOptions(folder, folder / "audit.key", rotate_size=size), 0)
    log.open()
    try:
        yield log
    finally:
        log.close()


def write(log: Log, many: int, of: str = "x") -> None:
    for number in range(many):
        log.write([log.body("statement", f'"statement":"{of} {number}"')])


def said(messages: list[bytes]) -> list[str]:
    return [text for one in messages if (text := json.loads(one).get("statement"))]


def until(condition: Callable[[], object]) -> None:
    ended = threading.Event()
    for _ in range(2000):
        if condition():
            return
        ended.wait(0.005)
    raise AssertionError("it did not come true")


def test_a_message_is_as_rfc_5424_has_it() -> None:
    one = parsed(message(LINE % b"statement", "host.example"))
    assert (one.priority, one.time, one.host, one.app) == (
        110,
        "2026-11-26T10:00:00.123456Z",
        "host.example",
        "consentry",
    )
    assert (one.process, one.kind, one.message) == ("2", "statement", LINE % b"statement")
    assert parsed(message(LINE % b"refused", "h")).priority == 108


def test_it_follows_through_files_that_end_and_are_compressed(tmp_path: Path) -> None:
    with opened(tmp_path) as log:
        follower = Follower(tmp_path, 0)
        write(log, 3)
        got = follower.more()
        write(log, 60)
        for path in log.finished[::2]:
            compress(path)
        while found := follower.more():
            got += found
        assert said(got) == [f"x {n}" for n in range(3)] + [f"x {n}" for n in range(60)]
        assert len({json.loads(one)["file"] for one in got if b'"event":"open"' in one}) > 3
        write(log, 2, "later")
        assert said(follower.more()) == ["later 0", "later 1"]
    assert follower.more() == []


def test_a_line_that_is_longer_than_what_is_read_at_a_time(tmp_path: Path) -> None:
    with opened(tmp_path, 10**9) as log:
        write(log, 1, "y" * 1_000_000)
        follower, got = Follower(tmp_path, 0), []
        while found := follower.more():
            got += found
        assert len(said(got)[0]) > 1_000_000


@pytest.mark.parametrize("kind", ["tcp", "udp", "unix"])
def test_each_record_is_sent(tmp_path: Path, kind: str) -> None:
    with SyslogServer(kind, tmp_path / "log" if kind == "unix" else 0) as server, opened(tmp_path / "audit") as log:
        sender = SyslogSender(server.address, tmp_path / "audit", 0)
        sender.start()
        write(log, 30)
        sender.stop()
        until(lambda: len(said(server.messages)) == 30)
    assert said(server.messages) == [f"x {n}" for n in range(30)]


def test_a_record_that_no_datagram_takes_is_in_the_files_only(tmp_path: Path) -> None:
    with SyslogServer("udp") as server, opened(tmp_path) as log:
        write(log, 1, "y" * 100_000)
        write(log, 1)
        sender = SyslogSender(server.address, tmp_path, 0)
        sender.start()
        sender.stop()
        until(lambda: said(server.messages) == ["x 0"])


def test_while_the_server_is_away_records_wait_in_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxy.audit.syslog.RETRY_SECONDS", 0.02)
    with opened(tmp_path) as log:
        with SyslogServer("tcp") as server:
            port = server.port
            sender = SyslogSender(server.address, tmp_path, 0)
            sender.start()
            write(log, 5, "before")
            until(lambda: len(said(server.messages)) == 5)
        write(log, 50, "meanwhile")
        with SyslogServer("tcp", port) as server:
            until(lambda: len(set(said(server.messages)) & {f"meanwhile {n}" for n in range(50)}) == 50)
            sender.stop()
        write(log, 5, "after")
        with SyslogServer("tcp", port) as server:  # another process goes on where this one has ended
            sender = SyslogSender(server.address, tmp_path, 0)
            sender.start()
            sender.stop()
            until(lambda: len(said(server.messages)) == 5)
            assert said(server.messages) == [f"after {n}" for n in range(5)]
