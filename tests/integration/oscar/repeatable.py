"""The clock and the dice of a run: two runs of the same requests write and render the same bytes.

Imported by settings.py, before anything takes these functions by name. `begin` starts a step: what an earlier step did
differently then makes no difference.
"""

from __future__ import annotations

import random
import time
from datetime import UTC, datetime, timedelta

from django.contrib.auth.hashers import MD5PasswordHasher
from django.contrib.auth.tokens import PasswordResetTokenGenerator
from django.utils import crypto, timezone
from oscar.core.thumbnails import AbstractThumbnailer

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)

_dice = random.Random(5)
_step = START
_ticks = 0


def begin(step: int) -> None:
    """The clock at so many minutes after its start, the dice as they fall in that minute."""
    global _step, _ticks
    _step, _ticks = START + timedelta(minutes=step), 0
    _dice.seed(step)


def now() -> datetime:
    """One millisecond later at each call."""
    global _ticks
    _ticks += 1
    return _step + timedelta(milliseconds=_ticks)


def get_random_string(length: int, allowed_chars: str = crypto.RANDOM_STRING_CHARS) -> str:
    return "".join(_dice.choice(allowed_chars) for _ in range(length))


timezone.now = now
time.time = lambda: _step.timestamp()  # signatures with a time in them
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
