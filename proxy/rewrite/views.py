"""Views that the rules do not list are governed by what they read: what an app has of each, from its definition.

The definition is pg_get_viewdef's under an empty search path: every name outside of pg_catalog is qualified, `*` is
spelled out. A column that is made of a column which the app does not have is no column of the view for the app; where
the view needs such a column elsewhere (to filter, to join, to sort), the app does not have the view.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from proxy.catalog.model import Relation, SearchPath, Snapshot
from proxy.errors import PgError
from proxy.policy.table import Action, AppPolicy, GovernedTable
from proxy.rewrite.analyse import analyse
from proxy.rewrite.catalog_hidden import readable_view
from proxy.rewrite.fence import Fences
from proxy.rewrite.lex import Node, Tokens, parse
from proxy.rewrite.result import Disclosure
from proxy.rewrite.scope import SYSTEM_SCHEMAS, Analysis, Denied, ReadColumn, Reference, View, owners, touched
from proxy.rewrite.view_writes import CannotWriteError, written_table

# What pg_get_viewdef's text was made under: names without a schema are of pg_catalog.
VIEW_PATH = SearchPath(("pg_catalog",))
Check = Callable[[str, Node, Analysis], None]
_NEVER = (*SYSTEM_SCHEMAS, "consentry")  # but for the profile, which is in the app's `views`
_READS = "It reads what the rules do not let the app read."
_AFTER_ITEMS = frozenset("from where group having window union intersect except order limit offset fetch for".split())


class Views:
    """The views that one app reads by their definitions."""

    def __init__(self, app: AppPolicy, snapshot: Snapshot, check: Check, *, every: bool = False) -> None:
        """`check` raises PgError where a definition calls what the app may not call. `every`: those too that the app
        may read as they are.
        """
        self._every = every
        self._app = app
        self._snapshot = snapshot
        self._check = check
        self._known: dict[int, View | None] = {}
        self._written: dict[int, GovernedTable | View] = {}

    def of(self, relation: Relation) -> View | None:
        """What the app has of a view; None for what is no such view: listed, or read as it is."""
        if not self._is_expanded(relation):
            return None
        if relation.oid not in self._known:
            self._known[relation.oid] = View(relation, refusal="It reads itself.")  # while it is looked at
            readable = not self._every and readable_view(relation, self._app, self._snapshot)
            self._known[relation.oid] = None if readable else self._inspect(relation)
        return self._known[relation.oid]

    def written(self, relation: Relation) -> GovernedTable | View | None:
        """A view of what the rules govern as a table that is written; a View with the reason where it cannot be.

        None for other relations.
        """
        if not self._is_expanded(relation):
            return None
        if not any(table.key in self._app.tables for table in map(self._snapshot.by_oid.get, relation.reads) if table):
            return None
        if relation.oid not in self._written:
            self._written[relation.oid] = View(relation, refusal="It reads itself.")
            self._written[relation.oid] = self._as_written(relation)
        return self._written[relation.oid]

    def _is_expanded(self, relation: Relation) -> bool:
        """Whether it is a view that the rules do not list, of the database's or the profile."""
        if relation.kind != "v" or relation.key in self._app.tables:
            return False
        return relation.schema not in _NEVER or relation.key in self._app.views

    def _as_written(self, relation: Relation) -> GovernedTable | View:
        if relation.key in self._app.views:
            return View(
                relation, refusal="It is Consentry's own, and is not written: write to the tables that it shows."
            )
        listing = f"List {relation.schema}.{relation.name} with its columns in the rules, or write to what it reads."
        try:
            return written_table(relation, self._app, self._snapshot, self._base_of_written)
        except CannotWriteError as error:
            return View(relation, refusal=f"{error} {listing}", told=f"{error.told} {listing}")
        except PgError as error:
            return View(relation, refusal=f"{error.message}. {listing}")

    def _base_of_written(self, relation: Relation) -> GovernedTable | None:
        inner = self._app.tables.get(relation.key) or self.written(relation)
        if isinstance(inner, View):
            why = f"It reads {relation.schema}.{relation.name}: {inner.refusal}"
            raise CannotWriteError(why, "It reads a view that cannot be written.")
        return inner

    def _inspect(self, relation: Relation) -> View:
        own = relation.key in self._app.views
        listing = "" if own else f" List {relation.schema}.{relation.name} with its columns in the rules."
        try:
            return _Inspection(relation, self._app, self._snapshot, self.of).view(self._check)
        except _CannotExpandError as error:
            return View(relation, refusal=f"{error}{listing}", told=f"{error.told}{listing}")
        except PgError as error:
            return View(relation, refusal=f"{error.message}.{listing}")


class _CannotExpandError(Exception):
    """Why a view cannot be read by its definition, as a sentence; `told`: without names that the app may not have."""

    def __init__(self, why: str, told: str | None = None) -> None:
        super().__init__(why)
        self.told = told or why


class _Made:
    """What one output column is made of; or what all of them are made of.

    `action` is `drop` or `deny` where anything in it is; a mask makes no difference: the value in it is the masked one.
    """

    def __init__(self) -> None:
        self.action: Action = "show"
        self.disclosed: dict[Disclosure, None] = {}
        self.policies: dict[str, None] = {}
        self.denied: Denied | None = None

    def add(self, column: ReadColumn) -> None:
        if column.action == "drop" or (column.action == "deny" and self.action == "show"):
            self.action = column.action
        self.disclosed |= dict.fromkeys(column.disclosed)
        self.policies |= dict.fromkeys(column.policies)
        self.denied = self.denied or column.denied

    def column(self, name: str) -> ReadColumn:
        return ReadColumn(name, self.action, tuple(self.disclosed), tuple(self.policies), self.denied)


class _Inspection:
    """One look at one view's definition, in which names mean every column that is there."""

    def __init__(
        self, relation: Relation, app: AppPolicy, snapshot: Snapshot, view_of: Callable[[Relation], View | None]
    ) -> None:
        self.relation = relation
        self.app = app
        self.snapshot = snapshot
        self.view_of = view_of

    def view(self, check: Check) -> View:
        """Raises _CannotExpandError, PgError."""
        if self.relation.definition is None:
            raise _CannotExpandError("Its definition cannot be read.")
        text = self.relation.definition.strip().removesuffix(";")
        statement: Node = parse(text)[0]["stmt"]
        everything = AppPolicy(self.app.name, "", "internal", "", ())
        analysis = analyse(statement, self._with_every_column(), VIEW_PATH, everything)
        check(text, statement, analysis)
        for reference in analysis.references:
            self._look_up(reference)
        spans = _spans(statement["SelectStmt"], Tokens(text))
        if spans and len(spans) != len(self.relation.columns):
            raise _CannotExpandError("Its definition has another number of columns.")
        always = _Made()
        made = [_Made() for _ in self.relation.columns]
        for use in analysis.uses:
            at = next((i for i, (start, end) in enumerate(spans) if start <= use.start < end), None)
            if not owners(use).sources:
                what = f"It is not known what {'.'.join(use.fields)} means in it."
                raise _CannotExpandError(what, "It is not known what all names in it mean.")
            for column in touched(use):
                (always if at is None else made[at]).add(column)
        for reference in analysis.references:
            always.policies |= dict.fromkeys(row.policy.name for table in reference.governed for row in table.rows)
            if reference.view is not None:
                always.add(ReadColumn("", "show", reference.view.disclosed, reference.view.policies))
        if always.action != "show":
            what = "does not have" if always.action == "drop" else "must not touch"
            raise _CannotExpandError(f"It needs a column that app {self.app.name} {what}.")
        kept = [one.action == "show" for one in made]
        if not any(kept):
            raise _CannotExpandError(f"App {self.app.name} has no column of it.")
        return View(
            relation=self.relation,
            columns=tuple(one.column(c.name) for one, c in zip(made, self.relation.columns, strict=True)),
            text=_without(text, spans, kept) if spans else text,
            disclosed=tuple(always.disclosed),
            policies=tuple(always.policies),
            governed=tuple(dict.fromkeys(table for one in analysis.references for table in one.governed)),
            computed=self._computed(statement, analysis) if all(kept) else None,  # else names may mean others
        )

    def _with_every_column(self) -> Snapshot:
        """The catalog in which the profile has the columns, too, that it does not have for the app."""
        if self.relation.key in self.app.views:
            return self.snapshot
        whole = {
            key: replace(relation, columns=relation.columns + gone)
            for key, gone in self.app.views.items()
            if gone and (relation := self.snapshot.relations.get(key)) is not None
        }
        return replace(self.snapshot, relations={**self.snapshot.relations, **whole}) if whole else self.snapshot

    def _computed(self, statement: Node, analysis: Analysis) -> frozenset[str] | None:
        fences = Fences.of(statement, analysis, self.snapshot, VIEW_PATH, ())
        numbers = fences.computed_outputs(statement)
        return None if numbers is None else frozenset(self.relation.columns[number].name for number in numbers)

    def _look_up(self, reference: Reference) -> None:
        relation = reference.relation
        if relation is None:
            raise _CannotExpandError(f'It reads "{reference.name}", which is not known.', _READS)
        name = f"{relation.schema}.{relation.name}"
        if relation.key in self.app.inner and self.relation.key not in self.app.views:
            raise _CannotExpandError(f"It reads {name}, which is Consentry's own.", _READS)
        reference.table = self.app.tables.get(relation.key)
        if reference.table is not None or relation.schema in SYSTEM_SCHEMAS:
            return
        reference.view = self.view_of(relation)
        if reference.view is not None:
            gone = (ReadColumn(column.name, "drop") for column in self.app.views.get(relation.key, ()))
            reference.view = replace(reference.view, columns=(*reference.view.columns, *gone))
        if reference.view is None and not readable_view(relation, self.app, self.snapshot):
            raise _CannotExpandError(f"It reads {name}, which the rules do not list.", _READS)
        if reference.view is not None and reference.view.refusal is not None:
            raise _CannotExpandError(f"It reads {name}: {reference.view.refusal}", _READS)


def _spans(select: Node, found: Tokens) -> list[tuple[int, int]]:
    """Where the items of the output list stand (bytes); none of a set operation, whose arms go together."""
    if "targetList" not in select:
        return []
    starts = [item["ResTarget"]["location"] for item in select["targetList"]]
    index = {start: number for number, start in enumerate(found.starts)}
    spans = []
    for start, following in zip(starts, [*starts[1:], None], strict=True):
        last = _last_of_item(found, index[start]) if following is None else index[following] - 2  # before the comma
        spans.append((start, found[last].end))
    return spans


def _last_of_item(found: Tokens, first: int) -> int:
    """The last token of the last item of an output list."""
    depth = 0
    for number in range(first, len(found)):
        token, before = found[number], found[number - 1].word
        depth += (token.text == b"(") - (token.text == b")")
        within = (token.word == "from" and before == "distinct") or (token.word == "group" and before == "within")
        if depth == 0 and number > first and token.word in _AFTER_ITEMS and not within:
            return number - 1
    return len(found) - 1


def _without(text: str, spans: list[tuple[int, int]], kept: list[bool]) -> str:
    """The definition with only some of its output columns."""
    if all(kept):
        return text
    raw = text.encode()
    items = [raw[start:end] for (start, end), keep in zip(spans, kept, strict=True) if keep]
    return (raw[: spans[0][0]] + b", ".join(items) + raw[spans[-1][1] :]).decode()
