"""Views that the rules do not list: what one does beside reading relations, and which columns it has lost for the app.

pg_get_viewdef writes a definition under an empty search path: what has no schema is of pg_catalog.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from proxy.catalog.model import Column, FunctionName, Relation, Snapshot
from proxy.errors import PgError, feature_not_supported
from proxy.rewrite.allowed import DEFINITION_FUNCTIONS, GRAMMAR_FUNCTIONS
from proxy.rewrite.result import SystemCatalog
from proxy.rewrite.verify.tree import Node, named_in, parse, strings

_SYSTEM_SCHEMAS = frozenset({"pg_catalog", "information_schema"})
_OPERATORS = {"A_Expr": "name", "SubLink": "operName", "SortBy": "useOp"}


def is_harmless(
    view: Relation, snapshot: Snapshot, system: SystemCatalog, may_call: Callable[[str, FunctionName], bool]
) -> bool:
    """Whether the view calls only what the app may call, and reads only catalogs that pass as they are."""
    if view.definition is None:
        return False
    try:
        tree = parse(view.definition)
        found = list(_bodies(tree))
        own = {body["ctename"] for kind, body in found if kind == "CommonTableExpr"}
        return all(_fits(kind, body, own, snapshot, system, may_call) for kind, body in found)
    except (PgError, KeyError):
        return False


def lost_columns(view: Relation, snapshot: Snapshot, lost: Callable[[Relation], frozenset[str]]) -> frozenset[str]:
    """The columns of a view that are made of a column which is lost. `lost`: those of what it reads.

    By name alone: what is named here may be left out of the view, nothing else may.
    """
    select = definition_of(view)["SelectStmt"]
    relations = [snapshot.relations.get((body.get("schemaname", ""), body["relname"])) for body in _named(select)]
    names = frozenset[str]().union(*(lost(relation) for relation in relations if relation is not None))
    items = select.get("targetList", ())
    if len(items) != len(view.columns):
        return frozenset()
    return frozenset(
        column.name
        for column, item in zip(view.columns, items, strict=True)
        if any(named_in(item["ResTarget"]["val"], name) for name in names)
    )


def definition_of(view: Relation) -> Node:
    """The tree of a view's definition, a SELECT. Raises PgError."""
    (statement,) = parse(view.definition or "")
    if list(statement) != ["SelectStmt"]:
        raise feature_not_supported(f'the definition of view "{view.name}" is no query')
    return statement


def kept_items(view: Relation, definition: Node, items: list[Node], lost: frozenset[str]) -> tuple[Node, list[Column]]:
    """The definition without the columns that `items`, the output list sent, leaves out; and the columns that stay.

    Raises PgError where one is left out that the app has.
    """
    select = definition["SelectStmt"]
    own = select.get("targetList")
    if own is None or len(own) != len(view.columns):
        return definition, list(view.columns)
    rest = [name_of(item) for item in items]
    kept, columns = [], []
    for item, column in zip(own, view.columns, strict=True):
        if rest and rest[0] == column.name:
            rest.pop(0)
            kept.append(item)
            columns.append(column)
        elif column.name not in lost:
            raise feature_not_supported(f'column "{column.name}" of view "{view.name}" is left out')
    return {"SelectStmt": {**select, "targetList": kept}}, columns


def name_of(item: Node) -> str | None:
    """The name of an output column of a definition, which has AS wherever it is not a column's own."""
    target = item["ResTarget"]
    if "name" in target:
        name: str = target["name"]
        return name
    last: Node = target["val"].get("ColumnRef", {}).get("fields", [{}])[-1]
    word: str | None = last.get("String", {}).get("sval")
    return word


def _named(value: Any) -> Iterator[Node]:
    """The RangeVars in a tree."""
    return (body for _, body in _bodies(value) if "relname" in body)


def _bodies(value: Any) -> Iterator[tuple[str, Node]]:
    """(kind or field, fields) of everything in a tree."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if isinstance(inner, dict):
                yield name, inner
            yield from _bodies(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _bodies(inner)


def _fits(
    kind: str,
    body: Node,
    own: set[str],
    snapshot: Snapshot,
    system: SystemCatalog,
    may_call: Callable[[str, FunctionName], bool],
) -> bool:
    if kind == "FuncCall":
        *schema, name = strings(body["funcname"])
        place = schema[-1] if schema else "pg_catalog"
        candidates = [function for function in snapshot.functions.get(name, ()) if function.schema == place]
        if place == "pg_catalog" and name in DEFINITION_FUNCTIONS and system.arguments:
            return False
        if not candidates:
            return place == "pg_catalog" and name in GRAMMAR_FUNCTIONS
        return all(may_call(name, function) for function in candidates)
    if kind in _OPERATORS and _OPERATORS[kind] in body:
        *schema, name = strings(body[_OPERATORS[kind]])
        return schema in ([], ["pg_catalog"]) or name not in snapshot.foreign_operators
    if "relname" in body:
        schema_name = body.get("schemaname")
        if schema_name is None and body["relname"] in own:
            return True
        key = (schema_name or "pg_catalog", body["relname"])
        return key[0] not in _SYSTEM_SCHEMAS or key in system.open
    return True
