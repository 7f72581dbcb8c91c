"""Sends the audit log to a syslog server as well (RFC 5424), off the statements' path: by reading what was written.

The files are the log. While the server cannot be reached they wait, and a note beside them says how far they were sent:
each record is sent at least once, and no record is lost because the server is.
"""

from __future__ import annotations

import logging
import re
import select
import socket
import threading
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from proxy.audit.chain import place_of
from proxy.audit.ending import own_files
from proxy.audit.files import LogReader
from proxy.errors import ConsentryError, UnreachableError

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 0.2
RETRY_SECONDS: Final = 2.0
CONNECT_SECONDS: Final = 5.0
READ: Final = 1 << 18
DATAGRAM_BYTES: Final = 65_000  # what a datagram takes
_AUDIT: Final = 13 * 8  # facility: log audit
_INFORMATIONAL, _WARNING = 6, 4
_WARNED: Final = frozenset(("refused", "connect_refused", "lost", "torn"))
_PARTS: Final = re.compile(rb'\{"time":"([^"]+)","seq":\d+,"worker":(\d+),"event":"(\w+)"')


def message(line: bytes, host: str) -> bytes:
    """A record as a syslog message: its event is the kind (MSGID), its worker the process, its line the text."""
    found = _PARTS.match(line)
    time, worker, event = found.groups() if found else (b"-", b"-", b"-")
    severity = _WARNING if event.decode() in _WARNED else _INFORMATIONAL
    head = f"<{_AUDIT + severity}>1 {time.decode()} {host} consentry {worker.decode()} {event.decode()} - "
    return head.encode() + line


class Follower:
    """Whole lines of a worker's log from a place on, through the ends of files, compressed or not."""

    def __init__(self, directory: Path, worker: int, name: str = "", at: int = 0) -> None:
        """`name`, `at`: the file, and how much of it was read; without them, the last file that there is."""
        self.directory = directory
        self.worker = worker
        self.name = name or own_files(directory, worker)[-1].name
        self.at = at

    def more(self) -> list[bytes]:
        """The next lines, some of them; none where there are no more yet. Raises UnreachableError."""
        last = place_of(self.name) or (0, 0)
        left = [file for file in own_files(self.directory, self.worker) if (place_of(file.name) or last) >= last]
        for number, file in enumerate(left):
            if file.name != self.name:
                self.name, self.at = file.name, 0
            size = READ
            with LogReader(file) as reader:
                text = reader.read(self.at, size)
                while b"\n" not in text and len(text) == size:
                    size *= 4
                    text = reader.read(self.at, size)
            whole = text[: text.rfind(b"\n") + 1]
            self.at += len(whole)
            if whole or number == len(left) - 1:
                return whole.split(b"\n")[:-1]
        return []


class SyslogSender:
    """A thread that sends a worker's log. `address`: udp://host:port, tcp://host:port or unix:///path."""

    def __init__(self, address: str, directory: Path, worker: int) -> None:
        self._address = urlsplit(address)
        self._note = directory / f".{worker}.syslog"
        self._follower = Follower(directory, worker, *_noted(self._note))
        self._host = socket.gethostname() or "-"
        self._socket: socket.socket | None = None
        self._ended = threading.Event()
        self._failing = ""
        self._thread = threading.Thread(target=self._run, name="syslog", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Sends what is left, if the server takes it."""
        self._ended.set()
        self._thread.join(CONNECT_SECONDS)

    def _run(self) -> None:
        waiting: list[bytes] = []
        while True:
            ending = self._ended.is_set()
            try:
                waiting = waiting or self._follower.more()
                while waiting:
                    self._send(waiting)
                    waiting = self._follower.more()
                pause = LOOK_SECONDS
            except (OSError, ConsentryError) as error:
                self._fail(error)
                pause = RETRY_SECONDS
            if ending:
                return
            self._ended.wait(pause)

    def _send(self, lines: list[bytes]) -> None:
        """All of the lines, or an error: then all come again."""
        connection = self._connected()
        if self._address.scheme == "tcp":
            if select.select([connection], [], [], 0)[0]:  # syslog servers say nothing: it has closed
                raise ConnectionResetError("the server has closed the connection")
            made = [message(line, self._host) for line in lines]
            connection.sendall(b"".join(b"%d %b" % (len(one), one) for one in made))  # octet counting, RFC 6587
        else:
            for line in lines:
                self._send_datagram(connection, message(line, self._host))
        self._note.write_text(f"{self._follower.name} {self._follower.at}\n")
        if self._failing:
            log.warning("audit: records are sent to %s again", self._address.geturl())
            self._failing = ""

    def _send_datagram(self, connection: socket.socket, made: bytes) -> None:
        if len(made) > DATAGRAM_BYTES:
            log.warning("audit: a record of %d bytes is too long for a datagram, and is in the files only", len(made))
            return
        connection.send(made)

    def _connected(self) -> socket.socket:
        if self._socket is None:
            address = self._address
            if address.scheme == "unix":
                made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
                made.settimeout(CONNECT_SECONDS)
                made.connect(address.path)
            elif address.scheme == "udp":
                family, _, _, _, target = socket.getaddrinfo(address.hostname, address.port, type=socket.SOCK_DGRAM)[0]
                made = socket.socket(family, socket.SOCK_DGRAM)
                made.connect(target)
            else:
                made = socket.create_connection((address.hostname or "", address.port or 0), CONNECT_SECONDS)
            self._socket = made
        return self._socket

    def _fail(self, error: Exception) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        if str(error) != self._failing:
            self._failing = str(error)
            log.warning(
                "audit: records are not sent to %s, and wait in the files: %s", self._address.geturl(), self._failing
            )


def _noted(note: Path) -> tuple[str, int]:
    """How far the log was sent; nothing where it is not known."""
    try:
        name, at = note.read_text().split()
        return name, int(at)
    except FileNotFoundError:
        return "", 0
    except (OSError, ValueError) as error:
        raise UnreachableError(f"audit: {note} does not say how far the log was sent ({error}); delete it") from error
