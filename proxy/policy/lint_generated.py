"""Warnings about generated columns that apps see, of which the expression reads what they do not see."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from proxy.catalog.model import Relation, Snapshot
from proxy.policy.names import join_dotted
from proxy.policy.table import CompiledRules, GovernedColumn, GovernedTable

_Finding = tuple[tuple[str, str], str, tuple[str, ...]]  # relation, its generated column, what is hidden of its sources


def lint_generated(compiled: CompiledRules, snapshot: Snapshot) -> Iterator[str]:
    """One for each generated column and what it tells; partitions and children only where they differ."""
    apps: dict[_Finding, list[str]] = defaultdict(list)
    for app in compiled.apps.values():
        for table in app.tables.values():
            for column, sources in _generated(snapshot.relations[table.key]).items():
                hidden = _hidden(table, column, sources)
                if hidden:
                    apps[table.key, column, hidden].append(app.name)
    for (key, name, hidden), seen_by in sorted(apps.items()):
        parents = [snapshot.by_oid[oid].key for oid in snapshot.relations[key].parents if oid in snapshot.by_oid]
        if all(apps.get((parent, name, hidden)) != seen_by for parent in parents):
            yield (
                f"column {name} of {join_dotted(*key)} is generated from {', '.join(hidden)}, and is shown to "
                f"{', '.join(sorted(seen_by))} without it: is nothing personal left in it?"
            )


def _generated(relation: Relation) -> dict[str, tuple[str, ...]]:
    """The generated columns, and what each is made from: no generated column is made from another."""
    found = {}
    for part in relation.parts:
        if part.catalog == "pg_attrdef":
            numbers = {number for oid, number in part.uses if oid == relation.oid}
            used = [column for column in relation.columns if column.number in numbers]
            for made in (column for column in used if column.generated):
                found[made.name] = tuple(column.name for column in used if column is not made)
    return found


def _hidden(table: GovernedTable, name: str, sources: tuple[str, ...]) -> tuple[str, ...]:
    """The sources of column `name` of which it tells the app more than the app has of them."""
    made = table.column(name)
    if made is None or not made.treatment.visible or all(part.treatment.action != "show" for part in made.parts):
        return ()
    columns = [column for column in map(table.column, sources) if column is not None]
    return tuple(column.name for column in columns if not column.treatment.plain and not _alike(made, column))


def _alike(made: GovernedColumn, source: GovernedColumn) -> bool:
    """Whether both are shown by the same consent: then neither is shown where the other is not."""
    return (
        made.document is None
        and source.document is None
        and source.treatment.action == "show"
        and (made.attribute, made.treatment.consent) == (source.attribute, source.treatment.consent)
    )
