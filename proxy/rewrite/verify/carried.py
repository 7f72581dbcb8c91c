"""Which of the app's conditions on a view's columns hold of the rows that the view's definition reads.

The rule is "carried comparisons" of docs/reference/governed-form.md.
"""

from __future__ import annotations

from collections.abc import Sequence

from proxy.catalog.model import Column
from proxy.rewrite.verify.copies import Bound
from proxy.rewrite.verify.tree import Node, holds

_CHOICE = frozenset({"targetList", "fromClause", "whereClause", "op", "limitOption"})


def carried(definition: Node, columns: Sequence[Column], bound: Bound) -> list[Node]:
    """The conditions as the definition might have made them. `columns`: of the definition's outputs; `bound`: what the
    view's rows must pass.
    """
    select = definition["SelectStmt"]
    outputs = select.get("targetList", [])
    if not select.keys() <= _CHOICE or len(outputs) != len(columns) or holds(outputs, "over"):
        return []
    found: list[Node] = []
    for item, column in zip(outputs, columns, strict=True):
        made = item["ResTarget"]["val"]
        for kind, operator, value in bound.given(column) if "ColumnRef" in made else ():
            name = [{"String": {"sval": operator}}]
            found.append({"A_Expr": {"kind": kind, "name": name, "lexpr": made, "rexpr": value}})
    return found
