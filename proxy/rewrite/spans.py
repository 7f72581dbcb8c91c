"""Consent of customers whose keys are whole numbers, joined by spans of 128 keys: one row where there were 128."""

from __future__ import annotations

from proxy.policy.names import quote_identifier
from proxy.policy.spans import PREFIX, columns_of
from proxy.policy.table import AppPolicy, GovernedTable


def serve(app: AppPolicy, table: GovernedTable) -> bool:
    """Whether the ledger has spans of all consents that decide what the app sees of the table."""
    return app.store is None and all(attribute in app.spans for attribute, _ in table.asks)


def join(app: str, subject: str) -> str:
    """The LEFT JOIN on the app's spans, as _c; `subject`: the key's expression."""
    match = f'(_c."span" OPERATOR(pg_catalog.=) ({subject} OPERATOR(pg_catalog.>>) 7))'
    return f'LEFT JOIN "consentry".{quote_identifier(PREFIX + app)} AS _c ON {match}'


def granted(attribute: str, subject: str) -> str:
    """Whether the attribute is granted now."""
    for_good, _, expiring = columns_of(attribute)
    until = f"(_c.{quote_identifier(expiring)})[{_place(subject)} OPERATOR(pg_catalog.+) 1]"
    later = f"({until} OPERATOR(pg_catalog.>) pg_catalog.statement_timestamp())"
    return f"({_has(for_good, subject)} OR {later})"


def withdrawn(attribute: str, subject: str) -> str:
    """Whether it is withdrawn."""
    return _has(columns_of(attribute)[1], subject)


def _has(column: str, subject: str) -> str:
    bit = f"pg_catalog.get_bit(_c.{quote_identifier(column)}, {_place(subject)})"
    return f"({bit} OPERATOR(pg_catalog.=) 1)"


def _place(subject: str) -> str:
    """The key's place in its span."""
    return f"({subject} OPERATOR(pg_catalog.&) 127)::pg_catalog.int4"
