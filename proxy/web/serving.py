"""Serves the web side until SIGTERM."""

from __future__ import annotations

from pathlib import Path

import uvicorn

from proxy.errors import ConsentryError
from proxy.web.app import make_app
from proxy.web.site import open_site

BACKLOG = 512


def serve(file: Path) -> None:
    """Serves the web side of a settings file. Raises ConsentryError where it cannot start."""
    site = open_site(file)
    host, _, port = site.settings.listen.rpartition(":")
    configuration = uvicorn.Config(
        make_app(site),
        host=host.strip("[]"),
        port=int(port),
        backlog=BACKLOG,
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=True,
        lifespan="on",
        timeout_graceful_shutdown=10,
    )
    server = uvicorn.Server(configuration)
    server.run()
    if not server.started:
        raise ConsentryError("the web side could not start; the log above says why")
