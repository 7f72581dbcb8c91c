"""How fast the audit log is searched, against `zstdgrep` over the same files and `zgrep` over the same text in gzip.

`python -m benchmarks.audit_search [--records 1000000] [--folder DIR]`. The log has four apps, 160 shapes of statements
and files of 250,000 records, all but the last of them compressed. Times are those of whole commands, start included,
the commands of a round one after another.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

from benchmarks import _report
from proxy.audit.files import compress, log_files
from proxy.audit.index import index_file, open_index
from tests.audit_logs import write_log

CONSENTRY = (sys.executable, "-c", "from proxy.cli.main import main; main()", "audit", "search", "--json")
QUESTIONS = {
    "all reads of one attribute that one statement reads": (
        ("--attribute", "card", "--limit", "0"),
        '"attribute":"card"',
    ),
    "an app's 100 newest reads of an attribute": (
        ("--app", "mailco", "--attribute", "email"),
        '"app":"mailco".*"attribute":"email"',
    ),
    "what an app never did": (("--app", "analytics", "--attribute", "card"), '"app":"analytics".*"attribute":"card"'),
    "refusals within an hour": (
        ("--refused", "--from", "2026-11-02T10:00", "--to", "2026-11-02T11:00", "--limit", "0"),
        '^{"time":"2026-11-02T10.*"event":"refused"',
    ),
}


def make(folder: Path, records: int) -> None:
    """Ten million records make a month."""
    paths = write_log(folder, records, file_records=250_000, gap=30 * 86_400 / records)
    for path in paths[:-1]:
        compress(path)


def as_gzip(files: Sequence[Path], folder: Path) -> list[Path]:
    """The same files, compressed as gzip does it."""
    made = []
    for file in files:
        target = folder / f"{file.name}.gz"
        reading = "zstdcat" if file.suffix == ".zst" else "cat"
        subprocess.run(f"{reading} '{file}' | gzip > '{target}'", shell=True, check=True)
        made.append(target)
    return made


def seconds(commands: Sequence[Sequence[str | Path]], rounds: int) -> list[tuple[float, int]]:
    """Of each command the median of so many rounds, and how many lines came."""
    taken: list[list[float]] = [[] for _ in commands]
    lines = [0 for _ in commands]
    for _ in range(rounds):
        for number, command in enumerate(commands):
            begin = perf_counter()
            done = subprocess.run(command, capture_output=True, check=False)
            taken[number].append(perf_counter() - begin)
            lines[number] = done.stdout.count(b"\n")
    return [(statistics.median(times), found) for times, found in zip(taken, lines, strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, help="Where the log is made and kept, or is already.")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.folder or Path(scratch) / "audit"
        if not folder.exists():
            make(folder, options.records)
        os.environ["XDG_CACHE_HOME"] = scratch  # no index is there yet
        begin = perf_counter()
        index = open_index(folder)
        index.refresh()
        index.close()
        built = perf_counter() - begin
        files = [file.path for file in log_files(folder)]
        log_bytes = sum(file.stat().st_size for file in files)
        index_bytes = index_file(folder).stat().st_size
        gzipped = Path(scratch) / "gzip"
        gzipped.mkdir()
        in_gzip = as_gzip(files, gzipped)
        rows = []
        for name, (arguments, pattern) in QUESTIONS.items():
            commands: list[list[str | Path]] = [
                [*CONSENTRY, "--directory", folder, *arguments],
                ["zstdgrep", "-h", "-e", pattern, *files],
                ["zgrep", "-h", "-e", pattern, *in_gzip],
            ]
            (ours, found), (zstd, matched), (gz, _) = seconds(commands, options.rounds)
            rows.append(f"| {name} | {found:,} | {ours:.2f} s | {matched:,} | {zstd:.1f} s | {gz:.1f} s |")
    _report.write(
        f"Search of the audit log, {options.records:,} records",
        f"{options.records:,} records in {len(files)} files ({log_bytes / 1e6:,.0f} MB, zstd); the index has "
        f"{index_bytes / 1e6:,.0f} MB and was made in {built:.0f} s ({options.records / built:,.0f} records a second, "
        "one core).\n\n"
        "| question | records | `audit search` | lines | `zstdgrep` | `zgrep` |\n|---|---|---|---|---|---|\n"
        + "\n".join(rows),
    )


if __name__ == "__main__":
    main()
