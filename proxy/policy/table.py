"""The compiled rules: per app, per relation, a table of treatments. Every other room reads these values only.

`policy.compile` makes them from the rules and a catalog snapshot; nothing is decided by scanning policies later.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from proxy.catalog.model import Column
    from proxy.policy.rights_table import RightsTable

Action = Literal["show", "mask", "drop", "deny"]
ConsentMode = Literal["opt_in", "opt_out"]
Write = Literal["allow", "deny", "visible"]


@dataclass(frozen=True, slots=True)
class PolicyRef:
    """Where a decision stands, for hints and the audit log."""

    name: str
    file: str
    line: int

    def __str__(self) -> str:
        return f'policy "{self.name}" ({self.file}:{self.line})'


@dataclass(frozen=True, slots=True)
class Mask:
    """A mask with its options, validated. `kind` is a row of the table in rules.md; options as written there."""

    kind: str
    options: tuple[tuple[str, str | int], ...] = ()

    def option(self, name: str, default: str | int) -> str | int:
        for key, value in self.options:
            if key == name:
                return value
        return default


@dataclass(frozen=True, slots=True)
class Treatment:
    """What an app gets of a column.

    show, no consent: the value. show with consent: the value where the subject's consent is in force, else `mask`.
    mask, no consent: `mask`. drop: no such column. deny: touching it refuses the statement.
    """

    action: Action
    mask: Mask | None = None
    consent: ConsentMode | None = None
    policy: PolicyRef | None = None  # None: an open column, or the defaults decided
    basis: str | None = None
    write: Write = "visible"

    @property
    def plain(self) -> bool:
        """Shown as it is, to everybody, without condition."""
        return self.action == "show" and self.consent is None

    @property
    def visible(self) -> bool:
        """The column exists for the app (`deny` exists too, but cannot be touched)."""
        return self.action in ("show", "mask")

    @property
    def writable(self) -> bool:
        return self.write == "allow" or (self.write == "visible" and self.plain)

    def __str__(self) -> str:
        """As rule tests and `explain` print it: `show`, `mask email`, `show if consent, else null`, `drop`, `deny`.

        `by path` is a column of which the paths are treated differently.
        """
        if self.action == "show" and self.consent is not None:
            other = self.mask.kind if self.mask else "null"
            when = "if consent" if self.consent == "opt_in" else "unless withdrawn"
            return f"show {when}, else {other}"
        if self.mask is not None and self.mask.kind == "paths":
            return "by path"
        if self.action == "mask":
            return f"mask {self.mask.kind if self.mask else 'null'}"
        return self.action


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a document: the attribute that it has (None: it is open), and what the app gets of it."""

    attribute: str | None
    treatment: Treatment


@dataclass(frozen=True, slots=True)
class DocumentNode:
    """What an app gets of one place in a document, and of the places below it that have rules of their own.

    `levels`: what holds of the value; where it is an array and there are more, what holds of its elements, of theirs.
    A value that is no array has the last one. `keys`: members of the object, or of each object in the array. Every
    other member has the last level. `depth`: how many arrays inside each other are gone into; what lies deeper is not
    shown where there are keys. Nodes that would say what the one above says are left out.
    """

    levels: tuple[Part, ...]
    keys: tuple[tuple[str, DocumentNode], ...] = ()
    depth: int = 0

    @property
    def last(self) -> Part:
        return self.levels[-1]


@dataclass(frozen=True, slots=True)
class GovernedPath:
    """A path that the rules list, as they spell it."""

    path: str
    part: Part


@dataclass(frozen=True, slots=True)
class Document:
    """The inside of a json or jsonb column: `rest` is what holds where no path does, `root` the form of all of it."""

    rest: Part
    paths: tuple[GovernedPath, ...]
    root: DocumentNode

    @property
    def parts(self) -> tuple[Part, ...]:
        return (self.rest, *(path.part for path in self.paths))


@dataclass(frozen=True, slots=True)
class GovernedColumn:
    """One column as one app has it.

    With a `document` the treatment is that of the whole: `show`, `drop` or `deny` where it holds of every path, else
    `mask` with the mask `paths`, and then the document says what is in it.
    """

    name: str
    attribute: str | None  # None: the column is open
    treatment: Treatment
    document: Document | None = None
    settled: bool = False  # it says whose a row is, and what the app sees hangs on that: see `settled.py`
    followed: bool = False  # ... also of rows of other tables

    @property
    def changeable(self) -> bool:
        """An UPDATE may assign it; an INSERT what is `treatment.writable`."""
        return self.treatment.write == "allow" or (self.treatment.writable and not self.settled)

    @property
    def parts(self) -> tuple[Part, ...]:
        """The column, or the rest of its document and every path: what is asked and disclosed where it is read."""
        return self.document.parts if self.document else (Part(self.attribute, self.treatment),)

    @property
    def paths(self) -> tuple[GovernedPath, ...]:
        return self.document.paths if self.document else ()

    @property
    def asks_consent(self) -> bool:
        return self.treatment.visible and any(part.treatment.consent for part in self.parts)

    @property
    def masks(self) -> tuple[Mask, ...]:
        """The masks that its form may need."""
        found = (part.treatment.mask for part in self.parts if part.treatment.visible)
        return tuple(mask for mask in found if mask is not None) if self.treatment.visible else ()


@dataclass(frozen=True, slots=True)
class SubjectStep:
    """One step from a table to the one that holds the subject key: `from_column` = `schema.table.to_column`."""

    from_column: str
    schema: str
    table: str
    to_column: str


@dataclass(frozen=True, slots=True)
class Subject:
    """How the subject key of a row is found: follow `steps` (none where the key is here), then read `column`."""

    column: str
    steps: tuple[SubjectStep, ...] = ()


@dataclass(frozen=True, slots=True)
class RowPolicy:
    """A row exists for the app only when every consent is granted (opt_in) and `where` (SQL) is true."""

    policy: PolicyRef
    consent: tuple[str, ...] = ()  # attributes
    where: str | None = None  # over the table's own columns; may hold :app and :login
    restricts: bool = False  # hides customers whose data is restricted: `where` asks for the subject


@dataclass(frozen=True, slots=True)
class Others:
    """What a governed relation is made of that is in no database: the rows of `table`, whose column `mark` is true, and
    for each row of `keys` (a column `subject`) one of which nothing but the key is known, whose `mark` is false.
    """

    table: tuple[str, str]
    keys: tuple[str, str]
    mark: str


@dataclass(frozen=True, slots=True)
class GovernedTable:
    """One governed relation as one app has it. `columns` in the relation's order, every live column once."""

    schema: str
    name: str
    subject: Subject | None
    columns: tuple[GovernedColumn, ...]
    rows: tuple[RowPolicy, ...] = ()
    others: Others | None = None

    @property
    def key(self) -> tuple[str, str]:
        return (self.schema, self.name)

    @property
    def plain(self) -> bool:
        """Reads of it need no rewriting for this app."""
        return not self.rows and self.others is None and all(c.treatment.plain for c in self.columns)

    @property
    def asks(self) -> tuple[tuple[str, ConsentMode], ...]:
        """(attribute, how it is asked) of each consent that decides what the app sees of it, once, in order."""
        parts = (part for column in self.columns if column.treatment.visible for part in column.parts)
        found: dict[tuple[str, ConsentMode], None] = dict.fromkeys(
            (part.attribute, part.treatment.consent)
            for part in parts
            if part.attribute is not None and part.treatment.consent is not None
        )
        return tuple(found | {(attribute, "opt_in"): None for row in self.rows for attribute in row.consent})

    @property
    def asked(self) -> Mapping[str, ConsentMode]:
        """The attributes whose consent decides what the app sees of it, and how it is asked.

        Where columns of one attribute ask in different ways, it is opt_in: nothing is shown by silence.
        """
        found: dict[str, ConsentMode] = {}
        for attribute, mode in self.asks:
            if found.get(attribute) != "opt_in":
                found[attribute] = mode
        return found

    @property
    def followed(self) -> bool:
        """Rows of other tables find their customer by rows of it, and what the app sees of them hangs on that."""
        return any(column.followed for column in self.columns)

    @property
    def makes_documents(self) -> bool:
        """A document of which a part is hidden stands for one of its columns."""
        return any(c.document is not None and c.treatment.visible and not c.treatment.plain for c in self.columns)

    def column(self, name: str) -> GovernedColumn | None:
        for column in self.columns:
            if column.name == name:
                return column
        return None


@dataclass(frozen=True, slots=True)
class StoreWrite:
    """How decisions are written into a mapped table: columns and SQL, which may hold :expires_at, :now and :actor."""

    granted: tuple[tuple[str, str], ...]
    withdrawn: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class ConsentStore:
    """Consent in a table of the database's own. Its SQL is made safe, and names no columns but the table's own.

    A consent is in force where `granted` is true in a row of the subject, app and attribute; a table may have many such
    rows. `attribute` None: a row holds for all attributes.
    """

    schema: str
    table: str
    subject: str
    app: str
    attribute: str | None
    granted: str
    since: str | None = None
    expires: str | None = None
    attributes: tuple[tuple[str, str], ...] = ()  # attribute -> what the table calls it, where that is another name
    write: StoreWrite | None = None
    columns: tuple[str, ...] = ()  # those that the forms read: keys, and what `granted` names
    shown: tuple[str, ...] = ()  # those that only `since` and `expires` name
    place: tuple[str, int] = ("", 0)  # file and line of the mapping

    def called(self, attribute: str) -> str:
        """What the table calls the attribute."""
        return dict(self.attributes).get(attribute, attribute)


@dataclass(frozen=True, slots=True)
class AppPolicy:
    name: str
    label: str
    kind: Literal["internal", "partner"]
    purpose: str
    logins: tuple[str, ...]
    trusted: bool = False
    monitor: bool = False
    explain: bool = False  # `explain: allow`
    functions: frozenset[tuple[str, str]] = frozenset()  # (schema, name) that `functions: allow` lists
    consent_id: str = ""  # what the mapped consent table calls the app
    store: ConsentStore | None = None  # where its consents are; None: in Consentry's own ledger
    spans: frozenset[str] = frozenset()  # the attributes of which the ledger keeps its consents by spans of keys, too
    tables: Mapping[tuple[str, str], GovernedTable] = field(default_factory=dict)  # partitions and children included
    open_tables: frozenset[tuple[str, str]] = frozenset()
    unlisted_tables: Literal["deny", "open"] = "deny"
    policies: tuple[PolicyRef, ...] = ()  # all that can decide for this app, for hints
    # Views of Consentry's own that the app reads by their definitions -> the columns that it does not have of them.
    views: Mapping[tuple[str, str], tuple[Column, ...]] = field(default_factory=dict)
    inner: frozenset[tuple[str, str]] = frozenset()  # those of `tables` that only such views may read

    @property
    def dropped_columns(self) -> frozenset[tuple[str, str, str]]:
        """The columns that do not exist for the app: (schema, relation, column)."""
        return frozenset(
            (*table.key, c.name)
            for table in self.tables.values()
            for c in table.columns
            if c.treatment.action == "drop"
        )

    @property
    def asked(self) -> Mapping[str, ConsentMode]:
        """The attributes of which consent is asked for the app, and how; opt_in, where tables differ."""
        found: dict[str, ConsentMode] = {}
        for table in self.tables.values():
            found |= {name: mode for name, mode in table.asked.items() if found.get(name) != "opt_in"}
        return found

    @property
    def hides_anything(self) -> bool:
        return any(not table.plain for table in self.tables.values())


@dataclass(frozen=True, slots=True)
class HeldDocument:
    """A json or jsonb column: the attribute of what is in it, and those of places in it, by path (None: open)."""

    column: str
    attribute: str | None
    paths: tuple[tuple[str, str | None], ...]


@dataclass(frozen=True, slots=True)
class SubjectTable:
    """A table whose rows are of subjects: where what is held on a customer stands.

    `kind`: the family of the key's type: integer, text or uuid. `columns`: those that the rules give an attribute or
    call open, with the attributes (none: open). `documents`: those of them that have an inside.
    """

    schema: str
    name: str
    subject: Subject
    kind: str
    columns: tuple[tuple[str, tuple[str, ...]], ...]
    documents: tuple[HeldDocument, ...] = ()


@dataclass(frozen=True, slots=True)
class Hop:
    """One step from a table towards its customer: `column` = `table`.`to`."""

    column: str
    table: tuple[str, str]
    to: str


@dataclass(frozen=True, slots=True)
class ProfileColumn:
    """An attribute in the profile, and the (table, column) that it is made of.

    column: the first of them that is not null. object: a jsonb object of them all. list: a jsonb array of such, the
    `limit` newest by `order_by`; together with what sources say, where `told_by` names the fields that hold the time of
    their entries, of which each has one.
    """

    name: str
    kind: Literal["column", "object", "list"]
    choices: tuple[tuple[tuple[str, str], str], ...]
    order_by: str = ""
    limit: int = 0
    told_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ProfileMap:
    """The unified profile: one row for each row of `start`, whose column `key` names the customer.

    `hops`: for each other table that leads to a customer, its first step. `invoker`: the server reads the view with the
    rights of who asks. `others`: it has a row, too, for each customer whom only other sources know.
    """

    relation: tuple[str, str]
    start: tuple[str, str]
    key: str
    columns: tuple[ProfileColumn, ...]
    hops: Mapping[tuple[str, str], Hop]
    invoker: bool
    others: bool = False


@dataclass(frozen=True, slots=True)
class CompiledRules:
    version: str  # sha256 hex of the rules' text and the catalog facts used
    apps: Mapping[str, AppPolicy]
    logins: Mapping[str, str]  # login -> app name
    warnings: tuple[str, ...] = ()
    show_hints: bool = True
    store: ConsentStore | None = None  # as each app has it
    # Each row stands in one of them only: no views, and no child of a table that is here.
    subject_tables: tuple[SubjectTable, ...] = ()
    profile: ProfileMap | None = None
    # What the rules govern, as statements have it that pass as they are: every column shown.
    whole_tables: Mapping[tuple[str, str], GovernedTable] = field(default_factory=dict)
    rights: RightsTable | None = None  # how customers are erased
    digest: str = ""  # of the rules' text alone
