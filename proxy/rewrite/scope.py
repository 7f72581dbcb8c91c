"""Which relation does each name of a statement mean, and which columns: the scopes of SELECT and DML as PostgreSQL
has them.

Source: PostgreSQL's parse_clause.c and parse_relation.c. The answer is made of plain values (`Analysis`) that the
passes
read; it changes nothing. Where a column's relation cannot be known (a function in FROM has unknown columns), `owners`
says
so by `certain=False`, and the passes refuse what would matter.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from proxy.catalog.model import Relation
from proxy.policy.table import Action, GovernedColumn, GovernedTable
from proxy.rewrite.lex import Node
from proxy.rewrite.result import Disclosure

Role = Literal["read", "target", "copy_to", "copy_from"]
STAR = "*"
SYSTEM_COLUMNS = ("ctid", "xmin", "xmax", "cmin", "cmax", "tableoid")
SYSTEM_SCHEMAS = ("pg_catalog", "information_schema")


Denied = tuple[GovernedTable, GovernedColumn]


@dataclass(frozen=True, slots=True)
class ReadColumn:
    """A column as the app reads it: what it is made of, for refusals and the audit record."""

    name: str
    action: Action
    disclosed: tuple[Disclosure, ...] = ()
    policies: tuple[str, ...] = ()
    denied: Denied | None = None

    @classmethod
    def of(cls, table: GovernedTable, column: GovernedColumn) -> ReadColumn:
        """A governed column."""
        treatment = column.treatment
        ours = table.others is not None and column.name == table.others.mark  # of no table: it tells nothing
        parts = column.parts if treatment.visible and not ours else ()
        decided = [part.treatment.policy for part in parts] or [treatment.policy]
        name = ".".join(table.key if table.others is None else table.others.table)
        return cls(
            column.name,
            treatment.action,
            tuple(Disclosure(name, column.name, part.attribute, str(part.treatment)) for part in parts),
            tuple(policy.name for policy in decided if policy is not None),
            (table, column) if treatment.action == "deny" else None,
        )


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """What the app has of a view that the rules do not list, and that reads what they govern.

    `columns`: all of the view's, in their order. `text`: its definition, without those that the app has not.
    `disclosed`, `policies`, `governed`: of what it reads whatever columns are asked for. `refusal`: why the app does
    not have it; `told`: the same for the app, without names that it may not have.
    """

    relation: Relation
    columns: tuple[ReadColumn, ...] = ()
    text: str = ""
    disclosed: tuple[Disclosure, ...] = ()
    policies: tuple[str, ...] = ()
    governed: tuple[GovernedTable, ...] = ()
    # The columns that it computes, where nothing else in it could tell of hidden rows (None: something could).
    computed: frozenset[str] | None = None
    refusal: str | None = None
    told: str | None = None

    def shows(self, name: str) -> bool:
        """Whether the app may read the column."""
        return any(column.name == name and column.action == "show" for column in self.columns)


@dataclass(slots=True, eq=False)
class Reference:
    """One place where a statement names a relation that is not a CTE."""

    node: Node  # the RangeVar's fields
    role: Role
    relation: Relation | None  # None: a temp relation, or a name that nothing has
    temporary: bool
    table: GovernedTable | None  # the rules' entry, where there is one
    view: View | None = None  # a view that is read by its definition
    level: Level | None = None
    sampled: bool = False
    statement: Node | None = None  # the INSERT, UPDATE ... of a target
    apart: str | None = None  # the alias that its form gets where another relation has its name
    _columns: tuple[ReadColumn, ...] | None = None
    _named: dict[str, ReadColumn] | None = None

    @property
    def name(self) -> str:
        return str(self.node["relname"])

    @property
    def alias(self) -> str:
        alias: str = self.node["alias"]["aliasname"] if "alias" in self.node else self.apart or self.name
        return alias

    @property
    def start(self) -> int:
        start: int = self.node.get("location", 0)
        return start

    @property
    def rewrites(self) -> bool:
        """Reads of it must be replaced by a governed form."""
        return self.view is not None or (self.table is not None and not self.table.plain)

    @property
    def columns(self) -> tuple[ReadColumn, ...]:
        """All columns of what the rules govern, in its order; none of other relations."""
        if self.table is None:
            return self.view.columns if self.view is not None else ()
        if self._columns is None:  # asked for by every use of a column
            self._columns = tuple(ReadColumn.of(self.table, column) for column in self.table.columns)
        return self._columns

    def column(self, name: str) -> ReadColumn | None:
        """The one of `columns` that has this name."""
        if self._named is None:
            self._named = {column.name: column for column in self.columns}
        return self._named.get(name)

    @property
    def governed(self) -> tuple[GovernedTable, ...]:
        """The governed tables that a read of it reads."""
        if self.table is not None:
            return (self.table,)
        return self.view.governed if self.view is not None else ()


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
    proposed: bool = False  # ON CONFLICT's `excluded`: the row that was to be inserted
    query: Node | None = None  # of a sub-query: itself
    named_only: bool = False  # old and new in RETURNING, USING's alias: no bare name means their columns
    sure: tuple[str, ...] = ()  # where `columns` cannot be known: some of them
    named_alike: bool = False  # a function: its name is its only column's, or else its row's

    def has(self, column: str) -> bool:
        if self.columns is None:
            return column in self.sure
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
    functions: list[Node] = field(default_factory=list)  # FuncCall fields, wherever they stand
    unvisited: list[Node] = field(default_factory=list)  # RangeVars that the walk did not come by: none, or a refusal
    levels: list[Level] = field(default_factory=list)
    locking: bool = False
    unknown: list[Node] = field(default_factory=list)  # RangeVars that no relation has
    natural_joins: list[list[Source]] = field(default_factory=list)
    using_joins: list[tuple[Node, list[Source]]] = field(default_factory=list)  # without an alias, and what they join
    statements: list[tuple[str, Node]] = field(default_factory=list)  # DML nodes, nested ones included
    outputs: dict[int, tuple[str, ...] | None] = field(default_factory=dict)  # id(select node) -> names
    nodes: list[tuple[str, Node]] = field(default_factory=list)  # every (kind or field name, fields) of the tree


def owners(use: ColumnUse) -> Owners:
    """What a column use means: the nearest level that has the name, as the server looks it up."""
    if use.owned is None:
        use.owned = _owners(use)
    return use.owned


def _owners(use: ColumnUse) -> Owners:
    name = use.fields[-1]
    if use.fields == (STAR,):
        return Owners(tuple(s for s in use.level.sources if not s.hidden and not s.named_only), STAR, whole_row=True)
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
    if source.named_only or source.proposed:  # old, new and excluded have no schema
        return False
    if reference.temporary:
        return schema == "pg_temp"
    return reference.relation is not None and reference.relation.schema == schema


def _owners_of_bare(name: str, start: Level) -> Owners:
    level: Level | None = start
    uncertain: list[Source] = []
    while level is not None:
        bare = [s for s in level.sources if not s.named_only]
        found = tuple(s for s in bare if s.has(name))
        if found:
            return Owners((*found, *uncertain), name, certain=not uncertain)
        uncertain += [s for s in bare if s.columns is None]
        level = level.parent
    level = start
    while level is not None:
        rows = tuple(s for s in level.sources if s.name == name and not s.hidden)
        if rows:
            return Owners((*rows, *uncertain), name, whole_row=True, certain=not uncertain)
        level = level.parent
    return Owners(tuple(uncertain), name, certain=False)


def flatten(sources: tuple[Source, ...]) -> list[Source]:
    """The sources with the members of aliased joins in place of them."""
    return [inner for source in sources for inner in (flatten(source.members) if source.members else [source])]


def touched(use: ColumnUse) -> Iterator[ReadColumn]:
    """The governed columns that a use means; of a whole row those that exist for the app."""
    found = owners(use)
    for source in flatten(found.sources):
        if source.reference is None:
            continue
        if found.whole_row or found.column == STAR:
            yield from (column for column in source.reference.columns if column.action != "drop")
        else:
            named = source.reference.column(source.base_column(found.column))
            if named is not None:
                yield named


def withheld(use: ColumnUse) -> Iterator[ReadColumn]:
    """The dropped columns that a bare name would mean, where it means nothing: the server says that there is none."""
    level: Level | None = None if owners(use).sources else use.level
    while level is not None:
        for source in level.sources:
            named = None if source.reference is None else source.reference.column(use.fields[-1])
            if named is not None and named.action == "drop":
                yield named
        level = level.parent


def column_fields(node: Node) -> tuple[str, ...]:
    """The parts of a ColumnRef's name."""
    return tuple([f["String"].get("sval", "") if "String" in f else STAR for f in node["fields"]])


def every_node(value: object) -> list[tuple[str, Node]]:
    """Every dict below `value` with the name under which it stands: a node's kind, or a field's name. Constants are
    left out: no pass asks for them there, and a text may have a hundred thousand.
    """
    out: list[tuple[str, Node]] = []
    stack = [value]
    while stack:
        element = stack.pop()
        if type(element) is dict:
            for name, inner in element.items():
                if name == "A_Const":
                    continue
                if type(inner) is dict:
                    if name == "MultiAssignRef" and inner.get("colno", 1) > 1:
                        continue  # SET (a, b) = (...): the tree repeats the row for each column
                    out.append((name, inner))
                    stack.append(inner)
                elif type(inner) is list:
                    stack += inner
        elif type(element) is list:
            stack += element
    return out


def level_nodes(parts: object) -> list[Node]:
    """Every dict of a level's own expressions: of a sub-query that itself, and what is compared with its rows."""
    found: list[Node] = []
    waiting = [parts]
    while waiting:
        part = waiting.pop()
        if type(part) is list:
            waiting += part
        elif type(part) is dict:
            found.append(part)
            if "SubLink" in part:
                waiting.append(part["SubLink"].get("testexpr"))
            else:
                waiting += part.values()
    return found


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
