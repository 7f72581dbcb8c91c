-- Every place where a governed relation may stand.

-- # star
select * from people
-- # qualified star
select p.* from people p
-- # star of the schema-qualified name
select public.people.* from public.people
-- # the dropped column
select extra from people
-- # generated column
select extra_upper from people
-- # whole row
select p from people p
-- # whole row under the table's own name
select people from people
-- # whole row as text
select p::text from people p
-- # (p.*) as text
select (p.*)::text from people p
-- # field of the whole row
select (p).card, (p).extra from people p
-- # field of the star
select (p.*).card from people p
-- # functional notation for a field
select card(p), extra(p) from people p
-- # functional notation of an attribute function
select p.secret_part from people p
-- # attribute function called
select secret_part(p) from people p
-- # row_to_json
select row_to_json(p) from people p
-- # to_json, to_jsonb
select to_json(p), to_jsonb(p.*) from people p
-- # json_agg of whole rows
select json_agg(p), jsonb_agg(p), array_agg(p) from people p
-- # cast to the table's row type
select (p::public.people).card from (select * from people) p
-- # json_populate_record of the row type
select (jsonb_populate_record(null::people, to_jsonb(p))).card from people p
-- # row comparison text
select row(p.*)::text, row(p)::text from people p
-- # concat of the row
select concat(p, ''), format('%s', p), p || '' from people p
-- # hash and send of the row
select record_out(p), quote_literal(p::text) from people p
-- # hstore of a row
select hstore(p) from people p
-- # each of hstore
select (each(hstore(p))).* from people p
-- # encode
select encode(convert_to(card, 'UTF8'), 'base64'), encode(card::bytea, 'hex'), reverse(card), upper(card) from people
-- # pieces
select regexp_split_to_table(card, ''), ascii(right(card, 1)) from people
-- # digests
select md5(card), sha256(card::bytea), hashtext(card), crc32(card::bytea) from people
-- # pgcrypto
-- vacuous: pgcrypto is not in the embedded server
select encode(digest(card, 'sha1'), 'hex'), encode(hmac(card, 'k', 'md5'), 'hex') from people
-- # numbers in other clothes
select salary::money, to_char(salary, 'FM999,999,999,999,999'), to_hex(salary), salary::float8, score::bit(32) from people
-- # dates in other clothes
select to_char(born, 'DD.MM.YYYY'), extract(epoch from born), age(born), born - date '2000-01-01' from people
-- # JSON paths
select jsonb_path_query(profile, '$.**'), jsonb_each_text(profile), profile['key'], profile::text from people
-- # JSON functions of the standard
select json_value(profile, '$.key'), json_query(profile, '$.list'), json_exists(profile, '$.n'), json_serialize(profile) from people
-- # JSON_TABLE
select jt.* from people, json_table(profile, '$' columns (k text path '$.key', n text path '$.n')) jt
-- # JSON_OBJECT and JSON_ARRAYAGG
select json_object('a': card, 'b': note), json_array(card, email) from people
-- # JSON aggregates
select json_objectagg(id: card), json_arrayagg(card order by id) from people
-- # array functions
select array_to_string(tags, ','), unnest(tags), array_dims(tags), tags || card from people
-- # aggregates
select string_agg(card, ','), max(card), min(salary), sum(score), avg(salary), array_agg(email) from people
-- # ordered-set aggregates
select percentile_disc(0.5) within group (order by card), mode() within group (order by salary) from people
-- # aggregate with filter and order
select string_agg(card, ',' order by salary) filter (where card > 'a') from people
-- # window functions
select first_value(card) over w, lag(card) over w, rank() over (order by salary) from people window w as (order by id)
-- # grouping sets
select card, salary, count(*) from people group by grouping sets ((card), (salary), ())
-- # rollup and cube
select card, note from people group by rollup (card, note)
-- # GROUP BY the primary key
select p.id, p.card, p.extra from people p group by p.id
-- # GROUP BY the key in a join
select p.id, p.card, count(o.*) from people p left join orders o on o.customer_id = p.id group by p.id
-- # HAVING
select country from people group by country having max(card) > 'a' order by max(card)
-- # DISTINCT ON
select distinct on (country) country, card from people order by country, card
-- # ORDER BY position and expression
select card, id from people order by 1, length(bio)
-- # UNION
select card from people union select memo from orders union all select word from secrets
-- # EXCEPT and INTERSECT
select card from people except all select 'a' intersect select memo from orders
-- # set operation with a column of another type
select id::text from people union select card from people order by 1
-- # recursive CTE
with recursive r(n, c) as (select 1, card from people where id = 1 union all select n + 1, p.card from r join people p on p.id = r.n + 1) select * from r
-- # CTE
with p as (select * from people) select card from p
-- # CTE with the table's name
with people as (select * from people) select card, extra from people
-- # CTE with the table's name that reads the schema's
with people as (select * from public.people) select * from people
-- # recursive CTE with the table's name
with recursive people as (select 1 as id, 'x' as card union all select 2, 'y' from people where id < 1) select * from people p join public.people q using (id)
-- # CTE used by another's sub-query
with a as materialized (select card c from people), b as not materialized (select c from a) select (select max(c) from b)
-- # CTE with search and cycle clauses
with recursive r as (select id, card from people where id = 1 union all select p.id, p.card from people p join r on p.id = r.id + 1) search depth first by card set o cycle card set k using w select * from r
-- # CTE named in an inner scope only
select (with people as (select 'x' as card) select card from people), p.card from people p
-- # name of a CTE after its scope ends
select * from (with people as (select 1 as card) select * from people) s, people
-- # scalar sub-query
select (select card from people where id = 3)
-- # sub-query in FROM
select s.c from (select card as c from people) s
-- # sub-query in a CASE
select case when true then (select card from people limit 1) end
-- # array sub-query
select array(select card from people), array(select p from people p)
-- # EXISTS, IN, ANY
select 1 where exists (select from people where card > 'zqx7m' and id = 3) and 'a' not in (select card from people)
-- # LATERAL
select x.* from products p, lateral (select card, extra from people where id = p.id) x
-- # LATERAL function over the table
select x from people p, lateral (values (p.card), (p.extra)) v(x)
-- # LATERAL whole row
select v.* from people p cross join lateral (select p.*) v
-- # JOIN USING
select * from people join (select id, card from people) q using (id)
-- # NATURAL JOIN
select * from people natural join mv_people
-- # NATURAL JOIN of a table with itself
select * from people a natural join people b
-- # JOIN USING with alias
select j.*, people.card from people join mv_people using (id) as j
-- # FULL JOIN
select a.card, b.card from people a full join people b on a.id = b.id + 1
-- # join alias that hides
select j.card from (people p join orders o on o.customer_id = p.id) as j
-- # CROSS JOIN with parentheses
select card from (products cross join people)
-- # TABLE
table people
-- # TABLE of another schema spelling
table public.people
-- # TABLE in a sub-query
select * from (table people) t
-- # ONLY
select * from only people
-- # ONLY in parentheses
select card from only (people)
-- # the star after the name
select card from people *
-- # TABLESAMPLE
select card from people tablesample system (100)
-- # TABLESAMPLE with seed
select card from people p tablesample bernoulli (100) repeatable (1)
-- # FOR UPDATE
select card from people for update
-- # FOR UPDATE OF an alias
select p.card from people p join orders o on o.customer_id = p.id for update of p
-- # FOR SHARE SKIP LOCKED
select card from people for share skip locked
-- # FOR UPDATE in a sub-query
select * from (select * from people for update) s
-- # FOR KEY SHARE in a CTE
with c as (select * from people for key share) select card from c
-- # system columns
select ctid, xmin, xmax, cmin, cmax, tableoid, card from people
-- nodiff: xmin is a counter
-- # tableoid as regclass
select tableoid::regclass, body from docs
-- # ctid chosen
select card, ctid from people where ctid in ('(0,1)', '(0,2)', '(0,3)', '(1,1)', '(1,2)', '(2,1)')
-- # ctid range
select card from people where ctid > '(0,1)' and ctid < '(0,9)'
-- # a view
select * from v_people
-- # a view's own columns
select card, extra from v_people
-- # a view that joins
select card, memo, total from v_join
-- # a barrier view
select * from v_barrier
-- # a star view
select card, extra from v_star
-- # an aggregating view
select * from v_agg
-- # a view that calls a function
select * from v_fun
-- # an invoker view
select * from v_invoker
-- # a view's whole row
select v from v_people v
-- # a view's type
select (null::v_people).card, v::text from v_star v
-- # a materialised view
select * from mv_people
-- # a partition by name
select * from readings_lo
-- # a partition with ONLY
select * from only readings_hi
-- # the partitioned table
select * from readings
-- # a child by name
select * from docs_child
-- # the child's own column
select child_extra from docs_child
-- # the parent with ONLY
select * from only docs
-- # the parent's rows from children
select d.tableoid::regclass, d.* from docs d
-- # a table that is not listed
select * from secrets
-- # not listed, in a sub-query
select (select word from secrets limit 1) from products
-- # the log of a trigger
select * from people_log
-- # a sequence as a table
-- nodiff: state of a sequence
select last_value from counter
-- # sequence of a governed table
-- nodiff: state of a sequence
-- vacuous: no marker in it
select * from orders_id_seq
-- # the ledger
-- vacuous: no marker in it, the twin shows what leaks
select * from consentry.events
-- # the ledger's state of other apps
-- vacuous: no marker in it
select * from consentry.state
-- # own consent state
-- vacuous: no marker in it
select * from consentry.state_consenter
-- # the keys of masks
-- vacuous: no marker in it; keys are random in every database
-- nodiff: the same key in all
select encode("inner", 'hex') from consentry.keys
-- # INTO a temp table
create temp table t as select * from people;
select card from t
-- # SELECT INTO
select * into temp t2 from people; select * from t2
-- # COPY a table out
copy people to stdout
-- # COPY columns out
copy public.people (id, card) to stdout with (format csv, header)
-- # COPY a dropped column out
copy people (extra) to stdout
-- # COPY a query out
copy (select * from people) to stdout (format csv, delimiter '|')
-- # COPY binary out
copy people (id, salary, card, photo) to stdout (format binary)
-- # COPY a partition out
copy readings_lo to stdout
-- # COPY a view by query
copy (table v_star) to stdout
-- # COPY a table that is not listed
copy secrets to stdout
-- # COPY a materialised view
copy mv_people to stdout
-- # COPY RETURNING
copy (update people set note = note returning card) to stdout
-- # a cursor
begin; declare c cursor for select * from people; fetch all c
-- # a scroll cursor with hold
declare c scroll cursor with hold for select card from people; fetch last c; fetch backward 3 c; move first c; close c
-- # a binary cursor
declare c binary cursor for select card, salary from people; fetch 5 in c
-- # FETCH of an absolute row
declare c scroll cursor for table people; fetch absolute 3 c
-- # PREPARE and EXECUTE
prepare s as select * from people; execute s
-- # PREPARE with a parameter
prepare s2(int) as select card, extra from people where id > $1; execute s2(0)
-- # EXPLAIN
explain (verbose) select card from people where card = 'a'
-- # EXPLAIN EXECUTE
prepare s3 as select card from people; explain (analyze, costs off, timing off, summary off) execute s3
-- # EXECUTE into a temp table
prepare s4 as select card from people; create temp table t3 as execute s4; table t3
-- # XMLTABLE
-- vacuous: the embedded server has no libxml
select x.* from people, xmltable('/a' passing xmlelement(name a, card) columns c text path '.') x
-- # xmlforest
-- vacuous: the embedded server has no libxml
select xmlforest(p.*), xmlelement(name a, xmlattributes(card)), xmlagg(xmlelement(name b, email)) from people p group by p.id
-- # COALESCE, NULLIF, GREATEST
select coalesce(card, ''), nullif(card, ''), greatest(card, ''), least(card, '~') from people
-- # a default in a function call
select lpad(card, 20), rpad(email, 60), left(bio, 20), right(bio, 20), split_part(bio, ' ', 1) from people
-- # text search
select to_tsvector('simple', card), ts_headline('simple', card, to_tsquery('simple', 'z')) from people
-- # trigrams
select show_trgm(card), similarity(card, 'zqx'), levenshtein(card, 'zqx7') from people
-- # toast compression facts
-- vacuous: sizes only
select pg_column_size(bio), pg_column_compression(bio), length(bio), octet_length(photo) from people
-- # range types built from values
select int8range(salary, null), daterange(born, null), multirange(int8range(salary, salary + 1)) from people
-- # merge of rows through a join condition
select a.name, b.card from people a, people b where a.card < b.card
-- # correlated sub-query in the list
select name, (select o.memo from orders o where o.customer_id = people.id limit 1) from people
-- # outer reference from a sub-query of an open table
select title, (select max(p.card) from people p where p.id = products.id) from products
-- # generate_series by a hidden number
select g from people p, generate_series(p.salary, p.salary) g
-- # ROW IN sub-query
select card from people where (id, card) in (select id, card from people)
-- # sum of ascii codes
select sum(ascii(substr(card, n, 1)) * n) from people, generate_series(1, 14) n
-- # a join on values
select p.name, m.card from people p join mv_people m on m.card = p.card
