-- catalogs of the server's own pass
select typname from pg_type t join pg_namespace n on n.oid = t.typnamespace
-- passes

-- what holds values or other people's text does not
select * from pg_stats
-- refused 42501 permission denied for system relation "pg_stats"

select most_common_vals from pg_catalog.pg_stats
-- refused 42501 permission denied for system relation "pg_stats"

select * from pg_authid
-- refused 42501 permission denied for system relation "pg_authid"

select query from pg_stat_activity
-- refused 42501 permission denied for system relation "pg_stat_activity"

select * from pg_toast.pg_toast_1255
-- refused 42501 permission denied for relation "pg_toast_1255"

update pg_settings set setting = 'x'
-- refused 42501 permission denied to write relation "pg_settings"

select pg_describe_object(1259, 1, 1)
-- refused 42501 permission denied for function pg_describe_object

-- names with their schema, as SQLAlchemy's reflection has them
select pg_catalog.pg_namespace.nspname from pg_catalog.pg_namespace join pg_catalog.pg_class on pg_catalog.pg_namespace.oid = pg_catalog.pg_class.relnamespace
-- becomes
select pg_catalog.pg_namespace.nspname from pg_catalog.pg_namespace join <pg_class> on pg_catalog.pg_namespace.oid = pg_class.relnamespace
