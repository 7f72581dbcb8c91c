"""`consentry serve`."""

from __future__ import annotations

from pathlib import Path

import typer

from proxy.cli.options import CONFIG


def serve(
    config: Path = CONFIG,
    verbose: bool = typer.Option(False, "--verbose", "-v", help="Log more."),
) -> None:
    """Runs the gateway until SIGTERM; SIGHUP takes the rules anew.

    Example: consentry serve --config consentry.yaml
    """
    import asyncio
    import logging

    from proxy.config import load_settings
    from proxy.errors import ConsentryError
    from proxy.ops.beside import WithWeb
    from proxy.ops.lifecycle import run
    from proxy.server.assemble import make_gateway

    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    configuration = load_settings(config)
    gateway = make_gateway(configuration)
    runs = WithWeb(gateway, config) if configuration.settings.web is not None else gateway
    try:
        try:
            import uvloop
        except ImportError:  # on platforms without it
            asyncio.run(run(runs))
        else:
            uvloop.run(run(runs))
    except OSError as error:
        where = ", ".join(gateway.options.listen)
        raise ConsentryError(f"cannot listen on {where}: {error.strerror or error}") from error
