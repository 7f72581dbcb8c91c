"""How a worker's log ended when its process did: where the chain goes on, and what a crash left half written."""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Final

from proxy.audit.chain import Link, place_of, read_link
from proxy.audit.files import LogFile, lines, log_files

log = logging.getLogger(__name__)

BLOCK: Final = 64 * 1024
_TELLING: Final = re.compile(b'"event":"(?:consent|open|reload|started)"')
_FINISHING: Final = re.compile(rb'"event":"statement","session":"(\w+)"')


@dataclass(frozen=True, slots=True)
class Torn:
    """What was set aside of a file's end, for a record."""

    file: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Ending:
    """The last record that is whole. `log` is the id of the log, `number` and `file` are the last file's."""

    log: str | None
    number: int
    file: str
    sequence: int
    head: str
    torn: tuple[Torn, ...] = ()
    consents: Mapping[str, int] = field(default_factory=dict)  # database -> the last event of its ledger in a record
    rules: str | None = None  # that were in force last
    unfinished: tuple[Mapping[str, object], ...] = ()  # `started` records whose statement has none


def own_files(directory: Path, worker: int) -> list[LogFile]:
    """The worker's files in the order in which they were written. Raises UnreachableError."""
    found = []
    for file in log_files(directory):
        place = place_of(file.name)
        if place is not None and place[0] == worker:
            found.append((place[1], file))
    return [file for _, file in sorted(found, key=lambda item: item[0])]


def find_ending(directory: Path, worker: int) -> Ending | None:
    """Where the worker's log ended; None where there is none. Sets half lines aside. Raises OSError, UnreachableError.

    A file in which no record is whole is emptied into its `.torn`, and taken away.
    """
    torn: list[Torn] = []
    for file in reversed(own_files(directory, worker)):
        last, aside = _last_of_compressed(file) if file.compressed else _last_of_plain(file)
        if aside is not None:
            torn.append(aside)
        if last is not None:
            place = place_of(file.name)
            assert place is not None
            consents, rules, begun = _state_of(file)
            ended = last.sequence, last.hash
            return Ending(log_id(file), place[1], file.name, *ended, tuple(torn), consents, rules, begun)
        file.path.unlink()
    return None


def first_line(file: LogFile) -> tuple[Link, dict[str, object]] | None:
    """The record that opens a file; None where it is none. Raises UnreachableError."""
    line = next(lines(file), None)
    link = read_link(line) if line is not None else None
    if line is None or link is None or link.event != "open":
        return None
    try:
        return link, json.loads(line)
    except ValueError:
        return None


def log_id(file: LogFile) -> str | None:
    """The id of the log that a file belongs to, as the file has it."""
    found = first_line(file)
    return str(found[1].get("log")) if found else None


def _state_of(file: LogFile) -> tuple[dict[str, int], str | None, tuple[Mapping[str, object], ...]]:
    """How far the ledgers are recorded at the end of a file, and the rules that were in force: as its `open` record
    says, or a record after it; and which answers were begun of which no record says that they ended.
    """
    found: dict[str, int] = {}
    rules: str | None = None
    started: dict[str, Mapping[str, object]] = {}  # by session, which has one answer at a time
    for line in lines(file):
        if started and (ended := _FINISHING.search(line, 0, 200)):
            started.pop(ended[1].decode(), None)
            continue
        link = read_link(line) if _TELLING.search(line, 0, 200) else None
        if link is None:
            continue
        record = json.loads(line)
        if link.event == "started":
            started[record["session"]] = record
            continue
        if link.event == "open":
            found |= record.get("consents") or {}
        elif link.event == "consent":
            found[record["database"]] = record["ledger_id"]
        if link.event != "consent":
            rules = record.get("rules") or rules
    return found, rules, tuple(started.values())


def _last_of_compressed(file: LogFile) -> tuple[Link | None, Torn | None]:
    last = None
    for line in lines(file):
        last = line
    return (None if last is None else read_link(last)), None


def _last_of_plain(file: LogFile) -> tuple[Link | None, Torn | None]:
    """The last record, after what follows it was moved into `<path>.torn`."""
    with file.path.open("r+b") as opened:
        size = opened.seek(0, os.SEEK_END)
        link, end = None, 0
        for found, after in _lines_backwards(opened.fileno(), size):
            link = read_link(found)
            if link is not None:
                end = after
                break
        if end == size:
            return link, None
        rest = os.pread(opened.fileno(), size - end, end)
        aside = file.path.with_name(file.path.name + ".torn")
        with open(aside, "ab", opener=lambda path, flags: os.open(path, flags, 0o640)) as kept:
            kept.write(rest if rest.endswith(b"\n") else rest + b"\n")
            kept.flush()
            os.fsync(kept.fileno())
        opened.truncate(end)
        os.fsync(opened.fileno())
    log.warning("audit: %s ended in half a line, which is now in %s", file.path, aside.name)
    return link, Torn(file.name, len(rest), sha256(rest).hexdigest())


def _lines_backwards(file: int, size: int) -> Iterator[tuple[bytes, int]]:
    """Whole lines from the end, each with where the next one begins."""
    rest = b""
    start = size
    while start or rest:
        if start:
            begin = max(0, start - BLOCK)
            rest = os.pread(file, start - begin, begin) + rest
            start = begin
        while (last := rest.rfind(b"\n")) >= 0:
            before = rest.rfind(b"\n", 0, last)
            if before < 0 and start:
                break  # the line begins in the block before
            yield rest[before + 1 : last], start + last + 1
            rest = rest[: before + 1]
        if not start:
            return
