"""Statements as trees of text: each node knows how it may be cut down, and a spelling turns it into SQL."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random


@dataclass(slots=True, eq=False)
class Node:
    """`kind`: a node may be replaced by one of its own descendants of the same kind. `least`: a shorter text that may
    stand here instead. `separator`: stands between the parts, any of which may then be left out.
    """

    kind: str
    parts: list[Part] = field(default_factory=list)
    least: str | None = None
    separator: str = ""


@dataclass(slots=True, eq=False)
class Literal(Node):
    """A constant that may become a parameter."""

    value: str | None = None
    type: str = "text"


Part = str | Node


def node(kind: str, *parts: Part, least: str | None = None) -> Node:
    return Node(kind, list(parts), least)


def listed(parts: list[Part], separator: str = ",", kind: str = "list") -> Node:
    return Node(kind, parts, None, separator)


def optional(*parts: Part) -> Node:
    return Node("optional", list(parts), "")


def walk(tree: Node) -> Iterator[Node]:
    yield tree
    for part in tree.parts:
        if isinstance(part, Node):
            yield from walk(part)


@dataclass(frozen=True)
class Spelled:
    """What goes to the server. `params`: (value, declared type or None)."""

    text: str
    params: tuple[tuple[str | None, str | None], ...] = ()


_GAPS = ("\n", "\t", "  ", " /* a , b */ ", " -- c ' \" $x$\n", " /* /* nested ; */ */ ", "\r\n", "\f ")


@dataclass
class Spelling:
    """How a statement is written: `odd`: comments, white space, capitals; `params`: constants become parameters."""

    seed: int = 0
    odd: bool = False
    params: bool = False

    def spell(self, tree: Node) -> Spelled:
        rng = Random(self.seed)
        tokens: list[str] = []
        params: list[tuple[str | None, str | None]] = []
        self._tokens(tree, tokens, params, rng)
        if not self.odd:
            return Spelled(" ".join(tokens), tuple(params))
        text = ""
        for token in tokens:
            if text:
                text += " " if rng.random() < 0.8 else rng.choice(_GAPS)
            text += token
        return Spelled(text, tuple(params))

    def _tokens(self, part: Part, tokens: list[str], params: list[tuple[str | None, str | None]], rng: Random) -> None:
        if isinstance(part, str):
            if part:
                if self.odd and "'" not in part and '"' not in part and "$" not in part and rng.random() < 0.2:
                    part = rng.choice((part.upper(), part.title(), part.swapcase()))
                tokens.append(part)
            return
        if isinstance(part, Literal) and self.params and rng.random() < 0.6:
            number = len(params) + 1
            way = rng.random()
            if way < 0.6:
                params.append((part.value, None))
                tokens.append(f"${number}::{part.type}")
            elif way < 0.93:
                params.append((part.value, part.type))
                tokens.append(f"${number}")
            else:
                params.append((part.value, None))
                tokens.append(f"${number}")
            return
        first = True
        for piece in part.parts:
            if not first and part.separator:
                tokens.append(part.separator)
            first = False
            self._tokens(piece, tokens, params, rng)


def text_of(tree: Node) -> str:
    """The plain spelling."""
    return Spelling().spell(tree).text
