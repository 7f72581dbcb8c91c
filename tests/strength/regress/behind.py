"""A gateway whose app sends everything: what a governed app may not send passes as well, and is noted.

So one session plays a whole script, DDL, transactions and temp tables in their places, and each statement that a
governed app may send is planned, rewritten and proved as for one.
"""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import asyncpg

from proxy.catalog.introspect import fingerprint, take_snapshot
from proxy.catalog.model import Relation, SearchPath, Snapshot
from proxy.errors import PgError
from proxy.policy.table import (
    AppPolicy,
    CompiledRules,
    GovernedColumn,
    GovernedTable,
    Mask,
    PolicyRef,
    RowPolicy,
    Treatment,
)
from proxy.rewrite.lex import parse
from proxy.rewrite.plan import Planner, describe
from proxy.rewrite.result import Plan
from proxy.server.generation import Generation
from proxy.server.options import Upstream
from tests.servers import PgServer
from tests.wire.gateway import Running

Round = Literal["open", "shown", "unrelated", "identity", "rows", "masked"]
GOVERNED = "rpmf"  # views are read by their definitions
# A snapshot of the catalog of 1,500 relations takes seconds on a busy machine, and the gateway's loop does other work too.
RENEWAL_SECONDS = 600
_OF_THE_SYSTEM = re.compile("pg_|information_schema$|consentry$")
# What an app may send (rewriting.md).
LISTED = frozenset(
    "SelectStmt InsertStmt UpdateStmt DeleteStmt MergeStmt TransactionStmt DeclareCursorStmt FetchStmt ClosePortalStmt "
    "PrepareStmt ExecuteStmt DeallocateStmt CopyStmt ExplainStmt ListenStmt UnlistenStmt NotifyStmt VariableSetStmt "
    "VariableShowStmt DiscardStmt LockStmt ConstraintsSetStmt".split()
)


class Said(NamedTuple):
    """What was decided on a text. No plan is kept: the gateway has every object looked through at each renewal of the
    catalog, and the trees of thousands of plans took most of a round.
    """

    refusal: PgError | None
    rewritten: bool


@dataclass
class Notes:
    """What was decided on each text, and whether the session stands in a transaction that has changed the catalog."""

    plans: dict[str, Said] = field(default_factory=dict)
    blind: bool = False


class Noting:
    """A planner that refuses nothing but what no server takes."""

    def __init__(self, planner: Planner, notes: Notes) -> None:
        self._planner = planner
        self._notes = notes
        self.hidden_constraints = planner.hidden_constraints

    def plan(
        self, query: bytes, path: SearchPath, parameter_types: tuple[int, ...] = (), encoding: str = "utf-8"
    ) -> Plan:
        plan = self._planner.plan(query, path, parameter_types, encoding)
        self._notes.plans[query.decode("utf-8", "replace")] = Said(plan.refusal, plan.rewritten)
        refusal = plan.refusal
        if not self._notes.blind and (refusal is None or refusal.sqlstate == "42601"):
            return plan
        infos = describe(query)
        effects = tuple(effect for info in infos for effect in info.effects)
        passed = Plan(query, query, False, infos, effects=effects, refused_as=None if self._notes.blind else refusal)
        return replace(passed, scrub=False)


class Behind(Running):
    """`what` says what the rules are made of: see README.md."""

    call_seconds = RENEWAL_SECONDS

    def __init__(self, server: PgServer, directory: Path, database: str, what: Round, renewal: bool = True) -> None:
        self.notes = Notes()
        self.what = what
        self.reloads = 0
        self._server = server
        self._database = database
        self._control: asyncpg.Connection | None = None
        self._one = asyncio.Lock()
        self._renewal = renewal
        self._stale = False
        super().__init__(
            server,
            directory,
            database,
            upstreams={"db": Upstream(server.host, server.port, database, sslmode="disable")},
            poll=3600 if renewal else 0.5,
        )

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[asyncpg.Connection]:
        async with self._one:
            if self._control is None or self._control.is_closed():
                self._control = await asyncpg.connect(
                    self._server.dsn(self._database), server_settings={"lock_timeout": "1000"}
                )
            yield self._control

    async def _load(self) -> Generation:
        self.reloads += 1
        async with self._connection() as connection:
            snapshot = await take_snapshot(connection)
        rules = rules_of(snapshot, self.what)

        def make(app: AppPolicy, rules: CompiledRules, snapshot: Snapshot) -> Noting:
            return Noting(Planner(app, rules, snapshot), self.notes)

        return Generation("db", rules, snapshot, make)

    async def _fingerprint(self) -> str:
        async with self._connection() as connection:
            return await fingerprint(connection)

    def before(self, text: str, status: bytes) -> None:
        """Called before a text is sent: the catalog is renewed where DDL that is done has changed it."""
        kinds = kinds_of(text)
        if status == b"I":
            self.notes.blind = False
            if self._stale and self._renewal and not kinds.isdisjoint(LISTED - {"TransactionStmt"}):
                self._stale = not self.call(self._renew)
                self.notes.blind = self._stale
        if not kinds <= LISTED:
            self._stale = True
            self.notes.blind = status != b"I" or "TransactionStmt" in kinds

    async def _renew(self) -> bool:
        """False where the catalog cannot be read: a prepared transaction holds a lock."""
        database = self.databases[0]
        try:
            if await self._fingerprint() == database.generation.snapshot.version or await database.reload():
                return True
        except asyncpg.PostgresError as error:
            database.problem = str(error)
        print(f"the catalog was not read: {database.problem}", file=sys.stderr)
        return False

    def close(self) -> None:
        async def end() -> None:
            if self._control is not None:
                await self._control.close()

        if self.loop.is_running():
            self.call(end)
        super().close()


def kinds_of(text: str) -> frozenset[str]:
    """The kinds of a text's statements; none where it does not parse. CREATE TEMP TABLE is listed too."""
    try:
        return frozenset(_kind(statement["stmt"]) for statement in parse(text))
    except PgError:
        return frozenset()


def _kind(statement: dict[str, Any]) -> str:
    ((kind, body),) = statement.items()
    made = body.get("relation") if kind == "CreateStmt" else body.get("into", {}).get("rel")
    if made and kind in ("CreateStmt", "CreateTableAsStmt") and made.get("relpersistence") == "t":
        return "SelectStmt"
    return str(kind)


def hidden_column(relation: Relation, snapshot: Snapshot) -> str | None:
    """The last column that is in no key; of a child or partition, the one of its parents."""
    ancestors = [snapshot.by_oid[oid] for oid in relation.parents if oid in snapshot.by_oid]
    for one in [a for a in ancestors if not a.parents] or [relation]:
        keys = {name for key in (one.primary_key, *one.unique_keys) for name in key}
        names = [column.name for column in one.columns if column.name not in keys and not column.generated]
        if len(one.columns) > 1 and names:
            return names[-1]
    return None


def rules_of(snapshot: Snapshot, what: Round) -> CompiledRules:
    """The compiled rules of one round, made from the catalog. (To read them as YAML after each DDL would take long.)"""
    mask = Mask("expression", (("sql", "{value}"),)) if what in ("identity", "rows") else Mask("null")
    policy = PolicyRef("as it is", "rules", 1)
    hiding = Treatment("mask", mask=mask, policy=policy, write="allow")
    showing = Treatment("show", policy=policy, basis="contract", write="allow")
    rows = (RowPolicy(policy, where="true"),) if what == "rows" else ()
    tables: dict[tuple[str, str], GovernedTable] = {}
    for relation in snapshot.relations.values():
        if relation.kind not in GOVERNED or _OF_THE_SYSTEM.match(relation.schema) or not relation.columns:
            continue
        if what == "open" or (what == "unrelated" and relation.name != "consentry_unrelated"):
            continue
        hidden = None if what in ("open", "shown") else hidden_column(relation, snapshot)
        columns = tuple(
            GovernedColumn(c.name, "personal", hiding if c.name == hidden else showing) for c in relation.columns
        )
        tables[relation.key] = GovernedTable(relation.schema, relation.name, None, columns, rows)
    functions = frozenset(
        (function.schema, name)
        for name, every in snapshot.functions.items()
        for function in every
        if not _OF_THE_SYSTEM.match(function.schema)
    )
    app = AppPolicy(
        "suite",
        "Suite",
        "internal",
        "tests",
        ("postgres",),
        functions=functions,
        tables=tables,
        open_tables=frozenset(r.key for r in snapshot.relations.values() if r.kind == "S"),
        unlisted_tables="open",
    )
    return CompiledRules(snapshot.version, {"suite": app}, {"postgres": "suite"})
