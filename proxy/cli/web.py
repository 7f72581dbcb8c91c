"""`consentry web`, `link` and `token`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from proxy.cli.options import CONFIG, DATABASE, JSON
from proxy.cli.printing import print_json

if TYPE_CHECKING:
    import asyncpg

    from proxy.web.tokens import Token

token = typer.Typer(help="Tokens of the organisation's services for the HTTP API.", no_args_is_help=True)

PROFILE = "profile"  # the scope of tokens that read profiles
_SCOPE = typer.Option([], "--scope", help="read, write, audit or rights; once for each.")


def web(config: Path = CONFIG, beside: bool = typer.Option(False, "--beside", hidden=True)) -> None:
    """Runs the web side alone: customer pages and the consent API. `consentry serve` does so by itself.

    Example: consentry web --config consentry.yaml
    """
    import logging

    from proxy.web.serving import serve

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    serve(config, beside=beside)


def link(
    subject: str = typer.Argument(help="The customer's key."),
    valid: str = typer.Option("1h", "--valid", help="For how long, at most 7d: 30m, 1h, 2d."),
    collect: bool = typer.Option(False, "--collect", help="To the form that asks for consent, and nothing else."),
    config: Path = CONFIG,
) -> None:
    """Prints a link that opens a customer's pages.

    Example: consentry link 42 --valid 1h
    """
    from proxy.config import seconds
    from proxy.errors import ConsentryError
    from proxy.web.site import open_site

    site = open_site(config)
    if site.keys is None:
        raise ConsentryError("links need a secret to sign with: set web.login.secret_file")
    try:
        made = site.keys.make_link_token(subject, seconds(valid), "collect" if collect else None)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--valid") from error
    base = site.settings.base_url.rstrip("/") or f"http://{site.settings.listen}"
    typer.echo(f"{base}/{'collect' if collect else 'me'}?token={made}")


@token.command()
def add(
    name: str = typer.Argument(help="Who gets it."),
    scope: list[str] = _SCOPE,
    expires: str | None = typer.Option(None, "--expires", help="In how long it ends: 90d, 12h."),
    login: str | None = typer.Option(
        None, "--login", help="An app's database login: the token reads profiles as that app, and as that login."
    ),
    config: Path = CONFIG,
    database: str | None = DATABASE,
    as_json: bool = JSON,
) -> None:
    """Makes a token and prints its secret, which cannot be had again.

    Example: consentry token add newsletter --scope read --scope write --expires 365d
    Example: consentry token add mailco --login mailco_app
    """
    scopes = [*scope, *([PROFILE] if login is not None and PROFILE not in scope else [])]
    if not scopes:
        raise typer.BadParameter("what may it do? read, write, audit, or --login", param_hint="--scope")
    if login is not None:
        _check_login(config, database, login)

    async def work(connection: asyncpg.Connection) -> None:
        from datetime import UTC, datetime, timedelta

        from proxy.config import seconds
        from proxy.web import tokens

        try:
            ends = None if expires is None else datetime.now(UTC) + timedelta(seconds=seconds(expires))
        except (ValueError, OverflowError) as error:
            raise typer.BadParameter(str(error), param_hint="--expires") from error
        made, secret = await tokens.add(connection, name, scopes, ends, login)
        if as_json:
            print_json({**asdict(made), "secret": secret})
        else:
            typer.echo(
                f"token {made.name} ({', '.join(made.scopes)}); keep its secret, it is not shown again:", err=True
            )
            typer.echo(secret)
        right = None if login is None else await tokens.missing_right(connection, login)
        if right is not None:
            typer.echo(f"Consentry's own login may not act as {login} yet; run: {right}", err=True)

    _run(work, config, database)


@token.command("list")
def list_(config: Path = CONFIG, database: str | None = DATABASE, as_json: bool = JSON) -> None:
    """Lists the tokens, revoked ones too. Example: consentry token list"""

    async def work(connection: asyncpg.Connection) -> None:
        from proxy.web import tokens

        found = await tokens.every(connection)
        if as_json:
            print_json([asdict(one) for one in found])
        else:
            _print_tokens(found)

    _run(work, config, database)


@token.command()
def revoke(
    name: str = typer.Argument(help="The token's name."), config: Path = CONFIG, database: str | None = DATABASE
) -> None:
    """Ends a token at once, without a restart. Example: consentry token revoke newsletter"""

    async def work(connection: asyncpg.Connection) -> None:
        from proxy.web import tokens

        await tokens.revoke(connection, name)
        typer.echo(f"token {name} is revoked", err=True)

    _run(work, config, database)


def _run(work: Callable[[asyncpg.Connection], Awaitable[None]], config: Path, database: str | None) -> None:
    from proxy.catalog.connect import connected
    from proxy.cli.opening import choose_database
    from proxy.config import load_settings

    async def all_of_it() -> None:
        configuration = load_settings(config)
        async with connected(configuration.control_dsn(choose_database(configuration, database))) as connection:
            await work(connection)

    asyncio.run(all_of_it())


def _check_login(config: Path, database: str | None, login: str) -> None:
    """Raises BadParameter where the rules have no governed app of this login."""
    from proxy.cli.opening import open_database

    apps = open_database(config, database).rules.apps
    app = next((name for name, one in apps.items() if login in one.logins), None)
    if app is None or apps[app].trusted:
        why = f"login {login} is of no app" if app is None else f"app {app} is trusted, and reads the tables themselves"
        raise typer.BadParameter(why, param_hint="--login")


def _print_tokens(found: list[Token]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table()
    for heading in ("Name", "Scopes", "Login", "Made", "Ends", "Revoked"):
        table.add_column(heading)
    for one in found:
        moments = (f"{m:%Y-%m-%d %H:%M}" if m else "" for m in (one.created_at, one.expires_at, one.revoked_at))
        table.add_row(one.name, ", ".join(one.scopes), one.login or "", *moments)
    Console().print(table)
