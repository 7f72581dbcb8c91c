"""INSERT, UPDATE, DELETE and MERGE side by side. The target stays in place, what is read of it is governed."""

from __future__ import annotations

from dataclasses import replace

from proxy.errors import feature_not_supported, insufficient_privilege
from proxy.policy.table import GovernedTable
from proxy.rewrite.verify.columns import differs, granted
from proxy.rewrite.verify.copies import Bound
from proxy.rewrite.verify.leak import LeakProof
from proxy.rewrite.verify.names import Named
from proxy.rewrite.verify.nodes import Ctes
from proxy.rewrite.verify.reads import ReadWalk
from proxy.rewrite.verify.scope import Columns, Level, Source, Target
from proxy.rewrite.verify.tree import Node, called, column_references, flattened, parse
from proxy.rewrite.verify.values import Values
from proxy.rewrite.verify.view_writes import written_view
from proxy.rewrite.verify.write import check_assigned, check_deletable, given_columns, implied_columns

_FALSE = parse("SELECT false")[0]["SelectStmt"]["targetList"][0]["ResTarget"]["val"]
_HANDLED_WRITES = (
    *("withClause", "relation", "cols", "selectStmt", "onConflictClause", "returningClause"),
    *("whereClause", "targetList"),
)


def _excluded(target: Target, given: list[str]) -> Source:
    """The row that was to be inserted: what the app gave, and the columns that it is shown anyway."""
    columns: Columns = {
        column.name: target.relation.column(column.name)
        for column in target.table.columns
        if column.treatment.plain or (column.treatment.visible and column.name in given)
    }
    return Source("excluded", columns, aliased=True)


def _nothing(_node: Node) -> None:
    """No column of another relation may stand in a copy: see LeakProof.copies_join for those."""


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
        alias = called(b)
        form = self._forms.written(table, relation, alias)
        self.row_policies = self.row_policies or bool(table.rows)
        self.governed = True
        self.documents = self.documents or table.makes_documents
        return Target(alias, table, relation, "alias" in b, form.expressions, form.conjuncts)

    def _open_target(self, b: Node, named: Named) -> Source:
        alias = called(b)
        columns: Columns | None = None
        if named.relation is not None:
            columns = {column.name: column for column in named.relation.columns if column.number > 0}
        return Source(alias, columns, named.relation, named.table, aliased="alias" in b, has_system_columns=True)

    def _opened(self, b: Node, named: Named, others: Level) -> Level:
        """The names of a statement whose target the app has whole, beside what it reads."""
        source = self._open_target(b["relation"], named)
        target: Node = {"RangeVar": b["relation"]}
        return Level(others.parent, others.ctes, [source, *others.sources], items=[target, *others.items])

    def _note_action(self, table: GovernedTable, action: str) -> None:
        """Refuses a statement that could put rows by which others find their customer in the place of such."""
        if table.followed:
            self._done.add(action)
        if self._done.issuperset(("CMD_DELETE", "CMD_INSERT")):
            raise insufficient_privilege(f'permission denied to delete and insert rows of relation "{table.name}"')

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
            self._note_action(named.table, "CMD_INSERT")
            check_assigned(named.table, a.get("cols") or b.get("cols"), b)
            check_assigned(named.table, conflict.get("targetList", []), None, called(b["relation"]))
        elif b.get("cols") != a.get("cols"):
            raise differs("INSERT writes other columns")
        if named.meaning == "form":
            target = self._guard(b["relation"], named)
            level = Level(parent, ctes, target=target)
            if conflict.get("action") == "ONCONFLICT_UPDATE":
                excluded = _excluded(target, given_columns(target.table, a, b, self._stars))
                self._conflict(b, a, Level(parent, ctes, [excluded], target=target), target)
            else:
                self._body_field("OnConflictClause", "onConflictClause", b, a, level)
        else:
            level = self._opened(b, named, Level(parent, ctes))
            excluded = Source("excluded", level.sources[0].columns, aliased=True)
            both = Level(parent, ctes, [*level.sources, excluded])
            self._body_field("OnConflictClause", "onConflictClause", b, a, both)
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
            if len(words) == 1 and (not inner or words == ["excluded"]) and words != [target.name]:
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
                self._note_action(named.table, "CMD_DELETE")
            else:
                check_assigned(named.table, b["targetList"], None, called(b["relation"]))
        clause = "usingClause" if kind == "DeleteStmt" else "fromClause"
        others = Level(parent, ctes, where=self._short(b.get("whereClause")), beside=({"RangeVar": b["relation"]},))
        others.shut = self._guard(b["relation"], named) if named.meaning == "form" else None
        self._from(b.get(clause, []), a.get(clause, []), others)
        if others.shut is None:
            level = self._opened(b, named, others)
            self._optional("whereClause", b, a, level)
        else:
            level = Level(parent, ctes, others.sources, target=others.shut, items=others.items)
            self._where(b, a, level, others.shut)
        self._targets(b.get("targetList", []), a.get("targetList", []), level)
        self._returning(b, a, level)
        self._fields(kind, b, a, level, skip=(*_HANDLED_WRITES, clause))

    def _where(self, b: Node, a: Node, level: Level, target: Target) -> None:
        """Row policies beside the app's condition, or before it."""
        own = b.get("whereClause")
        if own is not None and "CurrentOfExpr" in own:
            if target.conjuncts:
                raise feature_not_supported("WHERE CURRENT OF on a relation of which rows are hidden")
            if a.get("whereClause") != own:
                raise differs("another cursor")
            return
        self._guarded(own, a.get("whereClause"), level, target, b)

    def _guarded(self, own: Node | None, after: Node | None, level: Level, target: Target, statement: Node) -> None:
        """A condition on rows of a target: its row policies and the app's own, which cannot tell of hidden ones.

        `statement`: an UPDATE or what is like one: FROM, and the condition as its WHERE.
        """
        rows = target.conjuncts
        if not rows:
            if (own is None) != (after is None):
                raise differs("a condition came or went")
            self._node(own, after, level)
            return
        parts = flattened(after)
        if own is None:
            if parts != rows:
                raise differs("the row policies are not in the condition")
            return
        last = parts[-1].get("CaseExpr") if parts else None
        proof, statement = LeakProof(self._names, self._parameters), self._short(statement)
        columns: Columns = {column.name: column for column in target.relation.columns if target.has(column.name)}
        source = Source(target.name, columns, target.relation, target.table)
        if last is not None and parts[-1 - len(rows) : -1] == rows:
            (when,) = last["args"]
            if flattened(when["CaseWhen"]["expr"]) != rows or last.get("defresult") != _FALSE or "arg" in last:
                raise differs("the row policies do not guard the condition")
            self._node(own, when["CaseWhen"]["result"], level)
            shown: Columns = {c.name: target.relation.column(c.name) for c in target.table.columns}
            visible = Source(target.name, shown, target.relation, target.table)
            values = Values(self._names, self._parameters)
            bound = Bound(flattened(self._short(own)), visible, (target.name,), False, values, _nothing, _nothing)
            for conjunct in parts[: -1 - len(rows)]:
                if bound.implies(conjunct, target.name, raw=False):
                    continue
                if not proof.copies_join(conjunct, statement, source, rows):
                    raise granted("a condition that is none of the app's")
            return
        if parts[: len(rows)] != rows:
            raise differs("the row policies are not before the condition")
        if not proof.proves_condition(statement, source):
            raise granted("the row policies do not guard the condition")
        rest = flattened(own)
        if len(rest) != len(parts) - len(rows):
            raise differs("the condition changed")
        for before, given in zip(rest, parts[len(rows) :], strict=True):
            self._node(before, given, level)

    def _targets(self, before: list[Node], after: list[Node], level: Level) -> None:
        self._nodes(before, after, level)

    def _returning(self, b: Node, a: Node, level: Level) -> None:
        """`level`: the target, guarded or first (of MERGE: last) among the sources, and the rest of FROM."""
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
        inner = Level(level.parent, level.ctes, list(level.sources), items=level.items, target_last=level.target_last)
        if target is None:
            own = level.sources[-1 if level.target_last else 0]
            for name in row_names:
                if all(source.name != name for source in inner.sources):
                    inner.sources.append(Source(name, own.columns, aliased=True, has_system_columns=True))
        else:
            taken = {source.name for source in level.sources} | {target.name}
            versions = frozenset(name for name in row_names if name not in taken)
            inner.target = replace(target, row_names=versions)
            inner.guarded = True
        self._listed(bc["exprs"], ac["exprs"], inner, outputs=True)
        self._note_outputs(b, bc["exprs"], inner)
