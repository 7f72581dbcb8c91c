"""What the system catalogs must not show one app: columns, relations, and the parts that are made of them.

A snapshot knows every part of a relation (its indexes, constraints, defaults ...) with the columns that it uses. Of
relations that have anything hidden, the parts that use nothing hidden are listed, and no other is shown: a part that
came after the snapshot is not in the list, so a snapshot that is out of date hides too much and never too little.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

from proxy.catalog.model import Part, Relation, Snapshot
from proxy.policy.table import AppPolicy
from proxy.rewrite.analyse import ViewOf, no_views
from proxy.rewrite.scope import SYSTEM_SCHEMAS

# Catalogs without anything of the relations' own: they pass as they are.
OPEN = frozenset(
    """
    pg_am pg_auth_members pg_available_extension_versions pg_available_extensions pg_collation pg_conversion pg_database
    pg_db_role_setting pg_default_acl pg_enum pg_event_trigger pg_foreign_data_wrapper pg_group pg_language
    pg_namespace pg_opfamily pg_parameter_acl pg_publication pg_publication_namespace pg_roles pg_settings
    pg_shdescription pg_shseclabel pg_tablespace pg_timezone_abbrevs pg_timezone_names pg_ts_config pg_ts_config_map
    pg_ts_dict pg_ts_parser pg_ts_template pg_user
    """.split()
)

# The columns of the catalogs that say which relation a part is of, and the part's own oid.
OWNER_COLUMNS = {
    "pg_index": ("indrelid", "indexrelid"),
    "pg_constraint": ("conrelid", "oid"),
    "pg_trigger": ("tgrelid", "oid"),
    "pg_statistic_ext": ("stxrelid", "oid"),
    "pg_attrdef": ("adrelid", "oid"),
    "pg_publication_rel": ("prrelid", "oid"),
    "pg_partitioned_table": ("partrelid", "partrelid"),
}


class Hidden:
    """What the catalogs must not show one app."""

    def __init__(self, app: AppPolicy, snapshot: Snapshot, view_of: ViewOf = no_views) -> None:
        """`view_of`: what the app has of views that the rules do not list."""
        self.columns: list[tuple[Relation, str, int]] = []
        self.relations: list[Relation] = []
        self.unsized: list[Relation] = []  # governed, and not plain: their sizes and counts tell of hidden rows
        self.shown: list[Relation] = []  # every row and column of them: their sizes tell nothing else
        self.views: list[Relation] = []  # read by their definitions, which are not shown
        self.visible: list[Relation] = []  # all that the app has any part of
        self.sequences: list[Relation] = []  # those that count in hidden columns and relations, or that nobody lists
        self.whole_sequences: list[Relation] = []  # of relations that the app has whole, or that the rules list
        self.version = snapshot.server_version
        sequences = []
        for relation in snapshot.relations.values():
            if relation.schema in SYSTEM_SCHEMAS or relation.schema == "pg_toast":
                continue
            table = app.tables.get(relation.key)
            if table is not None and relation.key not in app.inner:
                (self.shown if table.plain else self.unsized).append(relation)
                self.visible.append(relation)
                for column in table.columns:
                    model = relation.column(column.name)
                    if column.treatment.action == "drop" and model is not None:
                        self.columns.append((relation, column.name, model.number))
            elif (view := view_of(relation)) is not None and view.refusal is None:
                self.views.append(relation)
                self.visible.append(relation)
                for read, model in zip(view.columns, relation.columns, strict=True):
                    if read.action == "drop":
                        self.columns.append((relation, read.name, model.number))
                self.columns += [(relation, gone.name, gone.number) for gone in app.views.get(relation.key, ())]
            elif relation.kind in "rvmfp":
                readable = readable_view(relation, app, snapshot)
                (self.shown if readable else self.relations).append(relation)
                if readable:
                    self.visible.append(relation)
            elif relation.kind == "S":
                sequences.append(relation)
        for sequence in sequences:
            gone = (sequence.owner, sequence.owner_column) in self.pairs or sequence.owner in self.relation_oids
            listed = sequence.key in app.open_tables or app.unlisted_tables == "open" or sequence.owner is not None
            if gone or not listed or sequence.schema == "consentry":
                self.sequences.append(sequence)
            elif sequence.owner is None or sequence.owner in {relation.oid for relation in self.shown}:
                self.whole_sequences.append(sequence)
        names = (f"pg_toast_{relation.oid}{end}" for relation in self.relations for end in ("", "_index"))
        toasts = (snapshot.relations.get(("pg_toast", name)) for name in names)
        self.toasts = frozenset(toast.oid for toast in toasts if toast is not None)

    def __bool__(self) -> bool:
        return bool(self.columns or self.relations or self.unsized or self.views or self.sequences)

    # -- sets of the snapshot ----------------------------------------------------------------------------------------

    @cached_property
    def pairs(self) -> frozenset[tuple[int, int]]:
        return frozenset((relation.oid, number) for relation, _, number in self.columns)

    @cached_property
    def relation_oids(self) -> frozenset[int]:
        return frozenset(relation.oid for relation in self.relations)

    @cached_property
    def gone_oids(self) -> list[int]:
        """Entries of pg_class that are not there: hidden relations and sequences."""
        return sorted(self.relation_oids | {sequence.oid for sequence in self.sequences})

    @cached_property
    def types(self) -> list[int]:
        """The row types of what is hidden, and what is made of them."""
        return sorted({oid for relation in (*self.relations, *self.sequences) for oid in relation.row_types})

    @cached_property
    def functions(self) -> list[int]:
        """Functions that have such a type in their signature."""
        return sorted(oid for catalog, oid in self._dependents if catalog == _FUNCTION)

    @cached_property
    def _dependents(self) -> frozenset[tuple[int, int]]:
        return frozenset(one for relation in self.relations for one in relation.dependents)

    @cached_property
    def partial_oids(self) -> frozenset[int]:
        """Relations with hidden columns."""
        return frozenset(relation.oid for relation, _, _ in self.columns)

    @cached_property
    def touched_oids(self) -> list[int]:
        """Relations of which anything is hidden: only the listed parts of them are shown."""
        return sorted(self.partial_oids | self.relation_oids)

    @cached_property
    def kept(self) -> dict[str, list[Part]]:
        """By catalog, the parts of relations with hidden columns (foreign keys: at either end) that may be shown."""
        kept: dict[str, list[Part]] = {}
        for relation in self.visible:
            for part in relation.parts:
                of_partial = relation.oid in self.partial_oids or any(o in self.partial_oids for o, _ in part.uses)
                if of_partial and self.shows(relation, part):
                    kept.setdefault(part.catalog, []).append(part)
        return kept

    def shows(self, relation: Relation, part: Part) -> bool:
        """Whether a part of a visible relation uses nothing hidden."""
        if part.literal and relation.oid in self.partial_oids:
            return False
        return not any(use in self.pairs or use[0] in self.relation_oids for use in part.uses)

    def not_shown(self, catalog: str) -> list[tuple[Relation, Part]]:
        """The parts that do not exist for the app, and what they are of."""
        found = [(r, part) for r in self.relations for part in r.parts if part.catalog == catalog]
        of_visible = [(r, part) for r in self.visible for part in r.parts if part.catalog == catalog]
        return found + [(relation, part) for relation, part in of_visible if not self.shows(relation, part)]

    @property
    def unexplained(self) -> frozenset[int]:
        """Relations whose plans may name a hidden index or relation: a parent's scans go on in its children."""
        indexed = {relation.oid: relation for relation, _ in self.not_shown("pg_index")}
        found = indexed | {relation.oid: relation for relation in self.relations}
        return frozenset(found).union(*(relation.parents for relation in found.values()))

    @cached_property
    def policies(self) -> list[tuple[Relation, Part]]:
        """The row security policies of the database's own that may be shown."""
        parts = [(r, part) for r in self.visible for part in r.parts if part.catalog == "pg_policy"]
        return [(relation, part) for relation, part in parts if self.shows(relation, part)]

    @cached_property
    def bounded(self) -> list[int]:
        """Partitions whose bounds are of a hidden column of a parent's."""
        keys = {
            relation.oid
            for relation in self.visible
            for part in relation.parts
            if part.catalog == "pg_partitioned_table" and not self.shows(relation, part)
        }
        return sorted(relation.oid for relation in self.visible if keys.intersection(relation.parents))

    @cached_property
    def domains(self) -> list[int]:
        """Types that are hidden, or that hidden columns have and shown ones have not: constraints of domains hold
        values.
        """
        hidden = {r.column(name).type_oid for r, name, _ in self.columns if r.column(name)}  # type: ignore[union-attr]
        hidden |= {column.type_oid for relation in self.relations for column in relation.columns}
        shown = {c.type_oid for r in self.visible for c in r.columns if (r.oid, c.number) not in self.pairs}
        return sorted({oid for oid in hidden - shown if oid >= 16384}.union(self.types))

    @property
    def domain_names(self) -> set[tuple[str, str]]:
        """(schema, name) of such types of columns."""
        gone, found = frozenset(self.domains), set()
        columns = [r.column(name) for r, name, _ in self.columns] + [c for r in self.relations for c in r.columns]
        for column in columns:
            if column is not None and column.type_oid in gone:
                schema, _, name = column.type_name.partition(".")  # a schema with a dot in its name: none is found
                found.add((_unquoted(schema), _unquoted(name)))
        return found

    @cached_property
    def checks(self) -> dict[int, int]:
        """Relations with hidden columns -> how many check constraints they have for the app."""
        return {
            r.oid: sum(p.catalog == "pg_constraint" and p.kind == "c" and self.shows(r, p) for p in r.parts)
            for r in self.visible
            if r.oid in self.partial_oids
        }

    @cached_property
    def sized(self) -> list[int]:
        """Relations whose sizes the app may know, with their indexes and sequences."""
        whole = {relation.oid for relation in (*self.shown, *self.whole_sequences)}
        return sorted(whole | {p.oid for r in self.shown for p in r.parts if p.catalog == "pg_index"})

    # -- conditions: true of what is not there ------------------------------------------------------------------------

    def gone(self, oid: str) -> str:
        """The entry `oid` of pg_class: hidden relations, sequences, and indexes."""
        parts = []
        if self.gone_oids:
            parts.append(f"{oid} = ANY ({oids(self.gone_oids)})")
        if self.touched_oids:
            parts.append(f"({oid} >= 16384 AND {self.part('pg_index', oid)})")
        return " OR ".join(parts) or "false"

    def toast(self, oid: str) -> str:
        """The TOAST table of a hidden relation, or its index. Cast, for statistics of each would take time."""
        if not self.toasts:
            return "false"
        return f"({oid} >= 16384 AND {oid}::pg_catalog.int8 = ANY ({numbers(sorted(self.toasts))}))"

    def column(self, relation: str, number: str) -> str:
        """A hidden column."""
        if not self.columns:
            return "false"
        keys = sorted((oid << 16) + number for oid, number in self.pairs)
        return (
            f"({relation} = ANY ({oids(self.partial_oids)}) AND "
            f"{relation}::pg_catalog.int8 * 65536 + {number} = ANY ({numbers(keys)}))"
        )

    def owned(self, catalog: str, alias: str = "t") -> str:
        """The row `alias` of a catalog of parts."""
        if not self.touched_oids:
            return "false"
        owner, oid = OWNER_COLUMNS[catalog]
        kept = oids(part.oid for part in self.kept.get(catalog, ()))
        of_touched = f"{alias}.{owner} = ANY ({oids(self.touched_oids)})"
        if catalog == "pg_constraint":
            of_touched = f"({of_touched} OR {alias}.confrelid = ANY ({oids(self.touched_oids)}))"
        elif catalog == "pg_trigger":
            of_touched = f"({of_touched} OR {alias}.tgconstrrelid = ANY ({oids(self.touched_oids)}))"
        condition = f"({of_touched} AND {alias}.{oid} <> ALL ({kept}))"
        if catalog == "pg_constraint" and self.domains:
            condition = f"({condition} OR {alias}.contypid = ANY ({oids(self.domains)}))"
        return condition

    def part(self, catalog: str, oid: str) -> str:
        """The part `oid` of a catalog, looked up."""
        if not self.touched_oids:
            return "false"
        key = OWNER_COLUMNS[catalog][1]
        return f"EXISTS (SELECT 1 FROM pg_catalog.{catalog} AS x WHERE x.{key} = {oid} AND {self.owned(catalog, 'x')})"

    def depends(self, catalog: str, oid: str) -> str:
        """What reads anything hidden, by the database's own bookkeeping as it is now."""
        return (
            f"EXISTS (SELECT 1 FROM pg_catalog.pg_depend AS d WHERE d.classid = {reg(catalog)} AND d.objid = {oid} "
            f"AND d.refclassid = {reg('pg_class')} "
            f"AND (d.refobjid = ANY ({oids(self.relation_oids)}) OR {self.column('d.refobjid', 'd.refobjsubid')}))"
        )

    def function(self, oid: str) -> str:
        """A function that has a hidden type in its signature, or in the default of an argument."""
        return f"{oid} = ANY ({oids(self.functions)})" if self.functions else "false"

    def rule(self, alias: str) -> str:
        """The row `alias` of pg_rewrite. A view's own rule is there: the view is."""
        kept = oids(part.oid for part in self.kept.get("pg_rewrite", ()))
        return (
            f"({alias}.ev_class = ANY ({oids(self.relation_oids)}) OR {alias}.ev_type <> '1' "
            f"AND {alias}.ev_class = ANY ({oids(self.partial_oids)}) AND {alias}.oid <> ALL ({kept}))"
        )

    def thing(self, catalog: str, oid: str, number: str, *, parts: bool = True) -> str:
        """The object that the three columns name, as pg_depend and its like have them.

        `parts`: of relations, too, as far as the snapshot knows them; `described` looks them up.
        """
        listed = sorted((c << 32) + o for c, o in (self._typed | self._parts if parts else self._typed))
        in_class = [self.gone(oid), self.column(oid, number), self.toast(oid) if parts else "false"]
        in_class = [condition for condition in in_class if condition != "false"]
        found = [f"{catalog} = {reg('pg_class')} AND ({' OR '.join(in_class)})"] if in_class else []
        if listed:
            found.append(f"{_key(catalog, oid)} = ANY ({numbers(listed)})")
        # What the server itself has is never hidden: said first, the planner expects most rows to be shown.
        return f"{oid} >= 16384 AND ({' OR '.join(found)})" if found else "false"

    @cached_property
    def _typed(self) -> frozenset[tuple[int, int]]:
        """Hidden types and what depends on them: (catalog, oid)."""
        return self._dependents.union((_TYPE, oid) for oid in self.types)

    @cached_property
    def _parts(self) -> frozenset[tuple[int, int]]:
        """Parts that use anything hidden, those of pg_class left out: (catalog, oid)."""
        return frozenset(
            (number, part.oid) for catalog, number in _CLASSES.items() for _, part in self.not_shown(catalog)
        )

    @property
    def described(self) -> str:
        """FROM and WHERE for the objects `d` that belong to anything hidden: what no comment may be on."""
        return (
            f"FROM pg_catalog.pg_depend AS d WHERE d.refclassid = {reg('pg_class')} "
            f"AND d.refobjid = ANY ({oids(self.touched_oids)}) AND d.classid <> {reg('pg_class')} "
            f"AND {_key('d.classid', 'd.objid')} <> ALL ({numbers(self._keys)})"
        )

    @property
    def dependency(self) -> str:
        """The row `t` of pg_depend, where a part of something hidden depends on it."""
        if not self.touched_oids:
            return "false"
        classes = oids(oid for catalog, oid in _CLASSES.items() if catalog != "pg_rewrite")  # views are there
        return (
            f"t.refclassid = {reg('pg_class')} AND t.refobjid = ANY ({oids(self.touched_oids)}) AND "
            f"t.classid = ANY ({classes}) AND {_key('t.classid', 't.objid')} <> ALL ({numbers(self._keys)})"
        )

    @cached_property
    def _keys(self) -> list[int]:
        """The parts that may be shown, each one number."""
        keys = [(_CLASSES[c] << 32) + p.oid for c, parts in self.kept.items() if c in _CLASSES for p in parts]
        return sorted(keys + [(_CLASSES["pg_policy"] << 32) + part.oid for _, part in self.policies])


# Catalogs of parts, by the oids that they have in every PostgreSQL.
_CLASSES = {
    "pg_constraint": 2606,
    "pg_trigger": 2620,
    "pg_statistic_ext": 3381,
    "pg_policy": 3256,
    "pg_attrdef": 2604,
    "pg_publication_rel": 6106,
    "pg_rewrite": 2618,
}
_TYPE, _FUNCTION = 1247, 1255


def _unquoted(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name


def _key(catalog: str, oid: str) -> str:
    return f"{catalog}::pg_catalog.int8 * 4294967296 + {oid}::pg_catalog.int8"


def reg(catalog: str) -> str:
    return f"'pg_catalog.{catalog}'::pg_catalog.regclass"


def oids(values: Iterable[int]) -> str:
    return "'{" + ",".join(map(str, sorted(values))) + "}'::pg_catalog.oid[]"


def numbers(values: Iterable[int]) -> str:
    return "'{" + ",".join(map(str, values)) + "}'::pg_catalog.int8[]"


def readable_view(relation: Relation, app: AppPolicy, snapshot: Snapshot) -> bool:
    """An unlisted view or relation that the app may read: unlisted tables are open, or the view reads open relations
    only.
    """
    if relation.schema == "consentry" or relation.key in app.views:
        return False
    if relation.kind == "m" and relation.key in app.open_tables:
        return True
    if relation.kind in "vm":
        for oid in relation.reads:
            read = snapshot.by_oid.get(oid)
            if read is None or read.kind == "v":
                continue
            if read.schema in SYSTEM_SCHEMAS:
                if read.name not in OPEN:
                    return False
                continue
            table = app.tables.get(read.key)
            if read.key in app.inner or not (table.plain if table is not None else _unlisted_open(read, app)):
                return False
    return relation.kind == "v" or _unlisted_open(relation, app)


def _unlisted_open(relation: Relation, app: AppPolicy) -> bool:
    return relation.key in app.open_tables or (app.unlisted_tables == "open" and relation.schema != "consentry")
