"""A gateway for the benchmarks: one app that is shown everything, audit on. Arguments: port, host and port of the
server, folder of the audit log.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import uvloop

from proxy.catalog.model import SearchPath, Snapshot
from proxy.policy.table import AppPolicy, CompiledRules
from proxy.rewrite.plan import describe
from proxy.rewrite.result import Plan
from proxy.server.database import Database
from proxy.server.generation import Generation
from proxy.server.listener import Gateway
from proxy.server.options import Options, Upstream


class Passing:
    """Plans that pass, as for an app that is shown every column; its sessions are treated as governed ones."""

    def plan(
        self, query: bytes, path: SearchPath, parameter_types: tuple[int, ...] = (), encoding: str = "utf-8"
    ) -> Plan:
        return Plan(query, query, False, describe(query))


async def main() -> None:
    port, host, server_port, folder = sys.argv[1:]

    async def load() -> Generation:
        app = AppPolicy("bench", "Benchmark", "internal", "measuring", ("app",))
        rules = CompiledRules("bench", {"bench": app}, {"app": "bench"})
        return Generation("bench", rules, Snapshot("bench", 180000, {}, {}), lambda *_: Passing())

    upstream = Upstream(host, int(server_port), "bench", sslmode="disable")
    options = Options((f"127.0.0.1:{port}",), {"bench": upstream}, audit_directory=Path(folder))
    gateway = Gateway(options, [Database("bench", upstream, load)])
    await gateway.start()
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    await stopped.wait()
    await gateway.stop(0)


if __name__ == "__main__":
    uvloop.run(main())
