"""The customers whom only other sources know: where the profile has rows of them, and which apps have these.

A sync writes their keys into `consentry.profile_others`. The profile begins then with `CUSTOMERS`, a relation of no
database: the rows of the table that names customers, and a row for each of these keys. It is governed as that table is.
What hides rows of the table for an app must hide theirs as well: consent and restriction do, for they ask for the
customer's key alone; of any other row policy that cannot be known, and an app that has one is not told of them.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Final

from proxy.catalog.model import Column, Relation, Snapshot
from proxy.policy.names import quote_identifier
from proxy.policy.preferences import OWN_SCHEMA
from proxy.policy.profile import DATA, SUBJECT
from proxy.policy.restriction import restricting
from proxy.policy.table import (
    AppPolicy,
    GovernedColumn,
    GovernedTable,
    Others,
    PolicyRef,
    ProfileColumn,
    ProfileMap,
    RowPolicy,
    Subject,
    Treatment,
)

KEYS: Final = (OWN_SCHEMA, "profile_others")
CUSTOMERS: Final = (OWN_SCHEMA, "profile_customers")
_FIRST_OWN: Final = 16384  # the lowest oid that a database gives
_ANY_ENUM: Final = 3500  # what enums are compared as


def with_others(profile: ProfileMap | None, snapshot: Snapshot) -> ProfileMap | None:
    """The profile, and whether it has rows of customers whom only other sources know.

    Not before `consent setup` gave these keys the type that the table's have, nor where the database has row security
    for the table: whom it would show is not known then.
    """
    keys = snapshot.relations.get(KEYS)
    if profile is None or keys is None or not any(_told(column) for column in profile.columns):
        return profile
    start = snapshot.relations[profile.start]
    key, other = start.column(profile.key), keys.column(SUBJECT)
    same = key is not None and other is not None and key.type_oid == other.type_oid
    columns = [start.column(name) for name in own_columns(profile)]
    known = all(column is not None and nothing(column) is not None for column in columns)
    return replace(profile, others=same and known and not start.row_security)


def own_columns(profile: ProfileMap) -> tuple[str, ...]:
    """What the profile reads of the table that it begins with, the key first."""
    hops = [hop.to for hop in profile.hops.values() if hop.table == profile.start]
    chosen = [name for column in profile.columns for key, name in column.choices if key == profile.start]
    return tuple(dict.fromkeys((profile.key, *hops, *chosen)))


def mark_of(profile: ProfileMap) -> str:
    """The column of `CUSTOMERS` that is true for rows of the table."""
    return unused("own", own_columns(profile))


def unused(word: str, names: Collection[str]) -> str:
    """The word, or the next one like it that is not among the names."""
    while word in names:
        word += "_"
    return word


def relation_of(profile: ProfileMap, snapshot: Snapshot) -> Relation:
    """`CUSTOMERS`, as the catalog would have it."""
    start = snapshot.relations[profile.start]
    columns = [column for name in own_columns(profile) if (column := start.column(name)) is not None]
    mark = Column(mark_of(profile), len(columns) + 1, 16, "boolean", "bool", "B", not_null=True)
    numbered = [replace(column, number=number, not_null=False) for number, column in enumerate(columns, 1)]
    return Relation(0, *CUSTOMERS, "", (*numbered, mark))


def table_of(profile: ProfileMap, app: AppPolicy) -> GovernedTable | None:
    """`CUSTOMERS` as one app has it; None where the app has no rows of those whom the table does not have.

    It sees the keys as they are, and something of what other sources say.
    """
    table, data = app.tables.get(profile.start), app.tables.get(DATA)
    if not profile.others or table is None or data is None:
        return None
    key = table.column(profile.key)
    found = [data.column(name) for column in profile.columns for name in _told(column)]
    if key is None or not key.treatment.plain or not any(one is not None and one.treatment.visible for one in found):
        return None
    if any(row.where is not None and not row.restricts for row in table.rows):
        return None
    if _restricted(data) and not _restricted(table):
        return None
    columns = [column for name in own_columns(profile) if (column := table.column(name)) is not None]
    mark = mark_of(profile)
    subject = Subject(profile.key)
    return GovernedTable(
        *CUSTOMERS,
        subject,
        tuple(_read_only(column) for column in (*columns, GovernedColumn(mark, None, Treatment("show")))),
        tuple(_over(row, CUSTOMERS, subject) for row in table.rows),
        Others(profile.start, KEYS, mark),
    )


def keys_of(profile: ProfileMap, app: AppPolicy) -> GovernedTable | None:
    """`KEYS` as one app has it, for a view of other rules that reads it by itself: no row, where `CUSTOMERS` is not
    the app's.
    """
    table, made = app.tables.get(profile.start), table_of(profile, app)
    key = table.column(profile.key) if table is not None else None
    if not profile.others or key is None:
        return None
    subject = Subject(SUBJECT)
    nobody = RowPolicy(PolicyRef("profile", "", 0), where="false")
    rows = (nobody,) if made is None else tuple(_over(row, KEYS, subject) for row in made.rows)
    return GovernedTable(*KEYS, subject, (_read_only(replace(key, name=SUBJECT)),), rows)


def nothing(column: Column) -> str | None:
    """NULL of the column's type, as SQL; None where that cannot be written."""
    kind = column.type_name
    if column.type_oid >= _FIRST_OWN and column.compared not in (0, column.type_oid, _ANY_ENUM):
        if column.compared >= _FIRST_OWN:
            return None
        kind = f"pg_catalog.{quote_identifier(column.base_type)}"  # a domain may refuse NULL
    return f"NULL::{kind}" + (f" COLLATE {column.collation}" if column.collation else "")


def _told(column: ProfileColumn) -> tuple[str, ...]:
    """The columns of what other sources say that a column of the profile is made of."""
    return (*(name for key, name in column.choices if key == DATA), *([column.name] if column.told_by else ()))


def _restricted(table: GovernedTable) -> bool:
    return any(row.restricts for row in table.rows)


def _over(row: RowPolicy, key: tuple[str, str], subject: Subject) -> RowPolicy:
    return restricting(row.policy, key, subject) if row.restricts else row


def _read_only(column: GovernedColumn) -> GovernedColumn:
    return replace(column, treatment=replace(column.treatment, write="deny"))
