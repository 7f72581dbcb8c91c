"""Whether a text may be nested so deeply that the parser, which descends into its tree, would end the process. Pure.

libpg_query writes and hashes a tree by recursion without a limit of its own: on a stack of 8 MB it ends somewhere from
10,000 levels on. `SELECT 1+1+1...` has one for each `+`. Brackets cannot be nested so deeply: the grammar stops before.
Comments that are nested take its scanner a time that grows with the square of their depth.
"""

from __future__ import annotations

import re
from typing import Final

from postgast import PgQueryError, scan
from postgast.pg_query_pb2 import Token as TokenKind

LEVELS: Final = 10_000
COMMENTS: Final = 200  # levels
SHORTEST: Final = 2 * LEVELS  # bytes: a shorter text cannot have so many (`+1`) that it matters


def _kinds(names: str) -> frozenset[int]:
    return frozenset(map(TokenKind.Value, names.split()))


_OPENING: Final = _kinds("ASCII_40 ASCII_91 CASE")  # ( [
_CLOSING: Final = _kinds("ASCII_41 ASCII_93 END_P")
_BESIDE: Final = _kinds("ASCII_44 OR")  # what stands on both sides of them is in one list
_LINKS: Final = _kinds("JOIN UNION INTERSECT EXCEPT")  # chains of them go on behind what is in lists
_SEMICOLON: Final = TokenKind.Value("ASCII_59")


def may_be_too_deep(text: str) -> bool:
    """An upper bound: each token may be a level, but for those that stand beside each other."""
    if text.count("/*") > COMMENTS and _has_deep_comments(text):
        return True
    if len(text) < SHORTEST:
        return False
    try:
        found = scan(text).tokens
    except PgQueryError:
        return False  # the parser stops there too, before there is a tree
    outer: list[tuple[int, int, int]] = []
    base = links = run = 0  # levels around the innermost bracket; of chains in it; since the last comma in it
    for token in found:
        kind = token.token
        if kind in _OPENING:
            outer.append((base, links, run))
            base, links, run = base + links + run + 1, 0, 0
        elif kind in _CLOSING:
            base, links, run = outer.pop() if outer else (base, links, run)
            run += 1
        elif kind in _BESIDE:
            run = 0
        elif kind in _LINKS:
            links += 1
        elif kind == _SEMICOLON and not outer:
            links = run = 0
        else:
            run += 1
        if base + links + run > LEVELS:
            return True
    return False


# Where a comment begins, or what may hold its signs and is none.
_OUTSIDE: Final = re.compile(
    r"""/\*|--[^\n]*|[eE]'(?:[^'\\]|\\.|'')*'|'[^']*'|"[^"]*"|(?<![\w$])\$((?:[^\W\d]\w*)?)\$.*?\$\1\$""", re.DOTALL
)
_INSIDE: Final = re.compile(r"/\*|\*/")


def _has_deep_comments(text: str) -> bool:
    at = depth = 0
    while found := (_INSIDE if depth else _OUTSIDE).search(text, at):
        at = found.end()
        depth += {"/*": 1, "*/": -1}.get(found[0], 0)
        if depth > COMMENTS:
            return True
    return False
