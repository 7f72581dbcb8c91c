"""Whether anything of a customer is in the database: rows, what other sources say, decisions."""

from __future__ import annotations

import asyncpg

from proxy.errors import ConsentryError
from proxy.policy.names import quote_relation
from proxy.rights import conditions
from proxy.rights.desk import Desk
from proxy.rights.plan import rights_of

_OWN = ("consentry.events", "consentry.profile_records")


async def holds(desk: Desk, subject: str) -> bool:
    """Raises ConsentryError where Consentry's own login may not read all of it, so that it cannot be told."""
    kind = await desk.check(subject)
    queries = [f"SELECT FROM {name} WHERE subject = $1::text::{kind}" for name in _OWN]
    for table in rights_of(desk.rules).tables.values():
        if table.subject is not None and desk.snapshot.relations[table.key].kind in "rpf":
            theirs = conditions.of_subject(table.key, table.subject, table.family)
            queries.append(f"SELECT FROM {quote_relation(table.key)} WHERE {theirs}")
    try:
        async with desk.connection.transaction(readonly=True):
            await desk.connection.execute("SET LOCAL row_security = off")
            for query in queries:
                if await desk.connection.fetchval(f"SELECT EXISTS ({query})", subject):
                    return True
    except asyncpg.InsufficientPrivilegeError as error:
        hint = 'the grants that it needs are printed by "consentry consent setup --exports"'
        said = f"whether anything of customer {subject} is in the database cannot be told: {error}; {hint}"
        raise ConsentryError(said) from error
    return False
