"""Answers a question from the audit log: by the index, or by reading all of it."""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from proxy.audit.files import LogFile, LogReader, lines, log_files
from proxy.audit.index import Index, Segment
from proxy.audit.question import Question, micros
from proxy.audit.reader import UNREADABLE, Outliner, record
from proxy.errors import ConsentryError


@dataclass(frozen=True, slots=True)
class Hit:
    """A record, where it stands, and its line as it is there."""

    record: dict[str, Any]
    file: LogFile
    line: bytes

    @property
    def order(self) -> tuple[int, str, int]:
        """By time; of one time by worker's file and place."""
        return micros(self.record["time"]), self.file.name, self.record.get("seq", 0)


def search(index: Index, question: Question) -> Iterator[Hit]:
    """The records that are asked for, newest first. The index only says where to look. Raises ConsentryError."""
    kinds = index.kinds(question)
    if not kinds:
        return
    waiting = [(last, _of_file(index, number, file, question, kinds)) for number, file, last in index.files(question)]
    waiting.reverse()  # the latest is last
    open_: list[tuple[tuple[int, str, int], int, Hit, Iterator[Hit]]] = []
    while waiting or open_:
        # A file is opened when no record that is known already is later than all of its.
        while waiting and (not open_ or waiting[-1][0] >= -open_[0][0][0]):
            _push(open_, waiting.pop()[1])
        if open_:
            _, _, hit, source = heapq.heappop(open_)
            yield hit
            _push(open_, source)


def scan(directory: Path, question: Question) -> Iterator[Hit]:
    """The same without an index: every line of the log is read, file by file. Raises ConsentryError."""
    outliner = Outliner()
    for file in log_files(directory):
        answers: dict[int, tuple[object, bool]] = {}  # by id(): the traits (so that they stay), whether they are meant
        for line in lines(file):
            shared = outliner.outline(line).traits
            known = answers.get(id(shared))
            if known is None:
                known = answers[id(shared)] = (shared, question.meets(shared.record()))
            if shared is UNREADABLE or not known[1]:
                continue
            found = record(line)
            if question.holds(found):
                yield Hit(found, file, line)


def newest(hits: Iterator[Hit], limit: int | None) -> list[Hit]:
    """Of hits in any order the newest ones, newest first."""
    if limit is None:
        return sorted(hits, key=lambda hit: hit.order, reverse=True)
    return heapq.nlargest(limit, hits, key=lambda hit: hit.order)


# -- inside ------------------------------------------------------------------------------------------------------------


def _push(heap: list[tuple[tuple[int, str, int], int, Hit, Iterator[Hit]]], source: Iterator[Hit]) -> None:
    hit = next(source, None)
    if hit is not None:
        at, name, number = hit.order
        heapq.heappush(heap, ((-at, name, -number), id(source), hit, source))


def _of_file(index: Index, number: int, file: LogFile, question: Question, kinds: list[int]) -> Iterator[Hit]:
    """Newest first; the lines of a block may be out of order where a clock was set back, and are sorted."""
    with LogReader(file) as reader:
        for segment in index.segments(number, question):
            places = index.places(segment, kinds)
            for block, wanted in _by_block(segment, places, question):
                yield from sorted(
                    _read(reader, segment, block, wanted, question), key=lambda hit: hit.order, reverse=True
                )


def _by_block(segment: Segment, places: list[int], question: Question) -> Iterator[tuple[int, list[int]]]:
    """(number of a block of the segment, places in it), the last one first, without those of another time."""
    starts = [block.record for block in segment.blocks]
    end = len(places)
    while end:
        number = bisect_right(starts, places[end - 1]) - 1
        block = segment.blocks[number]
        begin = end - 1
        while begin and places[begin - 1] >= block.record:
            begin -= 1
        if (question.since is None or block.last >= question.since) and (
            question.until is None or block.first <= question.until
        ):
            yield number, [place - block.record for place in places[begin:end]]
        end = begin


def _read(reader: LogReader, segment: Segment, number: int, places: list[int], question: Question) -> Iterator[Hit]:
    start = segment.blocks[number].start
    after = segment.blocks[number + 1].start if number + 1 < len(segment.blocks) else segment.end
    text = reader.read(start, after - start).split(b"\n")
    needle = _needle(question)
    for place in places:
        line = text[place] if place < len(text) else b""
        if needle and needle not in line.lower():
            continue
        try:
            found = record(line)
        except ConsentryError:
            continue  # the index is of another text; what is no record is no answer
        if question.holds(found):
            yield Hit(found, reader.file, line)


def _needle(question: Question) -> bytes:
    """What a line must hold for the text to be in it, or nothing where JSON may write that differently."""
    return question.text.lower().encode() if _AS_WRITTEN.issuperset(question.text) else b""


_AS_WRITTEN: Final = frozenset(map(chr, range(32, 127))) - set('"\\')
