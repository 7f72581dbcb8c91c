"""Views whose columns are computed, where a statement does no more with these than put them out.

They are computed then for the rows that all conditions have left, as if the app had written the expression itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from proxy.rewrite.lex import Node
from proxy.rewrite.scope import View, walk
from proxy.rewrite.sorting import early_keys

_NOTHING: Node = {"A_Const": {"isnull": True}}
_KEPT = {"JOIN_INNER": ("larg", "rarg"), "JOIN_LEFT": ("larg",)}  # an outer join's other side is computed before it


def without_computed(select: Node) -> tuple[Node, list[int]]:
    """A view's query with nothing in the place of outputs that are more than a column, and which these are."""
    items = select.get("targetList", [])
    computed = [number for number, item in enumerate(items) if "ColumnRef" not in item["ResTarget"]["val"]]
    rest = [
        {"ResTarget": {**item["ResTarget"], "val": _NOTHING}} if number in computed else item
        for number, item in enumerate(items)
    ]
    return {**select, "targetList": rest}, computed


def put_out(select: Node, views: Mapping[int, View]) -> frozenset[int]:
    """The ids of those RangeVars in the FROM of a statement that are such views. `views`: by those ids."""
    found = {id(name): name for item in select.get("fromClause", ()) for name in _joined(item)}
    mine = {key: name for key, name in found.items() if key in views and views[key].computed is not None}
    if not mine:
        return frozenset()
    words: set[str] = set()
    for key, name in mine.items():
        words |= views[key].computed or frozenset()
        words.add(name["alias"]["aliasname"] if "alias" in name else name["relname"])
        if "colnames" in name.get("alias", {}):
            return frozenset()
    if any("GroupingSet" in item for item in select.get("groupClause", ())):
        return frozenset()
    elsewhere: list[object] = [part for name, part in select.items() if name != "targetList"]
    elsewhere += [node["SubLink"] for node in walk(select.get("targetList")) if "SubLink" in node]
    elsewhere += early_keys(select)
    last = [node["ColumnRef"]["fields"][-1] for node in walk(elsewhere) if "ColumnRef" in node]
    used = any("A_Star" in field or field["String"]["sval"] in words for field in last)
    return frozenset() if used else frozenset(mine)


def _joined(item: Node) -> Iterator[Node]:
    """The relations of which no row is lost or made up by an outer join, and no column is merged or renamed."""
    if "RangeVar" in item:
        yield item["RangeVar"]
    join = item.get("JoinExpr")
    if join is not None and not join.keys() & {"isNatural", "usingClause", "alias"}:
        for side in _KEPT.get(join["jointype"], ()):
            yield from _joined(join[side])
