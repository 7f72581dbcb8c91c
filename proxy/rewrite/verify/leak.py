"""Whether a statement can run anything on hidden rows that tells about them: where it cannot, no fence is needed.

The rule is the section "When no fence is needed" of docs/reference/governed-form.md. Everything that is not proved
here needs the fence; to be wrong on this side costs a refusal, never a row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from proxy.catalog.model import Column, Relation
from proxy.catalog.types import OIDS
from proxy.errors import PgError
from proxy.policy.table import GovernedTable
from proxy.rewrite.verify.computed import emptied, is_computed, put_out
from proxy.rewrite.verify.foreign import compares_by_itself
from proxy.rewrite.verify.names import DefinitionNames, Names
from proxy.rewrite.verify.scope import Columns, Level, Source, output_columns, output_name, renamed
from proxy.rewrite.verify.sorting import sorted_by
from proxy.rewrite.verify.tree import Node, called, column_references, every_part, flattened, holds, strings
from proxy.rewrite.verify.types import Parameters, known_value
from proxy.rewrite.verify.values import Values, one_of_each
from proxy.rewrite.verify.views import definition_of

_COMPARISONS = frozenset({"=", "<>", "<", ">", "<=", ">="})
_FLIPPED = {"=": "=", "<": ">", ">": "<", "<=": ">=", ">=": "<="}
# Aggregates: what calls one is computed when its level's conditions have been.
_AGGREGATES = frozenset(
    """
    any_value array_agg avg bit_and bit_or bit_xor bool_and bool_or corr count covar_pop covar_samp cume_dist
    dense_rank every json_agg json_agg_strict json_object_agg jsonb_agg jsonb_agg_strict jsonb_object_agg max min mode
    percent_rank percentile_cont percentile_disc range_agg range_intersect_agg rank regr_avgx regr_avgy regr_count
    regr_intercept regr_r2 regr_slope regr_sxx regr_sxy regr_syy stddev stddev_pop stddev_samp string_agg sum var_pop
    var_samp variance xmlagg
    """.split()
)
_STRINGS = (OIDS["text"], OIDS["varchar"])
_FREE = ("targetList", "groupClause", "sortClause", "windowClause")  # computed for what the conditions have left


def _guarded_by(node: Node, rows: list[Node]) -> Node:
    """The value of an expression that is NULL for hidden rows."""
    case = node.get("CaseExpr", {})
    if case.keys() != {"args"} or len(case["args"]) != 1 or flattened(case["args"][0]["CaseWhen"]["expr"]) != rows:
        return {}
    value: Node = case["args"][0]["CaseWhen"]["result"]
    return value


def _plain_column(node: Node, source: Source, alias: str, leakproof: bool = True) -> Column | None:
    fields = node.get("ColumnRef", {}).get("fields", [])
    if len(fields) != 2 or fields[0] != {"String": {"sval": alias}} or "String" not in fields[1]:
        return None
    name = fields[1]["String"]["sval"]
    governed = source.table.column(name) if source.table else None
    column = source.relation.column(name) if source.relation else None
    if governed is None or not governed.treatment.plain or column is None or (leakproof and not column.leakproof):
        return None
    return column


def _comparisons(own: Node, column: str, source: Source, names: Sequence[str]) -> list[tuple[str, Node | list[Node]]]:
    """(operator, value) of each comparison that a conjunct of the app's makes with the column."""
    body = own.get("A_Expr")
    if body is None or "lexpr" not in body:
        return []
    operator = body["name"][-1]["String"]["sval"]
    kind, left, right = body["kind"], body["lexpr"], body["rexpr"]
    if kind == "AEXPR_OP" and operator in _FLIPPED and len(body["name"]) == 1:
        found: list[tuple[str, Node | list[Node]]] = []
        if _is_column(left, column, source, names):
            found.append((operator, right))
        if _is_column(right, column, source, names):
            found.append((_FLIPPED[operator], left))
        return found
    if not _is_column(left, column, source, names):
        return []
    if kind == "AEXPR_BETWEEN":
        low, high = right["List"]["items"]
        return [(">=", low), ("<=", high)]
    if kind == "AEXPR_IN" and operator == "=" and "List" in right:
        items: list[Node] = right["List"]["items"]
        single: list[tuple[str, Node | list[Node]]] = [("=", items[0])] if len(items) == 1 else []
        return [("IN", items), *single]
    return []


def _is_column(node: Node, column: str, source: Source, names: Sequence[str]) -> bool:
    """Whether an expression of the app's is the column, as the app calls it."""
    fields = node.get("ColumnRef", {}).get("fields", [])
    words = [field.get("String", {}).get("sval") for field in fields]
    if len(words) == 2 and words[0] not in names:
        return False
    if len(words) not in (1, 2) or source.columns is None or words[-1] not in source.columns:
        return False
    known = source.columns[words[-1]]
    return known is not None and known.name == column


class LeakProof:
    """Proves, for one statement of the app's, that nothing in it can tell about hidden rows."""

    def __init__(self, names: Names, parameters: Parameters, put_out: frozenset[int] = frozenset()) -> None:
        """`put_out`: ids of the RangeVars that are views of which what is computed is put out and no more."""
        self._put_out_only = put_out
        self._names = names
        self._parameters = parameters
        self._values = Values(names, parameters)
        self._by_star: dict[int, Columns | None] = {}  # by the CTE's id: the names of what `*` puts out

    def proves(self, statement: Node) -> bool:
        """Whether no form that the statement reads needs a fence."""
        try:
            for kind, body in statement.items():
                if kind == "SelectStmt":
                    return self._select(body, None, {}, outermost=True) or self._puts_out(body)
                if kind == "InsertStmt":
                    return self._insert(body)
                if kind in ("UpdateStmt", "DeleteStmt"):
                    return self._write(body)
        except (PgError, KeyError):
            pass
        return False

    def _puts_out(self, body: Node) -> bool:
        """Whether it is so where what views compute is computed when all conditions are through."""
        ctes = {item["CommonTableExpr"]["ctename"] for item in body.get("withClause", {}).get("ctes", ())}

        def computed(relation: Node) -> frozenset[str] | None:
            if "schemaname" not in relation and relation["relname"] in ctes:
                return None
            named = self._names.source(relation)
            return self._computed(named.relation) if named.meaning == "view" and named.relation is not None else None

        views = put_out(body, computed)
        proof = LeakProof(self._names, self._parameters, views)
        return bool(views) and proof._select(body, None, {}, outermost=True)

    def proves_condition(self, body: Node, source: Source) -> bool:
        """Whether the WHERE of an UPDATE or DELETE on `source` can stand beside the row policies as it is."""
        level = self._beside(body, source)
        try:
            return level is not None and ("whereClause" not in body or self._expression(body["whereClause"], level))
        except (PgError, KeyError):
            return False

    def proves_sources(self, body: Node) -> bool:
        """Whether what an UPDATE, DELETE or MERGE reads beside its target is leakproof."""
        return self._beside(body, Source("", {})) is not None

    def copies_join(self, conjunct: Node, body: Node, source: Source, rows: list[Node]) -> bool:
        """Whether a conjunct beside the row policies is a comparison of the WHERE's, of a plain column of the written
        `source` with a column that the statement reads: a leakproof one, or an equality that has NULL for hidden rows.
        """
        level = self._beside(body, source)
        comparison = conjunct.get("A_Expr", {})
        if comparison.get("kind") != "AEXPR_OP":
            return False
        operator, left, right = strings(comparison["name"]), comparison.get("lexpr", {}), comparison["rexpr"]
        guarded = operator == ["="]
        if guarded:
            left = _guarded_by(left, rows)
        words = [strings(side.get("ColumnRef", {}).get("fields", [])) for side in (left, right)]
        if any(len(name) != 2 for name in words) or words[0][0] != source.name or words[1][0] == source.name:
            return False
        first = _plain_column(left, source, source.name, leakproof=not guarded)
        if first is None or operator[-1] not in _FLIPPED:
            return False
        if not compares_by_itself(self._names.rights.snapshot, operator[-1:], first):
            return False
        if not guarded:
            second = self.column(right, level) if level is not None else None
            if operator[:-1] != ["pg_catalog"] or not self._values.comparable(first, operator[-1:], second):
                return False
        for own in flattened(body["whereClause"]):
            for compared, other in _comparisons(own, first.name, source, (source.name,)):
                if compared == operator[-1] and isinstance(other, dict) and self._is_named(other, words[1], level):
                    return True
        return False

    @staticmethod
    def _is_named(node: Node, words: list[str], level: Level | None) -> bool:
        """Whether a name of the app's is the column `words` of the level."""
        own = [part.get("String", {}).get("sval") for part in node.get("ColumnRef", {}).get("fields", ())]
        if own == words or level is None:
            return own == words
        holders = [one.name for one in level.sources if one.columns is None or words[1] in one.columns]
        return own == words[1:] and holders == words[:1]

    def _beside(self, body: Node, source: Source) -> Level | None:
        """The names of an UPDATE, DELETE or MERGE; None where what it reads beside its target is not leakproof."""
        try:
            ctes = self._ctes(body, None, {})
            if ctes is None:
                return None
            level = Level(None, ctes, [source])
            for item in body.get("fromClause") or body.get("usingClause") or ():
                if not self._item(item, level):
                    return None
            return level
        except (PgError, KeyError):
            return None

    def _insert(self, body: Node) -> bool:
        ctes = self._ctes(body, None, {})
        if ctes is None or "onConflictClause" in body or holds(body.get("returningClause"), "SubLink"):
            return False
        query = body.get("selectStmt")
        return query is None or self._select(query["SelectStmt"], None, ctes, outermost=True)

    def _write(self, body: Node) -> bool:
        if holds(body.get("targetList"), "SubLink") or holds(body.get("returningClause"), "SubLink"):
            return False
        named = self._names.target(body["relation"])
        if named.relation is None:
            return False
        alias = called(body["relation"])
        columns: Columns = {column.name: column for column in named.relation.columns}
        return self.proves_condition(body, Source(alias, columns, named.relation, named.table))

    def _ctes(self, body: Node, parent: Level | None, ctes: Mapping[str, Node]) -> Mapping[str, Node] | None:
        clause = body.get("withClause")
        if clause is None:
            return ctes
        inner = dict(ctes)
        items = [item["CommonTableExpr"] for item in clause["ctes"]]
        if clause.get("recursive"):
            inner.update({item["ctename"]: item for item in items})
        for item in items:
            query = item["ctequery"].get("SelectStmt")
            if query is None or item.keys() & {"search_clause", "cycle_clause"}:
                return None
            if not self._select(query, parent, inner):
                return None
            if not clause.get("recursive") and output_columns(item["ctequery"], None) is None:
                columns = self._output_columns(query, self._again(query, parent, dict(inner)))
                self._by_star[id(item)] = None if columns is None else dict.fromkeys(columns)
            inner[item["ctename"]] = item
        return inner

    def _select(self, body: Node, parent: Level | None, ctes: Mapping[str, Node], outermost: bool = False) -> bool:
        inner = self._ctes(body, parent, ctes)
        if inner is None:
            return False
        level = Level(parent, inner)
        if "larg" in body and not (
            self._select(body["larg"], parent, inner) and self._select(body["rarg"], parent, inner)
        ):
            return False
        for item in body.get("fromClause", ()):
            if not self._item(item, level):
                return False
        if not all(self._output(key, level) for key in sorted_by(body)):
            return False
        for key, value in body.items():
            if key in ("fromClause", "withClause", "larg", "rarg", "op", "all", "limitOption", "lockingClause"):
                continue
            if key in ("intoClause", "groupDistinct"):
                continue
            if outermost and key in _FREE:
                if not self._free(value, level):
                    return False
            elif key == "havingClause":
                if not self._having(value, level):
                    return False
            elif isinstance(value, list):
                if not all(self._output(item, level) for item in value):
                    return False
            elif not self._expression(value, level):
                return False
        return True

    def _output_columns(self, body: Node, level: Level) -> Columns | None:
        """The columns that a sub-query makes, as far as their types can be told; None where not even their names."""
        if "larg" in body:
            return self._columns_of_arms([body["larg"], body["rarg"]], level)
        found: list[tuple[str, Column | None]] = []
        rows = [row["List"]["items"] for row in body.get("valuesLists", ())]
        if len({len(row) for row in rows}) > 1:
            return None  # an error of the server's
        for number in range(len(rows[0]) if rows else 0):
            given = [row[number] for row in rows if "isnull" not in row[number].get("A_Const", {})]
            types = [known_value(value, self._parameters, f"column{number + 1}") for value in one_of_each(given)]
            alike = len({one.type_oid if one is not None else 0 for one in types}) == 1
            found.append((f"column{number + 1}", types[0] if alike else None))
        for item in body.get("targetList", ()):
            value, name = item["ResTarget"]["val"], output_name(item["ResTarget"])
            if "ColumnRef" in value and "A_Star" in value["ColumnRef"]["fields"][-1]:
                words = strings(value["ColumnRef"]["fields"][:-1])
                sources = [one for one in level.sources if not words or one.name == words[-1]]
                if len(sources) != 1 if words else holds(body.get("fromClause"), "usingClause"):
                    return None
                for source in sources:
                    if source.columns is None:
                        return None
                    found += source.columns.items()
            elif "A_Star" in value.get("A_Indirection", {}).get("indirection", [{}])[-1]:
                return None
            else:
                known = self.column(value, level) or known_value(value, self._parameters, name or "")
                found.append((name or "", known))
        names = [name for name, _ in found]
        return {name: column if names.count(name) == 1 else None for name, column in found}

    def _columns_of_arms(self, arms: list[Node], level: Level) -> Columns | None:
        """The columns of a set operation: the first arm's names, and types where the arms list columns of the same."""
        made = [self._output_columns(arm, self._again(arm, level.parent, level.ctes)) for arm in arms]
        first, second = made
        if first is None or second is None:
            return None
        if not all(_lists(arm, len(columns)) for arm, columns in zip(arms, (first, second), strict=True)):
            return dict.fromkeys(first)
        pairs = zip(first.items(), second.values(), strict=False)
        return {name: one if _alike(one, other) else None for (name, one), other in pairs}

    def _free(self, node: object, level: Level) -> bool:
        """What is computed for rows that are not hidden: but its sub-queries have rows of their own."""
        if isinstance(node, list):
            return all(self._free(value, level) for value in node)
        if not isinstance(node, dict):
            return True
        if "SubLink" in node:
            link = node["SubLink"]
            query = link["subselect"].get("SelectStmt")
            return (
                query is not None
                and self._free(link.get("testexpr"), level)
                and self._select(query, level, level.ctes, outermost=True)
            )
        return all(self._free(value, level) for value in node.values())

    def _grouped(self, expression: Node, level: Level) -> bool:
        """Whether it has an aggregate, and only columns of this level: it is computed after the level's conditions."""
        if holds(expression, "SubLink"):
            return False
        for fields, _ in column_references(expression):
            words = [part.get("String", {}).get("sval", "") for part in fields]
            if not level.has_of_its_own(words):
                return False
        return self._aggregates(expression)

    def _aggregates(self, expression: Node) -> bool:
        """Whether an aggregate stands where no simplification takes it away from the rest."""
        for kind, body in expression.items():
            if kind == "FuncCall" and "over" not in body:
                name = body["funcname"][-1]["String"]["sval"]
                if name in _AGGREGATES and self._names.is_built_in(name):
                    return True
                return any(self._aggregates(argument) for argument in body.get("args", ()))
            if kind == "A_Expr" and body["kind"] == "AEXPR_OP":
                return any(self._aggregates(body[side]) for side in ("lexpr", "rexpr") if side in body)
            if kind == "TypeCast":
                return self._aggregates(body["arg"])
            if kind == "CoalesceExpr":
                return self._aggregates(body["args"][0])
            if kind == "CaseExpr" and "arg" not in body:
                return self._aggregates(body["args"][0]["CaseWhen"]["expr"])
        return False

    def _having(self, condition: Node, level: Level) -> bool:
        """PostgreSQL moves into WHERE what has no aggregate, part by part."""
        if "BoolExpr" in condition:
            return all(self._having(part, level) for part in condition["BoolExpr"]["args"])
        return self._grouped(condition, level) or self._expression(condition, level)

    def _output(self, item: Node, level: Level) -> bool:
        """An item of an output list, GROUP BY, ORDER BY, DISTINCT ON or a row of VALUES."""
        if not item:
            return True  # DISTINCT without ON
        if "ResTarget" in item:
            return "indirection" not in item["ResTarget"] and self._put_out(item["ResTarget"]["val"], level)
        if "SortBy" in item:
            return "useOp" not in item["SortBy"] and self._put_out(item["SortBy"]["node"], level)
        if "List" in item:
            return all(self._expression(value, level) for value in item["List"]["items"])
        return self._expression(item, level)

    def _put_out(self, value: Node, level: Level) -> bool:
        return self._expression(value, level) or self._grouped(value, level)

    def _item(self, item: Node, level: Level) -> bool:
        """An item of FROM: puts its sources into the level."""
        for kind, body in item.items():
            if kind == "RangeVar":
                return self._relation(body, level)
            if kind == "RangeSubselect":
                outer = Level(level.parent, level.ctes, list(level.sources)) if body.get("lateral") else level.parent
                query = body["subquery"]["SelectStmt"]
                if not self._select(query, outer, level.ctes):
                    return False
                level.sources.append(self._derived(body, outer, level.ctes))
                return True
            if kind == "JoinExpr":
                return self._join(body, level)
        return False

    def _join(self, body: Node, level: Level) -> bool:
        start = len(level.sources)
        if not (self._item(body["larg"], level) and self._item(body["rarg"], level)):
            return False
        sides = level.sources[start:]
        if body.get("isNatural"):
            return False
        for word in body.get("usingClause", ()):
            name = word["String"]["sval"]
            if any(source.columns is None for source in sides):
                return False
            columns = [source.columns[name] for source in sides if source.columns and name in source.columns]
            first = columns[0] if columns else None
            if (
                len(columns) < 2
                or first is None
                or not all(self._values.comparable(first, ("=",), column) for column in columns[1:])
            ):
                return False
        if "quals" in body and not self._expression(body["quals"], Level(level.parent, level.ctes, sides)):
            return False
        _name_join(body, level, start)
        return True

    def _relation(self, body: Node, level: Level) -> bool:
        alias = body.get("alias")
        if "schemaname" not in body and body["relname"] in level.ctes:
            cte = level.ctes[body["relname"]]
            names = {"aliasname": "", "colnames": cte["aliascolnames"]} if "aliascolnames" in cte else None
            known = output_columns(cte["ctequery"], names) or renamed(self._by_star.get(id(cte)), names)
            columns = renamed(known, alias)
            level.sources.append(Source(alias["aliasname"] if alias else body["relname"], columns))
            return True
        named = self._names.source(body)
        name = alias["aliasname"] if alias else body["relname"]
        if named.relation is None or named.meaning == "system":
            level.sources.append(Source(name, None))
            return True
        calm = named.meaning != "view" or id(body) in self._put_out_only or self._view(named.relation)
        shown: Columns = {
            column.name: column
            for column in named.relation.columns
            if column.number > 0 and (named.meaning != "form" or _is_visible(named.table, column.name))
        }
        level.sources.append(Source(name, renamed(shown, alias), named.relation, named.table))
        return calm

    def _view(self, view: Relation) -> bool:
        """A view that is read by its definition: any column of it may be used anywhere."""
        if self._names.rights.has_lost(view):
            return False
        definition = definition_of(view)
        proof = LeakProof(DefinitionNames(self._names, (), view), Parameters((), every_part(definition)))
        return proof._select(definition["SelectStmt"], None, {})

    def _computed(self, view: Relation) -> frozenset[str] | None:
        """The columns that a view computes, where all else in its definition is leakproof; None where it is not."""
        query = definition_of(view)["SelectStmt"]
        items = query.get("targetList", [])
        if self._names.rights.has_lost(view) or len(items) != len(view.columns):
            return None
        proof = LeakProof(DefinitionNames(self._names, (), view), Parameters((), every_part(query)))
        level = proof._again(query, None, {})
        made = [item for item in items if is_computed(item)]
        if not all(proof._output(key, level) for key in sorted_by(query)) or not proof._free(made, level):
            return None
        if not proof._select(emptied(query), None, {}):
            return None
        return frozenset(c.name for c, item in zip(view.columns, items, strict=True) if is_computed(item))

    # -- expressions --------------------------------------------------------------------------------------------------

    def _expression(self, node: Node, level: Level) -> bool:
        for kind, body in node.items():
            if kind == "ColumnRef":
                return self._reference(body["fields"], level)
            if kind in ("A_Const", "ParamRef"):
                return True
            if kind == "BoolExpr":
                return all(self._expression(part, level) for part in body["args"])
            if kind in ("NullTest", "BooleanTest"):
                return self._expression(body["arg"], level)
            if kind == "A_Expr":
                return self._comparison(body, level) or self._values.type_of(node) is not None
            if kind == "SubLink":
                return self._sublink(body, level)
            if kind == "TypeCast" and self._relabelled(body, level):
                return True
            if kind in ("TypeCast", "SQLValueFunction", "FuncCall"):
                return self._values.type_of(node) is not None
            if kind == "SetToDefault":
                return True
        return False

    def _relabelled(self, cast: Node, level: Level) -> bool:
        """A column of strings as text: PostgreSQL calls nothing for that."""
        column = self.column(cast["arg"], level)
        return column is not None and column.type_oid in _STRINGS and self._values.is_text(cast["typeName"])

    def _reference(self, fields: list[Node], level: Level) -> bool:
        """A name; not one that might be a function in column's clothes."""
        words = [part.get("String", {}).get("sval") for part in fields]
        if len(words) == 1 or words[-1] is None:
            return True
        for outer in level.outward():
            named = [source for source in outer.sources if source.name == words[0]]
            if named:
                known = len(words) == 2 and all(s.columns is not None and words[1] in s.columns for s in named)
                return known or self.column({"ColumnRef": {"fields": fields}}, level) is not None
        return False

    def _sublink(self, body: Node, level: Level) -> bool:
        query = body["subselect"].get("SelectStmt")
        if query is None or not self._select(query, level, level.ctes):
            return False
        if body["subLinkType"] == "EXISTS_SUBLINK":
            return True
        if body["subLinkType"] != "ANY_SUBLINK" or "operName" in body:
            return False
        if "larg" in query or len(query.get("targetList", ())) != 1:
            return False
        inner = self._again(query, level, level.ctes)
        compared = self.column(query["targetList"][0]["ResTarget"]["val"], inner)
        return self._values.comparable(self.column(body["testexpr"], level), ("=",), compared)

    def _comparison(self, body: Node, level: Level) -> bool:
        kind, name = body["kind"], body["name"]
        if len(name) != 1 or "lexpr" not in body:
            return False
        operator = name[0]["String"]["sval"]
        left, right = body["lexpr"], body["rexpr"]
        if kind == "AEXPR_OP" and operator in _COMPARISONS:
            return self._compared(left, (operator,), right, level)
        if kind in ("AEXPR_DISTINCT", "AEXPR_NOT_DISTINCT"):
            return self._compared(left, ("=",), right, level)
        if kind in ("AEXPR_OP_ANY", "AEXPR_OP_ALL") and operator in _COMPARISONS:
            column = self.column(left, level)
            return column is not None and self._values.fits(column, (operator,), self._values.array_of(right))
        if kind == "AEXPR_IN" or (kind in ("AEXPR_BETWEEN", "AEXPR_NOT_BETWEEN")):
            operators = (operator,) if kind == "AEXPR_IN" else ("<", ">", "<=", ">=")
            values = right.get("List", {}).get("items", ())
            return bool(values) and all(self._compared(left, operators, value, level) for value in one_of_each(values))
        return False

    def _compared(self, left: Node, operators: tuple[str, ...], right: Node, level: Level) -> bool:
        if "RowExpr" in left and "RowExpr" in right:
            ours, theirs = left["RowExpr"].get("args", ()), right["RowExpr"].get("args", ())
            if not ours or len(ours) != len(theirs):
                return False
            return all(self._compared(one, operators, other, level) for one, other in zip(ours, theirs, strict=True))
        first, second = self.column(left, level), self.column(right, level)
        if first is not None and second is not None:
            return self._values.comparable(first, operators, second)
        column, other = (first, right) if first is not None else (second, left)
        if column is None or "ColumnRef" in other:
            return False
        return self._values.fits(column, operators, self._values.type_of(other))

    def _derived(self, body: Node, outer: Level | None, ctes: Mapping[str, Node]) -> Source:
        """A sub-query in FROM, with the types of its columns as far as they can be told."""
        alias, query = body.get("alias"), body["subquery"]["SelectStmt"]
        columns = self._output_columns(query, self._again(query, outer, ctes))
        return Source(alias["aliasname"] if alias else "", renamed(columns, alias))

    def whole(self, level: Level) -> Level:
        """A level with all that its FROM has, calm or not."""
        whole = Level(self.around(level.parent) if level.parent is not None else None, level.ctes)
        if level.target is not None:
            table, relation = level.target.table, level.target.relation
            shown: Columns = {c.name: c for c in relation.columns if _is_visible(table, c.name)}
            whole.sources.append(Source(level.target.name, shown, relation, table))
        for item in [*level.beside, *level.items]:
            self._put(item, whole)
        return whole

    def around(self, level: Level) -> Level:
        """The same of a query around, where its names are all of its FROM; any other level as it is."""
        # (RETURNING has its target's row twice)
        twice = level.target is not None and level.target.row_names
        known = level.items and not (level.beside or level.loose or twice)
        return self.whole(level) if known else level

    def _again(self, query: Node, parent: Level | None, ctes: Mapping[str, Node]) -> Level:
        return self.whole(Level(parent, self._ctes(query, parent, ctes) or {}, items=query.get("fromClause", [])))

    def _put(self, item: Node, level: Level) -> None:
        for kind, body in item.items():
            if kind == "RangeVar":
                self._relation(body, level)
            elif kind == "RangeTableSample":
                self._relation(body["relation"]["RangeVar"], level)
            elif kind == "JoinExpr" and "alias" not in body:
                self._put(body["larg"], level)
                self._put(body["rarg"], level)
            elif kind == "RangeSubselect" and "SelectStmt" in body["subquery"]:
                outer = Level(level.parent, level.ctes, list(level.sources)) if body.get("lateral") else level.parent
                level.sources.append(self._derived(body, outer, level.ctes))
            else:
                level.sources.append(_opaque(body.get("alias")))

    def column(self, node: Node, level: Level) -> Column | None:
        """The column that an expression is; None where it is none, or cannot be told."""
        words = [part.get("String", {}).get("sval") for part in node.get("ColumnRef", {}).get("fields", ())]
        if len(words) not in (1, 2) or words[-1] is None:
            return None
        for outer in level.outward():
            sources = [s for s in outer.sources if len(words) == 1 or s.name == words[0]]
            if any(source.columns is None for source in sources):
                return None
            found = [source.columns[words[-1]] for source in sources if source.columns and words[-1] in source.columns]
            if len(found) > 1:
                # Merged by USING, or ambiguous: one type will do.
                first = found[0]
                return first if first and all(c and c.type_oid == first.type_oid for c in found) else None
            if found:
                return found[0]
            if len(words) == 2 and sources:
                return None
        return None


def _alike(one: Column | None, other: Column | None) -> bool:
    if one is None or other is None:
        return False
    return (one.type_oid, one.collation) == (other.type_oid, other.collation)


def _lists(arm: Node, count: int) -> bool:
    """Whether a query's outputs are so many, each under a name of its own (of a set operation the arms were asked)."""
    return "larg" in arm or len(arm.get("targetList", ())) == count


def _name_join(body: Node, level: Level, start: int) -> None:
    """The names that a join's aliases bring: of its merged columns, or of all, in place of its sides'."""
    sides = level.sources[start:]
    every: Columns = {}
    merged = [word["String"]["sval"] for word in body.get("usingClause", ())]
    for source in sides:
        for name, column in (source.columns or {}).items():
            other = every.get(name, column)
            alike = name in merged and column is not None and other is not None and other.type_oid == column.type_oid
            every[name] = column if name not in every or alike else None  # two of one name, or of a type between both
    if "join_using_alias" in body:
        columns = {name: every.get(name) for name in merged}
        level.sources.append(Source(body["join_using_alias"]["aliasname"], columns))
    if "alias" in body:
        # A list of names would name the columns by their places, in which merged ones come first.
        known = "colnames" not in body["alias"] and all(source.columns is not None for source in sides)
        level.sources[start:] = [Source(body["alias"]["aliasname"], every if known else None)]


def _is_visible(table: GovernedTable | None, name: str) -> bool:
    column = table.column(name) if table is not None else None
    return column is not None and column.treatment.visible


def _opaque(alias: Node | None) -> Source:
    return Source(alias["aliasname"] if alias else "", None)
