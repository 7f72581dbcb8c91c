"""The field of a campaign: a server with the databases of all apps, their twins and copies; work spread over processes."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace

from tests.servers import PgServer
from tests.strength import world
from tests.strength.random_sql import campaign, comparing, copies, smith
from tests.strength.random_sql.campaign import Finding, Job, Judge, Tally
from tests.strength.random_sql.catalog import Catalog, learn
from tests.strength.random_sql.shrink import shrink
from tests.strength.starter import Gateway

SHRUNK = 6  # findings of a process that are cut down; each takes a few hundred statements


# Functions and operators of the database's own with names of built-in ones: that those are refused is what the canaries
# look at; here they would only refuse every other statement.
_HOSTILE = """
DROP TYPE public.level CASCADE; DROP FUNCTION public.round(int, text[]); DROP FUNCTION public.compare_told CASCADE;
"""


@dataclass
class Field:
    server: PgServer
    last_oid: int
    apps: Sequence[str]
    catalogs: dict[str, Catalog] = field(default_factory=dict)


def prepare(server: PgServer, apps: Sequence[str] = world.APPS, with_copies: bool = True) -> Field:
    """Builds the databases and learns what each app finds in them."""
    built = world.build(server, apps)
    made = Field(server, built.last_oid, apps)
    for database in built.databases:
        server.run(database, _HOSTILE)
    gateway = Gateway(server, built.databases, built.rules)
    try:
        for app in apps:
            made.catalogs[app] = learn(server, gateway.port, app)
            names = [world.base(app), world.twin(app)]
            # What customers told other apps is nothing that this one may see.
            server.run(world.twin(app), f"DELETE FROM consentry.state WHERE app <> '{app}'")
            if with_copies:
                names.append(copies.build(server, gateway.port, made.catalogs[app]))
            for name in names:
                comparing.level(server, name)
    finally:
        gateway.close()
    return made


def fight(
    place: Field,
    count: int,
    checks: tuple[str, ...],
    kinds: str = "",
    first_seed: int = 1,
    workers: int = 0,
    again: int = 0,
) -> Tally:
    """`count` statements in all, spread over the apps, by as many processes as there are cores, each with a gateway.
    `again`: of those, how many for each made one are the same with other constants.
    """
    share = -(-count // len(place.apps) // (1 + again))
    seeds = range(first_seed, first_seed + share)
    return work(place, [Job(app, seeds, checks, kinds, again=again) for app in place.apps], workers)


def fight_sqlsmith(place: Field, count: int, seed: int = 1, workers: int = 0) -> Tally:
    """The same with sqlsmith's statements."""
    share = -(-count // len(place.apps))
    made = {app: smith.statements(place.server, app, share, seed) for app in place.apps}
    return work(place, [Job(app, range(0), ("canaries", "copy"), statements=made[app]) for app in place.apps], workers)


def work(place: Field, jobs: Sequence[Job], workers: int = 0) -> Tally:
    """The jobs, spread over processes."""
    workers = min(workers or os.cpu_count() or 1, len(jobs))
    groups = [jobs[n::workers] for n in range(workers)]
    address = (place.server.host, place.server.port, place.server.admin)
    total = Tally()
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        for tally in pool.map(
            _work, groups, [address] * workers, [place.last_oid] * workers, [place.catalogs] * workers
        ):
            total.add(tally)
    return total


def _work(jobs: Sequence[Job], address: tuple[str, int, str], last_oid: int, catalogs: dict[str, Catalog]) -> Tally:
    """One process's part: its own gateway before its apps' databases."""
    server = PgServer(*address)
    names = tuple(name(job.app) for job in jobs for name in (world.base, world.twin))
    gateway = Gateway(server, names, world.HERE / "rules.yaml")
    total = Tally()
    try:
        for job in jobs:
            total.add(campaign.run(server, gateway.port, last_oid, catalogs[job.app], job))
        shortest = sorted(total.findings, key=lambda finding: len(finding.text))
        total.findings = [
            _shrunk(server, gateway.port, last_oid, catalogs, jobs[0].checks, f) for f in shortest[:SHRUNK]
        ]
        total.findings += shortest[SHRUNK:]
        for message, example in total.examples.items() if "copy" in jobs[0].checks else ():
            total.examples[message] = _shrunk(
                server, gateway.port, last_oid, catalogs, jobs[0].checks, example, message
            )
        log = gateway.log()
        if not gateway.alive() or "Traceback" in log:
            at = max(log.find("Traceback"), 0)
            total.findings.append(Finding("internal", jobs[0].app, 0, log[at : at + 3000], "the gateway's log"))
    finally:
        gateway.close()
    return total


def _shrunk(
    server: PgServer,
    port: int,
    last_oid: int,
    catalogs: dict[str, Catalog],
    checks: tuple[str, ...],
    finding: Finding,
    refused: str = "",
) -> Finding:
    """The finding with its statement cut down; as it is where it does not come again. `refused`: by this message."""
    if finding.statement is None:
        return finding
    judge = Judge(server, port, last_oid, catalogs[finding.app], checks)
    found: list[Finding] = []

    def fails(statement: campaign.Statement) -> bool:
        tally = Tally()
        same = [f for f in judge.judge(statement, tally) if f.what == finding.what]
        if refused and refused in tally.examples:
            same = [tally.examples[refused]]
        found.extend(same)
        return bool(same)

    try:
        if not fails(finding.statement):
            return finding
        small = shrink(finding.statement, fails)
        fails(small)
        return replace(finding, detail=found[-1].detail, text=str(small), statement=None)
    finally:
        judge.close()
