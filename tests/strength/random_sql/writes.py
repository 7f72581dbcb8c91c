"""INSERT, UPDATE, DELETE, MERGE, with RETURNING, ON CONFLICT and data-modifying WITH; each is read back."""

from __future__ import annotations

from dataclasses import replace

from tests.strength import world
from tests.strength.random_sql import conditions, expressions, queries, sources
from tests.strength.random_sql.catalog import Column, Relation
from tests.strength.random_sql.making import Item, Make, Scope, Statement
from tests.strength.random_sql.nodes import Node, listed, node, optional

# Keys, and what row policies and foreign keys look at, get values that no other row has, of rows that are seen, so that
# no constraint tells of hidden rows: that is what constraints are for, and twins would differ by right.
_KEYS = ("id", "customer_id", "person_id", "order_id", "line", "country", "email")
_TARGETS = {
    "people": 10, "orders": 10, "items": 6, "readings": 6, "docs": 5, "products": 5, "inbox": 4, "docs_child": 2,
    "readings_lo": 2, "v_people": 1, "v_star": 1,
}  # fmt: skip
Columns = tuple[tuple[str, str], ...]


def statement(make: Make, seed: int) -> Statement:
    prefix: str | Node = ""
    writing = make.chance(0.12)
    if writing or make.chance(0.08):
        prefix = queries.with_clause(make, writing=writing)
    if writing and make.chance(0.5):
        body = queries.query(make, None, None, top=True).node
        names = list(_TARGETS)[:5]
    else:
        target = choose_target(make)
        body, _ = modify(make, target)
        names = [target.name]
    back = [_read_back(make.catalog.relation(name)) for name in names if make.catalog.relation(name).readable]
    return Statement(seed, "write", [node("statement", prefix, body)], ordered=False, read_back=tuple(back))


def _read_back(relation: Relation) -> str:
    columns = ", ".join(c.name for c in relation.open) or "1"
    return f"SELECT {columns} FROM public.{relation.name} ORDER BY {columns}"


def returning_statement(make: Make) -> tuple[Node, Columns]:
    """A statement for WITH, and the columns that it gives."""
    return modify(make, choose_target(make))


def choose_target(make: Make, insert: bool = False) -> Relation:
    fitting = [
        r for r in make.catalog.relations if r.name in _TARGETS and r.readable and (r.is_table or make.chance(0.3))
    ]
    if insert:
        # What the database wants and the app has not.
        fitting = [
            r
            for r in fitting
            if (r.name != "readings_lo" and all(c.writable for c in r.columns if c.name in ("id", "card")))
            or make.chance(make.style.wrong)
        ]
    return make.rng.choices(fitting, [_TARGETS[r.name] for r in fitting])[0]


def writable(make: Make, target: Relation) -> list[Column]:
    found = [c for c in target.columns if c.writable and c.name not in _KEYS]
    if make.chance(make.style.wrong * 5):
        # A row that gets another key is another customer's then, and is hidden as that one's are: not on the copy.
        found = [c for c in target.columns if not (make.style.copy and c.name in _KEYS)]
    return comes_back(make, target, found)


def comes_back(make: Make, target: Relation, columns: list[Column]) -> list[Column]:
    """For answers that are held against the copy: without what is masked on reading and may be written all the same."""
    if not make.style.copy or target.name in ("products", "inbox"):
        return columns
    return [c for c in columns if c.name in _KEYS or world.SHOWN[make.catalog.app].get(c.name) == "show"]


def modify(make: Make, target: Relation) -> tuple[Node, Columns]:
    updatable = bool(writable(make, target))
    way = make.weighted(
        insert=30,
        update=35 * updatable,
        delete=15 if target.deletable else 1,
        merge=12 if make.catalog.version >= 15 else 0,
    )
    if way == "insert" and (
        target.name == "readings_lo" or any(not c.writable for c in target.columns if c.name in ("id", "card"))
    ):
        target = choose_target(make, insert=True)
    return {"insert": _insert, "update": _update, "delete": _delete, "merge": _merge}[way](make, target)


def _item(make: Make, target: Relation, alias: str) -> Item:
    columns = tuple((c.name, c.type) for c in target.open)
    hidden = tuple(c.name for c in target.columns if c.seen != "open")
    return Item(alias, columns, target.key, target.whole, target, False, hidden)


def _named(make: Make, target: Relation) -> tuple[Node, Item]:
    name = make.one((target.name, f"public.{target.name}"))
    if make.chance(0.5):
        return node("target", name), _item(make, target, name if make.chance(0.5) else target.name)
    alias = make.name()
    return node("target", name, "as", alias), _item(make, target, alias)


def _returning(make: Make, item: Item, scope: Scope, merge: bool = False) -> tuple[Node | str, Columns]:
    if not make.chance(0.6) or (merge and make.catalog.version < 17):
        return "", ()
    plain = Scope(scope.atoms, scope.items, None, subqueries=make.chance(0.3))
    versions = ["", "old", "new"] if make.catalog.version >= 18 and make.chance(0.3) else [""]
    outputs: list[str | Node] = []
    columns: list[tuple[str, str]] = []
    if item.row and make.chance(0.3) and not merge:
        version = make.one(versions)
        outputs.append(
            f"{version}.*" if version else f"{item.alias}.*" if make.chance(0.5) or len(scope.items) > 1 else "*"
        )
        columns += [(f"r{make.name()}", sqltype) for _, sqltype in item.columns]
    for _ in range(make.rng.randint(0 if outputs else 1, 3)):
        version = make.one(versions)
        if item.columns and make.chance(0.6):
            column, sqltype = make.one(item.columns)
            outputs.append(f"{version or item.alias}.{column}")
        else:
            sqltype = make.type()
            outputs.append(expressions.expression(make, plain, sqltype, 1))
        columns.append((f"r{make.name()}", sqltype))
    return optional("returning", listed(outputs, kind="fixed")), tuple(columns)


def _own(make: Make, name: str, sqltype: str, target: Relation) -> str:
    """A value of a key that no other row has, or that belongs to a row that every app sees."""
    if name == "country":
        return "'DE'"
    if name == "email":
        return f"'new{make.rng.randint(1, 10**9)}@new.example'"
    if name in ("customer_id", "person_id", "order_id"):
        return "4" if make.catalog.app == "rowconsent" else "3"
    if target.name.startswith("readings"):
        return str(make.rng.randint(500, 900))
    return str(make.rng.randint(5000, 9000))


def _insert(make: Make, target: Relation) -> tuple[Node, Columns]:
    keys = [c for c in target.columns if c.name in _KEYS and c.seen != "dropped" and (c.writable or c.name != "email")]
    others = make.some(writable(make, target), 0, 5)
    must = [c for c in target.columns if c.name == "card" and c.writable and c not in others]
    columns = [*keys, *must, *others]
    if make.style.wrong and not make.style.copy and make.chance(0.03):
        columns = make.some(list(target.columns), 1, 5)
    name = make.one((target.name, f"public.{target.name}"))
    alias = make.name()
    item = _item(make, target, alias)
    start = node("target", "insert into", name, "as", alias, f"({', '.join(c.name for c in columns)})")
    overriding = "overriding system value" if target.name == "orders" and make.chance(0.1) else ""
    if make.chance(0.65):
        rows: list[str | Node] = []
        for _ in range(make.rng.randint(1, 2)):
            cells: list[str | Node] = []
            for c in columns:
                if c.name in _KEYS:
                    cells.append(_own(make, c.name, c.type, target))
                elif make.chance(0.05):
                    cells.append("default")
                else:
                    cells.append(expressions.expression(make, Scope(), c.type, 1))
            rows.append(node("row", "(", listed(cells, kind="fixed"), ")"))
        source = node("values", "values", listed(rows))
    else:
        # `k`: a row of its own for each key.
        inner = queries.select(make, None, [c.type for c in columns if c.name not in _KEYS] or ["int4"], 1)
        names = [f"i{n}" for n in range(1, len(inner.columns) + 1)]
        rest = iter(names)
        offset = make.rng.randint(5000, 8000)
        outputs: list[str | Node] = []
        for c in columns:
            if (c.name == "id" and not target.name.startswith("readings")) or c.name == "line":
                outputs.append(f"({offset} + row_number() over (order by {', '.join(names)}))::int4")
            elif c.name == "email":
                outputs.append(f"'new' || row_number() over (order by {', '.join(names)})")
            elif c.name in _KEYS:
                outputs.append(_own(make, c.name, c.type, target))
            else:
                outputs.append(next(rest))
        source = node(
            "query",
            "select",
            listed(outputs or ["1"], kind="fixed"),
            "from (",
            inner.node,
            f") as given({', '.join(names)})",
            # Of several rows with one key it would be told by the plan which one stays.
            f"order by {', '.join(names)} limit 1" if target.name.startswith("readings") else "",
        )
    conflict: str | Node = ""
    if make.chance(0.25):
        conflict = _conflict(make, target, item)
    scope = Scope(item.atoms(), [item])
    returning, given = _returning(make, item, scope)
    return node("query", start, overriding, source, conflict, returning), given


def _conflict(make: Make, target: Relation, item: Item) -> Node:
    if make.chance(0.3) or target.kind == "v" or target.name == "docs_child":
        return optional("on conflict do nothing")
    key = ", ".join(target.key)
    if make.chance(0.2):
        return optional(f"on conflict ({key}) do nothing")
    columns = writable(make, target)
    if not columns or target.kind == "v" or target.name == "docs_child":
        return optional("on conflict do nothing")
    excluded = replace(item, alias="excluded", row=False)
    scope = Scope(item.atoms() + excluded.atoms(), [item, excluded], rows=False, subqueries=False)
    chosen = make.some(columns, 1, 2)
    sets: list[str | Node] = [
        node("set", f"{c.name} =", expressions.expression(make, scope, c.type, 1)) for c in chosen
    ]
    where = optional("where", conditions.condition(make, scope, 1)) if make.chance(0.4) else ""
    return optional(f"on conflict ({key}) do update set", listed(sets), where)


def _partner(make: Make, item: Item) -> tuple[Node, Item, Node] | None:
    """A relation that has one row at most for each row of the target, and the condition that says so."""
    others = [
        r
        for r in make.catalog.relations
        if r.kind == "r" and r.readable and r.key == ("id",) and r.name not in ("secrets", "docs_child")
    ]
    local = [name for name, sqltype in item.columns if sqltype == "int4" and name.endswith("id")]
    if not others or not local:
        return None
    tree, (other,) = sources.relation(make, make.one(others))
    if other.renamed or "." in other.alias or other.alias == item.alias or "id" not in dict(other.columns):
        return None
    return tree, other, node("bool", f"({item.alias}.{make.one(local)} = {other.alias}.id)")


def _update(make: Make, target: Relation) -> tuple[Node, Columns]:
    named, item = _named(make, target)
    scope = Scope(item.atoms(), [item])
    extra: str | Node = ""
    where: list[str | Node] = []
    if make.chance(0.35) and (found := _partner(make, item)) is not None:
        tree, other, condition = found
        extra = node("from", "from", tree)
        where.append(condition)
        scope = Scope(item.atoms() + other.atoms(), [item, other])
    chosen = make.some(writable(make, target), 1, 3)
    if len(chosen) > 1 and make.chance(0.15):
        types = [c.type for c in chosen]
        names = ", ".join(c.name for c in chosen)
        if make.chance(0.5):
            one = queries.select(make, scope, types, 1)
            given = ", ".join(f"s{n}" for n in range(len(types)))
            right = node("query", "(select * from (", one.node, f") as o({given}) order by {given} limit 1)")
        else:
            right = node(
                "row", "row(", listed([expressions.expression(make, scope, t, 1) for t in types], kind="fixed"), ")"
            )
        sets: list[str | Node] = [node("set", f"({names}) =", right)]
    else:
        sets = [
            node(
                "set", f"{c.name} =", "default" if make.chance(0.04) else expressions.expression(make, scope, c.type, 2)
            )
            for c in chosen
        ]
    if make.chance(0.75):
        where.append(conditions.condition(make, scope, 2))
    returning, columns = _returning(make, item, scope)
    only = "only" if make.chance(0.05) and target.is_table else ""
    clause = optional("where", listed(where, "and")) if where else ""
    return node("query", "update", only, named, "set", listed(sets), extra, clause, returning), columns


def _delete(make: Make, target: Relation) -> tuple[Node, Columns]:
    named, item = _named(make, target)
    scope = Scope(item.atoms(), [item])
    extra: str | Node = ""
    where: list[str | Node] = []
    if make.chance(0.3) and (found := _partner(make, item)) is not None:
        tree, other, condition = found
        extra = node("from", "using", tree)
        where.append(condition)
        scope = Scope(item.atoms() + other.atoms(), [item, other])
    if make.chance(0.85):
        where.append(conditions.condition(make, scope, 2))
    returning, columns = _returning(make, item, scope)
    clause = optional("where", listed(where, "and")) if where else ""
    return node("query", "delete from", named, extra, clause, returning), columns


def _merge(make: Make, target: Relation) -> tuple[Node, Columns]:
    named, item = _named(make, target)
    found = _partner(make, item)
    if found is None:
        return _update(make, target) if writable(make, target) else _insert(make, target)
    tree, other, condition = found
    scope = Scope(item.atoms() + other.atoms(), [item, other], subqueries=False)
    alone = Scope(other.atoms(), [other], subqueries=False)
    arms: list[str | Node] = []
    for _ in range(make.rng.randint(1, 2)):
        way = make.weighted(
            update=40 if writable(make, target) else 0,
            delete=15,
            nothing=10,
            insert=25,
            source=10 if make.catalog.version >= 17 else 0,
        )
        more = (
            optional(
                "and",
                conditions.condition(
                    make,
                    alone
                    if way == "insert"
                    else Scope(item.atoms(), [item], subqueries=False)
                    if way == "source"
                    else scope,
                    1,
                ),
            )
            if make.chance(0.5)
            else ""
        )
        if way == "update":
            sets: list[str | Node] = [
                node("set", f"{c.name} =", expressions.expression(make, scope, c.type, 1))
                for c in make.some(writable(make, target), 1, 2)
            ]
            arms.append(node("arm", "when matched", more, "then update set", listed(sets)))
        elif way == "delete":
            arms.append(node("arm", "when matched", more, "then delete"))
        elif way == "nothing":
            arms.append(node("arm", "when matched", more, "then do nothing"))
        elif way == "source":
            arms.append(
                node("arm", "when not matched by source", more, "then", "do nothing" if make.chance(0.6) else "delete")
            )
        else:
            columns = [
                c
                for c in target.columns
                if (c.name in _KEYS and c.name != "email" and c.seen != "dropped") or (c.name == "card" and c.writable)
            ]
            columns += [c for c in make.some(writable(make, target), 0, 2) if c not in columns]
            cells: list[str | Node] = []
            for c in columns:
                if c.name in ("id", "line") and not target.name.startswith("readings"):
                    cells.append(f"{other.alias}.id + 7000")
                elif c.name in _KEYS:
                    cells.append(_own(make, c.name, c.type, target))
                else:
                    cells.append(expressions.expression(make, alone, c.type, 1))
            arms.append(
                node(
                    "arm",
                    "when not matched",
                    more,
                    f"then insert ({', '.join(c.name for c in columns)}) values (",
                    listed(cells, kind="fixed"),
                    ")",
                )
            )
    returning, given = _returning(make, item, scope, merge=True)
    return node(
        "query", "merge into", named, "using", tree, "on", condition, Node("list", arms, None, " "), returning
    ), given
