"""Whether a file that is read whole looks as it did the last time: half of a file is a whole one, if it was cut between
two records.
"""

from __future__ import annotations

from typing import Final

import asyncpg

_LOST: Final = """
    SELECT EXISTS (SELECT FROM pg_temp.profile_missing m JOIN consentry.profile_sources s ON s.name = $1
                   WHERE s.last_record = consentry.profile_tombstone('record', $1, m.key))"""
_NOTE: Final = """
    UPDATE consentry.profile_sources SET last_record = (
        SELECT consentry.profile_tombstone('record', $1, key) FROM pg_temp.profile_incoming
        WHERE NOT deleted ORDER BY number DESC LIMIT 1)
    WHERE name = $1"""


async def lost_end(connection: asyncpg.Connection, source: str) -> bool:
    """Whether the record that was the file's last one the last time is among those that are gone (profile_missing)."""
    return bool(await connection.fetchval(_LOST, source))


async def note_end(connection: asyncpg.Connection, source: str) -> None:
    """Notes which of the incoming records, as far as they are kept, is the file's last one."""
    await connection.execute(_NOTE, source)
