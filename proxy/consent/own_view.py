"""Views of Consentry's own, which follow the rules: made anew where the rules have another query now.

Such a view is no migration: its query follows the rules, and it must go where the types that it shows change.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import asyncpg

from proxy.policy.names import quote_identifier
from proxy.rewrite.lex import quote_literal


@dataclass(frozen=True, slots=True)
class OwnView:
    """A view by its name and query. `about`: what its comment says. `invoker`: read with the rights of who asks, where
    the server can (15 and later); nobody else may read it then.
    """

    key: tuple[str, str]
    columns: tuple[str, ...]
    query: str
    about: str
    invoker: bool = False

    @property
    def name(self) -> str:
        return ".".join(map(quote_identifier, self.key))

    @property
    def note(self) -> str:
        """The view's comment, which says of what query it was made."""
        return f"{self.about} ({hashlib.sha256(self.query.encode()).hexdigest()[:16]})"

    async def make(self, connection: asyncpg.Connection) -> bool:
        """Makes the view where it is not there or is another one: whether anything was done. Grants stay if possible.

        In the caller's transaction, whose search_path is pg_catalog.
        """
        if await self.is_made(connection):
            return False
        try:
            async with connection.transaction():
                await connection.execute(f"CREATE OR REPLACE {self._definition(connection)}")
        except asyncpg.InvalidTableDefinitionError:  # its columns have other types now
            await self.drop(connection)
            await connection.execute(f"CREATE {self._definition(connection)}")
        await connection.execute(
            f"REVOKE ALL ON {self.name} FROM PUBLIC; COMMENT ON VIEW {self.name} IS {quote_literal(self.note)}"
        )
        return True

    def _definition(self, connection: asyncpg.Connection) -> str:
        options = " WITH (security_invoker)" if self.invoker and connection.get_server_version()[0] >= 15 else ""
        columns = ", ".join(map(quote_identifier, self.columns))
        return f"VIEW {self.name} ({columns}){options} AS {self.query}"

    async def is_made(self, connection: asyncpg.Connection) -> bool:
        """Whether the view is there, and made of this query."""
        said = await connection.fetchval(
            "SELECT pg_catalog.obj_description(pg_catalog.to_regclass($1), 'pg_class')", self.name
        )  # fmt: skip
        return bool(said == self.note)

    async def drop(self, connection: asyncpg.Connection) -> None:
        """Takes the view away, where something that it reads must change."""
        await connection.execute(f"DROP VIEW IF EXISTS {self.name}")
