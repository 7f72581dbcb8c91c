"""MERGE side by side: which rows its ON may match, and what each WHEN does."""

from __future__ import annotations

from proxy.errors import feature_not_supported
from proxy.rewrite.verify.columns import differs
from proxy.rewrite.verify.dml import WriteWalk
from proxy.rewrite.verify.leak import LeakProof
from proxy.rewrite.verify.names import Named
from proxy.rewrite.verify.nodes import Ctes
from proxy.rewrite.verify.scope import Level
from proxy.rewrite.verify.tree import Node, called
from proxy.rewrite.verify.write import check_assigned, check_deletable, merged_columns

_BY_SOURCE, _BY_TARGET = "MERGE_WHEN_NOT_MATCHED_BY_SOURCE", "MERGE_WHEN_NOT_MATCHED_BY_TARGET"
_HANDLED = ("withClause", "relation", "sourceRelation", "joinCondition", "mergeWhenClauses", "returningClause")


class MergeWalk(WriteWalk):
    """MERGE."""

    def _merge(self, b: Node, a: Node, parent: Level | None, ctes: Ctes) -> None:
        ctes = self._with(b, a, parent, ctes)
        if b["relation"] != a["relation"]:
            raise differs("another relation is written")
        named = self._target_of(b["relation"])
        others = Level(parent, ctes)
        others.shut = self._guard(b["relation"], named) if named.meaning == "form" else None
        self._from([b["sourceRelation"]], [a["sourceRelation"]], others)
        matched, alone = self._merge_levels(b, named, others)
        statement = {"fromClause": [b["sourceRelation"]], "whereClause": b["joinCondition"]}
        if "withClause" in b:
            statement["withClause"] = b["withClause"]
        if matched.target is None:
            self._optional("joinCondition", b, a, matched)
        else:
            on = a.get("joinCondition")
            self._guarded(b["joinCondition"], on, matched, matched.target, statement)
        calm = LeakProof(self._names, self._parameters).proves_sources(self._short(statement))
        if len(b["mergeWhenClauses"]) != len(a["mergeWhenClauses"]):
            raise differs("MERGE has other clauses")
        for before, after in zip(b["mergeWhenClauses"], a["mergeWhenClauses"], strict=True):
            bw, aw = before["MergeWhenClause"], after["MergeWhenClause"]
            level = {_BY_SOURCE: alone, _BY_TARGET: others}.get(bw["matchKind"], matched)
            self._when(bw, aw, named, level, calm, called(b["relation"]))
        self._returning(b, a, matched)
        self._fields("MergeStmt", b, a, matched, skip=_HANDLED)

    def _merge_levels(self, b: Node, named: Named, others: Level) -> tuple[Level, Level]:
        """The names where the target has a match, and where it has none."""
        if others.shut is not None:
            both = Level(others.parent, others.ctes, others.sources, target=others.shut, items=others.items)
            both.target_last = True
            return both, Level(others.parent, others.ctes, target=others.shut)
        alone = self._opened(b, named, Level(others.parent, others.ctes))
        sources, items = [*others.sources, *alone.sources], [*others.items, *alone.items]
        return Level(others.parent, others.ctes, sources, items=items, target_last=True), alone

    def _when(self, b: Node, a: Node, named: Named, level: Level, calm: bool, alias: str) -> None:
        """`calm`: the source, to which WHEN NOT MATCHED BY SOURCE joins all rows of the target, is leakproof; `alias`:
        the target's.
        """
        target, table = level.target, named.table
        if b["matchKind"] == _BY_SOURCE and target is not None:
            if target.conjuncts and not calm:
                raise feature_not_supported("how often MERGE's source runs would tell of hidden rows")
            # ON finds no match for a hidden row; here it must not be found either
            self._guarded(b.get("condition"), a.get("condition"), level, target, {"whereClause": b.get("condition")})
        else:
            self._optional("condition", b, a, level)
        kind = b["commandType"]
        if kind not in ("CMD_INSERT", "CMD_UPDATE", "CMD_DELETE", "CMD_NOTHING"):
            raise feature_not_supported(f"MERGE does {kind}")
        implied = None
        if table is not None:
            self._note_action(table, kind)
            if kind == "CMD_DELETE":
                check_deletable(table)
            implied = merged_columns(table, b) if kind == "CMD_INSERT" else None
            check_assigned(table, a.get("targetList"), b if kind == "CMD_INSERT" else None, alias)
        if implied is None:
            self._nodes(b.get("targetList", []), a.get("targetList", []), level)
        elif [item["ResTarget"] for item in a.get("targetList", ())] != [{"name": name} for name in implied]:
            raise differs("MERGE inserts other columns")
        self._listed(b.get("values", []), a.get("values", []), level)
        self._fields("MergeWhenClause", b, a, level, skip=("condition", "targetList", "values"))
