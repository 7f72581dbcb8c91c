"""The tour's steps about four stores: they come together, one customer's profile, records that could be anybody's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

import asyncpg
from rich.console import Console
from rich.progress import Progress as Bars
from rich.progress import TextColumn

from proxy.catalog.introspect import take_snapshot
from proxy.config import load_settings
from proxy.demo import screens, shop
from proxy.demo.stage import Stage
from proxy.policy.compile import compile_rules
from proxy.policy.load import load_rules
from proxy.profile import review
from proxy.profile.one_source import Plan, Progress, Synced
from proxy.profile.sync import sync

_PROFILE = "SELECT * FROM consentry.profile WHERE subject = 1"
_FROM = """
    SELECT attribute, value, source, key, chosen FROM consentry.profile_values
    WHERE subject = 1 ORDER BY attribute, chosen DESC, source, key"""
_SHOWN = 3


async def syncing(stage: Stage) -> None:
    """Brings the other stores in, twice."""
    screens.title(stage.console, 3, "Four stores become one profile: consentry profile sync")
    async with stage.as_owner() as owner:
        plan = await _plan(stage, owner)
        first, first_seconds = await _sync(stage, owner, plan)
        stage.console.print(screens.synced([(one.source, one.counts.read, one.counts.added) for one in first]))
        again, again_seconds = await _sync(stage, owner, plan)
        rows = await owner.fetch("SELECT source, key, subject, how FROM consentry.profile_records")
        customers = await owner.fetchval("SELECT count(*) FROM customers")
        everybody = await owner.fetchval("SELECT count(*) FROM consentry.profile")
    new = {(row["source"], row["key"]) for row in rows if row["how"] == "new"}
    found = {(row["source"], row["key"]): row["subject"] for row in rows}
    right = sum(found.get(record) == whose for record, whose in stage.truth.items() if whose is not None)
    wrong = sum(
        found[record] not in (None, whose) and (whose is not None or record not in new)
        for record, whose in stage.truth.items()
    )
    known = sum(whose is not None for whose in stage.truth.values())
    waiting = sum(subject is None for subject in found.values())
    changed = sum(one.counts.added + one.counts.changed + one.counts.deleted for one in again)
    stage.console.print(
        f"\n{customers:,} customers of the shop, {len(found):,} records of other stores, in {first_seconds:.1f} s. "
        f"Again: {changed} changes, in {again_seconds:.1f} s.\n"
        f"Whose each record is, is known here: {right:,} of {known:,} are with their customer, {wrong} with another; "
        f"{waiting:,} fit nobody or several, and wait.\n"
        f"{len(new):,} are of people whom only the newsletter tool knows: the profile has {everybody:,} customers."
    )


async def _plan(stage: Stage, owner: asyncpg.Connection) -> Plan:
    configuration = load_settings(stage.files.settings)
    rules = load_rules(configuration.rules_files(shop.DATABASE))
    return Plan(configuration, shop.DATABASE, rules, compile_rules(rules, await take_snapshot(owner)))


async def _sync(stage: Stage, owner: asyncpg.Connection, plan: Plan) -> tuple[list[Synced], float]:
    """What was read, and in how many seconds. Raises ConsentryError as the first store that could not be."""
    began = perf_counter()
    with _bars(stage.console) as progress:
        done = await sync(owner, plan, stage.server.dsn(shop.DATABASE), progress=progress)
    for one in done:
        if one.error is not None:
            raise one.error
    return done, perf_counter() - began


@contextmanager
def _bars(console: Console) -> Iterator[Progress]:
    """A bar for each store, on a terminal only."""
    columns = (*Bars.get_default_columns()[:2], TextColumn("{task.completed} records"))
    with Bars(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        tasks = {}

        def tell(source: str, count: int) -> None:
            if source not in tasks:
                tasks[source] = bars.add_task(source, total=None)
            bars.update(tasks[source], completed=count)

        yield tell


async def profile(stage: Stage) -> None:
    """One customer, as three apps see them, and where each value is from."""
    screens.title(stage.console, 4, "All that is known of Ann as one row, as three apps see it")
    screens.statement(stage.console, _PROFILE)
    await stage.side_by_side(_PROFILE, "subject")
    stage.console.print(
        "\nThe shop's own word counts first. What the other stores said, and which of it counts among them:"
    )
    async with stage.as_owner() as owner:
        said = [(name, json.loads(value), *more) for name, value, *more in await owner.fetch(_FROM)]
    stage.console.print(screens.provenance(said))


async def reviewing(stage: Stage) -> None:
    """What waits for somebody's decision."""
    screens.title(stage.console, 5, "Nothing is merged on a guess: what fits several waits for review")
    async with stage.as_owner() as owner:
        plan = await _plan(stage, owner)
        waiting = [(one.source, one.key) for one in await review.waiting(owner, limit=_SHOWN) if one.candidates]
        chosen = list(dict.fromkeys((("crm_export", "C-2"), *waiting)))[:_SHOWN]
        found = [await review.pair(owner, plan.compiled, source, key) for source, key in chosen]
    stage.console.print(screens.pairs(map(_beside, found)))
    stage.console.print(
        "\n[dim]Agents decide in a browser (/requests/records), or by `consentry profile review decide`.[/]"
    )


def _beside(pair: review.Pair) -> screens.Beside:
    people = [(one.subject, one.why, one.values) for one in pair.people]
    return screens.Beside(pair.source, pair.key, pair.values, people)
