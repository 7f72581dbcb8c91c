"""How customers are erased (`erase` of the tables, `retention`): what is wrong with the rules, their compiled value.

What the catalog makes impossible is no error of the rules, since a new column in the database must not stop a gateway:
it is said in `wrong`, and by `subject erase` before anything is touched.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from proxy.catalog.model import Column, Relation, Snapshot
from proxy.policy.expressions import ExpressionError, row_predicate, substitute
from proxy.policy.masks import TEXT, check_mask, is_domain
from proxy.policy.model import Table
from proxy.policy.model_rights import Erase, Retention, period
from proxy.policy.names import join_dotted, split_column, split_relation
from proxy.policy.references import attributes_of, check_mask_name, governed_tables, mask_of
from proxy.policy.retained import check_dates, in_order
from proxy.policy.rights_table import ErasedTable, Kept, Key, Replacement, RetainedTable, RightsTable
from proxy.policy.rules import Path, Rules
from proxy.policy.table import Mask, Subject
from proxy.yaml_lines import Problem, nearest

KEEP: Final = "keep"
NOT_ANONYMOUS: Final = ("hash", "pseudonym")
_NULL: Final = Mask("null")
_UNIQUE_LENGTH: Final = 16  # characters: `erased-` and enough that differ


def check_rights(rules: Rules) -> Iterator[Problem]:
    """What can be told without the database."""
    for text, table in rules.tables.items():
        if isinstance(table, Table) and isinstance(table.erase, Erase):
            yield from _check_erase(rules, ("tables", text, "erase"), table, table.erase)
        if isinstance(table, Table) and table.erase is not None and table.subject is None and not _only_kept(table):
            message = "erase: without `subject` no row is a customer's: only `keep` with a reason can stand here"
            yield rules.problem(("tables", text, "erase"), message, key=True)
    governed = governed_tables(rules)
    for name in rules.retention:
        if "." not in name and not rules.declares("attributes", name):
            hint = nearest(name, rules.attributes)
            yield rules.problem(("retention", name), f'attribute "{name}" is not defined{hint}', key=True)
        elif "." in name:
            try:
                found = split_relation(name) in governed
            except ValueError as error:
                yield rules.problem(("retention", name), str(error), key=True)
                continue
            if not found and not rules.declares("tables", name):
                hint = nearest(name, [text for text, _ in governed.values()])
                yield rules.problem(("retention", name), f'table with columns "{name}" is not defined{hint}', key=True)


def _only_kept(table: Table) -> bool:
    return isinstance(table.erase, Erase) and table.erase.action is None


def _check_erase(rules: Rules, path: Path, table: Table, erase: Erase) -> Iterator[Problem]:
    for number, kept in enumerate(erase.keep or ()):
        at: Path = (*path, "keep", number)
        if (kept.by is None) != (kept.younger_than is None):
            yield rules.problem(at, "keep: `for` and `by` belong together: how long, counted from which column's time")
        if kept.where is not None:
            try:
                row_predicate(kept.where)
                if substitute(kept.where, "", "") != kept.where:
                    yield rules.problem((*at, "where"), "where: no app asks here: leave :app and :login out")
            except ExpressionError as error:
                yield rules.problem((*at, "where"), f"where: {error}")
    everything = any(kept.by is None and kept.where is None for kept in erase.keep or ())
    if erase.action is None and not everything:
        yield rules.problem(path, "erase: `action` is missing: delete or anonymise what is not kept", key=True)
    if erase.action is not None and everything:
        yield rules.problem(
            path, "erase: all rows are kept: leave `action` out, or say which rows: `where`, or `by`, `for`", key=True
        )
    for column, mask in (erase.masks or {}).items():
        at = (*path, "masks", column)
        if erase.action != "anonymise":
            yield rules.problem(at, "masks: they belong to `action: anonymise`", key=True)
        if column not in table.columns:
            hint = nearest(column, table.columns)
            yield rules.problem(at, f'masks: column "{column}" is not among the table\'s `columns`{hint}', key=True)
        if mask == KEEP:
            continue
        wrong = list(check_mask_name(rules, at, mask)) if isinstance(mask, str) else []
        yield from wrong
        if not wrong and mask_of(rules, mask).kind in NOT_ANONYMOUS:
            message = (
                f"masks: a {mask_of(rules, mask).kind} still names the customer to whoever has the key: not anonymous"
            )
            yield rules.problem(at, message)


def compile_rights(
    rules: Rules,
    snapshot: Snapshot,
    targets: Mapping[Key, tuple[Relation, str, Table]],
    subjects: Mapping[Key, tuple[Subject, str]],
    opened: frozenset[Key],
    problems: list[Problem],
) -> RightsTable:
    """`targets`: the governed relations, each with the spelling and the entry of its rules; `subjects`: with the family
    of their keys; `opened`: the open relations. What the rules name and the database does not have goes to `problems`.
    """
    tables: dict[Key, ErasedTable] = {}
    keys = _key_columns(snapshot)
    for key, (relation, text, entry) in targets.items():
        parents = {snapshot.by_oid[oid].key for oid in relation.parents if oid in snapshot.by_oid}
        if parents & targets.keys():
            if split_relation(text) == key and entry.erase is not None:
                above = ", ".join(join_dotted(*parent) for parent in sorted(parents & targets.keys()))
                message = f"erase: rows of {text} are erased as those of {above}: write it there"
                problems.append(rules.problem(("tables", text, "erase"), message, key=True))
            continue
        subject, family = subjects.get(key, (None, "text"))
        table = ErasedTable(*key, text, subject, family, "none", columns=_listed(relation, entry))
        tables[key] = _erased(rules, snapshot, table, relation, entry, keys, frozenset(targets) | opened, problems)
    check_dates(rules, tables, problems)
    retained = [
        one
        for name, kept in rules.retention.items()
        for one in _retained(rules, snapshot, name, kept, tables, keys, problems)
    ]
    return RightsTable(tables, in_order(rules, retained, tables, problems), rules.rights.restriction == "enforced")


def _listed(relation: Relation, entry: Table) -> tuple[tuple[Column, tuple[str, ...]], ...]:
    found = [column for column in relation.columns if column.number > 0 and column.name in entry.columns]
    return tuple((column, tuple(attributes_of(entry.columns[column.name]))) for column in found)


def _key_columns(snapshot: Snapshot) -> frozenset[tuple[int, int]]:
    """(relation, number) of each column that a primary or foreign key is made of, on either side."""
    found: set[tuple[int, int]] = set()
    for relation in snapshot.relations.values():
        found |= {(relation.oid, c.number) for c in relation.columns if c.name in relation.primary_key}
        found |= {
            use for part in relation.parts if part.catalog == "pg_constraint" and part.kind == "f" for use in part.uses
        }
    return frozenset(found)


def _erased(
    rules: Rules,
    snapshot: Snapshot,
    table: ErasedTable,
    relation: Relation,
    entry: Table,
    keys: frozenset[tuple[int, int]],
    known: frozenset[Key],
    problems: list[Problem],
) -> ErasedTable:
    rule = entry.erase
    personal = any(attributes for _, attributes in table.columns)
    if rule is None:
        return _without_rule(snapshot, table, relation, personal, known)
    erase = Erase(action=rule) if isinstance(rule, str) else rule
    kept = tuple(_kept(rules, table, erase, snapshot, problems))
    if erase.action is None:
        return replace(table, action="keep", kept=kept)
    wrong = list(_wrong_kind(table, relation, erase.action))
    replacements: list[Replacement] = []
    stays: list[str] = []
    if erase.action == "anonymise" and not wrong:
        wrong += _unlisted(snapshot, relation, table)
        for column, attributes in table.columns:
            mask = (erase.masks or {}).get(column.name)
            if mask == KEEP:
                stays.append(column.name)
            elif mask is not None:
                chosen = mask_of(rules, mask)
                why = check_mask(chosen, column) or _null_refused(chosen, column)
                if why is not None:
                    problems.append(rules.problem(("tables", table.text, "erase", "masks", column.name), why))
                replacements.append(Replacement(column, chosen))
            elif attributes and not column.generated:
                made = _replacement(table, relation, column, keys)
                if isinstance(made, str):
                    wrong.append(made)
                else:
                    replacements.append(made)
    return replace(
        table, action=erase.action, kept=kept, replacements=tuple(replacements), wrong=tuple(wrong), stays=tuple(stays)
    )


def _without_rule(
    snapshot: Snapshot, table: ErasedTable, relation: Relation, personal: bool, known: frozenset[Key]
) -> ErasedTable:
    if relation.kind == "v":
        below = [snapshot.by_oid[oid] for oid in relation.reads if oid in snapshot.by_oid]
        missing = [join_dotted(*r.key) for r in below if r.kind in "rpfm" and r.key not in known and not _system(r)]
        wrong = (f"it reads {', '.join(missing)}, which the rules do not list: list it with columns and `erase`",)
        return replace(table, wrong=wrong if missing and personal else ())
    if table.subject is None and not personal:
        return table
    why = "its rules have no `erase`: write delete, anonymise, or keep with a reason"
    if table.subject is None:
        why = "it has attributes and no `subject`: `erase: {keep: [{reason: ...}]}` says that no customer is in it"
    return replace(table, wrong=(why,))


def _system(relation: Relation) -> bool:
    return relation.schema in ("pg_catalog", "information_schema", "consentry")


def _wrong_kind(table: ErasedTable, relation: Relation, action: str) -> Iterator[str]:
    if relation.kind == "v":
        yield "it is a view: write `erase` at the tables that it reads"
    elif relation.kind == "f":
        yield "it is a foreign table: erase the customer where the rows are, and write `keep` with that reason here"
    elif (relation.kind == "m") != (action == "refresh"):
        kind = "is a materialised view: write `erase: refresh`"
        yield f"it {kind if relation.kind == 'm' else 'is no materialised view: refresh says nothing of it'}"


def _unlisted(snapshot: Snapshot, relation: Relation, table: ErasedTable) -> Iterator[str]:
    """Columns of it and of its children that nobody says anything about would stay in an anonymised row."""
    listed = {column.name for column, _ in table.columns}
    children = [r for r in snapshot.relations.values() if relation.oid in r.parents]
    for one in (relation, *children):
        missing = [c.name for c in one.columns if c.number > 0 and c.name not in listed]
        if missing:
            yield f"{join_dotted(*one.key)} has columns that are not listed, and would stay: {', '.join(missing)}"


def _null_refused(mask: Mask, column: Column) -> str | None:
    return f'mask null: column "{column.name}" is NOT NULL' if mask.kind == "null" and column.not_null else None


def _replacement(
    table: ErasedTable, relation: Relation, column: Column, keys: frozenset[tuple[int, int]]
) -> Replacement | str:
    """What stands in the column's place by itself; or why nothing can."""
    name = f"column {column.name}"
    if (relation.oid, column.number) in keys or column.name in _subject_columns(table):
        return f"{name} is a key, and an anonymised row has it still: write `masks: {{{column.name}: keep}}`, or delete"
    unique = any(column.name in columns for columns in relation.unique_keys)
    if not column.not_null:
        return Replacement(column, _NULL)
    if unique:
        short = column.base_type in ("varchar", "bpchar") and _length(column) < _UNIQUE_LENGTH
        if (column.base_type in TEXT and not short) or column.base_type == "uuid":
            return Replacement(column, _NULL, unique=True)
        return f"{name} is unique and not NULL: write a mask for it in `masks`"
    redact = Mask("redact")
    if is_domain(column) or check_mask(redact, column) is not None:
        return f"{name} ({column.type_name}) is not NULL and has no empty value: write a mask for it in `masks`"
    return Replacement(column, redact)


def _length(column: Column) -> int:
    digits = column.type_name.partition("(")[2].rstrip(")")
    return int(digits) if digits.isdecimal() else 10**6


def _subject_columns(table: ErasedTable) -> frozenset[str]:
    if table.subject is None:
        return frozenset()
    return frozenset({table.subject.steps[0].from_column if table.subject.steps else table.subject.column})


def _kept(
    rules: Rules, table: ErasedTable, erase: Erase, snapshot: Snapshot, problems: list[Problem]
) -> Iterator[Kept]:
    for number, kept in enumerate(erase.keep or ()):
        at: Path = ("tables", table.text, "erase", "keep", number)
        by = _time(rules, (*at, "by"), table, kept.by, snapshot, problems) if kept.by is not None else None
        if kept.by is not None and by is None:
            continue
        span = None if kept.younger_than is None else period(kept.younger_than)
        yield Kept(kept.reason, row_predicate(kept.where) if kept.where else None, by, span, kept.secret)


def _time(
    rules: Rules, path: Path, table: ErasedTable, text: str, snapshot: Snapshot, problems: list[Problem]
) -> tuple[str, str, str] | None:
    """The column whose time counts: of the table, or (schema.table.column) of one on the way to its subject."""
    place = (*table.key, text)
    if "." in text:
        try:
            place = split_column(text)
        except ValueError as error:
            problems.append(rules.problem(path, f"by: {error}"))
            return None
    steps = table.subject.steps if table.subject else ()
    on_the_way = {table.key, *((step.schema, step.table) for step in steps)}
    if place[:2] not in on_the_way:
        ways = ", ".join(sorted(join_dotted(*key) for key in on_the_way))
        problems.append(rules.problem(path, f"by: {text} is not on the way to the customer: {ways}"))
        return None
    relation = snapshot.relations[place[:2]]
    column = relation.column(place[2])
    if column is None:
        hint = nearest(place[2], [c.name for c in relation.columns])
        problems.append(rules.problem(path, f'by: column "{place[2]}" is not in {join_dotted(*place[:2])}{hint}'))
        return None
    if column.base_type not in ("date", "timestamp", "timestamptz"):
        problems.append(rules.problem(path, f"by: {text} is of type {column.type_name}, not a date or a time"))
        return None
    return place


def _retained(
    rules: Rules,
    snapshot: Snapshot,
    name: str,
    kept: Retention,
    tables: Mapping[Key, ErasedTable],
    keys: frozenset[tuple[int, int]],
    problems: list[Problem],
) -> Iterator[RetainedTable]:
    path: Path = ("retention", name, "by")
    span = period(kept.period)
    if "." in name:
        table = tables.get(split_relation(name))
        if table is None:
            problems.append(rules.problem(("retention", name), f"{name} is no relation with rows of its own", key=True))
            return
        by = _time(rules, path, table, kept.by, snapshot, problems)
        if by is not None:
            wrong = (
                () if table.action in ("delete", "anonymise") else ("its `erase` says neither delete nor anonymise",)
            )
            yield RetainedTable(table.key, name, by, span, wrong=(*table.wrong, *wrong))
        return
    found = False
    for table in tables.values():
        columns = [c for c, attributes in table.columns if name in attributes and not c.generated]
        relation = snapshot.relations[table.key]
        if not columns or relation.kind not in "rp":
            continue
        found = True
        by = _time(rules, path, table, kept.by, snapshot, problems)
        if by is None:
            continue
        given = {one.column.name: one for one in table.replacements}
        made = [given.get(c.name) or _replacement(table, relation, c, keys) for c in columns]
        yield RetainedTable(
            table.key,
            name,
            by,
            span,
            name,
            tuple(one for one in made if isinstance(one, Replacement)),
            tuple(one for one in made if isinstance(one, str)),
        )
    told = [source.lists[name].order_by for source in rules.sources.values() if name in source.lists]
    times = [by for by in told if by is not None]  # of what sources say; each list's own is asked
    if not found and not times:
        message = f"no table has attribute {name}, nor has a source a list of it with `order_by`"
        problems.append(rules.problem(("retention", name), message, key=True))
    elif not found and kept.by not in times:
        hint = nearest(kept.by, times) or f": {', '.join(times)}"
        problems.append(rules.problem(path, f'by: no list of {name} is ordered by "{kept.by}"{hint}'))
