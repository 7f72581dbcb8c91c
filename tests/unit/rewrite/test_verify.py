"""The verifier alone: texts of an app's, and what might be sent for them, both written by hand."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from proxy.catalog.model import SearchPath
from proxy.errors import PgError
from proxy.rewrite.verify import Verifier
from tests.unit.rewrite.world import APP, MASKED, PEOPLE, SNAPSHOT, SYSTEM, VISITS, fenced, unfenced, verifier

PATH = SearchPath(("pg_catalog", "public"))
WEB = verifier()
OPEN = VISITS.format("")
FENCED = fenced()


def proved(sent: str, final: str | None = None, path: SearchPath = PATH, types: tuple[int, ...] = ()) -> None:
    WEB.verify(sent, sent if final is None else final, path, types)


def refused(sent: str, final: str | None = None, path: SearchPath = PATH, by: Verifier = WEB) -> str:
    """The refusal's SQLSTATE."""
    with pytest.raises(PgError) as caught:
        by.verify(sent, sent if final is None else final, path)
    return caught.value.sqlstate


# -- what touches nothing governed ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sent",
    [
        "",
        ";",
        "select 1",
        "select t.*, lower(label) from things t where id = $1 order by 1",
        "select whole.*, whole from whole",
        "select id from v_things",
        "select x from v_types",
        "select * from other.people",
        "select typname from pg_type",
        "select nick from shop.other.people",
        "update things set label = 'x' where id = 1 returning *",
        "insert into whole select * from things on conflict (id) do update set label = excluded.label",
        "merge into things t using whole w on w.id = t.id when matched then delete",
        "copy things to stdout",
        "copy things from stdin where id > 1",
        "begin; select 1 from things; commit",
        "declare c cursor for select * from things; fetch 5 from c; close c",
        "prepare p as select id from things; execute p",
        "explain analyze select * from things",
        "select tax(1), public.tax(2), digest('x')",
        "select nextval('things_id_seq'), nextval('Public.\"things_id_seq\"'::regclass)",
        "select set_config('work_mem', $1, true), set_config('app.tenant', '7', false)",
        "select pg_catalog.set_config('search_path', '', false)",
        "select set_config('search_path', 'other, \"$user\" ,public', true)",
        "set work_mem = '1MB'; reset timezone; show search_path",
        "set array_nulls = on; set row_security = true; set transform_null_equals = 0; reset backslash_quote",
        "listen news; notify news, 'x'",
        "create temp table t (id int default 1); drop table t",
        "values (1, 'x'), (2, default)",
    ],
)
def test_what_touches_nothing_governed_passes_as_it_is(sent: str) -> None:
    proved(sent)


def test_another_text_for_the_same_tree_is_the_same() -> None:
    proved("select ID from THINGS", 'SELECT "id" /* x */ FROM things;')


@pytest.mark.parametrize(
    ("sent", "final"),
    [
        ("select 1", "select 2"),
        ("select 1", "select 1, 2"),
        ("select 1", "select 1; select 2"),
        ("select 1; select 2", "select 1"),
        ("select 1", ""),
        ("select 1", "begin"),
        ("select id from things", "select id from only things"),
        ("select id from things", "select id from public.things"),
        ("select id from things", "select id from whole"),
        ("select id from things where id = 1", "select id from things"),
        ("select id from things", "select id from things limit 1"),
        ("select id from things", "select id from things for update"),
        ("select id from things union all select 1", "select id from things union select 1"),
        ("delete from things where id = 1", "delete from things"),
        ("begin", "begin read only"),
        ("set work_mem = '1MB'", "set work_mem = '2MB'"),
        ("set work_mem = '1MB'", "set local work_mem = '1MB'"),
        ("create temp table t as select 1", "create temp table u as select 1"),
        ("create temp table t as select 1", "create table t as select 1"),
    ],
)
def test_the_rest_of_the_tree_is_the_apps(sent: str, final: str) -> None:
    refused(sent, final)


@pytest.mark.parametrize(
    ("text", "sqlstate"), [("selec 1", "42601"), ("select 1\0", "0A000"), ("select '\ud800'", "0A000")]
)
def test_what_is_no_text_of_postgresqls(text: str, sqlstate: str) -> None:
    assert refused(text) == sqlstate
    assert refused("select 1", text) == sqlstate


# -- reads ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "final"),
    [
        ("select * from people", f"select * from {PEOPLE} as people"),
        ("select * from only people p", f"select * from {PEOPLE.replace('FROM', 'FROM ONLY')} as p"),
        ("table people", f"select * from {PEOPLE} people"),
        ("select ssn from people p (a, b)", f"select ssn from {PEOPLE} p (a, b)"),
        ("select public.people.id, public.people.* from people", f"select people.id, people.* from {PEOPLE} people"),
        ("select 1 where exists (table people)", f"select 1 where exists (select * from {PEOPLE} people)"),
        ("select * from people, lateral (select people.id) x", f"select * from {PEOPLE} people, lateral (select people.id) x"),
        ("select * from people tablesample system (9)", f"select * from {PEOPLE.replace('_t)', '_t tablesample system (9))')} people"),
        ("select ctid, xmin from people", f"select ctid, xmin from {PEOPLE.replace(' FROM', ', _t.ctid, _t.xmin FROM')} people"),
        ("select ctid, *, p from people p", f"select ctid, p.id, p.name, p.ssn, (select _r from (select p.id, p.name, p.ssn) as _r) as p from {PEOPLE.replace(' FROM', ', _t.ctid FROM')} p"),
        ("select p.ctid, * from people p join things using (id)", f"select p.ctid, id, p.name, p.ssn, things.label from {PEOPLE.replace(' FROM', ', _t.ctid FROM')} p join things using (id)"),
        ("select xmin, * from pg_class", "select xmin, pg_class.oid, pg_class.relname from (SELECT t.oid, t.relname, t.xmin FROM pg_catalog.pg_class AS t WHERE t.oid <> 100) pg_class"),
        ("with people as (select 1 as secret) select secret from people", None),
        ("with p as (select * from people) select * from p", f"with p as (select * from {PEOPLE} people) select * from p"),
        ("with people as (select * from people) table people", f"with people as (select * from {PEOPLE} people) table people"),
        ("with recursive people as (select 1 union all table people) table people", None),
        ("with recursive a as (table people), people as (select 1) table a", None),
        ("select relname from pg_class c", "select relname from (SELECT t.oid, t.relname FROM pg_catalog.pg_class AS t WHERE t.oid <> 100) c"),
        ("select pg_get_viewdef(1)", "select pg_get_viewdef((SELECT (1)::pg_catalog.oid OFFSET 0))"),
        ("explain select id from people", f"explain select id from {PEOPLE} people"),
        ("copy people (id) to stdout", f"copy (select id from {PEOPLE.replace('FROM', 'FROM ONLY')} people) to stdout"),
        ("select id, name from people group by id", f"select id, name from {PEOPLE} people group by people.name, id"),
        ("select id, name from people group by 1", f"select id, name from {PEOPLE} people group by people.name, 1"),
        ("select name from people group by ((id), 1)", f"select name from {PEOPLE} people group by people.name, ((id), 1)"),
        ("select p.name from people p group by (p).id", f"select p.name from {PEOPLE} p group by p.name, (p).id"),
        ("select p.name from people p group by (p.*).id", f"select p.name from {PEOPLE} p group by p.name, (p.*).id"),
        ("select *, count(*) from people group by 1", f"select *, count(*) from {PEOPLE} people group by people.name, 1"),
        ("select 1, t.*, p.* from people p, things t group by 4, t.id, t.label", f"select 1, t.*, p.* from {PEOPLE} p, things t group by p.name, 4, t.id, t.label"),
        ("select * from things t join people p using (id) group by 1, label", f"select * from things t join {PEOPLE} p using (id) group by p.name, 1, label"),
        ("select id as x, name from people group by x", f"select id as x, name from {PEOPLE} people group by people.name, x"),
        ("select name from people group by cube (ssn), id", f"select name from {PEOPLE} people group by people.name, cube (ssn), id"),
        ("select name from people group by grouping sets ((id), (id, ssn))", f"select name from {PEOPLE} people group by people.name, grouping sets ((id), (id, ssn))"),
        ("select p.name from people p group by id", f"select pg_catalog.any_value(p.name) as name from {PEOPLE} p group by id"),
        ("select name || 'x' from people group by id", f"select (pg_catalog.array_agg(name))[1] || 'x' from {PEOPLE} people group by id"),
        ("select 1 from people p group by id having exists (select p.name)", f"select 1 from {PEOPLE} p group by id having exists (select pg_catalog.any_value(p.name) as name)"),
        ("select p.*, 1 from people p group by id", f"select p.id, pg_catalog.any_value(p.name) as name, p.ssn, 1 from {PEOPLE} p group by p.ssn, id"),
        ("select * from people group by id", f"select people.id, pg_catalog.any_value(people.name) as name, (pg_catalog.array_agg(people.ssn))[1] as ssn from {PEOPLE} people group by id"),
        ("select p, p is null from people p group by id", f"select pg_catalog.any_value(p) as p, pg_catalog.any_value(p) is null from {PEOPLE} p group by id"),
        ("select xmin from people group by id", f"select xmin from {PEOPLE.replace(' FROM', ', _t.xmin FROM')} people group by people.xmin, id"),
    ],
)  # fmt: skip
def test_reads_of_the_governed(sent: str, final: str | None) -> None:
    proved(sent, final)
    if final is not None:
        refused(sent)


@pytest.mark.parametrize(
    ("sent", "final"),
    [
        ("select * from people", f"select * from {PEOPLE} as p"),
        ("select * from people", f"select * from lateral {PEOPLE} as people"),
        ("select * from people", f"select * from {PEOPLE.replace('NULL', '_t.ssn')} as people"),
        ("select * from people", f"select * from {PEOPLE.replace(' FROM', ', _t.secret FROM')} as people"),
        ("select * from people", f"select * from {PEOPLE.replace(' FROM', ', _t.ctid FROM')} as people"),
        ("select * from people", f"select * from {PEOPLE.replace('people', 'visits')} as people"),
        ("select * from people", f"select * from {PEOPLE.replace(')', ' OFFSET 0)')} as people"),
        ("select * from people", f"select * from {FENCED} as people"),
        ("select ctid, * from people", f"select ctid, * from {PEOPLE.replace(' FROM', ', _t.ctid FROM')} as people"),
        ("select ctid, * from people", f"select ctid, people.id, people.name from {PEOPLE.replace(' FROM', ', _t.ctid FROM')} as people"),
        ("select ctid, people from people", f"select ctid, people from {PEOPLE.replace(' FROM', ', _t.ctid FROM')} as people"),
        ("select * from people", f"select people.id, people.name, people.ssn from {PEOPLE} as people"),
        ("select ctid, p from people p", f"select ctid, p from {PEOPLE.replace(' FROM', ', _t.ctid FROM')} as p"),
        ("select j.*, ctid from (people p cross join things) j", f"select j.*, ctid from ({PEOPLE.replace(' FROM', ', _t.ctid FROM')} as p cross join things) j"),
        ("select ctid from people p natural join things", f"select ctid from {PEOPLE.replace(' FROM', ', _t.ctid FROM')} as p natural join things"),
        ("select ctid from people", f"select ctid from {PEOPLE} as people"),
        ("select public.people.id from people", f"select public.people.id from {PEOPLE} people"),
        # without its schema a name must not mean what stands nearer
        *(
            (
                f"{start}select public.people.id from people where exists (select 1 from {nearer} where public.people.id > 0)",
                f"{start}select people.id from {PEOPLE} people where exists (select 1 from {nearer} where people.id > 0)",
            )
            for start, nearer in (
                ("", "other.people"),
                ("", "things people"),
                ("with people as (select 1 as id) ", "people"),
                ("", "(select 1 as id) people"),
                ("", "(values (1)) people (id)"),
                ("", "generate_series(1, 2) people (id)"),
                ("", "things join (things t join things s using (id)) people using (id)"),
                ("", "things t join things s using (id) as people"),
            )
        ),
        ("select things.id from things", "select id from things"),
        ("with p as (table people) table p", f"with p as (table people) select * from {PEOPLE} p"),
        ("with people as (select 1) table people", f"with people as (select 1) select * from {PEOPLE} people"),
        ("with people as (table people) table people", None),
        ("with a as (table people), people as (select 1) table a", None),
        ("select 1 from (with people as (select 1) table people) x, people", None),
        ("select relname from pg_class", None),
        ("select relname from pg_class", "select relname from (SELECT t.oid, t.relname FROM pg_catalog.pg_class AS t) pg_class"),
        ("select pg_get_viewdef(1)", None),
        ("select pg_get_viewdef(1)", "select pg_get_viewdef((SELECT (2)::pg_catalog.oid OFFSET 0))"),
        ("copy people (id) to stdout", f"copy (select id, ssn from {PEOPLE} people) to stdout"),
        ("select name from people group by name", f"select name from {PEOPLE} people group by people.id, name"),
        ("select id from people group by rollup (id)", f"select id from {PEOPLE} people group by people.name, rollup (id)"),
        ("select id from people group by id", f"select id from {PEOPLE} people group by things.label, id"),
        ("select name from people group by id", f"select pg_catalog.any_value(name) from {PEOPLE} people group by id"),
        ("select name from people group by id", f"select pg_catalog.any_value(ssn) as name from {PEOPLE} people group by id"),
        ("select name from people group by id", f"select any_value(name) as name from {PEOPLE} people group by id"),
        ("select name from people group by id", f"select pg_catalog.max(name) as name from {PEOPLE} people group by id"),
        ("select name from people group by id", f"select pg_catalog.any_value(distinct name) as name from {PEOPLE} people group by id"),
        ("select name from people group by id", f"select pg_catalog.any_value(name) filter (where false) as name from {PEOPLE} people group by id"),
        ("select name from people group by id", f"select pg_catalog.any_value(name) over () as name from {PEOPLE} people group by id"),
        ("select name from people group by id", f"select (pg_catalog.array_agg(name))[2] as name from {PEOPLE} people group by id"),
        ("select name from people group by id", f"select (pg_catalog.array_agg(name order by name))[1] as name from {PEOPLE} people group by id"),
        ("select name from people group by ssn", f"select pg_catalog.any_value(name) as name from {PEOPLE} people group by ssn"),
        ("select name from people", f"select pg_catalog.any_value(name) as name from {PEOPLE} people"),
        ("select name from people group by rollup (id)", f"select pg_catalog.any_value(name) as name from {PEOPLE} people group by rollup (id)"),
        ("select name from people group by grouping sets ((id), (id, name))", f"select pg_catalog.any_value(name) as name from {PEOPLE} people group by grouping sets ((id), (id, name))"),
        ("select p.* from people p group by id", f"select p.id, pg_catalog.any_value(p.name), p.ssn from {PEOPLE} p group by p.ssn, id"),
        ("select p.* from people p group by id", f"select p.id, pg_catalog.any_value(p.ssn) as name, p.ssn from {PEOPLE} p group by p.ssn, id"),
        ("select p.* from people p group by id", f"select p.id, p.ssn, pg_catalog.any_value(p.name) as name from {PEOPLE} p group by p.ssn, id"),
        ("select p.* from people p group by id", f"select p.id, p.ssn from {PEOPLE} p group by p.ssn, id"),
        ("select p.* from people p group by ssn", f"select p.id, pg_catalog.any_value(p.name) as name, p.ssn from {PEOPLE} p group by ssn"),
        ("select * from people p, things t group by p.id, t.id", f"select p.id, pg_catalog.any_value(p.name) as name, p.ssn from {PEOPLE} p, things t group by p.id, t.id"),
        ("select p from people p", f"select pg_catalog.any_value(p) as p from {PEOPLE} p"),
        ("select p is null from people p group by ssn", f"select pg_catalog.any_value(p) is null from {PEOPLE} p group by ssn"),
        ("select t is null from people p, things t group by p.id, t.id", f"select pg_catalog.any_value(t) is null from {PEOPLE} p, things t group by p.id, t.id"),
        ("select label from things group by id", "select pg_catalog.any_value(label) as label from things group by id"),
        ("select p.name from people p, people q group by q.id", f"select pg_catalog.any_value(p.name) as name from {PEOPLE} p, {PEOPLE} q group by q.id"),
        ("select id from people group by (id, name)", f"select id from {PEOPLE} people group by people.secret, (id, name)"),
        ("select name from people group by row (id)", f"select name from {PEOPLE} people group by people.name, row (id)"),
        ("select name as id from people group by (name, name)", f"select name as id from {PEOPLE} people group by people.ssn, (name, name)"),
        ("select name from people p group by (p).name", f"select name from {PEOPLE} p group by p.ssn, (p).name"),
        ("select name from people p group by (p.*).name", f"select name from {PEOPLE} p group by p.ssn, (p.*).name"),
        ("select *, id from people group by 2", f"select *, id from {PEOPLE} people group by people.ssn, 2"),
        ("select (p).*, id from people p group by 2", f"select (p).*, id from {PEOPLE} p group by p.name, 2"),
        ("select t.*, p.id from people p, things t group by 1", f"select t.*, p.id from {PEOPLE} p, things t group by p.name, 1"),
        ("select * from unnest(array[1]) u, people p group by 2", f"select * from unnest(array[1]) u, {PEOPLE} p group by p.name, 2"),
        ("select name as x from people group by x", f"select name as x from {PEOPLE} people group by people.ssn, x"),
        ("select name from people group by grouping sets ((id), ())", f"select name from {PEOPLE} people group by people.name, grouping sets ((id), ())"),
        ("select name from people group by grouping sets ((id), (name))", f"select name from {PEOPLE} people group by people.ssn, grouping sets ((id), (name))"),
        ("select name from people group by grouping sets ((id), (id, name))", f"select name from {PEOPLE} people group by people.name, grouping sets ((id), (id, name))"),
        ("select ssn from people group by id", f"select ssn from {PEOPLE} people group by people.xmin, id"),
    ],
)  # fmt: skip
def test_what_is_almost_the_form(sent: str, final: str | None) -> None:
    refused(sent, final)


@pytest.mark.parametrize(
    ("sent", "sqlstate"),
    [
        ("select * from nowhere", "42P01"),
        ("select * from public.nowhere", "42P01"),
        ("select * from pg_temp.nowhere", "42P01"),
        ("select * from hidden", "42501"),
        ("select * from v_people", "42501"),
        ("select * from v_calls", "42501"),
        ("select * from v_nested", "42501"),
        ("select * from v_stats", "42501"),
        ("select * from v_lost", "42501"),
        ("select * from ancestor", "42501"),
        ("select * from consentry.state_web", "42501"),
        ("select * from pg_toast.pg_toast_100", "42501"),
        ("select * from pg_stats", "42501"),
        ("select * from pg_catalog.pg_statistic", "42501"),
        ("select * from pg_shadow", "42P01"),  # this snapshot has it not
        ("select * from hidden_id_seq", "42501"),
        ("select * from elsewhere.public.things", "0A000"),
        ("select * from things tablesample spy (1)", "42501"),
        ("delete from pg_type", "42501"),
        ("delete from v_nested", "42501"),
    ],
)
def test_relations_that_the_app_does_not_have(sent: str, sqlstate: str) -> None:
    assert refused(sent) == sqlstate


def test_a_parent_alone_is_read_without_its_children() -> None:
    proved("select * from only ancestor")


def test_a_parent_is_read_with_children_of_which_nothing_that_it_has_is_hidden() -> None:
    proved("select * from parent")


# -- what names mean ------------------------------------------------------------------------------------------------


def test_the_search_path_decides() -> None:
    there = SearchPath(("pg_catalog", "other", "public"))
    proved("select nick from people", path=there)
    refused("select nick from people")
    refused("select * from people", f"select * from {PEOPLE} people", path=there)
    assert refused("select * from things", path=SearchPath(("pg_catalog", "other"))) == "42P01"
    proved("select * from other.people", path=SearchPath(()))


def test_temp_tables_come_first() -> None:
    here = SearchPath(("pg_catalog", "public"), frozenset({"people", "pg_class"}))
    proved("select secret from people; select secret from pg_temp.people; table pg_class", path=here)
    refused("select * from people", f"select * from {PEOPLE} people", path=here)
    proved("select * from public.people", f"select * from {PEOPLE} people", path=here)
    proved("truncate people; create index on people (id); drop table people", path=here)


@pytest.mark.parametrize(
    "sent",
    [
        "create temp table people (secret text); select secret from people",
        "create temp table people as select 1 as secret; select secret from people",
        "select 1 as secret into temp people; select secret from people",
        "create temp table if not exists people (secret text); select secret from people",
        "create temp table t (secret text); alter table t rename to people; select secret from people",
        "create temp table people (secret text); drop table people",
        "create temp table if not exists t (id int); alter table t add column x int; analyze t; select x from t",
        "begin; create temp table people (secret text); select secret from people; commit",
    ],
)
def test_temp_tables_that_the_text_makes(sent: str) -> None:
    proved(sent)


@pytest.mark.parametrize(
    "sent",
    [
        "create temp table people (secret text); drop table people; select secret from people",
        "begin; create temp table people (secret text); rollback; select secret from people",
        "savepoint a; create temp table people (secret text); rollback to a; select secret from people",
        "create temp table people (secret text) on commit drop; commit; select secret from people",
        "create temp table people (secret text); prepare p as select secret from people",
        "create temp table people (secret text); discard temp; select secret from people",
        "select secret from people; create temp table people (secret text)",
        "create temp table people (secret text); alter table people rename to t; select secret from people",
        "set search_path = other, public; select nick from people",
        "set search_path = other; commit; select id from things",
        "reset search_path; select tax(1)",
        "reset all; select id from things",
        "create temp table t (id int); rollback; select id from t",
        "set search_path = other; execute p",
        "create temp table people (secret text); rollback; execute p",
        "create temp table t (id int); create temp table u as execute p",
        "create temp table p (id int); drop table p; execute p",
        "begin; create temp table people (a int); savepoint a; drop table people; rollback to a; select * from people",
        "begin; create temp table t (a int); drop table t; savepoint a; create temp table t (a int); rollback; table t",
    ],
)
def test_names_that_may_mean_something_else_by_then(sent: str) -> None:
    refused(sent)


@pytest.mark.parametrize(
    "sent",
    [
        "create table t (id int)",
        "create table t as select 1",
        "select 1 into t",
        "create temp table text (id int)",
        "create temp table text as select 1",
        "select 1 into temp pg_class",
        "create temp table t () inherits (things)",
        "create temp table t (like people)",
        "create temp table t (id int references things)",
        "create temp table t (id int check (spy(id) > 1))",
        "create temp table t (p people)",
        "create temp table t partition of parent default",
        "create materialized view m as select 1",
        "drop table things",
        "drop view v_things",
        "truncate things",
        "create index on people (secret)",
    ],
)
def test_definitions(sent: str) -> None:
    refused(sent)


# -- functions, operators, types ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "sqlstate"),
    [
        ("select spy(1)", "42501"),
        ("select public.spy(1)", "42501"),
        ("select * from spy(1)", "42501"),
        ("select 1 from things order by spy(1)", "42501"),
        ("select pg_read_file('x')", "42501"),
        ("select pg_catalog.pg_read_file('x')", "42501"),
        ("select dblink('x')", "42501"),
        ("select nosuch(1)", "42883"),
        ("select other.tax(1)", "42883"),
        ("select elsewhere.public.tax(1)", "0A000"),
        ("select t.peek from things t", "42501"),
        ("select (t).peek from things t", "42501"),
        ("execute p (spy(1))", "42501"),
        ("values (spy(1))", "42501"),
        ("prepare p as select spy(1)", "42501"),
        ("select nextval('hidden_id_seq')", "42501"),
        ("select nextval('131')", "42501"),
        ("select nextval($1)", "42501"),
        ("select nextval('consentry.x')", "42P01"),
        ("select set_config('role', 'x', true)", "42501"),
        ("select set_config('search_path', 'other', true), 1", "42501"),
        ("select set_config('search_path', lower('other'), true)", "42501"),
        ("select set_config('search_path', $1, true)", "42501"),
        ("select set_config('search_path', null, true)", "42501"),
        ("select set_config('search_path', 'other', true) from things", "42501"),
        ("select (select set_config('search_path', 'other', true))", "42501"),
        ("declare c cursor for select set_config('search_path', 'other', true)", "42501"),
        ("select set_config('search_path', 'other, pg_catalog', true)", "42501"),
        ("select set_config('search_path', '\"consentry\"', true)", "42501"),
        ("select set_config('search_path', 'pg_temp_3', true)", "42501"),
        ("select set_config('search_path', 'other,,public', true)", "42501"),
        ("select set_config($1, 'x', true)", "42501"),
        ("select null::people", "42501"),
        ("select '{}'::public.people[]", "42501"),
        ("select null::_people", "42501"),
        ("prepare p (people) as select 1", "42501"),
        ("select * from json_to_record('{}') as x (a people)", "42501"),
    ],
)
def test_functions_and_types(sent: str, sqlstate: str) -> None:
    assert refused(sent) == sqlstate


@pytest.mark.parametrize(
    "sent",
    [
        "select 1 = 2",
        "select 1 === 2",
        "select 1 operator(public.===) 2",
        "select 1 in (select id from things)",
        "select id = any (array[1]) from things",
        "select case id when 1 then 2 end from things",
        "select 1 from things join whole using (id)",
        "select 1 from things natural join whole",
        "select nullif(1, 2)",
        "select 1 order by 1 using ===",
    ],
)
def test_operators_of_the_users(sent: str) -> None:
    assert refused(sent, by=verifier(snapshot=SNAPSHOT)) == "42501"
    if "===" not in sent:
        proved(sent)


def test_operators_of_pg_catalog() -> None:
    verifier(snapshot=SNAPSHOT).verify("select 1 operator(pg_catalog.=) 2", "select 1 operator(pg_catalog.=) 2", PATH)


# -- statements -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sent",
    [
        "do 'begin end'",
        "call spy(1)",
        "create view v as select 1",
        "create function f() returns int return 1",
        "alter table things add x int",
        "lock table things",
        "vacuum things",
        "grant all on things to public",
        "set role postgres",
        "set session authorization postgres",
        "set standard_conforming_strings = off",
        "set client_encoding = 'SJIS'",
        "set search_path = public, pg_catalog",
        "set search_path = consentry",
        "set transaction snapshot 'x'",
        "set row_security = off",
        "set row_security to yes, no",
        "set array_nulls = false",
        "set transform_null_equals = on",
        "set backslash_quote = on",
        "set quote_all_identifiers = 1",
        "set constraint_exclusion = on",
        "select set_config('row_security', 'off', false)",
        "select set_config('array_nulls', lower('ON'), false)",
        "set session_replication_role = replica",
        "listen consentry_consent",
        "notify consentry_consent",
        "copy things to '/tmp/x'",
        "copy things from program 'ls'",
        "copy pg_class to stdout",
        "copy people from stdin",
        "explain create table t as select 1",
        "load 'x'",
        "checkpoint",
        "alter system set work_mem = 1",
    ],
)
def test_statements_that_are_not_listed(sent: str) -> None:
    refused(sent)


@pytest.mark.parametrize("option", ["verbose", "verbose 1", "verbose off, verbose", "verbose 'on'", "wal", "wal true"])
def test_explain_names_what_forms_leave_out(option: str) -> None:
    sent, final = "select id from people", f"select id from {PEOPLE} people"
    assert refused(f"explain ({option}) {sent}", f"explain ({option}) {final}") == "42501"
    assert (
        refused(f"explain ({option}) with p as ({sent}) select 1", f"explain ({option}) with p as ({final}) select 1")
        == "42501"
    )
    assert refused(f"explain ({option}) delete from people") == "42501"
    verifier(replace(APP, explain=True)).verify(f"explain ({option}) {sent}", f"explain ({option}) {final}", PATH)
    proved(f"explain ({option}) select id from things")
    proved(
        f"explain (verbose off, wal false, analyze 0) {sent}", f"explain (verbose off, wal false, analyze 0) {final}"
    )


@pytest.mark.parametrize(
    ("query", "harmless"),
    [
        ("select id from {p}", True),
        ("select ssn, id from {p} order by people.id limit 3", True),
        ("select people from {p}", True),
        ("select * from {p} where id = 1", True),
        ("select ssn as n from {p} order by id", True),
        ("select q.n from (select id as n from {p}) q order by q.n", True),
        ("select ssn as id from {p} order by id", False),
        ("select ssn from {p} order by 1", False),
        ("select id from {p} order by ssn", False),
        ("select id from {p} order by people", False),
        ("select distinct ssn from {p}", False),
        ("select ssn from {p} union select label from things", False),
        ("select max(ssn) from {p}", False),
        ("select ssn from (select ssn from {p}) q", False),
        ("with q as (select ssn from {p}) select 1 from q", False),
        ("select id from {p} where ssn = 'x'", False),
        ("select 1 from {p} natural join things", False),
        ("insert into things select id, ssn from {p}", False),
    ],
)
def test_explain_shows_no_masks(query: str, harmless: bool) -> None:
    sent, final = query.format(p="people"), query.format(p=f"{PEOPLE} people")
    if harmless:
        proved(f"explain {sent}", f"explain {final}")
    else:
        assert refused(f"explain {sent}", f"explain {final}") == "42501"
        verifier(replace(APP, explain=True)).verify(f"explain {sent}", f"explain {final}", PATH)


def test_explain_names_no_index_and_no_trigger() -> None:
    sent, final = "explain select id from people", f"explain select id from {PEOPLE} people"
    system = replace(SYSTEM, unexplained=frozenset({100}))
    assert refused(sent, final, by=Verifier(APP, SNAPSHOT, system)) == "42501"
    Verifier(replace(APP, explain=True), SNAPSHOT, system).verify(sent, final, PATH)
    proved("explain delete from things")
    assert refused("explain analyze delete from things") == "42501"
    assert refused("explain (analyze) with d as (delete from things returning *) select 1 from d") == "42501"
    proved("explain (analyze off) delete from things")


def test_explain_counts_hidden_rows() -> None:
    sent, final = "explain select id from visits", f"explain select id from {OPEN} visits"
    assert refused(sent, final) == "42501"
    assert refused("explain execute p") == "42501"
    assert refused("explain delete from visits", "explain delete from visits where (visits.person > 0)") == "42501"
    explains = verifier(replace(APP, explain=True))
    explains.verify(sent, final, PATH)
    explains.verify("explain execute p", "explain execute p", PATH)


# -- row policies and fences ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "rest",
    [
        "",
        "where id = 3",
        "where 3 = id and person between 1 and 2 or not note is null",
        "where id in (1, 2) and note > 'x'",
        "where id = person",
        "where id = $1",
        "join things t on t.id = visits.id",
        "where exists (select from things t where t.id = visits.id)",
        "where id in (select id from things) or id not in (select t.id from things t where t.label = 'x')",
        "where (id, person) = (1, 2) or (id, person) >= ($1, $2::bigint)",
        "where id = any ($1) or person = any (array[1, 2]) or note = any ('{x}') or note <> all ($2::text[])",
        "where id = $1::int or id < '7'::bigint or note = 'x'::varchar or person = cast($2 as pg_catalog.int8)",
        "where id = $1::int and person = $1::int",
        "where id is distinct from 1 and person is not distinct from $1 and id not between 2 and $2::smallint",
        "where $1::int is null or id = $1::int",
        "group by note having count(*) > 1 and not (lower(max(note)) > 'x' or note <> 'y')",
        "join (select id, coalesce(max(label), '') as x from things group by id) t on t.id = visits.id and t.x is null",
        "join (select id, count(*) as n from things group by id having count(label) > 1) t on t.id = visits.id",
        "join (select id, label from things) t (a, b) on t.a = visits.id and t.b = visits.note",
        "join (select id, label from things union all select t.id, t.label from things t) u (a, b) on u.a = visits.id",
        "join (select id from things union (select id from whole except select id from things)) t on t.id = visits.id",
        "join (select id, label::text as l from things) t on t.id = visits.id and t.l is not null",
        "join things using (id) as u where u.id = 1 and visits.id = 2",
        "order by note desc, id limit $1::bigint offset 1",
        "group by note order by max(lower(note)), count(distinct note), 1 / count(*)",
        "order by b, n",  # not the output that is called `lower`
    ],
)
def test_what_needs_no_fence(rest: str) -> None:
    output = "count(lower(note))" if "group by note" in rest else "lower(note), id as b, note || 'x', note as n"
    proved(f"select {output} from visits {rest}", f"select {output} from {OPEN} visits {rest}")
    proved(f"select {output} from visits {rest}", f"select {output} from {FENCED} visits {rest}")


@pytest.mark.parametrize(
    "rest",
    [
        "where lower(note) = 'x'",
        "where note::int = 1",
        "join (select id from things union all select label from things) t on t.id = visits.id",
        "join (select id, label from things union all select label, id from things) t on t.id = visits.id",
        "join (select label, id from things union all select id, id from things) t (a, b) on t.a = visits.id",
        "join (select id, id from things union all select label, id from things) t (a, b) on t.a = visits.id",
        "join (select * from things union all select label, id from things) t on t.id = visits.id",
        "join (select id from things union all (select id from things union select label from things)) t on t.id = visits.id",
        "join (select id, id::text as l from things) t on t.id = visits.id",
        "join (select id, label::varchar(3) as l from things) t on t.id = visits.id",
        "join (select id, label::name as l from things) t on t.id = visits.id",
        "join (select id, lower(label)::text as l from things) t on t.id = visits.id",
        "where note like 'x%'",
        "where id = 1.5",
        "where id = $1 and person = $1",
        "where id + 1 = 2",
        "where id = (select 1)",
        "where case when id = 1 then true end",
        "group by id having lower(min(note)) > 'x' or lower(note) = 'x'",
        "group by id having not (min(id) > 1 or lower(note) = 'x')",
        "group by id having case when true then lower(note) = 'x' else count(*) > 1 end",
        "group by id having coalesce(lower(note) = 'x', count(*) > 1)",
        "group by id having (count(*), lower(note)) = (1, 'x')",
        "group by id having lower(note) between 'x' and max(note)",
        "group by id having lower(note) in ('x', max(note))",
        "group by id having count(*) over () > 1",
        "join (select id, case when true then lower(label) else max(label) end as x from things group by id) t on t.x is null",
        "group by id, note having count(*) > 1 and lower(note) = 'x'",
        "where exists (select from things t having lower(max(visits.note)) = 'x')",
        "limit 1 + 1",
        "join things t on lower(t.label) = 'x'",
        "natural join things",
        ", generate_series(1, 2)",
        ", lateral (select lower(visits.note)) x",
        "where (id, person) = (1, 1.5)",
        "where (id, person + 1) < (1, 2)",
        "where id = any ($1) and person = any ($1)",
        "where id = any (array[1.5])",
        "where id = any (array(select id from things))",
        "where id = any (person)",
        "where note = any (array['x', $1])",
        "where id = $1::numeric",
        "where id = $1::int and person = $1::bigint",
        "where note = $1::varchar(3)",
        "where id = lower('1')::int",
        "where id = 'x'::text::int",
        "where id is distinct from 1.5",
        "where id in (select id + 1 from things)",
        "where id in (select lower(label)::int from things)",
        "where id not in (select id from things where lower(label) = 'x')",
        "where id = (select max(id) from things)",
        "where (select max(1 / t.id) from things t where lower(t.label) = 'x') is null",
        "where note > now()",
        "join (select lower(label) as id, id as x from things) t on t.x = visits.id",
        "join (select id::text as id from things) t on t.id = visits.note",
        "join (select id from things union select 2.5) t on t.id = visits.id",
        "where visits.row_to_json is null",
        "join things using (id) as u where u.label = 'x'",
        "where exists (select from (whole a join things b on a.id = b.id) as j (x, y) where j.y = 1)",
        "where exists (select from (whole a join things b on a.id = b.id) as j where j.id = 1)",
        "order by lower(note)",
        "order by id, lower(note) desc",
        "order by id using <",
        "order by (select max(lower(t.label)) from things t where t.id = visits.id)",
        "group by id, lower(note)",
        "group by rollup (id, (lower(note)))",
        "group by id having count(distinct lower(note)) > 1",
        "group by id having max(note order by lower(note)) > ''",
        "window w as (partition by lower(note))",
        "window w as (order by id, lower(note))",
    ],
)
def test_what_needs_a_fence(rest: str) -> None:
    refused(f"select 1 from visits {rest}", f"select 1 from {OPEN} visits {rest}")
    proved(f"select 1 from visits {rest}", f"select 1 from {FENCED} visits {rest}")


@pytest.mark.parametrize(
    ("outputs", "rest"),
    [
        ("distinct note, lower(note)", ""),
        ("distinct on (lower(note)) note", ""),
        ("note, lower(note)", "order by 1, 2"),
        ("note, lower(note)", "order by lower"),
        ("note, lower(note)::varchar", "order by lower"),
        ("note, lower(note) as low", "order by low desc"),
        ("note, lower(note) as low", "group by 1, low"),
        ("note, lower(note) as low", "group by grouping sets ((1), (1, 2))"),
        ("note, (note || 'x')::varchar", "order by varchar"),
        ("note, note || 'x'", 'order by "?column?"'),
        ("note, coalesce(lower(note), 'x')", "order by coalesce"),
        ("note, coalesce(lower(note), 'x')", "order by id"),  # its name is not looked for
        ("note, count(*) over (order by lower(note))", ""),
        ("note, count(*) filter (where note > 'x') over (partition by id, lower(note))", ""),
        ("count(distinct lower(note))", ""),
        ("1 + max(note order by id, lower(note))::int", ""),
        ("(select count(distinct lower(note)) from visits)", ""),
        ("json_arrayagg(note order by lower(note))", ""),
    ],
)
def test_what_rows_are_sorted_by_needs_a_fence(outputs: str, rest: str) -> None:
    inner = "from visits)" in outputs
    for form in (OPEN, FENCED):
        sent = f"select {outputs} {'from things' if inner else 'from visits'} {rest}"
        final = sent.replace("from visits", f"from {form} visits")
        (refused if form == OPEN else proved)(sent, final)


def test_a_fence_keeps_the_statistics_of_texts_away() -> None:
    """PostgreSQL runs LIKE on values in them: a column through a sub-query is still the column."""
    sent = "select 1 from visits where note like 'x%'"
    proved(sent, f"select 1 from {FENCED} visits where note like 'x%'")
    for wrong in (
        VISITS.format(" OFFSET 0"),
        FENCED.replace('COALESCE(_t."note", _t."note")', '_t."note"'),
        FENCED.replace('COALESCE(_t."note", _t."note")', 'COALESCE(_t."note")'),
        FENCED.replace('COALESCE(_t."note", _t."note")', "COALESCE(_t.\"note\", '')"),
        FENCED.replace('_t."id",', 'COALESCE(_t."id", _t."id") AS "id",'),
    ):
        refused(sent, f"select 1 from {wrong} visits where note like 'x%'")
    refused("select 1 from visits", f"select 1 from {FENCED.replace(' OFFSET 0', '')} visits")


def seen(view: str, form: str) -> str:
    """What stands for a view."""
    (definition,) = (one.definition for one in SNAPSHOT.relations.values() if one.key == ("public", view))
    assert definition is not None
    return f"({definition.strip(' ;').replace('public.visits v', f'{form} v')}) as {view}"


@pytest.mark.parametrize(
    "sent",
    [
        "select id, low from v_visits where id = 3",
        "select lower(low) as b, low || 'x' from v_visits order by id, person desc",
        "select * from v_visits v where 5 > v.person limit 3",
        "select v_visits, v_visits.* from v_visits where exists (select from things t where t.id = v_visits.id)",
        "select low from things t join v_visits on v_visits.id = t.id and person = 3, whole",
        "select low from v_visits left join things t on t.id = v_visits.id where t.label = 'x'",
        "select id, max(low) from v_visits group by id",
        "select case when low > 'x' then 1 / id end from v_visits",
        "select low, (select max(label) from things where things.id = v_visits.id) from v_visits",
        "explain select low from v_visits",
    ],
)
def test_what_a_view_computes_is_put_out(sent: str) -> None:
    for form in (OPEN, FENCED):
        at = " v" if "v_visits v " in sent else ""
        shown = seen("v_visits", form) if not at else seen("v_visits", form).removesuffix("as v_visits").strip()
        final = sent.replace(f"from v_visits{at}", f"from {shown}{at}").replace("join v_visits", f"join {shown}")
        if sent.startswith("explain"):
            assert refused(sent, final) == "42501"  # it would show the definition
        else:
            proved(sent, final)


@pytest.mark.parametrize(
    "sent",
    [
        "select id from v_visits where low = 'x'",
        "select id from v_visits where v_visits.low is null",
        "select id from v_visits where id = 3 and lower(label) = 'x'",
        "select low from v_visits order by low",
        "select low from v_visits order by id, 1",
        "select low as x from v_visits order by x",
        "select distinct low from v_visits",
        "select distinct on (id) low, id from v_visits order by id, v_visits",
        "select count(*) over (partition by low) from v_visits",
        "select count(distinct low) from v_visits",
        "select max(id order by low) from v_visits",
        "select id from v_visits group by id having max(low) > 'x'",
        "select id, max(low) from v_visits group by rollup (id)",
        "select low, count(*) from v_visits group by 1",
        "select id from v_visits where v_visits is null",
        "select id from v_visits where row(v_visits.*) is null",
        "select id from v_visits where (v_visits).low is null",
        "select b from v_visits as v_visits (a, b, c)",
        "select b from v_visits as v_visits (a, b, c) where c = 'x'",
        "select (select low) from v_visits",
        "select (select max(t.label) from things t where t.label = v_visits.low) from v_visits",
        "select low from things t left join v_visits on v_visits.id = t.id",
        "select low from v_visits right join things t on v_visits.id = t.id",
        "select low from v_visits full join things t on v_visits.id = t.id",
        "select low from v_visits left join things t on v_visits.id = t.id and v_visits.low = 'x'",
        "select low from v_visits join things t using (id)",
        "select j.low from (v_visits cross join things) as j",
        "select low from v_visits natural join things",
        "select x.low from (select * from v_visits) x",
        "select x.id from (select id from v_visits) x",
        "with x as (select id, low from v_visits) select id from x",
        "select low from v_visits union all select 'x'",
        "select (select low from v_visits limit 1)",
        "select low from v_visits, lateral (select low) x",
        "select low from v_visits, generate_series(1, 2)",
        "insert into things select id, low from v_visits",
        "select low from v_low where id = 3",
        "select id, rank from v_ranked where id = 3",
    ],
)
def test_what_a_view_computes_needs_a_fence_where_it_is_more_than_put_out(sent: str) -> None:
    for form in (OPEN, FENCED):
        final = sent
        for view in ("v_visits", "v_low", "v_ranked"):
            alias = f" as {view}" if f"{view} as" in sent else ""
            shown = seen(view, form).removesuffix(f" as {view}") + (alias or f" as {view}")
            final = re.sub(rf"(from|join) {view}\b{alias}", rf"\1 {shown}", final)
        final = final.replace("(v_visits cross", f"({seen('v_visits', form)} cross")
        (refused if form == OPEN else proved)(sent, final)


def test_columns_called_by_their_schema() -> None:
    """As long as nothing else of the statement has the relation's name."""
    for where in (
        "public.visits.id = 3",
        "public.visits.note is null and exists (select from public.things t where t.id = 1)",
    ):
        sent, final = f"select 1 from public.visits where {where}", where.replace("public.visits.", "visits.")
        proved(sent, f"select 1 from {OPEN} visits where {final}")
    copied = fenced(" AND (_t.id operator(pg_catalog.=) 3)")
    sent = "select 1 from public.visits where public.visits.id = 3 and lower(public.visits.note) = 'x'"
    proved(sent, f"select 1 from {copied} visits where visits.id = 3 and lower(visits.note) = 'x'")
    sent = "select 1 from public.visits, (select lower(label) as id from things) visits2 where {}.id = 3"
    refused(
        sent.format("public.visits"),
        f"select 1 from {OPEN} visits, (select lower(label) as id from things) visits2 where visits.id = 3",
    )
    inner = "exists (select from things visits where public.visits.id = 3 and visits.label = 'x')"
    refused(
        f"select 1 from public.visits where {inner}",
        f"select 1 from {OPEN} visits where {inner.replace('public.visits.id', 'visits.id')}",
    )


def test_a_fence_in_every_level() -> None:
    sent = "select * from (select id, lower(note) from visits) x"
    refused(sent, f"select * from (select id, lower(note) from {OPEN} visits) x")
    proved(sent, f"select * from (select id, lower(note) from {FENCED} visits) x")
    sent = "with x as (select lower(label) from things) select id from visits"
    refused(sent, f"with x as (select lower(label) from things) select id from {OPEN} visits")


@pytest.mark.parametrize(
    ("where", "copied"),
    [
        ("id = 3", "_t.id operator(pg_catalog.=) 3"),
        ("v.id = 3", "_t.id operator(pg_catalog.=) 3"),
        ("3 > id", "_t.id operator(pg_catalog.<) 3"),
        ("id in (1, 2)", "_t.id operator(pg_catalog.=) any (array[1, 2])"),
        ("id between 1 and 2", "_t.id operator(pg_catalog.>=) 1"),
        ("note = 'x'", "_t.note operator(pg_catalog.=) 'x'"),
        ("id = $1", "_t.id operator(pg_catalog.=) $1"),
    ],
)
def test_comparisons_inside_of_the_fence(where: str, copied: str) -> None:
    sent = f"select 1 from visits v where {where} and lower(note) = 'x'"
    inside = fenced(f" and ({copied})")
    proved(sent, f"select 1 from {inside} v where {where} and lower(note) = 'x'")
    refused(sent, f"select 1 from {unfenced(inside)} v where {where} and lower(note) = 'x'")


@pytest.mark.parametrize(
    ("where", "copied"),
    [
        ("id = 3", "_t.id operator(pg_catalog.=) 4"),
        ("id = 3", "_t.person operator(pg_catalog.=) 3"),
        ("id = 3", "_t.id = 3"),
        ("id = 3 or id = 4", "_t.id operator(pg_catalog.=) 3"),
        ("not id = 3", "_t.id operator(pg_catalog.=) 3"),
        ("id <> 3", "_t.id operator(pg_catalog.<>) 3"),
        ("id = 3.5", "_t.id operator(pg_catalog.=) 3.5"),
        ("id = person", "_t.id operator(pg_catalog.=) _t.person"),
        ("w.id = 3", "_t.id operator(pg_catalog.=) 3"),
        ("id = $1 and person = $1", "_t.id operator(pg_catalog.=) $1"),
        ("cost = '3'", "_t.cost operator(pg_catalog.=) '3'"),
        ("lower(note) = 'x'", "pg_catalog.lower(_t.note) operator(pg_catalog.=) 'x'"),
    ],
)
def test_what_is_no_copy_of_the_apps(where: str, copied: str) -> None:
    sent = f"select 1 from whole w, visits v where {where} and lower(note) = 'x'"
    inside = fenced(f" and ({copied})")
    refused(sent, f"select 1 from whole w, {inside} v where {where} and lower(note) = 'x'")


# FROM, WHERE beside something that needs the fence, and what goes inside of the form of visits.
COPIES = [
    ("visits v", "id = any ($1)", "_t.id operator(pg_catalog.=) any ($1)"),
    ("visits v", "id = any ('{1}'::int[])", "_t.id operator(pg_catalog.=) any ('{1}'::int[])"),
    ("visits v", "id = $1::pg_catalog.int8", "_t.id operator(pg_catalog.=) $1::pg_catalog.int8"),
    ("visits v", "(v.id, person) < (1, $1)", "row(_t.id, _t.person) operator(pg_catalog.<) row(1, $1)"),
    ("visits v", "(v.id, person) = (1, $1)", "_t.person operator(pg_catalog.=) $1"),
    ("visits v", "id is null", "_t.id is null"),
    ("visits v left join things t on true", "v.id is null", "_t.id is null"),
    ("things t left join visits v on v.id = t.id", "v.id is not null", "_t.id is not null"),
    ("things t left join visits v on v.id = t.id and v.person = 3", "true", "_t.person operator(pg_catalog.=) 3"),
    ("visits v right join things t on v.person = 3", "true", "_t.person operator(pg_catalog.=) 3"),
    ("things t join visits v on v.id = t.id", "t.id = 3", "_t.id operator(pg_catalog.=) 3"),
    ("visits v left join things t on true", "v.id = t.id and t.id in (1, 2)", "_t.id operator(pg_catalog.=) any (array[1, 2])"),
    ("visits v, (select x.id as n from things x) t", "v.id = t.n and t.n = $1", "_t.id operator(pg_catalog.=) $1"),
]  # fmt: skip


@pytest.mark.parametrize(("sources", "where", "copied"), COPIES)
def test_more_comparisons_inside_of_the_fence(sources: str, where: str, copied: str) -> None:
    sent = f"select 1 from {sources} where {where} and lower(v.note) = 'x'"
    inside = fenced(f" and ({copied})")
    proved(sent, sent.replace("visits v", f"{inside} v"))
    refused(sent, sent.replace("visits v", f"{unfenced(inside)} v"))


@pytest.mark.parametrize(
    ("sources", "where", "copied"),
    [
        ("visits v", "id = any ($1) and id = $1", "_t.id operator(pg_catalog.=) any ($1)"),
        ("visits v", "id <> all ($1)", "_t.id operator(pg_catalog.=) any ($1)"),
        ("visits v", "id = any ('{1}'::int[])", "_t.id operator(pg_catalog.=) any ('{1}')"),
        ("visits v", "id = $1::numeric", "_t.id operator(pg_catalog.=) $1::numeric"),
        ("visits v", "(v.id, person) < (1, 2)", "_t.id operator(pg_catalog.<) 1"),
        ("visits v", "(v.id, person) < (1, 2)", "row(_t.person, _t.id) operator(pg_catalog.<) row(1, 2)"),
        ("visits v", "(v.id, person) < (1, 2)", "row(_t.id, _t.person) operator(pg_catalog.<=) row(1, 2)"),
        ("visits v", "(v.id, person) <> (1, 2)", "_t.id operator(pg_catalog.=) 1"),
        ("visits v", "id is not null", "_t.id is null"),
        ("visits v", "id is null or id = 1", "_t.id is null"),
        ("things t left join visits v on v.id = t.id", "v.id is null", "_t.id is null"),
        ("things t full join visits v on v.id = t.id and v.person = 3", "true", "_t.person operator(pg_catalog.=) 3"),
        ("visits v left join things t on v.person = 3", "true", "_t.person operator(pg_catalog.=) 3"),
        ("visits v left join things t on v.id = t.id and t.id = 3", "true", "_t.id operator(pg_catalog.=) 3"),
        ("visits v, things t", "v.id = t.id and t.id < 3", "_t.id operator(pg_catalog.=) 3"),
        ("visits v, things t", "v.id <= t.id and t.id = 3", "_t.id operator(pg_catalog.=) 3"),
        ("visits v, things t", "v.id = t.id and t.label = 'x'", "_t.id operator(pg_catalog.=) 'x'"),
        ("visits v, things t", "v.note = t.label and t.label = lower('x')", "_t.note operator(pg_catalog.=) lower('x')"),
        ("visits v, things t", "v.id = t.id", "_t.id operator(pg_catalog.=) t.id"),
        ("visits v, (select lower(x.label) as n from things x) t", "v.note = t.n and t.n = 'x'", "_t.note operator(pg_catalog.=) 'x'"),
    ],
)  # fmt: skip
def test_what_does_not_follow_from_the_apps(sources: str, where: str, copied: str) -> None:
    sent = f"select 1 from {sources} where {where} and lower(v.note) = 'x'"
    inside = fenced(f" and ({copied})")
    refused(sent, sent.replace("visits v", f"{inside} v"))


def carried(sent: str, view: str, copied: str) -> str:
    """What is sent for a text that reads a view, with a comparison inside of its form."""
    form = fenced(f" and ({copied})")
    return sent.replace(f"{view} v", f"{seen(view, form).removesuffix(f' as {view}')} v")


# The view, WHERE beside something that needs the fence, and what goes inside of the form of visits.
CARRIED = [
    ("v_visits", "v.id = 3", "_t.id operator(pg_catalog.=) 3"),
    ("v_visits", "3 = id", "_t.id operator(pg_catalog.=) 3"),
    ("v_visits", "id = $1", "_t.id operator(pg_catalog.=) $1"),
    ("v_visits", "id = $1::int8", "_t.id operator(pg_catalog.=) $1::int8"),
    ("v_visits", "person in (1, 2)", "_t.person operator(pg_catalog.=) any (array[1, 2])"),
    ("v_visits", "person = any ($1)", "_t.person operator(pg_catalog.=) any ($1)"),
    ("v_visits", "id between 1 and 2", "_t.id operator(pg_catalog.<=) 2"),
    ("v_visits", "(id, person) = (1, 2)", "_t.person operator(pg_catalog.=) 2"),
    ("v_visits", "exists (select from things) and id < 5 and low > 'x'", "_t.id operator(pg_catalog.<) 5"),
    ("v_visits", "t.id = v.person and t.id = 3", "_t.person operator(pg_catalog.=) 3"),
    ("v_visits", "t.id = v.person and t.id in (3, 4)", "_t.person operator(pg_catalog.=) any (array[3, 4])"),
    ("v_joined", "v.id = 3", "_t.person operator(pg_catalog.=) 3"),
    ("v_joined", "v.note = 'x'", "_t.note operator(pg_catalog.=) 'x'"),
]
NOT_CARRIED = [
    ("v_visits", "v.id = 3", "_t.id operator(pg_catalog.=) 4"),
    ("v_visits", "v.id = 3", "_t.person operator(pg_catalog.=) 3"),
    ("v_visits", "v.id = 3", "_t.id = 3"),
    ("v_visits", "v.id = 3 or v.id = 4", "_t.id operator(pg_catalog.=) 3"),
    ("v_visits", "not v.id = 3", "_t.id operator(pg_catalog.=) 3"),
    ("v_visits", "v.id <> 3", "_t.id operator(pg_catalog.<>) 3"),
    ("v_visits", "v.id <= 3", "_t.id operator(pg_catalog.<) 3"),
    ("v_visits", "v.id <= 3", "_t.id operator(pg_catalog.>=) 3"),
    ("v_visits", "v.id = 3.5", "_t.id operator(pg_catalog.=) 3.5"),
    ("v_visits", "v.id = 1 / v.person", "_t.id operator(pg_catalog.=) 1 / _t.person"),
    ("v_visits", "1 / v.id = 3", "1 / _t.id operator(pg_catalog.=) 3"),
    ("v_visits", "v.id = 3 + 1", "_t.id operator(pg_catalog.=) 3 + 1"),
    ("v_visits", "v.id = v.person", "_t.id operator(pg_catalog.=) _t.person"),
    ("v_visits", "v.id = t.id", "_t.id operator(pg_catalog.=) t.id"),
    ("v_visits", "t.id = 3", "_t.id operator(pg_catalog.=) 3"),
    ("v_visits", "v.low = 'x'", "pg_catalog.lower(_t.note) operator(pg_catalog.=) 'x'"),
    ("v_visits", "v.low = 'x'", "_t.note operator(pg_catalog.=) 'x'"),
    ("v_visits", "v.id = $1 and v.person = $1", "_t.id operator(pg_catalog.=) $1"),
    ("v_visits", "v.id = $1::numeric", "_t.id operator(pg_catalog.=) $1::numeric"),
    ("v_visits", "v.id = lower('3')::int", "_t.id operator(pg_catalog.=) lower('3')::int"),
    ("v_visits", "v.id <= t.id and t.id = 3", "_t.id operator(pg_catalog.=) 3"),
    ("v_visits", "v.person = t.id and t.id < 3", "_t.person operator(pg_catalog.<) 3"),
    ("v_visits", "(v.id, v.person) < (1, 2)", "_t.id operator(pg_catalog.<) 1"),
    ("v_visits", "case when v.id = 3 then true end", "_t.id operator(pg_catalog.=) 3"),
    ("v_visits", "exists (select from things t where v.id = 3)", "_t.id operator(pg_catalog.=) 3"),
    ("v_joined", "v.id = 3", "_t.id operator(pg_catalog.=) 3"),
    ("v_joined", "v.id < 3", "_t.person operator(pg_catalog.<) 3"),
    ("v_joined", "v.note is null", "_t.note is null"),
    ("v_few", "v.id = 3", "_t.id operator(pg_catalog.=) 3"),
    ("v_groups", "v.id = 3", "_t.id operator(pg_catalog.=) 3"),
    ("v_once", "v.id = 3", "_t.id operator(pg_catalog.=) 3"),
    ("v_ranked", "v.id = 3", "_t.id operator(pg_catalog.=) 3"),
]


@pytest.mark.parametrize(("view", "where", "copied"), CARRIED)
def test_comparisons_that_a_view_is_asked_for_are_copied_inside(view: str, where: str, copied: str) -> None:
    at = "things t, " if "t.id" in where else ""
    sent = f"select 1 from {at}{view} v where {where} and lower('x') = 'x'"
    proved(sent, carried(sent, view, copied))
    refused(sent, unfenced(carried(sent, view, copied)))


@pytest.mark.parametrize(("view", "where", "copied"), NOT_CARRIED)
def test_nothing_else_that_a_view_is_asked_for_is(view: str, where: str, copied: str) -> None:
    at = "" if "exists" in where else "things t, "
    sent = f"select 1 from {at}{view} v where {where} and lower('x') = 'x'"
    refused(sent, carried(sent, view, copied))
    proved(sent, carried(sent, view, "person > 0").replace(" and (person > 0)", ""))


def test_comparisons_go_through_views_of_views() -> None:
    sent = "select 1 from v_deep v where who = 3 and number + 1 = 2"
    for copied, check in (
        ("_t.person operator(pg_catalog.=) 3", proved),
        ("_t.id operator(pg_catalog.=) 3", refused),
        ("_t.id operator(pg_catalog.=) 2", refused),
    ):
        inner = carried("v_visits v", "v_visits", copied).removesuffix(" v")
        outer = f"(select x.id as number, x.person as who from {inner} x where x.low > 'x'::text)"
        check(sent, sent.replace("v_deep", outer))


def test_a_condition_of_a_join_binds_the_side_that_it_binds() -> None:
    copied = "_t.id operator(pg_catalog.=) 3"
    for join, check in (("join", proved), ("left join", refused), ("right join", proved), ("full join", refused)):
        sent = f"select 1 from v_visits v {join} things t on v.id = 3 and lower('x') = 'x'"
        check(sent, carried(sent, "v_visits", copied))
    for sent in (
        "select 1 from v_visits v where id = 3 and low > 'x' union all select id from v_visits w",
        "select (select 1 from v_visits v where id = 3 and low > 'x') from things",
        "with x as (select low from v_visits v where id = 3 and low > 'x') select * from x",
        "select 1 from v_visits v (a, b, c) where a = 3 and c > 'x'",
    ):
        final = carried(sent, "v_visits", copied)
        proved(sent, final.replace("v_visits w", f"{seen('v_visits', FENCED).removesuffix(' as v_visits')} w"))
    other = "select 1 from v_visits v (person, id, low) where id = 3 and low > 'x'"
    refused(other, carried(other, "v_visits", copied))
    proved(other, carried(other, "v_visits", "_t.person operator(pg_catalog.=) 3"))


def test_a_value_means_in_a_view_what_it_means_in_the_statement() -> None:
    """A cast is looked up in the session's path, a parameter has the session's type."""
    for value in ("$1::text", "'x'::text"):
        sent = f"select 1 from v_joined v where note = {value} and lower(note) > 'x'"
        final = carried(sent, "v_joined", f"_t.note operator(pg_catalog.=) {value}")
        proved(sent, final)
        other = SearchPath(("public", "pg_catalog"))
        refused(sent, final, path=other)
        proved(sent, final.replace(f" and (_t.note operator(pg_catalog.=) {value})", ""), path=other)
    for types, check in (((23,), True), ((20,), True), ((1700,), False), ((25,), False)):
        sent = "select 1 from v_visits v where id = $1 and low > 'x'"
        final = carried(sent, "v_visits", "_t.id operator(pg_catalog.=) $1")
        if check:
            proved(sent, final, types=types)
        else:
            with pytest.raises(PgError):
                proved(sent, final, types=types)


def test_a_copy_may_name_a_query_around() -> None:
    sent = "select 1 from things t where exists (select 1 from visits v where v.id = t.id and lower(note) = 'x')"
    inside = fenced(" and (_t.id operator(pg_catalog.=) t.id)")
    proved(sent, sent.replace("visits v", f"{inside} v"))
    lateral = "select 1 from things t, lateral (select 1 from visits v where v.id = t.id and lower(note) = 'x') x"
    proved(lateral, lateral.replace("visits v", f"{inside} v"))
    shadowed = (
        "select 1 from things t where exists (select 1 from visits v, things t where v.id = t.id and lower(note) = 'x')"
    )
    refused(shadowed, shadowed.replace("visits v", f"{inside} v"))
    label = sent.replace("t.id", "t.label").replace("v.id", "v.note")
    other = fenced(" and (_t.id operator(pg_catalog.=) t.label)")
    refused(label, label.replace("visits v", f"{other} v"))


def test_no_copies_where_an_alias_hides_the_names() -> None:
    sent = "select 1 from (visits v cross join things) j (id) where id = 3 and lower(note) = 'x'"
    inside = fenced(" and (_t.id operator(pg_catalog.=) 3)")
    refused(sent, sent.replace("visits v", f"{inside} v"))
    proved(sent, sent.replace("visits v", f"{FENCED} v"))


def test_parameters_of_another_type_are_compared_by_another_operator() -> None:
    sent = "select 1 from visits where id = $1 and lower(note) = 'x'"
    inside = fenced(" and (_t.id operator(pg_catalog.=) $1)")
    for types in ((), (0,), (23,), (20,), (705,)):
        proved(sent, sent.replace("visits", f"{inside} visits"), types=types)
    for types in ((1700,), (25,)):
        with pytest.raises(PgError):
            proved(sent, sent.replace("visits", f"{inside} visits"), types=types)
    prepared = "prepare p (numeric) as select 1 from visits where id = $1"
    refused(prepared, prepared.replace("visits", f"{OPEN} visits"))


# -- writes ---------------------------------------------------------------------------------------------------------

_SSN = "((NULL)::text)"
_OLD_SSN = f"(case when (old.*) is distinct from null then {_SSN} else (null)::text end)"
_ROW = f"(select _r from (select people.id, people.name, {_SSN} as ssn) as _r)"
_OLD = f"(select _r from (select old.id, old.name, {_OLD_SSN} as ssn where (old.*) is distinct from null) as _r)"


@pytest.mark.parametrize(
    ("sent", "final"),
    [
        ("update people set name = 'x' where id = 1", None),
        ("update people p set name = p.ssn where ssn = '1' returning ssn, p.ssn x, id", f"update people p set name = {_SSN} where {_SSN} = '1' returning {_SSN} as ssn, {_SSN} x, id"),
        ("delete from people returning *", f"delete from people returning people.id, people.name, {_SSN} as ssn"),
        ("delete from people p returning p.*, 1", f"delete from people p returning p.id, p.name, {_SSN} as ssn, 1"),
        ("update people set name = 'x' returning old.ssn, new.id", f"update people set name = 'x' returning {_OLD_SSN} as ssn, new.id"),
        ("update people set name = 'x' returning people, (people).name, row (people.*)", f"update people set name = 'x' returning {_ROW} as people, (people).name, row (people.id, people.name, {_SSN})"),
        ("update people set name = row_to_json(people)::text where people is null", f"update people set name = row_to_json({_ROW})::text where {_ROW} is null"),
        ("update people set name = 'x' returning old, (old.*)::text", f"update people set name = 'x' returning {_OLD} as old, ({_OLD})::text as old"),
        ("update people set name = 'x' returning ssn::text, (ssn) collate \"C\", (ssn), lower(ssn)", f"update people set name = 'x' returning {_SSN}::text as ssn, {_SSN} collate \"C\" as ssn, {_SSN} as ssn, lower({_SSN})"),
        ("update people p set name = 'x' from things t, (whole w join things u using (id)) as j returning *", f"update people p set name = 'x' from things t, (whole w join things u using (id)) as j returning p.id, p.name, {_SSN} as ssn, t.*, j.*"),
        ("update people set name = 'x' from whole w join things t using (label) returning *", f"update people set name = 'x' from whole w join things t using (label) returning people.id, people.name, {_SSN} as ssn, label, w.id, t.id"),
        ("update people set name = secret from (select 'x' as secret) j where id = 1", "update people set name = j.secret from (select 'x' as secret) j where id = 1"),
        ("update people set name = (select secret from generate_series(1, 2) secret)", None),
        ("update people set name = 'x' from (select 1 as secret) j join (select 1 as secret) k using (secret) where id = secret", "update people set name = 'x' from (select 1 as secret) j join (select 1 as secret) k using (secret) as _u1 where id = _u1.secret"),
        ("update people set name = 'x' from (select 1 as secret) j join (select 1 as secret) k using (secret) as u where id = secret", "update people set name = 'x' from (select 1 as secret) j join (select 1 as secret) k using (secret) as u where id = u.secret"),
        ("update people set name = 'x' from (select 1 as secret) j join (select 1 as secret) k using (secret) returning *", f"update people set name = 'x' from (select 1 as secret) j join (select 1 as secret) k using (secret) as _u1 returning people.id, people.name, {_SSN} as ssn, _u1.secret"),
        ("with recursive r (n) as (select 1 union all select n + 1 from r) cycle n set secret using p delete from people using r where secret", "with recursive r (n) as (select 1 union all select n + 1 from r) cycle n set secret using p delete from people using r where r.secret"),
        ("update people set name = 'x' from tax(1) m where secret = 1", "update people set name = 'x' from tax(1) m where m.secret = 1"),
        ("update people set name = (select ssn from generate_series(1, 2) ssn)", None),
        ("update people set name = (select secret from tax(1) secret)", "update people set name = (select secret.secret from tax(1) secret)"),
        ("update people set name = (select secret from generate_series(1, 2) r (secret))", None),
        ("update people set name = (select 'x' as secret from things group by rollup (secret) order by secret)", None),
        ("update people set name = (select ssn from tax(1) ssn)", "update people set name = (select ssn.ssn from tax(1) ssn)"),
        ("update people set name = (select secret::text from things secret)", "update people set name = (select coalesce(secret.*)::text as secret from things secret)"),
        ("update people set name = (select (secret).label from things secret)", "update people set name = (select (secret.*).label from things secret)"),
        ("update people secret set name = 'x' returning (secret).id", "update people secret set name = 'x' returning (secret.*).id"),
        ("update people set name = (select q from json_table(ssn, '$' columns (q text)) j)", f"update people set name = (select q from json_table((select {_SSN}), '$' columns (q text)) j)"),
        ("update people set name = 'x' where current of c", None),
        ("delete from people where current of c returning ssn", f"delete from people where current of c returning {_SSN} as ssn"),
        ("insert into people (id) values (1) on conflict (ssn) do nothing", None),
        ("insert into people (id) values (1) on conflict (id) do update set name = people::text", f"insert into people (id) values (1) on conflict (id) do update set name = {_ROW}::text"),
        ("update people set name = 'x' from people p where p.id = people.id", f"update people set name = 'x' from {PEOPLE} p where p.id = people.id"),
        ("delete from people where exists (select from things where ssn = label)", f"delete from people where exists (select from things where {_SSN} = label)"),
        ("delete from people where exists (select from people where ssn = 'x')", f"delete from people where exists (select from {PEOPLE} people where ssn = 'x')"),
        ("insert into people (id, name) values (1, 'x') returning ssn", f"insert into people (id, name) values (1, 'x') returning {_SSN} as ssn"),
        ("insert into people values (1, 'x')", "insert into people (id, name) values (1, 'x')"),
        ("insert into people default values", None),
        ("insert into people (id) values (1) on conflict (id) do nothing", None),
        ("with d as (delete from people returning id) table d", None),
        ("delete from visits", "delete from visits where (visits.person > 0)"),
        ("delete from visits v where id = 1", "delete from visits v where (v.person > 0) and (id = 1)"),
        ("delete from visits v where lower(note) = 'x'", "delete from visits v where (v.person > 0) and case when (v.person > 0) then lower(note) = 'x' else false end"),
        ("delete from visits where id = 3 and lower(note) = 'x'", "delete from visits where (visits.id operator(pg_catalog.=) 3) and (visits.person > 0) and case when (visits.person > 0) then id = 3 and lower(note) = 'x' else false end"),
        ("copy people (id, name) from stdin", None),
        ("merge into whole w using people p on p.id = w.id when matched then do nothing", f"merge into whole w using {PEOPLE} p on p.id = w.id when matched then do nothing"),
    ],
)  # fmt: skip
def test_writes(sent: str, final: str | None) -> None:
    proved(sent, final)
    if final is not None:
        refused(sent)


@pytest.mark.parametrize(
    ("sent", "final"),
    [
        ("update people set name = 'x'", "update other.people set name = 'x'"),
        ("update people set ssn = 'x'", None),
        ("update people set secret = 'x'", None),
        ("update people set name = secret", None),
        ("update people set name = secret from (select 'x' as secret) j", None),
        ("update people set name = secret from (select 'x' as secret) j", "update people set name = people.secret from (select 'x' as secret) j"),
        ("update people set name = secret from (select 'x' as secret) j, things", "update people set name = things.secret from (select 'x' as secret) j, things"),
        ("update people set name = secret from (select 'x' as secret) j, (select 'y' as secret) k", "update people set name = j.secret from (select 'x' as secret) j, (select 'y' as secret) k"),
        ("update people set name = (select secret from things j) from (select 'x' as secret) j", "update people set name = (select j.secret from things j) from (select 'x' as secret) j"),
        ("update people set name = (select secret from pg_temp.t, generate_series(1, 2) secret)", None),
        ("update people set name = (select secret from tax(1) secret)", None),
        ("update people set name = (select secret from generate_series(1, 2) r)", "update people set name = (select r.secret from generate_series(1, 2) r)"),
        ("update people set name = (select ssn from tax(1) ssn)", None),
        ("update people set name = (select 'x' as secret from things order by secret || 'x')", None),
        ("update people set name = (select 'x' as secret from things group by (secret || 'x'))", None),
        ("update people set name = (select 'x' as ssn from things group by rollup (ssn))", f"update people set name = (select 'x' as ssn from things group by rollup ({_SSN}))"),
        ("update people set name = (select secret::text from things secret)", None),
        ("update people set name = (select secret::text from things secret)", "update people set name = (select coalesce(people.*)::text as secret from things secret)"),
        ("update people set name = (select secret::text from things secret)", "update people set name = (select coalesce(secret.*)::text from things secret)"),
        ("update people set name = (select secret from things secret)", "update people set name = (select secret.* from things secret)"),
        ("update people set name = (select (secret).label from things secret)", "update people set name = (select (people.*).label from things secret)"),
        ("update people set name = (select (secret).label from things secret)", None),
        ("update people secret set name = 'x' returning (secret).id", None),
        ("update people secret set name = 'x' returning (secret).ssn", "update people secret set name = 'x' returning (secret.*).ssn"),
        ("update people p set name = 'x' returning (p).id", "update people p set name = 'x' returning (p.*).id"),
        ("update people set name = (select q from json_table(ssn, '$' columns (q text)) j)", None),
        ("update people set name = (select q from json_table(ssn, '$' columns (q text)) j)", "update people set name = (select q from json_table((select ssn), '$' columns (q text)) j)"),
        ("update people set name = 'x' from (select 1 as secret) j join (select 1 as secret) k using (secret) where id = secret", None),
        ("update people set name = 'x' from (select 1 as secret) j join (select 1 as secret) k using (secret) where id = secret", "update people set name = 'x' from (select 1 as secret) j join (select 1 as secret) k using (secret) as _u1 where id = secret"),
        ("update people set name = 'x' from (select 1 as secret) j join (select 1 as secret) k using (secret) where id = secret", "update people set name = 'x' from (select 1 as secret) j join (select 1 as secret) k using (secret) as _u1 where id = people.secret"),
        ("update people set name = 'x' from (select 1 as secret) j join (select 1 as secret) k using (secret) where id = secret", "update people set name = 'x' from (select 1 as secret) j join (select 1 as secret) k using (secret) as people where id = people.secret"),
        ("update people set name = 'x' from (select 1 as secret) j join (select 1 as secret) k using (secret) where id = secret", "update people set name = 'x' from (select 1 as secret) j join (select 1 as secret) k using (secret) as j where id = j.secret"),
        ("update people set name = 'x' from (select 1 as secret) j join (select 1 as secret) k using (secret), (select 1 as secret) l where id = secret", "update people set name = 'x' from (select 1 as secret) j join (select 1 as secret) k using (secret) as _u1, (select 1 as secret) l where id = _u1.secret"),
        ("update people set name = 'x' from (select 1 as secret) j join (select 1 as secret) k using (secret), things _u1 where id = secret", "update people set name = 'x' from (select 1 as secret) j join (select 1 as secret) k using (secret) as _u1, things _u1 where id = _u1.secret"),
        ("update people set name = 'x' from (select 1 as secret) j join (select 1 as secret) k using (secret) where id = ssn::int", "update people set name = 'x' from (select 1 as secret) j join (select 1 as secret) k using (secret) as _u1 where id = _u1.ssn::int"),
        ("update people set name = 'x' from (select 1 as secret) j join (select 1 as secret) k using (secret) returning *", f"update people set name = 'x' from (select 1 as secret) j join (select 1 as secret) k using (secret) returning people.id, people.name, {_SSN} as ssn, secret"),
        ("update people set name = 'x' from (select 1 as secret) j join (select 1 as secret) k using (secret) returning *", f"update people set name = 'x' from (select 1 as secret) j join (select 1 as secret) k using (secret) as _u1 returning people.id, people.name, {_SSN} as ssn, people.secret"),
        ("with recursive r (n) as (select 1 union all select n + 1 from r where secret) cycle n set secret using p delete from people using r where n = id", "with recursive r (n) as (select 1 union all select n + 1 from r where people.secret) cycle n set secret using p delete from people using r where n = id"),
        ("delete from people where id in (with recursive r (n) as (select 1 union all select n + 1 from r where secret) cycle n set secret using p select n from r)", None),
        ("update people set name = 'x' from tax(1) m where secret = 1", None),
        ("update people set name = 'x' from tax(1) m where secret = 1", "update people set name = 'x' from tax(1) m where people.secret = 1"),
        ("update people set name = 'x' from tax(1) m where ssn = 1", "update people set name = 'x' from tax(1) m where m.ssn = 1"),
        ("update people set name = 'x' from tax(1) m where name = 'x'", "update people set name = 'x' from tax(1) m where m.name = 'x'"),
        ("update people set name = 'x' from tax(1) m, tax(1) n where secret = 1", "update people set name = 'x' from tax(1) m, tax(1) n where m.secret = 1"),
        ("update people set name = 'x' returning secret", None),
        ("update people set name = 'x' returning *", None),
        ("update people set name = 'x' returning people", None),
        ("update people set name = 'x' returning row_to_json(people)", None),
        ("update people set name = 'x' returning people.row_to_json", None),
        ("update people set name = 'x' returning new.to_jsonb", None),
        ("update people set name = 'x' returning (people).secret", None),
        ("update people set name = 'x' returning old.secret", None),
        ("update people set name = 'x' returning with (old as o) o.secret", None),
        ("update people set name = 'x' returning ssn", f"update people set name = 'x' returning {_SSN}"),
        ("update people set name = 'x' returning id", "update people set name = 'x' returning id as x"),
        ("update people set name = 'x' returning id", "update people set name = 'x' returning id, ssn"),
        ("update visits set note = 'x' where current of c", None),
        ("update people set name = 'x' where current of c", "update people set name = 'x' where current of d"),
        ("update people set name = 'x' returning people", f"update people set name = 'x' returning {_ROW}"),
        ("update people set name = 'x' returning people", f"update people set name = 'x' returning {_ROW.replace(_SSN, 'people.ssn')} as people"),
        ("update people set name = 'x' returning people", f"update people set name = 'x' returning {_ROW.replace(_SSN + ' as ssn', 'people.secret')} as people"),
        ("update people set name = 'x' returning old", f"update people set name = 'x' returning {_ROW} as old"),
        ("update people set name = 'x' returning old", f"update people set name = 'x' returning {_OLD.replace(' where (old.*) is distinct from null', '')} as old"),
        ("update people set name = 'x' returning old.ssn", f"update people set name = 'x' returning {_SSN} as ssn"),
        ("update people set name = 'x' returning (people).ssn", None),
        ("update people set name = 'x' returning ssn::text", f"update people set name = 'x' returning {_SSN}::text"),
        ("update people set name = 'x' returning ssn::text", f"update people set name = 'x' returning {_SSN}::text as id"),
        ("update people set name = 'x' returning (people).row_to_json", None),
        ("update people set name = 'x' returning (people).*", None),
        ("update people set name = 'x' returning row (people.*)", None),
        ("update people set name = 'x' from things returning *", None),
        ("update people set name = 'x' from things returning *", f"update people set name = 'x' from things returning people.id, people.name, {_SSN} as ssn"),
        ("update people set name = 'x' from things returning *", f"update people set name = 'x' from things returning things.*, people.id, people.name, {_SSN} as ssn"),
        ("update people set name = 'x' from things returning *", f"update people set name = 'x' from things returning people.id, people.name, {_SSN} as ssn, people.*"),
        ("update people set name[1] = 'x' returning people.*", None),
        ("insert into people (id) values (1) on conflict (id) do update set name = people::text", None),
        ("insert into people (id) values (1) on conflict (lower(ssn)) do nothing", None),
        ("delete from people where public.people.secret = 'x'", None),
        ("delete from people where exists (select from things where secret = 'x')", None),
        ("delete from people where exists (select from people where public.people.ssn = 'x')", f"delete from people where exists (select from {PEOPLE} people where public.people.ssn = 'x')"),
        ("delete from people where exists (select from generate_series(1, 2) where ssn = 'x')", None),
        ("insert into people values (1, 'x', 'y')", None),
        ("insert into people values (1, 'x')", "insert into people (name, id) values (1, 'x')"),
        ("insert into people select * from whole", None),
        ("insert into visits select (w).* from whole w", None),
        ("insert into people (id, secret) values (1, 'x')", None),
        ("insert into people (id) values (1) on conflict (secret) do nothing", None),
        ("insert into visits (id) values (1) on conflict (id) do update set id = 2", None),
        ("insert into visits (id) values (1) on conflict (id) do update set id = 2", "insert into visits (id) values (1) on conflict (id) do update set id = 2 where (visits.person > 1)"),
        ("insert into visits (id) values (1) on conflict (id) do update set id = 2 where visits.id / 2 = 1", "insert into visits (id) values (1) on conflict (id) do update set id = 2 where (visits.person > 0) and visits.id / 2 = 1"),
        ("insert into people (id) values (1) on conflict (id) do update set name = excluded.secret", None),
        ("insert into people (id) values (1) on conflict (id) do update set name = people.secret", None),
        ("insert into people (id) values (1) on conflict (id) do update set name = secret", None),
        ("insert into people (id) values (1) on conflict (id) do update set secret = 'x'", None),
        ("insert into people (id) values (1) on conflict (id) do update set name = excluded::text", None),
        ("insert into people (id) values (1) on conflict (id) where secret = 'x' do nothing", None),
        ("delete from visits", "delete from visits where (visits.person > 1)"),
        ("delete from visits where id = 1", "delete from visits where id = 1 and (visits.person > 0)"),
        ("delete from visits where id = 1", "delete from visits where (visits.person > 0) or id = 1"),
        ("delete from visits where lower(note) = 'x'", "delete from visits where (visits.person > 0) and lower(note) = 'x'"),
        ("delete from visits where lower(note) = 'x'", "delete from visits where (visits.person > 0) and case when (visits.person > 0) then lower(note) = 'x' else true end"),
        ("delete from visits where lower(note) = 'x'", "delete from visits where (visits.person > 0) and case when true then lower(note) = 'x' else false end"),
        ("delete from visits where lower(note) = 'x'", "delete from visits where case when (visits.person > 0) then lower(note) = 'x' else false end"),
        ("delete from visits where id = 3 and lower(note) = 'x'", "delete from visits where (visits.id operator(pg_catalog.=) 4) and (visits.person > 0) and case when (visits.person > 0) then id = 3 and lower(note) = 'x' else false end"),
        ("delete from visits returning cost", "delete from visits where (visits.person > 0) returning cost"),
        ("copy people (id, secret) from stdin", None),
        ("copy people (id) from stdin where ssn = 'x'", None),
    ],
)  # fmt: skip
def test_writes_that_show_or_change_too_much(sent: str, final: str | None) -> None:
    refused(sent, final)


@pytest.mark.parametrize(
    ("sent", "given"),
    [
        ("insert into whole values (1, 'x')", True),
        ("insert into whole select id, label from things", True),
        ("insert into whole select * from things", True),
        ("insert into whole select * from things union select 1, 'x'", True),
        ("insert into whole (label, id) values ('x', 1)", True),
        ("insert into whole values (1)", False),
        ("insert into whole select id from things", False),
        ("insert into whole select * from (select id from things) t", False),
        ("insert into whole select * from generate_series(1, 2)", False),
        ("insert into whole (id) values (1)", False),
        ("insert into whole default values", False),
    ],
)
def test_what_an_upsert_proposes_without_a_list_of_columns(sent: str, given: bool) -> None:
    """`excluded` holds what the app gave: of columns that it is not shown, only those that the INSERT has a value for."""
    key = ("public", "whole")
    shown, hidden = APP.tables[key].columns
    columns = (shown, replace(hidden, treatment=replace(MASKED, write="allow")))
    masking = verifier(replace(APP, tables={**APP.tables, key: replace(APP.tables[key], columns=columns)}))
    sent += " on conflict (id) do update set label = excluded.label"
    if given:
        masking.verify(sent, sent, PATH)
    else:
        assert refused(sent, by=masking) == "0A000"


# -- MERGE ----------------------------------------------------------------------------------------------------------

_HERE = "(v.person > 0)"
_MERGE = "merge into visits v using things t on "


@pytest.mark.parametrize(
    ("sent", "final"),
    [
        ("merge into people p using things t on t.id = p.id when matched then delete", None),
        ("merge into people p using things t on t.id = p.id and p.ssn = 'x' when not matched then insert values (t.id, label)", f"merge into people p using things t on t.id = p.id and {_SSN} = 'x' when not matched then insert (id, name) values (t.id, label)"),
        ("merge into people p using (select id, label as ssn from things) t on t.id = p.id when matched and p.ssn = 'x' then update set name = t.ssn when not matched and ssn = 'x' then insert (id, name) values (id, ssn) when not matched by source and ssn = 'x' then delete", f"merge into people p using (select id, label as ssn from things) t on t.id = p.id when matched and {_SSN} = 'x' then update set name = t.ssn when not matched and ssn = 'x' then insert (id, name) values (id, ssn) when not matched by source and {_SSN} = 'x' then delete"),
        ("merge into people p using things t on t.id = p.id when matched then delete returning merge_action(), *", f"merge into people p using things t on t.id = p.id when matched then delete returning merge_action(), t.*, p.id, p.name, {_SSN} as ssn"),
        (f"{_MERGE}t.id = v.id when matched then delete", f"{_MERGE}{_HERE} and (t.id = v.id) when matched then delete"),
        (f"{_MERGE}t.id = v.id when not matched by source then delete", f"{_MERGE}{_HERE} and (t.id = v.id) when not matched by source and {_HERE} then delete"),
        (f"{_MERGE}t.id = v.id when not matched by source and v.id = 1 then delete", f"{_MERGE}{_HERE} and (t.id = v.id) when not matched by source and {_HERE} and v.id = 1 then delete"),
        (f"{_MERGE}t.id = v.id when not matched by source and lower(note) = 'x' then delete", f"{_MERGE}{_HERE} and (t.id = v.id) when not matched by source and {_HERE} and case when {_HERE} then lower(note) = 'x' else false end then delete"),
        (f"{_MERGE}t.id = v.id and lower(v.note) = t.label when matched then delete", f"{_MERGE}{_HERE} and case when {_HERE} then t.id = v.id and lower(v.note) = t.label else false end when matched then delete"),
        (f"{_MERGE}t.id = v.id and lower(v.note) = label when matched then delete", f"{_MERGE}(v.id operator(pg_catalog.=) t.id) and {_HERE} and case when {_HERE} then t.id = v.id and lower(v.note) = label else false end when matched then delete"),
        (f"{_MERGE}lower(v.note) = label and v.note = t.label::text and note = label when matched then delete", f"{_MERGE}((case when {_HERE} then v.note end) = t.label) and {_HERE} and case when {_HERE} then lower(v.note) = label and v.note = t.label::text and note = label else false end when matched then delete"),
        ("merge into visits v using (select lower(label) as x from things) t on t.x = v.note and lower(note) = 'x' when matched then delete", f"merge into visits v using (select lower(label) as x from things) t on ((case when {_HERE} then v.note end) = t.x) and {_HERE} and case when {_HERE} then t.x = v.note and lower(note) = 'x' else false end when matched then delete"),
        ("merge into visits v using (values (1, $1::text)) t (id, note) on t.id = v.id and v.note = t.note when matched then do nothing", f"merge into visits v using (values (1, $1::text)) t (id, note) on {_HERE} and (t.id = v.id and v.note = t.note) when matched then do nothing"),
        ("merge into visits v using (select $1::int as id) t on t.id = v.id when matched then do nothing", f"merge into visits v using (select $1::int as id) t on {_HERE} and t.id = v.id when matched then do nothing"),
    ],
)  # fmt: skip
def test_merges(sent: str, final: str | None) -> None:
    proved(sent, final)
    if final is not None:
        refused(sent)


@pytest.mark.parametrize(
    ("sent", "final"),
    [
        ("merge into people p using things t on p.secret = t.label when matched then delete", None),
        ("merge into people p using things t on p.id = t.id when matched and secret = 'x' then delete", None),
        ("merge into people p using things t on p.id = t.id when matched then update set name = p.ssn", None),
        ("merge into people p using things t on p.id = t.id when matched then update set secret = 'x'", None),
        ("merge into people p using things t on p.id = t.id when not matched then insert values (1, 'x')", None),
        ("merge into people p using things t on p.id = t.id when not matched then insert values (1, 'x')", "merge into people p using things t on p.id = t.id when not matched then insert (id, secret) values (1, 'x')"),
        ("merge into people p using things t on p.id = t.id when not matched then insert (id, ssn) values (1, 'x')", None),
        ("merge into people p using things t on p.id = t.id when matched then delete returning *", None),
        ("merge into people p using things t on p.id = t.id when matched then delete returning p", None),
        ("merge into people p using things t on p.id = t.id when matched then delete returning old", None),
        ("merge into people p using things t on p.id = t.id when matched then delete returning *", f"merge into people p using things t on p.id = t.id when matched then delete returning p.id, p.name, {_SSN} as ssn, t.*"),
        (f"{_MERGE}t.id = v.id when matched then delete", f"{_MERGE}t.id = v.id and {_HERE} when matched then delete"),
        (f"{_MERGE}t.id = v.id when matched then delete", f"{_MERGE}{_HERE} or t.id = v.id when matched then delete"),
        (f"{_MERGE}t.id = v.id when matched then delete", f"{_MERGE}{_HERE} when matched then delete"),
        (f"{_MERGE}t.id = v.id when matched then delete", f"{_MERGE}{_HERE} and t.id = v.id when matched then update set note = 'x'"),
        (f"{_MERGE}t.id = v.id when matched then delete", f"{_MERGE}{_HERE} and t.id = v.id when not matched by source then delete"),
        (f"{_MERGE}t.id = v.id when matched then delete", f"{_MERGE}{_HERE} and t.id = v.id when matched then delete when not matched by source then delete"),
        (f"{_MERGE}t.id = v.id when matched and t.id = 1 then delete", f"{_MERGE}{_HERE} and t.id = v.id when matched then delete"),
        (f"{_MERGE}lower(v.note) = label when matched then delete", f"{_MERGE}{_HERE} and lower(v.note) = label when matched then delete"),
        (f"{_MERGE}lower(v.note) = label when matched then delete", f"{_MERGE}case when {_HERE} then lower(v.note) = label else false end when matched then delete"),
        (f"{_MERGE}lower(v.note) = label when matched then delete", f"{_MERGE}{_HERE} and case when true then lower(v.note) = label else false end when matched then delete"),
        (f"{_MERGE}lower(v.note) = label when matched then delete", f"{_MERGE}(v.id operator(pg_catalog.=) t.id) and {_HERE} and case when {_HERE} then lower(v.note) = label else false end when matched then delete"),
        (f"{_MERGE}t.id = v.id and lower(v.note) = label when matched then delete", f"{_MERGE}(v.id operator(pg_catalog.<) t.id) and {_HERE} and case when {_HERE} then t.id = v.id and lower(v.note) = label else false end when matched then delete"),
        (f"{_MERGE}t.id = v.id and lower(v.note) = label when matched then delete", f"{_MERGE}(v.person operator(pg_catalog.=) t.id) and {_HERE} and case when {_HERE} then t.id = v.id and lower(v.note) = label else false end when matched then delete"),
        (f"{_MERGE}t.id = v.id and v.note = label when matched then delete", f"{_MERGE}(v.id = t.id) and {_HERE} and case when {_HERE} then t.id = v.id and v.note = label else false end when matched then delete"),
        (f"{_MERGE}t.id = v.id when not matched by source then delete", f"{_MERGE}{_HERE} and t.id = v.id when not matched by source then delete"),
        (f"{_MERGE}t.id = v.id and lower(v.note) = label when matched then delete", f"{_MERGE}((case when true then v.id end) = t.id) and {_HERE} and case when {_HERE} then t.id = v.id and lower(v.note) = label else false end when matched then delete"),
        (f"{_MERGE}t.id = v.id and lower(v.note) = label when matched then delete", f"{_MERGE}((case when {_HERE} then v.id else 1 end) = t.id) and {_HERE} and case when {_HERE} then t.id = v.id and lower(v.note) = label else false end when matched then delete"),
        (f"{_MERGE}t.id = v.id and lower(v.note) = label when matched then delete", f"{_MERGE}((case when {_HERE} then v.person end) = t.id) and {_HERE} and case when {_HERE} then t.id = v.id and lower(v.note) = label else false end when matched then delete"),
        (f"{_MERGE}t.id = v.id and lower(v.note) = label when matched then delete", f"{_MERGE}((case when {_HERE} then v.cost end) = t.id) and {_HERE} and case when {_HERE} then t.id = v.id and lower(v.note) = label else false end when matched then delete"),
        ("merge into visits v using (select lower(label) as x from things) t on t.x = v.note when not matched by source then delete", f"merge into visits v using (select lower(label) as x from things) t on {_HERE} and case when {_HERE} then t.x = v.note else false end when not matched by source and {_HERE} then delete"),
        (f"{_MERGE}t.id = v.id when not matched by source and v.id = 1 then delete", f"{_MERGE}{_HERE} and t.id = v.id when not matched by source and v.id = 1 then delete"),
        (f"{_MERGE}t.id = v.id when not matched by source and v.id = 1 then delete", f"{_MERGE}{_HERE} and t.id = v.id when not matched by source and {_HERE} then delete"),
        (f"{_MERGE}t.id = v.id when not matched by source and lower(note) = 'x' then delete", f"{_MERGE}{_HERE} and t.id = v.id when not matched by source and {_HERE} and lower(note) = 'x' then delete"),
        ("merge into visits v using (select id from things where lower(label) = 'x') t on t.id = v.id when matched then delete", f"merge into visits v using (select id from things where lower(label) = 'x') t on {_HERE} and t.id = v.id when matched then delete"),
        ("merge into visits v using (select lower(label) as x from things) t on t.x = v.note when matched then delete", f"merge into visits v using (select lower(label) as x from things) t on {_HERE} and t.x = v.note when matched then delete"),
        ("merge into visits v using (values (1), ('2')) t (id) on t.id = v.id when matched then delete", f"merge into visits v using (values (1), ('2')) t (id) on {_HERE} and t.id = v.id when matched then delete"),
        ("merge into visits v using (select $1::int as id, $1::text as x) t on t.id = v.id when matched then delete", f"merge into visits v using (select $1::int as id, $1::text as x) t on {_HERE} and t.id = v.id when matched then delete"),
        ("merge into visits v using (select '1'::tax as id) t on t.id = v.id when matched then delete", f"merge into visits v using (select '1'::tax as id) t on {_HERE} and t.id = v.id when matched then delete"),
        ("merge into visits v using (select 1.5::int as id) t on t.id = v.id when matched then delete", f"merge into visits v using (select 1.5::int as id) t on {_HERE} and t.id = v.id when matched then delete"),
        (f"{_MERGE}t.id = v.id when matched then delete returning cost", f"{_MERGE}{_HERE} and t.id = v.id when matched then delete returning cost"),
    ],
)  # fmt: skip
def test_merges_that_show_or_change_too_much(sent: str, final: str | None) -> None:
    refused(sent, final)
