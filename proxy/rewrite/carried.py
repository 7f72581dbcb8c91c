"""The app's own comparisons of a view's columns, carried into the view's definition: there they bind the relations that
it reads, and are copied inside of their forms as if the definition had made them.

A carried comparison is a text over `_t`, of a column with a value, and in the definition a part of its tree: of the
column that the view's column is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from proxy.policy.names import quote_identifier
from proxy.rewrite.copies import Copies
from proxy.rewrite.lex import Node, parse
from proxy.rewrite.scope import walk

# All that a definition may have: what else it does with its rows could come out otherwise for a part of them.
_PLAIN = frozenset({"targetList", "fromClause", "whereClause", "limitOption", "op"})


class Carried(Copies):
    """Of one reference to a view."""

    def _own(self, node: Node, raw: bool = False) -> str | None:
        column = self._own_column(node)
        return None if column is None else f"{self._alias}.{quote_identifier(column.name)}"

    def _other(self, node: Node) -> str | None:
        """A value: a column's name might mean another in the definition."""
        return None if "ColumnRef" in node else self._values.text(node)

    def _rows(self, left: list[Node], right: list[Node], operator: str) -> Iterator[str]:
        if operator == "=":
            yield from super()._rows(left, right, operator)

    def _test(self, conjunct: Node, nullable: bool) -> str | None:
        return None


def conditions(select: Node, columns: Sequence[str], carried: Sequence[str]) -> list[Node]:
    """What carried comparisons are in the definition `select` of a view with these columns."""
    if select.keys() - _PLAIN or any("over" in node for node in walk(select.get("targetList"))):
        return []
    outputs = [item["ResTarget"]["val"] for item in select.get("targetList", ())]
    if len(outputs) != len(columns):
        return []
    made = {name: value for name, value in zip(columns, outputs, strict=True) if "ColumnRef" in value}
    found = []
    for text in carried:
        body = parse(f"SELECT WHERE {text}")[0]["stmt"]["SelectStmt"]["whereClause"]["A_Expr"]
        column = made.get(body["lexpr"]["ColumnRef"]["fields"][-1]["String"]["sval"])
        if column is not None:
            found.append({"A_Expr": {**body, "name": body["name"][-1:], "lexpr": column}})
    return found
