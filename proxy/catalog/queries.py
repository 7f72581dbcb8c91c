"""The SQL of introspection. Every name is qualified: the queries run under an empty search path, on any database.

Temp schemas (pg_temp_N, pg_toast_temp_N) are left out everywhere: they belong to sessions.
"""

from __future__ import annotations

from proxy.catalog.model import MOST_ARGUMENTS

# Schemas whose name begins with pg_ are the server's own, so the pattern cannot hide a schema of a user's.
_NO_TEMP = r"NOT (n.nspname LIKE 'pg\_temp\_%' OR n.nspname LIKE 'pg\_toast\_temp\_%')"

SERVER = """
SELECT pg_catalog.current_setting('server_version_num')::int AS version,
       pg_catalog.current_database()::text AS database,
       pg_catalog.current_setting('server_encoding') AS encoding
"""

SCHEMAS = f"SELECT n.nspname::text AS name FROM pg_catalog.pg_namespace n WHERE {_NO_TEMP}"

RELATIONS = f"""
SELECT c.oid, n.nspname::text AS schema, c.relname::text AS name, c.relkind::text AS kind,
       c.relrowsecurity AS row_security,
       EXISTS (SELECT FROM pg_catalog.pg_rewrite r WHERE r.ev_class = c.oid AND r.ev_type <> '1') AS rules,
       COALESCE((SELECT pg_catalog.bool_or(o.option_value::pg_catalog.bool)
                 FROM pg_catalog.pg_options_to_table(c.reloptions) o
                 WHERE o.option_name = 'security_barrier'), false) AS barrier,
       owner.refobjid AS owner, owner.refobjsubid AS owner_column, c.reltype AS row_type
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_depend owner ON c.relkind = 'S' AND owner.objid = c.oid AND owner.deptype IN ('a', 'i')
      AND owner.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND owner.refclassid = owner.classid
WHERE {_NO_TEMP}
ORDER BY c.oid
"""


def columns(version: int) -> str:
    """Live columns of everything but indexes. Since 18 attnotnull is true for a NOT NULL that is not validated yet."""
    unproved = ""
    if version >= 180000:
        unproved = """ AND NOT EXISTS (
            SELECT FROM pg_catalog.pg_constraint k
            WHERE k.conrelid = a.attrelid AND k.contype = 'n' AND NOT k.convalidated AND k.conkey = ARRAY[a.attnum])"""
    return f"""
WITH shown AS MATERIALIZED (
    SELECT d.atttypid, d.atttypmod, pg_catalog.format_type(d.atttypid, d.atttypmod) AS name
    FROM (SELECT DISTINCT atttypid, atttypmod FROM pg_catalog.pg_attribute WHERE attnum > 0 AND NOT attisdropped) d
)
SELECT a.attrelid, a.attnum, a.attname::text, a.atttypid, shown.name,
       CASE WHEN a.attcollation <> t.typcollation THEN
            (SELECT pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(l.collname)
             FROM pg_catalog.pg_collation l JOIN pg_catalog.pg_namespace n ON n.oid = l.collnamespace
             WHERE l.oid = a.attcollation) END,
       a.attnotnull{unproved},
       (a.atthasdef AND a.attgenerated = '') OR a.attidentity <> '',
       a.attgenerated <> '', a.attgenerated = 'v'
FROM pg_catalog.pg_attribute a
JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
JOIN shown ON shown.atttypid = a.atttypid AND shown.atttypmod = a.atttypmod
WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind NOT IN ('i', 'I') AND {_NO_TEMP}
ORDER BY a.attrelid, a.attnum
"""


TYPES = """
SELECT t.oid, t.typname::text AS name, n.nspname::text AS schema, t.typtype::text AS kind, t.typbasetype AS base,
       t.typelem AS element, t.typcategory::text AS category, t.typlen AS length,
       t.typnamespace = 'pg_catalog'::pg_catalog.regnamespace AS system,
       (SELECT e.extname::text FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
        WHERE d.classid = 'pg_catalog.pg_type'::pg_catalog.regclass AND d.objid = t.oid AND d.deptype = 'e'
          AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass
          AND t.typnamespace <> 'pg_catalog'::pg_catalog.regnamespace) AS extension
FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
"""

# Types to which a value of another type becomes by itself.
IMPLICIT_CASTS = (
    "SELECT c.castsource AS source, c.casttarget AS target FROM pg_catalog.pg_cast c WHERE c.castcontext = 'i'"
)

# Per pair of types that a default btree operator family compares: whether = < > <= >= and <> (the negator of =) are all
# leakproof.
LEAKPROOF = """
SELECT a.amoplefttype AS left, a.amoprighttype AS right, pg_catalog.bool_and(p.proleakproof) AS leakproof
FROM pg_catalog.pg_opclass c
JOIN pg_catalog.pg_am m ON m.oid = c.opcmethod AND m.amname = 'btree'
JOIN pg_catalog.pg_amop a ON a.amopfamily = c.opcfamily AND a.amoplefttype = c.opcintype
                         AND a.amoppurpose = 's'
JOIN pg_catalog.pg_operator o ON o.oid = a.amopopr
LEFT JOIN pg_catalog.pg_operator u ON u.oid = o.oprnegate AND a.amopstrategy = 3
JOIN pg_catalog.pg_proc p ON p.oid = o.oprcode OR p.oid = u.oprcode
WHERE c.opcdefault
GROUP BY 1, 2
"""

KEYS = f"""
SELECT i.indrelid AS relation, i.indkey::text AS numbers, i.indnkeyatts::int AS width, i.indisprimary AS is_primary
FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_class c ON c.oid = i.indrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE i.indisunique AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL
  AND 0 <> ALL (i.indkey::int2[]) AND {_NO_TEMP}
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_attribute a
                  WHERE a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey::int2[]) AND a.attnum < 0)
ORDER BY i.indrelid, NOT i.indisprimary, i.indexrelid
"""

# What belongs to a relation and stands in another catalog. An index's own entry is in pg_class, a partition key's too.
PARTS = """
SELECT i.indrelid AS relation, 'pg_index' AS catalog, i.indexrelid AS oid, '' AS name, '' AS kind, false AS literal
FROM pg_catalog.pg_index i WHERE i.indrelid >= 16384
UNION ALL
SELECT k.conrelid, 'pg_constraint', k.oid, k.conname::text, k.contype::text, false
FROM pg_catalog.pg_constraint k WHERE k.conrelid >= 16384
UNION ALL
SELECT g.tgrelid, 'pg_trigger', g.oid, g.tgname::text, '', g.tgnargs > 0
FROM pg_catalog.pg_trigger g WHERE g.tgrelid >= 16384
UNION ALL
SELECT s.stxrelid, 'pg_statistic_ext', s.oid, s.stxname::text, '', false
FROM pg_catalog.pg_statistic_ext s WHERE s.stxrelid >= 16384
UNION ALL
SELECT d.adrelid, 'pg_attrdef', d.oid, '', '', false FROM pg_catalog.pg_attrdef d WHERE d.adrelid >= 16384
UNION ALL
SELECT p.polrelid, 'pg_policy', p.oid, p.polname::text, '', false FROM pg_catalog.pg_policy p
UNION ALL
SELECT w.ev_class, 'pg_rewrite', w.oid, w.rulename::text, '', false
FROM pg_catalog.pg_rewrite w WHERE w.ev_class >= 16384 AND w.ev_type <> '1'
UNION ALL
SELECT r.prrelid, 'pg_publication_rel', r.oid, '', '', false FROM pg_catalog.pg_publication_rel r
UNION ALL
SELECT p.partrelid, 'pg_partitioned_table', p.partrelid, '', '', false FROM pg_catalog.pg_partitioned_table p
"""

# pg_depend has the columns of expressions; where a constraint or an index stands on plain columns, the objects may
# depend on one another instead. The trigger of a foreign key has the key's columns. Before 15 a generated column itself
# depends on what its expression reads.
PART_USES = """
SELECT 'pg_attrdef' AS catalog, e.oid, d.refobjid AS relation, d.refobjsubid AS number
FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_attrdef e ON e.adrelid = d.objid AND e.adnum = d.objsubid
WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refclassid = d.classid AND d.objid >= 16384
  AND d.objid = d.refobjid AND d.refobjsubid > 0
UNION
SELECT c.relname::text, d.objid, d.refobjid, d.refobjsubid
FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_class c ON c.oid = d.classid
WHERE d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid >= 16384 AND d.classid = ANY (
    '{pg_catalog.pg_class,pg_catalog.pg_constraint,pg_catalog.pg_trigger,pg_catalog.pg_statistic_ext,
      pg_catalog.pg_attrdef,pg_catalog.pg_policy,pg_catalog.pg_publication_rel,pg_catalog.pg_rewrite}'::pg_catalog.regclass[]::pg_catalog.oid[])
UNION
SELECT 'pg_class', i.indexrelid, i.indrelid, k.number
FROM pg_catalog.pg_index i, pg_catalog.unnest(i.indkey::int2[]) AS k (number) WHERE i.indrelid >= 16384
UNION
SELECT 'pg_constraint', c.oid, c.conrelid, k.number
FROM pg_catalog.pg_constraint c, pg_catalog.unnest(c.conkey) AS k (number) WHERE c.conrelid >= 16384
UNION
SELECT 'pg_constraint', c.oid, c.confrelid, k.number
FROM pg_catalog.pg_constraint c, pg_catalog.unnest(c.confkey || 0::int2) AS k (number) WHERE c.confrelid >= 16384
UNION
SELECT 'pg_trigger', g.oid, c.conrelid, k.number
FROM pg_catalog.pg_trigger g JOIN pg_catalog.pg_constraint c ON c.oid = g.tgconstraint,
     pg_catalog.unnest(c.conkey) AS k (number)
UNION
SELECT 'pg_trigger', g.oid, c.confrelid, k.number
FROM pg_catalog.pg_trigger g JOIN pg_catalog.pg_constraint c ON c.oid = g.tgconstraint,
     pg_catalog.unnest(c.confkey || 0::int2) AS k (number)
"""

# What has a type in its signature: functions, casts, operators ... Columns, views and other types are not among them.
TYPE_DEPENDENTS = """
SELECT d.refobjid AS type, d.classid AS catalog, d.objid AS oid
FROM pg_catalog.pg_depend d
WHERE d.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass AND d.refobjid >= 16384 AND d.classid <> ALL (
    '{pg_catalog.pg_class,pg_catalog.pg_rewrite,pg_catalog.pg_type}'::pg_catalog.regclass[]::pg_catalog.oid[])
"""

INHERITS = "SELECT i.inhrelid AS child, i.inhparent AS parent FROM pg_catalog.pg_inherits i"

# User tables have rules too; only the SELECT rule of a view says what reading it reads.
VIEW_TREES = """
SELECT r.ev_class AS oid, r.ev_action::text AS tree
FROM pg_catalog.pg_rewrite r
JOIN pg_catalog.pg_class c ON c.oid = r.ev_class AND c.relkind IN ('v', 'm')
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE r.ev_type = '1'
"""

VIEW_DEFINITIONS = f"""
SELECT c.oid, pg_catalog.pg_get_viewdef(c.oid) AS definition
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('v', 'm') AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND {_NO_TEMP}
"""

_EXTENSION_OF_FUNCTION = """LEFT JOIN pg_catalog.pg_depend d
    ON d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = p.oid
    AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND d.deptype = 'e'
LEFT JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid"""

# `t.f` calls f(t) where f can be called with one argument that a row fits: defaults and VARIADIC count.
FUNCTIONS = f"""
SELECT p.proname::text, n.nspname::text, e.extname::text,
       t.oid IS NOT NULL AND p.pronargs > 0
           AND (p.pronargs - p.pronargdefaults <= 1 OR (p.pronargs = 2 AND p.provariadic <> 0))
           AND (t.typtype = 'c' OR COALESCE(b.typtype = 'c', false)
                OR t.typname IN ('record', 'any', 'anyelement', 'anynonarray', 'anycompatible', 'anycompatiblenonarray')
           ),
       (p.pronargs - p.pronargdefaults)::int4, CASE WHEN p.provariadic <> 0 THEN {MOST_ARGUMENTS} ELSE p.pronargs END,
       COALESCE(t.typcategory = 'S', false),
       l.lanname = 'internal' AND p.prosrc ~ '^(multi)?range_constructor[0-3]$',
       CASE WHEN n.nspname <> 'pg_catalog' THEN p.proargtypes::oid[] END
FROM pg_catalog.pg_proc p
JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
JOIN pg_catalog.pg_language l ON l.oid = p.prolang
LEFT JOIN pg_catalog.pg_type t ON t.oid = p.proargtypes[0]
LEFT JOIN pg_catalog.pg_type b ON b.oid = t.typbasetype
{_EXTENSION_OF_FUNCTION}
WHERE {_NO_TEMP}
"""

RAISING = f"""
SELECT p.prosrc AS source
FROM pg_catalog.pg_proc p
JOIN pg_catalog.pg_language l ON l.oid = p.prolang AND l.lanname = 'plpgsql'
JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
WHERE p.prosrc ~* '\\mraise\\M' AND {_NO_TEMP}
"""

FOREIGN_OPERATORS = f"""
SELECT o.oprname::text AS name, n.nspname::text AS schema, pn.nspname::text AS function_schema,
       p.proname::text AS function, o.oprleft AS lefthand, o.oprright AS righthand
FROM pg_catalog.pg_operator o
JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace
LEFT JOIN pg_catalog.pg_proc p ON p.oid = o.oprcode
LEFT JOIN pg_catalog.pg_namespace pn ON pn.oid = p.pronamespace
LEFT JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_operator'::pg_catalog.regclass AND d.objid = o.oid
      AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND d.deptype = 'e'
LEFT JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
WHERE n.nspname <> 'pg_catalog' AND {_NO_TEMP} AND (e.extname IS NULL OR NOT e.extname = ANY ($1::text[]))
ORDER BY o.oid
"""


def bodies(version: int) -> str:
    """Foreign functions with their bodies, and what pg_depend says that they need. Standard bodies are since 14."""
    standard = "p.prosqlbody IS NOT NULL" if version >= 140000 else "false"
    needs = """ARRAY(SELECT r.refobjid FROM pg_catalog.pg_depend r
             WHERE r.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND r.objid = p.oid
               AND r.refclassid = 'pg_catalog.{}'::pg_catalog.regclass)"""
    return f"""
SELECT p.oid, n.nspname::text AS schema, p.proname::text AS name, l.lanname::text AS language, p.prosrc AS source,
       {standard} AS standard, {needs.format("pg_class")} AS relations, {needs.format("pg_proc")}
         || CASE WHEN p.prokind = 'a' THEN
                 (SELECT ARRAY[a.aggtransfn, a.aggfinalfn, a.aggcombinefn, a.aggmtransfn, a.aggminvtransfn,
                               a.aggmfinalfn]::oid[]
                  FROM pg_catalog.pg_aggregate a WHERE a.aggfnoid = p.oid) ELSE '{{}}' END AS functions,
       p.prokind = 'a' AS aggregate,
       l.lanname = 'sql' AND p.prokind = 'f' AND NOT p.prosecdef AND p.proconfig IS NULL AS inlined,
       NOT {standard} AND NOT EXISTS (SELECT FROM pg_catalog.unnest(p.proconfig) AS s (setting)
                                      WHERE s.setting LIKE 'search_path=%pg_temp%') AS by_path
FROM pg_catalog.pg_proc p
JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
JOIN pg_catalog.pg_language l ON l.oid = p.prolang
{_EXTENSION_OF_FUNCTION}
WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'consentry') AND {_NO_TEMP}
  AND (e.extname IS NULL OR NOT e.extname = ANY ($1::text[]))
"""


# Functions that run wherever a value of a type is made, cast or compared. Only foreign ones are of interest.
BEHIND_TYPES = """
SELECT x.type, x.function FROM (
    SELECT t.oid AS type, f.oid AS function
    FROM pg_catalog.pg_type t CROSS JOIN LATERAL
         (VALUES (t.typinput::oid), (t.typoutput::oid), (t.typreceive::oid), (t.typsend::oid), (t.typmodin::oid),
                 (t.typmodout::oid)) AS f(oid)
    UNION SELECT r.rngtypid, f.oid FROM pg_catalog.pg_range r
          CROSS JOIN LATERAL (VALUES (r.rngcanonical::oid), (r.rngsubdiff::oid)) AS f(oid)
    UNION SELECT k.contypid, COALESCE(o.oprcode::oid, d.refobjid) FROM pg_catalog.pg_constraint k
          JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass AND d.objid = k.oid
          LEFT JOIN pg_catalog.pg_operator o
               ON d.refclassid = 'pg_catalog.pg_operator'::pg_catalog.regclass AND o.oid = d.refobjid
          WHERE k.contypid <> 0 AND d.refclassid IN
                ('pg_catalog.pg_operator'::pg_catalog.regclass, 'pg_catalog.pg_proc'::pg_catalog.regclass)
    UNION SELECT f.oid, c.castfunc FROM pg_catalog.pg_cast c
          CROSS JOIN LATERAL (VALUES (c.castsource), (c.casttarget)) AS f(oid) WHERE c.castfunc <> 0
    UNION SELECT c.opcintype, s.amproc::oid FROM pg_catalog.pg_opclass c
          JOIN pg_catalog.pg_amproc s ON s.amprocfamily = c.opcfamily AND s.amproclefttype = c.opcintype
    UNION SELECT c.opcintype, o.oprcode::oid FROM pg_catalog.pg_opclass c
          JOIN pg_catalog.pg_amop s ON s.amopfamily = c.opcfamily AND s.amoplefttype = c.opcintype
          JOIN pg_catalog.pg_operator o ON o.oid = s.amopopr
) x WHERE x.function = ANY ($1::oid[])
"""


def _needed(kind: str, classes: str, what: str, relation: str, rows: str) -> str:
    """Functions, and those of operators, that pg_depend says an object of pg_catalog.`classes` (`x`) needs."""
    return f"""
SELECT '{kind}', {what}, {relation}, COALESCE(o.oprcode::oid, d.refobjid) FROM {rows}
JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.{classes}'::pg_catalog.regclass AND d.objid = x.oid
LEFT JOIN pg_catalog.pg_operator o
     ON d.refclassid = 'pg_catalog.pg_operator'::pg_catalog.regclass AND o.oid = d.refobjid
WHERE d.refclassid IN ('pg_catalog.pg_operator'::pg_catalog.regclass, 'pg_catalog.pg_proc'::pg_catalog.regclass)"""


# What runs functions that no statement names: its kind, its name, the relation that it stands on, the function.
UNNAMED_CALLS = f"""
SELECT kind, what, relation, function FROM (
SELECT 'trigger' AS kind, t.tgname::text AS what, t.tgrelid AS relation, t.tgfoid::oid AS function
FROM pg_catalog.pg_trigger t WHERE NOT t.tgisinternal
UNION ALL SELECT 'event trigger', e.evtname::text, 0::oid, e.evtfoid::oid FROM pg_catalog.pg_event_trigger e
UNION ALL {
    _needed(
        "default of column",
        "pg_attrdef",
        "a.attname::text",
        "x.adrelid",
        "pg_catalog.pg_attrdef x JOIN pg_catalog.pg_attribute a ON a.attrelid = x.adrelid AND a.attnum = x.adnum",
    )
}
UNION ALL {_needed("constraint", "pg_constraint", "x.conname::text", "x.conrelid", "pg_catalog.pg_constraint x")}
  AND x.conrelid <> 0
UNION ALL {
    _needed("domain", "pg_constraint", "x.contypid::pg_catalog.regtype::text", "0::oid", "pg_catalog.pg_constraint x")
} AND x.contypid <> 0
UNION ALL {_needed("row security policy", "pg_policy", "x.polname::text", "x.polrelid", "pg_catalog.pg_policy x")}
UNION ALL {
    _needed(
        "index",
        "pg_class",
        "x.relname::text",
        "i.indrelid",
        "pg_catalog.pg_class x JOIN pg_catalog.pg_index i ON i.indexrelid = x.oid",
    )
}
UNION ALL SELECT 'cast', c.castsource::pg_catalog.regtype || ' to ' || c.casttarget::pg_catalog.regtype, 0::oid,
       c.castfunc
FROM pg_catalog.pg_cast c
UNION ALL SELECT 'operator', o.oid::pg_catalog.regoperator::text, 0::oid, f.oid
FROM pg_catalog.pg_operator o
CROSS JOIN LATERAL (VALUES (o.oprcode::oid), (o.oprrest::oid), (o.oprjoin::oid)) AS f(oid)
UNION ALL SELECT 'operator class', c.opcname::text, 0::oid, s.amproc::oid
FROM pg_catalog.pg_opclass c JOIN pg_catalog.pg_amproc s ON s.amprocfamily = c.opcfamily
UNION ALL SELECT 'type', t.oid::pg_catalog.regtype::text, 0::oid, f.oid
FROM pg_catalog.pg_type t LEFT JOIN pg_catalog.pg_range r ON r.rngtypid = t.oid
CROSS JOIN LATERAL (VALUES (t.typinput::oid), (t.typoutput::oid), (r.rngcanonical::oid), (r.rngsubdiff::oid)) AS f(oid)
) x
WHERE x.function IN (SELECT p.oid FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
                     WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'consentry') AND {_NO_TEMP})
ORDER BY 1, 2, 3, 4
"""


def type_parts(version: int) -> str:
    """What types are made of: a range of its subtype, a composite of its columns, a multirange (since 14) of ranges."""
    multiranges = "UNION ALL SELECT r.rngmultitypid, r.rngtypid FROM pg_catalog.pg_range r" if version >= 140000 else ""
    return f"""
SELECT r.rngtypid AS type, r.rngsubtype AS part FROM pg_catalog.pg_range r {multiranges}
UNION ALL
SELECT t.oid, a.atttypid FROM pg_catalog.pg_type t
JOIN pg_catalog.pg_class c ON c.oid = t.typrelid AND c.relkind = 'c'
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
"""


def _sum(of: str, *columns: str) -> str:
    """A sum over rows of a hash of each: whatever their order, every added, removed or changed row shows."""
    return f"pg_catalog.sum(pg_catalog.hashtextextended(pg_catalog.concat_ws(' ', {', '.join(columns)}), 0)) FROM {of}"


_LIVE = f"""live AS MATERIALIZED (
    SELECT c.oid, n.nspname, c.relname, c.relkind, c.relrowsecurity, c.reloptions
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE {_NO_TEMP}
)"""

# xmin is what makes this cheap: DDL writes a new version of the catalog's row, and a new version has another xmin.
# Where ordinary work writes new versions too (pg_class: TRUNCATE, GRANT, VACUUM FULL; pg_index: REINDEX), the columns
# that matter are hashed instead. Who may use a schema decides on which names are found in it.
# Statistics are written in place and leave xmin alone.
FINGERPRINT = f"""
WITH {_LIVE}
SELECT pg_catalog.md5(pg_catalog.concat_ws('/',
    (SELECT {_sum("live", "oid", "nspname", "relname", "relkind", "relrowsecurity", "reloptions")}),
    (SELECT {
    _sum(
        "pg_catalog.pg_attribute a JOIN live c ON c.oid = a.attrelid AND c.relkind NOT IN ('i', 'I', 't')",
        "a.attrelid",
        "a.attnum",
        "a.xmin",
    )
} WHERE a.attnum > 0),
    (SELECT {_sum("pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace", "p.oid", "p.xmin")}
        WHERE {_NO_TEMP}),
    (SELECT {
    _sum(
        "pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace",
        "t.oid",
        "t.typname",
        "t.typnamespace",
        "t.typbasetype",
        "t.typcategory",
        "t.typcollation",
    )
} WHERE {_NO_TEMP}),
    (SELECT {_sum("pg_catalog.pg_enum e", "e.oid", "e.xmin")}),
    (SELECT {_sum("pg_catalog.pg_rewrite r JOIN live c ON c.oid = r.ev_class", "r.oid", "r.xmin")}),
    (SELECT {_sum("pg_catalog.pg_inherits i JOIN live c ON c.oid = i.inhrelid", "i.inhrelid", "i.inhparent")}),
    (SELECT {
    _sum(
        "pg_catalog.pg_index i JOIN live c ON c.oid = i.indrelid",
        "i.indexrelid",
        "i.indrelid",
        "i.indkey",
        "i.indnkeyatts",
        "i.indisunique",
        "i.indisprimary",
        "i.indimmediate",
        "i.indpred IS NULL",
    )
} WHERE i.indisvalid),
    (SELECT {_sum("pg_catalog.pg_trigger g JOIN live c ON c.oid = g.tgrelid", "g.oid", "g.xmin")}),
    (SELECT {_sum("pg_catalog.pg_statistic_ext s JOIN live c ON c.oid = s.stxrelid", "s.oid", "s.stxrelid")}),
    (SELECT {_sum("pg_catalog.pg_attrdef d JOIN live c ON c.oid = d.adrelid", "d.oid", "d.adrelid", "d.adnum")}),
    (SELECT {_sum("pg_catalog.pg_policy p", "p.oid", "p.xmin")}),
    (SELECT {_sum("pg_catalog.pg_publication_rel r", "r.oid", "r.xmin")}),
    (SELECT {_sum("pg_catalog.pg_constraint k JOIN live c ON c.oid = k.conrelid", "k.oid", "k.xmin")}),
    (SELECT {_sum("pg_catalog.pg_constraint k", "k.oid", "k.xmin")} WHERE k.contypid <> 0),
    (SELECT {_sum("pg_catalog.pg_cast o", "o.oid", "o.xmin")}),
    (SELECT {_sum("pg_catalog.pg_operator o", "o.oid", "o.xmin")}),
    (SELECT {_sum("pg_catalog.pg_amop o", "o.oid", "o.xmin")}),
    (SELECT {_sum("pg_catalog.pg_opclass o", "o.oid", "o.xmin")}),
    (SELECT {_sum("pg_catalog.pg_collation o", "o.oid", "o.xmin")}),
    (SELECT {_sum("pg_catalog.pg_extension e", "e.oid", "e.xmin")}),
    (SELECT {_sum("pg_catalog.pg_depend d", "d.classid", "d.objid", "d.refobjid")}
        WHERE d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND d.deptype = 'e'),
    (SELECT {_sum("pg_catalog.pg_namespace n", "n.oid", "n.nspname", "n.nspowner", "n.nspacl")} WHERE {_NO_TEMP}),
    (SELECT {_sum("pg_catalog.pg_auth_members m", "m.roleid", "m.member", "m.xmin")}),
    (SELECT {_sum("pg_catalog.pg_roles m", "m.oid", "m.rolsuper", "m.rolinherit")})
))
"""
