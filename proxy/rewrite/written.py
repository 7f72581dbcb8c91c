"""Pass: what a statement reads of the relation that it writes, name by name, is governed."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from proxy.errors import PgError
from proxy.policy.names import quote_identifier
from proxy.policy.table import GovernedTable
from proxy.rewrite.context import Context
from proxy.rewrite.lex import Node
from proxy.rewrite.merged import merged_alias
from proxy.rewrite.outputs import Outputs
from proxy.rewrite.rows import Places, is_spelled, shows_all_columns
from proxy.rewrite.scope import STAR, SYSTEM_COLUMNS, ColumnUse, Level, Reference, Source, flatten, owners

_BY_OUTPUTS = ("group", "distinct", "order")


def replace_uses(
    context: Context,
    reference: Reference,
    table: GovernedTable,
    inserted: Collection[str] = (),
    qualified: Collection[int] = (),
) -> None:
    """Puts governed expressions in the place of columns. `inserted`: those that an INSERT gives values for;
    `qualified`: uses that mean another source, by id.
    """
    form = context.form_of(table)
    outputs = Outputs(context.analysis.nodes)
    for use, source, whole_row in context.uses_of(reference):
        if id(use) in qualified:
            continue
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
        if use.clause == "passing":  # of no value that is made there PostgreSQL settles the collation
            raise context.unsupported(
                f'column "{name}" of "{table.name}" cannot be passed to json_table here: app {context.app.name} has it '
                f"as {column.treatment}",
                "Pass it from a sub-query: FROM (SELECT t.c) s, json_table(... PASSING s.c AS ...).",
                use.start,
            )
        if _shadowed(use, source):
            raise context.unsupported(
                f'"{name}" means a column of "{table.name}" where another relation has the name {alias}',
                "Use another alias in the sub-query.",
                use.start,
            )
        if len(use.fields) == 1 and any(_has(other, name) for other in owners(use).sources if other is not source):
            raise PgError(f'column reference "{name}" is ambiguous', "42702", position=context.position(use.start))
        index = context.token_at(use.start)
        end = context.tokens[context.name_end(index) - 1].end
        governed = form.column(name, alias, version=source.named_only)
        if use.clause == "json_table":  # PostgreSQL settles no collations there, but within a query
            governed = f"(SELECT {governed})"
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


def check_names(context: Context, reference: Reference, table: GovernedTable) -> set[int]:
    """Bare names that nothing has for the app, where the target can be seen. The server would find its hidden columns
    (in FROM it says that the target cannot be named there), and the proof may not know what to make of such a name.
    One after the other: which of several is said must not tell hidden columns from missing ones.

    A bare name that means something else beside such a column is qualified; gives the ids of these uses.
    """
    qualify = _Qualifier(context, reference, table)
    for use in context.analysis.uses:
        if _is_hidden(use, reference, table):
            raise context.missing_column(
                f"column {_printed(use)} does not exist", table.column(use.fields[-1]), use.start
            )
        if len(use.fields) > 1 or use.clause == "using" or qualify.use(use):
            continue
        if owners(use).sources and not qualify.hides(use.fields[0]):
            continue
        levels = list(_outward(use.level))
        if not any(level.node is reference.statement for level in levels) or _may_be_known(context, use, levels):
            continue
        raise context.missing_column(f"column {_printed(use)} does not exist", table.column(use.fields[0]), use.start)
    return qualify.done


class _Qualifier:
    """Qualifies bare names by what they mean for the app, where the server would find a column of the target which is
    not there for the app, or might, where a function in FROM has the name.
    """

    def __init__(self, context: Context, reference: Reference, table: GovernedTable) -> None:
        relation = reference.relation
        existing = {column.name for column in relation.columns} if relation is not None else set()
        shown = {column.name for column in table.columns if column.treatment.action != "drop"}
        self._hidden = existing - shown
        self._masked = {c.name for c in table.columns if c.treatment.visible and not c.treatment.plain}
        self._shown = shown - self._masked
        self._context = context
        self._reference = reference
        self._places: Places | None = None
        self.done: set[int] = set()

    def hides(self, name: str) -> bool:
        """Whether the target has a column of the name that the app does not have."""
        return name in self._hidden

    def use(self, use: ColumnUse) -> bool:
        """Whether it is known what the name means, and that the server finds just that: now, if not by itself."""
        (name,) = use.fields
        if name in self._shown or name == STAR or name in SYSTEM_COLUMNS or not (self._hidden or name in self._masked):
            return False
        levels: list[Level] = []  # up to the target's
        for level in _outward(use.level):
            levels.append(level)
            if level.node is self._reference.statement:
                break
        else:
            return False
        unknown: list[Source] = []
        for level in levels:
            seen = [source for source in level.sources if not source.hidden and not source.named_only]
            having = [source for source in seen if _has(source, name)]
            if having:
                near = level is not levels[-1]
                return (name in self._hidden or name in self._masked) and self._column(
                    use, having, near=near, unknown=bool(unknown)
                )
            unknown += [source for source in seen if source.columns is None]
        if name in self._masked:
            return False
        if unknown:
            return len(unknown) == 1 and self._of_unknown(use, unknown[0], levels)
        return name in self._hidden and self._row(use, levels)

    def _of_unknown(self, use: ColumnUse, source: Source, levels: list[Level]) -> bool:
        """Nothing else can have the column. So it is with names that nothing has: errors must not tell hidden ones."""
        (name,) = use.fields
        rows = any(one.name == name for level in levels for one in level.sources)
        if rows or source.name is None or use.start < 0 or _shadowed(use, source) or use.clause in _BY_OUTPUTS:
            return False
        self._context.edit(use.start, use.start, f"{quote_identifier(source.name)}.")
        self.done.add(id(use))
        return True

    def _column(self, use: ColumnUse, having: list[Source], *, near: bool, unknown: bool) -> bool:
        """`having`: the sources of the nearest level that have the column; `near`: that is within the target's."""
        (name,) = use.fields
        (source,) = having if len(having) == 1 else (None,)
        if near and any(one.has(name) for one in having):
            return True  # the server looks no further
        if not near and name in self._masked:
            return False  # the target has it, too
        if unknown or use.start < 0:
            return False
        if source is not None:
            if source.name is None or _shadowed(use, source):
                return False
            alias: str | None = quote_identifier(source.name)
        else:
            alias = merged_alias(self._context, having, name)
            if alias is None:
                if any(all(one in joined for one in having) for joined in self._context.analysis.natural_joins):
                    return False
                raise PgError(
                    f'column reference "{name}" is ambiguous', "42702", position=self._context.position(use.start)
                )
        self._context.edit(use.start, use.start, f"{alias}.")
        self.done.add(id(use))
        return True

    def _row(self, use: ColumnUse, levels: list[Level]) -> bool:
        """The row of an item of FROM: the server would look for a column first."""
        (name,) = use.fields
        rows = next(
            (rows for level in levels if (rows := [s for s in level.sources if s.name == name and not s.hidden])), []
        )
        if len(rows) != 1 or use.start < 0:
            return False
        if self._places is None:
            self._places = Places(self._context.analysis.nodes)
        end = self._context.tokens[self._context.token_at(use.start)].end
        if id(use.node) in self._places.parts:
            self._context.edit(end, end, ".*")
        elif is_spelled(self._context, rows[0]):
            return True
        else:  # `t.*` by itself would be its columns, in a list
            text = f"COALESCE({quote_identifier(name)}.*)" + self._places.outputs.name(self._context, use.node)
            self._context.edit(use.start, end, text)
        self.done.add(id(use))
        return True


def _has(source: Source, column: str) -> bool:
    """Whether a bare name means the source's column, or else, of a function, itself."""
    return not source.hidden and (source.has(column) or (source.named_alike and source.name == column))


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
    output = use.clause in _BY_OUTPUTS and names is None
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
