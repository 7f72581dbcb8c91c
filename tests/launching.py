"""Starts `consentry ARGUMENTS` in a process of its own without the second that Python takes to import all of it.

A launcher has imported it once, and forks: one for each process of pytest. What comes out of it is a process like any
other, with its own streams, environment and working directory. Tests of how the command itself is started do without.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import IO, Any, Final

_LOADED: Final = (
    "proxy.cli.main",
    "proxy.cli.serve",
    "proxy.server.assemble",
    "proxy.ops.beside",
    "proxy.ops.lifecycle",
    "proxy.audit.expiry",
    "proxy.consent.service",
    "proxy.consent.ledger",
    "proxy.profile.sync",
    "proxy.rights.erasing",
    "proxy.web.serving",
    "uvicorn",
    "uvloop",
)
_LONGEST: Final = 2**20  # bytes of a message


class Launched:
    """The process, as far as subprocess.Popen has it. `stdout`: what it says, where `launch` was asked for a pipe."""

    def __init__(self, pid: int, stdout: IO[str] | None) -> None:
        self.pid = pid
        self.stdout = stdout
        self.returncode: int | None = None
        self._ended = threading.Event()

    def ended(self, code: int) -> None:
        self.returncode = code
        self._ended.set()

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Raises subprocess.TimeoutExpired."""
        if not self._ended.wait(timeout):
            raise subprocess.TimeoutExpired("consentry", timeout or 0)
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def launch(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    *,
    stdout: int = subprocess.PIPE,
    stderr: int = subprocess.STDOUT,
    cwd: Path | None = None,
) -> Launched:
    """Starts it, with nothing on standard input. `stdout`, `stderr`: as subprocess has them, or file descriptors."""
    return _launcher(os.getpid()).launch(arguments, environment, stdout, stderr, cwd or Path.cwd())


class _Launcher:
    """The side of it that tests call, from whatever thread."""

    def __init__(self) -> None:
        self._channel, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with its:
            subprocess.Popen(
                [sys.executable, "-m", "tests.launching", str(its.fileno())],
                pass_fds=[its.fileno()],
                stdin=subprocess.DEVNULL,
                cwd=Path(__file__).parent.parent,
            )
        self._asking = threading.Lock()
        self._started: Launched | None = None
        self._is_there = threading.Event()
        self._running: dict[int, Launched] = {}
        threading.Thread(target=self._listen, daemon=True).start()

    def launch(
        self, arguments: Sequence[str], environment: Mapping[str, str], stdout: int, stderr: int, cwd: Path
    ) -> Launched:
        reading, writing = os.pipe() if stdout == subprocess.PIPE else (None, stdout)
        message = {"arguments": list(arguments), "environment": dict(environment), "cwd": str(cwd)}
        with self._asking, open(os.devnull, "rb") as nothing:
            self._is_there.clear()
            streams = [nothing.fileno(), writing, writing if stderr == subprocess.STDOUT else stderr]
            socket.send_fds(self._channel, [json.dumps(message).encode()], streams)
            assert self._is_there.wait(60), "no process was started"
            started = self._started
        assert started is not None
        if reading is not None:
            os.close(writing)
            started.stdout = os.fdopen(reading, encoding="utf-8", errors="backslashreplace")
        return started

    def _listen(self) -> None:
        while message := self._channel.recv(_LONGEST):
            told: dict[str, Any] = json.loads(message)
            if "code" in told:
                self._running.pop(told["pid"]).ended(told["code"])
            else:
                self._started = self._running[told["pid"]] = Launched(told["pid"], None)
                self._is_there.set()


@cache
def _launcher(pid: int) -> _Launcher:
    """One for the process `pid`, which is the caller's: a fork of it has its own."""
    return _Launcher()


def _serve(channel: socket.socket) -> dict[str, Any]:
    """Forks for each request, and says which process that is, and how it ended. Returns in the new one, with what it
    has to be.
    """
    woken, waking = os.pipe()
    os.set_blocking(waking, False)
    signal.set_wakeup_fd(waking)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    while True:
        ready, _, _ = select.select([channel, woken], [], [])
        if woken in ready:
            os.read(woken, 1024)
            _tell_of_the_ended(channel)
        if channel not in ready:
            continue
        message, streams, _, _ = socket.recv_fds(channel, _LONGEST, 3)
        if not message:
            os._exit(0)
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            channel.close()
            for number, stream in enumerate(streams):
                os.dup2(stream, number)
            for one in {*streams, woken, waking} - {0, 1, 2}:
                os.close(one)
            found: dict[str, Any] = json.loads(message)
            return found
        for stream in streams:
            os.close(stream)
        channel.send(json.dumps({"pid": pid}).encode())


def _tell_of_the_ended(channel: socket.socket) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        channel.send(json.dumps({"pid": pid, "code": os.waitstatus_to_exitcode(status)}).encode())


def _main() -> None:
    for name in _LOADED:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    asked = _serve(socket.socket(fileno=int(sys.argv[1])))
    os.chdir(asked["cwd"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    time.tzset()
    sys.argv = ["consentry", *asked["arguments"]]
    from proxy.cli.main import main

    main()


if __name__ == "__main__":
    _main()
