-- paths: the document is made anew without what is hidden; one path is masked, one is dropped in each element
select payload ->> 'email' from profiles
-- becomes
select payload ->> 'email' from (SELECT _t."id", _t."customer_id", ((SELECT (CASE WHEN (pg_catalog.jsonb_typeof(_j.v) OPERATOR(pg_catalog.=) 'object') THEN ((_j.v OPERATOR(pg_catalog.-) ARRAY['cards', 'phone']::pg_catalog.text[]) OPERATOR(pg_catalog.||) pg_catalog.jsonb_set_lax(pg_catalog.jsonb_set_lax('{}'::pg_catalog.jsonb, ARRAY['cards'::pg_catalog.text], (SELECT (SELECT CASE WHEN (pg_catalog.jsonb_typeof(_p1.v) OPERATOR(pg_catalog.=) 'array') THEN COALESCE(pg_catalog.jsonb_agg(_g2.g ORDER BY _g2.n), '[]'::pg_catalog.jsonb) ELSE (pg_catalog.jsonb_agg(_g2.g ORDER BY _g2.n) OPERATOR(pg_catalog.->) 0) END FROM (SELECT (CASE WHEN (pg_catalog.jsonb_typeof(_j2.v) OPERATOR(pg_catalog.=) 'object') THEN ((_j2.v OPERATOR(pg_catalog.-) ARRAY['number']::pg_catalog.text[]) OPERATOR(pg_catalog.||) '{}'::pg_catalog.jsonb) WHEN (_j2.v IS NOT NULL) THEN 'null'::pg_catalog.jsonb END) AS g, _j2.n AS n FROM pg_catalog.jsonb_array_elements(CASE WHEN (pg_catalog.jsonb_typeof(_p1.v) OPERATOR(pg_catalog.=) 'array') THEN _p1.v WHEN (_p1.v IS NOT NULL) THEN pg_catalog.jsonb_build_array(_p1.v) END) WITH ORDINALITY AS _j2 (v, n) WHERE (_j2.n OPERATOR(pg_catalog.=) pg_catalog.abs(_j2.n)) OFFSET 0) AS _g2 WHERE (_g2.g IS NOT NULL)) FROM (SELECT (_j.v OPERATOR(pg_catalog.->) 'cards'::pg_catalog.text) AS v OFFSET 0) AS _p1), true, 'return_target'), ARRAY['phone'::pg_catalog.text], (CASE WHEN (pg_catalog.jsonb_typeof((_j.v OPERATOR(pg_catalog.->) 'phone'::pg_catalog.text)) OPERATOR(pg_catalog.=) 'string') THEN COALESCE(pg_catalog.to_jsonb(((pg_catalog."right"((((_j.v OPERATOR(pg_catalog.->) 'phone'::pg_catalog.text) OPERATOR(pg_catalog.#>>) '{}'::pg_catalog.text[])), 2)))::pg_catalog.text), 'null'::pg_catalog.jsonb) WHEN ((_j.v OPERATOR(pg_catalog.->) 'phone'::pg_catalog.text) IS NOT NULL) THEN 'null'::pg_catalog.jsonb END), true, 'return_target')) WHEN (_j.v IS NOT NULL) THEN 'null'::pg_catalog.jsonb END) FROM (SELECT (_t."payload" OPERATOR(pg_catalog.#>) '{}'::pg_catalog.text[]) AS v OFFSET 0) AS _j)::pg_catalog.jsonb) AS "payload" FROM "public"."profiles" AS _t) AS "profiles"

-- consent is asked once for a document
-- as mailer
select payload ->> 'email' from profiles
-- becomes
select payload ->> 'email' from (SELECT _t."id", _t."customer_id", ((SELECT (CASE WHEN (pg_catalog.jsonb_typeof(_j.v) OPERATOR(pg_catalog.=) 'object') THEN ((_j.v OPERATOR(pg_catalog.-) ARRAY['cards', 'email', 'phone']::pg_catalog.text[]) OPERATOR(pg_catalog.||) pg_catalog.jsonb_set_lax(pg_catalog.jsonb_set_lax(pg_catalog.jsonb_set_lax('{}'::pg_catalog.jsonb, ARRAY['cards'::pg_catalog.text], (SELECT (SELECT CASE WHEN (pg_catalog.jsonb_typeof(_p1.v) OPERATOR(pg_catalog.=) 'array') THEN COALESCE(pg_catalog.jsonb_agg(_g2.g ORDER BY _g2.n), '[]'::pg_catalog.jsonb) ELSE (pg_catalog.jsonb_agg(_g2.g ORDER BY _g2.n) OPERATOR(pg_catalog.->) 0) END FROM (SELECT (CASE WHEN (pg_catalog.jsonb_typeof(_j2.v) OPERATOR(pg_catalog.=) 'object') THEN ((_j2.v OPERATOR(pg_catalog.-) ARRAY['number']::pg_catalog.text[]) OPERATOR(pg_catalog.||) '{}'::pg_catalog.jsonb) WHEN (_j2.v IS NOT NULL) THEN 'null'::pg_catalog.jsonb END) AS g, _j2.n AS n FROM pg_catalog.jsonb_array_elements(CASE WHEN (pg_catalog.jsonb_typeof(_p1.v) OPERATOR(pg_catalog.=) 'array') THEN _p1.v WHEN (_p1.v IS NOT NULL) THEN pg_catalog.jsonb_build_array(_p1.v) END) WITH ORDINALITY AS _j2 (v, n) WHERE (_j2.n OPERATOR(pg_catalog.=) pg_catalog.abs(_j2.n)) OFFSET 0) AS _g2 WHERE (_g2.g IS NOT NULL)) FROM (SELECT (_j.v OPERATOR(pg_catalog.->) 'cards'::pg_catalog.text) AS v OFFSET 0) AS _p1), true, 'return_target'), ARRAY['email'::pg_catalog.text], (CASE WHEN _j.c1 THEN (_j.v OPERATOR(pg_catalog.->) 'email'::pg_catalog.text) ELSE (CASE WHEN ((_j.v OPERATOR(pg_catalog.->) 'email'::pg_catalog.text) IS NOT NULL) THEN 'null'::pg_catalog.jsonb END) END), true, 'return_target'), ARRAY['phone'::pg_catalog.text], (CASE WHEN (pg_catalog.jsonb_typeof((_j.v OPERATOR(pg_catalog.->) 'phone'::pg_catalog.text)) OPERATOR(pg_catalog.=) 'string') THEN COALESCE(pg_catalog.to_jsonb(((pg_catalog."right"((((_j.v OPERATOR(pg_catalog.->) 'phone'::pg_catalog.text) OPERATOR(pg_catalog.#>>) '{}'::pg_catalog.text[])), 2)))::pg_catalog.text), 'null'::pg_catalog.jsonb) WHEN ((_j.v OPERATOR(pg_catalog.->) 'phone'::pg_catalog.text) IS NOT NULL) THEN 'null'::pg_catalog.jsonb END), true, 'return_target')) WHEN (_j.v IS NOT NULL) THEN 'null'::pg_catalog.jsonb END) FROM (SELECT (_t."payload" OPERATOR(pg_catalog.#>) '{}'::pg_catalog.text[]) AS v, ((pg_catalog.get_bit(_c."granted_email", (_t."customer_id" OPERATOR(pg_catalog.&) 127)::pg_catalog.int4) OPERATOR(pg_catalog.=) 1) OR ((_c."expiring_email")[(_t."customer_id" OPERATOR(pg_catalog.&) 127)::pg_catalog.int4 OPERATOR(pg_catalog.+) 1] OPERATOR(pg_catalog.>) pg_catalog.statement_timestamp())) AS c1 OFFSET 0) AS _j)::pg_catalog.jsonb) AS "payload" FROM "public"."profiles" AS _t LEFT JOIN "consentry"."spans_mailer" AS _c ON (_c."span" OPERATOR(pg_catalog.=) (_t."customer_id" OPERATOR(pg_catalog.>>) 7))) AS "profiles"

-- an app that is shown every path reads the column itself
-- as full
select payload, bill from profiles
-- passes

-- a path that is denied denies the column: which path is read cannot be told
select id, bill ->> 'other' from profiles
-- refused 42501 permission denied for column "bill" of relation "profiles"

-- whatever is done with the document is done with the governed one
select payload['email'], payload #>> '{cards,0,number}', payload @? '$.cards[*].number', jsonb_path_query(payload, '$.**'), p.payload is null, json_value(payload, '$.phone'), t.* from profiles p, lateral jsonb_each(payload) e, json_table(payload, '$' columns (phone text)) t where payload @> '{"phone": "1"}' and payload ? 'phone' and p.payload = '{}' order by payload
-- becomes
select payload['email'], payload #>> '{cards,0,number}', payload @? '$.cards[*].number', jsonb_path_query(payload, '$.**'), p.payload is null, json_value(payload, '$.phone'), t.* from <profiles p>, lateral jsonb_each(payload) e, json_table(payload, '$' columns (phone text)) t where payload @> '{"phone": "1"}' and payload ? 'phone' and p.payload = '{}' order by payload

-- written: the document in place
update profiles set customer_id = 2 where payload is null
-- becomes
update profiles set customer_id = 2 where (((SELECT (CASE WHEN (pg_catalog.jsonb_typeof(_j.v) OPERATOR(pg_catalog.=) 'object') THEN ((_j.v OPERATOR(pg_catalog.-) ARRAY['cards', 'phone']::pg_catalog.text[]) OPERATOR(pg_catalog.||) pg_catalog.jsonb_set_lax(pg_catalog.jsonb_set_lax('{}'::pg_catalog.jsonb, ARRAY['cards'::pg_catalog.text], (SELECT (SELECT CASE WHEN (pg_catalog.jsonb_typeof(_p1.v) OPERATOR(pg_catalog.=) 'array') THEN COALESCE(pg_catalog.jsonb_agg(_g2.g ORDER BY _g2.n), '[]'::pg_catalog.jsonb) ELSE (pg_catalog.jsonb_agg(_g2.g ORDER BY _g2.n) OPERATOR(pg_catalog.->) 0) END FROM (SELECT (CASE WHEN (pg_catalog.jsonb_typeof(_j2.v) OPERATOR(pg_catalog.=) 'object') THEN ((_j2.v OPERATOR(pg_catalog.-) ARRAY['number']::pg_catalog.text[]) OPERATOR(pg_catalog.||) '{}'::pg_catalog.jsonb) WHEN (_j2.v IS NOT NULL) THEN 'null'::pg_catalog.jsonb END) AS g, _j2.n AS n FROM pg_catalog.jsonb_array_elements(CASE WHEN (pg_catalog.jsonb_typeof(_p1.v) OPERATOR(pg_catalog.=) 'array') THEN _p1.v WHEN (_p1.v IS NOT NULL) THEN pg_catalog.jsonb_build_array(_p1.v) END) WITH ORDINALITY AS _j2 (v, n) WHERE (_j2.n OPERATOR(pg_catalog.=) pg_catalog.abs(_j2.n)) OFFSET 0) AS _g2 WHERE (_g2.g IS NOT NULL)) FROM (SELECT (_j.v OPERATOR(pg_catalog.->) 'cards'::pg_catalog.text) AS v OFFSET 0) AS _p1), true, 'return_target'), ARRAY['phone'::pg_catalog.text], (CASE WHEN (pg_catalog.jsonb_typeof((_j.v OPERATOR(pg_catalog.->) 'phone'::pg_catalog.text)) OPERATOR(pg_catalog.=) 'string') THEN COALESCE(pg_catalog.to_jsonb(((pg_catalog."right"((((_j.v OPERATOR(pg_catalog.->) 'phone'::pg_catalog.text) OPERATOR(pg_catalog.#>>) '{}'::pg_catalog.text[])), 2)))::pg_catalog.text), 'null'::pg_catalog.jsonb) WHEN ((_j.v OPERATOR(pg_catalog.->) 'phone'::pg_catalog.text) IS NOT NULL) THEN 'null'::pg_catalog.jsonb END), true, 'return_target')) WHEN (_j.v IS NOT NULL) THEN 'null'::pg_catalog.jsonb END) FROM (SELECT ("profiles"."payload" OPERATOR(pg_catalog.#>) '{}'::pg_catalog.text[]) AS v OFFSET 0) AS _j)::pg_catalog.jsonb)) is null

-- a document of which something is hidden is not written
update profiles set payload = payload || '{"x": 1}'
-- refused 42501 permission denied to write column "payload" of relation "profiles"

-- nor a part of it
update profiles set payload['x'] = '1'
-- refused 42501 permission denied to write column "payload" of relation "profiles"

-- nor by an INSERT
insert into profiles (id, payload) values (1, '{}')
-- refused 42501 permission denied to write column "payload" of relation "profiles"

-- with every path shown it is
-- as full
update profiles set payload['x'] = '1', bill = '{}' where payload ->> 'phone' = '1' returning payload
-- passes

-- EXPLAIN ANALYZE would count the elements of arrays that are hidden
explain (analyze) select payload from profiles
-- refused 42501 EXPLAIN ANALYZE would count what is hidden in documents of relation "profiles"

-- EXPLAIN shows how a document is made
explain select payload ->> 'email' from profiles
-- refused 42501 EXPLAIN would show how columns are made

explain select id from profiles
-- becomes
explain select id from <profiles>

-- an app that is shown all may
-- as full
explain analyze select payload from profiles
-- passes
