"""How long to wait before a process that ended is started again."""

from __future__ import annotations

from time import monotonic
from typing import Final

FIRST: Final = 0.5  # seconds; doubled each time
LONGEST: Final = 30.0
STEADY: Final = 60.0  # seconds of life after which the pause is the first one again


class Backoff:
    """Of one process, over its lives."""

    def __init__(self) -> None:
        self._next = FIRST
        self._begun = 0.0

    def begin(self) -> None:
        """It is started."""
        self._begun = monotonic()

    def pause(self) -> float:
        """It has ended: the seconds until it is started again."""
        if monotonic() - self._begun > STEADY:
            self._next = FIRST
        pause, self._next = self._next, min(self._next * 2, LONGEST)
        return pause
