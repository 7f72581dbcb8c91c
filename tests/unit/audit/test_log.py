"""The log on disk: links, files that follow each other, crashes, rotation, retention, keys."""

from __future__ import annotations

import asyncio
import errno
import json
import os
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from proxy.audit import keys
from proxy.audit.chain import GENESIS, Checkpoint, Handover, place_of
from proxy.audit.ending import own_files
from proxy.audit.expiry import expire_left, finish_left
from proxy.audit.files import compress, lines, log_files
from proxy.audit.log import Log, LogOptions
from proxy.audit.verifying import verify_folder
from proxy.audit.writer import AuditWriter
from proxy.errors import UnreachableError

Open = Callable[..., Log]


def options(folder: Path, **changed: Any) -> LogOptions:
    return LogOptions(**{"directory": folder / "audit", "key": folder / "audit.key", **changed})


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    """Opens the log of a folder; the one before is closed, as by a process that was killed."""
    made: list[Log] = []

    def start(**changed: Any) -> Log:
        for log in made:
            log.close()
        log = Log(options(tmp_path, **changed), 0)
        made.append(log)
        log.open()
        return log

    yield start
    for log in made:
        log.close()


def write(log: Log, *texts: str) -> None:
    log.write([log.body("statement", f'"statement":"{text}"') for text in texts])


def whole_log(folder: Path) -> list[tuple[str, bytes]]:
    return [(file.name, line) for file in log_files(folder / "audit") for line in lines(file)]


def records(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for _, line in whole_log(folder)]


def assert_linked(folder: Path, first: str = GENESIS, sequence: int = 1) -> None:
    for _, line in whole_log(folder):
        record = json.loads(line)
        assert (record["prev"], record["seq"]) == (first, sequence)
        first, sequence = sha256(line).hexdigest(), sequence + 1


def test_each_line_has_the_hash_of_the_line_before(opened: Open, tmp_path: Path) -> None:
    log = opened()
    write(log, "one", "two", "ü")
    write(log, "three")
    assert_linked(tmp_path)
    assert [record["event"] for record in records(tmp_path)] == ["open", *["statement"] * 4]
    first = records(tmp_path)[0]
    assert (first["file"], first["number"], first.get("after")) == (log_files(tmp_path / "audit")[0].name, 1, None)


def test_a_process_goes_on_in_a_file_that_names_the_one_before(opened: Open, tmp_path: Path) -> None:
    write(opened(), "one")
    write(opened(), "two")
    assert_linked(tmp_path)
    first, second = (record for record in records(tmp_path) if record["event"] == "open")
    assert (second["number"], second["after"], second["log"]) == (2, first["file"], first["log"])


@pytest.mark.parametrize("torn", [b"{", b'{"time":"2026-01-01T00:00:0', b"\0" * 5000, b"\0" * 200_000 + b"\n", b"x\n"])
def test_what_a_crash_left_half_written_is_set_aside_and_recorded(opened: Open, tmp_path: Path, torn: bytes) -> None:
    write(opened(), "one", "two")
    (file,) = (tmp_path / "audit").glob("*.jsonl")
    before = file.read_bytes()
    file.write_bytes(before + torn)
    write(opened(), "three")
    assert file.read_bytes() == before
    assert file.with_name(file.name + ".torn").stat().st_mode & 0o007 == 0  # as of the log's own files
    assert file.with_name(file.name + ".torn").read_bytes().rstrip(b"\n") == torn.rstrip(b"\n")
    assert_linked(tmp_path)
    (record,) = (record for record in records(tmp_path) if record["event"] == "torn")
    assert (record["file"], record["bytes"]) == (file.name.removesuffix(".jsonl"), len(torn))
    assert record["sha256"] == sha256(torn).hexdigest()


@pytest.mark.parametrize("left", [b"", b'{"time":"2026'])
def test_a_file_without_a_whole_record_is_taken_away(opened: Open, tmp_path: Path, left: bytes) -> None:
    write(opened(), "one")
    (file,) = (tmp_path / "audit").glob("*.jsonl")
    following = file.with_name(file.name.replace("000001", "000002"))
    following.write_bytes(left)
    write(opened(), "two")
    assert_linked(tmp_path)
    assert [place_of(file.name) for file in log_files(tmp_path / "audit")] == [(0, 1), (0, 2)]
    assert len([record for record in records(tmp_path) if record["event"] == "torn"]) == bool(left)


def test_the_end_of_a_compressed_file_is_found(opened: Open, tmp_path: Path) -> None:
    log = opened()
    write(log, "one")
    log.close()
    compress(next((tmp_path / "audit").glob("*.jsonl")))
    write(opened(), "two")
    assert_linked(tmp_path)


def test_two_processes_do_not_write_to_one_folder(opened: Open, tmp_path: Path) -> None:
    opened()
    with pytest.raises(UnreachableError, match="another gateway writes"):
        Log(options(tmp_path), 0).open()
    another = Log(options(tmp_path), 1)
    another.open()
    another.close()


def test_files_are_ended_by_size(opened: Open, tmp_path: Path) -> None:
    log = opened(rotate_size=2000)
    for number in range(30):
        write(log, f"{number}")
    assert_linked(tmp_path)
    found = records(tmp_path)
    files = [place_of(file.name) for file in log_files(tmp_path / "audit")]
    assert files == [(0, number + 1) for number in range(len(files))]
    assert len(files) >= 3
    opens = [at for at, record in enumerate(found) if record["event"] == "open"]
    assert [found[at - 1]["event"] for at in opens[1:]] == ["checkpoint"] * (len(files) - 1)
    assert [path.name for path in log.finished] == [f"{file.name}.jsonl" for file in log_files(tmp_path / "audit")][:-1]


def test_files_are_ended_by_time(opened: Open, tmp_path: Path) -> None:
    log = opened(rotate_every=0.000_001)
    write(log, "one")
    write(log, "two")
    assert_linked(tmp_path)
    assert len(log_files(tmp_path / "audit")) == 3


def test_old_files_are_deleted_and_a_record_says_how_far_the_chain_was_whole(opened: Open, tmp_path: Path) -> None:
    log = opened(rotate_size=500, keep=0.000_001)
    for number in range(10):
        write(log, f"{number}")
    left = records(tmp_path)
    assert_linked(tmp_path, left[0]["prev"], left[0]["seq"])
    assert left[0]["seq"] > 10
    assert len(log_files(tmp_path / "audit")) <= 2
    said = [record for record in left if record["event"] == "expire"]
    assert (said[-1]["through"], said[-1]["head"]) == (left[0]["seq"] - 1, left[0]["prev"])


def test_logs_that_nobody_writes_any_more_lose_their_old_files_too(tmp_path: Path) -> None:
    logs = {number: Log(options(tmp_path, rotate_size=500), number) for number in (3, 4, 1000)}
    for number, left in logs.items():
        left.open()
        for turn in range(10):
            write(left, f"{turn}")
        if number != 4:
            left.close()
    before = {number: len(own_files(tmp_path / "audit", number)) for number in logs}
    assert min(before.values()) > 3
    expire_left(options(tmp_path), 0)  # for ever
    expire_left(options(tmp_path, keep=3600), 0)  # nothing is so old
    assert {number: len(own_files(tmp_path / "audit", number)) for number in before} == before
    expire_left(options(tmp_path, keep=0.000_001), 0)
    assert [len(own_files(tmp_path / "audit", number)) for number in before] == [1, before[4], 1]
    logs[4].close()
    public = keys.load_or_make(tmp_path / "audit.key").public
    found = {
        report.worker: (report.finding, report.begins_at > 1) for report in verify_folder(tmp_path / "audit", public)
    }
    assert found == {3: (None, True), 4: (None, False), 1000: (None, True)}


def answer(log: Log, event: str, session: str) -> None:
    """A record as the gateway's are: its session is in what all of a session share."""
    now, shared, _, _ = log.body(event, "")
    log.write([(now, f'{shared}"session":"{session}",', '"statement":"x",', '"rows":0')])


def test_an_answer_that_a_kill_cut_off_after_files_were_ended_is_told(opened: Open, tmp_path: Path) -> None:
    log = opened(rotate_size=500)
    for session in ("aa", "bb"):
        answer(log, "started", session)
    for turn in range(20):
        write(log, f"{turn}")
    answer(log, "statement", "aa")
    for turn in range(20):
        write(log, f"{turn}")
    assert len(own_files(tmp_path / "audit", 0)) > 5
    opened()
    assert_linked(tmp_path)
    ended = [one for one in records(tmp_path) if one.get("session") and one["event"] == "statement"]
    assert [(one["session"], one.get("sqlstate")) for one in ended] == [("aa", None), ("bb", "08006")]
    opened()
    assert sum(one.get("sqlstate") == "08006" for one in records(tmp_path)) == 1, "told once"


def test_logs_of_workers_that_there_are_no_more_are_brought_to_their_end(tmp_path: Path) -> None:
    folder = tmp_path / "audit"
    logs = {number: Log(options(tmp_path), number) for number in (1, 2, 3)}
    for left in logs.values():
        left.open()
        answer(left, "started", "aa")
    for number in (1, 2):
        logs[number].close()  # as by a kill
    for _ in range(2):
        finish_left(options(tmp_path), 2)
    ended = [one["worker"] for one in records(tmp_path) if one.get("sqlstate") == "08006"]
    assert ended == [2], "1 is started again, another process has 3"
    assert [file.compressed for file in own_files(folder, 2)] == [True, True]
    logs[3].close()
    finish_left(options(tmp_path / "nothing"), 0)


def checkpoint_of(record: dict[str, Any]) -> Checkpoint:
    names = ("log", "worker", "count", "head", "time", "key", "signature")
    return Checkpoint(**{name: record[name] for name in names})


def test_checkpoints_are_signed_by_the_key(opened: Open, tmp_path: Path) -> None:
    log = opened()
    write(log, "one", "two")
    assert log.unsigned
    log.checkpoint()
    assert not log.unsigned
    record = records(tmp_path)[-1]
    assert (record["event"], record["count"], record["head"]) == ("checkpoint", 3, record["prev"])
    public = keys.read_public(tmp_path / "audit.key.pub")
    assert keys.holds(public, checkpoint_of(record))
    assert not keys.holds(public, checkpoint_of({**record, "count": 4}))
    assert not keys.holds("00" * 32, checkpoint_of(record))


def test_the_key_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "audit.key"
    one, two = keys.load_or_make(path), keys.load_or_make(path)
    assert one.public == two.public == keys.read_public(keys.public_file(path))
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_new_key_is_taken_while_running_with_the_old_ones_word(opened: Open, tmp_path: Path) -> None:
    log = opened()
    write(log, "one")
    log.checkpoint()
    old, new = keys.rotate(tmp_path / "audit.key")
    write(log, "two")
    log.checkpoint()
    (changed,) = (record for record in records(tmp_path) if record["event"] == "key")
    assert changed["public"] == new.public == keys.read_public(tmp_path / "audit.key.pub")
    assert keys.holds(old.public, Handover(**changed["handover"]))
    assert keys.holds(new.public, checkpoint_of(records(tmp_path)[-1]))
    assert (tmp_path / "audit.key").stat().st_mode & 0o777 == 0o600
    write(opened(), "three")
    assert records(tmp_path)[-2]["handovers"] == [changed["handover"]]
    assert_linked(tmp_path)


@pytest.mark.parametrize("taken", [0, 1, 150, 170, 400])
def test_a_disk_that_takes_a_part_of_a_batch(
    opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, taken: int
) -> None:
    log = opened()
    real = os.write
    limit = os.fstat(log.file).st_size + taken

    def full(file: int, data: bytes) -> int:
        room = limit - os.fstat(file).st_size
        if room == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(file, data[:room])

    bodies = [log.body("statement", f'"n":{number}') for number in range(5)]
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        with pytest.raises(OSError, match="No space left"):
            log.write(bodies)
    assert_linked(tmp_path)
    assert len(bodies) == 6 - len(records(tmp_path))
    log.write(bodies)
    assert [record["n"] for record in records(tmp_path)[1:]] == [0, 1, 2, 3, 4]
    assert_linked(tmp_path)


def test_a_disk_that_takes_a_file_but_not_all_that_it_begins_with(
    opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a file that could not be begun nothing is in the chain."""
    log = opened(rotate_size=500)
    answer(log, "started", "aa")
    write(log, "x" * 500)
    real = os.write

    def full(file: int, data: bytes) -> int:
        if b'"event":"started"' in data:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(file, data)

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        with pytest.raises(OSError, match="No space left"):
            write(log, "one")
    write(log, "two")
    assert_linked(tmp_path)
    assert [one["event"] for one in records(tmp_path)][-3:] == ["open", "started", "statement"]


def test_a_file_that_is_deleted_is_followed_by_another(
    opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.audit.log.LOOK_SECONDS", 0.0)
    log = opened()
    write(log, "one")
    (file,) = (tmp_path / "audit").glob("*.jsonl")
    file.unlink()
    write(log, "two")
    first = records(tmp_path)[0]
    assert (first["event"], first["number"], first["after"]) == ("open", 2, file.name.removesuffix(".jsonl"))


class Answer:
    """An answer that waits for its record."""

    said = ""

    def release(self) -> None:
        self.said = "released"

    def withhold(self) -> None:
        self.said = "withheld"


@pytest.mark.parametrize("fsync", [False, True])
async def test_answers_are_released_when_their_records_are_written(tmp_path: Path, fsync: bool) -> None:
    writer = AuditWriter(options(tmp_path, fsync=fsync))
    writer.open()
    answers = [Answer() for _ in range(3)]
    for answer in answers:
        writer.event("statement", n=1)
        writer.wait(answer)
        assert answer.said == ""
    async with asyncio.timeout(10):
        while not all(answer.said for answer in answers):
            await asyncio.sleep(0)
    assert {answer.said for answer in answers} == {"released"}
    assert [record["event"] for record in records(tmp_path)] == ["open", "checkpoint", *["statement"] * 3]
    writer.close()
    assert records(tmp_path)[-1]["event"] == "checkpoint"


@pytest.mark.parametrize("call", ["write", "fdatasync"])
async def test_answers_are_withheld_when_their_records_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    changes: list[bool] = []
    writer = AuditWriter(options(tmp_path, fsync=call == "fdatasync"), on_change=changes.append)
    writer.open()
    answer = Answer()

    def fail(*_: object) -> int:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(os, call, fail)
        writer.event("statement", n=1)
        writer.wait(answer)
        async with asyncio.timeout(10):
            while not answer.said:
                await asyncio.sleep(0)
        assert answer.said == "withheld"
        assert (writer.failing, changes) == (True, [True])
    writer.event("statement", n=2)
    writer.flush()
    async with asyncio.timeout(10):
        while writer.failing:
            await asyncio.sleep(0)
    writer.close()
    assert changes == [True, False]
    assert [record["n"] for record in records(tmp_path) if record["event"] == "statement"] == [1, 2]
    assert_linked(tmp_path)
