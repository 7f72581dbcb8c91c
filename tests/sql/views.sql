-- a view that the rules do not list is read by its definition, over governed forms; a column made of a dropped one is not there
select name, mail from v_orders where id = $1
-- becomes
select name, mail from (SELECT o.id, c.name, lower((c.email)::text) AS mail, o.placed
   FROM (<customers form> c
     JOIN <orders form> o ON ((o.customer_id = c.id)))) AS "v_orders" where id = $1

-- an app that has all of what it reads reads the view itself
-- as full
select * from v_orders
-- passes

-- its alias stays, a name with its schema loses it
select v.*, public.v_recent.id from v_recent v, public.v_recent
-- becomes
select v.*, v_recent.id from (SELECT o.id,
    o.customer_id
   FROM (<orders form> o
     JOIN public.products p ON ((p.id = o.id)))) v, (SELECT o.id,
    o.customer_id
   FROM (<orders form> o
     JOIN public.products p ON ((p.id = o.id)))) AS "v_recent"

-- views of views
select sku from v_nested n where number = 1
-- becomes
select sku from (SELECT v.id AS number,
    v.name,
    p.sku
   FROM ((SELECT o.id, c.name, lower((c.email)::text) AS mail, o.placed
   FROM (<customers form> c
     JOIN <orders form> o ON ((o.customer_id = c.id)))) v
     CROSS JOIN public.products p)) n where number = 1

-- row policies: the forms inside are fenced, unless nothing in statement and definition could tell of hidden rows
-- as agent
select id from v_recent where id = 3
-- becomes
select id from (SELECT o.id,
    o.customer_id
   FROM (<orders form> o
     JOIN public.products p ON ((p.id = o.id)))) AS "v_recent" where id = 3

-- as agent
select id from v_recent where id + 1 = 3
-- becomes
select id from (SELECT o.id,
    o.customer_id
   FROM (<orders fenced form> o
     JOIN public.products p ON ((p.id = o.id)))) AS "v_recent" where id + 1 = 3

-- a definition that calls functions may tell of hidden rows by itself
-- as agent
select number from v_nested where number = 3
-- becomes
select number from (SELECT v.id AS number,
    v.name,
    p.sku
   FROM ((SELECT o.id, c.name, lower((c.email)::text) AS mail, o.placed
   FROM (<customers fenced form> c
     JOIN <orders fenced form [(_t."id" OPERATOR(pg_catalog.=) 3)]> o ON ((o.customer_id = c.id)))) v
     CROSS JOIN public.products p)) AS "v_nested" where number = 3

-- the app's own comparisons of its columns go inside of the fences, also by what follows of them
-- as agent
select r.id from v_recent r join products q on q.id = r.customer_id where r.id + 0 < 9 and 5 > r.id and q.id = any ($1::int[])
-- becomes
select r.id from (SELECT o.id,
    o.customer_id
   FROM (<orders fenced form [(_t."id" OPERATOR(pg_catalog.<) 5)] [(_t."customer_id" OPERATOR(pg_catalog.=) ANY ($1::"pg_catalog"."int4"[]))]> o
     JOIN public.products p ON ((p.id = o.id)))) r join products q on q.id = r.customer_id where r.id + 0 < 9 and 5 > r.id and q.id = any ($1::int[])

-- but not what it makes of them, and not into what is computed of many rows
-- as agent
select id from v_recent where id + 1 = 3 and customer_id::text = '5' and id <> 3
-- becomes
select id from (SELECT o.id,
    o.customer_id
   FROM (<orders fenced form> o
     JOIN public.products p ON ((p.id = o.id)))) AS "v_recent" where id + 1 = 3 and customer_id::text = '5' and id <> 3

-- as agent
select id, orders + 1 from v_counts where id = 3 and last::text > ''
-- becomes
select id, orders + 1 from (SELECT c.id,
    count(*) AS orders,
    max(o.placed) AS last
   FROM (<customers fenced form> c
     JOIN <orders fenced form> o ON ((o.customer_id = c.id)))
  GROUP BY c.id) AS "v_counts" where id = 3 and last::text > ''

-- a column of a query around may be another in the definition
-- as agent
select (select max(r.id + 0) from v_recent r where r.id = o.id) from products o
-- becomes
select (select max(r.id + 0) from (SELECT o.id,
    o.customer_id
   FROM (<orders form> o
     JOIN public.products p ON ((p.id = o.id)))) r where r.id = o.id) from products o

-- a view with a privilege barrier keeps it
select id from v_barrier where name ~ 'x'
-- becomes
select id from (SELECT * FROM (SELECT c.id,
    c.name
   FROM (<customers form> c
     JOIN public.products p ON ((p.id = c.id)))) AS "_v" OFFSET 0) AS "v_barrier" where name ~ 'x'

select id from v_barrier where id = 1
-- becomes
select id from (SELECT c.id,
    c.name
   FROM (<customers form> c
     JOIN public.products p ON ((p.id = c.id)))) AS "v_barrier" where id = 1

-- grouped by a primary key, which a form does not have; locked rows ask consent without a join
-- as mailer
select id, orders from v_counts for update
-- becomes
select id, orders from (SELECT c.id,
    count(*) AS orders,
    max(o.placed) AS last
   FROM (<customers locking form> c
     JOIN <orders locking form> o ON ((o.customer_id = c.id)))
  GROUP BY c.id) AS "v_counts" for update

-- arms of a set operation
-- as mailer
table v_union
-- becomes
SELECT * FROM (SELECT c.name AS label
   FROM <customers form> c
UNION
 SELECT p.name AS label
   FROM public.products p) AS "v_union"

-- everywhere that a query may stand
insert into products (id) select id from v_recent
-- becomes
insert into products (id) select id from (SELECT o.id,
    o.customer_id
   FROM (<orders form> o
     JOIN public.products p ON ((p.id = o.id)))) AS "v_recent"

with products as (select 1 as id) select exists (select from v_recent r where r.id = products.id) from products
-- becomes
with products as (select 1 as id) select exists (select from (SELECT o.id,
    o.customer_id
   FROM (<orders form> o
     JOIN public.products p ON ((p.id = o.id)))) r where r.id = products.id) from products

-- a CTE of its name is itself
with v_recent as (select 1 as id) select * from v_recent
-- passes

-- a column that touches a denied one is denied, the others are not
select total from v_totals
-- refused 42501 permission denied for column "total" of relation "orders"

select * from v_totals
-- refused 42501 permission denied for column "total" of relation "orders"

select id from v_totals
-- becomes
select id from (SELECT o.id, o.placed
   FROM (<orders form> o
     JOIN public.products p ON ((p.id = o.id)))) AS "v_totals"

-- needed elsewhere than in the output list; other tables; functions
select id from v_cards
-- refused 42501 permission denied for relation "v_cards"

select * from v_internal
-- refused 42501 permission denied for relation "v_internal"

select * from v_peek
-- refused 42501 permission denied for relation "v_peek"

-- names for its columns, where some are gone
select x.b from v_orders as x(a, b)
-- becomes
select x.b from (SELECT o.id, c.name, lower((c.email)::text) AS mail, o.placed
   FROM (<customers form> c
     JOIN <orders form> o ON ((o.customer_id = c.id)))) as x(a, b)

select x.c from v_orders as x(a, b, c)
-- refused 0A000 a column alias list over relation "v_orders" would name other columns than it says

-- what only tables have
select * from v_orders tablesample system (10)
-- refused 42809 TABLESAMPLE clause can only be applied to tables and materialized views

-- EXPLAIN shows what a plan filters by
explain select * from v_recent
-- refused 42501 EXPLAIN would show the definition of view "v_recent"

-- a choice of rows and columns of one relation is written in place, governed as what it shows
update w_people set name = 'x' where phone = '5' returning *
-- becomes
update w_people set name = 'x' where (((pg_catalog."right"(("w_people"."phone"), 2)))::text COLLATE pg_catalog."C") = '5' returning "w_people"."id", "w_people"."name", (((pg_catalog."right"(("w_people"."phone"), 2)))::text COLLATE pg_catalog."C") AS "phone"

insert into w_people values (1, 'x') returning id
-- becomes
insert into w_people ("id", "name") values (1, 'x') returning id

-- as agent
delete from w_orders where remark::int = 5
-- becomes
delete from w_orders where ("w_orders"."placed" OPERATOR(pg_catalog.>) '2020-01-01'::pg_catalog.date) AND CASE WHEN ("w_orders"."placed" OPERATOR(pg_catalog.>) '2020-01-01'::pg_catalog.date) THEN ( remark::int = 5) ELSE FALSE END

delete from w_nested
-- passes

-- as full
update w_nested set name = 'x' where id = 1
-- passes

-- as mailer
update w_people set name = 'x'
-- refused 42501 permission denied to write column "name" of relation "w_people"

update w_people set card_no = 'x'
-- refused 42703 column "card_no" of relation "w_people" does not exist

-- what would have to be asked of what it does not show, or is computed, or chooses by hidden values
-- as agent
update w_late set customer_id = 1
-- refused 42501 permission denied for relation "w_late"

update w_lower set id = 1
-- refused 42501 permission denied for relation "w_lower"

update w_cards set id = 1
-- refused 42501 permission denied for relation "w_cards"

delete from v_orders
-- refused 42501 permission denied for relation "v_orders"

-- COPY of a TABLE command
copy (table v_recent) to stdout
-- becomes
copy (SELECT * FROM (SELECT o.id,
    o.customer_id
   FROM (<orders form> o
     JOIN public.products p ON ((p.id = o.id)))) AS "v_recent") to stdout

-- what was prepared may read a view: its plan would show the definition
explain (costs off) execute p
-- refused 42501 EXPLAIN EXECUTE
