"""Where an attribute of customers' stands, and what of that can be corrected. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from proxy.catalog.model import Column, Snapshot
from proxy.errors import ConsentryError
from proxy.policy import mapped_sources
from proxy.policy.names import join_dotted, split_column
from proxy.policy.rights_table import ErasedTable
from proxy.policy.rules import Rules
from proxy.policy.table import CompiledRules
from proxy.rights.plan import rights_of

ColumnKey = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Place:
    """A column that has an attribute. `leads`: it is the customer's key, or is on the way to it."""

    table: ErasedTable
    column: Column
    leads: bool

    @property
    def key(self) -> ColumnKey:
        return (*self.table.key, self.column.name)

    @property
    def name(self) -> str:
        return join_dotted(*self.key)

    @property
    def several(self) -> bool:
        """Whether it is a document with several attributes."""
        return len(dict(self.table.columns)[self.column]) > 1


def places(rules: CompiledRules, snapshot: Snapshot) -> Iterator[tuple[str, Place]]:
    """Each attribute with each column of a customer's that has it, and can be written."""
    leading = _leading(rules, snapshot)
    for table in rights_of(rules).tables.values():
        if table.subject is None or snapshot.relations[table.key].kind not in "rpf":
            continue
        for column, attributes in table.columns:
            if not column.generated:
                place = Place(table, column, (*table.key, column.name) in leading)
                yield from ((attribute, place) for attribute in attributes)


def places_of(written: Rules, rules: CompiledRules, snapshot: Snapshot, attribute: str) -> list[Place]:
    """The columns of an attribute; none, if only sources have it. Raises ConsentryError: nobody has it, or it is in one
    that leads to the customer.
    """
    found = [place for name, place in places(rules, snapshot) if name == attribute]
    refuse_keys(attribute, found)
    if not found and attribute not in mapped_sources.kept(written):
        raise ConsentryError(f"attribute {attribute} is not in a column of a customer's")
    return found


def correctable(written: Rules, rules: CompiledRules, snapshot: Snapshot) -> list[str]:
    """The attributes of which `places_of` raises nothing, in the order of the rules."""
    found = list(places(rules, snapshot))
    known = {name for name, _ in found} | mapped_sources.kept(written).keys()
    leading = {name for name, place in found if place.leads}
    return [name for name in written.attributes if name in known - leading]


def chosen(
    written: Rules, rules: CompiledRules, snapshot: Snapshot, attribute: str, named: Sequence[str]
) -> tuple[list[Place], Collection[str] | None]:
    """Where the attribute is to be corrected: these columns and sources (None: all). `named`: which, where not all.

    Raises ConsentryError as `places_of`, and where it must be said which.
    """
    if not named:
        found = places_of(written, rules, snapshot, attribute)
        for table in {place.table.key for place in found}:
            names = [place.name for place in found if place.table.key == table]
            if len(names) > 1:
                said = f"attribute {attribute} has several columns: choose with --column, over HTTP with `columns`"
                raise ConsentryError(f"{said}: {', '.join(names)}")
        return found, None
    by_key = {place.key: place for name, place in places(rules, snapshot) if name == attribute}
    columns, sources = [], []
    for name in dict.fromkeys(named):
        if name in written.sources:
            sources.append(name)
            continue
        try:
            place = by_key.get(split_column(name))
        except ValueError as error:
            raise ConsentryError(str(error)) from error
        if place is None:
            raise ConsentryError(f"attribute {attribute} is not in {name}")
        columns.append(place)
    refuse_keys(attribute, columns)
    return columns, sources


def refuse_keys(attribute: str, found: Sequence[Place]) -> None:
    """Raises ConsentryError where one of the columns says which customer it is: consents and restrictions are recorded
    by the key, and another key would leave them behind.
    """
    names = [place.name for place in found if place.leads]
    if names:
        raise ConsentryError(
            f"attribute {attribute} is not rectified: {', '.join(names)} says which customer it is, and restrictions "
            "and withdrawn consents would be left behind with the old key. Its owner changes a key in the database "
            "together with the ledger; or erase the customer, and register them anew"
        )


def _leading(rules: CompiledRules, snapshot: Snapshot) -> frozenset[ColumnKey]:
    """The columns by which rows are a customer's: keys, and references to them, step by step."""
    subjects = {(table.key, table.subject) for table in rights_of(rules).tables.values()}
    # Partitions may say it in another way than their whole.
    subjects |= {(key, table.subject) for app in rules.apps.values() for key, table in app.tables.items()}
    found: set[ColumnKey] = set()
    for key, subject in subjects:
        if subject is None:
            continue
        here = key
        for step in subject.steps:
            found |= {(*here, step.from_column), (step.schema, step.table, step.to_column)}
            here = (step.schema, step.table)
        found.add((*here, subject.column))
    above = {
        (*snapshot.by_oid[oid].key, name)
        for schema, table, name in found
        if (schema, table) in snapshot.relations
        for oid in snapshot.relations[schema, table].parents
        if oid in snapshot.by_oid
    }
    return frozenset(found | above)
