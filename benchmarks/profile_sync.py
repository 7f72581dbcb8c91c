"""How long other sources take into the customer profile: the first time, again, and when little changed.

`python -m benchmarks.profile_sync [--customers 100000]`: the four stores of tests/stores.py, whose truth is known.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from pathlib import Path
from time import perf_counter

import asyncpg

from benchmarks import _report
from proxy.catalog.introspect import take_snapshot
from proxy.cli.opening import open_database
from proxy.consent import ledger
from proxy.demo.postgres import embedded_binaries, local_binaries
from proxy.errors import ConsentryError
from proxy.profile.one_source import Plan, Synced
from proxy.profile.sync import catch_up, sync
from tests.servers import start_server
from tests.stores import Stores, make_stores


async def measure(stores: Stores) -> list[str]:
    opened = open_database(stores.folder / "consentry.yaml")
    dsn = opened.control_dsn
    connection = await asyncpg.connect(dsn, statement_cache_size=0)
    lines = []
    try:
        await ledger.setup(connection, "bigint", list(opened.rules.apps))

        async def run(what: str, full: bool = False, watch: bool = False) -> None:
            compiled = opened.compiled(await take_snapshot(connection))
            plan = Plan(opened.configuration, opened.database, opened.rules, compiled, full)
            begin = perf_counter()
            done: list[Synced] = []
            while not done:  # a watch looks again until the log has it
                done = await (catch_up(connection, plan, dsn, ["members"]) if watch else sync(connection, plan, dsn))
            taken = perf_counter() - begin
            for one in done:
                if one.error is not None:
                    raise ConsentryError(str(one.error))
            read = sum(one.counts.read for one in done)
            changed = sum(one.counts.added + one.counts.changed for one in done)
            lines.append(f"| {what} | {taken:.1f} | {read:,} | {changed:,} |")
            print(lines[-1], flush=True)

        await run("first sync")
        await connection.execute("VACUUM ANALYZE")
        await run("second sync, nothing changed")

        def change(size: str, which: str) -> None:
            with stores.server.connect(stores.members) as members:
                members.execute(f"UPDATE members SET size = '{size}', changed = now() WHERE number % {which}".encode())

        change("XXL", "1000 = 0")
        await run("one member in a thousand changed")
        await run("all read from the start, nothing changed", full=True)
        stores.write_settings(members={"replication": {"slot": "bench_members"}})
        opened = open_database(stores.folder / "consentry.yaml")
        await run("from now on members are followed by replication")
        change("4XL", "1000000 = 1")
        await run("one member changed, which a watch follows", watch=True)
        change("5XL", "1000 = 0")
        await run("one in a thousand, which a watch follows", watch=True)
        change("6XL", "10 = 0")
        await run("one in ten, which a watch follows", watch=True)
        rows = await connection.fetch("SELECT source, key, subject FROM consentry.profile_records")
        found = {(row["source"], row["key"]): row["subject"] for row in rows}
        truth = {(source, key): whose for source, records in stores.truth.items() for key, whose in records.items()}
        right = sum(found.get(one) == whose for one, whose in truth.items())
        lines.append("")
        lines.append(
            f"{right:,} of {len(truth):,} records are with the customer whose they are, or wait where nobody can know."
        )
    finally:
        await connection.close()
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profile_sync")
    parser.add_argument("--customers", type=int, default=100_000)
    options = parser.parse_args()
    binaries = embedded_binaries() or local_binaries()
    assert binaries is not None, "install the extra `demo`"
    server = start_server(binaries, settings={"wal_level": "logical"})
    try:
        with tempfile.TemporaryDirectory() as folder:
            stores = make_stores(server, Path(folder), "bench_stores", options.customers)
            lines = asyncio.run(measure(stores))
    finally:
        server.close()
    head = (
        f"`python -m benchmarks.profile_sync --customers {options.customers}`: members in PostgreSQL (with a cursor, "
        "and then by replication), a newsletter tool in SQLite, a CRM's CSV, tickets in JSON lines; "
        f"PostgreSQL {server.version // 10_000}."
    )
    table = ["| what | seconds | records read | written |", "|---|---|---|---|", *lines]
    _report.write("Sources of the customer profile", "\n".join([head, "", *table]))


if __name__ == "__main__":
    main()
