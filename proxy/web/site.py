"""What the web side works with: one database, its rules as they are now, connections, keys."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import asyncpg

from proxy.audit.acts import options_of
from proxy.catalog.connect import connected
from proxy.catalog.introspect import fingerprint, take_snapshot
from proxy.catalog.model import Snapshot
from proxy.config import Configuration, WebSettings, load_settings, read_text
from proxy.consent.access import AppAccess, access, asked
from proxy.consent.mapped import mapping_of
from proxy.consent.names import Names
from proxy.consent.service import Vocabulary, subject_type
from proxy.consent.standing import Standing
from proxy.errors import ConsentryError, UnreachableError
from proxy.policy.compile import compile_rules
from proxy.policy.load import load_rules
from proxy.policy.rules import Rules
from proxy.policy.table import CompiledRules
from proxy.rewrite.plan import Planner
from proxy.rights.desk import Desk
from proxy.rights.plan import rights_of
from proxy.rights.restricting import restricted_since
from proxy.rules_files import RulesFiles
from proxy.web.audit_log import AuditLog
from proxy.web.links import Keys, read_secret
from proxy.web.oidc import Provider
from proxy.web.pages.look import theme
from proxy.web.pages.texts import load_texts
from proxy.web.records import Records
from proxy.web.verification import Verification

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 1.0  # between two looks at the rules' files and the catalog
CONNECTIONS: Final = 10
ANSWER_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class InForce:
    """The rules as they were last read, and what they come to on the catalog."""

    rules: Rules
    compiled: CompiledRules
    catalog: str  # its fingerprint
    snapshot: Snapshot
    planners: dict[str, Planner] = field(default_factory=dict, compare=False)  # of apps that have asked

    def planner(self, app: str) -> Planner:
        """What plans statements of an app, as in the gateway."""
        if app not in self.planners:
            self.planners[app] = Planner(self.compiled.apps[app], self.compiled, self.snapshot)
        return self.planners[app]

    @property
    def words(self) -> Vocabulary:
        """The apps that can ask consent, and all attributes."""
        return Vocabulary(
            [name for name, app in self.rules.apps.items() if not app.trusted],
            list(self.rules.attributes),
            mapping_of(self.compiled),
        )

    @property
    def names(self) -> Names:
        """What decisions can be about, groups and `all` included."""
        return Names(self.words, self.compiled, self.rules.attributes)

    @property
    def asked(self) -> dict[str, frozenset[str]]:
        """For each app the attributes that it asks consent for."""
        return {name: frozenset(asked(app)) for name, app in self.compiled.apps.items()}


class TooSlowError(UnreachableError):
    """The database works on it still, longer than an answer may take."""


class Site:
    """`start` before use, `stop` after. Rules that changed and are right are taken by themselves."""

    in_force: InForce  # set by `start`

    def __init__(self, file: Path, configuration: Configuration, settings: WebSettings, database: str) -> None:
        self.settings = settings
        self.database = database
        secret = settings.login.secret_file
        self.keys = None if secret is None else Keys(read_secret(configuration.path(secret)))
        self.provider = _provider(configuration, settings)
        self.organisation = configuration.organisation(database)
        self.theme = theme(settings.organisation.colour)
        folder, logo = settings.organisation.texts, settings.organisation.logo
        self.texts = load_texts(settings.organisation.languages, None if folder is None else configuration.path(folder))
        self.logo = None if logo is None else configuration.path(logo)
        self.verification = Verification(file)
        self.audit = AuditLog(configuration.path(configuration.settings.audit.directory))
        self.records = Records(configuration, self.connection)
        self._configuration = configuration
        self._dsn = configuration.control_dsn(database)
        self._pool: asyncpg.Pool | None = None
        self._looking: asyncio.Task[None] | None = None
        self._wrong: str | None = None
        self._wanted = asyncio.Event()
        self._files = RulesFiles(lambda: configuration.rules_files(database))

    async def start(self) -> None:
        """Raises ConsentryError: rules that are wrong, a database that is not there."""
        await self.take()
        self._pool = await asyncpg.create_pool(
            self._dsn, min_size=0, max_size=CONNECTIONS, command_timeout=ANSWER_SECONDS, statement_cache_size=0
        )
        self._looking = asyncio.create_task(self._look())
        await self.audit.start()

    async def stop(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
            with suppress(asyncio.CancelledError):
                await self._looking
        await self.audit.stop()
        await self.verification.stop()
        await self.records.close()
        if self._pool is not None:
            await self._pool.close()

    def access(self, standings: Sequence[Standing], *, restricted: bool = False) -> tuple[AppAccess, ...]:
        """What each app sees of the customer whose decisions these are, and when it last read it.

        `restricted`: the customer's data is, as `is_restricted` says.
        """
        current, last_read = self.in_force, self.audit.last_read
        return access(current.compiled, current.rules.attributes, standings, last_read, restricted=restricted)

    async def is_restricted(self, connection: asyncpg.Connection, subject: str) -> bool:
        """Whether the customer's data is restricted, and the rules enforce it. Raises ConsentryError."""
        if not rights_of(self.in_force.compiled).restriction:
            return False
        return await restricted_since(connection, subject, await subject_type(connection)) is not None

    def desk(self, connection: asyncpg.Connection, actor: str) -> Desk:
        """What acts for customers' rights need, on this connection."""
        current = self.in_force
        return Desk(
            connection,
            current.compiled,
            current.snapshot,
            current.words,
            self.database,
            current.rules,
            options_of(self._configuration),
            actor,
            self.connection,
        )

    def look_now(self) -> None:
        """Looks at once whether the rules or the catalog have changed."""
        self._wanted.set()

    async def take(self) -> None:
        """Takes rules and catalog anew. Raises ConsentryError; what was in force stays."""
        rules = load_rules(self._files.read())
        async with connected(self._dsn) as connection:
            catalog = await fingerprint(connection)
            snapshot = await take_snapshot(connection)
        self.in_force = InForce(rules, compile_rules(rules, snapshot), catalog, snapshot)
        self.records.rules(rules.digest, self.in_force.compiled.version)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[asyncpg.Connection]:
        """A connection to the database. Raises UnreachableError; TooSlowError for a statement of ANSWER_SECONDS."""
        assert self._pool is not None
        try:
            acquired: Any = await self._pool.acquire(timeout=ANSWER_SECONDS)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise UnreachableError(f"the database cannot be reached: {error}") from error
        try:
            with _answering():
                yield acquired
        finally:
            with suppress(OSError, asyncpg.InterfaceError, asyncpg.PostgresError, TimeoutError):
                await self._pool.release(acquired, timeout=ANSWER_SECONDS)

    @asynccontextmanager
    async def patient_connection(self) -> AsyncIterator[asyncpg.Connection]:
        """A connection of its own, for work that takes minutes. Raises UnreachableError."""
        async with connected(self._dsn) as connection:
            with _answering():
                yield connection

    async def _look(self) -> None:
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wanted.wait(), LOOK_SECONDS)
            changed = self._wanted.is_set()
            self._wanted.clear()
            changed = self._files.changed() or changed
            try:
                await self._take(changed)
                self._wrong = None
            except ConsentryError as error:
                if changed:
                    self._files.forget()
                if str(error) != self._wrong:
                    log.warning("the rules in force stay: %s", error)
                if str(error) != self._wrong and (changed or not isinstance(error, UnreachableError)):
                    self.records.rules(self.in_force.rules.digest, self.in_force.compiled.version, str(error))
                self._wrong = str(error)

    async def _take(self, changed: bool) -> None:
        """Takes rules that have changed, or a catalog that has."""
        async with self.connection() as connection:
            catalog = await fingerprint(connection)
        if changed or catalog != self.in_force.catalog:
            await self.take()
            log.info("rules %.12s in force on the web side", self.in_force.rules.digest)


@contextmanager
def _answering() -> Iterator[None]:
    try:
        yield
    except (OSError, asyncpg.PostgresConnectionError, asyncpg.InterfaceError) as error:
        if isinstance(error, TimeoutError) and error.errno is None:  # asyncpg's, not the network's
            raise TooSlowError(f"it took the database longer than {ANSWER_SECONDS:g} s, and was canceled") from error
        raise UnreachableError(f"the database did not answer: {error}") from error


def _provider(configuration: Configuration, settings: WebSettings) -> Provider | None:
    oidc = settings.login.oidc
    if oidc is None:
        return None
    file = oidc.client_secret_file
    return Provider(oidc, None if file is None else read_text(configuration.path(file)).strip())


def open_site(file: Path) -> Site:
    """The web side of a settings file, not started. Raises SettingsError; ConsentryError where it has none."""
    configuration = load_settings(file)
    settings = configuration.settings.web
    if settings is None:
        raise ConsentryError(f"{file} has no section `web`: there is no web side to run")
    known = list(configuration.settings.databases)
    database = settings.database or known[0]
    if database not in known or (settings.database is None and len(known) > 1):
        raise ConsentryError(f"{file}: web.database says which database it is about: {', '.join(known)}")
    return Site(file.resolve(), configuration, settings, database)
