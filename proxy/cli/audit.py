"""`consentry audit ...`."""

from __future__ import annotations

import typer

from proxy.cli.audit_report import report
from proxy.cli.audit_search import search, tail
from proxy.cli.audit_verify import keys, verify

audit = typer.Typer(
    help="The audit log: what each app was disclosed, and proof that it is whole.", no_args_is_help=True
)
audit.command()(search)
audit.command()(tail)
audit.command()(report)
audit.command()(verify)
audit.add_typer(keys, name="keys")
