"""Reads the pairs of this folder (README.md says how) and plans each text."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from proxy.catalog.model import SearchPath, Snapshot
from proxy.errors import PgError
from proxy.policy.compile import compile_rules
from proxy.policy.load import load_rules
from proxy.policy.table import CompiledRules
from proxy.rewrite.catalog_forms import system_catalog
from proxy.rewrite.forms import Form
from proxy.rewrite.passes import Passes
from proxy.rewrite.plan import Planner
from proxy.rewrite.profile import with_profile
from proxy.rewrite.verify import Verifier
from tests.servers import PgServer, snapshot_of

HERE = Path(__file__).parent
# What forms ask of it. Of one app it has spans: all that the forms of others ask of the state.
LEDGER = """
CREATE TABLE consentry.restrictions (subject bigint PRIMARY KEY);
CREATE TABLE consentry.spans_mailer (
    span bigint PRIMARY KEY,
    granted_name bytea, withdrawn_name bytea, expiring_name timestamptz[],
    granted_email bytea, withdrawn_email bytea, expiring_email timestamptz[],
    granted_history bytea, withdrawn_history bytea, expiring_history timestamptz[]
);
"""


@dataclass(frozen=True)
class Pair:
    file: str
    line: int
    title: str
    app: str
    parameters: tuple[int, ...]
    path: tuple[str, ...]
    sent: str
    outcome: str  # becomes, passes, refused
    expected: str


def read_pairs(file: Path) -> Iterator[Pair]:
    titles: list[str] = []
    options = {"as": "partner", "parameters": "", "path": "public"}
    sent: list[str] = []
    expected: list[str] = []
    outcome = ""
    start = 0

    def finished() -> Pair:
        schemas = tuple(name.strip() for name in options["path"].split(","))
        return Pair(
            file.name,
            start,
            " ".join(titles),
            options["as"],
            tuple(map(int, options["parameters"].split())),
            schemas,
            "\n".join(sent).removesuffix(";"),
            outcome.split()[0],
            "\n".join(expected).removesuffix(";") if outcome == "becomes" else outcome.partition(" ")[2],
        )

    for number, line in enumerate([*file.read_text().splitlines(), ""], 1):
        if not line.strip():
            if outcome:
                yield finished()
            titles, sent, expected, outcome = [], [], [], ""
            options = {"as": "partner", "parameters": "", "path": "public"}
        elif line.startswith("-- "):
            word = line[3:]
            if match := re.fullmatch(r"as (\w+)", word):
                options["as"] = match[1]
            elif match := re.fullmatch(r"(parameters|path): (.*)", word):
                options[match[1]] = match[2]
            elif re.match(r"(becomes|passes|refused)\b", word) and sent:
                outcome = word
            else:
                titles.append(word)
        else:
            start = start if sent else number
            (expected if outcome else sent).append(line)


PAIRS = [pair for file in sorted(HERE.glob("*.sql")) if file.name != "schema.sql" for pair in read_pairs(file)]


@pytest.fixture(scope="module")
def snapshot(pg_server: PgServer) -> Snapshot:
    dsn = pg_server.create_database("pairs", (HERE / "schema.sql").read_text() + LEDGER)
    return asyncio.run(snapshot_of(dsn))


@pytest.fixture(scope="module")
def rules(snapshot: Snapshot) -> CompiledRules:
    """The apps of all files of rules: consent in a table of the database's own, customers whose data is restricted."""
    first, *others = (
        compile_rules(load_rules([(file.name, file.read_text())]), snapshot)
        for file in (HERE / "rules.yaml", HERE / "rules_mapped.yaml", HERE / "rules_restricted.yaml")
    )
    for other in others:
        first = replace(first, apps={**first.apps, **other.apps}, logins={**first.logins, **other.logins})
    return first


@pytest.fixture(scope="module")
def planners(rules: CompiledRules, snapshot: Snapshot) -> dict[str, Planner]:
    return {name: Planner(app, rules, snapshot) for name, app in rules.apps.items()}


def expand(text: str, app: str, rules: CompiledRules, snapshot: Snapshot) -> str:
    """Puts governed forms in the place of `<relation variant AS alias>`."""

    def passes() -> Passes:
        policy, own = with_profile(rules.apps[app], rules.profile, snapshot)
        return Passes(policy, True, own)

    def form(match: re.Match[str]) -> str:
        words, name = match["words"].split(), match["name"]
        if name.startswith("pg_"):
            catalog = passes().system.form(("pg_catalog", name), ())
            return f"{catalog} {match['alias']}" if match["alias"] else f'{catalog} AS "{name}"'
        table = rules.apps[app].tables["public", name]
        made = Form(rules.apps[app], table, snapshot.relations["public", name], snapshot).read(
            only="only" in words,
            apart="locking" in words,
            fenced="fenced" in words,
            system=[word[1:] for word in words if word.startswith("+")],
            sample=match["sample"] or "",
            comparisons=re.findall(r"\[(.*?)\](?= |$)", match["rest"] or ""),
        )
        if "form" in words:
            return made
        return f'{made} AS "{name}"' if not match["alias"] else f"{made} {match['alias']}"

    def call(match: re.Match[str]) -> str:
        arguments = match[2].split(" | ")
        texts = passes().system.calls[match[1], len(arguments)]
        return texts[0] + "".join(map("".join, zip(arguments, texts[1:], strict=True)))

    pattern = (
        r"<(?P<name>customers|orders|items|squares|profiles|drafts|pg_\w+)"
        r"(?P<words>(?: (?:only|locking|fenced|form|\+\w+))*)"
        r"(?P<rest>(?: \[.*?\](?=[ >]))*)"
        r"(?: \{(?P<sample>.*?)\})?(?: (?P<alias>(?:AS )?\w+))?>"
    )
    return re.sub(r"\{(\w+): (.*?)\}", call, re.sub(pattern, form, text))


@pytest.mark.parametrize("pair", PAIRS, ids=[f"{p.file}:{p.line}" for p in PAIRS])
def test_pair(pair: Pair, planners: dict[str, Planner], rules: CompiledRules, snapshot: Snapshot) -> None:
    path = SearchPath(("pg_catalog", *pair.path))
    plan = planners[pair.app].plan(pair.sent.encode(), path, pair.parameters)
    if pair.outcome == "refused":
        sqlstate, _, words = pair.expected.partition(" ")
        assert plan.refusal is not None, plan.text.decode()
        assert plan.refusal.sqlstate == sqlstate, plan.refusal
        assert words in plan.refusal.message
        return
    assert plan.refusal is None, f"{plan.refusal} {plan.refusal.hint if plan.refusal else ''}"
    expected = pair.sent if pair.outcome == "passes" else expand(pair.expected, pair.app, rules, snapshot)
    assert plan.text.decode() == expected
    assert plan.rewritten == (pair.outcome == "becomes")


REFUSED_FUNCTIONS = [p for p in PAIRS if p.file == "functions.sql" and p.outcome == "refused"]


@pytest.mark.parametrize("pair", REFUSED_FUNCTIONS, ids=[f"{p.file}:{p.line}" for p in REFUSED_FUNCTIONS])
def test_the_verifier_refuses_functions_by_itself(pair: Pair, rules: CompiledRules, snapshot: Snapshot) -> None:
    app = rules.apps[pair.app]
    verifier = Verifier(app, snapshot, system_catalog(app, snapshot))
    with pytest.raises(PgError) as caught:
        verifier.verify(pair.sent, pair.sent, SearchPath(("pg_catalog", *pair.path)), pair.parameters)
    assert caught.value.sqlstate in ("42501", "42P01", "42883", "0A000"), caught.value


def test_groups_before_any_value(rules: CompiledRules, snapshot: Snapshot) -> None:
    """PostgreSQL 15 has array_agg only, which makes one array of arrays."""
    app, path = rules.apps["partner"], SearchPath(("pg_catalog", "public"))
    planner = Planner(app, rules, replace(snapshot, server_version=150000))
    query = "select {} from drafts group by id"
    for part, becomes in (
        ("body ->> 'a'", "(pg_catalog.array_agg(body))[1] ->> 'a'"),
        ("drafts", '(pg_catalog.array_agg(drafts))[1] AS "drafts"'),
    ):
        sent = query.format(part)
        expected = expand(query.format(becomes).replace("drafts group", "<drafts> group"), "partner", rules, snapshot)
        assert planner.plan(sent.encode(), path).text.decode() == expected
    for part in ("marks", "*"):
        refusal = planner.plan(query.format(part).encode(), path).refusal
        assert refusal is not None
        assert "cannot stand beside GROUP BY" in refusal.message
    final = expand("select {} from <drafts> group by id", "partner", rules, snapshot)
    verifier = Verifier(app, snapshot, system_catalog(app, snapshot))
    verifier.verify(query.format("marks is null"), final.format("pg_catalog.any_value(marks) is null"), path)
    with pytest.raises(PgError):
        verifier.verify(query.format("marks is null"), final.format("(pg_catalog.array_agg(marks))[1] is null"), path)
