"""Functions that print definitions, tell sizes or read comments: what stands around their arguments, or their calls."""

from __future__ import annotations

from proxy.rewrite.allowed import SIZE_FUNCTIONS, WHOLE_SIZE_FUNCTIONS
from proxy.rewrite.catalog_hidden import Hidden, oids


def _guard(condition: str, kind: str = "oid") -> str:
    """What takes the place of a function's first argument: NULL where `condition` is not true of it, `w.o`."""
    cast = {"oid": "::pg_catalog.oid", "any": ""}.get(kind, "::pg_catalog.regclass::pg_catalog.oid")
    shown = "w.o::pg_catalog.regclass" if kind == "sized" else "w.o"
    return f"(SELECT {shown} FROM (SELECT ({{argument}}){cast} AS o OFFSET 0) AS w WHERE {condition})"


def guarded_arguments(hidden: Hidden) -> dict[str, str]:
    """The first argument of functions that print a definition: NULL where the app has no such thing."""
    there = f"NOT ({hidden.gone('w.o')})"
    reads_hidden = (
        "EXISTS (SELECT 1 FROM pg_catalog.pg_rewrite AS r WHERE r.ev_class = w.o "
        f"AND {hidden.depends('pg_rewrite', 'r.oid')})"
    )
    views = oids(view.oid for view in hidden.views)
    rule = f"EXISTS (SELECT 1 FROM pg_catalog.pg_rewrite AS r WHERE r.oid = w.o AND r.ev_class = ANY ({views}))"
    builtin = (
        "EXISTS (SELECT 1 FROM pg_catalog.pg_proc AS p WHERE p.oid = w.o "
        "AND p.pronamespace = 'pg_catalog'::pg_catalog.regnamespace)"
    )
    kept = oids(part.oid for part in hidden.kept.get("pg_partitioned_table", ()))
    keys = f"{there} AND NOT (w.o = ANY ({oids(hidden.touched_oids)}) AND w.o <> ALL ({kept}))"
    bounds = f"{there} AND w.o <> ALL ({oids(hidden.bounded)})"
    statistics = _guard(f"NOT ({hidden.part('pg_statistic_ext', 'w.o')})")
    trigger = f"NOT ({hidden.part('pg_trigger', 'w.o')}) AND NOT ({hidden.depends('pg_trigger', 'w.o')})"
    described = f"{there} AND w.o NOT IN (SELECT d.objid {hidden.described}) AND NOT ({hidden.function('w.o')})"
    return {
        **dict.fromkeys(sorted(SIZE_FUNCTIONS), _guard(f"w.o = ANY ({oids(hidden.sized)})", "sized")),
        **dict.fromkeys(sorted(WHOLE_SIZE_FUNCTIONS), _guard("false", "any")),
        "pg_get_indexdef": _guard(there, "relation"),
        "pg_index_column_has_property": _guard(there, "relation"),
        "pg_index_has_property": _guard(there, "relation"),
        "pg_get_constraintdef": _guard(f"NOT ({hidden.part('pg_constraint', 'w.o')})"),
        "pg_get_triggerdef": _guard(trigger),
        "pg_get_viewdef": _guard(f"{there} AND w.o <> ALL ({views}) AND NOT ({reads_hidden})", "relation"),
        "pg_get_ruledef": _guard(f"NOT ({hidden.depends('pg_rewrite', 'w.o')}) AND NOT ({rule})"),
        "pg_get_statisticsobjdef": statistics,
        "pg_get_statisticsobjdef_columns": statistics,
        "pg_get_statisticsobjdef_expressions": statistics,
        "pg_get_partkeydef": _guard(keys, "relation"),
        "pg_get_partition_constraintdef": _guard(bounds, "relation"),
        "pg_get_functiondef": _guard(builtin),
        "pg_get_function_sqlbody": _guard(builtin),
        "obj_description": _guard(described),
    }


def guarded_calls(hidden: Hidden) -> dict[tuple[str, int], tuple[str, ...]]:
    """Functions that say something of one column, or of any object: their whole call is guarded.

    (Name, number of arguments) -> the texts around and between the arguments. Functions that take a column by its name
    say NULL of hidden columns and of those that do not exist, so that nobody finds out which it is.
    """
    column = f"NOT ({hidden.gone('w.o')}) AND NOT ({hidden.column('w.o', 'w.n')})"
    thing = (
        f"NOT ({hidden.thing('w.c', 'w.o', 'w.n', parts=False)}) "
        f"AND (w.c, w.o) NOT IN (SELECT d.classid, d.objid {hidden.described})"
    )
    named = (
        f"NOT ({hidden.gone('w.o')}) AND (w.o <> ALL ({oids(hidden.partial_oids)}) OR EXISTS (SELECT 1 "
        "FROM pg_catalog.pg_attribute AS a WHERE a.attrelid = w.o AND w.c::pg_catalog.text = "
        "CASE WHEN pg_catalog.pg_typeof(w.c) = 'pg_catalog.int2'::pg_catalog.regtype THEN a.attnum::pg_catalog.text "
        f"ELSE a.attname::pg_catalog.text END AND NOT ({hidden.column('a.attrelid', 'a.attnum')})))"
    )
    its_column = hidden.column("a.attrelid", "a.attnum")
    counted = (
        f"w.o IS NULL OR (NOT ({hidden.gone('w.o')}) AND (w.o <> ALL ({oids(hidden.partial_oids)}) "
        "OR EXISTS (SELECT 1 FROM pg_catalog.pg_attribute AS a WHERE a.attrelid = w.o "
        f"AND a.attname::pg_catalog.text = w.c AND NOT ({its_column}))))"
    )
    return {
        # Its table is looked for before it: of one that does not exist, it says so itself.
        ("pg_get_serial_sequence", 2): (
            "(SELECT pg_catalog.pg_get_serial_sequence(w.t, w.c) FROM (SELECT a.t, a.c, "
            "pg_catalog.to_regclass(a.t)::pg_catalog.oid AS o FROM (SELECT (",
            ")::pg_catalog.text AS t, (",
            f")::pg_catalog.text AS c OFFSET 0) AS a OFFSET 0) AS w WHERE {counted})",
        ),
        ("has_column_privilege", 3): (
            "(SELECT pg_catalog.has_column_privilege(w.o, w.c, w.p) FROM (SELECT (",
            ")::pg_catalog.regclass::pg_catalog.oid AS o, (",
            ") AS c, (",
            f") AS p OFFSET 0) AS w WHERE {named})",
        ),
        ("has_column_privilege", 4): (
            "(SELECT pg_catalog.has_column_privilege(w.u, w.o, w.c, w.p) FROM (SELECT (",
            ") AS u, (",
            ")::pg_catalog.regclass::pg_catalog.oid AS o, (",
            ") AS c, (",
            f") AS p OFFSET 0) AS w WHERE {named})",
        ),
        ("col_description", 2): (
            "(SELECT pg_catalog.col_description(w.o, w.n) FROM (SELECT (",
            ")::pg_catalog.regclass::pg_catalog.oid AS o, (",
            f")::pg_catalog.int4 AS n OFFSET 0) AS w WHERE {column})",
        ),
        ("pg_describe_object", 3): (
            "(SELECT pg_catalog.pg_describe_object(w.c, w.o, w.n) FROM (SELECT (",
            ")::pg_catalog.regclass::pg_catalog.oid AS c, (",
            ")::pg_catalog.oid AS o, (",
            f")::pg_catalog.int4 AS n OFFSET 0) AS w WHERE {thing})",
        ),
    }
