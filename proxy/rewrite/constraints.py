"""Pass: a constraint that does not exist for the app has a name that nothing has."""

from __future__ import annotations

from proxy.errors import PgError
from proxy.rewrite.analyse import CONSTRAINTS
from proxy.rewrite.context import Context
from proxy.rewrite.lex import Node


def check_constraints(context: Context) -> None:
    """Raises the error, in PostgreSQL's words, of the first hidden constraint in ON CONFLICT ON CONSTRAINT or SET
    CONSTRAINTS.
    """
    ((kind, fields),) = context.statement.items()
    if kind == CONSTRAINTS:
        _check_set(context, fields)
    for reference in context.analysis.references:
        conflict = (reference.statement or {}).get("onConflictClause", {})
        name = conflict.get("infer", {}).get("conname")
        if name is None or reference.relation is None or reference.role != "target":
            continue
        if (*reference.relation.key, name) in context.system.hidden_constraints:
            raise PgError(f'constraint "{name}" for table "{reference.relation.name}" does not exist', "42704")


def _check_set(context: Context, fields: Node) -> None:
    """The server takes all constraints of the name in the first schema that has one; it may be a temp table's, too."""
    known: dict[tuple[str, str], bool] = {}  # (schema, constraint) -> whether the app has one of them
    for relation in context.snapshot.relations.values():
        for part in relation.parts:
            if part.catalog == "pg_constraint":
                shown = (*relation.key, part.name) not in context.system.hidden_constraints
                known[relation.schema, part.name] = known.get((relation.schema, part.name), False) or shown
    for item in fields.get("constraints", ()):
        schema, name = item["RangeVar"].get("schemaname"), item["RangeVar"]["relname"]
        schemas = context.path.schemas if schema is None else (schema,)
        found = next((known[one, name] for one in schemas if (one, name) in known), None)
        if found is None and not context.path.temporary:
            return  # the server says that there is none
        if found is False:
            raise PgError(f'constraint "{name}" does not exist', "42704")
