"""Messages of pgoutput, byte by byte as PostgreSQL's documentation has them."""

from __future__ import annotations

import struct

import pytest

from proxy.profile.sources.pgoutput import Decoder, UnfollowableError, sees


def relation(oid: int, schema: str, name: str, *columns: str) -> bytes:
    head = b"R" + struct.pack("!I", oid) + f"{schema}\0{name}\0".encode() + b"d" + struct.pack("!H", len(columns))
    return head + b"".join(b"\1" + f"{column}\0".encode() + struct.pack("!II", 20, 2**32 - 1) for column in columns)


def row(mark: str, *values: str | None) -> bytes:
    """`mark`: N, K or O. A value `None` is null; `...` was not sent."""
    parts = [mark.encode(), struct.pack("!H", len(values))]
    for value in values:
        if value is None or value == "...":
            parts.append(b"n" if value is None else b"u")
        else:
            parts.append(b"t" + struct.pack("!I", len(value.encode())) + value.encode())
    return b"".join(parts)


def change(kind: str, oid: int, *rows: bytes) -> bytes:
    return kind.encode() + struct.pack("!I", oid) + b"".join(rows)


def begin(number: int) -> bytes:
    return b"B" + struct.pack("!QQI", 1, 2, number)


def commit(end: int) -> bytes:
    return b"C" + struct.pack("!BQQQ", 0, end - 8, end, 3)


PEOPLE = relation(7, "public", "people", "id", "name")
OTHERS = relation(8, "other", "people", "id", "name")


def decoded(*messages: bytes) -> Decoder:
    decoder = Decoder(7, "id")
    for message in messages:
        decoder.take(message)
    return decoder


def test_keys_of_every_kind_of_change() -> None:
    changes = decoded(
        begin(900), PEOPLE, OTHERS,
        change("I", 7, row("N", "1", "Ann")),
        change("U", 7, row("N", "2", "...")),
        change("U", 7, row("K", "3", None), row("N", "30", "Cem")),
        change("U", 7, row("O", "4", "Dörte"), row("N", "4", None)),
        change("D", 7, row("K", "5", None)),
        change("I", 8, row("N", "99", "elsewhere")),
        commit(5000),
        begin(901), commit(6000),
        b"O" + b"\0" * 8 + b"origin\0", b"Y" + b"\0" * 4 + b"public\0mood\0",
    ).changes  # fmt: skip
    assert changes.keys == {"1", "2", "3", "30", "4", "5"}
    assert (changes.transactions, changes.end, changes.truncated, changes.last) == ({900, 901}, 6000, False, False)


def test_a_truncation_is_more_than_the_keys_before_it() -> None:
    truncate = b"T" + struct.pack("!IBII", 2, 0, 8, 7)
    changes = decoded(PEOPLE, OTHERS, change("I", 7, row("N", "1", "Ann")), truncate).changes
    assert (changes.truncated, changes.keys, changes.any) == (True, set(), True)
    assert not decoded(PEOPLE, OTHERS, b"T" + struct.pack("!IBI", 1, 0, 8)).changes.any


@pytest.mark.parametrize(
    "messages",
    [
        (relation(7, "public", "people", "number"), change("D", 7, row("K", "1"))),
        (PEOPLE, change("D", 7, row("K", None, "Ann"))),
        (PEOPLE, change("U", 7, row("N", "...", "Ann"))),
        (PEOPLE, change("I", 7, b"N\0\2b" + struct.pack("!I", 1) + b"1n")),
    ],
)
def test_what_does_not_say_which_row_it_is_about(messages: tuple[bytes, ...]) -> None:
    with pytest.raises(UnfollowableError):
        decoded(*messages)


@pytest.mark.parametrize(
    ("snapshot", "transaction", "seen"),
    [
        ("100:100:", 99, True),
        ("100:100:", 100, False),
        ("90:100:90,95", 95, False),
        ("90:100:90,95", 96, True),
        (f"{2**32 + 5}:{2**32 + 5}:", 4, True),
        (f"{2**32 + 5}:{2**32 + 5}:", 5, False),
        (f"{2**32 + 5}:{2**32 + 5}:", 2**32 - 1, True),  # of the round before
        (f"{2**32 + 2}:{2**32 + 5}:{2**32 + 2}", 2, False),
        (f"{2**32 - 1}:{2**32 - 1}:", 3, False),  # of the next one, not yet seen
    ],
)
def test_what_a_snapshot_sees(snapshot: str, transaction: int, seen: bool) -> None:
    assert sees(snapshot, transaction) is seen
