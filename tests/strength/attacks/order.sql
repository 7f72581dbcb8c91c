-- The app's own expressions run before the rules' predicates do, and tell what they saw.

-- # cast of a hidden value
select id from people where card::int = 1
-- # cast in the select list
select card::int from people
-- # cast in ON
select 1 from products q join people p on p.card::int = q.id
-- # cast in a LEFT JOIN's ON
select 1 from products q left join people p on p.email::int = q.id
-- # cast in HAVING
select count(*) from people group by card having max(card)::int = 1
-- # cast in ORDER BY
select id from people order by card::int
-- # cast in GROUP BY
select count(*) from people group by card::int
-- # cast in a CASE
select id from people where case when card like 'zqx7%' then card::int = 1 else true end
-- # cast in COALESCE
select coalesce(nullif(card::int, 1), 0) from people
-- # cast in a FILTER
select count(*) filter (where card::int > 0) from people
-- # cast in an aggregate's ORDER BY
select string_agg(name, ',' order by card::int) from people
-- # cast in a window
select rank() over (order by card::int) from people
-- # cast in DISTINCT ON
select distinct on (card::int) id from people
-- # cast in LIMIT
select 1 limit (select card::int from people limit 1)
-- # cast in a VALUES
values ((select email::int from people limit 1))
-- # cast to date
select id from people where card::date is not null
-- # cast to uuid
select id from people where card::uuid is not null
-- # cast to json
select id from people where card::json is not null
-- # cast to an enum
select id from people where card::mood = 'calm'
-- # cast to regclass
select id from people where card::regclass is not null
-- # cast to numeric, boolean, interval, inet, point
select id from people where card::numeric > 0 or card::bool or card::interval > '1s' or card::inet = '::1'
-- # cast to an array
select id from people where card::int[] is not null
-- # cast to bytea, bit, xml, tid, oid, lsn
select id from people where right(card, 10)::bit(4) = B'1' or card::tid = '(0,1)' or card::oid = 1 or card::pg_lsn > '0/0'
-- # cast to a tsquery, tsvector, jsonpath, regex type
select id from people where (card || ' &')::tsquery is null or (card || '"')::jsonpath is null
-- # cast to a range
select id from people where card::int4range is not null
-- # cast to a composite type
select id from people where card::public.boxed is not null
-- # cast to a domain whose check makes notices
select id from people where card::public.noisy_text is not null
-- # to_number, to_date, to_timestamp
select to_date(right(card, 8), 'YYYY'), to_number(card, '999'), to_timestamp(email, 'YYYY') from people
-- # make_date out of range
select make_date((1 - least(abs(salary - {people.salary.11}), 1))::int, 1, 1) from people where id = 11
-- # overflow of a cast
select ((salary - {people.salary.11}) * 1000000)::int from people where id = 11
-- # overflow of an operator
select (salary - {people.salary.11}) * 9000000000000000000 from people where id = 11
-- # smallint overflow names the value
select salary::numeric::text::int2 from people
-- # division by a difference
select id from people where 1 / (salary - {people.salary.2}) > 0
-- # division tells which is which
select id from people where 1 / (score - {people.score.2}) > -9
-- # modulo by zero on a date
select id from people where 10 % (born - date '{people.born.2}') is not null
-- # square root of a negative
select id from people where id = 11 and sqrt(-abs(salary - {people.salary.11})) = 0
-- # logarithm of zero
select id from people where id = 11 and ln((1 - least(abs(salary - {people.salary.11}), 1))::numeric) = 0
-- # substring with a negative length
select id from people where substr(card, 1, case when card = '{people.card.2}' then -1 else 1 end) is not null
-- # a regular expression made of the value
select id from people where id = 11 and 'a' ~ replace(card, '{people.card.11}', '(')
-- # LIKE pattern that ends in an escape
select id from people where id = 11 and 'a' like replace(card, '{people.card.11}', '\')
-- # chr of a bad number
select chr((least(abs(salary - {people.salary.11}), 1) - 1)::int) from people where id = 11
-- # encode of an unknown format
select encode(photo, card) from people
-- # decode of the value
select decode(replace(card, '{people.card.11}', 'ab'), 'hex') from people where id = 11
-- # convert_from a bad encoding
select convert_from(photo, card) from people
-- # set_config with the value
select set_config('my.value', card, true) from people
-- # current_setting of the value
select current_setting(card) from people
-- # format with the value as the format
select format(replace(card, '{people.card.11}', '%')) from people where id = 11
-- # to_char with a value as the format
select id from people where to_char(1, card) = ''
-- # json path made of the value
select jsonb_path_query('{}', replace(card, '{people.card.11}', '$')::jsonpath) from people where id = 11
-- # strict json path error
select jsonb_path_query(jsonb_build_object(card, 1), 'strict $.{people.card.11}') from people where id = 11
-- # json path that compares
select id from people where jsonb_path_exists(profile, '$.n ? (@ > 471350000000000)')
-- # json_value ERROR ON ERROR
select json_value(profile, '$.key' returning int error on error) from people
-- # JSON_TABLE ERROR ON ERROR
select * from people, json_table(profile, '$' columns (k int path '$.key' error on error)) j
-- # populate a record with bad types
select jsonb_populate_record(null::products, jsonb_build_object('id', card)) from people
-- # jsonb cast
select (jsonb_build_object('{people.card.11}', 1, card, 'x') -> '{people.card.11}')::int from people where id = 11
-- # array subscript out of an array literal
select ('{1,2}'::int[])[card::int] from people
-- # array_fill by value
select array_fill(0, array[score - {people.score.11}]) from people where id = 11
-- # repeat by value
select length(repeat('x', score % 1000)) from people where id = 3
-- # generate_series by value
select count(*) from people, generate_series(0, card::int)
-- # text search configuration by name
select to_tsvector(card::regconfig, 'a') from people
-- # time zone by name
select now() at time zone card from people
-- # nextval by name
select nextval(card) from people
-- # has_table_privilege by name
select has_table_privilege(card, 'select') from people
-- # has_table_privilege with an unknown right
select has_table_privilege('people', card) from people
-- # pg_relation_size by name
select pg_relation_size(card) from people
-- # extract field by name
select date_part(card, now()), date_trunc(email, now()) from people
-- # a planted function (allowed for one app)
select id from people where public.noisy(card)
-- # a planted function in an OR
select id from people where id = 1 or public.noisy(card)
-- # a planted function beside a key look-up
select id from people where id = 3 and public.noisy(card)
-- # a planted function under NOT
select id from people where not public.noisy(email)
-- # a planted function in a join's ON
select p.id from products q join people p on p.id = q.id and public.noisy(p.card)
-- # a planted function in a lateral
select x.* from people p, lateral (select public.noisy(p.card) as n) x where x.n
-- # a planted function of an id
select public.noisy_id(id) from people
-- # a planted function in a sub-select that is pulled up
select * from (select id, public.noisy(card) n from people) s where n
-- # a planted function above an aggregate
select country, bool_or(public.noisy(card)) from people group by country
-- # a planted function in RETURNING
update people set note = note returning public.noisy(card)
-- # a planted function in UPDATE's WHERE
update people set note = note where public.noisy(card)
-- # a planted function in DELETE's WHERE
delete from docs where public.noisy(body)
-- # a planted function in UPDATE FROM
update products set price = price from people p where p.id = products.id and public.noisy(p.card)
-- # a planted function in MERGE's ON
merge into products t using people p on p.id = t.id and public.noisy(p.card) when matched then update set price = 1
-- # a planted function in MERGE's WHEN
merge into docs t using products p on p.id = t.id when matched and public.noisy(t.body) then update set body = 'x'
-- # a planted function in ON CONFLICT's WHERE
insert into people (id, card) values (3, 'x') on conflict (id) do update set note = 'x' where public.noisy(people.card)
-- # a planted function in a partition's WHERE
select id from readings_lo where public.noisy(remark)
-- # a planted function through a view
select id from v_people where public.noisy(card)
-- # a planted function through the barrier view
select id from v_barrier where public.noisy(card)
-- # a planted function in a set operation
select id from people where public.noisy(card) union select id from orders where public.noisy(memo)
-- # a planted function in a CTE
with c as not materialized (select * from people) select id from c where public.noisy(card)
-- # a planted function with ORDER BY and LIMIT
select id from people order by public.noisy(card) limit 1
-- # a planted function in a semi join
select title from products where exists (select from people p where p.id = products.id and public.noisy(p.email))
-- # a planted function in an anti join
select title from products where not exists (select from people p where p.id = products.id and public.noisy(p.email))
-- # a planted function over nested consent tables
select i.line from items i join orders o on o.id = i.order_id where public.noisy(i.sku) and public.noisy(o.memo)
-- # a planted operator
select id from people where card operator(public.~~~~) 'a'
-- # a planted operator without its schema
select id from people where card ~~~~ 'a'
-- # a planted aggregate
select public.noisy_agg(card) from people
-- # a planted aggregate as a window
select public.noisy_agg(card) over () from people
-- # a planted cast
select card::boxed from people
-- # a volatile function to hold the filter back
select id from people where random() < 2 and card::int = 1
-- # OFFSET 0 by the app
select * from (select * from people offset 0) s where s.card::int = 1
-- # LIMIT pushes an order
select * from (select * from people order by card limit 1) s where s.card::int = 1
-- # materialised CTE by the app
with s as materialized (select * from people) select * from s where card::int = 1
-- # outer join with the filter on the nullable side
select p.id from products q left join (select * from people where email::int = 1) p on p.id = q.id
-- # filter above a full join
select 1 from products q full join people p on p.id = q.id where coalesce(p.email, q.title)::int = 1
-- # IN with a list that casts
select id from people where card in (select 1::text union select (card::int)::text from people)
-- # row comparison with a cast
select id from people where (id, card::int) > (0, 1)
-- # array comparison
select id from people where array[card]::int[] && array[1]
-- # ANY of casts
select id from people where 1 = any(array[card]::int[])
-- # BETWEEN with casts
select id from people where card::int between 1 and 2
-- # IS DISTINCT FROM with a cast
select id from people where card::int is distinct from 1
-- # CASE WHEN on the key, then cast
select case id when 3 then 0 else card::int end from people
-- # CASE that guards
select case when email is null then 1 else email::int end from people
-- # aggregates that fail
select sum(card::numeric) from people
-- # a set-returning function in the list
select unnest(string_to_array(email, '@'))::int from people
-- # JSON aggregate with a null key
select jsonb_object_agg(nullif(card, '{people.card.2}'), id) from people
-- # more than one row in a sub-query, by value
select (select 1 from generate_series(1, 1 + (p.card = '{people.card.2}')::int)) from people p
-- # a sub-query error in the WHERE of the row policy's table
select id from orders where (memo || customer_id)::int = 1
-- # a sub-query error on items
select 1 from items where sku::int = 1 and qty / (qty - {items.qty.2}) = 0
-- # readings by partition key and a cast
select id from readings where id = 4 and remark::int = 1
-- # docs through children with a cast
select id from docs where body::int = 1
-- # an index of expressions
select id from people where lower(card) = '{people.card.11}' and email::int = 1
-- # index on a hidden column, then a failing filter
select id from people where card > 'zqx7' and email::int = 1 order by card
-- # prepared parameter in a cast
-- params: 1
select id from people where card::int = $1
-- # parameter as the divisor
-- params: {people.salary.2}
select 1 / (salary - $1::bigint) from people
-- # parameter in a leakproof comparison beside a failing one
-- params: 5
select id from people where id = $1 and email::int = 1
-- # parameter compared with a hidden value
-- params: {people.card.2}
select id, name from people where card = $1
-- # statement_timeout and sleeping for a value
-- vacuous: it is timing that would tell
set local statement_timeout = 300; select id from people where card = '{people.card.2}' and pg_sleep(1) is not null
-- # an advisory lock for each value
-- vacuous: only a direct login sees pg_locks
select pg_try_advisory_xact_lock(salary) from people
-- # locks read back
select pg_try_advisory_xact_lock(score) from people; select classid, objid from pg_locks where locktype = 'advisory'
-- # notice by a raising conversion
select to_timestamp(right(card, 10), 'HH24:MI') from people where id = 11
-- # the message of xpath, tsquery, ltree
select id from people where id = 11 and replace(card, '{people.card.11}', '!')::ltree is not null
-- # hstore literal
select id from people where id = 11 and replace(card, '{people.card.11}', 'a=>1')::hstore is not null
-- # cube, intarray query
select id from people where id = 11 and replace(card, '{people.card.11}', '1')::query_int is not null
-- # lquery
select id from people where id = 11 and replace(card, '{people.card.11}', '{')::lquery is not null
