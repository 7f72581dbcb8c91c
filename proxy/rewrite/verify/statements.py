"""The proof: a text that is about to be sent means what the app's text means, and discloses what the app may see.

It shares no code with the rewriter, only data and docs/reference/governed-form.md. Both texts are parsed by
PostgreSQL's own grammar (libpg_query), and both trees are walked side by side: all must be equal but for the edits
that this module demands by its own reading of the app's text. What it does not know, it refuses.
"""

from __future__ import annotations

from proxy.catalog.model import SearchPath, Snapshot
from proxy.errors import feature_not_supported, insufficient_privilege
from proxy.policy.table import AppPolicy
from proxy.rewrite.result import SystemCatalog
from proxy.rewrite.verify.definitions import DEFINITIONS, check_definition, note_effects
from proxy.rewrite.verify.explained import why_not_explained
from proxy.rewrite.verify.form import Forms
from proxy.rewrite.verify.names import Names
from proxy.rewrite.verify.rights import Rights
from proxy.rewrite.verify.settings import check_set
from proxy.rewrite.verify.tree import Node, every_part, parse
from proxy.rewrite.verify.walk import Walk

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

    def check_explained(self, statement: Node, path: SearchPath, types: tuple[int, ...]) -> None:
        """Refuses an EXPLAIN whose plan would name what is hidden, or show how columns are made.

        The rewriter asks, too, before it looks at names: the refusal must not depend on them.
        """
        app, explain = self._rights.app, statement["ExplainStmt"]
        if app.explain:
            return
        options = [option["DefElem"] for option in explain.get("options", ())]
        asked = frozenset(one["defname"] for one in options if one.get("arg", {}) not in _OFF)
        told = why_not_explained(explain["query"], asked, path, types, self._rights, self._forms)
        if told is not None:
            raise insufficient_privilege(
                f"EXPLAIN would {told}", f"The rules can let it: explain: allow at app {app.name}."
            )

    def prove(self, sent: list[Node], got: list[Node], path: SearchPath, parameter_types: tuple[int, ...] = ()) -> None:
        """`verify` of the texts' trees."""
        if len(sent) != len(got):
            raise feature_not_supported("the rewritten text has another number of statements")
        names = Names(self._rights, path)
        app = self._rights.app
        for before, after in zip(sent, got, strict=True):
            try:
                self._statement(before, after, names, parameter_types)
            except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
                raise feature_not_supported(f"the statement's tree is not as expected ({error!r})") from error
            note_effects(before, names, app)

    def _statement(self, before: Node, after: Node, names: Names, types: tuple[int, ...]) -> None:
        ((kind, body),) = before.items()
        if list(after) != [kind]:
            raise feature_not_supported(f"{kind} became another statement")
        app = self._rights.app
        inner = body["query"] if kind in _WRAPPERS or (kind == "CopyStmt" and "query" in body) else before
        if kind == "PrepareStmt" and "argtypes" in body:
            types = (-1,) * len(body["argtypes"])
        if "ExecuteStmt" in inner and names.changed:
            raise feature_not_supported(
                "EXECUTE behind a statement that changes what names mean", "Send the statements separately."
            )
        parts = every_part(inner)
        names.begin(parts if inner is before else every_part(before), types)
        walk = Walk(self._rights, self._forms, names, inner, parts, types, locking=False)
        walk.told = kind in ("ExplainStmt", "PrepareStmt") or app.explain
        walk.by_itself = inner is before
        if kind in _QUERIES:
            walk.query(before, after, None, {})
        elif kind in _WRAPPERS:
            if kind == "CreateTableAsStmt":
                names.rights.check_made(body["into"]["rel"])
                if body.get("objtype") != "OBJECT_TABLE":
                    raise insufficient_privilege(f"app {app.name} may not create a materialized view")
            if kind == "PrepareStmt" and names.changed:
                raise feature_not_supported(
                    "PREPARE behind a statement that changes what names mean", "Send the statements separately."
                )
            if next(iter(inner)) not in _QUERIES | {"ExecuteStmt"}:
                raise insufficient_privilege(f"app {app.name} may not use {kind} of that statement")
            walk.wrapper(kind, body, after[kind])
            if kind == "ExplainStmt" and not app.explain:
                self._check_explain(body, inner, walk)
                self.check_explained(before, names.path, types)
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
        elif kind in DEFINITIONS:
            check_definition(kind, body, app, names)
            walk.alike(kind, body, after[kind])
        else:
            raise insufficient_privilege(f"app {app.name} may not use {kind}")

    def _check_explain(self, body: Node, inner: Node, walk: Walk) -> None:
        """A plan shows the definitions of views and counts rows; with ANALYZE, what documents were made of; with
        VERBOSE, the names of what a form leaves out; with WAL, how large the pages are that have it.
        """
        counted = walk.row_policies or "ExecuteStmt" in inner  # what was prepared is not looked at
        for option in body.get("options", ()):
            name, value = option["DefElem"]["defname"], option["DefElem"].get("arg", {})
            if value in _OFF:
                continue
            counted = counted or (name == "analyze" and walk.documents) or (name in _TELLING and walk.governed)
        if counted or walk.views or walk.catalogs:
            raise insufficient_privilege("EXPLAIN would tell of rows, names or definitions that the app may not see")


_TELLING = frozenset({"verbose", "wal"})
_OFF: tuple[Node, ...] = ({"Integer": {}}, {"String": {"sval": "off"}}, {"String": {"sval": "false"}})
