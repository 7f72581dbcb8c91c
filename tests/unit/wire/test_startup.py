"""Packets before the protocol proper."""

from __future__ import annotations

import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import PgError
from proxy.wire import scram, startup
from proxy.wire.startup import CancelRequest, StartupMessage

names = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=20)


@given(st.lists(st.tuples(names, names), max_size=5), st.sampled_from([3 << 16, (3 << 16) + 2, (3 << 16) + 9999]))
def test_a_start_up_packet_is_what_it_was(parameters: list[tuple[str, str]], version: int) -> None:
    message = StartupMessage(version, tuple(parameters))
    assert startup.decode(message.encode()) == message


@given(st.binary(min_size=8, max_size=300))
def test_no_packet_breaks_the_reader(packet: bytes) -> None:
    with suppress(PgError):
        startup.decode(packet)


def test_names_are_replaced_and_the_rest_stays_in_order() -> None:
    message = StartupMessage(3 << 16, (("user", "a"), ("_pq_.x", "1"), ("database", "b"), ("DateStyle", "ISO")))
    new = message.replace(user="c", database="d")
    assert (new.get("user"), new.get("database")) == ("c", "d")
    assert new.parameters[2:] == (("_pq_.x", "1"), ("DateStyle", "ISO"))


@pytest.mark.parametrize("length", [0, 4, 7, 10_001, 0x7FFFFFFF, 0xFFFFFFFF])
def test_a_packet_of_a_wrong_length_is_refused_by_its_first_bytes(length: int) -> None:
    with pytest.raises(PgError):
        startup.packet_head(struct.pack("!II", length, 3 << 16))


def test_protocol_2_gets_postgresqls_answer() -> None:
    with pytest.raises(PgError) as caught:
        startup.decode(struct.pack("!II", 9, 2 << 16) + b"\0")
    assert caught.value.message == "unsupported frontend protocol 2.0: server supports 3.0 to 3.2"


def test_cancel_keys_of_3_0_and_3_2() -> None:
    for secret in (b"1234", b"x" * 32, b"y" * 256):
        packet = struct.pack("!IIi", 12 + len(secret), startup.CANCEL_CODE, 77) + secret
        assert startup.decode(packet) == CancelRequest(packet, packet[8:])


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ("", []),
        ("-c search_path=a", [("search_path", "a")]),
        ("-csearch_path=a,b --statement-timeout=5", [("search_path", "a,b"), ("statement_timeout", "5")]),
        (r"-c search_path=a\ b\\c", [("search_path", "a b\\c")]),
        ("  -c  a.b=x=y ", [("a.b", "x=y")]),
    ],
)
def test_options_set_parameters_as_the_server_reads_them(options: str, found: list[tuple[str, str]]) -> None:
    assert startup.option_settings(options) == found


@pytest.mark.parametrize("options", ["-c", "-c a", "-E", "--x", "-f", "x", "-c =y"])
def test_other_options_are_refused(options: str) -> None:
    with pytest.raises(PgError):
        startup.option_settings(options)


def test_settings_are_all_that_is_no_name() -> None:
    message = StartupMessage(
        3 << 16,
        (("user", "a"), ("database", "b"), ("_pq_.c", "d"), ("TimeZone", "UTC"), ("options", "-c role=x")),
    )
    assert message.settings == [("TimeZone", "UTC"), ("role", "x")]


def test_channel_binding_is_not_offered() -> None:
    assert scram.without_channel_binding(b"SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0") == b"SCRAM-SHA-256\0\0"
    with pytest.raises(PgError) as caught:
        scram.without_channel_binding(b"SCRAM-SHA-256-PLUS\0\0")
    assert caught.value.hint == "Connect with channel_binding=disable."


def test_the_flag_of_a_client_that_misses_channel_binding() -> None:
    for flag, says in ((b"y", True), (b"n", False)):
        first = flag + b",,n=,r=abc"
        body = b"SCRAM-SHA-256\0" + struct.pack("!i", len(first)) + first
        assert scram.says_no_binding_offered(body) is says
