"""Types that can be told from a text: of constants, parameters, and casts of them that run before anything else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from proxy.catalog.model import Column
from proxy.rewrite.verify_tree import Node, strings

INTEGERS = {"int2": 21, "int4": 23, "int8": 20}
_TEXTS = {"text": 25, "varchar": 1043}
_OTHERS = {"bool": 16, "bpchar": 1042, "date": 1082, "timestamp": 1114, "timestamptz": 1184, "uuid": 2950}
_OIDS = {**INTEGERS, **_TEXTS, **_OTHERS}
_UNTYPED = (0, 705)


class Parameters:
    """What the statement's parameters are, for comparisons with columns."""

    def __init__(self, types: Sequence[int], statement: Node) -> None:
        self._types = types
        self._uses: Counter[int] = Counter()
        self._count(statement)

    def _count(self, node: object) -> None:
        if isinstance(node, dict):
            if "ParamRef" in node:
                self._uses[node["ParamRef"].get("number", 0)] += 1
            for value in node.values():
                self._count(value)
        elif isinstance(node, list):
            for value in node:
                self._count(value)

    def given(self, number: int) -> int:
        """The type that the driver gave; 0 where it gave none."""
        return self._types[number - 1] if 0 < number <= len(self._types) else 0

    def used_once(self, number: int) -> bool:
        return self._uses[number] == 1

    def fits(self, number: int, column: Column) -> bool:
        """Whether the comparison of this parameter with the column is the column's own."""
        given = self.given(number)
        if given in _UNTYPED:
            # Used in another place too, it might have got its type there.
            return self.used_once(number)
        return given == column.type_oid or (column.base_type in INTEGERS and given in INTEGERS.values())


def constant_fits(node: Node, column: Column) -> bool:
    """Whether a constant is compared by the column's own operator."""
    constant = node.get("A_Const")
    if constant is None:
        return False
    if "ival" in constant or _is_bigint(constant.get("fval", {}).get("fval", "")):
        return column.base_type in INTEGERS
    return "sval" in constant or ("boolval" in constant and column.base_type == "bool")


def _is_bigint(number: str) -> bool:
    """Whether the number, which is too long for an integer, is one of type bigint (make_const in parse_node.c)."""
    return number.isdecimal() and int(number) < 2**63


def same_comparison(first: Column | None, second: Column | None) -> bool:
    """Whether two columns are compared by an operator that is leakproof."""
    if first is None or second is None or not (first.leakproof or second.leakproof):
        return False
    return first.type_oid == second.type_oid or any(
        {first.type_oid, second.type_oid} <= set(alike.values()) for alike in (INTEGERS, _TEXTS)
    )


def known_value(value: Node, parameters: Parameters, name: str) -> Column | None:
    """A constant, a parameter or a cast of one, as the column of a sub-query that it makes; None for anything else."""
    oid = 0
    if "A_Const" in value:
        constant = value["A_Const"]
        oid = 23 if "ival" in constant else 16 if "boolval" in constant else 25 if "sval" in constant else 0
        if _is_bigint(constant.get("fval", {}).get("fval", "")):
            oid = 20
    elif "ParamRef" in value:
        oid = parameters.given(value["ParamRef"].get("number", 0))
    elif "TypeCast" in value:
        oid = constant_cast(value["TypeCast"], parameters)
    return Column(name, 0, oid, "", "", "") if oid not in _UNTYPED else None


def constant_cast(cast: Node, parameters: Parameters) -> int:
    """The oid of the type to which a constant or a parameter is cast before the statement runs; else 0."""
    name, value = cast["typeName"], cast["arg"]
    words = strings(name.get("names", []))
    if "arrayBounds" in name or "setof" in name or words[:-1] not in ([], ["pg_catalog"]):
        return 0
    wanted = _OIDS.get(words[-1], 0)
    if "ParamRef" in value:
        number = value["ParamRef"].get("number", 0)
        given = parameters.given(number)
        return wanted if given == wanted or (given in _UNTYPED and parameters.used_once(number)) else 0
    constant = value.get("A_Const", {})
    return wanted if "sval" in constant or ("ival" in constant and wanted in INTEGERS.values()) else 0
