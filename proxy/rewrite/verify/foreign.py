"""What of the catalog's own functions, operators and types a statement may run without saying so.

The page docs/reference/governed-form.md, "Foreign functions, operators and types", has the rules. Foreign is what the
snapshot says to be neither PostgreSQL's nor a harmless extension's. All that is not proved to be out of reach counts
as reached.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from proxy.catalog.model import Column, FunctionName, Snapshot
from proxy.errors import PgError
from proxy.rewrite.allowed import HARMLESS_EXTENSIONS
from proxy.rewrite.verify.tree import Node, parse, strings

_OIDS_OF_USERS = 16384
# Between two constants without type these are pg_catalog's between strings.
_STRING_OPERATORS = frozenset(
    {"=", "<>", "<", ">", "<=", ">=", "||", "~~", "!~~", "~~*", "!~~*", "~", "!~", "~*", "!~*", "^@"}
)
_WORD = re.compile(r"\w+")


def untyped(node: Any) -> bool:
    """Whether the expression, or a member of it, has no type yet when a function is chosen for it."""
    if not isinstance(node, dict) or len(node) != 1:
        return True
    ((kind, body),) = node.items()
    if kind == "A_Const":
        return not {"sval", "isnull"}.isdisjoint(body)
    if kind in ("NamedArgExpr", "CollateClause"):
        return untyped(body["arg"])
    members = {"List": "items", "A_ArrayExpr": "elements", "RowExpr": "args"}.get(kind)
    if members is not None:
        return any(untyped(member) for member in body.get(members, ()))
    return bool(kind == "ParamRef")


def arguments_of(call: Node) -> list[Node]:
    """What a call gives its function, sorted values of ordered-set aggregates included."""
    inside = [item["SortBy"]["node"] for item in call["agg_order"]] if call.get("agg_within_group") else []
    return [*call.get("args", ()), *inside]


def overloads(
    candidates: Sequence[FunctionName], arguments: Sequence[Node], foreign_values: bool
) -> list[FunctionName]:
    """Those that a call with these arguments may run."""
    count = len(arguments)
    fitting = [one for one in candidates if one.least <= count <= one.most]
    if foreign_values:
        return fitting
    # A single constant without type is a string before it is anything else.
    string = count == 1 and any(one.schema == "pg_catalog" and one.takes_string for one in fitting)
    if not string and any(untyped(argument) for argument in arguments):
        return fitting
    return [one for one in fitting if not one.foreign]


def operator_functions(
    snapshot: Snapshot, name: str, schema: str | None, operands: Sequence[Any], foreign_values: bool
) -> list[tuple[str, str]]:
    """The foreign functions that the operator may run between these operands."""
    found = []
    without = [untyped(operand) for operand in operands].count(True)
    for one in snapshot.foreign_operators.get(name, ()):
        if one.operands != len(operands) or (schema is not None and one.schema != schema):
            continue
        if not foreign_values and one.foreign:
            typed_foreign = one.foreign - without  # operands that would have to be foreign values
            if typed_foreign > 0 or (without == 0):
                continue
            if one.operands == 2 and one.foreign == 2 and name in _STRING_OPERATORS:
                continue
        found.append(one.function)
    return found


def compares_by_itself(snapshot: Snapshot, operators: Sequence[str], column: Column) -> bool:
    """Whether these operators on the column are PostgreSQL's own, whatever foreign ones there are."""
    for name in operators:
        for one in snapshot.foreign_operators.get(name, ()):
            if column.foreign or one.foreign < 2:
                return False
    return True


def own_call(candidates: Sequence[FunctionName]) -> bool:
    """Whether a call may be of a function of the database's own: its value may be of any type."""
    return any(
        one.schema not in ("pg_catalog", "information_schema")
        and one.extension not in HARMLESS_EXTENSIONS
        and not one.foreign
        for one in candidates
    )


def own_oid(types: Sequence[int]) -> bool:
    """Whether a parameter may be a foreign value: types that the driver gave by oid."""
    return any(oid >= _OIDS_OF_USERS for oid in types)


def bodies(parts: Sequence[Node], kinds: frozenset[str]) -> list[tuple[str, Node]]:
    """Every node of these kinds, or field of these names, with what it holds. `parts`: of `every_part`."""
    return [(kind, body) for part in parts for kind, body in part.items() if kind in kinds and type(body) is dict]


def types_meant(snapshot: Snapshot, name: Sequence[str], schemas: Sequence[str]) -> list[tuple[str, str]]:
    """The foreign types that a type's name may mean."""
    places = [name[-2]] if len(name) > 1 else schemas
    return [(place, name[-1]) for place in places if (place, name[-1]) in snapshot.foreign_types]


def types_in_text(snapshot: Snapshot, argument: Node) -> list[tuple[str, str]]:
    """The foreign types with functions behind them that the text of an argument may name; all, where it is no text."""
    behind = [key for key, functions in snapshot.foreign_types.items() if functions]
    text = _constant(argument).get("sval", {}).get("sval")
    if text is None:
        return behind
    words = {word.lower() for word in _WORD.findall(text)}
    return [key for key in behind if {word.lower() for word in _WORD.findall(key[1].removeprefix("_"))} & words]


def type_in_text(argument: Node) -> list[str] | None:
    """The type's name that a constant has, as a cast would; none in it where no cast takes it. None where the argument
    is no constant.
    """
    constant = _constant(argument)
    text = constant.get("sval", {}).get("sval")
    if text is None:
        return [] if "isnull" in constant else None
    try:
        statements = parse(f"SELECT NULL::{text}")
    except PgError:
        return []  # the server has the error
    targets = statements[0].get("SelectStmt", {}).get("targetList", ())
    cast = targets[0].get("ResTarget", {}).get("val", {}).get("TypeCast") if len(targets) == 1 else None
    return type_name(cast["typeName"]) if cast is not None and len(statements) == 1 else None


def _constant(argument: Node) -> Node:
    """The constant that an argument is, behind its casts; empty where it is none."""
    while "TypeCast" in argument:
        argument = argument["TypeCast"]["arg"]
    found: Node = argument.get("A_Const", {})
    return found


def type_name(body: Node) -> list[str]:
    return strings(body.get("names", []))
