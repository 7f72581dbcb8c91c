"""The API's bodies: what is taken, and what is given. OpenAPI describes them from here."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field


class _Given(BaseModel):
    """What the API answers."""

    model_config = ConfigDict(from_attributes=True, frozen=True)


class _Taken(BaseModel):
    """What callers send: nothing unknown."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Text = Annotated[str, Field(max_length=200, pattern=r"^[^\x00]*$")]


class Decision(_Taken):
    """A customer's decision."""

    decision: Literal["granted", "withdrawn"]
    expires_at: AwareDatetime | None = Field(default=None, description="When a grant ends, with a time zone.")
    text_version: Text | None = Field(default=None, description="Of the words that the customer was shown.")
    evidence: dict[str, Any] | None = Field(default=None, description="What shows that it was the customer's decision.")


class Record(_Given):
    """One consent record of the ledger."""

    id: int
    subject: str
    app: str
    attribute: str
    decision: Literal["granted", "withdrawn"]
    at: datetime
    expires_at: datetime | None
    actor: Literal["customer", "agent", "import"]
    source: str | None
    policy_version: str | None
    text_version: str | None
    evidence: Any
    scope: str | None
    prev_hash: str
    hash: str


class Records(_Given):
    """The records that a decision made: one an attribute."""

    records: list[Record]


class Imported(_Given):
    """What a file of records came to. `repeated`: it was taken before under the same key, and not again."""

    id: int
    records: int
    events: int = Field(description="Decisions: more than records where one names a group or all.")
    repeated: bool


class History(_Given):
    """Records, newest first. `next`: the `before` of the page that follows; null: there is none."""

    records: list[Record]
    next: int | None


class Consent(_Given):
    """One consent as it stands."""

    app: str
    attribute: str
    asked: Literal["opt_in", "opt_out"] | None = Field(description="How the app asks; null: it does not ask.")
    granted: bool
    decision: Literal["granted", "withdrawn"] | None = Field(description="The last one; null: none was made.")
    since: datetime | None
    expires_at: datetime | None
    actor: Literal["customer", "agent", "import"] | None


class AttributeAccess(_Given):
    """What an app sees of one attribute."""

    attribute: str
    label: str
    group: str
    shared: bool = Field(description="Whether the app gets anything of it now.")
    sees: Literal["nothing", "masked", "value"]
    why: Literal["consent", "basis", "never", "unrestricted"]
    basis: str | None
    consent: Literal["opt_in", "opt_out"] | None = Field(description="How the app asks; null: there is no switch.")
    granted: bool
    since: datetime | None
    expires: datetime | None
    etag: str = Field(description="For If-Match of a decision about it.")
    policy: str | None
    last_read: datetime | None


class AppAccess(_Given):
    """What one app sees."""

    app: str
    label: str
    purpose: str
    kind: Literal["internal", "partner"]
    attributes: list[AttributeAccess]


class Access(_Given):
    """Who has access to a customer's data."""

    subject: str
    apps: list[AppAccess]


class HeldTable(_Given):
    """The customer's rows of one table. `attributes`: of its columns, those that the rules name."""

    relation: str
    attributes: dict[str, list[str]]
    rows: list[dict[str, Any]]


class SourceValue(_Given):
    """A value that another source has of the customer."""

    attribute: str
    value: Any
    source: str
    key: str = Field(description="What names the record in its source.")
    read_at: datetime
    chosen: bool = Field(description="It is the one that counts.")


class Disclosure(_Given):
    """What an app can have had of an attribute, by the audit log, which names no customers."""

    app: str
    attribute: str
    got: Literal["value", "masked", "nothing"]
    statements: int
    first: datetime
    last: datetime


class OwnRequest(_Given):
    """What a customer asked for, and what became of it."""

    id: int
    kind: Literal["erase", "rectify", "restrict", "lift"]
    attribute: str | None
    value: str | None = Field(description="To rectify, until it is decided.")
    status: Literal["open", "done", "refused"]
    source: str
    asked_at: datetime
    due_at: datetime
    decided_at: datetime | None
    reason: str | None
    receipt: str | None = Field(description="The number of the receipt of what was done.")


class Export(_Given):
    """Everything that is held on a customer."""

    subject: str
    organisation: str
    made: datetime
    access: list[AppAccess]
    restricted_since: datetime | None = Field(description="No app without a duty by law has anything of it since then.")
    tables: list[HeldTable]
    sources: list[SourceValue]
    requests: list[OwnRequest]
    disclosures: list[Disclosure] | None = Field(default=None, description="Where it was asked for: who read what.")
    decisions: list[dict[str, Any]] = Field(description="Receipts as ISO/IEC TS 27560 has them, newest first.")


class Profile(_Given):
    """A customer's attributes, as far as the app sees them: as SQL's row_to_json() writes them."""

    model_config = ConfigDict(extra="allow")


class Profiles(_Given):
    """Profiles, by their keys. `next`: the `after` of the page that follows; null: there is none, or no key is seen."""

    profiles: list[Profile]
    next: str | None


class Asked(_Taken):
    """A customer's request about their data."""

    kind: Literal["erase", "rectify", "restrict", "lift"]
    attribute: Text | None = Field(default=None, description="To rectify: which.")
    value: Annotated[str, Field(max_length=4000, pattern=r"^[^\x00]*$")] | None = Field(
        default=None, description="To rectify: what is right."
    )


class Decided(_Taken):
    """What an agent decides about a request."""

    decision: Literal["confirmed", "refused"]
    reason: Text | None = Field(default=None, description="Of a refusal, for the customer to read.")
    columns: Annotated[tuple[Text, ...], Field(max_length=100)] = Field(
        default=(),
        description="To rectify: only these, schema.table.column, or the name of a source whose data lives here. "
        "They must be chosen where a table has several columns of the attribute.",
    )
    every_row: bool = Field(default=False, description="To rectify: all rows, where the customer has several.")


class Request(OwnRequest):
    """A request in the queue."""

    subject: str | None = Field(description="Null: the customer was erased.")
    decided_by: str | None


class Requests(_Given):
    """Requests in the queue."""

    requests: list[Request]


class ProblemDocument(_Given):
    """RFC 9457."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str
