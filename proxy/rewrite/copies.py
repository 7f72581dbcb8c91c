"""The app's own comparisons that are copied inside of a form, so that indexes find its rows.

Each is leakproof, and one that all rows which the app's condition leaves fulfil anyway: a conjunct of WHERE, or of a
join's ON that the relation's rows must pass, or one that follows from two of them (`o.customer = c.id AND c.id = 5`).
"""

from __future__ import annotations

from collections.abc import Iterator

from proxy.catalog.model import Column
from proxy.policy.names import quote_identifier
from proxy.rewrite.comparable import FLIPPED, UNKNOWN
from proxy.rewrite.fence import Care, Fences, conjuncts, operator_of
from proxy.rewrite.lex import Node
from proxy.rewrite.scope import ColumnUse, Level, Reference, owners

# The sides of a join of which rows that fail its ON are in no result of it.
_BOUND_SIDES = {"JOIN_INNER": ("larg", "rarg"), "JOIN_LEFT": ("rarg",), "JOIN_RIGHT": ("larg",)}
_OUTER_SIDES = {"JOIN_LEFT": ("rarg",), "JOIN_RIGHT": ("larg",), "JOIN_FULL": ("larg", "rarg")}
_BOOLEAN_TESTS = {"IS_TRUE": "IS TRUE", "IS_FALSE": "IS FALSE"}


class Copies:
    """Of one reference, as conjuncts over `alias`."""

    def __init__(self, fences: Fences, reference: Reference, alias: str = "_t") -> None:
        self._fences = fences
        self._values = fences.values
        self._reference = reference
        self._alias = alias
        self._written = reference.role != "read"
        self._joined = False

    def of_level(self, level: Level, *, raw: bool = False) -> list[str]:
        """Those that bind a reference in FROM; with `raw` those on columns that are shown under consent, else NULL."""
        if level.node is None or self._fences.care is Care.BARE:
            return []
        bound, nullable = self._bound(level.node)
        found = [text for conjunct in bound for text in self._of(conjunct, raw, nullable)]
        return list(dict.fromkeys(found if raw else [*found, *self._following(bound)]))

    def of_condition(self, condition: Node | None, *, joined: bool) -> list[str]:
        """Those of a condition on a target. `joined`: comparisons with columns of other sources, too."""
        if self._fences.care is Care.BARE:
            return []
        self._joined = joined
        found = [text for conjunct in conjuncts(condition) for text in self._of(conjunct, False, False)]
        return list(dict.fromkeys(found))

    def equalities(self, condition: Node | None, rows: str, copied: list[str]) -> list[str]:
        """The app's own equalities of plain columns of a target and columns of other sources, for a hash join to use,
        whatever operator they are: a hidden row has NULL there. Not those in `copied`.
        """
        if self._fences.care is Care.BARE:
            return []
        self._joined = True
        out = []
        for conjunct in conjuncts(condition):
            node = conjunct.get("A_Expr", {})
            if node.get("kind") != "AEXPR_OP" or operator_of(node) != "=":
                continue
            for own, other in ((node.get("lexpr", {}), node["rexpr"]), (node["rexpr"], node.get("lexpr", {}))):
                name = self._own(own)
                if name is None or self._values.may_be_foreign("=", self._own_column(own)):
                    continue
                # (FROM may be what is not looked into: the app says whose column it is)
                qualified = "ColumnRef" in other and len(other["ColumnRef"]["fields"]) == 2
                value = self._other(other) if qualified else None
                if value is not None and f"({name} OPERATOR(pg_catalog.=) {value})" not in copied:
                    out.append(f"((CASE WHEN {rows} THEN {name} END) = {value})")
        return list(dict.fromkeys(out))

    # -- which conditions the relation's rows must pass ---------------------------------------------------------------

    def _bound(self, node: Node) -> tuple[list[Node], bool]:
        """The conjuncts, and whether an outer join may put NULLs in place of the relation's row."""
        own = [*conjuncts(node.get("whereClause")), *self._fences.carried.get(id(node), ())]
        for item in (*node.get("fromClause", ()), *node.get("usingClause", ())):
            found = self._inside(item, own, nullable=False)
            if found is not None:
                return found
        return own, False

    def _inside(self, item: Node, above: list[Node], nullable: bool) -> tuple[list[Node], bool] | None:
        ((kind, node),) = item.items()
        if kind == "RangeVar":
            return (above, nullable) if node is self._reference.node else None
        if kind == "RangeTableSample":
            return (above, nullable) if node["relation"]["RangeVar"] is self._reference.node else None
        if kind != "JoinExpr":
            return None
        quals = conjuncts(node.get("quals"))
        for side in ("larg", "rarg"):
            bound = [*above, *quals] if side in _BOUND_SIDES.get(node["jointype"], ()) else above
            outer = nullable or side in _OUTER_SIDES.get(node["jointype"], ())
            found = self._inside(node[side], bound, outer)
            if found is not None:
                return found
        return None

    # -- one conjunct -------------------------------------------------------------------------------------------------

    def _of(self, conjunct: Node, raw: bool, nullable: bool) -> Iterator[str]:
        if not raw and (test := self._test(conjunct, nullable)) is not None:
            yield test
        node = conjunct.get("A_Expr")
        if node is None or not self._fences.comparison(node):
            return
        operator, left, right = operator_of(node) or "", node["lexpr"], node["rexpr"]
        match node["kind"]:
            case "AEXPR_OP" if "RowExpr" in left and "RowExpr" in right and not raw:
                yield from self._rows(left["RowExpr"]["args"], right["RowExpr"]["args"], operator)
            case "AEXPR_OP" if operator != "<>":
                yield from self._one(left, operator, right, raw)
                yield from self._one(right, FLIPPED[operator], left, raw)
            case "AEXPR_IN" if operator == "=":
                items = right["List"]["items"]
                if len(items) == 1:
                    yield from self._one(left, "=", items[0], raw)
                else:
                    yield from self._any(left, {"A_ArrayExpr": {"elements": items}}, raw)
            case "AEXPR_OP_ANY" if operator == "=":
                yield from self._any(left, right, raw)
            case "AEXPR_BETWEEN":
                low, high = right["List"]["items"]
                yield from self._one(left, ">=", low, raw)
                yield from self._one(left, "<=", high, raw)

    def _one(self, left: Node, operator: str, right: Node, raw: bool = False) -> Iterator[str]:
        name = self._own(left, raw)
        other = self._other(right) if name is not None else None
        if other is not None and self._fences.pair(left, (operator,), right):
            yield f"({name} OPERATOR(pg_catalog.{operator}) {other})"

    def _any(self, left: Node, array: Node, raw: bool = False) -> Iterator[str]:
        name, column = self._own(left, raw), self._fences.known_column(left)
        text = self._values.text(array)
        if name is None or column is None or text is None:
            return
        if self._values.fits(column, ("=",), self._values.element_type(array)):
            yield f"({name} OPERATOR(pg_catalog.=) ANY ({text}))"

    def _rows(self, left: list[Node], right: list[Node], operator: str) -> Iterator[str]:
        """`(a, b) < (1, 2)`: as it is where all of it is known, part by part where it is an equality."""
        if operator == "=":
            for one, other in zip(left, right, strict=True):
                yield from self._one(one, "=", other)
                yield from self._one(other, "=", one)
        elif operator != "<>":
            names, others = [self._own(node) for node in left], [self._other(node) for node in right]
            if None not in names and None not in others:
                row, values = ", ".join(map(str, names)), ", ".join(map(str, others))
                yield f"(ROW({row}) OPERATOR(pg_catalog.{operator}) ROW({values}))"

    def _test(self, conjunct: Node, nullable: bool) -> str | None:
        """`deleted IS NULL`, `active`, `NOT active`, `active IS TRUE`: for partial indexes."""
        ((kind, node),) = conjunct.items()
        match kind:
            case "ColumnRef" if (name := self._own(conjunct)) is not None and self._is_boolean(conjunct):
                return f"({name})"
            case "BoolExpr" if node["boolop"] == "NOT_EXPR" and "ColumnRef" in node["args"][0]:
                name = self._own(node["args"][0])
                return f"(NOT {name})" if name is not None and self._is_boolean(node["args"][0]) else None
            case "BooleanTest" if node["booltesttype"] in _BOOLEAN_TESTS:
                name = self._own(node["arg"])
                return f"({name} {_BOOLEAN_TESTS[node['booltesttype']]})" if name is not None else None
            case "NullTest" if (name := self._own(node["arg"])) is not None:
                if node["nulltesttype"] == "IS_NOT_NULL":
                    return f"({name} IS NOT NULL)"
                return None if nullable else f"({name} IS NULL)"
        return None

    def _is_boolean(self, node: Node) -> bool:
        column = self._fences.known_column(node)
        return column is not None and column.base_type == "bool"

    # -- what follows from two conjuncts ------------------------------------------------------------------------------

    def _following(self, bound: list[Node]) -> Iterator[str]:
        """`own = other` and `other = value` (or IN) give `own = value`."""
        for conjunct in bound:
            node = conjunct.get("A_Expr")
            if node is None or node["kind"] != "AEXPR_OP" or operator_of(node) != "=" or "lexpr" not in node:
                continue
            for own, other in ((node["lexpr"], node["rexpr"]), (node["rexpr"], node["lexpr"])):
                if self._own(own) is None or "ColumnRef" not in other or not self._fences.pair(own, ("=",), other):
                    continue
                yield from self._substituted(own, other, bound)

    def _substituted(self, own: Node, other: Node, bound: list[Node]) -> Iterator[str]:
        column, second = self._fences.known_column(own), self._fences.known_column(other)
        if column is None or second is None or column.collation or second.collation:
            return
        for conjunct in bound:
            node = conjunct.get("A_Expr")
            if node is None or "lexpr" not in node or operator_of(node) != "=" or not self._fences.comparison(node):
                continue
            left, right = node["lexpr"], node["rexpr"]
            same = column.type_oid == second.type_oid
            match node["kind"]:
                case "AEXPR_OP":
                    for named, value in ((left, right), (right, left)):
                        found = self._values.type_of(value) if self._same(named, other) else None
                        if found is not None and (found != UNKNOWN or same):
                            yield from self._one(own, "=", value)
                case "AEXPR_IN" | "AEXPR_OP_ANY" if self._same(left, other):
                    array = {"A_ArrayExpr": {"elements": right["List"]["items"]}} if "List" in right else right
                    found = self._values.element_type(array)
                    if found is not None and (found != UNKNOWN or same):
                        yield from self._any(own, array)

    def _same(self, one: Node, other: Node) -> bool:
        """Whether two expressions are the same column, written in the same way."""
        if "ColumnRef" not in one:
            return False
        return self._use(one).fields == self._use(other).fields

    # -- names --------------------------------------------------------------------------------------------------------

    def _use(self, node: Node) -> ColumnUse:
        return self._fences.uses[id(node["ColumnRef"])]

    def _own(self, node: Node, raw: bool = False) -> str | None:
        """The reference's own column over the form's alias, where it is plain (with `raw`: NULL without consent)."""
        column = self._own_column(node)
        if column is None:
            return None
        table = self._reference.table
        governed = table.column(column.name) if table is not None else None
        if governed is None:
            return None
        treatment = governed.treatment
        hidden = treatment.action == "show" and treatment.consent is not None
        is_null = hidden and (treatment.mask is None or treatment.mask.kind == "null")
        if not (is_null if raw else treatment.plain):
            return None
        return f"{self._alias}.{quote_identifier(column.name)}"

    def _own_column(self, node: Node) -> Column | None:
        if "ColumnRef" not in node or self._reference.relation is None:
            return None
        use = self._use(node)
        found = owners(use)
        if found.whole_row or not found.certain or any(source.hidden for source in found.sources):
            return None
        if self._written and len(use.fields) > 2:
            return None
        mine = [source for source in found.sources if source.reference is self._reference and not source.proposed]
        # several have a name without qualifier where USING made one of them
        if len(mine) != 1 or (len(found.sources) > 1 and len(use.fields) > 1):
            return None
        return self._reference.relation.column(mine[0].base_column(found.column))

    def _other(self, node: Node) -> str | None:
        """A value as text, or a column of another source, where the copy can name it: for a form of a query around,
        for a target of FROM.
        """
        if "ColumnRef" not in node:
            return self._values.text(node)
        use = self._use(node)
        found = owners(use)
        if self._fences.care is Care.ALONE or found.whole_row or not found.certain or len(found.sources) != 1:
            return None
        (source,) = found.sources
        if source.columns is not None and not source.has(found.column):
            return None  # the server shall say so of the app's own
        if self._written:
            beside = source in use.level.sources and source.reference is not self._reference
            if not self._joined or not beside or source.name is None or len(use.fields) > 2:
                return None
            return f"{quote_identifier(source.name)}.{quote_identifier(found.column)}"
        if source.reference is not None and source.reference.role == "target":
            return None  # it stays in place, its columns do not
        around = source not in use.level.sources and self._reference.level is not None
        if not around or use.level.parent is not self._reference.level.parent:  # type: ignore[union-attr]
            return None
        if len(use.fields) != 2 or is_own_alias(use.fields[0]) or self._fences.known_column(node) is None:
            return None
        return ".".join(map(quote_identifier, use.fields))


def is_own_alias(name: str) -> bool:
    """Whether a form might have a source of this name inside: all of its own begin so."""
    return name.startswith("_")
