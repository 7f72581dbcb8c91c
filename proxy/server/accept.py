"""A client's first bytes: requests for encryption are answered, then its start-up or cancel packet is read.

Encryption is agreed on the bare socket, and not a byte more is read than belongs to it: what a client (or someone in
between) sends in clear behind an SSLRequest reaches the TLS handshake, and fails there.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from dataclasses import dataclass

from proxy.errors import PgError, protocol_violation
from proxy.server.mailbox import Mailbox
from proxy.wire import errors, startup
from proxy.wire.startup import CancelRequest, StartupMessage


@dataclass(frozen=True, slots=True)
class Client:
    """A client that has said what it wants. `tls` is the protocol's version, or None."""

    mailbox: Mailbox
    packet: StartupMessage | CancelRequest
    tls: str | None


async def greet(sock: socket.socket, context: ssl.SSLContext | None) -> Client:
    """Reads up to the start-up packet. `context` None: no TLS. Raises PgError and OSError, the socket closed."""
    local = sock.family == socket.AF_UNIX
    mailbox: Mailbox | None = None
    try:
        direct = await _first_byte(sock) == startup.TLS_HANDSHAKE
        if direct and (context is None or local):
            raise ConnectionAbortedError("direct TLS, but TLS is off")
        head = b"" if direct else await _agree(sock, context if not local else None)
        if direct or not head:
            mailbox = await _take(sock, context)
            tls: ssl.SSLObject = mailbox.transport.get_extra_info("ssl_object")
            if direct and tls.selected_alpn_protocol() != startup.ALPN:
                raise protocol_violation("direct SSL connection without ALPN protocol negotiation")
            head = await mailbox.exactly(8)
            version = tls.version()
        else:
            mailbox = await _take(sock, None)
            version = None
        length, code = startup.packet_head(head)
        if code in (startup.TLS_CODE, startup.GSS_CODE):
            raise protocol_violation("encryption was requested twice")
        return Client(mailbox, startup.decode(head + await mailbox.exactly(length - 8)), version)
    except PgError as error:
        if mailbox is not None:
            mailbox.transport.write(errors.encode(error))
            mailbox.transport.close()
        else:
            await _tell(sock, error)
        raise
    except BaseException:
        if mailbox is not None:
            mailbox.transport.abort()
        else:
            sock.close()
        raise


async def _take(sock: socket.socket, context: ssl.SSLContext | None) -> Mailbox:
    mailbox = Mailbox()  # uvloop gives back its own protocol, not ours, where there is TLS
    await asyncio.get_running_loop().connect_accepted_socket(lambda: mailbox, sock, ssl=context)
    return mailbox


async def _agree(sock: socket.socket, context: ssl.SSLContext | None) -> bytes:
    """Answers requests for encryption. Gives the next packet's first eight bytes, or nothing where TLS comes next."""
    loop = asyncio.get_running_loop()
    asked: set[int] = set()
    while True:
        head = b""
        while len(head) < 8:
            more = await loop.sock_recv(sock, 8 - len(head))
            if not more:
                raise ConnectionResetError("connection closed in the start-up packet")
            head += more
        length, code = startup.packet_head(head)
        if code not in (startup.TLS_CODE, startup.GSS_CODE):
            return head
        if length != 8 or code in asked:
            raise protocol_violation("invalid length of startup packet")
        asked.add(code)
        if code == startup.TLS_CODE and context is not None:
            await loop.sock_sendall(sock, b"S")
            return b""
        await loop.sock_sendall(sock, b"N")


async def _first_byte(sock: socket.socket) -> int:
    """The first byte that the client sends, which stays in the socket."""
    loop = asyncio.get_running_loop()
    while True:
        try:
            first = sock.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            readable = loop.create_future()
            loop.add_reader(sock, _set, readable)
            try:
                await readable
            finally:
                loop.remove_reader(sock)
            continue
        if not first:
            raise ConnectionResetError("connection closed without a packet")
        return first[0]


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


async def _tell(sock: socket.socket, error: PgError) -> None:
    try:
        await asyncio.get_running_loop().sock_sendall(sock, errors.encode(error))
    except OSError:
        pass  # the client is gone; the error is in the log
    finally:
        sock.close()
