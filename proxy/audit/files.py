"""The audit log's files, as they are written and compressed: found, read from any place, compressed.

A compressed file is a row of Zstandard frames of `FRAME` bytes of the log each and, in a frame that decompressors skip,
the table of their sizes ("Zstandard Seekable Format", facebook/zstd, contrib/seekable_format). `zstdcat` and `zstdgrep`
read it as any other; whoever wants a line in the middle decompresses one frame.
"""

from __future__ import annotations

import gzip
import os
import struct
import zlib
from bisect import bisect_right
from collections.abc import Iterator
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, cast

import zstandard

from proxy.errors import UnreachableError

FRAMES_AHEAD: Final = 4  # that are decompressed before they are asked for
FRAME: Final = 1 << 20  # bytes of the log in a frame
LEVEL: Final = 3
_PLAIN: Final = ".jsonl"
_ZSTD: Final = ".jsonl.zst"
_GZIP: Final = ".jsonl.gz"
_SKIPPABLE: Final = 0x184D2A5E
_SEEKABLE: Final = 0x8F92EAB1
_ENTRY: Final = struct.Struct("<II")  # size compressed, size
_FOOTER: Final = struct.Struct("<IBI")  # frames, descriptor, magic number


@dataclass(frozen=True, slots=True)
class LogFile:
    """One file of the log. `name` is the same before and after it is compressed."""

    name: str
    path: Path

    @property
    def compressed(self) -> bool:
        return self.path.suffix != _PLAIN


def log_files(directory: Path) -> list[LogFile]:
    """The log's files by name; of a file that is there twice, the plain one. Raises UnreachableError."""
    found: dict[str, LogFile] = {}
    try:
        paths = sorted(directory.iterdir())
    except OSError as error:
        raise UnreachableError(f"audit: {directory} cannot be read: {error.strerror or error}") from error
    for path in paths:  # x.jsonl comes before x.jsonl.gz and x.jsonl.zst
        for suffix in (_PLAIN, _GZIP, _ZSTD):
            if path.name.endswith(suffix):
                name = path.name.removesuffix(suffix)
                found.setdefault(name, LogFile(name, path))
    return [found[name] for name in sorted(found)]


def chunks(file: LogFile) -> Iterator[bytes]:
    """The file's text in pieces, compressed or not. Raises UnreachableError, also where it is damaged or cut off.

    A file that was compressed since the folder was looked at is read as it is now.
    """
    try:
        with _opened(file) as opened:
            if opened.name.endswith(_ZSTD):
                yield from _decompressed(opened)
                return
            source = cast(IO[bytes], gzip.GzipFile(fileobj=opened)) if file.compressed else opened
            while piece := source.read(FRAME):
                yield piece
    except (OSError, EOFError, zlib.error, zstandard.ZstdError) as error:
        raise _unreadable(file, error) from error


def lines(file: LogFile) -> Iterator[bytes]:
    """The file's whole lines, without their ends. Raises UnreachableError, also where it is damaged."""
    rest = b""
    for piece in chunks(file):
        found = (rest + piece).split(b"\n")
        rest = found.pop()
        yield from found


def _opened(file: LogFile) -> IO[bytes]:
    try:
        return file.path.open("rb")
    except FileNotFoundError:
        if file.compressed:
            raise
        return file.path.with_name(file.name + _ZSTD).open("rb")


def _decompressed(opened: IO[bytes]) -> Iterator[bytes]:
    """Frame by frame, because a stream that ends within one is no error for a stream reader."""
    frame = None
    while piece := opened.read(FRAME):
        while piece:
            frame = frame or zstandard.ZstdDecompressor().decompressobj()
            if text := frame.decompress(piece):
                yield text
            piece = frame.unused_data if frame.eof else b""
            frame = None if frame.eof else frame
    if frame is not None:
        raise EOFError("the file is cut off")


class LogReader:
    """Reads a file of the log from any place. Places and sizes are those of the text, not of what is compressed."""

    def __init__(self, file: LogFile, ahead: Executor | None = None) -> None:
        """`ahead`: decompresses what will be read next, where frames are read one after another from the end. Raises
        UnreachableError.
        """
        self.file = file
        self._frames: list[tuple[int, int, int]] = []  # where the frame begins in the text and in the file, its size
        self._recent: dict[int, bytes] = {}  # the last two frames that were read: what is read next lies across them
        self._ahead = ahead
        self._coming: dict[int, Future[bytes]] = {}
        try:
            self._handle = os.open(file.path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise _unreadable(file, error) from error
        try:
            if file.path.name.endswith(_ZSTD):
                self._frames = self._table()
        except OSError as error:
            raise _unreadable(file, error) from error

    def __enter__(self) -> LogReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        for coming in self._coming.values():
            if not coming.cancel():
                coming.exception()  # it reads from the file
        os.close(self._handle)

    def size(self) -> int:
        """Bytes of a file that is not compressed, also where its name is gone."""
        return os.fstat(self._handle).st_size

    def read(self, start: int, size: int) -> bytes:
        """Up to `size` bytes from `start` on; fewer at the end. Raises UnreachableError."""
        try:
            if not self.file.compressed:
                return os.pread(self._handle, size, start)
            if not self._frames:
                return self._read_through(start, size)
            at = max(bisect_right(self._frames, (start, 1 << 62, 0)) - 1, 0)
            within = start - self._frames[at][0]
            frame = self._at(at)
            if within + size <= len(frame):
                return frame[within : within + size]
            found = bytearray()
            while len(found) < size and at < len(self._frames):
                begin = max(start - self._frames[at][0], 0)
                found += self._at(at)[begin : begin + size - len(found)]
                at += 1
            return bytes(found)
        except (OSError, zstandard.ZstdError) as error:
            raise _unreadable(self.file, error) from error

    def _read_through(self, start: int, size: int) -> bytes:
        """Of a file without a table."""
        found = bytearray()
        for piece in chunks(self.file):
            found += piece[start:][: size - len(found)]
            start = max(start - len(piece), 0)
            if len(found) == size:
                break
        return bytes(found)

    def _at(self, number: int) -> bytes:
        found = self._recent.get(number)
        if found is None:
            coming = self._coming.pop(number, None)
            found = self._decompressed(number) if coming is None else coming.result()
            if self._ahead is not None and number + 1 in self._recent:
                for next_one in range(number - 1, max(number - 1 - FRAMES_AHEAD, -1), -1):
                    if next_one not in self._coming:
                        self._coming[next_one] = self._ahead.submit(self._decompressed, next_one)
            if len(self._recent) > 1:
                del self._recent[next(iter(self._recent))]
            self._recent[number] = found
        return found

    def _decompressed(self, number: int) -> bytes:
        _, place, size = self._frames[number]
        return zstandard.ZstdDecompressor().decompress(os.pread(self._handle, size, place))

    def _table(self) -> list[tuple[int, int, int]]:
        """The frames, by the table at the file's end; none where there is no table, or not of this file."""
        end = os.fstat(self._handle).st_size
        tail = os.pread(self._handle, _FOOTER.size, max(end - _FOOTER.size, 0))
        if len(tail) < _FOOTER.size or _FOOTER.unpack(tail)[2] != _SEEKABLE:
            return []
        size = _FOOTER.unpack(tail)[0] * _ENTRY.size
        begin = end - _FOOTER.size - size
        entries = os.pread(self._handle, size, begin) if begin > 0 else b""
        frames, start, place = [], 0, 0
        for compressed, plain in _ENTRY.iter_unpack(entries[: len(entries) // _ENTRY.size * _ENTRY.size]):
            frames.append((start, place, compressed))
            start, place = start + plain, place + compressed
        return frames if place + _ENTRY.size == begin else []  # the head of the table's own frame lies between


def compress(path: Path) -> Path:
    """Puts `<path>.zst` in the place of a file that is written no more; gives its path. Raises OSError.

    Whenever the machine stops, one of the two is there and whole.
    """
    target = path.with_name(path.name + ".zst")
    unfinished = path.with_name(path.name + ".zst.tmp")
    compressor = zstandard.ZstdCompressor(level=LEVEL, write_checksum=True)
    entries = []
    with path.open("rb") as source, open(unfinished, "wb", opener=_for_few) as out:
        while block := source.read(FRAME):
            frame = compressor.compress(block)
            out.write(frame)
            entries.append(_ENTRY.pack(len(frame), len(block)))
        table = b"".join(entries) + _FOOTER.pack(len(entries), 0, _SEEKABLE)
        out.write(_ENTRY.pack(_SKIPPABLE, len(table)) + table)
        out.flush()
        os.fchmod(out.fileno(), os.fstat(source.fileno()).st_mode & 0o777)
        os.fsync(out.fileno())
    unfinished.replace(target)
    sync_folder(path.parent)
    path.unlink()
    return target


def _for_few(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def sync_folder(path: Path) -> None:
    """Brings the names of files in a folder to the disk itself. Raises OSError."""
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _unreadable(file: LogFile, error: Exception) -> UnreachableError:
    said = error.strerror if isinstance(error, OSError) and error.strerror else error
    return UnreachableError(f"audit: {file.path} cannot be read: {said}")
