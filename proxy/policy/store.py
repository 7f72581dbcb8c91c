"""Consent in a table that exists already (`consent.store`): what is wrong with the mapping, and its compiled value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from proxy.catalog.model import Column, Relation, Snapshot
from proxy.policy.expressions import (
    ExpressionError,
    called_functions,
    named_columns,
    store_expression,
    written_expression,
)
from proxy.policy.model import Store
from proxy.policy.names import join_dotted, split_relation
from proxy.policy.rules import Path, Rules
from proxy.policy.table import ConsentStore, StoreWrite
from proxy.yaml_lines import Problem, nearest

_PATH: Path = ("consent", "store")
_KEYS = ("subject", "app", "attribute")
_EXPRESSIONS = ("granted", "since", "expires")
# Types that PostgreSQL compares by an index of either, without a cast. citext is compared as text, without its index.
_INDEXED: Mapping[str, str] = {
    **dict.fromkeys(("int2", "int4", "int8"), "integer"),
    **dict.fromkeys(("text", "varchar", "name"), "text"),
    "bpchar": "character",
    "uuid": "uuid",
}


def check_store(rules: Rules) -> Iterator[Problem]:
    """What is wrong with the mapping that can be told without the database."""
    store = rules.consent.store
    ids: dict[str, str] = {}
    for name, app in rules.apps.items():
        at: Path = ("apps", name, "consent_id")
        if app.consent_id is not None and not isinstance(store, Store):
            yield rules.problem(
                at, "consent_id: it names the app in a consent table of your own: map it by consent.store"
            )
        other = ids.setdefault(app.consent_id or name, name)
        if other != name:
            where = at if app.consent_id is not None else ("apps", other, "consent_id")
            message = (
                f'consent_id: apps {other} and {name} would both be "{app.consent_id or name}": one consent for two'
            )
            yield rules.problem(where, message)
    if not isinstance(store, Store):
        return
    keys = {key: getattr(store, key) for key in _KEYS if getattr(store, key) is not None}
    for key, column in keys.items():
        first = next(other for other, name in keys.items() if name == column)
        if first != key:
            yield rules.problem((*_PATH, key), f"{key}: {column} is the {first}'s column already")
    for key in _EXPRESSIONS:
        if getattr(store, key) is not None:
            yield from _wrong(rules, (*_PATH, key), store_expression, getattr(store, key))
    if store.attributes is not None and store.attribute is None:
        yield rules.problem(
            (*_PATH, "attributes"), "attributes: `attribute` is missing, the column that has them", key=True
        )
    for name in store.attributes or ():
        if not rules.declares("attributes", name):
            message = f'attributes: "{name}" is not defined{nearest(name, rules.attributes)}'
            yield rules.problem((*_PATH, "attributes", name), message, key=True)
    for decision in ("granted", "withdrawn") if store.write else ():
        for column, sql in getattr(store.write, decision).items():
            at = (*_PATH, "write", decision, column)
            if column in keys.values():
                yield rules.problem(at, f"write: {column} says whose consent it is, and is written so", key=True)
            yield from _wrong(rules, at, written_expression, sql)


def _wrong(rules: Rules, path: Path, read: object, sql: str) -> Iterator[Problem]:
    try:
        read(sql)  # type: ignore[operator]
    except ExpressionError as error:
        yield rules.problem(path, f"{path[-1]}: {error}")


def compile_store(
    rules: Rules, snapshot: Snapshot, subjects: Mapping[str, Column], problems: list[Problem], warnings: list[Problem]
) -> ConsentStore | None:
    """The mapping against the catalog; None for Consentry's own ledger, and where it is wrong (said in `problems`).

    `subjects`: the rules' subject keys, by their names.
    """
    store = rules.consent.store
    if not isinstance(store, Store):
        return None
    key = split_relation(store.table)
    relation = snapshot.relations.get(key)
    if relation is None or relation.kind not in "rpvmf" or key[0] in ("pg_catalog", "information_schema", "consentry"):
        tables = [join_dotted(*k) for k, r in snapshot.relations.items() if r.kind in "rpvf" and k[0] != "pg_catalog"]
        message = (
            f'table: relation "{store.table}" is not in database {snapshot.database}{nearest(store.table, tables)}'
        )
        problems.append(rules.problem((*_PATH, "table"), message))
        return None
    before = len(problems)
    if relation.kind == "m":
        message = f"table: {store.table} is a materialised view: a withdrawal would wait for its next refresh"
        problems.append(rules.problem((*_PATH, "table"), message))
    problems += _keys(rules, store, relation, subjects)
    problems += _sql(rules, store, relation, snapshot)
    if len(problems) > before:
        return None
    warnings += _warnings(rules, store, relation, subjects)
    return _compiled(rules, store, key)


def _keys(rules: Rules, store: Store, relation: Relation, subjects: Mapping[str, Column]) -> Iterator[Problem]:
    known = [column.name for column in relation.columns if column.number > 0]
    for name in _KEYS:
        column = getattr(store, name)
        if column is not None and column not in known:
            yield rules.problem(
                (*_PATH, name), f'{name}: column "{column}" is not in {store.table}{nearest(column, known)}'
            )
    for decision in ("granted", "withdrawn") if store.write else ():
        for column in getattr(store.write, decision):
            at: Path = (*_PATH, "write", decision, column)
            model = relation.column(column)
            if model is None or column not in known:
                message = f'write: column "{column}" is not in {store.table}{nearest(column, known)}'
                yield rules.problem(at, message, key=True)
            elif model.generated:
                yield rules.problem(at, f"write: {column} is a generated column: it cannot be written", key=True)
    subject = relation.column(store.subject)
    for label, column in subjects.items() if subject is not None else ():
        assert subject is not None
        families = [_INDEXED.get(c.base_type, c.base_type).replace("character", "text") for c in (subject, column)]
        if families[0].replace("citext", "text") != families[1].replace("citext", "text"):
            message = (
                f"subject: {store.table}.{store.subject} ({subject.type_name}) cannot be compared with {label} "
                f"({column.type_name}) without a cast; map a view that has the key in that type"
            )
            yield rules.problem((*_PATH, "subject"), message)


def _sql(rules: Rules, store: Store, relation: Relation, snapshot: Snapshot) -> Iterator[Problem]:
    """What the mapping's SQL names that is not there."""
    known = [column.name for column in relation.columns if column.number > 0]
    for name in _EXPRESSIONS:
        sql = getattr(store, name)
        if sql is None:
            continue
        for fields in named_columns(store_expression(sql)):
            qualifier = fields[:-1]
            if qualifier not in ((), (relation.name,), relation.key):
                message = f"{name}: write the column {'.'.join(fields)} by its name alone"
                yield rules.problem((*_PATH, name), message)
            elif fields[-1] not in known:
                hint = nearest(fields[-1], known)
                yield rules.problem((*_PATH, name), f'{name}: column "{fields[-1]}" is not in {store.table}{hint}')
        yield from _functions(rules, (*_PATH, name), store_expression(sql), snapshot)
    for decision in ("granted", "withdrawn") if store.write else ():
        for column, sql in getattr(store.write, decision).items():
            yield from _functions(rules, (*_PATH, "write", decision, column), written_expression(sql), snapshot)


def _functions(rules: Rules, path: Path, sql: str, snapshot: Snapshot) -> Iterator[Problem]:
    for schema, name in sorted(called_functions(sql)):
        known = {function.schema for function in snapshot.functions.get(name, ())}
        if snapshot.functions and schema not in known:
            elsewhere = f"; write {min(known)}.{name}" if known else ""
            yield rules.problem(path, f"{path[-1]}: function {schema}.{name} is not in the database{elsewhere}")


def _warnings(rules: Rules, store: Store, relation: Relation, subjects: Mapping[str, Column]) -> Iterator[Problem]:
    if rules.tables.get(store.table) == "open" or (
        store.table not in rules.tables and rules.defaults.unlisted_tables == "open"
    ):
        message = f"{store.table} is open: an app whose login may write it can give itself consent, and see others'"
        yield rules.problem((*_PATH, "table"), message)
    if relation.kind == "f":
        yield rules.problem((*_PATH, "table"), f"{store.table} is a foreign table: each read asks another server")
    subject = relation.column(store.subject)
    assert subject is not None
    for label, column in subjects.items():
        one, other = _INDEXED.get(subject.base_type), _INDEXED.get(column.base_type)
        if one is None or one != other:
            types = f"{subject.type_name} and {column.type_name}"
            message = f"subject: {store.table}.{store.subject} and {label} are compared without an index: {types}"
            yield rules.problem((*_PATH, "subject"), message)


def _compiled(rules: Rules, store: Store, key: tuple[str, str]) -> ConsentStore:
    granted = store_expression(store.granted)
    since = store_expression(store.since) if store.since else None
    expires = store_expression(store.expires) if store.expires else None
    read = {store.subject, store.app} | {fields[-1] for fields in named_columns(granted)}
    if store.attribute is not None:
        read.add(store.attribute)
    shown = {fields[-1] for sql in (since, expires) if sql for fields in named_columns(sql)}
    write = None
    if store.write is not None:
        write = StoreWrite(
            tuple((column, written_expression(sql)) for column, sql in store.write.granted.items()),
            tuple((column, written_expression(sql)) for column, sql in store.write.withdrawn.items()),
        )
    return ConsentStore(
        schema=key[0],
        table=key[1],
        subject=store.subject,
        app=store.app,
        attribute=store.attribute,
        granted=granted,
        since=since,
        expires=expires,
        attributes=tuple((store.attributes or {}).items()),
        write=write,
        columns=tuple(sorted(read)),
        shown=tuple(sorted(shown - read)),
        place=rules.where(_PATH),
    )
