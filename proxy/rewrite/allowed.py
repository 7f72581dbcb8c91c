"""What a governed app may use, as data: read by the rewriter and, independently, by the verifier.

The refused functions are those of `dangerous.txt` (PostgreSQL 18.6 and its contrib) that reach data by another way
than the
governed relations; the listed ones that only need care are handled by `proxy/rewrite/functions.py`.
"""

from __future__ import annotations

REFUSED_FUNCTIONS = frozenset(
    """
    RI_FKey_cascade_del RI_FKey_cascade_upd RI_FKey_check_ins RI_FKey_check_upd RI_FKey_noaction_del
    RI_FKey_noaction_upd RI_FKey_restrict_del RI_FKey_restrict_upd RI_FKey_setdefault_del RI_FKey_setdefault_upd
    RI_FKey_setnull_del RI_FKey_setnull_upd autoprewarm_dump_now autoprewarm_start_worker
    binary_upgrade_add_sub_rel_state binary_upgrade_create_empty_extension
    binary_upgrade_logical_slot_has_caught_up binary_upgrade_replorigin_advance binary_upgrade_set_missing_value
    binary_upgrade_set_next_array_pg_type_oid binary_upgrade_set_next_heap_pg_class_oid
    binary_upgrade_set_next_heap_relfilenode binary_upgrade_set_next_index_pg_class_oid
    binary_upgrade_set_next_index_relfilenode binary_upgrade_set_next_multirange_array_pg_type_oid
    binary_upgrade_set_next_multirange_pg_type_oid binary_upgrade_set_next_pg_authid_oid
    binary_upgrade_set_next_pg_enum_oid binary_upgrade_set_next_pg_tablespace_oid
    binary_upgrade_set_next_pg_type_oid binary_upgrade_set_next_toast_pg_class_oid
    binary_upgrade_set_next_toast_relfilenode binary_upgrade_set_record_init_privs brin_bloom_opcinfo
    brin_desummarize_range brin_inclusion_opcinfo brin_metapage_info brin_minmax_multi_opcinfo
    brin_minmax_opcinfo brin_page_items brin_page_type brin_revmap_data brin_summarize_new_values
    brin_summarize_range bt_index_check bt_index_parent_check bt_metap bt_multi_page_stats bt_page_items
    bt_page_stats check_foreign_key check_primary_key connectby crosstab crosstab2 crosstab3 crosstab4 currtid
    currtid2 current_query cursor_to_xml cursor_to_xmlschema database_to_xml database_to_xml_and_xmlschema
    database_to_xmlschema dblink dblink_build_sql_delete dblink_build_sql_insert dblink_build_sql_update
    dblink_cancel_query dblink_close dblink_connect dblink_connect_u dblink_current_query dblink_disconnect
    dblink_error_message dblink_exec dblink_fdw_validator dblink_fetch dblink_get_connections dblink_get_notify
    dblink_get_pkey dblink_get_result dblink_is_busy dblink_open dblink_send_query file_fdw_handler
    file_fdw_validator fmgr_c_validator fmgr_internal_validator fmgr_sql_validator fsm_page_contents
    get_raw_page gin_clean_pending_list gin_leafpage_items gin_metapage_info gin_page_opaque_info
    gist_page_items gist_page_items_bytea gist_page_opaque_info hash_bitmap_info hash_metapage_info
    hash_page_items hash_page_stats hash_page_type heap_force_freeze heap_force_kill heap_page_item_attrs
    heap_page_items heap_tuple_infomask_flags lo_close lo_creat lo_create lo_export lo_from_bytea lo_get
    lo_import lo_lseek lo_lseek64 lo_manage lo_oid lo_open lo_put lo_tell lo_tell64 lo_truncate lo_truncate64
    lo_unlink loread lowrite page_checksum page_header pg_available_wal_summaries pg_backup_start pg_backup_stop
    pg_buffercache_evict pg_buffercache_evict_all pg_buffercache_evict_relation pg_buffercache_numa_pages
    pg_buffercache_pages pg_buffercache_summary pg_buffercache_usage_counts pg_cancel_backend pg_check_frozen
    pg_check_visible pg_clear_attribute_stats pg_clear_relation_stats pg_config pg_control_checkpoint
    pg_control_init pg_control_recovery pg_control_system pg_copy_logical_replication_slot
    pg_copy_physical_replication_slot pg_create_logical_replication_slot pg_create_physical_replication_slot
    pg_create_restore_point pg_current_logfile pg_cursor pg_drop_replication_slot
    pg_export_snapshot pg_extension_config_dump pg_filenode_relation pg_freespace pg_get_backend_memory_contexts
    pg_get_logical_snapshot_info pg_get_logical_snapshot_meta pg_get_multixact_members pg_get_publication_tables
    pg_get_replication_slots pg_get_sequence_data pg_get_shmem_allocations pg_get_shmem_allocations_numa
    pg_get_wal_block_info pg_get_wal_record_info pg_get_wal_records_info pg_get_wal_replay_pause_state
    pg_get_wal_resource_managers pg_get_wal_stats pg_get_wal_summarizer_state pg_hba_file_rules
    pg_ident_file_mappings pg_import_system_collations pg_isolation_test_session_is_blocked
    pg_lock_status pg_log_backend_memory_contexts pg_logical_emit_message pg_logical_slot_get_binary_changes
    pg_logical_slot_get_changes pg_logical_slot_peek_binary_changes pg_logical_slot_peek_changes
    pg_ls_archive_statusdir pg_ls_dir pg_ls_logdir pg_ls_logicalmapdir pg_ls_logicalsnapdir pg_ls_replslotdir
    pg_ls_summariesdir pg_ls_tmpdir pg_ls_waldir pg_mcv_list_items pg_nextoid pg_notify pg_prepared_statement
    pg_identify_object pg_identify_object_as_address pg_prewarm pg_promote pg_read_binary_file
    pg_read_file pg_relation_filenode pg_relation_filepath
    pg_reload_conf pg_relpages pg_replication_origin_advance pg_replication_origin_create
    pg_replication_origin_drop pg_replication_origin_oid pg_replication_origin_progress
    pg_replication_origin_session_is_setup pg_replication_origin_session_progress
    pg_replication_origin_session_reset pg_replication_origin_session_setup pg_replication_origin_xact_reset
    pg_replication_origin_xact_setup pg_replication_slot_advance pg_restore_attribute_stats
    pg_restore_relation_stats pg_rotate_logfile pg_sequence_last_value pg_sequence_parameters
    pg_show_all_file_settings pg_show_replication_origin_status pg_start_backup
    pg_stat_clear_snapshot pg_stat_file pg_stat_force_next_flush pg_stat_get_activity
    pg_stat_get_backend_activity pg_stat_get_progress_info pg_stat_get_wal_receiver pg_stat_reset
    pg_stat_reset_backend_stats pg_stat_reset_replication_slot pg_stat_reset_shared
    pg_stat_reset_single_function_counters pg_stat_reset_single_table_counters pg_stat_reset_slru
    pg_stat_reset_subscription_stats pg_stat_statements pg_stat_statements_info pg_stat_statements_reset
    pg_stats_ext_mcvlist_items pg_stop_backup pg_stop_making_pinned_objects pg_switch_wal
    pg_sync_replication_slots pg_terminate_backend
    pg_truncate_visibility_map pg_visibility pg_visibility_map pg_visibility_map_summary pg_wal_replay_pause
    pg_wal_replay_resume pg_wal_summary_contents pg_walfile_name pg_walfile_name_offset pgrowlocks
    pgstatginindex pgstathashindex pgstatindex pgstattuple pgstattuple_approx plpgsql_call_handler
    plpgsql_inline_handler plpgsql_validator postgres_fdw_disconnect postgres_fdw_disconnect_all
    postgres_fdw_get_connections postgres_fdw_handler postgres_fdw_validator query_to_xml
    query_to_xml_and_xmlschema query_to_xmlschema schema_to_xml schema_to_xml_and_xmlschema schema_to_xmlschema
    suppress_redundant_updates_trigger table_to_xml table_to_xml_and_xmlschema table_to_xmlschema
    ts_rewrite ts_stat tuple_data_split verify_heapam xpath_table
    """.split()
)

# What dangerous.txt does not name, found by a look at every function of 15 and 18 (tests/strength/reviewed.txt): other
# sessions' and the server's state, names of hidden columns, comments.
REFUSED_FUNCTIONS |= frozenset(
    """
    pg_get_acl pg_get_aios pg_get_loaded_modules pg_get_object_address pg_log_standby_snapshot pg_prepared_xact
    pg_rotate_logfile_old pg_stat_have_stats pg_last_committed_xact pg_xact_commit_timestamp
    pg_xact_commit_timestamp_origin
    """.split()
)

# PostGIS's that read tables or statistics by name, or change tables.
REFUSED_FUNCTIONS |= frozenset(
    """
    _postgis_index_extent addauth checkauth checkauthtrigger disablelongtransactions enablelongtransactions
    gettransactionid lockrow longtransactionsenabled postgis_constraint_dims postgis_constraint_srid
    postgis_constraint_type st_fromflatgeobuftotable unlockrows
    _postgis_join_selectivity _postgis_selectivity _postgis_stats addgeometrycolumn dropgeometrycolumn dropgeometrytable
    find_extent find_srid populate_geometry_columns postgis_extensions_upgrade st_estimatedextent st_findextent
    updategeometrysrid
    """.split()
)

# Families in which newer versions add members: refused by how the name begins.
REFUSED_FUNCTION_PREFIXES = (
    "pg_stat_get_",
    "pg_statio_",
    "pg_ls_",
    "pg_read_",
    "lo_",
    "dblink",
    "binary_upgrade_",
    "pg_logical_",
    "pg_replication_",
    "pg_clear_",
    "pg_restore_",
)

# They take an oid and print a definition: allowed, their argument kept away from what the app does not have.
# (pg_get_expr
# takes a tree, which an app can only have from a catalog that is filtered already: no text makes a pg_node_tree.)
DEFINITION_FUNCTIONS = frozenset(
    """
    pg_describe_object pg_get_constraintdef pg_get_function_sqlbody pg_get_functiondef pg_get_indexdef
    pg_get_partition_constraintdef pg_get_partkeydef pg_get_ruledef pg_get_statisticsobjdef
    pg_get_statisticsobjdef_columns pg_get_statisticsobjdef_expressions pg_get_triggerdef pg_get_viewdef
    """.split()
)

# Operator classes that an app may name for an index of a temp table, without their schema.
INDEX_CLASSES = frozenset(
    "text_pattern_ops varchar_pattern_ops bpchar_pattern_ops text_ops varchar_ops jsonb_ops jsonb_path_ops array_ops "
    "gin_trgm_ops gist_trgm_ops inet_ops int4_ops int8_ops numeric_ops date_ops timestamptz_ops uuid_ops "
    "range_ops".split()
)

# They make a value of the type that a text names, and say whether it can be made.
TYPE_READERS = frozenset({"pg_input_is_valid", "pg_input_error_info"})

# They take a relation and tell its size: allowed for relations that the app has whole.
SIZE_FUNCTIONS = frozenset({"pg_relation_size", "pg_table_size", "pg_total_relation_size", "pg_indexes_size"})

# They tell the size of more than relations: callable, and NULL where anything is hidden.
WHOLE_SIZE_FUNCTIONS = frozenset({"pg_database_size", "pg_tablespace_size"})

# Extensions whose functions and operators compute, and read nothing.
HARMLESS_EXTENSIONS = frozenset(
    """
    pgcrypto uuid-ossp pg_trgm unaccent citext hstore ltree intarray fuzzystrmatch btree_gin btree_gist postgis vector
    cube
    earthdistance isn seg
    """.split()
)

# Kinds of statements (libpg_query's node names) that a governed app may send; what some of them may hold is checked
# further.
STATEMENT_KINDS = frozenset(
    """
    SelectStmt InsertStmt UpdateStmt DeleteStmt MergeStmt CopyStmt ExplainStmt PrepareStmt ExecuteStmt DeallocateStmt
    DeclareCursorStmt FetchStmt ClosePortalStmt TransactionStmt ConstraintsSetStmt VariableSetStmt VariableShowStmt
    DiscardStmt
    ListenStmt UnlistenStmt NotifyStmt CreateTableAsStmt CreateStmt DropStmt TruncateStmt IndexStmt
    AlterTableStmt RenameStmt CommentStmt VacuumStmt
    """.split()
)

# What ALTER TABLE may do with a temp table.
TEMP_TABLE_CHANGES = frozenset(
    """
    AT_AddColumn AT_DropColumn AT_AlterColumnType AT_ColumnDefault AT_SetNotNull AT_DropNotNull AT_AddConstraint
    AT_DropConstraint AT_AddIdentity AT_DropIdentity AT_SetStatistics AT_SetStorage
    """.split()
)

# Settings that a governed app may SET, start with, or give to set_config: none changes what a text means or who reads.
SETTABLE = frozenset(
    """
    application_name bytea_output client_encoding client_min_messages cpu_index_tuple_cost cpu_operator_cost
    cpu_tuple_cost cursor_tuple_fraction datestyle deadlock_timeout default_statistics_target
    default_transaction_deferrable default_transaction_isolation default_transaction_read_only
    effective_cache_size effective_io_concurrency enable_async_append enable_bitmapscan enable_distinct_reordering
    enable_gathermerge
    enable_group_by_reordering enable_hashagg enable_hashjoin enable_incremental_sort enable_indexonlyscan
    enable_indexscan enable_material enable_memoize enable_mergejoin enable_nestloop enable_parallel_append
    enable_parallel_hash enable_partition_pruning enable_partitionwise_aggregate enable_partitionwise_join
    enable_presorted_aggregate enable_self_join_elimination enable_seqscan enable_sort enable_tidscan
    escape_string_warning extra_float_digits from_collapse_limit geqo geqo_effort geqo_generations
    geqo_pool_size geqo_seed geqo_selection_bias geqo_threshold hash_mem_multiplier
    idle_in_transaction_session_timeout idle_session_timeout intervalstyle jit jit_above_cost
    jit_inline_above_cost jit_optimize_above_cost join_collapse_limit lc_messages lc_monetary lc_numeric lc_time
    lock_timeout maintenance_io_concurrency maintenance_work_mem max_parallel_maintenance_workers max_parallel_workers
    max_parallel_workers_per_gather
    min_parallel_index_scan_size min_parallel_table_scan_size parallel_leader_participation parallel_setup_cost
    parallel_tuple_cost plan_cache_mode random_page_cost recursive_worktable_factor search_path seed
    seq_page_cost statement_timeout stats_fetch_consistency synchronize_seqscans synchronous_commit
    tcp_keepalives_count tcp_keepalives_idle tcp_keepalives_interval tcp_user_timeout temp_buffers timezone
    transaction_deferrable transaction_isolation transaction_read_only transaction_timeout work_mem xmlbinary
    xmloption
    """.split()
)

# Settings that a governed app may SET to their default only, on which the gateway relies, or what the rules hide: the
# default, in PostgreSQL's spellings.
_ON, _OFF = frozenset("on true tru tr t yes ye y 1".split()), frozenset("off of false fals fal fa f no n 0".split())
FIXED = {
    "array_nulls": _ON,
    "backslash_quote": frozenset({"safe_encoding"}),
    "constraint_exclusion": frozenset({"partition"}),
    "quote_all_identifiers": _OFF,
    "row_security": _ON,
    "standard_conforming_strings": _ON,
    "transform_null_equals": _OFF,
}

# Client encodings in which every byte below 128 is the ASCII character, wherever it stands -> Python's codec.
ENCODINGS = {
    "UTF8": "utf-8",
    "UNICODE": "utf-8",
    "SQL_ASCII": "utf-8",
    "LATIN1": "latin-1",
    "ISO88591": "latin-1",
    "LATIN2": "iso8859-2",
    "LATIN9": "iso8859-15",
    "WIN1250": "cp1250",
    "WIN1251": "cp1251",
    "WIN1252": "cp1252",
    "KOI8R": "koi8-r",
}

# Names that the grammar itself makes calls of, or types written as a call (`uuid('...')`): harmless where no function
# has the name.
GRAMMAR_FUNCTIONS = frozenset(
    """
    bit bool box btrim bpchar cid int2vector oidvector pg_lsn pg_snapshot refcursor regclass regcollation regconfig
    regdictionary regnamespace regoper regoperator regproc regprocedure regrole regtype tid txid_snapshot xid8
    bytea char cidr circle collation_for date date_part extract float4 float8 inet int2 int4 int8
    interval
    is_normalized json jsonb jsonpath like_escape line lseg ltrim macaddr macaddr8 money name normalize numeric oid
    overlay path
    pg_collation_for point polygon position rtrim similar_to_escape substring system_user text time timestamp
    timestamptz timetz
    timezone tsquery tsvector uuid varbit varchar xid xml xmlexists
    """.split()
)

# What PostgreSQL's own functions in FROM call their columns, where an alias of the function does not (their OUT names).
_PAIR, _VALUE = ("key", "value"), ("value",)
FUNCTION_COLUMNS = {
    **dict.fromkeys(("json_each", "json_each_text", "jsonb_each", "jsonb_each_text"), _PAIR),
    **dict.fromkeys(("json_array_elements", "json_array_elements_text"), _VALUE),
    **dict.fromkeys(("jsonb_array_elements", "jsonb_array_elements_text"), _VALUE),
}

# Functions of PostgreSQL's own whose rows are one value that is no row itself: the column has the name of the alias.
SETS_OF_VALUES = frozenset(
    """
    generate_series generate_subscripts json_object_keys jsonb_object_keys jsonb_path_query regexp_matches
    regexp_split_to_table string_to_table
    """.split()
)
# Types of which `unnest` of an array gives values that are no rows.
PLAIN_TYPES = frozenset(
    """
    bool bpchar bytea date float4 float8 int2 int4 int8 interval json jsonb numeric text time timestamp timestamptz
    timetz uuid varchar
    """.split()
)

# What PostgreSQL calls these in FROM, where they have no alias.
TABLE_FUNCTIONS = {"RangeTableFunc": "xmltable", "JsonTable": "json_table"}
