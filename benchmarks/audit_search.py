"""How fast the audit log is searched, against `zstdgrep` over the same files (it is `zgrep` for zstd).

`python -m benchmarks.audit_search [--records 1000000] [--folder DIR]`. The log has four apps, 160 shapes of statements
and files of 250,000 records, all but the last of them compressed. Times are those of whole commands, start included.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

from benchmarks import _report
from proxy.audit.files import compress, log_files
from proxy.audit.index import open_index
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


def seconds(command: Sequence[str | Path], rounds: int) -> tuple[float, int]:
    """The median of so many rounds, and how many lines came."""
    taken, lines = [], 0
    for _ in range(rounds):
        begin = perf_counter()
        done = subprocess.run(command, capture_output=True, check=False)
        taken.append(perf_counter() - begin)
        lines = done.stdout.count(b"\n")
    return statistics.median(taken), lines


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
        for file in folder.glob(".index.sqlite*"):
            file.unlink()
        begin = perf_counter()
        index = open_index(folder)
        index.refresh()
        index.close()
        built = perf_counter() - begin
        files = [file.path for file in log_files(folder)]
        log_bytes = sum(file.stat().st_size for file in files)
        index_bytes = (folder / ".index.sqlite").stat().st_size
        rows = []
        for name, (arguments, pattern) in QUESTIONS.items():
            ours, found = seconds([*CONSENTRY, "--directory", folder, *arguments], options.rounds)
            peer, matched = seconds(["zstdgrep", "-h", "-e", pattern, *files], 1)
            rows.append(f"| {name} | {found:,} | {ours:.2f} s | {matched:,} | {peer:.1f} s |")
    _report.write(
        "Search of the audit log",
        f"{options.records:,} records in {len(files)} files ({log_bytes / 1e6:,.0f} MB, zstd); the index has "
        f"{index_bytes / 1e6:,.0f} MB and was made in {built:.0f} s ({options.records / built:,.0f} records a second, "
        "one core).\n\n"
        "| question | records | `audit search` | lines | `zstdgrep` |\n|---|---|---|---|---|\n" + "\n".join(rows),
    )


if __name__ == "__main__":
    main()
