"""Definitions of temp tables, and what a statement changes for those behind it in the same text."""

from __future__ import annotations

from typing import Any

from proxy.errors import feature_not_supported, insufficient_privilege
from proxy.policy.table import AppPolicy
from proxy.rewrite.allowed import TEMP_TABLE_CHANGES
from proxy.rewrite.verify.names import Names
from proxy.rewrite.verify.tree import Node

DEFINITIONS = frozenset(
    "CreateStmt IndexStmt TruncateStmt DropStmt AlterTableStmt RenameStmt CommentStmt VacuumStmt".split()
)
_CHANGE_NAMES = ("search_path", "role", "session_authorization")  # "$user" in the path is the role
# These take back nothing that was done before them.
_OPENING = frozenset(("TRANS_STMT_BEGIN", "TRANS_STMT_START", "TRANS_STMT_SAVEPOINT", "TRANS_STMT_RELEASE"))


def check_definition(kind: str, body: Node, app: AppPolicy, names: Names) -> None:
    """Raises PgError where a statement defines anything but a temp table."""
    if kind == "CreateStmt":
        names.rights.check_made(body["relation"])
        if "inhRelations" in body or "partbound" in body:
            raise feature_not_supported("a temp table that inherits is not supported")
        return
    for name, schema in _named(kind, body, app, names):
        if kind == "DropStmt" and body.get("missing_ok") and names.nowhere(name, schema):
            continue
        if not names.is_temporary(name, schema):
            raise insufficient_privilege(f'app {app.name} may change temp tables only, and "{name}" is none')


def _named(kind: str, body: Node, app: AppPolicy, names: Names) -> list[tuple[str, str | None]]:
    """The names of what a statement changes."""
    match kind:
        case "DropStmt":
            if body["removeType"] not in ("OBJECT_TABLE", "OBJECT_INDEX"):
                raise insufficient_privilege(f"app {app.name} may drop temp tables only")
            words = [[part["String"]["sval"] for part in item["List"]["items"]] for item in body["objects"]]
            return [(parts[-1], parts[-2] if len(parts) > 1 else None) for parts in words]
        case "CommentStmt":
            parts = [part["String"]["sval"] for part in body["object"]["List"]["items"]]
            if body["objtype"] not in ("OBJECT_TABLE", "OBJECT_COLUMN"):
                raise insufficient_privilege(f"app {app.name} may comment on temp tables only")
            table = parts if body["objtype"] == "OBJECT_TABLE" else parts[:-1]
            return [(table[-1], table[-2] if len(table) > 1 else None)] if table else []
        case "TruncateStmt":
            relations = [item["RangeVar"] for item in body["relations"]]
        case "VacuumStmt":
            relations = [item["VacuumRelation"]["relation"] for item in body.get("rels", ())]
            if not relations:
                raise insufficient_privilege(f"app {app.name} may not vacuum or analyze every table")
        case _:
            relations = [body["relation"]]
    if kind == "AlterTableStmt":
        subtypes = {command["AlterTableCmd"]["subtype"] for command in body["cmds"]}
        if body["objtype"] != "OBJECT_TABLE" or not subtypes <= TEMP_TABLE_CHANGES:
            raise insufficient_privilege(f"app {app.name} may not use this form of ALTER TABLE")
    elif kind == "RenameStmt":
        if body["renameType"] != "OBJECT_TABLE" and body.get("relationType") != "OBJECT_TABLE":
            raise insufficient_privilege(f"app {app.name} may rename temp tables and their columns only")
        names.rights.check_name(body["newname"])
    return [(relation["relname"], relation.get("schemaname")) for relation in relations]


def note_effects(statement: Node, names: Names, app: AppPolicy) -> None:
    """What the statement changes for the ones after it in the same text. (Where it fails, those do not run.)"""
    ((kind, body),) = statement.items()
    if names.unsettled:
        names.take_back(everything=True)
    made: Any = None
    if kind == "CreateStmt":
        made = body["relation"]  # with IF NOT EXISTS too: a temp table of the name is there, before or since
    elif kind == "CreateTableAsStmt":
        made = body["into"]["rel"]
    elif kind == "SelectStmt":
        while "larg" in body:
            body = body["larg"]
        made = body.get("intoClause", {}).get("rel")
    elif kind == "VariableSetStmt" and (body["kind"] == "VAR_RESET_ALL" or body.get("name") in _CHANGE_NAMES):
        if body["kind"] == "VAR_SET_VALUE" and body["name"] == "search_path":
            names.assume(_schemas(body["args"], app))
        else:
            names.path_changed = True
    elif kind == "DropStmt":
        for item in body["objects"]:
            names.dropped_temporary(item["List"]["items"][-1]["String"]["sval"])
    elif kind == "RenameStmt" and body["renameType"] == "OBJECT_TABLE":
        names.renamed_temporary(body["relation"]["relname"], body["newname"])
    elif kind == "AlterTableStmt":
        names.altered_temporary(body["relation"]["relname"])
    elif kind == "DiscardStmt" or (kind == "TransactionStmt" and body["kind"] not in _OPENING):
        names.take_back(everything=kind == "DiscardStmt")
    if made is not None:
        names.made_temporary(made["relname"])


def _schemas(arguments: list[Node], app: AppPolicy) -> list[str]:
    """The schemas of SET search_path; `$user` is one of the app's logins, for it may not become another role."""
    schemas: list[str] = []
    for argument in arguments:
        name: str = argument["A_Const"]["sval"].get("sval", "")
        schemas += app.logins if name == "$user" else [name]
    return schemas
