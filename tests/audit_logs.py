"""Audit logs of any size for tests and benchmarks, written by the functions that the gateway writes with."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from proxy.audit.record import Clock, error_tail, fragment, session_fragment, statement_fragment, statement_tail
from proxy.rewrite.result import Disclosure, StatementInfo

START = datetime(2026, 11, 1, tzinfo=UTC).timestamp()
RULES_VERSION = "ab" * 32
TREATMENTS = {
    "crm": "show",
    "analytics": "mask year",
    "mailco": "show if consent, else null",
    "shipfast": "show",
}
COLUMNS = {
    "public.customers": ("full_name", "email", "phone", "birth_date", "card"),
    "public.addresses": ("street", "city", "email"),
}


@dataclass(frozen=True, slots=True)
class Made:
    """A line with what it was made of."""

    time: float
    line: str


def statements(app: str, rolls: random.Random, many: int) -> list[str]:
    """Fragments of `many` statements of an app. analytics reads no card, only crm reads phone numbers."""
    made = []
    for number in range(many):
        relation = rolls.choice(list(COLUMNS))
        columns = [c for c in COLUMNS[relation] if c != "card" and (c != "phone" or app == "crm")]
        chosen = rolls.sample(columns, rolls.randint(1, 3))
        if app == "crm" and number == many - 1:
            relation, chosen = "public.customers", ["card"]
        consent = "opt_in" if "consent" in TREATMENTS[app] else "none"
        info = StatementInfo(
            f"SELECT id, {', '.join(chosen)} FROM {relation.partition('.')[2]} WHERE id = $1 AND n{number} = $2",
            f"{rolls.getrandbits(64):016x}",
            "SelectStmt",
            tuple(Disclosure(relation, column, column, TREATMENTS[app]) for column in chosen),
            (f"{app} gets what it needs", "nothing else"),
            consent,  # type: ignore[arg-type]
        )
        made.append(statement_fragment(info, app != "crm", RULES_VERSION))
    return made


def records(count: int, *, seed: int = 1, worker: int = 0, gap: float = 0.25, shapes: int = 40) -> Iterator[Made]:
    """A day after day of four apps: mostly statements, sometimes connections, errors and refusals.

    `gap`: seconds between two records, on average.
    """
    rolls = random.Random(seed)
    clock = Clock()
    known = {app: statements(app, rolls, shapes) for app in TREATMENTS}
    sessions = {
        app: [
            session_fragment(
                f"{rolls.getrandbits(64):016x}", app, f"{app}_app", f"10.0.0.{n}:5{n:03}", f"{app} {n}", "shop", None
            )
            for n in range(8)
        ]
        for app in TREATMENTS
    }
    now = START
    apps = list(TREATMENTS)
    for number in range(1, count + 1):
        now += rolls.random() * 2 * gap
        app = rolls.choice(apps)
        session = rolls.choice(sessions[app])
        dice = rolls.random()
        event, statement = "statement", rolls.choice(known[app])
        if dice < 0.01:
            event, statement, tail = "connect", "", ""
            session = session[:-1]
        elif dice < 0.02:
            event, tail = "refused", error_tail("42501", "permission denied for column card of relation customers", 90)
        elif dice < 0.03:
            tail = error_tail("22012", "division by zero", 300)
        else:
            tail = statement_tail(rolls.randrange(20), rolls.randrange(100, 5000))
        head = fragment({"time": clock.text(now), "seq": number, "worker": worker, "event": event})
        yield Made(now, "{" + head + session + statement + tail + "}\n")


def write_log(directory: Path, count: int, *, file_records: int = 0, **options: float) -> list[Path]:
    """Writes files of `file_records` records each (0: one file); gives their paths."""
    directory.mkdir(parents=True, exist_ok=True)
    paths: list[Path] = []
    out = None
    worker = int(options.get("worker", 0))
    for number, made in enumerate(records(count, **options)):  # type: ignore[arg-type]
        if out is None or (file_records and number % file_records == 0):
            if out is not None:
                out.close()
            day = datetime.fromtimestamp(made.time, UTC).strftime("%Y-%m-%d")
            paths.append(directory / f"{worker}-{day}.{len(paths):06}.jsonl")
            out = paths[-1].open("w")
        out.write(made.line)
    if out is not None:
        out.close()
    return paths
