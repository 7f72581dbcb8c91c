"""What stands in FROM: relations in every spelling, joins, sub-queries, functions."""

from __future__ import annotations

from dataclasses import replace

from tests.strength.random_sql import conditions, expressions, queries
from tests.strength.random_sql.catalog import Relation
from tests.strength.random_sql.making import Atom, Item, Make, Scope
from tests.strength.random_sql.nodes import Node, listed, node, optional
from tests.strength.random_sql.sqltypes import comparable

_WEIGHTS = {
    "people": 24, "orders": 16, "items": 8, "readings": 8, "docs": 8, "readings_lo": 2, "readings_hi": 2, "docs_child": 3,
    "products": 5, "inbox": 3, "mv_people": 5, "secrets": 0.1,
}  # fmt: skip


def sources(make: Make, outer: Scope | None, most: int = 3, tables: bool = False) -> tuple[Node, Scope]:
    """A FROM list and what is then in scope. `tables`: begin with a table."""
    scope = Scope(outer=outer)  # what may be named after FROM, and by LATERAL
    joined = Scope(outer=outer)  # what ON may name
    parts: list[str | Node] = []
    count = make.rng.choices(range(1, most + 1), [10, 7, 3][:most])[0]
    if make.budget < 10:
        count = 1
    tree, items = source(make, scope, table=tables or make.chance(0.75))
    _enter(joined, items)
    for _ in range(count - 1):
        if make.chance(0.75):
            before = Scope(list(scope.atoms), list(scope.items), outer)
            _enter(before, joined.items)
            tree, items = join(make, tree, joined, before)
            joined = Scope(outer=outer)
        else:
            parts.append(tree)
            _enter(scope, joined.items)
            joined = Scope(outer=outer)
            tree, items = source(make, scope, lateral=True)
        _enter(joined, items)
    _enter(scope, joined.items)
    parts.append(tree)
    return listed(parts), scope


def _enter(scope: Scope, items: list[Item]) -> None:
    for item in items:
        scope.items.append(item)
        scope.atoms += item.atoms()


def source(make: Make, scope: Scope, table: bool = False, lateral: bool = False) -> tuple[Node, list[Item]]:
    make.spend(2)
    rich = make.budget > 15
    way = "relation"
    if not table:
        way = make.weighted(
            relation=50,
            cte=40 if make.ctes else 0,
            query=14 if rich else 0,
            values=5,
            function=6,
            nested=4 if rich else 0,
        )
    if way == "cte":
        cte = make.one(make.ctes)
        alias = make.name()
        order = tuple(name for name, _ in cte.columns)
        return node("source", cte.name, make.one(("as", "")), alias), [Item(alias, cte.columns, order)]
    if way == "query":
        return _query(make, scope, lateral)
    if way == "values":
        return _values(make)
    if way == "function":
        return _function(make, scope, lateral)
    if way == "nested":
        return _nested(make, scope)
    return relation(make)


def _nested(make: Make, scope: Scope) -> tuple[Node, list[Item]]:
    """A join in parentheses; with an alias, only what has a name of its own can be asked for."""
    first, items = source(make, scope, table=True)
    inner = Scope(outer=scope.outer)
    _enter(inner, items)
    tree, items = join(make, first, inner, inner)
    bare = all("." not in item.alias and item.row for item in items)
    names = [name for item in items for name, _ in item.columns]
    single = tuple((n, t) for item in items for n, t in item.columns if names.count(n) == 1)
    if not (bare and single and make.chance(0.3)):
        return node("source", "(", tree, ")"), items
    alias = make.name("j")
    return node("source", "(", tree, ")", "as", alias), [Item(alias, single, tuple(n for n, _ in single), row=False)]


def choose(make: Make) -> Relation:
    fitting = [r for r in make.catalog.relations if r.readable and len(r.open) > 0]
    if make.chance(make.style.wrong):
        fitting = list(make.catalog.relations)
    weights = [_WEIGHTS.get(r.name, 2) for r in fitting]
    return make.rng.choices(fitting, weights)[0]


def relation(make: Make, chosen: Relation | None = None) -> tuple[Node, list[Item]]:
    chosen = chosen or choose(make)
    columns = tuple((c.name, c.type) for c in chosen.open)
    names = [name for name, _ in columns]
    total = chosen.key if all(k in names for k in chosen.key) and chosen.kind in "rpm" else tuple(names)
    hidden = (*(c.name for c in chosen.columns if c.seen != "open"), "extra")
    item = Item("", columns, total, chosen.whole, chosen, chosen.is_table, hidden)
    name = make.one(
        (chosen.name, chosen.name, chosen.name, f"public.{chosen.name}", f'"public".{chosen.name}', f'"{chosen.name}"')
    )
    way = make.rng.random()
    # Parents and children of docs share ids once rows are written.
    only = ""
    star = ""
    if chosen.is_table and make.chance(0.06):
        only = "only"
    elif chosen.is_table and make.chance(0.04):
        star = "*"
    sample: str | Node = ""
    if chosen.kind in "rpm" and make.chance(0.03) and not (only and chosen.kind == "p"):
        size = make.one(("100", "0")) if make.style.exact else make.one(("100", "50", "0", "10"))
        sample = optional(f"tablesample {make.one(('bernoulli', 'system'))} ({size}) repeatable (7)")
    if way < 0.07 and len(names) == len(set(names)):
        return node("source", only, name, star, sample), [
            replace(item, alias=f"public.{chosen.name}" if "public" in name and make.chance(0.5) else chosen.name)
        ]
    alias = make.name()
    full = len(names) == len(chosen.columns)
    if way < 0.17 and (full or (chosen.whole and make.chance(0.1))):
        fresh = [f"c{n}" for n in range(1, len(names) + 1)]
        given = fresh if make.chance(0.6) else fresh[: make.rng.randint(1, len(fresh))]
        renamed = given + names[len(given) :]
        mapping = dict(zip(names, renamed, strict=True))
        return node("source", only, name, star, "as", f"{alias}({', '.join(given)})", sample), [
            replace(
                item,
                alias=alias,
                columns=tuple((mapping[n], t) for n, t in columns),
                total=tuple(mapping[n] for n in total),
                renamed=True,
            )
        ]
    return node("source", only, name, star, make.one(("as", "")), alias, sample), [replace(item, alias=alias)]


def _query(make: Make, scope: Scope, lateral: bool) -> tuple[Node, list[Item]]:
    sees = lateral and make.chance(0.6)
    query = queries.query(make, scope if sees else scope.outer, None, depth=1)
    alias = make.name()
    columns = query.columns
    given = ""
    if query.nameless or make.chance(0.2):
        columns = tuple((f"q{n}", sqltype) for n, (_, sqltype) in enumerate(columns, 1))
        given = f"({', '.join(name for name, _ in columns)})"
    item = Item(alias, columns, tuple(name for name, _ in columns))
    return node("source", "lateral (" if sees else "(", query.node, ")", make.one(("as", "")), alias + given), [item]


def _values(make: Make) -> tuple[Node, list[Item]]:
    types = [make.type() for _ in range(make.rng.randint(1, 3))]
    alias = make.name()
    columns = tuple((f"v{n}", sqltype) for n, sqltype in enumerate(types, 1))
    tree = node("source", "(", queries.values(make, types), ")", "as", f"{alias}({', '.join(n for n, _ in columns)})")
    return tree, [Item(alias, columns, tuple(name for name, _ in columns))]


def _function(make: Make, scope: Scope, lateral: bool) -> tuple[Node, list[Item]]:
    alias = make.name()
    sees = scope if lateral and make.chance(0.7) else Scope(outer=scope.outer)
    plain = Scope(sees.atoms, sees.items, sees.outer, subqueries=False, rows=sees.rows)

    def of(sqltype: str) -> Node:
        return expressions.expression(make, plain, sqltype, 1)

    forms: list[tuple[tuple[str | Node, ...], tuple[tuple[str, str], ...]]] = [
        (("generate_series(1,", of("int4"), "% 5)"), (("f1", "int4"),)),
        (("unnest(", of("text[]"), ")"), (("f1", "text"),)),
        (("regexp_split_to_table(", of("text"), ", 'q')"), (("f1", "text"),)),
        (("string_to_table(", of("text"), ", 'z')"), (("f1", "text"),)),
        (("jsonb_path_query(", of("jsonb"), ", '$.list[*]')"), (("f1", "jsonb"),)),
        (
            ("jsonb_each_text(case when jsonb_typeof(", of("jsonb"), ") = 'object' then '{\"k\": 1}'::jsonb end)"),
            (("f1", "text"), ("f2", "text")),
        ),
        (("unnest(", of("text[]"), ",", of("int4[]"), ")"), (("f1", "text"), ("f2", "int4"))),
        (("rows from (generate_series(1, 2), unnest(", of("text[]"), "))"), (("f1", "int4"), ("f2", "text"))),
        (("jsonb_to_recordset(jsonb_build_array(", of("jsonb"), "))"), (("key", "text"), ("n", "int8"))),
    ]
    if make.catalog.version >= 17:
        table = ("json_table(", of("jsonb"), ", '$' columns (key text path '$.key', o for ordinality))")
        forms += [(table, (("key", "text"), ("o", "int4")))]
    form, columns = make.one(forms)
    tail = ""
    if str(form[0]).startswith("jsonb_to_recordset"):
        given = f" as {alias}(key text, n bigint)"
    elif str(form[0]).startswith("json_table"):
        given = f" as {alias}"
    else:
        if make.chance(0.2):
            tail, columns = "with ordinality", (*columns, ("o", "int8"))
        given = f" as {alias}({', '.join(name for name, _ in columns)})"
    start = "lateral" if sees is scope and make.chance(0.5) else ""
    item = Item(alias, columns, tuple(name for name, _ in columns))
    return node("source", start, *form, tail, given), [item]


def join(make: Make, left: Node, scope: Scope, before: Scope) -> tuple[Node, list[Item]]:
    """`left`, whose items are in scope, joined to something more, which may see what is `before` it. Items of the result."""
    outer = scope.outer
    lateral = make.chance(0.2)
    right, items = source(make, before if lateral else Scope(outer=outer), table=make.chance(0.6), lateral=lateral)
    kind = make.weighted(inner=8, join=14, left=12, right=3 * (not lateral), full=3 * (not lateral), cross=2)
    words = {
        "inner": "inner join",
        "join": "join",
        "left": make.one(("left join", "left outer join")),
        "right": "right join",
        "full": "full join",
        "cross": "cross join",
    }[kind]
    first = list(scope.items)
    if kind in ("left", "full"):
        items = [replace(item, lockable=False) for item in items]
    if kind in ("right", "full"):
        first = [replace(item, lockable=False) for item in first]
    both = first + items
    if kind == "cross":
        return node("source", left, words, right), both
    shared = _shared(first, items)
    way = make.rng.random()
    if kind == "full" and not shared:
        # FULL JOIN needs a condition that can be merged or hashed.
        condition = _equal(make, first, items)
        if condition is None:
            return node("source", left, "cross join", right), both
        return node("source", left, words, right, "on", condition), both
    if shared and (way < 0.3 or kind == "full"):
        names = make.some(shared, 1, 2)
        alias = ""
        if make.chance(0.15) and make.catalog.version >= 14:
            alias = f"as {make.name('u')}"
        merged = (
            [Item(alias[3:], tuple((n, t) for i in items for n, t in i.columns if n in names), tuple(names), row=False)]
            if alias and kind not in ("full", "right")
            else []
        )
        return node("source", left, words, right, f"using ({', '.join(names)})", alias), both + merged
    natural = all(comparable(t, u) for n in shared for t in _types(first, n) for u in _types(items, n))
    # Whether a hidden column has a partner.
    hides = any(n in dict(j.columns) or n in j.hidden for i in both for n in i.hidden for j in both if j is not i)
    hides = hides and not make.chance(0.1)
    if shared and way < 0.38 and natural and not hides and len(first) == 1:
        return node("source", left, "natural", words, right), both
    condition = _equal(make, first, items) if make.chance(0.75) else None
    if condition is None or make.chance(0.2):
        inside = Scope(outer=outer)
        _enter(inside, both)
        more = conditions.condition(make, inside, 1)
        condition = node("bool", condition, "and", more) if condition is not None else more
    return node("source", left, words, right, "on", condition), both


def _types(items: list[Item], name: str) -> list[str]:
    return [sqltype for item in items for n, sqltype in item.columns if n == name]


def _shared(first: list[Item], second: list[Item]) -> list[str]:
    """Names that both sides have once, of types that can be compared."""
    found = []
    for name in dict.fromkeys(n for item in first for n, _ in item.columns):
        left, right = _types(first, name), _types(second, name)
        if len(left) == 1 and len(right) == 1 and comparable(left[0], right[0]):
            found.append(name)
    return found


def _equal(make: Make, first: list[Item], second: list[Item]) -> Node | None:
    """A comparison of a column of each side: keys where they are."""
    pairs: list[tuple[Atom, Atom]] = [
        (a, b) for i in first for a in i.atoms() for j in second for b in j.atoms() if comparable(a.type, b.type)
    ]
    if not pairs:
        return None
    keys = [(a, b) for a, b in pairs if a.type == b.type == "int4" and a.text.endswith("id") and b.text.endswith("id")]
    a, b = make.one(keys) if keys and make.chance(0.75) else make.one(pairs)
    return node("bool", f"({a.text} = {b.text})")
