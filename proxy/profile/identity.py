"""What records are matched by, in one form however it was written: addresses and phone numbers."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

import phonenumbers

LONGEST: Final = 500  # characters: what is longer is no address or number, and no key of an index
_EMAIL: Final = re.compile(r"[^@\s,;<>\"]+@([^@\s,;<>\"]+\.[^@\s,;<>\".]+)")


def email(raw: str) -> str | None:
    """In lower case, the domain as DNS has it; None where it is no address."""
    found = _EMAIL.fullmatch(raw.strip().lower())
    if found is None:
        return None
    domain = found[1]
    if not domain.isascii():
        try:
            domain = domain.encode("idna").decode()
        except UnicodeError:
            return None
    return found[0][: found.start(1)] + domain


@lru_cache(maxsize=4096)
def phone(raw: str, region: str | None = None) -> str | None:
    """As +49301234567; None where it is no number. `region`: the country of numbers without a +, such as DE."""
    try:
        number = phonenumbers.parse(raw, region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def normalised(kind: str, raw: str, region: str | None) -> str | None:
    """By the kind: email or phone."""
    return email(raw) if kind == "email" else phone(raw, region)
