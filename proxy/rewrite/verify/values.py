"""What the verifier knows of values that no row has a part in, and of operators that tell nothing: by the catalog.

The rule is the section "Values and leakproof comparisons" of docs/reference/governed-form.md.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from proxy.catalog.model import Column
from proxy.catalog.types import ARRAYS, CLOCK_WORDS, CLOCKS, COMPARED_AS, OIDS, SAFE_INTERVAL, WIDER
from proxy.rewrite.verify.names import Names
from proxy.rewrite.verify.tree import Node
from proxy.rewrite.verify.types import Parameters

_OTHERS = 0  # takes the type of what it is compared with
_SAFE = re.compile(SAFE_INTERVAL, re.ASCII)
_INT8_END = 2**63


class Values:
    """The values of one statement, as its names and parameters are."""

    def __init__(self, names: Names, parameters: Parameters) -> None:
        self._names = names
        self._parameters = parameters

    def type_of(self, node: Node) -> int | None:
        """OID of a value's type, 0 where it takes that of what it is compared with; None: no value, or not known."""
        for kind, body in node.items():
            if kind == "A_Const":
                return _constant(body)
            if kind == "ParamRef":
                return self._parameter(body.get("number", 0))
            if kind == "TypeCast":
                return self._cast(body)
            if kind == "SQLValueFunction":
                return CLOCK_WORDS.get(body["op"]) if "typmod" not in body or body["typmod"] == -1 else None
            if kind == "FuncCall":
                return self._clock(body)
            if kind == "A_Expr":
                return self._time_from_now(body)
        return None

    def array_of(self, node: Node) -> int | None:
        """The same for the elements of an array."""
        if "A_ArrayExpr" in node:
            items: list[Node] = node["A_ArrayExpr"].get("elements", [])
            types = [self.type_of(item) for item in one_of_each(items)]
            if not types or None in types:
                return None
            if all(found in (OIDS["int4"], OIDS["int8"]) for found in types):
                return OIDS["int8"] if OIDS["int8"] in types else OIDS["int4"]
            if all(found == _OTHERS for found in types):
                return OIDS["text"] if all("A_Const" in item for item in items) else None
            return types[0] if types[0] != _OTHERS and len(set(types)) == 1 else None
        found = self.type_of(node)
        if found in (None, _OTHERS):
            return found
        return next((element for element, array in ARRAYS.items() if array == found), None)

    def _parameter(self, number: int) -> int | None:
        given = self._parameters.given(number)
        if given == 0:
            return _OTHERS if self._parameters.stands_once_bare(number) else None
        return given if given > 0 else None

    def _cast(self, body: Node) -> int | None:
        wanted = self._named(body["typeName"])
        if wanted is None:
            return None
        argument = body["arg"]
        if "A_Const" in argument:
            found = _constant(argument["A_Const"])
        elif "ParamRef" in argument:
            number = argument["ParamRef"].get("number", 0)
            found = self._parameters.given(number)
            if found == _OTHERS and not self._parameters.always_cast_to(number, body["typeName"]):
                return None
        else:
            return None
        return wanted if found in (_OTHERS, wanted) or (found, wanted) in WIDER else None

    def is_text(self, name: Node) -> bool:
        """Whether a cast's type is text itself."""
        return self._named(name) == OIDS["text"]

    def _named(self, name: Node) -> int | None:
        """A built-in type without a length, as the names of the session find it."""
        if name.keys() - {"names", "typemod", "arrayBounds"} or name.get("typemod", -1) != -1:
            return None
        words = [part["String"]["sval"] for part in name["names"]]
        if len(words) == 1 and not self._names.finds_built_in_first:
            return None
        if len(words) > 2 or (len(words) == 2 and words[0] != "pg_catalog"):
            return None
        oid, bounds = OIDS.get(words[-1]), name.get("arrayBounds", [])
        if oid is None or not bounds:
            return oid
        return ARRAYS.get(oid) if len(bounds) == 1 else None

    def _clock(self, body: Node) -> int | None:
        if body.keys() - {"funcname", "funcformat"}:
            return None
        words = [part["String"]["sval"] for part in body["funcname"]]
        if words[0] == "pg_catalog" and len(words) == 2:
            return CLOCKS.get(words[1])
        return CLOCKS.get(words[0]) if len(words) == 1 and self._names.is_built_in(words[0]) else None

    def _time_from_now(self, body: Node) -> int | None:
        """The clock, and a constant length of time before or after."""
        if body["kind"] != "AEXPR_OP" or len(body["name"]) != 1 or "lexpr" not in body:
            return None
        operator = body["name"][0]["String"]["sval"]
        clock, length = body["lexpr"], body["rexpr"].get("TypeCast")
        if operator not in ("+", "-") or self._names.is_foreign_operator(operator) or length is None:
            return None
        if not ("FuncCall" in clock or "SQLValueFunction" in clock or "A_Expr" in clock):
            return None
        found = self.type_of(clock)
        if found not in (OIDS["timestamp"], OIDS["timestamptz"]) or self._named(length["typeName"]) != OIDS["interval"]:
            return None
        text = length["arg"].get("A_Const", {}).get("sval", {}).get("sval", "")
        return found if _SAFE.fullmatch(text) else None

    # -- operators ----------------------------------------------------------------------------------------------------

    def fits(self, column: Column, operators: Sequence[str], found: int | None) -> bool:
        """Whether `column OPERATOR value` is decided by leakproof operators of the column's own family."""
        if found is None or not self._names.compares_by_itself(operators, column):
            return False
        if found in (_OTHERS, column.type_oid):
            return column.leakproof
        other = COMPARED_AS.get(found, found)
        if _compared(column) == other:
            return column.leakproof
        if _compared(column) == OIDS["float8"] and other in (OIDS["int2"], OIDS["int4"], OIDS["int8"], 1700):
            return column.leakproof  # the number becomes a double precision, once
        return self._names.is_leakproof(_compared(column), other)

    def comparable(self, first: Column | None, operators: Sequence[str], second: Column | None) -> bool:
        """Whether two columns are."""
        if first is None or second is None:
            return False
        if not all(self._names.compares_by_itself(operators, column) for column in (first, second)):
            return False
        if _compared(first) == _compared(second):
            return first.leakproof or second.leakproof  # it is the type's; values in sub-queries have not looked it up
        return self._names.is_leakproof(_compared(first), _compared(second))


def one_of_each(items: Sequence[Node]) -> list[Node]:
    """The items with one constant in the place of all that have its type: a list may have a hundred thousand."""
    found: dict[object, Node] = {}
    for item in items:
        constant = item.get("A_Const")
        # the type of a long number hangs on its digits
        found.setdefault(id(item) if constant is None or "fval" in constant else tuple(constant), item)
    return list(found.values())


def _compared(column: Column) -> int:
    return column.compared or column.type_oid


def _constant(body: Node) -> int | None:
    if "ival" in body:
        return OIDS["int4"]
    if "fval" in body:  # make_const in parse_node.c
        digits = body["fval"]["fval"].removeprefix("-")
        return OIDS["int8"] if digits.isdecimal() and int(digits) < _INT8_END else 1700
    if "boolval" in body:
        return OIDS["bool"]
    return _OTHERS if "sval" in body else None
