-- what a governed app may send
begin isolation level serializable
-- passes

savepoint a
-- passes

set statement_timeout = '5s'
-- passes

set local timezone to 'UTC'
-- passes

show server_version
-- passes

listen news
-- passes

create temp table mine (x int primary key)
-- passes

-- and what not
do $$ begin end $$
-- refused 42501 app partner may not use DO

create table mine (x int)
-- refused 42501 app partner may not create table "mine"

create view v as select 1
-- refused 42501 app partner may not use CREATE VIEW

drop table customers
-- refused 42501 app partner may change the definition of temp tables only

truncate customers
-- refused 42501 app partner may change the definition of temp tables only

lock table customers
-- refused 42501 app partner may not use LOCK TABLE

set role postgres
-- refused 42501 permission denied to set parameter "role"

set session authorization postgres
-- refused 42501 permission denied to set parameter "session_authorization"

set standard_conforming_strings = off
-- refused 0A000 parameter "standard_conforming_strings" cannot be changed

set search_path = public, pg_catalog
-- refused 0A000 search_path cannot have pg_catalog behind another schema

set client_encoding = 'SJIS'
-- refused 0A000 this client encoding is not supported

-- what search_path was before is not in the text
reset search_path; select name from products
-- refused 0A000 a statement that takes search_path back must be the last of its query

reset search_path; select 1
-- passes

-- but what the next statements say may mean the same on every path: Npgsql resets pooled connections by this text
set session authorization default;reset all;close all;unlisten *;select pg_advisory_unlock_all();discard sequences;discard temp
-- passes

reset search_path; select version(), customers.name from customers
-- refused 0A000 a statement that takes search_path back must be the last of its query

reset all; select nothing()
-- refused 42883 function nothing does not exist

discard temp; create temp table t (a int)
-- refused 0A000 a statement that takes search_path back must be the last of its query

reset role; select 1 from customers
-- refused 0A000 a statement that takes search_path back must be the last of its query

-- the role is the login again, as DISCARD ALL makes it
set role none
-- passes

set local role to default
-- passes

reset session authorization
-- passes

set session authorization 'none'
-- refused 42501 permission denied to set parameter "session_authorization"

set role to 'NONE'
-- refused 42501 permission denied to set parameter "role"

listen consentry_consent
-- refused 42501 app partner may not use channel consentry_consent

selec 1
-- refused 42601 syntax error at or near "selec"

-- DROP IF EXISTS of what is nowhere: the server says so in a notice
drop table if exists nothing, pg_temp.nothing;
-- passes

-- but not of what is there
drop table if exists customers;
-- refused 42501 temp tables only

-- an empty array beside a governed relation
select array[]::int[], name from customers;
-- becomes
select array[]::int[], name from <customers>;

-- what a rollback in the same text takes back cannot shadow afterwards
begin; create temp table customers (card_no text); rollback; select card_no from customers
-- refused 0A000 must be the last of its query

-- nor what a commit drops
begin; create temp table customers (card_no text) on commit drop; commit; select card_no from customers
-- refused 0A000 must be the last of its query

-- the text that the gateway sent is not the app's to read
select current_query()
-- refused 42501 current_query

-- EXPLAIN of what was prepared
-- as agent
explain execute s1
-- refused 42501 EXPLAIN EXECUTE

-- what pools send when a connection comes back (asyncpg)
select pg_advisory_unlock_all(); close all; unlisten *; reset all;
-- passes

-- a setting that may have any value may have one that is no constant
select set_config('jit', $1, false)
-- passes

-- what the planner thinks that things cost (PostgreSQL's own tests)
set parallel_setup_cost = 0; set local min_parallel_table_scan_size to '1kB'; reset jit_above_cost
-- passes

set synchronize_seqscans = off; set local effective_io_concurrency to 4; set max_parallel_maintenance_workers = 0
-- passes

-- settings that stay as they are may be set to that, as tools do
set array_nulls = on; set transform_null_equals to false; set row_security = 'ON'; set backslash_quote = safe_encoding; set quote_all_identifiers = off; set constraint_exclusion = partition; reset row_security; set array_nulls to default; select set_config('row_security', 'on', true)
-- passes

set array_nulls = off
-- refused 42501 permission denied to set parameter "array_nulls"

set transform_null_equals = 1
-- refused 42501 permission denied to set parameter "transform_null_equals"

set backslash_quote = on
-- refused 42501 permission denied to set parameter "backslash_quote"

set constraint_exclusion = on
-- refused 42501 permission denied to set parameter "constraint_exclusion"

select set_config('row_security', $1, false)
-- refused 42501 constant only

select set_config('row_security', 'off', false)
-- refused 42501 permission denied to set this parameter

select set_config('standard_conforming_strings', $1, false)
-- refused 42501 constant only

-- LIKE of a relation that the app has whole, and of one that it has not
create temp table copy_of_products (like products including all)
-- passes

-- what no form is known for
create temp table parted (a int) partition by list (a)
-- refused 0A000 is partitioned

create temp table copy_of_customers (like customers)
-- refused 0A000 hide a part of "customers"

-- what PREPARE reads must not depend on a temp table that may be taken back
begin; create temp table customers (card_no text); prepare p as select card_no from customers
-- refused 0A000 PREPARE must not come after

-- temp tables may be changed as their session likes
create temp table t (x int); alter table t add column y text default 'a', alter column x type bigint using x + 1;
alter table t add constraint positive check (x > 0); alter table t rename column y to z; create index on t (z);
analyze t (x, z); vacuum t; truncate t
-- passes

create temp table t (x int); comment on table t is 'what it''s for'; comment on column pg_temp.t.x is null;
-- passes

-- and no other
comment on table products is 'x'
-- refused 42501 app partner may change the definition of temp tables only, and "products" is none

comment on column customers.card_no is 'x'
-- refused 42501 app partner may change the definition of temp tables only, and "customers" is none

create temp table t (x int); comment on column public.t.x is 'x'
-- refused 42501 app partner may change the definition of temp tables only, and "t" is none

comment on index customers_card is 'x'
-- refused 42501 app partner may comment on temp tables and their columns only

comment on role partner is 'x'
-- refused 42501 app partner may comment on temp tables and their columns only

alter table products add column mine int
-- refused 42501 temp tables only, and "products" is none

alter table products rename to mine
-- refused 42501 temp tables only, and "products" is none

analyze customers
-- refused 42501 temp tables only, and "customers" is none

analyze
-- refused 42501 of the whole database

create temp table t (x int); alter table t inherit customers
-- refused 42501 this form of ALTER TABLE

create temp table t (x int); alter table t owner to postgres
-- refused 42501 this form of ALTER TABLE

create temp table t (x int); alter table t add constraint k foreign key (x) references customers
-- refused 0A000 a temp table with a foreign key

-- the row type of a table of which a part is hidden would show its columns
create temp table t (x int); alter table t add column y customers
-- refused 42501 permission denied for type customers

-- a text may make a temp table anew, and read it
drop table if exists report; create temp table report as select name from customers; select * from report
-- becomes
drop table if exists report; create temp table report as select name from <customers>; select * from report

create temp table if not exists report (name text); insert into report select name from customers; table report
-- becomes
create temp table if not exists report (name text); insert into report select name from <customers>; table report

-- what it has dropped or renamed is the governed table again
create temp table customers (x int); drop table customers; select card_no from customers
-- becomes
create temp table customers (x int); drop table customers; select card_no from <customers>

create temp table customers (card_no int); alter table customers rename to mine; select card_no from customers
-- becomes
create temp table customers (card_no int); alter table customers rename to mine; select card_no from <customers>

create temp table mine (card_no int); alter table mine rename to customers; select card_no from customers
-- passes

-- SET search_path counts for what follows it in the text
set search_path = public; select name from customers
-- becomes
set search_path = public; select name from <customers>

set search_path to other, "$user"; select x from customers
-- passes

-- unless a name means one thing or another by which schemas the login may use
set search_path = other, public; select * from customers
-- refused 0A000 relation "customers" is in schemas other and public

set local search_path = other; commit; select 1
-- refused 0A000 must be the last of its query

set search_path = other; execute s1
-- refused 0A000 EXECUTE behind

-- a table that is dropped and made again is not there any more where the making is taken back
begin; create temp table customers (card_no text); drop table customers; savepoint a; create temp table customers (card_no text); rollback to a; select card_no from customers
-- refused 0A000 must be the last of its query

-- constraints by name are no relations
set constraints orders_customer_id_fkey, public.orders_customer_id_fkey deferred
-- passes

set constraints orders_customer_id_fkey, public.k deferred
-- refused 42704 constraint "k" does not exist

-- COPY leaves generated columns out
copy squares to stdout
-- becomes
copy (SELECT "id", "held" FROM <squares form only> AS "squares") to stdout

copy squares (id, twice) to stdout
-- refused 42P10 column "twice" is a generated column
