"""Masks of values inside of JSON documents: mask and a jsonb value in, expression of type jsonb out.

A mask holds of values of the kind that it can change: most of strings, `round` of numbers, `range` of both. JSON null
stays, and what a mask cannot change becomes it. What is not there (SQL's NULL) stays so.
"""

from __future__ import annotations

import re

from proxy.catalog.model import Column
from proxy.policy.masks import bytewise, call, check_mask, join, literal, mask_sql, op, text_constant
from proxy.policy.table import Mask

_TEXT = Column("value", 0, 25, "text", "text", "S")
_NUMBER = Column("value", 0, 1700, "numeric", "numeric", "N")
_ON_NUMBERS = frozenset({"round", "range", "redact"})
_NOT_ON_TEXT = frozenset({"round"})

JSON = frozenset({"json", "jsonb"})
NOTHING = "'null'::pg_catalog.jsonb"
TEXT_OF = "'{}'::pg_catalog.text[]"

_DATE = "^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
_TIME = "[T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.,][0-9]+)?)?(Z|[+-][0-9]{2}(:?[0-9]{2})?)?"


def check_path(mask: Mask, column: Column, path: str) -> str | None:
    """Why this mask cannot stand for what is at a path of the column; None where it can."""
    why = check_json_mask(mask)
    return f'{why}, at {path} of column "{column.name}"' if why else None


def check_rest(mask: Mask, column: Column) -> str | None:
    """Why this mask cannot stand for what no path of the column names; None where it can."""
    if mask.kind != "expression":
        return check_mask(mask, column)
    return (
        f'mask expression cannot stand for a document of which paths have attributes (column "{column.name}"); '
        "write null, redact or keys"
    )


def check_json_mask(mask: Mask) -> str | None:
    """Why this mask cannot stand for values inside of a document; None where it can."""
    if mask.kind in ("keys", "truncate"):
        return None
    return check_mask(mask, _NUMBER if mask.kind in _NOT_ON_TEXT else _TEXT)


def json_mask_sql(mask: Mask, value: str) -> str:
    """The expression for `value` (SQL text of type jsonb). Raises ValueError with what `check_json_mask` says."""
    why = check_json_mask(mask)
    if why is not None:
        raise ValueError(why)
    if mask.kind == "keys":
        return f"consentry.json_keys({value})"
    cases = []
    if mask.kind != "null":
        kind = call("jsonb_typeof", value)
        if mask.kind not in _NOT_ON_TEXT:
            cases.append(f"WHEN {op(kind, '=', literal('string'))} THEN {_of_string(mask, value)}")
        if mask.kind in _ON_NUMBERS:
            cases.append(f"WHEN {op(kind, '=', literal('number'))} THEN {_of_number(mask, value)}")
    return f"(CASE {' '.join([*cases, f'WHEN ({value} IS NOT NULL) THEN {NOTHING}'])} END)"


def json_text(value: str) -> str:
    """The value of a JSON string."""
    return op(value, "#>>", TEXT_OF)


def _of_string(mask: Mask, value: str) -> str:
    text = json_text(value)
    masked = _truncated(mask, text) if mask.kind == "truncate" else mask_sql(mask, text, _TEXT)
    return f"COALESCE({call('to_jsonb', f'({masked})::pg_catalog.text')}, {NOTHING})"


def _of_number(mask: Mask, value: str) -> str:
    if mask.kind == "redact":
        constant = str(mask.option("with", 0))
        number = constant if re.fullmatch(r"-?(0|[1-9][0-9]{0,29})(\.[0-9]{1,30})?", constant) else "0"
        return f"{literal(number)}::pg_catalog.jsonb"
    number = f"({value})::pg_catalog.numeric"
    small = op(call("abs", number), "<", "'1e1000'::pg_catalog.numeric")
    return f"(CASE WHEN {small} THEN {call('to_jsonb', mask_sql(mask, number, _NUMBER))} ELSE {NOTHING} END)"


def _truncated(mask: Mask, text: str) -> str:
    """Dates and moments as ISO 8601 writes them, cut; other texts become NULL. The zone that is written stays."""
    to, text = str(mask.option("to", "year")), bytewise(text)
    kept, filled = {"year": ("4", "-01-01"), "month": ("7", "-01")}.get(to, ("10", ""))
    date = join(call("left", text, kept), text_constant(filled))
    clock = call("substr", text, "11", "3" if to == "hour" else "1")
    midnight = text_constant(":00:00" if to == "hour" else "00:00:00")
    zone = call("regexp_replace", text, text_constant("^.{10}[T ][0-9:.,]+"), "''")
    return (
        f"CASE WHEN {op(text, '~', text_constant(f'{_DATE}$'))} THEN {date} "
        f"WHEN {op(text, '~', text_constant(f'{_DATE}{_TIME}$'))} THEN {join(date, clock, midnight, zone)} END"
    )
