"""`consentry profile`: data of other sources, brought together a customer."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from proxy.cli.connecting import run
from proxy.cli.options import CONFIG, DATABASE, JSON, KEYED
from proxy.cli.printing import print_json, print_table, shown_time
from proxy.cli.profile_review import review
from proxy.cli.subject_acts import desk_of
from proxy.errors import UnreachableError

if TYPE_CHECKING:
    import asyncpg

    from proxy.cli.opening import Opened
    from proxy.profile.one_source import Plan, Progress, Synced

profile = typer.Typer(help="The customer profile: what other sources know.", no_args_is_help=True)
profile.add_typer(review, name="review")

_DIFFERS = (
    "what is kept is not what was read. Records that went without their flag being set stay: `profile sync --once "
    "--accept-deletes` removes them; with `deletes: keep` all that went stay, unless the rules say `deletes: missing`"
)
_WHOSE = (
    "records are with other customers than they say, or wait since they say now that they are another's: "
    "`profile review` shows these"
)
_SOURCES: Any = typer.Option(None, "--source", help="Only this source; may be given several times.")


@profile.command()
def sync(
    sources: list[str] | None = _SOURCES,
    full: bool = typer.Option(False, "--full", help="Read sources from their start, not from where the last sync was."),
    accept: bool = typer.Option(False, "--accept-deletes", help="Even if most records of a source are gone."),
    watch: str | None = typer.Option(None, "--watch", help="Again and again, with this pause: 30s, 10m."),
    once: bool = typer.Option(False, "--once", help="Read all, and compare every attribute with its source."),
    cutover: bool = typer.Option(False, "--cutover", help="With --once: if all is the same, never read them again."),
    config: Path = CONFIG,
    database: str | None = DATABASE,
    dsn: str | None = typer.Option(None, "--dsn", help="Connect by this URI instead of Consentry's own login."),
    as_json: bool = JSON,
) -> None:
    """Brings what the rules' sources know of customers into the profile. It can be run again after any failure.

    Example: consentry profile sync --source crm
    """
    from proxy.config import seconds

    if cutover and not once:
        raise typer.BadParameter("--cutover goes with --once: all is compared first")
    if watch is not None and once:
        raise typer.BadParameter("--once and --watch exclude each other")
    try:
        pause = seconds(watch) if watch is not None else None
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--watch") from error

    async def planned(connection: asyncpg.Connection, opened: Opened) -> Plan:
        from proxy.catalog.introspect import take_snapshot
        from proxy.profile.one_source import Plan

        compiled = opened.compiled(await take_snapshot(connection))
        return Plan(opened.configuration, opened.database, opened.rules, compiled, full, accept, once)

    async def bring(connection: asyncpg.Connection, plan: Plan) -> list[Synced]:
        from proxy.profile.sync import sync as bring_all

        place = dsn or plan.configuration.control_dsn(plan.database)
        with _bars() as progress:
            done = await bring_all(connection, plan, place, sources or (), progress)
        _report(done, as_json)
        return done

    async def work(connection: asyncpg.Connection, opened: Opened) -> None:
        from proxy.rights.migrating import cut_over

        plan = await planned(connection, opened)
        done = await bring(connection, plan)
        if cutover:
            await cut_over(await desk_of(connection, opened), plan, done)
        _end(done)

    if pause is None:
        run(work, config, database, dsn)
        return

    from proxy.cli.opening import open_database
    from proxy.ops.watch import Watch, keep_watching

    opened = open_database(config, database, dsn)
    watched = Watch(
        dsn=opened.control_dsn,
        sources=tuple(sources or ()),
        pause=pause,
        plan=lambda connection: planned(connection, opened),
        sync=bring,
        report=lambda done: _report(done, as_json),
        say=lambda line: typer.echo(f"consentry: {line}", err=True),
    )
    asyncio.run(keep_watching(watched))


@profile.command()
def drop_slot(
    source: str = typer.Argument(help="The source, as the rules name it."),
    config: Path = CONFIG,
    database: str | None = DATABASE,
) -> None:
    """Drops the replication slot of a source that is not followed any more: else its server keeps its log for ever.

    Example: consentry profile drop-slot members
    """
    from proxy.cli.opening import open_database
    from proxy.errors import ConsentryError
    from proxy.profile.sources.opening import open_followed

    opened = open_database(config, database)
    reader = open_followed(opened.configuration, opened.database, source)
    if reader is None:
        raise ConsentryError(f'source "{source}" has no `replication` in the settings')
    dropped = asyncio.run(reader.drop())
    typer.echo(f"slot {reader.slot} was dropped" if dropped else f"there is no slot {reader.slot}")


@profile.command()
def status(
    conflicts: str | None = typer.Option(None, "--conflicts", help="Customers whose sources disagree on an attribute."),
    limit: int = typer.Option(100, "--limit", min=1, help="How many of them."),
    config: Path = CONFIG,
    database: str | None = DATABASE,
    as_json: bool = JSON,
) -> None:
    """Shows how fresh each source is, where sources disagree, what waits for review.

    Example: consentry profile status --conflicts email
    """

    async def work(connection: asyncpg.Connection, opened: Opened) -> None:
        from proxy.cli.subject_acts import desk_of
        from proxy.profile import status as reading
        from proxy.rights.desk import note

        if conflicts is not None:
            found = await reading.conflicts(connection, conflicts, limit)
            await note(await desk_of(connection, opened), "find", customers=len(found))
            if as_json:
                print_json(found)
            for one in found if not as_json else ():
                typer.echo(f"{one['subject']}: {one['values']}")
            return
        facts = await reading.status(connection, opened.configuration, opened.database, opened.rules)
        if as_json:
            print_json(facts)
            return
        print_table(
            ("source", "records", "waiting", "last sync", "state"),
            [(s["name"], s["records"], s["waiting"], shown_time(s["synced_at"]), _state(s)) for s in facts["sources"]],
        )
        print_table(
            ("attribute", "customers", "values", "conflicts"),
            [(a["attribute"], a["customers"], a["values"], a["conflicts"]) for a in facts["attributes"]],
        )
        others = f", {facts['others']} of them from nowhere else" if facts["others"] else ""
        typer.echo(f"{facts['customers']} customers are known from sources{others}")

    run(work, config, database)


@profile.command(context_settings=KEYED)
def show(
    subject: str = typer.Argument(help="The customer's key."),
    attribute: str | None = typer.Option(None, "--attribute", help="Only this one."),
    config: Path = CONFIG,
    database: str | None = DATABASE,
    as_json: bool = JSON,
) -> None:
    """Shows all that is known of a customer, each value with where it is from, when it was read, whether it counts.

    Example: consentry profile show 42 --attribute email
    """

    async def work(connection: asyncpg.Connection, opened: Opened) -> None:
        from proxy.cli.subject_acts import desk_of
        from proxy.profile.provenance import provenance
        from proxy.profile.review import told
        from proxy.profile.tombstones import in_the_way
        from proxy.rights.desk import note

        desk = await desk_of(connection, opened)
        found = await provenance(connection, desk.rules, subject)
        await note(desk, "show")
        values = [one for one in found.values if attribute in (None, one.attribute)]
        if as_json:
            print_json([asdict(one) for one in values])
        elif values:
            print_table(
                ("attribute", "value", "from", "at", "read", ""),
                [
                    (v.attribute, told(v.value), v.source, v.key, shown_time(v.read_at) if v.read_at else "now",
                     "counts" if v.chosen else "")
                    for v in values
                ],
            )  # fmt: skip
        stones = await in_the_way(connection, subject)
        if stones:
            why = "an erased customer had their key, address or number, so records are left out or wait for review"
            typer.echo(f"{why}: `consentry subject readmit {subject}` ends that", err=True)
        for name in found.unread:
            typer.echo(f"{name} may not be read: `consentry consent setup --exports` prints the grant", err=True)
        if not values:
            typer.echo(f"nothing of {subject} is known", err=True)
            raise typer.Exit(1)

    run(work, config, database)


@profile.command()
def match(config: Path = CONFIG, database: str | None = DATABASE, as_json: bool = JSON) -> None:
    """Compares records that fit nobody exactly with all customers, by what the rules' `likely` says.

    Those of which the rules say that it is sure enough are matched; others get candidates for review.

    Example: consentry profile match
    """

    async def work(connection: asyncpg.Connection, opened: Opened) -> None:
        from proxy.catalog.introspect import take_snapshot
        from proxy.profile.suggest import suggest

        done = await suggest(connection, opened.rules, opened.compiled(await take_snapshot(connection)))
        if as_json:
            print_json([asdict(one) for one in done])
            return
        for one in done:
            if one.unlearnt is not None:
                typer.echo(f"{one.source}: {one.compared} records: {one.unlearnt}; what was found before stands")
                continue
            left = one.compared - one.matched - one.candidates
            what = f"{one.matched} matched, {one.candidates} with candidates for review, {left} like nobody"
            typer.echo(f"{one.source}: {one.compared} records compared: {what}")

    run(work, config, database)


def _report(done: list[Synced], as_json: bool) -> None:
    from proxy.profile.staging import WHOSE

    if as_json:
        print_json([{**asdict(replace(one, error=None)), "error": one.error and str(one.error)} for one in done])
        return
    for one in done:
        counts = one.counts
        if one.error is not None:
            typer.echo(f"consentry: {one.error}", err=True)
        elif one.cut_over is not None:
            typer.echo(f"{one.source}: its data lives here since {shown_time(one.cut_over)}; it is not read any more")
        elif one.unchanged:
            typer.echo(f"{one.source}: unchanged")
        else:
            erased = f", {counts.erased} of erased customers left out" if counts.erased else ""
            erased += f" ({counts.shared} by address or number alone)" if counts.shared else ""
            what = f"{counts.added} new, {counts.changed} changed, {counts.deleted} deleted"
            typer.echo(f"{one.source}: {counts.read} records read: {what}{erased}")
        if one.warning is not None and one.error is None:
            typer.echo(f'consentry: source "{one.source}": {one.warning}', err=True)
        if one.compared:
            rows = [(c.attribute, c.read, c.kept, c.read_sum, "same" if c.same else "DIFFERS") for c in one.compared]
            print_table(("attribute", "values read", "kept", "checksum", ""), rows)
            differing = {compared.attribute for compared in one.compared if not compared.same}
            for told in (_DIFFERS if differing - {WHOSE} else None, _WHOSE if WHOSE in differing else None):
                if told is not None:
                    typer.echo(f'consentry: source "{one.source}": {told}', err=True)


def _end(done: list[Synced]) -> None:
    """Exits with 1 where something went wrong, with 3 where all that did could not be reached."""
    errors = [one.error for one in done if one.error is not None]
    if not errors and not all(compared.same for one in done for compared in one.compared):
        raise typer.Exit(1)
    if errors:
        raise typer.Exit(3 if all(isinstance(error, UnreachableError) for error in errors) else 1)


@contextmanager
def _bars() -> Iterator[Progress | None]:
    """Progress bars where standard error is a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress, TaskID, TextColumn

    tasks: dict[str, TaskID] = {}
    columns = (*Progress.get_default_columns()[:2], TextColumn("{task.completed} records"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:

        def tell(source: str, count: int) -> None:
            if source not in tasks:
                tasks[source] = bars.add_task(source, total=None)
            bars.update(tasks[source], completed=count)

        yield tell


def _state(source: dict[str, Any]) -> str:
    if source["cut_over_at"] is not None:
        return f"cut over {shown_time(source['cut_over_at'])}"
    if source["error"] is not None:
        return f"{shown_time(source['tried_at'])}: {source['error']}"
    if source["warning"] is not None:
        return f"warning: {source['warning']}"
    lag = source.get("replication")
    if lag is not None:
        return lag["error"] or f"{_size(lag['behind'])} behind; slot {lag['slot']} holds {_size(lag['held'])}"
    return "" if source["mapped"] else "not in the rules"


def _size(count: int | None) -> str:
    """Bytes for people."""
    if count is None:
        return "an unknown number of bytes"
    return f"{count} bytes" if count < 10_000 else f"{count / 2**20:.1f} MB"
