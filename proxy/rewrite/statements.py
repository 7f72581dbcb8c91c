"""Which statements a governed app may send at all, and what each one changes in the session."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from proxy.catalog.model import SearchPath, Snapshot
from proxy.errors import feature_not_supported, insufficient_privilege, undefined_table
from proxy.policy.table import AppPolicy
from proxy.rewrite.allowed import STATEMENT_KINDS
from proxy.rewrite.catalogs import readable_view
from proxy.rewrite.lex import Node
from proxy.rewrite.result import Effect
from proxy.rewrite.scope import Analysis
from proxy.rewrite.settings import check_search_path, check_setting

_WORDS = {
    "DoStmt": "DO",
    "CallStmt": "CALL",
    "LockStmt": "LOCK TABLE",
    "VacuumStmt": "VACUUM and ANALYZE",
    "AlterRoleStmt": "ALTER ROLE",
    "AlterSystemStmt": "ALTER SYSTEM",
    "ViewStmt": "CREATE VIEW",
    "AlterTableStmt": "ALTER TABLE",
    "RenameStmt": "ALTER ... RENAME",
    "LoadStmt": "LOAD",
}


@dataclass(frozen=True, slots=True)
class Names:
    """What names mean where the statement runs."""

    path: SearchPath
    snapshot: Snapshot


def check_statement(node: Node, app: AppPolicy, names: Names) -> None:
    """Raises the refusal of a statement that is not on the list, or of what a listed one must not hold."""
    ((kind, fields),) = node.items()
    if kind not in STATEMENT_KINDS:
        word = _WORDS.get(kind, kind.removesuffix("Stmt"))
        raise insufficient_privilege(
            f"app {app.name} may not use {word}",
            "Apps use queries, DML, transactions, cursors, prepared statements, COPY, EXPLAIN, LISTEN/NOTIFY, "
            "temp tables and SET; "
            "run migrations and administration as a trusted app.",
        )
    check = _CHECKS.get(kind)
    if check is not None:
        check(fields, app, names)


def _check_inner(fields: Node, app: AppPolicy, names: Names) -> None:
    check_statement(fields["query"], app, names)


def _check_copy(fields: Node, app: AppPolicy, names: Names) -> None:
    if fields.get("filename") or fields.get("is_program"):
        raise insufficient_privilege(
            "COPY to or from a file or program is not allowed", "Use COPY ... TO STDOUT or FROM STDIN."
        )
    if "query" in fields:
        check_statement(fields["query"], app, names)


def _check_create_as(fields: Node, app: AppPolicy, names: Names) -> None:
    if fields.get("objtype") == "OBJECT_MATVIEW":
        raise insufficient_privilege(f"app {app.name} may not use CREATE MATERIALIZED VIEW")
    _only_temporary(fields["into"]["rel"], app)
    check_statement(fields["query"], app, names)


def check_into(nodes: list[tuple[str, Node]], app: AppPolicy) -> None:
    """SELECT INTO makes temp tables only."""
    for kind, node in nodes:
        if kind == "intoClause":
            _only_temporary(node["rel"], app)


def _check_create(fields: Node, app: AppPolicy, names: Names) -> None:
    _only_temporary(fields["relation"], app)
    if not {"inhRelations", "partbound", "ofTypename"}.isdisjoint(fields):
        raise feature_not_supported(
            "a temp table that inherits, or is of a type, is not supported", "List its columns."
        )
    for element in fields.get("tableElts", ()):
        like = element.get("TableLikeClause")
        if like is not None:
            _check_like(like["relation"], app, names)
        constraints = [element, *element.get("ColumnDef", {}).get("constraints", ())]
        if any("pktable" in constraint.get("Constraint", {}) for constraint in constraints):
            raise feature_not_supported("a temp table with a foreign key is not supported", "Leave the key out.")


def _check_like(relation: Node, app: AppPolicy, names: Names) -> None:
    """LIKE copies definitions: of relations that the app has whole."""
    schema, name = relation.get("schemaname"), relation["relname"]
    if names.snapshot.is_temporary(name, schema, names.path):
        return
    found = names.snapshot.resolve(name, schema, names.path)
    if found is None:
        raise undefined_table(f"{schema}.{name}" if schema else name)
    table = app.tables.get(found.key)
    if not (table.plain if table is not None else readable_view(found, app, names.snapshot)):
        raise feature_not_supported(
            f'CREATE TABLE (LIKE {name}) is not supported where the rules hide a part of "{name}" from app {app.name}',
            "List the columns, or use CREATE TEMP TABLE ... AS SELECT ... WITH NO DATA.",
        )


def _only_temporary(relation: Node, app: AppPolicy) -> None:
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


def _check_drop(fields: Node, app: AppPolicy, names: Names) -> None:
    """IF EXISTS may name what is nowhere: the server says so in a notice, and nothing is dropped."""
    if fields.get("removeType") not in ("OBJECT_TABLE", "OBJECT_INDEX"):
        raise insufficient_privilege(f"app {app.name} may drop temp tables only")
    words = [[part["String"]["sval"] for part in item["List"]["items"]] for item in fields["objects"]]
    found = [(parts[-2] if len(parts) > 1 else None, parts[-1]) for parts in words]
    if fields.get("missing_ok"):
        found = [(schema, name) for schema, name in found if names.snapshot.resolve(name, schema, names.path)]
    _check_temporary_names(found, app, names)


def _check_truncate(fields: Node, app: AppPolicy, names: Names) -> None:
    relations = [item["RangeVar"] for item in fields["relations"]]
    _check_temporary_names([(r.get("schemaname"), r["relname"]) for r in relations], app, names)


def _check_index(fields: Node, app: AppPolicy, names: Names) -> None:
    relation = fields["relation"]
    _check_temporary_names([(relation.get("schemaname"), relation["relname"])], app, names)


def _check_set(fields: Node, app: AppPolicy, names: Names) -> None:
    name = fields.get("name", "")
    kind = fields["kind"]
    if kind == "VAR_SET_MULTI":  # SET TRANSACTION and SESSION CHARACTERISTICS; SNAPSHOT needs pg_export_snapshot()
        return
    if kind == "VAR_RESET_ALL":  # back to what the session began with, where the gateway's pins are
        return
    if kind in ("VAR_SET_DEFAULT", "VAR_RESET", "VAR_SET_CURRENT"):
        error = check_setting(name, None)
    else:
        values = [_constant(a) for a in fields.get("args", ())]
        if name == "search_path":
            error = check_search_path([v for v in values if v is not None])
        else:
            error = check_setting(name, values[0] if len(values) == 1 else ", ".join(v or "" for v in values))
    if error is not None:
        raise error


def _constant(node: Node) -> str | None:
    constant = node.get("A_Const") or node.get("TypeCast", {}).get("arg", {}).get("A_Const", {})
    for kind, value in constant.items():
        if kind in ("sval", "fval"):
            return str(value.get(kind, ""))
        if kind == "ival":
            return str(value.get("ival", 0))
        if kind == "boolval":
            return "on" if value.get("boolval") else "off"
    return None


def _check_listen(fields: Node, app: AppPolicy, names: Names) -> None:
    if fields.get("conditionname", "").startswith("consentry"):
        raise insufficient_privilege(f"app {app.name} may not use channel {fields['conditionname']}")


_CHECKS: dict[str, Callable[[Node, AppPolicy, Names], None]] = {
    "ExplainStmt": _check_inner,
    "PrepareStmt": _check_inner,
    "DeclareCursorStmt": _check_inner,
    "CopyStmt": _check_copy,
    "CreateTableAsStmt": _check_create_as,
    "CreateStmt": _check_create,
    "DropStmt": _check_drop,
    "TruncateStmt": _check_truncate,
    "IndexStmt": _check_index,
    "VariableSetStmt": _check_set,
    "ListenStmt": _check_listen,
    "NotifyStmt": _check_listen,
}


def check_explain(node: Node, analysis: Analysis, app: AppPolicy) -> None:
    """A plan's row estimates and counts are of the table before its row policies."""
    if "ExplainStmt" not in node or app.explain:
        return
    if "ExecuteStmt" in node["ExplainStmt"]["query"] and any(table.rows for table in app.tables.values()):
        raise insufficient_privilege(
            f"EXPLAIN EXECUTE would count rows that app {app.name} may not see",
            f"Use EXPLAIN of the statement itself. The rules can allow both: explain: allow at app {app.name}.",
        )
    for reference in analysis.references:
        if reference.view is not None:
            raise insufficient_privilege(
                f'EXPLAIN would show the definition of view "{reference.name}"',
                f"The rules can let it: explain: allow at app {app.name}.",
            )
        if any(table.rows for table in reference.governed):
            raise insufficient_privilege(
                f'EXPLAIN would count rows of relation "{reference.name}" that app {app.name} may not see',
                f"The rules can let it: explain: allow at app {app.name}.",
            )


def _makes_table(select: Node) -> bool:
    """SELECT INTO; in a set operation the leftmost arm has it."""
    while "larg" in select:
        select = select["larg"]
    return "intoClause" in select


def effects_of(node: Node) -> tuple[Effect, ...]:
    """What the session must note when the statement runs."""
    ((kind, fields),) = node.items()
    match kind:
        case "VariableSetStmt":
            if fields["kind"] == "VAR_RESET_ALL" or fields.get("name") == "search_path":
                return (Effect("search_path"),)
            if fields.get("name") == "client_encoding":
                return (Effect("encoding"),)
        case "CreateTableAsStmt" | "CreateStmt" | "DropStmt":
            return (Effect("temporary"),)
        case "SelectStmt":
            if _makes_table(fields):
                return (Effect("temporary"),)
        case "DiscardStmt":
            return (Effect("discard"),)
        case "PrepareStmt":
            return (Effect("prepare", fields["name"]),)
        case "DeallocateStmt":
            return (Effect("deallocate", fields.get("name")),)
        case "CopyStmt":
            return (Effect("copy_in" if fields.get("is_from") else "copy_out"),)
    return ()
