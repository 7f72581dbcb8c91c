"""No protected value may reach an app, whatever it sends: every attack, as every app, over every protocol (by day each
attack over all of them, each app over one of them; at night all of all).
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence

import pytest

from tests.servers import PgServer
from tests.strength import runner, world
from tests.strength.attacks import Attack, read_attacks, read_dangerous, wanted_oids
from tests.strength.client import SYNC, Answer, Wire, packet
from tests.strength.dangers import ANSWERED, ELSEWHERE, GOVERNED, REFUSED, SHOWN, make_attacks, name_of
from tests.strength.leaks import Detector
from tests.strength.pipelines import PIPELINES
from tests.strength.pipelines import send as send_pipeline
from tests.strength.runner import Finding, Outcome, campaign
from tests.strength.starter import Gateway

pytestmark = pytest.mark.timeout(600)

CLASSES = (
    "beside",
    "catalogs",
    "json",
    "lexer",
    "merging",
    "mixed",
    "oracles",
    "order",
    "profile",
    "session",
    "shapes",
    "silent",
    "statements",
    "unseen",
    "writing",
)

# What the gateway still gets wrong: name of the attack -> why. Must become empty.
KNOWN: dict[str, str] = {}


SERVERS = ("pg_server", pytest.param("pg15_server", marks=pytest.mark.nightly))


@pytest.fixture(scope="module", params=SERVERS)
def databases(request: pytest.FixtureRequest) -> world.World:
    server: PgServer = request.getfixturevalue(request.param)
    return world.build(server)


@pytest.fixture
def newest(databases: world.World) -> None:
    """For what only the version that the corpus is written for can show."""
    with databases.server.connect() as connection:
        if connection.info.server_version < 180000:
            pytest.skip("the corpus has attacks that need PostgreSQL 18")


@pytest.fixture(scope="module")
def gateway(databases: world.World) -> Iterator[Gateway]:
    gateway = Gateway(databases.server, databases.databases, databases.rules)
    yield gateway
    gateway.close()


@pytest.fixture(scope="module")
def oids(databases: world.World) -> dict[str, int]:
    with databases.server.connect(world.TEMPLATE) as connection:
        rows = [connection.execute("SELECT %s, to_regclass(%s)::oid", [n, n]).fetchone() for n in wanted_oids()]
    return {row[0]: int(row[1] or 0) for row in rows if row is not None}


@pytest.fixture(scope="module")
def attacks(oids: dict[str, int]) -> list[Attack]:
    return read_attacks(oids)


@pytest.fixture(scope="module")
def outcome(databases: world.World, gateway: Gateway, attacks: list[Attack]) -> Outcome:
    return campaign(
        gateway.port, attacks, world.APPS, runner.PROTOCOLS, databases.last_oid,
        in_turn=not os.environ.get("CONSENTRY_NIGHTLY"),
    )  # fmt: skip


def report(findings: Sequence[Finding]) -> str:
    """What pytest shows: the first few in full, the rest counted."""
    counted = Counter((f.what, f.attack) for f in findings)
    return "\n".join([*map(str, findings[:8]), *(f"{n} x {what}: {name}" for (what, name), n in counted.items())])


def test_the_corpus_is_large(attacks: list[Attack]) -> None:
    counted = Counter(attack.kind for attack in attacks)
    assert len(attacks) >= 150
    assert set(counted) == set(CLASSES)
    assert min(counted.values()) >= 10, counted
    assert not [name for name, n in Counter(a.name for a in attacks).items() if n > 1]


@pytest.mark.parametrize("kind", CLASSES)
def test_nothing_hidden_reaches_an_app(outcome: Outcome, kind: str) -> None:
    findings = [f for f in outcome.findings if f.attack.startswith(f"{kind}: ") and f.attack not in KNOWN]
    assert not findings, report(findings)


def test_what_is_known_to_fail_does(outcome: Outcome) -> None:
    """An entry of KNOWN that the gateway has mended must go."""
    assert not KNOWN.keys() - {finding.attack for finding in outcome.findings}


def test_the_gateway_lives_and_has_not_stumbled(gateway: Gateway, outcome: Outcome) -> None:
    assert outcome.sent > 0
    assert gateway.alive()
    log = gateway.log()
    assert "Traceback" not in log, log[log.index("Traceback") :][:3000]


def pipelined(port: int, name: str, app: str, login: str, last_oid: int) -> list[Finding]:
    """What the pipeline gives away, sent as `login`, of what `app` must not see."""

    def send(database: str) -> Answer:
        wire = Wire(port, world.login(login), database)
        answer = send_pipeline(wire, PIPELINES[name])
        wire.close()
        return answer

    answer, other = send(world.base(app)), send(world.twin(app))
    attack = Attack("pipelines", name, (name,))
    found = list(runner.judge(answer, attack, app, "pipeline", Detector(app)))
    how = runner.difference(answer, other, last_oid)
    return found + ([Finding("differs", attack.name, app, "pipeline", how, name)] if how else [])


@pytest.mark.parametrize("app", world.APPS)
def test_no_order_of_messages_outwits_the_gateway(databases: world.World, gateway: Gateway, app: str) -> None:
    findings = [f for name in PIPELINES for f in pipelined(gateway.port, name, app, app, databases.last_oid)]
    assert not findings, report(findings)


@pytest.fixture(scope="module")
def dangers(databases: world.World) -> list[Attack]:
    return make_attacks(databases.server, read_dangerous())


@pytest.fixture(scope="module")
def dangerous(databases: world.World, gateway: Gateway, dangers: list[Attack]) -> Outcome:
    return campaign(gateway.port, dangers, world.APPS, ("simple",), databases.last_oid, twin_of_refused=False)


@pytest.mark.parametrize("kind", ["function", "relation", "statement"])
def test_nothing_hidden_comes_of_what_is_dangerous(dangerous: Outcome, kind: str) -> None:
    findings = [f for f in dangerous.findings if f.attack.startswith(f"{kind}: ") and f.attack not in KNOWN]
    assert not findings, report(findings)


def passed(
    outcome: Outcome, attacks: Sequence[Attack], kind: str, apps: Sequence[str], codes: Sequence[str]
) -> set[str]:
    """The names of the attacks that an app got something else for than one of these SQLSTATEs."""
    return {
        name_of(attack)
        for attack in attacks
        for app in apps
        if attack.kind == kind
        and app in attack.apps
        and not any(error.startswith(tuple(codes)) for error in outcome.errors[attack.name, app, "simple"])
    }


def test_dangerous_functions_are_refused(databases: world.World, dangerous: Outcome, dangers: list[Attack]) -> None:
    """Seen as `mixer`, whom the server would let do anything. What this server does not have may be unknown."""
    named = {danger.name for danger in read_dangerous() if danger.kind == "function"}
    with databases.server.connect(world.TEMPLATE) as connection:
        rows = connection.execute("SELECT proname FROM pg_proc WHERE proname = ANY(%s)", [list(named)]).fetchall()
    here = {row[0] for row in rows}
    answered = {name for names in ANSWERED.values() for name in names.split()}
    found = passed(dangerous, dangers, "function", ["mixer"], ["42501"])
    assert found & here == answered & here
    assert not (found - here) & passed(dangerous, dangers, "function", ["mixer"], ["42883"])


def test_dangerous_relations_are_refused(dangerous: Outcome, dangers: list[Attack]) -> None:
    shown = {name for names in SHOWN.values() for name in names.split()}
    assert passed(dangerous, dangers, "relation", world.APPS, ["42501", "42P01"]) == shown - {"pg_temp.*"}


def test_dangerous_statements_are_refused_or_governed(dangerous: Outcome, dangers: list[Attack]) -> None:
    named = {danger.name for danger in read_dangerous() if danger.kind == "statement"}
    assert named == {*REFUSED, *GOVERNED, *ELSEWHERE}
    found = passed(dangerous, dangers, "statement", world.APPS, ["42501", "0A000"])
    assert found <= GOVERNED.keys()


def test_sizes_of_governed_relations_are_null(gateway: Gateway) -> None:
    sizes = (
        "pg_relation_size('people'), pg_table_size('docs'), pg_indexes_size('people'), pg_total_relation_size('docs')"
    )
    for app in world.APPS:
        wire = Wire(gateway.port, world.login(app), world.base(app))
        assert wire.simple(f"SELECT {sizes}").rows() == [[None] * 4], app
        wire.close()


def test_the_fast_path_function_call_is_refused(gateway: Gateway) -> None:
    for app in world.APPS:
        wire = Wire(gateway.port, world.login(app), world.base(app))
        wire.send(packet(b"F", b"\0\0\x03\xbe" + b"\0\0" + b"\0\1" + b"\0\0\0\4" + b"\0\6\x79\x32" + b"\0\0") + SYNC)
        assert wire.read(1).codes() == ["42501"]
        wire.close()


@pytest.fixture(scope="module")
def direct(databases: world.World, attacks: list[Attack], outcome: Outcome, dangerous: Outcome) -> dict[str, bool]:
    """Attack (but vacuous ones) -> whether it leaks where no gateway stands between; last, since it may leave traces."""
    port = databases.server.port
    detectors = {app: Detector(app) for app in world.APPS}
    base = {app: runner.Sender(port, "mixer", world.base(app)) for app in world.APPS}
    twin = {app: runner.Sender(port, "mixer", world.twin(app)) for app in world.APPS}

    def leaks(attack: Attack) -> bool:
        protocol = "unnamed" if attack.params else "simple"
        for app in attack.apps:
            answer, other = (sender[app].send(attack, protocol) for sender in (base, twin))
            if any(f.what == "leak" for f in runner.judge(answer, attack, app, protocol, detectors[app])):
                return True
            if runner.difference(answer, other, databases.last_oid, " ".join(attack.steps)) is not None:
                return True
        return False

    found = {attack.name: leaks(attack) for attack in attacks if not attack.vacuous}
    for sender in (*base.values(), *twin.values()):
        sender.close()
    return found


@pytest.mark.usefixtures("newest")
def test_each_attack_works_without_the_gateway(direct: dict[str, bool]) -> None:
    """A corpus that cannot fail proves nothing."""
    harmless = [name for name, leaks in direct.items() if not leaks]
    assert not harmless, "\n".join(harmless)


def test_each_pipeline_works_without_the_gateway(databases: world.World) -> None:
    port = databases.server.port
    harmless = [n for n in PIPELINES if not pipelined(port, n, "dropper", "mixer", databases.last_oid)]
    assert not harmless
