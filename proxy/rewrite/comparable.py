"""Comparisons that can run on hidden rows without telling of them: which operators, on which columns and values.

A *value* here is an expression that no row has a part in: a constant, a parameter, a cast of one, the clock. Which
operators are leakproof the catalog says (`Snapshot.leakproof`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from proxy.catalog.model import Column, SearchPath, Snapshot
from proxy.catalog.types import ARRAYS, CLOCK_TEXTS, CLOCK_WORDS, CLOCKS, COMPARED_AS, OIDS, SAFE_INTERVAL, WIDER
from proxy.policy.names import quote_identifier
from proxy.rewrite.lex import Node, quote_literal

COMPARISONS = ("=", "<>", "<", ">", "<=", ">=")
FLIPPED = {"=": "=", "<>": "<>", "<": ">", ">": "<", "<=": ">=", ">=": "<="}
UNKNOWN = 0  # the type of what takes the other side's: a string, a parameter that nobody typed
_UNTYPED = (0, 705)
_ELEMENTS = {array: element for element, array in ARRAYS.items()}
_INTEGERS = (20, 21, 23)
_FLOAT8, _NUMERIC, _INTERVAL = 701, 1700, 1186


@dataclass(frozen=True, slots=True)
class Values:
    """The values of one statement. `casts`: for each parameter, to which type each of its uses is cast (None: to none).

    `opaque`: parameters have types that are not known here (PREPARE with a list of types).
    """

    snapshot: Snapshot
    path: SearchPath
    parameter_types: tuple[int, ...]
    casts: Mapping[int, tuple[int | None, ...]]
    opaque: bool

    @classmethod
    def of(
        cls,
        nodes: list[tuple[str, Node]],
        snapshot: Snapshot,
        path: SearchPath,
        parameter_types: tuple[int, ...],
        opaque: bool,
    ) -> Values:
        """`nodes`: every node of the statement, with its kind."""
        bare = cls(snapshot, path, parameter_types, {}, opaque)
        cast = {id(node["arg"]["ParamRef"]): bare.named(node) for kind, node in nodes if _casts_parameter(kind, node)}
        casts: dict[int, tuple[int | None, ...]] = {}
        for kind, node in nodes:
            if kind == "ParamRef":
                number = node.get("number", 0)
                casts[number] = (*casts.get(number, ()), cast.get(id(node)))
        return cls(snapshot, path, parameter_types, casts, opaque)

    @property
    def times_used(self) -> Mapping[int, int]:
        """How often each parameter stands in the statement; typed by PREPARE is as good as once more."""
        return Counter({number: len(casts) + self.opaque for number, casts in self.casts.items()})

    # -- types --------------------------------------------------------------------------------------------------------

    def type_of(self, node: Node) -> int | None:
        """The type of a value; None where the expression is none, or its type is not known."""
        ((kind, fields),) = node.items()
        match kind:
            case "A_Const":
                return _constant_type(fields)
            case "ParamRef":
                return self._parameter(fields.get("number", 0))
            case "TypeCast":
                named = self.named(fields)
                return named if named is not None and self._casts(fields["arg"], named) else None
            case "SQLValueFunction":
                return CLOCK_WORDS.get(fields["op"])
            case "FuncCall":
                return self._clock(fields)
            case "A_Expr":
                return self._moved_clock(fields)
        return None

    def element_type(self, node: Node) -> int | None:
        """The type of the elements of an array that is a value."""
        ((kind, fields),) = node.items()
        if kind == "A_ArrayExpr":
            types = {self.type_of(item) for item in one_of_each(fields.get("elements", ()))}
            if types and types <= {20, 23}:
                return max(types, key=lambda oid: oid == 20)
            if types == {UNKNOWN} and all("A_Const" in item for item in fields["elements"]):
                return OIDS["text"]
            return types.pop() if len(types) == 1 and UNKNOWN not in types else None
        found = self.type_of(node)
        return UNKNOWN if found == UNKNOWN else _ELEMENTS.get(found) if found is not None else None

    def named(self, cast: Node) -> int | None:
        """The built-in type of a cast, arrays too, without a length."""
        name = cast["typeName"]
        if name.get("typmods") or name.get("setof") or name.get("pct_type") or name.get("typemod", -1) != -1:
            return None
        words = [part["String"]["sval"] for part in name["names"]]
        first = self.path.schemas[0] if "pg_catalog" in self.path.schemas else "pg_catalog"
        if words[:-1] != ["pg_catalog"] and (len(words) > 1 or first != "pg_catalog"):
            return None
        oid = OIDS.get(words[-1])
        bounds = name.get("arrayBounds", ())
        if oid is None or len(bounds) > 1:
            return None
        return ARRAYS.get(oid) if bounds else oid

    def _parameter(self, number: int) -> int | None:
        given = self._given(number)
        if given in _UNTYPED:
            # It takes the type of its first use: with a second one, which that is would change.
            return UNKNOWN if self.casts.get(number) == (None,) and not self.opaque else None
        return None if self.opaque else given

    def _given(self, number: int) -> int:
        return self.parameter_types[number - 1] if 0 < number <= len(self.parameter_types) else 0

    def _casts(self, argument: Node, named: int) -> bool:
        """Whether a cast to a built-in type is done once and cannot fail, or has been done by the parser."""
        ((kind, fields),) = argument.items()
        if kind == "A_Const":
            given = _constant_type(fields)
            return given in (UNKNOWN, named) or (given, named) in WIDER
        if kind != "ParamRef" or self.opaque:
            return False
        number = fields.get("number", 0)
        if self._given(number) in _UNTYPED:
            return set(self.casts.get(number, ())) == {named}
        return self._given(number) == named or (self._given(number), named) in WIDER

    def _clock(self, call: Node) -> int | None:
        words = [part["String"]["sval"] for part in call["funcname"]]
        if call.keys() - {"funcname", "funcformat", "location"} or words[-1] not in CLOCKS:
            return None
        alone = all(f.schema == "pg_catalog" for f in self.snapshot.functions.get(words[-1], ()))
        return CLOCKS[words[-1]] if words[:-1] == ["pg_catalog"] or (len(words) == 1 and alone) else None

    def _moved_clock(self, fields: Node) -> int | None:
        """`now() - interval '7 days'`."""
        operator = [part["String"]["sval"] for part in fields.get("name", ())]
        if fields["kind"] != "AEXPR_OP" or operator not in (["+"], ["-"]) or "lexpr" not in fields:
            return None
        left, right = fields["lexpr"], fields["rexpr"].get("TypeCast")
        if (
            right is None
            or any(o.foreign != 2 for o in self.snapshot.foreign_operators.get(operator[0], ()))
            or "A_Const" in left
            or "ParamRef" in left
        ):
            return None
        found = self.type_of(left)
        length = right["arg"].get("A_Const", {}).get("sval", {}).get("sval", "")
        safe = re.fullmatch(SAFE_INTERVAL, length, re.ASCII) is not None
        return (
            found
            if found in (1114, 1184) and "TypeCast" not in left and self.named(right) == _INTERVAL and safe
            else None
        )

    # -- comparisons --------------------------------------------------------------------------------------------------

    def fits(self, column: Column, operators: tuple[str, ...], found: int | None) -> bool:
        """Whether a column is compared with a value of a type by leakproof operators of the column's own."""
        if found is None or any(self.may_be_foreign(operator, column) for operator in operators):
            return False
        if found in (UNKNOWN, column.type_oid):
            return column.leakproof
        own, other = column.compared or column.type_oid, COMPARED_AS.get(found, found)
        if own == other or (own == _FLOAT8 and other in (*_INTEGERS, _NUMERIC)):
            return column.leakproof
        return (own, other) in self.snapshot.leakproof

    def may_be_foreign(self, operator: str, column: Column | None) -> bool:
        """Whether a comparison with a column of a built-in type may be another than PostgreSQL's own: its own is exact
        where the other side is of the same type, of one that the catalog pairs with it, or a constant without one, so
        two foreign sides never fit.
        """
        found = self.snapshot.foreign_operators.get(operator, ())
        return bool(found) and (column is None or column.foreign or any(o.foreign != 2 for o in found))

    def comparable(self, first: Column, operators: tuple[str, ...], second: Column) -> bool:
        """Whether two columns are compared by leakproof operators."""
        if any(self.may_be_foreign(operator, column) for operator in operators for column in (first, second)):
            return False
        own, other = first.compared or first.type_oid, second.compared or second.type_oid
        if own == other:
            return first.leakproof and second.leakproof
        return (own, other) in self.snapshot.leakproof

    # -- text ---------------------------------------------------------------------------------------------------------

    def text(self, node: Node) -> str | None:
        """A value as text again, with the same tree; None for what is none."""
        ((kind, fields),) = node.items()
        match kind:
            case "ParamRef":
                return f"${fields.get('number', 0)}"
            case "A_Const":
                return _constant_text(fields)
            case "TypeCast":
                inner = self.text(fields["arg"])
                words = ".".join(quote_identifier(part["String"]["sval"]) for part in fields["typeName"]["names"])
                return f"{inner}::{words}{'[]' if fields['typeName'].get('arrayBounds') else ''}" if inner else None
            case "SQLValueFunction":
                return CLOCK_TEXTS.get(fields["op"])
            case "FuncCall":
                return ".".join(quote_identifier(part["String"]["sval"]) for part in fields["funcname"]) + "()"
            case "A_Expr":
                left, right = self.text(fields["lexpr"]), self.text(fields["rexpr"])
                return f"({left} {fields['name'][0]['String']['sval']} {right})" if left and right else None
            case "A_ArrayExpr":
                items = [self.text(item) for item in fields.get("elements", ())]
                return f"ARRAY[{', '.join(map(str, items))}]" if items and None not in items else None
        return None


def one_of_each(items: Iterable[Node]) -> Iterator[Node]:
    """The items, of constants that are of one kind only the first: a list may have a hundred thousand of them."""
    kinds: set[tuple[str, ...]] = set()
    for item in items:
        if "A_Const" in item and "fval" not in item["A_Const"]:  # a number's type hangs on its length
            kind = tuple(item["A_Const"])
            if kind in kinds:
                continue
            kinds.add(kind)
        yield item


def _casts_parameter(kind: str, node: Node) -> bool:
    return kind == "TypeCast" and "ParamRef" in node.get("arg", {})


def _constant_type(constant: Node) -> int | None:
    if "sval" in constant:
        return UNKNOWN
    if "boolval" in constant:
        return OIDS["bool"]
    if "ival" in constant:
        return OIDS["int4"]
    if "fval" in constant:
        return OIDS["int8"] if _integer(constant) is not None else _NUMERIC
    return None


def _integer(constant: Node) -> int | None:
    if "ival" in constant:
        return int(constant["ival"].get("ival", 0))
    text = constant["fval"]["fval"]
    if text.lstrip("-").isdigit() and -(2**63) <= int(text) < 2**63:
        return int(text)
    return None


def _constant_text(constant: Node) -> str | None:
    if "sval" in constant:
        return quote_literal(constant["sval"].get("sval", ""))
    if "boolval" in constant:
        return "true" if constant["boolval"].get("boolval") else "false"
    if "ival" in constant:
        return str(constant["ival"].get("ival", 0))
    return str(constant["fval"]["fval"]) if "fval" in constant else None
