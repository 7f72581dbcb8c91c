"""A gateway as its users run it: the command `consentry serve` in a process of its own, on a free port."""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import psutil
import psycopg
import yaml

from proxy.audit.chain import OWN_EVENTS
from proxy.audit.files import lines, log_files
from proxy.errors import UnreachableError
from tests.launching import launch
from tests.servers import PgServer

log = logging.getLogger("consentry.serve")  # what the process logs, for pytest to show with a test that fails
log.setLevel(logging.DEBUG)

COMMAND = (sys.executable, "-c", "from proxy.cli.main import main; main()")
SECONDS = 30


class GatewayProcess:
    """A gateway that runs. `folder` holds its settings, its rules (`rules/`) and its audit log (`audit/`)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rules = folder / "rules" / "rules.yaml"
        self.workers = int(yaml.safe_load((folder / "consentry.yaml").read_text()).get("workers", 1))
        self.port = 0
        self.lines: list[str] = []
        self._changed = threading.Condition()
        self._process = launch(["serve", "--config", str(folder / "consentry.yaml")], environment())
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            found = self.wait_for_line(r"listening on \('127\.0\.0\.1', (\d+)\)")
        except BaseException:
            self.kill()
            raise
        self.port = int(found[1])

    def dsn(self, user: str, dbname: str) -> str:
        """A URI; whoever connects is let in by the server without a password (group auth_trust)."""
        return f"postgresql://{user}@127.0.0.1:{self.port}/{dbname}"

    def ask(self, login: str, texts: Iterable[str], **options: Any) -> None:
        """Sends texts to the database `shop`, one after another, whatever becomes of each."""
        with psycopg.connect(self.dsn(login, "shop"), autocommit=True, **options) as connection:
            for text in texts:
                with suppress(psycopg.Error):
                    connection.execute(text.encode())

    def web_port(self) -> int:
        """Where the web side listens, when it is ready."""
        port = self.wait_for_line(r"the web side listens on \('127\.0\.0\.1', (\d+)\)")[1]
        self.wait_for_line("Application startup complete")
        return int(port)

    def reload(self, rules: str | None = None) -> bool:
        """SIGHUP, after writing other rules where given. Returns when the audit log has it: whether it succeeded.

        Each worker records its own.
        """
        if rules is not None:
            self.rules.write_text(rules)
        before = len(self.records("reload"))
        self._process.send_signal(signal.SIGHUP)
        self._until(lambda: len(self.records("reload")) >= before + self.workers, "reload")
        newest = sorted(self.records("reload"), key=lambda one: one["time"])[before:]
        return all("message" not in one for one in newest)

    def records(self, event: str | None = None) -> list[dict[str, Any]]:
        """What the audit log's files hold so far; records reach them within some milliseconds.

        Without `event`: all but the log's own (that a file begins, that checkpoints are signed).
        """
        found = audit_records(self.folder / "audit")
        return [one for one in found if one["event"] == event or (event is None and one["event"] not in OWN_EVENTS)]

    def wait_for_line(self, pattern: str) -> re.Match[str]:
        """The first line of the log that matches. Raises AssertionError with the log where none comes."""

        def search() -> re.Match[str] | None:
            return next((found for line in self.lines if (found := re.search(pattern, line))), None)

        with self._changed:
            self._changed.wait_for(lambda: search() or self._process.poll() is not None, SECONDS)
            found = search()
        assert found, f"no line {pattern!r} in the log of consentry serve:\n{self.log}"
        return found

    @property
    def pid(self) -> int:
        return self._process.pid

    def worker_processes(self) -> list[psutil.Process]:
        """Those of several workers, by their numbers."""
        found = {}
        for child in psutil.Process(self.pid).children():
            line = child.cmdline()
            if "worker" in line:
                found[int(line[line.index("--number") + 1])] = child
        return [found[number] for number in sorted(found)]

    @property
    def log(self) -> str:
        return "".join(self.lines)

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        if self._process.poll() is None:
            self._process.terminate()
        try:
            return self._process.wait(SECONDS + 5)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"consentry serve does not stop:\n{self.log}") from None
        finally:
            self.kill()

    def kill(self) -> None:
        """Ends the process where it still runs."""
        self._process.kill()
        self._process.wait()
        self._reader.join(SECONDS)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            log.info("%s", line.rstrip())
            with self._changed:
                self.lines.append(line)
                self._changed.notify_all()
        self._process.wait()
        with self._changed:
            self._changed.notify_all()

    def _until(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + SECONDS
        while not condition():
            alive = self._process.poll() is None and time.monotonic() < deadline
            assert alive, f"no {what} by consentry serve:\n{self.log}"
            time.sleep(0.002)


def eventually(condition: Callable[[], object], seconds: float = 20) -> None:
    """Waits until it comes true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.005)


def audit_records(directory: Path) -> list[dict[str, Any]]:
    """All records of an audit log that may be written meanwhile."""
    while True:
        try:
            return [json.loads(line) for file in log_files(directory) for line in lines(file)]
        except UnreachableError:  # compressed between the look at the folder and at the file; or not there yet
            if not directory.is_dir():
                return []


def fails_to_serve(folder: Path, seconds: float = 60) -> tuple[int, str]:
    """`consentry serve`, which ends by itself: its status, and what it says on standard error."""
    done = subprocess.run(
        [*COMMAND, "serve", "--config", "consentry.yaml"],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr


@contextmanager
def running_gateway(
    server: PgServer,
    folder: Path,
    rules: str,
    databases: Mapping[str, str],
    settings: Mapping[str, Any] | None = None,
) -> Iterator[GatewayProcess]:
    """A gateway before `databases` (the name that apps ask for: the server's name), stopped at the end.

    `settings` are further sections of consentry.yaml.
    """
    write_settings(server, folder, rules, databases, settings)
    gateway = GatewayProcess(folder)
    try:
        yield gateway
    finally:
        code = gateway.stop()
    assert code == 0, f"consentry serve ended with status {code}:\n{gateway.log}"


def write_settings(
    server: PgServer, folder: Path, rules: str, databases: Mapping[str, str], settings: Mapping[str, Any] | None = None
) -> None:
    """Writes consentry.yaml and rules/rules.yaml; Consentry's own connection is the superuser's."""
    (folder / "rules").mkdir(parents=True, exist_ok=True)
    (folder / "rules" / "rules.yaml").write_text(rules)
    content: dict[str, Any] = {
        "listen": "127.0.0.1:0",
        "workers": 1,
        "databases": {
            name: {"upstream": f"postgresql://{server.host}:{server.port}/{real}", "rules": "rules/"}
            for name, real in databases.items()
        },
        "control": {"dsn": server.admin_dsn},
    }
    (folder / "consentry.yaml").write_text(yaml.safe_dump({**content, **(settings or {})}))


def consentry(folder: Path, *arguments: str) -> str:
    """Runs `consentry ARGUMENTS` with the settings in `folder`; standard output. Fails where the exit code is not 0."""
    with TemporaryFile() as out, TemporaryFile() as err:
        command = [*arguments, "--config", str(folder / "consentry.yaml")]
        code = launch(command, environment(), stdout=out.fileno(), stderr=err.fileno()).wait(60)
        said, errors = (os.pread(file.fileno(), 2**24, 0).decode() for file in (out, err))
    assert code == 0, f"consentry {' '.join(arguments)}: {said}{errors}"
    return said


def set_up_consent(folder: Path, database: str) -> None:
    """Makes the ledger and gives the apps' logins the rights that the rules need."""
    consentry(folder, "consent", "setup", "--apply", "--database", database)


def environment() -> dict[str, str]:
    """The tests' own, without what would change where libpq and asyncpg connect to."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")}
