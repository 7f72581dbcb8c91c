"""Queries side by side: WITH, FROM and GROUP BY. Each read of a governed relation must be its governed form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from proxy.catalog.model import Column, Relation
from proxy.errors import insufficient_privilege
from proxy.rewrite.allowed import FUNCTION_COLUMNS, PLAIN_TYPES, SETS_OF_VALUES, TABLE_FUNCTIONS
from proxy.rewrite.verify.carried import carried
from proxy.rewrite.verify.columns import differs, granted
from proxy.rewrite.verify.copies import Bound
from proxy.rewrite.verify.form import SYSTEM_COLUMNS
from proxy.rewrite.verify.leak import LeakProof
from proxy.rewrite.verify.names import DefinitionNames, Named
from proxy.rewrite.verify.nodes import Ctes, NodeWalk, in_holes
from proxy.rewrite.verify.quiet import raises_nothing
from proxy.rewrite.verify.scope import (
    Columns,
    Level,
    Merge,
    Source,
    Target,
    figured_name,
    output_columns,
    output_name,
    renamed,
)
from proxy.rewrite.verify.star import Part, parts_of, single
from proxy.rewrite.verify.tree import Node, called, column_of, every_part, flattened, named_in, parse, strings
from proxy.rewrite.verify.views import definition_of, kept_items

_BARRIER: Node = parse("SELECT * FROM x OFFSET 0")[0]["SelectStmt"]
_INNER: Node = {"alias": {"aliasname": "_v"}, "subquery": None}
_SAMPLING = frozenset({"system", "bernoulli"})
_TYPED: Node = {"ColumnRef": {}}  # a column's value, as an operand
_ANY_VALUES = ("pg_catalog.any_value({argument})", "(pg_catalog.array_agg({argument}))[1]")
_PLAIN_TAIL: Node = {key: parse("SELECT 1")[0]["SelectStmt"][key] for key in ("limitOption", "op")}
_FENCE: Node = {key: parse("SELECT 1 OFFSET 0")[0]["SelectStmt"][key] for key in ("limitOption", "op", "limitOffset")}


# The side of a join whose rows all pass its ON, if they are in the result at all; and the one of which none is lost.
_BOUND = {"JOIN_INNER": ("larg", "rarg"), "JOIN_LEFT": ("rarg",), "JOIN_RIGHT": ("larg",), "JOIN_FULL": ()}
_BY_OUTPUTS = frozenset({"sortClause", "groupClause", "distinctClause"})
_KEPT = {"JOIN_LEFT": ("larg",), "JOIN_RIGHT": ("rarg",), "JOIN_FULL": ()}


class ReadWalk(NodeWalk):
    """SELECT and what stands in FROM."""

    def _with(self, b: Node, a: Node, parent: Level | None, ctes: Ctes) -> Ctes:
        """The CTEs that the statement sees."""
        if ("withClause" in b) != ("withClause" in a):
            raise differs("WITH came or went")
        if "withClause" not in b:
            return ctes
        known = dict(ctes)
        bw, aw = b["withClause"], a["withClause"]
        if bw.get("recursive") != aw.get("recursive") or len(bw["ctes"]) != len(aw["ctes"]):
            raise differs("WITH changed")
        items = [item["CommonTableExpr"] for item in bw["ctes"]]
        if bw.get("recursive"):
            known.update({item["ctename"]: _without_added(item) for item in items})
        for bc, other in zip(items, aw["ctes"], strict=True):
            ac = other["CommonTableExpr"]
            self.query(bc["ctequery"], ac["ctequery"], parent, dict(known))
            self._fields("CommonTableExpr", bc, ac, Level(parent, known), skip=("ctequery",))
            known[bc["ctename"]] = bc
        return known

    def _select(self, b: Node, a: Node, parent: Level | None, ctes: Ctes) -> None:
        ctes = self._with(b, a, parent, ctes)
        level = Level(parent, ctes, where=self._asked(b))
        if ("larg" in b, "rarg" in b) != ("larg" in a, "rarg" in a):
            raise differs("an arm of a set operation came or went")
        if "larg" in b:
            self._select(b["larg"], a["larg"], parent, ctes)
            self._select(b["rarg"], a["rarg"], parent, ctes)
            level.sources.append(Source("", output_columns({"SelectStmt": b}, None)))
        self._from(b.get("fromClause", []), a.get("fromClause", []), level)
        for lock in b.get("lockingClause", ()):
            if lock.keys() != {"LockingClause"}:
                raise differs("a locking clause")
        if b.get("lockingClause") != a.get("lockingClause"):
            raise differs("the locking clause changed")
        if "intoClause" in b:
            self._rights.check_made(b["intoClause"]["rel"])
        if b.get("intoClause") != a.get("intoClause"):
            raise differs("INTO changed")
        a = self._without_added_groups(b, a, level)
        level.groups, level.outputs = b.get("groupClause", []), b.get("targetList", [])
        self._listed(b.get("targetList", []), a.get("targetList", []), level, outputs=True)
        if "targetList" in b:
            self._note_outputs(b, b["targetList"], level)
        rows, others = b.get("valuesLists", []), a.get("valuesLists", [])
        if len(rows) != len(others):
            raise differs("VALUES has another number of rows")
        for row, other in zip(rows, others, strict=True):
            self._listed(row["List"].get("items", []), other["List"].get("items", []), level)
        skip = ("withClause", "larg", "rarg", "fromClause", "lockingClause", "intoClause", "targetList", "valuesLists")
        if level.guarded and not b.keys().isdisjoint(_BY_OUTPUTS):
            b, a = self._without_names_of_outputs(b, a, level)
        self._fields("SelectStmt", b, a, level, skip=skip)

    @staticmethod
    def _without_names_of_outputs(b: Node, a: Node, level: Level) -> tuple[Node, Node]:
        """Items of ORDER BY, GROUP BY and DISTINCT ON that are bare names of outputs mean these, and nothing of a query
        around; those that stay left out.
        """
        outputs = {_sure_name(item["ResTarget"]) for item in b.get("targetList", ())}
        known = all(source.columns is not None for source in level.sources)
        meant = {name for name in outputs if known and name and not level.has_of_its_own([name])}  # by GROUP BY
        for field in _BY_OUTPUTS & b.keys() & a.keys():
            before, after = _without_names(b[field], a[field], outputs, meant if field == "groupClause" else set())
            b, a = {**b, field: before}, {**a, field: after}
        return b, a

    def _asked(self, query: Node) -> Node | None:
        """What the rows of a query must pass."""
        where: Node | None = self._short(query.get("whereClause"))
        if not self._carried or query is not self._defined:
            return where
        return {"BoolExpr": {"boolop": "AND_EXPR", "args": [*flattened(where), *self._carried]}}

    def _note_outputs(self, query: Node, outputs: list[Node], level: Level) -> None:
        """The columns of a query that has `*`, for those who read it."""
        names: list[str] = []
        for item in outputs:
            fields = item["ResTarget"].get("val", {}).get("ColumnRef", {}).get("fields", [])
            if fields and "A_Star" in fields[-1]:
                words = strings(fields[:-1])
                row = level.named(words[0]) if len(words) == 1 else None
                for part in [Part(row)] if words else parts_of(level) or [Part(None)]:
                    columns = [part.column] if part.column is not None else _columns_of(part.source)
                    if columns is None:
                        return
                    names += columns
            else:
                name = output_name(item["ResTarget"])
                if name is None:
                    return
                names.append(name)
        self._stars[id(query)] = names

    def _made(self, query: Node, alias: Node | None) -> Columns | None:
        """The columns of a sub-query, as far as they can be told."""
        body: Node = next(iter(query.values()))
        if id(body) not in self._stars:
            return output_columns(query, alias)
        names = self._stars[id(body)]
        columns: Columns = dict.fromkeys(names)
        if len(columns) == len(names):
            return renamed(columns, alias)
        return None if alias and "colnames" in alias else columns

    def _without_added_groups(self, b: Node, a: Node, level: Level) -> Node:
        """GROUP BY may have columns of forms added at its front, where the form's key is grouped: the groups stay."""
        own, groups = b.get("groupClause", []), a.get("groupClause", [])
        more = len(groups) - len(own)
        if more <= 0 or not own:
            return a
        for item in groups[:more]:
            fields = item["ColumnRef"]["fields"] if "ColumnRef" in item else []
            name = fields[0].get("String", {}).get("sval") if len(fields) == 2 else None
            source = next((s for s in level.sources if s.alias == name), None) if name is not None else None
            if source is None or not source.form or not source.columns:
                raise differs("GROUP BY has other columns")
            grouped = _grouped_of(own, b.get("targetList", []), level, source)
            key = source.relation.primary_key if source.relation else ()
            if not key or not grouped.always.issuperset(key):
                raise differs("GROUP BY has other columns beside no key")
            if "A_Star" not in fields[1]:
                column = strings(fields)[1]
                known = source.columns.get(column)
                if column not in source.columns and column not in source.system_columns:
                    raise differs("GROUP BY has other columns")
                if (column if known is None else known.name) in grouped.ever - grouped.always:
                    raise differs("GROUP BY has a column that only some of its sets have")
        return {**a, "groupClause": groups[more:]}

    def _of_group(self, before: Node, after: Node, level: Level) -> Node:
        """The name that stands for a column, by itself or within an aggregate that gives any of a group's values: they
        are all the same where the key of the column's form is grouped. (PostgreSQL takes no aggregate where values are
        of rows.)
        """
        if "ColumnRef" in after:
            return after
        found = [one for text in _ANY_VALUES for one in in_holes(self._forms.template(text), after)]
        if len(found) != 1 or "ColumnRef" not in found[0]:
            return after
        words, meant, around = _words(before), [], level
        row = level.row_named(words[0]) if len(words) == 1 else (None, False)
        for around in level.outward():
            named = [one for one in around.sources if len(words) == 1 or one.name == words[-2]]
            meant = [one for one in named if one.columns is None or words[-1] in one.columns]
            if row[1] and row[0] in around.sources:
                meant = [one for one in around.sources if one is row[0]]
            if meant:
                break
        if len(meant) != 1 or not meant[0].form or meant[0].relation is None or meant[0].table is None:
            raise differs("an aggregate stands in a column's place")
        source, key = meant[0], meant[0].relation.primary_key
        column = source.columns.get(words[-1]) if source.columns else None
        grouped = _grouped_of(around.groups, around.outputs, around, source)
        plain = {one.name for one in meant[0].table.columns if one.treatment.plain}
        if column is None and row[0] is not source:
            raise differs("an aggregate stands in a column's place")
        partly = column is not None and column.name in grouped.ever
        if column is not None and column.type_category == "A" and "A_Indirection" in after:
            raise differs("array_agg of arrays has no first one")
        if partly or not key or not (grouped.always & plain).issuperset(key):
            raise differs("an aggregate stands in a column's place beside no key")
        return found[0]

    def _of_groups(self, star: Node, outputs: list[Node], level: Level) -> list[Node] | None:
        """The outputs that may stand for `t.*`, or for a `*` that is one source's: its columns one by one, by
        themselves or as any of a group's values.
        """
        fields = star.get("ColumnRef", {}).get("fields", [])
        if not fields or "A_Star" not in fields[-1] or len(fields) > 2 or outputs[0]["ResTarget"].get("val") == star:
            return None
        named = [one for one in level.sources if len(fields) == 1 or one.name == strings(fields[:1])[0]]
        if len(named) != 1 or not named[0].columns or named[0].system_columns:
            return None
        found: list[Node] = []
        for name, item in zip(named[0].columns, outputs, strict=False):
            column, given = column_of(named[0].name, name), item["ResTarget"]
            value = self._of_group(column, given.get("val", {}), level)
            if value != column or given != ({"val": column} if given["val"] == column else {**given, "name": name}):
                return None
            if given.keys() - {"name", "val"}:
                return None
            found.append(item)
        aggregates = any("ColumnRef" not in item["ResTarget"]["val"] for item in found)
        return found if aggregates and len(found) == len(named[0].columns) else None

    # -- FROM ---------------------------------------------------------------------------------------------------------

    def _from(self, before: list[Node], after: list[Node], level: Level) -> None:
        if len(before) != len(after):
            raise differs("FROM has another number of items")
        level.items = before
        for number, (b, a) in enumerate(zip(before, after, strict=True)):
            level.left = before[:number]
            level.sources += self._item(b, a, level)

    def _item(self, before: Node, after: Node, level: Level) -> list[Source]:
        ((kind, b),) = before.items()
        if kind == "RangeVar":
            return [self._relation(b, after, level, None)]
        if kind == "RangeTableSample":
            method = strings(b["method"])[-1]
            if method not in _SAMPLING:
                raise insufficient_privilege(f"tablesample method {method} is not allowed")
            self._nodes(b.get("args", []), b.get("args", []), Level(level.parent, level.ctes))
            self._node(b.get("repeatable"), b.get("repeatable"), Level(level.parent, level.ctes))
            return [self._relation(b["relation"]["RangeVar"], after, level, b)]
        if list(after) != [kind]:
            raise differs(f"{kind} in FROM became another thing")
        a = after[kind]
        if kind == "RangeSubselect":
            if b.get("lateral") != a.get("lateral") or b.get("alias") != a.get("alias"):
                raise differs("a sub-query's alias changed")
            outer = level.parent
            if b.get("lateral"):
                outer = Level(level.parent, level.ctes, list(level.sources), items=list(level.left), shut=level.shut)
            self.query(b["subquery"], a["subquery"], outer, level.ctes)
            name = b.get("alias", {}).get("aliasname", "")
            return [
                Source(name, self._made(b["subquery"], b.get("alias")), aliased=True, sure=_renames(b.get("alias")))
            ]
        if kind == "JoinExpr":
            return self._join(b, a, level)
        if kind in ("RangeFunction", "RangeTableFunc", "JsonTable"):
            inside = Level(
                level.parent, level.ctes, list(level.sources), in_json_table=kind == "JsonTable", shut=level.shut
            )
            self._body(kind, b, a, inside)
            return [self._function_source(kind, b)]
        raise differs(f"{kind} in FROM is not known")

    def _join(self, b: Node, a: Node, level: Level) -> list[Source]:
        short = self._short(b)
        left = self._item(b["larg"], a["larg"], _side(short, "larg", level))
        right = self._item(b["rarg"], a["rarg"], _side(short, "rarg", level, left))
        sides = [*left, *right]
        on = Level(level.parent, level.ctes, sides, items=[b["larg"], b["rarg"]])
        if b.get("isNatural") or "usingClause" in b:
            self._names.operator_named("=", [_TYPED, _TYPED])
        system = tuple(name for source in sides for name in source.system_columns)
        if b.get("isNatural") and system:
            raise differs("NATURAL JOIN of a form that shows a system column")
        added = a.get("join_using_alias") if "join_using_alias" not in b else None
        if added is not None:
            a = {field: value for field, value in a.items() if field != "join_using_alias"}
            self._add_merge(b, added, sides, level)
        self._fields("JoinExpr", b, a, on, skip=("larg", "rarg"))
        if "alias" in b:
            columns = None if system else _columns_of_join(b, sides)
            known = renamed(columns, b["alias"])
            name, sure = b["alias"]["aliasname"], _renames(b["alias"])
            return [Source(name, known, aliased=True, system_columns=system, sure=sure)]
        if "join_using_alias" in b:
            source = Source(b["join_using_alias"]["aliasname"], None, aliased=True)
            self._merges.append(Merge(source.name, frozenset(strings(b["usingClause"])), sides, source))
            return [*sides, source]
        return sides

    def _add_merge(self, join: Node, alias: Node, sides: list[Source], level: Level) -> None:
        """USING has an alias for the gateway's own use: beside a target that hides a column of the name, and nothing of
        the statement has the alias.
        """
        name, columns = alias["aliasname"], strings(join.get("usingClause", []))
        used = name in self._words or any(merge.alias == name for merge in self._merges)
        hidden = level.shut is not None and any(map(level.shut.hides, columns))
        if used or not hidden or "alias" in join or alias != {"aliasname": name}:
            raise differs("USING has an alias")
        self._merges.append(Merge(name, frozenset(columns), sides, None))

    def _function_source(self, kind: str, body: Node) -> Source:
        """What names can mean of a function in FROM."""
        alias = body.get("alias", {})
        name = alias.get("aliasname") or _name_of_function(kind, body)
        made = _table_columns(body["columns"]) if kind != "RangeFunction" else self._function_columns(body)
        names = _renames(alias)
        if made is not None and kind == "RangeFunction":
            given = strings(alias.get("colnames", []))
            made = [*given, *made[len(given) :]] if len(given) <= len(made) else []
            if len({*made}) == len(made) > 0:
                return Source(name, dict.fromkeys(made), aliased=True)
        elif made is not None:
            columns: Columns | None = dict.fromkeys(made) if len({*made}) == len(made) else None
            return Source(name, renamed(columns, alias), aliased=True)
        alike = bool(alias) and not names and len(body["functions"]) == 1 and "coldeflist" not in body
        return Source(name, None, aliased=True, sure=names, named_alike=alike)

    def _function_columns(self, body: Node) -> list[str] | None:
        """The columns of functions, before their alias names them anew; None where they cannot be told."""
        made: list[str] = []
        for function in body["functions"]:
            call, own = function["List"]["items"]
            listed = body.get("coldeflist", []) or own.get("List", {}).get("items", [])
            more = self._columns_made(call, listed, body if len(body["functions"]) == 1 else {})
            if more is None:
                return None
            made += more
        return [*made, "ordinality"] if "ordinality" in body else made

    def _columns_made(self, call: Node, listed: list[Node], alone: Node) -> list[str] | None:
        """Those of one function. `listed`: its column definitions; `alone`: the item of FROM that is nothing else."""
        if listed:
            return [item["ColumnDef"]["colname"] for item in listed]
        fields = call.get("FuncCall", {})
        function = strings(fields["funcname"])[-1] if fields else ""
        if not fields or not self._names.is_built_in(function):
            return None
        if function in FUNCTION_COLUMNS:
            return [*FUNCTION_COLUMNS[function]]
        shown = alone.get("alias", {}).get("aliasname", function)
        if function in SETS_OF_VALUES:
            return [shown]
        arrays = fields.get("args", [])
        if function != "unnest" or not all(_is_array_of_values(array) for array in arrays):
            return None
        return [shown] if len(arrays) == 1 else [function] * len(arrays)

    def _relation(self, b: Node, after: Node, level: Level, sample: Node | None) -> Source:
        """A name in FROM. `sample`: its TABLESAMPLE."""
        alias = b.get("alias")
        shown = alias["aliasname"] if alias else b["relname"]
        same = {"RangeTableSample": sample} if sample is not None else {"RangeVar": b}
        if "schemaname" not in b and b["relname"] in level.ctes:
            if after != same:
                raise differs(f"CTE {b['relname']} was replaced")
            cte = level.ctes[b["relname"]]
            names = {"aliasname": "", "colnames": cte["aliascolnames"]} if "aliascolnames" in cte else None
            made = renamed(_with_added(self._made(cte["ctequery"], names), cte), alias)
            return Source(shown, made, aliased=True, sure=_renames(alias) | _renames(names if not alias else None))
        named = self._names.source(b)
        if named.meaning in ("same", "temporary"):
            if after != same:
                raise differs(f"{b['relname']} was replaced")
            columns: Columns | None = None
            if named.relation is not None:
                columns = {column.name: column for column in named.relation.columns if column.number > 0}
            if named.table is not None and named.table.rows:
                self.row_policies = True
            return Source(
                shown,
                renamed(columns, alias),
                named.relation,
                named.table,
                aliased=bool(alias),
                has_system_columns=True,
                sure=_renames(alias),
            )
        a = after.get("RangeSubselect")
        if a is None and named.why is not None:
            raise named.why
        if a is None or a.get("lateral"):
            raise differs(f"{b['relname']} is not inside of its governed form")
        apart = self._apart(named, a) if not alias and named.meaning != "system" else ""
        if a.get("alias") != (alias or {"aliasname": apart or b["relname"]}):
            raise differs(f"{b['relname']} is not inside of its governed form")
        select: Node = a["subquery"]["SelectStmt"]
        if named.meaning == "system":
            if sample is not None:
                raise differs("a catalog is not sampled")
            system, words = self._check_catalog(named, select, b)
            outputs: Columns = dict.fromkeys(words)
            known = renamed(outputs, alias) if system else None
            return Source(shown, known, named.relation, form=True, aliased=bool(alias), system_columns=system)
        if named.meaning == "view":
            if sample is not None:
                raise differs("a view is not sampled")
            assert named.relation is not None
            seen = self._check_view(named.relation, select, b, level)
            return Source(shown, renamed(seen, alias), named.relation, form=True, aliased=bool(alias), apart=apart)
        system = self._check_form(named, select, b, level, shown, sample)
        assert named.table is not None
        assert named.relation is not None
        visible: Columns = {
            column.name: named.relation.column(column.name)
            for column in named.table.columns
            if column.treatment.visible
        }
        return Source(
            shown,
            renamed(visible, alias),
            named.relation,
            named.table,
            form=True,
            aliased=bool(alias),
            system_columns=system,
            apart=apart,
        )

    def _apart(self, named: Named, form: Node) -> str:
        """The alias "schema.relation" of a form, where it has that beside something of the relation's name, and nothing
        in the app's statement is called so.
        """
        relation, given = named.relation, form.get("alias", {}).get("aliasname", "")
        if relation is None or given != f"{relation.schema}.{relation.name}" or given in self._words:
            return ""
        names = [part.get(key) for part in self._parts for key in ("relname", "aliasname", "ctename")]
        names += [strings(part["funcname"])[-1] for part in self._parts if "funcname" in part]
        return given if names.count(relation.name) > 1 else ""

    def _check_view(self, view: Relation, select: Node, b: Node, level: Level) -> Columns:
        """That a sub-query is a view's definition over governed forms, fenced unless the whole statement is leakproof
        (and then it may be: the rewriter may know less).

        Gives the columns that it shows.
        """
        calm = self._leakproof()
        if view.barrier:
            item = select.get("fromClause", [{}])[0]
            inner = item.get("RangeSubselect", {})
            if select == {**_BARRIER, "fromClause": [item]} and {**inner, "subquery": None} == _INNER:
                select = inner["subquery"]["SelectStmt"]
            elif not calm:
                raise differs(f"view {view.name} has lost its barrier")
        definition, columns = kept_items(
            view, definition_of(view), select.get("targetList", []), self._rights.lost(view)
        )
        names = DefinitionNames(self._names, level.ctes, view)
        parts = every_part(definition)
        names.begin(parts, ())
        walk = type(self)(self._rights, self._forms, names, definition, parts, (), locking=self._locking)
        walk._proof = calm
        seen: Columns = {column.name: column for column in columns}
        source = Source(called(b), renamed(seen, b.get("alias")), view)
        walk._defined = definition["SelectStmt"]
        for bound in self._bounds(flattened(level.where), source, level):
            walk._carried += carried(definition, columns, bound)
        walk._values += self._values
        walk.query(definition, {"SelectStmt": select}, None, {})
        self.views = True
        self.row_policies = self.row_policies or walk.row_policies
        self.documents = self.documents or walk.documents
        self.governed = self.governed or walk.governed
        self.catalogs = self.catalogs or walk.catalogs
        return seen

    def _check_catalog(self, named: Named, select: Node, b: Node) -> tuple[tuple[str, ...], list[str]]:
        """That a sub-query is the app's view of a catalog; gives the system columns that it shows, and the others."""
        expected = self._forms.subquery(named.text)["SelectStmt"]
        system = self._system_columns(select["targetList"][len(expected["targetList"]) :])
        added = [{"ResTarget": {"val": column_of("t", name)}} for name in system]
        shown = {**expected, "targetList": [*expected["targetList"], *added]}
        if select not in (shown, {**shown, **_FENCE}):
            raise differs(f"catalog {b['relname']} is not as the app has it")
        if "limitOffset" not in select and (self._defined is not None or not self._asks_quietly):
            raise granted(f"catalog {b['relname']} has no fence")
        self.catalogs = True
        outputs = [item["ResTarget"] for item in expected["targetList"]]
        return system, [o.get("name") or strings(o["val"]["ColumnRef"]["fields"])[-1] for o in outputs]

    @cached_property
    def _asks_quietly(self) -> bool:
        return raises_nothing(
            self._whole,
            self._rights.catalog_kinds,
            self._names.is_own,
            self._names.is_own_relation,
            self._parameters.given,
        )

    def _system_columns(self, items: list[Node]) -> tuple[str, ...]:
        """The system columns at the end of a form: some that the statement names, in their order."""
        system = tuple(strings(item["ResTarget"]["val"]["ColumnRef"]["fields"])[-1] for item in items)
        if system != tuple(name for name in SYSTEM_COLUMNS if name in system):
            raise differs("a form shows another column")
        if not all(named_in(self._statement, name) for name in system):
            raise differs("a form shows a system column that is not named")
        return system

    def _check_form(
        self, named: Named, select: Node, b: Node, level: Level, shown: str, sample: Node | None
    ) -> tuple[str, ...]:
        """That a sub-query is the governed form; gives the system columns that it shows."""
        table, relation = named.table, named.relation
        assert table is not None
        assert relation is not None
        visible = sum(column.treatment.visible for column in table.columns)
        system = self._system_columns(select.get("targetList", [])[visible:])
        sources = select.get("fromClause")
        joined = any("JoinExpr" in item for item in sources or ())
        exists = self._locking or not joined  # which may stand anywhere, the join shape may not
        fenced = "limitOffset" in select
        form = self._forms.read(table, relation, not b.get("inh", False), exists, fenced, system)
        if sample is not None and sources:
            sources = [_unsampled(sources[0], sample), *sources[1:]]
        if select.get("targetList", []) != form.targets or sources != form.sources:
            raise differs(f"the form of {table.name} is not the app's")
        if select.keys() - {"targetList", "fromClause", "whereClause", "limitOffset", "limitOption", "op"}:
            raise differs(f"the form of {table.name} has more than it should")
        conjuncts = flattened(select.get("whereClause"))
        own, copied = conjuncts[: len(form.conjuncts)], conjuncts[len(form.conjuncts) :]
        if own != form.conjuncts:
            raise differs(f"the row policies of {table.name} are not there")
        if {key: select[key] for key in select.keys() & _FENCE.keys()} != (_FENCE if fenced else _PLAIN_TAIL):
            raise differs(f"the form of {table.name} ends in another way")
        self.governed = True
        self.documents = self.documents or table.makes_documents
        if table.rows:
            self.row_policies = True
            if not fenced and not self._leakproof():
                raise granted(f"the form of {table.name} needs a fence")
        elif fenced:
            raise differs("a fence that nothing needs")
        if copied:
            columns: Columns = {c.name: relation.column(c.name) for c in table.columns if c.treatment.visible}
            source = Source(shown, renamed(columns, b.get("alias")), relation, table)
            bounds = self._bounds(flattened(level.where), source, level)
            for conjunct in copied:
                plain = fenced and any(bound.implies(conjunct, "_t", raw=False) for bound in bounds)
                raw = not self.told and self._leakproof() and bounds[0].implies(conjunct, "_t", raw=True)
                if not plain and not raw:
                    raise granted(f"a comparison inside of the form of {table.name} is none of the app's")
        return system

    def _bounds(self, conjuncts: list[Node], source: Source, level: Level) -> list[Bound]:
        """What the rows of a source in the FROM of `level` must pass, by each way to read values."""
        proof = LeakProof(self._names, self._parameters)

        def outside(node: Node) -> Column | None:
            """Of a query around: a column whose name would mean another thing in the level itself is none."""
            words = [part.get("String", {}).get("sval", "") for part in node["ColumnRef"]["fields"]]
            if len(words) != 2 or words[0] in aliases or words[0].startswith("_") or level.parent is None:
                return None
            return proof.column(node, level.parent) or proof.column(node, proof.around(level.parent))

        def beside(node: Node) -> Column | None:
            return proof.column(node, proof.whole(level))

        aliases = _aliases([*level.beside, *level.items])
        names = (source.name,)
        return [Bound(conjuncts, source, names, level.nullable, values, outside, beside) for values in self._values]

    def _leakproof(self) -> bool:
        if self._proof is None:
            self._proof = LeakProof(self._names, self._parameters).proves(self._statement)
        return self._proof


def _columns_of(row: Source | Target | None) -> list[str] | None:
    if isinstance(row, Target):
        return [column.name for column in row.table.columns if column.treatment.visible]
    return list(row.columns) if row is not None and row.columns is not None else None


def _aliases(items: Sequence[Node]) -> frozenset[str]:
    """What the items of a FROM are called, those of joins too."""
    found: set[str] = set()
    for item in items:
        for kind, body in item.items():
            if kind == "JoinExpr":
                found |= _aliases([body["larg"], body["rarg"]])
            relation = body["relation"]["RangeVar"] if kind == "RangeTableSample" else body
            found.add(relation["alias"]["aliasname"] if "alias" in relation else relation.get("relname", ""))
    return frozenset(found)


def _name_of_function(kind: str, body: Node) -> str:
    """What an item of FROM is called that is a function without an alias; "" where that cannot be told."""
    if kind in TABLE_FUNCTIONS:
        return TABLE_FUNCTIONS[kind]
    functions = [item["List"]["items"][0] for item in body["functions"]]
    return figured_name(functions[0]) or ""


def _is_array_of_values(expression: Node) -> bool:
    """Whether no element of an array can be a row."""
    if "TypeCast" in expression:
        cast = expression["TypeCast"]["typeName"]
        return bool(cast.get("arrayBounds")) and strings(cast["names"])[-1] in PLAIN_TYPES
    elements = expression.get("A_ArrayExpr", {}).get("elements")
    return bool(elements) and all(element.keys() == {"A_Const"} for element in elements)


def _renames(alias: Node | None) -> frozenset[str]:
    """The names that an alias gives to columns, which it surely has."""
    return frozenset(strings((alias or {}).get("colnames", [])))


def _without_added(cte: Node) -> Node:
    """A recursive CTE as it sees itself: without the columns of SEARCH and CYCLE."""
    return {key: value for key, value in cte.items() if key not in ("search_clause", "cycle_clause")}


def _with_added(columns: Columns | None, cte: Node) -> Columns | None:
    """The columns of a CTE with those that SEARCH and CYCLE add."""
    search, cycle = cte.get("search_clause", {}), cte.get("cycle_clause", {})
    added = [search.get("search_seq_column"), cycle.get("cycle_mark_column"), cycle.get("cycle_path_column")]
    names: list[str] = [name for name in added if name is not None]
    return None if columns is None or not columns.keys().isdisjoint(names) else {**columns, **dict.fromkeys(names)}


def _columns_of_join(join: Node, sides: list[Source]) -> Columns | None:
    """The columns of a join that has an alias, before it names them anew; None where they cannot be told."""
    parts = parts_of(Level(None, {}, sides, items=[{"JoinExpr": {key: join[key] for key in join if key != "alias"}}]))
    found: Columns = {}
    for part in parts or [Part(None)]:
        columns = [part.column] if part.column is not None else _columns_of(part.source)
        if columns is None or not found.keys().isdisjoint(columns):
            return None
        found |= dict.fromkeys(columns)
    return found


def _table_columns(items: list[Node]) -> list[str]:
    """The columns of JSON_TABLE, those of NESTED where it stands, or of XMLTABLE."""
    found: list[str] = []
    for item in items:
        column = item.get("JsonTableColumn", {}) or item["RangeTableFuncCol"]
        found += _table_columns(column["columns"]) if "columns" in column else [column.get("name") or column["colname"]]
    return found


def _side(join: Node, side: str, level: Level, left: Sequence[Source] = ()) -> Level:
    """The level as one side of a join sees it, with `left` the sources of the other one, and the conditions that its
    rows must pass.
    """
    where = level.where if "alias" not in join else None  # an alias hides the names that WHERE could have
    if side in _BOUND[join["jointype"]] and "quals" in join:
        both = [join["quals"]] if where is None else [where, join["quals"]]
        where = {"BoolExpr": {"boolop": "AND_EXPR", "args": both}}
    nullable = level.nullable or (join["jointype"] != "JOIN_INNER" and side not in _KEPT[join["jointype"]])
    return Level(
        level.parent,
        level.ctes,
        [*level.sources, *left],
        where=where,
        nullable=nullable,
        items=level.items,
        beside=level.beside,
        left=[*level.left, join["larg"]] if side == "rarg" else level.left,
        shut=level.shut,
    )


def _sure_name(output: Node) -> str | None:
    """The name of an output, where it is given or a column's."""
    fields = output["val"].get("ColumnRef", {}).get("fields", [{}])
    name: str | None = output.get("name", fields[-1].get("String", {}).get("sval"))
    return name


def _without_names(
    before: list[Node], after: list[Node], outputs: set[str | None], meant: set[str]
) -> tuple[list[Node], list[Node]]:
    """Both lists without the items that stay and are bare names of outputs, in grouping sets and `(a, b)` too.

    `meant`: what must stay.
    """
    if len(before) != len(after):
        raise differs("a list is longer or shorter")
    kept: list[tuple[Node, Node]] = []
    for b, a in zip(before, after, strict=True):
        for kind, field in (("GroupingSet", "content"), ("RowExpr", "args")):
            if kind in b and kind in a and b[kind].get("row_format") in (None, "COERCE_IMPLICIT_CAST"):
                inner, other = b[kind].get(field, []), a[kind].get(field, [])
                one, two = _without_names(inner, other, outputs, meant)
                kept.append(({kind: {**b[kind], field: one}}, {kind: {**a[kind], field: two}}))
                break
        else:
            if _bare_name(b) in meant and b != a:
                raise differs("GROUP BY has another thing than an output")
            if b != a or _bare_name(b) not in outputs:
                kept.append((b, a))
    return [b for b, _ in kept], [a for _, a in kept]


def _bare_name(item: Node) -> str:
    """The name that an item of ORDER BY, GROUP BY or DISTINCT ON is; "" for what is none."""
    value = item["SortBy"]["node"] if "SortBy" in item and "useOp" not in item["SortBy"] else item
    fields = value.get("ColumnRef", {}).get("fields", ())
    name: str = fields[0].get("String", {}).get("sval", "") if len(fields) == 1 else ""
    return name


@dataclass(frozen=True, slots=True)
class _Grouped:
    """The columns of a source that GROUP BY has in all of its sets, and in any."""

    always: frozenset[str] = frozenset()
    ever: frozenset[str] = frozenset()


def _grouped_of(items: list[Node], targets: list[Node], level: Level, source: Source) -> _Grouped:
    """Of a list, all of which is grouped together."""
    found = [_grouped_by(item, targets, level, source) for item in items]
    return _Grouped(
        frozenset().union(*(one.always for one in found)),
        frozenset().union(*(one.ever for one in found)),
    )


def _grouped_by(item: Node, targets: list[Node], level: Level, source: Source) -> _Grouped:
    """Of one item: a column by its name, by its number or name in the output list, of a row, and what sets are of."""
    row, sets = item.get("RowExpr", {}), item.get("GroupingSet", {})
    if row.get("row_format") == "COERCE_IMPLICIT_CAST":
        return _grouped_of(row.get("args", []), targets, level, source)
    if sets:
        found = [_grouped_by(one, targets, level, source) for one in sets.get("content", ())]
        always = [one.always for one in found] if sets["kind"] == "GROUPING_SET_SETS" else []
        return _Grouped(
            frozenset.intersection(*always) if always else frozenset(),
            frozenset().union(*(one.ever for one in found)),
        )
    column = _column_grouped(item, targets, level, source)
    names = frozenset() if column is None else frozenset({column.name})
    return _Grouped(names, names)


def _column_grouped(item: Node, targets: list[Node], level: Level, source: Source) -> Column | None:
    number = item.get("A_Const", {}).get("ival", {}).get("ival", 0)
    meant = _numbered(number, targets, level) if number > 0 else item
    if isinstance(meant, Part) and meant.source is not None:
        return source.columns.get(meant.column or "") if meant.source is source and source.columns else None
    item = {"ColumnRef": {"fields": [{"String": {"sval": meant.column}}]}} if isinstance(meant, Part) else meant or {}
    words = _words(item)
    if len(words) == 1 and not any(one.columns is None or words[0] in one.columns for one in level.sources):
        named = [target["ResTarget"] for target in targets if target["ResTarget"].get("name") == words[0]]
        words = _words(named[0]["val"]) if len(named) == 1 else []
    part = item.get("A_Indirection", {})
    if len(part.get("indirection", ())) == 1 and _words(part["arg"]) in ([source.name], [source.name, ""]):  # t or t.*
        whole, certain = level.row_named(source.name)
        words = [source.name, *(one["String"]["sval"] for one in part["indirection"] if "String" in one)]
        if whole is not source or not certain:
            return None
    if not words or not source.columns or (len(words) > 1 and words[-2] != source.name):
        return None
    if len(words) > 2 and (source.relation is None or words[-3] != source.relation.schema):
        return None
    return source.columns.get(words[-1])


def _numbered(number: int, targets: list[Node], level: Level) -> Node | Part | None:
    """The output with this number, of `*` the column; None where it comes behind a list that is not known."""
    for target in targets:
        value: Node = target["ResTarget"].get("val", {})
        if "A_Star" in value.get("A_Indirection", {}).get("indirection", [{}])[-1]:
            return None
        found: Sequence[Node | Part] | None = [value]
        fields = value.get("ColumnRef", {}).get("fields", [{}])
        if "A_Star" in fields[-1]:
            words = strings(fields[:-1])
            row = level.named(words[0]) if len(words) == 1 else level.relation_named(*words[-2:]) if words else None
            parts = [Part(row)] if words else parts_of(level)
            found = single(parts) if parts is not None else None
        if found is None:
            return None
        if number <= len(found):
            return found[number - 1]
        number -= len(found)
    return None


def _words(expression: Node) -> list[str]:
    """The parts of a column's name; none of what is no name."""
    return [part.get("String", {}).get("sval", "") for part in expression.get("ColumnRef", {}).get("fields", ())]


def _unsampled(source: Node, sample: Node) -> Node:
    """A form's source with its leftmost relation taken out of the sample, which must be the app's."""
    if "JoinExpr" in source:
        join = source["JoinExpr"]
        return {"JoinExpr": {**join, "larg": _unsampled(join["larg"], sample)}}
    inner = source.get("RangeTableSample", {})
    if {**inner, "relation": None} != {**sample, "relation": None}:
        raise differs("another sample")
    relation: Node = inner["relation"]
    return relation
