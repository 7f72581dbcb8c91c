"""Tokens of the organisation's services: made, listed, revoked, recognised; in the database, for all instances.

A token is 256 random bits, so its SHA-256 alone is kept (no slow hash is needed against guessing).
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, get_args

import asyncpg

from proxy.errors import ConsentryError
from proxy.policy.names import quote_identifier

Scope = Literal["read", "write", "audit", "profile", "rights"]
SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)
PREFIX: Final = "cst_"  # so that scanners of leaked secrets can know one


@dataclass(frozen=True, slots=True)
class Token:
    """A token as the database has it, without its secret. `login`: of the app that reads profiles with it."""

    id: int
    name: str
    scopes: tuple[Scope, ...]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    login: str | None = None


_COLUMNS = "id, name, scopes, created_at, expires_at, revoked_at, login"


async def add(
    connection: asyncpg.Connection,
    name: str,
    scopes: Collection[str],
    expires_at: datetime | None = None,
    login: str | None = None,
) -> tuple[Token, str]:
    """Makes a token; gives it with its secret, which cannot be had again. Raises ConsentryError: name taken, scopes.

    `login`: whose profiles it reads, with the scope `profile` alone.
    """
    wrong = [scope for scope in scopes if scope not in SCOPES]
    if wrong or not scopes:
        raise ConsentryError(f"a token's scopes are {', '.join(SCOPES)}" + (f', not "{wrong[0]}"' if wrong else ""))
    if ("profile" in scopes) != (login is not None):
        raise ConsentryError("the scope profile is an app's: say which (and no other scope has one)")
    secret = PREFIX + secrets.token_urlsafe(32)
    query = (
        f"INSERT INTO consentry.tokens (name, scopes, sha256, expires_at, login) VALUES ($1, $2, $3, $4, $5) "
        f"RETURNING {_COLUMNS}"
    )
    try:
        row = await connection.fetchrow(query, name, sorted(set(scopes)), _digest(secret), expires_at, login)
    except asyncpg.UniqueViolationError as error:
        raise ConsentryError(f'there is a token "{name}" already; revoked names stay taken') from error
    except asyncpg.CheckViolationError as error:
        raise ConsentryError("a token's name has 1 to 100 characters") from error
    except (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError) as error:
        raise ConsentryError('the database has no such tokens yet; run "consentry consent setup"') from error
    assert row is not None
    return _token(row), secret


async def missing_right(connection: asyncpg.Connection, login: str) -> str | None:
    """What lets the connection's own role act as the login, where it may not; None where it may.

    No more than SET ROLE: without INHERIT it has none of the login's rights but in a request of that app.
    """
    may = await connection.fetchval(
        "SELECT pg_catalog.pg_has_role(current_user, oid, 'MEMBER') FROM pg_catalog.pg_roles WHERE rolname = $1", login
    )
    if may:
        return None
    own = await connection.fetchval("SELECT current_user::text")
    options = " WITH INHERIT FALSE, SET TRUE" if connection.get_server_version()[0] >= 16 else ""
    return f"GRANT {quote_identifier(login)} TO {quote_identifier(own)}{options};"


async def every(connection: asyncpg.Connection) -> list[Token]:
    """All tokens, revoked ones too, oldest first."""
    return [_token(row) for row in await connection.fetch(f"SELECT {_COLUMNS} FROM consentry.tokens ORDER BY id")]


async def revoke(connection: asyncpg.Connection, name: str) -> Token:
    """Ends a token at once. Raises ConsentryError where there is none of this name that is not revoked."""
    row = await connection.fetchrow(
        f"UPDATE consentry.tokens SET revoked_at = now() WHERE name = $1 AND revoked_at IS NULL RETURNING {_COLUMNS}",
        name,
    )
    if row is None:
        raise ConsentryError(f'there is no token "{name}", or it is revoked already')
    return _token(row)


async def recognise(connection: asyncpg.Connection, secret: str) -> Token | None:
    """The token of this secret, where it is in force."""
    row = await connection.fetchrow(
        f"SELECT {_COLUMNS} FROM consentry.tokens WHERE sha256 = $1 AND revoked_at IS NULL "
        "AND (expires_at IS NULL OR expires_at > now())",
        _digest(secret),
    )
    return None if row is None else _token(row)


async def in_force(connection: asyncpg.Connection, number: int) -> Token | None:
    """The token of this number, where it is in force."""
    row = await connection.fetchrow(
        f"SELECT {_COLUMNS} FROM consentry.tokens WHERE id = $1 AND revoked_at IS NULL "
        "AND (expires_at IS NULL OR expires_at > now())",
        number,
    )
    return None if row is None else _token(row)


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def _token(row: asyncpg.Record) -> Token:
    return Token(**{**dict(row), "scopes": tuple(row["scopes"])})
