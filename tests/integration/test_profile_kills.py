"""kill -9 at random moments of a sync of sources of every kind: nothing lost, nothing doubled, each value from where it is."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.demo.postgres import embedded_binaries, local_binaries
from tests.gateways import consentry, environment
from tests.manystores import ManyStores
from tests.mariadb import PROGRAM, MariaDb
from tests.servers import PgServer, start_server

SMALL_BATCHES = "import proxy.profile.one_source as s; s.BATCH = 20; from proxy.cli.main import main; main()"
SYNCING_NOW = b"SELECT FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database " \
    b"WHERE datname = 'many')"  # fmt: skip


@pytest.fixture(scope="module")
def logical() -> Iterator[PgServer]:
    binaries = embedded_binaries() or local_binaries()
    assert binaries is not None
    server = start_server(binaries, settings={"wal_level": "logical"})
    yield server
    server.close()


@pytest.fixture(scope="module")
def mariadb() -> Iterator[MariaDb | None]:
    server = MariaDb() if PROGRAM.exists() else None
    yield server
    if server is not None:
        server.close()


@pytest.fixture
def stores(logical: PgServer, mariadb: MariaDb | None, tmp_path: Path) -> Iterator[ManyStores]:
    logical.run(
        "postgres",
        "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = 'many_followed'",
    )
    stores = ManyStores(logical, tmp_path, mariadb)
    consentry(tmp_path, "consent", "setup")
    yield stores
    stores.close()


def sync(stores: ManyStores, seconds: float | None = None) -> float | None:
    """Runs a sync, and kills it so many seconds after it began to sync. How long it took; None: it was killed."""
    settings = str(stores.folder / "consentry.yaml")
    command = [sys.executable, "-c", SMALL_BATCHES, "profile", "sync", "--config", settings]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment())
    with stores.server.connect() as asking:
        while process.poll() is None and not asking.execute(SYNCING_NOW).fetchall():
            time.sleep(0.005)
    begun = time.monotonic()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
    _, said = process.communicate()
    assert process.returncode in (0, -9), said.decode()
    return time.monotonic() - begun if process.returncode == 0 else None


def killed_again_and_again(stores: ManyStores, times: int) -> None:
    """Kills so many syncs, anywhere in the time that one takes; a third of them are followed by one to its end."""
    kills, longest = 0, 1.0
    while kills < times:
        stores.change()
        taken = sync(stores, stores.chosen.uniform(0, longest))
        if taken is None:
            kills += 1
            if kills % 3:
                continue
            taken = sync(stores)
        assert taken is not None
        assert stores.found() == stores.expected()
        longest = taken
    assert sync(stores) is not None
    assert stores.found() == stores.expected()


def test_killed_syncs_lose_nothing_and_double_nothing(stores: ManyStores) -> None:
    killed_again_and_again(stores, 2)


@pytest.mark.nightly
@pytest.mark.timeout(3600)
def test_killed_a_hundred_times(stores: ManyStores) -> None:
    killed_again_and_again(stores, 100)
