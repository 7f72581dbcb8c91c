"""Honest texts to make mutants of: the pairs of tests/sql, and statements that have the nodes which no pair has."""

from __future__ import annotations

from dataclasses import dataclass

from proxy.catalog.model import SearchPath
from proxy.rewrite.plan import Planner
from proxy.rewrite.verify.tree import Node, parse
from tests.sql.test_pairs import PAIRS

# (app, text). `full` is shown everything, so that any statement passes; the others have forms in it.
MORE = [
    ("agent", "update orders o set placed = p.id + o.placed, (id, customer_id) = row (1, 2) from products p, customers c where p.id = o.id and lower(c.name) = o.note returning old.id, new.note, o.placed"),
    ("mailer", "delete from customers c using orders o where o.customer_id = c.id and c.name = 'x' returning c.name, c.email as e, name || 'x'"),
    ("partner", "update customers c set name = c.phone from lateral (select id from orders limit 1) o where exists (select from items i where i.order_id = c.id and phone = 'x') returning with (old as was, new as now) was.phone, now.id, c.*"),
    ("partner", "insert into customers as c (id, name) overriding user value values (1, default), (2, 'x') on conflict do nothing returning phone, c.id"),
    ("partner", "with a as (insert into products values (1) returning id), b as not materialized (select c.id from customers c, a) select * from a, b order by 1 nulls first for no key update of a nowait"),
    ("mailer", "select count(distinct name) filter (where name > 'a'), percentile_cont(0.5) within group (order by id), sum(id) over w, lag(variadic array[id]) over (partition by email order by id desc rows between 1 preceding and 2 following exclude ties) from customers window w as (w2 rows 1 preceding), w2 as (order by name using <) order by email collate \"C\" offset 1 fetch first 2 rows with ties"),
    ("partner", "select grouping(id, name), id from customers group by distinct rollup (id, name), cube (id), grouping sets ((), (id)) having count(*) > 1"),
    ("mailer", "select distinct on (c.id) c.name, case c.id when 1 then 'a' when 2 then c.email else null end, coalesce(c.phone, 'x'), nullif(c.id, 2), greatest(c.id, 1), c.id between symmetric 1 and 2, c.id not in (1, 2), c.name like 'x%' escape '!', c.name is distinct from 'x', (c.id > 1) is not true, c.seen is null, c.id = any (array[1, 2]), c.id <> all (select id from orders), row (c.id, c.name) < (1, 'x'), (array[1, 2])[1:], (array[[1], [2]])[1][1], not c.id = 1 from customers c"),
    ("partner", "select b'101', x'1f', 1.5, true, null, 'x'::varchar(3), interval '1' day, timestamp(3) with time zone 'now', current_date, localtime(2), current_user, cast(null as int[3]), int '1', $1::text, make_date(month => 1, day => 2, year => 3), -id, id + 1, @ id, id operator(pg_catalog.+) 1 from products"),
    ("partner", "select g.a, x.*, r.b, j.sku, u.id from lateral generate_series(1, 2) with ordinality as g (a, b), rows from (unnest(array[1]), generate_series(1, 2)) x, json_to_record('{}') as r (a int, b text collate \"C\"), products p cross join lateral (select p.id) l natural join (values (1, 'x')) v (id, w) full join orders o using (id) as u right join (items i join catalogue t on true) as j on true"),
    ("partner", "with recursive t (id, n) as (select id, 1 from customers union select id + 1, n + 1 from t where n < 3) search breadth first by id, n set s cycle id, n set y to true default false using z select * from t"),
    ("partner", "with recursive t as (select 1 as id union all select id + 1 from t) search depth first by id set s select * from t intersect all select 1, null"),
    ("partner", "select json_object('a' value id, 'b': name null on null with unique returning text format json encoding utf8), json_array(id, name absent on null), json_array(select name from customers format json returning text), json_objectagg(id value name with unique) filter (where id > 1) over (), json_arrayagg(id order by id null on null returning jsonb), name is json object with unique keys, json(name with unique), json_scalar(id), json_serialize(name format json returning text), json_value(name::jsonb, '$.a' passing id as x returning int default 1 on empty error on error), json_query(name::jsonb, '$' with wrapper keep quotes null on empty), json_exists(name::jsonb, '$.x' true on error) from customers group by id, name"),
    ("partner", "select * from customers c, json_table(c.name::jsonb, '$[*]' as root passing 1 as x columns (n for ordinality, a int path '$.a' default 1 on empty null on error, b text format json path '$.b' with wrapper keep quotes, e int exists path '$.e' error on error, nested path '$.c[*]' as k columns (d text)) error on error) t"),
    ("partner", "select * from xmltable(xmlnamespaces('http://x' as x), '/a/b' passing by ref '<a/>' columns n for ordinality, v int path 'c' default 1 not null) t, customers"),
    ("partner", "select xmlelement(name a, xmlattributes(id as b), name), xmlforest(id as c), xmlparse(document name preserve whitespace), xmlpi(name p, 'x'), xmlroot('<a/>'::xml, version '1', standalone yes), xmlserialize(content name::xml as text indent), xmlconcat('<a/>'), name::xml is document from customers"),
    ("full", "merge into customers c using orders o on o.customer_id = c.id when matched and o.id = 1 then update set name = 'x' when not matched by source then delete when not matched then insert (id, name) overriding system value values (1, 'x') when matched then do nothing returning merge_action(), c.id"),
    ("full", "insert into customers as c (id, name) values (1, 'x') on conflict (lower(name) collate \"C\" text_pattern_ops) where id > 1 do update set name = excluded.name, seen = default where c.id = 2 returning *"),
    ("full", "insert into customers (id, name) values (1, 'x') on conflict on constraint customers_pkey do nothing"),
    ("full", "insert into products default values returning (products).id"),
    ("full", "update customers set seen = now() where current of c"),
    ("full", "select (c).id, (c.*)::text, x.y from customers c, lateral (select array[1] as y) x where c.id in (select id from orders) and row (c.id, 1) is not null") ,
    ("partner", "select c.name, m.sku from pairs.public.customers c natural join (select 1 as id) n join items i using (order_id) as k join (catalogue a cross join products b) as m (id, sku) on true"),
    ("partner", "with a as (select id from customers) update products set name = 'x' where id in (select id from a)"),
    ("partner", "with a as (select id from customers) delete from products p using a where a.id = p.id returning p.*, a.id"),
    ("partner", "with a as (select id, phone from customers) insert into products (id, sku) select * from a"),
    ("full", "with a as (select 1 as id) merge into customers c using a on a.id = c.id when matched then delete"),
    ("full", "update customers set name[1] = 'x', email.y = 'z'"),
    ("agent", "merge into customers as c using (select $1::int as id, o.placed from orders o where o.id in (1, 2)) s on s.id = c.id and lower(c.name) = 'x' when matched and c.seen is null then update set (name, seen) = (select sku, now() from products), email = c.phone when not matched by source and c.id > 3 then delete when not matched by target and s.id > 1 then insert (id) overriding system value values (s.id) returning merge_action(), old.*, new, s.*, c.phone"),
    ("mailer", "update customers c set seen = now() from products p join catalogue i on i.sku = p.sku where c.id = p.id and c.* is not null returning *, c, row (c.*, 1), old.name"),
    ("agent", "merge into orders o using mine m on m.id = o.id when matched then delete when not matched by source then delete when not matched then do nothing"),
    ("agent", "delete from customers c using products p where p.id = c.id and lower(c.name) = p.sku"),
    ("partner", "select c.xmin, c.*, p.*, row_to_json(c), row (c.*) from customers c cross join products p"),
    ("partner", "prepare transaction 'x'"),
    ("partner", "unlisten news"),
    ("partner", "create temp table if not exists mine as select 1"),
    ("partner", "create temp table mine (id serial primary key, a int not null default 1 check (a > 0) no inherit, b text collate \"C\" generated always as (lower('x')) stored, c int generated by default as identity (start 5), constraint u unique nulls not distinct (a) include (b) with (fillfactor = 50) deferrable initially deferred, check (a < 9)) with (fillfactor = 70) on commit delete rows"),
    ("partner", "create temp table if not exists mine (a int storage plain compression pglz null)"),
    ("partner", "create temp table mine (a, b) with (fillfactor = 70) on commit drop as select id, phone from customers with no data"),
    ("partner", "create temp table mine (like products including all excluding comments)"),
    ("partner", "create unique index concurrently if not exists i on mine using btree (a text_pattern_ops desc nulls last, lower(b) collate \"C\") include (c) nulls not distinct with (fillfactor = 50) where a > 1"),
    ("partner", "truncate mine restart identity cascade"),
    ("partner", "alter table if exists only mine add column if not exists b int default 1, drop column if exists a cascade, alter column c type bigint using c + 1, add constraint k check (b > 0) not valid, drop constraint k, alter 1 set statistics 5, alter b set storage plain"),
    ("partner", "alter table if exists mine rename column a to z"),
    ("partner", "alter table mine rename to theirs"),
    ("partner", "comment on table mine is 'x'"),
    ("partner", "comment on column pg_temp.mine.a is null"),
    ("partner", "vacuum (analyze, verbose true) mine (a, b)"),
    ("partner", "analyze mine"),
    ("partner", "drop table if exists mine cascade"),
    ("partner", "drop index concurrently mine"),
    ("partner", "copy customers (id, name) from stdin (format csv, header true, force_not_null (id)) where id > 1"),
    ("partner", "copy (update customers set name = 'x' returning id, phone) to stdout with binary"),
    ("partner", "prepare p (int, text) as update customers set name = $2 where id = $1 returning phone"),
    ("partner", "execute p (1, lower('x'))"),
    ("partner", "deallocate prepare all"),
    ("partner", "deallocate p"),
    ("partner", "declare c binary insensitive scroll cursor for select phone from customers"),
    ("partner", "fetch backward 5 from c"),
    ("partner", "move absolute 3 in c"),
    ("partner", "close c"),
    ("partner", "discard temp"),
    ("partner", "begin isolation level serializable read only deferrable"),
    ("partner", "rollback and chain"),
    ("partner", "rollback to savepoint a"),
    ("partner", "set constraints all deferred"),
    ("partner", "set local search_path to other, public"),
    ("partner", "set timezone to default"),
    ("partner", "reset work_mem"),
    ("partner", "show search_path"),
    ("partner", "notify news, 'x'"),
    ("partner", "unlisten *"),
    ("partner", "explain (analyze, format json) select held from squares where id = 1"),
    ("partner", "explain (verbose off) delete from squares where held = 'x'"),
    ("partner", "select set_config('work_mem', '1MB', true), pg_get_viewdef('catalogue'::regclass, true), pg_table_size('customers') from pg_catalog.pg_class c join information_schema.columns x on x.table_name = c.relname"),
]  # fmt: skip
TEMPORARY = frozenset({"mine"})


@dataclass(frozen=True)
class Honest:
    """A text, and what the rewriter makes of it."""

    name: str
    app: str
    parameters: tuple[int, ...]
    path: SearchPath
    sent: str
    final: str
    before: list[Node]
    after: list[Node]


def honest_texts(planners: dict[str, Planner]) -> list[Honest]:
    """What is not refused of the pairs, and MORE."""
    found = []
    asked = [
        (f"{p.file}:{p.line}", p.app, p.sent, p.parameters, SearchPath(("pg_catalog", *p.path)))
        for p in PAIRS
        if p.outcome != "refused"
    ]
    path = SearchPath(("pg_catalog", "public"), TEMPORARY)
    asked += [(text[:60], app, text, (), path) for app, text in MORE]
    for name, app, sent, parameters, names in asked:
        plan = planners[app].plan(sent.encode(), names, parameters)
        assert plan.refusal is None, f"{name}: {plan.refusal}"
        final = plan.text.decode()
        found.append(Honest(name, app, parameters, names, sent, final, parse(sent), parse(final)))
    return found
