"""Verifies the audit log of a folder: reads its files, compressed or not, and asks the database for its checkpoints."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from proxy.audit.chain import place_of, read_link
from proxy.audit.diagnosis import Entry, Finding
from proxy.audit.ending import own_files
from proxy.audit.files import LogFile, chunks, log_files
from proxy.audit.verify import Copies, Report, Verifier
from proxy.errors import ConsentryError, UnreachableError


class UnreadableError(ConsentryError):
    """A file is damaged. `line`: the first one of it that could not be read."""

    def __init__(self, file: str, line: int, message: str) -> None:
        super().__init__(message)
        self.file, self.line = file, line


def workers_of(directory: Path) -> list[int]:
    """The workers that have files in a folder. Raises UnreachableError."""
    places = (place_of(file.name) for file in log_files(directory))
    return sorted({place[0] for place in places if place is not None})


def foreign_files(directory: Path) -> list[str]:
    """Names of files that would be read as the log, and that no worker has written. Raises UnreachableError."""
    return [file.name for file in log_files(directory) if place_of(file.name) is None]


def verify_folder(directory: Path, public: str, copies: Copies | None = None) -> list[Report]:
    """A report on the log of each worker. `public`: the raw public key in hex. Raises UnreachableError: no folder.

    Logs that nobody wrote to since keys changed are signed by a former key, of which another log tells.
    """
    reports = [verify_worker(directory, worker, public, copies) for worker in workers_of(directory)]
    former = {key: value for report in reports if report.finding is None for key, value in report.former_keys.items()}
    if not former:
        return reports
    return [
        report if report.finding is None else verify_worker(directory, report.worker, public, copies, former)
        for report in reports
    ]


def verify_worker(
    directory: Path, worker: int, public: str, copies: Copies | None = None, former: Mapping[str, str] | None = None
) -> Report:
    """A report on one worker's log. `former`: as of a `Verifier`. Raises UnreachableError: no folder."""
    verifier = Verifier(worker, public, copies, former or {})
    files = own_files(directory, worker)
    try:
        return verifier.run(entries(files))
    except UnreadableError as error:
        left = own_files(directory, worker)
        if left and left[0].name != files[0].name:  # the oldest were deleted by age meanwhile
            return verify_worker(directory, worker, public, copies, former)
        finding = Finding("unreadable", error.file, error.line, verifier.report.sequence + 1, str(error))
        verifier.report.finding = finding
        return verifier.report


def entries(files: Iterable[LogFile]) -> Iterator[Entry]:
    """All lines of the files, one after another. Half a line at the very end is being written; anywhere else it is one.

    Raises UnreadableError.
    """
    half: Entry | None = None
    for file in files:
        if half is not None:
            yield half
        rest, number, pieces = b"", 0, chunks(file)
        while True:
            try:
                piece = next(pieces, None)
            except UnreachableError as error:
                raise UnreadableError(file.name, number + 1, str(error)) from error
            if piece is None:
                break
            found = (rest + piece).split(b"\n")
            rest = found.pop()
            for line in found:
                number += 1
                yield Entry(file.name, number, line, read_link(line))
        half = Entry(file.name, number + 1, rest, None) if rest else None
