"""`audit verify` against every kind of tampering, at random places: found, and the first bad record named."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
from bisect import bisect_right
from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from proxy.audit import keys
from proxy.audit.chain import Checkpoint, digest, read_link, seal
from proxy.audit.diagnosis import Entry, Finding
from proxy.audit.ending import own_files
from proxy.audit.files import compress
from proxy.audit.log import Log, LogOptions
from proxy.audit.verify import Report, Verifier
from proxy.audit.verifying import entries, verify_folder

RECORDS = 3000
BATCH = 40  # records between two checkpoints


@dataclass(frozen=True)
class Written:
    """A log as it was written, and what the database has of it."""

    entries: list[Entry]
    copies: list[Checkpoint]
    public: str
    key: keys.Signer


def make_log(folder: Path, records: int) -> Written:
    copies: list[Checkpoint] = []
    options = LogOptions(folder / "audit", folder / "audit.key", rotate_size=records * 60)
    log = Log(options, 0, copies.append)
    log.open()
    for start in range(0, records, BATCH):
        bodies = [
            log.body("statement", f'"session":"{number % 7}","statement":"SELECT {number}","rows":{number % 11}')
            for number in range(start, start + BATCH)
        ]
        log.write(bodies)
        log.checkpoint()
    log.close()
    found = list(entries(own_files(options.directory, 0)))
    return Written(found, copies, keys.read_public(folder / "audit.key.pub"), keys.load_or_make(options.key))


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    return make_log(tmp_path_factory.mktemp("verified"), RECORDS)


def copies_of(copies: list[Checkpoint]) -> Callable[[str, int, int], list[Checkpoint]]:
    return lambda log, worker, after: [one for one in copies if one.count > after][:50]


def check(written: Written, changed: list[Entry], copies: bool = False) -> Report:
    return Verifier(0, written.public, copies_of(written.copies) if copies else None).run(changed)


def found(report: Report) -> Finding:
    assert report.finding is not None
    return report.finding


def test_a_log_as_it_was_written_is_whole(written: Written) -> None:
    for copies in (False, True):
        report = check(written, written.entries, copies)
        assert report.finding is None
        assert (report.records, report.signed, report.files) == (len(written.entries), len(written.entries), 4)
    assert report.copied == written.copies[-1].count


# Kinds of tampering: each gives the changed log, what should be found, and the seq of the first bad record.

Tampered = tuple[list[Entry], set[str], int]
Tamper = Callable[[Written, random.Random], Tampered]


def renumbered(lines: list[Entry]) -> list[Entry]:
    """Line numbers in their files, made anew."""
    out: list[Entry] = []
    numbers: dict[str, Iterator[int]] = {}
    for entry in lines:
        number = next(numbers.setdefault(entry.file, count(1)))
        out.append(entry if entry.line == number else replace(entry, line=number))
    return out


def with_data(entry: Entry, data: bytes) -> Entry:
    return replace(entry, data=data, link=read_link(data))


def sequence_of(entry: Entry) -> int:
    assert entry.link is not None
    return entry.link.sequence


def somewhere(written: Written, chance: random.Random, room: int = 1) -> int:
    """The place of a record that a later checkpoint signs, and as many after it; no file begins or ends among them."""
    while True:
        at = chance.randrange(1, len(written.entries) - BATCH - room - 2)
        around = written.entries[at - 1 : at + room + 2]
        if len({entry.file for entry in around}) == 1 and not any(e.link and e.link.event == "open" for e in around):
            return at


def change_a_byte(written: Written, chance: random.Random) -> Tampered:
    at = somewhere(written, chance)
    data = bytearray(written.entries[at].data)
    place = chance.randrange(len(data))
    data[place] = chance.choice([byte for byte in range(256) if byte not in (data[place], 10)])
    link = written.entries[at].link
    kinds = {"changed", "forged checkpoint"} if link is not None and link.event == "checkpoint" else {"changed"}
    return replaced(written, at, bytes(data)), kinds, at + 1


def change_a_number(written: Written, chance: random.Random) -> Tampered:
    at = somewhere(written, chance)
    while b'"rows":' not in written.entries[at].data:
        at = somewhere(written, chance)
    return replaced(written, at, written.entries[at].data.replace(b'"rows":', b'"rows":9')), {"changed"}, at + 1


def change_a_block(written: Written, chance: random.Random) -> Tampered:
    many = chance.randrange(2, 6)
    at = somewhere(written, chance, many)
    lines = list(written.entries)
    for place in range(at, at + many):
        lines[place] = with_data(lines[place], lines[place].data.replace(b',"prev":', b',"x":1,"prev":'))
    return lines, {"changed"}, at + 1


def break_a_line(written: Written, chance: random.Random) -> Tampered:
    at = somewhere(written, chance)
    data = written.entries[at].data
    place = chance.randrange(1, len(data))
    halves = [with_data(written.entries[at], part) for part in (data[:place], data[place:])]
    return renumbered([*written.entries[:at], *halves, *written.entries[at + 1 :]]), {"changed"}, at + 1


def join_lines(written: Written, chance: random.Random) -> Tampered:
    at = somewhere(written, chance, 2)
    one, two = written.entries[at : at + 2]
    joined = with_data(one, one.data + two.data)
    return renumbered([*written.entries[:at], joined, *written.entries[at + 2 :]]), {"changed"}, at + 1


def replaced(written: Written, at: int, data: bytes) -> list[Entry]:
    return [*written.entries[:at], with_data(written.entries[at], data), *written.entries[at + 1 :]]


def remove(written: Written, chance: random.Random) -> Tampered:
    many = chance.choice([1, 1, 2, 30])
    at = somewhere(written, chance, many)
    return renumbered([*written.entries[:at], *written.entries[at + many :]]), {"removed"}, at + 1


def forged(written: Written, at: int) -> bytes:
    """A record that fits behind the one before."""
    before = written.entries[at - 1]
    body = ("2026-01-01T00:00:00.000000Z", '"worker":0,"event":"statement",', "", '"rows":1')
    return seal(body, sequence_of(before) + 1, digest(before.data))


def insert_a_forgery(written: Written, chance: random.Random) -> Tampered:
    at = somewhere(written, chance)
    line = with_data(written.entries[at], forged(written, at))
    return renumbered([*written.entries[:at], line, *written.entries[at:]]), {"inserted"}, at + 1


def insert_a_copy(written: Written, chance: random.Random) -> Tampered:
    at = somewhere(written, chance)
    copied = written.entries[somewhere(written, chance)]
    line = with_data(written.entries[at], copied.data)
    if copied.data == written.entries[at].data:  # a record before itself: the second one is too many
        at += 1
    return renumbered([*written.entries[:at], line, *written.entries[at:]]), {"inserted"}, at + 1


def move(written: Written, chance: random.Random) -> Tampered:
    source, target = somewhere(written, chance), somewhere(written, chance)
    lines = list(written.entries)
    moved = lines.pop(source)
    lines.insert(target, replace(moved, file=lines[target].file))
    if source == target:
        return move(written, chance)
    return renumbered(lines), {"reordered"}, min(source, target) + 1


def swap(written: Written, chance: random.Random) -> Tampered:
    one, two = sorted((somewhere(written, chance), somewhere(written, chance)))
    if one == two:
        return swap(written, chance)
    lines = list(written.entries)
    lines[one], lines[two] = with_data(lines[one], lines[two].data), with_data(lines[two], lines[one].data)
    return lines, {"reordered"}, one + 1


def take_a_file_away(written: Written, chance: random.Random) -> Tampered:
    names = sorted({entry.file for entry in written.entries})
    gone = chance.choice(names[:-1])
    left = [entry for entry in written.entries if entry.file != gone]
    first = next(sequence_of(entry) for entry in written.entries if entry.file == gone)
    if gone == names[0]:
        return left, {"file missing"}, sequence_of(left[0]) - 1
    return left, {"file missing"}, first


def exchange_files(written: Written, chance: random.Random) -> Tampered:
    names = sorted({entry.file for entry in written.entries})
    at = chance.randrange(len(names) - 1)
    other = {names[at]: names[at + 1], names[at + 1]: names[at]}
    lines = [replace(entry, file=other.get(entry.file, entry.file)) for entry in written.entries]
    lines.sort(key=lambda entry: (entry.file, entry.line))
    first = next(entry for entry in lines if entry.file == names[at])
    return lines, {"reordered"}, 1 if at == 0 else sequence_of(first)


def rewrite(written: Written, chance: random.Random) -> Tampered:
    """Whoever knows the format makes all hashes anew behind the change; only the key is missing."""
    at = somewhere(written, chance)
    lines = [*written.entries[:at]]
    head = digest(lines[-1].data)
    for number, entry in enumerate(written.entries[at:], at):
        data = entry.data
        if number == at:
            data = data.replace(b',"prev":', b',"x":1,"prev":')
        data = data[:-66] + head.encode() + data[-2:]
        lines.append(with_data(entry, data))
        head = digest(data)
    return lines, {"rewritten", "forged checkpoint"}, -(at + 1)


def forge_a_checkpoint(written: Written, chance: random.Random) -> Tampered:
    """Signed by a key of one's own, with all hashes made anew, to the end."""
    own = keys.Signer(keys.Ed25519PrivateKey.generate())
    at = somewhere(written, chance)
    lines = [*written.entries[:at]]
    head = digest(lines[-1].data)
    for entry in written.entries[at:]:
        record: dict[str, Any] = json.loads(entry.data)
        record["prev"] = head
        if record["event"] == "checkpoint":
            names = ("log", "worker", "count", "time")
            made = own.checkpoint(Checkpoint(**{name: record[name] for name in names}, head=head))
            record |= {"head": head, "key": made.key, "signature": made.signature}
        data = json.dumps(record, separators=(",", ":")).encode()
        lines.append(with_data(entry, data))
        head = digest(data)
    return lines, {"forged checkpoint"}, -(at + 1)


KINDS: tuple[Tamper, ...] = (
    change_a_byte,
    change_a_number,
    change_a_block,
    break_a_line,
    join_lines,
    remove,
    insert_a_forgery,
    insert_a_copy,
    move,
    swap,
    take_a_file_away,
    exchange_files,
    rewrite,
    forge_a_checkpoint,
)


def cut_off(written: Written, chance: random.Random) -> Tampered:
    """Found only with the database's checkpoints."""
    at = chance.randrange(1, len(written.entries) - BATCH - 2)
    return written.entries[:at], {"cut off"}, at + 1


# What verifiers are after so many lines of the log as it was written.
States = list[tuple[int, Verifier]]


def states_of(written: Written, copies: bool) -> States:
    verifier = Verifier(0, written.public, copies_of(written.copies) if copies else None)
    made = [(0, cloned(verifier))]
    stream = iter(written.entries)
    for place, entry in enumerate(stream, 1):
        assert verifier.take(entry, stream) is None
        if place % 500 == 0:
            made.append((place, cloned(verifier)))
    return made


def cloned(verifier: Verifier) -> Verifier:
    made = copy(verifier)
    made.report = copy(verifier.report)
    for name in ("_trusted", "_expired", "_page"):
        setattr(made, name, copy(getattr(verifier, name)))
    return made


def check_from(written: Written, changed: list[Entry], states: States) -> Report:
    """The same as `check`: what was not changed at the log's beginning was verified already."""
    same = next((n for n, (a, b) in enumerate(zip(written.entries, changed, strict=False)) if a is not b), len(changed))
    place, verifier = states[bisect_right(states, min(same, len(changed)), key=lambda state: state[0]) - 1]
    return cloned(verifier).run(changed[place:])


def assert_found(written: Written, tamper: Tamper, seed: int, states: States | None = None) -> None:
    changed, kinds, sequence = tamper(written, random.Random(seed))
    copies = tamper is cut_off
    finding = found(check_from(written, changed, states) if states else check(written, changed, copies))
    assert finding.kind in kinds, (tamper.__name__, seed, finding)
    if sequence < 0:  # somewhere between two checkpoints: no record can be named
        first_signed = max(c.count for c in written.copies if c.count < -sequence) if -sequence > BATCH else 0
        assert finding.sequence is not None
        assert first_signed < finding.sequence
    else:
        named = finding.sequence
        if tamper in (insert_a_copy, insert_a_forgery, move, swap, exchange_files) and finding.file is not None:
            assert finding.line is not None
            place = next(at for at, e in enumerate(changed) if (e.file, e.line) == (finding.file, finding.line))
            named = place + 1
            if tamper is exchange_files:
                return
        assert named == sequence, (tamper.__name__, seed, finding)


@pytest.mark.parametrize("tamper", [*KINDS, cut_off])
def test_every_kind_of_tampering_is_found_and_the_first_bad_record_named(written: Written, tamper: Tamper) -> None:
    for seed in range(6 if tamper in (rewrite, forge_a_checkpoint) else 40):
        assert_found(written, tamper, seed)


@pytest.mark.parametrize("tamper", [*KINDS, cut_off])
def test_a_check_that_goes_on_from_a_state_finds_the_same(written: Written, tamper: Tamper) -> None:
    copies = tamper is cut_off
    states = states_of(written, copies)
    for seed in range(3):
        changed, _, _ = tamper(written, random.Random(seed))
        assert check_from(written, changed, states).finding == check(written, changed, copies).finding


@pytest.mark.nightly
@pytest.mark.timeout(7_000)
def test_ten_thousand_tamperings_of_a_hundred_thousand_records(tmp_path: Path) -> None:
    large = make_log(tmp_path, 100_000)
    assert len(large.entries) > 100_000
    states = {copies: states_of(large, copies) for copies in (False, True)}
    # Two of them make all hashes anew, which takes long.
    quick = (*KINDS[:-2], cut_off)
    trials = [
        *((quick[seed % len(quick)], seed) for seed in range(9_800)),
        *((KINDS[-2 + seed % 2], seed) for seed in range(200)),
    ]

    def some(first: int) -> None:
        for tamper, seed in trials[first::PROCESSES]:
            assert_found(large, tamper, seed, states[tamper is cut_off])

    in_processes(some)


PROCESSES = os.cpu_count() or 1


def in_processes(work: Callable[[int], None]) -> None:
    """Runs `work` with each number below PROCESSES in a process of its own, which has all that is here."""
    forked = multiprocessing.get_context("fork")
    running = [forked.Process(target=work, args=(number,)) for number in range(PROCESSES)]
    for process in running:
        process.start()
    for process in running:
        process.join()
    assert [process.exitcode for process in running] == [0] * PROCESSES


def test_files_that_were_cut_off_are_found_by_the_database(written: Written) -> None:
    names = sorted({entry.file for entry in written.entries})
    left = [entry for entry in written.entries if entry.file != names[-1]]
    assert found(check(written, left, copies=True)).kind == "cut off"
    assert check(written, left).finding is None  # without it nothing says that there was more


def test_the_last_checkpoint_alone_is_missed(written: Written) -> None:
    left = written.entries[:-1]
    finding = found(check(written, left, copies=True))
    assert (finding.kind, finding.sequence) == ("cut off", len(written.entries))


def test_a_copy_of_a_file_under_another_number_is_an_insertion(written: Written) -> None:
    names = sorted({entry.file for entry in written.entries})
    copied = f"{names[1][: -len('000002')]}000099"
    copy_of_it = [replace(entry, file=copied) for entry in written.entries if entry.file == names[1]]
    finding = found(check(written, [*written.entries, *copy_of_it]))
    assert (finding.kind, finding.file, finding.line) == ("inserted", copied, 1)
    apart = [replace(entry, file=copied) if entry.file == names[-1] else entry for entry in written.entries]
    assert found(check(written, apart)).kind == "reordered"
    gone = [entry for entry in apart if entry.file != names[-2]]
    assert found(check(written, gone)).kind == "file missing"


def test_a_line_that_is_no_record_is_named_by_the_place_where_it_stands(written: Written) -> None:
    foreign = replace(written.entries[5], data=b"nonsense", link=None)
    finding = found(check(written, renumbered([*written.entries[:5], foreign, *written.entries[5:]])))
    assert (finding.kind, finding.line, finding.sequence) == ("inserted", 6, 6)


def test_a_log_that_was_cut_and_went_on_is_found_by_the_database(tmp_path: Path) -> None:
    """By a gateway that was started again on what was left."""
    first = make_log(tmp_path, 400)
    (tmp_path / "audit").joinpath("left").mkdir()
    file = min((tmp_path / "audit").glob("*.jsonl"))
    kept = file.read_bytes().splitlines(keepends=True)[:100]
    for path in (tmp_path / "audit").glob("*.jsonl"):
        path.unlink()
    file.write_bytes(b"".join(kept))
    second = make_log(tmp_path, 800)
    both = Written(second.entries, sorted(first.copies + second.copies, key=lambda c: c.count), first.public, first.key)
    assert check(both, second.entries).finding is None
    finding = found(check(both, second.entries, copies=True))
    assert finding.kind == "rewritten"


def test_checkpoints_in_the_database_are_checked_too(written: Written) -> None:
    forged_copy = replace(written.copies[3], head="0" * 64)
    copies = [*written.copies[:3], forged_copy, *written.copies[4:]]
    finding = found(check(replace(written, copies=copies), written.entries, copies=True))
    assert finding.kind == "forged checkpoint"


def test_a_log_without_its_checkpoints_is_not_taken_for_whole(written: Written) -> None:
    head, lines = "0" * 64, []
    for entry in written.entries:
        assert entry.link is not None
        if entry.link.event != "checkpoint":
            fields = entry.data.decode().partition(f'"seq":{entry.link.sequence},')[2][: -len(',"prev":""}') - 64]
            data = seal((entry.link.time, fields, "", ""), len(lines) + 1, head)
            lines.append(with_data(entry, data))
            head = digest(data)
    assert found(check(written, renumbered(lines))).kind == "unsigned"


def test_keys_that_follow_each_other(tmp_path: Path) -> None:
    options = LogOptions(tmp_path / "audit", tmp_path / "audit.key", rotate_size=3000)
    log = Log(options, 0)
    log.open()
    publics = [keys.read_public(tmp_path / "audit.key.pub")]
    for _ in range(3):
        for _ in range(5):
            log.write([log.body("statement", '"rows":1')])
        log.checkpoint()
        keys.rotate(options.key)
        publics.append(keys.read_public(tmp_path / "audit.key.pub"))
        log.checkpoint()
    log.write([log.body("statement", '"rows":1')])
    log.checkpoint()
    log.close()
    for public in publics:
        (report,) = verify_folder(options.directory, public)
        assert report.finding is None
        assert report.unsigned == 0
    (report,) = verify_folder(options.directory, keys.Signer(keys.Ed25519PrivateKey.generate()).public)
    assert found(report).kind == "forged checkpoint"


def test_files_that_were_deleted_by_age(tmp_path: Path) -> None:
    options = LogOptions(tmp_path / "audit", tmp_path / "audit.key", rotate_size=600, keep=0.000_001)
    log = Log(options, 0)
    log.open()
    for _ in range(20):
        log.write([log.body("statement", '"rows":1')])
    log.checkpoint()
    log.close()
    public = keys.read_public(tmp_path / "audit.key.pub")
    (report,) = verify_folder(options.directory, public)
    assert report.finding is None
    assert report.begins_at > 10
    min((tmp_path / "audit").glob("*.jsonl")).unlink()
    found_ = verify_folder(options.directory, public)
    assert not found_ or found(found_[0]).kind in ("file missing", "unsigned")


def test_a_damaged_compressed_file_is_named(tmp_path: Path) -> None:
    made = make_log(tmp_path, 400)
    path = compress(min((tmp_path / "audit").glob("*.jsonl")))
    (report,) = verify_folder(tmp_path / "audit", made.public)
    assert report.finding is None
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 255
    path.write_bytes(data)
    (report,) = verify_folder(tmp_path / "audit", made.public)
    finding = found(report)
    assert (finding.kind, finding.line) == ("unreadable", 1)
    assert finding.file == path.name.removesuffix(".jsonl.zst")
    assert path.name in finding.message
