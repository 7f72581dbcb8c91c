"""A gateway in a thread of its own, with a planner that tests steer by the text of the statement."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import uvloop

from proxy.audit.chain import OWN_EVENTS
from proxy.catalog.model import SearchPath, Snapshot
from proxy.errors import insufficient_privilege, undefined_table
from proxy.policy.table import AppPolicy, CompiledRules
from proxy.rewrite.result import REFUSED_TEXT, Effect, Plan, StatementInfo
from proxy.server.database import Database
from proxy.server.gateway import Gateway
from proxy.server.generation import Generation
from proxy.server.options import Options, Upstream
from tests.gateways import audit_records
from tests.servers import PgServer

_TAGS = {
    "SELECT": "SelectStmt",
    "BEGIN": "TransactionStmt",
    "COMMIT": "TransactionStmt",
    "ROLLBACK": "TransactionStmt",
    "SAVEPOINT": "TransactionStmt",
}


class StubPlanner:
    """Reads a few words only: no parser.

    `forbidden` in a statement refuses it; `secret` is replaced by `(SELECT 'masked' AS value) AS secret`, which shows
    the number of the generation too where it says `versioned`; `unknown_relation` is 42P01 until `known` is set. What
    names mean is noted in `paths`.
    """

    def __init__(self, version: int = 1) -> None:
        self.version = version
        self.shape = ""
        self.known: set[str] = set()
        self.hidden_constraints: dict[tuple[str, str, str], bool] = {}
        self.texts: list[tuple[bytes, SearchPath, tuple[int, ...]]] = []

    def plan(
        self, query: bytes, path: SearchPath, parameter_types: tuple[int, ...] = (), encoding: str = "utf-8"
    ) -> Plan:
        self.texts.append((query, path, parameter_types))
        text = query.decode(encoding)
        infos = tuple(self._info(part) for part in text.split(";") if part.strip())
        effects = tuple(effect for info in infos for effect in info.effects)
        if "forbidden" in text:
            error = insufficient_privilege(
                "permission denied for the test", 'policy "p" (r.yaml:1)', position=text.index("forbidden") + 1
            )
            return Plan(REFUSED_TEXT, query, False, infos, refusal=error)
        for name in re.findall(r"(?<!TABLE )\b(new_\w+)", text):
            if name not in self.known and not path.temporary & {name}:
                return Plan(REFUSED_TEXT, query, False, infos, refusal=undefined_table(name))
        new, splices = text, []
        for found in re.finditer(r"\bsecret\b", text):
            form = f"(SELECT 'masked {self.version}'::text AS value) AS secret"
            start = found.start() + len(new) - len(text)
            new = new[:start] + form + new[start + 6 :]
            splices.append((start, start + len(form), found.start(), found.end()))
        return Plan(
            new.encode(encoding),
            query,
            new != text,
            infos,
            splices=tuple(splices),
            scrub="secret" in text,
            shape=self.shape,
            effects=effects,
        )

    def _info(self, text: str) -> StatementInfo:
        words = text.split()
        first = words[0].upper()
        effects: list[Effect] = []
        if "search_path" in text or (first == "RESET" and words[1:2] == ["ALL"]):
            effects.append(Effect("search_path"))
        if re.search(r"(?i)\b(create|drop)\b.*\b(temp|table)\b", text):
            effects.append(Effect("temporary"))
        if first == "PREPARE":
            effects.append(Effect("prepare", words[1].split("(")[0]))
        if first == "DEALLOCATE":
            effects.append(Effect("deallocate", None if words[1].upper() == "ALL" else words[1]))
        if first == "DISCARD":
            effects.append(Effect("discard"))
        if first == "COPY":
            effects.append(Effect("copy_in" if "FROM STDIN" in text.upper() else "copy_out"))
        executes = words[1].split("(")[0] if first == "EXECUTE" else None
        return StatementInfo(
            re.sub(r"'[^']*'|\b\d+\b", "$1", text.strip()),
            "00",
            _TAGS.get(first, "OtherStmt"),
            effects=tuple(effects),
            executes=executes,
        )


def make_generation(
    planner: StubPlanner, trusted: tuple[str, ...] = (), hides: bool = False, version: str = "v1", snapshot: str = "s1"
) -> Generation:
    """Apps `app` (logins app, app_scram, app_md5, postgres) and `migrations` (the logins in `trusted`)."""

    class Hiding(AppPolicy):
        @property
        def hides_anything(self) -> bool:
            return hides

    app = Hiding("app", "App", "internal", "tests", ("app",))
    own = AppPolicy("migrations", "Migrations", "internal", "tests", trusted, trusted=True)
    logins = dict.fromkeys(("app", "app_scram", "app_md5", "app_clear", "app_other", "postgres"), "app")
    logins |= dict.fromkeys(trusted, "migrations")
    rules = CompiledRules(version, {"app": app, "migrations": own}, logins)
    return Generation("db", rules, Snapshot("db", 180000, {}, {}, version=snapshot), lambda *_: planner)


class Running:
    """A gateway that runs; `call` runs a coroutine in its loop, for `call_seconds` at most."""

    call_seconds: float = 30

    def __init__(self, server: PgServer, directory: Path, dbname: str = "postgres", **options: Any) -> None:
        self.planner = StubPlanner()
        self.trusted: tuple[str, ...] = ("trusted",)
        self.hides = False
        self.rules_version = "v1"
        self.snapshot_version = "s1"
        self.directory = directory
        self.dbname = dbname
        upstream = options.pop("upstream", None) or Upstream(server.host, server.port, dbname, sslmode="disable")
        upstreams = {"db": upstream, **options.pop("upstreams", {})}
        settings = {"listen": ("127.0.0.1:0",), "audit_directory": directory / "audit", "stop_timeout": 5, **options}
        self.options = Options(upstreams=upstreams, **settings)
        self.loop = uvloop.new_event_loop()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self._ready: Future[None] = Future()
        self.thread.start()
        self._ready.result(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.databases = [
            Database(name, upstream, self._load, self._fingerprint) for name, upstream in self.options.upstreams.items()
        ]
        try:
            self.gateway = Gateway(self.options, self.databases)
            self.loop.run_until_complete(self.gateway.start())
        except BaseException as error:
            self._ready.set_exception(error)
            return
        self._ready.set_result(None)
        self.loop.run_forever()

    async def _load(self) -> Generation:
        return make_generation(self.planner, self.trusted, self.hides, self.rules_version, self.snapshot_version)

    async def _fingerprint(self) -> str:
        return self.snapshot_version

    @property
    def port(self) -> int:
        return self.gateway.addresses[0][1]

    def dsn(self, user: str = "app", dbname: str = "db", **extra: str) -> str:
        more = "".join(f" {key}={value}" for key, value in extra.items())
        return f"host=127.0.0.1 port={self.port} dbname={dbname} user={user}{more}"

    def call(self, make: Callable[[], Awaitable[Any]]) -> Any:
        async def run() -> Any:
            return await make()

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(self.call_seconds)

    def reload(self, planner: StubPlanner, **changes: Any) -> None:
        """Puts another planner in force."""
        self.planner = planner
        for name, value in changes.items():
            setattr(self, name, value)
        self.rules_version = f"v{int(self.rules_version[1:]) + 1}"
        assert self.call(self.gateway.reload)

    def records(self, event: str | None = None) -> list[dict[str, Any]]:
        """The audit log so far."""

        async def flush() -> None:
            self.gateway.audit.flush()

        self.call(flush)
        found = audit_records(self.directory / "audit")
        return [one for one in found if one["event"] == event or (event is None and one["event"] not in OWN_EVENTS)]

    def close(self) -> None:
        if self.loop.is_running():
            self.call(lambda: self.gateway.stop(0))
            self.loop.call_soon_threadsafe(self.loop.stop)
            self.thread.join(10)
            self.loop.close()
