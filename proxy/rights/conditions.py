"""SQL that says which rows: a customer's, those that are past, those that are kept. Pure.

Every column is written schema.table.column, and no table has another name, so that the rules' own conditions mean what
they say. Operators are PostgreSQL's own, whatever the search path.
"""

from __future__ import annotations

from typing import Final

from proxy.policy.expressions import substitute
from proxy.policy.masks import mask_sql
from proxy.policy.names import quote_identifier, quote_relation
from proxy.policy.rights_table import Kept, Key, Replacement
from proxy.policy.subjects import KEY_TYPES
from proxy.policy.table import Subject
from proxy.rewrite.lex import quote_literal

SUBJECT: Final = "$1::pg_catalog.text"
_EQ: Final = "OPERATOR(pg_catalog.=)"
_MARK: Final = "erased-"  # what unique texts begin with in an anonymised row ...
_UUID_MARK: Final = "e7a5ed00"  # ... and UUIDs


def column(key: Key, name: str) -> str:
    """A column's name in SQL."""
    return f"{quote_relation(key)}.{quote_identifier(name)}"


def of_subject(key: Key, subject: Subject, family: str) -> str:
    """Rows of the customer whose key is $1, a text."""
    end = (subject.steps[-1].schema, subject.steps[-1].table) if subject.steps else key
    own = f"{column(end, subject.column)} {_EQ} {SUBJECT}::{KEY_TYPES[family]}"
    return reach(key, subject, end, own)


def subject_of(key: Key, subject: Subject) -> str:
    """The key of the customer whose row it is, as text."""
    end = (subject.steps[-1].schema, subject.steps[-1].table) if subject.steps else key
    value = f"{column(end, subject.column)}::pg_catalog.text"
    for number in range(len(subject.steps) - 1, -1, -1):
        step = subject.steps[number]
        here = key if number == 0 else (subject.steps[number - 1].schema, subject.steps[number - 1].table)
        there = (step.schema, step.table)
        match = f"{column(there, step.to_column)} {_EQ} {column(here, step.from_column)}"
        value = f"(SELECT {value} FROM {quote_relation(there)} WHERE {match})"
    return value


def reach(key: Key, subject: Subject | None, stop: Key, final: str) -> str:
    """Rows of `key` from which the subject's steps lead to a row of `stop` where `final` is true."""
    if key == stop or subject is None:
        return final
    chain = []
    here = key
    for step in subject.steps:
        chain.append((column(here, step.from_column), (step.schema, step.table), step.to_column))
        here = (step.schema, step.table)
        if here == stop:
            break
    text = final
    for left, table, to in reversed(chain):
        text = f"{left} {_EQ} ANY (SELECT {column(table, to)} FROM {quote_relation(table)} WHERE {text})"
    return text


def kept(key: Key, subject: Subject | None, rule: Kept) -> str:
    """Rows that stay for this reason; also those whose time is not known."""
    conditions = []
    if rule.by is not None:
        younger = f"({_age(rule.by)} OPERATOR(pg_catalog.>) {_before(rule.period or '')}) IS NOT FALSE"
        conditions.append(f"({reach(key, subject, rule.by[:2], younger)})")
    if rule.where is not None:
        conditions.append("((" + substitute(rule.where, "''", "''") + ") IS TRUE)")
    return " AND ".join(conditions) or "true"


def past(key: Key, subject: Subject | None, by: tuple[str, str, str], period: str) -> str:
    """Rows whose time is so long ago; not those whose time is not known."""
    older = f"({_age(by)} OPERATOR(pg_catalog.<=) {_before(period)}) IS TRUE"
    return f"({reach(key, subject, by[:2], older)})"


def changed(key: Key, replacements: tuple[Replacement, ...]) -> str:
    """Rows that anonymising still changes."""
    return " OR ".join(f"({_differs(key, one)})" for one in replacements) or "false"


def assignments(key: Key, replacements: tuple[Replacement, ...]) -> str:
    """The SET list that anonymises."""
    return ", ".join(f"{quote_identifier(one.column.name)} = {_value(key, one)}" for one in replacements)


def _age(by: tuple[str, str, str]) -> str:
    return f"{column(by[:2], by[2])}::pg_catalog.timestamptz"


def _before(period: str) -> str:
    return f"(pg_catalog.now() OPERATOR(pg_catalog.-) {quote_literal(period)}::pg_catalog.interval)"


def _mark(one: Replacement) -> str:
    return _UUID_MARK if one.column.base_type == "uuid" else _MARK


def _value(key: Key, one: Replacement) -> str:
    if one.unique:
        random = "pg_catalog.md5(pg_catalog.gen_random_uuid()::pg_catalog.text)"
        if one.column.base_type == "uuid":
            random = f"pg_catalog.right({random}, {32 - len(_UUID_MARK)})"
        return f"({quote_literal(_mark(one))} OPERATOR(pg_catalog.||) {random})::{one.column.type_name}"
    return f"({mask_sql(one.mask, column(key, one.column.name), one.column)})::{one.column.type_name}"


def _differs(key: Key, one: Replacement) -> str:
    name = column(key, one.column.name)
    if one.unique:
        begin = f"pg_catalog.left({name}::pg_catalog.text, {len(_mark(one))})"
        return f"{begin} OPERATOR(pg_catalog.<>) {quote_literal(_mark(one))}"
    if one.mask.kind == "null":
        return f"{name} IS NOT NULL"
    # As text: not every type has an equality, and json is one without.
    return f"{name}::pg_catalog.text IS DISTINCT FROM ({_value(key, one)})::pg_catalog.text"
