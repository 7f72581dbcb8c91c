"""What a session must see to before its next statement; a session without concerns takes the hot path."""

from __future__ import annotations

from typing import Final

STALE: Final = 1  # a new generation is in force
DIRTY: Final = 2  # names may mean something else than the context's path says
TOUCHED: Final = 4  # names changed in a transaction that has not ended
WAITING: Final = 8  # for an answer of the server, or for the catalog to be read again
UNRECORDED: Final = 16  # audit records cannot be written
DRAINING: Final = 32  # the session ends with its transaction
LOOKING: Final = 64  # the catalog has changed, and is being read again
