-- What other tools ask, in our words: the same catalogs, joins, functions and conditions as theirs.

-- # Rails: tables and views
SELECT c.relname FROM pg_class c LEFT JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = ANY (current_schemas(false)) AND c.relkind IN ('r', 'v', 'm', 'p', 'f') ORDER BY 1;

-- # Rails: column definitions
SELECT a.attname, format_type(a.atttypid, a.atttypmod), pg_get_expr(d.adbin, d.adrelid), a.attnotnull, a.atttypid,
    a.atttypmod, c.collname, col_description(a.attrelid, a.attnum) AS comment, attidentity AS identity, attgenerated
FROM pg_attribute a LEFT JOIN pg_attrdef d ON a.attrelid = d.adrelid AND a.attnum = d.adnum
LEFT JOIN pg_type t ON a.atttypid = t.oid
LEFT JOIN pg_collation c ON a.attcollation = c.oid AND a.attcollation <> t.typcollation
WHERE a.attrelid = '"customers"'::regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum;

-- # Rails: primary keys
SELECT a.attname FROM (
    SELECT indrelid, indkey, generate_subscripts(indkey, 1) idx FROM pg_index
    WHERE indrelid = '"customers"'::regclass AND indisprimary
) i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[i.idx] ORDER BY i.idx;

-- # Rails: the primary key and its sequence
SELECT attr.attname, nsp.nspname, seq.relname
FROM pg_class seq, pg_attribute attr, pg_depend dep, pg_constraint cons, pg_namespace nsp
WHERE seq.oid = dep.objid AND seq.relkind = 'S' AND attr.attrelid = dep.refobjid AND attr.attnum = dep.refobjsubid
    AND attr.attrelid = cons.conrelid AND attr.attnum = cons.conkey[1] AND seq.relnamespace = nsp.oid
    AND cons.contype = 'p' AND dep.classid = 'pg_class'::regclass AND dep.refobjid = '"customers"'::regclass;

-- # Rails: indexes
SELECT DISTINCT i.relname, d.indisunique, d.indkey, pg_get_indexdef(d.indexrelid),
    pg_catalog.obj_description(i.oid, 'pg_class') AS comment, d.indisvalid,
    ARRAY(SELECT pg_get_indexdef(d.indexrelid, k + 1, true) FROM generate_subscripts(d.indkey, 1) AS k ORDER BY k) AS columns
FROM pg_class t INNER JOIN pg_index d ON t.oid = d.indrelid INNER JOIN pg_class i ON d.indexrelid = i.oid
LEFT JOIN pg_namespace n ON n.oid = t.relnamespace
WHERE i.relkind IN ('i', 'I') AND d.indisprimary = 'f' AND t.relname = 'customers' AND n.nspname = ANY (current_schemas(false))
ORDER BY i.relname;

-- # Rails: foreign keys
SELECT t2.oid::regclass::text AS to_table, c.conname AS name, c.confupdtype AS on_update, c.confdeltype AS on_delete,
    c.convalidated AS valid, c.condeferrable AS deferrable, c.condeferred AS deferred, c.conrelid, c.confrelid,
    (SELECT array_agg(a.attname ORDER BY idx) FROM (SELECT idx, c.conkey[idx] AS n FROM generate_subscripts(c.conkey, 1) AS idx) s
     JOIN pg_attribute a ON a.attrelid = t1.oid AND a.attnum = s.n) AS conkey_names
FROM pg_constraint c JOIN pg_class t1 ON c.conrelid = t1.oid JOIN pg_class t2 ON c.confrelid = t2.oid
JOIN pg_namespace n ON c.connamespace = n.oid
WHERE c.contype = 'f' AND t1.relname IN ('orders', 'badges', 'customers') ORDER BY c.conname;

-- # Rails: check and unique constraints
SELECT conname, contype, conkey, conrelid, pg_get_constraintdef(c.oid, true) AS constraintdef, c.convalidated AS valid
FROM pg_constraint c JOIN pg_class t ON c.conrelid = t.oid JOIN pg_namespace n ON n.oid = c.connamespace
WHERE c.contype IN ('c', 'u', 'x') AND t.relname = 'customers' AND n.nspname = ANY (current_schemas(false)) ORDER BY 1;

-- # Rails: table comment and enum types
SELECT pg_catalog.obj_description(c.oid, 'pg_class') FROM pg_catalog.pg_class c
LEFT JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relname = 'customers' AND c.relkind IN ('r', 'p')
    AND n.nspname = ANY (current_schemas(false));

-- # Rails: types
SELECT t.oid, t.typname, t.typelem, t.typdelim, t.typinput, r.rngsubtype, t.typtype, t.typbasetype
FROM pg_type AS t LEFT JOIN pg_range AS r ON oid = rngtypid ORDER BY t.oid;

-- # Npgsql: types of the database
SELECT ns.nspname, t.oid, t.typname, t.typtype, t.typnotnull, t.elemtypoid
FROM (
    SELECT typ.oid, typ.typnamespace, typ.typname, typ.typrelid, typ.typnotnull, typ.relkind, elemtyp.oid AS elemtypoid,
        CASE WHEN elemproc.proname = 'array_recv' THEN 'a' ELSE typ.typtype END AS typtype
    FROM (
        SELECT typ.oid, typnamespace, typname, typrelid, typnotnull, relkind, typelem AS elemoid,
            CASE WHEN proc.proname = 'array_recv' THEN 'a' ELSE typ.typtype END AS typtype, typ.typelem
        FROM pg_type AS typ LEFT JOIN pg_class AS cls ON cls.oid = typ.typrelid
        LEFT JOIN pg_proc AS proc ON proc.oid = typ.typreceive LEFT JOIN pg_range ON pg_range.rngtypid = typ.oid
    ) AS typ
    LEFT JOIN pg_type AS elemtyp ON elemtyp.oid = typ.elemoid
    LEFT JOIN pg_proc AS elemproc ON elemproc.oid = elemtyp.typreceive
) AS t
JOIN pg_namespace AS ns ON ns.oid = t.typnamespace
WHERE t.typtype IN ('b', 'r', 'm', 'e', 'd') OR (t.typtype = 'c' AND t.relkind = 'c') OR (t.typtype = 'a')
ORDER BY ns.nspname, t.oid;

-- # Npgsql: fields of composite types
SELECT typ.oid, att.attname, att.atttypid FROM pg_type AS typ
JOIN pg_namespace AS ns ON ns.oid = typ.typnamespace JOIN pg_class AS cls ON cls.oid = typ.typrelid
JOIN pg_attribute AS att ON att.attrelid = typ.typrelid
WHERE typ.typtype = 'c' AND attnum > 0 AND NOT attisdropped ORDER BY typ.oid, att.attnum;

-- # Npgsql: GetColumnSchema of a result
SELECT typ.oid, nspname, relname, attname, attrelid, attnum, attnotnull, attidentity != '' AS isidentity,
    CASE WHEN typ.typtype = 'd' THEN typ.typtypmod ELSE atttypmod END AS typmod,
    CASE WHEN atthasdef THEN (SELECT pg_get_expr(adbin, cls.oid) FROM pg_attrdef WHERE adrelid = cls.oid AND adnum = attr.attnum)
         ELSE NULL END AS default,
    EXISTS (SELECT * FROM pg_index WHERE pg_index.indrelid = cls.oid AND pg_index.indisprimary AND attnum = ANY (indkey)) AS isprimarykey,
    EXISTS (SELECT * FROM pg_index WHERE pg_index.indrelid = cls.oid AND pg_index.indisunique AND pg_index.indnkeyatts = 1
            AND attnum = pg_index.indkey[0]) AS isunique
FROM pg_attribute AS attr JOIN pg_type AS typ ON attr.atttypid = typ.oid JOIN pg_class AS cls ON cls.oid = attr.attrelid
JOIN pg_namespace AS ns ON ns.oid = cls.relnamespace
WHERE atttypid <> 0 AND relkind IN ('r', 'v', 'm') AND NOT attisdropped AND nspname NOT IN ('pg_catalog', 'information_schema')
    AND attnum > 0 AND (attrelid, attnum) IN (({oid:public.customers}, 1), ({oid:public.customers}, 3), ({oid:public.customers}, 4))
ORDER BY attnum;

-- # DBeaver: relations of a schema
SELECT c.oid, c.*, d.description, pg_catalog.pg_get_expr(c.relpartbound, c.oid) AS partition_expr,
    pg_catalog.pg_get_partkeydef(c.oid) AS partition_key
FROM pg_catalog.pg_class c
LEFT OUTER JOIN pg_catalog.pg_description d ON d.objoid = c.oid AND d.objsubid = 0 AND d.classoid = 'pg_class'::regclass
WHERE c.relnamespace = 'sales'::regnamespace AND c.relkind NOT IN ('i', 'I', 'c');

-- # DBeaver: columns of a schema
SELECT c.relname, a.*, pg_catalog.pg_get_expr(ad.adbin, ad.adrelid, true) AS def_value, dsc.description, dep.objid
FROM pg_catalog.pg_attribute a INNER JOIN pg_catalog.pg_class c ON (a.attrelid = c.oid)
LEFT OUTER JOIN pg_catalog.pg_attrdef ad ON (a.attrelid = ad.adrelid AND a.attnum = ad.adnum)
LEFT OUTER JOIN pg_catalog.pg_description dsc ON (c.oid = dsc.objoid AND a.attnum = dsc.objsubid)
LEFT OUTER JOIN pg_depend dep ON dep.refobjid = a.attrelid AND dep.deptype = 'i' AND dep.refobjsubid = a.attnum
    AND dep.classid = dep.refclassid
WHERE NOT a.attisdropped AND c.relkind NOT IN ('i', 'I', 'c') AND c.oid = {oid:public.customers} ORDER BY a.attnum;

-- # DBeaver: constraints of a schema
SELECT c.oid, c.*, t.relname AS tabrelname, rt.relnamespace AS refnamespace, d.description,
    CASE WHEN c.contype = 'c' THEN "substring"(pg_get_constraintdef(c.oid), 7) ELSE NULL END consrc_copy
FROM pg_catalog.pg_constraint c INNER JOIN pg_catalog.pg_class t ON t.oid = c.conrelid
LEFT OUTER JOIN pg_catalog.pg_class rt ON rt.oid = c.confrelid
LEFT OUTER JOIN pg_catalog.pg_description d ON d.objoid = c.oid AND d.objsubid = 0 AND d.classoid = 'pg_constraint'::regclass
WHERE t.relnamespace = 'public'::regnamespace ORDER BY c.oid;

-- # DBeaver: indexes of a schema
SELECT i.*, i.indkey AS keys, c.relname, c.relnamespace, c.relam, c.reltablespace, tc.relname AS tabrelname, dsc.description,
    pg_catalog.pg_get_expr(i.indpred, i.indrelid) AS pred_expr, pg_catalog.pg_get_expr(i.indexprs, i.indrelid, true) AS expr
FROM pg_catalog.pg_index i INNER JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
INNER JOIN pg_catalog.pg_class tc ON tc.oid = i.indrelid
LEFT OUTER JOIN pg_catalog.pg_description dsc ON i.indexrelid = dsc.objoid
WHERE tc.relnamespace = 'public'::regnamespace ORDER BY tabrelname, c.relname;

-- # DBeaver: triggers, rules and policies of a table
SELECT x.oid, x.*, p.pronamespace AS func_schema_id, d.description, pg_catalog.pg_get_triggerdef(x.oid, true)
FROM pg_catalog.pg_trigger x LEFT OUTER JOIN pg_catalog.pg_proc p ON p.oid = x.tgfoid
LEFT OUTER JOIN pg_catalog.pg_description d ON d.objoid = x.oid AND d.objsubid = 0
WHERE x.tgrelid = {oid:public.customers} AND NOT x.tgisinternal;

-- # DBeaver: row security of a table
SELECT p.polname, pg_get_expr(p.polqual, p.polrelid), p.polcmd, p.polpermissive FROM pg_catalog.pg_policy p
WHERE p.polrelid = {oid:public.products};

-- # DBeaver: inheritance and partitions
SELECT i.*, c.relnamespace, pc.relname FROM pg_catalog.pg_inherits i, pg_catalog.pg_class c, pg_catalog.pg_class pc
WHERE i.inhparent = c.oid AND i.inhrelid = pc.oid AND c.relkind IN ('r', 'p') ORDER BY i.inhseqno, pc.relname;

-- # DBeaver: data types
SELECT t.oid, t.*, c.relkind, format_type(nullif(t.typbasetype, 0), t.typtypmod) AS base_type_name, d.description
FROM pg_catalog.pg_type t LEFT OUTER JOIN pg_catalog.pg_type et ON et.oid = t.typelem
LEFT OUTER JOIN pg_catalog.pg_class c ON c.oid = t.typrelid LEFT OUTER JOIN pg_catalog.pg_description d ON t.oid = d.objoid
WHERE t.typname IS NOT NULL AND (c.relkind IS NULL OR c.relkind = 'c') AND (et.typcategory IS NULL OR et.typcategory <> 'C')
ORDER BY t.oid;

-- # DBeaver: sequences with their owners
SELECT c.oid, c.relname, s.seqstart, s.seqincrement, dp.refobjid::regclass, dp.refobjsubid FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_sequence s ON s.seqrelid = c.oid
LEFT JOIN pg_catalog.pg_depend dp ON dp.objid = c.oid AND dp.deptype IN ('a', 'i') AND dp.refobjsubid > 0
WHERE c.relkind = 'S' ORDER BY 1;

-- # DBeaver: statistics of tables of the app's own
SELECT c.oid, c.relname, pg_catalog.pg_total_relation_size(c.oid) AS total, pg_catalog.pg_relation_size(c.oid) AS size
FROM pg_class c WHERE c.relname IN ('products', 'numbers', 'base');

-- # DBeaver: grants of columns
SELECT a.attname, a.attacl FROM pg_catalog.pg_attribute a WHERE a.attrelid = {oid:public.customers} AND a.attacl IS NOT NULL;

-- # Metabase: tables that can be read
SELECT n.nspname AS schema, c.relname AS name,
    CASE c.relkind WHEN 'r' THEN 'TABLE' WHEN 'p' THEN 'PARTITIONED TABLE' WHEN 'v' THEN 'VIEW' WHEN 'f' THEN 'FOREIGN TABLE'
        WHEN 'm' THEN 'MATERIALIZED VIEW' END AS type,
    d.description, NULLIF(stat.n_live_tup, 0) IS NULL AS unknown
FROM pg_catalog.pg_class c INNER JOIN pg_catalog.pg_namespace n ON c.relnamespace = n.oid
LEFT JOIN pg_catalog.pg_description d ON c.oid = d.objoid AND d.objsubid = 0 AND d.classoid = 'pg_class'::regclass
LEFT JOIN pg_stat_user_tables stat ON n.nspname = stat.schemaname AND c.relname = stat.relname AND c.relname = 'numbers'
WHERE c.relkind IN ('r', 'p', 'v', 'f', 'm') AND n.nspname !~ '^information_schema|catalog_history|^pg_'
ORDER BY type, schema, name;

-- # Metabase: fields
SELECT c.column_name AS name,
    CASE WHEN c.udt_schema IN ('public', 'pg_catalog') THEN FORMAT('%s', c.udt_name) ELSE FORMAT('"%s"."%s"', c.udt_schema, c.udt_name) END AS type,
    c.ordinal_position - 1 AS position, c.table_schema, c.table_name, pk.column_name IS NOT NULL AS is_pk,
    COL_DESCRIPTION(CAST(CAST(FORMAT('%I.%I', CAST(c.table_schema AS TEXT), CAST(c.table_name AS TEXT)) AS REGCLASS) AS OID), c.ordinal_position) AS remark,
    (column_default IS NULL OR LOWER(column_default) = 'null') AND is_nullable = 'NO' AND NOT is_identity = 'YES' AS required,
    column_default LIKE '%nextval(%' OR is_identity <> 'NO' AS auto
FROM information_schema.columns AS c
LEFT JOIN (
    SELECT tc.table_schema, tc.table_name, kc.column_name FROM information_schema.table_constraints AS tc
    INNER JOIN information_schema.key_column_usage AS kc
        ON tc.constraint_name = kc.constraint_name AND tc.table_schema = kc.table_schema AND tc.table_name = kc.table_name
    WHERE tc.constraint_type = 'PRIMARY KEY'
) AS pk ON c.table_schema = pk.table_schema AND c.table_name = pk.table_name AND c.column_name = pk.column_name
WHERE c.table_schema !~ '^information_schema|catalog_history|^pg_' AND c.table_schema IN ('public', 'sales')
UNION ALL
SELECT pa.attname, CASE WHEN ptn.nspname IN ('public', 'pg_catalog') THEN FORMAT('%s', pt.typname) ELSE FORMAT('"%s"."%s"', ptn.nspname, pt.typname) END,
    pa.attnum - 1, pn.nspname, pc.relname, FALSE, NULL, FALSE, FALSE
FROM pg_catalog.pg_class AS pc INNER JOIN pg_catalog.pg_namespace AS pn ON pn.oid = pc.relnamespace
INNER JOIN pg_catalog.pg_attribute AS pa ON pa.attrelid = pc.oid INNER JOIN pg_catalog.pg_type AS pt ON pt.oid = pa.atttypid
INNER JOIN pg_catalog.pg_namespace AS ptn ON ptn.oid = pt.typnamespace
WHERE pc.relkind = 'm' AND pa.attnum >= 1 ORDER BY table_schema, table_name, position;

-- # Metabase: foreign keys
SELECT fk_ns.nspname AS "fk-table-schema", fk_table.relname AS "fk-table-name", fk_column.attname AS "fk-column-name",
    pk_ns.nspname AS "pk-table-schema", pk_table.relname AS "pk-table-name", pk_column.attname AS "pk-column-name"
FROM pg_constraint AS c INNER JOIN pg_class AS fk_table ON c.conrelid = fk_table.oid
INNER JOIN pg_namespace AS fk_ns ON c.connamespace = fk_ns.oid
INNER JOIN pg_attribute AS fk_column ON c.conrelid = fk_column.attrelid
INNER JOIN pg_class AS pk_table ON c.confrelid = pk_table.oid INNER JOIN pg_namespace AS pk_ns ON pk_table.relnamespace = pk_ns.oid
INNER JOIN pg_attribute AS pk_column ON c.confrelid = pk_column.attrelid
WHERE fk_ns.nspname !~ '^information_schema|catalog_history|^pg_' AND c.contype = 'f' AND fk_column.attnum = ANY (c.conkey)
    AND pk_column.attnum = ANY (c.confkey) ORDER BY 1, 2, 3;

-- # Metabase: indexes and what may be done
SELECT tmp.table_schema, tmp.table_name, trim(both '"' from pg_catalog.pg_get_indexdef(tmp.ci_oid, tmp.pos, false)) AS field_name
FROM (
    SELECT n.nspname AS table_schema, ct.relname AS table_name, ci.oid AS ci_oid,
        (information_schema._pg_expandarray(i.indkey)).n AS pos
    FROM pg_catalog.pg_class AS ct INNER JOIN pg_catalog.pg_namespace AS n ON ct.relnamespace = n.oid
    INNER JOIN pg_catalog.pg_index AS i ON ct.oid = i.indrelid INNER JOIN pg_catalog.pg_class AS ci ON ci.oid = i.indexrelid
    WHERE pg_catalog.pg_get_expr(i.indpred, i.indrelid) IS NULL AND n.nspname !~ '^information_schema|catalog_history|^pg_'
) AS tmp WHERE tmp.pos = 1 ORDER BY 1, 2, 3;

-- # Metabase: privileges of the login
WITH table_privileges AS (
    SELECT NULL AS role, t.schemaname AS schema, t.objectname AS table,
        pg_catalog.has_table_privilege(current_user, '"' || t.schemaname || '"' || '.' || '"' || t.objectname || '"', 'SELECT') AS select,
        pg_catalog.has_any_column_privilege(current_user, '"' || t.schemaname || '"' || '.' || '"' || t.objectname || '"', 'UPDATE') AS update
    FROM (SELECT schemaname, tablename AS objectname FROM pg_catalog.pg_tables UNION
          SELECT schemaname, viewname AS objectname FROM pg_catalog.pg_views UNION
          SELECT schemaname, matviewname AS objectname FROM pg_catalog.pg_matviews) t
    WHERE t.schemaname !~ '^pg_' AND t.schemaname <> 'information_schema'
        AND pg_catalog.has_schema_privilege(current_user, t.schemaname, 'USAGE')
)
SELECT t.* FROM table_privileges t ORDER BY 2, 3;

-- # Prisma: columns
SELECT oid.namespace, info.table_name, info.column_name, format_type(att.atttypid, att.atttypmod) AS formatted_type,
    info.numeric_precision, info.numeric_scale, info.datetime_precision, info.data_type, info.udt_schema, info.udt_name AS full_data_type,
    pg_get_expr(attdef.adbin, attdef.adrelid) AS column_default, info.is_nullable, info.is_identity, info.character_maximum_length,
    col_description(att.attrelid, ordinal_position) AS description
FROM information_schema.columns info
JOIN pg_attribute att ON att.attname = info.column_name
JOIN (SELECT pg_class.oid, relname, pg_namespace.nspname AS namespace FROM pg_class
      JOIN pg_namespace ON pg_namespace.oid = pg_class.relnamespace AND pg_namespace.nspname = ANY (ARRAY['public', 'sales'])
      WHERE reltype > 0) AS oid ON oid.oid = att.attrelid AND relname = info.table_name AND namespace = info.table_schema
LEFT JOIN pg_attrdef attdef ON attdef.adrelid = att.attrelid AND attdef.adnum = att.attnum AND table_schema = namespace
WHERE table_schema = ANY (ARRAY['public', 'sales']) ORDER BY namespace, table_name, ordinal_position;

-- # Prisma: indexes
WITH rawindex AS (
    SELECT indrelid, indexrelid, indisunique, indisprimary, unnest(indkey) AS indkeyid, generate_subscripts(indkey, 1) AS indkeyidx,
        unnest(indclass) AS indclass, unnest(indoption) AS indoption
    FROM pg_index WHERE indpred IS NULL AND NOT indisexclusion
)
SELECT schemainfo.nspname AS namespace, indexinfo.relname AS index_name, tableinfo.relname AS table_name,
    columninfo.attname AS column_name, rawindex.indisunique, rawindex.indisprimary, rawindex.indkeyidx, indexaccess.amname,
    opclass.opcname, opclass.opcdefault, pg_get_constraintdef(con.oid) AS constraint_definition
FROM rawindex INNER JOIN pg_class AS tableinfo ON tableinfo.oid = rawindex.indrelid
INNER JOIN pg_class AS indexinfo ON indexinfo.oid = rawindex.indexrelid
INNER JOIN pg_namespace AS schemainfo ON schemainfo.oid = tableinfo.relnamespace
LEFT JOIN pg_attribute AS columninfo ON columninfo.attrelid = tableinfo.oid AND columninfo.attnum = rawindex.indkeyid
INNER JOIN pg_am AS indexaccess ON indexaccess.oid = indexinfo.relam
LEFT JOIN pg_opclass AS opclass ON opclass.oid = rawindex.indclass
LEFT JOIN pg_constraint AS con ON con.conindid = rawindex.indexrelid AND con.contype IN ('p', 'u')
WHERE schemainfo.nspname = ANY (ARRAY['public', 'sales']) ORDER BY 1, 3, 2, 7;

-- # Prisma: constraints, views, policies, sequences
SELECT schemainfo.nspname, tableinfo.relname, con.conname, con.contype, con.condeferrable, con.condeferred
FROM pg_constraint con JOIN pg_class tableinfo ON tableinfo.oid = con.conrelid JOIN pg_namespace schemainfo ON schemainfo.oid = tableinfo.relnamespace
WHERE schemainfo.nspname = ANY (ARRAY['public', 'sales']) AND con.contype NOT IN ('p', 'u', 'f') ORDER BY 1, 2, 3;

-- # Prisma: views
SELECT views.viewname, views.definition, views.schemaname, obj_description(class.oid, 'pg_class') AS description
FROM pg_catalog.pg_views views INNER JOIN pg_catalog.pg_namespace ns ON views.schemaname = ns.nspname
INNER JOIN pg_catalog.pg_class class ON class.relnamespace = ns.oid AND class.relname = views.viewname
WHERE schemaname = ANY (ARRAY['public', 'sales']) ORDER BY 1;

-- # Prisma: sequences
SELECT sequencename, schemaname, start_value, min_value, max_value, increment_by, cycle, cache_size FROM pg_sequences
WHERE schemaname = ANY (ARRAY['public', 'sales']) ORDER BY 1;

-- # PostgREST: tables with their columns and keys
WITH columns AS (
    SELECT c.oid AS relid, a.attname::name AS column_name, d.description, a.attnum,
        CASE WHEN t.typbasetype <> 0 AND ad.adbin IS NULL THEN t.typdefault WHEN a.attidentity = 'd' THEN 'identity'
             WHEN a.attgenerated = 's' THEN NULL ELSE pg_get_expr(ad.adbin, ad.adrelid)::text END AS column_default,
        NOT (a.attnotnull OR t.typtype = 'd' AND t.typnotnull) AS is_nullable,
        format_type(a.atttypid, NULL::integer)::text AS data_type,
        information_schema._pg_char_max_length(information_schema._pg_truetypid(a.*, t.*), information_schema._pg_truetypmod(a.*, t.*))::integer AS length,
        COALESCE(bt.oid, t.oid) AS base_type
    FROM pg_attribute a LEFT JOIN pg_description d ON d.objoid = a.attrelid AND d.objsubid = a.attnum AND d.classoid = 'pg_class'::regclass
    LEFT JOIN pg_attrdef ad ON a.attrelid = ad.adrelid AND a.attnum = ad.adnum
    JOIN pg_class c ON c.oid = a.attrelid JOIN pg_type t ON t.oid = a.atttypid LEFT JOIN pg_type bt ON bt.oid = t.typbasetype
    WHERE NOT pg_is_other_temp_schema(c.relnamespace) AND a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'v', 'f', 'm', 'p')
        AND c.relnamespace = ANY (ARRAY['public', 'sales']::regnamespace[])
), columns_agg AS (
    SELECT relid, array_agg(row(column_name, description, is_nullable, data_type, length, column_default,
        COALESCE((SELECT array_agg(enumlabel ORDER BY enumsortorder) FROM pg_enum WHERE enumtypid = base_type), '{}')) ORDER BY attnum) AS columns
    FROM columns GROUP BY relid
), pks AS (
    SELECT r.oid AS relid, array_agg(a.attname ORDER BY a.attname) AS cols FROM pg_constraint c
    JOIN pg_class r ON r.oid = c.conrelid JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum = ANY (c.conkey)
    WHERE c.contype = 'p' AND r.relkind IN ('r', 'p') AND NOT a.attisdropped GROUP BY r.oid
)
SELECT n.nspname, c.relname, d.description, c.relkind IN ('v', 'm') AS is_view,
    c.relkind IN ('r', 'p') OR (c.relkind IN ('v', 'f') AND (pg_relation_is_updatable(c.oid::regclass, TRUE) & 8) = 8) AS insertable,
    COALESCE(p.cols, '{}') AS pk_cols, COALESCE(a.columns, '{}') AS columns
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_description d ON d.objoid = c.oid AND d.objsubid = 0 AND d.classoid = 'pg_class'::regclass
LEFT JOIN pks p ON c.oid = p.relid LEFT JOIN columns_agg a ON c.oid = a.relid
WHERE c.relkind IN ('v', 'r', 'm', 'f', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'consentry') AND NOT c.relispartition
ORDER BY 1, 2;

-- # PostgREST: relationships
SELECT ns1.nspname, tab.relname, ns2.nspname, other.relname, (tab.oid = other.oid) AS is_self, traint.conname, column_info.cols
FROM pg_constraint traint
JOIN LATERAL (
    SELECT array_agg(row(cols.attname, refs.attname) ORDER BY ord) AS cols
    FROM unnest(traint.conkey, traint.confkey) WITH ORDINALITY AS _ (col, ref, ord)
    JOIN pg_attribute cols ON cols.attrelid = traint.conrelid AND cols.attnum = col
    JOIN pg_attribute refs ON refs.attrelid = traint.confrelid AND refs.attnum = ref
) AS column_info ON true
JOIN pg_namespace ns1 ON ns1.oid = traint.connamespace JOIN pg_class tab ON tab.oid = traint.conrelid
JOIN pg_class other ON other.oid = traint.confrelid JOIN pg_namespace ns2 ON ns2.oid = other.relnamespace
WHERE traint.contype = 'f' AND traint.conparentid = 0 ORDER BY traint.conrelid, traint.conname;

-- # Hasura: tables with constraints
SELECT schema.nspname AS table_schema, "table".relname AS table_name, "table".oid,
    coalesce(columns.info, '[]') AS columns, primary_key.info AS primary_key, coalesce(foreign_keys.info, '[]') AS foreign_keys,
    description.description
FROM pg_catalog.pg_class "table" JOIN pg_catalog.pg_namespace schema ON schema.oid = "table".relnamespace
LEFT JOIN pg_catalog.pg_description description
    ON description.classoid = 'pg_catalog.pg_class'::regclass AND description.objoid = "table".oid AND description.objsubid = 0
LEFT JOIN LATERAL (
    SELECT json_agg(json_build_object('name', "column".attname, 'position', "column".attnum, 'is_nullable', NOT "column".attnotnull,
        'description', col_description("table".oid, "column".attnum)) ORDER BY "column".attnum) AS info
    FROM pg_catalog.pg_attribute "column" LEFT JOIN pg_catalog.pg_type type ON type.oid = "column".atttypid
    WHERE "column".attrelid = "table".oid AND "column".attnum > 0 AND NOT "column".attisdropped
) columns ON true
LEFT JOIN LATERAL (
    SELECT json_build_object('name', c.conname, 'columns', c.conkey) AS info FROM pg_catalog.pg_constraint c
    WHERE c.contype = 'p' AND c.conrelid = "table".oid
) primary_key ON true
LEFT JOIN LATERAL (
    SELECT json_agg(json_build_object('name', c.conname, 'table', foreign_table.relname, 'columns', c.conkey, 'to', c.confkey) ORDER BY c.conname) AS info
    FROM pg_catalog.pg_constraint c JOIN pg_catalog.pg_class foreign_table ON foreign_table.oid = c.confrelid
    WHERE c.contype = 'f' AND c.conrelid = "table".oid
) foreign_keys ON true
WHERE "table".relkind IN ('r', 't', 'v', 'm', 'f', 'p') AND schema.nspname IN ('public', 'sales') ORDER BY 1, 2;

-- # Supabase: columns
SELECT table_schema, table_name, column_name, column_default, is_nullable::boolean, data_type, udt_name AS format,
    col_description((table_schema || '."' || table_name || '"')::regclass, ordinal_position)
FROM information_schema.columns WHERE table_schema = 'public' ORDER BY table_schema, table_name, ordinal_position;

-- # every relation of information_schema that has names of relations or columns
SELECT * FROM information_schema.columns WHERE table_schema IN ('public', 'sales');
-- #
SELECT * FROM information_schema.tables WHERE table_schema IN ('public', 'sales', 'consentry');
-- #
SELECT * FROM information_schema.views WHERE table_schema IN ('public', 'sales');
-- #
SELECT * FROM information_schema.table_constraints;
-- #
SELECT * FROM information_schema.check_constraints WHERE constraint_schema IN ('public', 'sales');
-- #
SELECT * FROM information_schema.referential_constraints;
-- #
SELECT * FROM information_schema.key_column_usage;
-- #
SELECT * FROM information_schema.constraint_column_usage;
-- #
SELECT * FROM information_schema.constraint_table_usage;
-- #
SELECT * FROM information_schema.column_privileges WHERE table_schema IN ('public', 'sales');
-- #
SELECT * FROM information_schema.role_column_grants WHERE table_schema IN ('public', 'sales');
-- #
SELECT * FROM information_schema.table_privileges WHERE table_schema IN ('public', 'sales');
-- #
SELECT * FROM information_schema.role_table_grants WHERE table_schema IN ('public', 'sales');
-- #
SELECT * FROM information_schema.column_udt_usage;
-- #
SELECT * FROM information_schema.column_domain_usage;
-- #
SELECT * FROM information_schema.column_column_usage;
-- #
SELECT * FROM information_schema.view_column_usage;
-- #
SELECT * FROM information_schema.view_table_usage;
-- #
SELECT * FROM information_schema.element_types WHERE object_schema IN ('public', 'sales');
-- #
SELECT * FROM information_schema.data_type_privileges WHERE object_schema IN ('public', 'sales');
-- #
SELECT * FROM information_schema.sequences;
-- #
SELECT * FROM information_schema.triggers;
-- #
SELECT * FROM information_schema.triggered_update_columns;
-- #
SELECT * FROM information_schema.domains WHERE domain_schema = 'public';
-- #
SELECT * FROM information_schema.domain_constraints;
-- #
SELECT * FROM information_schema.attributes;
-- #
SELECT * FROM information_schema.usage_privileges WHERE object_schema = 'public';
-- #
SELECT * FROM information_schema.foreign_tables;
-- # whole catalogs, of what the app has
SELECT * FROM pg_constraint WHERE connamespace >= 2200;
-- #
SELECT * FROM pg_index WHERE indrelid IN (SELECT oid FROM pg_class WHERE relnamespace <> 99);
-- #
SELECT * FROM pg_attrdef;
-- #
SELECT * FROM pg_description WHERE objoid >= 16384;
-- #
SELECT tgrelid, tgname, tgtype, tgfoid FROM pg_trigger WHERE NOT tgisinternal;
-- #
SELECT * FROM pg_statistic_ext;
-- #
SELECT * FROM pg_policy;
-- #
SELECT * FROM pg_policies;
-- #
SELECT * FROM pg_inherits;
-- #
SELECT * FROM pg_partitioned_table;
-- #
SELECT * FROM pg_publication_rel;
-- #
SELECT * FROM pg_publication_tables;
-- #
SELECT * FROM pg_sequence;
-- #
SELECT * FROM pg_indexes WHERE schemaname IN ('public', 'sales');
-- #
SELECT schemaname, tablename, hasindexes, hasrules, rowsecurity FROM pg_tables WHERE schemaname IN ('public', 'sales');
-- #
SELECT * FROM pg_views WHERE schemaname IN ('public', 'sales');
-- #
SELECT * FROM pg_matviews;
-- #
SELECT oid, typname, typtype, typrelid FROM pg_type WHERE typnamespace >= 2200;
-- #
SELECT oid, relname, relkind, relnatts, relchecks, relhasindex, reltype, reltoastrelid, relpartbound FROM pg_class WHERE relnamespace >= 2200;
-- #
SELECT classid, objid, objsubid, refclassid, refobjid, refobjsubid, deptype FROM pg_depend
WHERE refclassid = 'pg_class'::regclass AND refobjid = {oid:public.customers} AND refobjsubid > 0;
-- #
SELECT schemaname, relname, seq_scan IS NULL, n_tup_ins IS NULL FROM pg_stat_user_tables;
-- #
SELECT schemaname, relname, indexrelname FROM pg_stat_user_indexes;
-- #
SELECT schemaname, relname FROM pg_statio_user_tables;
-- #
SELECT schemaname, tablename, attname, null_frac, n_distinct, most_common_vals FROM pg_stats WHERE tablename IN ('numbers', 'products');

-- # PostgREST-like: which columns of what is there the login may read, by number and by name
SELECT c.relname, a.attname, has_column_privilege(c.oid, a.attnum, 'SELECT') AS by_number,
       has_column_privilege(current_user, c.oid, a.attname::text, 'SELECT, INSERT') AS by_name
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
WHERE c.relnamespace = 'public'::regnamespace AND a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'v', 'm')

-- # whether columns by their numbers are there
SELECT n, has_column_privilege('customers', n::int2, 'SELECT') FROM generate_series(-6, 20) n WHERE n <> 0
