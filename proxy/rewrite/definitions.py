"""Pass: the definitions that a governed app may change are those of its temp tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from proxy.catalog.model import SearchPath, Snapshot
from proxy.errors import feature_not_supported, insufficient_privilege, undefined_table
from proxy.policy.table import AppPolicy
from proxy.rewrite.allowed import TEMP_TABLE_CHANGES
from proxy.rewrite.catalog_hidden import readable_view
from proxy.rewrite.lex import Node
from proxy.rewrite.scope import walk


@dataclass(frozen=True, slots=True)
class Names:
    """What names mean where the statement runs."""

    path: SearchPath
    snapshot: Snapshot
    hidden_indexes: frozenset[int] = frozenset()  # see SystemCatalog


def check_create(fields: Node, app: AppPolicy, names: Names) -> None:
    only_temporary(fields["relation"], app)
    if not {"inhRelations", "partbound", "partspec", "ofTypename"}.isdisjoint(fields):
        raise feature_not_supported(
            "a temp table that inherits, is partitioned or is of a type is not supported", "List its columns."
        )
    for element in fields.get("tableElts", ()):
        like = element.get("TableLikeClause")
        if like is not None:
            _check_like(like["relation"], app, names)
        _check_keys(element)


def _check_keys(element: Node) -> None:
    constraints = [element, *element.get("ColumnDef", {}).get("constraints", ())]
    if any("pktable" in constraint.get("Constraint", {}) for constraint in constraints):
        raise feature_not_supported("a temp table with a foreign key is not supported", "Leave the key out.")


def _check_like(relation: Node, app: AppPolicy, names: Names) -> None:
    """LIKE copies definitions: of relations that the app has whole."""
    schema, name = relation.get("schemaname"), relation["relname"]
    if names.snapshot.is_temporary(name, schema, names.path):
        return
    found = names.snapshot.resolve(name, schema, names.path)
    if found is None or found.oid in names.hidden_indexes:
        raise undefined_table(f"{schema}.{name}" if schema else name)
    table = app.tables.get(found.key)
    if not (table.plain if table is not None else readable_view(found, app, names.snapshot)):
        raise feature_not_supported(
            f'CREATE TABLE (LIKE {name}) is not supported where the rules hide a part of "{name}" from app {app.name}',
            "List the columns, or use CREATE TEMP TABLE ... AS SELECT ... WITH NO DATA.",
        )


def check_queries(statement: Node, position: Callable[[int], int | None]) -> None:
    """Raises the error, in PostgreSQL's words, of the first query where a definition may have none. `position`: of a
    byte of the text, as errors have it.
    """
    ((kind, fields),) = statement.items()
    if kind not in ("CreateStmt", "AlterTableStmt", "IndexStmt"):
        return
    for what, expression in _defined(kind, fields):
        for node in walk(expression):
            if "SubLink" in node:
                start = node["SubLink"].get("location", -1)
                placed = kind != "AlterTableStmt" or what == _TRANSFORM  # the server has no text of the others
                raise feature_not_supported(
                    f"cannot use subquery in {what}", position=position(start) if placed else None
                )


def _defined(kind: str, fields: Node) -> Iterator[tuple[str, Node | None]]:
    """(what it is, an expression) of a definition, in the server's order."""
    if kind == "IndexStmt":
        yield "index predicate", fields.get("whereClause")
        for item in fields["indexParams"]:
            yield "index expression", item["IndexElem"].get("expr")
        return
    elements = list(fields.get("tableElts", ()))
    for command in fields.get("cmds", ()):
        change = command["AlterTableCmd"]
        if change["subtype"] == "AT_ColumnDefault":
            yield "DEFAULT expression", change.get("def")
        elif "ColumnDef" in change.get("def", {}) and "raw_default" in change["def"]["ColumnDef"]:
            yield _TRANSFORM, change["def"]["ColumnDef"]["raw_default"]
        else:
            elements.append(change.get("def", {}))
    constraints = [c for e in elements for c in (e, *e.get("ColumnDef", {}).get("constraints", ()))]
    for kinds in (("CONSTR_DEFAULT", "CONSTR_GENERATED"), ("CONSTR_CHECK",)):
        for constraint in (one.get("Constraint", {}) for one in constraints):
            if constraint.get("contype") in kinds:
                yield _EXPRESSIONS[constraint["contype"]], constraint.get("raw_expr")


_TRANSFORM = "transform expression"
_EXPRESSIONS = {
    "CONSTR_DEFAULT": "DEFAULT expression",
    "CONSTR_GENERATED": "column generation expression",
    "CONSTR_CHECK": "check constraint",
}


def only_temporary(relation: Node, app: AppPolicy) -> None:
    if relation.get("relpersistence") != "t" and relation.get("schemaname") != "pg_temp":
        raise insufficient_privilege(
            f'app {app.name} may not create table "{relation["relname"]}"',
            "Apps may create temp tables; run migrations as a trusted app.",
        )


def _check_temporary_names(found: list[tuple[str | None, str]], app: AppPolicy, names: Names) -> None:
    for schema, name in found:
        if not names.snapshot.is_temporary(name, schema, names.path):
            raise insufficient_privilege(
                f'app {app.name} may change the definition of temp tables only, and "{name}" is none',
                "Run migrations and administration as a trusted app.",
            )


def check_drop(fields: Node, app: AppPolicy, names: Names) -> None:
    """IF EXISTS may name what is nowhere: the server says so in a notice, and nothing is dropped."""
    if fields.get("removeType") not in ("OBJECT_TABLE", "OBJECT_INDEX"):
        raise insufficient_privilege(f"app {app.name} may drop temp tables only")
    words = [[part["String"]["sval"] for part in item["List"]["items"]] for item in fields["objects"]]
    found = [(parts[-2] if len(parts) > 1 else None, parts[-1]) for parts in words]
    if fields.get("missing_ok"):
        found = [(schema, name) for schema, name in found if names.snapshot.resolve(name, schema, names.path)]
    _check_temporary_names(found, app, names)


def check_truncate(fields: Node, app: AppPolicy, names: Names) -> None:
    _check_temporary([item["RangeVar"] for item in fields["relations"]], app, names)


def check_index(fields: Node, app: AppPolicy, names: Names) -> None:
    _check_temporary([fields["relation"]], app, names)


def check_alter(fields: Node, app: AppPolicy, names: Names) -> None:
    """ALTER TABLE: columns, defaults and constraints; nothing that ties the table to another."""
    _check_temporary([fields["relation"]], app, names)
    for command in fields["cmds"]:
        change = command["AlterTableCmd"]
        if fields.get("objtype") != "OBJECT_TABLE" or change["subtype"] not in TEMP_TABLE_CHANGES:
            raise insufficient_privilege(
                f"app {app.name} may not use this form of ALTER TABLE",
                "It may add, drop and change columns and constraints of temp tables.",
            )
        _check_keys(change.get("def", {}))


def check_rename(fields: Node, app: AppPolicy, names: Names) -> None:
    """ALTER TABLE ... RENAME, of the table or a column."""
    if fields["renameType"] != "OBJECT_TABLE" and fields.get("relationType") != "OBJECT_TABLE":
        raise insufficient_privilege(f"app {app.name} may rename temp tables and their columns only")
    _check_temporary([fields["relation"]], app, names)


def check_comment(fields: Node, app: AppPolicy, names: Names) -> None:
    """COMMENT ON a temp table or a column of one."""
    if fields["objtype"] not in ("OBJECT_TABLE", "OBJECT_COLUMN"):
        raise insufficient_privilege(f"app {app.name} may comment on temp tables and their columns only")
    words = [part["String"]["sval"] for part in fields["object"]["List"]["items"]]
    if fields["objtype"] == "OBJECT_COLUMN":
        words.pop()
    _check_temporary_names([(words[-2] if len(words) > 1 else None, words[-1])] if words else [], app, names)


def check_vacuum(fields: Node, app: AppPolicy, names: Names) -> None:
    """VACUUM and ANALYZE of named temp tables."""
    if not fields.get("rels"):
        raise insufficient_privilege(
            f"app {app.name} may not use VACUUM and ANALYZE of the whole database", "Name temp tables of the session."
        )
    _check_temporary([item["VacuumRelation"]["relation"] for item in fields["rels"]], app, names)


def _check_temporary(relations: list[Node], app: AppPolicy, names: Names) -> None:
    _check_temporary_names([(r.get("schemaname"), r["relname"]) for r in relations], app, names)


def names_after(statement: Node, path: SearchPath, foreign: bool) -> SearchPath:
    """What names mean when a statement of a text has run: where it fails, the rest of the text does not.

    `foreign`: a value of a foreign type may stand in the statement. The same path where nothing changes.
    """
    ((kind, fields),) = statement.items()
    made: set[str] = set()
    gone: set[str] = set()
    of_foreign_type: set[str] = set()
    match kind:
        case "CreateStmt":
            made = {fields["relation"]["relname"]}
        case "CreateTableAsStmt":
            made = {fields["into"]["rel"]["relname"]}
        case "SelectStmt":
            while "larg" in fields:
                fields = fields["larg"]
            made = {fields["intoClause"]["rel"]["relname"]} if "intoClause" in fields else set()
        case "DropStmt":
            gone = {item["List"]["items"][-1]["String"]["sval"] for item in fields["objects"]}
        case "RenameStmt" if fields["renameType"] == "OBJECT_TABLE":
            made, gone = {fields["newname"]}, {fields["relation"]["relname"]}
            of_foreign_type = made if gone <= path.foreign else set()
        case "AlterTableStmt":
            of_foreign_type = {fields["relation"]["relname"]} if foreign else set()
    if foreign:
        of_foreign_type = of_foreign_type | made
    after = replace(path, temporary=path.temporary - gone | made, foreign=path.foreign | of_foreign_type)
    return path if after == path else after
