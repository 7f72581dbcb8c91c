"""The clock and the dice of a run: two runs of the same requests write and render the same bytes.

Imported by settings.py, before anything takes these functions by name. `begin` starts a step: what an earlier step did
differently then makes no difference.
"""

from __future__ import annotations

import random
import time
from datetime import UTC, datetime, timedelta, tzinfo

from django.contrib.auth.hashers import MD5PasswordHasher
from django.contrib.auth.tokens import PasswordResetTokenGenerator
from django.template import defaulttags
from django.utils import crypto, timezone
from oscar.core.thumbnails import AbstractThumbnailer

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)

_dice = random.Random(5)
_step = START
_ticks = 0


def begin(step: int, dice: int | None = None) -> None:
    """The clock at so many minutes after its start, the dice as they fall then, or as `dice` says."""
    global _step, _ticks
    _step, _ticks = START + timedelta(minutes=step), 0
    _dice.seed(step if dice is None else dice)


def now() -> datetime:
    """One millisecond later at each call."""
    global _ticks
    _ticks += 1
    return _step + timedelta(milliseconds=_ticks)


def get_random_string(length: int, allowed_chars: str = crypto.RANDOM_STRING_CHARS) -> str:
    return "".join(_dice.choice(allowed_chars) for _ in range(length))


class Clock(datetime):
    """For `{% now %}`."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
        return now().astimezone(tz)


timezone.now = now
defaulttags.datetime = Clock
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
