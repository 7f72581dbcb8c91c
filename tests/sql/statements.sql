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
-- refused 0A000 client encoding "SJIS" is not supported

set search_path = public; select 1
-- refused 0A000 a statement that changes search_path must be the last of its query

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

select set_config('standard_conforming_strings', $1, false)
-- refused 42501 constant only

-- LIKE of a relation that the app has whole, and of one that it has not
create temp table copy_of_products (like products including all)
-- passes

create temp table copy_of_customers (like customers)
-- refused 0A000 hide a part of "customers"

-- what PREPARE reads must not depend on a temp table that may be taken back
begin; create temp table customers (card_no text); prepare p as select card_no from customers
-- refused 0A000 PREPARE must not come after
