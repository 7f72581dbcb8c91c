"""What is not wrong, but probably not meant: warnings with file and line."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator

from proxy.catalog.model import Relation, Snapshot
from proxy.policy.decide import Decisions
from proxy.policy.expressions import called_functions, row_predicate
from proxy.policy.mapped_sources import kept
from proxy.policy.names import join_dotted
from proxy.policy.profile import DATA
from proxy.policy.references import attributes_of, governed_tables
from proxy.policy.rules import Rules
from proxy.yaml_lines import Problem

_SYSTEM = frozenset({"pg_catalog", "information_schema", "pg_toast", "consentry"})
_LISTED_AT_MOST = 20


def lint_rules(rules: Rules, decisions: Decisions) -> Iterator[Problem]:
    """Warnings that need no database."""
    yield from _policies_without_effect(rules, decisions)
    used = {
        name
        for _, table in governed_tables(rules).values()
        for r in table.columns.values()
        for name in attributes_of(r)
    } | kept(rules).keys()
    for name in rules.attributes:
        if name not in used:
            yield rules.problem(("attributes", name), f'no column has attribute "{name}"', key=True)
    for number, policy in enumerate(rules.policies):
        if policy.action == "show" and policy.consent is None and policy.basis is None:
            message = f'policy "{policy.name}" shows values without consent and does not say why: add `basis`'
            yield rules.problem(("policies", number, "name"), message)


def _policies_without_effect(rules: Rules, decisions: Decisions) -> Iterator[Problem]:
    reached: dict[int, set[int]] = defaultdict(set)  # policy -> the policies that decide where it matches
    asked = set()
    uses = [
        ((*key, column), attribute)
        for key, (_, table) in governed_tables(rules).items()
        for column, rule in table.columns.items()
        for attribute in attributes_of(rule)
    ]
    uses += [((*DATA, attribute), attribute) for attribute in kept(rules)]
    for column, attribute in uses:
        for app in rules.apps if attribute in rules.attributes else ():
            matching = decisions.matching(app, attribute, column)
            if matching in asked:
                continue
            asked.add(matching)
            for number in matching:
                reached[number].add(matching[0])
    for number, policy in enumerate(rules.policies):
        if policy.rows is not None:
            if not any(number in decisions.policies_of(app) for app in rules.apps):
                yield _never(rules, number, "no app is meant")
        elif number not in reached:
            yield _never(rules, number, "no app and column are meant")
        elif number not in reached[number]:
            first = sorted(reached[number])
            names = ", ".join(f'"{rules.policies[n].name}" ({":".join(map(str, _at(rules, n)))})' for n in first)
            yield _never(rules, number, f"earlier ones take everything: {names}")


def _at(rules: Rules, number: int) -> tuple[str, int]:
    return rules.where(("policies", number, "name"))


def _never(rules: Rules, number: int, why: str) -> Problem:
    name = rules.policies[number].name
    return rules.problem(("policies", number, "name"), f'policy "{name}" can never match: {why}')


def lint_catalog(
    rules: Rules, snapshot: Snapshot, governed: Collection[tuple[str, str]], opened: Collection[tuple[str, str]]
) -> Iterator[Problem]:
    """Warnings about the database: what it has and the rules do not know. `governed`, `opened`: children included."""
    for key, (text, table) in governed_tables(rules).items():
        relation = snapshot.relations.get(key)
        new = [c.name for c in relation.columns if c.number > 0 and c.name not in table.columns] if relation else []
        if new:
            what = rules.defaults.unlisted_columns
            message = f"{text} has columns that are not listed ({what}): {', '.join(new)}"
            yield rules.problem(("tables", text), message, key=True)
    oids = {snapshot.relations[key].oid: key for key in governed if key in snapshot.relations}
    unlisted = []
    for relation in snapshot.relations.values():
        if relation.kind not in "rpvmf" or relation.schema in _SYSTEM or relation.key in governed:
            continue
        read = [join_dotted(*oids[oid]) for oid in relation.reads if oid in oids]
        if relation.key in opened:
            if read:
                message = f"it is open and reads {', '.join(read)}, which is governed: is nothing personal left in it?"
                yield rules.problem(("tables", _spelling(rules, relation)), message, key=True)
        elif not (
            relation.kind in "vm" and (read or _reads_open(relation, snapshot, opened))
        ):  # governed by what it reads
            unlisted.append(join_dotted(*relation.key))
    yield from _by_path(rules, snapshot)
    if unlisted:
        shown = ", ".join(sorted(unlisted)[:_LISTED_AT_MOST])
        more = f" and {len(unlisted) - _LISTED_AT_MOST} more" if len(unlisted) > _LISTED_AT_MOST else ""
        what = rules.defaults.unlisted_tables
        yield rules.problem(("tables",), f"not listed, so {what} to every app: {shown}{more}", key=True)


def _by_path(rules: Rules, snapshot: Snapshot) -> Iterator[Problem]:
    """Functions in row policies that read what the session makes of a name: a temp table of the app's could decide."""
    for number, policy in enumerate(rules.policies):
        if policy.rows is None or policy.rows.where is None:
            continue
        for function in sorted(called_functions(row_predicate(policy.rows.where)) & snapshot.by_path):
            if snapshot.function_reads.get(function) != ():
                name = join_dotted(*function)
                message = (
                    f"where: function {name} finds relations by the search path of the app's session, temp tables "
                    f"first: give it BEGIN ATOMIC, or ALTER FUNCTION {name} SET search_path = {function[0]}, pg_temp"
                )
                yield rules.problem(("policies", number, "rows", "where"), message)


def _reads_open(relation: Relation, snapshot: Snapshot, opened: Collection[tuple[str, str]]) -> bool:
    """Whether it is a view of nothing but open relations, which every app may read."""
    reads = [snapshot.by_oid.get(oid) for oid in relation.reads] if relation.kind == "v" else []
    return bool(reads) and all(read is not None and (read.kind == "v" or read.key in opened) for read in reads)


def _spelling(rules: Rules, relation: Relation) -> str:
    text = join_dotted(*relation.key)
    return text if text in rules.tables else relation.name
