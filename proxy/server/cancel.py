"""CancelRequest: the key that the client has is the server's own, so the request only has to reach the right server."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from contextlib import suppress

from proxy.errors import PgError
from proxy.server.options import Upstream
from proxy.server.upstream import connect
from proxy.wire.startup import CancelRequest

log = logging.getLogger(__name__)


async def forward(request: CancelRequest, upstreams: Iterable[Upstream], seconds: float) -> None:
    """Sends the request to these servers at once and waits until each has closed the connection.

    Where the key is not known here (another worker has the session), all servers get it: only one knows the key.
    """
    distinct = {(upstream.host, upstream.port): upstream for upstream in upstreams}
    await asyncio.gather(*(_forward(request, upstream, seconds) for upstream in distinct.values()))


async def _forward(request: CancelRequest, upstream: Upstream, seconds: float) -> None:
    try:
        server = await connect(upstream, upstream.dbname, seconds)
    except PgError as error:
        log.warning("a cancel request was lost: %s", error.message)
        return
    try:
        server.transport.write(request.packet)
        with suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(seconds or None):
                await server.exactly(1)  # the server answers by closing
    finally:
        server.transport.close()
