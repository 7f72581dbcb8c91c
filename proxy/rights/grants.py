"""What Consentry's own login needs to erase customers, as GRANT takes it."""

from __future__ import annotations

from collections.abc import Iterator

from proxy.policy.expressions import named_relations
from proxy.policy.names import quote_identifier, quote_relation
from proxy.policy.table import Subject
from proxy.rights.plan import Plan, Step

MAINTAIN_SINCE = 170000  # server_version_num from which REFRESH can be granted


def rights(plan: Plan, server_version: int) -> tuple[str, ...]:
    """For each table of the plan, and for those that refer to one; a role must exist for them to be granted."""
    found: dict[str, None] = {}
    for step in plan.steps:
        found.update(dict.fromkeys(_of_step(step)))
    for obstacle in plan.obstacles:
        found[f"SELECT ON {quote_relation(obstacle.key.relation)}"] = None
    for key in plan.refreshed if server_version >= MAINTAIN_SINCE else ():
        found[f"MAINTAIN ON {quote_relation(key)}"] = None
    return tuple(found)


def _of_step(step: Step) -> Iterator[str]:
    table = step.table
    yield f"SELECT ON {step.relation}"
    for way in table.subject.steps if table.subject else ():
        yield f"SELECT ON {quote_relation((way.schema, way.table))}"
    for schema, name in sorted({key for one in table.kept if one.where for key in named_relations(one.where)}):
        yield f"SELECT ON {quote_relation((schema, name))}"
    if table.action == "keep":
        return
    locked = _key(table.subject)
    written = [one.column.name for one in table.replacements]
    yield f"UPDATE ({', '.join(map(quote_identifier, dict.fromkeys((locked, *written))))}) ON {step.relation}"
    if table.action == "delete":
        yield f"DELETE ON {step.relation}"


def _key(subject: Subject | None) -> str:
    """The column of which UPDATE is granted so that rows can be locked."""
    assert subject is not None  # without one there is no step
    return subject.steps[0].from_column if subject.steps else subject.column
