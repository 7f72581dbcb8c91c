"""The packets that come before the protocol proper: start-up, cancel, and requests for encryption. Pure.

Source: PostgreSQL documentation, "Start-up", "Message Formats", "Function Call ... SSL Session Encryption".
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
from typing import Final

from proxy.errors import PgError, protocol_violation

STARTUP_BYTES: Final = 10_000  # MAX_STARTUP_PACKET_LENGTH
CANCEL_CODE: Final = 80877102
TLS_CODE: Final = 80877103
GSS_CODE: Final = 80877104
PROTOCOL_3_0: Final = 3 << 16
TLS_HANDSHAKE: Final = 0x16  # the first byte of a TLS ClientHello: direct TLS
ALPN: Final = "postgresql"

SSL_REQUEST: Final = Struct("!II").pack(8, TLS_CODE)

_HEAD = Struct("!II")


@dataclass(frozen=True, slots=True)
class CancelRequest:
    """`packet` is the whole request, as it is sent on; `key` the process number and the secret."""

    packet: bytes
    key: bytes


@dataclass(frozen=True, slots=True)
class StartupMessage:
    """`version` is major << 16 | minor; `parameters` in their order, as sent."""

    version: int
    parameters: tuple[tuple[str, str], ...]

    def get(self, name: str) -> str | None:
        """The value of a parameter; the last where it comes more than once, as the server takes it."""
        value = None
        for key, candidate in self.parameters:
            if key == name:
                value = candidate
        return value

    @property
    def settings(self) -> list[tuple[str, str]]:
        """The run-time parameters that the packet sets, those in `options` among them."""
        found: list[tuple[str, str]] = []
        for name, value in self.parameters:
            if name == "options":
                found += option_settings(value)
            elif name not in ("user", "database", "replication") and not name.startswith("_pq_."):
                found.append((name, value))
        return found

    def replace(self, **changed: str | None) -> StartupMessage:
        """With these parameters changed or added; None takes one out."""
        kept = [(name, value) for name, value in self.parameters if name not in changed]
        added = [(name, value) for name, value in changed.items() if value is not None]
        return StartupMessage(self.version, tuple(added + kept))

    def encode(self) -> bytes:
        """As a packet."""
        body = b"".join(_encode(name) + b"\0" + _encode(value) + b"\0" for name, value in self.parameters)
        return _HEAD.pack(len(body) + 9, self.version) + body + b"\0"


def packet_head(head: bytes) -> tuple[int, int]:
    """Length and code of a packet by its first eight bytes. Raises PgError where no such packet may be."""
    length, code = _HEAD.unpack(head)
    if not 8 <= length <= STARTUP_BYTES:
        raise protocol_violation("invalid length of startup packet")
    return length, code


def decode(packet: bytes) -> StartupMessage | CancelRequest:
    """A whole packet that is no request for encryption. Raises PgError in PostgreSQL's words."""
    _, code = packet_head(packet[:8])
    if code == CANCEL_CODE:
        # A process number and a secret of 4 bytes, in protocol 3.2 of up to 256.
        if not 16 <= len(packet) <= 12 + 256:
            raise protocol_violation("invalid length of cancel request packet")
        return CancelRequest(packet, packet[8:])
    if code >> 16 != 3:
        raise PgError(
            f"unsupported frontend protocol {code >> 16}.{code & 0xFFFF}: server supports 3.0 to 3.2",
            "0A000",
            severity="FATAL",
        )
    fields = packet[8:].split(b"\0")
    # name, value, name, value, ..., the empty name that ends the list, and what stands behind the last zero: nothing
    if len(fields) < 2 or fields[-1] or fields[-2] or len(fields) % 2 or b"" in fields[:-2:2]:
        raise protocol_violation("invalid startup packet layout: expected terminator as last byte")
    names = [_decode(name) for name in fields[:-2:2]]
    values = [_decode(value) for value in fields[1:-1:2]]
    return StartupMessage(code, tuple(zip(names, values, strict=True)))


def option_settings(options: str) -> list[tuple[str, str]]:
    """The parameters that `options` sets: `-c name=value`, `-cname=value`, `--name=value`.

    Raises PgError for others.
    """
    words = split_options(options)
    found: list[tuple[str, str]] = []
    while words:
        word = words.pop(0)
        if word == "-c":
            assignment = words.pop(0) if words else ""
        elif word.startswith(("-c", "--")):
            assignment = word[2:]
        else:
            raise PgError(f'invalid command-line argument for server process: "{word}"', "42601", severity="FATAL")
        name, equals, value = assignment.partition("=")
        if not equals or not name:
            raise PgError(f"-c {assignment} requires a value", "42601", severity="FATAL")
        found.append((name.replace("-", "_"), value))
    return found


def split_options(options: str) -> list[str]:
    """Words at white space; a backslash takes the next character as it is (pg_split_opts)."""
    words: list[str] = []
    word = ""
    inside = False
    at = 0
    while at < len(options):
        character = options[at]
        if character in " \t\n\r\v\f":
            if inside:
                words.append(word)
            word, inside = "", False
        else:
            if character == "\\" and at + 1 < len(options):
                at += 1
                character = options[at]
            word += character
            inside = True
        at += 1
    if inside:
        words.append(word)
    return words


def _decode(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape")


def _encode(value: str) -> bytes:
    return value.encode("utf-8", "surrogateescape")
