-- columns shown without condition may be written
update customers set name = 'x' where id = 1
-- passes

insert into customers (id, name) values (1, 'x')
-- passes

update customers set phone = 'x'
-- refused 42501 permission denied to write column "phone"

insert into customers (id, card_no) values (1, 'x')
-- refused 42703 column "card_no" of relation "customers" does not exist

-- as mailer
update customers set name = 'x'
-- refused 42501 permission denied to write column "name"

-- what is read of the written relation is governed, place by place
update customers c set name = c.phone where phone = '12' returning id, phone, upper(c.phone) as p
-- becomes
update customers c set name = (((pg_catalog."right"(("c"."phone"), 2)))::text COLLATE pg_catalog."C") where (((pg_catalog."right"(("c"."phone"), 2)))::text COLLATE pg_catalog."C") = '12' returning id, (((pg_catalog."right"(("c"."phone"), 2)))::text COLLATE pg_catalog."C") AS "phone", upper((((pg_catalog."right"(("c"."phone"), 2)))::text COLLATE pg_catalog."C")) as p

delete from customers where id = 1 returning *
-- becomes
delete from customers where id = 1 returning "customers"."id", "customers"."name", "customers"."email", (((pg_catalog."right"(("customers"."phone"), 2)))::text COLLATE pg_catalog."C") AS "phone", "customers"."seen"

delete from customers where card_no = '4111'
-- refused 42703 column "card_no" does not exist

-- a name that only the target has, in a sub-query over a form that lacks it
delete from customers where exists (select 1 from products where card_no = '1')
-- refused 42703 column "card_no" does not exist

-- INSERT without a list means the columns that the app has
insert into customers values (1, 'x', 'y')
-- becomes
insert into customers ("id", "name", "email") values (1, 'x', 'y')

insert into customers select id, name from products returning id
-- becomes
insert into customers ("id", "name") select id, name from products returning id

copy customers from stdin
-- refused 42501 permission denied to write column "phone"

copy customers (id, name) from stdin
-- passes

copy customers to stdout
-- becomes
copy (SELECT * FROM <customers only>) to stdout

copy public.customers (id, name) to stdout with (format csv)
-- becomes
copy (SELECT "id", "name" FROM <customers only>) to stdout with (format csv)

copy customers to '/tmp/x'
-- refused 42501 COPY to or from a file or program

-- row policies go into WHERE; what could tell of a hidden row waits behind CASE
-- as agent
update orders set placed = now() where id = 1
-- becomes
update orders set placed = now() where ("orders"."placed" OPERATOR(pg_catalog.>) '2020-01-01'::pg_catalog.date) AND ( id = 1)

-- as agent
delete from orders o where o.id = 1 and o.note::int = 1 returning o.id
-- becomes
delete from orders o where ("o"."id" OPERATOR(pg_catalog.=) 1) AND ("o"."placed" OPERATOR(pg_catalog.>) '2020-01-01'::pg_catalog.date) AND CASE WHEN ("o"."placed" OPERATOR(pg_catalog.>) '2020-01-01'::pg_catalog.date) THEN ( o.id = 1 and o.note::int = 1) ELSE FALSE END returning o.id

-- as agent
delete from orders
-- becomes
delete from orders WHERE ("orders"."placed" OPERATOR(pg_catalog.>) '2020-01-01'::pg_catalog.date)

-- as agent
with gone as (delete from orders returning id) select * from gone
-- becomes
with gone as (delete from orders WHERE ("orders"."placed" OPERATOR(pg_catalog.>) '2020-01-01'::pg_catalog.date) returning id) select * from gone

-- an alias of the app's that is also one of the form's
-- as agent
delete from customers _c where id = 1
-- refused 0A000 alias "_c"

-- columns that are plainly shown
insert into customers (id, name) values (1, 'x') on conflict (id) do update set name = excluded.name
-- passes

-- as full
insert into customers (id, name) values (1, 'x') on conflict (id) do update set name = excluded.name where customers.card_no is null returning *
-- passes

-- SET (a, b) = (...)
update customers set (name, email) = (select name, email from customers where id = 2) where id = 1
-- becomes
update customers set (name, email) = (select name, email from <customers> where id = 2) where id = 1

-- a row that is taken apart has no width that is known
insert into orders select (t).* from (select 1 a, 2 b, current_date c, 'x'::text d, 5.0 e) t
-- refused 42501 permission denied to write column "note"

-- a rewrite rule of the DBA's own may read anything
delete from inbox where id = 1
-- refused 42501 permission denied to write relation "inbox"

-- ON CONFLICT DO UPDATE: what is read of the row that is there is governed, what the app proposes is its own
insert into customers (id, name, seen) values (1, 'a', now()) on conflict (id) do update set name = excluded.name || customers.name where customers.phone = '12' returning id, phone
-- becomes
insert into customers (id, name, seen) values (1, 'a', now()) on conflict (id) do update set name = excluded.name || customers.name where (((pg_catalog."right"(("customers"."phone"), 2)))::text COLLATE pg_catalog."C") = '12' returning id, (((pg_catalog."right"(("customers"."phone"), 2)))::text COLLATE pg_catalog."C") AS "phone"

-- a row that is hidden stays as it is
-- as agent
insert into orders as o (id, placed) values (1, '2024-01-01') on conflict (id) do update set placed = excluded.placed where o.id / 2 > 3
-- becomes
insert into orders as o (id, placed) values (1, '2024-01-01') on conflict (id) do update set placed = excluded.placed where ("o"."placed" OPERATOR(pg_catalog.>) '2020-01-01'::pg_catalog.date) AND CASE WHEN ("o"."placed" OPERATOR(pg_catalog.>) '2020-01-01'::pg_catalog.date) THEN ( o.id / 2 > 3) ELSE FALSE END

-- as agent
insert into orders (id) select id from products where id > 5 on conflict (id) do update set id = excluded.id returning id
-- becomes
insert into orders (id) select id from products where id > 5 on conflict (id) do update set id = excluded.id WHERE ("orders"."placed" OPERATOR(pg_catalog.>) '2020-01-01'::pg_catalog.date) returning id

insert into customers (id) values (1) on conflict (id) do update set name = excluded.phone
-- refused 0A000 the INSERT does not give it

insert into customers (id) values (1) on conflict (id) do update set name = excluded.card_no
-- refused 42703 column excluded.card_no does not exist

insert into customers (id) values (1) on conflict (id) do update set name = name || 'x'
-- refused 42702 column reference "name" is ambiguous

insert into customers (id) values (1) on conflict (id) do update set card_no = 'x'
-- refused 42703 column "card_no" of relation "customers" does not exist

-- as agent
insert into orders as o (id) values (1) on conflict (id) do update set id = 2 where o.id > 3
-- becomes
insert into orders as o (id) values (1) on conflict (id) do update set id = 2 where ("o"."placed" OPERATOR(pg_catalog.>) '2020-01-01'::pg_catalog.date) AND ( o.id > 3)

-- a cursor's row: where rows are hidden it might be one of them by now
update customers set name = 'x' where current of c returning phone
-- becomes
update customers set name = 'x' where current of c returning (((pg_catalog."right"(("customers"."phone"), 2)))::text COLLATE pg_catalog."C") AS "phone"

delete from customers where current of c
-- passes

-- as agent
update orders set note = 'x' where current of c
-- refused 0A000 WHERE CURRENT OF on relation "orders", of which the rules hide rows from app agent

-- ON CONFLICT (...) names a unique index
insert into customers (id) values (1) on conflict (phone) do nothing
-- passes

insert into customers (id) values (1) on conflict (card_no) do nothing
-- refused 42703 column "card_no" does not exist

insert into customers (id) values (1) on conflict (lower(phone)) do nothing
-- refused 0A000 column "phone" of "customers" cannot be used here: app partner has it as mask expression

insert into customers (id) values (1) on conflict (id) where phone = 'x' do nothing
-- refused 0A000 column "phone" of "customers" cannot be used here: app partner has it as mask expression

insert into orders (id) values (1) on conflict (total) do nothing
-- refused 42501 permission denied for column "total" of relation "orders"

-- several columns at once
update customers set (name, email) = (customers.phone, default) where id = 1
-- becomes
update customers set (name, email) = ((((pg_catalog."right"(("customers"."phone"), 2)))::text COLLATE pg_catalog."C"), default) where id = 1

update customers set (name, email) = (select c.phone, customers.phone from customers c where c.id = customers.id)
-- becomes
update customers set (name, email) = (select c.phone, (((pg_catalog."right"(("customers"."phone"), 2)))::text COLLATE pg_catalog."C") AS "phone" from <customers form> c where c.id = customers.id)

insert into customers (id) values (1) on conflict (id) do update set (name, email) = (select phone, customers.phone from customers c where c.id = 1)
-- becomes
insert into customers (id) values (1) on conflict (id) do update set (name, email) = (select phone, (((pg_catalog."right"(("customers"."phone"), 2)))::text COLLATE pg_catalog."C") AS "phone" from <customers form> c where c.id = 1)

-- the target and itself
update customers set name = u.name from customers as u where u.id = customers.id and u.phone = customers.phone returning customers.phone, u.phone
-- becomes
update customers set name = u.name from <customers form> as u where u.id = customers.id and u.phone = (((pg_catalog."right"(("customers"."phone"), 2)))::text COLLATE pg_catalog."C") returning (((pg_catalog."right"(("customers"."phone"), 2)))::text COLLATE pg_catalog."C") AS "phone", u.phone

delete from customers c where exists (select from customers d where d.phone = c.phone and d.id < c.id)
-- becomes
delete from customers c where exists (select from <customers form> d where d.phone = (((pg_catalog."right"(("c"."phone"), 2)))::text COLLATE pg_catalog."C") and d.id < c.id)

-- columns of a CTE that has *
with a as (select * from products) update customers c set name = a.name from a where a.id = c.id and phone = '12'
-- becomes
with a as (select * from products) update customers c set name = a.name from a where a.id = c.id and (((pg_catalog."right"(("c"."phone"), 2)))::text COLLATE pg_catalog."C") = '12'

-- OVERRIDING and DEFAULT VALUES
insert into customers (id, name) overriding user value values (1, default) returning phone
-- becomes
insert into customers (id, name) overriding user value values (1, default) returning (((pg_catalog."right"(("customers"."phone"), 2)))::text COLLATE pg_catalog."C") AS "phone"

insert into customers default values returning *
-- becomes
insert into customers default values returning "customers"."id", "customers"."name", "customers"."email", (((pg_catalog."right"(("customers"."phone"), 2)))::text COLLATE pg_catalog."C") AS "phone", "customers"."seen"

-- how many columns a temp table has is not known: it must have all that the app has
create temp table t (a int); insert into products select * from t
-- passes

create temp table t (a int); insert into squares select * from t
-- becomes
create temp table t (a int); insert into squares ("id", "twice", "held") select * from t

-- the target's columns by schema
update public.customers set name = 'x' where public.customers.phone = 'y' returning customers.phone, public.customers.phone
-- becomes
update public.customers set name = 'x' where (((pg_catalog."right"(("customers"."phone"), 2)))::text COLLATE pg_catalog."C") = 'y' returning (((pg_catalog."right"(("customers"."phone"), 2)))::text COLLATE pg_catalog."C") AS "phone", (((pg_catalog."right"(("customers"."phone"), 2)))::text COLLATE pg_catalog."C") AS "phone"

update public.customers set name = 'x' returning old.name, public.customers.phone
-- becomes
update public.customers set name = 'x' returning old.name, (((pg_catalog."right"(("customers"."phone"), 2)))::text COLLATE pg_catalog."C") AS "phone"

-- the target's name is not there twice
update customers set name = customers.name from customers returning public.customers.phone
-- refused 42712 table name "customers" specified more than once

-- a name that a hidden column of the target has, too, means what it would mean without that column
update customers set name = card_no from (select 1 as id, 'x' as card_no) j where j.id = customers.id
-- becomes
update customers set name = "j".card_no from (select 1 as id, 'x' as card_no) j where j.id = customers.id

update customers set name = (select card_no from unnest(array['x']) card_no)
-- passes

update customers set name = (select card_no::text || (card_no).id from products card_no)
-- becomes
update customers set name = (select COALESCE("card_no".*)::text || (card_no.*).id from products card_no)

update customers set name = (select 'x' as card_no from products group by card_no)
-- passes

-- the columns of functions whose rows are values are known: a bare name beside them is the target's
update customers set name = l from unnest($1::int[], $2::text[]) as u (i, l) where id = i and phone is not null returning id, phone
-- becomes
update customers set name = l from unnest($1::int[], $2::text[]) as u (i, l) where id = i and (((pg_catalog."right"(("customers"."phone"), 2)))::text COLLATE pg_catalog."C") is not null returning id, (((pg_catalog."right"(("customers"."phone"), 2)))::text COLLATE pg_catalog."C") AS "phone"

update customers set name = l from unnest(array[1, 2], array['a', 'b']) with ordinality u (i, l) where id = ordinality and phone is not null
-- becomes
update customers set name = l from unnest(array[1, 2], array['a', 'b']) with ordinality u (i, l) where id = ordinality and (((pg_catalog."right"(("customers"."phone"), 2)))::text COLLATE pg_catalog."C") is not null

update customers c set name = 'x' from generate_series(1, 3) n where c.id = n and phone is not null returning to_jsonb(c)
-- becomes
update customers c set name = 'x' from generate_series(1, 3) n where c.id = n and (((pg_catalog."right"(("c"."phone"), 2)))::text COLLATE pg_catalog."C") is not null returning to_jsonb((SELECT _r FROM (SELECT "c"."id", "c"."name", "c"."email", (((pg_catalog."right"(("c"."phone"), 2)))::text COLLATE pg_catalog."C") AS "phone", "c"."seen") AS _r))

update customers set name = 'x' from unnest($1::customers[]) u (i, l) where id = i and phone is not null
-- refused 42501

update customers set name = 'x' from unnest((select array_agg(o) from other.customers o)) u (i, l) where id = i and phone is not null
-- refused 0A000 it cannot be told which "phone" is meant

copy customers (id, id) to stdout
-- refused 42701 column "id" specified more than once

-- a column that says whose a row is: no row is given to a customer who has agreed to more
-- as mailer
update customers set id = 2 where id = 1 returning email
-- refused 42501 permission denied to change column "id" of relation "customers"

-- as mailer
update orders set customer_id = 2 returning placed
-- refused 42501 permission denied to change column "customer_id" of relation "orders"

-- nor an order, whose items are that customer's
-- as mailer
update orders set id = 2
-- refused 42501 permission denied to change column "id" of relation "orders"

-- as mailer
insert into orders (id, customer_id) values (1, 2) on conflict (id) do update set customer_id = excluded.customer_id
-- refused 42501 permission denied to change column "customer_id" of relation "orders"

-- as mailer
merge into items i using products p on i.order_id = p.id when matched then update set order_id = 3
-- refused 42501 permission denied to change column "order_id" of relation "items"

-- as mailer
insert into orders (id, customer_id) values (1, 2)
-- passes

-- as mailer
copy orders (id, customer_id) from stdin
-- passes

-- where nobody's consent is asked it is a column like others
update orders set customer_id = 2
-- passes

-- an order that is deleted and comes again would be another customer's, with its items
-- as mailer
with d as (delete from orders where id = 2 returning id) insert into orders (id, customer_id) select d.id, 1 from d
-- refused 42501 permission denied to delete and insert rows of relation "orders" in one statement

-- as mailer
merge into orders o using products p on o.id = p.id when matched then delete when not matched then insert (id, customer_id) values (p.id, 1)
-- refused 42501 permission denied to delete and insert rows of relation "orders" in one statement

-- as mailer
with d as (delete from orders where id = 2 returning id) insert into products (id) select d.id from d
-- passes

-- what a column that is settled has may stay
-- as mailer
insert into orders (id, customer_id) values (1, 2) on conflict (id) do update set id = orders.id returning id
-- passes

-- as mailer
update orders set customer_id = customer_id
-- passes

-- as mailer
update orders o set customer_id = p.id from products p
-- refused 42501 permission denied to change column "customer_id" of relation "orders"

-- as mailer
update orders o set customer_id = o.id
-- refused 42501 permission denied to change column "customer_id" of relation "orders"
