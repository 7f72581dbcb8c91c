-- the whole row of what is written: one value with the app's columns by their names
update customers c set name = 'x' returning c
-- becomes
update customers c set name = 'x' returning (SELECT _r FROM (SELECT "c"."id", "c"."name", "c"."email", (((pg_catalog."right"(("c"."phone"), 2)))::text COLLATE pg_catalog."C") AS "phone", "c"."seen") AS _r) AS "c"

update customers c set name = 'x' returning row_to_json(c), (c.*)::text as t, c is null, row (c.*, 1)
-- becomes
update customers c set name = 'x' returning row_to_json((SELECT _r FROM (SELECT "c"."id", "c"."name", "c"."email", (((pg_catalog."right"(("c"."phone"), 2)))::text COLLATE pg_catalog."C") AS "phone", "c"."seen") AS _r)), ((SELECT _r FROM (SELECT "c"."id", "c"."name", "c"."email", (((pg_catalog."right"(("c"."phone"), 2)))::text COLLATE pg_catalog."C") AS "phone", "c"."seen") AS _r))::text as t, (SELECT _r FROM (SELECT "c"."id", "c"."name", "c"."email", (((pg_catalog."right"(("c"."phone"), 2)))::text COLLATE pg_catalog."C") AS "phone", "c"."seen") AS _r) is null, row ("c"."id", "c"."name", "c"."email", (((pg_catalog."right"(("c"."phone"), 2)))::text COLLATE pg_catalog."C"), "c"."seen", 1)

delete from customers where row_to_json(customers)::text like '%x%' and (customers).name = 'x'
-- becomes
delete from customers where row_to_json((SELECT _r FROM (SELECT "customers"."id", "customers"."name", "customers"."email", (((pg_catalog."right"(("customers"."phone"), 2)))::text COLLATE pg_catalog."C") AS "phone", "customers"."seen") AS _r))::text like '%x%' and (customers).name = 'x'

delete from customers where (customers).phone = 'x'
-- refused 0A000 "phone" of the row of "customers" cannot be taken out here

delete from customers where (customers).card_no = 'x'
-- refused 42703 column customers.card_no does not exist

update customers set name = (select customers::text from products limit 1)
-- becomes
update customers set name = (select (SELECT _r FROM (SELECT "customers"."id", "customers"."name", "customers"."email", (((pg_catalog."right"(("customers"."phone"), 2)))::text COLLATE pg_catalog."C") AS "phone", "customers"."seen") AS _r)::text AS "customers" from products limit 1)

insert into customers (id) values (1) on conflict (id) do update set name = customers::text where customers is not null
-- becomes
insert into customers (id) values (1) on conflict (id) do update set name = (SELECT _r FROM (SELECT "customers"."id", "customers"."name", "customers"."email", (((pg_catalog."right"(("customers"."phone"), 2)))::text COLLATE pg_catalog."C") AS "phone", "customers"."seen") AS _r)::text where (SELECT _r FROM (SELECT "customers"."id", "customers"."name", "customers"."email", (((pg_catalog."right"(("customers"."phone"), 2)))::text COLLATE pg_catalog."C") AS "phone", "customers"."seen") AS _r) is not null

insert into customers (id) values (1) on conflict (id) do update set name = excluded::text
-- refused 0A000 the whole row of "customers" cannot be used here

-- as agent
insert into customers (id, phone) values (1, 'x') returning customers
-- refused 42501 permission denied to write column "phone" of relation "customers"

-- RETURNING * beside other relations
update customers c set name = 'x' from products p where p.id = c.id returning *
-- becomes
update customers c set name = 'x' from products p where p.id = c.id returning "c"."id", "c"."name", "c"."email", (((pg_catalog."right"(("c"."phone"), 2)))::text COLLATE pg_catalog."C") AS "phone", "c"."seen", "p".*

delete from only customers using products, customers as other returning *, other
-- becomes
delete from only customers using products, <customers form> as other returning "customers"."id", "customers"."name", "customers"."email", (((pg_catalog."right"(("customers"."phone"), 2)))::text COLLATE pg_catalog."C") AS "phone", "customers"."seen", "products".*, "other".*, other

update customers c set name = 'x' from (products p join tickets t on t.id = p.id) left join lateral (select 1 as a) s on true, generate_series(1, 2) g, (products q cross join tickets u) as j returning *
-- becomes
update customers c set name = 'x' from (products p join tickets t on t.id = p.id) left join lateral (select 1 as a) s on true, generate_series(1, 2) g, (products q cross join tickets u) as j returning "c"."id", "c"."name", "c"."email", (((pg_catalog."right"(("c"."phone"), 2)))::text COLLATE pg_catalog."C") AS "phone", "c"."seen", "p".*, "t".*, "s".*, "g".*, "j".*

update customers c set name = 'x' from products p join tickets t using (id) where p.id = c.id returning *
-- refused 0A000 the column "id" of * cannot be named

update customers c set name = 'x' from (select 1) where true returning *
-- refused 0A000 a sub-query without an alias stands beside it

with x as (update customers c set name = p.name from products p where p.id = c.id returning *) select phone, sku from x
-- becomes
with x as (update customers c set name = p.name from products p where p.id = c.id returning "c"."id", "c"."name", "c"."email", (((pg_catalog."right"(("c"."phone"), 2)))::text COLLATE pg_catalog."C") AS "phone", "c"."seen", "p".*) select phone, sku from x

-- old and new rows may not be there
insert into customers (id, name) values (1, 'x') returning old, new.phone, new.*
-- becomes
insert into customers (id, name) values (1, 'x') returning (SELECT _r FROM (SELECT "old"."id", "old"."name", "old"."email", (CASE WHEN ("old".*) IS DISTINCT FROM NULL THEN ((pg_catalog."right"(("old"."phone"), 2)))::text COLLATE pg_catalog."C" ELSE (NULL)::text END) AS "phone", "old"."seen" WHERE ("old".*) IS DISTINCT FROM NULL) AS _r) AS "old", (CASE WHEN ("new".*) IS DISTINCT FROM NULL THEN ((pg_catalog."right"(("new"."phone"), 2)))::text COLLATE pg_catalog."C" ELSE (NULL)::text END) AS "phone", "new"."id", "new"."name", "new"."email", (CASE WHEN ("new".*) IS DISTINCT FROM NULL THEN ((pg_catalog."right"(("new"."phone"), 2)))::text COLLATE pg_catalog."C" ELSE (NULL)::text END) AS "phone", "new"."seen"

-- a system column beside *: the form has it, * must not
select ctid, * from customers
-- becomes
select ctid, "customers"."id", "customers"."name", "customers"."email", "customers"."phone", "customers"."seen" from <customers +ctid form> AS "customers"

select *, xmin from customers
-- becomes
select "customers"."id", "customers"."name", "customers"."email", "customers"."phone", "customers"."seen", xmin from <customers +xmin form> AS "customers"

select c.ctid, c.*, c, row_to_json(c) from public.customers c
-- becomes
select c.ctid, "c"."id", "c"."name", "c"."email", "c"."phone", "c"."seen", (SELECT _r FROM (SELECT "c"."id", "c"."name", "c"."email", "c"."phone", "c"."seen") AS _r) AS "c", row_to_json((SELECT _r FROM (SELECT "c"."id", "c"."name", "c"."email", "c"."phone", "c"."seen") AS _r)) from <customers +ctid form> c

select public.customers.xmin, public.customers.* from public.customers
-- becomes
select customers.xmin, "customers"."id", "customers"."name", "customers"."email", "customers"."phone", "customers"."seen" from <customers +xmin form> AS "customers"

select c.ctid, * from customers c join products p using (id)
-- becomes
select c.ctid, "id", "c"."name", "c"."email", "c"."phone", "c"."seen", "p"."sku", "p"."name" from <customers +ctid form> c join products p using (id)

select p.*, c.ctid, c.name from customers c join products p on true
-- becomes
select p.*, c.ctid, c.name from <customers +ctid form> c join products p on true

select ctid, * from customers c natural join products p
-- refused 0A000 NATURAL JOIN of a governed relation of which a system column is named

select j.*, ctid from (customers c cross join products p) j
-- refused 0A000 the whole row of "customers" cannot be used here

select (customers).phone, ctid from customers
-- becomes
select (customers).phone, ctid from <customers +ctid form> AS "customers"

select * from (select ctid, * from customers) x
-- becomes
select * from (select ctid, "customers"."id", "customers"."name", "customers"."email", "customers"."phone", "customers"."seen" from <customers +ctid form> AS "customers") x

select x.c, ctid from customers, lateral (select customers as c) x
-- becomes
select x.c, ctid from <customers +ctid form> AS "customers", lateral (select (SELECT _r FROM (SELECT "customers"."id", "customers"."name", "customers"."email", "customers"."phone", "customers"."seen") AS _r) as c) x

-- outputs keep their names
update customers c set name = 'x' returning phone::varchar, (c.phone) collate "C", case when true then 'x' else c.phone end, (phone), c::text, upper(phone)
-- becomes
update customers c set name = 'x' returning (((pg_catalog."right"(("c"."phone"), 2)))::text COLLATE pg_catalog."C")::varchar AS "phone", ((((pg_catalog."right"(("c"."phone"), 2)))::text COLLATE pg_catalog."C")) collate "C" AS "phone", case when true then 'x' else (((pg_catalog."right"(("c"."phone"), 2)))::text COLLATE pg_catalog."C") end AS "phone", ((((pg_catalog."right"(("c"."phone"), 2)))::text COLLATE pg_catalog."C")) AS "phone", (SELECT _r FROM (SELECT "c"."id", "c"."name", "c"."email", (((pg_catalog."right"(("c"."phone"), 2)))::text COLLATE pg_catalog."C") AS "phone", "c"."seen") AS _r)::text AS "c", upper((((pg_catalog."right"(("c"."phone"), 2)))::text COLLATE pg_catalog."C"))

select ctid, c::text from customers c where true
-- becomes
select ctid, (SELECT _r FROM (SELECT "c"."id", "c"."name", "c"."email", "c"."phone", "c"."seen") AS _r)::text AS "c" from <customers +ctid form> c where true

delete from customers returning (select phone || 'x' as y), (select phone)
-- becomes
delete from customers returning (select (((pg_catalog."right"(("customers"."phone"), 2)))::text COLLATE pg_catalog."C") || 'x' as y), (select (((pg_catalog."right"(("customers"."phone"), 2)))::text COLLATE pg_catalog."C") AS "phone")

-- its names are those of the relation, whatever a list of aliases says: a sub-query's row would have the list's
select to_jsonb(c) from customers c (k)
-- refused 0A000 the row of "customers" cannot be told with its names here, where its columns have other ones

select json_agg(x.c) from (select c from customers c (k)) x
-- refused 0A000 the row of "customers" cannot be told with its names here, where its columns have other ones

select json_object('k': c.*) from customers c (k)
-- refused 0A000 the row of "customers" cannot be told with its names here, where its columns have other ones

select to_jsonb(k), c.* from customers c (k)
-- becomes
select to_jsonb(k), c.* from <customers form> c (k)

select c, count(c) over (), c is null from customers c (k)
-- becomes
select c, count(c) over (), c is null from <customers form> c (k)
