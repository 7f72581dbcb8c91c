"""The profile's query: for all who may see everything, and for one app, made of what the app has of each table.

An app's query is over the same names, and is governed as the definition of any view: what is left out here is only
what could not be read. What leads from a table to the customer must be what the app sees: where it does not see the
keys, or sees them masked so that they no longer tell rows apart, it could not join them either.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from proxy.catalog.model import Snapshot
from proxy.policy.names import quote_identifier, quote_relation
from proxy.policy.others import CUSTOMERS, KEYS, keys_of, mark_of, own_columns, relation_of, table_of, unused
from proxy.policy.profile import DATA, SUBJECT
from proxy.policy.table import AppPolicy, GovernedColumn, GovernedTable, Hop, Mask, PolicyRef, ProfileColumn, ProfileMap
from proxy.rewrite.lex import quote_literal
from proxy.rewrite.profile_start import of_app, of_everybody, of_table

Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class OwnView:
    """The view as one app has it: its columns, its query, the oids of the tables that this reads."""

    columns: tuple[str, ...]
    definition: str
    reads: tuple[int, ...]


_SMALL_CODES = ("int2", "int4")  # pseudonyms of so few bits that a hundred thousand customers have some in common
_LINKING_LENGTH = 12  # hexadecimal digits of a hash: 48 bits, as pseudonyms of texts have
_STRINGS = ("text", "varchar", "bpchar", "name")


def profile_query(profile: ProfileMap, snapshot: Snapshot) -> str:
    """The query of the view in the database."""
    return _Writer(profile, snapshot, None).query([c.name for c in profile.columns])


def column_names(profile: ProfileMap) -> tuple[str, ...]:
    """The columns of the view in the database."""
    return (SUBJECT, *(column.name for column in profile.columns))


def with_profile(
    app: AppPolicy,
    profile: ProfileMap | None,
    snapshot: Snapshot,
    named: Collection[str] | None = None,
    sought: str | None = None,
) -> tuple[AppPolicy, Snapshot]:
    """The app with the profile as it has it, and the catalog with that view in the place of the database's.

    `named`: the columns that a statement can mean, where not all; the view has no others then. `sought`: one of several
    choices whose values it compares; the view has the same rows, found by any of these.
    """
    if profile is not None and not app.trusted:
        app, snapshot = _with_others(app, profile, snapshot)
    view = app_view(profile, app, snapshot, named, sought)
    if profile is None or view is None:
        return app, snapshot
    there = snapshot.relations[profile.relation]
    kept = tuple(column for column in there.columns if column.number < 0 or column.name in view.columns)
    relation = replace(there, columns=kept, definition=view.definition, reads=view.reads)
    gone = tuple(column for column in there.columns if column not in kept)
    own = replace(
        snapshot,
        relations={**snapshot.relations, relation.key: relation},
        by_oid={**snapshot.by_oid, relation.oid: relation},
    )
    return replace(app, views={relation.key: gone}), own


def _with_others(app: AppPolicy, profile: ProfileMap, snapshot: Snapshot) -> tuple[AppPolicy, Snapshot]:
    """The app with what it has of customers whom only other sources know, and a catalog with the relation of these."""
    found = [table for table in (keys_of(profile, app), table_of(profile, app)) if table is not None]
    tables = {table.key: table for table in found}
    if CUSTOMERS in tables:
        snapshot = replace(snapshot, relations={**snapshot.relations, CUSTOMERS: relation_of(profile, snapshot)})
    return replace(app, tables={**app.tables, **tables}, inner=app.inner | tables.keys()), snapshot


def app_view(
    profile: ProfileMap | None,
    app: AppPolicy,
    snapshot: Snapshot,
    named: Collection[str] | None = None,
    sought: str | None = None,
) -> OwnView | None:
    """The profile as the app has it; None where there is no such view, or no column of it for the app.

    A view that is not of these rules is read by its own definition, as any view is.
    """
    relation = snapshot.relations.get(profile.relation) if profile is not None else None
    if profile is None or relation is None or relation.kind != "v" or app.trusted:
        return None
    there = tuple(column.name for column in relation.columns if column.number > 0)
    if there != column_names(profile):
        return OwnView(there, relation.definition or "", relation.reads)
    writer = _Writer(profile, snapshot, app.tables)
    names = [c.name for c in profile.columns if (named is None or c.name in named) and writer.has(c)]
    if not writer.reads_any():
        return None
    text = writer.query(names, sought)
    oids = tuple(oid for key in writer.read if (oid := snapshot.relations[key].oid))
    kept = ((SUBJECT,) if writer.sees(profile.start, profile.key) else ()) + tuple(names)
    return OwnView(kept, text, oids)


def chosen_columns(profile: ProfileMap) -> tuple[str, ...]:
    """The columns that are the first of several values: no index knows of them."""
    return tuple(c.name for c in profile.columns if c.kind == "column" and len(c.choices) > 1)


def withheld_by(profile: ProfileMap, app: AppPolicy, name: str, snapshot: Snapshot) -> tuple[PolicyRef, ...]:
    """The policies because of which the app does not have a column of the profile; none where it is the defaults."""
    found = [column for column in profile.columns if column.name == name]
    needed = [(profile.start, profile.key)] if not found else []
    for column in found:
        ordered = [(column.choices[0][0], column.order_by)] if column.order_by else []
        for key, choice in (*column.choices, *ordered, *_told(column)):
            needed.append((key, choice))
            here = key
            while here != profile.start:
                hop = profile.hops[here]
                needed += [(here, hop.column), (hop.table, hop.to)]
                here = hop.table
    writer = _Writer(profile, snapshot, app.tables)
    governed = [one for one in (writer.governed(*place) for place in needed) if one is not None]
    # What hides a value itself says more than what hides the way to it.
    hiding = [one for one in governed if not one.treatment.visible] or [one for one in governed if one.treatment.mask]
    refs = [one.treatment.policy for one in hiding if one.treatment.policy is not None]
    return tuple(dict.fromkeys(refs))


class _Writer:
    """Writes one query. `tables`: what the app has; None: everything."""

    def __init__(self, profile: ProfileMap, snapshot: Snapshot, tables: Mapping[Key, GovernedTable] | None) -> None:
        self._profile = profile
        self._snapshot = snapshot
        self._tables = tables
        self._start = of_table(profile)
        if profile.others and (tables is None or CUSTOMERS in tables):
            self._start = of_everybody(profile) if tables is None else of_app(profile)
        self.read: dict[Key, None] = {}
        self._joins: list[str] = []
        self._aliases: dict[Key, str] = {profile.start: "p"}
        self._own: dict[str, None] = {}  # the columns of `p` that stand in the text
        self._sought: tuple[str, str] | None = None  # a column, and what it is in the text

    # -- what the app has -------------------------------------------------------------------------------------------

    def sees(self, key: Key, column: str) -> bool:
        """Whether the column exists for the app (it may be denied then)."""
        found = self.governed(key, column)
        return found is None or found.treatment.action != "drop"

    def reads_any(self) -> bool:
        """Whether there is a column that the app may touch."""
        every = [
            (self._profile.start, self._profile.key),
            *(one for c in self._profile.columns for one in self._kept(c)),
        ]
        found = [self.governed(*one) for one in every]
        return any(one is None or one.treatment.visible for one in found)

    def has(self, column: ProfileColumn) -> bool:
        """Whether the profile's column exists for the app."""
        return bool(self._kept(column))

    def _kept(self, column: ProfileColumn) -> list[tuple[Key, str]]:
        """What it is made of for the app. Of a table whose order it does not see, it has no list."""
        kept: list[tuple[Key, str]] = []
        if column.kind != "list" or self.sees(column.choices[0][0], column.order_by):
            kept = self._seen(column.choices)
        own = [
            one for one in column.choices if (found := self.governed(*one)) is not None and found.attribute is not None
        ]
        if own and not any(one in kept for one in own):
            kept = []  # open columns alone are not the attribute
        return kept + self._seen(_told(column))

    def _seen(self, choices: Sequence[tuple[Key, str]]) -> list[tuple[Key, str]]:
        return [(key, name) for key, name in choices if self.sees(key, name) and self._linked(key)]

    def governed(self, key: Key, column: str) -> GovernedColumn | None:
        """The column as the app has it; None where everything is seen."""
        if self._tables is None:
            return None
        found = self._tables[key].column(column)
        assert found is not None
        return found

    def _linked(self, key: Key) -> bool:
        """Whether the app could join the table to its customer."""
        while key != self._profile.start:
            hop = self._profile.hops[key]
            if not self._links(key, hop.column, hop.table, hop.to):
                return False
            key = hop.table
        return True

    def _links(self, key: Key, column: str, other: Key, to: str) -> bool:
        one, two = self.governed(key, column), self.governed(other, to)
        if one is None or two is None or (one.treatment.plain and two.treatment.plain):
            return True
        for treatment in (one.treatment, two.treatment):
            mask = treatment.mask
            if not treatment.visible or (treatment.consent is not None and mask is not None and mask.kind != "null"):
                return False
        masks = [t.mask if t.action == "mask" else None for t in (one.treatment, two.treatment)]
        if masks == [None, None]:
            return True
        types = {self._type(key, column), self._type(other, to)}
        return masks[0] == masks[1] and masks[0] is not None and len(types) == 1 and tells_apart(masks[0], *types)

    def _type(self, key: Key, column: str) -> str:
        found = self._snapshot.relations[key].column(column)
        assert found is not None
        return found.base_type

    # -- the text ---------------------------------------------------------------------------------------------------

    def query(self, names: list[str], sought: str | None = None) -> str:
        """The query with the profile's columns of these names, and the key where it is seen. `sought`: see `_found`."""
        profile = self._profile
        self.read[profile.start] = None
        start, conditions = self._start.text, self._conditions()
        choices = [c for c in profile.columns if c.name == sought and c.name in names and self._may_be_found(c)]
        for column in choices:
            self._sought = column.name, f"p.{quote_identifier(sought_of(profile))}"
        items = []
        if self.sees(profile.start, profile.key):
            items.append(f"{self._key()} AS {quote_identifier(SUBJECT)}")
        items += [f"{self._value(c)} AS {quote_identifier(c.name)}" for c in profile.columns if c.name in names]
        for column in choices:
            start, conditions = self._found(column), []
        where = [f"WHERE {' AND '.join(conditions)}"] if conditions else []
        return "\n".join([f"SELECT {', '.join(items)}", f"FROM {start}", *self._joins, *where])

    def _may_be_found(self, column: ProfileColumn) -> bool:
        """Whether it has several choices, none of which is denied: a refusal says of which column it is."""
        kept = [self.governed(*one) for one in self._kept(column)]
        return len(kept) > 1 and all(one is None or one.treatment.visible for one in kept)

    def _found(self, column: ProfileColumn) -> str:
        """The rows that the query begins with, with the value of a column that has several choices: those that have the
        first of these, those that do not and have the second, and so on. So an index on each finds its own.
        """
        kept, found = self._kept(column), quote_identifier(sought_of(self._profile))
        columns = [f"p.{quote_identifier(name)}" for name in self._own]
        parts = []
        for number in range(len(kept)):
            arm = _Writer(self._profile, self._snapshot, self._tables)
            values = arm._values(kept[: number + 1])
            before = [f"{value} IS NULL" for value in values[:-1]]
            there = [f"{values[-1]} IS NOT NULL"] if number < len(kept) - 1 else []
            outputs = ", ".join((*columns, f"{arm._cast(kept, values[-1])} AS {found}"))
            where = " AND ".join(f"({condition})" for condition in (*arm._conditions(), *before, *there))
            parts.append("\n".join([f"SELECT {outputs}", f"FROM {arm._start.text}", *arm._joins, f"WHERE {where}"]))
            self.read |= arm.read
        return "({}) p".format("\nUNION ALL\n".join(parts))

    def _conditions(self) -> list[str]:
        """Which of the rows that it begins with are customers."""
        if self._start.condition is None:
            return []
        self.read[KEYS] = None
        return [self._start.condition]

    def _values(self, kept: Sequence[tuple[Key, str]]) -> list[str]:
        return [self._column(key, name) for key, name in kept]

    def _column(self, key: Key, name: str) -> str:
        """A column of a table that has one row a customer."""
        if key == self._profile.start:
            self._own[name] = None
        return f"{self._join(key)}.{quote_identifier(name)}"

    def _key(self) -> str:
        self._own[self._profile.key] = None
        return self._start.key

    def _cast(self, kept: Sequence[tuple[Key, str]], value: str) -> str:
        """One of several values, of the type that they have together."""
        return f"{value}::text" if any(self._type(*one) in _STRINGS for one in kept) else value

    def _value(self, column: ProfileColumn) -> str:
        if self._sought is not None and column.name == self._sought[0]:
            return self._sought[1]
        kept = self._kept(column)
        if column.kind == "list":
            return self._list(column, kept)
        if column.kind == "object":
            key = kept[0][0]
            made = _object([(name, self._column(key, name)) for _, name in kept])
            if key != self._profile.start:
                known = self._column(key, self._profile.hops[key].column)
                return f"CASE WHEN {known} IS NOT NULL THEN {made} END"
            if self._start.mark is None:
                return made
            self._own[mark_of(self._profile)] = None
            return f"CASE WHEN {self._start.mark} THEN {made} END"
        values = self._values(kept)
        if len(values) == 1:
            return values[0]
        return f"COALESCE({', '.join(self._cast(kept, value) for value in values)})"

    def _join(self, key: Key) -> str:
        """The alias of a table that has one row a customer; each is joined by itself, so that PostgreSQL can leave out
        what nobody asks for.
        """
        if key not in self._aliases:
            hop = self._profile.hops[key]
            before = self._join(hop.table)
            alias = self._aliases[key] = f"p{len(self._aliases)}"
            self.read[key] = None
            on = f"{alias}.{quote_identifier(hop.column)} = {self._to(before, hop)}"
            self._joins.append(f"LEFT JOIN {quote_relation(key)} {alias} ON {on}")
        return self._aliases[key]

    def _list(self, column: ProfileColumn, kept: list[tuple[Key, str]]) -> str:
        names = [name for key, name in kept if key != DATA]
        told = any(key == DATA for key, _ in kept)
        if not told:
            outputs = ", ".join(f"t.{quote_identifier(name)}" for name in names)
            entry = _object([(name, f"l.{quote_identifier(name)}") for name in names])
            found = self._newest(column, names, outputs)
        else:
            found, entry = self._merged(column, names), "l.entry"
        return f"COALESCE((SELECT pg_catalog.jsonb_agg({entry}) FROM ({found}) l), '[]'::jsonb)"

    def _newest(self, column: ProfileColumn, names: list[str], outputs: str) -> str:
        """The customer's rows of a list's table, as `t`, of which `outputs` are made from `names` and the order."""
        key = column.choices[0][0]
        order = f"t.{quote_identifier(column.order_by)} DESC{self._nulls(key, column.order_by)}"
        rows = self._rows(self._way(key), "p", [*names, column.order_by], outputs)
        return f"{rows} ORDER BY {order} LIMIT {column.limit}"

    def _merged(self, column: ProfileColumn, names: list[str]) -> str:
        """The entries of a list's table, where the app has columns of it, and of sources, by their times as texts.

        Those of sources are kept so that they order as times do; to cast them could fail.
        """
        data = self._column(DATA, column.name)
        told = ", ".join(f"e.entry ->> {quote_literal(field)}" for field in column.told_by)
        array = (
            f"CASE WHEN pg_catalog.jsonb_typeof({data}) = 'array' THEN {data} END"  # a mask may make it another thing
        )
        parts = [f"SELECT e.entry, COALESCE({told}) AS at FROM pg_catalog.jsonb_array_elements({array}) e(entry)"]
        if names:
            at = f"t.{quote_identifier(column.order_by)}"
            zone = " AT TIME ZONE 'UTC'" if self._type(column.choices[0][0], column.order_by) == "timestamptz" else ""
            time = f"""pg_catalog.to_char(({at}{zone})::timestamp, 'YYYY-MM-DD"T"HH24:MI:SS.US')"""
            entry = _object([(name, f"t.{quote_identifier(name)}") for name in names])
            outputs = f"{entry} AS entry, {time} AS at"
            parts.insert(0, f"({self._newest(column, names, outputs)})")
        return (
            f"SELECT m.entry FROM ({' UNION ALL '.join(parts)}) m "
            f'ORDER BY m.at COLLATE "C" DESC NULLS LAST LIMIT {column.limit}'
        )

    def _way(self, key: Key) -> list[Key]:
        """The tables from one to the profile's own, which is not among them."""
        way = []
        while key != self._profile.start:
            way.append(key)
            key = self._profile.hops[key].table
        return way

    def _rows(self, way: list[Key], around: str, names: list[str], outputs: str = "") -> str:
        """The rows of the way's first table, as `t`, that belong to one row of what is `around` its last; without
        `outputs` their columns `names`. They are looked up table by table (OFFSET 0), however many tables row policies
        add: of more than eight PostgreSQL would not look for the order that begins with the customer.
        """
        *before, key = way
        self.read[key] = None
        hop, alias = self._profile.hops[key], f"t{len(before)}" if before else "t"
        source = f"{quote_relation(key)} {alias}"
        if before:
            source += f" CROSS JOIN LATERAL ({self._rows(before, alias, names)} OFFSET 0) t"
        columns = ", ".join(f"t.{quote_identifier(name)}" for name in dict.fromkeys(names))
        on = f"{alias}.{quote_identifier(hop.column)} = {self._to(around, hop)}"
        return f"SELECT {outputs or columns} FROM {source} WHERE {on}"

    def _to(self, around: str, hop: Hop) -> str:
        """What a step to the table `around` compares with."""
        if (hop.table, hop.to) == (self._profile.start, self._profile.key):
            return self._key()
        if hop.table == self._profile.start:
            self._own[hop.to] = None
        return f"{around}.{quote_identifier(hop.to)}"

    def _nulls(self, key: Key, column: str) -> str:
        """Nothing where there are none: an index in the usual order is in use then."""
        model, governed = self._snapshot.relations[key].column(column), self.governed(key, column)
        always = model is not None and model.not_null and (governed is None or governed.treatment.plain)
        return "" if always else " NULLS LAST"


def tells_apart(mask: Mask, base_type: str) -> bool:
    """Whether equal values stay equal, and others do not become so."""
    if mask.kind == "hash":
        return int(mask.option("length", 64)) >= _LINKING_LENGTH
    return mask.kind == "pseudonym" and base_type not in _SMALL_CODES


def sought_of(profile: ProfileMap) -> str:
    """What the value of a column that is looked for is called, where none of the table's has the name."""
    return unused("sought", (*own_columns(profile), mark_of(profile)))


def _told(column: ProfileColumn) -> tuple[tuple[Key, str], ...]:
    """Where sources say entries of a list."""
    return ((DATA, column.name),) if column.told_by else ()


def _object(members: list[tuple[str, str]]) -> str:
    pairs = ", ".join(f"{quote_literal(name)}, {value}" for name, value in members)
    return f"pg_catalog.jsonb_build_object({pairs})"
