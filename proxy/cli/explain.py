"""`consentry explain`."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from proxy.cli.options import CONFIG

if TYPE_CHECKING:
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
        _columns(policy, as_json)
    else:
        _statement(policy, compiled, snapshot, sql, as_json)


async def _compiled(config: Path, database: str | None) -> tuple[CompiledRules, Snapshot]:
    from proxy.catalog.connect import connected
    from proxy.cli.opening import open_database

    opened = open_database(config, database)
    async with connected(opened.control_dsn) as connection:
        snapshot = await opened.snapshot(connection)
    return opened.compiled(snapshot), snapshot


def _columns(app: AppPolicy, as_json: bool) -> None:
    from rich.console import Console
    from rich.table import Table

    from proxy.policy.explain import explain_app

    lines = explain_app(app)
    if as_json:
        typer.echo(json.dumps([asdict(line) for line in lines], indent=2))
        return
    console = Console()
    if app.trusted:
        console.print(f"{app.name} is trusted: its statements pass as they are.")
        return
    table = Table("table", "column", "attribute", "treatment", "write", "because of")
    for line in lines:
        table.add_row(line.table, line.column, line.attribute or "open", line.treatment, line.write, line.because)
    console.print(table)


def _statement(app: AppPolicy, compiled: CompiledRules, snapshot: Snapshot, sql: str, as_json: bool) -> None:
    from rich.console import Console
    from rich.table import Table

    from proxy.catalog.model import SearchPath
    from proxy.rewrite.plan import Planner

    plan = Planner(app, compiled, snapshot).plan(sql.encode(), SearchPath())
    if app.trusted:
        typer.echo(f"{app.name} is trusted: the statement passes as it is.")
        return
    refusal = plan.refusal or plan.refused_as
    disclosed = [asdict(item) for info in plan.statements for item in info.disclosed]
    if as_json:
        facts: dict[str, Any] = {
            "rewritten": plan.text.decode() if plan.rewritten else None,
            "refused": None
            if refusal is None
            else {"sqlstate": refusal.sqlstate, "message": refusal.message, "hint": refusal.hint},
            "disclosed": disclosed,
            "policies": sorted({name for info in plan.statements for name in info.policies}),
        }
        typer.echo(json.dumps(facts, indent=2))
    elif refusal is not None:
        typer.echo(f"refused: {refusal.message} ({refusal.sqlstate})")
        if refusal.hint:
            typer.echo(f"hint: {refusal.hint}")
    else:
        typer.echo(plan.text.decode() if plan.rewritten else "passes as it is")
        if disclosed:
            table = Table("relation", "column", "attribute", "treatment")
            for item in disclosed:
                table.add_row(item["relation"], item["column"], item["attribute"] or "open", item["treatment"])
            Console().print(table)
    if refusal is not None:
        raise typer.Exit(1)
