"""A MariaDB of one's own in a temp folder, on a free port of loopback, for tests of sources in MySQL and MariaDB."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pymysql

PROGRAM = Path("/usr/sbin/mariadbd")  # Debian's package mariadb-server-core
_SYSTEM = Path("/usr/share/mysql")
_SECONDS = 30


class MariaDb:
    """A server that runs. Whoever is `root` on its socket may do everything; others log in by password."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="consentry-mariadb-"))
        self._data = self.folder / "data"
        self._data.mkdir()
        self._socket = self.folder / "socket"
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0
        account = []
        if os.geteuid() == 0:
            account = ["--user=nobody"]
            for path in (self.folder, self._data):
                shutil.chown(path, "nobody")
        self._command = [
            str(PROGRAM), "--no-defaults", f"--datadir={self._data}", *account, "--innodb-flush-log-at-trx-commit=0",
            "--innodb-buffer-pool-size=16M", "--innodb-log-file-size=8M", "--default-time-zone=+03:00",
            "--skip-name-resolve",
        ]  # fmt: skip
        made = "CREATE DATABASE mysql;\nUSE mysql;\n" + "".join(
            (_SYSTEM / f"mysql_system_tables{part}.sql").read_text() for part in ("", "_data")
        )
        done = subprocess.run(
            [*self._command, "--bootstrap"], input=made, text=True, capture_output=True, check=False, timeout=_SECONDS
        )
        assert done.returncode == 0, done.stderr
        self.start()

    def start(self) -> None:
        """Starts the server, on the port that it had before."""
        wanted = self.port
        for _ in range(5):  # another may take a free port meanwhile
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(("127.0.0.1", wanted))
                self.port = int(probe.getsockname()[1])
            address = [f"--port={self.port}", "--bind-address=127.0.0.1", f"--socket={self._socket}"]
            with (self.folder / "log").open("ab") as log:
                self._process = subprocess.Popen([*self._command, *address], stdout=log, stderr=log)
            deadline = time.monotonic() + _SECONDS
            while self._process.poll() is None:
                if self._answers():
                    return
                assert time.monotonic() < deadline, self.log
                time.sleep(0.02)
        raise AssertionError(self.log)

    def _answers(self) -> bool:
        try:
            self.run("SELECT 1")
        except pymysql.err.OperationalError:
            return False
        return True

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(_SECONDS)

    def close(self) -> None:
        """Ends the server and deletes its folder."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(_SECONDS)
        shutil.rmtree(self.folder)

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def run(self, *statements: str, database: str | None = None) -> tuple[tuple[Any, ...], ...]:
        """The statements, one after another, each committed: the rows of the last."""
        with (
            closing(
                pymysql.connect(
                    unix_socket=str(self._socket), user="root", database=database, charset="utf8mb4", autocommit=True
                )
            ) as connection,
            connection.cursor() as cursor,
        ):
            for statement in statements:
                cursor.execute(statement)
            return tuple(cursor.fetchall())

    def dsn(self, database: str, login: str) -> str:
        return f"mysql://{login}@127.0.0.1:{self.port}/{database}"
