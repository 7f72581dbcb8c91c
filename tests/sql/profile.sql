-- the profile is read by its definition in the rules: without what the app does not have, over governed forms
select subject, phone from consentry.profile where subject = $1
-- becomes
select subject, phone from (SELECT p."id" AS "subject", p."phone" AS "phone"
FROM <customers form> p) AS "profile" where subject = $1

-- only what is named; where all may be meant, all
select count(*) from consentry.profile p where exists (select 'phone' from orders o where o.id = p.subject)
-- becomes
select count(*) from (SELECT p."id" AS "subject"
FROM <customers form> p) p where exists (select 'phone' from <orders o> where o.id = p.subject)

-- also for an app that has everything: it needs no right on the view
-- as full
select p.card from consentry.profile p
-- becomes
select p.card from (SELECT p."id" AS "subject", p."card_no" AS "card"
FROM "public"."customers" p) p

-- a dropped attribute is no column
select card from consentry.profile
-- becomes
select card from (SELECT p."id" AS "subject"
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

-- row policies: no fence, where what is computed is put out and no more, for rows that all conditions have left
-- as agent
select p.*, c.seen from consentry.profile p join customers c on c.id = p.subject where p.subject = 3 and c.id in (2, 3) order by p.subject
-- becomes
select p.*, c.seen from (SELECT p."id" AS "subject", p."name" AS "name", p."email" AS "email", p."phone" AS "phone", COALESCE((SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object('id', l."id", 'placed', l."placed")) FROM (SELECT t."id", t."placed" FROM <orders form> t WHERE t."customer_id" = p."id" ORDER BY t."placed" DESC NULLS LAST LIMIT 3) l), '[]'::jsonb) AS "history"
FROM <customers form> p) p join <customers form> c on c.id = p.subject where p.subject = 3 and c.id in (2, 3) order by p.subject

-- more than put out
-- as agent
select history from consentry.profile where history = '[]'
-- becomes
select history from (SELECT p."id" AS "subject", COALESCE((SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object('id', l."id", 'placed', l."placed")) FROM (SELECT t."id", t."placed" FROM <orders fenced form [(_t."customer_id" OPERATOR(pg_catalog.=) "p"."id")]> t WHERE t."customer_id" = p."id" ORDER BY t."placed" DESC NULLS LAST LIMIT 3) l), '[]'::jsonb) AS "history"
FROM <customers fenced form> p) AS "profile" where history = '[]'

-- what is asked of its columns besides goes inside, through what tables are joined by
-- as agent
-- parameters: 23
select history from consentry.profile p where p.subject = $1 and history = '[]' and phone = 'x'
-- becomes
select history from (SELECT p."id" AS "subject", p."phone" AS "phone", COALESCE((SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object('id', l."id", 'placed', l."placed")) FROM (SELECT t."id", t."placed" FROM <orders fenced form [(_t."customer_id" OPERATOR(pg_catalog.=) "p"."id")]> t WHERE t."customer_id" = p."id" ORDER BY t."placed" DESC NULLS LAST LIMIT 3) l), '[]'::jsonb) AS "history"
FROM <customers fenced form [(_t."id" OPERATOR(pg_catalog.=) $1)]> p) p where p.subject = $1 and history = '[]' and phone = 'x'
