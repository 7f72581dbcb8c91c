"""Profiles for apps over HTTP: the statement that the app would send, planned, run and recorded as the gateway does.

It runs on the control connection in a transaction that only reads, as the app's own login (SET ROLE): the database's
rights and row security are those of the app, and Consentry's login needs none on the tables.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from secrets import token_hex
from typing import Annotated, Any

import asyncpg
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from proxy.audit.record import error_tail, session_fragment, statement_fragments, statement_tail
from proxy.audit.secrets import as_sent
from proxy.catalog.model import SearchPath
from proxy.errors import ConsentryError, PgError, UnreachableError
from proxy.policy.names import join_dotted, quote_identifier
from proxy.policy.profile import SUBJECT
from proxy.policy.table import ProfileMap
from proxy.profile.held import NotReadableError
from proxy.rewrite.lex import Tokens, quote_literal
from proxy.rewrite.plan import Planner
from proxy.rewrite.profile import column_names, withheld_by
from proxy.rewrite.result import Plan
from proxy.web.callers import address_of
from proxy.web.operations import Call
from proxy.web.problems import Problem
from proxy.web.site import TooSlowError
from proxy.wire.scrub import Scrubber, of_statement

_Condition = tuple[str, str, str]  # attribute, operator, value; of IN the list as SQL has it
_PATH = SearchPath(("pg_catalog",))
_BAD_VALUE = "22"  # the class of SQLSTATEs for values that do not fit
# The fields of an error by which `Scrubber.message` judges, and asyncpg's names of them.
_KEPT = (
    ("C", "sqlstate"),
    ("M", "message"),
    ("W", "context"),
    ("q", "internal_query"),
    ("R", "server_source_function"),
)


class Fields(BaseModel):
    """Which attributes."""

    model_config = ConfigDict(extra="forbid")

    fields: Annotated[
        list[str] | None, Field(description="Attributes, by commas or one a parameter; else all that the app sees.")
    ] = None


class ProfilePage(Fields):
    """Which customers."""

    filter: Annotated[
        dict[str, list[str]], Field(description="`filter[email]=ann@example.org`: who has all of these values.")
    ] = {}
    after: str | None = Field(default=None, description="The `next` of the page before.")
    limit: Annotated[int, Field(ge=1, le=500)] = 50


async def get_profile(call: Call) -> Response:
    """One customer's profile."""
    asked = await _asked(call)
    found, _ = await asked.page(call.query.fields, [(SUBJECT, "=", call.subject)], 1)
    if not found:
        raise Problem(404, f"there is no such customer for app {asked.planner.app.name}")
    return _json(found[0].text)


async def get_profiles(call: Call) -> Response:
    """Profiles of many customers, by their keys."""
    page = call.query
    conditions = [(name, "=", value) for name, values in page.filter.items() for value in values]
    if page.after is not None:
        conditions.append((SUBJECT, ">", page.after))
    shown, following = await (await _asked(call)).page(page.fields, conditions, page.limit)
    return _json(f'{{"profiles": [{", ".join(one.text for one in shown)}], "next": {json.dumps(following)}}}')


async def _asked(call: Call) -> _Asked:
    """What is asked, where the token is an app's that asks here. Who is no app any more is recorded, as the gateway
    records a login that it does not let in. Raises Problem.
    """
    current, login = call.site.in_force, call.caller.login or ""
    name = current.compiled.logins.get(login)
    if name is not None and not current.compiled.apps[name].trusted:
        return _Asked.of(call, login, current.planner(name))
    why = f'login "{login}" of this token is of no app now'
    if name is not None:
        why = f'login "{login}" of this token is of app {name}, which is trusted now, and reads the tables themselves'
    session = _session(call, None, login)
    await call.site.records.write("connect_refused", session, "", error_tail("28000", why))
    raise Problem(403, why)


def _session(call: Call, app: str | None, login: str) -> str:
    """What records have of who asks."""
    asker = f"http, {call.caller.name}"
    return session_fragment(token_hex(8), app, login, address_of(call.request), asker, call.site.database, None)


@dataclass(frozen=True, slots=True)
class _Profile:
    """`text`: the object as JSON. `key`: as text; None where the app does not see it."""

    key: str | None
    text: str


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a request asks of the profile, for the app whose login the token is for."""

    call: Call
    login: str
    planner: Planner
    profile: ProfileMap
    shown: tuple[str, ...]  # what the app may read, in the profile's order
    nothing: str | None = None  # why the app has nothing of it, empty where nobody can say

    @classmethod
    def of(cls, call: Call, login: str, planner: Planner) -> _Asked:
        """Raises Problem: there is no profile."""
        current = call.site.in_force
        profile = current.compiled.profile
        if profile is None:
            raise Problem(404, "the rules have no profile")
        if profile.relation not in current.snapshot.relations:
            what = f"the database has no {join_dotted(*profile.relation)} yet"
            raise Problem(503, f"{what}: run `consentry consent setup`", headers={"Retry-After": "60"})
        view = planner.profile()
        if view is None or view.refusal is not None:
            return cls(call, login, planner, profile, (), (view and view.refusal) or "")
        return cls(call, login, planner, profile, tuple(c.name for c in view.columns if c.action == "show"))

    def _withheld(self, names: list[str]) -> Problem | None:
        """Why not all of these names may be asked for: of each, unless the first is none of the profile's."""
        app, every, hints = self.planner.app, column_names(self.profile), self.planner.rules.show_hints
        if self.nothing is not None:
            because = f": {self.nothing}" if self.nothing and hints else ""
            return Problem(403, f"app {app.name} has nothing of the profile{because}")
        missing = [name for name in dict.fromkeys(names) if name not in self.shown]
        if not missing:
            return None
        if missing[0] not in every:
            return Problem(400, f'the profile has no attribute "{missing[0][:100]}"; it has {", ".join(self.shown)}')
        found = {name: withheld_by(self.profile, app, name, self.planner.snapshot) for name in missing if name in every}
        told = [
            f"{name} ({', '.join(map(str, by)) or 'no policy gives it'})" if hints else name
            for name, by in found.items()
        ]
        policies = list(dict.fromkeys(one.name for by in found.values() for one in by)) if hints else []
        return Problem(403, f"app {app.name} may not see {', '.join(told)}", more={"policies": policies})

    async def page(
        self, fields: list[str] | None, conditions: list[_Condition], limit: int
    ) -> tuple[list[_Profile], str | None]:
        """Profiles by their keys, and the last of these where more follow; `fields` None: all that the app sees.

        Raises Problem, ConsentryError.

        A page with lists to which sources add is asked for in two statements, the keys first: by keys it is a look-up
        in each table, where otherwise they would be read whole (docs/howto/profile.md).
        """
        names = list(self.shown)
        if fields is not None:
            names = list(dict.fromkeys(name for text in fields for name in text.split(",")))
        added = {column.name for column in self.profile.columns if column.told_by}
        seen = {SUBJECT, *names, *(name for name, _, _ in conditions)} <= set(self.shown)
        by_key = any(condition[:2] == (SUBJECT, "=") for condition in conditions)
        if not by_key and seen and self._keys_are_plain() and not added.isdisjoint(names):
            found, following = _cut(await self._profiles([SUBJECT], conditions, limit, beyond=1), limit)
            keys = ", ".join(quote_literal(one.key) for one in found if one.key is not None)
            if not keys:
                return [], following
            # With the conditions still: a value may be hidden meanwhile.
            return await self._profiles(names, [*conditions, (SUBJECT, "IN", f"({keys})")], limit), following
        return _cut(await self._profiles(names, conditions, limit, beyond=1), limit)

    def _keys_are_plain(self) -> bool:
        """Whether the app has the keys as they are, by which tables have indexes."""
        table = self.planner.app.tables.get(self.profile.start)
        column = None if table is None else table.column(self.profile.key)
        return column is None or column.treatment.plain

    async def _profiles(
        self, names: list[str], conditions: list[_Condition], limit: int, beyond: int = 0
    ) -> list[_Profile]:
        """By one statement. Whatever is asked has a record, as the same statement in SQL has it.

        `beyond`: how many more come, by which the caller sees whether others follow, and which nobody is shown.
        """
        asked = [*names, *(name for name, _, _ in conditions)]
        withheld = self._withheld(asked)
        if any("\0" in text for text in (*asked, *(value for _, _, value in conditions))):
            raise withheld or Problem(422, "a value has a zero byte")  # no statement can have it
        sql = self._sql(names, conditions, limit + beyond)
        plan = self.planner.plan(sql.encode(), _PATH)
        if withheld is not None:
            missing = next((name for name in asked if name not in self.shown), "")
            said = PgError(f"column p.{missing} does not exist", "42703")  # as the database says it
            await self._record(plan, sql, plan.refusal or said, 0, 0)
            raise withheld
        started = time.perf_counter()
        failed: PgError | None = plan.refusal
        rows: list[asyncpg.Record] = []
        if failed is None:
            try:
                rows = await self._run(plan)
            except asyncpg.PostgresError as error:
                failed = self._said(error)
            except ConsentryError as error:  # it may have run; nothing of it is answered
                await self._record(plan, sql, PgError(str(error), _state(error)), 0, _since(started))
                raise
        await self._record(plan, sql, failed, min(len(rows), limit), _since(started))
        if failed is not None:
            raise self._problem(failed)
        return [_Profile(key, _object(names, values)) for key, *values in rows]

    def _sql(self, names: list[str], conditions: list[_Condition], limit: int) -> str:
        """The statement as the app would send it. Columns are put out one by one: more than that would need a fence."""
        columns = (f"pg_catalog.to_json(p.{quote_identifier(name)})::pg_catalog.text" for name in names)
        key = f"p.{quote_identifier(SUBJECT)}" if SUBJECT in self.shown else ""
        asked = " AND ".join(
            f"p.{quote_identifier(name)} {sign} {value if sign == 'IN' else quote_literal(value)}"
            for name, sign, value in conditions
        )
        return " ".join(
            [
                f"SELECT {', '.join([f'{key}::pg_catalog.text' if key else 'NULL', *columns])}",
                f"FROM {'.'.join(map(quote_identifier, self.profile.relation))} AS p",
                *([f"WHERE {asked}"] if asked else []),
                *([f"ORDER BY {key}"] if key else []),
                f"LIMIT {limit}",
            ]
        )

    async def _run(self, plan: Plan) -> list[asyncpg.Record]:
        """Raises asyncpg.PostgresError, ConsentryError."""
        async with self.call.site.connection() as connection, connection.transaction(readonly=True):
            await connection.execute("SET LOCAL search_path = pg_catalog; SET LOCAL jit = off")
            try:
                await connection.execute(f"SET LOCAL ROLE {quote_identifier(self.login)}")
            except (asyncpg.InsufficientPrivilegeError, asyncpg.InvalidParameterValueError) as error:
                what = f"Consentry's login may not act as {self.login}: GRANT {quote_identifier(self.login)} TO it"
                raise NotReadableError(what) from error
            found: list[asyncpg.Record] = await connection.fetch(as_login(plan.text.decode(), self.login))
            return found

    async def _record(self, plan: Plan, sql: str, failed: PgError | None, rows: int, duration: int) -> None:
        records = self.call.site.records
        session = _session(self.call, self.planner.app.name, self.login)
        texts = as_sent(sql) if records.full_text else ()
        version = self.planner.rules.version
        (statement,) = statement_fragments(plan.statements, [plan.rewritten], version, texts, plan.refused_as)
        if failed is None:
            await records.write("statement", session, statement, statement_tail(rows, duration))
            return
        message = of_statement(failed.message, failed.sqlstate, statement, ours=plan.refusal is not None)
        event, sent = ("refused", None) if plan.refusal is not None else ("statement", 0)
        await records.write(event, session, statement, error_tail(failed.sqlstate, message, duration, sent))

    def _said(self, error: asyncpg.PostgresError) -> PgError:
        """What may be kept of the database's error."""
        snapshot = self.planner.snapshot
        fields = [(code, str(getattr(error, name) or "").encode()) for code, name in _KEPT]
        scrubber = Scrubber(snapshot.raised, snapshot.raised_constants, self.planner.app.dropped_columns)
        return PgError(scrubber.message(fields), error.sqlstate or "XX000")

    def _problem(self, failed: PgError) -> Problem:
        if failed.sqlstate.startswith(_BAD_VALUE):
            return Problem(422, "a value does not fit its attribute")
        if failed.sqlstate == "42501":
            what = f"login {self.login} may not read all that the profile of app {self.planner.app.name} is made of"
            return Problem(409, f"{what}: it needs SELECT on the tables (`consentry check` names them)")
        if failed.sqlstate == "57014":
            return Problem(504, "the database canceled the statement, which took longer than its statement_timeout")
        return Problem(422, f"the database refused it ({failed.sqlstate})")


def _state(error: ConsentryError) -> str:
    """The SQLSTATE that says of an error of ours what it says."""
    if isinstance(error, TooSlowError):
        return "57014"
    return "08006" if isinstance(error, UnreachableError) else "42501"


def _cut(found: list[_Profile], limit: int) -> tuple[list[_Profile], str | None]:
    """So many of them, and the key of the last of these where there were more."""
    return found[:limit], found[limit - 1].key if len(found) > limit else None


def _object(names: Sequence[str], values: Sequence[str | None]) -> str:
    """A JSON object of values that are JSON."""
    pairs = (
        f"{json.dumps(name, ensure_ascii=False)}:{value or 'null'}" for name, value in zip(names, values, strict=True)
    )
    return "{" + ",".join(pairs) + "}"


def _since(started: float) -> int:
    """Microseconds."""
    return int((time.perf_counter() - started) * 1_000_000)


def as_login(sql: str, login: str) -> str:
    """The statement with SESSION_USER as it is where the login has connected by itself: SET ROLE does not change it."""
    raw, out, done, before = sql.encode(), [], 0, ""
    for token in Tokens(sql):
        if token.word == "session_user" and before not in (".", "as"):  # behind these it is a name
            out += [raw[done : token.start], f"({quote_literal(login)}::pg_catalog.name)".encode()]
            done = token.end
        before = token.word or token.text.decode()
    return b"".join([*out, raw[done:]]).decode()


def _json(text: Any) -> Response:
    return Response(text, media_type="application/json", headers={"Cache-Control": "no-store"})
