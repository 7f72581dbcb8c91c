"""Fixtures of the tests that go through a gateway to a real server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import PgServer
from tests.wire.gateway import Running


@pytest.fixture(scope="session")
def wire_server(pg_server: PgServer) -> PgServer:
    """The server, with the logins and the database of these tests."""
    pg_server.create_database("wire")
    pg_server.run("wire", "CREATE TABLE numbers AS SELECT g AS n FROM generate_series(1, 1000) AS g")
    for name in ("app", "trusted", "app_other"):
        pg_server.create_login(name, group="auth_trust")
    pg_server.create_login("app_scram", "s3cret")
    with pg_server.connect("postgres") as connection:
        connection.execute("SET password_encryption = md5")
        connection.execute("DROP ROLE IF EXISTS app_md5")
        connection.execute("CREATE ROLE app_md5 LOGIN PASSWORD 's3cret'")
    pg_server.run("wire", "CREATE SCHEMA one; CREATE SCHEMA two; GRANT ALL ON SCHEMA public, one, two TO PUBLIC")
    pg_server.run("wire", "GRANT ALL ON numbers TO PUBLIC")
    return pg_server


@pytest.fixture
def running(wire_server: PgServer, tmp_path: Path) -> Iterator[Running]:
    """A gateway of its own for each test."""
    gateway = Running(wire_server, tmp_path, "wire")
    yield gateway
    gateway.close()
