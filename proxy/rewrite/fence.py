"""When may PostgreSQL run an expression of the app's on a row that the app must not know of, and what may go inside
the fence.

rewriting.md, evidence 7: whatever shape the row policy has, PostgreSQL ran the app's `email::int = 1` on hidden rows
and printed
a hidden address in the error. Only comparisons whose functions are leakproof (pg_proc.proleakproof) are harmless there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from proxy.catalog.model import Column, Snapshot
from proxy.rewrite.lex import Node, quote_identifier, quote_literal
from proxy.rewrite.scope import Analysis, ColumnUse, Reference, owners
from proxy.rewrite.types import UNKNOWN, Types

COMPARISONS = ("=", "<>", "<", ">", "<=", ">=")
_FLIPPED = {"=": "=", "<>": "<>", "<": ">", ">": "<", "<=": ">=", ">=": "<="}
_INTEGERS = ("int2", "int4", "int8")
_INTEGER_OIDS = (20, 21, 23)
_TEXTS = ("text", "varchar")
_TEXT_OIDS = (25, 1043)


@dataclass(frozen=True, slots=True)
class Fences:
    """Answers for one statement: needs what the analysis knows of it and the types that the driver gave its
    parameters.
    """

    analysis: Analysis
    snapshot: Snapshot
    parameter_types: tuple[int, ...]
    uses: dict[int, ColumnUse]
    parameters_used: Mapping[int, int]  # how often each parameter stands in the statement
    uncalm: frozenset[int]  # ids of the RangeVars that are views of which the definition is not leakproof

    @classmethod
    def of(cls, statement: Node, analysis: Analysis, snapshot: Snapshot, parameter_types: tuple[int, ...]) -> Fences:
        used = Counter(node.get("number", 0) for kind, node in analysis.nodes if kind == "ParamRef")
        if statement.get("PrepareStmt", {}).get("argtypes"):
            used.update(list(used))  # typed, but not by the driver: as good as used twice
        uses = {id(use.node): use for use in analysis.uses}
        uncalm = frozenset(id(r.node) for r in analysis.references if r.view is not None and not r.view.calm)
        return cls(analysis, snapshot, parameter_types, uses, used, uncalm)

    # -- is the whole statement leakproof? --------------------------------------------------------------------------

    def leakproof_statement(self, statement: Node) -> bool:
        """Whether nothing in the statement could tell of a hidden row, wherever PostgreSQL evaluates it."""
        ((kind, node),) = statement.items()
        match kind:
            case "SelectStmt":
                return self._select(node, outermost=True)
            case "ExplainStmt" | "PrepareStmt" | "DeclareCursorStmt" | "CreateTableAsStmt":
                return self.leakproof_statement(node["query"])
            case "CopyStmt":
                return "query" not in node or self.leakproof_statement(node["query"])
        return False

    def leakproof_view(self, statement: Node) -> bool:
        """The same for a view's definition, of which any column may be used anywhere."""
        return self._select(statement["SelectStmt"])

    def leakproof_condition(self, where: Node | None) -> bool:
        """Whether a WHERE clause alone is leakproof (of UPDATE and DELETE: SET and RETURNING run on rows that it
        chose).
        """
        return self._expression(where)

    def leakproof_sources(self, items: list[Node]) -> bool:
        """Whether nothing in what an UPDATE, DELETE or MERGE reads beside its target could tell of a hidden row there,
        which decides how often it runs.
        """
        return all(self._from_item(item) for item in items)

    def _select(self, node: Node, *, outermost: bool = False) -> bool:
        for cte in node.get("withClause", {}).get("ctes", ()):
            query = cte["CommonTableExpr"]["ctequery"]
            if "SelectStmt" not in query or not self._select(query["SelectStmt"]):
                return False
        for arm in ("larg", "rarg"):
            if arm in node and not self._select(node[arm]):
                return False
        if not all(self._from_item(item) for item in node.get("fromClause", ())):
            return False
        # What the outermost level puts out or sorts by is evaluated for the rows that its WHERE has left.
        free = [node.get(name) for name in ("targetList", "groupClause", "sortClause")]
        if not all(self._bare(node.get(name)) for name in ("distinctClause", "windowClause")):
            return False
        if outermost:
            if any(_has(part, "SubLink") for part in free):
                return False
        elif not all(self._bare(part) for part in free):
            return False
        rest = ("whereClause", "havingClause", "limitOffset", "limitCount", "valuesLists")
        return all(self._expression(node.get(name)) for name in rest)

    def _from_item(self, item: Node) -> bool:
        ((kind, node),) = item.items()
        if kind == "RangeVar":
            return id(node) not in self.uncalm
        if kind == "RangeSubselect":
            return "SelectStmt" in node["subquery"] and self._select(node["subquery"]["SelectStmt"])
        if kind == "JoinExpr":
            if node.get("isNatural") or not (self._from_item(node["larg"]) and self._from_item(node["rarg"])):
                return False
            return self._using(node) and self._expression(node.get("quals"))
        return False

    def _using(self, node: Node) -> bool:
        for name in node.get("usingClause", ()):
            found = owners(self.uses[id(name)])
            columns = [_column(source.reference, source.base_column(found.column)) for source in found.sources]
            if len(columns) != 2 or not all(c is not None and c.leakproof for c in columns):
                return False
            if columns[0].type_oid != columns[1].type_oid:  # type: ignore[union-attr]
                return False
            if self._may_be_foreign("=", columns[0]):
                return False
        return True

    def _may_be_foreign(self, operator: str, column: Column | None) -> bool:
        """Whether a comparison with a column of a built-in type may be another than PostgreSQL's own: its own is exact
        where the other side is of the same type or a constant without one, so two foreign sides never fit.
        """
        found = self.snapshot.foreign_operators.get(operator, ())
        return bool(found) and (column is None or column.foreign or any(o.foreign != 2 for o in found))

    def _bare(self, part: object) -> bool:
        """Only columns and constants, named or not."""
        if not part:
            return True
        if isinstance(part, list):
            return all(self._bare(element) for element in part)
        if not isinstance(part, dict) or len(part) != 1:
            return False
        ((kind, node),) = part.items()
        if kind == "ResTarget":
            return self._bare(node.get("val"))
        if kind == "SortBy":
            return "useOp" not in node and self._bare(node["node"])
        return kind in ("ColumnRef", "A_Const", "ParamRef") or self._constant_cast(part)

    def _constant_cast(self, value: Node) -> bool:
        """`'1'::int`, `$1::int`: converted before anything runs."""
        return "TypeCast" in value and self._types.cast(value["TypeCast"]) != UNKNOWN

    def _expression(self, value: object) -> bool:
        if not value:
            return True
        if isinstance(value, list):
            return all(self._expression(element) for element in value)
        assert isinstance(value, dict)
        ((kind, node),) = value.items()
        match kind:
            case "ColumnRef":
                found = owners(self.uses[id(node)])
                return found.certain and not found.whole_row and all(s.has(found.column) for s in found.sources)
            case "A_Const" | "ParamRef":
                return True
            case "TypeCast":
                return self._constant_cast(value)
            case "BoolExpr":
                return self._expression(node["args"])
            case "List":
                return self._expression(node["items"])
            case "NullTest" | "BooleanTest":
                return "ColumnRef" in node["arg"] and not owners(self.uses[id(node["arg"]["ColumnRef"])]).whole_row
            case "A_Expr":
                return self._comparison(node)
            case "SubLink":
                inner = node["subselect"].get("SelectStmt", {})
                return node["subLinkType"] == "EXISTS_SUBLINK" and bool(inner) and self._select(inner)
        return False

    def _comparison(self, node: Node) -> bool:
        operator = _operator(node)
        if operator is None:
            return False
        if "lexpr" not in node or "rexpr" not in node:  # a prefix operator
            return False
        left, right = node["lexpr"], node["rexpr"]
        match node["kind"]:
            case "AEXPR_OP":
                if operator not in COMPARISONS:
                    return False
                return self._pair(left, right, (operator,)) or self._pair(right, left, (operator,))
            case "AEXPR_IN":
                items = right["List"]["items"]
                return all(self._pair(left, item, (operator,), columns=False) for item in items)
            case "AEXPR_BETWEEN" | "AEXPR_NOT_BETWEEN":
                items = right["List"]["items"]
                return all(self._pair(left, item, ("<", ">", "<=", ">="), columns=False) for item in items)
        return False

    def _pair(self, left: Node, right: Node, operators: tuple[str, ...], columns: bool = True) -> bool:
        column = self._known_column(left)
        if column is None or not column.leakproof:
            return False
        if any(self._may_be_foreign(operator, column) for operator in operators):
            return False
        if columns and "ColumnRef" in right:
            return _comparable(column, self._column_type(right))
        return self._fits(right, column)

    def _column_type(self, node: Node) -> int:
        """The type's oid of the column that a name means, of a relation or of a sub-query; 0 where it is not known."""
        found = owners(self.uses[id(node["ColumnRef"])])
        if found.whole_row or not found.certain or len(found.sources) != 1:
            return 0
        return self._types.column(found.sources[0], found.column)

    @property
    def _types(self) -> Types:
        return Types(self.uses, self.parameter_types, self.parameters_used)

    def _known_column(self, node: Node) -> Column | None:
        if "ColumnRef" not in node:
            return None
        found = owners(self.uses[id(node["ColumnRef"])])
        if found.whole_row or not found.certain or len(found.sources) != 1:
            return None
        (source,) = found.sources
        return _column(source.reference, source.base_column(found.column))

    def _fits(self, node: Node, column: Column) -> bool:
        if "ParamRef" in node:
            number = node["ParamRef"].get("number", 0)
            given = self.parameter_types[number - 1] if 0 < number <= len(self.parameter_types) else 0
            both_integers = given in _INTEGER_OIDS and column.base_type in _INTEGERS
            # an untyped parameter takes the type of its first use: with a second one, which that is would change
            return (given == 0 and self.parameters_used[number] == 1) or given == column.type_oid or both_integers
        if "A_Const" not in node:
            return False
        constant = node["A_Const"]
        if "sval" in constant:
            return True
        if "boolval" in constant:
            return column.base_type == "bool"
        return column.base_type in _INTEGERS and _integer(constant) is not None

    # -- what may stand inside the fence ----------------------------------------------------------------------------

    def comparisons(
        self, reference: Reference, where: Node | None, alias: str = "_t", *, joined: bool = False
    ) -> list[str]:
        """The app's own simple comparisons in `where` on plain columns of `reference`, as conjuncts over `alias`, for
        an index to use. `joined`: those with columns of other sources, too.
        """
        if reference.table is None:
            return []
        out = []
        for conjunct in _conjuncts(where):
            text = self._copied(conjunct, reference, alias, joined)
            if text is not None and text not in out:
                out.append(text)
        return out

    def equalities(
        self, reference: Reference, where: Node | None, alias: str, rows: str, copied: list[str]
    ) -> list[str]:
        """The app's own equalities in `where` of plain columns of a written `reference` and columns of other sources,
        for a hash join to use, whatever operator they are: a hidden row has NULL there. Not those in `copied`.
        """
        out = []
        for conjunct in _conjuncts(where):
            node = conjunct.get("A_Expr", {})
            if node.get("kind") != "AEXPR_OP" or _operator(node) != "=":
                continue
            for own, other in ((node.get("lexpr", {}), node["rexpr"]), (node["rexpr"], node.get("lexpr", {}))):
                name = self._own_column(own, reference)
                if name is not None and self._may_be_foreign("=", self._known_column(own)):
                    continue
                value = self._other_column(other, reference) if name is not None and "ColumnRef" in other else None
                if value is not None and f"({alias}.{name} OPERATOR(pg_catalog.=) {value})" not in copied:
                    out.append(f"((CASE WHEN {rows} THEN {alias}.{name} END) = {value})")
        return list(dict.fromkeys(out))

    def _copied(self, conjunct: Node, reference: Reference, alias: str, joined: bool) -> str | None:
        node = conjunct.get("A_Expr")
        if node is None or not self._comparison(node):
            return None
        operator = _operator(node) or ""
        left, right = node["lexpr"], node["rexpr"]
        if node["kind"] == "AEXPR_OP" and operator != "<>":
            if self._own_column(left, reference) is None:
                left, right, operator = right, left, _FLIPPED[operator]
            name = self._own_column(left, reference)
            value = self._other_column(right, reference) if joined and "ColumnRef" in right else _value(right)
            if name is None or value is None:
                return None
            return f"({alias}.{name} OPERATOR(pg_catalog.{operator}) {value})"
        if node["kind"] == "AEXPR_IN" and operator == "=":
            name = self._own_column(left, reference)
            column = self._known_column(left)
            values = [_value(item) for item in right["List"]["items"]]
            if name is None or column is None or None in values or not _one_array(right["List"]["items"], column):
                return None
            return f"({alias}.{name} OPERATOR(pg_catalog.=) ANY (ARRAY[{', '.join(str(v) for v in values)}]))"
        return None

    def _own_column(self, node: Node, reference: Reference) -> str | None:
        """The quoted name of the reference's own plain column, or None."""
        if "ColumnRef" not in node:
            return None
        found = owners(self.uses[id(node["ColumnRef"])])
        if (
            found.whole_row
            or not found.certain
            or len(found.sources) != 1
            or found.sources[0].reference is not reference
        ):
            return None
        name = found.sources[0].base_column(found.column)
        assert reference.table is not None
        column = reference.table.column(name)
        if column is None or not column.treatment.plain:
            return None
        return '"' + name.replace('"', '""') + '"'

    def _other_column(self, node: Node, reference: Reference) -> str | None:
        """A column of another source of the same level, by its name there."""
        use = self.uses[id(node["ColumnRef"])]
        found = owners(use)
        if not found.certain or found.whole_row or len(found.sources) != 1:
            return None
        (source,) = found.sources
        if source.reference is reference or source.name is None or source not in use.level.sources:
            return None
        return f"{quote_identifier(source.name)}.{quote_identifier(found.column)}"


def _comparable(column: Column, other: int) -> bool:
    """Whether the comparison of a leakproof column with a value of type `other` (an oid) is leakproof itself."""
    if other == column.type_oid:
        return True
    return (column.base_type in _INTEGERS and other in _INTEGER_OIDS) or (
        column.base_type in _TEXTS and other in _TEXT_OIDS
    )


def _operator(node: Node) -> str | None:
    """The operator's bare name; None where it is qualified or compound."""
    names = node.get("name", [])
    if node["kind"] in ("AEXPR_BETWEEN", "AEXPR_NOT_BETWEEN"):
        return "BETWEEN"
    return str(names[0]["String"]["sval"]) if len(names) == 1 else None


def _column(reference: Reference | None, name: str) -> Column | None:
    if reference is None or reference.relation is None:
        return None
    return reference.relation.column(name)


def _conjuncts(where: Node | None) -> list[Node]:
    if where is None:
        return []
    if "BoolExpr" in where and where["BoolExpr"]["boolop"] == "AND_EXPR":
        return [c for argument in where["BoolExpr"]["args"] for c in _conjuncts(argument)]
    return [where]


def _integer(constant: Node) -> int | None:
    if "ival" in constant:
        return int(constant["ival"].get("ival", 0))
    if "fval" in constant:
        text = constant["fval"]["fval"]
        if text.lstrip("-").isdigit() and -(2**63) <= int(text) < 2**63:
            return int(text)
    return None


def _value(node: Node) -> str | None:
    """A constant or parameter as text, or None."""
    if "ParamRef" in node:
        return f"${node['ParamRef'].get('number', 0)}"
    constant = node.get("A_Const")
    if constant is None or constant.get("isnull"):
        return None
    if "sval" in constant:
        return quote_literal(constant["sval"].get("sval", ""))
    if "boolval" in constant:
        return "true" if constant["boolval"].get("boolval") else "false"
    number = _integer(constant)
    return None if number is None else str(number)


def _one_array(items: list[Node], column: Column) -> bool:
    """Whether ARRAY[...] of the items has, by itself, a type that the column compares with."""
    constants = [item.get("A_Const", {}) for item in items]
    if column.base_type in _INTEGERS:
        return all(_integer(c) is not None for c in constants)
    return column.base_type in _TEXTS and all("sval" in c for c in constants)


def _has(part: object, kind: str) -> bool:
    if isinstance(part, list):
        return any(_has(element, kind) for element in part)
    if isinstance(part, dict):
        return kind in part or any(_has(element, kind) for element in part.values())
    return False
