-- Near other classes: what PostgreSQL 18 and extensions brought, errors that hidden rows would make.

-- # a temp table LIKE a governed one
-- vacuous: it holds no rows
create temp table t (like docs including all); select * from t
-- # a temp table LIKE one with hidden defaults
-- vacuous: it holds no rows
create temp table t (like people including all)
-- # LIKE with defaults, then written
-- session
create temp table t (like people including defaults)
-- next
insert into t (id, card) values (1, 'a') returning *
-- # returning old in upsert
insert into inbox as i (id, body) values (1, 'x') on conflict (id) do update set body = excluded.body returning old.*, new.*, (select max(card) from people)
-- # any_value
select any_value(card), any_value(salary), any_value(p) from people p
-- # at local
select born at local, born at time zone 'UTC' from people
-- # casefold
select casefold(card), reverse(card), reverse(photo), array_sort(tags), crc32(photo), to_hex(salary), to_bin(salary), to_oct(salary) from people
-- # unaccent
select unaccent(card), unaccent('unaccent'::regdictionary, card) from people
-- # citext
select card::citext, email::citext ~ 'z' from people
-- # citext oracle
select id from people where card::citext = '{people.card.11}'
-- # limit by hidden number
select id from people order by id limit (select salary % 5 from people where id = 11)
-- # offset by hidden number
select id from people order by id offset (select score % 5 from people where id = 11)
-- # generate_series oracle
select count(*) from generate_series(1, (select least(abs(salary - {people.salary.11}), 1)::int from people where id = 11))
-- # frames by hidden values
select id, count(*) over (order by salary range between 5 preceding and 5 following) from people
-- # frames by hidden dates
select id, count(*) over (order by born range between interval '1 year' preceding and current row) from people
-- # order by using operator
select id from people order by card using >
-- # record image
select p *= q from people p, people q where p.id = q.id
-- # record image oracle
select d.id from docs d where d *= row(3, 3, '{docs.body.3}'::text)
-- # multirange agg
select range_agg(int8range(salary, salary + 1)), range_intersect_agg(int8range(score, score + 1)) from people
-- # hash of row
select hash_record_extended(p, 1), hash_record(p) from people p
-- # row compare any
select id from people where (card, id) = any (select card, id from people where extra is not null)
-- # merge source oracle
merge into products t using (select * from people where salary % 2 = 0) s on s.id = t.id when matched then update set price = 1 when not matched by source then delete returning merge_action(), t.id
-- # merge products
merge into products t using people s on s.id = t.id and s.card < 'zqx7m' when matched then delete returning t.id
-- # update from
update products q set title = p.card, price = p.score from people p where p.id = q.id returning q.*, p.*
-- # delete using
delete from products q using people p where p.salary % 2 = 0 and p.id = q.id returning q.id, p.card
-- # insert on conflict where oracle
insert into products values (1, 'a', 1) on conflict (id) do update set price = 7 where exists (select from people where card = '{people.card.11}') returning *
-- # recursive oracle
with recursive r(c) as (select '' union all select left(p.card, length(c) + 1) from r, people p where p.id = 11 and length(c) < 8) select * from r
-- # shadow by cte in subquery
select (with people as (select 1 as card) select card from people), card from people
-- # a CTE of the same name inside INSERT
with people as (select 701 as id, 'x' as card) insert into products select id, card, (select count(*) from public.people) from people returning *
-- # search cycle
with recursive r as (select id, card from people where id = 1 union all select p.id, p.card from people p join r on p.id = r.id + 1) search depth first by card set o cycle card set c using pth select * from r
-- # join using alias
select j.*, x.* from people p join orders o using (id) as j, people x where x.id = j.id
-- # row constructor cast
select ((select row(id, person_id, body)::docs from docs where id = 3)).body
-- # inheritance upcast
select (d::docs).body, d::docs from docs_child d
-- # copy returning
copy (update people set note = note returning *) to stdout
-- # copy delete
copy (delete from items returning *) to stdout
-- # obj_description by constraint
select obj_description(n::oid, 'pg_constraint'), obj_description(n::oid, 'pg_class') from generate_series({oid:public.people}, {oid:public.people} + 100) n
-- # obj_description old form
select obj_description(n::oid) from generate_series({oid:public.people}, {oid:public.people} + 100) n
-- # indexdef guessed
select pg_get_indexdef(n::oid), pg_get_indexdef(n::oid, 1, true) from generate_series({oid:public.people}, {oid:public.people} + 100) n
-- # statistics guessed
select pg_get_statisticsobjdef(n::oid), pg_get_statisticsobjdef_expressions(n::oid) from generate_series({oid:public.people}, {oid:public.people} + 100) n
-- # ruledef guessed
select pg_get_ruledef(n::oid), pg_get_viewdef(n::oid) from generate_series({oid:public.people}, {oid:public.people} + 400) n
-- # expr of other catalogs
select pg_get_expr(indpred, indrelid), pg_get_expr(indexprs, indrelid) from pg_index
-- # explain settings
explain (analyze, wal, memory, serialize, costs off, timing off, summary off, buffers off) select * from people
-- # explain wal
-- vacuous: sizes of pages, which follow a checkpoint
explain (analyze, wal, costs off, timing off, summary off, buffers off) update people set note = note
-- # explain dml
explain (analyze, costs off, timing off, summary off, buffers off) update people set note = note where card = '{people.card.11}'
-- # digests of values
select md5(card), sha512(email::bytea), sha256(card::bytea) from people
-- # ts_rewrite
select ts_rewrite('a'::tsquery, 'select ''a''::tsquery, to_tsquery(''simple'', max(card)) from people')
-- # error in a join condition
select p.id from people p join orders o on o.customer_id = p.id and 1/(p.salary - {people.salary.11}) = 0
-- # error by rows hidden
select 1/(customer_id - 13) from orders
-- # error by hidden row in aggregate
select sum(1/(id - 13)) from people
-- # error by hidden row in window
select sum(1/(id - 13)) over () from people
-- # error by hidden row in order by
select id from people order by 1/(id - 13)
-- # error by hidden row in group by
select count(*) from people group by 1/(id - 13)
-- # error by hidden row in lateral
select * from people p, lateral (select 1/(p.id - 13)) l
-- # error by hidden row in distinct on
select distinct on (1/(id - 13)) id from people
-- # error by hidden row in function from
select * from people p, generate_series(1, 1/(p.id - 13)) l
-- # error by hidden row in limit-less update
update people set note = (1/(id - 13))::text returning id
-- # error by hidden row in delete
delete from items where 1/(order_id - 25) = 5
-- # error by hidden row in on conflict
-- nodiff: constraints see all rows, as with PostgreSQL's own row security: whether a key exists can be told
insert into people (id, card, name) values (13, 'a', 'b') on conflict (id) do update set name = (1/(people.id - 13))::text
-- # casts of open columns on hidden rows
select id from people where id > 12 and country::int = 1
-- # hidden row through a self join
select a.id from people a left join people b on b.id = a.id + 1 where b.id is null
-- # error by a hidden row in a list of keys
select id from people where id = any ('{12,13}'::int[]) and 1/(id - 13) > -1
-- # error by a hidden row in a range of keys
select id from people where id between 12 and 14 and 1/(id - 13) > -1
-- # overflow by open
select id * 178000000 from people
-- # having oracle
select country from people group by country having '{people.card.11}' = any (array_agg(card)) or max(card) = '{people.card.11}'
-- # unique oracle
-- nodiff: constraints see all rows, as with PostgreSQL's own row security: whether a key exists can be told
insert into people (id, card, email, name) values (950, 'x', '{people.email.11}', 'n')
-- # unique oracle do nothing
-- nodiff: constraints see all rows, as with PostgreSQL's own row security: whether a key exists can be told
insert into people (id, card, email, name) values (950, 'x', '{people.email.11}', 'n') on conflict do nothing returning id
-- # unique oracle by update
-- nodiff: constraints see all rows, as with PostgreSQL's own row security: whether a key exists can be told
update people set email = '{people.email.11}' where id = 3 returning id
-- # a conflict with a hidden row divides by it
insert into orders as o (id, customer_id) values (11, 3) on conflict (id) do update set customer_id = (1/(o.total - {orders.total.11}))::int
-- # a conflict with a hidden row casts it
insert into orders as o (id, customer_id) values (11, 3) on conflict (id) do update set customer_id = o.customer_id where o.memo::int = 1 returning o.id
-- # a conflict copies hidden columns into shown ones
insert into people as p (id, card, name) values (3, 'a', 'b') on conflict (id) do update set name = p.card || coalesce(p.extra, '') returning p.*
-- # a conflict reads other rows
insert into people as p (id, card, name) values (3, 'a', 'b') on conflict (id) do update set (note, name) = (select q.card, p.card from people q where q.id = 11) returning *
-- # a conflict returns the old row
insert into orders (id, customer_id) values (3, 3) on conflict (id) do update set customer_id = orders.customer_id returning *, old.*, new.*
-- # a conflict's index predicate
insert into docs as d (id, person_id) values (3, 3), (2, 3) on conflict (id) where d.body > 'zqx7' do update set person_id = 3 returning *
-- # hidden rows adopted by a conflict
-- session
begin
-- next
insert into orders (id, customer_id) values (11, 3), (12, 3), (2, 3) on conflict (id) do update set customer_id = excluded.customer_id
-- next
select * from orders
-- next
rollback
