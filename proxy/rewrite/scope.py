"""Which relation does each name of a statement mean, and which columns: the scopes of SELECT and DML as PostgreSQL
has them.

Source: PostgreSQL's parse_clause.c and parse_relation.c. The answer is made of plain values (`Analysis`) that the
passes
read; it changes nothing. Where a column's relation cannot be known (a function in FROM has unknown columns), `owners`
says
so by `certain=False`, and the passes refuse what would matter.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from proxy.catalog.model import Relation, SearchPath, Snapshot
from proxy.errors import feature_not_supported
from proxy.policy.table import AppPolicy, GovernedTable
from proxy.rewrite.lex import Node

Role = Literal["read", "target", "copy_to", "copy_from"]
STAR = "*"
SYSTEM_COLUMNS = ("ctid", "xmin", "xmax", "cmin", "cmax", "tableoid")
SYSTEM_SCHEMAS = ("pg_catalog", "information_schema")


@dataclass(slots=True, eq=False)
class Reference:
    """One place where a statement names a relation that is not a CTE."""

    node: Node  # the RangeVar's fields
    role: Role
    relation: Relation | None  # None: a temp relation, or a name that nothing has
    temporary: bool
    table: GovernedTable | None  # the rules' entry, where there is one
    level: Level | None = None
    sampled: bool = False
    joined_naturally: bool = False
    statement: Node | None = None  # the INSERT, UPDATE ... of a target

    @property
    def name(self) -> str:
        return str(self.node["relname"])

    @property
    def alias(self) -> str:
        alias: str = self.node["alias"]["aliasname"] if "alias" in self.node else self.name
        return alias

    @property
    def start(self) -> int:
        start: int = self.node.get("location", 0)
        return start

    @property
    def rewrites(self) -> bool:
        """Reads of it must be replaced by a governed form."""
        return self.table is not None and not self.table.plain


@dataclass(slots=True, eq=False)
class Source:
    """One item of a level's FROM list. `columns`: names as the level sees them; None where they cannot be known."""

    name: str | None
    columns: tuple[str, ...] | None
    reference: Reference | None = None
    underlying: tuple[str, ...] | None = None  # the relation's own names of `columns`, where they are renamed
    hidden: bool = False  # inside a join that has an alias: not to be named by itself
    system: bool = False  # has ctid and the others
    members: tuple[Source, ...] = ()  # of a join that has an alias

    def has(self, column: str) -> bool:
        if self.columns is None:
            return False
        return column in self.columns or (self.system and column in SYSTEM_COLUMNS)

    def base_column(self, column: str) -> str:
        if self.underlying is not None and self.columns is not None and column in self.columns:
            return self.underlying[self.columns.index(column)]
        return column


@dataclass(slots=True, eq=False)
class Level:
    """One query level: what its expressions can name, then what its parent's can."""

    parent: Level | None
    sources: list[Source] = field(default_factory=list)
    node: Node | None = None


@dataclass(slots=True, eq=False)
class ColumnUse:
    """One ColumnRef: its name's parts (the last may be STAR), where it stands, and in which clause."""

    fields: tuple[str, ...]
    start: int  # -1: not in the text (TABLE t)
    level: Level
    clause: str
    node: Node
    owned: Owners | None = None  # what `owners` found; the scopes no longer change when it is first asked


@dataclass(frozen=True, slots=True)
class Owners:
    """The sources that a column use can mean. `whole_row`: the use is the row itself (`t`, `t.*`, `*`)."""

    sources: tuple[Source, ...]
    column: str
    whole_row: bool = False
    certain: bool = True


@dataclass(slots=True)
class Analysis:
    references: list[Reference] = field(default_factory=list)
    uses: list[ColumnUse] = field(default_factory=list)
    functions: list[Node] = field(default_factory=list)  # FuncCall fields
    levels: list[Level] = field(default_factory=list)
    locking: bool = False
    unknown: list[Node] = field(default_factory=list)  # RangeVars that no relation has
    natural_joins: list[tuple[list[Source], list[Source]]] = field(default_factory=list)
    statements: list[tuple[str, Node]] = field(default_factory=list)  # DML nodes, nested ones included
    outputs: dict[int, tuple[str, ...] | None] = field(default_factory=dict)  # id(select node) -> names
    nodes: list[tuple[str, Node]] = field(default_factory=list)  # every (kind or field name, fields) of the tree


Ctes = Mapping[str, tuple[str, ...] | None]


def analyse(statement: Node, snapshot: Snapshot, path: SearchPath, app: AppPolicy) -> Analysis:
    """The scopes of one statement's tree (a `{"SelectStmt": ...}`-like dict)."""
    walker = _Walker(snapshot, path, app)
    walker.result.nodes = every_node(statement)
    walker.statement(statement, None, {})
    return walker.result


def owners(use: ColumnUse) -> Owners:
    """What a column use means: the nearest level that has the name, as the server looks it up."""
    if use.owned is None:
        use.owned = _owners(use)
    return use.owned


def _owners(use: ColumnUse) -> Owners:
    name = use.fields[-1]
    if use.fields == (STAR,):
        return Owners(tuple(s for s in use.level.sources if not s.hidden), STAR, whole_row=True)
    if len(use.fields) == 1:
        return _owners_of_bare(name, use.level)
    level: Level | None = use.level
    qualifier = use.fields[-2]
    schema = use.fields[-3] if len(use.fields) > 2 else None
    while level is not None:
        found = tuple(s for s in level.sources if not s.hidden and _named(s, qualifier, schema))
        if found:
            return Owners(found, name, whole_row=name == STAR)
        level = level.parent
    return Owners((), name, certain=False)


def _named(source: Source, qualifier: str, schema: str | None) -> bool:
    if schema is None:
        return source.name == qualifier
    reference = source.reference
    if reference is None or "alias" in reference.node or reference.name != qualifier:
        return False
    if reference.temporary:
        return schema == "pg_temp"
    return reference.relation is not None and reference.relation.schema == schema


def _owners_of_bare(name: str, start: Level) -> Owners:
    level: Level | None = start
    uncertain: list[Source] = []
    while level is not None:
        found = tuple(s for s in level.sources if s.has(name))
        if found:
            return Owners((*found, *uncertain), name, certain=not uncertain)
        uncertain += [s for s in level.sources if s.columns is None]
        level = level.parent
    level = start
    while level is not None:
        rows = tuple(s for s in level.sources if s.name == name and not s.hidden)
        if rows:
            return Owners((*rows, *uncertain), name, whole_row=True, certain=not uncertain)
        level = level.parent
    return Owners(tuple(uncertain), name, certain=False)


def column_fields(node: Node) -> tuple[str, ...]:
    """The parts of a ColumnRef's name."""
    return tuple(f["String"].get("sval", "") if "String" in f else STAR for f in node["fields"])


class _Walker:
    def __init__(self, snapshot: Snapshot, path: SearchPath, app: AppPolicy) -> None:
        self.snapshot = snapshot
        self.path = path
        self.app = app
        self.result = Analysis()

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
            case "CreateStmt":
                self.expression(fields.get("tableElts", []), self.level(None, fields), "definition", ctes)
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
        probe = _Walker(self.snapshot, self.path, self.app)
        return probe.select(arm, parent, ctes)

    def select(self, node: Node, parent: Level | None, ctes: Ctes) -> tuple[str, ...] | None:
        ctes = self.with_clause(node.get("withClause"), parent, ctes)
        if node.get("lockingClause"):
            self.result.locking = True
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
            self.expression(node.get("distinctClause"), level, "distinct", ctes)
            self.expression(node.get("whereClause"), level, "where", ctes)
            self.expression(node.get("groupClause"), level, "group", ctes)
            self.expression(node.get("havingClause"), level, "having", ctes)
            self.expression(node.get("windowClause"), level, "window", ctes)
        outer = Level(level.parent, [*level.sources, Source(None, names)], node) if names else level
        self.expression(node.get("sortClause"), outer, "order", ctes)
        self.expression([node.get("limitOffset"), node.get("limitCount")], level, "limit", ctes)
        self.result.outputs[id(node)] = names
        return names

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
            excluded = Source("excluded", target.columns, target.reference)
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
        level = self.level(parent, node)
        level.sources = [target, *others.sources]
        self.target_list(node.get("targetList", []), level, "set", ctes)
        self.expression(node.get("whereClause"), level, "where", ctes)
        return self.returning(node, level, target, ctes)

    def merge(self, node: Node, parent: Level | None, ctes: Ctes) -> tuple[str, ...] | None:
        ctes = self.with_clause(node.get("withClause"), parent, ctes)
        self.result.statements.append(("MergeStmt", node))
        target = self.target(node["relation"], node)
        others = self.level(parent, node)
        others.sources += self.from_item(node["sourceRelation"], others, ctes)
        level = self.level(parent, node)
        level.sources = [target, *others.sources]
        self.expression(node.get("joinCondition"), level, "where", ctes)
        for clause in node.get("mergeWhenClauses", ()):
            when = clause["MergeWhenClause"]
            self.expression(when.get("condition"), level, "where", ctes)
            self.target_list(when.get("targetList", []), level, "set", ctes)
            self.expression(when.get("values"), level, "set", ctes)
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
                versioned = Source(name, target.columns, target.reference, system=True)
                versioned.hidden = False
                inner.sources.append(versioned)
        # `*` and bare names mean the target and FROM, not old and new
        bare = self.level(level.parent, node)
        bare.sources = list(level.sources)
        return self.target_list(clause["exprs"], bare, "returning", ctes, qualified=inner)

    def target(self, node: Node, statement: Node) -> Source:
        reference = self.reference(node, "target")
        reference.statement = statement
        columns = tuple(c.name for c in reference.relation.columns) if reference.relation else None
        return Source(reference.alias, columns, reference, system=True)

    def copy(self, node: Node, parent: Level | None, ctes: Ctes) -> None:
        if "query" in node:
            self.statement(node["query"], parent, ctes)
        if "relation" in node:
            reference = self.reference(node["relation"], "copy_from" if node.get("is_from") else "copy_to")
            reference.statement = node
            level = self.level(parent, node)
            columns = tuple(c.name for c in reference.relation.columns) if reference.relation else None
            level.sources = [Source(reference.alias, columns, reference, system=True)]
            self.expression(node.get("whereClause"), level, "where", ctes)

    # -- FROM -------------------------------------------------------------------------------------------------------

    def from_item(self, item: Node, level: Level, ctes: Ctes, natural: bool = False) -> list[Source]:
        ((kind, node),) = item.items()
        match kind:
            case "RangeVar":
                return [self.range_var(node, ctes, level, natural)]
            case "RangeTableSample":
                source = self.range_var(node["relation"]["RangeVar"], {}, level, natural)
                if source.reference is not None:
                    source.reference.sampled = True
                self.expression([node.get("args"), node.get("repeatable")], level, "sample", ctes)
                return [source]
            case "RangeSubselect":
                parent = level if node.get("lateral") else level.parent
                names = self.statement(node["subquery"], parent, ctes)
                alias = node.get("alias", {})
                return [Source(alias.get("aliasname"), _renamed(names, _names(alias.get("colnames"))))]
            case "JoinExpr":
                return self.join(node, level, ctes)
            case "RangeFunction":
                return [self.range_function(node, level, ctes)]
            case "RangeTableFunc" | "JsonTable":
                self.expression(node, level, "from", ctes)
                alias = node.get("alias", {})
                return [Source(alias.get("aliasname"), None)]
        raise feature_not_supported(f"FROM item {kind} is not understood")

    def join(self, node: Node, level: Level, ctes: Ctes) -> list[Source]:
        natural = node.get("isNatural", False)
        left = self.from_item(node["larg"], level, ctes, natural)
        level.sources += left  # a lateral item on the right may name them
        right = self.from_item(node["rarg"], level, ctes, natural)
        del level.sources[len(level.sources) - len(left) :]
        both = [*left, *right]
        if natural:
            self.result.natural_joins.append((left, right))
        on = Level(level.parent, [*both], node)
        self.expression(node.get("quals"), on, "on", ctes)
        for name in node.get("usingClause", ()):
            column = name["String"]["sval"]
            use = ColumnUse((column,), -1, on, "using", name)
            self.result.uses.append(use)
        if "join_using_alias" in node:
            merged = _names(node.get("usingClause"))
            both.append(Source(node["join_using_alias"]["aliasname"], merged))
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
        self.expression(node.get("functions"), level, "from", ctes)
        alias = node.get("alias", {})
        columns = _names(alias.get("colnames"))
        definitions = node.get("coldeflist")
        if definitions:
            columns = tuple(d["ColumnDef"]["colname"] for d in definitions)
        name = alias.get("aliasname")
        if name is None:
            call = node["functions"][0]["List"]["items"][0].get("FuncCall")
            name = call["funcname"][-1]["String"]["sval"] if call else None
        return Source(name, columns if definitions else None)

    def range_var(self, node: Node, ctes: Ctes, level: Level, natural: bool) -> Source:
        alias = node.get("alias", {})
        renames = _names(alias.get("colnames"))
        name = node["relname"]
        if "schemaname" not in node and name in ctes:
            return Source(alias.get("aliasname", name), _renamed(ctes[name], renames))
        reference = self.reference(node, "read")
        reference.level = level
        reference.joined_naturally = natural
        columns: tuple[str, ...] | None = None
        if reference.relation is not None:
            table = reference.table
            if table is not None:
                columns = tuple(c.name for c in table.columns if c.treatment.action != "drop")
            else:
                columns = tuple(c.name for c in reference.relation.columns)
        return Source(reference.alias, _renamed(columns, renames), reference, columns if renames else None, system=True)

    def reference(self, node: Node, role: Role) -> Reference:
        schema, name = node.get("schemaname"), node["relname"]
        temporary = self.snapshot.is_temporary(name, schema, self.path)
        relation = None if temporary else self.snapshot.resolve(name, schema, self.path)
        table = self.app.tables.get(relation.key) if relation is not None else None
        reference = Reference(node, role, relation, temporary, table)
        if relation is None and not temporary:
            self.result.unknown.append(node)
        self.result.references.append(reference)
        return reference

    # -- expressions ------------------------------------------------------------------------------------------------

    def target_list(
        self, items: list[Node], level: Level, clause: str, ctes: Ctes, qualified: Level | None = None
    ) -> tuple[str, ...] | None:
        """Walks output or SET expressions; returns output names (None where a `*` cannot be known)."""
        names: list[str] | None = []
        for item in items:
            target = item["ResTarget"]
            value = target.get("val")
            fields = column_fields(value["ColumnRef"]) if value and "ColumnRef" in value else ()
            here = qualified if qualified is not None and len(fields) > 1 else level
            if qualified is not None and not fields:
                here = qualified if _mentions_version(value, qualified, level) else level
            self.expression(value, here, clause, ctes)
            if clause == "set" or names is None:
                continue
            if fields and fields[-1] == STAR:
                star = owners(ColumnUse(fields, -1, here, clause, {}))
                for source in star.sources:
                    if source.columns is None:
                        names = None
                        break
                    names += source.columns
            else:
                names.append(target.get("name") or figure_column_name(value))
        return None if names is None else tuple(names)

    def expression(self, value: object, level: Level, clause: str, ctes: Ctes) -> None:
        """Records every column use, function call and sub-query below `value`."""
        if isinstance(value, list):
            for element in value:
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
                if kind == "FuncCall":
                    self.result.functions.append(node)
                self.expression(node, level, clause, ctes)


def _mentions_version(value: object, qualified: Level, level: Level) -> bool:
    """Whether an expression of RETURNING names old or new (which its level has and the bare one has not)."""
    extra = {s.name for s in qualified.sources} - {s.name for s in level.sources}
    return any(
        len(column_fields(node["ColumnRef"])) > 1 and column_fields(node["ColumnRef"])[0] in extra
        for node in walk(value)
        if "ColumnRef" in node
    )


def every_node(value: object) -> list[tuple[str, Node]]:
    """Every dict below `value` with the name under which it stands: a node's kind, or a field's name."""
    out: list[tuple[str, Node]] = []
    stack = [value]
    while stack:
        element = stack.pop()
        if type(element) is dict:
            for name, inner in element.items():
                if type(inner) is dict:
                    out.append((name, inner))
                    stack.append(inner)
                elif type(inner) is list:
                    stack += inner
        elif type(element) is list:
            stack += element
    return out


def walk(value: object) -> Iterator[Node]:
    """Every dict below `value`, itself included, in the tree's order."""
    stack = [value]
    while stack:
        element = stack.pop()
        if isinstance(element, dict):
            yield element
            stack.extend(reversed(element.values()))
        elif isinstance(element, list):
            stack.extend(reversed(element))


def figure_column_name(value: Node | None) -> str:
    """The name that PostgreSQL gives an output column without AS (FigureColname in parse_target.c)."""
    return _figure(value) or "?column?"


def _figure(value: Node | None) -> str | None:
    if not value:
        return None
    ((kind, node),) = value.items()
    match kind:
        case "ColumnRef":
            names = [f for f in column_fields(node) if f != STAR]
            return names[-1] if names else None
        case "A_Indirection":
            names = [i["String"]["sval"] for i in node["indirection"] if "String" in i]
            return names[-1] if names else _figure(node["arg"])
        case "FuncCall":
            return str(node["funcname"][-1]["String"]["sval"])
        case "TypeCast":
            return _figure(node.get("arg")) or str(node["typeName"]["names"][-1]["String"]["sval"])
        case "CollateClause":
            return _figure(node.get("arg"))
        case "CaseExpr":
            return _figure(node.get("defresult")) or "case"
        case "SubLink":
            if node["subLinkType"] == "EXISTS_SUBLINK":
                return "exists"
            if node["subLinkType"] == "ARRAY_SUBLINK":
                return "array"
            if node["subLinkType"] == "EXPR_SUBLINK":
                targets = node["subselect"].get("SelectStmt", {}).get("targetList")
                if targets:
                    first = targets[0]["ResTarget"]
                    return first.get("name") or _figure(first.get("val"))
            return None
        case "A_ArrayExpr":
            return "array"
        case "RowExpr":
            return "row"
        case "CoalesceExpr":
            return "coalesce"
        case "MinMaxExpr":
            return "greatest" if node["op"] == "IS_GREATEST" else "least"
        case "GroupingFunc":
            return "grouping"
        case "SQLValueFunction":
            return str(node["op"]).removeprefix("SVFOP_").removesuffix("_N").lower()
    return None


def _names(nodes: list[Node] | None) -> tuple[str, ...]:
    return tuple(n["String"].get("sval", "") for n in nodes or ())


def _renamed(
    columns: tuple[str, ...] | None, renames: tuple[str, ...], extra: list[str] | None = None
) -> tuple[str, ...] | None:
    if columns is None:
        return None
    return (*renames, *columns[len(renames) :], *(extra or ()))
