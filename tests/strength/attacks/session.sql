-- State that changes what a text means.

-- # search_path changed in the transaction
-- session
begin
-- next
create schema evil
-- next
set local search_path = evil, public
-- next
select card from people
-- next
rollback
-- next
select card from people
-- # temp table shadows, then is dropped
-- session
create temp table people (card text)
-- next
insert into people values ('mine')
-- next
select card from people
-- next
drop table pg_temp.people
-- next
select card, extra from people
-- # temp table shadows, then is rolled back
-- session
begin
-- next
create temp table people as select 'mine'::text as card, 'x'::text as extra
-- next
select card, extra from people
-- next
rollback
-- next
select card, extra from people
-- # temp table rolled back to a savepoint
-- session
begin
-- next
savepoint a
-- next
create temp table people (card text, extra text)
-- next
select card, extra from people
-- next
rollback to a
-- next
select card, extra from people
-- next
rollback
-- # temp table dropped on commit
-- session
begin
-- next
create temp table people on commit drop as select 'mine'::text as card
-- next
select card from people
-- next
commit
-- next
select card from people
-- # shadow made and dropped in one text
-- session
create temp table people (card text); select card from people; drop table people; select card, email from people
-- # shadow made and used in one text, then used again
-- session
create temp table people (card text, extra text); select extra from people
-- next
discard temp
-- next
select extra from people
-- # shadow dropped by DISCARD ALL
-- session
create temp table people (card text)
-- next
select card from people
-- next
discard all
-- next
select card from people
-- # shadow renamed
-- session
create temp table shadow (card text)
-- next
alter table shadow rename to people
-- next
select card from people
-- next
alter table people rename to shadow
-- next
select card from people
-- # a shadow of a prepared statement
-- session
prepare s as select card from people
-- next
create temp table people (card text)
-- next
execute s
-- next
drop table people
-- next
execute s
-- # prepared over the shadow, executed after it is gone
-- session
create temp table people (card text)
-- next
prepare s as select card from people
-- next
execute s
-- next
drop table people
-- next
execute s
-- # prepared in one path, executed in another
-- session
create schema if not exists evil
-- next
set search_path = evil, public
-- next
prepare s as select card from people
-- next
set search_path = public
-- next
execute s
-- # a temp view over a governed table
-- session
create temp view tv as select * from people
-- next
select * from tv
-- next
select card from pg_temp.tv
-- # a temp view with the table's name
-- session
create temp view people as select * from public.people
-- next
select card from people
-- # a temp table of the table's type
-- session
create temp table lt (like public.people including all)
-- next
select column_default from information_schema.columns where table_name = 'lt'
-- next
select pg_get_constraintdef(oid) from pg_constraint where conrelid = 'pg_temp.lt'::regclass
-- # a temp table that inherits
-- session
create temp table ch () inherits (public.people)
-- next
insert into ch (id, card) values (1000, 'x')
-- next
select extra, extra_upper, * from ch
-- # a temp table OF a type
-- session
create temp table ot of public.boxed
-- next
insert into ot values ('a')
-- next
select * from ot
-- vacuous: own rows
-- # a temp table as a partition
-- vacuous: a temp relation cannot be a partition
-- session
create temp table pt partition of public.readings for values from (2000) to (3000)
-- # a temp table with a foreign key
-- session
create temp table fk (id int references public.people)
-- next
insert into fk values (1)
-- vacuous: existence of a key
-- # a temp table with a default that reads
-- session
create temp table df (id int, c text default public.card_of(3))
-- next
insert into df (id) values (1) returning *
-- # a temp table with a generated column
-- vacuous: such an expression must be immutable
-- session
create temp table gc (id int, c text generated always as (public.card_of(id)) stored)
-- next
insert into gc (id) values (3) returning *
-- # a temp table with a check that makes notices
-- session
create temp table ck (c text check (public.noisy(c)))
-- next
insert into ck select card from public.people
-- # an expression index that makes notices
-- session
create temp table ei as select card from public.people
-- next
create index on ei ((public.noisy(card)))
-- # a temp function
-- session
create function pg_temp.f() returns setof text language sql as 'select card from public.people'
-- next
select pg_temp.f()
-- # a temp function in plpgsql
-- session
create or replace function pg_temp.g(t text) returns boolean language plpgsql cost 0.0001 as $$ begin raise notice '%', t; return true; end $$
-- next
select id from people where pg_temp.g(card)
-- # a temp operator
-- session
create operator pg_temp.=== (function = public.noisy_op, leftarg = text, rightarg = text)
-- next
select id from people where card operator(pg_temp.===) 'a'
-- # a temp aggregate
-- session
create aggregate pg_temp.a (text) (sfunc = public.noisy_sum, stype = text)
-- next
select pg_temp.a(card) from people
-- # a temp cast, domain and type
-- session
create domain pg_temp.d as text check (public.noisy(value))
-- next
select card::pg_temp.d from people
-- # a temp trigger
-- session
create temp table tt (c text)
-- next
create trigger t before insert on tt for each row execute function public.log_people()
-- next
insert into tt select card from public.people
-- vacuous: the trigger's function writes elsewhere
-- # a temp rule
-- session
create temp table rt (c text)
-- next
create rule r as on insert to rt do also select card from public.people
-- next
insert into rt values ('a')
-- # a temp sequence
-- session
create temp sequence sq
-- next
select setval('pg_temp.sq', salary) from people where id = 3
-- next
select last_value from pg_temp.sq
-- # a temp schema's name as the path
-- session
set search_path = pg_temp, public
-- next
create temp table products (id int, card text)
-- next
insert into products select id, card from people
-- next
select * from products
-- # a function shadows pg_catalog's
-- session
set search_path = public, pg_catalog
-- next
select lower(card), count(*) from people group by 1
-- # a relation shadows pg_catalog's
-- nodiff: where the temp table is refused, pg_class has transaction ids
-- session
create temp table pg_class as select * from people
-- next
select * from pg_class
-- next
select * from pg_temp.pg_class
-- # path without pg_catalog's own place
-- session
set search_path = pg_temp, pg_catalog, public
-- next
select card from people
-- # path with "$user"
-- session
set search_path = "$user", public
-- next
select card from people
-- # path with quoted and upper-case names
-- session
set search_path = 'PUBLIC', "public"
-- next
select card from people
-- # set_config of the path
-- session
select set_config('search_path', 'pg_toast', false)
-- next
select * from people
-- next
select card from public.people
-- # set_config in a target list beside a read
-- session
select set_config('search_path', 'public', false), card from people
-- # set_config by a function alias
-- session
select pg_catalog.set_config('standard_conforming_strings', 'off', false)
-- next
select 'a\'' , card from people --'
-- # standard_conforming_strings off
-- session
set standard_conforming_strings = off
-- next
select 'a\'', card, extra from people --'
-- next
select '\'', (select max(card) from people) --'
-- # standard_conforming_strings by LOCAL and UPDATE
-- session
begin
-- next
set local standard_conforming_strings to 'off'
-- next
select '\'', card from people --'
-- next
rollback
-- # backslash_quote
-- session
set backslash_quote = on
-- next
select E'\' from products --', card from people
-- # client_encoding SJIS eats a quote
-- session
set client_encoding = 'SJIS'
-- next
select 'ï', card from people
-- # SET NAMES
-- session
set names 'GBK'
-- next
select card from people
-- # client_encoding UTF16 is not there, LATIN1 is
-- session
set client_encoding = 'LATIN1'
-- next
select card, 'é' from people
-- # escape_string_warning and quote_all_identifiers
-- session
set quote_all_identifiers = on
-- next
select card from people
-- # transform_null_equals
-- session
set transform_null_equals = on
-- next
select id from people where card = null
-- vacuous: no row
-- # row_security off
-- session
set row_security = off
-- next
select card from people
-- # SET ROLE
-- session
set role postgres
-- next
select card from people
-- # SET SESSION AUTHORIZATION
-- session
set session authorization st_deploy
-- next
select card from people
-- # SET LOCAL ROLE in a transaction
-- session
begin; set local role st_deploy; select card from people
-- # DateStyle, IntervalStyle, bytea_output, xmloption
-- session
set datestyle = 'SQL, DMY'
-- next
set bytea_output = 'escape'
-- next
select born, photo, card from people
-- # extra_float_digits, lc_monetary
-- session
set extra_float_digits = -15
-- next
select salary::float8, card from people
-- # planner settings
-- session
set enable_seqscan = off
-- next
set enable_hashjoin = off
-- next
select id from people where card::int = 1
-- next
select id from people where card > 'zqx7' and email::int = 1
-- # planner: nested loops only, then a failing filter
-- session
set enable_hashjoin = off; set enable_mergejoin = off; set enable_material = off
-- next
select id from people where email::int = 1
-- next
select o.id from orders o where o.memo::int = 1
-- next
select line from items where sku::int = 1
-- # planner: parallel at once
-- session
set parallel_setup_cost = 0; set parallel_tuple_cost = 0; set min_parallel_table_scan_size = 0; set debug_parallel_query = on
-- next
select id from people where email::int = 1
-- # join_collapse_limit and from_collapse_limit
-- session
set join_collapse_limit = 1; set from_collapse_limit = 1
-- next
select p.id from products q join people p on p.email::int = q.id
-- # constraint_exclusion, plan_cache_mode
-- session
set plan_cache_mode = force_generic_plan
-- next
prepare s(text) as select id from people where card = $1 and email::int = 1
-- next
execute s('{people.card.1}')
-- # client_min_messages
-- session
set client_min_messages = debug5
-- next
select card from people
-- # debug_print_plan to the client
-- session
set client_min_messages = log
-- next
set debug_print_plan = on
-- next
set debug_print_parse = on
-- next
select id from people where card = 'a'
-- # log_statement to the client
-- session
set client_min_messages = log
-- next
set log_statement = 'all'
-- next
set log_executor_stats = on
-- nodiff: the log's own words
-- vacuous: own texts only
-- next
select id from people
-- # session_replication_role
-- session
set session_replication_role = replica
-- next
update people set note = note where id = 3 returning card
-- next
rollback
-- # local_preload_libraries and LOAD
-- vacuous: no library
-- session
load 'auto_explain'
-- next
set auto_explain.log_min_duration = 0
-- # auto_explain to the client
-- session
load 'auto_explain'; set auto_explain.log_min_duration = 0; set client_min_messages = log; set auto_explain.log_verbose = on
-- nodiff: times
-- vacuous: plans only
-- next
select id from people where card = 'a'
-- # RESET ALL
-- session
reset all
-- next
select card from people
-- # DISCARD PLANS and SEQUENCES
-- session
discard plans; discard sequences
-- next
select card from people
-- # DEALLOCATE ALL
-- session
prepare s as select card from people
-- next
deallocate all
-- next
prepare s as select extra from people
-- next
execute s
-- # a prepared statement made again with another text
-- session
prepare s as select name from people
-- next
deallocate s
-- next
prepare s as select card from people
-- next
execute s
-- # PREPARE in a failed transaction
-- vacuous: the server refuses it
-- session
begin; select 1/0
-- next
prepare s as select card from people
-- next
rollback
-- next
execute s
-- # PREPARE rolled back keeps the statement
-- session
begin
-- next
prepare s as select card from people
-- next
rollback
-- next
execute s
-- # a cursor WITH HOLD across transactions
-- session
begin
-- next
declare c cursor with hold for select card, extra from people
-- next
commit
-- next
fetch all c
-- # a cursor made over a shadow
-- session
begin
-- next
create temp table people as select * from public.people
-- next
declare c cursor for select * from people
-- next
fetch all c
-- next
rollback
-- # a temp table filled by CREATE TABLE AS, read later
-- session
create temp table copy_of as table public.people
-- next
select * from copy_of
-- next
select extra from copy_of
-- # a temp table filled by INSERT SELECT
-- session
create temp table copy_of (c text)
-- next
insert into copy_of select card from people
-- next
table copy_of
-- # a temp table filled by COPY of oneself
-- session
create temp table copy_of (c text)
-- next
with m as (delete from items returning sku) insert into copy_of select sku from m
-- next
table copy_of
-- next
rollback
-- # options: search_path by start-up
-- options: options=-c search_path=pg_toast,public
select card from people
-- # options: search_path as a parameter of start-up
-- options: search_path=evil,public
select card from people
-- # options: standard_conforming_strings by start-up
-- options: standard_conforming_strings=off
select '\'', card from people --'
-- # options: strings and more by -c
-- options: options=-c standard_conforming_strings=off -c backslash_quote=on
select '\'', card from people --'
-- # options: role by start-up
-- options: role=postgres
select card from people
-- # options: role by options
-- options: options=--role=postgres --session_authorization=postgres
select card from people
-- # options: client encoding by start-up
-- options: client_encoding=SJIS
select card from people
-- # options: replication
-- options: replication=database
select card from people
-- # options: replication true
-- options: replication=true
-- vacuous: no SQL in it
select card from people
-- # options: an unknown protocol option
-- options: _pq_.what=1
select card from people
-- # options: row_security and others
-- options: options=-c row_security=off -c enable_seqscan=off
select card from people where email::int = 1
-- # options: escaped blanks
-- options: options=-c search_path=public\ ,pg_catalog -c client_min_messages=debug1
select card from people
-- # options: geqo and dates
-- options: DateStyle=German | IntervalStyle=iso_8601 | geqo=off
select born, card from people
-- # isolation levels
-- session
begin isolation level serializable read only deferrable
-- next
select card from people
-- next
commit
-- # a savepoint after an error
-- session
begin
-- next
savepoint s
-- next
select card::int from people
-- next
rollback to s
-- next
select card from people
-- next
rollback
-- # two-phase commit
-- vacuous: prepared transactions are off
-- session
begin; update people set note = card; prepare transaction 'canary'
-- # several statements, one refused in the middle
-- session
select 1; select extra from people; select card from people
-- # a refused statement, then COMMIT in the same text
-- session
begin; select extra from people; commit; select card from people
-- # a transaction ended in the text
-- session
begin; create temp table people (card text); rollback; select card from people
-- # set and read in one text
-- session
create schema if not exists evil2; set search_path = evil2, public; select card from people
-- # function in the path with the same name
-- session
create function pg_temp.lower(text) returns text language sql as 'select $1'
-- next
set search_path = pg_temp, pg_catalog, public
-- next
select lower(card) from people
-- # ALTER ROLE sets the path of the next session
-- session
alter role current_user set search_path = evil
-- next
alter role current_user reset search_path
-- next
select card from people
-- # SET of an unknown custom setting
-- session
set my.setting = 'people'
-- next
select current_setting('my.setting'), card from people
-- # SET SESSION CHARACTERISTICS, SET CONSTRAINTS
-- session
set session characteristics as transaction read only; set constraints all deferred
-- next
select card from people
-- # time zone and locale
-- session
set timezone = 'Asia/Tokyo'; set lc_messages = 'C'
-- next
select born::timestamptz, card from people
-- # a listen on the gateway's own channels
-- session
listen "consentry"
-- next
notify "consentry", 'reload'
-- next
unlisten *
-- vacuous: no marker in it
