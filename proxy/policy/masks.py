"""Masks as SQL expressions: mask and column in, expression text out.

Each expression keeps NULL, has the column's base type (or one that an explicit cast turns into it), fails for no value,
and reads the same under any search_path and settings of the session: functions, operators and types are qualified.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from ipaddress import ip_network

from proxy.catalog.model import Column
from proxy.policy.expressions import VALUE
from proxy.policy.table import Mask

NEEDS_SETUP = frozenset({"hash", "pseudonym", "keys"})  # these call functions that `consentry consent setup` makes

TEXT = frozenset({"text", "varchar", "bpchar", "citext"})
INTEGERS = frozenset({"int2", "int4", "int8"})
FLOATS = frozenset({"float4", "float8"})
NUMBERS = INTEGERS | FLOATS | {"numeric"}
DATES = frozenset({"date", "timestamp", "timestamptz"})

# What `redact` gives where no constant is written.
_EMPTY: dict[str, str] = {
    **dict.fromkeys(TEXT, ""),
    **dict.fromkeys(NUMBERS | {"money"}, "0"),
    "bool": "false",
    **dict.fromkeys(DATES, "1970-01-01 00:00:00+00"),
    "time": "00:00:00",
    "timetz": "00:00:00+00",
    "interval": "0",
    "uuid": str(uuid.UUID(int=0)),
    **dict.fromkeys(("json", "jsonb"), "{}"),
    "bytea": "",
    "inet": "0.0.0.0",  # noqa: S104
    "cidr": "0.0.0.0/32",
    "macaddr": "00:00:00:00:00:00",
    "macaddr8": "00:00:00:00:00:00:00:00",
    "tsvector": "",
}

# The types that each kind takes. `null` and `expression` take any.
ACCEPTS: dict[str, frozenset[str]] = {
    "redact": frozenset(_EMPTY),
    "partial": TEXT,
    "email": TEXT,
    "hash": TEXT,
    "pseudonym": TEXT | INTEGERS | {"uuid"},
    "truncate": DATES,
    "round": NUMBERS,
    "range": NUMBERS | TEXT,
    "first": TEXT,
    "ip": TEXT | {"inet", "cidr"},
    "keys": frozenset({"json", "jsonb"}),
}

_LARGEST = {"int2": 2**15 - 1, "int4": 2**31 - 1, "int8": 2**63 - 1}
_SPELLED = {
    "varchar": "character varying", "bpchar": "character", "int2": "smallint", "int4": "integer", "int8": "bigint",
    "float4": "real", "float8": "double precision", "bool": "boolean", "timestamp": "timestamp without time zone",
    "timestamptz": "timestamp with time zone", "time": "time without time zone", "timetz": "time with time zone",
    "varbit": "bit varying",
}  # fmt: skip


def mask_sql(mask: Mask, value: str, column: Column) -> str:
    """The expression for `value` (SQL text of the column's type). Raises ValueError with what `check_mask` says."""
    why = check_mask(mask, column)
    if why is not None:
        raise ValueError(why)
    return _MAKERS[mask.kind](mask, value, column)


def check_mask(mask: Mask, column: Column) -> str | None:
    """Why this mask cannot stand for this column, and what would be right; None where it can."""
    if mask.kind in ("null", "expression"):
        return None
    accepts = ACCEPTS.get(mask.kind)
    if accepts is None:
        return f"there is no mask of kind {mask.kind}"
    if column.base_type not in accepts and not (mask.kind == "redact" and column.type_category == "A"):
        fits = ", ".join(sorted(kind for kind, types in ACCEPTS.items() if column.base_type in types))
        return (
            f'mask {mask.kind} cannot give a value of type {column.type_name} (column "{column.name}"); '
            f"for this type: null, {fits + ', ' if fits else ''}expression"
        )
    if mask.kind == "redact":
        return _check_constant(mask, column)
    if mask.kind == "truncate" and mask.option("to", "") == "hour" and column.base_type == "date":
        return f'mask truncate: a date has no hours (column "{column.name}"); write to: year, month or day'
    length = _length(column)
    if mask.kind == "hash" and length is not None and length < 8:
        return f'mask hash: {column.type_name} is too short to keep values apart (column "{column.name}"); use redact'
    if mask.kind == "pseudonym" and length is not None and len(str(mask.option("prefix", ""))) + 12 > length:
        return f'mask pseudonym: prefix and 12 characters do not fit into {column.type_name} (column "{column.name}")'
    if mask.kind in ("round", "range") and column.base_type == "numeric" and is_domain(column):
        return f'mask {mask.kind}: column "{column.name}" has a domain over numeric: use null or an expression'
    return None


def is_domain(column: Column) -> bool:
    """Whether the column's type is a domain: its constraints hold for the mask's values too."""
    spelled = column.type_name.split("(")[0].strip()
    base = column.base_type
    if base.startswith("_") or column.type_category in ("E", "C"):
        return False
    shown = re.sub(r"\(\d+(,-?\d+)?\)", "", column.type_name).strip()
    name = shown.rsplit(".", 1)[-1].strip('"')
    return name not in (base, _SPELLED.get(base, base)) and spelled != base


# -- pieces, for masks inside of documents too ------------------------------------------------------------------------


def literal(text: str) -> str:
    """A string constant that means the same whatever standard_conforming_strings says."""
    if "\\" in text:
        return "E'" + text.replace("\\", "\\\\").replace("'", "''") + "'"
    return "'" + text.replace("'", "''") + "'"


def text_constant(text: str) -> str:
    return f"{literal(text)}::pg_catalog.text"


def call(name: str, *arguments: str) -> str:
    return f"pg_catalog.{name}({', '.join(arguments)})"


def op(left: str, operator: str, right: str) -> str:
    """An operator of pg_catalog's."""
    return f"({left} OPERATOR(pg_catalog.{operator}) {right})"


def join(*parts: str) -> str:
    joined = parts[0]
    for part in parts[1:]:
        joined = op(joined, "||", part)
    return joined


def _as_text(value: str) -> str:
    return f"({value})::pg_catalog.text"


def bytewise(text: str) -> str:
    """For regular expressions and searches: the column's own collation may be one that does not allow them."""
    return f'({text} COLLATE pg_catalog."C")'


def _usual(text: str) -> str:
    """Takes the collation of `_bytewise` from a result again."""
    return f'({text} COLLATE pg_catalog."default")'


def _keep_null(value: str, otherwise: str) -> str:
    return f"(CASE WHEN ({value}) IS NULL THEN NULL ELSE {otherwise} END)"


def _length(column: Column) -> int | None:
    match = re.search(r"\((\d+)\)", column.type_name)
    return int(match[1]) if match and column.base_type in ("varchar", "bpchar") else None


def _number(mask: Mask, name: str, default: int = 0) -> int:
    return int(mask.option(name, default))


# -- constants ------------------------------------------------------------------------------------------------------


def _null(_mask: Mask, _value: str, _column: Column) -> str:
    return "NULL"


def _redacted(mask: Mask, column: Column) -> str:
    """The constant, as its type's value."""
    if column.type_category == "A":
        return f"'{{}}'::{column.type_name}"
    written = mask.option("with", "") if mask.kind == "redact" else ""
    text = str(written) if _has(mask, "with") else _EMPTY[column.base_type]
    if column.base_type in TEXT:
        return text_constant(text)
    return f"{literal(text)}::pg_catalog.{column.base_type}"


def _has(mask: Mask, name: str) -> bool:
    return mask.kind == "redact" and any(key == name for key, _ in mask.options)


def _redact(mask: Mask, value: str, column: Column) -> str:
    return _keep_null(value, _redacted(mask, column))


def _check_constant(mask: Mask, column: Column) -> str | None:
    if not _has(mask, "with"):
        return None
    text, base = str(mask.option("with", "")), column.base_type
    reads = _CONSTANTS.get(base)
    if "\0" in text or (base not in TEXT and reads is None):
        return f'mask redact: `with` cannot be given for type {column.type_name} (column "{column.name}")'
    try:
        if reads is not None:
            reads(text)
            _fits(text, column)
    except (ValueError, InvalidOperation):
        return f'mask redact: "{text}" is no value of type {column.type_name} (column "{column.name}")'
    return None


def _fits(text: str, column: Column) -> None:
    """Raises ValueError where the number is too large for the column."""
    if column.base_type in _LARGEST and abs(int(text)) > _LARGEST[column.base_type]:
        raise ValueError(text)
    if column.base_type == "numeric":
        largest = _largest_numeric(column)
        if largest is not None and abs(Decimal(text)) > largest:
            raise ValueError(text)


def _decimal(text: str) -> Decimal:
    number = Decimal(text)
    if not number.is_finite() or not re.fullmatch(r"-?[0-9]{1,30}(\.[0-9]{1,30})?", text):
        raise ValueError(text)
    return number


def _boolean(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError(text)
    return text == "true"


def _integer(text: str) -> int:
    if not re.fullmatch(r"-?[0-9]{1,19}", text):
        raise ValueError(text)
    return int(text)


_CONSTANTS: dict[str, Callable[[str], object]] = {
    **dict.fromkeys(INTEGERS, _integer),
    **dict.fromkeys(FLOATS | {"numeric"}, _decimal),
    "bool": _boolean,
    "date": date.fromisoformat,
    "timestamp": datetime.fromisoformat,
    "timestamptz": datetime.fromisoformat,
    "uuid": uuid.UUID,
    "inet": ip_network,
    "cidr": ip_network,
}


# -- text -----------------------------------------------------------------------------------------------------------


def _partial(mask: Mask, value: str, _column: Column) -> str:
    first, last = _number(mask, "keep_first"), _number(mask, "keep_last")
    sign, text = text_constant(str(mask.option("with", "*"))), _as_text(value)
    length = call("char_length", text)
    hidden = call("repeat", sign, op(length, "-", str(first + last)))
    kept = join(call("left", text, str(first)), hidden, call("right", text, str(last)))
    # A value that is no longer than what may be kept would be shown whole: all of it is hidden.
    short = op(length, "<=", str(first + last))
    return f"(CASE WHEN {short} THEN {call('repeat', sign, length)} ELSE {kept} END)"


_EMAIL = "^[^@[:space:]]+@[^@[:space:]]+[.][^@.[:space:]]+$"


def _email(_mask: Mask, value: str, column: Column) -> str:
    text = bytewise(_as_text(value))
    domain = call("split_part", text, "'@'", "2")
    last = call("reverse", call("split_part", call("reverse", domain), "'.'", "1"))
    masked = join(
        call("left", text, "1"), text_constant("***@"), call("left", domain, "1"), text_constant("***."), last
    )  # fmt: skip
    looks_right = op(text, "~", text_constant(_EMAIL))
    return _usual(_keep_null(value, f"(CASE WHEN {looks_right} THEN {masked} ELSE {_redacted(_mask, column)} END)"))


def _first(mask: Mask, value: str, _column: Column) -> str:
    return call("left", _as_text(value), str(_number(mask, "characters")))


# -- keyed ----------------------------------------------------------------------------------------------------------


def _keyed_hex(mask: Mask, value: str, column: Column) -> str:
    text = _as_text(value)
    if column.base_type == "citext":  # equal values stay equal, and citext calls A and a equal
        text = call("lower", text)
    key = text_constant(str(mask.option("key", "default")))
    return call("encode", f"consentry.keyed_hash({key}, {text})", "'hex'")


def _hash(mask: Mask, value: str, column: Column) -> str:
    hexadecimal = _keyed_hex(mask, value, column)
    return _keep_null(value, call("left", hexadecimal, str(_number(mask, "length", 64))))


def _pseudonym(mask: Mask, value: str, column: Column) -> str:
    digits, base = _keyed_hex(mask, value, column), column.base_type
    if base in TEXT:
        shaped = join(text_constant(str(mask.option("prefix", ""))), call("left", digits, "12"))
    elif base == "uuid":  # RFC 9562 version 8, variant 10
        parts = [call("substr", digits, at, n) for at, n in (("1", "12"), ("13", "3"), ("16", "15"))]
        shaped = f"{join(parts[0], text_constant('8'), parts[1], text_constant('a'), parts[2])}::pg_catalog.uuid"
    else:  # positive; bigint below 2^53, which JavaScript still holds exactly
        bits = f"{join(text_constant('x'), call('left', digits, '13'))}::pg_catalog.bit(52)::pg_catalog.int8"
        shaped = f"{op(bits, '&', str(_LARGEST[base]))}::pg_catalog.{base}"
        if base == "int8":
            shaped = bits
    return _keep_null(value, f"({shaped})")


# -- dates and numbers ----------------------------------------------------------------------------------------------

# Further out, date_trunc or the cast to timestamp could leave the range of the type.
_EARLIEST, _LATEST = "4712-01-01 00:00:00+00 BC", "294275-01-01 00:00:00+00"


def _truncate(mask: Mask, value: str, column: Column) -> str:
    unit, base = text_constant(str(mask.option("to", "year"))), column.base_type
    raw, type_ = f"({value})", f"pg_catalog.{base}"
    early, late = f"{literal(_EARLIEST)}::{type_}", f"{literal(_LATEST)}::{type_}"
    if base == "timestamptz":
        # In UTC: by setting odd time zones an app could find out where in the day the moment is.
        cut = call("date_trunc", unit, raw, "'UTC'")
    else:
        cut = f"{call('date_trunc', unit, f'{raw}::pg_catalog.timestamp')}::{type_}"
    return (
        f"(CASE WHEN {op(raw, '<', early)} THEN '-infinity'::{type_} "
        f"WHEN {op(raw, '>', late)} THEN 'infinity'::{type_} ELSE {cut} END)"
    )


def _round(mask: Mask, value: str, column: Column) -> str:
    to, half = _exact(_number(mask, "to", 1)), _exact(Decimal(_number(mask, "to", 1)) / 2)

    def rounded(number: str) -> str:
        size = op(call("abs", number), "+", half)
        return op(call("sign", number), "*", op(size, "-", call("mod", size, to)))

    return _numeric(value, column, rounded)


def _range(mask: Mask, value: str, column: Column) -> str:
    step = _number(mask, "step", 1)

    def lower(number: str) -> str:
        size = _exact(step)
        rest = call("mod", op(call("mod", number, size), "+", size), size)
        return op(number, "-", rest)

    if column.base_type not in TEXT:
        return _numeric(value, column, lower)
    text = bytewise(_as_text(value))
    number = call("trunc", lower(f"{text}::pg_catalog.numeric"), "0")
    upper = op(number, "+", _exact(step - 1))
    shown = join(_as_text(number), text_constant("-"), _as_text(upper))
    plain = op(text, "~", text_constant("^[0-9]{1,30}([.][0-9]{1,30})?$"))
    return _keep_null(value, f"(CASE WHEN {plain} THEN {shown} ELSE {text_constant('')} END)")


def _numeric(value: str, column: Column, change: Callable[[str], str]) -> str:
    """`change` applied to a number, as numeric (exact), and put back into the range of the column's type."""
    base, type_ = column.base_type, f"pg_catalog.{column.base_type}"
    number = f"({value})::pg_catalog.numeric"
    if base in INTEGERS:
        largest = _LARGEST[base]
        changed = f"LEAST(GREATEST({change(number)}, {_exact(-largest - 1)}), {_exact(largest)})"
        return _keep_null(value, f"({changed})::{type_}")  # LEAST and GREATEST pass over NULL
    limit = {"float4": "1e37", "float8": "1e300", "numeric": "1e1000"}[base]
    changed = call("trunc", change(number), "0")
    largest_numeric = _largest_numeric(column) if base == "numeric" else None
    if largest_numeric is not None:
        changed = f"LEAST(GREATEST({changed}, {_exact(-largest_numeric)}), {_exact(largest_numeric)})"
    inside = op(call("abs", f"({value})"), "<", f"'{limit}'::{type_}")
    # NaN, infinities and what is larger than anything that is measured
    return _keep_null(value, f"(CASE WHEN {inside} THEN ({changed})::{type_} ELSE 'NaN'::{type_} END)")


def _exact(number: int | Decimal) -> str:
    return f"'{number:f}'::pg_catalog.numeric" if isinstance(number, Decimal) else f"'{number}'::pg_catalog.numeric"


def _largest_numeric(column: Column) -> Decimal | None:
    match = re.search(r"\((\d+),\s*(-?\d+)\)", column.type_name)
    if match is None:
        return None
    precision, scale = int(match[1]), int(match[2])
    return Decimal((0, (9,) * precision, -scale))


# -- addresses, documents, the DBA's own ----------------------------------------------------------------------------

_OCTET = "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_IPV4 = f"^{_OCTET}([.]{_OCTET}){{3}}(/(3[0-2]|[12]?[0-9]))?$"
_GROUP = "[0-9a-fA-F]{1,4}"
_IPV6 = (
    f"^(({_GROUP}:){{7}}{_GROUP}|({_GROUP}:){{1,7}}:"
    + "".join(f"|({_GROUP}:){{1,{7 - n}}}(:{_GROUP}){{1,{n}}}" for n in range(1, 7))
    + f"|:((:{_GROUP}){{1,7}}|:))(/(12[0-8]|1[01][0-9]|[1-9]?[0-9]))?$"
)


def _ip(mask: Mask, value: str, column: Column) -> str:
    v4, v6 = _number(mask, "v4", 24), _number(mask, "v6", 48)

    def network(address: str) -> str:
        length = f"(CASE WHEN {op(call('family', address), '=', '4')} THEN {v4} ELSE {v6} END)"
        shorter = f"LEAST({call('masklen', address)}, {length})"
        return call("network", call("set_masklen", address, shorter))

    if column.base_type not in TEXT:
        return f"{network(f'({value})::pg_catalog.inet')}::pg_catalog.{column.base_type}"
    text = bytewise(_as_text(value))
    address = f"({op(text, '~', text_constant(_IPV4))} OR {op(text, '~', text_constant(_IPV6))})"
    shown = _as_text(network(f"{text}::pg_catalog.inet"))
    return _keep_null(value, f"(CASE WHEN {address} THEN {shown} ELSE {text_constant('')} END)")


def _keys(_mask: Mask, value: str, column: Column) -> str:
    if column.base_type == "jsonb":
        return f"consentry.json_keys({value})"
    # json keeps texts that jsonb refuses: numbers without bound, and escapes of what is no character.
    text = bytewise(_as_text(value))
    escapes = text_constant(r"\\(u[0-9a-fA-F]{4}|.)")
    plain = call("regexp_replace", text, escapes, "'?'", "'g'")
    too_large = op(text, "~", text_constant("[0-9]{250}|[0-9][eE][+-]?[0-9]{4}"))
    emptied = f"consentry.json_keys({plain}::pg_catalog.jsonb)::pg_catalog.json"
    return _keep_null(value, f"(CASE WHEN {too_large} THEN '{{}}'::pg_catalog.json ELSE {emptied} END)")


def _expression(mask: Mask, value: str, _column: Column) -> str:
    return f"({str(mask.option('sql', VALUE)).replace(VALUE, f'({value})')})"


_MAKERS: dict[str, Callable[[Mask, str, Column], str]] = {
    "null": _null,
    "redact": _redact,
    "partial": _partial,
    "email": _email,
    "hash": _hash,
    "pseudonym": _pseudonym,
    "truncate": _truncate,
    "round": _round,
    "range": _range,
    "first": _first,
    "ip": _ip,
    "keys": _keys,
    "expression": _expression,
}
