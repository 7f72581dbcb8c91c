"""By what PostgreSQL may sort the rows of a level before it has asked the level's conditions.

The rule is the section "When no fence is needed" of docs/reference/governed-form.md.
"""

from __future__ import annotations

from proxy.rewrite.verify.tree import Node

_INNER = frozenset({"partitionClause", "orderClause", "agg_order"})


def sorted_by(query: Node) -> list[Node]:
    """The keys of one SELECT, and each output that one of them may stand for."""
    targets: list[Node] = query.get("targetList", [])
    grouped = _groups(query.get("groupClause", []))
    keys = [*query.get("sortClause", []), *grouped, *filter(None, query.get("distinctClause", []))]
    found = list(keys)
    for key in keys:
        found += _outputs(key.get("SortBy", {}).get("node", key), targets)
    if not all(query.get("distinctClause", [])):
        found += targets
    for name in ("targetList", "groupClause", "sortClause", "windowClause", "havingClause"):
        found += _inside(query.get(name))
    return found


def _groups(items: list[Node]) -> list[Node]:
    found: list[Node] = []
    for item in items:
        found += _groups(item["GroupingSet"].get("content", [])) if "GroupingSet" in item else [item]
    return found


def _outputs(key: Node, targets: list[Node]) -> list[Node]:
    """The outputs that a key may stand for: it is a number or a word without qualifier."""
    constant = key.get("A_Const")
    if constant is not None:
        number = constant.get("ival", {}).get("ival", 0)
        return targets[number - 1 : number] if number > 0 else []
    fields = key.get("ColumnRef", {}).get("fields", [])
    words = [field["String"]["sval"] for field in fields if "String" in field]
    return [item for item in targets if _fits(item["ResTarget"], words[0])] if len(words) == len(fields) == 1 else []


def _fits(target: Node, word: str) -> bool:
    """Whether an output may have this name. One without AS may have any, but for columns, calls and operators."""
    if "name" in target:
        return bool(target["name"] == word)
    value: Node = target["val"]
    if "A_Expr" in value and value["A_Expr"]["kind"] == "AEXPR_OP":
        return word == "?column?"
    while "TypeCast" in value:
        value = value["TypeCast"]["arg"]
    for kind, name in (("FuncCall", "funcname"), ("ColumnRef", "fields")):
        if kind in value and "String" in value[kind][name][-1]:
            return bool(value[kind][name][-1]["String"]["sval"] == word)
    return True


def _inside(part: object) -> list[Node]:
    """The orders of windows and of aggregates' arguments; those of a sub-query are its own."""
    found: list[Node] = []
    waiting = [part]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting += value
        elif isinstance(value, dict):
            for name, inner in value.items():
                if name in _INNER:
                    found += inner
                if name != "subselect":
                    waiting.append(inner)
            if "agg_distinct" in value:
                found += value.get("args", [])
    return found
