"""The profile as a view in the database: `consent setup` makes it, apps read it as the gateway governs it."""

from __future__ import annotations

import asyncpg

from proxy.catalog.model import Snapshot
from proxy.consent.own_view import OwnView
from proxy.errors import ConsentryError
from proxy.policy.names import join_dotted
from proxy.policy.table import CompiledRules
from proxy.rewrite.profile import column_names, profile_query


async def follow(connection: asyncpg.Connection, rules: CompiledRules, snapshot: Snapshot) -> tuple[str, ...]:
    """Makes the view where it is not there, or not as the rules have it: what was made.

    Raises ConsentryError where this login may not.
    """
    wanted = view(rules, snapshot)
    if wanted is None:
        return ()
    name = join_dotted(*wanted.key)
    try:
        async with connection.transaction():
            await connection.execute("SET LOCAL search_path = pg_catalog; SET LOCAL client_min_messages = warning")
            return (name,) if await wanted.make(connection) else ()
    except asyncpg.InsufficientPrivilegeError as error:
        raise ConsentryError(
            f"this login cannot make view {name}: {error}; run `consentry consent setup` with an owner's --dsn"
        ) from error


def view(rules: CompiledRules, snapshot: Snapshot) -> OwnView | None:
    """The view that the rules describe; None where they have no profile.

    It is read with the rights of who asks, so that a right to read it gives nothing beyond the tables.
    """
    profile = rules.profile
    if profile is None:
        return None
    query, about = profile_query(profile, snapshot), "The unified profile: one row a customer, as the rules have it"
    return OwnView(profile.relation, column_names(profile), query, about, invoker=True)
