"""The second look: what relations does sqlglot find in a text, and where. Two grammars that disagree are a refusal.

rewriting.md, evidence 2 and 3: sqlglot reads a harmless copy (strings, parameters and comments blanked by
PostgreSQL's own scanner),
only to locate; about 4 % of PostgreSQL's regress statements do not parse in it, and then libpg_query's locations
stand alone.
"""

from __future__ import annotations

import logging
from bisect import bisect_left
from collections.abc import Iterable

import sqlglot
from sqlglot import exp

from proxy.errors import feature_not_supported
from proxy.rewrite.lex import Node, Tokens, part_at

logging.getLogger("sqlglot").setLevel(logging.ERROR)  # it warns of statements that it takes as opaque

_OPENERS = ("select", "insert", "update", "delete", "with", "values", "merge")


def check_agreement(tokens: Tokens, statement: Node, nodes: list[tuple[str, Node]], begin: int, end: int) -> None:
    """Raises the refusal of a statement (bytes `begin` to `end`) in which sqlglot finds other relations than
    libpg_query.
    """
    inner = _inner_query(tokens, statement, begin, end)
    if inner is None:
        return
    begin, end = inner
    blanked = " " * begin + tokens.harmless_copy[begin:end]
    found = _tables(blanked)
    if found is None:
        return
    expected, ignored = set(), set()
    for kind, node in nodes:
        if "relname" in node:
            first = bisect_left(tokens.starts, node.get("location", 0))
            index = part_at(tokens, first, ("schemaname" in node) + ("catalogname" in node))
            expected.add(tokens.starts[index])
        elif kind == "LockingClause":
            ignored |= {lock["RangeVar"].get("location", 0) for lock in node.get("lockedRels", ())}
    if found - expected - ignored or {e for e in expected if begin <= e < end} - found - ignored:
        raise feature_not_supported(
            "two parsers disagree on which relations the statement names",
            "Write it in a plainer way; please report the statement.",
        )


def _tables(text: str) -> set[int] | None:
    """Where sqlglot sees the names of tables; None where it does not take the text."""
    try:
        trees = sqlglot.parse(text, dialect="postgres")
    except Exception:
        return None
    found = set()
    for tree in trees:
        if tree is None or isinstance(tree, exp.Command):
            return None
        found |= set(_positions(tree.find_all(exp.Table)))
    return found


def _positions(tables: Iterable[exp.Table]) -> Iterable[int]:
    for table in tables:
        if isinstance(table.this, exp.Identifier) and "start" in table.this.meta:
            yield table.this.meta["start"]


def _inner_query(tokens: Tokens, statement: Node, begin: int, end: int) -> tuple[int, int] | None:
    """The stretch of the query that EXPLAIN, PREPARE, DECLARE, COPY (query) or CREATE TABLE AS wraps; None where it
    is no query.
    """
    ((kind, fields),) = statement.items()
    if kind in ("SelectStmt", "InsertStmt", "UpdateStmt", "DeleteStmt"):
        return begin, end
    if "query" not in fields or kind == "MergeStmt":
        return None
    inside = tokens[bisect_left(tokens.starts, begin) : bisect_left(tokens.starts, end)]
    if kind == "CopyStmt":  # COPY (query) TO
        depth, index = 1, 2
        while depth:
            depth += (inside[index].text == b"(") - (inside[index].text == b")")
            index += 1
        return inside[2].start, inside[index - 1].start
    index = 1
    if kind == "ExplainStmt" and inside[1].text == b"(" and inside[2].word not in _OPENERS:
        while inside[index].text != b")":
            index += 1
    while index < len(inside) and inside[index].word not in _OPENERS:
        index += 1
    return None if index == len(inside) else (inside[index].start, end)
