"""The walk over both trees of one statement, side by side: which part of it goes where, and COPY."""

from __future__ import annotations

from proxy.errors import insufficient_privilege
from proxy.rewrite.verify.columns import differs
from proxy.rewrite.verify.merge import MergeWalk
from proxy.rewrite.verify.names import Named
from proxy.rewrite.verify.nodes import QUERIES, Ctes
from proxy.rewrite.verify.scope import Level
from proxy.rewrite.verify.tree import Node, parse, strings
from proxy.rewrite.verify.write import check_assigned

_NOTHING_MORE: Node = parse("SELECT")[0]["SelectStmt"]
_STAR: Node = {"ColumnRef": {"fields": [{"A_Star": {}}]}}


class Walk(MergeWalk):
    """One statement."""

    def query(self, before: Node, after: Node, parent: Level | None, ctes: Ctes) -> None:
        """A SELECT, INSERT, UPDATE, DELETE or MERGE; anything else is walked as it is."""
        ((kind, b),) = before.items()
        if list(after) != [kind]:
            raise differs(f"{kind} became {', '.join(after)}")
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
            raise differs("another table is made")

    def alike(self, kind: str, b: Node, a: Node) -> None:
        """A statement that nothing rewrites: equal, its functions allowed."""
        if a != b:
            raise differs(f"{kind} changed")
        self._fields(kind, b, a, Level(None, {}), skip=("relation", "relations", "rels", "objects", "constraints"))

    def copy(self, b: Node, a: Node) -> None:
        """COPY, to and from the client only."""
        if b.get("filename") or b.get("is_program") or a.get("filename") or a.get("is_program"):
            raise insufficient_privilege("COPY to or from a file or program is not allowed")
        level = Level(None, {})
        skip = ("query", "relation", "attlist", "whereClause")
        self._fields("CopyStmt", b, a, level, skip=skip)
        if ("query" if b.get("is_from") else "whereClause") in a:
            raise differs("COPY of something else")
        if "query" in b:
            if "relation" in a or "attlist" in a or next(iter(b["query"])) not in QUERIES:
                raise differs("COPY of something else")
            self.query(b["query"], a["query"], None, {})
            return
        named = self._names.target(b["relation"]) if b.get("is_from") else self._names.source(b["relation"])
        if b.get("is_from"):
            self._copy_from(b, a, named)
        elif named.why is not None:
            raise named.why
        elif named.meaning != "form":
            if a != b:
                raise differs("COPY of something else")
            if named.meaning == "system":
                raise insufficient_privilege("COPY of a catalog")
        else:
            self._copy_to(b, a, named)

    def _copy_to(self, b: Node, a: Node, named: Named) -> None:
        table, relation = named.table, named.relation
        assert table is not None
        assert relation is not None
        if "relation" in a or "attlist" in a:
            raise differs("COPY reads the relation itself")
        select = a["query"]["SelectStmt"]
        name = {**b["relation"]}
        if relation.kind == "r":
            name.pop("inh", None)
        (item,) = select["fromClause"]
        inner = item["RangeSubselect"]
        if inner.get("alias") != {"aliasname": name["relname"]} or inner.get("lateral"):
            raise differs("COPY reads something else")
        self._proof = True  # no expression of the app's is there
        self._check_form(named, inner["subquery"]["SelectStmt"], name, Level(None, {}), "", None)
        names = strings(b.get("attlist", []))
        generated = {column.name for column in relation.columns if column.generated}
        if not generated.isdisjoint(names):
            raise differs("COPY of a generated column")
        if generated and not names:
            names = [c.name for c in table.columns if c.treatment.action != "drop" and c.name not in generated]
        expected = [{"ResTarget": {"val": {"ColumnRef": {"fields": [{"String": {"sval": n}}]}}}} for n in names]
        if select["targetList"] != (expected or [{"ResTarget": {"val": _STAR}}]):
            raise differs("COPY has other columns")
        if {key: select[key] for key in select if key not in ("targetList", "fromClause")} != _NOTHING_MORE:
            raise differs("COPY's query has more than it should")
        for column in table.columns:
            if column.treatment.action == "deny" and (column.name in names or not names):
                raise insufficient_privilege(f'permission denied for column "{column.name}"')

    def _copy_from(self, b: Node, a: Node, named: Named) -> None:
        if b["relation"] != a["relation"]:
            raise differs("another relation is written")
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
            check_assigned(table, [{"ResTarget": {"name": name}} for name in names], {})
        if a.get("attlist") != wanted:
            raise differs("COPY writes other columns")
        level = Level(None, {}, target=self._guard(b["relation"], named) if named.meaning == "form" else None)
        if named.meaning != "form":
            level.sources = [self._open_target(b["relation"], named)]
        self._optional("whereClause", b, a, level)
