"""What a statement writes, and whether the rules let the app write it."""

from __future__ import annotations

from proxy.errors import PgError, feature_not_supported, insufficient_privilege
from proxy.policy.table import GovernedTable
from proxy.rewrite.verify.tree import Node, column_of


def implied_columns(table: GovernedTable, insert: Node) -> list[str] | None:
    """The list that an INSERT without one must get, in the table's order; None where it needs none."""
    if "cols" in insert or "selectStmt" not in insert or all(c.treatment.action != "drop" for c in table.columns):
        return None
    columns = [column.name for column in table.columns if column.treatment.action != "drop"]
    count = _width(insert["selectStmt"]["SelectStmt"])
    return columns if count is None else columns[:count]


def given_columns(table: GovernedTable, sent: Node, insert: Node, stars: dict[int, list[str]]) -> list[str]:
    """The columns that an INSERT surely gives values for: those of the list that is sent; else as many of the table's
    as its source has outputs. `stars`: the outputs of queries with `*`, by id, where they can be told.
    """
    if "cols" in sent:
        return [item["ResTarget"]["name"] for item in sent["cols"]]
    if "selectStmt" not in insert:
        return []
    query = insert["selectStmt"]["SelectStmt"]
    count = _width(query)
    while "larg" in query:
        query = query["larg"]
    if count is None:
        count = len(stars.get(id(query), ()))
    return [column.name for column in table.columns if column.treatment.action != "drop"][:count]


def merged_columns(table: GovernedTable, insert: Node) -> list[str] | None:
    """The same for the INSERT of a MERGE."""
    if "targetList" in insert or "values" not in insert or all(c.treatment.action != "drop" for c in table.columns):
        return None
    return [column.name for column in table.columns if column.treatment.action != "drop"][: len(insert["values"])]


def check_assigned(
    table: GovernedTable, columns: list[Node] | None, insert: Node | None, alias: str | None = None
) -> None:
    """Every column that is assigned may be written. Without `columns`, those that an INSERT means.

    `insert`: the INSERT, or any node for COPY; where there is none, there is a row, whose customer must stay the same,
    and on whose old value the assignment of a part would depend. `alias`: of the table, whose columns may stay.
    """
    if columns is None:
        if insert is None or ("selectStmt" not in insert and "values" not in insert):
            return
        width = len(insert["values"]) if "values" in insert else _width(insert["selectStmt"]["SelectStmt"])
        names = [column.name for column in table.columns if column.treatment.action != "drop"][:width]
    else:
        names = [item["ResTarget"]["name"] for item in columns if "name" in item["ResTarget"]]
        for item in columns if insert is None else ():
            part = table.column(item["ResTarget"].get("name", ""))
            if "indirection" in item["ResTarget"] and part is not None and not part.treatment.plain:
                raise feature_not_supported(f'a part of column "{part.name}", of which the old value is hidden')
    kept = {name for name in names if _only_kept(name, columns or [], alias)}
    for name in names:
        column = table.column(name)
        if column is None or column.treatment.action == "drop":
            raise PgError(f'column "{name}" of relation "{table.name}" does not exist', "42703")
        if not column.treatment.writable:
            raise insufficient_privilege(f'permission denied to write column "{name}" of relation "{table.name}"')
        if insert is None and not column.changeable and name not in kept:
            raise insufficient_privilege(f'permission denied to change column "{name}" of relation "{table.name}"')


def _only_kept(name: str, columns: list[Node], alias: str | None) -> bool:
    """Whether all that a column is assigned is itself: `c` or `t.c`, which is the target's or ambiguous."""
    values = [item["ResTarget"].get("val") for item in columns if item["ResTarget"].get("name") == name]
    column: Node = {"ColumnRef": {"fields": [{"String": {"sval": name}}]}}
    return all(value in (column, column_of(alias or "", name)) for value in values)


def check_deletable(table: GovernedTable) -> None:
    denied = any(column.treatment.write == "deny" for column in table.columns)
    if denied or not any(column.treatment.visible for column in table.columns):
        raise insufficient_privilege(f'permission denied to delete from relation "{table.name}"')


def _width(query: Node) -> int | None:
    """How many columns a query has, where that can be seen."""
    while "larg" in query:
        query = query["larg"]
    if "valuesLists" in query:
        return len(query["valuesLists"][0]["List"]["items"])
    for item in query.get("targetList", ()):
        value = item["ResTarget"].get("val", {})
        parts = value.get("ColumnRef", {}).get("fields") or value.get("A_Indirection", {}).get("indirection")
        if parts and "A_Star" in parts[-1]:
            return None
    return len(query.get("targetList", ()))
