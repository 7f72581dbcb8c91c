"""Pass: the system catalogs show an app what it has: no dropped column, no relation that is refused to it, no
definition of either.

`system_catalog` makes, once for each app, the texts that stand in the place of catalogs; dependencies (indexes,
constraints, defaults,
triggers, statistics of a hidden column) are asked of pg_depend by the text itself, so that they are never out of date.
"""

from __future__ import annotations

from collections.abc import Mapping

from proxy.catalog.model import Relation, Snapshot
from proxy.policy.table import AppPolicy
from proxy.rewrite.allowed import SIZE_FUNCTIONS
from proxy.rewrite.analyse import ViewOf, no_views
from proxy.rewrite.context import Context
from proxy.rewrite.lex import quote_identifier, quote_literal
from proxy.rewrite.result import SystemCatalog
from proxy.rewrite.scope import SYSTEM_SCHEMAS
from proxy.rewrite.select import place, shorten_names, system_columns

# Catalogs without anything of the relations' own: they pass as they are.
_OPEN = frozenset(
    """
    pg_aggregate pg_am pg_amop pg_amproc pg_auth_members pg_available_extension_versions pg_available_extensions pg_cast
    pg_collation pg_conversion pg_database pg_db_role_setting pg_default_acl pg_depend pg_enum pg_event_trigger
    pg_extension
    pg_foreign_data_wrapper pg_group pg_inherits pg_init_privs pg_language pg_namespace pg_opclass pg_operator
    pg_opfamily
    pg_parameter_acl pg_partitioned_table pg_publication pg_publication_namespace pg_publication_rel pg_range pg_roles
    pg_sequence pg_settings pg_shdepend pg_shdescription pg_tablespace pg_timezone_abbrevs pg_timezone_names
    pg_transform
    pg_ts_config pg_ts_config_map pg_ts_dict pg_ts_parser pg_ts_template pg_type pg_user
    """.split()
)

# information_schema's relations that hold values or options of servers are left out, hence refused.
_REFUSED_INFORMATION = frozenset({"foreign_servers", "foreign_server_options", "user_mapping_options", "user_mappings"})

# Columns that hold a definition's text, by relation: shown as NULL where anything is hidden from the app.
_DEFINITIONS = {
    "pg_views": ("definition",),
    "pg_matviews": ("definition",),
    "pg_rules": ("definition",),
    "pg_rewrite": ("ev_qual", "ev_action"),
    "pg_sequences": ("last_value",),
    "pg_proc": ("prosrc", "probin", "prosqlbody"),
    "views": ("view_definition",),
    "routines": ("routine_definition",),
    "triggers": ("action_condition", "action_statement"),
}


class _Hidden:
    """What the catalogs must not show one app."""

    def __init__(self, app: AppPolicy, snapshot: Snapshot, view_of: ViewOf) -> None:
        self.columns: list[tuple[Relation, str, int]] = []
        self.relations: list[Relation] = []
        self.unsized: list[Relation] = []  # governed, and not plain: their sizes tell of hidden rows
        self.views: list[Relation] = []  # read by their definitions, which are not shown
        self.shown: list[Relation] = []  # every row and column of them: their sizes tell nothing else
        for relation in snapshot.relations.values():
            if relation.schema in SYSTEM_SCHEMAS or relation.schema == "pg_toast":
                continue
            table = app.tables.get(relation.key)
            if table is not None:
                (self.shown if table.plain else self.unsized).append(relation)
                for column in table.columns:
                    model = relation.column(column.name)
                    if column.treatment.action == "drop" and model is not None:
                        self.columns.append((relation, column.name, model.number))
            elif (view := view_of(relation)) is not None and view.refusal is None:
                self.views.append(relation)
                for read, model in zip(view.columns, relation.columns, strict=True):
                    if read.action == "drop":
                        self.columns.append((relation, read.name, model.number))
            elif relation.kind in "rvmfp":
                readable = readable_view(relation, app, snapshot)
                (self.shown if readable else self.relations).append(relation)

    def __bool__(self) -> bool:
        return bool(self.columns or self.relations or self.unsized or self.views)

    @property
    def oids(self) -> str:
        return _oids(self.relations)

    @property
    def pairs(self) -> str:
        """The hidden columns as rows for IN; never empty, for no relation has the oid 0."""
        return ", ".join(f"({relation.oid}, {number})" for relation, _, number in self.columns) or "(0, 0)"

    @property
    def with_hidden_columns(self) -> str:
        return _oids([relation for relation, _, _ in self.columns])

    # The conditions below are sub-queries that refer to nothing outside: PostgreSQL runs each once, and does not plan
    # it as one more join.

    def depends(self, catalog: str, oid: str) -> str:
        """True where the object `oid` of `catalog` depends on a hidden column."""
        return (
            f"{oid} IN (SELECT d.objid FROM pg_catalog.pg_depend AS d WHERE d.classid = "
            f"'pg_catalog.{catalog}'::pg_catalog.regclass AND {self._on_columns})"
        )

    def index(self, oid: str) -> str:
        """True where an index has a hidden column, by itself or by the key that it is for."""
        keys = (
            f"{oid} IN (SELECT x.indexrelid FROM pg_catalog.pg_index AS x, pg_catalog.unnest(x.indkey) AS k (number) "
            f"WHERE x.indrelid = ANY ({self.with_hidden_columns}) AND (x.indrelid, k.number) IN ({self.pairs}))"
        )
        return f"({self.depends('pg_class', oid)} OR {keys})"

    def constraint(self, oid: str) -> str:
        """True where a constraint is of a hidden column, or of a domain that a hidden column has."""
        domains = (
            f"{oid} IN (SELECT k.oid FROM pg_catalog.pg_constraint AS k JOIN pg_catalog.pg_attribute AS a "
            f"ON a.atttypid = k.contypid WHERE (a.attrelid, a.attnum) IN ({self.pairs}))"
        )
        return f"({self.depends('pg_constraint', oid)} OR {domains})"

    @property
    def described(self) -> str:
        """The objects that depend on anything hidden: what comments must not be on, FROM and WHERE."""
        return (
            "FROM pg_catalog.pg_depend AS d WHERE d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass "
            f"AND ((d.refobjid, d.refobjsubid) IN ({self.pairs}) OR d.refobjid = ANY ({self.oids}))"
        )

    @property
    def _on_columns(self) -> str:
        return (
            "d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass "
            f"AND (d.refobjid, d.refobjsubid) IN ({self.pairs})"
        )


def readable_view(relation: Relation, app: AppPolicy, snapshot: Snapshot) -> bool:
    """An unlisted view or relation that the app may read: unlisted tables are open, or the view reads open relations
    only.
    """
    if relation.kind == "v":
        for oid in relation.reads:
            read = snapshot.by_oid.get(oid)
            if read is None or read.kind == "v":
                continue
            if read.schema in SYSTEM_SCHEMAS:
                if read.name not in _OPEN:
                    return False
                continue
            table = app.tables.get(read.key)
            if not (table.plain if table is not None else _unlisted_open(read, app)):
                return False
        return bool(relation.reads) or app.unlisted_tables == "open"
    return _unlisted_open(relation, app)


def _unlisted_open(relation: Relation, app: AppPolicy) -> bool:
    return relation.key in app.open_tables or (app.unlisted_tables == "open" and relation.schema != "consentry")


def _oids(relations: list[Relation]) -> str:
    return "'{" + ",".join(str(r.oid) for r in relations) + "}'::pg_catalog.oid[]"


def system_catalog(app: AppPolicy, snapshot: Snapshot, view_of: ViewOf = no_views) -> SystemCatalog:
    """The catalogs as the app has them. `view_of`: what it has of views that the rules do not list."""
    hidden = _Hidden(app, snapshot, view_of)
    opened = {("pg_catalog", name) for name in _OPEN}
    forms: dict[tuple[str, str], str] = {}
    conditions = _conditions(hidden)
    for (schema, name), relation in snapshot.relations.items():
        if schema == "pg_catalog" and name in conditions:
            forms[schema, name] = _form(relation, conditions[name], _replacements(relation, hidden))
        elif schema == "information_schema" and name not in _REFUSED_INFORMATION:
            condition = _information_condition(relation, hidden)
            replacements = _replacements(relation, hidden)
            if condition or replacements:
                forms[schema, name] = _form(relation, condition, replacements)
            else:
                opened.add((schema, name))
    if not hidden:
        return SystemCatalog(frozenset(opened | forms.keys()), {}, {})
    return SystemCatalog(frozenset(opened), forms, _arguments(hidden))


def _conditions(hidden: _Hidden) -> Mapping[str, list[str]]:
    """Of each catalog that is filtered: the conditions under which a row `t` is shown."""
    unseen = f"<> ALL ({hidden.oids})"
    names = ", ".join(f"({quote_literal(r.schema)}, {quote_literal(r.name)})" for r in hidden.relations) or "('', '')"

    def named(schema: str, name: str) -> str:
        return f"(t.{schema}::pg_catalog.text, t.{name}::pg_catalog.text) NOT IN ({names})"

    hidden_indexes = (
        "SELECT n.nspname, i.relname FROM pg_catalog.pg_class AS i JOIN pg_catalog.pg_namespace AS n ON n.oid = "
        "i.relnamespace "
        f"WHERE i.relkind IN ('i', 'I') AND {hidden.index('i.oid')}"
    )
    of_hidden = f"(SELECT x.indexrelid FROM pg_catalog.pg_index AS x WHERE x.indrelid = ANY ({hidden.oids}))"
    return {
        "pg_attribute": [
            f"(t.attrelid, t.attnum) NOT IN ({hidden.pairs})",
            f"t.attrelid {unseen}",
            f"NOT ({hidden.index('t.attrelid')})",
        ],
        "pg_attrdef": [f"t.adrelid {unseen}", f"NOT ({hidden.depends('pg_attrdef', 't.oid')})"],
        "pg_class": [f"t.oid {unseen}", f"NOT ({hidden.index('t.oid')})", f"t.oid NOT IN {of_hidden}"],
        "pg_constraint": [f"t.conrelid {unseen}", f"NOT ({hidden.constraint('t.oid')})"],
        "pg_description": [
            f"(t.classoid <> 'pg_catalog.pg_class'::pg_catalog.regclass OR ((t.objoid, t.objsubid) NOT IN "
            f"({hidden.pairs}) "
            f"AND t.objoid {unseen}))",
            f"(t.classoid, t.objoid, t.objsubid) NOT IN (SELECT d.classid, d.objid, d.objsubid {hidden.described})",
            f"NOT (t.classoid = 'pg_catalog.pg_class'::pg_catalog.regclass AND {hidden.index('t.objoid')})",
        ],
        "pg_index": [f"t.indrelid {unseen}", f"NOT ({hidden.index('t.indexrelid')})"],
        "pg_indexes": [named("schemaname", "tablename"), f"(t.schemaname, t.indexname) NOT IN ({hidden_indexes})"],
        "pg_matviews": [named("schemaname", "matviewname")],
        "pg_policy": ["false"],
        "pg_policies": ["false"],
        "pg_proc": [],
        "pg_rewrite": [f"t.ev_class {unseen}"],
        "pg_rules": [named("schemaname", "tablename")],
        "pg_sequences": [],
        "pg_statistic_ext": [f"t.stxrelid {unseen}", f"NOT ({hidden.depends('pg_statistic_ext', 't.oid')})"],
        "pg_tables": [named("schemaname", "tablename")],
        "pg_trigger": [f"t.tgrelid {unseen}", f"t.tgrelid <> ALL ({hidden.with_hidden_columns})"],
        "pg_views": [named("schemaname", "viewname")],
    }


def _information_condition(relation: Relation, hidden: _Hidden) -> list[str]:
    """The same for a view of information_schema, by the columns that it has."""
    names = {column.name for column in relation.columns}
    conditions = []
    for schema, table in (("table_schema", "table_name"), ("event_object_schema", "event_object_table")):
        if not {schema, table} <= names:
            continue
        qualified = f"t.{schema}::pg_catalog.text, t.{table}::pg_catalog.text"
        if hidden.relations:
            rows = ", ".join(f"({quote_literal(r.schema)}, {quote_literal(r.name)})" for r in hidden.relations)
            conditions.append(f"({qualified}) NOT IN ({rows})")
        column = next((c for c in ("column_name", "event_object_column") if c in names), None)
        if column is not None and hidden.columns:
            rows = ", ".join(
                f"({quote_literal(r.schema)}, {quote_literal(r.name)}, {quote_literal(c)})"
                for r, c, _ in hidden.columns
            )
            conditions.append(f"({qualified}, t.{column}::pg_catalog.text) NOT IN ({rows})")
    if {"constraint_schema", "constraint_name"} <= names and hidden.columns:
        dependent = (
            "SELECT n.nspname::pg_catalog.text, k.conname::pg_catalog.text FROM pg_catalog.pg_constraint AS k "
            "JOIN pg_catalog.pg_namespace AS n ON n.oid = k.connamespace "
            f"WHERE {hidden.constraint('k.oid')}"
        )
        conditions.append(
            f"(t.constraint_schema::pg_catalog.text, t.constraint_name::pg_catalog.text) NOT IN ({dependent})"
        )
    return conditions


def _replacements(relation: Relation, hidden: _Hidden) -> dict[str, str]:
    """Columns whose value is not the catalog's own."""
    out: dict[str, str] = {}
    if relation.name == "pg_class" and hidden.unsized:
        relations = _oids(hidden.unsized)
        toasts = f"SELECT r.reltoastrelid FROM pg_catalog.pg_class AS r WHERE r.oid = ANY ({relations})"
        unsized = (
            f"t.oid = ANY ({relations}) OR t.oid IN ({toasts}) OR EXISTS (SELECT 1 FROM pg_catalog.pg_index AS x "
            f"WHERE x.indexrelid = t.oid AND (x.indrelid = ANY ({relations}) OR x.indrelid IN ({toasts})))"
        )
        out["reltuples"] = f"CASE WHEN {unsized} THEN (-1)::pg_catalog.float4 ELSE t.reltuples END"
        for name in ("relpages", "relallvisible", "relallfrozen"):
            out[name] = f"CASE WHEN {unsized} THEN 0 ELSE t.{name} END"
    for name in _DEFINITIONS.get(relation.name, ()):
        column = relation.column(name)
        if column is None:
            continue
        value = f"NULL::{column.type_name}"
        if relation.name == "pg_proc":
            value = f"CASE WHEN t.pronamespace = 'pg_catalog'::pg_catalog.regnamespace THEN t.{name} ELSE {value} END"
        out[name] = value
    return out


def _form(relation: Relation, conditions: list[str], replacements: Mapping[str, str]) -> str:
    outputs = [
        f"{replacements[c.name]} AS {quote_identifier(c.name)}"
        if c.name in replacements
        else f"t.{quote_identifier(c.name)}"
        for c in relation.columns
    ]
    where = " WHERE " + " AND ".join(conditions) if conditions else ""
    base = f"{quote_identifier(relation.schema)}.{quote_identifier(relation.name)}"
    return f"(SELECT {', '.join(outputs)} FROM {base} AS t{where})"


def _arguments(hidden: _Hidden) -> dict[str, str]:
    """The first argument of functions that print a definition: NULL where the app has no such thing."""
    unseen = f"w.o <> ALL ({hidden.oids})"
    indexed = f"NOT ({hidden.index('w.o')})"

    def guarded(kind: str, *conditions: str) -> str:
        cast = "pg_catalog.regclass::pg_catalog.oid" if kind == "relation" else "pg_catalog.oid"
        return f"(SELECT w.o FROM (SELECT ({{argument}})::{cast} AS o OFFSET 0) AS w WHERE {' AND '.join(conditions)})"

    views = (
        "NOT EXISTS (SELECT 1 FROM pg_catalog.pg_rewrite AS r JOIN pg_catalog.pg_depend AS d "
        "ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = r.oid "
        f"WHERE r.ev_class = w.o AND (d.refobjid, d.refobjsubid) IN ({hidden.pairs}))"
    )
    rules = (
        "NOT EXISTS (SELECT 1 FROM pg_catalog.pg_rewrite AS r WHERE r.oid = w.o "
        f"AND r.ev_class = ANY ({_oids(hidden.views)}))"
    )
    builtin = (
        "EXISTS (SELECT 1 FROM pg_catalog.pg_proc AS p WHERE p.oid = w.o "
        "AND p.pronamespace = 'pg_catalog'::pg_catalog.regnamespace)"
    )
    sized = guarded("relation", f"w.o = ANY ({_oids(hidden.shown)})").replace(
        "SELECT w.o FROM", "SELECT w.o::pg_catalog.regclass FROM", 1
    )
    hidden_triggers = (
        "SELECT g.oid FROM pg_catalog.pg_trigger AS g "
        f"WHERE g.tgrelid = ANY ({hidden.oids}) OR g.tgrelid = ANY ({hidden.with_hidden_columns})"
    )
    statistics = guarded("oid", f"NOT ({hidden.depends('pg_statistic_ext', 'w.o')})")
    return {
        **dict.fromkeys(sorted(SIZE_FUNCTIONS), sized),
        "pg_get_indexdef": guarded("relation", unseen, indexed),
        "pg_get_constraintdef": guarded("oid", f"NOT ({hidden.constraint('w.o')})"),
        "pg_get_triggerdef": guarded("oid", f"w.o NOT IN ({hidden_triggers})"),
        "pg_get_viewdef": guarded("relation", unseen, views, f"w.o <> ALL ({_oids(hidden.views)})"),
        "pg_get_ruledef": guarded("oid", f"NOT ({hidden.depends('pg_rewrite', 'w.o')})", rules),
        "pg_get_statisticsobjdef": statistics,
        "pg_get_statisticsobjdef_columns": statistics,
        "pg_get_statisticsobjdef_expressions": statistics,
        "pg_get_partkeydef": guarded("relation", unseen, f"w.o <> ALL ({hidden.with_hidden_columns})"),
        "pg_get_partition_constraintdef": guarded("relation", unseen, f"w.o <> ALL ({hidden.with_hidden_columns})"),
        "pg_get_functiondef": guarded("oid", builtin),
        "pg_get_function_sqlbody": guarded("oid", builtin),
        "obj_description": guarded(
            "oid", unseen, indexed, f"w.o NOT IN (SELECT d.objid {hidden.described} AND d.objsubid = 0)"
        ),
        "col_description": guarded("relation", unseen, f"w.o <> ALL ({hidden.with_hidden_columns})"),
    }


def rewrite_catalogs(context: Context) -> None:
    """Puts the app's own view of each system catalog in its place, and guards the functions that print definitions."""
    placed = []
    for reference in context.analysis.references:
        relation = reference.relation
        if relation is None or relation.schema not in SYSTEM_SCHEMAS:
            continue
        if reference.role == "read" and relation.key in context.system.open:
            continue
        form = context.system.form(relation.key, system_columns(context, reference))
        if form is None or reference.role != "read" or reference.sampled:
            raise context.refuse(
                f'permission denied for system relation "{relation.name}"',
                "It holds data or definitions that the rules cannot govern.",
                reference.start,
            )
        place(context, reference, form)
        placed.append(reference)
    shorten_names(context, placed)
    for call in context.analysis.functions:
        names = [part["String"]["sval"] for part in call["funcname"]]
        template = context.system.arguments.get(names[-1])
        if template is None or names[0] not in (names[-1], "pg_catalog") or "args" not in call:
            continue
        _guard_argument(context, call.get("location", 0), template)


def _guard_argument(context: Context, start: int, template: str) -> None:
    opened = context.name_end(context.token_at(start))
    closed = context.matching(opened)
    index, depth = opened + 1, 0
    while index < closed and not (depth == 0 and context.tokens[index].text == b","):
        text = context.tokens[index].text
        depth += (text in (b"(", b"[")) - (text in (b")", b"]"))
        index += 1
    before, after = template.split("{argument}")
    begin, end = context.tokens[opened + 1].start, context.tokens[index - 1].end
    context.edit(begin, begin, before)
    context.edit(end, end, after)
