"""Plans that the two databases of twins share, so that each statement of a long campaign is planned once.

A plan is made of the rules, the catalog, the text, the search path and the types of parameters, and of nothing else; the
catalogs of twins are compared here before anything is shared. One plan in `CHECKED` is made for both all the same, and
has to be the same one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Final

from proxy.catalog.model import SearchPath, Snapshot
from proxy.policy.table import AppPolicy, CompiledRules
from proxy.rewrite.plan import Planner
from proxy.rewrite.result import Plan

CHECKED: Final = 20
_KEPT: Final = 100  # plans that the other twin has not asked for yet

# What the catalogs of twins have not in common: their databases' names, and the TOAST table of a materialized view.
_OWN: Final = re.compile(rb"canaries|pg_|information_schema", re.IGNORECASE)

_Key = tuple[bytes, SearchPath, tuple[int, ...], str]


@dataclass
class _Shared:
    """What the planners of one app's databases have in common."""

    catalog: Snapshot
    plans: dict[_Key, tuple[TwinPlanner, Plan]] = field(default_factory=dict)
    taken: Iterator[int] = field(default_factory=count)


class TwinPlanner:
    """Plans for one app and one database, or takes the plan that its twin has made."""

    def __init__(self, planner: Planner, shared: _Shared) -> None:
        self._planner = planner
        self._shared = shared

    @property
    def hidden_constraints(self) -> Mapping[tuple[str, str, str], bool]:
        return self._planner.hidden_constraints

    def plan(
        self, query: bytes, path: SearchPath, parameter_types: tuple[int, ...] = (), encoding: str = "utf-8"
    ) -> Plan:
        """See Planner. Raises AssertionError where the twins' plans of one text differ."""
        if _OWN.search(query):
            return self._planner.plan(query, path, parameter_types, encoding)
        plans, key = self._shared.plans, (query, path, parameter_types, encoding)
        maker, plan = plans.pop(key, (self, None))
        if plan is not None and maker is not self:
            if next(self._shared.taken) % CHECKED == 0:
                own = self._planner.plan(query, path, parameter_types, encoding)
                assert _sent(own) == _sent(plan), f"twins have two plans of {query!r}"
            return plan
        plan = self._planner.plan(query, path, parameter_types, encoding)
        plans[key] = self, plan
        if len(plans) > _KEPT:
            del plans[next(iter(plans))]
        return plan


def _in_common(snapshot: Snapshot) -> Snapshot:
    relations = {name: relation for name, relation in snapshot.relations.items() if relation.schema != "pg_toast"}
    return replace(snapshot, database="", version="", relations=relations, by_oid={})


def _sent(plan: Plan) -> tuple[object, ...]:
    return plan.text, plan.statements, plan.splices, plan.scrub, str(plan.refusal)


class TwinPlanners:
    """Makes the planners of a gateway's databases (a `PlannerFactory`)."""

    def __init__(self) -> None:
        self._shared: dict[str, _Shared] = {}

    def __call__(self, app: AppPolicy, rules: CompiledRules, snapshot: Snapshot) -> TwinPlanner:
        catalog = _in_common(snapshot)
        shared = self._shared.get(app.name)
        if shared is None or shared.catalog != catalog:  # of other twins, or after attacks that change the catalog
            shared = self._shared[app.name] = _Shared(catalog)
        return TwinPlanner(Planner(app, rules, snapshot), shared)
