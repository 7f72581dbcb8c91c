"""What comes of a test's statement: on a database, in a transaction that is rolled back, or by the catalog alone."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from io import BytesIO

import asyncpg

from proxy.catalog.model import SearchPath, Snapshot
from proxy.consent import service
from proxy.consent.service import Origin, Vocabulary
from proxy.errors import ConsentryError, PgError
from proxy.policy.names import quote_identifier
from proxy.policy.table import CompiledRules
from proxy.rewrite.plan import Planner
from proxy.rewrite.result import Disclosure, Plan
from proxy.ruletests.format import RuleTest
from proxy.ruletests.judge import Found, Outcome, Row, judge
from proxy.ruletests.outputs import UntoldError, lacks_column, output_names

PATH = SearchPath()  # public, as every session has it that does not ask for another
_NEEDS_DATA = "it must run: on a database with data for tests, --dsn"
# What rules refuse by. Where such an error is expected and does not come, they hide less than they did.
_OF_RULES = ("42501", "42703", "0A000")
_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


@dataclass(slots=True)
class Tried:
    """The rules that are tested, against one catalog."""

    rules: CompiledRules
    snapshot: Snapshot
    _planners: dict[str, Planner] = field(default_factory=dict)  # by app: one costs more than a plan

    def plan(self, test: RuleTest) -> Plan | None:
        """What the gateway makes of the statement; None of a trusted app's, which pass. An app in mode monitor is taken
        as if it were not.
        """
        app = self.rules.apps[test.expected.app]
        if app.trusted:
            return None
        if app.name not in self._planners:
            self._planners[app.name] = Planner(replace(app, monitor=False), self.rules, self.snapshot)
        return self._planners[app.name].plan(test.expected.sql.encode(), PATH)


def by_catalog(test: RuleTest, tried: Tried) -> Outcome:
    """How the test ends without a database; skipped where only a database can say."""
    if test.needs_rows:
        return Outcome(test, "skipped", (_NEEDS_DATA,))
    plan = tried.plan(test)
    text = plan.text.decode() if plan is not None else test.expected.sql
    if plan is not None and plan.refusal is not None:
        return judge(test, Found(plan.refusal, _disclosed(plan)))
    if lacks_column(text, tried.snapshot, PATH):
        return judge(test, Found(PgError("it names a column that the app does not have", "42703"), _disclosed(plan)))
    if test.expected.error not in (None, *_OF_RULES):
        return Outcome(test, "skipped", ("only a database can say whether it fails so",))
    try:
        columns = output_names(text, tried.snapshot, PATH) if test.expected.columns is not None else None
    except UntoldError:
        return Outcome(test, "skipped", ("only a database can say what columns it has",))
    return judge(test, Found(None, _disclosed(plan), columns))


async def on_database(
    test: RuleTest, tried: Tried, connection: asyncpg.Connection, vocabulary: Vocabulary, *, run: bool
) -> Outcome:
    """How the test ends on a database. `run`: there the statement may run, and decisions be made for as long; else
    it is only prepared.

    Raises ConsentryError where a decision cannot be made, or the app's login not be taken.
    """
    if test.needs_rows and not run:
        return Outcome(test, "skipped", (_NEEDS_DATA,))
    plan = tried.plan(test)
    if plan is not None and plan.refusal is not None:
        return judge(test, Found(plan.refusal, _disclosed(plan)))
    text = plan.text.decode() if plan is not None else test.expected.sql
    transaction = connection.transaction()
    await transaction.start()
    try:
        await _decide(test, connection, vocabulary)
        await _become(test, connection)
        columns, rows = await _send(test, connection, text, run)
    except asyncpg.PostgresError as error:
        said = PgError(error.args[0] if error.args else "", error.sqlstate or "", hint=getattr(error, "hint", None))
        return judge(test, Found(said, _disclosed(plan)))
    finally:
        await transaction.rollback()
    return judge(test, Found(None, _disclosed(plan), columns, rows))


def _disclosed(plan: Plan | None) -> tuple[Disclosure, ...]:
    return tuple(item for info in plan.statements for item in info.disclosed) if plan is not None else ()


async def _decide(test: RuleTest, connection: asyncpg.Connection, vocabulary: Vocabulary) -> None:
    given = test.expected.given
    for one in given.consent if given is not None else ():
        await service.decide(
            connection,
            vocabulary,
            str(one.subject),
            one.app or test.expected.app,
            [one.attribute],
            one.decision,
            expires_at=datetime.fromisoformat(one.expires_at) if one.expires_at else None,
            origin=Origin(source="consentry test"),
        )


async def _become(test: RuleTest, connection: asyncpg.Connection) -> None:
    """The app's login, where the database has it: with its rights, and its rows."""
    login = test.login
    if login and await connection.fetchval("SELECT true FROM pg_catalog.pg_roles WHERE rolname = $1", login):
        try:
            await connection.execute(f"SET LOCAL SESSION AUTHORIZATION {quote_identifier(login)}")
        except asyncpg.InsufficientPrivilegeError as error:
            raise ConsentryError(f"{error}: tests run as the app's login, so --dsn must be a superuser's") from error
    await connection.execute("SET LOCAL search_path = public")


async def _send(
    test: RuleTest, connection: asyncpg.Connection, text: str, run: bool
) -> tuple[tuple[str, ...], tuple[Row, ...] | None]:
    prepared = await connection.prepare(text)
    columns = tuple(attribute.name for attribute in prepared.get_attributes())
    if not run:
        return columns, None
    if test.expected.rows is None:
        await connection.execute(text)
        return columns, None
    written = BytesIO()
    await connection.copy_from_query(text, output=written, format="text")
    lines = written.getvalue().decode().split("\n")[:-1]
    return columns, tuple(tuple(map(_value, line.split("\t"))) for line in lines)


def _value(field: str) -> str | None:
    r"""A value of COPY's text format (https://www.postgresql.org/docs/current/sql-copy.html, "Text Format")."""
    if field == r"\N":
        return None
    parts = field.split("\\")
    out, escaped = [parts[0]], False
    for part in parts[1:]:
        if escaped:
            out.append(part)
            escaped = False
        elif not part:
            out.append("\\")  # a backslash is written twice; what stands behind it is plain
            escaped = True
        else:
            out.append(_ESCAPES.get(part[0], part[0]) + part[1:])
    return "".join(out)
