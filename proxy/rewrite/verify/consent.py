"""How a governed form asks consent, as docs/reference/governed-form.md says it: of the ledger, or of a mapped table."""

from __future__ import annotations

from typing import Final

from proxy.errors import feature_not_supported
from proxy.policy.table import AppPolicy, GovernedTable

GRANTED: Final = "consentry_granted"  # stands in a mapped store's condition for what the rules call granted


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


class Asking:
    """How consent is asked for the rows of one table, read through `alias`."""

    def __init__(self, app: AppPolicy, table: GovernedTable, alias: str) -> None:
        self.table = table
        self.alias = alias
        self._store = app.store
        self._spans = f'"consentry".{quoted("spans_" + app.name)} AS _c'
        self._by_span = app.store is None and app.spans.issuperset(attribute for attribute, _ in table.asks)
        self._app_match = f'(_c."app" OPERATOR(pg_catalog.=) {literal(app.name)})'
        self._state = f'"consentry".{quoted("state_" + app.name)} AS _c'
        if self._store is not None:
            self._app_match = _equal(self._store.app, literal(app.consent_id))
            self._state = f"{quoted(self._store.schema)}.{quoted(self._store.table)} AS _c"

    def _steps(self) -> list[tuple[str, str]]:
        """(source, condition) of each step."""
        assert self.table.subject is not None
        previous, steps = self.alias, []
        for number, step in enumerate(self.table.subject.steps, 1):
            here = f"_s{number}"
            source = f"{quoted(step.schema)}.{quoted(step.table)} AS {here}"
            left, right = f"{here}.{quoted(step.to_column)}", f"{previous}.{quoted(step.from_column)}"
            steps.append((source, f"({left} OPERATOR(pg_catalog.=) {right})"))
            previous = here
        return steps

    def _key(self) -> str:
        subject = self.table.subject
        if subject is None:
            raise feature_not_supported(f'consent is asked for "{self.table.name}", which has no subject')
        holder = f"_s{len(subject.steps)}" if subject.steps else self.alias
        return f"{holder}.{quoted(subject.column)}"

    def _match(self) -> str:
        return f"{self._app_match} AND {_equal('subject', self._key())}"

    def joins(self) -> str:
        self._key()
        steps = "".join(f" LEFT JOIN {source} ON {condition}" for source, condition in self._steps())
        if self._by_span:
            number = f"({self._key()} OPERATOR(pg_catalog.>>) 7)"
            return f"{steps} LEFT JOIN {self._spans} ON {_equal('span', number)}"
        return f"{steps} LEFT JOIN {self._state} ON ({self._match()})"

    def consent(self, attribute: str, mode: str, exists: bool, *, output: bool) -> str:
        """The condition that the attribute's consent is in force. In that of a mapped store GRANTED stands for its own
        condition, and the shape is always that of EXISTS. `output`: it decides on a column's value, not on the row.
        """
        end = " OFFSET 0" if output else ""
        if self._store is not None:
            match = f"{_equal(self._store.subject, self._key())} AND {self._app_match}"
            if self._store.attribute is not None:
                called = dict(self._store.attributes).get(attribute, attribute)
                match += f" AND {_equal(self._store.attribute, literal(called))}"
            return self._by_exists(mode, match, GRANTED, f"({GRANTED} IS NOT TRUE)", end)
        key, name = self._key(), f"{literal(attribute)}::pg_catalog.text OPERATOR(pg_catalog.=) ANY"
        granted = (
            f'(({name} (_c."granted")) OR ((_c."expiring" OPERATOR(pg_catalog.->>) {literal(attribute)})'
            "::pg_catalog.timestamptz OPERATOR(pg_catalog.>) pg_catalog.statement_timestamp()))"
        )
        withdrawn = f'({name} (_c."withdrawn"))'
        if not exists and self._by_span:
            granted, withdrawn = self._of_span(attribute)
        if not exists:
            return granted if mode == "opt_in" else f"(({key} IS NOT NULL) AND ({withdrawn} IS NOT TRUE))"
        return self._by_exists(mode, self._match(), granted, withdrawn, end)

    def _of_span(self, attribute: str) -> tuple[str, str]:
        """(granted, withdrawn) as the span that is joined says it of the row's key."""
        place = f"({self._key()} OPERATOR(pg_catalog.&) 127)::pg_catalog.int4"

        def bit(kind: str) -> str:
            return f"(pg_catalog.get_bit(_c.{quoted(f'{kind}_{attribute}')}, {place}) OPERATOR(pg_catalog.=) 1)"

        until = f"(_c.{quoted(f'expiring_{attribute}')})[{place} OPERATOR(pg_catalog.+) 1]"
        later = f"({until} OPERATOR(pg_catalog.>) pg_catalog.statement_timestamp())"
        return f"({bit('granted')} OR {later})", bit("withdrawn")

    def _by_exists(self, mode: str, match: str, granted: str, refused: str, end: str) -> str:
        key, steps = self._key(), self._steps()
        sources = ", ".join([self._state, *(source for source, _ in steps)])
        if mode == "opt_in":
            reached = " AND ".join([match, *(condition for _, condition in steps)])
            return f"(EXISTS (SELECT 1 FROM {sources} WHERE {reached} AND {granted}{end}))"
        none = f"SELECT 1 FROM {self._state} WHERE {match} AND {refused}"
        if not steps:
            return f"(({key} IS NOT NULL) AND (NOT EXISTS ({none}{end})))"
        sources = ", ".join(source for source, _ in steps)
        reached = " AND ".join(condition for _, condition in steps)
        reached += f" AND ({key} IS NOT NULL) AND (NOT EXISTS ({none}))"
        return f"(EXISTS (SELECT 1 FROM {sources} WHERE {reached}{end}))"


def _equal(column: str, value: str) -> str:
    return f"(_c.{quoted(column)} OPERATOR(pg_catalog.=) {value})"
