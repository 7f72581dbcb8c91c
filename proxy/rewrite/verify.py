"""The proof: a text that is about to be sent means what the app's text means, and discloses what the app may see.

It shares no code with the rewriter, only data and docs/reference/governed-form.md. Both texts are parsed by
PostgreSQL's own grammar (libpg_query), and both trees are walked side by side: all must be equal but for the edits
that this module demands by its own reading of the app's text. What it does not know, it refuses.
"""

from __future__ import annotations

from typing import Any

from proxy.catalog.model import SearchPath, Snapshot
from proxy.errors import feature_not_supported, insufficient_privilege
from proxy.policy.table import AppPolicy
from proxy.rewrite.result import SystemCatalog
from proxy.rewrite.verify_form import Forms
from proxy.rewrite.verify_leak import Parameters
from proxy.rewrite.verify_names import Names, Rights
from proxy.rewrite.verify_settings import check_set
from proxy.rewrite.verify_tree import Node, holds, parse
from proxy.rewrite.verify_walk import Walk

_PLAIN_KINDS = frozenset(
    """
    ExecuteStmt DeallocateStmt FetchStmt ClosePortalStmt TransactionStmt ConstraintsSetStmt VariableShowStmt
    DiscardStmt UnlistenStmt
    """.split()
)
_QUERIES = frozenset({"SelectStmt", "InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt"})
_WRAPPERS = frozenset({"ExplainStmt", "PrepareStmt", "DeclareCursorStmt", "CreateTableAsStmt"})


class Verifier:
    """Proves texts of one app under one catalog."""

    def __init__(self, app: AppPolicy, snapshot: Snapshot, system: SystemCatalog) -> None:
        self._rights = Rights(app, snapshot, system)
        self._forms = Forms(app, snapshot)

    def verify(self, original: str, final: str, path: SearchPath, parameter_types: tuple[int, ...] = ()) -> None:
        """Raises PgError (42501, 0A000, 42P01 ...) naming what could not be proved of `final`, sent for `original`."""
        sent = parse(original)
        self.prove(sent, sent if final == original else parse(final), path, parameter_types)

    def prove(self, sent: list[Node], got: list[Node], path: SearchPath, parameter_types: tuple[int, ...] = ()) -> None:
        """`verify` of the texts' trees."""
        if len(sent) != len(got):
            raise feature_not_supported("the rewritten text has another number of statements")
        names = Names(self._rights, path)
        for before, after in zip(sent, got, strict=True):
            try:
                self._statement(before, after, names, parameter_types)
            except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
                raise feature_not_supported(f"the statement's tree is not as expected ({error!r})") from error
            _note_effects(before, names)

    def _statement(self, before: Node, after: Node, names: Names, types: tuple[int, ...]) -> None:
        ((kind, body),) = before.items()
        if list(after) != [kind]:
            raise feature_not_supported(f"{kind} became another statement")
        app = self._rights.app
        inner = body["query"] if kind in _WRAPPERS or (kind == "CopyStmt" and "query" in body) else before
        if kind == "PrepareStmt" and "argtypes" in body:
            types = (-1,) * len(body["argtypes"])
        if "ExecuteStmt" in inner and (names.path_changed or names.temporary_changed or names.unsure):
            raise feature_not_supported(
                "EXECUTE behind a statement that changes what names mean", "Send the statements separately."
            )
        names.begin(before, types)
        walk = Walk(self._rights, self._forms, names, inner, Parameters(types, inner), holds(before, "lockingClause"))
        if kind in _QUERIES:
            walk.query(before, after, None, {})
        elif kind in _WRAPPERS:
            if kind == "CreateTableAsStmt":
                names.rights.check_made(body["into"]["rel"])
                if body.get("objtype") != "OBJECT_TABLE":
                    raise insufficient_privilege(f"app {app.name} may not create a materialized view")
            if kind == "PrepareStmt" and (names.created or names.unsure):
                raise feature_not_supported(
                    "PREPARE behind a statement that makes a temp table", "Send the statements separately."
                )
            if next(iter(inner)) not in _QUERIES | {"ExecuteStmt"}:
                raise insufficient_privilege(f"app {app.name} may not use {kind} of that statement")
            walk.wrapper(kind, body, after[kind])
            counted = walk.row_policies or ("ExecuteStmt" in inner and self._rights.has_row_policies)
            if kind == "ExplainStmt" and (counted or walk.views) and not app.explain:
                raise insufficient_privilege("EXPLAIN would tell of rows or definitions that the app may not see")
        elif kind == "CopyStmt":
            walk.copy(body, after[kind])
        elif kind in _PLAIN_KINDS:
            walk.alike(kind, body, after[kind])
        elif kind == "VariableSetStmt":
            check_set(body)
            walk.alike(kind, body, after[kind])
        elif kind in ("ListenStmt", "NotifyStmt"):
            if body.get("conditionname", "").startswith("consentry"):
                raise insufficient_privilege(f"app {app.name} may not use this channel")
            walk.alike(kind, body, after[kind])
        elif kind in ("CreateStmt", "IndexStmt", "TruncateStmt", "DropStmt"):
            _check_definition(kind, body, app, names)
            walk.alike(kind, body, after[kind])
        else:
            raise insufficient_privilege(f"app {app.name} may not use {kind}")


def _check_definition(kind: str, body: Node, app: AppPolicy, names: Names) -> None:
    """Definitions of temp tables only."""
    if kind == "CreateStmt":
        names.rights.check_made(body["relation"])
        if "inhRelations" in body or "partbound" in body:
            raise feature_not_supported("a temp table that inherits is not supported")
        return
    found: list[tuple[str, str | None]]
    if kind == "IndexStmt":
        found = [(body["relation"]["relname"], body["relation"].get("schemaname"))]
    elif kind == "TruncateStmt":
        relations = [item["RangeVar"] for item in body["relations"]]
        found = [(relation["relname"], relation.get("schemaname")) for relation in relations]
    else:
        if body["removeType"] not in ("OBJECT_TABLE", "OBJECT_INDEX"):
            raise insufficient_privilege(f"app {app.name} may drop temp tables only")
        words = [[part["String"]["sval"] for part in item["List"]["items"]] for item in body["objects"]]
        found = [(parts[-1], parts[-2] if len(parts) > 1 else None) for parts in words]
    for name, schema in found:
        if kind == "DropStmt" and body.get("missing_ok") and names.nowhere(name, schema):
            continue
        if not names.is_temporary(name, schema):
            raise insufficient_privilege(f'app {app.name} may change temp tables only, and "{name}" is none')


# These take back nothing that was done before them.
_OPENING = frozenset(("TRANS_STMT_BEGIN", "TRANS_STMT_START", "TRANS_STMT_SAVEPOINT", "TRANS_STMT_RELEASE"))


def _note_effects(statement: Node, names: Names) -> None:
    """What the statement changes for the ones after it in the same text."""
    ((kind, body),) = statement.items()
    made: Any = None
    if kind == "CreateStmt":
        made = body["relation"]
    elif kind == "CreateTableAsStmt":
        made = body["into"]["rel"]
    elif kind == "SelectStmt":
        while "larg" in body:
            body = body["larg"]
        made = body.get("intoClause", {}).get("rel")
    elif kind == "VariableSetStmt" and (body["kind"] == "VAR_RESET_ALL" or body.get("name") == "search_path"):
        names.path_changed = True
    elif kind in ("DropStmt", "DiscardStmt") or (
        kind == "TransactionStmt" and body["kind"] not in _OPENING and names.created
    ):
        names.unsure |= names.created
        names.created.clear()
        names.temporary_changed = True
    if made is not None:
        certain = names.path.temporary_first and not body.get("if_not_exists")
        (names.created if certain else names.unsure).add(made["relname"])
        if names.foreign_values:
            names.made_foreign.add(made["relname"])
