"""Pass: each read of a governed relation in FROM reads its governed form."""

from __future__ import annotations

from proxy.errors import PgError
from proxy.policy.names import quote_identifier
from proxy.rewrite.carried import Carried
from proxy.rewrite.context import Context
from proxy.rewrite.copies import Copies
from proxy.rewrite.grouping import complete_group_by
from proxy.rewrite.lex import Node
from proxy.rewrite.outputs import Outputs
from proxy.rewrite.qualifiers import name_apart, shorten_names
from proxy.rewrite.scope import (
    STAR,
    SYSTEM_COLUMNS,
    SYSTEM_SCHEMAS,
    Reference,
    View,
    flatten,
    owners,
)


def rewrite_reads(context: Context) -> None:
    """Replaces every governed read, and mends what a sub-query in place of a table would change."""
    reads = [r for r in context.analysis.references if r.role == "read" and r.rewrites]
    if not reads:
        return
    calm = context.fences.leakproof_statement(context.statement) if context.calm is None else context.calm
    apart = context.analysis.locking or _looks_into_ranges(context)
    name_apart(context, reads)
    for reference in reads:
        _check_renamed_columns(context, reference)
        _check_renamed_rows(context, reference)
        if reference.view is not None:
            _replace_view(context, reference, reference.view, apart, calm)
        else:
            _replace(context, reference, apart, calm)
    _check_natural_joins(context)
    _check_renamed_joins(context)
    shorten_names(context, reads)
    complete_group_by(context, reads)


def _replace(context: Context, reference: Reference, apart: bool, calm: bool) -> None:
    table = reference.table
    assert table is not None
    fenced = bool(table.rows) and not calm
    form = context.form_of(table).read(
        only=not reference.node.get("inh", False),
        sample=_take_sample(context, reference),
        system=system_columns(context, reference),
        apart=apart,
        fenced=fenced,
        comparisons=_comparisons(context, reference, fenced, calm),
    )
    place(context, reference, form)
    for row in table.rows:
        context.decided_by(row.policy)


def _comparisons(context: Context, reference: Reference, fenced: bool, calm: bool) -> list[str]:
    """What of the app's own goes inside of the form.

    Comparisons with values that the app may not see, too, where nothing could tell which rows they have left: the form
    gives NULL in place of the others, so that they would go anyway. EXPLAIN would tell.
    """
    if reference.level is None:
        return []
    copies = Copies(context.fences, reference)
    comparisons = copies.of_level(reference.level) if fenced else []
    explained = context.app.explain or next(iter(context.statement)) in ("ExplainStmt", "PrepareStmt")
    told = not calm or context.calm is not None or explained
    return comparisons if told else [*comparisons, *copies.of_level(reference.level, raw=True)]


def _replace_view(context: Context, reference: Reference, view: View, apart: bool, calm: bool) -> None:
    if reference.sampled:
        message = "TABLESAMPLE clause can only be applied to tables and materialized views"
        raise PgError(message, "42809", position=context.position(reference.start))
    carried = _carried(context, reference, view, calm)
    place(context, reference, context.view_text(view, apart, calm, carried, context.fences.values))
    context.disclosed |= dict.fromkeys(view.disclosed)
    context.policies |= dict.fromkeys(view.policies)


def _carried(context: Context, reference: Reference, view: View, calm: bool) -> list[str]:
    """What of the app's own goes inside of the view's forms."""
    fenced = not calm and any(table.rows for table in view.governed)
    return Carried(context.fences, reference).of_level(reference.level) if fenced and reference.level else []


_RANGE_SUPPORT = 170000  # the first version that fails
_CONTAINMENT = ("@>", "<@")
_CONTAINMENT_FUNCTIONS = ("range_contains_elem", "elem_contained_by_range")


def _looks_into_ranges(context: Context) -> bool:
    """Whether a value could be looked for in a constant range.

    PostgreSQL from 17 on cannot plan that where the value is computed of `x = ANY (column)`, as in the join shape ("no
    relation entry for relid"): its support function asks for the array's length before relations are known.
    """
    if context.snapshot.server_version < _RANGE_SUPPORT:
        return False
    return any(
        _may_look_into_range(context, node)
        if kind == "A_Expr"
        else kind == "FuncCall" and node["funcname"][-1]["String"]["sval"] in _CONTAINMENT_FUNCTIONS
        for kind, node in context.analysis.nodes
    )


def _may_look_into_range(context: Context, node: Node) -> bool:
    if node["kind"] not in _OPERATIONS or node["name"][-1]["String"]["sval"] not in _CONTAINMENT:
        return False
    sides = [node[side] for side in ("lexpr", "rexpr") if side in node]
    named = [side for side in sides if "ColumnRef" in side and id(side["ColumnRef"]) in context.fences.uses]
    columns = [column for column in map(context.fences.known_column, named) if column is not None]
    return not any(c.type_category in ("A", "R") or c.base_type == "jsonb" for c in columns)


_OPERATIONS = ("AEXPR_OP", "AEXPR_OP_ANY", "AEXPR_OP_ALL")


def place(context: Context, reference: Reference, sub_query: str) -> None:
    """Puts `sub_query` where `[ONLY] name [*]` stands; an alias stays, a missing one is the relation's name."""
    index = context.token_at(reference.start)
    after = context.name_end(index)
    start, end = context.tokens[index].start, context.tokens[after - 1].end
    keyword = index - 1
    if not reference.node.get("inh", False):
        if context.tokens[keyword].text == b"(":
            keyword -= 1
            end = context.tokens[after].end
        start = context.tokens[keyword].start
        keyword -= 1
    elif after < len(context.tokens) and context.tokens[after].text == b"*":
        end = context.tokens[after].end
    alias = "" if "alias" in reference.node else f" AS {quote_identifier(reference.alias)}"
    if _is_table_command(reference):
        start = context.tokens[keyword].start
        sub_query = f"SELECT * FROM {sub_query}"
    context.edit(start, end, sub_query + alias)


def _is_table_command(reference: Reference) -> bool:
    """`TABLE t`: the tree has a `*` that stands nowhere in the text."""
    node = reference.level.node if reference.level else None
    targets = (node or {}).get("targetList", [])
    value = targets[0]["ResTarget"].get("val", {}) if len(targets) == 1 else {}
    return bool(value.get("ColumnRef", {}).get("location", 0) == -1)


def _take_sample(context: Context, reference: Reference) -> str:
    """Cuts the TABLESAMPLE clause out of the text; it goes inside the form."""
    if not reference.sampled:
        return ""
    index = context.token_at(reference.start)
    while context.tokens[index].word != "tablesample":
        index += 1
    start = context.tokens[index].start
    while context.tokens[index].text != b"(":
        index += 1
    last = context.matching(index)
    if last + 1 < len(context.tokens) and context.tokens[last + 1].word == "repeatable":
        last = context.matching(last + 2)
    end = context.tokens[last].end
    if any(edit.start >= start and edit.end <= end for edit in context.edits):
        raise context.unsupported("TABLESAMPLE of a governed relation cannot hold a sub-query", start=start)
    context.edit(start, end, "")
    return context.raw[start:end].decode()


def system_columns(context: Context, reference: Reference) -> list[str]:
    """The system columns that the statement names of this reference, in their fixed order."""
    named = {
        use.fields[-1]
        for use, source, whole_row in context.uses_of(reference)
        if use.fields[-1] in SYSTEM_COLUMNS and source.has(use.fields[-1]) and not whole_row
    }
    return [name for name in SYSTEM_COLUMNS if name in named]


def _check_renamed_columns(context: Context, reference: Reference) -> None:
    """`t AS x(a, b, c)` with a column among the first that the form has not would silently name others."""
    renames = reference.node.get("alias", {}).get("colnames", [])
    denied = [column.denied for column in reference.columns[: len(renames)] if column.denied is not None]
    if denied:
        raise context.denied_column(*denied[0], reference.start)
    dropped = [i for i, c in enumerate(reference.columns) if c.action == "drop"] if renames else []
    if dropped and dropped[0] < len(renames):
        raise context.unsupported(
            f'a column alias list over relation "{reference.name}" would name other columns than it says',
            f"App {context.app.name} does not have all of its columns. Name the columns in a sub-query instead.",
            reference.start,
        )


def _check_renamed_rows(context: Context, reference: Reference) -> None:
    """The row of `t AS x(a, b)`, told with its names: in PostgreSQL those of t, in the row of a sub-query a and b."""
    renames = reference.node.get("alias", {}).get("colnames", [])
    relation = reference.relation
    if not renames or relation is None:
        return
    there = [column.name for column in relation.columns if column.number > 0]
    if all(new["String"]["sval"] == old for new, old in zip(renames, there, strict=False)):
        return
    outputs = Outputs(context.analysis.nodes)
    for use, source, whole_row in context.uses_of(reference):
        listed = use.fields[-1] == STAR and outputs.is_output(use.node)
        if whole_row and not listed and source in owners(use).sources and _tells_names(context):
            raise context.unsupported(
                f'the row of "{reference.name}" cannot be told with its names here, where its columns have other ones',
                "Name the columns, or rename them in a sub-query.",
                use.start if use.start >= 0 else reference.start,
            )


def _tells_names(context: Context) -> bool:
    """Whether anything in the statement may read the names of a row's columns."""
    for kind, node in context.analysis.nodes:
        if kind.startswith("Json"):
            return True
        if kind == "FuncCall":
            *schema, name = (part["String"]["sval"] for part in node["funcname"])
            called = context.snapshot.functions_named(name, schema[-1] if schema else None, context.path)
            if "json" in name or any(function.schema not in SYSTEM_SCHEMAS for function in called):
                return True
    return False


def _check_renamed_joins(context: Context) -> None:
    """The list of names of `(t JOIN u ...) AS j (a, b, c)` counts the columns that the app is denied."""
    for level in context.analysis.levels:
        for source in level.sources:
            names = [part.columns for part in source.members]
            if source.columns is None or None in names or source.columns == tuple(c for n in names for c in n or ()):
                continue
            for member in source.members:
                for column in member.reference.columns if member.reference is not None else ():
                    if column.denied is not None and member.reference is not None:
                        raise context.denied_column(*column.denied, member.reference.start)


def _check_natural_joins(context: Context) -> None:
    """A form that shows a system column would be joined by it. (A dropped column is in no form: for the app the
    relation has none, and PostgreSQL joins by the others.)
    """
    for sources in context.analysis.natural_joins:
        joined = flatten(tuple(sources))
        for source in joined:
            read = source.reference
            for column in read.columns if read is not None else ():
                others = (other for other in joined if other is not source)
                if column.denied is not None and any(other.has(column.name) for other in others):
                    raise context.denied_column(*column.denied, read.start if read is not None else -1)
            if read is not None and read.rewrites and system_columns(context, read):
                raise context.unsupported(
                    "NATURAL JOIN of a governed relation of which a system column is named",
                    "Write the join's condition with ON or USING.",
                    read.start,
                )
