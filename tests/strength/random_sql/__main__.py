"""Runs a campaign by hand, and prints what was found and what was refused.

python -m tests.strength.random_sql --count 10000 --checks canaries,twins,copy --apps rower,mixer --seed 5000
"""

from __future__ import annotations

import argparse
from collections import Counter

from tests.servers import find_server
from tests.strength import world
from tests.strength.random_sql.campaign import Tally
from tests.strength.random_sql.field import fight, fight_sqlsmith, prepare


def report(tally: Tally, findings: int = 20) -> str:
    """The tally as text: shares, findings, and the table of refusals with the shortest example of each."""
    lines = [
        f"{tally.sent} statements, {tally.sent / max(tally.seconds, 0.001):.0f} a second and process; "
        f"{tally.valid / max(tally.sent, 1):.1%} valid, {tally.filled / max(tally.sent, 1):.1%} with rows; "
        f"not judged: {dict(tally.excluded) or 'none'}",
        f"kinds: {dict(tally.kinds)}",
        f"errors: {dict(tally.errors.most_common(15))}",
        f"findings: {dict(Counter(f.what for f in tally.findings))}",
        *(str(f) for f in sorted(tally.findings, key=lambda f: (f.what != "leak", len(f.text)))[:findings]),
        "refused, though the copy answers:" if tally.refused else "",
        *(
            f"{count:6} {count / tally.sent:.3%} {app:10} {message}"
            for (app, message), count in tally.refused.most_common()
        ),
        *map(str, tally.examples.values()),
    ]
    return "\n".join(line for line in lines if line)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.strength.random_sql")
    parser.add_argument("--count", type=int, default=7000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--checks", default="canaries,twins,copy")
    parser.add_argument("--apps", default=",".join(world.APPS))
    parser.add_argument("--kinds", default="", help="reads, writes, or mutated")
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--again", type=int, default=0, help="each this often more, with other constants")
    parser.add_argument("--sqlsmith", action="store_true", help="statements of sqlsmith's")
    options = parser.parse_args()
    server = find_server()
    try:
        place = prepare(server, options.apps.split(","), "copy" in options.checks or options.sqlsmith)
        checks = tuple(options.checks.split(","))
        if options.sqlsmith:
            print(report(fight_sqlsmith(place, options.count, options.seed, options.workers)))
            return
        print(report(fight(place, options.count, checks, options.kinds, options.seed, options.workers, options.again)))
    finally:
        server.close()


if __name__ == "__main__":
    main()
