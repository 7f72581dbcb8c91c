"""The server finder itself: other tests stand on it."""

from __future__ import annotations

import psycopg
import pytest

from tests.servers import PgServer


def test_database_and_password(pg_server: PgServer) -> None:
    dsn = pg_server.create_database("finder", "CREATE TABLE t (a int); INSERT INTO t VALUES (1)")
    with psycopg.connect(dsn) as connection:
        assert connection.execute("SELECT a FROM t").fetchall() == [(1,)]
    pg_server.create_login("finder_app", "s/e:c@ret")
    with psycopg.connect(pg_server.dsn("finder", "finder_app", "s/e:c@ret")) as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("finder_app",)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(pg_server.dsn("finder", "finder_app", "wrong"))
    pg_server.create_database("finder")
    with psycopg.connect(dsn) as connection, pytest.raises(psycopg.errors.UndefinedTable):
        connection.execute("SELECT a FROM t")


def test_tls_server(pg15_server: PgServer) -> None:
    with psycopg.connect(pg15_server.dsn(), sslmode="verify-full", sslrootcert=str(pg15_server.ca_file)) as connection:
        assert connection.pgconn.ssl_in_use


def test_stop_and_start(pg15_server: PgServer) -> None:
    assert pg15_server.process is not None
    pg15_server.process.stop("immediate")
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(pg15_server.dsn())
    pg15_server.process.start()
    psycopg.connect(pg15_server.dsn()).close()
