"""What makes the audit log tamper-evident, as bytes: how a line is linked to the one before, and what is signed. Pure.

Each line ends in `prev`, the SHA-256 of the line before it without its line end; the first line of all has 64 zeros.
A checkpoint is a line too: it signs how many lines there are before it and the hash of the last of them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

GENESIS: Final = "0" * 64
OWN_EVENTS: Final = frozenset(("open", "checkpoint", "started"))  # records about the log, and beginnings of others
FILE_NAME: Final = re.compile(r"(?P<worker>\d+)-\d{4}-\d\d-\d\d-(?P<number>\d{6,})")

_PREV_START: Final = len('"}') + len(GENESIS)
_PREV: Final = b',"prev":"'
_HEAD = re.compile(rb'\{"time":"([0-9T:.Z-]{27})","seq":([1-9]\d{0,18}),"worker":(\d{1,9}),"event":"(\w{1,40})"[,}]')
_HASH = re.compile(rb"[0-9a-f]{64}")
_TWO: Final = b'}{"time":"'  # two records without a line end between; in a text the quotes would be escaped


def digest(line: bytes) -> str:
    """The hash of a line, without its line end, in hex."""
    return sha256(line).hexdigest()


# A record that has no place in the chain yet: its time, and its other fields in three parts (each may be shared by many
# records). A part ends in a comma or is empty; the last one has no comma behind it.
Body = tuple[str, str, str, str]


def seal(body: Body, sequence: int, head: str) -> bytes:
    """The line of a record; `head` is the hash of the line before."""
    time, begin, middle, end = body
    line = f'{{"time":"{time}","seq":{sequence},{begin}{middle}{end},"prev":"{head}"}}'
    return line.encode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class Link:
    """What a line says of its place in the chain, and its own hash."""

    time: str
    sequence: int
    worker: int
    event: str
    prev: str
    hash: str


def read_link(line: bytes) -> Link | None:
    """Of a line without its line end; None where it is no record as the log has them."""
    found = _HEAD.match(line)
    prev = line[-_PREV_START:-2]
    if found is None or line[-_PREV_START - len(_PREV) : -_PREV_START] != _PREV or line[-2:] != b'"}':
        return None
    if _HASH.fullmatch(prev) is None or _TWO in line:
        return None
    time, sequence, worker, event = found.groups()
    return Link(time.decode(), int(sequence), int(worker), event.decode(), prev.decode(), sha256(line).hexdigest())


def with_prev(line: bytes, prev: str) -> bytes:
    """The line as it would be with another `prev`."""
    return line[:-_PREV_START] + prev.encode() + line[-2:]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a signature vouches for: the first `count` lines of a worker's log, by the hash of the last of them.

    `time` as records have it; `key` names the key, `signature` is in hex.
    """

    log: str
    worker: int
    count: int
    head: str
    time: str
    key: str = ""
    signature: str = ""

    @property
    def signed(self) -> bytes:
        """The bytes that are signed."""
        return (
            f"consentry audit checkpoint 1\n{self.log}\n{self.worker}\n{self.count}\n{self.head}\n{self.time}\n"
        ).encode()


@dataclass(frozen=True, slots=True)
class Handover:
    """A key's word for the next one. Keys are raw Ed25519 public keys in hex."""

    old: str
    new: str
    signature: str = ""

    @property
    def signed(self) -> bytes:
        """The bytes that are signed."""
        return f"consentry audit key 1\n{self.old}\n{self.new}\n".encode()


def key_id(public: str) -> str:
    """The short name of a public key: 16 hex digits."""
    return sha256(bytes.fromhex(public)).hexdigest()[:16]


def file_name(worker: int, number: int, date: str) -> str:
    """The name of a worker's file, without `.jsonl`."""
    return f"{worker}-{date}-{number:06d}"


def place_of(name: str) -> tuple[int, int] | None:
    """Worker and number of a file of the log, by its name; None where it is another's."""
    found = FILE_NAME.fullmatch(name)
    return (int(found["worker"]), int(found["number"])) if found else None
