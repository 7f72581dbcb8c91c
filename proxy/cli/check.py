"""`consentry check`."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from proxy.cli.options import CONFIG

if TYPE_CHECKING:
    from proxy.cli.opening import Opened


def check(
    config: Path = CONFIG,
    offline: bool = typer.Option(False, "--offline", help="Without a database: the format only."),
    as_json: bool = typer.Option(False, "--json", help="Print what was found as JSON."),
) -> None:
    """Checks settings and rules, against the live databases unless --offline. Errors exit 1, warnings 0.

    Example: consentry check --config consentry.yaml
    """
    from proxy.cli.opening import open_database
    from proxy.config import load_settings
    from proxy.errors import ConsentryError, UnreachableError
    from proxy.profile.sources.opening import misfits
    from proxy.server.assemble import make_gateway
    from proxy.yaml_lines import ProblemsError

    errors: list[str] = []
    warnings: list[str] = []
    unreachable = 0
    names: list[str] = []
    try:
        configuration = load_settings(config)
        names += configuration.settings.databases
        make_gateway(configuration)  # not started: finds certificates that do not fit
    except ProblemsError as error:
        errors += [str(problem) for problem in error.problems]
    except UnreachableError as error:
        unreachable += 1
        errors.append(str(error))
    except ConsentryError as error:
        errors.append(str(error))
    for name in names:
        try:
            opened = open_database(config, name)
            wrong, doubtful = misfits(configuration, name, opened.rules)
            errors += wrong
            warnings += doubtful
            if not offline:
                warnings += asyncio.run(_against_database(opened, errors))
        except ProblemsError as error:
            errors += [str(problem) for problem in error.problems]
        except UnreachableError as error:
            unreachable += 1
            errors.append(f"database {name}: {error}")
    if as_json:
        typer.echo(json.dumps({"errors": errors, "warnings": warnings}, indent=2))
    else:
        for warning in warnings:
            typer.echo(f"warning: {warning}", err=True)
        for message in errors:
            typer.echo(f"error: {message}", err=True)
        if not errors:
            typer.echo(f"{config}: no errors, {len(warnings)} warning(s)")
    if errors:
        raise typer.Exit(3 if unreachable == len(errors) else 1)


async def _against_database(opened: Opened, errors: list[str]) -> list[str]:
    """Warnings; what the database does not take of the rules' SQL goes to `errors`."""
    import asyncpg

    from proxy.catalog.connect import connected
    from proxy.catalog.introspect import take_snapshot, unnamed_calls
    from proxy.consent import ledger, needs, spans
    from proxy.consent.mapping_check import check_mapping
    from proxy.policy.lint_functions import lint_functions
    from proxy.policy.lint_generated import lint_generated
    from proxy.policy.names import join_dotted
    from proxy.policy.probe import probes
    from proxy.profile import monitored
    from proxy.rewrite import column_rights, view_rights
    from proxy.rewrite.plan import Planner
    from proxy.rights.plan import gaps

    async with connected(opened.control_dsn) as connection:
        snapshot = await take_snapshot(connection)
        compiled = opened.compiled(snapshot)
        for probe in probes(compiled, snapshot):
            try:
                statement = await connection.prepare(probe.sql)
            except asyncpg.PostgresError as error:
                hint = f" ({error.hint})" if error.hint else ""
                errors.append(f"{probe.file}:{probe.line}: {probe.what}: {error.message}{hint}")
                continue
            attributes = statement.get_attributes()
            wrong = probe.wrong_type(attributes[0].type.name) if attributes else None
            if wrong is not None:
                errors.append(f"{probe.file}:{probe.line}: {wrong}")
        wrong_mapping, warnings = await check_mapping(connection, compiled)
        errors += wrong_mapping
        warnings += compiled.warnings
        warnings += gaps(compiled)
        views = {}
        for app in compiled.apps.values():
            if not app.trusted:
                planner = Planner(app, compiled, snapshot)
                forms = planner.forms()
                columns = column_rights.columns_read(forms, needs.key_columns(app))
                rows = await connection.fetch(column_rights.MISSING_COLUMNS, app.logins, *columns)
                warnings += column_rights.missing(app, map(tuple, rows), forms)
                views[app.name] = planner.views()
                pairs = view_rights.pairs_read(views[app.name], snapshot)
                rows = await connection.fetch(view_rights.MISSING_RIGHTS, app.logins, *pairs)
                warnings += view_rights.missing(planner.app, map(tuple, rows), planner.snapshot)
        warnings += view_rights.refused(views)
        warnings += await monitored.lacking(connection, compiled, snapshot)
        warnings += lint_generated(compiled, snapshot)
        warnings += lint_functions(compiled, snapshot, await unnamed_calls(connection))
        if len(needs.grants(compiled)) > 1:
            why = [
                f"{join_dotted(*view.key)} is not there, or not as the rules have it now"
                for view in needs.own_views(compiled, snapshot)
                if not await view.is_made(connection)
            ]
            why += [f"{what} are not there" for what in await spans.missing(connection, compiled)]
            if await ledger.installed_subject_type(connection) is None:
                why = ["no consent ledger is in it"]
            warnings += [f"database {opened.database}: {one}: run `consentry consent setup`" for one in why]
    return warnings
