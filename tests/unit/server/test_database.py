"""What a database's generations leave to the garbage collector."""

from __future__ import annotations

import asyncio
import gc
import weakref

from proxy.catalog.model import Snapshot
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
