"""The gateway as a process of its own, the shop's programs as others, and what the gateway's log says of them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.servers import PgServer

ROOT = Path(__file__).parents[3]
MIGRATIONS = """\
version: 1
apps:
  migrations: {label: Deployment, logins: [deploy], trusted: true}
"""


class Gateway:
    """`consentry serve` over databases of one server; `rules` is the YAML text for each of them.

    `prepare` gets the settings' file before the gateway starts.
    """

    def __init__(
        self,
        server: PgServer,
        directory: Path,
        rules: Mapping[str, str],
        prepare: Callable[[PgServer, Path], None] | None = None,
    ) -> None:
        self.directory = directory
        self.port = _free_port()
        directory.mkdir(parents=True, exist_ok=True)
        databases = {}
        for name, text in rules.items():
            (directory / f"{name}.rules.yaml").write_text(text)
            upstream = f"postgresql://{server.host}:{server.port}/{name}?sslmode=disable"
            databases[name] = {"upstream": upstream, "rules": f"{name}.rules.yaml"}
        settings = {
            "listen": f"127.0.0.1:{self.port}",
            "databases": databases,
            "audit": {"directory": "audit/", "text": "full"},
            "control": {"dsn": server.dsn(next(iter(rules)))},
            "tls": {"mode": "off"},
        }
        self.settings = directory / "consentry.yaml"
        self.settings.write_text(json.dumps(settings))  # JSON is YAML
        if prepare is not None:
            prepare(server, self.settings)
        self.log = directory / "gateway.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-c",
                    "from proxy.cli.main import main; main()",
                    "serve",
                    "--config",
                    str(self.settings),
                ],
                stderr=log,
                cwd=ROOT,
            )
        self._wait()

    def _wait(self) -> None:
        for _ in range(300):
            if self.process.poll() is not None:
                break
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.1)
        self.close()
        raise RuntimeError(f"the gateway did not start:\n{self.log.read_text()[-3000:]}")

    def dsn(self, login: str, database: str) -> str:
        return f"postgresql://{login}@127.0.0.1:{self.port}/{database}"

    def close(self) -> None:
        """Ends it as an operator would: its log is complete afterwards."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def records(self, app: str) -> list[dict[str, Any]]:
        """The log's records of this app so far."""
        lines: list[dict[str, Any]] = []
        for path in sorted((self.directory / "audit").rglob("*.jsonl")):
            lines += [json.loads(line) for line in path.read_text().splitlines() if f'"app":"{app}"' in line]
        return lines


class Program:
    """`python -m MODULE` with the shop's settings, on the database of `dsn`. Its results are JSON lines in a file."""

    def __init__(self, module: str, dsn: str, out: Path, *arguments: str, **environment: str) -> None:
        self.name = f"{module} {' '.join(arguments)} -> {out.name}"
        self.out = out
        self.errors = out.with_suffix(".err")
        media = out.with_suffix(".media")
        media.mkdir(parents=True, exist_ok=True)
        with out.open("wb") as stdout, self.errors.open("wb") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                cwd=ROOT,
                env={
                    **os.environ,
                    "DJANGO_SETTINGS_MODULE": "tests.integration.oscar.settings",
                    "OSCAR_DSN": dsn,
                    "OSCAR_MEDIA": str(media),
                    "PYTHONHASHSEED": "0",
                    **environment,
                },
            )

    def wait(self, timeout: float = 400) -> list[Any]:
        """What it printed, once it has ended well; fails with the end of its errors otherwise."""
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            code = -9
        assert code == 0, f"{self.name} ended with {code}:\n{self.errors.read_text(errors='replace')[-4000:]}"
        return [json.loads(line) for line in self.out.read_text().splitlines() if line]


def run(module: str, dsn: str, out: Path, *arguments: str, **environment: str) -> list[Any]:
    return Program(module, dsn, out, *arguments, **environment).wait()


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
