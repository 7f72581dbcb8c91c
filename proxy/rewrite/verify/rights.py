"""What one app may use of one catalog, whatever the session: worked out once, closed where it cannot be told."""

from __future__ import annotations

import re
from functools import cached_property
from typing import Final

from proxy.catalog.model import FunctionName, Relation, Snapshot
from proxy.errors import PgError, insufficient_privilege
from proxy.policy.table import AppPolicy, GovernedTable
from proxy.rewrite.allowed import (
    HARMLESS_EXTENSIONS,
    REFUSED_FUNCTION_PREFIXES,
    REFUSED_FUNCTIONS,
)
from proxy.rewrite.result import SystemCatalog
from proxy.rewrite.verify.tree import Node
from proxy.rewrite.verify.views import is_harmless, lost_columns

SYSTEM_SCHEMAS: Final = frozenset({"pg_catalog", "information_schema"})
OWN_SCHEMA: Final = "consentry"
KINDS: Final = {
    "r": "table",
    "p": "table",
    "v": "view",
    "m": "materialized view",
    "f": "foreign table",
    "S": "sequence",
}


class Rights:
    """What one app may use of one catalog, whatever the session."""

    def __init__(self, app: AppPolicy, snapshot: Snapshot, system: SystemCatalog) -> None:
        self.app = app
        self.snapshot = snapshot
        self.system = system
        self._by_oid = snapshot.by_oid or {relation.oid: relation for relation in snapshot.relations.values()}
        relations = [one for one in self._by_oid.values() if one.kind in "rvmpf" and one.schema not in SYSTEM_SCHEMAS]
        self._of_row_types = {oid: one for one in relations for oid in one.row_types}
        self._readable: dict[int, PgError | None] = {}
        self._lost: dict[int, frozenset[str]] = {}
        # A parent shows the rows of its children: those of which the app must not see everything that the parent has.
        self._hidden_children: dict[int, Relation] = {}
        for table in app.tables.values():
            relation = snapshot.relations.get(table.key)
            if relation is not None and not self.is_plain(table, relation):
                for parent in relation.parents:
                    if not self._shows_all_of(table, self._by_oid.get(parent)):
                        self._hidden_children[parent] = relation
        # Names that a temp relation must not take: our own casts and the form's sources would mean it.
        self.reserved = {name for schema, name in snapshot.relations if schema in SYSTEM_SCHEMAS}
        self.reserved |= {name for schema, name in (*system.open, *system.forms) if schema in SYSTEM_SCHEMAS}
        self.builtin_types: set[str] = set()  # some that have names of their own in pg_catalog
        for relation in snapshot.relations.values():
            for column in relation.columns:
                if "." not in column.type_name:
                    self.builtin_types.add(column.base_type)
                self.reserved.add(column.base_type)
                self.reserved.update(re.findall(r"\w+", column.type_name))
        self.risky_notation = {
            name
            for name, candidates in snapshot.functions.items()
            if any(f.takes_row and not self.may_call(name, f) for f in candidates)
        }

    @cached_property
    def catalog_kinds(self) -> dict[str, set[str]]:
        """Names of the system relations' columns -> the types that columns of the name have."""
        kinds: dict[str, set[str]] = {}
        for relation in self.snapshot.relations.values():
            for column in relation.columns if relation.schema in SYSTEM_SCHEMAS else ():
                kinds.setdefault(column.name, set()).add(column.base_type)
        return kinds

    @cached_property
    def read_elsewhere(self) -> frozenset[int]:
        """Foreign tables, and parents whose scans go on in such."""
        tables = [relation for relation in self._by_oid.values() if relation.kind == "f"]
        return frozenset(oid for table in tables for oid in (table.oid, *table.parents))

    @cached_property
    def virtual(self) -> dict[int, set[str]]:
        """Relations -> their virtual columns, where something is hidden of the relation, or of a child that has them
        made in its own way.
        """
        found: dict[int, set[str]] = {}
        for table in self.app.tables.values():
            relation = self.snapshot.relations.get(table.key)
            if relation is not None and not self.is_plain(table, relation):
                for oid in (relation.oid, *relation.parents):
                    found.setdefault(oid, set()).update(column.name for column in relation.columns if column.virtual)
        return found

    @staticmethod
    def is_plain(table: GovernedTable, relation: Relation) -> bool:
        """Whether the app sees all of it: a column that came after the rules were compiled is not seen."""
        return table.plain and all(c.number < 0 or table.column(c.name) is not None for c in relation.columns)

    @staticmethod
    def _shows_all_of(child: GovernedTable, parent: Relation | None) -> bool:
        """Whether the app sees of the child's rows all that is in the parent's."""
        if parent is None or child.rows or child.others is not None:
            return False
        shown = {column.name for column in child.columns if column.treatment.plain}
        return all(column.number < 0 or column.name in shown for column in parent.columns)

    def readable(self, relation: Relation) -> PgError | None:
        """Why a relation that is not governed for the app may not be read; None where it may."""
        if relation.oid not in self._readable:
            self._readable[relation.oid] = self._why_unreadable(relation)
        return self._readable[relation.oid]

    def shows_hidden_rows(self, relation: Relation) -> Relation | None:
        """A child of the relation of which the app must not see everything."""
        return self._hidden_children.get(relation.oid)

    def reads_governed(self, relation: Relation) -> bool:
        """Whether a view or a matview reads a governed relation, plain or not."""
        return any(oid not in self._by_oid or self._by_oid[oid].key in self.app.tables for oid in relation.reads)

    def _why_unreadable(self, relation: Relation) -> PgError | None:
        denied = insufficient_privilege(
            f"permission denied for {KINDS.get(relation.kind, 'relation')} {relation.name}",
            hint=f"The rules do not list {relation.schema}.{relation.name}.",
        )
        if relation.key in self.app.views:  # always by its definition: the login needs no right on the view
            return denied
        if relation.key in self.app.open_tables:
            return None
        if relation.kind not in ("r", "p", "v", "m", "f", "S"):
            return denied
        if any(oid in self._by_oid and self._by_oid[oid].key in self.app.tables for oid in relation.parents):
            return denied
        for oid in relation.reads:
            read = self._by_oid.get(oid)
            if read is None:
                return denied
            table = self.app.tables.get(read.key)
            if table is not None:
                if read.key in self.app.inner or not self.is_plain(table, read):
                    return denied
            elif read.schema not in SYSTEM_SCHEMAS and read is not relation and self.readable(read) is not None:
                return denied
        if relation.kind in ("v", "m") and not is_harmless(relation, self.snapshot, self.system, self.may_call):
            return denied
        if self.app.unlisted_tables == "open" or relation.kind == "v":
            return None
        return denied

    def lost(self, relation: Relation) -> frozenset[str]:
        """The columns of a governed relation, or of a view of such, that the app may not have."""
        table = self.app.tables.get(relation.key)
        if table is not None:
            return frozenset(column.name for column in table.columns if not column.treatment.visible)
        if relation.kind != "v" or relation.schema in SYSTEM_SCHEMAS:
            return frozenset()
        if relation.oid not in self._lost:
            self._lost[relation.oid] = frozenset()
            without = frozenset(column.name for column in self.app.views.get(relation.key, ()))
            self._lost[relation.oid] = without | lost_columns(relation, self.snapshot, self.lost)
        return self._lost[relation.oid]

    def has_lost(self, view: Relation) -> bool:
        """Whether the app may not have a column that the definition makes; one of ours is without it already."""
        return not self.lost(view).isdisjoint(column.name for column in view.columns)

    def check_made(self, relation: Node) -> None:
        """Refuses what CREATE TABLE, CREATE TABLE AS or SELECT INTO makes, unless it is a temp table of a free name."""
        if relation.get("relpersistence") != "t" and relation.get("schemaname") != "pg_temp":
            raise insufficient_privilege(f"app {self.app.name} may create temp tables only")
        self.check_name(relation["relname"])

    def check_name(self, name: str) -> None:
        """Refuses a temp table that would stand in the way of what forms name."""
        if name in self.reserved:
            raise insufficient_privilege(f"a temp table must not be called {name}")

    def owner_of(self, relation: Relation) -> GovernedTable | None:
        """The governed table that a sequence belongs to; of another relation, itself."""
        owner = relation if relation.owner is None else self._by_oid.get(relation.owner)
        return self.app.tables.get(owner.key) if owner is not None else None

    def relation_of_row_type(self, oid: int) -> Relation | None:
        """The relation of which a type is the row, or is made of it: an array, a domain, a range."""
        return self._of_row_types.get(oid)

    def has_whole(self, oid: int) -> bool:
        """Whether the app sees all of a relation, as it is."""
        relation = self._by_oid.get(oid)
        if relation is None or relation.key in self.app.inner:
            return False
        table = self.app.tables.get(relation.key)
        return self.is_plain(table, relation) if table is not None else relation.key in self.app.open_tables

    def may_call(self, name: str, function: FunctionName) -> bool:
        """Whether the rules let the app call these overloads."""
        if (function.schema, name) in self.app.functions or function.makes_range:
            return True
        if function.schema == OWN_SCHEMA:
            return False
        if function.extension is not None:
            return function.extension in HARMLESS_EXTENSIONS
        if function.schema == "pg_catalog":
            return name not in REFUSED_FUNCTIONS and not name.startswith(REFUSED_FUNCTION_PREFIXES)
        computes = name.startswith("_pg_") and name != "_pg_index_position"  # which looks into an index
        return function.schema == "information_schema" and computes
