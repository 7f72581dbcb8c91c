"""`consentry demo`."""

from __future__ import annotations

import typer


def demo(
    exit_: bool = typer.Option(False, "--exit", help="Stop after the tour, with status 0."),
    port: int = typer.Option(6432, "--port", min=0, max=65535, help="Where the gateway listens; 0 takes a free port."),
) -> None:
    """A small shop in an embedded PostgreSQL, the gateway before it, and the same SQL as three apps.

    Example: consentry demo --exit
    """
    from proxy.demo.tour import run

    run(port=port, stay=not exit_)
