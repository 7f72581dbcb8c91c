"""The masks of the rules as pydantic models: a name, or a mapping with `kind` and its options."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag

from proxy.policy.strict import Name, Strict


class NullMask(Strict):
    """NULL."""

    kind: Literal["null"]


class RedactMask(Strict):
    """A constant of the column's type."""

    kind: Literal["redact"]
    constant: Annotated[str | int | float | None, Field(alias="with")] = None


class PartialMask(Strict):
    """The middle hidden, the length kept."""

    kind: Literal["partial"]
    keep_first: Annotated[int, Field(ge=0, le=1000)] = 0
    keep_last: Annotated[int, Field(ge=0, le=1000)] = 0
    constant: Annotated[str, Field(alias="with", min_length=1, max_length=1)] = "*"


class EmailMask(Strict):
    """`j***@e***.com`."""

    kind: Literal["email"]


class HashMask(Strict):
    """Keyed HMAC-SHA-256 in hex: equal values stay equal."""

    kind: Literal["hash"]
    length: Annotated[int, Field(ge=8, le=64)] = 64
    key: Name = "default"


class PseudonymMask(Strict):
    """As hash, in a shape that fits the column's type."""

    kind: Literal["pseudonym"]
    prefix: Annotated[str, Field(max_length=40)] = ""
    key: Name = "default"


class TruncateMask(Strict):
    """Dates and timestamps cut to their year, month, day or hour."""

    kind: Literal["truncate"]
    to: Literal["year", "month", "day", "hour"]


class RoundMask(Strict):
    """Numbers rounded to the nearest multiple."""

    kind: Literal["round"]
    to: Annotated[int, Field(ge=1, le=1_000_000_000)]


class RangeMask(Strict):
    """The lower bound of the number's range; `20-29` for text."""

    kind: Literal["range"]
    step: Annotated[int, Field(ge=1, le=1_000_000_000)]


class FirstMask(Strict):
    """The first characters, the rest cut."""

    kind: Literal["first"]
    characters: Annotated[int, Field(ge=0, le=1000)]


class IpMask(Strict):
    """The network of an address."""

    kind: Literal["ip"]
    v4: Annotated[int, Field(ge=0, le=32)] = 24
    v6: Annotated[int, Field(ge=0, le=128)] = 48


class KeysMask(Strict):
    """A JSON document with its values emptied, its structure kept."""

    kind: Literal["keys"]


class ExpressionMask(Strict):
    """The DBA's own SQL expression over {value}."""

    kind: Literal["expression"]
    sql: Annotated[str, Field(min_length=1)]


MaskRule = Annotated[
    NullMask
    | RedactMask
    | PartialMask
    | EmailMask
    | HashMask
    | PseudonymMask
    | TruncateMask
    | RoundMask
    | RangeMask
    | FirstMask
    | IpMask
    | KeysMask
    | ExpressionMask,
    Field(discriminator="kind"),
]
MaskUse = Annotated[
    Annotated[str, Tag("word")] | Annotated[MaskRule, Tag("mapping")],
    Discriminator(lambda v: "mapping" if isinstance(v, dict) else "word"),
]
