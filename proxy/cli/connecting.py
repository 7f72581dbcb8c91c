"""How commands reach a database of the settings."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncpg

    from proxy.cli.opening import Opened


def run(
    work: Callable[[asyncpg.Connection, Opened], Awaitable[None]],
    config: Path,
    database: str | None,
    dsn: str | None = None,
) -> None:
    """Does `work` with a connection to the database, by `dsn` or as the settings say.

    Raises UnreachableError where that connection ends meanwhile; ConsentryError where it finds something missing that
    the ledger would have, were it up to date.
    """
    from proxy.catalog.connect import connected, ended, lost
    from proxy.cli.opening import open_database
    from proxy.consent.ledger import LACKING, is_behind
    from proxy.errors import ConsentryError

    async def all_of_it() -> None:
        opened = open_database(config, database, dsn)
        async with connected(opened.control_dsn) as connection:
            try:
                await work(connection, opened)
            except Exception as error:
                if connection.is_closed() and ended(error):
                    raise lost(opened.control_dsn, error) from error
                if isinstance(error, LACKING) and await is_behind(connection):
                    what = "the ledger is not there or of an older version: run `consentry consent setup`"
                    raise ConsentryError(f"{error}: {what}") from error
                raise

    asyncio.run(all_of_it())
