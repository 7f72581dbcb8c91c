"""Pass: INSERT, UPDATE, DELETE, MERGE and COPY of governed relations.

The written relation stays in place (joining it to itself would break concurrent updates). What the statement reads of
it is
replaced, expression by expression; row policies go into WHERE; columns are written only where the rules let the app.
"""

from __future__ import annotations

from collections.abc import Collection

from proxy.errors import PgError
from proxy.policy.table import GovernedColumn, GovernedTable
from proxy.rewrite.context import Context
from proxy.rewrite.forms import is_form_alias
from proxy.rewrite.lex import Node, quote_identifier
from proxy.rewrite.scope import STAR, SYSTEM_COLUMNS, ColumnUse, Level, ReadColumn, Reference, Source


def rewrite_writes(context: Context) -> None:
    """Checks and rewrites every governed target of the statement, those in CTEs included."""
    for reference in context.analysis.references:
        if reference.table is None or reference.statement is None:
            continue
        if reference.role == "copy_to":
            _copy_to(context, reference, reference.table)
        elif reference.role == "copy_from":
            _check_written(context, reference.table, _copied_columns(context, reference, reference.table))
            if not reference.table.plain:
                _replace_uses(context, reference, reference.table)
        elif reference.role == "target":
            _target(context, reference, reference.table)


def _target(context: Context, reference: Reference, table: GovernedTable) -> None:
    node = reference.statement
    assert node is not None
    kind = next(kind for kind, statement in context.analysis.statements if statement is node)
    conflict = node.get("onConflictClause", {})
    inserted: list[str] = []
    match kind:
        case "InsertStmt":
            if not any(column.treatment.visible or column.treatment.writable for column in table.columns):
                raise context.refuse(
                    f'permission denied to insert into relation "{table.name}"',
                    f"App {context.app.name} is shown no column of it.",
                    reference.start,
                )
            inserted = _inserted_columns(context, reference, table)
            _check_written(context, table, inserted)
            _check_written(context, table, _assigned(conflict))
        case "UpdateStmt":
            _check_written(context, table, _assigned(node))
        case "DeleteStmt":
            _check_deletable(context, table, reference)
        case "MergeStmt":
            for clause in node["mergeWhenClauses"]:
                when = clause["MergeWhenClause"]
                if when["commandType"] == "CMD_DELETE":
                    _check_deletable(context, table, reference)
                elif when["commandType"] == "CMD_INSERT" and "targetList" not in when and "values" in when:
                    _check_written(context, table, [c.name for c in table.columns[: len(when["values"])]])
                else:
                    _check_written(context, table, _assigned(when))
    if table.plain:
        return
    if is_form_alias(reference.alias):
        raise context.unsupported(
            f'alias "{reference.alias}" is one that the gateway uses itself', "Choose another alias.", reference.start
        )
    if kind == "MergeStmt":
        raise context.unsupported(
            f'MERGE into relation "{table.name}" is not supported where the rules hide a part of it '
            f"from app {context.app.name}",
            "Use INSERT ... ON CONFLICT, or UPDATE and INSERT.",
            reference.start,
        )
    _replace_uses(context, reference, table, inserted)
    if kind in ("UpdateStmt", "DeleteStmt"):
        _restrict_rows(context, reference, table, node)
    elif conflict.get("action") == "ONCONFLICT_UPDATE":
        _restrict_rows(context, reference, table, conflict, after="do")


# -- what is written ------------------------------------------------------------------------------------------------


def _assigned(node: Node) -> list[str]:
    return [item["ResTarget"]["name"] for item in node.get("targetList", ()) if "name" in item["ResTarget"]]


def _check_written(context: Context, table: GovernedTable, names: list[str]) -> None:
    for name in names:
        column = table.column(name)
        if column is None or column.treatment.action == "drop":
            raise PgError(f'column "{name}" of relation "{table.name}" does not exist', "42703")
        if not column.treatment.writable:
            raise _not_writable(context, table, column)


def _not_writable(context: Context, table: GovernedTable, column: GovernedColumn) -> PgError:
    because = column.treatment.policy
    return context.refuse(
        f'permission denied to write column "{column.name}" of relation "{table.name}"',
        f"App {context.app.name} has it as: {column.treatment}"
        + (f", by {because}" if because else "")
        + ". A policy with `write: allow` would let it write.",
    )


def _check_deletable(context: Context, table: GovernedTable, reference: Reference) -> None:
    """A row goes with all of its columns: not where the app must not write one, or is shown none."""
    for column in table.columns:
        if column.treatment.write == "deny":
            raise context.refuse(
                f'permission denied to delete from relation "{table.name}"',
                f'{column.treatment.policy} denies writing its column "{column.name}" to app {context.app.name}.',
                reference.start,
            )
    if not any(column.treatment.visible for column in table.columns):
        raise context.refuse(
            f'permission denied to delete from relation "{table.name}"',
            f"App {context.app.name} is shown no column of it.",
            reference.start,
        )


def _inserted_columns(context: Context, reference: Reference, table: GovernedTable) -> list[str]:
    """The columns that an INSERT writes; without a list those that exist for the app, spelled out where one is
    dropped.
    """
    node = reference.statement
    assert node is not None
    if "cols" in node:
        return [item["ResTarget"]["name"] for item in node["cols"]]
    if "selectStmt" not in node:  # DEFAULT VALUES
        return []
    columns = [c.name for c in table.columns if c.treatment.action != "drop"]
    query = node["selectStmt"]["SelectStmt"]
    names = context.analysis.outputs.get(id(query))
    if names is None:
        raise context.unsupported(
            f'INSERT into "{table.name}" without a column list, from a query whose columns are not known',
            "Give INSERT a list of columns.",
            reference.start,
        )
    columns = columns[: len(names)]
    if any(c.treatment.action == "drop" for c in table.columns):
        _insert_list(context, reference, columns)
    return columns


def _copied_columns(context: Context, reference: Reference, table: GovernedTable) -> list[str]:
    node = reference.statement
    assert node is not None
    assert reference.relation is not None
    if "attlist" in node:
        return [item["String"]["sval"] for item in node["attlist"]]
    generated = {c.name for c in reference.relation.columns if c.generated}
    columns = [c.name for c in table.columns if c.treatment.action != "drop" and c.name not in generated]
    if any(c.treatment.action == "drop" for c in table.columns):
        _insert_list(context, reference, columns)
    return columns


def _insert_list(context: Context, reference: Reference, columns: list[str]) -> None:
    after = context.name_end(context.token_at(reference.start))
    if "alias" in reference.node:
        after += 2  # AS alias
    at = context.tokens[after - 1].end
    context.edit(at, at, f" ({', '.join(map(quote_identifier, columns))})")


# -- what is read of the written relation ---------------------------------------------------------------------------


def _replace_uses(context: Context, reference: Reference, table: GovernedTable, inserted: Collection[str] = ()) -> None:
    """`inserted`: the columns that an INSERT gives values for."""
    form = context.form_of(table)
    stars = _returned_stars(reference)
    for use, source, whole_row in context.uses_of(reference):
        if source.proposed and not whole_row:
            _check_proposed(context, table, use, inserted)
            continue
        alias = quote_identifier(source.name or reference.name)
        if whole_row:
            if id(use.node) not in stars:
                raise context.unsupported(
                    f'the whole row of "{table.name}" cannot be used while it is written',
                    "Name the columns.",
                    use.start,
                )
            _expand_star(context, use, source, table, reference)
            continue
        name = use.fields[-1]
        column = table.column(name)
        if column is None:
            if name in SYSTEM_COLUMNS:
                continue
            raise PgError(f'column "{name}" does not exist', "42703", position=context.position(use.start))
        if column.treatment.action == "drop":
            raise PgError(f"column {_printed(use)} does not exist", "42703", position=context.position(use.start))
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
        named = f" AS {quote_identifier(name)}" if id(use.node) in _returned_columns(reference) else ""
        context.edit(use.start, end, form.column(name, alias) + named)


def _check_proposed(context: Context, table: GovernedTable, use: ColumnUse, inserted: Collection[str]) -> None:
    """`excluded.c` is the app's own value, where it gave one; else it may be what a trigger or a default made."""
    name = use.fields[-1]
    column = table.column(name)
    if len(use.fields) == 1:
        raise PgError(f'column reference "{name}" is ambiguous', "42702", position=context.position(use.start))
    if column is None or column.treatment.action == "drop":
        raise PgError(f"column {_printed(use)} does not exist", "42703", position=context.position(use.start))
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


def _returning(reference: Reference) -> list[Node]:
    statement = reference.statement or {}
    return [item["ResTarget"] for item in statement.get("returningClause", {}).get("exprs", ())]


def _returned_stars(reference: Reference) -> set[int]:
    """ids of the ColumnRef nodes in RETURNING that are `*` or `t.*` as an item of their own."""
    found = set()
    for item in _returning(reference):
        column = item["val"].get("ColumnRef")
        if column and "A_Star" in column["fields"][-1]:
            found.add(id(column))
    return found


def _returned_columns(reference: Reference) -> set[int]:
    """ids of the ColumnRef nodes that are a RETURNING item without a name of its own."""
    return {
        id(item["val"]["ColumnRef"])
        for item in _returning(reference)
        if "ColumnRef" in item["val"] and "name" not in item
    }


def _expand_star(context: Context, use: ColumnUse, source: Source, table: GovernedTable, reference: Reference) -> None:
    if use.fields == (STAR,) and len(use.level.sources) > 1:
        raise context.unsupported(
            f'RETURNING * of "{table.name}" beside other relations',
            f"Write {reference.alias}.* and the others.",
            use.start,
        )
    form = context.form_of(table)
    alias = quote_identifier(source.name or reference.name)
    items = []
    for column in table.columns:
        if not column.treatment.visible:
            continue
        text = form.column(column.name, alias)
        items.append(
            f"{alias}.{quote_identifier(column.name)}"
            if column.treatment.plain
            else f"{text} AS {quote_identifier(column.name)}"
        )
    if not items:
        raise context.refuse(f'app {context.app.name} has no column of relation "{table.name}"', start=use.start)
    index = context.token_at(use.start)
    end = context.tokens[context.name_end(index) - 1].end
    context.edit(use.start, end, ", ".join(items))


# -- which rows are written -----------------------------------------------------------------------------------------


def _restrict_rows(context: Context, reference: Reference, table: GovernedTable, clause: Node, after: str = "") -> None:
    """Row policies into WHERE; the app's own condition behind CASE where it could tell of a hidden row.

    `clause` has the WHERE: an UPDATE, a DELETE, or ON CONFLICT's DO UPDATE (`after` is then the keyword DO).
    """
    where = clause.get("whereClause")
    if where is not None and "CurrentOfExpr" in where:
        raise context.unsupported(
            f'WHERE CURRENT OF on relation "{table.name}", of which the rules hide a part', start=reference.start
        )
    if not table.rows:
        return
    for row in table.rows:
        context.policies[row.policy.name] = None
    alias = quote_identifier(reference.alias)
    rows = " AND ".join(context.form_of(table).rows(alias))
    first, last = _condition(context, reference, after)
    end = context.tokens[last].end
    if first is None:
        context.edit(end, end, f" WHERE {rows}")
        return
    begin = context.tokens[first].end
    proposed = any(source.proposed for _, source, _ in context.uses_of(reference))
    if not proposed and context.fences.leakproof_condition(where):
        context.edit(begin, begin, f" {rows} AND (")
        context.edit(end, end, ")")
        return
    # DO UPDATE has found its row by the key that conflicts: no comparison would help.
    copied = "" if after else _comparisons(context, reference, clause, alias)
    context.edit(begin, begin, f" {copied}{rows} AND CASE WHEN {rows} THEN (")
    context.edit(end, end, ") ELSE FALSE END")


def _comparisons(context: Context, reference: Reference, node: Node, alias: str) -> str:
    """The app's own comparisons that may stand before the row policies, so that indexes stay in use."""
    level = next(
        level
        for level in context.analysis.levels
        if level.node is node and len(level.sources) and level.sources[0].reference is reference
    )
    return "".join(f"{c} AND " for c in context.fences.comparisons(reference, level, alias))


def _condition(context: Context, reference: Reference, after: str) -> tuple[int | None, int]:
    """(index of the token WHERE or None, index of the last token before RETURNING or the statement's end).

    `after`: the keyword behind which it stands, if any (DO of ON CONFLICT).
    """
    tokens = context.tokens
    index = context.token_at(reference.start)
    depth = 0
    while after and not (depth == 0 and tokens[index].word == after):
        depth += (tokens[index].text == b"(") - (tokens[index].text == b")")
        index += 1
    where = None
    while index < len(tokens):
        token = tokens[index]
        depth += (token.text == b"(") - (token.text == b")")
        if depth < 0 or token.text == b";":
            break
        if depth == 0:
            if token.word == "returning":
                break
            if token.word == "where" and where is None:
                where = index
        index += 1
    return where, index - 1


# -- COPY t TO ------------------------------------------------------------------------------------------------------


def _copy_to(context: Context, reference: Reference, table: GovernedTable) -> None:
    node = reference.statement
    assert node is not None
    assert reference.relation is not None
    names = [item["String"]["sval"] for item in node.get("attlist", ())]
    for name in names:
        column = table.column(name)
        if column is None or column.treatment.action == "drop":
            raise PgError(f'column "{name}" of relation "{table.name}" does not exist', "42703")
    touched = [c for c in table.columns if (c.name in names if names else c.treatment.action != "drop")]
    for column in touched:
        if column.treatment.action == "deny":
            raise context.denied_column(table, column, reference.start)
        context.disclose(ReadColumn.of(table, column))
    if table.plain:
        return
    for row in table.rows:
        context.policies[row.policy.name] = None
    index = context.token_at(reference.start)
    after = context.name_end(index)
    if names:
        after = context.matching(after) + 1
    columns = ", ".join(map(quote_identifier, names)) if names else "*"
    form = context.form_of(table).read(only=reference.relation.kind == "r")
    context.edit(
        context.tokens[index].start,
        context.tokens[after - 1].end,
        f"(SELECT {columns} FROM {form} AS {quote_identifier(reference.name)})",
    )
