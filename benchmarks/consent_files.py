"""How long files of consent records take: into the ledger and out of it, and what an app asks of it afterwards.

`python -m benchmarks.consent_files [--records 1000000]`. Of five records four are of a customer of their own, one
is about any of them; decisions through the API wait while the file is written.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
from pathlib import Path
from time import perf_counter

import asyncpg

from benchmarks import _report
from proxy.catalog.introspect import take_snapshot
from proxy.catalog.model import SearchPath
from proxy.consent import import_export, ledger
from proxy.consent.names import Names
from proxy.consent.records import Format
from proxy.consent.service import Origin, Vocabulary
from proxy.policy.compile import compile_rules
from proxy.policy.load import load_rules
from proxy.rewrite.plan import Planner
from tests.servers import PgServer, find_server, snapshot_of

RULES = """
version: 1
attributes: {full_name: {}, email: {}, phone: {}}
tables: {public.customers: {subject: id, columns: {id: open, full_name: full_name, email: email, phone: phone}}}
apps: {mailco: {logins: [mailco_app], kind: partner}, shipco: {logins: [shipco_app], kind: partner}}
policies: [{name: those who agreed, attributes: all, action: show, consent: opt_in}]
"""
SCHEMA = "CREATE TABLE customers (id bigint PRIMARY KEY, full_name text, email text, phone text)"
READS = {
    "one customer": "SELECT * FROM consentry.preferences WHERE subject = 4711",
    "all who granted": "SELECT count(*) FROM consentry.preferences WHERE attribute = 'email' AND granted",
}


def make_file(folder: Path, records: int) -> Path:
    chosen = random.Random(1)
    file = folder / "consents.csv"
    with file.open("w") as out:
        out.write("subject,app,attribute,decision,at\n")
        for number in range(records):
            subject = number if number % 5 else chosen.randrange(records)
            app, attribute = chosen.choice(("mailco", "shipco")), chosen.choice(("full_name", "email", "phone"))
            decision, day = chosen.choice(("granted", "withdrawn")), chosen.randrange(1, 29)
            out.write(f"{subject},{app},{attribute},{decision},2026-01-{day:02d}T00:00:00Z\n")
    return file


async def measure(server: PgServer, records: int) -> list[str]:
    dsn = server.create_database("consent_files", SCHEMA)
    connection = await asyncpg.connect(dsn)
    lines = []

    def row(what: str, begin: float, count: int = records) -> None:
        taken = perf_counter() - begin
        lines.append(f"| {what} | {taken:.3f} | {count / taken:,.0f} |")

    try:
        await ledger.setup(connection, "bigint", ["mailco", "shipco"])
        rules = load_rules([("rules.yaml", RULES)])
        compiled = compile_rules(rules, await take_snapshot(connection))
        names = Names(Vocabulary(list(rules.apps), list(rules.attributes)), compiled, rules.attributes)
        with tempfile.TemporaryDirectory() as folder:
            file, read = make_file(Path(folder), records), [0.0]

            def note(what: str, _count: int, _whole: int | None) -> None:
                if what == "read":
                    read[0] = perf_counter()

            begin = perf_counter()
            with file.open("rb") as source:
                await import_export.import_records(
                    connection, names, source, "csv", origin=Origin("import"), progress=note
                )  # fmt: skip
            row("import, whole", begin)
            row("import, written (other decisions wait)", read[0])
        formats: tuple[Format, ...] = ("csv", "jsonl")
        for kind in formats:
            begin = perf_counter()
            async for _ in import_export.export(connection, kind):
                pass
            row(f"export, {kind}", begin)
        await connection.execute("VACUUM ANALYZE")
        snapshot = await snapshot_of(dsn)
        compiled = compile_rules(rules, snapshot)
        planner = Planner(compiled.apps["mailco"], compiled, snapshot)
        for what, query in READS.items():
            text = planner.plan(query.encode(), SearchPath()).text.decode()
            await connection.fetch(text)
            begin = perf_counter()
            await connection.fetch(text)
            row(f"consentry.preferences, {what}", begin, 1)
    finally:
        await connection.close()
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.consent_files")
    parser.add_argument("--records", type=int, default=1_000_000)
    options = parser.parse_args()
    server = find_server()
    try:
        lines = asyncio.run(measure(server, options.records))
        head = (
            f"`python -m benchmarks.consent_files --records {options.records}`: a CSV file, decisions with times, one "
            f"in five about a customer whom the file has already; PostgreSQL {server.version // 10_000}."
        )
    finally:
        server.close()
    table = ["| what | seconds | a second |", "|---|---|---|", *lines]
    _report.write("Files of consent records", "\n".join([head, "", *table]))


if __name__ == "__main__":
    main()
