"""Facts on standard output."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from datetime import datetime
from typing import Any


def print_json(facts: Any) -> None:
    """Times are ISO 8601."""
    json.dump(facts, sys.stdout, default=lambda value: value.isoformat(), indent=2, ensure_ascii=False)
    sys.stdout.write("\n")


def print_table(head: tuple[str, ...], rows: Iterable[tuple[Any, ...]]) -> None:
    """Lines in columns."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(*head, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(escape(str(one)) for one in row))
    Console().print(table)


def shown_time(value: datetime | None) -> str:
    """To the second."""
    return "never" if value is None else value.isoformat(timespec="seconds")
