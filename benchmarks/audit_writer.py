"""How many records of statements a core writes, by how many are written together.

`python -m benchmarks.audit_writer [--records 200000]`. The log is a real one, in a folder of its own: each record is
put together, hashed into the chain and written; each write is given to the system before the next record comes.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time

from benchmarks import _report
from proxy.audit.log import LogOptions
from proxy.audit.record import statement_tail
from proxy.audit.writer import AuditWriter

SESSION = '"session":"cf3443164b904639","app":"mailco","login":"mailco_app","client":"10.0.0.7:4123","database":"shop",'
STATEMENT = (
    '"statement":"SELECT id, full_name, email FROM customers WHERE id = $1","fingerprint":"5f2b1c0d9e8a7b6c",'
    '"rewritten":true,"disclosed":[{"relation":"public.customers","column":"full_name","attribute":"full_name",'
    '"treatment":"show if consent, else null"},{"relation":"public.customers","column":"email","attribute":"email",'
    '"treatment":"show if consent, else null"}],"policies":["partners get contact data from those who agreed"],'
    '"consent":"opt_in","rules_version":"0123456789abcdef0123456789abcdef",'
)
TOGETHER = (1, 4, 20, 200)
TARGET = 20_000  # records a second a core (targets.md)


async def seconds(folder: Path, records: int, together: int) -> float:
    """CPU of this process for one record."""
    audit = AuditWriter(LogOptions(folder / "audit", folder / "audit.key"))
    audit.open()
    begin = audit.begin("statement", SESSION)
    started = process_time()
    for _ in range(records // together):
        for number in range(together):
            audit.append(begin, STATEMENT, statement_tail(1, number))
        audit.flush()
    taken = process_time() - started
    audit.close()
    return taken / records


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.audit_writer")
    parser.add_argument("--records", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    found: dict[int, list[float]] = {together: [] for together in TOGETHER}
    for _ in range(options.rounds):
        for together, taken in found.items():
            with TemporaryDirectory() as folder:
                taken.append(asyncio.run(seconds(Path(folder), options.records, together)))
    lines = ["| records a write | µs CPU a record | records a second a core | to the target |", "|---|---|---|---|"]
    for together, taken in found.items():
        each = statistics.median(taken)
        lines.append(f"| {together} | {each * 1e6:.1f} | {1 / each:,.0f} | {1 / each / TARGET:.1f} |")
    head = (
        f"`python -m benchmarks.audit_writer --records {options.records}`: {options.rounds} rounds, medians of CPU; "
        f"the target is {TARGET:,} a second. Under `required: true` a write has as many records as answers came in one "
        "turn of the event loop: of the CPU a query above, this is the log's share beside its part of the turns."
    )
    _report.write("Writing the audit log", "\n".join([head, "", *lines]))


if __name__ == "__main__":
    main()
