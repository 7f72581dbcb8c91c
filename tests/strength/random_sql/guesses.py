"""A statement again with other constants, as somebody who guesses values would send it.

The gateway takes the plan of the first one for its likes (a template), so that many guesses cost little.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random

from tests.strength.random_sql.catalog import Catalog
from tests.strength.random_sql.making import Statement
from tests.strength.random_sql.nodes import Literal, Node, Part
from tests.strength.random_sql.sqltypes import CONSTANTS, TYPES

_SHORT = {name: short for short, name in TYPES.items()}


def guesses(statement: Statement, catalog: Catalog, count: int) -> list[Statement]:
    """At most `count` statements that differ from the given one in constants; fewer where it has few."""
    made: dict[str, Statement] = {}
    for number in range(count):
        rng = Random(f"{statement.seed} {number}")
        seen: dict[int, Part] = {}
        steps = [_other(step, rng, catalog, seen) for step in statement.steps]
        one = replace(statement, steps=[step for step in steps if isinstance(step, Node)])
        made.setdefault(str(one) if one.protocol == "simple" else f"{one} {number}", one)
    made.pop(str(statement), None)
    return list(made.values())


def _other(part: Part, rng: Random, catalog: Catalog, seen: dict[int, Part]) -> Part:
    """The part with other constants; the same one for a node that stands in several places."""
    if isinstance(part, str):
        return part
    known = seen.get(id(part))
    if known is None:
        known = replace(part, parts=[_other(one, rng, catalog, seen) for one in part.parts])
        if isinstance(known, Literal) and known.value is not None:
            _replace(known, rng, catalog)
        seen[id(part)] = known
    return known


def _replace(literal: Literal, rng: Random, catalog: Catalog) -> None:
    """Another value in the form of the one before; none where the form spells the value in a way of its own."""
    short = _SHORT.get(literal.type, "")
    before, text = literal.value or "", str(literal.parts[0])
    choices = catalog.values.get(short, ()) if rng.random() < 0.8 else CONSTANTS.get(short, ())
    if not choices or short == "bool":
        return
    value = rng.choice(choices)
    if _quoted(before) in text and "\\" not in value:
        literal.parts = [text.replace(_quoted(before), _quoted(value), 1)]
    elif before.isdigit() and value.isdigit() and text == before and len(value) < 10:
        literal.parts = [value]
    else:
        return
    literal.value = value


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
