"""Which plans show what a function is made of: PostgreSQL puts the body of one in SQL in the place of its calls. Pure.

Whatever may run such a function counts, whether it is named (a call, `row.function`), or stands behind an operator, a
cast, or in the definition of a view.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from proxy.catalog.model import Relation, SearchPath
from proxy.rewrite.verify.foreign import operator_functions
from proxy.rewrite.verify.names import Names
from proxy.rewrite.verify.rights import Rights
from proxy.rewrite.verify.tree import Node, every_part, parse, strings

# What runs without being named: in BETWEEN, CASE, USING ...
_COMPARING: Final = ("=", "<>", "<", ">", "<=", ">=")


def shows_bodies(
    parts: Sequence[Node],
    relations: Sequence[Relation],
    path: SearchPath,
    types: tuple[int, ...],
    rights: Rights,
    *,
    defaults: bool,
) -> bool:
    """Whether the plan of a query may show a function's body. `parts`: of `every_part`; `relations`: what it names;
    `types`: of its parameters; `defaults`: those of columns are shown.
    """
    inlined = rights.snapshot.inlined
    if not inlined:
        return False
    if defaults and any(column.has_default for relation in relations for column in relation.columns):
        return True
    parts = [*parts, *_of_definitions(relations, rights)]
    names = Names(rights, path)
    names.begin(parts, types)
    values = names.foreign_values
    if values and any(not inlined.isdisjoint(every) for every in rights.snapshot.foreign_types.values()):
        return True
    listed = inlined & rights.app.functions  # what is not among them is refused by itself
    if any((place, word) in listed for *schema, word in _calls(parts, rights) for place in schema[-1:] or path.schemas):
        return True
    compared = (operator_functions(rights.snapshot, name, None, [{"": {}}] * 2, values) for name in _COMPARING)
    named = (
        operator_functions(rights.snapshot, name[-1], name[-2] if len(name) > 1 else None, operands, values)
        for name, operands in map(_operator, parts)
        if name
    )
    return any(not listed.isdisjoint(functions) for functions in (*compared, *named))


def _of_definitions(relations: Sequence[Relation], rights: Rights) -> Iterator[Node]:
    """The parts of the definitions of views, and of those that they read."""
    oids = {oid for relation in relations for oid in (relation.oid, *relation.reads) if relation.kind == "v"}
    for view in (rights.snapshot.by_oid.get(oid) for oid in oids):
        if view is not None and view.kind == "v" and view.definition is not None:
            yield from every_part(parse(view.definition))


def _calls(parts: Sequence[Node], rights: Rights) -> Iterator[list[str]]:
    """The names, in parts, of functions that may be called."""
    for part in parts:
        if "funcname" in part:
            yield strings(part["funcname"])
        fields = part.get("ColumnRef", {}).get("fields", ())[1:] or part.get("A_Indirection", {}).get("indirection", ())
        for field in fields:
            word = field.get("String", {}).get("sval")
            if any(function.takes_row for function in rights.snapshot.functions.get(word, ())):
                yield [word]


def _operator(part: Node) -> tuple[list[str], list[Any]]:
    """The name of an operator, in parts, and its operands; no name where there is none."""
    if "A_Expr" in part:
        body = part["A_Expr"]
        return strings(body["name"]), [body[side] for side in ("lexpr", "rexpr") if side in body]
    if "operName" in part:
        return strings(part["operName"]), [part["testexpr"], None]
    if "useOp" in part:
        return strings(part["useOp"]), [part["node"], part["node"]]
    return [], []
