"""A gateway from checked settings: options, databases, and how each database's generation is made."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import asyncpg

from proxy.catalog.connect import connect
from proxy.catalog.introspect import fingerprint, take_snapshot
from proxy.config import Configuration, load_settings
from proxy.policy.compile import compile_rules
from proxy.policy.load import load_rules
from proxy.server.database import Database
from proxy.server.generation import Generation
from proxy.server.listener import Gateway
from proxy.server.options import Options, SslMode, Upstream


class Control:
    """Consentry's own connection to one database, opened again when it was lost."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._connection: asyncpg.Connection | None = None

    async def connection(self) -> asyncpg.Connection:
        """Raises UnreachableError."""
        if self._connection is None or self._connection.is_closed():
            self._connection = await connect(self._dsn)
        return self._connection

    async def fingerprint(self) -> str:
        """The catalog's version as it is now."""
        return await fingerprint(await self.connection())


def make_gateway(file: Path) -> Gateway:
    """The gateway of a settings file, not started. Raises SettingsError, UnreachableError."""
    configuration = load_settings(file)
    databases = [_database(configuration, name) for name in configuration.settings.databases]
    return Gateway(_options(configuration), databases)


def _options(configuration: Configuration) -> Options:
    settings = configuration.settings
    certificate, key = settings.tls.certificate, settings.tls.key
    return Options(
        listen=tuple(settings.listen),
        upstreams={name: _upstream(configuration, name) for name in settings.databases},
        tls_mode=settings.tls.mode,
        certificate=configuration.path(certificate) if certificate else None,
        key=configuration.path(key) if key else None,
        audit_directory=configuration.path(settings.audit.directory),
        audit_required=settings.audit.required,
        audit_full_text=settings.audit.text == "full",
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


def _database(configuration: Configuration, name: str) -> Database:
    control = Control(configuration.control_dsn(name))

    async def load() -> Generation:
        rules = load_rules(configuration.rules_files(name))
        snapshot = await take_snapshot(await control.connection())
        return Generation(name, compile_rules(rules, snapshot), snapshot)

    return Database(name, _upstream(configuration, name), load, control.fingerprint)
