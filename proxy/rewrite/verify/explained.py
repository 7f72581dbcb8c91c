"""What a plan may tell without VERBOSE: indexes, triggers, and how columns, functions and rows are made. Pure.

A plan prints the expressions of conditions, sort and group keys, and none of its outputs: a masked column may stand
among the outputs of the outermost query, where nothing sorts, groups or compares by them, and nowhere else. What is
made with sub-queries (consent, documents) would be parts of the plan there, too.
"""

from __future__ import annotations

from typing import Any, Final

from proxy.catalog.model import Relation, SearchPath
from proxy.policy.table import GovernedTable
from proxy.rewrite.verify.form import Forms
from proxy.rewrite.verify.inlined import shows_bodies
from proxy.rewrite.verify.rights import SYSTEM_SCHEMAS, Rights
from proxy.rewrite.verify.tree import Node, every_part, holds

_WRITES: Final = frozenset({"InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt"})
_FILLING: Final = _WRITES - {"DeleteStmt"}  # with the defaults of columns
_COMPARING: Final = frozenset({"distinctClause", "groupClause", "havingClause", "windowClause", "larg", "rarg"})
# What an output that a plan does not print is made of: no aggregate, which may sort, and no sub-query.
_PLAIN: Final = frozenset(
    """
    A_Const A_Expr A_Indices A_Indirection A_Star Boolean BoolExpr CaseExpr CaseWhen CoalesceExpr CollateClause
    ColumnRef Float Integer NullTest ParamRef ResTarget String TypeCast TypeName
    """.split()
)
_SYSTEM_COLUMNS: Final = frozenset("ctid cmin cmax tableoid xmin xmax".split())


def why_not_explained(
    query: Node, options: frozenset[str], path: SearchPath, types: tuple[int, ...], rights: Rights, forms: Forms
) -> str | None:
    """What the plan of a query, none of whose rows is hidden, could tell that its app may not know; None: nothing.

    A name that is not there for the app must not decide on the answer, be it hidden or missing.
    """
    parts = every_part(query)
    writes = any(part.keys() & _WRITES for part in parts)
    if "analyze" in options and writes and _hides_triggers(rights):
        return "name triggers of other relations"
    relations = _named(parts, path, rights)
    defaults = "verbose" in options and any(part.keys() & _FILLING for part in parts)
    if shows_bodies(parts, relations, path, types, rights, defaults=defaults):
        return "show what a function is made of"
    masked: set[str] = set()
    costly: set[str] = set()
    known = set(_SYSTEM_COLUMNS)
    for relation in relations:
        table = rights.app.tables.get(relation.key)
        of_catalogs = relation.schema in SYSTEM_SCHEMAS
        if not of_catalogs and table is None and relation.kind != "v" and rights.readable(relation):
            continue  # refused by itself
        visible = _visible(relation, table, rights)
        known |= visible
        if of_catalogs:
            continue
        if any(oid in rights.system.unexplained for oid in (relation.oid, *_behind(relation))):
            return f'name indexes or parts of relation "{relation.name}" that the app does not have'
        if any(_has_policies(oid, rights) for oid in (relation.oid, *_behind(relation))):
            return f'show the row security of relation "{relation.name}"'
        if not rights.read_elsewhere.isdisjoint((relation.oid, *_behind(relation))):
            return f'show where relation "{relation.name}" is read from'
        masked |= visible & rights.virtual.get(relation.oid, set())
        if table is None or rights.is_plain(table, relation):
            if relation.kind == "v" and rights.readable(relation) is not None:  # written by its definition
                return f'show the definition of view "{relation.name}"'
            continue
        if table.others is not None:
            return f'show what relation "{relation.name}" is made of'
        masked.update(
            column.name for column in table.columns if column.treatment.visible and not column.treatment.plain
        )
        costly |= _costly(table, relation, forms)
    known.update(part["ResTarget"]["name"] for part in parts if "name" in part.get("ResTarget", {}))
    known -= {name for name, every in rights.snapshot.functions.items() if any(f.takes_row for f in every)}
    shown, outputs = _outputs_apart(query)
    if (masked and _names_any(shown, masked, known, parts)) or (costly and _names_any(outputs, costly, known, parts)):
        return "show how columns are made that are masked or under consent"
    return None


def _named(parts: list[Node], path: SearchPath, rights: Rights) -> list[Relation]:
    """Every relation that the query may read: a name may be a CTE's or a temp table's as well."""
    found = (
        rights.snapshot.resolve(part["relname"], part.get("schemaname"), path) for part in parts if "relname" in part
    )
    return [relation for relation in found if relation is not None]


def _visible(relation: Relation, table: GovernedTable | None, rights: Rights) -> set[str]:
    """The names of the columns that the app has."""
    if table is not None:
        return {column.name for column in table.columns if column.treatment.visible}
    return {column.name for column in relation.columns} - rights.lost(relation)


def _hides_triggers(rights: Rights) -> bool:
    """Whether what the app has may fire triggers that it does not have, of relations that cascades reach, too."""
    return rights.app.hides_anything or rights.system.hides_triggers


def _behind(relation: Relation) -> tuple[int, ...]:
    return relation.reads if relation.kind == "v" else ()


def _has_policies(oid: int, rights: Rights) -> bool:
    """Whether PostgreSQL adds conditions of the database's own, which may be of anything, to a read of a relation."""
    relation = rights.snapshot.by_oid.get(oid)
    return relation is not None and relation.row_security


def _costly(table: GovernedTable, relation: Relation, forms: Forms) -> set[str]:
    """The columns that are more than an expression of the row."""
    visible = [column for column in table.columns if column.treatment.visible]
    targets = forms.read(table, relation, False, True, False, ()).targets
    return {
        column.name
        for column, target in zip(visible, targets, strict=True)
        if column.asks_consent
        or (column.document is not None and not column.treatment.plain)
        or holds(target, "SubLink")
    }


def _outputs_apart(query: Node) -> tuple[Any, list[Node]]:
    """The query without the outputs that its plan does not print, and these."""
    body = query.get("SelectStmt", {})
    items = body.get("targetList", [])
    if not body or body.keys() & _COMPARING or _sorts_by_outputs(body):
        return query, []
    plain = [item for item in items if all(_is_plain(part) for part in every_part(item))]
    rest = {name: value for name, value in body.items() if name != "targetList"}
    return [rest, *(item for item in items if item not in plain)], plain


def _is_plain(part: Node) -> bool:
    return all(not kind[0].isupper() or kind in _PLAIN for kind in part)


def _sorts_by_outputs(body: Node) -> bool:
    """By the number of one, or by a name that stands for something else."""
    renamed = set()
    for item in body.get("targetList", ()):
        target = item["ResTarget"]
        fields = target["val"].get("ColumnRef", {}).get("fields", [{}])
        if "name" in target and fields[-1].get("String", {}).get("sval") != target["name"]:
            renamed.add(target["name"])
    for item in body.get("sortClause", ()):
        node = item["SortBy"]["node"]
        fields = node.get("ColumnRef", {}).get("fields", [])
        if "A_Const" in node or (len(fields) == 1 and fields[0].get("String", {}).get("sval") in renamed):
            return True
    return False


def _names_any(tree: Any, columns: set[str], known: set[str], parts: list[Node]) -> bool:
    """Whether one of the columns may stand in the tree, by itself or in a row. `parts`: of the whole query."""
    rows = {part[key] for part in parts for key in ("relname", "aliasname", "ctename") if key in part}
    for part in every_part(tree):
        if "ColumnRef" in part:
            words = [field.get("String", {}).get("sval") for field in part["ColumnRef"]["fields"]]
            name = words[-1]
            if name is None or name in columns or name in rows:  # None: a star
                return True
            if len(words) > 1 and name not in known:  # of a row that a function takes: `t.to_json`
                return True
        if part.get("isNatural") or ({"relname", "rarg"} & part.keys() and "colnames" in part.get("alias", {})):
            return True
        if any(word["String"]["sval"] in columns for word in part.get("usingClause", ())):
            return True
    return False
