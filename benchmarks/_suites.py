"""The test suites of drivers and ORMs, each run against a gateway: how it is started, where its statements go."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Suite:
    """`run(folder, port, server, scratch, more)` runs the suite in `folder` as login suite, database db behind the
    gateway's `port` (Django's second database, suite_other, is at the `server`'s own); `more` narrows it.

    It gives the suite's last line, and writes what the suite printed to `scratch/suite.log`.
    """

    title: str
    run: Callable[[Path, int, int, Path, Sequence[str]], str]


def _run(command: Sequence[str], cwd: Path, scratch: Path, environment: Mapping[str, str]) -> str:
    with (scratch / "suite.log").open("w") as log:
        subprocess.run(
            command,
            cwd=cwd,
            stdout=log,
            stderr=log,
            check=False,
            env={**os.environ, "PGSSLMODE": "disable", **environment},
        )
    lines = [line.strip(" =") for line in (scratch / "suite.log").read_text().splitlines() if line.strip()]
    return next(
        (line for line in reversed(lines) if "passed" in line or line.startswith(("OK", "FAILED"))), "no result"
    )


_SQLALCHEMY = ("test/sql", "test/orm", "test/engine", "test/dialect/postgresql", "test/dialect/test_suite.py")


def _sqlalchemy(folder: Path, port: int, server: int, scratch: Path, more: Sequence[str]) -> str:
    uri = f"postgresql+psycopg://suite@127.0.0.1:{port}/db"
    tests = more or [name for name in _SQLALCHEMY if (folder / name).exists()]
    command = [sys.executable, "-m", "pytest", *tests, "--dburi", uri, "-q", "-p", "no:logging", "--maxfail=100000"]
    return _run(command, folder, scratch, {})


# Django's tests that are about the database, and those that use it as applications do.
_DJANGO = """
    aggregation aggregation_regress annotations backends basic bulk_create composite_pk constraints custom_columns
    custom_lookups custom_managers custom_pk dates datetimes db_functions defer defer_regress delete delete_regress
    distinct_on_fields expressions expressions_case expressions_window extra_regress filtered_relation fixtures
    foreign_object force_insert_update from_db_value generic_relations get_earliest_or_latest get_or_create indexes
    inspectdb introspection known_related_objects lookup m2m_and_m2o m2m_intermediary m2m_multiple m2m_recursive
    m2m_regress m2m_through many_to_many many_to_one many_to_one_null model_fields model_inheritance null_fk
    null_queries one_to_one or_lookups order_with_respect_to ordering pagination postgres_tests prefetch_related
    proxy_model_inheritance queries raw_query reserved_names reverse_lookup save_delete_hooks select_for_update
    select_related serializers sessions_tests string_lookup timezones transaction_hooks transactions update
    update_only_fields validation xor_lookups
""".split()
_SETTINGS = """
DATABASES = {{
    "default": {{
        "ENGINE": "django.db.backends.postgresql", "NAME": "suite", "USER": "suite",
        "HOST": "127.0.0.1", "PORT": {port},
        "TEST": {{"NAME": "suite"}},
    }},
    "other": {{
        "ENGINE": "django.db.backends.postgresql", "NAME": "suite_other", "USER": "suite",
        "HOST": "127.0.0.1", "PORT": {server}, "TEST": {{"NAME": "suite_other"}},
    }},
}}
SECRET_KEY = "of tests"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
USE_TZ = False
"""


def _django(folder: Path, port: int, server: int, scratch: Path, more: Sequence[str]) -> str:
    (scratch / "suite_settings.py").write_text(_SETTINGS.format(port=port, server=server))
    tests = more or [name for name in _DJANGO if (folder / "tests" / name).exists()]
    command = [
        sys.executable,
        "runtests.py",
        "--settings=suite_settings",
        "--keepdb",
        "--noinput",
        "--parallel=1",
        *tests,
    ]
    return _run(command, folder / "tests", scratch, {"PYTHONPATH": f"{scratch}{os.pathsep}{folder}"})


def _psycopg(folder: Path, port: int, server: int, scratch: Path, more: Sequence[str]) -> str:
    dsn = f"host=127.0.0.1 port={port} dbname=db user=suite sslmode=disable"
    command = [sys.executable, "-m", "pytest", *(more or ["tests"]), "--test-dsn", dsn, "-q"]
    deselected = ["-m", "not slow and not flakey and not mypy and not proxy and not gevent and not dns"]
    return _run([*command, "--maxfail=100000", *deselected], folder, scratch, {})


SUITES = {
    "sqlalchemy": Suite("SQLAlchemy", _sqlalchemy),
    "django": Suite("Django", _django),
    "psycopg": Suite("psycopg 3", _psycopg),
}
