"""Puts a table into docs/benchmarks.md: one section for each benchmark, in the place of its last run."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

FILE = Path(__file__).parent.parent / "docs" / "benchmarks.md"
HEAD = """# Benchmarks

Made by `make bench`, one section a file of `benchmarks/`. Absolute times differ between machines and hours: read
the ratios, which come from one run with the peers interleaved.
"""


def write(title: str, text: str) -> None:
    """Replaces the section `title`, or adds it at the end."""
    old = FILE.read_text() if FILE.exists() else HEAD
    section = f"## {title}\n\n{text.strip()}\n\nRun on {datetime.now(UTC):%Y-%m-%d}.\n"
    pattern = re.compile(rf"^## {re.escape(title)}\n.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)
    new = pattern.sub(lambda _: section + "\n", old) if pattern.search(old) else f"{old.rstrip()}\n\n{section}"
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(new.rstrip() + "\n")
    print(section)
