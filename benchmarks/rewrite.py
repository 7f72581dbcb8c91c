"""Rewriting and proof of a new text against sqlglot's parse and generate; a known text against a dict look-up."""

from __future__ import annotations

import asyncio
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import sqlglot

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks import _report
from proxy.catalog.model import SearchPath
from proxy.policy.compile import compile_rules
from proxy.policy.load import load_rules
from proxy.rewrite.plan import Planner
from proxy.server.generation import Generation
from proxy.wire import messages
from tests.servers import find_server, snapshot_of

PAIRS = Path(__file__).parent.parent / "tests" / "sql"
ROUNDS = 5

TEXTS = {
    "look-up by key": "select id, name, email from customers where id = 7",
    "10 lines": """select o.id, o.customer_id, c.email, count(*) as lines
from orders o
inner join customers c on o.customer_id = c.id
left join public.products p on p.id = c.id and p.sku = 'home'
where o.placed >= '2024-01-01'
  and o.id in (1, 2)
  and c.email like 'a%'
group by o.id, o.customer_id, c.email
having count(*) > 3
order by o.id desc limit 20""",
    "10 joins": "select c0.name from customers c0 "
    + " ".join(f"join orders o{i} on o{i}.customer_id = c0.id" for i in range(10))
    + " where c0.id = 5",
    "200 columns": "select " + ", ".join(f"c.name as n{i}" for i in range(200)) + " from customers c where c.id = 5",
    "20,000 numbers in IN": f"select id from customers where id in ({', '.join(map(str, range(100_000, 120_000)))})",
    "nothing governed": "select sku, name from products where id = 7",
}


def microseconds(work: Callable[[], object], times: int) -> float:
    begin = perf_counter()
    for _ in range(times):
        work()
    return (perf_counter() - begin) / times * 1e6


def main() -> None:
    server = find_server()
    try:
        snapshot = asyncio.run(snapshot_of(server.create_database("bench", (PAIRS / "schema.sql").read_text())))
    finally:
        server.close()
    rules = compile_rules(load_rules([("rules.yaml", (PAIRS / "rules.yaml").read_text())]), snapshot)
    planner = Planner(rules.apps["mailer"], rules, snapshot)
    context = Generation("bench", rules, snapshot).context("mailer", SearchPath())
    lines = ["| text | plan and proof, µs | sqlglot parse + generate, µs | ratio |", "|---|---|---|---|"]
    for title, text in TEXTS.items():
        query = text.encode()
        assert planner.plan(query, SearchPath()).refusal is None, title
        ours, theirs = [], []
        times = 20 if len(text) < 10_000 else 1
        for _ in range(ROUNDS):
            ours.append(microseconds(lambda query=query: planner.plan(query, SearchPath()), times))  # type: ignore[misc]
            theirs.append(
                microseconds(
                    lambda text=text: sqlglot.parse_one(text, dialect="postgres").sql("postgres"),  # type: ignore[misc]
                    times,
                )
            )
        mine, peer = statistics.median(ours), statistics.median(theirs)
        lines.append(f"| {title} | {mine:.0f} | {peer:.0f} | {mine / peer:.2f} |")
    message = messages.query(b"select sku from products where id = 7")
    context.query(message)
    plain = {message: 1}
    known = statistics.median(microseconds(lambda: context.plain(message), 100_000) for _ in range(ROUNDS))
    bare = statistics.median(microseconds(lambda: plain.get(message), 100_000) for _ in range(ROUNDS))
    lines.append(f"\nA known text: {known:.2f} µs; a dict look-up of its bytes: {bare:.2f} µs ({known / bare:.2f}).")
    _report.write("Rewriting", "\n".join(lines))


if __name__ == "__main__":
    main()
