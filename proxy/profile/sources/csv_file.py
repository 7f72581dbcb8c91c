"""CSV with a header."""

from __future__ import annotations

import codecs
import csv
import os
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TextIO

from proxy.profile.sources.reading import (
    Record,
    SourceError,
    Wanted,
    check_fields,
    digest_of,
    file_errors,
    places,
    unchanged,
)

csv.field_size_limit(64 * 1024 * 1024)  # documents are values too


@dataclass(frozen=True, slots=True)
class CsvReader:
    source: str
    path: Path
    delimiter: str = ","
    encoding: str = "utf-8"

    unit: ClassVar[str] = "line"
    follows_cursor: ClassVar[bool] = False
    in_order: ClassVar[bool] = False
    complete_fields: ClassVar[bool] = True
    may_be_cut: ClassVar[bool] = True

    def content(self) -> str | None:
        return digest_of(self.source, self.path)

    async def records(self, wanted: Wanted) -> AsyncGenerator[Record]:
        """An empty value is none. A line with too few or too many values, or an end in the middle, is an error."""
        encoding = "utf-8-sig" if self.encoding == "utf-8" else self.encoding
        with unchanged(self.source, self.path):
            self._check_end()
            with self.path.open(encoding=encoding, newline="") as file:
                for record in self._rows(file, wanted):
                    yield record

    async def keys(self, wanted: Wanted) -> AsyncGenerator[Any]:
        async for record in self.records(wanted):
            yield record.values[wanted.key]

    def _rows(self, file: TextIO, wanted: Wanted) -> Iterator[Record]:
        rows = csv.reader(file, delimiter=self.delimiter, strict=True)
        line = 1
        try:
            header = next(rows, None)
            if header is None:
                raise SourceError(self.source, f"{self.path} is empty: not even a header is in it")
            twice = sorted({name for name in wanted.fields if header.count(name) > 1})
            if twice:
                raise SourceError(self.source, f'line 1: the header has "{twice[0]}" twice')
            check_fields(wanted, header)
            at = places(header)
            chosen = [(name, at[name]) for name in wanted.fields]
            line = rows.line_num + 1
            for row in rows:
                if len(row) != len(header):
                    if not row:  # an empty line
                        continue
                    counts = f"{len(row)} values, and the header has {len(header)}"
                    raise SourceError(self.source, f"line {line}: it has {counts}")
                yield Record(line, {name: row[index] or None for name, index in chosen})
                line = rows.line_num + 1
        except csv.Error as error:
            raise SourceError(self.source, f"line {line}: {error}") from error
        except UnicodeDecodeError as error:
            raise SourceError(self.source, self._undecodable(line)) from error

    def _undecodable(self, line: int) -> str:
        """Which line it is: what reads rows is ahead of them. `line`: where it is at least."""
        decoder = codecs.getincrementaldecoder(self.encoding)()
        with self.path.open("rb") as file:
            at = 1
            while piece := file.read(2**16):
                try:
                    at += decoder.decode(piece).count("\n")
                except UnicodeDecodeError as error:
                    whole = codecs.getincrementaldecoder(self.encoding)()
                    at += whole.decode(error.object[: error.start]).count("\n")
                    line = max(line, at)
                    break
        hint = "set `encoding` in its settings, such as latin-1"
        return f"line {line}: not {self.encoding} text: {hint}"

    def _check_end(self) -> None:
        """A file that was cut in its last value looks whole, but for its end."""
        with file_errors(self.source, self.path), self.path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - 4))  # UTF-32 takes four bytes for a line's end
            if size and not {b"\r", b"\n"} & {bytes([byte]) for byte in file.read().rstrip(b"\0")[-1:]}:
                raise SourceError(self.source, f"{self.path} ends in the middle of a line: was it cut?")
