"""README.md: the regression tests' answers through a gateway are the ones without."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.demo.postgres import embedded_binaries, local_binaries
from proxy.wire.scrub import NOT_SHOWN
from tests.strength.regress.accepted import DIFFERENCES, REFUSALS
from tests.strength.regress.behind import Round
from tests.strength.regress.compare import DESIGNED, difference
from tests.strength.regress.playing import files_of, source_folder
from tests.strength.regress.run import ROUNDS, Straight, harmless, new_differences, play_round, results_folder
from tests.strength.regress.script import Script

SAMPLE = Path(__file__).parent / "sample"
# Of one round over all files; the limit of each file (`run.FILE_SECONDS`) ends what hangs.
ROUND_SECONDS = 4 * 3600


def _binaries() -> Path:
    found = embedded_binaries() or local_binaries()
    if found is None:
        pytest.skip("needs PostgreSQL's programs: two servers that are made alike")
    return found


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Straight:
    with results_folder() as results:
        return Straight(_binaries(), SAMPLE, files_of(SAMPLE), results)


@pytest.mark.parametrize("what", ROUNDS)
def test_the_sample_passes(what: Round, straight: Straight) -> None:
    assert not straight.unstable
    with results_folder() as results:
        outcome = play_round(what, _binaries(), SAMPLE, files_of(SAMPLE), results, straight)
    assert [(p.text, why) for p, why in harmless(outcome)] == []
    assert [(p.text, how) for p, how, _ in outcome.different] == []
    assert outcome.sent == len(straight.answers)
    assert (outcome.rewritten > 30) == (what in ("identity", "rows"))
    assert outcome.designed["order"] == 0
    assert new_differences(outcome) == []


def test_what_differs_is_seen(straight: Straight) -> None:
    """A mask that is not the value itself must be a difference."""
    with results_folder() as results:
        outcome = play_round("masked", _binaries(), SAMPLE, files_of(SAMPLE), results, straight)
    assert len(outcome.different) > 10


def _error(kind: bytes = b"N", **said: str) -> tuple[bytes, bytes]:
    return kind, b"".join(f"{name}{value}\0".encode() for name, value in said.items()) + b"\0"


RAISED = {
    "S": "NOTICE",
    "V": "NOTICE",
    "C": "00000",
    "M": "b: foo",
    "W": "PL/pgSQL function f()",
    "R": "exec_stmt_raise",
}
SHOWN = {name: value for name, value in RAISED.items() if name != "W"}


@pytest.mark.parametrize("shown", [SHOWN, {**SHOWN, "M": "b: ?"}, {**SHOWN, "M": "?"}, {**SHOWN, "M": NOT_SHOWN}])
def test_a_notice_without_its_values_is_scrubbed(shown: dict[str, str]) -> None:
    ready = (b"Z", b"I")
    assert difference("x", [_error(**RAISED), ready], [_error(**shown), ready], False, True) == "scrubbed notice"
    # Nothing is taken out where nothing is hidden; a notice more, or at another place, is a difference.
    assert difference("x", [_error(**RAISED), ready], [_error(**shown), ready], False, False) not in (None, *DESIGNED)
    assert difference("x", [_error(**RAISED), ready], [ready, _error(**shown)], False, True) not in (None, *DESIGNED)
    assert difference("x", [_error(**RAISED), ready], [ready], False, True) not in (None, *DESIGNED)


@pytest.mark.parametrize(
    "changed",
    [{"C": "01000"}, {"V": "WARNING"}, {"S": "WARNING"}, {"M": "a: ?"}, {"M": "b: fo"}, {"D": "more"}, {"P": "3"}],
    ids=lambda changed: "".join(changed),
)
def test_a_notice_that_says_something_else_is_a_difference(changed: dict[str, str]) -> None:
    shown = {**SHOWN, "M": "b: ?", **changed}
    assert difference("x", [_error(**RAISED)], [_error(**shown)], False, True) not in (None, *DESIGNED)


def test_an_error_of_the_server_loses_what_is_in_quotes_and_no_more() -> None:
    said = {
        "S": "ERROR",
        "V": "ERROR",
        "C": "22P02",
        "M": 'invalid input syntax for type integer: "x"',
        "R": "pg_strtoint",
    }
    for message, designed in (
        ('invalid input syntax for type integer: "?"', True),
        ("invalid input syntax for type integer: ?", False),
        ("?", False),
        (NOT_SHOWN, False),
    ):
        answer = difference("x", [_error(b"E", **said)], [_error(b"E", **{**said, "M": message})], True, True)
        assert (answer == "scrubbed error") == designed


def test_each_accepted_difference_has_a_reason_and_is_of_few_statements() -> None:
    for one in (*DIFFERENCES, *REFUSALS):
        assert one.reason
        assert one.statement or one.how
        assert not one.covers("any", "SELECT 1", "row: 1 | 2")


@pytest.fixture(scope="module")
def postgresql_s() -> Iterator[tuple[Path, Path, Straight]]:
    """The folder, that of the results, and the answers without a gateway."""
    folder = source_folder()
    if folder is None:
        pytest.skip("CONSENTRY_REGRESS does not name PostgreSQL's src/test/regress (README.md says where it is from)")
    with results_folder() as results:
        yield folder, results, Straight(_binaries(), folder, files_of(folder, _only()), results)


def _only() -> list[str]:
    return os.environ.get("CONSENTRY_REGRESS_FILES", "").split()


@pytest.mark.nightly
@pytest.mark.timeout(ROUND_SECONDS)
@pytest.mark.parametrize("what", ROUNDS)
def test_postgresql_s_own_tests_pass(what: Round, postgresql_s: tuple[Path, Path, Straight]) -> None:
    folder, results, answers = postgresql_s
    outcome = play_round(what, _binaries(), folder, files_of(folder, _only()), results, answers, only=_only())
    assert outcome.same > 1000
    assert what in ("shown", "unrelated") or outcome.rewritten > 500
    new = new_differences(outcome)
    assert not new, f"{len(new)} are not in accepted.py:\n" + "\n".join(new)


def test_scripts_are_read_as_psql_reads_them() -> None:
    text = (
        "\\set who 'O''Neil'\n-- a; comment\nSELECT :'who', ':who', x::text, $a$;$a$ /* ; /* ; */ */;\n"
        "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT CASE WHEN true THEN 2 END; END;\n"
        "CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2);\nSELECT 1 \\; SELECT 2;\n"
        "COPY t FROM stdin;\n1\t;\n\\.\n\\if false\nSELECT 'skipped';\n\\else\nSELECT 'taken'\\gset p_\n\\endif\n\\d t\nSELECT 3"
    )
    steps = list(Script(text, {}, {}).steps())
    assert [step.text for step in steps] == [
        "-- a; comment\nSELECT 'O''Neil', ':who', x::text, $a$;$a$ /* ; /* ; */ */;",
        "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT CASE WHEN true THEN 2 END; END;",
        "CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2);",
        "SELECT 1 ; SELECT 2;",
        "COPY t FROM stdin;",
        "SELECT 'taken'",
        "SELECT 3",
    ]
    assert steps[4].copy == (b"1\t;\n",)
    assert (steps[5].then, steps[5].argument) == ("gset", "p_")
