-- consent in a table of the database's own: asked by EXISTS, by the names that it has for app and attribute
-- as post
select name from customers
-- becomes
select name from (SELECT _t."id", (CASE WHEN (EXISTS (SELECT 1 FROM "public"."user_consents" AS _c WHERE (_c."user_id" OPERATOR(pg_catalog.=) _t."id") AND (_c."partner_code" OPERATOR(pg_catalog.=) 'mail co') AND (_c."field_name" OPERATOR(pg_catalog.=) 'name') AND (_c."status" OPERATOR(pg_catalog.=) 'yes' AND (_c."valid_until" IS NULL OR _c."valid_until" OPERATOR(pg_catalog.>) pg_catalog.statement_timestamp())) OFFSET 0)) THEN _t."name" ELSE (NULL)::text END) AS "name", (CASE WHEN (EXISTS (SELECT 1 FROM "public"."user_consents" AS _c WHERE (_c."user_id" OPERATOR(pg_catalog.=) _t."id") AND (_c."partner_code" OPERATOR(pg_catalog.=) 'mail co') AND (_c."field_name" OPERATOR(pg_catalog.=) 'mail_optin') AND (_c."status" OPERATOR(pg_catalog.=) 'yes' AND (_c."valid_until" IS NULL OR _c."valid_until" OPERATOR(pg_catalog.>) pg_catalog.statement_timestamp())) OFFSET 0)) THEN _t."email" ELSE (NULL)::character varying(80) END) AS "email", _t."phone", _t."seen" FROM "public"."customers" AS _t) AS "customers"

-- unless withdrawn: no row that is not granted; the subject stands in another table
-- as post
select sku from items
-- becomes
select sku from (SELECT _t."order_id", (CASE WHEN (EXISTS (SELECT 1 FROM "public"."orders" AS _s1 WHERE (_s1."id" OPERATOR(pg_catalog.=) _t."order_id") AND (_s1."customer_id" IS NOT NULL) AND (NOT EXISTS (SELECT 1 FROM "public"."user_consents" AS _c WHERE (_c."user_id" OPERATOR(pg_catalog.=) _s1."customer_id") AND (_c."partner_code" OPERATOR(pg_catalog.=) 'mail co') AND (_c."field_name" OPERATOR(pg_catalog.=) 'history') AND ((_c."status" OPERATOR(pg_catalog.=) 'yes' AND (_c."valid_until" IS NULL OR _c."valid_until" OPERATOR(pg_catalog.>) pg_catalog.statement_timestamp())) IS NOT TRUE))) OFFSET 0)) THEN _t."sku" ELSE (NULL)::text END) AS "sku", _t."quantity" FROM "public"."items" AS _t) AS "items"

-- the same where the key is in the row
-- as post
select placed from orders
-- becomes
select placed from (SELECT _t."id", _t."customer_id", (CASE WHEN ((_t."customer_id" IS NOT NULL) AND (NOT EXISTS (SELECT 1 FROM "public"."user_consents" AS _c WHERE (_c."user_id" OPERATOR(pg_catalog.=) _t."customer_id") AND (_c."partner_code" OPERATOR(pg_catalog.=) 'mail co') AND (_c."field_name" OPERATOR(pg_catalog.=) 'history') AND ((_c."status" OPERATOR(pg_catalog.=) 'yes' AND (_c."valid_until" IS NULL OR _c."valid_until" OPERATOR(pg_catalog.>) pg_catalog.statement_timestamp())) IS NOT TRUE) OFFSET 0))) THEN _t."placed" ELSE (NULL)::date END) AS "placed", _t."note" FROM "public"."orders" AS _t) AS "orders"

-- rows are hidden; nothing here could tell of one
-- as parcel
select id from customers where id = 3
-- becomes
select id from (SELECT _t."id", _t."name", _t."email", _t."phone", _t."seen" FROM "public"."customers" AS _t WHERE ((EXISTS (SELECT 1 FROM "public"."user_consents" AS _c WHERE (_c."user_id" OPERATOR(pg_catalog.=) _t."id") AND (_c."partner_code" OPERATOR(pg_catalog.=) 'parcel') AND (_c."field_name" OPERATOR(pg_catalog.=) 'mail_optin') AND (_c."status" OPERATOR(pg_catalog.=) 'yes' AND (_c."valid_until" IS NULL OR _c."valid_until" OPERATOR(pg_catalog.>) pg_catalog.statement_timestamp())))))) AS "customers" where id = 3

-- rows are hidden, and the app's own expression must not see them
-- as parcel
select id from customers where lower(name) = 'x'
-- becomes
select id from (SELECT _t."id", COALESCE(_t."name", _t."name") AS "name", COALESCE(_t."email", _t."email") AS "email", COALESCE(_t."phone", _t."phone") AS "phone", _t."seen" FROM "public"."customers" AS _t WHERE ((EXISTS (SELECT 1 FROM "public"."user_consents" AS _c WHERE (_c."user_id" OPERATOR(pg_catalog.=) _t."id") AND (_c."partner_code" OPERATOR(pg_catalog.=) 'parcel') AND (_c."field_name" OPERATOR(pg_catalog.=) 'mail_optin') AND (_c."status" OPERATOR(pg_catalog.=) 'yes' AND (_c."valid_until" IS NULL OR _c."valid_until" OPERATOR(pg_catalog.>) pg_catalog.statement_timestamp()))))) OFFSET 0) AS "customers" where lower(name) = 'x'

-- locking is the same form
-- as post
select name from customers for update
-- becomes
select name from (SELECT _t."id", (CASE WHEN (EXISTS (SELECT 1 FROM "public"."user_consents" AS _c WHERE (_c."user_id" OPERATOR(pg_catalog.=) _t."id") AND (_c."partner_code" OPERATOR(pg_catalog.=) 'mail co') AND (_c."field_name" OPERATOR(pg_catalog.=) 'name') AND (_c."status" OPERATOR(pg_catalog.=) 'yes' AND (_c."valid_until" IS NULL OR _c."valid_until" OPERATOR(pg_catalog.>) pg_catalog.statement_timestamp())) OFFSET 0)) THEN _t."name" ELSE (NULL)::text END) AS "name", (CASE WHEN (EXISTS (SELECT 1 FROM "public"."user_consents" AS _c WHERE (_c."user_id" OPERATOR(pg_catalog.=) _t."id") AND (_c."partner_code" OPERATOR(pg_catalog.=) 'mail co') AND (_c."field_name" OPERATOR(pg_catalog.=) 'mail_optin') AND (_c."status" OPERATOR(pg_catalog.=) 'yes' AND (_c."valid_until" IS NULL OR _c."valid_until" OPERATOR(pg_catalog.>) pg_catalog.statement_timestamp())) OFFSET 0)) THEN _t."email" ELSE (NULL)::character varying(80) END) AS "email", _t."phone", _t."seen" FROM "public"."customers" AS _t) AS "customers" for update

-- rows of a target are asked for in place
-- as parcel
update customers set seen = now() where lower(name) = 'x'
-- becomes
update customers set seen = now() where (((EXISTS (SELECT 1 FROM "public"."user_consents" AS _c WHERE (_c."user_id" OPERATOR(pg_catalog.=) "customers"."id") AND (_c."partner_code" OPERATOR(pg_catalog.=) 'parcel') AND (_c."field_name" OPERATOR(pg_catalog.=) 'mail_optin') AND (_c."status" OPERATOR(pg_catalog.=) 'yes' AND (_c."valid_until" IS NULL OR _c."valid_until" OPERATOR(pg_catalog.>) pg_catalog.statement_timestamp()))))) IS TRUE) AND CASE WHEN (((EXISTS (SELECT 1 FROM "public"."user_consents" AS _c WHERE (_c."user_id" OPERATOR(pg_catalog.=) "customers"."id") AND (_c."partner_code" OPERATOR(pg_catalog.=) 'parcel') AND (_c."field_name" OPERATOR(pg_catalog.=) 'mail_optin') AND (_c."status" OPERATOR(pg_catalog.=) 'yes' AND (_c."valid_until" IS NULL OR _c."valid_until" OPERATOR(pg_catalog.>) pg_catalog.statement_timestamp()))))) IS TRUE) THEN ( lower(name) = 'x') ELSE FALSE END

-- a column of a target
-- as post
delete from customers where email = 'x' returning name
-- becomes
delete from customers where ((CASE WHEN (EXISTS (SELECT 1 FROM "public"."user_consents" AS _c WHERE (_c."user_id" OPERATOR(pg_catalog.=) "customers"."id") AND (_c."partner_code" OPERATOR(pg_catalog.=) 'mail co') AND (_c."field_name" OPERATOR(pg_catalog.=) 'mail_optin') AND (_c."status" OPERATOR(pg_catalog.=) 'yes' AND (_c."valid_until" IS NULL OR _c."valid_until" OPERATOR(pg_catalog.>) pg_catalog.statement_timestamp())) OFFSET 0)) THEN "customers"."email" ELSE (NULL)::character varying(80) END)) = 'x' returning ((CASE WHEN (EXISTS (SELECT 1 FROM "public"."user_consents" AS _c WHERE (_c."user_id" OPERATOR(pg_catalog.=) "customers"."id") AND (_c."partner_code" OPERATOR(pg_catalog.=) 'mail co') AND (_c."field_name" OPERATOR(pg_catalog.=) 'name') AND (_c."status" OPERATOR(pg_catalog.=) 'yes' AND (_c."valid_until" IS NULL OR _c."valid_until" OPERATOR(pg_catalog.>) pg_catalog.statement_timestamp())) OFFSET 0)) THEN "customers"."name" ELSE (NULL)::text END)) AS "name"

-- a part of a document
-- as post
select payload from profiles
-- becomes
select payload from (SELECT _t."id", _t."customer_id", ((SELECT (CASE WHEN (pg_catalog.jsonb_typeof(_j.v) OPERATOR(pg_catalog.=) 'object') THEN ((_j.v OPERATOR(pg_catalog.-) ARRAY['email']::pg_catalog.text[]) OPERATOR(pg_catalog.||) pg_catalog.jsonb_set_lax('{}'::pg_catalog.jsonb, ARRAY['email'::pg_catalog.text], (CASE WHEN _j.c1 THEN (_j.v OPERATOR(pg_catalog.->) 'email'::pg_catalog.text) ELSE (CASE WHEN ((_j.v OPERATOR(pg_catalog.->) 'email'::pg_catalog.text) IS NOT NULL) THEN 'null'::pg_catalog.jsonb END) END), true, 'return_target')) WHEN (_j.v IS NOT NULL) THEN 'null'::pg_catalog.jsonb END) FROM (SELECT (_t."payload" OPERATOR(pg_catalog.#>) '{}'::pg_catalog.text[]) AS v, (EXISTS (SELECT 1 FROM "public"."user_consents" AS _c WHERE (_c."user_id" OPERATOR(pg_catalog.=) _t."customer_id") AND (_c."partner_code" OPERATOR(pg_catalog.=) 'mail co') AND (_c."field_name" OPERATOR(pg_catalog.=) 'mail_optin') AND (_c."status" OPERATOR(pg_catalog.=) 'yes' AND (_c."valid_until" IS NULL OR _c."valid_until" OPERATOR(pg_catalog.>) pg_catalog.statement_timestamp())) OFFSET 0)) AS c1 OFFSET 0) AS _j)::pg_catalog.jsonb) AS "payload" FROM "public"."profiles" AS _t) AS "profiles"

-- the consents themselves are not the app's to read
-- as post
select * from user_consents
-- refused 42501 permission denied for relation "user_consents"

-- nor to write
-- as parcel
update user_consents set status = 'yes' where user_id = 1
-- refused 42501 permission denied for relation "user_consents"

