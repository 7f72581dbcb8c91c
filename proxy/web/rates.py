"""How often one caller may ask, and one address may guess."""

from __future__ import annotations

from typing import Final

from limits import RateLimitItem, RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from proxy.web.callers import Caller
from proxy.web.problems import Problem

SERVICE: Final = RateLimitItemPerMinute(6000)
CUSTOMER: Final = RateLimitItemPerMinute(120)
GUESSES: Final = RateLimitItemPerMinute(30)  # links and tokens that are not ours, by address


class Rates:
    """Counts of the last minute, in this process."""

    def __init__(
        self, service: RateLimitItem = SERVICE, customer: RateLimitItem = CUSTOMER, guesses: RateLimitItem = GUESSES
    ) -> None:
        self._limits = MovingWindowRateLimiter(MemoryStorage())
        self._service, self._customer, self._guesses = service, customer, guesses

    def take(self, caller: Caller) -> None:
        """Counts a request of the caller. Raises Problem where it is one too many."""
        limit = self._service if caller.subject is None else self._customer
        if not self._limits.hit(limit, caller.name, caller.subject or ""):
            raise _too_many()

    def note_guess(self, address: str) -> None:
        """Counts a request from nobody that is known."""
        self._limits.hit(self._guesses, address)

    def refuse_guesser(self, address: str) -> None:
        """Raises Problem where the address has guessed too often."""
        if not self._limits.test(self._guesses, address):
            raise _too_many()


def _too_many() -> Problem:
    return Problem(429, "too many requests; wait a minute", headers={"Retry-After": "60"})
