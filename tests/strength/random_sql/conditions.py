"""Conditions: what may stand in WHERE, ON, HAVING, FILTER."""

from __future__ import annotations

from tests.strength.random_sql import expressions, queries
from tests.strength.random_sql.making import Make, Scope
from tests.strength.random_sql.nodes import Node, listed, node

_COMPARE = ("=", "<>", "<", "<=", ">", ">=", "is distinct from", "is not distinct from", "!=")


def condition(make: Make, scope: Scope, depth: int = 2) -> Node:
    make.spend()
    if depth <= 0 or make.budget <= 0:
        return _simple(make, scope)
    subqueries = 1.0 if scope.subqueries and make.budget > 12 else 0.0
    way = make.weighted(
        simple=25, compare=22, null=8, both=10, negated=3, listed=6, between=4, row=3, production=12, item=2,
        exists=4 * subqueries, contained=4 * subqueries, quantified=3 * subqueries,
    )  # fmt: skip
    if way == "simple":
        return _simple(make, scope)
    made = _MAKERS[way](make, scope, depth - 1)
    return Node("bool", ["(", *made.parts, ")"], "true")


def _simple(make: Make, scope: Scope) -> Node:
    """A column and a constant (as an index could use it)."""
    atoms = scope.atoms
    if not atoms or make.chance(0.05):
        return node("bool", make.one(("true", "false", "(1 = 1)", "(null)")))
    atom = make.one(atoms)
    if make.chance(0.25):
        return node("bool", f"({atom.text} is not null)")
    operator = make.one(("=", "=", "<", "<=", ">", ">=", "<>"))
    return node("bool", f"({atom.text} {operator}", make.literal(atom.type), ")")


def _compare(make: Make, scope: Scope, depth: int) -> Node:
    sqltype = make.type()
    first, second = (expressions.expression(make, scope, sqltype, depth) for _ in range(2))
    return node("bool", first, make.one(_COMPARE), second)


def _null(make: Make, scope: Scope, depth: int) -> Node:
    if make.chance(0.3):
        form = make.one(("is true", "is not true", "is unknown", "is not unknown", "is false"))
        return node("bool", condition(make, scope, depth), form)
    return node(
        "bool",
        expressions.expression(make, scope, make.type(), depth),
        make.one(("is null", "is not null", "isnull", "notnull")),
    )


def _both(make: Make, scope: Scope, depth: int) -> Node:
    parts: list[str | Node] = [condition(make, scope, depth) for _ in range(make.rng.randint(2, 3))]
    return node("bool", listed(parts, make.one(("and", "and", "or"))))


def _negated(make: Make, scope: Scope, depth: int) -> Node:
    return node("bool", "not", condition(make, scope, depth))


def _listed(make: Make, scope: Scope, depth: int) -> Node:
    sqltype = make.type()
    values: list[str | Node] = [make.literal(sqltype) for _ in range(make.rng.randint(1, 5))]
    return node(
        "bool", expressions.expression(make, scope, sqltype, depth), make.one(("in (", "not in (")), listed(values), ")"
    )


def _between(make: Make, scope: Scope, depth: int) -> Node:
    sqltype = make.one(("int4", "int8", "text", "date", "numeric", "inet"))
    value, low, high = (expressions.expression(make, scope, sqltype, n) for n in (depth, 0, 0))
    return node("bool", value, make.one(("between", "not between", "between symmetric")), low, "and", high)


def _row(make: Make, scope: Scope, depth: int) -> Node:
    types = [make.type() for _ in range(2)]
    first: list[str | Node] = [expressions.expression(make, scope, sqltype, depth) for sqltype in types]
    if make.chance(0.3) and scope.subqueries and make.budget > 12:
        query = queries.select(make, scope, types, depth=1)
        return node(
            "bool",
            "(",
            listed(first, kind="fixed"),
            ")",
            make.one(("in", "not in", "= any", "< some")),
            "(",
            query.node,
            ")",
        )
    second: list[str | Node] = [expressions.expression(make, scope, sqltype, 0) for sqltype in types]
    start = make.one(("(", "row("))
    return node("bool", start, listed(first), ")", make.one(_COMPARE), "(", listed(second), ")")


def _production(make: Make, scope: Scope, depth: int) -> Node:
    return expressions.production(make, scope, "bool", depth + 1)


def _item(make: Make, scope: Scope, depth: int) -> Node:
    found = expressions.whole_row(make, scope, "bool")
    return found if found is not None else _simple(make, scope)


def _exists(make: Make, scope: Scope, depth: int) -> Node:
    types = [make.type() for _ in range(make.rng.randint(0, 1))]
    return node(
        "bool",
        make.one(("exists (", "exists (", "not exists (")),
        queries.select(make, scope, types, depth=1).node,
        ")",
    )


def _contained(make: Make, scope: Scope, depth: int) -> Node:
    sqltype = make.type()
    query = queries.select(make, scope, [sqltype], depth=1)
    return node(
        "bool",
        expressions.expression(make, scope, sqltype, depth),
        make.one(("in (", "in (", "not in (")),
        query.node,
        ")",
    )


def _quantified(make: Make, scope: Scope, depth: int) -> Node:
    sqltype = make.one(("int4", "text", "date", "int8"))
    query = queries.select(make, scope, [sqltype], depth=1)
    operator = make.one(("=", "<>", "<", ">=")) + make.one((" any (", " all (", " some ("))
    return node("bool", expressions.expression(make, scope, sqltype, depth), operator, query.node, ")")


_MAKERS = {
    "compare": _compare,
    "null": _null,
    "both": _both,
    "negated": _negated,
    "listed": _listed,
    "between": _between,
    "row": _row,
    "production": _production,
    "item": _item,
    "exists": _exists,
    "contained": _contained,
    "quantified": _quantified,
}
