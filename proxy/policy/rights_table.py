"""The compiled rules about customers' rights: how each table is erased, and how long what is kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from proxy.catalog.model import Column
from proxy.policy.table import Mask, Subject

Key = tuple[str, str]
Action = Literal["delete", "anonymise", "refresh", "keep", "none"]


@dataclass(frozen=True, slots=True)
class Replacement:
    """What a column becomes where its row is anonymised: its mask; `unique`: a value that no other row has."""

    column: Column
    mask: Mask
    unique: bool = False


@dataclass(frozen=True, slots=True)
class Kept:
    """Rows that stay, and why: all; those where `where` (SQL over the table's columns) is true; those whose time in
    `by` (schema, table, column: of the table itself or of one on the way to the subject) is not `period` ago.
    """

    reason: str
    where: str | None = None
    by: tuple[str, str, str] | None = None
    period: str | None = None  # as PostgreSQL's interval has it
    secret: bool = False  # receipts do not tell of them


@dataclass(frozen=True, slots=True)
class ErasedTable:
    """How one governed relation is erased.

    `action`: `keep`: it stays, all of it; `none`: nothing is to do, since it holds no rows of its own or nothing of
    customers. `wrong`: why it cannot be erased; then nothing is. `stays`: columns with an attribute that an anonymised
    row keeps. `columns`: with the attributes of each, none: open.
    """

    schema: str
    name: str
    text: str  # as the rules spell it
    subject: Subject | None
    family: str  # of the subject key's type: integer, text or uuid
    action: Action
    replacements: tuple[Replacement, ...] = ()
    kept: tuple[Kept, ...] = ()
    wrong: tuple[str, ...] = ()
    stays: tuple[str, ...] = ()
    columns: tuple[tuple[Column, tuple[str, ...]], ...] = ()

    @property
    def key(self) -> Key:
        return (self.schema, self.name)


@dataclass(frozen=True, slots=True)
class RetainedTable:
    """Rows of `table` whose time in `by` is `period` ago are past: erased as the table says, or, where `attribute` is
    given, only the columns of this attribute, by their replacements.
    """

    table: Key
    text: str  # as `retention` spells it
    by: tuple[str, str, str]
    period: str
    attribute: str | None = None
    replacements: tuple[Replacement, ...] = ()
    wrong: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RightsTable:
    """All of it. Each row of the database stands in one table of `tables` only: children are left out."""

    tables: Mapping[Key, ErasedTable] = field(default_factory=dict)
    retained: tuple[RetainedTable, ...] = ()
    restriction: bool = False
