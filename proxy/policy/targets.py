"""Which relations of the database have which entry of the rules: those that it lists, and their children."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from proxy.catalog.model import Column, Relation, Snapshot
from proxy.policy.json_masks import JSON
from proxy.policy.model import ColumnEntry, Table
from proxy.policy.names import join_dotted
from proxy.policy.references import governed_tables, open_tables
from proxy.policy.rules import Path, Rules
from proxy.policy.table import Subject
from proxy.yaml_lines import Problem, nearest

Key = tuple[str, str]

_GOVERNABLE = frozenset("rpvmf")
_OWN_SCHEMAS = frozenset({"pg_catalog", "information_schema", "pg_toast", "consentry"})


@dataclass(frozen=True, slots=True)
class Target:
    """A relation that has the rules of the entry `text`: the entry's own, or a partition or child of it."""

    relation: Relation
    text: str
    table: Table

    @property
    def path(self) -> Path:
        return ("tables", self.text)


@dataclass(slots=True)
class Work:
    """What is known so far of rules and catalog together, and what is wrong."""

    rules: Rules
    snapshot: Snapshot
    targets: dict[Key, Target] = field(default_factory=dict)
    opened: set[Key] = field(default_factory=set)
    subjects: dict[Key, Subject] = field(default_factory=dict)
    data: Target | None = None  # what other sources say of customers: the profile alone reads it
    others: Target | None = None  # and the keys of those whom nothing else knows
    keys: dict[str, Column] = field(default_factory=dict)  # the columns that name customers, by schema.table.column
    problems: list[Problem] = field(default_factory=list)

    def say(self, path: Path, message: str, *, key: bool = False) -> None:
        self.problems.append(self.rules.problem(path, message, key=key))


def targets(work: Work) -> Iterator[tuple[Key, Target]]:
    """All that is governed, what other sources say included."""
    yield from work.targets.items()
    for target in (work.data, work.others):
        if target is not None:
            yield target.relation.key, target


def find_relations(work: Work) -> None:
    """Finds what the rules list, and the partitions and children of it."""
    governed, opened = governed_tables(work.rules), open_tables(work.rules)
    for key, text in [*((k, t) for k, (t, _) in governed.items()), *opened.items()]:
        relation = work.snapshot.relations.get(key)
        if key[0] in _OWN_SCHEMAS:
            work.say(("tables", text), f"{text}: rules are not for schema {key[0]}", key=True)
        elif relation is None:
            known = {join_dotted(*k): k for k, r in work.snapshot.relations.items() if r.kind in _GOVERNABLE}
            hint = nearest(text, known) or _same_name(key[1], known)
            work.say(("tables", text), f'relation "{text}" is not in database {work.snapshot.database}{hint}', key=True)
        elif relation.kind == "S" and key not in governed:
            work.opened.add(key)
        elif relation.kind not in _GOVERNABLE:
            work.say(("tables", text), f"{text} is no table, view, foreign table or sequence", key=True)
        elif key in governed:
            work.targets[key] = Target(relation, text, governed[key][1])
        else:
            work.opened.add(key)
    for relation in work.snapshot.relations.values():
        if relation.parents and relation.kind in _GOVERNABLE:
            _place_child(work, relation, governed, opened)
    for relation in work.snapshot.relations.values():
        owner = work.snapshot.by_oid.get(relation.owner or 0)
        if owner is not None and (owner.key in work.targets or owner.key in work.opened):
            work.opened.add(relation.key)  # a listed table's own sequence: what it gives is in the rows


def _same_name(name: str, known: Mapping[str, Key]) -> str:
    same = [text for text, key in known.items() if key[1] == name]
    return f' (did you mean "{same[0]}"?)' if same else ""


def _place_child(work: Work, child: Relation, governed: Mapping[Key, object], opened: Mapping[Key, str]) -> None:
    parents = [work.snapshot.by_oid[oid] for oid in child.parents if oid in work.snapshot.by_oid]
    above = [p for p in parents if p.key in governed and p.key in work.targets]
    above_open = [p for p in parents if p.key in opened]
    name = join_dotted(*child.key)
    if child.key in governed:
        if above_open:
            parent = join_dotted(*above_open[0].key)
            message = f"{parent} is open, and shows the rows of its child {name}, which is governed: list its columns"
            work.say(("tables", opened[above_open[0].key]), message, key=True)
        elif not above and work.rules.defaults.unlisted_tables == "open" and parents:
            message = f"its parent {join_dotted(*parents[0].key)} shows its rows and is not listed: list the parent"
            work.say(("tables", governed[child.key][0]), message, key=True)  # type: ignore[index]
        return
    if child.key in opened:
        if above:
            message = f"{name} holds rows of {join_dotted(*above[0].key)}, which is governed: leave it out"
            work.say(("tables", opened[child.key]), message, key=True)
        return
    if above:
        nearest_parent = max(above, key=lambda parent: len(parent.parents))
        target = work.targets[nearest_parent.key]
        work.targets[child.key] = Target(child, target.text, target.table)
    elif above_open:
        work.opened.add(child.key)


def check_columns(work: Work) -> None:
    """Says which columns of the rules the database does not have, or not as they say."""
    for key, (text, table) in governed_tables(work.rules).items():
        target = work.targets.get(key)
        if target is None:
            continue
        known = [c.name for c in target.relation.columns if c.number > 0]
        for column, rule in table.columns.items():
            model = target.relation.column(column)
            paths = isinstance(rule, ColumnEntry) and rule.paths is not None
            if model is None or column not in known:
                message = f'column "{column}" is not in {text}{nearest(column, known)}'
                work.say((*target.path, "columns", column), message, key=True)
            elif paths and model.base_type not in JSON:
                message = f"paths: only json and jsonb have an inside with paths; {column} is of type {model.type_name}"
                work.say((*target.path, "columns", column, "paths"), message, key=True)


def check_unlisted(work: Work) -> None:
    """Copies of governed data that nobody listed: their rows are where no rule reaches."""
    governed = {target.relation.oid: key for key, target in work.targets.items()}
    for relation in work.snapshot.relations.values():
        if relation.key in work.targets or relation.key in work.opened or relation.schema in _OWN_SCHEMAS:
            continue
        name = join_dotted(*relation.key)
        read = [join_dotted(*governed[oid]) for oid in relation.reads if oid in governed]
        if relation.kind == "m" and read:
            message = f"materialised view {name} holds data of {', '.join(read)}: list it, with columns or as `open`"
            work.say(("tables",), message, key=True)
        elif relation.kind == "f" and work.rules.defaults.unlisted_tables == "open":
            message = f"foreign table {name} may hold anything: list it, with columns or as `open`"
            work.say(("tables",), message, key=True)
