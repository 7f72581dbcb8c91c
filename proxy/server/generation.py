"""What sessions plan by at one moment: the compiled rules, the catalog's snapshot, and the plans made from them.

A Generation never changes; a reload or a change of the catalog makes a new one, and sessions take it at their next
statement.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final
from weakref import WeakSet, WeakValueDictionary

from proxy.audit.record import rewritten_ones
from proxy.audit.secrets import as_sent
from proxy.audit.trace import trace_fragment
from proxy.catalog.model import SearchPath, Snapshot
from proxy.errors import PgError, protocol_violation
from proxy.policy.table import AppPolicy, CompiledRules
from proxy.rewrite.observe import Observer
from proxy.rewrite.plan import Planner, describe
from proxy.rewrite.result import REFUSED_TEXT, Effect, Plan, StatementInfo
from proxy.rewrite.templates import PlansText, Templates
from proxy.server.nesting import may_be_too_deep
from proxy.wire import messages
from proxy.wire.scrub import Scrubber
from proxy.wire.states import SYNC, Awaiting, Expected, Whole

ALL_CACHES_BYTES: Final = 192 * 1024 * 1024
CACHE_BYTES: Final = 64 * 1024 * 1024
SMALL_CACHE_BYTES: Final = 2 * 1024 * 1024  # for a path with temp relations, which few sessions share

PARSED: Final = 1
DESCRIBED: Final = 2

_PATH_EFFECTS: Final = frozenset(("search_path", "encoding", "temporary", "discard"))
_FOLLOWED: Final = frozenset(("encoding", "temporary"))  # of sessions of governed apps only
_NAME_EFFECTS: Final = frozenset(("prepare", "deallocate", "discard"))


PlannerFactory = Callable[[AppPolicy, CompiledRules, Snapshot], PlansText]


class Passing:
    """Plans of a trusted app: every text as it is, described for the audit log."""

    def __init__(self, app: AppPolicy, rules: CompiledRules, snapshot: Snapshot) -> None:
        self._observer = Observer(app, rules, snapshot)
        self.hidden_constraints: Mapping[tuple[str, str, str], bool] = {}

    def plan(
        self, query: bytes, path: SearchPath, parameter_types: tuple[int, ...] = (), encoding: str = "utf-8"
    ) -> Plan:
        infos = describe(query, self._observer, path, parameter_types, encoding)
        effects = tuple(effect for info in infos for effect in info.effects if effect.kind not in _FOLLOWED)
        return Plan(text=query, original=query, rewritten=False, statements=infos, effects=effects)


class Entry:
    """One text under one context: its plan, and what is sent and awaited for it, made once and shared by sessions.

    `key` is the text of a Query, or the body of a Parse after the name. `plain`: it is one statement, not refused, and
    changes nothing that the session must note. `borrows`: it names a prepared statement or a cursor. `by_sql`: it
    stands for a statement that its text, a PREPARE, made.
    """

    __slots__ = (
        "borrows",
        "by_sql",
        "changes_names",
        "changes_path",
        "context",
        "ends_transaction",
        "executes",
        "fragments",
        "key",
        "message",
        "on_batch",
        "on_bind",
        "on_describe",
        "on_execute",
        "on_parse",
        "on_query",
        "parse_unnamed",
        "plain",
        "plan",
        "record",
        "rewritten",
        "sent",
        "several",
        "trace",
        "types",
    )

    message: bytes  # a Query
    parse_unnamed: bytes  # a Parse
    on_query: Whole
    on_batch: dict[int, Whole]  # see `batch`
    on_parse: Expected
    on_bind: Expected
    on_describe: Expected
    on_execute: Expected
    rewritten: list[bool]  # which of the statements are
    sent: list[str | None]  # the statements as records have them with `text: full`

    def __init__(self, plan: Plan, key: bytes, context: Context, types: bytes) -> None:
        kinds = {effect.kind for effect in plan.effects}
        self.plan = plan
        self.key = key
        self.context = context
        self.types = types
        self.executes = tuple(info.executes for info in plan.statements if info.executes is not None)
        self.changes_path = not kinds.isdisjoint(_PATH_EFFECTS)
        self.changes_names = not kinds.isdisjoint(_NAME_EFFECTS)
        self.ends_transaction = any(info.tag == "TransactionStmt" for info in plan.statements)
        self.several = len(plan.statements) > 1
        self.by_sql = False
        self.borrows = any(info.executes or info.cursor for info in plan.statements)
        self.plain = not (plan.refusal or self.executes or self.changes_path or self.changes_names or self.several)
        self.fragments: list[str] = []  # of audit records, one a statement; made by audit.record at first use
        self.record: str | None = None  # what its records share, once made; of a plain one that borrows nothing
        self.trace = trace_fragment(plan.original)

    def __getattr__(self, name: str) -> Any:
        """What is made at its first use: most texts are sent in one way, and some once."""
        make = _LATER.get(name)
        if make is None:
            raise AttributeError(name)
        made = make(self)
        setattr(self, name, made)
        return made

    def as_prepared(self) -> Entry:
        """What the PREPARE of this entry's text makes."""
        entry = Entry(self.plan, self.key, self.context, self.types)
        entry.by_sql = True
        return entry

    def parse(self, name: bytes) -> bytes:
        """The Parse message that makes statement `name` of it."""
        return messages.parse(name, self.parse_unnamed[6:]) if name else self.parse_unnamed

    def batch(self, also: int) -> Whole:
        """What a batch awaits that binds and executes it, `also` PARSED and DESCRIBED or not; kept in `on_batch`."""
        parse = (self.on_parse,) if also & PARSED else ()
        describe = (self.on_describe,) if also & DESCRIBED else ()
        item = self.on_batch[also] = Whole(self, (*parse, self.on_bind, *describe, self.on_execute, SYNC))
        return item

    @property
    def cost(self) -> int:
        """Bytes of memory, roughly."""
        return 4000 + 4 * len(self.key) + 4 * len(self.plan.text)


def _text(entry: Entry) -> str:
    return entry.plan.original.decode(entry.context.encoding, "replace")


def _sent(entry: Entry) -> list[str | None]:
    text = _text(entry)
    found = as_sent(text)
    if entry.plan.refusal is not None and len(found) > 1:  # it is refused as one, and that has one record
        return [None if None in found else text]
    return found


_LATER: Final[dict[str, Callable[[Entry], Any]]] = {
    "message": lambda entry: messages.query(entry.plan.text),
    "parse_unnamed": lambda entry: messages.parse(b"", messages.parse_rest(entry.plan.text, entry.types)),
    "on_query": Whole,
    "on_batch": lambda entry: {},
    "on_parse": lambda entry: Expected(Awaiting.PARSE, entry, name=b""),
    "on_bind": lambda entry: Expected(Awaiting.BIND, entry),
    "on_describe": lambda entry: Expected(Awaiting.DESCRIBE, entry),
    "on_execute": lambda entry: Expected(Awaiting.EXECUTE, entry),
    "rewritten": lambda entry: rewritten_ones(entry.plan, _text(entry)),
    "sent": _sent,
}


class Budget:
    """What the caches of a generation may hold together, in bytes: whatever apps and temp tables there are."""

    def __init__(self, limit: int = ALL_CACHES_BYTES) -> None:
        self._limit = limit
        self._taken = 0  # of caches that are gone too, until the next count
        self._caches: WeakSet[EntryCache] = WeakSet()

    def join(self, cache: EntryCache) -> None:
        self._caches.add(cache)

    def take(self, cost: int) -> None:
        """A cache has grown: where that is too much, the largest ones forget their oldest."""
        self._taken += cost
        if self._taken <= self._limit:
            return
        self._taken = sum(cache.size for cache in self._caches)
        while self._taken > self._limit * 0.9:
            largest = max(self._caches, key=lambda cache: cache.size)
            before = largest.size
            largest.shrink(before - before // 8 - 1)
            self._taken -= before - largest.size

    def clear(self) -> None:
        """The generation is in force no more: what is left of it needs no caches."""
        for cache in self._caches:
            cache.shrink(0)


class EntryCache:
    """Entries by exact bytes; forgets the oldest beyond `limit` bytes, and what the budget of all caches asks for.

    Those that a template made cost little to make again, and may be new with every text: they get a quarter of it.
    """

    __slots__ = ("__weakref__", "_budget", "_filled", "_filled_size", "_limit", "entries", "get", "size")

    def __init__(self, limit: int, budget: Budget) -> None:
        self.entries: dict[bytes, Entry] = {}
        self.get = self.entries.get  # the hot path: one dict look-up
        self.size = 0
        self._limit = limit
        self._budget = budget
        budget.join(self)
        self._filled: OrderedDict[bytes, None] = OrderedDict()  # a dict finds its first slowly when others are gone
        self._filled_size = 0

    def put(self, key: bytes, entry: Entry, filled: bool) -> None:
        """`filled`: a template made it."""
        cost = entry.cost
        if cost > self._limit // 8:
            return
        self.entries[key] = entry
        self.size += cost
        if filled:
            self._filled[key] = None
            self._filled_size += cost
            while self._filled_size > self._limit // 4:
                self._forget(next(iter(self._filled)))
        self.shrink(self._limit)
        self._budget.take(cost)

    def shrink(self, size: int) -> None:
        """Forgets the oldest until no more than `size` bytes are left."""
        while self.size > size:
            self._forget(next(iter(self.entries)))

    def _forget(self, key: bytes) -> None:
        cost = self.entries.pop(key).cost
        self.size -= cost
        if key in self._filled:
            del self._filled[key]
            self._filled_size -= cost


class Context:
    """Plans for one app, search path and encoding under one generation.

    `plain` has Query messages, whole and by their exact bytes, that need nothing but sending; it is the hot path's
    dict, and `known_parse`, which has bodies of Parse messages after the name. A third one has other Query messages.
    """

    __slots__ = (
        "__weakref__",
        "_parses",
        "_plain",
        "_queries",
        "_templates",
        "app",
        "called",
        "encoding",
        "generation",
        "known_parse",
        "path",
        "plain",
        "planner",
        "rewrites",
        "scrubber",
        "scrubs",
        "unknown",
    )

    def __init__(
        self, generation: Generation, app: AppPolicy, planner: PlansText, path: SearchPath, encoding: str
    ) -> None:
        limit = SMALL_CACHE_BYTES if path.temporary else CACHE_BYTES
        self.generation = generation
        self.app = app
        self.planner = planner
        self.path = path
        self.encoding = encoding
        self._plain = EntryCache(limit, generation.budget)
        self._queries = EntryCache(limit, generation.budget)
        self._parses = EntryCache(limit, generation.budget)
        self._templates = Templates(planner, path, encoding, limit // 16)
        self.plain = self._plain.get
        self.known_parse = self._parses.get
        # Whether errors that belong to no known statement may hold what the app may not see.
        self.rewrites = not app.trusted and not app.monitor  # what is sent may be another text than the app's
        self.scrubs = app.hides_anything and self.rewrites
        snapshot = generation.snapshot
        self.scrubber = Scrubber(
            snapshot.raised, snapshot.raised_constants, app.dropped_columns, encoding, planner.hidden_constraints
        )
        # What runs in a portal that SQL made (a cursor) or that nobody made.
        self.unknown = self._nameless(_PORTAL)
        self.called = self._nameless(_CALL)  # by the fast path, which trusted apps may use

    def _nameless(self, info: StatementInfo) -> Entry:
        """Of what runs without a text."""
        return Entry(Plan(b"", b"", False, (info,), scrub=self.scrubs), b"", self, b"\0\0")

    def query(self, message: bytes) -> Entry:
        """The entry of a whole Query message."""
        entry = self._plain.get(message) or self._queries.get(message)
        if entry is None:
            text, _, rest = message[5:].partition(b"\0")
            if rest or message[-1] != 0:
                raise protocol_violation("invalid message format")
            entry, filled = self._entry(text, text, b"\0\0", ())
            (self._plain if entry.plain else self._queries).put(message, entry, filled)
        return entry

    def parse(self, rest: bytes) -> Entry:
        """The entry of a Parse by its body after the name: text, zero, count and OIDs of parameter types."""
        entry = self._parses.get(rest)
        if entry is None:
            text, _, types = rest.partition(b"\0")
            if len(types) != 2 + 4 * int.from_bytes(types[:2], "big"):
                raise protocol_violation("invalid message format")
            oids = tuple(int.from_bytes(types[at : at + 4], "big") for at in range(2, len(types), 4))
            entry, filled = self._entry(rest, text, types, oids)
            self._parses.put(rest, entry, filled)
        return entry

    def refused(self, error: PgError, entry: Entry | None = None) -> Entry:
        """An entry that is answered with `error`; of no cache. `entry` is what would have been sent."""
        original = entry.plan.original if entry is not None else b""
        infos = entry.plan.statements if entry is not None else (StatementInfo("(not planned)", "", ""),)
        plan = Plan(text=REFUSED_TEXT, original=original, rewritten=False, statements=infos[:1], refusal=error)
        return Entry(plan, entry.key if entry is not None else b"", self, b"\0\0")

    def again(self, entry: Entry) -> Entry:
        """The entry of another context, planned in this one. What a PREPARE made may have come by a Parse."""
        text, zero, types = entry.key.partition(b"\0")
        if entry.context.encoding != self.encoding:
            try:
                text = text.decode(entry.context.encoding).encode(self.encoding)
            except UnicodeError:
                if self.app.trusted or self.app.monitor:
                    return entry  # the server has it
                return self.refused(untranslatable(), entry)
        if not entry.by_sql:
            return self.parse(text + zero + types)
        return self.query(messages.query(text)).as_prepared()

    def _entry(self, key: bytes, text: bytes, types: bytes, oids: tuple[int, ...]) -> tuple[Entry, bool]:
        """The entry, and whether a template made it."""
        try:
            if may_be_too_deep(text.decode(self.encoding, "replace")):
                raise RecursionError
            plan, template = self._templates.plan(text, oids)
        except RecursionError:
            plan, template = self._too_deep(text), None
        entry = Entry(plan, key, self, types)
        if template is not None:
            entry.fragments = template.fragments
        return entry, template is not None

    def _too_deep(self, text: bytes) -> Plan:
        """Of a text that cannot be parsed here. Where nothing is hidden the server may try it, whatever it is."""
        refusal = PgError(
            "stack depth limit exceeded", "54001", hint="Nest expressions, joins, unions and comments less deeply."
        )
        if not self.app.trusted and not self.app.monitor:
            return Plan(REFUSED_TEXT, b"", False, (_TOO_DEEP,), refusal)
        info = replace(_TOO_DEEP, unknown="what it is")
        would_be = refusal if self.app.monitor else None
        return Plan(text, b"", False, (info,), effects=(Effect("search_path"),), refused_as=would_be)


def untranslatable() -> PgError:
    """22P05 of what a client of another encoding has prepared."""
    return PgError(
        "the statement was prepared with characters that client_encoding does not have any more",
        "22P05",
        hint="Prepare it again, or set client_encoding back.",
    )


_TOO_DEEP: Final = StatementInfo("(not understood)", "", "")
_PORTAL: Final = StatementInfo("(a cursor's portal)", "", "", unknown="what it runs")
_CALL: Final = StatementInfo("(a function call)", "", "", unknown="what the function reads")


class Generation:
    """The rules and the catalog of one database at one moment. `planner` is replaced in tests only."""

    def __init__(
        self, database: str, rules: CompiledRules, snapshot: Snapshot, planner: PlannerFactory = Planner
    ) -> None:
        self.database = database
        self.rules = rules
        self.snapshot = snapshot
        self.budget = Budget()
        self._make_planner = planner
        self._planners: dict[str, PlansText] = {}
        self._contexts: WeakValueDictionary[tuple[str, SearchPath, str], Context] = WeakValueDictionary()
        self._kept: dict[tuple[str, str], Context] = {}  # the first of each app: most sessions share it

    def app_of(self, login: str) -> AppPolicy | None:
        """The app that connects under this login, or None where no app lists it."""
        name = self.rules.logins.get(login)
        return None if name is None else self.rules.apps[name]

    def context(self, app: str, path: SearchPath, encoding: str = "utf-8") -> Context:
        """The context that all sessions with the same app, path and encoding share."""
        key = (app, path, encoding)
        context = self._contexts.get(key)
        if context is None:
            policy = self.rules.apps[app]
            planner = self._planners.get(app)
            if planner is None:
                make = Passing if policy.trusted else self._make_planner
                planner = make(policy, self.rules, self.snapshot)
                self._planners[app] = planner
            context = Context(self, policy, planner, path, encoding)
            self._contexts[key] = context
            if not path.temporary:
                self._kept.setdefault((app, encoding), context)
        return context
