"""One statement (or a few that belong together) from a seed."""

from __future__ import annotations

from random import Random

from tests.strength.random_sql import queries, utilities, writes
from tests.strength.random_sql.catalog import Catalog
from tests.strength.random_sql.making import PROTOCOLS, Make, Statement, Style
from tests.strength.random_sql.mutations import mutated
from tests.strength.random_sql.nodes import Spelling, node


def make_statement(catalog: Catalog, seed: int, style: Style, kinds: str = "") -> Statement:
    """The statement of this seed; `kinds`: only `reads` or `writes`, or `mutated` ones."""
    rng = Random(seed)
    make = Make(rng, catalog, style, budget=rng.choice((8, 15, 25, 40, 60)))
    shares = {"reads": 66.0, "writes": 22.0, "utilities": 12.0}
    if kinds == "mutated":
        return mutated(make_statement(catalog, seed, style), rng)
    kind = kinds or make.weighted(**shares)
    if kind == "reads":
        made = _read(make, seed)
    elif kind == "writes":
        made = writes.statement(make, seed)
    else:
        made = utilities.statement(make, seed)
    if made.kind not in ("several", "current"):
        made.protocol = make.one(PROTOCOLS)
    odd = make.chance(0.15)
    made.spelling = Spelling(seed, odd, made.protocol != "simple" and len(made.steps) == 1 and make.chance(0.6))
    return made


def _read(make: Make, seed: int) -> Statement:
    query = queries.query(make, None, None, top=True)
    return Statement(seed, "select", [node("statement", query.node)], ordered=query.ordered)
