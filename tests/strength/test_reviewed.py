"""Every function that a server has was looked at: a newer version's new ones fail here until somebody has."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from proxy.rewrite.allowed import HARMLESS_EXTENSIONS, REFUSED_FUNCTION_PREFIXES, REFUSED_FUNCTIONS
from tests.servers import PgServer

HERE = Path(__file__).parent

# What an app could call: no function that takes or gives what only the server has. Not what an app may not EXECUTE anyway.
_CALLABLE = """
SELECT DISTINCT p.proname FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname <> 'information_schema' AND NOT 'internal'::regtype = ANY (p.proargtypes)
  AND NOT 'cstring'::regtype = ANY (p.proargtypes)
  AND p.prorettype <> ALL ('{trigger, event_trigger, cstring, internal}'::regtype[])
"""


def refused(name: str) -> bool:
    return name in REFUSED_FUNCTIONS or name.startswith(REFUSED_FUNCTION_PREFIXES)


@pytest.fixture(scope="module", params=["pg_server", "pg15_server"])
def server(request: pytest.FixtureRequest) -> PgServer:
    server: PgServer = request.getfixturevalue(request.param)
    server.create_database("reviewed")
    with server.connect("reviewed") as connection:
        connection.autocommit = True
        for extension in sorted(HARMLESS_EXTENSIONS):
            try:
                connection.execute(f'CREATE EXTENSION IF NOT EXISTS "{extension}" CASCADE')
            except psycopg.errors.FeatureNotSupported:
                continue  # this installation does not have it
    return server


def test_each_function_that_looks_at_the_world_was_reviewed(server: PgServer) -> None:
    lines = (HERE / "reviewed.txt").read_text("utf-8").splitlines()
    reviewed = {name for line in lines if not line.startswith("#") for name in line.split()}
    assert not {name for name in reviewed if refused(name)}
    with server.connect("reviewed") as connection:
        rows = connection.execute(_CALLABLE + "AND p.provolatile <> 'i'").fetchall()
    assert {name for (name,) in rows if not refused(name)} - reviewed == set()


def test_what_the_server_keeps_for_the_powerful_is_refused(server: PgServer) -> None:
    with server.connect("reviewed") as connection:
        rows = connection.execute(_CALLABLE + "AND NOT has_function_privilege('public', p.oid, 'execute')").fetchall()
    assert {name for (name,) in rows if not refused(name)} == set()
    assert rows
