-- Statements outside of the list that a governed app may use.

-- # CREATE VIEW
create view ev as select * from people; select * from ev
-- # CREATE OR REPLACE VIEW over an open name
create or replace view products_v as select card from people; table products_v
-- # CREATE RECURSIVE VIEW
create recursive view rv(c) as select card from people; table rv
-- # CREATE MATERIALIZED VIEW
create materialized view em as select * from people; table em
-- # CREATE TABLE AS
create table et as select * from people; table et
-- # CREATE UNLOGGED TABLE AS
create unlogged table et2 as table people; table et2
-- # SELECT INTO
select card into et3 from people; table et3
-- # SELECT INTO a table in another schema
select card into public.et4 from public.people; table et4
-- # CREATE TABLE LIKE
create table el (like people including all); select pg_get_constraintdef(oid) from pg_constraint where conrelid = 'el'::regclass
-- # CREATE TABLE INHERITS
create table ei () inherits (people); insert into ei (id, card) values (900, 'x') returning *
-- # CREATE TABLE PARTITION OF
create table rp partition of readings for values from (3000) to (4000); select * from rp
-- vacuous: no rows in it
-- # ATTACH PARTITION
alter table readings detach partition readings_lo; select * from readings_lo
-- # ALTER TABLE RENAME
alter table people rename to persons; select * from persons
-- # ALTER TABLE RENAME COLUMN
alter table people rename column card to title; select title from people
-- # ALTER TABLE SET SCHEMA
create schema ev; alter table people set schema ev; select * from ev.people
-- # ALTER TABLE swaps names
alter table products rename to x; alter table people rename to products; select * from products
-- # ALTER TABLE ADD COLUMN
alter table people add column copy text generated always as (card) stored; select copy from people
-- # ALTER TABLE ADD CHECK that makes notices
alter table people add constraint ck check (public.noisy(card))
-- # ALTER TABLE ALTER TYPE USING
alter table items alter column qty type text using sku; select qty from items
-- # ALTER TABLE VALIDATE fails with a row
alter table people add constraint no check (card <> '{people.card.11}')
-- # ALTER VIEW and CREATE RULE
create or replace rule "_RETURN" as on select to v_invoker do instead select id, name as card, salary from people; create or replace view v_invoker as select id, name as card, salary from people; select * from v_invoker
-- # CREATE RULE
create rule r as on insert to products do also select card from people; insert into products values (9, 'x', 1)
-- # CREATE TRIGGER
create trigger t before update on people for each row execute function suppress_redundant_updates_trigger()
-- vacuous: no value in it
-- # CREATE FUNCTION in SQL
create function ef() returns setof text language sql as 'select card from people'; select ef()
-- # CREATE FUNCTION with a body
create function eg() returns setof text begin atomic select card from people; end; select eg()
-- # CREATE FUNCTION in plpgsql
create function eh() returns text language plpgsql as $$ begin return (select max(card) from people); end $$; select eh()
-- # CREATE PROCEDURE
create procedure ep() language plpgsql as $$ begin raise notice '%', (select max(card) from people); end $$; call ep()
-- # CREATE OR REPLACE of an allowed function
create or replace function public.noisy(value text) returns boolean language sql as 'select max(card) > value from people'; select public.noisy('a')
-- vacuous: one bit
-- # CREATE OPERATOR
create operator @@@@ (function = public.noisy_op, leftarg = text, rightarg = text); select id from people where card @@@@ 'a'
-- # CREATE AGGREGATE
create aggregate ea (text) (sfunc = public.noisy_sum, stype = text); select ea(card) from people
-- # CREATE CAST
create type ty as (a text); create cast (text as ty) with inout as implicit; select card::ty from people
-- # CREATE DOMAIN
create domain dy as text check (public.noisy(value)); select card::dy from people
-- # CREATE POLICY
create policy po on people using (public.noisy(card)); alter table people enable row level security; alter table people force row level security; select id from people
-- vacuous: a superuser bypasses it
-- # CREATE INDEX on an expression
create index on people ((card::int))
-- # CREATE UNIQUE INDEX prints a duplicate
create unique index on people ((left(card, 5)))
-- # CREATE STATISTICS
create statistics es (mcv) on card, email from people
-- vacuous: what it takes is in pg_stats
-- # CREATE EXTENSION
create extension if not exists postgres_fdw
-- vacuous: no value in it
-- # CREATE SERVER and USER MAPPING
create extension if not exists postgres_fdw; create server es foreign data wrapper postgres_fdw
-- vacuous: no value in it
-- # IMPORT FOREIGN SCHEMA
import foreign schema public from server es into public
-- vacuous: no server
-- # CREATE PUBLICATION
create publication ep for table people
-- vacuous: no value in it
-- # CREATE SUBSCRIPTION
create subscription es connection 'dbname={db}' publication p with (connect = false)
-- vacuous: no value in it
-- # CREATE SCHEMA with elements
create schema es create view v as select * from public.people; select * from es.v
-- # CREATE EVENT TRIGGER
create event trigger et on ddl_command_start execute function public.log_people()
-- vacuous: no value in it
-- # DO
do 'begin perform public.noisy(card) from public.people; end'
-- # CALL with a sub-query
call public.show_cards()
-- # LOCK TABLE
lock table people
-- vacuous: no value in it
-- # TRUNCATE
truncate people cascade
-- vacuous: no value in it
-- # GRANT
grant select on people to public
-- vacuous: no value in it
-- # REVOKE
revoke select on people from st_deploy
-- vacuous: no value in it
-- # GRANT a role
grant st_deploy to current_user
-- vacuous: no value in it
-- # ALTER ROLE
alter role current_user superuser
-- vacuous: no value in it
-- # ALTER SYSTEM
alter system set log_statement = 'all'
-- vacuous: no value in it
-- # ALTER DATABASE
alter database {db} set search_path = evil
-- vacuous: no value in it
-- # COMMENT
comment on table people is 'x'
-- vacuous: no value in it
-- # SECURITY LABEL
security label on table people is 'x'
-- vacuous: no value in it
-- # DROP
drop table people cascade
-- vacuous: names of what depends
-- # DROP a view beside
drop view v_barrier
-- vacuous: no value in it
-- # REASSIGN OWNED
reassign owned by postgres to current_user
-- vacuous: no value in it
-- # CHECKPOINT
checkpoint
-- vacuous: no value in it
-- # ALTER DEFAULT PRIVILEGES
alter default privileges grant select on tables to public
-- vacuous: no value in it
-- # ALTER LARGE OBJECT and GRANT
grant select on large object 424242 to public; select lo_get(424242)
-- # EXPLAIN of CREATE TABLE AS
explain (analyze, costs off, timing off, summary off, buffers off) create table ex as select card from people where card < 'zqx7m'
-- vacuous: counts
-- # EXPLAIN of DECLARE
explain (verbose, costs off) declare c cursor for select card from people
-- vacuous: a plan
-- # PREPARE of a write
prepare w as update people set note = card returning note; execute w
-- # PREPARE of a MERGE
prepare m as merge into products t using people s on s.id = t.id when matched then update set title = s.card returning t.*; execute m
-- # DECLARE of VALUES with a sub-query
declare c cursor for values ((select max(card) from people)); fetch c
-- # DECLARE INSENSITIVE
declare c insensitive cursor for select card from people; fetch all c
-- # COPY with a query that writes
copy (delete from items returning sku) to stdout
-- # COPY FREEZE and HEADER MATCH
-- vacuous: it reads no rows
copy people from stdin with (format csv, header match)
-- copy: id,card
-- # COPY with force options
copy people (card, email) to stdout with (format csv, force_quote *, encoding 'LATIN1')
-- # COPY with a null string
copy people (card) to stdout with (null 'x', delimiter ',')
-- # COPY with old syntax
copy people to stdout using delimiters '|'
-- # COPY binary old syntax
copy binary people to stdout
-- # BEGIN, then several reads
begin; select card from people; savepoint a; select email from people; release a; commit
-- # an unfinished statement
select card from people where (
-- vacuous: a syntax error
-- # a very long list
select card from people where id in (1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31,32,33,34,35,36,37,38,39,40)
