"""The bound on how deep a text is: never below the depth of its tree, and no obstacle to what is long only."""

from __future__ import annotations

import pytest

from proxy.server.nesting import COMMENTS, LEVELS, may_be_too_deep

# Each repetition makes the tree a level deeper (or more).
DEEPER = (
    ("SELECT 1", "+1", ""),
    ("SELECT 1", "::a", ""),
    ("SELECT a", " IS NULL", ""),
    ("SELECT a", " NOTNULL", ""),
    ("SELECT a", " IS DOCUMENT", ""),
    ("SELECT a", " AT TIME ZONE a", ""),
    ("SELECT a", " COLLATE a", ""),
    ("SELECT a", " IN (1, 2)", ""),
    ("SELECT a", " IS NULL BETWEEN 1 AND 2", ""),
    ("SELECT a", "+f(a, b)", ""),
    ("SELECT a", "+ARRAY[1, 2]", ""),
    ("SELECT a", "+CASE WHEN a OR b THEN c END", ""),
    ("SELECT a, b", " UNION SELECT a, b", ""),
    ("TABLE a", " EXCEPT TABLE a", ""),
    ("SELECT 1 FROM a", " JOIN b ON x OR y", ""),
    ("SELECT 1 FROM a, b", " CROSS JOIN c", ""),
    ("SELECT (1, f(a", "+1", "))"),
    ("SELECT 1; SELECT '--;', 1", "+1", "; SELECT 2"),
)


@pytest.mark.parametrize(("begin", "more", "end"), DEEPER)
def test_what_is_deep_is_found(begin: str, more: str, end: str) -> None:
    assert may_be_too_deep(begin + more * (LEVELS + 1) + end)


@pytest.mark.parametrize(
    "text",
    [
        "INSERT INTO t VALUES " + ", ".join(["(1, -2 + 3, 'a', f(b, c))"] * 20_000),
        "SELECT a FROM t WHERE a IN (" + ", ".join(["1"] * 50_000) + ")",
        "SELECT a FROM t WHERE " + " OR ".join(["a = 1 AND b = 2"] * 10_000),
        "SELECT " + ", ".join(["CASE WHEN a THEN b END AS c"] * 10_000) + " FROM t",
        "; ".join(["UPDATE t SET a = 1 + 2 WHERE b = 3"] * 10_000),
        "SELECT '" + "+1" * 50_000 + "' -- " + "+1" * 50_000,
        "SELECT '" + "x" * 50_000,
        "SELECT 1" + "+1" * 3000,
    ],
)
def test_what_is_long_only_is_not(text: str) -> None:
    assert not may_be_too_deep(text)


@pytest.mark.parametrize("begin", ["SELECT 1 ", "SELECT 'a/*', E'\\'', $x$/*$x$, \"/*\" -- /*\n"])
def test_comments_that_are_nested_deeply_are_found(begin: str) -> None:
    assert may_be_too_deep(begin + "/*" * (COMMENTS + 1) + "*/" * (COMMENTS + 1))


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 1" + "/* a */" * (COMMENTS + 1),
        "SELECT " + ", ".join(["'a/*'"] * (COMMENTS + 1)),
        "SELECT " + ", ".join(["$$/*$$"] * (COMMENTS + 1)),
        "SELECT 1 -- " + "/*" * (COMMENTS + 1),
        "SELECT 1" + "/* don't /* nest */ */" * (COMMENTS + 1),
    ],
)
def test_comments_beside_each_other_are_not_deep(text: str) -> None:
    assert not may_be_too_deep(text)
