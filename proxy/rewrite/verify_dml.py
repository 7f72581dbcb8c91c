"""INSERT, UPDATE, DELETE and MERGE side by side. The target stays in place, what is read of it is governed."""

from __future__ import annotations

from proxy.errors import feature_not_supported, insufficient_privilege
from proxy.rewrite.verify_leak import LeakProof, is_copy
from proxy.rewrite.verify_names import Named
from proxy.rewrite.verify_nodes import Ctes, differs
from proxy.rewrite.verify_reads import ReadWalk
from proxy.rewrite.verify_scope import Columns, Level, Source, Target
from proxy.rewrite.verify_tree import Node, column_of, column_references, flattened, parse, strings
from proxy.rewrite.verify_view_writes import written_view
from proxy.rewrite.verify_write import check_assigned, check_deletable, implied_columns

_FALSE = parse("SELECT false")[0]["SelectStmt"]["targetList"][0]["ResTarget"]["val"]
_HANDLED_WRITES = (
    *("withClause", "relation", "cols", "selectStmt", "onConflictClause", "returningClause"),
    *("whereClause", "targetList"),
)


def _excluded(target: Target, b: Node, a: Node) -> Source:
    """The row that was to be inserted: what the app gave, and the columns that it is shown anyway."""
    given = {item["ResTarget"]["name"] for item in a.get("cols") or b.get("cols") or ()}
    columns: Columns = {
        column.name: target.relation.column(column.name)
        for column in target.table.columns
        if column.treatment.plain or (column.treatment.visible and column.name in given)
    }
    return Source("excluded", columns, aliased=True)


class WriteWalk(ReadWalk):
    """Statements that write."""

    def _target_of(self, b: Node) -> Named:
        named = self._names.target_or_view(b)
        if named.why is None or named.relation is None:
            return named
        table = written_view(named.relation, self._names, self._forms)
        if table is None:
            raise named.why
        return Named("same" if table.plain else "form", named.relation, table)

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
            raise differs("another relation is written")
        named = self._target_of(b["relation"])
        if "selectStmt" in b:
            self.query(b["selectStmt"], a["selectStmt"], parent, ctes)
        elif "selectStmt" in a:
            raise differs("INSERT has another source")
        conflict = b.get("onConflictClause", {})
        if named.table is not None:
            wanted = implied_columns(named.table, b)
            if "cols" in b or wanted is None:
                if b.get("cols") != a.get("cols"):
                    raise differs("INSERT writes other columns")
            elif [item["ResTarget"] for item in a.get("cols", ())] != [{"name": name} for name in wanted]:
                raise differs("INSERT writes other columns")
            check_assigned(named.table, a.get("cols") or b.get("cols"), b)
            check_assigned(named.table, conflict.get("targetList", []), None)
        elif b.get("cols") != a.get("cols"):
            raise differs("INSERT writes other columns")
        if named.meaning == "form":
            target = self._guard(b["relation"], named)
            level = Level(parent, ctes, target=target)
            if conflict.get("action") == "ONCONFLICT_UPDATE":
                self._conflict(b, a, Level(parent, ctes, [_excluded(target, b, a)], target=target), target)
            else:
                self._body_field("OnConflictClause", "onConflictClause", b, a, level)
        else:
            source = self._open_target(b["relation"], named)
            level = Level(parent, ctes, [source, Source("excluded", source.columns, aliased=True)])
            self._body_field("OnConflictClause", "onConflictClause", b, a, level)
        self._returning(b, a, level)
        self._fields("InsertStmt", b, a, level, skip=_HANDLED_WRITES)

    def _conflict(self, b: Node, a: Node, level: Level, target: Target) -> None:
        """DO UPDATE of a relation of which a part is hidden: an UPDATE of the row that was there."""
        if "onConflictClause" not in a:
            raise differs("ON CONFLICT went")
        bc, ac = b["onConflictClause"], a["onConflictClause"]
        shown = level.sources[0].columns or {}
        for fields, inner in column_references([bc.get("targetList"), bc.get("whereClause")]):
            words = [field.get("String", {}).get("sval", "*") for field in fields]
            if len(words) == 1 and (not inner or words == ["excluded"]):
                raise feature_not_supported("a name in DO UPDATE that is not qualified, or a whole row")
            if words[0] == "excluded" and (len(words) != 2 or words[1] not in shown):
                raise feature_not_supported(f"excluded.{words[1]} may hold what the app did not send")
        self._targets(bc.get("targetList", []), ac.get("targetList", []), level)
        self._where(bc, ac, level, target)
        self._fields("OnConflictClause", bc, ac, level, skip=("targetList", "whereClause"))

    def _update(self, kind: str, b: Node, a: Node, parent: Level | None, ctes: Ctes) -> None:
        ctes = self._with(b, a, parent, ctes)
        if b["relation"] != a["relation"]:
            raise differs("another relation is written")
        named = self._target_of(b["relation"])
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
                raise differs("the row policies are not in WHERE")
            return
        last = parts[-1].get("CaseExpr") if parts else None
        if last is not None and parts[-1 - len(rows) : -1] == rows:
            (when,) = last["args"]
            if flattened(when["CaseWhen"]["expr"]) != rows or last.get("defresult") != _FALSE or "arg" in last:
                raise differs("the row policies do not guard the condition")
            self._node(own, when["CaseWhen"]["result"], level)
            shown: Columns = {c.name: target.relation.column(c.name) for c in target.table.columns}
            source = Source(target.name, shown, target.relation, target.table)
            for conjunct in parts[: -1 - len(rows)]:
                if not is_copy(conjunct, own, source, target.name, (target.name,), self._parameters):
                    raise differs("a condition that is none of the app's")
            return
        columns: Columns = {column.name: column for column in target.relation.columns}
        source = Source(target.name, columns, target.relation, target.table)
        statement = {**b, "whereClause": own}
        if parts[: len(rows)] != rows or not LeakProof(self._names, self._parameters).proves_condition(
            statement, source
        ):
            raise differs("the row policies are not before the condition")
        rest = flattened(own)
        if len(rest) != len(parts) - len(rows):
            raise differs("the condition changed")
        for before, after in zip(rest, parts[len(rows) :], strict=True):
            self._node(before, after, level)

    def _merge(self, b: Node, a: Node, parent: Level | None, ctes: Ctes) -> None:
        ctes = self._with(b, a, parent, ctes)
        if b["relation"] != a["relation"]:
            raise differs("another relation is written")
        named = self._target_of(b["relation"])
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
            raise differs("RETURNING came or went")
        if "returningClause" not in b:
            return
        bc, ac = b["returningClause"], a["returningClause"]
        target = level.target
        if bc.get("options") != ac.get("options"):
            raise differs("RETURNING's options changed")
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
            raise differs("RETURNING has more items")

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
        wanted = item.get("name")
        if wanted is None and fields and after["val"] != item["val"]:
            wanted = strings(fields)[-1]  # what stands in the column's place would have another name
        if after.get("name") != wanted or after.keys() - {"val", "name"}:
            raise differs("an item of RETURNING has another name")
        return [item["val"]], [after["val"]]

    def _expanded(self, alias: str, rest: list[Node], target: Target) -> None:
        form = self._forms.written(target.table, target.relation, alias)
        for column in target.table.columns:
            if column.treatment.action == "deny":
                raise insufficient_privilege(f'permission denied for column "{column.name}"')
            if not column.treatment.visible:
                continue
            if column.treatment.plain:
                expected: Node = {"val": column_of(alias, column.name)}
            else:
                expected = {"name": column.name, "val": form.expressions[column.name]}
            if not rest or rest.pop(0)["ResTarget"] != expected:
                raise differs("RETURNING * is not the list of the app's columns")
