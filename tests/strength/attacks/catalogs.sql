-- Definitions that hold values: of what is dropped, nothing may be seen.

-- # column defaults
select pg_get_expr(adbin, adrelid) from pg_attrdef
-- # column defaults by a guessed OID
select pg_get_expr(adbin, adrelid) from pg_attrdef where adrelid = {oid:public.people}
-- # column defaults as trees
-- vacuous: a tree of numbers
select adbin::text from pg_attrdef where adrelid = {oid:public.people}
-- # information_schema.columns
select table_name, column_name, column_default, generation_expression from information_schema.columns where table_schema = 'public'
-- # information_schema.columns of views
-- vacuous: names
select * from information_schema.view_column_usage
-- # check constraints
select conname, pg_get_constraintdef(oid) from pg_constraint
-- # check constraints, pretty
select pg_get_constraintdef(oid, true) from pg_constraint where conrelid = {oid:public.people}
-- # constraint expression
select pg_get_expr(conbin, conrelid) from pg_constraint where conbin is not null
-- # constraint definitions by guessed OIDs
select pg_get_constraintdef(n::oid) from generate_series({oid:public.people}, {oid:public.people} + 200) n
-- # information_schema.check_constraints
select * from information_schema.check_constraints
-- # information_schema.table_constraints
-- vacuous: names
select * from information_schema.table_constraints where table_schema = 'public'
-- # domain constraints
select * from information_schema.domain_constraints natural join information_schema.check_constraints
-- # domain constraint by type
select pg_get_constraintdef(oid) from pg_constraint where contypid <> 0
-- # index definitions
select indexname, indexdef from pg_indexes
-- # pg_get_indexdef
select pg_get_indexdef(indexrelid) from pg_index where indrelid = {oid:public.people}
-- # pg_get_indexdef of one column
select pg_get_indexdef(indexrelid, n, true) from pg_index, generate_series(0, 3) n where indrelid = {oid:public.people}
-- # pg_get_indexdef by guessed OIDs
select pg_get_indexdef(n::oid) from generate_series({oid:public.people}, {oid:public.people} + 200) n
-- # index predicates
select pg_get_expr(indpred, indrelid), pg_get_expr(indexprs, indrelid) from pg_index where indpred is not null or indexprs is not null
-- # comments
select * from pg_description where description like '%zq%'
-- # comments by function
select col_description({oid:public.people}, n) from generate_series(1, 22) n
-- # comments of objects
select obj_description(oid, 'pg_constraint') from pg_constraint
-- # comments of indexes
select obj_description(indexrelid, 'pg_class') from pg_index where indrelid = {oid:public.people}
-- # comments by guessed OIDs
select obj_description(n::oid), shobj_description(n::oid, 'pg_class') from generate_series({oid:public.people}, {oid:public.people} + 200) n
-- # triggers
select tgname, pg_get_triggerdef(oid), tgargs from pg_trigger
-- # trigger definitions by guessed OIDs
select pg_get_triggerdef(n::oid) from generate_series({oid:public.people}, {oid:public.people} + 400) n
-- # information_schema.triggers
-- vacuous: the argument is in action_statement, as the owner sees it
select * from information_schema.triggers
-- # rules and views
select pg_get_ruledef(oid), pg_get_ruledef(oid, true) from pg_rewrite
-- # rule definitions by guessed OIDs
select pg_get_ruledef(n::oid) from generate_series({oid:public.people}, {oid:public.people} + 400) n
-- # pg_views
select viewname, definition from pg_views where schemaname = 'public'
-- # pg_rules
-- vacuous: no literal in it
select * from pg_rules
-- # information_schema.views
select table_name, view_definition from information_schema.views where table_schema = 'public'
-- # pg_get_viewdef
select pg_get_viewdef('v_barrier'), pg_get_viewdef('v_barrier'::regclass, true)
-- # pg_get_viewdef by guessed OIDs
select pg_get_viewdef(n::oid) from generate_series({oid:public.people}, {oid:public.people} + 400) n
-- # pg_matviews
-- vacuous: no literal in it
select * from pg_matviews
-- # pg_rewrite's tree
-- vacuous: a tree of numbers
select ev_action::text from pg_rewrite where ev_class = {oid:public.v_barrier}
-- # functions' bodies
select proname, prosrc from pg_proc where pronamespace = 'public'::regnamespace
-- # pg_get_functiondef
select pg_get_functiondef(oid) from pg_proc where proname = 'with_literal'
-- # pg_get_function_sqlbody and arguments
-- vacuous: names
select pg_get_function_arguments(oid), pg_get_function_sqlbody(oid) from pg_proc where proname = 'card_of'
-- # information_schema.routines
select routine_name, routine_definition from information_schema.routines where routine_schema = 'public'
-- # policies
select * from pg_policies
-- # policies' trees
select pg_get_expr(polqual, polrelid) from pg_policy
-- # extended statistics
select pg_get_statisticsobjdef(oid), pg_get_statisticsobjdef_expressions(oid) from pg_statistic_ext
-- # extended statistics by guessed OIDs
select pg_get_statisticsobjdef_expressions(n::oid) from generate_series({oid:public.people}, {oid:public.people} + 200) n
-- # partition bounds
-- vacuous: of open columns
select pg_get_expr(relpartbound, oid), pg_get_partkeydef(oid), pg_get_partition_constraintdef(oid) from pg_class where relname like 'readings%'
-- # pg_attribute of dropped columns
-- vacuous: names
select attname, atttypid::regtype, attmissingval::text from pg_attribute where attrelid = {oid:public.people}
-- # attmissingval holds a default's value
select attmissingval::text from pg_attribute where attmissingval is not null
-- vacuous: none here
-- # pg_class options and foreign tables
-- vacuous: names
select reloptions, relacl from pg_class where relname = 'people'
-- # pg_enum
-- vacuous: the labels of a type
select * from pg_enum
-- # pg_depend with descriptions
-- vacuous: names
select pg_describe_object(classid, objid, objsubid) from pg_depend where refobjid = {oid:public.people}
-- # what depends on roles, in any database
-- vacuous: oids
select objid::regclass from pg_shdepend where classid = 'pg_class'::regclass
-- # types that are in no other catalog
-- vacuous: oids
select refobjid::regtype from pg_depend where refclassid = 'pg_type'::regclass and refobjid not in (select oid from pg_type)
-- # row types by their privileges
-- vacuous: names
select * from information_schema.udt_privileges where udt_schema = 'public'
-- # signatures of functions
-- vacuous: names
select pg_get_function_arguments(p.oid), r.* from pg_proc p join information_schema.parameters r on r.specific_name = p.proname || '_' || p.oid
-- # pg_authid and pg_shadow
-- vacuous: no passwords are set
select rolname, rolpassword from pg_authid union all select usename, passwd from pg_shadow
-- # roles' settings
-- vacuous: none
select * from pg_db_role_setting, pg_user
-- # pg_settings
-- vacuous: settings
-- nodiff: settings of the process
select name, setting from pg_settings where name like '%file%'
-- # pg_hba_file_rules and pg_file_settings
-- vacuous: the server's files
select * from pg_hba_file_rules
-- # psql's \d of a table
select a.attname, pg_get_expr(d.adbin, d.adrelid, true) from pg_attribute a left join pg_attrdef d on (a.attrelid, a.attnum) = (d.adrelid, d.adnum) where a.attrelid = 'public.people'::regclass and a.attnum > 0 and not a.attisdropped
-- # psql's \d of indexes
select c2.relname, pg_get_indexdef(i.indexrelid, 0, true), pg_get_constraintdef(con.oid, true) from pg_class c join pg_index i on c.oid = i.indrelid join pg_class c2 on i.indexrelid = c2.oid left join pg_constraint con on conindid = i.indexrelid where c.oid = 'people'::regclass
-- # psql's \d+ of a column's statistics
select attname, n_distinct, most_common_freqs from pg_stats where tablename = 'people'
-- vacuous: counts
-- # whole rows of catalogs
select a::text from pg_attrdef a union all select c::text from pg_constraint c union all select d::text from pg_description d
-- # catalogs as JSON
select to_jsonb(d) from pg_description d where objoid = {oid:public.people}
-- # catalogs copied out
copy pg_catalog.pg_description to stdout
-- # catalogs by TABLE
table pg_description
-- # catalogs through a CTE and aliases
with d as (select * from pg_catalog.pg_description) select string_agg(description, '') from d as e(a, b, c, description) where description like '%comment%'
-- # catalogs without a schema, quoted
select * from "pg_description"
-- # catalogs updated
update pg_settings set setting = 'pg_toast' where name = 'search_path' returning *
-- vacuous: it changes a setting
-- # statistics by a join on pg_class
select s.stavalues1::text from pg_class c join pg_statistic s on s.starelid = c.oid
-- # statistics through ANY sub-query
select (select string_agg(histogram_bounds::text, ' ') from pg_stats where attname = a.attname) from pg_attribute a where attname = 'card'
-- # regproc casts
-- vacuous: names
select 'card_of'::regproc, 'people'::regclass::oid, to_regclass('secrets'), 'people'::regtype
-- # pg_dump's query of tables
select pg_get_expr(adbin, adrelid) as adsrc, a.* from pg_attrdef a
-- # user mappings and servers
-- vacuous: none
select * from pg_user_mappings, pg_foreign_server
-- # publications and subscriptions
-- vacuous: none
select * from pg_publication, pg_subscription
-- # pg_seclabel and pg_init_privs
-- vacuous: none
select * from pg_seclabels
-- # column_domain_usage of information_schema
-- vacuous: names
select * from information_schema.column_domain_usage
-- # constraint_column_usage of information_schema
-- vacuous: names
select * from information_schema.constraint_column_usage
-- # key column usage
-- vacuous: names
select * from information_schema.key_column_usage where table_schema = 'public'
