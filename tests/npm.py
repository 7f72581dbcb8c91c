"""Packages of npm that tests need, fetched once into pytest's cache."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
from pathlib import Path

import pytest

_OPTIONS = "--no-audit --no-fund --no-save --no-package-lock --ignore-scripts --loglevel=error".split()
_UNREACHABLE = ("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "ENETUNREACH")


def node_modules(root: Path, name: str, *packages: str) -> Path:
    """The folder `node_modules` with the packages (`name@version`), in pytest's cache under `root`.

    Skips the test where there is no npm, or it cannot reach its registry.
    """
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("node and npm are not installed")
    folder = root / ".pytest_cache" / name
    folder.mkdir(parents=True, exist_ok=True)
    modules = folder / "node_modules"
    with (folder / "lock").open("w") as lock:  # the workers of one run share the cache
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not all((modules / package.rpartition("@")[0] / "package.json").exists() for package in packages):
            _install([npm, "install", "--prefix", str(folder), *_OPTIONS, *packages], folder)
    return modules


def _install(command: list[str], folder: Path) -> None:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=100, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip("npm's registry cannot be reached")
    if done.returncode != 0:
        if any(word in done.stderr for word in _UNREACHABLE):
            pytest.skip("npm's registry cannot be reached")
        pytest.fail(f"npm install: {done.stderr}")
