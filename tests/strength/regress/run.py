"""`python -m tests.strength.regress.run` plays PostgreSQL's own regression tests straight and through the gateway.

`--folder` is the folder src/test/regress of PostgreSQL's source (README.md says where it comes from). The scripts are
played twice straight, each time on a fresh server: what differs there (times, process ids, random numbers) says nothing.
Then a round each through the gateway: README.md says what the rules of each are.
"""

from __future__ import annotations

import argparse
import pickle
import re
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path

from tests.servers import PgServer, start_server
from tests.strength.regress.accepted import DIFFERENCES, REFUSALS, Accepted
from tests.strength.regress.behind import LISTED, Behind, Round, kinds_of
from tests.strength.regress.compare import DESIGNED, difference
from tests.strength.regress.playing import DATABASE, Played, Player, files_of

SETTINGS = {
    "autovacuum": "off",
    "max_prepared_transactions": "2",
    "max_parallel_workers": "0",
    "allow_in_place_tablespaces": "on",
    "wal_level": "logical",
}
# Of one file, with every renewal of the catalog: far above what it takes on a machine that is busy otherwise.
FILE_SECONDS = 1800
HIDING = ("unrelated", "identity", "rows", "masked")
ROUNDS: tuple[Round, ...] = ("shown", "unrelated", "identity", "rows")
_EXECUTE = re.compile(r"\s*(--.*\n\s*)*execute\b", re.IGNORECASE)
BEGINNING = "CREATE TABLE public.consentry_unrelated (id int PRIMARY KEY, held text); "


@dataclass
class Outcome:
    """What one round gave."""

    sent: int = 0
    listed: int = 0
    unstable: int = 0
    blind: int = 0
    passed: int = 0  # as they were sent
    rewritten: int = 0
    same: int = 0
    refused: list[tuple[Played, str, str]] = field(default_factory=list)
    designed: Counter[str] = field(default_factory=Counter)  # EXPLAIN, what is scrubbed, the order of rows
    different: list[tuple[Played, str, bool]] = field(default_factory=list)
    reloads: int = 0
    seconds: float = 0.0


class Straight:
    """The answers of two servers without a gateway."""

    def __init__(self, binaries: Path, folder: Path, files: Sequence[str], results: Path) -> None:
        # Each pickled: objects would be looked through at each renewal of the catalog (`behind.Said`).
        self.answers: dict[tuple[str, int], bytes] = {}
        self.unstable: set[tuple[str, int]] = set()
        for played in _play(binaries, folder, files, results):
            self.answers[played.file, played.number] = pickle.dumps(played)
        for played in _play(binaries, folder, files, results):
            before = self.answer_to(played)
            if before is None or before.answer.messages != played.answer.messages:
                self.unstable.add((played.file, played.number))

    def answer_to(self, played: Played) -> Played | None:
        """The answer to the same text at the same place; None where there was another text."""
        kept = self.answers.get((played.file, played.number))
        before: Played | None = None if kept is None else pickle.loads(kept)
        return before if before is not None and before.text == played.text else None


def _server(binaries: Path) -> PgServer:
    server = start_server(binaries, settings=SETTINGS)
    server.create_database(DATABASE, BEGINNING)
    with server.connect() as connection:
        for setting in ("lc_messages = 'C'", "bytea_output = 'hex'", "timezone_abbreviations = 'Default'"):
            connection.execute(f"ALTER DATABASE {DATABASE} SET {setting}")
    return server


@contextmanager
def results_folder() -> Iterator[Path]:
    """A folder into which the server may write, for what COPY TO files makes."""
    with tempfile.TemporaryDirectory(prefix="consentry-results-") as name:
        (Path(name) / "results").mkdir()
        for folder in (Path(name), Path(name) / "results"):
            folder.chmod(0o777)
        yield Path(name)


def _play(binaries: Path, folder: Path, files: Sequence[str], results: Path) -> Iterator[Played]:
    server = _server(binaries)
    try:
        player = Player(server.port, DATABASE, folder, results)
        for file in files:
            yield from player.play(file)
    finally:
        server.close()


def play_round(
    what: Round,
    binaries: Path,
    folder: Path,
    files: Sequence[str],
    results: Path,
    straight: Straight,
    renewal: bool = True,
    each: Callable[[Outcome], None] = lambda outcome: None,
    only: Sequence[str] = (),
) -> Outcome:
    """Plays the files through a gateway; calls `each` after each of them. With `only`, what comes before the first of
    those is played straight, for the tables that it makes.
    """
    outcome = Outcome()
    begun = time.monotonic()
    server = _server(binaries)
    try:
        beforehand = list(takewhile(lambda file: bool(only) and file not in only, files))
        for file in beforehand:
            for _ in Player(server.port, DATABASE, folder, results).play(file):
                pass
        with tempfile.TemporaryDirectory(prefix="consentry-regress-") as directory:
            gateway = Behind(server, Path(directory), DATABASE, what, renewal)
            try:
                player = Player(gateway.port, "db", folder, results, gateway.before)
                for file in files[len(beforehand) :]:
                    since = time.monotonic()
                    for played in player.play(file):
                        _judge(played, straight, gateway, outcome)
                        if time.monotonic() - since > FILE_SECONDS:
                            raise TimeoutError(f"{file}:{played.line} after {FILE_SECONDS} s, round {what}")
                    each(outcome)
                outcome.reloads = gateway.reloads
            finally:
                gateway.close()
    finally:
        server.close()
    outcome.seconds = time.monotonic() - begun
    return outcome


def _judge(played: Played, straight: Straight, gateway: Behind, outcome: Outcome) -> None:
    outcome.sent += 1
    kinds = kinds_of(played.text)
    listed = bool(kinds) and kinds <= LISTED
    outcome.listed += listed
    said = gateway.notes.plans.get(played.text)
    before = straight.answer_to(played)
    if gateway.notes.blind:
        outcome.blind += 1
        return
    refusal = None if said is None else said.refusal
    if refusal is not None and refusal.sqlstate != "42601":
        failed = before is not None and bool(before.answer.errors())
        outcome.refused.append((played, f"{refusal.sqlstate} {refusal.message}", "failed" if failed else "ran"))
        return
    if said is not None and said.rewritten:
        outcome.rewritten += 1
    else:
        outcome.passed += 1
    if before is None or (played.file, played.number) in straight.unstable:
        outcome.unstable += 1
        return
    # What was prepared may have been.
    rewritten = said is None or said.rewritten or _EXECUTE.match(played.text) is not None
    hides = gateway.what in HIDING
    how = difference(played.text, before.answer.messages, played.answer.messages, rewritten, hides)
    if how is None:
        outcome.same += 1
    elif how in DESIGNED:
        outcome.designed[how] += 1
    else:
        outcome.different.append((played, how, rewritten))


def harmless(outcome: Outcome) -> list[tuple[Played, str]]:
    """Refused although a governed app may send its kind, and the server takes it."""
    return [(played, why) for played, why, fate in outcome.refused if fate == "ran" and kinds_of(played.text) <= LISTED]


def _is_in(accepted: Sequence[Accepted], played: Played, how: str) -> bool:
    return any(one.covers(played.file, played.text, how) for one in accepted)


def new_differences(outcome: Outcome) -> list[str]:
    """What differs, and is refused, for a reason that accepted.py does not have."""
    different = [(p, how) for p, how, _ in outcome.different if not _is_in(DIFFERENCES, p, how)]
    refused = [(p, f"refused: {why}") for p, why in harmless(outcome) if not _is_in(REFUSALS, p, why)]
    return [f"{p.file}:{p.line} {how}\n    {p.text!r}" for p, how in different + refused]


def report(what: str, outcome: Outcome) -> str:
    refusals, new = harmless(outcome), new_differences(outcome)
    reasons = Counter(re.sub(r'"[^"]*"|\d+', "...", why)[:110] for _, why in refusals)
    lines = [
        f"## {what}: {outcome.sent:,} statements, {outcome.listed:,} of kinds that an app may send "
        f"({outcome.seconds:.0f} s, {outcome.reloads:,} snapshots)",
        f"passed {outcome.passed:,}, rewritten {outcome.rewritten:,}, refused {len(outcome.refused):,} "
        f"(of listed kinds and taken by the server: {len(refusals):,}), not judged: {outcome.unstable:,} unstable, "
        f"{outcome.blind:,} behind uncommitted DDL",
        f"same answers {outcome.same:,}, different {len(outcome.different):,}, besides {dict(outcome.designed)}; "
        f"differences and refusals that accepted.py does not have: {len(new):,}",
        *(f"  {count:5} {reason}" for reason, count in reasons.most_common()),
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--binaries", type=Path, required=True)
    parser.add_argument("--rounds", nargs="*", default=ROUNDS)
    parser.add_argument("--files", nargs="*", default=())
    parser.add_argument("--list", type=Path, help="Write refusals and differences to this folder.")
    parser.add_argument("--keep", type=Path, help="Keeps the straight answers in this file, or takes them from it.")
    parser.add_argument("--own-renewal", action="store_true", help="The gateway has to see DDL by itself.")
    options = parser.parse_args()
    files = files_of(options.folder, options.files)
    with results_folder() as results:
        begun = time.monotonic()
        if options.keep and options.keep.exists():
            straight = pickle.loads(options.keep.read_bytes())
        else:
            straight = Straight(options.binaries, options.folder, files, results)
            if options.keep:
                options.keep.write_bytes(pickle.dumps(straight))
        print(
            f"straight: {len(straight.answers):,} statements, {len(straight.unstable):,} unstable, "
            f"{time.monotonic() - begun:.0f} s for two",
            flush=True,
        )
        for what in options.rounds:
            outcome = play_round(
                what,
                options.binaries,
                options.folder,
                files,
                results,
                straight,
                not options.own_renewal,
                lambda outcome, what=what: _write(options.list / f"{what}.txt", outcome) if options.list else None,
                options.files,
            )
            print(report(what, outcome), flush=True)


def _write(file: Path, outcome: Outcome) -> None:
    lines = [f"NEW {line}" for line in new_differences(outcome)]
    lines += [f"REFUSED {p.file}:{p.line} {why}\n    {p.text!r}" for p, why in harmless(outcome)]
    lines += [
        f"DIFFERENT {'rewritten ' if rewritten else ''}{p.file}:{p.line} {how}\n    {p.text!r}"
        for p, how, rewritten in outcome.different
    ]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(lines))


if __name__ == "__main__":
    main()
