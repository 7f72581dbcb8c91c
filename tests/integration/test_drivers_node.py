"""node-postgres through `consentry serve`: the session sees what it sees with the twin (drivers/world.py) directly."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests import npm
from tests.gateways import environment
from tests.integration.drivers.statements import FAILURES, READS, WRITES
from tests.integration.drivers.world import FOLDER, Pair

pytest_plugins = ["tests.integration.drivers.fixtures"]

PACKAGES = ("pg@8", "pg-cursor@2", "pg-copy-streams@7")


@pytest.fixture(scope="session")
def node_modules(pytestconfig: pytest.Config) -> Path:
    """The packages, fetched once into pytest's cache."""
    return npm.node_modules(pytestconfig.rootpath, "node", *PACKAGES)


def test_a_session(pair: Pair, node_modules: Path) -> None:
    statements = json.dumps({"reads": READS, "writes": WRITES, "failures": FAILURES})

    def session(dsn: str) -> list[Any]:
        done = subprocess.run(
            ["node", str(FOLDER / "session.js"), dsn],
            input=statements,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env=environment() | {"NODE_PATH": str(node_modules), "TZ": "UTC"},
        )
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    found = pair.same(session)
    assert sum(isinstance(line, dict) for line in found) > 2 * len(FAILURES)
