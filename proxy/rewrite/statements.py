"""Which statements a governed app may send at all, and what each one changes in the session."""

from __future__ import annotations

from collections.abc import Callable

from proxy.errors import insufficient_privilege
from proxy.policy.table import AppPolicy
from proxy.rewrite.allowed import STATEMENT_KINDS
from proxy.rewrite.definitions import (
    Names,
    check_alter,
    check_comment,
    check_create,
    check_drop,
    check_index,
    check_rename,
    check_truncate,
    check_vacuum,
    only_temporary,
)
from proxy.rewrite.lex import Node
from proxy.rewrite.result import Effect, SystemCatalog
from proxy.rewrite.scope import Analysis
from proxy.rewrite.settings import CHANGE_NAMES, check_search_path, check_setting

_WORDS = {
    "DoStmt": "DO",
    "CallStmt": "CALL",
    "LockStmt": "LOCK TABLE",
    "AlterRoleStmt": "ALTER ROLE",
    "AlterSystemStmt": "ALTER SYSTEM",
    "ViewStmt": "CREATE VIEW",
    "LoadStmt": "LOAD",
}


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
    only_temporary(fields["into"]["rel"], app)
    check_statement(fields["query"], app, names)


def takes_role_back(fields: Node) -> bool:
    """Whether a SET or RESET makes the session's login the role again, as DISCARD ALL does."""
    if fields.get("name") not in ("role", "session_authorization"):
        return False
    if fields["kind"] in ("VAR_RESET", "VAR_SET_DEFAULT"):
        return True
    return fields["name"] == "role" and [_constant(value) for value in fields.get("args", ())] == ["none"]


def check_into(nodes: list[tuple[str, Node]], app: AppPolicy) -> None:
    """SELECT INTO makes temp tables only."""
    for kind, node in nodes:
        if kind == "intoClause":
            only_temporary(node["rel"], app)


def _check_set(fields: Node, app: AppPolicy, names: Names) -> None:
    name = fields.get("name", "")
    kind = fields["kind"]
    if kind == "VAR_SET_MULTI":  # SET TRANSACTION and SESSION CHARACTERISTICS; SNAPSHOT needs pg_export_snapshot()
        return
    if kind == "VAR_RESET_ALL":  # back to what the session began with, where the gateway's pins are
        return
    if takes_role_back(fields):
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
    "CreateStmt": check_create,
    "DropStmt": check_drop,
    "TruncateStmt": check_truncate,
    "IndexStmt": check_index,
    "AlterTableStmt": check_alter,
    "RenameStmt": check_rename,
    "CommentStmt": check_comment,
    "VacuumStmt": check_vacuum,
    "VariableSetStmt": _check_set,
    "ListenStmt": _check_listen,
    "NotifyStmt": _check_listen,
}


def check_explain(node: Node, analysis: Analysis, app: AppPolicy, system: SystemCatalog) -> None:
    """A plan's row estimates and counts are of the table before its row policies; ANALYZE counts what a document was
    made of; VERBOSE names the columns that a scan gives, hidden ones and masks too; WAL has the size of whole pages.
    """
    if "ExplainStmt" not in node or app.explain:
        return
    options = {option["DefElem"]["defname"] for option in node["ExplainStmt"].get("options", ()) if _is_on(option)}
    analyzed = "analyze" in options
    if "ExecuteStmt" in node["ExplainStmt"]["query"]:  # what was prepared is not looked at
        raise insufficient_privilege(
            f"EXPLAIN EXECUTE would count rows that app {app.name} may not see",
            f"Use EXPLAIN of the statement itself. The rules can allow both: explain: allow at app {app.name}.",
        )
    for reference in analysis.references:
        if reference.relation is not None and reference.relation.key in system.forms:
            raise insufficient_privilege(
                f'EXPLAIN would show what is kept out of system relation "{reference.name}"',
                f"The rules can let it: explain: allow at app {app.name}.",
            )
        if reference.view is not None:
            raise insufficient_privilege(
                f'EXPLAIN would show the definition of view "{reference.name}"',
                f"The rules can let it: explain: allow at app {app.name}.",
            )
        hiding = dict.fromkeys(row.policy.name for table in reference.governed for row in table.rows)
        if hiding:
            raise insufficient_privilege(
                f'EXPLAIN would count rows of relation "{reference.name}" that app {app.name} may not see',
                f"The rules can let it: explain: allow at app {app.name}.",
                policies=tuple(hiding),
            )
        if analyzed and any(table.makes_documents for table in reference.governed):
            raise insufficient_privilege(
                f'EXPLAIN ANALYZE would count what is hidden in documents of relation "{reference.name}"',
                f"EXPLAIN without ANALYZE does not. The rules can let it: explain: allow at app {app.name}.",
            )
        for option, would in _TELLING.items():
            if option in options and not all(table.plain for table in reference.governed):
                raise insufficient_privilege(
                    f'EXPLAIN ({option.upper()}) would {would} of relation "{reference.name}"',
                    f"EXPLAIN without {option.upper()} does not. "
                    f"The rules can let it: explain: allow at app {app.name}.",
                )


_TELLING = {"verbose": "name what is hidden", "wal": "tell the size of what is hidden"}


def _is_on(option: Node) -> bool:
    """Whether an option of EXPLAIN is asked for, as far as it can be told."""
    argument = option["DefElem"].get("arg", {})
    if "Integer" in argument:
        return bool(argument["Integer"].get("ival", 0))
    return argument.get("String", {}).get("sval", "").lower() not in ("off", "false")


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
            if fields["kind"] == "VAR_RESET_ALL" or fields.get("name") in CHANGE_NAMES:
                return (Effect("search_path"),)
            if fields.get("name") == "client_encoding":
                return (Effect("encoding"),)
        case "CreateTableAsStmt" | "CreateStmt" | "DropStmt" | "RenameStmt" | "AlterTableStmt":
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
