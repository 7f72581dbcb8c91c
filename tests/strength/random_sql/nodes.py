"""Statements as trees of text: each node knows how it may be cut down, and a spelling turns it into SQL."""

from __future__ import annotations

import re
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


_PAIR = re.compile(r"\b([a-z]\w*)\.([a-z]\w*)\b")
_NAME = re.compile(r"\b(people|orders|items|readings|docs|mv_people|customer_id|person_id|country)\b")


def _respelled(text: str, rng: Random) -> str:
    """The same names in other spellings: capitals, quotes, escapes, white space around the dot."""

    def one(name: str) -> str:
        way = rng.random()
        if way < 0.3:
            return f'"{name}"'
        if way < 0.45:
            return f'U&"\\{ord(name[0]):04x}{name[1:]}"'
        if way < 0.5:
            return f"U&\"!{ord(name[0]):04x}{name[1:]}\" UESCAPE '!'"
        return rng.choice((name.upper(), name.title(), name))

    if rng.random() < 0.5:
        return _PAIR.sub(lambda found: one(found[1]) + rng.choice((".", " . ", "./**/", "\n.")) + one(found[2]), text)
    return _NAME.sub(lambda found: one(found[1]), text)


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
                if self.odd and "'" not in part and '"' not in part and "$" not in part and rng.random() < 0.3:
                    respelled = (
                        part.upper(),
                        part.title(),
                        part.swapcase(),
                        _respelled(part, rng),
                        _respelled(part, rng),
                    )
                    part = rng.choice(respelled)
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
