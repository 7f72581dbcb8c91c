"""Whose each row of a governed relation is: the columns that lead to the customer's key, and that key's type."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from proxy.catalog.model import Column
from proxy.policy.json_masks import JSON
from proxy.policy.mapped_sources import kept
from proxy.policy.model import ColumnEntry, SubjectReference, Table
from proxy.policy.names import join_dotted, split_column
from proxy.policy.others import KEYS
from proxy.policy.profile import DATA, SUBJECT
from proxy.policy.references import attribute_of, attributes_of, governed_tables
from proxy.policy.rules import Path
from proxy.policy.table import HeldDocument, Subject, SubjectStep, SubjectTable
from proxy.policy.targets import Key, Target, Work
from proxy.yaml_lines import nearest

# Types of subject keys that one ledger can hold together.
SUBJECT_FAMILIES: Mapping[str, str] = {
    **dict.fromkeys(("int2", "int4", "int8"), "integer"),
    **dict.fromkeys(("text", "varchar", "bpchar", "citext", "name"), "text"),
    "uuid": "uuid",
}
# What a key of each family is written as, where it comes as a text.
KEY_TYPES: Mapping[str, str] = {"integer": "bigint", "uuid": "uuid", "text": "text"}


def find_subjects(work: Work) -> None:
    """Resolves each table's subject to columns, and holds all subject keys to one family of types."""
    families: dict[str, str] = {}
    for key, target in work.targets.items():
        subject = _subject(work, target)
        if subject is None:
            continue
        work.subjects[key] = subject
        end = (subject.steps[-1].schema, subject.steps[-1].table) if subject.steps else key
        column = work.snapshot.relations[end].column(subject.column)
        assert column is not None
        if end in governed_tables(work.rules):
            work.keys[join_dotted(*end, column.name)] = column
        family = SUBJECT_FAMILIES.get(column.base_type)
        path: Path = (*target.path, "subject")
        label = f"{join_dotted(*end)}.{column.name} ({column.type_name})"
        if family is None:
            work.say(path, f"subject: {label} cannot name a customer; an integer, uuid or text column can")
            continue
        other = next((known for name, known in families.items() if name != family), None)
        if other is None:
            families[family] = label
        else:
            work.say(path, f"subject: {label} and {other} are of different kinds: one ledger holds one kind of key")


def find_data(work: Work) -> None:
    """Finds where the database keeps what other sources say, where the rules have a profile to show it."""
    relation, names = work.snapshot.relations.get(DATA), kept(work.rules)
    if work.rules.profile is not None and relation is not None and names:
        columns = {SUBJECT: "open", **{name: name for name in names}}
        work.data = Target(relation, join_dotted(*DATA), Table.model_validate({"columns": columns, "subject": SUBJECT}))
        work.subjects[DATA] = Subject(SUBJECT)
        others = work.snapshot.relations.get(KEYS)
        if others is not None:
            table = Table.model_validate({"columns": {SUBJECT: "open"}, "subject": SUBJECT})
            work.others = Target(others, join_dotted(*KEYS), table)


def _subject(work: Work, target: Target) -> Subject | None:
    """None where the table has none, or where it is wrong (said then)."""
    steps: list[SubjectStep] = []
    relation, table, path = target.relation, target.table, target.path
    while True:
        rule = table.subject
        if rule is None or len(steps) > len(work.rules.tables):
            return None
        here: Path = (*path, "subject") if isinstance(rule, str) else (*path, "subject", "column")
        name = rule if isinstance(rule, str) else rule.column
        column = relation.column(name)
        if column is None:
            known = [c.name for c in relation.columns]
            work.say(here, f'subject: column "{name}" is not in {join_dotted(*relation.key)}{nearest(name, known)}')
            return None
        if not isinstance(rule, SubjectReference):
            return Subject(name, tuple(steps))
        schema, table_name, to = split_column(rule.references)
        following = work.targets.get((schema, table_name))
        if following is None or not _reference_holds(work, (*path, "subject", "references"), column, following, to):
            return None
        steps.append(SubjectStep(name, schema, table_name, to))
        relation, table, path = following.relation, following.table, following.path


def subject_tables(work: Work) -> Iterator[SubjectTable]:
    """The tables that have rows of customers, each once: without partitions and views of others."""
    for key, target in work.targets.items():
        relation = target.relation
        above = {work.snapshot.by_oid[oid].key for oid in relation.parents if oid in work.snapshot.by_oid}
        if relation.kind == "v" or key not in work.subjects or above & work.subjects.keys():
            continue
        entries = target.table.columns
        columns = tuple((c.name, tuple(attributes_of(entries[c.name]))) for c in relation.columns if c.name in entries)
        documents = tuple(
            _document(c.name, entries[c.name]) for c in relation.columns if c.name in entries and c.base_type in JSON
        )
        yield SubjectTable(*key, work.subjects[key], family_of(work, key), columns, documents)


def _document(column: str, entry: str | ColumnEntry) -> HeldDocument:
    paths = (entry.paths or {}) if isinstance(entry, ColumnEntry) else {}
    parts = tuple((path, None if name == "open" else name) for path, name in paths.items())
    return HeldDocument(column, attribute_of(entry), parts)


def family_of(work: Work, key: Key) -> str:
    """The family of the type of the keys that the relation's subject has."""
    subject = work.subjects[key]
    end = work.snapshot.relations[(subject.steps[-1].schema, subject.steps[-1].table) if subject.steps else key]
    column = end.column(subject.column)
    assert column is not None
    return SUBJECT_FAMILIES.get(column.base_type, "text")


def _reference_holds(work: Work, path: Path, column: Column, following: Target, to: str) -> bool:
    """Whether `following.to` is a key that values of `column` can be compared with."""
    relation = following.relation
    name = join_dotted(*relation.key)
    target = relation.column(to)
    if target is None:
        known = [c.name for c in relation.columns]
        work.say(path, f'references: column "{to}" is not in {name}{nearest(to, known)}')
        return False
    if (to,) not in (relation.primary_key, *relation.unique_keys):
        message = f"references: {name}.{to} is not unique by itself; a primary key or unique index must say so"
        work.say(path, message)
        return False
    if _family(column) != _family(target):
        types = f"{column.type_name} and {target.type_name}"
        work.say(path, f"references: {column.name} and {name}.{to} cannot be compared: {types}")
        return False
    return True


def _family(column: Column) -> str:
    return SUBJECT_FAMILIES.get(column.base_type, column.base_type)
