"""The audit log's files: found, read from any place, compressed and not."""

from __future__ import annotations

import gzip
import os
import random
import subprocess
from pathlib import Path

import pytest
import zstandard

from proxy.audit.files import FRAME, LogFile, LogReader, compress, lines, log_files
from proxy.errors import UnreachableError

TEXT = b"".join(b'{"seq":%d,"statement":"SELECT %d"}\n' % (n, n * n) for n in range(80_000))
assert len(TEXT) > 2 * FRAME


def in_one_frame(path: Path) -> Path:
    target = path.with_name(path.name + ".zst")
    target.write_bytes(zstandard.ZstdCompressor().compress(TEXT))
    path.unlink()
    return target


def gzipped(path: Path) -> Path:
    target = path.with_name(path.name + ".gz")
    target.write_bytes(gzip.compress(TEXT, 1))
    path.unlink()
    return target


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "0-2026-11-26.jsonl"
    path.write_bytes(TEXT)
    return path


@pytest.mark.parametrize("make", [lambda path: path, compress, in_one_frame, gzipped])
def test_every_place_of_every_kind_of_file(log: Path, make: object) -> None:
    assert callable(make)
    path = make(log)
    (file,) = log_files(log.parent)
    assert (file.name, file.path) == ("0-2026-11-26", path)
    assert b"".join(line + b"\n" for line in lines(file)) == TEXT
    rolls = random.Random(1)
    places = [(0, 10), (FRAME - 5, 10), (FRAME, 10), (len(TEXT) - 5, 10), (len(TEXT), 10), (len(TEXT) + 9, 1)]
    places += [(rolls.randrange(len(TEXT)), rolls.randrange(3 * FRAME)) for _ in range(5)]
    with LogReader(file) as reader:
        for start, size in places:
            assert reader.read(start, size) == TEXT[start : start + size], (start, size)


def test_a_file_that_is_compressed_after_the_look_at_the_folder_is_read(log: Path) -> None:
    (file,) = log_files(log.parent)
    reading = lines(file)
    compress(log)
    assert b"".join(line + b"\n" for line in reading) == TEXT
    log.with_name(log.name + ".zst").unlink()
    with pytest.raises(UnreachableError, match="cannot be read"):
        next(lines(file))


def test_nobody_else_reads_a_file_while_it_is_compressed(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log.chmod(0o640)
    modes = []
    monkeypatch.setattr(os, "fsync", lambda file: modes.append(os.fstat(file).st_mode & 0o777))
    monkeypatch.setattr(os, "fchmod", lambda file, mode: modes.append(os.fstat(file).st_mode & 0o777))
    compress(log)
    assert modes[0] & 0o007 == 0


def test_ordinary_tools_read_what_is_compressed(log: Path) -> None:
    made = compress(log)
    assert not log.exists()
    assert subprocess.run(["zstdcat", made], capture_output=True, check=True).stdout == TEXT
    assert made.stat().st_size < len(TEXT) / 5


def test_a_file_that_is_there_twice_is_read_once(log: Path) -> None:
    copy = log.with_name("0-2026-11-26.jsonl.zst")
    copy.write_bytes(b"half written")
    (log.parent / "0-2026-11-26.jsonl.torn").write_bytes(b"torn\n")
    assert log_files(log.parent) == [LogFile("0-2026-11-26", log)]


def test_a_line_that_is_being_written_is_none_yet(log: Path) -> None:
    log.write_bytes(TEXT + b'{"seq":')
    assert b"".join(line + b"\n" for line in lines(log_files(log.parent)[0])) == TEXT


def test_damage_is_said(log: Path) -> None:
    made = compress(log)
    whole = made.read_bytes()
    made.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UnreachableError, match="cannot be read"):
        list(lines(log_files(log.parent)[0]))


def test_a_table_of_another_file_is_not_believed(log: Path) -> None:
    made = compress(log)
    other = zstandard.ZstdCompressor().compress(TEXT + b"more\n")
    table = made.read_bytes()[-(len(TEXT) // FRAME + 1) * 8 - 17 :]
    made.write_bytes(other + table)
    with LogReader(log_files(log.parent)[0]) as reader:
        assert reader.read(len(TEXT), 5) == b"more\n"


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UnreachableError, match="No such file"):
        log_files(tmp_path / "missing")
