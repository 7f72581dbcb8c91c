"""What a view that the rules do not list does beside reading relations: the functions and catalogs of its definition.

pg_get_viewdef writes it under an empty search path: what has no schema is of pg_catalog.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from proxy.catalog.model import FunctionName, Relation, Snapshot
from proxy.errors import PgError
from proxy.rewrite.allowed import DEFINITION_FUNCTIONS, GRAMMAR_FUNCTIONS
from proxy.rewrite.result import SystemCatalog
from proxy.rewrite.verify_tree import Node, parse, strings

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
        if place == "pg_catalog" and name in DEFINITION_FUNCTIONS and system.forms:
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
