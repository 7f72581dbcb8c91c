"""The passes over one statement, in their order, and what they have of one app: its forms, views and catalogs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from proxy.catalog.model import Relation, SearchPath, Snapshot
from proxy.errors import PgError, feature_not_supported, undefined_table
from proxy.policy.names import quote_identifier
from proxy.policy.preferences import OWN_SCHEMA, PREFERENCES
from proxy.policy.table import AppPolicy, GovernedTable
from proxy.rewrite.analyse import analyse
from proxy.rewrite.carried import conditions
from proxy.rewrite.catalog_forms import system_catalog
from proxy.rewrite.catalog_hidden import readable_view
from proxy.rewrite.catalogs import rewrite_catalogs
from proxy.rewrite.comparable import Values
from proxy.rewrite.constraints import check_constraints
from proxy.rewrite.context import Context
from proxy.rewrite.definitions import Names, check_queries
from proxy.rewrite.dml import check_copied_view, rewrite_writes
from proxy.rewrite.fence import Care, Fences
from proxy.rewrite.forms import Form
from proxy.rewrite.functions import check_functions
from proxy.rewrite.lex import Node, Tokens, parse
from proxy.rewrite.result import SystemCatalog
from proxy.rewrite.rows import rewrite_rows
from proxy.rewrite.scope import SYSTEM_SCHEMAS, Analysis, Reference, View
from proxy.rewrite.select import rewrite_reads
from proxy.rewrite.splice import splice
from proxy.rewrite.statements import check_explain, check_into, check_statement
from proxy.rewrite.views import VIEW_PATH, Views

_INNER = "It is Consentry's own: what it holds is in the profile."

CheckExplained = Callable[[Node, SearchPath, tuple[int, ...]], None]


@dataclass(frozen=True, slots=True)
class Sent:
    """One statement, and the text that it stands in: whole, as bytes of UTF-8, and as tokens."""

    text: str
    raw: bytes
    tokens: Tokens
    statement: Node
    path: SearchPath
    parameter_types: tuple[int, ...] = ()


class Passes:
    """What every statement of one app goes through, under one catalog."""

    def __init__(
        self,
        app: AppPolicy,
        hints: bool,
        snapshot: Snapshot,
        *,
        every_view: bool = False,
        system: SystemCatalog | None = None,
    ) -> None:
        """`every_view`: views are looked into though the app may read them as they are. `system`: the system catalogs
        as the app has them, where they have been made.
        """
        self._app = app
        self._hints = hints
        self._snapshot = snapshot
        self._views = Views(app, snapshot, self._check_view, every=every_view)
        self._forms: dict[tuple[str, str], Form] = {}
        self._expanded: dict[tuple[tuple[str, str], bool, bool], str] = {}
        self.system = system or SystemCatalog(frozenset(), {}, {})  # looking at views needs none
        if system is None:
            self.system = system_catalog(app, snapshot, self._views.of)

    def form_of(self, table: GovernedTable) -> Form:
        """The governed form of one relation. Raises ConsentryError where it cannot be built."""
        form = self._forms.get(table.key)
        if form is None:
            relation = self._snapshot.relations[table.key]
            form = self._forms[table.key] = Form(self._app, table, relation, self._snapshot)
        return form

    def views(self) -> list[View]:
        """The views that the rules do not list and that read what they govern, those that are refused too."""
        found = map(self._views.of, self._snapshot.relations.values())
        return [view for view in found if view is not None]

    def view(self, relation: Relation) -> View | None:
        """What the app has of a view; None for what is no such view."""
        return self._views.of(relation)

    def view_text(self, view: View, apart: bool, calm: bool, carried: Sequence[str], values: Values) -> str:
        """The sub-query that stands for a view, parentheses included. `apart`: consent is asked by EXISTS; `calm`:
        nothing in it needs a fence; `carried`: what holds of its rows, in `values` of the statement.
        """
        if carried:  # by constants of the statement's: not kept
            return self._expand(view, apart, calm, carried, values)
        key = (view.relation.key, apart, calm)
        text = self._expanded.get(key)
        if text is None:
            text = self._expanded[key] = self._expand(view, apart, calm)
        return text

    def over(self, sent: Sent, care: Care = Care.NONE, check_explained: CheckExplained | None = None) -> Context:
        """All edits of one statement. Raises PgError, its refusal. `check_explained`: refuses plans that tell more."""
        check_statement(sent.statement, self._app, Names(sent.path, self._snapshot, self.system.hidden_indexes))
        context = self._context(sent, self._analysis(sent))
        if care is not Care.NONE:
            context.calm, context.fences = False, replace(context.fences, care=care)
        check_queries(context.statement, context.position)
        check_into(context.analysis.nodes, self._app)
        self._check_relations(context)
        check_constraints(context)
        check_functions(context)
        check_explain(context.statement, context.analysis, self._app, self.system)
        if "ExplainStmt" in sent.statement and check_explained is not None:
            check_explained(sent.statement, sent.path, sent.parameter_types)
        for use in context.analysis.uses:
            context.disclose_use(use)
        _edit(context)
        return context

    def reads(self, sent: Sent) -> tuple[Context, PgError | None]:
        """What one statement reads, and why that may not be all of it. Changes nothing; raises PgError where its names
        cannot be looked up.
        """
        context = self._context(sent, self._analysis(sent))
        refused: PgError | None = None
        try:
            check_functions(context)
        except PgError as error:
            refused = error
        for use in context.analysis.uses:
            context.disclose_use(use)
        return context, refused

    def _analysis(self, sent: Sent) -> Analysis:
        return analyse(sent.statement, self._snapshot, sent.path, self._app, self._views)

    def _context(self, sent: Sent, analysis: Analysis) -> Context:
        return Context(
            text=sent.text,
            raw=sent.raw,
            tokens=sent.tokens,
            statement=sent.statement,
            analysis=analysis,
            app=self._app,
            snapshot=self._snapshot,
            path=sent.path,
            system=self.system,
            fences=Fences.of(sent.statement, analysis, self._snapshot, sent.path, sent.parameter_types),
            form_of=self.form_of,
            view_text=self.view_text,
            hints=self._hints,
        )

    def _expand(
        self, view: View, apart: bool, calm: bool, carried: Sequence[str] = (), values: Values | None = None
    ) -> str:
        sent = _definition(view.text, parse(view.text)[0]["stmt"])
        context = self._context(sent, self._analysis(sent))
        context.analysis.locking = context.analysis.locking or apart
        context.calm = calm
        if values is not None:
            select = sent.statement["SelectStmt"]
            known = conditions(select, [c.name for c in view.columns if c.action == "show"], carried)
            context.fences = replace(context.fences, values=values, carried={id(select): known})
        try:
            self._check_relations(context, inner=view.relation.key in self._app.views)
            _edit(context)
        except PgError as error:
            message = f'permission denied for view "{view.relation.name}"'
            raise context.refuse(message, error.message, policies=error.policies) from error
        text = splice(view.text, context.edits).text
        if view.relation.barrier and not calm:  # a view with a privilege barrier of its own keeps it
            return f"(SELECT * FROM ({text}) AS {quote_identifier('_v')} OFFSET 0)"
        return f"({text})"

    def _check_view(self, text: str, statement: Node, analysis: Analysis) -> None:
        """Raises the refusal of a view's definition that calls what the app may not."""
        check_functions(self._context(_definition(text, statement), analysis))

    # -- what a statement may name ----------------------------------------------------------------------------------

    def _check_relations(self, context: Context, *, inner: bool = False) -> None:
        """`inner`: it is the definition of a view of Consentry's own."""
        for node in context.analysis.unvisited:
            raise feature_not_supported(
                f'relation "{node["relname"]}" stands where it is not understood',
                position=context.position(node.get("location", 0)),
            )
        unknown = [*context.analysis.unknown, *self._hidden_indexes(context)]
        for node in sorted(unknown, key=lambda node: int(node.get("location", 0))):
            name = ".".join(node[k] for k in ("schemaname", "relname") if k in node)
            raise undefined_table(name, context.position(node.get("location", 0)))
        for reference in context.analysis.references:
            if not inner and reference.relation is not None and reference.relation.key in self._app.inner:
                raise context.refuse(f'permission denied for relation "{reference.name}"', _INNER, reference.start)
            self._check_relation(context, reference)

    @staticmethod
    def _hidden_indexes(context: Context) -> list[Node]:
        relations = [(one.node, one.relation) for one in context.analysis.references if one.relation is not None]
        return [node for node, relation in relations if relation.oid in context.system.hidden_indexes]

    def _check_relation(self, context: Context, reference: Reference) -> None:
        relation, node = reference.relation, reference.node
        if node.get("catalogname", self._snapshot.database) != self._snapshot.database:
            raise feature_not_supported(
                f'cross-database references are not implemented: "{node["catalogname"]}.{reference.name}"',
                position=context.position(reference.start),
            )
        if relation is not None and relation.rules and reference.role == "target":
            raise context.refuse(
                f'permission denied to write relation "{relation.name}"',
                "It has rewrite rules (CREATE RULE), and what they read is not governed: use triggers instead.",
                reference.start,
            )
        if relation is None or reference.table is not None or relation.schema in SYSTEM_SCHEMAS:
            return
        why = None
        if reference.view is not None:
            if reference.view.refusal is None:
                return
            why = reference.view.told or reference.view.refusal
        if not self._readable(relation):
            view = self._views.of(relation) if reference.role in ("copy_to", "copy_from") else None
            if view is not None and view.refusal is None and relation.schema != OWN_SCHEMA:
                check_copied_view(context, reference, view)
            raise context.refuse(
                f'permission denied for relation "{relation.name}"',
                self._unreadable(relation) if why is None else why,
                reference.start,
            )

    def _readable(self, relation: Relation) -> bool:
        if relation.schema.startswith(("pg_toast", "pg_temp")) or relation.kind not in "rpvmf":
            return False
        return readable_view(relation, self._app, self._snapshot)

    def _unreadable(self, relation: Relation) -> str:
        if relation.key == PREFERENCES:
            return "It is for apps that ask consent and that the rules show the customers' keys as they are."
        if relation.schema == OWN_SCHEMA:
            return f"It is Consentry's own, and the rules give app {self._app.name} nothing of it."
        reads = [self._snapshot.by_oid[oid] for oid in relation.reads if oid in self._snapshot.by_oid]
        if any(read.key in self._app.tables for read in reads):
            return f"It reads what the rules govern: list {relation.schema}.{relation.name} with its columns in them."
        return f"The rules do not list {relation.schema}.{relation.name} (defaults: unlisted_tables: deny)."


def _definition(text: str, statement: Node) -> Sent:
    """The definition of a view, as a statement."""
    return Sent(text, text.encode(), Tokens(text), statement, VIEW_PATH)


def _edit(context: Context) -> None:
    rewrite_catalogs(context)
    rewrite_reads(context)
    rewrite_writes(context)
    rewrite_rows(context)
