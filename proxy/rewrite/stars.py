"""What `*` stands for: the columns of a level's sources in PostgreSQL's order, those that USING merges first.

Source: PostgreSQL's parse_relation.c and transformJoinUsingClause in parse_clause.c.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from proxy.rewrite.lex import Node
from proxy.rewrite.scope import STAR, ColumnUse, Level, Source, owners


@dataclass(frozen=True, slots=True)
class StarItem:
    """A part of what `*` means: a source's column, all of its columns (STAR), or a column that USING merges."""

    source: Source | None  # None: merged
    column: str = STAR
    variables: tuple[Source, ...] = ()  # of a merged one: whose column it is, or may be
    join: Node | None = None  # ... and what merges it

    def columns(self) -> tuple[str, ...] | None:
        """The names; None where they cannot be known."""
        return (self.column,) if self.column != STAR or self.source is None else self.source.columns


Star = list[StarItem] | None


def star_columns(level: Level, fields: tuple[str, ...]) -> list[str] | None:
    """The output columns of `*` or `t.*` at a level; None where they cannot be known."""
    items = star_items(level, fields)
    return None if items is None else [item.column for item in items]


def star_items(level: Level, fields: tuple[str, ...]) -> Star:
    """What `*` or `t.*` means at a level, column by column; None where that cannot be told."""
    if len(fields) == 1:
        items = star_of(level)
    else:
        items = [StarItem(source) for source in owners(ColumnUse(fields, -1, level, "", {})).sources]
    return None if items is None else _spread(items)


def star_of(level: Level) -> Star:
    """What a bare `*` means at a level whose FROM is known; None where that cannot be told."""
    node = level.node or {}
    sources = iter(level.sources)
    merged = "sourceRelation" in node
    target: list[StarItem] = []
    if "relation" in node:  # a statement that writes: its target comes first among the sources
        target.append(StarItem(next(sources)))
    others: list[StarItem] = []
    for item in node.get("fromClause") or node.get("usingClause") or ([node["sourceRelation"]] if merged else ()):
        found = _item(item, sources)
        if found is None:
            return None
        others += found
    return [*others, *target] if merged else [*target, *others]


def _item(item: Node, sources: Iterator[Source]) -> Star:
    """The part of one item of FROM. `sources`: the level's, in the order in which the walk finds them."""
    join = item.get("JoinExpr")
    if join is None:
        return [StarItem(next(sources))]
    left, right = _item(join["larg"], sources), _item(join["rarg"], sources)
    if "join_using_alias" in join:
        next(sources)
    if "alias" in join:
        return [StarItem(next(sources))]
    if left is None or right is None:
        return None
    if not join.get("isNatural") and "usingClause" not in join:
        return [*left, *right]
    one, two = _spread(left), _spread(right)
    if one is None or two is None:
        return None
    if join.get("isNatural"):
        there = {item.column for item in two}
        names = [item.column for item in one if item.column in there]
    else:
        names = [name["String"]["sval"] for name in join["usingClause"]]
    return [
        *(StarItem(None, name, _variables(join["jointype"], name, one, two), join) for name in names),
        *(item for item in (*one, *two) if item.column not in names),
    ]


def _variables(kind: str, name: str, left: list[StarItem], right: list[StarItem]) -> tuple[Source, ...]:
    """Whose column a merged one is (buildMergedJoinVar in parse_clause.c): of an inner join the left one's, or the
    right one's where only that has the type of both; of a full join, which has either's value, nobody's.
    """
    of = [_owning(side, name) for side in (left, right)]
    match kind:
        case "JOIN_INNER":
            return of[0] if _one_type(of, name) else (*of[0], *of[1])
        case "JOIN_LEFT":
            return of[0]
        case "JOIN_RIGHT":
            return of[1]
    return ()


def _owning(side: list[StarItem], name: str) -> tuple[Source, ...]:
    found = [item for item in side if item.column == name]
    return tuple(source for item in found for source in ((item.source,) if item.source else item.variables))


def _one_type(of: list[tuple[Source, ...]], name: str) -> bool:
    """Whether both sides' columns are known to have one type."""
    types = set()
    for source in (*of[0], *of[1]):
        relation = source.reference.relation if source.reference else None
        column = relation.column(source.base_column(name)) if relation else None
        types.add(None if column is None else column.type_oid)
    return len(types) == 1 and None not in types


def _spread(items: list[StarItem]) -> Star:
    """The items column by column."""
    out: list[StarItem] = []
    for item in items:
        columns = item.columns()
        if columns is None:
            return None
        out += [StarItem(item.source, name, item.variables, item.join) for name in columns]
    return out
