"""Starts a gateway over the canaries' databases in a process of its own. Run as a program it is that process."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.servers import PgServer
from tests.strength.twin_plans import TwinPlanners

ROOT = Path(__file__).parents[2]


class Gateway:
    """A running gateway; `log` is what it wrote."""

    def __init__(self, server: PgServer, databases: tuple[str, ...], rules: Path) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="canaries-")
        self._log = Path(self.folder.name, "log")
        settings = {
            "host": server.host,
            "port": server.port,
            "databases": databases,
            "rules": str(rules),
            "audit": str(Path(self.folder.name, "audit")),
        }
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.strength.starter", json.dumps(settings)],
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=ROOT,
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the gateway did not start:\n{self.log()}")
        self.port = int(line)

    def log(self) -> str:
        return self._log.read_text("utf-8", "replace")

    def alive(self) -> bool:
        return self.process.poll() is None

    def close(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()
        self.folder.cleanup()


async def _serve(settings: dict[str, Any]) -> None:
    import asyncpg

    from proxy.catalog.introspect import fingerprint, take_snapshot
    from proxy.policy.compile import compile_rules
    from proxy.policy.load import load_rules
    from proxy.server.database import Database
    from proxy.server.gateway import Gateway as Listener
    from proxy.server.generation import Generation
    from proxy.server.options import Options, Upstream

    rules = load_rules([("rules.yaml", Path(settings["rules"]).read_text("utf-8"))])
    upstreams, databases, planners = {}, [], TwinPlanners()
    for name in settings["databases"]:
        upstream = Upstream(settings["host"], settings["port"], name, sslmode="disable")
        upstreams[name] = upstream
        dsn = f"postgresql://postgres@{upstream.host}:{upstream.port}/{name}"

        async def load(dsn: str = dsn, name: str = name) -> Generation:
            connection = await asyncpg.connect(dsn)
            try:
                snapshot = await take_snapshot(connection)
            finally:
                await connection.close()
            return Generation(name, compile_rules(rules, snapshot), snapshot, planners)

        async def look(dsn: str = dsn) -> str:
            connection = await asyncpg.connect(dsn)
            try:
                return await fingerprint(connection)
            finally:
                await connection.close()

        databases.append(Database(name, upstream, load, look))
    options = Options(
        listen=("127.0.0.1:0",), upstreams=upstreams, audit_directory=Path(settings["audit"]), stop_timeout=1, poll=30
    )
    gateway = Listener(options, databases)
    await gateway.start()
    print(gateway.addresses[0][1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    import logging

    import uvloop

    logging.basicConfig(level=logging.INFO)
    uvloop.run(_serve(json.loads(sys.argv[1])))
