"""The format of the rules as pydantic models: what `load` validates and `consentry schema` prints.

What a mapping alone can tell is checked here; what needs other parts of the rules, in `references`; what needs the
database, in `compile`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag

from proxy.policy.model_masks import MaskRule, MaskUse
from proxy.policy.model_rights import EraseRule, Retention, Rights
from proxy.policy.names import split_column, split_relation
from proxy.policy.paths import split_path
from proxy.policy.sources import Precedence, Source
from proxy.policy.strict import Name, Strict, shape


def _relation(text: str) -> str:
    split_relation(text)
    return text


def _column(text: str) -> str:
    split_column(text)
    return text


def _path(text: str) -> str:
    split_path(text)
    return text


RelationName = Annotated[str, AfterValidator(_relation)]
ColumnName = Annotated[str, AfterValidator(_column)]
PathName = Annotated[str, AfterValidator(_path)]
Names = Annotated[list[str], Field(min_length=1)]
Kind = Literal["internal", "partner"]
Group = Literal["basic", "sensitive", "unstructured", "consent"]
Basis = Literal["contract", "legal_obligation", "vital_interests", "public_task", "legitimate_interests"]


class Attribute(Strict):
    """A named piece of the customer profile, in the customers' words."""

    label: str = ""
    group: Group = "basic"


class ColumnEntry(Strict):
    """A column written as a mapping. `paths`: attributes of what is inside of a json or jsonb column."""

    attribute: str
    paths: Annotated[dict[PathName, str], Field(min_length=1)] | None = None


class SubjectReference(Strict):
    """The subject is found through another table: `column` = `references` (schema.table.column)."""

    column: str
    references: ColumnName


ColumnRule = Annotated[
    Annotated[str, Tag("word")] | Annotated[ColumnEntry, Tag("mapping")],
    Discriminator(lambda v: "mapping" if isinstance(v, dict) else "word"),
]
SubjectRule = Annotated[
    Annotated[str, Tag("word")] | Annotated[SubjectReference, Tag("mapping")],
    Discriminator(lambda v: "mapping" if isinstance(v, dict) else "word"),
]


class Table(Strict):
    """A governed relation."""

    columns: Annotated[dict[str, ColumnRule], Field(min_length=1)]
    subject: SubjectRule | None = None
    erase: EraseRule | None = None


TableRule = Annotated[
    Annotated[Literal["open"], Tag("word")] | Annotated[Table, Tag("mapping")],
    Discriminator(lambda v: "mapping" if isinstance(v, dict) else "word"),
]


class Functions(Strict):
    """User-defined functions that an app may call."""

    allow: list[RelationName]


class App(Strict):
    """A recipient of data for one purpose."""

    logins: Names
    label: str = ""
    kind: Kind = "internal"
    purpose: str = ""
    trusted: bool = False
    mode: Literal["enforce", "monitor"] = "enforce"
    explain: Literal["allow", "deny"] = "deny"
    functions: Functions | None = None
    consent_id: Annotated[str, Field(min_length=1)] | None = None


class KindSelector(Strict):
    """All apps of one kind."""

    kind: Kind


class GroupSelector(Strict):
    """All attributes of one group."""

    group: Group


AppSelector = Annotated[
    Annotated[Literal["all"], Tag("word")] | Annotated[Names, Tag("list")] | Annotated[KindSelector, Tag("mapping")],
    Discriminator(shape),
]
AttributeSelector = Annotated[
    Annotated[Literal["all"], Tag("word")] | Annotated[Names, Tag("list")] | Annotated[GroupSelector, Tag("mapping")],
    Discriminator(shape),
]


class Rows(Strict):
    """Which rows exist for an app."""

    consent: Annotated[list[str], Field(min_length=1)] | None = None
    where: Annotated[str, Field(min_length=1)] | None = None


class Otherwise(Strict):
    """What the values of those who did not agree become."""

    mask: MaskUse


class Policy(Strict):
    """One ordered rule: a column policy (`attributes` or `columns`) or a row policy (`tables` and `rows`)."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    apps: AppSelector = "all"
    except_apps: Names | None = None
    attributes: AttributeSelector | None = None
    except_attributes: Names | None = None
    columns: Annotated[list[ColumnName], Field(min_length=1)] | None = None
    action: Literal["show", "mask", "drop", "deny"] | None = None
    mask: MaskUse | None = None
    consent: Literal["opt_in", "opt_out"] | None = None
    otherwise: Otherwise | None = None
    write: Literal["allow", "deny", "visible"] | None = None
    basis: Basis | None = None
    tables: Annotated[list[RelationName], Field(min_length=1)] | None = None
    rows: Rows | None = None


class StoreWrite(Strict):
    """How a decision is written: column -> SQL, which may use :expires_at, :now and :actor."""

    granted: Annotated[dict[str, str], Field(min_length=1)]
    withdrawn: Annotated[dict[str, str], Field(min_length=1)]


class Store(Strict):
    """Consent in a table that exists already: which columns say whose it is, and SQL that is true where it is given."""

    table: RelationName
    subject: str
    app: str
    granted: Annotated[str, Field(min_length=1)]
    attribute: str | None = None
    attributes: Annotated[dict[str, str], Field(min_length=1)] | None = None
    since: Annotated[str, Field(min_length=1)] | None = None
    expires: Annotated[str, Field(min_length=1)] | None = None
    write: StoreWrite | None = None


StoreRule = Annotated[
    Annotated[Literal["builtin"], Tag("word")] | Annotated[Store, Tag("mapping")],
    Discriminator(lambda v: "mapping" if isinstance(v, dict) else "word"),
]


class Consent(Strict):
    """Where consent records are kept."""

    store: StoreRule = "builtin"


class ProfileObject(Strict):
    """Columns of one table that together are one attribute: a jsonb object."""

    table: Annotated[RelationName, Field(alias="from")]
    columns: Names


class ProfileList(Strict):
    """An attribute that a customer has many of: a jsonb array of objects, newest first."""

    table: Annotated[RelationName, Field(alias="from")]
    columns: Names
    order_by: str
    limit: Annotated[int, Field(ge=1, le=100_000)] = 100


ProfileColumn = Annotated[
    Annotated[str, Tag("word")]
    | Annotated[list[str], Field(min_length=1), Tag("list")]
    | Annotated[ProfileObject, Tag("mapping")],
    Discriminator(shape),
]


class Profile(Strict):
    """The unified profile: one row a customer, one column an attribute.

    `columns` says which column has an attribute that more than one could have: one, several of which the first that is
    not null counts, or an object of several. The word `sources` stands for what other sources say.
    """

    subject: ColumnName
    relation: RelationName = "consentry.profile"
    columns: dict[Name, ProfileColumn] = Field(default_factory=dict)
    lists: dict[Name, ProfileList] = Field(default_factory=dict)
    except_attributes: Names | None = None


class Defaults(Strict):
    """What holds where nothing else is said."""

    attributes: Literal["drop", "deny", "show"] = "drop"
    unlisted_columns: Literal["drop", "deny", "open"] = "drop"
    unlisted_tables: Literal["deny", "open"] = "deny"


class RulesFile(Strict):
    """One file of rules; a folder's files are merged."""

    version: Literal[1] | None = None
    attributes: dict[Name, Attribute] = Field(default_factory=dict)
    tables: dict[RelationName, TableRule] = Field(default_factory=dict)
    apps: dict[Name, App] = Field(default_factory=dict)
    masks: dict[Name, MaskRule] = Field(default_factory=dict)
    policies: list[Policy] = Field(default_factory=list)
    retention: dict[str, Retention] = Field(default_factory=dict)
    rights: Rights | None = None
    consent: Consent | None = None
    profile: Profile | None = None
    defaults: Defaults | None = None
    hints: bool | None = None
    sources: dict[Name, Source] = Field(default_factory=dict)
    conflicts: dict[Name, Precedence] = Field(default_factory=dict)
