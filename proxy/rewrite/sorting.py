"""What PostgreSQL may compute of a level's rows before the level's conditions have chosen them.

A parallel plan sorts a table's rows before it joins them, if that order is of use later: for ORDER BY, GROUP BY,
DISTINCT, windows, and aggregates that want their rows sorted. Consent and restriction are asked by joins.
"""

from __future__ import annotations

from collections.abc import Iterator

from proxy.rewrite.lex import Node
from proxy.rewrite.scope import level_nodes

_WITHIN = ("targetList", "groupClause", "sortClause", "windowClause", "havingClause")
_ORDERS = ("partitionClause", "orderClause", "agg_order")


def early_keys(select: Node) -> Iterator[Node]:
    """Each expression by which rows may be sorted early; outputs (ResTarget) where a key may mean one."""
    outputs = select.get("targetList", [])
    for key in _keys(select):
        yield key
        for number, output in enumerate(outputs, 1):
            if _may_mean(key, output["ResTarget"], number):
                yield output
    if {} in select.get("distinctClause", ()):
        yield from outputs
    yield from _orders([select.get(part) for part in _WITHIN])


def _keys(select: Node) -> Iterator[Node]:
    yield from select.get("sortClause", ())
    yield from (key for key in select.get("distinctClause", ()) if key)
    waiting = list(select.get("groupClause", ()))
    while waiting:
        key = waiting.pop()
        if "GroupingSet" in key:
            waiting += key["GroupingSet"].get("content", ())
        else:
            yield key


def _may_mean(key: Node, output: Node, number: int) -> bool:
    """Whether a key may be an output, by its number or its name."""
    value = key["SortBy"]["node"] if "SortBy" in key else key
    if "A_Const" in value:
        return bool(value["A_Const"].get("ival", {}).get("ival", 0) == number)
    fields = value.get("ColumnRef", {}).get("fields", ())
    return len(fields) == 1 and "String" in fields[0] and _may_be_called(output, fields[0]["String"]["sval"])


def _may_be_called(output: Node, word: str) -> bool:
    """Of an output without AS the name is told where that is plain."""
    if "name" in output:
        return bool(output["name"] == word)
    value = output["val"]
    if value.get("A_Expr", {}).get("kind") == "AEXPR_OP":
        return word == "?column?"
    while "TypeCast" in value:
        value = value["TypeCast"]["arg"]
    if "FuncCall" in value:
        return bool(value["FuncCall"]["funcname"][-1]["String"]["sval"] == word)
    if "ColumnRef" in value:
        last = value["ColumnRef"]["fields"][-1]
        return "String" not in last or bool(last["String"]["sval"] == word)
    return True


def _orders(parts: object) -> Iterator[Node]:
    """Orders of windows and aggregates, which sub-queries have by themselves."""
    for part in level_nodes(parts):
        for name in _ORDERS:
            yield from part.get(name, ())
        if "agg_distinct" in part:
            yield from part.get("args", ())
