"""Columns that USING merges, by a name that means nothing else: `alias.column` of `USING (column) AS alias`."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import count

from proxy.policy.names import quote_identifier
from proxy.rewrite.context import Context
from proxy.rewrite.lex import Node
from proxy.rewrite.scope import Source, walk


def merged_alias(context: Context, having: Sequence[Source], column: str) -> str | None:
    """The alias of the USING which makes one column of those that these sources have; None where none does."""
    for join, joined in context.analysis.using_joins:
        names = [name["String"]["sval"] for name in join["usingClause"]]
        if column in names and all(source in joined for source in having):
            return using_alias(context, join)
    return None


def using_alias(context: Context, join: Node) -> str:
    """The alias of a USING: the app's own, or one that is put there."""
    if "join_using_alias" in join:
        return quote_identifier(join["join_using_alias"]["aliasname"])
    put = context.using_aliases
    if id(join) not in put:
        taken = [*put.values(), context.text.lower()]
        alias = next(one for one in map("_u{}".format, count(1)) if not any(one in text for text in taken))
        at = _end_of_using(context, join)
        context.edit(at, at, f" AS {alias}")
        put[id(join)] = alias
    return put[id(join)]


def _end_of_using(context: Context, join: Node) -> int:
    """Where its list of columns ends: behind what stands right of it, and the lists of joins that end there."""
    last = _last_place(join["rarg"])
    inner = [node["JoinExpr"] for node in walk(join["rarg"]) if "JoinExpr" in node]
    lists = 1 + sum("usingClause" in one and _last_place(one["rarg"]) == last for one in inner)
    index = bisect_right(context.tokens.starts, last)
    while lists:
        lists -= context.tokens[index].word == "using"
        index += 1
    return context.tokens[context.matching(index)].end


def _last_place(item: Node) -> int:
    return max(int(node.get("location", -1)) for node in walk(item))
