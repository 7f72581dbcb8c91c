-- One bit at a time: the answers of twins must be the same.

-- # does a row have this value
select count(*) from people where card = '{people.card.2}'
-- # equality on a number
select count(*) from people where salary = {people.salary.4}
-- # equality on a date
select id from people where born = '{people.born.2}'
-- # equality on a uuid
select id from people where token = '{people.token.6}'
-- # equality on an enum
select id from people where mood = 'calm'
-- # equality on an address
select id from people where ip = '{people.ip.2}'
-- # less than
select id from people where card < 'zqx7h'
-- # between
select id from people where salary between {people.salary.11} - 5 and {people.salary.11} + 5
-- # pattern
select id from people where card like 'zqx7b%' or card like 'zqx7c%' or card like 'zqx7d%' or card like 'zqx7e%'
-- # regular expression
select id from people where card ~ '^zqx7[a-k]'
-- # IN
select id from people where card in ('{people.card.1}', '{people.card.2}', '{people.card.2}')
-- # ANY of an array
select id from people where card = any(array['{people.card.1}', '{people.card.2}'])
-- # array contains
select id from people where tags @> array['{people.tags.2}']
-- # array overlap
select id from people where tags && array['x', 'y'] or array_length(tags, 1) = 2
-- # json contains
select id from people where profile @> '{"n": 471300000000000}' or (profile->>'n')::numeric > 471350000000000
-- # order of hidden values
select id from people order by card
-- # order of hidden numbers, limited
select id from people order by salary % 1000000 limit 3
-- # order by hidden text in another collation
select id from people order by email collate "C" desc
-- # order by whether
select id from people order by (card > 'zqx7m'), id
-- # minimum and maximum
select min(card) < 'zqx7c', max(salary) > 471112500000000 from people
-- # counting distinct
select count(distinct substr(card, 5, 1)), count(distinct mood) from people
-- # group sizes
select count(*) from people group by substr(card, 5, 1) order by 1
-- # a join on a hidden value with a list of guesses
select v.g from (values ('{people.card.1}'), ('{people.card.2}'), ('{people.card.8}')) v(g) join people p on p.card = v.g
-- # an anti join of guesses
select v.g from (values ('{people.card.2}'), ('{people.card.5}')) v(g) where not exists (select from people where card = v.g)
-- # existence
select exists (select from people where salary = {people.salary.11} and id = 11)
-- # length
select length(bio), octet_length(email) from people where card > 'zqx7m'
-- # sum of a predicate
select sum((card > 'zqx7m')::int), bool_and(salary > 471101500000000) from people
-- # CASE in an aggregate
select sum(case when card > 'zqx7m' then 1 else 0 end) from people
-- # error or not
select 1 / count(*) from people where card = '{people.card.2}'
-- # error or not in a sub-query
select 1 / (select count(*) from people where extra = '{people.extra.3}')
-- # a set operation tells
select '{people.card.2}' intersect select card from people
-- # except tells
select '{people.card.4}' except select card from people
-- # a window tells
select id, lag(id) over (order by card) from people
-- # an ordered-set aggregate tells
select percentile_disc(0.5) within group (order by salary), mode() within group (order by mood) from people
-- # statistics of a correlation
select corr(salary, score), stddev(salary), regr_slope(score, salary) from people
-- # count of hidden rows
select count(*) from people
-- # count through a partition
select (select count(*) from readings_lo), (select count(*) from readings_hi), (select count(*) from readings)
-- # hidden rows of orders by amount
select count(*) from orders where total > 471110000000000
-- # hidden rows through a foreign key
-- vacuous: nothing is hidden there
select count(*) from orders o left join people p on p.id = o.customer_id where p.id is null
-- # hidden rows through an inner join
select o.id from orders o join people p on p.id = o.customer_id and p.salary % 2 = 0
-- # value through a view
select id from v_people where card = '{people.card.2}' or salary % 2 = 1
-- # value through an aggregating view
select country from v_agg where cards like '%{people.card.3}%'
-- # value through the materialised view
select id from mv_people where card < 'zqx7k'
-- # value through ONLY and children
select count(*) from only docs where body < 'zqx7m'
-- # unlisted table guessed
select count(*) from secrets where word = '{secrets.word.1}'
-- # update row count
update people set note = 'x' where card = '{people.card.2}'
-- # update row count by order
update people set note = 'x' where salary % 2 = 0
-- # update in a CTE counts
with u as (update people set note = 'x' where card < 'zqx7m' returning 1) select count(*) from u
-- # delete row count
delete from items where sku = '{items.sku.2}' or qty % 2 = 0
-- # delete using
delete from products using people p where p.id = products.id and p.card < 'zqx7m'
-- # insert from select with a filter
insert into inbox (id) select 100 + id from people where salary % 2 = 0
-- # update an open table from a hidden value
update products set price = 0 from people p where p.id = products.id and p.extra < 'zqx7m'
-- # merge by a hidden value
merge into products t using (select id from people where card < 'zqx7m') s on s.id = t.id when matched then delete
-- # merge into a governed table by its hidden value
merge into docs t using products s on s.id = t.id and t.body < 'zqx7m' when matched then update set person_id = person_id
-- # merge, conditions of WHEN
merge into orders t using products s on s.id = t.id when matched and t.memo < 'zqx7m' then update set customer_id = customer_id when not matched then do nothing
-- # ON CONFLICT by a condition
insert into people (id, name) values (3, 'x') on conflict (id) do update set name = 'x' where people.card < 'zqx7m'
-- # ON CONFLICT on a hidden unique column
insert into people (id, email, card) values (77, '{people.email.3}', 'c') on conflict (email) do nothing
-- # lock rows by a hidden value
select id from people where salary % 2 = 0 for update
-- # cursor moved over hidden rows
declare c scroll cursor for select 1 from people where card < 'zqx7m'; move all c
-- # COPY of a filtered query
copy (select id from people where card < 'zqx7m') to stdout
-- # CREATE TABLE AS counts
create temp table ct as select 1 as x from people where card < 'zqx7m'
-- # EXPLAIN estimates of a filter on a value
explain select 1 from people where card < 'zqx7h'
-- # EXPLAIN estimates of a common value
explain select 1 from people where mood = 'calm'
-- # EXPLAIN ANALYZE counts
explain (analyze, costs off, timing off, summary off, buffers off) select 1 from people where salary % 2 = 0
-- # EXPLAIN of a join
explain (format json) select 1 from people p join orders o on o.total = p.salary
-- # EXPLAIN ANALYZE of an update
explain (analyze, costs off, timing off, summary off, buffers off) update people set note = note where card < 'zqx7m'
-- # EXPLAIN of a partition look-up
explain select * from readings where value < 471109000000000
-- # EXPLAIN GENERIC_PLAN
explain (generic_plan) select 1 from people where card = $1
-- # EXPLAIN SERIALIZE and MEMORY
explain (analyze, serialize, memory, costs off, timing off, summary off, buffers off) select card from people
-- nodiff: memory of the planner
-- # EXPLAIN of an index condition
explain (verbose, settings) select id from people where lower(card) = 'a'
-- # EXPLAIN of a view
explain (verbose) select * from v_people where card < 'zqx7h'
-- # estimates without statistics by TABLESAMPLE
explain select * from people tablesample system (50)
-- # foreign key existence check
-- nodiff: constraints see all rows, as with PostgreSQL's own row security: whether a key exists can be told
insert into orders (id, customer_id) values (5000, 13)
-- # range of a hidden date
select id from people where born < '1403-06-01' or date_part('month', born) < 6
-- # bit of a number
select id, salary & 1, score # 3 from people
-- # hash value modulo
select id from people where hashtext(card) % 2 = 0
-- # similarity to a guess
select id from people where similarity(card, '{people.card.2}') > 0.5
-- # text search
select id from people where to_tsvector('simple', card) @@ plainto_tsquery('simple', '{people.card.3}')
-- # compare two hidden columns
select id from people where card < note or salary > score * 1000000
-- # compare hidden columns of two rows
select a.id, b.id from people a, people b where a.id < b.id and a.card < b.card and a.id = 1
-- # top of a group
select distinct on (country) id from people order by country, salary % 1000 desc
-- # lateral top
select x.id from products q, lateral (select id from people where id > q.id order by card limit 1) x
-- # fetch with ties by parity
select id from people order by salary % 2, country fetch first 1 row with ties
-- # recursive walk ordered by values
with recursive r as (select id, card from people where id = 1 union all (select p.id, p.card from people p, r where p.card > r.card and p.id <> r.id order by p.card limit 1)) select id from r
-- # JSON path filter
select id, profile @? '$.n ? (@ > 471350000000000)', profile @@ '$.n > 471350000000000' from people
-- # IS JSON of a value
select id, card is json, profile::text is json object from people
-- # width bucket
select id, width_bucket(salary % 1000000, 0, 1000000, 4) from people
-- # bucket of a date
select id, date_bin('30 days', born::timestamp, '1400-01-01') from people
-- # bytes of bytea
select id, get_byte(photo, 5), get_bit(photo, 40) from people
-- # a null test through a join with the consent table
-- vacuous: the ledger holds no marker
select count(*) from people p join consentry.state s on s.subject = p.id
-- # number of grants of others
-- vacuous: the ledger holds no marker
select count(*) from consentry.events
-- # mask of a guess by the mask's own function
select encode(consentry.keyed_hash('default', 'guess'), 'hex')
-- nodiff: the same key in all
-- vacuous: no marker in it; 42501 is asked for in the test
-- # mask of a guess joined
-- vacuous: nothing is masked there
select id from people where card = left(encode(consentry.keyed_hash('default', '{people.card.2}'), 'hex'), 16)
-- # GROUPING SETS on values
select grouping(country), count(*) from people where card < 'zqx7m' group by rollup (country)
-- # sampling by value
select id from people tablesample bernoulli (50) repeatable (3) where card < 'zqx7m'
