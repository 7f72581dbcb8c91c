"""What only a database could say of a statement, from its tree and the catalog, as far as that goes. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.qualify import qualify

from proxy.catalog.model import SearchPath, Snapshot
from proxy.rewrite.lex import Node, parse
from proxy.rewrite.scope import figure_column_name

Names = tuple[str, ...]
Items = list[tuple[str, Names]]  # of a FROM: (alias, columns), in order


class UntoldError(Exception):
    """The names cannot be told without a database: a function's result, for example."""


def output_names(text: str, snapshot: Snapshot, path: SearchPath) -> Names:
    """The result columns of the only statement in `text`. Raises UntoldError; PgError where it does not parse."""
    statements = parse(text)
    if len(statements) != 1:
        raise UntoldError
    return _Query(snapshot, path).statement(statements[0]["stmt"], {})


def lacks_column(text: str, snapshot: Snapshot, path: SearchPath) -> bool:
    """Whether the query in `text` names a column that is not there; False also where that cannot be told."""
    schema: dict[str, Any] = {}
    try:
        tree = sqlglot.parse_one(text, dialect="postgres")
        for table in tree.find_all(exp.Table):
            found = snapshot.resolve(table.name, table.db or None, path)
            if found is not None:
                columns = {column.name: column.base_type for column in found.columns}
                schema.setdefault(found.schema, {})[found.name] = columns
                table.set("db", exp.to_identifier(found.schema))
        qualify(tree, dialect="postgres", schema=schema, quote_identifiers=False)
    except SqlglotError as error:
        return "could not be resolved" in str(error) or "Unknown column" in str(error)
    return False


class _Query:
    def __init__(self, snapshot: Snapshot, path: SearchPath) -> None:
        self._snapshot = snapshot
        self._path = path

    def statement(self, statement: Node, ctes: Mapping[str, Names]) -> Names:
        ((kind, node),) = statement.items()
        if kind == "SelectStmt":
            return self._select(node, ctes)
        if kind in ("InsertStmt", "UpdateStmt", "DeleteStmt"):
            return self._write(node, ctes)
        raise UntoldError

    def _select(self, node: Node, outer: Mapping[str, Names]) -> Names:
        ctes = self._ctes(node, outer)
        if "larg" in node:
            return self._select(node["larg"], ctes)
        if "valuesLists" in node:
            return tuple(f"column{number + 1}" for number in range(len(node["valuesLists"][0]["List"]["items"])))
        items: Items = []
        whole: list[str] = []  # what `*` means
        for item in node.get("fromClause", ()):
            whole += self._item(item, items, ctes)
        return self._targets(node.get("targetList", ()), items, whole)

    def _write(self, node: Node, outer: Mapping[str, Names]) -> Names:
        ctes = self._ctes(node, outer)
        items: Items = []
        whole = self._item({"RangeVar": node["relation"]}, items, {})
        for item in node.get("fromClause") or node.get("usingClause") or ():
            whole += self._item(item, items, ctes)
        returning = node.get("returningClause", {}).get("exprs") or node.get("returningList", ())
        return self._targets(returning, items, whole)

    def _ctes(self, node: Node, outer: Mapping[str, Names]) -> Mapping[str, Names]:
        known = dict(outer)
        for item in node.get("withClause", {}).get("ctes", ()):
            cte = item["CommonTableExpr"]
            query = cte["ctequery"]
            if node["withClause"].get("recursive") and "larg" in query.get("SelectStmt", {}):
                query = {"SelectStmt": query["SelectStmt"]["larg"]}  # its names are those of the first part
            if cte.keys() & {"search_clause", "cycle_clause"}:
                raise UntoldError
            known[cte["ctename"]] = _renamed(self.statement(query, known), cte.get("aliascolnames", ()))
        return known

    def _item(self, item: Node, items: Items, ctes: Mapping[str, Names]) -> list[str]:
        """Puts what a FROM's item brings into `items`; what `*` means of it."""
        ((kind, node),) = item.items()
        alias = node.get("alias", {})
        if kind == "RangeTableSample":
            return self._item(node["relation"], items, ctes)
        if kind == "JoinExpr" and "alias" not in node:
            return self._join(node, items, ctes)
        if kind == "RangeVar":
            name = node["relname"]
            names = ctes[name] if "schemaname" not in node and name in ctes else self._relation(node)
        elif kind == "RangeSubselect":
            name, names = "", self.statement(node["subquery"], ctes)
        else:
            raise UntoldError
        names = _renamed(names, alias.get("colnames", ()))
        items.append((alias.get("aliasname", name), names))
        return list(names)

    def _relation(self, node: Node) -> Names:
        found = self._snapshot.resolve(node["relname"], node.get("schemaname"), self._path)
        if found is None:
            raise UntoldError
        return tuple(column.name for column in found.columns if column.number > 0)

    def _join(self, node: Node, items: Items, ctes: Mapping[str, Names]) -> list[str]:
        left, right = self._item(node["larg"], items, ctes), self._item(node["rarg"], items, ctes)
        merged = [word["String"]["sval"] for word in node.get("usingClause", ())]
        if node.get("isNatural"):
            merged = [name for name in left if name in right]
        return [*merged, *(name for name in (*left, *right) if name not in merged)]

    def _targets(self, targets: Sequence[Node], items: Items, whole: Sequence[str]) -> Names:
        names: list[str] = []
        for target in targets:
            item = target["ResTarget"]
            fields = item["val"].get("ColumnRef", {}).get("fields", ())
            if fields and "A_Star" in fields[-1]:
                names += whole if len(fields) == 1 else self._of(fields[-2]["String"]["sval"], items)
            elif "A_Star" in item["val"].get("A_Indirection", {}).get("indirection", [{}])[-1]:
                raise UntoldError
            else:
                names.append(item.get("name") or figure_column_name(item["val"]))
        return tuple(names)

    def _of(self, alias: str, items: Items) -> Names:
        found = [names for name, names in items if name == alias]
        if len(found) != 1:
            raise UntoldError
        return found[0]


def _renamed(names: Names, anew: Sequence[Node]) -> Names:
    return tuple([word["String"]["sval"] for word in anew]) + names[len(anew) :]
