"""Which consents of an app the ledger keeps by spans of keys, too, and in which columns (proxy/consent/spans.py)."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from proxy.catalog.model import Snapshot
from proxy.policy.preferences import OWN_SCHEMA
from proxy.policy.table import AppPolicy

PREFIX: Final = "spans_"  # of a table's name, with the app's behind it
MOST: Final = 100  # so that a row of spans always fits into a page: no decision may fail on it


def columns_of(attribute: str) -> tuple[str, str, str]:
    """The columns of an attribute: who granted it for good, who withdrew it, until when it is granted."""
    return (f"granted_{attribute}", f"withdrawn_{attribute}", f"expiring_{attribute}")


def kept_attributes(app: AppPolicy) -> tuple[str, ...]:
    """The attributes of which the app asks the ledger's consent."""
    return () if app.trusted or app.store is not None else tuple(sorted(app.asked))


def with_spans(app: AppPolicy, snapshot: Snapshot) -> AppPolicy:
    """The app with the attributes that its table of spans has."""
    relation = snapshot.relations.get((OWN_SCHEMA, PREFIX + app.name))
    if relation is None or app.store is not None:
        return app
    there = {column.name for column in relation.columns}
    first, _, _ = columns_of("")
    names = (name.removeprefix(first) for name in there if name.startswith(first))
    return replace(app, spans=frozenset(name for name in names if there.issuperset(columns_of(name))))
