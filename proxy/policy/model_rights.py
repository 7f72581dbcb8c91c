"""The customers' rights in the rules, as pydantic models: how a table is erased, what is kept and why, and how long."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag

from proxy.policy.model_masks import MaskUse
from proxy.policy.strict import Strict

_PERIOD: Final = re.compile(r"([1-9]\d{0,3}) ?(d|days?|w|weeks?|mo|months?|y|years?)")
_UNITS: Final = {"d": "days", "w": "weeks", "m": "months", "y": "years"}

EraseAction = Literal["delete", "anonymise", "refresh"]


def period(text: str) -> str:
    """`10y`, `18 months`, `4w`, `30d` as PostgreSQL's interval has it: `10 years`. Raises ValueError."""
    found = _PERIOD.fullmatch(text.strip())
    if found is None:
        raise ValueError(f'a period such as 30d, 4w, 18mo or 10y is expected, not "{text}"')
    return f"{found[1]} {_UNITS[found[2][0]]}"


def _period(text: str) -> str:
    period(text)
    return text


Period = Annotated[str, AfterValidator(_period)]


class Keep(Strict):
    """Rows that stay when their customer is erased: all of them, those that are younger, or those where SQL is true.

    `secret`: receipts do not tell of them.
    """

    reason: Annotated[str, Field(min_length=1, max_length=200)]
    younger_than: Annotated[Period | None, Field(alias="for")] = None
    by: Annotated[str, Field(min_length=1)] | None = None
    where: Annotated[str, Field(min_length=1)] | None = None
    secret: bool = False


ErasedColumn = Annotated[
    Annotated[str, Tag("word")] | Annotated[MaskUse, Tag("mapping")],
    Discriminator(lambda v: "mapping" if isinstance(v, dict) else "word"),
]


class Erase(Strict):
    """How a customer's rows are erased. `masks`: what columns become where they are anonymised, or `keep`."""

    action: EraseAction | None = None
    masks: Annotated[dict[str, ErasedColumn], Field(min_length=1)] | None = None
    keep: Annotated[list[Keep], Field(min_length=1)] | None = None


EraseRule = Annotated[
    Annotated[EraseAction, Tag("word")] | Annotated[Erase, Tag("mapping")],
    Discriminator(lambda v: "mapping" if isinstance(v, dict) else "word"),
]


class Retention(Strict):
    """How long a table's rows, or an attribute's values, are kept: counted from the time in column `by`."""

    period: Annotated[Period, Field(alias="for")]
    by: Annotated[str, Field(min_length=1)]


class Rights(Strict):
    """`restriction: enforced`: apps see nothing of customers whose data is restricted, unless the law obliges them."""

    restriction: Literal["enforced", "off"] = "off"
