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
select 1 / (customer_id - 5), upper(note) from orders where id = 3 order by lower(note)
-- becomes
select 1 / (customer_id - 5), upper(note) from <orders> where id = 3 order by lower(note)

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
