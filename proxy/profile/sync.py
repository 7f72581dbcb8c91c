"""Brings what other sources know of customers into the profile, and can run again after any failure.

What is read is compared with what is kept, and the same again changes nothing: a sync that was killed is simply run
again.
"""

from __future__ import annotations

import traceback
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final

import asyncpg

from proxy.catalog.connect import connected, ended
from proxy.catalog.introspect import take_snapshot
from proxy.consent import locks
from proxy.consent.ledger import LACKING
from proxy.consent.service import subject_type
from proxy.errors import ConsentryError
from proxy.policy.compile import compile_rules
from proxy.profile import matching, merging, newcomers, others, own, relation, shape, staging, tombstones
from proxy.profile.one_source import OneSource, Plan, Progress, Synced, making
from proxy.profile.refused import refusal
from proxy.profile.sources.opening import is_followed, open_followed
from proxy.profile.sources.reading import SourceError

_OURS: Final = Path(__file__).parent  # the package of this file


async def sync(
    connection: asyncpg.Connection,
    plan: Plan,
    dsn: str,
    chosen: Collection[str] = (),
    progress: Progress | None = None,
) -> list[Synced]:
    """Syncs the chosen sources, or all: those that name customers by key first, for others are matched with them.

    `dsn` is the connection's own: a second one holds the lock. A source with an error leaves what is kept of it, and
    the others go on. Raises ConsentryError where nothing can be done: another sync runs, columns are missing.
    """
    sources = plan.rules.sources
    for name in chosen:
        if name not in sources:
            raise ConsentryError(f'the rules have no source "{name}"; they have: {", ".join(sources)}')
    names = sorted(chosen or sources, key=lambda name: sources[name].match is not None)
    with _told():
        async with _alone(dsn):
            kind = await subject_type(connection)
            await _prepare(connection, plan, kind)
            done = []
            for name in names:
                synced = Synced(name)
                done.append(synced)
                async with _failing(connection, synced):
                    await OneSource(connection, plan, name, kind, progress).run(synced)
            await _rematch(connection, plan, kind)
        return done


async def catch_up(connection: asyncpg.Connection, plan: Plan, dsn: str, names: Collection[str]) -> list[Synced]:
    """Syncs those of the sources that are followed by replication and have something new, and does nothing else.

    Customers are matched as they were known last. Errors as `sync`; while another sync runs, nothing is done.
    """
    done = []
    with _told():
        kind = await subject_type(connection)
        for name in names:
            one, synced, looked = OneSource(connection, plan, name, kind), Synced(name), False
            async with _failing(connection, synced):
                try:
                    if await one.pending():
                        async with _alone(dsn):
                            looked = True
                            await one.run(synced)
                except BusyError:
                    continue
            if looked or synced.error is not None:
                done.append(synced)
    return done


def matches(plan: Plan) -> bool:
    """Whether any source's records are matched with customers."""
    return any(one.match is not None for one in plan.rules.sources.values())


async def take_in(connection: asyncpg.Connection, plan: Plan) -> int:
    """Finds the records of customers who are new in the database: how many. Raises as `sync`."""
    with _told():
        kind = await subject_type(connection)
        return await newcomers.match(connection, plan.rules, plan.compiled, kind, making(plan.rules))


def followed(plan: Plan, chosen: Collection[str] = ()) -> list[str]:
    """Those of the sources that are followed by replication, as the settings have it."""
    places = plan.configuration.settings.databases[plan.database].sources
    return [name for name in chosen or plan.rules.sources if is_followed(places.get(name))]


class BusyError(ConsentryError):
    """Another sync of this database is running."""


@contextmanager
def _told() -> Iterator[None]:
    """Says what to do where Consentry's own tables are not there or not as they must be, or do not take something."""
    try:
        yield
    except LACKING as error:
        raise ConsentryError(f"{error}: run `consentry consent setup`") from error
    except asyncpg.PostgresError as error:
        why = None if ended(error) else refusal(error)
        if why is None:
            raise
        raise ConsentryError(f"what sources say cannot be brought together: {why}") from error


@asynccontextmanager
async def _failing(connection: asyncpg.Connection, synced: Synced) -> AsyncIterator[None]:
    """Notes what goes wrong with one source, and lets the others go on; also what nobody thought of.

    Raises what is of all of them: Consentry's tables are not there, the connection ended.
    """
    try:
        yield
    except ConsentryError as error:
        await _fail(connection, synced, error)
    except LACKING:
        raise
    except Exception as error:
        if ended(error):
            raise
        await _fail(connection, synced, _unexpected(synced.source, error))


def _unexpected(source: str, error: Exception) -> SourceError:
    """Where it came from; what it says may have a value in it."""
    frames = traceback.extract_tb(error.__traceback__)
    inner = next((one for one in reversed(frames) if _OURS in Path(one.filename).parents), frames[-1])
    where = f"{Path(inner.filename).name}, line {inner.lineno}"
    failed = SourceError(source, f"{type(error).__name__} in {where}, which is not expected: please report it")
    failed.__cause__ = error
    return failed


async def _fail(connection: asyncpg.Connection, synced: Synced, error: ConsentryError) -> None:
    synced.error = error
    await connection.execute(
        "INSERT INTO consentry.profile_sources (name, tried_at, error) VALUES ($1, now(), $2) "
        "ON CONFLICT (name) DO UPDATE SET tried_at = excluded.tried_at, error = excluded.error",
        synced.source,
        str(error),
    )


@asynccontextmanager
async def _alone(dsn: str) -> AsyncIterator[None]:
    """Holds the lock in a transaction of its own, which a pooler leaves on one connection."""
    async with connected(dsn) as holding:
        await holding.execute("BEGIN; SET LOCAL idle_in_transaction_session_timeout = 0")
        if not await holding.fetchval(locks.SYNCING):
            raise BusyError("another sync of this database is running: wait for its end")
        yield
        try:
            await holding.execute("COMMIT")
        except Exception as error:
            if not ended(error):
                raise
            # The lock went with the connection; what was done is done.


async def _prepare(connection: asyncpg.Connection, plan: Plan, kind: str) -> None:
    """Columns, precedence and the database's own customers, as they are now."""
    made = await shape.follow(connection, plan.rules)
    if made:
        snapshot = await take_snapshot(connection)
        await relation.follow(connection, compile_rules(plan.rules, snapshot), snapshot)
    async with connection.transaction():
        await connection.execute(locks.WRITING)
        await staging.begin(connection)
        await own.read(connection, plan.rules, plan.compiled, anew=plan.anew)
        if await merging.follow_precedence(connection, plan.rules) or made:
            await merging.affect_all(connection)
            await merging.merge(connection, plan.rules, kind)
        await others.note(connection, plan.rules)  # customers may have come and gone meanwhile


async def _rematch(connection: asyncpg.Connection, plan: Plan, kind: str) -> None:
    """Records that wait may be somebody's now. Where the sources were read anew, so is made what apps read of them."""
    async with connection.transaction():
        await connection.execute(locks.WRITING)
        await staging.begin(connection)
        if plan.anew:
            await merging.affect_all(connection)
            await tombstones.free(connection)
        await newcomers.touch(connection, plan.compiled, kind)
        await matching.match(connection, kind, making(plan.rules))
        await merging.merge(connection, plan.rules, kind)


async def cut_over(connection: asyncpg.Connection, done: Collection[Synced]) -> list[str]:
    """From now on the data of these sources lives here: of which it did not before.

    Raises ConsentryError where one is not wholly here: then nothing is done.
    """
    for one in done:
        differing = [compared.attribute for compared in one.compared if not compared.same]
        if one.error is not None or differing:
            why = str(one.error or f"{', '.join(differing)} differ")
            raise ConsentryError(f"nothing is cut over: {one.source}: {why}")
    rows = await connection.fetch(
        "UPDATE consentry.profile_sources SET cut_over_at = now() WHERE cut_over_at IS NULL AND name = ANY ($1) "
        "RETURNING name",
        [one.source for one in done],
    )
    return sorted(row["name"] for row in rows)


async def drop_slots(plan: Plan, done: Collection[Synced]) -> None:
    """No slot holds the logs of these sources any more. Raises ConsentryError where one cannot be dropped."""
    for one in done:
        reader = open_followed(plan.configuration, plan.database, one.source)
        if reader is not None:
            await reader.drop()
