"""Connections to a database server, TLS included."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from typing import Final

from proxy.errors import PgError
from proxy.server.mailbox import Mailbox
from proxy.server.options import Upstream
from proxy.server.tls import client_context
from proxy.wire.startup import ALPN, SSL_REQUEST

log = logging.getLogger(__name__)

LOOPBACK: Final = ("127.", "::1")


async def connect(upstream: Upstream, name: str, seconds: float) -> Mailbox:
    """An open connection, TLS done as `sslmode` asks. Raises PgError (FATAL) within `seconds`.

    `name` is the database's as apps know it: where it really is stands in the log only.
    """
    try:
        async with asyncio.timeout(seconds or None):
            return await _connect(upstream)
    except (OSError, TimeoutError) as error:  # ssl.SSLError is an OSError
        reason = str(error) or ("timed out" if isinstance(error, TimeoutError) else type(error).__name__)
        log.warning("database %s: cannot connect to %s port %d: %s", name, upstream.host, upstream.port, reason)
        raise PgError(f'could not connect to database "{name}"', "08006", severity="FATAL") from error


async def _connect(upstream: Upstream) -> Mailbox:
    loop = asyncio.get_running_loop()
    sock = await _open_socket(upstream)
    try:
        context = client_context(upstream)
        if context is not None and not await _server_has_tls(sock):
            if upstream.sslmode != "prefer":
                raise OSError(f"the server does not support TLS, but sslmode is {upstream.sslmode}")
            context = None
        mailbox = Mailbox()
        if context is None:
            await loop.create_connection(lambda: mailbox, sock=sock)
        else:
            context.set_alpn_protocols([ALPN])
            host = upstream.host if context.check_hostname or not _is_address(upstream.host) else ""
            await loop.create_connection(lambda: mailbox, sock=sock, ssl=context, server_hostname=host)
    except BaseException:
        sock.close()
        raise
    return mailbox


async def _open_socket(upstream: Upstream) -> socket.socket:
    loop = asyncio.get_running_loop()
    if upstream.unix:
        addresses: list[tuple[int, object]] = [(socket.AF_UNIX, f"{upstream.host}/.s.PGSQL.{upstream.port}")]
    else:
        found = await loop.getaddrinfo(upstream.host, upstream.port, type=socket.SOCK_STREAM)
        addresses = [(family, address) for family, _, _, _, address in found]
    failure: OSError = OSError("no address")
    for family, address in addresses:
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.setblocking(False)
        try:
            if family != socket.AF_UNIX:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            await loop.sock_connect(sock, address)  # type: ignore[arg-type]
        except OSError as error:
            sock.close()
            failure = error
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise failure


async def _server_has_tls(sock: socket.socket) -> bool:
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(sock, SSL_REQUEST)
    answer = await loop.sock_recv(sock, 1)  # no more: what follows must be TLS
    if answer not in (b"S", b"N"):
        raise OSError("the server answered neither S nor N to SSLRequest")
    return answer == b"S"


def _is_address(host: str) -> bool:
    try:
        socket.inet_pton(socket.AF_INET6 if ":" in host else socket.AF_INET, host)
    except OSError:
        return False
    return True


def is_safe(mailbox: Mailbox) -> bool:
    """Whether nobody on the network can read what is sent: TLS, a unix socket, or this machine."""
    transport = mailbox.transport
    if transport.get_extra_info("ssl_object") is not None:
        return True
    peer = transport.get_extra_info("peername")
    return not isinstance(peer, tuple) or str(peer[0]).startswith(LOOPBACK)


def has_tls(mailbox: Mailbox) -> bool:
    """Whether the connection is inside of TLS."""
    return isinstance(mailbox.transport.get_extra_info("ssl_object"), ssl.SSLObject) or (
        mailbox.transport.get_extra_info("cipher") is not None
    )
