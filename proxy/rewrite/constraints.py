"""Pass: a constraint that does not exist for the app has a name that nothing has."""

from __future__ import annotations

from proxy.catalog.model import Relation
from proxy.errors import PgError
from proxy.policy.names import quote_identifier
from proxy.rewrite.analyse import CONSTRAINTS
from proxy.rewrite.context import Context
from proxy.rewrite.lex import Node


def check_constraints(context: Context) -> None:
    """Raises the error, in PostgreSQL's words, of the first hidden constraint in ON CONFLICT ON CONSTRAINT or SET
    CONSTRAINTS. Where anything is hidden, so does a name that nothing has: else the order of errors would tell.
    """
    ((kind, fields),) = context.statement.items()
    if kind == CONSTRAINTS:
        _check_set(context, fields)
    for reference in context.analysis.references:
        conflict = (reference.statement or {}).get("onConflictClause", {})
        name = conflict.get("infer", {}).get("conname")
        if name is None or reference.relation is None or reference.role != "target":
            continue
        if _lacks(context, reference.relation, name):
            raise PgError(f'constraint "{name}" for table "{reference.relation.name}" does not exist', "42704")


def _lacks(context: Context, relation: Relation, name: str) -> bool:
    """Whether the app's relation has no such constraint: of one without hidden constraints the server says so."""
    hidden = {constraint for *key, constraint in context.system.hidden_constraints if (*key,) == relation.key}
    shown = {part.name for part in relation.parts if part.catalog == "pg_constraint"} - hidden
    return bool(hidden) and name not in shown


def _check_set(context: Context, fields: Node) -> None:
    """The server takes all constraints of the name in the first schema that has one; it may be a temp table's, too."""
    if not context.system.hidden_constraints:
        return
    known: dict[tuple[str, str], bool] = {}  # (schema, constraint) -> whether the app has one of them
    for relation in context.snapshot.relations.values():
        for part in relation.parts:
            if part.catalog == "pg_constraint":
                shown = (*relation.key, part.name) not in context.system.hidden_constraints
                known[relation.schema, part.name] = known.get((relation.schema, part.name), False) or shown
    for item in fields.get("constraints", ()):
        schema, name = item["RangeVar"].get("schemaname"), item["RangeVar"]["relname"]
        if schema is not None and schema not in context.snapshot.schemas:
            continue  # the server says so, or it is pg_temp
        schemas = context.path.schemas if schema is None else (schema,)
        if not next((known[one, name] for one in schemas if (one, name) in known), False):
            temporary = schema is None and context.path.temporary
            hint = f"Of a temp table it is pg_temp.{quote_identifier(name)}." if temporary else None
            raise PgError(f'constraint "{name}" does not exist', "42704", hint=hint)
