"""Search of the audit log: the same answer with an index, without one, and from a plain reading of the lines."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import Any

import pytest

from proxy.audit import index as index_module
from proxy.audit.files import compress
from proxy.audit.index import Index, index_file, open_index
from proxy.audit.question import Question, bound, micros
from proxy.audit.search import newest, scan, search
from proxy.errors import ConsentryError, UnreachableError
from tests.audit_logs import START, write_log

Record = dict[str, Any]
DAY = 86_400_000_000


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_module, "SEGMENT", 256)
    monkeypatch.setattr(index_module, "READ", 50_000)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("log") / "audit"
    write_log(folder, 3000, file_records=1100, gap=20)
    write_log(folder, 900, worker=1, seed=2, gap=70)
    return folder


@pytest.fixture
def log(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "audit"))


def plainly(log: Path) -> list[Record]:
    """All records, newest first."""
    found = [json.loads(line) for path in log.glob("*.jsonl") for line in path.read_text().splitlines()]
    return sorted(found, key=lambda record: record["time"], reverse=True)


def by_index(log: Path, question: Question) -> list[Record]:
    index = open_index(log)
    try:
        index.refresh()
        return [hit.record for hit in search(index, question)]
    finally:
        index.close()


def columns(record: Record, name: str) -> set[str]:
    return {one[name] for one in record.get("disclosed", ())}


SINCE = int(START * 1e6) + DAY // 10
QUESTIONS = [
    (Question(), lambda r: True),
    (Question(apps=frozenset({"mailco"})), lambda r: r["app"] == "mailco"),
    (Question(logins=frozenset({"crm_app", "mailco_app"})), lambda r: r["login"] in ("crm_app", "mailco_app")),
    (Question(attributes=frozenset({"phone"})), lambda r: "phone" in columns(r, "attribute")),
    (Question(relations=frozenset({"addresses"})), lambda r: "public.addresses" in columns(r, "relation")),
    (
        Question(relations=frozenset({"public.addresses"}), apps=frozenset({"analytics"})),
        lambda r: r["app"] == "analytics" and "public.addresses" in columns(r, "relation"),
    ),
    (
        Question(policies=frozenset({"mailco gets what it needs"})),
        lambda r: "mailco gets what it needs" in r.get("policies", ()),
    ),
    (Question(refused=True), lambda r: r["event"] == "refused"),
    (Question(events=frozenset({"connect"})), lambda r: r["event"] == "connect"),
    (Question(text="DIVISION by"), lambda r: "division" in r.get("message", "")),
    (Question(text="n7 ="), lambda r: "n7 =" in r.get("statement", "")),
    (Question(since=SINCE, until=SINCE + DAY // 20), lambda r: SINCE <= micros(r["time"]) <= SINCE + DAY // 20),
    (
        Question(since=SINCE, apps=frozenset({"crm"}), attributes=frozenset({"card"})),
        lambda r: micros(r["time"]) >= SINCE and r["app"] == "crm" and "card" in columns(r, "attribute"),
    ),
    (Question(apps=frozenset({"nobody"})), lambda r: False),
    (Question(apps=frozenset({"analytics"}), attributes=frozenset({"card"})), lambda r: False),
]


@pytest.mark.parametrize(("question", "wanted"), QUESTIONS)
def test_the_same_answer_in_every_way(log: Path, question: Question, wanted: Any) -> None:
    expected = [record for record in plainly(log) if wanted(record)]
    assert by_index(log, question) == expected
    assert [hit.record for hit in newest(scan(log, question), None)] == expected
    assert [hit.record for hit in newest(scan(log, question), 3)] == expected[:3]
    compress(min(log.glob("*.jsonl")))
    assert by_index(log, question) == expected
    index_file(log).unlink()
    assert by_index(log, question) == expected


def test_fingerprints_and_sessions(log: Path) -> None:
    one = next(record for record in plainly(log) if "fingerprint" in record)
    for name in ("fingerprint", "session"):
        question = Question(**{f"{name}s": frozenset({one[name]})})
        assert by_index(log, question) == [r for r in plainly(log) if r.get(name) == one[name]]


def test_a_log_that_grows_line_by_line(log: Path, tmp_path: Path) -> None:
    """However it was cut when the index took it in, the answer is the same."""
    (source, *_) = sorted(log.glob("*.jsonl"))
    text = source.read_bytes()
    growing = tmp_path / "growing" / "0.jsonl"
    growing.parent.mkdir()
    rolls = random.Random(5)
    index = Index(growing.parent, tmp_path / "index")
    at = 0
    while at < len(text):
        at += rolls.choice((10, 300, 5000, 200_000))
        growing.write_bytes(text[:at])
        index.refresh()
        question = Question(apps=frozenset({"mailco"}))
        whole = [json.loads(line) for line in text[:at].split(b"\n")[:-1]]
        assert [hit.record for hit in search(index, question)] == [r for r in whole[::-1] if r["app"] == "mailco"]
    assert sum(day.records for day in index.days()) == text.count(b"\n")


def test_an_index_that_lies_makes_no_answer(log: Path) -> None:
    """Places that point elsewhere, kinds that say otherwise."""
    index = open_index(log)
    index.refresh()
    index._database.execute("UPDATE kinds SET traits = replace(traits, '\"mailco\"', '\"crm\"')")
    found = [hit.record["app"] for hit in search(index, Question(apps=frozenset({"crm"})))]
    assert set(found) == {"crm"}
    index._database.execute("UPDATE segments SET start = start + 7")
    for hit in search(index, Question(apps=frozenset({"crm"}))):
        assert hit.record["app"] == "crm"
    for lie in ("segments SET blocks = substr(blocks, 33)", "places SET places = CAST(places || x'ffff' AS blob)"):
        index._database.execute(f"UPDATE {lie}")
        with pytest.raises(ConsentryError, match=r"delete .*made anew"):
            list(search(index, Question(apps=frozenset({"crm"}))))
    index.close()


@pytest.mark.parametrize("damage", [b"", b"not a database at all", b"SQLite format 3\0" + b"\7" * 5000])
def test_a_broken_index_is_made_anew(log: Path, damage: bytes) -> None:
    question = Question(apps=frozenset({"mailco"}))
    expected = by_index(log, question)
    index_file(log).write_bytes(damage)
    assert by_index(log, question) == expected != []


def test_another_log_of_the_same_name(log: Path) -> None:
    question = Question(apps=frozenset({"mailco"}))
    by_index(log, question)
    path = min(log.glob("0-*.jsonl"))
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[5:400]))
    expected = [record for record in plainly(log) if record["app"] == "mailco"]
    assert by_index(log, question) == expected
    path.unlink()
    assert len(by_index(log, question)) < len(expected)


def test_days_say_what_was_read_last(log: Path) -> None:
    index = open_index(log)
    index.refresh()
    cards = [day for day in index.days() if any(d.attribute == "card" for d in day.traits.disclosed)]
    read = [
        record
        for record in plainly(log)
        if "card" in columns(record, "attribute")
        and record["event"] == "statement"
        and ("rows" in record or record.get("sqlstate"))
    ]
    assert sum(day.reads for day in cards) == len(read) > 0
    answered = next(record for record in read if record.get("rows") != 0)
    assert max(day.last_read or 0 for day in cards) == micros(answered["time"])
    assert sum(day.rows for day in cards) == sum(record.get("rows", 0) for record in read)
    index.close()


def test_who_can_write_to_the_log_cannot_make_an_index_that_leaves_records_out(log: Path) -> None:
    forged = Index(log, log / ".index.sqlite")
    forged.refresh()
    forged._database.execute("DELETE FROM places")
    forged.close()
    assert len(by_index(log, Question())) == 3900
    assert not index_file(log).is_relative_to(log)


def test_an_index_that_others_can_write_is_not_asked(
    log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert len(by_index(log, Question())) == 3900
    assert index_file(log).stat().st_mode & 0o777 == 0o600
    index_file(log).parent.chmod(0o777)
    with pytest.raises(UnreachableError, match="XDG_CACHE_HOME"):
        by_index(log, Question())


def test_where_no_index_can_be_kept_it_says_what_to_do(
    log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(UnreachableError, match="set XDG_CACHE_HOME"):
        by_index(log, Question())


def test_times_as_people_write_them() -> None:
    day = bound("2026-11-26")
    assert bound("2026-11-26", end=True) == day + DAY - 1
    assert bound("2026-11-26T12:00+02:00") == bound("2026-11-26 10:00") == day + DAY // 24 * 10
    assert bound("7d") - bound("8d") == pytest.approx(DAY, abs=1_000_000)
    for wrong in ("yesterday", "2026-13-01", "9" * 30 + "d", ""):
        with pytest.raises(ValueError, match=r"is no time|too long ago"):
            bound(wrong)


@pytest.mark.parametrize(
    "junk",
    [
        b"{}",
        b"",
        b"\xff\xfe",
        b"[1]",
        b"null",
        b'{"time":5,"event":"statement"}',
        b'{"time":"2026-99-01T00:00:00.000000Z","event":"connect"}',
        b'{"time":"2026-11-01T00:00:00.000000Z","event":"statement","disclosed":[7]}',
        b'{"time":"2026-11-01T00:00:00.000000Z","event":["statement"],"app":{}}',
        b'{"time":"2026-99-01T00:00:00.000000Z","seq":1,"worker":0,"event":"statement","session":"s","app":"a",'
        b'"statement":"x","fingerprint":"f","disclosed":[],"rules_version":"","rows":1,"duration_us":1}',
        b"[" * 100_000,
    ],
)
def test_a_line_that_is_no_record_hides_none_of_the_others(log: Path, junk: bytes) -> None:
    question = Question(apps=frozenset({"mailco"}))
    expected = by_index(log, question)
    index_file(log).unlink()
    path = min(log.glob("*.jsonl"))
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([junk + b"\n", *lines[:70], junk + b"\n", *lines[70:], junk + b"\n"]))
    assert by_index(log, question) == expected
    assert [hit.record for hit in newest(scan(log, question), None)] == expected
    index = open_index(log)
    assert index.unreadable() == 3
    index.close()
