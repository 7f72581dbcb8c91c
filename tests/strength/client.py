"""A frontend that speaks the protocol itself, so that it sees every byte and can send garbage."""

from __future__ import annotations

import socket
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

Message = tuple[bytes, bytes]


class ClosedError(Exception):
    """The other side closed the connection, or said nothing for too long."""


def packet(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!I", len(body) + 4) + body


def query(text: str | bytes) -> bytes:
    raw = text.encode() if isinstance(text, str) else text
    return packet(b"Q", raw + b"\0")


def parse(text: str, name: bytes = b"", types: Sequence[int] = ()) -> bytes:
    oids = struct.pack(f"!H{len(types)}I", len(types), *types)
    return packet(b"P", name + b"\0" + text.encode() + b"\0" + oids)


def bind(name: bytes = b"", portal: bytes = b"", params: Sequence[str | None] = (), binary: bool = False) -> bytes:
    values = b""
    for param in params:
        raw = None if param is None else param.encode()
        values += struct.pack("!i", -1) if raw is None else struct.pack("!i", len(raw)) + raw
    formats = b"\0\1\0\1" if binary else b"\0\0"
    return packet(b"B", portal + b"\0" + name + b"\0" + b"\0\0" + struct.pack("!H", len(params)) + values + formats)


def describe(kind: bytes, name: bytes = b"") -> bytes:
    return packet(b"D", kind + name + b"\0")


def execute(portal: bytes = b"", rows: int = 0) -> bytes:
    return packet(b"E", portal + b"\0" + struct.pack("!I", rows))


def close(kind: bytes, name: bytes = b"") -> bytes:
    return packet(b"C", kind + name + b"\0")


SYNC = packet(b"S", b"")
FLUSH = packet(b"H", b"")
TERMINATE = packet(b"X", b"")


@dataclass
class Answer:
    """What came back: whole messages, in order. `ended`: the connection is gone; `hung`: nothing came in time."""

    messages: list[Message] = field(default_factory=list)
    ended: bool = False
    hung: bool = False

    @property
    def raw(self) -> bytes:
        return b"".join(kind + body for kind, body in self.messages)

    def errors(self) -> list[dict[str, str]]:
        return [fields(body) for kind, body in self.messages if kind == b"E"]

    def codes(self) -> list[str]:
        return [error.get("C", "") for error in self.errors()]

    def rows(self) -> list[list[bytes | None]]:
        return [row(body) for kind, body in self.messages if kind == b"D"]


def fields(body: bytes) -> dict[str, str]:
    """An ErrorResponse's or NoticeResponse's."""
    return {part[:1].decode(): part[1:].decode("utf-8", "replace") for part in body.split(b"\0") if part}


def row(body: bytes) -> list[bytes | None]:
    (count,) = struct.unpack_from("!H", body)
    at, values = 2, list[bytes | None]()
    for _ in range(count):
        (size,) = struct.unpack_from("!i", body, at)
        at += 4
        values.append(None if size < 0 else body[at : at + size])
        at += max(size, 0)
    return values


class Wire:
    """One connection. Raises ClosedError from the constructor where the login fails; `greeting` has what came."""

    def __init__(
        self, port: int, user: str, database: str, options: Mapping[str, str] | None = None, timeout: float = 20
    ) -> None:
        self.key = (port, user, database)
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = bytearray()
        self.usable = True
        parts = {"user": user, "database": database, "client_encoding": "UTF8", **(options or {})}
        body = b"".join(f"{name}\0{value}\0".encode() for name, value in parts.items()) + b"\0"
        self.sock.sendall(struct.pack("!II", len(body) + 8, 196608) + body)
        self.greeting = self.read(1)
        self.status = self.greeting.messages[-1][1] if self.greeting.messages else b""

    def send(self, data: bytes) -> None:
        try:
            self.sock.sendall(data)
        except OSError:
            self.usable = False

    def read(self, ready: int, copy: Sequence[bytes] | None = None, extended: bool = False) -> Answer:
        """Reads until `ready` ReadyForQuery came. `copy`: what to send where the server wants rows; None: CopyFail."""
        answer = Answer()
        while ready:
            message = self._message(answer)
            if message is None:
                self.usable = False
                break
            answer.messages.append(message)
            if message[0] == b"Z":
                ready -= 1
                self.status = message[1]
            elif message[0] in b"GW":
                rows = b"".join(packet(b"d", line) for line in copy or ())
                end = packet(b"f", b"no rows\0") if copy is None else packet(b"c", b"")
                # The Sync that was sent with the Execute is ignored while rows are awaited.
                self.send(rows + end + (SYNC if extended else b""))
        return answer

    def read_some(self, kinds: bytes) -> Answer:
        """Reads until a message of one of these kinds, an error or ReadyForQuery has come."""
        answer = Answer()
        while True:
            message = self._message(answer)
            if message is None:
                self.usable = False
                return answer
            answer.messages.append(message)
            if message[0] in kinds or message[0] in b"EZ":
                return answer

    def read_all(self, timeout: float) -> Answer:
        """Reads until the other side closes or says nothing for `timeout` seconds."""
        self.sock.settimeout(timeout)
        answer = Answer()
        while (message := self._message(answer)) is not None:
            answer.messages.append(message)
        return answer

    def _message(self, answer: Answer) -> Message | None:
        buffer = self._buffer
        while True:
            if len(buffer) >= 5:
                size = int.from_bytes(buffer[1:5], "big") + 1
                if len(buffer) >= size:
                    message = bytes(buffer[:1]), bytes(buffer[5:size])
                    del buffer[:size]
                    return message
            try:
                more = self.sock.recv(1 << 18)
            except TimeoutError:
                answer.hung = True
                more = b""
            except OSError:
                more = b""
            if not more:
                answer.ended = True
                if buffer:
                    answer.messages.append((b"?", bytes(buffer)))
                    buffer.clear()
                return None
            buffer += more

    def simple(self, text: str | bytes, copy: Sequence[bytes] | None = None) -> Answer:
        self.send(query(text))
        return self.read(1, copy)

    def close(self) -> None:
        if self.usable:
            self.send(TERMINATE)
        self.sock.close()


def run(
    wire: Wire, text: str, protocol: str, params: Sequence[str | None] = (), copy: Sequence[bytes] | None = None
) -> Answer:
    """Sends one statement: `simple` (without parameters); `unnamed`: Parse, Bind, Describe, Execute in text;
    `named`: prepared and described first, then run in binary, three rows at a time.
    """
    if protocol == "simple":
        return wire.simple(text, copy)
    if protocol == "unnamed":
        wire.send(parse(text) + bind(params=params) + describe(b"P") + execute() + SYNC)
        return wire.read(1, copy, extended=True)
    wire.send(parse(text, b"attack") + describe(b"S", b"attack") + SYNC)
    answer = wire.read(1)
    if wire.usable and not answer.codes():
        wire.send(bind(b"attack", b"p", params, binary=True) + describe(b"P", b"p") + execute(b"p", 3) + FLUSH)
        some = wire.read_some(b"CsIGWHE")
        answer.messages += some.messages
        if wire.usable:
            kind = some.messages[-1][0]
            if kind in b"GW":
                wire.send(packet(b"f", b"no rows\0"))
            wire.send((execute(b"p") if kind == b"s" else b"") + SYNC)
            again = wire.read(1, copy)
            answer.messages += again.messages
            answer.ended, answer.hung = again.ended, again.hung
        else:
            answer.ended, answer.hung = some.ended, some.hung
        if wire.usable and "42883" in answer.codes():  # no binary output function
            wire.send(bind(b"attack", b"p", params) + execute(b"p") + SYNC)
            answer.messages += wire.read(1, copy, extended=True).messages
    if wire.usable:
        wire.send(close(b"S", b"attack") + SYNC)
        answer.messages += wire.read(1).messages
    return answer
