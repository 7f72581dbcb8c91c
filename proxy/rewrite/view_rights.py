"""What `check` and `explain` say of views that the rules do not list: what an app has, and what its logins cannot read.

Such a view is read by its definition, hence with the rights of the app's login and not with those of the view's owner.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from proxy.catalog.model import Snapshot
from proxy.policy.table import AppPolicy
from proxy.rewrite.scope import View

# $1: logins; $2, $3: pairs of a view and a relation that it reads (oids). Rows: who may read the one and not the other.
MISSING_RIGHTS = """
SELECT r.rolname::text AS login, p.view, p.relation
FROM pg_catalog.unnest($1::pg_catalog.text[]) AS l (name)
JOIN pg_catalog.pg_roles AS r ON r.rolname = l.name
CROSS JOIN ROWS FROM (pg_catalog.unnest($2::pg_catalog.oid[]), pg_catalog.unnest($3::pg_catalog.oid[]))
           AS p (view, relation)
WHERE pg_catalog.has_table_privilege(r.oid, p.view, 'SELECT')
  AND NOT pg_catalog.has_any_column_privilege(r.oid, p.relation, 'SELECT')
ORDER BY p.view, p.relation, r.rolname
"""


@dataclass(frozen=True, slots=True)
class ViewLine:
    """One view as one app has it. `without`: the columns that it does not have or must not touch."""

    view: str
    columns: tuple[str, ...]
    without: tuple[str, ...]
    refused: str | None


def explain_view(view: View) -> ViewLine:
    """A line of `consentry explain`."""
    shown = tuple(column.name for column in view.columns if column.action == "show")
    without = tuple(column.name for column in view.columns if column.action != "show")
    return ViewLine(f"{view.relation.schema}.{view.relation.name}", shown, without, view.refusal)


def pairs_read(views: Iterable[View], snapshot: Snapshot) -> tuple[list[int], list[int]]:
    """Views, and beside each a relation that its definition reads in the end: the arguments of MISSING_RIGHTS."""
    found = [
        (view.relation.oid, oid)
        for view in views
        if view.refusal is None
        for oid in view.relation.reads
        if oid in snapshot.by_oid and snapshot.by_oid[oid].kind != "v"
    ]
    return [view for view, _ in found], [relation for _, relation in found]


def missing(app: AppPolicy, rows: Iterable[tuple[str, int, int]], snapshot: Snapshot) -> Iterator[str]:
    """A warning for each row of MISSING_RIGHTS.

    `app`, `snapshot`: a planner's. Of the profile, which every login may name, none where the login may not even read
    the table that it begins with: then it is not meant to read it.
    """
    lacking = list(rows)
    for login, view_oid, relation_oid in lacking:
        view, relation = snapshot.by_oid[view_oid], snapshot.by_oid[relation_oid]
        if view.key in app.views and (login, view_oid, view.reads[0]) in lacking:
            continue
        listing = "list the view in the rules (its owner's rights count then), or "
        yield (
            f"login {login} of app {app.name} may read view {view.schema}.{view.name}, but not "
            f"{relation.schema}.{relation.name}, which it reads: "
            f"{'' if view.key in app.views else listing}grant the login SELECT"
        )


def refused(views: Mapping[str, Sequence[View]]) -> Iterator[str]:
    """A warning for each view and reason for which apps (the keys) do not have it."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for app, every in views.items():
        for view in every:
            if view.refusal is not None:
                name = f"{view.relation.schema}.{view.relation.name}"
                why = re.sub(rf"\bapp {re.escape(app)}\b", "the app", view.refusal, flags=re.IGNORECASE)
                reasons.setdefault((name, why), []).append(app)
    for (name, why), apps in sorted(reasons.items()):
        yield f"view {name} is refused to {', '.join(sorted(apps))}: {why[0].lower()}{why[1:]}"
