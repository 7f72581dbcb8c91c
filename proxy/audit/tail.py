"""The end of the audit log, and what is written to it from now on, through rotation and compression."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from proxy.audit.chain import OWN_EVENTS
from proxy.audit.files import LogFile, LogReader, lines, log_files
from proxy.audit.reader import record
from proxy.errors import UnreachableError

READ: Final = 1 << 16


class Tail:
    """Follows a log: `last` first, then `more` again and again; `close` at the end. The log's own records are left out.

    A file stays open until its name is gone and it is read to its end, so that rotation loses nothing.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._open: dict[str, tuple[LogReader, int]] = {}  # by the file's name: where its next line begins
        self._done: set[str] = set()

    def close(self) -> None:
        for reader, _ in self._open.values():
            reader.close()
        self._open.clear()

    def last(self, count: int) -> list[dict[str, Any]]:
        """The last records of the files that are being written, oldest first. Raises ConsentryError."""
        found: list[dict[str, Any]] = []
        for file in log_files(self.directory):
            if file.compressed:
                self._done.add(file.name)
                continue
            reader = LogReader(file)
            text, begin = _end(reader, 2 * count + 4)  # a checkpoint may follow each
            whole = text[: text.rfind(b"\n") + 1]
            found += [record(line) for line in whole.split(b"\n")[:-1]]
            self._open[file.name] = (reader, begin + len(whole))
        return _by_time(found)[-count:] if count else []

    def more(self) -> list[dict[str, Any]]:
        """What was written since, by time. Raises ConsentryError."""
        found: list[dict[str, Any]] = []
        present = log_files(self.directory)
        for file in present:
            if file.name in self._done or file.name in self._open:
                continue
            try:
                self._begin(file, found)
            except UnreachableError:
                if file.path.exists():
                    raise
                # else it was compressed just now, and is found under its other name
        plain = {file.name for file in present if not file.compressed}
        for name, (reader, at) in list(self._open.items()):
            text = reader.read(at, reader.size() - at)
            whole = text[: text.rfind(b"\n") + 1]
            found += [record(line) for line in whole.split(b"\n")[:-1]]
            self._open[name] = (reader, at + len(whole))
            if name not in plain:
                reader.close()
                del self._open[name]
                self._done.add(name)
        return _by_time(found)

    def _begin(self, file: LogFile, found: list[dict[str, Any]]) -> None:
        if file.compressed:  # it came, was filled and compressed between two looks
            found += [record(line) for line in lines(file)]
            self._done.add(file.name)
        else:
            self._open[file.name] = (LogReader(file), 0)


def _end(reader: LogReader, count: int) -> tuple[bytes, int]:
    """The file's end with `count` lines or more (all where it has fewer), and where that begins."""
    begin = size = reader.size()
    text = b""
    while begin and text.count(b"\n") <= count:
        begin = max(0, begin - READ)
        text = reader.read(begin, size - begin)
    if begin:  # the first line is not whole
        cut = text.find(b"\n") + 1
        text, begin = text[cut:], begin + cut
    return text, begin


def _by_time(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    shown = (one for one in found if one["event"] not in OWN_EVENTS)
    return sorted(shown, key=lambda one: (one["time"], one.get("worker", 0), one.get("seq", 0)))
