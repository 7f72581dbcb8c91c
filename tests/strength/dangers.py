"""Makes attacks of dangerous.txt: each function with plausible arguments, each relation and column, each statement."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from tests.servers import PgServer
from tests.strength import world
from tests.strength.attacks import ARGUMENTS, Attack, Dangerous

_OVERLOADS = """
SELECT p.oid::bigint, n.nspname, p.prokind = 'p', p.proretset OR p.prorettype = 'record'::regtype,
       p.prorettype = 'record'::regtype AND p.proallargtypes IS NULL,
       array(SELECT t.typname::text FROM unnest(p.proargtypes) WITH ORDINALITY a(oid, n) JOIN pg_type t ON t.oid = a.oid
             ORDER BY a.n)
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE p.proname = %s ORDER BY p.oid
"""
_COLUMNS = """
SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped ORDER BY attnum
"""
_TOAST = "SELECT reltoastrelid::regclass::text FROM pg_class WHERE oid = 'public.people'::regclass"

# What is tried of each statement or setting of dangerous.txt; `session`: it lasts, and what follows it must be as before.
REFUSED: dict[str, tuple[str, ...]] = {
    "DO": ("do $$ begin raise notice '%', (select max(card) from people); end $$",),
    "CALL": ("call public.show_cards()",),
    "COPY PROGRAM": ("copy people to program 'cat'", "copy people from program 'echo'"),
    "COPY file": ("copy people to '/tmp/zqx'", "copy inbox from '/etc/passwd'"),
    "CREATE VIEW": ("create view v as select * from people", "create temp view v as select * from people"),
    "CREATE MATERIALIZED VIEW": ("create materialized view m as select * from people",),
    "CREATE FUNCTION": ("create function f() returns text language sql as 'select max(card) from people'",),
    "CREATE PROCEDURE": ("create procedure f() language sql as 'update people set name = card'",),
    "CREATE TRIGGER": ("create trigger t after update on inbox for each row execute function log_people()",),
    "CREATE RULE": ("create rule r as on delete to inbox do also select card from people",),
    "CREATE POLICY": ("create policy p on inbox using (public.noisy(body))",),
    "CREATE AGGREGATE": ("create aggregate a(text) (sfunc = public.noisy_sum, stype = text)",),
    "CREATE OPERATOR": ("create operator public.=== (function = public.noisy_op, leftarg = text, rightarg = text)",),
    "CREATE CAST": ("create cast (date as public.boxed) with inout",),
    "CREATE EXTENSION": ("create extension xml2", "alter extension dblink update", "drop extension dblink"),
    "CREATE EVENT TRIGGER": ("create event trigger e on ddl_command_end execute function log_people()",),
    "CREATE FOREIGN TABLE": ("create foreign table f (a text) server s",),
    "CREATE SERVER": ("create server s foreign data wrapper dblink_fdw",),
    "CREATE USER MAPPING": ("create user mapping for current_user server s",),
    "IMPORT FOREIGN SCHEMA": ("import foreign schema public from server s into public",),
    "CREATE PUBLICATION": ("create publication p for table people",),
    "CREATE SUBSCRIPTION": ("create subscription s connection 'dbname=postgres' publication p with (connect = false)",),
    "CREATE SCHEMA": ("create schema s", "create schema s create view v as select * from people"),
    "ALTER TABLE": (
        "alter table people rename card to name2",
        "alter table people rename to people2",
        "alter table readings detach partition readings_lo",
        "alter table docs_child no inherit docs",
        "alter table people set schema pg_temp",
    ),
    "ALTER SYSTEM": ("alter system set log_statement = 'all'",),
    "ALTER ROLE": ("alter role current_user set search_path = pg_temp",),
    "ALTER DATABASE": ("alter database {db} set search_path = pg_temp",),
    "LOAD": ("load 'auto_explain'",),
    "SET ROLE": ("set role st_deploy", "set local role st_mixer"),
    "SET SESSION AUTHORIZATION": ("set session authorization st_deploy",),
    "SET standard_conforming_strings": ("set standard_conforming_strings = off",),
    "SET backslash_quote": ("set backslash_quote = on",),
    "SET client_encoding": ("set client_encoding = 'SJIS'", "set names 'BIG5'"),
    "SET transform_null_equals": ("set transform_null_equals = on",),
    "SET row_security": ("set row_security = off",),
    "SET session_preload_libraries": ("set session_preload_libraries = 'auto_explain'",),
    "SET local_preload_libraries": ("set local_preload_libraries = 'auto_explain'",),
    "SET debug_print_parse": ("set debug_print_parse = on; set client_min_messages = log",),
}
# (without costs: they follow the size of the file, where dead rows of other attacks are)
_COUNTS = "explain (analyze, costs off, timing off, summary off, buffers off) select id from people where card < 'zqx8'"
# These are of use to apps, and must give what a read of the governed form gives.
GOVERNED: dict[str, tuple[str, ...]] = {
    "EXECUTE": ("prepare q as select * from people; execute q",),
    "PREPARE": ("prepare q as select card from people; execute q",),
    "DECLARE CURSOR": ("declare k cursor for select * from people; fetch all k",),
    "EXPLAIN": ("explain (verbose off, costs off) select * from people", _COUNTS),
    "COPY table TO": ("copy people to stdout", "copy orders (id, memo) to stdout"),
    "COPY FROM": ("copy people from stdin",),
    "CREATE TABLE AS": ("create temp table tt as select * from people; table tt",),
    "SELECT INTO": ("select * into temp tt from people; table tt",),
    "CREATE TEMP TABLE": ("create temp table people (card text)",),
    "SET search_path": ("set local search_path = public, pg_catalog", "set local search_path = public"),
    "RESET ROLE": ("reset role",),
    "RESET ALL": ("reset all",),  # back to the start-up parameters, of which the gateway's are a part
    "DISCARD": ("discard plans", "discard all"),
    "SET escape_string_warning": ("set escape_string_warning = off",),
    "LISTEN": ("listen people",),
    "NOTIFY": ("notify people, 'x'", "notify people"),
    "MERGE": (
        "merge into people t using people s on s.id = t.id when matched then update set note = s.card returning t.*",
    ),
    "RETURNING": ("update people set note = note returning *", "delete from items returning *"),
}
ELSEWHERE = ("START_REPLICATION", "FunctionCall message")  # in attacks/session.sql, and a test of its own

# Functions of dangerous.txt that the gateway lets apps call, by why nothing hidden comes of it.
ANSWERED: dict[str, str] = {
    "what the app has of a listed sequence, as ORMs need it": "currval lastval nextval setval",
    "rights of roles; what is hidden is no relation's content": """
        has_any_column_privilege has_column_privilege has_database_privilege has_foreign_data_wrapper_privilege
        has_function_privilege has_language_privilege has_largeobject_privilege has_parameter_privilege
        has_schema_privilege has_sequence_privilege has_server_privilege has_table_privilege has_tablespace_privilege
        has_type_privilege row_security_active""",
    "locks of numbers that hold no data": """
        pg_advisory_lock pg_advisory_lock_shared pg_advisory_unlock pg_advisory_unlock_all pg_advisory_unlock_shared
        pg_advisory_xact_lock pg_advisory_xact_lock_shared pg_try_advisory_lock pg_try_advisory_lock_shared
        pg_try_advisory_xact_lock pg_try_advisory_xact_lock_shared""",
    "definitions, without those of what is hidden (attacks/catalogs.sql)": """
        pg_get_constraintdef pg_get_expr pg_get_function_sqlbody pg_get_functiondef pg_get_indexdef
        pg_get_partition_constraintdef pg_get_partkeydef pg_get_ruledef pg_get_statisticsobjdef
        pg_get_statisticsobjdef_columns pg_get_statisticsobjdef_expressions pg_get_triggerdef pg_get_viewdef""",
    "sizes, NULL for relations that are governed": """
        pg_indexes_size pg_relation_size pg_table_size pg_total_relation_size""",
    "the size of a value that the app was given": "pg_column_size",
    "whether the app's own text is a value of a type": "pg_input_error_info pg_input_is_valid",
    "names of partitions": "pg_partition_ancestors pg_partition_root pg_partition_tree",
    "OIDs of names": """
        regclass to_regclass to_regcollation to_regnamespace to_regoper to_regoperator to_regproc to_regprocedure
        to_regrole to_regtype to_regtypemod""",
    "constants only, and parameters that apps may set": "set_config",
    "what pg_settings has": "pg_show_all_settings",
}
# Relations that are answered, with the governed parts taken out.
SHOWN: dict[str, str] = {
    "definitions, without those of what is hidden (attacks/catalogs.sql)": """
        pg_catalog.pg_attrdef pg_catalog.pg_description pg_catalog.pg_matviews pg_catalog.pg_policies
        pg_catalog.pg_policy pg_catalog.pg_proc pg_catalog.pg_rewrite pg_catalog.pg_rules pg_catalog.pg_trigger
        pg_catalog.pg_views""",
    "definitions of sequences, without last values": "pg_catalog.pg_sequences",
    "statistics of relations that the app has whole": """
        pg_catalog.pg_stats pg_catalog.pg_stats_ext pg_catalog.pg_stats_ext_exprs""",
    "which relations there are; nothing is counted": """
        pg_catalog.pg_stat_all_tables pg_catalog.pg_stat_user_tables pg_catalog.pg_stat_xact_all_tables
        pg_catalog.pg_statio_all_tables""",
    "what PostgreSQL shows of others' sessions, and no statement": """
        pg_catalog.pg_cursors pg_catalog.pg_locks pg_catalog.pg_prepared_statements pg_catalog.pg_stat_activity
        pg_catalog.pg_stat_replication""",
    "names of servers, without options": """
        pg_catalog.pg_foreign_server pg_catalog.pg_foreign_table pg_catalog.pg_subscription
        pg_catalog.pg_user_mappings""",
    "labels of what the app has": "pg_catalog.pg_seclabel",
    "no row": "pg_catalog.pg_largeobject_metadata",
    "drivers read settings; an UPDATE is refused": "pg_catalog.pg_settings",
    "the app's own temp relations": "pg_temp.*",
}


def _calls(types: Sequence[str]) -> Iterator[str]:
    """Lists of arguments: the first of each, then each other one in turn."""
    choices = [ARGUMENTS.get(name, ("null",)) for name in types]
    yield ", ".join(choice[0] for choice in choices)
    for at, choice in enumerate(choices):
        for other in choice[1:]:
            yield ", ".join(other if n == at else c[0] for n, c in enumerate(choices))


def _function(connection: Any, name: str) -> Iterator[str]:
    known = False
    for _, schema, procedure, many, unnamed, types in connection.execute(_OVERLOADS, [name]).fetchall():
        known = True
        for arguments in _calls(types):
            call = f'{schema}."{name}"({arguments})'
            if procedure:
                yield f"call {call}"
            elif many:
                yield f"select * from {call}" + (" as t(a text, b text)" if unnamed else "")
            else:
                yield f"select {call}"
    if not known:
        yield from (f"select {name}()", f"select {name}('public.people')", f"select * from {name}('people', 0)")


def _relation(connection: Any, name: str) -> Iterator[str]:
    if name == "pg_toast.*":
        name = connection.execute(_TOAST).fetchone()[0]
    elif name == "pg_temp.*":
        name = "pg_temp.people"
    yield f"select * from {name}"
    yield f"table {name}"
    yield f"select r from {name} r"
    for (column,) in connection.execute(_COLUMNS, [name]).fetchall():
        yield f'select "{column}" from {name}'


# Their answers may differ between twins: protocols and apps before have moved the sequence on.
_COUNTING = ("nextval", "currval", "lastval", "setval")
_SESSIONS = ("pg_catalog.pg_locks", "pg_catalog.pg_stat_activity", "pg_catalog.pg_prepared_statements")


def name_of(attack: Attack) -> str:
    """The line of dangerous.txt that it is of."""
    return attack.idea.rpartition(" #")[0]


def make_attacks(server: PgServer, dangers: Sequence[Dangerous]) -> list[Attack]:
    """Ideas are `name #n`; `kind` is dangerous.txt's. All apps send the first ones; the rest a superuser and another."""
    found: list[Attack] = []
    with server.connect(world.TEMPLATE) as connection:
        for danger in dangers:
            if danger.kind == "function":
                texts = list(_function(connection, danger.name))
            elif danger.kind == "relation":
                texts = list(_relation(connection, danger.name))
            else:
                texts = list(REFUSED.get(danger.name, GOVERNED.get(danger.name, ())))
            for number, text in enumerate(texts, 1):
                few = number > 3 and danger.kind != "statement"
                apps = ("mixer", "dropper") if few else world.APPS
                nodiff = "the state of a sequence" if danger.name in _COUNTING else ""
                nodiff = "which sessions there are" if danger.name in _SESSIONS else nodiff
                found.append(Attack(danger.kind, f"{danger.name} #{number}", (text,), apps=apps, nodiff=nodiff))
    return found
