-- The inside of json and jsonb columns: paths have treatments of their own (dossiers.payload and raw).

-- # the whole document
select payload, raw from dossiers
-- # the whole document as text
select payload::text, raw::text, payload || '{}', jsonb_pretty(payload), payload::json, raw::jsonb from dossiers
-- # arrows
select payload -> 'email', payload ->> 'email', payload -> 'contact' -> 'phone', payload -> 'cards' -> 0 ->> 'pin', raw -> 'email', raw ->> 'email' from dossiers
-- # negative and far elements
select payload -> 'cards' -> -1 -> 'pin', payload -> 'tags' ->> -3, raw -> 'cards' -> 1, payload -> 0, payload -> 0 -> 'email' from dossiers
-- # paths of keys
select payload #> '{contact,phone}', payload #>> '{cards,0,pin}', raw #> '{cards,1,pin,0}', raw #>> '{contact,0,phone}', payload #> '{}' from dossiers
-- # subscripts
select payload['email'], payload['contact']['phone'], payload['cards'][0]['pin'], payload['a.b'] from dossiers
-- # jsonpath
select jsonb_path_query(payload, '$.email'), jsonb_path_query_array(payload, '$.contact.phone'), jsonb_path_query_first(payload, '$.cards.pin') from dossiers
-- # jsonpath that goes everywhere
select id, jsonb_path_query(payload, '$.**') from dossiers
-- # jsonpath with wildcards
select jsonb_path_query(payload, '$.*'), jsonb_path_query_array(payload, '$.cards[*].*'), jsonb_path_query_array(payload, 'strict $.tags[last]', '{}', true) from dossiers
-- # jsonpath that compares
select id from dossiers where payload @? '$.email ? (@ starts with "{dossiers.doc_mail.1}")' or payload @@ '$.cards[*].pin == "{dossiers.doc_pin.2}"'
-- # jsonpath with an error that tells
select jsonb_path_query(payload, '$.email.double()'), jsonb_path_query(payload, '$.cards[*].pin.datetime()') from dossiers
-- # containment
select id from dossiers where payload @> '{"email": "{dossiers.doc_mail.1}"}' or payload <@ '{"rest": 1}' or payload @> '{"cards": [{"pin": "{dossiers.doc_pin.3}"}]}'
-- # comparison of one value
select id from dossiers where payload ->> 'email' = '{dossiers.doc_mail.2}' or payload -> 'limit' = '{dossiers.doc_limit.2}'
-- # comparison through the index
select id from dossiers where (payload ->> 'email') between '{dossiers.doc_mail.2}' and '{dossiers.doc_mail.2}x'
-- # parameter
-- params: {dossiers.doc_mail.3} | {dossiers.doc_pin.2}
select id from dossiers where payload ->> 'email' = $1 or payload #>> '{cards,0,pin}' = $2
-- # keys that are there
select id, payload ? 'email', payload ?| array['a.b', 'x'], payload ?& array['cards', 'contact'], jsonb_object_keys(payload - 'rest'), payload -> 'cards' -> 0 ? 'pin' from dossiers where id <> 11
-- # each
select d.id, e.* from dossiers d, jsonb_each(case when jsonb_typeof(payload) = 'object' then payload end) e
-- # each as text
select d.id, e.* from dossiers d, json_each_text(case when json_typeof(raw) = 'object' then raw end) e
-- # elements
select d.id, e, f from dossiers d, jsonb_array_elements(case when jsonb_typeof(payload -> 'cards') = 'array' then payload -> 'cards' end) e, json_array_elements_text(case when json_typeof(raw -> 'tags') = 'array' then raw -> 'tags' end) f
-- # record
select r.* from dossiers, jsonb_to_record(payload) r (email text, contact jsonb, cards jsonb, "a.b" text) where id < 4
-- # recordset
select r.* from dossiers, json_to_recordset(raw -> 'cards') r (pin text, kind text) where id < 4
-- # populate
select r.* from dossiers, jsonb_populate_record(null::people, payload) r where dossiers.id < 4
-- # JSON_TABLE of documents
select t.* from dossiers, json_table(payload, '$' columns (email text path '$.email', nested '$.cards[*]' columns (pin text path '$.pin'), tags jsonb path '$.tags')) t
-- # SQL's JSON functions
select json_value(payload, '$.email'), json_query(payload, '$.cards[*].pin' with wrapper), json_exists(payload, '$.contact.phone'), json_serialize(raw), json_value(raw, '$.email') from dossiers
-- # the row as JSON
select row_to_json(d), to_jsonb(d), d::text, json_agg(d) over () from dossiers d
-- # the row's fields
select (d).payload -> 'email', (d.*)::text from dossiers d
-- # order and groups of documents
select payload from dossiers order by payload desc limit 3
-- # order by what is hidden
select id from dossiers order by payload ->> 'email', payload -> 'cards', payload -> 'limit'
-- # greatest
select max(payload ->> 'email'), min(payload #>> '{contact,phone}'), string_agg(raw ->> 'a.b', ','), jsonb_object_agg(id, payload -> 'tags') from dossiers
-- # distinct and sets
select distinct payload -> 'email' from dossiers union select payload -> 'cards' from dossiers
-- # windows
select first_value(payload) over (order by id), lag(raw::text) over (order by payload ->> 'limit') from dossiers
-- # casts that fail
select (payload ->> 'email')::int, (raw ->> 'a.b')::uuid from dossiers
-- # casts of what is in it
select (payload -> 'limit')::numeric, (payload ->> 'limit')::bigint + 1, (payload -> 'limit')::text from dossiers where id <> 11 and id <> 9
-- # division by what is hidden
select 1 / ((payload ->> 'limit')::bigint - {dossiers.doc_limit.2}) from dossiers where id = 2
-- # regular expressions and digests
select regexp_replace(payload::text, 'zq', 'zq', 'g'), md5(raw::text), encode(convert_to(payload::text, 'UTF8'), 'base64'), reverse(raw::text) from dossiers
-- # lengths
select id, length(payload::text), pg_column_size(payload), octet_length(raw::text), jsonb_array_length(case when jsonb_typeof(payload -> 'cards') = 'array' then payload -> 'cards' end) from dossiers
-- # changed documents
select payload - 'rest', payload #- '{rest}', jsonb_set(payload, '{x}', payload -> 'email'), jsonb_strip_nulls(payload), jsonb_insert(payload, '{y}', '1') from dossiers where id <> 11
-- # text search
select to_tsvector('simple', payload), jsonb_to_tsvector('simple', payload, '"all"'), json_to_tsvector('simple', raw, '"all"'), ts_headline('simple', payload, to_tsquery('simple', 'x')) from dossiers
-- # documents that stand in the row twice
select e.payload -> 'email' as a, d.payload -> 'email' as b from dossiers d join dossiers e on e.payload = d.payload and e.raw::text = d.raw::text
-- # a key that stands twice
select raw -> 'email', raw::text, json_object_keys(raw), count(*) over () from dossiers where id <> 11
-- # sub-query, CTE and LATERAL
with d as materialized (select * from dossiers) select (select payload -> 'email' from d where d.id = e.id), l.x from dossiers e, lateral (select e.payload -> 'contact' as x) l
-- # COPY of documents
copy dossiers to stdout
-- # COPY of a query on documents
copy (select payload, raw from dossiers) to stdout with (format csv)
-- # locked rows
select payload, raw from dossiers for update
-- # a cursor over documents
declare docs cursor for select payload from dossiers; fetch all from docs
-- # UPDATE that returns documents
update dossiers set person_id = person_id returning payload, raw, payload -> 'email'
-- # UPDATE by what is in a document
update dossiers set person_id = person_id where payload ->> 'email' = '{dossiers.doc_mail.3}' or payload @> '{"limit": {dossiers.doc_limit.3}}'
-- # UPDATE of a part
update dossiers set payload['x'] = payload['email'] where id <> 11 returning payload
-- # UPDATE that copies
update dossiers set raw = payload::json returning raw
-- # DELETE that returns documents
delete from dossiers where payload -> 'cards' -> 0 ->> 'pin' = '{dossiers.doc_pin.3}' returning id, payload
-- # INSERT that conflicts
insert into dossiers (id, person_id) values (3, 3) on conflict (id) do update set person_id = excluded.person_id where dossiers.payload ->> 'email' like '{dossiers.doc_mail.3}' returning dossiers.payload
-- # INSERT from documents
insert into inbox (id, body) select id + 100, payload::text from dossiers returning body
-- # a temp table of documents
create temp table kept as select * from dossiers; select * from kept
-- # an error with a document in its detail
insert into dossiers (id, person_id, payload) select null, person_id, payload from dossiers where id = 3
-- # operators by their functions
select jsonb_object_field(payload, 'email'), jsonb_extract_path_text(payload, 'contact', 'phone'), json_object_field_text(raw, 'email'), json_extract_path(raw, 'cards', '0', 'pin') from dossiers
-- # hashes of documents
select hashtext(payload::text), jsonb_hash(payload), jsonb_hash_extended(payload, 1) from dossiers
-- # comparison functions
select id, jsonb_cmp(payload, '{}'), jsonb_contains(payload, '{"email": "{dossiers.doc_mail.1}"}'), jsonb_exists(payload, 'a.b') from dossiers
-- # a function of PL in the filter
-- apps: rower rowconsent mixer
select id from dossiers where noisy(payload::text)
-- # whole-row comparison
select id from dossiers d where d > row(0, 0, '{}'::jsonb, null::json) or d is null
-- # GROUP BY the document
select payload -> 'contact', count(*) from dossiers group by 1 having max(payload ->> 'email') > ''
-- # GROUP BY the key
select d.id, d.payload -> 'email' from dossiers d group by d.id
-- # statistics of expressions
-- apps: mixer
select * from pg_stats where tablename in ('dossiers', 'dossiers_mail')
-- # EXPLAIN ANALYZE of documents
explain (analyze, costs off, timing off, summary off, buffers off) select payload, raw from dossiers
-- # EXPLAIN of documents
explain select payload from dossiers where payload ->> 'email' = '{dossiers.doc_mail.1}'
-- # EXPLAIN (VERBOSE) of documents
explain (verbose) select payload from dossiers where payload ->> 'email' = '{dossiers.doc_mail.1}'
-- # EXPLAIN ANALYZE of a prepared statement
-- session
prepare docs as select payload from dossiers
-- next
explain (analyze, costs off, timing off, summary off, buffers off) execute docs
