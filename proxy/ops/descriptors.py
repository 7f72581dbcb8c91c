"""How many files a process may have open: two for each connection."""

from __future__ import annotations

import logging
import resource
from typing import Final

log = logging.getLogger(__name__)

OTHERS: Final = 100  # logs, libraries, control connections


def allow_connections(connections: int) -> None:
    """Takes as many as the system gives (a login's usual limit is 1024), and says so where these are too few."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    needed = 2 * connections + OTHERS
    if most != resource.RLIM_INFINITY and most < needed:
        log.warning(
            "limits.connections: %d connections take %d files, the system allows %d (ulimit -n, LimitNOFILE=)",
            connections, needed, most,
        )  # fmt: skip
