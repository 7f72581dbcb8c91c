"""The system catalogs as one app has them: for each relation the sub-query that stands in its place.

docs/reference/catalogs.md says what an app sees.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from proxy.catalog.model import Column, Relation, Snapshot
from proxy.policy.names import quote_identifier
from proxy.policy.table import AppPolicy
from proxy.rewrite.analyse import ViewOf, no_views
from proxy.rewrite.catalog_calls import guarded_arguments, guarded_calls
from proxy.rewrite.catalog_hidden import OPEN, OWNER_COLUMNS, Hidden, oids, reg
from proxy.rewrite.lex import quote_literal
from proxy.rewrite.result import SystemCatalog

# Nothing of other sessions' and nothing of servers' options is anybody's: these forms are the same for every app.
_OWN_LOGIN = "t.usename = SESSION_USER"
_CONDITIONS_FOR_ALL = {
    "pg_stat_activity": [],
    "pg_locks": ["t.pid IN (SELECT a.pid FROM pg_catalog.pg_stat_activity AS a WHERE a.usename = SESSION_USER)"],
    "pg_stat_replication": ["t.usename = SESSION_USER"],
    "pg_stat_ssl": ["t.pid = pg_catalog.pg_backend_pid()"],
    "pg_stat_gssapi": ["t.pid = pg_catalog.pg_backend_pid()"],
    "pg_prepared_statements": [],
    "pg_cursors": [],
    "pg_prepared_xacts": ["t.owner = SESSION_USER"],
    "pg_largeobject_metadata": ["false"],
    "pg_foreign_server": [],
    "pg_user_mappings": [],
    "pg_subscription": [],
}
_NULL_FOR_ALL = {
    "pg_foreign_server": ("srvoptions",),
    "pg_user_mappings": ("umoptions",),
    "pg_subscription": ("subconninfo",),
}
# What PostgreSQL itself shows of sessions of other roles.
_OF_OTHERS = frozenset("datid datname pid usesysid usename application_name".split())

# information_schema's relations that hold values or options of servers are left out, hence refused.
_REFUSED_INFORMATION = frozenset({"foreign_server_options", "user_mapping_options"})

# Columns that hold a definition's text, by relation: NULL where anything is hidden from the app.
_DEFINITIONS = {
    "pg_rules": ("definition",),
    "pg_rewrite": ("ev_qual", "ev_action"),
    "pg_proc": ("prosrc", "probin", "prosqlbody"),
    "pg_foreign_table": ("ftoptions",),
    "routines": ("routine_definition",),
}
_BUILT_IN = "t.pronamespace = 'pg_catalog'::pg_catalog.regnamespace"

_TABLE_COUNTS = "pg_stat_all_tables pg_stat_xact_all_tables pg_statio_all_tables".split()
_INDEX_COUNTS = "pg_stat_all_indexes pg_statio_all_indexes".split()
# Statistics by relation: nothing is counted.
_COUNTS = {
    name.replace("_all_", scope): indexes
    for names, indexes in ((_TABLE_COUNTS, False), (_INDEX_COUNTS, True), (["pg_statio_all_sequences"], False))
    for name in names
    for scope in ("_all_", "_user_", "_sys_")
}

# Statistics of the whole server, with the database's: the same.
_SERVER_COUNTS = "pg_stat_database pg_stat_bgwriter pg_stat_checkpointer pg_stat_wal pg_stat_io pg_stat_slru".split()

# The columns that hold types, of catalogs of what is made for types.
_OF_TYPES = {
    "pg_aggregate": ("aggtranstype", "aggmtranstype"),
    "pg_amop": ("amoplefttype", "amoprighttype"),
    "pg_amproc": ("amproclefttype", "amprocrighttype"),
    "pg_cast": ("castsource", "casttarget"),
    "pg_opclass": ("opcintype", "opckeytype"),
    "pg_operator": ("oprleft", "oprright", "oprresult"),
    "pg_range": ("rngtypid", "rngsubtype"),
    "pg_transform": ("trftype",),
}
# The columns of information_schema that name a type. Those of a relation's columns are not among them: they are read.
_TYPES = (
    ("udt_schema", "udt_name"),
    ("domain_schema", "domain_name"),
    ("user_defined_type_schema", "user_defined_type_name"),
    ("object_schema", "object_name"),
)

_TABLES = (
    ("table_schema", "table_name"),
    ("event_object_schema", "event_object_table"),
    ("view_schema", "view_name"),
    ("foreign_table_schema", "foreign_table_name"),
    ("object_schema", "object_name"),
)
_NAMED = "JOIN pg_catalog.pg_namespace AS n ON n.oid = "


def system_catalog(app: AppPolicy, snapshot: Snapshot, view_of: ViewOf = no_views) -> SystemCatalog:
    """The catalogs as the app has them. `view_of`: what it has of views that the rules do not list."""
    hidden = Hidden(app, snapshot, view_of)
    opened = {("pg_catalog", name) for name in OPEN}
    forms: dict[tuple[str, str], str] = {}
    conditions = {**_conditions(hidden), **_CONDITIONS_FOR_ALL}
    if hidden:  # predicate locks say which rows were read
        conditions["pg_locks"] = [
            *conditions["pg_locks"],
            "t.mode <> 'SIReadLock'",
            *(
                f"(t.relation IS NULL OR {condition})"
                for condition in _unless(hidden.gone("t.relation"), hidden.toast("t.relation"))
            ),
        ]
    for (schema, name), relation in snapshot.relations.items():
        if schema == "pg_catalog" and name in conditions:
            shown, replaced = conditions[name], _replacements(relation, hidden)
        elif schema == "information_schema" and name not in _REFUSED_INFORMATION:
            shown, replaced = _information_conditions(relation, hidden), _replacements(relation, hidden)
        else:
            continue
        if shown or replaced:
            forms[schema, name] = _form(relation, shown, replaced)
        else:
            opened.add((schema, name))
    if not hidden:
        return SystemCatalog(frozenset(opened), forms, {})
    return SystemCatalog(
        frozenset(opened),
        forms,
        guarded_arguments(hidden),
        guarded_calls(hidden),
        _hidden_constraints(hidden, snapshot),
        frozenset(part.oid for _, part in hidden.not_shown("pg_index")),
        hidden.unexplained,
        any(relation.oid not in hidden.relation_oids for relation, _ in hidden.not_shown("pg_trigger")),
    )


def _hidden_constraints(hidden: Hidden, snapshot: Snapshot) -> dict[tuple[str, str, str], bool]:
    found = {(*r.key, part.name): r.oid in hidden.relation_oids for r, part in hidden.not_shown("pg_constraint")}
    for relation, part in hidden.not_shown("pg_index"):
        if part.oid in snapshot.by_oid:
            found[(*relation.key, snapshot.by_oid[part.oid].name)] = relation.oid in hidden.relation_oids
    return found | {(*name, ""): True for name in hidden.domain_names}


# -- conditions -------------------------------------------------------------------------------------------------------


def _conditions(hidden: Hidden) -> Mapping[str, list[str]]:
    """Of each catalog that is filtered: the conditions under which a row `t` is shown."""
    toasts = [name for r in hidden.relations for name in (f"pg_toast_{r.oid}", f"pg_toast_{r.oid}_index")]
    of_object = hidden.thing("t.classoid", "t.objoid", "t.objsubid", parts=False)
    commented = _unless(of_object)
    if hidden.touched_oids:
        belongs = f"(t.classoid, t.objoid) IN (SELECT d.classid, d.objid {hidden.described})"
        commented = [f"(t.objoid < 16384 OR NOT ({of_object}) AND NOT ({belongs}))"]
    dependent = _unless(hidden.thing("t.classid", "t.objid", "t.objsubid"))
    found = {
        "pg_attribute": _unless(
            hidden.gone("t.attrelid"),
            hidden.column("t.attrelid", "t.attnum"),
            *([f"t.attnum <= 3 AND t.attstorage = 'p' AND {hidden.toast('t.attrelid')}"] if hidden.toasts else []),
        ),
        "pg_class": [*_unless(hidden.gone("t.oid")), *_not_named(toasts, "relname", "relnamespace = 99")],
        "pg_depend": [
            *_unless(hidden.thing("t.refclassid", "t.refobjid", "t.refobjsubid")),
            *dependent,
            *_unless(hidden.dependency),
        ],
        "pg_description": commented,
        "pg_extension": [],
        "pg_foreign_table": _unless(_among("t.ftrelid", hidden.relation_oids)),
        "pg_indexes": [
            *_named("schemaname", "tablename", hidden.relations),
            *_not_in(hidden, "(t.schemaname, t.indexname)", "pg_index", "n.nspname, c.relname"),
        ],
        "pg_init_privs": _unless(hidden.thing("t.classoid", "t.objoid", "t.objsubid")),
        "pg_inherits": _unless(hidden.gone("t.inhrelid"), hidden.gone("t.inhparent")),
        "pg_matviews": _named("schemaname", "matviewname", hidden.relations),
        "pg_policy": _policies(hidden),
        "pg_policies": _policies_by_name(hidden),
        "pg_proc": _unless(hidden.function("t.oid")),
        "pg_publication_tables": _named("schemaname", "tablename", hidden.relations),
        "pg_rewrite": _unless(hidden.rule("t")) if hidden.touched_oids else [],
        "pg_rules": [*_named("schemaname", "tablename", hidden.relations), *_rules_by_name(hidden)],
        "pg_seclabel": commented,
        "pg_seclabels": commented,
        "pg_sequence": _unless(_among("t.seqrelid", [sequence.oid for sequence in hidden.sequences])),
        "pg_sequences": _named("schemaname", "sequencename", hidden.sequences),
        "pg_shdepend": dependent,
        "pg_stats": _of_whole(hidden),
        "pg_stats_ext": _of_whole(hidden),
        "pg_stats_ext_exprs": _of_whole(hidden),
        "pg_tables": _named("schemaname", "tablename", hidden.relations),
        "pg_type": _unless(_among("t.oid", hidden.types)),
        "pg_views": _named("schemaname", "viewname", hidden.relations),
    }
    found |= {name: [] for name in _SERVER_COUNTS}
    for name, of_indexes in _COUNTS.items():
        found[name] = [*_unless(_among("t.relid", hidden.gone_oids)), "t.schemaname <> 'pg_toast'"]
        if of_indexes:
            found[name] += _unless(hidden.gone("t.indexrelid"))
    found |= {catalog: _unless(hidden.owned(catalog)) for catalog in OWNER_COLUMNS}
    for name, columns in _OF_TYPES.items():
        found[name] = _unless(*(_among(f"t.{column}", hidden.types) for column in columns))
    if hidden.toasts:  # said with what all of them have: the planner expects few rows to be hidden
        found["pg_index"] += _unless(f"t.indisprimary AND t.indnatts = 2 AND {hidden.toast('t.indexrelid')}")
    found["pg_aggregate"] += _unless(hidden.function("t.aggfnoid"))
    return found


def _unless(*conditions: str) -> list[str]:
    """The negation of each that can be true."""
    return [f"NOT ({condition})" for condition in conditions if condition != "false"]


def _among(oid: str, values: Iterable[int]) -> str:
    listed = sorted(values)
    return f"{oid} = ANY ({oids(listed)})" if listed else "false"


def _rows(rows: Iterable[tuple[str, ...]]) -> str:
    return ", ".join("(" + ", ".join(map(quote_literal, row)) + ")" for row in rows)


def _named(schema: str, name: str, relations: list[Relation]) -> list[str]:
    """Conditions that keep hidden relations out of a view that has their names only."""
    if not relations:
        return []
    rows = _rows((relation.schema, relation.name) for relation in relations)
    return [f"(t.{schema}::pg_catalog.text, t.{name}::pg_catalog.text) NOT IN ({rows})"]


def _not_named(names: list[str], column: str, where: str) -> list[str]:
    if not names:
        return []
    listed = "'{" + ",".join(names) + "}'::pg_catalog.name[]"
    return [f"NOT (t.{where} AND t.{column} = ANY ({listed}))"]


def _of_whole(hidden: Hidden) -> list[str]:
    """Statistics are shown of relations of which the app may read every row and column."""
    if not hidden:
        return []
    rows = _rows((relation.schema, relation.name) for relation in hidden.shown)
    return [f"(t.schemaname::pg_catalog.text, t.tablename::pg_catalog.text) IN ({rows})" if rows else "false"]


def _policies(hidden: Hidden) -> list[str]:
    """Row security policies; ALTER POLICY keeps the oid, so what one reads now is looked up."""
    if not hidden:
        return []
    listed = _among("t.oid", [part.oid for _, part in hidden.policies])
    return [listed, f"NOT ({hidden.depends('pg_policy', 't.oid')})"] if hidden.touched_oids else [listed]


def _policies_by_name(hidden: Hidden) -> list[str]:
    """The same for the view. What is there by another name since the snapshot was taken is not listed."""
    if not hidden:
        return []
    rows = _rows((relation.schema, relation.name, part.name) for relation, part in hidden.policies)
    return [f"(t.schemaname, t.tablename, t.policyname) IN ({rows})" if rows else "false"]


def _rules_by_name(hidden: Hidden) -> list[str]:
    if not hidden.touched_oids:
        return []
    return [
        "(t.schemaname, t.tablename, t.rulename) NOT IN (SELECT n.nspname, c.relname, r.rulename "
        "FROM pg_catalog.pg_rewrite AS r JOIN pg_catalog.pg_class AS c ON c.oid = r.ev_class "
        f"{_NAMED}c.relnamespace WHERE {hidden.rule('r')})"
    ]


def _not_in(hidden: Hidden, names: str, catalog: str, outputs: str) -> list[str]:
    """`names` are not those of a hidden part, in views that have no oids."""
    if not hidden.touched_oids:
        return []
    owner, oid = OWNER_COLUMNS[catalog]
    joins = {
        "pg_index": f"JOIN pg_catalog.pg_class AS c ON c.oid = x.{oid} {_NAMED}c.relnamespace",
        "pg_attrdef": "JOIN pg_catalog.pg_attribute AS a ON a.attrelid = x.adrelid AND a.attnum = x.adnum "
        f"JOIN pg_catalog.pg_class AS c ON c.oid = x.{owner} {_NAMED}c.relnamespace",
        "pg_constraint": f"{_NAMED}x.connamespace",
        "pg_trigger": f"JOIN pg_catalog.pg_class AS c ON c.oid = x.{owner} {_NAMED}c.relnamespace",
    }
    return [
        f"{names} NOT IN (SELECT {outputs} FROM pg_catalog.{catalog} AS x {joins[catalog]} "
        f"WHERE {hidden.owned(catalog, 'x')})"
    ]


def _information_conditions(relation: Relation, hidden: Hidden) -> list[str]:
    """The same for a view of information_schema, by the columns that it has."""
    names = {column.name for column in relation.columns}
    conditions = []
    for schema, table in _TABLES:
        if not {schema, table} <= names:
            continue
        conditions += _named(schema, table, hidden.relations)
        if table not in ("table_name", "event_object_table", "object_name") or not hidden.columns:
            continue
        columns = ("column_name", "event_object_column", "dtd_identifier", "collection_type_identifier")
        column = next((c for c in columns if c in names), None)
        if column is None or (column == "dtd_identifier" and table != "object_name"):
            continue
        by_number = column not in ("column_name", "event_object_column")
        rows = _rows((r.schema, r.name, str(number) if by_number else c) for r, c, number in hidden.columns)
        conditions.append(
            f"(t.{schema}::pg_catalog.text, t.{table}::pg_catalog.text, t.{column}::pg_catalog.text) NOT IN ({rows})"
        )
    if {"sequence_schema", "sequence_name"} <= names:
        conditions += _named("sequence_schema", "sequence_name", hidden.sequences)
    if hidden.types:
        conditions += _of_shown_types(relation, names, hidden)
    if relation.name in ("usage_privileges", "role_usage_grants"):
        conditions += _named("object_schema", "object_name", hidden.sequences)
    if {"constraint_schema", "constraint_name"} <= names:
        qualified = "(t.constraint_schema::pg_catalog.text, t.constraint_name::pg_catalog.text)"
        outputs = "n.nspname::pg_catalog.text, x.conname::pg_catalog.text"
        conditions += _not_in(hidden, qualified, "pg_constraint", outputs)
        if hidden.touched_oids and hidden.version < 180000:
            conditions.append(_not_null_names(hidden))
    if {"trigger_schema", "trigger_name", "event_object_table"} <= names:
        qualified = "(t.trigger_schema::pg_catalog.text, t.event_object_table::pg_catalog.text"
        qualified += ", t.trigger_name::pg_catalog.text)"
        outputs = "n.nspname::pg_catalog.text, c.relname::pg_catalog.text, x.tgname::pg_catalog.text"
        conditions += _not_in(hidden, qualified, "pg_trigger", outputs)
    return conditions


def _of_shown_types(relation: Relation, names: set[str], hidden: Hidden) -> list[str]:
    """What has no hidden type: types, and functions by their signatures, whose names end in their oids."""
    typed = (
        f"SELECT n.nspname::pg_catalog.text, y.typname::pg_catalog.text FROM pg_catalog.pg_type AS y "
        f"{_NAMED}y.typnamespace WHERE y.oid = ANY ({oids(hidden.types)})"
    )
    found = [
        f"(t.{schema}::pg_catalog.text, t.{name}::pg_catalog.text) IN ({typed})"
        for schema, name in _TYPES
        if {schema, name} <= names and relation.name != "columns"
    ]
    number = "pg_catalog.substring(t.{}::pg_catalog.text, '_([0-9]+)$')::pg_catalog.oid"
    if "specific_name" in names:
        found.append(hidden.function(number.format("specific_name")))
    if {"object_name", "object_type"} <= names:
        function = hidden.function(number.format("object_name"))
        found.append(f"CASE WHEN t.object_type::pg_catalog.text = 'ROUTINE' THEN {function} END")
    return [f"({condition}) IS NOT TRUE" for condition in found]  # most have no domain, and are of no function


def _not_null_names(hidden: Hidden) -> str:
    """Until 17, information_schema makes names of NOT NULL constraints: schema_relation_column_not_null, by oids."""
    keys = [f"{relation.oid}_{number}" for relation, _, number in hidden.columns]
    keys += [f"{relation.oid}_[0-9]+" for relation in hidden.relations]
    pattern = quote_literal(f"^[0-9]+_({'|'.join(keys)})_not_null$")
    return f"t.constraint_name::pg_catalog.text !~ {pattern}"


# -- replaced values --------------------------------------------------------------------------------------------------


def _replacements(relation: Relation, hidden: Hidden) -> dict[str, str]:
    """Columns whose value is not the catalog's own."""
    name = relation.name
    out = {column: _null(relation, column) for column in _NULL_FOR_ALL.get(name, ()) if relation.column(column)}
    if name == "pg_stat_activity":
        out = {
            c.name: f"CASE WHEN {_OWN_LOGIN} THEN t.{c.name} END" for c in relation.columns if c.name not in _OF_OTHERS
        }
        query = "t.query" if not hidden else _PRIVATE  # what was sent is the rewritten text, with the rules in it
        out["query"] = f"CASE WHEN {_OWN_LOGIN} THEN {query} WHEN t.usename IS NOT NULL THEN {_PRIVATE} END"
    if not hidden:
        return out
    if name in ("pg_prepared_statements", "pg_cursors"):
        out["statement"] = _PRIVATE
    elif name == "pg_class":
        out |= _class_replacements(relation, hidden)
    elif name in _COUNTS:
        out |= {c.name: _nothing(c) for c in relation.columns if c.type_oid in _COUNTED and c.name not in _KEYS}
    elif name in _SERVER_COUNTS:
        out |= {c.name: _nothing(c) for c in relation.columns if c.name not in _KEYS}
    elif name == "pg_locks":
        out |= {column: _null(relation, column) for column in ("page", "tuple")}
    elif name == "pg_sequences":
        rows = _rows((sequence.schema, sequence.name) for sequence in hidden.whole_sequences)
        whole = f"(t.schemaname::pg_catalog.text, t.sequencename::pg_catalog.text) IN ({rows})" if rows else "false"
        out["last_value"] = f"CASE WHEN {whole} THEN t.last_value END"
    elif name == "pg_publication_tables":
        out |= _publication_replacements(relation, hidden)
    elif name == "pg_extension":
        its = f"t.extconfig && {oids([*hidden.touched_oids, *hidden.gone_oids])}"
        out |= {column: f"CASE WHEN NOT ({its}) THEN t.{column} END" for column in ("extconfig", "extcondition")}
    elif name == "columns":
        names = ("t.table_schema", "t.table_name", "t.column_name"), ("n.nspname", "c.relname", "a.attname")
        column, outputs = (", ".join(f"{one}::pg_catalog.text" for one in each) for each in names)
        for condition in _not_in(hidden, f"({column})", "pg_attrdef", outputs):  # generated columns' expressions
            out |= {text: f"CASE WHEN {condition} THEN t.{text} END" for text in _EXPRESSIONS}
    elif name in ("pg_views", "views", "pg_matviews"):
        schema, view, text = _VIEW_COLUMNS[name]
        reading = _hidden_views(hidden)
        named = f"(t.{schema}::pg_catalog.text, t.{view}::pg_catalog.text)"
        unseen = [f"{named} NOT IN ({reading})"] if reading else []
        unseen += _named(schema, view, hidden.views)
        if unseen:
            out[text] = f"CASE WHEN {' AND '.join(unseen)} THEN t.{text} END"
    for column in _DEFINITIONS.get(name, ()):
        if relation.column(column) is not None:
            value = _null(relation, column)
            out[column] = f"CASE WHEN {_BUILT_IN} THEN t.{column} ELSE {value} END" if name == "pg_proc" else value
    return out


_PRIVATE = "'<insufficient privilege>'::pg_catalog.text"
_KEYS = frozenset("relid indexrelid datid datname numbackends name backend_type object context".split())
_EXPRESSIONS = ("column_default", "generation_expression")
_COUNTED = {20: "0::pg_catalog.int8", 701: "0::pg_catalog.float8", 1184: "NULL::pg_catalog.timestamptz"}
_VIEW_COLUMNS = {
    "pg_views": ("schemaname", "viewname", "definition"),
    "pg_matviews": ("schemaname", "matviewname", "definition"),
    "views": ("table_schema", "table_name", "view_definition"),
}


def _null(relation: Relation, column: str) -> str:
    model = relation.column(column)
    return f"NULL::{model.type_name if model else 'pg_catalog.text'}"


def _nothing(column: Column) -> str:
    """What a counter shows that counts nothing: reads of an open relation would count hidden rows joined to it."""
    return _COUNTED.get(column.type_oid, f"NULL::{column.type_name}")


def _publication_replacements(relation: Relation, hidden: Hidden) -> dict[str, str]:
    """Since 15, publications may have lists of columns and filters of rows."""
    partial = {r.oid: r for r, _, _ in hidden.columns}.values()
    if not partial or relation.column("rowfilter") is None:
        return {}
    columns = _rows((r.schema, r.name, name) for r, name, _ in hidden.columns)
    named = "(t.schemaname::pg_catalog.text, t.tablename::pg_catalog.text"
    listed = "SELECT u.a FROM pg_catalog.unnest(t.attnames) AS u (a) WHERE "
    listed += f"{named}, u.a::pg_catalog.text) NOT IN ({columns})"
    tables = _rows((r.schema, r.name) for r in partial)
    return {
        "attnames": f"ARRAY({listed})",
        "rowfilter": f"CASE WHEN {named}) NOT IN ({tables}) THEN t.rowfilter END",
    }


def _class_replacements(relation: Relation, hidden: Hidden) -> dict[str, str]:
    out: dict[str, str] = {}
    if hidden.unsized:
        relations = oids(r.oid for r in hidden.unsized)
        toasts = f"SELECT r.reltoastrelid FROM pg_catalog.pg_class AS r WHERE r.oid = ANY ({relations})"
        unsized = (
            f"t.oid = ANY ({relations}) OR t.relkind = 't' AND t.oid IN ({toasts}) OR t.relkind IN ('i', 'I') "
            f"AND EXISTS (SELECT 1 FROM pg_catalog.pg_index AS x WHERE x.indexrelid = t.oid "
            f"AND (x.indrelid = ANY ({relations}) OR x.indrelid IN ({toasts})))"
        )
        unsized = f"t.oid >= 16384 AND ({unsized})"
        out["reltuples"] = f"CASE WHEN {unsized} THEN (-1)::pg_catalog.float4 ELSE t.reltuples END"
        for name in ("relpages", "relallvisible", "relallfrozen"):
            if relation.column(name) is not None:
                out[name] = f"CASE WHEN {unsized} THEN 0 ELSE t.{name} END"
    if hidden.checks:
        cases = " ".join(f"WHEN {oid} THEN {number}::pg_catalog.int2" for oid, number in sorted(hidden.checks.items()))
        out["relchecks"] = f"CASE t.oid {cases} ELSE t.relchecks END"
    if hidden.bounded:
        out["relpartbound"] = f"CASE WHEN t.oid <> ALL ({oids(hidden.bounded)}) THEN t.relpartbound END"
    return out


def _hidden_views(hidden: Hidden) -> str:
    """A query of the names of views that read anything hidden."""
    if not hidden.touched_oids:
        return ""
    return (
        "SELECT n.nspname::pg_catalog.text, c.relname::pg_catalog.text FROM pg_catalog.pg_depend AS d "
        "JOIN pg_catalog.pg_rewrite AS r ON r.oid = d.objid JOIN pg_catalog.pg_class AS c ON c.oid = r.ev_class "
        f"{_NAMED}c.relnamespace WHERE d.classid = {reg('pg_rewrite')} AND d.refclassid = {reg('pg_class')} "
        f"AND d.refobjid = ANY ({oids(hidden.touched_oids)}) AND "
        f"(d.refobjid = ANY ({oids(hidden.relation_oids)}) OR {hidden.column('d.refobjid', 'd.refobjsubid')})"
    )


def _form(relation: Relation, conditions: list[str], replacements: Mapping[str, str]) -> str:
    outputs = [
        f"{replacements[c.name]} AS {quote_identifier(c.name)}"
        if c.name in replacements
        else f"t.{quote_identifier(c.name)}"
        for c in relation.columns
        if c.number > 0
    ]
    where = " WHERE " + " AND ".join(conditions) if conditions else ""
    base = f"{quote_identifier(relation.schema)}.{quote_identifier(relation.name)}"
    return f"(SELECT {', '.join(outputs)} FROM {base} AS t{where})"
