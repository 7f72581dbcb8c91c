"""`consentry audit ...`."""

from __future__ import annotations

import typer

from proxy.cli.audit_report import report
from proxy.cli.audit_search import search, tail

audit = typer.Typer(
    help="The audit log: what each app was disclosed, and proof that it is whole.", no_args_is_help=True
)
audit.command()(search)
audit.command()(tail)
audit.command()(report)
