"""Pass: INSERT, UPDATE, DELETE, MERGE and COPY of governed relations.

The written relation stays in place (joining it to itself would break concurrent updates). What the statement reads of
it is
replaced, expression by expression; row policies go into WHERE; columns are written only where the rules let the app.
"""

from __future__ import annotations

from proxy.catalog.model import Relation
from proxy.errors import PgError
from proxy.policy.names import quote_identifier
from proxy.policy.preferences import OWN_SCHEMA
from proxy.policy.table import GovernedColumn, GovernedTable
from proxy.rewrite.context import Context, named
from proxy.rewrite.forms import is_form_alias
from proxy.rewrite.lex import Node
from proxy.rewrite.restrict import merge_actions, restrict_merge, restrict_rows
from proxy.rewrite.scope import ReadColumn, Reference, View, column_fields
from proxy.rewrite.written import check_arbiter, check_names, replace_uses

Named = tuple[str, int]  # a column's name, and where it stands in the text (-1: it does not)


def rewrite_writes(context: Context) -> None:
    """Checks and rewrites every governed target of the statement, those in CTEs included."""
    for reference in context.analysis.references:
        if reference.table is None or reference.statement is None:
            continue
        if reference.role == "copy_to":
            _copy_to(context, reference, reference.table)
        elif reference.role == "copy_from":
            _check_written(context, reference.table, _copied_columns(context, reference, reference.table))
            _check_options(context, reference, reference.table)
            if not reference.table.plain:
                qualified = check_names(context, reference, reference.table)
                replace_uses(context, reference, reference.table, (), qualified)
        elif reference.role == "target":
            _target(context, reference, reference.table)
    _check_replaced(context)


def _check_replaced(context: Context) -> None:
    """A row that one statement deletes and inserts anew could be another customer's, with the rows that refer to it: a
    foreign key is looked at when the statement ends.
    """
    written = [
        reference
        for reference in context.analysis.references
        if reference.role == "target" and reference.table is not None and reference.table.followed
    ]
    done = {kind for reference in written for kind in _actions(context, reference)}
    if done.issuperset(("CMD_DELETE", "CMD_INSERT")):
        name = written[-1].name
        raise context.refuse(
            f'permission denied to delete and insert rows of relation "{name}" in one statement',
            f"They say whose rows of other tables are, which app {context.app.name} sees only with that customer's "
            "consent. Use two statements.",
            written[-1].start,
        )


def _kind_of(context: Context, target: Reference) -> str:
    """The kind of the statement that writes it."""
    return next(kind for kind, statement in context.analysis.statements if statement is target.statement)


def _actions(context: Context, reference: Reference) -> list[str]:
    kind = _kind_of(context, reference)
    clauses = (reference.statement or {}).get("mergeWhenClauses", ())
    alone = {"DeleteStmt": "CMD_DELETE", "InsertStmt": "CMD_INSERT"}.get(kind, "")
    return [alone, *(clause["MergeWhenClause"]["commandType"] for clause in clauses)]


def _target(context: Context, reference: Reference, table: GovernedTable) -> None:
    node = reference.statement
    assert node is not None
    kind = _kind_of(context, reference)
    conflict = node.get("onConflictClause", {})
    inserted: list[Named] = []
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
            _check_changed(context, reference, table, conflict)
        case "UpdateStmt":
            _check_changed(context, reference, table, node)
        case "DeleteStmt":
            _check_deletable(context, table, reference)
        case "MergeStmt":
            for clause in node["mergeWhenClauses"]:
                when = clause["MergeWhenClause"]
                if when["commandType"] == "CMD_DELETE":
                    _check_deletable(context, table, reference)
                elif when["commandType"] == "CMD_INSERT" and "targetList" not in when and "values" in when:
                    columns = [(c.name, -1) for c in table.columns if c.treatment.action != "drop"]
                    _check_written(context, table, columns[: len(when["values"])])
                elif when["commandType"] == "CMD_UPDATE":
                    _check_changed(context, reference, table, when)
                else:
                    _check_written(context, table, _assigned(when))
    _check_parts(context, table, node)
    if table.plain:
        return
    if is_form_alias(reference.alias):
        raise context.unsupported(
            f'alias "{reference.alias}" is one that the gateway uses itself', "Choose another alias.", reference.start
        )
    check_arbiter(context, table, conflict)
    qualified = check_names(context, reference, table)
    replace_uses(context, reference, table, [name for name, _ in inserted], qualified)
    if kind == "MergeStmt":
        _merged_columns(context, reference, table)
        restrict_merge(context, reference, table, node)
    elif kind in ("UpdateStmt", "DeleteStmt"):
        restrict_rows(context, reference, table, node)
    elif conflict.get("action") == "ONCONFLICT_UPDATE":
        restrict_rows(context, reference, table, conflict, after="do")


# -- what is written ------------------------------------------------------------------------------------------------


def _assigned(node: Node) -> list[Named]:
    return [_named(item) for item in node.get("targetList", ()) if "name" in item["ResTarget"]]


def _named(item: Node) -> Named:
    return item["ResTarget"]["name"], item["ResTarget"].get("location", 0)


def _check_parts(context: Context, table: GovernedTable, node: Node) -> None:
    """`SET a[1] = ...` keeps the rest of the old value, and fails by what that is: of columns that are plain."""
    clauses = [node, node.get("onConflictClause", {})]
    clauses += [clause["MergeWhenClause"] for clause in node.get("mergeWhenClauses", ())]
    for clause in clauses:
        if clause.get("commandType") == "CMD_INSERT":
            continue
        for item in clause.get("targetList", ()):
            column = table.column(item["ResTarget"].get("name", ""))
            if column is not None and "indirection" in item["ResTarget"] and not column.treatment.plain:
                raise context.unsupported(
                    f'a part of column "{column.name}" of relation "{table.name}" cannot be written: app '
                    f"{context.app.name} has the column as {column.treatment}",
                    "Write the whole column.",
                )


def _check_written(context: Context, table: GovernedTable, names: list[Named]) -> None:
    for name, start in names:
        column = _existing(context, table, name, start)
        if not column.treatment.writable:
            raise _not_writable(context, table, column)
        context.decided_by(column.treatment.policy)


def _check_changed(context: Context, reference: Reference, table: GovernedTable, clause: Node) -> None:
    """What an UPDATE assigns; `SET c = c`, as it is written to lock a row or to have it returned, changes nothing."""
    _check_written(context, table, _assigned(clause))
    for item in clause.get("targetList", ()):
        if "name" not in item["ResTarget"]:
            continue
        name, start = _named(item)
        fields = column_fields(item["ResTarget"].get("val", {}).get("ColumnRef", {"fields": []}))
        if fields not in ((name,), (reference.alias, name)) and not _existing(context, table, name).changeable:
            raise context.refuse(
                f'permission denied to change column "{name}" of relation "{table.name}"',
                f"It says whose the row is, and app {context.app.name} sees values or rows only with that customer's "
                "consent. INSERT may give it; so may UPDATE if it has an attribute and a policy with `write: allow`.",
                start,
            )


def _existing(context: Context, table: GovernedTable, name: str, start: int = -1) -> GovernedColumn:
    """The column of this name; raises the error of one that is not there for the app."""
    column = table.column(name)
    if column is None or column.treatment.action == "drop":
        raise context.missing_column(f'column "{name}" of relation "{table.name}" does not exist', column, start)
    return column


def _not_writable(context: Context, table: GovernedTable, column: GovernedColumn) -> PgError:
    because = column.treatment.policy
    return context.refuse(
        f'permission denied to write column "{column.name}" of relation "{table.name}"',
        f"App {context.app.name} has it as: {column.treatment}"
        + (f", by {because}" if because else "")
        + ". A policy with `write: allow` would let it write.",
        policies=named(because),
    )


def _check_deletable(context: Context, table: GovernedTable, reference: Reference) -> None:
    """A row goes with all of its columns: not where the app must not write one, or is shown none."""
    for column in table.columns:
        if column.treatment.write == "deny":
            raise context.refuse(
                f'permission denied to delete from relation "{table.name}"',
                f'{column.treatment.policy} denies writing its column "{column.name}" to app {context.app.name}.',
                reference.start,
                named(column.treatment.policy),
            )
    if not any(column.treatment.visible for column in table.columns):
        raise context.refuse(
            f'permission denied to delete from relation "{table.name}"',
            f"App {context.app.name} is shown no column of it.",
            reference.start,
        )


def _inserted_columns(context: Context, reference: Reference, table: GovernedTable) -> list[Named]:
    """The columns that an INSERT writes; without a list those that exist for the app, spelled out where one is
    dropped.
    """
    node = reference.statement
    assert node is not None
    if "cols" in node:
        return [_named(item) for item in node["cols"]]
    if "selectStmt" not in node:  # DEFAULT VALUES
        return []
    columns = [c.name for c in table.columns if c.treatment.action != "drop"]
    query = node["selectStmt"]["SelectStmt"]
    names = context.analysis.outputs.get(id(query))
    columns = columns if names is None else columns[: len(names)]  # a query of fewer columns is an error then
    if any(c.treatment.action == "drop" for c in table.columns):
        _insert_list(context, reference, columns)
    return [(name, -1) for name in columns]


def _copied_columns(context: Context, reference: Reference, table: GovernedTable) -> list[Named]:
    node = reference.statement
    assert node is not None
    assert reference.relation is not None
    if "attlist" in node:
        return [(item["String"]["sval"], -1) for item in node["attlist"]]
    generated = {c.name for c in reference.relation.columns if c.generated}
    columns = [c.name for c in table.columns if c.treatment.action != "drop" and c.name not in generated]
    if any(c.treatment.action == "drop" for c in table.columns):
        _insert_list(context, reference, columns)
    return [(name, -1) for name in columns]


def _check_options(context: Context, reference: Reference, table: GovernedTable) -> None:
    """COPY's lists of columns beside the one that it copies: FORCE_QUOTE, FORCE_NULL, FORCE_NOT_NULL."""
    node = reference.statement
    assert node is not None
    options = [option["DefElem"] for option in node.get("options", ())]
    forced = ("force_not_null", "force_null") if node.get("is_from") else ("force_quote",)
    if not any(o["defname"] == "format" and o.get("arg", {}).get("String", {}).get("sval") == "csv" for o in options):
        return  # the server says that they are for CSV
    for name in forced:
        for option in options:
            if option["defname"] == name:
                for item in option.get("arg", {}).get("List", {}).get("items", ()):
                    _existing(context, table, item.get("String", {}).get("sval", ""))


def _merged_columns(context: Context, reference: Reference, table: GovernedTable) -> None:
    """MERGE's INSERT without a column list means the columns that exist for the app."""
    if all(column.treatment.action != "drop" for column in table.columns):
        return
    columns = [quote_identifier(c.name) for c in table.columns if c.treatment.action != "drop"]
    clauses = [clause["MergeWhenClause"] for clause in (reference.statement or {})["mergeWhenClauses"]]
    for clause, then in zip(clauses, merge_actions(context, reference), strict=True):
        if clause["commandType"] == "CMD_INSERT" and "targetList" not in clause and "values" in clause:
            at = context.tokens[then + 1].end
            context.edit(at, at, f" ({', '.join(columns[: len(clause['values'])])})")


def _insert_list(context: Context, reference: Reference, columns: list[str]) -> None:
    after = context.name_end(context.token_at(reference.start))
    if "alias" in reference.node:
        after += 2  # AS alias
    at = context.tokens[after - 1].end
    context.edit(at, at, f" ({', '.join(map(quote_identifier, columns))})")


# -- COPY of views ---------------------------------------------------------------------------------------------------


def check_copied_view(context: Context, reference: Reference, view: View) -> None:
    """Raises what PostgreSQL says of COPY of a view that the app has, and that the rules do not list."""
    node = reference.statement
    assert node is not None
    shown = {column.name for column in view.columns if column.action != "drop"}
    for item in node.get("attlist", ()):
        name = item["String"]["sval"]
        if name not in shown:
            raise context.missing_column(f'column "{name}" of relation "{view.relation.name}" does not exist', None)
    if reference.role == "copy_to":
        raise _not_copied(view.relation)
    if not any(part.catalog == "pg_trigger" for part in view.relation.parts):
        hint = "To enable copying to a view, provide an INSTEAD OF INSERT trigger."
        raise PgError(f'cannot copy to view "{view.relation.name}"', "42809", hint=hint)


_NOT_COPIED = {"v": "view", "p": "partitioned table", "f": "foreign table"}


def _not_copied(relation: Relation) -> PgError:
    hint = "Try the COPY (SELECT ...) TO variant."
    return PgError(f'cannot copy from {_NOT_COPIED[relation.kind]} "{relation.name}"', "42809", hint=hint)


# -- COPY t TO ------------------------------------------------------------------------------------------------------


def _copy_to(context: Context, reference: Reference, table: GovernedTable) -> None:
    node = reference.statement
    assert node is not None
    assert reference.relation is not None
    names = [item["String"]["sval"] for item in node.get("attlist", ())]
    generated = {column.name for column in reference.relation.columns if column.generated}
    for number, name in enumerate(names):
        _existing(context, table, name)
        if name in generated:
            detail = "Generated columns cannot be used in COPY."
            raise PgError(f'column "{name}" is a generated column', "42P10", detail=detail)
        if name in names[:number]:
            raise PgError(f'column "{name}" specified more than once', "42701")
    if reference.relation.kind in _NOT_COPIED and reference.relation.schema != OWN_SCHEMA:
        raise _not_copied(reference.relation)
    _check_options(context, reference, table)
    if not names and generated:
        names = [c.name for c in table.columns if c.treatment.action != "drop" and c.name not in generated]
    touched = [c for c in table.columns if (c.name in names if names else c.treatment.action != "drop")]
    for column in touched:
        if column.treatment.action == "deny":
            raise context.denied_column(table, column, reference.start)
        context.disclose(ReadColumn.of(table, column))
    if table.plain:
        return
    for row in table.rows:
        context.decided_by(row.policy)
    index = context.token_at(reference.start)
    after = context.name_end(index)
    if "attlist" in node:
        after = context.matching(after) + 1
    columns = ", ".join(map(quote_identifier, names)) if names else "*"
    form = context.form_of(table).read(only=reference.relation.kind == "r")
    context.edit(
        context.tokens[index].start,
        context.tokens[after - 1].end,
        f"(SELECT {columns} FROM {form} AS {quote_identifier(reference.name)})",
    )
