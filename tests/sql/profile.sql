-- the profile is read by its definition in the rules: without what the app does not have, over governed forms
select subject, phone from consentry.profile where subject = $1
-- becomes
select subject, phone from (SELECT p."id" AS "subject", p."name" AS "name", p."email" AS "email", p."phone" AS "phone", COALESCE((SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object('id', l."id", 'placed', l."placed")) FROM (SELECT t."id", t."placed" FROM <orders form> t WHERE t."customer_id" = p."id" ORDER BY t."placed" DESC NULLS LAST LIMIT 3) l), '[]'::jsonb) AS "history"
FROM <customers form> p) AS "profile" where subject = $1

-- also for an app that has everything: it needs no right on the view
-- as full
select p.card from consentry.profile p
-- becomes
select p.card from (SELECT p."id" AS "subject", p."name" AS "name", p."email" AS "email", p."phone" AS "phone", p."card_no" AS "card", COALESCE((SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object('id', l."id", 'placed', l."placed")) FROM (SELECT t."id", t."placed" FROM "public"."orders" t WHERE t."customer_id" = p."id" ORDER BY t."placed" DESC NULLS LAST LIMIT 3) l), '[]'::jsonb) AS "history"
FROM "public"."customers" p) p

-- a dropped attribute is no column
select card from consentry.profile
-- becomes
select card from (SELECT p."id" AS "subject", p."name" AS "name", p."email" AS "email", p."phone" AS "phone", COALESCE((SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object('id', l."id", 'placed', l."placed")) FROM (SELECT t."id", t."placed" FROM <orders form> t WHERE t."customer_id" = p."id" ORDER BY t."placed" DESC NULLS LAST LIMIT 3) l), '[]'::jsonb) AS "history"
FROM <customers form> p) AS "profile"

-- it is not written, by whomever
-- as full
update consentry.profile set name = 'x'
-- refused 42501 permission denied

delete from consentry.profile
-- refused 42501 permission denied

-- what else is in its schema is Consentry's own
select * from consentry.events
-- refused 42P01 relation "consentry.events" does not exist
