"""Whether a condition inside of a form is one that the app's own conditions imply, and tells nothing of hidden rows.

The rule is "copied comparisons" of docs/reference/governed-form.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from proxy.catalog.model import Column
from proxy.rewrite.verify.scope import Source
from proxy.rewrite.verify.tree import Node
from proxy.rewrite.verify.values import Values

_FLIPPED = {"=": "=", "<": ">", ">": "<", "<=": ">=", ">=": "<="}
_TESTS = frozenset({"IS_TRUE", "IS_FALSE"})
_KINDS = ("AEXPR_OP", "AEXPR_OP_ANY")
_PG_CATALOG: Node = {"String": {"sval": "pg_catalog"}}


@dataclass(frozen=True, slots=True)
class Bound:
    """What the rows of one relation must pass: the app's conditions `conjuncts`.

    `names`: what the app may call the relation; `nullable`: an outer join may put NULLs in place of its row.
    `outside`: the column of another relation, where the copy could name it, else None; `beside`: one that stands in
    the same FROM.
    """

    conjuncts: list[Node]
    source: Source
    names: Sequence[str]
    nullable: bool
    values: Values
    outside: Callable[[Node], Column | None]
    beside: Callable[[Node], Column | None]

    def implies(self, copy: Node, alias: str, raw: bool) -> bool:
        """Whether `copy`, over the relation as `alias`, holds for all rows that the app's conditions leave.

        `raw`: of columns that are shown under consent, and NULL without; else of plain ones.
        """
        if "A_Expr" in copy:
            return self._comparison(copy["A_Expr"], alias, raw)
        return not raw and self._test(copy, alias)

    def given(self, column: Column) -> Iterator[tuple[str, str, Node]]:
        """(kind, operator, value) of each leakproof comparison of the column with a value that holds for these rows."""
        for sign, other in self._made_with(column.name):
            found = self.values.array_of(other) if sign == "ANY" else self.values.type_of(other)
            operator = "=" if sign == "ANY" else sign
            if found is not None and self.values.fits(column, (operator,), found):
                yield _KINDS[sign == "ANY"], operator, other
        for condition in self.conjuncts:
            for sign, _, value in _compared(condition):
                array = sign == "ANY"
                found = self.values.array_of(value) if array else self.values.type_of(value)
                if sign not in ("=", "ANY") or not self.values.fits(column, ("=",), found):
                    continue
                if self._follows(column, value, array=array):
                    yield _KINDS[array], "=", value

    # -- tests of one column ------------------------------------------------------------------------------------------

    def _test(self, copy: Node, alias: str) -> bool:
        for kind, body in copy.items():
            inner = body
            if kind == "ColumnRef":
                inner = copy
            elif kind == "BoolExpr" and body["boolop"] == "NOT_EXPR":
                (inner,) = body["args"]
            elif (kind == "BooleanTest" and body["booltesttype"] in _TESTS) or kind == "NullTest":
                inner = body["arg"]
                if body.get("nulltesttype") == "IS_NULL" and self.nullable:
                    return False
            else:
                return False
            column = self._plain(inner, alias, raw=False)
            if column is None or (kind != "NullTest" and column.base_type != "bool"):
                return False
            return any(_replaced(own, self._own_names(own, column), inner) == copy for own in self.conjuncts)
        return False

    def _own_names(self, condition: Node, column: Column) -> Node | None:
        """The column as a condition of the app's tests it."""
        for kind, body in condition.items():
            inner = body["args"][0] if kind == "BoolExpr" else body.get("arg") if kind != "ColumnRef" else condition
            return inner if isinstance(inner, dict) and self._means(inner, column.name) else None
        return None

    # -- comparisons --------------------------------------------------------------------------------------------------

    def _comparison(self, body: Node, alias: str, raw: bool) -> bool:
        if "lexpr" not in body or len(body["name"]) != 2 or body["name"][0] != _PG_CATALOG:
            return False
        operator, left, right = body["name"][1]["String"]["sval"], body["lexpr"], body["rexpr"]
        if operator not in _FLIPPED:
            return False
        if "RowExpr" in left:
            return (
                not raw
                and body["kind"] == "AEXPR_OP"
                and "RowExpr" in right
                and self._row(left, operator, right, alias)
            )
        column = self._plain(left, alias, raw)
        if column is None:
            return False
        if body["kind"] == "AEXPR_OP":
            return self._value_fits(column, operator, right) and (
                (operator, right) in self._made_with(column.name)
                or (not raw and operator == "=" and self._follows(column, right, array=False))
            )
        if body["kind"] != "AEXPR_OP_ANY" or operator != "=":
            return False
        return self.values.fits(column, ("=",), self.values.array_of(right)) and (
            ("ANY", right) in self._made_with(column.name) or (not raw and self._follows(column, right, array=True))
        )

    def _row(self, left: Node, operator: str, right: Node, alias: str) -> bool:
        """`ROW(a, b) < ROW(1, 2)`; an equality is copied part by part."""
        columns = [self._plain(node, alias, raw=False) for node in left["RowExpr"]["args"]]
        others: list[Node] = right["RowExpr"]["args"]
        if operator == "=" or len(columns) != len(others):
            return False
        if any(row["RowExpr"].get("row_format") != "COERCE_EXPLICIT_CALL" for row in (left, right)):
            return False
        if not all(c is not None and self._value_fits(c, operator, o) for c, o in zip(columns, others, strict=True)):
            return False
        for condition in self.conjuncts:
            body = condition.get("A_Expr", {})
            if body.get("kind") != "AEXPR_OP" or body["name"] != [{"String": {"sval": operator}}]:
                continue
            ours, theirs = (body.get(side, {}).get("RowExpr", {}).get("args", ()) for side in ("lexpr", "rexpr"))
            if len(ours) == len(columns) and list(theirs) == others:
                return all(c is not None and self._means(n, c.name) for n, c in zip(ours, columns, strict=True))
        return False

    def _follows(self, column: Column, value: Node, array: bool) -> bool:
        """`column = other` and `other = value`."""
        found = self.values.array_of(value) if array else self.values.type_of(value)
        for operator, other in self._made_with(column.name):
            if operator != "=" or "ColumnRef" not in other:
                continue
            second = self.beside(other)
            if second is None or column.collation or second.collation:
                continue
            if found == 0 and second.type_oid != column.type_oid:
                continue
            if not self.values.comparable(column, ("=",), second):
                continue
            wanted = ("ANY" if array else "=", other, value)
            if self.values.fits(second, ("=",), found) and any(wanted in _compared(c) for c in self.conjuncts):
                return True
        return False

    def _value_fits(self, column: Column, operator: str, value: Node) -> bool:
        if "ColumnRef" in value:
            return self.values.comparable(column, (operator,), self.outside(value))
        return self.values.fits(column, (operator,), self.values.type_of(value))

    def _made_with(self, name: str) -> list[tuple[str, Node]]:
        """(operator or ANY, other side) of each comparison with the column."""
        return [
            (sign, other)
            for condition in self.conjuncts
            for sign, compared, other in _compared(condition)
            if self._means(compared, name)
        ]

    # -- names --------------------------------------------------------------------------------------------------------

    def _plain(self, node: Node, alias: str, raw: bool) -> Column | None:
        """The relation's column that a copy names, where the app has it as it must."""
        fields = node.get("ColumnRef", {}).get("fields", [])
        if len(fields) != 2 or fields[0] != {"String": {"sval": alias}} or "String" not in fields[1]:
            return None
        name = fields[1]["String"]["sval"]
        governed = self.source.table.column(name) if self.source.table else None
        if governed is None or self.source.relation is None:
            return None
        treatment = governed.treatment
        if raw:
            null = treatment.mask is None or treatment.mask.kind == "null"
            allowed = treatment.action == "show" and treatment.consent is not None and null
        else:
            allowed = treatment.plain
        return self.source.relation.column(name) if allowed else None

    def _means(self, node: Node, column: str) -> bool:
        """Whether an expression of the app's is the column, as the app calls it."""
        fields = node.get("ColumnRef", {}).get("fields", [])
        words = [field.get("String", {}).get("sval") for field in fields]
        if len(words) == 2 and words[0] not in self.names:
            return False
        columns = self.source.columns
        if len(words) not in (1, 2) or columns is None or words[-1] not in columns:
            return False
        known = columns[words[-1]]
        return known is not None and known.name == column


def _compared(condition: Node) -> Iterator[tuple[str, Node, Node]]:
    """(operator or ANY, a side, the other) of all comparisons that a condition comes to, either side first."""
    body = condition.get("A_Expr")
    if body is None or "lexpr" not in body or len(body["name"]) != 1:
        return
    sign = body["name"][0]["String"]["sval"]
    kind, left, right = body["kind"], body["lexpr"], body["rexpr"]
    if kind == "AEXPR_OP" and sign in _FLIPPED:
        if "RowExpr" in left and "RowExpr" in right:
            if sign == "=":
                for one, other in zip(left["RowExpr"]["args"], right["RowExpr"]["args"], strict=True):
                    yield "=", one, other
                    yield "=", other, one
            return
        yield sign, left, right
        yield _FLIPPED[sign], right, left
    elif kind == "AEXPR_BETWEEN":
        low, high = right["List"]["items"]
        yield ">=", left, low
        yield "<=", left, high
    elif kind == "AEXPR_IN" and sign == "=" and "List" in right:
        items: list[Node] = right["List"]["items"]
        yield "ANY", left, {"A_ArrayExpr": {"elements": items}}
        if len(items) == 1:
            yield "=", left, items[0]
    elif kind == "AEXPR_OP_ANY" and sign == "=":
        yield "ANY", left, right


def _replaced(node: Node, old: Node | None, new: Node) -> Node | None:
    """The condition with its column named in another way."""
    if old is None:
        return None
    for kind, body in node.items():
        if kind == "ColumnRef":
            return new
        if kind == "BoolExpr":
            return {kind: {**body, "args": [new]}} if len(body["args"]) == 1 else None
        return {kind: {**body, "arg": new}}
    return None
