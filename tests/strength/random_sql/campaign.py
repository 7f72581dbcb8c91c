"""Sends many statements as an app, and judges the answers: canaries, twins, reference meaning, and what was refused."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from time import monotonic

from proxy.errors import PgError
from proxy.rewrite.lex import parse
from tests.servers import PgServer
from tests.strength import leaks, world
from tests.strength.random_sql import comparing, copies
from tests.strength.random_sql.catalog import Catalog
from tests.strength.random_sql.guesses import guesses
from tests.strength.random_sql.making import Statement, Style
from tests.strength.random_sql.nodes import Literal, walk
from tests.strength.random_sql.sending import Connection, Reply
from tests.strength.random_sql.statements import make_statement

_MARKER = re.compile(r"zqx7[0-9a-z]{3,10}")
# What the gateway says where its planner or its verifier fails: a defect, even where nothing leaks.
STUMBLED = ("the statement could not be rewritten", "the statement's tree is not as expected")
# PostgreSQL 18's own: CREATE TABLE AS SELECT row_number() OVER (PARTITION BY 1 ORDER BY id) over some outer joins.
POSTGRESQL_FAILS = re.compile(
    # the last two: of intervaltypmodout(7) and unknownin('x') in an expression
    "unrecognized node type: 0|invalid INTERVAL typmod: .*|failed to find conversion function from unknown to text"
)
REFUSED = ("42501", "0A000")
WRONG_KIND = "42809"  # COPY of a view
TIDY = 2000  # statements after which dead rows are taken away: each scan would read them


@dataclass(frozen=True)
class Finding:
    """`what`: leak, twins, copy, error (SQLSTATEs that differ from the copy's), internal, hung, cut."""

    what: str
    app: str
    seed: int
    detail: str
    text: str
    statement: Statement | None = None
    checks: str = ""

    def __str__(self) -> str:
        again = f"--apps {self.app} --seed {self.seed} --count 1 --checks {self.checks}"
        return f"{self.what}: {self.app}, seed {self.seed} ({again})\n{self.text}\n-- {self.detail}"


@dataclass
class Tally:
    """`refused`: message -> how often the gateway refused what the copy answers; `excluded`: why what is not judged."""

    sent: int = 0
    valid: int = 0
    filled: int = 0
    seconds: float = 0.0
    findings: list[Finding] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    refused: Counter[tuple[str, str]] = field(default_factory=Counter)
    examples: dict[str, Finding] = field(default_factory=dict)  # the shortest
    excluded: Counter[str] = field(default_factory=Counter)

    def add(self, other: Tally) -> None:
        self.sent += other.sent
        self.valid += other.valid
        self.filled += other.filled
        self.seconds += other.seconds
        self.findings += other.findings
        for name in ("kinds", "errors", "refused", "excluded"):
            getattr(self, name).update(getattr(other, name))
        for message, example in other.examples.items():
            self.example(message, example)

    def example(self, message: str, finding: Finding) -> None:
        if message not in self.examples or len(finding.text) < len(self.examples[message].text):
            self.examples[message] = finding


def _constants(statement: Statement) -> list[str]:
    """What the statement's own constants spell: strings in several parts or by escapes, integers of another base."""
    found = []
    for text in statement.texts():
        with suppress(PgError):
            tree = json.dumps(parse(text))
            found += re.findall(r'"sval": "([^"]*)"', tree)
            found += [
                str(int(number, 0)) for number in re.findall(r'"fval": "(0[box][0-9a-f_]+)"', tree, re.IGNORECASE)
            ]
    return found


class Detector:
    """Finds the markers that one app must not see. A random statement may put texts together that only look like one."""

    def __init__(self, app: str) -> None:
        self._detector = leaks.Detector(app)
        hidden = set(_MARKER.findall(Path(world.HERE, "schema.sql").read_text("utf-8")))
        for table, columns in world.CELLS.items():
            for column in columns:
                for row in range(1, world.ROWS[table] + 1):
                    if world.treatment(app, table, column, row) != "show":
                        for text in world.markers_of(world.value(table, column, row)):
                            hidden.update(_MARKER.findall(text))
        self._starts = {marker[:length] for marker in hidden for length in range(10, 15)}

    def leaks(self, reply: Reply, sent: str) -> list[str]:
        found = self._detector.leaks(reply.whole, sent)
        if not found:
            return []
        said = sent + " " + " ".join(leaks.find(sent.encode()))
        return [
            m
            for m in found
            if m.removeprefix("binary ") not in said and (not m.startswith("zqx7") or m in self._starts)
        ]


@dataclass
class Job:
    """One app's statements. `checks`: of `canaries`, `twins`, `copy`. `again`: how often more each is sent, with other
    constants.
    """

    app: str
    seeds: range
    checks: tuple[str, ...]
    kinds: str = ""
    most_findings: int = 20
    statements: Sequence[Statement] = ()  # instead of seeds
    again: int = 0


@dataclass
class Judge:
    """Sends statements as one app to its databases. `copy_name`: where there is one."""

    server: PgServer
    port: int
    last_oid: int
    catalog: Catalog
    checks: tuple[str, ...]

    def __post_init__(self) -> None:
        user = world.login(self.catalog.app)
        self.base = Connection(self.port, user, world.base(self.catalog.app))
        self.twin = Connection(self.port, user, world.twin(self.catalog.app))
        self.copy = Connection(self.server.port, user, copies.name_of(self.catalog.app))
        self.detector = Detector(self.catalog.app)

    def close(self) -> None:
        for connection in (self.base, self.twin, self.copy):
            connection.close()

    def judge(self, statement: Statement, tally: Tally) -> list[Finding]:
        twins, copy = "twins" in self.checks, "copy" in self.checks
        asked = [self.base, *([self.twin] if twins else []), *([self.copy] if copy else [])]
        begun = [(connection, connection.begin(statement)) for connection in asked]
        replies = [connection.receive(statement, counts) for connection, counts in begun]
        base = replies[0]
        text = str(statement)
        twin = replies[1] if twins else None
        found = [
            self._finding(what, detail, statement, text) for what, detail in self._alone(base, twin, statement, text)
        ]
        code = base.code
        tally.sent += 1
        tally.kinds[statement.kind] += 1
        tally.valid += not code
        tally.filled += not code and base.rows > 0
        if code:
            tally.errors[code] += 1
        if code in comparing.TIMED_OUT or any(r.code in comparing.TIMED_OUT for r in replies):
            tally.excluded["timed out"] += 1
            return found
        if twins:
            how: str | None
            if statement.kind == "explain":
                how = comparing.plans_differ(base, replies[1], self.last_oid)
                tally.excluded["plan"] += how is None
            else:
                how = comparing.difference(base, replies[1], self.last_oid, statement.ordered)
            if how and any(comparing.BY_PLAN.fullmatch(r.code) for r in replies[:2]):
                # Pages of rows that were rolled back change plans, and plans which value an expression meets first.
                how = self._again(statement)
                tally.excluded["order"] += not how
            if how and {r.code for r in replies[:2]} & set(comparing.BY_KEY):
                tally.excluded["key"] += 1
            elif how:
                found.append(self._finding("twins", how, statement, text))
        if copy:
            against = self._against_copy(base, replies[-1], statement, text, tally)
            if against:
                found.append(self._finding(*against, statement, text))
        elif code in REFUSED:
            self._refused(base, statement, text, tally)
        return found

    def tidy(self) -> None:
        for connection in (self.base, self.twin, self.copy):
            if connection.made:
                comparing.tidy(self.server, connection.database)

    def _again(self, statement: Statement) -> str:
        """How the twins differ once both are as they were made."""
        self.tidy()
        first, second = (connection.send(statement) for connection in (self.base, self.twin))
        return comparing.difference(first, second, self.last_oid, statement.ordered)

    def _finding(self, what: str, detail: str, statement: Statement, text: str) -> Finding:
        return Finding(what, self.catalog.app, statement.seed, detail, text, statement, ",".join(self.checks))

    def _alone(self, reply: Reply, twin: Reply | None, statement: Statement, text: str) -> list[tuple[str, str]]:
        found = []
        literals = (part for step in statement.steps for part in walk(step) if isinstance(part, Literal))
        sent = " ".join([text, *(literal.value or "" for literal in literals), *_constants(statement)])
        leaked = self.detector.leaks(reply, sent)
        if leaked and twin is not None:
            # What is hidden differs in the twin: a number or a date that comes from there too was computed.
            elsewhere = set(self.detector.leaks(twin, sent)) | set(leaks.find(twin.whole.raw))
            leaked = [marker for marker in leaked if marker not in elsewhere]
        if leaked:
            found.append(("leak", ", ".join(leaked[:5])))
        for error in reply.whole.errors():
            if POSTGRESQL_FAILS.fullmatch(error.get("M", "")):
                continue
            if error.get("C", "").startswith("XX") or error.get("M", "").startswith(STUMBLED):
                found.append(("internal", f"{error.get('C')} {error.get('M')}"))
        if reply.hung:
            found.append(("hung", "no answer in time"))
        elif reply.ended:
            found.append(("cut", f"closed: {reply.message}"))
        return found

    def _refused(self, reply: Reply, statement: Statement, text: str, tally: Tally) -> None:
        words = re.sub(r'"[^"]*"', '"…"', reply.message)
        message = f"{reply.code} {words}".replace(f" app {self.catalog.app}", " app …")
        tally.refused[self.catalog.app, message] += 1
        tally.example(message, self._finding("refused", reply.message, statement, text))

    def _against_copy(
        self, base: Reply, copy: Reply, statement: Statement, text: str, tally: Tally
    ) -> tuple[str, str] | None:
        if base.code != copy.code:
            if base.code in REFUSED:
                if not copy.code:
                    self._refused(base, statement, text, tally)
                return None
            if copy.code == "25P02" or (statement.kind == "smith" and copy.code):
                return None
            if statement.kind == "smith" and base.code in ("23505", WRONG_KIND):
                tally.excluded["a hidden row has the key, or the copy of a materialized view is a table"] += 1
                return None
            if base.code == "23502":
                tally.excluded["a column that the app has not must not be null"] += 1
                return None
            if any(comparing.BY_PLAN.fullmatch(code) for code in (base.code, copy.code)):
                tally.excluded["order"] += 1
                return None
            return (
                "error",
                f"{base.code or 'no error'} {base.message!r}, copy: {copy.code or 'no error'} {copy.message!r}",
            )
        if statement.kind in ("explain", "smith"):
            return None
        if base.code == WRONG_KIND and statement.kind == "copy":
            tally.excluded["said at Parse, where the server says it at Execute"] += 1
            return None
        how = comparing.difference(base, copy, self.last_oid, statement.ordered, messages=False)
        return ("copy", how) if how else None


def run(server: PgServer, port: int, last_oid: int, catalog: Catalog, job: Job) -> Tally:
    """All statements of the job; stops after `most_findings`."""
    tally = Tally()
    judge = Judge(server, port, last_oid, catalog, job.checks)
    start = monotonic()
    for statement in job.statements or _made(catalog, job):
        tally.findings += judge.judge(statement, tally)
        if tally.sent % TIDY == 0:
            judge.tidy()
        if len(tally.findings) >= job.most_findings:
            break
    tally.seconds = monotonic() - start
    judge.close()
    return tally


def _made(catalog: Catalog, job: Job) -> Iterator[Statement]:
    for seed in job.seeds:
        statement = make_statement(catalog, seed, style_of(seed, job.checks), job.kinds)
        yield statement
        if job.again:
            yield from guesses(statement, catalog, job.again)


def style_of(seed: int, checks: tuple[str, ...]) -> Style:
    """Answers that are held against others must depend on nothing but the data; canaries alone may ask for anything."""
    rng = Random(seed * 31 + 7)
    style = Style(risky=rng.choice((0.0, 0.0, 0.02, 0.1)), wrong=rng.choice((0.0, 0.0, 0.003, 0.02)))
    if "copy" in checks:
        return replace(style, copy=True, risky=min(style.risky, 0.02), wrong=min(style.wrong, 0.003))
    return style if "twins" in checks else replace(style, exact=rng.random() < 0.5)
