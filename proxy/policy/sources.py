"""The format of `sources:` and `conflicts:` in the rules: what other stores know of customers, and whose word counts.

Where a source is and how to log in there stands in the settings: the rules only name it.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag

from proxy.policy.strict import Strict, shape

# The type of an attribute's column in consentry.profile_data, by its word in the rules.
TYPES: Final = {
    "text": "text",
    "integer": "bigint",
    "number": "numeric",
    "boolean": "boolean",
    "date": "date",
    "timestamp": "timestamptz",
    "json": "jsonb",
}
ValueType = Literal["text", "integer", "number", "boolean", "date", "timestamp", "json"]
Text = Annotated[str, Field(min_length=1)]


def _configuration(name: str) -> str:
    if not name.replace("_", "").isalnum() or not name.isascii():
        raise ValueError(f'"{name}" is no text search configuration such as english or simple')
    return name


Search = Annotated[str, Field(min_length=1, max_length=63), AfterValidator(_configuration)]


def _region(code: str) -> str:
    if len(code) != 2 or not code.isascii() or not code.isupper():
        raise ValueError(f'"{code}" is no country of two letters such as DE')
    return code


class FieldEntry(Strict):
    """A field written as a mapping. `search`: its text is indexed with this text search configuration."""

    attribute: str
    type: ValueType = "text"
    search: Search | None = None


class ListEntry(Strict):
    """A customer has many of these records: the attribute is a jsonb list of them, newest first by `order_by`."""

    fields: Annotated[list[Text], Field(min_length=1)]
    order_by: Text | None = None
    limit: Annotated[int, Field(ge=1, le=10_000)] = 100
    search: Search | None = None


class Likely(Strict):
    """By which attributes records that fit nobody exactly are compared; `threshold`: how probable is sure enough."""

    by: Annotated[list[Text], Field(min_length=2)]
    threshold: Annotated[float, Field(gt=0.5, le=1)] | None = None


class Match(Strict):
    """Whose a record is, by what identifies a person: which field holds it. `region`: of numbers without a +."""

    email: Text | None = None
    phone: Text | None = None
    region: Annotated[str, AfterValidator(_region)] | None = None
    unmatched: Literal["review", "new"] = "review"
    likely: Likely | None = None


class Flag(Strict):
    """A field that is set (not empty, false or 0) in a record that was deleted."""

    flag: Text


FieldRule = Annotated[
    Annotated[str, Tag("word")] | Annotated[FieldEntry, Tag("mapping")],
    Discriminator(shape),
]
DeletesRule = Annotated[
    Annotated[Literal["missing", "keep"], Tag("word")] | Annotated[Flag, Tag("mapping")],
    Discriminator(shape),
]


class Source(Strict):
    """A store outside of the database, and which of its fields say what of a customer.

    `records`: the relation with them, where the source is a database. `key`: the field that names a record.
    """

    fields: dict[Text, FieldRule] = Field(default_factory=dict)
    lists: dict[str, ListEntry] = Field(default_factory=dict)
    records: Text | None = None
    key: Text | None = None
    subject: Text | None = None
    match: Match | None = None
    cursor: Text | None = None
    deletes: DeletesRule = "missing"


# Sources, the one whose word counts first; or the one that was read last.
Precedence = Annotated[
    Annotated[Literal["newest"], Tag("word")] | Annotated[list[str], Field(min_length=1), Tag("list")],
    Discriminator(shape),
]
