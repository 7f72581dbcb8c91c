"""Answers a question from the audit log: by the index, or by reading all of it."""

from __future__ import annotations

import heapq
import json
import os
from bisect import bisect_right
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from proxy.audit.files import LogFile, LogReader, lines, log_files
from proxy.audit.index import Index, Segment
from proxy.audit.question import Question, micros
from proxy.audit.reader import UNREADABLE, Outliner, Traits


@dataclass(frozen=True, slots=True)
class Hit:
    """A record, where it stands, and its line as it is there."""

    record: dict[str, Any]
    file: LogFile
    line: bytes
    order: tuple[int, str, int]  # by time; of one time by worker's file and place


class Matcher:
    """Tells which lines are records that are asked for. What many of them share is asked once (see `Outliner`)."""

    def __init__(self, question: Question) -> None:
        self.question = question
        self._outline = Outliner().outline
        self._answers: dict[int, tuple[Traits, bool]] = {}  # by id(): the traits (so that they stay), whether meant
        self._needle = _needle(question)

    def hit(self, line: bytes, file: LogFile) -> Hit | None:
        """The line as a hit; None where it is not asked for, or no record."""
        if self._needle and self._needle not in line.lower():
            return None
        outline = self._outline(line)
        shared = outline.traits
        known = self._answers.get(id(shared))
        if known is None:
            known = self._answers[id(shared)] = (shared, self.question.meets(shared.record()))
        if not known[1] or shared is UNREADABLE:
            return None
        try:
            record = json.loads(line)
            at = micros(outline.time.decode())
            if not self.question.holds_besides(record, at):
                return None
        except (ValueError, RecursionError):
            return None
        return Hit(record, file, line, (at, file.name, record.get("seq", 0)))


def search(index: Index, question: Question) -> Iterator[Hit]:
    """The records that are asked for, newest first. The index only says where to look. Raises ConsentryError."""
    kinds = index.kinds(question)
    if not kinds:
        return
    matcher = Matcher(question)
    with ThreadPoolExecutor(os.cpu_count() or 1, "audit-search") as pool:
        waiting = [
            (last, _of_file(index, number, file, matcher, kinds, pool)) for number, file, last in index.files(question)
        ]
        yield from _merged(waiting)


def _merged(waiting: list[tuple[int, Iterator[Hit]]]) -> Iterator[Hit]:
    """The hits of files, newest first. `waiting`: of each file its latest time, latest file first."""
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
    matcher = Matcher(question)
    for file in log_files(directory):
        for line in lines(file):
            hit = matcher.hit(line, file)
            if hit is not None:
                yield hit


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


def _of_file(
    index: Index, number: int, file: LogFile, matcher: Matcher, kinds: list[int], pool: Executor
) -> Iterator[Hit]:
    """Newest first; the lines of a block may be out of order where a clock was set back, and are sorted."""
    with LogReader(file, pool) as reader:
        for segment in index.segments(number, matcher.question):
            places = index.places(segment, kinds)
            for block, wanted in _by_block(segment, places, matcher.question):
                yield from sorted(
                    _read(reader, segment, block, wanted, matcher), key=lambda hit: hit.order, reverse=True
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


def _read(reader: LogReader, segment: Segment, number: int, places: list[int], matcher: Matcher) -> Iterator[Hit]:
    start = segment.blocks[number].start
    after = segment.blocks[number + 1].start if number + 1 < len(segment.blocks) else segment.end
    text = reader.read(start, after - start).split(b"\n")
    for place in places:
        # The index may be of another text: what is there is asked again.
        hit = matcher.hit(text[place], reader.file) if place < len(text) else None
        if hit is not None:
            yield hit


def _needle(question: Question) -> bytes:
    """What a line must hold for the text to be in it, or nothing where JSON may write that differently."""
    return question.text.lower().encode() if _AS_WRITTEN.issuperset(question.text) else b""


_AS_WRITTEN: Final = frozenset(map(chr, range(32, 127))) - set('"\\')
