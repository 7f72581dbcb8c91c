"""The end of the log, and what comes after, through rotation."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.audit.files import compress
from proxy.audit.tail import Tail
from tests.audit_logs import write_log


@pytest.fixture
def log(tmp_path: Path) -> Path:
    write_log(tmp_path, 500, file_records=200)
    return tmp_path


@pytest.fixture
def tail(log: Path) -> Iterator[Tail]:
    tail = Tail(log)
    yield tail
    tail.close()


def line(number: int) -> bytes:
    return (
        json.dumps({"time": f"2026-12-01T00:00:00.{number:06}Z", "seq": number, "event": "statement"}).encode() + b"\n"
    )


@pytest.mark.parametrize("count", [0, 1, 10, 150, 499, 500, 1000])
def test_the_last_records(log: Path, tail: Tail, count: int) -> None:
    whole = [json.loads(text) for path in sorted(log.glob("*.jsonl")) for text in path.read_text().splitlines()]
    assert tail.last(count) == (whole[-count:] if count else [])
    assert tail.more() == []


def test_what_is_written_afterwards_through_rotation(log: Path, tail: Tail) -> None:
    """However the lines are cut, each comes once and whole."""
    tail.last(1)
    rolls = random.Random(3)
    text = b"".join(line(number) for number in range(1, 301))
    seen: list[int] = []
    path, part = log / "0-2026-12-01.000001.jsonl", 1
    at = 0
    while at < len(text):
        size = rolls.randrange(1, 2000)
        piece = text[at : at + size]
        at += len(piece)
        with path.open("ab") as out:
            out.write(piece)
        if rolls.random() < 0.3:  # rotated at the end of a line
            end = text.find(b"\n", at - 1) + 1
            with path.open("ab") as out:
                out.write(text[at:end])
            at = max(at, end)
            compress(path)
            part += 1
            path = log / f"0-2026-12-01.{part:06}.jsonl"
        seen += [record["seq"] for record in tail.more()]
    seen += [record["seq"] for record in tail.more()]
    assert part > 3
    assert seen == list(range(1, 301))
