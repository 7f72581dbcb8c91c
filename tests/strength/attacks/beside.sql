-- Ways to data that name no governed relation (rewriting.md, evidence 9).

-- # pg_stats
select tablename, attname, most_common_vals::text, histogram_bounds::text from pg_stats where schemaname = 'public'
-- # pg_stats in short
select * from pg_catalog.pg_stats where tablename = 'people' and attname = 'card'
-- # pg_statistic
select starelid::regclass, stavalues1::text, stavalues2::text from pg_statistic where starelid = {oid:public.people}
-- # pg_statistic of partitions
select stavalues1::text from pg_statistic where starelid = {oid:public.readings_lo}
-- # pg_statistic whole row
select s::text from pg_statistic s where s.starelid > 16000
-- # pg_statistic, the open columns of a hidden relation
-- vacuous: fractions and counts only
select stanullfrac, stawidth, stadistinct from pg_statistic where starelid = {oid:public.people}
-- # pg_stats_ext
select * from pg_stats_ext
-- # pg_statistic_ext_data
select stxdmcv::text, pg_mcv_list_items(stxdmcv) from pg_statistic_ext_data
-- # pg_mcv_list_items
select m.* from pg_statistic_ext_data d, pg_mcv_list_items(d.stxdmcv) m
-- # pg_stats_ext_exprs
select * from pg_stats_ext_exprs
-- # statistics of an index
select tablename, histogram_bounds::text from pg_stats where tablename like 'people_%'
-- # reltuples and pages
-- vacuous: counts
select relname, reltuples, relpages from pg_class where relname in ('people', 'orders', 'secrets')
-- # toast by name
select chunk_data from pg_toast.pg_toast_{oid:public.people}
-- # toast by name, decoded
select convert_from(chunk_data, 'UTF8') from pg_toast."pg_toast_{oid:public.people}"
-- # toast with the search path
set local search_path = pg_toast; select * from pg_toast_{oid:public.people}
-- # toast relation by the catalog
select reltoastrelid::regclass from pg_class where relname = 'people'
-- vacuous: a name only
-- # query_to_xml
-- vacuous: the embedded server has no libxml
select query_to_xml('select card from people', true, true, '')
-- # table_to_xml
-- vacuous: the embedded server has no libxml
select table_to_xml('people', true, true, ''), schema_to_xml('public', true, true, '')
-- # cursor_to_xml
-- vacuous: the embedded server has no libxml
declare c cursor for select 1; select cursor_to_xml('c', 10, true, true, '')
-- # database_to_xml
-- vacuous: the embedded server has no libxml
select database_to_xml(true, true, '')
-- # ts_stat
select * from ts_stat('select to_tsvector(''simple'', card) from people')
-- # ts_stat qualified and quoted
select word from "pg_catalog"."ts_stat"($$select array_to_tsvector(array[card]) from public.people$$)
-- # ts_rewrite
select ts_rewrite('a'::tsquery, 'select ''a''::tsquery, plainto_tsquery(''simple'', card) from people limit 1')
-- # crosstab
select * from crosstab('select id::text, card, email from people order by 1') as t(a text, b text)
-- # connectby
select * from connectby('people', 'card', 'id::text', '3', 3) as t(a text, b text, c int)
-- # dblink to oneself
select * from dblink('host=127.0.0.1 port=' || current_setting('port') || ' user=postgres dbname={db}', 'select card from people') as t(c text)
-- # dblink_exec
-- vacuous: it returns a tag only
select dblink_exec('dbname={db}', 'update people set note = note where false')
-- # dblink_build_sql_update
select dblink_build_sql_update('people', '1', 1, array['3'], array['3'])
-- # dblink_build_sql_insert
select dblink_build_sql_insert('public.people', '1', 1, '{3}', '{3}')
-- # dblink with a literal connection of its own user
select * from dblink('host=127.0.0.1 port=' || inet_server_port() || ' user=st_deploy dbname={db}', 'select email from public.people') as t(c text)
-- # get_raw_page
select encode(get_raw_page('people', 0), 'escape'), get_raw_page('people', 0)
-- # heap_page_items
select t_data from heap_page_items(get_raw_page('people', 0))
-- # heap_page_item_attrs
select t_attrs from heap_page_item_attrs(get_raw_page('people', 0), 'people')
-- # tuple_data_split
select tuple_data_split('people'::regclass, t_data, t_infomask, t_infomask2, t_bits) from heap_page_items(get_raw_page('people', 0))
-- # bt_page_items
select data from bt_page_items('people_card', 1)
-- # bt_page_items of an expression index
select data from bt_page_items('people_extra_expr', 1)
-- # bt_multi_page_stats
-- vacuous: counts
select * from bt_multi_page_stats('people_card', 1, 1)
-- # pgstattuple
-- vacuous: counts
select * from pgstattuple('people')
-- # pgrowlocks
-- vacuous: locks only
select * from pgrowlocks('people')
-- # pg_buffercache
-- vacuous: page numbers only
select count(*) from pg_buffercache
-- nodiff: what is in memory
-- # pg_visibility
-- vacuous: flags only
select * from pg_visibility('people')
-- # currtid2
-- vacuous: a row version's place
select currtid2('people', '(0,1)'::tid)
-- # lo_get
select lo_get(424242), convert_from(lo_get(424242), 'UTF8')
-- # loread
select loread(lo_open(424242, 262144), 100)
-- # lo_export
-- vacuous: it writes a file on the server
select lo_export(424242, '/tmp/canary')
-- # pg_largeobject
select data from pg_largeobject where loid = 424242
-- # lo_from_bytea of a column
select lo_get(lo_from_bytea(0, convert_to(card, 'UTF8'))) from people
-- # lo_put
-- vacuous: it writes only
select lo_put(424242, 20, 'x')
-- # a function of the DBA's
select card_of(3)
-- # the same, qualified and quoted
select "public"."card_of"(id) from people
-- # a set-returning function of the DBA's
select * from all_cards()
-- # a function that returns rows of the table's type
select * from all_people()
-- # a field of a function's row
select (all_people()).card
-- # a function that runs text
select run_text('select card from people')
-- # a function with a literal
select with_literal()
-- # an attribute function on a governed row
select people.secret_part from people
-- # an attribute function on a made row
select secret_part(row(1, 'n', 'e', 'p', null, 'c', 1, 1, 1, null, null, null, null, null, null, null, null, 'DE', null, null)::people)
-- vacuous: of the app's own values
-- # a procedure
call show_cards()
-- # a DO block
do $$ declare t text; begin select string_agg(card, ',') into t from public.people; raise notice '%', t; end $$
-- # a DO block that raises an error
do $$ begin raise exception '%', (select string_agg(card, ',') from public.people); end $$
-- # a DO block in another language
-- vacuous: not installed
do language plpython3u $$ plpy.notice('x') $$
-- # pg_read_file of a relation's file
-- vacuous: the file is not known
select pg_read_file('postgresql.conf'), pg_ls_dir('base')
-- # pg_read_binary_file of the relation
select pg_read_binary_file(pg_relation_filepath('people'))
-- # pg_read_binary_file of a file that the catalog tells
select pg_read_binary_file(pg_relation_filepath({oid:public.people}::regclass), 0, 8192)
-- # pg_stat_activity
-- nodiff: which sessions there are
-- vacuous: what others have just sent, by chance
select query from pg_stat_activity
-- # pg_stat_get_activity
-- vacuous: what others have just sent, by chance
select query from pg_stat_get_activity(null)
-- # pg_stat_get_backend_activity
-- vacuous: what others have just sent, by chance
select pg_stat_get_backend_activity(b) from pg_stat_get_backend_idset() b
-- # pg_stat_statements
-- vacuous: it is not loaded
select query from pg_stat_statements
-- # pg_prepared_statements
-- vacuous: own statements
select statement from pg_prepared_statements
-- # pg_cursors
-- vacuous: own cursors
declare c cursor for select card from people; select statement from pg_cursors
-- # current_query shows what the gateway made
select current_query(), card from people limit 1
-- # policy's text in the plan
-- vacuous: the rule's text is the gateway's, not the server's
explain (verbose, costs off) select id from people
-- # pg_stat_user_tables
-- vacuous: counts
-- nodiff: counters of the server
select relname, n_live_tup, n_tup_ins from pg_stat_user_tables
-- # pg_stat_get_live_tuples
-- vacuous: counts
select pg_stat_get_live_tuples({oid:public.people}), pg_stat_get_tuples_inserted({oid:public.secrets})
-- nodiff: counters of the server
-- # sizes
-- vacuous: sizes
select pg_relation_size('people'), pg_total_relation_size('secrets'), pg_table_size('people'), pg_indexes_size('people')
-- # sequences
select last_value from pg_sequences where sequencename = 'counter'
-- # sequence functions
select pg_sequence_last_value('counter'::regclass), pg_get_sequence_data('counter'::regclass)
-- # nextval and currval
-- nodiff: state of a sequence
select nextval('counter')
-- # nextval of a governed table's sequence
-- vacuous: it tells how many
-- nodiff: state of a sequence
select nextval('orders_id_seq'), pg_get_serial_sequence('orders', 'id')
-- # WAL records of pages
-- vacuous: needs an extension
select pg_current_wal_lsn() is null, pg_walfile_name('0/1')
-- # logical decoding
-- vacuous: wal_level is replica
select pg_create_logical_replication_slot('c', 'pgoutput')
-- # export of a snapshot
-- vacuous: it leaks by another connection
select pg_export_snapshot() is null
-- # NOTIFY with a value
-- vacuous: nobody listens
select pg_notify('channel', card) from people
-- # LISTEN and NOTIFY oneself
-- session
listen channel
-- next
select pg_notify('channel', string_agg(card, ',')) from people
-- next
select 1
-- # a foreign table
-- vacuous: no wrapper installed
create foreign table ft (a int) server s
-- # COPY to a file
-- vacuous: it writes on the server
copy people to '/tmp/canary.csv'
-- # COPY to a program
-- vacuous: it writes on the server
copy people to program 'cat >/dev/null'
-- # COPY from a file
-- vacuous: it reads the server's files
copy inbox (id) from '/etc/passwd'
-- # COPY from a program that reads the database
-- vacuous: tells by its error
copy inbox (id) from program 'echo zq'
-- # ANALYZE by the app
-- vacuous: what it takes is in pg_stats
analyze verbose people
-- # VACUUM VERBOSE
-- vacuous: counts
vacuum (verbose) people
-- # CLUSTER, REINDEX
-- vacuous: no values
reindex table people
-- # REFRESH MATERIALIZED VIEW
-- vacuous: no values
refresh materialized view mv_people
-- # amcheck
-- vacuous: says whether an index holds
select bt_index_check('people_card')
-- # verify_heapam
-- vacuous: says whether a table holds
select * from verify_heapam('people')
-- # pg_prewarm
-- vacuous: a count of pages
select pg_prewarm('people')
-- # pg_get_viewdef runs nothing
-- vacuous: no literal in it
select pg_get_viewdef('v_people')
-- # has_column_privilege asks for dropped columns
-- vacuous: names only
select has_column_privilege('people', 'extra', 'select'), col_description('people'::regclass, 5)
-- # row_security and acl
-- vacuous: names only
select relacl, pg_get_userbyid(relowner) from pg_class where relname = 'people'
-- # pg_ls_dir of the data folder
-- vacuous: names of files
select pg_ls_waldir(), pg_current_logfile()
-- nodiff: names of files
-- # the server's log by pg_read_file
-- vacuous: the place is unknown
select pg_read_file('log')
-- # pgcrypto as a container
-- vacuous: pgcrypto is not in the embedded server
select pgp_sym_decrypt(pgp_sym_encrypt(card, 'k'), 'k'), armor(card::bytea) from people
-- # tablefunc's normal_rand is harmless
-- vacuous: random numbers
-- nodiff: random numbers
select normal_rand(1, 0, 1)
-- # plpgsql_inline_handler
-- vacuous: cannot be called from SQL
select plpgsql_inline_handler('x')
-- # lastval
-- vacuous: own session
select lastval()
-- # txid of rows
-- vacuous: counters
-- nodiff: counters
select pg_current_xact_id() is null, txid_current() > 0
-- # pg_event_trigger and tcn
-- vacuous: only in triggers
select pg_event_trigger_ddl_commands()
-- # hash of rows
select hash_record(p), hash_record_extended(p, 1) from people p
-- # record_send
select record_send(p), array_send(tags), jsonb_send(profile), textsend(card) from people p
-- # cash, inet and uuid functions
select host(ip), abbrev(ip), network(set_masklen(ip, 32)), uuid_send(token), uuid_extract_version(token) from people
-- # satisfies_hash_partition
-- vacuous: a condition of a partition
select satisfies_hash_partition('readings'::regclass, 2, 0, 1)
-- # pg_partition_tree
-- vacuous: names
select * from pg_partition_tree('readings'), pg_partition_ancestors('readings_lo')
-- # pg_input_error_info
select pg_input_error_info(card, 'int4') from people
-- # pg_input_is_valid
-- vacuous: one bit
select pg_input_is_valid(card, 'int4') from people
-- # pg_typeof and pg_describe_object
select pg_describe_object('pg_class'::regclass, {oid:public.people}, n) from generate_series(1, 20) n
-- vacuous: names
-- # pg_identify_object
select * from pg_identify_object('pg_class'::regclass, {oid:public.people}, 19)
-- vacuous: names
