"""What psql, ORMs and BI tools ask to learn a schema: through the gateway's rewriting against the same text as it is.

The texts run on one connection, the rewritten one interleaved with the original, so that what is compared is the
server's work; planning a text is counted by `rewrite`, and once for each text of an app.
"""

from __future__ import annotations

import asyncio
import re
import statistics
from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter

import psycopg

from benchmarks import _report
from proxy.catalog.model import SearchPath
from proxy.policy.compile import compile_rules
from proxy.policy.load import load_rules
from proxy.rewrite.plan import Planner
from tests.servers import PgServer, find_server, snapshot_of

FOLDER = Path(__file__).parent.parent / "tests" / "integration" / "introspection"
ROUNDS = 15
TABLES = 100  # beside those of the schema: a catalog of a size that is found in practice
FILES = ("psql", "pgjdbc", "node", "pgadmin", "tools")


def texts(name: str) -> Iterator[str]:
    """The recorded texts that need no oid but those of relations."""
    for part in re.split(r"(?m)^-- #.*\n", (FOLDER / f"{name}.sql").read_text())[1:]:
        text = re.sub(r"'?\{oid:([^}]*)\}'?", lambda match: f"'{match[1]}'::regclass", part.strip().rstrip(";"))
        if not re.search(r"\{\w+(:|\})", text):
            yield text


def fill(server: PgServer) -> None:
    for login in ("intro_tool", "intro_owner"):
        server.create_login(login, group="auth_trust")
    more = "".join(
        f"CREATE TABLE filler_{n} (id int PRIMARY KEY, a text UNIQUE, b int CHECK (b > 0), c date DEFAULT now());"
        f"CREATE INDEX ON filler_{n} (b, c); COMMENT ON COLUMN filler_{n}.a IS 'filler';"
        for n in range(TABLES)
    )
    more += "GRANT ALL ON ALL TABLES IN SCHEMA public TO PUBLIC;"
    server.create_database("catalogs", (FOLDER / "schema.sql").read_text() + more)
    server.run("catalogs", "ANALYZE")


def milliseconds(work: Callable[[], object]) -> float:
    begin = perf_counter()
    work()
    return (perf_counter() - begin) * 1e3


def main() -> None:
    server = find_server()
    try:
        fill(server)
        snapshot = asyncio.run(snapshot_of(server.dsn("catalogs")))
        opened = "".join(f"  public.filler_{n}: open\n" for n in range(0, TABLES, 2))  # the others are hidden
        rules_text = (FOLDER / "rules.yaml").read_text().replace("tables:\n", "tables:\n" + opened)
        rules = compile_rules(load_rules([("rules.yaml", rules_text)]), snapshot)
        planner = Planner(rules.apps["tool"], rules, snapshot)
        lines = [
            "| asked by | texts | direct, ms | through, ms | ratio | median of ratios |",
            "|---|---|---|---|---|---|",
        ]
        worst: list[tuple[float, float, str]] = []
        with psycopg.connect(server.dsn("catalogs", "intro_tool"), autocommit=True) as connection:
            cursor = psycopg.RawCursor(connection)
            for name in FILES:
                found = []
                for text in texts(name):
                    plan = planner.plan(text.encode(), SearchPath())
                    if plan.refusal is not None:
                        continue
                    try:
                        cursor.execute(text.encode())
                        cursor.execute(plan.text)
                    except psycopg.Error:
                        continue
                    pair: tuple[list[float], list[float]] = ([], [])
                    for _ in range(ROUNDS):
                        for times, query in zip(pair, (text.encode(), plan.text), strict=True):
                            times.append(milliseconds(lambda query=query: cursor.execute(query)))  # type: ignore[misc]
                    direct, through = map(statistics.median, pair)
                    found.append((direct, through))
                    worst.append((through / direct, through - direct, f"{name}: {' '.join(text.split())[:90]}"))
                ratios = sorted(through / direct for direct, through in found)
                direct, through = sum(d for d, _ in found), sum(t for _, t in found)
                lines.append(
                    f"| {name} | {len(found)} | {direct:.1f} | {through:.1f} | {through / direct:.2f} | "
                    f"{statistics.median(ratios):.2f} |"
                )
    finally:
        server.close()
    worst.sort(key=lambda one: -one[1])
    lines += ["", "Where the most time is added:", ""]
    lines += [f"- {ratio:.1f} x, {added:.1f} ms more: `{text}`" for ratio, added, text in worst[:8]]
    _report.write("Catalogs", "\n".join(lines))


if __name__ == "__main__":
    main()
