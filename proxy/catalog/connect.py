"""Consentry's own connections: the one way to open them, with errors that say which database and what to do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from urllib.parse import urlsplit

import asyncpg

from proxy.errors import ConsentryError, UnreachableError

_REFUSALS: Final = ("28", "3D", "42")  # classes of SQLSTATE: the login, the database's name, rights
_ENDINGS: Final = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.exceptions.DatabaseDroppedError,
    asyncpg.exceptions.IdleSessionTimeoutError,
)


class RefusedError(UnreachableError):
    """The database is there and does not let us in: trying again does not help."""


@asynccontextmanager
async def connected(dsn: str, seconds: float = 10.0) -> AsyncIterator[asyncpg.Connection]:
    """A connection to `dsn` (a URI), closed afterwards.

    Raises UnreachableError (exit code 3) when the database cannot be reached within `seconds` or refuses the login, and
    ConsentryError when the URI cannot be read. Passwords are in neither.
    """
    connection = await connect(dsn, seconds)
    try:
        yield connection
    finally:
        await connection.close()


async def connect(dsn: str, seconds: float = 10.0) -> asyncpg.Connection:
    """As `connected`; the caller closes it."""
    place = _place(dsn)
    try:
        # No cached statements: the connection may go through a pooler in transaction mode.
        return await asyncpg.connect(dsn, timeout=seconds, statement_cache_size=0)
    except TimeoutError as error:
        raise UnreachableError(f"{place} did not answer within {seconds:g} s") from error
    except OSError as error:
        raise UnreachableError(f"{place} cannot be reached: {error.strerror or error}") from error
    except asyncpg.PostgresError as error:
        kind = RefusedError if str(error.sqlstate).startswith(_REFUSALS) else UnreachableError
        raise kind(f"{place} does not let us in: {error}") from error
    except (asyncpg.ClientConfigurationError, ValueError) as error:
        raise ConsentryError(f"{place}: the connection URI is wrong: {error}") from error
    except asyncpg.InterfaceError as error:
        raise UnreachableError(f"{place}: {error}") from error


def ended(error: Exception) -> bool:
    """Whether a connection that was in use ended, by its server or on the way: another one may go on."""
    if isinstance(error, asyncpg.InterfaceError):
        return "closed" in str(error)  # else it was used wrongly
    return isinstance(error, _ENDINGS)


def lost(dsn: str, error: Exception) -> UnreachableError:
    """What to say where a connection to `dsn` has `ended`."""
    return UnreachableError(f"{_place(dsn)}: the connection ended: {error}")


def _place(dsn: str) -> str:
    """`database shop at db.internal:5432 as consentry`, without a password."""
    try:
        parts = urlsplit(dsn)
        database, host, port, user = parts.path.lstrip("/"), parts.hostname, parts.port, parts.username
    except ValueError:
        return "the database"
    where = f" at {host}:{port or 5432}" if host else ""
    who = f" as {user}" if user else ""
    return f"database {database}{where}{who}" if database else f"the database{where}{who}"
