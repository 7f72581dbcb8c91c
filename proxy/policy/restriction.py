"""Customers whose data is restricted (GDPR 18): apps without a duty by law have none of their rows, until it is lifted.

Restricted customers stand in `consentry.restrictions`; what hides their rows is a row policy like any other, so that
all that holds of these holds of it: forms, proof, writes.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from proxy.catalog.model import Snapshot
from proxy.policy.expressions import row_predicate
from proxy.policy.names import quote_identifier
from proxy.policy.table import AppPolicy, GovernedTable, PolicyRef, RowPolicy, Subject

RESTRICTIONS: Final = ("consentry", "restrictions")
# Bases on which data is used whatever the customer says (GDPR 6(1) c, d and e; 18(2)).
DUTIES: Final = frozenset({"legal_obligation", "vital_interests", "public_task"})
_RESTRICTED: Final = "consentry_restricted"  # aliases that no condition of the rules, and no table, is likely to have
_STEP: Final = "consentry_step"


def with_restriction(app: AppPolicy, snapshot: Snapshot, place: tuple[str, int]) -> AppPolicy:
    """The app with that row policy on each table of customers' of which it has nothing by a duty.

    `place`: file and line of `rights` in the rules. Before `consent setup` made the table nobody can be restricted.
    """
    if app.trusted or RESTRICTIONS not in snapshot.relations:
        return app
    ref = PolicyRef("rights.restriction", *place)
    tables = {key: _restricted(table, ref) for key, table in app.tables.items()}
    return replace(app, tables=tables, policies=(*app.policies, ref))


def _restricted(table: GovernedTable, ref: PolicyRef) -> GovernedTable:
    if table.subject is None or _by_duty(table):
        return table
    return replace(table, rows=(*table.rows, restricting(ref, table.key, table.subject)))


def restricting(ref: PolicyRef, key: tuple[str, str], subject: Subject) -> RowPolicy:
    """The row policy that hides restricted customers' rows of a relation."""
    return RowPolicy(ref, (), row_predicate(_condition(key, subject)), restricts=True)


def _by_duty(table: GovernedTable) -> bool:
    parts = (part for column in table.columns if column.treatment.visible for part in column.parts)
    return any(part.treatment.basis in DUTIES for part in parts)


def _condition(key: tuple[str, str], subject: Subject) -> str:
    previous = f"{quote_identifier(key[0])}.{quote_identifier(key[1])}"
    sources, conditions = [], []
    for number, step in enumerate(subject.steps, 1):
        here = f"{_STEP}{number}"
        sources.append(f"{quote_identifier(step.schema)}.{quote_identifier(step.table)} AS {here}")
        conditions.append(
            f"{here}.{quote_identifier(step.to_column)} = {previous}.{quote_identifier(step.from_column)}"
        )
        previous = here
    sources.append(f"consentry.restrictions AS {_RESTRICTED}")
    conditions.append(f"{_RESTRICTED}.subject = {previous}.{quote_identifier(subject.column)}")
    return f"NOT EXISTS (SELECT 1 FROM {', '.join(sources)} WHERE {' AND '.join(conditions)})"
