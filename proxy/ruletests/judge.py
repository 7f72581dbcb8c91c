"""What came of a statement against what a test expects: the differences, in words. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from proxy.errors import PgError
from proxy.rewrite.result import Disclosure
from proxy.ruletests.format import RuleTest, TestRule

Row = tuple[str | None, ...]  # values as PostgreSQL writes them; None: NULL


@dataclass(frozen=True, slots=True)
class Found:
    """What came of a statement. `columns`, `rows`: None where they were not looked at, or could not be told."""

    error: PgError | None = None
    disclosed: tuple[Disclosure, ...] = ()
    columns: tuple[str, ...] | None = None
    rows: tuple[Row, ...] | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """A test's end: `passed`, `failed` (`differences` says why), or `skipped` (`differences` says what it needs)."""

    test: RuleTest
    result: str
    differences: tuple[str, ...] = ()


def judge(test: RuleTest, found: Found) -> Outcome:
    """How the test ended."""
    wanted = test.expected
    if found.error is not None and wanted.error is None:
        said = f"it fails: {found.error.message} ({found.error.sqlstate})"
        return Outcome(test, "failed", (said + (f"; {found.error.hint}" if found.error.hint else ""),))
    differences = [*_error(wanted, found), *_columns(wanted, found), *_rows(wanted, found)]
    if found.error is None:
        differences += _treatments(wanted, found)
    return Outcome(test, "failed" if differences else "passed", tuple(differences))


def _error(wanted: TestRule, found: Found) -> list[str]:
    if wanted.error is None or (found.error is not None and found.error.sqlstate == wanted.error):
        return []
    if found.error is None:
        return [f"error {wanted.error} was expected, and it does not fail"]
    return [f"error {wanted.error} was expected, and it fails with {found.error.sqlstate}: {found.error.message}"]


def _columns(wanted: TestRule, found: Found) -> list[str]:
    if wanted.columns is None or tuple(wanted.columns) == found.columns:
        return []
    return [f"columns: expected {_listed(wanted.columns)}, found {_listed(found.columns or ())}"]


def _treatments(wanted: TestRule, found: Found) -> list[str]:
    said = []
    for name, treatment in (wanted.treatments or {}).items():
        read = [one for one in found.disclosed if _is_called(one, name)]
        others = dict.fromkeys(f"{one.relation}.{one.column} has: {one.treatment}" for one in read)
        if not read:
            known = ", ".join(dict.fromkeys(one.column for one in found.disclosed)) or "none"
            said.append(f"{name}: no column of this name is read (read: {known})")
        elif any(one.treatment != treatment for one in read):
            said.append(f"{name}: expected {treatment!r}; {'; '.join(others)}")
    return said


def _is_called(one: Disclosure, name: str) -> bool:
    """Whether `column`, `table.column` or `schema.table.column` names it."""
    full = f"{one.relation}.{one.column}"
    return full == name or full.endswith(f".{name}")


def _rows(wanted: TestRule, found: Found) -> list[str]:
    if wanted.rows is None or found.rows is None:
        return []
    said = []
    if len(wanted.rows) != len(found.rows):
        said.append(f"rows: expected {len(wanted.rows)}, found {len(found.rows)}")
    for number, (row, real) in enumerate(zip(wanted.rows, found.rows, strict=False), 1):
        if len(row) != len(real) or not all(map(_same, row, real)):
            said.append(f"row {number}: expected {_listed(row)}, found {_listed(real)}")
    for number, real in list(enumerate(found.rows, 1))[len(wanted.rows) :][:3]:
        said.append(f"row {number}: not expected: {_listed(real)}")
    return said


def _same(wanted: Any, real: str | None) -> bool:
    """Whether a value of the file is what PostgreSQL wrote."""
    if wanted is None or real is None:
        return wanted is None and real is None
    if isinstance(wanted, bool):
        return real == ("t" if wanted else "f")
    if isinstance(wanted, int | float):
        try:
            return Decimal(real) == Decimal(str(wanted))
        except InvalidOperation:
            return False
    if isinstance(wanted, list | dict):
        try:
            return bool(json.loads(real) == wanted)
        except ValueError:
            return False
    return bool(wanted == real)


def _listed(values: Sequence[Any]) -> str:
    return "[" + ", ".join("null" if value is None else str(value) for value in values) + "]"
