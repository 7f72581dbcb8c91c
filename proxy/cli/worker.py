"""`consentry worker`: one of several workers, started by `consentry serve`."""

from __future__ import annotations

import sys
from pathlib import Path

import typer

from proxy.cli.options import CONFIG


def worker(
    number: int = typer.Option(),
    of: int = typer.Option(),
    link: int = typer.Option(help="The descriptor of the link to the process that listens."),
    shared: int = typer.Option(help="The descriptor of what workers share."),
    config: Path = CONFIG,
    verbose: bool = typer.Option(False, "--verbose", "-v"),
) -> None:
    """Runs one worker until the process that listens ends it. The settings come by standard input."""
    import socket

    from proxy.cli.serve import run_gateway, start_log
    from proxy.config import load_settings
    from proxy.errors import ConsentryError
    from proxy.server.assemble import make_gateway
    from proxy.server.roster import Roster
    from proxy.server.worker import Worker, tell_failure

    start_log(verbose, f" worker {number}")
    with socket.socket(fileno=link) as up:
        try:
            configuration = load_settings(config, text=sys.stdin.read())
            roster = Roster(configuration.settings.limits.connections, number, of, shared)
            run_gateway(Worker(make_gateway(configuration, number, roster), up))
        except ConsentryError as error:
            tell_failure(up, error)
            raise typer.Exit(error.exit_code) from None
