"""What the governed database refuses of what sources say, in words without anybody's data."""

from __future__ import annotations

from typing import Final

import asyncpg

# Classes of SQLSTATE: not what is wrong with a statement, nor the end of a connection.
_VALUES: Final = "22"  # the message has the value in it
_OTHERS: Final = ("23", "25", "40", "53", "54", "55", "57")


def refusal(error: asyncpg.PostgresError) -> str | None:
    """Why the database does not take it; None where that is not what the error says."""
    state = str(error.sqlstate)
    if state.startswith(_VALUES):
        return f"the database does not take a value of it (SQLSTATE {state}, {type(error).__name__})"
    if not state.startswith(_OTHERS):
        return None
    search = ": leave `search` out in the rules, or set a lower `limit`" if "tsvector" in str(error) else ""
    return f"the database does not take it: {error.args[0]}{search}"  # without the detail, which quotes values
