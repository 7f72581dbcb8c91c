"""CPU a query and throughput of the relay: direct, PgBouncer (session mode) and Consentry, interleaved, in one run.

Starts its own PostgreSQL, gateway and PgBouncer; needs Debian's `pgbench` and `pgbouncer`. Run it as

    python -m benchmarks.relay [--seconds 5] [--rounds 3] [--write docs/benchmarks.md]

CPU is user + system time of the relay's process, divided by the transactions that pgbench counts.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import psutil

from tests.servers import PgServer, find_server

START = "<!-- relay -->"
END = "<!-- /relay -->"
MODES = ("simple", "extended", "prepared")


@dataclass(frozen=True)
class Relay:
    """A way to the database: its port, and the process that relays."""

    name: str
    port: int
    process: psutil.Process | None

    def cpu(self) -> float:
        if self.process is None:
            return 0.0
        times = self.process.cpu_times()
        return times.user + times.system


@dataclass(frozen=True)
class Sample:
    per_second: float
    microseconds: float  # CPU of the relay a transaction


def pgbench(port: int, mode: str, clients: int, seconds: float) -> tuple[int, float]:
    """Transactions and transactions a second of `pgbench -S`."""
    output = subprocess.run(
        f"pgbench -h 127.0.0.1 -p {port} -U app -S -n -M {mode} -c {clients} -j 1 -T {seconds:.0f} bench".split(),
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PGSSLMODE": "disable", "PGGSSENCMODE": "disable"},
    ).stdout
    count = re.search(r"transactions actually processed: (\d+)", output)
    rate = re.search(r"tps = ([\d.]+)", output)
    assert count is not None, output
    assert rate is not None, output
    return int(count[1]), float(rate[1])


def measure(relay: Relay, mode: str, clients: int, seconds: float) -> Sample:
    before = relay.cpu()
    count, rate = pgbench(relay.port, mode, clients, seconds)
    return Sample(rate, (relay.cpu() - before) / count * 1e6)


def free_port() -> int:
    import socket

    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def start_pgbouncer(server: PgServer, folder: Path) -> tuple[subprocess.Popen[bytes], int]:
    port = free_port()
    (folder / "users.txt").write_text('"app" ""\n')
    (folder / "pgbouncer.ini").write_text(
        f"[databases]\nbench = host={server.host} port={server.port} dbname=bench\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = trust\n"
        f"auth_file = {folder}/users.txt\npool_mode = session\nmax_client_conn = 1000\ndefault_pool_size = 200\n"
        "ignore_startup_parameters = extra_float_digits\nlog_connections = 0\nlog_disconnections = 0\n"
    )
    shutil.chown(folder, "postgres")
    for file in folder.iterdir():
        shutil.chown(file, "postgres")
    command = ["pgbouncer", "-q", "-u", "postgres", str(folder / "pgbouncer.ini")]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL), port


def start_gateway(server: PgServer, folder: Path) -> tuple[subprocess.Popen[bytes], int]:
    """The gateway in a process of its own, with an app that is shown everything, auditing as by default."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.gateway", str(port), server.host, str(server.port), str(folder)]
    return subprocess.Popen(command), port


def wait_for(port: int) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            pgbench(port, "simple", 1, 1)
            return
        except subprocess.CalledProcessError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def run(relays: list[Relay], seconds: float, rounds: int, say: Callable[[str], None]) -> str:
    """The table, in Markdown."""
    lines = [
        "| load | direct, tps | PgBouncer, tps | Consentry, tps | PgBouncer, µs CPU | Consentry, µs CPU | ratio |",
        "|---|---|---|---|---|---|---|",
    ]
    for clients in (8, 32):
        for mode in MODES:
            samples: dict[str, list[Sample]] = {relay.name: [] for relay in relays}
            for _ in range(rounds):
                for relay in relays:
                    samples[relay.name].append(measure(relay, mode, clients, seconds))
            direct, bouncer, own = (samples[relay.name] for relay in relays)
            rates = [median(s.per_second for s in each) for each in (direct, bouncer, own)]
            costs = [median(s.microseconds for s in each) for each in (bouncer, own)]
            line = (
                f"| {mode}, {clients} clients | {rates[0]:,.0f} | {rates[1]:,.0f} | {rates[2]:,.0f} "
                f"| {costs[0]:.1f} | {costs[1]:.1f} | {costs[1] / costs[0]:.2f} |"
            )
            say(line)
            lines.append(line)
    return "\n".join(lines)


def write(path: Path, table: str) -> None:
    """Puts the table between its marks in the page, or at the page's end."""
    text = path.read_text() if path.exists() else "# Benchmarks\n"
    part = f"{START}\n{table}\n{END}\n"
    if START in text:
        head, rest = text.split(START, 1)
        text = head + part + rest.split(END, 1)[1].lstrip("\n")
    else:
        text = f"{text.rstrip()}\n\n{part}"
    path.write_text(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    for program in ("pgbench", "pgbouncer"):
        if shutil.which(program) is None:
            sys.exit(f"{program} is needed (apt install postgresql pgbouncer)")
    server = find_server()
    children: list[subprocess.Popen[bytes]] = []
    folder = Path(tempfile.mkdtemp(prefix="consentry-bench-"))
    try:
        server.create_login("app", group="auth_trust", options="SUPERUSER")
        server.create_database("bench")
        subprocess.run(["pgbench", "-i", "-q", "-s", "5", server.dsn("bench", "app")], check=True, capture_output=True)
        (folder / "bouncer").mkdir()
        folder.chmod(0o755)
        bouncer, bouncer_port = start_pgbouncer(server, folder / "bouncer")
        children.append(bouncer)
        gateway, gateway_port = start_gateway(server, folder / "audit")
        children.append(gateway)
        relays = [
            Relay("direct", server.port, None),
            Relay("PgBouncer", bouncer_port, psutil.Process(bouncer.pid)),
            Relay("Consentry", gateway_port, psutil.Process(gateway.pid)),
        ]
        for relay in relays:
            wait_for(relay.port)
        about = f"{os.cpu_count()} cores, Python {platform.python_version()}, PostgreSQL {server.version // 10000}"
        table = run(relays, options.seconds, options.rounds, print)
        head = (
            f"## CPU of the relay a query\n\n`python -m benchmarks.relay`: pgbench -S on loopback, {options.rounds} "
            f"rounds of {options.seconds:g} s interleaved, medians; {about}; audit on.\n"
        )
        if options.write:
            write(options.write, f"{head}\n{table}")
    finally:
        for child in children:
            child.send_signal(signal.SIGTERM)
        for child in children:
            child.wait(10)
        server.close()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
