"""Pass: GROUP BY a primary key lets a table's other columns stand bare; a sub-query's columns have no key, so that they
are grouped, too.

Source: PostgreSQL's parse_agg.c and transformGroupClause in parse_clause.c.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from proxy.catalog.model import Column, Relation
from proxy.errors import PgError
from proxy.policy.names import quote_identifier
from proxy.rewrite.context import Context
from proxy.rewrite.fence import AGGREGATES
from proxy.rewrite.lex import Node
from proxy.rewrite.outputs import Outputs
from proxy.rewrite.scope import (
    STAR,
    SYSTEM_COLUMNS,
    ColumnUse,
    Level,
    Reference,
    Source,
    column_fields,
    owners,
    walk,
)
from proxy.rewrite.stars import StarItem, star_items

# Values of these cannot be grouped: no operator class says which are equal.
_WITHOUT_EQUALITY = frozenset("json xml point line lseg box path polygon circle jsonpath".split())
_HAS_ANY_VALUE = 160000  # the first version that has it

# Where it stands, an expression is computed for a group.
_OF_GROUPS = ("distinctClause", "targetList", "havingClause", "windowClause", "sortClause")


def complete_group_by(context: Context, reads: list[Reference]) -> None:
    """Adds to GROUP BY what a statement names of the relations whose keys are grouped."""
    outputs = Outputs(context.analysis.nodes)
    for reference in reads:
        relation, level = reference.relation, reference.level
        node = level.node if level else None
        if level is None or node is None or "groupClause" not in node or relation is None or not relation.primary_key:
            continue
        parts = _parts_of_rows(node)
        columns = {}
        for use, source, whole_row in context.uses_of(reference):
            name = parts.get(id(use.node)) if whole_row else use.fields[-1]
            if name is not None and (whole_row or _is_variable(use, source)):
                columns[id(use.node)] = source.base_column(name)
        groups = _Groups(context, node, level, reference, columns)
        grouped = groups.of(node["groupClause"])
        if not grouped.always.issuperset(relation.primary_key):
            continue
        free = _free(context, level, node) - groups.outputs(node["groupClause"])
        lists = _lists(node)
        wanted: dict[str, None] = {}
        added: set[int] = set()
        row = False
        for use, source, whole_row in context.uses_of(reference):
            if id(use.node) not in free:
                continue
            part = parts.get(id(use.node)) if whole_row else None
            is_row = whole_row and part is None and use.fields[-1] != STAR
            of_row = is_row or (whole_row and part is None and id(use.node) not in lists)
            named = (part or use.fields[-1],) if part or not whole_row else source.columns or ()
            more = [name for name in named if source.base_column(name) not in grouped.ever and _is_column(source, name)]
            without = [name for name in more if _has_no_equality(relation.column(source.base_column(name)))]
            arrays = [name for name in without if not is_row and _is_array(relation.column(source.base_column(name)))]
            old = context.snapshot.server_version < _HAS_ANY_VALUE  # array_agg makes one array of arrays
            if without and ((old and arrays) or not _shows_key(reference, relation)):
                raise _not_grouped(context, reference, without[0], use)
            if not without:
                wanted |= dict.fromkeys(more)
                added |= {id(use.node)} if more and (part or not whole_row) else set()
                row = row or of_row  # it is no column: it is grouped, too
            elif not whole_row or (is_row and not _is_spelled(context, reference)):
                _aggregate(context, use, outputs)
            elif outputs.is_output(use.node) and _is_list_of(use, source) and not _is_spelled(context, reference):
                _spell(context, use, source, without)
                wanted |= dict.fromkeys(name for name in more if name not in without)
            else:
                raise _not_grouped(context, reference, without[0], use)
        if wanted or row:
            _check_grouping_calls(context, node, added)
            _check_named(context, reference, level)
            _insert(context, node, reference.alias, list(wanted), row)


def _check_named(context: Context, reference: Reference, level: Level) -> None:
    """Within a join that has an alias, nothing can be named by the relation's own."""
    if any(source.reference is reference and source.hidden for source in level.sources):
        raise context.unsupported(
            f'GROUP BY of the primary key of "{reference.name}" by the alias of a join, where something of the '
            f"relation is hidden from app {context.app.name}",
            "Name the columns in GROUP BY, or give the join no alias.",
            reference.start,
        )


def _is_column(source: Source, name: str) -> bool:
    return name in (source.columns or ()) or name in SYSTEM_COLUMNS


def _has_no_equality(column: Column | None) -> bool:
    return column is not None and column.base_type.removeprefix("_") in _WITHOUT_EQUALITY


def _is_array(column: Column | None) -> bool:
    return column is not None and column.type_category == "A"


def _shows_key(reference: Reference, relation: Relation) -> bool:
    """Whether the app is shown the primary key as it is, so that it tells rows apart."""
    shown = {column.name for column in reference.columns if column.action == "show"}
    return shown.issuperset(relation.primary_key)


def _not_grouped(context: Context, reference: Reference, column: str, use: ColumnUse) -> PgError:
    return context.unsupported(
        f'column "{column}" cannot stand beside GROUP BY of the primary key of "{reference.name}", of which something '
        f"is hidden from app {context.app.name}",
        "Values of its type cannot be grouped. Name the columns in place of *.",
        use.start,
    )


def _is_list_of(use: ColumnUse, source: Source) -> bool:
    """Whether a name is `t.*`, or a `*` that is all of this source and nothing else."""
    return use.fields[-1] == STAR and (len(use.fields) == 2 or (len(use.fields) == 1 and use.level.sources == [source]))


def _is_spelled(context: Context, reference: Reference) -> bool:
    """Whether whole rows of it are spelled out by themselves: its form shows a system column."""
    return any(use.fields[-1] in SYSTEM_COLUMNS for use, _, _ in context.uses_of(reference))


def _spell(context: Context, use: ColumnUse, source: Source, without: Sequence[str]) -> None:
    """The list that `*` is, with what cannot be grouped as any value of its group."""
    before, after = _any_value(context)
    qualifier = quote_identifier(source.name or "")
    parts = []
    for name in source.columns or ():
        column = f"{qualifier}.{quote_identifier(name)}"
        parts.append(f"{before}{column}{after} AS {quote_identifier(name)}" if name in without else column)
    end = context.tokens[context.name_end(context.token_at(use.start)) - 1].end
    context.edit(use.start, end, ", ".join(parts))


def _any_value(context: Context) -> tuple[str, str]:
    """What stands before and behind a column that is then any of its group's values."""
    newer = context.snapshot.server_version >= _HAS_ANY_VALUE
    return ("pg_catalog.any_value(", ")") if newer else ("(pg_catalog.array_agg(", "))[1]")


def _aggregate(context: Context, use: ColumnUse, outputs: Outputs) -> None:
    """A group has one value of a column beside the key: any of them is it."""
    before, after = _any_value(context)
    end = context.tokens[context.name_end(context.token_at(use.start)) - 1].end
    context.edit(use.start, use.start, before)
    context.edit(end, end, after + outputs.name(context, use.node))


@dataclass(frozen=True, slots=True)
class _Grouped:
    """The columns of a relation that GROUP BY has in all of its sets, and in any."""

    always: frozenset[str] = frozenset()
    ever: frozenset[str] = frozenset()

    @classmethod
    def by(cls, name: str) -> _Grouped:
        return cls(frozenset({name}), frozenset({name}))


@dataclass(frozen=True, slots=True)
class _Groups:
    """What GROUP BY has of one relation. `columns`: those of it that names mean, by the ids of the ColumnRef nodes."""

    context: Context
    node: Node
    level: Level
    reference: Reference
    columns: dict[int, str]

    def of(self, items: Sequence[Node]) -> _Grouped:
        """Of a list, all of which is grouped together."""
        each = [self._item(item) for item in items]
        always, ever = (one.always for one in each), (one.ever for one in each)
        return _Grouped(frozenset().union(*always), frozenset().union(*ever))

    def _item(self, item: Node) -> _Grouped:
        if item.get("RowExpr", {}).get("row_format") == "COERCE_IMPLICIT_CAST":  # (a, b) is a, b
            return self.of(item["RowExpr"].get("args", ()))
        if "GroupingSet" in item:
            return self._sets(item["GroupingSet"])
        meant = self._meant(item)
        if isinstance(meant, StarItem):
            own = [one for one in (meant.source, *meant.variables) if one and one.reference is self.reference]
            return _Grouped.by(own[0].base_column(meant.column)) if own else _Grouped()
        item = meant
        part = item.get("A_Indirection", {})
        column = part["arg"].get("ColumnRef") if len(part.get("indirection", ())) == 1 else item.get("ColumnRef")
        name = self.columns.get(id(column))
        if name is None or (part and not owners(self.context.fences.uses[id(column)]).whole_row):
            return _Grouped()
        return _Grouped.by(name)

    def outputs(self, items: Sequence[Node]) -> set[int]:
        """ids of the ColumnRef nodes in outputs that GROUP BY means by their numbers or names."""
        found: set[int] = set()
        for item in items:
            ((kind, fields),) = item.items()
            if kind in ("RowExpr", "GroupingSet"):
                found |= self.outputs(fields.get("args", fields.get("content", ())))
            elif (meant := self._meant(item)) is not item:
                found |= {id(column) for column in _columns(meant)}
        return found

    def _sets(self, sets: Node) -> _Grouped:
        """ROLLUP, CUBE and () have a set of nothing, too."""
        each = [self._item(item) for item in sets.get("content", ())]
        always = [one.always for one in each] if sets["kind"] == "GROUPING_SET_SETS" else []
        return _Grouped(
            frozenset.intersection(*always) if always else frozenset(),
            frozenset().union(*(one.ever for one in each)),
        )

    def _meant(self, item: Node) -> Node | StarItem:
        """What stands in the output list, of its number or its name."""
        number = item.get("A_Const", {}).get("ival", {}).get("ival", 0)
        if number > 0:
            return self._output(number) or item
        if "ColumnRef" in item and not owners(self.context.fences.uses[id(item["ColumnRef"])]).sources:
            name = self.context.fences.uses[id(item["ColumnRef"])].fields[-1]
            outputs = [target["ResTarget"] for target in self.node.get("targetList", ())]
            item = next((output["val"] for output in outputs if output.get("name") == name), item)
        return item

    def _output(self, number: int) -> Node | StarItem | None:
        """The output with this number, of `*` the column; None behind a list that is not known."""
        before = 0
        for target in self.node.get("targetList", ()):
            value: Node = target["ResTarget"].get("val", {})
            found: Sequence[Node | StarItem] | None = [value]
            if "ColumnRef" in value and (fields := column_fields(value["ColumnRef"]))[-1] == STAR:
                found = star_items(self.level, fields)
            elif "A_Star" in value.get("A_Indirection", {}).get("indirection", [{}])[-1]:
                found = None  # (row).*: as many as the row's type has
            if found is None:
                return None
            if number <= before + len(found):
                return found[number - before - 1]
            before += len(found)
        return None


def _is_variable(use: ColumnUse, source: Source) -> bool:
    """Whether a name means the source's column itself, and not one that USING has merged of others' (FULL: of both)."""
    merged = len(use.fields) == 1 and len(owners(use).sources) > 1
    items = star_items(use.level, (STAR,)) if merged else None
    return all(source in item.variables for item in items or () if item.source is None and item.column == use.fields[0])


def _lists(node: Node) -> set[int]:
    """ids of the ColumnRef nodes that are an output or a part of a row by themselves: `t.*` is a list there."""
    values = [
        value
        for element in walk(node)
        for value in (element.get("ResTarget", {}).get("val", {}), *element.get("RowExpr", {}).get("args", ()))
    ]
    return {id(value["ColumnRef"]) for value in values if "ColumnRef" in value}


def _check_grouping_calls(context: Context, node: Node, added: set[int]) -> None:
    """GROUPING is asked of what the app groups itself: `added` are the ColumnRef nodes of what is added to that."""
    arguments = (call["args"] for element in walk(node) if (call := element.get("GroupingFunc")))
    for argument in (one for some in arguments for one in some):
        column = argument.get("A_Indirection", {}).get("arg", argument).get("ColumnRef", {})
        if id(column) in added:
            message = "arguments to GROUPING must be grouping expressions of the associated query level"
            raise PgError(message, "42803", position=context.position(column["location"]))


def _parts_of_rows(node: Node) -> dict[int, str]:
    """The columns c of `(t).c` and `(t.*).c`, by the ids of the ColumnRef nodes `t`."""
    return {
        id(found["arg"]["ColumnRef"]): found["indirection"][0]["String"]["sval"]
        for element in walk(node)
        if (found := element.get("A_Indirection"))
        and "ColumnRef" in found["arg"]
        and "String" in found["indirection"][0]
    }


def _free(context: Context, level: Level, node: Node) -> set[int]:
    """ids of the ColumnRef nodes that are computed for a group, outside of the level's aggregates."""
    parts = [node[name] for name in _OF_GROUPS if name in node]
    calls = (element["FuncCall"] for element in walk(parts) if "FuncCall" in element)
    inside = {id(column) for call in calls if _aggregates(context, call, level) for column in _columns(_summed(call))}
    return {id(column) for column in _columns(parts)} - inside


def _summed(call: Node) -> object:
    """What an aggregate takes row by row; what stands before WITHIN GROUP it takes once for the group."""
    return [call.get("agg_order"), call.get("agg_filter")] if call.get("agg_within_group") else call


def _columns(value: object) -> Iterator[Node]:
    return (element["ColumnRef"] for element in walk(value) if "ColumnRef" in element)


def _aggregates(context: Context, call: Node, level: Level) -> bool:
    """Whether a call is of an aggregate of this level: of the innermost one whose columns its arguments name."""
    if "over" in call or call["funcname"][-1]["String"]["sval"] not in AGGREGATES:
        return False
    inner = {id(element["SelectStmt"]) for element in walk(call) if "SelectStmt" in element}
    return not any(
        id(found.node) not in inner and _is_below(found, level)
        for found in (_level_of(context.fences.uses[id(column)]) for column in _columns(call))
        if found is not None
    )


def _level_of(use: ColumnUse) -> Level | None:
    """The level whose column a name means."""
    sources = owners(use).sources
    level: Level | None = use.level
    while level is not None and not any(source in level.sources for source in sources):
        level = level.parent
    return level


def _is_below(level: Level, other: Level) -> bool:
    while level.node is not other.node:
        if level.parent is None:
            return False
        level = level.parent
        if level.node is other.node:
            return True
    return False


def _insert(context: Context, node: Node, alias: str, columns: list[str], row: bool) -> None:
    """Puts the columns at the front of GROUP BY: what comes first in it has nothing but parentheses before it."""
    places = (element.get("location", -1) for element in walk(node["groupClause"]))
    index = context.token_at(min(place for place in places if place >= 0))
    while context.tokens[index].word != "by" or context.tokens[index - 1].word != "group":
        index -= 1
    index += 1
    if context.tokens[index].word in ("all", "distinct"):
        index += 1
    parts = [quote_identifier(column) for column in columns] + (["*"] if row else [])
    at = context.tokens[index].start
    context.edit(at, at, "".join(f"{quote_identifier(alias)}.{part}, " for part in parts))
