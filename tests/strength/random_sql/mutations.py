"""Statements with a few characters wrong: what one parser takes for a string or a comment, another may take for SQL."""

from __future__ import annotations

from random import Random

from tests.strength.random_sql.making import Statement
from tests.strength.random_sql.nodes import node

_PIECES = (
    "'", '"', "$", "$$", "$q$", "\\", "/*", "*/", "--", "--\n", "\n", ";", "(", ")", "E'", "U&'", "U&\"", "B'", "X'", "N'",
    "''", '""', "||", "|", "::", ":", ".", "..", ",", "$1", "$1||$", "?", "@", "#", "%", "&", "!", "~", "\t", "\v", "\f", "\r",
    "\u00a0", "\u2028", "\ufeff", "é", "\x01", "0x", "1e", "1_0", "_", "0", "and", "or", "extra", "card", "people", "public.",
    "pg_temp.", " as ", "select ", "from ", "where ", "returning *", " union all table people ", "*", "null", "operator(pg_catalog.=)",
)  # fmt: skip


def mutated(statement: Statement, rng: Random) -> Statement:
    """One to three changes in each step: something put in, taken out, doubled, or moved."""
    steps = [node("statement", _changed(statement.spelling.spell(step).text, rng)) for step in statement.steps]
    protocol = "simple" if rng.random() < 0.6 else "extended"
    return Statement(statement.seed, "mutated", steps, protocol, copy=statement.copy)


def _changed(text: str, rng: Random) -> str:
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        at = rng.randrange(len(text) + 1)
        until = min(len(text), at + rng.randint(1, 12))
        way = rng.random()
        if way < 0.55:
            text = text[:at] + rng.choice(_PIECES) + text[at:]
        elif way < 0.75:
            text = text[:at] + text[until:]
        elif way < 0.9:
            other = rng.randrange(len(text) + 1)
            text = text[:other] + text[at:until] + text[other:]
        else:
            text = text[:at] + rng.choice(_PIECES) + text[until:]
    return text.replace("\0", "")
