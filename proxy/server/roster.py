"""Who is connected, by all workers of a gateway: how many sessions there are, and for which app each server process is.

The second is so that an app does not hear what another one says in a NOTIFY: a notification names the process that sent
it (NotificationResponse in the protocol's documentation). Processes that are no session of this gateway are not known.

It is one table in memory that the workers share. Each writes in a region of its own and reads all others', so that
nobody waits for anybody; a session is in it before its client may send a statement.
"""

from __future__ import annotations

import mmap
import struct
from hashlib import blake2b
from typing import Final

from proxy.policy.table import AppPolicy
from proxy.server.options import Upstream

# A region: a head, then sets of entries. An entry is in the set that its process id says; it is never moved.
# Sessions, connections that have left, sessions that found no room, whether the worker is ending.
_HEAD: Final = struct.Struct("=QQQQ")
_COUNT: Final = struct.Struct("=Q")
_ENTRY: Final = struct.Struct("=8sIBBxx8s")  # server, process id, state, whether the app is trusted, app
_KEY: Final = struct.Struct("=8sI")
HEAD_BYTES: Final = 64
ENTRY_BYTES: Final = _ENTRY.size
WAYS: Final = 16  # entries of a set
SET_BYTES: Final = WAYS * ENTRY_BYTES

FREE, LIVE, ENDED = range(3)  # what an ended session sent may be on its way: it stays until its place is needed


class Roster:
    """The table as one worker has it. `connections`: how many sessions there may be, the same in all workers."""

    def __init__(self, connections: int, worker: int = 0, workers: int = 1, file: int | None = None) -> None:
        """`file`: a descriptor of what the workers share, `size` bytes of zeros at first; None: it is this one's."""
        size = Roster.size(connections, workers)
        self._table = memoryview(bytearray(size) if file is None else mmap.mmap(file, size))
        self._connections = connections
        self._sets = _sets(connections)
        self._region_bytes = HEAD_BYTES + self._sets * SET_BYTES
        self._regions = range(0, size, self._region_bytes)
        self._own = self._regions[worker]

    @staticmethod
    def size(connections: int, workers: int) -> int:
        """Bytes of the table. Most of it is never touched, and takes no memory then."""
        return workers * (HEAD_BYTES + _sets(connections) * SET_BYTES)

    @property
    def sessions(self) -> int:
        """How many sessions all workers have."""
        return sum(_COUNT.unpack_from(self._table, region)[0] for region in self._regions)

    @property
    def full(self) -> bool:
        """Whether there are as many sessions as there may be."""
        return self.sessions >= self._connections

    def left(self, worker: int) -> int:
        """How many of the connections that a worker was given have left it."""
        return int(_HEAD.unpack_from(self._table, self._regions[worker])[1])

    def leave(self) -> None:
        """A connection has left this worker, whether it had become a session or not."""
        self._count(1, 1)

    def retire(self) -> None:
        """This worker takes no more connections."""
        self._count(3, 1)

    def retired(self, worker: int) -> bool:
        """Whether a worker takes no more connections."""
        return bool(_HEAD.unpack_from(self._table, self._regions[worker])[3])

    def begin(self, upstream: Upstream, cancel_key: bytes, app: AppPolicy) -> bool:
        """A session of the app begins; its process id is the first part of the key to cancel it. False: no room for it.

        It is counted before it is seen whether there is room: of two that take the last place at the same moment both
        may be refused, and never both let in.
        """
        self._count(0, 1)
        if self.sessions > self._connections:
            self._count(0, -1)
            return False
        if cancel_key:
            self._enter(upstream, cancel_key, app)
        return True

    def _enter(self, upstream: Upstream, cancel_key: bytes, app: AppPolicy) -> None:
        server, process = _server(upstream), int.from_bytes(cancel_key[:4], "big")
        start = self._own + self._set_of(process)
        place, rank = -1, 0
        for at in range(start, start + SET_BYTES, ENTRY_BYTES):
            same = _KEY.unpack_from(self._table, at) == (server, process)
            state = self._table[at + _KEY.size]
            better = 4 if same and state != FREE else {FREE: 3, ENDED: 2, LIVE: 0}[state]
            if better > rank:
                place, rank = at, better
        if place < 0:
            self._count(2, 1)
            return
        _ENTRY.pack_into(self._table, place, server, process, LIVE, app.trusted, _digest(app.name))

    def end(self, upstream: Upstream, cancel_key: bytes) -> None:
        """A session has ended."""
        self._count(0, -1)
        if not cancel_key:
            return
        key = _KEY.pack(_server(upstream), int.from_bytes(cancel_key[:4], "big"))
        at = self._find(self._own, key)
        if at >= 0:
            self._table[at + _KEY.size] = ENDED

    def bury(self, worker: int) -> None:
        """A worker has died, and all its sessions with it."""
        region = self._regions[worker]
        states = self._table[region + HEAD_BYTES + _KEY.size : region + self._region_bytes : ENTRY_BYTES]
        states[:] = bytes(states).replace(bytes((LIVE,)), bytes((ENDED,)))
        _HEAD.pack_into(self._table, region, 0, 0, 0, 0)

    def from_another_app(self, upstream: Upstream, notification: bytes, app: AppPolicy) -> bool:
        """Whether a notification (its body) comes from a governed app that is not this one, as far as is known."""
        process = int.from_bytes(notification[:4], "big")
        key = _KEY.pack(_server(upstream), process)
        own = _digest(app.name)
        verdicts: dict[int, list[bool]] = {LIVE: [], ENDED: []}
        for region in self._regions:
            at = self._find(region, key)
            if at >= 0:
                _, _, state, trusted, sender = _ENTRY.unpack_from(self._table, at)
                verdicts[state].append(not trusted and sender != own)
        found = verdicts[LIVE] or verdicts[ENDED]  # a server gives the process ids of sessions that ended again
        return any(found) if found else self._crowded()

    def _crowded(self) -> bool:
        """Whether there may be sessions that are not in the table."""
        return any(_HEAD.unpack_from(self._table, region)[2] for region in self._regions)

    def _set_of(self, process: int) -> int:
        return HEAD_BYTES + process % self._sets * SET_BYTES

    def _find(self, region: int, key: bytes) -> int:
        """Where the entry is; -1 where there is none."""
        start = region + self._set_of(_KEY.unpack(key)[1])
        entries = bytes(self._table[start : start + SET_BYTES])
        found = entries.find(key)
        while found >= 0 and (found % ENTRY_BYTES or entries[found + _KEY.size] == FREE):
            found = entries.find(key, found + 1)
        return start + found if found >= 0 else -1

    def _count(self, which: int, change: int) -> None:
        at = self._own + which * _COUNT.size
        _COUNT.pack_into(self._table, at, _COUNT.unpack_from(self._table, at)[0] + change)


def _sets(connections: int) -> int:
    """So many that, with process ids as a server gives them or at random, 16 entries are practically always enough."""
    return max(64, connections // 4)


def _server(upstream: Upstream) -> bytes:
    return _digest(f"{upstream.host}:{upstream.port}")


def _digest(name: str) -> bytes:
    return blake2b(name.encode(), digest_size=8).digest()
