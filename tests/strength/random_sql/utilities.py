"""Statements around a query: COPY, EXPLAIN, PREPARE, cursors, CREATE TABLE AS, multi-statement texts."""

from __future__ import annotations

from tests.strength.random_sql import queries, sources, writes
from tests.strength.random_sql.making import Make, Statement
from tests.strength.random_sql.nodes import Node, listed, node

_SYSTEM = ("ctid", "xmin", "xmax", "cmin", "cmax", "tableoid", "tableoid::regclass")


def statement(make: Make, seed: int) -> Statement:
    way = make.weighted(
        copy=22, copy_table=10, copy_in=8, explain=12, prepare=14, cursor=14, create=12, system=8, several=10, current=8
    )
    return {
        "copy": _copy,
        "copy_table": _copy_table,
        "copy_in": _copy_in,
        "explain": _explain,
        "prepare": _prepare,
        "cursor": _cursor,
        "create": _create,
        "system": _system,
        "several": _several,
        "current": _current,
    }[way](make, seed)


def _steps(kind: str, seed: int, *steps: Node | str, ordered: bool = False) -> Statement:
    return Statement(seed, kind, [s if isinstance(s, Node) else node("statement", s) for s in steps], ordered=ordered)


def _copy(make: Make, seed: int) -> Statement:
    query = queries.query(make, None, None, top=True)
    options = make.one(
        (
            "",
            "with (format csv, header)",
            "csv",
            "(format csv, force_quote *)",
            "with (delimiter '|', null '')",
            "(format binary)",
        )
    )
    return _steps("copy", seed, node("statement", "copy (", query.node, ") to stdout", options), ordered=query.ordered)


def _copy_table(make: Make, seed: int) -> Statement:
    chosen = sources.choose(make)
    if chosen.kind == "p":  # COPY of a partitioned table is an error, by the gateway it is not
        chosen = make.catalog.relation("readings_lo")
    columns = (
        f"({', '.join(c.name for c in make.some(chosen.open, 1, 3))})" if make.chance(0.5) or not chosen.whole else ""
    )
    return _steps(
        "copy",
        seed,
        f"copy {make.one(('', 'public.'))}{chosen.name} {columns} to stdout {make.one(('', 'csv', 'with (format csv, header true)'))}",
    )


def _copy_in(make: Make, seed: int) -> Statement:
    name = make.one(("products", "inbox", "orders", "items"))
    target = make.catalog.relation(name)
    columns = [c for c in target.open if c.writable or c.name in target.key]
    if make.chance(0.3):
        columns = list(target.open)
    seen = "4" if make.catalog.app == "rowconsent" else "3"  # a row that the app sees
    columns = writes.comes_back(make, target, columns)
    rows = []
    for _ in range(make.rng.randint(0, 2)):
        cells = [
            str(make.rng.randint(5000, 9999))
            if c.type in ("int4", "int8")
            else "2020-01-01"
            if c.type == "date"
            else "copied"
            for c in columns
        ]
        rows.append(
            "\t".join(
                seen if c.name in ("customer_id", "order_id", "person_id") else v
                for c, v in zip(columns, cells, strict=True)
            ).encode()
            + b"\n"
        )
    listed = f"({', '.join(c.name for c in columns)})" if make.chance(0.8) else ""
    made = _steps("copy in", seed, f"copy {name} {listed} from stdin")
    made.copy = tuple(rows)
    made.read_back = (f"SELECT {', '.join(c.name for c in target.open)} FROM {name} ORDER BY 1, 2",)
    return made


def _explain(make: Make, seed: int) -> Statement:
    query = queries.query(make, None, None, top=True)
    options = make.one(
        (
            "",
            "(costs off)",
            "(verbose off, costs off)",
            "(format json)",
            "(analyze, timing off, summary off, costs off, buffers off)",
            "(summary off)",
        )
    )
    return _steps("explain", seed, node("statement", "explain", options, query.node))


def _prepare(make: Make, seed: int) -> Statement:
    query = queries.query(make, None, None, top=True)
    name = f"p{seed}"
    if make.chance(0.5):
        tree = node(
            "statement",
            f"prepare {name}(text, int) as select * from (",
            query.node,
            ") q where $1 is not null and $2 > 0",
        )
        return _steps("prepare", seed, tree, f"execute {name}('a', 5)", f"execute {name}(null, 1)")
    again = f"execute {name}" if make.chance(0.7) or make.style.copy else f"explain (costs off) execute {name}"
    return _steps("prepare", seed, node("statement", f"prepare {name} as", query.node), f"execute {name}", again)


def _cursor(make: Make, seed: int) -> Statement:
    query = queries.query(make, None, None, top=True)
    exact = query.ordered or not make.style.exact
    fetches = (
        (
            "fetch 3 from",
            "fetch all from",
            "fetch backward 2 from",
            "move 1 in",
            "fetch absolute 2 from",
            "fetch last from",
        )
        if exact
        else ("fetch all from",)
    )
    scroll = (
        make.one(("scroll cursor", "scroll cursor", "cursor without hold", "insensitive cursor"))
        if not exact
        else "scroll cursor"
    )
    steps: list[Node | str] = [node("statement", f"declare cur {scroll} for", query.node)]
    steps += [f"{make.one(fetches)} cur" for _ in range(make.rng.randint(1, 3))]
    if make.chance(0.3):
        steps.append("close cur")
    return _steps("cursor", seed, *steps, ordered=query.ordered)


def _create(make: Make, seed: int) -> Statement:
    query = queries.query(make, None, None, top=True)
    names = ", ".join(f"a{n}" for n in range(1, len(query.columns) + 1))
    name = make.one(("mine", "mine", "pg_temp.mine"))
    first = node("statement", f"create temp table {name}({names}) {make.one(('', 'on commit drop'))} as", query.node)
    steps: list[Node | str] = [first, "select * from mine"]
    if make.chance(0.4):
        steps.append("select count(*) from mine m, people p where m is not null")
    return _steps("create", seed, *steps)


def _system(make: Make, seed: int) -> Statement:
    """System columns: what they hold is physical, so only tables' names are held against anything."""
    tables = [r for r in make.catalog.relations if r.is_table and r.readable and r.open]
    chosen = make.one(tables)
    column = make.one(("tableoid::regclass", "tableoid::regclass::text")) if make.style.exact else make.one(_SYSTEM)
    other = make.one(chosen.open).name
    form = make.one(
        (
            f"select {column}, {other} from {chosen.name}",
            f"select t.{column}, t.{other} from {chosen.name} t order by t.{chosen.key[0]}",
            f"select count(*), {column} from {chosen.name} group by 2",
            f"select {other} from {chosen.name} where tableoid = '{chosen.name}'::regclass",
            f"select a.{other} from {chosen.name} a join {chosen.name} b on a.ctid = b.ctid and a.tableoid = b.tableoid",
        )
    )
    return _steps("system", seed, form)


def _several(make: Make, seed: int) -> Statement:
    """More statements than one in one text, as only the simple protocol has them."""
    parts: list[Node | str] = []
    for _ in range(make.rng.randint(2, 3)):
        if make.chance(0.3):
            parts.append(writes.modify(make, writes.choose_target(make))[0])
        else:
            parts.append(queries.query(make, None, None, top=True).node)
    ends = make.one((";", ";;", " ; -- done", ""))
    texts: list[Node | str] = [node("statement", part) for part in parts]
    made = _steps("several", seed, node("several", listed(texts, ";", "texts"), ends))
    made.protocol = "simple"
    return made


def _current(make: Make, seed: int) -> Statement:
    """Writes where a cursor stands."""
    fitting = [r for r in make.catalog.relations if r.kind == "r" and r.readable and any(c.writable for c in r.columns)]
    if not fitting:
        return _system(make, seed)
    target = make.one(fitting)
    columns = ", ".join([target.key[0], *(c.name for c in make.some(target.open, 1, 2))])
    column = make.one([c for c in target.columns if c.writable])
    where = f"where {target.key[0]} > {make.rng.randint(0, 6)}" if make.chance(0.5) else ""
    tail = f"order by {target.key[0]} for update"
    write = make.one(
        (
            f"update {target.name} set {column.name} = {column.name} where current of cur returning {target.key[0]}",
            f"update {target.name} set {column.name} = {column.name} where current of cur",
            f"delete from {target.name} where current of cur returning {target.key[0]}",
        )
    )
    back = f"select {columns} from {target.name} order by {columns}"
    start = f"declare cur cursor for select {columns} from {target.name} {where} {tail}"
    made = _steps("current", seed, start, f"fetch {make.one(('1', '3', 'next'))} from cur", write, back, ordered=True)
    made.protocol = make.one(("simple", "extended"))
    return made
