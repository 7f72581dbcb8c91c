"""SELECT, with everything that may stand in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tests.strength.random_sql import conditions, expressions, sources
from tests.strength.random_sql.making import Atom, Item, Make, Scope, Table
from tests.strength.random_sql.nodes import Node, listed, node, optional
from tests.strength.random_sql.sqltypes import TYPES


@dataclass(frozen=True)
class Query:
    """`ordered`: the order of its rows is told by the data alone. `nameless`: names of columns may be doubled."""

    node: Node
    columns: tuple[tuple[str, str], ...]
    ordered: bool = False
    nameless: bool = False


def query(make: Make, outer: Scope | None, types: Sequence[str] | None, depth: int = 2, top: bool = False) -> Query:
    """A query with or without WITH, set operations, ORDER BY, LIMIT."""
    make.spend(2)
    known = len(make.ctes)
    prefix: str | Node = ""
    if make.budget > 25 and make.chance(0.15 if top else 0.05):
        prefix = with_clause(make, writing=False)
    way = make.weighted(select=80, set=10 if make.budget > 20 else 0, values=2, table=0 if types else 2)
    if way == "set":
        made = _set_operation(make, outer, types)
    elif way == "values":
        wanted = list(types or [make.type() for _ in range(make.rng.randint(1, 3))])
        made = Query(values(make, wanted), tuple((f"column{n}", sqltype) for n, sqltype in enumerate(wanted, 1)))
    elif way == "table" and (found := _table(make)) is not None:
        made = found
    else:
        made = select(make, outer, types, depth, top)
    made = _ordered(make, made, top)
    del make.ctes[known:]
    return Query(node("query", prefix, made.node) if prefix else made.node, made.columns, made.ordered, made.nameless)


def _ordered(make: Make, made: Query, top: bool) -> Query:
    """Ordered by all its columns, and cut, at times."""
    if not made.columns or made.ordered or not make.chance(0.4 if top else 0.12):
        return made
    if str(made.node.kind) == "locking":
        return made
    directions = ("", "", "", "desc", "nulls first", "desc nulls last", "asc")
    keys: list[str | Node] = [f"{n} {make.one(directions)}".strip() for n in range(1, len(made.columns) + 1)]
    if not top or make.chance(0.6):
        keys = make.rng.sample(keys, len(keys))
    exact = True
    if not make.style.exact and make.chance(0.4):
        keys, exact = keys[:1], False
    limit: str | Node = ""
    if make.chance(0.4):
        count, skip = make.rng.randint(0, 9), make.rng.randint(0, 3)
        limit = optional(
            make.one(
                (
                    f"limit {count}",
                    f"limit {count} offset {skip}",
                    f"offset {skip}",
                    f"fetch first {count} rows only",
                    f"fetch first {count} rows with ties",
                    f"offset {skip} rows fetch next row only",
                    "limit all",
                    "limit null",
                    f"limit {count} + 1",
                )
            )
        )
    order = optional("order by", listed(keys)) if not limit else node("order", "order by", listed(keys))
    return Query(node("query", made.node, order, limit), made.columns, exact, made.nameless)


def values(make: Make, types: Sequence[str]) -> Node:
    rows: list[str | Node] = []
    for _ in range(make.rng.randint(1, 3)):
        cells: list[str | Node] = [node(t, make.literal(t), f"::{TYPES[t]}") for t in types]
        rows.append(node("row", "(", listed(cells, kind="fixed"), ")"))
    return node("query", "values", listed(rows))


def _table(make: Make) -> Query | None:
    chosen = sources.choose(make)
    if not (chosen.whole and chosen.readable):
        return None
    name = make.one((chosen.name, f"public.{chosen.name}", f'"{chosen.name}"'))
    return Query(node("query", f"table {name}"), tuple((c.name, c.type) for c in chosen.open))


def _set_operation(make: Make, outer: Scope | None, types: Sequence[str] | None) -> Query:
    wanted = list(types or [make.type() for _ in range(make.rng.randint(1, 3))])
    first = select(make, outer, wanted, 1)
    tree = node("query", "(", first.node, ")")
    for _ in range(make.rng.randint(1, 2)):
        second = select(make, outer, wanted, 1)
        word = make.one(("union", "union all", "union all", "intersect", "intersect all", "except", "except all"))
        tree = node("query", tree, word, "(", second.node, ")")
    # Types of constants settle only when all are looked at.
    return Query(tree, first.columns)


def scalar(make: Make, outer: Scope, sqltype: str) -> Node:
    """A query that gives one value."""
    if make.chance(0.5):
        tree, scope = sources.sources(make, outer, most=1)
        grouped = Scope([], [], outer, aggregates=scope, subqueries=False)
        found = expressions.aggregate(make, grouped, sqltype, 1)
        if found is not None:
            return node("query", "select", found, "from", tree, _where(make, scope))
    made = select(make, outer, [sqltype], 1, simple=True)
    if made.ordered:
        return made.node
    return node("query", "select", "*", "from", "(", made.node, ") as one(a) order by 1 limit 1")


def _where(make: Make, scope: Scope, share: float = 0.6) -> Node | str:
    if not make.chance(share):
        return ""
    return optional("where", conditions.condition(make, scope, 2))


def select(
    make: Make,
    outer: Scope | None,
    types: Sequence[str] | None,
    depth: int = 2,
    top: bool = False,
    simple: bool = False,
) -> Query:
    make.spend()
    if types is not None and not types:
        tree, scope = sources.sources(make, outer, most=2)
        return Query(node("query", "select", make.one(("", "1", "null")), "from", tree, _where(make, scope, 0.8)), ())
    if make.chance(0.03) and types is not None:
        plain = Scope(outer=outer)
        cells: list[str | Node] = [expressions.expression(make, plain, sqltype, 1) for sqltype in types]
        return Query(
            node("query", "select", listed(cells, kind="fixed")),
            tuple((f"e{n}", t) for n, t in enumerate(types, 1)),
            False,
            True,
        )
    tree, scope = sources.sources(make, outer, most=1 if simple else 3, tables=top and make.chance(0.9))
    where = _where(make, scope)
    if not simple and make.chance(0.2):
        return _grouped(make, scope, tree, where, types, depth)
    return _plain(make, scope, tree, where, types, depth, top)


def _plain(
    make: Make, scope: Scope, tree: Node, where: Node | str, types: Sequence[str] | None, depth: int, top: bool
) -> Query:
    if types is None and make.chance(0.3):
        found = _star(make, scope)
        if found is not None:
            cells, columns = found
            return _finish(make, scope, tree, where, [cells], columns, True, False, top)
    windows = make.chance(0.15)
    scope.windows = windows
    wanted = list(types) if types is not None else [make.type() for _ in range(make.rng.choice((1, 1, 2, 2, 3, 4)))]
    if types is None and scope.atoms and make.chance(0.6):
        atoms = make.some(scope.atoms, 1, 4)
        outputs: list[str | Node] = [atom.text for atom in atoms]
        columns = tuple((atom.text.rsplit(".", 1)[1], atom.type) for atom in atoms)
        doubled = len({n for n, _ in columns}) < len(columns)
        if make.chance(0.4):
            sqltype = make.type()
            outputs.append(node("output", expressions.expression(make, scope, sqltype, depth), "as extra_1"))
            columns = (*columns, ("extra_1", sqltype))
        scope.windows = False
        return _finish(make, scope, tree, where, outputs, columns, doubled, windows, top)
    names = [make.name("e") for _ in wanted]
    outputs = [
        node("output", expressions.expression(make, scope, sqltype, depth), make.one(("as", "as")), name)
        for sqltype, name in zip(wanted, names, strict=True)
    ]
    if top and types is None and make.chance(0.04):
        outputs.append("generate_series(1, 2) as series")
        names.append("series")
        wanted = [*wanted, "int4"]
    scope.windows = False
    return _finish(make, scope, tree, where, outputs, tuple(zip(names, wanted, strict=True)), False, windows, top)


def _star(make: Make, scope: Scope) -> tuple[str, tuple[tuple[str, str], ...]] | None:
    """`*`, `t.*`, `(t).*`, with their columns."""
    item = make.one(scope.items)
    if len(scope.items) == 1 and item.row and make.chance(0.6):
        return "*", item.columns
    if not item.row:
        return None
    if "." in item.alias or make.chance(0.7):
        return f"{item.alias}.*", item.columns
    return f"({item.alias}).*", item.columns


def _finish(
    make: Make,
    scope: Scope,
    tree: Node,
    where: Node | str,
    outputs: list[str | Node],
    columns: tuple[tuple[str, str], ...],
    nameless: bool,
    windows: bool,
    top: bool,
) -> Query:
    distinct, order, locking = "", "", ""
    ordered = False
    count = len(columns)
    if make.chance(0.08):
        distinct = "distinct"
    elif make.chance(0.05):
        keys: list[str | Node] = [str(n) for n in range(1, count + 1)]
        distinct, ordered = (
            "distinct on (1)" if make.chance(0.7) else f"distinct on ({', '.join(map(str, keys))})",
            True,
        )
        order = node("order", "order by", listed(keys))
    elif (
        not windows
        and "series" not in dict(columns)
        and make.chance(0.12 if top else 0.03)
        and any(item.lockable for item in scope.items)
    ):
        lockable = [item for item in scope.items if item.lockable]
        of = (
            f"of {make.one(lockable).alias.rsplit('.', 1)[-1]}"
            if make.chance(0.5) or len(lockable) < len(scope.items)
            else ""
        )
        strength = make.one(("for update", "for share", "for no key update", "for key share"))
        locking = optional(strength, of, make.one(("", "", "nowait", "skip locked")))
    elif top and scope.items and make.chance(0.2):
        order = optional("order by", listed(list(scope.order())))
        ordered = True
    elif top and make.chance(0.1) and scope.atoms:
        # By an expression of its own, then by what makes it total.
        first = expressions.expression(
            make, Scope(scope.atoms, scope.items, scope.outer, subqueries=False), make.type(), 1
        )
        order = optional("order by", listed([node("key", "coalesce(", first, ")"), *scope.order()]))
        ordered = True
    tree = node(
        "locking" if locking else "query",
        "select",
        distinct,
        listed(outputs, kind="fixed"),
        "from",
        tree,
        where,
        order,
        locking,
    )
    return Query(tree, columns, ordered, nameless)


def _grouped(make: Make, scope: Scope, tree: Node, where: Node | str, types: Sequence[str] | None, depth: int) -> Query:
    """Grouped by expressions, by a key, by grouping sets, or not at all (one group)."""
    keyed = [
        item
        for item in scope.items
        if item.base is not None
        and item.base.kind == "r"
        and item.base.key == item.total
        and not item.renamed
        and item.base.name != "docs_child"
    ]
    way = make.weighted(all=20, columns=50, sets=12, key=14 if keyed else 0)
    groups: str | Node = ""
    atoms: list[Atom] = []
    items: list[Item] = []
    plain = Scope(scope.atoms, scope.items, scope.outer, subqueries=False)
    if way == "key":
        item = make.one(keyed)
        atoms, items = item.atoms(), [item]
        groups = node("group", "group by", ", ".join(item.order()))
    elif way in ("columns", "sets"):
        chosen = make.some(scope.atoms, 1, 3) if scope.atoms else []
        atoms = list(chosen)
        if not atoms or make.chance(0.25):
            sqltype = make.type()
            made = expressions.expression(make, plain, sqltype, 1)
            text = expressions._text(made)
            if "'" not in text and any(atom.text in text for atom in scope.atoms):
                atoms.append(Atom(f"({text})", sqltype))
        if not atoms:
            way = "all"
        texts = [atom.text for atom in atoms]
        if way == "columns":
            groups = node(
                "group",
                "group by",
                make.one(("", "", "", "distinct")) if make.catalog.version >= 14 else "",
                ", ".join(texts),
            )
        elif way == "sets":
            form = make.one(
                (
                    f"rollup ({', '.join(texts)})",
                    f"cube ({', '.join(texts)})",
                    f"grouping sets (({', '.join(texts)}), ({texts[0]}), ())",
                )
            )
            groups = node("group", "group by", form)
    inside = Scope(
        atoms, items if way == "key" else [], scope.outer, aggregates=scope, subqueries=True, rows=way == "key"
    )
    wanted = list(types) if types is not None else [make.type() for _ in range(make.rng.choice((1, 2, 2, 3)))]
    names = [make.name("e") for _ in wanted]
    outputs: list[str | Node] = [
        node("output", expressions.expression(make, inside, sqltype, depth), "as", name)
        for sqltype, name in zip(wanted, names, strict=True)
    ]
    having: str | Node = ""
    if make.chance(0.2):
        having = optional("having", conditions.condition(make, inside, 1))
    tree = node("query", "select", listed(outputs, kind="fixed"), "from", tree, where, groups, having)
    return Query(tree, tuple(zip(names, wanted, strict=True)))


def with_clause(make: Make, writing: bool) -> Node:
    """WITH, whose CTEs are then there to be read; with data-modifying ones where `writing`."""
    from tests.strength.random_sql import writes

    ctes: list[str | Node] = []
    recursive = False
    for _ in range(make.rng.randint(1, 2)):
        name = make.name("w") if make.chance(0.93) else make.one(("people", "orders", "secrets"))
        if any(table.name == name for table in make.ctes):
            name = make.name("w")
        form = make.one(("", "", "materialized", "not materialized"))
        way = make.rng.random()
        if writing and way < 0.7:
            made, columns = writes.returning_statement(make)
            if columns:
                ctes.append(node("cte", name, f"({', '.join(n for n, _ in columns)})", "as (", made, ")"))
                make.ctes.append(Table(name, columns))
            else:
                ctes.append(node("cte", name, "as (", made, ")"))
            continue
        if way < 0.12 or way > 0.94:
            tree, columns = _recursive(make, name)
            ctes.append(tree)
            make.ctes.append(Table(name, columns))
            recursive = True
            continue
        inner = query(make, None, None, depth=1)
        if not inner.columns:
            continue
        columns = tuple((f"w{n}", sqltype) for n, (_, sqltype) in enumerate(inner.columns, 1))
        ctes.append(node("cte", f"{name}({', '.join(n for n, _ in columns)})", f"as {form} (", inner.node, ")"))
        make.ctes.append(Table(name, columns))
    if not ctes:
        return node("with")
    return node("with", "with recursive" if recursive or make.chance(0.05) else "with", listed(ctes))


def _recursive(make: Make, name: str) -> tuple[Node, tuple[tuple[str, str], ...]]:
    """Counts up, beside what a relation holds."""
    sqltype = make.type()
    first = select(make, None, ["int4", sqltype], 1, simple=True)
    columns = (("n", "int4"), ("x", sqltype))
    search = ""
    if make.chance(0.2):
        search = make.one(
            ("search depth first by n set seq", "search breadth first by n set seq", "cycle n set is_cycle using path")
        )
    word = make.one(("union", "union all"))
    return (
        node(
            "cte",
            f"{name}(n, x) as (select * from (",
            first.node,
            f") as start(n, x) {word} select n + 1, x from {name} where n < 14 and n > 0) {search}",
        ),
        columns,
    )
