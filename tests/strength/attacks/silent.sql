-- Shapes that go wrong silently unless they are seen to (rewriting.md, evidence 6).

-- # alias list over a dropped column in the middle
select x.c from people as x(a, b, c)
-- # alias list longer than what is left
select * from people as x(a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20)
-- # alias list on a partition
select b.v, b.w from readings_lo as b(i, p, v, w)
-- # alias list on ONLY
select x.b from only docs as x(i, p, b)
-- # alias list on a view
select x.d from v_people as x(a, b, c, d)
-- # NATURAL JOIN on dropped columns with an open table
select count(*) from people natural join (select '{people.extra.1}' as extra, 1 as id) s
-- # NATURAL JOIN with a guess
select count(*) from people natural join (select '{people.card.3}'::text as card) s
-- # NATURAL LEFT JOIN finds who has the guess
select s.* from (values ('{people.card.3}'::text), ('{people.card.6}')) s(card) natural join people p
-- # USING a guess
select id from people join (values ('{people.extra.3}'::text)) s(extra) using (extra)
-- # USING a guess on numbers
select id from people join (values ({people.salary.3})) s(salary) using (salary)
-- # whole row IS NOT NULL
select id, p is null, p is not null from people p
-- # whole row compared
select count(*) from people a, people b where a = b
-- # whole row compared with a built row
select count(*) from docs d where d = row(3, 3, '{docs.body.3}')::docs
-- # whole row distinct from
select id from docs d where d is not distinct from row(3, 3, '{docs.body.3}'::text)
-- # whole row ordered
select id from people p order by p.email, p
-- # ordered by the whole row of a lateral
select p.id from people p, lateral (select p.card, p.extra) s order by s
-- # count of the whole row and of columns
select count(p), count(p.card), count(p.extra), count(distinct p.salary), count(distinct p) from people p
-- # grouping by the whole row
select count(*) from people p group by p
-- # DISTINCT of whole rows
select distinct p from people p
-- # FOR UPDATE through a materialised CTE
with c as materialized (select * from people for update) select id, card from c
-- # FOR UPDATE of a value consent
select id, name, email from people for no key update
-- # WHERE CURRENT OF a cursor of another relation
declare c cursor for select * from people for update; fetch 1 c; update people set note = 'x' where current of c returning card, extra
-- # WHERE CURRENT OF without FOR UPDATE
declare c cursor for select id from people; fetch 3 c; update people set note = 'x' where current of c returning *
-- # DELETE WHERE CURRENT OF
declare c cursor for select * from docs; fetch 1 c; delete from docs where current of c returning *
-- # ctid read in the form and used outside
update people set note = note where ctid in (select ctid from people) returning card, extra
-- # rows that policies hide by ctid
update people set note = note where ctid = '(0,1)' returning id, card
-- # tableoid of hidden partitions
select tableoid::regclass, count(*) from readings group by 1
-- # column order of UNION
select * from people union all select * from people
-- # INSERT SELECT star into an open table
insert into inbox (id, body) select 100 + id, card from people returning body
-- # INSERT of a dropped column by position
-- vacuous: it writes only
insert into docs select 101, 1, 'x' returning *
-- # star with a cast to the row type
select (s::text::docs).body from docs s
-- # a join's alias whole row
select j from (people natural join mv_people) j
-- # generated names of columns
select (select card), card::varchar(3), people.card, upper(card) from people
-- # GROUP BY pk with HAVING on a hidden column
select id from people group by id having card like 'zqx7%' and extra > 'a'
-- # GROUP BY pk, ORDER BY a hidden column
select id from people group by id order by card, extra
-- # SELECT DISTINCT ORDER BY
select distinct on (card) id from people order by card, id
-- # window over hidden columns
select id, row_number() over (order by card), ntile(3) over (order by salary) from people
-- # partitions of a window
select id, count(*) over (partition by substr(card, 5, 1)) from people
-- # the mask must be the same in two places
-- vacuous: a value equals itself
select a.id from people a join people b on a.card = b.card and a.id = b.id where a.card <> b.card
-- # consent state joined by the app
select p.id, p.email from people p left join consentry.state_consenter s on s.subject = p.id
-- # name of the form's state alias guessed
-- vacuous: no such name
select state.granted, state.withdrawn from people
-- # another guess at what the form's names are
-- vacuous: no such name
select consent.*, s.*, c.* from people
-- # subject column hidden by alias
select p.id, q.id, q.who from people as p join people as q(who, id) on true
-- # null mask joins nothing
select p.id from people p join people q on p.rating = q.rating
-- # null mask in NOT IN
-- vacuous: nothing is NULL
select id from people where card not in (select card from people where id > 3)
-- # IS NULL of a masked value
-- vacuous: nothing is NULL
select id from people where salary is null or card is null or tags is null
