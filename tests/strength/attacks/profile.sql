-- The unified profile: no more than the tables.

-- # everything
select * from consentry.profile
-- # by TABLE
table consentry.profile
-- # a whole row
select p from consentry.profile p
-- # a whole row as JSON
select to_jsonb(p) from consentry.profile p
-- # a whole row as text, in a filter
select p.subject from consentry.profile p where p::text ~ '{people.card.3}'
-- # fields of a row
select (p).* from consentry.profile p
-- # COPY
copy (select * from consentry.profile) to stdout
-- # COPY of the view itself
-- vacuous: COPY takes no views
copy consentry.profile to stdout
-- # each column by name
select card from consentry.profile
-- # columns that only tables have
-- vacuous: they are not in the view
select ctid, tableoid from consentry.profile
-- # lists
select memo, sku, remark, body, doc_rest from consentry.profile
-- # the elements of lists
select subject, e from consentry.profile p, jsonb_array_elements(coalesce(p.memo, '[]') || coalesce(p.sku, '[]')) e
-- # lists of those who are not there
select count(*), sum(jsonb_array_length(memo)) from consentry.profile
-- # the number of rows
select count(*) from consentry.profile
-- # an oracle in a filter
select subject from consentry.profile where card like '{people.card.3}%'
-- # an oracle over a list
select subject from consentry.profile where memo @> '[{"memo": "{orders.memo.3}"}]'
-- # an oracle by an error
select subject from consentry.profile where email::int = 1
-- # an oracle by the error of a cast
select (memo -> 0 ->> 'memo')::int from consentry.profile
-- # an oracle by order
select subject from consentry.profile order by salary, card, email
-- # an oracle by grouping
select email, count(*) from consentry.profile group by email having max(note) > ''
-- # a function of the app's in a filter, for hidden rows
select subject from consentry.profile where name || email || note is distinct from null and noisy(email)
-- # an error beside a look-up by the key
select subject from consentry.profile where subject = 3 and email::int = 1
-- # the same of a list of keys, and by what follows of a join
select p.subject from consentry.profile p join products q on q.id = p.subject where q.id in (2, 3, 5, 11) and card::int = 1
-- # a planted function beside a look-up by the key
select subject from consentry.profile where subject between 1 and 20 and public.noisy(email)
-- # what is put out fails
select subject, email::int, (memo -> 0)::int from consentry.profile where subject = 3
-- # sorted by what fails
select subject from consentry.profile order by email::int limit 3
-- # sorted by an output that fails
select subject, card::int from consentry.profile where subject < 20 order by 2 limit 3
-- # the rows of an outer join
select q.id, p.email::int, p.memo from products q left join consentry.profile p on p.subject = q.id and p.subject = 3
-- # groups of what fails
select subject, max(card::int) from consentry.profile group by rollup (subject)
-- # a join with itself by a hidden value
select a.subject, b.subject from consentry.profile a join consentry.profile b on a.card = b.card
-- # a join with a table by a hidden value
select p.subject from consentry.profile p join people q on q.card = p.card
-- # NATURAL JOIN
select * from consentry.profile natural join (select 'x' as word) x
-- # renamed columns
select * from consentry.profile as x(a, b, c, d, e, f, g)
-- # a sub-query in the list
select (select string_agg(p::text, ',') from consentry.profile p)
-- # LATERAL
select x.* from people q, lateral (select * from consentry.profile p where p.subject = q.id) x
-- # a CTE
with x as (select * from consentry.profile) select * from x, x as y
-- # a CTE that has its name
-- vacuous: it is the CTE
with profile as (select 1 as card) select * from profile
-- # a temp table made of it
create temp table mine as select * from consentry.profile; select * from mine
-- # a cursor
begin; declare c cursor for select * from consentry.profile; fetch all from c
-- # a prepared statement
prepare q as select * from consentry.profile where subject = $1; execute q(3)
-- # FOR UPDATE
select * from consentry.profile for update
-- # FOR SHARE OF
select p.card from consentry.profile p for share of p
-- # TABLESAMPLE
-- vacuous: not of a view
select * from consentry.profile tablesample system (100)
-- # INSERT from it
create temp table mine (t text); insert into mine select p::text from consentry.profile p returning *
-- # UPDATE from it
create temp table mine (id int, t text); insert into mine select g from generate_series(1, 20) g; update mine set t = p::text from consentry.profile p where p.subject = id returning t
-- # MERGE from it
create temp table mine (id int, t text); merge into mine using consentry.profile p on p.subject = id when not matched then insert values (p.subject, p::text); select * from mine
-- # its columns in the catalogs
-- vacuous: names are no values
select attname from pg_attribute where attrelid = 'consentry.profile'::regclass
-- # its definition
-- vacuous: names are no values
select pg_get_viewdef('consentry.profile'::regclass), definition from pg_views where viewname = 'profile'
-- # its rule
-- vacuous: names are no values
select pg_get_ruledef(oid), ev_action from pg_rewrite where ev_class = 'consentry.profile'::regclass
-- # information_schema
-- vacuous: names are no values
select column_name from information_schema.columns where table_name = 'profile'
-- # a value of its row type
-- vacuous: names are no values
select null::consentry.profile, json_populate_record(null::consentry.profile, '{"card": "x"}')
-- # EXPLAIN
-- vacuous: its plan has names only, and differs where the server has counted the tables meanwhile
explain (verbose, costs off) select card from consentry.profile where subject = 3
-- # EXPLAIN ANALYZE
explain (analyze, costs off, timing off, summary off) select * from consentry.profile where card = '{people.card.3}'
-- # what it reads, by name
-- vacuous: nothing is in it here
select * from consentry.profile_data
-- # what else is beside it
-- vacuous: no login may read it
select * from consentry.state
