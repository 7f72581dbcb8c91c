"""The key's file: made once, by whichever process comes first, and never seen half written."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from pathlib import Path

from proxy.audit.keys import load_or_make

PROCESSES = 4
TURNS = 30


def make_keys(folder: Path, wait: Callable[[], object]) -> None:
    for turn in range(TURNS):
        wait()
        made = load_or_make(folder / str(turn) / "audit.key")
        with (folder / f"{turn}.ids").open("a") as ids:
            ids.write(f"{made.id}\n")


def test_processes_that_start_together_have_the_same_key(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(PROCESSES, timeout=20)
    processes = [context.Process(target=make_keys, args=(tmp_path, barrier.wait)) for _ in range(PROCESSES)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    for turn in range(TURNS):
        place = tmp_path / str(turn) / "audit.key"
        assert (tmp_path / f"{turn}.ids").read_text().splitlines() == [load_or_make(place).id] * PROCESSES
        assert sorted(file.name for file in place.parent.iterdir()) == ["audit.key", "audit.key.pub"]
