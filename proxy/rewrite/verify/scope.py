"""Scopes: which source a column's name means, as far as the verifier must tell.

Reads of governed relations show visible columns only, so their names need no care: a column that the app does not have
is not there. Care is needed where the target of a write stays in place: there a name that might mean one of its hidden
columns must have been replaced, and what cannot be told counts as "might".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from proxy.catalog.model import Column, Relation
from proxy.policy.table import GovernedTable
from proxy.rewrite.verify.form import SYSTEM_COLUMNS
from proxy.rewrite.verify.tree import Node

# Columns by name; the value is None where the type is not known.
Columns = dict[str, Column | None]

INNER, TARGET, UNSURE = "inner", "target", "unsure"


@dataclass(slots=True, eq=False)
class Source:
    """One item of FROM. `columns`: those that names can mean, system columns left out; None where unknown."""

    name: str
    columns: Columns | None
    relation: Relation | None = None
    table: GovernedTable | None = None
    form: bool = False  # a sub-query stands in its place
    aliased: bool = False  # by the app: `schema.relation.column` does not mean it
    system_columns: tuple[str, ...] = ()  # of a form: those that it shows
    has_system_columns: bool = False  # a relation as it is
    sure: frozenset[str] = frozenset()  # where `columns` are unknown: some of them
    named_alike: bool = False  # a function: its name is its only column's, or else its row's
    apart: str = ""  # a form's alias in the rewritten text, where that is not its name

    @property
    def alias(self) -> str:
        """What it is called in the rewritten text."""
        return self.apart or self.name

    def has(self, column: str) -> bool:
        """Whether it surely has the column."""
        if self.columns is None:
            return column in self.sure
        return column in self.columns or (self.has_system_columns and column in SYSTEM_COLUMNS)


@dataclass(slots=True, eq=False)
class Merge:
    """USING (columns) AS alias. `source`: what names can mean of the alias; None where the app did not give it."""

    alias: str
    columns: frozenset[str]
    sides: Sequence[Source]
    source: Source | None

    def joins(self, sources: Sequence[Source]) -> bool:
        """Whether each of the sources is on one of its sides."""
        return all(any(source is side for side in self.sides) for source in sources)


@dataclass(slots=True, eq=False)
class Target:
    """The target of a write of which the app must not see or write everything."""

    name: str
    table: GovernedTable
    relation: Relation
    aliased: bool
    expressions: Mapping[str, Node]
    conjuncts: list[Node]
    row_names: frozenset[str] = frozenset()  # in RETURNING: names of its old and new row

    @property
    def alias(self) -> str:
        """What it is called in the rewritten text."""
        return self.name

    def has(self, column: str) -> bool:
        """Whether the app has it there."""
        governed = self.table.column(column)
        return column in SYSTEM_COLUMNS or (governed is not None and governed.treatment.action != "drop")

    def hides(self, column: str) -> bool:
        """Whether PostgreSQL finds a column there that the app does not have."""
        return not self.has(column) and self.relation.column(column) is not None

    @property
    def has_all_columns(self) -> bool:
        """Whether the app is shown every column as it is: the row of a row that it is shown is then its own."""
        shown = {column.name for column in self.table.columns if column.treatment.plain}
        return len(shown) == len(self.table.columns) and all(
            column.number < 0 or column.name in shown for column in self.relation.columns
        )


@dataclass(slots=True, eq=False)
class Level:
    """The names of one query. `loose`: what stands here may or may not be visible from inside."""

    parent: Level | None
    ctes: Mapping[str, Node]
    sources: list[Source] = field(default_factory=list)
    target: Target | None = None
    where: Node | None = None  # the app's own
    loose: bool = False
    nullable: bool = False  # an outer join may put NULLs in place of the rows of what comes next
    beside: Sequence[Node] = ()  # the target of a write that reads FROM
    guarded: bool = False  # a guarded target is here or further out
    items: list[Node] = field(default_factory=list)  # the items of FROM that `sources` are of
    left: Sequence[Node] = ()  # those of them that a LATERAL one which comes next may name
    groups: list[Node] = field(default_factory=list)  # the app's GROUP BY ...
    outputs: list[Node] = field(default_factory=list)  # ... and output list
    target_last: bool = False  # `*` has the columns of FROM first (MERGE)
    shut: Target | None = None  # the target of a write, in its FROM: PostgreSQL finds it, and says that it is not there
    in_json_table: bool = False  # what stands here has no collation, but within a query

    def __post_init__(self) -> None:
        self.guarded = self.target is not None or (self.parent is not None and self.parent.guarded)

    def outward(self) -> Iterator[Level]:
        level: Level | None = self
        while level is not None:
            yield level
            level = level.parent

    def has_of_its_own(self, words: list[str]) -> bool:
        """Whether a name means a column of this level's own sources, for sure."""
        named = self.sources if len(words) == 1 else [source for source in self.sources if source.name == words[-2]]
        return len(words) in (1, 2) and any(
            source.columns is not None and words[-1] in source.columns for source in named
        )

    def meaning_of(self, column: str) -> tuple[str, Target | None]:
        """What a name without qualifier means: INNER (not a guarded target), TARGET, or UNSURE, with the target."""
        unsure = False
        for level in self.outward():
            hit = False
            for source in level.sources:
                if source.has(column):
                    hit = True
                elif source.columns is None:
                    unsure = True
            if hit and not level.loose:
                return INNER, None
            unsure = unsure or hit
            if level.target is not None and level.target.has(column):
                return (UNSURE if unsure or level.loose else TARGET), level.target
        return INNER, None

    def may_be_hidden(self, column: str) -> bool:
        """Whether PostgreSQL may find a column that the app does not have by this name, without qualifier."""
        for level in self.outward():
            if any(target is not None and target.hides(column) for target in (level.target, level.shut)):
                return True
            if not level.loose and any(source.has(column) for source in level.sources):
                return False
        return False

    def may_be_masked(self, column: str) -> bool:
        """Whether a target has a column of the name that is not shown as it is."""
        targets = (level.target for level in self.outward() if level.target is not None)
        found = (target.table.column(column) for target in targets)
        return any(governed is not None and not governed.treatment.plain for governed in found)

    def owner_of(self, column: str) -> Source | None:
        """The one source whose column a name without qualifier means for the app; None where that is not certain."""
        for level in self.outward():
            having = [s for s in level.sources if s.has(column) or (s.named_alike and s.name == column)]
            if level.loose or (level.target is not None and level.target.has(column)):
                return None
            if having:
                (source,) = having if len(having) == 1 else (None,)
                known = source is not None and (source.apart or self.named(source.name) is source)
                return source if known else None
            if any(source.columns is None for source in level.sources):
                return None
        return None

    def only_unknown(self, column: str) -> Source | None:
        """The one source that may have the column of a name without qualifier for the app, up to a target which lacks
        it; None where more may, or something surely has it.
        """
        unknown: list[Source] = []
        for level in self.outward():
            if level.loose or any(s.has(column) or s.name in ("", column) for s in level.sources):
                return None
            unknown += [source for source in level.sources if source.columns is None]
            target = level.target or level.shut
            if target is not None:
                (source,) = unknown if len(unknown) == 1 else (None,)
                lacks = not target.has(column) and target.name != column
                return source if lacks and source is not None and self.named(source.name) is source else None
        return None

    def row_named(self, name: str) -> tuple[Source | Target | None, bool]:
        """The source or target whose whole row a name without qualifier means, and whether that is certain."""
        certain = True
        for level in self.outward():
            for source in level.sources:
                if source.has(name) and not level.loose:
                    return None, True
                if source.columns is None or source.has(name):
                    certain = False
            if level.target is not None and level.target.has(name):
                return None, True
        return self.named(name), certain

    def named(self, name: str) -> Source | Target | None:
        """The nearest source or target of this name or alias."""
        for level in self.outward():
            for source in level.sources:
                if source.name == name:
                    return source
            target = level.target
            if target is not None and (target.name == name or name in target.row_names):
                return target
        return None

    def means_one(self, source: Source) -> bool:
        """Whether the name of this source, by itself, surely means it in the app's text."""
        for level in self.outward():
            if source in level.sources:
                return [one for one in level.sources if one.name == source.name] == [source]
            if any(one.name == "" for one in level.sources):
                return False
        return False

    def surely_named(self, name: str, source: Source) -> bool:
        """Whether a name means this source in the rewritten text; not where something nearer has a name that is not
        known.
        """
        for level in self.outward():
            if source in level.sources:
                return [one for one in level.sources if one.alias == name] == [source]
            if any(one.alias in (name, "") for one in level.sources):
                return False
            if level.target is not None and (level.target.name == name or name in level.target.row_names):
                return False
        return False

    def relation_named(self, schema: str, name: str) -> Source | Target | None:
        """The nearest source or target that `schema.name` qualifies."""
        for level in self.outward():
            for source in level.sources:
                if source.relation is not None and not source.aliased and source.relation.key == (schema, name):
                    return source
            target = level.target
            if target is not None and not target.aliased and target.relation.key == (schema, name):
                return target
        return None


def renamed(columns: Columns | None, alias: Node | None) -> Columns | None:
    """The columns under an alias with a column list, which names the first ones anew."""
    if columns is None or not alias or "colnames" not in alias:
        return columns
    names = [node["String"]["sval"] for node in alias["colnames"]]
    if len(names) > len(columns):
        return None  # an error of the server's
    rest = list(columns.items())
    result: Columns = {}
    for position, (name, column) in enumerate(rest):
        shown = names[position] if position < len(names) else name
        if shown in result:
            return None
        result[shown] = column
    return result


def output_columns(query: Node, alias: Node | None) -> Columns | None:
    """The names that a sub-query's output has, where each can be told; types are not."""
    body = query.get("SelectStmt")
    if body is None:
        return None
    while "larg" in body:
        body = body["larg"]
    if "valuesLists" in body:
        count = len(body["valuesLists"][0]["List"]["items"])
        return renamed({f"column{number}": None for number in range(1, count + 1)}, alias)
    names = [output_name(item["ResTarget"]) for item in body.get("targetList", ())]
    known = [name for name in names if name is not None]
    if len(known) != len(names):
        return None
    columns: Columns = dict.fromkeys(known)
    return (
        renamed(columns, alias) if len(columns) == len(names) else (None if alias and "colnames" in alias else columns)
    )


def output_name(item: Node) -> str | None:
    """The name of an item of an output list, where it can be told."""
    if "name" in item:
        name: str = item["name"]
        return name
    if "indirection" in item:
        return None
    value = item["val"]
    if "ColumnRef" in value:
        last: Node = value["ColumnRef"]["fields"][-1]
        return last["String"]["sval"] if "String" in last else None
    if "FuncCall" in value:
        word: str = value["FuncCall"]["funcname"][-1]["String"]["sval"]
        return word
    return "?column?" if "A_Const" in value or "ParamRef" in value else None


def figured_name(value: Node) -> str | None:
    """The name that PostgreSQL gives an output without one, where a column, a cast or a call gives it (else None)."""
    for kind, node in value.items():
        if kind == "ColumnRef":
            words = [field["String"]["sval"] for field in node["fields"] if "String" in field]
            return words[-1] if words else None
        if kind == "FuncCall":
            word: str = node["funcname"][-1]["String"]["sval"]
            return word
        if kind == "TypeCast":
            names: list[Node] = node["typeName"].get("names", [])
            return figured_name(node["arg"]) or (names[-1]["String"]["sval"] if names else None)
        if kind == "CollateClause":
            return figured_name(node["arg"])
        if kind == "A_Indirection":
            fields = [part["String"]["sval"] for part in node["indirection"] if "String" in part]
            return fields[-1] if fields else figured_name(node["arg"])
        if kind == "CaseExpr":
            return figured_name(node.get("defresult", {})) or "case"
        if kind == "SubLink" and node["subLinkType"] == "EXPR_SUBLINK":
            targets = node["subselect"].get("SelectStmt", {}).get("targetList", [])
            first: Node = targets[0]["ResTarget"] if targets else {}
            return first.get("name") or figured_name(first.get("val", {}))
    return None
