"""What an app may know of consent: `consentry.preferences`, a relation that each app has of its own decisions alone.

`consent setup` makes the view; here it becomes a governed relation like any other, so that all that holds of these
holds of it: its rows are those of the app, `app` is a column that does not exist.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from proxy.catalog.model import Snapshot
from proxy.policy.expressions import row_predicate
from proxy.policy.table import AppPolicy, GovernedColumn, GovernedTable, PolicyRef, RowPolicy, Subject, Treatment

OWN_SCHEMA: Final = "consentry"
PREFERENCES: Final = (OWN_SCHEMA, "preferences")
COLUMNS: Final = ("subject", "app", "attribute", "granted", "since", "expires")
_SHOWN: Final = frozenset(COLUMNS) - {"app"}


def with_preferences(app: AppPolicy, snapshot: Snapshot, place: tuple[str, int]) -> AppPolicy:
    """The app with the relation, where it asks consent and has the customers' keys as they are.

    `place`: file and line of the app in the rules.
    """
    relation = snapshot.relations.get(PREFERENCES)
    if app.trusted or relation is None or not app.asked or not _has_keys(app.tables):
        return app
    ref = PolicyRef("consentry.preferences", *place)
    shown, gone = Treatment("show", policy=ref, write="deny"), Treatment("drop", policy=ref)
    columns = tuple(
        GovernedColumn(column.name, None, shown if column.name in _SHOWN else gone)
        for column in relation.columns
        if column.number > 0
    )
    own = RowPolicy(ref, (), row_predicate("app = :app"))
    table = GovernedTable(*PREFERENCES, Subject("subject"), columns, (own,))
    return replace(app, tables={**app.tables, PREFERENCES: table})


def _has_keys(tables: Mapping[tuple[str, str], GovernedTable]) -> bool:
    """Whether the app sees the columns that name customers, and sees none of them changed or by consent only."""
    keys = [t.column(t.subject.column) for t in tables.values() if t.subject is not None and not t.subject.steps]
    seen = [key.treatment for key in keys if key is not None and key.treatment.visible]
    return bool(seen) and all(treatment.plain for treatment in seen)
