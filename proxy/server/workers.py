"""Several workers: this process listens and gives each connection to the worker that has the fewest; they do the rest.

Where all of them accept from one socket, or from a socket each (SO_REUSEPORT), one gets many connections of a burst and
another none, and a database's connections stay for long. (Node's cluster module hands them out for the same reason.) A
worker that dies takes with it only its own connections, and is replaced.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import tempfile
from asyncio.subprocess import PIPE, Process
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal

from proxy.errors import ConsentryError
from proxy.ops.backoff import Backoff
from proxy.ops.command import CONSENTRY
from proxy.server.gateway import STARTING
from proxy.server.listener import Listener
from proxy.server.options import Options
from proxy.server.roster import Roster
from proxy.server.worker import READY, failure

log = logging.getLogger(__name__)

MARGIN: Final = 10.0  # seconds beyond its own limit that a worker gets to end


class Workers:
    """`count` processes, each a Gateway, run as one.

    `settings` is the file and `text` what it held: workers that are started later get the same.
    """

    def __init__(self, options: Options, settings: Path, text: str, count: int, verbose: bool = False) -> None:
        self._options = options
        self._settings = settings
        self._text = text
        self._verbose = verbose
        self._listener = Listener(options.listen, self._take)
        self._shared = _memory(Roster.size(options.connections, count))
        self._roster = Roster(options.connections, 0, count, self._shared)
        self._members = [Member(number) for number in range(count)]
        self._keeping: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Starts all, then listens. Raises ConsentryError and OSError, when none is left."""
        self._listener.bind()
        try:
            async with asyncio.TaskGroup() as group:
                for member in self._members:
                    group.create_task(self._start(member))
            self._listener.listen()
        except BaseException as error:
            self._listener.close()
            await asyncio.gather(*(member.end(0) for member in self._members))
            raise error.exceptions[0] if isinstance(error, BaseExceptionGroup) else error from None
        self._keeping = [asyncio.create_task(self._keep(member)) for member in self._members]
        log.info("%d workers take connections", len(self._members))

    async def reload(self) -> None:
        """All take the rules anew. Their logs and the audit log say whether they could."""
        for member in self._members:
            member.reload()

    async def stop(self, grace: float | None = None) -> None:
        """As a gateway's."""
        self._listener.close()
        for task in self._keeping:
            task.cancel()
        await asyncio.gather(*self._keeping, return_exceptions=True)
        seconds = self._options.stop_timeout + MARGIN if grace is None else grace
        await asyncio.gather(*(member.end(seconds) for member in self._members))

    def _take(self, sock: socket.socket) -> None:
        """A connection that was made."""
        with sock:
            loads = {member: member.given - self._roster.left(member.number) for member in self._members}
            if sum(loads.values()) >= self._options.connections + STARTING:
                return
            for member in sorted(loads, key=loads.__getitem__):
                if not self._roster.retired(member.number) and member.give(sock):
                    return
            log.warning("a connection was closed: no worker can take it")

    async def _keep(self, member: Member) -> None:
        backoff = Backoff()
        backoff.begin()
        while True:
            code = await member.wait()
            lost = member.given - self._roster.left(member.number)
            self._roster.bury(member.number)
            member.given = 0
            pause = backoff.pause()
            log.error(
                "worker %d ended with status %d and took %d connections along; it is started again in %g s",
                member.number, code, lost, pause,
            )  # fmt: skip
            await asyncio.sleep(pause)
            backoff.begin()
            try:
                await self._start(member)
            except (ConsentryError, OSError) as error:
                log.warning("worker %d cannot start: %s", member.number, error)
            else:
                log.info("worker %d takes connections again", member.number)
                await self.reload()  # the files may have changed since it, or another one, read them

    async def _start(self, member: Member) -> None:
        await member.start(
            [
                *(*CONSENTRY, "worker", "--config", str(self._settings), "--number", str(member.number)),
                *("--of", str(len(self._members)), *(["--verbose"] if self._verbose else [])),
            ],
            self._text,
            self._shared,
        )


class Member:
    """One worker's process, as the one that listens sees it. `given`: connections, since it was started last."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.given = 0
        self._process: Process | None = None
        self._link: socket.socket | None = None
        self._ready = False

    async def start(self, command: list[str], text: str, shared: int) -> None:
        """Runs the command and waits until it takes connections. Raises ConsentryError where it does not come to it."""
        self._link, theirs = socket.socketpair()
        self._link.setblocking(False)
        with theirs:
            self._process = await asyncio.create_subprocess_exec(
                *command, "--link", str(theirs.fileno()), "--shared", str(shared),
                stdin=PIPE, pass_fds=(theirs.fileno(), shared),
                start_new_session=True,  # what a terminal tells all processes, this one passes on
            )  # fmt: skip
        assert self._process.stdin is not None
        with suppress(ConnectionError):  # it has died: the link says so
            self._process.stdin.write(text.encode())
            await self._process.stdin.drain()
        self._process.stdin.close()
        said = b""
        while said != READY:
            more = await asyncio.get_running_loop().sock_recv(self._link, 65_536)
            if not more:
                raise failure(said.decode())
            said += more
        self._ready = True

    def give(self, sock: socket.socket) -> bool:
        """Whether it has got the connection."""
        if not self._ready or self._link is None:
            return False
        try:
            socket.send_fds(self._link, [b"c"], [sock.fileno()])
        except OSError:  # it has died, or takes nothing for a while
            return False
        self.given += 1
        return True

    def reload(self) -> None:
        """It takes the rules anew; while it is being started the signal would end it."""
        if self._ready:
            self.signal(signal.SIGHUP)

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal, where it lives."""
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def wait(self) -> int:
        """Its exit status, when it has ended."""
        assert self._process is not None
        code = await self._process.wait()
        self._ready = False
        if self._link is not None:
            self._link.close()
        return code

    async def end(self, grace: float) -> None:
        """Tells it to end; after `grace` seconds, to end at once; and kills it where it does not."""
        if self._process is not None:
            self.signal(signal.SIGTERM)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), grace)
        if self._link is not None:
            self._link.close()  # for the worker this is the end
        if self._process is None:
            return
        with suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), MARGIN)
        self.signal(signal.SIGKILL)
        await self._process.wait()


def _memory(size: int) -> int:
    """The descriptor of memory that processes can share."""
    if hasattr(os, "memfd_create"):
        file = os.memfd_create("consentry")
    else:
        with tempfile.TemporaryFile() as made:
            file = os.dup(made.fileno())
    os.ftruncate(file, size)
    return file


def worker_count(setting: Literal["auto"] | int) -> int:
    """How many the settings ask for."""
    return len(os.sched_getaffinity(0)) if setting == "auto" else setting
