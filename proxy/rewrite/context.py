"""What the passes over one statement share: its text, tokens and scopes, what the app may, and the edits so far."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from proxy.catalog.model import SearchPath, Snapshot
from proxy.errors import PgError, feature_not_supported, insufficient_privilege
from proxy.policy.table import AppPolicy, GovernedColumn, GovernedTable, PolicyRef
from proxy.rewrite.comparable import Values
from proxy.rewrite.fence import Fences
from proxy.rewrite.forms import Form
from proxy.rewrite.lex import Node, Tokens, part_end
from proxy.rewrite.result import Disclosure, SystemCatalog
from proxy.rewrite.scope import (
    Analysis,
    ColumnUse,
    ReadColumn,
    Reference,
    Source,
    View,
    flatten,
    owners,
    touched,
    withheld,
)
from proxy.rewrite.splice import Edit


@dataclass(slots=True)
class Context:
    text: str
    raw: bytes
    tokens: Tokens
    statement: Node
    analysis: Analysis
    app: AppPolicy
    snapshot: Snapshot
    path: SearchPath
    system: SystemCatalog
    fences: Fences
    form_of: Callable[[GovernedTable], Form]
    view_text: Callable[[View, bool, bool, Sequence[str], Values], str]  # the sub-query that stands for a view
    hints: bool
    calm: bool | None = None  # whether nothing in it could tell of hidden rows; None: to be found out
    edits: list[Edit] = field(default_factory=list)
    disclosed: dict[Disclosure, None] = field(default_factory=dict)
    policies: dict[str, None] = field(default_factory=dict)
    foreign_values: bool = True  # values of foreign types may stand in the statement; check_functions finds out
    using_aliases: dict[int, str] = field(default_factory=dict)  # those that are put into the text, by id of the join
    unsettles: bool = False  # it calls a function that may change what names mean in the session
    _uses: dict[int, list[tuple[ColumnUse, Source, bool]]] | None = None

    # -- the text ---------------------------------------------------------------------------------------------------

    def edit(self, start: int, end: int, text: str) -> None:
        self.edits.append(Edit(start, end, text))

    def token_at(self, start: int) -> int:
        """The index of the token that begins at byte `start`. Raises PgError where none does (never seen)."""
        starts = self.tokens.starts
        index = bisect_left(starts, start)
        if index == len(starts) or starts[index] != start:
            raise feature_not_supported(f"no token begins at byte {start} of the statement")
        return index

    def name_end(self, index: int) -> int:
        """The index after a dotted name that begins at token `index`."""
        index = part_end(self.tokens, index)
        while index + 1 < len(self.tokens) and self.tokens[index].text == b".":
            index = part_end(self.tokens, index + 1)
        return index

    def matching(self, index: int) -> int:
        """The index of the parenthesis that closes the one at token `index`."""
        depth = 0
        while True:
            text = self.tokens.text(index)
            depth += (text == b"(") - (text == b")")
            if depth == 0:
                return index
            index += 1

    def position(self, start: int) -> int | None:
        """A byte offset as the 1-based character position of an error; None for what is not in the text."""
        return None if start < 0 else len(self.raw[:start].decode("utf-8", "replace")) + 1

    def app_has_whole(self, oid: int) -> bool:
        """Whether the app may read all of a relation, as it is."""
        relation = self.snapshot.by_oid.get(oid)
        if relation is None or relation.key in self.app.inner:
            return False
        table = self.app.tables.get(relation.key)
        return table.plain if table is not None else relation.key in self.app.open_tables

    # -- refusals ---------------------------------------------------------------------------------------------------

    def refuse(self, message: str, hint: str | None = None, start: int = -1, policies: tuple[str, ...] = ()) -> PgError:
        return insufficient_privilege(message, hint if self.hints else None, self.position(start), policies)

    def unsupported(self, message: str, hint: str | None = None, start: int = -1) -> PgError:
        return feature_not_supported(message, hint, self.position(start))

    def denied_column(self, table: GovernedTable, column: GovernedColumn, start: int) -> PgError:
        because = column.treatment.policy
        return self.refuse(
            f'permission denied for column "{column.name}" of relation "{table.name}"',
            f"{because} denies it to app {self.app.name}." if because else f"The rules deny it to app {self.app.name}.",
            start,
            named(because),
        )

    def missing_column(self, message: str, column: GovernedColumn | None, start: int = -1) -> PgError:
        """The error, in PostgreSQL's words, of a column that is not there, or not for the app (it is dropped)."""
        because = None if column is None else column.treatment.policy
        return PgError(message, "42703", position=self.position(start), policies=named(because))

    # -- what is disclosed ------------------------------------------------------------------------------------------

    def decided_by(self, policy: PolicyRef | None) -> None:
        self.policies |= dict.fromkeys(named(policy))

    def disclose(self, column: ReadColumn) -> None:
        self.disclosed |= dict.fromkeys(column.disclosed)
        self.policies |= dict.fromkeys(column.policies)

    def disclose_use(self, use: ColumnUse) -> None:
        """Notes what one column use reads; raises the refusal of a denied column."""
        for column in touched(use):
            if column.denied is not None:
                raise self.denied_column(*column.denied, use.start)
            if column.action == "drop":
                self.policies |= dict.fromkeys(column.policies)
            else:
                self.disclose(column)
        for column in withheld(use):
            self.policies |= dict.fromkeys(column.policies)

    def uses_of(self, reference: Reference) -> list[tuple[ColumnUse, Source, bool]]:
        """(use, the source through which it means `reference`, whether it is the whole row)."""
        if self._uses is None:
            self._uses = {}
            for use in self.analysis.uses:
                found = owners(use)
                for source in flatten(found.sources):
                    if source.reference is not None:
                        self._uses.setdefault(id(source.reference), []).append((use, source, found.whole_row))
        return self._uses.get(id(reference), [])


def named(policy: PolicyRef | None) -> tuple[str, ...]:
    """The policy's name, for errors; none where the defaults decided."""
    return () if policy is None else (policy.name,)
