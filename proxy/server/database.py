"""One database behind the gateway: the generation in force, how it is made anew, and who must hear of it."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from proxy.errors import ConsentryError, UnreachableError
from proxy.server.generation import Generation
from proxy.server.options import Upstream

if TYPE_CHECKING:
    from proxy.server.session import Session

log = logging.getLogger(__name__)

REST: Final = 0.02  # seconds between two looks at the catalog, however often statements name unknown relations


class Database:
    """`load` makes a generation from the rules' files and the catalog as they are now. `fingerprint` gives what
    `generation.snapshot.version` would be if it were taken now; None: the catalog is never looked at again.
    `rules_changed`: whether the rules' files are others than those that `load` read last.
    """

    def __init__(
        self,
        name: str,
        upstream: Upstream,
        load: Callable[[], Awaitable[Generation]],
        fingerprint: Callable[[], Awaitable[str]] | None = None,
        rules_changed: Callable[[], bool] = lambda: False,
    ) -> None:
        self.name = name
        self.upstream = upstream
        self.rules_changed = rules_changed
        self.sessions: set[Session] = set()
        self.generation: Generation  # set by `start`
        self.on_rules: Callable[[], None] = lambda: None  # called when other rules came with a change of the catalog
        self.problem: str | None = None  # why the last reload or look at the catalog failed
        self._load = load
        self._fingerprint = fingerprint
        self.looking = False  # the catalog has changed, and what is in force does not know how yet
        self._wanted = asyncio.Event()
        self._waiting: list[Callable[[], None]] = []
        self._loading = asyncio.Lock()
        self._owed = False  # rules were asked for, and could not be taken
        self._unfit: str | None = None  # the catalog's version that the rules do not fit: said once

    async def start(self) -> None:
        """Makes the first generation. Raises ConsentryError where rules are wrong or the database is not there."""
        self.generation = await self._load()
        _set_apart()

    async def reload(self) -> bool:
        """Takes the rules and the catalog anew. Where that fails, what is in force stays, and the log says why."""
        async with self._loading:
            try:
                generation = await self._load()
            except ConsentryError as error:
                self._stay(error, again=isinstance(error, UnreachableError))
                return False
            except Exception as error:
                self._stay(error, again=True)
                return False
            self.problem, self._owed = None, False
            before = self.generation
            if (generation.rules.version, generation.snapshot.version) == (
                before.rules.version,
                before.snapshot.version,
            ):
                return True
            self.generation = generation
            before.budget.clear()
            for session in self.sessions:
                session.renew()
            del before
            _set_apart()
            log.info("database %s: rules %.12s in force", self.name, generation.rules.version)
            return True

    def _stay(self, error: Exception, *, again: bool) -> None:
        """What is in force stays; `again`: the rules may be right, and are tried again."""
        if not (self._owed and str(error) == self.problem):
            shown = None if isinstance(error, ConsentryError) else error
            log.warning("database %s: the rules in force stay: %s", self.name, error, exc_info=shown)
        self.problem, self._owed = str(error), again

    def refresh_soon(self, then: Callable[[], None]) -> None:
        """Looks at the catalog now, takes it anew if it has changed, and calls `then` either way."""
        if self._fingerprint is None:
            asyncio.get_running_loop().call_soon(then)
            return
        self._waiting.append(then)
        self._wanted.set()

    def catalog_changed(self) -> None:
        """The database says that its catalog has changed: statements wait until it was looked at."""
        self._hold()
        self._wanted.set()

    def look_soon(self) -> None:
        """Looks at the catalog: the server did not know what a plan names."""
        self._wanted.set()

    def after_look(self, then: Callable[[], None]) -> None:
        """Calls `then` when the look at the catalog that is under way, or due, is over."""
        self._waiting.append(then)

    def _hold(self) -> None:
        if not self.looking:
            self.looking = True
            for session in self.sessions:
                session.await_look()

    def _release(self) -> None:
        if self.looking:
            self.looking = False
            for session in self.sessions:
                session.looked()

    async def watch(self, poll: float) -> None:
        """Looks at the catalog every `poll` seconds, and when a session asks. Runs until it is cancelled."""
        if self._fingerprint is None:
            return
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(poll):
                    await self._wanted.wait()
            self._wanted.clear()
            try:
                version = await self._fingerprint()
                if self._owed or version not in (self.generation.snapshot.version, self._unfit):
                    self._hold()
                    before = self.generation.rules.digest
                    self._unfit = None if await self.reload() else version
                    if self.generation.rules.digest != before:
                        self.on_rules()
            except Exception as error:
                if self.problem is None:
                    log.warning("database %s: the catalog cannot be read: %s", self.name, error)
                self.problem = str(error)
            if self._wanted.is_set() and self.looking:
                continue  # it has changed again meanwhile
            self._release()
            waiting, self._waiting = self._waiting, []
            for then in waiting:
                then()
            await asyncio.sleep(REST)


def _set_apart() -> None:
    """Lets the garbage collector leave out what is there now, most of it catalog and rules, until this is called again.

    The tree of one long statement is enough objects for it to look through everything (a third of the planning time).
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
