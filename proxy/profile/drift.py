"""Whether a source that is read whole looks as it did the last time: half of a file is a whole one, if it was cut
between two records; and of records that need not have every field, one may be called otherwise from now on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import asyncpg

from proxy.profile.sources.reading import SourceError

_NEARLY_ALL: Final = 0.9  # of the records
_MOST: Final = 0.5
_SEVERAL: Final = 5  # records without a field, before it matters how many of all they are

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


async def check_fields(
    connection: asyncpg.Connection, source: str, fields: Iterable[str], found: Mapping[str, int], read: int
) -> None:
    """Raises SourceError for a field that nearly all records had the last time, and most of them have not now.

    `found`: how many of the `read` records have each.
    """
    query = "SELECT usual_fields FROM consentry.profile_sources WHERE name = $1"
    usual = await connection.fetchval(query, source) or ()
    for field in fields:
        count = found.get(field, 0)
        if field in usual and read - count >= _SEVERAL and count < _MOST * read:
            said = f'field "{field}" is in {count} of {read} records, and was in nearly all the last time'
            raise SourceError(source, f"{said}: was it renamed? If not, say --accept-deletes")


async def note_fields(connection: asyncpg.Connection, source: str, found: Mapping[str, int], read: int) -> None:
    """Notes which fields nearly all records have."""
    usual = sorted(field for field, count in found.items() if count >= _NEARLY_ALL * read)
    await connection.execute("UPDATE consentry.profile_sources SET usual_fields = $2 WHERE name = $1", source, usual)
