"""The messages of protocol 3 that Consentry itself makes or reads. Bytes only.

Names as in PostgreSQL's `protocol.h`. Source: PostgreSQL documentation, "Message Formats".
"""

from __future__ import annotations

from struct import Struct
from typing import Final

# From the frontend.
QUERY: Final = ord("Q")
PARSE: Final = ord("P")
BIND: Final = ord("B")
DESCRIBE: Final = ord("D")
EXECUTE: Final = ord("E")
CLOSE: Final = ord("C")
SYNC: Final = ord("S")
FLUSH: Final = ord("H")
TERMINATE: Final = ord("X")
FUNCTION_CALL: Final = ord("F")
PASSWORD: Final = ord("p")  # SASLInitialResponse, SASLResponse and GSSResponse too

# In both directions.
COPY_DATA: Final = ord("d")
COPY_DONE: Final = ord("c")
COPY_FAIL: Final = ord("f")

# From the backend.
PARSE_COMPLETE: Final = ord("1")
BIND_COMPLETE: Final = ord("2")
CLOSE_COMPLETE: Final = ord("3")
NOTIFICATION: Final = ord("A")
COMMAND_COMPLETE: Final = ord("C")
DATA_ROW: Final = ord("D")
ERROR: Final = ord("E")
COPY_IN: Final = ord("G")
COPY_OUT: Final = ord("H")
EMPTY_QUERY: Final = ord("I")
BACKEND_KEY: Final = ord("K")
NOTICE: Final = ord("N")
AUTHENTICATION: Final = ord("R")
PARAMETER_STATUS: Final = ord("S")
ROW_DESCRIPTION: Final = ord("T")
FUNCTION_RESULT: Final = ord("V")
COPY_BOTH: Final = ord("W")
READY: Final = ord("Z")
NO_DATA: Final = ord("n")
PORTAL_SUSPENDED: Final = ord("s")
PARAMETER_DESCRIPTION: Final = ord("t")
NEGOTIATE_VERSION: Final = ord("v")

# Transaction status in ReadyForQuery.
IDLE: Final = ord("I")
IN_TRANSACTION: Final = ord("T")
IN_FAILED_TRANSACTION: Final = ord("E")

INT32: Final = Struct("!i")
UINT32: Final = Struct("!I")
HEADER: Final = Struct("!BI")  # type and length; the length counts itself, not the type
_HEADER_PACK = HEADER.pack

SYNC_MESSAGE: Final = b"S\0\0\0\4"
FLUSH_MESSAGE: Final = b"H\0\0\0\4"
TERMINATE_MESSAGE: Final = b"X\0\0\0\4"


def message(kind: int, body: bytes) -> bytes:
    """A whole message with its header."""
    return _HEADER_PACK(kind, len(body) + 4) + body


def query(text: bytes) -> bytes:
    """A simple Query."""
    return message(QUERY, text + b"\0")


def parse(name: bytes, rest: bytes) -> bytes:
    """A Parse of statement `name`; `rest` is the body after the name: text, zero, parameter types."""
    return message(PARSE, name + b"\0" + rest)


def parse_rest(text: bytes, types: bytes = b"\0\0") -> bytes:
    """The body of a Parse after the name; `types` is the count and OIDs as they stand in the message."""
    return text + b"\0" + types


def bind(portal: bytes, statement: bytes) -> bytes:
    """A Bind without parameters, all results as text."""
    return message(BIND, portal + b"\0" + statement + b"\0" + b"\0" * 6)


def describe(kind: bytes, name: bytes) -> bytes:
    """A Describe of a statement (`S`) or a portal (`P`)."""
    return message(DESCRIBE, kind + name + b"\0")


def execute(portal: bytes) -> bytes:
    """An Execute without row limit."""
    return message(EXECUTE, portal + b"\0\0\0\0\0")


def close(kind: bytes, name: bytes) -> bytes:
    """A Close of a statement (`S`) or a portal (`P`)."""
    return message(CLOSE, kind + name + b"\0")


def ready(status: int) -> bytes:
    """A ReadyForQuery."""
    return message(READY, bytes((status,)))


def data_row(body: bytes) -> list[bytes | None]:
    """The values of a DataRow's body. For the few rows that Consentry asked for itself; relayed rows are never read."""
    values: list[bytes | None] = []
    at = 2
    for _ in range(int.from_bytes(body[:2], "big")):
        (length,) = INT32.unpack_from(body, at)
        at += 4
        if length < 0:
            values.append(None)
        else:
            values.append(body[at : at + length])
            at += length
    return values
