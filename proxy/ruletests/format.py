"""Files of rule tests (`*.test.yaml`): text in, `RuleTest`s out, every error with its file and line. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from proxy.errors import PgError
from proxy.policy.rules import Rules
from proxy.policy.strict import Strict
from proxy.policy.wording import validated
from proxy.rewrite.lex import parse
from proxy.yaml_lines import Place, Problem, ProblemsError, nearest, read_yaml

Value = bool | int | float | str | None | list[Any] | dict[str, Any]


def _sqlstate(text: str) -> str:
    if len(text) != 5 or not text.isalnum() or text.upper() != text:
        raise ValueError(f'"{text}" is no SQLSTATE: five digits and capital letters, such as "42703"')
    return text


def _moment(text: str) -> str:
    if datetime.fromisoformat(text).tzinfo is None:
        raise ValueError(f"{text} has no time zone")
    return text


class GivenConsent(Strict):
    """A decision that is made before the statement, and undone after it."""

    subject: int | str
    app: str | None = None  # the test's own
    attribute: str
    decision: Literal["granted", "withdrawn"]
    expires_at: Annotated[str, AfterValidator(_moment)] | None = None


class Given(Strict):
    """What is so before the statement."""

    consent: Annotated[list[GivenConsent], Field(min_length=1)]


class TestRule(Strict):
    """One statement of an app's, and what must come of it."""

    __test__ = False  # for pytest

    name: str
    app: str
    login: str | None = None  # one of the app's; the first where it is left out
    sql: str
    given: Given | None = None
    columns: list[str] | None = None
    treatments: dict[str, str] | None = None
    rows: list[list[Value]] | None = None
    error: Annotated[str, AfterValidator(_sqlstate)] | None = None


class TestsFile(Strict):
    """A file of tests, beside the rules."""

    __test__ = False

    tests: Annotated[list[TestRule], Field(min_length=1)]


@dataclass(frozen=True, slots=True)
class RuleTest:
    """A test and where it stands. Of `expected` at least one of columns, treatments, rows, error is given."""

    expected: TestRule
    file: str
    line: int
    login: str | None  # None where the app has none

    @property
    def needs_rows(self) -> bool:
        """Whether the statement must run: on data, or after decisions."""
        return self.expected.rows is not None or self.expected.given is not None


def load_tests(files: Sequence[tuple[str, str]], rules: Rules) -> tuple[RuleTest, ...]:
    """The tests of [(file name, text)], in their order. Raises ProblemsError with all that is wrong in the files."""
    problems: list[Problem] = []
    found: list[RuleTest] = []
    names: dict[str, str] = {}
    for file, text in files:
        data, place = read_yaml(file, text, problems)
        if not isinstance(data, dict):
            problems.append(place.problem("a file of rule tests is a mapping with `tests`, a list"))
            continue
        model = validated(TestsFile, data, place, problems)
        for number, one in enumerate(model.tests if isinstance(model, TestsFile) else ()):
            here = place.find(("tests", number))
            problems += _doubts(one, here, rules)
            if one.name in names:
                problems.append(here.problem(f'"{one.name}" is tested twice; the first is at {names[one.name]}'))
            names.setdefault(one.name, f"{file}:{here.line}")
            app = rules.apps.get(one.app)
            found.append(RuleTest(one, file, here.line, one.login or (app.logins[0] if app and app.logins else None)))
    if problems:
        raise ProblemsError(problems)
    return tuple(found)


def _doubts(test: TestRule, place: Place, rules: Rules) -> list[Problem]:
    """What the file alone cannot tell."""
    problems = [*_unknown("app", test.app, rules.apps, place)]
    app = rules.apps.get(test.app)
    if app is not None and test.login is not None:
        problems += _unknown("login", test.login, dict.fromkeys(app.logins), place)
    if test.columns is None and test.treatments is None and test.rows is None and test.error is None:
        problems.append(place.problem("nothing is expected: give columns, treatments, rows or error"))
    elif test.error is not None and (test.columns is not None or test.rows is not None):
        problems.append(place.problem("a statement that fails has no columns and no rows: leave them out, or `error`"))
    if _ends_transaction(test.sql):
        message = "a test's statement runs in a transaction that is rolled back: it cannot begin or end one"
        problems.append(place.children["sql"].problem(message))
    for number, one in enumerate(test.given.consent if test.given else ()):
        here = place.find(("given", "consent", number))
        problems += _unknown("app", one.app or test.app, rules.apps, here)
        problems += _unknown("attribute", one.attribute, rules.attributes, here)
    return list(dict.fromkeys(problems))


def _ends_transaction(sql: str) -> bool:
    try:
        return any("TransactionStmt" in one["stmt"] for one in parse(sql))
    except PgError:
        return False  # whether it must fail is what the test says


def _unknown(what: str, word: str, known: Mapping[str, object], place: Place) -> list[Problem]:
    if word in known:
        return []
    file, line = place.key_line((what,))
    hint = nearest(word, known) or f"; known: {', '.join(known)}"
    return [Problem(file, line, f'{what}: the rules have no {what} "{word}"{hint}')]
