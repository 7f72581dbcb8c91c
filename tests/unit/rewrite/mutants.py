"""Trees and texts that a wrong or subverted rewriter might send in the place of an honest one.

Two levels. *Trees*: each node of the honest tree is deleted, repeated, swapped with its neighbour, replaced by one of
its parts or by a node of the same field anywhere in the corpus; fields that it could have are put in; each word,
number and enumeration is changed. *Tokens*: stretches of the honest text are deleted, repeated, swapped and replaced
by stretches of other texts; what still parses is a mutant.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from postgast import scan

from proxy.rewrite.verify.tree import KNOWN_NODES, NODE, NODES, SCALAR

Tree = Any
Path = tuple[str | int, ...]


@dataclass
class Corpus:
    """What stands in each field of all trees, so that a mutant can have it in another place."""

    values: dict[tuple[str, str], list[Tree]] = field(default_factory=dict)  # (kind, field) -> its different values
    words: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, trees: Iterable[Tree]) -> Corpus:
        corpus = cls()
        seen: set[str] = set()
        words: dict[str, None] = {}
        for tree in trees:
            for kind, name, value in _fields(tree, ""):
                key = repr((kind, name, value))
                if key not in seen:
                    seen.add(key)
                    corpus.values.setdefault((kind, name), []).append(value)
                if isinstance(value, str) and not value.isupper() and "_" not in value[:5]:
                    words[value] = None
        corpus.words = list(words)
        return corpus

    def like(self, kind: str, name: str) -> list[Tree]:
        return self.values.get((kind, name), [])


def _fields(value: Tree, kind: str) -> Iterator[tuple[str, str, Tree]]:
    """(kind of the node, field, value) of all fields in a tree."""
    if isinstance(value, list):
        for item in value:
            yield from _fields(item, kind)
    elif isinstance(value, dict):
        for name, inner in value.items():
            if name in KNOWN_NODES and len(value) == 1:
                yield from _fields(inner, name)
            else:
                yield kind, name, inner
                how = KNOWN_NODES.get(kind, {}).get(name, "")
                yield from _fields(inner, kind if how in (NODE, NODES, SCALAR, "") else how)


def places(tree: Tree, path: Path = (), kind: str = "") -> Iterator[tuple[Path, str, Tree]]:
    """(path, kind of the node that has it, value) of everything in a tree."""
    if isinstance(tree, list):
        for index, item in enumerate(tree):
            yield (*path, index), kind, item
            yield from places(item, (*path, index), kind)
    elif isinstance(tree, dict):
        for name, inner in tree.items():
            yield (*path, name), kind, inner
            if name in KNOWN_NODES and len(tree) == 1:
                yield from places(inner, (*path, name), name)
            else:
                how = KNOWN_NODES.get(kind, {}).get(name, "")
                yield from places(inner, (*path, name), kind if how in (NODE, NODES, SCALAR, "") else how)


def at(tree: Tree, path: Path) -> Tree:
    for step in path:
        tree = tree[step]
    return tree


def changed(tree: Tree, path: Path, change: Callable[[Tree, str | int], None]) -> Tree:
    """A copy in which `change(parent, key)` was done at the path; the rest is shared."""
    if len(path) == 1:
        copy = tree.copy()
        change(copy, path[0])
        return copy
    copy = tree.copy()
    copy[path[0]] = changed(tree[path[0]], path[1:], change)
    return copy


def replaced(tree: Tree, path: Path, value: Tree) -> Tree:
    if not path:
        return value

    def put(parent: Tree, key: str | int) -> None:
        parent[key] = value

    return changed(tree, path, put)


def deleted(tree: Tree, path: Path) -> Tree:
    def drop(parent: Tree, key: str | int) -> None:
        del parent[key]

    return changed(tree, path, drop)


def nodes_inside(value: Tree, depth: int = 3) -> Iterator[Tree]:
    """Whole nodes (`{"Kind": ...}`) a few steps below a value."""
    if depth and isinstance(value, dict):
        for inner in value.values():
            if isinstance(inner, dict) and len(inner) == 1 and next(iter(inner)) in KNOWN_NODES:
                yield inner
            yield from nodes_inside(inner, depth - 1)
    elif depth and isinstance(value, list):
        for inner in value:
            if isinstance(inner, dict) and len(inner) == 1 and next(iter(inner)) in KNOWN_NODES:
                yield inner
            yield from nodes_inside(inner, depth - 1)


_WRAPPED = (
    lambda node: {"BoolExpr": {"boolop": "NOT_EXPR", "args": [node]}},
    lambda node: {"FuncCall": {"funcname": [{"String": {"sval": "query_to_xml"}}], "args": [node], "funcformat": "COERCE_EXPLICIT_CALL"}},
    lambda node: {"FuncCall": {"funcname": [{"String": {"sval": "lower"}}], "args": [node], "funcformat": "COERCE_EXPLICIT_CALL"}},
    lambda node: {"TypeCast": {"arg": node, "typeName": {"names": [{"String": {"sval": "int4"}}], "typemod": -1}}},
)  # fmt: skip


def tree_mutants(
    tree: list[Tree], corpus: Corpus, choose: random.Random, wide: int = 3, part: float = 1
) -> Iterator[tuple[str, Tree]]:
    """(what was done, mutant) for a text's trees.

    `wide`: how many values of other places each place gets; `part`: of the places, how many are changed.
    """
    for path, kind, value in places(tree):
        if part < 1 and choose.random() >= part:
            continue
        key = path[-1]
        where = f"{kind}.{next((str(p) for p in reversed(path) if isinstance(p, str)), '')}"
        is_node = isinstance(value, dict) and len(value) == 1 and next(iter(value)) in KNOWN_NODES
        yield f"{where} deleted", deleted(tree, path)
        if isinstance(key, int):
            siblings = at(tree, path[:-1])
            yield f"{where} repeated", replaced(tree, path[:-1], [*siblings[: key + 1], *siblings[key:]])
            if key:
                swapped = [*siblings[: key - 1], siblings[key], siblings[key - 1], *siblings[key + 1 :]]
                yield f"{where} swapped", replaced(tree, path[:-1], swapped)
                yield f"{where} as its neighbour", replaced(tree, path, siblings[key - 1])
        if is_node:
            for inner in nodes_inside(value):
                yield f"{where} replaced by a part", replaced(tree, path, inner)
            for wrap in _WRAPPED:
                yield f"{where} wrapped", replaced(tree, path, wrap(value))
            ((name, body),) = value.items()
            parent = at(tree, path[:-1])
            if isinstance(parent, dict):
                for other, inner in parent.items():
                    if other != key and isinstance(inner, dict):
                        yield f"{where} as {other}", replaced(tree, path, inner)
                        yield (
                            f"{where} and {other} swapped",
                            replaced(replaced(tree, path, inner), (*path[:-1], other), value),
                        )
            if isinstance(body, dict):
                yield from _added(tree, (*path, name), name, body, corpus, choose, wide)
        elif isinstance(value, dict):
            how = KNOWN_NODES.get(kind, {}).get(str(key), "")
            if how in KNOWN_NODES:
                yield from _added(tree, path, how, value, corpus, choose, wide)
        if isinstance(key, str):
            others = [other for other in corpus.like(kind, key) if other != value]
            for other in choose.sample(others, min(wide, len(others))):
                yield f"{where} as elsewhere", replaced(tree, path, other)
        if isinstance(value, bool):
            yield f"{where} flipped", replaced(tree, path, not value)
        elif isinstance(value, int):
            yield f"{where} changed", replaced(tree, path, value + 1)
        elif isinstance(value, str):
            for word in choose.sample(corpus.words, wide):
                yield f"{where} renamed", replaced(tree, path, word)
        elif isinstance(value, list):
            name = key if isinstance(key, str) else ""
            others = [item for other in corpus.like(kind, str(name)) if isinstance(other, list) for item in other]
            for item in choose.sample(others, min(wide, len(others))):
                index = choose.randint(0, len(value))
                yield f"{where} with one more", replaced(tree, path, [*value[:index], item, *value[index:]])


def _added(
    tree: Tree, path: Path, kind: str, body: Tree, corpus: Corpus, choose: random.Random, wide: int
) -> Iterator[tuple[str, Tree]]:
    for name in KNOWN_NODES[kind]:
        if name not in body:
            found = corpus.like(kind, name)
            for value in choose.sample(found, min(wide, len(found))):
                yield f"{kind}.{name} added", replaced(tree, path, {**body, name: deepcopy(value)})


# -- texts ----------------------------------------------------------------------------------------------------------

# What an app must not get at by any of its statements: put in the place of names and sub-queries.
_NAMES = ("customers", "public.customers", "card_no", "phone", "_t.card_no", "contacts", "pg_toast.pg_toast_1255", "state_mailer", "consentry", "total", "true", "null", "0")  # fmt: skip
_QUERIES = ("(select * from public.customers)", "(table public.orders)", "(select *, ctid from contacts)", "(select phone from customers as _t)")  # fmt: skip
_BESIDE = ("{}; select card_no from public.customers", "table public.customers; {}", "{} union all select * from public.customers", "{} limit 1", "{} for update", "explain analyze {}", "prepare x as {}", "with x as (table public.customers) {}")  # fmt: skip


def text_mutants(text: str, choose: random.Random, wide: int = 2) -> Iterator[tuple[str, str]]:
    """(what was done, text) for a text, token by token. Many do not parse."""
    raw = text.encode()
    tokens = [(token.start, token.end) for token in scan(text).tokens]
    words = [raw[start:end].decode() for start, end in tokens]

    def cut(first: int, last: int, put: str = "") -> str:
        """The text with `put` in the place of the tokens from `first` to `last`."""
        return f"{raw[: tokens[first][0]].decode()} {put} {raw[tokens[last][1] :].decode()}"

    for template in _BESIDE:
        yield "something beside it", template.format(text)
    groups = _groups(words)
    for index in range(len(tokens)):
        yield "a token deleted", cut(index, index)
        yield "a token repeated", cut(index, index, f"{words[index]} {words[index]}")
        for other in choose.sample(range(len(words)), min(wide, len(words))):
            yield "a token as another", cut(index, index, words[other])
        for name in choose.sample(_NAMES, wide):
            yield "a token as a hidden name", cut(index, index, name)
        if index + 1 < len(tokens):
            yield "tokens swapped", cut(index, index + 1, f"{words[index + 1]} {words[index]}")
        for length in (2, 3, 4, choose.randint(5, 30)):
            if index + length <= len(tokens):
                yield "tokens deleted", cut(index, index + length - 1)
    for first, last in groups:
        inside = raw[tokens[first][1] : tokens[last][0]].decode()
        whole = f"({inside})"
        yield "parentheses dropped", cut(first, last, inside)
        yield "parentheses emptied", cut(first, last, "()")
        yield "a group deleted", cut(first, last)
        yield "a group negated", cut(first, last, f"(not {whole})")
        yield "a group in a call", cut(first, last, f"query_to_xml({whole})")
        for query in _QUERIES:
            yield "a group as a query", cut(first, last, query)
        for one, two in choose.sample(groups, min(wide, len(groups))):
            other = raw[tokens[one][0] : tokens[two][1]].decode()
            yield "a group as another", cut(first, last, other)
            if last < one:
                between, after = raw[tokens[last][1] : tokens[one][0]].decode(), raw[tokens[two][1] :].decode()
                yield "groups swapped", f"{raw[: tokens[first][0]].decode()}{other}{between}{whole}{after}"


def _groups(words: list[str]) -> list[tuple[int, int]]:
    """(index of the opening, index of the closing) of all parentheses."""
    found, opened = [], []
    for index, word in enumerate(words):
        if word == "(":
            opened.append(index)
        elif word == ")" and opened:
            found.append((opened.pop(), index))
    return sorted(found)
