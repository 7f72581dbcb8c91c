-- catalogs of the server's own pass
select collname from pg_collation t join pg_namespace n on n.oid = t.collnamespace
-- passes

-- what holds values or other people's text does not
select * from pg_statistic
-- refused 42501 permission denied for system relation "pg_statistic"

select stxdmcv from pg_catalog.pg_statistic_ext_data
-- refused 42501 permission denied for system relation "pg_statistic_ext_data"

select * from pg_authid
-- refused 42501 permission denied for system relation "pg_authid"

-- statements as the server has them hold the rules' own texts
select statement from pg_cursors
-- becomes
select statement from <pg_cursors>

select * from pg_toast.pg_toast_1255
-- refused 42501 permission denied for relation "pg_toast_1255"

update pg_settings set setting = 'x'
-- refused 42501 permission denied to write relation "pg_settings"

-- statistics of the server count nothing, but for an app that has everything
select name, blks_hit from pg_stat_slru
-- becomes
select name, blks_hit from <pg_stat_slru>

select 1 from pg_stat_archiver
-- refused 42501 permission denied for system relation "pg_stat_archiver"

-- functions that say something of an object are called where the app may know it
select pg_catalog.col_description(c.oid, 1 + 1), 2 from pg_collation c
-- becomes
select {col_description: c.oid | 1 + 1}, 2 from pg_collation c

select pg_describe_object(1259, (1), greatest(1, 2)) as x
-- becomes
select {pg_describe_object: 1259 | (1) | greatest(1, 2)} as x

-- whether a column that is not shown exists must not be told
select has_column_privilege('customers', 'email', 'select'), has_column_privilege(attrelid, attnum, 'select') from pg_attribute
-- becomes
select {has_column_privilege: 'customers' | 'email' | 'select'}, {has_column_privilege: attrelid | attnum | 'select'} from <pg_attribute>

select pg_catalog.has_column_privilege(current_user, 'customers'::regclass, 'email'::text, 'insert') as may
-- becomes
select {has_column_privilege: current_user | 'customers'::regclass | 'email'::text | 'insert'} as may

-- whose arguments go into a query of their own
select has_column_privilege('customers', first_value(relname) over (), 'select') from pg_class
-- refused 0A000 has_column_privilege() of a window function

-- what drivers call of information_schema's own functions
select (information_schema._pg_expandarray(array[3, 4])).n
-- passes

-- names with their schema, as SQLAlchemy's reflection has them
select pg_catalog.pg_namespace.nspname from pg_catalog.pg_namespace join pg_catalog.pg_class on pg_catalog.pg_namespace.oid = pg_catalog.pg_class.relnamespace
-- becomes
select pg_catalog.pg_namespace.nspname from pg_catalog.pg_namespace join <pg_class> on pg_catalog.pg_namespace.oid = pg_class.relnamespace
