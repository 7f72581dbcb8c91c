"""`consentry explain`."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from proxy.cli.options import CONFIG

if TYPE_CHECKING:
    from rich.console import Console

    from proxy.catalog.model import Snapshot
    from proxy.policy.table import AppPolicy, CompiledRules


def explain(
    sql: str | None = typer.Argument(None, help="A statement; without it: what the app gets of each column."),
    app: str = typer.Option(..., "--app", help="The app."),
    config: Path = CONFIG,
    database: str | None = typer.Option(None, "--database", help="Which of the settings' databases."),
    as_json: bool = typer.Option(False, "--json", help="Print facts as JSON."),
) -> None:
    """What an app gets of each table and column and which policy says so, or what becomes of one statement.

    Example: consentry explain --app mailco "select * from customers"
    """
    compiled, snapshot = asyncio.run(_compiled(config, database))
    policy = compiled.apps.get(app)
    if policy is None:
        from proxy.errors import ConsentryError
        from proxy.yaml_lines import nearest

        raise ConsentryError(f'no app "{app}" in the rules{nearest(app, compiled.apps)}')
    if sql is None:
        _columns(policy, compiled, snapshot, as_json)
    else:
        _statement(policy, compiled, snapshot, sql, as_json)


async def _compiled(config: Path, database: str | None) -> tuple[CompiledRules, Snapshot]:
    from proxy.catalog.connect import connected
    from proxy.catalog.introspect import take_snapshot
    from proxy.cli.opening import open_database

    opened = open_database(config, database)
    async with connected(opened.control_dsn) as connection:
        snapshot = await take_snapshot(connection)
    return opened.compiled(snapshot), snapshot


def _columns(app: AppPolicy, compiled: CompiledRules, snapshot: Snapshot, as_json: bool) -> None:
    from rich.table import Table

    from proxy.policy.explain import explain_app
    from proxy.rewrite.plan import Planner
    from proxy.rewrite.view_rights import explain_view

    lines = explain_app(app)
    views = [] if app.trusted else list(map(explain_view, Planner(app, compiled, snapshot).views()))
    if as_json:
        columns = [asdict(line) for line in lines]
        facts = {"app": app.name, "passes": _passes(app), "columns": columns, "views": [asdict(v) for v in views]}
        typer.echo(json.dumps(facts, indent=2))
        return
    if _passes(app):
        typer.echo(f"{app.name} is {_passes(app)}: its statements pass as they are.")
    if app.trusted:
        return
    console = _console()
    for name in dict.fromkeys(line.table for line in lines):
        table = Table(title=name, title_justify="left")
        for heading in ("column", "attribute", "treatment", "write", "because of"):
            table.add_column(heading, overflow="fold")
        for line in lines:
            if line.table == name:
                attribute = (line.attribute or "open") if line.column else ""
                column = f"{line.column} {line.path}".strip() or "(rows)"
                table.add_row(column, attribute, line.treatment, line.write, line.because)
        console.print(table)
    if views:
        table = Table(title="views that the rules do not list", title_justify="left")
        for heading in ("view", "columns", "without", "refused because"):
            table.add_column(heading, overflow="fold")
        for view in views:
            table.add_row(view.view, ", ".join(view.columns), ", ".join(view.without), view.refused or "")
        console.print(table)


def _passes(app: AppPolicy) -> str | None:
    """Why statements of the app pass as they are, or None."""
    return "trusted" if app.trusted else "in mode monitor" if app.monitor else None


def _console() -> Console:
    """Where it is no terminal, lines are long enough for grep."""
    from rich.console import Console

    return Console() if sys.stdout.isatty() else Console(width=240)


def _statement(app: AppPolicy, compiled: CompiledRules, snapshot: Snapshot, sql: str, as_json: bool) -> None:
    from rich.table import Table

    from proxy.catalog.model import SearchPath
    from proxy.rewrite.plan import Planner
    from proxy.server.generation import Passing

    planner = (Passing if app.trusted else Planner)(app, compiled, snapshot)
    plan = planner.plan(sql.encode(), SearchPath())
    if app.trusted and not as_json:
        typer.echo(f"{app.name} is trusted: the statement passes as it is.")
        return
    refusal = plan.refusal or plan.refused_as
    disclosed = [asdict(item) for info in plan.statements for item in info.disclosed]
    if as_json:
        facts: dict[str, Any] = {
            "app": app.name,
            "passes": _passes(app),
            "rewritten": plan.text.decode() if plan.rewritten else None,
            "refused": None
            if refusal is None
            else {"sqlstate": refusal.sqlstate, "message": refusal.message, "hint": refusal.hint},
            "disclosed": disclosed,
            "policies": sorted({name for info in plan.statements for name in info.policies}),
        }
        typer.echo(json.dumps(facts, indent=2))
    elif refusal is not None:
        would = "refused" if plan.refusal is not None else "would be refused"
        typer.echo(f"{would}: {refusal.message} ({refusal.sqlstate})")
        if refusal.hint:
            typer.echo(f"hint: {refusal.hint}")
    else:
        typer.echo(plan.text.decode() if plan.rewritten else "passes as it is")
        if disclosed:
            table = Table("relation", "column", "attribute", "treatment")
            for item in disclosed:
                table.add_row(item["relation"], item["column"], item["attribute"] or "open", item["treatment"])
            _console().print(table)
    if refusal is not None:
        raise typer.Exit(1)
