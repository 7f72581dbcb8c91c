"""Types that can be told from a text: of constants, parameters, and casts of them that run before anything else."""

from __future__ import annotations

from collections.abc import Sequence

from proxy.catalog.model import Column
from proxy.catalog.types import COMPARED_AS
from proxy.rewrite.verify.tree import Node, strings

INTEGERS = {"int2": 21, "int4": 23, "int8": 20}
_TEXTS = {"text": 25, "varchar": 1043}
_OTHERS = {"bool": 16, "bpchar": 1042, "date": 1082, "timestamp": 1114, "timestamptz": 1184, "uuid": 2950}
_OIDS = {**INTEGERS, **_TEXTS, **_OTHERS}
_UNTYPED = (0, 705)


class Parameters:
    """What the statement's parameters are: the types that the driver gave, and what each place makes of them."""

    def __init__(self, types: Sequence[int], parts: Sequence[Node]) -> None:
        """`parts`: of the statement, as `every_part` has them."""
        self._types = types
        self._places: dict[int, list[Node | None]] = {}  # the type names of the casts around
        cast = {
            id(part["TypeCast"]["arg"]["ParamRef"]): part["TypeCast"]["typeName"]
            for part in parts
            if "TypeCast" in part and "ParamRef" in part["TypeCast"]["arg"]
        }
        for part in parts:
            if "ParamRef" in part:
                place = cast.get(id(part["ParamRef"]))
                self._places.setdefault(part["ParamRef"].get("number", 0), []).append(place)

    def given(self, number: int) -> int:
        """The type that the driver gave; 0: none."""
        found = self._types[number - 1] if 0 < number <= len(self._types) else 0
        return 0 if found in _UNTYPED else found

    def stands_once_bare(self, number: int) -> bool:
        """Used in another place too, it might have got its type there."""
        return self._places.get(number) == [None]

    def always_cast_to(self, number: int, name: Node) -> bool:
        return all(place == name for place in self._places.get(number, [None]))

    def used_once(self, number: int) -> bool:
        return len(self._places.get(number, ())) == 1


def _is_bigint(number: str) -> bool:
    """Whether the number, which is too long for an integer, is one of type bigint (make_const in parse_node.c)."""
    return number.isdecimal() and int(number) < 2**63


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
    return Column(name, 0, oid, "", "", "", compared=COMPARED_AS.get(oid, oid)) if oid not in _UNTYPED else None


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
