"""How a database's generations follow each other, and what they leave to the garbage collector."""

from __future__ import annotations

import asyncio
import gc
import weakref

from proxy.catalog.model import Snapshot
from proxy.errors import UnreachableError
from proxy.policy.table import CompiledRules
from proxy.server.database import Database
from proxy.server.generation import Generation
from proxy.server.options import Upstream


def test_the_collector_leaves_out_the_generation_in_force_but_not_the_one_before() -> None:
    made: list[weakref.ref[Generation]] = []

    async def load() -> Generation:
        snapshot = Snapshot("db", 180000, {}, {}, version=str(len(made)))
        generation = Generation("db", CompiledRules("1", {}, {}), snapshot)
        generation.itself = generation  # type: ignore[attr-defined]
        made.append(weakref.ref(generation))
        return generation

    async def run() -> None:
        database = Database("db", Upstream("127.0.0.1", 5432, "db"), load)
        await database.start()
        assert gc.get_freeze_count()
        assert not any(one is database.generation for one in gc.get_objects())
        assert await database.reload()
        assert made[0]() is None
        assert made[1]() is database.generation

    try:
        asyncio.run(run())
    finally:
        gc.unfreeze()


def test_rules_that_could_not_be_taken_while_the_database_was_away_are_taken_when_it_is_back() -> None:
    """Whoever asked for them is told once; another worker may have them since then."""
    away = False

    async def load() -> Generation:
        if away:
            raise UnreachableError("no answer")
        return Generation(
            "db", CompiledRules(str(loads.pop(0)), {}, {}), Snapshot("db", 180000, {}, {}, version="same")
        )

    async def fingerprint() -> str:
        if away:
            raise UnreachableError("no answer")
        return "same"

    async def run() -> None:
        nonlocal away
        database = Database("db", Upstream("127.0.0.1", 5432, "db"), load, fingerprint)
        await database.start()
        watching = asyncio.create_task(database.watch(0.001))
        away = True
        assert not await database.reload()
        assert database.problem == "no answer"
        away = False
        async with asyncio.timeout(5):
            while database.generation.rules.version != "2":
                await asyncio.sleep(0.001)
        assert database.problem is None
        watching.cancel()

    loads = [1, 2]
    try:
        asyncio.run(run())
    finally:
        gc.unfreeze()
