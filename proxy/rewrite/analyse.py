"""The walk that finds the scopes: every query level of a statement, what stands in its FROM, what its expressions name.

Source: PostgreSQL's parse_clause.c and analyze.c, whose order of looking things up it follows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from proxy.catalog.model import Relation, SearchPath, Snapshot
from proxy.errors import PgError, feature_not_supported
from proxy.policy.table import AppPolicy, GovernedTable
from proxy.rewrite.allowed import FUNCTION_COLUMNS, PLAIN_TYPES, SETS_OF_VALUES, TABLE_FUNCTIONS
from proxy.rewrite.lex import Node
from proxy.rewrite.scope import (
    STAR,
    Analysis,
    ColumnUse,
    Level,
    Reference,
    Role,
    Source,
    View,
    column_fields,
    every_node,
    figure_column_name,
)
from proxy.rewrite.stars import star_columns

Ctes = Mapping[str, tuple[str, ...] | None]
ViewOf = Callable[[Relation], View | None]


# Statements that name a temp table which they make or change (SELECT INTO and CREATE TABLE AS have it as `rel`).
DEFINITIONS = ("CreateStmt", "IndexStmt", "TruncateStmt", "AlterTableStmt", "RenameStmt", "VacuumStmt")
CONSTRAINTS = "ConstraintsSetStmt"  # it names constraints as if they were relations


class KnowsViews(Protocol):
    """What an app has of views that the rules do not list."""

    def of(self, relation: Relation) -> View | None:
        """A view as it is read; None for what is no such view."""

    def written(self, relation: Relation) -> GovernedTable | View | None:
        """A view as the target of a write; a View with the reason where it cannot be one; None for what is no such
        view.
        """


def no_views(_: Relation) -> None:
    """For what knows of no views."""


def analyse(
    statement: Node, snapshot: Snapshot, path: SearchPath, app: AppPolicy, views: KnowsViews | None = None
) -> Analysis:
    """The scopes of one statement's tree (a `{"SelectStmt": ...}`-like dict)."""
    walker = _Walker(snapshot, path, app, views)
    walker.result.nodes = every_node(statement)
    walker.statement(statement, None, {})
    result = walker.result
    result.functions = [node for kind, node in result.nodes if kind == "FuncCall"]
    if next(iter(statement)) not in (*DEFINITIONS, CONSTRAINTS):
        result.unvisited = [
            node for name, node in result.nodes if "relname" in node and name != "rel" and id(node) not in walker.seen
        ]
    return result


class _Walker:
    def __init__(self, snapshot: Snapshot, path: SearchPath, app: AppPolicy, views: KnowsViews | None) -> None:
        self.snapshot = snapshot
        self.path = path
        self.app = app
        self.views = views
        self.result = Analysis()
        self.seen: set[int] = set()  # ids of the RangeVars that the walk came by

    # -- statements -------------------------------------------------------------------------------------------------

    def statement(self, node: Node, parent: Level | None, ctes: Ctes) -> tuple[str, ...] | None:
        """Walks one statement; returns its output columns."""
        ((kind, fields),) = node.items()
        match kind:
            case "SelectStmt":
                return self.select(fields, parent, ctes)
            case "InsertStmt":
                return self.insert(fields, parent, ctes)
            case "UpdateStmt" | "DeleteStmt":
                return self.update_or_delete(kind, fields, parent, ctes)
            case "MergeStmt":
                return self.merge(fields, parent, ctes)
            case "ExplainStmt" | "PrepareStmt" | "DeclareCursorStmt" | "CreateTableAsStmt":
                return self.statement(fields["query"], parent, ctes)
            case "CopyStmt":
                self.copy(fields, parent, ctes)
            case "ExecuteStmt":
                for argument in fields.get("params", ()):
                    self.expression(argument, self.level(None, fields), "argument", ctes)
            case "CreateStmt" | "AlterTableStmt":
                self.expression(
                    fields.get("tableElts") or fields.get("cmds") or [], self.level(None, fields), "definition", ctes
                )
            case _:
                pass
        return ()

    def level(self, parent: Level | None, node: Node | None) -> Level:
        level = Level(parent, node=node)
        self.result.levels.append(level)
        return level

    def with_clause(self, node: Node | None, parent: Level | None, ctes: Ctes) -> Ctes:
        if not node:
            return ctes
        known = dict(ctes)
        recursive = node.get("recursive", False)
        entries = [entry["CommonTableExpr"] for entry in node["ctes"]]
        if recursive:  # every CTE of the list is visible to every other
            for cte in entries:
                known[cte["ctename"]] = _names(cte.get("aliascolnames"))
        for cte in entries:
            inner = dict(known)
            query = cte["ctequery"]
            if recursive and not cte.get("aliascolnames"):
                inner[cte["ctename"]] = self.first_arm_names(query, parent, known)
            names = self.statement(query, parent, inner)
            extra: list[str] = []
            if "search_clause" in cte:
                extra.append(cte["search_clause"]["search_seq_column"])
            if "cycle_clause" in cte:
                extra += [cte["cycle_clause"]["cycle_mark_column"], cte["cycle_clause"]["cycle_path_column"]]
                self.expression(
                    [cte["cycle_clause"].get("cycle_mark_value"), cte["cycle_clause"].get("cycle_mark_default")],
                    self.level(parent, None),
                    "cycle",
                    known,
                )
            known[cte["ctename"]] = _renamed(names, _names(cte.get("aliascolnames")), extra)
        return known

    def first_arm_names(self, query: Node, parent: Level | None, ctes: Ctes) -> tuple[str, ...] | None:
        """Output names of a recursive CTE's non-recursive arm, looked at without recording anything."""
        arm = query.get("SelectStmt")
        if arm is None:
            return None
        while arm.get("op", "SETOP_NONE") != "SETOP_NONE":
            arm = arm["larg"]
        probe = _Walker(self.snapshot, self.path, self.app, self.views)
        return probe.select(arm, parent, ctes)

    def select(self, node: Node, parent: Level | None, ctes: Ctes) -> tuple[str, ...] | None:
        ctes = self.with_clause(node.get("withClause"), parent, ctes)
        for lock in node.get("lockingClause", ()):
            self.result.locking = True
            self.seen |= {id(locked["RangeVar"]) for locked in lock["LockingClause"].get("lockedRels", ())}
        level = self.level(parent, node)
        names: tuple[str, ...] | None
        if node.get("op", "SETOP_NONE") != "SETOP_NONE":
            names = self.select(node["larg"], parent, ctes)
            self.select(node["rarg"], parent, ctes)
            level.sources.append(Source(None, names))
        elif "valuesLists" in node:
            for row in node["valuesLists"]:
                self.expression(row, level, "values", ctes)
            names = tuple(f"column{i + 1}" for i in range(len(node["valuesLists"][0]["List"]["items"])))
        else:
            for item in node.get("fromClause", ()):
                level.sources += self.from_item(item, level, ctes)
            names = self.target_list(node.get("targetList", []), level, "output", ctes)
            self.by_outputs(node.get("distinctClause"), level, names, "distinct", ctes)
            self.expression(node.get("whereClause"), level, "where", ctes)
            self.by_outputs(node.get("groupClause"), level, names, "group", ctes)
            self.expression(node.get("havingClause"), level, "having", ctes)
            self.expression(node.get("windowClause"), level, "window", ctes)
        self.by_outputs(node.get("sortClause"), level, names, "order", ctes)
        self.expression([node.get("limitOffset"), node.get("limitCount")], level, "limit", ctes)
        self.result.outputs[id(node)] = names
        return names

    def by_outputs(
        self, items: list[Node] | None, level: Level, names: tuple[str, ...] | None, clause: str, ctes: Ctes
    ) -> None:
        """GROUP BY, ORDER BY or DISTINCT ON: an item that is a bare name may be an output of the query, before it is
        anything of a query around (findTargetlistEntrySQL92 in parse_clause.c).
        """
        outer = Level(level.parent, [*level.sources, Source(None, names)], level.node)
        alone = Level(None, node=level.node)
        for item in items or ():
            node: Node = next(iter(item.values()), {})  # DISTINCT has an item of nothing
            if "GroupingSet" in item or node.get("row_format") == "COERCE_IMPLICIT_CAST":  # (a, b) is a, b
                self.by_outputs(node.get("content", node.get("args")), level, names, clause, ctes)
                continue
            value = item["SortBy"]["node"] if "SortBy" in item else item
            fields = column_fields(value["ColumnRef"]) if "ColumnRef" in value else ()
            here = level
            if names and len(fields) == 1 and fields[0] in names:
                own = any(source.columns is None or source.has(fields[0]) for source in level.sources)
                here = outer if clause == "order" else level if own else alone
            self.expression(item, here, clause, ctes)

    def insert(self, node: Node, parent: Level | None, ctes: Ctes) -> tuple[str, ...] | None:
        ctes = self.with_clause(node.get("withClause"), parent, ctes)
        self.result.statements.append(("InsertStmt", node))
        target = self.target(node["relation"], node)
        if "selectStmt" in node:
            self.statement(node["selectStmt"], parent, ctes)
        inner = self.level(parent, node)
        inner.sources = [target]
        conflict = node.get("onConflictClause")
        if conflict:
            excluded = Source("excluded", target.columns, target.reference, proposed=True)
            self.expression(conflict.get("infer"), inner, "conflict", ctes)
            both = self.level(parent, node)
            both.sources = [target, excluded]
            self.target_list(conflict.get("targetList", []), both, "set", ctes)
            self.expression(conflict.get("whereClause"), both, "where", ctes)
        return self.returning(node, inner, target, ctes)

    def update_or_delete(self, kind: str, node: Node, parent: Level | None, ctes: Ctes) -> tuple[str, ...] | None:
        ctes = self.with_clause(node.get("withClause"), parent, ctes)
        self.result.statements.append((kind, node))
        target = self.target(node["relation"], node)
        others = self.level(parent, node)  # FROM cannot see the target
        for item in node.get("fromClause") or node.get("usingClause") or ():
            others.sources += self.from_item(item, others, ctes)
        if _named_alike(target, others):
            raise PgError(f'table name "{target.name}" specified more than once', "42712")
        level = self.level(parent, node)
        level.sources = [target, *others.sources]
        # In the server's order, which decides of several errors.
        self.expression(node.get("whereClause"), level, "where", ctes)
        names = self.returning(node, level, target, ctes)
        self.target_list(node.get("targetList", []), level, "set", ctes)
        return names

    def merge(self, node: Node, parent: Level | None, ctes: Ctes) -> tuple[str, ...] | None:
        ctes = self.with_clause(node.get("withClause"), parent, ctes)
        self.result.statements.append(("MergeStmt", node))
        target = self.target(node["relation"], node)
        others = self.level(parent, node)
        others.sources += self.from_item(node["sourceRelation"], others, ctes)
        if any(source.name == target.name and not source.hidden for source in others.sources):
            detail = "The name is used both as MERGE target table and data source."
            raise PgError(f'name "{target.name}" specified more than once', "42712", detail=detail)
        level = self.level(parent, node)
        level.sources = [target, *others.sources]
        self.expression(node.get("joinCondition"), level, "where", ctes)
        alone = self.level(parent, node)
        alone.sources = [target]
        for clause in node.get("mergeWhenClauses", ()):
            when = clause["MergeWhenClause"]
            # what has no match on one side has no name for it
            names = {"MERGE_WHEN_NOT_MATCHED_BY_TARGET": others, "MERGE_WHEN_NOT_MATCHED_BY_SOURCE": alone}
            here = names.get(when["matchKind"], level)
            self.expression(when.get("condition"), here, "where", ctes)
            self.target_list(when.get("targetList", []), here, "set", ctes)
            self.expression(when.get("values"), here, "set", ctes)
        return self.returning(node, level, target, ctes)

    def returning(self, node: Node, level: Level, target: Source, ctes: Ctes) -> tuple[str, ...] | None:
        clause = node.get("returningClause")
        if not clause:
            return ()
        inner = self.level(level.parent, node)
        inner.sources = list(level.sources)
        names = {"RETURNING_OPTION_OLD": "old", "RETURNING_OPTION_NEW": "new"}
        for option in clause.get("options", ()):
            names[option["ReturningOption"]["option"]] = option["ReturningOption"]["value"]
        for name in names.values():
            if self.snapshot.server_version >= 180000 and all(s.name != name for s in inner.sources):
                versioned = Source(name, target.columns, target.reference, system=True, named_only=True)
                inner.sources.append(versioned)
        return self.target_list(clause["exprs"], inner, "returning", ctes)

    def target(self, node: Node, statement: Node) -> Source:
        reference = self.reference(node, "target")
        reference.statement = statement
        columns = _existing(reference) if reference.relation else None
        return Source(reference.alias, columns, reference, system=True)

    def copy(self, node: Node, parent: Level | None, ctes: Ctes) -> None:
        if "query" in node:
            self.statement(node["query"], parent, ctes)
        if "relation" in node:
            reference = self.reference(node["relation"], "copy_from" if node.get("is_from") else "copy_to")
            reference.statement = node
            level = self.level(parent, node)
            columns = _existing(reference) if reference.relation else None
            level.sources = [Source(reference.alias, columns, reference, system=True)]
            self.expression(node.get("whereClause"), level, "where", ctes)

    # -- FROM -------------------------------------------------------------------------------------------------------

    def from_item(self, item: Node, level: Level, ctes: Ctes) -> list[Source]:
        ((kind, node),) = item.items()
        match kind:
            case "RangeVar":
                return [self.range_var(node, ctes, level)]
            case "RangeTableSample":
                source = self.range_var(node["relation"]["RangeVar"], {}, level)
                if source.reference is not None:
                    source.reference.sampled = True
                self.expression([node.get("args"), node.get("repeatable")], level, "sample", ctes)
                return [source]
            case "RangeSubselect":
                parent = _so_far(level) if node.get("lateral") else level.parent
                names = self.statement(node["subquery"], parent, ctes)
                alias = node.get("alias", {})
                columns = _renamed(names, _names(alias.get("colnames")))
                sure = _names(alias.get("colnames"))
                return [Source(alias.get("aliasname"), columns, query=node["subquery"], sure=sure)]
            case "JoinExpr":
                return self.join(node, level, ctes)
            case "RangeFunction":
                return [self.range_function(node, level, ctes)]
            case "RangeTableFunc" | "JsonTable":
                before, clause = _so_far(level), "from" if kind == "RangeTableFunc" else "json_table"
                for name, part in node.items():
                    self.expression({name: part}, before, "passing" if name == "passing" else clause, ctes)
                alias = node.get("alias", {})
                made = _renamed(_table_columns(node["columns"]), _names(alias.get("colnames")))
                return [Source(alias.get("aliasname", TABLE_FUNCTIONS[kind]), made)]
        raise feature_not_supported(f"FROM item {kind} is not understood")

    def join(self, node: Node, level: Level, ctes: Ctes) -> list[Source]:
        left = self.from_item(node["larg"], level, ctes)
        level.sources += left  # a lateral item on the right may name them
        right = self.from_item(node["rarg"], level, ctes)
        del level.sources[len(level.sources) - len(left) :]
        both = [*left, *right]
        if "isNatural" in node:
            self.result.natural_joins.append(both)
        if "usingClause" in node and "alias" not in node:
            self.result.using_joins.append((node, [*both]))
        on = Level(level.parent, [*both], node)
        self.expression(node.get("quals"), on, "on", ctes)
        for name in node.get("usingClause", ()):
            column = name["String"]["sval"]
            use = ColumnUse((column,), -1, on, "using", name)
            self.result.uses.append(use)
        if "join_using_alias" in node:
            merged = _names(node.get("usingClause"))
            both.append(Source(node["join_using_alias"]["aliasname"], merged, named_only=True))
        if "alias" in node:
            known = [s.columns for s in both if s.columns is not None]
            columns = tuple(c for part in known for c in part) if len(known) == len(both) else None
            alias = node["alias"]
            for source in both:
                source.hidden = True
            renamed = _renamed(columns, _names(alias.get("colnames")))
            return [*both, Source(alias["aliasname"], renamed, members=tuple(both))]
        return both

    def range_function(self, node: Node, level: Level, ctes: Ctes) -> Source:
        self.expression(node.get("functions"), _so_far(level), "from", ctes)
        alias = node.get("alias", {})
        renames, parts = _names(alias.get("colnames")), [part["List"]["items"] for part in node["functions"]]
        called = _called(parts[0][0])
        source = Source(alias.get("aliasname", called or None), None, sure=renames)
        alone = len(parts) == 1
        if node.get("coldeflist"):
            parts = [[parts[0][0], {"List": {"items": node["coldeflist"]}}]]
        known = [self.function_columns(part, source.name if alone else None) for part in parts]
        made = [name for names in known if names is not None for name in names]
        made += ["ordinality"] if node.get("ordinality") else []
        columns = _renamed(tuple(made), renames)
        if None not in known and columns is not None and len({*columns}) == len(columns):
            source.columns = columns
        else:
            source.named_alike = alone and not renames and "aliasname" in alias
        return source

    def function_columns(self, part: list[Node], name: str | None) -> tuple[str, ...] | None:
        """The columns of a function in FROM, by its own names; None where they cannot be known. `name`: that of its
        only value, where it stands alone.
        """
        call, definitions = part[0], part[1].get("List", {}).get("items", ())
        function = _called(call)
        if definitions:
            return tuple(one["ColumnDef"]["colname"] for one in definitions)
        if not function or not self.is_built_in(function):
            return None
        if function in FUNCTION_COLUMNS:
            return FUNCTION_COLUMNS[function]
        values = _values_of(call["FuncCall"])
        return (name or function,) if values == 1 else (function,) * values or None

    def is_built_in(self, function: str) -> bool:
        return all(one.schema == "pg_catalog" for one in self.snapshot.functions.get(function, ()))

    def range_var(self, node: Node, ctes: Ctes, level: Level) -> Source:
        alias = node.get("alias", {})
        renames = _names(alias.get("colnames"))
        name = node["relname"]
        if "schemaname" not in node and name in ctes:
            self.seen.add(id(node))
            return Source(alias.get("aliasname", name), _renamed(ctes[name], renames), sure=renames)
        reference = self.reference(node, "read")
        reference.level = level
        columns: tuple[str, ...] | None = None
        if reference.relation is not None:
            if reference.table is not None or reference.view is not None:
                columns = tuple(c.name for c in reference.columns if c.action != "drop")
            else:
                columns = tuple(c.name for c in reference.relation.columns)
            if len(renames) > len(columns):
                raise PgError(
                    f'table "{reference.alias}" has {len(columns)} columns available '
                    f"but {len(renames)} columns specified",
                    "42P10",
                )
        system = reference.relation is None or reference.relation.kind != "v"
        own = columns if renames else None
        return Source(reference.alias, _renamed(columns, renames), reference, own, system=system, sure=renames)

    def reference(self, node: Node, role: Role) -> Reference:
        self.seen.add(id(node))
        schema, name = node.get("schemaname"), node["relname"]
        temporary = self.snapshot.is_temporary(name, schema, self.path)
        relation = None if temporary else self.snapshot.resolve(name, schema, self.path)
        table = self.app.tables.get(relation.key) if relation is not None else None
        view = None
        if self.views is not None and relation is not None and table is None:
            if role == "read":
                view = self.views.of(relation)
            elif role == "target":
                written = self.views.written(relation)
                view, table = (written, None) if isinstance(written, View) else (None, written)
        reference = Reference(node, role, relation, temporary, table, view)
        if relation is None and not temporary:
            self.result.unknown.append(node)
        self.result.references.append(reference)
        return reference

    # -- expressions ------------------------------------------------------------------------------------------------

    def target_list(self, items: list[Node], level: Level, clause: str, ctes: Ctes) -> tuple[str, ...] | None:
        """Walks output or SET expressions; returns output names (None where a `*` cannot be known)."""
        names: list[str] | None = []
        for item in items:
            target = item["ResTarget"]
            value = target.get("val")
            if value and value.get("MultiAssignRef", {}).get("colno", 1) > 1:
                continue  # SET (a, b) = (...): the tree repeats the row for each column
            fields = column_fields(value["ColumnRef"]) if value and "ColumnRef" in value else ()
            self.expression(value, level, clause, ctes)
            if clause == "set":
                self.expression(target.get("indirection"), level, clause, ctes)  # SET a[expression] = ...
            if clause == "set" or names is None:
                continue
            if fields and fields[-1] == STAR:
                more = star_columns(level, fields)
                names = None if more is None else [*names, *more]
            elif value and "A_Star" in value.get("A_Indirection", {}).get("indirection", [{}])[-1]:
                names = None  # (row).*: as many as the row's type has
            else:
                names.append(target.get("name") or figure_column_name(value))
        return None if names is None else tuple(names)

    def expression(self, value: object, level: Level, clause: str, ctes: Ctes) -> None:
        """Records every column use, function call and sub-query below `value`."""
        if isinstance(value, list):
            for element in value:
                if type(element) is not dict or "A_Const" not in element:  # lists of constants are long
                    self.expression(element, level, clause, ctes)
            return
        if not isinstance(value, dict):
            return
        for kind, node in value.items():
            if kind == "ColumnRef":
                start = node.get("location", 0)
                self.result.uses.append(ColumnUse(column_fields(node), start, level, clause, node))
            elif kind == "SubLink":
                self.expression(node.get("testexpr"), level, clause, ctes)
                self.statement(node["subselect"], level, ctes)
            elif kind in ("SelectStmt", "InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt"):
                self.statement({kind: node}, level, ctes)
            else:
                self.expression(node, level, clause, ctes)


def _so_far(level: Level) -> Level:
    """What an item of FROM can name: the items before it."""
    return Level(level.parent, list(level.sources), level.node)


def _named_alike(target: Source, others: Level) -> bool:
    """Whether the server would find the target's name twice (parse_relation.c, checkNameSpaceConflicts)."""
    return any(
        source.name == target.name and not source.hidden and not _of_two_schemas(target, source)
        for source in others.sources
    )


def _of_two_schemas(one: Source, other: Source) -> bool:
    """Two relations of one name, told apart by their schemas: what SQL allows."""
    if one.reference is None or other.reference is None:
        return False
    plain = "alias" not in one.reference.node and "alias" not in other.reference.node
    return plain and one.reference.relation is not other.reference.relation


def _names(nodes: list[Node] | None) -> tuple[str, ...]:
    return tuple(n["String"].get("sval", "") for n in nodes or ())


def _existing(reference: Reference) -> tuple[str, ...] | None:
    """The columns that the target of a write has for the app."""
    if reference.relation is None:
        return None
    names = [column.name for column in reference.relation.columns]
    if reference.table is None:
        return tuple(names)
    shown = {column.name for column in reference.table.columns if column.treatment.action != "drop"}
    return tuple(name for name in names if name in shown)


def _called(expression: Node) -> str:
    """The name of the function that is called; empty where it is another expression."""
    call = expression.get("FuncCall")
    return str(call["funcname"][-1]["String"]["sval"]) if call else ""


def _values_of(call: Node) -> int:
    """How many columns a function in FROM has whose rows are values; 0 where they may be rows."""
    name, arguments = call["funcname"][-1]["String"]["sval"], call.get("args", ())
    if name in SETS_OF_VALUES:
        return 1
    return len(arguments) if name == "unnest" and all(map(_is_plain_array, arguments)) else 0


def _is_plain_array(value: Node) -> bool:
    """Whether the elements are no rows: `$1::int[]`, or `ARRAY[...]` of constants."""
    if "TypeCast" in value:
        of = value["TypeCast"]["typeName"]
        return "arrayBounds" in of and of["names"][-1]["String"]["sval"] in PLAIN_TYPES
    elements = value.get("A_ArrayExpr", {}).get("elements", ())
    return bool(elements) and all("A_Const" in element for element in elements)


def _table_columns(items: list[Node]) -> tuple[str, ...]:
    """The columns that JSON_TABLE or XMLTABLE makes; NESTED gives its own, where it stands."""
    names: list[str] = []
    for item in items:
        ((_, column),) = item.items()
        names += _table_columns(column["columns"]) if "columns" in column else [column.get("name") or column["colname"]]
    return tuple(names)


def _renamed(
    columns: tuple[str, ...] | None, renames: tuple[str, ...], extra: list[str] | None = None
) -> tuple[str, ...] | None:
    if columns is None:
        return None
    return (*renames, *columns[len(renames) :], *(extra or ()))
