"""`consentry demo`."""

from __future__ import annotations

import typer


def demo(
    exit_: bool = typer.Option(False, "--exit", help="Stop after the tour, with status 0."),
    customers: int = typer.Option(5000, "--customers", min=0, help="How many the shop has, beside the tour's five."),
    port: int = typer.Option(6432, "--port", min=0, max=65535, help="Where the gateway listens; 0 takes a free port."),
) -> None:
    """A shop in an embedded PostgreSQL and three stores beside it, the gateway, and the same SQL as three apps.

    Example: consentry demo --exit
    """
    from proxy.demo.tour import run

    run(port=port, stay=not exit_, customers=customers)
