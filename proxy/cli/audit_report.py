"""`consentry audit report`."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from proxy.cli.audit_search import DIRECTORY, log_directory, times
from proxy.cli.options import CONFIG

if TYPE_CHECKING:
    from proxy.audit.report_forms import ConsentChange
    from proxy.audit.subject import Access
    from proxy.cli.opening import Opened

_FORMAT = typer.Option("html", "--format", help="html, csv or json.")
_SUBJECT = typer.Option(None, "--subject", help="Of one customer: who read my data?")
_OUTPUT = typer.Option(None, "--output", "-o", help="Write to this file, not to standard output.")
_APP = typer.Option(None, "--app", help="Only what this app read; several: any of them.")
_ATTRIBUTE = typer.Option(None, "--attribute", help="Only who read this attribute.")
_KIND = typer.Option(None, "--kind", help="Only what apps of this kind read: internal or partner.")
_OFFLINE = typer.Option(False, "--offline", help="Ask the log and the rules alone, not the database's ledger.")


def report(
    since: str = typer.Option("", "--from", help="From this time on: 2026-11-01, 7d; else from the log's beginning."),
    until: str = typer.Option("", "--to", help="Until this time; a date is until its end (UTC)."),
    form: str = _FORMAT,
    app: list[str] = _APP,
    attribute: list[str] = _ATTRIBUTE,
    kind: str | None = _KIND,
    subject: str | None = _SUBJECT,
    output: Path | None = _OUTPUT,
    offline: bool = _OFFLINE,
    directory: Path | None = DIRECTORY,
    config: Path = CONFIG,
    database: str | None = typer.Option(None, "--database", help="Which of the settings' databases."),
) -> None:
    """Who read which data of how many customers, on what basis; refusals; changes of rules and of consent.

    All of the log is read, and no index. Example: consentry audit report --from 2026-11-01 --to 2026-11-30 -o nov.html
    """
    if form not in ("html", "csv", "json"):
        raise typer.BadParameter("write html, csv or json", param_hint="--format")
    if kind not in (None, "internal", "partner"):
        raise typer.BadParameter("write internal or partner", param_hint="--kind")
    from proxy.audit.report_forms import narrowed, written
    from proxy.cli.opening import open_database

    first, last = times(since, until)
    opened = open_database(config, database)
    folder = log_directory(config, directory)
    if subject is None:
        facts = _report(opened, folder, first, last, offline)
        if app or attribute or kind:
            try:
                facts = narrowed(facts, opened.rules, app or (), attribute or (), kind)
            except ValueError as error:
                raise typer.BadParameter(str(error)) from error
        text = written(facts, form)[0]
    elif offline:
        raise typer.BadParameter("what a customer had decided only the database knows", param_hint="--offline")
    else:
        text = _of_subject(opened, folder, first, last, form, subject)
    if output is None:
        sys.stdout.write(text)
    else:
        output.write_text(text, "utf-8")
        typer.echo(f"wrote {output}", err=True)


def _report(opened: Opened, folder: Path, first: int | None, last: int | None, offline: bool) -> dict[str, Any]:
    from proxy.audit import report_forms
    from proxy.audit.customers import customer_tables
    from proxy.audit.report import findings

    version, changes = (None, None) if offline else asyncio.run(_from_database(opened, first, last))
    return report_forms.facts(
        findings(folder, first, last, _progress(), customer_tables(opened.rules)),
        opened.rules,
        since="the beginning" if first is None else _shown(first),
        until="now" if last is None else _shown(last),
        organisation=opened.configuration.organisation(opened.database),
        consent_changes=changes,
        rules_version=version,
    )


def _of_subject(opened: Opened, folder: Path, first: int | None, last: int | None, form: str, subject: str) -> str:
    from proxy.audit.report_forms import NOBODY, subject_written
    from proxy.catalog.connect import connected
    from proxy.catalog.introspect import take_snapshot
    from proxy.profile.disclosed import disclosures, is_known

    async def ask() -> tuple[list[Access], bool | None]:
        async with connected(opened.control_dsn) as connection:
            known = await is_known(connection, opened.compiled(await take_snapshot(connection)), subject)
            return await disclosures(connection, folder, subject, first, last), known

    accesses, known = asyncio.run(ask())
    if known is False:
        typer.echo(f"consentry: {NOBODY}", err=True)
    return subject_written(subject, accesses, opened.rules, form, known=known)[0]


async def _from_database(
    opened: Opened, first: int | None, last: int | None
) -> tuple[str | None, list[ConsentChange] | None]:
    """(version of the rules on the catalog as it is now, changes of consent); None where it cannot be reached."""
    from proxy.audit.question import moment
    from proxy.audit.report_forms import ConsentChange
    from proxy.catalog.connect import connected
    from proxy.catalog.introspect import take_snapshot
    from proxy.consent.changes import changes
    from proxy.errors import ConsentryError

    since, until = (None if at is None else moment(at) for at in (first, last))
    try:
        async with connected(opened.control_dsn) as connection:
            found = [ConsentChange(**row) for row in await changes(connection, since, until)]
            version = opened.compiled(await take_snapshot(connection)).version
    except ConsentryError as error:
        typer.echo(f"consentry: the report is without changes of consent: {error}", err=True)
        return None, None
    return version, found


def _progress() -> Any:
    """Counts on a terminal, for logs that take a while."""
    if not sys.stderr.isatty():
        return None
    return lambda records: sys.stderr.write(f"\r{records:,} records")


def _shown(at: int) -> str:
    from proxy.audit.question import moment

    return moment(at).astimezone(UTC).isoformat(timespec="minutes").replace("+00:00", "Z")
