"""`profile sync --watch`: one sync after another, and between them what is not to wait for the next one.

Where the database restarts, or a connection to it breaks, it is connected to anew, and synced. What is kept of a source
says how far it is read, so nothing is lost by that and nothing there twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import monotonic
from typing import Final, NoReturn

import asyncpg

from proxy.catalog.connect import RefusedError, connected, ended, lost
from proxy.errors import UnreachableError
from proxy.ops.backoff import Backoff
from proxy.profile.one_source import Plan, Synced
from proxy.profile.sync import BusyError, catch_up, followed, matches, take_in

_POLL: Final = 1.0  # seconds between two looks at what sources tell by replication
_LOOK: Final = 5.0  # seconds between two looks for customers who are new in the database, at least
_SHARE: Final = 20  # the part of the time that such looks may take


@dataclass(frozen=True, slots=True)
class Watch:
    """What is watched, and who hears of it.

    `dsn`: of the database; `sources`: the chosen ones, or all; `pause`: seconds from a sync of all to the next one.
    `plan`: by the database's catalog as it is now; `sync`: syncs all, and says what was done; `report`: says what was
    done in between; `say`: takes one line.
    """

    dsn: str
    sources: tuple[str, ...]
    pause: float
    plan: Callable[[asyncpg.Connection], Awaitable[Plan]]
    sync: Callable[[asyncpg.Connection, Plan], Awaitable[list[Synced]]]
    report: Callable[[list[Synced]], None]
    say: Callable[[str], None]


async def keep_watching(watch: Watch) -> NoReturn:
    """Goes on until it is cancelled, or nothing can be done any more.

    Raises ConsentryError where the database was never reached, does not let us in any more, or is not as a sync needs
    it; and what else goes wrong but for connections that end.
    """
    backoff, reached, synced, said = Backoff(), False, False, False
    while True:
        backoff.begin()
        try:
            async with connected(watch.dsn) as connection:
                reached = True
                while True:
                    plan = await watch.plan(connection)
                    await watch.sync(connection, plan)
                    synced, said = True, False
                    await _between(connection, plan, watch)
        except BusyError as error:
            if not synced:
                raise
            what = str(error)
        except (UnreachableError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            unreachable = error if isinstance(error, UnreachableError) else lost(watch.dsn, error)
            if not reached or isinstance(error, RefusedError) or not (unreachable is error or ended(error)):
                raise
            what = str(unreachable)
        if not said:
            watch.say(f"{what}; this is tried again until it succeeds")
            said = True
        await asyncio.sleep(backoff.pause())


async def _between(connection: asyncpg.Connection, plan: Plan, watch: Watch) -> None:
    """Until the next sync of all; meanwhile changes of sources that are followed by replication come in, and customers
    who are new in the database get their records.
    """
    until = monotonic() + watch.pause
    sources = {name: _Followed(Backoff()) for name in followed(plan, watch.sources)}
    look = monotonic() + _LOOK if matches(plan) else until
    while (left := until - monotonic()) > 0:
        await asyncio.sleep(min(left, _POLL if sources else max(0, look - monotonic())))
        if look <= (begun := monotonic()) < until:
            if found := await take_in(connection, plan):
                watch.say(f"{found} records are with customers who came since the last sync")
            look = monotonic() + max(_LOOK, _SHARE * (monotonic() - begun))
        news = []
        for name in sorted(name for name, source in sources.items() if source.due <= monotonic()):
            begun = monotonic()
            done = await catch_up(connection, plan, watch.dsn, [name])
            news += [one for one in done if sources[name].is_news(one, monotonic() - begun)]
        if news:
            watch.report(news)


@dataclass(slots=True)
class _Followed:
    """A source that is followed; one that cannot be read is tried again, and spoken of once."""

    backoff: Backoff
    due: float = 0.0
    ailment: str | None = None

    def is_news(self, done: Synced, seconds: float = 0.0) -> bool:
        """Takes a sync of it in, which took so long: whether somebody has to hear of it."""
        before, self.ailment = self.ailment, str(done.error) if done.error is not None else None
        if isinstance(done.error, UnreachableError):
            self.due = monotonic() + self.backoff.pause()
            self.backoff.begin()
        elif done.error is not None:  # somebody mends it, and that is seen soon after
            self.due = monotonic() + max(_LOOK, _SHARE * seconds)
        return self.ailment is None or self.ailment != before
