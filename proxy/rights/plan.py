"""What is done to which table, in which order, and what must not be in the way: from the compiled rules. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from proxy.catalog.model import Snapshot
from proxy.errors import ConsentryError
from proxy.policy.names import join_dotted, quote_relation
from proxy.policy.rights_table import ErasedTable, Key, RightsTable
from proxy.policy.table import CompiledRules
from proxy.rights import conditions
from proxy.rights.keys import ForeignKey


class CannotEraseError(ConsentryError):
    """Something would be left, or would break: nothing was touched. `reasons`: all of them."""

    def __init__(self, reasons: Iterable[str]) -> None:
        self.reasons = tuple(dict.fromkeys(reasons))
        super().__init__("nothing was erased:\n" + "\n".join(f"  {reason}" for reason in self.reasons))


@dataclass(frozen=True, slots=True)
class Step:
    """One table. `rows`: SQL that is true of the rows in question; `kept`: (reason, SQL) of those that stay."""

    table: ErasedTable
    rows: str
    kept: tuple[tuple[str, str], ...] = ()

    @property
    def name(self) -> str:
        return join_dotted(*self.table.key)

    @property
    def relation(self) -> str:
        return quote_relation(self.table.key)

    @property
    def goes(self) -> str:
        """SQL that is true of the rows that are deleted or anonymised."""
        parts = [f"({self.rows})", *(f"(({text}) IS NOT TRUE)" for _, text in self.kept)]
        if self.table.action == "anonymise":
            parts.append(f"({conditions.changed(self.table.key, self.table.replacements)})")
        return " AND ".join(parts)


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Rows that would be in the way: `query` counts them, `said` says of so many what is wrong; `key` links them."""

    query: str
    said: str
    key: ForeignKey


@dataclass(frozen=True, slots=True)
class Plan:
    """`steps`: a table that others refer to comes before them, to be locked first; they are done from the end on.

    `refreshed`: materialised views, in the order of their making. `unasked`: tables that stay as a whole and whose rows
    are of nobody, with their reasons.
    """

    steps: tuple[Step, ...]
    refreshed: tuple[Key, ...] = ()
    obstacles: tuple[Obstacle, ...] = ()
    unasked: tuple[tuple[str, str], ...] = ()


def rights_of(rules: CompiledRules) -> RightsTable:
    """What the rules say of customers' rights."""
    assert rules.rights is not None  # `compile_rules` always makes it
    return rules.rights


def gaps(rules: CompiledRules) -> list[str]:
    """What `subject erase` and `retention run` would refuse, for `check`; nothing where no table says `erase`."""
    rights = rights_of(rules)
    if all(table.action == "none" for table in rights.tables.values()):
        return []
    wrong = [(table.key, reason) for table in rights.tables.values() for reason in table.wrong]
    wrong += [(one.table, reason) for one in rights.retained for reason in one.wrong]
    return list(dict.fromkeys(f"customers cannot be erased: {join_dotted(*key)}: {reason}" for key, reason in wrong))


def erasure(rules: CompiledRules, snapshot: Snapshot, keys: Sequence[ForeignKey]) -> Plan:
    """The plan that erases the customer whose key is $1. Raises CannotEraseError with all that the rules leave open."""
    tables = rights_of(rules).tables.values()
    wrong = [f"{join_dotted(*table.key)}: {reason}" for table in tables for reason in table.wrong]
    if not any(table.subject is not None for table in tables):
        wrong.append("no table of the rules has a `subject`: nothing is a customer's")
    if wrong:
        raise CannotEraseError(wrong)

    def select(table: ErasedTable) -> str | None:
        if table.subject is None:
            return None
        return conditions.of_subject(table.key, table.subject, table.family)

    return make_plan(rules, snapshot, keys, select)


def make_plan(
    rules: CompiledRules,
    snapshot: Snapshot,
    keys: Sequence[ForeignKey],
    select: Callable[[ErasedTable], str | None],
) -> Plan:
    """`select`: SQL that is true of the rows in question, None where there are none. Raises CannotEraseError."""
    rights = rights_of(rules)
    found: dict[Key, Step] = {}
    for table in rights.tables.values():
        rows = select(table) if table.action in ("delete", "anonymise", "keep") else None
        if rows is not None:
            kept = tuple((one.reason, conditions.kept(table.key, table.subject, one)) for one in table.kept)
            found[table.key] = Step(table, rows, kept)
    links = [_Link(key, _owner(snapshot, key.relation, found), _owner(snapshot, key.to, found)) for key in keys]
    ordered = _ordered(found, links)
    views = sorted(
        (table for table in rights.tables.values() if table.action == "refresh"),
        key=lambda table: len(snapshot.relations[table.key].reads),
    )
    return Plan(
        ordered,
        tuple(table.key for table in views),
        tuple(_obstacles(found, links, rules, snapshot)),
        tuple(
            (join_dotted(*table.key), table.kept[0].reason)
            for table in rights.tables.values()
            if table.action == "keep" and table.key not in found and not table.kept[0].secret
        ),
    )


@dataclass(frozen=True, slots=True)
class _Link:
    """A foreign key, and the steps that its two sides belong to (a partition's to its whole's)."""

    key: ForeignKey
    source: Key | None
    target: Key | None


def _owner(snapshot: Snapshot, key: Key, steps: Collection[Key]) -> Key | None:
    """The relation itself or the one above it that is among these."""
    if key in steps:
        return key
    relation = snapshot.relations.get(key)
    parents = [snapshot.by_oid[oid].key for oid in relation.parents if oid in snapshot.by_oid] if relation else []
    return next((parent for parent in parents if parent in steps), None)


def _ordered(steps: Mapping[Key, Step], links: Sequence[_Link]) -> tuple[Step, ...]:
    """What is referred to comes first, and what a subject is found through."""
    above: dict[Key, set[Key]] = {key: set() for key in steps}
    for link in links:
        if link.source is not None and link.target is not None and not link.key.deferrable:
            above[link.source].add(link.target)
    for key, step in steps.items():
        way = step.table.subject.steps if step.table.subject else ()
        above[key] |= {(one.schema, one.table) for one in way if (one.schema, one.table) in steps}
    ordered: list[Step] = []
    waiting = list(steps)
    while waiting:
        ready = [key for key in waiting if not (above[key] - {key}) & set(waiting)]
        if not ready:
            names = ", ".join(join_dotted(*key) for key in waiting)
            raise CannotEraseError([f"{names} refer to each other in a circle: make a foreign key of it DEFERRABLE"])
        ordered += [steps[key] for key in ready]
        waiting = [key for key in waiting if key not in ready]
    return tuple(ordered)


def _obstacles(
    steps: Mapping[Key, Step], links: Sequence[_Link], rules: CompiledRules, snapshot: Snapshot
) -> Iterable[Obstacle]:
    opened = frozenset().union(*(app.open_tables for app in rules.apps.values() if not app.trusted))
    governed = rights_of(rules).tables
    for link in links:
        target = steps.get(link.target) if link.target is not None else None
        if target is None or target.table.action == "keep":
            continue
        source = steps.get(link.source) if link.source is not None else None
        key, deleted = link.key, target.table.action == "delete"
        name = join_dotted(*key.relation)
        if source is None and key.relation not in opened and _owner(snapshot, key.relation, governed) is None:
            why = "and the rules do not list it: list it, with columns and `erase`, or as `open`"
            said = f"{target.name}: {{}} row(s) of {name} refer to its rows, {why}"
            yield Obstacle(_referring(key, target, target.rows, None), said, key)
        elif deleted and not key.clears:
            why = f"and stay (constraint {key.name}): anonymise {target.name}, or let them go too"
            said = f"{target.name}: {{}} row(s) of {name} refer to rows that go, {why}"
            yield Obstacle(_referring(key, target, target.goes, source), said, key)


def _referring(key: ForeignKey, target: Step, rows: str, source: Step | None) -> str:
    """Counts the rows that refer to `rows` of the target, less those that go themselves."""
    left = ", ".join(conditions.column(key.relation, name) for name in key.columns)
    right = ", ".join(conditions.column(target.table.key, name) for name in key.to_columns)
    inner = f"SELECT {right} FROM {target.relation} WHERE {rows}"
    stay = ""
    if source is not None and source.table.action == "delete":
        # In the terms of the whole, where the foreign key is a partition's.
        own = f"SELECT 1 FROM {source.relation} WHERE {source.goes}"
        stay = f" AND NOT EXISTS ({own} AND {_same_row(key.relation, source.table.key)})"
        if key.relation == source.table.key:
            stay = f" AND (({source.goes}) IS NOT TRUE)"
    return f"SELECT count(*) FROM {quote_relation(key.relation)} WHERE ({left}) IN ({inner}){stay}"


def _same_row(part: Key, whole: Key) -> str:
    one, other = quote_relation(part), quote_relation(whole)
    return f"{one}.tableoid = {other}.tableoid AND {one}.ctid = {other}.ctid"
