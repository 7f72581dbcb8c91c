"""What a plan is: the immutable outcome of rewriting one text for one app. Sessions read it, nothing changes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from proxy.errors import PgError
from proxy.rewrite.splice import Edit

EffectKind = Literal[
    "search_path",  # the statement sets or resets search_path (or all settings): ask the server at the next boundary
    "encoding",  # client_encoding: ask likewise, its ParameterStatus comes before the answer
    "temporary",  # creates, drops or renames temp relations: ask likewise
    "prepare",  # SQL-level PREPARE: `name` now stands for the inner statement
    "deallocate",  # `name`, or all where it is None
    "copy_in",  # the server will answer CopyInResponse
    "copy_out",
    "discard",  # DISCARD ALL / TEMP / PLANS
]


@dataclass(frozen=True, slots=True)
class Effect:
    kind: EffectKind
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Disclosure:
    """One column that a statement reads, for the audit record."""

    relation: str
    column: str
    attribute: str | None
    treatment: str


@dataclass(frozen=True, slots=True)
class StatementInfo:
    """What the audit record needs of one statement of the text (a simple query may hold several)."""

    text: str  # constants out
    fingerprint: str  # hex, libpg_query's
    tag: str  # the tree's kind: SelectStmt, InsertStmt ...
    disclosed: tuple[Disclosure, ...] = ()
    policies: tuple[str, ...] = ()
    consent: Literal["none", "opt_in", "opt_out"] = "none"
    effects: tuple[Effect, ...] = ()
    executes: str | None = None  # EXECUTE: the SQL-level prepared statement's name
    cursor: str | None = None  # DECLARE and FETCH: the cursor's name
    unknown: str | None = None  # why it is not known what more it reads
    would: tuple[Disclosure, ...] | None = None  # monitor mode: what it would read, and what of it


@dataclass(frozen=True, slots=True)
class Plan:
    """`text` is what is sent (without the terminating zero byte); `original` is what the app sent.

    Where `refusal` is set, `text` is a text that always fails, to be sent in its place; the session answers with
    `refusal` instead of the server's error. `splices` maps offsets in `text` back to `original`:
    (start in text, end in text, start in original, end in original), characters, ascending, replaced stretches only.
    `scrub` says that DETAIL, CONTEXT and values in messages of errors and notices may hold what the app may not see.
    `guessing` says that the server's guesses at a name that nothing has, and what it says of where a name has no
    meaning, come from columns that the app has not.
    `shape` changes when the columns of the relations that it reads change for the app (see wire.md, reloads).
    """

    text: bytes
    original: bytes
    rewritten: bool
    statements: tuple[StatementInfo, ...]
    refusal: PgError | None = None
    splices: tuple[tuple[int, int, int, int], ...] = ()
    scrub: bool = False
    whole: frozenset[tuple[str, str]] = frozenset()  # written relations that the app has whole: their DETAIL may stay
    guessing: bool = False
    shape: str = ""
    effects: tuple[Effect, ...] = ()
    refused_as: PgError | None = None  # monitor mode: what would have been refused
    edits: tuple[Edit, ...] = ()  # what makes `text` of `original`

    def filled(self, text: bytes, original: bytes, splices: tuple[tuple[int, int, int, int], ...]) -> Plan:
        """The plan of a text with other constants."""
        return Plan(  # not `dataclasses.replace`: it takes several times as long
            text,
            original,
            self.rewritten,
            self.statements,
            self.refusal,
            splices,
            self.scrub,
            self.whole,
            self.guessing,
            self.shape,
            self.effects,
            self.refused_as,
            self.edits,
        )

    def original_position(self, position: int) -> int:
        """A 1-based character position in `text`, as one in `original` (the start of a replaced stretch inside it)."""
        at = position - 1
        shift = 0
        for start, end, original_start, original_end in self.splices:
            if at < start:
                break
            if at < end:
                return original_start + 1
            shift = original_end - end
        return at + shift + 1

    def is_spliced(self, position: int) -> bool:
        """Whether a 1-based character position in `text` is in a stretch that the app did not write."""
        return any(start < position <= end for start, end, _, _ in self.splices)


# A text that no PostgreSQL accepts in any state of a session: a column where there is nothing that could have one. In a
# transaction that has failed the server says so first, as of every statement that its grammar takes.
REFUSED_TEXT = b'SELECT "consentry: refused"'


@dataclass(frozen=True)
class SystemCatalog:
    """The system catalogs as one app has them. Keys are (schema, name) of pg_catalog and information_schema.

    `open`: relations that pass as they are. `forms`: relation -> the text of the sub-query, parentheses included, that
    stands in its place (`AS alias` follows it). Every other system relation is refused. `arguments`: name of a
    pg_catalog function that prints a definition -> the text that takes the place of its first argument, `{argument}`
    being what stood there. `calls`: (name, number of arguments) -> the texts around and between the arguments that take
    the place of the whole call. `hidden_constraints`: (schema, table, constraint) of those that do not exist for the
    app, indexes among them, and (schema, domain, "") of such domains -> whether the table does not either.
    `hidden_indexes`: oids of those likewise. `unexplained`: oids of relations that have such indexes, or of which a
    child has them or does not exist: plans name them. `hides_triggers`: relations that it has, have triggers that do
    not exist for it.
    """

    open: frozenset[tuple[str, str]]
    forms: Mapping[tuple[str, str], str]
    arguments: Mapping[str, str]
    calls: Mapping[tuple[str, int], tuple[str, ...]] = field(default_factory=dict)
    hidden_constraints: Mapping[tuple[str, str, str], bool] = field(default_factory=dict)
    hidden_indexes: frozenset[int] = frozenset()
    unexplained: frozenset[int] = frozenset()
    hides_triggers: bool = False

    @cached_property
    def guarded(self) -> frozenset[str]:
        """The names of `calls`."""
        return frozenset(name for name, _ in self.calls)

    def form(self, key: tuple[str, str], system_columns: Sequence[str] = ()) -> str | None:
        """The sub-query for a relation, with the system columns (tableoid ...) that a statement names at its end."""
        text = self.forms.get(key)
        if text is None or not system_columns:
            return text
        outputs, base, rest = text.partition(f' FROM "{key[0]}"."{key[1]}" AS t')
        return "".join([outputs, *(f", t.{name}" for name in system_columns), base, rest])
