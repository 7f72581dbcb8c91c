"""Whether all that a statement does with the computed columns of a view is to put them out.

The rule is the section "When no fence is needed" of docs/reference/governed-form.md.
"""

from __future__ import annotations

from collections.abc import Callable

from proxy.rewrite.verify.sorting import sorted_by
from proxy.rewrite.verify.tree import Node, column_references, every_part

_NULL: Node = {"A_Const": {"isnull": True}}


def is_computed(item: Node) -> bool:
    """Whether an output of a view's definition is more than a column."""
    fields = item["ResTarget"]["val"].get("ColumnRef", {}).get("fields", [])
    return not fields or "A_Star" in fields[-1]


def emptied(query: Node) -> Node:
    """The definition with NULL for what it computes."""
    items: list[Node] = query["targetList"]
    kept = [{"ResTarget": {**i["ResTarget"], "val": _NULL}} if is_computed(i) else i for i in items]
    return {**query, "targetList": kept}


def put_out(query: Node, computed: Callable[[Node], frozenset[str] | None]) -> frozenset[int]:
    """The ids of the RangeVars of the statement's own FROM that are such views. `computed`: the columns that a view
    computes; None for what is no view, or one in which something else could tell of hidden rows.
    """
    relations: list[Node] = []
    for item in query.get("fromClause", []):
        relations += _kept(item)
    known = [(relation, columns) for relation in relations if (columns := computed(relation)) is not None]
    if any("GroupingSet" in item for item in query.get("groupClause", [])):
        return frozenset()
    words: set[str] = set()
    for relation, columns in known:
        alias = relation.get("alias", {"aliasname": relation["relname"]})
        if alias.keys() != {"aliasname"}:
            return frozenset()
        words |= {alias["aliasname"], *columns}
    outputs = query.get("targetList", [])
    links = [part["SubLink"] for part in every_part(outputs) if "SubLink" in part]
    rest = [value for name, value in query.items() if name != "targetList"]
    for fields, _ in column_references([*rest, *links, *sorted_by(query)]):
        if "String" not in fields[-1] or fields[-1]["String"]["sval"] in words:
            return frozenset()
    return frozenset(id(relation) for relation, _ in known)


def _kept(item: Node) -> list[Node]:
    """The relations of a FROM item that no outer join can empty, and whose columns keep their names."""
    if "RangeVar" in item:
        return [item["RangeVar"]]
    join: Node = item.get("JoinExpr", {"alias": None})
    if "alias" in join or "usingClause" in join or "isNatural" in join:
        return []
    if join["jointype"] == "JOIN_INNER":
        return [*_kept(join["larg"]), *_kept(join["rarg"])]
    return _kept(join["larg"]) if join["jointype"] == "JOIN_LEFT" else []
