"""Writing to views that the rules do not list: a view stays in place, as a table governed as what its columns show.

PostgreSQL itself writes to a view of one relation that is no more than a choice of its columns and rows ("Updatable
Views" in the documentation of CREATE VIEW), and holds WITH CHECK OPTION. Its WHERE reads real values: it must not read
any that the app does not see.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from proxy.catalog.model import Relation, SearchPath, Snapshot
from proxy.errors import ConsentryError
from proxy.policy.table import AppPolicy, GovernedColumn, GovernedTable, Subject, Treatment
from proxy.rewrite.analyse import analyse
from proxy.rewrite.fence import Fences
from proxy.rewrite.forms import compile_predicate
from proxy.rewrite.lex import Node, parse
from proxy.rewrite.scope import STAR, Analysis, owners, walk

_PATH = SearchPath(("pg_catalog",))
_SIMPLE = frozenset({"targetList", "fromClause", "whereClause", "limitOption", "op"})


class CannotWriteError(Exception):
    """Why the app cannot write to a view, as a sentence; `told`: without names that the app may not have."""

    def __init__(self, why: str, told: str | None = None) -> None:
        super().__init__(why)
        self.told = told or why


def written_table(
    view: Relation, app: AppPolicy, snapshot: Snapshot, table_of: Callable[[Relation], GovernedTable | None]
) -> GovernedTable:
    """The view as a governed table. `table_of`: that of what it reads. Raises CannotWriteError, PgError."""
    statement: Node = parse(view.definition or "")[0]["stmt"]
    select = statement.get("SelectStmt", {})
    sources = select.get("fromClause", ())
    if not (select.keys() <= _SIMPLE and len(sources) == 1 and "RangeVar" in sources[0]):
        raise CannotWriteError("It is more than a choice of rows and columns of one relation.")
    analysis = analyse(statement, snapshot, _PATH, AppPolicy(app.name, "", "internal", "", ()))
    base = analysis.references[0].relation
    table = table_of(base) if base is not None and len(analysis.references) == 1 else None
    if base is None or table is None or len(view.columns) != len(select["targetList"]):
        raise CannotWriteError("It reads relations that it cannot be written through.")
    _check_condition(statement, analysis, table, snapshot)
    columns, same = [], set()
    for column, item in zip(view.columns, select["targetList"], strict=True):
        governed = _column(item["ResTarget"]["val"], analysis, table)
        columns.append(replace(governed, name=column.name))
        if governed.name == column.name:
            same.add(column.name)
    if any(c.treatment.write == "deny" for c in table.columns if c.name not in same):
        raise CannotWriteError("A column of what it reads must not be written.")  # and goes with a row that is deleted
    _check_rows(view, base, table, app, snapshot, same)
    return GovernedTable(view.schema, view.name, _subject(table, same), tuple(columns), table.rows)


def _column(value: Node, analysis: Analysis, table: GovernedTable) -> GovernedColumn:
    """What an output column shows; PostgreSQL itself does not write what is computed."""
    named = _governed(value, analysis, table)
    if "ColumnRef" in value:
        return named[0]
    if not all(column.treatment.plain for column in named):
        raise CannotWriteError("It computes a column from values of which the rules hide some.")
    return GovernedColumn("", None, Treatment("show"))


def _governed(part: object, analysis: Analysis, table: GovernedTable) -> list[GovernedColumn]:
    """The columns of the view's relation that a part of its definition names."""
    inside = {id(node["ColumnRef"]) for node in walk(part) if "ColumnRef" in node}
    found = []
    for use in analysis.uses:
        if id(use.node) in inside:
            owned = owners(use)
            column = None if owned.whole_row or owned.column == STAR else table.column(owned.column)
            if column is None or not owned.certain:
                what = f"It is not known what {'.'.join(use.fields)} means in it."
                raise CannotWriteError(what, "It is not known what all names in it mean.")
            found.append(column)
    return found


def _check_condition(statement: Node, analysis: Analysis, table: GovernedTable, snapshot: Snapshot) -> None:
    where = statement["SelectStmt"].get("whereClause")
    if not all(column.treatment.plain for column in _governed(where, analysis, table)):
        raise CannotWriteError("It chooses its rows by values of which the rules hide some.")
    if table.rows and not Fences.of(statement, analysis, snapshot, SearchPath(("pg_catalog",)), ()).leakproof_condition(
        where
    ):
        raise CannotWriteError("What it chooses its rows by could tell of rows that the rules hide.")


def _check_rows(
    view: Relation, base: Relation, table: GovernedTable, app: AppPolicy, snapshot: Snapshot, same: set[str]
) -> None:
    """The row policies must mean the same over the view as over what it reads."""
    for row in table.rows:
        if row.where is None:
            continue
        try:
            over_base = compile_predicate(row.where, base, app, snapshot)
            over_view = compile_predicate(row.where, view, app, snapshot)
        except ConsentryError as error:
            raise CannotWriteError(f"{row.policy} cannot be asked of it.") from error
        if over_base != over_view or not same.issuperset(over_base.columns):
            raise CannotWriteError(f"{row.policy} needs a column that it does not show under its own name.")


def _subject(table: GovernedTable, same: set[str]) -> Subject | None:
    subject = table.subject
    asks = any(c.asks_consent for c in table.columns) or any(row.consent for row in table.rows)
    if subject is not None and asks:
        first = subject.steps[0].from_column if subject.steps else subject.column
        if first not in same:
            without = "which it does not show under its own name."
            raise CannotWriteError(
                f'Consent is asked by column "{first}", {without}', f"Consent is asked by a column {without}"
            )
    return subject if asks else None
