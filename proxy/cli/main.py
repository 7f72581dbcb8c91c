"""The command `consentry`. Commands import what they need when they run, so that `--help` stays quick."""

from __future__ import annotations

import sys
from importlib import metadata

import typer

from proxy.cli.audit import audit
from proxy.cli.check import check
from proxy.cli.consent import consent
from proxy.cli.consent_files import export, import_file
from proxy.cli.consent_verify import verify
from proxy.cli.demo import demo
from proxy.cli.explain import explain
from proxy.cli.options import KEYED
from proxy.cli.profile import profile
from proxy.cli.retention import retention
from proxy.cli.rule_tests import run_tests
from proxy.cli.schema import schema
from proxy.cli.serve import serve
from proxy.cli.subject import subject
from proxy.cli.web import link, token, web
from proxy.cli.worker import worker
from proxy.errors import ConsentryError

app = typer.Typer(
    name="consentry",
    help="A transparent privacy gateway for PostgreSQL.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(demo)
app.command()(serve)
app.command(hidden=True)(worker)
app.command()(web)
app.command()(check)
app.command("test")(run_tests)
app.command()(explain)
app.command()(schema)
app.command(context_settings=KEYED)(link)
consent.command("import")(import_file)
consent.command()(export)
consent.command()(verify)
app.add_typer(audit, name="audit")
app.add_typer(consent, name="consent")
app.add_typer(profile, name="profile")
app.add_typer(retention, name="retention")
app.add_typer(subject, name="subject")
app.add_typer(token, name="token")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"consentry {metadata.version('consentry')}")
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    """A transparent privacy gateway for PostgreSQL: apps receive what the rules and each customer's consent allow."""


def main() -> None:
    """Runs the command line and exits: 0 done, 1 found something wrong, 2 used wrongly, 3 could not reach something."""
    try:
        app(prog_name="consentry")
    except ConsentryError as error:
        typer.echo(f"consentry: {error}", err=True)
        sys.exit(error.exit_code)
