"""Random statements through a gateway: no marker in any answer, twins that cannot be told apart, and the meaning of a copy.

Sizes here fit into `make test`; `make nightly` runs the full ones (see CONTRIBUTING.md for how long).
"""

from __future__ import annotations

import os

import pytest

from tests.servers import PgServer
from tests.strength.random_sql import smith
from tests.strength.random_sql.__main__ import report
from tests.strength.random_sql.campaign import Finding, Tally
from tests.strength.random_sql.field import Field, fight, fight_sqlsmith, prepare

pytestmark = pytest.mark.timeout(1200)

# Other statements each night, the same ones while a day is looked into.
NIGHTLY_SEED = 1_000_000 + int(os.environ.get("CONSENTRY_NIGHTLY_SEED", "0")) * 10_000_000


@pytest.fixture(scope="module")
def place(pg_server: PgServer) -> Field:
    return prepare(pg_server)


@pytest.fixture(scope="module")
def place15(pg15_server: PgServer) -> Field:
    return prepare(pg15_server, with_copies=False)


@pytest.fixture(scope="module")
def small(place: Field) -> Tally:
    """One run for the small sizes: each statement goes to the database, its twin and, for a part, the copy; a part
    comes again with other constants.
    """
    tally = fight(place, 700, ("canaries", "twins", "copy"))
    tally.add(fight(place, 1400, ("canaries", "twins"), first_seed=100_000))
    tally.add(fight(place, 1050, ("canaries", "twins"), first_seed=150_000, again=3))
    return tally


def found(tally: Tally, *kinds: str) -> list[Finding]:
    return [f for f in tally.findings if not kinds or f.what in kinds]


def test_nothing_hidden_reaches_an_app_by_random_statements(small: Tally) -> None:
    assert small.sent >= 2500
    assert not found(small, "leak", "internal", "hung", "cut"), report(small)


def test_twins_cannot_be_told_apart(small: Tally) -> None:
    assert not found(small, "twins"), report(small)


def test_statements_mean_what_they_mean_on_a_copy(small: Tally) -> None:
    assert not found(small, "copy", "error"), report(small)


def test_statements_are_good_ones(small: Tally) -> None:
    """A generator whose statements fail proves nothing."""
    assert small.valid / small.sent > 0.8, report(small)
    assert small.filled / small.sent > 0.45, report(small)
    assert {"select", "write", "copy", "copy in", "explain", "prepare", "cursor", "create", "system"} <= set(
        small.kinds
    )


def test_nothing_hidden_reaches_an_app_on_postgresql_15(place15: Field) -> None:
    tally = fight(place15, 1050, ("canaries",), first_seed=200_000)
    assert not found(tally), report(tally)
    assert tally.valid / tally.sent > 0.8, report(tally)


@pytest.mark.nightly
@pytest.mark.timeout(14400)
def test_canaries_at_night(place: Field, place15: Field) -> None:
    for where in (place, place15):
        tally = fight(where, 100_000, ("canaries",), first_seed=NIGHTLY_SEED)
        print(report(tally))
        assert not found(tally), report(tally)


@pytest.mark.nightly
@pytest.mark.timeout(36000)
def test_twins_at_night(place: Field) -> None:
    tally = fight(place, 1_150_000, ("canaries", "twins"), first_seed=NIGHTLY_SEED, again=7)
    print(report(tally))
    assert not found(tally), report(tally)
    assert tally.sent >= 1_000_000  # statements without constants come once


@pytest.mark.nightly
@pytest.mark.timeout(14400)
def test_reference_meaning_at_night(place: Field) -> None:
    tally = fight(place, 100_000, ("canaries", "copy"), first_seed=NIGHTLY_SEED)
    print(report(tally))
    assert not found(tally), report(tally)


@pytest.mark.nightly
@pytest.mark.timeout(14400)
def test_mutated_statements_at_night(place: Field) -> None:
    tally = fight(place, 100_000, ("canaries",), "mutated", first_seed=NIGHTLY_SEED)
    print(report(tally))
    assert not found(tally), report(tally)


@pytest.mark.nightly
@pytest.mark.timeout(7200)
@pytest.mark.skipif(smith.PROGRAM is None, reason="sqlsmith is not installed: apt-get install sqlsmith")
def test_sqlsmith_at_night(place: Field) -> None:
    tally = fight_sqlsmith(place, 20_000)
    print(report(tally))
    assert not found(tally), report(tally)
