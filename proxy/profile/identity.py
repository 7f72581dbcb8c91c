"""What records are matched by, in one form however it was written: addresses and phone numbers."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Final
from urllib.parse import unquote

import phonenumbers

LONGEST: Final = 500  # characters: what is longer is no address or number, and no key of an index
_EMAIL: Final = re.compile(r"[^@\s\0-\x1f,;<>\"]+@([^@\s\0-\x1f,;<>\"]+\.[^@\s\0-\x1f,;<>\".]+)")
_NAMED: Final = re.compile(r"([^<>]*)<([^<>]*)>")  # Ann Example <ann@example.org>
_SCHEME: Final = "mailto:"
# What stands between blanks and marks; and what may be an address between other marks, which some addresses have.
_WORDS: Final = (
    re.compile(r"[^\s\0-\x1f,;<>\"]+"),
    re.compile(r"[^\s\0-\x1f,;<>\"'()\[\]{}|/\\:&?=@]{1,64}@[\w.-]{1,255}"),
)
_BETWEEN: Final = re.compile(r"[,;|/\n]|\s(?:or|and|oder|und)\s")
_LONGEST_LIST: Final = 20_000  # characters
_AROUND: Final = " \t\r\n'\"<>()[]{}|,;."  # of an address that stood in a list, or in a sentence


def email(raw: str) -> str | None:
    """In lower case, the domain as DNS has it; None where it is no address, or several."""
    text = _plain(raw).lower()
    named = _NAMED.fullmatch(text.strip())
    if named is not None:
        if "@" in named[1] and email(named[1]) != email(named[2]):
            return None
        text = named[2]
    text = text.strip(_AROUND)
    if text.startswith(_SCHEME):
        text = _plain(unquote(text.removeprefix(_SCHEME).partition("?")[0])).lower().strip(_AROUND)
    found = _EMAIL.fullmatch(text)
    if found is None:
        return None
    domain = found[1]
    if not domain.isascii():
        try:
            domain = domain.encode("idna").decode()
        except UnicodeError:
            return None
    return found[0][: found.start(1)] + domain


def several(kind: str, raw: str, region: str | None) -> list[str]:
    """All addresses or numbers in a text that is not one of them: in the form that `normalised` gives."""
    if kind == "phone":
        return _phones(raw, region) if len(raw) <= _LONGEST_LIST else []
    if email(raw) is not None:
        return []
    text = _plain(raw[:_LONGEST_LIST])
    words = {word for one in (text, unquote(text)) for pattern in _WORDS for word in pattern.findall(one)}
    return sorted({found for found in map(email, words) if found is not None})


@lru_cache(maxsize=4096)
def _phones(raw: str, region: str | None) -> list[str]:
    one = phone(raw, region)
    if one is not None and not _BETWEEN.search(raw):
        return []
    matches = phonenumbers.PhoneNumberMatcher(raw, region, leniency=phonenumbers.Leniency.POSSIBLE)
    found = {phonenumbers.format_number(match.number, phonenumbers.PhoneNumberFormat.E164) for match in matches}
    return sorted(found - {one})


def may_hold_email(raw: str) -> bool:
    """Whether there may be an address in it, or several, though it is none."""
    return "@" in _plain(raw)


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


def _plain(raw: str) -> str:
    """Letters of one kind only, and none that nobody sees."""
    if raw.isascii():
        return raw
    return "".join(one for one in unicodedata.normalize("NFKC", raw) if unicodedata.category(one) != "Cf")
