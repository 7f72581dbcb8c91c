-- columns only: what is dropped is left out, what is masked keeps its name, type and collation
select * from customers
-- becomes
select * from (SELECT _t."id", _t."name", _t."email", ((pg_catalog."right"((_t."phone"), 2)))::text COLLATE pg_catalog."C" AS "phone", _t."seen" FROM "public"."customers" AS _t) AS "customers"

-- value consent: one LEFT JOIN on the spans of keys that the ledger has for the app (restricted.sql has one on the state)
-- as mailer
select name from customers
-- becomes
select name from (SELECT _t."id", (CASE WHEN ((pg_catalog.get_bit(_c."granted_name", (_t."id" OPERATOR(pg_catalog.&) 127)::pg_catalog.int4) OPERATOR(pg_catalog.=) 1) OR ((_c."expiring_name")[(_t."id" OPERATOR(pg_catalog.&) 127)::pg_catalog.int4 OPERATOR(pg_catalog.+) 1] OPERATOR(pg_catalog.>) pg_catalog.statement_timestamp())) THEN _t."name" ELSE (NULL)::text END) AS "name", (CASE WHEN ((pg_catalog.get_bit(_c."granted_email", (_t."id" OPERATOR(pg_catalog.&) 127)::pg_catalog.int4) OPERATOR(pg_catalog.=) 1) OR ((_c."expiring_email")[(_t."id" OPERATOR(pg_catalog.&) 127)::pg_catalog.int4 OPERATOR(pg_catalog.+) 1] OPERATOR(pg_catalog.>) pg_catalog.statement_timestamp())) THEN _t."email" ELSE (NULL)::character varying(80) END) AS "email", ((pg_catalog."right"((_t."phone"), 2)))::text COLLATE pg_catalog."C" AS "phone", _t."seen" FROM "public"."customers" AS _t LEFT JOIN "consentry"."spans_mailer" AS _c ON (_c."span" OPERATOR(pg_catalog.=) (_t."id" OPERATOR(pg_catalog.>>) 7))) AS "customers"

-- the subject stands in another table; opt_out needs a subject
-- as mailer
select sku from items
-- becomes
select sku from (SELECT _t."order_id", (CASE WHEN ((_s1."customer_id" IS NOT NULL) AND ((pg_catalog.get_bit(_c."withdrawn_history", (_s1."customer_id" OPERATOR(pg_catalog.&) 127)::pg_catalog.int4) OPERATOR(pg_catalog.=) 1) IS NOT TRUE)) THEN _t."sku" ELSE (NULL)::text END) AS "sku", _t."quantity" FROM "public"."items" AS _t LEFT JOIN "public"."orders" AS _s1 ON (_s1."id" OPERATOR(pg_catalog.=) _t."order_id") LEFT JOIN "consentry"."spans_mailer" AS _c ON (_c."span" OPERATOR(pg_catalog.=) (_s1."customer_id" OPERATOR(pg_catalog.>>) 7))) AS "items"

-- row policies are predicates inside; nothing here could tell of a hidden row, so there is no fence
-- as agent
select id from orders where id = 3
-- becomes
select id from (SELECT _t."id", _t."customer_id", _t."placed", _t."note" FROM "public"."orders" AS _t WHERE (_t."placed" OPERATOR(pg_catalog.>) '2020-01-01'::pg_catalog.date)) AS "orders" where id = 3

-- locking asks consent by EXISTS: a join would lock the consent's row
-- as mailer
select sku from items for update
-- becomes
select sku from (SELECT _t."order_id", (CASE WHEN (EXISTS (SELECT 1 FROM "public"."orders" AS _s1 WHERE (_s1."id" OPERATOR(pg_catalog.=) _t."order_id") AND (_s1."customer_id" IS NOT NULL) AND (NOT EXISTS (SELECT 1 FROM "consentry"."state_mailer" AS _c WHERE (_c."app" OPERATOR(pg_catalog.=) 'mailer') AND (_c."subject" OPERATOR(pg_catalog.=) _s1."customer_id") AND ('history'::pg_catalog.text OPERATOR(pg_catalog.=) ANY (_c."withdrawn")))) OFFSET 0)) THEN _t."sku" ELSE (NULL)::text END) AS "sku", _t."quantity" FROM "public"."items" AS _t) AS "items" for update
