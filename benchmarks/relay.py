"""CPU a query and throughput through the gateway: direct, PgBouncer (session pooling) and Consentry, interleaved.

`python -m benchmarks.relay [--seconds 3] [--rounds 3]` starts its own PostgreSQL, PgBouncer (Debian's) and
`consentry serve`, whose app has one column of the table dropped, so that every statement is rewritten, and audit on.
CPU is user + system time of the relay's process, divided by the transactions that pgbench counts.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import psutil

from benchmarks import _report
from tests.servers import PgServer, find_server

SCRIPT = "\\set aid random(1, {accounts})\nSELECT abalance FROM pgbench_accounts WHERE aid = :aid;\n"
RULES = """
version: 1
attributes: {balance: {label: Balance, group: basic}, filler: {label: Filler, group: sensitive}}
tables:
  public.pgbench_accounts: {columns: {aid: open, bid: open, abalance: balance, filler: filler}}
apps: {bench: {label: Benchmark, logins: [app], kind: internal, purpose: measuring}}
policies:
  - {name: balances, apps: all, attributes: [balance], action: show, basis: contract}
"""


@dataclass(frozen=True)
class Load:
    """What pgbench sends."""

    mode: str
    clients: int
    accounts: int  # how many texts there are in simple mode; the others have parameters

    @property
    def name(self) -> str:
        texts = ", each text new" if self.accounts > 1000 else ""
        return f"{self.mode}, {self.clients} clients{texts}"


LOADS = [Load(mode, clients, 1000) for clients in (8, 32) for mode in ("simple", "extended", "prepared")]
LOADS.append(Load("simple", 8, 500_000))


@dataclass(frozen=True)
class Relay:
    """A way to the database: its port, and the process that relays."""

    name: str
    port: int
    pid: int | None

    def cpu(self) -> float:
        """Seconds of CPU that its process has used, and its workers."""
        if self.pid is None:
            return 0.0
        process = psutil.Process(self.pid)
        times = [one.cpu_times() for one in (process, *process.children())]
        return sum(one.user + one.system for one in times)


@dataclass(frozen=True)
class Sample:
    per_second: float
    microseconds: float  # CPU of the relay a transaction


def pgbench(program: str, relay: Relay, load: Load, seconds: float, folder: Path) -> Sample:
    script = folder / f"{load.accounts}.sql"
    script.write_text(SCRIPT.format(accounts=load.accounts))
    before = relay.cpu()
    output = subprocess.run(
        f"{program} -h 127.0.0.1 -p {relay.port} -U app -f {script} -n -M {load.mode} -c {load.clients} -j 1 "
        f"-T {seconds:.0f} bench".split(),
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PGSSLMODE": "disable", "PGGSSENCMODE": "disable"},
    ).stdout
    used = relay.cpu() - before
    count = re.search(r"transactions actually processed: (\d+)", output)
    rate = re.search(r"tps = ([\d.]+)", output)
    assert count is not None, output
    assert rate is not None, output
    return Sample(float(rate[1]), used / int(count[1]) * 1e6)


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def start_pgbouncer(server: PgServer, folder: Path) -> tuple[subprocess.Popen[bytes], int]:
    port = free_port()
    folder.mkdir()
    (folder / "users.txt").write_text('"app" ""\n')
    (folder / "pgbouncer.ini").write_text(
        f"[databases]\nbench = host={server.host} port={server.port} dbname=bench\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = trust\n"
        f"auth_file = {folder}/users.txt\npool_mode = session\nmax_client_conn = 1000\ndefault_pool_size = 200\n"
        "ignore_startup_parameters = extra_float_digits\nlog_connections = 0\nlog_disconnections = 0\n"
    )
    command = ["pgbouncer", "-q", str(folder / "pgbouncer.ini")]
    if os.geteuid() == 0:  # it refuses to run as root
        shutil.chown(folder, "postgres")
        for file in folder.iterdir():
            shutil.chown(file, "postgres")
        command[1:1] = ["-u", "postgres"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL), port


def start_gateway(server: PgServer, folder: Path) -> tuple[subprocess.Popen[bytes], int]:
    port = free_port()
    folder.mkdir()
    (folder / "rules.yaml").write_text(RULES)
    (folder / "consentry.yaml").write_text(
        f"listen: 127.0.0.1:{port}\n"
        f"databases: {{bench: {{upstream: '{server.dsn('bench', 'app')}?sslmode=disable', rules: rules.yaml}}}}\n"
        f"control: {{dsn: '{server.dsn('bench')}'}}\n"
    )
    command = [str(Path(sys.executable).parent / "consentry"), "serve", "--config", str(folder / "consentry.yaml")]
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(command, stdout=log, stderr=log), port


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def measured(program: str, relays: list[Relay], seconds: float, rounds: int, folder: Path) -> str:
    """The table, in Markdown."""
    lines = [
        "| load | direct, tps | PgBouncer | Consentry | ratio | PgBouncer, µs CPU | Consentry | ratio |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for load in LOADS:
        samples: dict[str, list[Sample]] = {relay.name: [] for relay in relays}
        for relay in relays:
            pgbench(program, relay, load, max(seconds, 3), folder)  # caches are warm afterwards
        for _ in range(rounds):
            for relay in relays:
                samples[relay.name].append(pgbench(program, relay, load, seconds, folder))
        rates = [median(s.per_second for s in samples[relay.name]) for relay in relays]
        costs = [median(s.microseconds for s in samples[relay.name]) for relay in relays]
        lines.append(
            f"| {load.name} | {rates[0]:,.0f} | {rates[1]:,.0f} | {rates[2]:,.0f} | {rates[2] / rates[1]:.2f} "
            f"| {costs[1]:.1f} | {costs[2]:.1f} | {costs[2] / costs[1]:.2f} |"
        )
        print(lines[-1], file=sys.stderr)
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    server = find_server()
    program = str(server.binaries / "pgbench") if server.binaries else "pgbench"
    for needed in (program, "pgbouncer"):
        if shutil.which(needed) is None:
            sys.exit(f"{needed} is needed (apt-get install postgresql-client pgbouncer)")
    children: list[subprocess.Popen[bytes]] = []
    folder = Path(tempfile.mkdtemp(prefix="consentry-bench-"))
    folder.chmod(0o755)
    try:
        server.create_login("app", group="auth_trust")
        server.create_database("bench")
        subprocess.run([program, "-i", "-q", "-s", "5", server.dsn("bench")], check=True, capture_output=True)
        server.run("bench", "GRANT SELECT ON pgbench_accounts TO app")
        relays = [Relay("direct", server.port, None)]
        for name, start in (("PgBouncer", start_pgbouncer), ("Consentry", start_gateway)):
            process, port = start(server, folder / name)
            children.append(process)
            wait_for(port, process)
            relays.append(Relay(name, port, process.pid))
        table = measured(program, relays, options.seconds, options.rounds, folder)
    finally:
        for child in children:
            child.terminate()
        for child in children:
            child.wait(10)
        server.close()
        shutil.rmtree(folder, ignore_errors=True)
    about = f"{os.cpu_count()} cores, Python {platform.python_version()}, PostgreSQL {server.version // 10000}"
    _report.write(
        "CPU a query and throughput",
        f"`python -m benchmarks.relay`: one row of `pgbench_accounts` by key, {options.rounds} rounds of "
        f"{options.seconds:g} s, interleaved, medians; {about}; session pooling in PgBouncer; rewriting and audit on "
        f"in Consentry. CPU is the relay's own. Ratios are Consentry's to PgBouncer's. `each text new`: constants "
        f"in the text differ each time, so that each is planned and proved anew.\n\n{table}",
    )


if __name__ == "__main__":
    main()
