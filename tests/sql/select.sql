-- an app that is shown everything sends its text byte for byte
-- as full
select  customers.*,/* every column */ card_no from customers -- here
-- passes

-- an open relation passes
select * from products p, catalogue
-- passes

-- a comment, the layout and a hint stay
select /*+ hint */ name
  from   customers   -- all of them
 where id = $1
-- becomes
select /*+ hint */ name
  from   <customers>   -- all of them
 where id = $1

-- an alias stays as it was written
select c.name from customers as c join public.customers d on c.id = d.id
-- becomes
select c.name from <customers form> as c join <customers form> d on c.id = d.id

-- a name with its schema loses it, for a sub-query has none
select public.customers.name, public.customers.* from public.customers
-- becomes
select customers.name, customers.* from <customers>

-- parts of a name that say their escape are cut as one
select U&"!0070ublic" UESCAPE '!' . U&"!0063ustomers" UESCAPE '!' . name from public.U&"!0063ustomers" UESCAPE '!'
-- becomes
select U&"!0063ustomers" UESCAPE '!' . name from <customers>

-- quoted and folded names mean the same relation
select "name" from PUBLIC."customers" join CUSTOMERS x using (id)
-- becomes
select "name" from <customers> join <customers form> x using (id)

-- ONLY, the star of inheritance, and TABLE
select name from only customers, only (customers) c, customers * d
-- becomes
select name from <customers only>, <customers only form> c, <customers form> d

table customers
-- becomes
SELECT * FROM <customers>

-- TABLESAMPLE goes inside
select name from customers c tablesample system (10) repeatable (1) where true
-- becomes
select name from <customers form {tablesample system (10) repeatable (1)}> c  where true

-- system columns are there when they are named
select ctid, name from customers
-- becomes
select ctid, name from <customers +ctid>

-- every place where a query may stand
select (select name from customers where id = o.customer_id), array(select id from customers) from orders o where exists (select from customers) and id in (select id from customers)
-- becomes
select (select name from <customers> where id = o.customer_id), array(select id from <customers>) from <orders form> o where exists (select from <customers>) and id in (select id from <customers>)

with recursive w as materialized (select id from customers union all select id + 1 from w where id < 3) select * from w, lateral (select name from customers c where c.id = w.id) x
-- becomes
with recursive w as materialized (select id from <customers> union all select id + 1 from w where id < 3) select * from w, lateral (select name from <customers form> c where c.id = w.id) x

values ((select name from customers limit 1))
-- becomes
values ((select name from <customers> limit 1))

select name from customers union all (select name from customers order by 1 limit 2) except table products
-- becomes
select name from <customers> union all (select name from <customers> order by 1 limit 2) except table products

insert into products select id, name, email from customers
-- becomes
insert into products select id, name, email from <customers>

explain (costs off) select held from squares
-- becomes
explain (costs off) select held from <squares>

-- an index on a hidden column may be in the plan
explain (costs off) select name from customers
-- refused 42501 EXPLAIN would name indexes or parts of relation "customers" that the app does not have

-- ... VERBOSE names the columns that a scan gives; WAL has the sizes of whole pages
explain verbose select count(*) from customers
-- refused 42501 EXPLAIN (VERBOSE) would name what is hidden of relation "customers"

explain (costs off, verbose 'true') update customers set name = 'x' where id = 1
-- refused 42501 EXPLAIN (VERBOSE) would name what is hidden of relation "customers"

explain (analyze, wal, verbose false) select name from products, customers
-- refused 42501 EXPLAIN (WAL) would tell the size of what is hidden of relation "customers"

explain (verbose off, wal 0, analyze False, costs 0) select held from squares
-- becomes
explain (verbose off, wal 0, analyze False, costs 0) select held from <squares>

explain (analyze, verbose, wal) select name from products
-- passes

prepare p (int) as select name from customers where id = $1
-- becomes
prepare p (int) as select name from <customers> where id = $1

declare c cursor with hold for select name from customers
-- becomes
declare c cursor with hold for select name from <customers>

create temp table mine as select name from customers with no data
-- becomes
create temp table mine as select name from <customers> with no data

select name into temp mine from customers
-- becomes
select name into temp mine from <customers>

copy (select name from customers) to stdout
-- becomes
copy (select name from <customers>) to stdout

begin; select name from customers; commit
-- becomes
begin; select name from <customers>; commit

-- a CTE of the name hides the relation, but not from itself
with customers as (select 1 as card_no) select card_no from customers
-- passes

with customers as (select name from customers) select * from customers
-- becomes
with customers as (select name from <customers>) select * from customers

-- an earlier schema of the path comes first
-- path: other, public
select nick from customers
-- passes

-- locking
select name from customers for update of customers skip locked
-- becomes
select name from <customers locking> for update of customers skip locked

-- GROUP BY a number that counts into `*`
select *, count(*) from customers group by 1
-- becomes
select *, count(*) from <customers> group by "customers"."name", "customers"."email", "customers"."phone", "customers"."seen", 1

select count(*), c.*, p.sku from products p join customers c on c.id = p.id group by 2, p.sku
-- becomes
select count(*), c.*, p.sku from products p join <customers form> c on c.id = p.id group by "c"."name", "c"."email", "c"."phone", "c"."seen", 2, p.sku

select *, count(*) from customers c join products p using (id) group by 1, p.sku, 7
-- becomes
select *, count(*) from <customers form> c join products p using (id) group by "c"."name", "c"."email", "c"."phone", "c"."seen", 1, p.sku, 7

select *, name from customers group by 2
-- becomes
select *, name from <customers> group by 2

-- a row in an expression, by a star
select (c.*) is null from customers c group by c.id order by c.*
-- becomes
select (c.*) is null from <customers form> c group by "c"."name", "c"."email", "c"."phone", "c"."seen", "c".*, c.id order by c.*

select (c.*).id, c.name from customers c group by (c.*).id
-- becomes
select (c.*).id, c.name from <customers form> c group by "c"."name", (c.*).id

-- what an aggregate takes once for a group
select c.id, percentile_cont(length(c.name) / 100.0) within group (order by length(c.email)) filter (where c.phone > '') from customers c group by c.id
-- becomes
select c.id, percentile_cont(length(c.name) / 100.0) within group (order by length(c.email)) filter (where c.phone > '') from <customers form> c group by "c"."name", c.id

-- by the alias of a join, nothing of its relations can be named
select j.id, j.email from (customers c join products p using (id)) j group by j.id
-- refused 0A000 GROUP BY of the primary key of "customers" by the alias of a join

select j.id, count(*) from (customers c join products p using (id)) j group by j.id
-- becomes
select j.id, count(*) from (<customers form> c join products p using (id)) j group by j.id

-- GROUPING is asked of what the app groups itself
select c.id, c.name, grouping(c.name) from customers c group by c.id
-- refused 42803 arguments to GROUPING must be grouping expressions of the associated query level

select c.id, grouping((c).name) from customers c group by c.id
-- refused 42803 arguments to GROUPING must be grouping expressions of the associated query level

select c.id, c.name, grouping(c.id) from customers c group by c.id
-- becomes
select c.id, c.name, grouping(c.id) from <customers form> c group by "c"."name", c.id

-- what USING merges is the left side's, of RIGHT the right side's, of FULL nobody's
select id, c.name, sku from customers c left join products p using (id) group by id
-- becomes
select id, c.name, sku from <customers form> c left join products p using (id) group by "c"."name", id

select id, c.name from products p left join customers c using (id) group by id
-- becomes
select id, c.name from products p left join <customers form> c using (id) group by id

select id, c.name from products p right join customers c using (id) group by 1
-- becomes
select id, c.name from products p right join <customers form> c using (id) group by "c"."name", 1

select id, c.name from customers c full join products p using (id) group by id
-- becomes
select id, c.name from <customers form> c full join products p using (id) group by id

-- GROUP BY a primary key: a sub-query has none, so the columns that stand bare join it
select c.id, c.name, count(*), max(email) from customers c group by c.id having c.phone > '' order by c.seen
-- becomes
select c.id, c.name, count(*), max(email) from <customers form> c group by "c"."name", "c"."phone", "c"."seen", c.id having c.phone > '' order by c.seen

select id, name from customers group by 1
-- becomes
select id, name from <customers> group by "customers"."name", 1

-- ... and the row itself, which grouping its columns does not group
select c is not null from customers c group by c.id
-- becomes
select c is not null from <customers form> c group by "c"."name", "c"."email", "c"."phone", "c"."seen", "c".*, c.id

-- ... of a type without equality any value of the group is it
select body ->> 'a', count(*) from drafts group by id order by body ->> 'b'
-- becomes
select pg_catalog.any_value(body) ->> 'a', count(*) from <drafts> group by id order by pg_catalog.any_value(body) ->> 'b'

select public.drafts.body, body::text, body as x, (select marks), json_agg(body) from drafts group by id
-- becomes
select pg_catalog.any_value(drafts.body) AS "body", pg_catalog.any_value(body)::text AS "body", pg_catalog.any_value(body) as x, (select pg_catalog.any_value(marks) AS "marks"), json_agg(body) from <drafts> group by id

select body ->> 'a' as a, count(*) from drafts where body ->> 'b' = 'c' group by id, a
-- becomes
select body ->> 'a' as a, count(*) from <drafts> where body ->> 'b' = 'c' group by id, a

select d.*, count(p.*) from drafts d join products p on true group by d.id
-- becomes
select "d"."id", pg_catalog.any_value("d"."body") AS "body", pg_catalog.any_value("d"."marks") AS "marks", count(p.*) from <drafts form> d join products p on true group by d.id

select * from drafts group by id
-- becomes
select "drafts"."id", pg_catalog.any_value("drafts"."body") AS "body", pg_catalog.any_value("drafts"."marks") AS "marks" from <drafts> group by id

select d, to_json(d) from drafts d group by d.id
-- becomes
select pg_catalog.any_value(d) AS "d", to_json(pg_catalog.any_value(d)) from <drafts form> d group by d.id

-- ... unless it stands within a row that is not by itself, or a * that is more
select * from drafts d join products p on true group by d.id, p.id
-- refused 0A000 column "body" cannot stand beside GROUP BY of the primary key of "drafts"

select d, d.ctid from drafts d group by d.id
-- refused 0A000 column "body" cannot stand beside GROUP BY of the primary key of "drafts"

select (d).body from drafts d group by d.id
-- refused 0A000 column "body" cannot stand beside GROUP BY of the primary key of "drafts"

select id, any_value(body), count(marks) from drafts group by id
-- becomes
select id, any_value(body), count(marks) from <drafts> group by id

-- as full
select body, secret from drafts group by id
-- passes

-- ... in parentheses, in rows, as a part of a row, by the output's name
select c.id, c.name from customers c group by distinct ((c.id))
-- becomes
select c.id, c.name from <customers form> c group by distinct "c"."name", ((c.id))

select c.id, c.name from customers c group by (c.email, (c.id, c.seen))
-- becomes
select c.id, c.name from <customers form> c group by "c"."name", (c.email, (c.id, c.seen))

select (c).id, (c).name from customers c group by (c).id
-- becomes
select (c).id, (c).name from <customers form> c group by "c"."name", (c).id

select c.id as number, c.name from customers c group by number
-- becomes
select c.id as number, c.name from <customers form> c group by "c"."name", number

-- ... in every one of the grouping sets
select name, count(*) from customers group by grouping sets ((id), (id, email))
-- becomes
select name, count(*) from <customers> group by "customers"."name", grouping sets ((id), (id, email))

select name, email from customers group by cube (email), id
-- becomes
select name, email from <customers> group by "customers"."name", cube (email), id

select name from customers group by rollup (id)
-- becomes
select name from <customers> group by rollup (id)

-- ... of what the sub-queries of the output name, but for the aggregates of this query; not of WHERE's
select c.id, (select max(t.name || c.name) from products t), (select max(c.phone) from products t) from customers c where exists (select c.seen) group by c.id
-- becomes
select c.id, (select max(t.name || c.name) from products t), (select max(c.phone) from products t) from <customers form> c where exists (select c.seen) group by "c"."name", c.id

-- ... and system columns
select xmin from customers group by id
-- becomes
select xmin from <customers +xmin> group by "customers"."xmin", id

-- what would be silently wrong is refused
select * from customers as x (a, b, c, d, e)
-- refused 0A000 a column alias list over relation "customers"

-- for the app a dropped column is not there: NATURAL joins by what the form has
select * from customers natural join (select 'x' as card_no) x
-- becomes
select * from <customers> natural join (select 'x' as card_no) x

-- a denied column refuses the statement that touches it, by name or by star
select total from orders
-- refused 42501 permission denied for column "total" of relation "orders"

select o.* from orders o
-- refused 42501 permission denied for column "total" of relation "orders"

select row_to_json(o) from orders o
-- refused 42501 permission denied for column "total" of relation "orders"

-- relations that the rules do not list
select * from internal
-- refused 42501 permission denied for relation "internal"

select * from nowhere
-- refused 42P01 relation "nowhere" does not exist

select * from consentry.state_mailer
-- refused 42P01 relation "consentry.state_mailer" does not exist

select * from wrongdb.public.customers
-- refused 0A000 cross-database references are not implemented

-- the lexer's trap: sqlglot alone sees no table here
-- as partner
select $1||$q$ x $q$, card_no from customers where name<>$1||$q$ , 1 as a -- $q$
-- becomes
select $1||$q$ x $q$, card_no from <customers> where name<>$1||$q$ , 1 as a -- $q$

-- more names than columns: as PostgreSQL says it, of the columns that the app has
select x.a from customers as x(a, b, c, d, e, f, g, h, i)
-- refused 42P10 columns available but 9 columns specified

-- a form has no schema: where a name would mean something that stands nearer without it, the form has an alias of its own
select public.customers.id from public.customers where not exists (select 1 from other.customers where other.customers.id = public.customers.id)
-- becomes
select "public.customers".id from <customers form> AS "public.customers" where not exists (select 1 from other.customers where other.customers.id = "public.customers".id)

select public.customers.id, customers.name from public.customers where exists (select 1 from products customers where customers.sku = public.customers.name)
-- becomes
select "public.customers".id, "public.customers".name from <customers form> AS "public.customers" where exists (select 1 from products customers where customers.sku = "public.customers".name)

with customers as (select 3 as id) select public.customers.id from public.customers where exists (select 1 from customers where customers.id = public.customers.id)
-- becomes
with customers as (select 3 as id) select "public.customers".id from <customers form> AS "public.customers" where exists (select 1 from customers where customers.id = "public.customers".id)

select public.customers.*, customers.* from public.customers where exists (select 1 from other.customers where other.customers.id = public.customers.id)
-- becomes
select "public.customers".*, "public.customers".* from <customers form> AS "public.customers" where exists (select 1 from other.customers where other.customers.id = "public.customers".id)

select customers from public.customers where exists (select 1 from other.customers where other.customers.id = public.customers.id)
-- refused 0A000 "customers" means another relation in this place without the schema

select 1 from public.customers where exists (select 1 from other.customers where other.customers.id = public.customers.id) for update of customers
-- refused 0A000 "customers" means another relation in this place without the schema

select "public.customers".id from products "public.customers", public.customers where exists (select 1 from other.customers where other.customers.id = public.customers.id)
-- refused 0A000 "customers" means another relation in this place without the schema

select (select row_to_json(public.customers.*) from products customers) from public.customers
-- becomes
select (select row_to_json("public.customers".*) from products customers) from <customers form> AS "public.customers"

select 1 from public.customers where exists (select from generate_series(1, 2) customers where public.customers.id > 0)
-- becomes
select 1 from <customers form> AS "public.customers" where exists (select from generate_series(1, 2) customers where "public.customers".id > 0)

select 1 from public.customers where exists (select from json_table('[1]', '$[*]' columns (a int path '$')) where public.customers.id = a)
-- becomes
select 1 from <customers form> AS "customers" where exists (select from json_table('[1]', '$[*]' columns (a int path '$')) where customers.id = a)

delete from products using public.customers where exists (select 1 from other.customers where other.customers.id = public.customers.id)
-- becomes
delete from products using <customers form> AS "public.customers" where exists (select 1 from other.customers where other.customers.id = "public.customers".id)

-- two relations of one name side by side
select id, public.customers.name, nick from public.customers join other.customers using (id) where public.customers.phone = '1'
-- becomes
select id, "public.customers".name, nick from <customers form> AS "public.customers" join other.customers using (id) where "public.customers".phone = '1'

select name, nick from customers, other.customers
-- becomes
select name, nick from <customers form> AS "public.customers", other.customers

update other.customers set nick = public.customers.name from public.customers where public.customers.id = other.customers.id
-- becomes
update other.customers set nick = "public.customers".name from <customers form> AS "public.customers" where "public.customers".id = other.customers.id

select customers.name from public.customers join other.customers using (id)
-- refused 42P09 table reference "customers" is ambiguous

select public.customers.name, public.customers.phone from public.customers join other.customers using (id) group by public.customers.id
-- becomes
select "public.customers".name, "public.customers".phone from <customers form> AS "public.customers" join other.customers using (id) group by "public.customers"."name", "public.customers"."phone", "public.customers".id

select customers.id from customers, public.customers
-- becomes
select customers.id from <customers>, <customers>

select customers from public.customers, other.customers
-- refused 0A000 two relations in FROM have the name "customers"


select count(*) from pg_catalog.pg_class where exists (select 1 from (values (1::oid)) pg_class (oid) where pg_class.oid = pg_catalog.pg_class.oid)
-- refused 0A000 "pg_class" means another relation in this place without the schema

select public.customers.id from public.customers where not exists (select 1 from other.customers o where o.id = public.customers.id)
-- becomes
select customers.id from <customers form> AS "customers" where not exists (select 1 from other.customers o where o.id = customers.id)

-- a denied column is there: what counts columns, or joins by their names, touches it
select t.a from orders as t(a, b)
-- becomes
select t.a from <orders form> as t(a, b)

select t.a from orders as t(a, b, c, d, e)
-- refused 42501 permission denied for column "total" of relation "orders"

select p.id from products p natural join orders o
-- becomes
select p.id from products p natural join <orders o>

select v.id from (values (1, 2)) v (id, total) natural join orders
-- refused 42501 permission denied for column "total" of relation "orders"

select j.c from (products p join orders o using (id)) as j (a, b, c)
-- refused 42501 permission denied for column "total" of relation "orders"

select j.sku from (products p join orders o using (id)) as j
-- becomes
select j.sku from (products p join <orders o> using (id)) as j
