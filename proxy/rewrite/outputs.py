"""Names of outputs: an expression in a column's place would have another name than the column had."""

from __future__ import annotations

from proxy.policy.names import quote_identifier
from proxy.rewrite.context import Context
from proxy.rewrite.lex import Node
from proxy.rewrite.scope import figure_column_name

# What ends an output list, where it stands outside of parentheses and CASE.
_ENDS = frozenset(
    "from into where group having window order limit offset fetch for union intersect except on returning".split()
)


class Outputs:
    """The outputs without a name of their own that have the name of a column, by the id of its ColumnRef."""

    def __init__(self, nodes: list[tuple[str, Node]]) -> None:
        self._targets: dict[int, Node] = {}
        for kind, node in nodes:
            if kind == "ResTarget" and "name" not in node and "val" in node:
                column = _named_by(node["val"])
                if column is not None:
                    self._targets[id(column)] = node

    def is_output(self, column: Node) -> bool:
        """Whether the column, or the row, is an output by itself, without parentheses."""
        target = self._targets.get(id(column))
        return target is not None and _stands_alone(target, column)

    def name(self, context: Context, column: Node) -> str:
        """What must stand behind the expression in the column's place; names the output around it, where that is more
        than the column.
        """
        target = self._targets.get(id(column))
        if target is None:
            return ""
        alias = f" AS {quote_identifier(figure_column_name(target['val']))}"
        if _stands_alone(target, column):
            return alias
        at = _end_of_output(context, target.get("location", 0))
        context.edit(at, at, alias)
        return ""


def _stands_alone(target: Node, column: Node) -> bool:
    return target["val"].get("ColumnRef") is column and target.get("location", 0) == column.get("location", 0)


def _named_by(value: Node) -> Node | None:
    """The ColumnRef whose name an output has (FigureColname in parse_target.c)."""
    ((kind, node),) = value.items()
    match kind:
        case "ColumnRef":
            column: Node = node
            return column
        case "TypeCast" | "CollateClause":
            return _named_by(node["arg"])
        case "A_Indirection":
            return None if any("String" in part for part in node["indirection"]) else _named_by(node["arg"])
        case "CaseExpr":
            return _named_by(node["defresult"]) if "defresult" in node else None
    return None


def _end_of_output(context: Context, start: int) -> int:
    """The byte behind the output that begins at byte `start`."""
    tokens = context.tokens
    index = first = context.token_at(start)
    depth = 0
    while index < len(tokens):
        token = tokens[index]
        word = "" if index and tokens[index - 1].text == b"." else token.word
        depth += (token.text in (b"(", b"[") or word == "case") - (token.text in (b")", b"]") or word == "end")
        if depth < 0 or (depth == 0 and index > first and (token.text in (b",", b";") or word in _ENDS)):
            break
        index += 1
    return tokens[index - 1].end
