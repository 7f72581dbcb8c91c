"""Warnings about functions of the database's own that run unseen and read what the rules govern."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from proxy.catalog.model import Snapshot, UnnamedCall
from proxy.policy.names import join_dotted
from proxy.policy.table import CompiledRules

_SYSTEM = frozenset({"pg_catalog", "information_schema", "pg_toast", "consentry"})


def lint_functions(compiled: CompiledRules, snapshot: Snapshot, calls: Iterable[UnnamedCall]) -> Iterator[str]:
    """What runs such a function: triggers, defaults, casts and the like on what apps may use; and functions that the
    rules let apps call. They run with their own rights, and what they give is not governed.
    """
    apps = [app for app in compiled.apps.values() if not app.trusted]
    listed = {key for app in apps for key in (*app.tables, *app.open_tables)}
    for call in calls:
        relation = snapshot.by_oid.get(call.relation)
        if relation is not None and relation.key not in listed:
            continue
        read = _read(call.function, snapshot, compiled)
        if read is not None:
            where = f" of {join_dotted(*relation.key)}" if relation is not None else ""
            yield (
                f"{call.kind} {call.what}{where} runs function {join_dotted(*call.function)}, which {read}: "
                "what it reads is not governed"
            )
    for app in apps:
        for function in sorted(app.functions):
            read = _read(function, snapshot, compiled)
            if read is not None:
                yield (
                    f"app {app.name} may call function {join_dotted(*function)}, which {read}: what it gives is not "
                    "governed"
                )


def _read(function: tuple[str, str], snapshot: Snapshot, compiled: CompiledRules) -> str | None:
    """What a function reads that the rules govern or do not list, in words; None where it reads nothing of it."""
    reads = snapshot.function_reads.get(function, ())
    if reads is None:
        return "may read anything (it makes the SQL that it runs, or is not in SQL or PL/pgSQL)"
    governed = {key for app in compiled.apps.values() if not app.trusted for key in app.tables}
    names = set()
    for oid in reads:
        relation = snapshot.by_oid.get(oid)
        if relation is None or relation.schema in _SYSTEM:
            continue
        through = [snapshot.by_oid[read].key for read in relation.reads if read in snapshot.by_oid]
        if not governed.isdisjoint((relation.key, *through)):
            names.add(join_dotted(*relation.key))
    return f"reads {', '.join(sorted(names))}" if names else None
