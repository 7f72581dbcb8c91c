-- MERGE of which the app sees all columns and rows that it touches
merge into customers c using products p on p.id = c.id when matched then delete
-- passes

-- a hidden row matches nothing; what could tell of it waits behind CASE
-- as agent
merge into orders o using products p on p.id = o.id when matched and o.note::int = 1 then update set note = p.name when not matched then insert (id, placed) values (p.id, now())
-- becomes
merge into orders o using products p on ("o"."placed" OPERATOR(pg_catalog.>) '2020-01-01'::pg_catalog.date) AND ( p.id = o.id) when matched and o.note::int = 1 then update set note = p.name when not matched then insert (id, placed) values (p.id, now())

-- WHEN NOT MATCHED BY SOURCE would find the hidden rows
-- as agent
merge into orders using (values (1, 'x'), (2, 'y')) as s (id, n) on s.id = orders.id when not matched by source and orders.note = 'x' then delete when not matched by source and orders.note::int = 1 then delete when not matched by source then do nothing
-- becomes
merge into orders using (values (1, 'x'), (2, 'y')) as s (id, n) on ("orders"."placed" OPERATOR(pg_catalog.>) '2020-01-01'::pg_catalog.date) AND ( s.id = orders.id) when not matched by source and ("orders"."placed" OPERATOR(pg_catalog.>) '2020-01-01'::pg_catalog.date) AND ( orders.note = 'x') then delete when not matched by source and ("orders"."placed" OPERATOR(pg_catalog.>) '2020-01-01'::pg_catalog.date) AND CASE WHEN ("orders"."placed" OPERATOR(pg_catalog.>) '2020-01-01'::pg_catalog.date) THEN ( orders.note::int = 1) ELSE FALSE END then delete when not matched by source AND ("orders"."placed" OPERATOR(pg_catalog.>) '2020-01-01'::pg_catalog.date) then do nothing

-- a full join needs an equality that is not within CASE
-- as agent
merge into orders o using products p on o.id = p.id * 2 when not matched by source then delete when not matched then insert (id, placed) values (p.id, now())
-- refused 0A000 is not supported where ON has no equality of two columns

-- as agent
merge into orders o using products p on o.id = p.id and lower(o.note) = p.name when not matched by source then do nothing when not matched then insert (id, placed) values (p.id, now())
-- becomes
merge into orders o using products p on ("o"."id" OPERATOR(pg_catalog.=) "p"."id") AND ("o"."placed" OPERATOR(pg_catalog.>) '2020-01-01'::pg_catalog.date) AND CASE WHEN ("o"."placed" OPERATOR(pg_catalog.>) '2020-01-01'::pg_catalog.date) THEN ( o.id = p.id and lower(o.note) = p.name) ELSE FALSE END when not matched by source AND ("o"."placed" OPERATOR(pg_catalog.>) '2020-01-01'::pg_catalog.date) then do nothing when not matched then insert (id, placed) values (p.id, now())

-- as agent
merge into orders o using products p on o.id = p.id * 2 when not matched by source then do nothing when not matched then insert (id, placed) values (p.id, now())
-- becomes
merge into orders o using products p on ("o"."placed" OPERATOR(pg_catalog.>) '2020-01-01'::pg_catalog.date) AND CASE WHEN ("o"."placed" OPERATOR(pg_catalog.>) '2020-01-01'::pg_catalog.date) THEN ( o.id = p.id * 2) ELSE FALSE END when not matched by source AND ("o"."placed" OPERATOR(pg_catalog.>) '2020-01-01'::pg_catalog.date) then do nothing when not matched then insert (id, placed) values (p.id, now())

-- the server could not see that no row is left for the second: the policy stands in the first
-- as agent
merge into orders using products p on p.id = orders.id when not matched by source then do nothing when not matched by source then do nothing
-- refused 42601 unreachable WHEN clause specified after unconditional WHEN clause

-- a condition that is not leakproof keeps its comparisons beside it, for indexes
-- as agent
merge into orders o using (select p.* from products p) s on s.id = o.id and lower(o.note) = s.name and 7 < o.id when matched then delete
-- becomes
merge into orders o using (select p.* from products p) s on ("o"."id" OPERATOR(pg_catalog.=) "s"."id") AND ("o"."id" OPERATOR(pg_catalog.>) 7) AND ("o"."placed" OPERATOR(pg_catalog.>) '2020-01-01'::pg_catalog.date) AND CASE WHEN ("o"."placed" OPERATOR(pg_catalog.>) '2020-01-01'::pg_catalog.date) THEN ( s.id = o.id and lower(o.note) = s.name and 7 < o.id) ELSE FALSE END when matched then delete

-- as agent
update orders o set note = u.n from unnest($1::int[], $2::text[]) u (id, n) where u.id = o.id
-- becomes
update orders o set note = u.n from unnest($1::int[], $2::text[]) u (id, n) where ((CASE WHEN ("o"."placed" OPERATOR(pg_catalog.>) '2020-01-01'::pg_catalog.date) THEN "o"."id" END) = "u"."id") AND ("o"."placed" OPERATOR(pg_catalog.>) '2020-01-01'::pg_catalog.date) AND CASE WHEN ("o"."placed" OPERATOR(pg_catalog.>) '2020-01-01'::pg_catalog.date) THEN ( u.id = o.id) ELSE FALSE END

-- as agent
with f as (select id, upper(sku) as u from products) update orders o set note = f.u from f where f.id = o.id
-- becomes
with f as (select id, upper(sku) as u from products) update orders o set note = f.u from f where ((CASE WHEN ("o"."placed" OPERATOR(pg_catalog.>) '2020-01-01'::pg_catalog.date) THEN "o"."id" END) = "f"."id") AND ("o"."placed" OPERATOR(pg_catalog.>) '2020-01-01'::pg_catalog.date) AND CASE WHEN ("o"."placed" OPERATOR(pg_catalog.>) '2020-01-01'::pg_catalog.date) THEN ( f.id = o.id) ELSE FALSE END

-- ... unless what is read beside the target could tell of hidden rows by itself
-- as agent
merge into orders o using (select id from products where 1 / id = 1) s on s.id = o.id when matched then delete
-- becomes
merge into orders o using (select id from products where 1 / id = 1) s on ((CASE WHEN ("o"."placed" OPERATOR(pg_catalog.>) '2020-01-01'::pg_catalog.date) THEN "o"."id" END) = "s"."id") AND ("o"."placed" OPERATOR(pg_catalog.>) '2020-01-01'::pg_catalog.date) AND CASE WHEN ("o"."placed" OPERATOR(pg_catalog.>) '2020-01-01'::pg_catalog.date) THEN ( s.id = o.id) ELSE FALSE END when matched then delete

-- as agent
update orders o set note = s.n from (values (1, 1.5)) s (id, n) where o.id = s.n
-- becomes
update orders o set note = s.n from (values (1, 1.5)) s (id, n) where ((CASE WHEN ("o"."placed" OPERATOR(pg_catalog.>) '2020-01-01'::pg_catalog.date) THEN "o"."id" END) = "s"."n") AND ("o"."placed" OPERATOR(pg_catalog.>) '2020-01-01'::pg_catalog.date) AND CASE WHEN ("o"."placed" OPERATOR(pg_catalog.>) '2020-01-01'::pg_catalog.date) THEN ( o.id = s.n) ELSE FALSE END

-- as agent
merge into customers c using products p on p.id = c.id when not matched by source then delete
-- becomes
merge into customers c using products p on (((EXISTS (SELECT 1 FROM "consentry"."state_agent" AS _c WHERE (_c."app" OPERATOR(pg_catalog.=) 'agent') AND (_c."subject" OPERATOR(pg_catalog.=) "c"."id") AND (('email'::pg_catalog.text OPERATOR(pg_catalog.=) ANY (_c."granted")) OR ((_c."expiring" OPERATOR(pg_catalog.->>) 'email')::pg_catalog.timestamptz OPERATOR(pg_catalog.>) pg_catalog.statement_timestamp()))))) IS TRUE) AND ( p.id = c.id) when not matched by source AND (((EXISTS (SELECT 1 FROM "consentry"."state_agent" AS _c WHERE (_c."app" OPERATOR(pg_catalog.=) 'agent') AND (_c."subject" OPERATOR(pg_catalog.=) "c"."id") AND (('email'::pg_catalog.text OPERATOR(pg_catalog.=) ANY (_c."granted")) OR ((_c."expiring" OPERATOR(pg_catalog.->>) 'email')::pg_catalog.timestamptz OPERATOR(pg_catalog.>) pg_catalog.statement_timestamp()))))) IS TRUE) then delete

-- as agent
merge into orders o using (select lower(sku) as note from products) s on o.note = s.note when not matched by source then delete
-- refused 0A000 WHEN NOT MATCHED BY SOURCE on relation "orders", of which the rules hide rows from app agent, is not supported where the source computes

-- as agent
update orders o set note = s.sku from (select id, sku from products where 1 / id = 1) s where s.id = o.id
-- becomes
update orders o set note = s.sku from (select id, sku from products where 1 / id = 1) s where ((CASE WHEN ("o"."placed" OPERATOR(pg_catalog.>) '2020-01-01'::pg_catalog.date) THEN "o"."id" END) = "s"."id") AND ("o"."placed" OPERATOR(pg_catalog.>) '2020-01-01'::pg_catalog.date) AND CASE WHEN ("o"."placed" OPERATOR(pg_catalog.>) '2020-01-01'::pg_catalog.date) THEN ( s.id = o.id) ELSE FALSE END

-- types of a sub-query's columns: constants, parameters and casts of them, columns
-- as agent
merge into orders o using (values ($1::int, $2::text), (1, 'x')) s (id, n) on s.id = o.id and o.note = s.n when matched then update set note = n when not matched then insert (id, note) values (id, n)
-- becomes
merge into orders o using (values ($1::int, $2::text), (1, 'x')) s (id, n) on ("o"."placed" OPERATOR(pg_catalog.>) '2020-01-01'::pg_catalog.date) AND ( s.id = o.id and o.note = s.n) when matched then update set note = n when not matched then insert (id, note) values (id, n)

-- as agent
merge into orders o using (select $1::int as id) s on s.id = o.id when matched then delete
-- becomes
merge into orders o using (select $1::int as id) s on ("o"."placed" OPERATOR(pg_catalog.>) '2020-01-01'::pg_catalog.date) AND ( s.id = o.id) when matched then delete

-- as agent
merge into orders o using (select sku as id from products) s on s.id = o.id::text when matched then delete
-- becomes
merge into orders o using (select sku as id from products) s on ("o"."placed" OPERATOR(pg_catalog.>) '2020-01-01'::pg_catalog.date) AND CASE WHEN ("o"."placed" OPERATOR(pg_catalog.>) '2020-01-01'::pg_catalog.date) THEN ( s.id = o.id::text) ELSE FALSE END when matched then delete

-- words that could be taken for MERGE's own
-- as agent
merge into orders o using (products p join tickets t on t.id = p.id) on case when o.id = 1 then true else p.id = t.id and o.id = 2 end when matched and o.id between 1 and 2 then update set note = case when p.id = 1 then 'on' else 'when' end when not matched and p.id = 1 then do nothing returning o.id as when
-- becomes
merge into orders o using (products p join tickets t on t.id = p.id) on ("o"."placed" OPERATOR(pg_catalog.>) '2020-01-01'::pg_catalog.date) AND CASE WHEN ("o"."placed" OPERATOR(pg_catalog.>) '2020-01-01'::pg_catalog.date) THEN ( case when o.id = 1 then true else p.id = t.id and o.id = 2 end) ELSE FALSE END when matched and o.id between 1 and 2 then update set note = case when p.id = 1 then 'on' else 'when' end when not matched and p.id = 1 then do nothing returning o.id as when

-- what is read of the target is governed; where there is no match, names mean the source
merge into customers c using (select id, sku as phone from products) s on c.id = s.id and c.phone = 'x' when matched and c.phone = '12' then update set name = c.phone, (seen, email) = row (now(), c.phone) when not matched and phone = 'x' then insert (id, name) values (s.id, phone) when not matched by source and phone = '12' then delete
-- becomes
merge into customers c using (select id, sku as phone from products) s on c.id = s.id and (((pg_catalog."right"(("c"."phone"), 2)))::text COLLATE pg_catalog."C") = 'x' when matched and (((pg_catalog."right"(("c"."phone"), 2)))::text COLLATE pg_catalog."C") = '12' then update set name = (((pg_catalog."right"(("c"."phone"), 2)))::text COLLATE pg_catalog."C"), (seen, email) = row (now(), (((pg_catalog."right"(("c"."phone"), 2)))::text COLLATE pg_catalog."C")) when not matched and phone = 'x' then insert (id, name) values (s.id, phone) when not matched by source and (((pg_catalog."right"(("c"."phone"), 2)))::text COLLATE pg_catalog."C") = '12' then delete

-- INSERT without a list means the columns that the app has
merge into customers c using products p on p.id = c.id when not matched then insert values (p.id, p.sku)
-- becomes
merge into customers c using products p on p.id = c.id when not matched then insert ("id", "name") values (p.id, p.sku)

merge into customers c using products p on p.id = c.id when not matched then insert overriding user value values (p.id, p.sku) when matched then do nothing
-- becomes
merge into customers c using products p on p.id = c.id when not matched then insert ("id", "name") overriding user value values (p.id, p.sku) when matched then do nothing

merge into customers c using products p on p.id = c.id when not matched then insert default values
-- passes

merge into customers c using products p on p.id = c.id when not matched then insert (id, card_no) values (p.id, p.sku)
-- refused 42703 column "card_no" of relation "customers" does not exist

merge into customers c using products p on p.id = c.id when not matched then insert values (p.id, p.sku, 'x', 'y')
-- refused 42501 permission denied to write column "phone" of relation "customers"

merge into customers c using products p on p.id = c.id when matched then update set phone = 'x'
-- refused 42501 permission denied to write column "phone" of relation "customers"

-- RETURNING: * has the source first
merge into customers c using products p on p.id = c.id when matched then delete returning merge_action(), *
-- becomes
merge into customers c using products p on p.id = c.id when matched then delete returning merge_action(), "p".*, "c"."id", "c"."name", "c"."email", (((pg_catalog."right"(("c"."phone"), 2)))::text COLLATE pg_catalog."C") AS "phone", "c"."seen"

-- as mailer
merge into customers c using products p on p.id = c.id when matched then update set seen = now() when not matched then insert (id) values (p.id) returning merge_action(), old.name, new.email as e, c.id
-- becomes
merge into customers c using products p on p.id = c.id when matched then update set seen = now() when not matched then insert (id) values (p.id) returning merge_action(), (CASE WHEN ("old".*) IS DISTINCT FROM NULL THEN (CASE WHEN (EXISTS (SELECT 1 FROM "consentry"."state_mailer" AS _c WHERE (_c."app" OPERATOR(pg_catalog.=) 'mailer') AND (_c."subject" OPERATOR(pg_catalog.=) "old"."id") AND (('name'::pg_catalog.text OPERATOR(pg_catalog.=) ANY (_c."granted")) OR ((_c."expiring" OPERATOR(pg_catalog.->>) 'name')::pg_catalog.timestamptz OPERATOR(pg_catalog.>) pg_catalog.statement_timestamp())) OFFSET 0)) THEN "old"."name" ELSE (NULL)::text END) ELSE (NULL)::text END) AS "name", (CASE WHEN ("new".*) IS DISTINCT FROM NULL THEN (CASE WHEN (EXISTS (SELECT 1 FROM "consentry"."state_mailer" AS _c WHERE (_c."app" OPERATOR(pg_catalog.=) 'mailer') AND (_c."subject" OPERATOR(pg_catalog.=) "new"."id") AND (('email'::pg_catalog.text OPERATOR(pg_catalog.=) ANY (_c."granted")) OR ((_c."expiring" OPERATOR(pg_catalog.->>) 'email')::pg_catalog.timestamptz OPERATOR(pg_catalog.>) pg_catalog.statement_timestamp())) OFFSET 0)) THEN "new"."email" ELSE (NULL)::character varying(80) END) ELSE (NULL)::character varying(80) END) as e, c.id

with x as (merge into customers c using products p on p.id = c.id when matched then update set name = 'x' returning *) select phone, sku from x
-- becomes
with x as (merge into customers c using products p on p.id = c.id when matched then update set name = 'x' returning "p".*, "c"."id", "c"."name", "c"."email", (((pg_catalog."right"(("c"."phone"), 2)))::text COLLATE pg_catalog."C") AS "phone", "c"."seen") select phone, sku from x

-- the source is governed like any read
with w as (select id, phone from customers) merge into products p using w on w.id = p.id when matched then update set name = w.phone
-- becomes
with w as (select id, phone from <customers form> AS "customers") merge into products p using w on w.id = p.id when matched then update set name = w.phone

-- as agent
merge into products p using orders o on o.id = p.id when matched then update set name = o.note
-- becomes
merge into products p using <orders fenced form> o on o.id = p.id when matched then update set name = o.note

-- the target's name is not there twice
merge into customers using customers on (public.customers.id = customers.id) when not matched by source then do nothing returning public.customers.phone
-- refused 42712 name "customers" specified more than once
