"""The clock and the dice of a run: two runs of the same requests write and render the same bytes.

Imported by settings.py, before anything takes these functions by name.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from itertools import count

from django.contrib.auth.hashers import MD5PasswordHasher
from django.contrib.auth.tokens import PasswordResetTokenGenerator
from django.utils import crypto, timezone
from oscar.core.thumbnails import AbstractThumbnailer

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)

_ticks = count(1)
_dice = random.Random(5)


def now() -> datetime:
    """One millisecond later at each call."""
    return START + timedelta(milliseconds=next(_ticks))


def get_random_string(length: int, allowed_chars: str = crypto.RANDOM_STRING_CHARS) -> str:
    return "".join(_dice.choice(allowed_chars) for _ in range(length))


timezone.now = now
crypto.get_random_string = get_random_string
PasswordResetTokenGenerator._now = lambda self: START.replace(tzinfo=None)  # type: ignore[attr-defined]


class Hasher(MD5PasswordHasher):
    def salt(self) -> str:
        return "salt"


class Thumbnailer(AbstractThumbnailer):  # type: ignore[misc]
    """The picture itself: no library of thumbnails is needed to look at queries."""

    def generate_thumbnail(self, source: object, **opts: object) -> object:
        return source

    def delete_thumbnails(self, source: object) -> None:
        pass
