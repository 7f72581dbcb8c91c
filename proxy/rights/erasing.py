"""Carries a plan out, in the transaction that it finds: locks, counts, looks what is in the way, changes, looks again.

Locks are taken on what others refer to first: from then on no new row can refer to a row that goes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import asyncpg

from proxy.consent.ledger import LACKING
from proxy.errors import ConsentryError
from proxy.policy.names import quote_relation
from proxy.rights import conditions
from proxy.rights.plan import CannotEraseError, Plan, Step

ROUNDS = 3  # triggers that write into other tables of the plan may need another one
LOCK_SECONDS = 60


@dataclass(frozen=True, slots=True)
class TableOutcome:
    """What was, or would be, done to one table. `kept`: reason -> rows; `stays`: columns of anonymised rows;
    `secret`: reasons of which no receipt tells.
    """

    relation: str
    action: str
    rows: int
    kept: Mapping[str, int] = field(default_factory=dict)
    stays: tuple[str, ...] = ()
    secret: frozenset[str] = frozenset()


@asynccontextmanager
async def careful(connection: asyncpg.Connection, *, writes: bool) -> AsyncIterator[None]:
    """A transaction in which all or nothing is done, and nothing is hidden by row security. What goes wrong is said.

    Without `writes` all is read of one moment.
    """
    try:
        reading = connection.transaction(isolation="repeatable_read", readonly=True)
        async with connection.transaction(isolation="read_committed") if writes else reading:
            await connection.execute("SET LOCAL row_security = off; SET LOCAL statement_timeout = 0")
            await connection.execute(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'")
            yield
    except asyncpg.InsufficientPrivilegeError as error:
        hint = 'the grants that erasing needs are printed by "consentry consent setup --erasure"'
        raise ConsentryError(f"nothing was changed: {error}; {hint}") from error
    except LACKING as error:
        raise ConsentryError(f'nothing was changed: {error}; run "consentry consent setup"') from error
    except asyncpg.LockNotAvailableError as error:
        raise ConsentryError(f"nothing was changed: another transaction holds the rows: {error}; try again") from error
    except (asyncpg.IntegrityConstraintViolationError, asyncpg.DataError, asyncpg.RaiseError) as error:
        # Without the detail: it quotes rows.
        raise ConsentryError(f"nothing was changed: the database refuses it: {error.args[0]}") from error
    except asyncpg.TransactionRollbackError as error:  # deadlocks
        raise ConsentryError(f"nothing was changed: {error}; try again") from error


async def survey(
    connection: asyncpg.Connection, plan: Plan, values: Sequence[Any], *, lock: bool
) -> list[TableOutcome]:
    """What the plan would do. `values`: of the parameters. Raises CannotEraseError with all that is in the way."""
    found = [await count(connection, step, values, lock=lock) for step in plan.steps]
    counts = [(one.said, await connection.fetchval(one.query, *values)) for one in plan.obstacles]
    reasons = [said.format(count) for said, count in counts if count]
    if reasons:
        raise CannotEraseError(reasons)
    return found


async def carry_out(
    connection: asyncpg.Connection, plan: Plan, values: Sequence[Any], surveyed: Sequence[TableOutcome]
) -> list[TableOutcome]:
    """Does it; gives what was done. Raises CannotEraseError where the database undoes it, by a trigger for one."""
    await connection.execute("SET CONSTRAINTS ALL DEFERRED")
    done = {step.name: 0 for step in plan.steps}
    for _ in range(ROUNDS):
        for step in reversed(plan.steps):
            done[step.name] += await _change(connection, step, values)
        left = [step for step in plan.steps if await _left(connection, step, values)]
        if not left:
            break
    else:
        names = ", ".join(step.name for step in left)
        raise CannotEraseError([f"{names}: rows are there again after they went: a trigger or rule of the table"])
    for key in plan.refreshed:
        await connection.execute(f"REFRESH MATERIALIZED VIEW {quote_relation(key)}")
    await connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
    return [replace(one, rows=done[one.relation]) for one in surveyed]


async def count(connection: asyncpg.Connection, step: Step, values: Sequence[Any], *, lock: bool) -> TableOutcome:
    """What would be done to one table."""
    reasons = [reason for reason, _ in step.kept]
    cases = " ".join(f"WHEN {text} THEN {number}" for number, (_, text) in enumerate(step.kept))
    why = f"(CASE {cases} END)" if cases else "NULL::int"
    goes = "false" if step.table.action == "keep" else f"({step.goes}) IS TRUE"
    locking = " FOR UPDATE" if lock and step.table.action != "keep" else ""
    rows = await connection.fetch(
        f"SELECT why, goes, count(*) AS rows FROM (SELECT {why} AS why, {goes} AS goes FROM {step.relation} "
        f"WHERE {step.rows}{locking}) AS found GROUP BY why, goes",
        *values,
    )
    kept: dict[str, int] = {}
    for row in rows:
        if row["why"] is not None:
            kept[reasons[row["why"]]] = kept.get(reasons[row["why"]], 0) + row["rows"]
    count = sum(row["rows"] for row in rows if row["goes"])
    secret = frozenset(one.reason for one in step.table.kept if one.secret)
    return TableOutcome(step.name, step.table.action, count, kept, step.table.stays, secret)


async def _change(connection: asyncpg.Connection, step: Step, values: Sequence[Any]) -> int:
    if step.table.action == "delete":
        tag = await connection.execute(f"DELETE FROM {step.relation} WHERE {step.goes}", *values)
    elif step.table.action == "anonymise" and step.table.replacements:
        sets = conditions.assignments(step.table.key, step.table.replacements)
        tag = await connection.execute(f"UPDATE {step.relation} SET {sets} WHERE {step.goes}", *values)
    else:
        return 0
    return int(tag.rpartition(" ")[2])


async def _left(connection: asyncpg.Connection, step: Step, values: Sequence[Any]) -> bool:
    if step.table.action not in ("delete", "anonymise"):
        return False
    query = f"SELECT EXISTS (SELECT 1 FROM {step.relation} WHERE {step.goes})"
    return bool(await connection.fetchval(query, *values))
