"""Which app's session each process of a server is: so that an app does not hear what another one says in a NOTIFY.

A notification names the process that sent it (NotificationResponse in the protocol's documentation). Processes that are
no session of this gateway's are not known here.
"""

from __future__ import annotations

from typing import Final

from proxy.policy.table import AppPolicy
from proxy.server.options import Upstream
from proxy.wire.messages import UINT32

ENDED: Final = 10_000  # sessions that are remembered after their end: what they sent may be on its way


class Senders:
    """Apps by server and process id."""

    def __init__(self) -> None:
        self._live: dict[tuple[str, int, int], AppPolicy] = {}
        self._ended: dict[tuple[str, int, int], AppPolicy] = {}

    def begin(self, upstream: Upstream, cancel_key: bytes, app: AppPolicy) -> None:
        """A session of the app begins; its process id is the first part of the key to cancel it."""
        if cancel_key:
            key = _key(upstream, cancel_key)
            self._live[key] = app
            self._ended.pop(key, None)

    def end(self, upstream: Upstream, cancel_key: bytes) -> None:
        """A session has ended."""
        app = self._live.pop(_key(upstream, cancel_key), None) if cancel_key else None
        if app is not None:
            self._ended[_key(upstream, cancel_key)] = app
            if len(self._ended) > ENDED:
                del self._ended[next(iter(self._ended))]

    def app(self, upstream: Upstream, process: bytes) -> AppPolicy | None:
        """The app that sent a notification, by the process id at its beginning; None where that is not known."""
        key = _key(upstream, process)
        return self._live.get(key) or self._ended.get(key)


def _key(upstream: Upstream, process: bytes) -> tuple[str, int, int]:
    return upstream.host, upstream.port, UINT32.unpack_from(process)[0]
