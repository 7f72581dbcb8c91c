"""Text in, plan out: the walk names -> place -> splice -> prove for one app under one set of rules."""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Final

from postgast import PgQueryError
from postgast import fingerprint as pg_fingerprint
from postgast import normalize as pg_normalize

from proxy.catalog.model import Relation, SearchPath, Snapshot
from proxy.errors import PgError, feature_not_supported
from proxy.policy.profile import SUBJECT
from proxy.policy.table import AppPolicy, CompiledRules
from proxy.rewrite.context import Context
from proxy.rewrite.definitions import names_after
from proxy.rewrite.fence import Care
from proxy.rewrite.forms import Form
from proxy.rewrite.lex import Node, Tokens, extent, parse, with_strings_joined, without_constants
from proxy.rewrite.locate import check_agreement
from proxy.rewrite.observe import Observer, Seen
from proxy.rewrite.passes import Passes, Sent
from proxy.rewrite.profile import chosen_columns, with_profile
from proxy.rewrite.profile_parts import compared_column, named_columns
from proxy.rewrite.result import REFUSED_TEXT, Effect, Plan, StatementInfo
from proxy.rewrite.scope import View
from proxy.rewrite.settings import path_after_set
from proxy.rewrite.spelling import spelled
from proxy.rewrite.splice import Edit, splice
from proxy.rewrite.statements import effects_of
from proxy.rewrite.verify import TakenForGranted, Verifier

log = logging.getLogger(__name__)

LONG: Final = 16_384  # bytes of a text whose trees are large
NARROWER: Final = 32  # sets of the profile's columns for which an app's planner keeps what it plans with


class Planner:
    """Plans texts for one app; shared by all sessions of the app in a worker. What it says of a text never changes."""

    def __init__(self, app: AppPolicy, rules: CompiledRules, snapshot: Snapshot) -> None:
        self.rules = rules
        self.app, self.snapshot = with_profile(app, rules.profile, snapshot)
        self._passes = Passes(self.app, rules.show_hints, self.snapshot)
        self._verifier = Verifier(self.app, self.snapshot, self._passes.system)
        self._observer = Observer(app, rules, snapshot) if app.monitor else None
        self._given = app, snapshot
        # By the profile's columns, and which is looked for.
        self._narrower: dict[tuple[frozenset[str] | None, str | None], tuple[Passes, Verifier]] = {}

    @property
    def hidden_constraints(self) -> Mapping[tuple[str, str, str], bool]:
        """See SystemCatalog."""
        return self._passes.system.hidden_constraints

    def forms(self) -> list[Form]:
        """The governed form of every relation of the app's; PgError where one cannot be built."""
        return [self._passes.form_of(table) for table in self.app.tables.values()]

    def views(self) -> list[View]:
        """What the app has of each view that the rules do not list and that reads what they govern."""
        return self._passes.views()

    def profile(self) -> View | None:
        """What the app has of the unified profile; None where there is none."""
        relation = self._profile_relation()
        return None if relation is None else self._passes.view(relation)

    def plan(
        self, query: bytes, path: SearchPath, parameter_types: tuple[int, ...] = (), encoding: str = "utf-8"
    ) -> Plan:
        """`query` without its zero byte, as the app sent it; never raises for anything the app can send."""
        try:
            text = query.decode(encoding)
        except UnicodeDecodeError as error:
            raised = PgError(f'invalid byte sequence for encoding "{encoding}": {error.reason}', "22021")
            return self._refused(query, "", raised, path, encoding)
        try:
            joined = with_strings_joined(text)
            if joined != text:
                return self.plan(joined.encode(encoding), path, parameter_types, encoding)
            with _collected_later(len(query)):
                for care in (Care.NONE, Care.FENCED, Care.ALONE):
                    with suppress(TakenForGranted):
                        return self._plan(query, text, path, parameter_types, encoding, care)
                return self._plan(query, text, path, parameter_types, encoding, Care.BARE)
        except PgError as error:
            return self._refused(query, text, error, path, encoding)
        except RecursionError:
            return self._refused(query, text, PgError("stack depth limit exceeded", "54001"), path, encoding)
        except Exception:
            log.exception(
                "a statement could not be rewritten (app %s, fingerprint %s)", self.app.name, fingerprint(text)
            )
            hint = "The gateway's log has the details; please report the statement."
            raised = feature_not_supported("the statement could not be rewritten", hint)
            return self._refused(query, text, raised, path, encoding)

    def _plan(
        self,
        query: bytes,
        text: str,
        path: SearchPath,
        parameter_types: tuple[int, ...],
        encoding: str,
        care: Care,
    ) -> Plan:
        statements = parse(text)
        passes, verifier = self._over(text, statements)
        found = Tokens(text)
        raw = text.encode()
        edits: list[Edit] = []
        contexts = []
        begun = path
        known = True
        for number, statement in enumerate(statements):
            if "PrepareStmt" in statement["stmt"] and path is not begun:
                raise feature_not_supported(
                    "PREPARE must not come after a statement of the same query that changes what names mean",
                    "Send it separately.",
                )
            if not known and not _means_the_same(statement["stmt"], self.snapshot):
                raise feature_not_supported(
                    "a statement that takes search_path back must be the last of its query",
                    "Send the next statements separately.",
                )
            sent = Sent(text, raw, found, statement["stmt"], path, parameter_types)
            context = passes.over(sent, care, verifier.check_explained)
            if path.schemas is not begun.schemas:
                _check_certain(context)
            if context.edits:
                check_agreement(found, context.statement, context.analysis.nodes, *extent(statement, raw))
            edits += context.edits
            contexts.append(context)
            after = self._path_after(context, path, begun, last=number == len(statements) - 1)
            known = known and after is not None
            path = after or path
        if encoding != "utf-8":
            edits = [replace(edit, text=spelled(edit.text, encoding)) for edit in edits]
        spliced = splice(text, edits)
        verifier.verify(text, spliced.text, contexts[0].path if contexts else path, parameter_types)
        rewritten = bool(edits)
        infos = tuple(self._info(c, statement, raw) for c, statement in zip(contexts, statements, strict=True))
        if self._observer is not None:
            seen = self._observer.look(statements, begun, parameter_types)
            infos = tuple(replace(_observed(i, one), would=i.disclosed) for i, one in zip(infos, seen, strict=True))
        shown = self.app.monitor or not rewritten
        return Plan(
            text=query if shown else spliced.text.encode(encoding),
            original=query,
            rewritten=not shown,
            statements=infos,
            splices=() if shown else spliced.stretches,
            scrub=not self.app.monitor and self.app.hides_anything and any(map(_touches_hidden, contexts)),
            whole=frozenset(key for context in contexts for key in _whole_targets(context)),
            guessing=any(r.role != "read" and r.rewrites for c in contexts for r in c.analysis.references),
            shape="" if shown else self._shape(contexts),
            effects=tuple(effect for info in infos for effect in info.effects),
            edits=() if shown else tuple(edits),
        )

    def _over(self, text: str, statements: list[Node]) -> tuple[Passes, Verifier]:
        """What statements are planned and proved with; where they read the profile, under one of the columns named, by
        which a value that they compare can be looked up.
        """
        relation = self._profile_relation()
        if relation is None or relation.name not in text.lower():  # most texts: nothing of their trees is looked at
            return self._passes, self._verifier
        assert self.rules.profile is not None
        view, named = self._passes.view(relation), None
        if view is not None and view.shows(SUBJECT):
            named = named_columns(statements, relation, self.snapshot)
        sought = compared_column(statements, relation, chosen_columns(self.rules.profile))
        if named is None and sought is None:
            return self._passes, self._verifier
        key = named, sought
        if key not in self._narrower:
            app, snapshot = with_profile(self._given[0], self.rules.profile, self._given[1], named, sought)
            passes = Passes(app, self.rules.show_hints, snapshot, system=self._passes.system)
            if len(self._narrower) == NARROWER:
                del self._narrower[next(iter(self._narrower))]
            self._narrower[key] = passes, Verifier(app, snapshot, passes.system)
        return self._narrower[key]

    def _profile_relation(self) -> Relation | None:
        """The profile as the app has it."""
        key = None if self.rules.profile is None else self.rules.profile.relation
        return None if key is None or key not in self.app.views else self.snapshot.relations.get(key)

    def _path_after(self, context: Context, path: SearchPath, begun: SearchPath, *, last: bool) -> SearchPath | None:
        """What names mean for the next statement of the same text; None where it is not in the text. `begun`: what they
        meant before the text.
        """
        if last:
            return path
        statement = context.statement
        ((kind, fields),) = statement.items()
        if kind == "TransactionStmt" and path is not begun and fields["kind"] not in _OPENING:
            raise feature_not_supported(
                "a statement that ends a transaction in which search_path or temp tables changed must be the last of "
                "its query",
                "Send the next statements separately.",
            )
        if context.unsettles:
            raise feature_not_supported(
                "a statement that calls a function which may change search_path or temp tables must be the last of its "
                "query",
                "Send the next statements separately.",
            )
        if any(effect.kind in ("search_path", "discard") for effect in effects_of(statement)):
            return path_after_set(fields, path, self.app, self.snapshot)
        after = names_after(statement, path, context.foreign_values)
        if after is not path and not path.temporary_first:
            raise feature_not_supported(
                "a temp table must be made by a query of its own where search_path has pg_temp behind a schema",
                "Send the next statements separately.",
            )
        return after

    def _info(self, context: Context, statement: Node, raw: bytes) -> StatementInfo:
        begin, end = extent(statement, raw)
        return _describe(raw[begin:end].decode(), context.statement, context)

    def _shape(self, contexts: list[Context]) -> str:
        """The columns of what is read, for statements whose result has them by `*` or a row."""
        parts = []
        for context in contexts:
            for reference in context.analysis.references:
                if reference.relation is not None and reference.columns:
                    names = ",".join(c.name for c in reference.columns if c.action in ("show", "mask"))
                    parts.append(f"{reference.relation.schema}.{reference.relation.name}({names})")
        return ";".join(sorted(parts))

    def _refused(self, query: bytes, text: str, error: PgError, path: SearchPath, encoding: str) -> Plan:
        if self._observer is not None:
            seen = describe(query, self._observer, path, encoding=encoding)
            infos = tuple(replace(info, would=(), policies=error.policies) for info in seen)
            effects = tuple(effect for info in infos for effect in info.effects)
            return Plan(query, query, False, infos, refused_as=error, effects=effects)
        return Plan(REFUSED_TEXT, query, False, _refused_infos(text, error.policies), refusal=error)


@contextmanager
def _collected_later(size: int) -> Iterator[None]:
    """No garbage collection while a long text is planned: nothing of its trees is garbage, and to find that out again
    and again, as they grow, takes longer than to make them.
    """
    if size < LONG or not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _observed(info: StatementInfo, seen: Seen) -> StatementInfo:
    """What EXECUTE and FETCH read is known to the session (`server.borrowed`)."""
    unknown = seen.unknown or info.unknown
    effects = (*info.effects, *((Effect("search_path"),) if seen.unsettles else ()))
    return replace(info, disclosed=seen.disclosed, unknown=unknown, effects=effects)


def _refused_infos(text: str, policies: tuple[str, ...]) -> tuple[StatementInfo, ...]:
    """A statement each, the first with the whole text: it is refused as one, by `policies` where these decided."""
    first, *rest = describe(text.encode()) or (StatementInfo("", "", ""),)
    infos = (replace(first, text=normalised(text), fingerprint=fingerprint(text), policies=policies), *rest)
    return tuple(replace(info, effects=(), executes=None, cursor=None, unknown=None) for info in infos)


_RUNS_ANOTHER = frozenset(("FetchStmt", "TransactionStmt", "ConstraintsSetStmt"))


_NAME_NOTHING = frozenset(
    """
    ClosePortalStmt DeallocateStmt DiscardStmt ListenStmt NotifyStmt UnlistenStmt VariableSetStmt VariableShowStmt
    """.split()
)


def _means_the_same(statement: Node, snapshot: Snapshot) -> bool:
    """Whether it does so on every search path: drivers reset sessions by one text of several statements."""
    ((kind, fields),) = statement.items()
    if kind != "SelectStmt":
        return kind in _NAME_NOTHING
    values = [item["ResTarget"]["val"] for item in fields.get("targetList", ())]
    calls = [value["FuncCall"] for value in values if "FuncCall" in value]
    arguments = [argument for call in calls for argument in call.get("args", ())]
    names = {call["funcname"][-1]["String"]["sval"] for call in calls}
    return (
        fields.keys() <= {"targetList", "limitOption", "op"}
        and all("A_Const" in value for value in [*values, *arguments] if "FuncCall" not in value)
        and all(one.schema == "pg_catalog" for name in names for one in snapshot.functions.get(name, ()))
    )


def _check_certain(context: Context) -> None:
    """Behind SET search_path: a schema on the path that the login may not use does not count, so that a name must mean
    the same whichever of them do.
    """
    for reference in context.analysis.references:
        if "schemaname" in reference.node or reference.temporary:
            continue
        having = [s for s in context.path.schemas if (s, reference.name) in context.snapshot.relations]
        if len(having) > 1 and having[0] != "pg_catalog":
            raise feature_not_supported(
                f'relation "{reference.name}" is in schemas {having[0]} and {having[1]}, and the same query sets '
                "search_path",
                "Send the statements separately, or write the schema.",
                context.position(reference.start),
            )


# They take nothing back that was done before.
_OPENING = frozenset(("TRANS_STMT_BEGIN", "TRANS_STMT_START", "TRANS_STMT_SAVEPOINT", "TRANS_STMT_RELEASE"))


def _touches_hidden(context: Context) -> bool:
    """Whether an error of the statement could hold what the app may not see.

    EXECUTE and FETCH run what another statement has planned; triggers and constraints may wait for the transaction's
    end, or for SET CONSTRAINTS.
    """
    statement = context.statement
    if _executed(statement) is not None or next(iter(statement)) in _RUNS_ANOTHER:
        return True
    return any(reference.rewrites or reference.role != "read" for reference in context.analysis.references)


def _whole_targets(context: Context) -> list[tuple[str, str]]:
    """The written relations of which nothing is hidden: what an error tells of their rows the app may see."""
    return [
        reference.relation.key
        for reference in context.analysis.references
        if reference.relation is not None
        and reference.role in ("target", "copy_from")
        and (reference.table is None or reference.table.plain)
    ]


def _describe(text: str, statement: Node, context: Context | None = None) -> StatementInfo:
    modes = _modes(context) if context else set()
    return StatementInfo(
        text=normalised(text),
        fingerprint=fingerprint(text),
        tag=next(iter(statement)),
        disclosed=tuple(context.disclosed) if context else (),
        policies=tuple(context.policies) if context else (),
        consent="opt_in" if "opt_in" in modes else "opt_out" if "opt_out" in modes else "none",
        effects=(*effects_of(statement), *((Effect("search_path"),) if context and context.unsettles else ())),
        executes=_executed(statement),
        cursor=_cursor(statement),
        unknown=_unknown(statement, context),
    )


def _unknown(statement: Node, context: Context | None) -> str | None:
    """Why a statement may read more than its columns say."""
    if _executed(statement) or next(iter(statement)) == "FetchStmt":
        return _NOT_SEEN
    references = context.analysis.references if context else ()
    temporary = next((one for one in references if one.temporary and one.role in ("read", "copy_to")), None)
    return f'what temp relation "{temporary.name}" holds' if temporary else None


# Of EXECUTE and FETCH, until the session says what they run.
_NOT_SEEN = "what it runs"


def _cursor(statement: Node) -> str | None:
    ((kind, fields),) = statement.items()
    return fields.get("portalname") if kind in ("DeclareCursorStmt", "FetchStmt") else None


def _executed(statement: Node) -> str | None:
    """The prepared statement that a statement runs: EXECUTE s, EXPLAIN EXECUTE s, CREATE TABLE t AS EXECUTE s."""
    ((kind, fields),) = statement.items()
    if kind in ("ExplainStmt", "CreateTableAsStmt"):
        return _executed(fields["query"])
    return fields["name"] if kind == "ExecuteStmt" else None


def _modes(context: Context) -> set[str]:
    """The consent modes that decided on what the statement reads."""
    modes = set()
    for reference in context.analysis.references:
        for table in reference.governed:
            named = {d.column for d in context.disclosed if d.relation == f"{table.schema}.{table.name}"}
            read = [column for column in table.columns if column.name in named]
            modes |= {part.treatment.consent for column in read for part in column.parts}
            if any(row.consent for row in table.rows):
                modes.add("opt_in")
    return {mode for mode in modes if mode is not None}


def describe(
    query: bytes,
    observer: Observer | None = None,
    path: SearchPath | None = None,
    parameter_types: tuple[int, ...] = (),
    encoding: str = "utf-8",
) -> tuple[StatementInfo, ...]:
    """What the audit record needs of a text that passes as it is, or that is refused. `observer` says what it reads,
    where names mean what `path` says.
    """
    text = query.decode(encoding, "replace")
    try:
        statements = parse(text)
    except PgError:
        return (StatementInfo("(not understood)", "", "", unknown="what it is"),)
    raw = text.encode()
    out = []
    for statement in statements:
        begin, end = extent(statement, raw)
        out.append(_describe(raw[begin:end].decode("utf-8", "replace"), statement["stmt"]))
    if observer is None:
        return tuple(out)
    seen = observer.look(statements, path or SearchPath(), parameter_types)
    return tuple(_observed(info, one) for info, one in zip(out, seen, strict=True))


def normalised(text: str) -> str:
    """`text` with its constants and comments out; of a text that does not parse, nothing (its constants cannot be told
    from the rest).
    """
    try:
        return without_constants(str(pg_normalize(text.strip())))
    except (PgQueryError, PgError):
        return "(not understood)"


def fingerprint(text: str) -> str:
    """libpg_query's fingerprint: the same for statements that differ in constants only."""
    try:
        return str(pg_fingerprint(text).hex)
    except PgQueryError:
        return ""
