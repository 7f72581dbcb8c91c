"""node-postgres through `consentry serve`: the session sees what it sees with the twin (drivers/world.py) directly."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.gateways import environment
from tests.integration.drivers.statements import FAILURES, READS, WRITES
from tests.integration.drivers.world import FOLDER, Pair

pytest_plugins = ["tests.integration.drivers.fixtures"]

PACKAGES = ("pg@8", "pg-cursor@2", "pg-copy-streams@7")


@pytest.fixture(scope="session")
def node_modules(pytestconfig: pytest.Config) -> Path:
    """The packages, fetched once into pytest's cache."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("node and npm are not installed")
    folder = pytestconfig.rootpath / ".pytest_cache" / "node"
    modules = folder / "node_modules"
    if not all((modules / package.partition("@")[0] / "package.json").exists() for package in PACKAGES):
        folder.mkdir(parents=True, exist_ok=True)
        options = "--no-audit --no-fund --no-save --no-package-lock --ignore-scripts --loglevel=error".split()
        command = [npm, "install", "--prefix", str(folder), *options, *PACKAGES]
        try:
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=100, check=False)
        except subprocess.TimeoutExpired:
            pytest.skip("npm's registry cannot be reached")
        if done.returncode != 0:
            unreachable = ("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "ENETUNREACH")
            if any(word in done.stderr for word in unreachable):
                pytest.skip("npm's registry cannot be reached")
            pytest.fail(f"npm install: {done.stderr}")
    return modules


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
