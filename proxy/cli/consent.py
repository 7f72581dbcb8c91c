"""`consentry consent ...`: works on the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from proxy.cli.connecting import run
from proxy.cli.options import CONFIG, DATABASE, JSON, KEYED
from proxy.cli.printing import print_json

if TYPE_CHECKING:
    import asyncpg

    from proxy.cli.opening import Opened
    from proxy.consent.names import Names
    from proxy.consent.service import Decision, Event, Origin, Standing, Vocabulary

consent = typer.Typer(help="Consent decisions: who shares which attribute with which app.", no_args_is_help=True)

_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1), "y": timedelta(days=365)}


@consent.command()
def setup(
    config: Path = CONFIG,
    database: str | None = DATABASE,
    dsn: str | None = typer.Option(None, "--dsn", help="Connect by this URI: an owner of the database, for example."),
    apply: bool = typer.Option(False, "--apply", help="Run the grants too, instead of only printing them."),
    exports: bool = typer.Option(
        False, "--exports", help="Also what Consentry must read to export all that is held on a customer."
    ),
    erasure: bool = typer.Option(False, "--erasure", help="Also what Consentry must have to erase customers."),
    rectification: bool = typer.Option(
        False, "--rectification", help="Also what Consentry must have to correct what is held of customers."
    ),
    as_json: bool = JSON,
) -> None:
    """Makes schema consentry in the database, or brings it up to date, and prints the grants that the rules need.

    Example: consentry consent setup --dsn postgresql://postgres@db.internal/shop --apply
    """

    async def work(connection: asyncpg.Connection, opened: Opened) -> None:
        from proxy.catalog.introspect import take_snapshot
        from proxy.consent import ledger, needs, spans
        from proxy.profile import held, own, relation, shape
        from proxy.rights import rectifying
        from proxy.rights.erasure import needed

        snapshot = await take_snapshot(connection)
        rules = opened.compiled(snapshot)
        kind, keys = needs.subject_type(rules, snapshot), needs.key_names(rules)
        attributes = list(opened.rules.attributes)
        views = needs.own_views(rules, snapshot)
        report = await ledger.setup(connection, kind, _asked_apps(opened), keys, attributes, views)
        columns = await shape.follow(connection, opened.rules)
        # Consent for what only sources know is asked by the columns that were just made.
        filled = await spans.follow(connection, opened.compiled(await take_snapshot(connection)))
        snapshot = await take_snapshot(connection)
        rules = opened.compiled(snapshot)  # again: some of it depends on what was just made
        if columns:
            anew = await relation.follow(connection, rules, snapshot)
            report = replace(report, views=tuple(dict.fromkeys((*report.views, *anew))))
        missing = await needs.missing_roles(connection, rules)
        also = own.rights(opened.rules, rules)
        also += held.rights(rules.subject_tables) if exports else ()
        also += await needed(connection, rules, snapshot) if erasure else ()
        also += rectifying.rights(rules, snapshot) if rectification else ()
        granted = needs.grants(rules, also)
        if apply:
            await needs.apply_grants(connection, granted, missing)
        if as_json:
            facts = {
                **asdict(report),
                "spans": filled,
                "profile": columns,
                "grants": dict(granted),
                "missing_roles": missing,
                "applied": apply,
            }
            print_json(facts)
            return
        for what, names in (
            ("migration", report.migrations),
            ("state of app", report.apps),
            ("key", report.keys),
            ("view", report.views),
        ):
            for name in names:
                typer.echo(f"made {what} {name}", err=True)
        for done in filled:
            typer.echo(f"made {done}", err=True)
        for done in columns:
            typer.echo(f"consentry.profile_data: {done}", err=True)
        if not (report.migrations or report.apps or report.keys or report.views or columns or filled):
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

    run(work, config, database, dsn)


@consent.command(context_settings=KEYED)
def grant(
    subject: str = typer.Argument(help="The customer's key."),
    app: str = typer.Argument(help="The app, as the rules name it."),
    attribute: str = typer.Argument(help="The attribute, as the rules name it; group:NAME; all that the app asks for."),
    expires: str | None = typer.Option(None, "--expires", help="2027-01-31, 2027-01-31T12:00+01:00, 90d, 12h."),
    config: Path = CONFIG,
    database: str | None = DATABASE,
    as_json: bool = JSON,
) -> None:
    """Records that the customer shares the attribute with the app. In force from every app's next statement on.

    Example: consentry consent grant 42 mailco email --expires 1y
    """
    until = None if expires is None else _moment(expires)

    async def work(connection: asyncpg.Connection, opened: Opened) -> None:
        _print_events(await _decide(connection, opened, subject, app, attribute, "granted", until), as_json)

    run(work, config, database)


@consent.command(context_settings=KEYED)
def withdraw(
    subject: str = typer.Argument(help="The customer's key."),
    app: str = typer.Argument(help="The app, as the rules name it."),
    attribute: str = typer.Argument(help="The attribute, as the rules name it; group:NAME; all that the app asks for."),
    config: Path = CONFIG,
    database: str | None = DATABASE,
    as_json: bool = JSON,
) -> None:
    """Records that the customer no longer shares the attribute with the app. In force from the next statement on.

    Example: consentry consent withdraw 42 mailco email
    """

    async def work(connection: asyncpg.Connection, opened: Opened) -> None:
        _print_events(await _decide(connection, opened, subject, app, attribute, "withdrawn"), as_json)

    run(work, config, database)


@consent.command(context_settings=KEYED)
def show(
    subject: str = typer.Argument(help="The customer's key."),
    config: Path = CONFIG,
    database: str | None = DATABASE,
    as_json: bool = JSON,
) -> None:
    """Shows where the customer's decisions stand, by app and attribute.

    Example: consentry consent show 42 --json
    """

    async def work(connection: asyncpg.Connection, opened: Opened) -> None:
        from proxy.consent import service

        standings = await service.show(connection, subject, (await words_of(connection, opened)).mapping)
        if as_json:
            print_json([asdict(standing) for standing in standings])
        elif standings:
            _print_standings(subject, standings)
        else:
            typer.echo(f"{subject} has decided nothing yet")

    run(work, config, database)


@consent.command(context_settings=KEYED)
def history(
    subject: str = typer.Argument(help="The customer's key."),
    limit: int = typer.Option(50, "--limit", min=1, help="At most so many decisions."),
    before: int | None = typer.Option(None, "--before", min=1, help="Only those with a smaller number: the next page."),
    config: Path = CONFIG,
    database: str | None = DATABASE,
    as_json: bool = JSON,
) -> None:
    """Shows the customer's decisions as they were made, newest first.

    Example: consentry consent history 42 --json
    """

    async def work(connection: asyncpg.Connection, opened: Opened) -> None:
        from proxy.consent import service

        events = await service.history(connection, subject, before=before, limit=limit)
        if as_json:
            print_json([asdict(event) for event in events])
        elif events:
            _print_history(subject, events)
        else:
            typer.echo(f"{subject} has decided nothing yet" if before is None else "there are no decisions before that")

    run(work, config, database)


async def _decide(
    connection: asyncpg.Connection,
    opened: Opened,
    subject: str,
    app: str,
    what: str,
    decision: Decision,
    until: datetime | None = None,
) -> list[Event]:
    from proxy.consent import access, service

    attributes: Sequence[str] = (what,)
    words, scope = await words_of(connection, opened), None
    if access.of_several(what):
        attributes, scope = (await names_of(connection, opened)).meaning(app, what)
    return await service.decide(
        connection,
        words,
        subject,
        app,
        attributes,
        decision,
        scope=scope,
        expires_at=until,
        origin=origin_of(opened),
    )


def _asked_apps(opened: Opened) -> list[str]:
    return [name for name, app in opened.rules.apps.items() if not app.trusted]


async def words_of(connection: asyncpg.Connection, opened: Opened) -> Vocabulary:
    """What decisions can be about. The catalog is looked at only where consent is in a table of the database's own."""
    from proxy.consent.service import Vocabulary

    if opened.rules.consent.store != "builtin":
        return (await names_of(connection, opened)).vocabulary
    return Vocabulary(_asked_apps(opened), list(opened.rules.attributes))


async def names_of(connection: asyncpg.Connection, opened: Opened) -> Names:
    """What decisions can be about, groups and `all` included, from the rules on the catalog."""
    from proxy.catalog.introspect import take_snapshot
    from proxy.consent.mapped import mapping_of
    from proxy.consent.names import Names
    from proxy.consent.service import Vocabulary

    compiled = opened.compiled(await take_snapshot(connection))
    words = Vocabulary(_asked_apps(opened), list(opened.rules.attributes), mapping_of(compiled))
    return Names(words, compiled, opened.rules.attributes)


def origin_of(opened: Opened) -> Origin:
    """Who decides where a command is typed."""
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


def _print_events(events: list[Event], as_json: bool) -> None:
    if as_json:
        print_json(asdict(events[0]) if events[0].scope is None else [asdict(event) for event in events])
        return
    for event in events:
        until = f" until {_shown(event.expires_at)}" if event.expires_at else ""
        verb = "shares" if event.decision == "granted" else "no longer shares"
        typer.echo(f"{event.subject} {verb} {event.attribute} with {event.app}{until} (event {event.id})")


def _print_history(subject: str, events: list[Event]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"Decisions of {subject}", title_justify="left", box=None, pad_edge=False)
    for heading in ("Event", "At", "App", "Attribute", "Decision", "By"):
        table.add_column(heading, overflow="fold")
    for e in events:
        about = e.attribute if e.scope is None else f"{e.attribute} ({e.scope})"
        decision = f"{e.decision} until {_shown(e.expires_at)}" if e.expires_at else e.decision
        table.add_row(str(e.id), _shown(e.at), e.app, about, decision, e.actor)
    Console().print(table)


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
