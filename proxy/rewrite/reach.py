"""What of a catalog's own (foreign) functions, operators and types can a statement reach?

A name alone does not tell: `lower(version)` of an extension does not make `lower(email)` another function. The server
chooses among all overloads whose arguments fit. An overload that takes nothing but a value of a foreign type fits only
where the statement has such a value, or a constant without type in its place.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from proxy.catalog.extensions import HARMLESS_EXTENSIONS
from proxy.catalog.model import ForeignOperator, FunctionName, SearchPath, Snapshot
from proxy.policy.table import AppPolicy
from proxy.rewrite.lex import Node
from proxy.rewrite.scope import SYSTEM_SCHEMAS, Analysis, Reference

FIRST_OWN_OID = 16384  # FirstNormalObjectId: types below are PostgreSQL's
# Operators that pg_catalog has between strings: two constants without type are strings for them.
_OF_STRINGS = frozenset("= <> < > <= >= || ~~ !~~ ~~* !~~* ~ !~ ~* !~* ^@".split())


@dataclass(frozen=True, slots=True)
class Reach:
    """Answers for one statement. `values`: values of foreign types may stand in it."""

    snapshot: Snapshot
    path: SearchPath
    values: bool

    @classmethod
    def of(
        cls, analysis: Analysis, snapshot: Snapshot, path: SearchPath, app: AppPolicy, parameter_types: tuple[int, ...]
    ) -> Reach:
        values = (
            any(oid >= FIRST_OWN_OID for oid in parameter_types)
            or any(_has_foreign_values(reference, path) for reference in analysis.references)
            or any(foreign_type(names, snapshot, path) for names in type_names(analysis))
            or any(_is_own(call, snapshot, path) for call in analysis.functions)
        )
        return cls(snapshot, path, values)

    def functions(self, names: Sequence[str], call: Node) -> list[FunctionName]:
        """The overloads that the call may run."""
        arguments = _arguments(call)
        fitting = _counted(names, len(arguments), self.snapshot, self.path)
        if self.values:
            return fitting
        untyped = any(map(is_untyped, arguments))
        if untyped and len(arguments) == 1 and any(f.schema == "pg_catalog" and f.takes_string for f in fitting):
            untyped = False  # it is a string first
        return [f for f in fitting if untyped or not f.foreign]

    def unsettles(self, names: Sequence[str], call: Node) -> bool:
        """Whether a call may change what names mean in the session."""
        every = _counted(names, len(_arguments(call)), self.snapshot, self.path)
        return any((f.schema, names[-1]) in self.snapshot.unsettling for f in every)

    def operators(self, name: str, operands: Sequence[Node]) -> list[ForeignOperator]:
        """The foreign operators that the name, written without schema, may mean between these operands."""
        untyped = sum(map(is_untyped, operands))
        found = []
        for operator in self.snapshot.foreign_operators.get(name, ()):
            if operator.operands != len(operands):
                continue
            if self.values or operator.foreign == 0:
                found.append(operator)
            elif len(operands) == operator.foreign:
                # The side that has a type is not of a foreign one; without any type, both are strings.
                if untyped == len(operands) and not (len(operands) == 2 and name in _OF_STRINGS):
                    found.append(operator)
            elif untyped:
                found.append(operator)
        return found


def is_untyped(node: Node) -> bool:
    """Whether the server has yet to find a type for an expression, or for a part of it."""
    ((kind, fields),) = node.items() if len(node) == 1 else (("", {}),)
    match kind:
        case "A_Const":
            return "sval" in fields or fields.get("isnull", False)
        case "ParamRef":
            return True
        case "NamedArgExpr" | "CollateClause":
            return is_untyped(fields["arg"])
        case "List":
            return any(map(is_untyped, fields.get("items", ())))
        case "A_ArrayExpr":
            return any(map(is_untyped, fields.get("elements", ())))
        case "RowExpr":
            return any(map(is_untyped, fields.get("args", ())))
    return False


def type_names(analysis: Analysis) -> Iterator[list[str]]:
    """The type names of a statement, in parts."""
    for kind, node in analysis.nodes:
        if kind in ("typeName", "TypeName", "returning") and "names" in node:
            yield [part["String"]["sval"] for part in node["names"]]


def foreign_type(names: list[str], snapshot: Snapshot, path: SearchPath) -> tuple[str, str] | None:
    """The foreign type that a name may mean."""
    if len(names) > 1:
        key = (names[-2], names[-1])
        return key if key in snapshot.foreign_types else None
    for schema in path.schemas:
        if (schema, names[-1]) in snapshot.foreign_types:
            return (schema, names[-1])
    return None


def _has_foreign_values(reference: Reference, path: SearchPath) -> bool:
    if reference.relation is None:
        return reference.name not in path.temporary or reference.name in path.foreign
    return any(column.foreign for column in reference.relation.columns)


def _is_own(call: Node, snapshot: Snapshot, path: SearchPath) -> bool:
    """Whether a call may be one of a function of the database's own, whose value may be of any type."""
    names = [part["String"]["sval"] for part in call["funcname"]]
    return any(
        f.schema not in SYSTEM_SCHEMAS and f.extension not in HARMLESS_EXTENSIONS and not f.foreign
        for f in _counted(names, len(_arguments(call)), snapshot, path)
    )


def _arguments(call: Node) -> list[Node]:
    arguments = list(call.get("args", ()))
    if call.get("agg_within_group"):
        arguments += [item["SortBy"]["node"] for item in call.get("agg_order", ())]
    return arguments


def _counted(names: Sequence[str], count: int, snapshot: Snapshot, path: SearchPath) -> list[FunctionName]:
    """The overloads of a name that take so many arguments."""
    every = snapshot.functions_named(names[-1], names[-2] if len(names) > 1 else None, path)
    return [f for f in every if f.least <= count <= f.most]
