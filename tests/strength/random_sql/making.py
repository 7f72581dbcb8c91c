"""The state while one statement is made: random numbers, what is in scope, how much may still be added."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import TypeVar

from tests.strength.random_sql.catalog import Catalog, Relation
from tests.strength.random_sql.nodes import Literal, Node, Spelling
from tests.strength.random_sql.sqltypes import CONSTANTS, TYPES

T = TypeVar("T")


@dataclass(frozen=True)
class Atom:
    """Something of a type that may stand in an expression."""

    text: str
    type: str


@dataclass(frozen=True)
class Item:
    """What an alias in FROM stands for. `total`: columns that tell its rows apart; `row`: the whole row may be read."""

    alias: str
    columns: tuple[tuple[str, str], ...]
    total: tuple[str, ...]
    row: bool = True
    base: Relation | None = None  # where the rows are a table's own
    lockable: bool = False
    hidden: tuple[str, ...] = ()  # names of columns that the app must not see
    renamed: bool = False

    def atoms(self) -> list[Atom]:
        return [Atom(f"{self.alias}.{name}", sqltype) for name, sqltype in self.columns]

    def order(self) -> list[str]:
        return [f"{self.alias}.{name}" for name in self.total]


@dataclass
class Scope:
    """`aggregates`: the scope that aggregates read, in a query with groups."""

    atoms: list[Atom] = field(default_factory=list)
    items: list[Item] = field(default_factory=list)
    outer: Scope | None = None
    aggregates: Scope | None = None
    windows: bool = False
    subqueries: bool = True
    rows: bool = True  # whole rows of items may be used

    def order(self) -> list[str]:
        return [text for item in self.items for text in item.order()]


@dataclass(frozen=True)
class Table:
    """A CTE."""

    name: str
    columns: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Style:
    """`exact`: the answer depends on nothing but the data; `risky`: share of expressions that may fail on a value;
    `wrong`: share of names and types that are not there; `copy`: what is left out where answers are held against the copy.
    """

    exact: bool = True
    risky: float = 0.02
    wrong: float = 0.003
    copy: bool = False


@dataclass
class Make:
    rng: Random
    catalog: Catalog
    style: Style
    budget: int = 40
    ctes: list[Table] = field(default_factory=list)
    number: int = 0

    def chance(self, share: float) -> bool:
        return self.rng.random() < share

    def one(self, choices: Sequence[T]) -> T:
        return choices[int(self.rng.random() * len(choices))]

    def weighted(self, **shares: float) -> str:
        return self.rng.choices(list(shares), list(shares.values()))[0]

    def some(self, choices: Sequence[T], least: int = 1, most: int = 4) -> list[T]:
        """Different ones, in their order."""
        count = min(self.rng.randint(least, most), len(choices))
        return [choices[i] for i in sorted(self.rng.sample(range(len(choices)), count))]

    def name(self, prefix: str = "t") -> str:
        self.number += 1
        return f"{prefix}{self.number}"

    def type(self) -> str:
        return self.one(COMMON) if self.chance(0.85) else self.one(tuple(TYPES))

    def spend(self, cost: int = 1) -> bool:
        """Whether more may still be added."""
        self.budget -= cost
        return self.budget > 0

    def value(self, sqltype: str) -> str:
        return self.one(self.catalog.values[sqltype] if self.chance(0.6) else CONSTANTS[sqltype])

    def literal(self, sqltype: str) -> Node:
        value = self.value(sqltype)
        if self.chance(0.03):
            return Literal("literal", [f"null::{TYPES[sqltype]}"], None, "", None, TYPES[sqltype])
        return Literal("literal", [spelled(self, value, sqltype)], None, "", value, TYPES[sqltype])


COMMON = ("int4", "int4", "text", "text", "text", "bool", "date", "int8", "numeric", "jsonb", "text[]", "inet", "uuid")


def spelled(make: Make, value: str, sqltype: str) -> str:
    """A constant of the type in one of its forms."""
    quoted = "'" + value.replace("'", "''") + "'"
    if sqltype in ("int4", "int8") and value.isdigit() and make.catalog.version >= 16 and make.chance(0.05):
        return make.one((hex(int(value)), f"{int(value):_}", f"0b{int(value):b}", f"0o{int(value):o}"))
    if sqltype in ("int4", "int8", "numeric") and make.chance(0.9):
        return value if not value.startswith("-") else f"({value})"
    if sqltype == "bool":
        return value
    if sqltype == "text":
        way = make.rng.random()
        if way < 0.6:
            return quoted
        if way < 0.65 and "$" not in value:
            return f"$q${value}$q$"
        if way < 0.7 and "\\" not in value:
            return "E" + quoted
        if way < 0.73 and "\\" not in value:
            return "U&" + quoted
        if way < 0.77 and value.isalnum():
            return make.one(
                (
                    f"'{value[:3]}'\n'{value[3:]}'",
                    "E'" + "".join(f"\\x{ord(c):02x}" for c in value if c.isascii()) + "'"
                    if value.isascii()
                    else quoted,
                    "U&'" + "".join(f"!{ord(c):04x}" for c in value) + "' UESCAPE '!'",
                    f"U&'{value}' uescape '!'",
                )
            )
        return f"{quoted}::text"
    name = TYPES[sqltype]
    if make.chance(0.3) and "[" not in name:
        return f"{name} {quoted}" if " " not in name else f"cast({quoted} as {name})"
    return f"{quoted}::{name}"


PROTOCOLS = ("simple", "extended", "prepared")


@dataclass
class Statement:
    """`steps` run one after another in one transaction; the last ones may read back what was written.
    `ordered`: rows of the first step come in an order that the data alone tells.
    """

    seed: int
    kind: str
    steps: list[Node]
    protocol: str = "simple"
    spelling: Spelling = field(default_factory=Spelling)
    ordered: bool = False
    copy: tuple[bytes, ...] | None = None
    read_back: tuple[str, ...] = ()

    def texts(self) -> list[str]:
        return [self.spelling.spell(step).text for step in self.steps]

    def __str__(self) -> str:
        return ";\n".join([*self.texts(), *self.read_back])
