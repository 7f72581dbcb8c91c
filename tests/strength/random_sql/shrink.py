"""Cuts a failing statement down: leaves parts out, or puts shorter ones in their place, while it fails in the same way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from tests.strength.random_sql.making import Statement
from tests.strength.random_sql.nodes import Literal, Node, Part, Spelling, walk

Fails = Callable[[Statement], bool]


def shrink(statement: Statement, fails: Fails, tries: int = 300) -> Statement:
    """A shorter statement for which `fails` holds too. The given one is not changed."""
    best = replace(statement, steps=[_copied(step) for step in statement.steps])
    for simpler in _simpler_sendings(best):
        if fails(simpler):
            best = simpler
    changed = True
    while changed and tries > 0:
        changed = False
        for undo, redo in _cuts(best):
            redo()
            tries -= 1
            if fails(best):
                changed = True
                break
            undo()
            if tries <= 0:
                break
    return best


def _copied(tree: Node) -> Node:
    parts: list[Part] = [_copied(part) if isinstance(part, Node) else part for part in tree.parts]
    return replace(tree, parts=parts)


def _simpler_sendings(statement: Statement) -> Iterator[Statement]:
    """The plain spelling, the simple protocol, nothing read back."""
    plain = replace(statement, spelling=replace(statement.spelling, odd=False))
    yield plain
    yield replace(plain, spelling=Spelling(), protocol="simple")
    yield replace(plain, spelling=Spelling(), protocol="simple", read_back=())


def _cuts(statement: Statement) -> Iterator[tuple[Callable[[], None], Callable[[], None]]]:
    """Each way to make the trees smaller by one step, the largest first: (undo, do)."""
    for step in statement.steps:
        nodes = sorted(walk(step), key=lambda tree: -sum(1 for _ in walk(tree)))
        for tree in nodes:
            yield from _of(tree)


def _of(tree: Node) -> Iterator[tuple[Callable[[], None], Callable[[], None]]]:
    before = tree.parts

    def change(parts: list[Part]) -> tuple[Callable[[], None], Callable[[], None]]:
        def undo() -> None:
            tree.parts = before

        def redo() -> None:
            tree.parts = parts

        return undo, redo

    if tree.least is not None and before != [tree.least]:
        yield change([tree.least])
    if not isinstance(tree, Literal):
        for below in walk(tree):
            if (
                below is not tree
                and below.kind == tree.kind
                and below.kind not in ("list", "fixed", "optional", "literal")
            ):
                yield change(list(below.parts))
    if tree.separator and len(before) > 1:
        for number in range(len(before)):
            yield change(before[:number] + before[number + 1 :])
