"""`consentry serve`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from proxy.cli.options import CONFIG

if TYPE_CHECKING:
    from proxy.ops.lifecycle import Runs


def serve(
    config: Path = CONFIG,
    verbose: bool = typer.Option(False, "--verbose", "-v", help="Log more."),
) -> None:
    """Runs the gateway until SIGTERM. Rules that change are taken by themselves; SIGHUP takes them at once.

    Example: consentry serve --config consentry.yaml
    """
    from proxy.audit.acts import options_of
    from proxy.audit.expiry import finish_left
    from proxy.config import load_settings, read_text
    from proxy.errors import ConsentryError
    from proxy.ops.beside import WithWeb
    from proxy.server.assemble import make_gateway, make_options
    from proxy.server.workers import Workers, worker_count

    start_log(verbose)
    text = read_text(config)
    configuration = load_settings(config, text=text)
    count = worker_count(configuration.settings.workers)
    finish_left(options_of(configuration), count)
    gateway: Runs
    if count > 1:
        gateway = Workers(make_options(configuration), config, text, count, verbose)
    else:
        gateway = make_gateway(configuration)
    try:
        run_gateway(WithWeb(gateway, config) if configuration.settings.web is not None else gateway)
    except OSError as error:
        where = ", ".join(configuration.settings.listen)
        raise ConsentryError(f"cannot listen on {where}: {error.strerror or error}") from error


def start_log(verbose: bool, who: str = "") -> None:
    """Logs to standard error. `who`: which process of several."""
    import logging

    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.INFO,
        format=f"%(asctime)s %(levelname)s{who} %(name)s: %(message)s",
    )


def run_gateway(gateway: Runs) -> None:
    """Runs until a signal says to end, with as many open files as the system gives (a login has 1024 at first).

    Raises what the gateway's start raises.
    """
    import asyncio
    import resource

    from proxy.ops.lifecycle import run

    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    try:
        import uvloop
    except ImportError:  # on platforms without it
        asyncio.run(run(gateway))
    else:
        uvloop.run(run(gateway))
