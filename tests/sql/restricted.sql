-- a customer whose data is restricted does not exist; the look-up by key stays one
-- as shop
select name from customers where id = 3
-- becomes
select name from (SELECT _t."id", _t."name", _t."email", _t."phone", _t."seen" FROM "public"."customers" AS _t WHERE (NOT EXISTS (SELECT 1 FROM consentry.restrictions consentry_restricted WHERE consentry_restricted.subject OPERATOR(pg_catalog.=) _t."id"))) AS "customers" where id = 3

-- what could run on hidden rows is fenced off
-- as shop
select name from customers where lower(name) = 'x'
-- becomes
select name from (SELECT _t."id", COALESCE(_t."name", _t."name") AS "name", COALESCE(_t."email", _t."email") AS "email", COALESCE(_t."phone", _t."phone") AS "phone", _t."seen" FROM "public"."customers" AS _t WHERE (NOT EXISTS (SELECT 1 FROM consentry.restrictions consentry_restricted WHERE consentry_restricted.subject OPERATOR(pg_catalog.=) _t."id")) OFFSET 0) AS "customers" where lower(name) = 'x'

-- the subject stands in another table
-- as shop
select sku from items
-- becomes
select sku from (SELECT _t."order_id", _t."sku", _t."quantity" FROM "public"."items" AS _t WHERE (NOT EXISTS (SELECT 1 FROM public.orders consentry_step1, consentry.restrictions consentry_restricted WHERE consentry_step1.id OPERATOR(pg_catalog.=) _t."order_id" AND consentry_restricted.subject OPERATOR(pg_catalog.=) consentry_step1.customer_id))) AS "items"

-- beside consent
-- as letters
select name from customers
-- becomes
select name from (SELECT _t."id", (CASE WHEN (('name'::pg_catalog.text OPERATOR(pg_catalog.=) ANY (_c."granted")) OR ((_c."expiring" OPERATOR(pg_catalog.->>) 'name')::pg_catalog.timestamptz OPERATOR(pg_catalog.>) pg_catalog.statement_timestamp())) THEN _t."name" ELSE (NULL)::text END) AS "name", _t."email", _t."phone", _t."seen" FROM "public"."customers" AS _t LEFT JOIN "consentry"."state_letters" AS _c ON ((_c."app" OPERATOR(pg_catalog.=) 'letters') AND (_c."subject" OPERATOR(pg_catalog.=) _t."id")) WHERE (NOT EXISTS (SELECT 1 FROM consentry.restrictions consentry_restricted WHERE consentry_restricted.subject OPERATOR(pg_catalog.=) _t."id"))) AS "customers"

-- locking: the same form
-- as letters
select name from customers for update
-- becomes
select name from (SELECT _t."id", (CASE WHEN (EXISTS (SELECT 1 FROM "consentry"."state_letters" AS _c WHERE (_c."app" OPERATOR(pg_catalog.=) 'letters') AND (_c."subject" OPERATOR(pg_catalog.=) _t."id") AND (('name'::pg_catalog.text OPERATOR(pg_catalog.=) ANY (_c."granted")) OR ((_c."expiring" OPERATOR(pg_catalog.->>) 'name')::pg_catalog.timestamptz OPERATOR(pg_catalog.>) pg_catalog.statement_timestamp())) OFFSET 0)) THEN _t."name" ELSE (NULL)::text END) AS "name", _t."email", _t."phone", _t."seen" FROM "public"."customers" AS _t WHERE (NOT EXISTS (SELECT 1 FROM consentry.restrictions consentry_restricted WHERE consentry_restricted.subject OPERATOR(pg_catalog.=) _t."id"))) AS "customers" for update

-- rows of a target are asked for in place
-- as shop
update customers set phone = '1' where id = 3
-- becomes
update customers set phone = '1' where ((NOT EXISTS (SELECT 1 FROM consentry.restrictions consentry_restricted WHERE consentry_restricted.subject OPERATOR(pg_catalog.=) "customers"."id")) IS TRUE) AND ( id = 3)

-- a delete through another table
-- as shop
delete from items where quantity = 1
-- becomes
delete from items where ((NOT EXISTS (SELECT 1 FROM public.orders consentry_step1, consentry.restrictions consentry_restricted WHERE consentry_step1.id OPERATOR(pg_catalog.=) "items"."order_id" AND consentry_restricted.subject OPERATOR(pg_catalog.=) consentry_step1.customer_id)) IS TRUE) AND ( quantity = 1)

-- who has something of the table by a duty sees all of its rows
-- as court
select name from customers
-- becomes
select name from (SELECT _t."id", _t."name", _t."email", _t."phone", _t."seen" FROM "public"."customers" AS _t) AS "customers"

-- but not those of a table of which it has nothing by a duty
-- as court
select placed from orders
-- becomes
select placed from (SELECT _t."id", _t."customer_id", _t."placed", _t."note" FROM "public"."orders" AS _t WHERE (NOT EXISTS (SELECT 1 FROM consentry.restrictions consentry_restricted WHERE consentry_restricted.subject OPERATOR(pg_catalog.=) _t."customer_id"))) AS "orders"
