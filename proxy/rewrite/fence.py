"""When may PostgreSQL run an expression of the app's on a row that the app must not know of, and what may go inside
the fence.

rewriting.md, evidence 7: whatever shape the row policy has, PostgreSQL ran the app's `email::int = 1` on hidden rows
and printed
a hidden address in the error. Only comparisons whose functions are leakproof (pg_proc.proleakproof) are harmless there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from itertools import repeat

from proxy.catalog.model import Column, SearchPath, Snapshot
from proxy.catalog.types import OIDS
from proxy.rewrite.comparable import COMPARISONS, Values, one_of_each
from proxy.rewrite.computed import put_out, without_computed
from proxy.rewrite.lex import Node
from proxy.rewrite.scope import (
    SYSTEM_SCHEMAS,
    Analysis,
    ColumnUse,
    Reference,
    View,
    every_node,
    level_nodes,
    owners,
    walk,
)
from proxy.rewrite.sorting import early_keys
from proxy.rewrite.types import Types

# Aggregates by name: what calls one is computed after the conditions of its level, wherever it stands.
AGGREGATES = frozenset(
    """
    any_value array_agg avg bit_and bit_or bit_xor bool_and bool_or corr count covar_pop covar_samp cume_dist
    dense_rank every
    json_agg json_agg_strict json_object_agg jsonb_agg jsonb_agg_strict jsonb_object_agg max min mode percent_rank
    percentile_cont percentile_disc range_agg range_intersect_agg rank regr_avgx regr_avgy regr_count regr_intercept
    regr_r2
    regr_slope regr_sxx regr_sxy regr_syy stddev stddev_pop stddev_samp string_agg sum var_pop var_samp variance xmlagg
    """.split()
)


class Care(Enum):
    """What is done where a proof knows less of a statement than the rewriter: nothing is taken as leakproof, then no
    comparison with another relation's column is copied, and then none at all.
    """

    NONE, FENCED, ALONE, BARE = range(4)


@dataclass(frozen=True, slots=True)
class Fences:
    """Answers for one statement: needs what the analysis knows of it and the types that the driver gave its
    parameters.
    """

    analysis: Analysis
    snapshot: Snapshot
    path: SearchPath
    values: Values
    uses: dict[int, ColumnUse]
    uncalm: Mapping[int, View]  # by the ids of the RangeVars: views of which the definition is not leakproof
    carried: Mapping[int, list[Node]] = field(default_factory=dict)  # by a SELECT's id: what holds of its rows, too
    care: Care = Care.NONE
    _compared: dict[int, bool] = field(default_factory=dict)  # by the expression's id: each relation asks again

    @classmethod
    def of(
        cls, statement: Node, analysis: Analysis, snapshot: Snapshot, path: SearchPath, parameter_types: tuple[int, ...]
    ) -> Fences:
        opaque = bool(statement.get("PrepareStmt", {}).get("argtypes"))  # typed, but not by the driver
        values = Values.of(analysis.nodes, snapshot, path, parameter_types, opaque)
        uses = {id(use.node): use for use in analysis.uses}
        uncalm = {
            id(r.node): r.view for r in analysis.references if r.view is not None and r.view.computed != frozenset()
        }
        return cls(analysis, snapshot, path, values, uses, uncalm)

    # -- is the whole statement leakproof? --------------------------------------------------------------------------

    def leakproof_statement(self, statement: Node) -> bool:
        """Whether nothing in the statement could tell of a hidden row, wherever PostgreSQL evaluates it."""
        ((kind, node),) = statement.items()
        match kind:
            case "SelectStmt":
                return self._select(node, outermost=True) or self._puts_out(node)
            case "ExplainStmt" | "PrepareStmt" | "DeclareCursorStmt" | "CreateTableAsStmt":
                return self.leakproof_statement(node["query"])
            case "CopyStmt":
                return "query" not in node or self.leakproof_statement(node["query"])
        return False

    def computed_outputs(self, statement: Node) -> list[int] | None:
        """The same for a view's definition: its outputs that could tell, where nothing else in it does, else None. Of
        the others any may be used anywhere.
        """
        node = statement["SelectStmt"]
        if self._select(node):
            return []
        if "targetList" not in node or not all(self._bare(key) for key in early_keys(node)):
            return None
        rest, computed = without_computed(node)
        queries = _queries_in([node["targetList"][number] for number in computed])
        calm = self._select(rest) and all(self._select(query, outermost=True) for query in queries)
        return computed if calm else None

    def _puts_out(self, node: Node) -> bool:
        """Whether it is leakproof where what views compute is computed when all conditions are through."""
        views = put_out(node, self.uncalm)
        rest = {key: view for key, view in self.uncalm.items() if key not in views}
        return bool(views) and replace(self, uncalm=rest)._select(node, outermost=True)

    def leakproof_condition(self, where: Node | None) -> bool:
        """Whether a WHERE clause alone is leakproof (of UPDATE and DELETE: SET and RETURNING run on rows that it
        chose).
        """
        return self._expression(where)

    def leakproof_sources(self, statement: Node) -> bool:
        """Whether nothing in what an UPDATE, DELETE or MERGE reads beside its target could tell of a hidden row there,
        which decides how often it runs. Its own CTEs are looked at, of others nothing is known.
        """
        items = statement.get("fromClause") or statement.get("usingClause") or []
        if "sourceRelation" in statement:
            items = [statement["sourceRelation"]]
        ctes = [cte["CommonTableExpr"] for cte in statement.get("withClause", {}).get("ctes", ())]
        own = {cte["ctename"] for cte in ctes}
        relations = {id(reference.node) for reference in self.analysis.references}
        named = [node for _, node in every_node(items) if "relname" in node and id(node) not in relations]
        return (
            all(node["relname"] in own for node in named)
            and all("SelectStmt" in cte["ctequery"] and self._select(cte["ctequery"]["SelectStmt"]) for cte in ctes)
            and not any({"search_clause", "cycle_clause"} & cte.keys() for cte in ctes)
            and all(self._from_item(item) for item in items)
        )

    def _select(self, node: Node, *, outermost: bool = False) -> bool:
        """`outermost`: what the level puts out goes nowhere that PostgreSQL might evaluate it before its conditions:
        the statement's own level, and sub-queries in what such a level puts out.
        """
        for cte in node.get("withClause", {}).get("ctes", ()):
            query = cte["CommonTableExpr"]["ctequery"]
            if "SelectStmt" not in query or not self._select(query["SelectStmt"]):
                return False
        for arm in ("larg", "rarg"):
            if arm in node and not self._select(node[arm]):
                return False
        if not all(self._from_item(item) for item in node.get("fromClause", ())):
            return False
        free = [node.get(name) for name in ("targetList", "groupClause", "sortClause", "windowClause")]
        if not all(self._bare(key) for key in early_keys(node)):
            return False
        if outermost:
            # What it puts out is evaluated for the rows that its WHERE has left.
            if not all(self._select(query, outermost=True) for query in _queries_in(free)):
                return False
        elif not all(self._bare(part) for part in free):
            return False
        if "havingClause" in node and not self._grouped(node["havingClause"]):
            return False
        rest = ("whereClause", "limitOffset", "limitCount", "valuesLists")
        return all(self._expression(node.get(name)) for name in rest)

    def _grouped(self, condition: Node) -> bool:
        """A condition in HAVING: PostgreSQL moves into WHERE what has no aggregate, part by part."""
        if "BoolExpr" in condition:
            return all(self._grouped(part) for part in condition["BoolExpr"]["args"])
        return self._after_grouping(condition) or self._expression(condition)

    def _after_grouping(self, expression: Node) -> bool:
        """Whether it has an aggregate of its own level, and keeps it: it is computed after the level's conditions."""
        for node in walk(expression):
            if "ColumnRef" in node:
                use = self.uses[id(node["ColumnRef"])]
                meant = owners(use)
                if not meant.certain or not all(source in use.level.sources for source in meant.sources):
                    return False
            if "SubLink" in node:
                return False
        return self._keeps_aggregate(expression)

    def _keeps_aggregate(self, expression: Node) -> bool:
        """Whether no simplification can take the aggregate out (CASE WHEN true THEN ... ELSE count(*) END is none)."""
        ((kind, node),) = expression.items()
        match kind:
            case "FuncCall" if "over" not in node:
                name = node["funcname"][-1]["String"]["sval"]
                known = self.snapshot.functions.get(name, ())
                if name in AGGREGATES and all(f.schema == "pg_catalog" for f in known):
                    return True
                return any(map(self._keeps_aggregate, node.get("args", ())))
            case "A_Expr" if node["kind"] == "AEXPR_OP":
                return any(self._keeps_aggregate(node[side]) for side in ("lexpr", "rexpr") if side in node)
            case "TypeCast":
                return self._keeps_aggregate(node["arg"])
            case "CoalesceExpr":
                return self._keeps_aggregate(node["args"][0])
            case "CaseExpr" if "arg" not in node:
                return self._keeps_aggregate(node["args"][0]["CaseWhen"]["expr"])
        return False

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
            known = [column for column in columns if column is not None]
            if len(columns) != 2 or len(known) != 2 or not self.values.comparable(known[0], ("=",), known[1]):
                return False
        return True

    def _bare(self, part: object) -> bool:
        """Only columns and values, named or not, and what is computed after the level's conditions."""
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
        if kind in ("ColumnRef", "A_Const", "ParamRef") or (kind == "TypeCast" and self._relabelled(node)):
            return True
        return self.values.type_of(part) is not None or self._after_grouping(part)

    def _relabelled(self, cast: Node) -> bool:
        """A column of type text or varchar as text: nothing is called for that (pg_cast says binary-coercible)."""
        column = self.known_column(cast["arg"])
        strings = (OIDS["text"], OIDS["varchar"])
        return column is not None and column.type_oid in strings and self.values.named(cast) == OIDS["text"]

    def _expression(self, value: object) -> bool:
        if not value:
            return True
        if isinstance(value, list):
            return all(self._expression(element) for element in value if "A_Const" not in element)
        assert isinstance(value, dict)
        ((kind, node),) = value.items()
        match kind:
            case "ColumnRef":
                found = owners(self.uses[id(node)])
                return (
                    found.certain
                    and not found.whole_row
                    and all(s.has(found.column) and not _is_catalog(s.reference) for s in found.sources)
                )
            case "A_Const" | "ParamRef":
                return True
            case "BoolExpr":
                return self._expression(node["args"])
            case "List":
                return self._expression(node["items"])
            case "NullTest" | "BooleanTest":
                if "ColumnRef" in node["arg"]:
                    found = owners(self.uses[id(node["arg"]["ColumnRef"])])
                    return not found.whole_row and not any(_is_catalog(s.reference) for s in found.sources)
                return self.values.type_of(node["arg"]) is not None
            case "TypeCast" | "SQLValueFunction" | "FuncCall":
                return self.values.type_of(value) is not None
            case "A_Expr":
                return self.comparison(node)
            case "SubLink":
                return self._sublink(node)
        return False

    def _sublink(self, node: Node) -> bool:
        """EXISTS (...) and `column IN (SELECT column ...)`."""
        inner = node["subselect"].get("SelectStmt")
        if inner is None or not self._select(inner):
            return False
        if node["subLinkType"] == "EXISTS_SUBLINK":
            return True
        if node["subLinkType"] != "ANY_SUBLINK" or "operName" in node:
            return False
        outputs = inner.get("targetList", ())
        if len(outputs) != 1 or "larg" in inner:
            return False
        compared, column = self.known_column(outputs[0]["ResTarget"]["val"]), self.known_column(node["testexpr"])
        return column is not None and compared is not None and self.values.comparable(column, ("=",), compared)

    def comparison(self, node: Node) -> bool:
        """Whether an operator expression compares columns and values by leakproof operators."""
        known = self._compared.get(id(node))
        if known is None:
            known = self._compared[id(node)] = self._comparison(node)
        return known

    def _comparison(self, node: Node) -> bool:
        operator = operator_of(node)
        if operator is None or "lexpr" not in node or "rexpr" not in node:  # a prefix operator
            return False
        left, right = node["lexpr"], node["rexpr"]
        match node["kind"]:
            case "AEXPR_OP":
                return operator in COMPARISONS and self._pairs(left, (operator,), right)
            case "AEXPR_DISTINCT" | "AEXPR_NOT_DISTINCT":
                return self._pairs(left, ("=",), right)
            case "AEXPR_IN":
                return all(self._pairs(left, (operator,), item) for item in one_of_each(right["List"]["items"]))
            case "AEXPR_OP_ANY" | "AEXPR_OP_ALL":
                column = self.known_column(left)
                found = self.values.element_type(right)
                return operator in COMPARISONS and column is not None and self.values.fits(column, (operator,), found)
            case "AEXPR_BETWEEN" | "AEXPR_NOT_BETWEEN":
                return all(self._pairs(left, ("<", ">", "<=", ">="), item) for item in right["List"]["items"])
        return False

    def _pairs(self, left: Node, operators: tuple[str, ...], right: Node) -> bool:
        """Two sides of a comparison, rows among them."""
        if "RowExpr" in left and "RowExpr" in right:
            first, second = left["RowExpr"].get("args", ()), right["RowExpr"].get("args", ())
            same = 0 < len(first) == len(second)
            return same and all(self._pairs(*two) for two in zip(first, repeat(operators), second, strict=False))
        return self.pair(left, operators, right) or self.pair(right, operators, left)

    def pair(self, left: Node, operators: tuple[str, ...], right: Node) -> bool:
        """Whether `left` is a column, and `right` one, or a value, that is compared with it by leakproof operators."""
        column = self.known_column(left)
        if column is None:
            return False
        if "ColumnRef" in right:
            other = self.known_column(right)
            if other is not None:
                return self.values.comparable(column, operators, other)
            return self.values.fits(column, operators, self._column_type(right) or None)
        return self.values.fits(column, operators, self.values.type_of(right))

    def known_column(self, node: Node) -> Column | None:
        """The relation's column that an expression is; None where it is none, or cannot be told."""
        if "ColumnRef" not in node:
            return None
        found = owners(self.uses[id(node["ColumnRef"])])
        if found.whole_row or not found.certain or len(found.sources) != 1:
            return None
        (source,) = found.sources
        if source.query is not None and source.columns is not None and found.column in source.columns:
            return self._output(source.query.get("SelectStmt", {}), source.columns.index(found.column))
        return _column(source.reference, source.base_column(found.column))

    def _column_type(self, node: Node) -> int:
        """The type's oid of the column that a name means, of a relation or of a sub-query; 0 where it is not known."""
        found = owners(self.uses[id(node["ColumnRef"])])
        if found.whole_row or not found.certain or len(found.sources) != 1:
            return 0
        (source,) = found.sources
        return 0 if _is_catalog(source.reference) else self._types.column(source, found.column)

    @property
    def _types(self) -> Types:
        return Types(self.uses, self.values.parameter_types, self.values.times_used)

    def _output(self, query: Node, position: int) -> Column | None:
        """The relation's column that an output of a sub-query in FROM is; of a set operation, whose arms have such of
        one type, the first one's.
        """
        if "larg" in query:
            one, other = self._output(query["larg"], position), self._output(query["rarg"], position)
            if one is None or other is None or one.collation != other.collation:
                return None
            return one if one.type_oid == other.type_oid else None
        targets = [item["ResTarget"]["val"] for item in query.get("targetList", ())]
        if any("A_Star" in value.get("ColumnRef", {}).get("fields", [{}])[-1] for value in targets):
            return None
        return self.known_column(targets[position]) if position < len(targets) else None


def operator_of(node: Node) -> str | None:
    """The operator's bare name; None where it is qualified or compound."""
    names = node.get("name", [])
    if node["kind"] in ("AEXPR_BETWEEN", "AEXPR_NOT_BETWEEN"):
        return "BETWEEN"
    return str(names[0]["String"]["sval"]) if len(names) == 1 else None


def conjuncts(where: Node | None) -> list[Node]:
    """The parts of a condition that all must hold."""
    if where is None:
        return []
    if "BoolExpr" in where and where["BoolExpr"]["boolop"] == "AND_EXPR":
        return [c for argument in where["BoolExpr"]["args"] for c in conjuncts(argument)]
    return [where]


def _column(reference: Reference | None, name: str) -> Column | None:
    if reference is None or reference.relation is None or _is_catalog(reference):
        return None
    return reference.relation.column(name)


def _is_catalog(reference: Reference | None) -> bool:
    """The app has a form of it, of whose columns nothing is proved."""
    return reference is not None and reference.relation is not None and reference.relation.schema in SYSTEM_SCHEMAS


def _queries_in(parts: object) -> list[Node]:
    """The sub-queries that stand in expressions, those inside of them left out."""
    links = (part["SubLink"] for part in level_nodes(parts) if "SubLink" in part)
    return [link["subselect"].get("SelectStmt", {"fromClause": [{"": {}}]}) for link in links]
