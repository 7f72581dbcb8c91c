"""Pass: what a statement reads of the relation that it writes, name by name, is governed."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from proxy.errors import PgError
from proxy.policy.names import quote_identifier
from proxy.policy.table import GovernedTable
from proxy.rewrite.context import Context
from proxy.rewrite.lex import Node
from proxy.rewrite.outputs import Outputs
from proxy.rewrite.rows import shows_all_columns
from proxy.rewrite.scope import SYSTEM_COLUMNS, ColumnUse, Level, Reference, Source, flatten, owners


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
    start = conflict.get("infer", {}).get("location", -1)
    for item in conflict.get("infer", {}).get("indexElems", ()):
        name = item["IndexElem"].get("name")
        if name is None:
            continue
        column = table.column(name)
        if column is None or column.treatment.action == "drop":
            raise context.missing_column(f'column "{name}" does not exist', column, start)
        if column.treatment.action == "deny":
            raise context.denied_column(table, column, -1)


def check_names(context: Context, reference: Reference, table: GovernedTable) -> None:
    """Bare names that nothing has for the app, where the target can be seen. The server would find its hidden columns
    (in FROM it says that the target cannot be named there), and the proof may not know what to make of such a name.
    One after the other: which of several is said must not tell hidden columns from missing ones.
    """
    for use in context.analysis.uses:
        if _is_hidden(use, reference, table):
            raise context.missing_column(
                f"column {_printed(use)} does not exist", table.column(use.fields[-1]), use.start
            )
        if len(use.fields) > 1 or use.clause == "using" or owners(use).sources:
            continue
        levels = list(_outward(use.level))
        if not any(level.node is reference.statement for level in levels) or _may_be_known(context, use, levels):
            continue
        raise context.missing_column(f"column {_printed(use)} does not exist", table.column(use.fields[0]), use.start)


def _is_hidden(use: ColumnUse, reference: Reference, table: GovernedTable) -> bool:
    """Whether it means a column of the target that nothing has for the app."""
    found = owners(use)
    column = table.column(use.fields[-1])
    if (
        found.whole_row
        or use.fields[-1] in SYSTEM_COLUMNS
        or (column is not None and column.treatment.action != "drop")
    ):
        return False
    return any(source.reference is reference for source in flatten(found.sources))


def _may_be_known(context: Context, use: ColumnUse, levels: list[Level]) -> bool:
    """Whether it may be an output of its own query, or of a CTE that comes later, whose columns are not known yet."""
    names = context.analysis.outputs.get(id(use.level.node), ())
    output = use.clause in ("group", "distinct", "order") and (names is None or use.fields[0] in names)
    return output or any(source.columns == () for level in levels for source in level.sources)


def _outward(level: Level | None) -> Iterator[Level]:
    while level is not None:
        yield level
        level = level.parent


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
    for level in _outward(use.level):
        if source in level.sources:
            return False
        if any(other.name == source.name for other in level.sources):
            return True
    return False


def _printed(use: ColumnUse) -> str:
    return ".".join(use.fields) if len(use.fields) > 1 else f'"{use.fields[0]}"'
