"""What of the rules only the database can tell: SQL that `check` prepares and never executes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from proxy.catalog.model import Column, Relation, Snapshot
from proxy.policy.expressions import WRITTEN, replaced, substitute
from proxy.policy.json_masks import json_mask_sql
from proxy.policy.masks import TEXT, mask_sql
from proxy.policy.names import quote_identifier
from proxy.policy.table import (
    AppPolicy,
    CompiledRules,
    ConsentStore,
    GovernedColumn,
    GovernedTable,
    PolicyRef,
    StoreWrite,
)


@dataclass(frozen=True, slots=True)
class Probe:
    """`sql` must be prepared without error; its first column must be of one of `types` (pg_type.typname), if any."""

    file: str
    line: int
    what: str
    sql: str
    types: frozenset[str] = frozenset()

    def wrong_type(self, given: str) -> str | None:
        """What is wrong where the first column has type `given`; None where it fits."""
        if not self.types or given in self.types:
            return None
        return f"{self.what} gives {given}, and the column's type is {' or '.join(sorted(self.types))}"


def probes(compiled: CompiledRules, snapshot: Snapshot) -> list[Probe]:
    """Every expression mask on every column that it stands for, every row predicate on its table, and a mapped consent
    table's SQL; each once.
    """
    return list(dict.fromkeys(_probes(compiled, snapshot)))


def _probes(compiled: CompiledRules, snapshot: Snapshot) -> Iterator[Probe]:
    for app in compiled.apps.values():
        for table in app.tables.values():
            relation = snapshot.relations[table.key]
            for column in table.columns:
                yield from _mask(table, relation, column)
            yield from _rows(app, table)
    if compiled.store is not None:
        yield from _store(compiled, compiled.store)


def _mask(table: GovernedTable, relation: Relation, column: GovernedColumn) -> Iterator[Probe]:
    model = relation.column(column.name)
    if model is None:
        return
    for path, part in zip(("", *(path.path for path in column.paths)), column.parts, strict=True):
        mask, ref = part.treatment.mask, part.treatment.policy
        if mask is None or mask.kind != "expression" or ref is None:
            continue
        what = f"mask expression of {_shown(ref)} for {table.schema}.{table.name}.{column.name}"
        if path:  # what is inside of a document is masked as text
            sql = f"SELECT {json_mask_sql(mask, 't.value')} FROM (SELECT NULL::pg_catalog.jsonb AS value) AS t LIMIT 0"
            yield Probe(ref.file, ref.line, f"{what} at {path}", sql)
        else:
            sql = (
                f"SELECT {mask_sql(mask, f't.{quote_identifier(column.name)}', model)} FROM {_name(table)} AS t LIMIT 0"
            )
            yield Probe(ref.file, ref.line, what, sql, _types(model))


def _types(column: Column) -> frozenset[str]:
    return TEXT if column.base_type in TEXT else frozenset({column.base_type})


def _rows(app: AppPolicy, table: GovernedTable) -> Iterator[Probe]:
    for row in table.rows:
        if row.where is not None:
            where = substitute(row.where, f"'{app.name}'", "SESSION_USER")
            what = f"`where` of {_shown(row.policy)} for {table.schema}.{table.name}"
            yield Probe(row.policy.file, row.policy.line, what, f"SELECT ({where}) FROM {_name(table)}", _BOOLEAN)


def _store(compiled: CompiledRules, store: ConsentStore) -> Iterator[Probe]:
    """The SQL of a mapped consent table, and that its columns take the names of the apps and attributes."""
    table = f"{quote_identifier(store.schema)}.{quote_identifier(store.table)}"
    for what, sql, types in (
        ("granted", store.granted, _BOOLEAN),
        ("since", store.since, _MOMENTS),
        ("expires", store.expires, _MOMENTS),
    ):
        if sql is not None:
            yield Probe(*store.place, f"`{what}` of consent.store", f"SELECT ({sql}) FROM {table}", types)
    for app in compiled.apps.values():
        if not app.trusted:
            column = quote_identifier(store.app)
            sql = f"SELECT 1 FROM {table} WHERE {column} OPERATOR(pg_catalog.=) {_literal(app.consent_id)}"
            yield Probe(*store.place, f"`app` of consent.store for {app.name} ({app.consent_id})", sql)
    asked = {attribute for app in compiled.apps.values() for attribute in app.asked}
    for attribute in sorted(asked) if store.attribute is not None else ():
        name = store.called(attribute)
        column = quote_identifier(store.attribute or "")
        sql = f"SELECT 1 FROM {table} WHERE {column} OPERATOR(pg_catalog.=) {_literal(name)}"
        yield Probe(*store.place, f"`attribute` of consent.store for {attribute} ({name})", sql)
    values = dict.fromkeys(WRITTEN, "NULL::pg_catalog.timestamptz") | {"actor": "NULL::pg_catalog.text"}
    write = store.write or StoreWrite((), ())
    for decision, pairs in (("granted", write.granted), ("withdrawn", write.withdrawn)):
        for column, sql in pairs:
            made = f"UPDATE {table} SET {quote_identifier(column)} = ({replaced(sql, values)})"
            yield Probe(*store.place, f"`write` of consent.store: {column} where {decision}", made)


_MOMENTS = frozenset({"timestamptz", "timestamp", "date"})
_BOOLEAN = frozenset({"bool"})


def _shown(ref: PolicyRef) -> str:
    return f'policy "{ref.name}"'


def _name(table: GovernedTable) -> str:
    return f"{quote_identifier(table.schema)}.{quote_identifier(table.name)}"


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
