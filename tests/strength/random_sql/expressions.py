"""Expressions of a wanted type."""

from __future__ import annotations

from tests.strength.random_sql import conditions, queries
from tests.strength.random_sql.making import Item, Make, Scope
from tests.strength.random_sql.nodes import Node, listed, node, optional
from tests.strength.random_sql.sqltypes import (
    AGGREGATES,
    NUMBERS,
    ORDERED_AGGREGATES,
    PRODUCTIONS,
    STRINGS,
    TYPES,
    Production,
)


def expression(make: Make, scope: Scope, sqltype: str, depth: int = 2) -> Node:
    """An expression of the type (or of one that becomes it by itself)."""
    make.spend()
    if depth <= 0 or make.budget <= 0:
        return leaf(make, scope, sqltype)
    if scope.aggregates is not None and make.chance(0.3):
        found = aggregate(make, scope, sqltype, depth)
        if found is not None:
            return found
    if scope.windows and make.chance(0.12):
        found = window(make, scope, sqltype, depth)
        if found is not None:
            return found
    way = make.weighted(leaf=45, production=35, case=4, coalesce=4, subquery=4, cast=3, row=2, wrong=1)
    if way == "production":
        return production(make, scope, sqltype, depth)
    if way == "case":
        return case(make, scope, sqltype, depth)
    if way == "coalesce":
        return coalesce(make, scope, sqltype, depth)
    if way == "subquery" and scope.subqueries and make.budget > 12:
        return node(sqltype, "(", queries.scalar(make, scope, sqltype), ")", least=leaf_text(make, scope, sqltype))
    if way == "cast":
        inner = {"int8": "int4", "numeric": "int8", "text": "varchar", "timestamp": "date"}.get(sqltype, sqltype)
        return node(sqltype, "cast(", expression(make, scope, inner, depth - 1), f"as {TYPES[sqltype]})")
    if way == "row" and sqltype in ("text", "jsonb", "int4", "bool"):
        found = whole_row(make, scope, sqltype)
        if found is not None:
            return found
    if way == "wrong" and make.chance(make.style.wrong * 50):
        return expression(make, scope, make.type(), depth - 1)
    return leaf(make, scope, sqltype)


def leaf(make: Make, scope: Scope, sqltype: str) -> Node:
    """A column or a constant."""
    if make.chance(make.style.wrong):
        names = [f"{item.alias}.{name}" for item in scope.items for name in item.hidden]
        if names:
            return node(sqltype, make.one(names))
    fitting = [atom for atom in scope.atoms if atom.type == sqltype or (sqltype == "text" and atom.type == "varchar")]
    if fitting and make.chance(0.8):
        return node(sqltype, make.one(fitting).text)
    outer = scope.outer
    while outer is not None:
        fitting = [atom for atom in outer.atoms if atom.type == sqltype]
        if fitting and make.chance(0.5):
            return node(sqltype, make.one(fitting).text)
        outer = outer.outer
    wider = {"int8": ("int4",), "numeric": ("int8", "int4"), "text": (), "int4": ()}.get(sqltype, ())
    fitting = [atom for atom in scope.atoms if atom.type in wider]
    if fitting and make.chance(0.5):
        return node(sqltype, f"{make.one(fitting).text}::{TYPES[sqltype]}")
    return node(sqltype, make.literal(sqltype))


def leaf_text(make: Make, scope: Scope, sqltype: str) -> str:
    fitting = [atom.text for atom in scope.atoms if atom.type == sqltype]
    return fitting[0] if fitting else f"null::{TYPES[sqltype]}"


def filled(make: Make, scope: Scope, chosen: Production, depth: int) -> Node:
    parts: list[str | Node] = []
    for number, part in enumerate(chosen.parts):
        if number % 2 == 0:
            parts.append(part)
        else:
            parts.append(expression(make, scope, make.type() if part == "A" else part, depth - 1))
    return Node(chosen.result, parts, leaf_text(make, scope, chosen.result))


def production(make: Make, scope: Scope, sqltype: str, depth: int) -> Node:
    if sqltype == "bool" and make.catalog.app == "rower" and not make.style.copy and make.chance(0.15):
        # The one app that may call it: it tells in a notice what it is asked of.
        return node("bool", "public.noisy(", expression(make, scope, "text", depth - 1), ")")
    if sqltype == "bool" and make.chance(0.7):
        return conditions.condition(make, scope, depth - 1)
    every = PRODUCTIONS.get(sqltype, [])
    risky = make.chance(make.style.risky)
    fitting = [p for p in every if p.risky == risky and p.since <= make.catalog.version]
    if not fitting:
        return leaf(make, scope, sqltype)
    return filled(make, scope, make.one(fitting), depth)


def case(make: Make, scope: Scope, sqltype: str, depth: int) -> Node:
    if make.chance(0.6):
        arms: list[str | Node] = [
            node(
                "arm",
                "when",
                conditions.condition(make, scope, depth - 1),
                "then",
                expression(make, scope, sqltype, depth - 1),
            )
            for _ in range(make.rng.randint(1, 2))
        ]
        start: list[str | Node] = ["case"]
    else:
        kind = make.one(("int4", "text", "mood", "bool"))
        start = ["case", expression(make, scope, kind, depth - 1)]
        arms = [
            node("arm", "when", expression(make, scope, kind, 0), "then", expression(make, scope, sqltype, depth - 1))
            for _ in range(make.rng.randint(1, 2))
        ]
    rest = optional("else", expression(make, scope, sqltype, depth - 1)) if make.chance(0.7) else ""
    return Node(
        sqltype, [node("none", *start), Node("list", arms, None, " "), rest, "end"], leaf_text(make, scope, sqltype)
    )


def coalesce(make: Make, scope: Scope, sqltype: str, depth: int) -> Node:
    name = make.one(("coalesce", "nullif", "greatest", "least"))
    values: list[str | Node] = [expression(make, scope, sqltype, depth - 1) for _ in range(2)]
    return Node(sqltype, [f"{name}(", listed(values), ")"], leaf_text(make, scope, sqltype))


def rows_of(make: Make, scope: Scope) -> list[Item]:
    return [item for item in scope.items if (item.row or make.chance(make.style.wrong)) and "." not in item.alias]


def whole_row(make: Make, scope: Scope, sqltype: str) -> Node | None:
    items = rows_of(make, scope) if scope.rows else []
    if not items:
        return None
    item = make.one(items)
    row = item.alias
    if sqltype == "text":
        return node(
            sqltype, make.one((f"{row}::text", f"row_to_json({row})::text", f"({row})::text", f"concat({row})"))
        )
    if sqltype == "jsonb":
        forms = [f"to_jsonb({row})", f"jsonb_build_object('row', {row})", f"jsonb_build_array({row}, 1)"]
        return node(sqltype, make.one(forms))
    if sqltype == "int4":
        fitting = [name for name, kind in item.columns if kind == "int4"]
        return node(sqltype, f"({row}).{make.one(fitting)}" if fitting else f"num_nulls({row})")
    return node(
        sqltype,
        make.one((f"({row} is null)", f"({row} is not null)", f"({row} = {row})", f"({row} is distinct from null)")),
    )


def aggregate(make: Make, scope: Scope, sqltype: str, depth: int) -> Node | None:
    inner = scope.aggregates
    if inner is None:
        return None
    # What outer queries have alone would make it an aggregate of theirs.
    narrow = Scope(inner.atoms, inner.items, subqueries=False, rows=inner.rows)
    if sqltype in ORDERED_AGGREGATES and make.chance(0.4):
        start, of, more = make.one(ORDERED_AGGREGATES[sqltype])
        argument = expression(make, narrow, of, depth - 1)
        plain = f"({_text(argument)})::{TYPES[of]}"
        filtering = _filter(make, narrow)
        if start.startswith("array_to_string"):
            return Node(sqltype, [start, plain, "order by", plain, ")", filtering, ", ',')"])
        return Node(sqltype, [start, plain, more, "order by", plain, ")", filtering], f"null::{TYPES[sqltype]}")
    every = AGGREGATES.get(sqltype)
    if not every:
        return None
    chosen = make.one(every)
    if chosen.parts == ("count(*)",) and make.chance(0.2) and inner.rows:
        items = rows_of(make, inner)
        if items:
            return node(sqltype, f"count({make.one(items).alias})", _filter(make, narrow))
    made = filled(make, narrow, chosen, depth - 1)
    return Node(
        sqltype, ["(", *made.parts, _filter(make, narrow), ")"] if "round" not in chosen.parts[0] else made.parts
    )


def _text(argument: Node) -> str:
    from tests.strength.random_sql.nodes import text_of

    return text_of(argument)


def _filter(make: Make, scope: Scope) -> Node | str:
    if not make.chance(0.25):
        return ""
    return optional("filter (where", conditions.condition(make, scope, 1), ")")


def window(make: Make, scope: Scope, sqltype: str, depth: int) -> Node | None:
    """A window function whose order is total, so that its answer depends on the data alone."""
    plain = Scope(scope.atoms, scope.items, scope.outer, subqueries=False, rows=scope.rows)
    order = scope.order()
    if not order:
        return None
    make.spend(2)
    argument = expression(make, plain, sqltype, depth - 1)
    forms: list[tuple[str | Node, ...]] = [
        ("lag(", argument, ")"),
        ("lead(", argument, ", 2)"),
        ("first_value(", argument, ")"),
        ("last_value(", argument, ")"),
        ("nth_value(", argument, ", 2)"),
    ]
    if sqltype == "int8":
        forms = [
            ("row_number()",),
            ("rank()",),
            ("dense_rank()",),
            ("count(*)",),
            ("sum(", expression(make, plain, "int4", 1), ")"),
        ]
    elif sqltype == "int4":
        forms += [("ntile(3)",), ("max(", argument, ")")]
    elif sqltype in STRINGS:
        forms += [("string_agg(", argument, ", '+')"), ("min(", argument, ")")]
    elif sqltype in NUMBERS:
        forms += [("sum(", argument, ")")]
    form = make.one(forms)
    keys: list[str | Node] = [
        node(
            "key",
            expression(make, plain, make.type(), 1),
            make.one(("", "asc", "desc", "nulls first", "desc nulls last")),
        )
        for _ in range(make.rng.randint(0, 1))
    ]
    keys += list(order)
    partition = optional("partition by", expression(make, plain, make.type(), 1)) if make.chance(0.4) else ""
    frame: str | Node = ""
    if make.chance(0.3):
        frame = optional(
            make.one(
                (
                    "rows between 1 preceding and current row",
                    "rows between unbounded preceding and unbounded following",
                    "groups between 1 preceding and 1 following exclude current row",
                    "range between unbounded preceding and current row exclude ties",
                    "rows 2 preceding exclude group",
                )
            )
        )
    over = ("over (", partition, "order by", listed(keys), frame, ")")
    return Node(sqltype, ["(", *form, *over, ")", f"::{TYPES[sqltype]}"], leaf_text(make, scope, sqltype))
