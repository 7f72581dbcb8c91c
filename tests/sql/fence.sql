-- a cast could print a hidden value in its error
-- as agent
select id from orders where note::int = 1
-- becomes
select id from <orders fenced> where note::int = 1

-- the app's own simple comparisons go inside, so that their indexes are used
-- as agent
select id from orders o where o.id = 3 and o.note like 'x%' and 7 > o.customer_id
-- becomes
select id from <orders fenced form [(_t."id" OPERATOR(pg_catalog.=) 3)] [(_t."customer_id" OPERATOR(pg_catalog.<) 7)]> o where o.id = 3 and o.note like 'x%' and 7 > o.customer_id

-- as agent
-- parameters: 23
select id from orders where id = $1 and lower(note) = 'x'
-- becomes
select id from <orders fenced [(_t."id" OPERATOR(pg_catalog.=) $1)]> where id = $1 and lower(note) = 'x'

-- a parameter of another type compares by another operator: it stays outside
-- as agent
-- parameters: 1700
select id from orders where id = $1
-- becomes
select id from <orders fenced> where id = $1

-- an untyped parameter that stands twice gets its type from the first place
-- as agent
select $1::bigint from orders where id = $1
-- becomes
select $1::bigint from <orders fenced> where id = $1

-- as agent
select id from orders where id in (1, 2) and placed::text <> ''
-- becomes
select id from <orders fenced [(_t."id" OPERATOR(pg_catalog.=) ANY (ARRAY[1, 2]))]> where id in (1, 2) and placed::text <> ''

-- a join's condition, HAVING and a sub-query count as well
-- as agent
select o.id from products p left join orders o on o.note::int = p.id
-- becomes
select o.id from products p left join <orders fenced form> o on o.note::int = p.id

-- as agent
select * from products p left join (select id, 1 / (customer_id - 5) as x from orders) o on p.id = o.id
-- becomes
select * from products p left join (select id, 1 / (customer_id - 5) as x from <orders fenced>) o on p.id = o.id

-- the outermost output is computed after all filters
-- as agent
select 1 / (customer_id - 5), upper(note) from orders where id = 3 order by note
-- becomes
select 1 / (customer_id - 5), upper(note) from <orders> where id = 3 order by note

-- but what rows are sorted by may be computed before: in ORDER BY, GROUP BY, DISTINCT, windows, sorted aggregates
-- as agent
select id from orders where id = 3 order by lower(note)
-- becomes
select id from <orders fenced [(_t."id" OPERATOR(pg_catalog.=) 3)]> where id = 3 order by lower(note)

-- as agent
select id, lower(note) as low, upper(note) from orders order by low
-- becomes
select id, lower(note) as low, upper(note) from <orders fenced> order by low

-- as agent
select id, lower(note) as low, upper(note) from orders order by id, upper(note)
-- becomes
select id, lower(note) as low, upper(note) from <orders fenced> order by id, upper(note)

-- as agent
select id, lower(note) as low, upper(note), note || 'x' from orders order by id
-- becomes
select id, lower(note) as low, upper(note), note || 'x' from <orders> order by id

-- as agent
select lower(note), count(*) from orders group by 1
-- becomes
select lower(note), count(*) from <orders fenced> group by 1

-- as agent
select distinct note, lower(note) from orders
-- becomes
select distinct note, lower(note) from <orders fenced>

-- as agent
select rank() over (order by note), rank() over w from orders window w as (partition by lower(note))
-- becomes
select rank() over (order by note), rank() over w from <orders fenced> window w as (partition by lower(note))

-- as agent
select customer_id, count(distinct lower(note)) from orders group by customer_id order by max(lower(note))
-- becomes
select customer_id, count(distinct lower(note)) from <orders fenced> group by customer_id order by max(lower(note))

-- as agent
select customer_id, count(distinct note), max(lower(note)) from orders group by customer_id order by max(lower(note)), 2
-- becomes
select customer_id, count(distinct note), max(lower(note)) from <orders> group by customer_id order by max(lower(note)), 2

-- joins and comparisons by leakproof operators need no fence
-- as agent
select o.id from orders o join items i on i.order_id = o.id where o.placed between '2024-01-01' and '2024-12-31' and o.note is not null
-- becomes
select o.id from <orders form> o join items i on i.order_id = o.id where o.placed between '2024-01-01' and '2024-12-31' and o.note is not null

-- value masks need none: the app's expression sees the mask only
select id from customers where phone::int = 1
-- becomes
select id from <customers> where phone::int = 1

-- EXPLAIN would count hidden rows
-- as agent
explain select id from orders
-- refused 42501 EXPLAIN would count rows of relation "orders"

-- NULL has no type of its own
-- as agent
select id from orders where id = null
-- becomes
select id from <orders fenced> where id = null

-- the arms of a set operation
-- as agent
select upper(note) from orders union all select 'x'
-- becomes
select upper(note) from <orders fenced> union all select 'x'

-- a column that is not there, as a condition of its own: PostgreSQL says so
-- as agent
select o.id from orders o where o.nothing
-- becomes
select o.id from <orders fenced o> where o.nothing

-- casts that the parser does, or that cannot fail, leave values what they are
-- as agent
select id from orders where id = $1::INTEGER and placed > '2024-01-01'::date and customer_id = cast($2 as bigint)
-- becomes
select id from <orders> where id = $1::INTEGER and placed > '2024-01-01'::date and customer_id = cast($2 as bigint)

-- as agent
select id from orders where id = $1::INTEGER and placed > date '2024-01-01' and note ilike 'x'
-- becomes
select id from <orders fenced [(_t."id" OPERATOR(pg_catalog.=) $1::"pg_catalog"."int4")] [(_t."placed" OPERATOR(pg_catalog.>) '2024-01-01'::"date")]> where id = $1::INTEGER and placed > date '2024-01-01' and note ilike 'x'

-- a length may cut the value
-- as agent
select id from orders where note = $1::varchar(3)
-- becomes
select id from <orders fenced> where note = $1::varchar(3)

-- lists that drivers send
-- as agent
select id from orders where id = any($1) and note ilike 'x'
-- becomes
select id from <orders fenced [(_t."id" OPERATOR(pg_catalog.=) ANY ($1))]> where id = any($1) and note ilike 'x'

-- the next page
-- as agent
select id from orders where (placed, id) < ($1, $2) and note ilike 'x' order by placed desc, id desc limit $3
-- becomes
select id from <orders fenced [(ROW(_t."placed", _t."id") OPERATOR(pg_catalog.<) ROW($1, $2))]> where (placed, id) < ($1, $2) and note ilike 'x' order by placed desc, id desc limit $3

-- what follows from two of the app's comparisons; a column of one query in another; what a join asks
-- as agent
select o.id from products p join orders o on o.customer_id = p.id where p.id = 5 and p.name like 'x%'
-- becomes
select o.id from products p join <orders fenced form [(_t."customer_id" OPERATOR(pg_catalog.=) 5)]> o on o.customer_id = p.id where p.id = 5 and p.name like 'x%'

-- as agent
select p.id from products p where exists (select from orders o where o.customer_id = p.id and o.note like 'x%')
-- becomes
select p.id from products p where exists (select from <orders fenced form [(_t."customer_id" OPERATOR(pg_catalog.=) "p"."id")]> o where o.customer_id = p.id and o.note like 'x%')

-- as agent
select p.id from products p left join orders o on o.customer_id = p.id and o.id = 7 where o.note is null and lower(p.name) = 'x'
-- becomes
select p.id from products p left join <orders fenced form [(_t."id" OPERATOR(pg_catalog.=) 7)]> o on o.customer_id = p.id and o.id = 7 where o.note is null and lower(p.name) = 'x'

-- aggregates are computed after the conditions of their level, and sub-queries of the output for the rows that are left
-- as agent
select p.id, (select count(*) from orders o where o.customer_id = p.id) from products p join (select customer_id, sum(id) as n from orders group by customer_id having count(*) > 1) s on s.customer_id = p.id
-- becomes
select p.id, (select count(*) from <orders form> o where o.customer_id = p.id) from products p join (select customer_id, sum(id) as n from <orders> group by customer_id having count(*) > 1) s on s.customer_id = p.id

-- as agent
select id from orders where customer_id in (select id from products where sku = 'x')
-- becomes
select id from <orders> where customer_id in (select id from products where sku = 'x')

-- a value that is NULL without consent: the comparison finds no row by it that it would not find anyway
-- as mailer
select id from customers where email = $1
-- becomes
select id from <customers [(_t."email" OPERATOR(pg_catalog.=) $1)]> where email = $1

-- but what the app runs beside it would tell which rows it found
-- as mailer
select id from customers where email = 'x' and 1 / id > 0
-- becomes
select id from <customers> where email = 'x' and 1 / id > 0

-- and so would EXPLAIN
-- as mailer
explain analyze select id from orders where placed = '2020-01-01'
-- refused 42501 EXPLAIN would show how columns are made

-- as mailer
explain analyze execute p
-- refused 42501 EXPLAIN EXECUTE would count

-- names of a WITH query and of a sub-query that computes them
-- as agent
with p as (select id, sku from products) select o.id from p join (select id, max(name) as last from products group by id) n on n.id = p.id, orders o where p.sku is null and n.last is not null and o.id = 1
-- becomes
with p as (select id, sku from products) select o.id from p join (select id, max(name) as last from products group by id) n on n.id = p.id, <orders fenced form [(_t."id" OPERATOR(pg_catalog.=) 1)]> o where p.sku is null and n.last is not null and o.id = 1

-- as agent
with p as (select id, sku from products) select o.id from p, orders o where p.sku is null and o.id = 1
-- becomes
with p as (select id, sku from products) select o.id from p, <orders form> o where p.sku is null and o.id = 1

-- a target's column is none that a copy may name
-- as agent
delete from items where exists (select from orders o where o.id > items.order_id and o.note || '' = 'x')
-- becomes
delete from items where exists (select from <orders fenced form> o where o.id > items.order_id and o.note || '' = 'x')

-- columns called by their schema, as SQLAlchemy does for tables with one
-- as agent
select public.orders.customer_id from public.orders where public.orders.id = 5 and public.orders.note is not null
-- becomes
select orders.customer_id from <orders> where orders.id = 5 and orders.note is not null

-- as agent
select public.orders.id from public.orders where public.orders.id = 5 and public.orders.note || '' = 'x'
-- becomes
select orders.id from <orders fenced [(_t."id" OPERATOR(pg_catalog.=) 5)]> where orders.id = 5 and orders.note || '' = 'x'

-- as agent
update public.orders set note = 'x' where public.orders.id = 10
-- becomes
update public.orders set note = 'x' where ("orders"."placed" OPERATOR(pg_catalog.>) '2020-01-01'::pg_catalog.date) AND ( public.orders.id = 10)

-- aliases of joins
-- as agent
select u.* from customers c join orders o using (id) as u
-- becomes
select u.* from <customers form> c join <orders form> o using (id) as u

-- as agent
select j.id from (customers c join orders o using (id)) as j
-- becomes
select j.id from (<customers form> c join <orders form> o using (id)) as j

-- what is joined by = to columns that are not known
-- as agent
select o.id from orders o join (values (13)) t (v) on o.id = t.v where o.id + 1 = 3
-- becomes
select o.id from <orders fenced form> o join (values (13)) t (v) on o.id = t.v where o.id + 1 = 3

-- columns of a query around, in a LATERAL one
-- as agent
select o.id from items i, orders o join lateral (values (i.order_id), (13)) t (v) on o.id = t.v
-- becomes
select o.id from items i, <orders fenced form> o join lateral (values (i.order_id), (13)) t (v) on o.id = t.v

-- as agent
select o.id from items i, orders o, lateral (select i.* from items limit 1) t where o.id = t.order_id
-- becomes
select o.id from items i, <orders fenced form> o, lateral (select i.* from items limit 1) t where o.id = t.order_id

-- a name in FOR UPDATE OF is that of a relation in FROM: it takes nothing from the other names
-- as agent
select public.orders.id from public.orders where public.orders.id = 3 for update of orders
-- becomes
select orders.id from <orders locking form> AS "orders" where orders.id = 3 for update of orders

-- rows of different lengths are the server's error
-- as agent
select o.id from (values (1, 'a'), (2)) as v (x, y) join orders o on v.y = o.note where o.id = 16
-- becomes
select o.id from (values (1, 'a'), (2)) as v (x, y) join <orders fenced [(_t."id" OPERATOR(pg_catalog.=) 16)] o> on v.y = o.note where o.id = 16
