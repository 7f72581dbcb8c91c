"""`consentry consent ...`: works on the ledger."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from proxy.cli.options import CONFIG

if TYPE_CHECKING:
    import asyncpg

    from proxy.cli.opening import Opened
    from proxy.consent.service import Event, Standing, Vocabulary

consent = typer.Typer(help="Consent decisions: who shares which attribute with which app.", no_args_is_help=True)

_DATABASE = typer.Option(None, "--database", help="Which of the settings' databases; needed where there are several.")
_JSON = typer.Option(False, "--json", help="Print facts as JSON.")
_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1), "y": timedelta(days=365)}


@consent.command()
def setup(
    config: Path = CONFIG,
    database: str | None = _DATABASE,
    dsn: str | None = typer.Option(None, "--dsn", help="Connect by this URI: an owner of the database, for example."),
    apply: bool = typer.Option(False, "--apply", help="Run the grants too, instead of only printing them."),
    as_json: bool = _JSON,
) -> None:
    """Makes schema consentry in the database, or brings it up to date, and prints the grants that the rules need.

    Example: consentry consent setup --dsn postgresql://postgres@db.internal/shop --apply
    """

    async def work(connection: asyncpg.Connection, opened: Opened) -> None:
        from proxy.catalog.introspect import take_snapshot
        from proxy.consent import ledger, needs

        snapshot = await take_snapshot(connection)
        rules = opened.compiled(snapshot)
        kind, keys = needs.subject_type(rules, snapshot), needs.key_names(rules)
        attributes = list(opened.rules.attributes)
        report = await ledger.setup(connection, kind, _asked_apps(opened), keys, attributes)
        missing = await needs.missing_roles(connection, rules)
        granted = needs.grants(rules)
        if apply:
            await needs.apply_grants(connection, granted, missing)
        if as_json:
            facts = {**asdict(report), "grants": dict(granted), "missing_roles": missing, "applied": apply}
            _print_json(facts)
            return
        for what, names in (("migration", report.migrations), ("state of app", report.apps), ("key", report.keys)):
            for name in names:
                typer.echo(f"made {what} {name}", err=True)
        if not (report.migrations or report.apps or report.keys):
            typer.echo("the ledger is up to date", err=True)
        if not report.watched:
            typer.echo(
                "no event trigger tells of changes of the catalog, so gateways look every other second: "
                "a superuser's --dsn installs it",
                err=True,
            )
        for role in missing:
            made = apply and role == needs.CONTROL_ROLE
            typer.echo(f'{"made" if made else "there is no"} role "{role}"{"" if made else " yet"}', err=True)
        if apply:
            typer.echo("the grants are in force", err=True)
        else:
            typer.echo("-- The rights that the rules need; --apply runs them.", err=True)
            for statement in needs.grant_script(granted, missing):
                typer.echo(statement)

    _run(work, config, database, dsn)


@consent.command()
def grant(
    subject: str = typer.Argument(help="The customer's key."),
    app: str = typer.Argument(help="The app, as the rules name it."),
    attribute: str = typer.Argument(help="The attribute, as the rules name it."),
    expires: str | None = typer.Option(None, "--expires", help="2027-01-31, 2027-01-31T12:00+01:00, 90d, 12h."),
    config: Path = CONFIG,
    database: str | None = _DATABASE,
    as_json: bool = _JSON,
) -> None:
    """Records that the customer shares the attribute with the app. In force from every app's next statement on.

    Example: consentry consent grant 42 mailco email --expires 1y
    """
    until = None if expires is None else _moment(expires)

    async def work(connection: asyncpg.Connection, opened: Opened) -> None:
        from proxy.consent import service

        words, origin = await _words(connection, opened), _origin(opened)
        event = await service.grant(connection, words, subject, app, attribute, expires_at=until, origin=origin)
        _print_event(event, as_json)

    _run(work, config, database)


@consent.command()
def withdraw(
    subject: str = typer.Argument(help="The customer's key."),
    app: str = typer.Argument(help="The app, as the rules name it."),
    attribute: str = typer.Argument(help="The attribute, as the rules name it."),
    config: Path = CONFIG,
    database: str | None = _DATABASE,
    as_json: bool = _JSON,
) -> None:
    """Records that the customer no longer shares the attribute with the app. In force from the next statement on.

    Example: consentry consent withdraw 42 mailco email
    """

    async def work(connection: asyncpg.Connection, opened: Opened) -> None:
        from proxy.consent import service

        words = await _words(connection, opened)
        event = await service.withdraw(connection, words, subject, app, attribute, origin=_origin(opened))
        _print_event(event, as_json)

    _run(work, config, database)


@consent.command()
def show(
    subject: str = typer.Argument(help="The customer's key."),
    config: Path = CONFIG,
    database: str | None = _DATABASE,
    as_json: bool = _JSON,
) -> None:
    """Shows where the customer's decisions stand, by app and attribute.

    Example: consentry consent show 42 --json
    """

    async def work(connection: asyncpg.Connection, opened: Opened) -> None:
        from proxy.consent import service

        standings = await service.show(connection, subject, (await _words(connection, opened)).mapping)
        if as_json:
            _print_json([asdict(standing) for standing in standings])
        elif standings:
            _print_standings(subject, standings)
        else:
            typer.echo(f"{subject} has decided nothing yet")

    _run(work, config, database)


def _run(
    work: Callable[[asyncpg.Connection, Opened], Awaitable[None]],
    config: Path,
    database: str | None,
    dsn: str | None = None,
) -> None:
    from proxy.catalog.connect import connected
    from proxy.cli.opening import open_database

    async def all_of_it() -> None:
        opened = open_database(config, database)
        async with connected(dsn or opened.control_dsn) as connection:
            await work(connection, opened)

    asyncio.run(all_of_it())


def _asked_apps(opened: Opened) -> list[str]:
    return [name for name, app in opened.rules.apps.items() if not app.trusted]


async def _words(connection: asyncpg.Connection, opened: Opened) -> Vocabulary:
    from proxy.catalog.introspect import take_snapshot
    from proxy.consent.mapped import mapping_of
    from proxy.consent.service import Vocabulary

    mapping = None
    if opened.rules.consent.store != "builtin":
        mapping = mapping_of(opened.compiled(await take_snapshot(connection)))
    return Vocabulary(_asked_apps(opened), list(opened.rules.attributes), mapping)


def _origin(opened: Opened) -> Any:
    from proxy.consent.service import Origin

    return Origin("agent", "consentry consent", opened.rules.digest)


def _moment(text: str) -> datetime:
    """A time to come: ISO 8601 (UTC where it names no zone), or a number with a unit h, d, w or y from now."""
    if text[:-1].isdigit() and text[-1:] in _UNITS:
        try:
            return datetime.now(UTC) + int(text[:-1]) * _UNITS[text[-1]]
        except OverflowError:
            raise typer.BadParameter(f"{text} is too far away", param_hint="--expires") from None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        example = "2027-01-31, 2027-01-31T12:00+01:00, 90d or 12h"
        raise typer.BadParameter(f'"{text}" is no time; write {example}', param_hint="--expires") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _print_event(event: Event, as_json: bool) -> None:
    if as_json:
        _print_json(asdict(event))
        return
    until = f" until {_shown(event.expires_at)}" if event.expires_at else ""
    verb = "shares" if event.decision == "granted" else "no longer shares"
    typer.echo(f"{event.subject} {verb} {event.attribute} with {event.app}{until} (event {event.id})")


def _print_standings(subject: str, standings: list[Standing]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"Consent of {subject}", title_justify="left")
    for heading in ("App", "Attribute", "Shared now", "Decision", "Since", "Expires", "By"):
        table.add_column(heading)
    for s in standings:
        now = "[green]yes[/]" if s.granted else "[red]no[/]"
        since = _shown(s.since) if s.since else ""
        expires = _shown(s.expires_at) if s.expires_at else ""
        table.add_row(s.app, s.attribute, now, s.decision, since, expires, s.actor or "")
    Console().print(table)


def _shown(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def _print_json(facts: Any) -> None:
    json.dump(facts, sys.stdout, default=lambda value: value.isoformat(), indent=2, ensure_ascii=False)
    sys.stdout.write("\n")
