"""Which policy decides: for each (app, column) the first that matches; for each (app, table) all row policies."""

from __future__ import annotations

from proxy.policy.model import App, GroupSelector, KindSelector, Policy
from proxy.policy.names import split_column, split_relation
from proxy.policy.rules import Rules

ColumnKey = tuple[str, str, str]


class Decisions:
    """The policies of one set of rules, ready to be asked. Policies are named by their number."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._apps = [{name for name, app in rules.apps.items() if _takes_app(p, name, app)} for p in rules.policies]
        self._attributes = [{name for name in rules.attributes if _takes(rules, p, name)} for p in rules.policies]
        self._columns = [{split_column(c) for c in p.columns} if p.columns else None for p in rules.policies]
        self._tables = [{split_relation(t) for t in p.tables or ()} for p in rules.policies]
        self._narrowed: dict[ColumnKey, frozenset[int]] = {}
        for number, columns in enumerate(self._columns):
            for column in columns or ():
                self._narrowed[column] = self._narrowed.get(column, frozenset()) | {number}
        self._known: dict[tuple[str, str, frozenset[int]], tuple[int, ...]] = {}

    def matching(self, app: str, attribute: str, column: ColumnKey) -> tuple[int, ...]:
        """All column policies that match, in order: the first one decides."""
        named = self._narrowed.get(column, frozenset())
        question = (app, attribute, named)
        if question not in self._known:
            self._known[question] = tuple(
                number
                for number, policy in enumerate(self._rules.policies)
                if policy.rows is None
                and app in self._apps[number]
                and attribute in self._attributes[number]
                and (self._columns[number] is None or number in named)
            )
        return self._known[question]

    def decide(self, app: str, attribute: str | None, column: ColumnKey) -> int | None:
        """The number of the policy that decides; None where the defaults do, or what is asked about is open."""
        return None if attribute is None else next(iter(self.matching(app, attribute, column)), None)

    def rows(self, app: str, table: tuple[str, str]) -> list[int]:
        """The numbers of the row policies of one app and table."""
        every = enumerate(self._rules.policies)
        return [n for n, p in every if p.rows is not None and app in self._apps[n] and table in self._tables[n]]

    def policies_of(self, app: str) -> list[int]:
        """The numbers of all policies that can say something about the app."""
        return [number for number, apps in enumerate(self._apps) if app in apps]


def _takes_app(policy: Policy, name: str, app: App) -> bool:
    if app.trusted or name in (policy.except_apps or ()):
        return False
    if isinstance(policy.apps, KindSelector):
        return app.kind == policy.apps.kind
    return policy.apps == "all" or name in policy.apps


def _takes(rules: Rules, policy: Policy, attribute: str) -> bool:
    if attribute in (policy.except_attributes or ()):
        return False
    selected = policy.attributes
    if isinstance(selected, GroupSelector):
        return rules.attributes[attribute].group == selected.group
    return selected is None or selected == "all" or attribute in selected
