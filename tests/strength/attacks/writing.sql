-- Leaks through writing (rewriting.md, evidence 8).

-- # UPDATE RETURNING
update people set note = 'x' returning *
-- # UPDATE RETURNING a dropped column
update people set note = 'x' where id = 3 returning extra
-- # UPDATE RETURNING the whole row
update people set name = name returning people
-- # UPDATE RETURNING the whole row as JSON
update people p set note = 'x' returning to_jsonb(p), p::text
-- # RETURNING old and new
update people set note = 'x' returning old.card, new.card, old.extra, new.extra
-- # RETURNING old.* and new.*
update people set note = 'x' returning old.*, new.*
-- # RETURNING old as a whole row
update people set note = 'x' returning old, new
-- # RETURNING with aliases
update people set note = 'x' returning with (old as o, new as n) o.card, n.card, o
-- # RETURNING a sub-query
update people set note = 'x' returning (select card from people q where q.id = people.id), (select extra from people limit 1)
-- # DELETE RETURNING
delete from items returning *
-- # DELETE RETURNING a cast
delete from items returning sku::int
-- # DELETE USING
delete from items using people p where p.id = items.order_id returning p.card, p.*
-- # DELETE USING itself
delete from docs d using docs e where e.id = d.id + 1 returning d.*, e.*
-- # INSERT RETURNING defaults
insert into people (id, name, card) values (50, 'a', 'b') returning *
-- # INSERT RETURNING the dropped default
insert into people (id, name, card) values (51, 'a', 'b') returning extra, extra_upper
-- # INSERT RETURNING the whole row
insert into people (id, name, card) values (52, 'a', 'b') returning people
-- # INSERT SELECT of a hidden column
insert into inbox (id, body) select id + 200, card from people returning *
-- # INSERT SELECT of whole rows
insert into inbox (id, body) select id + 200, p::text from people p returning *
-- # INSERT SELECT from a view
insert into inbox (id, body) select id + 200, card from v_people returning body
-- # INSERT TABLE
insert into docs_child (id, person_id, body) table docs returning *
-- # INSERT of a value by sub-query
insert into inbox values (300, (select string_agg(card, ',') from people), null) returning body
-- # ON CONFLICT RETURNING
insert into people (id, card) values (3, 'x') on conflict (id) do update set note = 'x' returning *
-- # ON CONFLICT with excluded
insert into people (id, card) values (3, 'x') on conflict (id) do update set note = people.card returning note
-- # ON CONFLICT copies a hidden column into a shown one
insert into people (id, card) values (3, 'x') on conflict (id) do update set name = people.card || people.extra returning name
-- # ON CONFLICT excluded defaults
insert into people (id, card) values (3, 'x') on conflict (id) do update set note = excluded.extra returning note
-- # ON CONFLICT of a hidden row
insert into people (id, card) values (1, 'x') on conflict (id) do update set note = 'x' returning id, name, card
-- # ON CONFLICT ON CONSTRAINT
insert into people (id, email, card) values (60, '{people.email.3}', 'x') on conflict on constraint people_email_key do update set note = 'x' returning *
-- # ON CONFLICT whole row
insert into people (id, card) values (3, 'x') on conflict (id) do update set name = people::text returning name
-- # ON CONFLICT in a cast
insert into people (id, card) values (3, 'x') on conflict (id) do update set id = people.card::int
-- # UPDATE copies a hidden column into a shown one
update people set name = card returning name
-- # UPDATE copies the dropped column
update people set note = extra returning note
-- # UPDATE FROM copies
update inbox set body = p.card from people p where p.id = inbox.id returning inbox.body
-- # UPDATE FROM returns the other side
update inbox set body = 'x' from people p where p.id = inbox.id returning p.*
-- # UPDATE FROM itself
update people a set note = b.card from people b where b.id = a.id returning a.note
-- # UPDATE with a sub-query
update inbox set body = (select card from people p where p.id = inbox.id) returning body
-- # UPDATE several columns by a row
update inbox set (body, person_id) = (select card, id from people p where p.id = inbox.id) returning body
-- # UPDATE several columns by ROW()
update people set (name, note) = row(card, left(email, 50)) returning name, note
-- # UPDATE by whole row text
update people set name = people::text returning name
-- # UPDATE through a view
update v_people set name = card returning *
-- # UPDATE through the barrier view
update v_barrier set note = 'x' returning card, extra
-- # UPDATE through a star view
update v_star set note = 'x' where id = 3 returning *
-- # DELETE through a view
with o as (delete from orders where customer_id = 9) delete from v_people where id = 9 returning *
-- # INSERT through a view
insert into v_people (id, name, card) values (61, 'a', 'b') returning *
-- # UPDATE of a partition
update readings_lo set remark = 'x' returning *
-- # UPDATE that moves a row between partitions
update readings set id = id + 100 returning *
-- # UPDATE of the child
update docs_child set body = 'x' returning *, child_extra
-- # UPDATE of the parent
update docs set body = body returning *, tableoid::regclass
-- # UPDATE ONLY
update only docs set body = 'x' returning *
-- # UPDATE of a table that is not listed
update secrets set word = word returning *
-- # DELETE of a table that is not listed
delete from people_log returning *
-- # INSERT into a table that is not listed
insert into defaulted (id) values (1) returning body
-- # MERGE RETURNING
merge into people t using products s on s.id = t.id when matched then update set note = 'x' returning merge_action(), t.*, s.*
-- # MERGE RETURNING old and new
merge into people t using products s on s.id = t.id when matched then update set note = 'x' returning old.*, new.*
-- # MERGE from a governed source
merge into products t using people s on s.id = t.id when matched then update set title = s.card returning t.title
-- # MERGE inserts governed values
merge into products t using people s on s.id + 500 = t.id when not matched then insert (id, title) values (s.id + 500, s.card || coalesce(s.extra, '')) returning *
-- # MERGE NOT MATCHED BY SOURCE
merge into people t using products s on s.id = t.id when not matched by source then update set note = t.card returning t.note
-- # MERGE that deletes
merge into docs t using products s on s.id = t.id when matched then delete returning t.*
-- # MERGE into a view
merge into v_people t using products s on s.id = t.id when matched then update set name = 'x' returning t.*
-- # MERGE with a failing condition
merge into people t using products s on s.id = t.id and t.card::int = 1 when matched then do nothing
-- # MERGE with a failing WHEN
merge into people t using products s on s.id = t.id when matched and t.email::int = 1 then do nothing
-- # data-modifying CTE
with u as (update people set note = 'x' returning *) select * from u
-- # data-modifying CTE of a dropped column
with u as (update people set note = 'x' returning extra e) select e from u
-- # data-modifying CTE that deletes
with d as (delete from items returning *) select sku, qty from d
-- # data-modifying CTE that inserts what another reads
with s as (select id, card from people), i as (insert into inbox (id, body) select id + 700, card from s returning body) select * from i
-- # data-modifying CTE nested under a join
with u as (update people set note = 'x' returning id, card) select u.card, p.extra from u join people p using (id)
-- # DETAIL of a check violation
update people set salary = 1 where id = 3
-- # DETAIL of a check violation on a writable column
update orders set total = 0 where id = 3
-- # DETAIL of a not-null violation
insert into people (id, name) values (70, 'a')
-- # DETAIL of a not-null violation by UPDATE
update people set card = null where id = 3
-- # DETAIL of a unique violation
-- vacuous: the key is open
insert into people (id, name, card) values (3, 'a', 'b')
-- # DETAIL of a unique violation through UPDATE
update people set email = (select email from people where id = 6) where id = 3
-- # DETAIL of a unique violation by a shift
-- vacuous: the key is open
update orders set id = id + 1
-- # DETAIL of a foreign key
-- vacuous: the key is open
update orders set customer_id = 999 where id = 3
-- # DETAIL of a foreign key's delete
-- vacuous: the key is open
delete from people where id = 3
-- # DETAIL of a partition without a place
-- vacuous: the key is open
update readings set id = 5000 where id = 3
-- # DETAIL of a partition's own bounds
update readings_lo set id = 50 where id = 3
-- # DETAIL of a domain
-- vacuous: the message names the constraint only
insert into people (id, card, extra) values (71, 'a', 'zqx7domainchk1')
-- # DETAIL of a generated column
-- vacuous: the message names the column only
insert into people (id, card, extra_upper) values (72, 'a', 'b')
-- # varchar too long
update people set note = repeat('x', case card when '{people.card.11}' then 61 else 1 end) where id = 11
-- # value out of range on write
update people set score = (salary - {people.salary.11}) * 1000000 where id = 11
-- # wrong type on write
update people set score = card::int where id = 3
-- # DEFAULT of a hidden column
-- vacuous: the default is of an open kind
update people set note = default, name = name where id = 3 returning note
-- # a column under consent written and read back
-- vacuous: it reads what it wrote
update people set email = 'mine@example.org' where id = 9 returning email
-- # masks read back after a write
update people set token = gen_random_uuid() where id = 3 returning token is null, old.token
-- # an append to a masked column
update people set card = card || 'x' where id = 3 returning card
-- # masked column written with itself
update people set email = email, phone = phone, salary = salary returning email
-- # array element written
update people set tags[1] = tags[2] returning tags
-- # json element written
update people set profile['key'] = to_jsonb(card) returning profile
-- # hidden rows by UPDATE without WHERE
update people set note = 'x' returning id
-- # hidden rows moved into sight
update people set country = 'DE' where id = 1 returning *
-- # hidden rows moved into sight by ON CONFLICT
insert into people (id, card, country) values (1, 'x', 'DE') on conflict (id) do update set country = 'DE' returning *
-- # hidden rows adopted by a change of the subject
update orders set customer_id = 3 returning *
-- # own consent used by a change of the subject
update docs set person_id = 3 returning body
-- # items adopted by a change of the order
update items set order_id = 3, line = order_id + 100 returning *
-- # UPDATE then read
update people set name = card; select name from people
-- # UPDATE then read, by a view
update people set note = left(coalesce(extra, ''), 50); select note from v_star
-- # subject changed, then read
update orders set customer_id = 3; select * from orders
-- # country changed, then read
update people set country = 'DE'; select * from people
-- # INSERT own subject rows then join
-- vacuous: it reads what it wrote
insert into orders (id, customer_id, memo) values (900, 3, 'x') returning *
-- # COPY FROM with a failing row
-- vacuous: it holds what was sent
-- copy: 80\tx
copy people from stdin
-- # COPY FROM that names hidden columns
-- vacuous: it writes only
-- copy: 81\tzqcard\tzqextra
copy people (id, card, extra) from stdin
-- # COPY FROM with a bad number prints the line
-- vacuous: it holds what was sent
-- copy: x\ty
copy orders (id, memo) from stdin
-- # COPY FROM that breaks a check prints the row
-- vacuous: it holds what was sent
-- copy: 82\t-5
copy orders (id, total) from stdin
-- # COPY FROM that breaks not null prints the defaults
-- copy: 83\tname
copy people (id, name) from stdin
-- # COPY FROM WHERE
-- vacuous: the server refuses it
-- copy: 84\tname\tcard
copy people (id, name, card) from stdin where (select card from people limit 1)::int = 1
-- # COPY FROM WHERE with a function
-- vacuous: it holds what was sent
-- copy: 85\tname
copy inbox (id, body) from stdin where public.noisy(body)
-- # COPY FROM of a table that is not listed
-- vacuous: it writes only
-- copy: 86\tword
copy secrets from stdin
-- # COPY FROM with ON_ERROR
-- vacuous: it holds what was sent
-- copy: x\ty
copy orders (id, memo) from stdin (on_error ignore, log_verbosity verbose)
-- # COPY FROM with defaults
-- copy: 87\tD
copy people (id, extra) from stdin (default 'D')
-- # TRUNCATE and RETURNING do not mix
-- vacuous: a syntax error
truncate people returning card
-- # a trigger's log of what was updated
update people set note = 'x' where id = 3; select line from people_log
-- # a rule that reads
insert into inbox (id, body) values (99, 'x'); delete from inbox where id = 99
-- # RETURNING a system column
-- nodiff: ctid may be read; where the new version lies depends on how many rows there are
update people set note = 'x' where id = 3 returning ctid, tableoid::regclass, card
-- # RETURNING a window or aggregate is an error
-- vacuous: the server refuses it
update people set note = 'x' returning max(card)
-- # RETURNING a set-returning function
-- vacuous: the server refuses it
update people set note = 'x' returning unnest(tags)
-- # RETURNING a CASE
update people set note = 'x' returning case when card ~ 'z' then card else extra end
-- # RETURNING functional notation
update people set note = 'x' returning card(people), extra(people)
-- # OVERRIDING and DEFAULT VALUES
insert into people default values returning *
-- # INSERT several rows with a failing one
insert into people (id, card) values (90, 'a'), (91, null)
-- # alias of an INSERT target
insert into people as t (id, card) values (92, 'a') on conflict (id) do update set note = t.card returning t.*
-- # UPDATE target alias equal to another relation
update people as orders set note = orders.card returning orders.note
-- # DELETE with a CTE of the same name
with people as (select 3 as id) delete from docs using people where docs.id = people.id returning docs.*
-- # UPDATE whose CTE shadows the target
with people as (select 1 as id, 'x' as card) update people set note = 'x' returning *
-- # UPDATE SET from a shadowing CTE
with orders as (select id, card as memo from people) update inbox set body = orders.memo from orders where orders.id = inbox.id returning body
-- # sub-select in VALUES with whole row
insert into inbox (id, body) values (400, (select p::text from people p where id = 3)) returning body
-- # insert of a row by its type
insert into docs select 500 + (d).id, (d).person_id, (d).body from (select d from docs d) s returning *
-- # params in SET
-- params: 3
update people set name = card where id = $1::int returning name
-- # params in ON CONFLICT
-- params: 3 | x
insert into people (id, card) values ($1::int, $2) on conflict (id) do update set note = $2 || people.card returning note
-- # DO UPDATE from a sub-query on the same table
insert into people (id, name) values (1, 'x') on conflict (id) do update set name = (select card from people p where p.id = 1) returning name
-- # DO UPDATE of two columns from a sub-query
insert into people (id, name) values (1, 'x') on conflict (id) do update set (name, phone) = (select p.card, p.email from people p where p.id = 1) returning name, phone
-- # DO UPDATE with the hidden column of the row that is there
insert into people (id, name) values (1, 'x') on conflict on constraint people_pkey do update set name = people.card returning name
-- # DO UPDATE with a cast in WHERE
insert into people (id, name) values (2, 'x') on conflict (id) do update set name = 'y' where people.card::int = 1
-- # DO UPDATE with a division in WHERE
insert into people (id, name) values (2, 'x') on conflict (id) do update set name = 'y' where 1 / (length(people.card) - length(people.card)) = 1
-- # DO UPDATE with excluded in a sub-query
insert into people (id, name) values (1, 'x') on conflict (id) do update set name = (select excluded.card) returning name
-- # DO UPDATE with excluded's row
insert into people (id, name) values (1, 'x') on conflict (id) do update set name = excluded::text returning name
-- # DO UPDATE of a table that is called excluded
-- vacuous: PostgreSQL finds the name ambiguous
insert into people as excluded (id, name) values (1, 'x') on conflict (id) do update set name = excluded.card returning name
-- # DO UPDATE with another table that is called excluded
insert into people (id, name) values (1, 'x') on conflict (id) do update set name = (select max(excluded.card) from people excluded) returning name
-- # DO UPDATE with old and new
insert into people (id, name) values (1, 'x') on conflict (id) do update set name = 'y' returning old.card, new.card, old.*
-- # DO UPDATE with a correlated sub-query in SET
insert into people (id, name) values (1, 'x') on conflict (id) do update set name = (select o.memo from orders o where o.customer_id = people.id and people.card like 'zqx7%' limit 1) returning name
-- # DO UPDATE in a CTE, its rows read outside
with w as (insert into people (id, name) values (1, 'x') on conflict (id) do update set name = 'y' returning *) select * from w
-- # a row given to a customer who agrees
update orders set customer_id = 2 returning memo, total
-- # a row given away within a transaction
-- session
begin
-- next
update orders set customer_id = 2
-- next
select memo, total from orders
-- next
rollback
-- # rows of an order given to another customer
update orders set customer_id = 7; select sku from items
-- # a row given away by ON CONFLICT
insert into orders (id, customer_id) select id, customer_id from orders on conflict (id) do update set customer_id = 2 returning memo, total
-- # a row given away by MERGE
merge into orders o using people p on p.id = o.customer_id when matched then update set customer_id = 2 returning o.memo, o.total
-- # items that go to another order
update items set order_id = 2, line = 100 where order_id = 5 returning sku
