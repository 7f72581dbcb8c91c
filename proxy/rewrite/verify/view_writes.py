"""Writing to views that the rules do not list: the view as a governed table, by the verifier's own reading of it."""

from __future__ import annotations

from dataclasses import replace

from proxy.catalog.model import Relation
from proxy.errors import PgError
from proxy.policy.table import GovernedColumn, GovernedTable, Treatment
from proxy.rewrite.verify.form import Forms
from proxy.rewrite.verify.leak import LeakProof
from proxy.rewrite.verify.names import DefinitionNames, Names
from proxy.rewrite.verify.scope import Source
from proxy.rewrite.verify.tree import called, column_references, every_part, named_in, strings
from proxy.rewrite.verify.types import Parameters
from proxy.rewrite.verify.views import definition_of

_CHOICE = frozenset({"targetList", "fromClause", "whereClause", "limitOption", "op"})


def written_view(view: Relation, names: Names, forms: Forms) -> GovernedTable | None:
    """The table that a view of one governed relation, or of another such view, is for a write; None where it is none.

    Its columns are governed as those that they show. Row policies and consent are asked by columns of the same name.
    """
    if view.key in names.rights.app.views:
        return None  # Consentry's own
    try:
        return _written(view, DefinitionNames(names, (), view), forms, {view.oid})
    except (PgError, KeyError, IndexError):
        return None


def _written(view: Relation, names: Names, forms: Forms, seen: set[int]) -> GovernedTable | None:
    select = definition_of(view)["SelectStmt"]
    (source,) = select["fromClause"]
    items, base_name = select["targetList"], source["RangeVar"]
    if not select.keys() <= _CHOICE or len(items) != len(view.columns):
        return None
    named = names.source(base_name)
    base, table = named.relation, named.table
    if base is not None and table is None and base.kind == "v" and base.oid not in seen:
        table = _written(base, names, forms, {*seen, base.oid})
    if base is None or table is None:
        return None
    alias = called(base_name)
    where = select.get("whereClause")
    if not all(column.treatment.plain for column in _columns(where, alias, table)):
        return None
    shown = Source(alias, {c.name: base.column(c.name) for c in table.columns}, base, table)
    condition = {} if where is None else {"whereClause": where}
    if table.rows and not LeakProof(names, Parameters((), every_part(select))).proves_condition(condition, shown):
        return None
    columns, same = [], set()
    for column, item in zip(view.columns, items, strict=True):
        value = item["ResTarget"]["val"]
        found = _columns(value, alias, table)
        if "ColumnRef" in value:
            columns.append(replace(found[0], name=column.name))
            same |= {column.name} & {found[0].name}
        elif all(one.treatment.plain for one in found):
            columns.append(GovernedColumn(column.name, None, Treatment("show")))
        else:
            return None
    if any(c.treatment.write == "deny" for c in table.columns if c.name not in same):
        return None  # what must not be written goes with a row that is deleted
    return _asked_alike(view, table, tuple(columns), same, forms)


def _asked_alike(
    view: Relation, table: GovernedTable, columns: tuple[GovernedColumn, ...], same: set[str], forms: Forms
) -> GovernedTable | None:
    """The table, where what the rules ask of the relation means the same over the view."""
    other = {c.name for c in table.columns} | {c.name for c in view.columns} | {table.name}
    other -= same
    conditions = [forms.condition(row.where) for row in table.rows if row.where is not None]
    if any(named_in(condition, word) for condition in conditions for word in other):
        return None
    subject = table.subject
    if any(c.asks_consent for c in table.columns) or any(row.consent for row in table.rows):
        if subject is None or (subject.steps[0].from_column if subject.steps else subject.column) not in same:
            return None
    else:
        subject = None
    return GovernedTable(view.schema, view.name, subject, columns, table.rows)


def _columns(part: object, alias: str, table: GovernedTable) -> list[GovernedColumn]:
    """The columns that a part of the definition names. Raises KeyError where it names anything else."""
    found = []
    for fields, inner in column_references(part):
        words = strings(fields)
        column = table.column(words[-1])
        if inner or column is None or len(words) > 2 or (len(words) == 2 and words[0] != alias):
            raise KeyError(words[-1])
        found.append(column)
    return found
