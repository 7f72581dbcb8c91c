"""What may differ, and be refused, when PostgreSQL's own tests are played through the gateway, each with its reason.

Beside these stand the kinds of README.md, which are counted (`compare.DESIGNED`). What is not here fails the test.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Accepted:
    """`file` (every one where empty), and patterns that are found in the statement and in what is reported of it."""

    reason: str
    file: str = ""
    statement: str = ""
    how: str = ""

    def covers(self, file: str, text: str, how: str) -> bool:
        return (
            self.file in ("", file)
            and re.search(self.statement, text) is not None
            and re.search(self.how, how) is not None
        )


DIFFERENCES = (
    Accepted(
        "rights on views, and row security of the view's owner: its tables are read as the login (refusals.md)",
        file="rowsecurity",
        statement=r"^SELECT \* FROM (rls_view|bv1 WHERE f_leak\(b\));$",
        how=r"^(T/E: .* M=permission denied for table (b1|z1_blacklist)$|E/T: .* denied for view rls_view \||"
        r"row: .*2.*bbb' \| .*1.*aba'$)",
    ),
    Accepted(
        "what is in a RAISE of a function of the database's own is not told where something is hidden (rewriting.md)",
        file="rowsecurity",
        statement=r"^SELECT \* FROM rls_view;$",
        how=r"^notice: C=00000 M=f_leak => .* M=f_leak => \?$",
    ),
    Accepted(
        "COPY of a form is a query: the same SQLSTATE, for the rows that row security would hide (governed-form.md)",
        file="rowsecurity",
        statement=r"^COPY copy_rel_to TO STDOUT",
        how='^error: C=42501 .* C=42501 M=query would be affected by row-level security policy for table "copy_rel_to"$',
    ),
    Accepted(
        "the session's role has rights on some columns; a governed form reads all that are shown (refusals.md)",
        how=r"^T/E: .* C=42501 M=permission denied for table gtest1[12]$",
    ),
    Accepted(
        "locks on rows of a relation that the app has not whole are not shown (catalogs.md)",
        file="tidscan",
        statement="FROM pg_locks",
        how=r"^D/C: b'.*SIReadLock' \| b'SELECT 0",
    ),
    Accepted(
        "a plan in a function's answer has the form's aliases (README.md)",
        statement=r"select explain_(parallel_append|filter)\('",
        how=r"^row: b'.*Seq Scan on .*' \| b'.*Seq Scan on \w+ _t\w*[ _]",
    ),
    Accepted(
        "how large a relation is that the app has not whole is not shown, nor is that of temp tables (catalogs.md)",
        statement=r"pg_relation_size\(",
        how=r"^row: b'\\x00\\x01\\x00\\x00\\x00\\x01t' \| b'\\x00\\x01\\xff\\xff\\xff\\xff'$",
    ),
    Accepted(
        "statistics of such a relation, and of a database of which something is hidden, count nothing (catalogs.md)",
        file="stats",
        statement=r"FROM pg_stat(io)?_(user_tables|all_tables|database|bgwriter|checkpointer|wal|io|slru)\b",
        how="^row: ",
    ),
    Accepted(
        "the session's role has rights on some columns; a governed form reads all that are shown (refusals.md)",
        file="copy2",
        statement=r"^(-- subset of columns .*\n)?COPY rls_t1 \(a(, b)?\) TO stdout",
        how="C=42501 M=permission denied for table rls_t1",
    ),
    Accepted(
        "the session's role has rights on the view alone; where it hides something, its tables are read (refusals.md)",
        file="updatable_views",
        how=r"C=42501 M=permission denied for table (base_tbl|wcowrtest)$",
    ),
    Accepted(
        "the same",
        file="select_views",
        how=r"C=42501 M=permission denied for table (customer|credit_usage)$",
    ),
    Accepted(
        "rights on views, and on some columns: a form reads the tables with the rights of the login (refusals.md)",
        file="privileges",
        how=r"C=42501 M=permission denied for table (atest\d+|msource)\b",
    ),
    Accepted(
        "large objects are shared: none is listed (refusals.md)",
        file="privileges",
        statement="FROM pg_largeobject_metadata",
        how=r"^D/C: .* \| b'SELECT 0\\x00'",
    ),
    Accepted(
        "the same",
        file="stats_ext",
        statement=r"FROM tststats\.priv_test_view",
        how=r"C=42501 M=permission denied for table priv_test_tbl$",
    ),
    Accepted(
        "statistics of a database of which something is hidden count nothing (catalogs.md)",
        file="select_parallel",
        statement="from pg_stat_database",
        how="^row: ",
    ),
    Accepted(
        "a whole row of a view is a record, and no row of its type for a function",
        file="updatable_views",
        statement=r"RETURNING rw_view1_aa\(v\)",
        how="cannot cast type record to rw_view1",
    ),
    Accepted(
        "what it would have updated is there still",
        file="updatable_views",
        statement=r"^SELECT \* FROM base_tbl;$",
        how=r"^row: b'.*Updated row 2' \| b'.*Row 2'",
    ),
    Accepted(
        "the definition of a view that hides something is not shown (catalogs.md)",
        statement=r"(?s)^SELECT .* FROM information_schema.views\s+WHERE table_name (= 'rw_view1'|LIKE 'collview%')",
        how="^row: .*(rw_view1|collview1)",
    ),
    Accepted(
        "what was prepared or declared is not shown: the server has the rewritten text (catalogs.md)",
        statement="FROM pg_(prepared_statements|cursors)",
        how="<insufficient privilege>",
    ),
    Accepted(
        "the same, by a statement that was prepared",
        file="portals",
        statement="EXECUTE cprep",
        how="<insufficient privilege>",
    ),
    Accepted(
        "of a form that was prepared: the description has no table and number",
        file="portals",
        statement="^EXECUTE cprep",
        how="^description: ",
    ),
    Accepted(
        "the definition of a rule of a view or a table that hides something is not shown (catalogs.md)",
        file="rules",
        statement="FROM pg_rules",
        how="^row: ",
    ),
    Accepted(
        "the last value of a sequence of a table that the app has not whole is not shown (catalogs.md)",
        file="sequence",
        statement="FROM pg_sequences",
        how="^row: ",
    ),
    Accepted(
        "of system relations that are open there are statistics, of others none (catalogs.md)",
        file="polymorphism",
        statement=r"^(--.*\n)*select max\(histogram_bounds\) from pg_stats",
        how="^E/D: C=42804",
    ),
    Accepted(
        "a whole row is a record, made of the form's columns: with the names that FROM gives them",
        file="rowtypes",
        statement=r"select row_to_json\(i\) from int8_tbl i\(x,y\)",
        how=r"""^row: .*"q1":123.* \| .*"x":123""",
    ),
    Accepted(
        "the same error, of a record",
        file="rowtypes",
        statement=r"SELECT \(d\)\.ctid FROM",
        how='C=42703 .* \\| C=42703 M=could not identify column "ctid" in record',
    ),
    Accepted(
        "search_path = pg_temp went before, which an app is refused: the gateway makes no schema for temp tables of it",
        file="temp",
        statement="^PREPARE TRANSACTION 'twophase_search'",
        how="E/C: C=0A000 M=cannot PREPARE a transaction that has operated on temporary objects",
    ),
    Accepted(
        "a whole row of a governed relation is a record, and no row of a parent's type for a function",
        file="inherit",
        statement=r"p2text\(c1\.\*\)",
        how="cannot cast type record to p2",
    ),
    Accepted(
        "the session's role has rights on some columns; a governed form reads all that are shown (refusals.md)",
        file="inherit",
        statement="permtest_parent",
        how="C=42501 M=permission denied for table permtest_parent",
    ),
    Accepted(
        "the definition of a view that hides something is not shown (catalogs.md)",
        statement=r"pg_get_(viewdef|ruledef)\(",
        how=r"row: .* \| b'\\x00\\x01\\xff\\xff\\xff\\xff'",
    ),
    Accepted(
        "the body of a function of the database's own is not shown (catalogs.md)",
        statement=r"(?i)pg_get_functiondef\(",
        how=r"row: .* \| b'\\x00\\x01\\xff\\xff\\xff\\xff'",
    ),
    Accepted(
        "nor is it in pg_proc: what makes a function has null there",
        file="opr_sanity",
        statement="WHERE prosrc IS NULL",
        how=r"C/D: b'SELECT 0\\x00'",
    ),
    Accepted(
        "a text that does not parse is answered by the gateway: SQLSTATE 42601, and no HINT (README.md)",
        how=r"^error: C=\w{5} (M=[^|]*?)(?: H=[^|]*)? (P=\d+) \| C=42601 \1 \2$",
    ),
    Accepted(
        "standard_conforming_strings = off went before, which an app is refused: the gateway reads texts without it",
        file="strings",
        how=r"C=0A000 M=unsafe use of string constant with Unicode escapes .* \| C=42601 M=invalid Unicode escape",
    ),
    Accepted(
        "the same",
        file="plpgsql",
        statement=r"^(select strtest\(\)|set standard_conforming_strings = on)",
        how=r"^[TS]/[SZ]: .*standard_conforming_strings\\x00on",
    ),
    Accepted(
        "the same",
        file="strings",
        statement=r"^select 'a\\\\bcd' as f1",
        how=r"^N/E: C=22P06 M=nonstandard use of .* \| C=42601 M=syntax error",
    ),
    Accepted(
        "SET client_encoding TO EUC_JP went before, which an app is refused: the session has ended",
        file="copyencoding",
        statement="^RESET client_encoding",
        how=r"^S/Z: b'client_encoding\\x00UTF8\\x00' \| b'I'",
    ),
    Accepted(
        "statistics of a relation that the app has not whole are not shown, nor are those of temp tables (catalogs.md)",
        statement=r"(?i)\bpg_stats(_ext(_exprs)?)?\b",
        how=r"^(D/C: .* \| b'SELECT \d+\\x00'|row: b'\\x00\\x01.* \| b'\\x00\\x01\\x00\\x00\\x00\\x010')",
    ),
    Accepted(
        "nor when it was analysed and vacuumed, and how often it was read: the row has nulls and zeros (catalogs.md)",
        file="vacuum",
        statement="FROM pg_stat_user_tables",
        how=r"^row: b'\\x00\\x03",
    ),
    Accepted(
        "the same, in a view of pg_class",
        file="vacuum",
        statement=r"^SELECT \* FROM vac_option_tab_counts",
        how=r"^row: b'\\x00\\x02\\x00\\x00\\x00\\x04(main|toast)",
    ),
    Accepted(
        "a relation that the app has not whole seems never to have been analysed (catalogs.md)",
        file="stats_import",
        statement="relpages",
        how=r"^row: b'\\x00\\x0[345]",
    ),
    Accepted(
        "an error either way: the server finds no bare system column in a JOIN of tables, two in one of sub-queries",
        file="join",
        statement="select ctid from",
        how="C=42703 .* C=42702",
    ),
    Accepted(
        "how large a relation is that holds hidden values says something of them: the app has null (`hides_storage`)",
        statement=r"pg_relation_size\(('(large_tuple_test|test_temp|vac_truncate_test)'|reltoastrelid\) = 0)",
        how=r"row: .* \| b'\\x00\\x01\\xff\\xff\\xff\\xff'",
    ),
)

REFUSALS = (
    Accepted(
        "the server's files, log and state (dangerous.txt)",
        how=r"permission denied for function pg_(ls_\w+|walfile_name_offset|read_(binary_)?file|stat_file|"
        r"log_backend_memory_contexts|control_\w+|stat_reset_subscription_stats)$",
    ),
    Accepted(
        "the server's administration (dangerous.txt)",
        how=r'permission denied for system relation "pg_(backend_memory_contexts|ident_file_mappings|'
        r"hba_file_rules|file_settings|config|wait_events|"
        r'stat_(wal_receiver|subscription_stats|archiver|recovery_prefetch))"$',
    ),
    Accepted(
        "statistics by oid, of whatever relation and function (dangerous.txt)",
        file="stats",
        how=r'permission denied for (function pg_stat_\w+|system relation "pg_stat_user_functions")$',
    ),
    Accepted(
        "names of hidden columns (dangerous.txt)",
        how=r"permission denied for function pg_(identify_object_as_address|get_object_address)$",
    ),
    Accepted(
        "values in another place",
        file="misc_functions",
        how='permission denied for relation "pg_toast_[0-9]+"$',
    ),
    Accepted(
        "a row's place in a relation by name (dangerous.txt)",
        file="tid",
        how="permission denied for function currtid2$",
    ),
    Accepted(
        "rows of a child come with the parent: where the parent is not listed and the child is, list it (rules.md)",
        how="permission denied for table gtest1: the rules govern a child of it$",
    ),
    Accepted(
        "rules of a relation may read anything (refusals.md)",
        how='permission denied to write relation "gtest_rule"$',
    ),
    Accepted(
        "operators of the database's own (refusals.md)",
        how=r"permission denied for operator (\|@\||===)$",
    ),
    Accepted(
        "a write to a system catalog",
        file="reloptions",
        statement="UPDATE pg_class",
        how='permission denied for system relation "pg_class"$',
    ),
    Accepted(
        "a write to a system catalog",
        file="groupingsets",
        statement="(?i)update pg_class",
        how='permission denied for system relation "pg_class"$',
    ),
    Accepted("the server's files", how="COPY to or from a file or program is not allowed"),
    Accepted(
        "who reads, or the server's administration (proxy/rewrite/allowed.py)",
        how='permission denied to set parameter "(role|session_authorization|session_replication_role|'
        "allow_in_place_tablespaces|debug_parallel_query|max_stack_depth|check_function_bodies|"
        r"vacuum_(truncate|cost_delay)|max_parallel_maintenance_workers|track_activities|"
        r"lo_compat_privileges|gin_fuzzy_search_limit|row_security|scram_iterations|timezone_abbreviations|"
        r"createrole_self_grant|track_(io_timing|functions)|wal_skip_threshold|event_triggers|default_tablespace|"
        r"password_encryption|"
        r"compute_query_id|default_(table_access_method|with_oids|text_search_config|toast_compression)|"
        r'constraint_exclusion|restrict_nonsystem_relation_kind|plpgsql\.\w+)"',
    ),
    Accepted(
        "they change how later texts are read (refusals.md)",
        how=r'0A000 (parameter "standard_conforming_strings" cannot be changed|this client encoding is not supported)',
    ),
    Accepted(
        "search_path that names pg_temp, and functions there (refusals.md)",
        how=r"0A000 search_path cannot name this schema$|42883 function pg_temp\.(whoami|f) does not exist$",
    ),
    Accepted("a table's lock holds up others (refusals.md)", how="may not use LOCK TABLE$"),
    Accepted(
        "upkeep of indexes (dangerous.txt)",
        how=r"permission denied for function (brin_(de)?summarize_(range|new_values)|gin_clean_pending_list)$",
    ),
    Accepted(
        "the server's state (dangerous.txt)",
        file="privileges",
        how=r'permission denied for system relation "pg_(aios|backend_memory_contexts|shmem_allocations\w*)"',
    ),
    Accepted("DDL in EXPLAIN", how="may not use CREATE MATERIALIZED VIEW$"),
    Accepted(
        "CREATE TEMP TABLE (LIKE ...) of a table of which something is hidden: name its columns",
        file="misc",
        how=r"0A000 CREATE TABLE \(LIKE (onek|stud_emp)\) is not supported where the rules hide",
    ),
    Accepted(
        "large objects are shared, and no rule can govern one (refusals.md)",
        how=r"permission denied for (function lo(_\w+|read|write|creat)|system relation \"pg_largeobject\")$",
    ),
    Accepted(
        "search_path is set by SET, whose names can be seen (refusals.md)",
        file="namespace",
        how=r"set_config\(\) cannot set search_path$",
    ),
    Accepted(
        "functions that run a text as SQL (dangerous.txt); the form of ts_rewrite that does not goes with it",
        file="tsearch",
        how=r"permission denied for function ts_(stat|rewrite)$",
    ),
    Accepted("values of others", how='permission denied for system relation "pg_(statistic(_ext_data)?|authid)"'),
    Accepted(
        "administration (dangerous.txt)",
        how=r"permission denied for function pg_((restore|clear)_(relation|attribute)_stats|filenode_relation|"
        r"sequence_parameters|get_sequence_data|stat_force_next_flush|mcv_list_items|get_acl|notify)$",
    ),
    Accepted(
        "a write to a system catalog", file="merge", how='permission denied for (system )?relation "(pg_class|classv)"'
    ),
    Accepted(
        "a write to a system catalog",
        statement=r"(?i)(delete from pg_depend|update pg_database)",
        how='permission denied for system relation "pg_(depend|database)"',
    ),
    Accepted(
        "rules of a relation may read anything (refusals.md)",
        file="rules",
        statement=r"(?i)\b(insert into|update|delete from|merge into)\s",
        how='permission denied to write relation "',
    ),
    Accepted(
        "a sequence is used by its functions, and not read as a relation",
        file="sequence",
        how='permission denied for relation "foo_seq_new"',
    ),
    Accepted(
        "a column that is written as a call of a function: not built",
        file="rowtypes",
        statement=r"select last\(f\) from fullname f",
        how="42883 function last does not exist",
    ),
    Accepted(
        "EXPLAIN of DECLARE CURSOR: not built (refusals.md)",
        statement=r"(?i)declare c([12]|\s)",
        how="may not use ExplainStmt of that statement",
    ),
    Accepted(
        "the same: a table that was made in pg_catalog",
        file="alter_table",
        how='permission denied for system relation "old_system_table"',
    ),
    Accepted(
        "options of foreign servers and user mappings, among them passwords (catalogs.md)",
        file="foreign_data",
        how='permission denied for system relation "(pg_user_mapping|(foreign_server|user_mapping)_options)"',
    ),
    Accepted(
        "SELECT INTO, or EXPLAIN of CREATE TABLE AS, makes a table that is not temporary: DDL",
        statement=r"(?i)\b(into|create table)\b",
        how='may not create table "',
    ),
    Accepted(
        "operators of the database's own (refusals.md)",
        file="create_operator",
        how=r"permission denied for operator (@#@|!=-)$",
    ),
    Accepted(
        "expressions and WHERE of the index that ON CONFLICT names read plain columns only (governed-form.md)",
        file="insert_conflict",
        statement=r"(?i)on conflict \(.*(lower\(fruit\)|where fruit like)",
        how='0A000 column "fruit" of "insertconflict(test|view)" cannot be used here',
    ),
    Accepted(
        "whole rows in DO UPDATE, where a column is masked: not built",
        file="insert_conflict",
        statement=r"(?i)excluded\b",
        how='0A000 the whole row of "(insertconflicttest|parted_conflict)" cannot be used here',
    ),
    Accepted(
        "not built: a temp table that inherits, is partitioned, of a type, or has a foreign key",
        how="a temp table (that inherits, is partitioned or is of a type|with a foreign key) is not supported",
    ),
    Accepted(
        "not built: temp views, which would keep a governed form past a change of the rules",
        how='42P01 relation "(zv1|foo_v|joinview|voo|shipped_view|view_a|v_cycle[12]|v_search|vsubdepartment|'
        'pcacheview|v_window|overview|ucview|vw_ord|vw_rngfunc|usersview)" does not exist',
    ),
    Accepted(
        "what triggers and rules of a view do is not governed; a view that the rules do not list is read, not written",
        how='permission denied (for|to write) (relation|view) "?(city_view|european_city_view|upview|bug18634v|sj)"?$',
    ),
    Accepted(
        "a view of rules, triggers, joins, ORDER BY, computed or masked columns is not written (governed-form.md)",
        statement=r"(?i)\b(insert into|update|delete from|merge into)\s",
        how=r"permission denied (for|to write) (relation|view) "
        r'"?(r[ow]_view\d+|vx?[12]|uv_iocu_view|base_tab_def_view|def_view_test)"?$',
    ),
    Accepted(
        "a part of a value is written where the column is plain (governed-form.md)",
        file="updatable_views",
        statement=r"SET arr\[1\]",
        how='a part of column "arr" of relation "rw_view1" cannot be written',
    ),
    Accepted(
        "a plan says how many rows there are that the row policies hide, or names what is hidden (rewriting.md)",
        how=r"EXPLAIN ((EXECUTE )?would (count rows|name (indexes|triggers)|show (how|what a function|the row security|where))|\((VERBOSE|WAL)\) would )",
    ),
    Accepted(
        "the type of a governed relation's rows is not given to casts",
        how="permission denied for type (base|derived|more_derived|partitioned|int8_tbl|compositetable|hobbies_r)$",
    ),
    Accepted(
        "a plan of a view says how it is made",
        how=r'EXPLAIN would show the definition of view "(v_pagg_test|tt18v|rw_view[12]|at_view_2|atest12s?b?v|'
        r'my_(property|credit_card)_\w+|rls_(view|sbv)|bv1|test_tablesample_v1|v1|uv_iocu_view)"',
    ),
    Accepted(
        "the definition of a view has an operator of the database's own that the rules do not name",
        file="privileges",
        how=r"permission denied for view atest12s?b?v$",
    ),
)
