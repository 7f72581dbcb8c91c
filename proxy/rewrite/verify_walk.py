"""The walk over both trees of one statement, side by side. What is not an edit that the page names must be equal."""

from __future__ import annotations

from collections.abc import Mapping

from proxy.errors import PgError, feature_not_supported, insufficient_privilege
from proxy.rewrite.verify_form import SYSTEM_COLUMNS, Forms, is_hole
from proxy.rewrite.verify_leak import LeakProof, Parameters, is_copy
from proxy.rewrite.verify_names import Named, Names, Rights
from proxy.rewrite.verify_scope import TARGET, UNSURE, Columns, Level, Source, Target, output_columns, renamed
from proxy.rewrite.verify_settings import check_set_config
from proxy.rewrite.verify_tree import KNOWN_NODES, NODE, NODES, SCALAR, Node, flattened, parse, strings
from proxy.rewrite.verify_write import check_assigned, check_deletable, implied_columns

_QUERIES = frozenset({"SelectStmt", "InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt"})
_SAMPLING = frozenset({"system", "bernoulli"})
_FENCE: Node = {key: parse("SELECT 1 OFFSET 0")[0]["SelectStmt"][key] for key in ("limitOffset", "limitOption")}
_FALSE = parse("SELECT false")[0]["SelectStmt"]["targetList"][0]["ResTarget"]["val"]
_STAR: Node = {"ColumnRef": {"fields": [{"A_Star": {}}]}}

Ctes = Mapping[str, Node]


def _differs(what: str) -> PgError:
    return feature_not_supported(f"the rewritten statement could not be proved: {what}", "Please report the statement.")


class Walk:
    """One statement. `row_policies` is set where it reads or writes a relation that has some."""

    def __init__(
        self, rights: Rights, forms: Forms, names: Names, statement: Node, parameters: Parameters, locking: bool
    ) -> None:
        self.row_policies = False
        self._rights = rights
        self._forms = forms
        self._names = names
        self._statement = statement
        self._parameters = parameters
        self._locking = locking
        self._proof: bool | None = None

    # -- queries ------------------------------------------------------------------------------------------------------

    def query(self, before: Node, after: Node, parent: Level | None, ctes: Ctes) -> None:
        """A SELECT, INSERT, UPDATE, DELETE or MERGE; anything else is walked as it is."""
        ((kind, b),) = before.items()
        if list(after) != [kind]:
            raise _differs(f"{kind} became {', '.join(after)}")
        a = after[kind]
        match kind:
            case "SelectStmt":
                self._select(b, a, parent, ctes)
            case "InsertStmt":
                self._insert(b, a, parent, ctes)
            case "UpdateStmt" | "DeleteStmt":
                self._update(kind, b, a, parent, ctes)
            case "MergeStmt":
                self._merge(b, a, parent, ctes)
            case _:
                self._fields(kind, b, a, Level(parent, ctes))

    def wrapper(self, kind: str, b: Node, a: Node) -> None:
        """EXPLAIN, PREPARE, DECLARE, CREATE TABLE AS: the query inside, the rest as it is."""
        self.query(b["query"], a["query"], None, {})
        self._fields(kind, b, a, Level(None, {}), skip=("query", "into"))
        if b.get("into") != a.get("into"):
            raise _differs("another table is made")

    def alike(self, kind: str, b: Node, a: Node) -> None:
        """A statement that nothing rewrites: equal, its functions allowed."""
        if a != b:
            raise _differs(f"{kind} changed")
        self._fields(kind, b, a, Level(None, {}), skip=("relation", "relations", "objects", "constraints"))

    def _with(self, b: Node, a: Node, parent: Level | None, ctes: Ctes) -> Ctes:
        """The CTEs that the statement sees."""
        if ("withClause" in b) != ("withClause" in a):
            raise _differs("WITH came or went")
        if "withClause" not in b:
            return ctes
        known = dict(ctes)
        bw, aw = b["withClause"], a["withClause"]
        if bw.get("recursive") != aw.get("recursive") or len(bw["ctes"]) != len(aw["ctes"]):
            raise _differs("WITH changed")
        items = [item["CommonTableExpr"] for item in bw["ctes"]]
        if bw.get("recursive"):
            known.update({item["ctename"]: item for item in items})
        for bc, other in zip(items, aw["ctes"], strict=True):
            ac = other["CommonTableExpr"]
            self.query(bc["ctequery"], ac["ctequery"], parent, dict(known))
            self._fields("CommonTableExpr", bc, ac, Level(parent, known), skip=("ctequery",))
            known[bc["ctename"]] = bc
        return known

    def _select(self, b: Node, a: Node, parent: Level | None, ctes: Ctes) -> None:
        ctes = self._with(b, a, parent, ctes)
        level = Level(parent, ctes, where=b.get("whereClause"))
        if "larg" in b:
            self._select(b["larg"], a["larg"], parent, ctes)
            self._select(b["rarg"], a["rarg"], parent, ctes)
            level.sources.append(Source("", output_columns({"SelectStmt": b}, None)))
        self._from(b.get("fromClause", []), a.get("fromClause", []), level)
        for lock in b.get("lockingClause", ()):
            if lock.keys() != {"LockingClause"}:
                raise _differs("a locking clause")
        if b.get("lockingClause") != a.get("lockingClause"):
            raise _differs("the locking clause changed")
        if "intoClause" in b:
            relation = b["intoClause"]["rel"]
            if relation.get("relpersistence") != "t" and relation.get("schemaname") != "pg_temp":
                raise insufficient_privilege("SELECT INTO may make temp tables only")
        if b.get("intoClause") != a.get("intoClause"):
            raise _differs("INTO changed")
        a = self._without_added_groups(b, a, level)
        skip = ("withClause", "larg", "rarg", "fromClause", "lockingClause", "intoClause")
        self._fields("SelectStmt", b, a, level, skip=skip)

    def _without_added_groups(self, b: Node, a: Node, level: Level) -> Node:
        """GROUP BY may have columns of forms added at its front: they make groups no finer than their key does."""
        more = len(a.get("groupClause", ())) - len(b.get("groupClause", ()))
        if more <= 0 or "groupClause" not in b:
            return a
        for item in a["groupClause"][:more]:
            words = strings(item["ColumnRef"]["fields"]) if "ColumnRef" in item else []
            source = level.named(words[0]) if len(words) == 2 else None
            if not (isinstance(source, Source) and source.form and source.columns and words[1] in source.columns):
                raise _differs("GROUP BY has other columns")
        return {**a, "groupClause": a["groupClause"][more:]}

    # -- FROM ---------------------------------------------------------------------------------------------------------

    def _from(self, before: list[Node], after: list[Node], level: Level) -> None:
        if len(before) != len(after):
            raise _differs("FROM has another number of items")
        for b, a in zip(before, after, strict=True):
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
            raise _differs(f"{kind} in FROM became another thing")
        a = after[kind]
        if kind == "RangeSubselect":
            if b.get("lateral") != a.get("lateral") or b.get("alias") != a.get("alias"):
                raise _differs("a sub-query's alias changed")
            outer = Level(level.parent, level.ctes, list(level.sources)) if b.get("lateral") else level.parent
            self.query(b["subquery"], a["subquery"], outer, level.ctes)
            name = b.get("alias", {}).get("aliasname", "")
            return [Source(name, output_columns(b["subquery"], b.get("alias")), aliased=True)]
        if kind == "JoinExpr":
            return self._join(b, a, level)
        if kind in ("RangeFunction", "RangeTableFunc", "JsonTable"):
            self._body(kind, b, a, Level(level.parent, level.ctes, list(level.sources)))
            return [Source(b.get("alias", {}).get("aliasname", ""), None, aliased=True)]
        raise _differs(f"{kind} in FROM is not known")

    def _join(self, b: Node, a: Node, level: Level) -> list[Source]:
        left = self._item(b["larg"], a["larg"], level)
        beside = Level(level.parent, level.ctes, [*level.sources, *left], where=level.where)
        sides = [*left, *self._item(b["rarg"], a["rarg"], beside)]
        on = Level(level.parent, level.ctes, sides)
        self._fields("JoinExpr", b, a, on, skip=("larg", "rarg"))
        if "alias" in b:
            return [Source(b["alias"]["aliasname"], None, aliased=True)]
        if "join_using_alias" in b:
            sides.append(Source(b["join_using_alias"]["aliasname"], None, aliased=True))
        return sides

    def _relation(self, b: Node, after: Node, level: Level, sample: Node | None) -> Source:
        """A name in FROM. `sample`: its TABLESAMPLE."""
        alias = b.get("alias")
        shown = alias["aliasname"] if alias else b["relname"]
        same = {"RangeTableSample": sample} if sample is not None else {"RangeVar": b}
        if "schemaname" not in b and b["relname"] in level.ctes:
            if after != same:
                raise _differs(f"CTE {b['relname']} was replaced")
            cte = level.ctes[b["relname"]]
            names = {"aliasname": "", "colnames": cte["aliascolnames"]} if "aliascolnames" in cte else None
            return Source(shown, renamed(output_columns(cte["ctequery"], names), alias), aliased=True)
        named = self._names.source(b)
        if named.meaning in ("same", "temporary"):
            if after != same:
                raise _differs(f"{b['relname']} was replaced")
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
            )
        a = after.get("RangeSubselect")
        if a is None or a.get("lateral") or a.get("alias") != (alias or {"aliasname": b["relname"]}):
            raise _differs(f"{b['relname']} is not inside of its governed form")
        select: Node = a["subquery"]["SelectStmt"]
        if named.meaning == "system":
            if sample is not None:
                raise _differs("a catalog is not sampled")
            self._check_catalog(named, select, b)
            return Source(shown, None, named.relation, aliased=True)
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
        )

    def _check_catalog(self, named: Named, select: Node, b: Node) -> None:
        expected = self._forms.subquery(named.text)["SelectStmt"]
        targets = list(select["targetList"])
        while len(targets) > len(expected["targetList"]):
            words = strings(targets.pop()["ResTarget"]["val"]["ColumnRef"]["fields"])
            if words[0] != "t" or words[1] not in SYSTEM_COLUMNS or len(words) != 2:
                raise _differs(f"catalog {b['relname']} shows another column")
        if {**select, "targetList": targets} != expected:
            raise _differs(f"catalog {b['relname']} is not as the app has it")

    def _check_form(
        self, named: Named, select: Node, b: Node, level: Level, shown: str, sample: Node | None
    ) -> tuple[str, ...]:
        """That a sub-query is the governed form; gives the system columns that it shows."""
        table, relation = named.table, named.relation
        assert table is not None
        assert relation is not None
        visible = sum(column.treatment.visible for column in table.columns)
        system = tuple(
            strings(item["ResTarget"]["val"]["ColumnRef"]["fields"])[-1]
            for item in select.get("targetList", [])[visible:]
        )
        if not SYSTEM_COLUMNS.issuperset(system):
            raise _differs(f"the form of {table.name} shows another column")
        form = self._forms.read(table, relation, not b.get("inh", False), self._locking, system)
        sources = select.get("fromClause")
        if sample is not None and sources:
            sources = [_unsampled(sources[0], sample), *sources[1:]]
        if select.get("targetList", []) != form.targets or sources != form.sources:
            raise _differs(f"the form of {table.name} is not the app's")
        if select.keys() - {"targetList", "fromClause", "whereClause", "limitOffset", "limitOption", "op"}:
            raise _differs(f"the form of {table.name} has more than it should")
        if select["op"] != "SETOP_NONE":
            raise _differs("a set operation in a form")
        conjuncts = flattened(select.get("whereClause"))
        own, copied = conjuncts[: len(form.conjuncts)], conjuncts[len(form.conjuncts) :]
        if own != form.conjuncts:
            raise _differs(f"the row policies of {table.name} are not there")
        fenced = "limitOffset" in select
        if fenced and {key: select.get(key) for key in _FENCE} != _FENCE:
            raise _differs("the fence is not OFFSET 0")
        if table.rows:
            self.row_policies = True
            if not fenced and not self._leakproof():
                raise _differs(f"the form of {table.name} needs a fence")
        elif fenced:
            raise _differs("a fence that nothing needs")
        if copied:
            columns: Columns = {c.name: relation.column(c.name) for c in table.columns if c.treatment.visible}
            source = Source(shown, renamed(columns, b.get("alias")), relation, table)
            for conjunct in copied:
                if not fenced or not is_copy(conjunct, level.where, source, "_t", (shown,), self._parameters):
                    raise _differs(f"a comparison inside of the form of {table.name} is none of the app's")
        return system

    def _leakproof(self) -> bool:
        if self._proof is None:
            self._proof = LeakProof(self._names, self._parameters).proves(self._statement)
        return self._proof

    # -- writes -------------------------------------------------------------------------------------------------------

    def _guard(self, b: Node, named: Named) -> Target:
        """The target of which the app must not see everything."""
        table, relation = named.table, named.relation
        assert table is not None
        assert relation is not None
        alias = b.get("alias", {}).get("aliasname", b["relname"])
        form = self._forms.written(table, relation, alias)
        self.row_policies = self.row_policies or bool(table.rows)
        return Target(alias, table, relation, "alias" in b, form.expressions, form.conjuncts)

    def _open_target(self, b: Node, named: Named) -> Source:
        alias = b.get("alias", {}).get("aliasname", b["relname"])
        columns: Columns | None = None
        if named.relation is not None:
            columns = {column.name: column for column in named.relation.columns if column.number > 0}
        return Source(alias, columns, named.relation, named.table, aliased="alias" in b, has_system_columns=True)

    def _insert(self, b: Node, a: Node, parent: Level | None, ctes: Ctes) -> None:
        ctes = self._with(b, a, parent, ctes)
        if b["relation"] != a["relation"]:
            raise _differs("another relation is written")
        named = self._names.target(b["relation"])
        if "selectStmt" in b:
            self.query(b["selectStmt"], a["selectStmt"], parent, ctes)
        elif "selectStmt" in a:
            raise _differs("INSERT has another source")
        conflict = b.get("onConflictClause", {})
        if named.table is not None:
            wanted = implied_columns(named.table, b)
            if "cols" in b or wanted is None:
                if b.get("cols") != a.get("cols"):
                    raise _differs("INSERT writes other columns")
            elif [item["ResTarget"] for item in a.get("cols", ())] != [{"name": name} for name in wanted]:
                raise _differs("INSERT writes other columns")
            check_assigned(named.table, a.get("cols") or b.get("cols"), b)
            check_assigned(named.table, conflict.get("targetList", []), None)
        elif b.get("cols") != a.get("cols"):
            raise _differs("INSERT writes other columns")
        level = Level(parent, ctes)
        if named.meaning == "form":
            level = Level(parent, ctes, target=self._guard(b["relation"], named))
            if conflict.get("action") == "ONCONFLICT_UPDATE":
                raise feature_not_supported("ON CONFLICT DO UPDATE of a relation of which a part is hidden")
        else:
            target = self._open_target(b["relation"], named)
            level.sources = [target, Source("excluded", target.columns, aliased=True)]
        self._body_field("OnConflictClause", "onConflictClause", b, a, level)
        self._returning(b, a, level)
        self._fields("InsertStmt", b, a, level, skip=_HANDLED_WRITES)

    def _update(self, kind: str, b: Node, a: Node, parent: Level | None, ctes: Ctes) -> None:
        ctes = self._with(b, a, parent, ctes)
        if b["relation"] != a["relation"]:
            raise _differs("another relation is written")
        named = self._names.target(b["relation"])
        if named.table is not None:
            if kind == "DeleteStmt":
                check_deletable(named.table)
            else:
                check_assigned(named.table, b["targetList"], None)
        clause = "usingClause" if kind == "DeleteStmt" else "fromClause"
        others = Level(parent, ctes, where=b.get("whereClause"))
        self._from(b.get(clause, []), a.get(clause, []), others)
        if named.meaning != "form":
            level = Level(parent, ctes, [self._open_target(b["relation"], named), *others.sources])
            self._optional("whereClause", b, a, level)
        else:
            target = self._guard(b["relation"], named)
            level = Level(parent, ctes, others.sources, target=target)
            self._where(b, a, level, target)
        self._targets(b.get("targetList", []), a.get("targetList", []), level)
        self._returning(b, a, level)
        self._fields(kind, b, a, level, skip=(*_HANDLED_WRITES, clause))

    def _where(self, b: Node, a: Node, level: Level, target: Target) -> None:
        """Row policies beside the app's condition, or before it."""
        own = b.get("whereClause")
        if own is not None and "CurrentOfExpr" in own:
            raise feature_not_supported("WHERE CURRENT OF on a relation of which a part is hidden")
        rows = target.conjuncts
        if not rows:
            self._optional("whereClause", b, a, level)
            return
        parts = flattened(a.get("whereClause"))
        if own is None:
            if parts != rows:
                raise _differs("the row policies are not in WHERE")
            return
        last = parts[-1].get("CaseExpr") if parts else None
        if last is not None and parts[-1 - len(rows) : -1] == rows:
            (when,) = last["args"]
            if flattened(when["CaseWhen"]["expr"]) != rows or last.get("defresult") != _FALSE or "arg" in last:
                raise _differs("the row policies do not guard the condition")
            self._node(own, when["CaseWhen"]["result"], level)
            shown: Columns = {c.name: target.relation.column(c.name) for c in target.table.columns}
            source = Source(target.name, shown, target.relation, target.table)
            for conjunct in parts[: -1 - len(rows)]:
                if not is_copy(conjunct, own, source, target.name, (target.name,), self._parameters):
                    raise _differs("a condition that is none of the app's")
            return
        columns: Columns = {column.name: column for column in target.relation.columns}
        source = Source(target.name, columns, target.relation, target.table)
        statement = {**b, "whereClause": own}
        if parts[: len(rows)] != rows or not LeakProof(self._names, self._parameters).proves_condition(
            statement, source
        ):
            raise _differs("the row policies are not before the condition")
        rest = flattened(own)
        if len(rest) != len(parts) - len(rows):
            raise _differs("the condition changed")
        for before, after in zip(rest, parts[len(rows) :], strict=True):
            self._node(before, after, level)

    def _merge(self, b: Node, a: Node, parent: Level | None, ctes: Ctes) -> None:
        ctes = self._with(b, a, parent, ctes)
        if b["relation"] != a["relation"]:
            raise _differs("another relation is written")
        named = self._names.target(b["relation"])
        if named.meaning == "form":
            raise feature_not_supported("MERGE into a relation of which a part is hidden")
        if named.table is not None:
            for item in b["mergeWhenClauses"]:
                when = item["MergeWhenClause"]
                if when["commandType"] == "CMD_DELETE":
                    check_deletable(named.table)
                check_assigned(named.table, when.get("targetList"), when if "values" in when else None)
        level = Level(parent, ctes)
        self._from([b["sourceRelation"]], [a["sourceRelation"]], level)
        level.sources.insert(0, self._open_target(b["relation"], named))
        self._returning(b, a, level)
        self._fields("MergeStmt", b, a, level, skip=(*_HANDLED_WRITES, "sourceRelation"))

    def _targets(self, before: list[Node], after: list[Node], level: Level) -> None:
        self._nodes(before, after, level)

    def _returning(self, b: Node, a: Node, level: Level) -> None:
        if ("returningClause" in b) != ("returningClause" in a):
            raise _differs("RETURNING came or went")
        if "returningClause" not in b:
            return
        bc, ac = b["returningClause"], a["returningClause"]
        target = level.target
        if bc.get("options") != ac.get("options"):
            raise _differs("RETURNING's options changed")
        options = [option["ReturningOption"]["value"] for option in bc.get("options", ())]
        row_names = ["old", "new", *options]
        if target is None:
            sources = list(level.sources)
            for name in row_names:
                if sources and all(source.name != name for source in sources):
                    sources.append(Source(name, sources[0].columns, aliased=True, has_system_columns=True))
            self._nodes(bc["exprs"], ac["exprs"], Level(level.parent, level.ctes, sources))
            return
        taken = {source.name for source in level.sources} | {target.name}
        versions = frozenset(name for name in row_names if name not in taken)
        guard = Target(
            target.name, target.table, target.relation, target.aliased, target.expressions, target.conjuncts, versions
        )
        inner = Level(level.parent, level.ctes, level.sources, target=guard)
        rest = list(ac["exprs"])
        for item in bc["exprs"]:
            for before, after in zip(*self._returned(item["ResTarget"], rest, inner, guard), strict=True):
                self._node(before, after, inner)
        if rest:
            raise _differs("RETURNING has more items")

    def _returned(self, item: Node, rest: list[Node], level: Level, target: Target) -> tuple[list[Node], list[Node]]:
        """Takes from `rest` what stands for one item; gives the pairs that are still to be compared."""
        fields = item["val"].get("ColumnRef", {}).get("fields", [])
        if fields and "A_Star" in fields[-1]:
            words = strings(fields[:-1])
            if not words:
                if level.sources:
                    raise feature_not_supported("RETURNING * beside other relations")
                self._expanded(target.name, rest, target)
                return [], []
            found = level.named(words[-1]) if len(words) == 1 else level.relation_named(words[-2], words[-1])
            if isinstance(found, Target):
                self._expanded(words[-1], rest, target)
                return [], []
        after = rest.pop(0)["ResTarget"]
        if item.get("name") != after.get("name"):
            column = strings(fields)[-1] if fields else ""
            if "name" in item or after.get("name") != column or column not in target.expressions:
                raise _differs("an item of RETURNING has another name")
        return [item["val"]], [after["val"]]

    def _expanded(self, alias: str, rest: list[Node], target: Target) -> None:
        form = self._forms.written(target.table, target.relation, alias)
        for column in target.table.columns:
            if column.treatment.action == "deny":
                raise insufficient_privilege(f'permission denied for column "{column.name}"')
            if not column.treatment.visible:
                continue
            if column.treatment.plain:
                names = [{"String": {"sval": alias}}, {"String": {"sval": column.name}}]
                expected: Node = {"val": {"ColumnRef": {"fields": names}}}
            else:
                expected = {"name": column.name, "val": form.expressions[column.name]}
            if not rest or rest.pop(0)["ResTarget"] != expected:
                raise _differs("RETURNING * is not the list of the app's columns")

    def copy(self, b: Node, a: Node) -> None:
        """COPY, to and from the client only."""
        if b.get("filename") or b.get("is_program") or a.get("filename") or a.get("is_program"):
            raise insufficient_privilege("COPY to or from a file or program is not allowed")
        level = Level(None, {})
        skip = ("query", "relation", "attlist", "whereClause")
        self._fields("CopyStmt", b, a, level, skip=skip)
        if "query" in b:
            if "relation" in a or "attlist" in a or next(iter(b["query"])) not in _QUERIES:
                raise _differs("COPY of something else")
            self.query(b["query"], a["query"], None, {})
            return
        named = self._names.target(b["relation"]) if b.get("is_from") else self._names.source(b["relation"])
        if b.get("is_from"):
            self._copy_from(b, a, named)
        elif named.meaning != "form":
            if a != b:
                raise _differs("COPY of something else")
            if named.meaning == "system":
                raise insufficient_privilege("COPY of a catalog")
        else:
            self._copy_to(b, a, named)

    def _copy_to(self, b: Node, a: Node, named: Named) -> None:
        table, relation = named.table, named.relation
        assert table is not None
        assert relation is not None
        if "relation" in a or "attlist" in a:
            raise _differs("COPY reads the relation itself")
        select = a["query"]["SelectStmt"]
        name = {**b["relation"]}
        if relation.kind == "r":
            name.pop("inh", None)
        (item,) = select["fromClause"]
        inner = item["RangeSubselect"]
        if inner.get("alias") != {"aliasname": name["relname"]} or inner.get("lateral"):
            raise _differs("COPY reads something else")
        self._proof = True  # no expression of the app's is there
        self._check_form(named, inner["subquery"]["SelectStmt"], name, Level(None, {}), "", None)
        names = strings(b.get("attlist", []))
        expected = [{"ResTarget": {"val": {"ColumnRef": {"fields": [{"String": {"sval": n}}]}}}} for n in names]
        if select["targetList"] != (expected or [{"ResTarget": {"val": _STAR}}]):
            raise _differs("COPY has other columns")
        if select.keys() != {"targetList", "fromClause", "limitOption", "op"}:
            raise _differs("COPY's query has more than it should")
        for column in table.columns:
            if column.treatment.action == "deny" and (column.name in names or not names):
                raise insufficient_privilege(f'permission denied for column "{column.name}"')

    def _copy_from(self, b: Node, a: Node, named: Named) -> None:
        if b["relation"] != a["relation"]:
            raise _differs("another relation is written")
        table = named.table
        wanted = b.get("attlist")
        if table is not None:
            if wanted is None:
                generated = {c.name for c in named.relation.columns if c.generated} if named.relation else set()
                names = [c.name for c in table.columns if c.treatment.action != "drop" and c.name not in generated]
                if any(c.treatment.action == "drop" for c in table.columns):
                    wanted = [{"String": {"sval": name}} for name in names]
            else:
                names = strings(wanted)
            check_assigned(table, [{"ResTarget": {"name": name}} for name in names], None)
        if a.get("attlist") != wanted:
            raise _differs("COPY writes other columns")
        level = Level(None, {}, target=self._guard(b["relation"], named) if named.meaning == "form" else None)
        if named.meaning != "form":
            level.sources = [self._open_target(b["relation"], named)]
        self._optional("whereClause", b, a, level)

    # -- everything else ----------------------------------------------------------------------------------------------

    def _optional(self, field: str, b: Node, a: Node, level: Level) -> None:
        if (field in b) != (field in a):
            raise _differs(f"{field} came or went")
        self._node(b.get(field), a.get(field), level)

    def _body_field(self, kind: str, field: str, b: Node, a: Node, level: Level) -> None:
        if (field in b) != (field in a):
            raise _differs(f"{field} came or went")
        if field in b:
            self._body(kind, b[field], a[field], level)

    def _nodes(self, before: list[Node], after: list[Node], level: Level) -> None:
        if len(before) != len(after):
            raise _differs("a list is longer or shorter")
        for b, a in zip(before, after, strict=True):
            self._node(b, a, level)

    def _node(self, before: Node | None, after: Node | None, level: Level) -> None:
        if not before and not after:
            return
        if not before or not after:
            raise _differs("a part came or went")
        ((kind, b),) = before.items()
        if kind == "ColumnRef":
            self._column(before, after, level)
            return
        if list(after) != [kind]:
            raise _differs(f"{kind} became {', '.join(after)}")
        if kind in _QUERIES:
            self.query(before, after, level, level.ctes)
        else:
            self._body(kind, b, after[kind], level)

    def _body(self, kind: str, b: Node, a: Node, level: Level) -> None:
        """A node whose kind is known from outside of it."""
        match kind:
            case "FuncCall":
                self._call(b, a, level)
                return
            case "A_Expr":
                self._names.operator(b["name"])
            case "SubLink":
                if "operName" in b:
                    self._names.operator(b["operName"])
                elif b["subLinkType"] == "ANY_SUBLINK":
                    self._names.operator_named("=")
                if b.get("operName") != a.get("operName"):
                    raise _differs("an operator changed")
                self.query(b["subselect"], a["subselect"], level, level.ctes)
                self._fields(kind, b, a, level, skip=("subselect", "operName"))
                return
            case "SortBy":
                if "useOp" in b:
                    self._names.operator(b["useOp"])
            case "A_Indirection":
                for part in b["indirection"]:
                    if "String" in part:
                        self._names.notation(part["String"]["sval"])
            case "RangeVar":
                raise _differs("a relation stands where none is known to stand")
            case "CurrentOfExpr":
                if level.guarded:
                    raise feature_not_supported("WHERE CURRENT OF on a relation of which a part is hidden")
            case "TypeName":
                if a != b:
                    raise _differs("a type changed")
                return
            case _ if kind.startswith("Json"):
                self._names.json_call(kind)
        self._fields(kind, b, a, level)

    def _fields(self, kind: str, b: Node, a: Node, level: Level, skip: tuple[str, ...] = ()) -> None:
        known = KNOWN_NODES.get(kind)
        if known is None:
            raise feature_not_supported(f"the verifier does not know {kind}")
        for field in b.keys() | a.keys():
            if field in skip:
                continue
            how = known.get(field)
            if how is None:
                raise feature_not_supported(f"the verifier does not know {field} of {kind}")
            if how == SCALAR:
                if b.get(field) != a.get(field):
                    raise _differs(f"{field} of {kind} changed")
            elif how == NODES:
                self._nodes(b.get(field, []), a.get(field, []), level)
            elif how == NODE:
                self._node(b.get(field), a.get(field), level)
            else:
                self._body_field(how, field, b, a, level)

    def _call(self, b: Node, a: Node, level: Level) -> None:
        name = self._names.call(b["funcname"])
        if strings(b["funcname"])[-1] == "set_config":
            check_set_config(b.get("args", []))
        template = self._rights.system.arguments.get(name) if name is not None else None
        if template is None or "args" not in b:
            self._fields("FuncCall", b, a, level)
            return
        guard = self._forms.template(template)
        inner = _in_hole(guard, a["args"][0])
        if inner is None:
            raise _differs(f"the argument of {name} is not guarded")
        self._fields("FuncCall", b, {**a, "args": [inner, *a["args"][1:]]}, level)

    def _column(self, before: Node, after: Node, level: Level) -> None:
        """A column's name: as it is, without its schema where a form has none, or the governed expression of a
        target's.
        """
        fields = before["ColumnRef"]["fields"]
        star = "A_Star" in fields[-1]
        words = strings(fields[:-1] if star else fields)
        for word in words[1:]:
            self._names.notation(word)
        found: Source | Target | None = None
        if len(words) > (1 if not star else 0):
            qualifier = words if star else words[:-1]
            found = level.named(qualifier[0]) if len(qualifier) == 1 else level.relation_named(*qualifier[-2:])
        if level.guarded and not isinstance(found, Source):
            expected = self._of_target(words, star, found, level)
            if expected is not None:
                if after != expected:
                    raise _differs(f'"{words[-1]}" is not governed')
                return
        if after == before:
            return
        names = after.get("ColumnRef", {}).get("fields", [])
        shortened = isinstance(found, Source) and found.form and len(fields) > 2 and names == fields[-2:]
        if not shortened:
            raise _differs(f"the name {'.'.join(words)} changed")

    def _of_target(self, words: list[str], star: bool, found: Source | Target | None, level: Level) -> Node | None:
        """What must stand for a name that means a column of a guarded target; None where the name may stay."""
        if star:
            if found is not None or not words:
                if not words and all(one.target is None for one in [level]):
                    return None
                raise feature_not_supported(
                    "the whole row of a relation that is written, and of which a part is hidden"
                )
            return None
        column = words[-1]
        if len(words) == 1:
            meaning, target = level.meaning_of(column)
            if target is None:
                whole = level.named(column)
                if isinstance(whole, Target):
                    raise feature_not_supported("the whole row of a relation of which a part is hidden")
                return None
        elif isinstance(found, Target):
            meaning, target = TARGET, found
        else:
            return None
        governed = target.table.column(column)
        if governed is None or governed.treatment.plain:
            return None  # a system column, or nothing is hidden
        if not governed.treatment.visible:
            if governed.treatment.action == "deny":
                raise insufficient_privilege(f'permission denied for column "{column}"')
            raise PgError(f'column "{column}" does not exist', "42703")
        if meaning == UNSURE:
            raise feature_not_supported(f'it cannot be told which "{column}" is meant', "Qualify it.")
        alias = words[-2] if len(words) > 1 and words[-2] in target.row_names else target.name
        if self._is_shadowed(alias, target, level):
            raise feature_not_supported(f'"{alias}" means another relation here', "Use another alias.")
        return self._forms.written(target.table, target.relation, alias).expressions[column]

    @staticmethod
    def _is_shadowed(alias: str, target: Target, level: Level) -> bool:
        for one in level.outward():
            if one.target is not None and one.target.relation is target.relation:
                return any(source.name == alias for source in one.sources)
            if any(source.name == alias for source in one.sources):
                return True
        return False


_HANDLED_WRITES = (
    *("withClause", "relation", "cols", "selectStmt", "onConflictClause", "returningClause"),
    *("whereClause", "targetList"),
)


def _unsampled(source: Node, sample: Node) -> Node:
    """A form's source with its leftmost relation taken out of the sample, which must be the app's."""
    if "JoinExpr" in source:
        join = source["JoinExpr"]
        return {"JoinExpr": {**join, "larg": _unsampled(join["larg"], sample)}}
    inner = source.get("RangeTableSample", {})
    if {**inner, "relation": None} != {**sample, "relation": None}:
        raise _differs("another sample")
    relation: Node = inner["relation"]
    return relation


def _in_hole(template: Node, tree: Node) -> Node | None:
    """What stands in `tree` where the template has its hole; None where they differ elsewhere."""
    found: list[Node] = []

    def fits(expected: object, given: object) -> bool:
        if isinstance(expected, dict) and isinstance(given, dict):
            if is_hole(expected):
                found.append(given)
                return True
            return expected.keys() == given.keys() and all(fits(expected[key], given[key]) for key in expected)
        if isinstance(expected, list) and isinstance(given, list):
            return len(expected) == len(given) and all(map(fits, expected, given))
        return expected == given

    return found[0] if fits(template, tree) and len(found) == 1 else None
