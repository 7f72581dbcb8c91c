"""Fixtures for all tests. `pg_server` is the one that most need; see tests/servers.py for what it can do."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from proxy.demo.postgres import local_binaries
from tests.servers import PgServer, find_server, start_tls_server

hypothesis.settings.register_profile("any speed", deadline=None)  # a busy machine is no defect
hypothesis.settings.load_profile("any speed")

STRENGTH = Path(__file__).parent / "strength"


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores, up to four: a third of the time a worker waits, for a server or a process's end.

    Each starts a server of its own; where one is given, whose databases have fixed names, there is one worker.
    """
    return 1 if os.environ.get("CONSENTRY_TEST_DSN") else min((os.cpu_count() or 1) + 1, 4)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first, so that no worker is left with one of them at the end."""
    items.sort(key=lambda item: not item.path.is_relative_to(STRENGTH))


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Indexes of logs that tests made are not left in the cache of who runs the tests."""
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def pg_server() -> Iterator[PgServer]:
    """The PostgreSQL that tests run against; fails, never skips, where none can be had."""
    server = find_server()
    yield server
    server.close()


@pytest.fixture(scope="session")
def pg15_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PgServer]:
    """Debian's PostgreSQL (15 on bookworm), with TLS: another version than the embedded one's."""
    binaries = local_binaries(15) or local_binaries()
    if binaries is None:
        pytest.skip("no PostgreSQL with OpenSSL in /usr/lib/postgresql")
    folder: Path = tmp_path_factory.mktemp("pg15")
    server = start_tls_server(binaries, folder)
    yield server
    server.close()
