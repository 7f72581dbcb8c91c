"""Which columns of the profile a text can mean: the rest need not be computed, joined, or fenced."""

from __future__ import annotations

from collections.abc import Collection

from proxy.catalog.model import Relation, Snapshot
from proxy.policy.profile import SUBJECT
from proxy.rewrite.lex import Node
from proxy.rewrite.scope import SYSTEM_SCHEMAS, column_fields, every_node

_EQUAL = ("AEXPR_OP", "AEXPR_OP_ANY", "AEXPR_IN")
_WHOLE = ("A_Star", "CopyStmt", "TableLikeClause")  # COPY and LIKE name no columns


def named_columns(statements: list[Node], profile: Relation, snapshot: Snapshot) -> frozenset[str] | None:
    """Those of the profile's columns that stand in the statements by name, and perhaps more; None: it may be any.

    `profile` is the view as the app has it, with the key: there must be a column in any case. Columns are meant
    without their names by `*`, by the row as a whole, by NATURAL, by the order of an alias's list, and in views.
    """
    found = [pair for statement in statements for pair in every_node(statement)]
    relations = {node["relname"] for _, node in found if "relname" in node}
    columns = {column.name for column in profile.columns}
    if profile.name not in relations or SUBJECT not in columns:
        return None
    ranges = relations | {node["aliasname"] for kind, node in found if kind == "alias"}
    for kind, node in found:
        if kind in _WHOLE or node.get("isNatural") or (kind == "alias" and "colnames" in node):
            return None
        if kind == "ColumnRef":
            *before, last = column_fields(node)
            if last in ranges or (last in snapshot.functions and last not in columns and not ranges.isdisjoint(before)):
                return None  # the row, or a function of it: p.to_json is to_json(p)
    if any(_is_another_view(relation, relations, profile) for relation in snapshot.relations.values()):
        return None
    words = frozenset(word for _, node in found for word in _words(node))
    return words & columns


def compared_column(statements: list[Node], columns: Collection[str]) -> str | None:
    """The first of the columns that the statements compare with something by `=` or IN; None where there is none.

    None too where they compare the key, by which the others are found as well, and where they lock rows: a set
    operation has none.
    """
    compared: set[str] = set()
    for statement in statements:
        for kind, node in every_node(statement):
            if "lockingClause" in node:
                return None
            if kind == "A_Expr" and node["kind"] in _EQUAL and node["name"][-1]["String"]["sval"] == "=":
                sides = (node.get("lexpr", {}), node.get("rexpr", {}))
                compared |= {column_fields(side["ColumnRef"])[-1] for side in sides if "ColumnRef" in side}
    return None if SUBJECT in compared else next((column for column in columns if column in compared), None)


def _is_another_view(relation: Relation, names: Collection[str], profile: Relation) -> bool:
    return (
        relation.name in names
        and relation.kind == "v"
        and relation.oid != profile.oid
        and relation.schema not in SYSTEM_SCHEMAS
    )


def _words(node: Node) -> list[str]:
    """The texts in a node itself: names as PostgreSQL has read them, and constants, which do no harm."""
    return [value for value in node.values() if isinstance(value, str)]
