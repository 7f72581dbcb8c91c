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


def compared_column(statements: list[Node], profile: Relation, columns: Collection[str]) -> str | None:
    """The first of the profile's columns that the statements compare with something by `=` or IN; None: none of them.

    None too where they give the key, by which the others are found as well, and where they lock rows: a set operation
    has none.
    """
    if not columns:
        return None
    found = [pair for statement in statements for pair in every_node(statement)]
    if any("lockingClause" in node for _, node in found):
        return None
    relations = [(node.get("alias", {}).get("aliasname"), node["relname"]) for _, node in found if "relname" in node]
    ours = {alias or name for alias, name in relations if name == profile.name}
    others = {alias or name for alias, name in relations if name != profile.name} - ours
    compared: set[str] = set()
    for kind, node in found:
        if kind != "A_Expr" or node["kind"] not in _EQUAL or node["name"][-1]["String"]["sval"] != "=":
            continue
        sides = [column_fields(side["ColumnRef"]) if "ColumnRef" in side else () for side in _sides(node)]
        names = [fields[-1] for fields in sides if fields and others.isdisjoint(fields[:-1])]
        if names == [SUBJECT] and () in sides:
            return None
        compared.update(names)
    return next((column for column in columns if column in compared), None)


def _sides(node: Node) -> list[Node]:
    return [node.get("lexpr", {}), node.get("rexpr", {})]


def _is_another_view(relation: Relation, names: Collection[str], profile: Relation) -> bool:
    return (
        relation.name in names
        and relation.kind == "v"
        and relation.oid != profile.oid
        and relation.schema not in SYSTEM_SCHEMAS
    )


def _words(node: Node) -> list[str]:
    """The texts in a node itself: names as PostgreSQL has read them, and other words, which do no harm."""
    return [value for value in node.values() if isinstance(value, str)]
