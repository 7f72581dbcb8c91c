-- MERGE, whole rows, cursors' rows and system columns: what a relation that stays in place could tell.

-- # MERGE reads itself
merge into people p using people q on q.id = p.id when matched then update set note = left(q.card, 60)
-- # MERGE joins by a hidden column
merge into people p using (values ('{people.card.3}')) v (card) on v.card = p.card when matched then update set note = 'found'
-- # MERGE joins by a hidden column's error
merge into people p using products x on p.card::int = x.id when matched then delete
-- # MERGE matches by a noisy function
merge into people p using products x on noisy(p.card) and p.id = x.id when matched then delete
-- # MERGE matches by a noisy condition of WHEN
merge into people p using products x on p.id = x.id when matched and noisy(p.card) then delete
-- # MERGE calls a noisy function for each row that has no match
merge into people p using products x on p.id = x.id when not matched by source and noisy(p.card) then delete
-- # MERGE updates rows that have no match and returns them
merge into people p using (values (0)) x (id) on p.id = x.id when not matched by source then update set note = 'x' returning p.*
-- # MERGE tells of a row that has no match
merge into people p using (values (0)) x (id) on p.id = x.id when not matched by source and p.card = '{people.card.1}' then update set note = 'x' returning merge_action()
-- # MERGE RETURNING everything
merge into people p using products x on p.id = x.id when matched then update set note = 'x' returning *
-- # MERGE RETURNING old and new
merge into people p using products x on p.id = x.id when matched then update set note = 'x' returning merge_action(), old, new, old.card, new.extra
-- # MERGE RETURNING rows
merge into people p using products x on p.id = x.id when matched then update set note = 'x' returning p, row_to_json(p), to_jsonb(old), x
-- # MERGE in a CTE
with m as (merge into people p using products x on p.id = x.id when matched then update set note = 'x' returning *) select card, extra, m from m
-- # MERGE with a governed source that copies
merge into products x using people p on p.id = x.id when matched then update set title = p.card || coalesce(p.extra, '') returning x.title
-- # MERGE into a row of another's
merge into orders o using people p on p.id = o.customer_id when matched and p.card > 'a' then update set memo = p.card returning o.memo, p.card
-- # MERGE into a partition
merge into readings_lo r using products x on x.id = r.id when matched then update set remark = r.value::text returning r.*
-- # MERGE into a parent
merge into docs d using products x on x.id = d.id when matched then delete returning d.*, d.tableoid
-- # the row in WHERE
delete from people where people::text like '%{people.card.3}%'
-- # the row in a function
update people p set note = left(to_jsonb(p)::text, 60) returning note
-- # the row's field
update people p set note = (p).card returning note
-- # the row's dropped field
update people p set note = 'x' returning (p).extra
-- # the row's function
update people p set note = 'x' returning (p).secret_part, p.secret_part
-- # the row in ROW
update people p set note = 'x' returning row (p.*), row (old.*)
-- # the row of a sub-query in RETURNING
update people p set note = 'x' returning (select p), (select q from people q where q.id = p.id), array (select p.card)
-- # RETURNING * beside others
update people p set note = 'x' from people q where q.id = p.id returning *
-- # RETURNING * of a USING join
update people p set note = 'x' from orders o join items i on i.order_id = o.id where o.customer_id = p.id returning *
-- # excluded as a row
insert into people (id, card) values (3, 'x') on conflict (id) do update set note = left(excluded::text, 60) returning note
-- # the row in DO UPDATE
insert into people (id, card) values (3, 'x') on conflict (id) do update set note = left(to_jsonb(people)::text, 60) returning note
-- # an arbiter of a hidden column
insert into people (id, email, card) values (61, '{people.email.3}', 'x') on conflict (email) do nothing
-- # a part of a hidden array
update people set tags[1] = 'x' returning tags
-- # a part of a hidden document
update people set profile['a'] = '1' returning profile
-- # several columns from a row
update people p set (name, note) = row (p.card, p.extra) returning name, note
-- # several columns from a sub-query
update people p set (name, note) = (select p.card, q.card from people q limit 1) returning name, note
-- # the row under a cursor
begin
-- next
declare c cursor for select id from people for update
-- next
fetch 1 from c
-- next
update people set note = left(card, 60) where current of c returning *
-- next
rollback
-- # the row under a cursor of all
begin
-- next
declare c cursor for select * from docs
-- next
fetch 2 from c
-- next
delete from docs where current of c returning docs
-- next
rollback
-- # a system column beside all
select ctid, * from people
-- # a system column beside rows
select p.xmin is null, p.*, p, row_to_json(p), (p).extra from people p
-- # a system column beside a join
select p.ctid is null, * from people p join orders o on o.customer_id = p.id
-- # a system column beside a USING join
select o.ctid is null, * from orders o join items i on i.order_id = o.id join readings r using (id)
-- # MERGE copies a hidden column into a shown one
merge into people p using orders o on o.customer_id = p.id and o.id = 4 when matched then update set name = p.card || p.extra returning p.name
-- # MERGE counts rows by its source
-- vacuous: PostgreSQL keeps the source's rows where it expects that to be cheaper
merge into people p using (select noisy_id(id) as id from products offset 0) x on p.id + x.id < 0 when not matched by source then do nothing
-- # MERGE into a child by name
merge into docs_child d using docs x on x.id = d.id when matched then update set body = d.body returning d.*
