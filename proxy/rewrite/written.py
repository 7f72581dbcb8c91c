"""Pass: what a statement reads of the relation that it writes, name by name, is governed."""

from __future__ import annotations

from collections.abc import Collection

from proxy.errors import PgError
from proxy.policy.names import quote_identifier
from proxy.policy.table import GovernedTable
from proxy.rewrite.context import Context
from proxy.rewrite.lex import Node
from proxy.rewrite.outputs import Outputs
from proxy.rewrite.rows import shows_all_columns
from proxy.rewrite.scope import SYSTEM_COLUMNS, ColumnUse, Level, Reference, Source


def replace_uses(context: Context, reference: Reference, table: GovernedTable, inserted: Collection[str] = ()) -> None:
    """Puts governed expressions in the place of columns. `inserted`: those that an INSERT gives values for."""
    form = context.form_of(table)
    outputs = Outputs(context.analysis.nodes)
    for use, source, whole_row in context.uses_of(reference):
        if whole_row:
            _check_row(context, reference, table, use, source)
            continue
        if source.proposed:
            _check_proposed(context, table, use, inserted)
            continue
        alias = quote_identifier(source.name or reference.name)
        name = use.fields[-1]
        column = table.column(name)
        if column is None and name in SYSTEM_COLUMNS:
            continue
        if column is None or column.treatment.action == "drop":
            raise context.missing_column(f"column {_printed(use)} does not exist", column, use.start)
        if column.treatment.action == "deny":
            raise context.denied_column(table, column, use.start)
        if column.treatment.plain:
            continue
        if reference.role == "copy_from" or use.clause == "conflict":
            raise context.unsupported(
                f'column "{name}" of "{table.name}" cannot be used here: app {context.app.name} has it '
                f"as {column.treatment}",
                start=use.start,
            )
        if _shadowed(use, source):
            raise context.unsupported(
                f'"{name}" means a column of "{table.name}" where another relation has the name {alias}',
                "Use another alias in the sub-query.",
                use.start,
            )
        index = context.token_at(use.start)
        end = context.tokens[context.name_end(index) - 1].end
        governed = form.column(name, alias, version=source.named_only)
        context.edit(use.start, end, governed + outputs.name(context, use.node))


def check_arbiter(context: Context, table: GovernedTable, conflict: Node) -> None:
    """ON CONFLICT (a, b) names a unique index, which says no more than its violation would: the app's columns do."""
    for item in conflict.get("infer", {}).get("indexElems", ()):
        name = item["IndexElem"].get("name")
        if name is None:
            continue
        column = table.column(name)
        if column is None or column.treatment.action == "drop":
            raise context.missing_column(f'column "{name}" does not exist', column)
        if column.treatment.action == "deny":
            raise context.denied_column(table, column, -1)


def _check_row(context: Context, reference: Reference, table: GovernedTable, use: ColumnUse, source: Source) -> None:
    """Whole rows are spelled out by `rewrite_rows`, where they may stand at all."""
    if shows_all_columns(reference, table) and not source.proposed:
        return
    if source.proposed or reference.role != "target" or use.clause == "conflict":
        raise context.unsupported(
            f'the whole row of "{table.name}" cannot be used here', "Name the columns.", use.start
        )


def _check_proposed(context: Context, table: GovernedTable, use: ColumnUse, inserted: Collection[str]) -> None:
    """`excluded.c` is the app's own value, where it gave one; else it may be what a trigger or a default made."""
    name = use.fields[-1]
    column = table.column(name)
    if len(use.fields) == 1:
        raise PgError(f'column reference "{name}" is ambiguous', "42702", position=context.position(use.start))
    if column is None or column.treatment.action == "drop":
        raise context.missing_column(f"column {_printed(use)} does not exist", column, use.start)
    if not column.treatment.plain and name not in inserted:
        raise context.unsupported(
            f'excluded."{name}" cannot be used here: app {context.app.name} has the column as {column.treatment}, '
            "and the INSERT does not give it",
            start=use.start,
        )


def _shadowed(use: ColumnUse, source: Source) -> bool:
    """Whether, where the use stands, the source's name means another relation of an inner level."""
    level: Level | None = use.level
    while level is not None and source not in level.sources:
        if any(other.name == source.name for other in level.sources):
            return True
        level = level.parent
    return False


def _printed(use: ColumnUse) -> str:
    return ".".join(use.fields) if len(use.fields) > 1 else f'"{use.fields[0]}"'
