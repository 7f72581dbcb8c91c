"""Text in, plan out: the walk names -> place -> splice -> prove for one app under one set of rules."""

from __future__ import annotations

from proxy.catalog.model import SearchPath, Snapshot
from proxy.policy.table import AppPolicy, CompiledRules
from proxy.rewrite.result import Plan


class Planner:
    """Plans texts for one app; immutable once made, shared by all sessions of the app in a worker."""

    def __init__(self, app: AppPolicy, rules: CompiledRules, snapshot: Snapshot) -> None:
        self.app = app
        self.rules = rules
        self.snapshot = snapshot

    def plan(self, query: bytes, path: SearchPath, parameter_types: tuple[int, ...] = (), encoding: str = "utf-8") -> Plan:
        """`query` without its zero byte, as the app sent it; never raises for anything the app can send."""
        raise NotImplementedError
