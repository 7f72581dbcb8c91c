"""From a start-up packet to a session: who is it, may they, and does the database take their password.

The one place where a connection has a task of its own; it ends with the first ReadyForQuery.
"""

from __future__ import annotations

import logging
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxy.catalog.model import SearchPath
from proxy.errors import PgError, protocol_violation
from proxy.policy.table import AppPolicy
from proxy.rewrite.settings import check_setting, encoding_of
from proxy.server import probe
from proxy.server.accept import Client
from proxy.server.database import Database
from proxy.server.generation import Generation
from proxy.server.mailbox import Mailbox
from proxy.server.upstream import connect, has_tls, is_safe
from proxy.wire import errors, messages, scram
from proxy.wire.startup import StartupMessage

if TYPE_CHECKING:
    import asyncio

    from proxy.server.gateway import Gateway

log = logging.getLogger(__name__)


@dataclass(slots=True)
class LoggedIn:
    """A connection of which both sides are ready for queries."""

    session: str
    login: str
    app: AppPolicy
    database: Database
    generation: Generation
    address: str
    tls: str | None
    application_name: str
    encoding: str
    path: SearchPath
    cancel_key: bytes
    status: int
    client: asyncio.Transport
    upstream: asyncio.Transport
    ready: bytes  # the ReadyForQuery that the client has not got yet


class Refused(Exception):
    """The server refused the login; the client has been told."""

    def __init__(self, error: PgError) -> None:
        super().__init__(error.message)
        self.error = error


@dataclass(frozen=True, slots=True)
class Asked:
    """What a start-up packet asks for, found in the settings and the rules."""

    login: str
    database: Database
    generation: Generation
    app: AppPolicy


def check(gateway: Gateway, packet: StartupMessage, tls: bool, local: bool) -> Asked:
    """Who asks for which database. Raises PgError (FATAL) where they may not, or set what they may not."""
    login = packet.get("user")
    if not login:
        raise PgError("no PostgreSQL user name specified in startup packet", "28000", severity="FATAL")
    if gateway.options.tls_mode in ("require", "verify-client") and not tls and not local:
        raise PgError(
            "the gateway takes connections with TLS only",
            "28000",
            hint="Connect with sslmode=require.",
            severity="FATAL",
        )
    if (packet.get("replication") or "false").lower() not in ("false", "off", "no", "0", "f", "n"):
        raise PgError("replication connections are not supported", "0A000", severity="FATAL")
    name = packet.get("database") or login
    database = gateway.databases.get(name)
    if database is None:
        raise PgError(f'database "{name}" does not exist', "3D000", severity="FATAL")
    generation = database.generation
    app = generation.app_of(login)
    if app is None:
        raise PgError(
            f'login "{login}" is not listed in the rules of database "{name}"',
            "28000",
            hint="Add it to the logins of an app.",
            severity="FATAL",
        )
    if not app.trusted:
        for setting, value in packet.settings:
            error = check_setting(setting, value)
            if error is not None:
                raise PgError(error.message, error.sqlstate, error.detail, error.hint, severity="FATAL")
    return Asked(login, database, generation, app)


async def log_in(gateway: Gateway, client: Client, address: str, local: bool) -> LoggedIn:
    """Connects to the database, relays the authentication, asks what names mean.

    Raises PgError where the gateway refuses, Refused where the server does, OSError where a side is gone.
    """
    assert isinstance(client.packet, StartupMessage)
    asked = check(gateway, client.packet, client.tls is not None, local)
    gateway.check_room()
    upstream = asked.database.upstream
    packet = client.packet.replace(user=upstream.user or asked.login, database=upstream.dbname)
    if not asked.app.trusted and packet.get("standard_conforming_strings") is None:
        # As a start-up parameter it is also what RESET and DISCARD go back to.
        packet = packet.replace(standard_conforming_strings="on")
    server = await connect(upstream, asked.database.name, gateway.options.connect_timeout)
    try:
        server.transport.write(packet.encode())
        await _authenticate(client, server, local)
        return await _until_ready(client, server, asked, address)
    except BaseException:
        server.transport.close()
        raise


async def _authenticate(client: Client, server: Mailbox, local: bool) -> None:
    """Relays until AuthenticationOk."""
    write = client.mailbox.transport.write
    asked_sasl = False
    while True:
        kind, body = await server.message()
        if kind != messages.AUTHENTICATION:
            _relay_before_ready(client, kind, body)
            continue
        code = int.from_bytes(body[:4], "big")
        if code == scram.SASL:
            asked_sasl = True
            write(scram.sasl_request(scram.without_channel_binding(body[4:])))
        elif code == scram.CLEARTEXT and not (_is_private(client, local) and is_safe(server)):
            raise PgError(
                "the database asks for the password in clear, and the connection is not encrypted",
                "28000",
                hint="Connect with sslmode=require, or let the database use scram-sha-256.",
                severity="FATAL",
            )
        elif code in (scram.OK, scram.SASL_FINAL) or code in scram.ANSWERED:
            write(messages.message(kind, body))
        else:
            raise PgError(
                f"the database asks for authentication method {code}, which cannot pass through the gateway",
                "28000",
                hint="Let the database use scram-sha-256 for this login.",
                severity="FATAL",
            )
        if code == scram.OK:
            return
        if code in scram.ANSWERED:
            kind, body = await client.mailbox.message(65_536)
            if kind != messages.PASSWORD:
                raise protocol_violation(f"expected password response, got message type {kind}")
            if asked_sasl and has_tls(server) and scram.says_no_binding_offered(body):
                raise scram.channel_binding_refused(
                    "The client can bind to a TLS channel, and finds it was not offered."
                )
            asked_sasl = False
            server.transport.write(messages.message(kind, body))


def _is_private(client: Client, local: bool) -> bool:
    return client.tls is not None or local


def _relay_before_ready(client: Client, kind: int, body: bytes) -> None:
    """Passes a message that may come before the first ReadyForQuery. Raises Refused on an error."""
    client.mailbox.transport.write(messages.message(kind, body))
    if kind == messages.ERROR:
        raise Refused(errors.decode(body))
    if kind not in (messages.NOTICE, messages.NEGOTIATE_VERSION, messages.PARAMETER_STATUS, messages.BACKEND_KEY):
        raise protocol_violation(f"the database sent message {chr(kind)!r} out of turn")


async def _until_ready(client: Client, server: Mailbox, asked: Asked, address: str) -> LoggedIn:
    parameters: dict[bytes, bytes] = {}
    key = b""
    while True:
        kind, body = await server.message()
        if kind == messages.READY:
            break
        if kind == messages.PARAMETER_STATUS:
            name, _, value = body[:-1].partition(b"\0")
            parameters[name] = value
        elif kind == messages.BACKEND_KEY:
            key = body
        _relay_before_ready(client, kind, body)
    shown = parameters.get(b"client_encoding", b"UTF8").decode()
    encoding = encoding_of(shown)
    if encoding is None:
        if not asked.app.trusted:
            raise PgError(f'client encoding "{shown}" is not supported', "0A000", hint="Use UTF8.", severity="FATAL")
        encoding = "utf-8"
    if asked.app.trusted:
        path = await _look(client, server)
        if parameters.get(b"standard_conforming_strings") == b"off":
            path = SearchPath(unsure="text")
    else:
        path = await _ask(client, server)
    return LoggedIn(
        session=secrets.token_hex(8),
        login=asked.login,
        app=asked.app,
        database=asked.database,
        generation=asked.generation,
        address=address,
        tls=client.tls,
        application_name=parameters.get(b"application_name", b"").decode("utf-8", "replace"),
        encoding=encoding,
        path=path,
        cancel_key=key,
        status=body[0],
        client=client.mailbox.transport,
        upstream=server.transport,
        ready=messages.message(kind, body),
    )


async def _ask(client: Client, server: Mailbox) -> SearchPath:
    """Pins what parsing depends on and reads the search path, before the client may send anything."""
    answer = await _answer(client, server, probe.ASK_AND_SYNC)
    if answer is None:
        raise PgError("the database did not say what names mean", "58000", severity="FATAL")
    return probe.search_path(answer)


async def _look(client: Client, server: Mailbox) -> SearchPath:
    """Reads the search path and changes nothing: for the records of an app whose statements pass as they are."""
    answer = await _answer(client, server, probe.LOOK_AND_SYNC)
    return SearchPath(unsure="names") if answer is None else probe.search_path(answer)


async def _answer(client: Client, server: Mailbox, question: bytes) -> list[bytes | None] | None:
    """The row that the server answers, or None where it fails."""
    server.transport.write(question)
    answer: list[bytes | None] | None = None
    while True:
        kind, body = await server.message()
        if kind == messages.DATA_ROW:
            answer = messages.data_row(body)
        elif kind == messages.ERROR:
            log.error("the database did not say what names mean: %s", errors.decode(body).message)
        elif kind in (messages.NOTICE, messages.PARAMETER_STATUS):
            client.mailbox.transport.write(messages.message(kind, body))
        elif kind == messages.READY:
            return answer
