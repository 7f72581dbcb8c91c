"""A gateway from checked settings: options, databases, and how each database's generation is made."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Final, TypeVar, cast

import asyncpg

from proxy.audit.consents import ConsentLog
from proxy.audit.copies import Copies
from proxy.catalog.connect import connect
from proxy.catalog.introspect import fingerprint, take_snapshot
from proxy.catalog.model import Snapshot
from proxy.config import Configuration
from proxy.errors import UnreachableError
from proxy.policy.compile import compile_rules
from proxy.policy.load import load_rules
from proxy.rules_files import RulesFiles
from proxy.server.database import Database
from proxy.server.gateway import Gateway
from proxy.server.generation import Generation
from proxy.server.options import Options, SslMode, Upstream
from proxy.server.roster import Roster

CHANNEL: Final = "consentry_catalog"  # what consentry.catalog_changed() notifies
CONSENT_CHANNEL: Final = "consentry_consent"  # what the ledger notifies
ANSWER_SECONDS: Final = 10.0  # a snapshot of 10,000 columns takes less than one

T = TypeVar("T")


class Control:
    """Consentry's own connection to one database, opened again when it was lost or did not answer in time."""

    def __init__(self, dsn: str) -> None:
        self.catalog_changed: Callable[[], None] = lambda: None  # called when the database says so
        self.consent_changed: Callable[[], None] = lambda: None
        self._dsn = dsn
        self._connection: asyncpg.Connection | None = None
        self._asking = asyncio.Lock()  # a connection takes one question at a time

    async def fingerprint(self) -> str:
        """The catalog's version as it is now. Raises UnreachableError."""
        return await self.ask(fingerprint)

    async def snapshot(self) -> Snapshot:
        """The catalog as it is now. Raises UnreachableError."""
        return await self.ask(take_snapshot)

    async def ask(self, question: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
        """Asks the database, one question after another. Raises UnreachableError."""
        async with self._asking:
            return await self._ask(question)

    async def _ask(self, question: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
        if self._connection is None or self._connection.is_closed():
            self._connection = await connect(self._dsn)
            with suppress(asyncpg.PostgresError):  # a pooler between us does not let us listen
                await self._connection.add_listener(CHANNEL, lambda *_: self.catalog_changed())
                await self._connection.add_listener(CONSENT_CHANNEL, lambda *_: self.consent_changed())
        connection = self._connection
        asking = asyncio.ensure_future(question(connection))
        try:
            # Not asyncio.timeout: what the question does when it is cancelled would wait for the server again.
            await asyncio.wait((asking,), timeout=ANSWER_SECONDS)
            if asking.done():
                return asking.result()
        except (OSError, asyncpg.InterfaceError, asyncpg.PostgresConnectionError) as error:
            connection.terminate()
            raise UnreachableError(f"the control connection was lost: {error}") from error
        finally:
            if not asking.done():  # its answer would come to the next question
                asking.cancel()
                connection.terminate()
        raise UnreachableError(f"the database did not answer the control connection within {ANSWER_SECONDS:g} s")


def make_gateway(configuration: Configuration, worker: int = 0, roster: Roster | None = None) -> Gateway:
    """The gateway of the settings, not started. Raises SettingsError, UnreachableError.

    `roster`: it is one of several workers, and gets its connections from the process that listens. What all have to
    do once, the first one does.
    """
    controls = {name: Control(configuration.control_dsn(name)) for name in configuration.settings.databases}
    databases = [_database(configuration, name, control) for name, control in controls.items()]
    copies = Copies(next(iter(controls.values())).ask)
    consents = _consents(configuration, controls) if worker == 0 else None
    options = make_options(configuration)
    if roster is not None:
        options = replace(options, worker=worker, listen=())
    return Gateway(options, databases, copies, consents, roster)


def _consents(configuration: Configuration, controls: dict[str, Control]) -> ConsentLog:
    """One of each ledger, though two databases of the settings be one."""
    ledgers = {configuration.control_dsn(name): name for name in reversed(controls)}
    consents = ConsentLog({name: controls[name].ask for name in ledgers.values()})
    for name in ledgers.values():
        controls[name].consent_changed = partial(consents.changed, name)
    return consents


def make_options(configuration: Configuration) -> Options:
    """What a gateway needs of the settings."""
    settings = configuration.settings
    certificate, key = settings.tls.certificate, settings.tls.key
    return Options(
        listen=tuple(settings.listen),
        upstreams={name: _upstream(configuration, name) for name in settings.databases},
        tls_mode=settings.tls.mode,
        certificate=configuration.path(certificate) if certificate else None,
        key=configuration.path(key) if key else None,
        audit_directory=configuration.path(settings.audit.directory),
        audit_key=configuration.path(settings.audit.key),
        audit_required=settings.audit.required,
        audit_full_text=settings.audit.text == "full",
        audit_rotate_size=settings.audit.rotate.size,
        audit_rotate_every=settings.audit.rotate.every,
        audit_keep=settings.audit.keep,
        audit_fsync=settings.audit.fsync,
        audit_syslog=settings.audit.syslog,
        connections=settings.limits.connections,
        statement_bytes=settings.limits.statement_bytes,
        idle_timeout=settings.limits.idle_timeout,
        connect_timeout=settings.limits.connect_timeout,
    )


def _upstream(configuration: Configuration, name: str) -> Upstream:
    address = configuration.upstream(name)
    return Upstream(
        host=address.host,
        port=address.port,
        dbname=address.dbname,
        user=address.user,
        sslmode=cast("SslMode", address.sslmode),
        sslrootcert=address.sslrootcert,
    )


def _database(configuration: Configuration, name: str, control: Control) -> Database:
    files = RulesFiles(lambda: configuration.rules_files(name))

    async def load() -> Generation:
        rules = load_rules(files.read())
        snapshot = await control.snapshot()
        return Generation(name, compile_rules(rules, snapshot), snapshot)

    database = Database(name, _upstream(configuration, name), load, control.fingerprint, files.changed)
    control.catalog_changed = database.catalog_changed
    return database
