"""Debian's sqlsmith as a second source of statements, where it is installed (apt-get install sqlsmith).

It looks at the app's materialised copy, without Consentry's schema, extensions and the database's own functions, and writes
statements down; they are then sent as the app. It uses LIMIT and TABLESAMPLE as it likes, so only markers, errors of the
gateway's own and refusals are looked at.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from random import Random

from tests.servers import PgServer
from tests.strength.attacks import read_dangerous
from tests.strength.random_sql import copies
from tests.strength.random_sql.making import PROTOCOLS, Statement
from tests.strength.random_sql.nodes import node

PROGRAM = shutil.which("sqlsmith")

_BARE = """
DROP SCHEMA IF EXISTS consentry CASCADE;
DO $$
DECLARE name text;
BEGIN
  FOR name IN SELECT quote_ident(extname) FROM pg_extension WHERE extname <> 'plpgsql' LOOP
    EXECUTE 'DROP EXTENSION IF EXISTS ' || name || ' CASCADE';
  END LOOP;
  FOR name IN SELECT oid::regprocedure::text FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND prokind = 'a' LOOP
    EXECUTE 'DROP AGGREGATE ' || name || ' CASCADE';
  END LOOP;
  FOR name IN SELECT oid::regprocedure::text FROM pg_proc WHERE pronamespace = 'public'::regnamespace LOOP
    EXECUTE 'DROP ROUTINE IF EXISTS ' || name || ' CASCADE';
  END LOOP;
END $$;
DROP TABLE public.people_log, public.defaulted;
-- No statement runs here: sqlsmith reads the catalogs, and passes over functions that give sets: here those that every app is refused.
UPDATE pg_proc SET proretset = true WHERE proname ~ '^(pg_(stat|get|current|rotate|export|wal|log|sync|stop|start|switch|control|repl|database|export)|lo_|ts_rew)'
"""


def statements(server: PgServer, app: str, count: int, seed: int) -> list[Statement]:
    """What sqlsmith makes of the app's copy. Raises RuntimeError where it is not installed."""
    if PROGRAM is None:
        raise RuntimeError("sqlsmith is not installed: apt-get install sqlsmith")
    name = f"smith_{app}"
    with server.connect() as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {copies.name_of(app)}")
    dangerous = ", ".join(f"'{danger.name}'" for danger in read_dangerous() if danger.kind == "function")
    server.run(name, f"{_BARE} OR proname IN ({dangerous});")
    target = f"host={server.host} port={server.port} user={server.admin} dbname={name}"
    command = [
        PROGRAM,
        f"--target={target}",
        f"--max-queries={count}",
        f"--seed={seed}",
        "--dry-run",
        "--dump-all-queries",
    ]
    done = subprocess.run([*command, "--exclude-catalog"], capture_output=True, text=True, timeout=3600, check=False)
    with server.connect() as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    if done.returncode or not done.stdout:
        raise RuntimeError(f"sqlsmith: {done.stderr[-500:]}")
    texts = [_once(text) for text in re.split(r";\s*\n", done.stdout) if text.strip()]
    rng = Random(seed)
    return [
        Statement(number, "smith", [node("statement", text)], rng.choice(PROTOCOLS))
        for number, text in enumerate(texts)
    ]


def _once(text: str) -> str:
    """A dry run prints each statement twice."""
    half = len(text) // 2
    return text[:half].strip() if text[:half] == text[half:] else text.strip()
