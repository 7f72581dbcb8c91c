"""What statements read that pass as they are: those of trusted apps, and of apps in mode `monitor`. For audit records.

Nothing is refused here and nothing changed: where it cannot be told what a statement reads, that is what is said.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Final

from proxy.catalog.model import SearchPath, Snapshot
from proxy.errors import PgError
from proxy.policy.table import AppPolicy, CompiledRules
from proxy.rewrite.context import Context
from proxy.rewrite.lex import Node, Tokens
from proxy.rewrite.passes import Passes, Sent
from proxy.rewrite.result import Disclosure
from proxy.rewrite.scope import SYSTEM_SCHEMAS, Reference, every_node
from proxy.rewrite.settings import CHANGE_NAMES

log = logging.getLogger(__name__)

_READING: Final = frozenset(
    "SelectStmt InsertStmt UpdateStmt DeleteStmt MergeStmt CopyStmt ExplainStmt PrepareStmt DeclareCursorStmt "
    "CreateTableAsStmt".split()
)
_OPAQUE: Final = {"DoStmt": "a DO block", "CallStmt": "a procedure"}
# They hold values of columns, or texts of statements.
_TELLING: Final = frozenset(
    "pg_statistic pg_stats pg_stats_ext pg_stats_ext_exprs pg_statistic_ext_data pg_largeobject "
    "pg_stat_activity".split()
)
_NO_TOKENS: Final = Tokens("")  # nothing is placed in the text
_LOST: Final = SearchPath(("pg_catalog",), unsure="names")


@dataclass(frozen=True, slots=True)
class Seen:
    """What one statement reads. `unknown`: why it may be more. `unsettles`: it may change what names mean."""

    disclosed: tuple[Disclosure, ...] = ()
    unknown: str | None = None
    unsettles: bool = False


class Observer:
    """Looks at statements of one app."""

    def __init__(self, app: AppPolicy, rules: CompiledRules, snapshot: Snapshot) -> None:
        tables = rules.whole_tables
        # Relations that nobody listed, and that show the rows of children which the rules govern.
        self._parents = {oid for key in tables if key in snapshot.relations for oid in snapshot.relations[key].parents}
        whole = AppPolicy(
            app.name,
            app.label,
            app.kind,
            app.purpose,
            app.logins,
            tables=tables,
            unlisted_tables="open",
            views={} if rules.profile is None else {rules.profile.relation: ()},
        )
        self._passes = Passes(whole, False, snapshot, every_view=True)

    def look(self, statements: list[Node], path: SearchPath, parameter_types: tuple[int, ...] = ()) -> list[Seen]:
        """One for each statement of a text, as `lex.parse` gives them. Never raises."""
        found: list[Seen] = []
        for parsed in statements:
            here = _LOST if path.unsure == "names" or any(one.unsettles for one in found) else path
            if path.unsure == "text":
                seen = Seen(unknown="how its text is read: standard_conforming_strings is off")
            else:
                seen = self._safely(Sent("", b"", _NO_TOKENS, parsed["stmt"], here, parameter_types))
            found.append(seen)
        return found

    def _safely(self, sent: Sent) -> Seen:
        try:
            return self._see(sent)
        except PgError as error:
            calls = any(kind == "FuncCall" for kind, _ in every_node(sent.statement))
            return Seen(unknown=_told(error), unsettles=calls or _makes_temporary(sent.statement))
        except RecursionError:
            return Seen(unknown="what it reads: it is too deep to be looked at", unsettles=True)
        except Exception:
            log.exception("it could not be told what a statement reads that passes as it is")
            return Seen(unknown="what it reads: the gateway could not look at it", unsettles=True)

    def _see(self, sent: Sent) -> Seen:
        ((kind, fields),) = sent.statement.items()
        if kind in _OPAQUE:
            return Seen(unknown=f"what {_OPAQUE[kind]} reads", unsettles=True)
        if kind not in _READING:
            return Seen(unsettles=_sets_names(kind, fields))
        context, refused = self._passes.reads(sent)
        for reference in context.analysis.references:
            if reference.role == "copy_to":
                _disclose_copied(context, reference)
            elif reference.view is not None:
                context.disclosed |= dict.fromkeys(reference.view.disclosed)
        unsettles = context.unsettles or _makes_temporary(sent.statement) or _configures(context)
        return Seen(tuple(context.disclosed), self._unknown(context, refused), unsettles)

    def _unknown(self, context: Context, refused: PgError | None) -> str | None:
        """Why the statement may read more than its columns say."""
        analysis = context.analysis
        for node in analysis.unknown:
            if context.path.unsure:
                return f'what "{node["relname"]}" means: search_path or temp relations have changed in this session'
            return f'what "{node["relname"]}" is: it was not in the catalog when that was last looked at'
        for node in analysis.unvisited:
            return f'what "{node["relname"]}" is where it stands'
        for reference in analysis.references:
            relation = reference.relation
            if relation is None:
                return f'what temp relation "{reference.name}" holds'
            if reference.view is not None and reference.view.refusal is not None:
                return f'what view "{reference.name}" reads'
            if relation.schema in SYSTEM_SCHEMAS and relation.name in _TELLING:
                return f"what {relation.name} tells of values"
            if relation.schema == "pg_toast" or (relation.oid in self._parents and reference.table is None):
                return f'what "{reference.name}" shows of tables that the rules govern'
            if relation.rules and reference.role == "target":
                return f'what the rules (CREATE RULE) of "{reference.name}" read'
        return None if refused is None else _told(refused)


def _told(error: PgError) -> str:
    if error.sqlstate == "42883":
        return "what a function reads that was not in the catalog when that was last looked at"
    what = error.message.removeprefix("permission denied for ")
    return f"what it reads by {what}" if what != error.message else f"what it reads: {error.message}"


def _disclose_copied(context: Context, reference: Reference) -> None:
    """COPY t TO."""
    names = [item["String"]["sval"] for item in (reference.statement or {}).get("attlist", ())]
    for column in reference.columns:
        if not names or column.name in names:
            context.disclose(column)


def _sets_names(kind: str, fields: Node) -> bool:
    """Whether a statement that reads nothing changes what names mean in its session."""
    if kind == "VariableSetStmt":
        return fields["kind"] == "VAR_RESET_ALL" or fields.get("name") in CHANGE_NAMES
    about = (fields.get("removeType"), fields.get("renameType"), fields.get("objtype"))
    return kind in ("DiscardStmt", "CreateSchemaStmt") or "OBJECT_SCHEMA" in about or _makes_temporary({kind: fields})


def _makes_temporary(statement: Node) -> bool:
    return any(node.get("relpersistence") == "t" for _, node in every_node(statement))


def _configures(context: Context) -> bool:
    """Whether it calls set_config() for what changes names."""
    for call in context.analysis.functions:
        if call["funcname"][-1]["String"]["sval"] == "set_config":
            (name, *_) = call.get("args") or [{}]
            value = name.get("A_Const", {}).get("sval", {}).get("sval")
            if value is None or value.lower() in CHANGE_NAMES:
                return True
    return False
